"""The migrations of the schema: numbered SQL files, each applied once, in order, and recorded by name.

All of them are applied in one transaction, in which a row is locked, so that gateways that start together take turns.
`pre` files leave the schema usable for the version before, `post` files do not. While only one gateway runs on a
database, both are applied at its start, after it has taken the lease from its predecessor.
"""

import re
import secrets
from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable

import psycopg
from psycopg.rows import TupleRow

from gateway import failpoints
from gateway.store.postgres.errors import ServerError

NAME = re.compile(r"(\d{4})_(pre|post)_\w+\.sql")
LOCK = "lock"
"""The row that is locked while migrations are applied. No file has this name."""

Connection = psycopg.AsyncConnection[TupleRow]


async def missing(connection: Connection, store: str) -> Sequence[Traversable]:
    """Return the files that a database lacks. Raises ServerError if a newer gateway wrote it, or one was left out."""
    files = known()
    cursor = await connection.execute("SELECT name FROM migrations WHERE name <> %s ORDER BY name", [LOCK])
    applied = [str(name) for (name,) in await cursor.fetchall()]
    unknown = [name for name in applied if name not in {file.name for file in files}]
    if unknown:
        raise ServerError(f"{store}: was written by a newer gateway: its migration {unknown[0]} is not known here")
    found = [file for file in files if file.name not in applied]
    if found and applied and found[0].name < applied[-1]:
        raise ServerError(f"{store}: its migration {found[0].name} was left out, but {applied[-1]} applied")
    return found


async def apply(connection: Connection, store: str) -> None:
    """Apply the files that a database lacks. Raises ServerError.

    The connection must be in autocommit mode. `store` is the URL without secrets.
    """
    async with connection.transaction():
        # A large table may take longer than the limits for the statements of a gateway.
        await connection.execute("SET LOCAL statement_timeout = 0")
        await connection.execute("SET LOCAL lock_timeout = 0")
        await _create(connection, store)
        await connection.execute("SELECT FROM migrations WHERE name = %s FOR UPDATE", [LOCK])
        files = await missing(connection, store)
        for file in files:
            await connection.execute(file.read_bytes())
            await connection.execute("INSERT INTO migrations (name) VALUES (%s)", [file.name])
        await connection.execute(
            "INSERT INTO meta (name, value) VALUES ('epoch', %s), ('token_secret', %s) ON CONFLICT DO NOTHING",
            [secrets.token_hex(4), secrets.token_hex(32)],
        )
        if files:
            failpoints.before("migration")
    if files:
        failpoints.after("migration")


def known() -> Sequence[Traversable]:
    """Return the files in their order."""
    folder = resources.files("gateway.store") / "sql" / "postgres" / "migrations"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    assert all(NAME.fullmatch(file.name) for file in files)
    return files


async def _create(connection: Connection, store: str) -> None:
    """Create the table of migrations in an empty schema. Raises ServerError if there are tables of something else."""
    cursor = await connection.execute(
        "SELECT count(*), count(*) FILTER (WHERE tablename = 'migrations') FROM pg_tables"
        " WHERE schemaname = current_schema()"
    )
    (tables, ours) = await cursor.fetchone() or (0, 0)
    if ours:
        return
    if tables:
        raise ServerError(f"{store}: has tables, but is no store of this gateway; give it an empty database")
    await connection.execute(
        'CREATE TABLE IF NOT EXISTS migrations (name text COLLATE "C" PRIMARY KEY, time timestamptz DEFAULT now())'
    )
    await connection.execute("INSERT INTO migrations (name) VALUES (%s) ON CONFLICT DO NOTHING", [LOCK])
