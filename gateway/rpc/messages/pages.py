"""The page of a list that a request asks for, by its `page_size` and `page_token`."""

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


class Page(Generic[T]):
    """The page that a request asks for. `place` returns a text by which the next request finds an item again.

    A token is valid only with the same binding, by default that of `binding_of` for the tenant. `default` and `largest`
    are numbers of items. Raises INVALID_INPUT for a negative `page_size`, and for a `page_token` with another binding.
    """

    def __init__(
        self,
        request: Any,
        place: Callable[[T], str],
        *,
        tenant: str = "",
        binding: bytes | None = None,
        default: int = 50,
        largest: int = 500,
    ) -> None:
        if request.page_size < 0:
            raise invalid_field("page_size", "must not be negative")
        self.size = min(request.page_size or default, largest)
        self._place = place
        self._binding = binding_of(request, tenant) if binding is None else binding
        self.after = page_tokens.read_page_token(request.page_token, self._binding)
        """The place of the last item before the page; None for the first page."""

    @property
    def fetch_limit(self) -> int:
        """The most items that `fill` reads: those of the page, and one that shows that another page follows."""
        return self.size + 1

    def fill(self, into: Any, items: Iterable[T], message: Callable[[T], Message]) -> str:
        """Add the messages of the first items to a repeated field, at most `size` and 2 MiB, but at least one.

        Returns the token of the next page; empty if all items were added.
        """
        last: T | None = None
        total = 0
        for number, item in enumerate(items):
            made = message(item)
            total += made.ByteSize()
            if last is not None and (number == self.size or total > MAX_PAGE_BYTES):
                return self.token_after(self._place(last))
            into.append(made)
            last = item
        return ""

    def token_after(self, place: str | None) -> str:
        """Return the token of the page that begins after an item; empty if there is none."""
        return page_tokens.page_token(place, self._binding)


class SortedPage(Page[T]):
    """A page of a list that is sorted by `sort_key`, a unique key of texts and numbers."""

    def __init__(self, request: Any, sort_key: Callable[[T], tuple[str | float, ...]]) -> None:
        super().__init__(request, lambda item: json.dumps(sort_key(item)), default=100, largest=1000)
        self._sort_key = sort_key
        self._after = None if self.after is None else _read_place(self.after)

    def start_after(self, first: Texts) -> Texts:
        """Return the place of the last item before the page: `first` for the first page. Raises INVALID_INPUT."""
        after = self._after
        if after is None:
            return first
        if len(after) != len(first) or not all(isinstance(part, str) for part in after):
            raise page_tokens.not_issued("page_token")
        return cast(Texts, after)

    def of(self, items: Iterable[T]) -> Sequence[T]:
        """Return the items of the page, and the first item of the next page if there is one."""
        after = self._after
        try:
            left = items if after is None else [item for item in items if self._sort_key(item) > after]
        except TypeError:
            raise page_tokens.not_issued("page_token") from None
        return nsmallest(self.fetch_limit, left, key=self._sort_key)

    def fill(self, into: Any, items: Iterable[T], message: Callable[[T], Message]) -> str:
        """Add the messages of the page, as `Page.fill` does. The items may be in any order."""
        return super().fill(into, self.of(items), message)


def binding_of(request: Any, tenant: str) -> bytes:
    """Return the binding of a token to all fields of a request except `page_size` and `page_token`, and to a tenant."""
    plain = type(request)()
    plain.CopyFrom(request)
    plain.ClearField("page_size")
    plain.ClearField("page_token")
    content = b"\0".join(
        (plain.DESCRIPTOR.full_name.encode(), tenant.encode(), plain.SerializeToString(deterministic=True))
    )
    return hashlib.sha256(content).digest()[:8]


def _read_place(text: str) -> tuple[str | float, ...]:
    try:
        place = tuple(json.loads(text))
        json.dumps(place, ensure_ascii=False).encode()  # no store can look up half a surrogate
        return place
    except (ValueError, TypeError, RecursionError):
        raise page_tokens.not_issued("page_token") from None
