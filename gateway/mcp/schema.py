"""JSON Schemas of the tools' arguments, generated from the protos, so that no field can be missing or misnamed.

`MEANINGS` describes the fields, because the descriptors do not contain the comments of the protos.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from gateway.errors import Violation, path_below, printable

MEANINGS: Mapping[str, str] = {
    "GenerationInput.soul": "Text to image with Soul.",
    "GenerationInput.dop": "Image to video with the Director of Photography model.",
    "GenerationInput.speak": "A portrait and a speech (WAV) to a video of the person speaking.",
    "GenerationInput.model": "Any other Higgsfield model or endpoint, by its path.",
    "ModelInput.model_id": "The model's id, such as kling-video/v3.0/pro/image-to-video, without a leading slash.",
    "ModelInput.parameters": "The model's parameters; see get_model.",
    "ModelInput.api_version": "API_VERSION_V1 for endpoints of the v1 API, such as v1/text2image/keyframes.",
    "SoulInput.prompt": "What the image shows.",
    "SoulInput.version": "Default: V1. A style or a character works only with the version it was made for.",
    "SoulInput.aspect_ratio": "9:16, 16:9, 4:3, 3:4, 1:1, 2:3 or 3:2. Not together with width and height.",
    "SoulInput.width": "Pixels. Width and height must be one of the 13 pairs of Soul V1. Prefer aspect_ratio.",
    "SoulInput.height": "See width.",
    "SoulInput.resolution": "720p (default) or 1080p.",
    "SoulInput.batch_size": "The number of images: 1 (default) or 4.",
    "SoulInput.style_id": "The id of a Soul style.",
    "SoulInput.style_strength": "0 to 1; needs style_id.",
    "SoulInput.character_id": "The id of a trained character (Soul ID) of the same version.",
    "SoulInput.character_strength": "0 to 1; needs character_id.",
    "SoulInput.image_reference_url": "The URL of a reference image. Only V1.",
    "SoulInput.enhance_prompt": "Let Higgsfield rewrite the prompt.",
    "SoulInput.seed": "1 to 1000000. The same seed and input give similar results.",
    "DopInput.variant": "Default: Turbo.",
    "DopInput.prompt": "What moves, and how the camera moves.",
    "DopInput.image_urls": "URLs of the images to start from, at least one; see upload_media.",
    "DopInput.end_image_url": "The URL of an image for the last frame.",
    "DopInput.motions": "At most 2 motion presets.",
    "DopInput.enhance_prompt": "Let Higgsfield rewrite the prompt.",
    "DopInput.seed": "1 to 1000000.",
    "MotionStrength.motion_id": "The id of a motion preset.",
    "MotionStrength.strength": "0 to 1; default: 1.",
    "SpeakInput.image_url": "The URL of the portrait.",
    "SpeakInput.audio_url": "The URL of the speech, a WAV file.",
    "SpeakInput.prompt": "How the person looks and acts.",
    "SpeakInput.quality": "Default: Mid.",
    "SpeakInput.duration_seconds": "5 (default), 10 or 15.",
    "SpeakInput.enhance_prompt": "Let Higgsfield rewrite the prompt.",
    "SpeakInput.seed": "1 to 1000000.",
    "GenerationFilter.ids": "Only these generations.",
    "GenerationFilter.states": "Only generations in one of these states.",
    "GenerationFilter.model_ids": "Only generations of one of these models.",
    "GenerationFilter.labels": "Only generations with all of these labels.",
    "GenerationFilter.idempotency_key": "Only the generation with this key.",
    "GenerationFilter.created_after": "Created at this time or later, such as 2026-01-31T12:00:00Z.",
    "GenerationFilter.upstream_request_ids": "Only the generations of these requests, by their ids at Higgsfield.",
    "GenerationFilter.created_before": "Created before this time. For the next page: create_time of the last entry.",
}
"""Descriptions by message and field."""
_SCALARS = {
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BOOL: "boolean",
    FieldDescriptor.TYPE_DOUBLE: "number",
    FieldDescriptor.TYPE_INT32: "integer",
}
_MAX_VIOLATIONS = 20
_SURROGATE = re.compile("[\ud800-\udfff]")
MAX_VALUES = 5_000
"""Limit of values in the arguments of a call: fields and items. Validation blocks the event loop.

