"""PostgreSQL: lost answers, a server that dies, takeovers, and servers that cannot be used. The server is real."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString

import pytest

from gateway.access.keys import ApiKey
from gateway.agents.model import SESSION, KeyRecord
from gateway.generations import service
from gateway.generations.clock import since_boot
from gateway.generations.limits.model import MILLION, TENANT, LimitExceededError, Limits
from gateway.generations.model import State, Steady
from gateway.generations.state import SEND_TIMEOUT
from gateway.generations.stores import (
    Saved,
    StoreError,
    UnconfirmedError,
    UnknownCommitError,
    Webhook,
    WebhookReceipt,
)
from gateway.store import statements
from harness.proxy import Proxy
from hfgateway.v1 import generation_service_pb2 as pb
from tests.contract.store import examples
from tests.contract.store.examples import NOW
from tests.contract.store.test_agents import CREATED, MESSAGE
from tests.contract.store.test_characters import CREATION
from tests.contract.store.test_limits import DAY, NEXT_MONTH, priced, set_limits, use
from tests.contract.store.test_store import all_changes, completed, queued, saved, stored
from tests.support.running import WAIT_TIMEOUT, Generation, eventually, run, soul
from tests.support.transports import RpcFailure

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    import psycopg

    from gateway.store.postgres.store import PostgresStore
    from tests.support.postgres import Server

pytestmark = pytest.mark.toolchain("postgres")
CRASH = b"E\0\0\0\x32SPANIC\0VPANIC\0C58030\0Mcould not sync its log\0\0"
"""The server's last message if it cannot sync its log after it has written a commit."""
POOLER = b"E\0\0\0\x23SFATAL\0C58000\0Mserver is gone\0\0"
"""The last message of a pooler that has lost its server."""


@pytest.fixture
async def proxy(postgres: Server) -> AsyncIterator[Proxy]:
    """Return a proxy to the server."""
    async with Proxy() as proxy:
        proxy.target = f"127.0.0.1:{postgres.port}"
        yield proxy


class Opened:
    """A store behind a proxy, and what it reports."""

    def __init__(self, store: PostgresStore, broken: list[Exception]) -> None:
        self.store = store
        self.broken = broken
        self.announced: list[Saved] = []
        store.change_log.listen(self.announced.extend)


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Opened]:
    from gateway.store.postgres.store import PostgresStore

    broken: list[Exception] = []
    store = await PostgresStore.open(url, url, broken.append, 5)
    try:
        yield Opened(store, broken)
    finally:
        await store.close()


@contextlib.asynccontextmanager
async def following(replica: PostgresStore) -> AsyncIterator[asyncio.Task[bool]]:
    """Let a replica follow the log during the block, for at most a minute."""
    task = asyncio.create_task(replica.follow())
    try:
        async with asyncio.timeout(60.0):
            yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
async def behind(
    emptied: str, postgres: Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Opened]:
    """Return an open store whose connections pass through the proxy.

    It sends no heartbeat, which would take a muted connection, so that a write would open one that is not muted.
    """
    from gateway.store.postgres import lease

    monkeypatch.setattr(lease, "HEARTBEAT_INTERVAL", 600.0)
    async with opened(emptied.replace(str(postgres.port), proxy.address.rpartition(":")[2])) as behind:
        yield behind


async def until_one_waits(connection: psycopg.AsyncConnection) -> None:
    """Return when a statement waits for a lock."""

    async def waits() -> bool:
        rows = await connection.execute("SELECT FROM pg_locks WHERE NOT granted")
        return await rows.fetchone() is not None

    await eventually(waits)


async def working(store: PostgresStore) -> bool:
    """Return whether the store can be written, and clear its trouble then."""
    with contextlib.suppress(UnconfirmedError):
        await store.health.probe()
        return True
    return False


async def visible(url: str, query: str = "SELECT FROM generations") -> None:
    """Wait until a query on another connection returns a row: the write that waits for its answer is stored."""
    import psycopg

    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as other:

        async def is_stored() -> bool:
            return bool(await (await other.execute(query.encode())).fetchall())

        await eventually(is_stored)


# -- Lost answers ------------------------------------------------------------------------------------------------------


async def test_a_commit_whose_answer_is_lost_is_found_and_announced_once(
    behind: Opened, proxy: Proxy, emptied: str
) -> None:
    """For a claim, a save without a change, a save and a deletion."""
    store = behind.store
    before = await queued(store, "request")

    async def lost(write: Callable[[], Awaitable[Any]], stored: str) -> Any:
        """Discard the answer to a write, which is stored once a query returns a row."""
        proxy.mute()
        task = asyncio.ensure_future(write())
        await visible(emptied, stored)
        assert not task.done()
        proxy.cut()
        return await task

    claim = examples.claim()
    made = claim.generation
    marked = examples.marked(made)
    ended = examples.reported(before, examples.State.COMPLETED)
    count = len(behind.announced)
    query = f"SELECT FROM generations WHERE id = '{made.id}'"
    assert (await lost(lambda: store.claims.claim(claim), query)).new
    assert await lost(lambda: store.generations.save(made, marked), f"{query} AND owner IS NOT NULL")
    finished = f"SELECT FROM generations WHERE id = '{before.id}' AND done"
    assert await lost(lambda: store.generations.save(before, ended), finished)
    gone = f"SELECT FROM changes WHERE generation_id = '{before.id}' AND revision = 0"
    await lost(lambda: store.deletions.delete(ended, at_upstream=False, steady=NOW), gone)

    seen = [(one.generation_id, one.generation) for one in behind.announced[count:]]
    assert seen == [(made.id, made), (made.id, marked), (before.id, ended), (before.id, None)]
    positions = [one.change.position for one in behind.announced if one.change]
    assert positions == list(range(1, len(positions) + 1))
    assert [change.position for change in await all_changes(store)] == [positions[-3], positions[-1]]


@pytest.mark.parametrize(
    "last", [CRASH, POOLER, b"HTTP/1.1 502 Bad Gateway\r\n\r\n"], ids=["crash", "pooler", "not of the protocol"]
)
async def test_a_commit_is_found_whose_connection_ends_with_an_error(
    behind: Opened, proxy: Proxy, emptied: str, last: bytes
) -> None:
    """The server may crash after it has written the commit, and find it in its log when it starts again."""

    store, claim = behind.store, examples.claim()
    proxy.mute()
    claiming = asyncio.ensure_future(store.claims.claim(claim))
    await visible(emptied)
    proxy.end(last)
    assert (await claiming).new
    assert [one.generation for one in behind.announced] == [claim.generation]


async def test_a_loser_of_a_race_does_not_win_because_an_answer_is_lost(behind: Opened, proxy: Proxy) -> None:
    store = behind.store
    before = await stored(store)
    after = examples.marked(before)
    assert await store.generations.save(before, after)
    proxy.cut()  # the next statement finds its connection closed
    assert not await store.generations.save(before, after)


async def test_a_commit_stays_unknown_while_the_server_is_away_and_is_announced_later(
    behind: Opened, proxy: Proxy, postgres: Server, emptied: str, monkeypatch: pytest.MonkeyPatch
) -> None:

    from gateway.store.postgres import database, log_writer

    monkeypatch.setattr(log_writer, "OUTCOME_TIMEOUT", 0.2)
    monkeypatch.setattr(database, "CONNECT_TIMEOUT", 0.5)
    store, claim = behind.store, examples.claim()
    proxy.mute()
    task = asyncio.ensure_future(store.claims.claim(claim))
    await visible(emptied)
    behind_it = asyncio.ensure_future(store.claims.claim(examples.claim()))
    announced = asyncio.ensure_future(store.change_log.announced())
    await asyncio.sleep(0)  # both are queued
    proxy.target = ""
    proxy.cut()
    with pytest.raises(UnknownCommitError):
        await task
    with pytest.raises(StoreError):  # it must not be stored once its caller has left
        await behind_it
    assert store.health.trouble
    with pytest.raises(StoreError):
        await store.claims.claim(examples.claim())

    assert not announced.done()
    proxy.target = f"127.0.0.1:{postgres.port}"
    await announced
    assert [one.generation for one in behind.announced] == [claim.generation]
    await eventually(lambda: working(store))
    assert (await store.claims.claim(claim)).new
    assert len(await all_changes(store)) == 1


