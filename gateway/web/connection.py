"""One HTTP connection: uvicorn's, but not for ever in the hands of a client that does not finish what it began."""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.telemetry import Bad
from gateway.web.places import Place

HEAD_WITHIN = 5.0
"""Seconds for the head of a request, and for what is left of a body that was answered already."""
BODY_WITHIN = 60.0
"""Seconds for the body of a request: the largest takes half of them over a slow line. Webhooks have less."""
LARGEST_HEAD = 16 * 1024
"""Bytes of URL and headers, as of gRPC's metadata."""
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Connection(HttpToolsProtocol):
    """Closes where a client owes the rest of a request for too long, or where a head does not come to an end.

    uvicorn bounds only the silence between two requests, and any byte ends that. While an answer is on its way nothing
    is owed, however long it takes: a watch lasts for hours.
    """

    def __init__(self, *arguments: Any, place: Place, bad: Callable[[Bad], None], **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._place = place
        self._bad = bad
        self._owed: asyncio.TimerHandle | None = None
        self._head: int | None = 0
        """Bytes of the head that is being read; None from its end to that of its request."""
        self._said = 0
        """Bytes of the URL and headers that were read whole."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A head is owed from the beginning."""
        super().connection_made(transport)
        self._place.idle(transport.abort)
        self._owes(HEAD_WITHIN)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody owes anything any more."""
        self._paid()
        self._place.leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """The first byte of a head begins its time; the others do not prolong it."""
        if self._head is not None:
            self._head += len(data)
            if self._owed is None and not self._answering:
                self._owes(HEAD_WITHIN)
        super().data_received(data)
        if self._head is not None and self._head > LARGEST_HEAD and not self.transport.is_closing():
            # One header may be longer than all that came by now: nothing of it was counted.
            self._refuse_head()

    def on_message_begin(self) -> None:
        """A head begins; others may have come in the same bytes."""
        super().on_message_begin()
        self._said = 0

    def on_url(self, url: bytes) -> None:
        """The first part of a head."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Any other. Applications read them as UTF-8."""
        self._count(len(name) + len(value))
        if not (name.isascii() and value.isascii()):
            (name + value).decode()
        super().on_header(name, value)

    def send_400_response(self, msg: str) -> None:
        """What the parser raised at is told, and the connection ends."""
        if self._said > LARGEST_HEAD:
            self._refuse_head()
        else:
            self._bad(Bad.ENCODING)
            super().send_400_response(msg)

    def on_headers_complete(self) -> None:
        """A request can be handled; its body is owed."""
        self._head = None
        self._place.busy()
        self._owes(BODY_WITHIN)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A request was read whole. Where it was answered before, uvicorn has no timer running."""
        self._head = 0
        self._paid()
        super().on_message_complete()
        if not self._answering:
            self._owes(HEAD_WITHIN)

    def on_response_complete(self) -> None:
        """A request was answered. uvicorn bounds the silence after it, but not what is left of this or the next."""
        super().on_response_complete()
        if not self._answering:
            self._place.idle(self.transport.abort)
        if self._head != 0 and not self._answering:
            self._owes(HEAD_WITHIN)

    def _count(self, size: int) -> None:
        self._said += size
        if self._said > LARGEST_HEAD:
            raise ValueError("the head is too large")  # for the parser it is a faulty request then

    def _refuse_head(self) -> None:
        self._bad(Bad.SIZE)
        self.transport.write(_TOO_LARGE)
        self.transport.close()

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _owes(self, seconds: float) -> None:
        self._paid()
        self._owed = self.loop.call_later(seconds, self._overdue)

    def _paid(self) -> None:
        if self._owed is not None:
            self._owed.cancel()
            self._owed = None

    def _overdue(self) -> None:
        self._owed = None
        if self.pipeline:
            self._owes(BODY_WITHIN)  # it is we who read nothing, while another request is answered
        elif self._head is None or not self._answering:
            if self._head != 0:
                self._bad(Bad.SLOW)
            self.transport.close()
