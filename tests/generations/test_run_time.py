"""Run times are learned only from ends that were noticed when they happened."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.generations.model import Generation, RunTime, Source, Spec, State, run_time
from gateway.generations.polling.pace import BACKSTOP_INTERVAL, ENOUGH_DURATIONS, MAX_BACKSTOP_DELAY, PollIntervals
from gateway.generations.run_times import RunTimes

SPEC = Spec("id", "tenant", "model", "v2", "account", "origin", b"", {}, "key", 0.0, 0.0)
ENDED = Generation(SPEC, state=State.COMPLETED, accept_time=100.0, end_time=112.0, source=Source.POLL, ran=11.0)
WITH_WEBHOOK = replace(SPEC, token_hash=b"hash")


@pytest.mark.parametrize(
    ("ended", "seconds"),
    [
        (ENDED, 11.0),
        (replace(ENDED, state=State.FAILED), 11.0),
        (replace(ENDED, state=State.CANCELED), None),
        (replace(ENDED, accept_time=None), None),
        (replace(ENDED, ran=None), None),
        (replace(ENDED, spec=WITH_WEBHOOK, source=Source.WEBHOOK), 12.0),
        # The webhook did not arrive, so the end may be long past.
        (replace(ENDED, spec=WITH_WEBHOOK, source=Source.POLL), None),
    ],
)
def test_only_promptly_noticed_ends_have_a_run_time(ended: Generation, seconds: float | None) -> None:
    assert run_time(ended) == seconds


def test_the_backstop_interval_is_bounded() -> None:
    intervals = PollIntervals(RunTimes(), shortest=1.0, longest=30.0)
    intervals.run_times.learn_all([RunTime("model", "", 1_000_000.0)] * ENOUGH_DURATIONS)
    assert intervals.gap("model", 0.0, 0, webhooks=True) <= 1.1 * (MAX_BACKSTOP_DELAY + BACKSTOP_INTERVAL)
