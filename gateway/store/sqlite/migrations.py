"""The migrations of a SQLite store: numbered SQL files, each applied once, in order, and recorded by name."""

import re
import secrets
import sqlite3
from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable

from gateway import failpoints

APPLICATION_ID = 0x68666777  # "hfgw"
COUNTED_MIGRATIONS = (
    "0001_pre_first.sql", "0002_pre_catalogs.sql", "0003_pre_characters.sql", "0004_pre_agents.sql",
    "0005_pre_archive.sql", "0007_callbacks.sql", "0008_nothing_scanned.sql",
)  # fmt: skip
"""The first migrations, in the order in which early gateways applied them.

Those stored no names, only the number of applied migrations, as `user_version`.
"""
UNUSED_NUMBER = 6
"""The number that no migration has. A file that gets it later is applied to existing stores, too."""
FILE_NAME = re.compile(r"(\d{4})_\w+\.sql")


class MigrationError(Exception):
    """The migration files or those of a store are inconsistent. The message is one line for the operator."""


def check(connection: sqlite3.Connection) -> tuple[int, Sequence[Traversable]]:
    """Return the number of a database's migrations and the files that it lacks. Changes nothing.

    Raises MigrationError if a newer gateway wrote the database, or if a migration in between is missing.
    """
    known = {file.name: file for file in _files()}
    applied = _applied(connection)
    unknown = [name for name in applied if name not in known]
    if unknown:
        raise MigrationError(f"was written by a newer gateway: its migration {unknown[0]} is not known here")
    missing = [file for name, file in known.items() if name not in applied]
    left_out = [file.name for file in missing if applied and file.name < applied[-1] and _number(file) != UNUSED_NUMBER]
    if left_out:
        raise MigrationError(f"does not add up: its migration {left_out[0]} was left out, but {applied[-1]} applied")
    (count,) = connection.execute("PRAGMA user_version").fetchone()
    if count > len(applied):
        raise MigrationError(f"was written by a newer gateway (schema {count}, known up to {len(applied)})")
    return len(applied), missing


def apply(connection: sqlite3.Connection, missing: Sequence[Traversable]) -> None:
    """Apply the missing files in one transaction, and record the names of all migrations of the database."""
    applied = [*_applied(connection), *(file.name for file in missing)]
    if not missing and _has_names(connection):
        return
    names = ", ".join(f"('{name}')" for name in applied)
    connection.create_function("random_hex", 1, secrets.token_hex)
    connection.executescript(  # all parts come from the package, none from a caller
        f"BEGIN EXCLUSIVE; {script(missing)} "  # noqa: S608
        "CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID; "
        f"INSERT OR IGNORE INTO migrations VALUES {names}; "
        "INSERT OR IGNORE INTO meta VALUES ('epoch', random_hex(4)), ('token_secret', random_hex(32)); "
        f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={len(applied)};"
    )
    failpoints.before("migration")
    connection.execute("COMMIT")
    failpoints.after("migration")


def script(files: Sequence[Traversable]) -> str:
    """Return the statements of migration files."""
    return "".join(file.read_text() for file in files)


def folder() -> Traversable:
    """Return the folder of the migration files."""
    return resources.files("gateway.store") / "sql" / "sqlite" / "migrations"


def _applied(connection: sqlite3.Connection) -> list[str]:
    """Return the names of a database's migrations in their order."""
    if _has_names(connection):
        return [str(name) for (name,) in connection.execute("SELECT name FROM migrations ORDER BY name")]
    (count,) = connection.execute("PRAGMA user_version").fetchone()
    return list(COUNTED_MIGRATIONS[:count])


def _has_names(connection: sqlite3.Connection) -> bool:
    """Return whether the database has the table of names, which early gateways did not create."""
    found = connection.execute("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'migrations'")
    return found.fetchone() is not None


def _files() -> list[Traversable]:
    """Return all files in the order of their numbers. Raises MigrationError for a wrong name or number."""
    files = sorted((file for file in folder().iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    wrong = [file.name for file in files if not FILE_NAME.fullmatch(file.name)]
    if wrong:
        raise MigrationError(f"{wrong[0]} is not the name of a migration")
    numbers = [_number(file) for file in files]
    for number in range(1, max(numbers, default=0) + 1):
        if numbers.count(number) > 1:
            raise MigrationError(f"two migrations have the number {number:04}")
        if number not in numbers and number != UNUSED_NUMBER:
            raise MigrationError(f"there is no migration {number:04}")
    return files


def _number(file: Traversable) -> int:
    return int(file.name[:4])
