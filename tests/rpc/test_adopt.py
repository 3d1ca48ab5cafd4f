"""AdoptGeneration: a request that was made without the gateway becomes a generation, and is never submitted."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.json_format import MessageToDict
from google.rpc.error_details_pb2 import RetryInfo

from gateway.generations import adopt
from gateway.generations.polling import rate_limit
from hfgateway.v1 import generation_input_pb2, generation_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from tests.callbacks.receiver import Receiver, create
from tests.rpc.conftest import Start
from tests.support.elsewhere import job_set_elsewhere, request_elsewhere
from tests.support.running import WAIT_TIMEOUT, Generation, Running, eventually, name_of, sized, soul
from tests.support.timeline import run_timed
from tests.support.transports import RpcFailure, Transport

V1 = generation_input_pb2.API_VERSION_V1


async def adopted(client: Transport, request_id: str, **fields: Any) -> pb.AdoptGenerationResponse:
    request = pb.AdoptGenerationRequest(upstream_request_id=request_id, **fields)
    answer: pb.AdoptGenerationResponse = await client.call("AdoptGeneration", request)
    return answer


async def refusal(client: Transport, request_id: str, **fields: Any) -> RpcFailure:
    with pytest.raises(RpcFailure) as refused:
        await adopted(client, request_id, **fields)
    return refused.value


async def listed(client: Transport, **wanted: Any) -> list[Generation]:
    request = pb.ListGenerationsRequest(filter=pb.GenerationFilter(**wanted), include_input=True)
    answer: pb.ListGenerationsResponse = await client.call("ListGenerations", request)
    return list(answer.generations)


def calls(running: Running) -> dict[str, Any]:
    """Return how often Higgsfield was called, by the kinds of calls about requests."""
    summary = running.ledger.summary()
    return {name: summary[name] for name in ("submissions_seen", "status_calls", "cancel_calls", "delete_calls")}


async def test_an_adopted_request_is_followed_to_its_end_and_never_submitted(
    running: Running, client: Transport
) -> None:
    request_id = await request_elsewhere(running, "a fox")
    answer = await adopted(client, request_id.upper(), labels={"from": "elsewhere"})
    found = answer.generation
    assert (name_of(found), found.revision, found.adopted, answer.replayed) == ("QUEUED", 1, True, False)
    assert (found.upstream.request_id, dict(found.labels), found.cancelable) == (
        request_id,
        {"from": "elsewhere"},
        True,
    )
    unknown = ("input", "forecast", "start_time", "end_time", "outputs_expire_time", "estimated_cost")
    assert [name for name in unknown if found.HasField(name)] == []
    assert (found.model_id, found.idempotency_key) == ("", "")
    assert found.create_time.ToMicroseconds() <= found.accept_time.ToMicroseconds()
    running.clock.advance(1.5)
    assert not (await running.until(found.id, "IN_PROGRESS")).HasField("forecast")
    done = await running.finish(found.id)
    assert (len(done.outputs), done.HasField("outputs_expire_time")) == (1, True)
    assert [one.revision async for one in running.history(found.id)] == list(range(1, done.revision + 1))
    story: pb.ExplainGenerationResponse = await client.call(
        "ExplainGeneration", pb.ExplainGenerationRequest(id=found.id)
    )
    first = next(event for event in story.events if event.revision == 1)
    assert first.source == generation_pb2.CHANGE_SOURCE_ADOPT
    assert first.description == f"adopted, as request {request_id} of Higgsfield's v2 API; QUEUED"
    assert story.events[0].upstream_call.path == f"/requests/{request_id}/status"
    assert not running.database.rows("read_durations")
    gone: pb.DeleteGenerationResponse = await client.call("DeleteGeneration", pb.DeleteGenerationRequest(id=found.id))
    assert gone.removed_upstream
    assert (calls(running)["submissions_seen"], len(running.ledger.charges)) == (1, 1)


async def test_an_adopted_request_is_logged_and_canceled_like_any_other(
    running: Running, grpc: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    request_id = await request_elsewhere(running, "a fox")
    with caplog.at_level(logging.INFO, "gateway.generations.journal"):
        found = (await adopted(grpc, request_id)).generation
    (stored,) = [vars(record) for record in caplog.records if record.message == "generation stored"]
    assert (stored["generation_id"], stored["request_id"], stored["source"]) == (found.id, request_id, "adopt")
    answer: pb.CancelGenerationResponse = await grpc.call("CancelGeneration", pb.CancelGenerationRequest(id=found.id))
    assert name_of(answer.generation) == "CANCELED"
    assert len(running.ledger.refunds) == 1


async def test_a_request_that_has_ended_is_adopted_in_its_final_state(running: Running, grpc: Transport) -> None:
    ended = [await request_elsewhere(running, prompt) for prompt in ("a fox", "[nsfw]", "[fail]")]
    running.clock.advance(60)
    found = [(await adopted(grpc, one)).generation for one in ended]
    assert [(name_of(one), one.done, one.revision) for one in found] == [
        ("COMPLETED", True, 1), ("NSFW", True, 1), ("FAILED", True, 1),
    ]  # fmt: skip
    assert found[0].outputs[0].url
    # Higgsfield keeps them for 7 days since an end that was up to a minute ago.
    assert found[0].outputs_expire_time.ToSeconds() < found[0].end_time.ToSeconds() + 7 * 86_400
    assert [one.failure.message != "" for one in found] == [False, True, True]
    assert await listed(grpc, upstream_request_ids=[ended[0], str(uuid4())]) == [found[0]]
    assert calls(running)["status_calls"] == 3


async def test_an_end_of_unknown_age_has_no_expiry_and_is_archived_and_reported(start: Start, tmp_path: Path) -> None:
    running = await start(ARCHIVE_URL=f"file://{tmp_path}/archive")
    async with Receiver() as receiver:
        await create(running, receiver.url)
        running.plan(on="status", patch={"expires_at": None})
        request_id = await request_elsewhere(running, "a fox")
        running.clock.advance(60)
        found = (await adopted(running.grpc, request_id)).generation
        assert (name_of(found), found.HasField("outputs_expire_time")) == ("COMPLETED", False)
        (got,) = await receiver.gets(1)
        assert (got.state, got.generation.upstream.request_id) == ("COMPLETED", request_id)
    async with asyncio.timeout(WAIT_TIMEOUT):
        while not (await running.get(found.id)).outputs[0].archived.size:
            await asyncio.sleep(0.01)


async def test_a_job_set_shows_its_outputs_and_the_input_that_higgsfield_used(
    running: Running, grpc: Transport
) -> None:
    request_id = await job_set_elsewhere(running, "a fox")
    other = await request_elsewhere(running, "a hen")
    assert (await refusal(grpc, other, api_version=V1)).reason == "NOT_FOUND"
    found = (await adopted(grpc, request_id, api_version=V1)).generation
    assert (name_of(found), len(found.outputs), found.cancelable) == ("QUEUED", 4, False)
    assert MessageToDict(found.used_input)["prompt"] == "a fox"
    assert [admission.running for admission in running.gateway._core.admissions.by_name.values()] == [4]
    done = await running.finish(found.id)
    assert {name_of(output) for output in done.outputs} == {"COMPLETED"}


async def test_every_adoption_of_a_request_returns_the_same_generation(start: Start) -> None:
    # The status calls are those of the adoptions, not polls.
    running = await start(POLL_MIN=30, POLL_MAX=30)
    request_id = await request_elsewhere(running, "a fox")
    answers = await asyncio.gather(*[adopted(running.grpc, request_id, labels={"n": str(n)}) for n in range(10)])
    assert len({answer.generation.id for answer in answers}) == 1
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 9
    status_calls = calls(running)["status_calls"]
    later = await adopted(running.grpc, request_id, labels={"n": "later"})
    assert (later.generation.labels, later.replayed) == (answers[0].generation.labels, True)
    assert calls(running)["status_calls"] == status_calls


async def test_the_request_of_a_submitted_generation_is_that_generation(running: Running, grpc: Transport) -> None:
    for request in (soul("a fox"), sized("a hen")):
        submitted = await running.submit(request)
        found = await adopted(grpc, submitted.upstream.request_id)
        assert (found.generation.id, found.generation.adopted, found.replayed) == (submitted.id, False, True)
        assert found.generation.input == request.input


async def test_nothing_is_stored_or_sent_before_higgsfield_confirms_the_request(start: Start) -> None:
    running = await start(credentials="sandbox:sandbox other:pair")
    foreign = await request_elsewhere(running, "a fox", key="other:pair")
    own = await request_elsewhere(running, "a hen")
    before = calls(running)
    assert (await refusal(running.grpc, foreign)).reason == "NOT_FOUND"
    for status, reason in ((404, "NOT_FOUND"), (401, "UPSTREAM_CREDENTIALS_REFUSED"), (403, "UPSTREAM_UNAVAILABLE")):
        running.plan(on="status", status=status, body={"detail": "no"})
        assert (await refusal(running.grpc, own)).reason == reason
    for kind in ("500", "html", "half"):
        running.plan(on="status", kind=kind)
        assert (await refusal(running.grpc, own)).reason == "UPSTREAM_UNAVAILABLE"
    running.plan(on="status", patch={"request_id": str(uuid4())})
    assert (await refusal(running.grpc, own)).reason == "UPSTREAM_UNAVAILABLE"
    assert await listed(running.grpc) == []
    assert not running.gateway._core.recorder._last
    assert calls(running) == before | {"status_calls": calls(running)["status_calls"]}
    assert (await adopted(running.grpc, own)).replayed is False


async def test_a_request_is_not_looked_up_while_higgsfield_limits_status_calls(running: Running) -> None:
    first, second = [await request_elsewhere(running, prompt) for prompt in ("a fox", "a hen")]
    running.plan(on="status", kind="429", headers={"Retry-After": "3"})
    assert (await refusal(running.grpc, first)).reason == "UPSTREAM_UNAVAILABLE"
    asked = calls(running)
    late = await refusal(running.grpc, second)
    assert late.reason == "UPSTREAM_UNAVAILABLE"
    assert 0 < late.detail(RetryInfo).retry_delay.ToNanoseconds() <= 3_000_000_000
    assert calls(running) == asked


async def test_a_look_up_that_fails_because_of_a_bug_stops_no_later_status_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> Any:
        raise RuntimeError("a bug")

    async with run_timed(tmp_path) as running:
        request_id = await request_elsewhere(running, "a fox")
        with monkeypatch.context() as patched:
            patched.setattr(running.gateway._core.upstream, "status", fail)
            for _ in range(rate_limit.FAILURES_IN_A_ROW):
                assert (await refusal(running.grpc, request_id)).reason == "INTERNAL"
            assert (await refusal(running.grpc, request_id)).reason == "UPSTREAM_UNAVAILABLE"
            await running.advance(rate_limit.FIRST_BREAK)
            assert (await refusal(running.grpc, request_id)).reason == "INTERNAL"
        await running.advance(2 * rate_limit.FIRST_BREAK)
        assert (await adopted(running.grpc, request_id)).replayed is False


async def test_an_adoption_continues_if_its_caller_leaves_and_counts_for_its_tenant(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adopt, "MAX_IN_PROGRESS", 1)
    running = await start(AUTH="keys")
    red, blue = [running.caller("grpc", await running.key(tenant)) for tenant in ("red", "blue")]
    request_id, other = [await request_elsewhere(running, prompt) for prompt in ("a fox", "an owl")]
    answered = asyncio.Event()
    status = running.gateway._core.upstream.status

    async def slowly(generation: Any, requested: Any = None) -> Any:
        if requested == request_id:
            await answered.wait()
        return await status(generation, requested)

    monkeypatch.setattr(running.gateway._core.upstream, "status", slowly)
    caller = asyncio.create_task(adopted(red, request_id))
    await eventually(lambda: len(running.gateway._core.adopter._in_progress) == 1)
    caller.cancel()
    assert (await refusal(red, request_id)).reason == "GATEWAY_OVERLOADED"
    assert not (await adopted(blue, other)).replayed
    answered.set()
    async with asyncio.timeout(WAIT_TIMEOUT):
        await running.gateway._core.sender.drained()
    assert (await adopted(red, request_id)).replayed is True


async def test_a_request_that_was_deleted_here_is_not_adopted_again(start: Start) -> None:
    running = await start(AUTH="keys")
    red, blue = await running.callers("red", "blue")
    request_id, being_removed = [await request_elsewhere(running, prompt) for prompt in ("a fox", "a hen")]
    running.clock.advance(60)
    for one in (request_id, being_removed):
        found = (await adopted(red, one)).generation
        running.plan(on="delete", kind="503", times=1 if one == request_id else 1_000)
        with pytest.raises(RpcFailure):
            await red.call("DeleteGeneration", pb.DeleteGenerationRequest(id=found.id))
        if one == request_id:
            await red.call("DeleteGeneration", pb.DeleteGenerationRequest(id=found.id))
    # Higgsfield still answers for it with the outputs, but the gateway is about to remove them.
    assert (await refusal(blue, being_removed)).reason == "NOT_FOUND"
    refused = await refusal(red, request_id)
    assert (refused.reason, "deleted" in refused.message) == ("NOT_FOUND", True)


async def test_an_adopted_generation_survives_a_restart_and_cannot_be_resubmitted(start: Start) -> None:
    running = await start(POLL_MIN=30, POLL_MAX=30)
    found = (await adopted(running.grpc, await request_elsewhere(running, "a fox"))).generation
    await running.stop_gateway()
    await running.start_gateway()
    core = running.gateway._core
    assert await core.store.generations.request(found.id) is None
    entry = core.feed.entries[found.id]
    assert entry.generation.spec.adopted
    assert await core.sender.mark_and_send(entry.generation) is None
    done = await running.finish(found.id)
    assert name_of(done) == "COMPLETED"
    assert calls(running)["submissions_seen"] == 1
