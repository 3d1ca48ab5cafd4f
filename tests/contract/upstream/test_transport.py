"""The transport over a real socket: a processed request is never reported as certainly unsent."""

import asyncio
import json
import socket
import struct
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import aiohttp.connector
import httpx
import pytest
from aiohttp.client_proto import ResponseHandler

from gateway.higgsfield.request_context import send_check
from gateway.higgsfield.transport import AioTransport, Reply
from tests.support.addresses import free_address
from tests.support.running import WAIT_TIMEOUT, eventually

MAX_BYTES = 100
HOUR = 3600.0
"""The timeouts of the clients here, longer than a test may take."""
CERTAIN = (httpx.ConnectError, httpx.ConnectTimeout)

UNASKED = b"HTTP/1.1 422 Unprocessable Entity\r\nContent-Length: 15\r\n\r\n" + b'{"detail":"no"}'


class Peer:
    """An HTTP server that records each complete request and then misbehaves as the path says."""

    def __init__(self) -> None:
        self.processed: list[bytes] = []
        self.closed = asyncio.Event()
        self.unasked = asyncio.Event()
        """Set by a test: the response without a request is sent now."""
        self.connections = 0
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lengths = [
                    int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line
                ]
                await reader.readexactly(lengths[0] if lengths else 0)
                self.processed.append(head)
                if not await self.misbehave(head.split(b" ")[1].decode().split("?")[0], reader, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            self.closed.set()
        finally:
            writer.close()

    async def misbehave(self, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        half = b'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"x":'
        raw = {
            "/close": b"",
            "/garbage": b"\x00\x01garbage\r\n\r\n",
            "/part-of-a-head": b"HTTP/1.1 200 OK\r\nContent-Le",
            "/half-a-body": half,
            "/bad-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        }
        whole = {
            "/encoded": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
            "/long": b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n" + b"x" * 101,
            "/longest": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 100,
            "/identity": b"HTTP/1.1 200 OK\r\nContent-Encoding: Identity\r\nContent-Length: 2\r\n\r\n{}",
            "/no-encoding": b"HTTP/1.1 200 OK\r\nContent-Encoding:\r\nContent-Length: 2\r\n\r\n{}",
            "/empty": b"HTTP/1.1 204 No Content\r\n\r\n",
        }
        if path in whole:
            writer.write(whole[path])
            await writer.drain()
            return True
        if path in raw:
            writer.write(raw[path])
            await writer.drain()
            return False
        if path == "/hang":
            await reader.read()
            self.closed.set()
            return False
        if path in {"/reset", "/reset-after-half"}:
            if path == "/reset-after-half":
                writer.write(half)
                await writer.drain()
                await asyncio.sleep(0.02)
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
            return False
        writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        if path == "/unasked":
            await self.unasked.wait()
            writer.write(UNASKED)
            await writer.drain()
        return True


@asynccontextmanager
async def peer() -> AsyncIterator[Peer]:
    it = Peer()
    server = await asyncio.start_server(it.handle, "127.0.0.1", 0)
    it.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield it
    finally:
        server.close()


class Client:
    """The transport as the adapter calls it, with the methods of httpx's client that these tests use."""

    def __init__(self, transport: AioTransport) -> None:
        self._transport = transport

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.aclose()

    async def post(self, url: str, *, json: object, headers: Mapping[str, str] | None = None) -> Reply:
        return await self._exchange("POST", url, headers or {}, _json(json))

    async def get(self, url: str) -> Reply:
        return await self._exchange("GET", url, {}, b"")

    async def _exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        parsed = httpx.URL(url)
        try:
            async with asyncio.timeout(50 * HOUR):  # longer than the time to connect, as in the adapter
                return await self._transport.exchange(
                    method, parsed, parsed.raw_path.decode(), headers, body, connect=HOUR, max_bytes=MAX_BYTES
                )
        except TimeoutError as error:
            raise httpx.ReadTimeout("the caller's timeout") from error


def _json(content: object) -> bytes:
    return json.dumps(content).encode()


def client() -> Client:
    return Client(AioTransport(keepalive=HOUR))


FAULTS = [
    "/close", "/reset", "/garbage", "/part-of-a-head", "/half-a-body", "/bad-chunk", "/reset-after-half", "/hang",
]  # fmt: skip


@pytest.mark.parametrize("path", FAULTS)
async def test_a_processed_request_never_looks_certainly_unsent(path: str) -> None:
    async with peer() as upstream, client() as http:
        call = asyncio.create_task(http.post(upstream.url + path, json={"a": 1}))
        await eventually(lambda: call.done() or bool(upstream.processed))
        if path == "/hang":
            await let_timers_end(call)
        with pytest.raises(httpx.TransportError) as failed:
            await call
        assert len(upstream.processed) == 1
        assert not isinstance(failed.value, CERTAIN)


async def let_timers_end(call: asyncio.Task[Any]) -> None:
    """Advance the time of the event loop until a call has ended."""
    loop = asyncio.get_running_loop()
    with pytest.MonkeyPatch.context() as patched:
        for hours in range(100):
            patched.setattr(loop, "time", lambda ahead=hours * HOUR: time.monotonic() + ahead)
            await asyncio.sleep(0)
            if call.done():
                return
    raise AssertionError("the call has no timeout")


async def test_no_connection_is_certain() -> None:
    async with client() as http:
        for url in (f"http://{free_address()}/x", "http://no-such-host.invalid/x"):
            with pytest.raises(httpx.ConnectError):
                await http.post(url, json={})


async def test_a_tls_failure_is_certain() -> None:
    async def not_tls(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"this is no TLS\r\n")
        writer.close()

    server = await asyncio.start_server(not_tls, "127.0.0.1", 0)
    async with server, client() as http:
        with pytest.raises(httpx.ConnectError):
            await http.post(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/ok", json={})


async def test_a_refused_send_check_sends_nothing() -> None:
    async with peer() as upstream, client() as http:
        token = send_check.set(lambda: False)
        try:
            with pytest.raises(httpx.ConnectTimeout):
                await http.post(upstream.url + "/ok", json={})
        finally:
            send_check.reset(token)
        assert upstream.processed == []
        assert upstream.connections == 1


async def test_a_canceled_call_closes_its_socket() -> None:
    async with peer() as upstream, client() as http:
        call = asyncio.create_task(http.post(upstream.url + "/hang", json={}))
        await eventually(lambda: bool(upstream.processed))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        async with asyncio.timeout(WAIT_TIMEOUT):
            await upstream.closed.wait()


async def test_requests_are_sent_unchanged_and_without_cookies() -> None:
    async with peer() as upstream, client() as http:
        url = upstream.url.replace("127.0.0.1", "localhost")  # aiohttp keeps no cookies of an IP address
        path = "/p?hf_webhook=https%3A%2F%2Fg.test%2Fw%2FaB%2Bc%20d&x=%7E"
        await http.post(url + path, json={}, headers={"Idempotency-Key": "k"})
        await http.get(url + "/q")
        first, second = upstream.processed
        assert first.split(b"\r\n")[0] == b"POST " + path.encode() + b" HTTP/1.1"
        assert b"idempotency-key: k" in first.lower()
        assert b"cookie" not in second.lower()


async def test_a_proxy_of_the_environment_gets_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"http_proxy": f"http://{free_address()}", "no_proxy": "", "NO_PROXY": ""}.items():
        monkeypatch.setenv(name, value)
    async with peer() as upstream, client() as http:
        await http.get(upstream.url + "/a")
        assert len(upstream.processed) == 1


async def test_an_idle_connection_is_reused_only_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    async with peer() as upstream, client() as http:
        await http.get(upstream.url + "/a")
        await http.get(upstream.url + "/b")
        assert upstream.connections == 1
        monkeypatch.setattr(aiohttp.connector, "monotonic", lambda: time.monotonic() + HOUR + 1)
        await http.get(upstream.url + "/c")
        assert upstream.connections == 2


async def test_a_response_on_an_idle_connection_is_not_that_of_the_next_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise a refusal without a request would say that a processed submission was certainly refused."""
    received = bytearray()
    data_received = ResponseHandler.data_received

    def record(protocol: ResponseHandler, data: bytes) -> None:
        data_received(protocol, data)
        received.extend(data)

    monkeypatch.setattr(ResponseHandler, "data_received", record)
    async with peer() as upstream, client() as http:
        await http.get(upstream.url + "/unasked")
        upstream.unasked.set()
        await eventually(lambda: received.endswith(UNASKED))
        reply = await http.post(upstream.url + "/a", json={})
        assert reply.status == 200
        assert upstream.connections == 2


def with_credentials() -> Client:
    return Client(AioTransport(headers={"Authorization": "Key a:b"}))


@pytest.mark.parametrize("path", ["/encoded", "/long"])
async def test_an_oversized_or_encoded_response_is_ambiguous(path: str) -> None:
    async with peer() as upstream, with_credentials() as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.post(upstream.url + path, json={})
        assert len(upstream.processed) == 1


@pytest.mark.parametrize("path", ["/identity", "/no-encoding"])
async def test_a_response_that_says_it_is_not_encoded_is_read(path: str) -> None:
    """Codings are case-insensitive (RFC 9110, 8.4.1)."""
    async with peer() as upstream, with_credentials() as http:
        assert (await http.post(upstream.url + path, json={})).body == b"{}"


async def test_a_response_within_the_limits_returns_its_connection() -> None:
    async with peer() as upstream, with_credentials() as http:
        for path, status, body in (("/longest", 200, b"x" * MAX_BYTES), ("/empty", 204, b""), ("/a", 200, b"{}")):
            reply = await http.get(upstream.url + path)
            assert (reply.status, reply.body) == (status, body)
        assert reply.headers["set-cookie"] == "a=b"
        assert upstream.connections == 1


async def test_the_headers_of_the_transport_are_sent_with_every_request() -> None:
    async with peer() as upstream, with_credentials() as http:
        await http.get(upstream.url + "/a")
        await http.post(upstream.url + "/b", json={}, headers={"Idempotency-Key": "k"})
    for head in upstream.processed:
        assert b"\r\nAuthorization: Key a:b\r\n" in head
        assert head.lower().count(b"\r\nhost: ") == 1
    names = [line.split(b":")[0].lower() for line in upstream.processed[1].strip().split(b"\r\n")[1:]]
    assert sorted(names) == [b"authorization", b"content-length", b"host", b"idempotency-key"]
