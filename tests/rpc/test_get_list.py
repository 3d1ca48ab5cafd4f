"""GetGeneration and ListGenerations: results, filters and pages, newest first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.generations.limits.model import Limits
from hfgateway.v1 import generation_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.running import WAIT_TIMEOUT, Generation, Running, eventually, model, name_of, soul, without_forecast
from tests.support.transports import RpcFailure, Transport

QUEUED, COMPLETED = generation_pb2.GENERATION_STATE_QUEUED, generation_pb2.GENERATION_STATE_COMPLETED


async def page(client: Transport, **request: Any) -> pb.ListGenerationsResponse:
    answer: pb.ListGenerationsResponse = await client.call("ListGenerations", pb.ListGenerationsRequest(**request))
    return answer


async def ids(client: Transport, **wanted: Any) -> list[str]:
    return [one.id for one in (await page(client, filter=pb.GenerationFilter(**wanted))).generations]


async def submitted(running: Running, count: int, **fields: Any) -> list[Generation]:
    """Submit generations; return them newest first, as they are listed."""
    stored = [await running.submit(soul(f"fox {number}", **fields)) for number in range(count)]
    return stored[::-1]


async def test_get_returns_the_same_as_submit(running: Running, client: Transport) -> None:
    stored = await running.submit(soul("a fox", labels={"color": "red"}))
    answer = await client.call("GetGeneration", pb.GetGenerationRequest(id=stored.id))
    answer.generation.upstream.poll_count = stored.upstream.poll_count
    assert without_forecast(answer.generation) == without_forecast(stored)


async def test_a_completed_generation_has_outputs_with_an_expiry(running: Running, client: Transport) -> None:
    request = soul("a fox")
    request.input.soul.batch_size = 4
    stored = await running.submit(request)
    await running.finish(stored.id)
    generation = (await client.call("GetGeneration", pb.GetGenerationRequest(id=stored.id))).generation
    assert (name_of(generation), generation.done, generation.cancelable) == ("COMPLETED", True, False)
    assert generation.input == request.input
    assert [(one.state, one.kind, one.name) for one in generation.outputs] == [
        (COMPLETED, generation_pb2.MEDIA_KIND_IMAGE, "image")
    ] * 4
    assert len({one.url for one in generation.outputs}) == 4
    assert generation.HasField("outputs_expire_time")
    assert generation.end_time == generation.update_time
    assert generation.upstream.last_change_source == generation_pb2.CHANGE_SOURCE_POLL
    assert generation.upstream.poll_count >= 0
    assert not generation.HasField("failure")


async def test_a_video_output_has_the_kind_video(running: Running) -> None:
    request = pb.SubmitGenerationRequest(idempotency_key="k")
    request.input.dop.prompt = "a fox"
    request.input.dop.image_urls.append("https://files.example/a.png")
    stored = await running.submit(request)
    assert stored.model_id == "higgsfield-ai/dop/turbo"
    ended = await running.finish(stored.id)
    assert [(one.kind, one.name) for one in ended.outputs] == [(generation_pb2.MEDIA_KIND_VIDEO, "video")]


@pytest.mark.parametrize(("prompt", "end", "reason"), [
    ("[fail] a fox", "FAILED", "ERROR_REASON_GENERATION_FAILED"),
    ("[nsfw] a fox", "NSFW", "ERROR_REASON_MODERATED"),
])  # fmt: skip
async def test_a_failed_generation_has_a_reason_and_is_refunded(
    running: Running, prompt: str, end: str, reason: str
) -> None:
    stored = await running.submit(soul(prompt))
    ended = await running.finish(stored.id, end)
    assert ended.done
    assert ended.failure == generation_pb2.Generation(failure={"reason": reason, **_rest(ended)}).failure
    assert ended.HasField("accept_time")
    assert not ended.outputs
    assert len(running.ledger.refunds) == 1


def _rest(generation: Generation) -> dict[str, Any]:
    return {"message": generation.failure.message, "retryable": generation.failure.retryable}


async def test_an_unknown_status_is_shown_as_text_and_changes_no_state(running: Running) -> None:
    stored = await running.submit(soul("a fox"))
    running.plan(on="status", patch={"status": "paused"}, times=1000)
    async with asyncio.timeout(WAIT_TIMEOUT):
        async for seen in running.history(stored.id):
            if seen.upstream.status == "paused":
                assert name_of(seen) == "QUEUED"
                break


async def test_unknown_result_fields_are_kept_in_other_results(running: Running, client: Transport) -> None:
    nested: Any = "leaf"
    for _ in range(60):
        nested = [nested]
    odd = {"huge": 10**400, "deep": nested, "score": 0.5, "images": [], "frames": [1, None, {"a": "b"}]}
    stored = await running.submit(soul("a fox"))
    running.plan(on="status", patch={"status": "completed"} | odd, times=1000)
    await running.until(stored.id, "COMPLETED")
    generation = (await client.call("GetGeneration", pb.GetGenerationRequest(id=stored.id))).generation
    assert not generation.outputs
    results = generation.upstream.other_results
    assert results["score"] == 0.5
    assert list(results["frames"])[:2] == [1, None]
    assert "huge" in results
    assert "deep" in results


async def test_failure_messages_have_their_secrets_removed(running: Running, client: Transport) -> None:
    said = "sandbox:sandbox was refused by https://files.example/a.png?token=canary\nat gateway.py"
    stored = await running.submit(soul("a fox"))
    running.plan(
        on="status", patch={"status": "failed", "error": said}, headers={"X-Correlation-ID": "sandbox:sandbox"}, times=9
    )
    await running.until(stored.id, "FAILED")
    generation = (await client.call("GetGeneration", pb.GetGenerationRequest(id=stored.id))).generation
    assert generation.failure.message == (
        "[removed] was refused by https://files.example/a.png?[removed] at gateway.py"
    )
    assert "sandbox:sandbox" not in str(generation)


async def test_a_javascript_url_is_not_an_output(running: Running) -> None:
    stored = await running.submit(soul("a fox"))
    running.plan(on="status", patch={"status": "completed", "images": [{"url": "javascript:alert(1)"}]}, times=1000)
    ended = await running.until(stored.id, "COMPLETED")
    assert not ended.outputs
    assert "images" in ended.upstream.other_results


async def test_a_list_is_newest_first_with_and_without_input(running: Running, client: Transport) -> None:
    stored = await submitted(running, 3)
    bare = (await page(client)).generations
    assert [one.id for one in bare] == [one.id for one in stored]
    assert not any(one.HasField("input") for one in bare)
    whole = (await page(client, include_input=True)).generations
    assert [one.input for one in whole] == [one.input for one in stored]


async def test_pages_contain_every_generation_once(running: Running, grpc: Transport) -> None:
    stored = [one.id for one in await submitted(running, 7)]
    seen: list[str] = []
    token = ""
    while True:
        answer = await page(grpc, page_size=3, page_token=token)
        assert len(answer.generations) <= 3
        seen += [one.id for one in answer.generations]
        token = answer.next_page_token
        if not token:
            break
        await running.submit(soul(f"later, {len(seen)}"))
    assert seen == stored


async def test_a_page_token_survives_a_restart(running: Running) -> None:
    stored = [one.id for one in await submitted(running, 3)]
    first = await page(running.grpc, page_size=1)
    await running.stop_gateway()
    await running.start_gateway()
    rest = await page(running.grpc, page_token=first.next_page_token)
    assert [one.id for one in rest.generations] == stored[1:]
    assert rest.next_page_token == ""


async def test_the_default_page_holds_50(running: Running) -> None:
    await submitted(running, 51, wait_for=pb.WAIT_FOR_STORED)
    assert len((await page(running.grpc)).generations) == 50
    assert len((await page(running.grpc, page_size=100_000)).generations) == 51


async def test_a_page_holds_2_mib_at_most(running: Running, grpc: Transport) -> None:
    stored = [await running.submit(soul(str(number) * 250_000)) for number in range(9)]
    first = await page(grpc, page_size=500, include_input=True)
    assert first.ByteSize() <= 2 * 1024 * 1024
    assert 0 < len(first.generations) < len(stored)
    second = await page(grpc, page_size=500, include_input=True, page_token=first.next_page_token)
    seen = [one.id for one in (*first.generations, *second.generations)]
    assert seen == [one.id for one in reversed(stored)]


async def test_all_fields_of_a_filter_must_match(running: Running, grpc: Transport) -> None:
    red = await running.submit(soul("a fox", labels={"color": "red", "size": "s"}))
    await running.finish(red.id)
    blue = await running.submit(soul("a badger", labels={"color": "blue", "size": "s"}))
    other = await running.submit(model("z-image/turbo", {"prompt": "a hare"}, "k", labels={"color": "red"}))
    assert await ids(grpc) == [other.id, blue.id, red.id]
    assert await ids(grpc, ids=[red.id, "unknown", other.id]) == [other.id, red.id]
    assert await ids(grpc, ids=["unknown"]) == []
    assert await ids(grpc, states=[QUEUED]) == [other.id, blue.id]
    assert await ids(grpc, states=[QUEUED, COMPLETED]) == [other.id, blue.id, red.id]
    assert await ids(grpc, model_ids=["z-image/turbo", "no/model"]) == [other.id]
    assert await ids(grpc, labels={"color": "red"}) == [other.id, red.id]
    assert await ids(grpc, labels={"color": "red", "size": "s"}) == [red.id]
    assert await ids(grpc, idempotency_key="k") == [other.id]
    assert await ids(grpc, idempotency_key="k", states=[COMPLETED]) == []
    assert await ids(grpc, ids=[red.id], states=[QUEUED]) == []


async def test_created_after_is_inclusive_and_created_before_is_exclusive(running: Running, client: Transport) -> None:
    newest, middle, oldest = await submitted(running, 3)
    time: Timestamp = middle.create_time
    assert await ids(client, created_after=time) == [newest.id, middle.id]
    assert await ids(client, created_before=time) == [oldest.id]


async def test_a_filter_by_time_is_exact_to_the_nanosecond(running: Running) -> None:
    (one,) = await submitted(running, 1)
    exactly = one.create_time.ToNanoseconds()
    before, after = Timestamp(), Timestamp()
    before.FromNanoseconds(exactly - 1)
    after.FromNanoseconds(exactly + 1)
    assert await ids(running.grpc, created_before=after) == [one.id]
    assert await ids(running.grpc, created_before=before) == []
    assert await ids(running.grpc, created_after=before) == [one.id]
    assert await ids(running.grpc, created_after=after) == []


@pytest.mark.parametrize(
    ("seconds", "nanos", "found"),
    [
        (-62_135_596_800, 0, 0), (-62_135_596_801, 0, None), (0, 0, 0), (0, -1, None), (0, 1_000_000_000, None),
        (253_402_300_799, 999_999_999, 1), (253_402_300_800, 0, None),
    ],
)  # fmt: skip
async def test_a_time_of_a_filter_is_a_valid_timestamp(
    running: Running, seconds: int, nanos: int, found: int | None
) -> None:
    await running.submit(soul("a fox"))
    before = Timestamp(seconds=seconds, nanos=nanos)
    if found is None:
        with pytest.raises(RpcFailure) as refused:
            await ids(running.grpc, created_before=before)
        assert refused.value.reason == "INVALID_INPUT"
    else:
        assert len(await ids(running.grpc, created_before=before)) == found


async def test_a_page_token_accepts_the_same_filter_in_another_order(running: Running) -> None:
    newest, oldest = await submitted(running, 2)
    wanted: dict[str, Any] = {
        "ids": [newest.id, oldest.id],
        "upstream_request_ids": [newest.upstream.request_id, oldest.upstream.request_id],
        "states": [QUEUED, COMPLETED],
        "model_ids": [newest.model_id, "another/model"],
    }
    first = await page(running.grpc, filter=pb.GenerationFilter(**wanted), page_size=1)
    for field, values in wanted.items():
        turned = pb.GenerationFilter(**wanted | {field: values[::-1]})
        second = await page(running.grpc, filter=turned, page_token=first.next_page_token)
        assert [one.id for one in second.generations] == [oldest.id], field


async def test_a_lookup_by_key_waits_for_the_submission_with_the_key(running: Running, client: Transport) -> None:
    """Its caller may have left, and would submit again with another key if none were found."""
    await running.gateway._core.budgets.set("default", "tenant", Limits(credits_per_day=10**9), {"credits_per_day"})
    with running.held(on="estimate"):
        submitting = asyncio.create_task(client.call("SubmitGeneration", soul("a fox", "order-1")))
        await eventually(lambda: len(running.gateway._core.service._submitting) == 1)
        submitting.cancel()
        looking = asyncio.create_task(ids(client, idempotency_key="order-1"))
        await running.calls_open("ListGenerations", 1)
    (found,) = await looking
    assert (await running.until(found, "QUEUED")).idempotency_key == "order-1"
