"""Moves a SQLite store into a PostgreSQL database: `hfgateway migrate sqlite-to-postgres`.

No gateway may run on either. A move has an id, which both stores contain from its begin on:

1. The file is marked as being moved, so that no gateway starts on it any more.
2. The rows are copied in chunks, table by table, in the order of their primary keys. Each chunk is one transaction
   with the place behind it, so a move that was interrupted continues there.
3. The rows of both stores are counted and hashed, and compared.
4. One transaction gives the database the epoch, the secret and the position of the file. From now on it is a store.
5. The file is marked as moved.

After a crash between the last two steps, the next run only marks the file. A move can be abandoned before step 4.
"""

import asyncio
import contextlib
import hashlib
import json
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple, Self

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from gateway.frozen import frozen
from gateway.store.postgres.errors import ServerError, reason
from gateway.store.postgres.store import PostgresStore, connect
from gateway.store.sqlite import files
from gateway.store.sqlite.files import StoreFileError

ROWS_PER_BATCH = 2000
"""Rows that are copied in one transaction."""
CONNECTIONS = 4
"""Connections of the store, which only keeps the lease."""
NOT_COPIED_TABLES = frozenset({"meta", "migrations", "replicas", "lease", "log"})
"""Tables of the database that are not copied from a file."""
COPIED_ROWS = {"accounts": "repeats_off = 1"}
"""Conditions for the rows of the file, where the database has a row for fewer of them."""
WRITE_COLUMN = "write_id"
"""The column of the database that the file does not have: the statement that stored a row."""

Connection = psycopg.AsyncConnection[TupleRow]
Report = Callable[[str], object]


@frozen
class Table:
    """A table that is copied: its columns, their types in the database, and its primary key in the file."""

    name: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    key: tuple[str, ...]

    @property
    def condition(self) -> str:
        """The condition for the rows of the file."""
        return COPIED_ROWS.get(self.name, "true")

    def converted(self, row: Sequence[Any]) -> tuple[Any, ...]:
        """Return a row of the file as it is in the database."""
        return tuple(
            bool(value) if kind == "boolean" and value is not None else value
            for value, kind in zip(row, self.types, strict=True)
        )


@frozen
class Moved:
    """A finished move: the number of rows, and the seconds of the last run."""

    rows: int
    seconds: float


async def move(path: Path, url: str, shown: str, report: Report) -> Moved:
    """Move the store in a file into a database, or continue a move that was interrupted.

    `shown` is the URL without secrets. `report` is called with lines for the operator. Raises StoreFileError or
    ServerError.
    """
    began = time.monotonic()
    async with _open_both(path, url, shown) as (source, target):
        known = source.move
        if known:
            await _require_same(path, source, target, shown)
        tables = await target.tables(source)
        await target.check(known, tables)
        source.begin(shown)
        if await target.finished(source.move):
            source.finish(shown)
            report(f"{path}: the move was already complete")
            return Moved(0, time.monotonic() - began)
        await target.begin(source.move)
        if known:
            report("continuing the move")
        rows = 0
        for table in tables:
            rows += await target.copy(source, table)
            report(f"{table.name}: copied")
        for table in tables:
            await target.verify(source, table)
        report(f"{rows} rows are equal in both stores")
        await target.finish(source)
        source.finish(shown)
        return Moved(rows, time.monotonic() - began)


async def abandon(path: Path, url: str, shown: str) -> None:
    """Allow gateways on the file again. Raises StoreFileError, also if the move is complete, or ServerError."""
    async with _open_both(path, url, shown) as (source, target):
        if not source.move:
            raise StoreFileError(f"{path}: is not being moved")
        if await target.finished(source.move):
            raise StoreFileError(f"{path}: was moved to {shown}, which is the newest state")
        await _require_same(path, source, target, shown)
        source.abandon()


async def _require_same(path: Path, source: "_Source", target: "_Target", shown: str) -> None:
    """Raise StoreFileError if the move of the file leads to another database, which may be a store already.

    A database has more than one URL, so the move is recognized by its id. A database does not know the id before step
    2; then the URL must be the same.
    """
    if await target.knows(source.move):
        return
    if source.moved_to:
        raise StoreFileError(f"{path}: was moved to {source.moved_to}, which is the newest state")
    if source.moving_to != shown:
        raise StoreFileError(f"{path}: is being moved to {source.moving_to}: finish or abandon that move first")


@contextlib.asynccontextmanager
async def _open_both(path: Path, url: str, shown: str) -> AsyncIterator[tuple["_Source", "_Target"]]:
    """Open both stores, so that no gateway can start on them. Raises StoreFileError or ServerError."""
    async with contextlib.AsyncExitStack() as stack:
        source = stack.enter_context(_Source.open(path))
        target = await stack.enter_async_context(_Target.open(url, shown))
        yield source, target


