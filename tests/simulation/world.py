"""What everything in one run shares: the seed's choices, the true time, the machine's calendar, the trace."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import random
from collections.abc import Iterator
from contextvars import Context, copy_context
from typing import Any
from unittest import mock

from gateway import core
from gateway.generations import timeline
from gateway.generations.ports import StoreError
from tests.simulation.loop import LIFE, SimulatedLoop

SECOND, MINUTE, HOUR, DAY = 1.0, 60.0, 3600.0, 86_400.0


class World:
    """One run's time, chance and memory. `faults` says whether anything may go wrong still."""

    def __init__(self, seed: int, loop: SimulatedLoop, *, keep_trace: bool = False) -> None:
        self.seed = seed
        self.loop = loop
        self.chance = random.Random(seed)
        self.faults = True
        self.skew = 0.0
        """What the machine's calendar is ahead of the true time."""
        self.trace: list[str] = []
        self._keep_trace = keep_trace
        self._hash = hashlib.blake2b(digest_size=8)
        self.logged: list[str] = []
        self._outside: Context = copy_context()

    @property
    def now(self) -> float:
        """The true time."""
        return self.loop.now

    def wall(self) -> float:
        """The machine's calendar."""
        return self.loop.now + self.skew

    def even(self) -> float:
        """The machine's even clock."""
        return self.loop.now - 1_000_000_000.0

    def tell(self, what: str, *about: object) -> None:
        """Add a line to the trace."""
        line = f"{self.loop.now:.6f} {what} {' '.join(map(str, about))}"
        self._hash.update(line.encode())
        if self._keep_trace:
            self.trace.append(line)

    def fingerprint(self) -> str:
        """Return a hash of the trace: equal runs have equal ones."""
        return self._hash.hexdigest()

    def might(self, probability: float) -> bool:
        """Whether something of that probability happens now; nothing does once faults have stopped."""
        return self.faults and probability > 0 and self.chance.random() < probability

    def between(self, least: float, most: float) -> float:
        """A time between, each order of magnitude as likely as the next."""
        return float(least * (most / least) ** self.chance.random())

    def outside(self, work: Any) -> asyncio.Task[Any]:
        """Run it as a task that no process owns."""
        return self._outside.copy().run(self.loop.create_task, work)

    async def sleep(self, seconds: float) -> None:
        """Wait until so many seconds of simulated time have passed; no real time passes."""
        await asyncio.sleep(seconds)

    def later(self, seconds: float, call: Any, *arguments: Any) -> None:
        """Call it after so many seconds, even if the process that planned it has ended."""
        self.loop.call_later(seconds, call, *arguments, context=self._outside)


class _ErrorLog(logging.Handler):
    """Keeps what the gateway logs as its own error."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self.world = world

    def emit(self, record: logging.LogRecord) -> None:
        life = LIFE.get()
        if life is not None and life.dead:
            return
        self.world.tell("log", record.getMessage())
        if record.exc_info is not None and not isinstance(record.exc_info[1], StoreError | None):
            error = record.exc_info[1]
            self.world.logged.append(f"{record.getMessage()}: {type(error).__name__}: {error}")


@contextlib.contextmanager
def taken_over(world: World, rhythm: float) -> Iterator[None]:
    """Have everything that would come from the machine come from the seed, and read the world's calendar.

    `rhythm`: seconds between looks that only wait for news, which would cost more than all the rest over days.
    """
    chance = random.Random(world.seed ^ 0x5EED)
    before = random.getstate()
    random.seed(world.seed)
    logger = logging.getLogger("gateway")
    errors, level, propagate = _ErrorLog(world), logger.level, logger.propagate
    logger.addHandler(errors)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    calendar = mock.Mock(spec=["time", "perf_counter"], time=world.wall, perf_counter=world.even)
    try:
        with contextlib.ExitStack() as stack:
            patches: list[tuple[Any, str, Any]] = [
                (os, "urandom", chance.randbytes),
                (random, "_urandom", chance.randbytes),
                (timeline, "FLUSH_EVERY", rhythm),
                (core, "HEAL_EVERY", rhythm),
            ]
            for module in _calendars():
                patches.append((module, "time", calendar))
            for target, name, value in patches:
                stack.enter_context(mock.patch.object(target, name, value))
            yield
    finally:
        logger.removeHandler(errors)
        logger.setLevel(level)
        logger.propagate = propagate
        random.setstate(before)


def _calendars() -> list[Any]:
    """The modules that read the calendar themselves."""
    from gateway.higgsfield import client, errors
    from gateway.web import webhook

    return [module for module in (client, errors, webhook) if hasattr(module, "time")]
