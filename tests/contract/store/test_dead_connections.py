"""Connections to PostgreSQL that a firewall has forgotten without a word while they were idle."""

from __future__ import annotations

import asyncio
import socket
import sys

import pytest

from tests.support.running import PATIENCE, eventually
from tests.support.silence import fall_silent

pytestmark = [
    pytest.mark.toolchain("postgres"),
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux drops the packets of a socket on request"),
]
CONNECTIONS = 5
CLOSED = 7
"""The state of a TCP connection that the system has given up, in `tcp_info` of Linux."""


async def test_idle_connections_that_are_dead_are_found_before_they_delay_a_read(
    emptied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.store.postgres import database as module

    monkeypatch.setattr(module, "PROBE_IDLE_AFTER", 1)
    monkeypatch.setattr(module, "PROBE_AGAIN_AFTER", 1)
    database = module.Database(emptied, CONNECTIONS, lambda _: None)
    await database.open()
    sockets: list[socket.socket] = []
    try:
        async with asyncio.timeout(PATIENCE):
            pool = database._pool
            held = [await pool.getconn() for _ in range(pool.max_size)]
            for connection in held:
                sockets.append(socket.socket(fileno=socket.dup(connection.pgconn.socket)))
                fall_silent(sockets[-1])
                await pool.putconn(connection)
            await eventually(lambda: all(map(is_closed, sockets)))
            assert await database.one("read_writes") is not None
    finally:
        await database.close()
        for one in sockets:
            one.close()


def is_closed(connection: socket.socket) -> bool:
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == CLOSED


def test_the_url_may_set_other_times() -> None:
    from gateway.store.postgres.database import _keepalives

    given = "postgresql://gateway@db/gateway?keepalives_idle=20"
    assert _keepalives(given).keys() == {"keepalives_interval", "keepalives_count"}
