"""Tenants take turns at Higgsfield from the first submission on, before the gateway knows how much it may send."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.running import soul
from tests.support.timeline import Timed, run_timed
from tests.support.transports import Transport

RUNS_FOR = 8.0
BY_ANOTHER = 10
"""Generations that another tenant has submitted before."""


async def stored(caller: Transport, prompt: str) -> str:
    answer = await caller.call("SubmitGeneration", soul(prompt, wait_for=pb.WAIT_FOR_STORED))
    return str(answer.generation.id)


async def waited(running: Timed) -> float:
    """Submit ten generations of one tenant, then one of another; return how long it took until that one ended."""
    first = running.caller("grpc", await running.key("first"))
    second = running.caller("grpc", await running.key("second"))
    await asyncio.gather(*(stored(first, f"fox {number}") for number in range(BY_ANOTHER)))
    await running.advance(1.0)
    owl = await stored(second, "an owl")
    return await running.advance(10 * RUNS_FOR, until=lambda: owl not in running.live())


@pytest.mark.parametrize("mode", ["queue", "legacy"])
@pytest.mark.parametrize(("account", "configured"), [(2, 0), (2, 2), (4, 0), (4, 4)])
async def test_a_first_generation_does_not_wait_behind_ten_of_another_tenant(
    tmp_path: Path, mode: str, account: int, configured: int
) -> None:
    """It waits for one end, whether the account's limit is configured or not, and then runs."""
    async with run_timed(
        tmp_path, AUTH="keys", UPSTREAM_CONCURRENCY=configured, concurrency_limit=account, concurrency_mode=mode,
        queue_seconds=0.5, image_seconds=RUNS_FOR,
    ) as running:  # fmt: skip
        assert await waited(running) <= 2 * (RUNS_FOR + 2.0)
        await running.advance(10 * BY_ANOTHER * RUNS_FOR, until=lambda: not running.live())
        assert len(running.ledger.charges) == BY_ANOTHER + 1


async def test_an_account_that_may_run_many_is_used_within_seconds(tmp_path: Path) -> None:
    async with run_timed(
        tmp_path, AUTH="keys", concurrency_limit=50, concurrency_mode="queue", queue_seconds=0.5, image_seconds=60.0
    ) as running:
        first = running.caller("grpc", await running.key("first"))
        await running.key("second")
        await asyncio.gather(*(stored(first, f"fox {number}") for number in range(30)))
        assert await running.advance(60.0, until=lambda: len(running.ledger.submissions) == 30) <= 30.0


async def test_a_gateway_with_one_tenant_sends_all_at_once(tmp_path: Path) -> None:
    async with run_timed(tmp_path, AUTH="keys", concurrency_limit=50, image_seconds=60.0) as running:
        only = running.caller("grpc", await running.key("only"))
        await asyncio.gather(*(stored(only, f"fox {number}") for number in range(30)))
        await running.wait_until_idle()
        assert len(running.ledger.submissions) == 30
