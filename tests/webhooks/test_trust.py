"""While webhooks arrive, polls rest; after a missing webhook, every generation is polled again."""

from __future__ import annotations

import pytest

from gateway.generations.polling import pace
from hfgateway.v1 import generation_pb2
from tests.support.running import Generation, Running, eventually, soul
from tests.support.webhooks import SECRET
from tests.webhooks.conftest import Start

OFTEN = {"POLL_MIN": 0.05, "POLL_MAX": 0.05, "webhook_secret": SECRET, "WEBHOOK_SECRET": SECRET}


async def repeatedly_polled(running: Running, prompt: str) -> Generation:
    """Submit a generation, and return it when it has been polled a few times."""
    queued = await running.submit(soul(prompt))
    await eventually(lambda: running.ledger.status_calls[queued.upstream.request_id] >= 3)
    return queued


async def ended_by_webhook(running: Running, prompt: str) -> Generation:
    """Submit a generation, and return it when a webhook has ended it."""
    # A poll that is in flight at this moment does not see the end yet.
    running.plan(on="status", prompt=prompt, patch={"status": "queued"}, times=20)
    queued = await running.submit(soul(prompt))
    running.clock.advance(60)
    done = await running.until(queued.id, "COMPLETED")
    assert done.upstream.last_change_source == generation_pb2.CHANGE_SOURCE_WEBHOOK
    return done


async def webhook_before_poll(running: Running, prompt: str) -> Generation:
    """Submit until a webhook arrives before the poll that is due: from then on, webhooks are trusted."""
    for number in range(50):
        queued = await running.submit(soul(f"{prompt} {number}"))
        running.clock.advance(60)
        done = await running.until(queued.id, "COMPLETED")
        if done.upstream.last_change_source == generation_pb2.CHANGE_SOURCE_WEBHOOK:
            return done
    raise AssertionError("no webhook ever came first")


async def test_polls_rest_while_webhooks_arrive_and_resume_after_a_missing_one(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await start(**OFTEN)
    await repeatedly_polled(running, "before any webhook")
    await webhook_before_poll(running, "the first webhook")

    quiet = await running.submit(soul("quiet [slow=100000]"))
    for number in range(30):
        await ended_by_webhook(running, f"fox {number}")
    assert running.ledger.status_calls[quiet.upstream.request_id] == 0

    monkeypatch.setattr(pace, "BACKSTOP_INTERVAL", 0.1)
    running.plan(on="webhook", kind="lose", prompt="webhook lost")
    silent = await running.submit(soul("webhook lost"))
    running.clock.advance(60)
    done = await running.until(silent.id, "COMPLETED")
    assert done.upstream.last_change_source == generation_pb2.CHANGE_SOURCE_POLL

    monkeypatch.setattr(pace, "BACKSTOP_INTERVAL", 3600.0)
    await repeatedly_polled(running, "after a lost webhook")
    await webhook_before_poll(running, "webhooks again")
    again = await running.submit(soul("quiet again [slow=100000]"))
    for number in range(30):
        await ended_by_webhook(running, f"owl {number}")
    assert running.ledger.status_calls[again.upstream.request_id] == 0


async def test_a_late_webhook_restores_trust(start: Start) -> None:
    running = await start(**OFTEN)
    running.plan(on="webhook", kind="delay", delay=100.0)
    queued = await running.submit(soul("a fox"))
    running.clock.advance(60)
    done = await running.until(queued.id, "COMPLETED")
    assert done.upstream.last_change_source == generation_pb2.CHANGE_SOURCE_POLL
    running.clock.advance(100)
    await running.metric_becomes("hfgateway_webhooks_late_total", 1)
    quiet = await running.submit(soul("quiet [slow=100000]"))
    for number in range(30):
        await ended_by_webhook(running, f"fox {number}")
    assert running.ledger.status_calls[quiet.upstream.request_id] == 0
    assert (await running.read(queued.id)).revision == done.revision
