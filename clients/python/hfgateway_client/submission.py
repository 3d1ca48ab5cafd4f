"""Results of the calls that create something under an idempotency key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hfgateway.v1.callback_service_pb2 import Callback
from hfgateway.v1.character_service_pb2 import SoulCharacter
from hfgateway.v1.error_pb2 import FieldViolation
from hfgateway.v1.generation_pb2 import Generation


@dataclass(frozen=True, slots=True)
class Submission:
    """The result of ``submit``."""

    generation: Generation
    """The generation with its input, as it was when the call returned."""
    idempotency_key: str
    """The key of the submission. Another ``submit`` with this key and the same input returns the same generation."""
    replayed: bool
    """Whether the key had been used before. If so, the call started nothing, and nothing is charged again."""
    warnings: Sequence[FieldViolation] = ()
    """Parameters that may be wrong, each with its ``field`` and a ``description``.

    The gateway warns instead of refusing if its copy of the model's schema may be out of date.
    """

    @property
    def id(self) -> str:
        """The id of the generation."""
        return self.generation.id


@dataclass(frozen=True, slots=True)
class CreatedCharacter:
    """The result of ``create_character``."""

    character: SoulCharacter
    """The character, as it was when the call returned."""
    idempotency_key: str
    """The key of the call. Another ``create_character`` with this key returns the same character."""
    replayed: bool
    """Whether the key had been used before. If so, the call started nothing, and nothing is charged again."""

    @property
    def id(self) -> str:
        """The id of the character. Pass it to `soul` as ``character_id``."""
        return self.character.id


@dataclass(frozen=True, slots=True)
class CreatedCallback:
    """The result of ``create_callback``."""

    callback: Callback
    """The callback, as it was when the call returned."""
    secret: str = field(repr=False)
    """The secret for `verify_webhook` ("whsec_..."). The gateway returns it only once: store it for the receiver.

    Empty if the caller's key had been used before; ``rotate_callback_secret`` creates a new one.
    """
    idempotency_key: str
    """The key of the call. Another ``create_callback`` with this key returns the same callback."""
    replayed: bool
    """Whether the key had been used before. If so, the call created nothing."""

    @property
    def id(self) -> str:
        """The id of the callback."""
        return self.callback.id
