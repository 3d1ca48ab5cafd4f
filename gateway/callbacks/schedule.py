"""What an attempt makes of a delivery and of its callback: one pure function, and the times that it goes by.

Two things can be wrong. A receiver as a whole is away, or too busy: then nothing is sent to it for a while, one
delivery at a time finds out whether it is back, and none is given up for it. Or it does not take this one delivery:
then that is tried again by a schedule of its own, and the others go on.
"""

from dataclasses import dataclass, replace

from gateway.callbacks.model import Callback, Delivery, Fate, Outcome, Problem
from gateway.generations.model import Moment

PAUSES = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 72_000.0)
"""Seconds before one delivery is tried again; one that is not taken ten times, in about three days, is given up."""
PATIENCE = 3 * 86_400.0
"""Seconds after which a callback that has taken nothing is paused."""
LULL = 1.5 * 86_400.0
"""Seconds without an attempt, longer than any pause between two, after which a failure is the first of another kind."""
FIRST_HOLD, LONGEST_HOLD = 5.0, 900.0
"""Seconds for which nothing is sent to a receiver that is away; doubled with each failure in a row."""
LONGEST_RETRY_AFTER = 86_400.0
BUSY = frozenset({429, 502, 503, 504})
"""Statuses that say something of the receiver as a whole."""
AWAY_AFTER = 3
"""Failures in a row from which on they are the receiver's, and no more those of what was sent."""


@dataclass(frozen=True, slots=True)
class Result:
    """Both afterwards. `back`: the receiver was away and is there again, so what failed meanwhile is due at once."""

    callback: Callback
    delivery: Delivery
    back: bool = False


def after(callback: Callback, delivery: Delivery, outcome: Outcome, moment: Moment, chance: float) -> Result:
    """What one attempt came to; `chance` from 0 to 1 spreads what began together."""
    tried = replace(
        delivery,
        attempts=delivery.attempts + 1,
        problem=outcome.problem,
        http_status=outcome.http_status,
        last_attempt_time=moment.wall,
    )
    if outcome.problem is None:
        back = callback.streak >= AWAY_AFTER
        return Result(callback.well(), replace(tried, fate=Fate.DELIVERED), back)
    ailing = _ailing(callback, outcome, moment, chance)
    if ailing.streak >= AWAY_AFTER:
        return Result(ailing, replace(tried, next_at=ailing.held_until))
    return Result(ailing, _refused(tried, outcome, moment, chance))


def away(problem: Problem | None, http_status: int) -> bool:
    """Whether this is a problem of the receiver as a whole."""
    return http_status in BUSY or (problem is not None and http_status == 0)


def _refused(tried: Delivery, outcome: Outcome, moment: Moment, chance: float) -> Delivery:
    refused = replace(tried, refusals=tried.refusals + 1)
    if refused.refusals > len(PAUSES):
        return replace(refused, fate=Fate.FAILED)
    pause = _spread(PAUSES[refused.refusals - 1], chance)
    return replace(refused, next_at=moment.steady + max(pause, _asked(outcome)))


def _ailing(callback: Callback, outcome: Outcome, moment: Moment, chance: float) -> Callback:
    quiet = moment.steady - callback.failed_at > LULL
    since = moment.steady if callback.failing_since is None or quiet else callback.failing_since
    ailing = replace(
        callback,
        problem=outcome.problem,
        problem_status=outcome.http_status,
        problem_time=moment.wall if callback.problem_time is None else callback.problem_time,
        failing_since=since,
        failed_at=moment.steady,
        paused=callback.paused or outcome.problem is Problem.GONE or moment.steady - since >= PATIENCE,
    )
    if not away(outcome.problem, outcome.http_status):
        return replace(ailing, streak=0)
    hold = _spread(min(FIRST_HOLD * 2 ** min(callback.streak, 9), LONGEST_HOLD), chance)
    until = moment.steady + max(hold, _asked(outcome))
    return replace(ailing, streak=callback.streak + 1, held_until=max(callback.held_until, until))


def _asked(outcome: Outcome) -> float:
    return min(outcome.retry_after or 0.0, LONGEST_RETRY_AFTER)


def _spread(seconds: float, chance: float) -> float:
    return seconds * (0.9 + 0.2 * chance)
