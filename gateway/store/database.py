"""The open SQLite file that all parts of the store share (docs/decisions/0005)."""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.generations.stores import Listener, Saved, StoreError
from gateway.store import files, statements
from gateway.store.auditor import Auditor
from gateway.store.mark import Mark
from gateway.store.writer import Writer

log = logging.getLogger(__name__)

WriterFrom = Callable[[sqlite3.Connection, Callable[[Sequence[Saved]], None], Callable[[Exception], None]], Writer]
"""Makes the writer, from the connection, the listener of commits, and `broken`."""


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
            known = files.known(self._reader)
            self.epoch = known.epoch
            mark = None if declared else Mark(path)
        except BaseException:
            self._lock.close()
            raise
        self.auditor = Auditor()
        self._listeners: list[Listener] = []
        self.writer = writer(writing, self._notify, broken)
        if mark is not None:
            self.writer.count_in(mark, known.commits)

    def rows(self, name: str, /, **values: object) -> list[sqlite3.Row]:
        """Return the rows that a statement reads; `values` are its parameters. Raises StoreError."""
        try:
            return self._reader.execute(self.sql[name], values).fetchall()
        except sqlite3.Error as error:
            if self._listeners:  # without one the gateway is starting, and reports a failed start itself
                log.error("the store cannot be read", extra={"error": str(error)})
            raise StoreError("the store cannot be read") from error

    def one(self, name: str, /, **values: object) -> sqlite3.Row | None:
        """Return the first row that a statement reads; None if there is none. Raises StoreError."""
        rows = self.rows(name, **values)
        return rows[0] if rows else None

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


class StorePart:
    """A part of the store: one port, on the database that all parts share."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writer = database.writer
        self._auditor = database.auditor
        self._sql = database.sql
        self._rows = database.rows
        self._one = database.one
