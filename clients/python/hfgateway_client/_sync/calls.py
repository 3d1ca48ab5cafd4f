# Generated from _async by tools/unasync.py. DO NOT EDIT!
"""Makes calls, with credentials and a deadline, and makes them again where that is safe: see `retry.py`."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

import grpc

from hfgateway.agents.v1alpha1.agent_service_pb2_grpc import AgentServiceStub
from hfgateway.v1.callback_service_pb2_grpc import CallbackServiceStub
from hfgateway.v1.catalog_service_pb2_grpc import CatalogServiceStub
from hfgateway.v1.character_service_pb2_grpc import CharacterServiceStub
from hfgateway.v1.generation_service_pb2_grpc import GenerationServiceStub
from hfgateway.v1.token_service_pb2_grpc import TokenServiceStub
from hfgateway.v1.upload_service_pb2_grpc import UploadServiceStub
from hfgateway_client._sync.timers import Timers
from hfgateway_client.errors import GatewayError
from hfgateway_client.retry import RetryPolicy, may_repeat
from hfgateway_client.status import error_from_rpc, warnings_in


class Calls:
    """What every method of a client needs: the stubs, who calls, and how patiently."""

    def __init__(
        self, channel: Any, *, api_key: str | None, timeout: float, policy: RetryPolicy, timers: Timers
    ) -> None:
        self.callbacks = CallbackServiceStub(channel)
        self.generations = GenerationServiceStub(channel)
        self.tokens = TokenServiceStub(channel)
        self.uploads = UploadServiceStub(channel)
        self.catalogs = CatalogServiceStub(channel)
        self.characters = CharacterServiceStub(channel)
        self.agents = AgentServiceStub(channel)
        self.timeout = timeout
        self.policy = policy
        self.timers = timers
        self.closed = False
        """The client was closed: calls have ended for that, and are not made again."""
        self.metadata = (("authorization", f"Bearer {api_key}"),) if api_key else ()

    def unary(self, method: Any, request: object, *, timeout: float | None = None, extra: float = 0.0) -> Any:
        """The answer, or the typed error; repeated within the timeout, which covers all attempts together.

        ``extra`` is the time that the gateway was asked to take over its answer.
        """
        answer, _ = self.warned(method, request, timeout=timeout, extra=extra)
        return answer

    def warned(
        self, method: Any, request: object, *, timeout: float | None = None, extra: float = 0.0
    ) -> tuple[Any, tuple[str, ...]]:
        """As ``unary``, with what the gateway warns of beside its answer."""
        deadline = self.timers.clock() + (self.timeout if timeout is None else timeout) + extra
        outage = Outage(self, patience=self.policy.repeat_calls_for, deadline=deadline)
        while True:
            remaining = max(deadline - self.timers.clock(), 0.0)
            try:
                answer, call = method.with_call(request, timeout=remaining, metadata=self.metadata)
                return answer, warnings_in(call.initial_metadata())
            except grpc.RpcError as cause:
                error = error_from_rpc(cause)
                if not outage.endure(error):
                    raise error from cause

    def pages(self, method: Any, request: Any, field: str) -> Generator[Any, None, None]:
        """Every item of the repeated field of every page; a page is fetched as it is needed."""
        while True:
            response = self.unary(method, request)
            yield from getattr(response, field)
            if not response.next_page_token:
                return
            request.page_token = response.next_page_token

    def stream(self, method: Any, request: object, *, deadline: float | None) -> Generator[Any, None, None]:
        """The messages of one stream, not resumed. Leaving it early ends the call."""
        timeout = None if deadline is None else max(deadline - self.timers.clock(), 0.0)
        call = method(request, timeout=timeout, metadata=self.metadata)
        try:
            yield from call
        except grpc.RpcError as cause:
            raise error_from_rpc(cause) from cause
        finally:
            call.cancel()

    def resumed(
        self, method: Any, request: Callable[[], object], *, timeout: float | None
    ) -> Generator[Any, None, None]:
        """The messages of a stream, and of those that follow where it breaks, each with the request as it is then."""
        deadline = None if timeout is None else self.timers.clock() + timeout
        outage = Outage(self, patience=self.policy.resume_watches_for, deadline=deadline)
        while True:
            try:
                with closing(self.stream(method, request(), deadline=deadline)) as messages:
                    for message in messages:
                        outage.over()
                        yield message
                return
            except GatewayError as error:
                if not outage.endure(error):
                    raise


class Outage:
    """Counts the failures since the last success: how long to wait before the next attempt, and when to give up."""

    def __init__(self, calls: Calls, *, patience: float | None, deadline: float | None = None) -> None:
        self._calls = calls
        self._patience = math.inf if patience is None else patience
        self._deadline = math.inf if deadline is None else deadline
        self._failures = 0
        self._began = 0.0

    def over(self) -> None:
        """The gateway has answered."""
        self._failures = 0

    def endure(self, error: GatewayError) -> bool:
        """Sleeps until another attempt is due, and is true; false, at once, where none is."""
        if self._calls.closed or not may_repeat(error):
            return False
        timers = self._calls.timers
        now = timers.clock()
        if self._failures == 0:
            self._began = now
        self._failures += 1
        delay = self._calls.policy.delay(self._failures, error.retry_delay, timers.random())
        if now + delay >= min(self._began + self._patience, self._deadline):
            return False
        timers.sleep(delay)
        return not self._calls.closed
