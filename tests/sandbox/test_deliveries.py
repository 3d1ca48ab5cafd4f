"""Webhook retries, their time limit, and their record in the ledger."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import math
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from gateway.sandbox.accounts.account import SubmitRequest
from gateway.sandbox.catalog.models import MODELS
from gateway.sandbox.clock import Callback, ManualClock, ScaledClock
from gateway.sandbox.server import Sandbox, SandboxOptions
from tests.sandbox.conftest import WAIT_TIMEOUT
from tests.support.addresses import free_address
from tests.support.running import eventually
from tests.support.whole import whole

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
HOURS = 3600


async def redelivered(api: Any, receiver: Any, answer: int | str) -> bool:
    """Return whether the sandbox retries a delivery whose first attempt got this response."""
    receiver.answers = [answer]
    # Only a hanging receiver may time out, and not before it has the request, however slow the machine is.
    await api.account(webhook_timeout=2.0 if answer == "hang" else WAIT_TIMEOUT)
    await api.submit_and_finish(query=receiver.hook)
    (first,) = await api.attempts(1)
    await api.account(webhook_timeout=WAIT_TIMEOUT)
    api.clock.advance(5)
    made = await api.all_attempts()
    assert [one.outcome for one in made[1:]] in ([], ["200"])
    assert first.attempt == 1
    return len(made) == 2


@pytest.mark.parametrize("answer", [500, 502, 503, 599, "close", "hang"])
async def test_server_and_network_errors_are_retried_with_the_same_id(
    api: Any, receiver: Any, answer: int | str
) -> None:
    await api.account(webhook_secret=SECRET)
    assert await redelivered(api, receiver, answer)

    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    attempts = api.sandbox.ledger.webhook_attempts
    assert [one.attempt for one in attempts] == [1, 2]
    assert attempts[0].outcome == {"close": "ServerDisconnectedError", "hang": "timeout"}.get(str(answer), str(answer))


@pytest.mark.parametrize("answer", [200, 202, 204, 302, 307, 400, 401, 404, 410, 429])
async def test_other_responses_are_not_retried(api: Any, receiver: Any, answer: int) -> None:
    assert not await redelivered(api, receiver, answer)


@pytest.mark.parametrize("answer", [302, 400, 404, 410, 500, "close"])
async def test_until_2xx_retries_every_other_response(api: Any, receiver: Any, answer: int | str) -> None:
    await api.account(webhook_retry="until_2xx")
    assert await redelivered(api, receiver, answer)


async def test_a_redirect_is_not_followed(api: Any, receiver: Any) -> None:
    receiver.answers = [307]
    await api.submit_and_finish(query=receiver.hook)
    (attempt,) = await api.all_attempts()
    assert (attempt.outcome, len(receiver.received)) == ("307", 1)


def test_the_webhook_timeout_is_ten_seconds() -> None:
    assert SandboxOptions().webhook_timeout == 10


async def test_retry_delays_double_and_end_after_two_hours(api: Any, receiver: Any) -> None:
    receiver.answers = [500] * 100
    await api.submitted(query=receiver.hook)
    api.clock.advance(5)
    pauses = [5.0 * 2**number for number in range(10)]
    for number, pause in enumerate(pauses):
        await api.attempts(number + 1)
        for part in (0.9, 0.1):
            api.clock.advance(part * pause)
            await asyncio.sleep(0.001)

    made = await api.all_attempts()
    assert [later.at - earlier.at for earlier, later in itertools.pairwise(made)] == pytest.approx(pauses)
    assert 1 * HOURS < made[-1].at < 5 + 2 * HOURS
    api.clock.advance(10 * HOURS)
    assert len(await api.all_attempts()) == 11


async def test_an_overdue_retry_is_dropped_after_two_hours(api: Any, receiver: Any) -> None:
    receiver.answers = [500]
    await api.submit_and_finish(query=receiver.hook)
    await api.attempts(1)
    api.clock.advance(2 * HOURS + 1)
    assert len(await api.all_attempts()) == 1


async def test_a_refused_connection_is_retried(api: Any, receiver: Any) -> None:
    await api.submit_and_finish(query={"hf_webhook": f"http://{free_address()}/"})
    (first,) = await api.attempts(1)
    assert first.outcome == "ClientConnectorError"
    api.clock.advance(5)
    await api.attempts(2)


async def test_an_invalid_receiver_url_is_a_failed_attempt(api: Any) -> None:
    await api.submit_and_finish(query={"hf_webhook": "http://127.0.0.1:99999/"})
    (first,) = await api.attempts(1)
    assert first.outcome == "InvalidUrlClientError"


async def test_deleting_a_request_stops_its_retries(api: Any, receiver: Any) -> None:
    receiver.answers = [500]
    request_id = await api.submit_and_finish(query=receiver.hook)
    await api.attempts(1)
    assert (await api.delete(request_id)).status == 200
    api.clock.advance(5)
    assert len(await api.all_attempts()) == 1


async def test_deleting_a_request_cancels_its_delayed_delivery(api: Any, receiver: Any) -> None:
    await api.plan(on="webhook", delay=60)
    request_id = await api.submit_and_finish(query=receiver.hook)
    assert (await api.delete(request_id)).status == 200
    api.clock.advance(60)
    assert await api.all_attempts() == []


async def test_the_end_of_the_retention_stops_retries(api: Any, receiver: Any) -> None:
    receiver.answers = [500] * 100
    await api.submit_and_finish(query=receiver.hook, headers={"Hf-Expires-After": "3600"})
    await api.attempts(1)
    api.clock.advance(3601)
    assert len(await api.all_attempts()) == 1


async def test_a_hanging_receiver_does_not_block_other_deliveries(api: Any, receiver: Any) -> None:
    receiver.answers = ["hang"]
    await api.submit_and_finish(query=receiver.hook)
    await eventually(lambda: bool(receiver.received))
    other = await api.submit_and_finish(query=receiver.hook)
    (attempt,) = await api.attempts(1)
    assert (attempt.request_id, attempt.outcome) == (other, "200")
    await eventually(
        lambda: api.sandbox.webhook_sender.pending <= 1
    )  # the answered delivery ends shortly after its entry in the ledger
    assert api.sandbox.webhook_sender.pending == 1


async def test_queued_requests_are_delivered_in_the_order_they_end(api: Any, receiver: Any) -> None:
    await api.account(concurrency_limit=1)
    ids = [await api.submitted(f"{word} fox", query=receiver.hook) for word in ("[slow=10]", "[slow=1]", "[slow=2]")]
    for number, request_id in enumerate(ids):
        api.clock.advance((11, 1, 2)[number])
        made = await api.attempts(number + 1)
        assert made[-1].request_id == request_id


async def test_a_faster_request_is_delivered_first(api: Any, receiver: Any) -> None:
    slow = await api.submitted("[slow=100] fox", query=receiver.hook)
    quick = await api.submitted("[slow=1] fox", query=receiver.hook)
    api.clock.advance(2)
    assert [one.request_id for one in await api.attempts(1)] == [quick]
    api.clock.advance(100)
    assert [one.request_id for one in await api.attempts(2)] == [quick, slow]


async def test_raising_the_concurrency_limit_starts_queued_requests(api: Any, receiver: Any) -> None:
    await api.account(concurrency_limit=0)
    request_id = await api.submitted(query=receiver.hook)
    api.clock.advance(1000)
    await api.account(concurrency_limit=1)
    api.clock.advance(4)
    assert [one.request_id for one in await api.attempts(1)] == [request_id]


async def test_every_delivery_can_be_duplicated(api: Any, receiver: Any) -> None:
    await api.account(webhook_duplicates=True, webhook_secret=SECRET)
    request_id = await api.submit_and_finish(query=receiver.hook)
    await api.all_attempts()
    assert receiver.reported == [(request_id, "completed")] * 2
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 1
    summary = api.sandbox.ledger.summary()
    assert (summary["webhook_deliveries"], summary["webhook_attempts"]) == (1, 2)


async def test_deliveries_can_be_lost_at_random(start: Any, receiver: Any) -> None:
    api = await start(webhook_loss=0.5, seed=3, concurrency_limit=40)
    ids = {await api.submitted(str(number), query=receiver.hook) for number in range(40)}
    api.clock.advance(5)
    delivered = {one.request_id for one in await api.all_attempts()}
    ledger = await api.ledger()
    assert delivered | set(ledger["lost_webhooks"]) == ids
    assert 0 < len(delivered) < 40
    assert ledger["webhook_lost"] == 40 - len(delivered)


async def test_the_ledger_records_every_attempt_without_the_path(api: Any, receiver: Any) -> None:
    receiver.answers = [503]
    request_id = await api.submit_and_finish(query=receiver.hook)
    await api.attempts(1)
    assert (await api.ledger())["webhook_pending"] == 1
    api.clock.advance(5)
    await api.all_attempts()

    ledger = await api.ledger()
    first, second = ledger["webhooks"]
    assert first == {
        "at": 13.0,
        "request_id": request_id,
        "receiver": receiver.url.removeprefix("http://"),
        "path_digest": hashlib.sha256(b"/hooks/secret-token?a=b").hexdigest(),
        "webhook_id": first["webhook_id"],
        "attempt": 1,
        "outcome": "503",
    }
    assert second == {**first, "at": 18.0, "attempt": 2, "outcome": "200"}
    numbers = {name: number for name, number in ledger.items() if name.startswith("webhook_")}
    assert numbers == {"webhook_deliveries": 1, "webhook_attempts": 2, "webhook_lost": 0, "webhook_pending": 0}


async def test_proxies_of_the_environment_are_ignored(
    start: Any, receiver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    api = await start()
    await api.submit_and_finish(query=receiver.hook)
    assert [one.outcome for one in await api.all_attempts()] == ["200"]


async def test_reset_discards_deliveries(api: Any, receiver: Any) -> None:
    receiver.answers = [500]
    await api.submitted("[slow=100] fox", query=receiver.hook)
    await api.submit_and_finish(query=receiver.hook)
    await api.attempts(1)
    await api.call("POST", "/__reset")
    api.clock.advance(1000)
    assert await api.all_attempts() == []
    assert len(receiver.received) == 1


async def test_stop_cancels_deliveries_and_start_sends_those_due(receiver: Any) -> None:
    receiver.answers = ["hang"]
    clock = ManualClock()
    sandbox = Sandbox(SandboxOptions(port=0), clock)
    await sandbox.start()
    headers = {"Authorization": "Key sandbox:sandbox"}
    async with aiohttp.ClientSession(headers=headers) as session:
        await whole(session.post(f"{sandbox.url}/z-image/turbo", json={"prompt": "[slow=1]"}, params=receiver.hook))
        await whole(session.post(f"{sandbox.url}/z-image/turbo", json={"prompt": "[slow=9]"}, params=receiver.hook))
    clock.advance(2)
    await eventually(lambda: bool(receiver.received))
    async with asyncio.timeout(WAIT_TIMEOUT):
        await sandbox.stop()
    assert sandbox.ledger.webhook_attempts == []

    clock.advance(8)
    assert len(receiver.received) == 1
    async with sandbox:
        await eventually(lambda: bool(sandbox.ledger.webhook_attempts))
    assert len(receiver.received) == 2


async def test_a_scaled_clock_triggers_deliveries_and_retries(receiver: Any) -> None:
    receiver.answers = [500, 500]
    options = SandboxOptions(port=0, time_scale=200)
    async with (
        Sandbox(options) as sandbox,
        aiohttp.ClientSession(headers={"Authorization": "Key sandbox:sandbox"}) as session,
        asyncio.timeout(WAIT_TIMEOUT),
    ):
        await whole(session.post(f"{sandbox.url}/z-image/turbo", json={"prompt": "fox"}, params=receiver.hook))
        await eventually(lambda: len(sandbox.ledger.webhook_attempts) >= 3)
        first, second, third = sandbox.ledger.webhook_attempts
    assert first.at >= 5
    assert second.at - first.at >= 5
    assert third.at - second.at >= 10


class CountingClock(ScaledClock):
    """A real-time clock that counts its timers."""

    timers = 0

    def call_at(self, at: float, callback: Callback) -> Callback:
        self.timers += 1
        return super().call_at(at, callback)


async def test_ten_thousand_requests_in_flight_share_one_timer() -> None:
    clock = CountingClock()
    options = SandboxOptions(port=0, credits=10_000, concurrency_limit=20_000, queue_seconds=3_600)
    async with Sandbox(options, clock) as sandbox:
        (account,) = sandbox.state.accounts.values()
        for number in range(10_000):
            submission = SubmitRequest(MODELS["z-image/turbo"], {"prompt": str(number)}, webhook="http://127.0.0.1:9/")
            account.submit(submission)
            sandbox.webhook_sender.update()
        assert clock.timers == 1
        assert sandbox.webhook_sender.pending == 0


async def test_no_timer_is_set_for_requests_without_a_webhook() -> None:
    clock = CountingClock()
    async with Sandbox(SandboxOptions(port=0, queue_seconds=0, image_seconds=0), clock) as sandbox:
        (account,) = sandbox.state.accounts.values()
        submission = SubmitRequest(MODELS["z-image/turbo"], {"prompt": "fox"})
        account.submit(replace(submission, webhook="http://127.0.0.1:9/"))
        assert sandbox.webhook_sender.pending == 1

        account.submit(replace(submission, running_seconds=60))
        sandbox.webhook_sender.update()
        assert account.next_event == math.inf
    assert clock.timers <= 1, "except the retry delay of the delivery"
