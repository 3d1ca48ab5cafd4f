"""The port `GenerationStore` on PostgreSQL."""

import json
from collections.abc import Sequence

import psycopg

from gateway.generations.limits.model import Settlement, settlement_of, subjects_of
from gateway.generations.model import Generation, frees_key, run_time, settles, turns_repeats_off
from gateway.generations.stores import RequestIdTakenError, StoreError
from gateway.store.codec import generation_of, progress_row, shown
from gateway.store.postgres import change_log
from gateway.store.postgres.database import Database, StorePart
from gateway.store.postgres.log_writer import SAVE, Job, LogWriter, Stored
from gateway.store.reads import GenerationReads

UNFINISHED_BATCH_SIZE = 1_000
"""Generations that one statement reads; after each error a fifth, because a link may be too slow for so many inputs."""


class PostgresGenerations(StorePart, GenerationReads):
    """The methods are described in `gateway/generations/stores.py`."""

    def __init__(self, database: Database, writer: LogWriter) -> None:
        super().__init__(database)
        self._writer = writer

    async def save(self, before: Generation, after: Generation, step: str = "save") -> bool:
        spec, changes = after.spec, after.revision > before.revision
        due = settlement_of(before, after)
        ended, released, spent = due or Settlement()
        row = progress_row(after, shown(after)) | {
            "id": before.id,
            "version_before": before.version,
            "tenant": spec.tenant,
            "account": spec.account,
            "idempotency_key": spec.idempotency_key,
            "model_id": spec.model_id,
            "traits": spec.traits,
            "settles": settles(before, after),
            "frees_key": frees_key(before, after),
            "turns_repeats_off": turns_repeats_off(before, after),
            "seconds": None if before.done else run_time(after),
            "changes": changes,
            "update_time": after.update_time,
            "subjects": "[]" if due is None else json.dumps(subjects_of(spec)),
            "ended": ended,
            "released": released,
            "spent": spent,
            "audit": self._auditor.save(before, after, step),
        }
        binds = after.request_id if after.request_id != before.request_id else ""
        job = Job(
            SAVE, step, row, before.id, lambda position: change_log.saved(after, position if changes else None), binds
        )
        try:
            result: Stored = await self._writer.write(job)
        except psycopg.IntegrityError as error:
            if error.diag.constraint_name == "generations_request":
                raise RequestIdTakenError(after.request_id) from error
            raise StoreError("the new version contradicts what is stored") from error
        if not result.stored and binds and await self._one("has_request", request_id=binds, id=before.id) is not None:
            raise RequestIdTakenError(binds)
        return result.stored

    async def unfinished(self) -> Sequence[Generation]:
        found: list[Generation] = []
        batch_size = UNFINISHED_BATCH_SIZE
        while True:
            after = found[-1].id if found else ""
            try:
                rows = await self._rows("read_unfinished_generations", after=after, limit=batch_size)
            except StoreError:
                if batch_size == 1:
                    raise
                batch_size = max(1, batch_size // 5)
                continue
            try:
                found += [generation_of(row) for row in rows]
            except (ValueError, LookupError, TypeError) as error:
                raise StoreError("a generation in it cannot be read: the store is corrupt") from error
            if len(rows) < batch_size:
                return found
