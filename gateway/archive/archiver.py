"""Copies outputs to the archive, and removes what is deleted: durably, a few files at a time, again where it fails."""

import asyncio
import contextlib
import hashlib
import logging
import math
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import PurePosixPath

from gateway.archive.download import Download
from gateway.archive.media_types import SUFFIXES
from gateway.archive.model import ArchivedFile, Copy, copies_of
from gateway.archive.ports import ArchiveError, Copies, ObjectStorage, RefusedError, Source, SourceError
from gateway.archive.throttle import Throttle
from gateway.errors import gateway_unavailable
from gateway.generations.clock import give, rest
from gateway.generations.finality import Finality
from gateway.generations.model import Generation, State
from gateway.generations.ports import Clock, Saved, StoreError
from gateway.generations.state import OUTPUTS_KEPT

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 3600.0
"""Seconds before a file is tried a second time, and the most between two tries."""
STORE_AWAY = 5.0
"""Seconds until the store is asked again, where it does not answer."""
PLANNED_AT_ONCE = 100


class ArchivedFiles:
    """What is archived, for who shows generations. Raises GatewayError."""

    def __init__(self, copies: Copies) -> None:
        self._copies = copies

    async def of(self, generation_ids: Sequence[str]) -> Mapping[str, Mapping[int, ArchivedFile]]:
        """The copies by generation and place among the outputs; nothing for those without."""
        try:
            return await self._copies.archived(generation_ids)
        except StoreError as error:
            raise gateway_unavailable("the store is not available") from error


