"""The use cases of characters: create, get, list, delete and watch them, and check their use in generations."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from heapq import nlargest

from gateway.characters import errors
from gateway.characters.creator import Creator
from gateway.characters.model import Character, Creation, Order, Removal, plain_id
from gateway.characters.ports import CharacterStore, CharacterUpstream, UpstreamOf
from gateway.characters.registry import Registry
from gateway.characters.watch import CharacterWatches
from gateway.concurrency import OwnedTasks, retrieve_exception, uninterrupted
from gateway.errors import Violation, or_unavailable
from gateway.generations.accounts import Accounts
from gateway.generations.inputs import Input
from gateway.generations.ports import Clock

LIST_CACHE_TTL = 5.0
"""Seconds for which Higgsfield's list is cached, so that it is not read again for each page."""

Place = tuple[float, str]
"""The position of a character in the list: its creation time and its id."""


class Characters:
    """The use cases of characters. The methods raise GatewayError or UnconfirmedError.

    Other tenants' characters are NOT_FOUND.
    """

    def __init__(
        self,
        *,
        store: CharacterStore,
        upstream: UpstreamOf,
        accounts: Accounts,
        clock: Clock,
        registry: Registry,
        first_pause: float,
        longest_pause: float,
    ) -> None:
        self._store = store
        self._upstream = upstream
        self._accounts = accounts
        self._clock = clock
        self._registry = registry
        self._creator = Creator(
            store=store, upstream=upstream, accounts=accounts, clock=clock, registry=registry, changed=self._changed
        )
        self._watches = CharacterWatches(clock, registry, first=first_pause, longest=longest_pause)
        self._listings: dict[str, tuple[asyncio.Task[Sequence[Character]], float]] = {}
        """The newest lists, by the names of their accounts."""
        self._tasks = OwnedTasks()

    async def create(self, tenant: str, order: Order) -> tuple[Character, bool]:
        """Train a character, once per key; return it and whether the key was known. See `Creator.create`."""
        return await self._creator.create(tenant, order)

    async def get(self, tenant: str, given: str) -> Character:
        """Return the current state of a character at Higgsfield. Raises NOT_FOUND or UPSTREAM_UNAVAILABLE."""
        character_id = self._existing(tenant, given)
        character = None
        if not self._registry.is_deleted(character_id):
            character = await self._registry.find(self._upstream_of(tenant, character_id), character_id)
        if character is None:
            raise errors.character_not_found(given)
        return character

    async def page(self, tenant: str, after: Place | None, limit: int) -> tuple[Sequence[Character], int]:
        """Return at most `limit` characters after a position, newest first, and the number of all characters.

        Only those that the tenant can see are returned and counted. The list is at most LIST_CACHE_TTL seconds old.
        """
        visible = [
            character
            for name in self._accounts.pool(tenant)
            for character in await self._listed(name)
            if self._registry.exists_for(tenant, character.id) and not self._registry.is_deleted(character.id)
        ]
        rest = [character for character in visible if after is None or place_of(character) < after]
        return nlargest(limit, rest, key=place_of), len(visible)

    async def delete(self, tenant: str, given: str) -> None:
        """Delete a character. Deleting it again is no error. Raises NOT_FOUND or UPSTREAM_UNAVAILABLE."""
        character_id = self._existing(tenant, given)
        removal = self._registry.removal(character_id)
        if removal is not None and removal.gone:
            return
        if removal is None:
            if not self._registry.created_here(character_id):
                await self.get(tenant, given)  # raises NOT_FOUND; else a repeated call would succeed
            removal = Removal(self._registry.account_of(tenant, character_id), character_id, tenant)
            await self._store_removal(removal)
        removed = await or_unavailable(self._upstream_of(tenant, character_id).remove(character_id))
        if not removed and self._registry.may_not_show_yet(character_id):
            raise errors.not_shown_yet()
        await self._store_removal(Removal(removal.account, character_id, removal.tenant, gone=True))
        self._watches.end_deleted(character_id)

    def watch(self, tenant: str, given: str, check: Callable[[], None]) -> AsyncGenerator[Character | None, None]:
        """Watch a character; see `CharacterWatches.watch`. Raises NOT_FOUND."""
        character_id = self._existing(tenant, given)
        if self._registry.is_deleted(character_id):
            raise errors.character_not_found(given)

        def check_both() -> None:
            check()
            self._existing(tenant, given)  # its account may be the tenant's no longer

        return self._watches.watch(character_id, lambda: self._upstream_of(tenant, character_id), check_both)

    def violations(self, tenant: str, given: Input) -> Sequence[Violation]:
        """Return why an input cannot use its characters; see `Registry.violations`."""
        return self._registry.violations(tenant, given)

    def account_for(self, tenant: str, given: Input) -> str | None:
        """Return the credentials with which an input has to be sent, because it uses a character; None if it does not.

        See `Registry.account_for`.
        """
        return self._registry.account_for(tenant, given)

    @property
    def open_count(self) -> int:
        """The number of creations without an outcome."""
        return len(self._registry.open())

    def unresolved(self) -> Sequence[Creation]:
        """Return the creations of all tenants without an outcome, including those being sent. For operators."""
        return self._registry.open()

    async def resolve(self, tenant: str, key: str, character_id: str | None) -> None:
        """Resolve a creation without an outcome; see `Creator.resolve`. For operators."""
        await self._creator.resolve(tenant, key, character_id)

    def wake_all(self) -> None:
        """Wake every watch, so that it checks whether it may continue."""
        self._watches.wake_all()

    def drain(self) -> None:
        """Refuse new creations, and end all watches so that clients resume them elsewhere."""
        self._creator.draining = self._watches.draining = True
        self._watches.wake_all()

    async def drained(self) -> None:
        """Wait for the creations and the records of removals in progress."""
        await self._creator.drained()
        await self._tasks.drained()

    def _existing(self, tenant: str, given: str) -> str:
        """Return the normalized id of a character that the tenant can see. Raises NOT_FOUND."""
        character_id = plain_id(given)
        if not character_id or not self._registry.exists_for(tenant, character_id):
            raise errors.character_not_found(given)
        return character_id

    def _upstream_of(self, tenant: str, character_id: str) -> CharacterUpstream:
        return self._upstream(self._registry.account_of(tenant, character_id))

    async def _listed(self, name: str) -> Sequence[Character]:
        """Return Higgsfield's list of an account. All calls within LIST_CACHE_TTL seconds share one request."""
        now = self._clock.moment().steady
        known = self._listings.get(name)
        if known is None or now - known[1] >= LIST_CACHE_TTL or _failed(known[0]):
            task = asyncio.create_task(self._read_list(name))
            task.add_done_callback(retrieve_exception)
            known = self._listings[name] = (task, now)
        return await or_unavailable(asyncio.shield(known[0]))

    async def _read_list(self, name: str) -> Sequence[Character]:
        listing = await self._upstream(self._accounts.newest(name)).listing()
        for character in listing.characters:
            self._registry.record_seen(character)
        return listing.characters

    def _changed(self) -> None:
        self._listings.clear()

    @uninterrupted
    async def _store_removal(self, removal: Removal) -> None:
        await self._store.remove(removal)
        self._registry.record_removal(removal)


def place_of(character: Character) -> Place:
    """Return the position of a character in the list."""
    return character.create_time or 0.0, character.id


def _failed(task: "asyncio.Task[Sequence[Character]]") -> bool:
    return task.done() and task.exception() is not None
