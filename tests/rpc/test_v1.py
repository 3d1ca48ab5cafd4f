"""Generations of Higgsfield's v1 API: sent once, shown output by output, and ended with the last output."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.rpc.error_details_pb2 import PreconditionFailure

from gateway.generations import due_steps
from hfgateway.v1 import error_pb2, generation_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from tests.rpc.conftest import Start
from tests.support.running import WAIT_TIMEOUT, Generation, Running, eventually, keyframes, name_of, sized, soul, spoken
from tests.support.transports import RpcFailure, Transport

STATE = generation_pb2.GenerationState


def states(generation: Generation) -> list[str]:
    return [STATE.Name(output.state).removeprefix("GENERATION_STATE_") for output in generation.outputs]


def several(prompt: str) -> pb.SubmitGenerationRequest:
    request = soul(prompt)
    request.input.dop.prompt = prompt
    request.input.dop.image_urls.extend(["https://files.example/1.png", "https://files.example/2.png"])
    return request


async def until(running: Running, generation_id: str, wanted: list[str]) -> Generation:
    """Return the generation at its first revision with outputs in these states."""
    async with asyncio.timeout(WAIT_TIMEOUT):
        async for generation in running.history(generation_id):
            if states(generation) == wanted:
                return generation
    raise AssertionError("it ended without them")


async def test_a_batch_is_shown_output_by_output_and_ends_with_the_last(running: Running, client: Transport) -> None:
    answer: pb.SubmitGenerationResponse = await client.call("SubmitGeneration", sized("a fox"))
    generation = answer.generation
    assert (name_of(generation), generation.cancelable, states(generation)) == ("QUEUED", False, ["QUEUED"] * 4)
    assert generation.model_id == "v1/text2image/soul"
    assert generation.input == sized("a fox").input
    for done in range(4):
        running.clock.advance(1.5 if not done else 1.0)
        wanted = ["COMPLETED"] * done + ["IN_PROGRESS"] + ["QUEUED"] * (3 - done)
        seen = await until(running, generation.id, wanted)
        assert (name_of(seen), seen.done) == ("IN_PROGRESS", False)
    running.clock.advance(1.0)
    ended = await running.until(generation.id, "COMPLETED")
    assert states(ended) == ["COMPLETED"] * 4
    assert len({output.url for output in ended.outputs}) == len({output.preview_url for output in ended.outputs}) == 4
    assert {output.kind for output in ended.outputs} == {generation_pb2.MEDIA_KIND_IMAGE}
    assert all(".min." in output.preview_url and ".min." not in output.url for output in ended.outputs)
    assert ended.HasField("outputs_expire_time")
    assert len({output.job_id for output in ended.outputs}) == 4
    assert MessageToDict(ended.upstream.other_results)["jobs"] == [{"job_set_type": "text2image_soul"}] * 4
    assert [seen.revision async for seen in running.history(generation.id)] == list(range(1, ended.revision + 1))
    summary = running.ledger.summary()
    assert (summary["charge_count"], summary["submissions_seen"], summary["refund_count"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("words", "state", "outputs"),
    [
        ("[nsfw=2]", "COMPLETED", ["COMPLETED", "COMPLETED", "NSFW", "NSFW"]),
        ("[fail=3]", "COMPLETED", ["COMPLETED", "FAILED", "FAILED", "FAILED"]),
        ("[fail=3] [nsfw=1]", "NSFW", ["FAILED", "FAILED", "FAILED", "NSFW"]),
        ("[nsfw]", "NSFW", ["NSFW"] * 4),
        ("[fail]", "FAILED", ["FAILED"] * 4),
    ],
)
async def test_the_state_of_a_batch_is_that_of_its_best_output(
    running: Running, words: str, state: str, outputs: list[str]
) -> None:
    submitted = await running.submit(sized(f"a fox {words}"))
    ended = await running.finish(submitted.id, state)
    assert (states(ended), ended.done) == (outputs, True)
    assert [bool(output.url) for output in ended.outputs] == [one == "COMPLETED" for one in outputs]
    assert ended.HasField("failure") is (state != "COMPLETED")


@pytest.mark.parametrize("submission", [several("zoom in"), spoken("says hello")])
async def test_a_v1_video_is_a_single_output(running: Running, submission: pb.SubmitGenerationRequest) -> None:
    submitted = await running.submit(submission)
    ended = await running.finish(submitted.id)
    assert [(output.kind, output.name) for output in ended.outputs] == [(generation_pb2.MEDIA_KIND_VIDEO, "video")]
    assert ended.outputs[0].url.endswith("/0.webm")


async def test_polling_continues_after_an_unknown_job_status(running: Running) -> None:
    submitted = await running.submit(sized("a fox"))
    jobs = [{"id": f"{n}", "status": "resting", "results": None} for n in range(4)]
    running.plan(on="status", patch={"jobs": jobs}, times=3)
    async with asyncio.timeout(WAIT_TIMEOUT):
        async for seen in running.history(submitted.id):
            assert name_of(seen) in ("PENDING", "QUEUED")
            if seen.upstream.status == "resting":
                break
    assert name_of(await running.finish(submitted.id)) == "COMPLETED"


async def test_a_v1_key_identifies_one_generation(running: Running, grpc: Transport) -> None:
    first = await running.submit(sized("a fox", key="order-1"))
    again: pb.SubmitGenerationResponse = await grpc.call("SubmitGeneration", sized("a fox", key="order-1"))
    assert again.replayed
    assert again.generation.id == first.id
    with pytest.raises(RpcFailure) as raised:
        await running.submit(soul("a fox", key="order-1"))
    assert raised.value.reason == "IDEMPOTENCY_KEY_REUSED"
    assert len(running.ledger.charges) == 1


async def test_a_batch_takes_one_slot_per_output(start: Start) -> None:
    running = await start(UPSTREAM_CONCURRENCY=5)
    await running.submit(sized("four"))
    waiting = await running.submit(sized("four more", wait_for=pb.WAIT_FOR_STORED))
    assert (name_of(waiting), waiting.HasField("delay")) == ("PENDING", True)
    assert [one.prompt for one in running.ledger.submissions] == ["four"]
    running.clock.advance(60)
    await eventually(lambda: len(running.ledger.submissions) == 2)


# -- Sent once ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat, or give up, without a pause."""
    monkeypatch.setattr(due_steps, "PAUSE_AFTER_WHOLE_ERROR", 0.0)
    monkeypatch.setattr(due_steps, "PAUSE_AFTER_SILENCE", 0.0)
    monkeypatch.setattr(due_steps, "LATER_PAUSES", {})


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("submission", [sized("of v1"), several("of v1"), spoken("of v1"), keyframes("of v1")])
@pytest.mark.parametrize("kind", ["502", "lost"])
async def test_a_lost_v1_response_is_uncertain_and_never_sent_again(
    running: Running, submission: pb.SubmitGenerationRequest, kind: str
) -> None:
    running.plan(on="submit", kind=kind, processed=True, prompt="of v1")
    running.plan(on="submit", kind=kind, processed=True, prompt="of v2")
    submission.wait_for = pb.WAIT_FOR_STORED
    uncertain = await running.until((await running.submit(submission)).id, "UNCERTAIN")
    assert not uncertain.cancelable
    # The v2 request was retried and finished in this time, so the v1 request had time for a retry.
    repeated = await running.submit(soul("of v2"))
    await running.finish(repeated.id)
    assert (await running.get(uncertain.id)).revision == uncertain.revision
    await running.stop_gateway()
    await running.start_gateway()
    another = await running.submit(soul("after a restart"))
    await running.finish(another.id)
    assert name_of(await running.get(uncertain.id)) == "UNCERTAIN"
    assert [one.prompt for one in running.ledger.submissions].count("of v1") == 1
    assert [one.prompt for one in running.ledger.charges].count("of v1") == 1
    assert running.ledger.submissions[0].idempotency_key is None