class Archiver:
    """`noticed` is the store's listener, `run` works until it is canceled.

    `archived`, `bytes`, `failures` and `given_up` count what this process did: `failures` are attempts, `given_up`
    files that could not be copied before Higgsfield let go of them.
    """

    def __init__(
        self,
        *,
        copies: Copies,
        storage: ObjectStorage,
        source: Source,
        clock: Clock,
        finality: Finality,
        concurrency: int,
        bandwidth: int,
        largest: int,
    ) -> None:
        """`largest`: bytes of one file; a larger one is given up."""
        self._copies = copies
        self._storage = storage
        self._source = source
        self._clock = clock
        self._finality = finality
        self._concurrency = concurrency
        self._throttle = Throttle(clock, bandwidth)
        self._largest = largest
        self._ended: list[Generation] = []
        self._busy: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._signal: asyncio.Future[None] | None = None
        self.archived = self.bytes = self.failures = self.given_up = 0

    def noticed(self, saved: Sequence[Saved]) -> None:
        """Something was committed: an end brings files, a removal wants them gone."""
        for one in saved:
            generation = one.generation
            if generation is None:
                self._wake()
            elif generation.state is State.COMPLETED and one.change is not None:
                self._ended.append(generation)
                self._wake()

    async def run(self) -> None:
        """Take up what an earlier process left, and go on."""
        caught_up = False
        try:
            while True:
                self._signal = asyncio.get_running_loop().create_future()
                pause: float | None
                try:
                    if not caught_up:
                        await self._catch_up()
                        caught_up = True
                    await self._plan()
                    pause = await self._start_due()
                except StoreError:
                    pause = STORE_AWAY
                await self._clock.wait(self._signal, pause)
        finally:
            for task in self._busy.values():
                task.cancel()
            await asyncio.gather(*self._busy.values(), return_exceptions=True)

    async def _catch_up(self) -> None:
        """Plan what ended without being planned: before the archive was there, or right before a crash."""
        await self._copies.adopt_copies(self._storage.name)
        expired = await self._finality.before(OUTPUTS_KEPT, unanswered=True)
        async for found in self._copies.without_copies(-math.inf if expired is None else expired):
            await self._note(found)

    async def _plan(self) -> None:
        """Note what has ended; what cannot be noted now is noted later."""
        while self._ended:
            some = self._ended[:PLANNED_AT_ONCE]
            await self._note(some)
            del self._ended[: len(some)]

    async def _note(self, generations: Sequence[Generation]) -> None:
        copies: list[Copy] = []
        for one in generations:
            try:
                copies += copies_of(one, self._storage.name)
            except Exception:
                # It would end the work for all others, also after every start.
                log.exception("outputs cannot be archived, by a defect", extra={"generation_id": one.id})
        if copies:
            await self._copies.plan_copies(copies)

    async def _start_due(self) -> float | None:
        """Start as much as may run at a time; the seconds until more will be due."""
        free = self._concurrency - len(self._busy)
        if free <= 0:
            return None
        now = self._clock.moment().steady
        # Those that are being worked on are due as well.
        due = await self._copies.due_copies(self._storage.name, now, LONGEST_PAUSE, free + len(self._busy))
        for copy in [copy for copy in due if copy.name not in self._busy][:free]:
            task = asyncio.create_task(self._work(copy))
            self._busy[copy.name] = task
            task.add_done_callback(lambda _, name=copy.name: self._ready(name))  # type: ignore[misc]
        at = await self._copies.next_copy(self._storage.name, now)
        return None if at is None else max(at - now, 0.0)

    def _ready(self, name: tuple[str, int]) -> None:
        del self._busy[name]
        self._wake()

    async def _work(self, copy: Copy) -> None:
        """One attempt at one file, and what comes of it."""
        try:
            try:
                await (self._remove(copy) if copy.remove else self._copy(copy))
            except (SourceError, ArchiveError) as error:
                await self._failed(copy, str(error))
            except RefusedError as error:
                await self._failed(copy, str(error), refused=True)
            except StoreError:
                raise
            except Exception:
                log.exception("an output could not be archived, by a defect", extra=_named(copy))
                await self._failed(copy, "a defect of the gateway")
        except StoreError:
            # Nothing of it is written down, so it is still due: but not at once.
            await rest(self._clock, STORE_AWAY)

    async def _remove(self, copy: Copy) -> None:
        await self._storage.remove(copy.key)
        await self._copies.forget_copy(copy)

    async def _copy(self, copy: Copy) -> None:
        """Download it, write it, read it again, and only then let it be found."""
        storage = self._storage
        if PurePosixPath(copy.key).suffix not in SUFFIXES.values():
            raise RefusedError("an older version planned it under a suffix that is none of a medium")
        download = Download(self._source, copy.url, self._throttle, self._largest)
        try:
            await download.begin(await storage.kept(copy.key))
            seen = _Digest()
            if download.after is not None:
                await seen.read(storage.written(copy.key, download.after))
            content = seen.passing(download.chunks())
            await storage.write(copy.key, download.after, download.etag, content, copy.content_type)
        finally:
            await download.close()
        found = _Digest()
        await found.read(self._throttle.passing(storage.written(copy.key)))
        if found != seen:
            await storage.discard(copy.key)
            raise ArchiveError("what was written is not what came")
        await storage.publish(copy.key)
        file = ArchivedFile(storage.url_of(copy.key), seen.size, seen.sha256)
        if await self._copies.keep_copy(copy, file):
            self.archived += 1
            self.bytes += seen.size

    async def _failed(self, copy: Copy, why: str, *, refused: bool = False) -> None:
        """Try again later; give up if it is refused, or after a try that was made when Higgsfield had let go of it."""
        self.failures += 1
        give_up = refused or (not copy.remove and await self._expired(copy))
        pause = min(FIRST_PAUSE * 2.0 ** min(copy.attempts, 20), LONGEST_PAUSE) * random.uniform(0.75, 1.0)
        await self._copies.postpone_copy(copy, self._clock.moment().steady + pause, give_up=give_up)
        told = _named(copy) | {"why": why, "attempts": copy.attempts + 1}
        if give_up:
            self.given_up += 1
            log.error("an output was not archived, and is given up", extra=told)
            with contextlib.suppress(ArchiveError):
                await self._storage.discard(copy.key)
        else:
            what = "removed from the archive" if copy.remove else "archived"
            log.warning("an output could not be %s; it is tried again", what, extra=told)

    async def _expired(self, copy: Copy) -> bool:
        """Return whether Higgsfield has certainly removed the file by its age."""
        return await self._finality.is_over(copy.expire_time - OUTPUTS_KEPT, OUTPUTS_KEPT, unanswered=True)

    def _wake(self) -> None:
        if self._signal is not None:
            give(self._signal)


class _Digest:
    """Size and SHA-256 of what passes."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """Of all so far."""
        return self._hash.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Digest) and (self.size, self.sha256) == (other.size, other.sha256)

    __hash__ = None  # type: ignore[assignment]

    async def passing(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The chunks, counted."""
        async for chunk in chunks:
            self._hash.update(chunk)
            self.size += len(chunk)
            yield chunk

    async def read(self, chunks: AsyncIterator[bytes]) -> None:
        """Count them, and keep none."""
        async for _ in self.passing(chunks):
            pass


def _named(copy: Copy) -> dict[str, object]:
    return {"generation_id": copy.generation_id, "output": copy.output}
