"""ResolveGeneration of v1 generations, for which no key makes a second POST safe."""

from __future__ import annotations

import logging

import pytest

from tests.admin.conftest import Start, resolve
from tests.admin.test_resolve import LOST, RESUBMIT, TWICE, refused
from tests.support.running import Generation, Running, eventually, name_of, public_url, sized, soul
from tests.support.webhooks import path_of, post, request_of


async def submit_and_lose(running: Running, prompt: str, *, processed: bool = True) -> Generation:
    running.plan(on="submit", kind="500", processed=processed, prompt=prompt)
    running.plan(on="webhook", kind="lose", prompt=prompt, times=2)
    stored = await running.submit(sized(prompt, wait_for=1))
    return await running.until(stored.id, "UNCERTAIN")


async def test_a_v1_generation_resolved_with_its_job_set_continues(start: Start) -> None:
    running = await start(UPSTREAM_IDEMPOTENCY="v2")
    uncertain = await submit_and_lose(running, "a fox")
    other = await running.submit(soul("of v2"))
    assert await refused(running, uncertain.id, request_id=other.upstream.request_id) == "request_id"
    bound = await resolve(running, uncertain.id, request_id=request_of(running, "a fox"))
    assert (name_of(bound), len(bound.outputs)) == ("QUEUED", 4)
    assert name_of(await running.finish(uncertain.id)) == "COMPLETED"
    assert [one.prompt for one in running.ledger.charges].count("a fox") == 1


async def test_a_v1_resubmission_requires_accepting_a_charge(start: Start) -> None:
    running = await start(UPSTREAM_IDEMPOTENCY="v2")
    uncertain = await submit_and_lose(running, "a fox", processed=False)
    assert await refused(running, uncertain.id, **RESUBMIT) == "resubmit"
    assert len(running.ledger.submissions) == 1
    sending = await resolve(running, uncertain.id, **TWICE)
    assert name_of(sending) == "UNCERTAIN"
    await running.until(uncertain.id, "QUEUED")
    assert len(running.ledger.charges) == 1
    assert len(running.ledger.submissions) == 2


async def test_a_job_set_of_a_lost_generation_becomes_a_new_one(start: Start) -> None:
    running = await start()
    uncertain = await submit_and_lose(running, "a fox")
    await resolve(running, uncertain.id, **LOST)
    found = await resolve(running, uncertain.id, request_id=request_of(running, "a fox"))
    assert found.id != uncertain.id
    assert len((await running.finish(found.id)).outputs) == 4


async def test_a_second_job_set_is_logged_and_v2_repeats_continue(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    running = await start(UPSTREAM_IDEMPOTENCY="v2", **public_url())
    uncertain = await submit_and_lose(running, "a fox")
    await resolve(running, uncertain.id, **TWICE)
    await running.until(uncertain.id, "QUEUED")
    first, second = (charge.request_id for charge in running.ledger.charges)
    body = f'{{"id": "{first}", "jobs": []}}'.encode()
    found = running.sandbox.state.generation(first)
    assert found is not None
    answer = await post(path_of(running, "a fox"), body, {"X-Webhook-Secret-Key": found.webhook_secret})
    assert answer.status == 200
    await running.metric_becomes("hfgateway_webhooks_stray_total", 1)
    known = await running.gateway._core.store.generations.any(uncertain.id)
    assert known is not None
    assert (known.request_id, known.stray_request_id) == (second, first)
    assert any(one.levelno == logging.CRITICAL and first in str(one.__dict__) for one in caplog.records)
    assert running.ledger.cancels == []
    # A lost v2 response is still repeated, by this process and by the next.
    for prompt in ("of v2", "after a restart"):
        running.plan(on="submit", kind="500", processed=True, prompt=prompt)
        stored = await running.submit(soul(prompt))
        assert name_of(stored) == "QUEUED"
        await eventually(lambda prompt=prompt: [one.prompt for one in running.ledger.submissions].count(prompt) == 2)
        await running.stop_gateway()
        await running.start_gateway()
    assert running.ledger.double_charged_prompts == {"a fox": 2}
