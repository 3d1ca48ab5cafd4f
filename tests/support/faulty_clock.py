"""A clock that raises in one task of the gateway, to cause an internal error on demand."""

from __future__ import annotations

import asyncio

from gateway.generations.clock import SystemClock
from gateway.generations.ports import Moment


class FaultyClock(SystemClock):
    """The system clock, which raises ZeroDivisionError in the task whose coroutine has the qualified name `broken`."""

    broken = ""

    def moment(self) -> Moment:
        self._fail_if_broken()
        return super().moment()

    async def wait(self, signal: asyncio.Future[None], seconds: float | None) -> None:
        self._fail_if_broken()
        await super().wait(signal, seconds)

    def _fail_if_broken(self) -> None:
        if not self.broken:
            return
        task = asyncio.current_task()
        if task is not None and task.get_coro().__qualname__ == self.broken:  # type: ignore[union-attr]
            raise ZeroDivisionError("the clock is broken")
