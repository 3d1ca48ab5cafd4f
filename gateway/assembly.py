"""Puts a core together on its store and its upstream, part by part."""

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway.access.identity import Access
from gateway.addresses import LOOPBACK
from gateway.agents.conversation import FIRST_PAUSE, LONGEST_PAUSE, Pace
from gateway.agents.service import Agents
from gateway.archive.archiver import ArchivedFiles, Archiver
from gateway.archive.ports import ArchiveError, ObjectStorage
from gateway.callbacks.dispatcher import Dispatcher
from gateway.callbacks.service import TenantCallbacks
from gateway.callbacks_http.client import HttpReceivers
from gateway.catalog.service import Catalogs
from gateway.characters.registry import Registry
from gateway.characters.service import Characters
from gateway.config import PREFIX, WEBHOOK_PATH, SettingError, Settings
from gateway.core import Core
from gateway.generations.admission import Admission
from gateway.generations.agenda import Rules
from gateway.generations.clock import SystemClock
from gateway.generations.deliveries import Deliveries
from gateway.generations.feed import Feed
from gateway.generations.finality import Finality
from gateway.generations.follow import Follower
from gateway.generations.forecast import Forecaster
from gateway.generations.hooks import Hooks
from gateway.generations.model import Generation
from gateway.generations.pace import Paces, Trust
from gateway.generations.ports import Clock, StoreError
from gateway.generations.removals import Removals
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
from gateway.higgsfield.late_transport import LateTransport, TransportFrom
from gateway.higgsfield.media import MediaSource
from gateway.higgsfield.uploads import HiggsfieldStorage
from gateway.object_storage.from_url import object_storage
from gateway.rpc.callback_bodies import JsonBodies
from gateway.store.catalogs import SqliteCatalogs
from gateway.store.characters import SqliteCharacters
from gateway.store.files import StoreFileError
from gateway.store.sqlite import SqliteStore, WriterFrom
from gateway.store.writer import Writer
from gateway.uploads import Uploads

ClockFrom = Callable[[float], Clock]
"""Makes the clock, given the latest steady time that is stored."""


@dataclass(frozen=True)
class Machine:
    """What a core needs of the machine: its clock, its disk and its network. A simulation has its own."""

    clock_from: ClockFrom = SystemClock
    writer: WriterFrom = Writer
    transport: TransportFrom = LateTransport


async def assemble(
    settings: Settings,
    credentials: Credentials,
    broken: Callable[[Exception], None],
    machine: Machine = Machine(),
) -> Core:
    """Open the store and build the core on it. Raises StoreFileError, and SettingError for an archive that cannot be.

    `broken` is called if the disk fails.
    """
    place = archive_place(settings)
    async with contextlib.AsyncExitStack() as undo:
        store = SqliteStore(settings.store_path, broken, machine.writer)
        undo.push_async_callback(store.close)
        try:
            core = await _core(_ground(store, settings, credentials, machine), place)
        except StoreError as error:
            raise StoreFileError(f"{settings.store_path}: {error}") from error
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


class _Ground(NamedTuple):
    """What every part is built on."""

    store: SqliteStore
    settings: Settings
    clock: Clock
    upstream: HiggsfieldClient
    recorder: Recorder


class _Path(NamedTuple):
    """The parts that a generation passes through, from its submission to its end."""

    admission: Admission
    paces: Paces
    rules: Rules
    finality: Finality
    hooks: Hooks
    sender: Sender
    removals: Removals
    service: Generations
    follower: Follower
    deliveries: Deliveries


def _ground(store: SqliteStore, settings: Settings, credentials: Credentials, machine: Machine) -> _Ground:
    clock = machine.clock_from(store.newest_steady())
    recorder = Recorder(store, clock)
    upstream = HiggsfieldClient(
        settings.upstream_url,
        credentials,
        timeout=settings.upstream_timeout,
        told=recorder.told,
        transport=machine.transport,
    )
    return _Ground(store, settings, clock, upstream, recorder)


async def _core(ground: _Ground, place: ObjectStorage | None) -> Core:
    store, settings, clock, upstream, recorder = ground
    unfinished = await store.unfinished()
    feed = Feed(unfinished, await store.position())
    catalogs = Catalogs(HiggsfieldCatalogs(upstream), SqliteCatalogs(store), clock)
    characters = await _characters(ground)
    path = await _path(ground, feed, catalogs, characters)
    access = Access(store, clock, await store.api_keys(), store.token_secret(), required=settings.auth == "keys")
    agent_store = store.agents()
    agents = Agents(HiggsfieldAgents(upstream), agent_store, clock, _pace(settings), shared=settings.auth != "keys")
    for wake in (feed.wake_all, characters.wake_all, agents.wake_all):
        access.on_revoke(wake)
    media = MediaSource(timeout=settings.upstream_timeout, local=upstream.local)
    archiver = None if place is None else _archiver(ground, place, media, path.finality)
    receivers, dispatcher, tenant_callbacks = await _callbacks(ground, feed)
    _listen(ground, feed, path.follower, dispatcher, archiver)
    await _resume(ground, path, unfinished)
    storage = HiggsfieldStorage(upstream, timeout=settings.upstream_timeout)
    return Core(
        settings=settings,
        store=store,
        clock=clock,
        upstream=upstream,
        recorder=recorder,
        feed=feed,
        finality=path.finality,
        hooks=path.hooks,
        sender=path.sender,
        service=path.service,
        removals=path.removals,
        follower=path.follower,
        deliveries=path.deliveries,
        watches=Watches(store, feed, clock, path.service),
        forecasts=Forecaster(clock, path.admission, path.paces),
        stories=Stories(store, path.service, recorder),
        resolver=_resolver(ground, path),
        access=access,
        storage=storage,
        uploads=Uploads(storage, clock),
        receivers=receivers,
        dispatcher=dispatcher,
        tenant_callbacks=tenant_callbacks,
        media=media,
        archived=ArchivedFiles(store.copies),
        archiver=archiver,
        catalogs=catalogs,
        characters=characters,
        agents=agents,
        agent_store=agent_store,
    )


