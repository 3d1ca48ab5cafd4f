"""A proxy that forwards single calls: when its gateway dies, it ends a stream without a status."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.sandbox.clock import ManualClock
from gateway.sandbox.server import Sandbox, SandboxOptions
from hfgateway.v1.generation_pb2 import Generation
from hfgateway_client import AsyncClient, RetryPolicy, soul
from tests.durability.process import WAIT_TIMEOUT, GatewayProcess
from tests.support.addresses import free_address

pytestmark = pytest.mark.toolchain("haproxy")

CONFIGURATION = """
defaults
    mode http
    timeout connect 2s
    timeout client 100s
    timeout server 100s
listen calls
    bind {here} proto h2
    server gateway {gateway} proto h2
"""


@asynccontextmanager
async def proxy(folder: Path, here: str, gateway: str) -> AsyncIterator[None]:
    """Forward the calls to an address to the gateway's."""
    written = folder / "haproxy.cfg"
    written.write_text(CONFIGURATION.format(here=here, gateway=gateway))
    process = await asyncio.create_subprocess_exec("haproxy", "-db", "-f", written)
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def test_generate_survives_the_death_of_the_gateway_behind_a_proxy(tmp_path: Path) -> None:
    clock = ManualClock()
    here, behind = free_address(), free_address()
    broken: list[str] = []
    watched = asyncio.Event()

    def seen(generation: Generation) -> None:
        if generation.accept_time.seconds:
            watched.set()

    async with (
        asyncio.timeout(WAIT_TIMEOUT),
        Sandbox(SandboxOptions(port=0), clock=clock) as sandbox,
        GatewayProcess(tmp_path, sandbox.url, grpc_address=behind) as gateway,
        proxy(tmp_path, here, behind),
        AsyncClient(
            here, retry=RetryPolicy(0.05, 0.2), on_retry=lambda error, _: broken.append(str(error.code))
        ) as client,
        asyncio.TaskGroup() as tasks,
    ):
        generating = tasks.create_task(client.generate(soul("a fox"), on_progress=seen))
        await watched.wait()
        await gateway.kill()
        await gateway.start()
        clock.advance(60)
        generation = await generating

    assert generation.outputs
    assert broken
    assert len(sandbox.ledger.charges) == 1
