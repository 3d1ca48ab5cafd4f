"""The one writing connection: it commits writes in groups, and waits for the disk in a thread.

A commit costs as much processor time as the statements of a dozen writes. A single write is therefore committed at
once. When several writes arrive together, the next group waits a few milliseconds for more. A write returns only after
its COMMIT.

The statements of brief writes run on the event loop, because in the thread each of them would have to acquire the
interpreter lock. COMMIT, other writes and failed groups run in the thread. The loop and the thread take turns with the
connection and never use it at the same time.
"""

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from gateway import failpoints
from gateway.generations.stores import Saved, StoreError, UnknownCommitError
from gateway.store.sqlite.mark import Mark

log = logging.getLogger(__name__)

Effect = tuple[Any, Saved | None]
Write = Callable[[sqlite3.Connection], Effect]
Result = tuple["asyncio.Future[Any]", Effect, Exception | None]

MAX_GROUP_SIZE = 128
"""Writes in a group at most, so that it does not block the event loop for long."""
GATHER_FOR = 0.01
"""Seconds that a group waits for more writes, once several arrived together."""
SYNC_AFTER = 1.0
"""Seconds from a commit to the sync of the mark, which a power cut in between can leave behind."""
SET_COMMITS = "UPDATE meta SET value = :commits WHERE name = 'commits'"
HUNG_TIMEOUT = 10.0
"""Seconds for which the disk may be busy with a group until it counts as hung. Longer than BUSY_TIMEOUT_MS."""
CLOSED = "the store is closed"
HUNG = "the store's disk does not respond"
BUSY_TIMEOUT_MS = 5_000
"""Milliseconds for which the thread waits for a file that another program has locked."""


class Job(NamedTuple):
    """A write, and the future for its result."""

    step: str | None
    write: Write
    brief: bool
    future: "asyncio.Future[Any]"


class Worker(Protocol):
    """Runs functions that may block, one after the other and in their order, outside the event loop."""

    def run(self, work: Callable[[], None]) -> None:
        """Queue a function."""

    async def close(self) -> None:
        """Return when all queued functions have returned."""


