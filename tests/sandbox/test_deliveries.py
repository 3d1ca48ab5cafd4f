"""How often a receiver is told, until when, and what the ledger keeps of it."""

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
from tests.sandbox.conftest import PATIENCE
from tests.support.addresses import free_address
from tests.support.running import eventually

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
HOURS = 3600


async def redelivered(api: Any, receiver: Any, answer: int | str) -> bool:
    """Say whether a first attempt that was answered so is followed by another."""
    receiver.answers = [answer]
    # Only who never answers is not waited for: others may be slow, and are no time-outs.
    await api.account(webhook_timeout=0.1 if answer == "hang" else PATIENCE)
    await api.ended(query=receiver.hook)
    (first,) = await api.attempts(1)
    await api.account(webhook_timeout=PATIENCE)
    api.clock.advance(5)
    made = await api.quiet()
    assert [one.outcome for one in made[1:]] in ([], ["200"])
    assert first.attempt == 1
    return len(made) == 2


@pytest.mark.parametrize("answer", [500, 502, 503, 599, "close", "hang"])
async def test_server_errors_network_errors_and_time_outs_are_repeated_under_the_same_id(
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
async def test_nothing_else_is_repeated(api: Any, receiver: Any, answer: int) -> None:
    assert not await redelivered(api, receiver, answer)


@pytest.mark.parametrize("answer", [302, 400, 404, 410, 500, "close"])
async def test_by_the_older_rule_everything_but_2xx_is_repeated(api: Any, receiver: Any, answer: int | str) -> None:
    await api.account(webhook_retry="until_2xx")
    assert await redelivered(api, receiver, answer)


async def test_a_redirect_is_not_followed(api: Any, receiver: Any) -> None:
    receiver.answers = [307]
    await api.ended(query=receiver.hook)
    (attempt,) = await api.quiet()
    assert (attempt.outcome, len(receiver.received)) == ("307", 1)


def test_a_receiver_has_ten_seconds() -> None:
    assert SandboxOptions().webhook_timeout == 10


async def test_pauses_double_and_end_after_two_hours(api: Any, receiver: Any) -> None:
    receiver.answers = [500] * 100
    await api.submitted(query=receiver.hook)
    api.clock.advance(5)
    pauses = [5.0 * 2**number for number in range(10)]
    for number, pause in enumerate(pauses):
        await api.attempts(number + 1)
        for part in (0.9, 0.1):
            api.clock.advance(part * pause)
            await asyncio.sleep(0.001)

    made = await api.quiet()
    assert [later.at - earlier.at for earlier, later in itertools.pairwise(made)] == pytest.approx(pauses)
    assert 1 * HOURS < made[-1].at < 5 + 2 * HOURS
    api.clock.advance(10 * HOURS)
    assert len(await api.quiet()) == 11


async def test_after_two_hours_also_a_late_awakening_sends_nothing(api: Any, receiver: Any) -> None:
    receiver.answers = [500]
    await api.ended(query=receiver.hook)
    await api.attempts(1)
    api.clock.advance(2 * HOURS + 1)
    assert len(await api.quiet()) == 1


async def test_a_receiver_that_nobody_runs_is_tried_again(api: Any, receiver: Any) -> None:
    await api.ended(query={"hf_webhook": f"http://{free_address()}/"})
    (first,) = await api.attempts(1)
    assert first.outcome == "ClientConnectorError"
    api.clock.advance(5)
    await api.attempts(2)


async def test_an_address_that_leads_nowhere_is_an_error_like_another(api: Any) -> None:
    await api.ended(query={"hf_webhook": "http://127.0.0.1:99999/"})
    (first,) = await api.attempts(1)
    assert first.outcome == "InvalidUrlClientError"


async def test_after_data_deletion_nothing_is_delivered(api: Any, receiver: Any) -> None:
    receiver.answers = [500]
    request_id = await api.ended(query=receiver.hook)
    await api.attempts(1)
    assert (await api.delete(request_id)).status == 200
    api.clock.advance(5)
    assert len(await api.quiet()) == 1


async def test_a_deletion_before_the_first_attempt_comes_first(api: Any, receiver: Any) -> None:
    await api.plan(on="webhook", delay=60)
    request_id = await api.ended(query=receiver.hook)
    assert (await api.delete(request_id)).status == 200
    api.clock.advance(60)
    assert await api.quiet() == []


async def test_a_short_retention_ends_redelivery(api: Any, receiver: Any) -> None:
    receiver.answers = [500] * 100
    await api.ended(query=receiver.hook, headers={"Hf-Expires-After": "3600"})
    await api.attempts(1)
    api.clock.advance(3601)
    assert len(await api.quiet()) == 1


async def test_a_hanging_receiver_does_not_keep_others_waiting(api: Any, receiver: Any) -> None:
    receiver.answers = ["hang"]
    await api.ended(query=receiver.hook)
    await eventually(lambda: bool(receiver.received))
    other = await api.ended(query=receiver.hook)
    (attempt,) = await api.attempts(1)
    assert (attempt.request_id, attempt.outcome) == (other, "200")
    async with asyncio.timeout(PATIENCE):  # the one that was answered ends a moment after it is in the ledger
        while api.sandbox.webhook_sender.pending > 1:
            await asyncio.sleep(0.001)
    assert api.sandbox.webhook_sender.pending == 1


async def test_ends_are_told_in_their_order_as_slots_become_free(api: Any, receiver: Any) -> None:
    await api.account(concurrency_limit=1)
    ids = [await api.submitted(f"{word} fox", query=receiver.hook) for word in ("[slow=10]", "[slow=1]", "[slow=2]")]
    for number, request_id in enumerate(ids):
        api.clock.advance((11, 1, 2)[number])
        made = await api.attempts(number + 1)
        assert made[-1].request_id == request_id


async def test_what_overtakes_is_told_first(api: Any, receiver: Any) -> None:
    slow = await api.submitted("[slow=100] fox", query=receiver.hook)
    quick = await api.submitted("[slow=1] fox", query=receiver.hook)
    api.clock.advance(2)
    assert [one.request_id for one in await api.attempts(1)] == [quick]
    api.clock.advance(100)
    assert [one.request_id for one in await api.attempts(2)] == [quick, slow]


async def test_a_raised_limit_is_noticed(api: Any, receiver: Any) -> None:
    await api.account(concurrency_limit=0)
    request_id = await api.submitted(query=receiver.hook)
    api.clock.advance(1000)
    await api.account(concurrency_limit=1)
    api.clock.advance(4)
    assert [one.request_id for one in await api.attempts(1)] == [request_id]


async def test_every_delivery_can_be_made_twice(api: Any, receiver: Any) -> None:
    await api.account(webhook_duplicates=True, webhook_secret=SECRET)
    request_id = await api.ended(query=receiver.hook)
    await api.quiet()
    assert receiver.told == [(request_id, "completed")] * 2
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 1
    summary = api.sandbox.ledger.summary()
    assert (summary["webhook_deliveries"], summary["webhook_attempts"]) == (1, 2)


async def test_deliveries_can_be_lost_by_chance(start: Any, receiver: Any) -> None:
    api = await start(webhook_loss=0.5, seed=3, concurrency_limit=40)
    ids = {await api.submitted(str(number), query=receiver.hook) for number in range(40)}
    api.clock.advance(5)
    delivered = {one.request_id for one in await api.quiet()}
    ledger = await api.ledger()
    assert delivered | set(ledger["lost_webhooks"]) == ids
    assert 0 < len(delivered) < 40
    assert ledger["webhook_lost"] == 40 - len(delivered)


async def test_the_ledger_keeps_every_attempt_and_no_secret_of_the_path(api: Any, receiver: Any) -> None:
    receiver.answers = [503]
    request_id = await api.ended(query=receiver.hook)
    await api.attempts(1)
    assert (await api.ledger())["webhook_pending"] == 1
    api.clock.advance(5)
    await api.quiet()

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


async def test_no_proxy_of_the_environment_is_used(start: Any, receiver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    api = await start()
    await api.ended(query=receiver.hook)
    assert [one.outcome for one in await api.quiet()] == ["200"]


async def test_reset_forgets_deliveries(api: Any, receiver: Any) -> None:
    receiver.answers = [500]
    await api.submitted("[slow=100] fox", query=receiver.hook)
    await api.ended(query=receiver.hook)
    await api.attempts(1)
    await api.call("POST", "/__reset")
    api.clock.advance(1000)
    assert await api.quiet() == []
    assert len(receiver.received) == 1


async def test_stopping_ends_deliveries_under_way_and_a_new_start_begins_with_what_is_due(receiver: Any) -> None:
    receiver.answers = ["hang"]
    clock = ManualClock()
    sandbox = Sandbox(SandboxOptions(port=0), clock)
    await sandbox.start()
    headers = {"Authorization": "Key sandbox:sandbox"}
    async with aiohttp.ClientSession(headers=headers) as session:
        await session.post(f"{sandbox.url}/z-image/turbo", json={"prompt": "[slow=1]"}, params=receiver.hook)
        await session.post(f"{sandbox.url}/z-image/turbo", json={"prompt": "[slow=9]"}, params=receiver.hook)
    clock.advance(2)
    await eventually(lambda: bool(receiver.received))
    async with asyncio.timeout(PATIENCE):
        await sandbox.stop()
    assert sandbox.ledger.webhook_attempts == []

    clock.advance(8)
    assert len(receiver.received) == 1
    async with sandbox:
        await eventually(lambda: bool(sandbox.ledger.webhook_attempts))
    assert len(receiver.received) == 2


async def test_on_a_hurried_clock_deliveries_and_redeliveries_come_by_themselves(receiver: Any) -> None:
    receiver.answers = [500, 500]
    options = SandboxOptions(port=0, time_scale=200)
    async with (
        Sandbox(options) as sandbox,
        aiohttp.ClientSession(headers={"Authorization": "Key sandbox:sandbox"}) as session,
        asyncio.timeout(PATIENCE),
    ):
        await session.post(f"{sandbox.url}/z-image/turbo", json={"prompt": "fox"}, params=receiver.hook)
        while len(sandbox.ledger.webhook_attempts) < 3:
            await asyncio.sleep(0.005)
        first, second, third = sandbox.ledger.webhook_attempts
    assert first.at >= 5
    assert second.at - first.at >= 5
    assert third.at - second.at >= 10


class CountingClock(ScaledClock):
    """Real time that counts its alarms."""

    alarms = 0

    def call_at(self, at: float, callback: Callback) -> Callback:
        self.alarms += 1
        return super().call_at(at, callback)


async def test_ten_thousand_requests_in_flight_need_one_alarm() -> None:
    clock = CountingClock()
    async with Sandbox(SandboxOptions(port=0, credits=10_000, concurrency_limit=20_000), clock) as sandbox:
        (account,) = sandbox.state.accounts.values()
        for number in range(10_000):
            submission = SubmitRequest(MODELS["z-image/turbo"], {"prompt": str(number)}, webhook="http://127.0.0.1:9/")
            account.submit(submission)
            sandbox.webhook_sender.update()
        # The first, and one for every time something was due meanwhile: not one for every request.
        assert clock.alarms < 100
        assert sandbox.webhook_sender.pending == 0


async def test_no_alarm_is_set_for_what_nobody_is_told_of() -> None:
    clock = CountingClock()
    async with Sandbox(SandboxOptions(port=0, queue_seconds=0, image_seconds=0), clock) as sandbox:
        (account,) = sandbox.state.accounts.values()
        submission = SubmitRequest(MODELS["z-image/turbo"], {"prompt": "fox"})
        account.submit(replace(submission, webhook="http://127.0.0.1:9/"))
        assert sandbox.webhook_sender.pending == 1

        account.submit(replace(submission, running_seconds=60))
        sandbox.webhook_sender.update()
        assert account.next_event == math.inf
    assert clock.alarms <= 1, "but for the pause of the delivery"
