"""The engines that the behaviours of a store are tried on. Another engine is another row of ENGINES."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from gateway.generations.ports import Store
from gateway.store.sqlite import SqliteStore


class Engine(Protocol):
    """Opens one store, and the same again once it was closed."""

    async def open(self) -> Store:
        """The store; closed by `close`, at the latest with its engine."""

    async def close(self) -> None:
        """Close what is open; nothing if nothing is."""


class SqliteEngine:
    """SQLite in a file."""

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
