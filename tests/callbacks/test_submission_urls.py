"""URLs of submissions: a callback without a URL delivers to the URL that a submission was called with."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from gateway.callbacks import dispatcher, service
from gateway.process import assembly
from hfgateway.v1 import callback_service_pb2 as pb
from hfgateway.v1 import generation_service_pb2 as generation_pb
from tests.callbacks.conftest import Start
from tests.callbacks.receiver import CLOSE, Receiver, change, create, deliveries, finished, settles, state_of, until
from tests.callbacks.test_refusals import COARSE, DAY
from tests.support.running import Generation, Running, soul
from tests.support.timeline import Timed
from tests.support.transports import RpcFailure


async def ended(timed: Timed, url: str, prompt: str = "a fox") -> Generation:
    """Submit a generation with a URL; return it when it has ended."""
    stored = await timed.submit(soul(prompt, callback_url=url))
    await timed.advance(60.0, until=lambda: stored.id not in timed.live())
    await timed.wait_until_idle()
    return await timed.get(stored.id)


async def refused(running: Running, **fields: Any) -> RpcFailure:
    with pytest.raises(RpcFailure) as failure:
        await running.submit(soul("a fox", **fields))
    assert (failure.value.reason, failure.value.fields) == ("INVALID_INPUT", ["callback_url"])
    return failure.value


async def test_the_end_is_delivered_to_the_url_of_the_submission(running: Running, receiver: Receiver) -> None:
    made = await create(running, "")
    assert made.callback.url == ""
    await finished(running, "an owl")
    async with Receiver() as other:
        first = await finished(running, "a fox", callback_url=receiver.url + "&job=7")
        second = await finished(running, "a hare", callback_url=other.url)
        await settles(running, made.callback.id, 2)
        ((got,), (elsewhere,)) = receiver.got, other.got

    assert got.verify(made.secret)["type"] == "generation.completed"
    assert (got.target, got.generation.id) == ("/hook?of=shop&job=7", first.id)
    assert elsewhere.signed_by(made.secret)
    assert elsewhere.generation.id == second.id


async def test_every_change_is_delivered_if_the_callback_says_so(running: Running, receiver: Receiver) -> None:
    made = await create(running, "", every_change=True)
    async with Receiver() as other:
        ends = await create(running, other.url, key="ends")
        done = await finished(running, "a fox", callback_url=receiver.url)
        await settles(running, made.callback.id, done.revision)
        await settles(running, ends.callback.id, 1)
    assert [got.generation.revision for got in receiver.got] == list(range(1, done.revision + 1))
    assert [got.generation.revision for got in other.got] == [done.revision]  # a callback's own URL is not replaced


@pytest.mark.parametrize(
    "url",
    [
        "not a URL",
        "http://example.com/canary",
        "https://user:canary@example.com/",
        "https://169.254.169.254/canary",
        "https://127.0.0.1/?canary",
        "https://example.com/" + "canary" * 400,
    ],
)
async def test_an_invalid_url_is_refused_before_anything_is_stored(
    start: Start, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr(assembly, "LOOPBACK", ())
    running = await start()
    await create(running, "")
    failure = await refused(running, key="one", callback_url=url)
    assert "canary" not in failure.message
    assert not (await running.grpc.call("ListGenerations", generation_pb.ListGenerationsRequest())).generations
    assert (await running.submit(soul("a fox", "one"))).idempotency_key == "one"


async def test_a_url_needs_a_callback_without_a_url(running: Running, receiver: Receiver) -> None:
    await create(running, receiver.url)
    assert "create one with an empty url" in (await refused(running, callback_url=receiver.url)).message


async def test_a_repeated_submission_keeps_the_first_url(running: Running, receiver: Receiver) -> None:
    made = await create(running, "")
    first = await running.submit(soul("a fox", "one", callback_url=receiver.url))
    for other in ("", "http://127.0.0.1:9/other", "not a URL"):
        assert (await running.submit(soul("a fox", "one", callback_url=other))).id == first.id
    await running.finish(first.id)
    await settles(running, made.callback.id, 1)
    assert [got.target for got in receiver.got] == ["/hook?of=shop"]


async def test_a_url_survives_a_restart_before_and_after_the_end(running: Running, receiver: Receiver) -> None:
    receiver.usual = 500
    made = await create(running, "")
    stored = await running.submit(soul("a fox", callback_url=receiver.url))
    await running.stop_gateway()
    await running.start_gateway()
    await running.finish(stored.id)
    await until(running, made.callback.id, lambda found: [one.attempts for one in found] == [1])
    await running.stop_gateway()
    receiver.usual = 200
    await running.start_gateway()
    await change(running, made.callback.id, paused=False)
    (delivery,) = await settles(running, made.callback.id, 1)
    assert {got.id for got in receiver.got} == {delivery.id}


async def test_a_receiver_that_fails_pauses_and_holds_no_other(timed: Timed, receiver: Receiver) -> None:
    made = await create(timed, "")
    async with Receiver() as gone, Receiver() as down:
        gone.usual, down.usual = 410, CLOSE
        away = await ended(timed, gone.url)
        for number in range(4):
            await ended(timed, down.url, f"fox {number}")
        well = await ended(timed, receiver.url, "an owl")
        assert [got.generation.id for got in receiver.got] == [well.id]
        callback = await state_of(timed, made.callback.id)
        assert (callback.paused, callback.problem) == (False, pb.DELIVERY_PROBLEM_UNSPECIFIED)
        (given_up,) = await deliveries(timed, made.callback.id, generation_id=away.id)
        assert (given_up.state, given_up.attempts, given_up.problem) == (
            pb.DELIVERY_STATE_FAILED, 1, pb.DELIVERY_PROBLEM_GONE,
        )  # fmt: skip

        gone.usual = 200
        await timed.grpc.call("RedeliverDelivery", pb.RedeliverDeliveryRequest(id=given_up.id))
        await timed.wait_until_idle()
        assert [got.id for got in gone.got] == [given_up.id] * 2

        await timed.advance(3.5 * DAY, step=COARSE)
        failed = await deliveries(timed, made.callback.id, failed_only=True)
        assert [(one.state, one.attempts, one.problem) for one in failed] == [
            (pb.DELIVERY_STATE_FAILED, 10, pb.DELIVERY_PROBLEM_CONNECTION)
        ] * 4
        assert not (await state_of(timed, made.callback.id)).paused


async def test_the_deliveries_of_all_urls_are_bounded_together(
    start: Start, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "MAX_WAITING", 2)
    running = await start()
    made = await create(running, "")
    async with Receiver() as down:
        down.usual = 500
        for number in range(2):
            await finished(running, f"fox {number}", callback_url=down.url)
        await until(running, made.callback.id, lambda found: sum(one.attempts for one in found) == 2)
        owl = await finished(running, "an owl", callback_url=receiver.url)
        (pending, _) = await deliveries(running, made.callback.id)
        monkeypatch.setattr(service, "MAX_WAITING", 1)
        with pytest.raises(RpcFailure) as refused:
            await running.grpc.call("RedeliverDelivery", pb.RedeliverDeliveryRequest(id=pending.id))
        assert (refused.value.reason, refused.value.failure.metadata["limit"]) == ("QUOTA_EXCEEDED", "deliveries")
        down.usual = 200
        await change(running, made.callback.id, paused=False)
        found = await settles(running, made.callback.id, 3)
    assert owl.id in {one.generation_id for one in found}
    assert [got.generation.id for got in receiver.got] == [owl.id]


async def test_a_deleted_generation_has_no_deliveries(running: Running, receiver: Receiver) -> None:
    receiver.usual = 500
    made = await create(running, "")
    gone = await finished(running, "a fox", callback_url=receiver.url)
    await until(running, made.callback.id, lambda found: [one.attempts for one in found] == [1])
    await running.grpc.call("DeleteGeneration", generation_pb.DeleteGenerationRequest(id=gone.id))
    await change(running, made.callback.id, paused=False)
    await until(running, made.callback.id, lambda found: not found)
    assert len(receiver.got) == 1


async def test_the_url_is_in_no_log_metric_or_response(
    running: Running, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.usual = CLOSE
    made = await create(running, "")
    done = await finished(running, "a fox", callback_url=receiver.url + "&token=canary-of-a-token")
    found = await until(running, made.callback.id, lambda found: [one.attempts for one in found] == [1])
    explained = await running.grpc.call("ExplainGeneration", generation_pb.ExplainGenerationRequest(id=done.id))
    texts = [str(done), str(found), str(explained), await running.metrics()]
    texts += [str(record.__dict__) for record in caplog.records]
    assert [text for text in texts if "canary-of-a-token" in text] == []
    assert receiver.got[0].target.endswith("canary-of-a-token")


async def test_a_callback_without_a_url_cannot_be_tested(running: Running) -> None:
    made = await create(running, "")
    with pytest.raises(RpcFailure) as failure:
        await running.grpc.call("TestCallback", pb.TestCallbackRequest(id=made.callback.id))
    assert (failure.value.reason, failure.value.fields) == ("INVALID_INPUT", ["id"])
