"""A gateway whose connections to PostgreSQL or to Higgsfield fail while clients submit and watch.

At most one charge each, no gap, and no error of a client. The processes, the server and the connections are real.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from gateway.sandbox.server import Sandbox
from harness.proxy import Proxy
from tests.contract.store.load import Load, load, sandbox_for_load
from tests.durability.process import GatewayProcess
from tests.support.running import eventually

if TYPE_CHECKING:
    import psycopg

    from tests.support.postgres import Server

pytestmark = pytest.mark.toolchain("postgres")
CUTS, LOST_ANSWERS = 10, 3
BACKENDS = "FROM pg_stat_activity WHERE application_name = 'hfgateway' AND datname = current_database()"


@dataclass
class Stage:
    """A gateway with clients, and its connections."""

    load: Load
    sandbox: Sandbox
    higgsfield: Proxy
    database: Proxy
    gateway: GatewayProcess
    beside: psycopg.AsyncConnection[Any]
    blocker: psycopg.AsyncConnection[Any]
    """Connections to the same database that nothing disturbs."""

    async def one(self, query: str) -> Any:
        """Return the value that a query returns."""
        row = await (await self.beside.execute(query)).fetchone()  # type: ignore[call-overload] # not a literal
        return None if row is None else row[0]

    async def ready(self) -> bool:
        """Return whether the gateway is ready."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.gateway.http_address}/readyz") as answer:
            return answer.status == 200

    async def blocked(self, statements: int) -> bool:
        """Return whether this number of the gateway's statements wait for a lock."""
        return bool(await self.one(f"SELECT count(*) {BACKENDS} AND wait_event_type = 'Lock'") >= statements)

    @contextlib.asynccontextmanager
    async def in_a_statement(self) -> AsyncIterator[None]:
        """Lock the last position while the block runs, which begins when a claim or a save waits for it."""
        async with self.blocker.transaction():
            await self.blocker.execute("SELECT FROM log FOR UPDATE")
            await eventually(lambda: self.blocked(1))
            yield


@pytest.fixture
async def stage(tmp_path: Path, postgres: Server, emptied: str) -> AsyncIterator[Stage]:
    import psycopg

    async with contextlib.AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(sandbox_for_load())
        higgsfield, database = Proxy(), Proxy()
        for proxy, target in (
            (higgsfield, sandbox.url.removeprefix("http://")),
            (database, f"127.0.0.1:{postgres.port}"),
        ):
            await stack.enter_async_context(proxy)
            proxy.target = target
        url = emptied.replace(f":{postgres.port}/", f":{database.address.rpartition(':')[2]}/")
        gateway = GatewayProcess(tmp_path, f"http://{higgsfield.address}", store_url=url, store_connections="4")
        await stack.enter_async_context(gateway)

        async def stop() -> None:
            assert await gateway.terminate() == 0

        stack.push_async_callback(stop)
        beside, blocker = [await psycopg.AsyncConnection.connect(emptied, autocommit=True) for _ in range(2)]
        stack.push_async_callback(beside.close)
        stack.push_async_callback(blocker.close)
        clients = await stack.enter_async_context(load(gateway.address, sandbox, tmp_path / "history.jsonl"))
        await clients.more()
        yield Stage(clients, sandbox, higgsfield, database, gateway, beside, blocker)


async def test_connections_to_the_server_that_end_at_any_moment_lose_nothing(stage: Stage) -> None:
    for _ in range(CUTS):
        ended = stage.load.ended
        stage.database.cut()
        await stage.load.becomes(lambda ended=ended: stage.load.ended > ended)  # type: ignore[misc]
    for _ in range(LOST_ANSWERS):  # after the commit, before its answer
        before = await stage.one("SELECT position FROM log")
        stage.database.mute()

        async def stored(before: int = before) -> bool:
            return bool(await stage.one("SELECT position FROM log") > before)

        await eventually(stored)
        stage.database.cut()
        await stage.load.more()
    async with stage.in_a_statement():  # the server commits it late, when the gateway has repeated it
        stage.database.cut()
        await eventually(lambda: stage.blocked(2))
    await stage.load.more()
    async with stage.in_a_statement():  # the server rolls it back
        await stage.one(f"SELECT count(pg_terminate_backend(pid)) {BACKENDS}")
    await stage.load.more()


async def test_a_gateway_that_cannot_reach_the_server_sends_nothing_to_higgsfield(stage: Stage) -> None:
    target, stage.database.target = stage.database.target, ""
    stage.database.cut()

    async def refuses() -> bool:
        return not await stage.ready()

    await eventually(refuses)
    sent, retries = len(stage.sandbox.ledger.submissions), stage.load.retries
    await stage.load.becomes(lambda: stage.load.retries > retries + 10)
    assert len(stage.sandbox.ledger.submissions) == sent
    stage.database.target = target
    await stage.load.more()
    assert await stage.ready()


async def test_a_gateway_that_cannot_reach_higgsfield_stores_and_sends_later(stage: Stage) -> None:
    await stage.higgsfield.move("127.0.0.2")
    async with asyncio.TaskGroup() as together:
        together.create_task(stage.load.submit_and_watch("unsent"))

        async def waits() -> bool:
            return [one.idempotency_key async for one in stage.load.client.list(states=["PENDING"])].count(
                "unsent"
            ) == 1

        await eventually(waits)
        assert await stage.ready()
        await stage.higgsfield.move("127.0.0.1")
    await stage.load.more()
