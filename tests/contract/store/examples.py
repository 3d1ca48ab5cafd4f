"""Generations, claims and requests for tests of stores, and the steps of a generation."""

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
from gateway.generations.state import Accepted, Marked, Observation, Refused, Reported, advance
from gateway.generations.stores import Claim

ACCOUNT = "0123456789abcdef"
ORIGIN = "https://api.example.invalid"
NOW = 1_700_000_000.0
ID_TIME = f"{int(NOW + 86_400) * 1000:012x}"
"""The time in the ids of generations. Real ids have the time of their creation or a later one."""
REFUSAL = Failure(Reason.INPUT_REFUSED, "Higgsfield refused the input")

_numbers = itertools.count(1)


def moment(after: float = 0.0) -> Moment:
    """Return the moment `after` seconds after NOW."""
    return Moment(NOW + after, NOW + after)


def generation(**spec: Any) -> Generation:
    """Return a pending generation, whose id sorts after all earlier ones. `spec` replaces fields of its Spec."""
    number = next(_numbers)
    given: dict[str, Any] = {
        "id": f"{ID_TIME[:8]}-{ID_TIME[8:]}-7000-8000-{number:012x}",
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
    spec = of.spec
    headers = {"idempotency-key": of.id}
    return PreparedRequest(
        spec.account, spec.origin, f"/{spec.model_id}", "", headers, b"{}", UpstreamKey(of.id), InputKind.MODEL
    )


def claim(of: Generation | None = None, fingerprint: bytes = b"input", **spec: Any) -> Claim:
    """Return a claim for a generation, or for a new one with these fields of its Spec."""
    of = of or generation(**spec)
    return Claim(of, request(of), fingerprint)


def after(before: Generation, observation: Observation, at: float = 1.0) -> Generation:
    """Return the generation after an observation, which must change it."""
    result = advance(before, observation, moment(at))
    assert result is not None
    return result


def marked(before: Generation) -> Generation:
    """Return the generation with the marker of an attempt."""
    return after(before, Marked("owner"))


def accepted(before: Generation, request_id: str) -> Generation:
    """Return the generation after its POST was accepted: queued."""
    return after(before, Accepted(report(request_id, State.QUEUED)))


def refused(before: Generation) -> Generation:
    """Return the generation after its POST was refused: failed, and never accepted."""
    assert before.marker is not None
    return after(before, Refused(before.marker, REFUSAL))


def reported(before: Generation, state: State, at: float = 2.0, source: Source = Source.POLL) -> Generation:
    """Return the generation after Higgsfield reported a state of its request."""
    return after(before, Reported(report(before.request_id, state), source), at)


def report(request_id: str, state: State | None) -> StatusReport:
    """Return a report of a request; None is a status that the gateway does not know."""
    return StatusReport(request_id, state.name.lower() if state else "paused", state)
