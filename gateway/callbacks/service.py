"""The use cases of callbacks: create, list, update, rotate, test and delete them; list and repeat deliveries."""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from gateway.callbacks import schedule, signing
from gateway.callbacks.dispatcher import MAX_WAITING, CallbackQueue, Dispatcher
from gateway.callbacks.model import Callback, Delivery, DeliveryState, Outcome, Secret, id_parts
from gateway.callbacks.ports import Bodies, CallbackStore, Receivers
from gateway.concurrency import InProgress, OwnedTasks, uninterrupted
from gateway.errors import Failure, GatewayError, Reason, Violation, invalid_field, not_found
from gateway.frozen import frozen
from gateway.generations.clock import Ids
from gateway.generations.inputs import added_values
from gateway.generations.model import ENDED, Moment, canonical_json
from gateway.generations.ports import Clock
from gateway.generations.read_back import repeated_if_unknown
from gateway.generations.stores import Filter
from gateway.generations.watching.feed import Feed

MAX_CALLBACKS = 20
"""Callbacks of one tenant."""
OLD_SECRETS_SIGN_FOR = 86_400.0
"""Seconds for which a secret still signs after a newer one was created."""
MAX_SECRETS = 4
"""Secrets of a callback that sign at the same time."""
MAX_TESTS = 4
"""Concurrent tests of one tenant."""
BEGINNING = (float("inf"), "~", 0)
"""The value of `before` for the first page of deliveries."""


@frozen
class Tested:
    """The result of a test delivery. `id` is its webhook-id; the times are wall times."""

    id: str
    outcome: Outcome
    create_time: float
    last_attempt_time: float


