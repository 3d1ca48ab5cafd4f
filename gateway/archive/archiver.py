"""Copies outputs to the archive, and removes the files of deleted generations.

The plan is in the store, so a restart continues it. A few files are copied at a time, and tenants take turns; a failed
attempt is repeated.
"""

import contextlib
import hashlib
import logging
import math
import random
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

from gateway.archive.download import Download
from gateway.archive.model import ArchivedFile, Copy, Part, copies_of
from gateway.archive.ports import ArchiveError, CopyStore, ObjectStorage, RefusedError, Source, SourceError
from gateway.archive.throttle import Throttle
from gateway.concurrency import OwnedTasks, Wakeup
from gateway.generations.clock import sleep
from gateway.generations.model import Generation, State, Steady
from gateway.generations.ports import Clock
from gateway.generations.state import OUTPUTS_KEPT
from gateway.generations.stores import Saved, UnconfirmedError
from gateway.generations.trusted_time import TrustedTime

log = logging.getLogger(__name__)

FIRST_PAUSE, MAX_PAUSE = 2.0, 3600.0
"""Seconds before the second attempt at a file, and the most between two attempts; doubled with each attempt."""
STORE_PAUSE = 5.0
"""Seconds before the next attempt if the store is not available."""
PLAN_BATCH_SIZE = 100


