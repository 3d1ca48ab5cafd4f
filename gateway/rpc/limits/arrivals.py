"""The timeout for reading requests. One timer serves all calls; a timer for each call would cost 3 % of a Get."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from gateway.rpc.limits import call_limits
from gateway.rpc.limits.requests import BadRequestError
from gateway.telemetry import Rejection

T = TypeVar("T")


class Arrivals:
    """The calls that wait for a request, or for the next message of a stream."""

    def __init__(self) -> None:
        self._since: dict[asyncio.Task[object], float] = {}
        """The time at which each call began to wait. The first one is due first, because all have the same timeout."""
        self._timer: asyncio.TimerHandle | None = None

    async def within(self, arrival: Awaitable[T]) -> T:
        """Return the result of `arrival`. Raises INVALID_INPUT after BODY_TIMEOUT seconds."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self._since[task] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(call_limits.BODY_TIMEOUT, self._sweep)
        try:
            return await arrival
        except asyncio.CancelledError:
            if task in self._since or task.uncancel():
                raise
            raise BadRequestError(Rejection.SLOW, f"did not arrive within {call_limits.BODY_TIMEOUT:g} s") from None
        finally:
            self._since.pop(task, None)

    def _sweep(self) -> None:
        """Cancel the calls that are due, and set the timer for the next one."""
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._since:
            task, since = next(iter(self._since.items()))
            if (due := since + call_limits.BODY_TIMEOUT) > loop.time():
                self._timer = loop.call_at(due, self._sweep)
                return
            del self._since[task]
            task.cancel()
