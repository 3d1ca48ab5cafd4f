"""The port `GenerationStore` on PostgreSQL."""

import json
from collections.abc import Sequence

import psycopg

from gateway.generations.limits import Settlement, settlement, subjects_of
from gateway.generations.model import (
    Generation,
    GenerationId,
    PreparedRequest,
    RequestId,
    frees_key,
    run_time,
    settles,
    turns_repeats_off,
)
from gateway.generations.stores import Filter, RequestIdTakenError, StoreError
from gateway.store.codec import generation_of, progress_row, request_of, shown
from gateway.store.postgres import change_log
from gateway.store.postgres.database import Database, StorePart
from gateway.store.postgres.log_writer import SAVE, Job, LogWriter, Stored

ROWS_AT_ONCE = 200
"""Rows of a page that one statement reads."""
ROWS_FOR_A_PAGE = 5_000
"""Rows that one call of `page` examines at most."""
UNFINISHED_AT_ONCE = 1_000


class PostgresGenerations(StorePart):
    """The methods are described in `gateway/generations/stores.py`."""

    def __init__(self, database: Database, writer: LogWriter) -> None:
        super().__init__(database)
        self._writer = writer

    async def save(self, before: Generation, after: Generation, step: str = "save") -> bool:
        spec, changes = after.spec, after.revision > before.revision
        due = settlement(before, after)
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
        job = Job(SAVE, step, row, before.id, lambda position: change_log.saved(after, position if changes else None))
        try:
            result: Stored = await self._writer.write(job)
        except psycopg.IntegrityError as error:
            if error.diag.constraint_name == "generations_request":
                raise RequestIdTakenError(after.request_id) from error
            raise StoreError("the new version contradicts what is stored") from error
        return result.stored

    async def get(self, tenant: str, generation_id: GenerationId) -> Generation | None:
        row = await self._one("read_generation", id=generation_id, tenant=tenant)
        return None if row is None else generation_of(row)

    async def any(self, generation_id: GenerationId) -> Generation | None:
        row = await self._one("read_any_generation", id=generation_id)
        return None if row is None else generation_of(row)

    async def request(self, generation_id: GenerationId) -> PreparedRequest | None:
        row = await self._one("read_request", generation_id=generation_id)
        return None if row is None else request_of(row)

    async def by_token(self, token_hash: bytes) -> Generation | None:
        row = await self._one("read_generation_by_token", token_hash=token_hash)
        return None if row is None else generation_of(row)

    async def by_request(self, request_id: RequestId) -> Generation | None:
        row = await self._one("read_generation_by_request", request_id=request_id)
        return None if row is None else generation_of(row)

    async def page(
        self, tenant: str, wanted: Filter, before: str | None, limit: int
    ) -> tuple[Sequence[Generation], str | None]:
        if wanted.ids is not None or wanted.idempotency_key or wanted.request_ids:
            return await self._look_up(tenant, wanted, before, limit)
        found: list[Generation] = []
        last = before or "~"  # sorts behind every id
        for _ in range(ROWS_FOR_A_PAGE // ROWS_AT_ONCE):
            rows = await self._rows("read_generations_page", tenant=tenant, before=last, limit=ROWS_AT_ONCE)
            for row in rows:
                last = row["id"]
                generation = generation_of(row)
                if wanted.matches(generation):
                    found.append(generation)
                    if len(found) == limit:
                        return found, last
            if len(rows) < ROWS_AT_ONCE:
                return found, None
        return found, last

    async def _look_up(
        self, tenant: str, wanted: Filter, before: str | None, limit: int
    ) -> tuple[Sequence[Generation], str | None]:
        """Return the page of a filter by key, by ids or by request ids, whose rows an index finds."""
        if wanted.idempotency_key:
            rows = await self._rows("read_generations_by_key", tenant=tenant, key=wanted.idempotency_key)
        elif wanted.request_ids:
            ids = list(wanted.request_ids)
            rows = await self._rows("read_generations_by_requests", tenant=tenant, request_ids=ids)
        else:
            rows = await self._rows("read_generations_by_ids", tenant=tenant, ids=list(wanted.ids or ()))
        older = (generation_of(row) for row in rows if before is None or row["id"] < before)
        matching = [generation for generation in older if wanted.matches(generation)]
        page = matching[:limit]
        return page, page[-1].id if len(matching) > limit else None

    async def unfinished(self) -> Sequence[Generation]:
        found: list[Generation] = []
        while True:
            after = found[-1].id if found else ""
            rows = await self._rows("read_unfinished_generations", after=after, limit=UNFINISHED_AT_ONCE)
            try:
                found += [generation_of(row) for row in rows]
            except (ValueError, LookupError, TypeError) as error:
                raise StoreError("a generation in it cannot be read: the store is corrupt") from error
            if len(rows) < UNFINISHED_AT_ONCE:
                return found

    async def ended_with_stray(self) -> Sequence[Generation]:
        return [generation_of(row) for row in await self._rows("read_ended_with_stray")]
