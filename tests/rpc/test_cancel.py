"""CancelGeneration: free while pending, decided by Higgsfield while queued, refused afterwards."""

from __future__ import annotations

import asyncio
import logging

import pytest

from gateway.generations import due_steps
from gateway.generations.model import GenerationId
from gateway.generations.polling.rate_limit import FAILURES_IN_A_ROW
from hfgateway.v1 import generation_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from tests.rpc.conftest import Start
from tests.support.commits import commits
from tests.support.running import Generation, Running, eventually, name_of, soul
from tests.support.transports import RpcFailure, Transport


async def cancel(client: Transport, generation_id: str) -> Generation:
    request = pb.CancelGenerationRequest(id=generation_id)
    answer: pb.CancelGenerationResponse = await client.call("CancelGeneration", request)
    return answer.generation


async def begin_to_cancel(running: Running, generation_id: str) -> asyncio.Task[Generation]:
    """Call CancelGeneration during a submission. Returns once the gateway has stored it."""
    canceling = asyncio.create_task(cancel(running.grpc, generation_id))
    await running.cancel_stored(generation_id)
    return canceling


async def test_a_pending_generation_is_canceled_for_free(start: Start) -> None:
    running = await start(UPSTREAM_CONCURRENCY=1)
    await running.submit(soul("the first"))
    for name, client in running.transports.items():
        waiting = await running.submit(soul(f"over {name}", wait_for=pb.WAIT_FOR_STORED))
        assert (name_of(waiting), waiting.cancelable) == ("PENDING", True)
        canceled = await cancel(client, waiting.id)
        assert (name_of(canceled), canceled.done, canceled.cancelable) == ("CANCELED", True, False)
        assert canceled.upstream.last_change_source == generation_pb2.CHANGE_SOURCE_GATEWAY
        assert not canceled.HasField("delay")
        assert not canceled.HasField("failure")
        assert canceled.input == waiting.input
    assert [one.prompt for one in running.ledger.submissions] == ["the first"]
    assert running.ledger.cancels == []


async def test_a_queued_generation_is_canceled_at_higgsfield(running: Running, client: Transport) -> None:
    queued = await running.submit(soul("a fox"))
    canceled = await cancel(client, queued.id)
    assert (name_of(canceled), canceled.done) == ("CANCELED", True)
    assert canceled.HasField("end_time")
    assert [one.reason for one in running.ledger.refunds] == ["canceled"]


async def test_callers_that_leave_a_cancel_do_not_stop_status_calls(start: Start) -> None:
    """Their status calls have no outcome. Counted as failures, they would be taken for an outage."""
    running = await start(POLL_MIN=3600, POLL_MAX=3600)
    queued = await running.submit(soul("a fox"))
    calls = running.ledger.status_calls
    with running.held(on="status", times=100):
        for _ in range(FAILURES_IN_A_ROW):
            before = calls.total()
            leaving = asyncio.create_task(cancel(running.grpc, queued.id))
            await eventually(lambda before=before: calls.total() > before)
            leaving.cancel()
            await running.calls_open("CancelGeneration", 0)
        running.sandbox.state.plan.clear()
        assert name_of(await cancel(running.grpc, queued.id)) == "CANCELED"