class Archiver:
    """Copies and removes files until `run` is canceled. `on_commit` must be called for each commit of the store.

    The counters of this process: `archived` files and their `bytes`, `failures` of attempts, and `given_up` files,
    which were refused or could not be copied before Higgsfield removed them. `waiting` is the number of files to copy
    or remove, and `failing` of those whose last attempt failed, as of the last `count_waiting`.
    """

    def __init__(
        self,
        *,
        copies: CopyStore,
        storage: ObjectStorage,
        source: Source,
        clock: Clock,
        trusted_time: TrustedTime,
        concurrency: int,
        bandwidth: int,
        largest: int,
        may_write: Callable[[], bool],
        public_url: str | None = None,
    ) -> None:
        """`bandwidth` is in bytes per second, 0 for no limit. A file with more than `largest` bytes is given up.

        `may_write` returns whether no other gateway can have taken over. It is called right before a file is written
        and before it appears in the archive, because the other one may have published that file, or removed it with its
        generation, and would not remove it again. It is also called before a wrong copy is removed, because the other
        one may have replaced it.

        `public_url` is the base of the files' URLs for callers; by default it is the URL of the archive.
        """
        self._copies = copies
        self._storage = storage
        self._source = source
        self._clock = clock
        self._trusted_time = trusted_time
        self._concurrency = concurrency
        self._throttle = Throttle(clock, bandwidth)
        self._largest = largest
        self._may_write = may_write
        self._base = public_url or storage.name
        self._ended: list[Generation] = []
        self._busy: set[tuple[str, Part]] = set()
        self._turn = ""
        """The tenant of the copy that was started last. Its name is the position in the order of turns."""
        self._tasks = OwnedTasks()
        self._wakeup = Wakeup()
        self.archived = self.bytes = self.failures = self.given_up = self.waiting = self.failing = 0

    def on_commit(self, saved: Sequence[Saved]) -> None:
        """Queue the completed generations of a commit; wake up also for deletions, whose files must be removed."""
        for save in saved:
            generation = save.generation
            if generation is None:
                self._wakeup.wake()
            elif generation.state is State.COMPLETED:
                self._ended.append(generation)
                self._wakeup.wake()

    async def count_waiting(self) -> None:
        """Count the files that wait. The last counts stay while the store is not available."""
        with contextlib.suppress(UnconfirmedError):
            self.waiting = await self._copies.copies_waiting()
            self.failing = await self._copies.copies_failing()

    async def run(self) -> None:
        """Work until canceled, starting with what an earlier process left."""
        caught_up = False
        try:
            while True:
                signal = self._wakeup.signal()
                pause: float | None
                try:
                    if not caught_up:
                        await self._catch_up()
                        caught_up = True
                    await self._plan_ended()
                    pause = await self._start_due()
                except UnconfirmedError:
                    pause = STORE_PAUSE
                await self._clock.wait(signal, pause)
        finally:
            await self._tasks.cancel()

    async def _catch_up(self) -> None:
        """Plan the generations that ended before the archive was configured, or right before a crash."""
        await self._copies.reassign_copies(self._storage.name)
        expired = await self._trusted_time.before(OUTPUTS_KEPT)
        async for generations in self._copies.without_copies(-math.inf if expired is None else expired):
            await self._plan(generations)

    async def _plan_ended(self) -> None:
        """Plan the queued generations. If the store fails, they stay in the queue."""
        while self._ended:
            batch = self._ended[:PLAN_BATCH_SIZE]
            await self._plan(batch)
            del self._ended[: len(batch)]

    async def _plan(self, generations: Sequence[Generation]) -> None:
        copies: list[Copy] = []
        for generation in generations:
            try:
                end = None if generation.ended_at is None else self._trusted_time.by_higgsfield(generation.ended_at)
                copies += copies_of(generation, self._storage.name, end)
            except Exception:
                # An exception would stop the archiver for all generations, at every start again.
                log.exception("outputs cannot be archived because of a bug", extra={"generation_id": generation.id})
        if copies:
            await self._copies.plan_copies(copies, self._clock.moment().steady)

    async def _start_due(self) -> float | None:
        """Start as many due copies as may run at once; return the seconds until more will be due, None if unknown."""
        now = self._clock.moment().steady
        while len(self._busy) < self._concurrency:
            copy = await self._next_due(now)
            if copy is None:
                at = await self._copies.next_copy(self._storage.name, now)
                return None if at is None else at - now
            self._turn = copy.tenant
            self._busy.add(copy.name)
            self._tasks.start(self._work(copy), ended=partial(self._finished, copy.name))
        return None

    async def _next_due(self, now: float) -> Copy | None:
        """Return the oldest due copy of the next tenant by name; None if no more are due."""
        # Copies in progress are due in the store, also if they end during the read. There are fewer than the limit.
        busy = frozenset(self._busy)
        for after in (self._turn, ""):
            due = await self._copies.due_copies(self._storage.name, after, now, MAX_PAUSE, self._concurrency)
            for copy in due:
                if copy.name not in busy:
                    return copy
        return None

    def _finished(self, name: tuple[str, Part]) -> None:
        self._busy.discard(name)
        self._wakeup.wake()

    async def _work(self, copy: Copy) -> None:
        """Make one attempt at a file and store its outcome."""
        try:
            try:
                await (self._remove(copy) if copy.remove else self._copy(copy))
            except (SourceError, ArchiveError) as error:
                await self._failed(copy, str(error))
            except RefusedError as error:
                await self._failed(copy, str(error), refused=True)
            except UnconfirmedError:
                raise
            except Exception:
                log.exception("an output could not be archived because of a bug", extra=copy.fields)
                await self._failed(copy, "a bug in the gateway")
        except UnconfirmedError:
            # The outcome is not stored, so the copy is still due. Wait, so that it is not repeated at once.
            await sleep(self._clock, STORE_PAUSE)

    async def _remove(self, copy: Copy) -> None:
        await self._storage.remove(copy.key)
        await self._copies.forget_copy(copy)

    async def _copy(self, copy: Copy) -> None:
        """Download a file, write it, verify it by reading it back, and only then publish it."""
        storage = self._storage
        download = Download(self._source, copy.url, self._throttle, self._largest, copy.content_type)
        try:
            await download.start(await storage.checkpoint(copy.key))
            expected = _Digest()
            if download.after is not None:
                await expected.consume(storage.read_back(copy.key, download.after))
            content = self._checked(expected.update_from(download.chunks()))
            self._check_may_write()
            await storage.write(copy.key, download.after, download.etag, content, copy.content_type)
        finally:
            await download.close()
        actual = _Digest()
        await actual.consume(self._throttle.throttled(storage.read_back(copy.key)))
        self._check_may_write()
        if (actual.size, actual.sha256) != (expected.size, expected.sha256):
            await storage.discard(copy.key)
            raise ArchiveError("the copy differs from what was downloaded")
        await storage.publish(copy.key)
        file = ArchivedFile(f"{self._base}/{copy.key}", expected.size, expected.sha256)
        if await self._copies.record_copy(copy, file):
            self.archived += 1
            self.bytes += expected.size

    async def _checked(self, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the content. At its end, check whether it may be published, because S3 publishes it then."""
        async for chunk in content:
            yield chunk
        self._check_may_write()

    def _check_may_write(self) -> None:
        if not self._may_write():
            raise ArchiveError("another gateway may have taken over")

    async def _failed(self, copy: Copy, why: str, *, refused: bool = False) -> None:
        """Store a failed attempt. Give up if the file was refused, or if Higgsfield no longer has it.

        Until what was written of it can be removed, it is not given up, because nothing would remove that later.
        """
        self.failures += 1
        give_up = (refused or (not copy.remove and await self._expired(copy))) and await self._discarded(copy)
        pause = min(FIRST_PAUSE * 2.0 ** min(copy.attempts, 20), MAX_PAUSE) * random.uniform(0.75, 1.0)
        await self._copies.postpone_copy(copy, self._clock.moment().steady + pause, give_up=give_up)
        fields = copy.fields | {"why": why, "attempts": copy.attempts + 1}
        if give_up:
            self.given_up += 1
            log.error("an output could not be archived; given up", extra=fields)
        else:
            action = "removed from the archive" if copy.remove else "archived"
            log.warning("an output could not be %s; will retry", action, extra=fields)

    async def _discarded(self, copy: Copy) -> bool:
        """Remove what was written of a file. Return whether the archive allowed it."""
        try:
            self._check_may_write()
            await self._storage.discard(copy.key)
        except ArchiveError:
            return False
        return True

    async def _expired(self, copy: Copy) -> bool:
        """Return whether Higgsfield has certainly removed the file by its age."""
        return await self._trusted_time.is_over(Steady(copy.expire_time - OUTPUTS_KEPT), OUTPUTS_KEPT, unanswered=True)


class _Digest:
    """The size and SHA-256 of a stream."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """The SHA-256 in hexadecimal of all bytes so far."""
        return self._hash.hexdigest()

    async def update_from(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Add the chunks to the digest, and yield them."""
        async for chunk in chunks:
            self._hash.update(chunk)
            self.size += len(chunk)
            yield chunk

    async def consume(self, chunks: AsyncIterator[bytes]) -> None:
        """Add the chunks to the digest, and discard them."""
        async for _ in self.update_from(chunks):
            pass
