"""The `AgentStore` on SQLite: sessions, what keys stand for, and media; in the store's file, by its writer."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from gateway.agents.model import SESSION, KeyRecord
from gateway.store.writer import Effect, Writer

Rows = Callable[..., list[sqlite3.Row]]
"""Reads what a named statement finds. Raises StoreError."""


class SqliteAgentStore:
    """Made by `SqliteStore.agents()`, and closed with it."""

    def __init__(self, writer: Writer, rows: Rows, sql: dict[str, str]) -> None:
        self._writer = writer
        self._rows = rows
        self._sql = sql

    async def agent_tenant(self, session_id: str) -> str | None:
        """Whose session it is."""
        return self._value("read_agent_tenant", session_id)

    async def agent_key(self, tenant: str, key: str) -> KeyRecord | None:
        """What the key stands for."""
        rows = self._rows("read_agent_key", tenant, key)
        return KeyRecord(*rows[0]) if rows else None

    async def keep_agent_session(self, record: KeyRecord, steady: float) -> bool:
        """Keep a session and its key, both or none."""

        def write(connection: sqlite3.Connection) -> Effect:
            if not self._claim(connection, record, steady):
                return False, None
            connection.execute(self._sql["insert_agent_session"], (record.session_id, record.tenant, steady))
            return True, None

        return bool(await self._writer.write("agent session", write))

    async def mark_agent_message(self, record: KeyRecord, steady: float) -> bool:
        """Keep that it is about to be sent."""

        def write(connection: sqlite3.Connection) -> Effect:
            return self._claim(connection, record, steady), None

        return bool(await self._writer.write("agent message", write))

    async def bind_agent_message(self, record: KeyRecord, message_id: str) -> bool:
        """Keep what Higgsfield calls it."""

        def write(connection: sqlite3.Connection) -> Effect:
            try:
                connection.execute(self._sql["bind_agent_message"], (message_id, record.tenant, record.key))
            except sqlite3.IntegrityError:
                return False, None
            return True, None

        return bool(await self._writer.write("agent message bound", write))

    async def free_agent_key(self, record: KeyRecord) -> None:
        """Forget it."""

        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["free_agent_key"], (record.tenant, record.key))
            return None, None

        await self._writer.write("agent message refused", write)

    async def bound_agent_messages(self, session_id: str) -> frozenset[str]:
        """The messages that keys stand for."""
        return frozenset(row[0] for row in self._rows("read_bound_agent_messages", session_id))

    async def unresolved_agent_messages(self) -> Sequence[tuple[KeyRecord, float]]:
        """Those of which it is not known what Higgsfield calls them."""
        return [(KeyRecord(*row[:-1]), row[-1]) for row in self._rows("read_unresolved_agent_messages", SESSION)]

    async def newest_agent_message(self, session_id: str) -> str:
        """The last of them."""
        return self._value("read_newest_agent_message", session_id) or ""

    async def keep_agent_media(self, tenant: str, media_id: str, steady: float) -> None:
        """Keep to whom a place was given."""

        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["insert_agent_media"], (tenant, media_id, steady))
            return None, None

        await self._writer.write("agent media", write)

    async def has_agent_media(self, tenant: str, media_id: str) -> bool:
        """Whether it was given to the tenant."""
        return bool(self._rows("has_agent_media", tenant, media_id))

    async def prunable(self, used_before: float) -> bool:
        """Whether there is anything to prune."""
        return bool(self._rows("any_old_agent_key", used_before, SESSION)[0][0])

    async def prune(self, used_before: float) -> None:
        """Remove the keys and places that have served; sessions stay, for Higgsfield tells of no end of theirs.

        Messages without an outcome stay, too: under a key that was forgotten they would be sent again.
        """

        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["prune_agent_keys"], (used_before, SESSION))
            connection.execute(self._sql["prune_agent_media"], (used_before,))
            return None, None

        await self._writer.write("prune", write)

    def _claim(self, connection: sqlite3.Connection, record: KeyRecord, steady: float) -> bool:
        row = (record.tenant, record.key, record.fingerprint, record.session_id, record.after, steady)
        return connection.execute(self._sql["insert_agent_key"], row).rowcount == 1

    def _value(self, statement: str, *values: Any) -> str | None:
        rows = self._rows(statement, *values)
        return str(rows[0][0]) if rows else None
