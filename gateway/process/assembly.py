"""Builds a `Core` from the settings: opens the store and connects all parts."""

import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway.access.identity import Access, Issuer
from gateway.accounts.manager import AccountManager, Encryption, decrypted
from gateway.addresses import LOOPBACK
from gateway.agents.conversation import FIRST_PAUSE, MAX_PAUSE, Pace
from gateway.agents.service import Agents
from gateway.archive.archiver import Archiver
from gateway.archive.ports import ObjectStorage
from gateway.callbacks.dispatcher import Dispatcher
from gateway.callbacks.service import TenantCallbacks
from gateway.callbacks_http.client import HttpReceivers
from gateway.catalog.service import Catalogs
from gateway.characters.registry import Registry
from gateway.characters.service import Characters
from gateway.errors import Violation
from gateway.generations.accounts import Accounts
from gateway.generations.admission.admission import Admission
from gateway.generations.admission.admissions import Admissions
from gateway.generations.adopt import Adopter
from gateway.generations.clock import SystemClock
from gateway.generations.due_steps import Rules
from gateway.generations.follower import Follower
from gateway.generations.inputs import Input
from gateway.generations.limits.budgets import Budgets
from gateway.generations.limits.model import parse_credits
from gateway.generations.limits.prices import Prices
from gateway.generations.model import Generation
from gateway.generations.polling.pace import PollIntervals, WebhookReliability
from gateway.generations.polling.rate_limit import PollLimit, PollLimits
from gateway.generations.polling.schedule import PollSchedule
from gateway.generations.ports import Clock
from gateway.generations.reads import Reads
from gateway.generations.removals import Removals
from gateway.generations.resolve import Resolver
from gateway.generations.run_times import RunTimes
from gateway.generations.sender import Sender
from gateway.generations.service import BoundTo, Generations, Refuses
from gateway.generations.stores import UnconfirmedError
from gateway.generations.timeline import Recorder, Timelines
from gateway.generations.trusted_time import TrustedTime
from gateway.generations.watching.feed import Feed
from gateway.generations.watching.forecast import Forecaster
from gateway.generations.watching.watch import Watches
from gateway.generations.webhooks.addresses import WebhookAddresses
from gateway.generations.webhooks.inbox import WebhookInbox
from gateway.higgsfield.accounts import HiggsfieldAccounts, all_refused
from gateway.higgsfield.agents import HiggsfieldAgents
from gateway.higgsfield.catalogs import HiggsfieldCatalogs
from gateway.higgsfield.characters import HiggsfieldCharacters
from gateway.higgsfield.client import HiggsfieldClient, OnCall
from gateway.higgsfield.credentials import Credentials, parse_credentials
from gateway.higgsfield.late_transport import LateTransport, TransportFrom
from gateway.higgsfield.media import MediaSource
from gateway.higgsfield.uploads import HiggsfieldStorage
from gateway.process.core import Core
from gateway.process.opening import join_store, open_archive, open_encryption, open_issuer, open_store
from gateway.process.replica import Freshness, Replica
from gateway.rpc.messages.callback_bodies import JsonBodies
from gateway.settings.config import WEBHOOK_PATH, SettingError, Settings
from gateway.settings.values import PostgresUrl
from gateway.store.sqlite.database import WriterFrom
from gateway.store.sqlite.writer import Writer
from gateway.store.store import SharedStore, Store, StoreOpenError
from gateway.uploads.service import Uploads
from gateway.upstream_calls import UpstreamCalls

log = logging.getLogger(__name__)

ClockFrom = Callable[[float], Clock]
"""Makes a clock from the latest stored steady time."""


@dataclass(frozen=True)
class Machine:
    """The clock, disk and network of a core. The simulation replaces them."""

    clock_from: ClockFrom = SystemClock
    writer: WriterFrom = Writer
    transport: TransportFrom = LateTransport


