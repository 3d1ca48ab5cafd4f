"""Gives new SQLite stores their schema by its final statements, in a tenth of the CPU time of all migrations.

The suite creates thousands of stores. `gateway.store.migrations.apply` does everything else as usual, and stores that
lack only some migrations run the files themselves. A test compares both schemas.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import lru_cache
from importlib.resources.abc import Traversable

from gateway.store import migrations

migrated = migrations.script


def shorten() -> None:
    """Let this process, and those that are forked from it, create new stores by the final statements."""
    migrations.script = created
    created(migrations._files())


def created(files: Sequence[Traversable]) -> str:
    """Replace `migrations.script`."""
    script = migrated(files)
    return final(script) if files and files[0].name == migrations.COUNTED[0] else script


@lru_cache
def final(script: str) -> str:
    """Return the statements that create what a script creates in an empty database."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(script)
        return "\n".join(line for line in database.iterdump() if line not in ("BEGIN TRANSACTION;", "COMMIT;"))
