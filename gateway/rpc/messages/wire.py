"""Encodes generations. Each version is encoded once, and the bytes are shared by all calls and watches."""

import functools
from collections.abc import Mapping
from types import MappingProxyType

from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.archive.model import ArchivedFile, Part
from gateway.generations.limits.model import SPENDING_STATES
from gateway.generations.model import Event, Forecast, Generation, Output
from gateway.generations.watching.feed import Entry
from gateway.rpc.errors import duration, failure_message
from gateway.rpc.messages.structs import struct
from hfgateway.v1 import generation_input_pb2, generation_pb2, generation_service_pb2

FORECAST_FIELD = generation_pb2.Generation.FORECAST_FIELD_NUMBER
NOTHING_ARCHIVED: Mapping[Part, ArchivedFile] = MappingProxyType({})
INPUT_FIELD = generation_pb2.Generation.INPUT_FIELD_NUMBER
USED_INPUT_FIELD = generation_pb2.Generation.USED_INPUT_FIELD_NUMBER


def full(entry: Entry) -> bytes:
    """Return the encoded Generation of an entry, with its input."""
    if entry.full is None:
        entry.full = bare(entry) + _input(entry.generation)
    return entry.full


def bare(entry: Entry) -> bytes:
    """Return the encoded Generation of an entry, without its input."""
    if entry.bare is None:
        entry.bare = generation_message(entry.generation, entry.polls).SerializeToString()
    return entry.bare


def shown(
    generation: Generation, *, include_input: bool, archived: Mapping[Part, ArchivedFile] = NOTHING_ARCHIVED
) -> bytes:
    """Return the encoded Generation without a live entry, or at an earlier revision."""
    message = generation_message(generation, generation.polls)
    for part, file in archived.items():
        if part.output < len(message.outputs):
            output = message.outputs[part.output]
            copy = output.archived_preview if part.preview else output.archived
            copy.url, copy.size, copy.sha256 = file.url, file.size, file.sha256
    content: bytes = message.SerializeToString()
    return content + _input(generation) if include_input else content


def _input(generation: Generation) -> bytes:
    """Return the fields that only callers with the right to see the input get."""
    given = b"" if generation.spec.adopted else embedded(INPUT_FIELD, generation.spec.input)
    used = struct(generation.used_input)
    return given if used is None else given + embedded(USED_INPUT_FIELD, used.SerializeToString())


def input_json(given: bytes) -> object:
    """Return the JSON of a stored input."""
    message = generation_input_pb2.GenerationInput.FromString(given)
    return json_format.MessageToDict(message)


def forecast_message(forecast: Forecast) -> generation_pb2.Forecast:
    return generation_pb2.Forecast(
        queue_position=forecast.queue_position,
        progress=forecast.progress,
        remaining=duration(forecast.remaining),
        basis=forecast.basis.value,  # type: ignore[arg-type]
        overdue=forecast.overdue,
    )


@functools.lru_cache(maxsize=2000)
def forecast_field(forecast: Forecast | None) -> bytes:
    """Return the forecast as a field to append to an encoded Generation; empty if there is none."""
    if forecast is None:
        return b""
    return embedded(FORECAST_FIELD, forecast_message(forecast).SerializeToString())


def event_message(event: Event) -> generation_service_pb2.GenerationEvent:
    message = generation_service_pb2.GenerationEvent(
        time=timestamp(event.time),
        revision=event.revision,
        state=0 if event.state is None else event.state.value,  # type: ignore[arg-type]
        source=event.source.value,  # type: ignore[arg-type]
        description=event.description,
    )
    if event.call is not None:
        message.upstream_call.method = event.call.method
        message.upstream_call.path = event.call.path
        message.upstream_call.http_status = event.call.http_status
        message.upstream_call.correlation_id = event.call.correlation_id
        message.upstream_call.times = event.times
        message.upstream_call.duration.FromNanoseconds(int(event.call.seconds * 1_000_000_000))
    return message


def embedded(field: int, message: bytes) -> bytes:
    """Encode a message as a field of another message. Concatenated fields are one message."""
    return _varint(field << 3 | 2) + _varint(len(message)) + message


def generation_message(generation: Generation, polls: int) -> generation_pb2.Generation:
    """Return the Generation message, without the input."""
    g, spec = generation, generation.spec
    message = generation_pb2.Generation(
        id=spec.id,
        state=g.state.value,  # type: ignore[arg-type]  # the numbers are those of GenerationState
        done=g.done,
        revision=g.revision,
        model_id=spec.model_id,
        cancelable=g.cancelable,
        idempotency_key="" if spec.adopted else spec.idempotency_key,
        adopted=spec.adopted,
        upstream=generation_pb2.Upstream(
            request_id=g.request_id,
            correlation_id=g.correlation_id,
            status=g.upstream_status,
            poll_count=polls,
            last_change_source=g.source.value,  # type: ignore[arg-type]
        ),
        create_time=timestamp(spec.create_time),
        accept_time=timestamp(g.accept_time),
        start_time=timestamp(g.start_time),
        end_time=timestamp(g.end_time),
        outputs_expire_time=timestamp(g.outputs_expire_time),
        update_time=timestamp(g.update_time),
    )
    if g.outputs:
        message.outputs.extend(_output(output) for output in g.outputs)
    if g.failure is not None:
        message.failure.CopyFrom(failure_message(g.failure))
    if g.delay is not None:
        message.delay.CopyFrom(failure_message(g.delay))
    if spec.estimated_credits:
        message.estimated_cost.credits, message.estimated_cost.usd = spec.estimated_credits, spec.estimated_usd
        if g.done:
            spent = g.state in SPENDING_STATES
            message.settled_cost.credits = spec.estimated_credits if spent else "0"
            message.settled_cost.usd = spec.estimated_usd if spent else ""
    if spec.labels:
        message.labels.update(spec.labels)
    other_results = struct(g.other_results)
    if other_results is not None:
        message.upstream.other_results.CopyFrom(other_results)
    return message


def timestamp(seconds: float | None) -> Timestamp | None:
    """Convert wall time in seconds to a Timestamp, to the microsecond; None stays None."""
    if seconds is None:
        return None
    micros = round(seconds * 1_000_000)
    return Timestamp(seconds=micros // 1_000_000, nanos=micros % 1_000_000 * 1000)


def _output(output: Output) -> generation_pb2.Output:
    return generation_pb2.Output(
        state=output.state.value,  # type: ignore[arg-type]
        kind=output.kind.value,  # type: ignore[arg-type]
        url=output.url,
        preview_url=output.preview_url,
        name=output.name,
        content_type=output.content_type,
        job_id=output.job_id,
    )


@functools.lru_cache(maxsize=2000)
def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
