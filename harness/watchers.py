"""Those who watch, and write down all that they are told: with the shipped client, or by hand with bare stubs.

A watch has a number and outlasts its streams: it is resumed where it stood, by the client itself or, with a bare stub,
by the resume point of the last message. Bare stubs hide nothing of what a stream says. `watches.py` judges it.
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

from harness.history import Recorder, told
from hfgateway.v1.generation_pb2 import Generation
from hfgateway.v1.generation_service_pb2 import GenerationFilter, WatchGenerationRequest, WatchGenerationsRequest
from hfgateway.v1.generation_service_pb2_grpc import GenerationServiceStub
from hfgateway_client import AsyncClient, CaughtUp, GatewayError, GenerationChanged, MissingGenerations, Reset
from hfgateway_client.channel import CHANNEL_OPTIONS
from hfgateway_client.retry import RetryPolicy, may_repeat
from hfgateway_client.status import error_from_rpc

BARE_OPTIONS = (*CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1))
"""Channels to one address share their connection unless they are told not to."""

Last = Callable[[Generation], bool]
"""Whether it is the last that a watch of many waits for: by then all that was committed before it has been told."""

Leisure = Callable[[], Awaitable[None]]
"""Awaited after each message, before the next is read: how slow a reader is."""


@dataclass(frozen=True, slots=True)
class Access:
    """A way to the gateway: the shipped client, and a stub that hides nothing of what a stream says."""

    client: AsyncClient
    stub: Any


@asynccontextmanager
async def access_to(address: str, retry: RetryPolicy | None = None) -> AsyncIterator[Access]:
    """A connection of its own for the stub, and a client, which shares connections with others to that address."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(AsyncClient(address, retry=retry))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(address, options=BARE_OPTIONS))
        yield Access(client, GenerationServiceStub(channel))


@dataclass(slots=True)
class _Watch:
    number: int
    complete: bool = False
    """It was left, and there was nothing more to come."""


def _none(_: Generation) -> bool:
    return False


async def _at_once() -> None:
    pass


class Watchers:
    """Every method is one watch, from its opening until it ends, fails, or is canceled.

    `pause`: seconds after which who watches with a bare stub comes again.
    """

    def __init__(self, recorder: Recorder, pause: float = 0.2) -> None:
        self._recorder = recorder
        self._pause = pause
        self._numbers = itertools.count(1)
        self.told = 0
        """Generations that all of them were told, repeats and all."""

    async def client_watch(self, access: Access, name: str, after: int = 0) -> None:
        """One generation, as the shipped client watches it."""
        with self._watch("watch", "client", id=name, after=after) as watch:
            async for generation in access.client.watch(name, after_revision=after):
                self._told("saw", watch, generation)

    async def bare_watch(self, access: Access, name: str, after: int = 0) -> None:
        """By hand: resumed behind the last revision, and whatever comes is written down as it comes."""
        request = WatchGenerationRequest(id=name, after_revision=after)
        with self._watch("watch", "bare", id=name, after=after) as watch:
            async for message in self._resumed(access.stub.WatchGeneration, request):
                if message.HasField("generation"):
                    request.after_revision = message.generation.revision
                    self._told("saw", watch, message.generation)

    async def client_overview(
        self, access: Access, *, ids: Sequence[str] = (), labels: Mapping[str, str] | None = None, last: Last = _none
    ) -> None:
        """Many generations, as the shipped client watches them; left after the `last`."""
        with self._watch("overview", "client", ids=list(ids)) as watch:
            async with aclosing(access.client.watch_many(ids=ids, labels=labels)) as events:
                async for event in events:
                    match event:
                        case GenerationChanged(generation=generation):
                            self._told("news", watch, generation)
                            if last(generation):
                                watch.complete = True
                                return
                        case CaughtUp():
                            self._note("caught up", watch)
                        case Reset():
                            self._note("reset", watch)
                        case MissingGenerations(ids=missing):
                            self._note("missing", watch, ids=list(missing))

    async def bare_overview(
        self,
        access: Access,
        *,
        ids: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        last: Last = _none,
        include_input: bool = False,
        leisure: Leisure = _at_once,
    ) -> None:
        """By hand: resumed with the token of the last message; while there is none it starts over, as after a reset."""
        wanted = GenerationFilter(ids=ids, labels=labels)
        request = WatchGenerationsRequest(filter=wanted, include_input=include_input)
        with self._watch("overview", "bare", ids=list(ids)) as watch:
            starts_over = functools.partial(self._note, "reset", watch)
            async with aclosing(self._resumed(access.stub.WatchGenerations, request, starts_over)) as messages:
                async for message in messages:
                    if message.reset:
                        request.resume_token = ""
                        starts_over()
                    if message.missing_ids:
                        self._note("missing", watch, ids=list(message.missing_ids))
                    if message.HasField("generation"):
                        self._told("news", watch, message.generation)
                        if last(message.generation):
                            watch.complete = True
                            return
                    if message.caught_up:
                        self._note("caught up", watch)
                    if message.caught_up or request.resume_token:
                        request.resume_token = message.resume_token
                    await leisure()

    async def _resumed(
        self, method: Any, request: Any, starts_over: Callable[[], None] | None = None
    ) -> AsyncGenerator[Any, None]:
        """The messages of stream after stream, each opened with the request as it is then, until one is complete.

        Raises GatewayError for what is no cause to come again.
        """
        told = False
        while True:
            if starts_over and told and not request.resume_token:
                starts_over()
            call = method(request)
            try:
                async for message in call:
                    told = True
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
        """Write down how it begins, and how it ends."""
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

    def _told(self, what: str, watch: _Watch, generation: Generation) -> None:
        self.told += 1
        self._note(what, watch, **told(generation))

    def _note(self, what: str, watch: _Watch, **fields: object) -> None:
        self._recorder.note(what, watch=watch.number, **fields)
