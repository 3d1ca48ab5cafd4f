"""The handlers of CharacterService."""

import contextlib
from collections.abc import AsyncGenerator

from gateway.characters.model import Character, Order
from gateway.characters.service import Characters, Place, place_of
from gateway.errors import Violation, raise_if_invalid
from gateway.generations.inputs import SoulVersion
from gateway.rpc.call import Call
from gateway.rpc.errors import failure_message
from gateway.rpc.messages import convert, page_tokens
from gateway.rpc.messages.pages import Page
from gateway.rpc.messages.structs import struct
from gateway.rpc.messages.wire import timestamp
from hfgateway.v1 import character_service_pb2 as pb


class CharacterHandlers:
    """Handles the RPCs of the service, independent of the transport."""

    def __init__(self, characters: Characters) -> None:
        self._characters = characters

    async def create_character(self, request: pb.CreateCharacterRequest, call: Call) -> pb.CreateCharacterResponse:
        """Start the training of a character, once for an idempotency key."""
        character, replayed = await self._characters.create(call.tenant, _order(request))
        return pb.CreateCharacterResponse(character=_message(character), replayed=replayed)

    async def get_character(self, request: pb.GetCharacterRequest, call: Call) -> pb.GetCharacterResponse:
        """Return the current state of a character."""
        character = await self._characters.get(call.tenant, convert.require_text(request.id))
        return pb.GetCharacterResponse(character=_message(character))

    async def list_characters(self, request: pb.ListCharactersRequest, call: Call) -> pb.ListCharactersResponse:
        """Return a page of characters, newest first."""
        page: Page[Character] = Page(request, _place, tenant=call.tenant)
        found, total = await self._characters.page(call.tenant, _read_place(page.after), page.fetch_limit)
        response = pb.ListCharactersResponse(total_size=total)
        response.next_page_token = page.fill(response.characters, found, _message)
        return response

    async def delete_character(self, request: pb.DeleteCharacterRequest, call: Call) -> pb.DeleteCharacterResponse:
        """Delete a character at Higgsfield."""
        await self._characters.delete(call.tenant, convert.require_text(request.id))
        return pb.DeleteCharacterResponse()

    async def watch_character(
        self, request: pb.WatchCharacterRequest, call: Call
    ) -> AsyncGenerator[pb.WatchCharacterResponse, None]:
        """Stream the current state of a character and every change until its training ends."""
        changes = self._characters.watch(call.tenant, convert.require_text(request.id), call.check)
        async with contextlib.aclosing(changes):
            async for character in changes:
                yield pb.WatchCharacterResponse(character=None if character is None else _message(character))


def _order(request: pb.CreateCharacterRequest) -> Order:
    wrong: list[Violation] = []
    key = convert.check_idempotency_key(request.idempotency_key, "character", wrong)
    version = SoulVersion.V1
    try:
        version = SoulVersion(request.version or SoulVersion.V1.value)
    except ValueError:
        wrong.append(Violation("version", "is not a value this gateway knows"))
    order = Order(request.name, tuple(request.image_urls), version, key)
    wrong.extend(order.violations())
    raise_if_invalid(wrong)
    return order


def _message(character: Character) -> pb.SoulCharacter:
    return pb.SoulCharacter(
        id=character.id,
        name=character.name,
        state=character.state.value,  # type: ignore[arg-type]  # the numbers are those of CharacterState
        done=character.done,
        version=0 if character.version is None else character.version.value,  # type: ignore[arg-type]  # the same
        thumbnail_url=character.thumbnail_url,
        failure=None if character.failure is None else failure_message(character.failure),
        create_time=timestamp(character.create_time),
        extra=struct(character.extra),
    )


def _place(character: Character) -> str:
    create_time, character_id = place_of(character)
    return f"{create_time!r} {character_id}"


def _read_place(text: str | None) -> Place | None:
    """Return the position that a page token holds. Raises INVALID_INPUT."""
    if text is None:
        return None
    create_time, _, character_id = text.partition(" ")
    try:
        return float(create_time), character_id
    except ValueError:
        raise page_tokens.not_issued("page_token") from None
