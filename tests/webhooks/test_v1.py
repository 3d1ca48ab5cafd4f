"""Webhooks of the v1 API: authenticated by the secret of the submission; any content causes a poll."""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from typing import Any

import pytest

from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.running import Generation, Running, eventually, keyframes, name_of, sized, soul
from tests.support.webhooks import OTHER_SECRET, SECRET, path_of, post, request_of, signed, webhook_outcomes
from tests.webhooks.conftest import Start

HEADER = "X-Webhook-Secret-Key"


def secret_of(running: Running, prompt: str) -> str:
    """Return the secret that was sent to Higgsfield with this prompt."""
    found = running.sandbox.state.generation(request_of(running, prompt))
    assert found is not None
    return found.webhook_secret


async def deliver(running: Running, prompt: str, body: bytes, **headers: str) -> int:
    """Post a webhook with the right secret, or with the given headers."""
    proof = headers or {HEADER: secret_of(running, prompt)}
    return (await post(path_of(running, prompt), body, proof)).status


async def lost(running: Running, prompt: str) -> Generation:
    """Return an UNCERTAIN generation, accepted by Higgsfield with a lost response."""
    running.plan(on="submit", kind="502", processed=True, prompt=prompt)
    running.plan(on="webhook", kind="lose", prompt=prompt)
    stored = await running.submit(sized(prompt, wait_for=pb.WAIT_FOR_STORED))
    return await running.until(stored.id, "UNCERTAIN")


def named(job_set_id: str, **more: Any) -> bytes:
    return json.dumps({"id": job_set_id, "jobs": [], **more}).encode()


@pytest.mark.parametrize("submission", [sized("a fox"), keyframes("a fox")])
async def test_a_v1_webhook_ends_a_generation_with_one_confirming_poll(
    start: Start, submission: pb.SubmitGenerationRequest
) -> None:
    running = await start()
    submitted = await running.submit(submission)
    running.clock.advance(60)
    ended = await running.until(submitted.id, "COMPLETED")
    assert len(ended.outputs) == 4
    assert running.ledger.status_calls.total() == 1  # the poll that confirmed the end
    assert await webhook_outcomes(running, 1) == ["200"]


async def test_a_v1_webhook_binds_a_lost_response_charged_once(start: Start) -> None:
    running = await start()
    running.plan(on="submit", kind="502", processed=True)
    stored = await running.submit(sized("a fox", wait_for=pb.WAIT_FOR_STORED))
    await running.until(stored.id, "UNCERTAIN")
    running.clock.advance(60)
    ended = await running.until(stored.id, "COMPLETED")
    assert (len(ended.outputs), ended.upstream.request_id) == (4, request_of(running, "a fox"))
    assert len(running.ledger.submissions) == len(running.ledger.charges) == 1


@pytest.mark.parametrize("settings", [{}, {"WEBHOOK_SECRET": SECRET}], ids=["unsigned", "signed"])
@pytest.mark.parametrize("state", ["QUEUED", "UNCERTAIN"])
async def test_a_webhook_with_a_wrong_secret_changes_nothing(
    start: Start, state: str, settings: dict[str, str]
) -> None:
    running = await start(**settings)
    one = await lost(running, "a fox") if state == "UNCERTAIN" else await running.submit(sized("a fox"))
    other = await running.submit(sized("another"))
    right, body = secret_of(running, "a fox"), named(request_of(running, "a fox"))
    token = path_of(running, "a fox").rpartition("/")[2]
    nothing = await post(path_of(running, "a fox") + "x", body, {HEADER: right})
    assert nothing.status == 404
    wrong: dict[str, dict[str, str]] = {
        "none": {},
        "empty": {HEADER: ""},
        "shorter": {HEADER: right[:-1]},
        "longer": {HEADER: right + "0"},
        "in capitals": {HEADER: right.upper()},
        "beyond ASCII": {HEADER: "\u00fc" * 64},
        "the token": {HEADER: token},
        "derived from the token": {HEADER: hashlib.sha256(token.encode()).hexdigest()},
        "that of another": {HEADER: secret_of(running, "another")},
        "in another header": {"X-Webhook-Secret": right},
        "a signature of another secret": signed(body, OTHER_SECRET),
    }
    for fault, headers in wrong.items():
        assert await post(path_of(running, "a fox"), body, headers) == nothing, fault
    assert running.ledger.status_calls.total() == 0
    assert (await running.read(one.id)).revision == one.revision
    assert name_of(await running.read(other.id)) == "QUEUED"


async def test_a_v1_webhook_signed_with_the_account_secret_is_valid(start: Start) -> None:
    running = await start(WEBHOOK_SECRET=SECRET)
    uncertain = await lost(running, "a fox")
    body = named(request_of(running, "a fox"))
    assert await deliver(running, "a fox", body, **signed(body)) == 200
    assert name_of(await running.until(uncertain.id, "QUEUED")) == "QUEUED"


