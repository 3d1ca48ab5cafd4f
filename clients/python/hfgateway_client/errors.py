"""Every way in which a call, or a generation, can go wrong, as one class each.

Decide by the class or by ``reason``; ``message`` is for people and may change. There is one class for each gRPC code,
and below it one for each reason that the gateway gives; a reason that is newer than this file, and an error that the
transport made itself, get the class of their code.

==================  ====================  ================================================================
code                class                 reasons with a class of their own
==================  ====================  ================================================================
INVALID_ARGUMENT    `InvalidInput`        INVALID_INPUT; INPUT_REFUSED `InputRefused`
UNAUTHENTICATED     `InvalidCredentials`  INVALID_CREDENTIALS
PERMISSION_DENIED   `NotAllowed`          NOT_ALLOWED; FEATURE_NOT_ENABLED `FeatureNotEnabled`
NOT_FOUND           `NotFound`            NOT_FOUND; MODEL_UNKNOWN `ModelUnknown`
FAILED_PRECONDITION `PreconditionFailed`  IDEMPOTENCY_KEY_REUSED `KeyReused`; NOT_CANCELABLE `NotCancelable`;
                                          NOT_DONE `NotDone`; MODEL_UNAVAILABLE `ModelUnavailable`
RESOURCE_EXHAUSTED  `ResourceExhausted`   QUOTA_EXCEEDED `QuotaExceeded`; INSUFFICIENT_CREDITS
                                          `InsufficientCredits`; UPSTREAM_SATURATED `UpstreamSaturated`;
                                          GATEWAY_OVERLOADED `GatewayOverloaded`
UNAVAILABLE         `Unavailable`         UPSTREAM_UNAVAILABLE `UpstreamUnavailable`;
                                          GATEWAY_UNAVAILABLE `GatewayUnavailable`
CANCELLED           `Unavailable`         (the transport's: a gateway that ended had not taken up the call yet)
ABORTED             `Aborted`             SUBMISSION_UNRESOLVED `SubmissionUnresolved`; SESSION_BUSY `SessionBusy`
INTERNAL            `InternalError`       INTERNAL; UPSTREAM_CREDENTIALS_REFUSED `UpstreamCredentialsRefused`
DEADLINE_EXCEEDED   `DeadlineExceeded`    (the transport's: the call ended, the generation goes on)
any other           `GatewayError`
==================  ====================  ================================================================

A generation that ended without output is no failed call. Only ``generate`` makes an error of it: `GenerationFailed`, or
the subclass for its end: `GenerationRefused` (never accepted, nothing charged, the key is free again),
`GenerationModerated`, `GenerationCanceled`, `GenerationLost` (it may have been charged). Its ``code`` is None. In the
same way ``train_character`` makes a `TrainingFailed` of a character whose training has failed.
"""

# ruff: noqa: N818 - they are named for what happened, as the gateway's reasons are

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import grpc

from hfgateway.v1.character_service_pb2 import SoulCharacter
from hfgateway.v1.error_pb2 import Failure, FieldViolation
from hfgateway.v1.generation_pb2 import Generation, GenerationState


class GatewayError(Exception):
    """A call that the gateway, or the way to it, did not carry out; the base of all errors here."""

    def __init__(self, message: str, *, code: grpc.StatusCode | None, reason: str, failure: Failure) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        """The gRPC code; None where no call failed."""
        self.reason = reason
        """The gateway's word for it, such as "QUOTA_EXCEEDED"; "" for an error of the transport."""
        self.failure = failure
        """All that the gateway told, as it told it."""
        self.idempotency_key = ""
        """The key of a call that failed and has one: repeat with it, and nothing is done twice. Else ""."""

    @property
    def field_violations(self) -> Sequence[FieldViolation]:
        """The fields that were refused."""
        return self.failure.field_violations

    @property
    def retryable(self) -> bool:
        """Whether the same input may succeed later."""
        return self.failure.retryable or isinstance(self, Unavailable)

    @property
    def retry_delay(self) -> float | None:
        """Seconds to wait before that, where they are known."""
        if not self.failure.HasField("retry_delay"):
            return None
        return self.failure.retry_delay.ToMicroseconds() / 1e6

    @property
    def metadata(self) -> Mapping[str, str]:
        """The variable parts of the message, such as "generation_id" and "limit"."""
        return self.failure.metadata

    def __str__(self) -> str:
        label = self.reason or (self.code.name if self.code else type(self).__name__)
        told = self.message  # where only one field is wrong, the message says it all
        news = [violation for violation in self.field_violations if violation.description not in told]
        fields = "; ".join(f"{violation.field}: {violation.description}" for violation in news)
        return f"{label}: {self.message}" + (f" ({fields})" if fields else "")


@contextmanager
def keeping_key(idempotency_key: str) -> Iterator[None]:
    """Errors raised inside hold the key: who makes the same call again with it does nothing twice."""
    try:
        yield
    except GatewayError as error:
        error.idempotency_key = idempotency_key
        raise


class InvalidInput(GatewayError):
    """The gateway's own check refused the request; ``field_violations`` names the fields."""


class InputRefused(InvalidInput):
    """Higgsfield's check refused the input."""


class InvalidCredentials(GatewayError):
    """No API key, or one that is wrong, expired or revoked."""


class NotAllowed(GatewayError):
    """The API key may not do this."""


class FeatureNotEnabled(NotAllowed):
    """The Higgsfield account does not have this feature."""


