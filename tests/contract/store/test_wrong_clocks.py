"""Gateways with wrong clocks, one of which loses the server, take over from each other under load."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.process.app import EXIT_STORE_BROKEN
from harness.proxy import Proxy
from tests.contract.store.load import load, sandbox_for_load
from tests.durability.process import GatewayProcess
from tests.support.forked import AHEAD

if TYPE_CHECKING:
    from tests.support.postgres import Server

pytestmark = pytest.mark.toolchain("postgres")
TEN_MINUTES = 600


async def test_takeovers_between_wrong_clocks_charge_once_and_lose_nothing(
    tmp_path: Path, postgres: Server, emptied: str
) -> None:
    """The first one loses the server, but not Higgsfield. The next one is ahead and is killed. The last is behind."""
    async with contextlib.AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(sandbox_for_load())
        balancer, database = [await stack.enter_async_context(Proxy()) for _ in range(2)]
        database.target = f"127.0.0.1:{postgres.port}"
        behind = emptied.replace(f":{postgres.port}/", f":{database.address.rpartition(':')[2]}/")

        def gateway(name: str, ahead: int, url: str = emptied) -> GatewayProcess:
            (tmp_path / name).mkdir()
            return GatewayProcess(
                tmp_path / name, sandbox.url, store_url=url, store_connections="4", environment={AHEAD: str(ahead)}
            )

        right = await stack.enter_async_context(gateway("right", 0, behind))
        balancer.target = right.address
        fast, slow = gateway("fast", TEN_MINUTES), gateway("slow", -TEN_MINUTES)
        stack.push_async_callback(slow.kill)
        running = await stack.enter_async_context(load(balancer.address, sandbox, tmp_path / "history.jsonl"))
        starting = asyncio.create_task(fast.start())
        await running.more()  # which the right one does, because it lives
        database.target = ""
        database.cut()
        await starting
        balancer.target = fast.address
        balancer.cut()
        await running.more()
        database.target = f"127.0.0.1:{postgres.port}"
        assert await right.ended() == EXIT_STORE_BROKEN

        starting = asyncio.create_task(slow.start())
        await running.more()
        await fast.kill()
        await starting
        balancer.target = slow.address
        await running.more()
