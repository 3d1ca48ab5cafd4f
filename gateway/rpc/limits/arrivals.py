"""The timeout for reading requests. One timer serves all calls; a timer for each call would cost 3 % of a Get."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from gateway.rpc.limits import call_limits
from gateway.rpc.limits.requests import BadRequestError
from gateway.telemetry import Rejection

T = TypeVar("T")

TICKS = 10
"""Ticks of the timer in BODY_TIMEOUT. If the gateway or its machine stands still, there is one tick for all that time,
so that no request is refused that arrived in it."""


class Arrivals:
    """The calls that wait for a request, or for the next message of a stream."""

    def __init__(self) -> None:
        self._since: dict[asyncio.Task[object], int] = {}
        """The tick in which each call began to wait. The first one is due first, because all have the same timeout."""
        self._ticks = 0
        self._timer: asyncio.TimerHandle | None = None

    async def within(self, arrival: Awaitable[T]) -> T:
        """Return the result of `arrival`. Raises INVALID_INPUT after BODY_TIMEOUT seconds, or up to a tick later."""
        task = asyncio.current_task()
        assert task is not None
        self._since[task] = self._ticks
        if self._timer is None:
            self._start_timer()
        try:
            return await arrival
        except asyncio.CancelledError:
            if task in self._since or task.uncancel():
                raise
            raise BadRequestError(Rejection.SLOW, f"did not arrive within {call_limits.BODY_TIMEOUT:g} s") from None
        finally:
            self._since.pop(task, None)

    def _start_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(call_limits.BODY_TIMEOUT / TICKS, self._tick)

    def _tick(self) -> None:
        """Cancel the calls that are due, and start the next tick if others wait."""
        self._ticks += 1
        self._timer = None
        while self._since:
            task, since = next(iter(self._since.items()))
            if self._ticks - since <= TICKS:
                self._start_timer()
                return
            del self._since[task]
            task.cancel()
