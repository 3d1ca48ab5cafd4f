"""Creates characters: sends each order once per idempotency key, and looks up the result if the response is lost.

One order per name is sent at a time, after the characters with that name were stored (`lookup.py` explains why). Orders
run in their own tasks, so a caller's deadline ends only its call.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from weakref import WeakValueDictionary

from gateway.characters import errors
from gateway.characters.lookup import CREATION_TIMEOUT, result_of
from gateway.characters.model import Character, Creation, Order, plain_id, plain_name, same_name
from gateway.characters.ports import (
    CharacterStore,
    CharacterTakenError,
    CharacterUpstream,
    Listing,
    OrderTaken,
    UpstreamOf,
)
from gateway.characters.registry import Registry
from gateway.concurrency import OwnedTasks, uninterrupted
from gateway.errors import (
    Failure,
    GatewayError,
    Reason,
    gateway_overloaded,
    gateway_unavailable,
    invalid_field,
    not_found,
    or_unavailable,
    upstream_unavailable,
)
from gateway.frozen import frozen
from gateway.generations.accounts import Accounts
from gateway.generations.clock import Ids, jittered, sleep
from gateway.generations.ports import Clock, MaybeTaken, NotTaken
from gateway.generations.state import SEND_TIMEOUT
from gateway.generations.store_backoff import until_stored
from gateway.generations.stores import UnconfirmedError, UnknownCommitError

log = logging.getLogger(__name__)

MAX_IN_PROGRESS = 128
"""Orders of a tenant in progress. They continue if their callers leave."""
LOOKUP_PAUSES = (0.0, 0.5, 1.5)
"""Seconds before each lookup after a lost response, while the caller waits. A repeated call looks again."""


@frozen
class _InProgress:
    fingerprint: bytes
    task: "asyncio.Task[Character]"


class Creator:
    """Creates characters. `changed` is called after a change of Higgsfield's list. `draining` refuses new orders."""

    def __init__(
        self,
        *,
        store: CharacterStore,
        upstream: UpstreamOf,
        accounts: Accounts,
        clock: Clock,
        registry: Registry,
        changed: Callable[[], None],
    ) -> None:
        self._store = store
        self._upstream = upstream
        self._accounts = accounts
        self._clock = clock
        self._registry = registry
        self._changed = changed
        self._ids = Ids()
        self._in_progress: dict[tuple[str, str], _InProgress] = {}
        self._tasks = OwnedTasks()
        self._names: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.draining = False

    async def create(self, tenant: str, order: Order) -> tuple[Character, bool]:
        """Create a character, or find the one of a known key; return it and whether the key was known.

        The order must have no violations. Raises IDEMPOTENCY_KEY_REUSED, SUBMISSION_UNRESOLVED, UPSTREAM_UNAVAILABLE,
        GATEWAY_UNAVAILABLE, GATEWAY_OVERLOADED, or a refusal of `errors.PASSED_ON`.
        """
        if self.draining:
            raise gateway_unavailable("the gateway is shutting down")
        fingerprint = order.fingerprint()
        running = self._in_progress.get((tenant, order.key))
        known = self._registry.by_key(tenant, order.key)
        earlier = running or known
        if earlier is not None and earlier.fingerprint != fingerprint:
            raise errors.key_reused()
        if running is None and known is not None and not known.open:
            return await self._current(known), True
        if running is None:
            if sum(owner == tenant for owner, _ in self._in_progress) >= MAX_IN_PROGRESS:
                raise gateway_overloaded("the tenant has too many orders of characters in progress")
            work = self._train(tenant, order, fingerprint) if known is None else self._resume(known)
            running = _InProgress(fingerprint, self._tasks.start(work))
            self._in_progress[tenant, order.key] = running
            running.task.add_done_callback(lambda _: self._in_progress.pop((tenant, order.key)))
            return await asyncio.shield(running.task), known is not None
        return await asyncio.shield(running.task), True

    @uninterrupted
    async def resolve(self, tenant: str, key: str, character_id: str | None) -> None:
        """Resolve an open creation for an operator: bind it to a character, or free its key if that is None.

        Raises NOT_FOUND, INVALID_INPUT, or UPSTREAM_UNAVAILABLE if the character's account is not configured or
        Higgsfield gives no usable response.
        """
        known = self._registry.by_key(tenant, key)
        if known is None:
            raise not_found("no such character")
        wanted = None if character_id is None else plain_id(character_id)
        if wanted == "":
            raise invalid_field("character_id", "is not the id of a character")
        async with self._name_lock(known.name):  # wait until calls with this name have ended
            creation = self._registry.by_key(tenant, key)
            if creation is None or not creation.open:
                raise invalid_field("idempotency_key", "belongs to a character whose outcome is known")
            if wanted is None:
                await self._until_stored(lambda: self._store.free(creation.id))
                self._registry.free(creation)
                return
            character = await or_unavailable(self._upstream(creation.account).find(wanted))
            if character is None or not same_name(character.name, creation.name):
                raise invalid_field("character_id", "is unknown to Higgsfield, or has another name")
            if character.id in self._registry.taken or character.id in creation.known:
                raise invalid_field("character_id", "belongs to another order, or existed before the order")
            await self._bind(creation, character)

    async def drained(self) -> None:
        """Wait until all orders have ended and their outcomes are stored."""
        await self._tasks.drained()

    async def _current(self, creation: Creation) -> Character:
        """Return the current state of a creation's character."""
        character_id, character = creation.character_id, None
        if not self._registry.is_deleted(character_id):
            upstream = self._upstream(creation.account)
            character = await self._registry.find(upstream, character_id, Reason.UPSTREAM_CREDENTIALS_REFUSED)
        if character is None:
            raise errors.key_reused(deleted=character_id)
        return character

    async def _train(self, tenant: str, order: Order, fingerprint: bytes) -> Character:
        """Store a creation, then send its order."""
        async with self._name_lock(order.name):
            account = self._accounts.first(tenant)  # only now, because the wait may have been long
            upstream = self._upstream(account)
            listing = await or_unavailable(upstream.listing(), Reason.UPSTREAM_CREDENTIALS_REFUSED)
            await self._resolve_others(order.name, account, listing)
            if self.draining:
                raise gateway_unavailable("the gateway is shutting down; nothing was sent")
            now = self._clock.moment()
            if any(
                self._may_still_appear(creation, now.steady) for creation in self._registry.by_name(order.name, account)
            ):
                raise errors.name_not_free()
            creation = Creation(
                id=self._ids.next(now.wall),
                tenant=tenant,
                key=order.key,
                fingerprint=fingerprint,
                account=account,
                name=order.name,
                version=order.version,
                known=frozenset(
                    character.id for character in listing.characters if same_name(character.name, order.name)
                ),
                sent_date=now.wall if listing.date is None else listing.date,
                sent_at=now.steady,
            )
            await self._claim(creation)
            return await self._send(creation, order, upstream)

    async def _claim(self, creation: Creation) -> None:
        try:
            await self._store.claim(creation)
        except UnconfirmedError as error:
            if isinstance(error, UnknownCommitError):
                # The creation may be stored. Delete it, because its order is not sent.
                self._tasks.start(self._until_stored(lambda: self._store.free(creation.id)))
            raise gateway_unavailable("the store is not available; nothing was sent") from error
        self._registry.add(creation)

    async def _send(self, creation: Creation, order: Order, upstream: CharacterUpstream) -> Character:
        send_by = creation.sent_at + SEND_TIMEOUT
        outcome: OrderTaken | NotTaken | MaybeTaken
        try:
            outcome = await upstream.train(order, lambda: self._clock.moment().steady < send_by)
        except Exception:
            # A bug may have hidden the response, so the outcome counts as unknown.
            log.exception("creating a character failed because of a bug", extra=_log_fields(creation))
            outcome = MaybeTaken(Failure(Reason.SUBMISSION_UNRESOLVED, "no response"), is_complete=False)
        match outcome:
            case OrderTaken(character):
                return await self._bind(creation, character)
            case NotTaken(failure):
                await self._until_stored(lambda: self._store.free(creation.id))
                self._registry.free(creation)
                raise errors.not_trained(failure)
            case MaybeTaken(failure):
                log.warning("outcome of creating a character unknown; looking it up", extra=_log_fields(creation))
                return await self._look_up(creation, failure.response)

    async def _resume(self, creation: Creation) -> Character:
        """Look up the result of an open creation again."""
        if self._accounts.name_of(creation.account) is None:
            raise upstream_unavailable("the character belongs to a Higgsfield account that is not configured")
        async with self._name_lock(creation.name):
            current = self._registry.by_key(creation.tenant, creation.key)
            if current is None:
                raise gateway_unavailable("an operator has freed the idempotency_key; nothing was sent")
            if not current.open:
                return await self._current(current)  # resolved by another call with the name
            return await self._look_up(creation)

    async def _look_up(self, creation: Creation, response: Any = None) -> Character:
        for pause in LOOKUP_PAUSES:
            if pause:
                await sleep(self._clock, jittered(pause))
            try:
                listing = await self._upstream(creation.account).listing()
            except GatewayError:
                continue
            character = self._result_of(creation, listing)
            if character is not None:
                return await self._bind(creation, character)
        raise errors.unresolved(response)

    async def _resolve_others(self, name: str, account: str, listing: Listing) -> None:
        """Bind an account's open creations with a name to their characters in a list. Their calls must have ended."""
        for creation in list(self._registry.by_name(name, account)):
            character = self._result_of(creation, listing) if creation.open else None
            if character is not None:
                await self._bind(creation, character)

    def _result_of(self, creation: Creation, listing: Listing) -> Character | None:
        # Compare steady times, not ids: ids follow the wall clock, which may have been set back between two processes.
        others = self._registry.by_name(creation.name, creation.account)
        later = [other for other in others if other.sent_at > creation.sent_at]
        return result_of(creation, listing, self._registry.taken, later)

    async def _bind(self, creation: Creation, character: Character) -> Character:
        try:
            await self._until_stored(lambda: self._store.bind(creation.id, character.id))
        except CharacterTakenError:
            fields = _log_fields(creation) | {"character_id": character.id}
            log.critical("Higgsfield returned a character that belongs to another creation", extra=fields)
            raise errors.unresolved() from None
        self._registry.bind(creation, character)
        self._changed()
        return character

    def _may_still_appear(self, creation: Creation, now: float) -> bool:
        """Return whether the character of an open creation may still appear and be confused with another one."""
        return creation.open and (now - creation.sent_at < CREATION_TIMEOUT or not self._clock.agrees())

    def _name_lock(self, name: str) -> asyncio.Lock:
        return self._names.setdefault(plain_name(name), asyncio.Lock())

    async def _until_stored(self, write: Callable[[], Awaitable[None]]) -> None:
        await until_stored(self._clock, "the outcome of a creation", write)


def _log_fields(creation: Creation) -> dict[str, str]:
    return {"creation_id": creation.id}
