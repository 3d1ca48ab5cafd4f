"""An operator who resolves generations without a known outcome, after looking for their requests at Higgsfield."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from gateway.errors import GatewayError
from gateway.generations.adopt import Adoption
from gateway.generations.model import Generation, RequestId, State
from gateway.generations.stores import Filter
from gateway.process.core import Core
from tests.simulation.accounts import TENANTS
from tests.simulation.checker import Evidence
from tests.simulation.gateway import Endpoint, NotConnectedError, confirmed
from tests.simulation.higgsfield import Request
from tests.simulation.world import World

LONGEST_THOUGHT = 300.0
"""Seconds from looking at Higgsfield to the call that resolves a generation, at most."""
UNRESOLVED = Filter(states=frozenset({State.UNCERTAIN, State.LOST}))


class ResolvingOperator:
    """Resolves one generation after another until `faults_enabled` ends. Some decisions are mistakes."""

    def __init__(self, world: World, server: Endpoint, evidence: Evidence, pause: float) -> None:
        self.world = world
        self._server = server
        self._evidence = evidence
        self._pause = pause

    async def run(self) -> None:
        """Act until faults stop."""
        world = self.world
        while world.faults_enabled:
            await world.sleep(world.log_uniform(self._pause / 50, self._pause))
            generation = await self._unresolved(world.rng.choice(TENANTS))
            if generation is not None:
                await self._resolve(generation)

    async def _unresolved(self, tenant: str) -> Generation | None:
        """Return one of the tenant's generations that are UNCERTAIN or LOST."""
        try:
            found, _ = await self._server.call(lambda core: core.service.page(tenant, UNRESOLVED, None, 500))
        except (GatewayError, NotConnectedError):
            return None
        uncertain = [one for one in found if one.state is State.UNCERTAIN]
        return self.world.rng.choice(uncertain or found) if found else None

    async def _resolve(self, generation: Generation) -> None:
        key, rng = generation.spec.idempotency_key, self.world.rng
        charged = [one for one in self._evidence.ledger.requests.values() if one.prompt == key]
        actions: list[Callable[[Generation, list[Request]], Awaitable[None]]] = [self._repeat, self._declare_lost]
        if charged:
            # Mostly the operator is right.
            actions += [self._name, self._name, self._name, self._adopt, self._name_of_another]
        else:
            actions += [self._repeat_at_a_risk]
        act = rng.choice(actions)
        await self.world.sleep(self.world.log_uniform(0.01, LONGEST_THOUGHT))
        await act(generation, charged)

    async def _name(self, generation: Generation, charged: list[Request]) -> None:
        """Name the request that was found."""
        request = self.world.rng.choice(charged)
        await self._tell(
            f"{generation.id} is {request.id}", lambda core: core.resolver.as_request(generation.id, request.id)
        )

    async def _name_of_another(self, generation: Generation, _: list[Request]) -> None:
        """Name a request that was shown as that of another generation, by mistake.

        The gateway cannot notice it if that generation was accepted after the copy that was restored since.
        """
        shown = {
            one.generation.request_id: None
            for history in self._evidence.histories
            if history.key != generation.spec.idempotency_key and not history.delete_requested
            for one in history.observations
            if one.generation.request_id
            and not any(copied <= one.at <= restored for restored, copied in self._evidence.restores)
        }
        if shown:
            request_id = self.world.rng.choice(list(shown))
            await self._tell(
                f"{generation.id} is {request_id}, which is another's",
                lambda core: core.resolver.as_request(generation.id, request_id),
            )

    async def _adopt(self, generation: Generation, charged: list[Request]) -> None:
        """Adopt the request that was found, for the same tenant."""
        request, spec = self.world.rng.choice(charged), generation.spec
        adoption = Adoption(RequestId(request.id), spec.api, {})
        await self._tell(f"adopt {request.id}", lambda core: core.adopter.adopt(spec.tenant, adoption))

    async def _declare_lost(self, generation: Generation, _: list[Request]) -> None:
        self._evidence.declared_lost.add(generation.id)
        await self._tell(f"{generation.id} is lost", lambda core: core.resolver.lost(generation.id))

    async def _repeat(self, generation: Generation, _: list[Request]) -> None:
        await self._tell(
            f"repeat {generation.id}", lambda core: core.resolver.resubmit(generation.id, may_charge_twice=False)
        )

    async def _repeat_at_a_risk(self, generation: Generation, _: list[Request]) -> None:
        """Repeat it although Higgsfield may have forgotten the key, after no request was found."""
        self._evidence.may_be_charged_twice.add(generation.spec.idempotency_key)
        await self._tell(
            f"repeat {generation.id} at a risk",
            lambda core: core.resolver.resubmit(generation.id, may_charge_twice=True),
        )

    async def _tell(self, what: str, act: Callable[[Core], Awaitable[Any]]) -> None:
        await confirmed(self.world, self._server, what, act)
