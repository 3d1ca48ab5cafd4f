"""Media to upload, from wherever a caller has it, as the messages of one upload."""

from __future__ import annotations

import io
import mimetypes
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import PurePath
from typing import IO, Any, Protocol, cast

from hfgateway.v1.upload_service_pb2 import UploadHeader, UploadMediaRequest


class Picture(Protocol):
    """An image of Pillow (PIL.Image.Image); this package does without Pillow."""

    @property
    def mode(self) -> str:
        """Such as RGB."""

    def convert(self, mode: str) -> Any:
        """The same in another mode."""

    def save(self, fp: Any, format: str | None = None) -> None:
        """Write it to a file."""


LocalMedia = bytes | os.PathLike[str] | IO[bytes] | Picture
"""Media that is here: bytes, the path of a file, an open file, or an image of Pillow."""
UploadSource = LocalMedia | str | Iterable[bytes] | AsyncIterable[bytes]
"""The same, and a path as text, and pieces of any size; `AsyncClient` takes asynchronous ones too."""

CHUNK = 256 * 1024
_BY_SUFFIX = {
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".gif": "image/gif",
    ".wav": "audio/wav", ".mp4": "video/mp4",
}  # fmt: skip
"""What Higgsfield takes, by the ends of names; Python's own table differs from machine to machine."""


class UploadParts:
    """The header, then the media in chunks; to iterate over once, with or without asyncio.

    Where the source fails, a second header ends them, which every gateway refuses: were the call canceled instead, what
    came before might look like the whole.
    """

    def __init__(self, header: UploadHeader, pieces: Iterable[bytes] | AsyncIterable[bytes]) -> None:
        self._header = header
        self._pieces = pieces
        self.failure: Exception | None = None
        """What the source raised."""

    def __iter__(self) -> Iterator[UploadMediaRequest]:
        yield UploadMediaRequest(header=self._header)
        try:
            if isinstance(self._pieces, AsyncIterable):
                raise TypeError("asynchronous pieces are for AsyncClient")
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


@dataclass(frozen=True)
class Media:
    """One upload: what is said of it, and its bytes. Where it can be read `again`, a failed upload is repeated.

    `open` gives the bytes from their beginning; a file that is named is open for as long.
    """

    header: UploadHeader
    open: Callable[[], AbstractContextManager[Iterable[bytes] | AsyncIterable[bytes]]]
    again: bool


def media(source: UploadSource, content_type: str | None, size: int | None, format: str) -> Media:
    """What a source is. The size is told where it can be known, the type found out where it is not given.

    A name tells the type, else the first bytes do; ValueError where neither does.
    """
    if is_picture(source):
        source, content_type = _encoded(cast(Picture, source), format), content_type or f"image/{format}"
    if isinstance(source, bytes | bytearray | memoryview):
        content = bytes(source)
        header = _header(content_type, "", content[:16], len(content))
        return Media(header, lambda: nullcontext([content]), again=True)
    if isinstance(source, str | os.PathLike):
        path = source
        with open(path, "rb") as file:
            header = _header(content_type, os.fspath(path), file.read(16), os.fstat(file.fileno()).st_size)
        return Media(header, lambda: _File(path), again=True)
    if hasattr(source, "read"):
        return _of_file(cast(IO[bytes], source), content_type, size)
    pieces = cast(Iterable[bytes] | AsyncIterable[bytes], source)
    return Media(_header(content_type, "", b"", size), lambda: nullcontext(pieces), again=False)


def is_local(value: object) -> bool:
    """Whether it is media that has to be uploaded before it is an input. Text never is: it is a URL."""
    return (
        isinstance(value, bytes | bytearray | memoryview | os.PathLike) or hasattr(value, "read") or is_picture(value)
    )


def is_picture(value: object) -> bool:
    """Whether it is an image of Pillow, which is imported by whoever made it."""
    return any((base.__module__, base.__name__) == ("PIL.Image", "Image") for base in type(value).__mro__)


def _of_file(file: IO[bytes], content_type: str | None, size: int | None) -> Media:
    """An open file, from where it stands; again from there, where it can go back."""
    name = getattr(file, "name", "")
    name = name if isinstance(name, str) else ""
    if not (hasattr(file, "seekable") and file.seekable()):
        return Media(_header(content_type, name, b"", size), lambda: nullcontext(_read(file)), again=False)
    begin = file.tell()
    first = file.read(16)
    header = _header(content_type, name, first, file.seek(0, io.SEEK_END) - begin if size is None else size)
    file.seek(begin)

    def from_the_beginning() -> AbstractContextManager[Iterable[bytes]]:
        file.seek(begin)
        return nullcontext(_read(file))

    return Media(header, from_the_beginning, again=True)


class _File:
    """A file by its name, open while it is read."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path

    def __enter__(self) -> Iterator[bytes]:
        self._file = open(self._path, "rb")
        return _read(self._file)

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _header(content_type: str | None, name: str, first: bytes, size: int | None) -> UploadHeader:
    found = content_type or _by_name(name) or _by_content(first)
    if not found:
        raise ValueError("content_type is needed: neither a name nor the first bytes tell what this is")
    return UploadHeader(content_type=found, size=size)


def _by_name(name: str) -> str:
    return _BY_SUFFIX.get(PurePath(name).suffix.lower()) or mimetypes.guess_type(name)[0] or ""


def _by_content(first: bytes) -> str:
    if first.startswith(b"RIFF"):
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(first[8:12], "")
    for begin, found in ((b"\x89PNG", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif")):
        if first.startswith(begin):
            return found
    return "video/mp4" if first[4:8] == b"ftyp" else ""


def _encoded(picture: Picture, format: str) -> bytes:
    """As a file. JPEG has no transparency: it is dropped."""
    if format == "jpeg" and picture.mode not in ("RGB", "L", "CMYK"):
        picture = picture.convert("RGB")
    file = io.BytesIO()
    picture.save(file, format=format)
    return file.getvalue()


def _read(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(CHUNK):
        yield piece


def _chunks(piece: bytes) -> Iterator[UploadMediaRequest]:
    for start in range(0, len(piece), CHUNK):
        yield UploadMediaRequest(chunk=piece[start : start + CHUNK])
