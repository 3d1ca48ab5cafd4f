"""What each observation makes of a generation: one pure table, no way back, an ended generation never changes.

Every change of a generation is `advance(generation, observation, moment)`. It returns the next version, or None where
there is nothing new. The rules of the submit path (`docs/submit-path.md`) live here: a refusal is certain only while no
attempt before it was ambiguous; refused and ambiguous outcomes count only while the marker is still that of their own
attempt; a late acceptance always counts.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from gateway.errors import Failure, Reason
from gateway.generations.model import (
    ENDED,
    FOLLOWED,
    UNSETTLED,
    Generation,
    Marker,
    Moment,
    Output,
    Source,
    State,
    StatusReport,
)

SEND_WITHIN = 10.0
"""Seconds from the mark to the first byte of its POST; later the attempt is given up unsent."""
OUTPUTS_KEPT = 7 * 86_400.0
"""Seconds that Higgsfield keeps outputs after the end unless it says otherwise (upstream.md 8)."""

ALLOWED: dict[State, frozenset[State]] = {
    State.PENDING: frozenset(State) - {State.LOST},
    State.UNCERTAIN: frozenset(State) - {State.PENDING},
    State.QUEUED: frozenset({State.QUEUED, State.IN_PROGRESS}) | ENDED,
    State.IN_PROGRESS: frozenset({State.IN_PROGRESS}) | ENDED,
} | {ended: frozenset({ended}) for ended in ENDED}
"""Where each state may lead. Nothing outside this table is ever stored."""


@dataclass(frozen=True, slots=True)
class Marked:
    """This process is about to POST the prepared request (for the first time, or again under its key)."""

    owner: str


@dataclass(frozen=True, slots=True)
class Unsent:
    """The owner of the marker gave up before the first byte: nothing was sent."""

    marker: Marker


@dataclass(frozen=True, slots=True)
class Accepted:
    """Higgsfield has a request for it, by its answer to a POST or found by a webhook. Counts however late it comes."""

    report: StatusReport
    source: Source = Source.SUBMIT


@dataclass(frozen=True, slots=True)
class Refused:
    """Higgsfield refused a POST in its documented form; `final` where the same bytes can never be accepted again."""

    marker: Marker
    failure: Failure
    final: bool = False


@dataclass(frozen=True, slots=True)
class Postponed:
    """A POST was certainly not taken for now: Higgsfield is full, or there was no connection (`reached` False)."""

    marker: Marker
    failure: Failure
    pause: float
    reached: bool


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A POST may have been processed and no usable answer came. `pause`: seconds until it is surely over there."""

    marker: Marker
    failure: Failure
    pause: float


@dataclass(frozen=True, slots=True)
class OwnerDied:
    """The process that held the marker is gone, and the time for its first byte is past."""

    marker: Marker
    pause: float


@dataclass(frozen=True, slots=True)
class Reported:
    """Higgsfield's status of the request, by whatever way it came; `ran`: for how long it had, where that is known."""

    report: StatusReport
    source: Source
    polls: int = 0
    ran: float | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """Higgsfield answers 404 for the request; `given_up_since` that time, once it has lasted too long."""

    given_up_since: float | None = None


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """The caller, or its start_timeout, wants it canceled; a wait that is over ends at once."""

    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Expired:
    """A limit of time has passed, or an operator gave up: the wait in PENDING, or the hope in UNCERTAIN.

    `sends`: applies to UNCERTAIN only if it was not sent again since; None: in any case.
    """

    failure: Failure
    source: Source = Source.GATEWAY
    sends: int | None = None


@dataclass(frozen=True, slots=True)
class Restored:
    """The store was restored from a backup: what had not been accepted then may have been sent since."""


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


def advance(generation: Generation, observation: Observation, moment: Moment) -> Generation | None:
    """What the observation makes of the generation; None where there is nothing new."""
    if generation.done and not isinstance(observation, Accepted):
        return None
    after: Generation | None = _TABLE[type(observation)](generation, observation, moment)
    if after is not None and after.state not in ALLOWED[generation.state]:
        raise AssertionError(
            f"{generation.state.name} cannot become {after.state.name} by {type(observation).__name__}"
        )
    return after


def contradicts(generation: Generation, observation: Observation) -> bool:
    """Whether it tells of another end of the same request than the one that is stored."""
    if not generation.done or not isinstance(observation, Reported | Accepted):
        return False
    report = observation.report
    told = report.state
    return report.request_id == generation.request_id and told in ENDED and told is not generation.state


def step(observation: Observation) -> str:
    """What the change that an observation makes is called: "marked", "owner died", "accepted by webhook"."""
    return _step(type(observation).__name__, getattr(observation, "source", None))


