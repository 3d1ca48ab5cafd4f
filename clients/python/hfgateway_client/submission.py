"""What a submit, or the creation of a character or a callback, answers with."""

from __future__ import annotations

from dataclasses import dataclass

from hfgateway.v1.callback_service_pb2 import Callback
from hfgateway.v1.character_service_pb2 import SoulCharacter
from hfgateway.v1.generation_pb2 import Generation


@dataclass(frozen=True, slots=True)
class Submission:
    """The generation that now exists for a key."""

    generation: Generation
    idempotency_key: str
    """Submit with it again, and this generation comes back."""
    replayed: bool
    """The key was known: nothing new was started, nothing is charged twice."""
    warnings: tuple[str, ...] = ()
    """Parameters that may be wrong, each as ``field: what is wrong``: the gateway doubts the schema that says so."""

    @property
    def id(self) -> str:
        """The generation's."""
        return self.generation.id


@dataclass(frozen=True, slots=True)
class NewCharacter:
    """The character that now exists for a key."""

    character: SoulCharacter
    idempotency_key: str
    """Create with it again, and this character comes back."""
    replayed: bool
    """The key was known: nothing new was started, nothing is charged twice."""

    @property
    def id(self) -> str:
        """The character's."""
        return self.character.id


@dataclass(frozen=True, slots=True)
class NewCallback:
    """The callback that now exists for a key."""

    callback: Callback
    secret: str
    """Told this once: keep it where the receiver finds it. Empty where the callback was known."""
    idempotency_key: str
    """Create with it again, and this callback comes back."""
    replayed: bool
    """The key was known: nothing new was created."""

    @property
    def id(self) -> str:
        """The callback's."""
        return self.callback.id
