"""Bounds how long a call waits for its request, with one timer for all calls: one for each would cost 3 % of a Get."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from gateway.rpc import limits

T = TypeVar("T")


class Arrivals:
    """The calls that wait for a request, or for its next part."""

    def __init__(self) -> None:
        self._since: dict[asyncio.Task[object], float] = {}
        """When each began to wait. All may wait equally long, so the first is always the first that is due."""
        self._timer: asyncio.TimerHandle | None = None

    async def within(self, arrival: Awaitable[T]) -> T:
        """Return what arrives. Raises TimeoutError after BODY_WITHIN seconds."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self._since[task] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(limits.BODY_WITHIN, self._sweep)
        try:
            return await arrival
        except asyncio.CancelledError:
            if task in self._since or task.uncancel():
                raise
            raise TimeoutError from None
        finally:
            self._since.pop(task, None)

    def _sweep(self) -> None:
        """Cancel the calls that are due, and wait for the next one."""
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._since:
            task, since = next(iter(self._since.items()))
            if (due := since + limits.BODY_WITHIN) > loop.time():
                self._timer = loop.call_at(due, self._sweep)
                return
            del self._since[task]
            task.cancel()
