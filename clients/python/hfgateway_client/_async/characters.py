"""Characters: what a client can do about them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing

from hfgateway.v1 import character_service_pb2 as pb
from hfgateway.v1.character_service_pb2 import CharacterState, SoulCharacter
from hfgateway_client import requests
from hfgateway_client._async.calls import Calls
from hfgateway_client.errors import TrainingFailed, keeping_key
from hfgateway_client.inputs import SoulVersionName
from hfgateway_client.submission import NewCharacter


class CharacterMethods:
    """The part of a client that is about characters."""

    _calls: Calls

    async def create_character(
        self,
        name: str,
        image_urls: Iterable[str],
        *,
        version: SoulVersionName | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> NewCharacter:
        """Have a character trained, which is paid; once, however often the answer gets lost: repeats carry the key.

        Without an ``idempotency_key`` a UUID is made; an error holds it too, so that the same call can be made again.
        """
        request = requests.create_character_request(name, image_urls, version=version, idempotency_key=idempotency_key)
        with keeping_key(request.idempotency_key):
            response = await self._calls.unary(self._calls.characters.CreateCharacter, request, timeout=timeout)
        return NewCharacter(response.character, request.idempotency_key, response.replayed)

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
        """Create a character, follow its training to the end, and return it COMPLETED.

        ``on_progress`` is called with the character as created, and with every change. A failed training is raised as
        `TrainingFailed`. After ``timeout`` seconds (none: however long it takes) comes `DeadlineExceeded`, and training
        goes on.
        """
        clock = self._calls.timers.clock
        deadline = None if timeout is None else clock() + timeout
        created = await self.create_character(
            name,
            image_urls,
            version=version,
            idempotency_key=idempotency_key,
            timeout=None if timeout is None else min(timeout, self._calls.timeout),
        )
        character = created.character
        if on_progress:
            on_progress(character)
        if not character.done:
            remaining = None if deadline is None else max(deadline - clock(), 0.0)
            changes = self.watch_character(character.id, timeout=remaining)
            with keeping_key(created.idempotency_key):
                async with aclosing(changes):
                    async for seen in changes:
                        if on_progress and seen != character:
                            on_progress(seen)
                        character = seen
        if character.state != CharacterState.CHARACTER_STATE_COMPLETED:
            raise TrainingFailed(character, created.idempotency_key)
        return character

    async def get_character(self, character_id: str) -> SoulCharacter:
        """The character as it is now."""
        response = await self._calls.unary(self._calls.characters.GetCharacter, pb.GetCharacterRequest(id=character_id))
        character: SoulCharacter = response.character
        return character

    def list_characters(self, *, page_size: int = 0) -> AsyncGenerator[SoulCharacter, None]:
        """All characters, newest first; pages are fetched as they are needed."""
        request = pb.ListCharactersRequest(page_size=page_size)
        return self._calls.pages(self._calls.characters.ListCharacters, request, "characters")

    async def delete_character(self, character_id: str) -> None:
        """Delete it; again is no error."""
        await self._calls.unary(self._calls.characters.DeleteCharacter, pb.DeleteCharacterRequest(id=character_id))

    async def watch_character(
        self, character_id: str, *, timeout: float | None = None
    ) -> AsyncGenerator[SoulCharacter, None]:
        """The character as it is, then every change that is seen; ends after the one that is done.

        Resumes by itself where the stream breaks. After ``timeout`` seconds: `DeadlineExceeded`.
        """
        seen: SoulCharacter | None = None
        request = pb.WatchCharacterRequest(id=character_id)
        stream = self._calls.resumed(self._calls.characters.WatchCharacter, lambda: request, timeout=timeout)
        async with aclosing(stream) as messages:
            async for message in messages:
                # Every stream begins with the present state, also one that resumes.
                if not message.HasField("character") or message.character == seen:
                    continue
                seen = message.character
                yield seen
                if seen.done:
                    return
