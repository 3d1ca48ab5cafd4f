"""The statements of the store: described, with named parameters, and with the columns that the rows in Python have."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.archive.model import Copy, Part
from gateway.callbacks.model import Callback, Delivery
from gateway.characters.model import Creation
from gateway.generations.inputs import SoulVersion
from gateway.generations.model import Event, Marker, UpstreamCall
from gateway.generations.stores import Filter
from gateway.store import codec, rows, statements
from gateway.store.sqlite import files
from tests.contract.store import examples

STATEMENTS = statements.described()
GENERATION = replace(examples.generation(), marker=Marker("owner", 1))
SHOWN = codec.shown(GENERATION)
EVENT = Event(0.0, "event", call=UpstreamCall("GET", "/path", 200, "", 0.0, 0.0))
CALLBACK = Callback("c", "tenant", "https://example.invalid", Filter(), False, "key", b"", 0.0, 0)
CREATION = Creation("id", "red", "k", b"f", "a", "Anna", SoulVersion.CINEMA, frozenset(), 1e9, 2e9)

ROWS: dict[str, tuple[str, Mapping[str, object]]] = {
    "generations": ("insert_generation", codec.spec_row(GENERATION.spec) | codec.progress_row(GENERATION, SHOWN)),
    "requests": ("insert_request", codec.request_row(GENERATION.id, examples.request(GENERATION))),
    "events": ("insert_event", codec.event_row(GENERATION.id, EVENT)),
    "callbacks": ("insert_callback", rows.callback_row(CALLBACK)),
    "callback_deliveries": (
        "insert_callback_delivery", rows.delivery_row(Delivery("c", GENERATION.id, 1, 0.0, 0.0)),
    ),
    "archive_files": ("insert_copy", rows.copy_row(Copy("g", Part(0), "url", "key", "image/png", "archive", 0.0))),
    "characters": ("insert_character", rows.creation_row(CREATION)),
}  # fmt: skip
"""The statement that inserts into each table, and a row of it."""

SET_LATER = {
    "archive_files": {"state", "attempts", "not_before", "archived_url", "size", "sha256"},
    "characters": {"character_id"},
    "generations": {"budget_day"},
}
"""Columns that have a default when a row is inserted, or that the store decides."""

READERS: dict[Callable[..., Any], tuple[str, str]] = {
    codec.generation_of: ("generations", "read_generation"),
    codec.request_of: ("requests", "read_request"),
    codec.event_of: ("events", "read_events"),
    rows.callback_of: ("callbacks", "read_callbacks"),
    rows.delivery_of: ("callback_deliveries", "read_callback_delivery"),
    rows.copy_of: ("archive_files", "read_due_copies"),
    rows.creation_of: ("characters", "read_characters"),
}
"""The functions that read rows, their tables, and a statement that returns such rows."""


class RecordingRow(dict[str, Any]):
    """A row that records which of its columns are read. A column that it lacks is None."""

    def __init__(self, row: Mapping[str, object]) -> None:
        super().__init__(row)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return self.get(name)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(files.prepare(tmp_path / "gateway.db")) as connection:
        yield connection


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_has_a_description_and_named_parameters(name: str) -> None:
    description, sql = STATEMENTS[name]
    assert len(description.split()) > 3
    assert description.endswith(".")
    assert "?" not in sql


def test_every_name_in_the_file_has_a_statement() -> None:
    text = (Path(statements.__file__).parent / "sql" / "sqlite" / "queries.sql").read_text()
    assert re.findall(r"^-- name: (.*)$", text, flags=re.MULTILINE) == list(STATEMENTS)


@pytest.mark.parametrize("name", [name for name in STATEMENTS if name.startswith(("insert_", "replace_", "write_"))])
def test_an_insert_gives_each_column_the_parameter_of_its_name(name: str) -> None:
    found = re.match(
        r"INSERT (?:OR \w+ )?INTO (\w+) \(([^)]*)\)\s*(?:VALUES \((.*?)\)(?=$| ON|\n)|SELECT (.*?)\nWHERE)",
        STATEMENTS[name].sql,
        flags=re.DOTALL,
    )
    assert found is not None
    columns = [column.strip() for column in found[2].split(",")]
    values = [value.strip() for value in (found[3] or found[4]).split(",")]
    if found[1] == "meta":  # a name and its value
        assert columns == ["name", "value"]
    else:
        assert values == [f":{column}" for column in columns]


@pytest.mark.parametrize("name", [name for name in STATEMENTS if name.startswith("update_")])
def test_an_update_gives_each_column_the_parameter_of_its_name(name: str) -> None:
    found = re.match(r"UPDATE \w+ SET(.*)WHERE", STATEMENTS[name].sql, flags=re.DOTALL)
    assert found is not None
    for assignment in found[1].split(","):
        column, value = assignment.split("=")
        assert value.strip() == f":{column.strip()}"


@pytest.mark.parametrize("table", ROWS)
def test_a_row_has_all_columns_of_its_table_and_is_inserted_with_them(store: sqlite3.Connection, table: str) -> None:
    name, row = ROWS[table]
    columns = {column for _, column, *_ in store.execute(f"PRAGMA table_info({table})")}
    assert set(row) == columns - SET_LATER.get(table, set())
    parameters = set(statements.PARAMETER.findall(STATEMENTS[name].sql))
    assert set(row) == parameters - SET_LATER.get(table, set())


def test_an_update_of_a_generation_replaces_all_columns_that_change() -> None:
    parameters = set(statements.PARAMETER.findall(STATEMENTS["update_generation"].sql))
    assert parameters == set(codec.progress_row(GENERATION, "")) | {"id", "version_before"}


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_a_reader_reads_every_column_that_its_statement_returns(
    store: sqlite3.Connection, reader: Callable[..., Any]
) -> None:
    table, statement = READERS[reader]
    sql = STATEMENTS[statement].sql
    found = store.execute(sql, dict.fromkeys(statements.PARAMETER.findall(sql), 0))
    returned = {column for column, *_ in found.description}
    row = RecordingRow(ROWS[table][1])
    reader(row)
    if reader is codec.generation_of:
        returned -= {"state", "done", "request_id", "end_time"}  # which `shown` contains, too
        returned -= {"budget_day"}  # only the store uses it
    assert row.read == returned


def test_execution_by_position_binds_by_name(store: sqlite3.Connection) -> None:
    sql = "SELECT :b, :a, :b, :long_name"
    assert statements.execute(store, sql, {"a": 1, "long_name": 3, "b": 2}).fetchone() == (2, 1, 2, 3)


@pytest.mark.parametrize("row", [{"a": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "bb": 2}])
def test_execution_by_position_needs_exactly_the_parameters(store: sqlite3.Connection, row: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="parameters and values differ"):
        statements.execute(store, "SELECT :a, :b", row)
