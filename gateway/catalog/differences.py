"""Describes how a model differs from another version of it, by what its parameters accept.

A schema that only changes its form does not differ: references are resolved, and `allOf` is read like its parts. A
schema that is missing on one side is no difference, because Higgsfield's list can leave schemas out.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.catalog.model import Model, Schema
from gateway.catalog.sanitize import TooLargeError, sanitized
from gateway.errors import printable
from gateway.generations.model import MediaKind

MAX_DIFFERENCES = 20
"""The most differences that are described."""
MAX_DIFFERENCE_LENGTH = 200
"""Characters of one description."""


def differences(before: Model, after: Model) -> tuple[str, ...]:
    """Return the differences in kind, tasks and parameters, as texts for people."""
    found: list[str] = []
    if MediaKind.UNKNOWN not in (before.kind, after.kind) and before.kind is not after.kind:
        found.append(f"the output is now {after.kind.name.lower()}")
    if before.tasks and after.tasks and set(before.tasks) != set(after.tasks):
        found.append(f"the tasks are now {', '.join(after.tasks)}")
    if before.schema is not None and after.schema is not None and before.schema != after.schema:
        found.extend(_of_parameters(before.schema, after.schema))
    return tuple(printable(difference, MAX_DIFFERENCE_LENGTH) for difference in found[:MAX_DIFFERENCES])


def _of_parameters(before: Schema, after: Schema) -> Iterator[str]:
    try:
        old, new = _Parameters(before), _Parameters(after)
    except (TooLargeError, RecursionError):
        yield "the schema of the parameters has changed"
        return
    for name in sorted(old.fields.keys() | new.fields.keys()):
        if name not in new.fields:
            yield f"{name}: no longer a parameter"
        elif name not in old.fields:
            yield f"{name}: a new parameter"
        elif old.fields[name] != new.fields[name]:
            was, now = _text(old.fields[name]), _text(new.fields[name])
            yield f"{name}: {was} is now {now}" if was != now else f"{name}: still {now}, with other rules"
        if name in old.required - new.required:
            yield f"{name}: no longer required"
        elif name in new.required - old.required:
            yield f"{name}: now required"
    if old.rules != new.rules:
        yield "the rules between parameters have changed"


class _Parameters:
    """A schema as its fields, the required ones, and all other rules."""

    def __init__(self, schema: Schema) -> None:
        self.fields: dict[str, dict[str, Any]] = {}
        self.required: set[str] = set()
        self.rules: set[str] = set()
        self._defaults = _defaults(schema)
        self._read(sanitized(schema))

    def _read(self, schema: Mapping[str, Any]) -> None:
        for name, one in schema.get("properties", {}).items():
            field = self.fields.setdefault(name, {})
            field |= _plain(one)
            if name in self._defaults:
                field["default"] = self._defaults[name]
        self.required.update(schema.get("required", ()))
        for keyword, value in schema.items():
            if keyword == "allOf":
                for part in value:
                    self._read(part)
            elif keyword == "if":
                self.rules.add(_canonical({name: schema[name] for name in ("if", "then", "else") if name in schema}))
            elif keyword not in ("properties", "required", "type"):
                self.rules.add(_canonical({keyword: value}))


def _plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema without `allOf`, with the types and the choices in order."""
    plain = dict(schema)
    for part in plain.pop("allOf", ()):
        plain = _plain(part) | plain
    if isinstance(plain.get("type"), list):
        plain["type"] = sorted(plain["type"])
    if "enum" in plain:
        plain["enum"] = sorted(plain["enum"], key=_canonical)
    return plain


def _defaults(schema: Schema) -> dict[str, Any]:
    """Return the defaults of the parameters; sanitized schemas have none."""
    found: dict[str, Any] = {}
    properties, parts = schema.get("properties"), schema.get("allOf")
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, Mapping):
            found |= _defaults(part)
    for name, one in properties.items() if isinstance(properties, Mapping) else ():
        if isinstance(one, Mapping) and "default" in one:
            found[name] = one["default"]
    return found


def _text(field: Mapping[str, Any]) -> str:
    """Return what a field accepts as a short text: `integer 4..15, default 5`, or `array 1..3 of string`."""
    if "enum" in field:
        text = " ".join(str(option) for option in field["enum"])
    else:
        type_ = field.get("type", "anything")
        text = " or ".join(type_) if isinstance(type_, list) else str(type_)
        for least, most in (("minimum", "maximum"), ("minLength", "maxLength"), ("minItems", "maxItems")):
            if least in field or most in field:
                text += f" {field.get(least, '')}..{field.get(most, '')}"
        if isinstance(items := field.get("items"), Mapping) and items:
            text += f" of {_text(items)}"
    return f"{text}, default {json.dumps(field['default'])}" if "default" in field else text


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)
