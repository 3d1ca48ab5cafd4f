"""Canceled calls and deadlines: they end the call and never the generation."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from gateway.generations.inputs import SoulInput
from gateway.generations.service import Submission
from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.running import Running, eventually, name_of, soul
from tests.support.transports import RpcFailure


@contextmanager
def held(store: Path) -> Iterator[None]:
    """Lock the store like another program would: writes wait until the lock is released."""
    with closing(sqlite3.connect(store, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


async def test_a_submit_canceled_during_its_commit_loses_nothing(running: Running) -> None:
    core = running.gateway._core
    admission = core.service._admissions.of(core.upstream.default.account)
    with held(running.store_path):
        call = asyncio.create_task(running.submit(soul("gone", "gone")))
        await eventually(lambda: admission.running == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await running.calls_open("SubmitGeneration", 0)
    again = await running.grpc.call("SubmitGeneration", soul("gone", "gone", wait_for=pb.WAIT_FOR_ACCEPTED))
    assert name_of(again.generation) == "QUEUED"
    assert running.ledger.summary()["charge_count"] == 1


async def test_a_submit_canceled_during_its_post_loses_nothing(running: Running) -> None:
    with running.held(on="submit"):
        call = asyncio.create_task(running.submit(soul("gone", "gone")))
        await eventually(lambda: running.ledger.summary()["submissions_seen"] == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await running.calls_open("SubmitGeneration", 0)
    found = await running.grpc.call("ListGenerations", pb.ListGenerationsRequest(filter={"idempotency_key": "gone"}))
    await running.until(found.generations[0].id, "QUEUED")
    assert running.ledger.summary()["charge_count"] == 1


async def assert_all_whole(running: Running, keys: list[str]) -> None:
    """Fail unless each key has one generation, accepted after one POST, and no slot is leaked."""
    for key in keys:
        again = await running.grpc.call("SubmitGeneration", soul(key, key, wait_for=pb.WAIT_FOR_ACCEPTED))
        assert name_of(again.generation) == "QUEUED"
    summary = running.ledger.summary()
    assert summary["submissions_seen"] == summary["charge_count"] == len(keys)
    assert sum(admission.running for admission in running.gateway._core.admissions.by_name.values()) == len(keys)


async def test_a_deadline_at_any_moment_leaves_no_partial_submission(running: Running) -> None:
    running.plan(on="submit", delay=0.02, times=40)
    keys = [f"key-{number}" for number in range(40)]

    async def leaves(number: int) -> str:
        client = running.transports["grpc" if number % 2 else "connect-json"]
        # Over gRPC, the first deadlines expire before anything can be stored, even on a fast machine.
        seconds = 0.0001 * number if number % 2 and number < 20 else 0.001 * (number + 1)
        try:
            await client.call("SubmitGeneration", soul(keys[number], keys[number]), timeout=seconds)
        except RpcFailure as ended:
            return ended.code
        return "OK"

    ended = [await leaves(number) for number in range(40)]
    assert set(ended) <= {"OK", "DEADLINE_EXCEEDED"}
    assert "DEADLINE_EXCEEDED" in ended
    await running.calls_open("SubmitGeneration", 0)
    await assert_all_whole(running, keys)


async def test_a_cancel_at_any_step_leaves_no_partial_submission(running: Running) -> None:
    service = running.gateway._core.service
    keys = [f"key-{number}" for number in range(30)]
    for steps, key in enumerate(keys):
        wanted = Submission(SoulInput(key), soul(key, key).input.SerializeToString(), key, {})
        call = asyncio.create_task(service.submit("default", wanted))
        for _ in range(steps):
            # A thread makes the commit: every few turns of the loop, give it some time.
            await asyncio.sleep(0.0005 if _ % 4 == 3 else 0)
        call.cancel()
        with suppress(asyncio.CancelledError):
            await call
    await assert_all_whole(running, keys)
