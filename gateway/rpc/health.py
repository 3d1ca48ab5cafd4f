"""The standard health service of gRPC. It needs no API key, so its watches are limited."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from gateway.errors import Failure, Reason, invalid_field
from gateway.rpc.errors import RpcError, rpc_error
from gateway.rpc.over_grpc import abort
from gateway.telemetry import Bad

MOST_WATCHES = 100
"""Concurrent watches of all callers together. A load balancer needs one."""
LONGEST_NAME = 255

_SERVING: int = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: int = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN: int = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health:
    """Reports one status for all `services` and for the server. `bad` counts refused watches."""

    def __init__(self, services: Iterable[str], bad: Callable[[Bad], None]) -> None:
        self._services = frozenset((*services, ""))
        self._bad = bad
        self._status = _NOT_SERVING
        self._draining = False
        self._changed = asyncio.Event()
        self._watches = 0

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

    async def Check(self, request: Any, context: Any) -> health_pb2.HealthCheckResponse:  # noqa: N802 - gRPC's name
        """Return the status of a service. Fails with NOT_FOUND for an unknown one."""
        status = self._status_of(request.service)
        if status == _UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return health_pb2.HealthCheckResponse(status=status)

    async def List(self, request: Any, context: Any) -> health_pb2.HealthListResponse:  # noqa: N802 - gRPC's name
        """Return the status of every service."""
        now = health_pb2.HealthCheckResponse(status=self._status)
        return health_pb2.HealthListResponse(statuses=dict.fromkeys(self._services, now))

    async def Watch(  # noqa: N802 - gRPC's name
        self, request: Any, context: Any
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Stream the status, now and after each change, until the caller cancels or disconnects."""
        if self._watches >= MOST_WATCHES:
            self._bad(Bad.HEALTH)
            await abort(context, _FULL)
            return
        name = request.service
        if len(name) > LONGEST_NAME:
            self._bad(Bad.SIZE)
            await abort(context, _LONG)
            return
        self._watches += 1
        try:
            sent: int | None = None
            while True:
                changed = self._changed
                if (status := self._status_of(name)) != sent:
                    sent = status
                    yield health_pb2.HealthCheckResponse(status=status)
                await changed.wait()
        finally:
            self._watches -= 1

    def _status_of(self, service: str) -> int:
        return self._status if service in self._services else _UNKNOWN


_FULL: RpcError = rpc_error(
    Failure(Reason.GATEWAY_OVERLOADED, f"too many health watches ({MOST_WATCHES}): use Check", retryable=True)
)
_LONG: RpcError = rpc_error(invalid_field("service", f"must be at most {LONGEST_NAME} characters").failure)
