"""The two drivers behind one small interface, so that both run the same statements."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

import asyncpg
import psycopg
from psycopg_pool import AsyncConnectionPool


class Driver(Protocol):
    """A pool of connections that runs statements with `$1` parameters."""

    name: str

    async def open(self, url: str, size: int) -> None: ...
    async def close(self) -> None: ...
    async def fetch(self, sql: str, *values: object) -> Sequence[Any]: ...
    async def together(self, statements: Sequence[tuple[str, tuple[object, ...]]]) -> Sequence[Any]: ...


@lru_cache
def _named(sql: str, form: str) -> str:
    return re.sub(r"\$(\d+)", rf"%(v\1){form}", sql)


class Psycopg:
    """psycopg 3. Without `binary`, it sends arrays as text, which it has to quote."""

    def __init__(self, name: str, *, prepare: bool, pipeline: bool = False, binary: bool = True) -> None:
        self.name = name
        self._prepare = prepare
        self._pipeline = pipeline
        self._form = "b" if binary else "s"
        self.pool: Any = None

    async def open(self, url: str, size: int) -> None:
        self.pool = AsyncConnectionPool(
            url,
            min_size=size,
            max_size=size,
            open=False,
            kwargs={
                "autocommit": True,
                "prepare_threshold": 0 if self._prepare else None,
            },
        )
        await self.pool.open(wait=True)

    async def close(self) -> None:
        await self.pool.close()

    async def fetch(self, sql: str, *values: object) -> Sequence[Any]:
        async with self.pool.connection() as connection:
            return await self._fetch(connection, sql, values)

    async def _fetch(self, connection: Any, sql: str, values: tuple[object, ...]) -> Sequence[Any]:
        cursor = await self._execute(connection, sql, values)
        rows: Sequence[Any] = await cursor.fetchall() if cursor.description else ()
        return rows

    async def _execute(self, connection: Any, sql: str, values: tuple[object, ...]) -> Any:
        named = {f"v{number}": value for number, value in enumerate(values, 1)} or None
        return await connection.execute(_named(sql, self._form), named, binary=True)

    async def together(self, statements: Sequence[tuple[str, tuple[object, ...]]]) -> Sequence[Any]:
        async with self.pool.connection() as connection:
            if self._pipeline:
                async with connection.pipeline():
                    async with connection.transaction():
                        cursors = [await self._execute(connection, sql, values) for sql, values in statements]
                    rows: Sequence[Any] = await cursors[-1].fetchall()
                return rows
            async with connection.transaction():
                for sql, values in statements:
                    rows = await self._fetch(connection, sql, values)
            return rows


class Asyncpg:
    """asyncpg."""

    def __init__(self, name: str, *, prepare: bool) -> None:
        self.name = name
        self._prepare = prepare
        self.pool: Any = None

    async def open(self, url: str, size: int) -> None:
        cache = {} if self._prepare else {"statement_cache_size": 0}
        self.pool = await asyncpg.create_pool(url, min_size=size, max_size=size, **cache)

    async def close(self) -> None:
        await self.pool.close()

    async def fetch(self, sql: str, *values: object) -> Sequence[Any]:
        async with self.pool.acquire() as connection:
            rows: Sequence[Any] = await connection.fetch(sql, *values)
            return rows

    async def together(self, statements: Sequence[tuple[str, tuple[object, ...]]]) -> Sequence[Any]:
        async with self.pool.acquire() as connection, connection.transaction():
            rows: Sequence[Any] = ()
            for sql, values in statements:
                rows = await connection.fetch(sql, *values)
            return rows


def direct() -> list[Driver]:
    return [
        Asyncpg("asyncpg", prepare=True),
        Asyncpg("asyncpg, no cache", prepare=False),
        Psycopg("psycopg", prepare=True),
        Psycopg("psycopg, not prepared", prepare=False),
        Psycopg("psycopg, arrays as text", prepare=True, binary=False),
        Psycopg("psycopg, pipeline", prepare=True, pipeline=True),
    ]


def pooled() -> list[Driver]:
    return [
        Asyncpg("asyncpg, no cache, PgBouncer", prepare=False),
        Psycopg("psycopg, not prepared, PgBouncer", prepare=False),
        Psycopg("psycopg, not prepared, pipeline, PgBouncer", prepare=False, pipeline=True),
    ]


__all__ = ["Asyncpg", "Driver", "Psycopg", "asyncpg", "direct", "pooled", "psycopg"]