async def assemble(
    settings: Settings,
    credentials: Credentials,
    broken: Callable[[Exception], None],
    machine: Machine = Machine(),
) -> Core:
    """Open the store and build the core.

    Raises StoreOpenError, or SettingError if the archive, a key of a setting, or a library that a setting needs cannot
    be used. `broken` is called, perhaps more than once, when the store can no longer be used: a commit fails on the
    disk, or another gateway has it.
    """
    archive = open_archive(settings)
    async with contextlib.AsyncExitStack() as undo:
        store = await open_store(settings, broken, machine.writer)
        undo.push_async_callback(store.close)
        try:
            base = await _base(store, settings, credentials, machine, open_encryption(settings))
            core = await _core(base, archive)
        except UnconfirmedError as error:
            raise StoreOpenError(f"{settings.store}: {error}") from error
        undo.pop_all()
    return core


async def join(
    settings: Settings, credentials: Credentials, broken: Callable[[Exception], None], machine: Machine
) -> Core | Replica:
    """Open the store and build the core, or a replica if another gateway leads.

    Raises as `assemble` does, or UnconfirmedError.
    """
    if not isinstance(settings.store, PostgresUrl):
        return await assemble(settings, credentials, broken, machine)
    archive = open_archive(settings)
    async with contextlib.AsyncExitStack() as undo:
        store = await join_store(settings, settings.store, broken)
        undo.push_async_callback(store.close)
        joined: Core | Replica
        if store.leads:
            base = await _base(store, settings, credentials, machine, open_encryption(settings))
            joined = await _core(base, archive)
        else:
            joined = await _replica(store, settings, credentials, machine, archive)
        undo.pop_all()
    return joined


async def lead(replica: Replica, credentials: Credentials, machine: Machine) -> Core:
    """Build the core of a replica that leads now. It shares the feed and the keys, so that open watches continue.

    Raises SettingError if a key is wrong; UnconfirmedError, after which it can be called again.
    """
    try:
        encryption = open_encryption(replica.settings)  # the last leader may have used a newer key of the file
    except SettingError as error:
        log.warning("the encryption key of the start is used", extra={"error": str(error)})
        encryption = replica.encryption
    base = await _base(replica.store, replica.settings, credentials, machine, encryption)
    return await _core(base, replica.archive, replica)


async def _replica(
    store: SharedStore,
    settings: Settings,
    credentials: Credentials,
    machine: Machine,
    archive: ObjectStorage | None,
) -> Replica:
    clock = machine.clock_from(await store.times.newest_steady())
    position = await store.change_log.position()  # before the generations, so that no change is missed
    feed = Feed(await store.generations.unfinished(), position)
    freshness = Freshness(store)
    stored, secret = await store.report_serving(), await store.keys.token_secret()
    run_times = RunTimes()
    run_times.learn_all(await store.accounts.run_times())
    encryption = open_encryption(settings)
    decrypted(await store.accounts.credentials(), encryption)  # a wrong key is an error at the start
    required = settings.auth == "keys"
    issuer = open_issuer(settings, clock)
    access = Access(store.keys, clock, stored, secret, required=required, issuer=issuer, current=freshness.current)
    access.on_revoke(feed.wake_all)
    store.on_stale(feed.wake_all)
    reads = Reads(store.generations, store.change_log, feed, clock)
    # Only the leader knows which generations wait in front of others, so forecasts have no queue position here.
    admissions = Admissions(Accounts(""), Admission)

    async def refused() -> bool:
        added = decrypted(await store.accounts.credentials(), encryption)
        known = [credentials, *(parse_credentials(text) for _, text in added if text)]
        return await all_refused(map(_open_client(settings, machine), known))

    return Replica(
        settings=settings,
        store=store,
        feed=feed,
        access=access,
        issuer=issuer,
        freshness=freshness,
        reads=reads,
        watches=Watches(store.change_log, store.generations, feed, clock, reads),
        forecasts=Forecaster(clock, admissions, run_times),
        run_times=run_times,
        archive=archive,
        encryption=encryption,
        all_refused=refused,
    )


class _Base(NamedTuple):
    """The parts that all others need."""

    store: Store
    settings: Settings
    clock: Clock
    accounts: Accounts
    encryption: Encryption | None
    upstream: HiggsfieldAccounts
    recorder: Recorder
    calls: UpstreamCalls
    token_secret: bytes


