"""Retention on SQLite: a commit deletes few rows, because the submissions of all tenants wait for it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.agents.model import SESSION, KeyRecord
from gateway.generations.model import Steady
from gateway.store.sqlite import database, deletions
from gateway.store.sqlite.store import SqliteStore
from gateway.store.sqlite.writer import Writer
from tests.contract.store.examples import NOW
from tests.contract.store.test_parts import NEWEST
from tests.contract.store.test_store import completed

ALL = Steady(NOW + 60)


class Commits:
    """Counts the rows that each commit of a store's writer changes, from `begin` on."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def writer(self, connection: sqlite3.Connection, *others: Any) -> Writer:
        self._connection = connection
        return Writer(connection, *others)

    def begin(self) -> None:
        self._before = self._connection.total_changes
        self._connection.set_trace_callback(self._seen)

    def _seen(self, statement: str) -> None:
        if statement == "COMMIT":
            self.sizes.append(self._connection.total_changes - self._before)
            self._before = self._connection.total_changes


async def test_any_number_of_old_rows_is_pruned_by_short_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (database, deletions):
        monkeypatch.setattr(module, "PRUNE_BATCH_SIZE", 2)
    commits = Commits()
    broken: list[Exception] = []
    path = tmp_path / "store.db"
    store = SqliteStore(path, broken.append, commits.writer)
    try:
        for number in range(6):
            ended = await completed(store, f"request {number}", idempotency_key=f"key {number}")
            await store.deletions.delete(ended, at_upstream=False, steady=Steady(NOW))
            session = KeyRecord("red", f"key {number}", SESSION, f"session {number}", "", used_at=NOW)
            await store.agents.add_agent_session(session)
            await store.agents.add_agent_media("red", f"{number}.png", NOW)
        with closing(sqlite3.connect(path)) as other, other:
            runs = [("example/model", "", float(seconds)) for seconds in range(300)]
            other.executemany("INSERT INTO durations (model_id, traits, seconds) VALUES (?, ?, ?)", runs)
            other.executemany(
                "INSERT INTO callback_deliveries (callback_id, generation_id, revision, create_time, next_at, state,"
                " attempts, refusals, http_status, last_attempt_time) VALUES (?, ?, 1, 0, 0, 2, 1, 0, 200, 1)",
                [(f"callback {number % 2}", str(number)) for number in range(6)],
            )
        commits.begin()
        await store.callbacks.prune_deliveries(NOW)
        await store.deletions.prune(ALL, ALL)
        await store.agents.prune(ALL)
        assert len(await store.accounts.run_times()) == 300
        assert not await store.deletions.prunable(ALL, ALL)
        assert not await store.agents.prunable(ALL)
        for number in range(2):
            assert not await store.callbacks.deliveries(
                f"callback {number}", "", failed_only=False, before=NEWEST, limit=9
            )
        # Two rows, or two changes and two horizons of their tenant, and the count of commits.
        assert max(commits.sizes) == 5
        assert len(commits.sizes) >= 6 * 3
    finally:
        await store.close()
    assert broken == []
