"""Makes the SQLite stores of tests cheaper: the suite creates thousands of them.

New ones get their schema by its final statements, in a tenth of the CPU time of all migrations.
`gateway.store.migrations.apply` does everything else as usual, and stores that lack only some migrations run the files
themselves. A test compares both schemas.

Commits do not wait for the disk, because no test crashes the machine. A killed process loses nothing by that.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import lru_cache
from importlib.resources.abc import Traversable
from pathlib import Path

from gateway.store import files, migrations

migrated = migrations.script
connected = files.connect_writer


def install() -> None:
    """Let this process, and those that are forked from it, have cheaper stores."""
    migrations.script = created
    files.connect_writer = connected_without_sync
    created(migrations._files())


def connected_without_sync(path: Path) -> sqlite3.Connection:
    """Replace `files.connect_writer`."""
    connection = connected(path)
    connection.execute("PRAGMA synchronous=OFF")
    return connection


def created(missing: Sequence[Traversable]) -> str:
    """Replace `migrations.script`."""
    if missing and missing[0].name == migrations.COUNTED[0]:
        return final(tuple(missing))
    return migrated(missing)


@lru_cache
def final(files: Sequence[Traversable]) -> str:
    """Return the statements that create what migrations create in an empty database."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(migrated(files))
        return "\n".join(line for line in database.iterdump() if line not in ("BEGIN TRANSACTION;", "COMMIT;"))
