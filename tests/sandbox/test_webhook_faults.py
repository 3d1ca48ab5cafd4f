"""Planned faults of webhook deliveries."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
import uuid
from typing import Any

import pytest

from tests.support.running import WAIT_TIMEOUT, eventually

KEY = bytes(range(24))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


def is_signed(delivered: Any) -> bool:
    headers = delivered.headers
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + delivered.body
    digest = base64.b64encode(hmac.new(KEY, content, hashlib.sha256).digest()).decode()
    return bool(headers["webhook-signature"] == f"v1,{digest}")


async def test_a_lost_delivery_is_never_sent(api: Any, receiver: Any) -> None:
    await api.plan(on="webhook", kind="lose")
    lost = await api.submit_and_finish(query=receiver.hook)
    assert await api.all_attempts() == []
    delivered = await api.submit_and_finish(query=receiver.hook)
    assert [one.request_id for one in await api.all_attempts()] == [delivered]

    ledger = await api.ledger()
    assert ledger["lost_webhooks"] == [lost]
    assert (ledger["webhook_deliveries"], ledger["webhook_lost"]) == (1, 1)


async def test_a_duplicate_is_sent_concurrently_with_the_same_id(api: Any, receiver: Any) -> None:
    both = asyncio.Barrier(2)

    async def meet(delivered: Any) -> None:
        await both.wait()

    receiver.answers = [meet, meet]
    await api.account(webhook_secret=SECRET)
    await api.plan(on="webhook", kind="duplicate")
    await api.submit_and_finish(query=receiver.hook)
    await api.all_attempts()

    one, other = receiver.received
    assert (one.body, one.headers["webhook-id"]) == (other.body, other.headers["webhook-id"])
    assert is_signed(one)
    assert is_signed(other)
    assert {made.attempt for made in api.sandbox.ledger.webhook_attempts} == {1, 2}


async def test_a_delayed_delivery_starts_its_retry_window_when_sent(api: Any, receiver: Any) -> None:
    receiver.answers = [500]
    await api.plan(on="webhook", kind="delay", delay=3 * 3600)
    await api.submit_and_finish(query=receiver.hook)
    assert api.sandbox.webhook_sender.pending == 1
    api.clock.advance(3 * 3600)
    (first,) = await api.attempts(1)
    assert first.at == 13 + 3 * 3600
    api.clock.advance(5)
    assert len(await api.all_attempts()) == 2


async def test_an_early_delivery_precedes_the_response_to_the_submission(api: Any, receiver: Any) -> None:
    answered = asyncio.Event()
    seen = []

    async def look(delivered: Any) -> None:
        seen.append((answered.is_set(), (await api.status(delivered.json["request_id"])).json["status"]))

    receiver.answers = [look]
    await api.plan(on="webhook", kind="early")
    answer = await api.submit(query=receiver.hook)
    answered.set()

    assert seen == [(False, "completed")]
    assert answer.json["status"] == "queued"
    assert receiver.reported == [(answer.json["request_id"], "completed")]
    assert len(await api.all_attempts()) == 1


async def test_early_waits_for_one_attempt_even_if_it_fails(api: Any, receiver: Any) -> None:
    receiver.answers = ["hang"]
    await api.account(webhook_timeout=0.1)
    await api.plan(on="webhook", kind="early")
    await api.submitted(query=receiver.hook)
    assert [one.outcome for one in api.sandbox.ledger.webhook_attempts] == ["timeout"]


async def test_early_does_not_wait_for_a_lost_delivery(api: Any, receiver: Any) -> None:
    await api.plan(on="webhook", kind="early")
    await api.plan(on="webhook", kind="lose")
    await api.submitted(query=receiver.hook)
    assert await api.all_attempts() == []
    assert receiver.received == []


async def test_early_does_not_wait_for_a_deleted_request(api: Any, receiver: Any) -> None:
    await api.plan(on="webhook", kind="early")
    await api.plan(on="webhook", kind="delay", delay=60)
    waiting = asyncio.ensure_future(api.submitted(query=receiver.hook))
    await eventually(lambda: api.sandbox.ledger.charges and api.sandbox.webhook_sender.pending)
    assert (await api.delete(api.sandbox.ledger.charges[0].request_id)).status == 200
    assert not waiting.done()

    api.clock.advance(60)
    await waiting
    assert receiver.received == []


async def test_the_response_after_an_early_delivery_can_be_lost(api: Any, receiver: Any) -> None:
    await api.plan(on="webhook", kind="early")
    await api.plan(on="submit", kind="502", processed=True)
    assert (await api.submit(query=receiver.hook)).status == 502
    (charge,) = api.sandbox.ledger.charges
    assert receiver.reported == [(charge.request_id, "completed")]


async def test_early_applies_to_new_requests_with_a_webhook_only(api: Any, receiver: Any) -> None:
    await api.submitted(key="k", query=receiver.hook)
    await api.plan(on="webhook", kind="early")
    await api.submitted("no webhook")
    await api.submitted(key="k", query=receiver.hook)
    assert (await api.submit("", model="z-image/turbo", query=receiver.hook)).status == 400
    assert (await api.call("DELETE", "/__plan")).status == 200
    assert receiver.received == []


async def test_early_waits_until_the_request_gets_a_slot(api: Any, receiver: Any) -> None:
    await api.account(concurrency_limit=1)
    await api.submitted("[slow=10] first")
    await api.plan(on="webhook", kind="early")
    waiting = asyncio.ensure_future(api.submitted("early", query=receiver.hook))
    await eventually(lambda: len(api.sandbox.ledger.submissions) == 2)
    api.clock.advance(10.9)
    assert await api.all_attempts() == []
    assert not waiting.done()

    api.clock.advance(0.1)
    request_id = await waiting
    assert receiver.reported == [(request_id, "completed")]


async def test_a_reset_ends_the_wait_of_an_early_submission(api: Any, receiver: Any) -> None:
    await api.account(concurrency_limit=1)
    await api.submitted("[slow=10] first")
    await api.plan(on="webhook", kind="early")
    waiting = asyncio.ensure_future(api.submit("early", query=receiver.hook))
    await eventually(lambda: len(api.sandbox.ledger.submissions) == 2)
    await api.call("POST", "/__reset")
    async with asyncio.timeout(WAIT_TIMEOUT):
        answer = await waiting
    assert answer.json["status"] == "queued"
    assert receiver.received == []


async def test_an_out_of_order_delivery_follows_the_next_one(api: Any, receiver: Any) -> None:
    await api.plan(on="webhook", kind="out_of_order")
    first = await api.submit_and_finish("first", query=receiver.hook)
    assert api.sandbox.webhook_sender.pending == 1
    second = await api.submit_and_finish("second", query=receiver.hook)
    await api.all_attempts()
    assert receiver.reported == [(second, "completed"), (first, "completed")]


async def test_a_foreign_id_is_unknown_or_the_one_in_the_plan(api: Any, receiver: Any) -> None:
    await api.account(webhook_secret=SECRET)
    other = await api.submitted("other")
    await api.plan(on="webhook", kind="foreign_id")
    await api.plan(on="webhook", patch={"request_id": other})
    first = await api.submit_and_finish(query=receiver.hook)
    await api.all_attempts()
    second = await api.submit_and_finish(query=receiver.hook)
    made = await api.all_attempts()

    unknown, named = (one.json["request_id"] for one in receiver.received)
    assert (await api.status(str(uuid.UUID(unknown)))).status == 404
    assert named == other
    assert first not in receiver.received[0].body.decode()
    assert [one.request_id for one in made] == [first, second]
    assert all(map(is_signed, receiver.received))


@pytest.mark.parametrize(("options", "age"), [({}, 600), ({"delay": 60}, 60)])
async def test_a_replay_has_an_old_but_valid_signature(
    api: Any, receiver: Any, options: dict[str, float], age: float
) -> None:
    await api.account(webhook_secret=SECRET)
    await api.plan(on="webhook", kind="replay", **options)
    await api.submit_and_finish(query=receiver.hook)
    await api.all_attempts()

    true, replayed = receiver.received
    assert (true.body, true.headers["webhook-id"]) == (replayed.body, replayed.headers["webhook-id"])
    assert is_signed(replayed)
    assert abs(time.time() - age - int(replayed.headers["webhook-timestamp"])) < 30


async def test_a_deleted_request_is_not_replayed(api: Any, receiver: Any) -> None:
    async def delete(delivered: Any) -> None:
        assert (await api.delete(delivered.json["request_id"])).status == 200

    receiver.answers = [delete]
    await api.plan(on="webhook", kind="replay")
    await api.submit_and_finish(query=receiver.hook)
    assert len(await api.all_attempts()) == 1


async def test_the_body_and_headers_of_a_delivery_can_be_changed(api: Any, receiver: Any) -> None:
    await api.account(webhook_secret=SECRET)
    await api.plan(on="webhook", patch={"status": "paused", "more": 1}, prompt="patched")
    await api.plan(on="webhook", body="no json", prompt="garbage")
    await api.plan(on="webhook", body=["a", "list"], prompt="list")
    await api.plan(on="webhook", headers={"webhook-signature": "v1,forged"}, prompt="forged")
    for prompt in ("forged", "list", "garbage", "patched"):
        await api.submit_and_finish(prompt, query=receiver.hook)
        await api.all_attempts()

    forged, of_list, garbage, patched = receiver.received
    assert forged.headers["webhook-signature"] == "v1,forged"
    assert of_list.json == ["a", "list"]
    assert garbage.body == b"no json"
    assert (patched.json["status"], patched.json["more"]) == ("paused", 1)
    assert all(map(is_signed, (of_list, garbage, patched)))


async def test_a_fault_applies_to_all_attempts_of_a_delivery(api: Any, receiver: Any) -> None:
    receiver.answers = [500]
    await api.plan(on="webhook", patch={"spoiled": True}, times=2)
    await api.submit_and_finish(query=receiver.hook)
    await api.attempts(1)
    api.clock.advance(5)
    await api.all_attempts()
    for _ in range(2):
        await api.submit_and_finish(query=receiver.hook)
        await api.all_attempts()
    assert ["spoiled" in one.json for one in receiver.received] == [True, True, True, False]


async def test_a_fault_for_any_call_does_not_apply_to_deliveries(api: Any, receiver: Any) -> None:
    request_id = await api.submitted(query=receiver.hook)
    await api.plan(kind="500")
    api.clock.advance(13)
    await api.all_attempts()
    assert receiver.reported == [(request_id, "completed")]
    assert (await api.status(request_id)).status == 500


@pytest.mark.parametrize(
    "fault",
    [{"kind": "500"}, {"kind": "reset"}, {"kind": "delay"}, {"status": 200}, {"kind": "lose", "processed": True}],
)
async def test_faults_of_calls_are_refused_for_deliveries(api: Any, fault: dict[str, Any]) -> None:
    answer = await api.call("POST", "/__plan", json={"faults": [{"on": "webhook", **fault}]})
    assert answer.status == 400


async def test_faults_of_deliveries_are_refused_for_calls(api: Any) -> None:
    answer = await api.call("POST", "/__plan", json={"faults": [{"on": "submit", "kind": "lose"}]})
    assert answer.status == 400
