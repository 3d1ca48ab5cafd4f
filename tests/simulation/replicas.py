"""The simulated machines of several replicas on one database, the network between them, and their load balancer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast
from unittest import mock

import grpc
from grpc.aio import Metadata

from gateway.access.identity import ANONYMOUS, Access
from gateway.errors import gateway_unavailable
from gateway.generations.adopt import Adoption
from gateway.generations.clock import SystemClock
from gateway.generations.model import Generation, GenerationId
from gateway.generations.service import Submission
from gateway.generations.stores import Filter, UnconfirmedError
from gateway.generations.watching.feed import Entry
from gateway.generations.watching.watch import Position, WatchMessage
from gateway.process import app
from gateway.process.app import Gateway
from gateway.process.assembly import Machine
from gateway.process.core import Core
from gateway.process.replica import Replica
from gateway.rpc.call import Call
from gateway.rpc.limits.call_limits import WebhookLimit
from gateway.rpc.transports.forwarding import (
    HEADER_PREFIX,
    PATH_METADATA,
    RETRY_AFTER,
    WEBHOOK_METHOD,
    ReceiveWebhook,
    ToLeader,
)
from gateway.settings.config import Settings
from gateway.store.store import SharedStore
from gateway.web.webhook import forwarding_route, webhook_receiver
from tests.simulation.gateway import CREDENTIALS, Instance, NotConnectedError, Server, received_webhooks
from tests.simulation.loop import CURRENT_PROCESS
from tests.simulation.postgres import DatabaseServer, Link
from tests.simulation.world import World

T = TypeVar("T")
KEEPALIVE = 20.0
"""Seconds after which a connection breaks whose other side does not answer."""
UNARY, STREAM = "/unary", "/stream"
"""The methods of forwarded calls, whose request is a function of the core."""


class Node(Server):
    """A machine that runs one replica after another."""

    def __init__(
        self, world: World, settings: Settings, numbers: Iterator[int], name: str, database: DatabaseServer
    ) -> None:
        super().__init__(world, settings, numbers)
        self.name = name
        self.wall_skew = 0.0
        """Seconds by which its wall clock is ahead of the true time."""
        self.link = Link()
        """Its network to the database."""
        self.isolated = False
        """Whether it and the other replicas cannot reach each other."""
        self.others: Mapping[str, Node] = {}
        """All nodes, by their names."""
        self._database = database
        self._gateway: Gateway

    @property
    def ports(self) -> Ports | None:
        """The ports of its present process; None if it accepts no calls."""
        instance = self.instance
        return cast(Ports, instance.core) if instance is not None and instance.accepting else None

    @property
    def paused(self) -> bool:
        """Whether its present process is paused."""
        return self.instance is not None and self.instance.process.stopped

    async def open(self, instance: Instance) -> None:
        process = instance.process
        process.wall_skew = self.wall_skew
        self._database.links[process.number] = self.link
        machine = Machine(
            clock_from=lambda newest: SystemClock(newest, wall=self.world.wall, monotonic=self.world.steady),
            transport=self.higgsfield.transport,
        )
        self._gateway = Gateway(self.settings, CREDENTIALS, machine)
        await self._gateway.start()

    async def close(self, instance: Instance) -> None:
        await self._gateway.stop()

    def pause(self, seconds: float) -> None:
        """Stop the present process for a while, as SIGSTOP and SIGCONT do."""
        instance = self.instance
        if instance is not None and not self.paused:
            self.world.record("pauses", instance.process.number)
            instance.process.stop()
            self.world.spawn(self._resume_after(instance, seconds))

    async def _resume_after(self, instance: Instance, seconds: float) -> None:
        while seconds > 0.0 and not instance.ended.done():
            await self.world.sleep(min(seconds, KEEPALIVE))
            seconds -= KEEPALIVE
            if seconds > 0.0:
                self.break_connections(instance, "the connection is silent")
        if not instance.ended.done():
            self.world.record("resumes", instance.process.number)
            instance.process.resume()


class Ports:
    """Takes the place of the ports of a gateway: callers and other replicas call its methods.

    It has the parts of a core that callers use. On a replica that does not lead, they read there or are forwarded, as
    `gateway.rpc.transports.forwarding` says.
    """

    def __init__(
        self, node: Node, serving: Core | Replica, exit_stack: contextlib.AsyncExitStack, instance: Instance
    ) -> None:
        self._node = node
        self._serving = serving
        self._access = serving.access
        self.store = serving.store
        self._instance = instance
        self._exit = exit_stack
        self._webhooks: ReceiveWebhook | None = None
        self.service = self.watches = self.adopter = self.follower = self
        self.access = _AccessOfReplica(self, serving.access)
        self.agents = _AgentsOfLeader(self, "agents")
        self.accounts, self.resolver, self.tenant_callbacks, self.characters, self.budgets = (
            _PartOfLeader(self, name) for name in ("accounts", "resolver", "tenant_callbacks", "characters", "budgets")
        )
        if isinstance(serving, Replica):
            self._replica = serving
            self._leader = ToLeader(
                lambda: serving.store.leader.peer, self._connect, serving.access.replica_secret, lambda _: None
            )
            following = asyncio.create_task(self._leader.keep_checking())
            exit_stack.callback(following.cancel)
            exit_stack.push_async_callback(self._leader.close)

    # -- What the gateway uses -----------------------------------------------------------------------------------------

    def report_not_serving(self) -> None:
        """Do nothing: no test asks for its health."""

    async def leader_responded(self) -> None:
        """Wait for the leader's responses to the calls under way."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._node.settings.drain):
                await self._leader.responded()

    async def open_grpc(self) -> str:
        """Accept calls and webhooks."""
        serving, instance = self._serving, self._instance
        if isinstance(serving, Core):
            instance.deliver = self._take_webhooks(serving)
        else:
            self._webhooks = self._leader.webhook
            limit = WebhookLimit(lambda: None)
            instance.deliver = forwarding_route(serving.store.generations, self._receive_webhook, limit).endpoint
        self._exit.push_async_callback(self._node.end_calls, instance)
        instance.core = cast(Core, self)
        instance.accepting = True
        return self._node.name

    async def publish_address(self) -> None:
        """Publish the name of the node."""
        await cast(SharedStore, self._serving.store).reachable_at(self._node.name)

    async def open_http(self, listening: object) -> str:
        """Do nothing: `open_grpc` has opened everything."""
        return ""

    async def open_admin(self) -> str:
        """Do nothing: there is no operator."""
        return ""

    def lead(self, core: Core) -> None:
        """Serve a core in place of the replica that has become it."""
        self._serving = core
        self._take_webhooks(core)

    def _take_webhooks(self, core: Core) -> Callable[..., Any]:
        route = received_webhooks(core)
        self._webhooks = webhook_receiver(route)
        return route.endpoint

    async def _receive_webhook(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        assert self._webhooks is not None
        return await self._webhooks(path, headers, body)

    # -- Calls of callers ----------------------------------------------------------------------------------------------

    @property
    def leads(self) -> bool:
        """Whether its gateway leads and serves calls as the leader."""
        return isinstance(self._serving, Core)

    @property
    def not_ready(self) -> str:
        """Why the gateway is not ready for calls."""
        return self._serving.not_ready

    def check(self) -> None:
        """Raise GATEWAY_UNAVAILABLE if the replica may not know the present state."""
        self._access.check(ANONYMOUS)

    async def led(self, work: Callable[[Core], Awaitable[T]]) -> T:
        """Run a call on the core of the leader."""
        self.check()
        if isinstance(self._serving, Core):
            return await work(self._serving)
        with self._leader.awaited():
            answer = await self._leader.unary(UNARY, cast(bytes, work), Call(UNARY, None))
            with contextlib.suppress(UnconfirmedError):
                await self._replica.store.change_log.announced()
            return cast(T, answer)

    async def led_stream(self, work: Callable[[Core], AsyncIterator[T]]) -> AsyncIterator[T]:
        """Open a stream of the core of the leader."""
        self.check()
        if isinstance(self._serving, Core):
            messages = work(self._serving)
        else:
            messages = cast(AsyncIterator[T], self._leader.stream(STREAM, cast(bytes, work), Call(STREAM, None)))
        async with contextlib.aclosing(cast(AsyncGenerator[T], messages)):
            async for message in messages:
                yield message

    def forwarded_stream(self, work: Callable[[Core], AsyncIterator[T]]) -> AsyncIterator[T]:
        """Open a stream that another replica has forwarded."""
        self.check()
        if not isinstance(self._serving, Core):
            raise gateway_unavailable("this replica does not lead", retry_after=RETRY_AFTER)
        return work(self._serving)

    async def forwarded(self, work: Callable[[Core], Awaitable[T]]) -> T:
        """Run a call that another replica has forwarded."""
        self.check()
        if not isinstance(self._serving, Core):
            raise gateway_unavailable("this replica does not lead", retry_after=RETRY_AFTER)
        return await work(self._serving)

    async def forwarded_webhook(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Take a webhook that another replica has forwarded."""
        if self._webhooks is None or isinstance(self._serving, Replica):
            return 503, b"try again\n"
        return await self._webhooks(path, headers, body)

    @property
    def _reads(self) -> Any:
        """What reads generations here."""
        self.check()
        return self._serving.service if isinstance(self._serving, Core) else self._serving.reads

    async def submit(self, tenant: str, submission: Submission) -> tuple[Generation, bool]:
        return await self.led(lambda core: core.service.submit(tenant, submission))

    async def adopt(self, tenant: str, adoption: Adoption) -> tuple[Generation, bool]:
        return await self.led(lambda core: core.adopter.adopt(tenant, adoption))

    async def cancel(self, tenant: str, name: GenerationId) -> Generation:
        return await self.led(lambda core: core.service.cancel(tenant, name))

    async def delete(self, tenant: str, name: GenerationId) -> None:
        await self.led(lambda core: core.service.delete(tenant, name))

    async def get(self, tenant: str, name: GenerationId) -> Generation:
        return cast(Generation, await self._reads.get(tenant, name))

    async def entry(self, tenant: str, name: GenerationId) -> Entry:
        return cast(Entry, await self._reads.entry(tenant, name))

    async def page(
        self, tenant: str, wanted: Filter, before: str | None, limit: int
    ) -> tuple[Sequence[Generation], str | None]:
        if wanted.idempotency_key:
            return await self.led(lambda core: core.service.page(tenant, wanted, before, limit))
        return cast(tuple[Sequence[Generation], str | None], await self._reads.page(tenant, wanted, before, limit))

    async def wait(
        self, tenant: str, name: GenerationId, enough: Callable[[Generation], bool], seconds: float | None
    ) -> Generation:
        return cast(Generation, await self._reads.wait(tenant, name, enough, seconds))

    def refresh(self, entry: Entry) -> bool:
        return isinstance(self._serving, Core) and self._serving.follower.refresh(entry)

    async def wait_for_refresh(self, entry: Entry) -> None:
        if isinstance(self._serving, Core):
            await self._serving.follower.wait_for_refresh(entry)

    def one(
        self, tenant: str, name: GenerationId, seen: int, tick: float, _: object
    ) -> AsyncIterator[tuple[Generation, Entry] | None]:
        self.check()
        return self._serving.watches.one(tenant, name, seen, tick, self.check)

    def many(
        self, tenant: str, wanted: Filter, at: Position | None, tick: float, _: object
    ) -> AsyncIterator[WatchMessage]:
        self.check()
        return self._serving.watches.many(tenant, wanted, at, tick, self.check)

    # -- Calls to the leader -------------------------------------------------------------------------------------------

    def _connect(self, peer: str) -> grpc.aio.Channel:
        return cast(grpc.aio.Channel, _Channel(self._node, self._node.others[peer]))


class _PartOfLeader:
    """A part of the leader's core, for calls at any replica."""

    def __init__(self, ports: Ports, part: str) -> None:
        self._ports = ports
        self._part = part

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        def act(*values: Any, **named: Any) -> Awaitable[Any]:
            return self._ports.led(lambda core: getattr(getattr(core, self._part), name)(*values, **named))

        return act


class _AgentsOfLeader(_PartOfLeader):
    """The agents of the leader's core."""

    def watch(self, *values: Any, **named: Any) -> AsyncIterator[Any]:
        return self._ports.led_stream(lambda core: core.agents.watch(*values, **named))


class _AccessOfReplica(_PartOfLeader):
    """The API keys: they are changed at the leader, and each replica authenticates its callers itself."""

    def __init__(self, ports: Ports, access: Access) -> None:
        super().__init__(ports, "access")
        self.authenticate, self.watch_token = access.authenticate, access.watch_token


class _Channel:
    """The connection of a replica to the leader, in place of one of gRPC."""

    def __init__(self, node: Node, leader: Node) -> None:
        self._node = node
        self._leader = leader
        self._calls: list[asyncio.Task[Any]] = []

    def unary_unary(self, method: str) -> Callable[..., asyncio.Task[Any]]:
        def begin(request: Any, *, metadata: Sequence[tuple[str, str]], timeout: float | None) -> asyncio.Task[Any]:
            return self.start(self._call(method, request, metadata))

        return begin

    def unary_stream(self, method: str) -> Callable[..., _ForwardedStream]:
        def begin(request: Any, *, metadata: Sequence[tuple[str, str]], timeout: float | None) -> _ForwardedStream:
            messages = self._leader.stream(lambda core: cast(Ports, core).forwarded_stream(request))
            return _ForwardedStream(self, cast(AsyncGenerator[Any], messages))

        return begin

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a part of a call, which ends when the connection is closed."""
        task = asyncio.create_task(work)
        self._calls = [*(one for one in self._calls if not one.done()), task]
        return task

    async def close(self) -> None:
        """Cancel all calls."""
        for task in self._calls:
            task.cancel()

    async def _call(self, method: str, request: Any, metadata: Sequence[tuple[str, str]]) -> Any:
        if method == UNARY:
            return await self.over_network(lambda: self._leader.call(lambda core: cast(Ports, core).forwarded(request)))
        assert method == WEBHOOK_METHOD
        headers = {name.removeprefix(HEADER_PREFIX): text for name, text in metadata if name.startswith(HEADER_PREFIX)}
        path = dict(metadata)[PATH_METADATA]
        status, text = await self.over_network(
            lambda: self._leader.call(lambda core: cast(Ports, core).forwarded_webhook(path, headers, request))
        )
        return b"%d %s" % (status, text)

    async def over_network(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do what needs the network between the two. Raises AioRpcError if it does not work."""
        try:
            await self._pass()
            answer = await work()
            await self._pass()
        except NotConnectedError as error:
            raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, Metadata(), Metadata(), str(error)) from None
        return answer

    async def _pass(self) -> None:
        """Return if the network between the two works. Otherwise the connection breaks after a while."""
        if self._node.isolated or self._leader.isolated:
            await self._node.world.sleep(KEEPALIVE)
            raise NotConnectedError("the replicas cannot reach each other")


class _ForwardedStream:
    """A stream of responses of the leader, in place of one of gRPC."""

    def __init__(self, channel: _Channel, messages: AsyncGenerator[Any]) -> None:
        self._channel = channel
        self._messages = messages
        self._reading: asyncio.Task[Any] | None = None

    def read(self) -> asyncio.Task[Any]:
        """Read a message; EOF after the last one."""
        self._reading = self._channel.start(self._channel.over_network(self._next))
        return self._reading

    def cancel(self) -> None:
        """End the stream."""
        if self._reading is None or self._reading.done():
            self._channel.start(self._messages.aclose())
        else:
            self._reading.cancel()

    async def _next(self) -> Any:
        return await anext(self._messages, grpc.aio.EOF)


class Balancer:
    """Connects each call to one of the nodes, preferably to one that is ready."""

    def __init__(self, world: World, nodes: Sequence[Node]) -> None:
        self._world = world
        self._nodes = nodes

    async def call(self, work: Callable[[Core], Awaitable[T]]) -> T:
        """Make a call; see `Server.call`."""
        return await self._choose().call(work)

    def stream(self, work: Callable[[Core], AsyncIterator[T]]) -> AsyncIterator[T]:
        """Open a stream; see `Server.stream`."""
        return self._choose().stream(work)

    async def deliver_webhook(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Send a webhook; see `Server.deliver_webhook`."""
        return await self._choose().deliver_webhook(url, headers, body)

    def _choose(self) -> Node:
        world = self._world
        ready = [
            node for node in self._nodes if node.ports is not None and not node.ports.not_ready and not node.paused
        ]
        # Its last look at their health may be old.
        return world.rng.choice(self._nodes if not ready or world.draw_fault(0.1) else ready)


@contextlib.contextmanager
def simulated_ports(nodes: Sequence[Node]) -> Iterator[None]:
    """Let gateways open simulated ports on the nodes, and end their process if they lose the store."""

    def present() -> tuple[Node, Instance]:
        process = CURRENT_PROCESS.get()
        return next((one, one.instance) for one in nodes if one.instance and one.instance.process is process)

    def ports(serving: Core | Replica, telemetry: object, traces: object, exit_stack: Any, worker: None) -> Ports:
        node, instance = present()
        return Ports(node, serving, exit_stack, instance)

    def broke(error: Exception) -> None:
        process = CURRENT_PROCESS.get()
        if process is not None and not process.dead:
            node, instance = present()
            node.world.record("exits", instance.process.number, error)
            node.crash(instance)

    with (
        mock.patch.object(app, "Ports", ports),
        mock.patch.object(app, "_store_broke", broke),
        mock.patch.object(app, "announce"),
        mock.patch.object(app, "listen"),
    ):
        yield