class _Source:
    """The file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        path = path.resolve()
        if not path.is_file():
            raise StoreFileError(f"{path}: there is no store")
        with files.lock(path), contextlib.closing(files.prepare(path, moving=True)) as connection:
            try:
                yield cls(connection)
            except sqlite3.Error as error:
                raise StoreFileError(f"{path}: {files.describe_error(path, error)}") from error

    @property
    def move(self) -> str:
        """The id of the move; empty before it begins."""
        return self._meta("move")

    @property
    def moving_to(self) -> str:
        """The URL, without secrets, of the database to which the file is moved; empty before the move begins."""
        return self._meta("moving_to")

    @property
    def moved_to(self) -> str:
        """The URL, without secrets, of the database to which the file was moved; empty until the move is complete."""
        return self._meta("moved_to")

    def begin(self, target: str) -> None:
        """Mark the file as being moved, with a new id unless it is already."""
        self._write({"move": self.move or uuid.uuid4().hex, "moving_to": target})

    def finish(self, target: str) -> None:
        """Mark the file as moved."""
        self._write({"moved_to": target})

    def abandon(self) -> None:
        """Remove the marks of the move."""
        self._connection.execute("DELETE FROM meta WHERE name IN ('move', 'moving_to')")

    @property
    def content(self) -> dict[str, str]:
        """What the database takes over."""
        return {name: self._meta(name) for name in ("epoch", "token_secret")}

    @property
    def position(self) -> int:
        """The highest position that was ever assigned."""
        row = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'changes'").fetchone()
        return 0 if row is None else int(row[0])

    def tables(self) -> dict[str, tuple[str, ...]]:
        """Return the primary key of each table that is copied."""
        names = self._connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        copied = sorted(name for (name,) in names if name not in NOT_COPIED_TABLES and not name.startswith("sqlite_"))
        keys = "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk"
        return {name: tuple(column for (column,) in self._connection.execute(keys, [name])) for name in copied}

    def chunk(self, table: Table, after: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
        """Return the next rows behind a primary key, each with its primary key at the end."""
        columns, key = ", ".join(table.columns + table.key), ", ".join(table.key)
        behind = f"({key}) > ({', '.join('?' * len(after))})" if after else "true"
        found = f"{table.name} WHERE {table.condition} AND {behind}"
        statement = f"SELECT {columns} FROM {found} ORDER BY {key} LIMIT {ROWS_PER_BATCH}"  # noqa: S608 - names of the schema
        return self._connection.execute(statement, [*after]).fetchall()

    def rows(self, table: Table) -> Iterator[tuple[Any, ...]]:
        """Yield all rows as they are in the database."""
        columns = ", ".join(table.columns)
        statement = f"SELECT {columns} FROM {table.name} WHERE {table.condition}"  # noqa: S608 - names of the schema
        return map(table.converted, self._connection.execute(statement))

    def _meta(self, name: str) -> str:
        row = self._connection.execute("SELECT value FROM meta WHERE name = ?", [name]).fetchone()
        return "" if row is None else str(row[0])

    def _write(self, values: dict[str, str]) -> None:
        """Write values in one commit: with an id and no URL, a file could be neither moved nor abandoned."""
        rows = ", ".join(["(?, ?)"] * len(values))
        pairs = [text for pair in values.items() for text in pair]
        self._connection.execute(f"INSERT OR REPLACE INTO meta (name, value) VALUES {rows}", pairs)  # noqa: S608 - places


class _Target:
    """The database, with the lease on it."""

    def __init__(self, shown: str, connection: Connection, store: PostgresStore) -> None:
        self._shown = shown
        self._connection = connection
        self._store = store
        self._move = uuid.UUID(int=0)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, url: str, shown: str) -> AsyncIterator[Self]:
        store = await PostgresStore.open(url, shown, _lost, CONNECTIONS, moving=True)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(store.close)
            connection = await connect(url, shown)
            stack.push_async_callback(connection.close)
            try:
                yield cls(shown, connection, store)
            except psycopg.Error as error:
                raise ServerError(f"{shown}: {reason(error)}; run the command again") from error

    async def finished(self, move: str) -> bool:
        """Return whether this move into the database is complete."""
        return bool(move) and await self._meta("moved") == move

    async def knows(self, move: str) -> bool:
        """Return whether this move into the database has begun or is complete."""
        return bool(move) and move in (await self._meta("moving"), await self._meta("moved"))

    async def check(self, move: str, tables: Sequence[Table]) -> None:
        """Raise ServerError if the database has other content than this move, which is empty before it begins."""
        if await self.knows(move):
            return
        began = await self._meta("moving")
        if began or await self._has_rows(tables):
            what = "has an unfinished move of another state" if began else "is in use"
            raise ServerError(f"{self._shown}: {what}; give the move an empty database")

    async def _has_rows(self, tables: Sequence[Table]) -> bool:
        rows = sql.SQL("SELECT FROM {}")
        found = sql.SQL(" UNION ALL ").join(rows.format(sql.Identifier(table.name)) for table in tables)
        return bool(await self._one(sql.SQL("SELECT EXISTS ({})").format(found)))

    async def begin(self, move: str) -> None:
        """Reserve the database for a move."""
        self._move = uuid.UUID(move)
        async with self._transaction():
            await self._write("moving", move)

    async def tables(self, source: _Source) -> Sequence[Table]:
        """Return the tables to copy. Raises ServerError if they differ."""
        cursor = await self._connection.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = current_schema() ORDER BY table_name, ordinal_position"
        )
        columns: dict[str, list[tuple[str, str]]] = {}
        for table, column, kind in await cursor.fetchall():
            if table not in NOT_COPIED_TABLES and column != WRITE_COLUMN:
                columns.setdefault(table, []).append((column, kind))
        keys = source.tables()
        if keys.keys() != columns.keys():
            raise ServerError(f"{self._shown}: has other tables: {', '.join(keys.keys() ^ columns.keys())}")
        return [
            Table(name, tuple(column for column, _ in found), tuple(kind for _, kind in found), keys[name])
            for name, found in columns.items()
        ]

    async def copy(self, source: _Source, table: Table) -> int:
        """Copy the rows of a table that are not copied yet, and return the number of all."""
        place = json.loads(await self._meta(f"moving {table.name}") or '{"rows": 0, "after": []}')
        rows, after = place["rows"], place["after"]
        write_column = [WRITE_COLUMN] if table.name == "generations" else []
        into = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, [*table.columns, *write_column]))
        )
        while chunk := source.chunk(table, after):
            rows, after = rows + len(chunk), list(chunk[-1][len(table.columns) :])
            async with self._transaction():
                async with self._connection.cursor() as cursor, cursor.copy(into) as copy:
                    for row in chunk:
                        values = table.converted(row[: len(table.columns)])
                        await copy.write_row((*values, self._move) if write_column else values)
                await self._write(f"moving {table.name}", json.dumps({"rows": rows, "after": after}))
        return int(rows)

    async def verify(self, source: _Source, table: Table) -> None:
        """Compare the rows of both stores. Raises ServerError if they differ."""
        # In a thread, so that the heartbeat of the lease continues.
        expected = await asyncio.to_thread(reduce, Sum.plus, source.rows(table), Sum())
        found = Sum()
        rows = sql.SQL("COPY {} ({}) TO STDOUT (FORMAT BINARY)").format(
            sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, table.columns))
        )
        async with self._transaction(), self._connection.cursor() as cursor, cursor.copy(rows) as copy:
            copy.set_types(table.types)
            async for row in copy.rows():
                found = found.plus(row)
        if found != expected:
            raise ServerError(
                f"{self._shown}: {table.name} has {found.rows} rows, and not the {expected.rows} of the file; "
                "give the move an empty database"
            )

    async def finish(self, source: _Source) -> None:
        """Make the database a store: with the history of the file, and without the places of the move."""
        async with self._transaction():
            for name, value in source.content.items():
                await self._write(name, value)
            await self._connection.execute("UPDATE log SET position = %s", [source.position])
            await self._connection.execute(
                "UPDATE log SET audit_sequence = sequence, audit_hash = hash FROM ("
                "SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1) AS head"
            )
            await self._connection.execute(
                "SELECT setval(pg_get_serial_sequence('durations', 'id'), max(id)) FROM durations"
            )
            await self._connection.execute("DELETE FROM meta WHERE name LIKE 'moving%%'", [])
            await self._write("moved", source.move)
            await self._connection.execute("ANALYZE")

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        """Begin a transaction that needs the lease until its end, and may take long. Raises ServerError."""
        async with self._connection.transaction():
            await self._connection.execute("SET LOCAL statement_timeout = 0")
            # After a COPY, the server may wait until the last rows, which the client's buffers still hold, are hashed.
            await self._connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            fence = self._store.database.fence
            if await self._one("SELECT true FROM lease WHERE fence = %s FOR SHARE", fence) is None:
                raise ServerError(f"{self._shown}: another gateway has taken it over")
            yield

    async def _one(self, statement: str | sql.Composed, *values: object) -> Any:
        cursor = await self._connection.execute(statement, values)
        row = await cursor.fetchone()
        return None if row is None else row[0]

    async def _meta(self, name: str) -> str:
        return str(await self._one("SELECT value FROM meta WHERE name = %s", name) or "")

    async def _write(self, name: str, value: str) -> None:
        await self._connection.execute(
            "INSERT INTO meta (name, value) VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value",
            [name, value],
        )


class Sum(NamedTuple):
    """The number of rows, and the sum of their hashes, which does not depend on their order."""

    rows: int = 0
    hashes: int = 0

    def plus(self, row: Sequence[Any]) -> "Sum":
        """Return the sum with one more row."""
        digest = hashlib.sha256(repr(tuple(row)).encode("utf-8", "surrogatepass")).digest()
        return Sum(self.rows + 1, (self.hashes + int.from_bytes(digest)) % (1 << 256))


def _lost(error: Exception) -> None:
    """The next transaction finds that another gateway has the lease."""