async def _path(ground: _Ground, feed: Feed, catalogs: Catalogs, characters: Characters) -> _Path:
    store, settings, clock, upstream, recorder = ground
    trust = Trust()
    paces = Paces(settings.poll_min, settings.poll_max)
    paces.learn_all(await store.durations())
    admission = Admission(settings.upstream_concurrency, paces.longest_run)
    sender = Sender(store, upstream, clock, admission)
    rules = _rules(settings, clock)
    finality = await _finality(ground)
    hooks = Hooks(None if settings.public_url is None else settings.public_url + WEBHOOK_PATH, store.token_secret())
    removals = Removals(store, upstream, clock)
    service = Generations(
        store=store,
        upstream=upstream,
        clock=clock,
        feed=feed,
        admission=admission,
        sender=sender,
        check=catalogs,
        hooks=hooks,
        removals=removals,
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
    return _Path(admission, paces, rules, finality, hooks, sender, removals, service, follower, deliveries)


def _rules(settings: Settings, clock: Clock) -> Rules:
    return Rules(
        repeats=settings.upstream_idempotency == "v2",
        window=settings.upstream_idempotency_window,
        uncertain_timeout=settings.uncertain_timeout,
        webhooks_since=None if settings.public_url is None else clock.moment().steady,
    )


async def _finality(ground: _Ground) -> Finality:
    finality = Finality(ground.clock, ground.upstream, ground.store, await ground.store.corrections())
    await finality.begin()
    ground.upstream.when_dated(finality.told)
    return finality


def _resolver(ground: _Ground, path: _Path) -> Resolver:
    return Resolver(
        store=ground.store,
        upstream=ground.upstream,
        clock=ground.clock,
        service=path.service,
        sender=path.sender,
        rules=path.rules,
        finality=path.finality,
    )


async def _callbacks(ground: _Ground, feed: Feed) -> tuple[HttpReceivers, Dispatcher, TenantCallbacks]:
    store, settings, clock, *_ = ground
    receivers = HttpReceivers(
        settings.callback_networks + (LOOPBACK if settings.upstream_is_local else ()),
        lambda: clock.moment().wall,
        ports=settings.callback_ports,
    )
    bodies = JsonBodies()
    dispatcher = Dispatcher(
        log_of_changes=store, store=store.callbacks, feed=feed, clock=clock, receivers=receivers, bodies=bodies
    )
    await dispatcher.resume(await store.callbacks.callbacks())
    service = TenantCallbacks(
        store=store.callbacks, dispatcher=dispatcher, feed=feed, clock=clock, receivers=receivers, bodies=bodies
    )
    return receivers, dispatcher, service


def _listen(ground: _Ground, feed: Feed, follower: Follower, dispatcher: Dispatcher, archiver: Archiver | None) -> None:
    """Have all parts that follow changes notified of those that are stored."""
    listeners = [feed.publish, follower.noticed, ground.recorder.noticed, dispatcher.noticed]
    if archiver is not None:
        listeners.insert(0, archiver.noticed)
    for listener in listeners:
        ground.store.listen(listener)


async def _resume(ground: _Ground, path: _Path, unfinished: Sequence[Generation]) -> None:
    """Hand what an earlier process left to the parts that go on with it."""
    store = ground.store
    path.sender.connect(path.service.observe, path.follower.look, await store.latched_accounts())
    path.follower.resume(unfinished)
    path.sender.resume([*unfinished, *await store.ended_with_stray()])


def _archiver(ground: _Ground, place: ObjectStorage, media: MediaSource, finality: Finality) -> Archiver:
    settings = ground.settings
    return Archiver(
        copies=ground.store.copies,
        storage=place,
        source=media,
        clock=ground.clock,
        finality=finality,
        concurrency=settings.archive_concurrency,
        bandwidth=settings.archive_bandwidth,
        largest=settings.archive_largest,
    )


def _pace(settings: Settings) -> Pace:
    """How often a session of an agent is read, within what is set for all status calls."""
    return Pace(*(min(max(pause, settings.poll_min), settings.poll_max) for pause in (FIRST_PAUSE, LONGEST_PAUSE)))


async def _characters(ground: _Ground) -> Characters:
    kept, known = SqliteCharacters(ground.store), HiggsfieldCharacters(ground.upstream)
    creations, removals = await kept.creations(), await kept.removals()
    return Characters(
        store=kept,
        upstream=known,
        clock=ground.clock,
        registry=Registry(known.account, ground.clock, creations, removals, shared=ground.settings.auth != "keys"),
        first_pause=ground.settings.poll_min,
        longest_pause=ground.settings.poll_max,
    )
