"""The audit log after `kill -9`: an entry for each stored submission, and for no other."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import grpc
import pytest

from gateway.audit import verify
from gateway.sandbox.server import Sandbox, SandboxOptions
from gateway.store.sqlite.audit import stored
from hfgateway.v1 import generation_service_pb2 as pb
from tests.durability.process import GatewayProcess, stub
from tests.support.running import soul


def submitted(store: Path) -> list[str]:
    """Return the ids of the submissions in the log, after a verification of the chain."""
    found = list(stored(store))
    verify(found)
    contents = [json.loads(entry.text) for _, entry in found]
    return sorted(content["id"] for content in contents if content["act"] == "generation.submit")


def generations(store: Path) -> list[str]:
    with closing(sqlite3.connect(store)) as connection:
        return [name for (name,) in connection.execute("SELECT id FROM generations ORDER BY id")]


async def submit(process: GatewayProcess, request: pb.SubmitGenerationRequest) -> None:
    async with grpc.aio.insecure_channel(process.address) as channel:
        await stub(channel).SubmitGeneration(request, timeout=60)


@pytest.mark.parametrize("place", ["before claim", "after claim"])
async def test_a_killed_submission_has_an_entry_if_it_is_stored(tmp_path: Path, place: str) -> None:
    store, request = tmp_path / "store.db", soul("a fox", wait_for=pb.WAIT_FOR_STORED)
    async with Sandbox(SandboxOptions(port=0)) as sandbox:
        async with GatewayProcess(tmp_path, sandbox.url, audit="on", failpoint=place) as process:
            with pytest.raises(grpc.aio.AioRpcError):
                await submit(process, request)
        assert submitted(store) == generations(store)
        assert len(generations(store)) == (place == "after claim")
        async with GatewayProcess(tmp_path, sandbox.url, audit="on") as process:
            await submit(process, request)
        assert submitted(store) == generations(store)
        assert len(generations(store)) == 1


async def test_a_kill_amid_many_submissions_leaves_one_chain(tmp_path: Path) -> None:
    answered = asyncio.Event()
    async with (
        Sandbox(SandboxOptions(port=0)) as sandbox,
        GatewayProcess(tmp_path, sandbox.url, audit="on") as process,
    ):

        async def submit_one(number: int) -> None:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await submit(process, soul(f"picture {number}", wait_for=pb.WAIT_FOR_STORED))
                if number == 20:
                    answered.set()

        tasks = [asyncio.create_task(submit_one(number)) for number in range(100)]
        async with asyncio.timeout(60):
            await answered.wait()
        await process.kill()
        await asyncio.gather(*tasks)
    assert submitted(tmp_path / "store.db") == generations(tmp_path / "store.db") != []
