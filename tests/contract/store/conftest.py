"""The database engines with which the tests of the store's ports run. To test another engine, add it to ENGINES."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from gateway.store.sqlite.store import SqliteStore
from gateway.store.store import Store

if TYPE_CHECKING:
    from tests.support.postgres import Pooler, Server


class Engine(Protocol):
    """Opens a store, and opens it again after it was closed."""

    async def open(self) -> Store:
        """Open the store. The fixture closes it after the test."""

    async def close(self) -> None:
        """Close the store if it is open."""


class SqliteEngine:
    """A SQLite file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "store.db"
        self._open: SqliteStore | None = None

    async def open(self) -> SqliteStore:
        self._open = SqliteStore(self.path, _broke)
        return self._open

    async def close(self) -> None:
        store, self._open = self._open, None
        if store is not None:
            await store.close()


class PostgresEngine:
    """A database of a real server."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._open: Store | None = None

    async def open(self) -> Store:
        from gateway.store.postgres.store import PostgresStore

        self._open = store = await PostgresStore.open(self.url, self.url, _broke, connections=5)
        return store

    async def close(self) -> None:
        store, self._open = self._open, None
        if store is not None:
            await store.close()


def _broke(error: Exception) -> None:
    raise AssertionError("the store is broken") from error


VARIANT = os.environ.get("TEST_POSTGRES", "")
"""How the tests use PostgreSQL: "serializable", with this isolation level; "pgbouncer", through a pooler."""
ENGINES = ["sqlite", pytest.param("postgres", marks=pytest.mark.toolchain("postgres"))]


@pytest.fixture(params=ENGINES)
async def engine(request: Any, tmp_path: Path) -> AsyncIterator[Engine]:
    async with AsyncExitStack() as stack:
        engine: Engine
        if request.param == "sqlite":
            engine = SqliteEngine(tmp_path)
        else:
            url = request.getfixturevalue("emptied")
            if VARIANT == "pgbouncer":
                pooler = stack.enter_context(_pooler(request.getfixturevalue("postgres")))
                url = url.replace(f"127.0.0.1:{request.getfixturevalue('postgres').port}", pooler.address)
            engine = PostgresEngine(url)
        stack.push_async_callback(engine.close)
        yield engine


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of the server's log with a failed test."""
    report = yield
    server: Server | None = getattr(item, "funcargs", {}).get("postgres")
    if report.failed and report.when != "teardown" and server is not None:  # the last teardown removes the log
        report.sections.append(("PostgreSQL's log", "\n".join(server.log().splitlines()[-30:])))
    return report


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """Start a server for all tests of this process."""
    from tests.support import postgres as support

    with support.running() as server:
        yield server


@pytest.fixture(scope="session")
def database(postgres: Server) -> Iterator[str]:
    """Create a database with the schema."""
    with postgres.database() as name:
        if VARIANT == "serializable":
            postgres.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = serializable")
        with ThreadPoolExecutor(1) as thread:  # this one may run an event loop
            thread.submit(asyncio.run, _create_schema(postgres.url(name))).result()
        yield name


@pytest.fixture
def emptied(postgres: Server, database: str) -> str:
    """Return the URL of a database that has the schema and no content."""
    postgres.empty(database)
    return postgres.url(database)


@pytest.fixture
async def stores(tmp_path: Path, emptied: str) -> AsyncIterator[tuple[Store, Store]]:
    """Open a store of each engine."""
    engines = SqliteEngine(tmp_path), PostgresEngine(emptied)
    try:
        yield await engines[0].open(), await engines[1].open()
    finally:
        for engine in engines:
            await engine.close()


def _pooler(server: Server) -> Pooler:
    from tests.support import postgres as support

    return support.Pooler(server)


async def _create_schema(url: str) -> None:
    engine = PostgresEngine(url)
    await engine.open()
    await engine.close()


@pytest.fixture
async def store(engine: Engine) -> Store:
    return await engine.open()
