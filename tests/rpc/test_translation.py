"""What Higgsfield says beyond the typed fields reaches watches, lists and the next process: docs/translation.md."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from hfgateway.v1 import error_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1 import token_service_pb2 as token_pb
from tests.rpc.conftest import Start
from tests.support.running import WAIT_TIMEOUT, Generation, Running, public_url, sized, soul
from tests.support.transports import RpcFailure, Transport
from tests.support.webhooks import SECRET, path_of, post, request_of, signed, webhook_body

IMAGES = [{"url": "https://files.example/1.png", "width": 64}, {"url": "https://files.example/2.png"}]
ODD: dict[str, Any] = {
    "status": "completed", "images": IMAGES, "error": {"code": 7, "detail": ["one", None]}, "seed": 2**60 + 1, "p": 0.1,
}  # fmt: skip
EXTRA = {
    "images": [{"width": 64.0}, {}], "error": {"code": 7.0, "detail": ["one", None]}, "seed": "1152921504606846977",
    "p": 0.1,
}  # fmt: skip


def extra(generation: Generation) -> dict[str, Any]:
    found: dict[str, Any] = MessageToDict(generation.upstream.other_results)
    return found


async def test_other_values_are_read_watched_listed_and_kept_by_the_next_process(
    running: Running, client: Transport
) -> None:
    stored = await running.submit(soul("a fox"))
    running.plan(on="status", patch=ODD, times=1000)
    ended = await running.until(stored.id, "COMPLETED")
    assert [output.url for output in ended.outputs] == [image["url"] for image in IMAGES]
    assert extra(ended) == EXTRA
    assert extra((await client.call("GetGeneration", pb.GetGenerationRequest(id=stored.id))).generation) == EXTRA
    listed = await client.call("ListGenerations", pb.ListGenerationsRequest())
    assert extra(listed.generations[0]) == EXTRA
    await running.stop_gateway()
    await running.start_gateway()
    assert [extra(seen) async for seen in running.history(stored.id)][-1] == EXTRA
    assert extra(await running.get(stored.id)) == EXTRA


async def test_a_value_that_appears_while_it_runs_makes_a_revision(running: Running) -> None:
    stored = await running.submit(soul("a fox"))
    running.plan(on="status", patch={"progress": 0.25}, times=1)
    running.plan(on="status", patch={"progress": 0.5}, times=1000)
    seen = []
    async with asyncio.timeout(WAIT_TIMEOUT):
        async for generation in running.history(stored.id):
            seen.append((generation.revision, extra(generation).get("progress")))
            if seen[-1][1] == 0.5:
                break
    assert [revision for revision, _ in seen] == list(range(1, len(seen) + 1))
    assert [progress for _, progress in seen if progress] == [0.25, 0.5]


@pytest.mark.parametrize("state", ["nsfw", "canceled"])
async def test_an_error_is_kept_in_every_state(running: Running, state: str) -> None:
    stored = await running.submit(soul("a fox"))
    running.plan(on="status", patch={"status": state, "error": "the second image"}, times=1000)
    ended = await running.until(stored.id, state.upper())
    assert extra(ended) == {"error": "the second image"}


async def test_a_signed_webhook_is_kept_in_its_shape(start: Start) -> None:
    running = await start(webhook_secret=SECRET, WEBHOOK_SECRET=SECRET, POLL_MIN=30, POLL_MAX=30, **public_url())
    stored = await running.submit(soul("a fox"))
    payload = {"video": {"url": "https://files.example/1.mp4", "fps": 25}, "status": "done"}
    body = webhook_body(request_of(running, "a fox"), error=None, payload=payload, cost={"credits": "0.050"})
    assert (await post(path_of(running, "a fox"), body, signed(body))).status == 200
    ended = await running.until(stored.id, "COMPLETED")
    assert extra(ended) == {"payload": {"video": {"fps": 25.0}, "status": "done"}, "cost": {"credits": "0.050"}}


async def test_the_token_of_a_webhook_url_is_removed_and_no_value_is_logged(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    running = await start(**public_url())
    stored = await running.submit(soul("a fox"))
    url = path_of(running, "a fox")
    signed_url = "https://files.example/a.png?X-Amz-Signature=canary"
    echo = {"hook": url, "webhook": {"url": url, "secret": "canary"}, "error": f"no file at {signed_url}"}
    running.plan(on="status", patch={"status": "failed", **echo, "key": "Key sandbox:sandbox"}, times=1000)
    ended = await running.until(stored.id, "FAILED")
    token = url.rpartition("/")[2]
    hidden = url.replace(token, "[removed]")
    assert extra(ended) == {
        "hook": hidden, "webhook": {"url": hidden, "secret": "[removed]"}, "error": f"no file at {signed_url}",
        "key": "Key [removed]",
    }  # fmt: skip
    assert "canary" not in ended.failure.message
    assert "canary" not in "\n".join(str(record.__dict__) for record in caplog.records)


async def test_the_used_input_is_returned_to_those_who_may_see_the_input(running: Running, client: Transport) -> None:
    stored = await running.submit(sized("a fox", 1))
    running.plan(on="status", patch={"input_params": {"prompt": "a red fox", "seed": 38459}}, times=1000)
    ended = await running.finish(stored.id)
    assert not ended.HasField("used_input")  # a watch without include_input
    assert "red fox" not in str(ended)
    used = {"prompt": "a red fox", "seed": 38459.0}
    whole = (await client.call("GetGeneration", pb.GetGenerationRequest(id=stored.id))).generation
    assert MessageToDict(whole.used_input) == used
    assert whole.input.soul.prompt == "a fox"
    for include in (False, True):
        listed = await client.call("ListGenerations", pb.ListGenerationsRequest(include_input=include))
        assert listed.generations[0].HasField("used_input") is include
    made = await running.grpc.call(
        "CreateWatchToken", token_pb.CreateWatchTokenRequest(filter=pb.GenerationFilter(ids=[stored.id]))
    )
    page = running.caller("grpc", made.token)
    seen = (await page.call("GetGeneration", pb.GetGenerationRequest(id=stored.id))).generation
    assert not seen.HasField("used_input")
    await running.stop_gateway()
    await running.start_gateway()
    assert MessageToDict((await running.get(stored.id)).used_input) == used


async def test_at_most_64_kib_are_kept_and_the_rest_is_named(running: Running) -> None:
    stored = await running.submit(soul("a fox"))
    large = {"text": "x" * 70_000, "log": ["y" * 1000] * 60, "seed": 7}
    running.plan(on="status", patch={"status": "completed", **large}, times=1000)
    ended = await running.until(stored.id, "COMPLETED")
    found = extra(ended)
    assert found.pop("[left out]") == {"text": 70_011.0, "log": 60_189.0}
    assert found["seed"] == 7.0


@pytest.mark.parametrize("member", [5, "text", {"x" * 50_000: 1}], ids=["number", "text", "object"])
async def test_a_member_with_the_name_of_what_is_left_out_is_bounded(running: Running, member: object) -> None:
    stored = await running.submit(soul("a fox"))
    running.plan(on="status", patch={"status": "completed", "text": "x" * 70_000, "[left out]": member}, times=1000)
    ended = await running.until(stored.id, "COMPLETED")
    assert extra(ended)["[left out]"]["text"] == 70_011.0
    assert ended.upstream.other_results.ByteSize() < 1_000


async def test_what_was_left_out_of_a_refusal_is_named_in_part_in_the_error(running: Running) -> None:
    body = {"detail": "no"} | {f"{number} {'x' * 60}": "y" * 3000 for number in range(100)}
    running.plan(on="submit", status=422, body=body)
    with pytest.raises(RpcFailure) as raised:
        await running.submit(soul("a fox"))
    found = MessageToDict(raised.value.failure.upstream_response)
    assert found["detail"] == "no"
    assert found["[left out]"]


async def test_a_refusal_is_returned_with_all_its_members(running: Running, client: Transport) -> None:
    item = {"type": "missing", "loc": ["body", "prompt"], "msg": "Field required", "input": {"prompt": "canary"}}
    body = {"detail": [item], "hint": {"limit": 2**60 + 1}, "log": "x" * 3000}
    running.plan(on="submit", status=422, body=body)
    with pytest.raises(RpcFailure) as raised:
        await client.call("SubmitGeneration", soul("a fox"))
    failure = raised.value.failure
    found = {"detail": [item | {"input": "[removed]"}], "hint": {"limit": "1152921504606846977"}}
    assert MessageToDict(failure)["upstreamResponse"] == found | {"[left out]": {"log": 3010.0}}
    request = pb.GetGenerationRequest(id=failure.metadata["generation_id"])
    stored = (await client.call("GetGeneration", request)).generation
    assert MessageToDict(stored.failure)["upstreamResponse"] == found | {"log": "x" * 3000}


async def test_an_answer_that_settles_nothing_is_kept_with_the_delay(running: Running) -> None:
    running.plan(on="submit", status=500, body={"message": "unexpected", "trace": [1, None]}, times=1000)
    stored = await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
    seen = await running.until(stored.id, "UNCERTAIN")
    assert MessageToDict(seen.delay)["upstreamResponse"] == {"message": "unexpected", "trace": [1.0, None]}


async def test_an_answer_to_one_tenant_is_not_shown_to_another_that_waits_for_it(start: Start) -> None:
    running = await start(AUTH="keys")
    red, blue = await running.callers("red", "blue")
    full = {"code": "account_queue_full", "detail": "canary"}
    running.plan(on="submit", status=429, body=full, headers={"Retry-After": "300"}, times=1000)
    waits = (await red.call("SubmitGeneration", soul("a fox", wait_for=pb.WAIT_FOR_STORED))).generation
    async with asyncio.timeout(WAIT_TIMEOUT):
        async for answer in red.stream("WatchGeneration", pb.WatchGenerationRequest(id=waits.id)):
            if answer.generation.delay.HasField("upstream_response"):
                assert MessageToDict(answer.generation.delay)["upstreamResponse"] == full
                break
    other = (await blue.call("SubmitGeneration", soul("an owl", wait_for=pb.WAIT_FOR_STORED))).generation
    assert other.delay.reason == error_pb2.ERROR_REASON_UPSTREAM_SATURATED
    assert "canary" not in str(other)


async def test_other_values_of_an_estimate_are_returned(running: Running, client: Transport) -> None:
    discount = {"percentage": "45", "usd": "0.284"}
    running.plan(on="estimate", patch={"discount": discount, "credits": 5.5, "serial": 2**60 + 1}, processed=True)
    price = await client.call("EstimateGeneration", pb.EstimateGenerationRequest(input=soul("a fox").input))
    found = MessageToDict(price.extra)
    assert price.cost.credits == "5.5"
    assert (found["discount"], found["serial"], found["credits"]) == (discount, "1152921504606846977", 5.5)


async def test_other_values_of_the_response_to_a_submission_are_in_its_revision(running: Running) -> None:
    running.plan(on="submit", patch={"place": {"in_queue": 3}}, processed=True)
    stored = await running.submit(soul("a fox"))
    assert extra(stored) == {"place": {"in_queue": 3.0}}
