"""The use cases: create, change, rotate, test and delete callbacks; look at deliveries, and have one made again."""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from gateway.callbacks import signing
from gateway.callbacks.dispatcher import MOST_WAITING, Dispatcher, Line
from gateway.callbacks.model import Callback, Delivery, Fate, Outcome, Secret, id_parts
from gateway.callbacks.ports import Bodies, CallbackStore, Receivers
from gateway.errors import Failure, GatewayError, Reason, invalid_field, printable
from gateway.generations.clock import Ids
from gateway.generations.feed import Feed
from gateway.generations.inputs import added_values
from gateway.generations.model import Moment, canonical_json
from gateway.generations.ports import Clock, Filter
from gateway.generations.tasks import OwnedTasks

P = ParamSpec("P")
T = TypeVar("T")

MOST_CALLBACKS = 20
"""Of one tenant."""
ROTATION = 86_400.0
"""Seconds that a secret goes on signing beside a newer one."""
MOST_SECRETS = 4
MOST_TESTS = 16
"""Tests under way in all."""
BEGINNING = (float("inf"), "~", 0)
"""A place before the newest delivery."""


@dataclass(frozen=True, slots=True)
class Tested:
    """What became of a test; `id` is what its receiver knows it by."""

    id: str
    callback_id: str
    outcome: Outcome
    create_time: float
    last_attempt_time: float


Method = Callable[Concatenate["TenantCallbacks", P], Coroutine[Any, Any, T]]


def _to_its_end(method: "Method[P, T]") -> "Method[P, T]":
    """Whoever leaves in between: what the store has kept and what is in memory must not part."""

    @wraps(method)
    async def owned(self: "TenantCallbacks", /, *arguments: P.args, **named: P.kwargs) -> T:
        return await self._tasks.finish(method(self, *arguments, **named))

    return owned


