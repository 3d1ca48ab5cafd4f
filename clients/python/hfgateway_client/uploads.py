"""Reads media from a source, and converts it to the messages of an upload."""

from __future__ import annotations

import asyncio
import io
import mimetypes
import os
import select
import stat
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from threading import Thread
from typing import IO, Any, Protocol, cast

from hfgateway.v1.upload_service_pb2 import UploadHeader, UploadMediaRequest


class Picture(Protocol):
    """A Pillow image (``PIL.Image.Image``). This package does not depend on Pillow."""

    @property
    def mode(self) -> str:
        """The pixel format, such as "RGB"."""

    def convert(self, mode: str) -> Any:
        """Return a copy in another pixel format."""

    def save(self, fp: Any, format: str | None = None) -> None:
        """Write the image to a file."""


LocalMedia = bytes | os.PathLike[str] | IO[bytes] | Picture
"""Local media: bytes, the path of a file, a binary file that is open, or a Pillow image."""
UploadSource = LocalMedia | str | Iterable[bytes] | AsyncIterable[bytes]
"""A source for ``upload``: local media, a path as a ``str``, or an iterable of bytes.

Only `AsyncClient` accepts an asynchronous iterable.
"""

CHUNK = 256 * 1024
_BYTES = bytes | bytearray | memoryview
_BY_SUFFIX = {
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".gif": "image/gif",
    ".wav": "audio/wav", ".mp4": "video/mp4",
}  # fmt: skip
"""The media types that Higgsfield accepts, by file extension. Python's own table differs between machines."""
_MODES = {"jpeg": {"L", "RGB", "CMYK"}, "png": {"1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA"}}
"""The modes of Pillow images that a format supports."""


class UploadParts:
    """The messages of one upload: the header, then the media in chunks.

    Supports one iteration, which can be synchronous or asynchronous.

    If the source fails, the last message is a second header, which the gateway always refuses. If the call was canceled
    instead, the gateway might take the part that was sent for the whole.
    """

    def __init__(self, header: UploadHeader, pieces: Iterable[bytes] | AsyncIterable[bytes]) -> None:
        self._header = header
        self._pieces = pieces
        self.failure: Exception | None = None
        """The exception that the source raised, or None."""

    def __iter__(self) -> Iterator[UploadMediaRequest]:
        yield UploadMediaRequest(header=self._header)
        try:
            if not isinstance(self._pieces, Iterable):
                raise TypeError("an asynchronous iterable requires AsyncClient")
            for piece in self._pieces:
                yield from _chunks(piece)
        except Exception as error:
            self.failure = error
            yield UploadMediaRequest(header=self._header)

    async def __aiter__(self) -> AsyncIterator[UploadMediaRequest]:
        if not isinstance(self._pieces, AsyncIterable):
            for part in self:
                yield part
            return
        yield UploadMediaRequest(header=self._header)
        try:
            async for piece in self._pieces:
                for part in _chunks(piece):
                    yield part
        except Exception as error:
            self.failure = error
            yield UploadMediaRequest(header=self._header)


class Pipe:
    """The bytes of a pipe, or of another file that cannot seek, as they arrive."""

    def __init__(self, open: Callable[[], AbstractContextManager[IO[bytes]]]) -> None:
        self._open = open

    def __iter__(self) -> Iterator[bytes]:
        with self._open() as file:
            while piece := _arrived(file):
                yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = iter(self)
        while piece := await _in_thread(partial(next, pieces, b"")):
            yield piece


def _arrived(file: IO[bytes]) -> bytes:
    """Return what has arrived, or nothing at the end of the file.

    It reads once, because the gateway ends an upload from which nothing arrives for a while. It waits without the lock
    of the file, which Python needs to close it, also at the end of the program.
    """
    if isinstance(getattr(file, "raw", file), io.FileIO) and hasattr(select, "poll"):
        poll = select.poll()
        poll.register(file, select.POLLIN)
        poll.poll()
    piece: bytes | None = getattr(file, "read1", file.read)(CHUNK) or file.read(1)
    if piece is None:  # more may follow
        raise BlockingIOError("the file is in non-blocking mode")
    return piece


def _in_thread(read: Callable[[], bytes]) -> asyncio.Future[bytes]:
    """Call a function that may never return. A thread of asyncio would keep the program from ending."""
    result: Future[bytes] = Future()
    result.set_running_or_notify_cancel()

    def run() -> None:
        try:
            result.set_result(read())
        except BaseException as error:
            result.set_exception(error)

    Thread(target=run, daemon=True).start()
    return asyncio.wrap_future(result)


