"""Finds values of a JSON response in the message that was made from it; independent of the code that makes it.

A value is named by its JSON pointer, here a tuple of names and indexes. `lost` lists the pointers of a response whose
values are neither at the same pointer of the message's struct nor in a typed field.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

Pointer = tuple[str | int, ...]


class Number(str):
    """A number with the digits of its text."""

    __slots__ = ()


@dataclass(frozen=True)
class Typed:
    """Where the values at pointers that match `pattern` are: `texts` returns the texts of the typed fields."""

    pattern: str
    texts: Callable[[Any, Any, Pointer], Sequence[str]]


@dataclass(frozen=True)
class Case:
    """A value of a response that is not in the message, and what is at its pointer instead."""

    answer: Any
    message: Any
    kept: Any
    pointer: Pointer
    value: Any
    found: Any


@dataclass(frozen=True)
class Allowed:
    """An exception: values that need not be found, and why."""

    reason: str
    applies: Callable[[Case], bool]


def loads(text: bytes | str) -> Any:
    """Parse JSON with exact numbers. A byte that is not UTF-8 is a surrogate. Raises ValueError or RecursionError."""
    if isinstance(text, bytes):
        raw, encoding = text, json.detect_encoding(text)
        try:
            text = raw.decode(encoding, "surrogatepass")
        except UnicodeDecodeError:
            text = raw.decode(encoding, "surrogateescape")
    return json.loads(text, parse_int=Number, parse_float=Number, parse_constant=Number)


def at(content: Any, pointer: Pointer) -> Any:
    """Return the value at a pointer; None if there is none."""
    for part in pointer:
        try:
            content = content[part]
        except (LookupError, TypeError):
            return None
    return content


def written(pointer: Pointer) -> str:
    """Return a pointer as text, with numbers for all indexes: `/images/0/url`."""
    return "".join(f"/{part}" for part in pointer)


def leaves(content: Any) -> Iterator[tuple[Pointer, Any]]:
    """Yield the pointer and value of each scalar and of each empty object or list, however deep it is."""
    waiting: list[tuple[Pointer, Any]] = [((), content)]
    while waiting:
        pointer, value = waiting.pop()
        inner: list[tuple[Any, Any]] = []
        if isinstance(value, dict | list):
            inner = list(value.items() if isinstance(value, dict) else enumerate(value))
        if not inner:
            yield pointer, value
        waiting += [((*pointer, name), one) for name, one in reversed(inner)]


def lost(
    answer: Any, message: Any, kept: Any, typed: Sequence[Typed], exceptions: Sequence[Allowed] = ()
) -> list[tuple[str, Any]]:
    """Return the pointers and values of a response that are neither in `kept`, nor in a typed field, nor allowed."""
    gone = []
    for pointer, value in leaves(answer):
        found = _in(kept, pointer)
        if same(value, found):
            continue
        path = written(pointer)
        texts = [
            text for one in typed if re.fullmatch(one.pattern, path) for text in one.texts(message, answer, pointer)
        ]
        in_a_field = value in texts and (isinstance(value, str) or value is None)
        if in_a_field and not (isinstance(value, Number) and fits_a_double(value)):
            continue
        if not any(one.applies(Case(answer, message, kept, pointer, value, found)) for one in exceptions):
            gone.append((path, value))
    return gone


_MISSING = object()


def _in(kept: Any, pointer: Pointer) -> Any:
    for part in pointer:
        if isinstance(kept, str) and not isinstance(kept, Number):
            try:
                kept = loads(kept)  # nested too deeply for a struct
            except ValueError:
                return _MISSING
        try:
            kept = kept[valid(part) if isinstance(part, str) else part]
        except (LookupError, TypeError):
            return _MISSING
    return kept


def same(value: Any, found: Any) -> bool:
    """Return whether a found value is the value of the response."""
    if isinstance(value, Number):
        return _same_number(value, found)
    if isinstance(value, str):
        return bool(found == valid(value))
    if isinstance(value, dict | list):
        return bool(found == value or found == json.dumps(value))
    return found is value


def fits_a_double(number: Number) -> bool:
    """Return whether a double holds the number exactly; otherwise it is a text in every message."""
    if number.lstrip("-").isdigit():
        return abs(int(number[:20])) <= 2**53
    try:
        return math.isfinite(float(number)) and Decimal(repr(float(number))) == Decimal(number)
    except InvalidOperation:
        return False


def _same_number(value: Number, found: Any) -> bool:
    if isinstance(found, bool):
        return False
    if isinstance(found, float):
        found = repr(found)
    if not isinstance(found, str):
        return False
    try:
        return found == str(value) or Decimal(found) == Decimal(value)
    except InvalidOperation:
        return False


def depth(content: Any) -> int:
    """Return how many levels of objects and lists a value has."""
    levels, inner = 0, [content]
    while inner:
        inner = [
            item
            for one in inner
            if isinstance(one, dict | list)
            for item in (one.values() if isinstance(one, dict) else one)
        ]
        levels += 1
    return levels - 1


def valid(text: str) -> str:
    """Return a text without lone surrogates."""
    if text.isascii():
        return text
    return "".join("\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in text)
