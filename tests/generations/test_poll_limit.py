"""The rate limit of polls: halved by a 429, one probe at a time during an outage, and recovering afterwards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.generations.model import InputKind
from gateway.generations.polling.rate_limit import (
    FAILURES_IN_A_ROW,
    FIRST_BREAK,
    GROWTH_INTERVAL,
    MAX_BREAK,
    MIN_RATE,
    RATE_AFTER_BREAK,
    PollLimit,
)
from gateway.higgsfield.errors import Response, judge_call

NOW = 1_000.0


def asks(limit: PollLimit, since: float, seconds: float, every: float = 0.01) -> int:
    """Return how many calls pass in that time under constant demand."""
    return sum(limit.acquire(since + number * every) == 0.0 for number in range(int(seconds / every)))


def busy() -> PollLimit:
    """Return a limit that has passed a hundred calls per second for ten seconds."""
    limit = PollLimit()
    assert asks(limit, NOW - 10.0, 10.0) == 1_000
    return limit


def broken(at: float = NOW) -> PollLimit:
    limit = PollLimit()
    for _ in range(FAILURES_IN_A_ROW):
        assert limit.acquire(at) == 0.0
        limit.failed(at)
    return limit


# -- Too many ----------------------------------------------------------------------------------------------------------


def test_without_a_429_there_is_no_rate_limit() -> None:
    limit = PollLimit()
    assert all(limit.acquire(NOW) == 0.0 for _ in range(10_000))
    assert limit.rate is None


def test_a_429_halves_the_rate_and_retry_after_is_kept() -> None:
    limit = busy()
    limit.limited(NOW, retry_after=7.0)
    assert limit.rate is not None
    assert 45 <= limit.rate <= 55
    assert limit.acquire(NOW) == 7.0
    assert limit.acquire(NOW + 6.5) == 0.5
    assert asks(limit, NOW + 6.0, 0.99) == 0
    assert limit.acquire(NOW + 7.0) == 0.0


def test_repeated_429s_halve_the_rate_to_its_minimum() -> None:
    limit = busy()
    for number in range(20):
        limit.limited(NOW + number, retry_after=1.0)
    assert limit.rate == MIN_RATE
    assert asks(limit, NOW + 30.0, 8.0) in range(8, 11)


def test_a_shorter_retry_after_does_not_cut_a_longer_one() -> None:
    limit = busy()
    limit.limited(NOW, retry_after=30.0)
    limit.limited(NOW + 1.0, retry_after=1.0)
    assert limit.acquire(NOW + 5.0) == 25.0


def test_a_limited_rate_is_not_exceeded() -> None:
    limit = busy()
    limit.limited(NOW, retry_after=1.0)
    assert limit.rate is not None
    assert asks(limit, NOW + 1.0, 8.0) <= limit.rate * 9 + 1


def test_the_rate_grows_back_until_it_is_unlimited() -> None:
    limit = busy()
    limit.limited(NOW, retry_after=1.0)
    rates = []
    for number in range(1, 200):
        limit.acquire(NOW + number * GROWTH_INTERVAL)
        rates.append(limit.rate)
    bound = [rate for rate in rates if rate is not None]
    assert bound == sorted(bound)
    assert bound[0] < 60
    assert rates[-1] is None


# -- Outages -----------------------------------------------------------------------------------------------------------


def test_failures_in_a_row_allow_one_probe_at_a_time() -> None:
    limit = broken()
    assert limit.broken
    assert limit.acquire(NOW) == FIRST_BREAK
    later = NOW + FIRST_BREAK
    assert limit.acquire(later) == 0.0
    assert all(limit.acquire(later) > 0.0 for _ in range(100))


def test_a_response_resets_the_count_of_failures() -> None:
    limit = PollLimit()
    for _ in range(3 * FAILURES_IN_A_ROW):
        limit.failed(NOW)
        limit.answered(NOW)
    assert not limit.broken


@pytest.mark.parametrize("status", [400, 401, 403, 422, 423])
def test_a_refusal_of_one_request_is_no_outage(status: int) -> None:
    """Higgsfield responds, so a request whose status it refuses to show must not delay the polls of all others."""
    response = Response(status, "application/json", None, "", b'{"detail": "not this request"}')
    limit = PollLimit()
    for _ in range(3 * FAILURES_IN_A_ROW):
        limit.refused(judge_call(response, InputKind.NONE, ()).failure, NOW)
    assert limit.acquire(NOW) == 0.0
    assert not limit.broken


@pytest.mark.parametrize(
    ("status", "content_type", "body"),
    [(500, "application/json", b'{"detail": "an error"}'), (403, "text/html", b"blocked"), (200, "text/html", b"")],
)
def test_an_error_of_the_service_or_of_a_proxy_may_be_an_outage(status: int, content_type: str, body: bytes) -> None:
    limit, response = PollLimit(), Response(status, content_type, None, "", body)
    for _ in range(FAILURES_IN_A_ROW):
        limit.refused(judge_call(response, InputKind.NONE, ()).failure, NOW)
    assert limit.broken


def test_failed_probes_lengthen_the_pause_up_to_a_maximum() -> None:
    limit, now, pauses = broken(), NOW, []
    for _ in range(12):
        pauses.append(limit.acquire(now))
        now += pauses[-1]
        assert limit.acquire(now) == 0.0
        limit.failed(now)
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (FIRST_BREAK, MAX_BREAK)
    limit.answered(now)
    for _ in range(FAILURES_IN_A_ROW):
        limit.failed(now)
    assert limit.acquire(now) == FIRST_BREAK, "the next outage begins with the shortest pause again"


def test_after_a_successful_probe_calls_resume_at_a_limited_rate() -> None:
    limit = broken()
    assert limit.acquire(NOW + FIRST_BREAK) == 0.0
    limit.answered(NOW + FIRST_BREAK)
    assert not limit.broken
    assert asks(limit, NOW + FIRST_BREAK, 1.0, every=0.001) <= RATE_AFTER_BREAK + 1
    assert asks(limit, NOW + FIRST_BREAK + 1.0, 1.0, every=0.001) in range(95, 105)


def test_a_learned_rate_is_kept_across_an_outage() -> None:
    limit = busy()
    for number in range(3):
        limit.limited(NOW + number, retry_after=0.0)
    learned = limit.rate
    assert learned is not None
    assert learned < RATE_AFTER_BREAK
    for _ in range(FAILURES_IN_A_ROW):
        limit.failed(NOW + 5.0)
    limit.answered(NOW + 8.0)
    assert limit.rate == learned


def test_a_probe_answered_with_429_ends_the_outage() -> None:
    limit = broken()
    assert limit.acquire(NOW + FIRST_BREAK) == 0.0
    limit.limited(NOW + FIRST_BREAK, retry_after=3.0)
    assert limit.acquire(NOW + FIRST_BREAK + 2.0) == 1.0
    assert limit.acquire(NOW + FIRST_BREAK + 3.0) == 0.0


events = st.lists(
    st.tuples(st.floats(min_value=0.0, max_value=100.0), st.sampled_from(["ask", "answered", "failed", "limited"])),
    max_size=60,
)


@given(events)
def test_after_any_sequence_of_outcomes_a_call_passes_eventually(happened: list[tuple[float, str]]) -> None:
    limit, now, under_way = PollLimit(), NOW, 0
    for pause, event in happened:
        now += pause
        if event == "ask":
            under_way += limit.acquire(now) == 0.0
        elif under_way:
            under_way -= 1
            limit.limited(now, 5.0) if event == "limited" else getattr(limit, event)(now)
    for _ in range(under_way):
        limit.failed(now)  # every call ends, and its outcome is reported
    waits = 0
    while wait := limit.acquire(now):
        waits += 1
        assert waits < 100, "no call passes any more"
        now += max(wait, 1e-3)  # the rest of a wait may be less than the clock's resolution
