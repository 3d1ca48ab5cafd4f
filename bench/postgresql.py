"""The store on PostgreSQL beside the one on SQLite, through a whole gateway, and how long a failover takes.

It needs Debian's package postgresql. Both stores are durable at each commit, and run in turn.
"""

import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from bench import beside, processes, submit
from bench.figures import Figure, at_least, at_most, value
from bench.load import Effort
from bench.trials import servers
from hfgateway_client import AsyncClient, RetryPolicy, soul
from hfgateway_client.errors import GatewayError

UNDER_WAY = 2000
"""Generations that the standby has to read before it serves."""
TOGETHER = 100


async def run(effort: Effort) -> list[Figure]:
    """Measure submissions and Get on both stores, and a standby that takes over."""
    with servers.running(pooler=False) as server:
        async with submit.scene() as sqlite, submit.scene(HFGATEWAY_STORE_URL=server.url()) as postgresql:
            figures = await beside.compared(
                ("PostgreSQL", postgresql), ("SQLite", sqlite), {"Submit": at_least(0.6), "Get": at_least(0.9)}, effort
            )
    taken = []
    for _ in range(effort.servers):
        with servers.running(pooler=False) as server:
            taken.append(await _failover(server.url(), UNDER_WAY if effort.rounds > 1 else TOGETHER))
    first_get, first_submission = zip(*taken, strict=True)
    name = "kill -9 of the active gateway until the first"
    return [
        *figures,
        value(f"{name} Get of its standby", "s", statistics.median(first_get), at_most(3.0)),
        value(f"{name} submission to it", "s", statistics.median(first_submission), at_most(3.0)),
    ]


async def _failover(url: str, under_way: int) -> tuple[float, float]:
    """Return the seconds from the kill to the first response of Get and to that of a submission.

    Both gateways have the same gRPC address, as behind a load balancer that sends calls to the one that is ready.
    """
    address = processes.free_address()
    async with _upstream_and_folder() as (settings, stack):
        settings |= {"HFGATEWAY_STORE_URL": url, "HFGATEWAY_GRPC_ADDRESS": address}
        active = await stack.enter_async_context(processes.running(processes.GATEWAY, settings))
        async with AsyncClient(address) as client:
            turns = asyncio.Semaphore(TOGETHER)

            async def stored(number: int) -> str:
                async with turns:
                    return (await client.submit(soul(f"picture {number}"))).generation.id

            known = await asyncio.gather(*(stored(number) for number in range(under_way)))
        standby = await stack.enter_async_context(processes.spawned(processes.GATEWAY, settings))
        line = await standby.line()
        assert "standby" in line, line
        await active.kill()
        began = time.perf_counter()
        async with AsyncClient(address, timeout=5.0, retry=RetryPolicy(0.02, 0.05)) as client:
            while True:
                with contextlib.suppress(GatewayError):
                    await client.get(known[0])
                    break
            answered = time.perf_counter() - began
            await client.submit(soul("one more"))
            return answered, time.perf_counter() - began


@contextlib.asynccontextmanager
async def _upstream_and_folder() -> AsyncIterator[tuple[dict[str, str], contextlib.AsyncExitStack]]:
    async with processes.running(processes.UPSTREAM) as higgsfield, contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        yield processes.gateway_settings(higgsfield.address, Path(folder)), stack
