"""The pace of polls: within its bounds, always forward, and cheap and prompt for a known model."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.generations.model import RunTime
from gateway.generations.polling.pace import (
    BACKSTOP_INTERVAL,
    ENOUGH_DURATIONS,
    POLL_INTERVAL,
    PollIntervals,
    schedule,
)
from gateway.generations.run_times import REMEMBERED_RUN_TIMES, RunTimes
from hfgateway.v1 import generation_pb2
from tests.support.running import public_url, run, soul
from tests.support.webhooks import SECRET

SHORTEST, LONGEST = 1.0, 30.0
LEAST, MOST = 0.9, 1.1
"""The bounds of the jitter, as factors of a gap."""

durations = st.floats(min_value=1e-6, max_value=1e5) | st.integers(min_value=1, max_value=600).map(float)
histories = st.lists(durations, min_size=ENOUGH_DURATIONS, max_size=80) | st.builds(
    lambda one, count: [one] * count, durations, st.integers(min_value=ENOUGH_DURATIONS, max_value=100)
)
elapsed_times = st.floats(min_value=0.0, max_value=2e5)


def learned(history: list[float], shortest: float = SHORTEST, longest: float = LONGEST) -> PollIntervals:
    intervals = PollIntervals(RunTimes(), shortest, longest)
    learn(intervals, *history)
    return intervals


def learn(intervals: PollIntervals, *seconds: float) -> None:
    intervals.run_times.learn_all(RunTime("model", "", one) for one in seconds)


# -- For any history ---------------------------------------------------------------------------------------------------


@given(history=histories, elapsed=elapsed_times, errors=st.integers(min_value=0, max_value=40))
def test_gaps_between_polls_stay_within_their_bounds(history: list[float], elapsed: float, errors: int) -> None:
    intervals = learned(history)
    for model_id in ("model", "unknown"):
        gap = intervals.gap(model_id, elapsed, errors, webhooks=False)
        assert LEAST * SHORTEST <= gap <= MOST * LONGEST


@given(history=histories, elapsed=elapsed_times)
def test_with_webhooks_gaps_between_polls_are_at_least_a_minute(history: list[float], elapsed: float) -> None:
    gap = learned(history).gap("model", elapsed, 0, webhooks=True)
    assert LEAST * BACKSTOP_INTERVAL <= gap <= MOST * (BACKSTOP_INTERVAL + max(history))


@given(history=histories, elapsed=elapsed_times)
@example(history=[5.0] * ENOUGH_DURATIONS, elapsed=5.0)
def test_the_next_poll_is_in_the_future(history: list[float], elapsed: float) -> None:
    following = schedule(sorted(history), LONGEST).next_after(elapsed)
    assert following is None or following > elapsed


@given(history=histories)
def test_polls_are_ordered_without_long_gaps_to_the_last_known_end(history: list[float]) -> None:
    history.sort()
    polls = schedule(history, LONGEST).polls
    assert all(earlier < later for earlier, later in pairwise((0.0, *polls)))
    assert all(later - earlier <= LONGEST + 1e-6 for earlier, later in pairwise((history[0] * 0.9, *polls)))
    assert polls[-1] >= history[-1]


@given(history=st.lists(st.just(0.0) | durations, min_size=ENOUGH_DURATIONS, max_size=60))
def test_run_times_of_zero_are_not_learned(history: list[float]) -> None:
    known = learned(history).known("model")
    assert known is None or 0.0 not in known.durations


# -- Learning ----------------------------------------------------------------------------------------------------------


def test_a_short_history_is_not_used() -> None:
    intervals = learned([12.0] * (ENOUGH_DURATIONS - 1))
    assert intervals.known("model") is None
    assert LEAST * POLL_INTERVAL <= intervals.gap("model", 11.0, 0, webhooks=False) <= MOST * POLL_INTERVAL
    learn(intervals, 12.0)
    assert intervals.known("model") is not None
    assert intervals.known("another") is None


def test_the_schedule_follows_a_model_that_became_slower() -> None:
    intervals = learned([10.0] * REMEMBERED_RUN_TIMES)
    learn(intervals, *[100.0] * REMEMBERED_RUN_TIMES)
    known = intervals.known("model")
    assert known is not None
    assert set(known.durations) == {100.0}


def test_new_run_times_count_after_a_few_ends() -> None:
    intervals = learned([10.0] * ENOUGH_DURATIONS)
    assert intervals.known("model") is not None
    learn(intervals, 50.0, 50.0)
    known = intervals.known("model")
    assert known is not None
    assert 50.0 in known.durations


def test_errors_in_a_row_lengthen_the_gaps() -> None:
    intervals = learned([12.0] * ENOUGH_DURATIONS)
    gaps = [intervals.gap("model", 11.0, errors, webhooks=False) for errors in (1, 3, 20)]
    assert gaps == sorted(gaps)
    assert gaps[-1] >= LEAST * LONGEST


async def test_learned_run_times_survive_a_restart(tmp_path: Path) -> None:
    secret = {"webhook_secret": SECRET, "WEBHOOK_SECRET": SECRET}
    async with run(tmp_path, **public_url(), **secret) as running:
        for number in range(3 * ENOUGH_DURATIONS):
            queued = await running.submit(soul(f"fox {number}"))
            running.clock.advance(60)
            await running.until(queued.id, "COMPLETED")
            if running.gateway._core.follower._schedule._intervals.known(queued.model_id):
                break
            # On a busy machine a poll may find an end before its webhook arrives. Such an end is not learned.
        assert number >= ENOUGH_DURATIONS - 1
        for _ in range(2):
            queued = await running.submit(soul(f"an owl of {running.gateway.grpc_address}"))
            assert running.gateway._core.follower._schedule._intervals.known(queued.model_id)
            shown = (await running.get(queued.id)).forecast
            assert shown.basis == generation_pb2.FORECAST_BASIS_SAME_SETTINGS
            await running.stop_gateway()
            await running.start_gateway()


# -- The cost in calls and delay ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("median", "sigma", "most_calls", "most_delay"), [(12, 0.5, 6.0, 1.0), (90, 0.6, 16.0, 3.0)], ids=["image", "video"]
)
def test_learned_polls_cost_few_calls_and_little_delay(
    median: float, sigma: float, most_calls: float, most_delay: float
) -> None:
    trace = random.Random(2026)

    def draw() -> float:
        return median * trace.lognormvariate(0.0, sigma)

    random.seed(2026)  # seed the jitter
    intervals = learned([draw() for _ in range(REMEMBERED_RUN_TIMES)])
    calls, delay, count = 0, 0.0, 4_000
    for _ in range(count):
        duration, at = draw(), 0.0
        while at < duration:
            at += intervals.gap("model", at, 0, webhooks=False)
            calls += 1
        delay += at - duration
    assert calls / count <= most_calls
    assert delay / count <= most_delay
