"""Reduces a foreign JSON Schema to one that can be evaluated on any input in bounded time.

References inside the document are replaced by their targets. The following is removed, which never makes the schema
stricter:

- `pattern` and similar keywords, because a regular expression can run for hours;
- `format`, which the standard defines as an annotation;
- references that are broken or circular, or lead to another document;
- every keyword whose value is not valid in the standard;
- from `required` and `dependentRequired`, the fields that have a default: Higgsfield fills in defaults before it
  validates. Notes of users report a model that lists such a field as required, and accepts inputs without it. The
  default may be in another part of the schema, so a default anywhere counts for every field with that name.
"""

from collections.abc import Callable, Mapping, Set
from typing import Any

from gateway.catalog.model import Schema

MAX_NODES = 2_000
"""The most subschemas of a schema that is used, counted after references were replaced."""

_TYPES = frozenset({"string", "integer", "number", "boolean", "array", "object", "null"})
_REMOVED = frozenset(
    {"pattern", "patternProperties", "format", "uniqueItems", "unevaluatedProperties", "unevaluatedItems",
     "additionalItems", "$dynamicRef", "$recursiveRef", "maxContains", "dependencies"}
)  # fmt: skip
"""Assertions that are removed."""


class TooLargeError(Exception):
    """The schema is too large to be evaluated on every submission."""


def sanitized(schema: Schema) -> dict[str, Any]:
    """Return the reduced schema. Raises TooLargeError."""
    return _Sanitizer(schema).reduce(schema, ())[0]


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value) and len({*value}) == len(value)


def _types(value: object) -> bool:
    return (isinstance(value, str) and value in _TYPES) or (
        _names(value) and isinstance(value, list) and bool(value) and _TYPES.issuperset(value)
    )


_VALUES: dict[str, Callable[[Any], bool]] = {
    "type": _types,
    "enum": lambda value: isinstance(value, list),
    "const": lambda value: True,
    "minimum": _number,
    "maximum": _number,
    "exclusiveMinimum": _number,
    "exclusiveMaximum": _number,
    # With a fraction, rounding would refuse valid values: in binary, 0.57 is not a multiple of 0.01.
    "multipleOf": lambda value: isinstance(value, int) and not isinstance(value, bool) and value > 0,
    "minLength": _count,
    "maxLength": _count,
    "minItems": _count,
    "maxItems": _count,
    "minProperties": _count,
    "maxProperties": _count,
    "minContains": _count,
    "required": _names,
    "dependentRequired": lambda value: isinstance(value, Mapping) and all(map(_names, value.values())),
}
_MANY = frozenset({"anyOf", "allOf", "prefixItems"})
_ONE = frozenset({"items", "contains", "propertyNames"})
_NAMED = frozenset({"properties", "dependentSchemas"})