class _Lifecycle(NamedTuple):
    """The parts that a generation passes through, from its submission to its end."""

    admissions: Admissions
    run_times: RunTimes
    rules: Rules
    trusted_time: TrustedTime
    budgets: Budgets
    webhook_addresses: WebhookAddresses
    sender: Sender
    removals: Removals
    service: Generations
    adopter: Adopter
    follower: Follower
    webhook_inbox: WebhookInbox


async def _base(
    store: Store, settings: Settings, credentials: Credentials, machine: Machine, encryption: Encryption | None
) -> _Base:
    clock = machine.clock_from(await store.times.newest_steady())
    recorder = Recorder(store.events, clock)
    calls = UpstreamCalls(recorder)
    accounts = Accounts(credentials.account)
    upstream = HiggsfieldAccounts(accounts, credentials, _open_client(settings, machine, calls.record))
    return _Base(
        store=store,
        settings=settings,
        clock=clock,
        accounts=accounts,
        encryption=encryption,
        upstream=upstream,
        recorder=recorder,
        calls=calls,
        token_secret=await store.keys.token_secret(),
    )


def _open_client(
    settings: Settings, machine: Machine, on_call: OnCall | None = None
) -> Callable[[Credentials], HiggsfieldClient]:
    def opened(credentials: Credentials) -> HiggsfieldClient:
        return HiggsfieldClient(
            settings.upstream_url,
            credentials,
            timeout=settings.upstream_timeout,
            on_call=on_call,
            proxy=settings.proxy_for(settings.upstream_url),
            transport=machine.transport,
        )

    return opened


async def _core(base: _Base, archive: ObjectStorage | None, replica: Replica | None = None) -> Core:
    """Build a core, which takes over the feed and the keys of a replica."""
    store, settings, clock, upstream = base.store, base.settings, base.clock, base.upstream
    unfinished = await store.generations.unfinished()
    feed, access, issuer = await _readers(base, unfinished, replica)
    catalogs = Catalogs(HiggsfieldCatalogs(upstream.default), store.catalogs, clock)
    characters = await _characters(base)
    manager = await _manager(base, feed, characters)
    receivers, dispatcher, tenant_callbacks = await _callbacks(base, feed)

    def refuses(tenant: str, given: Input, callback_url: str) -> Sequence[Violation]:
        return [*characters.violations(tenant, given), *tenant_callbacks.violations(tenant, callback_url)]

    lifecycle = await _lifecycle(base, feed, catalogs, access, refuses=refuses, bound_to=characters.account_for)
    agents = _agents(base)
    media = MediaSource(timeout=settings.upstream_timeout, local=upstream.local, proxy_for=settings.proxy_for)
    archiver = None if archive is None else _archiver(base, archive, media, lifecycle.trusted_time)
    manager.on_change(lambda credentials: _replan(credentials, lifecycle))
    audited = settings.audit != "off" or (await store.audit.audit_head()).sequence > 0
    await _resume(base, lifecycle, unfinished)
    access.on_revoke(characters.wake_all, agents.wake_all, catalogs.wake_all)
    _listen(base, feed, lifecycle.follower, dispatcher, archiver)  # last: before, an attempt at a takeover may fail
    storage = HiggsfieldStorage(upstream.of_tenant, timeout=settings.upstream_timeout, proxy_for=settings.proxy_for)
    return Core(
        settings=settings,
        audited=audited,
        store=store,
        clock=clock,
        upstream=upstream,
        accounts=manager,
        recorder=base.recorder,
        calls=base.calls,
        feed=feed,
        admissions=lifecycle.admissions,
        trusted_time=lifecycle.trusted_time,
        budgets=lifecycle.budgets,
        webhook_addresses=lifecycle.webhook_addresses,
        sender=lifecycle.sender,
        service=lifecycle.service,
        adopter=lifecycle.adopter,
        removals=lifecycle.removals,
        follower=lifecycle.follower,
        webhook_inbox=lifecycle.webhook_inbox,
        watches=Watches(store.change_log, store.generations, feed, clock, lifecycle.service),
        forecasts=Forecaster(clock, lifecycle.admissions, lifecycle.run_times),
        timelines=Timelines(store.events, lifecycle.service, base.recorder),
        resolver=_resolver(base, lifecycle),
        access=access,
        issuer=issuer,
        storage=storage,
        uploads=Uploads(storage, clock),
        receivers=receivers,
        dispatcher=dispatcher,
        tenant_callbacks=tenant_callbacks,
        media=media,
        archiver=archiver,
        catalogs=catalogs,
        characters=characters,
        agents=agents,
    )