async def test_a_cancellation_is_logged_though_its_caller_leaves_during_the_commit(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway.generations.journal")
    queued = await running.submit(soul("a fox"))
    with commits("reported by cancel") as ends:
        ends.hold()
        canceling = asyncio.create_task(cancel(running.grpc, queued.id))
        await ends.reached()
        canceling.cancel()
        await running.calls_open("CancelGeneration", 0)
    await running.until(queued.id, "CANCELED")
    core = running.gateway._core
    await core.sender.drained()
    assert [record.__dict__["state"] for record in caplog.records if "before" in record.__dict__][-1] == "CANCELED"
    assert core.service._canceled_by == {}


async def test_a_cancellation_during_the_commit_of_an_end_is_forgotten(running: Running) -> None:
    queued = await running.submit(soul("a fox"))
    with commits("reported by poll") as ends:
        ends.hold()
        running.clock.advance(60)
        await ends.reached()
        with running.held(on="cancel") as release:
            canceling = asyncio.create_task(cancel(running.grpc, queued.id))
            await eventually(lambda: len(running.sandbox.state.plan) == 0)
            ends.release()
            await running.until(queued.id, "COMPLETED")
            release()
            with pytest.raises(RpcFailure):
                await canceling
    assert running.gateway._core.service._canceled_by == {}


async def test_canceling_a_canceled_generation_again_is_ok(running: Running, grpc: Transport) -> None:
    queued = await running.submit(soul("a fox"))
    first = await cancel(grpc, queued.id)
    again = await cancel(grpc, queued.id)
    assert (name_of(again), again.revision) == ("CANCELED", first.revision)
    assert len(running.ledger.refunds) == 1


async def test_concurrent_cancels_are_refunded_once(running: Running) -> None:
    queued = await running.submit(soul("a fox"))
    canceled = await asyncio.gather(*(cancel(client, queued.id) for client in running.transports.values()))
    assert {(name_of(one), one.revision) for one in canceled} == {("CANCELED", canceled[0].revision)}
    assert len(running.ledger.refunds) == 1


async def test_the_last_message_of_a_watch_has_the_number_of_polls_that_is_stored(start: Start) -> None:
    """The end is stored by a cancellation, after polls that changed nothing and so stored nothing."""
    running = await start(POLL_MIN=0.05, POLL_MAX=0.05)
    queued = await running.submit(soul("a fox"))
    watch = asyncio.create_task(running.until(queued.id, "CANCELED"))
    await eventually(lambda: running.gateway._core.feed.entries[GenerationId(queued.id)].polls > 1)
    await cancel(running.grpc, queued.id)
    last = await watch
    assert last.upstream.poll_count > 1
    assert (await running.get(queued.id)).upstream == last.upstream


@pytest.mark.parametrize("times", [1, 3])
async def test_a_cancel_during_the_submission_waits_for_its_outcome(
    running: Running, grpc: Transport, times: int
) -> None:
    with running.held(on="submit"):
        stored = await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
        await eventually(lambda: bool(running.ledger.charges))
        canceling = [asyncio.create_task(cancel(grpc, stored.id)) for _ in range(times)]
        await running.calls_open("CancelGeneration", times)
    canceled = await asyncio.gather(*canceling)
    assert {name_of(one) for one in canceled} == {"CANCELED"}
    assert len(running.ledger.charges) == len(running.ledger.refunds) == 1


async def test_a_cancel_during_the_submission_whose_caller_leaves_takes_effect_at_once(start: Start) -> None:
    running = await start(POLL_MIN=300, POLL_MAX=300)
    with running.held(on="submit"):
        stored = await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
        await eventually(lambda: bool(running.ledger.charges))
        (await begin_to_cancel(running, stored.id)).cancel()
        await running.calls_open("CancelGeneration", 0)
    canceled = await running.until(stored.id, "CANCELED")
    assert canceled.upstream.last_change_source == generation_pb2.CHANGE_SOURCE_CANCEL
    assert [one.reason for one in running.ledger.refunds] == ["canceled"]


async def test_a_cancel_before_the_submission_is_refused_ends_canceled(running: Running) -> None:
    with running.held(on="submit", status=422, body={"detail": "no"}):
        waiting = asyncio.create_task(running.submit(soul("a fox")))
        await eventually(lambda: bool(running.ledger.submissions))
        (listed,) = (await running.grpc.call("ListGenerations", pb.ListGenerationsRequest())).generations
        canceling = await begin_to_cancel(running, listed.id)
    assert name_of(await canceling) == "CANCELED"
    assert name_of(await waiting) == "CANCELED"
    assert running.ledger.charges == []


async def test_a_cancel_before_a_429_ends_canceled_without_a_retry(running: Running) -> None:
    with running.held(on="submit", status=429, body={"detail": "full"}, headers={"Retry-After": "60"}):
        stored = await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
        await eventually(lambda: bool(running.ledger.submissions))
        canceling = await begin_to_cancel(running, stored.id)
    assert name_of(await canceling) == "CANCELED"
    assert len(running.ledger.submissions) == 1


async def test_a_cancel_before_the_response_is_lost_is_refused_with_the_state(start: Start) -> None:
    running = await start(UPSTREAM_IDEMPOTENCY="off")
    with running.held(on="submit", kind="500", processed=True):
        stored = await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
        await eventually(lambda: bool(running.ledger.charges))
        canceling = await begin_to_cancel(running, stored.id)
    with pytest.raises(RpcFailure) as raised:
        await canceling
    assert raised.value.reason == "NOT_CANCELABLE"
    assert raised.value.failure.metadata["state"] == "UNCERTAIN"


async def test_a_repeat_finds_the_request_that_is_to_be_canceled(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due_steps, "PAUSE_AFTER_WHOLE_ERROR", 0.0)
    with running.held(on="submit", kind="500", processed=True) as respond, running.held(on="submit"):
        stored = await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
        await eventually(lambda: bool(running.ledger.charges))
        canceling = await begin_to_cancel(running, stored.id)
        respond()
        with pytest.raises(RpcFailure) as raised:
            await canceling
    assert raised.value.reason == "NOT_CANCELABLE"
    await running.until(stored.id, "CANCELED")
    assert len(running.ledger.submissions) == 2
    assert [one.reason for one in running.ledger.refunds] == ["canceled"]
    assert len(running.ledger.charges) == 1


async def test_a_cancel_without_effect_at_higgsfield_is_refused(running: Running, grpc: Transport) -> None:
    queued = await running.submit(soul("a fox"))
    running.plan(on="cancel", status=202, body="")
    with pytest.raises(RpcFailure) as raised:
        await cancel(grpc, queued.id)
    assert raised.value.reason == "NOT_CANCELABLE"
    assert raised.value.failure.metadata["state"] == "QUEUED"
    assert name_of(await running.get(queued.id)) == "QUEUED"


@pytest.mark.parametrize(
    "answer", [{"status": 400, "body": {"detail": "no"}}, {"kind": "500"}, {"kind": "html"}, {"kind": "lost"}], ids=str
)
async def test_the_status_decides_and_not_the_response_to_the_cancel(
    running: Running, answer: dict[str, object]
) -> None:
    queued = await running.submit(soul("a fox"))
    running.plan(on="cancel", processed=True, **answer)
    assert name_of(await cancel(running.grpc, queued.id)) == "CANCELED"


@pytest.mark.parametrize(
    "answer",
    [
        {"kind": "500"},
        {"kind": "html"},
        {"kind": "half"},
        {"kind": "close", "times": 2},  # a kept-alive connection that closes proves nothing: the client retries once
        {"status": 401, "body": {"detail": "Invalid credentials"}},
        {"status": 404, "body": {"detail": "Not found"}},
        {"status": 422, "body": {"detail": "no"}},
    ],
    ids=str,
)
async def test_a_cancel_whose_status_call_fails_is_unavailable_and_repeatable(
    start: Start, answer: dict[str, object]
) -> None:
    running = await start(POLL_MIN=30, POLL_MAX=30)
    queued = await running.submit(soul("a fox"))
    running.plan(on="status", **answer)
    with pytest.raises(RpcFailure) as raised:
        await cancel(running.grpc, queued.id)
    assert (raised.value.code, raised.value.reason) == ("UNAVAILABLE", "UPSTREAM_UNAVAILABLE")
    assert name_of(await cancel(running.grpc, queued.id)) == "CANCELED"


async def test_a_cancel_that_higgsfield_limits_is_unavailable_and_repeatable(running: Running) -> None:
    queued = await running.submit(soul("a fox"))
    running.plan(on="cancel", status=429, body={"detail": "Too many requests"}, headers={"Retry-After": "7"})
    with pytest.raises(RpcFailure) as raised:
        await cancel(running.grpc, queued.id)
    assert (raised.value.code, raised.value.reason) == ("UNAVAILABLE", "UPSTREAM_UNAVAILABLE")
    assert raised.value.failure.retry_delay.seconds == 7
    assert name_of(await cancel(running.grpc, queued.id)) == "CANCELED"


async def test_a_stored_cancel_that_gets_no_response_does_not_hide_the_end(running: Running) -> None:
    running.plan(on="cancel", kind="reset", times=10**6)
    with running.held(on="submit"):
        stored = await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
        await eventually(lambda: bool(running.ledger.charges))
        canceling = await begin_to_cancel(running, stored.id)
    with pytest.raises(RpcFailure) as raised:
        await canceling
    assert raised.value.reason == "UPSTREAM_UNAVAILABLE"
    assert (await running.finish(stored.id)).outputs


async def test_a_cancel_frees_a_slot_for_the_next_generation(start: Start) -> None:
    running = await start(UPSTREAM_CONCURRENCY=1)
    first = await running.submit(soul("the first"))
    second = await running.submit(soul("the second", wait_for=pb.WAIT_FOR_STORED))
    assert second.forecast.queue_position == 1
    await cancel(running.grpc, first.id)
    await running.until(second.id, "QUEUED")
    assert len(running.ledger.charges) == 2
