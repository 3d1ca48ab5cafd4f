"""Admission: first come, first served, within the limit, and behind a gate that a probe opens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Failure, Reason
from gateway.generations.admission.admission import (
    DEFAULT_MAX_RUN_TIME,
    LIMIT_DELAY,
    LIMIT_GROWTH_INTERVAL,
    PROBE_PAUSE,
    RECOVERY_BURST,
    RECOVERY_FOR,
    RECOVERY_RATE,
    REFUSED_FOR,
    SHARE_DELAY,
    SILENCE_DELAY,
    SILENT_IN_A_ROW,
    STARTS_DELAY,
    UNSTARTED_COUNTS_FOR,
    Admission,
)
from gateway.generations.model import Generation, Moment, Spec, State, Steady
from gateway.generations.state import CancelAsked, Marked, advance

NOW = 1_000.0
FULL = Failure(Reason.UPSTREAM_SATURATED, "full", retryable=True)
FULL_FOR_LONG = replace(FULL, retry_after=60.0)
AWAY = Failure(Reason.UPSTREAM_UNAVAILABLE, "away", retryable=True)


def waiting(number: int, weight: int = 1) -> Generation:
    """Return a pending generation; ids sort by creation, so `number` gives its place in the order."""
    spec = Spec(
        id=f"{number:06}", tenant="tenant", model_id="example/model", api="v2", account="account",
        origin="https://api.example.invalid", input=b"", labels={}, idempotency_key=f"{number}", create_time=NOW,
        created_at=NOW, weight=weight,
    )  # fmt: skip
    return Generation(spec)


def marked(generation: Generation) -> Generation:
    after = advance(generation, Marked("owner"), Moment(NOW, NOW))
    assert after is not None
    return after


def running(generation: Generation) -> Generation:
    return replace(generation, state=State.IN_PROGRESS, request_id=generation.id, marker=None)


def ended(generation: Generation) -> Generation:
    return replace(generation, state=State.COMPLETED, marker=None)


def canceled(generation: Generation) -> Generation:
    after = advance(generation, CancelAsked(), Moment(NOW, NOW))
    assert after is not None
    return after


class Room:
    """An admission and the generations it decides about; `send_due` sends all that it admits."""

    def __init__(self, limit: int = 0) -> None:
        self.admission = Admission(limit)
        self.known: dict[str, Generation] = {}

    def add(self, *generations: Generation) -> None:
        for generation in generations:
            self.track(generation)

    def track(self, generation: Generation) -> None:
        self.known[generation.id] = generation
        self.admission.track(generation)

    def send_due(self, now: float = NOW) -> list[int]:
        """Send all that may be sent now, marked as the follower marks them; return their numbers in order."""
        gone = []
        while (name := self.admission.next(now)) is not None:
            self.track(marked(self.known[name]))
            gone.append(int(name))
        return gone

    def take(self, number: int) -> None:
        """Higgsfield accepts the submission."""
        generation = self.known[f"{number:06}"]
        self.admission.answered(generation.id, NOW, usable=True)
        self.track(running(generation))

    def turn_away(self, number: int, failure: Failure, opens_at: float, now: float = NOW) -> None:
        """Higgsfield postpones the submission, which waits again."""
        generation = self.known[f"{number:06}"]
        self.admission.close(generation.id, failure, now, opens_at - now)
        self.track(replace(generation, marker=None, sends=0))

    def end(self, number: int) -> None:
        self.track(ended(self.known[f"{number:06}"]))


# -- Order and limit ---------------------------------------------------------------------------------------------------


def test_without_a_limit_all_are_sent_at_once_in_order() -> None:
    room = Room()
    room.add(waiting(3), waiting(1), waiting(2))
    assert room.send_due() == [1, 2, 3]


def test_a_limit_delays_later_generations() -> None:
    room = Room(limit=2)
    room.add(*map(waiting, range(5)))
    assert room.send_due() == [0, 1]
    assert [room.admission.position(f"{number:06}") for number in range(5)] == [0, 0, 1, 2, 3]
    assert room.admission.waiting == 3
    room.take(0)
    assert room.send_due() == []
    room.end(0)
    assert room.send_due() == [2]


def test_a_batch_takes_a_slot_per_output_and_is_not_overtaken() -> None:
    room = Room(limit=4)
    room.add(waiting(1, weight=2), waiting(2, weight=4), waiting(3))
    assert room.send_due() == [1]  # there are slots for the third, but it waits for its turn
    room.end(1)
    assert room.send_due() == [2]
    room.end(2)
    assert room.send_due() == [3]


def test_a_batch_larger_than_the_limit_is_sent_alone() -> None:
    room = Room(limit=2)
    room.add(waiting(1), waiting(2, weight=4), waiting(3))
    assert room.send_due() == [1]
    room.end(1)
    assert room.send_due() == [2]
    assert room.admission.delay_for("tenant", 1, NOW) == LIMIT_DELAY
    room.end(2)
    assert room.send_due() == [3]


def test_a_new_submission_never_overtakes_a_waiting_one() -> None:
    room = Room(limit=1)
    assert room.admission.delay_for("tenant", 1, NOW) is None
    room.add(waiting(1))
    assert room.admission.delay_for("tenant", 1, NOW) == LIMIT_DELAY
    assert room.send_due() == [1]
    assert room.admission.delay_for("tenant", 1, NOW) == LIMIT_DELAY
    room.end(1)
    assert room.admission.delay_for("tenant", 1, NOW) is None


def test_a_canceled_generation_is_skipped() -> None:
    room = Room(limit=1)
    room.add(waiting(1), waiting(2), waiting(3))
    assert room.send_due() == [1]
    room.track(canceled(room.known["000002"]))
    room.end(1)
    assert room.send_due() == [3]


def test_a_generation_not_sent_returns_its_slot_and_keeps_its_place() -> None:
    room = Room(limit=1)
    room.add(waiting(1), waiting(2))
    name = room.admission.next(NOW)
    assert name == "000001"
    room.admission.release(name)
    room.track(waiting(1))
    assert room.send_due() == [1]


def uncertain(number: int, *, held: bool = False) -> Generation:
    """Return a generation whose outcome is unknown; it was sent ten seconds after its creation."""
    return replace(waiting(number), state=State.UNCERTAIN, sends=1, sent_at=Steady(NOW + 10.0), held=held)


@pytest.mark.parametrize(("longest", "lasts"), [(60.0, 60.0), (None, DEFAULT_MAX_RUN_TIME)])
def test_an_uncertain_generation_takes_a_slot_for_the_longest_run_of_its_model(
    longest: float | None, lasts: float
) -> None:
    room = Room()
    room.admission = Admission(1, longest_run=lambda _: longest)
    room.add(uncertain(1), waiting(2))
    ends = NOW + 10.0 + lasts
    assert room.send_due(ends - 0.1) == []
    assert room.admission.wakes_at(ends - 0.1) == ends
    assert room.send_due(ends) == [2]


def test_a_generation_that_the_operator_holds_takes_no_slot() -> None:
    room = Room(limit=1)
    room.add(uncertain(1, held=True), waiting(2))
    assert room.send_due() == [2]


def test_running_generations_of_an_earlier_process_take_slots() -> None:
    room = Room(limit=2)
    room.add(running(waiting(1)), replace(waiting(2), state=State.UNCERTAIN, ambiguous=True), waiting(3))
    assert room.send_due() == []
    room.end(2)
    assert room.send_due() == [3]


# -- The gate ----------------------------------------------------------------------------------------------------------


def closed(failure: Failure = FULL, opens_at: float = NOW + PROBE_PAUSE) -> Room:
    """Return a room with a closed gate: the first generation was postponed and waits, before two others."""
    room = Room()
    room.add(waiting(1))
    assert room.send_due() == [1]
    room.turn_away(1, failure, opens_at)
    room.add(waiting(2), waiting(3))
    return room


def test_a_closed_gate_admits_nothing() -> None:
    room = closed(replace(FULL, response={"detail": "of another tenant"}))
    assert room.send_due(NOW + PROBE_PAUSE - 0.1) == []
    room.admission.answered("000009", NOW + 1.0, usable=True)  # of a submission that was sent before
    assert room.admission.delay_for("tenant", 1, NOW) == FULL
    assert room.admission.wakes_at(NOW) == NOW + PROBE_PAUSE


def test_after_the_pause_one_probe_is_sent() -> None:
    room = closed()
    later = NOW + PROBE_PAUSE
    assert room.send_due(later) == [1]
    assert room.admission.delay_for("tenant", 1, later) == FULL
    assert room.admission.wakes_at(NOW) is None  # only the probe's response can open the gate
    room.take(1)
    assert room.send_due(later) == [2, 3]
    assert room.admission.delay_for("tenant", 1, later) is None


def test_a_postponed_probe_closes_the_gate_again() -> None:
    room = closed()
    later = NOW + PROBE_PAUSE
    assert room.send_due(later) == [1]
    room.turn_away(1, FULL, later + PROBE_PAUSE, later)
    assert room.send_due(later) == []
    assert room.admission.wakes_at(later) == later + PROBE_PAUSE
    assert room.send_due(later + PROBE_PAUSE) == [1]


def test_a_probe_without_a_response_leaves_the_gate_closed() -> None:
    room = closed()
    later = NOW + PROBE_PAUSE
    assert room.send_due(later) == [1]
    room.admission.answered("000001", later, usable=False)
    room.track(replace(room.known["000001"], state=State.UNCERTAIN, ambiguous=True, marker=None))
    assert room.send_due(later) == []  # the end of the uncertain probe is unknown, so the gate stays closed
    assert room.send_due(later + PROBE_PAUSE) == [2]  # the next probe, alone
    room.take(2)
    assert room.send_due(later + PROBE_PAUSE) == [3]


def test_an_opened_gate_limits_the_rate_for_a_minute() -> None:
    room = closed()
    opened = NOW + PROBE_PAUSE
    room.add(*map(waiting, range(4, 20_000)))
    assert room.send_due(opened) == [1]
    room.admission.answered("000001", opened, usable=True)
    room.track(running(room.known["000001"]))
    assert len(room.send_due(opened)) == RECOVERY_BURST
    assert room.admission.delay_for("tenant", 1, opened) == LIMIT_DELAY
    wakes_at = room.admission.wakes_at(opened)
    assert wakes_at is not None
    assert opened < wakes_at <= opened + 1 / RECOVERY_RATE
    for second in range(int(RECOVERY_FOR) - 1):
        gone = sum(len(room.send_due(opened + second + part / 10)) for part in range(1, 11))
        assert RECOVERY_RATE - 2 <= gone <= RECOVERY_RATE + 2
    assert len(room.send_due(opened + RECOVERY_FOR)) > 10_000
    room.admission.limit_rate(opened + RECOVERY_FOR + 1.0)  # what was sent before that does not count
    room.add(*map(waiting, range(20_000, 20_100)))
    assert len(room.send_due(opened + RECOVERY_FOR + 1.0)) >= RECOVERY_BURST


def test_a_gate_that_never_closed_limits_no_rate() -> None:
    room = Room()
    room.add(*map(waiting, range(1_000)))
    assert len(room.send_due()) == 1_000


def test_several_timeouts_in_a_row_close_the_gate() -> None:
    room = Room()
    room.add(*map(waiting, range(SILENT_IN_A_ROW + 1)))
    assert len(room.send_due()) == SILENT_IN_A_ROW + 1
    room.admission.answered("000001", NOW, usable=False)
    room.take(0)  # after that, the row begins anew
    for number in range(1, SILENT_IN_A_ROW + 1):
        assert room.admission.delay_for("tenant", 1, NOW) is None
        room.admission.answered(f"{number:06}", NOW, usable=False)
    assert room.admission.delay_for("tenant", 1, NOW) == SILENCE_DELAY
    assert room.admission.delay_for("tenant", 1, NOW + PROBE_PAUSE) is None


def test_a_shorter_pause_does_not_cut_a_longer_one() -> None:
    room = closed(FULL_FOR_LONG, NOW + 60.0)
    room.turn_away(1, AWAY, NOW + PROBE_PAUSE)
    assert room.admission.delay_for("tenant", 1, NOW + PROBE_PAUSE) == FULL_FOR_LONG
    assert room.send_due(NOW + 60.0) == [1]


def test_a_probe_that_was_not_sent_is_replaced_by_the_next() -> None:
    room = closed()
    later = NOW + PROBE_PAUSE
    name = room.admission.next(later)
    assert name == "000001"
    room.admission.release(name)
    room.track(canceled(room.known[name]))
    assert room.send_due(later) == [2]


def test_the_end_of_a_running_generation_sends_a_probe_at_once() -> None:
    room = closed()
    room.add(running(waiting(0)))
    assert room.send_due() == []
    room.end(0)
    assert room.send_due() == [1]


def test_retry_after_is_kept_though_a_generation_ends() -> None:
    room = closed(FULL_FOR_LONG, NOW + 60.0)
    room.add(running(waiting(0)))
    room.end(0)
    assert room.send_due(NOW + 59.9) == []
    assert room.admission.wakes_at(NOW) == NOW + 60.0
    assert room.send_due(NOW + 60.0) == [1]


def test_a_gate_ready_for_a_probe_does_not_wake_a_full_account() -> None:
    room = Room()
    room.add(*map(waiting, range(3)))
    assert len(room.send_due()) == 3
    room.take(0)
    room.take(1)
    room.turn_away(2, replace(FULL, metadata={"limit": "2"}), NOW + PROBE_PAUSE)
    later = NOW + PROBE_PAUSE + 1.0
    assert room.send_due(later) == []
    # An immediate wake-up would make the follower spin.
    assert room.admission.wakes_at(later) == NOW + LIMIT_GROWTH_INTERVAL
    room.end(0)
    assert room.send_due(later) == [2]


def test_an_end_sends_no_probe_while_higgsfield_is_unreachable() -> None:
    room = closed(AWAY)
    room.add(running(waiting(0)))
    room.end(0)
    assert room.send_due() == []


def test_a_closed_gate_without_waiting_generations_has_no_wake_up() -> None:
    room = closed()
    for number in (1, 2, 3):
        room.track(canceled(room.known[f"{number:06}"]))
    assert room.admission.wakes_at(NOW) is None
    # The next submission after the pause is the probe.
    assert room.admission.delay_for("tenant", 1, NOW) == FULL
    later = NOW + PROBE_PAUSE
    assert room.admission.delay_for("tenant", 1, later) is None
    room.admission.reserve("000004", "tenant", 1, later)
    assert room.admission.delay_for("tenant", 1, later) == FULL, "the one after it is no second probe"


# -- The learned limit, and tenants ------------------------------------------------------------------------------------


def of_tenant(tenant: str, number: int, weight: int = 1) -> Generation:
    generation = waiting(number, weight)
    return replace(generation, spec=replace(generation.spec, tenant=tenant))


def test_the_limit_named_by_higgsfield_is_used() -> None:
    room = Room()
    room.add(*map(waiting, range(5)))
    assert len(room.send_due()) == 5
    for number in range(4):
        room.take(number)
    room.turn_away(4, replace(FULL, metadata={"limit": "4"}), NOW + PROBE_PAUSE)
    room.end(0)
    assert room.send_due() == [4]
    room.take(4)
    assert room.admission.delay_for("tenant", 1, NOW) == LIMIT_DELAY
    room.end(1)
    room.end(2)
    room.add(waiting(5))
    assert room.send_due() == [5]
    room.take(5)
    assert room.admission.limit(NOW) == 4, "fewer run now, but as many may run"


def test_a_limit_learned_from_a_429_grows_by_one_each_quiet_minute() -> None:
    room = Room()
    room.add(*map(waiting, range(3)))
    assert len(room.send_due()) == 3
    room.take(0)
    room.take(1)
    room.turn_away(2, FULL, NOW + PROBE_PAUSE)
    assert room.admission.limit(NOW) == 2
    assert room.admission.limit(NOW + LIMIT_GROWTH_INTERVAL - 0.1) == 2
    assert room.admission.limit(NOW + 1.5 * LIMIT_GROWTH_INTERVAL) == 3
    assert room.admission.limit(NOW + 2 * LIMIT_GROWTH_INTERVAL) == 4


def test_a_response_that_is_stored_after_a_429_raises_the_learned_limit() -> None:
    room = Room()
    room.add(*map(waiting, range(4)))
    assert len(room.send_due()) == 4
    room.take(0)
    room.turn_away(1, FULL, NOW + PROBE_PAUSE)
    assert room.admission.limit(NOW) == 1
    room.take(2)
    room.take(3)
    assert room.admission.limit(NOW) == 3


def test_a_429_while_nothing_runs_teaches_no_limit() -> None:
    assert closed().admission.limit(NOW) is None


def test_a_configured_limit_is_not_learned() -> None:
    room = Room(limit=2)
    room.add(*map(waiting, range(3)))
    assert room.send_due() == [0, 1]
    room.take(0)
    room.turn_away(1, FULL, NOW + PROBE_PAUSE)
    assert room.send_due(NOW + PROBE_PAUSE) == [1]
    room.take(1)
    later = NOW + PROBE_PAUSE + RECOVERY_FOR
    assert room.send_due(later) == []
    assert room.admission.wakes_at(later) is None


def test_tenants_take_turns() -> None:
    room = Room(limit=1)
    room.add(of_tenant("a", 1), of_tenant("a", 2), of_tenant("a", 3), of_tenant("b", 4), of_tenant("c", 5))
    places = {number: room.admission.position(f"{number:06}") for number in range(1, 6)}
    assert places == {1: 1, 4: 2, 5: 3, 2: 4, 3: 5}
    order = []
    while gone := room.send_due():
        order += gone
        room.end(gone[0])
    assert order == sorted(places, key=lambda number: places[number])


def test_a_tenant_that_comes_later_goes_before_the_next_of_one_that_was_just_sent() -> None:
    room = Room(limit=2)
    room.add(of_tenant("b", 0))
    assert room.send_due() == [0]
    room.end(0)
    for number in (1, 2):  # sent directly, without a wait
        assert room.admission.delay_for("tenant", 1, NOW) is None
        room.admission.reserve(f"{number:06}", "a", 1, NOW)
        room.add(marked(of_tenant("a", number)))
    room.add(*(of_tenant("a", number) for number in range(3, 11)), of_tenant("b", 11))
    assert room.admission.position("000011") == 1
    room.end(1)
    assert room.send_due() == [11]


def test_a_new_tenant_gets_one_turn_and_then_shares() -> None:
    room = Room(limit=1)
    room.add(*(of_tenant("a", number) for number in range(1, 9)))
    for number in (1, 2, 3):
        assert room.send_due() == [number]
        room.end(number)
    room.add(*(of_tenant("b", number) for number in range(11, 14)))
    order = []
    while gone := room.send_due():
        order += gone
        room.end(gone[0])
    assert order == [11, 4, 12, 5, 13, 6, 7, 8]


def shared(*generations: Generation) -> Room:
    """Return a room of several tenants, without a known limit."""
    room = Room()
    room.admission = Admission(several_tenants=lambda: True)
    room.add(*generations)
    return room


def test_before_a_limit_is_known_the_first_of_several_tenants_does_not_fill_higgsfields_queue() -> None:
    room = shared(*(of_tenant("a", number) for number in range(1, 11)))
    assert room.send_due() == [1, 2]
    assert room.admission.wants_starts
    assert room.admission.delay_for("a", 1, NOW) == STARTS_DELAY
    assert room.admission.delay_for("b", 1, NOW) is None
    room.add(of_tenant("b", 11))
    assert room.send_due() == [11], "another tenant does not wait for it"


def test_more_are_sent_ahead_the_more_outputs_are_seen_to_run() -> None:
    room = shared(*map(waiting, range(100)))
    sizes = []
    while gone := room.send_due():
        for number in gone:
            room.take(number)
        sizes.append(room.admission.running)
    assert sizes == [2, 3, 4, 6, 9, 13, 19, 28, 42, 63, 94, 100]
    assert not room.admission.wants_starts
    for number in range(100):
        room.end(number)
    room.add(*map(waiting, range(100, 200)))
    assert len(room.send_due()) == 50
    room.take(100)
    assert len(room.send_due()) == 1, "fewer run now, but the account may run as many as before"


def test_what_higgsfield_queues_holds_back_the_next_until_it_starts() -> None:
    room = shared(*map(waiting, range(1, 10)))
    for number in room.send_due():
        room.take(number)
    assert room.send_due() == [3]
    room.track(replace(running(room.known["000003"]), state=State.QUEUED))
    room.end(1)
    assert room.send_due() == []
    room.take(3)
    assert room.send_due() == [4]


def queued(generation: Generation) -> Generation:
    return replace(generation, state=State.QUEUED, request_id=generation.id, marker=None)


def test_what_has_not_started_for_long_does_not_hold_back_the_next_again_when_it_is_canceled() -> None:
    room = shared(*map(waiting, range(1, 6)))
    for number in room.send_due():
        room.admission.answered(f"{number:06}", NOW, usable=True)
        room.track(queued(room.known[f"{number:06}"]))
    late = NOW + UNSTARTED_COUNTS_FOR
    for name in (room.admission.next(late), room.admission.next(late)):
        assert name is not None
        sent = advance(room.known[name], Marked("owner"), Moment(late, late))
        assert sent is not None
        room.track(queued(sent))
    room.track(canceled(room.known["000001"]))
    room.end(3)
    assert room.send_due(late) == [5]


def test_a_generation_that_does_not_start_holds_back_the_next_for_a_while() -> None:
    room = shared(*map(waiting, range(1, 6)))
    assert room.send_due() == [1, 2]
    assert room.admission.wakes_at(NOW) == NOW + UNSTARTED_COUNTS_FOR
    room.admission.reserve("000001", "tenant", 1, NOW + UNSTARTED_COUNTS_FOR)  # it is sent again
    assert room.send_due(NOW + UNSTARTED_COUNTS_FOR) == [3]
    assert room.send_due(NOW + 2 * UNSTARTED_COUNTS_FOR) == [4, 5]


def test_what_was_not_sent_or_is_not_counted_any_more_holds_back_nothing() -> None:
    room = shared(*map(waiting, range(1, 6)))
    name = room.admission.next(NOW)
    assert name is not None
    room.admission.release(name)
    assert room.send_due() == [2, 3]
    room.admission.forget(room.known["000002"])
    assert room.send_due() == [4]
    assert (room.admission.running, room.admission.waiting) == (2, 1)
    room.admission.forget(room.known["000005"])
    assert room.admission.waiting == 0


def test_after_a_restart_what_was_sent_holds_back_the_next() -> None:
    sent = replace(running(waiting(1)), state=State.QUEUED, sent_at=Steady(NOW))
    adopted = replace(running(waiting(2)), state=State.QUEUED)  # it was sent by another program
    room = shared(sent, adopted, waiting(3))
    assert room.send_due() == []
    room.end(1)
    assert room.send_due() == [3]


def test_a_batch_larger_than_what_is_sent_ahead_is_sent_alone() -> None:
    room = shared(waiting(1), waiting(2, weight=4), waiting(3))
    assert room.send_due() == [1]
    assert room.admission.delay_for("tenant", 1, NOW) == STARTS_DELAY, "it would overtake the batch"
    room.take(1)
    assert room.send_due() == [2]
    assert room.send_due() == []


def test_a_refusal_sets_the_limit_that_replaces_it() -> None:
    room = shared(*map(waiting, range(1, 10)))
    assert room.send_due() == [1, 2]
    room.take(1)
    room.turn_away(2, replace(FULL, metadata={"limit": "1"}), NOW + PROBE_PAUSE)
    assert room.admission.limit(NOW) == 1
    assert not room.admission.wants_starts


def test_one_tenant_without_a_limit_does_not_wait() -> None:
    room = Room()
    room.add(running(waiting(0)), *map(waiting, range(1, 20)))
    assert len(room.send_due()) == 19


# -- Over many ---------------------------------------------------------------------------------------------------------


def test_a_tenant_uses_at_most_its_share_of_the_limit() -> None:
    room = Room()
    room.admission = Admission(5, share=lambda tenant: 50 if tenant == "a" else None)
    room.add(*(of_tenant("a", number) for number in (1, 2, 3)))
    assert room.send_due() == [1, 2], "a part of an output is none"
    assert room.admission.delay_for("a", 1, NOW) == SHARE_DELAY
    assert room.admission.wakes_at(NOW) == NOW + 1.0, "no event tells that a share was changed"
    room.add(of_tenant("b", 4), of_tenant("b", 5))
    assert room.send_due() == [4, 5]
    room.end(1)
    assert room.send_due() == [3]


def test_a_tenant_does_not_wait_for_others_that_wait_for_their_share() -> None:
    room = Room()
    room.admission = Admission(4, share=lambda tenant: 50 if tenant == "a" else None)
    room.add(of_tenant("a", 1), of_tenant("a", 2), of_tenant("a", 3))
    assert room.send_due() == [1, 2]
    assert room.admission.delay_for("b", 1, NOW) is None
    assert room.admission.delay_for("b", 4, NOW) == LIMIT_DELAY
    room.add(of_tenant("b", 4, weight=3))
    assert room.send_due() == []
    assert room.admission.delay_for("b", 1, NOW) == LIMIT_DELAY, "it would overtake the tenant's own batch"
    assert room.admission.delay_for("c", 1, NOW) == LIMIT_DELAY, "it would overtake the batch of another tenant"


def test_a_tenant_with_the_smallest_share_may_run_one() -> None:
    room = Room()
    room.admission = Admission(5, share=lambda _: 1)
    room.add(waiting(1, weight=4), waiting(2))
    assert room.send_due() == [1]
    room.end(1)
    assert room.send_due() == [2]
    room.admission = Admission(share=lambda _: 1)  # of a limit that is not known
    room.add(waiting(3), waiting(4))
    assert room.send_due() == [3, 4]


def test_a_closed_gate_lets_no_tenant_overtake_the_probe() -> None:
    room = shared(of_tenant("a", 1))
    assert room.send_due() == [1]
    room.turn_away(1, AWAY, NOW + PROBE_PAUSE)
    assert room.admission.delay_for("b", 1, NOW + PROBE_PAUSE) == AWAY
    assert room.send_due(NOW + PROBE_PAUSE) == [1]


def test_a_probe_on_its_way_leaves_nothing_to_wake_up_for() -> None:
    room = shared(*map(waiting, range(1, 5)))
    assert room.send_due() == [1, 2]
    room.turn_away(1, AWAY, NOW + PROBE_PAUSE)
    assert room.send_due(NOW + PROBE_PAUSE) == [1]
    assert room.admission.wakes_at(NOW + UNSTARTED_COUNTS_FOR) is None  # else the follower would spin


def test_progress_does_not_raise_a_limit_that_higgsfield_has_lowered() -> None:
    room = Room()
    room.add(*map(waiting, range(3)))
    assert room.send_due() == [0, 1, 2]
    room.take(0)
    room.take(1)
    room.turn_away(2, replace(FULL, metadata={"limit": "1"}), NOW + PROBE_PAUSE)
    room.track(running(room.known["000001"]))
    assert room.admission.limit(NOW) == 1


def test_after_a_restart_what_was_sent_late_holds_back_the_next_from_then_on() -> None:
    sent_at = Steady(NOW + 100.0)
    queued = [replace(running(waiting(number)), state=State.QUEUED, sent_at=sent_at) for number in (1, 2)]
    room = shared(*queued)
    assert room.admission.delay_for("tenant", 1, sent_at) == STARTS_DELAY
    room.add(waiting(3))
    assert room.send_due(sent_at) == []
    assert room.send_due(sent_at + UNSTARTED_COUNTS_FOR) == [3]


def test_an_account_that_refuses_is_avoided_for_a_while() -> None:
    admission = Admission()
    assert not admission.is_refused(NOW)
    admission.refuse(NOW)
    assert admission.is_refused(NOW + REFUSED_FOR - 0.1)
    assert not admission.is_refused(NOW + REFUSED_FOR)


@settings(max_examples=100)
@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=20), st.sets(st.integers(0, 19)), st.integers(0, 5))
def test_positions_are_the_order_of_sending(tenants: list[str], leavers: set[int], gone_before: int) -> None:
    """For any generations sent before the others came, and any cancels in the queue."""
    room = Room(limit=1)
    numbered = [of_tenant(tenant, number) for number, tenant in enumerate(tenants)]
    room.add(*numbered[: len(tenants) // 2])
    for _ in range(min(gone_before, len(tenants) // 2)):
        room.end(*room.send_due())
    room.add(*numbered[len(tenants) // 2 :])
    for name, generation in list(room.known.items()):
        if int(name) in leavers and generation.waiting:
            room.track(canceled(generation))
    waiting_now = [name for name, generation in room.known.items() if generation.waiting]
    places = {room.admission.position(name): int(name) for name in waiting_now}
    order = []
    while gone := room.send_due():
        order += gone
        room.end(*gone)
    assert order == [places[place] for place in range(1, len(waiting_now) + 1)]
    assert [room.admission.waiting_of(tenant) for tenant in "abcd"] == [0, 0, 0, 0]


@settings(max_examples=60)
@given(st.data(), st.integers(1, 6), st.lists(st.integers(1, 4), min_size=1, max_size=25))
def test_any_sequence_of_outcomes_keeps_the_order_and_the_limit(data: Any, limit: int, weights: list[int]) -> None:
    """For any sequence of acceptances, ends and postponements."""
    room = Room(limit)
    now, sent, gone = NOW, [0], 0
    for number, weight in enumerate(weights, start=1):
        room.add(waiting(number, weight))
    while room.admission.waiting or gone:
        for number in room.send_due(now):
            assert number > max(sent) or number in sent, "a generation was overtaken"
            sent.append(number)
        on_their_way = [int(g.id) for g in room.known.values() if g.marker or g.state is State.IN_PROGRESS]
        used = sum(weights[number - 1] for number in on_their_way)
        assert used <= limit or len(on_their_way) == 1
        gone = len(on_their_way)
        if not gone:
            assert not room.admission.waiting or room.admission.wakes_at(now) is not None, (
                "nothing would ever be sent again"
            )
            now += PROBE_PAUSE
            continue
        number = data.draw(st.sampled_from(on_their_way))
        happens = data.draw(st.sampled_from(["taken", "ended", "ended", "turned away"]))
        if happens == "turned away" and room.known[f"{number:06}"].marker:
            room.turn_away(number, FULL, now + PROBE_PAUSE, now)
        elif happens == "taken" and room.known[f"{number:06}"].marker:
            room.take(number)
        else:
            room.take(number)
            room.end(number)
    assert all(generation.done for generation in room.known.values())


def test_a_send_examines_few_of_a_thousand_tenants(monkeypatch: pytest.MonkeyPatch) -> None:
    """After UNSTARTED_COUNTS_FOR seconds without a start, the next ones of all tenants may be sent at once."""
    admission, may_send, examined = Admission(several_tenants=lambda: True), Admission._may_send, 0

    def count(self: Admission, tenant: str, now: Steady) -> bool:
        nonlocal examined
        examined += 1
        return may_send(self, tenant, now)

    monkeypatch.setattr(Admission, "_may_send", count)
    for number in range(4_000):
        one = waiting(number)
        admission.track(replace(one, spec=replace(one.spec, tenant=f"tenant-{number % 1_000}")))
    for now in (NOW, NOW + UNSTARTED_COUNTS_FOR):
        sent = examined = 0
        while admission.next(now) is not None:
            sent += 1
        assert sent == 2_000
        assert examined < 5 * sent
