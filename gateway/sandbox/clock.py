"""The sandbox's clock: it measures every duration, and can run faster than real time or stand still."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

Callback = Callable[[], object]


class Clock(Protocol):
    """Seconds since the sandbox started, the date of its start, and alarms."""

    @property
    def scale(self) -> float:
        """The number of seconds of this clock that pass in one real second."""

    @property
    def epoch(self) -> datetime:
        """The date and time at which `now()` was zero."""

    def now(self) -> float:
        """Return the seconds since the sandbox started. The value never decreases."""

    def call_at(self, at: float, callback: Callback) -> Callback:
        """Have the running event loop call `callback` at the time `at`; returns a function that cancels the alarm."""


class ScaledClock:
    """Monotonic time, sped up by `scale`."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        self.epoch = datetime.now(UTC)
        self._zero = time.monotonic()

    def now(self) -> float:
        """Return the seconds since the start, sped up."""
        return (time.monotonic() - self._zero) * self.scale

    def call_at(self, at: float, callback: Callback) -> Callback:
        """Set an alarm."""
        return asyncio.get_running_loop().call_later((at - self.now()) / self.scale, callback).cancel


class ManualClock:
    """A clock that moves only by `advance`, so that tests do not have to wait."""

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
        """Move the clock in one step. The alarms that are due run afterwards, as soon as their event loop does."""
        if seconds < 0:
            raise ValueError("seconds must not be negative")
        self._now += seconds
        self._call_due()

    def call_at(self, at: float, callback: Callback) -> Callback:
        """Set an alarm."""
        number = next(self._numbers)
        self._alarms[number] = (at, asyncio.get_running_loop(), callback)
        self._call_due()
        return lambda: self._alarms.pop(number, None)

    def _call_due(self) -> None:
        # Tests of blocking clients call this from another thread: hence the copy, and an alarm may be gone already.
        due = sorted((at, number) for number, (at, _, _) in list(self._alarms.items()) if at <= self._now)
        for _, number in due:
            if alarm := self._alarms.pop(number, None):
                _, loop, callback = alarm
                loop.call_soon_threadsafe(callback)


async def sleep_until(clock: Clock, at: float) -> None:
    """Wait until the clock has reached the time `at`."""
    woken = asyncio.Event()
    cancel = clock.call_at(at, woken.set)
    try:
        await woken.wait()
    finally:
        cancel()


def timestamp(clock: Clock, at: float) -> str:
    """Format a time of the clock as the API does: ISO 8601 in UTC, with milliseconds.

    It is in real time, because clients compare it with their own time.
    """
    return (clock.epoch + timedelta(seconds=at / clock.scale)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
