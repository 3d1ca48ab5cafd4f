"""Simulated time: one timeline for the sandbox and for every gateway that uses it.

Sockets, CPU and disk are real, but every decision that depends on time uses the timeline. It advances in steps, and
only when all due work is done and every task of the gateway waits for a later time.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any
from unittest.mock import patch

from gateway.concurrency import set_signal
from gateway.generations.clock import SystemClock
from gateway.sandbox.clock import ManualClock
from gateway.sandbox.server import SandboxOptions
from tests.support.running import WAIT_TIMEOUT, Running, split

STEP = 0.25
"""Seconds in one step. Timers within one step fire together, as on a busy machine."""

Signal = asyncio.Future[None]


class Timeline:
    """The simulated time, and the tasks that wait for it.

    `wall_is_ahead` is the number of seconds by which the gateway's wall clock is ahead of Higgsfield's.
    """

    def __init__(self) -> None:
        self.sandbox = ManualClock()
        self.wall_is_ahead = 0.0
        self._began = time.time()
        self._timers: list[tuple[float, int, Signal]] = []
        self._numbers = itertools.count()
        self._waiting: dict[asyncio.Task[Any] | None, Signal] = {}

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return self.sandbox.now()

    def clock_from(self, not_before: float) -> SystemClock:
        """Return a clock for a gateway that starts now."""
        return _Clock(self, not_before)

    def true_date(self) -> str:
        """Return the current time as the Date header of Higgsfield's responses."""
        return formatdate(self._began + self.now, usegmt=True)

    def wall(self) -> float:
        """Return the time of the wall clock."""
        return self._began + self.now + self.wall_is_ahead

    async def wait(self, signal: Signal, seconds: float | None) -> None:
        """Wait until the signal is given, at most `seconds`; None: without a limit."""
        if seconds is not None:
            heapq.heappush(self._timers, (self.now + max(seconds, 0.0), next(self._numbers), signal))
            self._ring()
        task = asyncio.current_task()
        self._waiting[task] = signal
        try:
            await signal
        finally:
            self._waiting.pop(task, None)

    def is_waiting(self, task: asyncio.Task[Any]) -> bool:
        """Return whether a task waits for a timer or a signal, and neither has fired."""
        signal = self._waiting.get(task)
        return signal is not None and not signal.done()

    def step(self, until: float, step: float) -> None:
        """Advance by one step, or to the next timer if it is later, but not beyond `until`."""
        while self._timers and self._timers[0][2].done():
            heapq.heappop(self._timers)
        alarms = [at for at, _, _ in self.sandbox._alarms.values()]
        nearest = min([*alarms, *(at for at, _, _ in self._timers[:1])], default=until)
        self.sandbox.advance(min(max(self.now + step, nearest), until) - self.now)
        self._ring()

    def _ring(self) -> None:
        while self._timers and self._timers[0][0] <= self.now:
            set_signal(heapq.heappop(self._timers)[2])


class _Clock(SystemClock):
    """A gateway's clock that follows the timeline."""

    def __init__(self, timeline: Timeline, not_before: float) -> None:
        super().__init__(not_before, wall=timeline.wall, monotonic=lambda: timeline.now)
        self._timeline = timeline

    async def wait(self, signal: Signal, seconds: float | None) -> None:
        await self._timeline.wait(signal, seconds)


class Timed(Running):
    """A sandbox and a gateway on one timeline. Time passes only during `advance`, also for calls that wait."""

    def __init__(self, folder: Path, options: SandboxOptions, settings: dict[str, str]) -> None:
        self.time = Timeline()
        super().__init__(folder, options, settings, self.time.sandbox, self.time.clock_from)

    async def advance(self, seconds: float, until: Callable[[], bool] = lambda: False, step: float = STEP) -> float:
        """Advance by `seconds`, or until the condition `until` holds; return the seconds that have passed."""
        began = self.time.now
        await self.wait_until_idle()
        while self.time.now < began + seconds and not until():
            self.time.step(began + seconds, step)
            await self.wait_until_idle()
        return self.time.now - began

    async def wait_until_idle(self) -> None:
        """Wait until the gateway has done all due work, and all its tasks wait for time or signals."""
        async with asyncio.timeout(WAIT_TIMEOUT):
            for turn in itertools.count():
                if self._is_idle():
                    return
                # The handlers of calls get turns as well: they are not waited for.
                await asyncio.sleep(0 if turn % 20 else 0.0005)

    def _is_idle(self) -> bool:
        core = self.gateway._core
        parts = (core, core.agents, core.follower, core.webhook_inbox, core.dispatcher)
        owned = [core.sender.tasks, *(part._tasks for part in parts)]
        conversations = core.agents._conversations.values()
        reading = [one._poll for one in conversations if one._poll and not one._poll.done()]
        return all(map(self.time.is_waiting, [*reading, *(task for tasks in owned for task in tasks)]))

    async def stop_higgsfield(self) -> None:
        """Stop the sandbox: connections to Higgsfield are refused."""
        await self.sandbox.stop()

    async def restart_higgsfield(self) -> None:
        """Start the sandbox again on the same port, with its state."""
        await self.sandbox.start()

    def live(self) -> dict[str, str]:
        """Return the states of all generations that have not ended, by id."""
        entries = self.gateway._core.feed.entries
        return {one.id: one.state.name for one in entries.generations()}


@asynccontextmanager
async def run_timed(folder: Path, *, wall_is_ahead: float = 0.0, **terms: Any) -> AsyncIterator[Timed]:
    """Run a sandbox and a gateway on a timeline.

    `wall_is_ahead` is that of the timeline at the first start. Uppercase names in `terms` are settings of the gateway
    without HFGATEWAY_; the others are options of the sandbox.
    """
    running = Timed(folder, *split({"POLL_MIN": 1, "POLL_MAX": 30} | terms))
    running.time.wall_is_ahead = wall_is_ahead
    with patch("aiohttp.web_response.rfc822_formatted_time", running.time.true_date):
        try:
            await running.start()
            yield running
        finally:
            await running.stop()
