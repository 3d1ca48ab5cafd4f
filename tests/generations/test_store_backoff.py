"""The pauses between steps while the store refuses writes, and what is logged."""

import asyncio

import pytest

from gateway.generations.clock import SystemClock
from gateway.generations.model import Steady
from gateway.generations.store_backoff import FIRST_REST, MAX_PAUSE, MAX_REST, StoreBackoff, until_stored
from gateway.generations.stores import StoreError

NOW = 1_000.0


def test_only_the_step_that_was_tried_lengthens_the_pause() -> None:
    backoff = StoreBackoff()
    for _ in range(10):
        backoff.failed(Steady(NOW))  # all but the first began before the first refusal
    assert backoff.resumes_at(Steady(NOW)) == NOW + FIRST_REST
    now = NOW + FIRST_REST
    assert backoff.resumes_at(Steady(now)) is None
    backoff.started(Steady(now))
    assert backoff.resumes_at(Steady(now)) == now + FIRST_REST, "no other step begins meanwhile"
    backoff.failed(Steady(now))
    assert backoff.resumes_at(Steady(now)) == now + 2 * FIRST_REST


def test_pauses_grow_to_a_limit_and_end_with_a_committed_write() -> None:
    backoff, now = StoreBackoff(), NOW
    for _ in range(10):
        backoff.started(Steady(now))
        backoff.failed(Steady(now))
        now = backoff.resumes_at(Steady(now)) or now
    assert now - NOW >= 5 * MAX_REST
    backoff.started(Steady(now))
    backoff.failed(Steady(now))
    assert backoff.resumes_at(Steady(now)) == now + MAX_REST
    backoff.succeeded()
    assert backoff.resumes_at(Steady(now)) is None
    backoff.failed(Steady(now))
    assert backoff.resumes_at(Steady(now)) == now + FIRST_REST


def test_a_step_that_writes_nothing_is_followed_by_the_next_one_at_once() -> None:
    backoff = StoreBackoff()
    backoff.failed(Steady(NOW))
    backoff.ended()
    assert backoff.resumes_at(Steady(NOW)) == NOW + FIRST_REST, "it began before the first refusal"
    now = NOW + FIRST_REST
    backoff.started(Steady(now))
    backoff.ended()
    assert backoff.resumes_at(Steady(now)) is None
    backoff.started(Steady(now))
    backoff.failed(Steady(now))
    assert backoff.resumes_at(Steady(now)) == now + 2 * FIRST_REST


async def test_an_outcome_that_cannot_be_stored_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """In an outage, hundreds of outcomes are tried again every two seconds."""
    pauses: list[float | None] = []

    class Clock(SystemClock):
        async def wait(self, signal: asyncio.Future[None], seconds: float | None) -> None:
            pauses.append(seconds)

    async def write() -> str:
        if len(pauses) < 20:
            raise StoreError("away")
        return "stored"

    assert await until_stored(Clock(), "the outcome", write, generation_id="g1") == "stored"
    assert pauses[-1] == MAX_PAUSE
    (line,) = caplog.records
    assert line.getMessage() == "the outcome could not be stored; trying again until it is"
    assert line.__dict__["generation_id"] == "g1"
