"""Uploads media to Higgsfield's storage in constant memory.

A file of known size is streamed. A file of unknown size is first written to a temporary file (`spool.py`), because the
storage needs the length in advance. An upload costs nothing, so a failed one is reported to the caller,
who may retry.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import field, replace
from typing import Protocol

from gateway.errors import GatewayError, invalid_field
from gateway.frozen import frozen
from gateway.generations.ports import Clock
from gateway.uploads.spool import Spool

MAX_CHUNK_BYTES = 1 << 20
MAX_MEDIA_BYTES = 5 * 1000**3
"""Bytes; S3-compatible storage accepts no more in one PUT."""
MEDIA_KEPT = 7 * 86_400.0
"""Seconds for which Higgsfield keeps uploaded media (seen in a live header by a user)."""
_CONTENT_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,62}/[a-z0-9][a-z0-9.+-]{0,62}")


@frozen
class Slot:
    """The URL to PUT one file to, with its headers, and the URL to read it from. `upload_url` works for `seconds`."""

    url: str
    upload_url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    seconds: float


class Storage(Protocol):
    """Higgsfield's storage. Its methods raise GatewayError."""

    async def slot(self, tenant: str, content_type: str) -> Slot:
        """Reserve a slot for one file with a tenant's first account.

        An INPUT_REFUSED error names the field `content_type`.
        """

    async def put(self, slot: Slot, size: int, chunks: AsyncIterator[bytes]) -> None:
        """Upload `size` bytes to a slot. An error of `chunks` aborts the upload and is raised."""


@frozen
class Stored:
    """An uploaded file. `expire_time` is wall time."""

    url: str
    size: int
    expire_time: float


@frozen
class Offered:
    """A slot that the caller uploads to. The times are wall times."""

    slot: Slot
    upload_expire_time: float
    expire_time: float


class Uploads:
    """The use cases of uploads. The methods raise GatewayError."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._spool = Spool()

    async def offer(self, tenant: str, content_type: str) -> Offered:
        """Reserve a slot to which the caller uploads a file directly."""
        slot = await self._slot(tenant, content_type, "content_type")
        now = self._clock.moment().wall
        return Offered(slot, now + slot.seconds, now + MEDIA_KEPT)

    async def store(self, tenant: str, content_type: str, size: int | None, chunks: AsyncIterator[bytes]) -> Stored:
        """Upload a file to the storage. If the chunks do not have `size` bytes in total, no file is created.

        `size` None: unknown. Raises INVALID_INPUT for a wrong size or content type.
        """
        if size is not None and not 0 < size <= MAX_MEDIA_BYTES:
            raise invalid_field("header.size", f"must be 1 to {MAX_MEDIA_BYTES} bytes")
        slot = await self._slot(tenant, content_type, "header.content_type")
        if size is not None:
            await self._storage.put(slot, size, _with_size_check(size, chunks))
            return self._stored(slot, size)
        reserved = self._clock.moment().steady
        async with self._spool.file(tenant) as file:
            async for chunk in chunks:
                if file.size + len(chunk) > MAX_MEDIA_BYTES:
                    raise invalid_field("chunk", f"the file has more than {MAX_MEDIA_BYTES} bytes")
                await file.write(chunk)
            if not file.size:
                raise invalid_field("chunk", "the file is empty")
            if self._clock.moment().steady - reserved > slot.seconds / 2:
                # The caller took so long that the slot may expire before the storage has the file.
                slot = await self._slot(tenant, content_type, "header.content_type")
            await self._storage.put(slot, file.size, file.read())
        return self._stored(slot, file.size)

    def _stored(self, slot: Slot, size: int) -> Stored:
        return Stored(slot.url, size, self._clock.moment().wall + MEDIA_KEPT)

    async def _slot(self, tenant: str, content_type: str, field_name: str) -> Slot:
        if not _CONTENT_TYPE.fullmatch(content_type):
            raise invalid_field(field_name, "must be a media type in lower case, such as image/png")
        try:
            return await self._storage.slot(tenant, content_type)
        except GatewayError as error:
            raise _with_field_name(error, field_name) from error


async def _with_size_check(size: int, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the chunks; raise INVALID_INPUT before the last one if they do not have `size` bytes in total."""
    received, held = 0, b""
    async for chunk in chunks:
        received += len(chunk)
        if received > size:
            raise invalid_field("header.size", f"is {size}, but more bytes were received")
        if held:
            yield held
        # Hold one chunk back: the storage creates the file when it receives the last byte.
        held = chunk
    if received < size:
        raise invalid_field("header.size", f"is {size}, but only {received} bytes were received")
    yield held


def _with_field_name(error: GatewayError, name: str) -> GatewayError:
    """Replace the field of an error, `content_type`, with that of the caller's request."""
    violations = tuple(replace(violation, field=name) for violation in error.failure.violations)
    return GatewayError(replace(error.failure, violations=violations))
