"""One catalog: as Higgsfield told it last, refreshed in the background while it is asked for.

However many ask, there is one call to Higgsfield at a time. What was told once is served until something newer is told,
however long that takes; a failure only makes the next attempt later.
"""

import asyncio
import logging

from gateway.catalog.model import Kept
from gateway.catalog.ports import Shelf, Source
from gateway.errors import GatewayError, upstream_unavailable
from gateway.generations.clock import give, jittered
from gateway.generations.ports import Clock, StoreError

log = logging.getLogger(__name__)

REFRESH_EVERY = 3600.0
"""Seconds, give or take a tenth, after which somebody who asks has it asked for anew."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 600.0
"""Seconds until the next attempt after one failure, and after many in a row; doubled each time."""


class Cached:
    """A catalog of one account. `attempts`, `failures` and `skipped` (items of the last reading) are for metrics."""

    def __init__(self, name: str, source: Source, shelf: Shelf, clock: Clock) -> None:
        self.name = name
        self.attempts = self.failures = self.skipped = 0
        self._source = source
        self._shelf = shelf
        self._clock = clock
        self._kept: Kept | None = None
        self._loaded = False
        self._loading = asyncio.Lock()
        self._due = 0.0
        self._failed_in_a_row = 0
        self._failure = upstream_unavailable("Higgsfield has not told this list yet")
        self._flight: asyncio.Task[None] | None = None
        self._waiting: set[asyncio.Future[None]] = set()

    async def now(self) -> Kept | None:
        """What there is, at once; None where Higgsfield never told it. What is old is asked for meanwhile."""
        await self._load()
        if self._flight is None and self._clock.moment().steady >= self._due:
            self._flight = asyncio.create_task(self._refresh())
        return self._kept

    async def soon(self, patience: float) -> Kept | None:
        """The same, but what was never told is waited for, so many seconds at the most."""
        kept = await self.now()
        until = self._clock.moment().steady + patience
        while kept is None and self._flight is not None:
            left = until - self._clock.moment().steady
            if left <= 0:
                break
            signal: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(signal)
            try:
                await self._clock.wait(signal, left)
            finally:
                self._waiting.discard(signal)
            kept = self._kept
        return kept

    def away(self) -> GatewayError:
        """Why there is nothing, and when to ask again."""
        pause = 1.0 if self._flight is not None else max(self._due - self._clock.moment().steady, 1.0)
        return upstream_unavailable(self._failure.failure.message, retry_after=pause)

    async def close(self) -> None:
        """End a call that is under way."""
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.gather(self._flight, return_exceptions=True)

    async def _load(self) -> None:
        """Take up what an earlier process kept; however many ask, it is read once."""
        if self._loaded:
            return
        async with self._loading:
            if not self._loaded:
                await self._take_up()

    async def _take_up(self) -> None:
        try:
            kept = await self._shelf.catalog(self._source.account, self._source.origin, self.name)
        except StoreError:
            return  # and it is tried again by who asks next
        if self._loaded:
            return  # Higgsfield has told it anew meanwhile
        self._loaded = True
        if kept is not None:
            self._take(kept)

    async def _refresh(self) -> None:
        self.attempts += 1
        try:
            await self._ask()
        except GatewayError as error:
            self._fail(error)
        except Exception:
            log.exception("a catalog could not be read", extra={"catalog": self.name})
            self._fail(upstream_unavailable("Higgsfield's list could not be read"))
        finally:
            self._flight = None
            for signal in self._waiting:
                give(signal)

    async def _ask(self) -> None:
        reading = await self._source.read(self.name)
        if reading.skipped:
            log.warning("items of a catalog were skipped", extra={"catalog": self.name, "skipped": reading.skipped})
        self.skipped = reading.skipped
        moment = self._clock.moment()
        kept = Kept(reading.items, moment.steady, moment.wall)
        try:
            await self._shelf.keep_catalog(self._source.account, self._source.origin, self.name, kept)
        except StoreError as error:
            log.warning("a catalog could not be stored", extra={"catalog": self.name, "error": str(error)})
        self._loaded = True
        self._take(kept)

    def _take(self, kept: Kept) -> None:
        self._kept = kept
        self._failed_in_a_row = 0
        self._due = kept.fetched_at + jittered(REFRESH_EVERY)

    def _fail(self, error: GatewayError) -> None:
        """Keep what there is, and try later: as Higgsfield wants it, or later with each failure."""
        self.failures += 1
        self._failure = error
        pause = min(FIRST_PAUSE * 2**self._failed_in_a_row, LONGEST_PAUSE)
        self._failed_in_a_row = min(self._failed_in_a_row + 1, 16)
        self._due = self._clock.moment().steady + max(jittered(pause, 0.25), error.failure.retry_after or 0.0)
        log.warning("a catalog could not be refreshed", extra={"catalog": self.name, "error": error.failure.message})
