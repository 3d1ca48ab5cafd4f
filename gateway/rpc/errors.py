"""Converts failures to errors of RPCs: code, reason and details, the same for every transport."""

import functools
import itertools
from bisect import bisect_right
from dataclasses import replace
from enum import Enum

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import (
    BadRequest,
    ErrorInfo,
    PreconditionFailure,
    QuotaFailure,
    ResourceInfo,
    RetryInfo,
)
from google.rpc.status_pb2 import Status

from gateway.bounded_json import bounded_value
from gateway.errors import Failure, Reason
from gateway.rpc.messages.structs import value
from hfgateway.v1 import error_pb2

DOMAIN = "hfgateway"


class Code(Enum):
    """The status codes of gRPC. Connect's names are derived from them."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


CODES: dict[str, Code] = {
    "INVALID_INPUT": Code.INVALID_ARGUMENT,
    "INPUT_REFUSED": Code.INVALID_ARGUMENT,
    "INVALID_CREDENTIALS": Code.UNAUTHENTICATED,
    "NOT_ALLOWED": Code.PERMISSION_DENIED,
    "FEATURE_NOT_ENABLED": Code.PERMISSION_DENIED,
    "NOT_FOUND": Code.NOT_FOUND,
    "MODEL_UNKNOWN": Code.NOT_FOUND,
    "MODEL_UNAVAILABLE": Code.FAILED_PRECONDITION,
    "IDEMPOTENCY_KEY_REUSED": Code.FAILED_PRECONDITION,
    "NOT_CANCELABLE": Code.FAILED_PRECONDITION,
    "NOT_DONE": Code.FAILED_PRECONDITION,
    "QUOTA_EXCEEDED": Code.RESOURCE_EXHAUSTED,
    "BUDGET_EXCEEDED": Code.RESOURCE_EXHAUSTED,
    "PRICE_UNKNOWN": Code.FAILED_PRECONDITION,
    "INSUFFICIENT_CREDITS": Code.RESOURCE_EXHAUSTED,
    "UPSTREAM_SATURATED": Code.RESOURCE_EXHAUSTED,
    "GATEWAY_OVERLOADED": Code.RESOURCE_EXHAUSTED,
    "UPSTREAM_UNAVAILABLE": Code.UNAVAILABLE,
    "GATEWAY_UNAVAILABLE": Code.UNAVAILABLE,
    "UPSTREAM_CREDENTIALS_REFUSED": Code.INTERNAL,
    "INTERNAL": Code.INTERNAL,
    "SUBMISSION_UNRESOLVED": Code.ABORTED,
    "SESSION_BUSY": Code.ABORTED,
}
"""The code for each reason with which an RPC can fail. A test compares it with error.proto."""

_DELAYED_REASONS = frozenset(
    {Reason.UPSTREAM_SATURATED, Reason.GATEWAY_OVERLOADED, Reason.UPSTREAM_UNAVAILABLE, Reason.GATEWAY_UNAVAILABLE}
)
DEFAULT_RETRY_DELAY = 1.0
"""The default retry delay in seconds for the reasons above."""
MAX_RESPONSE_BYTES = 2 * 1024
"""The most bytes of JSON of Higgsfield's response in the details of an error."""
MAX_MESSAGE_LENGTH = 500
"""The most characters of a message. Trailers contain it up to four times."""
MAX_MESSAGE_BYTES = 1_000
"""The most bytes of a message in the header `grpc-message`, which has up to 12 bytes for a character."""
MAX_TRAILERS_BYTES = 7_500
"""The most bytes of an error in trailers: the message, and the Status with all details in base64. With the other
trailers they stay below the 8 KiB to which clients limit them."""
_UNESCAPED = bytes(range(ord(" "), ord("~") + 1)).replace(b"%", b"")
"""The bytes that `grpc-message` contains as they are. Each other byte takes three."""
_RESOURCES = {
    "generation_id": "hfgateway.v1.Generation",
    "character_id": "hfgateway.v1.SoulCharacter",
    "callback_id": "hfgateway.v1.Callback",
    "delivery_id": "hfgateway.v1.Delivery",
    "session_id": "hfgateway.agents.v1alpha1.Session",
    "media_id": "hfgateway.agents.v1alpha1.CreateMediaResponse",
    "upstream_request_id": "request",
    "model_id": "model",
}
"""The resource types of the metadata keys that a NOT_FOUND can have."""
_MISSING = {Reason.NOT_FOUND: "generation_id", Reason.MODEL_UNKNOWN: "model_id"}
"""The key whose resource type is used if the metadata names no resource."""


class RpcError(Exception):
    """The error of a call as transports send it: code, message and details.

    A detail is a message, or an Any that has one, as another replica has sent it.
    """

    def __init__(self, code: Code, message: str, details: tuple[Message, ...]) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details

    @functools.cached_property
    def status(self) -> Status:
        """The error as a Status, which trailers contain in base64."""
        return Status(code=self.code.value, message=self.message, details=map(_pack, self.details))


