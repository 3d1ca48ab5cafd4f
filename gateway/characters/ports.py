"""The ports of characters: their store, and Higgsfield's API for them."""

from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.characters.model import Character, Creation, Order, Removal
from gateway.frozen import frozen
from gateway.generations.ports import MaybeTaken, NotTaken


@frozen
class OrderTaken:
    """Higgsfield accepted the order: training has started and is charged."""

    character: Character


@frozen
class Listing:
    """All characters of the account, and the time of the list by Higgsfield's clock; None if it is not known."""

    characters: tuple[Character, ...]
    date: float | None


class CharacterTakenError(Exception):
    """The character belongs to another creation, or its creation is not stored."""


class CharacterStore(Protocol):
    """Stores creations and removals. Each method returns after its commit.

    The methods raise UnconfirmedError.
    """

    async def claim(self, creation: Creation) -> None:
        """Store a creation, before its order is sent."""

    async def bind(self, creation_id: str, character_id: str) -> None:
        """Store the character of a creation. Raises CharacterTakenError."""

    async def free(self, creation_id: str) -> None:
        """Delete a creation that certainly has no character, so that its key can be used again."""

    async def remove(self, removal: Removal) -> None:
        """Store a removal, requested or confirmed."""

    async def creations(self) -> Sequence[Creation]:
        """Return all creations, oldest first."""

    async def removals(self) -> Sequence[Removal]:
        """Return all removals."""


class CharacterUpstream(Protocol):
    """Custom references of one account. All methods but `train` raise GatewayError, usually UPSTREAM_UNAVAILABLE."""

    async def train(self, order: Order, may_send: Callable[[], bool]) -> OrderTaken | NotTaken | MaybeTaken:
        """POST an order once. Failures are returned, not raised.

        `may_send` is called right before the first byte; if it returns False, nothing is sent.
        """

    async def find(self, character_id: str) -> Character | None:
        """Return a character; None if Higgsfield does not know it."""

    async def listing(self) -> Listing:
        """Return the complete list of characters."""

    async def remove(self, character_id: str) -> bool:
        """Delete a character; False if Higgsfield does not know it."""


UpstreamOf = Callable[[str], CharacterUpstream]
"""Returns the characters of the account with the given credentials. Raises UPSTREAM_UNAVAILABLE if it is not known."""
