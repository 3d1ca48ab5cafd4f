"""A PostgreSQL server that dies and starts again, or whose standby takes its place. Both are real."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.generations.stores import StoreError, UnconfirmedError
from harness.proxy import Proxy
from tests.contract.store import examples
from tests.contract.store.load import load, sandbox_for_load
from tests.durability.process import GatewayProcess
from tests.support.addresses import free_address
from tests.support.running import eventually

if TYPE_CHECKING:
    from tests.support.postgres import Server

pytestmark = pytest.mark.toolchain("postgres")
RESTARTS = 3


@pytest.fixture
def pair() -> Iterator[tuple[Server, Server]]:
    """Start a server with a synchronous standby."""
    from tests.support import postgres as support

    with support.replicated() as pair:
        pair[0].execute(f"CREATE DATABASE store OWNER {support.USER}")
        yield pair


async def test_a_failover_to_a_synchronous_standby_loses_nothing(tmp_path: Path, pair: tuple[Server, Server]) -> None:
    import psycopg

    primary, standby = pair
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
    url = f"postgresql://gateway@{hosts}/store?target_session_attrs=read-write"
    async with await psycopg.AsyncConnection.connect(primary.url("postgres", "postgres"), autocommit=True) as admin:

        async def synchronous() -> bool:
            rows = await admin.execute("SELECT sync_state FROM pg_stat_replication")
            return await rows.fetchall() == [("sync",)]

        await eventually(synchronous)
    async with (
        sandbox_for_load() as sandbox,
        GatewayProcess(tmp_path, sandbox.url, store_url=url, store_connections="4") as gateway,
        load(gateway.address, sandbox, tmp_path / "history.jsonl") as clients,
    ):
        await clients.more()
        await asyncio.to_thread(primary.kill_processes)
        await asyncio.to_thread(standby.execute, "SELECT pg_promote()")
        await clients.more()


async def test_a_name_that_leads_to_a_standby_for_a_while_is_not_used_until_it_leads_to_the_primary(
    pair: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failover a DNS name or a proxy may lead to the old server, which is a standby now."""
    from gateway.store.postgres import database
    from gateway.store.postgres.store import PostgresStore

    primary, standby = pair
    async with Proxy() as name:
        name.target = f"127.0.0.1:{primary.port}"
        url = primary.url("store", port=int(name.address.rpartition(":")[2]))
        store = await PostgresStore.open(url, url, lambda _: None, 5)
        try:
            monkeypatch.setattr(database, "CONNECT_TIMEOUT", 0.5)
            name.target = f"127.0.0.1:{standby.port}"
            name.cut()
            with pytest.raises(StoreError):  # it may lack the newest commits
                await store.generations.unfinished()
            with pytest.raises(UnconfirmedError):
                await store.claims.claim(examples.claim())
            name.target = f"127.0.0.1:{primary.port}"

            async def writable() -> bool:
                return not store.health.trouble

            await eventually(writable)
            assert (await store.claims.claim(examples.claim())).new
        finally:
            await store.close()


async def test_a_gateway_starts_while_the_first_server_does_not_respond(tmp_path: Path) -> None:
    from tests.support import postgres as support

    with support.running() as server, socket.create_server(("127.0.0.1", 0)) as silent:
        server.execute(f"CREATE DATABASE store OWNER {support.USER}")
        hosts = f"127.0.0.1:{silent.getsockname()[1]},127.0.0.1:{server.port}"
        url = f"postgresql://gateway@{hosts}/store?target_session_attrs=read-write"
        async with GatewayProcess(tmp_path, f"http://{free_address()}", store_url=url) as gateway:
            assert gateway.address


async def test_a_server_that_is_killed_and_restarted_under_load_loses_nothing(tmp_path: Path) -> None:
    from tests.support import postgres as support

    with support.running() as server:
        server.execute(f"CREATE DATABASE store OWNER {support.USER}")
        async with (
            sandbox_for_load() as sandbox,
            GatewayProcess(tmp_path, sandbox.url, store_url=server.url("store"), store_connections="4") as gateway,
            load(gateway.address, sandbox, tmp_path / "history.jsonl") as clients,
        ):
            for _ in range(RESTARTS):
                await clients.more()
                await asyncio.to_thread(server.kill_processes)
                await asyncio.to_thread(server.start)
            await clients.more()
