"""One file as a stream that goes on where its connection broke."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from gateway.archive.media_types import media_type
from gateway.archive.ports import Answer, Kept, RefusedError, Source, SourceError
from gateway.archive.throttle import Throttle

MOST_BREAKS = 5
"""Connections that may break in one attempt; the next attempt comes after a pause."""


class Download:
    """`begin` it, then read its `chunks` once; `close` it in any case. Raises SourceError, RefusedError.

    It has at most `largest` bytes, and is a medium by what its source says.

    After `begin`: `after` is what of the file is there already, None where it comes from the beginning; `etag` names
    the version that comes, empty where it cannot be asked for again.
    """

    def __init__(self, source: Source, url: str, throttle: Throttle, largest: int) -> None:
        self._source = source
        self._url = url
        self._throttle = throttle
        self._largest = largest
        self._open = AsyncExitStack()
        self._answer: Answer
        self._size: int | None = None
        self._received = 0
        self.after: Kept | None = None
        self.etag = ""

    async def begin(self, after: Kept | None) -> None:
        """Ask for the file, or for its rest."""
        self._answer = await self._open.enter_async_context(self._source.open(self._url, after))
        if media_type(self._answer.content_type) is None:
            raise SourceError("it says that it is of a media type that is not archived")
        self._check(self._answer.size or 0)
        self.after = after if self._answer.offset else None
        self._received = self._answer.offset
        self._size = self._answer.size
        self.etag = self._answer.etag

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes, to the last one that was told of."""
        breaks = 0
        while True:
            try:
                async for chunk in self._throttle.passing(self._answer.chunks):
                    self._received += len(chunk)
                    self._check(self._received)
                    yield chunk
                break
            except SourceError:
                breaks += 1
                if not self.etag or breaks > MOST_BREAKS:
                    raise
                await self._go_on()
        if self._size is not None and self._received != self._size:
            raise SourceError(f"{self._received} bytes came, and {self._size} were told")

    async def close(self) -> None:
        """Let go of the connection."""
        await self._open.aclose()

    def _check(self, size: int) -> None:
        if size > self._largest:
            raise RefusedError(f"it is larger than {self._largest} bytes")

    async def _go_on(self) -> None:
        """The rest, from another connection; where the file is another one by now, it has to be begun anew."""
        await self._open.aclose()
        rest = Kept(self._received, self.etag)
        self._answer = await self._open.enter_async_context(self._source.open(self._url, rest))
        if self._answer.offset != self._received or self._answer.etag != self.etag:
            raise SourceError("the file has changed while it was copied, or cannot be had in parts")
