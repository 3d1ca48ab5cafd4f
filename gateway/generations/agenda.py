"""What is to be done next for a generation, and when: derived from what is stored, never stored itself."""

from dataclasses import dataclass
from enum import Enum

from gateway.generations.model import Generation, Moment, State

WAIT_AT_MOST = 86_400.0
"""Seconds that a generation waits unsent where its caller set no start_timeout."""
MOST_REPEATS = 3
PAUSE_AFTER_WHOLE_ERROR = 2.0
"""Seconds before the first repeat after a complete 5xx answer: the work at Higgsfield is over."""
PAUSE_AFTER_SILENCE = 15.0
"""The same after a time-out, a reset, a 504 or half an answer: the work may still be going on there."""
WEBHOOKS_RETRIED = 7_200.0
"""Seconds in which Higgsfield delivers a webhook again (upstream.md 7.1): before that silence tells nothing."""
LATER_PAUSES = {2: 60.0, 3: 300.0}
"""Seconds before the second and the third repeat."""


class Step(Enum):
    """What can be due."""

    SEND = "send"
    TAKE_BACK = "take back"
    RECOVER = "recover"
    POLL = "poll"
    END_WAIT = "end wait"
    END_HOPE = "end hope"


@dataclass(frozen=True, slots=True)
class Due:
    """A step and the steady time before which it must not be taken."""

    step: Step
    at: float


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that the submit path depends on; times in seconds.

    `repeats`: Higgsfield honours idempotency keys on v2, so an ambiguous submission may be repeated under its key.
    `webhooks_since`: since when webhooks can be received without a pause (steady); None where they are off.
    """

    repeats: bool = True
    window: float = 900.0
    uncertain_timeout: float = 10_800.0
    webhooks_since: float | None = None


def next_due(
    generation: Generation,
    rules: Rules,
    owner: str,
    moment: Moment,
    *,
    reachable: bool = True,
    latched_off: bool = False,
    attempting: bool = True,
) -> Due | None:
    """The next step for a generation; None when it has ended, is held, or when this process has its POST on the way.

    `reachable`: it can be sent with the present settings. `latched_off`: repeats are off for its account. `attempting`:
    this process works on the attempt of its marker, if that is its own. A poll is due at once by this: its pace is the
    follower's affair.
    """
    if generation.marker is not None and generation.marker.owner == owner:
        # A mark of ours whose commit was not confirmed, so that no POST followed.
        return None if attempting else Due(Step.TAKE_BACK, 0.0)
    if generation.marker is not None:
        return Due(Step.RECOVER, generation.send_by or 0.0)
    match generation.state:
        case State.PENDING:
            end = wait_ends(generation)
            if reachable and moment.steady < end:
                return Due(Step.SEND, generation.not_before)
            return Due(Step.END_WAIT, end)
        case State.UNCERTAIN if generation.held:
            return None  # what the operator does not move, waits for the operator
        case State.UNCERTAIN:
            end = hope_ends(generation, rules)
            if reachable and may_repeat(generation, rules, moment, latched_off=latched_off):
                return Due(Step.SEND, generation.not_before)
            return Due(Step.END_HOPE, end)
        case State.QUEUED | State.IN_PROGRESS:
            return Due(Step.POLL, 0.0)
    return None


def may_repeat(generation: Generation, rules: Rules, moment: Moment, *, latched_off: bool = False) -> bool:
    """Whether an UNCERTAIN generation may be POSTed again under its key, now or once `not_before` has come.

    The window counts from the first send. A clock that went back proves nothing: then it is closed.
    """
    first = generation.first_sent_at
    return (
        rules.repeats
        and not latched_off
        and not generation.repeats_over
        and generation.spec.api == "v2"
        and generation.sends <= MOST_REPEATS
        and first is not None
        and 0.0 <= max(moment.steady, generation.not_before) - first <= rules.window
        and moment.steady >= first
    )


def pause_before_repeat(sends: int, first_pause: float) -> float:
    """Seconds to leave after the `sends`th attempt turned out ambiguous."""
    return max(first_pause, LATER_PAUSES.get(sends, 0.0))


def wait_ends(generation: Generation) -> float:
    """Until when an unsent generation may wait."""
    start_by = generation.spec.start_by
    return generation.spec.created_at + WAIT_AT_MOST if start_by is None else start_by


def patience(generation: Generation) -> float:
    """For how long it may wait unsent after its creation."""
    return wait_ends(generation) - generation.spec.created_at


def hopes(generation: Generation, rules: Rules) -> list[tuple[float, float]]:
    """Since when and for how many seconds an UNCERTAIN generation may still be resolved; all of them count."""
    sent_at = generation.sent_at or generation.spec.created_at
    hopes = [(sent_at, rules.uncertain_timeout)]
    if rules.webhooks_since is not None:
        hopes.append((max(sent_at, rules.webhooks_since), WEBHOOKS_RETRIED))
    return hopes


def hope_ends(generation: Generation, rules: Rules) -> float:
    """Until when an UNCERTAIN generation may still be resolved."""
    return max(since + seconds for since, seconds in hopes(generation, rules))


def cancels_late_start(generation: Generation) -> bool:
    """Whether it is to be canceled in Higgsfield's queue once its start_timeout is up."""
    return generation.state is State.QUEUED and generation.cancelable and generation.spec.start_by is not None


def wants_cancel(generation: Generation) -> bool:
    """Whether it is to be canceled in Higgsfield's queue because somebody asked."""
    return generation.state is State.QUEUED and generation.cancelable and generation.cancel_requested
