"""A gateway in the test's event loop, a sandbox on a real socket, and clients of every transport."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gateway.generations.clock import SystemClock
from gateway.generations.model import GenerationId, Wall
from gateway.higgsfield.credentials import Credentials
from gateway.process.app import Gateway
from gateway.process.assembly import ClockFrom, Machine
from gateway.sandbox.clock import ManualClock
from gateway.sandbox.faults import Fault
from gateway.sandbox.ledger import Ledger
from gateway.sandbox.server import Sandbox, SandboxOptions
from gateway.settings.config import read_settings
from gateway.store.sqlite.database import Database
from gateway.store.sqlite.store import SqliteStore
from hfgateway.v1 import generation_input_pb2, generation_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.addresses import free_address, free_port
from tests.support.transports import TRANSPORTS, Transport, open_transport

CREDENTIALS = Credentials("sandbox", "sandbox")
DEFAULT_OPTIONS: dict[str, Any] = {"queue_seconds": 1.0, "image_seconds": 4.0, "concurrency_limit": 50}
"""Sandbox options. An image is queued for 1 s and runs for 4 s of the sandbox's clock, which the test advances."""
POLL_INTERVAL = "0.25"
"""Seconds between polls of a generation by default. It is also polled when the test advances the sandbox's clock."""
WAIT_TIMEOUT = 60.0
"""Timeout of every wait in seconds; no test should come near it."""

Generation = generation_pb2.Generation


@dataclass(frozen=True)
class _HeldFault(Fault):
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self) -> None:
        async with asyncio.timeout(WAIT_TIMEOUT):
            await self.released.wait()


