"""What this gateway knows of characters without asking: whose they are, for what version, and how they were last seen.

One process has the store to itself, so what is in memory is right about creations and removals. What was seen of
Higgsfield's side is as old as it says.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from gateway.characters.model import Character, CharacterState, Creation, Removal, plain_id, same_name
from gateway.errors import Violation
from gateway.generations.inputs import Input, ModelInput, SoulInput, SoulVersion
from gateway.generations.ports import Clock

BELIEVED = 15.0
"""Seconds for which it is believed that training has not ended yet: it takes minutes."""
SHOWN_AFTER = 15.0
"""Seconds after an order in which Higgsfield may not know everywhere what it has just taken (upstream.md 6.1)."""
NO_SUCH = "no such character"
VERSIONS = {SoulVersion.V1: "Soul 1", SoulVersion.V2: "Soul 2", SoulVersion.CINEMA: "Soul Cinema"}


class Registry:
    """`everybodys`: there is one tenant, who may also use characters of the account that were made elsewhere."""

    def __init__(
        self,
        account: str,
        clock: Clock,
        creations: Iterable[Creation],
        removals: Iterable[Removal],
        *,
        everybodys: bool,
    ) -> None:
        self._account = account
        self._clock = clock
        self._everybodys = everybodys
        self._creations: dict[str, Creation] = {}
        self._by_key: dict[tuple[str, str], str] = {}
        self._by_character: dict[str, str] = {}
        self._removals: dict[str, Removal] = {}
        self._seen: dict[str, tuple[Character, float]] = {}
        for creation in creations:
            self.add(creation)
        for removal in removals:
            self.removing(removal)

    # -- Creations --

    def add(self, creation: Creation) -> None:
        """It is stored."""
        self._creations[creation.id] = creation
        self._by_key[creation.tenant, creation.key] = creation.id
        if creation.character_id and creation.account == self._account:
            self._by_character[creation.character_id] = creation.id

    def bound(self, creation: Creation, character: Character) -> None:
        """It is stored that this came of it."""
        self.add(replace(creation, character_id=character.id))
        self.saw(character)

    def freed(self, creation: Creation) -> None:
        """It is stored no more."""
        del self._creations[creation.id]
        del self._by_key[creation.tenant, creation.key]

    def by_key(self, tenant: str, key: str) -> Creation | None:
        """What the key stands for."""
        found = self._by_key.get((tenant, key))
        return None if found is None else self._creations[found]

    def under_name(self, name: str) -> Iterator[Creation]:
        """The account's creations of that name, oldest first."""
        return (one for one in self._creations.values() if one.account == self._account and same_name(one.name, name))

    @property
    def taken(self) -> frozenset[str]:
        """The characters that belong to creations."""
        return frozenset(self._by_character)

    @property
    def open_count(self) -> int:
        """Creations of which it is not known what came of them, those on their way included."""
        return sum(creation.open for creation in self._creations.values())

    def open(self) -> list[Creation]:
        """Those creations, oldest first."""
        return [creation for creation in self._creations.values() if creation.open]

    # -- Characters --

    def exists_for(self, tenant: str, character_id: str) -> bool:
        """Whether a character may exist for the tenant; for nobody else's it is as one that never was."""
        owner = self._owner(character_id)
        return self._everybodys if owner is None else owner == tenant

    def made_here(self, character_id: str) -> bool:
        """Whether it came of a creation of ours."""
        return character_id in self._by_character

    def removal(self, character_id: str) -> Removal | None:
        """The wish to have it deleted, if there was one."""
        return self._removals.get(character_id)

    def removing(self, removal: Removal) -> None:
        """The wish, or its fulfilment, is stored."""
        if removal.account == self._account:
            self._removals[removal.character_id] = removal
            if removal.gone:
                self._seen.pop(removal.character_id, None)

    def saw(self, character: Character) -> None:
        """Higgsfield has shown it now."""
        self._seen[character.id] = (character, self._clock.moment().steady)

    def missed(self, character_id: str) -> None:
        """Higgsfield does not know it any more."""
        self._seen.pop(character_id, None)

    def may_not_show_yet(self, character_id: str) -> bool:
        """Whether it was ordered moments ago, so that its being unknown to Higgsfield says nothing."""
        creation = self._by_character.get(character_id)
        return creation is not None and self._clock.moment().steady - self._creations[creation].sent_at < SHOWN_AFTER

    def gone(self, character_id: str) -> bool:
        """Whether it was deleted through this gateway."""
        removal = self._removals.get(character_id)
        return removal is not None and removal.gone

    # -- Use --

    def violations(self, tenant: str, given: Input) -> list[Violation]:
        """Why a generation cannot be made with the character that it names; empty where it may."""
        version: SoulVersion | None = None
        if isinstance(given, SoulInput):
            named, version = [("input.soul.character_id", given.character_id)], given.version
        elif isinstance(given, ModelInput):
            named = list(_characters_in(given.parameters, "input.model.parameters"))
        else:
            return []
        told = ((at, self._why_not(tenant, plain_id(name) or name, version)) for at, name in named if name)
        return [Violation(at, why) for at, why in told if why]

    def _why_not(self, tenant: str, character_id: str, version: SoulVersion | None) -> str:
        if not self.exists_for(tenant, character_id):
            return NO_SUCH
        if self.gone(character_id):
            return "the character was deleted"
        trained = self._trained_for(character_id)
        if version is not None and trained is not None and trained is not version:
            return f"the character was trained for {VERSIONS[trained]}, not for {VERSIONS[version]}"
        return self._unready(character_id)

    def _unready(self, character_id: str) -> str:
        if character_id not in self._seen:
            return ""
        character, at = self._seen[character_id]
        if character.state is CharacterState.FAILED:
            return "the character's training has failed"
        in_training = not character.done and character.state is not CharacterState.UNSPECIFIED
        believed = self._clock.moment().steady - at < BELIEVED
        return "the character's training has not ended yet" if in_training and believed else ""

    def _trained_for(self, character_id: str) -> SoulVersion | None:
        if character_id in self._by_character:
            return self._creations[self._by_character[character_id]].version
        return self._seen[character_id][0].version if character_id in self._seen else None

    def _owner(self, character_id: str) -> str | None:
        creation = self._by_character.get(character_id)
        return None if creation is None else self._creations[creation].tenant


def _characters_in(value: Any, at: str) -> Iterator[tuple[str, str]]:
    """The characters that parameters name, however deep, each with its path."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name == "custom_reference_id" and isinstance(inner, str):
                yield f"{at}.{name}", inner
            else:
                yield from _characters_in(inner, f"{at}.{name}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _characters_in(inner, f"{at}[{index}]")
