"""Generations as rows: columns for what is searched or decided by, one JSON text for what a caller sees change."""

import json
from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Protocol

from pydantic_core import to_json

from gateway.errors import NO_METADATA, Failure, Reason, Violation
from gateway.generations.model import (
    Event,
    Generation,
    InputKind,
    Marker,
    MediaKind,
    Output,
    PreparedRequest,
    Source,
    Spec,
    State,
    UpstreamCall,
)


class Row(Protocol):
    """A row whose columns are asked for by name."""

    def __getitem__(self, name: str, /) -> Any:
        """The value of a column."""


def _encode(value: dict[str, Any]) -> str:
    return to_json(value).decode()  # a sixth of the time that json takes, for the same text


def spec_columns(spec: Spec) -> tuple[Any, ...]:
    """The columns that never change, in the order of `insert_generation`."""
    return (
        spec.id, spec.tenant, spec.model_id, spec.api, spec.account, spec.origin, spec.input,
        _encode(dict(spec.labels)) if spec.labels else "{}",
        spec.idempotency_key, spec.create_time, spec.created_at, spec.weight, spec.token_hash, spec.start_by,
        int(spec.fail_when_saturated),
    )  # fmt: skip


def progress_columns(generation: Generation, text: str) -> tuple[Any, ...]:
    """The columns that change, in the order of both statements; `text` is what is `shown`."""
    marker = generation.marker
    return (
        generation.version, generation.revision, generation.state.value, int(generation.done),
        generation.request_id or None, generation.end_time, generation.ended_at, text,
        marker.owner if marker else None, marker.attempt if marker else None,
        generation.send_by, generation.sent_at, generation.first_sent_at, generation.sends, int(generation.ambiguous),
        generation.not_before, int(generation.repeats_over), int(generation.cancel_requested),
        generation.polls, generation.missing_since, generation.stray_request_id, int(generation.held),
    )  # fmt: skip


def shown(generation: Generation) -> str:
    """What a caller sees change, without what is empty."""
    g = generation
    content: dict[str, Any] = {"s": g.state.value, "f": g.source.value, "u": g.update_time}
    if g.outputs:
        content["o"] = [_output_out(output) for output in g.outputs]
    if g.failure is not None:
        content["failure"] = _failure_out(g.failure)
    if g.delay is not None:
        content["delay"] = _failure_out(g.delay)
    if g.other_results is not None:
        content["other"] = dict(g.other_results)
    for name in _PLAIN:
        value = getattr(g, name)
        if value or value == 0.0:
            content[name] = value
    return _encode(content)


_PLAIN = (
    "request_id", "correlation_id", "upstream_status", "accept_time", "start_time", "end_time", "outputs_expire_time",
)  # fmt: skip


def shown_fields(text: str) -> dict[str, Any]:
    """The fields of a Generation that `shown` holds."""
    content = json.loads(text)
    fields: dict[str, Any] = {
        "state": State(content["s"]),
        "source": Source(content["f"]),
        "update_time": content["u"],
        "outputs": tuple(Output(State(state), MediaKind(kind), *texts) for state, kind, *texts in content.get("o", ())),
        "failure": _failure_in(content.get("failure")),
        "delay": _failure_in(content.get("delay")),
        "other_results": content.get("other"),
    }
    for name in ("request_id", "correlation_id", "upstream_status"):
        fields[name] = content.get(name, "")
    for name in ("accept_time", "start_time", "end_time", "outputs_expire_time"):
        fields[name] = content.get(name)
    return fields


def generation_of(row: Row) -> Generation:
    """The generation in a row of the table."""
    return Generation(
        spec=_spec_of(row),
        version=row["version"],
        revision=row["revision"],
        marker=None if row["owner"] is None else Marker(row["owner"], row["attempt"]),
        send_by=row["send_by"],
        sent_at=row["sent_at"],
        first_sent_at=row["first_sent_at"],
        sends=row["sends"],
        ambiguous=bool(row["ambiguous"]),
        not_before=row["not_before"],
        repeats_over=bool(row["repeats_over"]),
        cancel_requested=bool(row["cancel_requested"]),
        polls=row["polls"],
        missing_since=row["missing_since"],
        stray_request_id=row["stray_request_id"],
        ended_at=row["ended_at"],
        held=bool(row["held"]),
        **shown_fields(row["shown"]),
    )


def at_revision(generation: Generation, revision: int, text: str) -> Generation:
    """The generation as callers saw it at an earlier revision."""
    return replace(generation, revision=revision, **shown_fields(text))


def request_columns(request: PreparedRequest) -> tuple[Any, ...]:
    """The columns of a prepared request."""
    return (
        request.account, request.origin, request.path, request.query, _encode(dict(request.headers)), request.body,
        request.key, request.kind.value,
    )  # fmt: skip


def request_of(row: Sequence[Any]) -> PreparedRequest:
    """The prepared request in its columns."""
    account, origin, path, query, headers, body, key, kind = row
    return PreparedRequest(account, origin, path, query, json.loads(headers), body, key, InputKind(kind))


def event_columns(generation_id: str, event: Event) -> tuple[Any, ...]:
    """The columns of an event."""
    call = event.call or UpstreamCall("", "", 0, "", event.time, 0.0)
    return (
        generation_id, event.time, event.description, event.source.value, call.method, call.path, call.http_status,
        call.correlation_id, call.seconds, event.times,
    )  # fmt: skip


def event_of(row: Sequence[Any]) -> Event:
    """The event in its columns."""
    time, description, source, method, path, http_status, correlation_id, seconds, times = row
    call = UpstreamCall(method, path, http_status, correlation_id, time, seconds) if method else None
    return Event(time, description, source=Source(source), call=call, times=times)


def _spec_of(row: Row) -> Spec:
    labels = row["labels"]
    return Spec(
        id=row["id"],
        tenant=row["tenant"],
        model_id=row["model_id"],
        api=row["api"],
        account=row["account"],
        origin=row["origin"],
        input=row["input"],
        labels=NO_METADATA if labels == "{}" else MappingProxyType(json.loads(labels)),
        idempotency_key=row["idempotency_key"],
        create_time=row["create_time"],
        created_at=row["created_at"],
        weight=row["weight"],
        token_hash=row["token_hash"],
        start_by=row["start_by"],
        fail_when_saturated=bool(row["fail_when_saturated"]),
    )


def _output_out(output: Output) -> list[Any]:
    """An output as a list; its job, which few have, at the end."""
    o = output
    told = [o.state.value, o.kind.value, o.url, o.preview_url, o.name, o.content_type]
    return [*told, o.job] if o.job else told


def _failure_out(failure: Failure) -> dict[str, Any]:
    content: dict[str, Any] = {"r": failure.reason.value, "m": failure.message}
    if failure.violations:
        content["v"] = [[v.field, v.description] for v in failure.violations]
    if failure.retryable:
        content["again"] = True
    if failure.retry_after is not None:
        content["after"] = failure.retry_after
    if failure.metadata:
        content["d"] = dict(failure.metadata)
    return content


def _failure_in(content: dict[str, Any] | None) -> Failure | None:
    if content is None:
        return None
    return Failure(
        Reason(content["r"]),
        content["m"],
        tuple(Violation(field, description) for field, description in content.get("v", ())),
        content.get("again", False),
        content.get("after"),
        content.get("d", NO_METADATA),
    )
