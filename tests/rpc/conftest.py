"""A gateway before a sandbox, started anew for each test with terms of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.running import Running, run
from tests.support.transports import TRANSPORTS, Transport

Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start one; the terms are those of `run`."""
    async with AsyncExitStack() as stack:

        async def start_one(**terms: Any) -> Running:
            return await stack.enter_async_context(run(tmp_path, **terms))

        yield start_one


@pytest.fixture
async def running(start: Start) -> Running:
    """One with the usual terms."""
    return await start()


@pytest.fixture(params=TRANSPORTS)
def client(running: Running, request: pytest.FixtureRequest) -> Transport:
    """A client of that one, over each transport in turn."""
    return running.transports[request.param]


@pytest.fixture
def grpc(running: Running) -> Transport:
    """A client for what the transport makes no difference to."""
    return running.grpc
