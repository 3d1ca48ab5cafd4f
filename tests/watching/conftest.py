"""A gateway in the test's own loop before a sandbox, and a proxy before it."""

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
    """The way to it over which connections can be cut."""
    async with Proxy() as one:
        one.target = running.gateway.grpc_address
        yield one
