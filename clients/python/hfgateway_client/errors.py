"""The errors of the client: one class for each gRPC code, and subclasses for the reasons of the gateway.

Handle an error by its class or its ``reason``. The ``message`` is for people and may change. An error of the transport
has no reason, and a reason may be newer than this version of the client. In both cases the class is that of the gRPC
code, or `GatewayError` if the code has none.

A generation that ends without output is not a failed call, so only ``generate`` raises an error for it:
`GenerationFailed`, or one of its subclasses. In the same way, ``train_character`` raises `TrainingFailed` if training
fails. The ``code`` of these errors is None.
"""

# ruff: noqa: N818 - named after the gateway's reasons, without the suffix Error

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc

from hfgateway.v1.character_service_pb2 import SoulCharacter
from hfgateway.v1.error_pb2 import Failure
from hfgateway.v1.generation_pb2 import Generation, GenerationState
from hfgateway_client._errors import *  # noqa: F403 - the classes of calls
from hfgateway_client.gateway_error import GatewayError as GatewayError  # noqa: PLC0414 - exported


class ClientClosed(GatewayError):
    """The client was closed before or during the call. A submitted generation continues."""

    def __init__(self) -> None:
        super().__init__("the client is closed", code=grpc.StatusCode.CANCELLED, reason="", failure=Failure())

    @property
    def retryable(self) -> bool:
        """False: the client stays closed."""
        return False


class GenerationFailed(GatewayError):
    """The generation ended without output. ``reason`` says why."""

    def __init__(self, generation: Generation, message: str, *, reason: str) -> None:
        super().__init__(message, code=None, reason=reason, failure=generation.failure)
        self.generation = generation
        """The generation in its final state."""
        self.idempotency_key: str = generation.idempotency_key

    def __str__(self) -> str:
        return f"{super().__str__()} (generation {self.generation.id})"


class GenerationRefused(GenerationFailed):
    """Higgsfield never accepted the generation. It was not charged, and its idempotency key can be used again."""


class GenerationModerated(GenerationFailed):
    """Higgsfield's moderation refused the generation. It was not charged."""


class GenerationCanceled(GenerationFailed):
    """The generation was canceled, by a client or by the gateway (see ``reason``). It was not charged."""


class GenerationLost(GenerationFailed):
    """The outcome of the generation is unknown. It may have been charged."""


class TrainingFailed(GatewayError):
    """The training of a character failed. ``reason`` says why."""

    def __init__(self, character: SoulCharacter, idempotency_key: str, message: str, *, reason: str) -> None:
        super().__init__(message, code=None, reason=reason, failure=character.failure)
        self.character = character
        """The character in its final state."""
        self.idempotency_key = idempotency_key

    def __str__(self) -> str:
        return f"{super().__str__()} (character {self.character.id})"


BY_END: Mapping[int, type[GenerationFailed]] = {
    GenerationState.GENERATION_STATE_NSFW: GenerationModerated,
    GenerationState.GENERATION_STATE_CANCELED: GenerationCanceled,
    GenerationState.GENERATION_STATE_LOST: GenerationLost,
}


@contextmanager
def attach_key(idempotency_key: str) -> Iterator[None]:
    """Add the key to errors raised in the block, so that the caller can retry with it."""
    try:
        yield
    except GatewayError as error:
        error.idempotency_key = idempotency_key
        raise


@contextmanager
def as_cause(*kept: type[Exception]) -> Iterator[None]:
    """Make an exception of the caller's code in the block the cause of an error, which can have a key."""
    try:
        yield
    except kept:
        raise
    except Exception as cause:
        raise GatewayError(f"a callback raised {cause!r}", code=None, reason="", failure=Failure()) from cause


def report(callback: Callable[[Any], object] | None, value: object) -> None:
    """Call the caller's code, which may also raise errors of other calls, in a block that attaches a key."""
    with as_cause():
        if callback:
            callback(value)
