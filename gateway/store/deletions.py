"""The port `DeletionStore` on SQLite."""

import sqlite3
from collections.abc import Sequence

from gateway.generations.model import (
    Generation,
    GenerationId,
    Steady,
)
from gateway.generations.stores import (
    Removal,
    Saved,
)
from gateway.store import audit, change_log
from gateway.store.database import StorePart
from gateway.store.writer import Effect

ROWS_AT_ONCE = 200
"""Rows that one statement removes. Others get their turn afterwards."""


class SqliteDeletions(StorePart):
    """The methods are described in `gateway/generations/stores.py`."""

    async def delete(self, generation: Generation, *, at_upstream: bool, steady: Steady) -> None:
        spec = generation.spec
        of = {"generation_id": spec.id}
        entry = self._auditor.delete(generation)

        def write(connection: sqlite3.Connection) -> Effect:
            sql = self._sql
            removed = connection.execute(sql["delete_generation"], {"id": spec.id})
            if removed.rowcount == 0:
                return None, None
            change_log.raise_horizon(connection, self._sql, spec.tenant, spec.id)
            for name in ("delete_request", "delete_changes", "delete_webhooks", "delete_events", "remove_copies"):
                connection.execute(sql[name], of)
            key = {"tenant": spec.tenant, "key": spec.idempotency_key, "used_at": steady}
            connection.execute(sql["mark_key_deleted"], of | key)
            if at_upstream:
                removal = {"request_id": generation.request_id, "account": spec.account, "origin": spec.origin}
                connection.execute(sql["insert_removal"], of | removal)
            audit.append(connection, sql, entry)
            change = change_log.append_removal(connection, self._sql, generation)
            return None, Saved(spec.id, None, change)

        await self._writer.write("delete", write)

    async def deleted(self, tenant: str, generation_id: GenerationId) -> bool | None:
        row = self._one("read_deletion", generation_id=generation_id, tenant=tenant)
        return None if row is None else row[0] > 1

    async def removals(self) -> Sequence[Removal]:
        return [Removal(**row) for row in self._rows("read_removals")]

    async def removal(self, generation_id: GenerationId) -> Removal | None:
        row = self._one("read_removal", generation_id=generation_id)
        return None if row is None else Removal(**row)

    async def removed(self, removal: Removal) -> None:
        of = {"generation_id": removal.generation_id}

        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["delete_removal"], of)
            connection.execute(self._sql["mark_key_removed"], of)
            return None, None

        await self._writer.write("removal", write, brief=True)

    async def prunable(self, ended_before: Steady, keys_before: Steady) -> bool:
        row = self._one("has_prunable", ended_before=ended_before, keys_before=keys_before)
        return row is not None and bool(row[0])

    async def prune(self, ended_before: Steady, keys_before: Steady) -> int:
        ended = {"ended_before": ended_before}

        def write(connection: sqlite3.Connection) -> Effect:
            sql = self._sql
            rows = connection.execute(sql["read_prunable_generations"], ended | {"limit": ROWS_AT_ONCE}).fetchall()
            for generation_id, tenant in rows:
                change_log.raise_horizon(connection, self._sql, tenant, generation_id)
                of = {"generation_id": generation_id}
                for name in (
                    "delete_changes", "delete_webhooks", "delete_events", "prune_copies", "mark_key_orphaned",
                ):  # fmt: skip
                    connection.execute(sql[name], of)
                connection.execute(sql["delete_generation"], {"id": generation_id})
            for tenant, position in connection.execute(sql["prune_removal_changes"], ended).fetchall():
                connection.execute(sql["raise_horizon"], {"tenant": tenant, "horizon": position})
            connection.execute(sql["prune_keys"], {"keys_before": keys_before})
            connection.execute(sql["prune_durations"])
            return len(rows), None

        total = 0
        while (count := await self._writer.write("prune", write)) > 0:
            total += count
        return total
