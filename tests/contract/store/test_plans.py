"""SQLite's query plans: while a gateway serves, no statement scans a table that grows with the generations."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.callbacks.model import Callback, Delivery
from gateway.callbacks.service import BEGINNING
from gateway.generations.model import GenerationId
from gateway.generations.stores import Filter
from gateway.store import statements
from gateway.store.sqlite import files, migrations
from gateway.store.sqlite.store import SqliteStore

SCANNED = {
    "assign_copies": "archive_files",
    "read_characters": "characters",
    "read_removed_characters": "removed_characters",
    "read_api_keys": "api_keys",
    "read_credentials": "credentials",
    "delete_account": "credentials",
    "read_pools": "pools",
    "read_callbacks": "callbacks",
    "read_callback_secrets": "callback_secrets",
    "read_accounts_without_repeats": "accounts",
    "read_corrections": "corrections",
    "read_removals": "removals",
    "has_prunable": "durations",
    "read_newest_change_time": "changes",
}
"""Statements that may scan a table: they run once, at the start, or the table stays small. The newest change is found
behind the newest removals."""


CALLBACK = Callback("c", "t", "https://shop.example", Filter(), False, "key", b"fingerprint", 0.0, 0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(files.prepare(tmp_path / "gateway.db")) as connection:
        yield connection


def scanned(store: sqlite3.Connection, statement: str) -> set[str]:
    """Return the tables that a statement scans. A scan of a partial index does not count, because it has few rows."""
    tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    partial = {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE sql LIKE '%INDEX%WHERE%'")}
    values = dict.fromkeys(statements.PARAMETER.findall(statement))
    found = set()
    for *_, detail in store.execute(f"EXPLAIN QUERY PLAN {statement}", values):
        scan = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", detail)
        if scan and scan[1] in tables and scan[2] not in partial:
            found.add(scan[1])
    return found


@pytest.mark.parametrize("name", sorted(statements.load()))
def test_a_statement_finds_its_rows_by_an_index(store: sqlite3.Connection, name: str) -> None:
    allowed = {SCANNED[name]} if name in SCANNED else set()
    assert scanned(store, statements.load()[name]) == allowed


def planned(store: sqlite3.Connection, name: str) -> list[str]:
    statement = statements.load()[name]
    values = dict.fromkeys(statements.PARAMETER.findall(statement))
    return [detail for *_, detail in store.execute(f"EXPLAIN QUERY PLAN {statement}", values)]


@pytest.mark.parametrize("name", sorted(statements.load()))
def test_a_statement_does_not_read_all_generations_of_a_tenant(store: sqlite3.Connection, name: str) -> None:
    assert not [one for one in planned(store, name) if one.endswith("INDEX generations_tenant (tenant=?)")]


@pytest.mark.parametrize(
    "name",
    [
        "advance_callback_deliveries",
        "advance_failed_callback_deliveries",
        "delete_pending_callback_deliveries",
        "read_pending_callback_deliveries",
    ],
)
def test_a_statement_for_pending_deliveries_reads_no_others(store: sqlite3.Connection, name: str) -> None:
    (found,) = planned(store, name)
    assert found == "SEARCH callback_deliveries USING INDEX callback_deliveries_waiting (callback_id=?)"


def test_a_scan_is_detected(store: sqlite3.Connection) -> None:
    assert scanned(store, "SELECT 1 FROM changes WHERE time < :time") == {"changes"}
    assert scanned(store, "SELECT 1 FROM generations ORDER BY id") == {"generations"}


async def test_a_list_of_deliveries_reads_few_of_those_that_it_does_not_show(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db", lambda _: None)
    sent = [Delivery("c", GenerationId(f"g{number:04}"), 1, float(number), 0.0) for number in range(2_000)]
    await store.callbacks.take_deliveries(CALLBACK, sent)
    steps: list[None] = []
    store.database._reader.set_progress_handler(lambda: steps.append(None), 100)
    for generation_id, failed_only in (("", True), ("g0005", False), ("no such", False)):
        found = await store.callbacks.deliveries(
            "c", generation_id, failed_only=failed_only, before=BEGINNING, limit=50
        )
        assert [one.generation_id for one in found] == (["g0005"] if generation_id == "g0005" else [])
    await store.close()
    assert len(steps) < 10  # a row takes several of the hundred instructions


@pytest.mark.parametrize("now", [1.0, 60.0], ids=["none is due", "some are due"])
def test_due_copies_are_found_without_reading_the_others(store: sqlite3.Connection, now: float) -> None:
    columns = "generation_id, output, preview, url, key, content_type, archive, expire_time, not_before"
    copies = [("blue", number, 90.0) for number in range(2_000)] + [("red", number, 50.0) for number in range(2_000)]
    store.executemany(
        f"INSERT INTO archive_files ({columns}) VALUES (?, 0, 0, '', ?, '', 'a', 0, ?)",
        [(f"{tenant} {number}", f"{tenant}/{number}/0.png", at) for tenant, number, at in copies],
    )
    steps: list[None] = []
    store.row_factory = sqlite3.Row
    store.set_progress_handler(lambda: steps.append(None), 100)
    given = {"archive": "a", "after": "", "now": now, "latest": 3600.0, "limit": 4}
    found = store.execute(statements.load()["read_due_copies"], given).fetchall()
    assert [row["key"].partition("/")[0] for row in found] == ["red"] * (4 if now == 60.0 else 0)
    assert len(steps) < 10


def test_orphaned_keys_of_older_stores_can_be_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tmp_path / "before"
    shutil.copytree(str(migrations.folder()), before)
    for file in before.glob("*.sql"):
        if file.name >= "0008":
            file.unlink()
    path = tmp_path / "gateway.db"
    with monkeypatch.context() as older:
        older.setattr(migrations, "folder", lambda: before)
        with closing(files.prepare(path)) as connection:
            columns = "tenant, key, generation_id, fingerprint, used_time"
            connection.execute(f"INSERT INTO keys ({columns}) VALUES ('t', 'k', 'gone', x'', 5)")
    with closing(files.prepare(path)) as connection:
        sql = statements.load()
        assert connection.execute(sql["has_prunable"], {"ended_before": 0, "keys_before": 6}).fetchone() == (1,)
        assert connection.execute(sql["prune_keys"], {"keys_before": 5, "limit": 9}).rowcount == 0
        assert connection.execute(sql["prune_keys"], {"keys_before": 6, "limit": 9}).rowcount == 1
