"""A receiver on a real socket, and gateways that deliver to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.callbacks.receiver import Receiver
from tests.support.running import Running, Start, run, starting
from tests.support.timeline import Timed, run_timed


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with run(tmp_path) as running:
        yield running


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Return a function that starts a gateway; it takes the arguments of `run`."""
    async with starting(tmp_path) as start:
        yield start


@pytest.fixture
async def timed(tmp_path: Path) -> AsyncIterator[Timed]:
    """A gateway with a clock that the test advances."""
    async with run_timed(tmp_path) as running:
        yield running


@pytest.fixture(autouse=True)
async def time_limit() -> AsyncIterator[None]:
    async with asyncio.timeout(60):
        yield
