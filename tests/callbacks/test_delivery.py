"""Deliveries, read by the published library of Standard Webhooks: contents, order and filters."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest
from google.protobuf.message import Message
from standardwebhooks import WebhookVerificationError

from gateway.callbacks import dispatcher, schedule
from gateway.callbacks.dispatcher import CallbackQueue, Dispatcher
from gateway.callbacks.model import Callback, Delivery
from gateway.callbacks.service import BEGINNING
from gateway.generations.model import Change
from gateway.generations.stores import UnknownCommitError
from gateway.process import core as cores
from gateway.store.sqlite.callbacks import SqliteCallbacks
from hfgateway.v1 import callback_service_pb2 as pb
from hfgateway.v1 import generation_service_pb2 as generation_pb
from tests.callbacks.receiver import (
    HANG,
    HOLD,
    Receiver,
    change,
    create,
    deliveries,
    finished,
    settles,
    state_of,
    until,
)
from tests.support.commits import commits
from tests.support.running import WAIT_TIMEOUT, Generation, Running, Start, eventually, soul
from tests.support.timeline import Timed
from tests.support.transports import RpcFailure


async def test_an_end_is_delivered_signed_and_without_the_input(running: Running, receiver: Receiver) -> None:
    made = await create(running, receiver.url)
    generation = await finished(running, "a fox in the snow", labels={"order": "7"})
    (got,) = await receiver.gets(1)

    event = got.verify(made.secret)
    assert event["type"] == "generation.completed"
    assert event["timestamp"] == generation.update_time.ToJsonString()
    generation.ClearField("input")
    generation.ClearField("forecast")
    assert got.generation == generation
    assert b"snow" not in got.body.replace(generation.idempotency_key.encode(), b"")
    assert got.target == "/hook?of=shop"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
    (delivery,) = await settles(running, made.callback.id, 1)
    assert (delivery.id, delivery.attempts, delivery.http_status) == (got.id, 1, 200)
    assert (delivery.generation_id, delivery.revision) == (generation.id, generation.revision)
    assert not delivery.HasField("next_attempt_time")


async def test_a_modified_delivery_fails_verification(running: Running, receiver: Receiver) -> None:
    made = await create(running, receiver.url)
    await finished(running, "a fox")
    (got,) = await receiver.gets(1)

    forged = type(got)(got.target, got.headers, got.body.replace(b"completed", b"failed"))
    renamed = type(got)(got.target, {**got.headers, "webhook-id": "another"}, got.body)
    for wrong in (forged, renamed):
        with pytest.raises(WebhookVerificationError):
            wrong.verify(made.secret)
    with pytest.raises(WebhookVerificationError):
        got.verify((await create(running, receiver.url, key="two")).secret)


async def test_only_ends_are_delivered_unless_every_change_is_requested(running: Running, receiver: Receiver) -> None:
    await create(running, receiver.url)
    everything = await create(running, receiver.url + "&every", every_change=True, key="two")
    stored = await running.submit(soul("a fox"))
    await running.start_running(stored.id)
    done = await running.finish(stored.id)
    await receiver.gets(1 + done.revision)

    every = [got for got in receiver.got if got.target.endswith("&every")]
    assert [got.generation.revision for got in every] == list(range(1, done.revision + 1))
    assert [got.event["type"] for got in every][-2:] == ["generation.in_progress", "generation.completed"]
    assert [got.state for got in receiver.got if got not in every] == ["COMPLETED"]
    assert len({got.id for got in receiver.got}) == 1 + done.revision
    assert len(await settles(running, everything.callback.id, done.revision)) == done.revision


async def test_a_revision_is_delivered_after_the_one_before(running: Running, receiver: Receiver) -> None:
    receiver.plan.append(HANG)
    made = await create(running, receiver.url, every_change=True)
    stored = await running.submit(soul("a fox"))
    await receiver.gets(1)
    done = await running.finish(stored.id)
    other = await finished(running, "an owl")
    await receiver.gets_one(lambda got: got.generation.id == other.id and got.generation.done)
    assert [got.generation.revision for got in receiver.got if got.generation.id == stored.id] == [1]

    receiver.usual = 200
    receiver.let_go.set()  # closes without a response, so the first revision is sent again before the second
    await change(running, made.callback.id, paused=True)
    await change(running, made.callback.id, paused=False)
    await receiver.gets_one(lambda got: got.generation.id == stored.id and got.generation.done)
    revisions = [got.generation.revision for got in receiver.got if got.generation.id == stored.id]
    assert revisions == [1, *range(1, done.revision + 1)]


@pytest.mark.parametrize(
    "filter",
    [
        {"labels": {"team": "red"}},
        {"modelIds": ["higgsfield-ai/soul/standard"]},
        {"states": ["GENERATION_STATE_FAILED"]},
    ],
    ids=["labels", "model", "states"],
)
async def test_a_filter_selects_the_deliveries(running: Running, receiver: Receiver, filter: dict[str, object]) -> None:
    made = await create(running, receiver.url, **filter)
    everything = await create(running, receiver.url + "&all", key="two")
    running.plan(on="submit", kind="422") if "states" in filter else None
    wanted = await running.submit(soul("a fox", labels={"team": "red"}, wait_for=generation_pb.WAIT_FOR_STORED))
    await running.finish(wanted.id, "FAILED" if "states" in filter else "COMPLETED")
    other = soul("an owl", labels={"team": "blue"})
    if "modelIds" in filter:
        other.input.dop.prompt = "an owl"
        other.input.dop.image_urls.append("https://example.com/owl.png")
    unwanted = await running.submit(other)
    await running.finish(unwanted.id)
    await receiver.gets(3)
    await settles(running, everything.callback.id, 2)
    assert [one.generation_id for one in await settles(running, made.callback.id, 1)] == [wanted.id]


async def test_a_filter_that_no_delivery_could_match_is_refused(running: Running, receiver: Receiver) -> None:
    unfinished = {"states": ["GENERATION_STATE_QUEUED", "GENERATION_STATE_IN_PROGRESS"]}
    with pytest.raises(RpcFailure, match="every_change") as refused:
        await create(running, receiver.url, **unfinished)
    assert (refused.value.reason, refused.value.fields) == ("INVALID_INPUT", ["filter.states"])
    made = await create(running, receiver.url, every_change=True, **unfinished)
    with pytest.raises(RpcFailure, match="every_change"):
        await change(running, made.callback.id, every_change=False)
    assert (await state_of(running, made.callback.id)).every_change


async def test_a_changed_filter_applies_to_later_changes(running: Running, receiver: Receiver) -> None:
    made = await create(running, receiver.url, labels={"team": "red"})
    await finished(running, "a fox", labels={"team": "blue"})
    update = pb.UpdateCallbackRequest(id=made.callback.id)
    update.filter.SetInParent()
    changed = (await running.grpc.call("UpdateCallback", update)).callback
    assert not changed.filter.labels
    owl = await finished(running, "an owl", labels={"team": "blue"})
    await running.stop_gateway()
    await running.start_gateway()
    assert [one.generation_id for one in await settles(running, made.callback.id, 1)] == [owl.id]
    assert [got.generation.id for got in receiver.got] == [owl.id]


async def test_a_changed_filter_applies_to_later_changes_after_a_crash(
    running: Running, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A position without deliveries is stored late, but what the old filter has passed over stays undelivered."""
    made = await create(running, receiver.url, labels={"team": "red"})
    await finished(running, "a fox", labels={"team": "blue"})
    core = running.gateway._core
    await eventually(lambda: core.dispatcher.queues[made.callback.id].callback.position == core.feed.position)
    update = pb.UpdateCallbackRequest(id=made.callback.id)
    update.filter.SetInParent()
    await running.grpc.call("UpdateCallback", update)

    async def killed(_: CallbackQueue) -> None:
        """Store nothing."""

    monkeypatch.setattr(core.dispatcher, "_store_position", killed)
    await running.stop_gateway()
    await running.start_gateway()
    owl = await finished(running, "an owl", labels={"team": "blue"})
    assert [one.generation_id for one in await settles(running, made.callback.id, 1)] == [owl.id]


