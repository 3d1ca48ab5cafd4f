"""The event loop of the simulation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.simulation.loop import discard_tasks


def test_a_dead_process_does_not_close_its_async_generators() -> None:
    """The event loop starts a task for each one that is collected."""

    async def items() -> AsyncIterator[int]:
        yield 1

    loop = asyncio.new_event_loop()
    closing: asyncio.Task[None] = loop.create_task(items().aclose())  # type: ignore[attr-defined]
    discard_tasks([closing])
    loop.close()
    with pytest.raises(RuntimeError, match="cannot reuse"):
        closing.get_coro().send(None)
