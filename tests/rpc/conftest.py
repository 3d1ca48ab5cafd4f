"""Fixtures that start a gateway and a sandbox for each test, with the settings that the test asks for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.running import Running, Start, starting
from tests.support.transports import TRANSPORTS, Transport


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Return a function that starts a gateway; it takes the arguments of `run`."""
    async with starting(tmp_path) as start:
        yield start


@pytest.fixture
async def running(start: Start) -> Running:
    """A gateway with the default settings."""
    return await start()


@pytest.fixture(params=TRANSPORTS)
def client(running: Running, request: pytest.FixtureRequest) -> Transport:
    """A client of the running gateway, over each transport in turn."""
    return running.transports[request.param]


@pytest.fixture
def grpc(running: Running) -> Transport:
    """A gRPC client, for behaviour that does not depend on the transport."""
    return running.grpc
