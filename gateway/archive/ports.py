"""What the archive needs from outside: where the files come from, where they go, and where it is written down."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from gateway.archive.model import ArchivedFile, Copy
from gateway.generations.model import Generation


class SourceError(Exception):
    """The file cannot be had now. The text is for the log: it holds no URL."""


class RefusedError(Exception):
    """The file will not be archived, however often it is tried. The text is for the log: it holds no URL."""


class ArchiveError(Exception):
    """The archive cannot be read or written now. The text is for the log: it holds no secret."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is there of a file whose copying broke off: so many bytes, of the version that `etag` names."""

    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A file as its source sends it, from `offset` on; `size` is that of the whole file, None where it is not told.

    `etag` is empty where the source gives no validator that would do for going on later. `chunks` raises SourceError,
    also if fewer bytes arrive than were announced. `content_type` is empty where the source names none.
    """

    offset: int
    size: int | None
    etag: str
    chunks: AsyncIterator[bytes]
    content_type: str = ""


class Source(Protocol):
    """Where Higgsfield's outputs lie."""

    def open(self, url: str, after: Kept | None) -> AbstractAsyncContextManager[Answer]:
        """Ask for a file: what follows `after` where the source still has that version, else all. SourceError."""


class ObjectStorage(Protocol):
    """The place of the copies. Everything raises ArchiveError."""

    @property
    def name(self) -> str:
        """Its URL, which tells it from other archives."""

    def url_of(self, key: str) -> str:
        """Where callers find the file of a key."""

    async def kept(self, key: str) -> Kept | None:
        """What is there of a file that was begun; None where it has to be begun anew."""

    async def write(
        self, key: str, after: Kept | None, etag: str, content: AsyncIterator[bytes], content_type: str
    ) -> None:
        """Write what comes, behind `after`, so that nobody takes it for the whole file before it is.

        What `content` raises ends it, and is raised; what was written is then kept as far as the place can keep it.
        """

    def written(self, key: str, after: Kept | None = None) -> AsyncIterator[bytes]:
        """What was written, read again; with `after`, just that part of a file that was begun."""

    async def publish(self, key: str) -> None:
        """Let the file be found under its key, at once and as a whole."""

    async def discard(self, key: str) -> None:
        """Let go of what was written and not published."""

    async def remove(self, key: str) -> None:
        """Remove the file, and what was begun of it; nothing where there is nothing."""

    async def probe(self) -> None:
        """Write, read and remove a small file."""


class Copies(Protocol):
    """Which files are to be copied, durably. Raises StoreError."""

    async def plan_copies(self, copies: Sequence[Copy]) -> None:
        """Note them, unless they are noted, or their generation is gone."""

    async def adopt_copies(self, archive: str) -> None:
        """Have what waits for another archive copied to this one; what lies in the other stays there."""

    def without_copies(self, ended_after: float) -> AsyncIterator[Sequence[Generation]]:
        """Completed generations of which nothing is noted, that ended after that steady time; some at a time."""

    async def due_copies(self, archive: str, now: float, longest: float, limit: int) -> Sequence[Copy]:
        """What is to be done by that steady time, oldest first; also what is put off longer than is possible."""

    async def next_copy(self, archive: str, now: float) -> float | None:
        """The steady time at which more will be due."""

    async def keep_copy(self, copy: Copy, file: ArchivedFile) -> bool:
        """The file is copied; False where it is to be removed by now."""

    async def postpone_copy(self, copy: Copy, not_before: float, *, give_up: bool) -> None:
        """Try again then, or never."""

    async def forget_copy(self, copy: Copy) -> None:
        """The file is removed."""

    async def archived(self, generation_ids: Sequence[str]) -> Mapping[str, Mapping[int, ArchivedFile]]:
        """The copies of these generations, by the places of their outputs."""

    def copies_waiting(self) -> int:
        """How many files wait to be copied, or to be removed."""
