"""The port `AgentStore` on PostgreSQL: sessions, records of idempotency keys, and media slots."""

from collections.abc import Sequence

import psycopg

from gateway.agents.model import SESSION, KeyRecord
from gateway.store.postgres.database import StorePart
from gateway.store.rows import record_of, record_row


class PostgresAgents(StorePart):
    """The methods are described in `gateway/agents/ports.py`."""

    async def agent_tenant(self, session_id: str) -> str | None:
        row = await self._one("read_agent_tenant", session_id=session_id)
        return None if row is None else str(row["tenant"])

    async def agent_key(self, tenant: str, key: str) -> KeyRecord | None:
        row = await self._one("read_agent_key", tenant=tenant, key=key)
        return None if row is None else record_of(row)

    async def keep_agent_session(self, record: KeyRecord, steady: float) -> bool:
        row = await self._write("agent session", "insert_agent_session", record_row(record, steady))
        return bool(row["written"])

    async def mark_agent_message(self, record: KeyRecord, steady: float) -> bool:
        row = await self._write("agent message", "insert_agent_key", record_row(record, steady), repeat=False)
        return bool(row["written"])

    async def bind_agent_message(self, record: KeyRecord, message_id: str) -> bool:
        row = {"tenant": record.tenant, "key": record.key, "message_id": message_id}
        try:
            await self._write("agent message bound", "bind_agent_message", row)
        except psycopg.IntegrityError:
            return False
        return True

    async def free_agent_key(self, record: KeyRecord) -> None:
        row = {"tenant": record.tenant, "key": record.key}
        await self._write("agent message refused", "delete_unbound_agent_key", row)

    async def bound_agent_messages(self, session_id: str) -> frozenset[str]:
        rows = await self._rows("read_bound_agent_messages", session_id=session_id)
        return frozenset([row["message_id"] for row in rows])

    async def unresolved_agent_messages(self) -> Sequence[tuple[KeyRecord, float]]:
        rows = await self._rows("read_unresolved_agent_messages", session_fingerprint=SESSION)
        return [(record_of(row), row["used_at"]) for row in rows]

    async def newest_agent_message(self, session_id: str) -> str:
        row = await self._one("read_newest_agent_message", session_id=session_id)
        return "" if row is None else str(row["message_id"])

    async def keep_agent_media(self, tenant: str, media_id: str, steady: float) -> None:
        row = {"tenant": tenant, "id": media_id, "created_at": steady}
        await self._write("agent media", "insert_agent_media", row)

    async def has_agent_media(self, tenant: str, media_id: str) -> bool:
        return bool(await self._rows("has_agent_media", tenant=tenant, id=media_id))

    async def prunable(self, used_before: float) -> bool:
        (row,) = await self._rows("has_prunable_agent_rows", used_before=used_before, session_fingerprint=SESSION)
        return bool(row["found"])

    async def prune(self, used_before: float) -> None:
        await self._write("prune", "prune_agents", {"used_before": used_before, "session_fingerprint": SESSION})
