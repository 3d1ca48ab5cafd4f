"""The database engines with which the tests of the store's ports run. To test another engine, add it to ENGINES."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from gateway.store.sqlite import SqliteStore
from gateway.store.store import Store


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


def _broke(error: Exception) -> None:
    raise AssertionError("the disk fails") from error


ENGINES = {"sqlite": SqliteEngine}


@pytest.fixture(params=ENGINES)
async def engine(request: Any, tmp_path: Path) -> AsyncIterator[Engine]:
    async with AsyncExitStack() as stack:
        engine = ENGINES[request.param](tmp_path)
        stack.push_async_callback(engine.close)
        yield engine


@pytest.fixture
async def store(engine: Engine) -> Store:
    return await engine.open()
