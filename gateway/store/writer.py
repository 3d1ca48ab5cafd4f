"""The only writing connection: what queues up for it is committed in groups, and a thread waits for the disk.

A commit costs as much processor time as the statements of a dozen writes. So a write that comes alone is committed at
once, and where several come together a group is given a few milliseconds to gather while it is the first one's turn.
A write is answered after its COMMIT only.

Brief writes run on the loop: in the thread, each of their statements would wait for the interpreter and be waited for.
The thread has the rest, and whatever goes wrong. It and the loop use the connection in turn, never together.
"""

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from gateway import failpoints
from gateway.generations.ports import Saved, StoreError
from gateway.store.mark import Mark

log = logging.getLogger(__name__)

Effect = tuple[Any, Saved | None]
Write = Callable[[sqlite3.Connection], Effect]
Result = tuple["asyncio.Future[Any]", Effect, Exception | None]

MOST_IN_A_GROUP = 128
"""So that the loop is soon free again for others."""
GATHERING = 0.01
"""Seconds that a group waits for more once several writes came together."""
SYNC_AFTER = 1.0
"""Seconds from a commit until the mark is synced: what a power cut can take from it."""
COUNT = "UPDATE meta SET value = ? WHERE name = 'commits'"
LATE = 10.0
"""Seconds after which a disk that has not answered a group counts as hung; longer than PATIENCE."""
SILENT = "the store's disk does not answer"
PATIENCE = 5_000
"""Milliseconds that the thread waits for a file that another program holds."""


class Job(NamedTuple):
    """One write, and who waits for it."""

    step: str | None
    write: Write
    brief: bool
    future: "asyncio.Future[Any]"


class Worker(Protocol):
    """Runs what may block, in the order given, beside the event loop."""

    def run(self, work: Callable[[], None]) -> None:
        """Run it once everything before it has ended."""

    async def close(self) -> None:
        """Return when all of it has been run."""


class WriterThread:
    """One thread. A piece of work that raises ends it."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def run(self, work: Callable[[], None]) -> None:
        """Queue it."""
        self._queue.put(work)

    async def close(self) -> None:
        """Let the thread finish and end."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            work()


