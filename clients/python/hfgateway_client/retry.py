"""When a call is retried, and after which delay. Performs no I/O: callers supply the clock and the sleep.

A call is retried unchanged (a submission with the same key), and only if the gateway guarantees that a retry has no
second effect:

- after UNAVAILABLE, which is also the error of a lost response;
- after CANCELLED, which a stopping server returns for calls that it has not started;
- after INTERNAL and UNKNOWN without a reason, which gRPC reports for a stream that a proxy has cut off;
- after GATEWAY_OVERLOADED, which means that this attempt had no effect;
- after SUBMISSION_UNRESOLVED, which asks for a retry.

The retries of gRPC itself are not used: they cover only the first case, and ignore RetryInfo.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from hfgateway_client import errors

OnRetry = Callable[[errors.GatewayError, float], object]
"""Called before a retry, with the error and the delay in seconds."""
_LOGGER = logging.getLogger("hfgateway_client")
_RETRYABLE = (errors.Unavailable, errors.GatewayOverloaded, errors.SubmissionUnresolved)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a client retries failed calls and resumes broken watches. All times are in seconds.

    Retried errors are `Unavailable`, `GatewayOverloaded` and `SubmissionUnresolved`. The delay before a retry is the
    ``retry_delay`` of the error. If it has none, the delay is ``first_delay``, doubled after each consecutive failure
    up to ``max_delay``, times a random factor from 0.5 to 1.
    """

    first_delay: float = 0.2
    """The delay before the first retry."""
    max_delay: float = 10.0
    """The longest delay between two attempts. A ``retry_delay`` of the gateway may exceed it."""
    repeat_calls_for: float | None = None
    """How long to retry a unary call after its first failure. 0 disables retries. None retries until its deadline."""
    resume_watches_for: float = 120.0
    """How long to resume a watch after its stream breaks. Any message, including a heartbeat, resets this time."""

    def delay(self, failures: int, retry_delay: float | None, chance: float) -> float:
        """Return the delay before the next attempt, in seconds.

        Args:
            failures: The number of consecutive failures, from 1.
            retry_delay: The delay that the gateway asked for, in seconds, or None.
            chance: A random number from 0 to 1, for the jitter.
        """
        if retry_delay is not None and retry_delay > 0:
            return retry_delay  # the gateway has already added jitter
        full = min(self.first_delay * 2.0 ** min(failures - 1, 32), self.max_delay)
        return full * (0.5 + chance / 2)


def may_repeat(error: errors.GatewayError) -> bool:
    """Return whether a retry of the same call has no second effect and may succeed."""
    return isinstance(error, _RETRYABLE) and not error.permanent


def report(error: errors.GatewayError, delay: float, on_retry: OnRetry | None) -> None:
    """Log a retry, and call the caller's hook."""
    _LOGGER.info("call failed; retry in %.2f s: %s", delay, error)
    if on_retry:
        on_retry(error, delay)
