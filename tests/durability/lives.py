"""Run a scenario with a gateway that is killed at a failpoint and restarted on the same store, and check the result.

The caller is the shipped client. To it, a kill is a broken connection: it retries the submission with the same key and
resumes the watch. What it saw before the kill must still be true afterwards.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message

from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox, SandboxOptions
from hfgateway.admin.v1 import admin_service_pb2
from hfgateway.admin.v1.admin_service_pb2_grpc import AdminServiceStub
from hfgateway_client import AsyncClient, CreatedCharacter, Generation, RetryPolicy, Submission, soul, state_name
from tests.durability.process import GatewayProcess

KEY = "one-key"
AT_WORK = "while Higgsfield processes"
"""No failpoint: the process is killed from outside, between the charge of a submission and its response."""
WAIT_TIMEOUT = 100.0
"""Seconds in which a scenario must end. Uncertain submissions are repeated after half a minute."""
REACHED_WITHIN = 20.0
"""Seconds after the end of the scenario in which the process must reach the failpoint."""
LONG_AGO = 4_000
"""Seconds, longer than the shortest retention."""
ENDS = {"completed": "COMPLETED", "canceled": "CANCELED", "failed": "FAILED", "nsfw": "NSFW"}
"""The final states by Higgsfield's statuses."""