@cache
def _step(kind: str, source: Source | None) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).lower()
    return words if source is None else f"{words} by {source.name.lower()}"


def _marked(generation: Generation, observation: Marked, moment: Moment) -> Generation | None:
    if generation.marker is not None or generation.state not in {State.PENDING, State.UNCERTAIN}:
        return None
    first = generation.first_sent_at
    return generation.evolve(
        moment,
        marker=Marker(observation.owner, generation.version + 1),
        send_by=moment.steady + SEND_WITHIN,
        sent_at=moment.steady,
        first_sent_at=moment.steady if first is None else first,
        sends=generation.sends + 1,
    )


def _unsent(generation: Generation, observation: Unsent, moment: Moment) -> Generation | None:
    if generation.marker != observation.marker:
        return None
    if generation.cancel_requested and not generation.ambiguous:
        return _ended(generation, State.CANCELED, None, moment, Source.GATEWAY)
    return generation.evolve(moment, **_taken_back(generation))


def _accepted(generation: Generation, observation: Accepted, moment: Moment) -> Generation | None:
    report = observation.report
    if generation.request_id == report.request_id:
        return None if generation.done else _reported(generation, Reported(report, observation.source), moment)
    if generation.request_id or generation.done:
        if generation.stray_request_id:
            return None
        return generation.evolve(moment, stray_request_id=report.request_id, marker=None)
    return generation.evolve(
        moment,
        **_settled(),
        accept_time=moment.wall,
        request_id=report.request_id,
        correlation_id=report.correlation_id if observation.source is Source.SUBMIT else "",
        source=observation.source,
        **_progress(generation, report, report.state or State.QUEUED, moment),
    )


def _refused(generation: Generation, observation: Refused, moment: Moment) -> Generation | None:
    if generation.marker != observation.marker:
        return None
    if generation.ambiguous:
        # An earlier attempt may have been charged: this refusal proves nothing about it.
        return generation.evolve(
            moment, marker=None, send_by=None, repeats_over=generation.repeats_over or observation.final
        )
    if generation.cancel_requested:
        return _ended(generation, State.CANCELED, None, moment, Source.CANCEL)
    return _ended(generation, State.FAILED, observation.failure, moment, Source.SUBMIT)


def _postponed(generation: Generation, observation: Postponed, moment: Moment) -> Generation | None:
    if generation.marker != observation.marker:
        return None
    not_before = moment.steady + observation.pause
    if generation.ambiguous:
        undone = {"marker": None, "send_by": None} if observation.reached else _taken_back(generation)
        return generation.evolve(moment, **undone, not_before=not_before)
    if generation.cancel_requested:
        return _ended(generation, State.CANCELED, None, moment, Source.CANCEL)
    if generation.spec.fail_when_saturated and observation.failure.reason is Reason.UPSTREAM_SATURATED:
        return _ended(generation, State.FAILED, observation.failure, moment, Source.SUBMIT)
    return generation.evolve(
        moment,
        **_taken_back(generation),
        not_before=not_before,
        delay=observation.failure,
        source=Source.SUBMIT,
    )


def _ambiguous(generation: Generation, observation: Ambiguous, moment: Moment) -> Generation | None:
    if generation.marker != observation.marker:
        return None
    return _uncertain(generation, observation.failure, observation.pause, Source.SUBMIT, moment)


def _owner_died(generation: Generation, observation: OwnerDied, moment: Moment) -> Generation | None:
    if generation.marker != observation.marker:
        return None
    return _uncertain(generation, UNRESOLVED, observation.pause, Source.GATEWAY, moment)


def _reported(generation: Generation, observation: Reported, moment: Moment) -> Generation | None:
    report = observation.report
    if generation.request_id != report.request_id or generation.state not in FOLLOWED:
        return None
    state = report.state
    if state is None or _RANK[state] < _RANK[generation.state]:
        state = generation.state
    known = {"missing_since": None} if generation.missing_since is not None else {}
    changes = _progress(generation, report, state, moment) | known
    if all(getattr(generation, name) == value for name, value in changes.items()):
        return None
    polls = max(observation.polls, generation.polls)
    return generation.evolve(moment, **changes, source=observation.source, polls=polls, ran=observation.ran)


def _missing(generation: Generation, observation: Missing, moment: Moment) -> Generation | None:
    if generation.state not in FOLLOWED:
        return None
    if observation.given_up_since is not None:
        if observation.given_up_since != generation.missing_since:
            return None  # it was known again in between
        return _ended(generation, State.LOST, FORGOTTEN, moment, Source.POLL)
    if generation.missing_since is not None:
        return None
    return generation.evolve(moment, missing_since=moment.steady)