class Writer:
    """Runs writes in the order given. `told` hears each group on the loop before its futures are resolved.

    `broken` is called, once, when the disk fails: what is in memory can no longer be trusted to be what is stored.
    `refused` counts writes that were. If the disk answers nothing for LATE seconds, all that was not begun is refused,
    and all that comes, until it answers: what waited longer would be done for callers that have gone.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        told: Callable[[Sequence[Saved]], None],
        broken: Callable[[Exception], None],
        worker: Callable[[], Worker] = WriterThread,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._told = told
        self._broken = broken
        self._trouble = ""
        self.refused = 0
        self._waiting: list[Job] = []
        self._busy = False
        """A group is in the thread."""
        self._since = 0.0
        """When it was begun."""
        self._hung = False
        """That was LATE seconds ago."""
        self._watching: asyncio.TimerHandle | None = None
        self._crowded = False
        """The last group was of several writes, or others came meanwhile."""
        self._gathering: asyncio.TimerHandle | None = None
        self._closing = False
        self._connection = connection
        connection.execute("PRAGMA busy_timeout=0")  # the loop never waits for another program
        self._mark: Mark | None = None
        self._commits = self._changes = 0
        self._syncing: asyncio.TimerHandle | None = None
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._worker = worker()

    @property
    def trouble(self) -> str:
        """Why a write was refused, from then on until `mended`, or until the disk answers."""
        return SILENT if self._hung else self._trouble

    def count_in(self, mark: Mark, commits: int) -> None:
        """Count every commit from now on, in the store and then in its mark; there are so many already."""
        self._mark, self._commits = mark, commits

    def write(self, step: str | None, write: Write, *, brief: bool = False) -> "asyncio.Future[Any]":
        """Have `write` run inside a transaction; resolved with its result after the commit.

        Failpoints know the step by its name; one without keeps nothing of anybody's. `brief`: a few rows, found by
        their keys. It may run twice, where the first transaction came to nothing.
        """
        future: asyncio.Future[Any] = self._loop.create_future()
        if self._hung:
            self._refuse(future)
            return future
        self._waiting.append(Job(step, write, brief, future))
        if not self._busy and self._gathering is None:
            self._next()
        return future

    def mended(self) -> None:
        """A write that needed room has been committed: there is no trouble any more."""
        if self._trouble:
            self._trouble = ""
            log.info("the store can be written again")

    async def close(self) -> None:
        """Finish what is queued, then close the connection (which checkpoints)."""
        self._closing = True
        if not self._busy:
            self._next()
        await self._closed
        await self._worker.close()

    # -- On the loop ---------------------------------------------------------------------------------------------------

    def _next(self) -> None:
        """Let a group begin now, or after it has gathered."""
        if self._crowded and not self._closing:
            self._gathering = self._loop.call_later(GATHERING, self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        """Take a group, run what can run here, and leave the rest of it to the thread."""
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        group = self._waiting[:MOST_IN_A_GROUP]
        del self._waiting[:MOST_IN_A_GROUP]
        if not group:  # the writer is being closed
            if self._syncing is not None:
                self._syncing.cancel()
            self._worker.run(self._let_go)
            self._end_of_work()
            return
        self._busy, self._since = True, self._loop.time()
        if self._watching is None:
            self._watching = self._loop.call_later(LATE, self._watch)
        effects: list[Effect] | None = None
        if all(job.brief for job in group):
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                effects = self._run(group)
            except Exception:
                # Whatever it is, the thread meets it again, with patience, and sorts out whose fault it is.
                effects = None
        self._worker.run(lambda: self._work(group, effects))

    def _finished(self, results: Sequence[Result]) -> None:
        """The thread has dealt with a group: tell of it, and go on."""
        self._busy = False
        if self._hung:
            self._hung = False
            log.info("the store's disk answers again")
        if self._mark is not None and self._syncing is None:
            self._syncing = self._loop.call_later(SYNC_AFTER, self._sync)
        self._crowded = len(results) > 1 or bool(self._waiting)
        if self._waiting or self._closing:
            self._next()
        self._tell(results)

    def _watch(self) -> None:
        """See whether the group that was begun last has been answered. One timer serves many groups."""
        self._watching = None
        if not self._busy or self._hung:
            return
        left = self._since + LATE - self._loop.time()
        if left > 0:
            self._watching = self._loop.call_later(left, self._watch)
            return
        self._hung = True
        log.error(SILENT)
        waiting, self._waiting = self._waiting, []
        for job in waiting:
            self._refuse(job.future)

    def _refuse(self, future: "asyncio.Future[Any]") -> None:
        self.refused += 1
        if not future.done():
            future.set_exception(StoreError(SILENT))

    def _end_of_work(self) -> None:
        if not self._closed.done():
            self._closed.set_result(None)

    def _tell(self, results: Sequence[Result]) -> None:
        saved = [effect[1] for _, effect, error in results if error is None and effect[1] is not None]
        if saved:
            try:
                self._told(saved)
            except Exception:
                # They are stored: whoever waits for them must hear it, whatever a listener made of it.
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
        """The statements of a group, and the count of its commit: on the loop or in the thread."""
        self._changes = self._connection.total_changes
        effects = [job.write(self._connection) for job in group]
        if self._counts():
            self._connection.execute(COUNT, (str(self._commits + 1),))
        return effects

    def _counts(self) -> bool:
        """Whether the transaction has changed anything, so that its commit is to be counted."""
        return self._mark is not None and self._connection.total_changes != self._changes

    # -- In the thread -------------------------------------------------------------------------------------------------

    def _work(self, group: list[Job], effects: list[Effect] | None) -> None:
        try:
            self._deliver(self._transact(group) if effects is None else self._end(group, effects))
        except Exception as error:
            # Not even a rollback works: nobody would ever be answered again.
            self._connection.close()
            self._loop.call_soon_threadsafe(self._broken, error)
            self._loop.call_soon_threadsafe(self._end_of_work)
            raise

    def _transact(self, group: list[Job]) -> list[Result]:
        try:
            self._roll_back()  # what the loop began
            self._begin_with_patience()
        except sqlite3.Error as error:
            # No write is to blame: another program holds the file, say. Each by itself would wait for it anew.
            return self._refused(group, error)
        try:
            effects = self._run(group)
        except Exception as error:
            return self._failed(group, error)
        return self._end(group, effects)

    def _begin_with_patience(self) -> None:
        self._connection.execute(f"PRAGMA busy_timeout={PATIENCE}")
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
        # Who lost against another write has changed nothing: that is no step.
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
        """Nothing of the group is stored. One faulty write must not fail the others: try each by itself."""
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

    def _let_go(self) -> None:
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
        return [(job.future, (None, None), _told(error)) for job in group]

    def _deliver(self, results: Sequence[Result]) -> None:
        self._loop.call_soon_threadsafe(self._finished, results)


def _told(error: Exception) -> Exception:
    """What a writer hears of an error: a defect in its own write as it is, all else as the store's trouble."""
    if not isinstance(error, sqlite3.Error):
        return error
    told = StoreError("the store cannot be written")
    told.__cause__ = error
    return told


def _disk_fails(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "disk I/O error" in str(error)
