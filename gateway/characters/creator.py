"""Creator characters: sent once for a key, whatever happens; what came of a lost answer is looked up, never guessed.

One creation at a time goes to Higgsfield under a name, with the list of that name's characters written down before it
(`lookup.py` says what for). Sendings run in tasks of their own: a caller's deadline ends its call only.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

from gateway.characters import errors
from gateway.characters.lookup import WINDOW, came_of
from gateway.characters.model import Character, Creation, Order, plain_id, plain_name, same_name
from gateway.characters.ports import CharacterStore, CharacterTakenError, CharacterUpstream, Listing, Trained
from gateway.characters.registry import Registry
from gateway.errors import Failure, GatewayError, Reason, gateway_unavailable, invalid_field, upstream_unavailable
from gateway.generations.clock import Ids, jittered, rest
from gateway.generations.ports import Clock, NoAnswer, NotTaken, StoreError
from gateway.generations.store_backoff import until_stored
from gateway.generations.tasks import OwnedTasks

log = logging.getLogger(__name__)

SEND_WITHIN = 10.0
"""Seconds from the record to the first byte; what comes later is not sent."""
LOOKS = (0.0, 0.5, 1.5)
"""Seconds before each look for what came of a lost answer, while a caller waits; a repeated call looks again."""


@dataclass(frozen=True, slots=True)
class _Work:
    fingerprint: bytes
    task: "asyncio.Task[Character]"


class Creator:
    """Creates. `draining` refuses new work; `changed` is called when Higgsfield's list has become another."""

    def __init__(
        self,
        *,
        store: CharacterStore,
        upstream: CharacterUpstream,
        clock: Clock,
        registry: Registry,
        changed: Callable[[], None],
    ) -> None:
        self._store = store
        self._upstream = upstream
        self._clock = clock
        self._registry = registry
        self._changed = changed
        self._ids = Ids()
        self._under_way: dict[tuple[str, str], _Work] = {}
        self._tasks = OwnedTasks()
        self._names: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.draining = False

    async def create(self, tenant: str, order: Order) -> tuple[Character, bool]:
        """The character, and whether its key was known. The order has no violations. Raises GatewayError."""
        if self.draining:
            raise gateway_unavailable("the gateway is shutting down")
        fingerprint = order.fingerprint()
        work = self._under_way.get((tenant, order.key))
        known = self._registry.by_key(tenant, order.key)
        before = work or known
        if before is not None and before.fingerprint != fingerprint:
            raise errors.key_reused()
        if work is None and known is not None and not known.open:
            return await self._present(known), True
        if work is None:
            doing = self._train(tenant, order, fingerprint) if known is None else self._find_out(known)
            work = _Work(fingerprint, self._tasks.start(doing))
            self._under_way[tenant, order.key] = work
            work.task.add_done_callback(lambda _: self._under_way.pop((tenant, order.key)))
            return await asyncio.shield(work.task), known is not None
        return await asyncio.shield(work.task), True

    async def resolve(self, tenant: str, key: str, character_id: str | None) -> None:
        """Bind a creation without an outcome to this character, or with None free its key, as an operator says."""
        await self._tasks.finish(self._resolve(tenant, key, character_id))

    async def _resolve(self, tenant: str, key: str, character_id: str | None) -> None:
        known = self._registry.by_key(tenant, key)
        if known is None:
            raise GatewayError(Failure(Reason.NOT_FOUND, "no such character"))
        self._require_account(known)
        async with self._name(known.name):  # who sends or looks under this name is done by then
            creation = self._registry.by_key(tenant, key)
            if creation is None or not creation.open:
                raise invalid_field("idempotency_key", "stands for a character whose outcome is known")
            if character_id is None:
                await self._stored(lambda: self._store.free(creation.id))
                self._registry.freed(creation)
                return
            character = await errors.asked(self._upstream.find(plain_id(character_id)))
            if character is None or not same_name(character.name, creation.name):
                raise invalid_field("character_id", "is unknown to Higgsfield, or has another name")
            if character.id in self._registry.taken or character.id in creation.known:
                raise invalid_field("character_id", "belongs to another order, or was there before")
            await self._bind(creation, character)

    async def drained(self) -> None:
        """Wait until nothing is on its way any more, and every outcome is stored."""
        await self._tasks.drained()

    async def _present(self, creation: Creation) -> Character:
        """The character of a creation as it is now."""
        self._require_account(creation)
        character_id = creation.character_id
        if self._registry.gone(character_id):
            raise errors.key_reused(deleted=character_id)
        character = await errors.asked(self._upstream.find(character_id), Reason.UPSTREAM_CREDENTIALS_REFUSED)
        if character is None and self._registry.may_not_show_yet(character_id):
            raise errors.not_shown_yet()
        if character is None:
            raise errors.key_reused(deleted=character_id)
        self._registry.saw(character)
        return character

    async def _train(self, tenant: str, order: Order, fingerprint: bytes) -> Character:
        """Write down, then send."""
        async with self._name(order.name):
            listing = await errors.asked(self._upstream.listing(), Reason.UPSTREAM_CREDENTIALS_REFUSED)
            await self._settle_others(order.name, listing)
            if self.draining:
                raise gateway_unavailable("the gateway is shutting down: nothing was sent")
            now = self._clock.moment()
            if any(self._may_still_come(one, now.steady) for one in self._registry.under_name(order.name)):
                raise errors.name_not_free()
            creation = Creation(
                id=self._ids.next(now.wall),
                tenant=tenant,
                key=order.key,
                fingerprint=fingerprint,
                account=self._upstream.account,
                name=order.name,
                version=order.version,
                known=frozenset(one.id for one in listing.characters if same_name(one.name, order.name)),
                sent_date=now.wall if listing.date is None else listing.date,
                sent_at=now.steady,
            )
            await self._claim(creation)
            return await self._send(creation, order)

    async def _claim(self, creation: Creation) -> None:
        try:
            await self._store.claim(creation)
        except StoreError as error:
            # It may be stored all the same, and must not look as if it had been sent.
            self._tasks.start(self._stored(lambda: self._store.free(creation.id)))
            raise gateway_unavailable("the store cannot be written: nothing was sent") from error
        self._registry.add(creation)

    async def _send(self, creation: Creation, order: Order) -> Character:
        send_by = creation.sent_at + SEND_WITHIN
        outcome: Trained | NotTaken | NoAnswer
        try:
            outcome = await self._upstream.train(order, lambda: self._clock.moment().steady < send_by)
        except Exception:
            # A defect of ours between the first byte and the answer: what is not known is not guessed.
            log.exception("a character could not be created by a defect", extra=_named(creation))
            outcome = NoAnswer(Failure(Reason.SUBMISSION_UNRESOLVED, "no answer"), whole=False)
        match outcome:
            case Trained(character):
                return await self._bind(creation, character)
            case NotTaken(failure):
                await self._stored(lambda: self._store.free(creation.id))
                self._registry.freed(creation)
                raise errors.not_trained(replace(failure, retry_after=failure.retry_after or outcome.pause))
            case NoAnswer():
                log.warning("no usable answer to the creation of a character; looking it up", extra=_named(creation))
                return await self._look(creation)

    async def _find_out(self, creation: Creation) -> Character:
        """Look again for what came of an open creation."""
        self._require_account(creation)
        async with self._name(creation.name):
            now = self._registry.by_key(creation.tenant, creation.key)
            if now is not None and not now.open:
                return await self._present(now)  # another one of its name has found it meanwhile
            return await self._look(creation)

    async def _look(self, creation: Creation) -> Character:
        for pause in LOOKS:
            await self._rest(pause)
            try:
                listing = await self._upstream.listing()
            except GatewayError:
                continue
            found = self._came_of(creation, listing)
            if found is not None:
                return await self._bind(creation, found)
            if self.draining:
                break
        raise errors.unresolved()

    async def _settle_others(self, name: str, listing: Listing) -> None:
        """What came of open creations under the name, where this list tells it: their calls have ended all."""
        for creation in list(self._registry.under_name(name)):
            found = self._came_of(creation, listing) if creation.open else None
            if found is not None:
                await self._bind(creation, found)

    def _came_of(self, creation: Creation, listing: Listing) -> Character | None:
        # By the steady clock: ids follow the wall's, which may have been set back between two processes.
        later = [one for one in self._registry.under_name(creation.name) if one.sent_at > creation.sent_at]
        return came_of(creation, listing, self._registry.taken, later)

    async def _bind(self, creation: Creation, character: Character) -> Character:
        try:
            await self._stored(lambda: self._store.bind(creation.id, character.id))
        except CharacterTakenError:
            named = _named(creation) | {"character_id": character.id}
            log.critical("Higgsfield answered with a character that another creation has", extra=named)
            raise errors.unresolved() from None
        self._registry.bound(creation, character)
        self._changed()
        return character

    def _may_still_come(self, creation: Creation, now: float) -> bool:
        """Whether something may yet come of an open creation that another of its name could be taken for."""
        return creation.open and (now - creation.sent_at < WINDOW or not self._clock.agrees())

    def _require_account(self, creation: Creation) -> None:
        if creation.account != self._upstream.account:
            raise upstream_unavailable("the character belongs to a Higgsfield account that is not in use now")

    def _name(self, name: str) -> asyncio.Lock:
        return self._names.setdefault(plain_name(name), asyncio.Lock())

    async def _stored(self, write: Callable[[], Awaitable[None]]) -> None:
        """Store it, as often as it takes: what Higgsfield has said must not be forgotten."""
        await until_stored(self._clock, "the outcome of a creation", write)

    async def _rest(self, seconds: float) -> None:
        if seconds:
            await rest(self._clock, jittered(seconds))


def _named(creation: Creation) -> dict[str, str]:
    return {"creation_id": creation.id}
