"""The simulated machine: it runs one process of the gateway after another, and connects callers to it."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from starlette.requests import Request
from starlette.routing import Route

from gateway.errors import GatewayError, gateway_unavailable
from gateway.generations.clock import SystemClock
from gateway.generations.stores import UnconfirmedError
from gateway.higgsfield.credentials import Credentials
from gateway.higgsfield.webhooks import Signatures
from gateway.process.assembly import Machine, assemble
from gateway.process.core import Core
from gateway.process.serving import STOP_GRACE
from gateway.rpc.limits.call_limits import WebhookLimit
from gateway.settings.config import WEBHOOK_PATH, Settings
from gateway.store.store import StoreOpenError
from gateway.web.webhook import Proofs, webhook_route
from tests.simulation.disk import Disk
from tests.simulation.higgsfield import KEY_ID, SECRET, Higgsfield
from tests.simulation.loop import Process, SimulatedTask
from tests.simulation.world import World

T = TypeVar("T")
CREDENTIALS = Credentials(KEY_ID, "secret")
PUBLIC_URL = "https://gateway.example"
KILL_AFTER = 90.0
"""Seconds from SIGTERM until the machine kills the process. HFGATEWAY_DRAIN defaults to 75."""


class NotConnectedError(Exception):
    """Raised when the connection was refused or broke, so that the outcome of the call is unknown."""


class Instance:
    """A gateway in one process, with its core and its open calls."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.core: Core
        self.deliver: Callable[[Request], Awaitable[Any]]
        """The handler of the webhook endpoint."""
        self.accepting = False
        """Whether it accepts connections."""
        self.terminated_at: float | None = None
        """The true time of SIGTERM."""
        self.calls: dict[SimulatedTask, Callable[[BaseException], None]] = {}
        """The open calls. Each value is a function that fails the call for its caller."""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the process has ended and everything that it had open is closed."""


class Endpoint(Protocol):
    """Where callers connect."""

    async def call(self, work: Callable[[Core], Awaitable[T]]) -> T:
        """Make a call; see `Server.call`."""

    def stream(self, work: Callable[[Core], AsyncIterator[T]]) -> AsyncIterator[T]:
        """Open a stream; see `Server.stream`."""


async def confirmed(world: World, server: Endpoint, what: str, act: Callable[[Core], Awaitable[Any]]) -> bool:
    """Make a call once, for an operator, and record its outcome. Return whether the gateway has confirmed it."""
    try:
        await server.call(act)
    except (GatewayError, NotConnectedError) as error:
        world.record("operator:", what, "failed:", str(error))
        return False
    world.record("operator:", what)
    return True


class Server:
    """Starts and ends the processes of the gateway, and carries calls and webhooks to them.

    `numbers` are those of its processes.
    """

    def __init__(self, world: World, settings: Settings, numbers: Iterator[int] | None = None) -> None:
        self.world = world
        self.settings = settings
        self._numbers = numbers or itertools.count(1)
        self.higgsfield: Higgsfield
        self.instance: Instance | None = None
        self.process_count = 0
        """The number of the newest process."""
        self.terminations: list[tuple[int, float, float | None]] = []
        """For each process that stopped after SIGTERM: its number, the true time of SIGTERM, and the true time of its
        end, or None if it did not stop by itself and was killed."""
        self.refused_starts: list[str] = []
        """The messages of starts that the store refused."""
        self.response_loss = 0.0
        """The probability that the response to a call is lost."""

    # -- Processes -----------------------------------------------------------------------------------------------------

    async def run_process(self, prepare: Callable[[Process], None]) -> None:
        """Start the next process, and return when it has ended for any reason.

        `prepare` is called with the process before its first step.
        """
        self.process_count = next(self._numbers)
        process = Process(self.process_count)
        instance = self.instance = Instance(process)
        prepare(process)
        self.world.record("start", process.number)
        process.spawn(self._start(instance))
        await instance.ended

    async def _start(self, instance: Instance) -> None:
        try:
            await self.open(instance)
        except StoreOpenError as error:
            self.refused_starts.append(str(error))
            self.world.call_later(0.0, self._on_end, instance, "refused to start")
        except Exception as error:
            if instance.process.dead:
                return  # the process crashed during the start
            self.world.defects.append(f"the start failed: {type(error).__name__}: {error}")
            self.world.loop.give_up()  # the next start would fail too

    async def open(self, instance: Instance) -> None:
        """Start the gateway of an instance. Raises StoreOpenError."""
        raise NotImplementedError

    async def close(self, instance: Instance) -> None:
        """Stop the gateway of an instance."""
        raise NotImplementedError

    def release(self) -> None:
        """Close what a process had open, after it has ended."""

    def crash(self, instance: Instance | None) -> None:
        """End the process of an instance at once, as `kill -9` does."""
        if instance is not None and not instance.process.dead:
            instance.process.dead = True
            self.world.call_later(0.0, self._on_end, instance, "crashed")

    def terminate(self, instance: Instance | None) -> None:
        """Send SIGTERM to the process of an instance, unless it has received it or ended."""
        if instance is None or instance.process.dead or instance.terminated_at is not None:
            return
        self.world.record("SIGTERM")
        instance.terminated_at = self.world.now
        if not instance.accepting:
            self.crash(instance)  # the signal handler is not installed yet
            return
        instance.process.spawn(self._stop(instance))
        self.world.call_later(KILL_AFTER, self._kill_if_running, instance)

    async def _stop(self, instance: Instance) -> None:
        await self.close(instance)
        self.terminations.append((instance.process.number, instance.terminated_at or 0.0, self.world.now))
        self.world.call_later(0.0, self._on_end, instance, "stopped")

    async def end_calls(self, instance: Instance) -> None:
        """Accept no connection any more, and end the open calls."""
        instance.accepting = False
        if instance.calls:
            await asyncio.wait(list(instance.calls), timeout=STOP_GRACE)
        for task in list(instance.calls):
            task.cancel()

    def _kill_if_running(self, instance: Instance) -> None:
        if not instance.ended.done():
            self.terminations.append((instance.process.number, instance.terminated_at or 0.0, None))
            self.crash(instance)

    def _on_end(self, instance: Instance, how: str) -> None:
        if instance.ended.done():
            return
        self.world.record("process", instance.process.number, how)
        instance.process.dead = True
        self.instance = None
        self.release()
        instance.process.kill()
        self.break_connections(instance, "the process has ended")
        instance.calls.clear()
        instance.ended.set_result(None)

    # -- Calls ---------------------------------------------------------------------------------------------------------

    def break_connections(self, instance: Instance, why: str) -> None:
        """Fail the open calls of an instance for their callers."""
        for fail in list(instance.calls.values()):
            fail(NotConnectedError(why))

    async def call(self, work: Callable[[Core], Awaitable[T]]) -> T:
        """Make a call over a connection with latency. If the calling task is canceled, so is the call.

        Raises GatewayError, or NotConnectedError.
        """
        return await self._call(lambda instance: work(instance.core))

    async def _call(self, work: Callable[[Instance], Awaitable[T]]) -> T:
        await self.world.sleep(self._latency())
        instance = self._accepting_instance()
        response: asyncio.Future[T] = self.world.loop.create_future()

        async def serve() -> T:
            return await work(instance)

        task = self._start_call(instance, serve(), lambda error: _set_error(response, error))
        task.add_done_callback(lambda done: self._send_response(instance, done, response))
        try:
            return await response
        finally:
            self._disconnect(instance, task)

    async def stream(self, work: Callable[[Core], AsyncIterator[T]]) -> AsyncIterator[T]:
        """Open a server stream. The gateway sends a message only after the caller has read the one before.

        Raises GatewayError, or NotConnectedError.
        """
        await self.world.sleep(self._latency())
        instance = self._accepting_instance()
        stream: _Stream = _Stream(self.world)

        async def serve() -> None:
            messages = work(instance.core)
            try:
                async for message in messages:
                    await stream.send(message)
            finally:
                await messages.aclose()  # type: ignore[attr-defined]

        task = self._start_call(instance, serve(), stream.end)
        task.add_done_callback(lambda done: self._end_stream(instance, done, stream))
        try:
            while True:
                message = await stream.next()
                await self.world.sleep(self._latency())
                yield message
        except StopAsyncIteration:
            return
        finally:
            self._disconnect(instance, task)

    async def deliver_webhook(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Send a webhook to the gateway and return the HTTP status, or 0 without a response within ten seconds."""
        token = url.removeprefix(PUBLIC_URL + WEBHOOK_PATH)

        async def deliver(instance: Instance) -> int:
            scope = {
                "type": "http",
                "method": "POST",
                "path": WEBHOOK_PATH + token,
                "path_params": {"token": token},
                "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            }
            messages = deque([{"type": "http.request", "body": body, "more_body": False}])

            async def receive() -> dict[str, Any]:
                return messages.popleft()

            response = await instance.deliver(Request(scope, receive))  # type: ignore[arg-type]
            return int(response.status_code)

        try:
            async with asyncio.timeout(10.0):
                return await self._call(deliver)
        except (NotConnectedError, TimeoutError):
            return 0

    def _accepting_instance(self) -> Instance:
        instance = self.instance
        if instance is None or not instance.accepting:
            raise NotConnectedError("connection refused")
        return instance

    def _start_call(self, instance: Instance, work: Any, fail: Callable[[BaseException], None]) -> SimulatedTask:
        task = instance.process.spawn(work)
        instance.calls[task] = fail
        return task

    def _send_response(self, instance: Instance, task: SimulatedTask, response: asyncio.Future[Any]) -> None:
        instance.calls.pop(task, None)
        error = self._error_of(task)
        if self.world.draw_fault(self.response_loss):
            error = NotConnectedError("the response was lost")
        if error is not None:
            self.world.call_later(self._latency(), _set_error, response, error)
        else:
            self.world.call_later(self._latency(), _set_result, response, task.result())

    def _end_stream(self, instance: Instance, task: SimulatedTask, stream: _Stream) -> None:
        instance.calls.pop(task, None)
        stream.end(self._error_of(task))

    def _error_of(self, task: SimulatedTask) -> BaseException | None:
        if task.cancelled():
            return NotConnectedError("the server canceled the call")
        error = task.exception()
        if isinstance(error, UnconfirmedError):
            return gateway_unavailable("the store is not available")  # as `Chain.wire_form` does
        if error is not None and not isinstance(error, GatewayError):
            self.world.defects.append(f"a call failed in the gateway: {type(error).__name__}: {error}")
        return error

    def _disconnect(self, instance: Instance, task: SimulatedTask) -> None:
        if not task.done() and not instance.process.dead:
            self.world.call_later(self._latency(), _cancel, instance, task)

    def _latency(self) -> float:
        return self.world.log_uniform(0.0002, 0.02)


class SqliteServer(Server):
    """A server whose store is a SQLite file on a simulated disk."""

    def __init__(self, world: World, disk: Disk, settings: Settings) -> None:
        super().__init__(world, settings)
        self.disk = disk

    async def open(self, instance: Instance) -> None:
        machine = Machine(
            clock_from=lambda newest: SystemClock(newest, wall=self.world.wall, monotonic=self.world.steady),
            writer=self.disk.writer,
            transport=self.higgsfield.transport,
        )
        core = instance.core = await assemble(self.settings, CREDENTIALS, lambda _: self.crash(instance), machine)
        await core.start()
        instance.deliver = received_webhooks(core).endpoint
        instance.accepting = True

    async def close(self, instance: Instance) -> None:
        """Stop in the same order as `Gateway.stop`."""
        await instance.core.drain()
        await self.end_calls(instance)
        await instance.core.close()

    def release(self) -> None:
        self.disk.release()


def received_webhooks(core: Core) -> Route:
    """Return the route of webhooks of a core."""
    signatures = Signatures((SECRET,)) if core.settings.webhook_secrets else None
    proofs = Proofs(
        signatures, core.webhook_addresses.is_secret_of, core.upstream.read_webhook, core.upstream.read_job_set
    )
    limit = WebhookLimit(lambda: None)
    return webhook_route(core.store.generations, core.webhook_inbox.receive, proofs, limit)


class _Stream:
    """The connection of one server stream. It holds at most one message that the caller has not read."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._messages: deque[Any] = deque()
        self._waiters: list[asyncio.Future[None]] = []
        self._over = False
        self._error: BaseException | None = None

    async def send(self, message: Any) -> None:
        self._messages.append(message)
        self._wake()
        while self._messages and not self._over:
            await self._wait_for_change()

    async def next(self) -> Any:
        while not self._messages:
            if self._over:
                raise self._error or StopAsyncIteration
            await self._wait_for_change()
        message = self._messages.popleft()
        self._wake()
        return message

    def end(self, error: BaseException | None) -> None:
        if not self._over:
            self._over, self._error = True, error
            self._wake()

    async def _wait_for_change(self) -> None:
        signal = self._world.loop.create_future()
        self._waiters.append(signal)
        await signal

    def _wake(self) -> None:
        changed, self._waiters = self._waiters, []
        for signal in changed:
            if not signal.done():
                signal.set_result(None)


def _set_result(response: asyncio.Future[Any], value: Any) -> None:
    if not response.done():
        response.set_result(value)


def _set_error(response: asyncio.Future[Any], error: BaseException) -> None:
    if not response.done():
        response.set_exception(error)


def _cancel(instance: Instance, task: SimulatedTask) -> None:
    if not instance.process.dead:
        task.cancel()
