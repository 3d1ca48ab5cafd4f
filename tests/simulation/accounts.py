"""An operator who adds a second Higgsfield account, assigns it to tenants, and replaces its credentials."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from gateway.higgsfield.credentials import Credentials
from gateway.process.core import Core
from tests.simulation.gateway import CREDENTIALS, Endpoint, confirmed
from tests.simulation.higgsfield import Higgsfield
from tests.simulation.world import World

KEY = "c2VjcmV0IGtleSBvZiB0aGUgdGVzdHMgMDEyMzQ1Njc="
"""HFGATEWAY_ACCOUNTS_KEY."""
NAME = "films"
TENANTS = ("tenant-0", "tenant-1")
LONGEST_REFUSAL = 600.0
"""Seconds for which Higgsfield refuses credentials that are valid, at most."""


class Operator:
    """Adds the account, and then changes something again and again until `faults_enabled` ends.

    `revokes`: credentials that were removed are revoked at Higgsfield. A restored copy would still need them.
    """

    def __init__(self, world: World, server: Endpoint, higgsfield: Higgsfield, pause: float, *, revokes: bool) -> None:
        self.world = world
        self._server = server
        self._higgsfield = higgsfield
        self._pause = pause
        self._revokes = revokes
        self._number = 1

    async def run(self) -> None:
        """Act until faults stop."""
        world = self.world
        failures = 0
        while world.faults_enabled and not await self._add():
            failures += 1  # the gateway may be down for days
            await world.sleep(world.log_uniform(0.1, 5.0 * failures))
        for tenant in TENANTS:
            await self._assign(tenant)
        actions = (self._rotate, self._rotate, self._remove_old, self._refuse, self._reassign)
        while world.faults_enabled:
            await world.sleep(world.log_uniform(self._pause / 20, self._pause))
            await world.rng.choice(actions)()

    async def _add(self) -> bool:
        return await self._tell("add", lambda core: core.accounts.add(NAME, self._credentials(), ""))

    async def _assign(self, tenant: str) -> None:
        pool = self.world.rng.choice(([(NAME, 1)], [(NAME, 1), ("default", 1)], [("default", 1)]))
        await self._tell(f"assign {pool} to {tenant}", lambda core: core.accounts.assign(tenant, pool))

    async def _reassign(self) -> None:
        await self._assign(self.world.rng.choice(TENANTS))

    async def _rotate(self) -> None:
        self._number += 1
        await self._tell("rotate", lambda core: core.accounts.rotate(NAME, self._credentials()))

    async def _remove_old(self) -> None:
        removed: list[str] = []

        async def remove(core: Core) -> None:
            await core.accounts.remove(NAME, only_old=True, force=False)
            accounts, _ = await core.accounts.listed(check=False)
            removed.extend(one.id for account in accounts for one in account.credentials if one.removed)

        if await self._tell("remove", remove) and self._revokes:
            keys = (f"{NAME}-{number}" for number in range(1, self._number))
            self._higgsfield.refused_keys |= {key for key in keys if Credentials(key, "").account in removed}

    async def _refuse(self) -> None:
        """Let Higgsfield refuse the credentials of one of the accounts for a while."""
        key_id = self.world.rng.choice((f"{NAME}-{self._number}", CREDENTIALS.key_id))
        self.world.record("refused credentials", key_id)
        self._higgsfield.refused_keys.add(key_id)
        await self.world.sleep(self.world.log_uniform(1.0, LONGEST_REFUSAL))
        self._higgsfield.refused_keys.discard(key_id)

    def _credentials(self) -> str:
        return f"{NAME}-{self._number}:secret-of-{NAME}"

    async def _tell(self, what: str, act: Callable[[Core], Awaitable[Any]]) -> bool:
        return await confirmed(self.world, self._server, what, act)
