"""What surrounds every handler on every transport: who calls, metrics, and the last guard against our own defects."""

import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Any

from google.protobuf.message import Message

from gateway.access.identity import ANYBODY, Access
from gateway.errors import Failure, GatewayError, Reason, gateway_unavailable
from gateway.generations.ports import StoreError
from gateway.rpc.call import Call
from gateway.rpc.errors import RpcError, rpc_error
from gateway.rpc.overload import Gate, Overload
from gateway.rpc.requests import BadRequestError
from gateway.telemetry import Bad, MethodMetrics, Telemetry

log = logging.getLogger(__name__)

Answer = Message | bytes
Unary = Callable[[Any, Call], Awaitable[Answer]]
Stream = Callable[[Any, Call], AsyncIterator[Answer]]
Gathering = Callable[[AsyncIterator[Any], Call], Awaitable[Answer]]


class Chain:
    """Guards calls. An adapter runs each one `with chain.guard(method)():`, as handler and conversion together.

    A context manager and no wrapper around the handler: a layer of generators would cost every open stream a kilobyte.
    """

    def __init__(self, telemetry: Telemetry, access: Access | None = None, overload: Overload | None = None) -> None:
        """Without `access` nobody is asked who he is, without `overload` nobody refused: for the operator's socket."""
        self._telemetry = telemetry
        self._access = access
        self._overload = overload or Overload()
        self._gates: dict[str, Gate] = {}

    def gate(self, method: str) -> Gate:
        """The one way in for a method's calls, whatever brings them; asked before a request is read."""
        if method not in self._gates:
            self._gates[method] = self._overload.gate(method, self._telemetry.refusals(method))
        return self._gates[method]

    def call(self, method: str, authorization: str, remaining: float | None) -> Call:
        """The call, once it is known who makes it. Raises INVALID_CREDENTIALS, NOT_ALLOWED."""
        access = self._access
        identity = ANYBODY if access is None else access.identify(authorization, method.rpartition("/")[2])
        return Call(method, remaining, identity, access)

    def guard(self, method: str) -> "Callable[[], Guard]":
        """Makes the guards of one method's calls."""
        metrics, gate = self._telemetry.calls(method), self.gate(method)
        return lambda: Guard(self, method, metrics, gate)

    def wire_form(self, error: Exception, method: str) -> RpcError:
        """The error as its caller may see it: text of ours, or an incident number and nothing else."""
        if isinstance(error, GatewayError):
            if isinstance(error, BadRequestError):
                self._telemetry.bad(error.bad)
            elif error.failure.reason is Reason.INVALID_CREDENTIALS:
                self._telemetry.bad(Bad.CREDENTIALS)
            return rpc_error(error.failure)
        if isinstance(error, StoreError):
            return rpc_error(gateway_unavailable("the store is not available").failure)
        incident = secrets.token_hex(6)
        log.exception("a call failed by a defect", extra={"method": method, "incident": incident})
        message = f"internal error, incident {incident}"
        return rpc_error(Failure(Reason.INTERNAL, message, metadata={"incident": incident}))


class Guard:
    """Around one call: counts it, and turns whatever ends it into an RpcError; cancellation passes."""

    __slots__ = ("_chain", "_gate", "_method", "_metrics", "_start")

    def __init__(self, chain: Chain, method: str, metrics: MethodMetrics, gate: Gate) -> None:
        self._chain = chain
        self._method = method
        self._metrics = metrics
        self._gate = gate

    def __enter__(self) -> None:
        self._gate.open += 1
        self._start = self._metrics.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gate.open -= 1
        if error is None:
            self._metrics.end(self._start, "OK")
        elif isinstance(error, Exception):
            wire_form = self._chain.wire_form(error, self._method)
            self._metrics.end(self._start, wire_form.code.name)
            raise wire_form from error
        else:
            self._metrics.end(self._start, "CANCELLED")
