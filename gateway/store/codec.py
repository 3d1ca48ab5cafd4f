"""Rows of generations, their prepared requests and their events.

Each table has two functions: one returns the columns of a value by name, the other the value in a row. The columns of a
generation are what statements search by and what the gateway decides by. The column `shown` is a JSON text with all
that a caller can see change, and the run time; the log of changes has a copy for each revision.
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from sys import intern
from types import MappingProxyType
from typing import Any, Protocol

from pydantic_core import to_json

from gateway.errors import NO_METADATA, Failure, Reason, Violation
from gateway.generations.model import (
    Api,
    Event,
    Generation,
    GenerationId,
    InputKind,
    Marker,
    MediaKind,
    Output,
    PreparedRequest,
    Source,
    Spec,
    State,
    Steady,
    UpstreamCall,
)


class Row(Protocol):
    """A row that is read by the names of its columns."""

    def __getitem__(self, name: str, /) -> Any: ...

    def keys(self) -> Iterable[str]: ...


def _encode(value: dict[str, Any]) -> str:
    return to_json(value).decode()  # the same text as json.dumps in a sixth of the time


def spec_row(spec: Spec) -> dict[str, Any]:
    """Return the columns of a generation that never change."""
    return {
        "id": spec.id,
        "tenant": spec.tenant,
        "model_id": spec.model_id,
        "api": spec.api,
        "account": spec.account,
        "origin": spec.origin,
        "input": spec.input,
        "labels": _encode(dict(spec.labels)) if spec.labels else "{}",
        "idempotency_key": spec.idempotency_key,
        "create_time": spec.create_time,
        "created_at": spec.created_at,
        "weight": spec.weight,
        "token_hash": spec.token_hash,
        "start_by": spec.start_by,
        "fail_when_saturated": spec.fail_when_saturated,
        "traits": spec.traits,
        "adopted": spec.adopted,
        "traceparent": spec.traceparent,
        "key_id": spec.key_id,
        "price": spec.price,
        "estimated_credits": spec.estimated_credits,
        "estimated_usd": spec.estimated_usd,
        "callback_url": spec.callback_url,
    }


_APIS: dict[str, Api] = {"v1": "v1", "v2": "v2"}


def _spec_of(row: Row) -> Spec:
    labels = row["labels"]
    return Spec(
        id=row["id"],
        # Texts that many generations have are kept once.
        tenant=intern(row["tenant"]),
        model_id=intern(row["model_id"]),
        api=_APIS[row["api"]],
        account=intern(row["account"]),
        origin=intern(row["origin"]),
        input=row["input"],
        labels=NO_METADATA if labels == "{}" else MappingProxyType(json.loads(labels)),
        idempotency_key=row["idempotency_key"],
        create_time=row["create_time"],
        created_at=row["created_at"],
        weight=row["weight"],
        token_hash=row["token_hash"],
        start_by=row["start_by"],
        fail_when_saturated=bool(row["fail_when_saturated"]),
        traits=intern(row["traits"]),
        adopted=bool(row["adopted"]),
        traceparent=row["traceparent"],
        key_id=intern(row["key_id"]),
        price=row["price"],
        estimated_credits=row["estimated_credits"],
        estimated_usd=row["estimated_usd"],
        callback_url=row["callback_url"],
    )


def _reuse_if_same(time: Any, kept: Any) -> Any:
    """Return `kept` if it is the same time, so that it is in memory once. Each object takes 32 bytes."""
    return kept if time == kept else time


def progress_row(generation: Generation, text: str) -> dict[str, Any]:
    """Return the columns of a generation that change. `text` is the value of `shown`.

    `done`, `request_id` and `end_time` are in that text, too: as columns they can be searched and indexed.
    """
    g = generation
    marker = g.marker
    return {
        "version": g.version,
        "revision": g.revision,
        "state": g.state.value,
        "done": g.done,
        "request_id": g.request_id or None,
        "end_time": g.end_time,
        "ended_at": g.ended_at,
        "shown": text,
        "owner": marker.owner if marker else None,
        "attempt": marker.attempt if marker else None,
        "send_by": g.send_by,
        "sent_at": g.sent_at,
        "first_sent_at": g.first_sent_at,
        "sends": g.sends,
        "ambiguous": g.ambiguous,
        "not_before": g.not_before,
        "repeats_over": g.repeats_over,
        "cancel_requested": g.cancel_requested,
        "polls": g.polls,
        "missing_since": g.missing_since,
        "stray_request_id": g.stray_request_id,
        "held": g.held,
    }


def generation_of(row: Row, spec: Spec | None = None) -> Generation:
    """Return the generation in a row of the table. Raises ValueError, LookupError or TypeError for a corrupt row.

    `spec` is its part that never changes, if it is known already.
    """
    spec = spec or _spec_of(row)
    first_sent_at = _reuse_if_same(row["first_sent_at"], spec.created_at)
    return Generation(
        spec=spec,
        version=row["version"],
        revision=row["revision"],
        marker=None if row["owner"] is None else Marker(row["owner"], row["attempt"]),
        send_by=row["send_by"],
        sent_at=_reuse_if_same(row["sent_at"], first_sent_at),
        first_sent_at=first_sent_at,
        sends=row["sends"],
        ambiguous=bool(row["ambiguous"]),
        not_before=row["not_before"] or Steady(0.0),  # the constant takes no memory
        repeats_over=bool(row["repeats_over"]),
        cancel_requested=bool(row["cancel_requested"]),
        polls=row["polls"],
        missing_since=row["missing_since"],
        stray_request_id=row["stray_request_id"],
        ended_at=row["ended_at"],
        held=bool(row["held"]),
        **shown_fields(row["shown"]),
    )


def shown(generation: Generation) -> str:
    """Return the JSON text of all that a caller can see change, and the run time. Empty fields are left out."""
    g = generation
    content: dict[str, Any] = {"s": g.state.value, "f": g.source.value, "u": g.update_time}
    if g.outputs:
        content["o"] = [_pack_output(output) for output in g.outputs]
    if g.failure is not None:
        content["failure"] = _pack_failure(g.failure)
    if g.delay is not None:
        content["delay"] = _pack_failure(g.delay)
    if g.other_results is not None:
        content["other"] = dict(g.other_results)
    if g.used_input is not None:
        content["used"] = dict(g.used_input)
    if g.ran is not None and g.done:
        content["ran"] = g.ran  # replicas learn it from the log
    for name in _PLAIN:
        value = getattr(g, name)
        if value or value == 0.0:
            content[name] = value
    return _encode(content)


_PLAIN = (
    "request_id", "correlation_id", "upstream_status", "accept_time", "start_time", "end_time", "outputs_expire_time",
)  # fmt: skip


def shown_fields(text: str) -> dict[str, Any]:
    """Return the fields of a Generation that a text of `shown` contains."""
    content = json.loads(text)
    fields: dict[str, Any] = {
        "state": State(content["s"]),
        "source": Source(content["f"]),
        "update_time": content["u"],
        "outputs": tuple(Output(State(state), MediaKind(kind), *texts) for state, kind, *texts in content.get("o", ())),
        "failure": _unpack_failure(content.get("failure")),
        "delay": _unpack_failure(content.get("delay")),
        "other_results": content.get("other"),
        "used_input": content.get("used"),
        "ran": content.get("ran"),
    }
    for name in ("request_id", "correlation_id"):
        fields[name] = content.get(name, "")
    fields["upstream_status"] = intern(content.get("upstream_status", ""))
    for name in ("accept_time", "start_time", "end_time", "outputs_expire_time"):
        fields[name] = _reuse_if_same(content.get(name), content["u"])
    return fields


def at_revision(generation: Generation, revision: int, text: str) -> Generation:
    """Return the generation as callers saw it at an earlier revision. `text` is its `shown` then."""
    return replace(generation, revision=revision, **shown_fields(text))


def request_row(generation_id: GenerationId, request: PreparedRequest) -> dict[str, Any]:
    """Return the columns of a prepared request."""
    return {
        "generation_id": generation_id,
        "account": request.account,
        "origin": request.origin,
        "path": request.path,
        "query": request.query,
        "headers": _encode(dict(request.headers)),
        "body": request.body,
        "key": request.key,
        "kind": request.kind.value,
    }


def request_of(row: Row) -> PreparedRequest:
    """Return the prepared request in a row."""
    return PreparedRequest(
        account=row["account"],
        origin=row["origin"],
        path=row["path"],
        query=row["query"],
        headers=json.loads(row["headers"]),
        body=row["body"],
        key=row["key"],
        kind=InputKind(row["kind"]),
    )


def event_row(generation_id: str, event: Event) -> dict[str, Any]:
    """Return the columns of an event. Those of the call are empty if it is about none."""
    call = event.call or UpstreamCall("", "", 0, "", event.time, 0.0)
    return {
        "generation_id": generation_id,
        "time": event.time,
        "description": event.description,
        "source": event.source.value,
        "method": call.method,
        "path": call.path,
        "http_status": call.http_status,
        "correlation_id": call.correlation_id,
        "seconds": call.seconds,
        "times": event.times,
    }


def event_of(row: Row) -> Event:
    """Return the event in a row."""
    call: UpstreamCall | None = None
    if row["method"]:
        call = UpstreamCall(
            row["method"], row["path"], row["http_status"], row["correlation_id"], row["time"], row["seconds"]
        )
    return Event(row["time"], row["description"], source=Source(row["source"]), call=call, times=row["times"])


def _pack_output(output: Output) -> list[Any]:
    o = output
    fields = [o.state.value, o.kind.value, o.url, o.preview_url, o.name, o.content_type]
    return [*fields, o.job] if o.job else fields  # few outputs have a job


def _pack_failure(failure: Failure) -> dict[str, Any]:
    content: dict[str, Any] = {"r": failure.reason.value, "m": failure.message}
    if failure.violations:
        content["v"] = [[v.field, v.description] for v in failure.violations]
    if failure.retryable:
        content["again"] = True
    if failure.retry_after is not None:
        content["after"] = failure.retry_after
    if failure.metadata:
        content["d"] = dict(failure.metadata)
    if failure.response is not None:
        content["said"] = failure.response
    return content


def _unpack_failure(content: dict[str, Any] | None) -> Failure | None:
    if content is None:
        return None
    return Failure(
        Reason(content["r"]),
        content["m"],
        tuple(Violation(field, description) for field, description in content.get("v", ())),
        content.get("again", False),
        content.get("after"),
        content.get("d", NO_METADATA),
        content.get("said"),
    )
