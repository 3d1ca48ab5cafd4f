"""Watching: positions in what has been committed, never queues. A slow watcher costs nobody anything."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from gateway.errors import GatewayError, gateway_unavailable, invalid_field
from gateway.generations.clock import Patience, jittered
from gateway.generations.feed import Entry, Feed
from gateway.generations.model import Change, Generation
from gateway.generations.ports import Clock, Filter, Store
from gateway.generations.service import Generations

HEARTBEAT = 15.0
"""Seconds of silence after which a watch says that it is alive."""
OLDEST_STREAM = 4 * 3600.0
"""Seconds after which a stream ends and is to be resumed, so that watchers spread over replicas again."""
READ_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Position:
    """Where a watch of many stands: a place in the log of one life of the store. `settled` once it has caught up."""

    epoch: str
    position: int
    settled: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """One message of a watch of many; an empty one is a heartbeat."""

    at: Position
    generation: Generation | None = None
    caught_up: bool = False
    reset: bool = False
    missing: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether it only says that nothing has happened."""
        return self.generation is None and not (self.caught_up or self.reset or self.missing)


class Stream:
    """How long one stream of a watch may go on. `check` may raise what ends it."""

    def __init__(self, clock: Clock, check: Callable[[], None]) -> None:
        self._clock = clock
        self._check = check
        self._until = clock.moment().steady + jittered(OLDEST_STREAM)

    def look_around(self, *, draining: bool) -> None:
        """Raise what ends it: what `check` raises, a gateway that drains, its age."""
        self._check()
        if draining:
            raise gateway_unavailable("the gateway is shutting down: resume the watch", retry_after=jittered(1.0, 0.9))
        if self._clock.moment().steady >= self._until:
            raise gateway_unavailable("the stream is old: resume the watch", retry_after=0.0)


class Watches:
    """Opens watches. They end with UNAVAILABLE when the gateway drains or when they get old."""

    def __init__(self, store: Store, feed: Feed, clock: Clock, service: Generations) -> None:
        self._store = store
        self._feed = feed
        self._clock = clock
        self._service = service

    async def one(
        self, tenant: str, generation_id: str, after_revision: int, tick: float, check: Callable[[], None]
    ) -> AsyncIterator[tuple[Generation, Entry] | None]:
        """Every revision after that one, in order, to the end; None after each `tick` seconds of silence.

        `check` is called with every tick and every wake-up, and may raise what ends the watch.
        """
        entry = await self._service.entry(tenant, generation_id)
        if not 0 <= after_revision <= entry.generation.revision:
            raise invalid_field("after_revision", f"has not happened: the newest is {entry.generation.revision}")
        stream = Stream(self._clock, check)
        patience = Patience(tick)
        seen = after_revision
        try:
            if seen == entry.generation.revision and not entry.generation.done:
                # Who resumes on a bad line must see that it is through, or take many short streams for one outage.
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
                    await patience.wait(signal)
                finally:
                    entry.drop(signal)
                if seen == entry.generation.revision:
                    stream.look_around(draining=self._service.draining)
                    yield None
        finally:
            patience.end()

    async def many(
        self, tenant: str, wanted: Filter, resume: Position | None, tick: float, check: Callable[[], None]
    ) -> AsyncIterator[Seen]:
        """The present state, then every change, of all that match; or every change since a position.

        An empty one after each `tick` seconds of silence. `check` as above.
        """
        stream = Stream(self._clock, check)
        missing = await self._missing(tenant, wanted)
        position, lost = await self._start(tenant, resume)
        if position is None:
            # Taken together, without a pause between: what changes later has a later position.
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
        """Those that match and have not ended, as they are now."""
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
                # Also while others change: what does not match is silence to this watcher.
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
        """The tenant's changes after one position up to another: from memory, or from the store in small reads."""
        while after < target:
            changes: Sequence[Change] | None = self._feed.recent(tenant, after, READ_AT_ONCE)
            if changes is None:
                changes = await self._store.changes(tenant, after, READ_AT_ONCE)
                # Asked after that read: what retention removed before it is missing there.
                if await self._store.horizon(tenant) > after:
                    raise gateway_unavailable("changes not told yet were removed: resume the watch", retry_after=0.0)
                await asyncio.sleep(0)
            for change in changes:
                if change.position > target:
                    return
                after = change.position
                yield change
            if len(changes) < READ_AT_ONCE:
                return

    async def _present(self, tenant: str, wanted: Filter, live: Sequence[Generation]) -> AsyncIterator[Generation]:
        """What matches and has not ended; of ids that were named, ended ones too."""
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
        """Where to go on, or None to begin with the present; and whether changes are missing that were asked for."""
        if resume is None or not resume.settled:
            return None, False
        horizon = await self._store.horizon(tenant)
        kept = resume.epoch == self._store.epoch and horizon <= resume.position <= self._feed.position
        return (resume.position, False) if kept else (None, True)

    async def _history(self, generation_id: str, after: int) -> Sequence[Generation]:
        history = await self._store.history(generation_id, after, READ_AT_ONCE)
        if not history:
            raise gateway_unavailable("the generation was removed while it was watched", retry_after=0.0)
        return history

    def _at(self, position: int) -> Position:
        return Position(self._store.epoch, position, settled=True)

    def _any_live(self, tenant: str, wanted: Filter) -> bool:
        """Whether one of the ids that were named, and exist for who asks, has not ended."""
        entries = (self._service.live(tenant, name) for name in wanted.ids or ())
        return any(entry is not None and wanted.exists(entry.generation) for entry in entries)
