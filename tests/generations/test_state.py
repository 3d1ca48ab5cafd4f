"""Every kind of observation in any order, current or outdated: the state machine keeps its invariants."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.callbacks.model import Delivery, id_parts
from gateway.errors import Failure, Reason
from gateway.generations import state
from gateway.generations.model import (
    ENDED,
    Generation,
    Marker,
    MediaKind,
    Moment,
    Output,
    Source,
    Spec,
    State,
    StatusReport,
    frees_key,
)

# The transitions of the design, written down independently of the code.
EDGES = {
    State.PENDING: {State.UNCERTAIN, State.QUEUED, State.IN_PROGRESS, *ENDED} - {State.LOST},
    State.UNCERTAIN: {State.QUEUED, State.IN_PROGRESS, *ENDED},
    State.QUEUED: {State.IN_PROGRESS, *ENDED},
    State.IN_PROGRESS: set(ENDED),
}
UNSEEN = frozenset(
    {
        "spec", "version", "revision", "update_time", "source", "marker", "send_by", "first_sent_at", "sent_at",
        "sends", "ambiguous", "not_before", "repeats_over", "cancel_requested", "missing_since", "stray_request_id",
    }
)  # fmt: skip
"""Fields that callers do not see, and those that hold only the time and the source of a change."""
SEEN = frozenset(field.name for field in dataclasses.fields(Generation)) - UNSEEN

IDS = ("first", "second", "third")
REACHED = (State.QUEUED, State.IN_PROGRESS, State.COMPLETED, State.FAILED, State.NSFW, State.CANCELED)
FAILURE = Failure(Reason.INPUT_REFUSED, "refused")
BUSY = Failure(Reason.UPSTREAM_SATURATED, "full", retryable=True)
FILE = Output(State.COMPLETED, MediaKind.IMAGE, "https://media.example.invalid/1.png")

pauses = st.floats(0, 100)
reports = st.builds(
    StatusReport,
    request_id=st.sampled_from(IDS),
    status=st.sampled_from(["queued", "in_progress", "done"]),
    state=st.sampled_from(REACHED),
    outputs=st.sampled_from([(), (FILE,), (FILE, FILE)]),
    failure=st.none() | st.just(FAILURE),
    expire_time=st.none() | st.floats(0, 1e6),
    other_results=st.none() | st.just({"text": "a caption"}),
    used_input=st.none() | st.just({"seed": 7}),
)


def start(**spec: Any) -> Generation:
    given: dict[str, Any] = {
        "id": "id", "tenant": "tenant", "model_id": "example/model", "api": "v2", "account": "account",
        "origin": "https://api.example.invalid", "input": b"", "labels": {}, "idempotency_key": "key",
        "create_time": 1.0, "created_at": 1.0,
    }  # fmt: skip
    return Generation(Spec(**(given | spec)), update_time=1.0)


class Observations(RuleBasedStateMachine):
    """A generation and all possible observations; `markers` are those of all its attempts."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1.0
        self.generation = start()
        self.markers = [Marker("unknown", 1)]
        self.was_ambiguous = False

    def observe(self, observation: state.Observation) -> tuple[Generation, Generation]:
        """Apply the observation; return the versions before and after, which are the same object if nothing changed."""
        self.now += 1.0
        before = self.generation
        after = state.advance(before, observation, Moment(self.now, self.now))
        if after is None:
            return before, before
        self.judge(before, after, observation)
        self.generation = after
        self.was_ambiguous |= after.ambiguous
        return before, after

    def judge(self, before: Generation, after: Generation, observation: state.Observation) -> None:
        """Check the invariants of every step, for any observation."""
        assert after.spec == before.spec
        assert after.version == before.version + 1
        changed = {name for name in SEEN if getattr(before, name) != getattr(after, name)}
        seen = bool(changed) or isinstance(observation, state.Restored)
        assert after.revision == before.revision + seen, changed
        assert after.update_time == (self.now if seen else before.update_time)
        if before.state is not after.state:
            assert after.state in EDGES[before.state]
        if before.done:
            assert {field.name for field in dataclasses.fields(after) if differs(before, after, field.name)} == {
                "version", "stray_request_id",
            }  # fmt: skip
        if frees_key(before, after):
            assert not self.was_ambiguous
            assert not after.request_id
        for once in ("request_id", "accept_time", "start_time", "end_time", "stray_request_id"):
            assert getattr(before, once) in (None, "", getattr(after, once)), once

    @rule(owner=st.sampled_from(["one", "another"]))
    def marked(self, owner: str) -> None:
        before, after = self.observe(state.Marked(owner))
        if before is not after:
            assert after.marker not in self.markers, "every attempt has a new marker"
            assert after.marker is not None
            self.markers.append(after.marker)

    @rule(data=st.data())
    def unsent(self, data: st.DataObject) -> None:
        marker = self.any_marker(data)
        self.of_its_attempt(marker, state.Unsent(marker))

    @rule(data=st.data(), final=st.booleans())
    def refused(self, data: st.DataObject, final: bool) -> None:
        marker = self.any_marker(data)
        before, after = self.of_its_attempt(marker, state.Refused(marker, FAILURE, final))
        if before is not after and before.ambiguous:
            assert after.state is State.UNCERTAIN
            assert after.repeats_over >= final

    @rule(data=st.data(), pause=pauses, reached=st.booleans(), failure=st.sampled_from([BUSY, FAILURE]))
    def postponed(self, data: st.DataObject, pause: float, reached: bool, failure: Failure) -> None:
        marker = self.any_marker(data)
        before, after = self.of_its_attempt(marker, state.Postponed(marker, failure, pause, reached))
        if before is not after and not after.done:
            assert after.state is before.state
            assert after.not_before == self.now + pause

    @rule(data=st.data(), pause=pauses)
    def ambiguous(self, data: st.DataObject, pause: float) -> None:
        marker = self.any_marker(data)
        before, after = self.of_its_attempt(marker, state.Ambiguous(marker, FAILURE, pause))
        assert before is after or after.state is State.UNCERTAIN

    @rule(data=st.data(), pause=pauses)
    def owner_died(self, data: st.DataObject, pause: float) -> None:
        marker = self.any_marker(data)
        before, after = self.of_its_attempt(marker, state.OwnerDied(marker, pause))
        assert before is after or after.state is State.UNCERTAIN

    @rule()
    def restored(self) -> None:
        before, after = self.observe(state.Restored())
        if before is not after:
            if before.state in {State.PENDING, State.UNCERTAIN}:
                assert (after.state, after.held, after.marker) == (State.UNCERTAIN, True, None)
            else:
                assert (after.state, after.held) == (before.state, before.held)
        else:
            assert before.done

    @rule(report=reports, known=st.booleans())
    def accepted(self, report: StatusReport, known: bool) -> None:
        report = report if known else replace(report, state=None)
        before, after = self.observe(state.Accepted(report))
        name = report.request_id
        if before.request_id == name:
            assert after.stray_request_id == before.stray_request_id
        elif before.request_id or before.done:
            assert after.stray_request_id == (before.stray_request_id or name)
            assert after.revision == before.revision
        else:
            # An acceptance applies however late it arrives, in any state of its attempt.
            assert (after.request_id, after.accept_time, after.marker) == (name, self.now, None)
            assert after.state is (report.state or State.QUEUED)
        assert (after.accept_time is None) == (not after.request_id)

    @rule(report=reports, source=st.sampled_from([Source.POLL, Source.WEBHOOK, Source.CANCEL]))
    def reported(self, report: StatusReport, source: Source) -> None:
        before, after = self.observe(state.Reported(report, source))
        if before is after:
            return
        assert report.request_id == before.request_id
        assert after.source is source
        if report.state is State.QUEUED:
            assert after.state is before.state
        else:
            assert after.state is report.state or before.state is State.IN_PROGRESS

    @rule(report=reports)
    def reported_with_an_unknown_status(self, report: StatusReport) -> None:
        unknown = replace(report, status="paused", state=None, outputs=(), response=lambda: {"status": "paused"})
        before, after = self.observe(state.Reported(unknown, Source.POLL))
        changed = {name for name in SEEN if getattr(before, name) != getattr(after, name)}
        assert changed <= {"upstream_status", "other_results", "used_input"}
        if before is not after:
            assert after.other_results == {"status": "paused"}

    @rule()
    def missing(self) -> None:
        before, after = self.observe(state.Missing())
        if before is not after:
            assert before.request_id
            assert (after.state, before.missing_since) == (before.state, None)

    @rule(stale=st.booleans())
    def missing_for_too_long(self, stale: bool) -> None:
        since = 0.5 if stale else self.generation.missing_since
        before, after = self.observe(state.Missing(given_up_since=since))
        if before is not after and since is not None:
            assert before.missing_since == since
            assert after.state is State.LOST

    @rule(failure=st.none() | st.just(FAILURE))
    def cancel_asked(self, failure: Failure | None) -> None:
        before, after = self.observe(state.CancelAsked(failure))
        if before.waiting:
            assert (after.state, after.failure) == (State.CANCELED, failure)
        else:
            assert after.state is before.state

    @rule()
    def expired(self) -> None:
        before, after = self.observe(state.Expired(FAILURE))
        assert before is after or after.state in {State.FAILED, State.LOST}
        assert before is after or before.marker is None, "a submission on the wire does not expire"

    @invariant()
    def fields_are_consistent(self) -> None:
        generation = self.generation
        assert generation.sends >= 0
        if generation.waiting:
            assert not generation.ambiguous
            assert (generation.sends, generation.sent_at, generation.first_sent_at) == (0, None, None)
        if generation.marker is not None:
            assert generation.state in {State.PENDING, State.UNCERTAIN}
            assert generation.sends > 0
            assert generation.send_by is not None
        assert generation.done == (generation.end_time is not None)
        assert not generation.stray_request_id or generation.stray_request_id != generation.request_id
        if generation.state is State.UNCERTAIN:
            assert generation.ambiguous
            assert generation.delay is not None
        if generation.state in {State.QUEUED, State.IN_PROGRESS}:
            assert generation.request_id
            assert generation.delay is None

    def any_marker(self, data: st.DataObject) -> Marker:
        """Draw the marker of any attempt so far, most often that of the current one."""
        present = [] if self.generation.marker is None else [self.generation.marker] * 3
        return data.draw(st.sampled_from(self.markers + present))

    def of_its_attempt(self, marker: Marker, observation: state.Observation) -> tuple[Generation, Generation]:
        """Apply an outcome that counts only if its attempt is the current one."""
        is_current = self.generation.marker == marker
        before, after = self.observe(observation)
        assert (before is not after) == is_current
        return before, after