class WriterThread:
    """A worker with one thread. A function that raises ends it."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def run(self, work: Callable[[], None]) -> None:
        self._queue.put(work)

    async def close(self) -> None:
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            work()


class Writer:
    """Runs writes in the order in which they were queued.

    `notify` is called on the event loop with each committed group, before its futures are resolved. `broken` is called
    with the error if the disk fails, because memory may no longer match the store.

    If the disk does not respond to a group for HUNG_TIMEOUT seconds, all queued writes are refused, and new ones until
    it responds, because their callers would have timed out before they are executed. `refused` counts refused writes.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        notify: Callable[[Sequence[Saved]], None],
        broken: Callable[[Exception], None],
        worker: Callable[[], Worker] = WriterThread,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._notify = notify
        self._broken = broken
        self._trouble = ""
        self.refused = 0
        self._waiting: list[Job] = []
        self._busy = False
        """Whether a group is in the thread."""
        self._since = 0.0
        """The time of the event loop at which that group began."""
        self._hung = False
        """Whether that was more than HUNG_TIMEOUT seconds ago."""
        self._watching: asyncio.TimerHandle | None = None
        self._crowded = False
        """Whether the last group had several writes, or others arrived before it was committed."""
        self._gathering: asyncio.TimerHandle | None = None
        self._closing = False
        self._ended = False
        """The thread closes the connection, or has closed it. Using it now could crash the process."""
        self._connection = connection
        connection.execute("PRAGMA busy_timeout=0")  # the event loop must not wait for another program
        self._mark: Mark | None = None
        self._commits = self._changes = 0
        self._syncing: asyncio.TimerHandle | None = None
        self._closed = asyncio.Event()
        self._worker = worker()

    @property
    def trouble(self) -> str:
        """Why the last refused write was refused, until `recovered` or until the disk responds; empty otherwise."""
        return HUNG if self._hung else self._trouble

    def count_in(self, mark: Mark, commits: int) -> None:
        """Count commits in the store and in its mark from now on. `commits` is their number so far."""
        self._mark, self._commits = mark, commits

    def write(self, step: str | None, write: Write, *, brief: bool = False) -> "asyncio.Future[Any]":
        """Queue a write, and return the future for its result, which is resolved after COMMIT.

        `write` is called inside a transaction, and again if the first transaction failed. `brief`: it writes a few rows
        that it finds by their keys. `step` is the name for failpoints; None if it stores nothing that a caller sent.

        The future raises StoreError if the write is refused, UnknownCommitError if the disk fails, or the error that
        `write` raised if it is not of SQLite.
        """
        future: asyncio.Future[Any] = self._loop.create_future()
        if self._hung or self._ended:
            self._refuse(future)
            return future
        self._waiting.append(Job(step, write, brief, future))
        if not self._busy and self._gathering is None:
            self._next()
        return future

    def recovered(self) -> None:
        """Clear `trouble`, after a write that needed space on the disk was committed."""
        if self._trouble:
            self._trouble = ""
            log.info("the store can be written again")

    async def close(self) -> None:
        """Finish the queued writes, then close the connection, which checkpoints the log."""
        self._closing = True
        if not self._busy:
            self._next()
        await self._closed.wait()
        await self._worker.close()

    # -- On the loop ---------------------------------------------------------------------------------------------------

    def _next(self) -> None:
        """Begin the next group, at once or after it has waited for more writes."""
        if self._crowded and not self._closing:
            self._gathering = self._loop.call_later(GATHER_FOR, self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        """Take a group, run its statements here if all of its writes are brief, and leave the rest to the thread."""
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        group = self._waiting[:MAX_GROUP_SIZE]
        del self._waiting[:MAX_GROUP_SIZE]
        if not group:  # the writer is being closed
            if self._syncing is not None:
                self._syncing.cancel()
            self._ended = True
            self._worker.run(self._close_files)
            self._closed.set()
            return
        self._busy, self._since = True, self._loop.time()
        if self._watching is None:
            self._watching = self._loop.call_later(HUNG_TIMEOUT, self._watch)
        effects: list[Effect] | None = None
        if all(job.brief for job in group):
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                effects = self._run(group)
            except Exception:
                # The thread repeats the group. It waits for a locked file, and finds the write that is at fault.
                effects = None
        self._worker.run(lambda: self._work(group, effects))

    def _finished(self, results: Sequence[Result]) -> None:
        """Handle the end of a group: begin the next one, then deliver the results."""
        self._busy = False
        if self._hung:
            self._hung = False
            log.info("the store's disk responds again")
        if self._mark is not None and self._syncing is None:
            self._syncing = self._loop.call_later(SYNC_AFTER, self._sync)
        self._crowded = len(results) > 1 or bool(self._waiting)
        if self._waiting or self._closing:
            self._next()
        self._resolve(results)

    def _watch(self) -> None:
        """Check whether the group in the thread is late. One timer serves many groups."""
        self._watching = None
        if not self._busy:
            return
        left = self._since + HUNG_TIMEOUT - self._loop.time()
        if left > 0:
            self._watching = self._loop.call_later(left, self._watch)
            return
        self._hung = True
        log.error(HUNG)
        waiting, self._waiting = self._waiting, []
        for job in waiting:
            self._refuse(job.future)

    def _refuse(self, future: "asyncio.Future[Any]") -> None:
        self.refused += 1
        if not future.done():
            future.set_exception(StoreError(CLOSED if self._ended else HUNG))

    def _resolve(self, results: Sequence[Result]) -> None:
        saved = [effect[1] for _, effect, error in results if error is None and effect[1] is not None]
        if saved:
            try:
                self._notify(saved)
            except Exception:
                # The writes are stored, so their callers must get the result.
                log.exception("a listener of the store failed")
        for future, effect, error in results:
            if future.done():
                continue
            if error is None:
                future.set_result(effect[0])
            else:
                future.set_exception(error)

    def _sync(self) -> None:
        self._syncing = None
        self._worker.run(self._sync_mark)

    def _run(self, group: list[Job]) -> list[Effect]:
        """Execute the statements of a group and count its commit. Runs on the event loop or in the thread."""
        self._changes = self._connection.total_changes
        effects = [job.write(self._connection) for job in group]
        if self._counts():
            self._connection.execute(SET_COMMITS, {"commits": str(self._commits + 1)})
        return effects

    def _counts(self) -> bool:
        """Return whether the commit is to be counted, because the transaction changed a row."""
        return self._mark is not None and self._connection.total_changes != self._changes

    # -- In the thread -------------------------------------------------------------------------------------------------

    def _work(self, group: list[Job], effects: list[Effect] | None) -> None:
        try:
            self._deliver(self._transact(group) if effects is None else self._end(group, effects))
        except Exception as error:
            # A rollback failed, too. No write could ever be executed again.
            self._connection.close()
            self._loop.call_soon_threadsafe(self._broken, error)
            self._loop.call_soon_threadsafe(self._closed.set)
            raise

    def _transact(self, group: list[Job]) -> list[Result]:
        try:
            self._roll_back()  # the transaction that the event loop began
            self._begin_with_timeout()
        except sqlite3.Error as error:
            # No write is at fault. Another program may have locked the file, and each write would wait for it again.
            return self._refused(group, error)
        try:
            effects = self._run(group)
        except Exception as error:
            return self._failed(group, error)
        return self._end(group, effects)

    def _begin_with_timeout(self) -> None:
        self._connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        finally:
            self._connection.execute("PRAGMA busy_timeout=0")

    def _end(self, group: list[Job], effects: list[Effect]) -> list[Result]:
        try:
            self._commit(group, effects)
        except Exception as error:
            return self._failed(group, error)
        return [(job.future, effect, None) for job, effect in zip(group, effects, strict=True)]

    def _commit(self, group: list[Job], effects: list[Effect]) -> None:
        # A write with the result False lost against another one and changed nothing, so it is no step.
        done = zip(group, effects, strict=True)
        steps = [job.step for job, effect in done if job.step is not None and effect[0] is not False]
        for step in steps:
            failpoints.before(step)
        counts = self._counts()
        self._connection.execute("COMMIT")
        if self._mark is not None and counts:
            self._commits += 1
            self._mark.write(self._commits)
        for step in steps:
            failpoints.after(step)

    def _failed(self, group: list[Job], error: Exception) -> list[Result]:
        """Repeat the writes of a failed group one by one, so that a faulty write does not fail the others."""
        self._roll_back()
        if len(group) == 1 or _disk_fails(error):
            return self._refused(group, error)
        return [result for job in group for result in self._transact([job])]

    def _sync_mark(self) -> None:
        try:
            if self._mark is not None:
                self._mark.sync()
        except OSError as error:
            self._loop.call_soon_threadsafe(self._broken, error)

    def _close_files(self) -> None:
        try:
            if self._mark is not None:
                self._mark.close()
        except OSError as error:
            self._loop.call_soon_threadsafe(self._broken, error)
        finally:
            self._connection.close()

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _refused(self, group: list[Job], error: Exception) -> list[Result]:
        if _disk_fails(error):
            self._loop.call_soon_threadsafe(self._broken, error)
        if isinstance(error, sqlite3.Error):
            self.refused += len(group)
            if not self._trouble:
                log.error("the store cannot be written", extra={"error": str(error)})
            self._trouble = f"the store cannot be written: {error}"
        return [(job.future, (None, None), _for_caller(error)) for job in group]

    def _deliver(self, results: Sequence[Result]) -> None:
        self._loop.call_soon_threadsafe(self._finished, results)


def _for_caller(error: Exception) -> Exception:
    """Return an UnconfirmedError for an error of SQLite, and any other error, a defect of the write, as it is."""
    if not isinstance(error, sqlite3.Error):
        return error
    text = "the store cannot be written"
    # After an I/O error a commit may be on the disk or not. After any other error SQLite rolls it back.
    failed = UnknownCommitError(text) if _disk_fails(error) else StoreError(text)
    failed.__cause__ = error
    return failed


def _disk_fails(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "disk I/O error" in str(error)
