"""Characters: the same face in many generations."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing

from hfgateway.v1 import character_service_pb2 as pb
from hfgateway.v1.character_service_pb2 import CharacterState, SoulCharacter
from hfgateway.v1.generation_input_pb2 import SoulVersion
from hfgateway_client._async.calls import Calls
from hfgateway_client.errors import GatewayError, as_cause, attach_key, report
from hfgateway_client.inputs import SoulVersionName, enum_value
from hfgateway_client.requests import key_or_new, several
from hfgateway_client.status import error_from_training
from hfgateway_client.submission import CreatedCharacter


class CharacterMethods:
    """The methods for characters."""

    _calls: Calls

    async def create_character(
        self,
        name: str,
        image_urls: Iterable[str],
        *,
        version: SoulVersionName | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> CreatedCharacter:
        """Order the training of a character, which costs credits. Returns when Higgsfield has accepted the order.

        The training is ordered and charged at most once: retries use the same idempotency key. If the call fails, the
        error has the key in ``idempotency_key``; call ``create_character`` again with it.

        Args:
            name: The name, 1 to 100 characters.
            image_urls: The URLs of 1 to 100 images of the face.
            version: The version of Soul to train for: "v1", "v2" or "cinema". Default: "v1".
            idempotency_key: 1 to 255 visible ASCII characters; one key for each character. Default: a new UUID.
            timeout: The timeout in seconds. Default: that of the client.

        Raises:
            InputRefused: Higgsfield refused the order.
            KeyReused: The key belongs to another order, or to a deleted character.
            InsufficientCredits: The Higgsfield account does not have enough credits.
            SubmissionUnresolved: The order was sent, but its character cannot be identified yet.
            UpstreamUnavailable: Higgsfield sent no usable response, or an order with this name has an unknown outcome.
        """
        request = pb.CreateCharacterRequest(
            name=name,
            image_urls=several(image_urls),
            version=enum_value(SoulVersion, version),
            # A retry without a key would be charged again.
            idempotency_key=key_or_new(idempotency_key),
        )
        with attach_key(request.idempotency_key):
            response = await self._calls.unary(request, timeout=timeout)
        return CreatedCharacter(response.character, request.idempotency_key, response.replayed)

    async def train_character(
        self,
        name: str,
        image_urls: Iterable[str],
        *,
        version: SoulVersionName | None = None,
        on_progress: Callable[[SoulCharacter], object] | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> SoulCharacter:
        """Create a character, wait until its training has ended, and return it.

        Training is never ordered twice. If the call fails or is canceled, training continues. To wait for it again,
        call ``train_character`` with the same arguments and the ``idempotency_key`` of the error.

        The other arguments are those of `create_character`.

        Args:
            on_progress: Called with the character when it is created, and after every change.
            timeout: The timeout in seconds. Default: no limit.

        Returns:
            The character in the state COMPLETED.

        Raises:
            TrainingFailed: Training failed; the error has the character in ``character``.
            NotFound: The character was deleted during its training.
            GatewayError: One of the errors of `create_character`, or ``on_progress`` raised an exception, which is its
                ``__cause__``.
        """
        deadline = self._calls.deadline(timeout)
        created = await self.create_character(
            name,
            image_urls,
            version=version,
            idempotency_key=idempotency_key,
            timeout=deadline.within(self._calls.timeout),
        )
        character = created.character
        with attach_key(created.idempotency_key), as_cause(GatewayError):
            report(on_progress, character)
            if not character.done:
                async with aclosing(self.watch_character(character.id, timeout=deadline.left())) as changes:
                    async for seen in changes:
                        if seen != character:
                            report(on_progress, seen)
                        character = seen
        if character.state != CharacterState.CHARACTER_STATE_COMPLETED:
            raise error_from_training(character, created.idempotency_key)
        return character

    async def get_character(self, character_id: str) -> SoulCharacter:
        """Return a character, as Higgsfield reports it.

        Raises:
            UpstreamUnavailable: Higgsfield sent no usable response, or does not show the new character yet.
        """
        return (await self._calls.unary(pb.GetCharacterRequest(id=character_id))).character

    def list_characters(self, *, page_size: int = 0) -> AsyncGenerator[SoulCharacter, None]:
        """Iterate over the tenant's characters, newest first."""
        return self._calls.pages(pb.ListCharactersRequest(page_size=page_size), "characters")

    async def delete_character(self, character_id: str) -> None:
        """Delete a character at Higgsfield. Its cost is not refunded. Deleting a deleted character succeeds."""
        await self._calls.unary(pb.DeleteCharacterRequest(id=character_id))

    async def watch_character(
        self, character_id: str, *, timeout: float | None = None
    ) -> AsyncGenerator[SoulCharacter, None]:
        """Iterate over the current state of a character and its changes, until training has ended.

        Args:
            timeout: The timeout of the whole watch in seconds. Default: no limit.

        Yields:
            The character in each state. In the last one, ``done`` is true.

        Raises:
            NotFound: The tenant has no character with this id, or it was deleted.
            UpstreamUnavailable: Higgsfield sent no usable response to the first read.
        """
        seen: SoulCharacter | None = None
        request = pb.WatchCharacterRequest(id=character_id)
        async with aclosing(self._calls.resumed(request, timeout)) as messages:
            async for message in messages:
                # Each stream begins with the current state, so a resumed one may repeat it.
                if not message.HasField("character") or message.character == seen:
                    continue
                seen = message.character
                yield seen
                if seen.done:
                    return
