"""When a call is made again, and how long to wait before it. Pure: who uses it brings the clock and the sleep.

A call is repeated as it is, a submit with the same key, and only where the gateway's contract says that nothing is
done twice: after UNAVAILABLE (an answer that was lost arrives as that), after CANCELLED (which a server makes of calls
that it has not taken up when it ends), after a refusal to even look at it (GATEWAY_OVERLOADED), and after
SUBMISSION_UNRESOLVED, which asks for it. There is one mechanism: gRPC's own retry
policy could do the first alone, and does not know RetryInfo.
"""

from __future__ import annotations

from dataclasses import dataclass

from hfgateway_client import errors

_REPEATABLE = (errors.Unavailable, errors.GatewayOverloaded, errors.SubmissionUnresolved)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient a client is. Delays are in seconds."""

    first_delay: float = 0.2
    max_delay: float = 10.0
    repeat_calls_for: float | None = None
    """No more repeats of a unary call after so long. None: until its deadline."""
    resume_watches_for: float = 120.0
    """A watch ends with the last error when the gateway was away for so long."""

    def delay(self, failures: int, retry_delay: float | None, chance: float) -> float:
        """Before the next attempt: what the gateway asked for, else twice as long each time, with jitter.

        ``failures`` counts the attempts that failed in a row, from 1; ``chance`` is 0 to 1.
        """
        if retry_delay:
            return retry_delay  # the gateway has spread it already
        full = min(self.first_delay * 2.0 ** min(failures - 1, 32), self.max_delay)
        return full * (0.5 + chance / 2)


def may_repeat(error: errors.GatewayError) -> bool:
    """Whether the same call may be made again without doing anything twice, and has a chance."""
    return isinstance(error, _REPEATABLE)
