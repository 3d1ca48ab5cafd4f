"""A folder as the place of the archive: what breaks off is kept and gone on with, what is whole appears at once."""

import asyncio
import contextlib
import json
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar
from urllib.parse import quote

from gateway.archive.ports import ArchiveError, Kept

T = TypeVar("T")

PARTIAL = ".partial"
"""The folder of what is not whole yet, inside the archive: a file moves out of it within one file system."""
CHECKPOINT_EVERY = 16 << 20
"""Bytes after which what was written is made durable, so that a crash costs no more than these."""
PIECE = 256 * 1024
FILE_MODE, FOLDER_MODE = 0o640, 0o750
"""What others may do with what is made here: nothing. The umask may take more away."""


class Folder:
    """The `ObjectStorage` in a folder, which is made if need be. Raises ArchiveError."""

    def __init__(self, folder: Path, public_url: str | None = None) -> None:
        self._folder = folder
        self._partial = folder / PARTIAL
        self._base = public_url or folder.as_uri()
        try:
            _make(self._partial)
            with open(self._partial / f"probe-{secrets.token_hex(4)}", "xb", opener=_private) as file:
                os.unlink(file.name)
        except OSError as error:
            raise ArchiveError(f"no file can be made in {folder} ({error.strerror})") from error

    @property
    def name(self) -> str:
        """Its URL."""
        return self._folder.as_uri()

    def url_of(self, key: str) -> str:
        """Where callers find the file."""
        return f"{self._base}/{quote(key)}"

    async def kept(self, key: str) -> Kept | None:
        """What of the file was made durable, if its source can be asked for the rest."""

        def read() -> Kept | None:
            try:
                told = json.loads(self._note(key).read_text())
                kept = Kept(int(told["size"]), str(told["etag"]))
                whole = kept.size <= self._part(key).stat().st_size
            except (FileNotFoundError, ValueError, KeyError, TypeError):
                return None
            return kept if kept.size and kept.etag and whole else None

        return await _off_the_loop(read)

    async def write(
        self, key: str, after: Kept | None, etag: str, content: AsyncIterator[bytes], content_type: str
    ) -> None:
        """Write beside its place. What was written is made durable now and then, and where it breaks off."""
        del content_type  # a file has none
        size = after.size if after is not None else 0
        checkpoint = size
        with self._begun(key, size) as file:
            try:
                async for chunk in content:
                    await _off_the_loop(lambda chunk=chunk: file.write(chunk))  # type: ignore[misc]
                    size += len(chunk)
                    if etag and size - checkpoint >= CHECKPOINT_EVERY:
                        await _off_the_loop(lambda size=size: self._checkpoint(key, file, size, etag))  # type: ignore[misc]
                        checkpoint = size
            except BaseException:
                if etag and size:
                    # A task that was canceled may still wait for what it has begun itself.
                    await _off_the_loop(lambda: self._checkpoint(key, file, size, etag))
                raise
            await _off_the_loop(lambda: _sync(file))

    async def written(self, key: str, after: Kept | None = None) -> AsyncIterator[bytes]:
        """What lies beside its place."""
        left = after.size if after is not None else None
        with self._part_to_read(key) as file:
            while left is None or left > 0:
                most = PIECE if left is None else min(PIECE, left)
                piece = await _off_the_loop(lambda most=most: file.read(most))  # type: ignore[misc]
                if not piece:
                    return
                left = None if left is None else left - len(piece)
                yield piece

    async def publish(self, key: str) -> None:
        """Move it to its place, durably."""

        def move() -> None:
            place = self._place(key)
            _make(place.parent)
            self._part(key).replace(place)
            for folder in (place.parent, place.parent.parent, self._folder):
                _sync_folder(folder)
            self._note(key).unlink(missing_ok=True)

        await _off_the_loop(move)

    async def discard(self, key: str) -> None:
        """Remove what lies beside its place."""

        def remove() -> None:
            self._note(key).unlink(missing_ok=True)
            self._part(key).unlink(missing_ok=True)

        await _off_the_loop(remove)

    async def remove(self, key: str) -> None:
        """Remove it, and the folders that are empty then."""
        await self.discard(key)

        def remove() -> None:
            place = self._place(key)
            place.unlink(missing_ok=True)
            for folder in place.parents:
                if folder == self._folder:
                    break
                with contextlib.suppress(OSError):  # others are in it, or it never was
                    folder.rmdir()

        await _off_the_loop(remove)

    async def probe(self) -> None:
        """Write, read and remove a small file."""

        def probe() -> None:
            content, path = secrets.token_bytes(16), self._partial / f"probe-{secrets.token_hex(4)}"
            try:
                with open(path, "wb", opener=_private) as file:
                    file.write(content)
                if path.read_bytes() != content:
                    raise ArchiveError("what was written cannot be read again")
            finally:
                path.unlink(missing_ok=True)

        await _off_the_loop(probe)

    def _place(self, key: str) -> Path:
        return self._folder.joinpath(*key.split("/"))

    def _part(self, key: str) -> Path:
        return self._partial / f"{key.replace('/', '~')}.part"

    def _note(self, key: str) -> Path:
        """How much of the part counts, and of which version of its source it is."""
        return self._partial / f"{key.replace('/', '~')}.json"

    @contextmanager
    def _begun(self, key: str, size: int) -> Iterator[IO[bytes]]:
        """The part, open behind its first `size` bytes."""
        try:
            if not size:
                self._note(key).unlink(missing_ok=True)
            with open(self._part(key), "r+b" if size else "wb", buffering=0, opener=_private) as file:
                file.truncate(size)
                file.seek(size)
                yield file
        except OSError as error:
            raise _told(error) from error

    @contextmanager
    def _part_to_read(self, key: str) -> Iterator[IO[bytes]]:
        """The part, to be read."""
        try:
            with open(self._part(key), "rb") as file:
                yield file
        except OSError as error:
            raise _told(error) from error

    def _checkpoint(self, key: str, file: IO[bytes], size: int, etag: str) -> None:
        _sync(file)
        new = self._note(key).with_suffix(".new")
        with open(new, "w", opener=_private) as note:
            json.dump({"size": size, "etag": etag}, note)
        new.replace(self._note(key))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, FILE_MODE)


def _make(folder: Path) -> None:
    """Make the folder, and those that it lies in, as far as they are not there."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(FOLDER_MODE, exist_ok=True)


def _sync(file: IO[bytes]) -> None:
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def _off_the_loop(work: Callable[[], T]) -> T:
    """Disks may be slow, and nobody is to wait for them who does not need them; what was begun is waited for."""
    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait({working})
        raise
    except OSError as error:
        raise _told(error) from error


def _told(error: OSError) -> ArchiveError:
    return ArchiveError(f"the folder: {error.strerror or type(error).__name__}")
