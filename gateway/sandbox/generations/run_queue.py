"""The run queue of an account: a limited number of generations run at once, the others wait in their order.

It is an event simulation that `settle` brings up to date. There is no timer, and the results do not depend on how often
`settle` is called.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque

from gateway.sandbox.generations.generation import Generation


class RunQueue:
    """The running and the waiting generations of one account. `limit` is the number that may run at once."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.peak = 0
        self._waiting: deque[Generation] = deque()
        self._running: list[tuple[float, int, Generation]] = []
        self._order = itertools.count()
        self._settled_at = 0.0
        self.outputs = 0
        """The output files of all running and waiting generations; a batch counts each of its files."""

    def settle(self, now: float) -> list[Generation]:
        """Start and end the generations that are due by now; returns those that ended, in the order of their ends."""
        ended = []
        while (at := self.next_event) <= now:
            self._settled_at = at
            if self._next_end() <= at:
                ended.append(self._end())
            else:
                self._start(at)
        self._settled_at = max(now, self._settled_at)
        return ended

    def add(self, generation: Generation) -> None:
        """Append a generation to the queue."""
        self._waiting.append(generation)
        self.outputs += generation.outputs

    def remove(self, generation: Generation) -> None:
        """Remove a waiting generation."""
        self._waiting.remove(generation)
        self.outputs -= generation.outputs

    @property
    def requests(self) -> int:
        """The number of running and waiting generations."""
        return len(self._waiting) + len(self._running)

    @property
    def next_event(self) -> float:
        """The time of the next start or end; infinity if there is none."""
        return min(self._next_end(), self._next_start())

    def seconds_to_next_end(self, now: float) -> float:
        """Return the seconds until the first running generation ends; 0 if none is running."""
        return self._next_end() - now if self._running else 0.0

    def _next_end(self) -> float:
        return self._running[0][0] if self._running else math.inf

    def _next_start(self) -> float:
        if not self._waiting or len(self._running) >= self.limit:
            return math.inf
        # A slot freed by an end was taken at that time. A slot freed by a cancel or a raised limit is taken now.
        return max(self._waiting[0].ready_at, self._settled_at)

    def _start(self, at: float) -> None:
        generation = self._waiting.popleft()
        generation.started_at = at
        heapq.heappush(self._running, (at + generation.running_seconds, next(self._order), generation))
        self.peak = max(self.peak, len(self._running))

    def _end(self) -> Generation:
        generation = heapq.heappop(self._running)[2]
        self.outputs -= generation.outputs
        return generation
