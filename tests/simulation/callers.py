"""Callers that record every answer: customers with one key each, and watchers of a whole tenant."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from gateway.core import Core
from gateway.errors import GatewayError, Reason
from gateway.generations.inputs import Input, SoulInput
from gateway.generations.model import Generation
from gateway.generations.ports import Filter
from gateway.generations.service import Submission
from gateway.generations.watch import Position
from tests.simulation.gateway import NotConnectedError, Server
from tests.simulation.world import HOUR, World

T = TypeVar("T")
TICK = 1200.0
ONLY_V1 = {"width": 2048, "height": 1152}


class LeftError(Exception):
    """The caller left before there was an answer."""


@dataclass
class Sight:
    """A generation as it was shown. `began` is when the call was made."""

    at: float
    channel: str
    generation: Generation
    began: float


@dataclass
class Gap:
    """A watch that skipped a revision, or sent one twice."""

    at: float
    generation_id: str
    before: int
    after: int


@dataclass
class History:
    """Every answer to one customer about one key."""

    key: str
    tenant: str
    api: str
    start_timeout: float | None = None
    first_asked_at: float | None = None
    asked_at: list[float] = field(default_factory=list)
    sights: list[Sight] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    errors: list[tuple[float, str, GatewayError]] = field(default_factory=list)
    cancel_asked: bool = False
    delete_asked: bool = False
    deleted: bool = False
    watches_ended: list[tuple[float, int]] = field(default_factory=list)
    final: Generation | None = None
    final_error: GatewayError | None = None

    @property
    def ids(self) -> list[str]:
        """The generations that were made for the key, in the order in which they were seen."""
        return list(dict.fromkeys(sight.generation.id for sight in self.sights))

    def seen_first(self, generation_id: str) -> float:
        """Return the time at which a generation was first seen."""
        return min(sight.at for sight in self.sights if sight.generation.id == generation_id)


@dataclass
class Model:
    """The state that a watcher has built up; `presenting` while the snapshot is sent."""

    tenant: str
    believed: dict[str, Generation] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    caught_up: bool = False
    presenting: bool = True
    resets: int = 0


@dataclass
class Habits:
    """What customers do, as probabilities."""

    leaves: float = 0.0
    cancels: float = 0.0
    deletes: float = 0.0
    watches: float = 0.5
    asks_again: float = 0.3
    v1: float = 0.0
    start_timeout: float = 0.0
    not_queued: float = 0.0
    horizon: float = 300.0
    again_most: float = HOUR
    away: float = 5.0
    """The most seconds that a watcher stays disconnected."""


class Customer:
    """A customer that wants one generation, pays for it once, and calls until it is answered."""

    def __init__(self, world: World, server: Server, habits: Habits, number: int) -> None:
        self.world = world
        self.server = server
        self.habits = habits
        chance = world.chance
        self.history = History(
            key=f"key-{number}",
            tenant=f"tenant-{chance.randrange(2)}",
            api="v1" if chance.random() < habits.v1 else "v2",
            start_timeout=world.between(30.0, 4 * HOUR) if chance.random() < habits.start_timeout else None,
        )
        self._not_queued = chance.random() < habits.not_queued
        self._rng = world.chance

    async def live(self) -> None:
        """Submit, then watch, cancel, delete, submit again or get it, by chance."""
        habits, chance = self.habits, self._rng
        await self.world.sleep(chance.random() * habits.horizon)
        if await self.submit() is None:
            return
        doings: list[Callable[[], Awaitable[None]]] = []
        if chance.random() < habits.watches:
            doings.append(self.watch)
        if chance.random() < habits.cancels:
            doings.append(self.cancel)
        if chance.random() < habits.deletes:
            doings.append(self.delete)
        if chance.random() < habits.asks_again:
            doings.append(self.ask_again)
        doings.append(self.look)
        await asyncio.gather(*(doing() for doing in doings))

    async def submit(self) -> Generation | None:
        """Ask with the same key until there is an answer."""
        history, now = self.history, self.world.now
        history.first_asked_at = history.first_asked_at or now
        history.asked_at.append(now)
        wait = self._rng.choice((0.0, 10.0, 60.0))
        given: Input = SoulInput(prompt=history.key, **(ONLY_V1 if history.api == "v1" else {}))  # type: ignore[arg-type]
        submission = Submission(
            given,
            b"",
            history.key,
            {},
            start_timeout=history.start_timeout,
            fail_when_saturated=self._not_queued,
        )

        async def ask(core: Core) -> Generation:
            generation, _ = await core.service.submit(history.tenant, submission)
            if wait:
                return await core.service.wait(history.tenant, generation.id, _accepted_or_done, wait)
            return generation

        return await self._insist("submit", ask, attempts=40)

    async def ask_again(self) -> None:
        """Ask for the same under the same key, later: it is the same."""
        await self.world.sleep(self.world.between(1.0, self.habits.again_most))
        await self.submit()

    async def look(self) -> None:
        """Get it now and then."""
        for _ in range(self._rng.randrange(3)):
            await self.world.sleep(self.world.between(0.1, self.habits.horizon))
            await self._get()

    async def cancel(self) -> None:
        """Cancel it some time."""
        await self.world.sleep(self.world.between(0.01, self.habits.horizon))
        self.history.cancel_asked = True
        name = self.history.ids[-1]
        await self._insist("cancel", lambda core: core.service.cancel(self.history.tenant, name), attempts=3)

    async def delete(self) -> None:
        """Delete it once it has ended."""
        await self.world.sleep(self.world.between(1.0, self.habits.horizon))
        name = self.history.ids[-1]
        generation = await self._insist(
            "wait", lambda core: core.service.wait(self.history.tenant, name, _done, 20 * 60.0), attempts=20
        )
        if generation is None or not generation.done:
            return
        self.history.delete_asked = True
        for _ in range(self._rng.choice((1, 10))):
            try:
                await self._leaving(self.server.call(lambda core: core.service.delete(self.history.tenant, name)))
            except GatewayError as error:
                self.history.errors.append((self.world.now, "delete", error))
                if error.failure.reason is Reason.NOT_FOUND:
                    return
            except (NotConnectedError, LeftError):
                pass
            else:
                self.history.deleted = True
                return
            await self.world.sleep(self.world.between(0.5, 30.0))

    async def watch(self) -> None:
        """Watch it to its end, reconnecting after every error."""
        history = self.history
        name = history.ids[-1]
        seen = 0
        pause = 5.0
        for _ in range(500):
            patience = self.world.between(1.0, 2 * HOUR)
            try:
                async with asyncio.timeout(patience if self.world.might(self.habits.leaves) else None):
                    async for message in self.server.stream(
                        lambda core: core.watches.one(history.tenant, name, seen, TICK, _nothing)  # noqa: B023
                    ):
                        if message is None:
                            continue
                        generation = message[0]
                        pause = 5.0
                        self._see("watch", generation, self.world.now)
                        if generation.revision != seen + 1:
                            history.gaps.append(Gap(self.world.now, name, seen, generation.revision))
                        seen = generation.revision
                history.watches_ended.append((self.world.now, seen))
                return
            except GatewayError as error:
                history.errors.append((self.world.now, "watch", error))
                if error.failure.reason is Reason.NOT_FOUND:
                    return
                if error.failure.reason is Reason.INVALID_INPUT:
                    seen = 0
            except (NotConnectedError, TimeoutError):
                pass
            await self.world.sleep(self.world.between(0.2, pause))
            pause = min(1.5 * pause, 1200.0)

    async def conclude(self) -> None:
        """Get its last generation, which it may not have seen; faults have stopped."""
        if not self.history.ids:
            return
        for _ in range(20):
            try:
                self.history.final = await self.server.call(self._last)
            except GatewayError as error:
                self.history.final_error = error
            except NotConnectedError:
                await self.world.sleep(10.0)
                continue
            return

    async def _last(self, core: Core) -> Generation:
        """Return the last generation of the key. A caller whose submit was not answered finds it in the list."""
        wanted = Filter(idempotency_key=self.history.key)
        found, _ = await core.service.page(self.history.tenant, wanted, None, 500)
        if found:
            return max(found, key=lambda one: one.spec.created_at)  # ids are in the order of the wall clock
        return await core.service.get(self.history.tenant, self.history.ids[-1])

    async def _get(self) -> None:
        name = self.history.ids[-1]
        await self._insist("get", lambda core: core.service.get(self.history.tenant, name), attempts=1)

    async def _insist(
        self, channel: str, work: Callable[[Core], Awaitable[Generation]], *, attempts: int
    ) -> Generation | None:
        """Call until it is answered, or refused for good."""
        history = self.history
        pause = 0.5
        for _ in range(attempts):
            retry_after: float | None = None
            began = self.world.now
            try:
                generation = await self._leaving(self.server.call(work))
            except GatewayError as error:
                history.errors.append((self.world.now, channel, error))
                self.world.tell(history.key, channel, error.failure.reason.name)
                if not error.failure.retryable:
                    return None
                retry_after = error.failure.retry_after
            except (NotConnectedError, LeftError):
                pass
            else:
                self._see(channel, generation, began)
                return generation
            await self.world.sleep(max(pause, retry_after or 0.0) * (0.5 + self._rng.random()))
            pause = min(2 * pause, 600.0)
        return None

    async def _leaving(self, call: Awaitable[T]) -> T:
        """The answer, unless the caller leaves before: at any moment."""
        if not self.world.might(self.habits.leaves):
            return await call
        task = asyncio.ensure_future(call)
        await asyncio.wait([task], timeout=self.world.between(0.0005, 30.0))
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait([task])
        raise LeftError

    def _see(self, channel: str, generation: Generation, began: float) -> None:
        self.world.tell(self.history.key, channel, generation.id[-6:], generation.revision, generation.state.name)
        self.history.sights.append(Sight(self.world.now, channel, generation, began))


class Watcher:
    """Watches a tenant until the end of the run, and resumes where it was cut off."""

    def __init__(self, world: World, server: Server, habits: Habits, tenant: str) -> None:
        self.world = world
        self.server = server
        self.habits = habits
        self.model = Model(tenant)

    async def live(self) -> None:
        """Watch, and reconnect with the last position after every error."""
        model = self.model
        at: Position | None = None
        pause = self.habits.away
        while True:
            model.caught_up = False
            fresh = True
            try:
                patience = self.world.between(5.0, min(2 * HOUR, self.habits.horizon))
                async with asyncio.timeout(patience if self.world.might(self.habits.leaves) else None):
                    async for seen in self.server.stream(
                        lambda core: core.watches.many(model.tenant, Filter(), at, TICK, _nothing)  # noqa: B023
                    ):
                        if seen.reset or (fresh and (at is None or not at.settled)):
                            # What comes now is the present state: what is not in it is not there.
                            model.believed.clear()
                            model.presenting = True
                            model.resets += 1
                        fresh = False
                        pause = self.habits.away
                        at = seen.at
                        if seen.generation is not None:
                            self._take(seen.generation)
                        if seen.caught_up:
                            model.caught_up, model.presenting = True, False
            except (GatewayError, NotConnectedError, TimeoutError):
                pass
            await self.world.sleep(self.world.between(0.2, pause))
            pause = min(1.5 * pause, 1200.0)

    def _take(self, generation: Generation) -> None:
        model = self.model
        before = model.believed.get(generation.id)
        seen = 0 if before is None else before.revision
        # One that the present state brings may have come to any revision.
        if generation.revision != seen + 1 and not (before is None and model.presenting):
            model.gaps.append(Gap(self.world.now, generation.id, seen, generation.revision))
        model.believed[generation.id] = generation
        self.world.tell("watcher", model.tenant, generation.id[-6:], generation.revision, generation.state.name)


def _accepted_or_done(generation: Generation) -> bool:
    return generation.accept_time is not None or generation.done


def _done(generation: Generation) -> bool:
    return generation.done


def _nothing() -> None:
    """A check that always passes: the watch may continue."""
