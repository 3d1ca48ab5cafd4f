"""Validates parameters against a model's schema, in bounded time, and reports each invalid field by its path.

Import this module only when it is needed: the validator is 15 MB of machine code.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from jsonschema_rs import Draft202012Validator, ValidationError
from jsonschema_rs import ValidationErrorKind as Kind

from gateway.catalog import sanitize
from gateway.catalog.model import Schema
from gateway.errors import Violation, printable

PARAMETERS = "input.model.parameters"
MAX_VIOLATIONS = 50
MAX_STEPS = 50_000
"""The limit for the values in the schema times the values in the input. An input above it is not validated here, but
only by Higgsfield. A typical call has hundreds."""
MAX_TEXT_LENGTH = 200
"""Characters of a description."""
_TYPES = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_LIMITS = {
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "exclusiveMinimum": "must be more than {}",
    "exclusiveMaximum": "must be less than {}",
    "multipleOf": "must be a multiple of {}",
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minItems": "must have at least {} items",
    "maxItems": "must have at most {} items",
    "minProperties": "must have at least {} fields",
    "maxProperties": "must have at most {} fields",
    "const": "must be {}",
}


class SchemaValidator:
    """A compiled schema. Raises TooLargeError if the schema is too large."""

    def __init__(self, schema: Schema) -> None:
        sanitized = sanitize.sanitized(schema)
        self._nodes = _size(sanitized)
        self._validator = Draft202012Validator(sanitized, offline=True)

    def violations(self, parameters: Mapping[str, Any]) -> tuple[Violation, ...]:
        """Return the invalid fields, sorted, each once. An input that is too large is not validated."""
        if self._nodes * _size(parameters) > MAX_STEPS:
            return ()
        found: dict[str, str] = {}
        for error in islice(self._validator.iter_errors(dict(parameters)), MAX_VIOLATIONS):
            for field, description in _describe(error):
                found.setdefault(field, description[:MAX_TEXT_LENGTH])
        return tuple(Violation(*violation) for violation in islice(sorted(found.items()), MAX_VIOLATIONS))


def _describe(error: ValidationError) -> Iterator[tuple[str, str]]:
    """Yield the fields of an error with their descriptions, which do not contain values of the input."""
    at = _field(error.instance_path)
    match error.kind:
        case Kind.Required(name):
            yield _child(at, name), "is required"
        case Kind.AdditionalProperties(names):
            for name in names:
                yield _child(at, name), "is not a parameter of this model"
        case Kind.Type(names):
            yield at, f"must be {' or '.join(_TYPES[name] for name in names)}"
        case Kind.Enum(options):
            yield at, f"must be one of {_join_options(options)}"
        case Kind.AnyOf(branches) | Kind.OneOfNotValid(branches):
            yield from _alternatives(error, branches, at)
        case Kind.OneOfMultipleValid():
            yield at, "matches more than one of several exclusive alternatives"
        case Kind.MinLength(1) | Kind.MinItems(1):
            yield at, "must not be empty"
        case kind if kind.name in _LIMITS:
            yield at, _LIMITS[kind.name].format(_shown(kind.value))
        case _:
            yield at, "does not match the schema of this model"


def _alternatives(
    error: ValidationError, branches: Sequence[Sequence[ValidationError]], at: str
) -> Iterator[tuple[str, str]]:
    """Describe a value that matches no alternative (`anyOf`, `oneOf`).

    If only fields are missing, name them. If a single alternative has the type of the value, describe its errors.
    """
    here = error.instance_path
    missing = [
        inner.kind.property
        for branch in branches
        for inner in branch
        if isinstance(inner.kind, Kind.Required) and inner.instance_path == here
    ]
    if len(missing) == sum(map(len, branches)):
        yield at, f"needs {' or '.join(printable(name, 60) for name in dict.fromkeys(missing))}"
        return
    fitting = [
        branch
        for branch in branches
        if not any(isinstance(inner.kind, Kind.Type) and inner.instance_path == here for inner in branch)
    ]
    if len(fitting) == 1:
        for inner in fitting[0]:
            yield from _describe(inner)
    else:
        yield at, "matches none of the forms that this model accepts"


def _field(path: Iterable[str | int]) -> str:
    field = PARAMETERS
    for part in path:
        field = f"{field}[{part}]" if isinstance(part, int) else _child(field, part)
    return field


def _child(at: str, name: str) -> str:
    return f"{at}.{printable(name, 60)}"


def _join_options(options: list[Any]) -> str:
    """Join the options, as many as fit into a description."""
    text = ", ".join(map(_shown, options))
    return text if len(text) <= MAX_TEXT_LENGTH - 20 else f"{text[: MAX_TEXT_LENGTH - 20].rpartition(', ')[0]}, …"


def _shown(value: Any) -> str:
    return printable(value if isinstance(value, str) else json.dumps(value), 60)


def _size(value: object) -> int:
    """Count the values in a value, including itself."""
    if isinstance(value, dict):
        return 1 + sum(map(_size, value.values()))
    return 1 + sum(map(_size, value)) if isinstance(value, list) else 1
