"""The port `AgentStore` on SQLite: sessions, records of idempotency keys, and media slots."""

import sqlite3

from gateway.agents.model import KeyRecord
from gateway.store.reads import AgentReads
from gateway.store.rows import agent_key_row
from gateway.store.sqlite.database import StorePart
from gateway.store.sqlite.writer import Effect
from gateway.store.writes import AgentWrites


class SqliteAgents(StorePart, AgentReads, AgentWrites):
    """The methods are described in `gateway/agents/ports.py`."""

    async def add_agent_session(self, record: KeyRecord) -> bool:
        session = {"id": record.session_id, "tenant": record.tenant, "created_at": record.used_at}

        def write(connection: sqlite3.Connection) -> Effect:
            if connection.execute(self._sql["insert_agent_key"], agent_key_row(record)).rowcount == 0:
                return False, None
            connection.execute(self._sql["insert_agent_session"], session)
            return True, None

        return bool(await self._writer.write("agent session", write))

    async def mark_agent_message(self, record: KeyRecord) -> bool:
        return await self._write("agent message", ("insert_agent_key", agent_key_row(record)))

    async def bind_agent_message(self, record: KeyRecord, message_id: str) -> bool:
        row = {"tenant": record.tenant, "key": record.key, "used_at": record.used_at, "message_id": message_id}
        return await self._change("agent message bound", "bind_agent_message", row)
