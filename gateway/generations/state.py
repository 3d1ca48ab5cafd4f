"""The state machine of a generation: pure functions from a generation and an observation to the next version.

Every change is made by `advance(generation, observation, moment)`, which returns None if nothing changes. A state never
goes back, and a final state never changes. The rules of submissions (`docs/submit-path.md`) are here:

- A refusal is only conclusive if no earlier attempt had an unknown outcome.
- An outcome only counts while the generation has the marker of the attempt that produced it.
- An acceptance always counts, however late it arrives.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from gateway.errors import Failure, Reason
from gateway.frozen import frozen
from gateway.generations.model import (
    ENDED,
    FOLLOWED,
    UNSETTLED,
    Changes,
    Generation,
    Marker,
    Moment,
    Output,
    Source,
    Spec,
    State,
    StatusReport,
    Wall,
)

SEND_TIMEOUT = 10.0
"""Seconds from storing the marker to the first byte of the POST. After that the attempt ends unsent.

It also holds for the record of a training or of an agent's message: a gateway that takes over waits for this time.
"""
OUTPUTS_KEPT = 7 * 86_400.0
"""Seconds for which Higgsfield keeps outputs after the end, unless it names another time (its documentation)."""
RESTORED_REVISIONS_FROM = 1_767_225_600.0
"""The start of 2026. The first revision after a restore is the number of seconds since then."""
LAST_REVISION = 900_000_000
"""The highest first revision after a restore, in case the clock is wrong. Revisions in texts have up to 9 digits."""


@frozen
class Marked:
    """This process is about to POST the prepared request, for the first time or again under its key."""

    owner: str


@frozen
class Unsent:
    """The attempt ended before the first byte was sent."""

    marker: Marker


@frozen
class Accepted:
    """Higgsfield has a request for it, known from the response to a POST or from a webhook. It counts at any time.

    The response to a POST is only a `receipt`.
    """

    report: StatusReport
    source: Source = Source.SUBMIT


@frozen
class Refused:
    """Higgsfield refused a POST in the documented form. `is_final`: the idempotency key belongs to other content.

    `pause`: seconds until the next repeat, if an earlier attempt had an unknown outcome.
    """

    marker: Marker
    failure: Failure
    is_final: bool = False
    pause: float = 0.0


@frozen
class Postponed:
    """A POST was certainly not processed: Higgsfield is saturated, or was not reached."""

    marker: Marker
    failure: Failure
    pause: float
    was_reached: bool


@frozen
class Ambiguous:
    """A POST may have been processed, without a usable response. `pause`: seconds until Higgsfield is done with it."""

    marker: Marker
    failure: Failure
    pause: float


@frozen
class OwnerDied:
    """The process that stored the marker has ended, and the time for its first byte is over."""

    marker: Marker
    pause: float


@frozen
class Reported:
    """A status of the request, by poll or webhook. `ran`: an estimate of its run time in seconds, if it has ended."""

    report: StatusReport
    source: Source
    ran: float | None = None


@frozen
class Missing:
    """Higgsfield returns 404 for the request.

    `given_up_since`: the time of the first 404, if the generation is now given up; None for a new 404.
    """

    given_up_since: float | None = None


@frozen
class CancelAsked:
    """A caller asked for cancellation, or its start_timeout is over. An unsent generation ends at once."""

    failure: Failure | None = None


@frozen
class Expired:
    """The time limit of PENDING or UNCERTAIN is over, or an operator declared it lost, also if it was accepted.

    `version`: apply only to this version, for which that was decided. None applies always.
    """

    failure: Failure
    source: Source = Source.GATEWAY
    version: int | None = None


@frozen
class Restored:
    """The store was restored from a backup, so what happened since then is not known.

    A generation that was not accepted before the backup may have been sent. Every one that had not ended continues at
    a revision that was not used, because clients and receivers of callbacks ignore a revision that they have seen.
    """


Observation = (
    Marked
    | Unsent
    | Accepted
    | Refused
    | Postponed
    | Ambiguous
    | OwnerDied
    | Reported
    | Missing
    | CancelAsked
    | Expired
    | Restored
)


_ENDS = frozenset({State.COMPLETED, State.FAILED, State.NSFW, State.CANCELED})
"""The final states that Higgsfield can report."""

TRANSITIONS: dict[type[Observation], dict[State, frozenset[State]]] = {
    Marked: {
        State.PENDING: frozenset({State.PENDING}),
        State.UNCERTAIN: frozenset({State.UNCERTAIN}),
    },
    Unsent: {
        State.PENDING: frozenset({State.PENDING, State.CANCELED}),
        State.UNCERTAIN: frozenset({State.UNCERTAIN}),
    },
    Accepted: {
        State.PENDING: _ENDS | FOLLOWED,
        State.UNCERTAIN: _ENDS | FOLLOWED,
        State.QUEUED: _ENDS | FOLLOWED,
        State.IN_PROGRESS: _ENDS | {State.IN_PROGRESS},
    }
    | {ended: frozenset({ended}) for ended in ENDED},
    Refused: {
        State.PENDING: frozenset({State.FAILED, State.CANCELED}),
        State.UNCERTAIN: frozenset({State.UNCERTAIN}),
    },
    Postponed: {
        State.PENDING: frozenset({State.PENDING, State.FAILED, State.CANCELED}),
        State.UNCERTAIN: frozenset({State.UNCERTAIN}),
    },
    Ambiguous: {
        State.PENDING: frozenset({State.UNCERTAIN}),
        State.UNCERTAIN: frozenset({State.UNCERTAIN}),
    },
    OwnerDied: {
        State.PENDING: frozenset({State.UNCERTAIN}),
        State.UNCERTAIN: frozenset({State.UNCERTAIN}),
    },
    Reported: {
        State.QUEUED: _ENDS | FOLLOWED,
        State.IN_PROGRESS: _ENDS | {State.IN_PROGRESS},
    },
    Missing: {
        State.QUEUED: frozenset({State.QUEUED, State.LOST}),
        State.IN_PROGRESS: frozenset({State.IN_PROGRESS, State.LOST}),
    },
    CancelAsked: {
        State.PENDING: frozenset({State.PENDING, State.CANCELED}),
        State.UNCERTAIN: frozenset({State.UNCERTAIN}),
        State.QUEUED: frozenset({State.QUEUED}),
        State.IN_PROGRESS: frozenset({State.IN_PROGRESS}),
    },
    Expired: {
        State.PENDING: frozenset({State.FAILED}),
        State.UNCERTAIN: frozenset({State.LOST}),
        State.QUEUED: frozenset({State.LOST}),
        State.IN_PROGRESS: frozenset({State.LOST}),
    },
    Restored: {
        State.PENDING: frozenset({State.UNCERTAIN}),
        State.UNCERTAIN: frozenset({State.UNCERTAIN}),
        State.QUEUED: frozenset({State.QUEUED}),
        State.IN_PROGRESS: frozenset({State.IN_PROGRESS}),
    },
}
"""The states that each observation may lead to, from each state. `advance` refuses every other change.

