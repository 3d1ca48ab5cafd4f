"""grpcurl and ghz against the gRPC port: health, reflection, calls and load."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.toolbox import program, run
from tests.support.running import Running, soul
from tests.support.running import run as running_gateway

pytestmark = [pytest.mark.toolchain("go"), pytest.mark.timeout(900)]
SERVICE = "hfgateway.v1.GenerationService"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path) as started:
        yield started


async def grpcurl(running: Running, *arguments: str) -> str:
    tool = await asyncio.to_thread(program, "grpcurl")
    return await asyncio.to_thread(
        run, tool, "-plaintext", *arguments[:-1], running.gateway.grpc_address, arguments[-1]
    )


async def test_health_is_served(running: Running) -> None:
    for service in ("", SERVICE, "hfgateway.v1.UploadService", "hfgateway.v1.TokenService"):
        data = json.dumps({"service": service})
        answer = await grpcurl(running, "-d", data, "grpc.health.v1.Health/Check")
        assert json.loads(answer) == {"status": "SERVING"}


async def test_reflection_describes_the_public_services(running: Running) -> None:
    listed = (await grpcurl(running, "list")).split()
    assert {SERVICE, "hfgateway.v1.UploadService", "hfgateway.v1.TokenService", "grpc.health.v1.Health"} <= set(listed)
    assert "hfgateway.admin.v1.AdminService" not in listed
    tool = await asyncio.to_thread(program, "grpcurl")
    described = await asyncio.to_thread(run, tool, "-plaintext", running.gateway.grpc_address, "describe", SERVICE)
    assert "rpc SubmitGeneration ( .hfgateway.v1.SubmitGenerationRequest )" in described
    method = f"{SERVICE}.SubmitGeneration"
    described = await asyncio.to_thread(run, tool, "-plaintext", running.gateway.grpc_address, "describe", method)
    assert "returns ( .hfgateway.v1.SubmitGenerationResponse )" in described


async def test_a_generation_is_submitted_and_watched(running: Running) -> None:
    request = {"input": {"soul": {"prompt": "a fox"}}, "idempotencyKey": "order-7"}
    submitted = json.loads(await grpcurl(running, "-d", json.dumps(request), f"{SERVICE}/SubmitGeneration"))
    running.clock.advance(60)
    watched = await grpcurl(
        running, "-d", json.dumps({"id": submitted["generation"]["id"]}), f"{SERVICE}/WatchGeneration"
    )
    assert '"state": "GENERATION_STATE_COMPLETED"' in watched


async def test_ghz_makes_concurrent_calls(running: Running) -> None:
    generation = await running.submit(soul("a fox"))
    report = await asyncio.to_thread(
        run, await asyncio.to_thread(program, "ghz"), "--insecure", "--call", f"{SERVICE}/GetGeneration",
        "--data", json.dumps({"id": generation.id}), "--total", "500", "--concurrency", "20", "--format", "json",
        running.gateway.grpc_address,
    )  # fmt: skip
    assert json.loads(report)["statusCodeDistribution"] == {"OK": 500}
