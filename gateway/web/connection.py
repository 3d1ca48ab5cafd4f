"""The protocol of an HTTP connection: uvicorn's, with limits on the size of a head and the time to send a request.

A response starts when its request has arrived completely, although the app may refuse a request before it reads the
body. Some clients stop writing and close the connection when a response starts, and lose it (ADR 0031).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.telemetry import Bad
from gateway.web.connection_limit import Slot

HEAD_WITHIN = 5.0
"""Seconds for the head of a request, and for the rest of a body that the app does not read: before the response starts,
and again after it."""
BODY_WITHIN = 60.0
"""Seconds for the body of a request. The largest body takes half of them over a slow line. Webhooks have less."""
LARGEST_HEAD = 16 * 1024
"""Bytes of the URL and the headers; the limit of gRPC's metadata is the same."""
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


_Message = MutableMapping[str, Any]


class Connection(HttpToolsProtocol):
    """Closes the connection if the client takes too long to send a request, or if its head is too large.

    uvicorn limits only the idle time between two requests, and a single byte ends that timeout. There is no timeout
    while a response is being sent, because a watch lasts for hours.

    `slot` is the slot of the connection; `bad` counts refused requests.
    """

    def __init__(self, *arguments: Any, slot: Slot, bad: Callable[[Bad], None], **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._app, self.app = self.app, self._serve
        self._slot = slot
        self._bad = bad
        self._timer: asyncio.TimerHandle | None = None
        self._head: int | None = 0
        """Bytes received of the head that is being read; None from the end of a head to the end of its request."""
        self._parsed = 0
        """Bytes of the URL and the headers that have been parsed."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._slot.idle(transport.abort)
        self._start_timer(HEAD_WITHIN)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._slot.release()
        super().connection_lost(exc)
        self.app = self._app  # `_serve` refers to this object: a reference cycle

    def data_received(self, data: bytes) -> None:
        """Start the timer with the first byte of a head; later bytes do not restart it."""
        if self._head is not None:
            self._head += len(data)
            if self._timer is None and not self._answering:
                self._start_timer(HEAD_WITHIN)
        super().data_received(data)
        if self._head is not None and self._head > LARGEST_HEAD and not self.transport.is_closing():
            # A header that is still incomplete has not been counted by the parser's callbacks.
            self._refuse_head()

    def on_message_begin(self) -> None:
        """Count anew: the same bytes may contain several heads."""
        super().on_message_begin()
        self._parsed = 0

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header, and refuse it if it is not UTF-8, as applications decode headers as UTF-8."""
        self._count(len(name) + len(value))
        if not (name.isascii() and value.isascii()):
            (name + value).decode()
        super().on_header(name, value)

    def send_400_response(self, msg: str) -> None:
        """Answer a request at which the parser raised, and close the connection."""
        if self._parsed > LARGEST_HEAD:
            self._refuse_head()
        else:
            self._bad(Bad.ENCODING)
            super().send_400_response(msg)

    def on_headers_complete(self) -> None:
        self._head = None
        self._slot.busy()
        self._start_timer(BODY_WITHIN)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Stop the timer of the body. If the request was answered early, uvicorn runs no timer for the next one."""
        self._head = 0
        self._stop_timer()
        super().on_message_complete()
        if not self._answering:
            self._start_timer(HEAD_WITHIN)

    def on_response_complete(self) -> None:
        """Limit the time for the rest of this request or of the next head; uvicorn limits only an idle connection."""
        super().on_response_complete()
        if not self._answering:
            self._slot.idle(self.transport.abort)
        if self._head != 0 and not self._answering:
            self._start_timer(HEAD_WITHIN)

    async def _serve(
        self,
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        """Run the app, and read the rest of the request before the response starts."""

        async def send_after_request(message: _Message) -> None:
            if message["type"] == "http.response.start" and self._request_arrives:
                await self._discard(receive)
            await send(message)

        await self._app(scope, receive, send_after_request)

    @property
    def _request_arrives(self) -> bool:
        """Whether more of the request that is being answered will arrive.

        If another request is queued behind it, it has arrived. A client that waits for `100 Continue` sends nothing.
        """
        return self._head is None and not self.pipeline and not self.cycle.waiting_for_100_continue

    async def _discard(self, receive: Callable[[], Awaitable[_Message]]) -> None:
        """Discard the rest of the request, for at most HEAD_WITHIN seconds. The connection counts as idle."""
        self._slot.idle(self.transport.abort)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEAD_WITHIN):
                while (await receive()).get("more_body"):
                    pass
        self._slot.busy()

    def _count(self, size: int) -> None:
        self._parsed += size
        if self._parsed > LARGEST_HEAD:
            raise ValueError("the head is too large")  # the parser reports it as an invalid request

    def _refuse_head(self) -> None:
        self._bad(Bad.SIZE)
        self.transport.write(_TOO_LARGE)
        self.transport.close()

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _start_timer(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, self._timed_out)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timed_out(self) -> None:
        self._timer = None
        if self.pipeline:
            self._start_timer(BODY_WITHIN)  # the gateway reads nothing while it answers an earlier request
        elif self._head is None or not self._answering:
            if self._head != 0:
                self._bad(Bad.SLOW)
            self.transport.close()