async def _readers(
    base: _Base, unfinished: Sequence[Generation], replica: Replica | None
) -> tuple[Feed, Access, Issuer | None]:
    """Return what serves reads and watches: a replica's, or new ones."""
    store = base.store
    if replica is None:
        feed = Feed(unfinished, await store.change_log.position())
        issuer: Issuer | None = open_issuer(base.settings, base.clock)
        access = await _access(base, issuer)
        access.on_revoke(feed.wake_all)
    else:
        feed, access, issuer = replica.feed, replica.access, replica.issuer
        await feed.replace(unfinished)
    if isinstance(store, SharedStore):
        feed.others = lambda: store.others
        store.on_stale(feed.wake_all)
    base.calls.entries = feed.entries
    return feed, access, issuer


async def _access(base: _Base, issuer: Issuer | None) -> Access:
    store, settings = base.store, base.settings
    current = Freshness(store).current if isinstance(store, SharedStore) else _always
    keys, required = await store.keys.api_keys(), settings.auth == "keys"
    return Access(store.keys, base.clock, keys, base.token_secret, required=required, issuer=issuer, current=current)


def _always() -> bool:
    return True


async def _manager(base: _Base, feed: Feed, characters: Characters) -> AccountManager:
    """Return the manager of accounts, with the stored ones connected. Raises SettingError if a key is wrong."""

    def in_flight() -> Mapping[str, int]:
        return Counter(generation.spec.account for generation in feed.entries.generations() if not generation.done)

    manager = AccountManager(
        store=base.store.accounts,
        accounts=base.accounts,
        connections=base.upstream,
        encryption=base.encryption,
        clock=base.clock,
        in_flight=in_flight,
        trainings=lambda: {training.account for training in characters.unresolved()},
    )
    await manager.load()
    return manager


async def _replan(credentials: Collection[str], lifecycle: _Lifecycle) -> None:
    """Plan again what waits for credentials, because these were added or removed."""
    admissions = lifecycle.admissions
    admissions.tidy()
    for one in credentials:
        if admissions.accounts.current(one) == one:  # it was added
            admissions.of(one).renew()
    await lifecycle.follower.replan_all(credentials)
    lifecycle.removals.wake()


async def _lifecycle(
    base: _Base, feed: Feed, catalogs: Catalogs, access: Access, *, refuses: Refuses, bound_to: BoundTo
) -> _Lifecycle:
    """Build the parts of `_Lifecycle`. `refuses` and `bound_to` are those of `Generations`."""
    store, clock, upstream = base.store, base.clock, base.upstream
    reliability, poll_limits = WebhookReliability(), PollLimits(PollLimit)
    intervals, trusted_time = await _poll_intervals(base), await _trusted_time(base)
    budgets = await _budgets(base, trusted_time)
    admissions = _admissions(base, intervals, access, budgets)
    rules = _rules(base.settings, clock, store.others_send_for)
    sender = _sender(base, admissions, trusted_time)
    webhook_addresses = _webhook_addresses(base)
    removals = Removals(store.deletions, upstream, clock)
    service = Generations(
        claims=store.claims,
        generations=store.generations,
        change_log=store.change_log,
        deletions=store.deletions,
        upstream=upstream,
        accounts=base.accounts,
        clock=clock,
        feed=feed,
        admissions=admissions,
        sender=sender,
        check=catalogs,
        webhook_addresses=webhook_addresses,
        removals=removals,
        budgets=budgets,
        poll_limits=poll_limits,
        refuses=refuses,
        bound_to=bound_to,
    )
    webhook_inbox = _webhook_inbox(base, feed, service, sender, reliability)
    follower = Follower(
        upstream=upstream,
        clock=clock,
        feed=feed,
        admissions=admissions,
        sender=sender,
        service=service,
        rules=rules,
        schedule=_poll_schedule(base, feed, admissions, rules, intervals=intervals, reliability=reliability),
        trusted_time=trusted_time,
        poll_limits=poll_limits,
        has_webhook=webhook_inbox.has,
    )
    return _Lifecycle(
        admissions=admissions,
        run_times=intervals.run_times,
        rules=rules,
        trusted_time=trusted_time,
        budgets=budgets,
        webhook_addresses=webhook_addresses,
        sender=sender,
        removals=removals,
        service=service,
        adopter=_adopter(base, service, sender, poll_limits),
        follower=follower,
        webhook_inbox=webhook_inbox,
    )


