"""The retry policy of callbacks: one pure function from the outcome of an attempt to the next state, and its times.

There are two kinds of failure. In an outage the whole receiver is unreachable or overloaded: nothing is sent to it for
a while, then one delivery at a time until one succeeds, and no delivery is given up. Otherwise the receiver refuses
this delivery: it is retried with growing pauses, and other deliveries are not affected. For a callback without a URL,
all failures are of the second kind.
"""

from dataclasses import replace

from gateway.callbacks.model import Callback, Delivery, DeliveryState, Outcome, Problem
from gateway.frozen import frozen
from gateway.generations.model import Moment

PAUSES = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 72_000.0)
"""Seconds before each retry of a delivery. It fails with the tenth refusal, after about three days."""
PAUSE_CALLBACK_AFTER = 3 * 86_400.0
"""Seconds without a success after which a callback is paused."""
OUTAGE_FORGOTTEN_AFTER = 1.5 * 86_400.0
"""Seconds without a failure, longer than any pause between attempts, after which `failing_since` starts again."""
FIRST_HOLD, MAX_HOLD = 5.0, 900.0
"""Seconds for which nothing is sent during an outage: after the first failure, and at most; doubled each time."""
MAX_RETRY_AFTER = 86_400.0
"""The most seconds of a Retry-After that are respected."""
OUTAGE_STATUSES = frozenset({429, 502, 503, 504})
"""The HTTP statuses that indicate an outage of the whole receiver."""
PROXY_STATUSES = 520
"""The first of the statuses with which proxies say that they cannot reach the receiver: Cloudflare has 520 to 530."""
OUTAGE_AFTER = 3
"""The number of such failures in a row from which a failure no longer counts against the delivery."""


@frozen
class Result:
    """The callback and the delivery after an attempt.

    `recovered`: an outage has ended, so deliveries that failed during it are due at once.
    """

    callback: Callback
    delivery: Delivery
    recovered: bool = False


def after(callback: Callback, delivery: Delivery, outcome: Outcome, moment: Moment, chance: float) -> Result:
    """Return the state after an attempt. `chance`, from 0 to 1, varies the pauses by a tenth.

    A paused callback keeps its problem, which may say why it was paused: the attempt began before that.
    """
    tried = replace(
        delivery,
        attempts=delivery.attempts + 1,
        problem=outcome.problem,
        http_status=outcome.http_status,
        last_attempt_time=moment.wall,
    )
    if outcome.problem is None:
        recovered = callback.streak >= OUTAGE_AFTER
        well = callback if callback.paused else callback.healthy()
        return Result(well, replace(tried, state=DeliveryState.DELIVERED), recovered)
    if not callback.url:  # its receivers differ, so that a failure only concerns the delivery
        gone = outcome.problem is Problem.GONE
        failed = replace(tried, state=DeliveryState.FAILED) if gone else _refused(tried, outcome, moment, chance)
        return Result(callback, failed)
    failing = _failing(callback, outcome, moment, chance)
    if failing.streak >= OUTAGE_AFTER:
        return Result(failing, replace(tried, next_at=max(tried.next_at, failing.held_until)))
    return Result(failing, _refused(tried, outcome, moment, chance))


def resumed(callback: Callback) -> Callback:
    """Return the callback without its problem, and without a pause before the next attempt.

    Only a success ends an outage. Otherwise each resumption would count two failures against a delivery.
    """
    return replace(callback.healthy(), streak=min(callback.streak, OUTAGE_AFTER))


def is_outage(problem: Problem | None, http_status: int) -> bool:
    """Return whether a problem is one of the whole receiver: no response, or a status that indicates an outage."""
    if http_status == 0:
        return problem is not None
    return http_status in OUTAGE_STATUSES or http_status >= PROXY_STATUSES


def _refused(tried: Delivery, outcome: Outcome, moment: Moment, chance: float) -> Delivery:
    refused = replace(tried, refusals=tried.refusals + 1)
    if refused.refusals > len(PAUSES):
        return replace(refused, state=DeliveryState.FAILED)
    pause = _jittered(PAUSES[refused.refusals - 1], chance)
    return replace(refused, next_at=moment.steady + max(pause, _retry_after(outcome)))


def _failing(callback: Callback, outcome: Outcome, moment: Moment, chance: float) -> Callback:
    if callback.paused:
        return callback
    quiet = moment.steady - callback.failed_at > OUTAGE_FORGOTTEN_AFTER
    since = moment.steady if callback.failing_since is None or quiet else callback.failing_since
    failing = replace(
        callback,
        problem=outcome.problem,
        problem_status=outcome.http_status,
        problem_time=moment.wall if callback.problem_time is None else callback.problem_time,
        failing_since=since,
        failed_at=moment.steady,
        paused=outcome.problem is Problem.GONE or moment.steady - since >= PAUSE_CALLBACK_AFTER,
    )
    if not is_outage(outcome.problem, outcome.http_status):
        return replace(failing, streak=0)
    if moment.steady < callback.held_until:  # it began before the failure that holds the others back: the same outage
        streak, hold = callback.streak, FIRST_HOLD
    else:
        streak, hold = callback.streak + 1, min(FIRST_HOLD * 2 ** min(callback.streak, 9), MAX_HOLD)
    until = moment.steady + max(_jittered(hold, chance), _retry_after(outcome))
    return replace(failing, streak=streak, held_until=max(callback.held_until, until))


def _retry_after(outcome: Outcome) -> float:
    return min(outcome.retry_after or 0.0, MAX_RETRY_AFTER)


def _jittered(seconds: float, chance: float) -> float:
    return seconds * (0.9 + 0.2 * chance)
