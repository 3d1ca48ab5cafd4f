"""Migrations: each is applied once, by name; inconsistent files or stores are refused with a one-line message."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from gateway.store.sqlite import files, migrations
from tests.support import new_stores

COUNTED = (
    "0001_pre_first.sql", "0002_pre_catalogs.sql", "0003_pre_characters.sql", "0004_pre_agents.sql",
    "0005_pre_archive.sql", "0007_callbacks.sql", "0008_nothing_scanned.sql",
)  # fmt: skip
"""The migrations of early gateways, which stored only their number, in the order in which they were applied."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the gateway use a copy of the migrations."""
    copied = tmp_path / "migrations"
    shutil.copytree(migrations.folder(), copied)
    monkeypatch.setattr(migrations, "folder", lambda: copied)
    return copied


def counted_store(path: Path, folder: Path, count: int) -> None:
    """Create a store as an early gateway did, with the number of its migrations but without their names."""
    script = "".join((folder / name).read_text() for name in COUNTED[:count])
    with closing(sqlite3.connect(path)) as store:
        store.executescript(
            f"{script} INSERT INTO meta VALUES ('epoch', '01234567'), ('token_secret', 'aa');"
            f"PRAGMA application_id={migrations.APPLICATION_ID}; PRAGMA user_version={count};"
        )


def applied(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as store:
        return [name for (name,) in store.execute("SELECT name FROM migrations ORDER BY name")]


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("*.sql"))


@pytest.mark.parametrize("count", range(1, len(COUNTED) + 1))
def test_an_early_store_gets_names_and_missing_migrations(tmp_path: Path, folder: Path, count: int) -> None:
    path = tmp_path / "store.db"
    counted_store(path, folder, count)
    files.prepare(path).close()
    assert applied(path) == names(folder)
    with closing(sqlite3.connect(path)) as store:
        assert store.execute("SELECT value FROM meta WHERE name = 'epoch'").fetchone() == ("01234567",)


def test_a_migration_with_the_unused_number_is_applied_to_an_existing_store(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "store.db"
    counted_store(path, folder, len(COUNTED))
    (folder / "0006_late.sql").write_text("CREATE TABLE late (id INTEGER PRIMARY KEY) STRICT;")
    for _ in range(2):  # applied only once
        files.prepare(path).close()
    with closing(sqlite3.connect(path)) as store:
        assert store.execute("SELECT count(*) FROM late").fetchone() == (0,)
    assert applied(path) == names(folder)


def test_a_new_migration_is_applied_to_an_existing_store(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "store.db"
    files.prepare(path).close()
    number = max(int(name[:4]) for name in names(folder)) + 1
    (folder / f"{number:04}_next.sql").write_text("CREATE TABLE next (id INTEGER PRIMARY KEY) STRICT;")
    files.prepare(path).close()
    assert applied(path) == names(folder)
    assert files.examine(path).schema == len(names(folder))


def test_a_store_of_the_suite_is_like_a_migrated_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests create stores with a schema that is already complete."""

    def content(path: Path) -> tuple[object, ...]:
        files.prepare(path).close()
        with closing(sqlite3.connect(path)) as store:
            schema = store.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name").fetchall()
            tables = [name for kind, name, *_ in schema if kind == "table" and name != "meta"]
            rows = [store.execute(f"SELECT * FROM {name}").fetchall() for name in tables]
            (meta,) = store.execute("SELECT group_concat(name) FROM meta")
            return schema, rows, meta, applied(path)

    assert migrations.script is new_stores.created
    created = content(tmp_path / "created.db")
    monkeypatch.setattr(files, "connect_writer", new_stores.connected)
    monkeypatch.setattr(migrations, "script", new_stores.migrated)
    assert content(tmp_path / "migrated.db") == created


def test_commits_of_a_gateway_wait_for_the_disk(tmp_path: Path) -> None:
    """Those of the stores of the suite do not."""
    with closing(new_stores.connected(tmp_path / "store.db")) as writing:
        assert [writing.execute(f"PRAGMA {name}").fetchone() for name in ("synchronous", "fullfsync")] == [(2,), (1,)]
    assert files.connect_writer is new_stores.connect_writer


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def add(*names: str) -> Callable[[Path], None]:
    return lambda folder: [(folder / name).write_text("SELECT 1;") for name in names] and None


WRONG: Sequence[tuple[Callable[[Path], None], str]] = [
    (remove("0003_pre_characters.sql"), "there is no migration 0003"),
    (add("0099_far.sql"), "there is no migration"),
    (add("0003_again.sql"), "two migrations have the number 0003"),
    (add("0006_one.sql", "0006_two.sql"), "two migrations have the number 0006"),
    (add("10_short.sql"), "10_short.sql is not the name of a migration"),
]


@pytest.mark.parametrize(("spoil", "message"), WRONG, ids=[message for _, message in WRONG])
@pytest.mark.parametrize("existing", [False, True])
def test_gaps_and_duplicates_are_refused(
    tmp_path: Path, folder: Path, spoil: Callable[[Path], None], message: str, existing: bool
) -> None:
    path = tmp_path / "store.db"
    if existing:
        files.prepare(path).close()
    spoil(folder)
    with pytest.raises(files.StoreFileError, match=message) as refused:
        files.prepare(path)
    assert str(path) in str(refused.value)


def test_a_store_with_an_unknown_migration_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    files.prepare(path).close()
    with closing(sqlite3.connect(path)) as store, store:
        store.execute("INSERT INTO migrations VALUES ('9000_unknown.sql')")
    for use in (files.prepare, files.examine):
        with pytest.raises(files.StoreFileError, match=r"newer gateway.*9000_unknown\.sql"):
            use(path)


def test_a_store_with_a_gap_in_its_migrations_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    files.prepare(path).close()
    with closing(sqlite3.connect(path)) as store, store:
        store.execute("DELETE FROM migrations WHERE name LIKE '0004%'")
    with pytest.raises(files.StoreFileError, match="its migration 0004"):
        files.prepare(path)


def test_a_store_with_more_migrations_than_names_is_refused(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "store.db"
    counted_store(path, folder, len(COUNTED))
    with closing(sqlite3.connect(path)) as store:
        store.execute("PRAGMA user_version=99")
    with pytest.raises(files.StoreFileError, match="newer gateway"):
        files.prepare(path)
