"""Holds in memory what is known of characters: their tenants, versions, and the states last seen at Higgsfield.

Creations and removals are up to date, because only the process that writes the store makes them. States may be
outdated.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from gateway.characters import errors
from gateway.characters.model import Character, CharacterState, Creation, Removal, plain_id, same_name
from gateway.characters.ports import CharacterUpstream
from gateway.errors import Reason, Violation, or_unavailable
from gateway.generations.accounts import Accounts
from gateway.generations.inputs import Input, ModelInput, SoulInput, SoulVersion
from gateway.generations.ports import Clock

TRAINING_STATE_TTL = 15.0
"""Seconds for which a state "in training" is taken as current; training takes minutes."""
MAX_VISIBILITY_DELAY = 15.0
"""Seconds after an order during which Higgsfield may return 404 for its character; an assumption."""
NO_SUCH = "no such character"
ID_LENGTHS = range(32, 46)
"""The lengths of a UUID in any of its forms: 32 digits, up to `urn:uuid:` with hyphens."""
CHARACTER_PARAMETER = ".custom_reference_id"
"""The end of the path of the parameter in which models take a character."""
VERSIONS = {SoulVersion.V1: "Soul 1", SoulVersion.V2: "Soul 2", SoulVersion.CINEMA: "Soul Cinema"}


class Registry:
    """The characters of all accounts.

    `shared`: all characters of the account may be used, also those that were not created through this gateway. It is
    set if API keys are not required, so that there is one tenant.
    """

    def __init__(
        self,
        accounts: Accounts,
        clock: Clock,
        creations: Iterable[Creation],
        removals: Iterable[Removal],
        *,
        shared: bool,
    ) -> None:
        self._accounts = accounts
        self._clock = clock
        self._shared = shared
        self._creations: dict[str, Creation] = {}
        self._by_key: dict[tuple[str, str], str] = {}
        self._by_character: dict[str, str] = {}
        self._removals: dict[str, Removal] = {}
        self._seen: dict[str, tuple[Character, float]] = {}
        for creation in creations:
            self.add(creation)
        for removal in removals:
            self.record_removal(removal)

    # -- Creations --

    def add(self, creation: Creation) -> None:
        """Add a stored creation."""
        self._creations[creation.id] = creation
        self._by_key[creation.tenant, creation.key] = creation.id
        if creation.character_id:
            self._by_character[creation.character_id] = creation.id

    def bind(self, creation: Creation, character: Character) -> None:
        """Record the character of a creation, after it was stored."""
        self.add(replace(creation, character_id=character.id))
        self.record_seen(character)

    def free(self, creation: Creation) -> None:
        """Remove a creation, after it was deleted from the store."""
        del self._creations[creation.id]
        del self._by_key[creation.tenant, creation.key]

    def by_key(self, tenant: str, key: str) -> Creation | None:
        """Return the creation of an idempotency key."""
        creation_id = self._by_key.get((tenant, key))
        return None if creation_id is None else self._creations[creation_id]

    def by_name(self, name: str, account: str) -> Iterator[Creation]:
        """Return an account's creations with a name, oldest first."""
        return (
            creation
            for creation in self._creations.values()
            if same_name(creation.name, name) and self._accounts.same(creation.account, account)
        )

    @property
    def taken(self) -> frozenset[str]:
        """The ids of the characters that belong to creations."""
        return frozenset(self._by_character)

    def open(self) -> list[Creation]:
        """Return the creations without an outcome, oldest first, including those being sent."""
        return [creation for creation in self._creations.values() if creation.open]

    # -- Characters --

    def exists_for(self, tenant: str, character_id: str) -> bool:
        """Return whether a character is visible to a tenant.

        Those of other tenants are not, and those in an account that the tenant does not use any more.
        """
        creation = self._creation_of(character_id)
        if creation is None:
            return self._shared
        return creation.tenant == tenant and self._accounts.uses(tenant, creation.account)

    def account_of(self, tenant: str, character_id: str) -> str:
        """Return the newest credentials of a character's account; of one from elsewhere, of the tenant's first one."""
        creation = self._creation_of(character_id)
        current = None if creation is None else self._accounts.current(creation.account)
        return current or self._accounts.first(tenant)

    def account_for(self, tenant: str, given: Input) -> str | None:
        """Return the newest credentials of the account whose character an input uses; None if it uses none."""
        named: Iterable[str] = ()
        if isinstance(given, SoulInput):
            named = (given.character_id,) if given.character_id else ()
        elif isinstance(given, ModelInput):
            named = (
                text
                for at, text in _ids(given.parameters, "")
                if at.endswith(CHARACTER_PARAMETER) or plain_id(text) in self._by_character
            )
        used = next(iter(named), None)
        return None if used is None else self.account_of(tenant, plain_id(used))

    def created_here(self, character_id: str) -> bool:
        """Return whether a character was created through this gateway."""
        return self._creation_of(character_id) is not None

    def removal(self, character_id: str) -> Removal | None:
        """Return the removal of a character, if one was requested."""
        return self._removals.get(character_id)

    def record_removal(self, removal: Removal) -> None:
        """Record a removal, requested or confirmed, after it was stored. A request does not undo a confirmed one."""
        if not self.is_deleted(removal.character_id):
            self._removals[removal.character_id] = removal
        if removal.gone:
            self._seen.pop(removal.character_id, None)

    def record_seen(self, character: Character) -> None:
        """Record a character that Higgsfield has just reported, unless the report is older than the end of training."""
        known = self._seen.get(character.id)
        if known is None or character.done or not known[0].done:
            self._seen[character.id] = (character, self._clock.moment().steady)

    async def find(self, upstream: CharacterUpstream, character_id: str, *passed: Reason) -> Character | None:
        """Return a character as Higgsfield reports it now, and record it; None if Higgsfield does not know it.

        Raises UPSTREAM_UNAVAILABLE, also for a 404 that is not conclusive yet. Errors with the reasons `passed` are
        raised as they are.
        """
        character = await or_unavailable(upstream.find(character_id), *passed)
        if character is not None:
            self.record_seen(character)
        elif self.may_not_show_yet(character_id):
            raise errors.not_shown_yet()
        else:
            self._seen.pop(character_id, None)
        return character

    def may_not_show_yet(self, character_id: str) -> bool:
        """Return whether a character was created moments ago, so that a 404 is not conclusive yet."""
        creation = self._creation_of(character_id)
        return creation is not None and self._clock.moment().steady - creation.sent_at < MAX_VISIBILITY_DELAY

    def is_deleted(self, character_id: str) -> bool:
        """Return whether a character was deleted through this gateway."""
        removal = self._removals.get(character_id)
        return removal is not None and removal.gone

    # -- Use --

    def violations(self, tenant: str, given: Input) -> list[Violation]:
        """Return why an input cannot use its characters, as far as that is known without a request to Higgsfield."""
        version: SoulVersion | None = None
        if isinstance(given, SoulInput):
            named, version = [("input.soul.character_id", given.character_id)], given.version
        elif isinstance(given, ModelInput):
            ids = list(_ids(given.parameters, "input.model.parameters"))
            if foreign := [at for at, text in ids if self._is_foreign(tenant, text)]:
                return [Violation(at, NO_SUCH) for at in foreign]
            named = [(at, text) for at, text in ids if at.endswith(CHARACTER_PARAMETER)]
        else:
            return []
        reasons = ((at, self._refusal(tenant, plain_id(name) or name, version)) for at, name in named if name)
        return [Violation(at, reason) for at, reason in reasons if reason]

    def _is_foreign(self, tenant: str, text: str) -> bool:
        """Return whether a text is the id of a character that the tenant may not use.

        It is checked in every parameter, because endpoints may take a character in one that is not documented.
        """
        character_id = plain_id(text)
        return character_id in self._by_character and not self.exists_for(tenant, character_id)

    def _refusal(self, tenant: str, character_id: str, version: SoulVersion | None) -> str:
        if not self.exists_for(tenant, character_id):
            return NO_SUCH
        if self.is_deleted(character_id):
            return "the character was deleted"
        trained = self._trained_for(character_id)
        if version is not None and trained is not None and trained is not version:
            return f"the character was trained for {VERSIONS[trained]}, not for {VERSIONS[version]}"
        return self._training_refusal(character_id)

    def _training_refusal(self, character_id: str) -> str:
        if character_id not in self._seen:
            return ""
        character, at = self._seen[character_id]
        if character.state is CharacterState.FAILED:
            return "the character's training has failed"
        in_training = not character.done and character.state is not CharacterState.UNSPECIFIED
        is_current = self._clock.moment().steady - at < TRAINING_STATE_TTL
        return "the character's training has not ended yet" if in_training and is_current else ""

    def _trained_for(self, character_id: str) -> SoulVersion | None:
        if (creation := self._creation_of(character_id)) is not None:
            return creation.version
        return self._seen[character_id][0].version if character_id in self._seen else None

    def _creation_of(self, character_id: str) -> Creation | None:
        """Return the creation of a character, if its account is known."""
        found = self._by_character.get(character_id)
        creation = None if found is None else self._creations[found]
        return None if creation is None or self._accounts.name_of(creation.account) is None else creation


def _ids(values: Mapping[str, Any] | list[Any], at: str) -> Iterator[tuple[str, str]]:
    """Yield the path and value of each text in parameters that may be an id of a character, at any depth."""
    for name, value in values.items() if isinstance(values, Mapping) else enumerate(values):
        inner = f"{at}[{name}]" if isinstance(name, int) else f"{at}.{name}"
        if isinstance(value, (dict, list)):
            yield from _ids(value, inner)
        elif isinstance(value, str) and (len(value) in ID_LENGTHS or inner.endswith(CHARACTER_PARAMETER)):
            yield inner, value
