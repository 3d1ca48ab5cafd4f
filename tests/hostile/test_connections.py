"""Idle connections: each port limits them and continues to serve active callers."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import re
import resource
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from grpc._cython import cygrpc
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from gateway.certificates import Certificates
from gateway.process import listening, serving
from gateway.process.listening import listen
from gateway.settings.values import Address
from gateway.telemetry import LINES_PERIOD, MAX_LINES, LogRateLimit, Rejection
from gateway.web import connection
from gateway.web import server as web_server
from gateway.web.connection_limit import ConnectionLimit
from gateway.web.server import WebServer
from hfgateway.v1 import generation_service_pb2 as pb
from tests.app.certificates import Authority
from tests.durability.process import GatewayProcess, stub
from tests.hostile.conftest import Start, connected
from tests.support.running import WAIT_TIMEOUT, eventually
from tests.support.silence import fall_silent, needs_silence

LIMIT = 256
"""Open files of the gateway under attack; a quarter of them is reserved for other uses than connections."""
ATTACK = 400
"""Concurrent connections, more than the gateway may open."""
_LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def process(folder: Path, *, soft: int, hard: int) -> GatewayProcess:
    """Return a gateway process with these limits on open files."""
    launcher = (sys.executable, "-c", _LIMITED.format(soft=soft, hard=hard))
    return GatewayProcess(folder, "http://127.0.0.1:9", launcher=launcher)


@asynccontextmanager
async def idle_connections(address: str, count: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    """Open `count` connections that send nothing; refused connections are among them."""
    async with AsyncExitStack() as stack:
        readers = []
        for _ in range(count):
            reader, _writer = await stack.enter_async_context(connected(address))
            readers.append(reader)
        yield readers


async def assert_answers(channel: grpc.aio.Channel) -> None:
    """Fail unless the gateway answers a call on this channel."""
    async with asyncio.timeout(WAIT_TIMEOUT):
        answer = await stub(channel).ListGenerations(pb.ListGenerationsRequest(), wait_for_ready=True)
    assert list(answer.generations) == []


async def metrics(address: str) -> str:
    async with (
        asyncio.timeout(WAIT_TIMEOUT),
        aiohttp.ClientSession() as session,
        session.get(address + "/metrics") as got,
    ):
        return await got.text()


async def test_idle_connections_do_not_block_the_http_port(tmp_path: Path) -> None:
    async with process(tmp_path, soft=LIMIT, hard=LIMIT) as gateway:
        async with gateway.channel() as channel, idle_connections(gateway.http_address, ATTACK):
            assert 'hfgateway_bad_requests_total{reason="connections"}' in await metrics(gateway.http_address)
            await assert_answers(channel)
        assert await gateway.terminate() == 0


async def test_idle_connections_do_not_block_connected_grpc_callers(tmp_path: Path) -> None:
    async with process(tmp_path, soft=LIMIT, hard=LIMIT) as gateway, gateway.channel() as channel:
        await assert_answers(channel)
        async with idle_connections(gateway.address, ATTACK):
            await assert_answers(channel)
            assert "hfgateway_" in await metrics(gateway.http_address)
        async with gateway.channel() as newcomer:
            await assert_answers(newcomer)


async def test_the_soft_limit_of_open_files_is_raised(tmp_path: Path) -> None:
    async with process(tmp_path, soft=128, hard=512) as gateway:
        limits = Path(f"/proc/{gateway.pid}/limits").read_text()
        found = re.search(r"Max open files +(\d+)", limits)
        assert found is not None
        assert int(found[1]) == 512


@asynccontextmanager
async def server(
    certificates: Certificates | None = None, more: Sequence[Route] = ()
) -> AsyncIterator[tuple[WebServer, str, list[Rejection]]]:
    """Start a server that accepts two connections; yield it, its address, and the bad requests that it counted."""
    counted: list[Rejection] = []
    held = asyncio.Event()

    async def hold(_: Request) -> Response:
        await held.wait()
        return PlainTextResponse("held")

    async def now(_: Request) -> Response:
        return PlainTextResponse("now")

    listening = listen("HTTP_ADDRESS", Address("127.0.0.1", 0))
    host, port = listening.getsockname()[:2]
    app = Starlette(routes=[Route("/hold", hold), Route("/now", now), *more])
    web = WebServer(app, [listening], certificates=certificates, max_connections=2, count_rejection=counted.append)
    await web.start()
    try:
        yield web, f"{host}:{port}", counted
    finally:
        held.set()
        await web.stop()


GET = b"GET /%s HTTP/1.1\r\nhost: localhost\r\n\r\n"


async def test_the_longest_idle_connection_is_closed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT", 10 * WAIT_TIMEOUT)
    async with (
        server() as (web, address, counted),
        connected(address) as (first, _),
        connected(address) as (second, ask),
    ):
        ask.write(GET % b"now")
        await second.readuntil(b"now")
        async with connected(address) as (third, asking):
            asking.write(GET % b"now")
            await third.readuntil(b"now")
            assert await until_closed(first) == b""
            assert not second.at_eof()
            assert (web.connections, counted) == (2, [Rejection.CONNECTIONS])
            async with connected(address) as (fourth, asks):
                asks.write(GET % b"now")
                await fourth.readuntil(b"now")
                assert await until_closed(second) == b""
                assert not third.at_eof()


async def test_an_idle_connection_stays_open_for_longer_than_clients_reuse_it() -> None:
    async with server() as (web, address, _), connected(address) as (answer, ask):
        ask.write(GET % b"now")
        await answer.readuntil(b"now")
        (idle,) = web._server.server_state.connections
        await eventually(lambda: idle.timeout_keep_alive_task is not None)
        assert idle.timeout_keep_alive_task.when() - asyncio.get_running_loop().time() > 60.0


async def test_a_connection_with_a_refused_request_makes_room_before_its_body_arrives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT", 10 * WAIT_TIMEOUT)
    begun: list[Request] = []

    async def refuse(request: Request) -> Response:
        begun.append(request)
        return PlainTextResponse("refused", status_code=403)

    async with (
        server(more=[Route("/refuse", refuse, methods=["POST"])]) as (web, address, counted),
        connected(address) as (first, one),
        connected(address) as (_, other),
    ):
        for writer in (one, other):
            writer.write(b"POST /refuse HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n")
        await eventually(lambda: len(begun) >= 2 and len(web._limit._idle) >= 2)
        async with connected(address) as (third, asking):
            asking.write(GET % b"now")
            await third.readuntil(b"now")
            assert await first.read() == b""
        assert counted == [Rejection.CONNECTIONS]


async def test_a_connection_is_busy_again_when_the_rest_of_a_request_has_arrived() -> None:
    go_on = asyncio.Event()

    async def begin(_: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"begun"
            await go_on.wait()

        return StreamingResponse(parts())

    async with (
        server(more=[Route("/begin", begin, methods=["POST"])]) as (web, address, _),
        connected(address) as (answer, ask),
    ):
        ask.write(b"POST /begin HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n")
        await eventually(lambda: bool(web._server.server_state.tasks and web._limit._idle))
        ask.write(b"123456789")
        await answer.readuntil(b"begun")
        assert not web._limit._idle
        go_on.set()


async def test_a_connection_whose_client_does_not_read_makes_room() -> None:
    async def large(_: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(64):  # more than the sockets and the reader keep
                yield bytes(1 << 20)

        return StreamingResponse(parts(), headers={"content-length": str(64 << 20)})

    async with (
        server(more=[Route("/large", large)]) as (web, address, counted),
        connected(address) as (first, one),
        connected(address) as (second, other),
    ):
        for reader, writer in ((first, one), (second, other)):
            writer.write(GET % b"large")
            await reader.readuntil(b"\r\n\r\n")
        await eventually(lambda: len(web._limit._idle) == 2)
        async with connected(address) as (third, asking):
            asking.write(GET % b"now")
            await third.readuntil(b"now")
            assert counted == [Rejection.CONNECTIONS]
            async with asyncio.timeout(WAIT_TIMEOUT):
                await second.readexactly(64 << 20)  # it continues when its client reads


@pytest.mark.parametrize(
    "behind", [b"GET /now HTTP/1.1\r\n\r\n", b"POST /refuse HTTP/1.1\r\ncontent-length: 9\r\n\r\n"]
)
async def test_another_request_does_not_keep_the_connection_of_a_client_that_does_not_read(behind: bytes) -> None:
    async def refuse(_: Request) -> Response:
        return PlainTextResponse("refused", status_code=403)

    routes = [
        Route("/large", lambda _: Response(bytes(64 << 20))),
        Route("/refuse", refuse, methods=["POST"]),
    ]
    async with (
        server(more=routes) as (web, address, counted),
        connected(address) as (_, one),
        connected(address) as (_, other),
    ):
        for writer in (one, other):
            writer.write(GET % b"large")
        connections = web._server.server_state.connections
        await eventually(lambda: len(connections) == 2 and all(one._stalled for one in connections))
        for writer in (one, other):
            writer.write(behind)
        await eventually(lambda: all(one._answering for one in connections))
        if b"POST" in behind:
            for writer in (one, other):
                writer.write(b"123456789")
        await eventually(lambda: all(one.flow._is_writable_event._waiters for one in connections))
        async with connected(address) as (third, asking):
            asking.write(GET % b"now")
            await third.readuntil(b"now")
        assert counted == [Rejection.CONNECTIONS]


async def test_a_client_that_reads_nothing_of_a_finite_response_is_disconnected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "READ_TIMEOUT", 0.2)

    async def stream(_: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(64):
                yield bytes(1 << 20)

        return StreamingResponse(parts())

    routes = [Route("/stream", stream), Route("/large", lambda _: Response(bytes(64 << 20)))]
    async with (
        server(more=routes) as (web, address, counted),
        connected(address) as (streamed, one),
        connected(address) as (_, other),
    ):
        one.write(GET % b"stream")
        await eventually(lambda: len(web._limit._idle) == 2)
        other.write(GET % b"large")
        await eventually(lambda: web.connections == 1)
        assert counted == [Rejection.SLOW]
        async with asyncio.timeout(WAIT_TIMEOUT):
            await streamed.readexactly(64 << 20)


async def test_a_stop_does_not_wait_for_idle_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_server, "DRAIN_TIMEOUT", 10 * WAIT_TIMEOUT)
    async with server() as (web, address, _), connected(address) as (answer, ask):
        ask.write(GET % b"now")
        await answer.readuntil(b"now")
        async with asyncio.timeout(WAIT_TIMEOUT):
            await web.stop()


async def test_a_stop_cancels_requests_that_do_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_server, "DRAIN_TIMEOUT", 0.1)
    async with server() as (web, address, _), connected(address) as (_answer, ask):
        ask.write(GET % b"hold")
        await eventually(lambda: bool(web._server.server_state.tasks))
        await web.stop()
        assert not web._server.server_state.tasks


async def test_a_stop_sends_the_rest_of_a_response(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_server, "DRAIN_TIMEOUT", 10 * WAIT_TIMEOUT)
    routes = [Route("/large", lambda _: Response(bytes(64 << 20)))]
    async with server(more=routes) as (web, address, _), connected(address) as (reader, writer):
        writer.write(GET % b"large")
        await eventually(lambda: any(one._stalled for one in web._server.server_state.connections))
        stopping = asyncio.create_task(web.stop())
        async with asyncio.timeout(WAIT_TIMEOUT):
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(64 << 20)
            await stopping


async def test_a_port_without_a_free_file_descriptor_accepts_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(web_server, "ACCEPT_RETRY_DELAY", 0.01)
    async with server() as (_, address, _counted):
        host, port = address.split(":")
        wire = socket.socket()
        wire.setblocking(False)
        free = os.dup(wire.fileno())
        os.close(free)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        try:
            await asyncio.get_running_loop().sock_connect(wire, (host, int(port)))
            await eventually(lambda: "cannot accept a connection" in caplog.text)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        reader, writer = await asyncio.open_connection(sock=wire)
        writer.write(GET % b"now")
        async with asyncio.timeout(WAIT_TIMEOUT):
            await reader.readuntil(b"now")
        writer.close()


async def test_a_client_that_leaves_before_its_connection_is_accepted_delays_no_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    aborted, accept = [ConnectionAbortedError()], socket.socket.accept

    def accept_after(listening: socket.socket) -> Any:
        if aborted:
            raise aborted.pop()
        return accept(listening)

    monkeypatch.setattr(socket.socket, "accept", accept_after)
    async with server() as (_, address, _counted), connected(address) as (reader, writer):
        writer.write(GET % b"now")
        async with asyncio.timeout(WAIT_TIMEOUT):
            await reader.readuntil(b"now")
    assert not aborted
    assert "cannot accept a connection" not in caplog.text


@pytest.mark.parametrize("iterations", range(4))
async def test_a_connection_that_arrives_during_a_stop_is_closed(iterations: int) -> None:
    """In each of these iterations of the event loop, the stop is at another step."""
    clients: list[socket.socket] = []
    with listen("HTTP_ADDRESS", Address("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
        web = WebServer(Starlette(), [listening])
        await web.start()
        stopping = asyncio.create_task(web.stop())
        for _ in range(iterations):
            await asyncio.sleep(0)
        with contextlib.suppress(ConnectionRefusedError):  # in the last iterations
            clients.append(socket.create_connection(address, WAIT_TIMEOUT))
        await stopping
    gc.collect()  # a socket that was left open is a warning, which fails the test
    for client in clients:
        with client, contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    assert not web.connections


async def test_a_server_that_fails_to_start_reports_that(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("gateway.web.server._Uvicorn.startup", fail)
    with listen("HTTP_ADDRESS", Address("127.0.0.1", 0)) as listening, pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(WebServer(Starlette(), [listening]).start(), WAIT_TIMEOUT)


async def test_a_request_that_the_app_cancels_has_a_response() -> None:
    async def cancel(_: Request) -> Response:
        raise asyncio.CancelledError

    async with (
        server(more=[Route("/cancel", cancel)]) as (_, address, _counted),
        connected(address) as (reader, writer),
    ):
        writer.write(GET % b"cancel")
        async with asyncio.timeout(WAIT_TIMEOUT):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 500 ")


SETTINGS, PING, GOAWAY = 4, 6, 7
"""Types of frames of HTTP/2."""


def http2_frame(kind: int, payload: bytes = b"") -> bytes:
    """Return a frame of HTTP/2 that belongs to no stream."""
    return len(payload).to_bytes(3, "big") + bytes([kind]) + bytes(5) + payload


@pytest.mark.parametrize("options", [serving.GRPC_OPTIONS, serving.LEADER_CHANNEL_OPTIONS])
def test_grpc_knows_all_options_of_a_connection(options: Sequence[tuple[str, int]]) -> None:
    """It ignores those that it does not know."""
    library = Path(cygrpc.__file__).read_bytes()
    assert [name for name, _ in options if name.encode() + b"\0" not in library] == []


async def test_a_client_may_ping_as_often_as_the_options_say(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    often = [(name, 0 if "ping_interval" in name else value) for name, value in serving.GRPC_OPTIONS]
    monkeypatch.setattr(serving, "GRPC_OPTIONS", often)
    running = await start()
    async with connected(running.gateway.grpc_address) as (reader, writer), asyncio.timeout(WAIT_TIMEOUT):
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + http2_frame(SETTINGS))
        for _ in range(10):
            writer.write(http2_frame(PING, bytes(8)))
            received = None
            while received != PING:
                head = await reader.readexactly(9)
                received = head[3]
                assert received != GOAWAY
                await reader.readexactly(int.from_bytes(head[:3], "big"))


@needs_silence
@pytest.mark.parametrize(
    ("path", "gone"),
    [("silent", True), ("stream", True), ("endless", False)],
    ids=["gone from a silent call", "gone from a stream", "reads nothing"],
)
async def test_a_client_that_is_gone_or_reads_nothing_is_disconnected(
    path: str, gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("USER_TIMEOUT", "KEEPALIVE_IDLE", "KEEPALIVE_INTERVAL"):
        monkeypatch.setattr(listening, name, 1)
    silent = asyncio.Event()

    async def respond(_: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"begun"
            await silent.wait()
            if path == "stream":
                yield b"news"
            while path == "endless":
                yield bytes(1 << 16)
                await asyncio.sleep(0)
            await asyncio.Event().wait()

        return StreamingResponse(parts())

    async with server(more=[Route("/", respond)]) as (web, address, _), connected(address) as (reader, writer):
        writer.write(GET % b"")
        await reader.readuntil(b"begun")
        if gone:
            fall_silent(writer.get_extra_info("socket"))
        silent.set()
        await eventually(lambda: web.connections == 0)


@asynccontextmanager
async def unread(
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, Any, list[Rejection]]]:
    """Request 64 MiB and read nothing. Yields the client's streams, the server's connection, and its counts."""
    monkeypatch.setattr(connection, "READ_TIMEOUT", 10 * WAIT_TIMEOUT)
    routes = [Route("/large", lambda _: Response(bytes(64 << 20)))]
    async with server(more=routes) as (web, address, counted), connected(address) as (reader, writer):
        writer.write(GET % b"large")
        await eventually(lambda: any(one._stalled for one in web._server.server_state.connections))
        (slow,) = web._server.server_state.connections
        yield reader, writer, slow, counted


async def test_a_client_that_reads_slowly_stays_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    async with unread(monkeypatch) as (reader, _, slow, counted):
        async with asyncio.timeout(WAIT_TIMEOUT):
            await reader.readexactly(32 << 20)
        await eventually(lambda: slow.transport.get_write_buffer_size() < slow._unread)
        slow._examine_reading()
        assert counted == []
        async with asyncio.timeout(WAIT_TIMEOUT):
            await reader.readexactly(32 << 20)


async def test_a_client_that_reads_again_or_leaves_has_no_timeout_for_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    async with unread(monkeypatch) as (reader, writer, slow, _):
        timeouts = [slow._stalled]
        async with asyncio.timeout(WAIT_TIMEOUT):
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(64 << 20)
        await eventually(lambda: slow._stalled is None)

        writer.write(GET % b"large")
        await eventually(lambda: slow._stalled is not None)
        timeouts.append(slow._stalled)
        writer.transport.abort()
        await eventually(lambda: slow._stalled is None)
        assert [one.cancelled() for one in timeouts] == [True, True]


async def test_a_connection_is_busy_again_when_its_client_reads_again() -> None:
    go_on = asyncio.Event()

    async def large(_: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(64):  # more than the sockets and the reader keep
                yield bytes(1 << 20)
            await go_on.wait()
            yield b"end"

        return StreamingResponse(parts())

    async with (
        server(more=[Route("/large", large)]) as (web, address, _),
        connected(address) as (reader, writer),
        asyncio.timeout(WAIT_TIMEOUT),
    ):
        writer.write(GET % b"large")
        await reader.readuntil(b"\r\n\r\n")
        await eventually(lambda: bool(web._limit._idle))
        received = 0
        while received < 64 << 20:
            received += len(await reader.read(1 << 20))
        await eventually(lambda: not web._limit._idle)
        go_on.set()
        await reader.readuntil(b"end")


def test_connections_that_arrive_at_once_take_different_slots() -> None:
    """Those that make room are closed a moment later."""
    closed: list[int] = []
    limit = ConnectionLimit(2, lambda _: None)
    slots = [limit.take(), limit.take()]
    for number, slot in [*enumerate(slots), (0, slots[0])]:  # the first one is still the one that is idle longest
        assert slot is not None
        slot.idle(partial(closed.append, number))
    assert [limit.take() is None for _ in range(3)] == [False, False, True]
    assert slots[0] is not None
    slots[0].idle(partial(closed.append, 0))  # a response has ended in the meantime
    assert limit.take() is None
    assert (closed, limit.open_connections) == ([0, 1], 2)


async def test_a_failed_tls_handshake_leaves_no_open_connection(tmp_path: Path) -> None:
    pair = Authority.made(tmp_path).signed("server")
    async with server(Certificates(pair.cert, pair.key, None)) as (web, address, counted):
        async with connected(address) as (reader, writer), asyncio.timeout(WAIT_TIMEOUT):
            writer.write(GET % b"now")
            with contextlib.suppress(ConnectionError):
                await reader.read()
        await eventually(lambda: not web.connections)
        assert counted == [Rejection.ENCODING]


async def test_a_health_check_over_tcp_at_a_port_with_tls_is_not_counted_as_a_bad_request(tmp_path: Path) -> None:
    pair = Authority.made(tmp_path).signed("server")
    async with server(Certificates(pair.cert, pair.key, None)) as (web, address, counted):
        async with connected(address):
            await eventually(lambda: web.connections == 1)
        await eventually(lambda: not web.connections)
        assert counted == []


async def test_a_tls_handshake_has_a_timeout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_server, "HEAD_TIMEOUT", 0.2)
    pair = Authority.made(tmp_path).signed("server")
    async with server(Certificates(pair.cert, pair.key, None)) as (web, address, counted):
        async with connected(address) as (reader, _), asyncio.timeout(WAIT_TIMEOUT / 2):  # asyncio's default is 60 s
            assert await until_closed(reader) == b""
        await eventually(lambda: not web.connections)
        assert counted == [Rejection.ENCODING]


async def test_a_connection_whose_tls_handshake_was_not_complete_at_a_stop_is_closed(tmp_path: Path) -> None:
    authority = Authority.made(tmp_path)
    pair = authority.signed("server")
    trusted = ssl.create_default_context(cafile=str(authority.cert))
    async with server(Certificates(pair.cert, pair.key, None)) as (web, address, _):
        host, port = address.split(":")
        with socket.create_connection((host, int(port))) as wire:
            wire.setblocking(False)
            await eventually(lambda: web.connections == 1)
            await web.stop()
            async with asyncio.timeout(WAIT_TIMEOUT):
                with pytest.raises(ConnectionResetError):
                    await asyncio.open_connection(sock=wire, ssl=trusted, server_hostname="localhost")
        assert web.connections == 0


async def test_a_trailer_is_no_header_of_the_request() -> None:
    async def show(request: Request) -> Response:
        await request.body()
        return PlainTextResponse(f"seen: {request.headers.get('authorization')}!")

    async with (
        server(more=[Route("/show", show, methods=["POST"])]) as (_, address, _counted),
        connected(address) as (reader, writer),
    ):
        head = b"POST /show HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(head + b"2\r\n{}\r\n0\r\nauthorization: Bearer key\r\n\r\n")
        async with asyncio.timeout(WAIT_TIMEOUT):
            assert b"seen: None!" in await reader.readuntil(b"!")


async def test_an_early_response_leaves_one_timeout_for_the_rest_and_one_for_the_next_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT", 10 * WAIT_TIMEOUT)

    async def refuse(_: Request) -> Response:
        return PlainTextResponse("refused", status_code=403)

    async with (
        server(more=[Route("/refuse", refuse, methods=["POST"])]) as (web, address, _),
        connected(address) as (answer, ask),
    ):
        size = connection.BODY_PART_BYTES + 9
        ask.write(b"POST /refuse HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n" % size)
        await answer.readuntil(b"refused")
        (idle,) = web._server.server_state.connections
        await eventually(lambda: not idle._answering)
        rest = idle._timer
        ask.write(bytes(connection.BODY_PART_BYTES))
        await eventually(lambda: idle._of_part == connection.BODY_PART_BYTES or idle._timer is not rest)
        assert idle._timer is rest is not None
        ask.write(b"123456789")
        await eventually(lambda: idle._head == 0)
        assert idle._timer is not None


async def test_a_queued_request_keeps_its_timeout_while_an_earlier_one_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "BODY_TIMEOUT", 0.2)
    async with server() as (web, address, _), connected(address) as (_answer, ask):
        ask.write(GET % b"hold" + b"POST /now HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n")
        await eventually(lambda: any(one.pipeline for one in web._server.server_state.connections))
        (busy,) = web._server.server_state.connections
        first = busy._timer
        await eventually(lambda: busy._timer is not first)
        assert busy._timer is not None


async def test_a_response_does_not_wait_for_the_body_of_the_next_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT", 10 * WAIT_TIMEOUT)
    go_on = asyncio.Event()

    async def take(request: Request) -> Response:
        await request.body()
        await go_on.wait()
        return PlainTextResponse("taken")

    async with (
        server(more=[Route("/take", take, methods=["POST"])]) as (web, address, _),
        connected(address) as (answer, ask),
    ):
        head = b"POST /take HTTP/1.1\r\ncontent-length: 1\r\n\r\n"
        ask.write(head + b"1" + head)
        connections = web._server.server_state.connections
        await eventually(lambda: any(one.pipeline for one in connections))
        (busy,) = connections
        timeout = busy._timer
        go_on.set()
        async with asyncio.timeout(WAIT_TIMEOUT):
            await answer.readuntil(b"taken")
        assert busy._timer is timeout is not None


async def test_the_next_head_has_no_timeout_while_a_request_is_answered() -> None:
    async with server() as (web, address, _), connected(address) as (_answer, ask):
        ask.write(GET % b"hold")
        connections = web._server.server_state.connections
        await eventually(lambda: any(one._answering for one in connections))
        (busy,) = connections
        ask.write(b"GET")
        await eventually(lambda: busy._head == 3)
        assert busy._timer is None


async def test_a_client_that_leaves_within_a_request_has_no_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT", 10 * WAIT_TIMEOUT)
    async with server() as (web, address, _):
        async with connected(address) as (_, ask):
            ask.write(b"GET")
            connections = web._server.server_state.connections
            await eventually(lambda: any(one._head for one in connections))
            (left,) = connections
            timeout = left._timer
        await eventually(lambda: web.connections == 0)
        assert timeout.cancelled()


async def test_only_a_request_that_has_begun_is_counted_as_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT", 0.2)
    async with server() as (_, address, counted), connected(address) as (idle, _), connected(address) as (slow, ask):
        ask.write(b"GET /now HTTP/1.1\r\n")
        assert (await until_closed(idle), await until_closed(slow)) == (b"", b"")
        assert counted == [Rejection.SLOW]


async def test_a_head_that_begins_in_the_bytes_of_another_request_has_its_own_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with server() as (_, address, counted), connected(address) as (answer, ask):
        ask.write(GET % b"now")
        await answer.readuntil(b"now")
        monkeypatch.setattr(connection, "HEAD_TIMEOUT", 0.2)
        ask.write(GET % b"now" + b"GET")
        await answer.readuntil(b"now")
        assert await until_closed(answer) == b""
        assert counted == [Rejection.SLOW]


async def test_a_new_connection_is_refused_while_all_others_are_busy() -> None:
    async with (
        server() as (web, address, counted),
        connected(address) as (one, ask_one),
        connected(address) as (other, ask_other),
    ):
        for reader, writer in ((one, ask_one), (other, ask_other)):
            writer.write(GET % b"now" + GET % b"hold")
            await reader.readuntil(b"now")
        async with connected(address) as (refused, _):
            assert await until_closed(refused) == b""
        assert (web.connections, counted) == (2, [Rejection.CONNECTIONS])


async def test_a_flood_of_connections_does_not_block_other_tasks() -> None:
    async with server() as (_, address, counted):
        host, port = address.split(":")
        with contextlib.ExitStack() as stack:
            for _ in range(100):
                stack.enter_context(socket.create_connection((host, int(port))))
            seen = set()
            async with asyncio.timeout(WAIT_TIMEOUT):
                while len(counted) < 98:
                    await asyncio.sleep(0)
                    seen.add(len(counted))
        assert len(seen) > 90


async def test_connections_without_a_tls_handshake_do_not_block_callers(tmp_path: Path) -> None:
    authority = Authority.made(tmp_path)
    pair = authority.signed("server")
    trusted = ssl.create_default_context(cafile=str(authority.cert))
    async with server(Certificates(pair.cert, pair.key, None)) as (_, address, counted):
        url = f"https://localhost:{address.rpartition(':')[2]}/now"
        async with (
            idle_connections(address, 4),
            aiohttp.ClientSession() as session,
            session.get(url, ssl=trusted) as answer,
        ):
            assert await answer.text() == "now"
        assert Rejection.CONNECTIONS in counted


def test_a_flood_of_log_lines_is_rate_limited() -> None:
    clock = [0.0]
    rate_limit = LogRateLimit(lambda: clock[0])
    logger = logging.Logger("flooded")
    lines: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = lines.append  # type: ignore[method-assign]
    logger.addHandler(handler)
    logger.addFilter(rate_limit)
    for number in range(1000):
        logger.warning("one kind\n%d", number)
    logger.warning("another")
    assert len(lines) == MAX_LINES + 1
    clock[0] = LINES_PERIOD
    logger.warning("one kind\nagain")
    assert lines[-1].__dict__["dropped"] == 1000 - MAX_LINES


async def test_a_gateway_logs_a_flood_of_requests_in_few_lines(tmp_path: Path) -> None:
    async with process(tmp_path, soft=LIMIT, hard=LIMIT) as gateway:
        for _ in range(5 * MAX_LINES):
            async with connected(gateway.http_address) as (reader, writer):
                writer.write(b"no HTTP at all\r\n\r\n")
                async with asyncio.timeout(WAIT_TIMEOUT):
                    await reader.read()
        assert await gateway.terminate() == 0
        lines = (await gateway.errors()).splitlines()
    about_requests = [line for line in lines if "Invalid HTTP request" in line]
    assert 1 <= len(about_requests) <= 2 * MAX_LINES  # of two periods, should the test last so long


@pytest.mark.parametrize("words", [b"\x16\x03\x01\x00\x05hello", b"no HTTP at all\r\n\r\n"])
async def test_bytes_that_are_not_http_are_counted(words: bytes) -> None:
    async with server() as (_, address, counted), connected(address) as (reader, writer):
        writer.write(words)
        async with asyncio.timeout(WAIT_TIMEOUT):
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    assert counted == [Rejection.ENCODING]


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """Return what is received until the server closes or resets the connection."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        async with asyncio.timeout(WAIT_TIMEOUT):
            while part := await reader.read(65536):
                received += part
    return received


