"""Makes calls with credentials and a deadline, and retries them if that is safe; see `hfgateway_client.retry`."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import cached_property
from threading import Lock
from typing import Any

from hfgateway.agents.v1alpha1.agent_service_pb2_grpc import AgentServiceStub
from hfgateway.v1.callback_service_pb2_grpc import CallbackServiceStub
from hfgateway.v1.catalog_service_pb2_grpc import CatalogServiceStub
from hfgateway.v1.character_service_pb2_grpc import CharacterServiceStub
from hfgateway.v1.generation_service_pb2_grpc import GenerationServiceStub
from hfgateway.v1.token_service_pb2_grpc import TokenServiceStub
from hfgateway.v1.upload_service_pb2_grpc import UploadServiceStub
from hfgateway_client._async.timers import Timers
from hfgateway_client.attempts import Attempts
from hfgateway_client.errors import ClientClosed, DeadlineExceeded, GatewayError
from hfgateway_client.retry import OnRetry, RetryPolicy, may_repeat, report


class Calls(Attempts):
    """The stubs, credentials, timeout and retry policy of a client."""

    def __init__(
        self,
        open_channel: Callable[[], Any],
        *,
        address: str,
        key: Callable[[], str] | None,
        timeout: float,
        policy: RetryPolicy,
        on_retry: OnRetry | None,
        timers: Timers,
    ) -> None:
        super().__init__(address)
        self._open_channel = open_channel
        self._opening = Lock()
        self._channel: Any = None
        self.timeout = timeout
        self.policy = policy
        self.on_retry = on_retry
        self.timers = timers
        self._key = key

    @property
    def channel(self) -> Any:
        """The channel, opened when it is first used: a channel of asyncio belongs to the loop that runs then."""
        with self._opening:
            if self._channel is None:
                if self._closed:
                    raise ClientClosed
                self._channel = self._open_channel()
            return self._channel

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The metadata of the next attempt of a call."""
        key = self._key() if self._key else ""
        return (("authorization", f"Bearer {key}"),) if key else ()

    def close(self) -> Any:
        """Refuse calls from now on, and return the channel if it was opened."""
        with self._opening:
            self._closed = True
            return self._channel

    @cached_property
    def callbacks(self) -> CallbackServiceStub:
        return CallbackServiceStub(self.channel)

    @cached_property
    def generations(self) -> GenerationServiceStub:
        return GenerationServiceStub(self.channel)

    @cached_property
    def tokens(self) -> TokenServiceStub:
        return TokenServiceStub(self.channel)

    @cached_property
    def uploads(self) -> UploadServiceStub:
        return UploadServiceStub(self.channel)

    @cached_property
    def catalogs(self) -> CatalogServiceStub:
        return CatalogServiceStub(self.channel)

    @cached_property
    def characters(self) -> CharacterServiceStub:
        return CharacterServiceStub(self.channel)

    @cached_property
    def agents(self) -> AgentServiceStub:
        return AgentServiceStub(self.channel)

    async def unary(
        self, method: Any, request: object, *, timeout: float | None = None, extra: float = 0.0, retry: bool = True
    ) -> Any:
        """Make a call and return its response. The timeout in seconds includes all retries.

        ``extra`` is added to the timeout: the time for which the request asks the gateway to wait.

        Raises:
            GatewayError: The call failed.
        """
        deadline = self.timers.clock() + (self.timeout if timeout is None else timeout) + extra
        outage = Outage(self, patience=self.policy.repeat_calls_for if retry else 0.0, deadline=deadline)
        while True:
            remaining = max(deadline - self.timers.clock(), 0.0)
            try:
                with self.attempt():
                    return await method(request, timeout=remaining, metadata=self.metadata)
            except GatewayError as error:
                if not await outage.wait_to_retry(error):
                    raise

    async def pages(self, method: Any, request: Any, field: str) -> AsyncGenerator[Any, None]:
        """Yield the items of a repeated field from all pages. Pages are fetched on demand."""
        while True:
            response = await self.unary(method, request)
            for item in getattr(response, field):
                yield item
            if not response.next_page_token:
                return
            request.page_token = response.next_page_token

    async def stream(self, method: Any, request: object, *, deadline: float | None) -> AsyncGenerator[Any, None]:
        """Yield the messages of one stream, without resuming it. Closing the generator cancels the call."""
        timeout = None if deadline is None else max(deadline - self.timers.clock(), 0.0)
        with self.attempt():
            call = method(request, timeout=timeout, metadata=self.metadata)
            try:
                async for message in call:
                    yield message
            finally:
                call.cancel()

    async def resumed(
        self, method: Any, request: Callable[[], object], *, timeout: float | None
    ) -> AsyncGenerator[Any, None]:
        """Yield the messages of a stream. If it breaks, open it again with the current result of ``request``."""
        deadline = None if timeout is None else self.timers.clock() + timeout
        outage = Outage(self, patience=self.policy.resume_watches_for, deadline=deadline)
        while True:
            try:
                async with aclosing(self.stream(method, request(), deadline=deadline)) as messages:
                    async for message in messages:
                        outage.reset()
                        yield message
                return
            except GatewayError as error:
                if not await outage.wait_to_retry(error):
                    raise


class Outage:
    """The consecutive failures of a call or watch: decides whether to retry, and waits before it.

    ``patience`` is how long to retry after the first failure, and ``deadline`` when to stop in any case, in seconds.
    """

    def __init__(self, calls: Calls, *, patience: float | None, deadline: float | None = None) -> None:
        self._calls = calls
        self._patience = math.inf if patience is None else patience
        self._deadline = math.inf if deadline is None else deadline
        self._failures = 0
        self._began = 0.0
        self._last: GatewayError | None = None

    def reset(self) -> None:
        """Record a success."""
        self._failures = 0
        self._last = None

    async def wait_to_retry(self, error: GatewayError) -> bool:
        """Sleep until the next attempt and return True; return False immediately if the call must not be retried."""
        if not may_repeat(error):
            if isinstance(error, DeadlineExceeded) and self._last:
                error.message += f". Before: {self._last.message}"
            return False
        self._last = error
        timers = self._calls.timers
        now = timers.clock()
        if self._failures == 0:
            self._began = now
        self._failures += 1
        delay = self._calls.policy.delay(self._failures, error.retry_delay, timers.random())
        if now + delay >= min(self._began + self._patience, self._deadline):
            return False
        report(error, delay, self._calls.on_retry)
        await timers.sleep(delay)
        return True
