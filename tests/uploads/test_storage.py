"""Higgsfield's storage: where files may be sent, and an upload that ends if the storage stops reading."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from gateway.errors import GatewayError, Reason
from gateway.higgsfield.client import HiggsfieldClient
from gateway.higgsfield.uploads import HiggsfieldStorage, fit_for_files
from gateway.uploads import Slot
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
