"""Watches of one or many generations.

A watcher holds a position in the committed log and no queue, so a slow watcher delays no one and holds no memory.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from gateway.errors import GatewayError, Reason, gateway_unavailable, invalid_field
from gateway.frozen import frozen
from gateway.generations.clock import WaitTimer, jittered
from gateway.generations.model import Change, Generation, GenerationId
from gateway.generations.ports import Clock
from gateway.generations.reads import Reads
from gateway.generations.stores import ChangeLog, Filter, GenerationStore
from gateway.generations.watching.feed import Entry, Feed

HEARTBEAT = 15.0
"""Seconds without a message after which a watch sends a heartbeat."""
MAX_STREAM_DURATION = 4 * 3600.0
"""Seconds after which a stream ends and must be resumed, so that watchers spread over replicas."""
READ_BATCH_SIZE = 200


@frozen
class Position:
    """How far a watch of many generations has come, in a store with this epoch.

    The watch has sent all changes up to `position`. While it still sends the present state, which is in the order of
    ids, this holds for the generations up to the id `presented`. Afterwards `presented` is None.
    """

    epoch: str
    position: int
    presented: str | None = None


@frozen
class WatchMessage:
    """A message of a watch of many generations: a change, the end of the snapshot, a reset, or a heartbeat."""

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
        self._until = clock.moment().steady + jittered(MAX_STREAM_DURATION)

    def raise_if_over(self, *, draining: bool) -> None:
        """Raise a GatewayError if the stream must end."""
        self._check()
        if draining:
            raise gateway_unavailable("the gateway is shutting down: resume the watch", retry_after=jittered(1.0, 0.9))
        if self._clock.moment().steady >= self._until:
            raise gateway_unavailable("the stream is old: resume the watch", retry_after=0.0)


class Watches:
    """Opens watches. A watch ends with UNAVAILABLE when the gateway drains or after MAX_STREAM_DURATION seconds."""

    def __init__(
        self, change_log: ChangeLog, generations: GenerationStore, feed: Feed, clock: Clock, service: Reads
    ) -> None:
        self._change_log = change_log
        self._generations = generations
        self._feed = feed
        self._clock = clock
        self._service = service

    async def one(
        self, tenant: str, generation_id: GenerationId, after_revision: int, tick: float, check: Callable[[], None]
    ) -> AsyncIterator[tuple[Generation, Entry] | None]:
        """Yield every revision after `after_revision`, in order, up to the final one.

        Yields None as a heartbeat after each `tick` seconds without a change. `check` is called after each wait; what
        it raises ends the watch. Raises NOT_FOUND, or INVALID_INPUT for a revision that does not exist yet.
        """
        entry = await self._service.entry(tenant, generation_id)
        if after_revision < 0:
            raise invalid_field("after_revision", "must not be negative")
        if after_revision > entry.generation.revision:
            await self._change_log.announced()  # another replica may have shown it first
        if after_revision > entry.generation.revision:
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
                    for generation in await self._history(entry, seen):
                        seen = generation.revision
                        yield generation, entry
                if seen < entry.generation.revision:
                    continue
                if entry.generation.done:
                    return
                stream.raise_if_over(draining=self._service.draining)
                self._service.raise_if_removed(entry)
                signal = entry.signal()
                try:
                    await timer.wait(signal)
                finally:
                    entry.drop(signal)
                if seen == entry.generation.revision:
                    stream.raise_if_over(draining=self._service.draining)
                    yield None
        finally:
            timer.end()

    async def many(
        self, tenant: str, wanted: Filter, resume: Position | None, tick: float, check: Callable[[], None]
    ) -> AsyncIterator[WatchMessage]:
        """Yield the present state of the matching generations, and then every change.

        Of those that have ended, only the ones in the filter's `ids` are part of the present state.

        With a position to resume from, the watch sends the changes since then and the rest of the present state, if
        the log still has these changes. An empty message is a heartbeat, after each `tick` seconds without another
        message. `check` is used as in `one`.
        """
        stream = Stream(self._clock, check)
        missing = await self._missing(tenant, wanted)
        if any(self._service.live(tenant, generation_id) is None for generation_id in wanted.ids or ()):
            # Their present state is read from the store, so their changes must not be announced after that.
            await self._change_log.announced()
        start, lost = await self._start(tenant, resume)
        # Read both without an await in between, so that every change that is not in `live` has a later position.
        target = self._feed.position
        live = self._live(tenant, wanted) if start is None or start.presented is not None else []
        if start is None:
            start = Position(self._change_log.epoch, target, presented="")
        position, presented = start.position, start.presented
        generation_ids = wanted.ids or [generation.id for generation in live]
        rest = set() if presented is None else {id for id in generation_ids if id > presented}
        if lost or missing:
            yield WatchMessage(start, reset=lost, missing=missing)
        async for change in self._until(tenant, position, target, stream):
            position = change.position
            generation = change.generation
            if generation is not None and generation.id not in rest and wanted.matches(generation):
                yield WatchMessage(self._at(position, presented), generation)
        position = max(position, target)
        async for generation in self._present(tenant, wanted, live, rest):
            yield WatchMessage(self._at(position, generation.id), generation)
        yield WatchMessage(self._at(position), caught_up=True)
        async for seen in self._follow(tenant, wanted, position, stream, tick):
            yield seen

    async def present(self, tenant: str, wanted: Filter) -> AsyncIterator[Generation]:
        """Yield the present state of the matching generations that have not ended. Other tasks get turns in between."""
        for number, generation in enumerate(self._live(tenant, wanted), 1):
            if wanted.matches(generation):
                yield generation
            if number % READ_BATCH_SIZE == 0:
                await asyncio.sleep(0)

    async def _follow(
        self, tenant: str, wanted: Filter, position: int, stream: Stream, tick: float
    ) -> AsyncIterator[WatchMessage]:
        said = self._clock.moment().steady
        while True:
            target = self._feed.position
            async for change in self._until(tenant, position, target, stream):
                position = change.position
                if change.generation is not None and wanted.matches(change.generation):
                    yield WatchMessage(self._at(position), change.generation)
                    said = self._clock.moment().steady
            position = max(position, target)
            now = self._clock.moment().steady
            if now - said >= tick:
                # Changes of generations that do not match are no messages to this watcher.
                yield WatchMessage(self._at(position))
                said = now
            behind = self._feed.position > position
            if not behind and wanted.ids is not None and not self._any_live(tenant, wanted):
                return
            stream.raise_if_over(draining=self._service.draining)
            if behind:
                continue  # the reader is slower than the changes
            signal = self._feed.signal(tenant)
            try:
                await self._clock.wait(signal, said + tick - now)
            finally:
                self._feed.drop(tenant, signal)

    async def _until(self, tenant: str, after: int, target: int, stream: Stream) -> AsyncIterator[Change]:
        """Yield the tenant's changes after one position up to another, from memory or from the store."""
        while after < target:
            changes: Sequence[Change] | None = self._feed.recent(tenant, after, READ_BATCH_SIZE)
            if changes is None:
                changes = await self._change_log.changes(tenant, after, READ_BATCH_SIZE)
                # Read the horizon after the changes: what was removed before the first read is missing in it.
                if await self._change_log.horizon(tenant) > after:
                    raise gateway_unavailable("changes not yet sent were removed: resume the watch", retry_after=0.0)
                await asyncio.sleep(0)
            for change in changes:
                if change.position > target:
                    return
                after = change.position
                yield change
            if len(changes) < READ_BATCH_SIZE:
                return
            stream.raise_if_over(draining=self._service.draining)

    def _live(self, tenant: str, wanted: Filter) -> list[Generation]:
        """Return the tenant's generations that have not ended; of these the named ones, if the filter names some."""
        live = self._feed.entries
        if wanted.ids is None:
            return live.of_tenant(tenant)
        return [found for found in map(live.generation, wanted.ids) if found is not None and found.tenant == tenant]

    async def _present(
        self, tenant: str, wanted: Filter, live: Sequence[Generation], generation_ids: set[GenerationId]
    ) -> AsyncIterator[Generation]:
        """Yield the matching generations with these ids, in the order of their ids."""
        known = {generation.id: generation for generation in live}
        for number, generation_id in enumerate(sorted(generation_ids), 1):
            if number % READ_BATCH_SIZE == 0:
                await asyncio.sleep(0)  # a filter may select none of many
            generation = known.get(generation_id) or await self._generations.get(tenant, generation_id)
            if generation is not None and wanted.matches(generation):
                yield generation

    async def _missing(self, tenant: str, wanted: Filter) -> tuple[str, ...]:
        missing = []
        for generation_id in wanted.ids or ():
            try:
                entry = await self._service.entry(tenant, generation_id)
            except GatewayError as error:
                if error.failure.reason is not Reason.NOT_FOUND:
                    raise
                missing.append(generation_id)
            else:
                if not wanted.exists(entry.generation):
                    missing.append(generation_id)
        return tuple(sorted(missing))

    async def _start(self, tenant: str, resume: Position | None) -> tuple[Position | None, bool]:
        """Return the position to resume from, or None to start with the present; and whether changes were lost."""
        if resume is None:
            return None, False
        if resume.position > self._feed.position:
            await self._change_log.announced()  # another replica may have sent it first
        horizon = await self._change_log.horizon(tenant)
        kept = resume.epoch == self._change_log.epoch and horizon <= resume.position <= self._feed.position
        return (resume, False) if kept else (None, True)

    async def _history(self, entry: Entry, after: int) -> Sequence[Generation]:
        history = await self._service.history(entry, after, READ_BATCH_SIZE)
        if not history:
            raise gateway_unavailable("the generation was removed while it was watched", retry_after=0.0)
        return history

    def _at(self, position: int, presented: str | None = None) -> Position:
        return Position(self._change_log.epoch, position, presented)

    def _any_live(self, tenant: str, wanted: Filter) -> bool:
        """Return whether one of the named generations that this caller may see has not ended."""
        entries = (self._service.live(tenant, generation_id) for generation_id in wanted.ids or ())
        return any(entry is not None and wanted.exists(entry.generation) for entry in entries)
