"""What callers are told where something about a character cannot be done."""

from collections.abc import Awaitable
from typing import TypeVar

from gateway.errors import Failure, GatewayError, Reason, printable, upstream_unavailable

T = TypeVar("T")

CALLERS = frozenset({Reason.INPUT_REFUSED, Reason.INSUFFICIENT_CREDITS, Reason.UPSTREAM_CREDENTIALS_REFUSED})
"""Why Higgsfield may refuse to train, as CreateCharacter's comment has it; all else is its unavailability."""
LOOK_AGAIN = 5.0
"""Seconds after which it is worth while to have an open creation looked up again."""
NAME_FREE = 30.0


def character_not_found(character_id: str) -> GatewayError:
    """No such character, or another tenant's: the two cannot be told apart."""
    named = {"character_id": printable(character_id)}
    return GatewayError(Failure(Reason.NOT_FOUND, "no such character", metadata=named))


def key_reused(*, deleted: str = "") -> GatewayError:
    """The key stands for another order, or for the character `deleted`."""
    if deleted:
        message, named = "the idempotency_key belongs to a character that was deleted", {"character_id": deleted}
    else:
        message, named = "the idempotency_key was used with another name, other images or another version", {}
    return GatewayError(Failure(Reason.IDEMPOTENCY_KEY_REUSED, message, metadata=named))


def unresolved() -> GatewayError:
    """It was sent, and cannot be told apart in Higgsfield's list, or is not there (yet)."""
    message = (
        "sent to Higgsfield without an answer, and not found in its list for certain: it may be in training. The same "
        "call with the same idempotency_key looks again, and never sends it again"
    )
    return GatewayError(Failure(Reason.SUBMISSION_UNRESOLVED, message, retryable=True, retry_after=LOOK_AGAIN))


def name_not_free() -> GatewayError:
    """Another creation under this name is open: a second one could not be told from it. Says nothing of whose it is."""
    return upstream_unavailable(
        "the outcome of an earlier creation under this name is not known yet: nothing was sent, try again later",
        retry_after=NAME_FREE,
    )


def not_trained(failure: Failure) -> GatewayError:
    """Higgsfield has certainly not begun to train."""
    if failure.reason in CALLERS:
        return GatewayError(failure)
    return upstream_unavailable("Higgsfield takes no training now: nothing was sent", retry_after=failure.retry_after)


def not_shown_yet() -> GatewayError:
    """It was trained moments ago, and Higgsfield does not know it yet."""
    return upstream_unavailable("Higgsfield does not show the character yet: ask again", retry_after=1.0)


async def asked(call: Awaitable[T], *callers: Reason) -> T:
    """What Higgsfield answers; of its refusals only those are the caller's affair, others its unavailability."""
    try:
        return await call
    except GatewayError as error:
        if error.failure.reason in {Reason.UPSTREAM_UNAVAILABLE, *callers}:
            raise
        raise upstream_unavailable(error.failure.message) from error
