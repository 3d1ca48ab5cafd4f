"""The lives of one gateway: killed at a named place, started again over the same store, and what must be true then.

Its customer is the shipped client, to which a kill is a connection that broke: it repeats its submission under the same
key and resumes its watch, and what it saw before the kill must still be so afterwards.
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
from hfgateway_client import AsyncClient, Generation, NewCharacter, RetryPolicy, Submission, soul, state_name
from tests.durability.forked import ForkedGateway

KEY = "one-key"
AT_WORK = "while Higgsfield is at work"
"""Not a place of the code: killed from outside, as soon as a submission was charged that is not answered."""
PATIENCE = 100.0
"""Seconds in which all must have ended: what was in doubt is repeated after half a minute."""
REACHED_WITHIN = 20.0
"""Seconds, after the customer has got all it wanted, in which the process must have come by the place."""
LONG_AGO = 4_000
"""Seconds, longer than the shortest retention."""
ENDS = {"completed": "COMPLETED", "canceled": "CANCELED", "failed": "FAILED", "nsfw": "NSFW"}
"""Higgsfield's words for an end, and ours."""


class Stage:
    """A sandbox, a store, and the gateways that follow one another at the same addresses."""

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
        self.client = AsyncClient(self.grpc_address, timeout=PATIENCE, retry=RetryPolicy(0.05, 0.25))
        self._folder = folder
        self._settings = {
            "grpc_address": self.grpc_address,
            "http_address": self.http_address,
            **{name: text.format(http=self.http_address, folder=folder) for name, text in settings.items()},
        }
        self._gateway: ForkedGateway | None = None

    async def start(self, failpoint: str = "", *, late: bool = False) -> ForkedGateway:
        """The next process, once it answers; AssertionError where it ends before that."""
        armed = {"failpoint": failpoint} if failpoint else {}
        self._gateway = ForkedGateway(self._folder, self.sandbox.url, late=late, **self._settings, **armed)
        await self._gateway.start()
        return self._gateway

    async def die(self, place: str, customer: asyncio.Task[None], *, late: bool = False) -> None:
        """One life, from its start to its kill at that place; AssertionError where it does not come by."""
        if place == AT_WORK:
            gateway = await self.start()
            await self.becomes(lambda: len(self.sandbox.ledger.charges) > 0)
            await gateway.kill()
            return
        refusal: AssertionError | None = None
        try:
            await self.start(place, late=late)
        except AssertionError as error:
            refusal = error  # there are places before it answers
        assert self._gateway is not None
        end = asyncio.create_task(self._gateway.ended())
        try:
            await asyncio.wait({end, customer}, return_when=asyncio.FIRST_COMPLETED)
            if customer.done():
                customer.result()
            async with asyncio.timeout(REACHED_WITHIN):
                code = await end
        except TimeoutError:
            raise AssertionError(f"{place}: nothing came by") from None
        finally:
            end.cancel()
            await asyncio.wait({end})  # it watches the process by a number that who closes the stage needs again
        if code != -signal.SIGKILL:
            raise refusal or AssertionError(f"{place}: ended with {code}")

    async def close(self) -> None:
        """Kill what runs."""
        await self.client.close()
        if self._gateway is not None:
            await self._gateway.kill()

    # -- What a customer does --

    async def submit(self, prompt: str, *, v1: bool = False, **more: Any) -> Submission:
        """Submit under the key, to either API; answers that got lost are asked for again."""
        wanted = soul(prompt, width=1536, height=1536, batch_size=4) if v1 else soul(prompt)
        return await self.client.submit(wanted, idempotency_key=KEY, **more)

    async def create_character(self, name: str) -> NewCharacter:
        """Have one trained under the key; answers that got lost are asked for again."""
        image = "https://example.invalid/a.jpg"
        return await self.client.create_character(name, [image], idempotency_key=KEY, timeout=15.0)

    async def follow(self, generation_id: str) -> Generation:
        """Watch it to its end, over every restart: no revision is left out, and none is told otherwise later."""
        seen = [generation async for generation in self.client.watch(generation_id)]
        assert [generation.revision for generation in seen] == list(range(1, len(seen) + 1))
        again = [generation async for generation in self.client.watch(generation_id)]
        assert [_told(generation) for generation in again] == [_told(generation) for generation in seen]
        return seen[-1]

    async def until(self, generation_id: str, state: str) -> None:
        """Return once it is in that state."""
        async for generation in self.client.watch(generation_id):
            if state_name(generation) == state:
                return

    async def resolve(self, generation_id: str, **resolution: Any) -> Generation:
        """As the operator's command does."""
        request = admin_service_pb2.ResolveGenerationRequest(id=generation_id, **resolution)
        generation: Generation = (await self.ask("ResolveGeneration", request)).generation
        return generation

    async def ask(self, method: str, request: Message) -> Any:
        """What the operator's socket answers; asked again where the gateway was killed meanwhile."""
        while True:
            pointer = self._folder / "store.db.admin"
            try:
                async with grpc.aio.insecure_channel(pointer.read_text()) as channel:
                    return await getattr(AdminServiceStub(channel), method)(request)
            except (FileNotFoundError, grpc.aio.AioRpcError) as error:
                if isinstance(error, grpc.aio.AioRpcError) and error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                await asyncio.sleep(0.05)

    # -- What is so --

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What the store has in its file."""
        with closing(sqlite3.connect(f"file:{self._folder / 'store.db'}?mode=ro", uri=True)) as store:
            return store.execute(statement).fetchall()

    def make_old(self) -> None:
        """Let everything in the store have ended long ago; nothing may have it open."""
        with closing(sqlite3.connect(self._folder / "store.db")) as store, store:
            store.execute(f"UPDATE generations SET ended_at = ended_at - {LONG_AGO}")

    async def becomes(self, holds: Callable[[], bool]) -> None:
        """Return once it holds."""
        while not holds():
            await asyncio.sleep(0.05)

    async def judge(self, charges: Sequence[int], beside: Sequence[int]) -> None:
        """Charged as often as it may be, every generation ended, every end that of its request, and nothing left over.

        So many requests belong to no generation that there is: of what was deleted nothing is said.
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
        await self.becomes(lambda: self.rows("SELECT * FROM deliveries WHERE dealt = 0") == [])


def _told(generation: Generation) -> tuple[int, int, int, str]:
    update = generation.update_time
    return generation.revision, generation.state, update.ToMicroseconds(), generation.upstream.request_id


Play = Callable[[Stage], Awaitable[None]]


async def _nothing(_: Stage) -> None:
    """Nothing has to be there before."""


@dataclass(frozen=True)
class Scenario:
    """What a customer does, and the places that the first process must come by while it does.

    `ready` comes before; `earlier` are places at which processes before that one die. In the end there is one of so
    many `charges`, and of so many requests `beside` the generations.
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
    """A stage for a scenario, before its first process."""
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
    """An address for one process after the other: bound and not listened on, it is given to nobody else."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


async def live(scenario: Scenario, place: str, folder: Path, turns: asyncio.Semaphore) -> None:
    """Play it with a process that dies at the place and one that goes on; AssertionError where a promise is broken.

    A turn ends when the second process answers: what is left is mostly waiting, and all may wait at the same time.
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
        async with asyncio.timeout(PATIENCE):
            await customer
        await opened.judge(scenario.charges, scenario.beside)
