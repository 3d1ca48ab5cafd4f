"""The store on PostgreSQL beside the one on SQLite, through a whole gateway, and how long a failover takes.

It needs Debian's package postgresql. Both stores are durable at each commit, and run in turn.
"""

import asyncio
import contextlib
import statistics
import tempfile
import time
from pathlib import Path

from bench import beside, processes, replicas, submit, workers
from bench.figures import Figure, at_least, at_most, value
from bench.load import Effort
from bench.trials import servers
from hfgateway_client import AsyncClient, RetryPolicy, soul

UNDER_WAY = 2000
"""Generations that the replica has to read again before it leads."""
TOGETHER = 100


async def run(effort: Effort) -> list[Figure]:
    """Measure submissions and Get on both stores, replicas, and one of them that takes over."""
    with servers.running(pooler=False) as server:
        async with submit.scene() as sqlite, submit.scene(HFGATEWAY_STORE_URL=server.url()) as postgresql:
            figures = await beside.compared(
                ("PostgreSQL", postgresql), ("SQLite", sqlite), {"Submit": at_least(0.6), "Get": at_least(0.9)}, effort
            )
    with servers.running(pooler=False) as server:
        figures = [*figures, *await replicas.run(server.url(), effort)]
    with servers.running(pooler=False) as one, servers.running(pooler=False) as two:
        figures = [*figures, *await workers.run((one.url(), two.url()), effort)]
    taken = []
    for _ in range(effort.servers):
        with servers.running(pooler=False) as server:
            taken.append(await _failover(server.url(), UNDER_WAY if effort.rounds > 1 else TOGETHER))
    name = "kill -9 of the leader until a replica has accepted a submission"
    return [*figures, value(name, "s", statistics.median(taken), at_most(3.0))]


async def _failover(url: str, under_way: int) -> float:
    """Return the seconds from the kill of the leader to the response of a submission to a replica."""
    async with processes.running(processes.UPSTREAM) as higgsfield, contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = processes.gateway_settings(higgsfield.address, folder) | {"HFGATEWAY_STORE_URL": url}
        leader = await stack.enter_async_context(processes.running(processes.GATEWAY, settings))
        async with AsyncClient(leader.address) as client:
            turns = asyncio.Semaphore(TOGETHER)

            async def stored(number: int) -> None:
                async with turns:
                    await client.submit(soul(f"picture {number}"))

            await asyncio.gather(*(stored(number) for number in range(under_way)))
        replica = await stack.enter_async_context(processes.running(processes.GATEWAY, settings))
        await leader.kill()
        began = time.perf_counter()
        async with AsyncClient(replica.address, retry=RetryPolicy(0.02, 0.05)) as client:
            await client.submit(soul("one more"))
        return time.perf_counter() - began
