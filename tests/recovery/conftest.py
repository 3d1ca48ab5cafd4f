"""A gateway and a sandbox on a simulated clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.timeline import Timed, run_timed

Start = Callable[..., Awaitable[Timed]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start a gateway with the options of `run_timed`."""
    async with AsyncExitStack() as stack:

        async def start_one(**terms: Any) -> Timed:
            return await stack.enter_async_context(run_timed(tmp_path, **terms))

        yield start_one
