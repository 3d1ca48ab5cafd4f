"""An unwritable store is reported by the log, /readyz, gRPC health checks and a metric, and recovers by itself.

The failures are real: another connection's lock, and a database that SQLite reports as full.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing, contextmanager
from pathlib import Path
from unittest.mock import patch

import aiohttp
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.process.core import PRUNE_INTERVAL
from hfgateway.v1 import generation_service_pb2 as pb
from tests.recovery.conftest import Start
from tests.support.commits import commits
from tests.support.running import Running, eventually, name_of, run, soul
from tests.support.transports import RpcFailure

STORED = pb.WAIT_FOR_STORED


async def on_the_writer(running: Running, statement: str) -> None:
    """Run a statement on the writer's connection."""
    writer = running.database.writer
    await writer.write(None, lambda connection: (connection.execute(statement).fetchall(), None))


@asynccontextmanager
async def held(running: Running) -> AsyncIterator[None]:
    """Another program locks the file for longer than the gateway waits."""
    connected = closing(sqlite3.connect(running.store_path, isolation_level=None))
    with connected as other, patch("gateway.store.sqlite.writer.BUSY_TIMEOUT_MS", 100):
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@asynccontextmanager
async def full(running: Running) -> AsyncIterator[None]:
    """The database has no room for another page."""
    await on_the_writer(running, "PRAGMA max_page_count=1")
    yield
    await on_the_writer(running, "PRAGMA max_page_count=1000000")


Trouble = Callable[[Running], AbstractAsyncContextManager[None]]


async def readiness(running: Running) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(running.gateway.http_address + "/readyz") as answer:
        return answer.status, await answer.text()


@asynccontextmanager
async def health_watched(running: Running) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """Watch the health service over gRPC; yield a function that returns its next status."""
    async with grpc.aio.insecure_channel(running.gateway.grpc_address) as channel:
        stream = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())

        async def next_status() -> str:
            status: int = (await stream.read()).status
            return str(health_pb2.HealthCheckResponse.ServingStatus.Name(status))

        yield next_status


def logged(caplog: pytest.LogCaptureFixture, level: str) -> list[str]:
    """Return the messages of the store at this level."""
    records = (one for one in caplog.records if one.name.startswith("gateway.store") and one.levelname == level)
    return [one.getMessage() for one in records]


async def assert_refused(running: Running, name: str) -> None:
    """Fail unless a submission too large for the rest of the WAL is refused, and nothing is sent."""
    with pytest.raises(RpcFailure) as raised:
        await running.submit(soul(name + " long" * 10_000, key=name, wait_for=STORED))
    assert (raised.value.code, raised.value.reason) == ("UNAVAILABLE", "GATEWAY_UNAVAILABLE")
    assert running.ledger.submissions == []


