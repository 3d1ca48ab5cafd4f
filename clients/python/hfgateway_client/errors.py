"""The errors of the client: one class for each gRPC code, and subclasses for the reasons of the gateway.

Handle an error by its class or its ``reason``. The ``message`` is for people and may change. An error of the transport
has no reason, and a reason may be newer than this version of the client. In both cases the class is that of the gRPC
code.

==================  ====================  ================================================================
code                class                 reasons, and their subclasses
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
CANCELLED           `Unavailable`         (transport: a stopping server had not started the call)
ABORTED             `Aborted`             SUBMISSION_UNRESOLVED `SubmissionUnresolved`; SESSION_BUSY `SessionBusy`
INTERNAL            `InternalError`       INTERNAL; UPSTREAM_CREDENTIALS_REFUSED `UpstreamCredentialsRefused`
DEADLINE_EXCEEDED   `DeadlineExceeded`    (transport: the call timed out; the generation continues)
any other           `GatewayError`
(none)              `ClientClosed`        (the client was closed before or during the call)
==================  ====================  ================================================================

A generation that ends without output is not a failed call, so only ``generate`` raises an error for it:

- `GenerationRefused`: Higgsfield never accepted it. It was not charged, and its idempotency key can be used again.
- `GenerationModerated`: Higgsfield's moderation refused it.
- `GenerationCanceled`: it was canceled.
- `GenerationLost`: its outcome is unknown. It may have been charged.
- `GenerationFailed`: it failed for another reason. This is also the base class of the others.

In the same way, ``train_character`` raises `TrainingFailed` if training fails. The ``code`` of these errors is None.
"""

# ruff: noqa: N818 - named after the gateway's reasons, without the suffix Error

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import grpc

from hfgateway.v1.character_service_pb2 import SoulCharacter
from hfgateway.v1.error_pb2 import Failure, FieldViolation
from hfgateway.v1.generation_pb2 import Generation, GenerationState


class GatewayError(Exception):
    """A call failed. The base class of all errors of the client."""

    def __init__(self, message: str, *, code: grpc.StatusCode | None, reason: str, failure: Failure) -> None:
        super().__init__(message)
        self.message = message
        """A text for people, which may change between versions."""
        self.code = code
        """The gRPC code, or None if no call failed."""
        self.reason = reason
        """The gateway's reason, such as "QUOTA_EXCEEDED". "" for an error of the transport."""
        self.failure = failure
        """The error as the gateway sent it. Empty for an error of the transport."""
        self.idempotency_key = ""
        """The idempotency key of the call, or "" if the call has none. Retry with it to avoid a second effect."""
        self.permanent = False
        """Whether the client cannot connect for a reason that a retry does not change: an unknown name, an untrusted
        certificate, or a gateway without TLS. Only before the client has reached its gateway."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception would call the class with the message alone. The cause, which may not be picklable, is left out.
        return _restore, (type(self), self.args, self.__dict__)

    @property
    def field_violations(self) -> Sequence[FieldViolation]:
        """The fields that were refused, each with its path and a description. Empty if the error names none."""
        return self.failure.field_violations

    @property
    def retryable(self) -> bool:
        """Whether the same input may succeed later."""
        return self.failure.retryable or (isinstance(self, Unavailable) and not self.permanent)

    @property
    def retry_delay(self) -> float | None:
        """How long to wait before a retry, in seconds, or None if the gateway does not know."""
        if not self.failure.HasField("retry_delay"):
            return None
        return self.failure.retry_delay.ToMicroseconds() / 1e6

    @property
    def metadata(self) -> Mapping[str, str]:
        """The variable parts of the message by name, such as "generation_id", "limit" or "state"."""
        return self.failure.metadata

    def __str__(self) -> str:
        label = self.reason or (self.code.name if self.code else type(self).__name__)
        # If only one field is wrong, the message already contains its description.
        violations = [violation for violation in self.field_violations if violation.description not in self.message]
        fields = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
        return f"{label}: {self.message}" + (f" ({fields})" if fields else "")


def _restore(kind: type[GatewayError], args: tuple[Any, ...], attributes: dict[str, Any]) -> GatewayError:
    """Rebuild an error of another process."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(attributes)
    return error


@contextmanager
def attach_key(idempotency_key: str) -> Iterator[None]:
    """Add the key to errors raised in the block, so that the caller can retry with it."""
    try:
        yield
    except GatewayError as error:
        error.idempotency_key = idempotency_key
        raise


