"""The client for asyncio. tools/unasync.py generates `_sync` from this package, so edit only this one."""
