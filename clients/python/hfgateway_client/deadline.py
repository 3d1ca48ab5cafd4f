"""The end of the time that a caller has given a method, over all its calls."""

from __future__ import annotations

import math
from collections.abc import Callable

_LONGEST = 1e9
"""Seconds. gRPC ends a call with a timeout of some centuries at once."""


class Deadline:
    """A time on the client's clock, in seconds. Without a timeout it is infinite."""

    def __init__(self, clock: Callable[[], float], timeout: float | None) -> None:
        self._clock = clock
        self.time: float = math.inf if timeout is None or timeout > _LONGEST else clock() + timeout

    def left(self) -> float | None:
        """Return the seconds that are left, at least 0; None without a timeout."""
        return None if self.time == math.inf else max(self.time - self._clock(), 0.0)

    def within(self, timeout: float) -> float:
        """Return the seconds that are left, or the timeout if that is shorter."""
        return min(self.time - self._clock(), timeout)
