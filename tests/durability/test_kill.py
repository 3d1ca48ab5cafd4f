"""Kill the gateway at each failpoint and restart it: generations are charged once, not lost, and correctly reported."""

from __future__ import annotations

import asyncio
import traceback
from pathlib import Path
from typing import Any

import pytest

from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox, SandboxOptions
from hfgateway.v1 import generation_pb2, generation_service_pb2
from tests.durability.lives import live
from tests.durability.process import GatewayProcess, stub
from tests.durability.scenarios import SCENARIOS
from tests.support.running import eventually

AT_ONCE = 4
"""Processes that start or work at the same time, without those that only wait."""
LIVES = {f"{place} ({name})": (scenario, place) for name, scenario in SCENARIOS.items() for place in scenario.places}
Outcomes = dict[str, BaseException | None]


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """Run all selected scenarios concurrently, because some wait for half a minute."""
    items: list[Any] = [item for item in request.session.items if "outcomes" in getattr(item, "fixturenames", ())]
    return asyncio.run(lived([item.callspec.params["name"] for item in items], tmp_path_factory.mktemp("lives")))


async def lived(names: list[str], folder: Path) -> Outcomes:
    turns = asyncio.Semaphore(AT_ONCE)
    lives = (live(*LIVES[name], folder / str(number), turns) for number, name in enumerate(names))
    return dict(zip(names, await asyncio.gather(*lives, return_exceptions=True), strict=True))


@pytest.mark.timeout(1200)  # the first test waits for all scenarios
@pytest.mark.parametrize("name", LIVES)
def test_a_killed_gateway_charges_once_and_finishes(name: str, outcomes: Outcomes) -> None:
    failure = outcomes[name]
    assert failure is None, "".join(traceback.format_exception(failure))


# -- Kills without a failpoint -----------------------------------------------------------------------------------------


def submission(key: str) -> generation_service_pb2.SubmitGenerationRequest:
    request = generation_service_pb2.SubmitGenerationRequest(idempotency_key=key)
    request.input.soul.prompt = f"a picture for {key}"
    return request


def options() -> SandboxOptions:
    return SandboxOptions(port=0, queue_seconds=0.05, image_seconds=0.05)


async def test_a_drain_waits_for_the_response_of_a_post(tmp_path: Path) -> None:
    async with Sandbox(options()) as sandbox:
        sandbox.state.plan.add([Fault.parse({"on": "submit", "delay": 1.0})])
        async with GatewayProcess(tmp_path, sandbox.url) as gateway, gateway.channel() as channel:
            call = stub(channel).SubmitGeneration(submission("drained"))
            await eventually(lambda: bool(sandbox.ledger.summary()["submissions_seen"]))
            assert await gateway.terminate() == 0
            answer = await call
            assert answer.generation.state in {
                generation_pb2.GENERATION_STATE_PENDING, generation_pb2.GENERATION_STATE_QUEUED,
            }  # fmt: skip
        async with GatewayProcess(tmp_path, sandbox.url) as gateway, gateway.channel() as channel:
            found = await stub(channel).GetGeneration(
                generation_service_pb2.GetGenerationRequest(id=answer.generation.id)
            )
            assert found.generation.upstream.request_id
        assert sandbox.ledger.summary()["submissions_seen"] == 1
