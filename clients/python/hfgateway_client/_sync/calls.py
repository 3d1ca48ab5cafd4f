# Generated from _async by tools/unasync.py. DO NOT EDIT!
"""Makes calls with credentials and a deadline, and retries them if that is safe; see `hfgateway_client.retry`."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from contextlib import closing
from copy import deepcopy
from threading import Lock
from typing import Any, NoReturn

from google.protobuf.message import Message

from hfgateway_client._sync.timers import Timers
from hfgateway_client.attempts import Attempts, received
from hfgateway_client.deadline import Deadline
from hfgateway_client.errors import ClientClosed, DeadlineExceeded, GatewayError, GatewayOverloaded
from hfgateway_client.retry import OnRetry, RetryPolicy, may_repeat, report
from hfgateway_client.stubs import name_of, rpcs_of


class Calls(Attempts):
    """The channel, credentials, timeout and retry policy of a client."""

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
        self._rpcs: dict[str, Any] = {}
        self._streams: set[Any] = set()
        self._key = key
        self.timeout = timeout
        self.policy = policy
        self.on_retry = on_retry
        self.timers = timers

    def start(self, requests: Any, timeout: float | None, *, rpc: str) -> Any:
        """Start an attempt of a call, and return gRPC's call.

        The channel is opened by the first call: a channel of asyncio belongs to the loop that runs then.
        """
        with self._opening:
            if self._closed:
                raise ClientClosed
            if self._channel is None:
                self._channel = self._open_channel()
                self._rpcs = rpcs_of(self._channel)
        key = self._key() if self._key else ""
        metadata = (("authorization", f"Bearer {key}"),) if key else ()
        return self._rpcs[rpc](requests, timeout=timeout, metadata=metadata)

    def close(self) -> Any:
        """Refuse calls from now on, end all streams, and return the channel if it was opened."""
        with self._opening:
            self._closed = True
        for call in [*self._streams]:  # until grpcio 1.83, closing a channel of asyncio does not end them
            call.cancel()
        return self._channel

    def deadline(self, timeout: float | None) -> Deadline:
        """Return the deadline after a timeout in seconds from now; None is no timeout."""
        return Deadline(self.timers.clock, timeout)

    def unary(
        self,
        request: Message | Callable[[], Message],
        *,
        timeout: float | None = None,
        extra: float = 0.0,
        retry: bool = True,
    ) -> Any:
        """Make the call that takes this request, and return its response. The timeout in seconds includes all retries.

        ``request`` can be a function that returns the request of the next attempt. ``extra`` is added to the timeout:
        the time for which the request asks the gateway to wait.

        Raises:
            GatewayError: The call failed.
        """
        deadline = self.deadline((self.timeout if timeout is None else timeout) + extra)
        outage = Outage(self, self.policy.repeat_calls_for if retry else 0.0, deadline)
        while True:
            sent = request if isinstance(request, Message) else request()
            try:
                with self.attempt():
                    return received(self.start(sent, deadline.left(), rpc=name_of(sent)))
            except GatewayError as error:
                outage.wait_to_retry(error)
            except Exception as error:
                outage.end(error)

    def pages(self, request: Any, field: str) -> Generator[Any, None, None]:
        """Yield the items of a repeated field from all pages. Pages are fetched on demand."""
        while True:
            response = self.unary(request)
            yield from getattr(response, field)
            if not response.next_page_token:
                return
            request.page_token = response.next_page_token

    def resumed(
        self, request: Message, timeout: float | None, *, ended: Callable[[], bool] = lambda: False
    ) -> Generator[Any, None, None]:
        """Yield the messages of a stream. If it breaks, open it again with the request as it is then.

        If it ends with OK, ``ended`` returns whether the gateway may have ended it. Otherwise a proxy has cut it off.
        """
        deadline = self.deadline(timeout)
        outage = Outage(self, self.policy.resume_watches_for, deadline)
        while True:
            try:
                with closing(self._stream(deepcopy(request), deadline)) as messages:
                    for message in messages:
                        outage.reset()
                        yield message
                received(ended() or None)  # None is the error of a missing message
                return
            except GatewayError as error:
                outage.wait_to_retry(error)
            except Exception as error:
                outage.end(error)

    def _stream(self, request: Message, deadline: Deadline) -> Generator[Any, None, None]:
        """Yield the messages of one stream. Closing the generator cancels the call."""
        with self.attempt():
            call = self.start(request, deadline.left(), rpc=name_of(request))
            self._streams.add(call)
            try:
                for message in call:
                    self._reached = True
                    yield received(message)
            finally:
                self._streams.discard(call)
                call.cancel()


class Outage:
    """The consecutive failures of a call or watch: decides whether to retry, and waits before it.

    ``patience`` is how long to retry after the first failure, in seconds; None is until the deadline.
    """

    def __init__(self, calls: Calls, patience: float | None, deadline: Deadline) -> None:
        self._calls = calls
        self._patience = math.inf if patience is None else patience
        self._deadline = deadline
        self._failures = 0
        self._began = 0.0
        self.last: GatewayError | None = None
        """The last failure that may have had an effect, or else the last one. None after a success."""

    def reset(self) -> None:
        """Record a success."""
        self._failures = 0
        self.last = None

    def end(self, error: Exception) -> NoReturn:
        """Raise an error that had no effect: one of the caller's functions, or an overload.

        If an attempt failed before it, that failure is raised, because that attempt may have had an effect.
        """
        if self.last is None or error is self.last:
            raise error
        if isinstance(error, GatewayOverloaded):
            self.last.message += f". Then: {error.message}"
        raise self.last from error

    def wait_to_retry(self, error: GatewayError) -> None:
        """Sleep until the next attempt, or raise the error of the call immediately if it must not be retried."""
        if not may_repeat(error):
            if isinstance(error, DeadlineExceeded) and self.last:
                error.message += f". Before: {self.last.message}"
            raise error
        if isinstance(self.last, GatewayOverloaded | None) or not isinstance(error, GatewayOverloaded):
            self.last = error
        timers = self._calls.timers
        now = timers.clock()
        if self._failures == 0:
            self._began = now
        self._failures += 1
        delay = self._calls.policy.delay(self._failures, error.retry_delay, timers.random())
        if now + delay >= min(self._began + self._patience, self._deadline.time):
            self.end(error)
        try:
            report(error, delay, self._calls.on_retry)
        except Exception as thrown:
            self.end(thrown)
        timers.sleep(delay)
