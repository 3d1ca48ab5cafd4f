"""Writes what has a position in the log of changes: claims, saves and deletions.

The row with the last position is locked until a commit is on disk, so such writes follow one another. What arrives
while a statement runs is collected, and the next statement stores all of one kind. Therefore commits are announced in
the order of positions.

If the response to a statement is lost, it is repeated until one arrives, before anything else is written. It is
conditional on keys and versions, so it stores what the first one did not. What the first one stored carries its
`write_id`. In this way every stored write is announced, even if its caller got an UnknownCommitError. What waits behind
it is refused, so that nothing is stored and sent later for callers that have left.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg

from gateway import failpoints
from gateway.concurrency import Wakeup
from gateway.frozen import frozen
from gateway.generations.stores import Saved, StoreError, UnconfirmedError, UnknownCommitError
from gateway.store.postgres.database import UNREACHABLE, Database, LeaseLostError, arrays

log = logging.getLogger(__name__)

MAX_JOBS_PER_STATEMENT = 128
ENOUGH_BYTES = 4 * 1024 * 1024
"""Bytes of texts with which a statement takes no further jobs. A slow link may carry no more within its time limit, and
a statement whose response does not arrive is repeated."""
FIRST_PAUSE, MAX_PAUSE = 0.05, 1.0
"""Seconds between repeats of a statement whose response was lost."""
OUTCOME_TIMEOUT = 3.0
"""Seconds after which the callers of such a statement get an UnknownCommitError. The repeats continue, and the writes
that wait behind it are refused."""
RESPONSE_LOST = "the response to the commit was lost"
OVER_TOGETHER, UNPRICED, MAY_BE_STORED = 2, 3, 4
"""Values of `Stored.over`. With the last one, limits refused the repeat of a statement whose response was lost: the
lost one may still be executed, once there is room. All others but 0 are a refusal."""
CLAIM, SAVE, DELETE = "claim", "save", "delete"
"""The kinds of jobs: the names of their statements."""
LARGE_COLUMNS = ("input", "request_body", "shown", "audit")
"""The parameters that may be large."""


@dataclass(slots=True)
class Job:
    """A write: its kind (the name of the statement), its parameters, and what it is about.

    Jobs with the same `target` are never in one statement, nor are jobs that bind the same request at Higgsfield
    (`binds`; "" for none): a statement does not see its own rows. `alone`: no other job is in its statement. `saved`
    returns what to announce if the write is stored, from the position of its change.
    """

    kind: str
    step: str
    row: Mapping[str, Any]
    target: Hashable
    saved: Callable[[int | None], Saved]
    binds: str = ""
    alone: bool = False
    result: "asyncio.Future[Any]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def size(self) -> int:
        """The bytes of its large texts."""
        return sum(len(self.row.get(name) or "") for name in LARGE_COLUMNS)


@frozen
class Stored:
    """The result of a write: whether it was stored, and the position of its change.

    For a claim, `taken`: the request id of its generation was taken. `over`: limits refused it, as the statement says.
    """

    stored: bool
    position: int | None
    taken: bool = False
    over: int = 0


class LogWriter:
    """Runs jobs, one statement at a time. `close` finishes them."""

    _ANNOUNCED = "announced"
    """The kind of a job that has no statement: its turn comes when all earlier ones have ended."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._jobs: list[Job] = []
        self._wakeup = Wakeup()
        self._closing = False
        self._task = asyncio.create_task(self._run())

    def write(self, job: Job) -> "asyncio.Future[Any]":
        """Queue a job and return the future for its result, `Stored`. It raises UnconfirmedError or IntegrityError."""
        try:
            self._database.check_open()
        except StoreError as error:
            job.result.set_exception(error)
            return job.result
        self._jobs.append(job)
        self._wakeup.wake()
        return job.result

    async def announced(self) -> None:
        """Return when all jobs that were queued before have ended."""
        job = Job(self._ANNOUNCED, "", {}, object(), _never_saved)
        self._jobs.append(job)
        self._wakeup.wake()
        await job.result

    async def close(self) -> None:
        """Finish the queued jobs. Those whose outcome cannot be found out stay unknown."""
        self._closing = True
        self._wakeup.wake()
        await self._task

    # -- The loop ------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            signal = self._wakeup.signal()
            if self._jobs:
                jobs = self._next()
                try:
                    await self._store(jobs)
                except Exception as error:
                    log.exception("a statement on the change log failed")
                    _fail(jobs, error)
            elif self._closing:
                return
            else:
                await signal

    def _next(self) -> list[Job]:
        """Take the first job, and those of its kind that can be stored with it."""
        first, targets = self._jobs[0], set[Hashable]()
        taken, left, size = list[Job](), list[Job](), 0
        for job in self._jobs:
            own = {job.target, ("binds", job.binds)} if job.binds else {job.target}
            fits = job.kind == first.kind and not job.alone and not first.alone
            is_full = len(taken) == MAX_JOBS_PER_STATEMENT or size >= ENOUGH_BYTES
            if job is first or (fits and targets.isdisjoint(own) and not is_full):
                taken.append(job)
                size += job.size
            else:
                left.append(job)
            targets |= own  # later ones for the same target or request stay behind it
        self._jobs = left
        return taken

    async def _store(self, jobs: Sequence[Job]) -> None:
        """Store jobs with one statement, and one by one if one of them violates a constraint."""
        if jobs[0].kind == self._ANNOUNCED:
            for job in jobs:
                _resolve(job, None)
            return
        for job in jobs:
            failpoints.before(job.step)
        try:
            results = await self._execute(jobs)
        except psycopg.IntegrityError as error:
            if len(jobs) == 1:
                _fail(jobs, error)
                return
            for job in jobs:
                await self._store([job])
            return
        except UnconfirmedError as error:
            self._database.refused += len(jobs)
            _fail(jobs, error)
            return
        ended = list(zip(jobs, results, strict=True))
        # The first of those that exceed a limit together fits or not, whatever becomes of the others.
        self._jobs[:0] = [job for job, result in ended if result.over == OVER_TOGETHER]
        ended = [(job, result) for job, result in ended if result.over != OVER_TOGETHER]
        stored = [(job, result) for job, result in ended if result.stored]
        for job, _ in stored:
            failpoints.after(job.step)
        if stored:
            self._database.notify([job.saved(result.position) for job, result in stored])
        for job, result in ended:
            _resolve(job, result)

    async def _execute(self, jobs: Sequence[Job]) -> Sequence[Stored]:
        """Return the result of each job. Raises UnconfirmedError, or IntegrityError.

        A repeated statement that violates a constraint was not stored before: it would have found its own rows.
        """
        write_id = uuid.uuid4()
        lost = False
        pause, known_until = FIRST_PAUSE, asyncio.get_running_loop().time() + OUTCOME_TIMEOUT
        while True:
            try:
                results = await self._statement(jobs, write_id)
                return await self._with_first(jobs, results, write_id) if lost else results
            except UnknownCommitError:
                lost = True
            except LeaseLostError:
                if lost:
                    raise UnknownCommitError(RESPONSE_LOST) from None
                raise
            except StoreError:
                # It says something about this attempt only, and nothing about the one whose response was lost.
                if not lost:
                    raise
            if asyncio.get_running_loop().time() > known_until:
                self._database.failed(UNREACHABLE)
                _fail(jobs, UnknownCommitError(RESPONSE_LOST))
                self._refuse_waiting()
                if self._closing:
                    raise UnknownCommitError(RESPONSE_LOST)
            await asyncio.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE)

    def _refuse_waiting(self) -> None:
        """Refuse the writes that wait, because their callers would have left before they could be stored."""
        refused = [job for job in self._jobs if job.kind != self._ANNOUNCED]
        self._jobs = [job for job in self._jobs if job.kind == self._ANNOUNCED]
        self._database.refused += len(refused)
        _fail(refused, StoreError(UNREACHABLE))

    async def _statement(self, jobs: Sequence[Job], write_id: uuid.UUID) -> Sequence[Stored]:
        database, kind = self._database, jobs[0].kind
        about = jobs[0].row if kind == DELETE else arrays([job.row for job in jobs]) | {"write_id": write_id}
        rows = await database.run(database.reserved, kind, {**about, **database.condition})
        await database.check_fence(rows)
        return [
            Stored(
                bool(row["saved"]) if kind == SAVE else row["position"] is not None,
                row["position"],
                bool(row.get("taken")),
                row.get("over") or 0,
            )
            for row in rows
        ]

    async def _with_first(
        self, jobs: Sequence[Job], results: Sequence[Stored], write_id: uuid.UUID
    ) -> Sequence[Stored]:
        """Return the results of a repeated statement, completed with what its first execution had stored."""
        database = self._database
        if jobs[0].kind == DELETE:
            rows = await database.run(database.reserved, "read_removal_position", {"generation_id": jobs[0].target})
            return results if results[0].stored or not rows else [Stored(True, rows[0]["position"])]
        about = {"id": [job.row["id"] for job in jobs], "write_id": write_id}
        written = {row["id"]: row for row in await database.run(database.reserved, "read_written", about)}
        return [
            Stored(True, written[job.row["id"]]["position"])
            if job.row["id"] in written
            else replace(result, over=MAY_BE_STORED if result.over else 0)
            for job, result in zip(jobs, results, strict=True)
        ]


def _never_saved(position: int | None) -> Saved:
    raise AssertionError


def _resolve(job: Job, result: Stored | None) -> None:
    if not job.result.done():
        job.result.set_result(result)


def _fail(jobs: Sequence[Job], error: Exception) -> None:
    for job in jobs:
        if not job.result.done():
            job.result.set_exception(error)
            job.result.exception()  # otherwise asyncio logs it as never retrieved if the caller has left
