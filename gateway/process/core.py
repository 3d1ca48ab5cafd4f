"""A gateway without its ports: all parts, and how they start, drain and close together."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from typing import Any

from gateway.access.identity import Access, Issuer
from gateway.accounts.manager import AccountManager
from gateway.agents.service import Agents
from gateway.archive.archiver import Archiver
from gateway.callbacks.dispatcher import Dispatcher
from gateway.callbacks.service import TenantCallbacks
from gateway.callbacks_http.client import HttpReceivers
from gateway.catalog.service import Catalogs
from gateway.characters.service import Characters
from gateway.concurrency import OwnedTasks, keep_running
from gateway.generations.admission.admissions import Admissions
from gateway.generations.adopt import Adopter
from gateway.generations.clock import sleep
from gateway.generations.follower import Follower
from gateway.generations.limits.budgets import Budgets
from gateway.generations.ports import Clock
from gateway.generations.removals import Removals
from gateway.generations.resolve import Resolver
from gateway.generations.sender import Sender
from gateway.generations.service import Generations
from gateway.generations.store_backoff import until_stored
from gateway.generations.stores import UnconfirmedError
from gateway.generations.timeline import Recorder, Timelines
from gateway.generations.trusted_time import TrustedTime
from gateway.generations.watching.feed import Feed
from gateway.generations.watching.forecast import Forecaster
from gateway.generations.watching.watch import Watches
from gateway.generations.webhooks.addresses import WebhookAddresses
from gateway.generations.webhooks.inbox import WebhookInbox
from gateway.higgsfield.accounts import CREDENTIALS_REFUSED, HiggsfieldAccounts, shown
from gateway.higgsfield.media import MediaSource
from gateway.higgsfield.uploads import HiggsfieldStorage
from gateway.settings.config import Settings
from gateway.store.store import STORE_UNUSABLE, SharedStore, Store
from gateway.uploads.service import Uploads
from gateway.upstream_calls import UpstreamCalls

log = logging.getLogger(__name__)

PRUNE_INTERVAL = 3600.0
"""Seconds between removals of what is older than the retention."""
PARTS_STOP_TIMEOUT = 3.0
"""Seconds for the parts to end when they are canceled. Only a thread on a hung disk takes longer."""
LAST_WRITES_TIMEOUT = 3.0
"""Seconds for the last writes of a drain. No guarantee needs them, so they are given up if the store hangs."""
STORE_CLOSE_TIMEOUT = 8.0
"""Seconds until a store that hangs is left open. A lease that was not given back expires by itself."""
HEAL_INTERVAL = 1.0
"""Seconds between checks of a store that failed."""
KEYS_KEPT = 7 * 86_400.0
"""Seconds for which an idempotency key is remembered at least (generation_service.proto)."""
DELIVERIES_KEPT = 7 * 86_400.0
"""Seconds for which a delivery to a callback is listed after it succeeded or failed."""


@dataclass
class Core:
    """All parts of a gateway but its ports. Call `start`, `drain` and `close` once each, in this order."""

    settings: Settings
    audited: bool
    """Whether the start is recorded in the audit log: if it is on, or has entries."""
    store: Store
    clock: Clock
    upstream: HiggsfieldAccounts
    accounts: AccountManager
    feed: Feed
    admissions: Admissions
    trusted_time: TrustedTime
    budgets: Budgets
    sender: Sender
    webhook_addresses: WebhookAddresses
    service: Generations
    adopter: Adopter
    removals: Removals
    follower: Follower
    webhook_inbox: WebhookInbox
    recorder: Recorder
    calls: UpstreamCalls
    watches: Watches
    forecasts: Forecaster
    timelines: Timelines
    resolver: Resolver
    access: Access
    issuer: Issuer | None
    storage: HiggsfieldStorage
    uploads: Uploads
    receivers: HttpReceivers
    dispatcher: Dispatcher
    tenant_callbacks: TenantCallbacks
    media: MediaSource
    archiver: Archiver | None
    catalogs: Catalogs
    characters: Characters
    agents: Agents
    hangs: bool = False
    """Whether a part did not end when it was canceled, or the store could not be closed."""
    _tasks: OwnedTasks = field(default_factory=OwnedTasks)

    async def start(self) -> None:
        """Start all parts; they continue what an earlier process left."""
        await self.webhook_inbox.resume()  # before the follower, which asks what is in the inbox
        parts = (self.follower, self.recorder, self.dispatcher, self.trusted_time, self.removals)
        for run in (*(part.run for part in parts), self._prune):
            self._run_until_drain(run)
        if not isinstance(self.store, SharedStore):  # which heals itself, also while it is drained or taken over
            self._run_until_drain(self._heal)
        if self.archiver is not None:
            self._run_until_drain(self.archiver.run)
        if self.issuer is not None:
            self._run_until_drain(self.issuer.run)
        if self.audited:
            self._run_until_drain(self._record_start)

    async def drain(self) -> None:
        """Send nothing more, end watches so that clients resume elsewhere, and wait for POSTs in flight.

        It waits for at most `settings.drain` seconds. New submissions are refused; but if other replicas serve, which
        cannot lead before this one has ended, they are stored until the last POST has ended, and the next leader sends
        them.
        """
        self.service.draining = True
        self.service.refusing = not (isinstance(self.store, SharedStore) and self.store.others)
        self.follower.stopped_sending = True
        self.feed.wake_all()
        self.characters.drain()
        self.agents.drain()
        self.catalogs.drain()
        await self._cancel_parts()
        try:
            async with asyncio.timeout(self.settings.drain):
                await self.follower.drained()
                await self.sender.attempts_ended()
                self.service.refusing = True
                await self.sender.drained()
                await self.characters.drained()
                await self.agents.drained()
                await self.tenant_callbacks.drained()
                await self.access.drained()
                await self.budgets.drained()
                await self.accounts.drained()
        except TimeoutError:
            self.service.refusing = True
            log.error("submissions are still in flight at the end of HFGATEWAY_DRAIN; the next start recovers them")
        await self.dispatcher.drained()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WRITES_TIMEOUT):
                await self.webhook_inbox.drained()
                await self.recorder.flush()

    async def close(self) -> None:
        """Close all connections and the store. If one raises, the others are closed all the same."""
        async with contextlib.AsyncExitStack() as last_first:
            last_first.push_async_callback(self._close_store)
            for part in (self.upstream, self.receivers, self.storage, self.agents, self.catalogs, self.media):
                last_first.push_async_callback(part.aclose)
            await self._cancel_parts()

    async def _close_store(self) -> None:
        closing = asyncio.create_task(self.store.close())
        await asyncio.wait({closing}, timeout=STORE_CLOSE_TIMEOUT)
        if closing.done():
            closing.result()
        else:
            self.hangs = True
            log.error("the store does not respond; stopping without closing it")

    async def _cancel_parts(self) -> None:
        if not await self._tasks.cancel(PARTS_STOP_TIMEOUT):
            self.hangs = True
            log.error("a part of the gateway does not end, probably because a disk hangs; stopping without it")

    @property
    def not_ready(self) -> str:
        """Why the gateway is not ready for calls; empty if it is.

        Credentials that Higgsfield has accepted before and refuses now are no reason: watches and webhooks of accepted
        generations still work, and other replicas have the same credentials.
        """
        if self.service.draining:
            return "draining"
        if self.store.health.trouble:
            return self.store.health.trouble
        if isinstance(self.store, SharedStore) and not self.store.current:
            return STORE_UNUSABLE
        return CREDENTIALS_REFUSED if self.upstream.none_was_accepted else ""

    @property
    def trouble(self) -> str:
        """What is wrong with a gateway that is ready; empty if nothing is known."""
        refused = self.upstream.refused
        return CREDENTIALS_REFUSED + shown(refused) if refused else ""

    def behind(self) -> float:
        """Return the delay of status polls in seconds."""
        return self.follower.behind()

    def _run_until_drain(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._tasks.start(keep_running(run, partial(sleep, self.clock)))

    async def _heal(self) -> None:
        """Probe a store that failed until it works again, because there may be no calls that would notice."""
        while True:
            await sleep(self.clock, HEAL_INTERVAL)
            if self.store.health.trouble:
                with contextlib.suppress(UnconfirmedError):
                    await self.store.health.probe()

    async def _record_start(self) -> None:
        """Record the start in the audit log, as soon as the store can be written."""
        details = {"audit": self.settings.audit, "version": version("hfgateway")}
        record = self.store.audit.record
        await until_stored(self.clock, "the start of the gateway", lambda: record("gateway.start", details))

    async def _prune(self) -> None:
        """Remove what is older than its retention, every PRUNE_INTERVAL seconds."""
        while True:
            try:
                await self._prune_once()
            except UnconfirmedError as error:
                log.warning("pruning failed; will retry in an hour", extra={"error": str(error)})
            await sleep(self.clock, PRUNE_INTERVAL)

    async def _prune_once(self) -> None:
        now = self.clock.moment()
        theirs = self.trusted_time.higgsfield_now()
        if theirs is not None:  # by the earlier clock, because ours may be wrong
            await self.store.callbacks.prune_deliveries(min(now.wall, theirs) - DELIVERIES_KEPT)
        keys = now.after(-KEYS_KEPT)
        if not await self.store.deletions.prunable(
            now.after(-self.settings.retention), keys
        ) and not await self.store.agents.prunable(keys):
            return  # saves a request for Higgsfield's time
        ended_before = await self.trusted_time.before(self.settings.retention)
        keys_before = await self.trusted_time.before(KEYS_KEPT)
        if ended_before is not None and keys_before is not None:
            await self.store.deletions.prune(ended_before, keys_before)
            await self.store.agents.prune(keys_before)
