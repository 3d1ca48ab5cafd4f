"""A gateway that requires API keys, and connections of hostile clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.running import WAIT_TIMEOUT, Running, Start, starting


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start a gateway with the options of `run`."""
    async with starting(tmp_path) as start:
        yield start


@pytest.fixture
async def running(start: Start) -> Running:
    """A gateway that requires keys."""
    return await start(AUTH="keys")


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a TCP connection to an address or the address of a URL, and close it after the block."""
    host, port = address.removeprefix("http://").rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    try:
        yield reader, writer
    finally:
        writer.close()


async def read_response_head(reader: asyncio.StreamReader) -> bytes:
    """Read the status line and headers of a response."""
    async with asyncio.timeout(WAIT_TIMEOUT):
        return await reader.readuntil(b"\r\n\r\n")


async def bad_requests(running: Running, reason: str) -> float:
    """Return the number of bad requests that were counted for a reason."""
    prefix = f'hfgateway_bad_requests_total{{reason="{reason}"}} '
    found = [line for line in (await running.metrics()).splitlines() if line.startswith(prefix)]
    return float(found[0].removeprefix(prefix)) if found else 0.0