def differs(one: Generation, other: Generation, name: str) -> bool:
    return bool(getattr(one, name) != getattr(other, name))


class Impatient(Observations):
    """The same observations of a v1 generation with `fail_when_saturated`."""

    def __init__(self) -> None:
        super().__init__()
        self.generation = start(fail_when_saturated=True, api="v1")


TestObservations = Observations.TestCase
TestImpatient = Impatient.TestCase
TestObservations.settings = TestImpatient.settings = settings(max_examples=150, stateful_step_count=25)


IN_ORDER = (State.QUEUED, State.IN_PROGRESS, State.COMPLETED)


def accepted(*outputs: Output) -> Generation:
    report = StatusReport("first", "in_progress", State.IN_PROGRESS, outputs=outputs)
    found = state.advance(start(), state.Accepted(report), Moment(2.0, 2.0))
    assert found is not None
    return found


@pytest.mark.parametrize("before", IN_ORDER)
@pytest.mark.parametrize("reported", IN_ORDER)
@pytest.mark.parametrize("total", [State.IN_PROGRESS, State.FAILED])
def test_a_job_never_goes_back_to_an_earlier_state(before: State, reported: State, total: State) -> None:
    first, second = (Output(one, MediaKind.IMAGE, job=name) for one, name in ((before, "a"), (State.QUEUED, "b")))
    report = StatusReport("first", "word", total, outputs=(replace(first, state=reported), second))
    after = state.advance(accepted(first, second), state.Reported(report, Source.POLL), Moment(3.0, 3.0))
    assert after is not None
    assert [output.state for output in after.outputs] == [max(before, reported), State.QUEUED]


