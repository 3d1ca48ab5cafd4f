"""The store: its engines supply the ports of `store.py`. One behaviour suite runs over each (tests/contract/store)."""
