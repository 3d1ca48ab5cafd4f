"""The port `DeletionStore` on SQLite."""

import sqlite3

from gateway.generations.model import Generation, Steady
from gateway.generations.stores import Removal, Saved
from gateway.store.reads import DeletionReads
from gateway.store.sqlite import change_log
from gateway.store.sqlite.claims import has_request
from gateway.store.sqlite.database import PRUNE_BATCH_SIZE, StorePart, append_entry
from gateway.store.sqlite.writer import Effect


class SqliteDeletions(StorePart, DeletionReads):
    """The methods are described in `gateway/generations/stores.py`."""

    async def delete(self, generation: Generation, *, at_upstream: bool, steady: Steady) -> None:
        spec = generation.spec
        of = {"generation_id": spec.id}
        entry = self._auditor.delete(generation)

        def write(connection: sqlite3.Connection) -> Effect:
            sql = self._sql
            removed = connection.execute(sql["delete_generation"], {"id": spec.id}).fetchone()
            if removed is None:
                return None, None
            request_id, stray = removed
            change_log.raise_horizon(connection, sql, spec.tenant, spec.id)
            for name in ("delete_changes", "delete_webhooks", "delete_events", "remove_copies"):
                connection.execute(sql[name], of)
            key = {"tenant": spec.tenant, "key": spec.idempotency_key, "used_at": steady}
            connection.execute(sql["mark_key_deleted"], of | key)
            if at_upstream:
                adopted = has_request(connection, sql, stray, spec.id)
                requests = {"request_id": request_id, "stray_request_id": "" if adopted else stray}
                at = {"account": spec.account, "origin": spec.origin}
                if any(requests.values()):
                    connection.execute(sql["insert_removal"], of | requests | at)
            append_entry(connection, sql, entry)
            change = change_log.append_removal(connection, sql, generation)
            return None, Saved(spec.id, None, change)

        await self._writer.write("delete", write)

    async def removed(self, removal: Removal) -> None:
        of = {"generation_id": removal.generation_id}
        await self._write("removal", ("delete_removal", of), ("mark_key_removed", of), brief=True)

    async def prune(self, ended_before: Steady, keys_before: Steady) -> int:
        ended = {"ended_before": ended_before, "limit": PRUNE_BATCH_SIZE}

        def write(connection: sqlite3.Connection) -> Effect:
            sql = self._sql
            rows = connection.execute(sql["read_prunable_generations"], ended).fetchall()
            for generation_id, tenant in rows:
                change_log.raise_horizon(connection, sql, tenant, generation_id)
                of = {"generation_id": generation_id}
                for name in (
                    "delete_changes", "delete_webhooks", "delete_events", "prune_copies", "mark_key_orphaned",
                ):  # fmt: skip
                    connection.execute(sql[name], of)
                connection.execute(sql["delete_generation"], {"id": generation_id}).fetchone()
            return len(rows), None

        def write_removals(connection: sqlite3.Connection) -> Effect:
            rows = connection.execute(self._sql["prune_removal_changes"], ended).fetchall()
            for tenant, position in rows:
                connection.execute(self._sql["raise_horizon"], {"tenant": tenant, "horizon": position})
            return len(rows), None

        total = await self._repeat_prune(write)
        await self._repeat_prune(write_removals)
        await self._prune_all("prune_keys", {"keys_before": keys_before})
        await self._prune_all("prune_durations", {})
        return total
