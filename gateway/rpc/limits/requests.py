"""Limits the size of requests. They are checked before decoding, so that a small request cannot cost much."""

import json
import re
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from gateway.errors import Failure, GatewayError, Reason, Violation, printable
from gateway.telemetry import Rejection
from gateway.uploads.service import MAX_CHUNK_BYTES

M = TypeVar("M", bound=Message)
MAX_REQUEST_BYTES = 512 * 1024
"""The most bytes of a message, compressed and decompressed: an input of 256 KiB, with its envelope and escapes."""
MAX_UPLOAD_REQUEST_BYTES = MAX_CHUNK_BYTES * 3 // 2
"""The most bytes of a message of `UploadMedia`: a chunk, also as base64 in JSON."""
MAX_VALUES = 5_000
"""The most values in JSON or in a Struct, counting fields and items. No call needs a tenth of them."""
MAX_DEPTH = 64
"""The most levels of JSON."""
# A string, also one that is not terminated. Possessive, so that no input makes it read a character twice.
_TEXT = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?')
_NOT_A_BRACKET = re.compile(r"[^\[\]{}]+")


class BadRequestError(GatewayError):
    """A malformed request. `rejection` is the label under which it is counted."""

    def __init__(self, rejection: Rejection, description: str, field: str = "request") -> None:
        violation = Violation(field, description)
        super().__init__(Failure(Reason.INVALID_INPUT, f"{field}: {description}", violations=(violation,)))
        self.rejection = rejection


def too_large(largest: int) -> BadRequestError:
    """Return the error for a message with too many bytes."""
    return BadRequestError(Rejection.SIZE, f"is larger than {largest // 1024} KiB")


def too_many_values(field: str = "request") -> BadRequestError:
    """Return the error for too many values."""
    return BadRequestError(Rejection.VALUES, f"holds more than {MAX_VALUES} values", field)


def largest(message_class: type[Message]) -> int:
    """Return the most bytes of a message of this class."""
    uploads = message_class.DESCRIPTOR.full_name == "hfgateway.v1.UploadMediaRequest"
    return MAX_UPLOAD_REQUEST_BYTES if uploads else MAX_REQUEST_BYTES


def message_of(data: bytes, message_class: type[M]) -> M:
    """Decode a message from protobuf's binary encoding. Raises BadRequestError."""
    # Only the name of the class shows which limit applies, and reading it takes longer than decoding most messages.
    if len(data) > MAX_REQUEST_BYTES and len(data) > (most := largest(message_class)):
        raise too_large(most)
    try:
        return message_class.FromString(data)
    except DecodeError:
        raise BadRequestError(Rejection.ENCODING, f"the bytes are not a {message_class.DESCRIPTOR.full_name}") from None


def json_object(data: bytes | bytearray) -> dict[str, Any]:
    """Parse a JSON object. Raises BadRequestError if it is too large, ValueError if it is not a JSON object."""
    text = data.decode()
    if text.count(",") + text.count("{") + text.count("[") > MAX_DEPTH:
        _check_shape(_TEXT.sub("", text))
    content = json.loads(text, object_pairs_hook=_distinct)
    if not isinstance(content, dict):
        raise ValueError("not an object")
    return content


def _distinct(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON. Raises BadRequestError if it has a field twice, as protobuf's own parser does."""
    content = dict[str, Any]()
    for name, value in fields:
        if name in content:
            raise BadRequestError(Rejection.ENCODING, f'"{printable(name, 100)}" is given twice in one object')
        content[name] = value
    return content


def check_spellings(content: dict[str, Any], message: Any) -> None:  # a descriptor: one of two stub classes
    """Raise BadRequestError if JSON has a field in both of its spellings. The parser takes the last one."""
    given = set()
    for name, value in content.items():
        field = message.fields_by_camelcase_name.get(name) or message.fields_by_name.get(name)
        if field is None:  # the key of a map
            continue
        if field.number in given:
            raise BadRequestError(
                Rejection.ENCODING, f"{field.json_name} (also {field.name}) is given twice in one object"
            )
        given.add(field.number)
        inner = field.message_type
        if inner is None or inner.file.package == "google.protobuf":
            continue
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                check_spellings(item, inner)


def _check_shape(structure: str) -> None:
    """Refuse JSON with too many values or levels. `structure` is the JSON without its strings."""
    if structure.count(",") + structure.count("{") + structure.count("[") > MAX_VALUES:
        raise too_many_values()
    depth = 0
    for bracket in _NOT_A_BRACKET.sub("", structure):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise BadRequestError(Rejection.VALUES, f"is nested deeper than {MAX_DEPTH} levels")
        if depth < 0:
            return  # it is not JSON
