"""Higgsfield's storage: where files may be sent, and an upload that ends if the storage stops reading."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from gateway.errors import GatewayError, Reason
from gateway.higgsfield.client import HiggsfieldClient
from gateway.higgsfield.uploads import HiggsfieldStorage, _Source, fit_for_files
from gateway.uploads.service import Slot
from tests.support.running import WAIT_TIMEOUT

SIZE, PIECES = 1 << 20, 100


def unused(tenant: str) -> HiggsfieldClient:
    raise AssertionError(tenant)


async def content() -> AsyncIterator[bytes]:
    """Yield more than the buffers of a connection hold."""
    for _ in range(PIECES):
        yield bytes(SIZE)


@pytest.mark.parametrize(
    ("url", "remote", "local"),
    [
        ("https://storage.test/file?signature=x", True, True),
        ("http://storage.test/file", False, True),
        ("https://user:word@storage.test/file", False, False),
        ("https://storage.test:0/file", False, False),
        ("https:///file", False, False),
        ("https://[/file", False, False),
        ("ftp://storage.test/file", False, False),
    ],
)
def test_files_are_sent_in_plaintext_from_a_sandbox_only(url: str, remote: bool, local: bool) -> None:
    assert (fit_for_files(url, local=False), fit_for_files(url, local=True)) == (remote, local)


@pytest.mark.parametrize("reads", [True, False], ids=["reads the rest", "closes"])
async def test_an_upload_is_complete_only_if_the_storage_took_the_whole_file(*, reads: bool) -> None:
    """The storage responds before it has read the file."""
    received, closed = 0, asyncio.Event()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        with suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            while reads and (piece := await reader.read(SIZE)):
                received += len(piece)
        with suppress(ConnectionError):
            writer.close()
            await writer.wait_closed()
        closed.set()

    storage = HiggsfieldStorage(unused, timeout=WAIT_TIMEOUT)
    async with asyncio.timeout(WAIT_TIMEOUT), await asyncio.start_server(respond, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/file"
        try:
            await storage.put(Slot(url, url, {}, 3600.0), SIZE * PIECES, content())
            complete = True
        except GatewayError as error:
            assert error.failure.reason is Reason.UPSTREAM_UNAVAILABLE
            complete = False
        finally:
            await storage.aclose()
        await closed.wait()
    assert not complete or received == SIZE * PIECES
    assert reads or not complete


async def test_a_storage_that_stops_reading_ends_the_upload() -> None:
    storage = HiggsfieldStorage(unused, timeout=0.1)
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # accepts connections, and reads nothing
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/file"
        try:
            async with asyncio.timeout(WAIT_TIMEOUT):
                with pytest.raises(GatewayError) as raised:
                    await storage.put(Slot(url, url, {}, 3600.0), SIZE * PIECES, content())
        finally:
            await storage.aclose()
    assert raised.value.failure.reason is Reason.UPSTREAM_UNAVAILABLE


async def test_a_storage_that_does_not_respond_ends_the_upload() -> None:
    async def read(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read()  # until the gateway closes the connection

    async with serving(read) as url, opened(timeout=0.1) as storage:
        with pytest.raises(GatewayError) as raised:
            await storage.put(Slot(url, url, {}, 3600.0), SIZE, one_chunk(SIZE))
    assert raised.value.failure.reason is Reason.UPSTREAM_UNAVAILABLE


async def test_a_response_that_never_ends_ends_the_upload() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            while not reader.at_eof():
                writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
                await writer.drain()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await reader.read(SIZE)

    async with serving(drip) as url, opened(timeout=0.1) as storage:
        with pytest.raises(GatewayError) as raised:
            await storage.put(Slot(url, url, {}, 3600.0), SIZE, one_chunk(SIZE))
    assert raised.value.failure.reason is Reason.UPSTREAM_UNAVAILABLE


async def test_the_time_of_a_slow_source_does_not_count() -> None:
    limits: list[bool] = []

    async def slow() -> AsyncIterator[bytes]:
        for _ in range(2):
            limits.append(limit.when() is not None)
            yield b"x"

    async with asyncio.timeout(None) as limit:
        async for _ in _Source(slow()).read(limit, WAIT_TIMEOUT):
            limits.append(limit.when() is not None)
    assert limits == [False, True, False, True]


async def test_uploads_share_no_connections_and_no_cookies() -> None:
    """The HTTP client opens 100 connections by default, and has cookies for all of them."""
    heads: list[bytes] = []
    count, connected, all_connected = 101, 0, asyncio.Event()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connected
        connected += 1
        if connected == count:
            all_connected.set()
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        await reader.readexactly(1)
        writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    async def wait() -> AsyncIterator[bytes]:
        await all_connected.wait()
        yield b"x"

    async with serving(respond) as url, opened(timeout=WAIT_TIMEOUT) as storage:
        slot = Slot(url, url, {}, 3600.0)
        await asyncio.gather(*(storage.put(slot, 1, wait()) for _ in range(count)))
        await storage.put(slot, 1, one_chunk(1))
    assert len(heads) == count + 1
    assert not any(b"Cookie" in head for head in heads)


async def test_a_connection_that_the_storage_closes_fails_no_later_upload() -> None:
    """A storage may close an idle connection without notice, just as the next upload begins."""
    served = 0

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(1)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        served += 1
        await reader.read(1)

    async with serving(respond) as url, opened(timeout=WAIT_TIMEOUT) as storage:
        for _ in range(2):
            await storage.put(Slot(url, url, {}, 3600.0), 1, one_chunk(1))
    assert served == 2


async def one_chunk(size: int) -> AsyncIterator[bytes]:
    yield bytes(size)


@asynccontextmanager
async def serving(
    respond: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """Serve connections, and yield a URL. At the end, wait until all are closed."""
    served: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await respond(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.create_task(serve(reader, writer)))

    async with asyncio.timeout(WAIT_TIMEOUT), await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        yield f"http://localhost:{server.sockets[0].getsockname()[1]}/file"
        await asyncio.gather(*served)


@asynccontextmanager
async def opened(*, timeout: float) -> AsyncIterator[HiggsfieldStorage]:
    storage = HiggsfieldStorage(unused, timeout=timeout)
    try:
        yield storage
    finally:
        await storage.aclose()
