"""The port `CharacterStore` on SQLite: orders of characters, and characters to be deleted."""

import sqlite3
from dataclasses import asdict

from gateway.characters.model import Creation, Removal
from gateway.characters.ports import CharacterTakenError
from gateway.generations.stores import StoreError
from gateway.store.reads import CharacterReads
from gateway.store.rows import creation_row
from gateway.store.sqlite.database import StorePart
from gateway.store.sqlite.writer import Effect


class SqliteCharacters(StorePart, CharacterReads):
    """The methods are described in `gateway/characters/ports.py`."""

    async def claim(self, creation: Creation) -> None:
        if not await self._write("character claim", ("insert_character", creation_row(creation))):
            raise StoreError("the key was freed at the same time")

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

    async def free(self, creation_id: str) -> None:
        await self._write("character freed", ("delete_unbound_character", {"id": creation_id}))

    async def remove(self, removal: Removal) -> None:
        step = "character gone" if removal.gone else "character removal"
        await self._write(step, ("insert_removed_character", asdict(removal)))
