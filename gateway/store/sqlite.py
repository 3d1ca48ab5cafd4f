"""The store on SQLite: one process, one writer thread, durable at every commit (docs/decisions/0005)."""

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
    Delivered,
    Delivery,
    Filter,
    Listener,
    Removal,
    RequestIdTakenError,
    Saved,
    StoreError,
)
from gateway.store import files
from gateway.store.agents import SqliteAgentStore
from gateway.store.archive import SqliteCopies
from gateway.store.callbacks import SqliteCallbacks
from gateway.store.codec import (
    at_revision,
    event_columns,
    event_of,
    generation_of,
    progress_columns,
    request_columns,
    request_of,
    shown,
    spec_columns,
)
from gateway.store.mark import Mark
from gateway.store.writer import Effect, Writer

log = logging.getLogger(__name__)

SCANNED_AT_ONCE = 200
"""Rows read in one go before other work gets its turn; also keeps readers from pinning the log for long."""
SCANNED_FOR_A_PAGE = 5_000
PROBED = 32 * 1024
"""Bytes that are written twice over before a store in trouble counts as mended."""
TAKEN = object()
WriterFrom = Callable[[sqlite3.Connection, Callable[[Sequence[Saved]], None], Callable[[Exception], None]], Writer]


class SqliteStore:
    """A store file, open until `close`; one process per file. Raises `files.StoreFileError` for a file it refuses.

    `writer` makes the writer, given the connection, a listener for commits, and a function to call if the disk fails.
    `declared`: it is opened to declare what it is, whatever its mark says (`gateway/store/restore.py`).
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
            self._sql = sql = files.queries()
            self._reader = files.connect_reader(path)
            self._epoch, commits, _ = files.known(self._reader)
            mark = None if declared else Mark(path)
        except BaseException:
            self._lock.close()
            raise
        self._listeners: list[Listener] = []
        self._writer = writer(writing, self._tell, broken)
        if mark is not None:
            self._writer.count_in(mark, commits)
        self.callbacks = SqliteCallbacks(self._writer, self._sql, self._all)
        self.copies = SqliteCopies(self._writer, self._all, sql)

    @property
    def epoch(self) -> str:
        """Which life of this store its positions belong to."""
        return self._epoch

    @property
    def writer(self) -> Writer:
        """The one writer, for what has a module of its own beside this."""
        return self._writer

    @property
    def statements(self) -> Mapping[str, str]:
        """All statements, by name; for the same."""
        return self._sql

    def rows(self, name: str, *values: object) -> list[sqlite3.Row]:
        """What a reading statement finds; for the same. Raises StoreError."""
        return self._all(name, *values)

    @property
    def trouble(self) -> str:
        """Why it cannot be written; empty while it can."""
        return self._writer.trouble

    @property
    def writes_refused(self) -> int:
        """How many writes it could not take."""
        return self._writer.refused

    async def probe(self) -> None:
        """Write as much as a submission may need, and take it back: both have to be committed."""
        for size in (PROBED, 0):

            def write(connection: sqlite3.Connection, size: int = size) -> Effect:
                connection.execute(self._sql["probe"], (size,))
                return None, None

            await self._writer.write(None, write)
        self._writer.mended()

    def agents(self) -> SqliteAgentStore:
        """What is kept of conversations."""
        return SqliteAgentStore(self._writer, self._all, self._sql)

    def listen(self, listener: Listener) -> None:
        """Have every commit told."""
        self._listeners.append(listener)

    def newest_steady(self) -> Steady:
        """The latest steady time that was stored: the clock goes on from there, never back."""
        (latest,) = self._reader.execute(self._sql["newest_steady"]).fetchone()
        return Steady(float(latest))

    async def close(self) -> None:
        """Finish the writes, then let go of the file; the writer closes last, for that checkpoints."""
        self._reader.close()
        await self._writer.close()
        self._lock.close()

    async def claim(self, claim: Claim) -> Claimed:
        """Insert the key, the generation, its prepared request and its first revision; or find the key's generation."""
        spec = claim.generation.spec
        text = shown(claim.generation)

        def write(connection: sqlite3.Connection) -> Effect:
            sql = self._sql
            inserted = connection.execute(
                sql["claim_key"], (spec.tenant, spec.idempotency_key, spec.id, claim.fingerprint, spec.created_at)
            )
            if inserted.rowcount == 0:
                return None, None
            connection.execute(sql["insert_generation"], spec_columns(spec) + progress_columns(claim.generation, text))
            connection.execute(sql["insert_request"], (spec.id, *request_columns(claim.request)))
            change = self._append(connection, claim.generation, text)
            return change, Saved(spec.id, claim.generation, change)

        if await self._writer.write("claim", write, brief=True) is not None:
            return Claimed(claim.generation, new=True, generation_id=spec.id)
        known = await self.known(spec.tenant, spec.idempotency_key, claim.fingerprint)
        if known is None:
            # The caller has to try again.
            raise StoreError("the key was freed at the same time")
        return known

    async def known(self, tenant: str, key: IdempotencyKey, fingerprint: bytes) -> Claimed | None:
        """What the key stands for."""
        row = self._one("read_key", tenant, key)
        if row is None:
            return None
        generation_id, stored, deleted = row
        found = self._one("read_generation", generation_id, tenant)
        generation = None if found is None else generation_of(found)
        gone = bool(deleted) or generation is None
        used = bytes(stored)
        return Claimed(generation, False, generation_id, conflict=used != fingerprint, deleted=gone, fingerprint=used)

    async def save(self, before: Generation, after: Generation, step: str = "save") -> bool:
        """Replace `before` by `after` if nobody wrote in between."""

        text = shown(after)

        def write(connection: sqlite3.Connection) -> Effect:
            sql = self._sql
            try:
                updated = connection.execute(
                    sql["update_generation"], (*progress_columns(after, text), before.id, before.version)
                )
            except sqlite3.IntegrityError:
                return TAKEN, None
            if updated.rowcount == 0:
                return False, None
            if settles(before, after):
                connection.execute(sql["erase_request"], (before.id,))
            if frees_key(before, after):
                spec = after.spec
                connection.execute(sql["free_key"], (spec.tenant, spec.idempotency_key, spec.id))
            if latches(before, after):
                connection.execute(sql["latch_repeats_off"], (after.spec.account,))
            seconds = None if before.done else run_time(after)
            if seconds is not None:
                connection.execute(sql["insert_duration"], (after.spec.model_id, seconds))
            change = self._append(connection, after, text) if after.revision > before.revision else None
            return True, Saved(after.id, after, change)

        result = await self._writer.write(step, write, brief=True)
        if result is TAKEN:
            raise RequestIdTakenError(after.request_id)
        return bool(result)

    async def get(self, tenant: str, generation_id: GenerationId) -> Generation | None:
        """The generation, of any state."""
        row = self._one("read_generation", generation_id, tenant)
        return None if row is None else generation_of(row)

    async def any(self, generation_id: GenerationId) -> Generation | None:
        """The generation, whoever's it is."""
        row = self._one("read_any_generation", generation_id)
        return None if row is None else generation_of(row)

    async def request(self, generation_id: GenerationId) -> PreparedRequest | None:
        """The prepared request, while there is one."""
        row = self._one("read_request", generation_id)
        return None if row is None else request_of(tuple(row))

    async def unfinished(self) -> Sequence[Generation]:
        """All that have not ended, oldest first."""
        rows = self._all("read_unfinished")
        try:
            return [generation_of(row) for row in rows]
        except (ValueError, LookupError, TypeError) as error:
            raise StoreError("a generation in it cannot be read: the file is corrupt") from error

    async def page(
        self, tenant: str, wanted: Filter, before: str | None, limit: int
    ) -> tuple[Sequence[Generation], str | None]:
        """Newest first; gives up for this page after some thousand rows that do not match."""
        if wanted.ids is not None or wanted.idempotency_key:
            return self._few(tenant, wanted, before, limit)
        found: list[Generation] = []
        last = before or "~"  # sorts behind every id
        for _ in range(SCANNED_FOR_A_PAGE // SCANNED_AT_ONCE):
            rows = self._all("read_page", tenant, last, SCANNED_AT_ONCE)
            for row in rows:
                last = row["id"]
                generation = generation_of(row)
                if wanted.matches(generation):
                    found.append(generation)
                    if len(found) == limit:
                        return found, last
            if len(rows) < SCANNED_AT_ONCE:
                return found, None
            await asyncio.sleep(0)
        return found, last

    async def history(self, generation_id: GenerationId, after_revision: int, limit: int) -> Sequence[Generation]:
        """The generation at each revision after that one."""
        row = self._one("read_any_generation", generation_id)
        if row is None:
            return []
        now = generation_of(row)
        rows = self._all("read_history", generation_id, after_revision, limit)
        return [at_revision(now, row["revision"], row["shown"]) for row in rows]

    async def changes(self, tenant: str, after_position: int, limit: int) -> Sequence[Change]:
        """The tenant's changes after that position."""
        changes = []
        for row in self._all("read_changes", tenant, after_position, limit):
            generation: Generation | None = None
            if row["id"] is not None and row["change_shown"]:
                generation = at_revision(generation_of(row), row["revision"], row["change_shown"])
            changes.append(Change(row["position"], tenant, row["generation_id"], generation))
        return changes

    async def horizon(self, tenant: str) -> int:
        """The highest position that retention removed."""
        row = self._one("read_horizon", tenant)
        return 0 if row is None else int(row[0])

    async def position(self) -> int:
        """The position of the newest commit."""
        row = self._one("read_position")
        return 0 if row is None else int(row[0])

    async def announced(self) -> None:
        """Return when all that was committed before has been told: a write of nothing comes behind it."""
        await self._writer.write(None, lambda _: (None, None))

    async def ended_with_stray(self) -> Sequence[Generation]:
        """Ended ones with a second request."""
        return [generation_of(row) for row in self._all("read_ended_with_stray")]

    async def delete(self, generation: Generation, *, at_upstream: bool, steady: Steady) -> None:
        """Remove it with all its content; leave its key used, a trace, and what is to be removed at Higgsfield."""
        spec = generation.spec

        def write(connection: sqlite3.Connection) -> Effect:
            sql = self._sql
            removed = connection.execute(sql["delete_generation"], (spec.id,))
            if removed.rowcount == 0:
                return None, None
            connection.execute(sql["erase_request"], (spec.id,))
            (last,) = connection.execute(sql["last_position_of"], (spec.id,)).fetchone()
            connection.execute(sql["raise_horizon"], (spec.tenant, last or 0))
            connection.execute(sql["delete_changes"], (spec.id,))
            connection.execute(sql["delete_deliveries"], (spec.id,))
            connection.execute(sql["delete_events"], (spec.id,))
            connection.execute(sql["remove_copies"], (spec.id,))
            connection.execute(sql["bury_key"], (steady, spec.tenant, spec.idempotency_key, spec.id))
            if at_upstream:
                removal = (spec.id, generation.request_id, spec.account, spec.origin)
                connection.execute(sql["insert_removal"], removal)
            change = self._append_removal(connection, generation)
            return None, Saved(spec.id, None, change)

        await self._writer.write("delete", write)

    async def deleted(self, tenant: str, generation_id: GenerationId) -> bool | None:
        """None: it was not deleted, or too long ago. Else whether Higgsfield removed its data too."""
        row = self._one("was_deleted", generation_id, tenant)
        return None if row is None else row[0] > 1

    async def removals(self) -> Sequence[Removal]:
        """All that are not confirmed, oldest generation first."""
        return [Removal(*row) for row in self._all("read_removals")]

    async def removal(self, generation_id: GenerationId) -> Removal | None:
        """The one of that generation."""
        row = self._one("read_removal", generation_id)
        return None if row is None else Removal(*row)

    async def removed(self, removal: Removal) -> None:
        """Higgsfield has confirmed it."""

        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["delete_removal"], (removal.generation_id,))
            connection.execute(self._sql["confirm_removal"], (removal.generation_id,))
            return None, None

        await self._writer.write("removal", write, brief=True)

    async def prunable(self, ended_before: Steady, keys_before: Steady) -> bool:
        """Whether there is anything to prune."""
        row = self._one("anything_prunable", ended_before, keys_before)
        return row is not None and bool(row[0])

    async def prune(self, ended_before: Steady, keys_before: Steady) -> int:
        """Remove what ended before that steady time, a few hundred at a time, and keys that have served."""

        def write(connection: sqlite3.Connection) -> Effect:
            sql = self._sql
            rows = connection.execute(sql["prunable"], (ended_before, SCANNED_AT_ONCE)).fetchall()
            for generation_id, tenant in rows:
                (last,) = connection.execute(sql["last_position_of"], (generation_id,)).fetchone()
                connection.execute(sql["raise_horizon"], (tenant, last or 0))
                connection.execute(sql["delete_changes"], (generation_id,))
                connection.execute(sql["delete_deliveries"], (generation_id,))
                connection.execute(sql["delete_events"], (generation_id,))
                connection.execute(sql["prune_copies"], (generation_id,))
                connection.execute(sql["orphan_key"], (generation_id,))
                connection.execute(sql["delete_generation"], (generation_id,))
            for tenant, position in connection.execute(sql["prune_removals"], (ended_before,)).fetchall():
                connection.execute(sql["raise_horizon"], (tenant, position))
            connection.execute(sql["prune_keys"], (keys_before,))
            connection.execute(sql["prune_durations"])
            return len(rows), None

        total = 0
        while (count := await self._writer.write("prune", write)) > 0:
            total += count
        return total

    async def by_token(self, token_hash: bytes) -> Generation | None:
        """The generation whose webhook path has this token."""
        row = self._one("read_by_token", token_hash)
        return None if row is None else generation_of(row)

    async def by_request(self, account: str, request_id: RequestId) -> GenerationId | None:
        """Whose request it is."""
        row = self._one("read_by_request", account, request_id)
        return None if row is None else GenerationId(row[0])

    async def deliver(self, delivery: Delivery, wall: Wall) -> Delivered:
        """Keep a webhook until it is dealt with."""

        def write(connection: sqlite3.Connection) -> Effect:
            row = (delivery.generation_id, delivery.name, delivery.request_id, delivery.status, wall, MOST_DELIVERIES)
            if connection.execute(self._sql["insert_delivery"], row).rowcount == 1:
                return Delivered.KEPT, None
            known = connection.execute(self._sql["knows_delivery"], (delivery.generation_id, delivery.name)).fetchone()
            return Delivered.TOO_MANY if known is None else Delivered.KNOWN, None

        result: Delivered = await self._writer.write("delivery", write, brief=True)
        return result

    async def dealt_with(self, delivery: Delivery, *, again: bool = False) -> None:
        """It has had its effect; where it may come again, its name is given free."""
        sql = self._sql["release_delivery" if again else "settle_delivery"]

        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(sql, (delivery.generation_id, delivery.name))
            return None, None

        await self._writer.write("delivery dealt with", write, brief=True)

    async def undealt(self) -> Sequence[Delivery]:
        """What an earlier process did not get to; without what it said, so that it is asked for."""
        return [Delivery(*row) for row in self._all("read_undealt")]

    async def record(self, events: Sequence[tuple[str, Event]]) -> None:
        """Keep events beside the changes."""
        rows = [event_columns(generation_id, event) for generation_id, event in events]

        def write(connection: sqlite3.Connection) -> Effect:
            connection.executemany(self._sql["record_event"], rows)
            return None, None

        await self._writer.write("record", write, brief=True)

    async def events(self, generation_id: GenerationId) -> Sequence[Event]:
        """What was recorded of a generation."""
        return [event_of(tuple(row)) for row in self._all("read_events", generation_id)]

    async def durations(self) -> Sequence[tuple[str, float]]:
        """What is known of how long generations run."""
        return [(row[0], row[1]) for row in self._all("read_durations")]

    async def corrections(self) -> Sequence[Correction]:
        """By how much the steady clock was off, oldest first."""
        return [Correction(row[0], row[1], bool(row[2])) for row in self._all("read_corrections")]

    async def correct(self, correction: Correction, forget: Sequence[Steady] = ()) -> None:
        """Store by how much it is off."""

        def write(connection: sqlite3.Connection) -> Effect:
            connection.executemany(self._sql["forget_correction"], [(since,) for since in forget])
            connection.execute(self._sql["correct"], (correction.since, correction.ahead, correction.placed))
            return None, None

        await self._writer.write("correction", write)

    async def latched_accounts(self) -> frozenset[str]:
        """The accounts for which repeats are off."""
        return frozenset(row[0] for row in self._all("read_latched"))

    async def add_api_key(self, key: ApiKey) -> None:
        """Keep a new key: its hash, never the key itself."""
        row = (key.id, key.tenant, key.name, key.hash, key.create_time)

        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["insert_api_key"], row)
            return None, None

        await self._writer.write("api key", write)

    async def revoke_api_key(self, key_id: str, wall: float) -> None:
        """Note when a key was revoked; the first time stays."""

        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["revoke_api_key"], (wall, key_id))
            return None, None

        await self._writer.write("revocation", write)

    async def api_keys(self) -> Sequence[ApiKey]:
        """All keys that ever were."""
        return [ApiKey(*row) for row in self._all("read_api_keys")]

    def token_secret(self) -> bytes:
        """What watch tokens of this store are signed with."""
        (secret,) = self._reader.execute(self._sql["read_token_secret"]).fetchone()
        return bytes.fromhex(secret)

    def _few(
        self, tenant: str, wanted: Filter, before: str | None, limit: int
    ) -> tuple[Sequence[Generation], str | None]:
        """A search by key or by ids, which names its rows."""
        if wanted.idempotency_key:
            rows = self._all("read_by_key", tenant, wanted.idempotency_key)
        else:
            ids = sorted((i for i in wanted.ids or () if before is None or i < before), reverse=True)
            rows = [row for i in ids if (row := self._one("read_generation", i, tenant)) is not None]
        older = (generation_of(row) for row in rows if before is None or row["id"] < before)
        matching = [generation for generation in older if wanted.matches(generation)]
        page = matching[:limit]
        return page, page[-1].id if len(matching) > limit else None

    def _append(self, connection: sqlite3.Connection, generation: Generation, text: str) -> Change:
        cursor = connection.execute(
            self._sql["insert_change"],
            (
                generation.tenant, generation.id, generation.revision, text, generation.update_time,
            ),
        )  # fmt: skip
        return Change(cursor.lastrowid or 0, generation.tenant, generation.id, generation)

    def _append_removal(self, connection: sqlite3.Connection, generation: Generation) -> Change:
        time = generation.ended_at or generation.spec.created_at
        cursor = connection.execute(self._sql["insert_change"], (generation.tenant, generation.id, 0, "", time))
        return Change(cursor.lastrowid or 0, generation.tenant, generation.id, None)

    def _tell(self, saved: Sequence[Saved]) -> None:
        for listener in self._listeners:
            listener(saved)

    def _one(self, name: str, *values: object) -> sqlite3.Row | None:
        rows = self._all(name, *values)
        return rows[0] if rows else None

    def _all(self, name: str, *values: object) -> list[sqlite3.Row]:
        try:
            return self._reader.execute(self._sql[name], values).fetchall()
        except sqlite3.Error as error:
            if self._listeners:  # before, it is the start that fails, and says so in one line of its own
                log.error("the store cannot be read", extra={"error": str(error)})
            raise StoreError("the store cannot be read") from error
