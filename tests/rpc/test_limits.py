"""Time limits: a submission that waits too long, an unresolved outcome, a request that Higgsfield forgot."""

from __future__ import annotations

import pytest

from gateway.generations import due_steps
from gateway.generations.polling import missing
from gateway.rpc.handlers import generations
from hfgateway.v1 import error_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from tests.rpc.conftest import Start
from tests.support.running import Running, eventually, name_of, soul
from tests.support.transports import RpcFailure

STORED = pb.WAIT_FOR_STORED


async def test_a_generation_that_waits_too_long_fails_and_frees_its_key(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due_steps, "MAX_WAIT", 0.3)
    running.plan(on="submit", status=429, body={"detail": "full"}, headers={"Retry-After": "60"})
    waiting = await running.submit(soul("patience", "patience", wait_for=STORED))
    failed = await running.until(waiting.id, "FAILED")
    assert failed.failure.reason == error_pb2.ERROR_REASON_UPSTREAM_UNAVAILABLE
    assert not failed.HasField("accept_time")
    again = await running.submit(soul("patience", "patience", wait_for=STORED))
    assert again.id != waiting.id
    assert running.ledger.summary()["charge_count"] == 0


async def test_a_generation_unresolved_in_time_is_lost_and_keeps_its_key(start: Start) -> None:
    running = await start(UPSTREAM_IDEMPOTENCY="off", UNCERTAIN_TIMEOUT="1")
    running.plan(on="submit", kind="502", processed=True)
    sent = await running.submit(soul("lost", "lost", wait_for=STORED))
    lost = await running.until(sent.id, "LOST")
    assert lost.done
    assert lost.failure.reason == error_pb2.ERROR_REASON_SUBMISSION_UNRESOLVED
    again = await running.grpc.call("SubmitGeneration", soul("lost", "lost", wait_for=STORED))
    assert again.replayed
    assert again.generation.id == sent.id
    assert running.ledger.summary()["charge_count"] == 1


async def test_a_forgotten_request_is_lost_if_higgsfield_knows_others(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(missing, "GIVE_UP_MISSING", 0.2)
    monkeypatch.setattr(missing, "CONFIRM_MISSING", 0.2)
    monkeypatch.setattr(missing, "CONFIRMATIONS", 2)
    forgotten = await running.submit(soul("forgotten"))
    await running.submit(soul("known"))
    running.plan(on="status", prompt="forgotten", status=404, body={"detail": "Not found"}, times=1000)
    lost = await running.until(forgotten.id, "LOST")
    assert lost.HasField("accept_time")
    assert lost.failure.reason == error_pb2.ERROR_REASON_SUBMISSION_UNRESOLVED


async def test_while_every_status_call_is_a_404_nothing_is_given_up(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(missing, "GIVE_UP_MISSING", 0.0)
    monkeypatch.setattr(missing, "CONFIRM_MISSING", 0.0)
    monkeypatch.setattr(missing, "CONFIRMATIONS", 0)
    running.plan(on="status", status=404, body={"detail": "Not found"}, times=6)
    one = await running.submit(soul("alone"))
    while running.ledger.summary()["status_calls"] < 6:
        assert name_of(await running.get(one.id)) == "QUEUED"
    assert name_of(await running.finish(one.id)) == "COMPLETED"


DRIP = {"kind": "drip", "delay": 0.5}
"""One byte every half second: no single read takes long, but the whole response would take minutes."""


async def test_a_dripping_response_ends_at_the_total_timeout(start: Start) -> None:
    running = await start(UPSTREAM_TIMEOUT=2, UPSTREAM_IDEMPOTENCY="off")
    polled = await running.submit(soul("polled"))
    for on, prompt in (("status", "polled"), ("submit", "sent"), ("estimate", "priced")):
        running.plan(on=on, prompt=prompt, **DRIP)
    sent = await running.submit(soul("sent", wait_for=STORED))
    with pytest.raises(RpcFailure) as raised:
        await running.grpc.call("EstimateGeneration", pb.EstimateGenerationRequest(input=soul("priced").input))
    assert raised.value.reason == "UPSTREAM_UNAVAILABLE"
    await running.until(sent.id, "UNCERTAIN")
    await eventually(lambda: running.gateway._core.feed.entries[polled.id].errors == 1)
    assert len(running.sandbox.state.plan) == 0
    assert name_of(await running.get(polled.id)) == "QUEUED"


def test_the_default_limits_are_those_of_the_contract() -> None:
    assert (generations.DEFAULT_SUBMIT_WAIT, generations.DEFAULT_WAIT) == (10.0, 30.0)
    assert (due_steps.MAX_WAIT, missing.GIVE_UP_MISSING) == (86_400.0, 86_400.0)