def test_a_report_of_many_outputs_is_compared_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """A response of 1 MiB can have 40,000 outputs. If each were compared with all others, it would take minutes."""
    compared, equal = 0, Output.__eq__

    def count(one: Output, other: object) -> bool:
        nonlocal compared
        compared += 1
        return equal(one, other)

    many = tuple(Output(State.COMPLETED, MediaKind.IMAGE, f"https://media.example.invalid/{n}") for n in range(1_000))
    report = StatusReport("first", "completed", State.COMPLETED, many)
    before = accepted()
    monkeypatch.setattr(Output, "__eq__", count)
    after = state.advance(before, state.Reported(report, Source.POLL), Moment(9.0, 9.0))
    assert after is not None
    assert after.outputs == many
    assert compared <= 10 * len(many)


def test_every_kind_of_observation_is_tried() -> None:
    kinds = {kind.__name__.lower() for kind in state.Observation.__args__}
    rules = {name.replace("_", "") for name in vars(Observations) if not name.startswith("__")}
    assert kinds <= rules


def test_two_restores_of_one_backup_use_different_revisions() -> None:
    backup = dataclasses.replace(start(), state=State.QUEUED, request_id="first", revision=2)

    def restored(generation: Generation, at: float) -> Generation:
        after = state.advance(generation, state.Restored(), Moment(at, at))
        assert after is not None
        assert (after.state, after.version) == (State.QUEUED, generation.version + 1)
        return after

    first = restored(backup, 1_800_000_000.0)
    second = restored(backup, 1_800_000_010.0)
    assert backup.revision + 1_000_000 < first.revision < second.revision - 5
    assert restored(second, 1_800_000_010.0).revision == second.revision + 1
    wrong_clock = restored(backup, 253_402_300_799.0)
    assert wrong_clock.revision < 2**31 - 1_000_000
    delivery = Delivery("callback", wrong_clock.id, wrong_clock.revision, 0.0, 0.0)
    assert id_parts(delivery.id) == ("callback", wrong_clock.id, wrong_clock.revision)


