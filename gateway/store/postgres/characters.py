"""The port `CharacterStore` on PostgreSQL: orders of characters, and characters to be deleted."""

import psycopg

from gateway.characters.ports import CharacterTakenError
from gateway.store.postgres.database import StorePart
from gateway.store.reads import CharacterReads
from gateway.store.writes import CharacterWrites


class PostgresCharacters(StorePart, CharacterReads, CharacterWrites):
    """The methods are described in `gateway/characters/ports.py`."""

    async def bind(self, creation_id: str, character_id: str) -> None:
        try:
            row = await self._write(
                "character bound", "bind_character", {"id": creation_id, "character_id": character_id}
            )
        except psycopg.IntegrityError as error:
            raise CharacterTakenError(character_id) from error
        if not row["written"]:
            raise CharacterTakenError(character_id)
