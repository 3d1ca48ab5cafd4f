"""The protocol of an HTTP connection: uvicorn's, with limits on the size of a head and the time to send a request.

A response starts when its request has arrived completely, although the app may refuse a request before it reads the
body. Some clients stop writing and close the connection when a response starts, and lose it (ADR 0031).
"""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.telemetry import Rejection
from gateway.web.connection_limit import Slot

HEAD_TIMEOUT = 5.0
"""Seconds for the head of a request, and for the rest of a body that the app does not read: before the response starts,
and again after it."""
BODY_TIMEOUT = 60.0
"""Seconds for BODY_PART_BYTES of a body, or for a smaller body. Webhooks have less."""
BODY_PART_BYTES = 1 << 20
"""Only an upload is much larger; it may take as long as it makes progress."""
READ_TIMEOUT = 60.0
"""Seconds in which a client that has a response with a Content-Length must read some of it."""
MAX_HEAD_BYTES = 16 * 1024
"""Bytes of the URL and the headers; the limit of gRPC's metadata is the same. Also of the trailers after a body."""
MAX_QUEUED = 32
"""Requests that wait on one connection behind the one that is being answered. A single read may contain thousands."""
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_UPGRADE = "This port serves HTTP/1.1 and does not upgrade: send the request without the Upgrade header."
_Message = MutableMapping[str, Any]


