"""`GatewayError`, the base class of all errors of the client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import grpc

from hfgateway.v1.error_pb2 import Failure, FieldViolation

_TRANSIENT = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
"""The codes of `Unavailable`."""
_BROKEN = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)


def is_broken_connection(code: grpc.StatusCode | None, reason: str) -> bool:
    """Return whether a status is of gRPC or a proxy: a stream was reset, or ended without a status.

    The gateway sends these codes only with a reason.
    """
    return code in _BROKEN and not reason


class GatewayError(Exception):
    """A call failed. The base class of all errors of the client."""

    # Tracebacks name the classes by their public module.
    __module__ = "hfgateway_client.errors"

    def __init_subclass__(cls) -> None:
        if cls.__module__.startswith("hfgateway_client."):
            cls.__module__ = GatewayError.__module__

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
        transient = self.code in _TRANSIENT or is_broken_connection(self.code, self.reason)
        return self.failure.retryable or (transient and not self.permanent)

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
