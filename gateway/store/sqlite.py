"""The store on SQLite: one process, one writing connection, durable at every commit (docs/decisions/0005)."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gateway.access.keys import ApiKey
from gateway.generations.model import (
    Change,
    Event,
    Generation,
    GenerationId,
    IdempotencyKey,
    PreparedRequest,
    RequestId,
    RunTime,
    Steady,
    Wall,
    frees_key,
    latches,
    run_time,
    settles,
)
from gateway.generations.ports import (
    MOST_DELIVERIES,
    Claim,
    Claimed,
    Correction,
    Filter,
    Listener,
    Removal,
    RequestIdTakenError,
    Saved,
    StoreError,
    Webhook,
    WebhookReceipt,
)
from gateway.store import files, statements
from gateway.store.agents import SqliteAgentStore
from gateway.store.archive import SqliteCopies
from gateway.store.callbacks import SqliteCallbacks
from gateway.store.codec import (
    at_revision,
    event_of,
    event_row,
    generation_of,
    progress_row,
    request_of,
    request_row,
    shown,
    spec_row,
)
from gateway.store.mark import Mark
from gateway.store.statements import execute
from gateway.store.writer import Effect, Writer

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 200
"""Rows that one statement reads or removes. Others get their turn afterwards, and no reader pins the log for long."""
ROWS_FOR_A_PAGE = 5_000
"""Rows that one call of `page` examines at most."""
PROBE_SIZE = 32 * 1024
"""Half the bytes that `probe` writes, because they are stored in hexadecimal."""
REQUEST_ID_TAKEN = object()
WriterFrom = Callable[[sqlite3.Connection, Callable[[Sequence[Saved]], None], Callable[[Exception], None]], Writer]


class SqliteStore:
    """The port `Store` on a SQLite file, which is open until `close`. A file has one process.

    `broken` is called if the disk fails. `writer` makes the writer; its arguments are the connection, the listener of
    commits, and `broken`. `declared` opens a file whose state is being declared, whatever its mark says: see
    `gateway/store/restore.py`. Raises `files.StoreFileError` if the file cannot be used.

    The methods are described in `gateway/generations/ports.py`.
    """

    def __init__(
        self,
        path: Path,
        broken: Callable[[Exception], None],
        writer: WriterFrom = Writer,
        *,
        declared: bool = False,
    ) -> None:
        path = path.resolve()
        self._lock = files.lock(path)
        try:
            writing = files.prepare(path, declared=declared)
            self._sql = sql = statements.load()
            self._reader = files.connect_reader(path)
            self._epoch, commits, _ = files.known(self._reader)
            mark = None if declared else Mark(path)
        except BaseException:
            self._lock.close()
            raise
        self._listeners: list[Listener] = []
        self._writer = writer(writing, self._notify, broken)
        if mark is not None:
            self._writer.count_in(mark, commits)
        self.callbacks = SqliteCallbacks(self._writer, self._sql, self.rows)
        self.copies = SqliteCopies(self._writer, self.rows, sql)

    @property
    def epoch(self) -> str:
        return self._epoch

    @property
    def writer(self) -> Writer:
        """The writer, for the stores in other modules that share the file."""
        return self._writer

    @property
    def statements(self) -> Mapping[str, str]:
        """The SQL of each statement by its name, for the same stores."""
        return self._sql

    def rows(self, name: str, /, **values: object) -> list[sqlite3.Row]:
        """Return the rows that a statement reads; `values` are its parameters. Raises StoreError."""
        try:
            return self._reader.execute(self._sql[name], values).fetchall()
        except sqlite3.Error as error:
            if self._listeners:  # without one the gateway is starting, and reports a failed start itself
                log.error("the store cannot be read", extra={"error": str(error)})
            raise StoreError("the store cannot be read") from error

    @property
    def trouble(self) -> str:
        return self._writer.trouble

    @property
    def writes_refused(self) -> int:
        return self._writer.refused

    async def probe(self) -> None:
        """Commit as many bytes as a submission may need, then remove them. Raises StoreError if either fails."""
        for size in (PROBE_SIZE, 0):

            def write(connection: sqlite3.Connection, size: int = size) -> Effect:
                connection.execute(self._sql["write_probe"], {"bytes": size})
                return None, None

            await self._writer.write(None, write)
        self._writer.mended()

    def agents(self) -> SqliteAgentStore:
        """Return the part of the store for conversations with agents."""
        return SqliteAgentStore(self._writer, self.rows, self._sql)

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def newest_steady(self) -> Steady:
        """Return the latest stored steady time, from which the clock continues; 0 in an empty store."""
        (latest,) = self._reader.execute(self._sql["read_newest_steady_time"]).fetchone()
        return Steady(float(latest))

    async def close(self) -> None:
        """Finish the queued writes and release the file."""
        self._reader.close()  # first, so that closing the writer checkpoints the log
        await self._writer.close()
        self._lock.close()

    async def claim(self, claim: Claim) -> Claimed:
        spec = claim.generation.spec
        text = shown(claim.generation)

        def write(connection: sqlite3.Connection) -> Effect:
            sql = self._sql
            request_id = claim.generation.request_id
            if request_id and execute(connection, sql["has_request"], {"request_id": request_id}).fetchone():
                return REQUEST_ID_TAKEN, None
            key = {
                "tenant": spec.tenant,
                "key": spec.idempotency_key,
                "generation_id": spec.id,
                "fingerprint": claim.fingerprint,
                "used_at": spec.created_at,
            }
            if execute(connection, sql["insert_key"], key).rowcount == 0:
                return None, None
            execute(connection, sql["insert_generation"], spec_row(spec) | progress_row(claim.generation, text))
            if claim.request is not None:
                execute(connection, sql["insert_request"], request_row(spec.id, claim.request))
            change = self._append(connection, claim.generation, text)
            return change, Saved(spec.id, claim.generation, change)

        result = await self._writer.write("claim", write, brief=True)
        if result is REQUEST_ID_TAKEN:
            raise RequestIdTakenError(claim.generation.request_id)
        if result is not None:
            return Claimed(claim.generation, new=True, generation_id=spec.id)
        known = await self.known(spec.tenant, spec.idempotency_key, claim.fingerprint)
        if known is None:
            raise StoreError("the key was freed at the same time")  # the caller has to retry
        return known

    async def known(self, tenant: str, key: IdempotencyKey, fingerprint: bytes) -> Claimed | None:
        row = self._one("read_key", tenant=tenant, key=key)
        if row is None:
            return None
        generation = await self.get(tenant, row["generation_id"])
        used = bytes(row["fingerprint"])
        return Claimed(
            generation,
            new=False,
            generation_id=row["generation_id"],
            conflict=used != fingerprint,
            deleted=bool(row["deleted"]) or generation is None,
            fingerprint=used,
        )

    async def save(self, before: Generation, after: Generation, step: str = "save") -> bool:
        text = shown(after)

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
            if latches(before, after):
                connection.execute(sql["turn_repeats_off"], {"account": spec.account})
            seconds = None if before.done else run_time(after)
            if seconds is not None:
                connection.execute(sql["insert_duration"], RunTime(spec.model_id, spec.traits, seconds)._asdict())
            change = self._append(connection, after, text) if after.revision > before.revision else None
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

    async def unfinished(self) -> Sequence[Generation]:
        rows = self.rows("read_unfinished_generations")
        try:
            return [generation_of(row) for row in rows]
        except (ValueError, LookupError, TypeError) as error:
            raise StoreError("a generation in it cannot be read: the file is corrupt") from error

    async def page(
        self, tenant: str, wanted: Filter, before: str | None, limit: int
    ) -> tuple[Sequence[Generation], str | None]:
        if wanted.ids is not None or wanted.idempotency_key or wanted.request_ids:
            return self._look_up(tenant, wanted, before, limit)
        found: list[Generation] = []
        last = before or "~"  # sorts behind every id
        for _ in range(ROWS_FOR_A_PAGE // ROWS_AT_ONCE):
            rows = self.rows("read_generations_page", tenant=tenant, before=last, limit=ROWS_AT_ONCE)
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
            rows = self.rows("read_generations_by_key", tenant=tenant, key=wanted.idempotency_key)
        elif wanted.request_ids:
            found = (self.rows("read_generations_by_request", request_id=one) for one in wanted.request_ids)
            owned = (row for rows_of_one in found for row in rows_of_one if row["tenant"] == tenant)
            rows = sorted(owned, key=lambda row: str(row["id"]), reverse=True)
        else:
            ids = sorted((i for i in wanted.ids or () if before is None or i < before), reverse=True)
            rows = [row for i in ids if (row := self._one("read_generation", id=i, tenant=tenant)) is not None]
        older = (generation_of(row) for row in rows if before is None or row["id"] < before)
        matching = [generation for generation in older if wanted.matches(generation)]
        page = matching[:limit]
        return page, page[-1].id if len(matching) > limit else None

    async def history(self, generation_id: GenerationId, after_revision: int, limit: int) -> Sequence[Generation]:
        now = await self.any(generation_id)
        if now is None:
            return []
        rows = self.rows("read_history", generation_id=generation_id, after_revision=after_revision, limit=limit)
        return [at_revision(now, row["revision"], row["shown"]) for row in rows]

    async def changes(self, tenant: str, after_position: int, limit: int) -> Sequence[Change]:
        changes = []
        for row in self.rows("read_changes", tenant=tenant, after_position=after_position, limit=limit):
            generation: Generation | None = None
            if row["id"] is not None and row["change_shown"]:
                generation = at_revision(generation_of(row), row["revision"], row["change_shown"])
            changes.append(Change(row["position"], tenant, row["generation_id"], generation))
        return changes

    async def horizon(self, tenant: str) -> int:
        row = self._one("read_horizon", tenant=tenant)
        return 0 if row is None else int(row[0])

    async def position(self) -> int:
        row = self._one("read_position")
        return 0 if row is None else int(row[0])

    async def announced(self) -> None:
        # Writes are announced in their order, so an empty write is announced after all earlier ones.
        await self._writer.write(None, lambda _: (None, None))

    async def ended_with_stray(self) -> Sequence[Generation]:
        return [generation_of(row) for row in self.rows("read_ended_with_stray")]

    async def delete(self, generation: Generation, *, at_upstream: bool, steady: Steady) -> None:
        spec = generation.spec
        of = {"generation_id": spec.id}

        def write(connection: sqlite3.Connection) -> Effect:
            sql = self._sql
            removed = connection.execute(sql["delete_generation"], {"id": spec.id})
            if removed.rowcount == 0:
                return None, None
            self._raise_horizon(connection, spec.tenant, spec.id)
            for name in ("delete_request", "delete_changes", "delete_webhooks", "delete_events", "remove_copies"):
                connection.execute(sql[name], of)
            key = {"tenant": spec.tenant, "key": spec.idempotency_key, "used_at": steady}
            connection.execute(sql["mark_key_deleted"], of | key)
            if at_upstream:
                removal = {"request_id": generation.request_id, "account": spec.account, "origin": spec.origin}
                connection.execute(sql["insert_removal"], of | removal)
            change = self._append_removal(connection, generation)
            return None, Saved(spec.id, None, change)

        await self._writer.write("delete", write)

    async def deleted(self, tenant: str, generation_id: GenerationId) -> bool | None:
        row = self._one("read_deletion", generation_id=generation_id, tenant=tenant)
        return None if row is None else row[0] > 1

    async def removals(self) -> Sequence[Removal]:
        return [Removal(**row) for row in self.rows("read_removals")]

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
                self._raise_horizon(connection, tenant, generation_id)
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

    async def by_token(self, token_hash: bytes) -> Generation | None:
        row = self._one("read_generation_by_token", token_hash=token_hash)
        return None if row is None else generation_of(row)

    async def by_request(self, request_id: RequestId) -> Generation | None:
        row = self._one("read_generations_by_request", request_id=request_id)
        return None if row is None else generation_of(row)

    async def store_webhook(self, webhook: Webhook, wall: Wall) -> WebhookReceipt:
        name = {"generation_id": webhook.generation_id, "name": webhook.name}
        content = {"request_id": webhook.request_id, "status": webhook.status, "time": wall}

        def write(connection: sqlite3.Connection) -> Effect:
            row = name | content | {"most": MOST_DELIVERIES}
            if connection.execute(self._sql["insert_webhook"], row).rowcount == 1:
                return WebhookReceipt.KEPT, None
            known = connection.execute(self._sql["has_webhook"], name).fetchone()
            return WebhookReceipt.TOO_MANY if known is None else WebhookReceipt.KNOWN, None

        result: WebhookReceipt = await self._writer.write("delivery", write, brief=True)
        return result

    async def finish_webhook(self, webhook: Webhook, *, again: bool = False) -> None:
        sql = self._sql["mark_webhook_repeatable" if again else "mark_webhook_processed"]
        name = {"generation_id": webhook.generation_id, "name": webhook.name}

        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(sql, name)
            return None, None

        await self._writer.write("webhook processed", write, brief=True)

    async def unprocessed_webhooks(self) -> Sequence[Webhook]:
        # Without the reports, which are not stored: the status is read from Higgsfield instead.
        return [Webhook(**row) for row in self.rows("read_unprocessed_webhooks")]

    async def record(self, events: Sequence[tuple[str, Event]]) -> None:
        rows = [event_row(generation_id, event) for generation_id, event in events]

        def write(connection: sqlite3.Connection) -> Effect:
            connection.executemany(self._sql["insert_event"], rows)
            return None, None

        await self._writer.write("record", write, brief=True)

    async def events(self, generation_id: GenerationId) -> Sequence[Event]:
        return [event_of(row) for row in self.rows("read_events", generation_id=generation_id)]

    async def run_times(self) -> Sequence[RunTime]:
        return [RunTime(row["model_id"], row["traits"], row["seconds"]) for row in self.rows("read_durations")]

    async def corrections(self) -> Sequence[Correction]:
        rows = self.rows("read_corrections")
        return [Correction(row["since"], row["ahead"], bool(row["placed"])) for row in rows]

    async def correct(self, correction: Correction, forget: Sequence[Steady] = ()) -> None:
        row = {"since": correction.since, "ahead": correction.ahead, "placed": correction.placed}

        def write(connection: sqlite3.Connection) -> Effect:
            connection.executemany(self._sql["delete_correction"], [{"since": since} for since in forget])
            connection.execute(self._sql["replace_correction"], row)
            return None, None

        await self._writer.write("correction", write)

    async def latched_accounts(self) -> frozenset[str]:
        return frozenset(row["account"] for row in self.rows("read_accounts_without_repeats"))

    async def add_api_key(self, key: ApiKey) -> None:
        row = {"id": key.id, "tenant": key.tenant, "name": key.name, "hash": key.hash, "create_time": key.create_time}

        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["insert_api_key"], row)
            return None, None

        await self._writer.write("api key", write)

    async def revoke_api_key(self, key_id: str, wall: float) -> None:
        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["revoke_api_key"], {"id": key_id, "revoke_time": wall})
            return None, None

        await self._writer.write("revocation", write)

    async def api_keys(self) -> Sequence[ApiKey]:
        return [ApiKey(**row) for row in self.rows("read_api_keys")]

    def token_secret(self) -> bytes:
        """Return the secret that signs this store's watch tokens."""
        (secret,) = self._reader.execute(self._sql["read_token_secret"]).fetchone()
        return bytes.fromhex(secret)

    def _append(self, connection: sqlite3.Connection, generation: Generation, text: str) -> Change:
        position = self._insert_change(connection, generation, generation.revision, text, generation.update_time)
        return Change(position, generation.tenant, generation.id, generation)

    def _append_removal(self, connection: sqlite3.Connection, generation: Generation) -> Change:
        time = generation.ended_at or generation.spec.created_at
        position = self._insert_change(connection, generation, 0, "", time)
        return Change(position, generation.tenant, generation.id, None)

    def _insert_change(
        self, connection: sqlite3.Connection, generation: Generation, revision: int, text: str, time: float
    ) -> int:
        row = {
            "tenant": generation.tenant,
            "generation_id": generation.id,
            "revision": revision,
            "shown": text,
            "time": time,
        }
        return execute(connection, self._sql["insert_change"], row).lastrowid or 0

    def _raise_horizon(self, connection: sqlite3.Connection, tenant: str, generation_id: str) -> None:
        """Raise the horizon of a tenant to the last change of a generation that is being removed."""
        (last,) = connection.execute(self._sql["read_last_position"], {"generation_id": generation_id}).fetchone()
        connection.execute(self._sql["raise_horizon"], {"tenant": tenant, "horizon": last or 0})

    def _notify(self, saved: Sequence[Saved]) -> None:
        for listener in self._listeners:
            listener(saved)

    def _one(self, name: str, /, **values: object) -> sqlite3.Row | None:
        rows = self.rows(name, **values)
        return rows[0] if rows else None
