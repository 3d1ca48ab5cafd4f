"""The machine that the gateway runs on, process after process, and the connections of its callers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

from starlette.requests import Request

from gateway.assembly import Machine, assemble
from gateway.config import WEBHOOK_PATH, Settings
from gateway.core import Core
from gateway.errors import GatewayError
from gateway.generations.clock import SystemClock
from gateway.higgsfield.credentials import Credentials
from gateway.higgsfield.webhooks import Signatures
from gateway.rpc.limits import WEBHOOKS, Door
from gateway.serving import STOP_GRACE
from gateway.store.files import StoreFileError
from gateway.web.webhook import Proofs, webhook_route
from tests.simulation.disk import Disk
from tests.simulation.higgsfield import SECRET, Higgsfield
from tests.simulation.loop import Life, SimulatedTask
from tests.simulation.world import World

T = TypeVar("T")
CREDENTIALS = Credentials("key", "secret")
PUBLIC_URL = "https://gateway.example"
KILLED_AFTER = 90.0
"""Seconds from SIGTERM until the machine kills the process; HFGATEWAY_DRAIN is 75."""


class NotConnectedError(Exception):
    """The connection was refused or broke: the outcome of the call is unknown."""


class Running:
    """One process that is up, with the calls that are open."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.core: Core
        self.deliver: Callable[[Request], Awaitable[Any]]
        self.accepts = False
        self.terminated_at: float | None = None
        self.started_at = 0.0
        self.calls: dict[SimulatedTask, Callable[[BaseException], None]] = {}
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Server:
    """Starts processes, ends them, and connects callers to them."""

    def __init__(self, world: World, disk: Disk, settings: Settings) -> None:
        self.world = world
        self.disk = disk
        self.settings = settings
        self.higgsfield: Higgsfield
        self.running: Running | None = None
        self.lives = 0
        self.terminations: list[tuple[int, float, float | None]] = []
        """Of each process that got SIGTERM: its number, when, and when it ended (None: it was killed)."""
        self.refused_starts: list[str] = []
        self.answers_lost = 0.0

    # -- Processes -----------------------------------------------------------------------------------------------------

    async def run_once(self, prepare: Callable[[Life], None]) -> None:
        """Start a process, and return when it has ended, however it does."""
        self.lives += 1
        life = Life(self.lives)
        running = self.running = Running(life)
        prepare(life)
        self.world.tell("start", life.number)
        running.started_at = self.world.now
        life.spawn(self._start(running))
        await running.over

    async def _start(self, running: Running) -> None:
        machine = Machine(
            clock_from=lambda newest: SystemClock(newest, wall=self.world.wall, monotonic=self.world.even),
            writer=self.disk.writer,
            transport=self.higgsfield.transport,
        )
        try:
            core = running.core = await assemble(self.settings, CREDENTIALS, lambda _: self.crash(running), machine)
            await core.start()
        except StoreFileError as error:
            self.refused_starts.append(str(error))
            self.world.later(0.0, self._ended, running, "refuses to start")
            return
        except Exception as error:
            if running.life.dead:
                return  # the crash unwinds what was being built
            self.world.logged.append(f"the start failed: {type(error).__name__}: {error}")
            self.world.later(0.0, self._ended, running, "failed to start")
            return
        signatures = Signatures((SECRET,)) if self.settings.webhook_secrets else None
        proofs = Proofs(
            signatures, core.webhook_addresses.proven, core.upstream.read_delivery, core.upstream.read_job_set
        )
        door = Door(WEBHOOKS, lambda: None)
        route = webhook_route(core.store.by_token, core.webhook_inbox.receive, proofs, door)
        running.deliver = route.endpoint
        running.accepts = True

    def crash(self, running: Running | None) -> None:
        """End it as `kill -9` does."""
        if running is not None and not running.life.dead:
            running.life.dead = True
            self.world.later(0.0, self._ended, running, "is dead")

    def terminate(self, running: Running | None) -> None:
        """SIGTERM."""
        if running is None or running.life.dead or running.terminated_at is not None:
            return
        self.world.tell("SIGTERM")
        running.terminated_at = self.world.now
        if not running.accepts:
            self.crash(running)  # no handler is there yet
            return
        running.life.spawn(self._stop(running))
        self.world.later(KILLED_AFTER, self._killed, running)

    async def _stop(self, running: Running) -> None:
        """What `Gateway.stop` does."""
        await running.core.drain()
        running.accepts = False
        if running.calls:
            await asyncio.wait(list(running.calls), timeout=STOP_GRACE)
        for task in list(running.calls):
            task.cancel()
        await running.core.close()
        self.terminations.append((running.life.number, running.terminated_at or 0.0, self.world.now))
        self.world.later(0.0, self._ended, running, "has ended")

    def _killed(self, running: Running) -> None:
        if not running.over.done():
            self.terminations.append((running.life.number, running.terminated_at or 0.0, None))
            self.crash(running)

    def _ended(self, running: Running, how: str) -> None:
        if running.over.done():
            return
        self.world.tell("process", running.life.number, how)
        running.life.dead = True
        self.running = None
        self.disk.let_go()
        running.life.end()
        for fail in list(running.calls.values()):
            fail(NotConnectedError("the process has ended"))
        running.calls.clear()
        running.over.set_result(None)

    # -- Calls ---------------------------------------------------------------------------------------------------------

    async def call(self, work: Callable[[Core], Awaitable[T]]) -> T:
        """One call of a caller, who may be canceled. Raises GatewayError, NotConnectedError."""
        await self.world.sleep(self._way())
        running = self._listening()
        answer: asyncio.Future[T] = self.world.loop.create_future()

        async def serve() -> T:
            return await work(running.core)

        task = self._begin(running, serve(), lambda error: _fail(answer, error))
        task.add_done_callback(lambda done: self._answer(running, done, answer))
        try:
            return await answer
        finally:
            self._hang_up(running, task)

    async def stream(self, work: Callable[[Core], AsyncIterator[T]]) -> AsyncIterator[T]:
        """One stream; the gateway sends no more than its caller reads. Raises as `call`."""
        await self.world.sleep(self._way())
        running = self._listening()
        line: _Line = _Line(self.world)

        async def serve() -> None:
            messages = work(running.core)
            try:
                async for message in messages:
                    await line.send(message)
            finally:
                await messages.aclose()  # type: ignore[attr-defined]

        task = self._begin(running, serve(), line.end)
        task.add_done_callback(lambda done: self._end_line(running, done, line))
        try:
            while True:
                message = await line.next()
                await self.world.sleep(self._way())
                yield message
        except StopAsyncIteration:
            return
        finally:
            self._hang_up(running, task)

    async def webhook(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """A delivery; its status, or 0 without an answer."""
        token = url.removeprefix(PUBLIC_URL + WEBHOOK_PATH)

        async def deliver(_: Core) -> int:
            running = self._listening()
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

            answer = await running.deliver(Request(scope, receive))  # type: ignore[arg-type]
            return int(answer.status_code)

        try:
            async with asyncio.timeout(10.0):
                return await self.call(deliver)
        except (NotConnectedError, TimeoutError):
            return 0

    def _listening(self) -> Running:
        running = self.running
        if running is None or not running.accepts:
            raise NotConnectedError("connection refused")
        return running

    def _begin(self, running: Running, work: Any, fail: Callable[[BaseException], None]) -> SimulatedTask:
        task = running.life.spawn(work)
        running.calls[task] = fail
        return task

    def _answer(self, running: Running, task: SimulatedTask, answer: asyncio.Future[Any]) -> None:
        running.calls.pop(task, None)
        error = self._error_of(task)
        if self.world.might(self.answers_lost):
            error = NotConnectedError("the answer was lost")
        if error is not None:
            self.world.later(self._way(), _fail, answer, error)
        else:
            self.world.later(self._way(), _give, answer, task.result())

    def _end_line(self, running: Running, task: SimulatedTask, line: _Line) -> None:
        running.calls.pop(task, None)
        line.end(self._error_of(task))

    def _error_of(self, task: SimulatedTask) -> BaseException | None:
        if task.cancelled():
            return NotConnectedError("the server let go of the call")
        error = task.exception()
        if error is not None and not isinstance(error, GatewayError):
            self.world.logged.append(f"a call failed in the gateway: {type(error).__name__}: {error}")
        return error

    def _hang_up(self, running: Running, task: SimulatedTask) -> None:
        if not task.done() and not running.life.dead:
            self.world.later(self._way(), _cancel, running, task)

    def _way(self) -> float:
        return self.world.between(0.0002, 0.02)


class _Line:
    """What is on its way from a stream to its caller: one message."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._messages: deque[Any] = deque()
        self._changed: list[asyncio.Future[None]] = []
        self._over = False
        self._error: BaseException | None = None

    async def send(self, message: Any) -> None:
        self._messages.append(message)
        self._wake()
        while self._messages and not self._over:
            await self._change()

    async def next(self) -> Any:
        while not self._messages:
            if self._over:
                raise self._error or StopAsyncIteration
            await self._change()
        message = self._messages.popleft()
        self._wake()
        return message

    def end(self, error: BaseException | None) -> None:
        if not self._over:
            self._over, self._error = True, error
            self._wake()

    async def _change(self) -> None:
        signal = self._world.loop.create_future()
        self._changed.append(signal)
        await signal

    def _wake(self) -> None:
        changed, self._changed = self._changed, []
        for signal in changed:
            if not signal.done():
                signal.set_result(None)


def _give(answer: asyncio.Future[Any], value: Any) -> None:
    if not answer.done():
        answer.set_result(value)


def _fail(answer: asyncio.Future[Any], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)


def _cancel(running: Running, task: SimulatedTask) -> None:
    if not running.life.dead:
        task.cancel()
