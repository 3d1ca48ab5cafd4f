"""The port `CharacterStore` on SQLite: orders of characters, and characters to be deleted."""

from gateway.characters.ports import CharacterTakenError
from gateway.store.reads import CharacterReads
from gateway.store.sqlite.database import StorePart
from gateway.store.writes import CharacterWrites


class SqliteCharacters(StorePart, CharacterReads, CharacterWrites):
    """The methods are described in `gateway/characters/ports.py`."""

    async def bind(self, creation_id: str, character_id: str) -> None:
        row = {"id": creation_id, "character_id": character_id}
        if not await self._change("character bound", "bind_character", row):
            raise CharacterTakenError(character_id)