class Running:
    """A sandbox with a manual clock, a gateway that uses this sandbox, and clients of the gateway.

    The gateway uses the clock that `clock_from` makes, by default the system clock. A change of `credentials` applies
    to the next gateway that is started.
    """

    def __init__(
        self,
        folder: Path,
        options: SandboxOptions,
        settings: Mapping[str, str],
        clock: ManualClock | None = None,
        clock_from: ClockFrom = SystemClock,
    ) -> None:
        self.clock = clock or ManualClock()
        self.credentials = CREDENTIALS
        self._clock_from = clock_from
        # While the sandbox is stopped, the system must not give its port to another test's: the gateway calls it again.
        self.sandbox = Sandbox(replace(options, port=free_port()), self.clock)
        self._folder = folder
        self._settings = settings
        self._stack = AsyncExitStack()
        self._clients = AsyncExitStack()
        self._serving = False
        self._drain: asyncio.Task[None] | None = None
        self.transports: dict[str, Transport] = {}
        self.gateway: Gateway

    async def start(self) -> None:
        """Start the sandbox and the gateway."""
        await self._stack.enter_async_context(self.sandbox)
        await self.start_gateway()

    async def stop(self) -> None:
        """Stop the clients, the gateway and the sandbox in this order, so that no client delays the gateway's drain."""
        await self._clients.aclose()
        if self._serving:
            await self.stop_gateway()
        await self._stack.aclose()

    async def start_gateway(self) -> None:
        """Start a gateway on the store, with the data of an earlier gateway if there was one."""
        await self.new_gateway().start()
        self._serving = True
        if self.gateway._settings.poll_max == float(POLL_INTERVAL):
            self._await_advance()
        for name in TRANSPORTS:
            transport = open_transport(name, self.gateway.grpc_address, self.gateway.http_address)
            self._clients.push_async_callback(transport.close)
            self.transports[name] = transport

    def new_gateway(self) -> Gateway:
        """Replace `gateway` by one that is not started."""
        environment = {
            "GRPC_ADDRESS": "127.0.0.1:0",
            "HTTP_ADDRESS": "127.0.0.1:0",
            "STORE_URL": f"sqlite:///{self.store_path}",
            "UPSTREAM_URL": self.sandbox.url,
            "POLL_MIN": POLL_INTERVAL,
            "POLL_MAX": POLL_INTERVAL,
            "DRAIN": "5",
            **self._settings,
        }
        settings = read_settings({f"HFGATEWAY_{name}": value for name, value in environment.items()})
        self.gateway = Gateway(settings, self.credentials, Machine(clock_from=self._clock_from))
        return self.gateway

    def _await_advance(self) -> None:
        """Poll at once when the sandbox's clock is next advanced, because states change by nothing else."""
        self.clock.call_at(math.nextafter(self.clock.now(), math.inf), self._poll)

    def _poll(self) -> None:
        """Poll all generations, except those with failed polls and those that wait for a webhook."""
        if not self._serving:
            return
        self._await_advance()
        follower = self.gateway._core.follower
        for entry in self.gateway._core.feed.entries.values():
            if entry.poll_at and not entry.errors and not entry.relies_on_webhook:
                follower._schedule.plan(entry, 0.0)
                follower._plan(entry.generation)

    async def key(self, tenant: str) -> str:
        """Create an API key of a tenant, and return its secret."""
        _, secret = await self.gateway.access.create_key(tenant, "")
        return secret

    @staticmethod
    def message(described: Descriptor) -> Message:
        """Return an empty message of this type."""
        empty: Message = GetMessageClass(described)()
        return empty

    def caller(self, transport: str, secret: str) -> Transport:
        """Return a client that sends an API key or a watch token, or neither if `secret` is empty."""
        authorization = f"Bearer {secret}" if secret else ""
        client = open_transport(
            transport, self.gateway.grpc_address, self.gateway.http_address, authorization=authorization
        )
        self._clients.push_async_callback(client.close)
        return client

    async def callers(self, *tenants: str) -> list[Transport]:
        """Return a gRPC client of each tenant, with a new API key."""
        return [self.caller("grpc", await self.key(tenant)) for tenant in tenants]

    async def begin_drain(self) -> None:
        """Start to stop the gateway; return once its drain has begun."""
        self._drain = asyncio.create_task(self.gateway.stop())
        await asyncio.sleep(0)

    async def stop_gateway(self) -> None:
        """Stop the gateway and wait for the end of its drain. Connections of clients stay open until then."""
        if self._drain is None:
            await self.begin_drain()
        assert self._drain is not None
        await self._drain
        self._drain = None
        self._serving = False
        await self._clients.aclose()

    @property
    def draining(self) -> bool:
        """Whether the drain has begun."""
        return self._drain is not None

    @property
    def store_path(self) -> Path:
        """The file of the gateway's store."""
        return self._folder / "store.db"

    @property
    def grpc(self) -> Transport:
        """A gRPC client, for tests that do not depend on the transport."""
        return self.transports["grpc"]

    @property
    def ledger(self) -> Ledger:
        """The sandbox's record of requests and charges."""
        return self.sandbox.ledger

    @property
    def database(self) -> Database:
        """The open file of the gateway's store."""
        store = self.gateway._core.store
        assert isinstance(store, SqliteStore)
        return store.database

    async def learn_time(self) -> None:
        """Let the gateway learn Higgsfield's time, so that no commit for that disturbs the test later.

        On a busy machine it may not learn it in time. A Date then lets it try again.
        """
        trusted, writer = self.gateway._core.trusted_time, self.database.writer
        await trusted.learn()
        trusted.note_date(Wall(time.time()))
        await eventually(lambda: trusted._placed and not writer._busy and not writer._waiting)

    def plan(self, **fault: Any) -> None:
        """Queue a fault in the sandbox; the fields are those of `POST /__plan`."""
        self.sandbox.state.plan.add([Fault.parse(fault)])

    @contextmanager
    def held(self, **fault: Any) -> Iterator[Callable[[], None]]:
        """Queue a fault as `plan` does. Its response waits until the end of the block, or a call of what is yielded."""
        held = _HeldFault.parse(fault)
        assert isinstance(held, _HeldFault)
        self.sandbox.state.plan.add([held])
        try:
            yield held.released.set
        finally:
            held.released.set()

    async def metrics(self) -> str:
        """Return the text of /metrics."""
        async with aiohttp.ClientSession() as session, session.get(self.gateway.http_address + "/metrics") as answer:
            return await answer.text()

    async def metric(self, name: str) -> float:
        """Return the value of a metric without labels."""
        (line,) = (line for line in (await self.metrics()).splitlines() if line.startswith(f"{name} "))
        return float(line.removeprefix(f"{name} "))

    async def metric_becomes(self, name: str, value: float) -> None:
        """Wait until a metric has this value."""
        async with asyncio.timeout(WAIT_TIMEOUT):
            while await self.metric(name) != value:
                await asyncio.sleep(0.01)

    async def calls_open(self, method: str, count: int, service: str = "GenerationService") -> None:
        """Wait until `count` calls of a method are in progress at the gateway."""
        line = re.compile(rf'^hfgateway_rpc_open{{method="/[\w.]+\.{service}/{method}"}} {count}\.0$', re.MULTILINE)
        async with asyncio.timeout(WAIT_TIMEOUT):
            while not line.search(await self.metrics()):
                await asyncio.sleep(0.01)

    async def cancel_stored(self, generation_id: str) -> None:
        """Wait until the gateway has stored that a generation, which is being submitted, is to be canceled."""
        entry = self.gateway._core.feed.entries[GenerationId(generation_id)]
        await eventually(lambda: entry.generation.cancel_requested)

    async def submit(self, request: pb.SubmitGenerationRequest) -> Generation:
        """Submit over gRPC."""
        answer: pb.SubmitGenerationResponse = await self.grpc.call("SubmitGeneration", request)
        return answer.generation

    async def get(self, generation_id: str) -> Generation:
        """Return the current state of a generation over gRPC."""
        answer: pb.GetGenerationResponse = await self.grpc.call(
            "GetGeneration", pb.GetGenerationRequest(id=generation_id)
        )
        return answer.generation

    async def read(self, generation_id: str) -> Generation:
        """Return a generation as the gateway knows it, without a forecast. Higgsfield is not asked for its state."""
        request = pb.ListGenerationsRequest(filter=pb.GenerationFilter(ids=[generation_id]), include_input=True)
        answer: pb.ListGenerationsResponse = await self.grpc.call("ListGenerations", request)
        (found,) = answer.generations
        return without_forecast(found)

    async def until(self, generation_id: str, state: str) -> Generation:
        """Watch a generation, and return its first revision in this state."""
        async with asyncio.timeout(WAIT_TIMEOUT):
            async for generation in self.history(generation_id):
                if name_of(generation) == state:
                    return generation
                assert not generation.done, f"ended as {name_of(generation)}: {generation.failure.message}"
        raise AssertionError("the watch ended early")

    async def history(self, generation_id: str) -> AsyncIterator[Generation]:
        """Watch a generation, and yield every revision until it has ended."""
        async for answer in self.grpc.stream("WatchGeneration", pb.WatchGenerationRequest(id=generation_id)):
            if answer.HasField("generation"):
                yield answer.generation

    async def finish(self, generation_id: str, state: str = "COMPLETED") -> Generation:
        """Wait for the acceptance, advance the sandbox's clock by 60 s, and return the ended generation."""
        await self._accepted(generation_id)
        self.clock.advance(60)
        return await self.until(generation_id, state)

    async def start_running(self, generation_id: str) -> Generation:
        """Wait for the acceptance, advance the sandbox's clock by 1.5 s, and return the running generation."""
        await self._accepted(generation_id)
        self.clock.advance(1.5)
        return await self.until(generation_id, "IN_PROGRESS")

    async def _accepted(self, generation_id: str) -> None:
        async with asyncio.timeout(WAIT_TIMEOUT):
            async for generation in self.history(generation_id):
                if generation.HasField("accept_time") or generation.done:
                    return


