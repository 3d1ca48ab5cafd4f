"""A simulated archive: the hosts of Higgsfield's outputs, and the storage of their copies.

The archiver is the code of production. `Archive` takes the place of `MediaSource` and of the `ObjectStorage`, and
outlives the processes of the gateway. It works like a folder, where an unfinished file is continued and then published,
or like S3, where a file appears with its last part and an unfinished one begins again.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from unittest import mock

from gateway.archive.model import ArchivedFile
from gateway.archive.ports import ArchiveError, Checkpoint, SourceError, SourceResponse
from gateway.errors import GatewayError
from gateway.generations.model import GenerationId, State
from gateway.generations.state import OUTPUTS_KEPT
from gateway.process import assembly
from gateway.process.core import Core
from tests.simulation.callers import Caller, History
from tests.simulation.gateway import Endpoint, NotConnectedError
from tests.simulation.higgsfield import Higgsfield
from tests.simulation.world import World

NAME = "s3://archive"
"""The URL of the archive. That of a file is this, followed by its key."""
CHUNKS = 4
"""The chunks in which a file is sent."""


@dataclass
class ArchiveBehaviour:
    """How hosts and storage behave. The first group are probabilities for one operation, or for one chunk."""

    refused: float = 0.0
    """The host of a file cannot be reached."""
    cut_off: float = 0.0
    """The connection to the host breaks."""
    fails: float = 0.0
    """An operation of the storage fails, before or after its effect."""
    corrupts: float = 0.0
    """A file is wrong when it is read back."""

    slow: float = 0.5
    """The longest time of an operation in seconds."""
    appends: bool = True
    """Whether unfinished files can be continued, and are published by an operation, as in a folder."""


@dataclass
class Archived:
    """What the checker knows of the archive."""

    wrong: list[str] = field(default_factory=list)
    """What was wrong at some time: a file that callers were shown was not there."""
    unfinished: list[str] = field(default_factory=list)
    """The keys of unfinished files at the end."""
    orphans: list[str] = field(default_factory=list)
    """The keys of files at the end whose generations were deleted."""
    missing: list[str] = field(default_factory=list)
    """The keys of callers with a completed generation and no copy at the end."""


class Archive:
    """The hosts of outputs, and the storage. There is no archive if `behaviour` is None."""

    def __init__(self, world: World, higgsfield: Higgsfield, behaviour: ArchiveBehaviour | None) -> None:
        self.world = world
        self._higgsfield = higgsfield
        self.exists = behaviour is not None
        self._behaviour = behaviour or ArchiveBehaviour()
        self.files: dict[str, bytes] = {}
        self.unfinished: dict[str, tuple[bytes, str]] = {}
        """By key: the bytes that were written, and the ETag of the source."""
        self.archived = Archived()
        self.name = NAME

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Let every gateway use this archive, if there is one."""
        with ExitStack() as patches:
            if self.exists:
                patches.enter_context(mock.patch.object(assembly, "open_archive", return_value=self))
                patches.enter_context(mock.patch.object(assembly, "MediaSource", return_value=self))
            yield

    # -- The hosts of outputs ------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def open(self, url: str, after: Checkpoint | None) -> AsyncIterator[SourceResponse]:
        """Send a file, or its rest, while Higgsfield keeps it."""
        await self._take_time()
        kept = [one for one in self._higgsfield.ledger.requests.values() if one.url == url and one.deleted_at is None]
        if self.world.draw_fault(self._behaviour.refused):
            raise SourceError("connection refused")
        if not kept or self.world.now > kept[0].ends_at + OUTPUTS_KEPT:
            raise SourceError("HTTP 404")
        content = content_of(url)
        offset = 0 if after is None else after.size
        yield SourceResponse(offset, len(content), '"1"', self._chunks(content[offset:]), "image/png")

    async def _chunks(self, content: bytes) -> AsyncIterator[bytes]:
        size = len(content) // CHUNKS + 1
        for start in range(0, len(content), size):
            await self._take_time()
            if self.world.draw_fault(self._behaviour.cut_off):
                raise SourceError("the connection broke")
            yield content[start : start + size]

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""

    # -- The storage ---------------------------------------------------------------------------------------------------

    async def checkpoint(self, key: str) -> Checkpoint | None:
        """Return how much of a file was written."""
        await self._operate()
        content, etag = self.unfinished.get(key, (b"", ""))
        return Checkpoint(len(content), etag) if content and self._behaviour.appends else None

    async def write(
        self, key: str, after: Checkpoint | None, etag: str, content: AsyncIterator[bytes], content_type: str
    ) -> None:
        """Write a file after a checkpoint. Like S3, publish it at its end.

        A folder opens the file first: production checks the lease right before. It may be published while it is open.
        """
        written = b"" if after is None else self.unfinished[key][0][: after.size]
        if self._behaviour.appends:
            self.unfinished[key] = (written, etag)
        await self._operate()
        async for chunk in content:
            written += chunk
            if key in self.unfinished:
                self.unfinished[key] = (written, etag)
        if not self._behaviour.appends:
            self._publish(key, written)
        await self._operate()

    async def read_back(self, key: str, after: Checkpoint | None = None) -> AsyncIterator[bytes]:
        """Yield what was written."""
        await self._operate()
        content = self.unfinished[key][0] if self._behaviour.appends else self.files.get(key)
        if content is None:
            raise ArchiveError("the file is not there")
        if self.world.draw_fault(self._behaviour.corrupts):
            content = self.world.rng.randbytes(len(content))
        yield content if after is None else content[: after.size]

    async def publish(self, key: str) -> None:
        """Let a file appear. Its effect comes first: production checks the lease right before the operation."""
        if self._behaviour.appends:
            self._publish(key, self.unfinished.pop(key)[0])
        await self._operate()

    async def discard(self, key: str) -> None:
        """Remove what was not published; like S3, also what was."""
        await self._operate()
        self.unfinished.pop(key, None)
        if not self._behaviour.appends:
            self.files.pop(key, None)

    async def remove(self, key: str) -> None:
        """Remove a file."""
        await self._operate()
        self.unfinished.pop(key, None)
        self.files.pop(key, None)
        self.world.record("removed", key)
        await self._operate()

    def _publish(self, key: str, content: bytes) -> None:
        self.files[key] = content
        self.world.record("archived", key)

    async def _take_time(self) -> None:
        await self.world.sleep(self.world.log_uniform(0.001, self._behaviour.slow))

    async def _operate(self) -> None:
        """Take the time of an operation, which may fail."""
        await self._take_time()
        if self.world.draw_fault(self._behaviour.fails):
            raise ArchiveError("the storage does not respond")

    # -- What callers are shown ----------------------------------------------------------------------------------------

    def lacks(self, url: str, file: ArchivedFile) -> bool:
        """Return whether a copy that callers are shown is not in the storage, or is not the output of this URL."""
        content = self.files.get(file.url.removeprefix(f"{NAME}/"))
        return content is None or content != content_of(url) or hashlib.sha256(content).hexdigest() != file.sha256


