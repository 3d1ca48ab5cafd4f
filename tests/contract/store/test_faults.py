"""Faults of the store: it refuses writes, acknowledges nothing that is not stored, and recovers by itself.

The faults are real: a lock of another connection, a full file system, a limit of the file's size.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import grpc
import pytest
from google.rpc import status_pb2

from gateway.generations.stores import StoreError
from gateway.process.app import EXIT_STORE_BROKEN
from gateway.sandbox.server import Sandbox, SandboxOptions
from gateway.store.sqlite import files, migrations
from gateway.store.sqlite.store import SqliteStore
from gateway.store.sqlite.writer import Writer
from hfgateway.v1 import error_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from tests.contract.store import examples
from tests.durability.process import GatewayProcess, stub
from tests.support.namespaces import small_disk

NO_LARGE_FILES = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""The limit is larger than a new store, and smaller than its log becomes before a checkpoint."""
MANY = 200


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxOptions(port=0, queue_seconds=0.05, image_seconds=0.05)) as sandbox:
        yield sandbox


@asynccontextmanager
async def held(path: Path) -> AsyncIterator[None]:
    """Lock the file with a transaction of another connection."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def submission(key: str) -> pb.SubmitGenerationRequest:
    """Return a submission that returns once it is stored."""
    request = pb.SubmitGenerationRequest(idempotency_key=key, wait_for=pb.WAIT_FOR_STORED)
    request.input.soul.prompt = f"{key} " + "a long story " * 200
    return request


async def submit(channel: grpc.aio.Channel, key: str) -> str | None:
    """Return the id of the stored generation; None if the gateway reported that it could not store one.

    Raises AioRpcError if no gateway responded.
    """
    try:
        answer = await stub(channel).SubmitGeneration(submission(key), timeout=60)
    except grpc.aio.AioRpcError as error:
        if reason(error) == error_pb2.ERROR_REASON_GATEWAY_UNAVAILABLE:
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            return None
        raise
    return str(answer.generation.id)


def reason(error: grpc.aio.AioRpcError) -> int:
    """Return the reason in the details of an error."""
    failure = error_pb2.Failure()
    packed = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    assert isinstance(packed, bytes)
    for detail in status_pb2.Status.FromString(packed).details:
        if detail.Is(failure.DESCRIPTOR):
            detail.Unpack(failure)
    return failure.reason


async def completed(channel: grpc.aio.Channel, generation_id: str) -> bool:
    """Return whether the generation completes."""
    answer = await stub(channel).WaitGeneration(pb.WaitGenerationRequest(id=generation_id, timeout={"seconds": 60}))
    return bool(answer.generation.HasField("end_time") and answer.generation.outputs)


async def test_writes_to_a_locked_file_are_refused_together_until_it_is_released(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db", lambda error: None)
    before = await store.claims.claim(examples.claim())
    claims = [examples.claim() for _ in range(30)]
    try:
        async with held(tmp_path / "store.db"):
            # If each write waited for the lock, this would take minutes.
            refused = await asyncio.gather(*map(store.claims.claim, claims), return_exceptions=True)
            assert {type(one) for one in refused} == {StoreError}
            assert await store.generations.get("tenant", before.generation_id) == before.generation
            await store.change_log.announced()  # watches begin with it
        assert all(one.new for one in await asyncio.gather(*map(store.claims.claim, claims)))
    finally:
        await store.close()


async def test_a_writer_without_its_connection_refuses_writes(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "store.db", check_same_thread=False, isolation_level=None)
    writer = Writer(connection, lambda saved: None, lambda error: None)
    connection.close()
    for _ in range(2):
        with pytest.raises(StoreError):
            await writer.write("step", lambda connection: (None, None))
    await writer.close()


async def test_nothing_is_sent_while_the_store_is_locked(tmp_path: Path, sandbox: Sandbox) -> None:
    async with GatewayProcess(tmp_path, sandbox.url) as gateway, gateway.channel() as channel:
        async with held(tmp_path / "store.db"):
            assert await submit(channel, "held") is None
        assert sandbox.ledger.summary()["submissions_seen"] == 0

        again = await submit(channel, "held")
        assert again is not None
        assert await completed(channel, again)
    assert sandbox.ledger.summary()["charge_count"] == 1


@pytest.mark.toolchain("unshare")
async def test_writes_to_a_full_disk_are_refused_until_there_is_space(tmp_path: Path, sandbox: Sandbox) -> None:
    launcher = (*small_disk(tmp_path), sys.executable)
    async with GatewayProcess(tmp_path, sandbox.url, launcher=launcher) as gateway, gateway.channel() as channel:
        stored = {"first": await submit(channel, "first")}
        assert stored["first"] is not None
        assert await completed(channel, stored["first"])

        ballast = Path(f"/proc/{gateway.pid}/root{tmp_path}/ballast")
        fill(ballast)
        # The log can still reuse the space that it has.
        for number in range(MANY):
            stored[f"key-{number}"] = await submit(channel, f"key-{number}")
            if stored[f"key-{number}"] is None:
                break
        refused = [key for key, generation_id in stored.items() if generation_id is None]
        assert len(refused) == 1
        beside = [f"beside-{number}" for number in range(20)]
        together = await asyncio.gather(*(submit(channel, key) for key in beside))
        stored |= dict(zip(beside, together, strict=True))
        assert None in together
        seen = sandbox.ledger.summary()["submissions_seen"]
        assert seen <= sum(generation_id is not None for generation_id in stored.values())

        make_room(ballast)
        for key, generation_id in stored.items():
            again = await submit(channel, key)
            assert again is not None
            assert generation_id in (None, again)
            assert await completed(channel, again)
        assert await gateway.terminate() == 0
    assert sandbox.ledger.summary()["charge_count"] == len(stored)


def make_room(ballast: Path) -> None:
    ballast.unlink()


def fill(ballast: Path) -> None:
    """Write until the disk is full."""
    with open(ballast, "wb", buffering=0) as file:
        for size in (1 << 16, 1 << 10, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue


async def test_an_io_error_ends_the_process_and_loses_nothing(tmp_path: Path, sandbox: Sandbox) -> None:
    stored = {}
    launcher = (sys.executable, "-c", NO_LARGE_FILES)
    async with GatewayProcess(tmp_path, sandbox.url, launcher=launcher) as gateway, gateway.channel() as channel:
        for number in range(MANY):
            try:
                stored[number] = await submit(channel, f"key-{number}")
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE
                break
        assert await gateway.ended() == EXIT_STORE_BROKEN
    assert 0 < len(stored) < MANY
    assert None not in stored.values()

    async with GatewayProcess(tmp_path, sandbox.url) as gateway, gateway.channel() as channel:
        for number, generation_id in stored.items():
            again = await submit(channel, f"key-{number}")
            assert again == generation_id
            assert again is not None
            assert await completed(channel, again)
    assert sandbox.ledger.summary()["double_charged_prompts"] == {}


async def test_a_migration_that_was_killed_during_its_copy_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore(tmp_path / "store.db", lambda error: None)
    kept = await store.claims.claim(examples.claim())
    await store.close()
    folder = tmp_path / "migrations"
    shutil.copytree(str(migrations.folder()), folder)
    known = sorted(folder.glob("*.sql"))
    newest = folder / f"{int(known[-1].name[:4]) + 1:04}_newest.sql"
    newest.write_text("CREATE TABLE newest (id TEXT PRIMARY KEY) STRICT;")
    monkeypatch.setattr(migrations, "folder", lambda: folder)
    copy = tmp_path / f"store.db.schema-{len(known)}"
    for earlier in (copy, Path(f"{copy}.part")):
        earlier.write_bytes((tmp_path / "store.db").read_bytes()[:5000])

    store = SqliteStore(tmp_path / "store.db", lambda error: None)
    try:
        assert await store.generations.get("tenant", kept.generation_id) == kept.generation
        schemas = [files.examine(file).schema for file in (tmp_path / "store.db", copy)]
        assert schemas == [len(known) + 1, len(known)]
        assert copy.stat().st_mode & 0o077 == 0
    finally:
        await store.close()
