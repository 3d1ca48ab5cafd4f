"""How much Higgsfield is asked: one account's status calls, held back while it limits them or does not answer.

Told to slow down (429), the rate halves and then grows again by a tenth every ten quiet seconds until it does not bind.
After some failures in a row one call goes through as a probe, later and later; when it succeeds the others follow
spread out, not all at once.
"""

from dataclasses import dataclass

FAILURES_IN_A_ROW = 10
FIRST_BREAK, LONGEST_BREAK = 2.0, 10.0
"""Seconds between probes. The longest is part of how late an end can be told after an outage."""
GROWS_EVERY, GROWTH = 10.0, 1.1
LEAST_RATE, MOST_RATE = 1.0, 10_000.0
AFTER_A_BREAK = 100.0
"""Calls a second with which polling starts again after a break, where less was not learned before: 5,000 in flight are
asked for within a minute of the end of an outage, and no second has many more calls than another."""


@dataclass(slots=True)
class Budget:
    """Asked before each call, told what came of it. `rate`: calls a second, None while nothing binds. Times steady."""

    rate: float | None = None
    _tokens: float = 0.0
    _filled_at: float = 0.0
    _grown_at: float = 0.0
    _closed_until: float = 0.0
    _pause: float = FIRST_BREAK
    _failures: int = 0
    _probing: bool = False
    _counted_since: float = 0.0
    _count: int = 0

    def holds_up(self, now: float) -> float:
        """Seconds to wait before the next call; 0 takes one out of the budget."""
        if now < self._closed_until:
            return self._closed_until - now
        if self.broken:
            if self._probing:
                return self._pause
            self._probing = True
            return 0.0
        self._measure(now)
        rate = self._grown(now)
        if rate is None:
            return 0.0
        self._tokens = min(self._tokens + (now - self._filled_at) * rate, max(rate, 1.0))
        self._filled_at = now
        if self._tokens < 1.0:
            return (1.0 - self._tokens) / rate
        self._tokens -= 1.0
        return 0.0

    @property
    def broken(self) -> bool:
        """Whether so many failed in a row that only probes go through."""
        return self._failures >= FAILURES_IN_A_ROW

    def answered(self, now: float) -> None:
        """A call was answered, whatever with."""
        if self.broken:
            self._limit(AFTER_A_BREAK if self.rate is None else min(self.rate, AFTER_A_BREAK), now)
        self._failures = 0
        self._probing = False
        self._pause = FIRST_BREAK

    def failed(self, now: float) -> None:
        """A call was not answered, or not sensibly."""
        self._failures += 1
        self._probing = False
        if self.broken:
            self._closed_until = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_BREAK)

    def limited(self, now: float, retry_after: float) -> None:
        """Higgsfield said that these calls are too many."""
        self._probing = False
        lasted = max(now - self._counted_since, 1.0)
        self._limit(max((self.rate or self._count / lasted) / 2, LEAST_RATE), now)
        self._closed_until = max(self._closed_until, now + retry_after)

    def _limit(self, rate: float, now: float) -> None:
        self.rate = rate
        self._tokens = 0.0
        self._filled_at = self._grown_at = now

    def _grown(self, now: float) -> float | None:
        while self.rate is not None and now - self._grown_at >= GROWS_EVERY:
            self._grown_at += GROWS_EVERY
            self.rate = self.rate * GROWTH if self.rate < MOST_RATE else None
        return self.rate

    def _measure(self, now: float) -> None:
        if now - self._counted_since > GROWS_EVERY:
            self._counted_since, self._count = now, 0
        self._count += 1
