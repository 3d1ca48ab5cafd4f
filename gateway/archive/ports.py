"""The ports of the archive: the source of the files, the storage of the copies, and the records of the copies."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from gateway.archive.model import ArchivedFile, Copy, Part
from gateway.frozen import frozen
from gateway.generations.model import Generation


class SourceError(Exception):
    """The file cannot be fetched now. The message is for the log and contains no URL."""


class RangeError(SourceError):
    """The host did not send the rest of a file after a checkpoint."""


class RefusedError(Exception):
    """The file can never be archived. The message is for the log and contains no URL."""


class ArchiveError(Exception):
    """The archive cannot be read or written now. The message is for the log and contains no secret."""


@frozen
class Checkpoint:
    """Where an interrupted copy can be resumed: after `size` bytes of the version of the file that has this ETag."""

    size: int
    etag: str


@frozen
class SourceResponse:
    """The response of a source: the bytes of a file from `offset` on.

    `size` is that of the whole file; None if the source does not state it. `etag` is a strong ETag, with which the copy
    can be resumed; "" if there is none. `content_type` is "" if the source does not state it. `chunks` raises
    SourceError, also if the body is shorter than announced.
    """

    offset: int
    size: int | None
    etag: str
    chunks: AsyncIterator[bytes]
    content_type: str


class Source(Protocol):
    """Fetches Higgsfield's output files."""

    def open(self, url: str, after: Checkpoint | None) -> AbstractAsyncContextManager[SourceResponse]:
        """Fetch the rest of a file after a checkpoint; the whole file if it has changed, or without a checkpoint.

        Raises SourceError.
        """


class ObjectStorage(Protocol):
    """Stores the copies under keys, in the order write, read_back, publish. All methods raise ArchiveError."""

    @property
    def name(self) -> str:
        """The URL of the archive, which identifies it."""

    async def checkpoint(self, key: str) -> Checkpoint | None:
        """Return where the copy of a file can be resumed; None if it must start from the beginning."""

    async def write(
        self, key: str, after: Checkpoint | None, etag: str, content: AsyncIterator[bytes], content_type: str
    ) -> None:
        """Write the content after a checkpoint. The file does not appear under its key before it is complete.

        An error of `content` is raised; a storage that can resume copies then keeps what was written.
        """

    def read_back(self, key: str, after: Checkpoint | None = None) -> AsyncIterator[bytes]:
        """Yield what was written; with `after` only up to that checkpoint."""

    async def publish(self, key: str) -> None:
        """Make the file appear under its key, atomically."""

    async def discard(self, key: str) -> None:
        """Remove what was written and not published."""

    async def remove(self, key: str) -> None:
        """Remove the file, published or not. Does nothing if there is none."""

    async def probe(self) -> None:
        """Write, read and remove a small file."""


class CopyStore(Protocol):
    """Stores which files are to be copied or removed, and which are archived. Its methods raise UnconfirmedError."""

    async def plan_copies(self, copies: Sequence[Copy], now: float) -> None:
        """Store copies to be made, except those that are stored already or whose generation was deleted.

        They are due from the steady time `now` on, behind the retries that are due earlier.
        """

    async def reassign_copies(self, archive: str) -> None:
        """Assign the copies that wait for another archive to this one. Files in the other archive stay there."""

    def without_copies(self, ended_after: float) -> AsyncIterator[Sequence[Generation]]:
        """Yield pages of the completed generations without any copy that ended after that steady time."""

    async def due_copies(self, archive: str, after: str, now: float, longest: float, limit: int) -> Sequence[Copy]:
        """Return at most `limit` copies that are due at the steady time `now`.

        They are those of the first tenant whose name sorts after `after`, oldest first, then those of the next tenant,
        and so on. A copy that is postponed by more than `longest` seconds counts as due: the clock must have gone back.
        """

    async def next_copy(self, archive: str, now: float) -> float | None:
        """Return the steady time after `now` at which the next copy will be due; None if there is none."""

    async def record_copy(self, copy: Copy, file: ArchivedFile) -> bool:
        """Store that a file was copied. Returns False if it must now be removed, because the generation was deleted."""

    async def postpone_copy(self, copy: Copy, not_before: float, *, give_up: bool) -> None:
        """Store a failed attempt: the next one is at a steady time, or never if `give_up`."""

    async def forget_copy(self, copy: Copy) -> None:
        """Store that a file was removed from the archive."""

    async def archived(self, generation_ids: Sequence[str]) -> Mapping[str, Mapping[Part, ArchivedFile]]:
        """Return the archived files by generation and part of its outputs."""

    async def copies_waiting(self) -> int:
        """Return the number of files that wait to be copied or removed."""

    async def copies_failing(self) -> int:
        """Return the number of waiting files whose last attempt failed."""
