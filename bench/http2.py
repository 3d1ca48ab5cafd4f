"""A minimal HTTP/2 client for unary gRPC calls that spends a few microseconds on each, so that the load is not slow.

Headers are literals that are encoded once, and of the responses only the message and the status are read. A gRPC client
needs as much CPU time as a server, and would leave no core for the gateway on a machine with two.
"""

import asyncio
import struct
from collections.abc import Callable
from enum import IntEnum

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_MAX_WINDOW = (1 << 31) - 1
_FIRST_WINDOW = 65_535
_STATUS = b"grpc-status"
_CANCEL = 8
NO_STATUS = -1
"""Replaces the status if the server reset the call or the connection was lost."""


class _Type(IntEnum):
    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8


class _Setting(IntEnum):
    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3


_PREFIX = 5
"""Bytes of a message's prefix: whether it is compressed, and its length."""
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4


def head(method: str, deadline: float) -> bytes:
    """Return the encoded headers of a call. They use no header table, so that they are the same each time."""
    fields = {
        ":path": method,
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
        "grpc-timeout": f"{round(1000 * deadline)}m",
    }
    post, http = b"\x83", b"\x86"
    return post + http + b"".join(_literal(name) + _text(value) for name, value in fields.items())


def _literal(name: str) -> bytes:
    return b"\x00" + _text(name)


def _text(text: str) -> bytes:
    assert len(text) < 127
    return bytes([len(text)]) + text.encode()


def _frame(kind: _Type, flags: int, stream: int, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + content


class Connection(asyncio.Protocol):
    """A connection. `ended` is called with each call, its status, and its message, which is empty without one.

    `flush` sends the calls that were started.
    """

    def __init__(self, ended: Callable[[object, int, bytes], None]) -> None:
        self._ended = ended
        self._received = b""
        self._out: list[bytes] = []
        self._calls: dict[int, object] = {}
        self._data: dict[int, bytes] = {}
        """What has arrived of the messages."""
        self._next = 1
        self._most_calls = _MAX_WINDOW  # without a SETTINGS entry there is no limit
        self._window = _FIRST_WINDOW
        self._transport: asyncio.Transport
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self, head: bytes, message: bytes, call: object) -> int | None:
        """Start a call and return its stream number; None if the connection has reached its limit of calls."""
        size = _PREFIX + len(message)
        if len(self._calls) >= self._most_calls or size > self._window:
            return None
        number = self._next
        self._next += 2
        self._window -= size
        self._calls[number] = call
        self._out.append(_frame(_Type.HEADERS, _END_HEADERS, number, head))
        self._out.append(_frame(_Type.DATA, _END_STREAM, number, b"\0" + struct.pack(">I", len(message)) + message))
        return number

    def cancel(self, number: int) -> None:
        """Cancel a call."""
        if self._calls.pop(number, None) is not None:
            self._data.pop(number, None)
            self._out.append(_frame(_Type.RST_STREAM, 0, number, struct.pack(">I", _CANCEL)))

    def flush(self) -> None:
        """Send the started calls."""
        if self._out:
            self._transport.write(b"".join(self._out))
            self._out.clear()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        settings = struct.pack(">HIHI", _Setting.HEADER_TABLE_SIZE, 0, _Setting.ENABLE_PUSH, 0)
        grant = struct.pack(">I", _MAX_WINDOW - _FIRST_WINDOW)
        transport.write(_PREFACE + _frame(_Type.SETTINGS, 0, 0, settings) + _frame(_Type.WINDOW_UPDATE, 0, 0, grant))

    def connection_lost(self, error: Exception | None) -> None:
        self._most_calls = 0
        for number in list(self._calls):
            self._end(number, NO_STATUS)
        if not self.ready.done():
            self.ready.set_exception(error or ConnectionError("closed"))

    def data_received(self, data: bytes) -> None:
        received = self._received + data
        at = 0
        while len(received) - at >= 9:
            end = at + 9 + int.from_bytes(received[at : at + 3], "big")
            if len(received) < end:
                break
            number = int.from_bytes(received[at + 5 : at + 9], "big") & _MAX_WINDOW
            self._take(received[at + 3], received[at + 4], number, received[at + 9 : end])
            at = end
        self._received = received[at:]

    def _take(self, kind: int, flags: int, number: int, content: bytes) -> None:
        if kind == _Type.DATA:
            if number in self._calls:
                self._data[number] = self._data.get(number, b"") + content
        elif kind == _Type.HEADERS and flags & _END_STREAM:
            self._end(number, _status(content))
        elif kind == _Type.RST_STREAM:
            self._end(number, NO_STATUS)
        elif kind == _Type.WINDOW_UPDATE and not number:
            self._window += int.from_bytes(content, "big")
        elif kind == _Type.PING and not flags & _ACK:
            self._transport.write(_frame(_Type.PING, _ACK, 0, content))
        elif kind == _Type.SETTINGS and not flags & _ACK:
            for setting, value in struct.iter_unpack(">HI", content):
                if setting == _Setting.MAX_CONCURRENT_STREAMS:
                    self._most_calls = value
            self._transport.write(_frame(_Type.SETTINGS, _ACK, 0))
            if not self.ready.done():
                self.ready.set_result(None)

    def _end(self, number: int, status: int) -> None:
        call, data = self._calls.pop(number, None), self._data.pop(number, b"")
        if call is not None:
            self._ended(call, status, data[_PREFIX:])


def _status(trailers: bytes) -> int:
    """Return the number after the header's name; the server was asked not to use a header table."""
    at = trailers.find(_STATUS) + len(_STATUS)
    return int(trailers[at + 1 : at + 1 + trailers[at]])


async def connect(address: str, ended: Callable[[object, int, bytes], None]) -> Connection:
    """Connect to an address; returns a connection that is ready for calls."""
    host, port = address.rsplit(":", 1)
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(ended), host, int(port))
    await connection.ready
    return connection
