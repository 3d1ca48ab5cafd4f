"""Converts requests to values of the core, and validates them. Violations name fields by their paths in the protos."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.errors import Violation, invalid_field, raise_if_invalid
from gateway.generations.adopt import Adoption, request_id_of
from gateway.generations.inputs import (
    DopInput,
    DopVariant,
    Input,
    ModelInput,
    Motion,
    SoulInput,
    SoulVersion,
    SpeakInput,
    SpeakQuality,
)
from gateway.generations.model import FIRST_SECOND, LAST_SECOND, Api, GenerationId, IdempotencyKey, State, Wall
from gateway.generations.service import Submission, Warn
from gateway.generations.stores import Filter
from gateway.rpc.limits.requests import MAX_VALUES, BadRequestError, too_many_values
from gateway.telemetry import Rejection
from hfgateway.v1 import error_pb2, generation_input_pb2, generation_service_pb2

MAX_INPUT_BYTES = 256 * 1024
MAX_HEADER_LENGTH = 1024
"""Characters of a header that is passed on to Higgsfield."""
HOUR = 3600.0
MAX_FILTER_BYTES = 64 * 1024
"""The most bytes of an encoded filter, which is enough for MAX_IDS ids."""
MAX_IDS = 1000
MAX_MODELS = 100
MAX_LABELS = 32
MAX_WARNINGS = 10
MAX_WARNING_LENGTH = 300
_KEY = re.compile("[!-~]{1,255}")
_APIS: Mapping[int, Api] = {
    generation_input_pb2.API_VERSION_UNSPECIFIED: "v2",
    generation_input_pb2.API_VERSION_V1: "v1",
    generation_input_pb2.API_VERSION_V2: "v2",
}
_WAITS = frozenset(generation_service_pb2.WaitFor.values())
_LABEL_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-/")
# Control characters, line separators, and characters that change the direction of text.
STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_E = TypeVar("_E", SoulVersion, DopVariant, SpeakQuality)


def parse_submission(
    request: generation_service_pb2.SubmitGenerationRequest, warn: Warn, key_id: str, headers: Mapping[str, str]
) -> Submission:
    """Return the submission, which passes on these headers of the call. Raises INVALID_INPUT with all violations.

    `warn` is called with doubtful fields. `key_id` is the API key of the call.
    """
    wrong = [
        Violation(f"metadata.{name}", f"must be at most {MAX_HEADER_LENGTH} printable ASCII characters")
        for name, value in headers.items()
        if len(value) > MAX_HEADER_LENGTH or not (value.isascii() and value.isprintable())
    ]
    given, message = parse_input(request.input)
    key = check_idempotency_key(request.idempotency_key, "generation", wrong)
    labels = dict(request.labels)
    wrong.extend(_wrong_labels("labels", labels))
    start_timeout = parse_seconds(request, "start_timeout", wrong, positive=True)
    outputs_ttl = parse_seconds(request, "outputs_ttl", wrong, minimum=HOUR)
    if outputs_ttl is not None and outputs_ttl != int(outputs_ttl):
        wrong.append(Violation("outputs_ttl", "must be whole seconds"))
    if request.wait_for not in _WAITS:
        wrong.append(Violation("wait_for", "is not a value this gateway knows"))
    parse_seconds(request, "wait_timeout", wrong, maximum=HOUR)
    raise_if_invalid(wrong)
    return Submission(
        given,
        message,
        IdempotencyKey(key),
        labels,
        start_timeout=start_timeout,
        fail_when_saturated=request.fail_when_saturated,
        outputs_ttl=outputs_ttl,
        key_id=key_id,
        headers=headers,
        callback_url=request.callback_url,
        warn=warn,
    )


def parse_adoption(request: generation_service_pb2.AdoptGenerationRequest) -> Adoption:
    """Return the adoption. Raises INVALID_INPUT with all violations."""
    wrong: list[Violation] = []
    request_id = request_id_of(request.upstream_request_id, "upstream_request_id", wrong)
    labels = dict(request.labels)
    wrong.extend(_wrong_labels("labels", labels))
    if request.api_version not in _APIS:
        wrong.append(Violation("api_version", "is not a value this gateway knows"))
    raise_if_invalid(wrong)
    return Adoption(request_id, _APIS[request.api_version], labels)


def warning_messages(doubted: Sequence[Violation]) -> list[error_pb2.FieldViolation]:
    """Return the warnings of a response about these fields."""
    return [
        error_pb2.FieldViolation(field=violation.field, description=violation.description[:MAX_WARNING_LENGTH])
        for violation in doubted[:MAX_WARNINGS]
    ]


def check_idempotency_key(key: str, what: str, wrong: list[Violation]) -> str:
    """Return an idempotency key. Appends a violation to `wrong` if it is invalid; `what` names the thing it is for."""
    if not key:
        wrong.append(Violation("idempotency_key", f"is required: use one for each new {what}"))
    elif not _KEY.fullmatch(key):
        wrong.append(Violation("idempotency_key", "must be 1 to 255 visible ASCII characters"))
    return key


def parse_input(message: generation_input_pb2.GenerationInput) -> tuple[Input, bytes]:
    """Return the input as a value, and its encoded bytes. Raises INVALID_INPUT."""
    kind = message.WhichOneof("kind")
    if kind is None:
        raise invalid_field("input", f"is required, with one of {', '.join(_INPUTS)}")
    as_sent: bytes = message.SerializeToString()
    if len(as_sent) > MAX_INPUT_BYTES:
        raise invalid_field("input", f"is larger than {MAX_INPUT_BYTES // 1024} KiB")
    return _INPUTS[kind](getattr(message, kind)), as_sent


def require_text(text: str, field: str = "id") -> str:
    """Return the text of a field. Raises INVALID_INPUT if it is empty."""
    if not text:
        raise invalid_field(field, "is required")
    return text


def require(request: Message, *names: str) -> None:
    """Raise INVALID_INPUT with all of these fields and oneofs of a request that are empty."""
    wrong = []
    for name in names:
        if oneof := request.DESCRIPTOR.oneofs_by_name.get(name):
            if request.WhichOneof(name) is None:
                choices = ", ".join(field.name for field in oneof.fields)
                wrong.append(Violation(name, f"is required: one of {choices}"))
        elif not getattr(request, name):
            wrong.append(Violation(name, "is required"))
    raise_if_invalid(wrong)


def parse_seconds(
    message: Message,
    field: str,
    wrong: list[Violation],
    *,
    minimum: float = 0.0,
    maximum: float | None = None,
    positive: bool = False,
) -> float | None:
    """Return the seconds of a duration in a field, or None. Appends a violation to `wrong` if it is out of range."""
    if not message.HasField(field):
        return None
    given: Duration = getattr(message, field)
    value: float = given.seconds + given.nanos / 1_000_000_000
    if not (0 <= given.seconds <= 315_576_000_000 and 0 <= given.nanos < 1_000_000_000):
        wrong.append(Violation(field, "must not be negative, and a valid duration"))
    elif positive and value == 0:
        wrong.append(Violation(field, "must be longer than 0 s"))
    elif value < minimum:
        wrong.append(Violation(field, f"must be at least {minimum:g} s"))
    elif maximum is not None and value > maximum:
        wrong.append(Violation(field, f"must be at most {maximum:g} s"))
    return value


def parse_filter(message: generation_service_pb2.GenerationFilter, within: Filter | None = None) -> Filter:
    """Return the filter of a request, restricted to `within`. Raises INVALID_INPUT."""
    _check_size(message)
    wrong = _wrong_labels("filter.labels", message.labels)
    states = set()
    for index, number in enumerate(message.states):
        try:
            states.add(State(number))
        except ValueError:
            wrong.append(Violation(f"filter.states[{index}]", "is not a state this gateway knows"))
    request_ids = frozenset(
        request_id_of(one, f"filter.upstream_request_ids[{index}]", wrong)
        for index, one in enumerate(message.upstream_request_ids)
    )
    after = parse_wall_time(message, "created_after", wrong, "filter.")
    before = parse_wall_time(message, "created_before", wrong, "filter.")
    raise_if_invalid(wrong)
    return Filter(
        ids=frozenset(map(GenerationId, message.ids)) if message.ids else None,
        request_ids=request_ids,
        states=frozenset(states),
        model_ids=frozenset(message.model_ids),
        labels=dict(message.labels),
        idempotency_key=message.idempotency_key,
        created_after=None if after is None else Wall(after),
        created_before=None if before is None else Wall(before),
        within=within,
    )


def _check_size(message: generation_service_pb2.GenerationFilter) -> None:
    """Raise BadRequestError if a filter is too large. A watch keeps its filter in memory while it is open."""
    if message.ByteSize() > MAX_FILTER_BYTES:
        raise BadRequestError(Rejection.SIZE, f"is larger than {MAX_FILTER_BYTES // 1024} KiB", "filter")
    counts = {
        "ids": MAX_IDS,
        "upstream_request_ids": MAX_IDS,
        "states": MAX_MODELS,
        "model_ids": MAX_MODELS,
        "labels": MAX_LABELS,
    }
    for field, maximum in counts.items():
        if len(getattr(message, field)) > maximum:
            raise BadRequestError(Rejection.VALUES, f"must have at most {maximum} values", f"filter.{field}")


def parse_parameters(struct: Struct) -> dict[str, Any]:
    """Convert a Struct to JSON data. Whole numbers up to 2^53 become integers."""
    return {name: _plain(value) for name, value in struct.fields.items()}


def _plain(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() and abs(number) <= 2**53 else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "struct_value":
        return parse_parameters(value.struct_value)
    if kind == "list_value":
        return [_plain(item) for item in value.list_value.values]
    return None


def _has_too_many_values(struct: Struct) -> bool:
    inside: list[Collection[Value]] = [struct.fields.values()]
    seen = 0
    while inside:
        values = inside.pop()
        seen += len(values)
        if seen > MAX_VALUES:
            return True
        inside.extend(value.struct_value.fields.values() for value in values if value.HasField("struct_value"))
        inside.extend(value.list_value.values for value in values if value.HasField("list_value"))
    return False


def _soul(message: generation_input_pb2.SoulInput) -> SoulInput:
    return SoulInput(
        prompt=message.prompt,
        version=_known(SoulVersion, message.version, SoulVersion.V1, "input.soul.version"),
        aspect_ratio=message.aspect_ratio,
        width=message.width,
        height=message.height,
        resolution=message.resolution,
        batch_size=message.batch_size,
        style_id=message.style_id,
        style_strength=_optional(message, "style_strength"),
        character_id=message.character_id,
        character_strength=_optional(message, "character_strength"),
        image_reference_url=message.image_reference_url,
        enhance_prompt=_optional(message, "enhance_prompt"),
        seed=_optional(message, "seed"),
    )


def _dop(message: generation_input_pb2.DopInput) -> DopInput:
    return DopInput(
        prompt=message.prompt,
        variant=_known(DopVariant, message.variant, DopVariant.TURBO, "input.dop.variant"),
        image_urls=tuple(message.image_urls),
        end_image_url=message.end_image_url,
        motions=tuple(Motion(m.motion_id, _optional(m, "strength")) for m in message.motions),
        enhance_prompt=_optional(message, "enhance_prompt"),
        seed=_optional(message, "seed"),
    )


def _speak(message: generation_input_pb2.SpeakInput) -> SpeakInput:
    return SpeakInput(
        image_url=message.image_url,
        audio_url=message.audio_url,
        prompt=message.prompt,
        quality=_known(SpeakQuality, message.quality, SpeakQuality.MID, "input.speak.quality"),
        duration_seconds=message.duration_seconds,
        enhance_prompt=_optional(message, "enhance_prompt"),
        seed=_optional(message, "seed"),
    )


def _model(message: generation_input_pb2.ModelInput) -> ModelInput:
    # Each value has at least two bytes, so that the values of a short input need not be counted.
    if message.ByteSize() > 2 * MAX_VALUES and _has_too_many_values(message.parameters):
        raise too_many_values("input.model.parameters")
    if message.api_version not in _APIS:
        raise invalid_field("input.model.api_version", "is not a value this gateway knows")
    return ModelInput(message.model_id, parse_parameters(message.parameters), _APIS[message.api_version])


_INPUTS: dict[str, Callable[[Any], Input]] = {"soul": _soul, "dop": _dop, "speak": _speak, "model": _model}


def _optional(message: Any, field: str) -> Any:
    return getattr(message, field) if message.HasField(field) else None


def _known(kind: type[_E], number: int, default: _E, field: str) -> _E:
    if number == 0:
        return default
    try:
        return kind(number)
    except ValueError:
        raise invalid_field(field, "is not a value this gateway knows") from None


def parse_wall_time(message: Message, field: str, wrong: list[Violation], path: str = "") -> float | None:
    """Return a time in a field of a message, or None. Appends a violation to `wrong` if it is invalid.

    `path` is the field of the request that has the message, with a dot. The time is rounded up to a microsecond.
    """
    if not message.HasField(field):
        return None
    given: Timestamp = getattr(message, field)
    if not (FIRST_SECOND <= given.seconds <= LAST_SECOND and 0 <= given.nanos < 1_000_000_000):
        wrong.append(Violation(path + field, "is not a valid time"))
    # Stored times are whole microseconds, so no result depends on which time between two of them was given. As a float,
    # it could be equal to the earlier one.
    micros = -(-given.nanos // 1_000)
    # The sum could be rounded up to the year 10000, so the last second has no fraction.
    return min(given.seconds + micros / 1_000_000, LAST_SECOND)


def _wrong_labels(field: str, labels: Mapping[str, str]) -> list[Violation]:
    wrong = []
    if len(labels) > MAX_LABELS:
        wrong.append(Violation(field, f"must have at most {MAX_LABELS} labels"))
    for name, value in labels.items():
        if not 1 <= len(name) <= 63 or not _LABEL_CHARACTERS.issuperset(name):
            wrong.append(Violation(field, "keys must be 1 to 63 of a-z, 0-9, '.', '_', '-', '/'"))
        if len(value) > 255:
            wrong.append(Violation(f"{field}.{name}"[:100], "must be at most 255 characters"))
        if STEERING.search(value):
            wrong.append(Violation(f"{field}.{name}"[:100], "must have no control characters"))
    return wrong
