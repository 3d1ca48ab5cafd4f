"""Times at which things are due, in their order. A time can be replaced, which a heap alone does not support."""

import heapq
import math
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=str)

MAX_OUTDATED = 100
"""The heap is rebuilt when its outdated entries outnumber the others by more than this."""


class DueTimes(Generic[Name]):
    """One time for each name. Its memory is bounded by the number of names, however often their times are replaced."""

    def __init__(self) -> None:
        self._at: dict[Name, float] = {}
        self._heap: list[tuple[float, Name]] = []

    def __len__(self) -> int:
        return len(self._at)

    def put(self, name: Name, at: float) -> bool:
        """Set the time of a name. Return whether it has changed."""
        if self._at.get(name) == at:
            return False
        self._at[name] = at
        heapq.heappush(self._heap, (at, name))
        self._drop_outdated()
        return True

    def put_earlier(self, name: Name, at: float) -> None:
        """Set the time of a name, unless it has an earlier one."""
        if at < self._at.get(name, math.inf):
            self.put(name, at)

    def drop(self, name: Name) -> None:
        """Remove a name, if it has a time."""
        self._at.pop(name, None)
        self._drop_outdated()

    def first(self) -> float | None:
        """Return the earliest time; None if there is none."""
        while self._heap:
            at, name = self._heap[0]
            if self._at.get(name) == at:
                return at
            heapq.heappop(self._heap)  # outdated
        return None

    def take(self, now: float) -> tuple[float, Name] | None:
        """Remove and return what has the earliest time, if that is not after `now`."""
        while self._heap and self._heap[0][0] <= now:
            at, name = heapq.heappop(self._heap)
            if self._at.get(name) == at:
                del self._at[name]
                return at, name
        return None

    def _drop_outdated(self) -> None:
        """Rebuild the heap once most of its entries are outdated."""
        if len(self._heap) > 2 * len(self._at) + MAX_OUTDATED:
            self._heap = [(at, name) for name, at in self._at.items()]
            heapq.heapify(self._heap)
