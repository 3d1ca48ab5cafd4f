"""Who runs when: an account runs so many generations at a time, the rest waits in the order of arrival.

A simulation in events, brought up to date when somebody looks: no timer runs, and what is seen does not depend on how
often one looks.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque

from gateway.sandbox.generations.generation import Generation


class RunQueue:
    """The slots of one account and the queue in front of them."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.peak = 0
        self._waiting: deque[Generation] = deque()
        self._running: list[tuple[float, int, Generation]] = []
        self._order = itertools.count()
        self._settled_at = 0.0
        self.outputs = 0
        """Files to come of what runs or waits: a batch counts each."""

    def settle(self, now: float) -> list[Generation]:
        """Let everything happen that is due by now; returns what ended, in order."""
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
        """Put a generation at the end of the queue."""
        self._waiting.append(generation)
        self.outputs += generation.outputs

    def remove(self, generation: Generation) -> None:
        """Take a generation out of the queue."""
        self._waiting.remove(generation)
        self.outputs -= generation.outputs

    @property
    def requests(self) -> int:
        """Generations that run or wait."""
        return len(self._waiting) + len(self._running)

    @property
    def next_event(self) -> float:
        """When something starts or ends next, as things are."""
        return min(self._next_end(), self._next_start())

    def seconds_to_next_end(self, now: float) -> float:
        """Return how long a full queue stays full for certain."""
        return self._next_end() - now if self._running else 0.0

    def _next_end(self) -> float:
        return self._running[0][0] if self._running else math.inf

    def _next_start(self) -> float:
        if not self._waiting or len(self._running) >= self.limit:
            return math.inf
        # A slot that became free in the past was taken then; one that a cancel or a raised limit freed, only now.
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
