"""PostgreSQL's query plans: no statement reads the whole of a table that grows with the generations.

The tables are filled and analyzed, and each statement is planned with parameters as a gateway has them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from gateway.store import statements

if TYPE_CHECKING:
    import psycopg

    from tests.support.postgres import Server

pytestmark = pytest.mark.toolchain("postgres")

ROWS = 20_000
BATCHED = ("claim", "save", "read_written")
"""The statements for many generations at once."""
FILLED: Mapping[str, Mapping[str, str]] = {
    "generations": {
        "id": "'g' || n", "tenant": "'t' || n % 10", "idempotency_key": "'k' || n", "done": "n % 100 <> 0",
        "request_id": "CASE WHEN n % 50 > 0 THEN 'r' || n END", "token_hash": "decode(md5(n::text), 'hex')",
        "ended_at": "CASE WHEN n % 100 <> 0 THEN n END", "created_at": "n", "sent_at": "n",
        "stray_request_id": "CASE WHEN n % 1000 = 0 THEN 's' || n ELSE '' END", "shown": "repeat('x', 300)",
        "write_id": "gen_random_uuid()",
    },
    "keys": {
        "tenant": "'t' || n % 10", "key": "'k' || n", "generation_id": "'g' || n", "used_at": "n",
        "orphaned": "n % 500 = 0", "deleted": "0",
    },
    "requests": {"generation_id": "'g' || n"},
    "changes": {
        "tenant": "'t' || n / 3 % 10", "position": "n", "generation_id": "'g' || n / 3", "revision": "n % 3 + 1",
        "time": "n", "shown": "repeat('x', 300)",
    },
    "deliveries": {"generation_id": "'g' || n", "name": "'w'", "processed": "n % 500 <> 0", "time": "n"},
    "events": {"generation_id": "'g' || n / 4", "time": "n"},
    "callback_deliveries": {
        "callback_id": "'c' || n % 50", "generation_id": "'g' || n", "revision": "1", "create_time": "n",
        "state": "CASE WHEN n % 500 = 0 THEN 1 ELSE 2 END",
    },
    "archive_files": {
        "generation_id": "'g' || n", "archive": "'a'", "state": "CASE WHEN n % 500 = 0 THEN 0 ELSE 1 END",
    },
    "agent_keys": {
        "tenant": "'t' || n % 10", "key": "'k' || n", "session_id": "'s' || n / 5", "message_id": "'m' || n",
        "used_at": "n",
    },
    "agent_sessions": {"id": "'s' || n"},
    "agent_media": {"tenant": "'t' || n % 10", "id": "'m' || n", "created_at": "n"},
}  # fmt: skip
"""The tables that grow with the generations, and expressions for columns of the row number n."""
PLAIN = {
    "text": "", "bytea": r"\x", "boolean": "false", "uuid": "00000000-0000-0000-0000-000000000000",
}  # fmt: skip
"""What the other columns and parameters have, by type; numbers are 0."""
GIVEN: Mapping[tuple[str, str] | str, str] = {
    "id": "g5000", "ids": "g5000", "generation_id": "g5000", "generation_ids": "g5000", "tenant": "t1", "key": "k5001",
    "idempotency_key": "k5001", "request_id": "r5001", "request_ids": "r5001", "token_hash": r"\x01", "limit": "50",
    ("before", "text"): "g5000", ("before", "double precision"): "100", "after": "g5000", "after_id": "g5000",
    "ended_after": "19000", "after_position": "59000", "ended_before": "100", "keys_before": "100",
    "used_before": "100", "callback_id": "c1", "archive": "a", "now": "100", "latest": "1e12", "session_id": "s5",
    "before_time": "19000", "position": "59000", "most": "100", "dead": "2", "oldest": "g4990", "rows": "50",
    ("labels", "jsonb"): '{"user": "u"}',
}  # fmt: skip
"""Parameters by name, or by name and type, that select rows."""
SCANNED = {"read_newest_change_time": {"changes"}}
"""Statements that may read a whole table: the newest change that is no removal is found behind the newest removals."""


@pytest.fixture(scope="module")
def new(postgres: Server) -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection to a database whose tables are new: the server has no statistics of them."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    import psycopg

    from tests.contract.store.test_postgres import open_only

    with postgres.database() as name:
        with ThreadPoolExecutor(1) as thread:  # this one may run an event loop
            thread.submit(asyncio.run, open_only(postgres.url(name), "the store")).result()
        # Filling and analyzing the tables may take longer than the limit for a gateway's statements.
        unlimited = "-c statement_timeout=0"
        with psycopg.connect(
            postgres.url(name), autocommit=True, prepare_threshold=None, options=unlimited
        ) as connection:
            # The server could take statistics of a table while a test fills it. For a minute, they would say that the
            # table is empty, and then a scan of all its rows costs no more than an index.
            for table in (*FILLED, "durations"):
                connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
            yield connection


@pytest.fixture(scope="module")
def filled(new: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """Return a connection to a database whose tables are filled."""
    for table, columns in FILLED.items():
        fill(new, table, columns)
    new.execute("ANALYZE")
    return new


def fill(connection: psycopg.Connection[Any], table: str, columns: Mapping[str, str]) -> None:
    rows = connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_name = %s AND is_nullable = 'NO' AND column_default IS NULL",
        [table],
    ).fetchall()
    all_columns = {name: f"'{PLAIN.get(kind, '0')}'::{kind}" for name, kind in rows} | dict(columns)
    number = 3 * ROWS if table in {"changes", "events"} else ROWS
    connection.execute(
        f"INSERT INTO {table} ({', '.join(all_columns)})"
        f" SELECT {', '.join(all_columns.values())} FROM generate_series(1, {number}) AS n"
    )


def plan(connection: psycopg.Connection[Any], sql: str, rows: int) -> dict[str, Any]:
    """Return the plan of a statement with the parameters of GIVEN and PLAIN; arrays have a number of rows."""
    names = list(dict.fromkeys(statements.PARAMETER.findall(sql)))
    numbered = statements.PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", sql)
    connection.execute("DEALLOCATE ALL")
    connection.execute(f"PREPARE planned AS {numbered}")
    row = connection.execute("SELECT parameter_types::text[] FROM pg_prepared_statements").fetchone()
    assert row is not None
    values = [literal(name, kind, rows) for name, kind in zip(names, row[0], strict=True)]
    arguments = f"({', '.join(values)})" if values else ""
    row = connection.execute(f"EXPLAIN (FORMAT JSON) EXECUTE planned{arguments}").fetchone()
    assert row is not None
    found: dict[str, Any] = row[0][0]["Plan"]
    return found


def literal(name: str, kind: str, rows: int) -> str:
    """Return the value of a parameter, as text of SQL."""
    of = kind.removesuffix("[]")
    value = f"'{GIVEN.get((name, of), GIVEN.get(name, PLAIN.get(of, '0')))}'::{of}"
    return f"array_fill({value}, ARRAY[{rows}])" if kind.endswith("[]") else value


def scanned(connection: psycopg.Connection[Any], sql: str, rows: int = 1) -> set[str]:
    """Return the tables of FILLED that a statement reads as a whole, also by an index without a condition."""
    partial = {
        name
        for (name,) in connection.execute(
            "SELECT indexrelid::regclass::text FROM pg_index WHERE indpred IS NOT NULL"
        ).fetchall()
    }
    return set(_scanned(plan(connection, sql, rows), partial)) & FILLED.keys()


def _scanned(node: Mapping[str, Any], partial: set[str]) -> Iterator[str]:
    by_index = "Index Name" in node and ("Index Cond" in node or node["Index Name"] in partial)
    if "Relation Name" in node and node["Node Type"] not in {"ModifyTable", "Bitmap Heap Scan"} and not by_index:
        yield node["Relation Name"]
    for child in node.get("Plans", ()):
        yield from _scanned(child, partial)


def test_no_statement_of_a_new_store_is_compiled(new: psycopg.Connection[Any]) -> None:
    """Otherwise each call would take a fifth of a second of the server's CPU time, with PostgreSQL's defaults."""
    row = new.execute("SELECT setting::float FROM pg_settings WHERE name = 'jit_above_cost'").fetchone()
    assert row is not None
    costs = {name: plan(new, sql, 1)["Total Cost"] for name, sql in planned().items()}
    assert {name: cost for name, cost in costs.items() if cost > row[0]} == {}


def planned() -> Mapping[str, str]:
    return {name: sql for name, sql in statements.load("postgres").items() if not sql.startswith("LOCK")}


def test_every_statement_finds_its_rows_by_an_index(filled: psycopg.Connection[Any]) -> None:
    found = {name: scanned(filled, sql) for name, sql in planned().items()}
    assert {name: tables for name, tables in found.items() if tables} == SCANNED


@pytest.mark.parametrize("name", BATCHED)
def test_a_batch_finds_its_rows_by_an_index(filled: psycopg.Connection[Any], name: str) -> None:
    from gateway.store.postgres.log_writer import MAX_JOBS_PER_STATEMENT

    assert scanned(filled, statements.load("postgres")[name], MAX_JOBS_PER_STATEMENT) == set()


def test_a_scan_is_detected(filled: psycopg.Connection[Any]) -> None:
    assert scanned(filled, "SELECT 1 FROM changes WHERE time < :time") == {"changes"}
    assert scanned(filled, "SELECT id FROM generations ORDER BY id") == {"generations"}


def test_old_run_times_are_found_in_one_pass_with_statistics_of_a_small_table(new: psycopg.Connection[Any]) -> None:
    columns = "durations (model_id, traits, seconds)"
    add = f"INSERT INTO {columns} SELECT 'm' || mod(n, 2), '', n FROM generate_series(1, %s) AS n"
    new.execute(add, [1])
    new.execute("VACUUM ANALYZE durations")
    new.execute(add, [955])
    replica = f"'{uuid.uuid4()}'"
    new.execute(f"UPDATE lease SET fence = 9999, replica = {replica}")
    new.execute("UPDATE log SET writes = 9999")
    given = {"replica": replica}
    prune = statements.PARAMETER.sub(
        lambda found: given.get(found[1], "9999"), statements.load("postgres")["prune_durations"]
    )
    row = new.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {prune}").fetchone()
    assert row is not None
    assert rows_read(row[0][0]["Plan"]) < 100 * 956
    assert new.execute("SELECT count(*) FROM durations").fetchone() == (600,)


@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize("now", [1.0, 60.0], ids=["none is due", "some are due"])
def test_due_copies_are_found_without_reading_the_others(
    new: psycopg.Connection[Any], now: float, analyzed: bool
) -> None:
    given = {"archive": "'a'", "after": "''", "now": str(now), "latest": "3600.0", "limit": "4"}
    read = statements.PARAMETER.sub(lambda found: given[found[1]], statements.load("postgres")["read_due_copies"])
    for tenant, at in (("blue", 90.0), ("red", 50.0)):
        columns = {"generation_id": f"'{tenant}' || n", "key": f"'{tenant}/g/' || n", "archive": "'a'"}
        fill(new, "archive_files", columns | {"not_before": f"{at}"})
    if analyzed:
        new.execute("ANALYZE archive_files")
    row = new.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {read}").fetchone()
    new.execute("TRUNCATE archive_files")
    assert row is not None
    assert rows_read(row[0][0]["Plan"]) < 100


def rows_read(node: Mapping[str, Any]) -> int:
    """Return how many rows all nodes of an executed plan returned or rejected."""
    counted = ("Actual Rows", "Rows Removed by Join Filter", "Rows Removed by Filter")
    own = sum(node.get(name, 0) for name in counted) * node["Actual Loops"]
    return own + sum(rows_read(child) for child in node.get("Plans", ()))