class Connection(HttpToolsProtocol):
    """Closes the connection if the client takes too long to send a request, or if its head is too large.

    uvicorn limits only the idle time between two requests, and a single byte ends that timeout. While a response is
    being sent, only one with a Content-Length has a timeout, because a watch lasts for hours.

    `slot` is the slot of the connection; `count_rejection` counts refused requests.
    """

    def __init__(self, *arguments: Any, slot: Slot, count_rejection: Callable[[Rejection], None], **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._app, self.app = self.app, self._serve
        self._slot = slot
        self._count_rejection = count_rejection
        self._timer: asyncio.TimerHandle | None = None
        self._head: int | None = 0
        """Bytes received of the head that is being read; None from the end of a head to the end of its request."""
        self._parsed = 0
        """Bytes of the URL and the headers that have been parsed."""
        self._without_body = 0
        """Bytes received since the last part of the body, while one is being read: sizes of chunks, and trailers."""
        self._of_part = 0
        """Bytes received of the current part of a body."""
        self._received = b""
        """The bytes that are being parsed."""
        self._refused = ""
        """Why the request is refused; "" if it is not valid HTTP."""
        self._finite = False
        """Whether the response that is being sent has a Content-Length."""
        self._unread = 0
        """Bytes that waited for the client to read when that was last examined."""
        self._stalled: asyncio.TimerHandle | None = None
        self._answered: RequestResponseCycle | None = None
        """The request that is being answered. `cycle` of uvicorn is the last one that has arrived."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._slot.idle(transport.abort)
        self._start_timer(HEAD_TIMEOUT)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stop_stalled()
        self._slot.release()
        super().connection_lost(exc)
        if self._answered is not None and not self._answered.response_complete:
            # uvicorn reports this only to the last request that has arrived.
            self._answered.disconnected = True
            self._answered.message_event.set()
        self.pipeline.clear()
        self.app = self._app  # `_serve` refers to this object: a reference cycle

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def data_received(self, data: bytes) -> None:
        """Start the timer with the first byte of a head; later bytes do not restart it."""
        if self._head is not None:
            self._head += len(data)
            if self._timer is None and not self._answering:
                self._start_timer(HEAD_TIMEOUT)
        else:
            self._without_body += len(data)
        self._received = data
        super().data_received(data)
        self._received = b""
        if self._head is None and self._without_body > MAX_HEAD_BYTES:
            self._count_rejection(Rejection.SIZE)
            self.transport.abort()  # the response may have started
        if self._head is not None and self._head > MAX_HEAD_BYTES and not self.transport.is_closing():
            # A header that is still incomplete has not been counted by the parser's callbacks.
            self._refuse_head()

    def _unsupported_upgrade_warning(self) -> None:
        """Parse what has arrived behind a request for an upgrade, which the parser leaves to the other protocol."""
        upgrade = sys.exception()
        assert upgrade is not None
        (end,) = upgrade.args
        if rest := self._received[end:]:
            self._received = rest
            super().data_received(rest)

    def on_message_begin(self) -> None:
        """Begin to count the size of another head. Refuse a request behind MAX_QUEUED others."""
        if len(self.pipeline) >= MAX_QUEUED:
            raise ValueError("too many requests are queued")
        super().on_message_begin()
        self._parsed = 0
        self._head = self._head or 1  # it is 0 if the head begins in the bytes that were counted for another request

    def on_url(self, url: bytes) -> None:
        """Count the URL, and refuse a fragment: a proxy that refuses /metrics may not know it as /metrics#x."""
        self._count(len(url))
        if b"#" in url:
            raise ValueError("the URL has a fragment")
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header, and refuse it if it is not UTF-8, as applications decode headers as UTF-8."""
        self._count(len(name) + len(value))
        if self._head is None:
            return  # a trailer of the body, which must not be taken for a header of the request (RFC 9110, 6.5.1)
        value.decode()  # the parser accepts names of ASCII only
        super().on_header(name, value)

    def send_400_response(self, msg: str) -> None:
        """Respond to a request at which the parser raised, and close the connection."""
        if self._parsed > MAX_HEAD_BYTES:
            self._refuse_head()
            return
        self._count_rejection(Rejection.SIZE if len(self.pipeline) >= MAX_QUEUED else Rejection.ENCODING)
        if self._answering:
            self.transport.abort()  # a 400 would be taken for the response to the request that is being answered
        else:
            super().send_400_response(self._refused or msg)

    def on_headers_complete(self) -> None:
        """Refuse a body in a request for an upgrade: the parser takes the body for the other protocol."""
        if self.parser.should_upgrade() and any(map(_announces_body, self.headers)):
            self._refused = _UPGRADE
            raise ValueError(_UPGRADE)
        self._head = None
        self._without_body = self._of_part = 0
        self._start_timer(BODY_TIMEOUT)
        super().on_headers_complete()
        self._mark_busy()

    def on_body(self, body: bytes) -> None:
        self._without_body = 0
        self._of_part += len(body)
        if self._of_part >= BODY_PART_BYTES and self._answering:
            self._of_part = 0
            self._start_timer(BODY_TIMEOUT)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Stop the timer of the body. If the request was answered early, uvicorn runs no timer for the next one."""
        self._head = 0
        self._stop_timer()
        super().on_message_complete()
        if not self._answering:
            self._start_timer(HEAD_TIMEOUT)

    def on_response_complete(self) -> None:
        """Limit the time for the rest of this request or of the next head; uvicorn limits only an idle connection."""
        super().on_response_complete()
        if not self._answering:
            self._slot.idle(self.transport.abort)
        if self._head != 0 and not self._answering:
            self._start_timer(HEAD_TIMEOUT)

    def pause_writing(self) -> None:
        """Count as idle while the client does not read, because a watch has no time limit."""
        super().pause_writing()
        self._slot.idle(self.transport.abort)
        if self._finite:
            self._expect_reading()

    def _expect_reading(self) -> None:
        self._unread = self.transport.get_write_buffer_size()
        self._stalled = self.loop.call_later(READ_TIMEOUT, self._examine_reading)

    def _examine_reading(self) -> None:
        if self.transport.get_write_buffer_size() < self._unread:
            self._expect_reading()
        else:
            self._count_rejection(Rejection.SLOW)
            self.transport.abort()

    def _stop_stalled(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_stalled()
        if self._answering:
            self._slot.busy()

    async def _serve(
        self,
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        """Run the app, and read the rest of the request before the response starts."""
        # As it was sent: a proxy that refuses a path may not know its other forms, such as /%6detrics for /metrics.
        scope["path"] = scope["raw_path"].decode()

        async def send_after_request(message: _Message) -> None:
            if message["type"] == "http.response.start":
                if self._request_arrives:
                    await self._discard(receive)
                self._finite = any(name.lower() == b"content-length" for name, _ in message.get("headers", ()))
            await send(message)

        with contextlib.suppress(asyncio.CancelledError):  # at a stop, uvicorn would log it as an error of the app
            await self._app(scope, receive, send_after_request)

    @property
    def _request_arrives(self) -> bool:
        """Whether more of the request that is being answered will arrive.

        If another request is queued behind it, it has arrived. A client that waits for `100 Continue` sends nothing.
        """
        return self._head is None and not self.pipeline and not self.cycle.waiting_for_100_continue

    async def _discard(self, receive: Callable[[], Awaitable[_Message]]) -> None:
        """Discard the rest of the request, for at most HEAD_TIMEOUT seconds. The connection counts as idle."""
        self._slot.idle(self.transport.abort)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEAD_TIMEOUT):
                while (await receive()).get("more_body"):
                    pass
        self._mark_busy()

    def _mark_busy(self) -> None:
        """Count the connection as busy, unless its client does not read: then it still counts as idle."""
        if not self.flow.write_paused:
            self._slot.busy()

    def _count(self, size: int) -> None:
        self._parsed += size
        if self._parsed > MAX_HEAD_BYTES:
            raise ValueError("the head is too large")  # the parser reports it as an invalid request

    def _refuse_head(self) -> None:
        self._count_rejection(Rejection.SIZE)
        if self._answering:
            self.transport.abort()  # as in `send_400_response`
        else:
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    @property
    def _answering(self) -> bool:
        return self._answered is not None and not self._answered.response_complete

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
            self._start_timer(BODY_TIMEOUT)  # the gateway reads nothing while it answers an earlier request
            return
        if self._head != 0:
            self._count_rejection(Rejection.SLOW)
        self.transport.close()


def _announces_body(header: tuple[bytes, bytes]) -> bool:
    name, value = header
    return name == b"transfer-encoding" or (name == b"content-length" and value.strip() != b"0")
