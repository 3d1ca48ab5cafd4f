"""A gateway that Higgsfield can reach, with such long poll intervals that only webhooks report changes."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.generations.polling import pace
from gateway.generations.webhooks import inbox
from tests.support.running import Running, Start, public_url, run

RARE_POLLS = {"POLL_MIN": 30, "POLL_MAX": 30}
"""Poll intervals in seconds, longer than any test."""


@pytest.fixture(autouse=True)
def short_retry_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "FIRST_PAUSE", 0.02)


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Return a function that starts a gateway; it takes the arguments of `run`."""
    async with AsyncExitStack() as stack:

        async def start_one(**settings: Any) -> Running:
            return await stack.enter_async_context(run(tmp_path, **(RARE_POLLS | public_url() | settings)))

        yield start_one


@pytest.fixture(autouse=True)
def no_calls_for_callers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine makes states stale, so that a caller causes a status call. Only test_starts.py tests that."""
    if request.module.__name__.rpartition(".")[2] != "test_starts":
        monkeypatch.setattr(pace, "FRESH_FOR", math.inf)
