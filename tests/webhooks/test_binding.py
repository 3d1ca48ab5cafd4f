"""Webhooks bind a generation only to a request that Higgsfield knows and that no other generation has."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.generations import due_steps, sender
from gateway.generations.model import Generation as Stored
from gateway.generations.model import GenerationId, State
from gateway.store.sqlite import restore
from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.elsewhere import request_elsewhere
from tests.support.running import WAIT_TIMEOUT, Generation, Running, eventually, name_of, soul, without_forecast
from tests.support.webhooks import SECRET, path_of, post, request_of, signed, webhook_body
from tests.webhooks.conftest import Start

SIGNED = {"webhook_secret": SECRET, "WEBHOOK_SECRET": SECRET}
BOTH = pytest.mark.parametrize("webhook_settings", [{}, SIGNED], ids=["unsigned", "signed"])


async def uncertain_generation(running: Running, prompt: str) -> Generation:
    """Return an UNCERTAIN generation, whose response was lost."""
    running.plan(on="submit", kind="500", processed=True, prompt=prompt)
    stored = await running.submit(soul(prompt, wait_for=pb.WAIT_FOR_STORED))
    await running.until(stored.id, "UNCERTAIN")
    return await running.read(stored.id)


async def stored(running: Running, generation_id: str) -> Stored:
    """Return the generation as stored, with the fields that callers do not see."""
    found = await running.gateway._core.store.generations.any(generation_id)
    assert found is not None
    return found


@BOTH
async def test_a_request_of_another_generation_binds_nothing_and_is_counted(
    start: Start, webhook_settings: dict[str, Any]
) -> None:
    running = await start(UPSTREAM_IDEMPOTENCY="off", **webhook_settings)
    victim = await running.submit(soul("a fox"))
    uncertain = await uncertain_generation(running, "an owl")
    body = webhook_body(victim.upstream.request_id, "failed", error="forged")
    answer = await post(path_of(running, "an owl"), body, signed(body) if webhook_settings else {})
    assert answer.status == 200
    await running.metric_becomes("hfgateway_webhooks_foreign_total", 1)
    assert await running.read(victim.id) == without_forecast(victim)
    assert await running.read(uncertain.id) == without_forecast(uncertain)
    assert running.ledger.status_calls.total() == 0


@BOTH
async def test_a_request_that_higgsfield_does_not_know_binds_nothing(
    start: Start, webhook_settings: dict[str, Any]
) -> None:
    running = await start(UPSTREAM_IDEMPOTENCY="off", **webhook_settings)
    uncertain = await uncertain_generation(running, "an owl")
    body = webhook_body(str(uuid.uuid4()))
    assert (await post(path_of(running, "an owl"), body, signed(body) if webhook_settings else {})).status == 200
    await running.metric_becomes("hfgateway_webhooks_unconfirmed_total", 1)
    assert await running.read(uncertain.id) == without_forecast(uncertain)


@BOTH
async def test_a_generation_that_was_not_sent_is_bound_to_nothing(
    start: Start, webhook_settings: dict[str, Any]
) -> None:
    running = await start(**webhook_settings)
    running.plan(on="submit", kind="429", prompt="an owl", headers={"Retry-After": "60"})
    waiting = await running.submit(soul("an owl", wait_for=pb.WAIT_FOR_STORED))
    await eventually(lambda: any(one.prompt == "an owl" for one in running.ledger.submissions))
    url, body = path_of(running, "an owl"), webhook_body(await request_elsewhere(running, "a wolf"))
    async for seen in running.history(waiting.id):
        if seen.HasField("delay"):
            break
    await post(url, body, signed(body) if webhook_settings else {})
    await running.metric_becomes("hfgateway_webhooks_ignored_total", 1)
    found = await running.read(waiting.id)
    assert (name_of(found), found.upstream.request_id) == ("PENDING", "")


@BOTH
async def test_an_uncertain_generation_is_bound_with_the_state_of_a_poll(
    start: Start, webhook_settings: dict[str, Any]
) -> None:
    running = await start(UPSTREAM_IDEMPOTENCY="off", **webhook_settings)
    uncertain = await uncertain_generation(running, "an owl")
    body = webhook_body(request_of(running, "an owl"), "failed", error="forged")
    await post(path_of(running, "an owl"), body, signed(body) if webhook_settings else {})
    await running.metric_becomes("hfgateway_webhooks_bound_total", 1)
    bound = await running.read(uncertain.id)
    assert (name_of(bound), bound.upstream.request_id) == ("QUEUED", request_of(running, "an owl"))


async def test_a_forged_unsigned_webhook_changes_nothing(start: Start) -> None:
    running = await start(POLL_MIN=0.05, POLL_MAX=0.05)
    queued = await running.submit(soul("a fox"))
    await post(
        path_of(running, "a fox"), webhook_body(queued.upstream.request_id, images=[{"url": "https://evil.invalid/"}])
    )
    await running.metric_becomes("hfgateway_webhooks_unconfirmed_total", 1)
    assert (await running.read(queued.id)).revision == queued.revision
    done = await running.finish(queued.id)
    assert "evil" not in done.outputs[0].url


async def test_a_request_is_not_bound_to_two_generations(start: Start) -> None:
    running = await start(UPSTREAM_IDEMPOTENCY="off")
    first, second = await uncertain_generation(running, "a fox"), await uncertain_generation(running, "an owl")
    body = webhook_body(request_of(running, "a fox"))
    await post(path_of(running, "an owl"), body)  # the gateway cannot know the right generation yet
    await running.metric_becomes("hfgateway_webhooks_bound_total", 1)
    await post(path_of(running, "a fox"), body)
    await running.metric_becomes("hfgateway_webhooks_foreign_total", 1)
    assert name_of(await running.read(first.id)) == "UNCERTAIN"
    assert (await running.read(second.id)).upstream.request_id == request_of(running, "a fox")


async def test_a_generation_that_was_sent_after_the_backup_is_bound(start: Start, tmp_path: Path) -> None:
    """The restored store has no attempt of it, but Higgsfield runs it."""
    running = await start(UPSTREAM_CONCURRENCY=1)
    first = await running.submit(soul("a fox"))
    waiting = await running.submit(soul("an owl", wait_for=pb.WAIT_FOR_STORED))
    await running.stop_gateway()
    backup = tmp_path / "backup.db"
    restore.backup(running.store_path, backup)
    await running.start_gateway()
    await running.grpc.call("CancelGeneration", pb.CancelGenerationRequest(id=first.id))
    await running.until(waiting.id, "QUEUED")
    await running.stop_gateway()
    for end in ("-wal", "-shm"):
        Path(f"{running.store_path}{end}").unlink(missing_ok=True)
    shutil.copy(backup, running.store_path)
    await restore.declare_restored(running.store_path)
    await running.start_gateway()
    assert name_of(await running.read(waiting.id)) == "UNCERTAIN"
    await post(path_of(running, "an owl"), webhook_body(request_of(running, "an owl")))
    await running.metric_becomes("hfgateway_webhooks_bound_total", 1)
    assert (await running.read(waiting.id)).upstream.request_id == request_of(running, "an owl")


# -- A stray request of a generation -----------------------------------------------------------------------------------


async def repeated(running: Running, monkeypatch: pytest.MonkeyPatch, *, repeats: int = 1) -> Generation:
    """Return a generation that was charged again with each repeat because Higgsfield ignores its key."""
    async with last_response_held(running, monkeypatch, repeats=repeats) as generation:
        return generation


@asynccontextmanager
async def last_response_held(
    running: Running, monkeypatch: pytest.MonkeyPatch, *, repeats: int = 1
) -> AsyncIterator[Generation]:
    """Yield a generation as `repeated` returns it. The response to the last repeat waits until the end of the block."""
    monkeypatch.setattr(due_steps, "PAUSE_AFTER_WHOLE_ERROR", 0.0)
    monkeypatch.setattr(due_steps, "LATER_PAUSES", {})
    running.plan(on="submit", kind="500", processed=True, times=repeats)
    with running.held(on="submit"):
        first = await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
        await eventually(lambda: len(running.ledger.charges) == 1 + repeats)
        yield first


async def assert_repeats_are_off(running: Running) -> None:
    """Fail if a lost response is still repeated, by this process or the next."""
    for prompt in ("after it", "after a restart"):
        sent = len(running.ledger.submissions)
        uncertain = await uncertain_generation(running, prompt)
        story = await running.grpc.call("ExplainGeneration", pb.ExplainGenerationRequest(id=uncertain.id))
        assert [event.upstream_call.http_status for event in story.events if event.upstream_call.method] == [500]
        ended = await running.submit(soul(f"{prompt}, another"))
        await running.until(ended.id, "QUEUED")
        assert len(running.ledger.submissions) == sent + 2
        await running.stop_gateway()
        await running.start_gateway()


async def test_a_second_request_found_by_a_late_response_is_canceled(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    running = await start(honour_keys=False)
    async with last_response_held(running, monkeypatch) as submitted:
        first, second = (charge.request_id for charge in running.ledger.charges)
        await post(path_of(running, "a fox"), webhook_body(first))
        await running.until(submitted.id, "QUEUED")
    await eventually(lambda: len(running.ledger.refunds) == 1)
    assert [(one.request_id, one.reason) for one in running.ledger.refunds] == [(second, "canceled")]
    known = await stored(running, submitted.id)
    assert (known.request_id, known.stray_request_id) == (first, second)
    assert any(record.levelname == "CRITICAL" and second in str(record.__dict__) for record in caplog.records)
    await assert_repeats_are_off(running)


async def test_a_second_request_found_by_a_webhook_is_recorded(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    running = await start(honour_keys=False)
    submitted = await repeated(running, monkeypatch)
    await running.until(submitted.id, "QUEUED")
    first, second = (charge.request_id for charge in running.ledger.charges)
    await post(path_of(running, "a fox"), webhook_body(first))
    await running.metric_becomes("hfgateway_webhooks_stray_total", 1)
    known = await stored(running, submitted.id)
    assert (known.request_id, known.stray_request_id) == (second, first)
    assert [one.request_id for one in running.ledger.refunds] == [first]
    assert any(record.levelname == "CRITICAL" and first in str(record.__dict__) for record in caplog.records)
    await assert_repeats_are_off(running)


async def test_a_third_request_is_canceled_and_logged(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    running = await start(honour_keys=False)
    submitted = await repeated(running, monkeypatch, repeats=2)
    await running.until(submitted.id, "QUEUED")
    first, second, third = (charge.request_id for charge in running.ledger.charges)
    for number, strays in enumerate((first, second), 1):
        await post(path_of(running, "a fox"), webhook_body(strays))
        await running.metric_becomes("hfgateway_webhooks_stray_total", number)
    known = await stored(running, submitted.id)
    assert (known.request_id, known.stray_request_id) == (third, first)
    assert [one.request_id for one in running.ledger.refunds] == [first, second]
    critical = [str(record.__dict__) for record in caplog.records if record.levelname == "CRITICAL"]
    assert [any(request in line for line in critical) for request in (first, second)] == [True, True]


@asynccontextmanager
async def third_request_unknown(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Generation, str, str, str]]:
    """Submit a generation that Higgsfield takes three times. Yield it, and the ids of the requests in their order.

    Webhooks have shown the first two. The response with the third one arrives at the end of the block.
    """
    async with last_response_held(running, monkeypatch, repeats=2) as submitted:
        first, second, third = (charge.request_id for charge in running.ledger.charges)
        await post(path_of(running, "a fox"), webhook_body(first))
        await running.until(submitted.id, "QUEUED")
        await post(path_of(running, "a fox"), webhook_body(second))
        await running.metric_becomes("hfgateway_webhooks_stray_total", 1)
        yield submitted, first, second, third


async def test_a_third_request_found_by_a_late_response_is_canceled(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await start(honour_keys=False)
    async with third_request_unknown(running, monkeypatch) as (submitted, first, second, third):
        pass
    await eventually(lambda: len(running.ledger.refunds) == 2)
    assert {one.request_id for one in running.ledger.refunds} == {second, third}
    known = await stored(running, submitted.id)
    assert (known.request_id, known.stray_request_id) == (first, second)


async def test_a_third_request_that_was_adopted_is_not_canceled(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    running = await start(honour_keys=False)
    async with third_request_unknown(running, monkeypatch) as (_, _first, second, third):
        await running.grpc.call("AdoptGeneration", pb.AdoptGenerationRequest(upstream_request_id=third))
    await eventually(lambda: not running.gateway._core.sender.tasks)
    assert [cancel.request_id for cancel in running.ledger.cancels] == [second]


async def test_the_next_process_cancels_a_second_request(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    running = await start(honour_keys=False)
    running.plan(on="webhook", kind="lose")
    submitted = await repeated(running, monkeypatch)
    await running.until(submitted.id, "QUEUED")
    first, second = (charge.request_id for charge in running.ledger.charges)
    await post(path_of(running, "a fox"), webhook_body(first))
    await running.metric_becomes("hfgateway_webhooks_stray_total", 1)
    running.clock.advance(60)
    await post(path_of(running, "a fox"), webhook_body(second))
    await running.until(submitted.id, "COMPLETED")
    asked = len(running.ledger.cancels)
    await running.stop_gateway()
    await running.start_gateway()
    await eventually(lambda: len(running.ledger.cancels) > asked)
    assert [cancel.request_id for cancel in running.ledger.cancels[asked:]] == [first]


async def test_a_second_request_found_after_the_end_is_recorded(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    running = await start(honour_keys=False)
    running.plan(on="webhook", kind="lose")
    submitted = await repeated(running, monkeypatch)
    await running.until(submitted.id, "QUEUED")
    first, second = (charge.request_id for charge in running.ledger.charges)
    running.clock.advance(60)
    await running.until(submitted.id, "COMPLETED")
    await post(path_of(running, "a fox"), webhook_body(first))
    await running.metric_becomes("hfgateway_webhooks_stray_total", 1)
    known = await stored(running, submitted.id)
    assert (known.request_id, known.stray_request_id) == (second, first)
    assert name_of(await running.read(submitted.id)) == "COMPLETED"
    await assert_repeats_are_off(running)


async def test_nothing_is_repeated_if_a_second_request_is_found_while_its_age_is_checked(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due_steps, "PAUSE_AFTER_WHOLE_ERROR", 0.0)
    running = await start(honour_keys=False, UPSTREAM_IDEMPOTENCY="off", queue_seconds=1000.0)
    twice, once = await uncertain_generation(running, "a fox"), await uncertain_generation(running, "an owl")
    await running.gateway._core.resolver.resubmit(twice.id, may_charge_twice=True)
    await running.until(twice.id, "QUEUED")
    await running.stop_gateway()
    running._settings |= {"UPSTREAM_IDEMPOTENCY": "v2"}
    with running.held(on="time", times=10):
        await running.start_gateway()
        busy = running.gateway._core.follower._busy
        await eventually(lambda: once.id in busy)  # the repeat waits for Higgsfield's time
        await post(path_of(running, "a fox"), webhook_body(request_of(running, "a fox")))
        await running.metric_becomes("hfgateway_webhooks_stray_total", 1)
        assert once.id in busy
    await eventually(lambda: once.id not in busy)
    assert (await stored(running, once.id)).sends == 1


async def test_a_webhook_after_lost_is_recorded_and_changes_no_state(start: Start) -> None:
    running = await start(UPSTREAM_IDEMPOTENCY="off")
    uncertain = await uncertain_generation(running, "a fox")
    given_up = await running.gateway._core.resolver.lost(uncertain.id)
    await post(path_of(running, "a fox"), webhook_body(request_of(running, "a fox")))
    await running.metric_becomes("hfgateway_webhooks_stray_total", 1)
    assert (await stored(running, uncertain.id)).stray_request_id == request_of(running, "a fox")
    now = await running.read(uncertain.id)
    assert (name_of(now), now.revision) == ("LOST", given_up.revision)


async def test_a_repeat_that_comes_after_a_binding_webhook_leaves_the_slot_of_its_generation(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await start(UPSTREAM_CONCURRENCY=1, queue_seconds=1000.0)
    core = running.gateway._core
    read, marking, bound = core.sender._generations.request, asyncio.Event(), asyncio.Event()

    async def read_late(generation_id: GenerationId) -> Any:
        found = await read(generation_id)
        if core.feed.entries[generation_id].generation.state is State.UNCERTAIN:
            marking.set()
            await bound.wait()
        return found

    monkeypatch.setattr(due_steps, "PAUSE_AFTER_WHOLE_ERROR", 0.1)
    monkeypatch.setattr(core.sender._generations, "request", read_late)
    uncertain = await uncertain_generation(running, "a fox")
    async with asyncio.timeout(WAIT_TIMEOUT):
        await marking.wait()
    await post(path_of(running, "a fox"), webhook_body(request_of(running, "a fox")))
    await running.until(uncertain.id, "QUEUED")
    bound.set()
    await eventually(lambda: uncertain.id not in core.follower._busy)
    assert [admission.running for admission in core.admissions.by_name.values()] == [1]


async def test_a_stray_request_is_canceled_again_if_higgsfield_has_trouble(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "STRAY_CANCEL_PAUSES", (0.0, 0.0, 0.0))
    running = await start(honour_keys=False, queue_seconds=1000.0)
    submitted = await repeated(running, monkeypatch)
    await running.until(submitted.id, "QUEUED")
    stray = running.ledger.charges[0].request_id
    running.plan(on="cancel", kind="503")
    running.plan(on="cancel", kind="close")
    await post(path_of(running, "a fox"), webhook_body(stray))
    await running.metric_becomes("hfgateway_webhooks_stray_total", 1)
    await running.gateway._core.sender.tasks.drained()
    assert [refund.request_id for refund in running.ledger.refunds] == [stray]


async def test_a_stray_request_that_runs_is_not_canceled_again(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    running = await start(honour_keys=False, queue_seconds=0.0)
    submitted = await repeated(running, monkeypatch)
    await running.until(submitted.id, "IN_PROGRESS")
    await post(path_of(running, "a fox"), webhook_body(running.ledger.charges[0].request_id))
    await running.metric_becomes("hfgateway_webhooks_stray_total", 1)
    await running.gateway._core.sender.tasks.drained()
    assert len(running.ledger.cancels) == 1


async def test_a_restart_does_not_cancel_a_stray_request_that_was_adopted(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "STRAY_CANCEL_PAUSES", (0.0,))
    running = await start(honour_keys=False, queue_seconds=1000.0)
    submitted = await repeated(running, monkeypatch)
    await running.until(submitted.id, "QUEUED")
    stray = running.ledger.charges[0].request_id
    running.plan(on="cancel", kind="503")
    await post(path_of(running, "a fox"), webhook_body(stray))
    await running.metric_becomes("hfgateway_webhooks_stray_total", 1)
    adopted = await running.grpc.call("AdoptGeneration", pb.AdoptGenerationRequest(upstream_request_id=stray))
    await running.stop_gateway()
    await running.start_gateway()
    await running.gateway._core.sender.tasks.drained()
    assert running.ledger.refunds == []
    assert name_of(await running.read(adopted.generation.id)) == "QUEUED"


@pytest.mark.parametrize("is_adopted", [False, True])
async def test_a_deletion_removes_the_data_of_a_stray_request_unless_that_was_adopted(
    start: Start, monkeypatch: pytest.MonkeyPatch, is_adopted: bool
) -> None:
    running = await start(honour_keys=False, queue_seconds=0.0)
    submitted = await repeated(running, monkeypatch)
    await running.finish(submitted.id)
    stray, request_id = (charge.request_id for charge in running.ledger.charges)
    running.plan(on="cancel", kind="503")
    await post(path_of(running, "a fox"), webhook_body(stray))
    await running.metric_becomes("hfgateway_webhooks_stray_total", 1)
    adopt = pb.AdoptGenerationRequest(upstream_request_id=stray)
    if is_adopted:
        await running.grpc.call("AdoptGeneration", adopt)
    deleted = await running.grpc.call("DeleteGeneration", pb.DeleteGenerationRequest(id=submitted.id))
    assert deleted.removed_upstream
    assert [one.request_id for one in running.ledger.deletes] == [request_id, *([] if is_adopted else [stray])]


@pytest.mark.parametrize("is_adopted", [False, True])
async def test_a_deletion_removes_the_only_request_of_a_lost_generation_unless_that_was_adopted(
    start: Start, is_adopted: bool
) -> None:
    running = await start(UPSTREAM_IDEMPOTENCY="off", queue_seconds=0.0)
    uncertain = await uncertain_generation(running, "a fox")
    await running.gateway._core.resolver.lost(uncertain.id)
    stray = request_of(running, "a fox")
    await post(path_of(running, "a fox"), webhook_body(stray))
    await running.metric_becomes("hfgateway_webhooks_stray_total", 1)
    if is_adopted:
        await running.grpc.call("AdoptGeneration", pb.AdoptGenerationRequest(upstream_request_id=stray))
    running.clock.advance(60)
    deleted = await running.grpc.call("DeleteGeneration", pb.DeleteGenerationRequest(id=uncertain.id))
    assert deleted.removed_upstream is not is_adopted
    assert [one.request_id for one in running.ledger.deletes] == ([] if is_adopted else [stray])
    again = await running.grpc.call("DeleteGeneration", pb.DeleteGenerationRequest(id=uncertain.id))
    assert again.removed_upstream is not is_adopted