class _Sanitizer:
    """Reduces one schema. The second result of each method is whether the result still means exactly the same."""

    def __init__(self, document: Schema) -> None:
        self._document = document
        self._with_default = _names_with_default(document)
        self._nodes = 0

    def reduce(self, schema: object, inside: tuple[str, ...]) -> tuple[dict[str, Any], bool]:
        """Reduce a subschema. `inside` are the references that lead to it. Raises TooLargeError."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise TooLargeError
        if isinstance(schema, bool):
            return ({} if schema else {"not": {}}), True
        if not isinstance(schema, Mapping):
            return {}, False
        reduced: dict[str, Any] = {}
        exact = not _REMOVED & schema.keys()
        for keyword, value in schema.items():
            kept, means_the_same = self._keyword(keyword, value, schema, inside)
            exact = exact and means_the_same
            if kept is not None:
                reduced[keyword] = kept[0]
        if "$ref" in schema:
            target, means_the_same = self._target(schema["$ref"], inside)
            exact = exact and means_the_same
            reduced["allOf"] = [*reduced.get("allOf", ()), target]
        exact = self._condition(schema, reduced, inside) and exact
        return _with_null(schema, reduced), exact

    def _keyword(
        self, keyword: str, value: Any, schema: Schema, inside: tuple[str, ...]
    ) -> tuple[tuple[Any] | None, bool]:
        """Reduce the value of a keyword. The first result is a tuple with the value; None if the keyword is removed."""
        if keyword in _VALUES:
            if not _VALUES[keyword](value):
                return None, False
            kept = self._without_defaults(keyword, value)
            return (kept,), kept == value
        if keyword in _MANY and isinstance(value, list) and value:
            parts = [self.reduce(part, inside) for part in value]
            return ([part for part, _ in parts],), all(same for _, same in parts)
        if keyword in _NAMED and isinstance(value, Mapping):
            named = {name: self.reduce(one, inside) for name, one in value.items()}
            return ({name: part for name, (part, _) in named.items()},), all(same for _, same in named.values())
        if keyword in _ONE and isinstance(value, Mapping | bool):
            part, same = self.reduce(value, inside)
            return (part,), same
        if keyword == "additionalProperties":
            if "patternProperties" in schema:
                return None, False
            if value is False:
                return (False,), True
            part, same = self.reduce(value, inside)
            return (part,), same
        if keyword == "oneOf" and isinstance(value, list) and value:
            return self._one_of(value, inside)
        if keyword == "not":
            part, same = self.reduce(value, inside)
            # If the inner schema accepts more than it did, its negation would accept less.
            return ((part,), True) if same else (None, False)
        return None, keyword not in {*_MANY, *_ONE, *_NAMED, "oneOf"}

    def _one_of(self, value: list[Any], inside: tuple[str, ...]) -> tuple[tuple[Any] | None, bool]:
        parts = [self.reduce(part, inside) for part in value]
        if all(same for _, same in parts):
            return ([part for part, _ in parts],), True
        return None, False

    def _condition(self, schema: Schema, reduced: dict[str, Any], inside: tuple[str, ...]) -> bool:
        """Add `if`, `then` and `else` if the reduced condition means exactly the same."""
        if "if" not in schema:
            return True
        condition, exact = self.reduce(schema["if"], inside)
        if exact:
            reduced["if"] = condition
            for branch in ("then", "else"):
                if branch in schema:
                    reduced[branch], same = self.reduce(schema[branch], inside)
                    exact = exact and same
        return exact

    def _target(self, reference: object, inside: tuple[str, ...]) -> tuple[dict[str, Any], bool]:
        """Return the reduced target of a reference; a schema that accepts everything if it cannot be resolved."""
        if not isinstance(reference, str) or reference in inside:
            return {}, False
        start, *path = reference.split("/")
        if start != "#":
            return {}, False
        target: Any = self._document
        for part in path:
            name = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, Mapping) or name not in target:
                return {}, False
            target = target[name]
        return self.reduce(target, (*inside, reference))

    def _without_defaults(self, keyword: str, value: Any) -> Any:
        """Return the value of a keyword without the required fields that have a default."""
        if keyword == "required":
            return [name for name in value if name not in self._with_default]
        if keyword == "dependentRequired":
            return {name: self._without_defaults("required", needed) for name, needed in value.items()}
        return value


def _names_with_default(document: object) -> Set[str]:
    """Return the names of the fields that have a default, anywhere in a document."""
    names: set[str] = set()
    parts = [document]
    while parts:
        part = parts.pop()
        if isinstance(part, list):
            parts += part
        elif isinstance(part, Mapping):
            properties = part.get("properties")
            if isinstance(properties, Mapping):
                names |= {name for name, one in properties.items() if isinstance(one, Mapping) and "default" in one}
            parts += part.values()
    return names


def _with_null(schema: Schema, reduced: dict[str, Any]) -> dict[str, Any]:
    """Also accept null if the schema has `nullable`, the keyword of OpenAPI 3.0."""
    if schema.get("nullable") is not True:
        return reduced
    return {"anyOf": [{"type": "null"}, reduced]}
