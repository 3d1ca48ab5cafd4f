"""The clock of a real process, ids that sort by creation, and jitter."""

import asyncio
import os
import random
import struct
import time
from collections.abc import Callable, Iterator
from functools import partial

from gateway.concurrency import Signal, set_signal
from gateway.generations.model import Moment, Steady, Wall
from gateway.generations.ports import Clock

MIN_ADVANCE = 0.001
"""Seconds from the latest stored time to the steady time at the start of a process."""
DISAGREEMENT = 60.0
"""Seconds of difference from which two clocks disagree."""
SETTLED_AFTER = 900.0
"""Seconds after a jump of the wall clock after which the two clocks count as agreeing again."""

since_boot: Callable[[], float] = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
"""The machine's monotonic clock; if available, one that continues while the machine is suspended."""


class SystemClock:
    """Steady time is the wall clock at the start plus the monotonic time since then.

    A jump of the wall clock therefore changes no age. `not_before` is the latest steady time that an earlier process
    stored. If the wall clock was set back between the two processes, steady time continues from there.
    """

    def __init__(
        self,
        not_before: float = 0.0,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = since_boot,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        # Later than `not_before`, so that times of this process can be distinguished from earlier ones.
        self._offset = max(wall(), not_before + MIN_ADVANCE) - monotonic()
        self._apart, self._apart_since = 0.0, 0.0

    def moment(self) -> Moment:
        """Now, by both clocks."""
        return Moment(Steady(self._monotonic() + self._offset), Wall(self._wall()))

    def agrees(self) -> bool:
        """Return whether wall and steady time differ by less than a minute, or by the same for SETTLED_AFTER seconds.

        In the second case the wall clock was corrected, or is permanently wrong; ages by steady time remain valid.
        """
        now = self.moment()
        apart = now.wall - now.steady
        if abs(apart - self._apart) >= DISAGREEMENT:
            self._apart, self._apart_since = apart, now.steady
        return abs(self._apart) < DISAGREEMENT or now.steady - self._apart_since >= SETTLED_AFTER

    async def wait(self, signal: Signal, seconds: float | None) -> None:
        """Return when the signal is given, or after `seconds`; None waits for the signal only."""
        if seconds is None:
            await signal
            return
        timer = asyncio.get_running_loop().call_later(max(seconds, 0.0), set_signal, signal)
        try:
            await signal
        finally:
            timer.cancel()


class WaitTimer:
    """Waits for one signal after another, each with the same timeout. Call `end` after the last one.

    A watcher waits again after every change. One timer serves all its waits and is only examined when it fires, because
    a timer per wait would cost more than the wait itself.
    """

    __slots__ = ("_loop", "_seconds", "_signal", "_timer", "_until")

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._until = 0.0
        self._signal: Signal | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self, signal: Signal) -> None:
        """Return when the signal is given, or after the timeout."""
        self._signal = signal
        self._until = self._loop.time() + self._seconds
        if self._timer is None:
            self._timer = self._loop.call_at(self._until, self._timer_fired)
        await signal

    def end(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _timer_fired(self) -> None:
        self._timer = None
        if self._signal is None or self._signal.done():
            return
        if self._loop.time() < self._until:
            self._timer = self._loop.call_at(self._until, self._timer_fired)
        else:
            set_signal(self._signal)


class Ids:
    """Makes UUIDv7 ids, which sort by creation time, within a process even when the wall clock steps back."""

    def __init__(self) -> None:
        self._last = 0
        self._random: Iterator[tuple[int]] = iter(())

    def next(self, wall: Wall) -> str:
        """Return a new id: 48 bits of milliseconds, 12 bits of fractions or a counter, 62 random bits."""
        ticks = int(wall * 4_096_000)  # 4,096 per millisecond
        self._last = max(ticks, self._last + 1)
        milliseconds, part = divmod(self._last, 4096)
        bits = (milliseconds << 80) | (7 << 76) | (part << 64) | (2 << 62)
        text = f"{bits | (self._random_bits() >> 2):032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def _random_bits(self) -> int:
        """Return 64 random bits. Many are read at once, because each system call may switch to another thread."""
        drawn = next(self._random, None)
        if drawn is None:
            self._random = struct.iter_unpack("Q", os.urandom(8 * 512))
            drawn = next(self._random)
        return drawn[0]


def oldest_id(wall: Wall) -> str:
    """Return a text that sorts before the ids of `Ids` for that time and later ones."""
    text = f"{max(int(wall * 1000) - 1, 0):012x}"  # times are rounded when they are stored
    return f"{text[:8]}-{text[8:]}"


def jittered(seconds: float, spread: float = 0.1) -> float:
    """Return `seconds` with a random deviation of at most the share `spread`, so that retries do not synchronise."""
    return seconds * random.uniform(1 - spread, 1 + spread)


def spread(seconds: float) -> float:
    """Return `seconds` plus up to half as much, at random, so that repeats after an outage are spread."""
    return seconds * random.uniform(1.0, 1.5)


async def sleep(clock: Clock, seconds: float) -> None:
    """Sleep for that number of seconds on the given clock."""
    await clock.wait(asyncio.get_running_loop().create_future(), seconds)
