"""The responses that faults cause, including those that no HTTP library would send."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from gateway.sandbox.faults import RAW_KINDS, Fault

_HTML = "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"
_DEFAULT_BODY = b'{"status":"queued","request_id":"00000000-0000-4000-8000-000000000000"}'
_DRIP_PAUSE = 0.1
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Ending = Literal["close", "reset", "hang"]


@dataclass(frozen=True)
class Script:
    """The bytes that are written in place of a response, and how the connection ends."""

    pieces: Sequence[bytes]
    ending: Ending
    pause: float = 0.0
    """Seconds before each piece."""


def script(fault: Fault, answer: bytes) -> Script:
    """Return the script of a raw fault. `answer` is the body of the real response."""
    body = answer or _DEFAULT_BODY
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    chunked = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    match fault.kind:
        case "reset":
            return Script([], "reset")
        case "close" | "lost":
            return Script([], "close")
        case "hang":
            return Script([], "hang")
        case "half":
            return Script([head, body[: len(body) // 2]], "close")
        case "half_reset":
            return Script([head, body[: len(body) // 2]], "reset")
        case "bad_chunk":
            return Script([chunked, b"ZZ\r\n"], "close")
        case "truncated_header":
            return Script([b"HTTP/1.1 200 OK\r\nContent-Le"], "close")
        case "garbage":
            return Script([b"\x00\x01\x02 this is no HTTP\r\n\r\n"], "close")
        case "drip":
            return Script([head, *(bytes([byte]) for byte in body)], "close", pause=fault.delay or _DRIP_PAUSE)
    raise ValueError(fault.kind)


class RawResponse(web.StreamResponse):
    """A response that writes a script to the transport, bypassing aiohttp's head and framing."""

    def __init__(self, script: Script) -> None:
        super().__init__()
        self._script = script

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write the script and close the connection, so that aiohttp writes nothing after it."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client is gone")
        for piece in self._script.pieces:
            await asyncio.sleep(self._script.pause)
            transport.write(piece)
        if self._script.ending == "hang":
            # Canceled when the client closes the connection or the sandbox stops.
            await asyncio.Event().wait()
        if self._script.ending == "reset":
            connection: socket.socket = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            transport.abort()
        transport.close()
        raise ConnectionResetError("closed on purpose")


async def respond_with_fault(fault: Fault | None, respond: Callable[[], Awaitable[web.Response]]) -> web.StreamResponse:
    """Return the response of `respond`, changed or replaced by a fault, which may also keep it from being called."""
    if fault is None:
        return await respond()
    response = await respond() if fault.processed else None
    await fault.wait()
    return apply_fault(fault, response)


def apply_fault(fault: Fault, answer: web.Response | None) -> web.StreamResponse:
    """Return the response with the fault. `answer` is the real response; None if the call was not processed."""
    body = answer.body if answer is not None and isinstance(answer.body, bytes) else b""
    if fault.kind in RAW_KINDS:
        return RawResponse(script(fault, body))
    if fault.patch is not None and body:
        return _json(answer.status if answer else 200, {**json.loads(body), **fault.patch}, fault)
    if fault.kind == "html":
        return _response(fault.status or 502, _HTML, "text/html", fault)
    if isinstance(fault.body, str):
        return _response(_status(fault), fault.body, "text/plain", fault)
    if fault.body is None and not fault.kind and fault.status is None and answer is not None:
        answer.headers.update(fault.headers)
        return answer
    return _json(_status(fault), {"detail": "A fault of the sandbox"} if fault.body is None else fault.body, fault)


def _status(fault: Fault) -> int:
    return fault.status or (int(fault.kind) if fault.kind else 200)


def _json(status: int, body: object, fault: Fault) -> web.Response:
    return _response(status, json.dumps(body), "application/json", fault)


def _response(status: int, text: str, content_type: str, fault: Fault) -> web.Response:
    response = web.Response(status=status, text=text, content_type=content_type)
    response.headers.update(fault.headers)  # with a Content-Type among them, the constructor would raise
    return response
