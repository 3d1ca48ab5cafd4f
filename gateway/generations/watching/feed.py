"""The live generations in memory, their recent changes, and the signals that wake watchers.

The feed is updated after each commit, by the store's announcements. It only wakes a watcher, which then reads what is
newer than its position, from here or from the store.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import replace

from gateway.concurrency import Signal, Signals
from gateway.generations.model import Change, Generation, GenerationId, Spec
from gateway.generations.stores import Saved

RECENT_CHANGES = 10_000
"""Changes kept in memory. A watcher that is further behind reads from the store."""
RECENT_BYTES = 64 * 1024 * 1024
"""The most bytes that the inputs of their generations have; one with several changes counts for each."""
REPLACE_BATCH_SIZE = 1_000
"""Live generations that are replaced in one iteration of the event loop. 100,000 would block it for half a second."""
LONG_AGO = -math.inf
"""Earlier than every time. All entries share this object, which saves memory."""


class Entry(Signals):
    """A live generation, with the signals of its watchers."""

    __slots__ = (
        "bare",
        "errors",
        "full",
        "generation",
        "poll_at",
        "polled_at",
        "polled_run_time",
        "polls",
        "progress",
        "relies_on_webhook",
        "start_check_at",
        "start_checks",
    )

    def __init__(self, generation: Generation) -> None:
        super().__init__()
        self.generation = generation
        self.full: bytes | None = None
        """Its encoded message with the input, cached until it changes."""
        self.bare: bytes | None = None
        """Its encoded message without the input, cached until it changes."""
        self.polls = generation.polls
        """The number of its status calls."""
        self.progress = 0.0
        """The most progress that a forecast has shown."""
        # All others belong to the follower.
        self.poll_at = 0.0
        """The steady time of the next poll."""
        self.start_check_at = math.inf
        """The steady time of the next poll for its start."""
        self.start_checks = 0
        """The number of polls for its start."""
        self.polled_run_time: float | None = 0.0
        """Its run time in seconds at its last successful poll."""
        self.errors = 0
        """The number of failed calls in a row."""
        self.polled_at = LONG_AGO
        """The steady time of its last poll."""
        self.relies_on_webhook = True
        """Whether the next poll was planned because a webhook should report the end first."""

    def update(self, generation: Generation) -> None:
        """Replace the generation by a newer version, and wake the watchers if its revision changed."""
        seen = generation.revision != self.generation.revision
        self.generation = generation
        # Another replica may make the calls. One that responds while the end is stored does not count: later readers
        # get the stored number.
        if generation.polls > self.polls or (generation.polls < self.polls and generation.done):
            self.polls = generation.polls
        if seen:
            self.forget()
            self.wake()

    def count_poll(self) -> None:
        """Count a status call, unless the generation has ended. The count is shown, but is not a change of it."""
        if not self.generation.done:
            self.polls += 1
            self.forget()

    def forget(self) -> None:
        """Drop the encoded messages, because what they show has changed."""
        self.full = self.bare = None


class Entries:
    """The entries of the live generations, by id.

    An entry is made when `get` is first called for it. A replica that does not lead has none for most generations,
    which saves memory.
    """

    def __init__(self, unfinished: Iterable[Generation]) -> None:
        self._live: dict[GenerationId, Generation | Entry] = {}
        self._of_tenant: dict[str, dict[GenerationId, None]] = {}
        for generation in unfinished:
            self._set(generation)

    def get(self, generation_id: GenerationId) -> Entry | None:
        """Return the entry of a live generation; None if there is none."""
        found = self._live.get(generation_id)
        if found is None or isinstance(found, Entry):
            return found
        entry = self._live[generation_id] = Entry(found)
        return entry

    def __getitem__(self, generation_id: GenerationId) -> Entry:
        entry = self.get(generation_id)
        if entry is None:
            raise KeyError(generation_id)
        return entry

    def __contains__(self, generation_id: object) -> bool:
        return generation_id in self._live

    def __iter__(self) -> Iterator[GenerationId]:
        return iter(self._live)

    def __len__(self) -> int:
        return len(self._live)

    def values(self) -> Iterator[Entry]:
        """Return the entries of all live generations."""
        return map(self.__getitem__, self._live)

    def generation(self, generation_id: GenerationId) -> Generation | None:
        """Return a live generation, without making its entry."""
        found = self._live.get(generation_id)
        return None if found is None else _generation(found)

    def polls(self, generation_id: GenerationId) -> int:
        """Return the number of status calls for a generation, without making its entry; 0 if it is not live."""
        found = self._live.get(generation_id)
        return 0 if found is None else found.polls

    def generations(self) -> Iterator[Generation]:
        """Return all live generations, without making their entries."""
        return map(_generation, self._live.values())

    def of_tenant(self, tenant: str) -> list[Generation]:
        """Return the live generations of a tenant, without making their entries."""
        return [_generation(self._live[generation_id]) for generation_id in self._of_tenant.get(tenant, ())]

    def created(self) -> Iterator[Entry]:
        """Return the entries that have been made."""
        return (entry for entry in self._live.values() if isinstance(entry, Entry))

    def put(self, generation: Generation) -> None:
        """Add a generation, or replace it by this version, even if that is older."""
        found = self._live.get(generation.spec.id)
        if isinstance(found, Entry):
            found.update(generation)
        else:
            self._set(generation)

    def update(self, generation: Generation) -> Generation | None:
        """Replace a generation by a version that is not older, or add one that has not ended.

        Returns the version that is kept; None if the generation has ended and was not live.
        """
        generation_id = generation.spec.id
        found = self._live.get(generation_id)
        if isinstance(found, Entry):
            if generation.revision >= found.generation.revision:
                found.update(generation)
            return found.generation
        if found is None and generation.done:
            return None
        if found is None or generation.revision >= found.revision:
            self._set(generation)
            return generation
        return found

    def remove(self, generation_id: GenerationId) -> None:
        """Remove a generation, and wake the watchers that still wait for its end."""
        found = self._live.pop(generation_id)
        tenant = _generation(found).tenant
        generation_ids = self._of_tenant[tenant]
        del generation_ids[generation_id]
        if not generation_ids:
            del self._of_tenant[tenant]
        if isinstance(found, Entry):
            found.wake()

    def _set(self, generation: Generation) -> None:
        spec = generation.spec
        if spec.id not in self._live:
            self._of_tenant.setdefault(spec.tenant, {})[spec.id] = None
        self._live[spec.id] = generation


def _generation(live: Generation | Entry) -> Generation:
    return live.generation if isinstance(live, Entry) else live


class Feed:
    """The live entries by id, and the recent changes of all tenants in the order of their positions."""

    def __init__(self, unfinished: Iterable[Generation] = (), position: int = 0) -> None:
        self.entries = Entries(unfinished)
        self.position = position
        self._recent: deque[Change] = deque()
        self._bytes = 0
        self._since = position
        self._tenants: dict[str, Signals] = {}
        self.others: Callable[[], int] = lambda: 0
        """Returns the number of replicas with watchers that this process does not know."""

    async def replace(self, unfinished: Sequence[Generation]) -> None:
        """Replace all live generations with the stored ones. Entries with watchers are kept.

        The stored versions are those of the newest changes, but what callers cannot see may be newer. Nothing may be
        published before this returns.
        """
        stored = {generation.id for generation in unfinished}
        for generation_id in [generation_id for generation_id in self.entries if generation_id not in stored]:
            self.entries.remove(generation_id)
        for number, generation in enumerate(unfinished):
            if number % REPLACE_BATCH_SIZE == 0:
                await asyncio.sleep(0)
            self.entries.put(generation)
        for entry in self.entries.created():
            entry.polls = entry.generation.polls

    def publish(self, saved: Sequence[Saved]) -> None:
        """Apply a committed transaction."""
        tenants = dict[str, None]()  # in the order of their changes, so that simulations can be repeated
        for save in saved:
            self._apply(save)
            if save.change is not None:
                tenants[save.change.tenant] = None
        removed = {save.generation_id for save in saved if save.generation is None}
        if removed:
            self._forget(removed)
        for tenant in tenants:
            signals = self._tenants.get(tenant)
            if signals is not None:
                signals.wake()

    def spec(self, generation_id: GenerationId) -> Spec | None:
        """Return the part of a live generation that never changes."""
        generation = self.entries.generation(generation_id)
        return None if generation is None else generation.spec

    def recent(self, tenant: str, after: int, limit: int) -> list[Change] | None:
        """Return a tenant's changes after a position, oldest first; None if memory no longer has all of them."""
        if after < self._since:
            return None
        found: list[Change] = []
        for change in reversed(self._recent):
            if change.position <= after:
                break
            if change.tenant == tenant:
                found.append(change)
        found.reverse()
        return found[:limit]

    def signal(self, tenant: str) -> Signal:
        """Return a signal for the tenant's next change. The caller returns it with `drop`."""
        return self._tenants.setdefault(tenant, Signals()).signal()

    def drop(self, tenant: str, signal: Signal) -> None:
        """Forget a signal, and the tenant if it was its last."""
        signals = self._tenants.get(tenant)
        if signals is not None:
            signals.drop(signal)
            if not signals.has_waiters:
                del self._tenants[tenant]

    def is_watched(self, entry: Entry) -> bool:
        """Return whether a caller may wait for changes of the entry."""
        if self.others():
            return True
        signals = self._tenants.get(entry.generation.tenant)
        return entry.has_waiters or (signals is not None and signals.has_waiters)

    def wake_all(self) -> None:
        """Wake every watcher, so that it can notice that the gateway drains."""
        for entry in self.entries.created():
            entry.wake()
        for signals in self._tenants.values():
            signals.wake()

    def _apply(self, save: Saved) -> None:
        generation_id, generation = save.generation_id, save.generation
        # An older version is announced after a read of the store.
        known = self.entries.generation(generation_id) if generation is None else self.entries.update(generation)
        if known is not None and (generation is None or known.done):
            self.entries.remove(generation_id)
            if not known.done:
                self._miss_end(save.change)
        if save.change is not None:
            self._recent.append(save.change)
            self._bytes += _size(save.change)
            while len(self._recent) > RECENT_CHANGES or self._bytes > RECENT_BYTES:
                oldest = self._recent.popleft()
                self._bytes -= _size(oldest)
                self._since = max(self._since, oldest.position)
            self.position = save.change.position

    def _miss_end(self, removal: Change | None) -> None:
        """Let watchers notice the removal of a generation whose end was removed before this replica read it.

        Those who are behind the removal read from the store, and find the horizon raised.
        """
        if removal is not None:
            self._since = max(self._since, removal.position)

    def _forget(self, removed: Set[GenerationId]) -> None:
        """Forget removed generations. Watchers that are behind read from the store, and find the horizon raised."""
        for index, change in enumerate(self._recent):
            if change.generation is not None and change.generation_id in removed:
                self._recent[index] = replace(change, generation=None)
                self._bytes -= _size(change)
                self._since = max(self._since, change.position)


def _size(change: Change) -> int:
    return 0 if change.generation is None else len(change.generation.spec.input)