class InvalidInput(GatewayError):
    """The gateway's validation refused the request. ``field_violations`` names the fields."""


class InputRefused(InvalidInput):
    """Higgsfield refused the input. ``field_violations`` names the fields if Higgsfield did."""


class InvalidCredentials(GatewayError):
    """The API key or watch token is missing, wrong, expired or revoked."""


class NotAllowed(GatewayError):
    """The API key or watch token may not make this call."""


class FeatureNotEnabled(NotAllowed):
    """The Higgsfield account does not have this feature, such as agents."""


class NotFound(GatewayError):
    """The resource does not exist, or belongs to another tenant."""


class ModelUnknown(NotFound):
    """Higgsfield does not know the model."""


class PreconditionFailed(GatewayError):
    """The state of a resource does not allow the call."""


class KeyReused(PreconditionFailed):
    """The idempotency key was used with a different input, or its resource was deleted."""


class NotCancelable(PreconditionFailed):
    """It is too late to cancel the generation, or Higgsfield cannot. ``metadata["state"]`` names its state."""


class NotDone(PreconditionFailed):
    """The resource has not reached its final state."""


class ModelUnavailable(PreconditionFailed):
    """Higgsfield has disabled or blocked the model."""


class ResourceExhausted(GatewayError):
    """A limit was reached, or something is overloaded. See the subclasses."""


class QuotaExceeded(ResourceExhausted):
    """The tenant has reached a limit. ``retry_delay`` is set if waiting helps."""


class InsufficientCredits(ResourceExhausted):
    """The Higgsfield account has not enough credits."""


class UpstreamSaturated(ResourceExhausted):
    """Higgsfield is saturated, and the call does not queue: see ``fail_when_saturated``."""


class GatewayOverloaded(ResourceExhausted):
    """The gateway is overloaded, or its queue is full. The call had no effect, and the client retries it."""


class Unavailable(GatewayError):
    """The gateway or Higgsfield is not available, or a response was lost. The same call can be repeated.

    The client retries this error; see `RetryPolicy`.
    """


class UpstreamUnavailable(Unavailable):
    """Higgsfield sent no usable response."""


class GatewayUnavailable(Unavailable):
    """The gateway is shutting down, or its store is not available."""


class Aborted(GatewayError):
    """The call was aborted. See the subclasses."""


class SubmissionUnresolved(Aborted):
    """The request was sent to Higgsfield, but the outcome is unknown, so it may have been executed and charged.

    The same call with the same idempotency key looks for the outcome again, and never sends the request twice. The
    client retries this error; see `RetryPolicy`.
    """


class SessionBusy(Aborted):
    """Another turn is running in the agent's session. The message was not sent."""


class InternalError(GatewayError):
    """A defect of the gateway. ``metadata["incident"]`` is its number in the gateway's log."""


class UpstreamCredentialsRefused(InternalError):
    """Higgsfield refuses the gateway's credentials. The operator of the gateway must correct them."""


class DeadlineExceeded(GatewayError):
    """The timeout of the call has passed. The generation, training or turn continues."""


class ClientClosed(GatewayError):
    """The client was closed before or during the call. A submitted generation continues."""

    def __init__(self) -> None:
        super().__init__("the client is closed", code=grpc.StatusCode.CANCELLED, reason="", failure=Failure())


class GenerationFailed(GatewayError):
    """The generation ended without output. ``reason`` says why."""

    def __init__(self, generation: Generation, message: str, *, reason: str) -> None:
        super().__init__(message, code=None, reason=reason, failure=generation.failure)
        self.generation = generation
        """The generation in its final state."""
        self.idempotency_key = generation.idempotency_key


class GenerationRefused(GenerationFailed):
    """Higgsfield never accepted the generation. It was not charged, and its idempotency key can be used again."""


class GenerationModerated(GenerationFailed):
    """Higgsfield's moderation refused the generation. It was not charged."""


class GenerationCanceled(GenerationFailed):
    """The generation was canceled, by a client or by the gateway (see ``reason``). It was not charged."""


class GenerationLost(GenerationFailed):
    """The outcome of the generation is unknown. It may have been charged."""


class TrainingFailed(GatewayError):
    """The training of a character failed. It was not charged."""

    def __init__(self, character: SoulCharacter, idempotency_key: str) -> None:
        super().__init__(
            character.failure.message or "training failed",
            code=None,
            reason="GENERATION_FAILED",
            failure=character.failure,
        )
        self.character = character
        """The character in its final state."""
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
