"""Webhooks of adopted requests: they have no token of the gateway, and are recognized by the request that they name."""

from __future__ import annotations

import json
import sys
from typing import Any
from uuid import uuid4

import pytest

from gateway.higgsfield import jobsets, webhooks
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


async def test_a_body_without_a_signature_is_not_parsed_where_webhooks_are_signed(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone can send such a body, and it can be large."""
    running = await start(WEBHOOK_SECRET=SECRET)
    await adopted(running, await request_elsewhere(running, "a fox"))
    parsed: list[bytes] = []
    for module, name in ((jobsets, "parse_object"), (webhooks, "parse_object")):
        monkeypatch.setattr(module, name, parsed.append)
    assert (await post(hook(running), b'{"request_id": 1}')).status == 404
    assert parsed == []


@pytest.mark.parametrize("part", [b"1", b"1.5e3", b"{}", b'{"url": "https://media.example.invalid/1.png"}'])
async def test_looking_for_the_request_in_a_large_body_is_cheap(start: Start, part: bytes) -> None:
    """Without signatures anyone can send such a body, too: it must not stop the gateway for long."""
    running = await start()
    many = b",".join([part] * (200_000 // (len(part) + 1)))
    body = webhook_body(str(uuid4()), images=[]).replace(b"[]", b"[%s]" % many)
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        assert (await post(hook(running), body)).status == 404
    finally:
        sys.setprofile(None)
    assert calls < 20_000


async def test_only_adopted_requests_are_recognized_by_their_id(start: Start) -> None:
    running = await start()
    submitted = await running.submit(soul("a fox"))
    for request_id in (submitted.upstream.request_id, str(uuid4())):
        assert (await post(hook(running), webhook_body(request_id))).status == 404
    assert running.ledger.status_calls.total() == 0
