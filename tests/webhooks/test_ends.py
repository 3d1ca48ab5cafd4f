"""Ends by webhook instead of by poll: of accepted generations, and of those whose response was lost."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest

from gateway.generations.admission import admission
from gateway.generations.polling import pace
from gateway.generations.stores import MAX_WEBHOOKS
from hfgateway.v1 import generation_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.commits import commits, lose_responses
from tests.support.running import WAIT_TIMEOUT, Running, eventually, name_of, soul
from tests.support.webhooks import SECRET, path_of, post, request_of, signed, webhook_body, webhook_outcomes
from tests.webhooks.conftest import Start


async def no_webhook_is_pending(running: Running) -> None:
    """Return when the gateway has processed every webhook that it keeps."""
    async with asyncio.timeout(WAIT_TIMEOUT):
        while await running.gateway._core.store.webhooks.unprocessed_webhooks():
            await asyncio.sleep(0.01)


UNSIGNED: dict[str, Any] = {}
SIGNED = {"webhook_secret": SECRET, "WEBHOOK_SECRET": SECRET}


@pytest.mark.parametrize("more", [{}, {"error": None, "payload": None}], ids=["no files", "no payload"])
async def test_a_signed_end_without_outputs_is_completed_with_those_of_the_status(
    start: Start, more: dict[str, None]
) -> None:
    running = await start(**SIGNED)
    running.plan(on="webhook", kind="lose")
    queued = await running.submit(soul("a fox"))
    running.clock.advance(60.0)
    body = json.dumps({"request_id": queued.upstream.request_id, "status": "completed", **more}).encode()
    assert (await post(path_of(running, "a fox"), body, signed(body))).status == 200
    done = await running.until(queued.id, "COMPLETED")
    assert [output.url.rpartition("/")[2] for output in done.outputs] == ["0.png"]


async def test_a_webhook_whose_commit_has_no_answer_is_refused_and_processed(start: Start) -> None:
    """Higgsfield delivers it again, but as a duplicate that would not be processed."""
    running = await start(**SIGNED)
    running.plan(on="webhook", kind="lose")
    queued = await running.submit(soul("a fox"))
    body = webhook_body(queued.upstream.request_id, "completed")
    lose_responses(running.gateway._core.store.webhooks, "store_webhook", 1, stored=True)
    assert (await post(path_of(running, "a fox"), body, signed(body))).status == 503
    assert (await post(path_of(running, "a fox"), body, signed(body))).status == 200
    await running.until(queued.id, "COMPLETED")
    assert await running.metric("hfgateway_webhooks_counted_total") == 1
    await no_webhook_is_pending(running)


async def test_a_webhook_whose_end_cannot_be_stored_at_first_counts_once(start: Start) -> None:
    running = await start(**SIGNED)
    queued = await running.submit(soul("a fox"))
    with commits("webhook processed") as processed:
        processed.fail_from(1)
        await running.finish(queued.id)
        await processed.reached(2)
        processed.fail_from(0)
        await no_webhook_is_pending(running)
    assert running.gateway._core.webhook_inbox.received == {"counted": 1}


@pytest.mark.parametrize("shape", ["flat", "envelope"])
@pytest.mark.parametrize(("webhook_settings", "asked"), [(UNSIGNED, 1), (SIGNED, 0)], ids=["unsigned", "signed"])
async def test_an_end_by_webhook_is_polled_only_if_it_is_unsigned(
    start: Start, shape: str, webhook_settings: dict[str, Any], asked: int
) -> None:
    running = await start(webhook_shape=shape, **webhook_settings)
    queued = await running.submit(soul("a fox"))
    done = await running.finish(queued.id)
    assert [output.url.rpartition("/")[2] for output in done.outputs] == ["0.png"]
    assert done.upstream.last_change_source == generation_pb2.CHANGE_SOURCE_WEBHOOK
    assert done.upstream.poll_count == 0
    assert running.ledger.status_calls.total() == asked
    assert await running.metric("hfgateway_webhooks_counted_total") == 1


@pytest.mark.parametrize("shape", ["flat", "envelope"])
@pytest.mark.parametrize("webhook_settings", [UNSIGNED, SIGNED], ids=["unsigned", "signed"])
async def test_a_failure_by_webhook_has_its_state_and_message(
    start: Start, shape: str, webhook_settings: dict[str, Any]
) -> None:
    running = await start(webhook_shape=shape, **webhook_settings)
    for directive, state in (("[fail]", "FAILED"), ("[nsfw]", "NSFW")):
        queued = await running.submit(soul(f"a fox {directive}"))
        ended = await running.finish(queued.id, state)
        assert ended.failure.message
        assert ended.upstream.last_change_source == generation_pb2.CHANGE_SOURCE_WEBHOOK


@pytest.mark.parametrize("webhook_settings", [UNSIGNED, SIGNED], ids=["unsigned", "signed"])
async def test_a_webhook_before_the_submit_response_counts_once(start: Start, webhook_settings: dict[str, Any]) -> None:
    running = await start(queue_seconds=0.0, **webhook_settings)
    running.plan(on="webhook", kind="early")
    running.plan(on="submit", delay=0.5)
    submitted = await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_DONE))
    assert name_of(submitted) == "COMPLETED"
    history = [generation async for generation in running.history(submitted.id)]
    assert [name_of(one) for one in history] == ["PENDING", "COMPLETED"]
    assert len(running.ledger.charges) == len(running.ledger.submissions) == 1


LOSSES = (
    "lost", "500", "502", "503", "504", "408", "html", "reset", "close", "half", "half_reset", "bad_chunk",
    "truncated_header", "garbage", "hang",
)  # fmt: skip
"""Every way in which a response can be lost."""


@pytest.mark.parametrize("webhook_settings", [UNSIGNED, SIGNED], ids=["unsigned", "signed"])
async def test_a_hundred_lost_responses_are_all_resolved_by_webhooks(
    start: Start, monkeypatch: pytest.MonkeyPatch, webhook_settings: dict[str, Any]
) -> None:
    monkeypatch.setattr(admission, "SILENT_IN_A_ROW", 1_000)  # all are sent at once, so that the gate stays open
    running = await start(UPSTREAM_IDEMPOTENCY="off", UPSTREAM_TIMEOUT=2, credits=Decimal(10_000), **webhook_settings)
    requests = [soul(f"fox {number}", wait_for=pb.WAIT_FOR_STORED) for number in range(100)]
    for number in range(100):
        running.plan(on="submit", kind=LOSSES[number % len(LOSSES)], processed=True, prompt=f"fox {number}")
    stored = await asyncio.gather(*map(running.submit, requests))
    await asyncio.gather(*(running.until(one.id, "UNCERTAIN") for one in stored))
    await eventually(lambda: len(running.ledger.charges) == 100)
    running.clock.advance(60)
    done = await asyncio.gather(*(running.until(one.id, "COMPLETED") for one in stored))
    assert len({one.upstream.request_id for one in done}) == 100
    assert {one.upstream.last_change_source for one in done} == {generation_pb2.CHANGE_SOURCE_WEBHOOK}
    assert len(running.ledger.submissions) == len(running.ledger.charges) == 100
    assert running.ledger.double_charged_prompts == {}
    assert await running.metric("hfgateway_webhooks_bound_total") == 100
    assert await running.metric("hfgateway_generations_uncertain") == 0


async def test_run_times_are_not_learned_from_resolved_uncertain_ones(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "SILENT_IN_A_ROW", 1_000)
    running = await start(UPSTREAM_IDEMPOTENCY="off")
    requests = [
        soul(f"fox {number} [lost]", wait_for=pb.WAIT_FOR_STORED) for number in range(2 * pace.ENOUGH_DURATIONS)
    ]
    stored = await asyncio.gather(*map(running.submit, requests))
    await asyncio.gather(*(running.until(one.id, "UNCERTAIN") for one in stored))
    running.clock.advance(60)
    await asyncio.gather(*(running.until(one.id, "COMPLETED") for one in stored))
    await running.stop_gateway()
    await running.start_gateway()
    queued = await running.submit(soul("an owl"))
    assert queued.forecast.basis == generation_pb2.FORECAST_BASIS_BUILT_IN


@pytest.mark.parametrize("directive", ["", " [lost]"], ids=["accepted", "lost"])
async def test_a_premature_webhook_does_not_suppress_the_real_one(start: Start, directive: str) -> None:
    running = await start(UPSTREAM_IDEMPOTENCY="off")
    prompt = f"a fox{directive}"
    submitted = await running.submit(soul(prompt, wait_for=pb.WAIT_FOR_STORED))
    await running.until(submitted.id, "UNCERTAIN" if directive else "QUEUED")
    await post(path_of(running, prompt), webhook_body(request_of(running, prompt)))
    await running.metric_becomes(f"hfgateway_webhooks_{'bound' if directive else 'unconfirmed'}_total", 1)
    assert name_of(await running.read(submitted.id)) == "QUEUED"
    running.clock.advance(60)
    done = await running.until(submitted.id, "COMPLETED")
    assert done.upstream.last_change_source == generation_pb2.CHANGE_SOURCE_WEBHOOK


async def test_the_real_webhook_may_arrive_during_the_poll_of_a_premature_one(start: Start) -> None:
    running = await start()
    queued = await running.submit(soul("a fox"))
    with running.held(on="status"):  # the response has the state of the time of the request
        await post(path_of(running, "a fox"), webhook_body(queued.upstream.request_id))
        await eventually(lambda: running.ledger.status_calls.total() == 1)
        running.clock.advance(60)
        await eventually(lambda: len(running.ledger.webhook_attempts) == 1)
    done = await running.until(queued.id, "COMPLETED")
    assert done.upstream.last_change_source == generation_pb2.CHANGE_SOURCE_WEBHOOK
    assert await webhook_outcomes(running, 1) == ["200"]
    assert running.ledger.status_calls.total() == 2


async def test_many_premature_webhooks_cause_few_polls(start: Start) -> None:
    running = await start()
    queued = await running.submit(soul("a fox"))
    answers = []
    for _ in range(2 * MAX_WEBHOOKS):
        answer = await post(path_of(running, "a fox"), webhook_body(queued.upstream.request_id))
        answers.append(answer.status)
        await no_webhook_is_pending(running)  # until then the next one is a duplicate: answered 200, not kept
    assert answers == [200] * MAX_WEBHOOKS + [503] * MAX_WEBHOOKS
    assert running.ledger.status_calls.total() == MAX_WEBHOOKS
