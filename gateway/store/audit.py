"""The audit log on SQLite: the port `AuditStore`, and what the other parts of the store append (docs/audit.md).

An entry is written in the transaction of its change, so that there is one if and only if the other is stored.
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from gateway.audit import GENESIS, Entry, Head, chained
from gateway.store import files
from gateway.store.auditor import described
from gateway.store.database import StorePart
from gateway.store.files import StoreFileError
from gateway.store.statements import execute
from gateway.store.writer import Effect

ROWS_AT_ONCE = 1_000
"""Entries of a file that one statement reads."""


def append(connection: sqlite3.Connection, sql: Mapping[str, str], text: str | None) -> None:
    """Append an entry in the transaction of its change; nothing if there is none."""
    if text is None:
        return
    number, previous = connection.execute(sql["read_audit_head"]).fetchone() or (0, GENESIS)
    number += 1
    row = {"sequence": number, "text": text, "hash": chained(previous, number, text)}
    execute(connection, sql["insert_audit"], row)


class SqliteAudit(StorePart):
    """The methods are described in `gateway/audit.py`."""

    async def audit_head(self) -> Head:
        row = self._one("read_audit_head")
        return Head() if row is None else Head(*row)

    async def audit_entries(self, first: int, limit: int) -> Sequence[Entry]:
        return [Entry(*row) for row in self._rows("read_audit", first=first, limit=limit)]

    async def record(self, act: str, details: Mapping[str, object]) -> None:
        text = described(act, time.time(), "", "", details)

        def write(connection: sqlite3.Connection) -> Effect:
            append(connection, self._sql, text)
            return None, None

        await self._writer.write(None, write)


def stored(path: Path) -> Iterator[tuple[bytes, Entry]]:
    """Yield the entries in the file of a store, each with the hash before it. A gateway may run on it.

    Raises StoreFileError.
    """
    statement = "SELECT sequence, text, hash FROM audit WHERE sequence > ? ORDER BY sequence LIMIT ?"
    previous, last = GENESIS, 0
    try:
        with closing(files.connect_examiner(path)) as connection:
            while rows := connection.execute(statement, (last, ROWS_AT_ONCE)).fetchall():
                for row in rows:
                    entry = Entry(*row)
                    yield previous, entry
                    previous, last = entry.hash, entry.sequence
    except sqlite3.Error as error:
        raise StoreFileError(f"{path}: cannot be read as a store ({error})") from error
