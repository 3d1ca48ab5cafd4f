"""Everything that a gateway does, without its ports: its parts, and how they start, drain and close together."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from gateway.access.identity import Access
from gateway.agents.service import Agents
from gateway.archive.archiver import ArchivedFiles, Archiver
from gateway.callbacks.dispatcher import Dispatcher
from gateway.callbacks.service import TenantCallbacks
from gateway.callbacks_http.client import HttpReceivers
from gateway.catalog.service import Catalogs
from gateway.characters.service import Characters
from gateway.config import Settings
from gateway.generations.clock import rest
from gateway.generations.deliveries import Deliveries
from gateway.generations.feed import Feed
from gateway.generations.finality import Finality
from gateway.generations.follow import Follower
from gateway.generations.forecast import Forecaster
from gateway.generations.hooks import Hooks
from gateway.generations.ports import Clock, StoreError
from gateway.generations.removals import Removals
from gateway.generations.resolve import Resolver
from gateway.generations.sender import Sender
from gateway.generations.service import Generations
from gateway.generations.story import Recorder, Stories
from gateway.generations.watch import Watches
from gateway.higgsfield.client import HiggsfieldClient
from gateway.higgsfield.media import MediaSource
from gateway.higgsfield.uploads import HiggsfieldStorage
from gateway.store.agents import SqliteAgentStore
from gateway.store.sqlite import SqliteStore
from gateway.uploads import Uploads

log = logging.getLogger(__name__)

PRUNE_EVERY = 3600.0
HEAL_EVERY = 1.0
"""Seconds between looks at a store that is in trouble."""
KEYS_KEPT = 7 * 86_400.0
"""Seconds that an idempotency key is remembered at least (generation_service.proto)."""


@dataclass
class Core:
    """Everything that a gateway does, without its ports. `start` it once, `drain` it, `close` it."""

    settings: Settings
    store: SqliteStore
    clock: Clock
    upstream: HiggsfieldClient
    feed: Feed
    finality: Finality
    sender: Sender
    hooks: Hooks
    service: Generations
    removals: Removals
    follower: Follower
    deliveries: Deliveries
    recorder: Recorder
    watches: Watches
    forecasts: Forecaster
    stories: Stories
    resolver: Resolver
    access: Access
    storage: HiggsfieldStorage
    uploads: Uploads
    receivers: HttpReceivers
    dispatcher: Dispatcher
    tenant_callbacks: TenantCallbacks
    media: MediaSource
    archived: ArchivedFiles
    archiver: Archiver | None
    catalogs: Catalogs
    characters: Characters
    agents: Agents
    agent_store: SqliteAgentStore
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self) -> None:
        """Continue where an earlier process stopped."""
        parts = (self.follower, self.recorder, self.dispatcher, self.finality, self.removals)
        for work in (*(part.run() for part in parts), self._prune(), self._heal()):
            self._go_on_with(work)
        if self.archiver is not None:
            self._go_on_with(self.archiver.run())
        await self.deliveries.resume()

    async def drain(self) -> None:
        """Refuse new submissions, end watches so that clients resume elsewhere, and wait for the POSTs under way."""
        self.service.draining = True
        self.follower.stopped_sending = True
        self.feed.wake_all()
        self.characters.drain()
        self.agents.drain()
        await self._stop_tasks()
        try:
            async with asyncio.timeout(self.settings.drain):
                await self.follower.drained()
                await self.sender.drained()
                await self.characters.drained()
                await self.agents.drained()
                await self.tenant_callbacks.drained()
                await self.access.drained()
        except TimeoutError:
            log.error("submissions are still on their way at the end of HFGATEWAY_DRAIN; the next start recovers them")
        await self.deliveries.drained()
        await self.dispatcher.drained()
        await self.recorder.flush()

    async def close(self) -> None:
        """Close all connections and the store."""
        await self._stop_tasks()
        await self.media.aclose()
        await self.catalogs.close()
        await self.agents.close()
        await self.storage.aclose()
        await self.receivers.aclose()
        await self.upstream.aclose()
        await self.store.close()

    def _go_on_with(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this until the drain. An earlier end is logged."""
        task = asyncio.create_task(work)
        task.add_done_callback(_heed_end)
        self._tasks.append(task)

    async def _stop_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _heal(self) -> None:
        """While the store is in trouble, check whether it still is: there may be no calls that would find out."""
        while True:
            await rest(self.clock, HEAL_EVERY)
            if self.store.trouble:
                with contextlib.suppress(StoreError):
                    await self.store.probe()

    async def _prune(self) -> None:
        """Remove what is older than the retention."""
        while True:
            try:
                await self._prune_once()
            except Exception:
                log.exception("ended generations could not be removed")
            await rest(self.clock, PRUNE_EVERY)

    async def _prune_once(self) -> None:
        now = self.clock.moment()
        keys = now.after(-KEYS_KEPT)
        if not await self.store.prunable(
            now.after(-self.settings.retention), keys
        ) and not await self.agent_store.prunable(keys):
            return  # so no time is needed from Higgsfield
        ended_before = await self.finality.before(self.settings.retention)
        keys_before = await self.finality.before(KEYS_KEPT)
        if ended_before is not None and keys_before is not None:
            await self.store.prune(ended_before, keys_before)
            await self.agent_store.prune(keys_before)


def _heed_end(task: asyncio.Task[None]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        named = {"task": task.get_coro().__qualname__}  # type: ignore[union-attr]
        log.critical("a part of the gateway has ended by a defect: restart it", exc_info=error, extra=named)
