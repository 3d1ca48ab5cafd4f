"""The standard health service of gRPC. It needs no API key, so its calls are limited.

Like all services, it is registered with streaming requests, so that a call is counted before gRPC reads its request.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from gateway.errors import Failure, GatewayError, Reason
from gateway.rpc.errors import rpc_error
from gateway.rpc.limits.arrivals import Arrivals
from gateway.rpc.limits.requests import BadRequestError, message_of
from gateway.rpc.transports.over_grpc import abort
from gateway.telemetry import Rejection

M = TypeVar("M", bound=Message)
SERVICE: str = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
MAX_WATCHES = 100
"""Concurrent watches of all callers together. A load balancer needs one."""
MAX_CHECKS = 1000
"""Concurrent calls of the other methods. A call takes as long as its request needs to arrive."""
MAX_NAME_LENGTH = 255

_SERVING: int = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: int = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN: int = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class _Calls:
    """The calls of some methods: how many are open, and how many may be."""

    def __init__(self, max_calls: int) -> None:
        self.max_calls = max_calls
        self.open = 0


class Health:
    """Reports one status for all `services` and for the server. `count_rejection` counts refused calls."""

    def __init__(self, services: Iterable[str], count_rejection: Callable[[Rejection], None]) -> None:
        self._services = frozenset((*services, ""))
        self._count_rejection = count_rejection
        self._status = _NOT_SERVING
        self._draining = False
        self._changed = asyncio.Event()
        self._arrivals = Arrivals()
        self._watches, self._checks = _Calls(MAX_WATCHES), _Calls(MAX_CHECKS)

    def set(self, *, serving: bool) -> None:
        """Set the status, unless the gateway drains."""
        status = _SERVING if serving and not self._draining else _NOT_SERVING
        if status != self._status:
            self._status = status
            self._changed.set()
            self._changed = asyncio.Event()

    def drain(self) -> None:
        """Set the status to NOT_SERVING for good."""
        self._draining = True
        self.set(serving=False)

    def serve(self, server: grpc.aio.Server) -> None:
        """Add the service to a server."""
        handlers = {
            "Check": grpc.stream_unary_rpc_method_handler(self._check),
            "List": grpc.stream_unary_rpc_method_handler(self._list),
            "Watch": grpc.stream_stream_rpc_method_handler(self._watch),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        # Health calls need no API key. Registered methods have their own queues, so a flood fills no other queue.
        server.add_registered_method_handlers(SERVICE, handlers)

    async def _check(self, _: object, context: Any) -> bytes:
        """Return the status of a service. Fails with NOT_FOUND for an unknown one."""
        try:
            with self._place(self._checks):
                request = await self._request(context, health_pb2.HealthCheckRequest)
                status = self._status_of(request.service)
        except GatewayError as error:
            return await abort(context, rpc_error(error.failure))
        if status == _UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return _encode(health_pb2.HealthCheckResponse(status=status))

    async def _list(self, _: object, context: Any) -> bytes:
        """Return the status of every service."""
        try:
            with self._place(self._checks):
                await self._request(context, health_pb2.HealthListRequest)
        except GatewayError as error:
            return await abort(context, rpc_error(error.failure))
        now = health_pb2.HealthCheckResponse(status=self._status)
        return _encode(health_pb2.HealthListResponse(statuses=dict.fromkeys(self._services, now)))

    async def _watch(self, _: object, context: Any) -> AsyncIterator[bytes]:
        """Stream the status, now and after each change, until the caller cancels or disconnects."""
        try:
            with self._place(self._watches):
                name = (await self._request(context, health_pb2.HealthCheckRequest)).service
                if len(name) > MAX_NAME_LENGTH:
                    raise BadRequestError(Rejection.SIZE, f"service must be at most {MAX_NAME_LENGTH} characters")
                sent: int | None = None
                while True:
                    changed = self._changed
                    if (status := self._status_of(name)) != sent:
                        sent = status
                        yield _encode(health_pb2.HealthCheckResponse(status=status))
                    await changed.wait()
        except GatewayError as error:
            await abort(context, rpc_error(error.failure))

    @contextmanager
    def _place(self, calls: _Calls) -> Iterator[None]:
        """Count a call in the block. Raises GATEWAY_OVERLOADED if too many are open; counts the errors of the block."""
        if calls.open >= calls.max_calls:
            self._count_rejection(Rejection.HEALTH)
            message = f"too many health calls ({calls.max_calls})"
            raise GatewayError(Failure(Reason.GATEWAY_OVERLOADED, message, retryable=True))
        calls.open += 1
        try:
            yield
        except BadRequestError as error:
            self._count_rejection(error.rejection)
            raise
        finally:
            calls.open -= 1

    async def _request(self, context: Any, request_class: type[M]) -> M:
        raw = await self._arrivals.within(context.read())
        return request_class() if raw is grpc.aio.EOF else message_of(raw, request_class)

    def _status_of(self, service: str) -> int:
        return self._status if service in self._services else _UNKNOWN


def _encode(message: Message) -> bytes:
    return message.SerializeToString()