STRANGE: list[bytes] = [b"", b"{}", b"[]", b"<html>", b"\xff", b'{"status": "completed"}', b'{"id": "x", "jobs": 5}']


@pytest.mark.parametrize("body", STRANGE)
async def test_a_v1_webhook_with_any_body_causes_a_poll(start: Start, body: bytes) -> None:
    running = await start()
    running.plan(on="webhook", kind="lose")
    submitted = await running.submit(sized("a fox"))
    running.clock.advance(60)
    assert await deliver(running, "a fox", body) == 200
    await running.until(submitted.id, "COMPLETED")


async def test_the_content_of_a_v1_webhook_is_not_trusted(start: Start) -> None:
    running = await start()
    submitted = await running.submit(sized("a fox"))
    evil = {"raw": {"type": "image", "url": "https://evil.invalid/"}}
    jobs = [{"id": "1", "status": "completed", "results": evil}]
    body = named(request_of(running, "a fox"), jobs=jobs)
    assert await deliver(running, "a fox", body) == 200
    await running.metric_becomes("hfgateway_webhooks_unconfirmed_total", 1)
    assert (await running.read(submitted.id)).revision == submitted.revision
    running.clock.advance(60)
    ended = await running.until(submitted.id, "COMPLETED")
    assert "evil" not in str(ended)


async def test_an_unknown_or_foreign_job_set_binds_nothing(start: Start) -> None:
    running = await start()
    other, uncertain = await running.submit(sized("another")), await lost(running, "a fox")
    assert await deliver(running, "a fox", named(other.upstream.request_id)) == 200
    await running.metric_becomes("hfgateway_webhooks_foreign_total", 1)
    assert await deliver(running, "a fox", named(str(uuid.uuid4()))) == 200
    await running.metric_becomes("hfgateway_webhooks_unconfirmed_total", 1)
    assert (await running.read(uncertain.id)).revision == uncertain.revision


async def test_a_webhook_without_an_id_cannot_bind_an_uncertain_generation(start: Start) -> None:
    running = await start()
    uncertain = await lost(running, "a fox")
    assert await deliver(running, "a fox", b"{}") == 404
    assert (await running.read(uncertain.id)).revision == uncertain.revision
    assert running.ledger.status_calls.total() == 0


async def test_v1_webhooks_slow_down_no_polls(start: Start) -> None:
    running = await start()
    submitted = await running.submit(sized("a fox"))
    running.clock.advance(60)
    await running.until(submitted.id, "COMPLETED")
    core = running.gateway._core
    assert not core.webhook_inbox._reliability.arrive
    queued = await running.submit(soul("of v2"))
    running.clock.advance(60)
    await running.until(queued.id, "COMPLETED")
    assert core.webhook_inbox._reliability.arrive
    partly = await running.submit(sized("a batch"))
    entry = core.feed.entries[partly.id]
    assert entry.poll_at - core.clock.moment().steady <= 33  # the configured gap, not the minute of a backstop


async def test_the_v1_secret_is_not_exposed_and_removed_with_the_token(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    running = await start()
    uncertain = await lost(running, "an owl")
    secret = secret_of(running, "an owl")
    assert secret.encode() in running.store_path.read_bytes() + (
        running.store_path.with_name(running.store_path.name + "-wal").read_bytes()
    )
    await deliver(running, "an owl", b"{}")
    await deliver(running, "an owl", named(str(uuid.uuid4())), **{HEADER: secret + "x"})
    body = named(request_of(running, "an owl"))
    await deliver(running, "an owl", body)
    await running.until(uncertain.id, "QUEUED")
    running.clock.advance(60)
    await deliver(running, "an owl", body)
    await running.until(uncertain.id, "COMPLETED")
    story = await running.grpc.call("ExplainGeneration", pb.ExplainGenerationRequest(id=uncertain.id))
    texts = [await running.metrics(), str(story), str(await running.read(uncertain.id)), caplog.text]
    texts += [f"{record.getMessage()} {record.__dict__}" for record in caplog.records]
    await running.stop_gateway()
    assert not [text for text in texts if secret in text]
    dump = b"".join(path.read_bytes() for path in running.store_path.parent.glob("store.db*"))
    token = path_of(running, "an owl").rpartition("/")[2]
    assert secret.encode() not in dump
    assert token.encode() not in dump


async def test_the_v1_secret_survives_a_restart(start: Start) -> None:
    running = await start()
    uncertain = await lost(running, "a fox")
    await running.stop_gateway()
    await running.start_gateway()
    assert await deliver(running, "a fox", named(request_of(running, "a fox"))) == 200
    await running.until(uncertain.id, "QUEUED")
    await eventually(lambda: len(running.ledger.charges) == 1)
    assert len(running.ledger.submissions) == 1
