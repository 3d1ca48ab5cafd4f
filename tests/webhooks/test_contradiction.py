"""Two contradictory ends of a request: the first stored one is kept, the other is counted and logged."""

from __future__ import annotations

import pytest

from hfgateway.v1 import generation_pb2
from tests.support.running import Running, eventually, name_of, soul, without_forecast
from tests.support.webhooks import SECRET, path_of, post, signed, webhook_body
from tests.webhooks.conftest import Start

SIGNED = {"webhook_secret": SECRET, "WEBHOOK_SECRET": SECRET}
OFTEN = {"POLL_MIN": 0.05, "POLL_MAX": 0.05}
COUNTED = "hfgateway_ends_contradicted_total"


def logged_ids(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the ids of the generations with a logged contradiction."""
    said = "Higgsfield reports another final state than before; the first one is kept"
    return [record.__dict__["generation_id"] for record in caplog.records if record.getMessage() == said]


async def test_a_webhook_that_contradicts_an_earlier_poll_is_counted(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    running = await start(**(SIGNED | OFTEN))
    running.plan(on="webhook", kind="lose")
    queued = await running.submit(soul("a fox"))
    await running.finish(queued.id)
    done = await running.read(queued.id)
    assert done.upstream.last_change_source == generation_pb2.CHANGE_SOURCE_POLL
    body = webhook_body(queued.upstream.request_id, "failed", error="no")
    assert (await post(path_of(running, "a fox"), body, signed(body))).status == 200
    await running.metric_becomes(COUNTED, 1)
    assert await running.read(queued.id) == without_forecast(done)
    assert logged_ids(caplog) == [queued.id]


async def test_a_poll_that_contradicts_an_earlier_webhook_is_counted(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    running = await start(**(SIGNED | OFTEN))
    running.plan(on="webhook", kind="lose")
    queued = await running.submit(soul("a fox"))
    await eventually(lambda: running.ledger.status_calls.total() > 0)
    with running.held(on="status"):  # the next response is computed at once and arrives too late
        running.clock.advance(60)
        await eventually(lambda: len(running.sandbox.state.plan) == 0)
        body = webhook_body(queued.upstream.request_id, "failed", error="no")
        assert (await post(path_of(running, "a fox"), body, signed(body))).status == 200
        failed = await running.until(queued.id, "FAILED")
    await running.metric_becomes(COUNTED, 1)
    assert (await running.read(queued.id)).revision == failed.revision
    assert logged_ids(caplog) == [queued.id]


async def test_a_repeated_end_is_not_a_contradiction(start: Start) -> None:
    running = await start(**SIGNED)
    queued = await running.submit(soul("a fox"))
    await running.finish(queued.id)
    done = await running.read(queued.id)
    body = webhook_body(queued.upstream.request_id, "completed", images=[])
    for name in ("msg_1", "msg_2"):
        await post(path_of(running, "a fox"), body, signed(body, name=name))
    await running.metric_becomes("hfgateway_webhooks_late_total", 2)
    assert await running.metric(COUNTED) == 0
    assert await running.read(queued.id) == without_forecast(done)


async def forge_another_end(running: Running) -> str:
    """Complete a generation, then post an unsigned webhook to its path that says it failed."""
    queued = await running.submit(soul("a fox"))
    await running.finish(queued.id)
    done = await running.read(queued.id)
    asked = running.ledger.status_calls.total()
    await post(path_of(running, "a fox"), webhook_body(queued.upstream.request_id, "failed", error="forged"))
    await running.metric_becomes("hfgateway_webhooks_late_total", 1)
    assert running.ledger.status_calls.total() == asked + 1
    assert name_of(done) == "COMPLETED"
    assert await running.read(queued.id) == without_forecast(done)
    return queued.id


async def test_a_forged_unsigned_end_is_not_a_contradiction(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    running = await start()
    await forge_another_end(running)
    assert await running.metric(COUNTED) == 0
    assert logged_ids(caplog) == []


async def test_an_unsigned_contradiction_confirmed_by_a_poll_is_counted(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    running = await start()
    running.plan(on="status")
    running.plan(on="status", patch={"status": "failed", "error": "after all"})
    generation_id = await forge_another_end(running)
    assert await running.metric(COUNTED) == 1
    assert logged_ids(caplog) == [generation_id]


async def test_an_unsigned_webhook_of_the_known_end_causes_no_poll(start: Start) -> None:
    running = await start(**OFTEN)
    running.plan(on="webhook", kind="lose")
    queued = await running.submit(soul("a fox"))
    await running.finish(queued.id)
    asked = running.ledger.status_calls.total()
    await post(path_of(running, "a fox"), webhook_body(queued.upstream.request_id, "completed"))
    await running.metric_becomes("hfgateway_webhooks_late_total", 1)
    assert running.ledger.status_calls.total() == asked
