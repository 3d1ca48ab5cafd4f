"""The errors of calls for characters."""

from typing import Any

from gateway.errors import Failure, GatewayError, Reason, not_found, upstream_unavailable

PASSED_ON = frozenset({Reason.INPUT_REFUSED, Reason.INSUFFICIENT_CREDITS, Reason.UPSTREAM_CREDENTIALS_REFUSED})
"""The refusals of training that callers get unchanged (see CreateCharacter); others become UPSTREAM_UNAVAILABLE."""
RETRY_LOOKUP_DELAY = 5.0
"""Seconds after which a caller should look up an open creation again."""
RETRY_NAME_DELAY = 30.0
"""Seconds after which a caller should try again to use a name."""


def character_not_found(character_id: str) -> GatewayError:
    return not_found("no such character", character_id=character_id)


def key_reused(*, deleted: str = "") -> GatewayError:
    """Return IDEMPOTENCY_KEY_REUSED: the key belongs to another order, or to the character with the id `deleted`."""
    if deleted:
        message, metadata = "the idempotency_key belongs to a character that was deleted", {"character_id": deleted}
    else:
        message, metadata = "the idempotency_key was used with another name, other images or another version", {}
    return GatewayError(Failure(Reason.IDEMPOTENCY_KEY_REUSED, message, metadata=metadata))


def unresolved(response: Any = None) -> GatewayError:
    """Return SUBMISSION_UNRESOLVED: the order was sent, but its character is not in the list, or ambiguous.

    `response` is the JSON of Higgsfield's response to the order, if there was one.
    """
    message = (
        "Higgsfield did not answer, and its list does not show for certain whether the character is in training. "
        "Repeat the call with the same idempotency_key to look it up again; it is never sent again"
    )
    return GatewayError(
        Failure(
            Reason.SUBMISSION_UNRESOLVED, message, retryable=True, retry_after=RETRY_LOOKUP_DELAY, response=response
        )
    )


def name_not_free() -> GatewayError:
    """Return UPSTREAM_UNAVAILABLE: another creation with this name is open, and the two could be confused.

    The error does not reveal whether that creation belongs to another tenant.
    """
    return upstream_unavailable(
        "nothing was sent, because the outcome of an earlier creation with this name is still unknown; try again later",
        retry_after=RETRY_NAME_DELAY,
    )


def not_trained(failure: Failure) -> GatewayError:
    """Return the error for an order that Higgsfield certainly did not accept."""
    if failure.reason in PASSED_ON:
        return GatewayError(failure)
    return upstream_unavailable(
        "Higgsfield accepts no training now; nothing was sent",
        retry_after=failure.retry_after,
        response=failure.response,
    )


def not_shown_yet() -> GatewayError:
    """Return UPSTREAM_UNAVAILABLE: the character was created moments ago, and Higgsfield does not show it yet."""
    return upstream_unavailable("Higgsfield does not show the character yet; try again", retry_after=1.0)