def rpc_error(failure: Failure) -> RpcError:
    """Return the error for a failure, with less of it if its trailers would be too large."""
    if (message := _shorten(failure.message)) != failure.message:
        failure = replace(failure, message=message)
    while (size := _size(error := _build_error(failure))) > MAX_TRAILERS_BYTES:
        smaller = _shrink(failure, size)
        if smaller == failure:
            break
        failure = smaller
    return error


def failure_message(failure: Failure) -> error_pb2.Failure:
    """Return the Failure message for a failure."""
    message = error_pb2.Failure(
        reason=failure.reason.value,  # type: ignore[arg-type]  # the numbers are those of ErrorReason
        message=failure.message,
        field_violations=[
            error_pb2.FieldViolation(field=v.field, description=v.description) for v in failure.violations
        ],
        retryable=failure.retryable,
        retry_delay=duration(failure.retry_after),
        metadata=dict(failure.metadata),
    )
    if failure.response is not None:
        message.upstream_response.CopyFrom(value(failure.response))
    return message


def duration(seconds: float | None) -> Duration | None:
    """Convert seconds to a Duration; None stays None."""
    if seconds is None:
        return None
    whole = int(seconds)
    return Duration(seconds=whole, nanos=int((seconds - whole) * 1_000_000_000))


def _shorten(message: str) -> str:
    if len(message) <= MAX_MESSAGE_LENGTH and _encoded_size(message) <= MAX_MESSAGE_BYTES:
        return message
    sizes = itertools.accumulate(map(_encoded_size, message[: MAX_MESSAGE_LENGTH - 1]))
    return message[: bisect_right(list(sizes), MAX_MESSAGE_BYTES - _encoded_size("…"))] + "…"


def _pack(detail: Message) -> Any:
    """Return a detail as an Any."""
    if isinstance(detail, Any):
        return detail
    found = Any()
    found.Pack(detail)
    return found


def _encoded_size(message: str) -> int:
    """Return the bytes of a message in `grpc-message`."""
    data = message.encode()
    return len(data) + 2 * len(data.translate(None, _UNESCAPED))


def _size(error: RpcError) -> int:
    """Return the bytes of an error in trailers."""
    plain: int = error.status.ByteSize()
    return _encoded_size(error.message) + -(-plain // 3) * 4


def _shrink(failure: Failure, size: int) -> Failure:
    """Return a failure without Higgsfield's response, else with fewer violations, else with less of a long metadatum.

    `size` is that of its error in trailers.
    """
    if failure.response is not None:
        return replace(failure, response=None)
    if failure.violations:
        kept = len(failure.violations) * MAX_TRAILERS_BYTES // size
        return replace(failure, violations=failure.violations[:kept])
    longest = max(failure.metadata, key=lambda name: len(failure.metadata[name]), default="")
    text = failure.metadata.get(longest, "")
    if len(text) < 2:
        return failure
    return replace(failure, metadata={**failure.metadata, longest: f"{text[: len(text) // 2 - 1]}…"})


def _build_error(failure: Failure) -> RpcError:
    return RpcError(CODES[failure.reason.name], failure.message, _details(failure))


def _details(failure: Failure) -> tuple[Message, ...]:
    if failure.retry_after is None and failure.reason in _DELAYED_REASONS:
        failure = replace(failure, retry_after=DEFAULT_RETRY_DELAY)
    if failure.response is not None:
        failure = replace(failure, response=bounded_value(failure.response, MAX_RESPONSE_BYTES))
    shown = failure_message(failure)
    if shown.upstream_response.ByteSize() > 2 * MAX_RESPONSE_BYTES:  # many short values
        shown.ClearField("upstream_response")
    details: list[Message] = [
        shown,
        ErrorInfo(domain=DOMAIN, reason=failure.reason.name, metadata=dict(failure.metadata)),
    ]
    if CODES[failure.reason.name] is Code.INVALID_ARGUMENT and failure.violations:
        violations = [BadRequest.FieldViolation(field=v.field, description=v.description) for v in failure.violations]
        details.append(BadRequest(field_violations=violations))
    if failure.retry_after is not None:
        details.append(RetryInfo(retry_delay=duration(failure.retry_after)))
    if failure.reason in _MISSING:
        named = next((name for name in _RESOURCES if failure.metadata.get(name)), _MISSING[failure.reason])
        name = failure.metadata.get(named, "")
        details.append(ResourceInfo(resource_type=_RESOURCES[named], resource_name=name))
    if failure.reason in {Reason.NOT_CANCELABLE, Reason.NOT_DONE}:
        violation = PreconditionFailure.Violation(
            type="STATE", subject=failure.metadata.get("state", ""), description=failure.message
        )
        details.append(PreconditionFailure(violations=[violation]))
    if failure.reason in {Reason.QUOTA_EXCEEDED, Reason.BUDGET_EXCEEDED}:
        quota = QuotaFailure.Violation(subject=failure.metadata.get("limit", ""), description=failure.message)
        details.append(QuotaFailure(violations=[quota]))
    return tuple(details)
