"""What characters need from outside: their part of the store, and of Higgsfield."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.characters.model import Character, Creation, Order, Removal
from gateway.generations.ports import NoAnswer, NotTaken


@dataclass(frozen=True, slots=True)
class Trained:
    """Higgsfield took the order: training has begun, and is charged."""

    character: Character


@dataclass(frozen=True, slots=True)
class Listing:
    """All characters of the account at one time, and what Higgsfield's clock showed then (None: it did not say)."""

    characters: tuple[Character, ...]
    date: float | None


class CharacterTakenError(Exception):
    """The character belongs to another creation."""


class CharacterStore(Protocol):
    """Durable records. What returns has been committed; what raises StoreError may or may not have been."""

    async def claim(self, creation: Creation) -> None:
        """Keep it, before anything of it is sent."""

    async def bind(self, creation_id: str, character_id: str) -> None:
        """This came of it. Raises CharacterTakenError where another creation has that character."""

    async def free(self, creation_id: str) -> None:
        """Nothing came of it, for certain: its key may be used again."""

    async def remove(self, removal: Removal) -> None:
        """Keep that somebody wants a character deleted, or that it is gone."""

    async def creations(self) -> Sequence[Creation]:
        """All, oldest first."""

    async def removals(self) -> Sequence[Removal]:
        """All."""


class CharacterUpstream(Protocol):
    """Higgsfield's custom references. Calls but `train` raise GatewayError, nearly always UPSTREAM_UNAVAILABLE."""

    @property
    def account(self) -> str:
        """Whose characters these are."""

    async def train(self, order: Order, gate: Callable[[], bool]) -> Trained | NotTaken | NoAnswer:
        """POST it once. The gate is asked right before the first byte; never raises for what the other side does."""

    async def find(self, character_id: str) -> Character | None:
        """The character as it is; None where Higgsfield knows none."""

    async def listing(self) -> Listing:
        """All that there are, read as a whole."""

    async def remove(self, character_id: str) -> bool:
        """Delete it; False where Higgsfield knows none."""
