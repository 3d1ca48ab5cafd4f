"""Converts JSON to the messages Struct and Value. What they cannot hold becomes text: docs/translation.md."""

import json
import math
import sys
from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import Struct, Value

MAX_DEPTH = 24
"""The most levels of a Struct. Each uses up to three of the hundred levels that protobuf decoders allow."""
MAX_NUMBER = int(sys.float_info.max)


def struct(content: Mapping[str, Any] | None) -> Struct | None:
    """Return a Struct with these values; None stays None."""
    if content is None:
        return None
    message = Struct()
    message.update(_struct_value(dict(content), MAX_DEPTH))
    return message


def value(content: Any) -> Value:
    """Return a Value."""
    holder = Struct()
    holder.update({"it": _struct_value(content, MAX_DEPTH)})
    return holder.fields["it"]


def _struct_value(content: Any, depth: int) -> Any:
    """Convert values that a Struct cannot hold, such as deep nesting, to text."""
    if isinstance(content, dict | list) and depth == 0:
        return json.dumps(content, ensure_ascii=False)
    if isinstance(content, dict):
        return {str(name): _struct_value(item, depth - 1) for name, item in content.items()}
    if isinstance(content, list):
        return [_struct_value(item, depth - 1) for item in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return str(content) if isinstance(content, int) and abs(content) > MAX_NUMBER else content