def _cancel_asked(generation: Generation, observation: CancelAsked, moment: Moment) -> Generation | None:
    if generation.waiting:
        return _ended(generation, State.CANCELED, observation.failure, moment, Source.GATEWAY)
    if generation.cancel_requested:
        return None
    return generation.evolve(moment, cancel_requested=True)


def _expired(generation: Generation, observation: Expired, moment: Moment) -> Generation | None:
    if generation.waiting:
        return _ended(generation, State.FAILED, observation.failure, moment, observation.source)
    sent_again = observation.sends is not None and observation.sends != generation.sends
    if generation.state is State.UNCERTAIN and generation.marker is None and not sent_again:
        return _ended(generation, State.LOST, observation.failure, moment, observation.source)
    return None


def _restored(generation: Generation, _: Restored, moment: Moment) -> Generation | None:
    if generation.state not in UNSETTLED or generation.held:
        return None
    return _uncertain(generation, HELD, 0.0, Source.OPERATOR, moment, held=True)


UNRESOLVED = Failure(
    Reason.SUBMISSION_UNRESOLVED,
    "it was sent to Higgsfield and no answer came: it may be running",
    retryable=False,
)
HELD = Failure(
    Reason.SUBMISSION_UNRESOLVED,
    "the gateway's store was restored from a backup: it may have been sent since, and waits for the operator",
    retryable=False,
)
FORGOTTEN = Failure(Reason.SUBMISSION_UNRESOLVED, "Higgsfield no longer knows the request it had accepted")

_TABLE: dict[type[Any], Callable[[Generation, Any, Moment], Generation | None]] = {
    Marked: _marked,
    Unsent: _unsent,
    Accepted: _accepted,
    Refused: _refused,
    Postponed: _postponed,
    Ambiguous: _ambiguous,
    OwnerDied: _owner_died,
    Reported: _reported,
    Missing: _missing,
    CancelAsked: _cancel_asked,
    Expired: _expired,
    Restored: _restored,
}
"""The decision for each kind of observation."""

_RANK = {State.QUEUED: 1, State.IN_PROGRESS: 2} | dict.fromkeys(ENDED, 3)


def _settled() -> dict[str, Any]:
    return {"marker": None, "send_by": None, "delay": None}


def _taken_back(generation: Generation) -> dict[str, Any]:
    """The attempt of the marker never happened. Only a first attempt leaves nothing behind."""
    sends = generation.sends - 1
    undone: dict[str, Any] = {"marker": None, "send_by": None, "sends": sends}
    return undone if sends else undone | {"first_sent_at": None, "sent_at": None}


def _uncertain(
    generation: Generation, failure: Failure, pause: float, source: Source, moment: Moment, **more: Any
) -> Generation:
    return generation.evolve(
        moment,
        state=State.UNCERTAIN,
        ambiguous=True,
        marker=None,
        send_by=None,
        not_before=moment.steady + pause,
        delay=failure,
        source=source,
        **more,
    )


def _ended(generation: Generation, state: State, failure: Failure | None, moment: Moment, source: Source) -> Generation:
    return generation.evolve(
        moment,
        **_settled(),
        state=state,
        failure=failure,
        end_time=moment.wall,
        ended_at=moment.steady,
        source=source,
    )


def _outputs(before: tuple[Output, ...], told: tuple[Output, ...], *, over: bool) -> tuple[Output, ...]:
    """What is shown after a report. Without jobs: all that it tells. Those of jobs keep their order, and end once.

    A job that it tells of no more stays as it was; when all is over, it has brought no output.
    """
    if not all(output.job for output in (*before, *told)):
        return told or before
    new = {output.job: output for output in told}
    kept = {old.job: old if old.state.ended else new.pop(old.job, None if over else old) for old in before}
    return tuple(output for output in (*kept.values(), *(new[job] for job in new if job not in kept)) if output)


def _progress(generation: Generation, report: StatusReport, state: State, moment: Moment) -> dict[str, Any]:
    """The visible part of a report, never going back behind what the generation shows already."""
    changes: dict[str, Any] = {"state": state, "upstream_status": report.status}
    if report.state is None:
        return changes
    if report.outputs or state.ended:
        changes["outputs"] = _outputs(generation.outputs, report.outputs, over=state.ended)
    if state is State.IN_PROGRESS and generation.start_time is None:
        changes["start_time"] = moment.wall
    if state.ended:
        kept_until = moment.wall + OUTPUTS_KEPT
        changes |= {
            "failure": None if state is State.COMPLETED else report.failure,
            "end_time": moment.wall,
            "ended_at": moment.steady,
            "other_results": report.other_results,
        }
        if state is State.COMPLETED:
            changes["outputs_expire_time"] = min(report.expire_time or kept_until, kept_until)
    return changes
