"""Media on its way to Higgsfield's storage: what may be uploaded, and how its bytes pass through in constant memory.

A file of known size is passed on as it comes. One of unknown size is gathered in a temporary file first: the storage
takes no upload whose length is not told before. An upload is free, so one that fails is cleanly refused and done again.
"""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import IO, Protocol

from gateway.errors import GatewayError, Violation, invalid_input
from gateway.generations.ports import Clock

LARGEST_CHUNK = 1 << 20
LARGEST_MEDIA = 5 * 1000**3
"""Bytes: what S3-compatible storage takes in one PUT."""
MEDIA_KEPT = 7 * 86_400.0
"""Seconds that Higgsfield keeps uploaded media (upstream.md 4, seen in a live header)."""
_CONTENT_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,62}/[a-z0-9][a-z0-9.+-]{0,62}")


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one file may be put, and where it can be read then. `seconds`: how long `upload_url` works."""

    url: str
    upload_url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    seconds: float


class Storage(Protocol):
    """Higgsfield's storage. Raises GatewayError."""

    async def slot(self, content_type: str) -> Slot:
        """A place for one file. INPUT_REFUSED names the field `content_type`."""

    async def put(self, slot: Slot, size: int, chunks: AsyncIterator[bytes]) -> None:
        """Put so many bytes there. What `chunks` raises ends the upload, and is raised."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that is there; `expire_time` is wall time."""

    url: str
    size: int
    expire_time: float


@dataclass(frozen=True, slots=True)
class Offered:
    """A slot for somebody else to fill; times are wall times."""

    slot: Slot
    upload_expire_time: float
    expire_time: float


class Uploads:
    """Uploads for callers."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def offer(self, content_type: str) -> Offered:
        """A slot that the caller fills himself."""
        slot = await self._slot(content_type, "content_type")
        now = self._clock.moment().wall
        return Offered(slot, now + slot.seconds, now + MEDIA_KEPT)

    async def store(self, content_type: str, size: int | None, chunks: AsyncIterator[bytes]) -> Stored:
        """Put what comes into storage. Another number of bytes than `size` is refused, and leaves no file."""
        if size is not None and not 0 < size <= LARGEST_MEDIA:
            raise invalid_input([Violation("header.size", f"must be 1 to {LARGEST_MEDIA}")])
        slot = await self._slot(content_type, "header.content_type")
        if size is None:
            size = await self._gathered(slot, chunks)
        else:
            await self._storage.put(slot, size, _exactly(size, chunks))
        return Stored(slot.url, size, self._clock.moment().wall + MEDIA_KEPT)

    async def _slot(self, content_type: str, named: str) -> Slot:
        if not _CONTENT_TYPE.fullmatch(content_type):
            raise invalid_input([Violation(named, "must be a media type in lower case, such as image/png")])
        try:
            return await self._storage.slot(content_type)
        except GatewayError as error:
            raise _at(error, named) from error

    async def _gathered(self, slot: Slot, chunks: AsyncIterator[bytes]) -> int:
        with tempfile.TemporaryFile() as file:
            size = 0
            async for chunk in chunks:
                size += len(chunk)
                if size > LARGEST_MEDIA:
                    raise invalid_input([Violation("chunk", f"there are more than {LARGEST_MEDIA} bytes")])
                await asyncio.to_thread(file.write, chunk)
            if not size:
                raise invalid_input([Violation("chunk", "there are no bytes")])
            file.seek(0)
            await self._storage.put(slot, size, _read(file))
        return size


async def _exactly(size: int, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The chunks; raises before the last byte would make a whole file of a wrong number of bytes."""
    came, held = 0, b""
    async for chunk in chunks:
        came += len(chunk)
        if came > size:
            raise invalid_input([Violation("header.size", f"is {size}, and more bytes came")])
        if held:
            yield held
        # One chunk is held back: the storage takes the file as whole with its last byte.
        held = chunk
    if came < size:
        raise invalid_input([Violation("header.size", f"is {size}, and {came} bytes came")])
    yield held


async def _read(file: IO[bytes]) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(file.read, LARGEST_CHUNK):
        yield chunk


def _at(error: GatewayError, named: str) -> GatewayError:
    """The error, with the field that the caller knows."""
    failure = error.failure
    renamed = tuple(replace(one, field=named) if one.field == "content_type" else one for one in failure.violations)
    return GatewayError(replace(failure, violations=renamed))
