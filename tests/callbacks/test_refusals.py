"""Failed deliveries: when they are repeated, when they are abandoned, and what the callback shows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any

import pytest
from aiohttp.client_proto import ResponseHandler

from gateway.callbacks import dispatcher, schedule, service
from gateway.callbacks.model import NotSentError, Outcome
from gateway.callbacks_http import client, transport
from hfgateway.v1 import callback_service_pb2 as pb
from tests.callbacks.conftest import Start
from tests.callbacks.receiver import CLOSE, HANG, HOLD, Receiver, change, create, deliveries, settles, state_of, until
from tests.support.addresses import free_address
from tests.support.running import Generation, Running, eventually, soul
from tests.support.timeline import Timed
from tests.support.transports import RpcFailure

DAY = 86_400.0
COARSE = 300.0
"""Seconds per step in tests that cover days."""
WAIT = 1_000.0
"""Seconds of a Retry-After."""


async def ended(timed: Timed, prompt: str = "a fox") -> Generation:
    """Submit a generation; return it when it has ended."""
    stored = await timed.submit(soul(prompt))
    await timed.advance(60.0, until=lambda: stored.id not in timed.live())
    return await timed.get(stored.id)


async def test_a_failed_delivery_is_repeated_with_the_same_id(timed: Timed, receiver: Receiver) -> None:
    receiver.plan.append(500)
    made = await create(timed, receiver.url)
    await ended(timed)
    await timed.wait_until_idle()
    (waits,) = await deliveries(timed, made.callback.id)
    assert (waits.state, waits.problem, waits.http_status) == (
        pb.DELIVERY_STATE_PENDING, pb.DELIVERY_PROBLEM_STATUS, 500,
    )  # fmt: skip
    assert waits.HasField("next_attempt_time")
    ill = await state_of(timed, made.callback.id)
    assert (ill.problem, ill.problem_http_status, ill.paused) == (pb.DELIVERY_PROBLEM_STATUS, 500, False)

    await timed.advance(4.0)
    assert len(receiver.got) == 1
    await timed.advance(2.0)
    first, second = receiver.got
    assert first.id == second.id
    assert second.signed_by(made.secret)
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) >= 4
    (taken,) = await deliveries(timed, made.callback.id)
    assert (taken.state, taken.attempts) == (pb.DELIVERY_STATE_DELIVERED, 2)
    counts = timed.gateway._core.dispatcher
    assert (counts.delivered, counts.failed) == (1, 1)
    well = await state_of(timed, made.callback.id)
    assert (well.problem, well.HasField("problem_time")) == (pb.DELIVERY_PROBLEM_UNSPECIFIED, False)


@pytest.mark.parametrize(
    "case",
    [
        (400, "STATUS", 400),
        (503, "STATUS", 503),
        (CLOSE, "CONNECTION", 0),
        (HANG, "TIMEOUT", 0),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", "TIMEOUT", 0),
        (b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000, "CONNECTION", 0),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "CONNECTION", 0),
        ((301, {}), "REDIRECT", 301),
        ((308, {}), "REDIRECT", 308),
        (304, "REDIRECT", 304),
    ],
    ids=["400", "503", "closes", "hangs", "an unfinished head", "a long head", "no HTTP", "301", "308", "304"],
)
async def test_any_response_but_2xx_fails_and_redirects_are_not_followed(
    running: Running, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, case: tuple[object, str, int]
) -> None:
    answer, problem, status = case
    monkeypatch.setattr(client, "ATTEMPT_TIMEOUT", 0.3 if problem == "TIMEOUT" else client.ATTEMPT_TIMEOUT)
    async with Receiver() as second:
        if isinstance(answer, tuple):
            answer = (answer[0], {"Location": second.url})
        receiver.usual = answer
        made = await create(running, receiver.url)
        tested = await running.grpc.call("TestCallback", pb.TestCallbackRequest(id=made.callback.id))
        assert tested.delivery.state == pb.DELIVERY_STATE_FAILED
        assert pb.DeliveryProblem.Name(tested.delivery.problem) == f"DELIVERY_PROBLEM_{problem}"
        assert tested.delivery.http_status == status
        assert len(receiver.got) == 1
        assert second.got == []


async def test_a_refused_connection_is_a_failure(running: Running) -> None:
    made = await create(running, f"http://{free_address()}/")
    tested = await running.grpc.call("TestCallback", pb.TestCallbackRequest(id=made.callback.id))
    assert tested.delivery.problem == pb.DELIVERY_PROBLEM_CONNECTION


async def test_the_body_of_a_receivers_response_is_not_read(running: Running, receiver: Receiver) -> None:
    receiver.usual = b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n" + b"x" * 100_000
    made = await create(running, receiver.url)
    tested = await running.grpc.call("TestCallback", pb.TestCallbackRequest(id=made.callback.id))
    assert tested.delivery.state == pb.DELIVERY_STATE_DELIVERED


async def test_few_of_a_receivers_informational_responses_are_parsed_at_once(
    running: Running, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that are received at once are parsed in one iteration of the event loop."""
    sizes: list[int] = []
    parse = ResponseHandler.data_received

    def count(handler: ResponseHandler, data: bytes) -> None:
        sizes.append(len(data))
        parse(handler, data)

    monkeypatch.setattr(ResponseHandler, "data_received", count)
    receiver.usual = b"HTTP/1.1 100 Continue\r\n\r\n" * 40_000 + b"HTTP/1.1 204 No Content\r\n\r\n"
    made = await create(running, receiver.url)
    tested = await running.grpc.call("TestCallback", pb.TestCallbackRequest(id=made.callback.id))
    assert (tested.delivery.state, tested.delivery.http_status) == (pb.DELIVERY_STATE_DELIVERED, 204)
    assert max(sizes) <= 4 * transport.RECEIVE_BUFFER_BYTES


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_any_2xx_response_counts_as_delivered(running: Running, receiver: Receiver, status: int) -> None:
    receiver.usual = status
    made = await create(running, receiver.url)
    tested = await running.grpc.call("TestCallback", pb.TestCallbackRequest(id=made.callback.id))
    assert (tested.delivery.state, tested.delivery.http_status) == (pb.DELIVERY_STATE_DELIVERED, status)


