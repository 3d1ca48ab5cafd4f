"""The core of one gateway with its store and its upstream, put together: what runs whatever ports it is served on."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from gateway.access.identity import Access
from gateway.addresses import LOOPBACK
from gateway.agents.conversation import FIRST_PAUSE, LONGEST_PAUSE, Pace
from gateway.agents.service import Agents
from gateway.archive.archiver import ArchivedFiles, Archiver
from gateway.archive.ports import ArchiveError, ObjectStorage
from gateway.callbacks.courier import Courier
from gateway.callbacks.service import TenantCallbacks
from gateway.catalog.service import Catalogs
from gateway.characters.book import Book
from gateway.characters.service import Characters
from gateway.config import PREFIX, WEBHOOK_PATH, SettingError, Settings
from gateway.generations.admission import Admission
from gateway.generations.agenda import Rules
from gateway.generations.clock import SystemClock, rest
from gateway.generations.deliveries import Deliveries
from gateway.generations.feed import Feed
from gateway.generations.finality import Finality
from gateway.generations.follow import Follower
from gateway.generations.forecast import Forecaster
from gateway.generations.hooks import Hooks
from gateway.generations.pace import Paces, Trust
from gateway.generations.ports import Clock, StoreError
from gateway.generations.resolve import Resolver
from gateway.generations.sender import Sender
from gateway.generations.service import Generations
from gateway.generations.story import Recorder, Stories
from gateway.generations.watch import Watches
from gateway.higgsfield.agents import HiggsfieldAgents
from gateway.higgsfield.catalogs import HiggsfieldCatalogs
from gateway.higgsfield.characters import HiggsfieldCharacters
from gateway.higgsfield.client import HiggsfieldClient
from gateway.higgsfield.credentials import Credentials
from gateway.higgsfield.gate import LateTransport, TransportFrom
from gateway.higgsfield.media import MediaSource
from gateway.higgsfield.uploads import HiggsfieldStorage
from gateway.object_storage.place import object_storage
from gateway.receivers.post import HttpReceivers
from gateway.rpc.callback_bodies import JsonBodies
from gateway.store.agents import SqliteAgentStore
from gateway.store.catalogs import SqliteCatalogs
from gateway.store.characters import SqliteCharacters
from gateway.store.files import StoreFileError
from gateway.store.sqlite import SqliteStore, WriterFrom
from gateway.store.writer import Writer
from gateway.uploads import Uploads

log = logging.getLogger(__name__)

PRUNE_EVERY = 3600.0
HEAL_EVERY = 1.0
"""Seconds between looks at a store that is in trouble."""
ClockFrom = Callable[[float], Clock]
"""Makes the clock, given the latest steady time that is stored."""


@dataclass(frozen=True)
class Machine:
    """What a core needs of the machine: its clock, its disk and its network. A simulation has its own."""

    clock_from: ClockFrom = SystemClock
    writer: WriterFrom = Writer
    transport: TransportFrom = LateTransport


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
    courier: Courier
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
        """Take up what an earlier process left, and go on."""
        parts = (self.follower, self.recorder, self.courier, self.finality)
        for work in (*(part.run() for part in parts), self._prune(), self._heal()):
            self._go_on_with(work)
        if self.archiver is not None:
            self._go_on_with(self.archiver.run())
        await self.deliveries.resume()

    async def drain(self) -> None:
        """No new submissions; watches end and may be resumed elsewhere; POSTs on their way come to their end."""
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
        await self.courier.drained()
        await self.recorder.flush()

    async def close(self) -> None:
        """Let go of everything."""
        await self._stop_tasks()
        await self.media.aclose()
        await self.catalogs.close()
        await self.agents.close()
        await self.storage.aclose()
        await self.receivers.aclose()
        await self.upstream.aclose()
        await self.store.close()

    def _go_on_with(self, work: Coroutine[Any, Any, None]) -> None:
        """Do what goes on until the drain; its end before that must not go unheard."""
        task = asyncio.create_task(work)
        task.add_done_callback(_heed_end)
        self._tasks.append(task)

    async def _stop_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _heal(self) -> None:
        """While the store is in trouble see whether it still is: nobody may be calling."""
        while True:
            await rest(self.clock, HEAL_EVERY)
            if self.store.trouble:
                with contextlib.suppress(StoreError):
                    await self.store.probe()

    async def _prune(self) -> None:
        """Remove what retention lets go of."""
        while True:
            try:
                await self._prune_once()
            except Exception:
                log.exception("ended generations could not be removed")
            await rest(self.clock, PRUNE_EVERY)

    async def _prune_once(self) -> None:
        now = self.clock.moment().steady
        keys = now - KEYS_KEPT
        if not await self.store.prunable(now - self.settings.retention, keys) and not await self.agent_store.prunable(
            keys
        ):
            return  # and nobody has to be asked for the time
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


async def assemble(
    settings: Settings,
    credentials: Credentials,
    broken: Callable[[Exception], None],
    machine: Machine = Machine(),
) -> Core:
    """Open the store and build the core on it. Raises StoreFileError, and SettingError for an archive that cannot be.

    `broken` hears of a disk that fails.
    """
    place = archive_place(settings)
    async with contextlib.AsyncExitStack() as undo:
        store = SqliteStore(settings.store_path, broken, machine.writer)
        undo.push_async_callback(store.close)
        core = await _on(store, settings, credentials, place, machine)
        undo.pop_all()
    return core


def archive_place(settings: Settings) -> ObjectStorage | None:
    """Where outputs are copied to; None where they are not. Raises SettingError."""
    if settings.archive_url is None:
        return None
    try:
        return object_storage(settings.archive_url, settings.archive_public_url, os.environ)
    except ArchiveError as error:
        raise SettingError(PREFIX + "ARCHIVE_URL", str(error)) from error


async def _on(
    store: SqliteStore,
    settings: Settings,
    credentials: Credentials,
    place: ObjectStorage | None,
    machine: Machine,
) -> Core:
    clock = machine.clock_from(store.newest_steady())
    recorder = Recorder(store, clock)
    upstream = HiggsfieldClient(
        settings.upstream_url,
        credentials,
        timeout=settings.upstream_timeout,
        told=recorder.told,
        transport=machine.transport,
    )
    try:
        unfinished = await store.unfinished()
    except StoreError as error:
        raise StoreFileError(f"{settings.store_path}: {error}") from error
    feed = Feed(unfinished, await store.position())
    trust = Trust()
    paces = Paces(settings.poll_min, settings.poll_max)
    admission = Admission(settings.upstream_concurrency, paces.longest_run)
    sender = Sender(store, upstream, clock, admission)
    rules = Rules(
        repeats=settings.upstream_idempotency == "v2",
        window=settings.upstream_idempotency_window,
        uncertain_timeout=settings.uncertain_timeout,
        webhooks_since=None if settings.public_url is None else clock.moment().steady,
    )
    finality = Finality(clock, upstream, store, await store.corrections())
    await finality.begin()
    upstream.when_dated(finality.told)
    paces.learn_all(await store.durations())
    catalogs = Catalogs(HiggsfieldCatalogs(upstream), SqliteCatalogs(store), clock)
    base = None if settings.public_url is None else settings.public_url + WEBHOOK_PATH
    hooks = Hooks(base, store.token_secret())
    try:
        characters = await _characters(store, settings, upstream, clock)
    except StoreError as error:
        raise StoreFileError(f"{settings.store_path}: {error}") from error
    service = Generations(
        store=store,
        upstream=upstream,
        clock=clock,
        feed=feed,
        admission=admission,
        sender=sender,
        check=catalogs,
        hooks=hooks,
        refuses=characters.violations,
    )
    follower = Follower(
        store=store,
        upstream=upstream,
        clock=clock,
        feed=feed,
        admission=admission,
        sender=sender,
        service=service,
        rules=rules,
        paces=paces,
        trust=trust,
        finality=finality,
    )
    deliveries = Deliveries(
        store=store,
        upstream=upstream,
        clock=clock,
        feed=feed,
        service=service,
        sender=sender,
        trust=trust,
        recorder=recorder,
    )
    storage = HiggsfieldStorage(upstream, timeout=settings.upstream_timeout)
    media = MediaSource(timeout=settings.upstream_timeout, local=upstream.local)
    archiver = None if place is None else _archiver(store, settings, place, media, clock)
    required = settings.auth == "keys"
    access = Access(store, clock, await store.api_keys(), store.token_secret(), required=required)
    agent_store = store.agents()
    agents = Agents(HiggsfieldAgents(upstream), agent_store, clock, _pace(settings), shared=not required)
    for wake in (feed.wake_all, characters.wake_all, agents.wake_all):
        access.when_revoked(wake)
    sender.connect(service.observe, follower.look, await store.latched_accounts())
    bodies = JsonBodies()
    receivers = HttpReceivers(
        settings.callback_networks + (LOOPBACK if settings.upstream_is_local else ()),
        lambda: clock.moment().wall,
        ports=settings.callback_ports,
    )
    courier = Courier(
        log_of_changes=store, store=store.callbacks, feed=feed, clock=clock, receivers=receivers, bodies=bodies
    )
    await courier.resume(await store.callbacks.callbacks())
    for listener in (feed.publish, follower.noticed, recorder.noticed, courier.noticed):
        store.listen(listener)
    follower.resume(unfinished)
    sender.resume([*unfinished, *await store.ended_with_stray()])
    service.resume(await store.being_deleted())
    return Core(
        settings=settings,
        store=store,
        clock=clock,
        upstream=upstream,
        feed=feed,
        finality=finality,
        sender=sender,
        hooks=hooks,
        service=service,
        follower=follower,
        deliveries=deliveries,
        recorder=recorder,
        watches=Watches(store, feed, clock, service),
        forecasts=Forecaster(clock, admission, paces),
        stories=Stories(store, service, recorder),
        resolver=Resolver(
            store=store,
            upstream=upstream,
            clock=clock,
            service=service,
            sender=sender,
            rules=rules,
            finality=finality,
        ),
        access=access,
        storage=storage,
        uploads=Uploads(storage, clock),
        receivers=receivers,
        courier=courier,
        tenant_callbacks=TenantCallbacks(
            store=store.callbacks, courier=courier, feed=feed, clock=clock, receivers=receivers, bodies=bodies
        ),
        media=media,
        archived=ArchivedFiles(store.copies),
        archiver=archiver,
        catalogs=catalogs,
        characters=characters,
        agents=agents,
        agent_store=agent_store,
    )


def _archiver(
    store: SqliteStore, settings: Settings, place: ObjectStorage, media: MediaSource, clock: Clock
) -> Archiver:
    archiver = Archiver(
        copies=store.copies,
        storage=place,
        source=media,
        clock=clock,
        concurrency=settings.archive_concurrency,
        bandwidth=settings.archive_bandwidth,
        largest=settings.archive_largest,
    )
    store.listen(archiver.noticed)
    return archiver


def _pace(settings: Settings) -> Pace:
    """How often a session of an agent is read, within what is set for all status calls."""
    return Pace(*(min(max(pause, settings.poll_min), settings.poll_max) for pause in (FIRST_PAUSE, LONGEST_PAUSE)))


async def _characters(store: SqliteStore, settings: Settings, upstream: HiggsfieldClient, clock: Clock) -> Characters:
    kept, known = SqliteCharacters(store), HiggsfieldCharacters(upstream)
    creations, removals = await kept.creations(), await kept.removals()
    return Characters(
        store=kept,
        upstream=known,
        clock=clock,
        book=Book(known.account, clock, creations, removals, everybodys=settings.auth != "keys"),
        first_pause=settings.poll_min,
        longest_pause=settings.poll_max,
    )
