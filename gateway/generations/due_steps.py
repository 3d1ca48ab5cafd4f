"""The next step that is due for a generation, and when. It is derived from what is stored, and not stored itself."""

from enum import Enum

from gateway.frozen import frozen
from gateway.generations.model import Generation, Moment, Source, State, Steady

MAX_WAIT = 86_400.0
"""Seconds that a generation may wait unsent if its caller set no start_timeout."""
MAX_REPEATS = 3
AT_ONCE = Steady(0.0)
PAUSE_AFTER_WHOLE_ERROR = 2.0
"""Seconds before the first repeat after a complete 5xx response: Higgsfield has finished the request."""
PAUSE_AFTER_SILENCE = 15.0
"""Seconds before the first repeat after a timeout, a reset, a 504 or a truncated response: Higgsfield may still be
working on the request."""
WEBHOOKS_RETRIED_FOR = 7_200.0
"""Seconds for which Higgsfield retries a webhook (its documentation). Its absence proves nothing before."""
LATER_PAUSES = {2: 60.0, 3: 300.0}
"""Seconds before the second and the third repeat."""


class Step(Enum):
    """The kinds of steps."""

    SEND = "send"
    TAKE_BACK = "take back"
    RECOVER = "recover"
    POLL = "poll"
    END_WAIT = "end wait"
    GIVE_UP = "give up"


@frozen
class Due:
    """A step, and the steady time before which it must not be taken."""

    step: Step
    at: Steady


@frozen
class Rules:
    """The settings for submissions; times in seconds.

    `repeats`: an ambiguous submission may be repeated under its key, because Higgsfield honours idempotency keys on v2.
    `webhooks_since`: the steady time since which webhooks can be received without a pause; None if they are off.
    `recover_from`: the steady time from which no other process can send what it has marked.
    """

    repeats: bool = True
    window: float = 900.0
    uncertain_timeout: float = 10_800.0
    webhooks_since: Steady | None = None
    recover_from: Steady = AT_ONCE


def next_due(
    generation: Generation,
    rules: Rules,
    owner: str,
    moment: Moment,
    *,
    reachable: bool = True,
    repeats_off: bool = False,
    attempting: bool = True,
) -> Due | None:
    """Return the next step for a generation; None if it has ended, is held, or is being sent by this process.

    `owner` is the name of this process. `reachable`: it can be sent with the current credentials and origin.
    `repeats_off`: repeats are off for its account. `attempting`: this process is making the attempt of its marker.
    A poll is always due at once; the follower decides its time.
    """
    if generation.marker is not None and generation.marker.owner == owner:
        # Without an attempt, the commit of the marker was not confirmed, and no POST followed.
        return None if attempting else Due(Step.TAKE_BACK, AT_ONCE)
    if generation.marker is not None:
        return Due(Step.RECOVER, max(generation.send_by or AT_ONCE, rules.recover_from))
    match generation.state:
        case State.PENDING:
            end = wait_ends(generation)
            if reachable and moment.steady < end:
                return Due(Step.SEND, generation.not_before)
            return Due(Step.END_WAIT, end)
        case State.UNCERTAIN if generation.held:
            return None  # until an operator resolves it
        case State.UNCERTAIN:
            end = resolvable_until(generation, rules)
            if reachable and may_repeat(generation, rules, moment, repeats_off=repeats_off):
                return Due(Step.SEND, generation.not_before)
            return Due(Step.GIVE_UP, end)
        case State.QUEUED | State.IN_PROGRESS:
            return Due(Step.POLL, AT_ONCE)
    return None


def may_repeat(generation: Generation, rules: Rules, moment: Moment, *, repeats_off: bool) -> bool:
    """Return whether an UNCERTAIN generation may be sent again under its key, now or at `not_before`.

    The window starts with the first attempt. It counts as closed if the clock went back.
    """
    first = generation.first_sent_at
    return (
        rules.repeats
        and not repeats_off
        and not generation.repeats_over
        and generation.spec.api == "v2"
        and generation.sends <= MAX_REPEATS
        and first is not None
        and first <= moment.steady
        and max(moment.steady, generation.not_before) - first <= rules.window
    )


def pause_before_repeat(sends: int, first_pause: float) -> float:
    """Return the seconds to wait after attempt number `sends` had an unknown outcome."""
    return max(first_pause, LATER_PAUSES.get(sends, 0.0))


def wait_ends(generation: Generation) -> Steady:
    """Return the steady time until which an unsent generation may wait."""
    start_by = generation.spec.start_by
    return Steady(generation.spec.created_at + MAX_WAIT) if start_by is None else start_by


def longest_wait(generation: Generation) -> float:
    """Return the seconds after its creation for which a generation may wait unsent."""
    return wait_ends(generation) - generation.spec.created_at


def resolvable_periods(generation: Generation, rules: Rules) -> list[tuple[Steady, float]]:
    """Return the periods, as (since, seconds), during which an UNCERTAIN generation may still be resolved."""
    sent_at = generation.sent_at or generation.spec.created_at
    periods = [(sent_at, rules.uncertain_timeout)]
    if rules.webhooks_since is not None:
        periods.append((max(sent_at, rules.webhooks_since), WEBHOOKS_RETRIED_FOR))
    return periods


def resolvable_until(generation: Generation, rules: Rules) -> Steady:
    """Return the steady time until which an UNCERTAIN generation may still be resolved."""
    return Steady(max(since + seconds for since, seconds in resolvable_periods(generation, rules)))


def is_unverified(generation: Generation) -> bool:
    """Return whether it may be past QUEUED already: it is known only from a repeat, or from an unusual response."""
    unusual = generation.sends > 1 or generation.upstream_status != "queued"
    return generation.state is State.QUEUED and generation.source is Source.SUBMIT and unusual


def cancels_late_start(generation: Generation) -> bool:
    """Return whether a generation must be canceled in Higgsfield's queue when its start_timeout is over."""
    return generation.state is State.QUEUED and generation.cancelable and generation.spec.start_by is not None


def wants_cancel(generation: Generation) -> bool:
    """Return whether a generation must be canceled in Higgsfield's queue because a caller asked for it."""
    return generation.state is State.QUEUED and generation.cancelable and generation.cancel_requested
