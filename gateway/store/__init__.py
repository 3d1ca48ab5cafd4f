"""Stores: implementations of the core's `Store` port. One behaviour suite runs over each (tests/contract/store)."""
