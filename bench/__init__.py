"""Benchmarks: measure the gateway and, in the same run, a bare server with only the costs that no gateway can avoid."""
