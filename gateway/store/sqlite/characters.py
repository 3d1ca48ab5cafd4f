"""The port `CharacterStore` on SQLite: orders of characters, and characters to be deleted."""

import sqlite3

from gateway.characters.ports import CharacterTakenError
from gateway.store.reads import CharacterReads
from gateway.store.sqlite.database import StorePart
from gateway.store.sqlite.writer import Effect
from gateway.store.writes import CharacterWrites


class SqliteCharacters(StorePart, CharacterReads, CharacterWrites):
    """The methods are described in `gateway/characters/ports.py`."""

    async def bind(self, creation_id: str, character_id: str) -> None:
        row = {"id": creation_id, "character_id": character_id}

        def write(connection: sqlite3.Connection) -> Effect:
            try:
                bound = connection.execute(self._sql["bind_character"], row).rowcount
            except sqlite3.IntegrityError:
                return False, None
            return bool(bound), None

        if not await self._writer.write("character bound", write):
            raise CharacterTakenError(character_id)