async def test_requests_that_are_queued_on_one_connection_are_limited() -> None:
    async with server() as (_, address, counted):
        async with connected(address) as (reader, writer):
            writer.write((GET % b"now") * (1 + connection.MAX_QUEUED))
            async with asyncio.timeout(WAIT_TIMEOUT):
                for _answer in range(1 + connection.MAX_QUEUED):
                    await reader.readuntil(b"\r\n\r\nnow")
        assert counted == []
        async with connected(address) as (reader, writer):
            writer.write((GET % b"hold") * (2 + connection.MAX_QUEUED))
            assert await until_closed(reader) == b""
        assert counted == [Rejection.SIZE]


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"], ids=["incomplete", "complete"])
async def test_a_head_that_is_too_large_is_refused_once(end: bytes) -> None:
    async with server() as (_, address, counted), connected(address) as (reader, writer):
        writer.write(b"GET /now HTTP/1.1\r\nx: " + b"x" * connection.MAX_HEAD_BYTES + end)
        assert (await until_closed(reader)).count(b"HTTP/1.1 431 ") == 1
        assert counted == [Rejection.SIZE]


async def test_the_size_of_each_head_on_a_connection_is_limited_and_not_their_sum() -> None:
    async with server() as (_, address, counted), connected(address) as (answer, ask):
        for _ in range(20):
            ask.write(b"GET /now HTTP/1.1\r\nhost: localhost\r\nx: " + b"x" * 1_000 + b"\r\n\r\n")
            async with asyncio.timeout(WAIT_TIMEOUT):
                await answer.readuntil(b"now")
        assert counted == []