async def test_410_pauses_the_callback_until_its_owner_resumes_it(
    timed: Timed, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.plan.append(410)
    made = await create(timed, receiver.url)
    first = await ended(timed)
    await timed.wait_until_idle()
    gone = await state_of(timed, made.callback.id)
    assert (gone.paused, gone.problem, gone.problem_http_status) == (True, pb.DELIVERY_PROBLEM_GONE, 410)
    (line,) = [one for one in caplog.records if one.getMessage().startswith("a callback was paused")]
    # The operator can list callbacks only with a key of their tenant.
    assert (vars(line)["callback"], vars(line)["tenant"]) == (made.callback.id, "default")
    second = await ended(timed, "an owl")
    await timed.advance(DAY, step=COARSE)
    assert len(receiver.got) == 1

    resumed = await change(timed, made.callback.id, paused=False)
    assert (resumed.paused, resumed.problem) == (False, pb.DELIVERY_PROBLEM_UNSPECIFIED)
    await timed.wait_until_idle()
    assert [got.generation.id for got in receiver.got] == [first.id, first.id, second.id]
    assert receiver.got[0].id == receiver.got[1].id


@pytest.mark.parametrize("late", [200, 400, 503])
async def test_a_response_after_the_pause_hides_no_reason(timed: Timed, receiver: Receiver, late: int) -> None:
    made = await create(timed, receiver.url)
    await change(timed, made.callback.id, paused=True)
    for prompt in ("a fox", "an owl"):
        await ended(timed, prompt)
    receiver.plan.extend([(HOLD, late), 410])
    await change(timed, made.callback.id, paused=False)  # both are sent at once
    await receiver.gets(2)
    await eventually(lambda: timed.gateway._core.dispatcher.paused() == 1)
    receiver.let_go.set()
    await timed.wait_until_idle()
    assert {one.http_status for one in await deliveries(timed, made.callback.id)} == {late, 410}
    gone = await state_of(timed, made.callback.id)
    assert (gone.paused, gone.problem, gone.problem_http_status) == (True, pb.DELIVERY_PROBLEM_GONE, 410)


async def test_a_resumption_makes_refused_deliveries_due_at_once(timed: Timed, receiver: Receiver) -> None:
    receiver.plan.extend([400, 400, HOLD])
    made = await create(timed, receiver.url)
    await ended(timed)
    await timed.advance(5.6)
    assert len(receiver.got) == 2  # the next retry is in five minutes
    await change(timed, made.callback.id, paused=False)
    await receiver.gets(3)
    (due,) = await deliveries(timed, made.callback.id)
    assert due.next_attempt_time.ToSeconds() <= timed.time.wall()  # also after a restart
    receiver.let_go.set()
    await timed.wait_until_idle()
    assert len(receiver.taken) == 1


async def test_a_resumption_makes_a_revision_due_at_once_that_is_behind_an_earlier_one(
    timed: Timed, receiver: Receiver
) -> None:
    receiver.plan.extend([200, 400, 400, 400])
    made = await create(timed, receiver.url, every_change=True)
    done = await ended(timed)
    await timed.advance(5.6, until=lambda: len(receiver.got) == 3)  # the second one waits for five minutes
    *_, first = await deliveries(timed, made.callback.id)
    await timed.grpc.call("RedeliverDelivery", pb.RedeliverDeliveryRequest(id=first.id))
    await receiver.gets(4)
    await timed.wait_until_idle()
    await change(timed, made.callback.id, paused=False)
    await timed.wait_until_idle()
    assert [got.generation.revision for got in receiver.got] == [1, 2, 2, 1, 1, *range(2, done.revision + 1)]


async def test_resumptions_during_an_outage_do_not_use_up_the_attempts_of_a_delivery(
    timed: Timed, receiver: Receiver
) -> None:
    receiver.usual = 503
    made = await create(timed, receiver.url)
    await ended(timed)
    for _ in range(len(schedule.PAUSES) + 1):
        await change(timed, made.callback.id, paused=False)
        await timed.advance(12.0)
    (waits,) = await deliveries(timed, made.callback.id)
    assert (waits.state, waits.attempts > len(schedule.PAUSES)) == (pb.DELIVERY_STATE_PENDING, True)
    receiver.usual = 204
    await change(timed, made.callback.id, paused=False)
    await timed.wait_until_idle()
    assert len(receiver.taken) == 1


@pytest.mark.parametrize(
    "retry_after",
    [
        lambda _: {"Retry-After": str(WAIT)},
        lambda now: {"Retry-After": formatdate(now + WAIT + 6)},
        lambda now: {"Retry-After": formatdate(now - DAY + WAIT), "Date": formatdate(now - DAY)},
    ],
    ids=["seconds", "date", "date of a wrong clock"],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_a_retry_after_holds_all_deliveries_of_the_callback(
    timed: Timed, receiver: Receiver, status: int, retry_after: Callable[[float], Mapping[str, str]]
) -> None:
    made = await create(timed, receiver.url)
    stored = await timed.submit(soul("a fox"))
    receiver.plan.append((status, retry_after(timed.time.wall())))
    await timed.advance(60.0, until=lambda: stored.id not in timed.live())
    await timed.wait_until_idle()
    asked = timed.time.now
    await ended(timed, "an owl")
    await timed.advance(asked + WAIT - 2.0 - timed.time.now, step=10.0)
    assert len(receiver.got) == 1
    (_, tried) = await deliveries(timed, made.callback.id)
    assert tried.http_status == status
    await timed.advance(10.0)
    assert [got.state for got in receiver.got] == ["COMPLETED"] * 3
    assert len(await settles(timed, made.callback.id, 2)) == 2


async def test_a_redelivery_is_sent_at_once_also_during_an_outage(timed: Timed, receiver: Receiver) -> None:
    receiver.plan.append((503, {"Retry-After": "7200"}))
    made = await create(timed, receiver.url)
    await ended(timed)
    (waits,) = await until(timed, made.callback.id, lambda found: bool(found and found[0].attempts))
    again = await timed.grpc.call("RedeliverDelivery", pb.RedeliverDeliveryRequest(id=waits.id))
    assert again.delivery.next_attempt_time.ToSeconds() <= timed.time.wall()
    await receiver.gets(2)
    await settles(timed, made.callback.id, 1)


async def test_a_redelivery_during_the_last_attempt_starts_the_retries_again(
    running: Running, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "PAUSES", (0.0,))
    receiver.plan.extend([400, (HOLD, 400)])
    made = await create(running, receiver.url)
    await running.finish((await running.submit(soul("a fox"))).id)
    await receiver.gets(2)
    (last,) = await deliveries(running, made.callback.id)
    again = await running.grpc.call("RedeliverDelivery", pb.RedeliverDeliveryRequest(id=last.id))
    for shown in (again.delivery, *await deliveries(running, made.callback.id)):
        assert (shown.state, shown.attempts) == (pb.DELIVERY_STATE_PENDING, 0)
        assert (shown.problem, shown.http_status) == (pb.DELIVERY_PROBLEM_UNSPECIFIED, 0)
    receiver.let_go.set()
    (taken,) = await until(running, made.callback.id, lambda found: found[0].state != pb.DELIVERY_STATE_PENDING)
    assert (taken.state, taken.attempts) == (pb.DELIVERY_STATE_DELIVERED, 2)


async def test_a_redelivery_during_an_attempt_that_is_not_sent_starts_the_retries_again(
    running: Running, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "PAUSES", (0.0,))
    monkeypatch.setattr(dispatcher, "STORE_PAUSE", 0.0)
    receivers, tried, redelivered = running.gateway._core.receivers, list[object](), asyncio.Event()
    post = receivers.post

    async def second_not_sent(*request: Any) -> Outcome:
        tried.append(request)
        if len(tried) == 2:
            await redelivered.wait()
            raise NotSentError
        return await post(*request)

    monkeypatch.setattr(receivers, "post", second_not_sent)
    receiver.plan.extend([400, 400])
    made = await create(running, receiver.url)
    await running.finish((await running.submit(soul("a fox"))).id)
    await eventually(lambda: len(tried) == 2)
    (last,) = await deliveries(running, made.callback.id)
    await running.grpc.call("RedeliverDelivery", pb.RedeliverDeliveryRequest(id=last.id))
    redelivered.set()
    (taken,) = await until(running, made.callback.id, lambda found: found[0].state != pb.DELIVERY_STATE_PENDING)
    assert (taken.state, taken.attempts) == (pb.DELIVERY_STATE_DELIVERED, 2)


@pytest.mark.parametrize("fails", [False, True], ids=["taken", "refused"])
async def test_a_redelivery_of_an_earlier_revision_follows_the_attempt_of_a_later_one(
    running: Running, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    monkeypatch.setattr(schedule, "PAUSES", (0.0,))
    receiver.plan.extend([200, (HOLD, 400) if fails else HOLD])
    made = await create(running, receiver.url, every_change=True)
    done = await running.finish((await running.submit(soul("a fox"))).id)
    await receiver.gets(2)
    *_, first = await deliveries(running, made.callback.id)
    await running.grpc.call("RedeliverDelivery", pb.RedeliverDeliveryRequest(id=first.id))
    receiver.let_go.set()
    await settles(running, made.callback.id, done.revision)
    revisions = [got.generation.revision for got in receiver.got]
    assert revisions == [1, 2, 1, *([2] if fails else []), *range(3, done.revision + 1)]


async def test_a_refused_delivery_fails_after_three_days_and_delays_no_other(timed: Timed, receiver: Receiver) -> None:
    made = await create(timed, receiver.url)
    receiver.usual = 400
    poison = await ended(timed)
    await timed.wait_until_idle()
    receiver.refuses = poison.id
    receiver.usual = 200
    good = await ended(timed, "an owl")
    await settles(timed, made.callback.id, 1)

    expected = sum(schedule.PAUSES)
    attempts = 1 + len(schedule.PAUSES)
    took = await timed.advance(DAY, step=COARSE)
    other = await ended(timed, "a hare")
    took += await timed.advance(expected, until=lambda: len(receiver.got) >= 2 + attempts, step=COARSE)
    assert expected * 0.9 <= took <= expected * 1.1 + attempts * COARSE
    await timed.advance(DAY, step=COARSE)
    assert sorted(got.generation.id for got in receiver.got) == [*[poison.id] * attempts, good.id, other.id]
    failed = [one for one in await deliveries(timed, made.callback.id) if one.state == pb.DELIVERY_STATE_FAILED]
    assert [(one.generation_id, one.attempts) for one in failed] == [(poison.id, 10)]
    assert await deliveries(timed, made.callback.id, failed_only=True) == failed

    again = pb.RedeliverDeliveryRequest(id=failed[0].id)
    await timed.grpc.call("RedeliverDelivery", again)
    await timed.wait_until_idle()
    (refused,) = [one for one in await deliveries(timed, made.callback.id) if one.id == failed[0].id]
    assert (refused.state, refused.attempts) == (pb.DELIVERY_STATE_PENDING, 1), "it is retried as a new one is"

    receiver.refuses = ""
    answer = await timed.grpc.call("RedeliverDelivery", again)
    assert (answer.delivery.state, answer.delivery.attempts) == (pb.DELIVERY_STATE_PENDING, 0)
    await until(timed, made.callback.id, lambda found: all(one.state == pb.DELIVERY_STATE_DELIVERED for one in found))
    assert receiver.got[-1].id == receiver.got[0].id


async def test_a_receiver_down_for_days_is_paused_and_loses_nothing(timed: Timed, receiver: Receiver) -> None:
    receiver.usual = 503
    made = await create(timed, receiver.url)
    done = [await ended(timed, f"fox {number}") for number in range(3)]
    took = await timed.advance(4 * DAY, until=lambda: timed.gateway._core.dispatcher.paused() == 1, step=COARSE)
    assert (
        schedule.PAUSE_CALLBACK_AFTER
        <= took
        <= schedule.PAUSE_CALLBACK_AFTER + schedule.MAX_HOLD * 1.1 + 60 + 2 * COARSE
    )
    assert all(one.state == pb.DELIVERY_STATE_PENDING for one in await deliveries(timed, made.callback.id))
    paused = await state_of(timed, made.callback.id)
    assert (paused.paused, paused.problem_http_status) == (True, 503)
    attempts = len(receiver.got)
    assert attempts <= schedule.PAUSE_CALLBACK_AFTER / (schedule.MAX_HOLD * 0.9) + 20
    await timed.advance(DAY, step=COARSE)
    assert len(receiver.got) == attempts

    receiver.usual = 200
    await change(timed, made.callback.id, paused=False)
    await timed.wait_until_idle()
    assert {got.generation.id for got in receiver.got[attempts:]} == {one.id for one in done}
    assert len(receiver.got) == attempts + 3


async def test_a_recovered_receiver_gets_all_pending_deliveries(timed: Timed, receiver: Receiver) -> None:
    made = await create(timed, receiver.url)
    receiver.usual = 503
    for number in range(3):
        await ended(timed, f"fox {number}")
    await timed.advance(3 * 3600.0, step=COARSE)
    assert all(one.attempts >= 1 for one in await deliveries(timed, made.callback.id))
    receiver.usual = 200
    attempts = len(receiver.got)
    took = await timed.advance(3600.0, until=lambda: len(receiver.got) == attempts + 3, step=COARSE)
    assert took <= schedule.MAX_HOLD * 1.1 + COARSE
    assert len(await settles(timed, made.callback.id, 3)) == 3


@pytest.mark.parametrize("status", [503, 522])
async def test_the_end_of_an_outage_makes_earlier_failures_due_at_once(
    timed: Timed, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """The first failures of an outage count against their delivery, which then waits for minutes or hours."""
    monkeypatch.setattr(dispatcher, "DRAIN_TIMEOUT", 0.01)
    receiver.plan.extend([status, status, status, 200, HANG])
    await create(timed, receiver.url)
    fox = await ended(timed)
    await timed.advance(5.6)
    assert len(receiver.got) == 2
    owl = await ended(timed, "an owl")
    await timed.advance(20.0, until=lambda: len(receiver.got) == 3)
    timed.time.step(timed.time.now + 60.0, 60.0)
    got = await receiver.gets(5)
    assert [one.generation.id for one in got] == [fox.id, fox.id, owl.id, owl.id, fox.id]
    await timed.stop_gateway()  # the last attempt has no outcome
    await timed.start_gateway()
    await timed.wait_until_idle()
    assert [one.generation.id for one in receiver.taken] == [owl.id, fox.id]


async def test_the_end_of_an_outage_hurries_no_delivery_that_was_refused_before(
    timed: Timed, receiver: Receiver
) -> None:
    receiver.plan.extend([400, 400, 503, 503, 503])
    made = await create(timed, receiver.url)
    fox = await ended(timed)
    await timed.advance(5.6)
    assert len(receiver.got) == 2  # the next attempt is in five minutes
    (waits,) = await deliveries(timed, made.callback.id)
    owl = await ended(timed, "an owl")
    await timed.advance(5.6)
    assert len(receiver.got) == 4
    hare = await ended(timed, "a hare")
    await timed.advance(60.0, until=lambda: len(receiver.taken) == 2)

    assert timed.time.wall() < waits.next_attempt_time.ToSeconds()
    assert [got.generation.id for got in receiver.got[2:]] == [owl.id, owl.id, hare.id, hare.id, owl.id]
    assert [got.generation.id for got in receiver.got[:2]] == [fox.id, fox.id]
    await timed.advance(300.0)
    assert [got.generation.id for got in receiver.taken] == [hare.id, owl.id, fox.id]


async def test_the_redeliveries_of_a_callback_are_limited(
    timed: Timed, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await create(timed, receiver.url)
    for number in range(3):
        await ended(timed, f"fox {number}")
    ids = [one.id for one in await settles(timed, made.callback.id, 3)]
    monkeypatch.setattr(service, "MAX_WAITING", 1)
    await change(timed, made.callback.id, paused=True)
    for one in ids[:2]:
        await timed.grpc.call("RedeliverDelivery", pb.RedeliverDeliveryRequest(id=one))
    with pytest.raises(RpcFailure) as refused:
        await timed.grpc.call("RedeliverDelivery", pb.RedeliverDeliveryRequest(id=ids[2]))
    assert (refused.value.reason, refused.value.failure.metadata["limit"]) == ("QUOTA_EXCEEDED", "deliveries")
    assert refused.value.failure.retryable

    await change(timed, made.callback.id, paused=False)
    await timed.wait_until_idle()
    await timed.grpc.call("RedeliverDelivery", pb.RedeliverDeliveryRequest(id=ids[2]))
    await timed.wait_until_idle()
    assert sorted(got.id for got in receiver.got) == sorted(2 * ids)


async def test_a_restart_keeps_the_retry_schedule(timed: Timed, receiver: Receiver) -> None:
    receiver.usual = (429, {"Retry-After": "3000"})
    await create(timed, receiver.url)
    await ended(timed)
    await timed.wait_until_idle()
    await timed.advance(1_000.0, step=10.0)
    await timed.stop_gateway()
    await timed.start_gateway()
    await timed.advance(1_990.0, step=10.0)
    assert len(receiver.got) == 1
    await timed.advance(20.0)
    assert len(receiver.got) == 2


async def test_a_clock_that_was_ahead_delays_no_retry_by_more_than_a_day(timed: Timed, receiver: Receiver) -> None:
    """After the correction and a restart, the steady time is earlier than the stored times."""
    receiver.usual = (503, {"Retry-After": "50000"})
    await create(timed, receiver.url)
    await ended(timed)
    await timed.stop_gateway()
    timed.time.wall_is_ahead = 30 * DAY
    await timed.start_gateway()
    await timed.advance(2.5 * DAY, step=3_600.0)
    await timed.stop_gateway()
    timed.time.wall_is_ahead = 0.0
    await timed.start_gateway()
    receiver.usual = 200
    attempts = len(receiver.got)
    await timed.advance(schedule.MAX_RETRY_AFTER + 3_600.0, step=3_600.0)
    assert len(receiver.got) == attempts + 1


async def test_callbacks_and_concurrent_test_deliveries_are_limited_for_each_tenant(
    start: Start, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MAX_CALLBACKS", 1)
    running = await start(AUTH="keys")
    busy, other = await running.callers("busy", "other")
    hers = await create(running, receiver.url, client=other)
    async with Receiver() as slow:
        slow.usual = HOLD
        made = await create(running, slow.url, client=busy)
        request = pb.TestCallbackRequest(id=made.callback.id)
        tests = [asyncio.create_task(busy.call("TestCallback", request)) for _ in range(service.MAX_TESTS)]
        await slow.gets(len(tests))
        with pytest.raises(RpcFailure) as refused:
            await busy.call("TestCallback", request)
        assert refused.value.reason == "GATEWAY_OVERLOADED"
        tested = await other.call("TestCallback", pb.TestCallbackRequest(id=hers.callback.id))
        assert tested.delivery.http_status == 200
        slow.let_go.set()
        await asyncio.gather(*tests)
        assert (await busy.call("TestCallback", request)).delivery.http_status == 200


async def test_a_test_delivery_is_immediate_and_not_stored(running: Running, receiver: Receiver) -> None:
    made = await create(running, receiver.url)
    await change(running, made.callback.id, paused=True)
    tested = await running.grpc.call("TestCallback", pb.TestCallbackRequest(id=made.callback.id))
    (got,) = receiver.got
    event = got.verify(made.secret)
    assert (event["type"], event["data"]) == ("callback.test", {})
    assert tested.delivery.id == got.id
    assert await deliveries(running, made.callback.id) == []
