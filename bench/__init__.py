"""Benchmarks: what the gateway costs over what it cannot avoid, measured beside it in the same run."""
