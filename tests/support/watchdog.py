"""Ends a stuck test process, after a dump of its tasks, threads and child processes.

An exception raised in the test would not end every test: a task or a callback may swallow it, and a fixture may wait
indefinitely during its teardown. The watchdog ends the process instead. pytest-xdist reports its test as failed and
starts another worker. See docs/decisions/0022-tests-run-in-parallel.md."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import inspect
import math
import os
import signal
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

TEST_TIMEOUT = 300.0
"""Seconds for a test with its fixtures. `@pytest.mark.timeout(seconds)` sets another timeout."""
MAX_TIMEOUT = 1200.0
"""Seconds within which a worker must begin or end a test. No `timeout` mark may be longer."""
REARM_INTERVAL = 1.0
"""The least seconds between restarts of the limit by reports of workers, because each restart makes a thread."""
GRACE_PERIOD = 15.0
"""Seconds after a limit until faulthandler's thread ends the process, even if C code blocks the interpreter."""
EXIT_CODE = 70


class Watchdog:
    """Limits the time of each test in this process. In the process that controls workers, limits their silence."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._is_worker = hasattr(config, "workerinput")
        self._is_controller = not self._is_worker and bool(config.getoption("numprocesses", None))
        # A copy of the real stderr, because pytest redirects descriptor 2 during a test.
        self._stderr = os.dup(2)
        self._timeout_message = ""
        self._rearmed = -math.inf
        self._arm("the start of the run", MAX_TIMEOUT if self._is_controller else TEST_TIMEOUT)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        if not self._is_controller:
            self._disarm()  # a worker without tests waits until the last tests of the others have ended

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        mark = item.get_closest_marker("timeout")
        self._arm(item.nodeid, float(mark.args[0]) if mark else TEST_TIMEOUT)
        try:
            return (yield)
        finally:
            self._disarm()

    @pytest.hookimpl(trylast=True)
    def pytest_exception_interact(self) -> None:
        # pytest cancels faulthandler's timer here, because a debugger may follow. A stuck teardown may follow too.
        if self._timeout_message:
            self._arm_faulthandler(TEST_TIMEOUT)

    def pytest_enter_pdb(self) -> None:
        self._disarm()

    def pytest_runtest_logstart(self) -> None:
        self._rearm_for_workers()

    def pytest_runtest_logreport(self) -> None:
        self._rearm_for_workers()

    def _rearm_for_workers(self) -> None:
        if self._is_controller and (now := time.monotonic()) > self._rearmed + REARM_INTERVAL:
            self._rearmed = now
            self._arm("the workers: none of them begins or ends a test", MAX_TIMEOUT)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        if not self._is_worker:  # a worker without tests left waits until the others have finished
            self._arm("the end of the process", TEST_TIMEOUT)

    def _arm(self, what: str, seconds: float) -> None:
        self._timeout_message = f"{what}: stuck for {seconds:.0f} s"
        signal.signal(signal.SIGALRM, self._end_process)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        self._arm_faulthandler(seconds)

    def _arm_faulthandler(self, seconds: float) -> None:
        faulthandler.dump_traceback_later(seconds + GRACE_PERIOD, exit=True, file=self._stderr)

    def _disarm(self) -> None:
        self._timeout_message = ""
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()

    def _end_process(self, *_: object) -> None:
        """Write the dump, kill the child processes, and exit without any clean-up that could block."""
        try:
            with contextlib.suppress(Exception):  # a worker has no terminal; the signal may have interrupted a write
                self._config.get_terminal_writer().flush()
            self._write(f"\n\n{'+' * 20} {self._timeout_message}\n")
            children = sorted(descendants(os.getpid()))
            for line in (*tasks(), *(f"process {child}: {command(child)}" for child in children)):
                self._write(line + "\n")
            self._write("threads:\n")
            faulthandler.dump_traceback(self._stderr)
            self._write(f"{'+' * 20} FAILED {self._timeout_message}\n")
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        finally:
            os._exit(EXIT_CODE)

    def _write(self, text: str) -> None:
        os.write(self._stderr, text.encode(errors="replace"))


def tasks() -> Iterator[str]:
    """Describe each pending asyncio task: its stack, outermost frame first, and the future it waits for."""
    for one in gc.get_objects():
        if issubclass(type(one), asyncio.Task) and not one.done():
            yield f"task {one.get_name()}:"
            yield from _places(one.get_coro())
            yield f"    for {getattr(one, '_fut_waiter', None)!r}"


def _places(awaited: Any) -> Iterator[str]:
    while awaited is not None:
        for prefix in ("cr", "gi", "ag"):
            if (frame := getattr(awaited, f"{prefix}_frame", None)) is not None:
                yield f"    {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
        awaited = _awaited_by(awaited)


def _awaited_by(one: Any) -> Any:
    for name in ("cr_await", "gi_yieldfrom", "ag_await"):
        if hasattr(one, name):
            return getattr(one, name)
    # A step of an asynchronous generator has no attribute for its generator, but references it.
    return next((found for found in gc.get_referents(one) if inspect.isasyncgen(found)), None)


def descendants(pid: int) -> Iterator[int]:
    """Yield the process IDs of all descendants. Yields none if the system has no /proc."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # the process has ended
            # The name in parentheses may contain spaces and parentheses. The state and the parent's ID follow it.
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
        yield from more


def command(pid: int) -> str:
    """Return the command line of a process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return "gone"
