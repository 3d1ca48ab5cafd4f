"""Watches of one or many generations.

A watcher holds a position in the committed log and no queue, so a slow watcher delays no one and holds no memory.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from gateway.errors import GatewayError, gateway_unavailable, invalid_field
from gateway.generations.clock import WaitTimer, jittered
from gateway.generations.feed import Entry, Feed
from gateway.generations.model import Change, Generation, GenerationId
from gateway.generations.ports import Clock, Filter, Store
from gateway.generations.service import Generations

HEARTBEAT = 15.0
"""Seconds without a message after which a watch sends a heartbeat."""
OLDEST_STREAM = 4 * 3600.0
"""Seconds after which a stream ends and must be resumed, so that watchers spread over replicas."""
READ_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Position:
    """A position in the log of a store with this epoch. `settled` once the watch has sent the present state."""

    epoch: str
    position: int
    settled: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """A message of a watch of many generations."""

    at: Position
    generation: Generation | None = None
    caught_up: bool = False
    reset: bool = False
    missing: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether this is a heartbeat."""
        return self.generation is None and not (self.caught_up or self.reset or self.missing)


class Stream:
    """Ends a stream that is too old, or when the gateway drains, or when `check` raises."""

    def __init__(self, clock: Clock, check: Callable[[], None]) -> None:
        self._clock = clock
        self._check = check
        self._until = clock.moment().steady + jittered(OLDEST_STREAM)

    def look_around(self, *, draining: bool) -> None:
        """Raise a GatewayError if the stream must end."""
        self._check()
        if draining:
            raise gateway_unavailable("the gateway is shutting down: resume the watch", retry_after=jittered(1.0, 0.9))
        if self._clock.moment().steady >= self._until:
            raise gateway_unavailable("the stream is old: resume the watch", retry_after=0.0)


