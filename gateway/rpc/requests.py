"""How much one request may hold. Checked before it is decoded, so that a small request cannot cost much."""

import json
import re
from typing import Any

from google.protobuf.message import DecodeError, Message

from gateway.errors import Failure, GatewayError, Reason, Violation
from gateway.telemetry import Bad
from gateway.uploads import LARGEST_CHUNK

LARGEST_REQUEST = 512 * 1024
"""Bytes of a message, as it is sent and unpacked: an input of 256 KiB, and what surrounds and escapes it."""
LARGEST_UPLOAD_REQUEST = LARGEST_CHUNK * 3 // 2
"""The same for `UploadMedia`: a chunk, also in the base64 of JSON."""
MOST_VALUES = 5_000
"""Values in JSON or in a Struct, each field and each item: no call needs a tenth of them."""
DEEPEST = 64
"""Levels of JSON."""
# A text, also one without its end. Possessive, so that no input makes it look at a character twice.
_TEXT = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NOT_A_BRACKET = re.compile(r"[^\[\]{}]+")


class BadRequestError(GatewayError):
    """A request that is refused for its form; `bad` is the reason it is counted under."""

    def __init__(self, bad: Bad, description: str, field: str = "request") -> None:
        violation = Violation(field, description)
        super().__init__(Failure(Reason.INVALID_INPUT, f"{field}: {description}", violations=(violation,)))
        self.bad = bad


def too_large(largest: int) -> BadRequestError:
    """The message has more bytes than it may have."""
    return BadRequestError(Bad.SIZE, f"is larger than {largest // 1024} KiB")


def too_many_values(field: str = "request") -> BadRequestError:
    """There are more values than there may be."""
    return BadRequestError(Bad.VALUES, f"holds more than {MOST_VALUES} values", field)


def largest(message_class: type[Message]) -> int:
    """The most bytes that a message of this class may have."""
    uploads = message_class.DESCRIPTOR.full_name == "hfgateway.v1.UploadMediaRequest"
    return LARGEST_UPLOAD_REQUEST if uploads else LARGEST_REQUEST


def message_of(data: bytes, message_class: type[Message]) -> Message:
    """The message of these bytes in protobuf's binary form. Raises BadRequestError."""
    if len(data) > largest(message_class):
        raise too_large(largest(message_class))
    try:
        return message_class.FromString(data)
    except DecodeError:
        raise BadRequestError(Bad.ENCODING, f"the bytes are not a {message_class.DESCRIPTOR.full_name}") from None


def json_object(data: bytes | bytearray) -> dict[str, Any]:
    """The JSON object of these bytes. Raises BadRequestError for one that holds too much, ValueError for none."""
    text = data.decode()
    if text.count(",") + text.count("{") + text.count("[") > DEEPEST:
        _check_shape(_TEXT.sub("", text))
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("not an object")
    return content


def _check_shape(structure: str) -> None:
    """Refuse JSON, given without its texts, that holds too many values or levels."""
    if structure.count(",") + structure.count("{") + structure.count("[") > MOST_VALUES:
        raise too_many_values()
    depth = 0
    for bracket in _NOT_A_BRACKET.sub("", structure):
        depth += 1 if bracket in "[{" else -1
        if depth > DEEPEST:
            raise BadRequestError(Bad.VALUES, f"is nested deeper than {DEEPEST} levels")
        if depth < 0:
            return  # it is no JSON
