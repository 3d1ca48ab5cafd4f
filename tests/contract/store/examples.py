"""Generations, claims and requests to store, and the steps that lead them on."""

from __future__ import annotations

import itertools
from typing import Any

from gateway.errors import Failure, Reason
from gateway.generations.model import (
    Generation,
    InputKind,
    Moment,
    PreparedRequest,
    Source,
    Spec,
    State,
    StatusReport,
    UpstreamKey,
)
from gateway.generations.ports import Claim
from gateway.generations.state import Accepted, Marked, Observation, Refused, Reported, advance

ACCOUNT = "0123456789abcdef"
ORIGIN = "https://api.example.invalid"
NOW = 1_700_000_000.0
REFUSAL = Failure(Reason.INPUT_REFUSED, "Higgsfield refused the input")

_numbers = itertools.count(1)


def moment(after: float = 0.0) -> Moment:
    """So many seconds after the time of all examples."""
    return Moment(NOW + after, NOW + after)


def generation(**spec: Any) -> Generation:
    """One that waits, with an id behind those of all before it; named are parts of its Spec."""
    number = next(_numbers)
    given: dict[str, Any] = {
        "id": f"00000000-0000-7000-8000-{number:012x}",
        "tenant": "tenant",
        "model_id": "example/model",
        "api": "v2",
        "account": ACCOUNT,
        "origin": ORIGIN,
        "input": b"\x00input",
        "labels": {},
        "idempotency_key": f"key {number}",
        "create_time": NOW,
        "created_at": NOW,
    } | spec
    return Generation(Spec(**given), update_time=NOW)


def request(of: Generation) -> PreparedRequest:
    """The prepared request of a generation."""
    spec = of.spec
    headers = {"idempotency-key": of.id}
    return PreparedRequest(
        spec.account, spec.origin, f"/{spec.model_id}", "", headers, b"{}", UpstreamKey(of.id), InputKind.MODEL
    )


def claim(of: Generation | None = None, fingerprint: bytes = b"input", **spec: Any) -> Claim:
    """A claim for it."""
    of = of or generation(**spec)
    return Claim(of, request(of), fingerprint)


def after(before: Generation, observation: Observation, at: float = 1.0) -> Generation:
    """What an observation makes of it, which must be something new."""
    result = advance(before, observation, moment(at))
    assert result is not None
    return result


def marked(before: Generation) -> Generation:
    """It is being sent."""
    return after(before, Marked("owner"))


def accepted(before: Generation, request_id: str) -> Generation:
    """Its POST was accepted: it is queued."""
    return after(before, Accepted(report(request_id, State.QUEUED)))


def refused(before: Generation) -> Generation:
    """Its POST was refused: it has failed, and was never accepted."""
    assert before.marker is not None
    return after(before, Refused(before.marker, REFUSAL))


def reported(before: Generation, state: State, at: float = 2.0, source: Source = Source.POLL) -> Generation:
    """Higgsfield told this state of its request."""
    return after(before, Reported(report(before.request_id, state), source), at)


def report(request_id: str, state: State | None) -> StatusReport:
    """A status of a request."""
    return StatusReport(request_id, state.name.lower() if state else "paused", state)