async def test_a_changed_filter_leaves_no_delivery_behind_whose_commit_had_no_response(
    running: Running, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await create(running, receiver.url, labels={"team": "blue"})
    store = running.gateway._core.store.callbacks
    take, lost = store.take_deliveries, asyncio.Event()

    async def taken(callback: Callback, deliveries: Sequence[Delivery]) -> None:
        await take(callback, deliveries)
        if deliveries and not lost.is_set():
            lost.set()
            raise UnknownCommitError("the response was lost")

    monkeypatch.setattr(store, "take_deliveries", taken)
    fox = await finished(running, "a fox", labels={"team": "blue"})
    await lost.wait()
    update = pb.UpdateCallbackRequest(id=made.callback.id)
    update.filter.labels["team"] = "red"
    await running.grpc.call("UpdateCallback", update)
    (got,) = await receiver.gets(1)
    assert got.generation.id == fox.id


async def test_a_callback_can_be_changed_to_every_change_and_back(running: Running, receiver: Receiver) -> None:
    made = await create(running, receiver.url)
    assert (await change(running, made.callback.id, every_change=True)).every_change
    assert (await change(running, made.callback.id, paused=False)).every_change
    fox = await finished(running, "a fox")
    await settles(running, made.callback.id, fox.revision)
    assert not (await change(running, made.callback.id, every_change=False)).every_change
    owl = await finished(running, "an owl")
    await settles(running, made.callback.id, fox.revision + 1)
    assert [got.generation.id for got in receiver.got] == [fox.id] * fox.revision + [owl.id]


async def test_deletions_of_a_callback_at_once_succeed(running: Running, receiver: Receiver) -> None:
    made = await create(running, receiver.url)
    (queue,) = running.gateway._core.dispatcher.queues.values()
    request = pb.DeleteCallbackRequest(id=made.callback.id)
    async with queue.changing:
        deleting = [asyncio.create_task(running.grpc.call("DeleteCallback", request)) for _ in range(2)]
        await running.calls_open("DeleteCallback", 2, "CallbackService")
    await asyncio.gather(*deleting)
    assert running.gateway._core.dispatcher.queues == {}


async def test_a_restart_delivers_the_pending_deliveries(running: Running, receiver: Receiver) -> None:
    receiver.usual = 503
    made = await create(running, receiver.url)
    done = [await finished(running, f"fox {number}") for number in range(5)]
    await receiver.gets(1)
    await running.stop_gateway()
    receiver.usual = 200
    await running.start_gateway()
    await change(running, made.callback.id, paused=False)

    found = await settles(running, made.callback.id, 5)
    assert {one.generation_id for one in found} == {one.id for one in done}
    assert len({got.id for got in receiver.got}) == 5
    assert (await state_of(running, made.callback.id)).problem == pb.DELIVERY_PROBLEM_UNSPECIFIED


async def test_a_stop_waits_for_the_response_to_an_attempt(
    running: Running, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    drained = Dispatcher.drained

    async def drain(self: Dispatcher) -> None:
        receiver.let_go.set()
        await drained(self)

    monkeypatch.setattr(Dispatcher, "drained", drain)
    monkeypatch.setattr(dispatcher, "DRAIN_TIMEOUT", WAIT_TIMEOUT)
    receiver.plan.append(HOLD)
    made = await create(running, receiver.url)
    await finished(running, "a fox")
    await receiver.gets(1)
    await running.stop_gateway()
    await running.start_gateway()
    await settles(running, made.callback.id, 1)
    assert len(receiver.got) == 1


async def test_a_stop_cuts_off_an_attempt_without_a_response(
    running: Running, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "DRAIN_TIMEOUT", 0.05)
    receiver.plan.append(HANG)
    made = await create(running, receiver.url)
    await finished(running, "a fox")
    await receiver.gets(1)
    stopped = running.gateway._core.dispatcher
    await running.stop_gateway()
    assert not [*stopped._tasks]
    await running.start_gateway()
    (delivery,) = await settles(running, made.callback.id, 1)
    assert delivery.attempts == 1  # the one that was cut off does not count


async def test_a_backlog_is_bounded_without_losing_deliveries(
    timed: Timed, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "MAX_WAITING", 3)
    monkeypatch.setattr(dispatcher, "READ_BATCH_SIZE", 2)
    receiver.usual = 503
    made = await create(timed, receiver.url)
    await change(timed, made.callback.id, paused=True)
    stored = [await timed.submit(soul(f"fox {number}")) for number in range(8)]
    await timed.advance(600.0, until=lambda: not timed.live())
    await change(timed, made.callback.id, paused=False)
    await timed.wait_until_idle()  # a full queue reads nothing
    assert len(await deliveries(timed, made.callback.id)) == 3
    await timed.stop_gateway()
    await timed.start_gateway()
    await timed.wait_until_idle()
    assert len(await deliveries(timed, made.callback.id)) == 3

    receiver.usual = 200
    await change(timed, made.callback.id, paused=False)
    assert {one.generation_id for one in await settles(timed, made.callback.id, 8)} == {one.id for one in stored}


async def test_each_change_of_a_backlog_is_read_once(
    timed: Timed, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "MAX_WAITING", 3)
    made = await create(timed, receiver.url, every_change=True)
    await change(timed, made.callback.id, paused=True)
    for number in range(8):
        await timed.submit(soul(f"fox {number}"))
    await timed.advance(600.0, until=lambda: not timed.live())
    await timed.stop_gateway()
    await timed.start_gateway()  # its changes are no longer in memory
    read: list[int] = []
    log = timed.gateway._core.dispatcher._change_log
    stored = log.changes

    async def changes(tenant: str, after: int, limit: int) -> Any:
        found = await stored(tenant, after, limit)
        read.extend(one.position for one in found)
        return found

    monkeypatch.setattr(log, "changes", changes)
    await change(timed, made.callback.id, paused=False)
    position = timed.gateway._core.feed.position
    await settles(timed, made.callback.id, position)
    assert read == [*range(1, position + 1)]


async def test_a_slow_receiver_has_few_connections_and_delays_no_other(running: Running, receiver: Receiver) -> None:
    receiver.usual = HANG
    await create(running, receiver.url)
    async with Receiver() as quick:
        other = await create(running, quick.url, key="two")
        stored = [await running.submit(soul(f"fox {number}")) for number in range(12)]
        for one in stored:
            await running.finish(one.id)
        await settles(running, other.callback.id, 12)
        assert receiver.most_open == dispatcher.MAX_CONCURRENT_ATTEMPTS_PER_CALLBACK
        assert quick.most_open <= dispatcher.MAX_CONCURRENT_ATTEMPTS_PER_CALLBACK


async def test_a_receiver_that_is_down_gets_one_attempt_at_a_time(
    running: Running, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "FIRST_HOLD", 10 * WAIT_TIMEOUT)
    receiver.plan.append(503)
    receiver.usual = HOLD
    made = await create(running, receiver.url)
    for number in range(5):
        await finished(running, f"fox {number}")
    queue = running.gateway._core.dispatcher.queues[made.callback.id]
    await eventually(lambda: (queue.callback.streak, queue.waiting) == (1, 5))
    await change(running, made.callback.id, paused=True)
    await change(running, made.callback.id, paused=False)  # so that the next attempt is due at once
    await receiver.gets(2)
    assert len(queue.in_flight) == 1
    receiver.let_go.set()
    await settles(running, made.callback.id, 5)


async def test_the_attempts_of_all_callbacks_are_limited_together(
    running: Running, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "MAX_CONCURRENT_ATTEMPTS", 5)
    receiver.usual = HOLD
    made = [await create(running, receiver.url, key=key) for key in ("one", "two")]
    for number in range(4):
        await finished(running, f"fox {number}")
    core = running.gateway._core
    await eventually(lambda: core.dispatcher.waiting() == 8)
    await receiver.gets(3)
    assert len(core.dispatcher._tasks) == 3
    receiver.let_go.set()
    for one in made:
        await settles(running, one.callback.id, 4)
    assert receiver.most_open == 3


async def test_slow_receivers_of_a_tenant_leave_places_for_other_tenants(
    start: Start, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "MAX_CONCURRENT_ATTEMPTS", 4)
    running = await start(AUTH="keys")
    slow, other = await running.callers("slow", "other")
    receiver.usual = HOLD
    for number in range(3):
        await create(running, receiver.url, key=str(number), client=slow)
    for number in range(2):
        await slow.call("SubmitGeneration", soul(f"fox {number}"))
    running.clock.advance(60)
    core = running.gateway._core
    await eventually(lambda: core.dispatcher.waiting() == 6)
    await receiver.gets(2)
    async with Receiver() as quick:
        await create(running, quick.url, client=other)
        await other.call("SubmitGeneration", soul("an owl"))
        running.clock.advance(60)
        await quick.gets(1)
    assert receiver.most_open == 2
    receiver.let_go.set()
    await receiver.gets(6)


async def test_the_end_of_an_attempt_examines_no_callback_that_only_waits_for_a_place(
    running: Running, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise each attempt would cost more, the more receivers are slow."""
    monkeypatch.setattr(dispatcher, "MAX_CONCURRENT_ATTEMPTS", 1)
    receiver.usual = HOLD
    made = [await create(running, receiver.url, key=str(number)) for number in range(10)]
    await finished(running, "a fox")
    core = running.gateway._core
    await eventually(lambda: core.dispatcher.waiting() == 10)
    await receiver.gets(1)
    filled: list[str] = []
    fill = core.dispatcher._fill

    async def counted(queue: dispatcher.CallbackQueue) -> None:
        filled.append(queue.callback.id)
        await fill(queue)

    monkeypatch.setattr(core.dispatcher, "_fill", counted)
    receiver.let_go.set()
    for one in made:
        await settles(running, one.callback.id, 1)
    assert sorted(filled) == sorted(one.callback.id for one in made)


async def test_a_generation_deleted_before_its_delivery_is_skipped(
    running: Running, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "READ_BATCH_SIZE", 1)
    made = await create(running, receiver.url)
    await change(running, made.callback.id, paused=True)
    kept = await finished(running, "an owl")
    gone = await finished(running, "a fox")
    await running.grpc.call("DeleteGeneration", generation_pb.DeleteGenerationRequest(id=gone.id))
    await change(running, made.callback.id, paused=False)
    assert [one.generation_id for one in await settles(running, made.callback.id, 1)] == [kept.id]
    assert [got.generation.id for got in receiver.got] == [kept.id]
    assert running.gateway._core.dispatcher.skipped == 1


async def test_a_restart_takes_no_unwanted_change_of_a_deleted_generation_for_a_missed_one(
    running: Running, receiver: Receiver
) -> None:
    made = await create(running, receiver.url, labels={"team": "red"})
    gone = await finished(running, "a fox")
    await running.grpc.call("DeleteGeneration", generation_pb.DeleteGenerationRequest(id=gone.id))

    def is_current() -> bool:
        core = running.gateway._core
        return core.dispatcher.queues[made.callback.id].callback.position == core.feed.position

    await eventually(is_current)
    await running.stop_gateway()
    await running.start_gateway()
    await finished(running, "an owl")
    await eventually(is_current)
    assert running.gateway._core.dispatcher.skipped == 0


async def behind(running: Running, receiver: Receiver) -> tuple[str, Generation]:
    """Return the id of a paused callback, and a generation that it has not delivered and that is not in memory."""
    made = await create(running, receiver.url)
    await change(running, made.callback.id, paused=True)
    fox = await finished(running, "a fox")
    await running.stop_gateway()
    await running.start_gateway()
    return made.callback.id, fox


async def test_a_change_that_is_stored_while_the_log_is_read_is_delivered(
    running: Running, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    callback_id, fox = await behind(running, receiver)
    log, has_read, may_go_on = running.gateway._core.dispatcher._change_log, asyncio.Event(), asyncio.Event()
    read = log.changes

    async def changes(tenant: str, after: int, limit: int) -> Sequence[Change]:
        found = await read(tenant, after, limit)
        has_read.set()
        await may_go_on.wait()
        return found

    monkeypatch.setattr(log, "changes", changes)
    await change(running, callback_id, paused=False)
    async with asyncio.timeout(WAIT_TIMEOUT):
        await has_read.wait()
    owl = await finished(running, "an owl")
    may_go_on.set()

    found = await settles(running, callback_id, 2)
    assert {one.generation_id for one in found} == {fox.id, owl.id}


async def test_a_change_that_is_stored_before_the_log_is_read_becomes_one_delivery(
    running: Running, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    callback_id, fox = await behind(running, receiver)
    log, begins, may_go_on = running.gateway._core.dispatcher._change_log, asyncio.Event(), asyncio.Event()
    read = log.changes

    async def changes(tenant: str, after: int, limit: int) -> Sequence[Change]:
        begins.set()
        await may_go_on.wait()
        return await read(tenant, after, limit)

    created: list[str] = []
    take = SqliteCallbacks.take_deliveries

    async def noted(self: SqliteCallbacks, callback: Callback, deliveries: Sequence[Delivery]) -> None:
        created.extend(delivery.generation_id for delivery in deliveries)
        await take(self, callback, deliveries)

    monkeypatch.setattr(log, "changes", changes)
    monkeypatch.setattr(SqliteCallbacks, "take_deliveries", noted)
    await change(running, callback_id, paused=False)
    async with asyncio.timeout(WAIT_TIMEOUT):
        await begins.wait()
    owl = await finished(running, "an owl")
    may_go_on.set()
    await settles(running, callback_id, 2)
    hare = await finished(running, "a hare")
    await settles(running, callback_id, 3)
    assert created == [fox.id, owl.id, hare.id]


async def test_a_delivery_is_sent_later_if_its_revision_cannot_be_read(timed: Timed, receiver: Receiver) -> None:
    made = await create(timed, receiver.url)
    stored = await timed.submit(soul("a fox"))
    await timed.start_running(stored.id)
    reader = timed.database._reader
    reader.execute("PRAGMA query_only=0")
    reader.execute("CREATE TEMP TABLE changes (id TEXT)")  # hides the real one
    await timed.advance(60.0, until=lambda: stored.id not in timed.live())
    await timed.advance(10.0)
    assert receiver.got == []

    reader.execute("DROP TABLE temp.changes")
    await timed.advance(2 * dispatcher.STORE_PAUSE)
    (delivery,) = await settles(timed, made.callback.id, 1)
    assert (delivery.generation_id, delivery.attempts) == (stored.id, 1)


@pytest.mark.parametrize("part", ["_fill_page", "_try_once"])
async def test_a_bug_delays_a_delivery_and_does_not_lose_it(
    timed: Timed, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    await create(timed, receiver.url)
    stored = await timed.submit(soul("a fox"))
    await timed.start_running(stored.id)
    works, failures = getattr(timed.gateway._core.dispatcher, part), [ZeroDivisionError()]

    async def fails_once(*values: Any) -> None:
        if failures:
            raise failures.pop()
        await works(*values)

    monkeypatch.setattr(timed.gateway._core.dispatcher, part, fails_once)
    await timed.advance(60.0, until=lambda: stored.id not in timed.live())
    await timed.wait_until_idle()
    assert (failures, receiver.got) == ([], [])
    await timed.advance(schedule.MAX_HOLD, step=60.0)
    assert [got.generation.id for got in await receiver.gets(1)] == [stored.id]


async def test_a_delivery_is_listed_for_a_week(timed: Timed, receiver: Receiver) -> None:
    made = await create(timed, receiver.url)
    for prompt in ("a fox", "an owl"):
        stored = await timed.submit(soul(prompt))
        await timed.advance(60.0, until=lambda: not timed.live())
        assert [one.generation_id for one in await deliveries(timed, made.callback.id)] == [stored.id]
        await timed.advance(cores.DELIVERIES_KEPT + cores.PRUNE_INTERVAL, step=6 * 3_600.0)


async def test_a_clock_that_is_ahead_removes_no_delivery(timed: Timed, receiver: Receiver) -> None:
    made = await create(timed, receiver.url)
    stored = await timed.submit(soul("a fox"))
    await timed.advance(60.0, until=lambda: not timed.live())
    timed.time.wall_is_ahead += 2 * cores.DELIVERIES_KEPT
    await timed.advance(cores.PRUNE_INTERVAL + 60.0, step=600.0)
    assert [one.generation_id for one in await deliveries(timed, made.callback.id)] == [stored.id]


async def test_a_position_without_deliveries_is_stored_now_and_then(
    timed: Timed, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the changes after it would seem to be missed when the old ones have been pruned."""
    made = await create(timed, receiver.url, labels={"team": "red"})
    core = timed.gateway._core

    async def position_after(prompt: str) -> int:
        await timed.submit(soul(prompt))
        await timed.advance(60.0, until=lambda: not timed.live())
        (callback,) = await core.store.callbacks.callbacks()
        assert core.dispatcher.queues[made.callback.id].callback.position == core.feed.position
        return callback.position

    first = await position_after("a fox")
    assert await position_after("an owl") == first
    await timed.advance(dispatcher.POSITION_AFTER, step=600.0)
    second = await position_after("a hare")
    assert second > first
    monkeypatch.setattr(dispatcher, "POSITION_EVERY", 2)
    assert await position_after("a badger") > second


async def test_a_pending_delivery_of_a_deleted_generation_is_dropped(running: Running, receiver: Receiver) -> None:
    receiver.usual = 500
    made = await create(running, receiver.url)
    gone = await finished(running, "a fox")
    await receiver.gets(1)
    await until(running, made.callback.id, lambda found: [one.attempts for one in found] == [1])
    (delivery,) = await deliveries(running, made.callback.id)
    await running.grpc.call("DeleteGeneration", generation_pb.DeleteGenerationRequest(id=gone.id))
    with pytest.raises(RpcFailure) as refused:
        await running.grpc.call("RedeliverDelivery", pb.RedeliverDeliveryRequest(id=delivery.id))
    assert refused.value.reason == "NOT_FOUND"
    await change(running, made.callback.id, paused=False)
    await until(running, made.callback.id, lambda found: not found)
    assert len(receiver.got) == 1
    queue = running.gateway._core.dispatcher.queues[made.callback.id]
    await eventually(lambda: (queue.waiting, queue.in_flight) == (0, set()))


async def test_a_delivery_whose_revision_was_pruned_is_dropped_and_shows_no_other(
    running: Running, receiver: Receiver
) -> None:
    receiver.usual = 500
    made = await create(running, receiver.url, every_change=True)
    done = await finished(running, "a fox")
    await receiver.gets(1)
    await running.stop_gateway()
    with closing(sqlite3.connect(running.store_path)) as store, store:
        store.execute("DELETE FROM changes WHERE revision = 1")
    receiver.usual = 200
    await running.start_gateway()
    await change(running, made.callback.id, paused=False)
    await settles(running, made.callback.id, done.revision - 1)
    assert [got.generation.revision for got in receiver.got] == [1, *range(2, done.revision + 1)]


async def test_a_deleted_callback_gets_no_deliveries(running: Running, receiver: Receiver) -> None:
    made = await create(running, receiver.url)
    other = await create(running, receiver.url + "&other", key="two")
    with commits("callback changed") as failing:
        failing.fail_from(1)
        with pytest.raises(RpcFailure) as refused:
            await running.grpc.call("DeleteCallback", pb.DeleteCallbackRequest(id=made.callback.id))
    assert refused.value.code == "UNAVAILABLE"
    assert not (await state_of(running, made.callback.id)).paused  # it is served as before
    await running.grpc.call("DeleteCallback", pb.DeleteCallbackRequest(id=made.callback.id))
    await running.grpc.call("DeleteCallback", pb.DeleteCallbackRequest(id=made.callback.id))
    await finished(running, "a fox")
    await settles(running, other.callback.id, 1)
    assert [got.target for got in receiver.got] == ["/hook?of=shop&other"]
    with pytest.raises(RpcFailure) as refused:
        await state_of(running, made.callback.id)
    assert (refused.value.reason, refused.value.failure.metadata["callback_id"]) == ("NOT_FOUND", made.callback.id)


@pytest.mark.parametrize("deleted", [False, True], ids=["paused", "deleted"])
async def test_nothing_is_sent_if_a_callback_changes_while_the_dispatcher_waits_for_it(
    timed: Timed, receiver: Receiver, deleted: bool
) -> None:
    made = await create(timed, receiver.url, every_change=True)
    await timed.submit(soul("a fox"))
    await timed.advance(60.0, until=lambda: not timed.live())
    before = await deliveries(timed, made.callback.id)
    core = timed.gateway._core
    changing = core.dispatcher.queues[made.callback.id].changing

    async def waits(number: int) -> None:
        await eventually(lambda: len(changing._waiters or ()) == number)

    calls: list[tuple[str, Message]] = [("RedeliverDelivery", pb.RedeliverDeliveryRequest(id=before[0].id))]
    if deleted:
        calls.append(("DeleteCallback", pb.DeleteCallbackRequest(id=made.callback.id)))
        calls.append(("RedeliverDelivery", pb.RedeliverDeliveryRequest(id=before[1].id)))
    calls.append(("UpdateCallback", pb.UpdateCallbackRequest(id=made.callback.id, paused=True)))
    async with changing:
        waiting = []
        for number, call in enumerate(calls, 1):
            waiting.append(asyncio.create_task(timed.grpc.call(*call)))
            await waits(number)
        await timed.submit(soul("an owl"))
        await waits(len(calls) + 1)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    reasons = [result.reason if isinstance(result, RpcFailure) else "" for result in results]
    assert reasons == (["", "", "NOT_FOUND", "NOT_FOUND"] if deleted else ["", ""])
    await timed.wait_until_idle()
    assert len(receiver.got) == len(before)
    stored = await core.store.callbacks.deliveries(made.callback.id, "", failed_only=False, before=BEGINNING, limit=9)
    assert len(stored) == len(before) - deleted  # the repeated one was pending


async def test_a_delivery_is_not_repeated_while_its_result_cannot_be_stored(timed: Timed, receiver: Receiver) -> None:
    made = await create(timed, receiver.url)
    stored = await timed.submit(soul("a fox"))
    with commits("delivery attempted") as attempts:
        attempts.fail_from(1)
        await timed.advance(60, until=lambda: stored.id not in timed.live())
        await timed.advance(60)
        assert attempts.count > 5
        assert len(receiver.got) == 1
    await timed.advance(10)
    (delivery,) = await deliveries(timed, made.callback.id)
    assert delivery.state == pb.DELIVERY_STATE_DELIVERED
    assert len(receiver.got) == 1


async def test_a_delivery_that_cannot_be_stored_is_created_and_sent_later(timed: Timed, receiver: Receiver) -> None:
    await create(timed, receiver.url)
    stored = await timed.submit(soul("a fox"))
    with commits("deliveries taken") as taken:
        taken.fail_from(1)
        await timed.advance(60, until=lambda: stored.id not in timed.live())
        await timed.advance(10)
        assert taken.count > 5
        assert receiver.got == []
    await timed.advance(10)
    assert [got.generation.id for got in await receiver.gets(1)] == [stored.id]
