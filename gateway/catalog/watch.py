"""Watches of Higgsfield's list of models. While one is open, the list is refreshed like one that is being read."""

import logging
from collections.abc import AsyncGenerator, Callable

from gateway.catalog.cached import CachedCatalog
from gateway.catalog.changes import changes_after, revision_of, with_listings
from gateway.catalog.model import Change, Item, Model, Reading, StoredCatalog
from gateway.generations.clock import WaitTimer
from gateway.generations.ports import Clock
from gateway.generations.watching.watch import HEARTBEAT, Stream

log = logging.getLogger(__name__)


class ModelWatches:
    """All watches of the list of models. `draining` ends them."""

    def __init__(self, models: CachedCatalog, clock: Clock) -> None:
        self._models = models
        self._clock = clock
        self.draining = False

    async def watch(
        self, after: int | None, check: Callable[[], None]
    ) -> AsyncGenerator[tuple[int, Model | None], None]:
        """Yield the changes after a revision, or from now on, each with its revision.

        A revision without a model is a heartbeat: at once, and after each 15 s without a change. `check` is called at
        every heartbeat and wake-up; an error that it raises ends the watch.
        """
        stream = Stream(self._clock, check)
        timer = WaitTimer(HEARTBEAT)
        read: StoredCatalog | None = None
        position: int | None = None
        try:
            while True:
                signal = self._models.signal()  # before the list is read, so that no refresh is missed
                try:
                    catalog = await self._models.current()
                    stream.raise_if_over(draining=self.draining)
                    if not self._models.loaded:
                        catalog = None  # it lacks the revisions of the stored list
                    if catalog is not None and position is None:
                        newest = revision_of(catalog.items)
                        position = newest if after is None else after if after <= newest else 0
                    if catalog is None or catalog is read or read is None:
                        yield (after or 0) if position is None else position, None
                    if catalog is not None and position is not None and catalog is not read:
                        read = catalog
                        for model, listing in changes_after(catalog.items, position):
                            position = listing.revision
                            yield position, model
                    await timer.wait(signal)
                finally:
                    self._models.drop(signal)
        finally:
            timer.end()

    def drain(self) -> None:
        """End all watches."""
        self.draining = True
        self._models.wake()


def next_models(before: StoredCatalog | None, reading: Reading, wall: float) -> tuple[Item, ...]:
    """Return the models to store after a fetch, and log what has changed."""
    known = None if before is None else [item for item in before.items if isinstance(item, Model)]
    fetched = [item for item in reading.items if isinstance(item, Model)]
    models = with_listings(known, fetched, wall, complete=not reading.skipped)
    changed = changes_after(models, revision_of(known or ()))
    if changed:
        by_change = {
            change.name.lower(): [model.id for model, listing in changed if listing.change is change]
            for change in Change
        }
        log.info("Higgsfield's list of models has changed", extra=by_change)
    return models
