"""Connections to PostgreSQL that a firewall has forgotten, or the server has ended, while they were idle."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from harness.proxy import Proxy
from tests.support.running import WAIT_TIMEOUT, eventually
from tests.support.silence import fall_silent, fall_silent_to, needs_silence

if TYPE_CHECKING:
    from gateway.store.postgres.database import Database
    from tests.support.postgres import Server

pytestmark = [
    pytest.mark.toolchain("postgres"),
    needs_silence,
]
CONNECTIONS = 5
CLOSED = 7
"""The state of a TCP connection that the system has given up, in `tcp_info` of Linux."""


async def test_idle_connections_that_are_dead_are_found_before_they_delay_a_read(
    emptied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.store.postgres import database as module

    monkeypatch.setattr(module, "KEEPALIVE_IDLE", 1)
    monkeypatch.setattr(module, "KEEPALIVE_INTERVAL", 1)
    async with opened(emptied) as database, all_connections(database) as sockets:
        for one in sockets:
            fall_silent(one)
        await eventually(lambda: all(map(is_closed, sockets)))
        assert await database.rows("read_writes")


async def test_one_statement_without_a_response_discards_all_idle_connections(
    emptied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.store.postgres import database as module

    monkeypatch.setattr(module, "RESPONSE_TIMEOUT", -2.0)  # and the time for a connection, 5 s
    async with opened(emptied) as database, all_connections(database) as sockets:
        for one in sockets:
            fall_silent(one)
        assert await database.rows("read_writes")


async def test_one_connection_that_has_ended_discards_all_idle_connections(emptied: str) -> None:
    async with opened(emptied) as database, all_connections(database) as sockets:
        first, *others = sockets
        first.shutdown(socket.SHUT_RDWR)
        for one in others:
            fall_silent(one)
        reading = asyncio.create_task(database.rows("read_writes"))
        await asyncio.wait({reading}, timeout=WAIT_TIMEOUT)  # psycopg may not end when it is canceled
        assert reading.done()
        assert reading.result()


async def test_connections_that_the_server_has_ended_because_they_were_idle_fail_no_statement(emptied: str) -> None:
    """Also if more of them are left than a statement is repeated."""
    import psycopg

    from gateway.store.postgres.database import MAX_REPEATS, RESERVED_CONNECTIONS

    async with (
        await psycopg.AsyncConnection.connect(emptied, autocommit=True) as beside,
        opened(emptied, MAX_REPEATS + 1 + RESERVED_CONNECTIONS) as database,
    ):
        pool = database._pool
        held = [await pool.getconn() for _ in range(pool.max_size)]
        ended = [connection.info.backend_pid for connection in held]
        for connection in held:
            await connection.execute("SET idle_session_timeout = '1ms'")
            await pool.putconn(connection)

        async def are_gone() -> bool:
            rows = await beside.execute("SELECT FROM pg_stat_activity WHERE pid = ANY(%s)", [ended])
            return await rows.fetchone() is None

        await eventually(are_gone)
        assert await database.rows("read_writes")
        assert not database.trouble


async def test_a_store_whose_preparation_falls_silent_is_prepared_on_another_connection(
    emptied: str, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway that has taken the lease would keep it, and never lead."""
    import psycopg

    from gateway.store.postgres import database as module
    from gateway.store.postgres.store import _prepare

    monkeypatch.setattr(module, "KEEPALIVE_IDLE", 1)
    monkeypatch.setattr(module, "KEEPALIVE_INTERVAL", 1)
    async with Proxy() as proxy, await psycopg.AsyncConnection.connect(emptied) as beside:
        proxy.target = f"127.0.0.1:{postgres.port}"
        await beside.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        await beside.execute("SELECT FROM migrations FOR UPDATE")
        url = emptied.replace(str(postgres.port), proxy.address.rpartition(":")[2])
        preparing = asyncio.create_task(_prepare(url, "the store"))

        async def waits() -> bool:
            rows = await beside.execute("SELECT FROM pg_locks WHERE NOT granted")
            return await rows.fetchone() is not None

        await eventually(waits)
        assert fall_silent_to(proxy.address) == 1
        await beside.rollback()
        await asyncio.wait({preparing}, timeout=WAIT_TIMEOUT)
        done = preparing.done()
        proxy.cut()
        assert done
        assert await preparing


@asynccontextmanager
async def opened(url: str, connections: int = CONNECTIONS) -> AsyncIterator[Database]:
    from gateway.store.postgres.database import Database

    database = Database(url, connections, lambda _: None)
    await database.open()
    try:
        async with asyncio.timeout(WAIT_TIMEOUT):
            yield database
    finally:
        await database.close()


@asynccontextmanager
async def all_connections(database: Database) -> AsyncIterator[list[socket.socket]]:
    """Let the pool for reads have all its connections, idle, and give their sockets in the order of their use."""
    pool = database._pool
    held = [await pool.getconn() for _ in range(pool.max_size)]
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(fileno=socket.dup(one.pgconn.socket))) for one in held]
        for connection in held:
            await pool.putconn(connection)
        await eventually(lambda: pool.get_stats()["pool_available"] == len(held))
        yield sockets


def is_closed(connection: socket.socket) -> bool:
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == CLOSED


def test_the_url_may_set_other_parameters() -> None:
    from gateway.store.postgres.database import connection_parameters

    given = "postgresql://gateway@db/gateway?keepalives_idle=20&target_session_attrs=any"
    assert not connection_parameters(given).keys() & {"keepalives_idle", "target_session_attrs"}
