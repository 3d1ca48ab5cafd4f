"""A gateway whose pressure the test sets; nothing is measured any more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.rpc.overload import BANDS, FALL, STANDING, TURNS, Kind, Overload, Waits
from tests.support.running import Running, run
from tests.support.transports import TRANSPORTS, Transport

Start = Callable[..., Awaitable[Running]]
MANY = 1000
"""Calls between two measurements, so many that there is something to refuse."""
EXTREME = 60.0
"""Seconds of waiting at which all that can be refused is."""


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


def overload_of(running: Running) -> Overload:
    """What decides in that gateway."""
    return running.gateway._ports.overload


def press(overload: Overload, **waits: float) -> None:
    """Have it feel for long enough that things wait so long, and that calls are many."""
    for _ in range(STANDING):
        overload.asked += MANY
        overload.feel(Waits(**waits))


def refuse(overload: Overload, last: Kind | None) -> None:
    """Press it so that all calls of the kinds up to this one are refused, and no other."""
    press(overload, lag=0.0 if last is None else BANDS[last][1] / TURNS[last])


def relieve(overload: Overload) -> None:
    """Have it feel that nobody waits any more, until nothing is refused."""
    for _ in range(STANDING + round(1 / FALL)):
        overload.feel(Waits())
    assert overload.shares == dict.fromkeys(Kind, 0.0)