class Stage:
    """A sandbox, a store, and the gateways that run on it one after the other, at the same addresses."""

    def __init__(
        self,
        place: str,
        folder: Path,
        sandbox: Sandbox,
        addresses: tuple[str, str],
        settings: Mapping[str, str],
    ) -> None:
        self.place = place
        self.sandbox = sandbox
        self.grpc_address, self.http_address = addresses
        self.client = AsyncClient(self.grpc_address, timeout=WAIT_TIMEOUT, retry=RetryPolicy(0.05, 0.25))
        self._folder = folder
        self._settings = {
            "grpc_address": self.grpc_address,
            "http_address": self.http_address,
            **{name: text.format(http=self.http_address, folder=folder) for name, text in settings.items()},
        }
        self._gateway: GatewayProcess | None = None

    async def start(self, failpoint: str = "", *, late: bool = False) -> GatewayProcess:
        """Start the next process, and wait until it serves. Raises AssertionError if it ends before that."""
        armed = {"failpoint": failpoint} if failpoint else {}
        self._gateway = GatewayProcess(self._folder, self.sandbox.url, late=late, **self._settings, **armed)
        await self._gateway.start()
        return self._gateway

    async def die(self, place: str, customer: asyncio.Task[None], *, late: bool = False) -> None:
        """Start a process and wait until it is killed at a failpoint. Raises AssertionError if it does not reach it."""
        if place == AT_WORK:
            gateway = await self.start()
            await self.becomes(lambda: len(self.sandbox.ledger.charges) > 0)
            await gateway.kill()
            return
        refusal: AssertionError | None = None
        try:
            await self.start(place, late=late)
        except AssertionError as error:
            refusal = error  # a failpoint may be before the ports are open
        assert self._gateway is not None
        end = asyncio.create_task(self._gateway.ended())
        try:
            await asyncio.wait({end, customer}, return_when=asyncio.FIRST_COMPLETED)
            if customer.done():
                customer.result()
            async with asyncio.timeout(REACHED_WITHIN):
                code = await end
        except TimeoutError:
            raise AssertionError(f"{place}: the failpoint was not reached") from None
        finally:
            end.cancel()
            await asyncio.wait({end})  # it must stop reading the pipes of the process, which `close` reads next
        if code != -signal.SIGKILL:
            raise refusal or AssertionError(f"{place}: ended with {code}")

    async def close(self) -> None:
        """Kill the running process."""
        await self.client.close()
        if self._gateway is not None:
            await self._gateway.kill()

    # -- Calls of the scenarios --

    async def submit(self, prompt: str, *, v1: bool = False, **more: Any) -> Submission:
        """Submit with KEY; the client retries if the response is lost."""
        wanted = soul(prompt, width=1536, height=1536, batch_size=4) if v1 else soul(prompt)
        return await self.client.submit(wanted, idempotency_key=KEY, **more)

    async def create_character(self, name: str) -> CreatedCharacter:
        """Train a character with KEY; the client retries if the response is lost."""
        image = "https://example.invalid/a.jpg"
        return await self.client.create_character(name, [image], idempotency_key=KEY, timeout=15.0)

    async def follow(self, generation_id: str) -> Generation:
        """Watch a generation to its end. No revision may be missing, and a second watch must return the same ones."""
        seen = [generation async for generation in self.client.watch(generation_id)]
        assert [generation.revision for generation in seen] == list(range(1, len(seen) + 1))
        again = [generation async for generation in self.client.watch(generation_id)]
        assert [_observed(generation) for generation in again] == [_observed(generation) for generation in seen]
        return seen[-1]

    async def until(self, generation_id: str, state: str) -> None:
        """Return once a generation is in a state."""
        async for generation in self.client.watch(generation_id):
            if state_name(generation) == state:
                return

    async def resolve(self, generation_id: str, **resolution: Any) -> Generation:
        """Resolve a generation as the operator's command does."""
        request = admin_service_pb2.ResolveGenerationRequest(id=generation_id, **resolution)
        generation: Generation = (await self.ask("ResolveGeneration", request)).generation
        return generation

    async def ask(self, method: str, request: Message) -> Any:
        """Return the response of the operator's socket; retry if the gateway was killed."""
        while True:
            pointer = self._folder / "store.db.admin"
            try:
                async with grpc.aio.insecure_channel(pointer.read_text()) as channel:
                    return await getattr(AdminServiceStub(channel), method)(request)
            except (FileNotFoundError, grpc.aio.AioRpcError) as error:
                if isinstance(error, grpc.aio.AioRpcError) and error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                await asyncio.sleep(0.05)

    # -- Checks of the result --

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query in the store."""
        with closing(sqlite3.connect(f"file:{self._folder / 'store.db'}?mode=ro", uri=True)) as store:
            return store.execute(statement).fetchall()

    def make_old(self) -> None:
        """Move all ends LONG_AGO seconds back. No process may have the store open."""
        with closing(sqlite3.connect(self._folder / "store.db")) as store, store:
            store.execute(f"UPDATE generations SET ended_at = ended_at - {LONG_AGO}")

    async def becomes(self, holds: Callable[[], bool]) -> None:
        """Return once a condition holds."""
        while not holds():
            await asyncio.sleep(0.05)

    async def judge(self, charges: Sequence[int], beside: Sequence[int]) -> None:
        """Check the number of charges, that every generation ended as its request did, and that nothing is left over.

        `beside` has the allowed numbers of requests without a generation. Deleted requests are not checked.
        """
        account = self.sandbox.state.describe(with_entries=True)
        assert account["charge_count"] in charges, account
        known = [generation async for generation in self.client.list()]
        assert all(generation.done for generation in known), known
        ends = {generation.upstream.request_id: state_name(generation) for generation in known}
        requests = {one["request_id"]: ENDS[one["status"]] for one in account["requests"] if one["deleted_at"] is None}
        assert {name: ends[name] for name in requests if name in ends}.items() <= requests.items()
        assert len(requests.keys() - ends.keys()) in beside
        assert self.rows("SELECT * FROM requests") == []
        await self.becomes(lambda: self.rows("SELECT * FROM deliveries WHERE processed = 0") == [])


def _observed(generation: Generation) -> tuple[int, int, int, str]:
    update = generation.update_time
    return generation.revision, generation.state, update.ToMicroseconds(), generation.upstream.request_id


Play = Callable[[Stage], Awaitable[None]]


async def _nothing(_: Stage) -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Scenario:
    """The calls of a caller, and the failpoints that the gateway reaches during them.

    `ready` prepares the store. `earlier` are failpoints at which earlier processes are killed. `charges` has the
    allowed numbers of charges, `beside` those of requests without a generation.
    """

    play: Play
    places: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    faults: tuple[Mapping[str, Any], ...] = ()
    ready: Play = _nothing
    earlier: tuple[str, ...] = ()
    late: bool = False
    charges: Sequence[int] = (1,)
    beside: Sequence[int] = (0,)


@asynccontextmanager
async def stage(scenario: Scenario, place: str, folder: Path) -> AsyncIterator[Stage]:
    """Yield the stage of a scenario, before its first process is started."""
    quick: dict[str, Any] = {"queue_seconds": 0.05, "image_seconds": 0.05, "training_seconds": 0.05}
    options = SandboxOptions(port=0, **(quick | dict(scenario.options)))
    folder.mkdir()
    with reserved() as grpc_address, reserved() as http_address:
        async with Sandbox(options) as sandbox:
            sandbox.state.plan.add([Fault.parse(fault) for fault in scenario.faults])
            opened = Stage(place, folder, sandbox, (grpc_address, http_address), scenario.settings)
            try:
                yield opened
            finally:
                await opened.close()


@contextmanager
def reserved() -> Any:
    """Yield a free address. It stays bound, so that no other process gets it between two gateways."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


async def live(scenario: Scenario, place: str, folder: Path, turns: asyncio.Semaphore) -> None:
    """Run a scenario with a process that is killed at a failpoint and one that continues.

    `turns` limits the scenarios that start processes at the same time; the rest is mostly waiting. Raises
    AssertionError if a promise is broken.
    """
    async with stage(scenario, place, folder) as opened:
        async with turns:
            await scenario.ready(opened)
            customer = asyncio.ensure_future(scenario.play(opened))
            try:
                for earlier in scenario.earlier:
                    await opened.die(earlier, customer)
                await opened.die(place, customer, late=scenario.late)
                await opened.start()
            except BaseException:
                customer.cancel()
                raise
        async with asyncio.timeout(WAIT_TIMEOUT):
            await customer
        await opened.judge(scenario.charges, scenario.beside)
