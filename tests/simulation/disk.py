"""The simulated disk: the store's SQL runs on a real file, but commits take simulated time and can fail or hang."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from gateway.generations.clock import SystemClock
from gateway.generations.stores import Saved, UnknownCommitError
from gateway.store import restore
from gateway.store.sqlite import files, mark
from gateway.store.sqlite.restore import declare_restored
from gateway.store.sqlite.writer import Result, Write, Writer
from tests.simulation.world import World

FULL = "database or disk is full"
READ_ONLY = "attempt to write a readonly database"
IO_ERROR = "disk I/O error"
HANGS = "hangs"


class Disk:
    """The disk of the simulated machine, with the store's file, and a copy of it that can be restored."""

    def __init__(self, world: World, folder: Path, template: Path) -> None:
        self.world = world
        self.path = folder / "store.db"
        self._copy = folder / "copy"
        shutil.copyfile(template, self.path)
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            known = files.store_state(connection)
        mark.create(self.path, known.epoch, known.commits)
        self.state = ""
        """Empty while the disk works; otherwise FULL, READ_ONLY or HANGS."""
        self.hanging_since: float | None = None
        """The true time at which the first commit began to hang; None if none hangs."""
        self.commit_time = 0.001
        """Seconds. A commit takes between a third of this time and ten times as long."""
        self.commit_failure = 0.0
        """The probability that a commit fails as on a full disk."""
        self.io_error = 0.0
        """The probability of an I/O error during a commit, which may or may not be on disk afterwards."""
        self.lost_answers = 0.0
        """The probability that the answer to a write is lost, as on a connection to a server: it is stored or not."""
        self.announce_within = 0.0
        """Seconds from a commit until its process knows of it, at most."""
        self.commit_attempts: deque[float] = deque(maxlen=4000)
        """The true times of the newest commits that were attempted."""
        self.copied_at: float | None = None
        """The true time at which the copy was made; None if there is none."""
        self.on_commit: Callable[[], None] = lambda: None
        """Called before each commit."""
        self.in_commit: Callable[[sqlite3.Connection], None] = lambda connection: None
        """Called before each commit that is stored, with the connection inside the transaction."""
        self._hanging: list[asyncio.Future[None]] = []
        self._open_resources: list[Any] = []

    def set_state(self, state: str) -> None:
        """Set the state. When the disk stops hanging, the commits that hung continue."""
        if state == self.state:
            return
        self.world.record("disk", state or "works")
        self.state = state
        if state != HANGS:
            self.hanging_since = None
            hanging, self._hanging = self._hanging, []
            for signal in hanging:
                if not signal.done():
                    signal.set_result(None)

    def writer(
        self,
        connection: sqlite3.Connection,
        listener: Callable[[Sequence[Saved]], None],
        broken: Callable[[Exception], None],
    ) -> Writer:
        """Return a writer for the store whose commits use this disk. The parameters are those of `WriterFrom`."""
        self._open_resources.append(connection)
        store = getattr(listener, "__self__", None)  # the store, which has a reader and a lock
        self._open_resources += [
            one for name in ("_reader", "_lock") if (one := getattr(store, name, None)) is not None
        ]
        return _Writer(self, _Connection(connection, self), listener, broken)  # type: ignore[arg-type]

    def release(self) -> None:
        """Close the connections and the lock of a process that has ended. Open transactions are rolled back."""
        for one in self._open_resources:
            one.close()
        self._open_resources.clear()
        self._hanging.clear()
        self.hanging_since = None

    def make_copy(self) -> None:
        """Copy the store in its present state. The copy replaces an earlier one."""
        self._copy.unlink(missing_ok=True)
        source, target = sqlite3.connect(self.path), sqlite3.connect(self._copy)
        try:
            source.backup(target)
        finally:
            source.close()
            target.close()
        self.copied_at = self.world.now
        self.world.record("copied the store")

    def restore(self) -> None:
        """Replace the store with the copy. Only possible while no process is running."""
        for tail in ("", "-wal", "-shm"):
            Path(f"{self.path}{tail}").unlink(missing_ok=True)
        shutil.copyfile(self._copy, self.path)
        self.world.record("restored the copy made at", self.copied_at)

    def declare_restored(self) -> None:
        """Declare the store restored, as an operator does with `hfgateway migrate --restored`."""
        world = self.world

        def clock(newest: float) -> SystemClock:
            return SystemClock(newest, wall=world.wall, monotonic=world.steady)

        with mock.patch.object(restore, "SystemClock", clock):
            # The command runs its own event loop, which needs a thread. The simulation waits for it.
            thread = threading.Thread(target=lambda: asyncio.run(declare_restored(self.path)))
            thread.start()
            thread.join()
        world.record("declared restored")

    async def wait_for_commit(self, *, delays_writes: bool) -> None:
        """Wait for the duration of a commit, and before that until the disk no longer hangs.

        `delays_writes` is False for the sync of the mark, for which no caller waits.
        """
        while self.state == HANGS:
            if delays_writes:
                self.hanging_since = self.hanging_since or self.world.now
            signal = asyncio.get_running_loop().create_future()
            self._hanging.append(signal)
            await signal
        await self.world.sleep(self.world.log_uniform(self.commit_time / 3, self.commit_time * 10))


