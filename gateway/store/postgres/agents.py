"""The port `AgentStore` on PostgreSQL: sessions, records of idempotency keys, and media slots."""

import psycopg

from gateway.agents.model import SESSION, KeyRecord
from gateway.store.postgres.database import StorePart
from gateway.store.reads import AgentReads
from gateway.store.rows import agent_key_row


class PostgresAgents(StorePart, AgentReads):
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

    async def release_agent_key(self, record: KeyRecord) -> None:
        row = {"tenant": record.tenant, "key": record.key, "used_at": record.used_at}
        await self._write("agent message refused", "delete_unbound_agent_key", row)

    async def add_agent_media(self, tenant: str, media_id: str, steady: float) -> None:
        row = {"tenant": tenant, "id": media_id, "created_at": steady}
        await self._write("agent media", "insert_agent_media", row)

    async def prune(self, used_before: float) -> None:
        before = {"used_before": used_before}
        await self._prune_all("prune_agent_keys", before | {"session_fingerprint": SESSION})
        await self._prune_all("prune_agent_media", before)
