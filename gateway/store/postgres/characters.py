"""The port `CharacterStore` on PostgreSQL: orders of characters, and characters to be deleted."""

from dataclasses import asdict

import psycopg

from gateway.characters.model import Creation, Removal
from gateway.characters.ports import CharacterTakenError
from gateway.generations.stores import StoreError
from gateway.store.postgres.database import StorePart
from gateway.store.reads import CharacterReads
from gateway.store.rows import creation_row


class PostgresCharacters(StorePart, CharacterReads):
    """The methods are described in `gateway/characters/ports.py`."""

    async def claim(self, creation: Creation) -> None:
        row = await self._write("character claim", "insert_character", creation_row(creation))
        if not row["written"]:
            raise StoreError("the key was freed at the same time")

    async def bind(self, creation_id: str, character_id: str) -> None:
        try:
            row = await self._write(
                "character bound", "bind_character", {"id": creation_id, "character_id": character_id}
            )
        except psycopg.IntegrityError as error:
            raise CharacterTakenError(character_id) from error
        if not row["written"]:
            raise CharacterTakenError(character_id)

    async def free(self, creation_id: str) -> None:
        await self._write("character freed", "delete_unbound_character", {"id": creation_id})

    async def remove(self, removal: Removal) -> None:
        step = "character gone" if removal.gone else "character removal"
        await self._write(step, "insert_removed_character", asdict(removal))
