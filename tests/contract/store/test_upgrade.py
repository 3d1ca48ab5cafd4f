"""Two versions of the schema: a newer gateway starts beside an older one, and takes over. The server is real."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.proxy import Proxy
from tests.contract.store.load import load, sandbox_for_load
from tests.contract.store.test_postgres import open_only, opened
from tests.durability.process import GatewayProcess
from tests.support.forked import MIGRATIONS
from tests.support.running import eventually

if TYPE_CHECKING:
    from tests.support.postgres import Server

pytestmark = pytest.mark.toolchain("postgres")
PRE, POST = "9001_pre_note.sql", "9002_post_note.sql"
NEXT = {
    PRE: "ALTER TABLE generations ADD COLUMN note text; CREATE INDEX generations_note ON generations (note);",
    POST: "ALTER TABLE generations ALTER COLUMN note SET DEFAULT '';",
}
"""The migrations of the next version."""


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """Return the folder of the migrations that the next version knows."""
    from gateway.store.postgres import migrations

    folder = tmp_path / "migrations"
    shutil.copytree(str(migrations.folder()), folder)
    for name, statements in NEXT.items():
        (folder / name).write_text(statements)
    return folder


def applied(postgres: Server, name: str) -> list[str]:
    """Return the migrations of the next version that a database has."""
    import psycopg

    with psycopg.connect(postgres.url(name)) as connection:
        rows = connection.execute("SELECT name FROM migrations WHERE name LIKE '9%' ORDER BY name").fetchall()
    return [name for (name,) in rows]


async def test_a_newer_version_takes_over_from_an_older_one_under_load(
    tmp_path: Path, postgres: Server, newer: Path
) -> None:
    """The additive migration comes first, beside the older one, the other one when that has ended."""
    with postgres.database() as name:

        def gateway(folder: str, **environment: str) -> GatewayProcess:
            (tmp_path / folder).mkdir()
            return GatewayProcess(
                tmp_path / folder, sandbox.url, store_url=postgres.url(name), store_connections="4",
                environment=environment,
            )  # fmt: skip

        def has(*names: str) -> Callable[[], Awaitable[bool]]:
            async def holds() -> bool:
                return await asyncio.to_thread(applied, postgres, name) == [*names]

            return holds

        async with (
            sandbox_for_load() as sandbox,
            Proxy() as balancer,
            gateway("old") as old,
            contextlib.AsyncExitStack() as stack,
        ):
            balancer.target = old.address
            new = gateway("new", **{MIGRATIONS: str(newer)})
            async with load(balancer.address, sandbox, tmp_path / "history.jsonl") as clients:
                await clients.more()
                starting = asyncio.create_task(new.start())
                stack.push_async_callback(new.kill)
                await eventually(has(PRE))
                await clients.more()
                assert await has(PRE)()
                assert await old.terminate() == 0
                await starting
                balancer.target = new.address
                await eventually(has(PRE, POST))
                await clients.more()
                with pytest.raises(AssertionError, match=f"newer gateway: its migration {POST}"):
                    await gateway("old again").start()


async def test_a_migration_waits_for_the_end_of_every_older_process(
    postgres: Server, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes without the lease count, too."""
    from gateway.store.postgres import migrations, store

    monkeypatch.setattr(store, "LEASE_TIMEOUT", 0.05)
    monkeypatch.setattr(migrations, "LEASE_TIMEOUT", 600.0)
    with postgres.database() as name:
        url = postgres.url(name)
        await open_only(url, "the store")
        older = f"gen_random_uuid(), now(), '0', 'elsewhere', '{migrations.newest()}'"
        postgres.execute(
            f"INSERT INTO replicas (replica, beat, version, address, schema) VALUES ({older})", database=name
        )
        monkeypatch.setattr(migrations, "folder", lambda: newer)
        async with opened(url) as running:
            assert applied(postgres, name) == [PRE]
            postgres.execute("DELETE FROM replicas WHERE address = 'elsewhere'", database=name)
            assert running.store.upgrading is not None
            await running.store.upgrading
        assert applied(postgres, name) == [PRE, POST]
