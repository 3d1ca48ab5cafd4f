"""Webhooks of adopted requests: they have no token of the gateway, and are recognized by the request that they name."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from hfgateway.v1 import generation_input_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.elsewhere import job_set_elsewhere, request_elsewhere
from tests.support.running import Generation, Running, name_of, soul
from tests.support.webhooks import SECRET, post, signed, webhook_body, webhook_outcomes
from tests.webhooks.conftest import Start

V1 = generation_input_pb2.API_VERSION_V1


async def adopted(running: Running, request_id: str, **fields: Any) -> Generation:
    request = pb.AdoptGenerationRequest(upstream_request_id=request_id, **fields)
    answer: pb.AdoptGenerationResponse = await running.grpc.call("AdoptGeneration", request)
    return answer.generation


def hook(running: Running, token: str = "elsewhere") -> str:
    return f"{running.gateway.http_address}/webhooks/higgsfield/{token}"


@pytest.mark.parametrize(
    ("webhook_settings", "asked"),
    [({}, 1), ({"webhook_secret": SECRET, "WEBHOOK_SECRET": SECRET}, 0)],
    ids=["unsigned", "signed"],
)
async def test_the_webhook_of_an_adopted_request_reports_its_end(
    start: Start, webhook_settings: dict[str, Any], asked: int
) -> None:
    running = await start(**webhook_settings)
    found = await adopted(running, await request_elsewhere(running, "a fox", webhook=hook(running)))
    before = running.ledger.status_calls.total()
    done = await running.finish(found.id)
    assert (name_of(done), len(done.outputs)) == ("COMPLETED", 1)
    assert running.ledger.status_calls.total() == before + asked
    assert await webhook_outcomes(running, 1) == ["200"]
    # Its times are not known, so nothing is learned from them, nor that webhooks of submissions arrive.
    assert not running.database.rows("read_durations")
    assert running.gateway._core.follower._schedule._reliability.arrive is None


async def test_the_webhook_of_an_adopted_job_set_causes_a_status_call(start: Start) -> None:
    running = await start()
    request_id = await job_set_elsewhere(running, "a fox")
    found = await adopted(running, request_id, api_version=V1)
    running.clock.advance(60)
    assert (await post(hook(running), json.dumps({"id": request_id, "jobs": []}).encode())).status == 200
    assert name_of(await running.until(found.id, "COMPLETED")) == "COMPLETED"


async def test_a_webhook_without_proof_is_refused_where_webhooks_are_signed(start: Start) -> None:
    running = await start(WEBHOOK_SECRET=SECRET)
    of_v2, of_v1 = await request_elsewhere(running, "a fox"), await job_set_elsewhere(running, "a hen")
    found = [await adopted(running, of_v2), await adopted(running, of_v1, api_version=V1)]
    before = running.ledger.status_calls.total()
    bodies = [webhook_body(of_v2), json.dumps({"id": of_v1, "jobs": []}).encode()]
    assert [(await post(hook(running), body)).status for body in bodies] == [404, 404]
    assert [name_of(await running.read(one.id)) for one in found] == ["QUEUED", "QUEUED"]
    assert running.ledger.status_calls.total() == before
    assert (await post(hook(running), bodies[0], signed(bodies[0]))).status == 200
    await running.until(found[0].id, "COMPLETED")


async def test_only_adopted_requests_are_recognized_by_their_id(start: Start) -> None:
    running = await start()
    submitted = await running.submit(soul("a fox"))
    for request_id in (submitted.upstream.request_id, str(uuid4())):
        assert (await post(hook(running), webhook_body(request_id))).status == 404
    assert running.ledger.status_calls.total() == 0
