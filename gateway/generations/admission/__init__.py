"""Decides which waiting generation is sent next: concurrency limits, the gate, and the turns of tenants."""
