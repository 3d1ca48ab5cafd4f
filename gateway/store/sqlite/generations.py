"""The port `GenerationStore` on SQLite."""

import sqlite3
from collections.abc import Sequence

from gateway.generations.model import Generation, RunTime, frees_key, run_time, settles, turns_repeats_off
from gateway.generations.stores import RequestIdTakenError, Saved, StoreError
from gateway.store.codec import generation_of, progress_row, shown
from gateway.store.reads import GenerationReads
from gateway.store.sqlite import change_log, limits
from gateway.store.sqlite.claims import has_request
from gateway.store.sqlite.database import StorePart, append_entry
from gateway.store.sqlite.writer import Effect
from gateway.store.statements import execute


class SqliteGenerations(StorePart, GenerationReads):
    """The methods are described in `gateway/generations/stores.py`."""

    async def save(self, before: Generation, after: Generation, step: str = "save") -> bool:
        text = shown(after)
        entry = self._auditor.save(before, after, step)

        def write(connection: sqlite3.Connection) -> Effect:
            sql, spec = self._sql, after.spec
            row = {**progress_row(after, text), "id": spec.id, "version_before": before.version}
            binds = after.request_id if after.request_id != before.request_id else None
            if binds and has_request(connection, sql, binds, spec.id):
                return RequestIdTakenError(binds), None
            updated = execute(connection, sql["update_generation"], row)
            if updated.rowcount == 0:
                return False, None
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
            append_entry(connection, sql, entry)
            change = change_log.append(connection, sql, after, text) if after.revision > before.revision else None
            return True, Saved(spec.id, after, change)

        result = await self._writer.write(step, write, brief=True)
        if isinstance(result, RequestIdTakenError):
            raise result
        return bool(result)

    async def unfinished(self) -> Sequence[Generation]:
        rows = await self._rows("read_unfinished_generations")
        try:
            return [generation_of(row) for row in rows]
        except (ValueError, LookupError, TypeError) as error:
            raise StoreError("a generation in it cannot be read: the file is corrupt") from error
