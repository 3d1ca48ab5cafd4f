"""The follower with few workers: every generation is polled, and no worker waits for an event that never comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gateway.concurrency import Wakeup
from gateway.generations import follower
from gateway.generations.follower import Follower
from gateway.generations.model import GenerationId
from gateway.generations.polling import pace
from hfgateway.v1 import generation_service_pb2 as pb
from tests.rpc.conftest import Start
from tests.support.running import WAIT_TIMEOUT, Running, eventually, soul


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


async def test_lateness_is_known_between_the_steps_until_a_drain(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "MAX_CONCURRENT_STEPS", 1)
    running = await start()
    busy = running.gateway._core.follower
    running.plan(on="status", delay=0.2, times=1000)
    between: list[float] = []
    wake = Wakeup.wake

    def look_and_wake(wakeup: Wakeup) -> None:
        if wakeup is busy._wakeup and not busy._tasks:
            between.append(busy.behind())
        wake(wakeup)

    for number in range(3):
        await running.submit(soul(f"one of three, {number}"))
    await eventually(lambda: busy.behind() > 0.1)
    monkeypatch.setattr(Wakeup, "wake", look_and_wake)
    await eventually(lambda: len(between) > 0)
    assert between[0] > 0.1
    busy.stopped_sending = True
    assert busy.behind() == 0.0


def drains(following: Follower, _account: str) -> None:
    following.stopped_sending = True


def has_due_polls(following: Follower, account: str) -> None:
    following._polls[account].due[GenerationId("another")] = 0.0


def has_no_room(following: Follower, _account: str) -> None:
    for _ in range(follower.MAX_CONCURRENT_STEPS):
        following._tasks.start(asyncio.sleep(0))


def cannot_write(following: Follower, _account: str) -> None:
    following._backoff.failed(following._clock.moment().steady)


def may_not_poll(following: Follower, account: str) -> None:
    following._poll_limits[account].limited(following._clock.moment().steady, 60.0)


@pytest.mark.parametrize("hinder", [drains, has_due_polls, has_no_room, cannot_write, may_not_poll])
async def test_a_caller_causes_no_poll_that_would_delay_another_step(
    start: Start, monkeypatch: pytest.MonkeyPatch, hinder: Callable[[Follower, str], None]
) -> None:
    running = await queued_and_stale(start, monkeypatch)
    core = running.gateway._core
    (entry,) = core.feed.entries.values()
    hinder(core.follower, entry.generation.spec.account)
    assert not core.follower.refresh(entry)


async def test_callers_that_read_at_once_share_one_poll(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "REFRESH_TIMEOUT", 2 * WAIT_TIMEOUT)
    running = await queued_and_stale(start, monkeypatch)
    following = running.gateway._core.follower
    (entry,) = running.gateway._core.feed.entries.values()
    calls = running.ledger.status_calls.total()
    with running.held(on="status"):
        waiting = []
        for _ in range(3):
            assert following.refresh(entry)
            waiting.append(asyncio.create_task(following.wait_for_refresh(entry)))
            await asyncio.sleep(0)
    await asyncio.wait_for(asyncio.gather(*waiting), WAIT_TIMEOUT)
    await eventually(lambda: not following._tasks)
    assert running.ledger.status_calls.total() == calls + 1


async def test_a_caller_waits_for_the_poll_that_is_under_way(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    running = await queued_and_stale(start, monkeypatch)
    following = running.gateway._core.follower
    (entry,) = running.gateway._core.feed.entries.values()
    calls = running.ledger.status_calls.total()
    with running.held(on="status"):
        following._put(entry.generation.id, 0.0)  # as if its next poll were due
        await eventually(lambda: bool(following._busy))
        assert following.refresh(entry)
    await following.wait_for_refresh(entry)
    await eventually(lambda: not following._tasks)
    assert running.ledger.status_calls.total() == calls + 1


async def test_a_step_that_has_begun_sends_nothing_in_a_drain(start: Start) -> None:
    running = await start()
    running.plan(on="submit", kind="429", headers={"Retry-After": "3600"})
    await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
    following = running.gateway._core.follower
    (entry,) = running.gateway._core.feed.entries.values()
    await eventually(lambda: len(running.ledger.submissions) == 1 and entry.generation.waiting)
    drain = asyncio.create_task(running.gateway._core.drain())
    following._start(entry.generation.id, following._mark_and_send(entry.generation))
    await drain
    assert len(running.ledger.submissions) == 1


async def queued_and_stale(start: Start, monkeypatch: pytest.MonkeyPatch) -> Running:
    """Return a gateway with one queued generation, whose state a caller may have read again at any time."""
    running = await start(POLL_MIN="3600", POLL_MAX="3600")
    queued = await running.submit(soul("a fox"))
    await running.until(queued.id, "QUEUED")
    monkeypatch.setattr(pace, "FRESH_FOR", 0.0)
    monkeypatch.setattr(pace, "FRESH_SHARE", 0.0)
    return running
