"""Authentication of webhooks: by the token, and by a signature if there is a secret; otherwise 404."""

from __future__ import annotations

import json

import pytest

from tests.support.running import Generation, Running, name_of, soul, without_forecast
from tests.support.webhooks import OTHER_SECRET, SECRET, path_of, post, signed, webhook_body
from tests.webhooks.conftest import Start


async def accepted(running: Running) -> tuple[Generation, str, bytes]:
    """Return a queued generation, its webhook URL, and the body of its webhook."""
    queued = await running.submit(soul("a fox"))
    return queued, path_of(running, "a fox"), webhook_body(queued.upstream.request_id)


async def test_an_unknown_token_is_a_404_and_causes_no_poll(start: Start) -> None:
    running = await start()
    queued, path, body = await accepted(running)
    base, _, token = path.rpartition("/")
    for wrong in ("x", token[:-1], token + "x", token.swapcase(), "%00", "a" * 5000, f"{token}/more"):
        assert (await post(f"{base}/{wrong}", body)).status == 404
    assert running.ledger.status_calls.total() == 0
    assert await running.read(queued.id) == without_forecast(queued)


def badly_signed(body: bytes) -> dict[str, dict[str, str]]:
    """Return invalid headers by their fault."""
    good = signed(body)
    return {
        "none": {},
        "of another secret": signed(body, OTHER_SECRET),
        "of another body": signed(body + b" "),
        "of another id": good | {"webhook-id": "msg_2"},
        "of another time": good | {"webhook-timestamp": str(int(good["webhook-timestamp"]) + 1)},
        "without an id": good | {"webhook-id": ""},
        "without a time": {name: value for name, value in good.items() if name != "webhook-timestamp"},
        "without a version": good | {"webhook-signature": good["webhook-signature"].removeprefix("v1,")},
        "of another version": good | {"webhook-signature": good["webhook-signature"].replace("v1,", "v1a,")},
        "empty": good | {"webhook-signature": ""},
        "no text": good | {"webhook-signature": "v1,\u00fc\u00fc"},
        "no number": good | {"webhook-timestamp": "now"},
        "a fraction": good | {"webhook-timestamp": good["webhook-timestamp"] + ".0"},
        "a number too large for a float": good | {"webhook-timestamp": "9" * 400},
        "a number too long to be read": good | {"webhook-timestamp": "9" * 5000},
    }


async def test_a_bad_signature_is_answered_like_an_unknown_token(start: Start) -> None:
    running = await start(WEBHOOK_SECRET=SECRET)
    queued, path, body = await accepted(running)
    nothing = await post(path + "x", body)
    assert nothing.status == 404
    for fault, headers in badly_signed(body).items():
        assert await post(path, body, headers) == nothing, fault
    assert await running.read(queued.id) == without_forecast(queued)
    assert running.ledger.status_calls.total() == 0
    assert await running.metric("hfgateway_webhooks_counted_total") == 0


@pytest.mark.parametrize("age", [290.0, -290.0])
async def test_a_signature_with_a_small_clock_difference_is_valid(start: Start, age: float) -> None:
    running = await start(WEBHOOK_SECRET=SECRET)
    queued, path, body = await accepted(running)
    assert (await post(path, body, signed(body, age=age))).status == 200
    await running.until(queued.id, "COMPLETED")


@pytest.mark.parametrize("age", [86_400.0, -310.0], ids=["of yesterday", "from the future"])
async def test_a_signature_with_a_wrong_time_causes_a_poll(start: Start, age: float) -> None:
    """If the gateway's clock is wrong, the webhook must not be lost: it would not be sent again."""
    running = await start(WEBHOOK_SECRET=SECRET)
    queued, path, body = await accepted(running)
    assert (await post(path, body, signed(body, age=age))).status == 200
    await running.metric_becomes("hfgateway_webhooks_unconfirmed_total", 1)
    assert await running.read(queued.id) == without_forecast(queued)
    running.clock.advance(60)
    assert (await post(path, body, signed(body, age=age, name="msg_2"))).status == 200
    await running.until(queued.id, "COMPLETED")
    assert running.ledger.status_calls.total() == 2


@pytest.mark.parametrize("signs", [SECRET, OTHER_SECRET, f"{OTHER_SECRET} {SECRET}"], ids=["old", "new", "both"])
async def test_during_a_rotation_either_secret_is_valid(start: Start, signs: str) -> None:
    running = await start(webhook_secret=signs, WEBHOOK_SECRET=f"{SECRET},{OTHER_SECRET}")
    queued = await running.submit(soul("a fox"))
    await running.finish(queued.id)
    assert running.ledger.status_calls.total() == 0


async def test_a_signature_by_two_secrets_is_valid_with_one_of_them(start: Start) -> None:
    running = await start(webhook_secret=f"{OTHER_SECRET} {SECRET}", WEBHOOK_SECRET=SECRET)
    queued = await running.submit(soul("a fox"))
    await running.finish(queued.id)
    assert running.ledger.status_calls.total() == 0


async def test_without_a_secret_a_signature_proves_nothing(start: Start) -> None:
    running = await start(webhook_secret=SECRET)
    queued = await running.submit(soul("a fox"))
    await running.finish(queued.id)
    assert running.ledger.status_calls.total() == 1


async def test_a_signed_webhook_to_another_generations_path_binds_nothing(start: Start) -> None:
    running = await start(WEBHOOK_SECRET=SECRET)
    mine, _, body = await accepted(running)
    other = await running.submit(soul("an owl"))
    assert (await post(path_of(running, "an owl"), body, signed(body))).status == 200
    await running.metric_becomes("hfgateway_webhooks_foreign_total", 1)
    assert await running.read(mine.id) == without_forecast(mine)
    assert await running.read(other.id) == without_forecast(other)


async def test_a_webhook_signed_twice_with_one_id_counts_once(start: Start) -> None:
    running = await start(WEBHOOK_SECRET=SECRET)
    queued, path, body = await accepted(running)
    assert (await post(path, body, signed(body))).status == 200
    done = await running.until(queued.id, "COMPLETED")
    assert (await post(path, body, signed(body, age=5))).status == 200
    await running.metric_becomes("hfgateway_webhooks_duplicate_total", 1)
    late = json.loads(body) | {"status": "failed", "error": "no"}
    changed = json.dumps(late).encode()
    assert (await post(path, changed, signed(changed, name="msg_2"))).status == 200
    await running.metric_becomes("hfgateway_webhooks_late_total", 1)
    assert (await running.read(queued.id)).revision == done.revision
    assert name_of(await running.read(queued.id)) == "COMPLETED"
    assert running.ledger.status_calls.total() == 0
