"""Simulated callers who train characters. A character is known by its image URL, which contains the idempotency key."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from gateway.characters.model import Character, Order
from gateway.concurrency import retrieve_exception
from gateway.errors import GatewayError, Reason
from gateway.generations.inputs import SoulVersion
from gateway.process.core import Core
from tests.simulation.gateway import Endpoint, NotConnectedError, confirmed
from tests.simulation.higgsfield import Higgsfield
from tests.simulation.world import HOUR, MINUTE, World


@dataclass
class Training:
    """What one caller wants with its key, and what the gateway said."""

    key: str
    tenant: str
    name: str
    shown: list[tuple[float, str]] = field(default_factory=list)
    """The true times of responses, and the ids of the characters in them."""
    final_error: GatewayError | None = None
    """The last error, if the key has no character at the end."""


class Trainer:
    """Trains a character under a key, and asks for it again now and then."""

    def __init__(self, world: World, server: Endpoint, higgsfield: Higgsfield, number: int, horizon: float) -> None:
        self.world = world
        self._server = server
        self._higgsfield = higgsfield
        self._horizon = horizon
        # Two of three trainers use the same name, and could be confused.
        self.training = Training(f"character-{number}", f"tenant-{number % 2}", "Anna" if number % 3 else "Berta")

    async def run(self) -> None:
        """Ask for the character several times while there are faults, and until it is there when they have stopped."""
        world, training = self.world, self.training
        await world.sleep(world.rng.random() * self._horizon / 2)
        while world.faults_enabled:
            await self._ask()
            await world.sleep(world.log_uniform(0.2, self._horizon / 4))
        await world.sleep(HOUR)  # nothing of an earlier order can appear any more
        while not await self._ask():  # the gateway may be down for days
            error = training.final_error
            if error is not None and error.failure.reason is Reason.SUBMISSION_UNRESOLVED:
                await self._free()
            await world.sleep(5 * MINUTE)

    async def _ask(self) -> bool:
        training = self.training
        order = Order(training.name, (f"https://images.example/{training.key}.png",), SoulVersion.V2, training.key)

        async def create(core: Core) -> Character:
            character, _ = await core.characters.create(training.tenant, order)
            return character

        call = asyncio.ensure_future(self._server.call(create))
        call.add_done_callback(retrieve_exception)  # it may fail at the moment of the timeout
        try:
            async with asyncio.timeout(self.world.log_uniform(0.01, 200.0)):
                character = await call
        except GatewayError as error:
            training.final_error = error
            self.world.record(training.key, error.failure.reason.name, error.failure.message)
        except (NotConnectedError, TimeoutError):
            pass
        else:
            training.final_error = None
            training.shown.append((self.world.now, character.id))
            self.world.record(training.key, "is", character.id)
            return True
        return False

    async def _free(self) -> None:
        """Free the key, as an operator who has seen that Higgsfield has no such character."""
        training = self.training
        if self._higgsfield.ledger.characters_of(training.key):
            return
        await confirmed(
            self.world,
            self._server,
            f"free {training.key}",
            lambda core: core.characters.resolve(training.tenant, training.key, None),
        )
