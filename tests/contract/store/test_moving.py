"""Moves a SQLite store into a PostgreSQL database: complete, resumable, verified, and never two stores at once."""

from __future__ import annotations

import random
import shlex
import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway.cli.exit_codes import REFUSED, USAGE
from gateway.generations.stores import StoreError
from gateway.sandbox.server import Sandbox, SandboxOptions
from gateway.store.postgres import moving
from gateway.store.postgres.errors import ServerError
from gateway.store.postgres.restore import declare_restored
from gateway.store.postgres.store import PostgresStore, examine
from gateway.store.sqlite import files, restore
from gateway.store.sqlite.files import StoreFileError
from gateway.store.sqlite.store import SqliteStore
from hfgateway_client import AsyncClient, CaughtUp, GenerationChanged, soul
from tests.app.command import environment, run
from tests.contract.store import examples
from tests.contract.store.test_audit import entries
from tests.contract.store.test_store import completed
from tests.durability.process import GatewayProcess

if TYPE_CHECKING:
    from tests.support.postgres import Server

pytestmark = pytest.mark.toolchain("postgres")
ROWS = 7
SHOWN = "postgresql://gateway@db/gateway"


@pytest.fixture
def url(postgres: Server) -> Iterator[str]:
    with postgres.database() as name:
        yield postgres.url(name)


@pytest.fixture
async def path(tmp_path: Path, url: str) -> Path:
    """Return a file with rows of any content in every table."""
    path = tmp_path / "store.db"
    await SqliteStore(path, _broke).close()
    async with _opened(url):
        columns = await _columns(url)
    with closing(sqlite3.connect(path)) as store, store:
        for table, kinds in columns.items():
            found = store.execute('SELECT name FROM pragma_table_info(?) WHERE NOT "notnull" AND NOT pk', [table])
            optional = {name for (name,) in found}
            for number in range(ROWS):
                dice = random.Random(f"{table} {number}")
                row = {
                    name: None if name in optional and dice.random() < 0.3 else _value(kind, dice)
                    for name, kind in kinds.items()
                }
                if table == "accounts":
                    row["repeats_off"] = number % 2
                places = ", ".join("?" * len(row))
                store.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", [*row.values()])
    return path


def _value(kind: str, dice: random.Random) -> Any:
    match kind:
        case "boolean":
            return dice.randrange(2)
        case "smallint":
            return dice.randrange(-(1 << 15), 1 << 15)
        case "integer":
            return dice.randrange(-(1 << 31), 1 << 31)
        case "bigint":
            return dice.randrange(1 << 40)
        case "double precision":
            return dice.uniform(-1e12, 1e12)
        case "bytea":
            return dice.randbytes(dice.randrange(40)) + b"\0"
        case "text":
            return "".join(dice.choices("aé\\\n\t'\"{}🎥\u2028 ", k=12)) + str(dice.random())
    raise AssertionError(kind)


async def _columns(url: str) -> dict[str, dict[str, str]]:
    """Return the types of the columns of all tables that are moved."""
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in await _fetched(
        url,
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'public' ORDER BY 1, 2",
    ):
        if table not in moving.NOT_COPIED_TABLES and column != moving.WRITE_COLUMN:
            found.setdefault(table, {})[column] = kind
    return found


async def _fetched(url: str, statement: str) -> list[Any]:
    import psycopg

    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(statement)  # type: ignore[call-overload] # not a literal
        return list(await cursor.fetchall()) if cursor.description else []


async def _content(url: str) -> dict[str, list[Any]]:
    """Return the sorted rows of all tables of a database."""
    return {
        table: sorted(await _fetched(url, f"SELECT {', '.join(kinds)} FROM {table}"), key=repr)
        for table, kinds in (await _columns(url)).items()
    }


async def _expected(path: Path, url: str) -> dict[str, list[Any]]:
    """Return what a database must contain after the move of a file."""
    expected = {}
    with closing(sqlite3.connect(path)) as store:
        for table, kinds in (await _columns(url)).items():
            wanted = "repeats_off" if table == "accounts" else "true"
            rows = store.execute(f"SELECT {', '.join(kinds)} FROM {table} WHERE {wanted}").fetchall()
            expected[table] = sorted((_as_stored(row, kinds.values()) for row in rows), key=repr)
    return expected