async def test_a_v1_submission_answered_with_429_is_sent_later(running: Running) -> None:
    running.plan(on="submit", kind="429", headers={"Retry-After": "0"})
    submitted = await running.submit(sized("a fox"))
    assert name_of(submitted) == "QUEUED"
    assert len(running.ledger.submissions) == 2
    assert len(running.ledger.charges) == 1


async def test_an_accepted_v1_generation_is_polled_after_a_restart(running: Running) -> None:
    submitted = await running.submit(sized("a fox"))
    running.clock.advance(2.5)
    seen = await until(running, submitted.id, ["COMPLETED", "IN_PROGRESS", "QUEUED", "QUEUED"])
    await running.stop_gateway()
    running.clock.advance(60)
    await running.start_gateway()
    ended = await running.until(submitted.id, "COMPLETED")
    assert states(ended) == ["COMPLETED"] * 4
    assert ended.outputs[0] == seen.outputs[0]


# -- Operations that v1 lacks ------------------------------------------------------------------------------------------


async def cancel(running: Running, generation_id: str) -> Generation:
    answer: pb.CancelGenerationResponse = await running.grpc.call(
        "CancelGeneration", pb.CancelGenerationRequest(id=generation_id)
    )
    return answer.generation


async def test_a_queued_v1_generation_is_canceled_if_higgsfield_does(start: Start) -> None:
    running = await start(v1_cancel=True)
    queued = await running.submit(sized("a fox"))
    canceled = await cancel(running, queued.id)
    assert (name_of(canceled), states(canceled)) == ("CANCELED", ["CANCELED"] * 4)
    assert len(running.ledger.refunds) == 1


