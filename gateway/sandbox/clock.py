"""The sandbox's own time: every duration of the fake service is measured on a clock that can be hurried or held."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

Callback = Callable[[], object]


class Clock(Protocol):
    """Seconds since the sandbox began, what the calendar said then, and alarms."""

    @property
    def scale(self) -> float:
        """How many of these seconds pass in a second of the client's."""

    @property
    def epoch(self) -> datetime:
        """The calendar time at which `now()` was zero."""

    def now(self) -> float:
        """Return the seconds since the sandbox began; never goes back."""

    def call_at(self, at: float, callback: Callback) -> Callback:
        """Have the running event loop call `ring` at that moment; what is returned cancels it."""


class ScaledClock:
    """Monotonic time, `scale` times as fast."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        self.epoch = datetime.now(UTC)
        self._zero = time.monotonic()

    def now(self) -> float:
        """Return the seconds since the start, hurried."""
        return (time.monotonic() - self._zero) * self.scale

    def call_at(self, at: float, callback: Callback) -> Callback:
        """Set an alarm."""
        return asyncio.get_running_loop().call_later((at - self.now()) / self.scale, callback).cancel


class ManualClock:
    """Time that passes only when told to, so that tests wait for nothing."""

    scale = 1.0
    epoch = datetime(2026, 1, 1, tzinfo=UTC)

    def __init__(self) -> None:
        self._now = 0.0
        self._alarms: dict[int, tuple[float, asyncio.AbstractEventLoop, Callback]] = {}
        self._numbers = itertools.count()

    def now(self) -> float:
        """Return the seconds advanced so far."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass, in one step: what was due on the way happens at its end, as soon as the event loop runs."""
        if seconds < 0:
            raise ValueError("time does not go back")
        self._now += seconds
        self._call_due()

    def call_at(self, at: float, callback: Callback) -> Callback:
        """Set an alarm."""
        number = next(self._numbers)
        self._alarms[number] = (at, asyncio.get_running_loop(), callback)
        self._call_due()
        return lambda: self._alarms.pop(number, None)

    def _call_due(self) -> None:
        # A client that blocks moves the time from a thread of its own: hence the copy, and what may be gone already.
        due = sorted((at, number) for number, (at, _, _) in list(self._alarms.items()) if at <= self._now)
        for _, number in due:
            if alarm := self._alarms.pop(number, None):
                _, loop, callback = alarm
                loop.call_soon_threadsafe(callback)


async def sleep_until(clock: Clock, at: float) -> None:
    """Return when that moment has come."""
    woken = asyncio.Event()
    cancel = clock.call_at(at, woken.set)
    try:
        await woken.wait()
    finally:
        cancel()


def timestamp(clock: Clock, at: float) -> str:
    """Show a moment of this clock as the API shows times."""
    return (clock.epoch + timedelta(seconds=at)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