An observation changes nothing in a state that it does not list. A test proves that the table has no transition that
cannot happen; docs/submit-path.md shows it.
"""


def advance(generation: Generation, observation: Observation, moment: Moment) -> Generation | None:
    """Return the next version of the generation; None if the observation changes nothing."""
    if generation.done and not isinstance(observation, Accepted):
        return None
    after: Generation | None = _APPLY[type(observation)](generation, observation, moment)
    if after is not None and after.state not in TRANSITIONS[type(observation)].get(generation.state, ()):
        raise AssertionError(
            f"{generation.state.name} cannot become {after.state.name} by {type(observation).__name__}"
        )
    return after


def adopted(spec: Spec, report: StatusReport, moment: Moment) -> Generation:
    """Return the first version of a generation whose request was made elsewhere: in the state that Higgsfield reports.

    If the request had ended before, the time of its end is not known, and so only Higgsfield can say how long it keeps
    the outputs.
    """
    found = Generation(
        spec,
        state=State.QUEUED,
        request_id=report.request_id,
        accept_time=moment.wall,
        source=Source.ADOPT,
        update_time=moment.wall,
    )
    state = report.state or State.QUEUED
    changes = _progress(found, report, state, moment)
    if report.expire_time is None:
        changes["outputs_expire_time"] = None
    return replace(found, **changes)


def contradicts(generation: Generation, observation: Observation) -> bool:
    """Return whether the observation reports another final state of the same request than the stored one."""
    if not generation.done or not isinstance(observation, Reported | Accepted):
        return False
    report = observation.report
    ended = report.state in ENDED
    return report.request_id == generation.request_id and ended and report.state is not generation.state


def step(observation: Observation, source: Source | None = None) -> str:
    """Return the name of the change that an observation makes: "marked", "owner died", "accepted by webhook".

    `source` replaces the source of the observation in the name.
    """
    return _step(type(observation).__name__, source or getattr(observation, "source", None))


@cache
def _step(kind: str, source: Source | None) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).lower()
    return words if source is None else f"{words} by {source.name.lower()}"


def _apply_marked(generation: Generation, observation: Marked, moment: Moment) -> Generation | None:
    if generation.marker is not None or generation.state not in {State.PENDING, State.UNCERTAIN}:
        return None
    first = generation.first_sent_at
    return generation.evolve(
        moment,
        marker=Marker(observation.owner, generation.version + 1),
        send_by=moment.after(SEND_TIMEOUT),
        sent_at=moment.steady,
        first_sent_at=moment.steady if first is None else first,
        sends=generation.sends + 1,
    )


def _apply_unsent(generation: Generation, observation: Unsent, moment: Moment) -> Generation | None:
    if generation.marker != observation.marker:
        return None
    if generation.cancel_requested and not generation.ambiguous:
        return _end(generation, State.CANCELED, None, moment, Source.GATEWAY)
    return generation.evolve(moment, **_changes_without_attempt(generation))


def _apply_accepted(generation: Generation, observation: Accepted, moment: Moment) -> Generation | None:
    report = observation.report
    if generation.request_id == report.request_id:
        return None if generation.done else _apply_reported(generation, Reported(report, observation.source), moment)
    if generation.request_id or generation.done:
        if generation.stray_request_id:
            return None
        return generation.evolve(moment, stray_request_id=report.request_id, marker=None)
    changes = _progress(generation, report, report.state or State.QUEUED, moment)
    changes |= {
        "marker": None,
        "send_by": None,
        "delay": None,
        "accept_time": moment.wall,
        "request_id": report.request_id,
        "correlation_id": report.correlation_id if observation.source is Source.SUBMIT else "",
        "source": observation.source,
    }
    return generation.evolve(moment, **changes)


def _apply_refused(generation: Generation, observation: Refused, moment: Moment) -> Generation | None:
    if generation.marker != observation.marker:
        return None
    if generation.ambiguous:
        # An earlier attempt may have been charged, so this refusal does not settle the submission.
        return generation.evolve(
            moment,
            marker=None,
            send_by=None,
            not_before=moment.after(observation.pause),
            repeats_over=generation.repeats_over or observation.is_final,
        )
    if generation.cancel_requested:
        return _end(generation, State.CANCELED, None, moment, Source.CANCEL)
    return _end(generation, State.FAILED, observation.failure, moment, Source.SUBMIT)


def _apply_postponed(generation: Generation, observation: Postponed, moment: Moment) -> Generation | None:
    if generation.marker != observation.marker:
        return None
    not_before = moment.after(observation.pause)
    if generation.ambiguous:
        changes: Changes = (
            {"marker": None, "send_by": None} if observation.was_reached else _changes_without_attempt(generation)
        )
        changes |= {"not_before": not_before}
        return generation.evolve(moment, **changes)
    if generation.cancel_requested:
        return _end(generation, State.CANCELED, None, moment, Source.CANCEL)
    if generation.spec.fail_when_saturated and observation.failure.reason is Reason.UPSTREAM_SATURATED:
        return _end(generation, State.FAILED, observation.failure, moment, Source.SUBMIT)
    changes = _changes_without_attempt(generation)
    changes |= {"not_before": not_before, "delay": observation.failure, "source": Source.SUBMIT}
    return generation.evolve(moment, **changes)


def _apply_ambiguous(generation: Generation, observation: Ambiguous, moment: Moment) -> Generation | None:
    if generation.marker != observation.marker:
        return None
    return _uncertain(generation, observation.failure, observation.pause, Source.SUBMIT, moment)


def _apply_owner_died(generation: Generation, observation: OwnerDied, moment: Moment) -> Generation | None:
    if generation.marker != observation.marker:
        return None
    return _uncertain(generation, UNRESOLVED, observation.pause, Source.GATEWAY, moment)


def _apply_reported(generation: Generation, observation: Reported, moment: Moment) -> Generation | None:
    report = observation.report
    if generation.request_id != report.request_id or generation.state not in FOLLOWED:
        return None
    state = report.state
    if state is None or _RANK[state] < _RANK[generation.state]:
        state = generation.state
    changes = _progress(generation, report, state, moment)
    if generation.missing_since is not None:
        changes["missing_since"] = None
    if all(getattr(generation, name) == value for name, value in changes.items()):
        return None
    changes |= {"source": observation.source, "ran": observation.ran}
    return generation.evolve(moment, **changes)


def _apply_missing(generation: Generation, observation: Missing, moment: Moment) -> Generation | None:
    if generation.state not in FOLLOWED:
        return None
    if observation.given_up_since is not None:
        if observation.given_up_since != generation.missing_since:
            return None  # Higgsfield knew it again in between
        return _end(generation, State.LOST, FORGOTTEN, moment, Source.POLL)
    if generation.missing_since is not None:
        return None
    return generation.evolve(moment, missing_since=moment.steady)


def _apply_cancel_asked(generation: Generation, observation: CancelAsked, moment: Moment) -> Generation | None:
    if generation.waiting:
        return _end(generation, State.CANCELED, observation.failure, moment, Source.GATEWAY)
    if generation.cancel_requested:
        return None
    return generation.evolve(moment, cancel_requested=True)


def _apply_expired(generation: Generation, observation: Expired, moment: Moment) -> Generation | None:
    if observation.version not in {None, generation.version}:
        return None
    if generation.waiting:
        return _end(generation, State.FAILED, observation.failure, moment, observation.source)
    at_rest = generation.state is State.UNCERTAIN and generation.marker is None
    declared = generation.state in FOLLOWED and observation.source is Source.OPERATOR
    if at_rest or declared:
        return _end(generation, State.LOST, observation.failure, moment, observation.source)
    return None


def _apply_restored(generation: Generation, _: Restored, moment: Moment) -> Generation | None:
    if generation.state in UNSETTLED:
        after = _uncertain(generation, HELD, 0.0, Source.OPERATOR, moment, held=True)
    else:
        after = generation.evolve(moment, source=Source.OPERATOR)
    # A backup does not tell which revisions followed it, and an earlier restore may have used the same backup.
    # Generations change less than once a second.
    unused = min(int(moment.steady - RESTORED_REVISIONS_FROM), LAST_REVISION)
    return replace(after, revision=max(unused, generation.revision + 1), update_time=moment.wall)


UNRESOLVED = Failure(
    Reason.SUBMISSION_UNRESOLVED,
    "it was sent to Higgsfield without a response: it may be running",
)
HELD = Failure(
    Reason.SUBMISSION_UNRESOLVED,
    "the gateway's store was restored from a backup: it may have been sent since then, so an operator must resolve it",
)
FORGOTTEN = Failure(Reason.SUBMISSION_UNRESOLVED, "Higgsfield no longer knows the request it had accepted")

_APPLY: dict[type[Any], Callable[[Generation, Any, Moment], Generation | None]] = {
    Marked: _apply_marked,
    Unsent: _apply_unsent,
    Accepted: _apply_accepted,
    Refused: _apply_refused,
    Postponed: _apply_postponed,
    Ambiguous: _apply_ambiguous,
    OwnerDied: _apply_owner_died,
    Reported: _apply_reported,
    Missing: _apply_missing,
    CancelAsked: _apply_cancel_asked,
    Expired: _apply_expired,
    Restored: _apply_restored,
}
"""The function for each kind of observation."""

_RANK = {State.QUEUED: 1, State.IN_PROGRESS: 2} | dict.fromkeys(ENDED, 3)


def _changes_without_attempt(generation: Generation) -> Changes:
    """Undo the attempt of the marker. Earlier attempts keep their times."""
    sends = generation.sends - 1
    undone: Changes = {"marker": None, "send_by": None, "sends": sends}
    if not sends:
        undone |= {"first_sent_at": None, "sent_at": None}
    return undone


def _uncertain(
    generation: Generation, failure: Failure, pause: float, source: Source, moment: Moment, *, held: bool = False
) -> Generation:
    return generation.evolve(
        moment,
        state=State.UNCERTAIN,
        ambiguous=True,
        marker=None,
        send_by=None,
        not_before=moment.after(pause),
        delay=failure,
        source=source,
        held=held or generation.held,
    )


def _end(generation: Generation, state: State, failure: Failure | None, moment: Moment, source: Source) -> Generation:
    return generation.evolve(
        moment,
        marker=None,
        send_by=None,
        delay=None,
        state=state,
        failure=failure,
        end_time=moment.wall,
        ended_at=moment.steady,
        source=source,
    )


def _outputs(before: tuple[Output, ...], reported: tuple[Output, ...], *, over: bool) -> tuple[Output, ...]:
    """Return the outputs after a report. Outputs of v1 jobs keep their order, and no job goes back to an earlier state.

    A job that is missing in the report stays as it was; at the end of the generation it is dropped.
    """
    if not all(output.job for output in (*before, *reported)):
        return reported or tuple(output for output in before if output.state.ended or not over)
    new = {output.job: output for output in reported}
    kept = {old.job: _later(old, new.pop(old.job, None if over else old)) for old in before}
    return tuple(output for output in (*kept.values(), *(new[job] for job in new if job not in kept)) if output)


def _later(old: Output, new: Output | None) -> Output | None:
    behind = old.state.ended or (new is not None and _RANK[new.state] < _RANK[old.state])
    return old if behind else new


def receipt(report: StatusReport) -> StatusReport:
    """Return what the response to a POST proves: the request and its jobs exist. Its status is only kept as a word.

    The response to a repeat can say `queued` long after the end, as users that cite Higgsfield's documentation say.
    So only a status call counts.
    """
    jobs = (replace(output, state=State.QUEUED, url="", preview_url="", content_type="") for output in report.outputs)
    outputs = tuple(output for output in jobs if output.job)
    proven = replace(report, state=State.QUEUED, outputs=outputs, failure=None, expire_time=None)
    return proven if proven == report else replace(proven, other_results=report.response())


def _progress(generation: Generation, report: StatusReport, state: State, moment: Moment) -> Changes:
    """Return the changes of visible fields by a report. `state` is never behind that of the generation."""
    changes: Changes = {"state": state, "upstream_status": report.status}
    if report.used_input is not None:
        changes["used_input"] = report.used_input
    if report.state is None:
        changes["other_results"] = report.response()
        return changes
    outputs = generation.outputs
    if report.outputs or state.ended:
        outputs = changes["outputs"] = _outputs(generation.outputs, report.outputs, over=state.ended)
    if state is State.IN_PROGRESS and generation.start_time is None:
        changes["start_time"] = moment.wall
    if state.ended:
        kept_until = Wall(moment.wall + OUTPUTS_KEPT)
        changes |= {
            "failure": None if state is State.COMPLETED else report.failure,
            "end_time": moment.wall,
            "ended_at": moment.steady,
        }
        if state is State.COMPLETED:
            changes["outputs_expire_time"] = min(report.expire_time or kept_until, kept_until)
    used = (
        {*outputs}.issuperset(report.outputs)
        and report.failure == changes.get("failure")
        and report.expire_time in {None, changes.get("outputs_expire_time")}
    )
    changes["other_results"] = report.other_results if used else report.response()
    return changes
