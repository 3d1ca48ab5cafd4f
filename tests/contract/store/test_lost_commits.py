"""A server that has lost commits which it had acknowledged: nothing is sent again without the operator's word."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.cli import exit_codes
from gateway.generations.stores import StoreError, Webhook
from gateway.process.app import EXIT_STORE_BROKEN
from gateway.sandbox.clock import ManualClock
from gateway.sandbox.server import Sandbox, SandboxOptions
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.generation_pb2 import Generation, GenerationState
from hfgateway_client import AsyncClient, soul
from tests.app.command import environment, run
from tests.contract.store import examples
from tests.contract.store.examples import NOW
from tests.contract.store.test_postgres import Opened, opened
from tests.contract.store.test_store import stored
from tests.durability.process import WAIT_TIMEOUT, GatewayProcess, stub
from tests.support.running import eventually

if TYPE_CHECKING:
    from gateway.store.postgres.store import PostgresStore
    from tests.support.postgres import Server

pytestmark = pytest.mark.toolchain("postgres")
LOST = (
    "lost commits, or the declaration that it was restored is not complete:"
    " stop all gateways and run hfgateway migrate --restored"
)
LOSSES = {"a write": "UPDATE log SET writes = writes - 1", "a heartbeat": "UPDATE replicas SET beats = beats - 1"}
"""What a server looks like that has lost the last one."""


@pytest.fixture
def fresh(postgres: Server) -> Iterator[str]:
    """Return the name of a separate database, because its history ends."""
    with postgres.database() as name:
        yield name


async def a_claim(store: PostgresStore) -> None:
    await store.claims.claim(examples.claim())


async def another_write(store: PostgresStore) -> None:
    await store.webhooks.store_webhook(Webhook(examples.generation().id, "w", "r", "completed"), NOW)


@pytest.mark.parametrize("write", [a_claim, another_write])
async def test_a_write_finds_that_one_was_lost(
    write: Callable[[PostgresStore], Awaitable[None]], fresh: str, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.store.postgres import lease

    monkeypatch.setattr(lease, "HEARTBEAT_INTERVAL", 60.0)
    async with opened(postgres.url(fresh)) as one:
        await stored(one.store)
        await another_write(one.store)
        postgres.execute(LOSSES["a write"], database=fresh)
        with pytest.raises(StoreError, match=LOST):
            await write(one.store)
        await refused_until_declared(one, postgres.url(fresh))


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_heartbeat_finds_that_one_was_lost(
    loss: str, fresh: str, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.store.postgres import lease

    monkeypatch.setattr(lease, "HEARTBEAT_INTERVAL", 0.02)
    async with opened(postgres.url(fresh)) as one:
        await stored(one.store)
        await becomes(lambda: one.store.database.beats > 0)
        postgres.execute(LOSSES[loss], database=fresh)
        await becomes(lambda: bool(one.broken))
        await refused_until_declared(one, postgres.url(fresh))


async def test_a_replica_finds_that_a_write_was_lost(fresh: str, postgres: Server) -> None:
    """It may know more than the leader, which may have died with the server."""
    from gateway.store.postgres.store import PostgresStore

    url, broken = postgres.url(fresh), list[Exception]()
    async with opened(url) as leader:
        replica = await PostgresStore.join(url, url, broken.append, 5)
        try:
            await replica.begin(0, lambda _: None)
            following = asyncio.create_task(replica.follow())
            await stored(leader.store)
            await replica.change_log.announced()
            postgres.execute(LOSSES["a write"], database=fresh)
            await becomes(lambda: bool(broken) and bool(leader.broken))
            with pytest.raises(StoreError):
                await following
        finally:
            await replica.close()
        assert LOST in str(broken[0])
        await refused_until_declared(leader, url)


async def test_a_replica_ends_when_the_store_was_declared_restored(fresh: str, postgres: Server) -> None:
    """What it has in memory, and shows, is of another history."""
    from gateway.store.postgres.store import PostgresStore

    url, broken = postgres.url(fresh), list[Exception]()
    async with opened(url):
        replica = await PostgresStore.join(url, url, broken.append, 5)
        try:
            await replica.begin(0, lambda _: None)
            following = asyncio.create_task(replica.follow())
            postgres.execute("UPDATE meta SET value = 'another' WHERE name = 'epoch'", database=fresh)
            await becomes(lambda: bool(broken))
            with pytest.raises(StoreError, match="the store was restored"):
                await following
        finally:
            await replica.close()


async def test_a_loss_is_noted_when_the_server_can_be_reached_again(fresh: str, postgres: Server) -> None:
    """Only this process may know it, so it does not end before."""
    from gateway.store.postgres import database
    from harness.proxy import Proxy

    async with Proxy() as proxy:
        proxy.target = f"127.0.0.1:{postgres.port}"
        async with opened(postgres.url(fresh, port=int(proxy.address.rpartition(":")[2]))) as one:
            await stored(one.store)
            one.store.database.sql["note_loss"] = "SELECT 1/0 AS lost, '' AS epoch"  # as if it was gone again
            postgres.execute(LOSSES["a write"], database=fresh)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(3 * database.CHECK_LOSS_INTERVAL):
                    await a_claim(one.store)
            assert one.broken == []


async def becomes(holds: Callable[[], bool]) -> None:
    async def held() -> bool:
        return holds()

    await eventually(held)


async def refused_until_declared(one: Opened, url: str) -> None:
    """Check what the loss of commits leads to: no gateway starts until the store was declared restored."""
    from gateway.store.postgres.errors import ServerError
    from gateway.store.postgres.restore import declare_restored
    from gateway.store.postgres.store import PostgresStore, examine

    assert [str(error) for error in one.broken] == [f"the store's server has {LOST}"]
    epoch = one.store.database.epoch
    for refused in (PostgresStore.open, PostgresStore.join):
        with pytest.raises(ServerError, match=LOST):
            await refused(url, "the store", lambda error: None, 5)
    with pytest.raises(ServerError, match=LOST):
        await examine(url, "the store")
    store = await PostgresStore.open(url, "the store", lambda error: None, 5, declaring=True)
    await declare_restored(store)
    await store.close()
    async with opened(url) as again:
        assert again.store.database.epoch not in {"", epoch}
        assert all(found.held for found in await again.store.generations.unfinished())


# -- A real failover ---------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def lagging_standby() -> AsyncIterator[tuple[Server, Server]]:
    """Start a server with a standby that is not synchronous."""
    from tests.support import postgres as support

    with support.replicated() as (primary, standby):
        primary.execute("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
        primary.execute(f"CREATE DATABASE store OWNER {support.USER}")
        yield primary, standby


async def caught_up(primary: Server) -> None:
    """Return when the standby has all that was committed."""
    import psycopg

    async with await psycopg.AsyncConnection.connect(primary.url("postgres", "postgres"), autocommit=True) as admin:

        async def replayed() -> bool:
            rows = await admin.execute("SELECT replay_lsn = pg_current_wal_lsn() FROM pg_stat_replication")
            return await rows.fetchall() == [(True,)]

        await eventually(replayed)


async def submitted(gateway: GatewayProcess, key: str) -> Generation:
    """Store a submission. A replica that does not find its leader for a moment refuses it; the client repeats it."""
    async with AsyncClient(gateway.address, timeout=WAIT_TIMEOUT) as client:
        return (await client.submit(soul(f"a fox {key}"), idempotency_key=key, wait_for="stored")).generation


async def test_what_was_sent_before_a_failover_is_not_sent_again(tmp_path: Path) -> None:
    """The second generation waits in the standby's data, but the old primary has its marker, and it was charged."""
    clock = ManualClock()
    async with (
        lagging_standby() as (primary, standby),
        Sandbox(SandboxOptions(port=0, queue_seconds=1.0, image_seconds=1.0), clock) as sandbox,
    ):
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        url = f"postgresql://gateway@{hosts}/store?target_session_attrs=read-write"

        def gateway() -> GatewayProcess:
            return GatewayProcess(tmp_path, sandbox.url, store_url=url, store_connections="4", upstream_concurrency="1")

        async with gateway() as leader, gateway() as replica:
            await submitted(leader, "first")
            await becomes(lambda: len(sandbox.ledger.charges) == 1)
            waiting = await submitted(replica, "second")
            async with leader.channel() as channel:
                watch = stub(channel).WatchGenerations(pb.WatchGenerationsRequest())
                message = await watch.read()
                while not message.caught_up:
                    message = await watch.read()
                token = message.resume_token
                watch.cancel()
            await caught_up(primary)
            await asyncio.to_thread(standby.kill)
            clock.advance(5.0)
            await becomes(lambda: len(sandbox.ledger.charges) == 2)
            await asyncio.to_thread(primary.kill_processes)
            await asyncio.to_thread(standby.start)
            await asyncio.to_thread(standby.execute, "SELECT pg_promote()")
            for one in (leader, replica):
                assert await one.ended() == EXIT_STORE_BROKEN
            assert LOST in await leader.errors() + await replica.errors()

        settings = environment(tmp_path, {"HFGATEWAY_STORE_URL": url, "HFGATEWAY_UPSTREAM_URL": sandbox.url})
        refused = await run("serve", environment=settings)
        assert (refused.code, LOST in refused.err) == (exit_codes.USAGE, True)
        declared = await run("migrate", "--restored", environment=settings)
        assert (declared.code, waiting.id in declared.out) == (0, True)

        async with gateway() as again, again.channel() as channel:
            held = await stub(channel).GetGeneration(pb.GetGenerationRequest(id=waiting.id), timeout=WAIT_TIMEOUT)
            assert held.generation.state == GenerationState.GENERATION_STATE_UNCERTAIN
            request = pb.WatchGenerationsRequest(resume_token=token)
            assert (await stub(channel).WatchGenerations(request, timeout=WAIT_TIMEOUT).read()).reset
            assert (await submitted(again, "second")).id == waiting.id
        assert len(sandbox.ledger.charges) == 2
