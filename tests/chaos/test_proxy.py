"""The proxy leaves no connection behind."""

import asyncio
import os
import socket
from contextlib import suppress

import pytest

from harness.proxy import Proxy

WAIT_TIMEOUT = 30.0


@pytest.mark.parametrize("iterations", range(6))
async def test_a_connection_that_was_just_accepted_is_closed(iterations: int) -> None:
    with socket.socket() as caller:
        async with Proxy() as proxy:
            host, _, port = proxy.address.rpartition(":")
            caller.connect((host, int(port)))
            for _ in range(iterations):
                await asyncio.sleep(0)
        caller.setblocking(False)
        async with asyncio.timeout(WAIT_TIMEOUT):
            with suppress(ConnectionResetError):
                assert await asyncio.get_running_loop().sock_recv(caller, 1) == b""


async def test_no_other_server_gets_an_address_that_the_proxy_has_left() -> None:
    async with Proxy() as proxy:
        for host in ("127.0.0.2", "127.0.0.1"):
            left, _, port = proxy.address.rpartition(":")
            await proxy.move(host)
            assert proxy.address == f"{host}:{port}"
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(left, int(port))
            with socket.socket() as other, pytest.raises(OSError, match="in use"):
                other.bind((left, int(port)))
            _, writer = await asyncio.open_connection(host, int(port))
            writer.close()


async def test_a_proxy_moves_while_another_process_is_started() -> None:
    async with Proxy() as proxy:
        left, _, port = proxy.address.rpartition(":")
        copy = os.dup(proxy._server.sockets[0].fileno())  # as a new process has until it runs its program
        try:
            await proxy.move("127.0.0.2")
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(left, int(port))
        finally:
            os.close(copy)
