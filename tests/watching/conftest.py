"""A gateway in the test's event loop, a sandbox behind it, and a proxy in front of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.proxy import Proxy
from tests.support.running import Running, run


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with run(tmp_path) as one:
        yield one


@pytest.fixture
async def proxy(running: Running) -> AsyncIterator[Proxy]:
    """A proxy to the gateway that can cut connections."""
    async with Proxy() as one:
        one.target = running.gateway.grpc_address
        yield one
