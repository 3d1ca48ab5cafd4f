"""While a gateway serves, no statement reads through a table that grows with what was generated: so SQLite plans it."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.store import files, migrations

READ_THROUGH = {
    "newest_steady": "generations",
    "adopt_copies": "archive_files",
    "read_characters": "characters",
    "read_removed_characters": "removed_characters",
    "read_api_keys": "api_keys",
    "read_callbacks": "callbacks",
    "read_callback_secrets": "callback_secrets",
    "read_latched": "accounts",
    "read_corrections": "corrections",
    "read_removals": "removals",
    "read_durations": "durations",
    "anything_prunable": "durations",
    "prune_durations": "durations",
}
"""Statements that read a whole table: at the start, once, or one that stays small whatever is generated."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(files.prepare(tmp_path / "gateway.db")) as connection:
        yield connection


def scanned(store: sqlite3.Connection, statement: str) -> set[str]:
    """The tables that it reads from end to end, without those of whose rows an index keeps a few."""
    tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    partial = {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE sql LIKE '%INDEX%WHERE%'")}
    numbered = [int(number) for number in re.findall(r"\?(\d+)", statement)]
    values = [None] * (max(numbered) if numbered else statement.count("?"))
    found = set()
    for *_, detail in store.execute(f"EXPLAIN QUERY PLAN {statement}", values):
        scan = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", detail)
        if scan and scan[1] in tables and scan[2] not in partial:
            found.add(scan[1])
    return found


@pytest.mark.parametrize("name", sorted(files.queries()))
def test_a_statement_finds_its_rows_by_an_index(store: sqlite3.Connection, name: str) -> None:
    allowed = {READ_THROUGH[name]} if name in READ_THROUGH else set()
    assert scanned(store, files.queries()[name]) == allowed


def test_a_statement_without_an_index_would_be_seen(store: sqlite3.Connection) -> None:
    assert scanned(store, "SELECT 1 FROM changes WHERE time < ?") == {"changes"}
    assert scanned(store, "SELECT 1 FROM generations ORDER BY id") == {"generations"}


def test_keys_that_outlived_their_generations_are_found_after_the_migration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
        assert connection.execute(files.queries()["anything_prunable"], (0, 6)).fetchone() == (1,)
        assert connection.execute(files.queries()["prune_keys"], (5,)).rowcount == 0
        assert connection.execute(files.queries()["prune_keys"], (6,)).rowcount == 1
