# Generated from protos/hfgateway/v1/error.proto by tools/error_tables. DO NOT EDIT!
"""The errors of failed calls: one class for each gRPC code, and subclasses for the reasons of the gateway."""

# ruff: noqa: N818 - named after the gateway's reasons, without the suffix Error

from __future__ import annotations

from collections.abc import Mapping

import grpc

from hfgateway_client.gateway_error import GatewayError

__all__ = [
    "Aborted",
    "BudgetExceeded",
    "DeadlineExceeded",
    "FeatureNotEnabled",
    "GatewayOverloaded",
    "GatewayUnavailable",
    "InputRefused",
    "InsufficientCredits",
    "InternalError",
    "InvalidCredentials",
    "InvalidInput",
    "KeyReused",
    "ModelUnavailable",
    "ModelUnknown",
    "NotAllowed",
    "NotCancelable",
    "NotDone",
    "NotFound",
    "PreconditionFailed",
    "PriceUnknown",
    "QuotaExceeded",
    "ResourceExhausted",
    "SessionBusy",
    "SubmissionUnresolved",
    "Unavailable",
    "UpstreamCredentialsRefused",
    "UpstreamSaturated",
    "UpstreamUnavailable",
]


class InvalidInput(GatewayError):
    """INVALID_ARGUMENT. The gateway's validation refused the request. ``field_violations`` names the fields."""


class InputRefused(InvalidInput):
    """Higgsfield refused the input. ``field_violations`` names the fields if Higgsfield did."""


class InvalidCredentials(GatewayError):
    """UNAUTHENTICATED. The API key or watch token is missing, wrong, expired or revoked."""


class NotAllowed(GatewayError):
    """PERMISSION_DENIED. The API key or watch token may not make this call, or a limit does not allow the model."""


class FeatureNotEnabled(NotAllowed):
    """The Higgsfield account does not have this feature."""


class NotFound(GatewayError):
    """NOT_FOUND. The resource does not exist, or belongs to another tenant."""


class ModelUnknown(NotFound):
    """Higgsfield does not know the model."""


class PreconditionFailed(GatewayError):
    """FAILED_PRECONDITION. The state of the resource does not allow the call."""


class ModelUnavailable(PreconditionFailed):
    """Higgsfield has disabled or blocked the model."""


class KeyReused(PreconditionFailed):
    """The idempotency key was used with a different input, or its resource was deleted."""


class NotCancelable(PreconditionFailed):
    """It is too late to cancel, or Higgsfield cannot. ``metadata["state"]`` names the state."""


class NotDone(PreconditionFailed):
    """The resource has not reached its final state. ``metadata["state"]`` names the state."""


class PriceUnknown(PreconditionFailed):
    """A budget applies, and the price of the submission is not known.

    Nothing was submitted. Either Higgsfield and the gateway's settings have no price for the model, which the operator
    of the gateway can set, or the input does not say how many outputs it makes. The message says which.
    """


class ResourceExhausted(GatewayError):
    """RESOURCE_EXHAUSTED. A limit was reached, or something is overloaded."""


class QuotaExceeded(ResourceExhausted):
    """A limit of the tenant, the API key, a label or a callback is reached.

    The call had no effect. ``metadata["limit"]`` names it. The metadata of a submission has the "limit"
    ("submissions_per_minute", "in_flight"), its "subject" ("tenant", "key:ID", "label:NAME=VALUE"), what is "allowed",
    "used" and "left", and when it "resets_at". ``retry_delay`` is set if waiting helps.
    """


class InsufficientCredits(ResourceExhausted):
    """The Higgsfield account does not have enough credits."""


class UpstreamSaturated(ResourceExhausted):
    """Higgsfield, or the part of it that the tenant may use, is full, and the call does not queue.

    The message says which. ``retry_delay`` has the delay. As the delay of a generation: it waits for its turn.
    """


class GatewayOverloaded(ResourceExhausted):
    """The gateway is overloaded, or its queue is full. The call had no effect. ``retry_delay`` has the delay."""


class BudgetExceeded(ResourceExhausted):
    """A budget of the tenant, the API key or a label does not have enough credits left, and nothing was submitted.

    ``metadata["limit"]`` names it. The metadata is that of QUOTA_EXCEEDED, in credits, with the limit "credits_per_day"
    or "credits_per_month" and what is "needed". A retry makes sense only after "resets_at", or once generations have
    failed.
    """


class Unavailable(GatewayError):
    """UNAVAILABLE. The gateway or Higgsfield is not available, or a response was lost. The client retries the call."""


class UpstreamUnavailable(Unavailable):
    """Higgsfield sent no usable response. ``retry_delay`` has the delay."""


class GatewayUnavailable(Unavailable):
    """The gateway is shutting down, its store is not available, or none of its replicas leads at the moment.

    Or the API key, or the token of the issuer, has expired during the call. ``retry_delay`` has the delay.
    """


class Aborted(GatewayError):
    """ABORTED. The call was aborted."""


class SubmissionUnresolved(Aborted):
    """The request was sent to Higgsfield without a usable response, so it may have been executed and charged.

    The same call with the same idempotency key looks again, and never sends it twice. As the failure of a generation:
    its outcome could not be found in time.
    """


class SessionBusy(Aborted):
    """The session of the agent is busy with another turn. The message was not sent."""


class InternalError(GatewayError):
    """INTERNAL. A defect of the gateway. The "incident" in the metadata is its number in the gateway's log."""


class UpstreamCredentialsRefused(InternalError):
    """Higgsfield refuses the gateway's credentials. The operator of the gateway must correct them."""


class DeadlineExceeded(GatewayError):
    """DEADLINE_EXCEEDED. The call timed out. A submitted generation continues."""


BY_CODE: Mapping[grpc.StatusCode, type[GatewayError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidInput,
    grpc.StatusCode.UNAUTHENTICATED: InvalidCredentials,
    grpc.StatusCode.PERMISSION_DENIED: NotAllowed,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.FAILED_PRECONDITION: PreconditionFailed,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.ABORTED: Aborted,
    grpc.StatusCode.INTERNAL: InternalError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: Unavailable,
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
    "PRICE_UNKNOWN": PriceUnknown,
    "QUOTA_EXCEEDED": QuotaExceeded,
    "INSUFFICIENT_CREDITS": InsufficientCredits,
    "UPSTREAM_SATURATED": UpstreamSaturated,
    "GATEWAY_OVERLOADED": GatewayOverloaded,
    "BUDGET_EXCEEDED": BudgetExceeded,
    "UPSTREAM_UNAVAILABLE": UpstreamUnavailable,
    "GATEWAY_UNAVAILABLE": GatewayUnavailable,
    "SUBMISSION_UNRESOLVED": SubmissionUnresolved,
    "SESSION_BUSY": SessionBusy,
    "INTERNAL": InternalError,
    "UPSTREAM_CREDENTIALS_REFUSED": UpstreamCredentialsRefused,
}
