"""Simulated callers who talk to agents, and watchers of their sessions.

Each message has its own key, and may have the same text as another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from gateway.agents.model import Message, Session
from gateway.errors import GatewayError, Reason
from gateway.process.core import Core
from tests.simulation.callers import always_valid
from tests.simulation.gateway import Endpoint, NotConnectedError
from tests.simulation.higgsfield import Higgsfield
from tests.simulation.world import HOUR, MINUTE, World

T = TypeVar("T")
MESSAGES = 4
"""Messages of one caller."""


@dataclass
class Talk:
    """What one caller says in its session, and what the gateway said of each message."""

    name: str
    tenant: str
    repeats_itself: bool
    """Whether every second message has the same text as the one before."""
    session_id: str = ""
    shown: dict[str, list[str]] = field(default_factory=dict)
    """By key: the ids of the message in the responses. Keys that were used have an entry."""
    unresolved: set[str] = field(default_factory=set)
    """The keys whose message may not have arrived, at the end."""
    heard: list[str] | None = None
    """The ids of the messages that a watch of the session has shown, in their order; None if there was none."""
    wrong: list[str] = field(default_factory=list)
    """What was wrong with the watch."""

    def text_of(self, key: str) -> str:
        """Return the text of a key's message."""
        number = int(key.rpartition("-")[2])
        return f"{self.name} says {number // 2 if self.repeats_itself else number}"


class Talker:
    """Sends messages under keys, each until there is a response, and asks for each again now and then."""

    def __init__(self, world: World, server: Endpoint, higgsfield: Higgsfield, number: int, horizon: float) -> None:
        self.world = world
        self._server = server
        self._higgsfield = higgsfield
        self._horizon = horizon
        self.talk = Talk(f"talker-{number}", f"tenant-{number % 2}", repeats_itself=bool(number % 2))

    async def run(self) -> None:
        """Talk while there are faults, and find out the outcome of every message when they have stopped."""
        world, talk = self.world, self.talk
        await world.sleep(world.rng.random() * self._horizon / 2)
        while not talk.session_id:
            session = await self._call("session", self._create)
            if isinstance(session, Session):
                talk.session_id = session.id
            else:
                await world.sleep(world.log_uniform(0.5, 10 * MINUTE))
        for number in range(MESSAGES):
            key = f"{talk.name}-{number}"
            talk.shown[key] = []
            while world.faults_enabled and not (await self._send(key) and world.rng.random() < 0.7):
                await world.sleep(world.log_uniform(0.2, self._horizon / 10))
        await self._until_faults_stop()
        for key in talk.shown:
            await self._settle(key)

    async def _until_faults_stop(self) -> None:
        while self.world.faults_enabled:
            await self.world.sleep(self._horizon / 10)
        await self.world.sleep(HOUR)  # nothing of an earlier message can appear any more

    async def _settle(self, key: str) -> None:
        """Send a message until there is an outcome. An operator frees the key of one that never arrived."""
        talk = self.talk
        while not await self._send(key):
            arrived = [one for one in self._higgsfield.ledger.texts if one.text == talk.text_of(key)]
            if key in talk.unresolved and not arrived:
                await self._call(f"free {key}", lambda core: core.agents.resolve(talk.tenant, key, None))
            elif key in talk.unresolved and talk.repeats_itself:
                return  # no operator can tell which of the keys it was
            await self.world.sleep(5 * MINUTE)

    async def _create(self, core: Core) -> Session:
        session, _ = await core.agents.create_session(self.talk.tenant, f"{self.talk.name} begins")
        return session

    async def _send(self, key: str) -> bool:
        """Send a message, or ask for it; return whether it was accepted."""
        talk = self.talk

        async def send(core: Core) -> Message:
            message, _ = await core.agents.send(talk.tenant, talk.session_id, talk.text_of(key), key)
            return message

        found = await self._call(key, send)
        talk.unresolved.discard(key)
        if isinstance(found, Message):
            talk.shown[key].append(found.id)
            self.world.record(key, "is", found.id)
            return True
        if isinstance(found, GatewayError) and found.failure.reason is Reason.SUBMISSION_UNRESOLVED:
            talk.unresolved.add(key)
        return False

    async def _call(self, what: str, work: Callable[[Core], Awaitable[T]]) -> T | GatewayError | None:
        """Return the result of a call, or its error; None if the caller left or the connection broke."""
        try:
            async with asyncio.timeout(self.world.log_uniform(0.01, 200.0)):
                return await self._server.call(work)
        except GatewayError as error:
            self.world.record(what, error.failure.reason.name, error.failure.message)
            return error
        except (NotConnectedError, TimeoutError):
            return None


class Listener:
    """Watches the session of a talker, and resumes after the last message."""

    def __init__(self, world: World, server: Endpoint, higgsfield: Higgsfield, talk: Talk, horizon: float) -> None:
        self.world = world
        self._horizon = horizon
        self._server = server
        self._higgsfield = higgsfield
        self._talk = talk
        self._heard: list[str] = []

    async def run(self) -> None:
        """Watch now and then while there are faults. A watch polls, so it cannot last for all the simulated days."""
        world, talk = self.world, self._talk
        talk.heard = self._heard
        while world.faults_enabled:
            await world.sleep(world.log_uniform(0.2, self._horizon / 10))
            if talk.session_id:
                await self._watch_for(world.log_uniform(1.0, MINUTE), until_idle=world.rng.random() < 0.5)

    async def finish(self) -> None:
        """Watch what the session has at the end."""
        for _ in range(100):
            if not self._talk.session_id or await self._watch_for(HOUR, until_idle=True):
                return
            await self.world.sleep(MINUTE)

    async def _watch_for(self, seconds: float, *, until_idle: bool) -> bool:
        """Watch the session, at most for some seconds. Return whether the gateway has ended the watch."""
        try:
            async with asyncio.timeout(seconds):
                await self._watch(until_idle=until_idle)
        except (GatewayError, NotConnectedError, TimeoutError):
            return False
        return True

    async def _watch(self, *, until_idle: bool) -> None:
        talk = self._talk
        accepted = {name for names in talk.shown.values() for name in names}
        stream = self._server.stream(
            lambda core: core.agents.watch(
                talk.tenant,
                talk.session_id,
                self._heard[-1] if self._heard else "",
                until_idle=until_idle,
                check=always_valid,
            )
        )
        async for seen in stream:
            if isinstance(seen, Message):
                if seen.id in self._heard:
                    talk.wrong.append(f"{seen.id} was shown again")
                self._heard.append(seen.id)
        for text in self._higgsfield.ledger.texts:
            if text.id in accepted and text.answered_at > self.world.now:
                talk.wrong.append(f"a watch ended before the turn of {text.id}")
