"""A start with many unfinished generations leaves turns to other tasks, such as the heartbeat of a lease."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.generations import follower
from gateway.generations.model import GenerationId
from tests.support.running import PATIENCE, run, soul


async def test_other_tasks_get_turns_while_generations_are_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "RESUMED_AT_ONCE", 10)
    async with run(tmp_path) as running:
        core = running.gateway._core
        core._tasks[0].cancel()  # the follower, which would ask for the states
        one = core.feed.entries[(await running.submit(soul("a fox"))).id].generation
        many = [replace(one, spec=replace(one.spec, id=GenerationId(f"{one.id}-{number}"))) for number in range(100)]
        for generation in many:
            core.feed.entries.put(generation)
        turns = 0
        async with asyncio.timeout(PATIENCE):
            resuming = asyncio.create_task(core.follower.resume(many))
            while not resuming.done():
                await asyncio.sleep(0)
                turns += 1
        assert turns >= 10
