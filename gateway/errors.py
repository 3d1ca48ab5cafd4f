"""What can go wrong, as facts: one value that serves as an RPC's error, a generation's failure and its delay.

Codes and wire details are not known here; `gateway.rpc.errors` holds the one table that adds them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType


class Reason(IntEnum):
    """Why something was refused, failed or is held up; the names of `ErrorReason` in error.proto."""

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


NO_METADATA: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Violation:
    """One field that was refused: its path in the names of the protos, and why."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong; `message` is for people and holds no secret, `retry_after` is in seconds."""

    reason: Reason
    message: str
    violations: tuple[Violation, ...] = ()
    retryable: bool = False
    retry_after: float | None = None
    metadata: Mapping[str, str] = field(default_factory=lambda: NO_METADATA, hash=False)


class GatewayError(Exception):
    """A call that is refused: carries the failure that its caller is told."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def invalid_input(violations: Sequence[Violation]) -> GatewayError:
    """The gateway's own check refused these fields."""
    named = "; ".join(f"{v.field}: {v.description}" for v in violations)
    return GatewayError(Failure(Reason.INVALID_INPUT, named, violations=tuple(violations)))


def invalid_field(name: str, description: str) -> GatewayError:
    """The gateway's own check refused this one field."""
    return invalid_input([Violation(name, description)])


def generation_not_found(generation_id: str) -> GatewayError:
    """No such generation, or another tenant's: the two cannot be told apart."""
    return GatewayError(
        Failure(Reason.NOT_FOUND, "no such generation", metadata={"generation_id": printable(generation_id)})
    )


def not_cancelable(generation_id: str, state: str, why: str) -> GatewayError:
    """Too late to cancel, or impossible."""
    return GatewayError(Failure(Reason.NOT_CANCELABLE, why, metadata={"generation_id": generation_id, "state": state}))


def not_done(generation_id: str, state: str) -> GatewayError:
    """It has to end before this can be done."""
    return GatewayError(
        Failure(
            Reason.NOT_DONE,
            f"the generation has not ended: it is {state}",
            metadata={"generation_id": generation_id, "state": state},
        )
    )


def key_reused(generation_id: str, *, deleted: bool) -> GatewayError:
    """The idempotency key stands for something else."""
    message = (
        "the idempotency_key belongs to a generation that was deleted"
        if deleted
        else "the idempotency_key was used with a different input or outputs_ttl"
    )
    return GatewayError(Failure(Reason.IDEMPOTENCY_KEY_REUSED, message, metadata={"generation_id": generation_id}))


def gateway_unavailable(message: str, *, retry_after: float = 1.0) -> GatewayError:
    """The gateway drains or its store is away; nothing was done."""
    return GatewayError(Failure(Reason.GATEWAY_UNAVAILABLE, message, retryable=True, retry_after=retry_after))


def upstream_unavailable(message: str, *, retry_after: float | None = 5.0) -> GatewayError:
    """Higgsfield does not answer, or not sensibly."""
    return GatewayError(Failure(Reason.UPSTREAM_UNAVAILABLE, message, retryable=True, retry_after=retry_after))


def printable(text: str, limit: int = 500) -> str:
    """Text from outside, made safe to show: no control characters, bounded."""
    cut = text if len(text) <= limit else text[:limit] + "…"
    return "".join(c if c.isprintable() else " " for c in cut)