@dataclass(frozen=True)
class Media:
    """The header of an upload, and access to its bytes."""

    header: UploadHeader
    open: Callable[[], AbstractContextManager[Iterable[bytes] | AsyncIterable[bytes]]]
    """Returns a context with the bytes from the beginning. A file given by its path is open until the context ends."""
    rereadable: bool
    """Whether the bytes can be read more than once, so that a failed upload can be retried."""


def media(source: UploadSource, content_type: str | None, size: int | None, format: str) -> Media:
    """Return the media of a source, with its size if it can be determined.

    A missing content type is taken from the name of a file, or from its first bytes.

    Raises:
        ValueError: The content type is missing and cannot be determined.
        OSError: The file cannot be read.
    """
    if is_picture(source):
        source, content_type = _encoded(cast(Picture, source), format), content_type or f"image/{format}"
    if isinstance(source, _BYTES):
        content = bytes(source)
        header = _header(content_type, "", content[:16], len(content))
        return Media(header, lambda: nullcontext([content]), rereadable=True)
    if isinstance(source, str | os.PathLike):
        path = source
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe, which has no size and can be read once
            pipe = Pipe(lambda: open(path, "rb"))  # noqa: SIM115 - closed by Pipe
            return Media(_header(content_type, os.fspath(path), b"", None), lambda: nullcontext(pipe), rereadable=False)
        with open(path, "rb") as file:
            header = _header(content_type, os.fspath(path), file.read(16), os.fstat(file.fileno()).st_size)
        return Media(header, lambda: _opened(path), rereadable=True)
    if hasattr(source, "read"):
        return _of_file(cast(IO[bytes], source), content_type, size)
    pieces = cast(Iterable[bytes] | AsyncIterable[bytes], source)
    return Media(_header(content_type, "", b"", size), lambda: nullcontext(pieces), rereadable=False)


def is_local(value: object) -> bool:
    """Return whether a value is local media, which must be uploaded first. A ``str`` never is: it is a URL."""
    return isinstance(value, _BYTES | os.PathLike) or hasattr(value, "read") or is_picture(value)


def is_picture(value: object) -> bool:
    """Return whether a value is a Pillow image, without importing Pillow."""
    return any((base.__module__, base.__name__) == ("PIL.Image", "Image") for base in type(value).__mro__)


def _of_file(file: IO[bytes], content_type: str | None, size: int | None) -> Media:
    """Return the media of an open file, from its current position. It is rereadable if the file is seekable."""
    name = named if isinstance(named := getattr(file, "name", ""), str) else ""
    if not (hasattr(file, "seekable") and file.seekable()):
        pipe = Pipe(lambda: nullcontext(file))
        return Media(_header(content_type, name, b"", size), lambda: nullcontext(pipe), rereadable=False)
    start = file.tell()
    first = file.read(16)
    header = _header(content_type, name, first, file.seek(0, io.SEEK_END) - start if size is None else size)
    file.seek(start)

    def from_start() -> AbstractContextManager[Iterable[bytes]]:
        file.seek(start)
        return nullcontext(_read(file))

    return Media(header, from_start, rereadable=True)


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Iterator[bytes]]:
    with open(path, "rb") as file:
        yield _read(file)


def _header(content_type: str | None, name: str, first: bytes, size: int | None) -> UploadHeader:
    detected = content_type or _by_name(name) or _by_content(first)
    if not detected:
        raise ValueError("content_type is required: it cannot be determined from a name or from the first bytes")
    return UploadHeader(content_type=detected, size=size)


def _by_name(name: str) -> str:
    return _BY_SUFFIX.get(PurePath(name).suffix.lower()) or mimetypes.guess_type(name)[0] or ""


def _by_content(first: bytes) -> str:
    if first.startswith(b"RIFF"):
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(first[8:12], "")
    for prefix, content_type in ((b"\x89PNG", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif")):
        if first.startswith(prefix):
            return content_type
    return "video/mp4" if first[4:8] == b"ftyp" else ""


def _encoded(picture: Picture, format: str) -> bytes:
    """Encode an image, as RGB if the format does not support its mode. JPEG has no transparency, so it is dropped."""
    if picture.mode not in _MODES.get(format, {picture.mode}):
        picture = picture.convert("RGB")
    file = io.BytesIO()
    picture.save(file, format=format)
    return file.getvalue()


def _read(file: IO[bytes]) -> Iterator[bytes]:
    return iter(partial(file.read, CHUNK), b"")


def _chunks(piece: bytes) -> Iterator[UploadMediaRequest]:
    for start in range(0, len(piece), CHUNK):
        yield UploadMediaRequest(chunk=piece[start : start + CHUNK])