def observations(generation: Generation) -> Iterator[state.Observation]:
    """Every kind of observation, current and outdated, with each content that leads to another state."""
    yield from (state.Marked("one"), state.CancelAsked(), state.Restored(), state.Missing())
    yield state.Missing(generation.missing_since)
    yield state.Expired(FAILURE, Source.OPERATOR)
    yield from (
        state.Expired(FAILURE, version=version) for version in (None, generation.version, generation.version + 1)
    )
    for marker in {generation.marker or Marker("none", 1), Marker("outdated", 1)}:
        yield from (state.Unsent(marker), state.Ambiguous(marker, FAILURE, 1.0), state.OwnerDied(marker, 1.0))
        yield from (state.Refused(marker, FAILURE, final) for final in (False, True))
        for failure in (BUSY, FAILURE):
            yield from (state.Postponed(marker, failure, 1.0, reached) for reached in (False, True))
    for request_id in IDS[:2]:
        for reached in (None, *REACHED):
            report = StatusReport(request_id, "word", reached)
            yield from (state.Accepted(report), state.Reported(report, Source.POLL))


def reachable() -> dict[type[state.Observation], dict[State, set[State]]]:
    """Return every transition that can happen, found by applying all observations to all reachable generations."""
    found: dict[type[state.Observation], dict[State, set[State]]] = {}
    waiting = [start(), start(fail_when_saturated=True), start(api="v1")]
    known = set(waiting)
    while waiting:
        before = waiting.pop()
        for observation in observations(before):
            after = state.advance(before, observation, Moment(2.0, 2.0))
            if after is None:
                continue
            found.setdefault(type(observation), {}).setdefault(before.state, set()).add(after.state)
            # Counters would make every version a new one, so bound them.
            same = replace(after, version=1, revision=1, sends=min(after.sends, 2))
            if same.marker is not None:
                same = replace(same, marker=Marker("one", 1))
            if same not in known:
                known.add(same)
                waiting.append(same)
    return found


def test_the_table_lists_exactly_the_reachable_transitions() -> None:
    assert reachable() == state.TRANSITIONS


def test_the_transitions_are_those_of_the_design() -> None:
    edges: dict[State, set[State]] = {before: set() for before in State}
    for table in state.TRANSITIONS.values():
        for before, after in table.items():
            edges[before] |= after - {before}
    assert edges == EDGES | {end: set() for end in ENDED}


def test_a_transition_outside_the_table_is_an_assertion_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def back(generation: Generation, observation: Any, moment: Moment) -> Generation:
        return generation.evolve(moment, state=State.PENDING)

    monkeypatch.setitem(state._APPLY, state.Missing, back)
    with pytest.raises(AssertionError, match="cannot become"):
        state.advance(replace(start(), state=State.QUEUED), state.Missing(), Moment(2.0, 2.0))
