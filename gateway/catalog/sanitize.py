"""Makes a foreign JSON Schema harmless: what is left of it can be run on any input in bounded time.

What is left out never makes it stricter: `pattern` and its kin (a regular expression can run for hours), `format`
(an annotation by the standard), references that lead nowhere, to another document or in a circle, and every keyword
whose value is not what the standard has there. References inside the document are put in place.
"""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.catalog.model import Schema

MOST_NODES = 2_000
"""Subschemas of one schema, references put in place; a larger one is not used."""

_TYPES = frozenset({"string", "integer", "number", "boolean", "array", "object", "null"})
_LEFT_OUT = frozenset(
    {"pattern", "patternProperties", "format", "uniqueItems", "unevaluatedProperties", "unevaluatedItems",
     "additionalItems", "$dynamicRef", "$recursiveRef", "maxContains", "dependencies"}
)  # fmt: skip
"""Keywords that assert something and are not run."""


class TooLargeError(Exception):
    """The schema is larger than what is run on every submission."""


def tamed(schema: Schema) -> dict[str, Any]:
    """The schema that is left. Raises TooLargeError."""
    return _Taming(schema).of(schema, ())[0]


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _types(value: object) -> bool:
    return (isinstance(value, str) and value in _TYPES) or (
        isinstance(value, list) and bool(value) and all(isinstance(one, str) and one in _TYPES for one in value)
    )


_VALUES: dict[str, Callable[[Any], bool]] = {
    "type": _types,
    "enum": lambda value: isinstance(value, list),
    "const": lambda value: True,
    "minimum": _number,
    "maximum": _number,
    "exclusiveMinimum": _number,
    "exclusiveMaximum": _number,
    # Of a fraction rounding would refuse what is right: 0.57 is no multiple of 0.01 in binary.
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


class _Taming:
    """One schema on its way; each method's second result says whether it still means exactly what it meant."""

    def __init__(self, document: Schema) -> None:
        self._document = document
        self._nodes = 0

    def of(self, schema: object, inside: tuple[str, ...]) -> tuple[dict[str, Any], bool]:
        """`inside` are the references that were followed on the way here."""
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise TooLargeError
        if isinstance(schema, bool):
            return ({} if schema else {"not": {}}), True
        if not isinstance(schema, Mapping):
            return {}, False
        left: dict[str, Any] = {}
        exact = not _LEFT_OUT & schema.keys()
        for keyword, value in schema.items():
            kept, means_the_same = self._keyword(keyword, value, schema, inside)
            exact = exact and means_the_same
            if kept is not None:
                left[keyword] = kept[0]
        if "$ref" in schema:
            target, means_the_same = self._referred(schema["$ref"], inside)
            exact = exact and means_the_same
            left["allOf"] = [*left.get("allOf", ()), target]
        exact = self._condition(schema, left, inside) and exact
        return _nullable(schema, left), exact

    def _keyword(
        self, keyword: str, value: Any, schema: Schema, inside: tuple[str, ...]
    ) -> tuple[tuple[Any] | None, bool]:
        """What is left of a keyword's value, in a tuple; None where the keyword goes."""
        if keyword in _VALUES:
            if not _VALUES[keyword](value):
                return None, False
            return ((_without_defaults(value, schema),), True) if keyword == "required" else ((value,), True)
        if keyword in _MANY and isinstance(value, list) and value:
            parts = [self.of(one, inside) for one in value]
            return ([part for part, _ in parts],), all(same for _, same in parts)
        if keyword in _NAMED and isinstance(value, Mapping):
            named = {name: self.of(one, inside) for name, one in value.items()}
            return ({name: part for name, (part, _) in named.items()},), all(same for _, same in named.values())
        if keyword in _ONE and isinstance(value, Mapping | bool):
            part, same = self.of(value, inside)
            return (part,), same
        if keyword == "additionalProperties" and isinstance(value, Mapping | bool):
            if "patternProperties" in schema:
                return None, False
            if value is False:
                return (False,), True
            part, same = self.of(value, inside)
            return (part,), same
        if keyword == "oneOf" and isinstance(value, list) and value:
            return self._one_of(value, inside)
        if keyword == "not":
            part, same = self.of(value, inside)
            # What was made more tolerant would, turned round, refuse more.
            return ((part,), True) if same else (None, False)
        return None, keyword not in {*_MANY, *_ONE, *_NAMED, "additionalProperties", "oneOf"}

    def _one_of(self, value: list[Any], inside: tuple[str, ...]) -> tuple[tuple[Any] | None, bool]:
        parts = [self.of(one, inside) for one in value]
        if all(same for _, same in parts):
            return ([part for part, _ in parts],), True
        return None, False

    def _condition(self, schema: Schema, left: dict[str, Any], inside: tuple[str, ...]) -> bool:
        """`if` with what belongs to it, where it still decides as it did."""
        if "if" not in schema:
            return True
        condition, exact = self.of(schema["if"], inside)
        if exact:
            left["if"] = condition
            for branch in ("then", "else"):
                if branch in schema:
                    left[branch], same = self.of(schema[branch], inside)
                    exact = exact and same
        return exact

    def _referred(self, reference: object, inside: tuple[str, ...]) -> tuple[dict[str, Any], bool]:
        """What a reference stands for; anything at all where that cannot be known here."""
        if not isinstance(reference, str) or not reference.startswith("#") or reference in inside:
            return {}, False
        target: Any = self._document
        for part in filter(None, reference[1:].split("/")):
            name = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, Mapping) or name not in target:
                return {}, False
            target = target[name]
        return self.of(target, (*inside, reference))


def _without_defaults(names: list[str], schema: Schema) -> list[str]:
    """Those of the required that have no default: Higgsfield fills these in first (upstream.md 2.5)."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return names

    def filled_in(name: str) -> bool:
        one = properties.get(name)
        return isinstance(one, Mapping) and "default" in one

    return [name for name in names if not filled_in(name)]


def _nullable(schema: Schema, left: dict[str, Any]) -> dict[str, Any]:
    """OpenAPI 3.0 has its own word for what may be null."""
    if schema.get("nullable") is not True:
        return left
    return {"anyOf": [{"type": "null"}, left]}
