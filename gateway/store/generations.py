"""The port `GenerationStore` on SQLite."""

import asyncio
import sqlite3
from collections.abc import Sequence

from gateway.generations.model import (
    Generation,
    GenerationId,
    PreparedRequest,
    RequestId,
    RunTime,
    frees_key,
    run_time,
    settles,
    turns_repeats_off,
)
from gateway.generations.stores import (
    Filter,
    RequestIdTakenError,
    Saved,
    StoreError,
)
from gateway.store import audit, change_log, limits
from gateway.store.codec import (
    generation_of,
    progress_row,
    request_of,
    shown,
)
from gateway.store.database import StorePart
from gateway.store.statements import execute
from gateway.store.writer import Effect

ROWS_AT_ONCE = 200
"""Rows that one statement reads. Others get their turn afterwards, and no reader pins the log for long."""
ROWS_FOR_A_PAGE = 5_000
"""Rows that one call of `page` examines at most."""
REQUEST_ID_TAKEN = object()
"""The result of a write that lost its request id to another generation."""


class SqliteGenerations(StorePart):
    """The methods are described in `gateway/generations/stores.py`."""

    async def save(self, before: Generation, after: Generation, step: str = "save") -> bool:
        text = shown(after)
        entry = self._auditor.save(before, after, step)

        def write(connection: sqlite3.Connection) -> Effect:
            sql = self._sql
            row = {**progress_row(after, text), "id": before.id, "version_before": before.version}
            try:
                updated = execute(connection, sql["update_generation"], row)
            except sqlite3.IntegrityError:
                return REQUEST_ID_TAKEN, None
            if updated.rowcount == 0:
                return False, None
            spec = after.spec
            if settles(before, after):
                connection.execute(sql["delete_request"], {"generation_id": spec.id})
            if frees_key(before, after):
                key = {"tenant": spec.tenant, "key": spec.idempotency_key, "generation_id": spec.id}
                connection.execute(sql["delete_key"], key)
            if turns_repeats_off(before, after):
                connection.execute(sql["turn_repeats_off"], {"account": spec.account})
            limits.settle(connection, sql, before, after)
            seconds = None if before.done else run_time(after)
            if seconds is not None:
                connection.execute(sql["insert_duration"], RunTime(spec.model_id, spec.traits, seconds)._asdict())
            audit.append(connection, sql, entry)
            change = change_log.append(connection, self._sql, after, text) if after.revision > before.revision else None
            return True, Saved(after.id, after, change)

        result = await self._writer.write(step, write, brief=True)
        if result is REQUEST_ID_TAKEN:
            raise RequestIdTakenError(after.request_id)
        return bool(result)

    async def get(self, tenant: str, generation_id: GenerationId) -> Generation | None:
        row = self._one("read_generation", id=generation_id, tenant=tenant)
        return None if row is None else generation_of(row)

    async def any(self, generation_id: GenerationId) -> Generation | None:
        row = self._one("read_any_generation", id=generation_id)
        return None if row is None else generation_of(row)

    async def request(self, generation_id: GenerationId) -> PreparedRequest | None:
        row = self._one("read_request", generation_id=generation_id)
        return None if row is None else request_of(row)

    async def by_token(self, token_hash: bytes) -> Generation | None:
        row = self._one("read_generation_by_token", token_hash=token_hash)
        return None if row is None else generation_of(row)

    async def by_request(self, request_id: RequestId) -> Generation | None:
        row = self._one("read_generations_by_request", request_id=request_id)
        return None if row is None else generation_of(row)

    async def page(
        self, tenant: str, wanted: Filter, before: str | None, limit: int
    ) -> tuple[Sequence[Generation], str | None]:
        if wanted.ids is not None or wanted.idempotency_key or wanted.request_ids:
            return self._look_up(tenant, wanted, before, limit)
        found: list[Generation] = []
        last = before or "~"  # sorts behind every id
        for _ in range(ROWS_FOR_A_PAGE // ROWS_AT_ONCE):
            rows = self._rows("read_generations_page", tenant=tenant, before=last, limit=ROWS_AT_ONCE)
            for row in rows:
                last = row["id"]
                generation = generation_of(row)
                if wanted.matches(generation):
                    found.append(generation)
                    if len(found) == limit:
                        return found, last
            if len(rows) < ROWS_AT_ONCE:
                return found, None
            await asyncio.sleep(0)
        return found, last

    def _look_up(
        self, tenant: str, wanted: Filter, before: str | None, limit: int
    ) -> tuple[Sequence[Generation], str | None]:
        """Return the page of a filter by key, by ids or by request ids, whose rows an index finds."""
        if wanted.idempotency_key:
            rows = self._rows("read_generations_by_key", tenant=tenant, key=wanted.idempotency_key)
        elif wanted.request_ids:
            found = (self._rows("read_generations_by_request", request_id=one) for one in wanted.request_ids)
            owned = (row for rows_of_one in found for row in rows_of_one if row["tenant"] == tenant)
            rows = sorted(owned, key=lambda row: str(row["id"]), reverse=True)
        else:
            ids = sorted((i for i in wanted.ids or () if before is None or i < before), reverse=True)
            rows = [row for i in ids if (row := self._one("read_generation", id=i, tenant=tenant)) is not None]
        older = (generation_of(row) for row in rows if before is None or row["id"] < before)
        matching = [generation for generation in older if wanted.matches(generation)]
        page = matching[:limit]
        return page, page[-1].id if len(matching) > limit else None

    async def unfinished(self) -> Sequence[Generation]:
        rows = self._rows("read_unfinished_generations")
        try:
            return [generation_of(row) for row in rows]
        except (ValueError, LookupError, TypeError) as error:
            raise StoreError("a generation in it cannot be read: the file is corrupt") from error

    async def ended_with_stray(self) -> Sequence[Generation]:
        return [generation_of(row) for row in self._rows("read_ended_with_stray")]
