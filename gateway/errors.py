"""The failures of the gateway, independent of any transport.

A `Failure` describes why an RPC is refused, why a generation failed, or why it is delayed. Status codes and error
details are added by the table in `gateway.rpc.errors`.
"""

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import field
from enum import IntEnum
from types import MappingProxyType
from typing import Any, TypeVar

from gateway.frozen import frozen

T = TypeVar("T")


class Reason(IntEnum):
    """Why a call was refused, or why a generation failed or is delayed; the names of `ErrorReason` in error.proto."""

    INVALID_INPUT = 1
    INPUT_REFUSED = 2
    INVALID_CREDENTIALS = 3
    NOT_ALLOWED = 4
    FEATURE_NOT_ENABLED = 5
    NOT_FOUND = 6
    MODEL_UNKNOWN = 7
    MODEL_UNAVAILABLE = 8
    IDEMPOTENCY_KEY_REUSED = 9
    NOT_CANCELABLE = 10
    NOT_DONE = 11
    QUOTA_EXCEEDED = 12
    INSUFFICIENT_CREDITS = 13
    UPSTREAM_SATURATED = 14
    GATEWAY_OVERLOADED = 15
    UPSTREAM_UNAVAILABLE = 16
    GATEWAY_UNAVAILABLE = 17
    UPSTREAM_CREDENTIALS_REFUSED = 18
    INTERNAL = 19
    SUBMISSION_UNRESOLVED = 20
    SESSION_BUSY = 21
    GENERATION_FAILED = 22
    MODERATED = 23
    START_TIMEOUT_EXCEEDED = 24
    BUDGET_EXCEEDED = 25
    PRICE_UNKNOWN = 26


NO_METADATA: Mapping[str, str] = MappingProxyType({})


@frozen
class Violation:
    """One refused field: its path, in the field names of the protos, and the reason."""

    field: str
    description: str


def path_below(path: str, parts: Iterable[str | int]) -> str:
    """Return the path of a field below another one: each part is the name of a field, or the index of an item."""
    return path + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)


@frozen
class Failure:
    """A reason with its details. `message` is for people and contains no secret; `retry_after` is in seconds.

    `response` is the JSON of the response of Higgsfield that is the reason, None if there is none. It may contain data
    of the tenant, so it belongs in no log.
    """

    reason: Reason
    message: str
    violations: tuple[Violation, ...] = ()
    retryable: bool = False
    retry_after: float | None = None
    metadata: Mapping[str, str] = field(default_factory=lambda: NO_METADATA, hash=False)
    response: Any = field(default=None, hash=False, repr=False)


class GatewayError(Exception):
    """Refuses a call with a failure, which is returned to the caller."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def invalid_input(violations: Sequence[Violation]) -> GatewayError:
    """Return INVALID_INPUT for fields that the gateway's validation refused."""
    named = "; ".join(f"{v.field}: {v.description}" for v in violations)
    return GatewayError(Failure(Reason.INVALID_INPUT, named, violations=tuple(violations)))


def raise_if_invalid(violations: Sequence[Violation]) -> None:
    """Raise INVALID_INPUT if fields were refused."""
    if violations:
        raise invalid_input(violations)


def invalid_field(name: str, description: str) -> GatewayError:
    """Return INVALID_INPUT for one field."""
    return invalid_input([Violation(name, description)])


def not_found(message: str, **metadata: str) -> GatewayError:
    """Return NOT_FOUND, for a missing thing and for another tenant's alike: a caller cannot tell which."""
    named = {name: printable(text) for name, text in metadata.items()}
    return GatewayError(Failure(Reason.NOT_FOUND, message, metadata=named))


def generation_not_found(generation_id: str) -> GatewayError:
    return not_found("no such generation", generation_id=generation_id)


def not_cancelable(generation_id: str, state: str, why: str) -> GatewayError:
    """Return NOT_CANCELABLE. `why` is the message."""
    return GatewayError(Failure(Reason.NOT_CANCELABLE, why, metadata={"generation_id": generation_id, "state": state}))


def not_done(generation_id: str, state: str) -> GatewayError:
    """Return NOT_DONE, for a call that needs the generation to have ended."""
    return GatewayError(
        Failure(
            Reason.NOT_DONE,
            f"the generation has not ended: it is {state}",
            metadata={"generation_id": generation_id, "state": state},
        )
    )


def key_reused(generation_id: str, *, deleted: bool) -> GatewayError:
    """Return IDEMPOTENCY_KEY_REUSED: the key belongs to another input, or to a deleted generation."""
    message = (
        "the idempotency_key belongs to a generation that was deleted"
        if deleted
        else "the idempotency_key was used with a different input or outputs_ttl"
    )
    return GatewayError(Failure(Reason.IDEMPOTENCY_KEY_REUSED, message, metadata={"generation_id": generation_id}))


def gateway_unavailable(message: str, *, retry_after: float = 1.0) -> GatewayError:
    """Return GATEWAY_UNAVAILABLE: the gateway cannot serve the call now. The same call can be made again.

    `retry_after` is in seconds.
    """
    return GatewayError(Failure(Reason.GATEWAY_UNAVAILABLE, message, retryable=True, retry_after=retry_after))


def gateway_overloaded(message: str) -> GatewayError:
    """Return GATEWAY_OVERLOADED: too much is in progress, so nothing was done. The same call can be made again."""
    return GatewayError(Failure(Reason.GATEWAY_OVERLOADED, message, retryable=True, retry_after=1.0))


def upstream_unavailable(message: str, *, retry_after: float | None = 5.0, response: Any = None) -> GatewayError:
    """Return UPSTREAM_UNAVAILABLE: Higgsfield sent no usable response. `retry_after` is in seconds.

    `response` is the JSON of the response, if there was one.
    """
    failure = Failure(Reason.UPSTREAM_UNAVAILABLE, message, retryable=True, retry_after=retry_after, response=response)
    return GatewayError(failure)


async def or_unavailable(call: Awaitable[T], *passed: Reason) -> T:
    """Return the result of an upstream call. Its errors become UPSTREAM_UNAVAILABLE, unless their reason is passed."""
    try:
        return await call
    except GatewayError as error:
        if error.failure.reason in {Reason.UPSTREAM_UNAVAILABLE, *passed}:
            raise
        raise upstream_unavailable(error.failure.message, response=error.failure.response) from error


def printable(text: str, limit: int = 500) -> str:
    """Make untrusted text safe to show: replace control characters, and cut it after `limit` characters."""
    cut = text if len(text) <= limit else text[:limit] + "…"
    return cut if cut.isprintable() else "".join(c if c.isprintable() else " " for c in cut)
