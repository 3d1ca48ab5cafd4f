"""The port `CharacterStore` on SQLite: orders of characters, and characters to be deleted."""

import sqlite3
from collections.abc import Sequence

from gateway.characters.model import Creation, Removal
from gateway.characters.ports import CharacterTakenError
from gateway.generations.stores import StoreError
from gateway.store.database import StorePart
from gateway.store.rows import creation_of, creation_row
from gateway.store.writer import Effect


class SqliteCharacters(StorePart):
    """The methods are described in `gateway/characters/ports.py`."""

    async def claim(self, creation: Creation) -> None:
        def write(connection: sqlite3.Connection) -> Effect:
            return connection.execute(self._sql["insert_character"], creation_row(creation)).rowcount == 1, None

        if not await self._writer.write("character claim", write):
            raise StoreError("the key was freed at the same time")

    async def bind(self, creation_id: str, character_id: str) -> None:
        row = {"id": creation_id, "character_id": character_id}

        def write(connection: sqlite3.Connection) -> Effect:
            try:
                connection.execute(self._sql["bind_character"], row)
            except sqlite3.IntegrityError:
                return False, None
            return True, None

        if not await self._writer.write("character bound", write):
            raise CharacterTakenError(character_id)

    async def free(self, creation_id: str) -> None:
        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["delete_unbound_character"], {"id": creation_id})
            return None, None

        await self._writer.write("character freed", write)

    async def remove(self, removal: Removal) -> None:
        row = {
            "account": removal.account,
            "character_id": removal.character_id,
            "tenant": removal.tenant,
            "gone": removal.gone,
        }

        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["insert_removed_character"], row)
            return None, None

        step = "character gone" if removal.gone else "character removal"
        await self._writer.write(step, write)

    async def creations(self) -> Sequence[Creation]:
        return [creation_of(row) for row in self._rows("read_characters")]

    async def removals(self) -> Sequence[Removal]:
        rows = self._rows("read_removed_characters")
        return [Removal(row["account"], row["character_id"], row["tenant"], bool(row["gone"])) for row in rows]
