"""The standard health service of gRPC. It needs no key, so what anybody may hold of it is bounded."""

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
"""Watches at once, of all callers together: load balancers hold one each."""
LONGEST_NAME = 255

_SERVING: int = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: int = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN: int = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health:
    """Tells one status for all `services`, and for the server as a whole. `bad` counts watches that are refused."""

    def __init__(self, services: Iterable[str], bad: Callable[[Bad], None]) -> None:
        self._services = frozenset((*services, ""))
        self._bad = bad
        self._status = _NOT_SERVING
        self._draining = False
        self._changed = asyncio.Event()
        self._watches = 0

    def tell(self, *, serving: bool) -> None:
        """Tell this from now on, unless the gateway drains."""
        status = _SERVING if serving and not self._draining else _NOT_SERVING
        if status != self._status:
            self._status = status
            self._changed.set()
            self._changed = asyncio.Event()

    def drain(self) -> None:
        """Tell for good that the gateway does not serve."""
        self._draining = True
        self.tell(serving=False)

    async def Check(self, request: Any, context: Any) -> health_pb2.HealthCheckResponse:  # noqa: N802 - gRPC's name
        """The status now; NOT_FOUND for a service that there is not."""
        status = self._status_of(request.service)
        if status == _UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return health_pb2.HealthCheckResponse(status=status)

    async def List(self, request: Any, context: Any) -> health_pb2.HealthListResponse:  # noqa: N802 - gRPC's name
        """The status of every service."""
        now = health_pb2.HealthCheckResponse(status=self._status)
        return health_pb2.HealthListResponse(statuses=dict.fromkeys(self._services, now))

    async def Watch(  # noqa: N802 - gRPC's name
        self, request: Any, context: Any
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """The status now, and whenever it changes, until the caller or its connection ends."""
        if self._watches >= MOST_WATCHES:
            self._bad(Bad.HEALTH)
            await abort(context, _FULL)
        name = request.service
        if len(name) > LONGEST_NAME:
            self._bad(Bad.SIZE)
            await abort(context, _LONG)
        self._watches += 1
        try:
            told: int | None = None
            while True:
                changed = self._changed
                if (status := self._status_of(name)) != told:
                    told = status
                    yield health_pb2.HealthCheckResponse(status=status)
                await changed.wait()
        finally:
            self._watches -= 1

    def _status_of(self, service: str) -> int:
        return self._status if service in self._services else _UNKNOWN


_FULL: RpcError = rpc_error(
    Failure(Reason.GATEWAY_OVERLOADED, f"there are {MOST_WATCHES} health watches: use Check", retryable=True)
)
_LONG: RpcError = rpc_error(invalid_field("service", f"must be at most {LONGEST_NAME} characters").failure)
