"""The live generations in memory, their recent changes, and the signals that wake watchers.

The feed is updated after each commit, by the store's announcements. It only wakes a watcher, which then reads what is
newer than its position, from here or from the store.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from gateway.concurrency import Signal, Signals
from gateway.generations.model import Change, Generation, GenerationId, Spec
from gateway.generations.stores import Saved

RECENT = 10_000
"""Changes kept in memory. A watcher that is further behind reads from the store."""
LONG_AGO = -math.inf
"""Earlier than every time. All entries share this object, which saves memory."""


class Entry(Signals):
    """A live generation, with the signals of its watchers.

    `full` and `bare` cache its encoded message, with and without input, until it changes. `polls` counts its status
    calls. `progress` is the most that a forecast has shown.

    All others belong to the follower. `poll_at` and `start_check_at` are the steady times of the next poll and of the
    next poll for its start, and `start_checks` counts the latter. `errors` counts failed calls in a row. `seen` is the
    run time in seconds at its last successful poll. `reported_at` is the steady time of its last poll. `covered`: the
    next poll was planned because a webhook should report the end first.
    """

    __slots__ = (
        "bare",
        "covered",
        "errors",
        "full",
        "generation",
        "poll_at",
        "polls",
        "progress",
        "reported_at",
        "seen",
        "start_check_at",
        "start_checks",
    )

    def __init__(self, generation: Generation) -> None:
        super().__init__()
        self.generation = generation
        self.full: bytes | None = None
        self.bare: bytes | None = None
        self.polls = generation.polls
        self.progress = 0.0
        self.poll_at = 0.0
        self.start_check_at = math.inf
        self.start_checks = 0
        self.seen: float | None = 0.0
        self.errors = 0
        self.reported_at = LONG_AGO
        self.covered = True

    def update(self, generation: Generation) -> None:
        """Replace the generation by a newer version, and wake the watchers if its revision changed."""
        seen = generation.revision != self.generation.revision
        self.generation = generation
        if seen:
            self.forget()
            self.wake()

    def polled(self) -> None:
        """Count a status call. The count is shown, but is not a change of the generation."""
        self.polls += 1
        self.forget()

    def forget(self) -> None:
        """Drop the encoded messages, because what they show has changed."""
        self.full = self.bare = None


class Feed:
    """The live entries by id, and the recent changes of all tenants in the order of their positions."""

    def __init__(self, unfinished: Iterable[Generation] = (), position: int = 0) -> None:
        self.entries = {generation.id: Entry(generation) for generation in unfinished}
        self.position = position
        self._recent: deque[Change] = deque(maxlen=RECENT)
        self._since = position
        self._tenants: dict[str, Signals] = {}
        self.others: Callable[[], int] = lambda: 0
        """Returns the number of replicas with watchers that this process does not know."""

    def replace(self, unfinished: Iterable[Generation]) -> None:
        """Take over the stored versions of all generations that have not ended. Entries with watchers are kept.

        The stored versions are those of the newest changes, but what callers cannot see may be newer.
        """
        before, self.entries = self.entries, {}
        for generation in unfinished:
            entry = self.entries[generation.id] = before.get(generation.id) or Entry(generation)
            entry.update(generation)
            entry.polls = generation.polls
        for name in before.keys() - self.entries.keys():
            before[name].wake()

    def publish(self, saved: Sequence[Saved]) -> None:
        """Apply a committed transaction."""
        tenants = set()
        for one in saved:
            self._take(one)
            if one.change is not None:
                tenants.add(one.change.tenant)
        for tenant in tenants:
            signals = self._tenants.get(tenant)
            if signals is not None:
                signals.wake()

    def spec(self, name: GenerationId) -> Spec | None:
        """Return the part of a live generation that never changes."""
        entry = self.entries.get(name)
        return None if entry is None else entry.generation.spec

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
        """Forget a signal."""
        self._tenants[tenant].drop(signal)

    def watched(self, entry: Entry) -> bool:
        """Return whether a caller may wait for changes of the entry."""
        if self.others():
            return True
        signals = self._tenants.get(entry.generation.tenant)
        return entry.awaited or (signals is not None and signals.awaited)

    def wake_all(self) -> None:
        """Wake every watcher, so that it can notice that the gateway drains."""
        for entry in self.entries.values():
            entry.wake()
        for signals in self._tenants.values():
            signals.wake()

    def _take(self, one: Saved) -> None:
        generation = one.generation
        entry = self.entries.get(one.generation_id)
        if generation is not None and entry is not None:
            if generation.revision >= entry.generation.revision:  # an older one is announced after a read of the store
                entry.update(generation)
        elif generation is not None and not generation.done:
            self.entries[one.generation_id] = Entry(generation)
        if entry is not None and (generation is None or entry.generation.done):
            del self.entries[one.generation_id]
            if not entry.generation.done:
                self._miss_end(entry, one.change)
        if generation is None:
            self._forget(one.generation_id)
        if one.change is not None:
            if len(self._recent) == RECENT:
                self._since = self._recent[0].position
            self._recent.append(one.change)
            self.position = one.change.position

    def _miss_end(self, entry: Entry, removal: Change | None) -> None:
        """Let the watchers of a generation notice its removal, if its end was removed before this replica read it.

        Those who are behind the removal read from the store, and find the horizon raised.
        """
        entry.wake()
        if removal is not None:
            self._since = max(self._since, removal.position)

    def _forget(self, generation_id: GenerationId) -> None:
        """Forget a removed generation. Watchers that are behind read from the store, and find the horizon raised."""
        for index, change in enumerate(self._recent):
            if change.generation_id == generation_id:
                self._recent[index] = replace(change, generation=None)
                self._since = max(self._since, change.position)
