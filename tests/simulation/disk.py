"""The machine's disk: real SQL on a real file, but each commit takes simulated time and ends as the weather wants."""

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
from gateway.generations.ports import Saved
from gateway.store import files, mark, restore
from gateway.store.writer import Writer
from tests.simulation.world import World

FULL = "database or disk is full"
READ_ONLY = "attempt to write a readonly database"
BROKEN = "disk I/O error"


class Disk:
    """`state`: "" while it works, FULL, READ_ONLY, or "hangs". `attempts` are the times of commits that were tried."""

    def __init__(self, world: World, folder: Path, template: Path) -> None:
        self.world = world
        self.path = folder / "store.db"
        self._copy = folder / "copy"
        shutil.copyfile(template, self.path)
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            known = files.known(connection)
        mark.create(self.path, known.epoch, known.commits)
        self.state = ""
        self.silent_since: float | None = None
        """Since when a commit hangs."""
        self.slowness = 0.001
        self.fails = self.breaks = 0.0
        """Probabilities that a commit fails, and that the disk breaks under it."""
        self.attempts: deque[float] = deque(maxlen=4000)
        self.copied_at: float | None = None
        self.on_commit: Callable[[], None] = lambda: None
        self._hanging: list[asyncio.Future[None]] = []
        self._open: list[Any] = []

    def become(self, state: str) -> None:
        """Change what it does from now on; what hung goes on."""
        if state == self.state:
            return
        self.world.tell("disk", state or "works")
        self.state = state
        if state != "hangs":
            self.silent_since = None
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
        """A writer on this disk."""
        self._open.append(connection)
        store = getattr(listener, "__self__", None)  # the store, which has a reader and a lock
        self._open += [one for name in ("_reader", "_lock") if (one := getattr(store, name, None)) is not None]
        return Writer(_Connection(connection, self), listener, broken, lambda: _Worker(self))  # type: ignore[arg-type]

    def let_go(self) -> None:
        """The process has ended: what it had open is closed, and what it had not committed never was."""
        for one in self._open:
            one.close()
        self._open.clear()
        self._hanging.clear()
        self.silent_since = None

    def back_up(self) -> None:
        """Copy the store as it is now."""
        self._copy.unlink(missing_ok=True)
        source, target = sqlite3.connect(self.path), sqlite3.connect(self._copy)
        try:
            source.backup(target)
        finally:
            source.close()
            target.close()
        self.copied_at = self.world.now
        self.world.tell("backup")

    def restore(self) -> None:
        """Put the copy in the place of the store; no process is running."""
        for tail in ("", "-wal", "-shm"):
            Path(f"{self.path}{tail}").unlink(missing_ok=True)
        shutil.copyfile(self._copy, self.path)
        self.world.tell("restored the backup of", self.copied_at)

    def declare_restored(self) -> None:
        """What the operator does then: `hfgateway migrate --restored`."""
        world = self.world

        def clock(newest: float) -> SystemClock:
            return SystemClock(newest, wall=world.wall, monotonic=world.even)

        with mock.patch.object(restore, "SystemClock", clock):
            # Another process with another loop; nothing else runs until it has ended.
            thread = threading.Thread(target=lambda: asyncio.run(restore.restored(self.path)))
            thread.start()
            thread.join()
        world.tell("declared restored")

    async def turn(self) -> None:
        """Wait as long as the disk takes for a commit."""
        while self.state == "hangs":
            self.silent_since = self.silent_since or self.world.now
            signal = asyncio.get_running_loop().create_future()
            self._hanging.append(signal)
            await signal
        await self.world.sleep(self.world.between(self.slowness / 3, self.slowness * 10))


class _Worker:
    """The writer's thread, on the loop."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._work: deque[Callable[[], None]] = deque()
        self._task: asyncio.Task[None] | None = None

    def run(self, work: Callable[[], None]) -> None:
        self._work.append(work)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._go_on())

    async def close(self) -> None:
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _go_on(self) -> None:
        try:
            while self._work:
                await self._disk.turn()
                self._work.popleft()()
        finally:
            self._task = None


class _Connection:
    """The writing connection, on a disk with faults."""

    def __init__(self, connection: sqlite3.Connection, disk: Disk) -> None:
        self._real = connection
        self._disk = disk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql == "COMMIT":
            return self._commit()
        if sql == "BEGIN IMMEDIATE" and self._disk.state == READ_ONLY:
            self._disk.attempts.append(self._disk.world.now)
            raise sqlite3.OperationalError(READ_ONLY)
        return self._real.execute(sql, *values)

    def _commit(self) -> sqlite3.Cursor:
        disk, world = self._disk, self._disk.world
        disk.attempts.append(world.now)
        disk.on_commit()
        if disk.state == FULL:
            raise sqlite3.OperationalError(FULL)
        if world.might(disk.fails):
            world.tell("a commit fails")
            raise sqlite3.OperationalError(FULL)
        if world.might(disk.breaks):
            stored = world.chance.random() < 0.5
            world.tell("the disk breaks under a commit;", "stored" if stored else "not stored")
            if stored:
                self._real.execute("COMMIT")
            raise sqlite3.OperationalError(BROKEN)
        return self._real.execute("COMMIT")
