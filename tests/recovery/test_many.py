"""Steps for many unfinished generations leave turns to other tasks, such as the heartbeat of a lease."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.generations import follower
from gateway.generations.model import Generation, GenerationId
from gateway.generations.stores import Filter
from gateway.generations.watching import watch
from tests.support.running import WAIT_TIMEOUT, Running, public_url, run, soul

COUNT = 100


async def many(running: Running) -> Sequence[Generation]:
    """Put unfinished generations into memory, without a follower."""
    core = running.gateway._core
    next(iter(core._tasks)).cancel()  # the follower, which would ask for the states
    one = core.feed.entries[GenerationId((await running.submit(soul("a fox"))).id)].generation
    found = [replace(one, spec=replace(one.spec, id=GenerationId(f"{one.id}-{number}"))) for number in range(COUNT)]
    for generation in found:
        core.feed.entries.put(generation)
    return found


async def turns_during(work: Coroutine[object, object, None]) -> int:
    """Return how many turns another task gets until the work has ended."""
    turns = 0
    async with asyncio.timeout(WAIT_TIMEOUT):
        working = asyncio.create_task(work)
        while not working.done():
            await asyncio.sleep(0)
            turns += 1
    working.result()
    return turns


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "PLAN_BATCH_SIZE", 10)
    monkeypatch.setattr(watch, "READ_BATCH_SIZE", 10)


async def test_other_tasks_get_turns_while_generations_are_resumed(tmp_path: Path) -> None:
    async with run(tmp_path) as running:
        unfinished = await many(running)
        assert await turns_during(running.gateway._core.follower.resume(unfinished)) >= 10


async def test_other_tasks_get_turns_while_many_polls_are_put_off(tmp_path: Path) -> None:
    """Nothing needs a check whether they have started, so all are put off when they are due."""
    async with run(tmp_path) as running:
        entries = [running.gateway._core.feed.entries[one.id] for one in await many(running)]
        core, now = running.gateway._core, running.gateway._core.clock.moment().steady
        for entry in entries:
            entry.poll_at, entry.start_check_at = now + 1000.0, now
            core.follower._plan(entry.generation)
        assert await turns_during(core.follower._start_all()) >= 10
        assert all(entry.start_check_at > now for entry in entries)
        assert running.ledger.status_calls.total() == 0


async def test_the_follower_sleeps_while_the_limits_of_many_accounts_pause_their_polls(tmp_path: Path) -> None:
    async with run(tmp_path) as running:
        follower = running.gateway._core.follower
        unfinished, now = await many(running), running.gateway._core.clock.moment().steady
        for number, one in enumerate(unfinished):
            moved = replace(one, spec=replace(one.spec, account=f"account {number}"))
            running.gateway._core.feed.entries.put(moved)
            follower._polls[moved.spec.account].due[moved.id] = now
            follower._poll_limits[moved.spec.account].limited(now, 3600.0)
        await turns_during(follower._start_all())
        paused = [polls for polls in follower._polls.values() if polls.due]
        assert len(paused) == COUNT
        assert all(polls.allowed_at > now for polls in paused)
        assert running.ledger.status_calls.total() == 0


async def test_other_tasks_get_turns_while_generations_are_planned_for_other_credentials(tmp_path: Path) -> None:
    async with run(tmp_path) as running:
        unfinished = await many(running)
        core = running.gateway._core
        assert await turns_during(core.follower.replan_all([unfinished[0].spec.account])) >= 10
        assert all(core.feed.entries[one.id].poll_at for one in unfinished)


async def test_other_tasks_get_turns_while_polls_are_planned_because_a_webhook_is_missing(tmp_path: Path) -> None:
    terms: dict[str, Any] = {**public_url()}
    async with run(tmp_path, **terms) as running:
        unfinished = await many(running)
        core = running.gateway._core
        await core.follower.resume(unfinished)
        planned = {one.id: core.feed.entries[one.id].poll_at for one in unfinished}
        assert await turns_during(core.follower._poll_all_early()) >= 10
        assert all(core.feed.entries[name].poll_at != at for name, at in planned.items())


@pytest.mark.parametrize("wanted", [Filter(), Filter(model_ids=frozenset({"another"}))])
async def test_other_tasks_get_turns_while_a_watch_looks_for_forecasts(tmp_path: Path, wanted: Filter) -> None:
    async with run(tmp_path) as running:
        unfinished = await many(running)
        present = running.gateway._core.watches.present(unfinished[0].tenant, wanted)

        async def look() -> None:
            async for one in present:
                assert wanted.matches(one)

        assert await turns_during(look()) >= 10


async def test_other_tasks_get_turns_while_a_watch_finds_nothing_to_present(tmp_path: Path) -> None:
    async with run(tmp_path) as running:
        unfinished = await many(running)
        wanted = Filter(model_ids=frozenset({"another"}))
        seen = running.gateway._core.watches.many(unfinished[0].tenant, wanted, None, 15.0, lambda: None)

        async def catch_up() -> None:
            async with aclosing(seen):
                assert (await anext(seen)).caught_up

        assert await turns_during(catch_up()) >= 10
