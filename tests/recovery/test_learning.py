"""Run times are learned only from ends that were noticed promptly.

Otherwise late polls would be learned as longer run times, which would make later polls still later.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import pytest

from gateway.generations import follower
from gateway.generations.model import Generation, RunTime, Spec
from gateway.generations.polling import schedule
from gateway.generations.polling.pace import POLL_INTERVAL, PollIntervals
from gateway.generations.run_times import RunTimes
from gateway.generations.watching.feed import Entry
from tests.recovery.conftest import Start
from tests.support.running import soul
from tests.support.timeline import STEP, Timed


async def learned(running: Timed) -> list[float]:
    """Return the learned run times, after a check that memory and the store agree."""
    groups = running.gateway._core.follower._schedule._intervals.run_times._seconds
    remembered = [times for (model_id, traits), times in groups.items() if model_id and not traits]
    stored = [one.seconds for one in await running.gateway._core.store.accounts.run_times()]
    assert [seconds for times in remembered for seconds in times] == pytest.approx(stored)
    return stored


async def ended(running: Timed) -> bool:
    """Advance the clock until no generation is live; return whether that happened."""
    await running.advance(120, until=lambda: not running.live())
    return not running.live()


async def test_a_learned_run_time_is_within_the_last_poll_gap(start: Start) -> None:
    running = await start(queue_seconds=2.0, image_seconds=5.0, concurrency_limit=200)
    for number in range(100):
        await running.submit(soul(f"fox {number}"))
    assert await ended(running)
    seconds = await learned(running)
    assert len(seconds) == 100
    gap = POLL_INTERVAL * 1.1 + STEP
    assert all(7.0 - gap < one < 7.0 + gap for one in seconds)
    assert sum(one < 7.0 for one in seconds) > 5, "some run times are underestimated"
    assert sum(one > 7.0 for one in seconds) > 5, "and some are overestimated"


def trace(median: float, sigma: float) -> Iterator[float]:
    source = random.Random(20_261_120)
    return (source.lognormvariate(math.log(median), sigma) for _ in range(5000))


@pytest.mark.parametrize(("median", "sigma", "calls", "delay"), [(12.0, 0.5, 6.0, 1.0), (1.0, 0.3, 2.0, 0.6)])
def test_a_pace_stays_accurate_when_it_learns_from_its_own_polls(
    median: float, sigma: float, calls: float, delay: float
) -> None:
    intervals = PollIntervals(RunTimes(), shortest=1.0, longest=30.0)
    asked, late = [], []
    for duration in trace(median, sigma):
        seen, at = 0.0, intervals.gap("model", 0.0, 0, webhooks=False)
        asked.append(1)
        while at < duration:
            seen, at = at, at + intervals.gap("model", at, 0, webhooks=False)
            asked[-1] += 1
        late.append(at - duration)
        ran = learned_from(seen, at)
        assert ran is not None
        intervals.run_times.learn(RunTime("model", "", ran))
    assert sum(asked[-1000:]) / 1000 < calls * 1.1
    assert sum(late[-1000:]) / 1000 < delay * 1.1


def learned_from(seen: float, at: float) -> float | None:
    """Return the run time that a follower learns from a poll at `at` that finds an end, last seen running at `seen`."""
    entry = Entry(Generation(Spec("id", "tenant", "model", "v2", "account", "origin", b"", {}, "key", 0.0, 0.0)))
    entry.polled_run_time = seen
    return schedule._ran(entry, at, late=0.0)


async def test_an_end_during_a_restart_is_not_learned(start: Start) -> None:
    running = await start(queue_seconds=2.0, image_seconds=5.0)
    await running.submit(soul("a fox"))
    await running.stop_gateway()
    running.clock.advance(600)
    await running.start_gateway()
    assert await ended(running)
    assert await learned(running) == []


async def test_an_end_after_a_restart_is_learned(start: Start) -> None:
    running = await start(queue_seconds=2.0, image_seconds=60.0)
    await running.submit(soul("a fox"))
    await running.stop_gateway()
    await running.start_gateway()
    assert await ended(running)
    (seconds,) = await learned(running)
    assert 50.0 <= seconds < 70.0


async def test_an_end_during_an_outage_is_not_learned(start: Start) -> None:
    running = await start(queue_seconds=2.0, image_seconds=5.0)
    await running.submit(soul("a fox"))
    await running.advance(3.5)
    await running.stop_higgsfield()
    await running.advance(60)
    await running.restart_higgsfield()
    assert await ended(running)
    assert await learned(running) == []


async def test_an_end_noticed_late_behind_other_steps_is_not_learned(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await start(queue_seconds=2.0, image_seconds=5.0)
    await running.submit(soul("a fox"))
    await running.advance(3.5)
    monkeypatch.setattr(follower, "MAX_CONCURRENT_STEPS", 0)
    await running.advance(20)
    monkeypatch.setattr(follower, "MAX_CONCURRENT_STEPS", 1)
    running.gateway._core.follower._wakeup.wake()
    assert await ended(running)
    assert await learned(running) == []
