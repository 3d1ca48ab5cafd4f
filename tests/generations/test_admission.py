"""Who goes next: first come, first served, within the limit, and through a gate that opens by a probe."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Failure, Reason
from gateway.generations.admission import (
    AT_ONCE,
    PROBE_PAUSE,
    QUIET,
    SILENCES,
    SILENT,
    SLOWLY,
    SLOWLY_FOR,
    TURN,
    Admission,
)
from gateway.generations.model import Generation, Moment, Spec, State
from gateway.generations.state import CancelAsked, Marked, advance

NOW = 1_000.0
FULL = Failure(Reason.UPSTREAM_SATURATED, "full", retryable=True)
FULL_FOR_LONG = replace(FULL, retry_after=60.0)
AWAY = Failure(Reason.UPSTREAM_UNAVAILABLE, "away", retryable=True)


def waiting(number: int, weight: int = 1) -> Generation:
    """One that came as the so-many-th: ids sort by the time of their making."""
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
    """An admission and the generations it decides about; `go` sends whoever may."""

    def __init__(self, limit: int = 0) -> None:
        self.admission = Admission(limit)
        self.known: dict[str, Generation] = {}

    def come(self, *generations: Generation) -> None:
        for generation in generations:
            self.noticed(generation)

    def noticed(self, generation: Generation) -> None:
        self.known[generation.id] = generation
        self.admission.noticed(generation)

    def go(self, now: float = NOW) -> list[int]:
        """The numbers of those that go now, in their order; each is marked, as the follower does."""
        gone = []
        while (name := self.admission.next(now)) is not None:
            self.noticed(marked(self.known[name]))
            gone.append(int(name))
        return gone

    def take(self, number: int) -> None:
        """Higgsfield took it."""
        generation = self.known[f"{number:06}"]
        self.admission.answered(generation.id, NOW, usable=True)
        self.noticed(running(generation))

    def turn_away(self, number: int, failure: Failure, opens_at: float, now: float = NOW) -> None:
        """Higgsfield did not take it for now: it waits again."""
        generation = self.known[f"{number:06}"]
        self.admission.close(generation.id, failure, now, opens_at - now)
        self.noticed(replace(generation, marker=None, sends=0))

    def end(self, number: int) -> None:
        self.noticed(ended(self.known[f"{number:06}"]))


# -- Order and limit ---------------------------------------------------------------------------------------------------


def test_without_a_limit_all_go_at_once_in_their_order() -> None:
    room = Room()
    room.come(waiting(3), waiting(1), waiting(2))
    assert room.go() == [1, 2, 3]


def test_a_limit_holds_back_those_that_came_later() -> None:
    room = Room(limit=2)
    room.come(*map(waiting, range(5)))
    assert room.go() == [0, 1]
    assert [room.admission.position(f"{number:06}") for number in range(5)] == [0, 0, 1, 2, 3]
    assert room.admission.waiting == 3
    room.take(0)
    assert room.go() == []
    room.end(0)
    assert room.go() == [2]


def test_a_batch_counts_its_outputs_and_is_not_overtaken() -> None:
    room = Room(limit=4)
    room.come(waiting(1, weight=2), waiting(2, weight=4), waiting(3))
    assert room.go() == [1]  # the third would have room, and waits for its turn
    room.end(1)
    assert room.go() == [2]
    room.end(2)
    assert room.go() == [3]


def test_what_is_larger_than_the_limit_goes_alone() -> None:
    room = Room(limit=2)
    room.come(waiting(1), waiting(2, weight=4), waiting(3))
    assert room.go() == [1]
    room.end(1)
    assert room.go() == [2]
    assert room.admission.holds_up("tenant", 1, NOW) == TURN
    room.end(2)
    assert room.go() == [3]


def test_a_new_submission_never_goes_before_one_that_waits() -> None:
    room = Room(limit=1)
    assert room.admission.holds_up("tenant", 1, NOW) is None
    room.come(waiting(1))
    assert room.admission.holds_up("tenant", 1, NOW) == TURN
    assert room.go() == [1]
    assert room.admission.holds_up("tenant", 1, NOW) == TURN
    room.end(1)
    assert room.admission.holds_up("tenant", 1, NOW) is None


def test_who_is_canceled_while_waiting_is_passed_over() -> None:
    room = Room(limit=1)
    room.come(waiting(1), waiting(2), waiting(3))
    assert room.go() == [1]
    room.noticed(canceled(room.known["000002"]))
    room.end(1)
    assert room.go() == [3]


def test_who_stays_behind_gives_back_its_room_and_keeps_its_place() -> None:
    room = Room(limit=1)
    room.come(waiting(1), waiting(2))
    name = room.admission.next(NOW)
    assert name == "000001"
    room.admission.stays_behind(name)
    room.noticed(waiting(1))
    assert room.go() == [1]


def test_what_an_earlier_process_left_running_takes_its_room() -> None:
    room = Room(limit=2)
    room.come(running(waiting(1)), replace(waiting(2), state=State.UNCERTAIN, ambiguous=True), waiting(3))
    assert room.go() == []
    room.end(2)
    assert room.go() == [3]


# -- The gate ----------------------------------------------------------------------------------------------------------


def closed(failure: Failure = FULL, opens_at: float = NOW + PROBE_PAUSE) -> Room:
    """A room whose first was turned away and waits again, before a second and a third."""
    room = Room()
    room.come(waiting(1))
    assert room.go() == [1]
    room.turn_away(1, failure, opens_at)
    room.come(waiting(2), waiting(3))
    return room


def test_while_the_gate_is_closed_nobody_goes() -> None:
    room = closed()
    assert room.go(NOW + PROBE_PAUSE - 0.1) == []
    assert room.admission.holds_up("tenant", 1, NOW) == FULL
    assert room.admission.wakes_at(NOW) == NOW + PROBE_PAUSE


def test_when_its_time_comes_one_goes_as_a_probe() -> None:
    room = closed()
    later = NOW + PROBE_PAUSE
    assert room.go(later) == [1]
    assert room.admission.holds_up("tenant", 1, later) == FULL
    assert room.admission.wakes_at(NOW) is None  # only the probe's answer can help
    room.take(1)
    assert room.go(later) == [2, 3]
    assert room.admission.holds_up("tenant", 1, later) is None


def test_a_probe_that_is_turned_away_closes_the_gate_anew() -> None:
    room = closed()
    later = NOW + PROBE_PAUSE
    assert room.go(later) == [1]
    room.turn_away(1, FULL, later + PROBE_PAUSE, later)
    assert room.go(later) == []
    assert room.admission.wakes_at(later) == later + PROBE_PAUSE
    assert room.go(later + PROBE_PAUSE) == [1]


def test_a_probe_without_an_answer_opens_nothing() -> None:
    room = closed()
    later = NOW + PROBE_PAUSE
    assert room.go(later) == [1]
    room.admission.answered("000001", later, usable=False)
    room.noticed(replace(room.known["000001"], state=State.UNCERTAIN, ambiguous=True, marker=None))
    assert room.go(later) == []  # what is uncertain too helps nobody
    assert room.go(later + PROBE_PAUSE) == [2]  # the next probe, alone
    room.take(2)
    assert room.go(later + PROBE_PAUSE) == [3]


def test_behind_a_gate_that_opens_so_many_go_in_a_second_and_after_a_minute_all() -> None:
    room = closed()
    opened = NOW + PROBE_PAUSE
    room.come(*map(waiting, range(4, 20_000)))
    assert room.go(opened) == [1]
    room.admission.answered("000001", opened, usable=True)
    room.noticed(running(room.known["000001"]))
    assert len(room.go(opened)) == AT_ONCE
    assert room.admission.holds_up("tenant", 1, opened) == TURN
    wakes_at = room.admission.wakes_at(opened)
    assert wakes_at is not None
    assert opened < wakes_at <= opened + 1 / SLOWLY
    for second in range(int(SLOWLY_FOR) - 1):
        gone = sum(len(room.go(opened + second + part / 10)) for part in range(1, 11))
        assert SLOWLY - 2 <= gone <= SLOWLY + 2
    assert len(room.go(opened + SLOWLY_FOR)) > 10_000


def test_where_nothing_was_closed_nothing_is_slow() -> None:
    room = Room()
    room.come(*map(waiting, range(1_000)))
    assert len(room.go()) == 1_000


def test_silences_in_a_row_close_the_gate() -> None:
    room = Room()
    room.come(*map(waiting, range(1, SILENCES + 1)))
    assert len(room.go()) == SILENCES
    for number in range(1, SILENCES + 1):
        assert room.admission.holds_up("tenant", 1, NOW) is None
        room.admission.answered(f"{number:06}", NOW, usable=False)
    assert room.admission.holds_up("tenant", 1, NOW) == SILENT
    assert room.admission.holds_up("tenant", 1, NOW + PROBE_PAUSE) is None


def test_a_shorter_pause_does_not_cut_a_longer_one() -> None:
    room = closed(FULL_FOR_LONG, NOW + 60.0)
    room.turn_away(1, AWAY, NOW + PROBE_PAUSE)
    assert room.admission.holds_up("tenant", 1, NOW + PROBE_PAUSE) == FULL_FOR_LONG
    assert room.go(NOW + 60.0) == [1]


def test_a_probe_that_was_not_sent_leaves_its_part_to_another() -> None:
    room = closed()
    later = NOW + PROBE_PAUSE
    name = room.admission.next(later)
    assert name == "000001"
    room.admission.stays_behind(name)
    room.noticed(canceled(room.known[name]))
    assert room.go(later) == [2]


def test_the_end_of_one_that_ran_lets_the_next_be_tried_at_once() -> None:
    room = closed()
    room.come(running(waiting(0)))
    assert room.go() == []
    room.end(0)
    assert room.go() == [1]


def test_retry_after_is_kept_whatever_ends_meanwhile() -> None:
    room = closed(FULL_FOR_LONG, NOW + 60.0)
    room.come(running(waiting(0)))
    room.end(0)
    assert room.go(NOW + 59.9) == []
    assert room.admission.wakes_at(NOW) == NOW + 60.0
    assert room.go(NOW + 60.0) == [1]


def test_a_gate_whose_time_has_come_wakes_nobody_while_there_is_no_room() -> None:
    room = Room()
    room.come(*map(waiting, range(3)))
    assert len(room.go()) == 3
    room.take(0)
    room.take(1)
    room.turn_away(2, replace(FULL, metadata={"limit": "2"}), NOW + PROBE_PAUSE)
    later = NOW + PROBE_PAUSE + 1.0
    assert room.go(later) == []
    assert room.admission.wakes_at(later) == NOW + QUIET  # asked at once, the follower would go round in circles
    room.end(0)
    assert room.go(later) == [2]


def test_where_nothing_is_reached_an_end_proves_nothing() -> None:
    room = closed(AWAY)
    room.come(running(waiting(0)))
    room.end(0)
    assert room.go() == []


def test_an_empty_room_behind_a_closed_gate_wakes_nobody() -> None:
    room = closed()
    for number in (1, 2, 3):
        room.noticed(canceled(room.known[f"{number:06}"]))
    assert room.admission.wakes_at(NOW) is None
    # The next that comes after its time is the probe.
    assert room.admission.holds_up("tenant", 1, NOW) == FULL
    assert room.admission.holds_up("tenant", 1, NOW + PROBE_PAUSE) is None


# -- The learned limit, and tenants ------------------------------------------------------------------------------------


def of_tenant(tenant: str, number: int) -> Generation:
    generation = waiting(number)
    return replace(generation, spec=replace(generation.spec, tenant=tenant))


def test_the_number_that_higgsfield_names_is_the_limit() -> None:
    room = Room()
    room.come(*map(waiting, range(5)))
    assert len(room.go()) == 5
    for number in range(4):
        room.take(number)
    room.turn_away(4, replace(FULL, metadata={"limit": "4"}), NOW + PROBE_PAUSE)
    room.end(0)
    assert room.go() == [4]
    room.take(4)
    assert room.admission.holds_up("tenant", 1, NOW) == TURN


def test_else_what_ran_is_the_limit_and_grows_by_one_in_a_quiet_minute() -> None:
    room = Room()
    room.come(*map(waiting, range(3)))
    assert len(room.go()) == 3
    room.take(0)
    room.take(1)
    room.turn_away(2, FULL, NOW + PROBE_PAUSE)
    assert room.admission.limit(NOW) == 2
    assert room.admission.limit(NOW + QUIET - 0.1) == 2
    assert room.admission.limit(NOW + QUIET) == 3
    assert room.admission.limit(NOW + 2 * QUIET) == 4


def test_a_refusal_while_nothing_of_ours_runs_teaches_nothing() -> None:
    assert closed().admission.limit(NOW) is None


def test_tenants_take_turns() -> None:
    room = Room(limit=1)
    room.come(of_tenant("a", 1), of_tenant("a", 2), of_tenant("a", 3), of_tenant("b", 4), of_tenant("c", 5))
    places = {number: room.admission.position(f"{number:06}") for number in range(1, 6)}
    assert places == {1: 1, 4: 2, 5: 3, 2: 4, 3: 5}
    order = []
    while gone := room.go():
        order += gone
        room.end(gone[0])
    assert order == sorted(places, key=lambda number: places[number])


def test_while_several_tenants_wait_nobody_fills_higgsfields_own_queue() -> None:
    room = Room()
    room.come(running(waiting(0)), of_tenant("a", 1), of_tenant("b", 2))
    room.come(*(of_tenant("a", number) for number in range(3, 20)))
    gone = room.go()
    assert gone[:2] == [1, 2]
    # Twice what was seen to run is less than four; once b waits no more, a has the account for itself.
    assert room.admission.running >= 4


# -- Over many ---------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=20), st.sets(st.integers(0, 19)), st.integers(0, 5))
def test_places_are_the_order_in_which_all_go(tenants: list[str], leavers: set[int], gone_before: int) -> None:
    """Whoever has gone before, and wherever in the queue somebody is canceled."""
    room = Room(limit=1)
    room.come(*(of_tenant(tenant, number) for number, tenant in enumerate(tenants)))
    for _ in range(min(gone_before, len(tenants))):
        room.end(*room.go())
    for name, generation in list(room.known.items()):
        if int(name) in leavers and generation.waiting:
            room.noticed(canceled(generation))
    waiting_now = [name for name, generation in room.known.items() if generation.waiting]
    places = {room.admission.position(name): int(name) for name in waiting_now}
    order = []
    while gone := room.go():
        order += gone
        room.end(*gone)
    assert order == [places[place] for place in range(1, len(waiting_now) + 1)]
    assert [room.admission.waiting_of(tenant) for tenant in "abcd"] == [0, 0, 0, 0]


@settings(deadline=None, max_examples=60)
@given(st.data(), st.integers(1, 6), st.lists(st.integers(1, 4), min_size=1, max_size=25))
def test_over_many_the_order_is_kept_and_the_limit_too(data: Any, limit: int, weights: list[int]) -> None:
    """Whatever ends, is turned away or is canceled in whatever order."""
    room = Room(limit)
    now, sent, gone = NOW, [0], 0
    for number, weight in enumerate(weights, start=1):
        room.come(waiting(number, weight))
    while room.admission.waiting or gone:
        for number in room.go(now):
            assert number > max(sent) or number in sent, "somebody was overtaken"
            sent.append(number)
        on_their_way = [int(g.id) for g in room.known.values() if g.marker or g.state is State.IN_PROGRESS]
        used = sum(weights[number - 1] for number in on_their_way)
        assert used <= limit or len(on_their_way) == 1
        gone = len(on_their_way)
        if not gone:
            assert not room.admission.waiting or room.admission.wakes_at(now) is not None, "nobody goes for ever"
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
