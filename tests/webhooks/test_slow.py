"""Connections that stay unused or send unfinished requests are closed in time, and no others are."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from gateway.web import connection, webhook
from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.addresses import free_address
from tests.support.running import WAIT_TIMEOUT, Running, name_of, soul
from tests.support.transports import SERVICE
from tests.support.webhooks import path_of
from tests.webhooks.conftest import Start

READY = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEAD = b"POST /webhooks/higgsfield/x HTTP/1.1\r\nHost: gateway\r\n"
Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT", 0.2)


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[Wire]:
    url = urlsplit(address)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def closed(wire: Wire, byte: bytes = b"") -> bytes:
    """Send the byte repeatedly until the gateway closes the connection; return what it sent before."""
    reader, writer = wire

    async def drip() -> None:
        while byte:
            writer.write(byte)
            await writer.drain()
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    try:
        async with asyncio.timeout(WAIT_TIMEOUT):
            with contextlib.suppress(ConnectionResetError):
                return await reader.read()
            return b""
    finally:
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)


async def answered(wire: Wire, request: bytes = READY) -> bytes:
    """Send a request and return the body of the response; the connection stays open."""
    reader, writer = wire
    writer.write(request)
    async with asyncio.timeout(WAIT_TIMEOUT):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return await reader.readexactly(length)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("own_port", [False, True], ids=["HTTP port", "separate port"])
@pytest.mark.parametrize(
    ("begun", "more"),
    [(b"", b""), (b"\r\n", b"\r\n"), (b"POST /", b"x"), (HEAD, b""), (HEAD + b"X-Slow: ", b"x")],
    ids=["nothing", "empty lines", "half a line", "half a head", "a head without end"],
)
async def test_a_connection_with_an_unfinished_head_is_closed(
    start: Start, own_port: bool, begun: bytes, more: bytes
) -> None:
    apart = free_address()
    running = await start(**({"WEBHOOK_ADDRESS": apart, "PUBLIC_URL": f"http://{apart}"} if own_port else {}))
    async with connected(f"http://{apart}" if own_port else running.gateway.http_address) as wire:
        wire[1].write(begun)
        assert await closed(wire, more) == b""


@pytest.mark.usefixtures("impatient")
async def test_an_unfinished_head_after_a_request_closes_the_connection(start: Start) -> None:
    running = await start()
    for begun, more in ((b"\r\n", b"\r\n"), (HEAD, b""), (HEAD + b"X-Slow: ", b"x")):
        async with connected(running.gateway.http_address) as wire:
            assert await answered(wire) == b"ready\n"
            wire[1].write(begun)
            assert await closed(wire, more) == b""


@pytest.mark.usefixtures("impatient")
async def test_a_body_that_continues_after_its_response_is_cut_off(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "BODY_TIMEOUT", 0.05)
    running = await start()
    await running.submit(soul("a fox"))
    path = urlsplit(path_of(running, "a fox")).path
    async with connected(running.gateway.http_address) as wire:
        wire[1].write(f"POST {path} HTTP/1.1\r\nHost: gateway\r\nContent-Length: 100000\r\n\r\n".encode())
        assert await answered(wire, b"x") == b"too slow\n"
        assert await closed(wire, b"x") == b""


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("more", [b"", b"x"], ids=["silent", "slow"])
@pytest.mark.parametrize("path", ["/readyz", f"/{SERVICE.full_name}/GetGeneration"])
async def test_a_connection_with_an_unfinished_body_is_closed(
    start: Start, monkeypatch: pytest.MonkeyPatch, path: str, more: bytes
) -> None:
    monkeypatch.setattr(connection, "BODY_TIMEOUT", 0.2)
    running = await start()
    async with connected(running.gateway.http_address) as wire:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/proto\r\n"
        wire[1].write(head.encode() + b"Content-Length: 1000\r\n\r\n")
        assert b" 200 " not in await closed(wire, more)


@pytest.mark.parametrize(
    ("begun", "more"),
    [(HEAD, b"X-Large: " + b"x" * 1_000 + b"\r\n"), (HEAD + b"X-Large: ", b"x" * 1_000)],
    ids=["headers without end", "a header without end"],
)
async def test_a_large_head_is_refused_with_431(
    start: Start, monkeypatch: pytest.MonkeyPatch, begun: bytes, more: bytes
) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT", 3600.0)
    running = await start()
    async with connected(running.gateway.http_address) as wire:
        wire[1].write(begun)
        assert (await closed(wire, more)).startswith(b"HTTP/1.1 431 ")


async def time_passes(running: Running) -> None:
    """Return when another, idle connection was closed."""
    async with connected(running.gateway.http_address) as wire:
        assert await closed(wire) == b""


@pytest.mark.usefixtures("impatient")
async def test_an_unfinished_request_behind_a_watch_does_not_end_the_watch(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BODY_TIMEOUT", 0.2)
    running = await start()
    queued = await running.submit(soul("a fox"))
    body = pb.WatchGenerationRequest(id=queued.id).SerializeToString()
    envelope = struct.pack(">BI", 0, len(body)) + body
    async with connected(running.gateway.http_address) as wire:
        head = f"POST /{SERVICE.full_name}/WatchGeneration HTTP/1.1\r\nHost: localhost\r\n"
        head += f"Content-Type: application/connect+proto\r\nContent-Length: {len(envelope)}\r\n\r\n"
        wire[1].write(head.encode() + envelope)
        await wire[0].readuntil(b"\r\n\r\n")
        wire[1].write(HEAD + b"Content-Length: 1000\r\n\r\n")
        for _ in range(3):
            await time_passes(running)
        running.clock.advance(60)
        async with asyncio.timeout(WAIT_TIMEOUT):
            assert b"/0.png" in await wire[0].readuntil(b"\r\n0\r\n\r\n")


@pytest.mark.usefixtures("impatient")
async def test_a_watch_and_a_kept_alive_connection_stay_open(start: Start) -> None:
    running = await start()
    queued = await running.submit(soul("a fox"))
    watch = running.transports["connect-proto"].stream("WatchGeneration", pb.WatchGenerationRequest(id=queued.id))
    async with connected(running.gateway.http_address) as idle:
        assert await answered(idle) == b"ready\n"
        seen = [(await anext(watch)).generation]
        for _ in range(2):
            await time_passes(running)
        running.clock.advance(60)
        seen += [answer.generation async for answer in watch]
        assert name_of(seen[-1]) == "COMPLETED"
        assert await answered(idle) == b"ready\n"


@pytest.mark.usefixtures("impatient")
async def test_a_head_begun_before_the_last_response_can_be_finished(start: Start) -> None:
    running = await start()
    async with connected(running.gateway.http_address) as wire:
        wire[1].write(READY + READY[:-2])
        assert await answered(wire, b"") == b"ready\n"
        assert await answered(wire, b"\r\n") == b"ready\n"
