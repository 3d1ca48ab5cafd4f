"""The state that all parts of one run share: random numbers, the true time, the wall clock and the trace."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context, copy_context
from types import SimpleNamespace
from typing import Any
from unittest import mock

from gateway.generations import timeline
from gateway.generations.stores import UnconfirmedError
from gateway.process import core
from tests.simulation.loop import CURRENT_PROCESS, SimulatedLoop

SECOND, MINUTE, HOUR, DAY = 1.0, 60.0, 3600.0, 86_400.0


class World:
    """The random numbers, clocks and trace of one run. The same seed gives the same run."""

    def __init__(self, seed: int, loop: SimulatedLoop, *, keep_trace: bool = False) -> None:
        self.seed = seed
        self.loop = loop
        self.rng = random.Random(seed)
        self.faults_enabled = True
        """Whether faults still occur. Cleared for the last part of a run."""
        self.wall_skew = 0.0
        """Seconds by which the wall clock is ahead of the true time; negative if it is behind."""
        self.trace: list[str] = []
        """The recorded lines; empty without `keep_trace`."""
        self._keep_trace = keep_trace
        self._hash = hashlib.blake2b(digest_size=8)
        self.defects: list[str] = []
        """Internal defects of the gateway: unexpected exceptions that it logged or let escape."""
        self._no_process: Context = copy_context()

    @property
    def now(self) -> float:
        """The true time, in seconds since the Unix epoch."""
        return self.loop.now

    def wall(self) -> float:
        """Return the wall clock of the simulated machine, in seconds since the Unix epoch."""
        process = CURRENT_PROCESS.get()
        own = None if process is None else process.wall_skew
        return self.loop.now + (self.wall_skew if own is None else own)

    def steady(self) -> float:
        """Return the steady (monotonic) clock of the simulated machine, in seconds."""
        return self.loop.now - 1_000_000_000.0

    def record(self, what: str, *about: object) -> None:
        """Add a line with the true time to the trace, and so to the fingerprint."""
        line = f"{self.loop.now:.6f} {what} {' '.join(map(str, about))}"
        self._hash.update(line.encode())
        if self._keep_trace:
            self.trace.append(line)

    def fingerprint(self) -> str:
        """Return a hash of the whole trace, with which two runs can be compared."""
        return self._hash.hexdigest()

    def draw_fault(self, probability: float) -> bool:
        """Return whether a fault of this probability occurs now.

        Always False after faults have stopped. No random number is drawn then, nor for a probability of 0.
        """
        return self.faults_enabled and probability > 0 and self.rng.random() < probability

    def log_uniform(self, least: float, most: float) -> float:
        """Return a random number between `least` and `most` from a log-uniform distribution."""
        return float(least * (most / least) ** self.rng.random())

    def spawn(self, work: Any) -> asyncio.Task[Any]:
        """Start a task that belongs to no process, so that no crash ends it."""
        return self._no_process.copy().run(self.loop.create_task, work)

    async def sleep(self, seconds: float) -> None:
        """Wait for this many seconds of simulated time."""
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, call: Any, *arguments: Any) -> None:
        """Call a function after this many seconds, even if the process that set the timer has ended by then."""
        self.loop.call_later(seconds, call, *arguments, context=self._no_process)


class _ErrorLogHandler(logging.Handler):
    """Records errors that the gateway logs. One with an exception other than UnconfirmedError is a defect."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self.world = world

    def emit(self, record: logging.LogRecord) -> None:
        process = CURRENT_PROCESS.get()
        if process is not None and process.dead:
            return
        self.world.record("log", record.getMessage())
        if record.exc_info is not None and not isinstance(record.exc_info[1], UnconfirmedError | None):
            error = record.exc_info[1]
            self.world.defects.append(f"{record.getMessage()}: {type(error).__name__}: {error}")


@contextlib.contextmanager
def simulated_environment(world: World, check_interval: float, more: Sequence[Any] = ()) -> Iterator[None]:
    """Replace the machine's random numbers and clocks with those of the world, and record errors of the gateway.

    `check_interval` is the time in seconds between two writes of buffered timeline records, and between two checks of a
    failed store. The real intervals are so short that they would take most of the steps of a run that simulates days.
    `more` are further modules that read clocks.
    """
    rng = random.Random(world.seed ^ 0x5EED)
    random_state = random.getstate()
    random.seed(world.seed)
    logger = logging.getLogger("gateway")
    errors, level, propagate = _ErrorLogHandler(world), logger.level, logger.propagate
    logger.addHandler(errors)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    clock = SimpleNamespace(time=world.wall, perf_counter=world.steady, monotonic=world.steady)
    try:
        with contextlib.ExitStack() as stack:
            patches: list[tuple[Any, str, Any]] = [
                (os, "urandom", rng.randbytes),
                (random, "_urandom", rng.randbytes),
                (timeline, "FLUSH_INTERVAL", check_interval),
                (core, "HEAL_INTERVAL", check_interval),
                (asyncio, "to_thread", _in_no_thread),
            ]
            for module in (*_modules_with_clocks(), *more):
                name, fake = ("time", clock) if hasattr(module, "time") else ("since_boot", world.steady)
                patches.append((module, name, fake))
            for target, name, value in patches:
                stack.enter_context(mock.patch.object(target, name, value))
            yield
    finally:
        logger.removeHandler(errors)
        logger.setLevel(level)
        logger.propagate = propagate
        random.setstate(random_state)


async def _in_no_thread(work: Callable[..., Any], *values: Any) -> Any:
    return work(*values)


def _modules_with_clocks() -> list[Any]:
    """Return the modules of the gateway that read clocks directly, through `time`."""
    from gateway.higgsfield import client, errors
    from gateway.web import webhook

    return [module for module in (client, errors, webhook) if hasattr(module, "time")]
