"""Validates the part of JSON Schema that model inputs use, and formats violations in the API's two formats."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Schema = dict[str, Any]
Path = tuple[str | int, ...]

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
_MAX_DIGITS = 18
"""Digits of a number that are read; `int` refuses texts of more than 4,300."""
_PYDANTIC_TYPES = {"integer": "int", "number": "float", "boolean": "bool", "array": "list", "object": "dict"}


def whole_number(text: str) -> int | None:
    """Return the number that a text of decimal digits is; None for other texts. A longer number is cut off."""
    return int(text.lstrip("0")[:_MAX_DIGITS] or "0") if text.isdecimal() and text.isascii() else None


@dataclass(frozen=True)
class Violation:
    """One violation: the keyword of the schema, the path, the value, and the value that the schema expects."""

    rule: str
    path: Path
    value: Any
    expected: Any

    def as_pydantic(self) -> dict[str, Any]:
        """Return the violation as an entry in the list of a 422."""
        kind, message, context = _PYDANTIC[self.rule](self.expected)
        where = [*self.path, self.expected] if self.rule == "required" else self.path
        entry = {"type": kind, "loc": ["body", *where], "msg": message, "input": self.value}
        return {**entry, "ctx": context} if context else entry

    def as_jsonschema(self) -> str:
        """Return the violation as the text of a 400."""
        return f"{'.'.join(map(str, self.path))}: {_JSONSCHEMA[self.rule](self.value, self.expected)}"


def violations(value: Any, schema: Schema, path: Path = ()) -> Iterator[Violation]:
    """Yield all violations of a value, with `path` before their paths."""
    if not _has_type(value, schema):
        yield Violation("type", path, value, schema["type"])
        return
    yield from _violations_of_scalar(value, schema, path)
    if isinstance(value, list):
        yield from _violations_of_size(value, schema, path, "minItems", "maxItems")
        for index, item in enumerate(value):
            yield from violations(item, schema.get("items", {}), (*path, index))
    if isinstance(value, dict):
        yield from _violations_of_object(value, schema, path)


def defaults(schema: Schema) -> dict[str, Any]:
    """Return the defaults of the schema's properties."""
    return {name: one["default"] for name, one in schema["properties"].items() if "default" in one}


def _has_type(value: Any, schema: Schema) -> bool:
    named = schema.get("type")
    if named is None:
        return True
    names = [named] if isinstance(named, str) else named
    # In Python a bool is an int; in JSON it is not a number.
    return any(isinstance(value, _TYPES[n]) and (n == "boolean" or not isinstance(value, bool)) for n in names)


def _violations_of_scalar(value: Any, schema: Schema, path: Path) -> Iterator[Violation]:
    if value is None:
        return
    if "enum" in schema and value not in schema["enum"]:
        yield Violation("enum", path, value, schema["enum"])
    if "minimum" in schema and value < schema["minimum"]:
        yield Violation("minimum", path, value, schema["minimum"])
    if "maximum" in schema and value > schema["maximum"]:
        yield Violation("maximum", path, value, schema["maximum"])
    if isinstance(value, str):
        yield from _violations_of_size(value, schema, path, "minLength", "maxLength")
        if "format" in schema and not _FORMATS[schema["format"]](value):
            yield Violation("format", path, value, schema["format"])


def _violations_of_size(
    value: str | list[Any], schema: Schema, path: Path, minimum: str, maximum: str
) -> Iterator[Violation]:
    if len(value) < schema.get(minimum, 0):
        yield Violation(minimum, path, value, schema[minimum])
    if maximum in schema and len(value) > schema[maximum]:
        yield Violation(maximum, path, value, schema[maximum])


def _violations_of_object(value: dict[str, Any], schema: Schema, path: Path) -> Iterator[Violation]:
    properties: dict[str, Schema] = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield Violation("required", path, value, name)
    for name, item in value.items():
        if name in properties:
            yield from violations(item, properties[name], (*path, name))
        elif schema.get("additionalProperties") is False:
            yield Violation("additionalProperties", path, value, name)
    alternatives: list[Schema] = schema.get("anyOf", [])
    if alternatives and all(any(violations(value, alternative, path)) for alternative in alternatives):
        yield Violation("anyOf", path, value, alternatives)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


_FORMATS = {"uri": _is_url, "uuid": _is_uuid}


def _first(names: str | list[str]) -> str:
    return names if isinstance(names, str) else names[0]


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _choices(options: list[Any]) -> str:
    shown = [repr(option) for option in options]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"


_PYDANTIC: dict[str, Callable[[Any], tuple[str, str, dict[str, Any]]]] = {
    "type": lambda d: (f"{_PYDANTIC_TYPES.get(_first(d), 'string')}_type", f"Input should be a valid {_first(d)}", {}),
    "enum": lambda d: ("literal_error", f"Input should be {_choices(d)}", {"expected": _choices(d)}),
    "minimum": lambda d: ("greater_than_equal", f"Input should be greater than or equal to {d}", {"ge": d}),
    "maximum": lambda d: ("less_than_equal", f"Input should be less than or equal to {d}", {"le": d}),
    "minLength": lambda d: (
        "string_too_short",
        f"String should have at least {_plural(d, 'character')}",
        {"min_length": d},
    ),
    "maxLength": lambda d: (
        "string_too_long",
        f"String should have at most {_plural(d, 'character')}",
        {"max_length": d},
    ),
    "minItems": lambda d: ("too_short", f"List should have at least {_plural(d, 'item')}", {"min_length": d}),
    "maxItems": lambda d: ("too_long", f"List should have at most {_plural(d, 'item')}", {"max_length": d}),
    "format": lambda d: (f"{d}_parsing", f"Input should be a valid {d}", {}),
    "required": lambda _: ("missing", "Field required", {}),
}
_JSONSCHEMA: dict[str, Callable[[Any, Any], str]] = {
    "type": lambda value, d: f"{value!r} is not of type {_first(d)!r}",
    "enum": lambda value, d: f"{value!r} is not one of {d!r}",
    "minimum": lambda value, d: f"{value!r} is less than the minimum of {d!r}",
    "maximum": lambda value, d: f"{value!r} is greater than the maximum of {d!r}",
    "minLength": lambda value, _: f"{value!r} is too short",
    "maxLength": lambda value, _: f"{value!r} is too long",
    "minItems": lambda value, _: f"{value!r} is too short",
    "maxItems": lambda value, _: f"{value!r} is too long",
    "format": lambda value, d: f"{value!r} is not a {d!r}",
    "required": lambda _, d: f"{d!r} is a required property",
    "additionalProperties": lambda _, d: f"Additional properties are not allowed ({d!r} was unexpected)",
    "anyOf": lambda value, _: f"{value!r} is not valid under any of the given schemas",
}
