"""How much Higgsfield is asked: halved when it says so, a probe at a time while it is away, and back again."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.generations.poll_limit import (
    AFTER_A_BREAK,
    FAILURES_IN_A_ROW,
    FIRST_BREAK,
    GROWS_EVERY,
    LEAST_RATE,
    LONGEST_BREAK,
    PollLimit,
)

NOW = 1_000.0


def asks(limit: PollLimit, since: float, seconds: float, every: float = 0.01) -> int:
    """How many calls go through in that time, where somebody always wants one."""
    return sum(limit.holds_up(since + number * every) == 0.0 for number in range(int(seconds / every)))


def busy() -> PollLimit:
    """One through which a hundred calls a second went for ten seconds."""
    limit = PollLimit()
    assert asks(limit, NOW - 10.0, 10.0) == 1_000
    return limit


def broken(at: float = NOW) -> PollLimit:
    limit = PollLimit()
    for _ in range(FAILURES_IN_A_ROW):
        assert limit.holds_up(at) == 0.0
        limit.failed(at)
    return limit


# -- Too many ----------------------------------------------------------------------------------------------------------


def test_nothing_binds_until_somebody_complains() -> None:
    limit = PollLimit()
    assert all(limit.holds_up(NOW) == 0.0 for _ in range(10_000))
    assert limit.rate is None


def test_too_many_halves_what_was_asked_and_keeps_retry_after() -> None:
    limit = busy()
    limit.limited(NOW, retry_after=7.0)
    assert limit.rate is not None
    assert 45 <= limit.rate <= 55
    assert limit.holds_up(NOW) == 7.0
    assert limit.holds_up(NOW + 6.5) == 0.5
    assert asks(limit, NOW + 6.0, 0.99) == 0
    assert limit.holds_up(NOW + 7.0) == 0.0


def test_it_halves_again_and_never_stops() -> None:
    limit = busy()
    for number in range(20):
        limit.limited(NOW + number, retry_after=1.0)
    assert limit.rate == LEAST_RATE
    assert asks(limit, NOW + 30.0, 8.0) in range(8, 11)


def test_a_shorter_retry_after_does_not_cut_a_longer_one() -> None:
    limit = busy()
    limit.limited(NOW, retry_after=30.0)
    limit.limited(NOW + 1.0, retry_after=1.0)
    assert limit.holds_up(NOW + 5.0) == 25.0


def test_under_a_limit_a_second_has_no_more_than_the_rate_and_the_rest_of_the_one_before() -> None:
    limit = busy()
    limit.limited(NOW, retry_after=1.0)
    assert limit.rate is not None
    assert asks(limit, NOW + 1.0, 8.0) <= limit.rate * 9 + 1


def test_it_grows_back_until_it_binds_no_more() -> None:
    limit = busy()
    limit.limited(NOW, retry_after=1.0)
    rates = []
    for number in range(1, 200):
        limit.holds_up(NOW + number * GROWS_EVERY)
        rates.append(limit.rate)
    bound = [rate for rate in rates if rate is not None]
    assert bound == sorted(bound)
    assert bound[0] < 60
    assert rates[-1] is None


# -- Away --------------------------------------------------------------------------------------------------------------


def test_some_failures_in_a_row_leave_one_probe_at_a_time() -> None:
    limit = broken()
    assert limit.broken
    assert limit.holds_up(NOW) == FIRST_BREAK
    later = NOW + FIRST_BREAK
    assert limit.holds_up(later) == 0.0
    assert all(limit.holds_up(later) > 0.0 for _ in range(100))


def test_failures_with_an_answer_between_them_do_not_count_together() -> None:
    limit = PollLimit()
    for _ in range(3 * FAILURES_IN_A_ROW):
        limit.failed(NOW)
        limit.answered(NOW)
    assert not limit.broken


def test_probes_that_fail_come_later_and_later_and_go_on() -> None:
    limit, now, pauses = broken(), NOW, []
    for _ in range(12):
        pauses.append(limit.holds_up(now))
        now += pauses[-1]
        assert limit.holds_up(now) == 0.0
        limit.failed(now)
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (FIRST_BREAK, LONGEST_BREAK)


def test_after_a_probe_that_succeeds_the_others_follow_spread_out() -> None:
    limit = broken()
    assert limit.holds_up(NOW + FIRST_BREAK) == 0.0
    limit.answered(NOW + FIRST_BREAK)
    assert not limit.broken
    assert asks(limit, NOW + FIRST_BREAK, 1.0, every=0.001) <= AFTER_A_BREAK + 1
    assert asks(limit, NOW + FIRST_BREAK + 1.0, 1.0, every=0.001) in range(95, 105)


def test_what_was_learned_of_a_limit_outlasts_a_break() -> None:
    limit = busy()
    for number in range(3):
        limit.limited(NOW + number, retry_after=0.0)
    learned = limit.rate
    assert learned is not None
    assert learned < AFTER_A_BREAK
    for _ in range(FAILURES_IN_A_ROW):
        limit.failed(NOW + 5.0)
    limit.answered(NOW + 8.0)
    assert limit.rate == learned


def test_a_probe_that_is_told_too_many_is_an_answer_too() -> None:
    limit = broken()
    assert limit.holds_up(NOW + FIRST_BREAK) == 0.0
    limit.limited(NOW + FIRST_BREAK, retry_after=3.0)
    assert limit.holds_up(NOW + FIRST_BREAK + 2.0) == 1.0
    assert limit.holds_up(NOW + FIRST_BREAK + 3.0) == 0.0


events = st.lists(
    st.tuples(st.floats(min_value=0.0, max_value=100.0), st.sampled_from(["ask", "answered", "failed", "limited"])),
    max_size=60,
)


@settings(deadline=None)
@given(events)
def test_whatever_happens_a_call_goes_through_some_day(happened: list[tuple[float, str]]) -> None:
    limit, now, under_way = PollLimit(), NOW, 0
    for pause, event in happened:
        now += pause
        if event == "ask":
            under_way += limit.holds_up(now) == 0.0
        elif under_way:
            under_way -= 1
            limit.limited(now, 5.0) if event == "limited" else getattr(limit, event)(now)
    for _ in range(under_way):
        limit.failed(now)  # every call comes to an end, and is told of
    waits = 0
    while wait := limit.holds_up(now):
        waits += 1
        assert waits < 100, "no call goes through any more"
        now += max(wait, 1e-3)  # the rest of a wait may be less than the clock's resolution