class _Writer(Writer):
    """The store's writer behind a connection that may break, so that the outcome of a write remains unknown."""

    def __init__(self, disk: Disk, connection: Any, listener: Any, broken: Any) -> None:
        super().__init__(connection, listener, broken, lambda: _Worker(disk))
        self._disk = disk
        self._late: set[asyncio.Task[None]] = set()
        """The writes that will be stored later."""

    def _deliver(self, results: Sequence[Result]) -> None:
        if self._disk.announce_within:
            seconds = self._disk.world.rng.random() * self._disk.announce_within
            asyncio.get_running_loop().call_later(seconds, self._finished, results)
        else:
            super()._deliver(results)

    def write(self, step: str | None, write: Write, *, brief: bool = False) -> asyncio.Future[Any]:
        world = self._disk.world
        if step is None and self._late:
            return asyncio.get_running_loop().create_task(self._write_after_late_ones(write))
        if step is None or not world.draw_fault(self._disk.lost_answers):
            return super().write(step, write, brief=brief)
        # Only brief writes are stored late: all of them are conditional on a key or a version.
        fate = world.rng.choice(("stored", "not stored", "stored later") if brief else ("stored", "not stored"))
        world.record(f"lost the answer to {step},", fate)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        task = asyncio.get_running_loop().create_task(self._lose(answer, step, write, brief, fate))
        if fate == "stored later":
            self._late.add(task)
            task.add_done_callback(self._late.discard)
        return answer

    async def _write_after_late_ones(self, write: Write) -> Any:
        """Wait as `ChangeLog.announced` must: until no earlier write has an unknown outcome."""
        await asyncio.wait([*self._late])
        return await super().write(None, write)

    async def _lose(self, answer: asyncio.Future[Any], step: str, write: Write, brief: bool, fate: str) -> None:
        world = self._disk.world
        if fate == "stored":
            with contextlib.suppress(Exception):
                await super().write(step, write, brief=brief)
        await world.sleep(world.log_uniform(0.001, 1.0))
        if not answer.done():
            answer.set_exception(UnknownCommitError("the answer was lost"))
            answer.exception()  # the caller may have ended, and not retrieve it
        if fate == "stored later":
            await world.sleep(world.log_uniform(0.001, 5.0))
            with contextlib.suppress(Exception):
                await super().write(step, write, brief=brief)


class _Worker:
    """Runs the writer's jobs in a task on the simulated loop. In production they run in a thread."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._queue: deque[Callable[[], None]] = deque()
        self._task: asyncio.Task[None] | None = None

    def run(self, work: Callable[[], None]) -> None:
        self._queue.append(work)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run_queue())

    async def close(self) -> None:
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _run_queue(self) -> None:
        try:
            while self._queue:
                function = getattr(self._queue[0], "__func__", None)
                await self._disk.wait_for_commit(delays_writes=function is not Writer._sync_mark)
                self._queue.popleft()()
        finally:
            self._task = None


class _Connection:
    """The connection that the store writes with. It adds the faults of the disk to `BEGIN` and `COMMIT`."""

    def __init__(self, connection: sqlite3.Connection, disk: Disk) -> None:
        self._real = connection
        self._disk = disk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql == "COMMIT":
            return self._commit()
        if sql == "BEGIN IMMEDIATE" and self._disk.state == READ_ONLY:
            self._disk.commit_attempts.append(self._disk.world.now)
            raise sqlite3.OperationalError(READ_ONLY)
        return self._real.execute(sql, *values)

    def _commit(self) -> sqlite3.Cursor:
        disk, world = self._disk, self._disk.world
        disk.commit_attempts.append(world.now)
        disk.on_commit()
        if disk.state == FULL:
            raise sqlite3.OperationalError(FULL)
        if world.draw_fault(disk.commit_failure):
            world.record("commit failed")
            raise sqlite3.OperationalError(FULL)
        if world.draw_fault(disk.io_error):
            stored = world.rng.random() < 0.5
            world.record("I/O error during a commit,", "stored" if stored else "not stored")
            if stored:
                disk.in_commit(self._real)
                self._real.execute("COMMIT")
            raise sqlite3.OperationalError(IO_ERROR)
        disk.in_commit(self._real)
        return self._real.execute("COMMIT")
