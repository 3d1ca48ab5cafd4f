"""The page of a sorted list that a request asks for, by its `page_size` and `page_token`."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from heapq import nsmallest
from typing import Any, Generic, TypeVar, cast

from google.protobuf.message import Message

from gateway.errors import invalid_field
from gateway.rpc.messages import page_tokens

MAX_PAGE_BYTES = 2 * 1024 * 1024
T = TypeVar("T")
Texts = TypeVar("Texts", bound=tuple[str, ...])


def page_size(asked: int, default: int, largest: int) -> int:
    """Return the most items of a page, for the `page_size` of a request. Raises INVALID_INPUT if it is negative."""
    if asked < 0:
        raise invalid_field("page_size", "must not be negative")
    return min(asked or default, largest)


class Page(Generic[T]):
    """A page of a list that is sorted by `sort_key`, a unique key of texts and numbers.

    Raises INVALID_INPUT for a negative `page_size`, and for a `page_token` of a request with other fields.
    """

    def __init__(self, request: Any, sort_key: Callable[[T], tuple[str | float, ...]]) -> None:
        self._size = page_size(request.page_size, 100, 1000)
        self.fetch_limit = self._size + 1
        """The number of items that `of` returns at most."""
        self._sort_key = sort_key
        self._binding = _hash_of_other_fields(request)
        after = page_tokens.read_page_token(request.page_token, self._binding)
        self._after = None if after is None else _read_place(after)

    def start_after(self, first: Texts) -> Texts:
        """Return the place of the last item before the page: `first` for the first page. Raises INVALID_INPUT."""
        after = self._after
        if after is None:
            return first
        if len(after) != len(first) or not all(isinstance(part, str) for part in after):
            raise invalid_field("page_token", "was not issued by this gateway")
        return cast(Texts, after)

    def of(self, items: Iterable[T]) -> Sequence[T]:
        """Return the items of the page, and the first item of the next page if there is one."""
        after = self._after
        try:
            left = items if after is None else [item for item in items if self._sort_key(item) > after]
        except TypeError:
            raise invalid_field("page_token", "was not issued by this gateway") from None
        return nsmallest(self.fetch_limit, left, key=self._sort_key)

    def fill(self, into: Any, items: Iterable[T], message: Callable[[T], Message]) -> str:
        """Add the page's messages to a repeated field, and return the token of the next page."""
        found = self.of(items)
        total = 0
        for number, one in enumerate(found):
            made = message(one)
            total += made.ByteSize()
            if number == self._size or (total > MAX_PAGE_BYTES and number):
                return page_tokens.page_token(json.dumps(self._sort_key(found[number - 1])), self._binding)
            into.append(made)
        return ""


def _read_place(text: str) -> tuple[str | float, ...]:
    try:
        place = tuple(json.loads(text))
        json.dumps(place, ensure_ascii=False).encode()  # no store can look up half a surrogate
        return place
    except (ValueError, TypeError, RecursionError):
        raise invalid_field("page_token", "was not issued by this gateway") from None


def _hash_of_other_fields(request: Any) -> bytes:
    """Return a hash of all fields of a request except its page token."""
    plain = type(request)()
    plain.CopyFrom(request)
    plain.ClearField("page_token")
    content = plain.DESCRIPTOR.full_name.encode() + b"\0" + plain.SerializeToString(deterministic=True)
    return hashlib.sha256(content).digest()[:8]
