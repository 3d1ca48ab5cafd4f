"""A caller's server that receives callbacks, and the caller that creates them. Every delivery is recorded."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from gateway.callbacks.model import Callback, NotSentError, Outcome, Problem
from gateway.errors import GatewayError
from gateway.generations.model import State
from gateway.generations.stores import Filter
from gateway.process import assembly
from gateway.process.core import Core
from tests.simulation.accounts import TENANTS
from tests.simulation.gateway import Endpoint, NotConnectedError
from tests.simulation.loop import CURRENT_PROCESS, START_TIME
from tests.simulation.world import MINUTE, World

URL = "https://receiver.example/"
"""The URL of a callback is this, followed by the tenant."""


@dataclass
class Receipt:
    """A delivery that the receiver got."""

    at: float
    """The true time."""
    process: int
    """The number of the process that sent it."""
    id: str
    generation_id: str
    revision: int
    state: State
    confirmed: bool
    """Whether the process got the response, a success."""


@dataclass
class Callbacks:
    """The callback of a tenant, and what was received for it."""

    tenant: str
    every_change: bool
    created_at: float | None = None
    """The true time at which the gateway confirmed the callback."""
    receipts: list[Receipt] = field(default_factory=list)


@dataclass
class ReceiverBehaviour:
    """How receivers behave. These are probabilities for one delivery."""

    refuses: float = 0.0
    """Responds with 500."""
    unreachable: float = 0.0
    """Refuses the connection."""
    silent: float = 0.0
    """Takes the delivery, and the response is lost."""
    down_for: float = 0.0
    """Seconds from the start of the run for which it refuses every connection."""
    every_change: bool = False
    """Whether callbacks are about every change, and not only about the end."""


class Receivers:
    """Takes the place of `HttpReceivers`. There are no callbacks if `behaviour` is None."""

    def __init__(self, world: World, behaviour: ReceiverBehaviour | None) -> None:
        self.world = world
        self._behaviour = behaviour or ReceiverBehaviour()
        every_change = self._behaviour.every_change
        self.callbacks = [] if behaviour is None else [Callbacks(tenant, every_change) for tenant in TENANTS]
        self._of_url = {URL + one.tenant: one for one in self.callbacks}

    def installed(self) -> AbstractContextManager[object]:
        """Let every gateway send its callbacks here."""
        return mock.patch.object(assembly, "HttpReceivers", return_value=self)

    def refusal(self, _: str) -> str:
        """Return "": every URL can be used."""
        return ""

    async def post(
        self, tenant: str, url: str, headers: Mapping[str, str], body: bytes, may_send: Callable[[], bool]
    ) -> Outcome:
        """Receive a delivery, unless there is a fault."""
        world, behaviour = self.world, self._behaviour
        await world.sleep(world.log_uniform(0.001, 1.0))
        if (world.faults_enabled and world.now < START_TIME + behaviour.down_for) or world.draw_fault(
            behaviour.unreachable
        ):
            return Outcome(Problem.CONNECTION)
        if world.draw_fault(behaviour.refuses):
            return Outcome(Problem.STATUS, 500)
        if not may_send():
            raise NotSentError
        data, process = json.loads(body)["data"], CURRENT_PROCESS.get()
        state = State[data["state"].removeprefix("GENERATION_STATE_")]
        receipt = Receipt(
            world.now,
            0 if process is None else process.number,
            headers["webhook-id"],
            data["id"],
            data["revision"],
            state,
            confirmed=False,
        )
        self._of_url[url].receipts.append(receipt)
        world.record("received", receipt.id[-8:], receipt.revision, state.name)
        if world.draw_fault(behaviour.silent):
            await world.sleep(15.0)
            return Outcome(Problem.TIMEOUT)
        await world.sleep(world.log_uniform(0.001, 1.0))
        receipt.confirmed = True
        return Outcome(http_status=204)

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""


class CallbackOwner:
    """Creates the callback of a tenant, pauses and resumes it now and then, and resumes it when faults have stopped."""

    def __init__(self, world: World, server: Endpoint, callbacks: Callbacks, pause: float) -> None:
        self.world = world
        self._server = server
        self._callbacks = callbacks
        self._pause = pause

    async def run(self) -> None:
        """Act until faults have stopped and the callback is not paused."""
        world, callbacks = self.world, self._callbacks
        created = await self._until_confirmed("create", self._create)
        callbacks.created_at = world.now
        while world.faults_enabled:
            await world.sleep(world.log_uniform(self._pause / 20, self._pause))
            await self._set_paused(created.id, paused=True)
            await world.sleep(world.log_uniform(1.0, self._pause))
            await self._set_paused(created.id, paused=False)
        await self._set_paused(created.id, paused=False)

    async def _create(self, core: Core) -> Callback:
        tenant = self._callbacks.tenant
        callback, _ = await core.tenant_callbacks.create(
            tenant, URL + tenant, Filter(), "callback", every_change=self._callbacks.every_change
        )
        return callback

    async def _set_paused(self, callback_id: str, *, paused: bool) -> None:
        async def change(core: Core) -> Callback:
            return await core.tenant_callbacks.update(self._callbacks.tenant, callback_id, paused=paused)

        await self._until_confirmed(f"paused={paused}", change)

    async def _until_confirmed(self, what: str, act: Callable[[Core], Awaitable[Any]]) -> Any:
        pause = 0.5
        while True:
            try:
                done = await self._server.call(act)
            except (GatewayError, NotConnectedError) as error:
                self.world.record("callback:", what, "failed:", str(error))
            else:
                self.world.record("callback:", what)
                return done
            await self.world.sleep(pause)
            pause = min(2 * pause, 10 * MINUTE)
