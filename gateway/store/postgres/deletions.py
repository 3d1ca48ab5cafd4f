"""The port `DeletionStore` on PostgreSQL."""

from gateway.generations.model import Change, Generation, Steady
from gateway.generations.stores import Removal, Saved
from gateway.store.postgres.database import Database, StorePart
from gateway.store.postgres.log_writer import DELETE, Job, LogWriter
from gateway.store.reads import DeletionReads

ROWS_PER_BATCH = 200
"""Generations that one statement removes."""


class PostgresDeletions(StorePart, DeletionReads):
    """The methods are described in `gateway/generations/stores.py`."""

    def __init__(self, database: Database, writer: LogWriter) -> None:
        super().__init__(database)
        self._writer = writer

    async def delete(self, generation: Generation, *, at_upstream: bool, steady: Steady) -> None:
        spec = generation.spec
        row = {
            "generation_id": spec.id,
            "key": spec.idempotency_key,
            "steady": steady,
            "at_upstream": at_upstream,
            "account": spec.account,
            "origin": spec.origin,
            "time": generation.ended_at or spec.created_at,
            "audit": self._auditor.delete(generation),
        }

        def saved(position: int | None) -> Saved:
            assert position is not None
            return Saved(spec.id, None, Change(position, spec.tenant, spec.id, None))

        await self._writer.write(Job(DELETE, "delete", row, spec.id, saved, alone=True))

    async def removed(self, removal: Removal) -> None:
        await self._write("removal", "confirm_removal", {"generation_id": removal.generation_id})

    async def prune(self, ended_before: Steady, keys_before: Steady) -> int:
        total = 0
        limits = {"ended_before": ended_before, "limit": ROWS_PER_BATCH}
        while count := (await self._write("prune", "prune_generations", limits))["written"]:
            total += count
        await self._prune_all("prune_removal_changes", {"ended_before": ended_before})
        await self._prune_all("prune_keys", {"keys_before": keys_before})
        await self._prune_all("prune_durations", {})
        return total