No call needs a tenth of them. A request has room for two million, which would take half a minute.
"""


def fields_schema(message: Any) -> dict[str, Any]:  # one of two stub classes
    """Return the schema of a message in JSON. Raises KeyError for a field without a meaning or of an unknown type."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            field.name: _field_schema(field) | {"description": MEANINGS[f"{message.name}.{field.name}"]}
            for field in message.fields
        },
        "additionalProperties": False,
    }
    # A message with a oneof contains nothing else, so exactly one of its fields is set.
    if any(not choice.name.startswith("_") for choice in message.oneofs):
        schema |= {"minProperties": 1, "maxProperties": 1}
    return schema


def _field_schema(field: FieldDescriptor) -> dict[str, Any]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return {"type": "object", "additionalProperties": _value_schema(field.message_type.fields_by_name["value"])}
    value = _value_schema(field)
    return {"type": "array", "items": value} if field.is_repeated else value


def _value_schema(field: FieldDescriptor) -> dict[str, Any]:
    if field.enum_type is not None:
        return {"type": "string", "enum": names(field.enum_type)}
    if field.message_type is None:
        return {"type": _SCALARS[field.type]}
    if field.message_type.full_name == "google.protobuf.Struct":
        return {"type": "object"}
    if field.message_type.full_name == "google.protobuf.Timestamp":
        return {"type": "string", "format": "date-time"}
    return fields_schema(field.message_type)


def names(enum: EnumDescriptor) -> list[str]:
    """Return the names of the values, except the unspecified one."""
    return [value.name for value in enum.values if value.number]


def violations(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> list[Violation]:
    """Return what is wrong with a tool's arguments, field by field."""
    values = list(islice(_values(arguments), MAX_VALUES + 1))
    if len(values) > MAX_VALUES:
        return [Violation("arguments", f"hold more than {MAX_VALUES} values")]
    if any(isinstance(value, float) and not math.isfinite(value) for value in values):
        return [Violation("arguments", "hold a number that is not finite")]
    if any(_SURROGATE.search(text) for text in _texts([arguments, *values])):
        return [Violation("arguments", "hold text that is not valid Unicode")]
    found: list[Violation] = []
    for error in Draft202012Validator(schema).iter_errors(arguments):
        found.extend(_of_error(error))
    return sorted(found, key=lambda violation: violation.field)[:_MAX_VIOLATIONS]


def _values(arguments: Mapping[str, Any]) -> Iterator[Any]:
    """Yield every value, at any depth."""
    inside: list[Iterator[Any]] = [iter(arguments.values())]
    while inside:
        for value in inside[-1]:
            yield value
            if isinstance(value, Mapping | list):
                inside.append(iter(value.values() if isinstance(value, Mapping) else value))
                break
        else:
            inside.pop()


def _texts(values: Iterable[Any]) -> Iterator[str]:
    """Yield the names of the fields, and the texts, that are not ASCII."""
    for value in values:
        for text in value if isinstance(value, Mapping) else (value,):
            if isinstance(text, str) and not text.isascii():
                yield text


def _of_error(error: ValidationError) -> Iterator[Violation]:
    path = path_below("", error.absolute_path).removeprefix(".")
    below = f"{path}." if path else ""
    given = error.instance
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        for name in sorted(set(given) - set(known)):
            yield Violation(
                printable(f"{below}{name}", 100), f"is not a known field; the fields are {', '.join(known)}"
            )
    elif error.validator == "required":
        for name in sorted(set(error.schema["required"]) - set(given)):
            yield Violation(f"{below}{name}", "is required")
    elif error.validator in {"minProperties", "maxProperties"}:
        yield Violation(path, f"must have exactly one of {', '.join(error.schema['properties'])}")
    else:
        yield Violation(printable(path, 100), printable(error.message, 200))
