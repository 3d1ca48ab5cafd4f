"""Higgsfield's storage: an upload ends if the storage stops reading."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.errors import GatewayError, Reason
from gateway.higgsfield.client import HiggsfieldClient
from gateway.higgsfield.uploads import HiggsfieldStorage
from gateway.uploads import Slot
from tests.support.running import PATIENCE

SIZE, PIECES = 1 << 20, 100


def unused(tenant: str) -> HiggsfieldClient:
    raise AssertionError(tenant)


async def content() -> AsyncIterator[bytes]:
    """Yield more than the buffers of a connection hold."""
    for _ in range(PIECES):
        yield bytes(SIZE)


async def test_a_storage_that_stops_reading_ends_the_upload() -> None:
    storage = HiggsfieldStorage(unused, timeout=0.1)
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # accepts connections, and reads nothing
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/file"
        try:
            async with asyncio.timeout(PATIENCE):
                with pytest.raises(GatewayError) as raised:
                    await storage.put(Slot(url, url, {}, 3600.0), SIZE * PIECES, content())
        finally:
            await storage.aclose()
    assert raised.value.failure.reason is Reason.UPSTREAM_UNAVAILABLE
