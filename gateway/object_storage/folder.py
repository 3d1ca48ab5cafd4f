"""Stores archived files in a local folder. An interrupted copy can be resumed; a finished file appears atomically."""

import contextlib
import json
import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import IO, TypeVar

from gateway.archive.ports import ArchiveError, Checkpoint
from gateway.concurrency import in_thread

T = TypeVar("T")

PARTIAL = ".partial"
"""The folder for unfinished files, inside the archive, so that a finished file is moved within one file system."""
CHECKPOINT_INTERVAL = 16 << 20
"""Bytes between checkpoints of a copy, which is how much of it a crash can lose."""
PIECE = 256 * 1024
FILE_MODE, FOLDER_MODE = 0o640, 0o750
"""Permissions of new files and folders: none for other users. The umask may remove more."""


class Folder:
    """An `ObjectStorage` in a folder, which is created if it does not exist. Its methods raise ArchiveError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._partial = folder / PARTIAL
        try:
            _make(self._partial)
            with open(self._partial / f"probe-{secrets.token_hex(4)}", "xb", opener=_private) as file:
                os.unlink(file.name)
        except OSError as error:
            raise ArchiveError(f"cannot create a file in {folder} ({error.strerror})") from error

    @property
    def name(self) -> str:
        """The file:// URL of the folder."""
        return self._folder.as_uri()

    async def checkpoint(self, key: str) -> Checkpoint | None:
        """Return the last checkpoint of a file; None if there is none, or its copy cannot be resumed."""

        def read() -> Checkpoint | None:
            try:
                fields = json.loads(self._checkpoint_file(key).read_text())
                checkpoint = Checkpoint(int(fields["size"]), str(fields["etag"]))
                complete = checkpoint.size <= self._part(key).stat().st_size
            except (FileNotFoundError, ValueError, KeyError, TypeError):
                return None
            return checkpoint if complete else None

        return await _off_the_loop(read)

    async def write(
        self, key: str, after: Checkpoint | None, etag: str, content: AsyncIterator[bytes], content_type: str
    ) -> None:
        """Write an unfinished file. Checkpoint it every CHECKPOINT_INTERVAL bytes, and if the copy is interrupted."""
        del content_type  # file systems do not store it
        size = after.size if after is not None else 0
        checkpoint = size
        async with _file_opened(lambda: self._part_to_write(key, size)) as file:
            try:
                async for chunk in content:
                    await _off_the_loop(partial(_write_whole, file, chunk))
                    size += len(chunk)
                    if etag and size - checkpoint >= CHECKPOINT_INTERVAL:
                        await _off_the_loop(partial(self._write_checkpoint, key, file, size, etag))
                        checkpoint = size
            except BaseException:
                # More than `size`, if a disk got full within a chunk, or a write was canceled, which waits for its end.
                written = file.tell()
                if etag and written:
                    # A canceled task may still await work that it starts itself.
                    await _off_the_loop(partial(self._write_checkpoint, key, file, written, etag))
                raise
            await _off_the_loop(lambda: os.fsync(file))

    async def read_back(self, key: str, after: Checkpoint | None = None) -> AsyncIterator[bytes]:
        """Yield the content of an unfinished file, up to `after` if it is given."""
        left = after.size if after is not None else None
        async with _file_opened(lambda: open(self._part(key), "rb")) as file:
            while left is None or left > 0:
                most = PIECE if left is None else min(PIECE, left)
                piece = await _off_the_loop(partial(file.read, most))
                if not piece:
                    return
                left = None if left is None else left - len(piece)
                yield piece

    async def publish(self, key: str) -> None:
        """Move a finished file to its final path, durably."""

        def move() -> None:
            path = self._path(key)
            _make(path.parent)
            self._part(key).replace(path)
            for folder in (path.parent, path.parent.parent, self._folder):
                _sync_folder(folder)
            self._remove_checkpoint(key)

        await _off_the_loop(move)

    async def discard(self, key: str) -> None:
        """Remove an unfinished file."""

        def remove() -> None:
            self._partial.stat()  # without it, the file is not gone: the archive may be on a disk that is not mounted
            self._remove_checkpoint(key)
            self._part(key).unlink(missing_ok=True)

        await _off_the_loop(remove)

    async def remove(self, key: str) -> None:
        """Remove a file, finished or not, and the folders that are then empty."""
        await self.discard(key)

        def remove() -> None:
            path = self._path(key)
            path.unlink(missing_ok=True)
            for folder in path.parents:
                if folder == self._folder:
                    break
                with contextlib.suppress(OSError):  # not empty, or it does not exist
                    folder.rmdir()

        await _off_the_loop(remove)

    async def probe(self) -> None:
        """Write, read and remove a small file. Raises ArchiveError."""

        def probe() -> None:
            content, path = secrets.token_bytes(16), self._partial / f"probe-{secrets.token_hex(4)}"
            try:
                with open(path, "wb", opener=_private) as file:
                    file.write(content)
                if path.read_bytes() != content:
                    raise ArchiveError("a file that was written could not be read back")
            finally:
                path.unlink(missing_ok=True)

        await _off_the_loop(probe)

    def _path(self, key: str) -> Path:
        return self._folder.joinpath(*key.split("/"))

    def _part(self, key: str) -> Path:
        return self._partial / f"{key.replace('/', '~')}.part"

    def _checkpoint_file(self, key: str) -> Path:
        return self._partial / f"{key.replace('/', '~')}.json"

    def _new_checkpoint_file(self, key: str) -> Path:
        """Return the path at which a checkpoint is written before it is moved. A full disk or a kill may leave it."""
        return self._checkpoint_file(key).with_suffix(".new")

    def _remove_checkpoint(self, key: str) -> None:
        for file in (self._checkpoint_file(key), self._new_checkpoint_file(key)):
            file.unlink(missing_ok=True)

    def _part_to_write(self, key: str, size: int) -> IO[bytes]:
        """Open the unfinished file, truncated to `size` bytes and positioned at its end."""
        if not size:
            self._checkpoint_file(key).unlink(missing_ok=True)
        with contextlib.ExitStack() as until:
            file = until.enter_context(open(self._part(key), "r+b" if size else "wb", buffering=0, opener=_private))
            file.truncate(size)
            file.seek(size)
            until.pop_all()
            return file

    def _write_checkpoint(self, key: str, file: IO[bytes], size: int, etag: str) -> None:
        """Make the first `size` bytes durable, then store their number and the version of the source."""
        os.fsync(file)
        new = self._new_checkpoint_file(key)
        with open(new, "w", opener=_private) as checkpoint:
            json.dump({"size": size, "etag": etag}, checkpoint)
        new.replace(self._checkpoint_file(key))


def _write_whole(file: IO[bytes], chunk: bytes) -> None:
    """Write all bytes. A single write to a disk that gets full writes the part that fits, without an error."""
    left = memoryview(chunk)
    while left:
        left = left[file.write(left) :]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, FILE_MODE)


def _make(folder: Path) -> None:
    # Not mkdir(parents=True), which creates the parents with the default permissions.
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(FOLDER_MODE, exist_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def _off_the_loop(work: Callable[[], T]) -> T:
    try:
        return await in_thread(work)
    except OSError as error:
        raise ArchiveError(f"the folder: {error.strerror or type(error).__name__}") from error


@asynccontextmanager
async def _file_opened(open_file: Callable[[], IO[bytes]]) -> AsyncIterator[IO[bytes]]:
    """Open a file in a thread, and close it in one: on a disk that hangs, both block."""
    with contextlib.ExitStack() as until:  # also closes a file that was opened for a call that is canceled now
        file = await _off_the_loop(lambda: until.enter_context(open_file()))
        try:
            yield file
        finally:
            await _off_the_loop(until.close)