@pytest.mark.parametrize(
    ("behind", "reason"),
    [
        (b"no HTTP at all\r\n\r\n", Rejection.ENCODING),
        (b"GET /now HTTP/1.1\r\nx: " + b"x" * connection.MAX_HEAD_BYTES + b"\r\ny: ", Rejection.SIZE),
    ],
    ids=["invalid", "too large"],
)
async def test_no_refusal_is_sent_in_place_of_an_earlier_response(behind: bytes, reason: Rejection) -> None:
    async with server() as (_, address, counted), connected(address) as (reader, writer):
        writer.write(GET % b"hold" + behind)
        assert await until_closed(reader) == b""
        assert counted == [reason]


async def test_a_long_upload_has_time_for_each_part() -> None:
    async def take(request: Request) -> Response:
        async for _part in request.stream():
            pass
        return PlainTextResponse("taken")

    async with (
        server(more=[Route("/take", take, methods=["POST"])]) as (web, address, _),
        connected(address) as (reader, writer),
    ):
        size = 2 * connection.BODY_PART_BYTES
        writer.write(b"POST /take HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % size)
        await eventually(lambda: bool(web._server.server_state.tasks))
        (upload,) = web._server.server_state.connections
        begun = upload._timer
        writer.write(b"x" * (connection.BODY_PART_BYTES - 1))
        await eventually(lambda: upload._of_part == connection.BODY_PART_BYTES - 1)
        assert upload._timer is begun
        writer.write(b"x")
        await eventually(lambda: upload._of_part == 0)
        assert upload._timer is not begun
        writer.write(b"x" * connection.BODY_PART_BYTES)
        async with asyncio.timeout(WAIT_TIMEOUT):
            await reader.readuntil(b"taken")
