"""Two gateways on one PostgreSQL database: one serves, the other stands by and takes over."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.sandbox.clock import ManualClock
from gateway.sandbox.server import Sandbox, SandboxOptions
from hfgateway_client import AsyncClient, RetryPolicy, soul
from tests.app.command import environment
from tests.durability.process import PATIENCE, READY
from tests.support import forked
from tests.support.addresses import free_address

pytestmark = pytest.mark.toolchain("postgres")
STANDBY = re.compile(r"hfgateway: standby on HTTP (\S+), the active gateway is ([^\"\n]+)")


class Replica:
    """A gateway process, which may be active or stand by."""

    def __init__(self, process: forked.ForkedProcess) -> None:
        self.process = process

    async def line(self, form: re.Pattern[str]) -> re.Match[str]:
        """Return the next line, which must have this form."""
        async with asyncio.timeout(PATIENCE):
            line = (await self.process.stdout.readline()).decode()
        found = form.search(line)
        assert found, line
        return found

    async def end(self) -> int:
        """Return the exit code, once it has ended."""
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


@asynccontextmanager
async def replica(folder: Path, settings: Mapping[str, str]) -> AsyncIterator[Replica]:
    """Start a gateway; kill it at the end."""
    process = await forked.start("serve", environment=environment(folder, settings), log=folder / "log")
    try:
        yield Replica(process)
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxOptions(port=0, queue_seconds=1.0, image_seconds=1.0), ManualClock()) as sandbox:
        yield sandbox


@pytest.fixture
def settings(sandbox: Sandbox, emptied: str) -> dict[str, str]:
    return {
        "HFGATEWAY_UPSTREAM_URL": sandbox.url,
        "HFGATEWAY_STORE_URL": emptied,
        "HFGATEWAY_GRPC_ADDRESS": free_address(),
        "HFGATEWAY_POLL_MIN": "0.05",
        "HFGATEWAY_POLL_MAX": "0.05",
    }


async def fetched(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize("end", ["kill", "terminate"])
async def test_a_standby_takes_over_and_clients_see_no_error(
    end: str, tmp_path: Path, sandbox: Sandbox, settings: dict[str, str]
) -> None:
    """Both have the same address, as behind a load balancer that sends calls to the one that is ready."""
    async with (
        replica(tmp_path, settings) as active,
        AsyncClient(settings["HFGATEWAY_GRPC_ADDRESS"], retry=RetryPolicy(0.05, 0.25)) as client,
    ):
        await active.line(READY)
        submitted = await client.submit(soul("a fox"), idempotency_key="first")
        async with replica(tmp_path, settings) as standby:
            waiting = await standby.line(STANDBY)
            assert waiting[2].endswith(f"process {active.process.pid}")
            assert await fetched(f"{waiting[1]}/healthz") == (200, "ok\n")
            status, text = await fetched(f"{waiting[1]}/readyz")
            assert (status, text) == (503, f"standby: the active gateway is {waiting[2]}\n")

            watched = asyncio.create_task(_to_the_end(client, submitted.generation.id))
            getattr(active.process, end)()
            assert await active.end() == (-9 if end == "kill" else 0)
            await standby.line(READY)
            sandbox.state.clock.advance(5.0)

            seen = await watched
            assert [generation.revision for generation in seen] == list(range(1, len(seen) + 1))
            assert seen[-1].done
            again = await client.submit(soul("a fox"), idempotency_key="first")
            assert (again.generation.id, again.replayed) == (submitted.generation.id, True)
            assert len(sandbox.ledger.charges) == 1


async def _to_the_end(client: AsyncClient, generation_id: str) -> list[Any]:
    async with asyncio.timeout(PATIENCE):
        return [generation async for generation in client.watch(generation_id)]


async def test_a_standby_that_is_stopped_leaves_the_active_gateway_alone(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    async with replica(tmp_path, settings) as active:
        ready = await active.line(READY)
        async with replica(tmp_path, settings) as standby:
            await standby.line(STANDBY)
            standby.process.terminate()
            assert await standby.end() == 0
        assert await fetched(f"{ready[2]}/readyz") == (200, "ready\n")
