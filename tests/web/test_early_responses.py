"""Responses to refused requests: Go's Connect client loses a response that starts before it has written the body."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.rpc.limits.requests import MAX_REQUEST_BYTES
from gateway.web import connection
from tests.support.running import WAIT_TIMEOUT, Running, run
from tests.support.transports import SERVICE

BODY = struct.pack(">BI", 0, MAX_REQUEST_BYTES + 1) + bytes(MAX_REQUEST_BYTES + 1)
UNARY = "application/proto"
STREAM = "application/connect+proto"
KINDS = {
    "unary": ("GetGeneration", UNARY, ""),
    "stream": ("WatchGeneration", STREAM, ""),
    "gRPC-Web": ("WatchGeneration", "application/grpc-web+proto", ""),
    "closed afterwards": ("WatchGeneration", STREAM, "Connection: close\r\n"),
}


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with run(tmp_path) as one:
        yield one


@contextmanager
def connected(running: Running) -> Iterator[socket.socket]:
    host, port = running.gateway.http_address.removeprefix("http://").rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=WAIT_TIMEOUT) as wire:
        wire.setblocking(False)
        yield wire


def head(method: str, content_type: str, more: str = "", size: str = f"Content-Length: {len(BODY)}") -> bytes:
    lines = f"POST /{SERVICE.full_name}/{method} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n"
    return f"{lines}{size}\r\n{more}\r\n".encode()


async def write(wire: socket.socket, data: bytes) -> None:
    async with asyncio.timeout(WAIT_TIMEOUT):
        await asyncio.get_running_loop().sock_sendall(wire, data)


async def answer(wire: socket.socket, end: bytes) -> bytes:
    """Read the response, up to a text in it or to the end of the connection."""
    answered = b""
    async with asyncio.timeout(WAIT_TIMEOUT):
        while end not in answered and (part := await asyncio.get_running_loop().sock_recv(wire, 65_536)):
            answered += part
    return answered


def nothing_answered(wire: socket.socket) -> bool:
    try:
        wire.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    return False


async def refused(running: Running, reason: str = "size") -> None:
    """Wait until a request is counted as refused."""
    line = f'hfgateway_bad_requests_total{{reason="{reason}"}} 1.0\n'

    async def counted() -> bool:
        return line in await running.metrics()

    async with asyncio.timeout(WAIT_TIMEOUT):
        while not await counted():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("method", "content_type", "more"), KINDS.values(), ids=KINDS)
async def test_a_refusal_is_sent_when_the_request_has_arrived(
    running: Running, method: str, content_type: str, more: str
) -> None:
    with connected(running) as wire:
        await write(wire, head(method, content_type, more) + BODY[:-1])
        await refused(running)
        assert nothing_answered(wire)
        await write(wire, BODY[-1:])
        assert b"larger" in await answer(wire, b"larger")


async def test_a_refused_key_is_reported_when_the_request_has_arrived(tmp_path: Path) -> None:
    async with run(tmp_path, AUTH="keys") as running:
        with connected(running) as wire:
            await write(wire, head("GetGeneration", UNARY))
            await refused(running, "credentials")
            assert nothing_answered(wire)
            await write(wire, BODY)
            answered = await answer(wire, b"\r\n0\r\n\r\n")
            assert answered.startswith(b"HTTP/1.1 401 ")
            assert answered.endswith(b"\r\n0\r\n\r\n")


@pytest.mark.parametrize("size", [f"Content-Length: {len(BODY)}", "Transfer-Encoding: chunked"])
async def test_a_refusal_is_sent_if_the_body_does_not_end(
    running: Running, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT", 0.2)
    with connected(running) as wire:
        begun = b"5\r\n" + BODY[:5] + b"\r\n" if "chunked" in size else BODY[:5]
        await write(wire, head("WatchGeneration", STREAM, size=size) + begun)
        assert b"larger" in await answer(wire, b"the connection ends")


async def test_a_client_that_waits_for_100_continue_gets_the_response_at_once(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT", 10 * WAIT_TIMEOUT)
    with connected(running) as wire:
        await write(wire, head("NoSuchMethod", UNARY, "Expect: 100-continue\r\n"))
        assert (await answer(wire, b"\r\n\r\n")).startswith(b"HTTP/1.1 404 ")


async def test_the_next_request_is_served_on_the_same_connection(running: Running) -> None:
    with connected(running) as wire:
        for _ in range(2):
            await write(wire, head("WatchGeneration", STREAM) + BODY)
            assert b"larger" in await answer(wire, b"\r\n0\r\n\r\n")
