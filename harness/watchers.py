"""Clients that watch generations and record every message: with the Python client, or with gRPC stubs.

A watch has a number and outlasts its streams: the client resumes it itself; with a stub it is resumed at the resume
point of the last message. With a stub every message of a stream is recorded. `watch_checker.py` checks the records.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import grpc

from harness.history import Recorder, generation_fields
from hfgateway.v1.generation_pb2 import Generation
from hfgateway.v1.generation_service_pb2 import GenerationFilter, WatchGenerationRequest, WatchGenerationsRequest
from hfgateway.v1.generation_service_pb2_grpc import GenerationServiceStub
from hfgateway_client import AsyncClient, CaughtUp, GatewayError, GenerationChanged, MissingGenerations, Reset
from hfgateway_client.channel import channel_options
from hfgateway_client.retry import RetryPolicy, may_repeat
from hfgateway_client.status import error_from_rpc

BARE_OPTIONS = (*channel_options(), ("grpc.use_local_subchannel_pool", 1))
"""Without the option, all channels to one address share a connection."""

IsLast = Callable[[Generation], bool]
"""Returns whether a watch of many ends with this message: all changes committed before it have been received then."""

AfterMessage = Callable[[], Awaitable[None]]
"""Awaited after each message before the next one is read, to simulate a slow reader."""


@dataclass(frozen=True, slots=True)
class Access:
    """The connections of a watcher: the Python client and a gRPC stub."""

    client: AsyncClient
    stub: Any


@asynccontextmanager
async def access_to(address: str, retry: RetryPolicy | None = None) -> AsyncIterator[Access]:
    """Connect to an address. The stub has its own connection; the client may share one with other clients."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(AsyncClient(address, retry=retry))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(address, options=BARE_OPTIONS))
        yield Access(client, GenerationServiceStub(channel))


@dataclass(slots=True)
class _Watch:
    number: int
    complete: bool = False
    """Whether the client left after it had received everything."""


def _never(_: Generation) -> bool:
    return False


async def _no_pause() -> None:
    pass


class Watchers:
    """Each method makes one watch and returns when it ends, fails or is canceled.

    `pause` is the time in seconds before a stub opens the next stream.
    """

    def __init__(self, recorder: Recorder, pause: float = 0.2) -> None:
        self._recorder = recorder
        self._pause = pause
        self._numbers = itertools.count(1)
        self.received = 0
        """The number of generations in all messages, repeats included."""

    async def client_watch(self, access: Access, generation_id: str, after: int = 0) -> None:
        """Watch one generation with the client."""
        with self._watch("watch", "client", id=generation_id, after=after) as watch:
            async for generation in access.client.watch(generation_id, after_revision=after):
                self._record_message("saw", watch, generation)

    async def bare_watch(self, access: Access, generation_id: str, after: int = 0) -> None:
        """Watch one generation with the stub; each stream resumes after the last revision."""
        request = WatchGenerationRequest(id=generation_id, after_revision=after)
        with self._watch("watch", "bare", id=generation_id, after=after) as watch:
            async for message in self._messages(access.stub.WatchGeneration, request):
                if message.HasField("generation"):
                    request.after_revision = message.generation.revision
                    self._record_message("saw", watch, message.generation)

    async def client_watch_many(
        self,
        access: Access,
        *,
        ids: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        is_last: IsLast = _never,
    ) -> None:
        """Watch many generations with the client until `is_last` returns True."""
        with self._watch("overview", "client", ids=list(ids)) as watch:
            async with aclosing(access.client.watch_many(ids=ids, labels=labels)) as events:
                async for event in events:
                    match event:
                        case GenerationChanged(generation=generation):
                            self._record_message("news", watch, generation)
                            if is_last(generation):
                                watch.complete = True
                                return
                        case CaughtUp():
                            self._note("caught up", watch)
                        case Reset():
                            self._note("reset", watch)
                        case MissingGenerations(ids=missing):
                            self._note("missing", watch, ids=list(missing))

    async def bare_watch_many(
        self,
        access: Access,
        *,
        ids: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        is_last: IsLast = _never,
        include_input: bool = False,
        after_message: AfterMessage = _no_pause,
    ) -> None:
        """Watch many generations with the stub, until `is_last` returns True.

        Each stream resumes with the token of the last message. Without a token it starts again, as after a reset.
        """
        wanted = GenerationFilter(ids=ids, labels=labels)
        request = WatchGenerationsRequest(filter=wanted, include_input=include_input)
        with self._watch("overview", "bare", ids=list(ids)) as watch:
            on_restart = functools.partial(self._note, "reset", watch)
            async with aclosing(self._messages(access.stub.WatchGenerations, request, on_restart)) as messages:
                async for message in messages:
                    if message.reset:
                        request.resume_token = ""
                        on_restart()
                    if message.missing_ids:
                        self._note("missing", watch, ids=list(message.missing_ids))
                    if message.HasField("generation"):
                        self._record_message("news", watch, message.generation)
                        if is_last(message.generation):
                            watch.complete = True
                            return
                    if message.caught_up:
                        self._note("caught up", watch)
                    if message.caught_up or request.resume_token:
                        request.resume_token = message.resume_token
                    await after_message()

    async def _messages(
        self, method: Any, request: Any, on_restart: Callable[[], None] | None = None
    ) -> AsyncGenerator[Any, None]:
        """Yield the messages of one stream after another until a stream is complete.

        Each stream is opened with the current `request`. Raises GatewayError for errors that must not be retried.
        """
        received = False
        while True:
            if on_restart and received and not request.resume_token:
                on_restart()
            call = method(request)
            try:
                async for message in call:
                    received = True
                    yield message
            except grpc.aio.AioRpcError as error:
                failure = error_from_rpc(error)
                if not may_repeat(failure):
                    raise failure from error
                await asyncio.sleep(self._pause)
            else:
                return
            finally:
                call.cancel()

    @contextmanager
    def _watch(self, what: str, way: Literal["client", "bare"], **about: object) -> Iterator[_Watch]:
        """Record the start and the end of a watch."""
        watch = _Watch(next(self._numbers))
        self._note(what, watch, way=way, **about)
        try:
            yield watch
        except GatewayError as error:
            code = error.code.name if error.code else ""
            self._note(f"{what} failed", watch, code=code, reason=error.reason, message=error.message[:200])
        except asyncio.CancelledError:
            self._left(what, watch)
            raise
        else:
            if watch.complete:
                self._left(what, watch)
            else:
                self._note(f"{what} ended", watch)

    def _left(self, what: str, watch: _Watch) -> None:
        self._note(f"{what} left", watch, **({"complete": watch.complete} if what == "overview" else {}))

    def _record_message(self, what: str, watch: _Watch, generation: Generation) -> None:
        self.received += 1
        self._note(what, watch, **generation_fields(generation))

    def _note(self, what: str, watch: _Watch, **fields: object) -> None:
        self._recorder.record(what, watch=watch.number, **fields)
