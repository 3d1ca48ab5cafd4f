"""The port `AgentStore` on SQLite: sessions, records of idempotency keys, and media slots."""

import sqlite3
from collections.abc import Sequence

from gateway.agents.model import SESSION, KeyRecord
from gateway.store.database import StorePart
from gateway.store.rows import record_of, record_row
from gateway.store.writer import Effect


class SqliteAgents(StorePart):
    """The methods are described in `gateway/agents/ports.py`."""

    async def agent_tenant(self, session_id: str) -> str | None:
        return self._value("read_agent_tenant", session_id=session_id)

    async def agent_key(self, tenant: str, key: str) -> KeyRecord | None:
        rows = self._rows("read_agent_key", tenant=tenant, key=key)
        return record_of(rows[0]) if rows else None

    async def keep_agent_session(self, record: KeyRecord, steady: float) -> bool:
        session = {"id": record.session_id, "tenant": record.tenant, "created_at": steady}

        def write(connection: sqlite3.Connection) -> Effect:
            if not self._claim(connection, record, steady):
                return False, None
            connection.execute(self._sql["insert_agent_session"], session)
            return True, None

        return bool(await self._writer.write("agent session", write))

    async def mark_agent_message(self, record: KeyRecord, steady: float) -> bool:
        def write(connection: sqlite3.Connection) -> Effect:
            return self._claim(connection, record, steady), None

        return bool(await self._writer.write("agent message", write))

    async def bind_agent_message(self, record: KeyRecord, message_id: str) -> bool:
        row = {"tenant": record.tenant, "key": record.key, "message_id": message_id}

        def write(connection: sqlite3.Connection) -> Effect:
            try:
                connection.execute(self._sql["bind_agent_message"], row)
            except sqlite3.IntegrityError:
                return False, None
            return True, None

        return bool(await self._writer.write("agent message bound", write))

    async def free_agent_key(self, record: KeyRecord) -> None:
        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["delete_unbound_agent_key"], {"tenant": record.tenant, "key": record.key})
            return None, None

        await self._writer.write("agent message refused", write)

    async def bound_agent_messages(self, session_id: str) -> frozenset[str]:
        rows = self._rows("read_bound_agent_messages", session_id=session_id)
        return frozenset(row["message_id"] for row in rows)

    async def unresolved_agent_messages(self) -> Sequence[tuple[KeyRecord, float]]:
        rows = self._rows("read_unresolved_agent_messages", session_fingerprint=SESSION)
        return [(record_of(row), row["used_at"]) for row in rows]

    async def newest_agent_message(self, session_id: str) -> str:
        return self._value("read_newest_agent_message", session_id=session_id) or ""

    async def keep_agent_media(self, tenant: str, media_id: str, steady: float) -> None:
        row = {"tenant": tenant, "id": media_id, "created_at": steady}

        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["insert_agent_media"], row)
            return None, None

        await self._writer.write("agent media", write)

    async def has_agent_media(self, tenant: str, media_id: str) -> bool:
        return bool(self._rows("has_agent_media", tenant=tenant, id=media_id))

    async def prunable(self, used_before: float) -> bool:
        rows = self._rows("has_prunable_agent_rows", used_before=used_before, session_fingerprint=SESSION)
        return bool(rows[0][0])

    async def prune(self, used_before: float) -> None:
        def write(connection: sqlite3.Connection) -> Effect:
            before = {"used_before": used_before, "session_fingerprint": SESSION}
            connection.execute(self._sql["prune_agent_keys"], before)
            connection.execute(self._sql["prune_agent_media"], before)
            return None, None

        await self._writer.write("prune", write)

    def _claim(self, connection: sqlite3.Connection, record: KeyRecord, steady: float) -> bool:
        return connection.execute(self._sql["insert_agent_key"], record_row(record, steady)).rowcount == 1

    def _value(self, statement: str, /, **values: object) -> str | None:
        rows = self._rows(statement, **values)
        return str(rows[0][0]) if rows else None