class TenantCallbacks:
    """All that a tenant can do with callbacks. Raises GatewayError; another tenant's do not exist."""

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
        self._testing = 0
        self._tasks = OwnedTasks()

    def moment(self) -> Moment:
        """Now: steady times are shown by the distance to it."""
        return self._clock.moment()

    @_to_its_end
    async def create(
        self, tenant: str, url: str, wanted: Filter, key: str, *, every_change: bool
    ) -> tuple[Callback, str]:
        """A new callback with its secret; an empty one where the key was known, and the callback as it is now."""
        why = self._receivers.refusal(url)
        if why:
            raise invalid_field("url", why)
        asked = fingerprint(url, wanted, every_change=every_change)
        async with self._creating:
            known = self._by_key(tenant, key)
            if known is None:
                if len(self._dispatcher.of(tenant)) >= MOST_CALLBACKS:
                    raise _quota(f"a tenant has at most {MOST_CALLBACKS} callbacks", "callbacks")
                secret = Secret(signing.new_secret())
                moment = self._clock.moment()
                new = Callback(
                    id=self._ids.next(moment.wall),
                    tenant=tenant,
                    url=url,
                    wanted=wanted,
                    every_change=every_change,
                    idempotency_key=key,
                    fingerprint=asked,
                    create_time=moment.wall,
                    position=self._feed.position,
                    secrets=(secret,),
                )
                if await self._store.add_callback(new):
                    await self._dispatcher.add(new)
                    return new, secret.text
                # An earlier call has stored it, and was told that the store did not answer.
                await self._catch_up()
                known = self._by_key(tenant, key)
        if known is None or known.fingerprint != asked:
            raise GatewayError(
                Failure(Reason.IDEMPOTENCY_KEY_REUSED, "the idempotency_key was used for another callback")
            )
        return known, ""

    def get(self, tenant: str, callback_id: str) -> Callback:
        """The callback. Raises NOT_FOUND."""
        return self._line(tenant, callback_id).callback

    def listed(self, tenant: str) -> Sequence[Callback]:
        """All of the tenant's, newest first."""
        return sorted(self._dispatcher.of(tenant), key=lambda callback: callback.id, reverse=True)

    @_to_its_end
    async def update(
        self,
        tenant: str,
        callback_id: str,
        *,
        paused: bool | None = None,
        wanted: Filter | None = None,
        every_change: bool | None = None,
    ) -> Callback:
        """Change what is given. One that goes on has no problem any more, and what waits for it is due."""
        async with self._changing(tenant, callback_id) as line:
            callback, due = line.callback, None
            if wanted is not None:
                callback = replace(callback, wanted=wanted)
            if every_change is not None:
                callback = replace(callback, every_change=every_change)
            if paused is not None:
                callback = replace(callback, paused=paused)
            if paused is False:
                due = self._clock.moment().steady
                callback = callback.well()
            await self._store.change_callback(callback, due)
            line.callback, line.stored_position = callback, callback.position
            if due is not None:
                line.hurry(due, everything=True)
        self._dispatcher.wake(callback_id)
        return callback

    @_to_its_end
    async def delete(self, tenant: str, callback_id: str) -> None:
        """Erase it, if there is one."""
        line = self._dispatcher.lines.get(callback_id)
        if line is None or line.callback.tenant != tenant:
            return
        async with line.changing:
            await self._store.delete_callback(callback_id)
            self._dispatcher.remove(callback_id)

    @_to_its_end
    async def rotate(self, tenant: str, callback_id: str) -> tuple[Callback, str]:
        """A new secret; the others sign for a day more."""
        async with self._changing(tenant, callback_id) as line:
            now = self._clock.moment().steady
            old = [
                replace(secret, until=now + ROTATION) if secret.until is None else secret
                for secret in line.callback.signing(now)
            ]
            if len(old) >= MOST_SECRETS:
                wait = min(secret.until - now for secret in old if secret.until is not None)
                raise _quota(f"{MOST_SECRETS} secrets sign already", "secrets", wait)
            new = Secret(signing.new_secret())
            callback = replace(line.callback, secrets=(new, *old))
            await self._store.change_callback(callback)
            line.callback, line.stored_position = callback, callback.position
        return callback, new.text

    async def test(self, tenant: str, callback_id: str) -> Tested:
        """Send one delivery that is kept nowhere, and tell what became of it."""
        callback = self._line(tenant, callback_id).callback
        if self._testing >= MOST_TESTS:
            raise GatewayError(Failure(Reason.GATEWAY_OVERLOADED, "too many tests are under way", retryable=True))
        name = f"{callback.id}_test_{secrets.token_hex(8)}"
        moment = self._clock.moment()
        body = self._bodies.of_test(moment.wall)
        self._testing += 1
        try:
            headers = signing.headers(name, moment.wall, body, callback.signing(moment.steady))
            outcome = await self._receivers.post(callback.url, headers, body)
        finally:
            self._testing -= 1
        return Tested(name, callback.id, outcome, moment.wall, self._clock.moment().wall)

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
        """A page, newest first. Raises NOT_FOUND."""
        self._line(tenant, callback_id)
        return await self._store.deliveries(
            callback_id, generation_id, failed_only=failed_only, before=before, limit=limit
        )

    @_to_its_end
    async def redeliver(self, tenant: str, delivery_id: str) -> Delivery:
        """Have it delivered from now on, as if it were new. Raises NOT_FOUND."""
        parts = id_parts(delivery_id)
        line = None if parts is None else self._dispatcher.lines.get(parts[0])
        if parts is None or line is None or line.callback.tenant != tenant:
            raise _no_delivery(delivery_id)
        if line.waiting >= 2 * MOST_WAITING:
            raise _quota("too many deliveries of this callback wait already", "deliveries")
        async with line.changing:
            known = await self._store.delivery(*parts)
            if known is None or not await self._dispatcher.deliverable(known):
                raise _no_delivery(delivery_id)
            now = self._clock.moment().steady
            again = replace(known, fate=Fate.PENDING, attempts=0, refusals=0, problem=None, http_status=0, next_at=now)
            await self._store.redeliver(again)
            line.add(again)
        self._dispatcher.wake(line.callback.id)
        return again

    async def drained(self) -> None:
        """Wait until what is being changed is stored."""
        await self._tasks.drained()

    @asynccontextmanager
    async def _changing(self, tenant: str, callback_id: str) -> AsyncIterator[Line]:
        """The callback for as long as it is changed. Raises NOT_FOUND, also where it was deleted meanwhile."""
        async with self._line(tenant, callback_id).changing:
            yield self._line(tenant, callback_id)

    def _line(self, tenant: str, callback_id: str) -> Line:
        line = self._dispatcher.lines.get(callback_id)
        if line is None or line.callback.tenant != tenant:
            raise GatewayError(
                Failure(Reason.NOT_FOUND, "no such callback", metadata={"callback_id": printable(callback_id)})
            )
        return line

    def _by_key(self, tenant: str, key: str) -> Callback | None:
        return next((one for one in self._dispatcher.of(tenant) if one.idempotency_key == key), None)

    async def _catch_up(self) -> None:
        for callback in await self._store.callbacks():
            if callback.id not in self._dispatcher.lines:
                await self._dispatcher.add(callback)


def fingerprint(url: str, wanted: Filter, *, every_change: bool) -> bytes:
    """What tells two callbacks apart under one key. Declare new fields of filters with `added()`."""
    filters = [sorted(wanted.labels.items()), sorted(wanted.model_ids), sorted(wanted.states)]
    plain = [url, *filters, every_change, *added_values(wanted)]
    return hashlib.sha256(canonical_json(plain).encode()).digest()


def _no_delivery(delivery_id: str) -> GatewayError:
    return GatewayError(Failure(Reason.NOT_FOUND, "no such delivery", metadata={"delivery_id": printable(delivery_id)}))


def _quota(message: str, limit: str, retry_after: float | None = None) -> GatewayError:
    return GatewayError(Failure(Reason.QUOTA_EXCEEDED, message, retry_after=retry_after, metadata={"limit": limit}))
