"""A gateway with limits that are small enough to be reached."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.rpc.limits import call_limits
from gateway.rpc.limits.call_limits import Bounds, CallLimits
from tests.support.running import Running, Start, starting
from tests.support.transports import TRANSPORTS, Transport

WORKING = Bounds(token=2, tenant=4, total=6)
QUEUED = Bounds(token=3, tenant=5, total=8)
WAITING = Bounds(token=3, tenant=5, total=8)


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Return a function that starts a gateway; it takes the arguments of `run`."""
    async with starting(tmp_path) as start:
        yield start


@pytest.fixture
async def running(start: Start) -> Running:
    """A gateway with the default settings."""
    return await start()


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit concurrent calls to a few in gateways that start afterwards."""
    monkeypatch.setattr(call_limits, "WORKING", WORKING)
    monkeypatch.setattr(call_limits, "QUEUED", QUEUED)
    monkeypatch.setattr(call_limits, "WAITING", WAITING)


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """The name of each transport in turn."""
    return str(request.param)


@pytest.fixture
def client(running: Running, transport: str) -> Transport:
    """A client of the running gateway, over each transport in turn."""
    return running.transports[transport]


def limits_of(running: Running) -> CallLimits:
    """Return the gateway's limits, which count the calls in progress."""
    return running.gateway._ports.limits
