"""The port `CharacterStore` on SQLite: orders of characters, and characters to be deleted."""

import json
import sqlite3
from collections.abc import Sequence

from gateway.characters.model import Creation, Removal
from gateway.characters.ports import CharacterTakenError
from gateway.generations.inputs import SoulVersion
from gateway.generations.stores import StoreError
from gateway.store.codec import Row
from gateway.store.database import StorePart
from gateway.store.writer import Effect


class SqliteCharacters(StorePart):
    """The methods are described in `gateway/characters/ports.py`."""

    async def claim(self, creation: Creation) -> None:
        def write(connection: sqlite3.Connection) -> Effect:
            return connection.execute(self._sql["insert_character"], _creation_row(creation)).rowcount == 1, None

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
        return [_creation_of(row) for row in self._rows("read_characters")]

    async def removals(self) -> Sequence[Removal]:
        rows = self._rows("read_removed_characters")
        return [Removal(row["account"], row["character_id"], row["tenant"], bool(row["gone"])) for row in rows]


def _creation_row(creation: Creation) -> dict[str, object]:
    return {
        "id": creation.id,
        "tenant": creation.tenant,
        "idempotency_key": creation.key,
        "fingerprint": creation.fingerprint,
        "account": creation.account,
        "name": creation.name,
        "version": creation.version.value,
        "known": json.dumps(sorted(creation.known)),
        "sent_date": creation.sent_date,
        "sent_at": creation.sent_at,
    }


def _creation_of(row: Row) -> Creation:
    try:
        return Creation(
            id=row["id"],
            tenant=row["tenant"],
            key=row["idempotency_key"],
            fingerprint=bytes(row["fingerprint"]),
            account=row["account"],
            name=row["name"],
            version=SoulVersion(row["version"]),
            known=frozenset(json.loads(row["known"])),
            sent_date=row["sent_date"],
            sent_at=row["sent_at"],
            character_id=row["character_id"] or "",
        )
    except (ValueError, TypeError) as error:
        raise StoreError("a character in it cannot be read: the file is corrupt") from error