class NotFound(GatewayError):
    """It does not exist, or belongs to another tenant."""


class ModelUnknown(NotFound):
    """Higgsfield does not know the model."""


class PreconditionFailed(GatewayError):
    """Not in the state that it is in."""


class KeyReused(PreconditionFailed):
    """The idempotency key stands for a different input, or for a deleted generation."""


class NotCancelable(PreconditionFailed):
    """Too late to cancel, or Higgsfield cannot; ``metadata["state"]`` names the state."""


class NotDone(PreconditionFailed):
    """It has not ended yet."""


class ModelUnavailable(PreconditionFailed):
    """The model is disabled or blocked at Higgsfield."""


class ResourceExhausted(GatewayError):
    """A limit was reached."""


class QuotaExceeded(ResourceExhausted):
    """The tenant's own limit; ``retry_delay`` is set where time helps."""


class InsufficientCredits(ResourceExhausted):
    """The Higgsfield account has no credits left."""


class UpstreamSaturated(ResourceExhausted):
    """Higgsfield is full, and the caller asked not to queue."""


class GatewayOverloaded(ResourceExhausted):
    """The gateway sheds load, or its queue is full; nothing was done."""


class Unavailable(GatewayError):
    """Not reachable, or not now. The same call may be repeated as it is."""


class UpstreamUnavailable(Unavailable):
    """Higgsfield does not answer, or not sensibly."""


class GatewayUnavailable(Unavailable):
    """The gateway is draining, or its store is away."""


class Aborted(GatewayError):
    """Given up half way; see the subclasses."""


class SubmissionUnresolved(Aborted):
    """Sent, and no answer came: the same submit with the same key finds out, and never does it twice."""


class SessionBusy(Aborted):
    """An agent's session is busy with another turn."""


class InternalError(GatewayError):
    """A defect of the gateway; the message names the incident."""


class UpstreamCredentialsRefused(InternalError):
    """Higgsfield refuses the gateway's credentials: its operator must act."""


class DeadlineExceeded(GatewayError):
    """The call's own time ran out. What it was about goes on."""


class GenerationFailed(GatewayError):
    """The generation ended without output; ``generation`` holds all about it, ``reason`` says why."""

    def __init__(self, generation: Generation, message: str, *, reason: str) -> None:
        super().__init__(message, code=None, reason=reason, failure=generation.failure)
        self.generation = generation
        self.idempotency_key = generation.idempotency_key


class GenerationRefused(GenerationFailed):
    """Higgsfield never accepted it: nothing was charged, and its key may be used again."""


class GenerationModerated(GenerationFailed):
    """Refused by Higgsfield's moderation; not charged."""


class GenerationCanceled(GenerationFailed):
    """Canceled, by a caller or (see ``reason``) by the gateway; not charged."""


class GenerationLost(GenerationFailed):
    """It cannot be told what became of it. It may have been charged."""


class TrainingFailed(GatewayError):
    """The training of a character has failed, which is not charged; ``character`` holds all about it."""

    def __init__(self, character: SoulCharacter, idempotency_key: str) -> None:
        super().__init__(
            character.failure.message or "training has failed",
            code=None,
            reason="GENERATION_FAILED",
            failure=character.failure,
        )
        self.character = character
        self.idempotency_key = idempotency_key


BY_CODE: Mapping[grpc.StatusCode, type[GatewayError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidInput,
    grpc.StatusCode.UNAUTHENTICATED: InvalidCredentials,
    grpc.StatusCode.PERMISSION_DENIED: NotAllowed,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.FAILED_PRECONDITION: PreconditionFailed,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.CANCELLED: Unavailable,
    grpc.StatusCode.ABORTED: Aborted,
    grpc.StatusCode.INTERNAL: InternalError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
}

BY_REASON: Mapping[str, type[GatewayError]] = {
    "INVALID_INPUT": InvalidInput,
    "INPUT_REFUSED": InputRefused,
    "INVALID_CREDENTIALS": InvalidCredentials,
    "NOT_ALLOWED": NotAllowed,
    "FEATURE_NOT_ENABLED": FeatureNotEnabled,
    "NOT_FOUND": NotFound,
    "MODEL_UNKNOWN": ModelUnknown,
    "MODEL_UNAVAILABLE": ModelUnavailable,
    "IDEMPOTENCY_KEY_REUSED": KeyReused,
    "NOT_CANCELABLE": NotCancelable,
    "NOT_DONE": NotDone,
    "QUOTA_EXCEEDED": QuotaExceeded,
    "INSUFFICIENT_CREDITS": InsufficientCredits,
    "UPSTREAM_SATURATED": UpstreamSaturated,
    "GATEWAY_OVERLOADED": GatewayOverloaded,
    "UPSTREAM_UNAVAILABLE": UpstreamUnavailable,
    "GATEWAY_UNAVAILABLE": GatewayUnavailable,
    "UPSTREAM_CREDENTIALS_REFUSED": UpstreamCredentialsRefused,
    "INTERNAL": InternalError,
    "SUBMISSION_UNRESOLVED": SubmissionUnresolved,
    "SESSION_BUSY": SessionBusy,
}

BY_END: Mapping[int, type[GenerationFailed]] = {
    GenerationState.GENERATION_STATE_NSFW: GenerationModerated,
    GenerationState.GENERATION_STATE_CANCELED: GenerationCanceled,
    GenerationState.GENERATION_STATE_LOST: GenerationLost,
}
