"""Restarts under load: the shipped client sees no error, every change once, and one charge for each generation."""

import asyncio
import sys
from pathlib import Path

from gateway.sandbox.server import Sandbox, SandboxOptions
from hfgateway_client import AsyncClient, Generation, soul, state_name
from tests.durability.process import GatewayProcess
from tests.support.addresses import free_address
from tests.support.running import eventually

USERS, EACH, RESTARTS = 8, 4, 3


async def user(client: AsyncClient, number: int, seen: dict[str, list[int]]) -> None:
    """Generate images one after the other, and watch each to its end."""
    for turn in range(EACH):

        def progress(generation: Generation) -> None:
            seen.setdefault(generation.id, []).append(generation.revision)

        picture = soul(f"picture {number}.{turn}")
        done = await client.generate(picture, on_progress=progress, forecast_interval=None)
        assert state_name(done) == "COMPLETED"


async def test_a_client_sees_no_error_during_restarts_under_load(tmp_path: Path) -> None:
    seen: dict[str, list[int]] = {}
    async with Sandbox(SandboxOptions(port=0, queue_seconds=0.2, image_seconds=0.6)) as sandbox:
        gateway = GatewayProcess(tmp_path, sandbox.url, launcher=(sys.executable,), grpc_address=free_address())
        async with gateway, AsyncClient(gateway.address) as client, asyncio.TaskGroup() as users:
            working = [users.create_task(user(client, number, seen)) for number in range(USERS)]
            for restart in range(1, RESTARTS + 1):
                enough = restart * USERS
                await eventually(lambda enough=enough: sandbox.ledger.summary()["charge_count"] >= enough)  # type: ignore[misc]
                assert await gateway.terminate() == 0
                assert not all(task.done() for task in working)
                await gateway.start()
        summary = sandbox.ledger.summary()
    assert len(seen) == USERS * EACH
    assert summary["charge_count"] == USERS * EACH
    assert summary["double_charged_prompts"] == {}
    for revisions in seen.values():
        assert revisions == list(range(revisions[0], revisions[-1] + 1))
