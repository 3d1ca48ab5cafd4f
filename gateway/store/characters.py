"""Characters in the SQLite store: what was ordered, what came of it, and what is to be deleted."""

import json
import sqlite3
from collections.abc import Sequence

from gateway.characters.model import Creation, Removal
from gateway.characters.ports import CharacterTakenError
from gateway.generations.inputs import SoulVersion
from gateway.generations.ports import StoreError
from gateway.store.sqlite import SqliteStore
from gateway.store.writer import Effect


class SqliteCharacters:
    """The `CharacterStore` port over the store's one writer."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._writer = store.writer
        self._sql = store.statements

    async def claim(self, creation: Creation) -> None:
        """Keep it. Raises StoreError also where the key is being freed at the same time."""
        row = (
            creation.id, creation.tenant, creation.key, creation.fingerprint, creation.account, creation.name,
            creation.version.value, json.dumps(sorted(creation.known)), creation.sent_date, creation.sent_at,
        )  # fmt: skip

        def write(connection: sqlite3.Connection) -> Effect:
            return connection.execute(self._sql["insert_character"], row).rowcount == 1, None

        if not await self._writer.write("character claim", write):
            raise StoreError("the key was freed at the same time")

    async def bind(self, creation_id: str, character_id: str) -> None:
        """This came of it."""

        def write(connection: sqlite3.Connection) -> Effect:
            try:
                connection.execute(self._sql["bind_character"], (character_id, creation_id))
            except sqlite3.IntegrityError:
                return False, None
            return True, None

        if not await self._writer.write("character bound", write):
            raise CharacterTakenError(character_id)

    async def free(self, creation_id: str) -> None:
        """Nothing came of it."""

        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["free_character"], (creation_id,))
            return None, None

        await self._writer.write("character freed", write)

    async def remove(self, removal: Removal) -> None:
        """Keep the wish, or that it is fulfilled."""
        row = (removal.account, removal.character_id, removal.tenant, removal.gone)

        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["remove_character"], row)
            return None, None

        step = "character gone" if removal.gone else "character removal"
        await self._writer.write(step, write)

    async def creations(self) -> Sequence[Creation]:
        """All, oldest first."""
        return [_creation(row) for row in self._store.rows("read_characters")]

    async def removals(self) -> Sequence[Removal]:
        """All."""
        rows = self._store.rows("read_removed_characters")
        return [Removal(row["account"], row["character_id"], row["tenant"], bool(row["gone"])) for row in rows]


def _creation(row: sqlite3.Row) -> Creation:
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
