"""The guard around each call, on every transport: it identifies the caller, counts calls and converts exceptions."""

import functools
import hmac
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any

from google.protobuf.message import Message

from gateway import tracing
from gateway.access.identity import OPERATOR, Access, Identity
from gateway.errors import Failure, GatewayError, Reason, gateway_unavailable
from gateway.generations.journal import Caller, caller
from gateway.generations.stores import UnconfirmedError
from gateway.rpc.call import Call
from gateway.rpc.errors import RpcError, rpc_error
from gateway.rpc.limits.call_limits import CallLimits, MethodLimit, Place
from gateway.rpc.limits.requests import BadRequestError
from gateway.telemetry import MethodMetrics, Rejection, Telemetry

log = logging.getLogger(__name__)

SERVER_ERRORS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
"""The status codes that are errors of a server, by OpenTelemetry's conventions for gRPC."""

NO_HEADERS: Mapping[str, str] = {}
Response = Message | bytes
Unary = Callable[[Any, Call], Awaitable[Response]]
Stream = Callable[[Any, Call], AsyncIterator[Response]]
ClientStream = Callable[[AsyncIterator[Any], Call], Awaitable[Response]]
BidiStream = Callable[[AsyncIterator[Any], Call], AsyncIterator[Response]]


class Chain:
    """Makes the guards. An adapter runs the handler and its conversions in `with chain.guard(method)():`.

    It is a context manager, because a generator that wraps the handler would cost a kilobyte for each open stream.
    """

    def __init__(
        self,
        telemetry: Telemetry,
        access: Access | None = None,
        limits: CallLimits | None = None,
        start_span: tracing.StartSpan | None = None,
        forwarded: frozenset[str] = frozenset(),
    ) -> None:
        """`access` checks keys, `limits` bounds calls, `start_span` traces them; the operator's socket has none.

        `forwarded` are the names of the callers' headers that submissions pass on to Higgsfield.
        """
        self._telemetry = telemetry
        self.access = access
        self._limits = limits
        self.start_span = start_span
        self.forwarded = forwarded
        self.to_leader = False
        """Whether calls may have to be forwarded to a leader, so that they need the caller's credentials."""

    def identify(self, rpc: str, authorization: str) -> Identity:
        """Return the caller of an RPC, given by its name.

        Raises INVALID_CREDENTIALS, GATEWAY_UNAVAILABLE, NOT_ALLOWED.
        """
        return OPERATOR if self.access is None else self.access.identify(authorization, rpc)

    def is_replica(self, secret: str) -> bool:
        """Return whether a call with this text was forwarded by a replica."""
        return self.access is not None and hmac.compare_digest(secret.encode(), self.access.replica_secret.encode())

    def refusal_counter(self, method: str) -> Callable[[], None]:
        """Return a function that counts a call of a method that is refused because of overload."""
        return self._telemetry.refusal_counter(method)

    def guard(self, method: str) -> "Callable[[], Guard]":
        """Return a factory for the guards of one method's calls."""
        metrics = self._telemetry.method_metrics(method)
        self.refusal_counter(method)  # the metric begins with 0
        limit = None if self._limits is None else self._limits.of_method(method)
        return functools.partial(Guard, self, method, method.rpartition("/")[2], metrics, limit)

    def wire_form(self, error: Exception, method: str) -> RpcError:
        """Convert an exception to the caller's error. A bug is logged, and the caller gets an incident number."""
        if isinstance(error, RpcError):
            return error  # the leader's response to a forwarded call
        if isinstance(error, GatewayError):
            if isinstance(error, BadRequestError):
                self._telemetry.count_rejection(error.rejection)
            elif error.failure.reason is Reason.INVALID_CREDENTIALS:
                self._telemetry.count_rejection(Rejection.CREDENTIALS)
            elif error.failure.reason is Reason.GATEWAY_OVERLOADED:
                self.refusal_counter(method)()
            return rpc_error(error.failure)
        if isinstance(error, UnconfirmedError):
            return rpc_error(gateway_unavailable("the store is not available").failure)
        incident = secrets.token_hex(6)
        about = {"method": method, "incident": incident}
        # Over Connect, the error is no longer being handled here, so `log.exception` would not find it.
        log.error("a call failed because of a bug", exc_info=error, extra=about)
        message = f"internal error, incident {incident}"
        return rpc_error(Failure(Reason.INTERNAL, message, metadata={"incident": incident}))


class Guard:
    """The context of one call: counts it, and converts exceptions to RpcError. Cancellation is not converted.

    Await `call` first, because no byte of a request may be read for an unknown caller, or without a place.
    """

    __slots__ = ("_chain", "_limit", "_method", "_metrics", "_passed", "_place", "_rpc", "_span", "_start")

    def __init__(self, chain: Chain, method: str, rpc: str, metrics: MethodMetrics, limit: MethodLimit | None) -> None:
        self._chain = chain
        self._method = method
        self._rpc = rpc
        self._metrics = metrics
        self._limit = limit
        self._place: Place | None = None
        self._span: tracing.Span | None = None
        self._passed: Mapping[str, str] = NO_HEADERS

    def __enter__(self) -> "Guard":
        self._start = self._metrics.begin()
        return self

    def read_headers(self, system: str, headers: Callable[[], Iterable[tuple[str, object]] | None]) -> None:
        """Read the headers of a unary call that are configured, and begin its span if calls are traced.

        `system` is the RPC system, such as "grpc".
        """
        if self._chain.forwarded:
            wanted = self._chain.forwarded
            self._passed = {name: str(value) for name, value in headers() or () if name in wanted}
        if self._chain.start_span is not None:
            traceparent = next((str(value) for name, value in headers() or () if name == "traceparent"), "")
            self._span = self._chain.start_span(system, self._method, traceparent)
            tracing.current.set(self._span)

    async def call(self, authorization: str, remaining: float | None, peer: str = "", *, replica: str = "") -> Call:
        """Identify the caller and take a place. Raises what `identify` does, and GATEWAY_OVERLOADED.

        `peer` is the address of the caller, for log lines; "" for streams, which would have to remember it.
        `replica` is the text with which another replica forwards calls.
        """
        deadline = None if remaining is None else time.monotonic() + remaining
        chain = self._chain
        identity = chain.identify(self._rpc, authorization)
        if peer:
            caller.set(Caller(identity.key_name, peer, identity.actor))
        if self._span is not None:
            self._span.set("hfgateway.tenant", identity.tenant)
        if self._limit is not None:
            self._place = self._limit.take(identity) or await self._limit.wait(identity)
        kept = authorization if chain.to_leader else ""
        return Call(
            self._method,
            deadline,
            identity,
            chain.access,
            self._place,
            self._passed,
            kept,
            bool(replica) and chain.is_replica(replica),
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._place is not None:
            self._place.leave()
        wire_form, code = None, "OK"
        if isinstance(error, Exception):
            wire_form = self._chain.wire_form(error, self._method)
            code = wire_form.code.name
        elif error is not None:
            code = "CANCELLED"
        self._metrics.end(self._start, code)
        if self._span is not None:
            self._span.set("rpc.response.status_code", code)
            self._span.end(code if code in SERVER_ERRORS else "")
        if wire_form is not None:
            try:
                raise wire_form from (None if wire_form is error else error)
            finally:
                del wire_form, error  # its traceback refers to these variables: a reference cycle
