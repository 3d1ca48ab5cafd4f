"""A resumed watch makes progress on every connection, however short."""

from __future__ import annotations

import asyncio

from harness.proxy import Proxy
from hfgateway_client import AsyncClient, CaughtUp, GenerationChanged
from hfgateway_client.retry import RetryPolicy
from tests.support.running import WAIT_TIMEOUT, Running, soul

BACKLOG = 30
ALLOWANCE = 3000
"""Bytes: room for a few messages."""
AT_ONCE = RetryPolicy(first_delay=0.01, max_delay=0.01)


async def with_many_changes(running: Running) -> str:
    """Return the id of a generation with many changes."""
    stored = await running.submit(soul("a fox"))
    for number in range(BACKLOG):
        running.plan(on="status", patch={"status": f"step {number}"})
    running.plan(on="status", patch={"status": "completed"}, times=100)
    await running.until(stored.id, "COMPLETED")
    return stored.id


async def test_a_watch_of_many_finishes_a_backlog_over_short_connections(running: Running, proxy: Proxy) -> None:
    async with AsyncClient(running.gateway.grpc_address) as client:
        begun = await anext(client.watch_many())
    await with_many_changes(running)
    proxy.allowance = ALLOWANCE
    revisions = []
    async with AsyncClient(proxy.address, retry=AT_ONCE) as client, asyncio.timeout(WAIT_TIMEOUT):
        async for event in client.watch_many(resume_token=begun.resume_token):
            match event:
                case GenerationChanged(generation=generation):
                    revisions.append(generation.revision)
                case CaughtUp():
                    break
    assert revisions == list(range(1, BACKLOG + 4))


async def test_a_watch_of_one_finishes_a_history_over_short_connections(running: Running, proxy: Proxy) -> None:
    name = await with_many_changes(running)
    proxy.allowance = ALLOWANCE
    async with AsyncClient(proxy.address, retry=AT_ONCE) as client, asyncio.timeout(WAIT_TIMEOUT):
        revisions = [generation.revision async for generation in client.watch(name)]
    assert revisions == list(range(1, BACKLOG + 4))
