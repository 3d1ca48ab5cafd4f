"""Limits what each caller may hold: calls, bytes, and the time to send a request."""