async def _poll_intervals(base: _Base) -> PollIntervals:
    """Return the intervals of polls, which begin with the run times of earlier generations."""
    run_times = RunTimes()
    run_times.learn_all(await base.store.accounts.run_times())
    return PollIntervals(run_times, base.settings.poll_min, base.settings.poll_max)


def _admissions(base: _Base, intervals: PollIntervals, access: Access, budgets: Budgets) -> Admissions:
    limit = base.settings.upstream_concurrency
    return Admissions(
        base.accounts,
        lambda: Admission(limit, intervals.longest_run, access.several_tenants, share=budgets.share),
    )


def _webhook_addresses(base: _Base) -> WebhookAddresses:
    url = base.settings.public_url
    return WebhookAddresses(None if url is None else url + WEBHOOK_PATH, base.token_secret)


def _sender(base: _Base, admissions: Admissions, trusted_time: TrustedTime) -> Sender:
    return Sender(
        claims=base.store.claims,
        generations=base.store.generations,
        upstream=base.upstream,
        clock=base.clock,
        admissions=admissions,
        trusted_time=trusted_time,
    )


def _adopter(base: _Base, service: Generations, sender: Sender, poll_limits: PollLimits) -> Adopter:
    return Adopter(
        claims=base.store.claims,
        generations=base.store.generations,
        upstream=base.upstream,
        accounts=base.accounts,
        clock=base.clock,
        service=service,
        sender=sender,
        poll_limits=poll_limits,
    )


def _poll_schedule(
    base: _Base,
    feed: Feed,
    admissions: Admissions,
    rules: Rules,
    *,
    intervals: PollIntervals,
    reliability: WebhookReliability,
) -> PollSchedule:
    return PollSchedule(
        clock=base.clock,
        feed=feed,
        admissions=admissions,
        rules=rules,
        intervals=intervals,
        reliability=reliability,
    )


def _webhook_inbox(
    base: _Base, feed: Feed, service: Generations, sender: Sender, reliability: WebhookReliability
) -> WebhookInbox:
    return WebhookInbox(
        webhooks=base.store.webhooks,
        generations=base.store.generations,
        upstream=base.upstream,
        clock=base.clock,
        feed=feed,
        service=service,
        sender=sender,
        reliability=reliability,
        recorder=base.recorder,
    )


def _rules(settings: Settings, clock: Clock, others_send_for: float) -> Rules:
    return Rules(
        repeats=settings.upstream_idempotency == "v2",
        window=settings.upstream_idempotency_window,
        uncertain_timeout=settings.uncertain_timeout,
        webhooks_since=None if settings.public_url is None else clock.moment().steady,
        recover_from=clock.moment().after(others_send_for),
    )


async def _trusted_time(base: _Base) -> TrustedTime:
    times = base.store.times
    trusted_time = TrustedTime(base.clock, base.upstream, times, await times.corrections())
    await trusted_time.begin()
    base.upstream.on_date(trusted_time.note_date)
    return trusted_time


async def _budgets(base: _Base, trusted_time: TrustedTime) -> Budgets:
    store, settings, clock = base.store, base.settings, base.clock
    prices = Prices(
        base.upstream,
        clock,
        table={prefix: parse_credits(str(credits)) for prefix, credits in settings.prices.items()},
        ttl=settings.price_cache,
        unknown_allowed=settings.unknown_price == "allow",
    )
    return Budgets(
        store=store.limits,
        clock=clock,
        trusted_time=trusted_time,
        prices=prices,
        stored=await store.limits.limits(),
    )


