"""Caches one catalog of Higgsfield and refreshes it in the background while it is in use.

There is at most one refresh at a time. A catalog that was fetched once is served until a newer one is fetched, however
long that takes; a failed refresh only delays the next one.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from gateway.catalog.model import Item, Reading, StoredCatalog
from gateway.catalog.ports import CatalogSource, CatalogStore
from gateway.concurrency import Signals
from gateway.errors import GatewayError, upstream_unavailable
from gateway.generations.clock import jittered
from gateway.generations.ports import Clock
from gateway.generations.stores import UnconfirmedError

log = logging.getLogger(__name__)

REFRESH_INTERVAL = 3600.0
"""Seconds, plus or minus a tenth, after which the next use of a catalog starts a refresh."""
FIRST_PAUSE, MAX_PAUSE = 5.0, 600.0
"""Seconds before the next refresh after one failure, and at most; doubled with each failure in a row."""


ItemsToStore = Callable[[StoredCatalog | None, Reading, float], tuple[Item, ...]]


def _items(_before: StoredCatalog | None, reading: Reading, _wall: float) -> tuple[Item, ...]:
    return reading.items


class CachedCatalog(Signals):
    """One catalog of an account. Its signals are given at the end of each refresh.

    `attempts`, `failures` and `skipped`, the unreadable items of the last refresh, are metrics.
    """

    def __init__(
        self, name: str, source: CatalogSource, store: CatalogStore, clock: Clock, items_to_store: ItemsToStore = _items
    ) -> None:
        """`items_to_store` returns the items to store, from the catalog before, what was fetched, and the wall time."""
        super().__init__()
        self.name = name
        self._items_to_store = items_to_store
        self.attempts = self.failures = self.skipped = 0
        self._source = source
        self._store = store
        self._clock = clock
        self._catalog: StoredCatalog | None = None
        self.loaded = False
        """Whether the catalog that an earlier process stored, if there is one, has been read."""
        self._loading = asyncio.Lock()
        self._refresh_at = 0.0
        self._pause = FIRST_PAUSE
        self._failure = upstream_unavailable("this list has not been fetched from Higgsfield yet")
        self._refreshing: asyncio.Task[None] | None = None

    async def current(self) -> StoredCatalog | None:
        """Return the catalog at once; None if it was never fetched. If it is old, start a refresh."""
        if not self.loaded:
            await self._load()
        if self._refreshing is None and self._clock.moment().steady >= self._refresh_at:
            self._refreshing = asyncio.create_task(self._refresh())
        return self._catalog

    async def current_or_wait(self, timeout: float) -> StoredCatalog | None:
        """Return the catalog; if it was never fetched, wait for the first refresh for at most `timeout` seconds."""
        catalog = await self.current()
        until = self._clock.moment().steady + timeout
        while catalog is None and self._refreshing is not None:
            left = until - self._clock.moment().steady
            if left <= 0:
                break
            signal = self.signal()
            try:
                await self._clock.wait(signal, left)
            finally:
                self.drop(signal)
            catalog = self._catalog
        return catalog

    def unavailable(self) -> GatewayError:
        """Return the error for a call while there is no catalog, with the time until the next refresh, at least 1 s."""
        pause = max(self._refresh_at - self._clock.moment().steady, 1.0)
        return upstream_unavailable(self._failure.failure.message, retry_after=pause)

    async def close(self) -> None:
        """Cancel a refresh that is running."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)

    async def _load(self) -> None:
        """Load the catalog that an earlier process stored, once."""
        async with self._loading:
            if not self.loaded:
                await self._load_stored()

    async def _load_stored(self) -> None:
        try:
            stored = await self._store.load_catalog(self._source.account, self._source.origin, self.name)
            fetched = self._catalog
            if stored is not None and fetched is not None:  # while the store could not be read, so it lacks the history
                items = self._items_to_store(stored, Reading(fetched.items, self.skipped), fetched.fetch_time)
                stored = replace(fetched, items=items)
                await self._save(stored)
        except UnconfirmedError:
            return  # the next use tries again
        self.loaded = True
        if stored is not None:
            self._use(stored)

    async def _refresh(self) -> None:
        self.attempts += 1
        try:
            await self._fetch()
        except GatewayError as error:
            self._failed(error)
        except Exception:
            log.exception("a catalog could not be read", extra={"catalog": self.name})
            self._failed(upstream_unavailable("Higgsfield's list could not be read"))
        finally:
            self._refreshing = None
            self.wake()

    async def _fetch(self) -> None:
        reading = await self._source.read(self.name)
        if reading.skipped:
            log.warning("items of a catalog were skipped", extra={"catalog": self.name, "skipped": reading.skipped})
        self.skipped = reading.skipped
        await self._load()  # again, if the store was not available before
        moment = self._clock.moment()
        items = self._items_to_store(self._catalog if self.loaded else None, reading, moment.wall)
        catalog = StoredCatalog(items, moment.steady, moment.wall)
        if self.loaded:  # otherwise it would replace the history of the stored catalog, which could not be read
            try:
                await self._save(catalog)
            except UnconfirmedError as error:
                if self._catalog is not None:  # after a restart, other changes would get the revisions of this list's
                    raise upstream_unavailable("the list could not be stored") from error
                log.warning("a catalog could not be stored", extra={"catalog": self.name, "error": str(error)})
        self._use(catalog)

    async def _save(self, catalog: StoredCatalog) -> None:
        await self._store.save_catalog(self._source.account, self._source.origin, self.name, catalog)

    def _use(self, catalog: StoredCatalog) -> None:
        self._catalog = catalog
        self._pause = FIRST_PAUSE
        self._refresh_at = catalog.fetched_at + jittered(REFRESH_INTERVAL)

    def _failed(self, error: GatewayError) -> None:
        """Schedule the next refresh: after Higgsfield's Retry-After, or a pause that grows with each failure."""
        self.failures += 1
        self._failure = error
        pause = max(jittered(self._pause, 0.25), error.failure.retry_after or 0.0)
        self._pause = min(2 * self._pause, MAX_PAUSE)
        self._refresh_at = self._clock.moment().steady + pause
        log.warning(
            "a catalog could not be refreshed; will retry", extra={"catalog": self.name, "error": error.failure.message}
        )
