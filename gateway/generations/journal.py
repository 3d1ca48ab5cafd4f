"""The journal: one log line for each change of a generation's state, and for each call to Higgsfield.

The fields of a line are ids, names and numbers: no inputs, no texts of Higgsfield, no queries of URLs. A field without
a value is left out.
"""

import logging
from contextvars import ContextVar
from typing import NamedTuple

from gateway.generations.model import Generation, GenerationId, State, UpstreamCall
from gateway.tracing import trace_id, traceparent

log = logging.getLogger(__name__)

_WARNINGS = {
    State.UNCERTAIN: "submission outcome unknown; it may have been charged",
    State.LOST: "generation given up without a known outcome; it may have been charged",
}


class Caller(NamedTuple):
    """Where a call came from: the name of its API key, its network address, and who the audit log says it was."""

    key: str
    peer: str
    actor: str = ""


caller: ContextVar[Caller | None] = ContextVar("caller", default=None)
"""The caller whose call the current task serves. Tasks inherit it: the POST of a submission that is sent at once names
the caller of the submission, and one that had to wait names none."""


def log_state_change(before: Generation | None, after: Generation) -> None:
    """Log a stored change of the state; `before` is None for a new generation. Other changes are not logged."""
    level = logging.WARNING if after.state in _WARNINGS else logging.INFO
    if (before is not None and before.state is after.state) or not log.isEnabledFor(level):
        return
    failure = after.failure or after.delay
    fields: dict[str, object] = {
        "generation_id": after.id,
        "tenant": after.spec.tenant,
        "model_id": after.spec.model_id,
        "state": after.state.name,
        "before": before and before.state.name,
        "reason": failure and failure.reason.name,
        "source": after.source.name.lower() if before or after.spec.adopted else None,
        "request_id": after.request_id,
        "correlation_id": after.correlation_id,
        "seconds": round(max(after.update_time - after.spec.create_time, 0.0), 3),
        "trace_id": trace_id(after.spec.traceparent),
    }
    _write(level, _WARNINGS.get(after.state, "generation changed its state" if before else "generation stored"), fields)


def log_upstream_call(
    operation: str, call: UpstreamCall, about: GenerationId | None, generation: Generation | None
) -> None:
    """Log a call to Higgsfield `about` a generation, which is given if it has not ended."""
    if not log.isEnabledFor(logging.INFO):
        return
    fields: dict[str, object] = {
        "operation": operation,
        "outcome": outcome_of(call),
        "seconds": round(call.seconds, 4),
        "generation_id": about,
        "tenant": generation and generation.spec.tenant,
        "model_id": generation and generation.spec.model_id,
        "path": call.path,
        "correlation_id": call.correlation_id,
        "trace_id": trace_id(generation.spec.traceparent if generation else traceparent()),
    }
    _write(logging.INFO, "called Higgsfield", fields)


def outcome_of(call: UpstreamCall) -> str:
    """Return the HTTP status of a call, with a prefix if another server may have sent it, or "no_response"."""
    if not call.http_status:
        return "no_response"
    return f"other_server_{call.http_status}" if call.is_foreign else str(call.http_status)


def _write(level: int, message: str, fields: dict[str, object]) -> None:
    known = caller.get()
    if known is not None:
        fields |= {"key": known.key, "peer": known.peer}
    log.log(level, message, extra={name: value for name, value in fields.items() if value or value == 0})
