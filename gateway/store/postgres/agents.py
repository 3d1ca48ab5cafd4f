"""The port `AgentStore` on PostgreSQL: sessions, records of idempotency keys, and media slots."""

import psycopg

from gateway.agents.model import KeyRecord
from gateway.store.postgres.database import StorePart
from gateway.store.reads import AgentReads
from gateway.store.rows import agent_key_row
from gateway.store.writes import AgentWrites


class PostgresAgents(StorePart, AgentReads, AgentWrites):
    """The methods are described in `gateway/agents/ports.py`."""

    async def add_agent_session(self, record: KeyRecord) -> bool:
        row = await self._write("agent session", "insert_agent_session", agent_key_row(record))
        return bool(row["written"])

    async def mark_agent_message(self, record: KeyRecord) -> bool:
        row = await self._write("agent message", "insert_agent_key", agent_key_row(record), repeat=False)
        return bool(row["written"])

    async def bind_agent_message(self, record: KeyRecord, message_id: str) -> bool:
        row = {"tenant": record.tenant, "key": record.key, "used_at": record.used_at, "message_id": message_id}
        try:
            bound = await self._write("agent message bound", "bind_agent_message", row)
        except psycopg.IntegrityError:
            return False
        return bool(bound["written"])
