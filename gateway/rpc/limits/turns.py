"""Turns of tenants in the event loop, for work that blocks it for milliseconds."""

import asyncio
from weakref import WeakValueDictionary


class Turns:
    """Spreads the work of a tenant over the iterations of the event loop, so that calls of others run in between."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def next(self, tenant: str) -> None:
        """Return in an iteration of the event loop in which this returns to no other caller of the tenant."""
        async with self._locks.setdefault(tenant, asyncio.Lock()):
            await asyncio.sleep(0)
