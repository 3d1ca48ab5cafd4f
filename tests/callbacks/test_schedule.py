"""The retry policy in isolation, and the order in which a queue returns deliveries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.callbacks import schedule
from gateway.callbacks.dispatcher import CallbackQueue
from gateway.callbacks.model import Callback, Delivery, DeliveryState, Outcome, Problem, id_parts
from gateway.generations.model import Moment
from gateway.generations.stores import Filter
from gateway.headers import parse_retry_after

NOW = 1_700_000_000.0
TAKEN = Outcome(http_status=204)
REFUSED = Outcome(Problem.STATUS, 400)
GONE = Outcome(Problem.GONE, 410)
AWAY = Outcome(Problem.TIMEOUT)
BEHIND_A_PROXY = Outcome(Problem.STATUS, 520)
BUSY = Outcome(Problem.STATUS, 503, retry_after=7_200.0)
OUTCOMES = st.sampled_from(
    [
        TAKEN, REFUSED, AWAY, BEHIND_A_PROXY, BUSY, Outcome(Problem.REDIRECT, 302), Outcome(Problem.CONNECTION),
        Outcome(Problem.ADDRESS_REFUSED), Outcome(Problem.STATUS, 500, retry_after=1e9), Outcome(Problem.STATUS, 429),
    ]
)  # fmt: skip


def moment(after: float = 0.0) -> Moment:
    return Moment(NOW + after, NOW + after)


def callback(**more: Any) -> Callback:
    given: dict[str, Any] = {
        "id": "callback", "tenant": "tenant", "url": "https://example.com/", "wanted": Filter(), "every_change": False,
        "idempotency_key": "key", "fingerprint": b"", "create_time": NOW, "position": 0,
    }  # fmt: skip
    return Callback(**(given | more))


def delivery(generation: str = "generation", revision: int = 1, at: float = NOW) -> Delivery:
    return Delivery("callback", generation, revision, NOW, at)


@given(st.lists(st.tuples(OUTCOMES, st.floats(0, 200_000), st.floats(0, 1)), max_size=60))
def test_any_sequence_of_outcomes_keeps_the_retry_policy(history: list[tuple[Outcome, float, float]]) -> None:
    one, waits, at, last = callback(), delivery(), 0.0, 0.0
    for outcome, pause, chance in history:
        if waits.state is not DeliveryState.PENDING or one.paused:
            return
        at += pause
        before, quiet = one, at - last > schedule.OUTAGE_FORGOTTEN_AFTER
        last = at
        result = schedule.after(one, waits, outcome, moment(at), chance)
        one, waits = result.callback, result.delivery
        assert (waits.problem, waits.http_status) == (outcome.problem, outcome.http_status)
        if outcome.problem is None:
            assert waits.state is DeliveryState.DELIVERED
            assert (one.problem, one.failing_since, one.streak, one.held_until) == (None, None, 0, 0.0)
            assert result.recovered == (before.streak >= schedule.OUTAGE_AFTER)
            continue
        # Never at once, never before Retry-After, and at most a day later than the longest pause.
        if waits.state is DeliveryState.PENDING:
            assert waits.next_at - (NOW + at) >= 0.9 * schedule.FIRST_HOLD
            assert waits.next_at - (NOW + at) >= min(outcome.retry_after or 0.0, schedule.MAX_RETRY_AFTER)
        assert waits.next_at - (NOW + at) <= max(schedule.MAX_RETRY_AFTER, 1.1 * max(schedule.PAUSES)) + 86_400.0
        # A delivery fails only after ten refusals; a callback is paused only after days.
        assert (waits.state is DeliveryState.FAILED) == (waits.refusals == len(schedule.PAUSES) + 1)
        assert one.failing_since is not None
        assert one.paused == (NOW + at - one.failing_since >= schedule.PAUSE_CALLBACK_AFTER)
        assert not (one.paused and quiet)


@pytest.mark.parametrize("outcome", [AWAY, BEHIND_A_PROXY])
def test_an_outage_does_not_use_up_the_attempts_of_a_delivery(outcome: Outcome) -> None:
    one, waits = callback(), delivery()
    for number in range(200):
        result = schedule.after(one, waits, outcome, moment(number * 900.0), 0.5)
        one, waits = result.callback, result.delivery
    assert waits.state is DeliveryState.PENDING
    assert (waits.attempts, waits.refusals) == (200, schedule.OUTAGE_AFTER - 1)
    assert one.held_until == waits.next_at == NOW + 199 * 900.0 + schedule.MAX_HOLD


def test_an_outage_goes_on_after_a_resumption() -> None:
    one, waits = callback(), delivery()
    for number in range(200):
        result = schedule.after(one, waits, AWAY, moment(number * 900.0), 0.5)
        one, waits = schedule.resumed(result.callback), result.delivery
        assert (one.problem, one.failing_since, one.held_until) == (None, None, 0.0)
    assert waits.state is DeliveryState.PENDING
    assert waits.refusals == schedule.OUTAGE_AFTER - 1
    assert waits.next_at == NOW + 199 * 900.0 + 40.0, "the pauses begin again"
    assert schedule.after(one, waits, TAKEN, moment(), 0.5).recovered


def test_holds_grow_to_a_limit_and_end_with_a_success() -> None:
    one, waits, holds, at = callback(), delivery(), [], 0.0
    for _ in range(12):
        one = schedule.after(one, waits, AWAY, moment(at), 0.5).callback
        holds.append(one.held_until - NOW - at)
        at += holds[-1]
    assert holds[:4] == [5.0, 10.0, 20.0, 40.0]
    assert holds[-1] == schedule.MAX_HOLD
    endless = schedule.after(callback(streak=10_000), waits, AWAY, moment(), 0.5).callback
    assert endless.held_until == NOW + schedule.MAX_HOLD
    assert schedule.after(one, waits, TAKEN, moment(), 0.5).callback.held_until == 0.0


def test_attempts_that_fail_together_are_one_failure() -> None:
    """Four are made at once: each short outage would hold everything for 40 s."""
    one = callback()
    for number in range(4):
        result = schedule.after(one, delivery(str(number)), AWAY, moment(0.1 * number), 0.5)
        one = result.callback
        assert (one.streak, result.delivery.refusals) == (1, 1)
        assert one.held_until == result.delivery.next_at == NOW + 0.1 * number + schedule.FIRST_HOLD
    assert schedule.after(one, delivery(), AWAY, moment(10.0), 0.5).callback.streak == 2


def test_another_failure_does_not_shorten_a_longer_hold() -> None:
    held = schedule.after(callback(), delivery(), BUSY, moment(), 0.5).callback
    after = schedule.after(held, delivery("other"), AWAY, moment(1.0), 0.5).callback
    assert after.held_until == held.held_until == NOW + 7_200.0
    assert after.problem_time == NOW, "the problem exists since the first failure"


def test_a_refusal_holds_no_other_delivery() -> None:
    for outcome in (REFUSED, Outcome(Problem.REDIRECT, 302), Outcome(Problem.STATUS, 500)):
        after = schedule.after(callback(streak=1), delivery(), outcome, moment(), 0.5).callback
        assert (after.streak, after.held_until) == (0, 0.0)


def test_a_failure_does_not_change_a_callback_that_was_paused_during_the_attempt() -> None:
    paused = callback(paused=True, streak=schedule.OUTAGE_AFTER)
    for outcome in (REFUSED, AWAY):
        result = schedule.after(paused, delivery(), outcome, moment(), 0.5)
        assert result.callback == paused
        assert result.delivery.next_at >= NOW, "an outage that does not hold the callback gives no time"


def test_two_distant_failures_are_not_a_failure_for_days() -> None:
    one = schedule.after(callback(), delivery(), REFUSED, moment(), 0.5).callback
    late = schedule.after(one, delivery("other"), REFUSED, moment(30 * 86_400.0), 0.5).callback
    assert (late.paused, late.failing_since) == (False, NOW + 30 * 86_400.0)
    for hours in range(0, 80, 20):
        one = schedule.after(one, delivery("other"), REFUSED, moment(hours * 3600.0), 0.5).callback
    assert not one.paused
    assert schedule.after(one, delivery("other"), REFUSED, moment(80 * 3600.0), 0.5).callback.paused


def test_410_pauses_a_callback_at_once() -> None:
    result = schedule.after(callback(), delivery(), Outcome(Problem.GONE, 410), moment(), 0.5)
    assert (result.callback.paused, result.delivery.state) == (True, DeliveryState.PENDING)


@pytest.mark.parametrize("outcome", [REFUSED, AWAY, BUSY, GONE], ids=["refused", "away", "busy", "gone"])
def test_no_failure_is_one_of_a_callback_without_a_url(outcome: Outcome) -> None:
    one, waits = callback(url=""), delivery()
    for _ in range(schedule.OUTAGE_AFTER):
        result = schedule.after(one, waits, outcome, moment(), 0.5)
        assert result.callback == one
        waits = result.delivery
        assert waits.state is (DeliveryState.FAILED if outcome is GONE else DeliveryState.PENDING)
    if outcome is BUSY:
        assert waits.next_at == NOW + 7_200.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0), ("0", 0.0), ("-5", 0.0), ("Tue, 14 Nov 2023 22:15:00 GMT", 100.0), ("soon", None), ("", None),
        ("nan", None), (None, None), ("Tue, 99 Nov 2023 22:15:00 GMT", None),
        ("Tue, 99999999999 Nov 2023 22:15:00 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_read_as_seconds_and_as_a_date(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, "", NOW) == seconds


def test_a_delivery_id_contains_callback_generation_and_revision() -> None:
    assert id_parts(delivery("generation", 12).id) == ("callback", "generation", 12)
    for wrong in ("", "a_b", "a_b_c", "a_b_1_2", "a_b_-1", "a_b_１", "a_b_1" + "0" * 20):
        assert id_parts(wrong) is None
    assert "." not in delivery().id


STEPS = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(0, 2), st.booleans()), max_size=80)


@example([(0, 3, 0, False), *[(0, 1, 2, False)] * 3, (0, 2, 0, False), (0, 1, 1, False)])
@given(STEPS)
def test_a_queue_returns_due_deliveries_in_order_and_counts_them(
    steps: list[tuple[int, int, int, bool]],
) -> None:
    """Compare with a plain dict of pending deliveries: one per generation at a time, the lowest revision first."""
    queue, waits, flying, now = CallbackQueue(callback()), {}, {}, NOW
    for generation, revision, kind, well in steps:
        name = str(generation)
        if kind == 0:
            under_way = flying.get(name)
            if under_way is None or under_way.revision != revision:
                waits[name, revision] = delivery(name, revision, now + revision)
            queue.add(delivery(name, revision, now + revision))
        elif kind == 1 and flying:
            landing = flying.pop(sorted(flying)[0])
            del waits[landing.generation_id, landing.revision]
            if not well:
                waits[landing.generation_id, landing.revision] = landing = replace(landing, next_at=now + 1.0)
            queue.attempted(landing if not well else replace(landing, state=DeliveryState.DELIVERED))
        else:
            now += 1.0
            taken = queue.take(now)
            if taken is not None:
                assert taken.generation_id not in flying
                assert taken.next_at <= now
                assert waits[taken.generation_id, taken.revision] == taken
                flying[taken.generation_id] = taken
        assert queue.waiting == len(waits)
        assert queue.in_flight == set(flying)
        firsts = {}
        for known_name, known_revision in sorted(waits):
            if known_name not in flying:
                firsts.setdefault(known_name, waits[known_name, known_revision])
        assert queue.next_due() == min((one.next_at for one in firsts.values()), default=None)