class TenantCallbacks:
    """The use cases of one tenant's callbacks. Callbacks of other tenants are NOT_FOUND.

    The methods raise GatewayError or UnconfirmedError.
    """

    def __init__(
        self,
        *,
        store: CallbackStore,
        dispatcher: Dispatcher,
        feed: Feed,
        clock: Clock,
        receivers: Receivers,
        bodies: Bodies,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._feed = feed
        self._clock = clock
        self._receivers = receivers
        self._bodies = bodies
        self._ids = Ids()
        self._creating = asyncio.Lock()
        self._testing = InProgress()
        self._tasks = OwnedTasks()

    def moment(self) -> Moment:
        """Return the current time, with which steady times are converted to wall times."""
        return self._clock.moment()

    @uninterrupted
    async def create(
        self, tenant: str, url: str, wanted: Filter, key: str, *, every_change: bool
    ) -> tuple[Callback, str]:
        """Create a callback; return it and its secret.

        Without a URL, deliveries go to the URLs of submissions. If the idempotency key is known, return the existing
        callback and "". Raises INVALID_INPUT for the URL or the filter, QUOTA_EXCEEDED, or IDEMPOTENCY_KEY_REUSED if
        the key belongs to a callback with other arguments.
        """
        why = self._receivers.refusal(url) if url else ""
        if why:
            raise invalid_field("url", why)
        _require_deliveries(wanted, every_change=every_change)
        requested = fingerprint(url, wanted, every_change=every_change)
        async with self._creating:
            known = self._by_key(tenant, key)
            if known is None:
                if len(self._dispatcher.of(tenant)) >= MAX_CALLBACKS:
                    raise _quota(f"a tenant has at most {MAX_CALLBACKS} callbacks", "callbacks")
                secret = Secret(signing.new_secret())
                moment = self._clock.moment()
                new = Callback(
                    id=self._ids.next(moment.wall),
                    tenant=tenant,
                    url=url,
                    wanted=wanted,
                    every_change=every_change,
                    idempotency_key=key,
                    fingerprint=requested,
                    create_time=moment.wall,
                    position=self._feed.position,
                    secrets=(secret,),
                )
                if await repeated_if_unknown(lambda: self._store.add_callback(new)):
                    await self._dispatcher.add(new)
                    return new, secret.text
                # It is stored: by the first write of this call, or by an earlier call that got an error from the store.
                await self._add_stored(tenant, key)
                known = self._by_key(tenant, key)
                if known is not None and known.id == new.id:
                    return known, secret.text
        if known is None or known.fingerprint != requested:
            message = "the idempotency_key was used for another callback"
            metadata = {} if known is None else {"callback_id": known.id}
            raise GatewayError(Failure(Reason.IDEMPOTENCY_KEY_REUSED, message, metadata=metadata))
        return known, ""

    def violations(self, tenant: str, url: str) -> Sequence[Violation]:
        """Return why a submission of the tenant cannot have this URL for its deliveries; "" is none."""
        if not url:
            return ()
        why = self._receivers.refusal(url)
        if not why and all(callback.url for callback in self._dispatcher.of(tenant)):
            why = "no callback delivers to it: create one with an empty url, with CallbackService.CreateCallback"
        return [Violation("callback_url", why)] if why else ()

    def get(self, tenant: str, callback_id: str) -> Callback:
        """Return a callback. Raises NOT_FOUND."""
        return self._queue(tenant, callback_id).callback

    def listed(self, tenant: str) -> Sequence[Callback]:
        """Return all callbacks of the tenant, newest first."""
        return sorted(self._dispatcher.of(tenant), key=lambda callback: callback.id, reverse=True)

    @uninterrupted
    async def update(
        self,
        tenant: str,
        callback_id: str,
        *,
        paused: bool | None = None,
        wanted: Filter | None = None,
        every_change: bool | None = None,
    ) -> Callback:
        """Change the given fields. Resuming a callback clears its problem and makes its deliveries due.

        Raises NOT_FOUND, or INVALID_INPUT for the filter.
        """
        async with self._changing(tenant, callback_id) as queue:
            callback, due = queue.callback, None
            if wanted is not None:
                callback = replace(callback, wanted=wanted)
            if every_change is not None:
                callback = replace(callback, every_change=every_change)
            if wanted is not None or every_change is not None:
                _require_deliveries(callback.wanted, every_change=callback.every_change)
                # After a crash, the next process would apply the new filter to what the old one has passed over.
                await repeated_if_unknown(lambda: self._store.take_deliveries(queue.callback, []))
            if paused is not None:
                callback = replace(callback, paused=paused)
            if paused is False:
                due = self._clock.moment().steady
                callback = schedule.resumed(callback)
            await repeated_if_unknown(lambda: self._store.change_callback(callback, due))
            queue.callback = callback
            if due is not None:
                queue.make_due(due, everything=True)
        self._dispatcher.wake(callback_id)
        return callback

    @uninterrupted
    async def delete(self, tenant: str, callback_id: str) -> None:
        """Delete a callback with its deliveries; do nothing if it does not exist."""
        queue = self._dispatcher.queues.get(callback_id)
        if queue is None or queue.callback.tenant != tenant:
            return
        async with queue.changing:
            await repeated_if_unknown(lambda: self._store.delete_callback(callback_id))
            self._dispatcher.remove(callback_id)

    @uninterrupted
    async def rotate(self, tenant: str, callback_id: str) -> tuple[Callback, str]:
        """Create a secret; return the callback and the secret. Older ones still sign for OLD_SECRETS_SIGN_FOR seconds.

        Raises NOT_FOUND, or QUOTA_EXCEEDED if too many secrets sign.
        """
        async with self._changing(tenant, callback_id) as queue:
            now = self._clock.moment().steady
            old = [
                replace(secret, until=now + OLD_SECRETS_SIGN_FOR) if secret.until is None else secret
                for secret in queue.callback.signing(now)
            ]
            if len(old) >= MAX_SECRETS:
                wait = min(secret.until - now for secret in old if secret.until is not None)
                message = f"the callback already has {MAX_SECRETS} active secrets"
                raise _quota(message, "secrets", retryable=True, retry_after=wait)
            new = Secret(signing.new_secret())
            callback = replace(queue.callback, secrets=(new, *old))
            await repeated_if_unknown(lambda: self._store.change_callback(callback))
            queue.callback = callback
        return callback, new.text

    async def test(self, tenant: str, callback_id: str) -> Tested:
        """Send one test delivery, which is not stored, and return its outcome.

        Raises NOT_FOUND, INVALID_INPUT for a callback without a URL, or GATEWAY_OVERLOADED if the tenant has
        too many running tests.
        """
        callback = self._queue(tenant, callback_id).callback
        if not callback.url:
            raise invalid_field("id", "the callback has no URL to test")
        delivery_id = f"{callback.id}_test_{secrets.token_hex(8)}"
        moment = self._clock.moment()
        body = self._bodies.of_test(moment.wall)
        with self._testing.counted(tenant, MAX_TESTS, "tests of callbacks"):
            headers = signing.headers(delivery_id, moment.wall, body, callback.signing(moment.steady))
            outcome = await self._receivers.post(tenant, callback.url, headers, body, lambda: True)
        return Tested(delivery_id, outcome, moment.wall, self._clock.moment().wall)

    async def deliveries(
        self,
        tenant: str,
        callback_id: str,
        generation_id: str,
        *,
        failed_only: bool,
        before: tuple[float, str, int],
        limit: int,
    ) -> Sequence[Delivery]:
        """Return a page of deliveries, newest first; see `CallbackStore.deliveries`. Raises NOT_FOUND."""
        self._queue(tenant, callback_id)
        return await self._store.deliveries(
            callback_id, generation_id, failed_only=failed_only, before=before, limit=limit
        )

    @uninterrupted
    async def redeliver(self, tenant: str, delivery_id: str) -> Delivery:
        """Deliver a revision again at once, as if it were new. During an outage it is the next probe.

        Raises NOT_FOUND, or QUOTA_EXCEEDED if too many are pending.
        """
        parts = id_parts(delivery_id)
        queue = None if parts is None else self._dispatcher.queues.get(parts[0])
        if parts is None or queue is None or queue.callback.tenant != tenant:
            raise not_found("no such delivery", delivery_id=delivery_id)
        if queue.waiting >= 2 * MAX_WAITING:
            raise _quota("too many deliveries of this callback are pending", "deliveries", retryable=True)
        async with self._changing(tenant, parts[0]) as queue:
            known = await self._store.delivery(*parts)
            if known is None or await self._dispatcher.version(known) is None:
                raise not_found("no such delivery", delivery_id=delivery_id)
            now = self._clock.moment().steady
            again = replace(
                known,
                state=DeliveryState.PENDING,
                attempts=0,
                refusals=0,
                problem=None,
                http_status=0,
                next_at=now,
            )
            await repeated_if_unknown(lambda: self._store.redeliver(again))
            queue.callback = replace(queue.callback, held_until=min(queue.callback.held_until, now))
            queue.add(again)
        self._dispatcher.wake(queue.callback.id)
        return again

    async def drained(self) -> None:
        """Wait until all changes that were started have finished."""
        await self._tasks.drained()

    @asynccontextmanager
    async def _changing(self, tenant: str, callback_id: str) -> AsyncIterator[CallbackQueue]:
        """Lock a callback. Raises NOT_FOUND, also if it was deleted while the lock was awaited."""
        async with self._queue(tenant, callback_id).changing:
            yield self._queue(tenant, callback_id)

    def _queue(self, tenant: str, callback_id: str) -> CallbackQueue:
        queue = self._dispatcher.queues.get(callback_id)
        if queue is None or queue.callback.tenant != tenant:
            raise not_found("no such callback", callback_id=callback_id)
        return queue

    def _by_key(self, tenant: str, key: str) -> Callback | None:
        return next((callback for callback in self._dispatcher.of(tenant) if callback.idempotency_key == key), None)

    async def _add_stored(self, tenant: str, key: str) -> None:
        """Serve the stored callback of a key. Another one that is not served may have been deleted since the read."""
        for callback in await self._store.callbacks():
            if (callback.tenant, callback.idempotency_key) == (tenant, key):
                await self._dispatcher.add(callback)


def fingerprint(url: str, wanted: Filter, *, every_change: bool) -> bytes:
    """Hash the arguments of `create`, to compare calls with one idempotency key.

    Declare new fields of filters with `added()`, so that stored fingerprints stay valid.
    """
    filters = [sorted(wanted.labels.items()), sorted(wanted.model_ids), sorted(wanted.states)]
    plain = [url, *filters, every_change, *added_values(wanted)]
    return hashlib.sha256(canonical_json(plain).encode()).digest()


def _require_deliveries(wanted: Filter, *, every_change: bool) -> None:
    """Raise INVALID_INPUT for a filter with which nothing would ever be delivered."""
    if wanted.states and not every_change and wanted.states.isdisjoint(ENDED):
        raise invalid_field("filter.states", "has no final state, and others are only reported with every_change")


def _quota(message: str, limit: str, *, retryable: bool = False, retry_after: float | None = None) -> GatewayError:
    """Return QUOTA_EXCEEDED for a limit. It is retryable if it is no longer exceeded after some time."""
    metadata = {"limit": limit}
    failure = Failure(Reason.QUOTA_EXCEEDED, message, retryable=retryable, retry_after=retry_after, metadata=metadata)
    return GatewayError(failure)
