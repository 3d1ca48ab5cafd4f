"""An operator who sets, changes and clears the budgets of tenants and labels while callers submit."""

from __future__ import annotations

import asyncio

from gateway.generations.limits.model import TENANT, Limits, parse_credits
from tests.simulation.books import TENANTS
from tests.simulation.gateway import Endpoint, confirmed
from tests.simulation.world import World

CREDITS = tuple(map(parse_credits, ("0", "2.5", "4.001", "6", "1000")))
VALUES = {
    "credits_per_day": CREDITS,
    "credits_per_month": CREDITS,
    "submissions_per_minute": (0, 1, 3),
    "in_flight": (1, 2, 5),
    "concurrency_share": (1, 50, 100),
}


class BudgetingOperator:
    """Makes up to two changes at once."""

    def __init__(self, world: World, server: Endpoint, pause: float) -> None:
        self.world = world
        self._server = server
        self._pause = pause

    async def run(self) -> None:
        """Act until faults stop."""
        await asyncio.gather(self._act(), self._act())

    async def _act(self) -> None:
        world = self.world
        while world.faults_enabled:
            await world.sleep(world.log_uniform(self._pause / 100, self._pause))
            rng = world.rng
            tenant, subject = rng.choice(TENANTS), rng.choice((TENANT, TENANT, "label:team=a"))
            if rng.random() < 0.3:
                limits, fields = Limits(), tuple(VALUES)
            else:
                fields = (rng.choice(tuple(VALUES)),)
                limits = Limits(**{fields[0]: rng.choice((None, *VALUES[fields[0]]))})
            await confirmed(
                world,
                self._server,
                f"limits of {tenant} {subject}: {limits} {fields}",
                lambda core: core.budgets.set(tenant, subject, limits, fields),  # noqa: B023
            )