def _as_stored(row: Sequence[Any], kinds: Iterable[str]) -> tuple[Any, ...]:
    pairs = zip(row, kinds, strict=True)
    return tuple(bool(value) if kind == "boolean" and value is not None else value for value, kind in pairs)


@asynccontextmanager
async def _opened(url: str, *, declaring: bool = False) -> AsyncIterator[PostgresStore]:
    store = await PostgresStore.open(url, SHOWN, _broke, connections=5, declaring=declaring)
    try:
        yield store
    finally:
        await store.close()


def _broke(error: Exception) -> None:
    raise AssertionError("the store is broken") from error


def _silent(line: str) -> None:
    del line


class StopMoveError(Exception):
    """The move was interrupted."""


async def test_every_row_of_every_table_is_moved(path: Path, url: str) -> None:
    expected = await _expected(path, url)
    assert all(expected.values())

    moved = await moving.move(path, url, SHOWN, _silent)

    assert await _content(url) == expected
    assert moved.rows == sum(map(len, expected.values()))


async def test_the_database_continues_the_history_of_the_file(tmp_path: Path, url: str) -> None:
    path = tmp_path / "store.db"
    source = SqliteStore(path, _broke)
    source.auditor.mode = "on"
    claim = examples.claim()
    await source.claims.claim(claim)
    await completed(source, "request")
    position, secret, epoch = (
        await source.change_log.position(), await source.keys.token_secret(), source.change_log.epoch,
    )  # fmt: skip
    audited = await entries(source)
    await source.close()
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("DELETE FROM changes WHERE position = ?", [position])  # as if it were pruned

    await moving.move(path, url, SHOWN, _silent)

    async with _opened(url) as store:
        store.auditor.mode = "on"
        assert await store.keys.token_secret() == secret
        assert (await store.change_log.position(), store.change_log.epoch) == (position, epoch)
        again = await store.claims.claim(
            examples.claim(fingerprint=claim.fingerprint, idempotency_key=claim.generation.spec.idempotency_key)
        )
        assert again.generation == claim.generation
        assert not again.new
        new = await store.claims.claim(examples.claim())
        assert new.new
        assert await store.change_log.position() == position + 1
        await completed(store, "another")
        assert len(await store.accounts.run_times()) == 2
        found = await entries(store)
        assert found[: len(audited)] == audited
        assert len(found) == len(audited) + 2


