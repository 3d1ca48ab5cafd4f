"""Renders generations and failures for a language model, as text and as JSON."""

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from gateway.mcp.port import RefusedError
from hfgateway.v1 import character_service_pb2, error_pb2, generation_pb2

State = generation_pb2.GenerationState


def as_json(message: Message) -> dict[str, Any]:
    """Return a message in the API's JSON, with the field names of the protos, which arguments and violations use."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def state_name(generation: generation_pb2.Generation) -> str:
    """Return the name of the state, without its prefix."""
    return _name(State, generation.state, "GENERATION_STATE_")


def character_state_name(character: character_service_pb2.SoulCharacter) -> str:
    """Return the name of the state, without its prefix."""
    return _name(character_service_pb2.CharacterState, character.state, "CHARACTER_STATE_")


def summary(generation: generation_pb2.Generation) -> str:
    """Return a few lines about a generation, with its links."""
    lines = [f"{state_name(generation)}: generation {generation.id} with {generation.model_id}"]
    if generation.HasField("failure"):
        lines.append(f"It failed: {failure_line(generation.failure)}")
    if generation.HasField("delay"):
        lines.append(f"It waits: {failure_line(generation.delay)}")
    for number, output in enumerate(generation.outputs, 1):
        lines.append(f"Output {number}: {output.url or _name(State, output.state, 'GENERATION_STATE_')}")
    if generation.HasField("outputs_expire_time"):
        lines.append(f"The outputs are available until {generation.outputs_expire_time.ToJsonString()}.")
    return "\n".join(lines)


def progress(generation: generation_pb2.Generation) -> str:
    """Return a line about the progress of a generation."""
    forecast, parts = generation.forecast, [state_name(generation)]
    if generation.HasField("delay"):
        parts.append(generation.delay.message)
    if forecast.queue_position:
        parts.append(f"number {forecast.queue_position} in the gateway's queue")
    if forecast.HasField("remaining"):
        parts.append(f"about {forecast.remaining.ToSeconds()} s left")
    if forecast.overdue:
        parts.append("longer than expected")
    return ", ".join(parts)


def warnings(doubtful: Iterable[error_pb2.FieldViolation]) -> str:
    """Return a line for each field that Higgsfield may refuse."""
    return "".join(f"Warning: {violation.field}: {violation.description}\n" for violation in doubtful)


def failure_line(failure: error_pb2.Failure, code: str = "") -> str:
    """Return a failure as one line: its reason, its message, and the fields that the message does not mention.

    A refused call without a reason has the gRPC `code` in its place.
    """
    fields = [f"{violation.field}: {violation.description}" for violation in failure.field_violations]
    more = [text for text in fields if text not in failure.message]
    line = ": ".join(filter(None, (reason_name(failure) or code, failure.message)))
    line += f" ({'; '.join(more)})" if more else ""
    if failure.HasField("retry_delay"):
        line += f" Try again after {failure.retry_delay.ToTimedelta().total_seconds():.3g} s."
    return line


def error_json(refused: RefusedError) -> dict[str, Any]:
    """Return a refused call as JSON: `failure_json` with the code of the call."""
    return failure_json(refused.failure) | {"code": refused.code, "retryable": refused.retryable}


def failure_json(failure: error_pb2.Failure) -> dict[str, Any]:
    """Return a failure as JSON: reason without its prefix, message, fields, and the delay before a retry."""
    content: dict[str, Any] = {
        "reason": reason_name(failure),
        "message": failure.message,
        "field_violations": [{"field": v.field, "description": v.description} for v in failure.field_violations],
        "retryable": failure.retryable,
        "metadata": dict[str, str](failure.metadata),
    }
    if failure.HasField("retry_delay"):
        content["retry_delay_seconds"] = failure.retry_delay.ToTimedelta().total_seconds()
    return content


def reason_name(failure: error_pb2.Failure) -> str:
    """Return the reason without its prefix; empty if there is none."""
    if failure.reason == error_pb2.ERROR_REASON_UNSPECIFIED:
        return ""
    return _name(error_pb2.ErrorReason, failure.reason, "ERROR_REASON_")


def _name(enum: Any, value: int, prefix: str) -> str:
    known: Mapping[int, Any] = enum.DESCRIPTOR.values_by_number
    return str(known[value].name).removeprefix(prefix) if value in known else f"{prefix}{value}"
