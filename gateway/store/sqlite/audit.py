"""The port `AuditStore` on SQLite (docs/audit.md).

The other parts append entries in the transactions of their changes.
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from gateway.audit import GENESIS, Entry
from gateway.store.auditor import entry_text
from gateway.store.reads import AuditReads
from gateway.store.sqlite import files
from gateway.store.sqlite.database import StorePart, append_entry
from gateway.store.sqlite.files import StoreFileError
from gateway.store.sqlite.writer import Effect

ROWS_PER_BATCH = 1_000
"""Entries of a file that one statement reads."""
_BEFORE_ALL = -(1 << 63)
"""Below the numbers that a row can have: the gateway begins with 1, but a user can insert others."""


class SqliteAudit(StorePart, AuditReads):
    """The methods are described in `gateway/audit.py`."""

    async def record(self, act: str, details: Mapping[str, object]) -> None:
        text = entry_text(act, time.time(), "", "", details)

        def write(connection: sqlite3.Connection) -> Effect:
            append_entry(connection, self._sql, text)
            return None, None

        await self._writer.write(None, write)


def stored(path: Path) -> Iterator[tuple[bytes, Entry]]:
    """Yield the entries in the file of a store, each with the hash before it. A gateway may run on it.

    Raises StoreFileError.
    """
    statement = "SELECT sequence, CAST(text AS BLOB), hash FROM audit WHERE sequence > ? ORDER BY sequence LIMIT ?"
    previous, last = GENESIS, _BEFORE_ALL
    try:
        with closing(files.connect_examiner(path)) as connection:
            while rows := connection.execute(statement, (last, ROWS_PER_BATCH)).fetchall():
                for sequence, text, hash_ in rows:
                    entry = Entry(sequence, text.decode(errors="replace"), hash_)  # a changed one may not be UTF-8
                    yield previous, entry
                    previous, last = entry.hash, entry.sequence
    except sqlite3.Error as error:
        raise StoreFileError(f"{path}: cannot be read as a store ({error})") from error
