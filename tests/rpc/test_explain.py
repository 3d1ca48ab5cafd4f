"""ExplainGeneration: every change with its cause and every call with its outcome, in order, without secrets."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from gateway.generations import due_steps
from hfgateway.v1 import generation_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from tests.rpc.conftest import Start
from tests.support.running import Generation, Running, eventually, name_of, public_url, soul
from tests.support.transports import RpcFailure, Transport

PROMPT = "a prompt-of-the-caller"


async def explain(client: Transport, generation_id: str) -> pb.ExplainGenerationResponse:
    answer: pb.ExplainGenerationResponse = await client.call(
        "ExplainGeneration", pb.ExplainGenerationRequest(id=generation_id)
    )
    return answer


def shortened(event: pb.GenerationEvent) -> tuple[str, ...]:
    """Shorten an event: a call to its method, path end and status, a change to its revision, state and cause."""
    source = generation_pb2.ChangeSource.Name(event.source).removeprefix("CHANGE_SOURCE_")
    if event.HasField("upstream_call"):
        call = event.upstream_call
        assert (event.revision, event.state) == (0, 0)
        return (source, call.method, call.path.rpartition("/")[2], str(call.http_status))
    state = generation_pb2.GenerationState.Name(event.state).removeprefix("GENERATION_STATE_")
    return (source, str(event.revision), state)


def in_short(story: pb.ExplainGenerationResponse) -> list[tuple[str, ...]]:
    return [shortened(event) for event in story.events]


async def eventful(running: Running, monkeypatch: pytest.MonkeyPatch, **answer: Any) -> Generation:
    """Return a generation with a lost response, a retry under its key, polls, and a cancel by the caller."""
    monkeypatch.setattr(due_steps, "PAUSE_AFTER_WHOLE_ERROR", 0.0)
    running.plan(on="submit", kind="502", processed=True, **answer)
    stored = await running.submit(soul(PROMPT, wait_for=pb.WAIT_FOR_STORED, labels={"order": "label-of-the-caller"}))
    queued = await running.until(stored.id, "QUEUED")
    await eventually(lambda: running.ledger.status_calls[queued.upstream.request_id] >= 3)
    await running.grpc.call("CancelGeneration", pb.CancelGenerationRequest(id=stored.id))
    return await running.get(stored.id)


async def test_changes_and_calls_are_listed_in_order_with_causes(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    canceled = await eventful(running, monkeypatch)
    story, *others = [await explain(client, canceled.id) for client in running.transports.values()]
    assert all(other == story for other in others)
    assert in_short(story) == [
        ("GATEWAY", "1", "PENDING"),
        ("SUBMIT", "POST", "standard", "502"),
        ("SUBMIT", "2", "UNCERTAIN"),
        ("SUBMIT", "POST", "standard", "200"),
        ("SUBMIT", "3", "QUEUED"),
        ("POLL", "GET", "status", "200"),
        ("CANCEL", "POST", "cancel", "202"),
        ("POLL", "GET", "status", "200"),
        ("CANCEL", "4", "CANCELED"),
    ]
    times = [event.time.ToNanoseconds() for event in story.events]
    assert times == sorted(times)
    assert story.generation.id == canceled.id
    assert name_of(story.generation) == "CANCELED"
    assert not story.generation.HasField("input")


async def test_calls_have_correlation_ids_and_equal_polls_are_one_event(
    running: Running, grpc: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    canceled = await eventful(running, monkeypatch)
    calls = [event.upstream_call for event in (await explain(grpc, canceled.id)).events if event.upstream_call.method]
    assert len({uuid.UUID(call.correlation_id) for call in calls}) == len(calls)
    assert all(call.duration.ToNanoseconds() > 0 for call in calls)
    polls, last_polls = calls[2], calls[4]
    assert polls.times >= 3
    assert [call.times for call in calls] == [1, 1, polls.times, 1, last_polls.times]
    asked = running.ledger.status_calls[canceled.upstream.request_id]
    assert polls.times + last_polls.times == asked
    descriptions = [event.description for event in (await explain(grpc, canceled.id)).events]
    assert any(canceled.upstream.request_id in text for text in descriptions)


async def test_an_explanation_contains_no_input_and_no_secret(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    running = await start(**public_url(), credentials="sandbox:sandbox")
    canceled = await eventful(running, monkeypatch, body={"detail": f"{PROMPT} for Key sandbox:sandbox"})
    for client in running.transports.values():
        text = str(await explain(client, canceled.id))
        assert PROMPT not in text
        assert "sandbox:sandbox" not in text
        assert "hf_webhook" not in text
        assert "?" not in text
        token = (running.ledger.submissions[0].webhook or "").rpartition("/")[2]
        assert token
        assert token not in text


async def test_polls_with_different_outcomes_are_separate_events(running: Running) -> None:
    queued = await running.submit(soul("a fox"))
    request_id = queued.upstream.request_id
    await eventually(lambda: running.ledger.status_calls[request_id] >= 2)
    running.plan(on="status", status=404, body={"detail": "not yet"}, times=3)
    await eventually(lambda: running.ledger.status_calls[request_id] >= 7)
    await running.finish(queued.id)
    polls = [event.upstream_call for event in (await explain(running.grpc, queued.id)).events][2:]
    polls = [call for call in polls if call.method]
    assert [call.http_status for call in polls] == [200, 404, 200]
    assert polls[1].times == 3
    assert sum(call.times for call in polls) == running.ledger.status_calls[request_id]


async def test_a_call_that_is_answered_after_the_end_is_listed_but_not_remembered(running: Running) -> None:
    core, queued = running.gateway._core, await running.submit(soul("a fox"))
    with running.held(on="status"):
        polled = running.ledger.status_calls[queued.upstream.request_id]
        await eventually(lambda: running.ledger.status_calls[queued.upstream.request_id] > polled)
        await running.grpc.call("CancelGeneration", pb.CancelGenerationRequest(id=queued.id))
    await eventually(lambda: not len(core.follower._tasks))
    assert not core.recorder._last
    answer = await running.grpc.call("ExplainGeneration", pb.ExplainGenerationRequest(id=queued.id))
    calls = [event.upstream_call for event in answer.events if event.upstream_call.path.endswith("/status")]
    assert calls[-1].http_status == 200


async def test_a_call_without_a_response_has_no_status(running: Running) -> None:
    queued = await running.submit(soul("a fox"))
    running.plan(on="cancel", kind="lost")
    await running.grpc.call("CancelGeneration", pb.CancelGenerationRequest(id=queued.id))
    story = await explain(running.grpc, queued.id)
    (call,) = (event.upstream_call for event in story.events if event.upstream_call.path.endswith("/cancel"))
    assert (call.http_status, call.correlation_id, call.times) == (0, "", 1)


async def test_a_webhook_is_an_event(start: Start) -> None:
    running = await start(**public_url(), POLL_MIN=30, POLL_MAX=30)
    queued = await running.submit(soul("a fox"))
    await running.finish(queued.id)
    await running.metric_becomes("hfgateway_webhooks_counted_total", 1)
    story = await explain(running.grpc, queued.id)
    assert ("WEBHOOK", "3", "COMPLETED") in in_short(story)
    assert any(event.description.startswith("webhook: completed") for event in story.events)


async def test_an_explanation_is_the_same_after_a_restart(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    canceled = await eventful(running, monkeypatch)
    before = await explain(running.grpc, canceled.id)
    await running.stop_gateway()
    await running.start_gateway()
    assert (await explain(running.grpc, canceled.id)).events == before.events


async def test_a_waiting_generation_is_explained_by_the_concurrency_limit(start: Start) -> None:
    running = await start(UPSTREAM_CONCURRENCY=1)
    await running.submit(soul("the first"))
    waiting = await running.submit(soul("the second", wait_for=pb.WAIT_FOR_STORED))
    (stored,) = (await explain(running.grpc, waiting.id)).events
    assert "waiting: the account has reached its concurrency limit" in stored.description


async def test_a_refused_generation_is_explained_with_its_reason(running: Running) -> None:
    running.plan(on="submit", status=422, body={"detail": "this cannot be"})
    with pytest.raises(RpcFailure) as raised:
        await running.submit(soul("a fox"))
    story = await explain(running.grpc, raised.value.failure.metadata["generation_id"])
    assert in_short(story)[-2:] == [("SUBMIT", "POST", "standard", "422"), ("SUBMIT", "2", "FAILED")]
    assert "INPUT_REFUSED" in story.events[-1].description


async def test_an_unknown_generation_is_not_found(running: Running) -> None:
    for client in running.transports.values():
        for wrong in ("unknown", "00000000-0000-0000-0000-000000000000"):
            with pytest.raises(RpcFailure) as raised:
                await explain(client, wrong)
            assert (raised.value.code, raised.value.reason) == ("NOT_FOUND", "NOT_FOUND")


async def test_a_deleted_generation_has_no_explanation_and_no_events(running: Running) -> None:
    queued = await running.submit(soul("a fox"))
    await running.finish(queued.id)
    await running.grpc.call("DeleteGeneration", pb.DeleteGenerationRequest(id=queued.id))
    await running.stop_gateway()
    await running.start_gateway()
    with pytest.raises(RpcFailure):
        await explain(running.grpc, queued.id)
    assert await running.gateway._core.store.events.events(queued.id) == []


async def test_an_id_is_required(running: Running) -> None:
    for client in running.transports.values():
        with pytest.raises(RpcFailure) as raised:
            await explain(client, "")
        assert raised.value.fields == ["id"]


async def test_descriptions_contain_printable_characters_only(running: Running) -> None:
    queued = await running.submit(soul("a fox"))
    running.plan(on="status", patch={"status": "p\u00e4used\n\x00<b>"})
    await eventually(lambda: running.ledger.status_calls[queued.upstream.request_id] >= 2)
    done = await running.finish(queued.id)
    story = await explain(running.grpc, done.id)
    assert all(event.description.isprintable() for event in story.events)


async def test_an_explanation_waits_for_events_that_are_being_written(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, recorder = running.gateway._core.store, running.gateway._core.recorder
    record, write_out = store.events.record, recorder.write_out
    begun, goes_on, asked = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slowly(events: Any) -> None:
        begun.set()
        await goes_on.wait()
        await record(events)

    def noticed(generation_id: str) -> None:
        write_out(generation_id)
        asked.set()

    monkeypatch.setattr(store.events, "record", slowly)
    monkeypatch.setattr(recorder, "write_out", noticed)
    submitted = await running.submit(soul(PROMPT))
    await running.finish(submitted.id)
    writing = asyncio.create_task(recorder.flush())
    await begun.wait()
    asking = asyncio.create_task(explain(running.grpc, submitted.id))
    await asked.wait()
    goes_on.set()
    calls = [event for event in in_short(await asking) if event[1] in {"POST", "GET"}]
    assert (calls[0], calls[-1]) == (("SUBMIT", "POST", "standard", "200"), ("POLL", "GET", "status", "200"))
    await writing
