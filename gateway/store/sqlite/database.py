"""The open SQLite file that all parts of the store share (docs/decisions/0005)."""

import asyncio
import json
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from gateway.audit import GENESIS, chained
from gateway.generations.stores import Listener, Saved, StoreError
from gateway.store import statements
from gateway.store.auditor import Auditor
from gateway.store.codec import Row
from gateway.store.reads import StoreReads
from gateway.store.sqlite import files
from gateway.store.sqlite.mark import Mark
from gateway.store.sqlite.writer import Effect, Write, Writer
from gateway.store.writes import StoreWrites

log = logging.getLogger(__name__)

T = TypeVar("T")
PRUNE_BATCH_SIZE = 200
"""Rows that retention deletes in one commit. Other writes wait for it."""

WriterFrom = Callable[[sqlite3.Connection, Callable[[Sequence[Saved]], None], Callable[[Exception], None]], Writer]
"""Makes the writer, from the connection, the listener of commits, and `broken`."""
Values = Mapping[str, object]


class Database:
    """A SQLite file, which is open until `close`. A file has one process.

    `path` is the file, `writer` commits, `sql` has the SQL of each statement by its name, `auditor` makes the entries
    of the audit log, and `epoch` names this history of the store. The parameters are those of `SqliteStore`. Raises
    `files.StoreFileError` if the file cannot be used.
    """

    def __init__(self, path: Path, broken: Callable[[Exception], None], writer: WriterFrom, *, declared: bool) -> None:
        self.path = path = path.resolve()
        self._lock = files.lock(path)
        try:
            writing = files.prepare(path, declared=declared)
            self.sql = statements.load()
            self._reader = files.connect_reader(path)
            state = files.store_state(self._reader)
            self.epoch = state.epoch
            mark = None if declared else Mark(path)
        except BaseException:
            self._lock.close()
            raise
        self.auditor = Auditor()
        self._listeners: list[Listener] = []
        self.writer = writer(writing, self._notify, broken)
        if mark is not None:
            self.writer.count_in(mark, state.commits)

    def rows(self, name: str, /, **values: object) -> list[sqlite3.Row]:
        """Return the rows that a statement reads; `values` are its parameters. Raises StoreError."""
        try:
            return self._reader.execute(self.sql[name], values).fetchall()
        except sqlite3.Error as error:
            if self._listeners:  # without one the gateway is starting, and reports a failed start itself
                log.error("the store cannot be read", extra={"error": str(error)})
            raise StoreError("the store cannot be read") from error

    def listen(self, listener: Listener) -> None:
        """Call `listener` with each group of commits; see `ChangeLog.listen`."""
        self._listeners.append(listener)

    async def close(self) -> None:
        """Finish the queued writes and release the file."""
        self._reader.close()  # first, so that closing the writer checkpoints the log
        await self.writer.close()
        self._lock.close()

    def _notify(self, saved: Sequence[Saved]) -> None:
        for listener in self._listeners:
            listener(saved)


class StorePart(StoreReads, StoreWrites):
    """A part of the store: one port, on the database that all parts share."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writer = database.writer
        self._auditor = database.auditor
        self._sql = database.sql

    async def _rows(self, name: str, /, **values: object) -> Sequence[Row]:
        return self._database.rows(name, **values)

    async def _rows_aside(self, name: str, values: Values, convert: Callable[[Row], T]) -> list[T]:
        def read() -> list[T]:
            with closing(files.connect_reader(self._database.path)) as reader:
                return [convert(row) for row in reader.execute(self._sql[name], values)]

        try:  # in a thread and on another connection, so that other reads need not wait
            return await asyncio.to_thread(read)
        except sqlite3.Error as error:
            raise StoreError("the store cannot be read") from error

    def _array(self, values: Sequence[str] | Sequence[int]) -> str:
        return json.dumps([*values])

    async def _write(self, step: str | None, *statements: tuple[str, Values], brief: bool = False) -> bool:
        """Execute statements in one commit, and return whether the first one changed a row; see `Writer.write`."""

        def write(connection: sqlite3.Connection) -> Effect:
            rows = [connection.execute(self._sql[name], values).rowcount for name, values in statements]
            return bool(rows) and rows[0] > 0, None

        return bool(await self._writer.write(step, write, brief=brief))

    async def _change(self, step: str, name: str, values: Values, entry: str | None = None) -> bool:
        def write(connection: sqlite3.Connection) -> Effect:
            changed = connection.execute(self._sql[name], values).rowcount > 0
            if changed:
                append_entry(connection, self._sql, entry)
            return changed, None

        return bool(await self._writer.write(step, write))

    async def _prune_all(self, name: str, values: Values) -> None:
        def write(connection: sqlite3.Connection) -> Effect:
            return connection.execute(self._sql[name], {**values, "limit": PRUNE_BATCH_SIZE}).rowcount, None

        await self._repeat_prune(write)

    async def _repeat_prune(self, write: Write) -> int:
        """Repeat a write as long as it deletes PRUNE_BATCH_SIZE rows, and return how many it deleted in all."""
        total, count = 0, PRUNE_BATCH_SIZE
        while count == PRUNE_BATCH_SIZE:
            count = await self._writer.write("prune", write)
            total += count
        return total


def append_entry(connection: sqlite3.Connection, sql: Mapping[str, str], text: str | None) -> None:
    """Append an entry to the audit log in the transaction of its change; nothing if there is none."""
    if text is None:
        return
    number, previous = connection.execute(sql["read_audit_head"]).fetchone() or (0, GENESIS)
    number += 1
    row = {"sequence": number, "text": text, "hash": chained(previous, number, text)}
    statements.execute(connection, sql["insert_audit"], row)
