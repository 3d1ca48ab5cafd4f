"""An operator who creates, rotates and revokes API keys, and callers who use them and their watch tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from gateway.access.identity import Identity
from gateway.access.keys import ApiKey
from gateway.errors import GatewayError, Reason
from gateway.generations.stores import Filter
from gateway.process.core import Core
from tests.simulation.gateway import Endpoint, NotConnectedError, confirmed
from tests.simulation.world import DAY, World

MOST_VALID = 4
"""Valid keys at once, at most."""


@dataclass
class Key:
    """An API key that the gateway has confirmed. All times are true times."""

    id: str
    secret: str
    created_at: float
    """When its creation was confirmed."""
    ends_at: float = float("inf")
    """When the operator first asked to revoke or rotate it."""
    revoked_at: float = float("inf")
    """When its revocation was confirmed."""
    tokens: dict[str, float] = field(default_factory=dict)
    """Watch tokens that were created with it, and the wall time at which each expires."""


class KeyOperator:
    """Changes keys until `faults_enabled` ends."""

    def __init__(self, world: World, server: Endpoint, pause: float) -> None:
        self.world = world
        self._server = server
        self.pause = pause
        self.keys: list[Key] = []
        self.wrong: list[str] = []
        """Each key or token that was accepted or refused wrongly."""

    async def run(self) -> None:
        """Act until faults stop."""
        world = self.world
        while world.faults_enabled:
            valid = [key for key in self.keys if key.ends_at > world.now]
            if not valid or (len(valid) < MOST_VALID and world.rng.random() < 0.3):
                await self._create()
            else:
                await world.rng.choice((self._rotate, self._revoke, self._revoke))(world.rng.choice(valid))
            await world.sleep(world.log_uniform(self.pause / 50, self.pause))

    async def _create(self) -> None:
        await self._add("creates a key", lambda core: core.access.create_key("tenant-0", ""))

    async def _rotate(self, key: Key) -> None:
        key.ends_at = self.world.now
        await self._add(f"rotates {key.id}", lambda core: core.access.rotate_key(key.id, DAY))

    async def _add(self, what: str, make: Callable[[Core], Awaitable[tuple[ApiKey, str]]]) -> None:
        made: list[tuple[ApiKey, str]] = []

        async def add(core: Core) -> None:
            made.append(await make(core))

        if await confirmed(self.world, self._server, what, add):
            key, secret = made[-1]
            self.keys.append(Key(key.id, secret, self.world.now))

    async def _revoke(self, key: Key) -> None:
        key.ends_at = self.world.now
        what = f"revokes {key.id}"
        while not await confirmed(self.world, self._server, what, lambda core: core.access.revoke_key(key.id)):
            await self.world.sleep(self.world.log_uniform(0.2, 5.0))
        key.revoked_at = self.world.now


class KeyHolder:
    """Uses the keys of an operator, and tokens that were made with them.

    `known_within` are the seconds after which every replica that serves callers knows a change.
    """

    def __init__(self, world: World, server: Endpoint, operator: KeyOperator, known_within: float) -> None:
        self.world = world
        self._server = server
        self._operator = operator
        self._known_within = known_within

    async def run(self) -> None:
        """Call until faults stop."""
        world = self.world
        while world.faults_enabled:
            await world.sleep(world.log_uniform(0.1, self._operator.pause / 10))
            if self._operator.keys:
                await self._use(world.rng.choice(self._operator.keys[-2 * MOST_VALID :]))

    async def _use(self, key: Key) -> None:
        """Authenticate with a key or with a token of it, and create a token now and then."""
        world, began_at = self.world, self.world.now
        wants_token = world.rng.random() < 0.2
        secret = world.rng.choice((key.secret, *[*key.tokens][-2:]))
        expires = key.tokens.get(secret, float("inf"))
        expired = False

        async def use(core: Core) -> tuple[Identity, dict[str, float]]:
            nonlocal expired
            expired = world.wall() >= expires
            identity = core.access.authenticate(f"Bearer {secret}")
            if wants_token and not identity.token:
                token, expire_time = core.access.watch_token(identity, Filter(), ttl=30 * DAY, include_input=False)
                return identity, {token: expire_time}
            return identity, {}

        try:
            async with asyncio.timeout(world.log_uniform(0.05, 60.0)):
                identity, tokens = await self._server.call(use)
        except GatewayError as error:
            refused = error.failure.reason is Reason.INVALID_CREDENTIALS and not expired
            if refused and began_at >= key.created_at + self._known_within and world.now < key.ends_at:
                self._operator.wrong.append(f"{key.id} was refused at {world.now:.1f}: {error.failure.message}")
        except (NotConnectedError, TimeoutError):
            pass
        else:
            if began_at >= key.revoked_at + self._known_within:
                self._operator.wrong.append(
                    f"{key.id} was accepted {began_at - key.revoked_at:.1f} s after its revocation"
                )
            key.tokens |= tokens
            world.record("key", key.id, "as", identity.tenant)