async def test_a_commit_whose_wait_for_the_standby_was_canceled_is_repeated_until_the_standby_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server reports success, with a warning. The claim would be sent, and a failover could lose it."""
    import psycopg

    from gateway.store.postgres import log_writer
    from tests.support.postgres import running

    monkeypatch.setattr(log_writer, "OUTCOME_TIMEOUT", 300.0)
    with running(wal_level="replica", max_wal_senders="4") as server, server.database() as name:
        async with (
            opened(server.url(name)) as one,
            await psycopg.AsyncConnection.connect(server.url(name, "postgres"), autocommit=True) as beside,
        ):

            async def waits(query: str) -> bool:
                rows = await beside.execute(
                    "SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE %s", [query]
                )
                return await rows.fetchone() is not None

            server.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'", "SELECT pg_reload_conf()")
            await eventually(lambda: waits("%"))  # a heartbeat
            claim = "%AS taken%"  # the server shows only the first 1,024 characters
            claiming = asyncio.ensure_future(one.store.claims.claim(examples.claim()))
            await eventually(lambda: waits(claim))
            await beside.execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE %s",
                [claim],
            )

            async def committed() -> bool:
                rows = await beside.execute("SELECT FROM generations")
                return await rows.fetchone() is not None

            async def ended_or_waits() -> bool:
                return claiming.done() or await waits(claim)

            await eventually(committed)
            await eventually(ended_or_waits)
            ended = claiming.done()
            server.execute("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
            assert (await claiming).new
            assert not ended


async def test_a_store_can_be_closed_while_the_server_is_away_and_a_commit_unknown(
    emptied: str, postgres: Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.store.postgres import database, log_writer

    monkeypatch.setattr(log_writer, "OUTCOME_TIMEOUT", 0.2)
    monkeypatch.setattr(database, "CONNECT_TIMEOUT", 0.5)
    async with asyncio.timeout(WAIT_TIMEOUT):
        async with opened(emptied.replace(str(postgres.port), proxy.address.rpartition(":")[2])) as first:
            proxy.target = ""
            proxy.cut()
            with pytest.raises(UnknownCommitError):
                await first.store.claims.claim(examples.claim())


async def test_no_key_counts_as_unused_while_the_commit_of_a_submission_with_it_is_unknown(
    emptied: str, postgres: Server, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the caller would submit again with another key, and both would be charged."""
    import psycopg

    from gateway.store.postgres import database, log_writer

    monkeypatch.setattr(database, "RESPONSE_TIMEOUT", 1.0)
    monkeypatch.setattr(log_writer, "OUTCOME_TIMEOUT", 0.2)
    monkeypatch.setattr(service, "COMMIT_WAIT_TIMEOUT", 0.1)
    url = emptied.replace(str(postgres.port), proxy.address.rpartition(":")[2])
    by_key = pb.ListGenerationsRequest(filter=pb.GenerationFilter(idempotency_key="order-1"))
    async with (
        run(tmp_path, STORE_URL=f"{url}?options=-c%20lock_timeout%3D0%20-c%20statement_timeout%3D0") as running,
        await psycopg.AsyncConnection.connect(emptied) as other,
        await psycopg.AsyncConnection.connect(emptied, autocommit=True) as beside,
    ):

        async def found() -> Sequence[Generation]:
            while True:
                with contextlib.suppress(RpcFailure):
                    return (await running.grpc.call("ListGenerations", by_key)).generations

        await running.submit(soul("a hen"))  # from here on, Higgsfield's time is known
        await other.execute("SET idle_in_transaction_session_timeout = 0")
        await other.execute("SELECT FROM log FOR UPDATE")  # until the end of this transaction, nothing is committed
        submitting = asyncio.ensure_future(running.submit(soul("a fox", "order-1")))
        await until_one_waits(beside)
        proxy.cut()
        with pytest.raises(RpcFailure, match="UNAVAILABLE"):
            await submitting
        with pytest.raises(RpcFailure, match="UNAVAILABLE: it is not known yet"):
            await running.grpc.call("ListGenerations", by_key)
        with monkeypatch.context() as limited:
            only_videos = {TENANT: Limits(models=("bytedance/",))}
            limited.setitem(running.gateway._core.budgets._limits, "default", only_videos)
            with pytest.raises(RpcFailure, match="UNAVAILABLE: it is not known yet"):
                await running.submit(soul("a fox", "order-1"))
        await other.rollback()
        async with asyncio.timeout(WAIT_TIMEOUT):
            (late,) = await found()
        await running.until(late.id, "QUEUED")
        assert len(running.ledger.charges) == 2


