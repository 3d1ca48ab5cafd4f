"""An adopted generation is never submitted, whatever is observed: shown for every state that it can reach."""

from __future__ import annotations

import pytest

from gateway.errors import Failure, Reason
from gateway.generations.due_steps import Rules, Step, may_repeat, next_due
from gateway.generations.model import Generation, Marker, Moment, Source, Spec, State, StatusReport, run_time
from gateway.generations.state import (
    Accepted,
    Ambiguous,
    CancelAsked,
    Expired,
    Marked,
    Missing,
    Observation,
    OwnerDied,
    Postponed,
    Refused,
    Reported,
    Restored,
    Unsent,
    adopted,
    advance,
)

SPEC = Spec("g", "t", "", "v2", "a", "o", b"", {}, "adopted r", 0.0, 0.0, adopted=True)
MARKER, FAILURE = Marker("this process", 1), Failure(Reason.INTERNAL, "x")
REPORTS = [
    StatusReport(name, state.name if state else "new", state)
    for name in ("r", "another")
    for state in (None, State.QUEUED, State.IN_PROGRESS, State.COMPLETED, State.FAILED, State.NSFW, State.CANCELED)
]
OBSERVATIONS: list[Observation] = [
    Marked("this process"), Unsent(MARKER), Refused(MARKER, FAILURE), Postponed(MARKER, FAILURE, 0.0, was_reached=True),
    Ambiguous(MARKER, FAILURE, 0.0), OwnerDied(MARKER, 0.0), Missing(), Missing(given_up_since=1.0), CancelAsked(),
    CancelAsked(FAILURE), Expired(FAILURE), Restored(),
    *(Accepted(report, source) for report in REPORTS for source in (Source.SUBMIT, Source.WEBHOOK, Source.OPERATOR)),
    *(Reported(report, source, 2.0) for report in REPORTS for source in (Source.POLL, Source.WEBHOOK)),
]  # fmt: skip


def reachable(first: Generation) -> list[Generation]:
    """Return the versions that any observations lead to; versions that only differ in numbers count as one."""
    found = {}
    left = [first]
    while left:
        one = left.pop()
        kind = (one.state, one.marker, one.missing_since, one.cancel_requested, one.stray_request_id, one.sends)
        if kind not in found:
            found[kind] = one
            left += [after for given in OBSERVATIONS if (after := advance(one, given, Moment(1.0, 1.0))) is not None]
    return list(found.values())


@pytest.mark.parametrize("expire_time", [None, 5.0])
def test_only_higgsfield_knows_how_long_the_outputs_of_an_ended_request_are_kept(expire_time: float | None) -> None:
    report = StatusReport("r", "completed", State.COMPLETED, expire_time=expire_time)
    assert adopted(SPEC, report, Moment(0.0, 0.0)).outputs_expire_time == expire_time


@pytest.mark.parametrize("report", [one for one in REPORTS if one.request_id == "r"])
def test_nothing_leads_an_adopted_generation_to_a_submission(report: StatusReport) -> None:
    versions = reachable(adopted(SPEC, report, Moment(0.0, 0.0)))
    assert {one.state for one in versions} >= ({report.state} if report.state else set())
    for one in versions:
        assert one.state not in {State.PENDING, State.UNCERTAIN}
        assert (one.marker, one.sends, one.request_id) == (None, 0, "r")
        assert not may_repeat(one, Rules(), Moment(1.0, 1.0), repeats_off=False)
        due = next_due(one, Rules(), "this process", Moment(1.0, 1.0))
        assert due is None if one.done else due is not None and due.step is Step.POLL
        assert run_time(one) is None
