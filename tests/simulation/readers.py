"""Simulated readers, who list the generations of a tenant in pages, and watch some of them by their ids."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from gateway.errors import GatewayError
from gateway.generations.model import ENDED, Generation, State
from gateway.generations.stores import Filter
from gateway.generations.watching.watch import Position
from tests.simulation.callers import HEARTBEAT, Gap, History, Observation, always_valid
from tests.simulation.gateway import Endpoint, NotConnectedError
from tests.simulation.world import World

MOST_WATCHED = 3
"""Generations that a reader watches at once, at most."""
RUNNING = frozenset(State) - ENDED


@dataclass
class Listing:
    """What all pages of a list contained."""

    tenant: str
    called_at: float
    """The true time at which the first page was requested."""
    states: frozenset[State]
    """The states that were asked for; empty for all."""
    generations: list[Generation]


@dataclass
class NamedWatch:
    """What a watch of named generations showed."""

    generation_ids: frozenset[str]
    shown: dict[str, Generation] = field(default_factory=dict)
    """The last revision of each, by id."""
    missing: frozenset[str] = frozenset()
    """The ids of which the watch said that no such generation exists."""
    gaps: list[Gap] = field(default_factory=list)
    ended: bool = False
    """Whether the gateway has ended the watch because all generations had ended."""


class Reader:
    """Lists the generations of a tenant, and watches some that callers have been shown."""

    def __init__(
        self, world: World, server: Endpoint, tenant: str, *, histories: Sequence[History], leaves: float, pause: float
    ) -> None:
        self.world = world
        self._server = server
        self._leaves = leaves
        self._histories = histories
        self._tenant = tenant
        self._pause = pause
        self.listings: list[Listing] = []
        self.watches: list[NamedWatch] = []

    async def run(self) -> None:
        """List or watch, again and again until faults have stopped."""
        while self.world.faults_enabled:
            await self.world.sleep(self.world.log_uniform(0.1, self._pause))
            await (self._list() if self.world.rng.random() < 0.6 else self._watch())

    async def _list(self) -> None:
        """Read all pages of a list, each until there is a response."""
        world = self.world
        states, size = world.rng.choice((frozenset(), ENDED, RUNNING)), world.rng.choice((1, 2, 500))
        listing = Listing(self._tenant, world.now, states, [])
        before: str | None = None
        for _ in range(100):
            try:
                page, before = await self._server.call(
                    lambda core: core.service.page(self._tenant, Filter(states=states), before, size)  # noqa: B023
                )
            except (GatewayError, NotConnectedError):
                await world.sleep(world.log_uniform(0.2, 60.0))
                continue
            listing.generations += page
            if before is None:
                self.listings.append(listing)
                return

    async def _watch(self) -> None:
        """Watch a few generations until they have ended, and resume from the last position after each error."""
        rng = self.world.rng
        histories = {name: one for one in self._histories if one.tenant == self._tenant for name in one.ids}
        names = rng.sample(list(histories), min(len(histories), rng.randint(1, MOST_WATCHED)))
        watch = NamedWatch(frozenset(names))
        self.watches.append(watch)
        wanted = Filter(ids=watch.generation_ids)
        at: Position | None = None
        pause = 5.0
        while names and not watch.ended:
            fresh = at is None
            leaves_after = rng.randint(1, 4) if self.world.draw_fault(self._leaves) else None
            stream = self._server.stream(
                lambda core: core.watches.many(self._tenant, wanted, at, HEARTBEAT, always_valid)  # noqa: B023
            )
            try:
                async with aclosing(stream):
                    number = 0
                    async for seen in stream:
                        if seen.reset or fresh:
                            watch.shown.clear()
                        fresh = False
                        at, watch.missing = seen.at, watch.missing | set(seen.missing)
                        if seen.generation is not None:
                            self._apply(watch, seen.generation, histories[seen.generation.id])
                        if (number := number + 1) == leaves_after:
                            break
                    else:
                        watch.ended = True
            except (GatewayError, NotConnectedError):
                pass
            await self.world.sleep(self.world.log_uniform(0.2, pause))
            pause = min(1.5 * pause, 1200.0)

    def _apply(self, watch: NamedWatch, generation: Generation, history: History) -> None:
        now = self.world.now
        known = watch.shown.get(generation.id)
        if known is not None and generation.revision != known.revision + 1:
            watch.gaps.append(Gap(now, generation.id, known.revision, generation.revision))
        watch.shown[generation.id] = generation
        history.observations.append(Observation(now, "watch", generation, now))
        self.world.record("reader", generation.id[-6:], generation.revision, generation.state.name)