@pytest.mark.parametrize("trouble", [held, full])
async def test_an_unwritable_store_is_reported_and_recovers(
    tmp_path: Path, trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with run(tmp_path) as running, AsyncExitStack() as stack:
        assert await readiness(running) == (200, "ready\n")
        assert await running.metric("hfgateway_store_writable") == 1.0
        next_health = await stack.enter_async_context(health_watched(running))
        assert await next_health() == "SERVING"
        async with trouble(running):
            for number in range(5):
                await assert_refused(running, f"fox-{number}")
            status, why = await readiness(running)
            assert status == 503
            assert why.startswith("the store cannot be written: ")
            assert await running.metric("hfgateway_store_writable") == 0.0
            assert await running.metric("hfgateway_store_writes_refused_total") >= 5
            assert running.ledger.submissions == []
            assert await next_health() == "NOT_SERVING"
        errors = [record for record in caplog.records if record.name == "gateway.store.sqlite.writer"]
        assert [record.getMessage() for record in errors if record.levelname == "ERROR"] == [
            "the store cannot be written"
        ]

        # No caller writes: the gateway checks the store by itself.
        await eventually(lambda: running.gateway._core.store.health.trouble == "")
        assert await readiness(running) == (200, "ready\n")
        assert await next_health() == "SERVING"
        assert logged(caplog, "INFO") == ["the store can be written again"]
        done = await running.submit(soul("fox-0" + " long" * 10_000, key="fox-0"))
        assert name_of(await running.finish(done.id)) == "COMPLETED"
        assert len(running.ledger.charges) == 1


@pytest.mark.parametrize("trouble", [held, full])
async def test_an_unwritable_store_still_serves_reads_and_watches(tmp_path: Path, trouble: Trouble) -> None:
    async with run(tmp_path) as running:
        done = await running.submit(soul("done before"))
        await running.finish(done.id)
        queued = await running.submit(soul("queued before"))
        async with trouble(running):
            with pytest.raises(RpcFailure):
                await running.submit(soul("meanwhile" + " long" * 10_000, key="meanwhile", wait_for=STORED))
            assert name_of(await running.get(done.id)) == "COMPLETED"
            listed = await running.grpc.call("ListGenerations", pb.ListGenerationsRequest())
            assert [one.id for one in listed.generations] == [queued.id, done.id]
            history = [generation async for generation in running.history(done.id)]
            assert name_of(history[-1]) == "COMPLETED"
            running.clock.advance(60)
        assert name_of(await running.until(queued.id, "COMPLETED")) == "COMPLETED"


async def test_a_bug_in_a_write_is_not_reported_as_a_store_failure(tmp_path: Path) -> None:
    async with run(tmp_path) as running:
        with pytest.raises(ZeroDivisionError):
            await running.database.writer.write(None, lambda _: (1 // 0, None))
        assert running.gateway._core.store.health.trouble == ""


async def test_an_unreadable_store_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with run(tmp_path) as running:
        done = await running.submit(soul("a fox"))
        await running.finish(done.id)
        reader = running.database._reader
        reader.execute("PRAGMA query_only=0")
        reader.execute("CREATE TEMP TABLE generations (id TEXT)")  # hides the real one
        with pytest.raises(RpcFailure) as raised:
            await running.get(done.id)
        assert raised.value.reason == "GATEWAY_UNAVAILABLE"
        assert logged(caplog, "ERROR") == ["the store cannot be read"]


async def test_pending_generations_do_not_hammer_a_failing_store(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    running = await start(UPSTREAM_CONCURRENCY=1)
    first = await running.submit(soul("the first"))
    waiting = [await running.submit(soul(f"waiting {number}", wait_for=STORED)) for number in range(3)]
    with commits("marked") as marks:
        marks.fail_from(1)
        await running.advance(60, until=lambda: first.id not in running.live())
        await running.advance(60)
        assert 5 <= marks.count <= 30
        lines = [record for record in caplog.records if record.name.startswith("gateway.generations")]
        assert len(lines) <= 30
    await running.advance(600, until=lambda: not running.live())
    assert len(running.ledger.charges) == 1 + len(waiting)


# -- A hanging disk ----------------------------------------------------------------------------------------------------


@contextmanager
def hung() -> Iterator[None]:
    """Let every commit hang until the block ends; then commits that had begun continue."""
    answers = threading.Event()

    def before(_: str) -> None:
        if threading.current_thread().name == "store-writer":
            answers.wait(60)

    with patch("gateway.failpoints.before", before), patch("gateway.store.sqlite.writer.HUNG_TIMEOUT", 0.2):
        try:
            yield
        finally:
            answers.set()


@pytest.mark.parametrize("leave", [False, True], ids=["callers stay", "callers leave"])
async def test_a_hanging_disk_is_reported_and_queued_writes_are_dropped(
    tmp_path: Path, leave: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with run(tmp_path) as running:
        await running.learn_time()
        with hung():
            first = asyncio.create_task(running.submit(soul("begun", wait_for=STORED)))
            await eventually(lambda: running.database.writer._busy)
            calls = [asyncio.create_task(running.submit(soul(f"fox {n}", wait_for=STORED))) for n in range(50)]
            if leave:
                await eventually(lambda: bool(running.database.writer._waiting))
                for call in (first, *calls):
                    call.cancel()
            else:
                for call in calls:
                    with pytest.raises(RpcFailure) as raised:
                        await call
                    assert (raised.value.code, raised.value.reason) == ("UNAVAILABLE", "GATEWAY_UNAVAILABLE")
            await eventually(lambda: bool(running.gateway._core.store.health.trouble))
            assert await readiness(running) == (503, "the store's disk does not respond\n")
            for number in range(3):
                await assert_refused(running, f"owl-{number}")
            assert running.database.writer._waiting == []
            assert await running.metric("hfgateway_store_writes_refused_total") >= 3
            assert running.ledger.submissions == []
        await eventually(lambda: running.gateway._core.store.health.trouble == "")
        assert await readiness(running) == (200, "ready\n")
        again = await running.submit(soul("fox 0", wait_for=STORED))
        await running.start_running(again.id)
        await eventually(lambda: len(running.ledger.submissions) == 2)
        assert sorted(one.prompt for one in running.ledger.charges) == ["begun", "fox 0"]
        assert logged(caplog, "ERROR") == ["the store's disk does not respond"]
        assert logged(caplog, "INFO") == ["the store's disk responds again"]
        await asyncio.gather(first, return_exceptions=True)


async def test_a_gateway_stops_although_its_disk_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process then exits at once. What it has sent is in the store."""
    monkeypatch.setattr("gateway.process.core.STORE_CLOSE_TIMEOUT", 0.1)
    async with run(tmp_path, DRAIN="0") as running:
        await running.learn_time()
        with hung():
            call = asyncio.create_task(running.submit(soul("begun", wait_for=STORED)))
            await eventually(lambda: running.database.writer._busy)
            await running.stop_gateway()
            assert running.gateway.hangs
        await asyncio.gather(call, return_exceptions=True)
        await eventually(running.database.writer._closed.is_set)


async def test_retention_waits_for_a_store_that_refuses_writes(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    timed = await start()
    await timed.learn_time()  # deliveries of callbacks are removed by it
    async with held(timed):
        await timed.advance(PRUNE_INTERVAL)
    (warning,) = (record for record in caplog.records if record.name == "gateway.process.core")
    assert (warning.getMessage(), warning.exc_info) == ("pruning failed; will retry in an hour", None)
