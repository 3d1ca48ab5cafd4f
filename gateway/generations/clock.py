"""The clock of a real process, ids that sort by creation, and jitter."""

import asyncio
import os
import random
import struct
import time
from collections.abc import Callable, Iterator

from gateway.generations.model import Moment
from gateway.generations.ports import Clock

AFTER = 0.001
DISAGREEMENT = 60.0
SETTLED = 900.0
"""Seconds after which clocks that had jumped apart, and have run evenly since, count as agreed again."""

_awake_or_not = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def since_boot() -> float:
    """The machine's even clock; where there is one that goes on while the machine is suspended, that."""
    return time.clock_gettime(_awake_or_not)


class SystemClock:
    """The steady time is the wall clock of the start plus what the monotonic clock has measured since.

    So a jump of the wall clock changes no age. `not_before` is the latest steady time an earlier process has stored:
    the steady time goes on from there where the wall clock was set back in between. `wall` and `monotonic` read the
    machine's two clocks.
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
        # Later than all that is stored, so that what this process stores can be told from it.
        self._offset = max(wall(), not_before + AFTER) - monotonic()
        self._apart, self._apart_since = 0.0, 0.0

    def moment(self) -> Moment:
        """Now, by both clocks."""
        return Moment(self._monotonic() + self._offset, self._wall())

    def agrees(self) -> bool:
        """Whether wall and steady time are less than a minute apart, or have been as far apart for a while.

        The wall clock has been put right then, or wrong for good: what is reckoned by the steady one goes on.
        """
        now = self.moment()
        apart = now.wall - now.steady
        if abs(apart - self._apart) >= DISAGREEMENT:
            self._apart, self._apart_since = apart, now.steady
        return abs(self._apart) < DISAGREEMENT or now.steady - self._apart_since >= SETTLED

    async def wait(self, signal: "asyncio.Future[None]", seconds: float | None) -> None:
        """Return when the signal is given, or after so many seconds."""
        if seconds is None:
            await signal
            return
        timer = asyncio.get_running_loop().call_later(max(seconds, 0.0), give, signal)
        try:
            await signal
        finally:
            timer.cancel()


class Patience:
    """Waits for one signal after the other, each for the same time; `end` it when there is none to come.

    A watcher waits again after every change. One timer serves all its waits, and is only looked at when it rings:
    setting and canceling one for each wait would cost more than the wait.
    """

    __slots__ = ("_loop", "_seconds", "_signal", "_timer", "_until")

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._until = 0.0
        self._signal: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self, signal: "asyncio.Future[None]") -> None:
        """Return when the signal is given, or when the time is over."""
        self._signal = signal
        self._until = self._loop.time() + self._seconds
        if self._timer is None:
            self._timer = self._loop.call_at(self._until, self._rings)
        await signal

    def end(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _rings(self) -> None:
        self._timer = None
        if self._signal is None or self._signal.done():
            return
        if self._loop.time() < self._until:
            self._timer = self._loop.call_at(self._until, self._rings)
        else:
            give(self._signal)


def give(signal: "asyncio.Future[None]") -> None:
    """Give a signal, once."""
    if not signal.done():
        signal.set_result(None)


class Ids:
    """UUIDv7: sortable by creation, in this process also when the wall clock steps back."""

    def __init__(self) -> None:
        self._last = 0
        self._random: Iterator[tuple[int]] = iter(())

    def next(self, wall: float) -> str:
        """The next id: 48 bits of milliseconds, 12 of fractions (or counting on), 62 random."""
        ticks = int(wall * 4_096_000)  # a millisecond in 4096 parts
        self._last = max(ticks, self._last + 1)
        milliseconds, part = divmod(self._last, 4096)
        bits = (milliseconds << 80) | (7 << 76) | (part << 64) | (2 << 62)
        text = f"{bits | (self._random_bits() >> 2):032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def _random_bits(self) -> int:
        """64 bits. The system is asked for many at once: whenever it is, another thread may take the interpreter."""
        drawn = next(self._random, None)
        if drawn is None:
            self._random = struct.iter_unpack("Q", os.urandom(8 * 512))
            drawn = next(self._random)
        return drawn[0]


def jittered(seconds: float, spread: float = 0.1) -> float:
    """So many seconds, give or take, so that what began together does not go on together."""
    return seconds * random.uniform(1 - spread, 1 + spread)


def spread(seconds: float) -> float:
    """Return at least so many seconds, and up to half as many more, so that repeats after an outage are spread."""
    return seconds * random.uniform(1.0, 1.5)


async def rest(clock: Clock, seconds: float) -> None:
    """Return after so many seconds of that clock."""
    await clock.wait(asyncio.get_running_loop().create_future(), seconds)
