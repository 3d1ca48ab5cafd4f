"""The rate limit and circuit breaker for the status calls with the same credentials.

A 429 halves the rate. It then grows by a tenth every ten seconds, until it no longer limits anything. After
FAILURES_IN_A_ROW failures only one call is made at a time, as a probe, with growing pauses. When a probe succeeds,
calls continue at a limited rate, so that they do not all come at once.
"""

from collections import defaultdict
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from gateway.errors import Failure, GatewayError, Reason, upstream_unavailable
from gateway.generations.model import Steady
from gateway.generations.ports import Clock

T = TypeVar("T")

FAILURES_IN_A_ROW = 10
FIRST_BREAK, MAX_BREAK = 2.0, 10.0
"""Seconds between probes. The longest adds to the delay with which an end is noticed after an outage."""
GROWTH_INTERVAL, GROWTH = 10.0, 1.1
MIN_RATE, MAX_RATE = 1.0, 10_000.0
RATE_AFTER_BREAK = 100.0
"""Calls per second after an outage, unless a lower rate was learned. 5,000 generations in flight are then polled within
a minute."""


@dataclass(slots=True)
class PollLimit:
    """Call `acquire` before each status call, and `answered`, `refused` or `failed` after it; see `recorded`.

    A call that must not wait for its turn asks `closed_for` instead.

    `rate` is in calls per second; None means no limit. All times are steady.
    """

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

    def acquire(self, now: Steady) -> float:
        """Take a permit for a call, and return 0; or return the seconds until one may be free."""
        if closed_for := self.closed_for(now):
            return closed_for
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

    def closed_for(self, now: Steady) -> float:
        """Return the seconds for which no call may be made: those of a Retry-After, or until the next probe."""
        return max(self._closed_until - now, 0.0)

    @property
    def broken(self) -> bool:
        """Whether only probes are allowed, because too many calls failed in a row."""
        return self._failures >= FAILURES_IN_A_ROW

    def answered(self, now: Steady) -> None:
        """Record a call that got a usable response, of any content."""
        if self.broken:
            self._limit(RATE_AFTER_BREAK if self.rate is None else min(self.rate, RATE_AFTER_BREAK), now)
        self._failures = 0
        self._probing = False
        self._pause = FIRST_BREAK

    def refused(self, failure: Failure, now: Steady) -> None:
        """Record a call that failed, by its failure."""
        if failure.reason is not Reason.UPSTREAM_UNAVAILABLE:  # Higgsfield itself refused this one call
            self.answered(now)
        elif failure.metadata.get("http_status") == "429":
            self.limited(now, failure.retry_after or 1.0)
        else:
            self.failed(now)

    def failed(self, now: Steady) -> None:
        """Record a call that got no response, or one that makes no sense."""
        self._failures += 1
        self._probing = False
        if self.broken:
            self._closed_until = now + self._pause
            self._pause = min(2 * self._pause, MAX_BREAK)

    def limited(self, now: Steady, retry_after: float) -> None:
        """Record a 429. `retry_after` is in seconds."""
        self._probing = False
        lasted = max(now - self._counted_since, 1.0)
        self._limit(max((self.rate or self._count / lasted) / 2, MIN_RATE), now)
        self._closed_until = max(self._closed_until, now + retry_after)

    def _limit(self, rate: float, now: Steady) -> None:
        self.rate = rate
        self._tokens = 0.0
        self._filled_at = self._grown_at = now

    def _grown(self, now: Steady) -> float | None:
        while self.rate is not None and now - self._grown_at >= GROWTH_INTERVAL:
            self._grown_at += GROWTH_INTERVAL
            self.rate = self.rate * GROWTH if self.rate < MAX_RATE else None
        return self.rate

    def _measure(self, now: Steady) -> None:
        if now - self._counted_since > GROWTH_INTERVAL:
            self._counted_since, self._count = now, 0
        self._count += 1


PollLimits = defaultdict[str, PollLimit]
"""The limits by the id of the credentials."""


async def recorded(limit: PollLimit, clock: Clock, call: Awaitable[T]) -> T:
    """Await a status call, and record its outcome. Raises what it raises."""
    try:
        response = await call
    except GatewayError as error:
        limit.refused(error.failure, clock.moment().steady)
        raise
    except Exception:  # not if its caller leaves, which says nothing about Higgsfield
        limit.failed(clock.moment().steady)
        raise
    limit.answered(clock.moment().steady)
    return response


def no_status_calls(pause: float) -> GatewayError:
    """Return the error of a caller whose call needs a status call, if none may be made for a number of seconds."""
    return upstream_unavailable("Higgsfield limits status calls, or does not respond", retry_after=pause)
