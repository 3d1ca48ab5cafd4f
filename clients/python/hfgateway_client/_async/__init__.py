"""The client for asyncio. `_sync` is generated from this package by tools/unasync.py: edit here only."""
