"""Makes the SQLite stores of tests cheaper: the suite creates thousands of them.

New ones get their schema with the file, in a small part of the CPU time of all migrations.
`gateway.store.sqlite.migrations.apply` does everything else as usual, and stores that lack only some migrations run the
files themselves. A test compares both schemas.

Commits and marks do not wait for the disk, because no test crashes the machine. A killed process loses nothing by that.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import cache
from importlib.resources.abc import Traversable
from pathlib import Path

from gateway.store.sqlite import files, mark, migrations

migrated = migrations.script
connected = files.connect_writer
_recorded: list[bool] = []
"""One flag: False if the store of the last connection has the schema, but not yet the record of its migrations."""


def install() -> None:
    """Let this process, and those that are forked from it, have cheaper stores."""
    migrations.script = created
    files.connect_writer = connect_writer
    mark.fsync = lambda _: None
    schema(migrations.folder())


def connect_writer(path: Path) -> sqlite3.Connection:
    """Replace `files.connect_writer`."""
    if path.exists() and not path.stat().st_size:  # `files.prepare` has created it
        path.write_bytes(schema(migrations.folder()))
    connection = connected(path)
    connection.execute("PRAGMA synchronous=OFF")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    _recorded[:] = [bool(version) or not tables]  # a process may have been killed before it recorded them
    return connection


def created(missing: Sequence[Traversable]) -> str:
    """Replace `migrations.script`."""
    if _recorded == [False]:
        _recorded.clear()
        return ""
    return migrated(missing)


@cache
def schema(folder: Traversable) -> bytes:
    """Return the file of a database that has what the migrations of a folder create, and not their names."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(migrated(migrations._files()))
        database.execute(f"PRAGMA application_id={migrations.APPLICATION_ID}")
        return database.serialize()
