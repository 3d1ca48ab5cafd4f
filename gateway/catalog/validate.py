"""Holds parameters against a model's schema: every field that is wrong, by its path, in bounded time.

Imported when it is first needed, for the validator is 15 MB of machine code.
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
MOST_VIOLATIONS = 50
MOST_STEPS = 50_000
"""Values in the schema times values in the input: what is more, Higgsfield checks alone. A usual call has hundreds."""
MOST_TEXT = 200
"""Characters of a description."""
_KINDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_SAID = {
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


class Checker:
    """A schema made ready. Raises TooLargeError for one that is not used."""

    def __init__(self, schema: Schema) -> None:
        plain = sanitize.tamed(schema)
        self._nodes = _size(plain)
        self._validator = Draft202012Validator(plain, offline=True)

    def violations(self, parameters: Mapping[str, Any]) -> tuple[Violation, ...]:
        """What is wrong, each field once, by name; nothing where the input is too large to be checked here."""
        if self._nodes * _size(parameters) > MOST_STEPS:
            return ()
        found: dict[str, str] = {}
        for error in islice(self._validator.iter_errors(dict(parameters)), MOST_VIOLATIONS):
            for field, told in _told(error):
                found.setdefault(field, told[:MOST_TEXT])
        return tuple(Violation(field, told) for field, told in islice(sorted(found.items()), MOST_VIOLATIONS))


def _told(error: ValidationError) -> Iterator[tuple[str, str]]:
    """Fields and what is wrong with them; nothing of the input's values is repeated."""
    at = _field(error.instance_path)
    match error.kind:
        case Kind.Required(name):
            yield _child(at, name), "is required"
        case Kind.AdditionalProperties(names):
            for name in names:
                yield _child(at, name), "is not a parameter of this model"
        case Kind.Type(names):
            yield at, f"must be {' or '.join(_KINDS[name] for name in names)}"
        case Kind.Enum(options):
            yield at, f"must be one of {_listed(options)}"
        case Kind.AnyOf(branches) | Kind.OneOfNotValid(branches):
            yield from _alternatives(error, branches, at)
        case Kind.OneOfMultipleValid():
            yield at, "matches more than one of the alternatives that exclude each other"
        case Kind.MinLength(1) | Kind.MinItems(1):
            yield at, "must not be empty"
        case kind if kind.name in _SAID:
            yield at, _SAID[kind.name].format(_shown(kind.value))
        case _:
            yield at, "does not match the schema of this model"


def _alternatives(
    error: ValidationError, branches: Sequence[Sequence[ValidationError]], at: str
) -> Iterator[tuple[str, str]]:
    """Where one alternative is of the value's own kind, what is wrong by that one; else that none fits."""
    here = error.instance_path
    missing = [
        inner.kind.property
        for some in branches
        for inner in some
        if isinstance(inner.kind, Kind.Required) and inner.instance_path == here
    ]
    if len(missing) == sum(map(len, branches)):
        yield at, f"needs {' or '.join(printable(name, 60) for name in dict.fromkeys(missing))}"
        return
    fitting = [
        some
        for some in branches
        if not any(isinstance(inner.kind, Kind.Type) and inner.instance_path == here for inner in some)
    ]
    if len(fitting) == 1:
        for inner in fitting[0]:
            yield from _told(inner)
    else:
        yield at, "matches none of the forms that this model takes"


def _field(path: Iterable[str | int]) -> str:
    field = PARAMETERS
    for part in path:
        field = f"{field}[{part}]" if isinstance(part, int) else _child(field, part)
    return field


def _child(at: str, name: str) -> str:
    return f"{at}.{printable(name, 60)}"


def _listed(options: list[Any]) -> str:
    """The options, as many as there is room for."""
    text = ", ".join(map(_shown, options))
    return text if len(text) <= MOST_TEXT - 20 else f"{text[: MOST_TEXT - 20].rpartition(', ')[0]}, …"


def _shown(value: Any) -> str:
    return printable(value if isinstance(value, str) else json.dumps(value), 60)


def _size(value: object) -> int:
    """How many values there are in a value, itself included."""
    if isinstance(value, Mapping):
        return 1 + sum(map(_size, value.values()))
    return 1 + sum(map(_size, value)) if isinstance(value, list) else 1