Start = Callable[..., Awaitable[Running]]


def split(terms: Mapping[str, Any]) -> tuple[SandboxOptions, dict[str, str]]:
    """Return the options of a sandbox, and the settings of a gateway, whose names are in uppercase."""
    settings = {name: str(value) for name, value in terms.items() if name.isupper()}
    options = {name: value for name, value in terms.items() if name not in settings}
    return SandboxOptions(**(DEFAULT_OPTIONS | options)), settings


@asynccontextmanager
async def run(folder: Path, *, clock_from: ClockFrom = SystemClock, **terms: Any) -> AsyncIterator[Running]:
    """Run a sandbox and a gateway.

    Uppercase names in `terms` are settings of the gateway without HFGATEWAY_; the others are options of the sandbox.
    """
    running = Running(folder, *split(terms), clock_from=clock_from)
    try:
        await running.start()
        yield running
    finally:
        await running.stop()


@asynccontextmanager
async def starting(folder: Path, **usual: Any) -> AsyncIterator[Start]:
    """Yield a function that starts a gateway: it takes the arguments of `run`; `usual` are the defaults."""
    async with AsyncExitStack() as stack:

        async def start(**terms: Any) -> Running:
            return await stack.enter_async_context(run(folder, **(usual | terms)))

        yield start