def _resolver(base: _Base, lifecycle: _Lifecycle) -> Resolver:
    return Resolver(
        claims=base.store.claims,
        generations=base.store.generations,
        upstream=base.upstream,
        clock=base.clock,
        service=lifecycle.service,
        sender=lifecycle.sender,
        rules=lifecycle.rules,
        trusted_time=lifecycle.trusted_time,
    )


async def _callbacks(base: _Base, feed: Feed) -> tuple[HttpReceivers, Dispatcher, TenantCallbacks]:
    store, settings, clock = base.store, base.settings, base.clock
    receivers = HttpReceivers(
        settings.callback_networks + (LOOPBACK if settings.upstream_is_local else ()),
        lambda: clock.moment().wall,
        ports=settings.callback_ports,
    )
    bodies = JsonBodies()
    dispatcher = Dispatcher(
        change_log=store.change_log,
        store=store.callbacks,
        feed=feed,
        clock=clock,
        receivers=receivers,
        bodies=bodies,
        may_send=_leading(store),
    )
    await dispatcher.resume(await store.callbacks.callbacks())
    service = TenantCallbacks(
        store=store.callbacks, dispatcher=dispatcher, feed=feed, clock=clock, receivers=receivers, bodies=bodies
    )
    return receivers, dispatcher, service


def _leading(store: Store) -> Callable[[], bool]:
    """Return a function that returns whether no other gateway can have taken over the store."""
    return (lambda: store.current) if isinstance(store, SharedStore) else _always


def _listen(base: _Base, feed: Feed, follower: Follower, dispatcher: Dispatcher, archiver: Archiver | None) -> None:
    """Notify all parts that follow changes of each commit."""
    listeners = [feed.publish, follower.on_commit, base.recorder.on_commit, dispatcher.on_commit]
    if archiver is not None:
        listeners.insert(0, archiver.on_commit)
    for listener in listeners:
        base.store.change_log.listen(listener)


async def _resume(base: _Base, lifecycle: _Lifecycle, unfinished: Sequence[Generation]) -> None:
    """Hand over the generations that an earlier process left unfinished."""
    store = base.store
    lifecycle.sender.connect(
        lifecycle.service.observe, lifecycle.follower.replan, await store.accounts.accounts_without_repeats()
    )
    await lifecycle.follower.resume(unfinished)
    await lifecycle.sender.resume([*unfinished, *await store.generations.ended_with_stray()])


def _archiver(base: _Base, storage: ObjectStorage, media: MediaSource, trusted_time: TrustedTime) -> Archiver:
    settings = base.settings
    return Archiver(
        copies=base.store.copies,
        storage=storage,
        source=media,
        clock=base.clock,
        trusted_time=trusted_time,
        concurrency=settings.archive_concurrency,
        bandwidth=settings.archive_bandwidth,
        largest=settings.archive_largest,
        may_write=_leading(base.store),
        public_url=settings.archive_public_url,
    )


def _agents(base: _Base) -> Agents:
    return Agents(
        lambda tenant: HiggsfieldAgents(base.upstream.of_tenant(tenant)),
        base.store.agents,
        base.clock,
        _pace(base.settings),
        shared=base.settings.auth != "keys",
    )


def _pace(settings: Settings) -> Pace:
    """Return the pauses between polls of an agent's session, within HFGATEWAY_POLL_MIN and HFGATEWAY_POLL_MAX."""
    return Pace(*(min(max(pause, settings.poll_min), settings.poll_max) for pause in (FIRST_PAUSE, MAX_PAUSE)))


async def _characters(base: _Base) -> Characters:
    store, accounts = base.store.characters, base.accounts
    creations, removals = await store.creations(), await store.removals()
    return Characters(
        store=store,
        upstream=lambda account: HiggsfieldCharacters(base.upstream.current(account)),
        accounts=accounts,
        clock=base.clock,
        registry=Registry(accounts, base.clock, creations, removals, shared=base.settings.auth != "keys"),
        first_pause=base.settings.poll_min,
        longest_pause=base.settings.poll_max,
    )
