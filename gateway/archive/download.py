"""Downloads one file as a stream that resumes after broken connections."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from gateway.archive.media_types import is_archived
from gateway.archive.ports import Checkpoint, RangeError, RefusedError, Source, SourceError, SourceResponse
from gateway.archive.throttle import Throttle

MAX_BREAKS = 5
"""Connections that may break in one attempt. After one more the attempt fails, and the next one follows a pause."""


class Download:
    """A download. Call `start`, read `chunks` once, and always `close`. Raises SourceError or RefusedError.

    A file with more than `largest` bytes, or with a media type that is not archived, is not downloaded. The copy is
    stored under the media type `planned`.

    `start` sets two attributes. `after` is the checkpoint after which the download continues; None if it starts from
    the beginning. `etag` is the strong ETag of the file; "" if the download cannot be resumed.
    """

    def __init__(self, source: Source, url: str, throttle: Throttle, largest: int, planned: str) -> None:
        self._source = source
        self._url = url
        self._throttle = throttle
        self._largest = largest
        self._planned = planned
        self._open = AsyncExitStack()
        self._response: SourceResponse
        self._size: int | None = None
        self._received = 0
        self.after: Checkpoint | None = None
        self.etag = ""

    async def start(self, after: Checkpoint | None) -> None:
        """Request the file, or its rest after a checkpoint. Raises SourceError or RefusedError."""
        try:
            self._response = await self._open.enter_async_context(self._source.open(self._url, after))
            changed = after is not None and self._response.offset > 0 and self._response.etag != after.etag
        except RangeError:  # for example because the checkpoint is at the end of the file
            changed = True
        if changed:
            # Also if the host ignored the condition of the request, and the file is not that of the checkpoint.
            await self._open.aclose()
            self._response = await self._open.enter_async_context(self._source.open(self._url, None))
        if not is_archived(self._response.content_type, self._planned):
            raise SourceError("its Content-Type is not one that is archived")
        self._check_size(self._response.size or 0)
        self.after = after if self._response.offset else None  # the offset is 0 if the whole file was requested
        self._received = self._response.offset
        self._size = self._response.size
        self.etag = self._response.etag

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes until the file is complete; resume after up to MAX_BREAKS broken connections."""
        breaks = 0
        while True:
            try:
                async for chunk in self._throttle.throttled(self._response.chunks):
                    self._received += len(chunk)
                    self._check_size(self._received)
                    yield chunk
                break
            except SourceError:
                breaks += 1
                if not self.etag or breaks > MAX_BREAKS:
                    raise
                await self._resume()
        if self._size is not None and self._received != self._size:
            raise SourceError(f"{self._received} bytes were received instead of {self._size}")

    async def close(self) -> None:
        """Close the connection."""
        await self._open.aclose()

    def _check_size(self, size: int) -> None:
        if size > self._largest:
            raise RefusedError(f"it is larger than {self._largest} bytes")

    async def _resume(self) -> None:
        await self._open.aclose()
        after = Checkpoint(self._received, self.etag)
        self._response = await self._open.enter_async_context(self._source.open(self._url, after))
        if self._response.offset != self._received or self._response.etag != self.etag:
            raise SourceError("it changed during the copy, or its host does not support ranges")
