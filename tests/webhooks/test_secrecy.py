"""The token in a webhook's path, the only proof of an unsigned webhook, is sent to Higgsfield only."""

from __future__ import annotations

import hashlib
import logging

import pytest

from gateway.sandbox.faults import Fault
from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.running import eventually, soul
from tests.support.webhooks import path_of, post, webhook_body
from tests.webhooks.conftest import Start


async def test_the_token_is_in_no_log_metric_explanation_or_error(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    running = await start(UPSTREAM_IDEMPOTENCY="off")
    running.plan(on="submit", status=422, body={"detail": "no"}, prompt="refused")
    running.plan(on="status", kind="503")
    done = await running.submit(soul("a fox"))
    lost = await running.submit(soul("an owl [lost]", wait_for=pb.WAIT_FOR_STORED))
    await running.until(lost.id, "UNCERTAIN")
    with pytest.raises(Exception, match="no") as raised:
        await running.submit(soul("refused"))
    urls = [path_of(running, prompt) for prompt in ("a fox", "an owl [lost]", "refused")]
    for url in urls:
        await post(url, b"garbage")
        await post(url, webhook_body(done.upstream.request_id, "paused"))
        await post(url + "x", webhook_body(done.upstream.request_id))
    running.clock.advance(60)
    for one in (done, lost):
        await running.until(one.id, "COMPLETED")
    texts = [await running.metrics(), str(raised.value)]
    for one in (done, lost):
        texts.append(str(await running.read(one.id)))
        texts.append(str(await running.grpc.call("ExplainGeneration", pb.ExplainGenerationRequest(id=one.id))))
    texts += [f"{record.getMessage()} {record.__dict__}" for record in caplog.records]
    texts.append(caplog.text)
    for url in urls:
        token = url.rpartition("/")[2]
        assert len(token) >= 22
        assert not [text for text in texts if token in text]


async def test_a_resolved_submission_keeps_only_the_hash_of_its_token(start: Start) -> None:
    running = await start(UPSTREAM_IDEMPOTENCY="off")
    running.plan(on="submit", status=422, body={"detail": "no"}, prompt="refused")
    with pytest.raises(Exception, match="no"):
        await running.submit(soul("refused"))
    lost = await running.submit(soul("an owl [lost]", wait_for=pb.WAIT_FOR_STORED))
    await running.submit(soul("a fox"))
    await eventually(lambda: len(running.ledger.charges) == 2)
    running.clock.advance(60)
    await running.until(lost.id, "COMPLETED")
    await running.stop_gateway()
    dump = b"".join(path.read_bytes() for path in running.store_path.parent.glob("store.db*"))
    for prompt in ("a fox", "an owl [lost]", "refused"):
        token = path_of(running, prompt).rpartition("/")[2]
        assert token.encode() not in dump
        assert hashlib.sha256(token.encode()).digest() in dump


async def test_an_unresolved_submission_keeps_its_token_for_repeats(start: Start) -> None:
    running = await start(UPSTREAM_CONCURRENCY=1)
    await running.submit(soul("the first"))
    await running.submit(soul("the second", wait_for=pb.WAIT_FOR_STORED))
    await running.stop_gateway()
    assert b"hf_webhook" in running.store_path.read_bytes()
    running.sandbox.state.plan.add([Fault.parse({"on": "submit", "kind": "500"})])
    await running.start_gateway()
    running.clock.advance(60)
    await eventually(lambda: len(running.ledger.submissions) == 3)
    _, failed, repeated = running.ledger.submissions
    assert (failed.webhook, failed.idempotency_key) == (repeated.webhook, repeated.idempotency_key)