async def test_a_commit_whose_answer_is_lost_stays_unknown_if_another_gateway_takes_over(
    emptied: str, postgres: Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be stored, so it must not be reported as refused."""

    from gateway.store.postgres import database, lease, log_writer

    monkeypatch.setattr(lease, "HEARTBEAT_INTERVAL", 60.0)  # as if the first one was paused
    monkeypatch.setattr(lease, "LEASE_TIMEOUT", 0.2)
    monkeypatch.setattr(log_writer, "OUTCOME_TIMEOUT", 300.0)
    monkeypatch.setattr(database, "CONNECT_TIMEOUT", 0.5)
    claim = examples.claim()
    async with opened(emptied.replace(str(postgres.port), proxy.address.rpartition(":")[2])) as first:
        proxy.mute()
        task = asyncio.ensure_future(first.store.claims.claim(claim))
        await visible(emptied)
        proxy.target = ""
        proxy.cut()
        async with opened(emptied) as second:
            proxy.target = f"127.0.0.1:{postgres.port}"
            with pytest.raises(UnknownCommitError):
                await task
            assert [str(error) for error in first.broken] == ["another gateway has taken over the store"]
            assert await second.store.generations.get("tenant", claim.generation.id) == claim.generation


async def test_a_limit_refuses_no_claim_that_may_still_be_stored(behind: Opened, proxy: Proxy) -> None:
    """The lost statement may still be on its way to the server, and be stored once the limit has room again."""
    claims = behind.store.claims
    await set_limits(behind.store, in_flight=1)
    await claims.claim(priced())
    proxy.cut()
    with pytest.raises(UnknownCommitError):
        await claims.claim(priced())
    with pytest.raises(LimitExceededError):
        await claims.claim(priced())


async def test_a_webhook_whose_answer_is_lost_counts_as_new(behind: Opened, proxy: Proxy) -> None:
    store = behind.store
    webhook = Webhook((await queued(store, "request")).id, "name", "request", "completed")
    assert await store.webhooks.store_webhook(webhook, NOW) is WebhookReceipt.KEPT
    assert await store.webhooks.store_webhook(webhook, NOW) is WebhookReceipt.KNOWN
    proxy.cut()
    assert await store.webhooks.store_webhook(webhook, NOW) is WebhookReceipt.KEPT
    assert list(await store.webhooks.unprocessed_webhooks()) == [webhook]


@pytest.mark.parametrize("kind", ["webhook", "key"])
async def test_a_write_whose_answer_is_lost_stays_unknown_if_its_repeat_is_refused(
    behind: Opened, proxy: Proxy, postgres: Server, emptied: str, monkeypatch: pytest.MonkeyPatch, *, kind: str
) -> None:
    """A webhook that counts as not stored would never be processed, because the next delivery is a duplicate of it."""

    from gateway.store.postgres import database

    monkeypatch.setattr(database, "CONNECT_TIMEOUT", 0.5)
    store = behind.store
    webhook = Webhook((await queued(store, "request")).id, "name", "request", "completed")
    proxy.mute()
    if kind == "webhook":
        write, table = asyncio.ensure_future(store.webhooks.store_webhook(webhook, NOW)), "deliveries"
    else:
        key = ApiKey("k1", "red", "", b"\x00" * 32, NOW)
        write, table = asyncio.ensure_future(store.keys.add_api_key(key)), "api_keys"
    await visible(emptied, f"SELECT FROM {table}")
    proxy.target = ""
    proxy.cut()
    with pytest.raises(UnknownCommitError):
        await write
    proxy.target = f"127.0.0.1:{postgres.port}"
    await eventually(lambda: working(store))


async def test_a_webhook_that_is_being_stored_is_known(emptied: str) -> None:
    """Higgsfield sends duplicates at the same time. Such a statement does not see the row for which it has waited."""
    import psycopg

    async with (
        opened(f"{emptied}?options=-c%20lock_timeout%3D0%20-c%20statement_timeout%3D0") as one,
        await psycopg.AsyncConnection.connect(emptied) as other,
        await psycopg.AsyncConnection.connect(emptied, autocommit=True) as beside,
    ):
        webhook = Webhook((await queued(one.store, "request")).id, "name", "request", "completed")
        await other.execute("SET idle_in_transaction_session_timeout = 0")
        await other.execute(
            "INSERT INTO deliveries (generation_id, name, request_id, status, time) VALUES (%s, %s, %s, %s, %s)",
            [webhook.generation_id, webhook.name, webhook.request_id, webhook.status, NOW],
        )
        storing = asyncio.ensure_future(one.store.webhooks.store_webhook(webhook, NOW))

        await until_one_waits(beside)
        await other.commit()
        assert await storing is WebhookReceipt.KNOWN


async def test_a_claim_counts_what_a_statement_reserves_for_which_it_waits(emptied: str) -> None:
    """If the connection of a statement is lost, the server still runs it while the gateway writes on another one."""
    import psycopg

    async with (
        opened(f"{emptied}?options=-c%20lock_timeout%3D0%20-c%20statement_timeout%3D0") as one,
        await psycopg.AsyncConnection.connect(emptied) as other,
        await psycopg.AsyncConnection.connect(emptied, autocommit=True) as beside,
    ):
        await set_limits(one.store, credits_per_day=MILLION)
        await other.execute("SET idle_in_transaction_session_timeout = 0")
        await other.execute("UPDATE limits SET day_reserved = credits_per_day")
        claiming = asyncio.ensure_future(one.store.claims.claim(priced()))
        await until_one_waits(beside)
        await other.commit()
        with pytest.raises(LimitExceededError):
            await claiming
        assert (await use(one.store)).day_reserved == MILLION


@pytest.mark.parametrize(
    ("day", "begins", "spent"),
    [(DAY, f"'{NEXT_MONTH}', day_reserved = 0, month_reserved = 0", 0), ("", f"'{DAY}'", MILLION)],
)
async def test_an_end_counts_in_the_day_that_a_statement_begins_for_which_it_waits_only_if_it_is_the_first(
    day: str, begins: LiteralString, spent: int, emptied: str
) -> None:
    import psycopg

    async with (
        opened(f"{emptied}?options=-c%20lock_timeout%3D0%20-c%20statement_timeout%3D0") as one,
        await psycopg.AsyncConnection.connect(emptied) as other,
        await psycopg.AsyncConnection.connect(emptied, autocommit=True) as beside,
    ):
        await set_limits(one.store, day=day, credits_per_day=MILLION)
        waiting = (await one.store.claims.claim(priced(day=day))).generation
        assert waiting
        sent = await saved(one.store, waiting, examples.marked(waiting))
        running = await saved(one.store, sent, examples.accepted(sent, "request"))
        await other.execute("SET idle_in_transaction_session_timeout = 0")
        await other.execute(f"UPDATE limits SET day = {begins}")
        await other.execute("UPDATE generations SET budget_day = %s WHERE budget_day = ''", [DAY])
        ending = asyncio.ensure_future(saved(one.store, running, examples.reported(running, State.COMPLETED)))
        await until_one_waits(beside)
        await beside.execute("SELECT FROM log FOR UPDATE NOWAIT")  # it is locked after the limits, as in a claim
        await other.commit()
        await ending
        now = await use(one.store)
        assert (now.running, now.day_reserved, now.month_reserved) == (0, 0, 0)
        assert (now.day_spent, now.month_spent) == (spent, spent)


async def test_a_result_is_stored_although_the_numbers_of_run_times_begin_again(
    emptied: str, postgres: Server, database: str
) -> None:
    """As after a switch to another server by logical replication, which does not copy sequences."""
    async with opened(emptied) as one:
        for request_id in ("first", "second"):
            postgres.execute("ALTER TABLE durations ALTER COLUMN id RESTART", database=database)
            ended = await completed(one.store, request_id)
            assert await one.store.generations.get("tenant", ended.id) == ended


# -- A server that dies or refuses -------------------------------------------------------------------------------------


async def test_a_killed_server_loses_nothing_and_the_gateway_keeps_its_lease(
    behind: Opened, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.store.postgres import database, log_writer

    store = behind.store
    ended = await completed(store, "request")
    claim = examples.claim()
    with monkeypatch.context() as impatient:
        impatient.setattr(log_writer, "OUTCOME_TIMEOUT", 0.2)
        impatient.setattr(database, "CONNECT_TIMEOUT", 0.5)
        await asyncio.to_thread(postgres.kill)
        with pytest.raises(UnconfirmedError):
            await store.claims.claim(claim)
        with pytest.raises(StoreError):
            await store.generations.get("tenant", ended.id)
    await asyncio.to_thread(postgres.start)
    await eventually(lambda: working(store))
    assert (await store.claims.claim(claim)).new
    assert await store.generations.get("tenant", ended.id) == ended
    assert behind.broken == []


async def test_writes_to_a_read_only_server_are_refused_until_it_is_writable(
    behind: Opened, postgres: Server, database: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that was made while it was read-only stays read-only."""
    from gateway.store.postgres import log_writer

    monkeypatch.setattr(log_writer, "OUTCOME_TIMEOUT", 0.2)
    store = behind.store
    postgres.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    try:
        proxy.cut()
        with pytest.raises(UnknownCommitError):  # its connection may have ended after the commit
            await store.claims.claim(examples.claim())
        with pytest.raises(StoreError):
            await store.claims.claim(examples.claim())
        assert "read-only" in store.health.trouble
        with pytest.raises(StoreError):
            await store.health.probe()
    finally:
        postgres.execute(f"ALTER DATABASE {database} RESET default_transaction_read_only")
    await eventually(lambda: healed(store))
    assert (await store.claims.claim(examples.claim())).new


async def test_a_replica_logs_once_that_the_server_refuses_writes_though_it_reads_the_log(
    emptied: str, postgres: Server, database: str, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    from gateway.store.postgres.store import PostgresStore

    caplog.set_level("INFO", "gateway.store")
    url = emptied.replace(str(postgres.port), proxy.address.rpartition(":")[2])
    async with opened(emptied):
        replica = await PostgresStore.join(url, url, _unexpected, 5)

        async def refused() -> bool:
            return not await reported(replica) and "read-only" in replica.health.trouble

        try:
            await replica.begin(0, lambda _: None)
            async with following(replica):
                postgres.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
                proxy.cut()
                for _ in range(3):
                    await eventually(refused)
                    await replica.change_log.announced()
                postgres.execute(f"ALTER DATABASE {database} RESET default_transaction_read_only")
                await eventually(lambda: reported(replica))
        finally:
            postgres.execute(f"ALTER DATABASE {database} RESET default_transaction_read_only")
            await replica.close()
    about = [message for message in caplog.messages if "written" in message]
    assert about == ["the store cannot be written", "the store can be written again"]


async def reported(replica: PostgresStore) -> bool:
    """Return whether a replica has stored that it serves."""
    with contextlib.suppress(UnconfirmedError):
        await replica.report_serving()
        return True
    return False


async def healed(store: PostgresStore) -> bool:
    """Return whether the store has found by itself that it can be written, also before there is a core."""
    return not store.health.trouble


async def test_busy_connections_refuse_a_read_but_not_a_claim(emptied: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.store.postgres import database as shared

    async with opened(emptied) as one:
        store = one.store
        shared_pool = store.database._pool
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(shared_pool.max_size):
                await stack.enter_async_context(shared_pool.connection())
            monkeypatch.setattr(shared, "CONNECT_TIMEOUT", 0.1)
            claim = examples.claim()
            assert (await store.claims.claim(claim)).new
            with pytest.raises(StoreError):
                await store.generations.get("tenant", claim.generation.id)
            assert (await store.claims.claim(examples.claim())).new


async def test_unfinished_generations_are_read_in_smaller_parts_after_an_error(
    emptied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow link may not carry the largest inputs of many generations within the limit of a statement."""
    fits = 3
    async with opened(emptied) as one:
        claims = [examples.claim() for _ in range(2 * fits)]
        await asyncio.gather(*map(one.store.claims.claim, claims))
        read, limits = one.store.database.run, list[int]()

        async def timed_out(pool: Any, name: str, values: Any, *more: Any, **options: Any) -> Any:
            if name == "read_unfinished_generations":
                limits.append(values["limit"])
                if values["limit"] > fits:
                    raise StoreError("the statement took too long")
            return await read(pool, name, values, *more, **options)

        monkeypatch.setattr(one.store.database, "run", timed_out)
        found = await one.store.generations.unfinished()
    assert {generation.id for generation in found} == {claim.generation.id for claim in claims}
    assert limits[-1] <= fits < limits[0]


async def test_large_submissions_at_the_same_time_are_stored_in_several_statements(
    emptied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow link may not carry more in time, and a statement without a response is repeated before all others."""
    from gateway.store.postgres.log_writer import ENOUGH_BYTES

    size = ENOUGH_BYTES // 8
    async with opened(emptied) as one:
        claims = [examples.claim(input=bytes(size)) for _ in range(20)]
        run, sizes = one.store.database.run, list[int]()

        async def counted(pool: Any, name: str, values: Any, *more: Any, **options: Any) -> Any:
            if name == "claim":
                sizes.append(sum(map(len, values["input"])))
            return await run(pool, name, values, *more, **options)

        monkeypatch.setattr(one.store.database, "run", counted)
        found = await asyncio.gather(*(one.store.claims.claim(claim) for claim in claims))
        assert all(claimed.new for claimed in found)
        changes = await one.store.change_log.changes("tenant", 0, len(claims))
    assert [change.generation_id for change in changes] == [claim.generation.id for claim in claims]
    assert sum(sizes) == len(claims) * size
    assert max(sizes) <= ENOUGH_BYTES


async def test_a_state_that_became_too_old_between_two_looks_ends_the_calls_that_began_with_it(emptied: str) -> None:
    from gateway.store.postgres.store import PostgresStore
    from gateway.store.postgres.tail import STALE_AFTER

    async with opened(emptied):
        replica = await PostgresStore.join(emptied, emptied, _unexpected, 5)
        try:
            for _ in range(2):
                acted = asyncio.Event()
                replica.on_stale(acted.set)
                replica.tail.read_at = since_boot() - STALE_AFTER
                async with asyncio.timeout(60.0):
                    await acted.wait()
        finally:
            await replica.close()


@pytest.mark.parametrize("fits", [1, 30])
async def test_the_log_is_read_in_smaller_parts_after_an_error(
    emptied: str, monkeypatch: pytest.MonkeyPatch, fits: int
) -> None:
    from gateway.store.postgres.store import PostgresStore

    count = 6
    async with opened(emptied) as leader:
        replica = await PostgresStore.join(emptied, emptied, _unexpected, 5)
        announced = list[Saved]()
        replica.change_log.listen(announced.extend)
        run = replica.database.run

        async def timed_out(pool: Any, name: str, values: Any, *more: Any, **options: Any) -> Any:
            if name == "tail" and values["limit"] > fits and values["after_position"] < 2 * count:
                raise StoreError("the statement took too long")
            return await run(pool, name, values, *more, **options)

        monkeypatch.setattr(replica.database, "run", timed_out)
        await asyncio.gather(*(leader.store.claims.claim(examples.claim()) for _ in range(count)))
        try:
            await replica.begin(0, lambda _: None)  # at the start
            assert len(announced) == count
            await asyncio.gather(*(leader.store.claims.claim(examples.claim()) for _ in range(count)))
            async with following(replica):
                await eventually(lambda: len(announced) >= 2 * count)
        finally:
            await replica.close()


async def test_a_start_at_which_the_log_cannot_be_read_fails(emptied: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the server can do everything else."""
    from gateway.store.postgres.store import PostgresStore

    async with opened(emptied) as leader:
        await stored(leader.store)
        replica = await PostgresStore.join(emptied, emptied, _unexpected, 5)
        monkeypatch.setitem(replica.database.sql, "tail", "SELECT 1 / 0")
        try:
            async with asyncio.timeout(30.0):
                with pytest.raises(StoreError):
                    await replica.begin(0, lambda _: None)
        finally:
            await replica.close()


async def test_who_waits_for_the_log_is_not_answered_by_a_read_that_had_begun(
    emptied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It shows an older state, so a caller would not find what it has written."""
    from gateway.store.postgres.store import PostgresStore

    async with opened(emptied) as leader:
        replica = await PostgresStore.join(emptied, emptied, _unexpected, 5)
        announced, waiting = list[Saved](), list[asyncio.Task[None]]()
        replica.change_log.listen(announced.extend)
        await replica.begin(0, lambda _: None)
        run, claim = replica.database.run, examples.claim()

        async def writes_before_the_answer(pool: Any, name: str, values: Any, *more: Any, **options: Any) -> Any:
            rows = await run(pool, name, values, *more, **options)
            if name == "tail" and not waiting:
                await leader.store.claims.claim(claim)
                waiting.append(asyncio.create_task(replica.change_log.announced()))
                await asyncio.sleep(0)  # it waits
            return rows

        monkeypatch.setattr(replica.database, "run", writes_before_the_answer)
        try:
            async with following(replica):
                await eventually(lambda: waiting)
                await waiting[0]
                assert [one.generation for one in announced] == [claim.generation]
        finally:
            await replica.close()


async def test_a_replica_that_reads_a_backlog_is_not_current(emptied: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.store.postgres import tail
    from gateway.store.postgres.store import PostgresStore

    monkeypatch.setattr(tail, "MAX_CHANGES", 5)
    async with opened(emptied) as leader:
        replica = await PostgresStore.join(emptied, emptied, _unexpected, 5)
        current = list[bool]()
        replica.change_log.listen(lambda _: current.append(replica.current))
        await asyncio.gather(*(leader.store.claims.claim(examples.claim()) for _ in range(15)))
        try:
            await replica.begin(0, lambda _: None)
            assert current == [False] * 3
            assert replica.current
        finally:
            await replica.close()


async def test_who_waits_for_the_log_during_the_last_read_of_a_takeover_is_answered(
    emptied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.store.postgres.store import PostgresStore

    async with opened(emptied):
        replica = await PostgresStore.join(emptied, emptied, _unexpected, 5)
        await replica.begin(0, lambda _: None)
    run, waiting = replica.database.run, list[asyncio.Task[None]]()

    async def waited_for(pool: Any, name: str, values: Any, *more: Any, **options: Any) -> Any:
        rows = await run(pool, name, values, *more, **options)
        if name == "tail" and replica.leads:
            waiting.append(asyncio.create_task(replica.change_log.announced()))
            await asyncio.sleep(0)
        return rows

    monkeypatch.setattr(replica.database, "run", waited_for)
    try:
        async with asyncio.timeout(30.0):
            await replica.follow()
        assert waiting
        await asyncio.gather(*waiting)
    finally:
        await replica.close()


async def test_a_takeover_is_prepared_again_when_the_store_has_refused_a_statement(
    emptied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.store.postgres.store import PostgresStore

    async with opened(emptied) as leader:
        replica = await PostgresStore.join(emptied, emptied, _unexpected, 5)
        await replica.begin(0, lambda _: None)
        stored_before = await stored(leader.store)
    rows, refused = replica.database.rows, list[str]()

    async def refused_once(name: str, /, **values: object) -> Any:
        if not refused:
            refused.append(name)
            raise StoreError("an operator has locked the table")
        return await rows(name, **values)

    monkeypatch.setattr(replica.database, "rows", refused_once)
    try:
        async with asyncio.timeout(60.0):
            await replica.follow()
        assert refused == ["read_meta"]
        assert await replica.generations.any(stored_before.id) is not None
    finally:
        await replica.close()


async def test_any_number_of_old_rows_is_pruned_by_short_statements(
    emptied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement that deletes too much exceeds its limit each time, and stops all writes for a second."""
    import psycopg

    from gateway.store.postgres import database

    monkeypatch.setattr(database, "PRUNE_BATCH_SIZE", 2)
    async with opened(emptied) as one, await psycopg.AsyncConnection.connect(emptied, autocommit=True) as other:
        for number in range(5):
            ended = await completed(one.store, f"request {number}", idempotency_key=f"key {number}")
            await one.store.deletions.delete(ended, at_upstream=False, steady=Steady(NOW))
            session = KeyRecord("red", f"key {number}", SESSION, f"session {number}", "", used_at=NOW)
            await one.store.agents.add_agent_session(session)
            await one.store.agents.add_agent_media("red", f"{number}.png", NOW)
        await other.execute(
            "INSERT INTO durations (model_id, traits, seconds)"
            " SELECT 'example/model', '', 1 FROM generate_series(1, 300)"
        )
        await other.execute(
            "INSERT INTO callback_deliveries"
            " SELECT 'callback ' || number % 2, number::text, 1, 0, 0, 2, 1, 0, NULL, 200, 1"
            " FROM generate_series(1, 6) AS number"
        )
        tables = ("keys", "changes", "agent_keys", "agent_media", "callback_deliveries")
        async with refused_deletions(other, (*tables, "durations"), most=2):
            await one.store.callbacks.prune_deliveries(NOW)
            await one.store.deletions.prune(Steady(NOW + 60), Steady(NOW + 60))
            await one.store.agents.prune(NOW + 60)
        assert len(await one.store.accounts.run_times()) == 300
        for table in tables:
            rows = await other.execute(f"SELECT FROM {table}")
            assert await rows.fetchall() == []


@contextlib.asynccontextmanager
async def refused_deletions(connection: Any, tables: Sequence[str], most: int) -> AsyncIterator[None]:
    """Let the server refuse statements that delete more than `most` rows of a table."""
    await connection.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF (SELECT count(*) FROM gone) > {most} THEN RAISE 'too many rows'; END IF; RETURN NULL; END $$"
    )
    for table in tables:
        await connection.execute(
            f"CREATE TRIGGER refuse AFTER DELETE ON {table} REFERENCING OLD TABLE AS gone"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse()"
        )
    try:
        yield
    finally:
        await connection.execute("DROP FUNCTION refuse CASCADE")


async def test_a_slow_read_stops_no_writes_and_a_report_may_take_long(
    emptied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(f"{emptied}?options=-c%20statement_timeout%3D500") as one:
        database = one.store.database
        monkeypatch.setitem(database.sql, "read_api_keys", "SELECT pg_sleep(60)")
        monkeypatch.setitem(database.sql, "read_usage", "SELECT pg_sleep(0.7), true AS whole")
        with pytest.raises(StoreError):
            await one.store.keys.api_keys()
        assert database.trouble == ""
        assert (await one.store.claims.claim(examples.claim())).new
        assert [row["whole"] for row in await database.rows("read_usage")] == [True]


async def test_a_slow_write_stops_writes_until_one_is_stored(emptied: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(f"{emptied}?options=-c%20statement_timeout%3D500") as one:
        database = one.store.database
        with monkeypatch.context() as slow:
            slow.setitem(database.sql, "insert_api_key", "SELECT pg_sleep(60)")
            with pytest.raises(StoreError):
                await one.store.keys.add_api_key(ApiKey("k1", "red", "", b"\x00" * 32, NOW))
        assert "statement timeout" in database.trouble
        await eventually(lambda: working(one.store))
        assert database.trouble == ""


@pytest.mark.parametrize("repeats", [1, 10])
@pytest.mark.parametrize("kind", ["serialization failure", "deadlock"])
async def test_a_statement_that_loses_to_another_one_is_repeated(
    kind: str, repeats: int, emptied: str, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one attempt it fails, which shows that the server has refused it."""
    import psycopg

    from gateway.store.postgres import database as shared

    database = emptied.rpartition("/")[2]
    monkeypatch.setattr(shared, "MAX_REPEATS", repeats)
    postgres.execute(f"ALTER DATABASE {database} SET default_transaction_isolation = serializable")
    try:
        async with (
            # The server looks for deadlocks after a second.
            opened(f"{emptied}?options=-c%20lock_timeout%3D0%20-c%20statement_timeout%3D0") as one,
            await psycopg.AsyncConnection.connect(postgres.url(database, "postgres")) as other,
            await psycopg.AsyncConnection.connect(emptied, autocommit=True) as beside,
        ):
            await other.set_isolation_level(psycopg.IsolationLevel.READ_COMMITTED)
            await other.execute("SET deadlock_timeout = '1min'")  # so that the store's statement is the one that ends
            await other.commit()
            await other.execute("UPDATE log SET position = position")
            claiming = asyncio.ensure_future(one.store.claims.claim(examples.claim()))

            await until_one_waits(beside)
            if kind == "deadlock":
                await other.execute("UPDATE lease SET released = released")
            await other.commit()
            if repeats == 1:
                with pytest.raises(StoreError, match="let other statements go first"):
                    await claiming
            else:
                assert (await claiming).new
                assert len(await all_changes(one.store)) == 1
    finally:
        postgres.execute(f"ALTER DATABASE {database} RESET default_transaction_isolation")


# -- The lease ---------------------------------------------------------------------------------------------------------


async def test_a_second_gateway_is_refused_while_the_first_one_lives(
    emptied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.store.postgres import lease
    from gateway.store.postgres.errors import ServerError

    monkeypatch.setattr(lease, "HEARTBEAT_INTERVAL", 0.1)
    async with opened(emptied) as first:
        assert first.store.current  # from its start, before its first heartbeat
        with pytest.raises(ServerError, match=r"in use by another gateway \(.*process \d+\)"):
            async with opened(emptied):
                pass
        assert (await first.store.claims.claim(examples.claim())).new
    async with opened(emptied) as second:  # the lease was given back, so this one does not wait
        assert len(await second.store.generations.unfinished()) == 1


async def test_a_lease_is_certain_only_from_before_its_takeover_was_sent(
    emptied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.store.postgres import lease, migrations
    from gateway.store.postgres.database import Database

    async with opened(emptied):
        pass
    late, run = 0.0, lease.Lease._run

    async def run_late(self: lease.Lease, name: str, values: Mapping[str, object] | None = None) -> Any:
        nonlocal late
        rows = await run(self, name, values)
        late += lease.LEASE_TIMEOUT
        return rows

    monkeypatch.setattr(lease, "since_boot", lambda: since_boot() + late)
    monkeypatch.setattr(lease.Lease, "_run", run_late)
    database = Database(emptied, 5, _unexpected)
    await database.open()
    taken = lease.Lease(database, emptied, migrations.newest())
    try:
        assert await taken.take_now()
        assert not taken.certain
    finally:
        await taken.give_back()
        await database.close()


async def test_a_gateway_that_was_replaced_changes_nothing(emptied: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.store.postgres import lease

    monkeypatch.setattr(lease, "HEARTBEAT_INTERVAL", 60.0)  # as if the first one was paused
    monkeypatch.setattr(lease, "LEASE_TIMEOUT", 0.2)
    async with opened(emptied) as first:
        waiting = await stored(first.store)
        marked = examples.marked(waiting)
        assert await first.store.generations.save(waiting, marked)
        async with opened(emptied) as second:
            assert (first.store.others_send_for, second.store.others_send_for) == (0.0, SEND_TIMEOUT)
            store = first.store
            with pytest.raises(StoreError):
                await store.claims.claim(examples.claim())
            assert [str(error) for error in first.broken] == ["another gateway has taken over the store"]
            store.database.trouble = ""  # it would refuse all further writes without asking the server
            ended = await completed(second.store, "another")
            for write in (
                lambda: store.generations.save(marked, examples.accepted(marked, "request")),
                lambda: store.deletions.delete(ended, at_upstream=True, steady=NOW),
                lambda: store.deletions.prune(NOW + 1e6, NOW + 1e6),
                lambda: store.webhooks.store_webhook(Webhook(ended.id, "w", "r", "completed"), NOW),
                lambda: store.keys.revoke_api_key(ApiKey("k", "red", "", b"hash", NOW), NOW),
                lambda: store.health.probe(),
            ):
                store.database.trouble = ""
                with pytest.raises(StoreError):
                    await write()
            assert await second.store.generations.get("tenant", ended.id) == ended
            assert await second.store.generations.get("tenant", marked.id) == marked
            assert await second.store.webhooks.unprocessed_webhooks() == []
            assert second.broken == []


async def test_a_gateway_of_a_lost_history_changes_nothing_although_its_fence_is_used_again(
    emptied: str, postgres: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was cut off while a backup was restored, and the gateways since then have counted up to its fence."""
    from gateway.store.postgres import lease

    monkeypatch.setattr(lease, "HEARTBEAT_INTERVAL", 60.0)
    async with opened(emptied) as cut_off:
        postgres.execute("UPDATE lease SET fence = fence - 1, replica = NULL", database=database)
        async with opened(emptied) as leader:
            assert leader.store.database.fence == cut_off.store.database.fence
            with pytest.raises(StoreError):
                await cut_off.store.claims.claim(examples.claim())
            assert len(cut_off.broken) == 1
            assert await leader.store.generations.unfinished() == []
            assert (await leader.store.claims.claim(examples.claim())).new


async def test_gateways_whose_machine_was_suspended_do_not_trust_what_they_knew(
    emptied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CLOCK_MONOTONIC stops during a suspension, and another gateway may have taken the lease during it."""
    from gateway.store.postgres import lease, tail
    from gateway.store.postgres.store import PostgresStore

    suspended_for = 0.0
    for module in (lease, tail):
        monkeypatch.setattr(module, "since_boot", lambda: since_boot() + suspended_for)
    async with opened(emptied) as leader:
        replica = await PostgresStore.join(emptied, emptied, _unexpected, 5)
        try:
            await replica.begin(0, lambda _: None)
            monkeypatch.setattr(lease, "LEASE_TIMEOUT", 600.0)
            monkeypatch.setattr(tail, "STALE_AFTER", 600.0)
            assert (leader.store.current, replica.current) == (True, True)
            suspended_for = 601.0
            assert (leader.store.current, replica.current) == (False, False)
        finally:
            await replica.close()


async def test_a_short_reign_does_not_shorten_the_wait_for_a_paused_gateway(
    emptied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The paused one may still send for SEND_TIMEOUT, whoever has given the lease back since."""
    from gateway.store.postgres import lease

    monkeypatch.setattr(lease, "HEARTBEAT_INTERVAL", 60.0)
    monkeypatch.setattr(lease, "LEASE_TIMEOUT", 0.2)
    async with opened(emptied) as paused:
        assert paused.store.others_send_for == 0.0
        for _ in range(2):
            async with opened(emptied) as short:
                assert short.store.others_send_for == SEND_TIMEOUT
        monkeypatch.setattr(lease, "SEND_TIMEOUT", 0.0)
        async with opened(emptied) as short:
            assert short.store.others_send_for == SEND_TIMEOUT
        async with opened(emptied) as later:
            assert later.store.others_send_for == 0.0


@pytest.mark.parametrize("left", ["nothing", "a generation", "a session", "a training", "a message"])
async def test_only_what_a_paused_gateway_may_still_order_or_say_delays_the_next_one(
    left: str, emptied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one does not recover a generation that is being sent before that, and need not wait for it."""
    from gateway.store.postgres import lease

    waited = list[float]()
    rest = asyncio.sleep

    async def rests(seconds: float) -> None:
        waited.append(seconds)
        await rest(0.0 if seconds == SEND_TIMEOUT else seconds)

    monkeypatch.setattr(lease, "HEARTBEAT_INTERVAL", 60.0)
    monkeypatch.setattr(lease, "LEASE_TIMEOUT", 0.2)
    async with opened(emptied) as paused:
        match left:
            case "a generation":
                waiting = await stored(paused.store)
                assert await paused.store.generations.save(waiting, examples.marked(waiting))
            case "a session":
                await paused.store.agents.add_agent_session(CREATED)
            case "a training":
                await paused.store.characters.claim(CREATION)
            case "a message":
                await paused.store.agents.mark_agent_message(MESSAGE)
        monkeypatch.setattr(asyncio, "sleep", rests)
        async with opened(emptied) as successor:
            assert successor.store.others_send_for == SEND_TIMEOUT
        assert (SEND_TIMEOUT in waited) == (left in {"a training", "a message"})


async def test_a_closed_store_refuses_writes(emptied: str) -> None:
    """A task that outlives a drain must not wait for ever."""
    async with opened(emptied) as one:
        store = one.store
    async with asyncio.timeout(WAIT_TIMEOUT):
        with pytest.raises(StoreError, match="closed"):
            await store.claims.claim(examples.claim())
        with pytest.raises(StoreError, match="closed"):
            await store.keys.add_api_key(ApiKey("k", "red", "", b"hash", NOW))


async def test_a_dead_gateway_whose_heartbeat_is_in_the_future_is_replaced(
    emptied: str, postgres: Server, database: str
) -> None:
    """The server's clock was set back."""
    async with opened(emptied) as dead:
        assert dead.store.lease._beats is not None
        dead.store.lease._beats.cancel()
        postgres.execute("UPDATE replicas SET beat = now() + interval '1 hour'", database=database)
        async with opened(emptied) as successor:
            assert (await successor.store.claims.claim(examples.claim())).new


async def test_a_replica_whose_heartbeat_is_in_the_future_does_not_serve(
    emptied: str, postgres: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was dead when the server's clock was set back. One that serves has sent another heartbeat since then."""
    import psycopg

    from gateway.store.postgres import lease, migrations

    monkeypatch.setattr(lease, "HEARTBEAT_INTERVAL", 0.05)
    monkeypatch.setattr(lease, "SERVING_TIMEOUT", 600.0)
    monkeypatch.setattr(migrations, "LEASE_TIMEOUT", 600.0)
    columns = "replicas (replica, beat, version, address, schema)"

    async def beaten(number: int) -> None:
        enough = leader.store.database.beats + number
        await eventually(lambda: leader.store.database.beats >= enough)

    async with opened(emptied) as leader:
        for serving, beat in ((1, "now()"), (0, "now() + interval '1 hour'")):
            postgres.execute("DELETE FROM replicas WHERE address = ''", database=database)
            postgres.execute(f"INSERT INTO {columns} VALUES (gen_random_uuid(), {beat}, '', '', '')", database=database)
            await beaten(2)
            assert leader.store.others == serving
            async with await psycopg.AsyncConnection.connect(emptied) as connection:
                alone = await migrations._is_alone(connection, "0001", leader.store.database.fence)
                assert alone == (not serving)  # nothing waits for a gateway that does not know a migration


@pytest.mark.parametrize(
    ("outage_after", "return_timeout"),
    [
        pytest.param(60.0, 3600.0, id="that has just started"),
        pytest.param(-1.0, 0.5, id="whose reads are all late after the first"),
    ],
)
async def test_a_replica_replaces_a_dead_leader(
    emptied: str,
    postgres: Server,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    outage_after: float,
    return_timeout: float,
) -> None:
    """Only after an outage of the server has a leader time to return, and late reads do not prolong that time."""
    from gateway.store.postgres import tail
    from gateway.store.postgres.store import PostgresStore

    monkeypatch.setattr(tail, "OUTAGE_AFTER", outage_after)
    monkeypatch.setattr(tail, "LEADER_RETURN_TIMEOUT", return_timeout)
    async with opened(emptied) as dead:
        replica = await PostgresStore.join(emptied, emptied, _unexpected, 5)
        try:
            await replica.begin(0, lambda _: None)
            assert dead.store.lease._beats is not None
            dead.store.lease._beats.cancel()
            postgres.execute("UPDATE replicas SET beat = now() - interval '1 hour'", database=database)
            async with asyncio.timeout(30.0):
                await replica.follow()
            assert replica.leads
        finally:
            await replica.close()


async def test_after_an_outage_of_the_server_a_silent_leader_has_time_to_return(
    emptied: str, postgres: Server, database: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may know of commits that the server has lost."""
    from gateway.store.postgres import database as shared
    from gateway.store.postgres import tail
    from gateway.store.postgres.store import PostgresStore

    monkeypatch.setattr(tail, "LEADER_RETURN_TIMEOUT", 3600.0)
    url = emptied.replace(str(postgres.port), proxy.address.rpartition(":")[2])
    async with opened(emptied) as silent, asyncio.timeout(60.0):
        replica = await PostgresStore.join(url, url, _unexpected, 5)
        monkeypatch.setattr(shared, "CONNECT_TIMEOUT", 0.5)
        await replica.begin(0, lambda _: None)
        try:
            async with following(replica) as task:
                proxy.target = ""
                proxy.cut()
                await eventually(lambda: replica.health.trouble)
                assert silent.store.lease._beats is not None
                silent.store.lease._beats.cancel()
                postgres.execute("UPDATE replicas SET beat = now() - interval '1 hour'", database=database)
                proxy.target = f"127.0.0.1:{postgres.port}"
                await eventually(lambda: reported(replica))
                assert not replica.health.trouble
                for _ in range(2):  # a read that finds the leader silent, and what follows it
                    await replica.change_log.announced()
                assert not replica.leads
                monkeypatch.setattr(tail, "LEADER_RETURN_TIMEOUT", 0.0)
                await task
                assert replica.leads
        finally:
            await replica.close()


@pytest.fixture
async def heir(emptied: str, postgres: Server, proxy: Proxy) -> AsyncIterator[PostgresStore]:
    """Return a replica behind the proxy, whose leader has ended."""
    from gateway.store.postgres.store import PostgresStore

    url = emptied.replace(str(postgres.port), proxy.address.rpartition(":")[2])
    async with opened(emptied):
        replica = await PostgresStore.join(url, url, _unexpected, 5)
        await replica.begin(0, lambda _: None)
    try:
        yield replica
    finally:
        await replica.close()


async def test_a_replica_does_not_take_over_while_the_server_refuses_new_connections(
    heir: PostgresStore,
    postgres: Server,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As when `max_connections` is reached. It would end, and so would each other one after it, until none serves."""
    from gateway.store.postgres import store

    connect, attempts = store.connect, []

    async def counted(url: str, shown: str) -> psycopg.AsyncConnection[Any]:
        attempts.append(url)
        return await connect(url, shown)

    monkeypatch.setattr(store, "connect", counted)
    proxy.target = ""
    async with following(heir) as task:
        await eventually(lambda: task.done() or len(attempts) > 2)
        assert not task.done()
        assert not heir.leads
        assert caplog.text.count("refuses the connection to lead") == 1
        await heir.change_log.announced()  # it still reads
        proxy.target = f"127.0.0.1:{postgres.port}"
        await task
        assert heir.leads


async def test_a_replica_that_takes_over_needs_no_connection_after_it_has_the_lease(
    heir: PostgresStore, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The previous leader may free connections that other programs use at once."""
    from gateway.store.postgres.lease import Lease

    take_now = Lease.take_now

    async def refused_from_now_on(self: Lease) -> bool | None:
        proxy.target = ""
        return await take_now(self)

    monkeypatch.setattr(Lease, "take_now", refused_from_now_on)
    async with following(heir) as task:
        await task
        assert heir.leads


async def test_a_replica_takes_over_though_a_new_connection_takes_long(
    heir: PostgresStore, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the first of the servers in the URL is dead. A replica does not read the log while it waits."""
    from gateway.store.postgres import store

    monkeypatch.setattr(store, "REFUSAL_TIMEOUT", 0.05)
    proxy.forwards.clear()
    async with following(heir) as task:
        await eventually(lambda: task.done() or heir.leads)
        proxy.forwards.set()
        await task


async def test_a_replica_reads_few_keys_after_a_change_of_one(emptied: str) -> None:
    """Reading 100,000 keys takes so long that it would refuse all calls until its end."""
    from gateway.store.postgres.store import PostgresStore

    async with opened(emptied) as leader:
        keys = leader.store.keys
        for number in range(20):
            await keys.add_api_key(ApiKey(f"{number:02x}0123456789", f"tenant-{number}", "", b"hash", NOW))
        replica = await PostgresStore.join(emptied, emptied, _unexpected, 5)
        try:
            assert len(await replica.report_serving()) == 20
            assert not await replica.report_serving()
            changed = ApiKey("030123456789", "tenant-3", "", b"hash", NOW)
            await keys.expire_api_key(changed, NOW + 60)
            changed = replace(changed, expire_time=NOW + 60)
            assert await replica.report_serving() == [changed]
            await keys.revoke_api_key(changed, NOW + 1)
            assert await replica.report_serving() == [replace(changed, revoke_time=NOW + 1)]
            await keys.add_api_key(ApiKey("ff0123456789", "new", "", b"hash", NOW))
            assert [key.tenant for key in await replica.report_serving()] == ["new"]
            assert not await replica.report_serving()
        finally:
            await replica.close()


async def test_a_replica_leads_though_the_answer_to_its_takeover_was_lost(
    emptied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else can lead: the replica shows that it lives, and thereby keeps the lease that it has taken."""
    from gateway.store.postgres.lease import Lease
    from gateway.store.postgres.store import PostgresStore
    from gateway.store.postgres.tail import Tail

    run, rest, lost = Lease._run, Tail._sleep, list[object]()

    async def loses_first_answer(self: Lease, name: str, values: Mapping[str, object] | None = None) -> object:
        rows = await run(self, name, values)
        if name == "take" and rows and not lost:
            lost.append(rows)
            raise UnknownCommitError("the answer was lost")
        return rows

    async def attends(self: Tail, seconds: float) -> None:
        await replica.report_serving()
        await rest(self, seconds)

    async with opened(emptied):
        replica = await PostgresStore.join(emptied, emptied, _unexpected, 5)
        await replica.begin(0, lambda _: None)
        monkeypatch.setattr(Lease, "_run", loses_first_answer)
        monkeypatch.setattr(Tail, "_sleep", attends)
    try:
        async with asyncio.timeout(30.0):
            await replica.follow()
        assert lost
        assert replica.leads
        assert (await replica.claims.claim(examples.claim())).new
    finally:
        await replica.close()


async def test_a_replica_that_is_stopped_during_its_takeover_gives_the_lease_back(
    emptied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise no gateway would lead until it counts as dead, and the next leader would wait for what it may send."""
    import psycopg

    from gateway.store.postgres.lease import Lease
    from gateway.store.postgres.store import PostgresStore

    run, executed, answered = Lease._run, asyncio.Event(), asyncio.Event()

    async def answers_late(self: Lease, name: str, values: Mapping[str, object] | None = None) -> object:
        rows = await run(self, name, values)
        if name == "take" and rows:
            executed.set()
            await answered.wait()
        return rows

    async with opened(emptied):
        replica = await PostgresStore.join(emptied, emptied, _unexpected, 5)
        await replica.begin(0, lambda _: None)
        monkeypatch.setattr(Lease, "_run", answers_late)
    async with following(replica):
        await executed.wait()
    asyncio.get_running_loop().call_soon(answered.set)
    await replica.close()

    async with await psycopg.AsyncConnection.connect(emptied) as connection:
        cursor = await connection.execute("SELECT released FROM lease WHERE replica IS NULL")
        assert await cursor.fetchone() == (True,)


def _unexpected(error: Exception) -> None:
    raise AssertionError from error


OF_THE_LEASE = {"report_serving", "beat", "take", "note_loss", "give_back"}


def writing() -> Iterator[str]:
    """Yield the statements that write, but those of the lease itself."""
    for name, sql in statements.load("postgres").items():
        if re.search(r"\b(INSERT|UPDATE|DELETE)\b", sql) and name not in OF_THE_LEASE:
            yield name


@pytest.mark.parametrize("name", list(writing()))
def test_every_part_of_a_statement_that_writes_depends_on_the_lease(name: str) -> None:
    sql = statements.load("postgres")[name]
    condition = "fence = :fence AND replica = :replica AND (SELECT writes FROM log) >= :writes"
    assert " ".join(sql.split()).startswith(f"WITH fenced AS ( SELECT FROM lease WHERE {condition} FOR SHARE ),")
    parts = dict(re.findall(r"^(?:\), )?(\w+) AS \((.*?)(?=^(?:\), )?\w+ AS \(|^SELECT|\Z)", sql, flags=re.M | re.S))
    parts.pop("fenced", None)
    depending = {"fenced"}
    while more := {part for part, text in parts.items() if depending & set(re.findall(r"\w+", text))} - depending:
        depending |= more
    writers = {part for part, text in parts.items() if re.search(r"\b(INSERT INTO|UPDATE \w+ SET|DELETE FROM)\b", text)}
    assert writers
    assert writers <= depending


def test_the_statements_that_modify_a_table_twice_are_documented() -> None:
    """Some servers that speak PostgreSQL's protocol refuse them."""
    twice = set()
    for name, sql in statements.load("postgres").items():
        tables = re.findall(r"\b(?:INSERT INTO|UPDATE|DELETE FROM) (?!SET\b)(\w+)\b", sql)
        if len(tables) > len(set(tables)):
            twice.add(name)
    document = Path("docs/postgresql.md").read_text()
    (listed,) = re.findall(r"these\s+modify\s+a\s+table\s+twice:\s+(.*?)\.$", document, flags=re.S | re.M)
    assert set(re.findall(r"`(\w+)`", listed)) == twice


@pytest.mark.parametrize("name", statements.described("postgres"))
def test_a_statement_has_a_description(name: str) -> None:
    description, sql = statements.described("postgres")[name]
    assert len(description.split()) > 3
    assert description.endswith(".")
    assert "?" not in sql
    assert "$" not in sql


# -- Servers that cannot be used ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "database", "message"),
    [
        ("locked:wrong", "{database}", "password authentication failed.*check the user and the password"),
        ("gateway", "missing", 'database "missing" does not exist'),
        ("nobody", "{database}", r'\(role "nobody" does not exist\); the server refuses the connection'),
        ("locked:secret", "{database}", "permission denied for schema public; the gateway's role must own"),
        ("gateway", "postgres", "permission denied for schema public"),
    ],
)
async def test_a_server_that_refuses_is_reported_without_the_password(
    postgres: Server, user: str, database: str, message: str
) -> None:
    from gateway.settings.values import PostgresUrl
    from gateway.store.postgres.errors import ServerError
    from gateway.store.postgres.store import examine

    name, _, password = user.partition(":")
    with postgres.database() as fresh:
        url = PostgresUrl(postgres.url(database.format(database=fresh), name, password) + "?sslmode=prefer")
        for opens in (open_only, examine):  # a gateway, and `hfgateway doctor`
            with pytest.raises(ServerError, match=message) as refused:
                await opens(url.url, str(url))
            assert str(refused.value).startswith(f"postgresql://{name}@127.0.0.1:{postgres.port}/")
            assert password not in str(refused.value).replace("password", "") or not password
            assert "\n" not in str(refused.value)


@pytest.mark.parametrize("parameters", ["sslmod=require", "sslmode=foo", "keepalives_idle=x", "options=-ca=b"])
async def test_a_wrong_parameter_is_not_reported_as_an_unreachable_server(postgres: Server, parameters: str) -> None:
    from gateway.store.postgres.errors import ServerError
    from gateway.store.postgres.store import examine

    for opens in (open_only, examine):  # a gateway, and `hfgateway doctor`
        with pytest.raises(ServerError, match=r"; correct it in HFGATEWAY_STORE_URL, or in libpq's variables$"):
            await opens(f"{postgres.url('postgres')}?{parameters}", "the store")


async def test_a_refusal_in_another_language_is_not_reported_as_an_unreachable_server() -> None:
    from gateway.store.postgres.errors import ServerError
    from gateway.store.postgres.store import examine

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(int.from_bytes(await reader.readexactly(4)) - 4)
        fields = ("SВАЖНО", "VFATAL", "C3D000", "Mбаза данных missing не существует", "")
        body = b"".join(field.encode() + b"\0" for field in fields)
        writer.write(b"E" + (len(body) + 4).to_bytes(4) + body)
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        with pytest.raises(ServerError, match=r"\(база данных missing не существует\); the server refuses the conn"):
            await examine(f"postgresql://gateway@{host}:{port}/missing?sslmode=disable&gssencmode=disable", "the store")


@pytest.mark.parametrize("rights", ["SELECT", "SELECT, INSERT, UPDATE"])
async def test_a_role_that_may_not_write_all_tables_is_reported(postgres: Server, rights: str) -> None:
    from gateway.store.postgres.errors import ServerError
    from gateway.store.postgres.store import examine

    with postgres.database() as fresh:
        await open_only(postgres.url(fresh), "the store")
        postgres.execute(f"GRANT {rights} ON ALL TABLES IN SCHEMA public TO locked", database=fresh)
        with pytest.raises(ServerError, match=r"denied for table \w+; the gateway's role must own its tables"):
            await examine(postgres.url(fresh, "locked", "secret"), "the store")


async def open_only(url: str, shown: str) -> None:
    from gateway.store.postgres.store import PostgresStore

    store = await PostgresStore.open(url, shown, lambda error: None, 5)
    await store.close()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("ALTER DATABASE {} SET default_transaction_read_only = on", "is read-only; unset"),
        ("ALTER DATABASE {} SET synchronous_commit = off", "may lose commits"),
        ("ALTER DATABASE {} SET standard_conforming_strings = off", "reads backslashes as escapes"),
        ("ALTER DATABASE {} SET array_nulls = off", "reads NULL in arrays as a text"),
        ("ALTER DATABASE {} SET client_min_messages = error", "hides the warning"),
        ("ALTER DATABASE {} SET search_path = nothing", "no schema of its search_path exists"),
        ("ALTER DATABASE {} CONNECTION LIMIT 0", "too many connections.*HFGATEWAY_STORE_CONNECTIONS"),
    ],
)
async def test_a_database_that_cannot_be_used_is_reported(postgres: Server, statement: str, message: str) -> None:
    from gateway.store.postgres.errors import ServerError

    with postgres.database() as fresh:
        postgres.execute(statement.format(fresh))
        with pytest.raises(ServerError, match=message):
            await open_only(postgres.url(fresh), "the store")


async def test_an_old_server_foreign_tables_and_a_newer_schema_are_refused(
    postgres: Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.store.postgres import store
    from gateway.store.postgres.errors import ServerError

    with postgres.database() as fresh:
        url = postgres.url(fresh)
        with monkeypatch.context() as newer:
            newer.setattr(store, "MIN_SERVER_VERSION", 99)
            with pytest.raises(ServerError, match=r"is PostgreSQL \d+, which is too old; use 99 or newer"):
                await open_only(url, "the store")
        postgres.execute("CREATE TABLE theirs (id integer)", database=fresh)
        for opens in (open_only, store.examine):
            with pytest.raises(ServerError, match="is no store of this gateway"):
                await opens(url, "the store")
        postgres.execute("DROP TABLE theirs", database=fresh)
        await open_only(url, "the store")
        postgres.execute("INSERT INTO migrations (name) VALUES ('9000_pre_next.sql')", database=fresh)
        await open_only(url, "the store")
        postgres.execute("INSERT INTO migrations (name) VALUES ('9001_post_next.sql')", database=fresh)
        with pytest.raises(ServerError, match=r"newer gateway: its migration 9001_post_next\.sql"):
            await open_only(url, "the store")
        proxy.target = ""
        with pytest.raises(ServerError, match="is the server running and reachable"):
            await open_only(postgres.url(fresh, port=int(proxy.address.rpartition(":")[2])), "the store")
        with pytest.raises(ServerError, match=r"\(Connection refused\); is the server running and reachable\?$"):
            await open_only(postgres.url(fresh, port=1), "the store")


async def test_a_schema_that_hides_the_store_is_refused(postgres: Server) -> None:
    """A second, empty store would not know what the first one has sent."""
    from gateway.store.postgres import store
    from gateway.store.postgres.errors import ServerError

    with postgres.database() as fresh:
        url = postgres.url(fresh)
        await open_only(url, "the store")
        postgres.execute("CREATE SCHEMA gateway AUTHORIZATION gateway", database=fresh)  # the "$user" of search_path
        for opens in (open_only, store.examine):
            with pytest.raises(ServerError, match="the schema gateway hides the store in the schema public"):
                await opens(url, "the store")
        await open_only(f"{url}?options=-c%20search_path%3Dgateway", "another store")  # on purpose
        await open_only(f"{url}?options=-c%20search_path%3Dpublic", "the store")


async def test_another_encoding_of_the_environment_does_not_matter(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with postgres.database() as fresh:
        key = ApiKey("k1", "red", "заказы", b"\x00" * 32, 1.0)
        async with opened(postgres.url(fresh) + "?client_encoding=LATIN1") as one:
            await one.store.keys.add_api_key(key)
            assert await one.store.keys.api_keys() == [key]


async def test_the_documented_role_can_create_the_schema(postgres: Server) -> None:
    from gateway.store.postgres import store

    document = Path("docs/postgresql.md").read_text()
    (block,) = re.findall(r"```sql\n(.*?)```", document, flags=re.S)
    postgres.execute(*filter(None, map(str.strip, block.split(";"))))
    try:
        url = postgres.url("hfgateway", "hfgateway")
        await open_only(url, "the store")
        assert "is up to date; no gateway runs on it" in await store.examine(url, "the store")
    finally:
        postgres.execute("DROP DATABASE hfgateway", "DROP ROLE hfgateway")


async def test_the_limits_are_those_of_the_role_that_logs_in_if_it_acts_as_another_one(postgres: Server) -> None:
    """Tools that create credentials make roles that act as the owner of the tables, and its limits do not apply."""
    import psycopg

    with postgres.database() as fresh:
        postgres.execute("CREATE ROLE lent LOGIN IN ROLE gateway", "ALTER ROLE lent SET role = gateway")
        try:
            await open_only(postgres.url(fresh, "lent"), "the store")
            async with await psycopg.AsyncConnection.connect(postgres.url(fresh, "lent")) as later:
                rows = await later.execute(
                    "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'),"
                    " current_setting('idle_in_transaction_session_timeout'), tableowner"
                    " FROM pg_tables WHERE tablename = 'lease'"
                )
                assert await rows.fetchall() == [("5s", "2s", "2s", "gateway")]
        finally:
            postgres.execute("DROP ROLE lent")


async def test_a_limit_that_another_gateway_sets_at_the_same_time_does_not_refuse_the_start(postgres: Server) -> None:
    import psycopg

    from gateway.store.postgres import store

    with postgres.database() as fresh:
        url = postgres.url(fresh)
        async with await psycopg.AsyncConnection.connect(url) as other:
            await other.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {fresh} SET statement_timeout = '5s'")
            starting = asyncio.create_task(store._prepare(url, "the store"))

            await until_one_waits(other)
            await other.commit()
        assert await starting


@pytest.mark.parametrize(("lost", "applied"), [(2, True), (3, False)])
async def test_migrations_whose_connection_is_lost_are_applied_on_another_one(
    postgres: Server, monkeypatch: pytest.MonkeyPatch, *, lost: int, applied: bool
) -> None:
    """A stall of the process for more than 2 s has the same effect: the server ends a session in a transaction."""
    from gateway.store.postgres import migrations, store
    from gateway.store.postgres.errors import ServerError

    known = migrations.known
    losses = iter(range(lost))
    with postgres.database() as fresh:
        url, sessions = postgres.url(fresh), f"FROM pg_stat_activity WHERE datname = '{fresh}'"

        def lose() -> Sequence[Traversable]:
            if next(losses, None) is not None:
                postgres.execute(f"SELECT pg_terminate_backend(pid, 60000) {sessions}")
            return known()

        monkeypatch.setattr(migrations, "known", lose)
        with contextlib.nullcontext() if applied else pytest.raises(ServerError, match="terminating connection"):
            assert await store._prepare(url, "the store")
        assert next(losses, None) is None
        monkeypatch.undo()
        assert ("is up to date" in await store.examine(url, "the store")) == applied


async def test_gateways_that_start_together_create_the_schema_once(postgres: Server) -> None:
    from gateway.store.postgres import store

    with postgres.database() as fresh:
        url = postgres.url(fresh)
        assert await asyncio.gather(*(store._prepare(url, "the store") for _ in range(4))) == [True] * 4
        assert "is up to date; no gateway runs on it" in await store.examine(url, "the store")