async def test_a_job_set_is_followed_where_v1_does_not_serve_it(start: Start) -> None:
    running = await start(serve_job_sets=False)
    submitted = await running.submit(sized("a fox"))
    ended = await running.finish(submitted.id)
    assert (name_of(ended), states(ended)) == ("COMPLETED", ["COMPLETED"] * 4)
    assert len({output.url for output in ended.outputs}) == 4


async def test_a_queued_v1_generation_is_not_canceled_if_higgsfield_does_not(
    running: Running, client: Transport
) -> None:
    queued = await running.submit(sized("a fox"))
    with pytest.raises(RpcFailure) as raised:
        await client.call("CancelGeneration", pb.CancelGenerationRequest(id=queued.id))
    failure = raised.value
    assert (failure.code, failure.reason) == ("FAILED_PRECONDITION", "NOT_CANCELABLE")
    assert "v1" in failure.message
    (violation,) = failure.detail(PreconditionFailure).violations
    assert (violation.subject, violation.description) == ("QUEUED", failure.message)
    assert [one.outcome for one in running.ledger.cancels] == ["404"]
    assert name_of(await running.get(queued.id)) == "QUEUED"


async def test_a_pending_v1_generation_is_canceled_for_free(start: Start) -> None:
    running = await start(UPSTREAM_CONCURRENCY=4)
    await running.submit(sized("the first"))
    waiting = await running.submit(sized("the second", wait_for=pb.WAIT_FOR_STORED))
    assert waiting.cancelable
    assert name_of(await cancel(running, waiting.id)) == "CANCELED"
    assert [one.prompt for one in running.ledger.submissions] == ["the first"]


async def test_a_cancel_during_a_v1_submission_is_refused_on_acceptance(running: Running) -> None:
    with running.held(on="submit"):
        stored = await running.submit(sized("a fox", wait_for=pb.WAIT_FOR_STORED))
        await eventually(lambda: bool(running.ledger.charges))
        canceling = asyncio.create_task(cancel(running, stored.id))
        await running.cancel_stored(stored.id)
    with pytest.raises(RpcFailure) as raised:
        await canceling
    assert (raised.value.reason, raised.value.failure.metadata["state"]) == ("NOT_CANCELABLE", "QUEUED")
    assert [one.outcome for one in running.ledger.cancels] == ["404"]
    assert name_of(await running.finish(stored.id)) == "COMPLETED"


async def test_a_start_timeout_ends_only_pending_v1_generations(start: Start) -> None:
    running = await start(UPSTREAM_CONCURRENCY=4)
    soon = Duration(nanos=200_000_000)
    first = await running.submit(sized("the first", start_timeout=soon))
    waiting = await running.submit(sized("the second", start_timeout=soon, wait_for=pb.WAIT_FOR_STORED))
    ended = await running.until(waiting.id, "CANCELED")
    assert ended.failure.reason == error_pb2.ERROR_REASON_START_TIMEOUT_EXCEEDED
    assert name_of(await running.get(first.id)) == "QUEUED"
    assert running.ledger.cancels == []
    assert name_of(await running.finish(first.id)) == "COMPLETED"


async def test_a_v1_generation_is_deleted_here_only(running: Running, grpc: Transport) -> None:
    submitted = await running.submit(sized("a fox"))
    await running.finish(submitted.id)
    for _ in range(2):
        answer = await grpc.call("DeleteGeneration", pb.DeleteGenerationRequest(id=submitted.id))
        assert not answer.removed_upstream
    assert running.ledger.deletes == []
    with pytest.raises(RpcFailure) as raised:
        await running.get(submitted.id)
    assert raised.value.code == "NOT_FOUND"


async def test_the_explanation_of_a_v1_generation_lists_job_set_calls(running: Running, grpc: Transport) -> None:
    submitted = await running.submit(sized("a fox [nsfw=1]"))
    await running.finish(submitted.id)
    story: Any = await grpc.call("ExplainGeneration", pb.ExplainGenerationRequest(id=submitted.id))
    calls = [(one.upstream_call.method, one.upstream_call.path) for one in story.events if one.upstream_call.method]
    assert calls[0] == ("POST", "/v1/text2image/soul")
    assert {path for _, path in calls[1:]} == {f"/v1/job-sets/{submitted.upstream.request_id}"}
    assert any("3 outputs" in event.description for event in story.events)
    assert "fox" not in str(story.events)
