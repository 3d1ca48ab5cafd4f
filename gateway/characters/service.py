"""The use cases: create, get, list, delete, watch; and what a generation may use."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

from gateway.characters import errors
from gateway.characters.creator import Creator
from gateway.characters.model import Character, Creation, Order, Removal, plain_id
from gateway.characters.ports import CharacterStore, CharacterUpstream
from gateway.characters.registry import Registry
from gateway.characters.watch import CharacterWatches
from gateway.errors import Violation, gateway_unavailable
from gateway.generations.inputs import Input
from gateway.generations.ports import Clock, StoreError

LISTED_FOR = 5.0
"""Seconds for which Higgsfield's list serves: whoever pages through it does not have it read again for each page."""

Place = tuple[float, str]
"""Where a character stands in the list: when it was made, and its id."""


class Characters:
    """All that can be done with characters. Raises GatewayError."""

    def __init__(
        self,
        *,
        store: CharacterStore,
        upstream: CharacterUpstream,
        clock: Clock,
        registry: Registry,
        first_pause: float,
        longest_pause: float,
    ) -> None:
        self._store = store
        self._upstream = upstream
        self._clock = clock
        self._registry = registry
        self._creator = Creator(store=store, upstream=upstream, clock=clock, registry=registry, changed=self._changed)
        self._watches = CharacterWatches(upstream, clock, registry, first=first_pause, longest=longest_pause)
        self._listing: tuple[asyncio.Task[Sequence[Character]], float] | None = None

    async def create(self, tenant: str, order: Order) -> tuple[Character, bool]:
        """Have it trained, once for its key; the second part says that the key was known."""
        return await self._creator.create(tenant, order)

    async def get(self, tenant: str, given: str) -> Character:
        """The character as Higgsfield shows it now."""
        character_id = self._existing(tenant, given)
        gone = self._registry.gone(character_id)
        character = None if gone else await errors.asked(self._upstream.find(character_id))
        if character is None and not gone and self._registry.may_not_show_yet(character_id):
            raise errors.not_shown_yet()
        if character is None:
            self._registry.missed(character_id)
            raise errors.character_not_found(given)
        self._registry.saw(character)
        return character

    async def page(self, tenant: str, after: Place | None, limit: int) -> tuple[Sequence[Character], Place | None]:
        """Newest first, at most `limit` behind that place; and the place to go on from. At most 5 s old."""
        listed = await self._listed()
        own = (one for one in listed if self._registry.exists_for(tenant, one.id) and not self._registry.gone(one.id))
        ordered = sorted(own, key=_place, reverse=True)
        found = [one for one in ordered if after is None or _place(one) < after]
        page = found[:limit]
        return page, _place(page[-1]) if len(found) > limit else None

    async def delete(self, tenant: str, given: str) -> None:
        """Have it deleted; again is no error."""
        character_id = self._existing(tenant, given)
        wish = self._registry.removal(character_id)
        if wish is not None and wish.gone:
            return
        if wish is None:
            if not self._registry.made_here(character_id):
                await self.get(tenant, given)  # a wish for what never was would make its repetition look fulfilled
            wish = Removal(self._upstream.account, character_id, tenant)
            await self._removing(wish)
        await errors.asked(self._upstream.remove(character_id))
        await self._removing(Removal(wish.account, character_id, wish.tenant, gone=True))
        self._changed()
        self._watches.deleted(character_id)

    def watch(self, tenant: str, given: str, check: Callable[[], None]) -> AsyncGenerator[Character | None, None]:
        """See `CharacterWatches.watch`."""
        character_id = self._existing(tenant, given)
        if self._registry.gone(character_id):
            raise errors.character_not_found(given)
        return self._watches.watch(character_id, check)

    def violations(self, tenant: str, given: Input) -> Sequence[Violation]:
        """Why a generation cannot be made with the character that it names, as far as that is known without asking."""
        return self._registry.violations(tenant, given)

    @property
    def open_count(self) -> int:
        """Creations of which it is not known what came of them."""
        return self._registry.open_count

    def unresolved(self) -> Sequence[Creation]:
        """The creations of all tenants without an outcome, those on their way included."""
        return self._registry.open()

    async def resolve(self, tenant: str, key: str, character_id: str | None) -> None:
        """Say what came of one: this character, or nothing (None). For operators."""
        await self._creator.resolve(tenant, key, character_id)

    def wake_all(self) -> None:
        """Have every watch look whether it may go on."""
        self._watches.wake_all()

    def drain(self) -> None:
        """No new creations; watches end and may be opened elsewhere."""
        self._creator.draining = self._watches.draining = True
        self._watches.wake_all()

    async def drained(self) -> None:
        """Wait for the creations that are on their way."""
        await self._creator.drained()
        if self._listing is not None:
            await asyncio.wait([self._listing[0]])

    def _existing(self, tenant: str, given: str) -> str:
        """The id, if it may exist for the tenant."""
        character_id = plain_id(given)
        if not character_id or not self._registry.exists_for(tenant, character_id):
            raise errors.character_not_found(given)
        return character_id

    async def _listed(self) -> Sequence[Character]:
        """Higgsfield's list: read once, for all that ask within a few seconds."""
        now = self._clock.moment().steady
        if self._listing is None or now - self._listing[1] >= LISTED_FOR or _failed(self._listing[0]):
            task = asyncio.create_task(self._read_list())
            task.add_done_callback(lambda task: task.cancelled() or task.exception())  # nobody may have waited
            self._listing = (task, now)
        return await errors.asked(asyncio.shield(self._listing[0]))

    async def _read_list(self) -> Sequence[Character]:
        listing = await self._upstream.listing()
        for character in listing.characters:
            self._registry.saw(character)
        return listing.characters

    def _changed(self) -> None:
        """The list has become another one."""
        self._listing = None

    async def _removing(self, removal: Removal) -> None:
        try:
            await self._store.remove(removal)
        except StoreError as error:
            raise gateway_unavailable("the store is not available") from error
        self._registry.removing(removal)


def _place(character: Character) -> Place:
    return character.create_time or 0.0, character.id


def _failed(task: "asyncio.Task[Sequence[Character]]") -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
