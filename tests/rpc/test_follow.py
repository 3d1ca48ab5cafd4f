"""The follower with few workers: every generation is polled, and no worker waits for an event that never comes."""

from __future__ import annotations

import pytest

from gateway.generations import follower
from tests.rpc.conftest import Start
from tests.support.running import eventually, soul


@pytest.mark.parametrize("steps", [1, 3])
async def test_few_steps_at_once_poll_every_due_generation(
    start: Start, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    monkeypatch.setattr(follower, "MAX_CONCURRENT_STEPS", steps)
    running = await start()
    generations = [await running.submit(soul(f"one of many, {number}")) for number in range(10)]
    for generation in generations:
        assert (await running.finish(generation.id)).done


async def test_lateness_excludes_the_time_of_slow_responses(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "MAX_CONCURRENT_STEPS", 1)
    running = await start()
    busy = running.gateway._core.follower
    assert busy.behind() == 0.0
    running.plan(on="status", delay=0.2, times=1000)
    for number in range(3):
        await running.submit(soul(f"one of three, {number}"))
    await eventually(lambda: busy.behind() > 0.1)
    monkeypatch.setattr(follower, "SLOW_RESPONSE", 0.1)
    await eventually(lambda: busy.behind() == 0.0 and len(busy._tasks) == 1)
