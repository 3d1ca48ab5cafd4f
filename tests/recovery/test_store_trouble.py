"""A store that cannot be written is told of: in the log, by /readyz and by a metric; and it mends by itself.

The trouble is real: another connection's lock, and a database that SQLite says is full.
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

from hfgateway.v1 import generation_service_pb2 as pb
from tests.recovery.conftest import Start
from tests.support.commits import commits
from tests.support.running import Running, eventually, name_of, run, soul
from tests.support.transports import RpcFailure

STORED = pb.WAIT_FOR_STORED


async def by_its_writer(running: Running, statement: str) -> None:
    """Run a statement on the connection that writes."""
    writer = running.gateway._core.store._writer
    await writer.write(None, lambda connection: (connection.execute(statement).fetchall(), None))


@asynccontextmanager
async def held(running: Running) -> AsyncIterator[None]:
    """Another program has the file, for longer than is waited for it."""
    connected = closing(sqlite3.connect(running.store_path, isolation_level=None))
    with connected as other, patch("gateway.store.writer.PATIENCE", 100):
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@asynccontextmanager
async def full(running: Running) -> AsyncIterator[None]:
    """There is no room for one page more."""
    await by_its_writer(running, "PRAGMA max_page_count=1")
    yield
    await by_its_writer(running, "PRAGMA max_page_count=1000000")


Trouble = Callable[[Running], AbstractAsyncContextManager[None]]


async def readiness(running: Running) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(running.gateway.http_address + "/readyz") as answer:
        return answer.status, await answer.text()


@asynccontextmanager
async def health_watched(running: Running) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """What health checks over gRPC are told, one change after the other."""
    async with grpc.aio.insecure_channel(running.gateway.grpc_address) as channel:
        stream = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())

        async def told() -> str:
            status: int = (await stream.read()).status
            return str(health_pb2.HealthCheckResponse.ServingStatus.Name(status))

        yield told


def said(caplog: pytest.LogCaptureFixture, level: str) -> list[str]:
    """What the store has logged at that level."""
    records = (one for one in caplog.records if one.name.startswith("gateway.store") and one.levelname == level)
    return [one.getMessage() for one in records]


async def is_refused(running: Running, name: str) -> None:
    """A submission is, with room in it for more than what a log has left, and nothing is sent."""
    with pytest.raises(RpcFailure) as raised:
        await running.submit(soul(name + " long" * 10_000, key=name, wait_for=STORED))
    assert (raised.value.code, raised.value.reason) == ("UNAVAILABLE", "GATEWAY_UNAVAILABLE")
    assert running.ledger.submissions == []


@pytest.mark.parametrize("trouble", [held, full])
async def test_it_is_told_of_and_mends_by_itself(
    tmp_path: Path, trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with run(tmp_path) as running, AsyncExitStack() as stack:
        assert await readiness(running) == (200, "ready\n")
        assert await running.metric("hfgateway_store_writable") == 1.0
        told_health = await stack.enter_async_context(health_watched(running))
        assert await told_health() == "SERVING"
        async with trouble(running):
            for number in range(5):
                await is_refused(running, f"fox-{number}")
            status, why = await readiness(running)
            assert status == 503
            assert why.startswith("the store cannot be written: ")
            assert await running.metric("hfgateway_store_writable") == 0.0
            assert await running.metric("hfgateway_store_writes_refused") >= 5
            assert running.ledger.submissions == []
            assert await told_health() == "NOT_SERVING"
        told = [record for record in caplog.records if record.name == "gateway.store.writer"]
        assert [record.getMessage() for record in told if record.levelname == "ERROR"] == [
            "the store cannot be written"
        ]

        # Nobody calls: it looks by itself.
        await eventually(lambda: running.gateway._core.store.trouble == "")
        assert await readiness(running) == (200, "ready\n")
        assert await told_health() == "SERVING"
        assert said(caplog, "INFO") == ["the store can be written again"]
        done = await running.submit(soul("fox-0" + " long" * 10_000, key="fox-0"))
        assert name_of(await running.finish(done.id)) == "COMPLETED"
        assert len(running.ledger.charges) == 1


@pytest.mark.parametrize("trouble", [held, full])
async def test_meanwhile_what_is_stored_can_be_read_and_watched(tmp_path: Path, trouble: Trouble) -> None:
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


async def test_a_write_that_is_wrong_by_itself_is_no_trouble_of_the_store(tmp_path: Path) -> None:
    async with run(tmp_path) as running:
        store = running.gateway._core.store
        with pytest.raises(ZeroDivisionError):
            await store._writer.write(None, lambda _: (1 // 0, None))
        assert store.trouble == ""


async def test_a_store_that_cannot_be_read_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with run(tmp_path) as running:
        done = await running.submit(soul("a fox"))
        await running.finish(done.id)
        reader = running.gateway._core.store._reader
        reader.execute("PRAGMA query_only=0")
        reader.execute("CREATE TEMP TABLE generations (id TEXT)")  # hides the real one
        with pytest.raises(RpcFailure) as raised:
            await running.get(done.id)
        assert raised.value.reason == "GATEWAY_UNAVAILABLE"
        assert said(caplog, "ERROR") == ["the store cannot be read"]


async def test_waiting_generations_do_not_hammer_a_store_that_refuses(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    running = await start(UPSTREAM_CONCURRENCY=1)
    first = await running.submit(soul("the first"))
    waiting = [await running.submit(soul(f"waiting {number}", wait_for=STORED)) for number in range(3)]
    with commits("marked") as marks:
        marks.fail_from(1)
        await running.passes(60, until=lambda: first.id not in running.live())
        await running.passes(60)
        assert 5 <= marks.came <= 30
        told = [record for record in caplog.records if record.name.startswith("gateway.generations")]
        assert len(told) <= 30
    await running.passes(600, until=lambda: not running.live())
    assert len(running.ledger.charges) == 1 + len(waiting)


# -- A disk that does not answer ---------------------------------------------------------------------------------------


@contextmanager
def hung() -> Iterator[None]:
    """No commit comes to its end. Those that were begun go on afterwards."""
    answers = threading.Event()

    def before(_: str) -> None:
        if threading.current_thread().name == "store-writer":
            answers.wait(60)

    with patch("gateway.failpoints.before", before), patch("gateway.store.writer.LATE", 0.2):
        try:
            yield
        finally:
            answers.set()


@pytest.mark.parametrize("leave", [False, True], ids=["callers stay", "callers leave"])
async def test_a_disk_that_does_not_answer_is_told_of_and_what_it_has_not_begun_is_never_sent(
    tmp_path: Path, leave: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with run(tmp_path) as running:
        with hung():
            first = asyncio.create_task(running.submit(soul("begun", wait_for=STORED)))
            await eventually(lambda: running.gateway._core.store._writer._busy)
            calls = [asyncio.create_task(running.submit(soul(f"fox {n}", wait_for=STORED))) for n in range(50)]
            if leave:
                await eventually(lambda: bool(running.gateway._core.store._writer._waiting))
                for call in (first, *calls):
                    call.cancel()
            else:
                for call in calls:
                    with pytest.raises(RpcFailure) as raised:
                        await call
                    assert (raised.value.code, raised.value.reason) == ("UNAVAILABLE", "GATEWAY_UNAVAILABLE")
            await eventually(lambda: bool(running.gateway._core.store.trouble))
            assert await readiness(running) == (503, "the store's disk does not respond\n")
            for number in range(3):
                await is_refused(running, f"owl-{number}")
            assert running.gateway._core.store._writer._waiting == []
            assert await running.metric("hfgateway_store_writes_refused") >= 3
            assert running.ledger.submissions == []
        await eventually(lambda: running.gateway._core.store.trouble == "")
        assert await readiness(running) == (200, "ready\n")
        again = await running.submit(soul("fox 0", wait_for=STORED))
        await running.start_running(again.id)
        await eventually(lambda: len(running.ledger.submissions) == 2)
        assert sorted(one.prompt for one in running.ledger.charges) == ["begun", "fox 0"]
        assert said(caplog, "ERROR") == ["the store's disk does not respond"]
        assert said(caplog, "INFO") == ["the store's disk responds again"]
        await asyncio.gather(first, return_exceptions=True)
