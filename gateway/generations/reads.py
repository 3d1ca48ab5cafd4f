"""Reads generations: live ones from memory, all others from the store. Every replica of a gateway has them."""

from collections.abc import Callable, Sequence

from gateway.errors import gateway_unavailable, generation_not_found
from gateway.generations.model import Generation, GenerationId
from gateway.generations.ports import Clock
from gateway.generations.stores import ChangeLog, Filter, GenerationStore, or_store_unavailable
from gateway.generations.watching.feed import Entry, Feed

CHECK_INTERVAL = 15.0
"""Seconds after which a wait calls its `check` again, as often as a watch: a key may have expired."""


class Reads:
    """Reads generations of a tenant. Its methods raise GatewayError. `draining` ends calls that wait."""

    def __init__(self, generations: GenerationStore, change_log: ChangeLog, feed: Feed, clock: Clock) -> None:
        self._generations = generations
        self._change_log = change_log
        self._feed = feed
        self._clock = clock
        self.draining = False

    async def get(self, tenant: str, generation_id: GenerationId) -> Generation:
        """Return a generation. Raises NOT_FOUND."""
        return (await self.entry(tenant, generation_id)).generation

    def live(self, tenant: str, generation_id: GenerationId) -> Entry | None:
        """Return the entry of a generation that has not ended; None otherwise."""
        entry = self._feed.entries.get(generation_id)
        return entry if entry is not None and entry.generation.spec.tenant == tenant else None

    async def entry(self, tenant: str, generation_id: GenerationId) -> Entry:
        """Return the live entry of a generation, or a new one from the store. Raises NOT_FOUND."""
        entry = self.live(tenant, generation_id)
        if entry is not None:
            return entry
        stored = await or_store_unavailable(self._generations.get(tenant, generation_id))
        if stored is not None and not stored.done and self.live(tenant, generation_id) is None:
            # It was just committed. Only a live entry receives later changes, so wait until there is one.
            await or_store_unavailable(self._change_log.announced())
            stored = await or_store_unavailable(self._generations.get(tenant, generation_id))
        if stored is None:
            raise generation_not_found(generation_id)
        return self.live(tenant, generation_id) or Entry(stored)

    async def history(self, entry: Entry, after_revision: int, limit: int) -> Sequence[Generation]:
        """Return the revisions of a generation after one, oldest first, up to that of its entry.

        The store may have a later one, which is committed and not announced yet: other calls do not show it.
        """
        found = await or_store_unavailable(self._change_log.history(entry.generation.id, after_revision, limit))
        return [generation for generation in found if generation.revision <= entry.generation.revision]

    async def page(
        self, tenant: str, wanted: Filter, before: str | None, limit: int
    ) -> tuple[Sequence[Generation], str | None]:
        """Return a page of generations; see `GenerationStore.page`."""
        found, last = await or_store_unavailable(self._generations.page(tenant, wanted, before, limit))
        if any(self._is_unannounced(generation) for generation in found):
            await or_store_unavailable(self._change_log.announced())  # else a later call could show an earlier state
        return found, last

    async def wait(
        self,
        tenant: str,
        generation_id: GenerationId,
        enough: Callable[[Generation], bool],
        seconds: float | None,
        check: Callable[[], None] = lambda: None,
    ) -> Generation:
        """Return a generation once `enough` returns True for it, after `seconds`, or when the gateway drains.

        `check` is called whenever the wait is interrupted, each CHECK_INTERVAL seconds and at the end; what it raises
        ends the wait.
        """
        entry = await self.entry(tenant, generation_id)
        until = None if seconds is None else self._clock.moment().steady + seconds
        while not enough(entry.generation) and not self.draining:
            check()
            self.raise_if_removed(entry)
            left = None if until is None else until - self._clock.moment().steady
            if left is not None and left <= 0:
                break
            signal = entry.signal()
            try:
                await self._clock.wait(signal, CHECK_INTERVAL if left is None else min(left, CHECK_INTERVAL))
            finally:
                entry.drop(signal)
        check()
        return entry.generation

    def raise_if_removed(self, entry: Entry) -> None:
        """Raise GATEWAY_UNAVAILABLE if an entry gets no more changes, although its generation has not ended here.

        A replica may read the removal of a generation without its end.
        """
        if not entry.generation.done and self._feed.entries.get(entry.generation.id) is not entry:
            raise gateway_unavailable("the generation was removed: call again", retry_after=0.0)

    def _is_unannounced(self, stored: Generation) -> bool:
        """Return whether a generation was read from the store at a revision that its entry does not have yet."""
        known = self._feed.entries.generation(stored.id)
        return known is not None and known.revision < stored.revision