def without_forecast(generation: Generation) -> Generation:
    """Return a copy without the forecast, which is another one each time."""
    copy = Generation()
    copy.CopyFrom(generation)
    copy.ClearField("forecast")
    return copy


def name_of(generation: Generation) -> str:
    """Return the name of a generation's state without its prefix."""
    return generation_pb2.GenerationState.Name(generation.state).removeprefix("GENERATION_STATE_")


def soul(prompt: str, key: str = "", **fields: Any) -> pb.SubmitGenerationRequest:
    """Return a submission to Soul, by default with a key derived from its prompt."""
    request = pb.SubmitGenerationRequest(idempotency_key=key or f"key-of-{prompt}".replace(" ", "-")[:255], **fields)
    request.input.soul.prompt = prompt
    return request


def sized(prompt: str, batch_size: int = 4, **fields: Any) -> pb.SubmitGenerationRequest:
    """Return a submission to Soul with a size in pixels, which the gateway sends to API v1 as a job set."""
    request = soul(prompt, **fields)
    request.input.soul.width, request.input.soul.height, request.input.soul.batch_size = 1536, 1152, batch_size
    return request


def spoken(prompt: str, **fields: Any) -> pb.SubmitGenerationRequest:
    """Return a submission to Speak."""
    request = soul(prompt, **fields)
    request.input.speak.prompt = prompt
    request.input.speak.image_url = "https://files.example/portrait.png"
    request.input.speak.audio_url = "https://files.example/speech.wav"
    return request


def model(model_id: str, parameters: Mapping[str, Any], key: str, **fields: Any) -> pb.SubmitGenerationRequest:
    """Return a submission to any model."""
    request = pb.SubmitGenerationRequest(idempotency_key=key, **fields)
    request.input.model.model_id = model_id
    request.input.model.parameters.update(parameters)
    return request


def keyframes(prompt: str, count: int = 4, **fields: Any) -> pb.SubmitGenerationRequest:
    """Return a submission to an endpoint of v1 that has no typed input."""
    request = soul(prompt, **fields)
    request.input.model.model_id = "v1/text2image/keyframes"
    request.input.model.api_version = generation_input_pb2.API_VERSION_V1
    request.input.model.parameters.update({"prompt": prompt, "count": count})
    return request


def public_url() -> dict[str, str]:
    """Return the settings that enable webhooks. The port is chosen in advance, because PUBLIC_URL contains it."""
    address = free_address()
    return {"HTTP_ADDRESS": address, "PUBLIC_URL": f"http://{address}"}


async def eventually(holds: Callable[[], object]) -> None:
    """Poll until a condition holds, if there is no event to wait for. Raises TimeoutError after WAIT_TIMEOUT.

    If the condition returns an awaitable, its result is the condition.
    """
    async with asyncio.timeout(WAIT_TIMEOUT):
        while not (await found if isinstance(found := holds(), Awaitable) else found):
            await asyncio.sleep(0.01)


async def collected(stream: AsyncIterator[Message]) -> list[Any]:
    """Return all messages of a stream that ends with OK."""
    async with asyncio.timeout(WAIT_TIMEOUT):
        return [message async for message in stream]