class Watches:
    """Opens watches. A watch ends with UNAVAILABLE when the gateway drains or after OLDEST_STREAM seconds."""

    def __init__(self, store: Store, feed: Feed, clock: Clock, service: Generations) -> None:
        self._store = store
        self._feed = feed
        self._clock = clock
        self._service = service

    async def one(
        self, tenant: str, generation_id: GenerationId, after_revision: int, tick: float, check: Callable[[], None]
    ) -> AsyncIterator[tuple[Generation, Entry] | None]:
        """Yield every revision after `after_revision`, in order, up to the final one.

        Yields None as a heartbeat after each `tick` seconds without a change. `check` is called after each wait; what
        it raises ends the watch. Raises NOT_FOUND, or INVALID_ARGUMENT for a revision that does not exist yet.
        """
        entry = await self._service.entry(tenant, generation_id)
        if not 0 <= after_revision <= entry.generation.revision:
            raise invalid_field("after_revision", f"has not happened: the newest is {entry.generation.revision}")
        stream = Stream(self._clock, check)
        timer = WaitTimer(tick)
        seen = after_revision
        try:
            if seen == entry.generation.revision and not entry.generation.done:
                # A client that resumes must see that the stream is open. Otherwise it would count many short streams
                # as one outage.
                yield None
            while True:
                latest = entry.generation
                if latest.revision == seen + 1:
                    seen += 1
                    yield latest, entry
                elif latest.revision > seen:
                    for generation in await self._history(generation_id, seen):
                        seen = generation.revision
                        yield generation, entry
                if seen < entry.generation.revision:
                    continue
                if entry.generation.done:
                    return
                stream.look_around(draining=self._service.draining)
                signal = entry.signal()
                try:
                    await timer.wait(signal)
                finally:
                    entry.drop(signal)
                if seen == entry.generation.revision:
                    stream.look_around(draining=self._service.draining)
                    yield None
        finally:
            timer.end()

    async def many(
        self, tenant: str, wanted: Filter, resume: Position | None, tick: float, check: Callable[[], None]
    ) -> AsyncIterator[Seen]:
        """Yield the present state of all matching generations, and then every change.

        With a position to resume from, only the changes since then are sent, if the log still has them. An empty
        message is a heartbeat, after each `tick` seconds without another message. `check` is used as in `one`.
        """
        stream = Stream(self._clock, check)
        missing = await self._missing(tenant, wanted)
        position, lost = await self._start(tenant, resume)
        if position is None:
            # Read without an await in between, so that every later change has a later position.
            position = self._feed.position
            present = [e.generation for e in self._feed.entries.values() if e.generation.tenant == tenant]
            start = Position(self._store.epoch, position, settled=False)
            if lost or missing:
                yield Seen(start, reset=lost, missing=missing)
            async for generation in self._present(tenant, wanted, present):
                yield Seen(start, generation)
            yield Seen(self._at(position), caught_up=True)
        else:
            if missing:
                yield Seen(self._at(position), missing=missing)
            target = self._feed.position
            async for change in self._until(tenant, position, target):
                position = change.position
                if change.generation is not None and wanted.matches(change.generation):
                    yield Seen(self._at(position), change.generation)
            position = max(position, target)
            yield Seen(self._at(position), caught_up=True)
        async for seen in self._follow(tenant, wanted, position, stream, tick):
            yield seen

    def present(self, tenant: str, wanted: Filter) -> Sequence[Generation]:
        """Return the present state of the matching generations that have not ended."""
        live = (entry.generation for entry in self._feed.entries.values())
        return [one for one in live if one.tenant == tenant and wanted.matches(one)]

    async def _follow(
        self, tenant: str, wanted: Filter, position: int, stream: Stream, tick: float
    ) -> AsyncIterator[Seen]:
        said = self._clock.moment().steady
        while True:
            target = self._feed.position
            async for change in self._until(tenant, position, target):
                position = change.position
                if change.generation is not None and wanted.matches(change.generation):
                    yield Seen(self._at(position), change.generation)
                    said = self._clock.moment().steady
            position = max(position, target)
            now = self._clock.moment().steady
            if now - said >= tick:
                # Changes of generations that do not match are no messages to this watcher.
                yield Seen(self._at(position))
                said = now
            if self._feed.position > position:
                continue
            if wanted.ids is not None and not self._any_live(tenant, wanted):
                return
            stream.look_around(draining=self._service.draining)
            signal = self._feed.signal(tenant)
            try:
                await self._clock.wait(signal, said + tick - now)
            finally:
                self._feed.drop(tenant, signal)

    async def _until(self, tenant: str, after: int, target: int) -> AsyncIterator[Change]:
        """Yield the tenant's changes after one position up to another, from memory or from the store."""
        while after < target:
            changes: Sequence[Change] | None = self._feed.recent(tenant, after, READ_AT_ONCE)
            if changes is None:
                changes = await self._store.changes(tenant, after, READ_AT_ONCE)
                # Read the horizon after the changes: what was removed before the first read is missing in it.
                if await self._store.horizon(tenant) > after:
                    raise gateway_unavailable("changes not yet sent were removed: resume the watch", retry_after=0.0)
                await asyncio.sleep(0)
            for change in changes:
                if change.position > target:
                    return
                after = change.position
                yield change
            if len(changes) < READ_AT_ONCE:
                return

    async def _present(self, tenant: str, wanted: Filter, live: Sequence[Generation]) -> AsyncIterator[Generation]:
        """Yield the matching generations that have not ended, and ended ones if the filter names their ids."""
        for generation in live:
            if wanted.matches(generation):
                yield generation
        for name in wanted.ids or ():
            if not any(generation.id == name for generation in live):
                stored = await self._store.get(tenant, name)
                if stored is not None and wanted.matches(stored):
                    yield stored

    async def _missing(self, tenant: str, wanted: Filter) -> tuple[str, ...]:
        missing = []
        for name in wanted.ids or ():
            try:
                entry = await self._service.entry(tenant, name)
            except GatewayError:
                missing.append(name)
            else:
                if not wanted.exists(entry.generation):
                    missing.append(name)
        return tuple(sorted(missing))

    async def _start(self, tenant: str, resume: Position | None) -> tuple[int | None, bool]:
        """Return the position to resume from, or None to start with the present; and whether changes were lost."""
        if resume is None or not resume.settled:
            return None, False
        horizon = await self._store.horizon(tenant)
        kept = resume.epoch == self._store.epoch and horizon <= resume.position <= self._feed.position
        return (resume.position, False) if kept else (None, True)

    async def _history(self, generation_id: GenerationId, after: int) -> Sequence[Generation]:
        history = await self._store.history(generation_id, after, READ_AT_ONCE)
        if not history:
            raise gateway_unavailable("the generation was removed while it was watched", retry_after=0.0)
        return history

    def _at(self, position: int) -> Position:
        return Position(self._store.epoch, position, settled=True)

    def _any_live(self, tenant: str, wanted: Filter) -> bool:
        """Return whether one of the named generations that this caller may see has not ended."""
        entries = (self._service.live(tenant, name) for name in wanted.ids or ())
        return any(entry is not None and wanted.exists(entry.generation) for entry in entries)
