"""The migrations of the schema: numbered SQL files, each applied once, in order, and recorded by name.

They are applied in a transaction in which a row is locked, so that gateways that start together take turns.

- `pre` files leave the schema usable for every version that knows the `post` files before them. A gateway applies them
  when it starts, beside a running older one.
- `post` files do not. The holder of the lease applies them when no process runs that does not know them. An older
  version that takes the lease after that is refused.
"""

import asyncio
import itertools
import logging
import re
import secrets
from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable

import psycopg
from psycopg.rows import TupleRow

from gateway import failpoints
from gateway.store.postgres.database import LOCK_TIMEOUT
from gateway.store.postgres.errors import ServerError
from gateway.store.postgres.lease import LEASE_TIMEOUT

log = logging.getLogger(__name__)

FILE_NAME = re.compile(r"(\d{4})_(pre|post)_\w+\.sql")
LOCK = "lock"
"""The row that is locked while migrations are applied. No file has this name."""

Connection = psycopg.AsyncConnection[TupleRow]


async def missing(connection: Connection, store: str) -> Sequence[Traversable]:
    """Return the files that a database lacks. Raises ServerError if this version cannot use it, or one was left out."""
    files = known()
    cursor = await connection.execute("SELECT name FROM migrations WHERE name <> %s ORDER BY name", [LOCK])
    applied = [str(name) for (name,) in await cursor.fetchall()]
    unknown = [name for name in applied if name not in {file.name for file in files} and not _is_pre(name)]
    if unknown:
        raise ServerError(f"{store}: was written by a newer gateway: its migration {unknown[0]} is not known here")
    found = [file for file in files if file.name not in applied]
    if found and applied and found[0].name < applied[-1]:
        raise ServerError(f"{store}: its migration {found[0].name} was left out, but {applied[-1]} applied")
    return found


async def exist(connection: Connection, store: str) -> bool:
    """Return whether there is a table of migrations; False in an empty schema.

    Raises ServerError if there are tables of something else, or the schema hides a store.
    """
    cursor = await connection.execute(
        "SELECT count(*), count(*) FILTER (WHERE tablename = 'migrations') FROM pg_tables"
        " WHERE schemaname = current_schema()"
    )
    (tables, ours) = await cursor.fetchone() or (0, 0)
    if tables and not ours:
        raise ServerError(f"{store}: has tables, but is no store of this gateway; give it an empty database")
    if not ours:
        await _check_hides_nothing(connection, store)
    return bool(ours)


async def _check_hides_nothing(connection: Connection, store: str) -> None:
    """Raise ServerError if an empty schema comes before that of a store in the search_path.

    A second store would be created, which does not know what was sent. A schema gets there if it is created later with
    the name of the role.
    """
    cursor = await connection.execute(
        "SELECT current_schema(), nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
        " WHERE pg_class.oid IN (to_regclass('migrations'), to_regclass('lease')) AND nspname <> current_schema()"
        " GROUP BY nspname HAVING count(*) = 2"
    )
    row = await cursor.fetchone()
    if row is not None:
        advice = "drop it, or set the search_path of the role"
        raise ServerError(f"{store}: the schema {row[0]} hides the store in the schema {row[1]}; {advice}")


async def apply(connection: Connection, store: str, fence: int | None) -> bool:
    """Apply the files that a database lacks, and return whether none is left. Raises ServerError.

    `fence` is that of the lease. Without one, `post` files are applied only to a new schema, because no gateway runs on
    it. The connection must be in autocommit mode. `store` is the URL without secrets.
    """
    while True:
        try:
            return await _apply(connection, store, fence)
        except psycopg.errors.LockNotAvailable:
            log.info("a migration waits for a table that is in use; others go first")
            await asyncio.sleep(LOCK_TIMEOUT)


async def _apply(connection: Connection, store: str, fence: int | None) -> bool:
    async with connection.transaction():
        # A large table may take longer than the limit of the role.
        await connection.execute("SET LOCAL statement_timeout = 0")
        # The statements of a running gateway wait behind a migration that waits for a table, and have a longer limit.
        await connection.execute("SELECT set_config('lock_timeout', %s, true)", [f"{LOCK_TIMEOUT / 2:g}s"])
        new = await _create(connection, store)
        await connection.execute("SELECT FROM migrations WHERE name = %s FOR UPDATE", [LOCK])
        files = await missing(connection, store)
        last = None
        if not new:
            post = next((file.name for file in files if not _is_pre(file.name)), None)
            if post is not None and not await _is_alone(connection, post, fence):
                last = post
        applied = list(itertools.takewhile(lambda file: file.name != last, files))
        for file in applied:
            await connection.execute(file.read_bytes())
            await connection.execute("INSERT INTO migrations (name) VALUES (%s)", [file.name])
        await connection.execute(
            "INSERT INTO meta (name, value) VALUES ('epoch', %s), ('token_secret', %s) ON CONFLICT DO NOTHING",
            [secrets.token_hex(4), secrets.token_hex(32)],
        )
        if applied:
            failpoints.before("migration")
    if applied:
        failpoints.after("migration")
    return last is None


async def _is_alone(connection: Connection, name: str, fence: int | None) -> bool:
    """Return whether this process has the lease, until the transaction ends, and no living one lacks a migration."""
    if fence is None:
        return False
    cursor = await connection.execute("SELECT FROM lease WHERE fence = %s FOR SHARE", [fence])
    if await cursor.fetchone() is None:
        return False
    cursor = await connection.execute(
        "SELECT address FROM replicas WHERE abs(extract(epoch FROM now() - beat)) < %s AND schema < %s",
        [LEASE_TIMEOUT, name],
    )
    return await cursor.fetchone() is None


def known() -> Sequence[Traversable]:
    """Return the files in their order."""
    files = sorted((file for file in folder().iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    assert all(FILE_NAME.fullmatch(file.name) for file in files)
    return files


def newest() -> str:
    """Return the name of the newest file."""
    return known()[-1].name


def folder() -> Traversable:
    """Return the folder of the files."""
    return resources.files("gateway.store") / "sql" / "postgres" / "migrations"


def _is_pre(name: str) -> bool:
    form = FILE_NAME.fullmatch(name)
    return form is not None and form[2] == "pre"


async def _create(connection: Connection, store: str) -> bool:
    """Create the table of migrations in an empty schema, and return whether it did.

    Raises ServerError if there are tables of something else.
    """
    if await exist(connection, store):
        return False
    await connection.execute(
        'CREATE TABLE IF NOT EXISTS migrations (name text COLLATE "C" PRIMARY KEY, time timestamptz DEFAULT now())'
    )
    await connection.execute("INSERT INTO migrations (name) VALUES (%s) ON CONFLICT DO NOTHING", [LOCK])
    return True
