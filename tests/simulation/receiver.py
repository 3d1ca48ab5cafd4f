"""A caller's server that receives callbacks, and the caller that creates them. Every delivery is recorded."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from gateway.callbacks.model import Callback, Delivery, DeliveryState, NotSentError, Outcome, Problem
from gateway.callbacks.service import BEGINNING
from gateway.errors import GatewayError, Reason
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
UNDER_WAY = 2 * MINUTE
"""Seconds for which an attempt may begin after its callback was deleted, because it was under way."""


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
    confirmed_at: float | None = None
    """The true time at which the process got the response, a success; None if it did not."""


@dataclass
class Callbacks:
    """The callbacks that a tenant has one after the other, and what was received for them. Times are true times."""

    tenant: str
    every_change: bool
    created_at: float | None = None
    """When the gateway confirmed the newest callback."""
    receipts: list[Receipt] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    """The ids of the callbacks, in their order."""
    secret: str = ""
    """The newest secret of the newest callback; "" if the owner does not know it."""
    deleted_at: dict[str, float] = field(default_factory=dict)
    """When the gateway confirmed that a callback was deleted, by its id."""
    redelivered_at: dict[str, float] = field(default_factory=dict)
    """When the owner first asked for a delivery that had ended to be repeated, by its id."""
    repeated: dict[str, float] = field(default_factory=dict)
    """When the last such request was made that the gateway has confirmed, by the id of the delivery."""
    wrong: list[str] = field(default_factory=list)
    """What receivers and the owner should not have seen."""


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
    managed: bool = False
    """Whether the owners rotate secrets, repeat deliveries, and replace callbacks by others."""


class Receivers:
    """Takes the place of `HttpReceivers`. There are no callbacks if `behaviour` is None."""

    def __init__(self, world: World, behaviour: ReceiverBehaviour | None) -> None:
        self.world = world
        self._behaviour = behaviour or ReceiverBehaviour()
        self.managed = self._behaviour.managed
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
        world, behaviour, owned = self.world, self._behaviour, self._of_url[url]
        if self.managed:
            self._check(owned, headers, body)
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
        )
        owned.receipts.append(receipt)
        world.record("received", receipt.id[-8:], receipt.revision, state.name)
        if world.draw_fault(behaviour.silent):
            await world.sleep(15.0)
            return Outcome(Problem.TIMEOUT)
        await world.sleep(world.log_uniform(0.001, 1.0))
        receipt.confirmed_at = world.now
        return Outcome(http_status=204)

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""

    def _check(self, owned: Callbacks, headers: Mapping[str, str], body: bytes) -> None:
        """Look for a delivery of a deleted callback, and for one that the newest secret has not signed."""
        name, newest = headers["webhook-id"].split("_")[0], next(reversed(owned.ids), "")
        if self.world.now > owned.deleted_at.get(name, float("inf")) + UNDER_WAY:
            owned.wrong.append(f"{headers['webhook-id']} was sent after its callback had been deleted")
        if name == newest and owned.secret and not signed(owned.secret, headers, body):
            owned.wrong.append(f"{headers['webhook-id']} is not signed with the newest secret")


def signed(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Return whether a delivery is signed with a secret, as a library for Standard Webhooks would find."""
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.digest(base64.b64decode(secret.removeprefix("whsec_")), content, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode() in headers["webhook-signature"].split()


class CallbackOwner:
    """Creates the callback of a tenant, pauses and resumes it now and then, and resumes it when faults have stopped.

    If it is `managed`, the owner also rotates its secret, repeats its deliveries, and replaces it by another one.
    """

    def __init__(self, world: World, server: Endpoint, callbacks: Callbacks, pause: float, *, managed: bool) -> None:
        self.world = world
        self._server = server
        self._callbacks = callbacks
        self._pause = pause
        self._managed = managed

    async def run(self) -> None:
        """Act until faults have stopped and the callback is not paused."""
        world = self.world
        await self._create()
        while world.faults_enabled:
            await world.sleep(world.log_uniform(self._pause / 20, self._pause))
            if self._managed and world.rng.random() < 0.7:
                await world.rng.choice((self._rotate, self._redeliver, self._redeliver, self._replace))()
                continue
            await self._set_paused(paused=True)
            await world.sleep(world.log_uniform(1.0, self._pause))
            await self._set_paused(paused=False)
        while not await self._set_paused(paused=False):
            await self._create()  # a restored store does not have it

    async def _create(self) -> None:
        callbacks = self._callbacks
        tenant, key = callbacks.tenant, f"callback {len(callbacks.ids)}"

        async def create(core: Core) -> tuple[Callback, str]:
            return await core.tenant_callbacks.create(
                tenant, URL + tenant, Filter(), key, every_change=callbacks.every_change
            )

        created, secret = await self._until_confirmed("create", create)
        callbacks.secret, callbacks.created_at = secret, self.world.now
        callbacks.ids.append(created.id)

    async def _set_paused(self, *, paused: bool) -> bool:
        """Pause or resume the callback; return whether it exists."""

        async def change(core: Core) -> Callback:
            return await core.tenant_callbacks.update(self._callbacks.tenant, self._newest, paused=paused)

        exists = await self._until_confirmed(f"paused={paused}", change) is not None
        if not exists:
            self._callbacks.wrong.append(f"{self._newest} does not exist")
        return exists

    async def _replace(self) -> None:
        newest, self._callbacks.secret = self._newest, ""

        async def delete(core: Core) -> None:
            await core.tenant_callbacks.delete(self._callbacks.tenant, newest)

        await self._until_confirmed("delete", delete)
        self._callbacks.deleted_at[newest] = self.world.now
        await self._create()

    async def _rotate(self) -> None:
        """Rotate the secret once. Without a response, the newest one is not known."""

        async def rotate(core: Core) -> tuple[Callback, str]:
            return await core.tenant_callbacks.rotate(self._callbacks.tenant, self._newest)

        callbacks = self._callbacks
        before, callbacks.secret = callbacks.secret, ""
        try:
            _, callbacks.secret = await self._server.call(rotate)
        except GatewayError as error:
            if error.failure.reason is Reason.QUOTA_EXCEEDED:
                callbacks.secret = before
        except NotConnectedError:
            pass
        self.world.record("callback: rotated", callbacks.secret != "")

    async def _redeliver(self) -> None:
        """Repeat a delivery that has succeeded or failed."""
        tenant, newest, callbacks = self._callbacks.tenant, self._newest, self._callbacks

        async def listed(core: Core) -> list[Delivery]:
            page = await core.tenant_callbacks.deliveries(
                tenant, newest, "", failed_only=False, before=BEGINNING, limit=20
            )
            return [delivery for delivery in page if delivery.state is not DeliveryState.PENDING]

        ended = await self._until_confirmed("list deliveries", listed)
        if not ended:
            return
        chosen, asked_at = self.world.rng.choice(ended).id, self.world.now
        callbacks.redelivered_at.setdefault(chosen, asked_at)

        async def redeliver(core: Core) -> Delivery:
            return await core.tenant_callbacks.redeliver(tenant, chosen)

        if await self._until_confirmed(f"redeliver {chosen[-8:]}", redeliver) is not None:
            callbacks.repeated[chosen] = asked_at

    @property
    def _newest(self) -> str:
        return self._callbacks.ids[-1]

    async def _until_confirmed(self, what: str, act: Callable[[Core], Awaitable[Any]]) -> Any:
        """Call until there is a response, and return it; None if the gateway does not know the callback or delivery."""
        pause = 0.5
        while True:
            try:
                done = await self._server.call(act)
            except (GatewayError, NotConnectedError) as error:
                self.world.record("callback:", what, "failed:", str(error))
                if isinstance(error, GatewayError) and error.failure.reason is Reason.NOT_FOUND:
                    return None
            else:
                self.world.record("callback:", what)
                return done
            await self.world.sleep(pause)
            pause = min(2 * pause, 10 * MINUTE)