class ArchiveReader:
    """Compares the copies that callers are shown with the storage, from time to time and at the end."""

    def __init__(
        self, world: World, server: Endpoint, archive: Archive, callers: Sequence[Caller], pause: float
    ) -> None:
        self.world = world
        self._server = server
        self._archive = archive
        self._histories = [caller.history for caller in callers]
        self._pause = pause

    async def run(self) -> None:
        """Look until faults stop."""
        while self.world.faults_enabled:
            await self.world.sleep(self.world.log_uniform(self._pause / 20, self._pause))
            for history in self._histories:
                await self._look(history)

    async def finish(self) -> None:
        """Look once more, and record what is left in the storage."""
        archive, archived = self._archive, self._archive.archived
        for history in self._histories:
            count, final = await self._look(history), history.final
            completed = final is not None and final.state is State.COMPLETED
            if count == 0 and completed and not history.delete_requested:  # otherwise its output may have been deleted
                archived.missing.append(history.key)
        deleted = {history.deleted for history in self._histories}
        archived.orphans = [key for key in archive.files if key.split("/")[1] in deleted]
        archived.unfinished = list(archive.unfinished)

    async def _look(self, history: History) -> int | None:
        """Compare the copies of the generations of a key. Return their number; None without a response."""
        ids = history.ids

        async def read(core: Core) -> list[bool]:
            lacking = []
            for generation_id, files in (await core.store.copies.archived(ids)).items():
                generation = await core.service.get(history.tenant, GenerationId(generation_id))
                outputs = dict(enumerate(generation.outputs))  # none, if this replica does not know the end yet
                lacking += [
                    self._archive.lacks(outputs[part.output].url, files[part])
                    for part in files
                    if part.output in outputs
                ]
            return lacking

        try:
            lacking = await self._server.call(read)
        except (GatewayError, NotConnectedError):
            return None
        if any(lacking) and not history.delete_requested:
            self._archive.archived.wrong.append(f"{history.key} has a copy that is not there")
        return len(lacking)


def content_of(url: str) -> bytes:
    """Return the content of the output at a URL: a hash of the URL, several times."""
    return hashlib.sha256(url.encode()).digest() * 8
