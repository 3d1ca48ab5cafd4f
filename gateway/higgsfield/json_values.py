"""Parses Higgsfield's JSON without losing a value, and keeps what no typed field has: docs/translation.md.

A reader returns the paths of the values that its typed fields have exactly. `without` removes these from the response.
"""

import json
import re
from collections.abc import Collection, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from gateway.bounded_json import LEFT_OUT, MAX_KEPT_BYTES, MAX_KEPT_ERROR_BYTES, MAX_NAME_LENGTH, bounded, bounded_value
from gateway.higgsfield.redact import REMOVED, without_queries, without_secrets, without_tokens

Path = tuple[str | int, ...]
"""The place of a value: the names and indexes of a JSON pointer."""
MAX_DEPTH = 200
"""The most levels of a response. The store can encode no more than 255."""
MAX_NAMES = 100
"""The most members that are named if an object is nested too deeply."""
_EXACT = 2**53
"""The largest integer up to which a double holds all integers."""
_SURROGATE = re.compile("[\ud800-\udfff]")


def parse(text: bytes, *, numbers: bool = True) -> Any:
    """Parse JSON. A number that a double cannot hold exactly becomes a text with its digits. Raises ValueError.

    A byte in a text that is not UTF-8 becomes a lone surrogate, so that it does not hide the other values. If `numbers`
    is False, the numbers in the result are arbitrary: reading many of them exactly takes ten times as long.
    """
    encoding = json.detect_encoding(text)
    try:
        decoded = text.decode(encoding, "surrogatepass")
    except UnicodeDecodeError:
        decoded = text.decode(encoding, "surrogateescape")
    try:
        return (_DECODER if numbers else _WITHOUT_NUMBERS).decode(decoded)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def parse_object(text: bytes, *, numbers: bool = True) -> dict[str, Any]:
    """Parse an object; return an empty one if the text is none. `numbers` is that of `parse`."""
    try:
        content = parse(text, numbers=numbers)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def clean(value: Any, secrets: tuple[str, ...], levels: int = MAX_DEPTH) -> Any:
    """Return a parsed value without secrets and lone surrogates. Raises ValueError if it is nested too deeply."""
    if isinstance(value, str):
        return _clean_text(value, secrets)
    if not isinstance(value, dict | list):
        return value
    if not levels:
        raise ValueError("nested too deeply")
    if isinstance(value, list):
        return [clean(item, secrets, levels - 1) for item in value]
    return {
        _clean_text(name, secrets): REMOVED
        if name == "secret" and isinstance(item, str)
        else clean(item, secrets, levels - 1)
        for name, item in value.items()
    }


def without(content: Mapping[str, Any], taken: Collection[Path]) -> dict[str, Any] | None:
    """Return an object without the values at these paths; None if nothing is left.

    Lists keep their length, so that the other values keep their paths: an element of which nothing is left is `{}`.
    """
    tree: dict[str | int, Any] = {}
    for path in taken:
        node = tree
        for part in path[:-1]:
            node = node.setdefault(part, {})
        node[path[-1]] = None
    rest = _without(content, tree)
    return None if rest is _TAKEN else rest


def clean_and_bound(content: Mapping[str, Any] | None, size: int, secrets: tuple[str, ...]) -> dict[str, Any] | None:
    """Return what is kept of an object in a response of `size` bytes. Raises ValueError if it is nested too deeply."""
    if content is None:
        return None
    whole: dict[str, Any] = clean(content, secrets)
    return whole if size <= MAX_KEPT_BYTES else bounded(whole)


def collect_extra(content: dict[str, Any], taken: Collection[Path], secrets: tuple[str, ...]) -> dict[str, Any] | None:
    """Return what is kept of an object beside the values at these paths; None if nothing is left.

    The members of one that is nested too deeply are only named.
    """
    try:
        return bounded(clean(without(content, taken), secrets))
    except ValueError:
        return {LEFT_OUT: {_clean_text(name, secrets)[:MAX_NAME_LENGTH]: 0 for name in list(content)[:MAX_NAMES]}}


def response_of(body: bytes, secrets: tuple[str, ...]) -> Any:
    """Return what is kept of a response with an error status; None if it is not JSON.

    Errors reach the logs of clients, so URL queries and the refused input, which Higgsfield repeats, are removed.
    """
    try:
        return _fit_for_logs(bounded_value(clean(parse(body), secrets), MAX_KEPT_ERROR_BYTES))
    except ValueError:
        return None


_TAKEN = object()


def _without(value: Any, taken: Mapping[str | int, Any]) -> Any:
    """Return a value without the leaves of the tree; _TAKEN if nothing is left."""
    if isinstance(value, list):
        items = [_rest(item, index, taken) for index, item in enumerate(value)]
        return _TAKEN if all(item is _TAKEN for item in items) else [{} if item is _TAKEN else item for item in items]
    if isinstance(value, dict):
        rest = {name: _rest(item, name, taken) for name, item in value.items()}
        return {name: item for name, item in rest.items() if item is not _TAKEN} or _TAKEN
    return value


def _rest(item: Any, name: str | int, taken: Mapping[str | int, Any]) -> Any:
    if name not in taken:
        return item
    inner = taken[name]
    return _TAKEN if inner is None else _without(item, inner)


def _fit_for_logs(value: Any) -> Any:
    if isinstance(value, str):
        return without_queries(value)
    if isinstance(value, list):
        return [_fit_for_logs(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: REMOVED if name == "input" else _fit_for_logs(item) for name, item in value.items()}


def _clean_text(text: str, secrets: tuple[str, ...]) -> str:
    text = without_tokens(without_secrets(text, secrets))
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _integer(digits: str) -> int | str:
    if len(digits) < 16:
        return int(digits)
    return digits if len(digits) > 17 or abs(int(digits)) > _EXACT else int(digits)


def _decimal(digits: str) -> float | str:
    number = float(digits)
    if repr(number) == digits:
        return number
    try:
        return number if Decimal(repr(number)) == Decimal(digits) else digits
    except InvalidOperation:
        return digits


_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_decimal, parse_constant=str)
_WITHOUT_NUMBERS = json.JSONDecoder(parse_int=len, parse_float=len, parse_constant=str)