async def test_an_interrupted_move_continues_behind_the_last_chunk(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = await _expected(path, url)
    monkeypatch.setattr(moving, "ROWS_PER_BATCH", 2)
    chunks: list[str] = []
    read = moving._Source.chunk

    def counted(source: Any, table: moving.Table, after: Sequence[Any]) -> Any:
        if len(chunks) in interruptions:
            interruptions.remove(len(chunks))
            raise StopMoveError
        found = read(source, table, after)
        chunks.extend([table.name] if found else [])
        return found

    interruptions = {3, 9, 40}
    monkeypatch.setattr(moving._Source, "chunk", counted)
    for _ in range(3):
        with pytest.raises(StopMoveError):
            await moving.move(path, url, SHOWN, _silent)
        with pytest.raises(
            StoreFileError, match=f"is being moved to {SHOWN}; run hfgateway migrate sqlite-to-postgres"
        ):
            files.prepare(path)
        with pytest.raises(ServerError, match="a store is being moved into it"):
            await PostgresStore.open(url, SHOWN, _broke, connections=5)
        with pytest.raises(ServerError, match="a store is being moved into it"):
            await examine(url, SHOWN)  # as `hfgateway doctor` does

    await moving.move(path, url, SHOWN, _silent)

    assert await _content(url) == expected
    # Nothing was copied twice.
    assert len(chunks) == sum(-(-len(rows) // 2) for rows in expected.values())


async def test_a_move_whose_first_mark_could_not_be_written_is_repeated(path: Path, url: str) -> None:
    with closing(sqlite3.connect(path)) as store, store:
        store.execute(
            "CREATE TRIGGER disk_is_full BEFORE INSERT ON meta WHEN new.name = 'moving_to'"
            " BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        )
    with pytest.raises(StoreFileError, match=r"cannot be used \(disk is full\)"):
        await moving.move(path, url, SHOWN, _silent)
    with closing(sqlite3.connect(path)) as store, store:
        store.execute("DROP TRIGGER disk_is_full")

    assert (await moving.move(path, url, SHOWN, _silent)).rows > 0


async def test_no_timeout_of_the_server_ends_the_copy_or_the_analysis_of_a_large_table(path: Path, url: str) -> None:
    expected = await _expected(path, url)
    await _fetched(
        url,
        "CREATE FUNCTION unlimited(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN"
        " IF '0' <> ANY (ARRAY[current_setting('statement_timeout'),"
        " current_setting('idle_in_transaction_session_timeout')]) THEN RAISE 'this may not take long'; END IF;"
        " RETURN $1; END $$",
    )
    await _fetched(url, "CREATE INDEX ON api_keys (unlimited(tenant))")  # each row that is written or sampled calls it
    await moving.move(path, url, SHOWN, _silent)
    assert await _content(url) == expected
    assert await _fetched(url, "SELECT reltuples FROM pg_class WHERE relname = 'api_keys'") == [(ROWS,)]


async def test_a_move_that_the_server_stops_says_why(path: Path, url: str, postgres: Server) -> None:
    from harness.proxy import Proxy

    await _fetched(url, "ALTER TABLE api_keys ADD CHECK (false)")
    with pytest.raises(ServerError, match=r"violates check constraint .*; run the command again"):
        await moving.move(path, url, SHOWN, _silent)
    await _fetched(url, "ALTER TABLE api_keys DROP CONSTRAINT api_keys_check")

    async with Proxy() as proxy:
        proxy.target = f"127.0.0.1:{postgres.port}"
        name, port = url.rpartition("/")[2], int(proxy.address.rpartition(":")[2])
        with pytest.raises(ServerError, match=r"the connection was lost \(.+\); run the command again"):
            await moving.move(path, postgres.url(name, port=port), SHOWN, lambda _: proxy.cut())
    await moving.move(path, url, SHOWN, _silent)


async def test_a_moved_file_starts_no_gateway_unless_it_is_declared_restored(path: Path, url: str) -> None:
    await moving.move(path, url, SHOWN, _silent)

    with pytest.raises(StoreFileError, match=f"was moved to {SHOWN}; set HFGATEWAY_STORE_URL"):
        SqliteStore(path, _broke)
    with pytest.raises(StoreFileError, match="was moved to"):
        restore.declare_moved(path)
    assert (await moving.move(path, url, SHOWN, _silent)).rows == 0  # as after a crash before the file was marked


async def test_the_printed_command_declares_the_refused_file_and_not_the_database(tmp_path: Path, url: str) -> None:
    await SqliteStore(tmp_path / "store.db", _broke).close()
    copy = tmp_path / "back up.db"
    restore.backup(tmp_path / "store.db", copy)
    given = environment(tmp_path, {"HFGATEWAY_STORE_URL": url})
    refused = await run("migrate", "sqlite-to-postgres", str(copy), environment=given)
    assert (refused.code, refused.out) == (REFUSED, "")

    printed = refused.err.partition("run: ")[2].removesuffix(" (docs/operations.md)\n")
    words = shlex.split(printed)
    variables = dict(word.split("=", 1) for word in words[: words.index("hfgateway")])
    declared = await run(*words[words.index("hfgateway") + 1 :], environment={**given, **variables})

    assert declared.out.startswith(f"{copy}: ")
    assert (await run("migrate", "sqlite-to-postgres", str(copy), environment=given)).code == 0


async def test_rows_that_differ_are_found_and_the_file_can_be_used_again(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = moving._Target.verify

    async def spoiled(target: Any, source: Any, table: moving.Table) -> None:
        if table.name == "keys":
            await _fetched(url, "UPDATE keys SET used_at = used_at + 1 WHERE ctid = (SELECT min(ctid) FROM keys)")
        await verify(target, source, table)

    monkeypatch.setattr(moving._Target, "verify", spoiled)
    with pytest.raises(ServerError, match=f"keys has {ROWS} rows, and not the {ROWS} of the file"):
        await moving.move(path, url, SHOWN, _silent)

    await moving.abandon(path, url, SHOWN)
    files.prepare(path).close()
    with pytest.raises(ServerError, match="has an unfinished move of another state"):
        await moving.move(path, url, SHOWN, _silent)


async def test_a_move_whose_lease_another_gateway_has_taken_writes_nothing(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = moving._Target.copy

    async def copy_too_late(target: Any, source: Any, table: moving.Table) -> int:
        await _fetched(url, "UPDATE lease SET fence = fence + 1")
        return await copy(target, source, table)

    monkeypatch.setattr(moving._Target, "copy", copy_too_late)
    with pytest.raises(ServerError, match="another gateway has taken it over"):
        await moving.move(path, url, SHOWN, _silent)
    assert not any((await _content(url)).values())


async def test_a_database_in_use_and_a_finished_move_are_left_alone(path: Path, url: str) -> None:
    async with _opened(url) as store:
        with pytest.raises(ServerError, match="in use by another gateway"):
            await moving.move(path, url, SHOWN, _silent)
        await store.claims.claim(examples.claim())
    with pytest.raises(ServerError, match="is in use; give the move an empty database"):
        await moving.move(path, url, SHOWN, _silent)
    files.prepare(path).close()  # it was not marked
    with files.lock(path), pytest.raises(StoreFileError, match="in use"):
        await moving.move(path, url, SHOWN, _silent)
    with pytest.raises(StoreFileError, match="is not being moved"):
        await moving.abandon(path, url, SHOWN)


async def test_a_database_with_rows_but_no_generation_is_left_alone(path: Path, url: str) -> None:
    async with _opened(url) as store:
        await store.agents.add_agent_media("shop", "media", examples.NOW)
    content = await _content(url)
    with pytest.raises(ServerError, match="is in use; give the move an empty database"):
        await moving.move(path, url, SHOWN, _silent)
    assert await _content(url) == content
    async with _opened(url):
        files.prepare(path).close()  # neither was marked


async def test_a_database_into_which_an_empty_file_was_moved_can_take_another(path: Path, url: str) -> None:
    expected = await _expected(path, url)
    empty = path.with_name("empty.db")
    await SqliteStore(empty, _broke).close()
    await moving.move(empty, url, SHOWN, _silent)
    await moving.move(path, url, SHOWN, _silent)
    assert await _content(url) == expected


async def test_a_finished_move_is_not_abandoned(path: Path, url: str) -> None:
    await moving.move(path, url, SHOWN, _silent)
    with pytest.raises(StoreFileError, match=f"was moved to {SHOWN}, which is the newest state"):
        await moving.abandon(path, url, SHOWN)


async def test_a_file_is_moved_into_one_database_only(path: Path, url: str, postgres: Server) -> None:
    other = "postgresql://gateway@elsewhere/gateway"
    with postgres.database() as name:
        await moving.move(path, url, SHOWN, _silent)
        with pytest.raises(StoreFileError, match=f"was moved to {SHOWN}, which is the newest state"):
            await moving.move(path, postgres.url(name), other, _silent)
        with pytest.raises(StoreFileError, match=f"was moved to {SHOWN}"):
            await moving.abandon(path, postgres.url(name), other)


@pytest.mark.parametrize("call", [moving.move, moving.abandon], ids=["move", "abandon"])
async def test_a_move_that_may_be_complete_is_finished_with_its_own_database(
    path: Path, url: str, postgres: Server, monkeypatch: pytest.MonkeyPatch, call: Any
) -> None:
    def crash(source: Any, target: str) -> None:
        raise RuntimeError("crashed")

    with monkeypatch.context() as patched:
        patched.setattr(moving._Source, "finish", crash)
        with pytest.raises(RuntimeError, match="crashed"):
            await moving.move(path, url, SHOWN, _silent)
    more = (_silent,) if call is moving.move else ()
    with (
        postgres.database() as name,
        pytest.raises(StoreFileError, match=f"is being moved to {SHOWN}: finish or abandon"),
    ):
        await call(path, postgres.url(name), "postgresql://gateway@elsewhere/gateway", *more)
    # The same database by another name.
    alias = "postgresql://gateway@alias/gateway"
    assert (await moving.move(path, url, alias, _silent)).rows == 0
    with pytest.raises(StoreFileError, match=f"was moved to {alias}"):
        files.prepare(path)


async def test_a_restored_database_has_the_last_change_and_all_held_generations(url: str) -> None:
    async with _opened(url) as store:
        claimed = await store.claims.claim(examples.claim())
        # The removal of an old generation is not the time of the newest change.
        old = await completed(store, "request", at=-1e6)
        await store.deletions.delete(old, at_upstream=False, steady=examples.NOW)
        first, again = await declare_restored(store), await declare_restored(store)
        assert [[one.id for one in declared.held] for declared in (first, again)] == [[claimed.generation.id]] * 2
        # The first declaration has changed what callers see.
        assert first.newest == claimed.generation.update_time < again.newest


async def test_no_gateway_starts_on_a_database_whose_declaration_was_interrupted(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would send what was not held yet."""

    async def interrupted(_: object) -> None:
        raise StoreError("interrupted")

    async with _opened(url) as store:
        await store.claims.claim(examples.claim())
        epoch = store.change_log.epoch
        with monkeypatch.context() as patched:
            patched.setattr("gateway.store.postgres.restore.hold_submissions", interrupted)
            with pytest.raises(StoreError, match="interrupted"):
                await declare_restored(store)
    for opened in (PostgresStore.open, PostgresStore.join):
        with pytest.raises(ServerError, match="not complete: stop all gateways and run hfgateway migrate --restored"):
            await opened(url, SHOWN, _broke, 5)
    async with _opened(url, declaring=True) as store:
        assert len((await declare_restored(store)).held) == 1
    async with _opened(url) as store:
        assert store.change_log.epoch not in {"", epoch}


async def test_generations_are_held_in_few_commits(url: str) -> None:
    """The gateways are stopped until its end, and there may be 100,000."""
    async with _opened(url) as store:
        for _ in range(20):
            await store.claims.claim(examples.claim())
        writes = store.database.writes
        assert len(await restore.hold_submissions(store)) == 20
        assert store.database.writes == writes + 1
        assert all(generation.held for generation in await store.generations.unfinished())


async def test_callers_continue_after_a_move(tmp_path: Path, url: str) -> None:
    file = tmp_path / "store.db"
    on_file, on_server = ({"HFGATEWAY_STORE_URL": store} for store in (f"sqlite:///{file}", url))
    created = await run("keys", "create", "--tenant", "shop", "--offline", environment=environment(tmp_path, on_file))
    key = created.out.split()[-1]
    async with Sandbox(SandboxOptions(port=0, queue_seconds=0.05, image_seconds=0.05)) as sandbox:
        async with GatewayProcess(tmp_path, sandbox.url, auth="keys") as gateway:
            async with AsyncClient(gateway.address, api_key=key) as client:
                before = await client.get((await client.generate(soul("a fox"), idempotency_key="first")).id)
                token = await anext(
                    event.resume_token async for event in client.watch_many() if isinstance(event, CaughtUp)
                )
            assert await gateway.terminate() == 0

        moved = await run("migrate", "sqlite-to-postgres", str(file), environment=environment(tmp_path, on_server))
        assert moved.code == 0, moved.err
        assert "rows are equal in both stores" in moved.out
        refused = await run("serve", environment=environment(tmp_path, on_file))
        assert refused.code == USAGE
        assert "was moved to postgresql://" in refused.err

        async with (
            GatewayProcess(tmp_path, sandbox.url, auth="keys", store_url=url) as gateway,
            AsyncClient(gateway.address, api_key=key) as client,
        ):
            assert await client.get(before.id) == before
            again = await client.submit(soul("a fox"), idempotency_key="first")
            assert (again.generation.id, again.replayed) == (before.id, True)
            after = await client.generate(soul("an owl"))
            events = client.watch_many(resume_token=token)
            seen = [await anext(events) for _ in range(after.revision)]
            assert {event.generation.id for event in seen if isinstance(event, GenerationChanged)} == {after.id}
            assert len(sandbox.ledger.charges) == 2
