"""Forecasts: computed when they are read, sent alone only when they change, and never a revision."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.generations.inputs import SoulInput
from gateway.generations.run_times import ENOUGH_RUN_TIMES
from gateway.generations.service import Submission
from gateway.generations.watching import watch
from gateway.higgsfield.credentials import Credentials
from gateway.rpc.handlers import generations
from hfgateway.v1 import generation_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from tests.rpc.conftest import Start
from tests.support.running import CREDENTIALS, WAIT_TIMEOUT, Generation, Running, eventually, name_of, public_url, soul
from tests.support.timeline import run_timed
from tests.support.transports import RpcFailure, Transport
from tests.support.webhooks import SECRET

EVERY_SECOND = {"seconds": 1}


async def queue(running: Running, *prompts: str) -> list[Generation]:
    """Submit a generation that runs; return those that wait behind it, in order."""
    await running.submit(soul("the one that runs"))
    return [await running.submit(soul(prompt, wait_for=pb.WAIT_FOR_STORED)) for prompt in prompts]


async def position(client: Transport, generation: Generation) -> int:
    answer = await client.call("GetGeneration", pb.GetGenerationRequest(id=generation.id))
    return int(answer.generation.forecast.queue_position)


async def cancel(running: Running, generation: Generation) -> None:
    await running.grpc.call("CancelGeneration", pb.CancelGenerationRequest(id=generation.id))


async def experienced(start: Start, **terms: Any) -> Running:
    """Start a gateway that has learned a model's run time by webhooks: an end found by a first poll is not learned."""
    secret = {"webhook_secret": SECRET, "WEBHOOK_SECRET": SECRET, "POLL_MIN": 30, "POLL_MAX": 30}
    running = await start(**(secret | public_url() | terms))
    for number in range(ENOUGH_RUN_TIMES):
        seen = await running.submit(soul(f"seen before {number}"))
        running.clock.advance(60)
        await running.until(seen.id, "COMPLETED")
    return running


async def test_queue_positions_follow_the_order_of_sending(start: Start) -> None:
    running = await start(UPSTREAM_CONCURRENCY=1)
    first, second, third = await queue(running, "first", "second", "third")
    for client in running.transports.values():
        assert [await position(client, one) for one in (first, second, third)] == [1, 2, 3]
    await cancel(running, first)
    assert [await position(running.grpc, one) for one in (second, third)] == [1, 2]
    running.clock.advance(60)
    await running.until(second.id, "QUEUED")
    assert [await position(running.grpc, one) for one in (second, third)] == [0, 1]


async def another_tenants(running: Running, prompt: str) -> None:
    """Submit for another tenant, without an RPC: this gateway runs without keys."""
    wanted = Submission(SoulInput(prompt), b"", prompt, {})
    await running.gateway._core.service.submit("another", wanted)


async def test_queue_positions_count_the_turns_of_other_tenants(start: Start) -> None:
    running = await start(UPSTREAM_CONCURRENCY=1)
    (first,) = await queue(running, "first")
    for prompt in ("their first", "their second"):
        await another_tenants(running, prompt)
    second, third = [await running.submit(soul(prompt, wait_for=pb.WAIT_FOR_STORED)) for prompt in ("second", "third")]
    for client in running.transports.values():
        assert [await position(client, one) for one in (first, second, third)] == [2, 4, 5]
    for sent in range(2, 7):
        running.clock.advance(60)
        await eventually(lambda: len(running.ledger.submissions) == sent)  # noqa: B023 - called before it changes
    assert [one.prompt for one in running.ledger.submissions[1:]] == [
        "their first", "first", "their second", "second", "third",
    ]  # fmt: skip


async def test_a_generation_of_another_account_has_no_queue_position(start: Start) -> None:
    running = await start(UPSTREAM_CONCURRENCY=1, credentials="sandbox:sandbox other:secret", image_seconds=10**6)
    (theirs,) = await queue(running, "for the account before")
    await running.stop_gateway()
    running.credentials = Credentials("other", "secret")
    await running.start_gateway()
    mine = [await running.submit(soul(f"mine {number}", wait_for=pb.WAIT_FOR_STORED)) for number in range(3)]
    assert [await position(running.grpc, one) for one in (theirs, *mine)] == [0, 0, 1, 2]
    assert name_of(await running.get(theirs.id)) == "PENDING"

    await running.stop_gateway()
    running.credentials = CREDENTIALS
    await running.start_gateway()
    assert [await position(running.grpc, one) for one in (theirs, *mine[1:])] == [1, 0, 0]


async def test_a_retry_after_for_another_account_delays_nothing(start: Start) -> None:
    running = await start(credentials="sandbox:sandbox other:secret")
    running.plan(on="submit", kind="429", headers={"Retry-After": "300"})
    held_up = await running.submit(soul("for the account before", wait_for=pb.WAIT_FOR_STORED))
    await eventually(lambda: len(running.ledger.submissions) == 1)
    await running.stop_gateway()
    running.credentials = Credentials("other", "secret")
    await running.start_gateway()
    assert name_of(await running.submit(soul("mine"))) == "QUEUED"
    assert name_of(await running.get(held_up.id)) == "PENDING"


async def test_submit_wait_and_list_return_queue_positions(start: Start) -> None:
    running = await start(UPSTREAM_CONCURRENCY=1)
    first, second = await queue(running, "first", "second")
    assert (first.forecast.queue_position, second.forecast.queue_position) == (1, 2)
    listed = await running.grpc.call("ListGenerations", pb.ListGenerationsRequest())
    assert [one.forecast.queue_position for one in listed.generations] == [2, 1, 0]
    waited = await running.grpc.call("WaitGeneration", pb.WaitGenerationRequest(id=second.id, timeout={"nanos": 1}))
    assert waited.generation.forecast.queue_position == 2


async def test_the_first_generation_has_a_forecast_that_is_marked_as_a_guess(running: Running) -> None:
    queued = await running.submit(soul("a fox"))
    assert queued.forecast.basis == generation_pb2.FORECAST_BASIS_BUILT_IN
    assert queued.forecast.remaining.ToSeconds() > 0
    done = await running.finish(queued.id)
    assert not done.HasField("forecast")


async def test_a_generation_that_takes_longer_than_all_known_ones_is_overdue(tmp_path: Path) -> None:
    async with run_timed(tmp_path, image_seconds=3600.0) as running:
        queued = await running.submit(soul("a fox"))
        await running.advance(300.0, step=30.0)
        late = (await running.get(queued.id)).forecast
        assert late.overdue
        assert not late.HasField("remaining")
        assert 0.5 < late.progress < 1.0
        await running.advance(300.0, step=30.0)
        assert (await running.get(queued.id)).forecast == late


async def test_with_a_history_the_forecast_has_progress_and_remaining_time(start: Start) -> None:
    running = await experienced(start, UPSTREAM_CONCURRENCY=1)
    queued = await running.submit(soul("a fox"))
    waiting = await running.submit(soul("an owl", wait_for=pb.WAIT_FOR_STORED))
    assert 0.0 <= queued.forecast.progress < 1.0
    assert queued.forecast.basis == generation_pb2.FORECAST_BASIS_SAME_SETTINGS
    assert waiting.forecast.queue_position == 1
    assert waiting.forecast.remaining.ToNanoseconds() > 0
    running.clock.advance(60)
    done = await running.until(queued.id, "COMPLETED")
    assert not done.HasField("forecast")


async def test_those_that_wait_are_expected_to_run_in_rounds(start: Start) -> None:
    running = await start(UPSTREAM_CONCURRENCY=2)
    await running.submit(soul("the first that runs"))
    waiting = await queue(running, "first", "second", "third", "fourth", "fifth")
    remaining = [one.forecast.remaining.ToTimedelta().total_seconds() for one in waiting]
    one_round = remaining[0] / 2  # those that run, and its own
    assert remaining == pytest.approx([rounds * one_round for rounds in (2, 2, 3, 3, 4)])


async def test_progress_never_falls_while_a_generation_runs(start: Start) -> None:
    running = await experienced(start)
    queued = await running.submit(soul("a fox"))
    shown = [(await running.get(queued.id)).forecast.progress for _ in range(50)]
    assert shown == sorted(shown)


# -- In a watch --------------------------------------------------------------------------------------------------------


async def nexts(stream: AsyncIterator[Any], count: int) -> list[Any]:
    async with asyncio.timeout(WAIT_TIMEOUT):
        return [await anext(stream) for _ in range(count)]


async def test_a_watch_sends_a_forecast_alone_only_when_it_changes(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "HEARTBEAT", 1.0)
    running = await start(UPSTREAM_CONCURRENCY=1)
    first, second = await queue(running, "first", "second")
    for client in (running.transports["connect-json"], running.grpc):
        request = pb.WatchGenerationRequest(id=second.id, forecast_interval=EVERY_SECOND)
        stream = client.stream("WatchGeneration", request)
        shown, heartbeat = await nexts(stream, 2)
        assert shown.generation.forecast.queue_position == 2
        assert heartbeat == pb.WatchGenerationResponse()
    before = await running.get(second.id)
    await cancel(running, first)
    async with asyncio.timeout(WAIT_TIMEOUT):
        async for newer in stream:
            assert not newer.HasField("generation")
            if newer.HasField("forecast"):
                break
    assert newer.forecast.queue_position == 1
    after = await running.get(second.id)
    assert (after.revision, after.update_time) == (before.revision, before.update_time)
    assert await anext(stream) == pb.WatchGenerationResponse()


async def test_without_an_interval_no_forecast_is_sent_alone(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "HEARTBEAT", 0.2)
    running = await start(UPSTREAM_CONCURRENCY=1)
    first, second = await queue(running, "first", "second")
    one = running.grpc.stream("WatchGeneration", pb.WatchGenerationRequest(id=second.id))
    await nexts(one, 2)
    await cancel(running, first)
    assert await nexts(one, 3) == [pb.WatchGenerationResponse()] * 3


async def test_a_watch_of_many_sends_changed_forecasts_together(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "HEARTBEAT", 1.0)
    running = await start(UPSTREAM_CONCURRENCY=1)
    first, second, third = await queue(running, "first", "second", "third")
    # The one that runs is left out, because its forecast always changes.
    waiting = pb.GenerationFilter(ids=[first.id, second.id, third.id])
    request = pb.WatchGenerationsRequest(filter=waiting, forecast_interval=EVERY_SECOND)
    stream = running.grpc.stream("WatchGenerations", request)
    shown = await nexts(stream, 4)
    assert [one.generation.forecast.queue_position for one in shown[:3]] == [1, 2, 3]
    assert shown[3].caught_up
    (heartbeat,) = await nexts(stream, 1)
    assert dict(heartbeat.forecasts) == {}
    await cancel(running, first)
    newer: dict[str, int] = {}
    async with asyncio.timeout(WAIT_TIMEOUT):
        async for answer in stream:
            assert answer.resume_token
            if answer.HasField("generation"):
                assert (answer.generation.id, name_of(answer.generation)) == (first.id, "CANCELED")
            newer |= {name: forecast.queue_position for name, forecast in answer.forecasts.items()}
            if newer:
                break
    assert newer == {second.id: 1, third.id: 2}
    (heartbeat,) = await nexts(stream, 1)
    assert dict(heartbeat.forecasts) == {}


async def test_many_changed_forecasts_are_sent_in_several_messages(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients do not accept large messages."""
    monkeypatch.setattr(generations, "MAX_FORECASTS", 2)
    running = await start(UPSTREAM_CONCURRENCY=1)
    first, *others = await queue(running, "first", "second", "third", "fourth")
    names = [one.id for one in (first, *others)]
    request = pb.WatchGenerationsRequest(filter=pb.GenerationFilter(ids=names), forecast_interval=EVERY_SECOND)
    stream = running.grpc.stream("WatchGenerations", request)
    shown = await nexts(stream, len(names) + 1)
    assert shown[-1].caught_up
    await cancel(running, first)
    found: list[dict[str, int]] = []
    async with asyncio.timeout(WAIT_TIMEOUT):
        while len(found) < 2:
            answer = await anext(stream)
            assert answer.resume_token
            if answer.forecasts:
                found.append({name: forecast.queue_position for name, forecast in answer.forecasts.items()})
    assert [len(one) for one in found] == [2, 1]
    assert found[0] | found[1] == {one.id: place for place, one in enumerate(others, 1)}


@pytest.mark.parametrize("interval", [None, 1, 2, 2.2, 4, 5, 6.1, 7.6, 8, 10, 14, 14.9, 15, 20, 3600])
def test_a_silent_watch_sends_a_heartbeat_in_time_whatever_its_interval_is(interval: float | None) -> None:
    heartbeats = generations._Heartbeats(interval)
    assert heartbeats.count_tick()  # the first one at once
    for _ in range(2):
        heartbeats.reset()
        ticks = 1
        while not heartbeats.count_tick():
            ticks += 1
        assert ticks * heartbeats.tick == pytest.approx(watch.HEARTBEAT)
    assert heartbeats.tick <= (interval or watch.HEARTBEAT)


def test_an_interval_below_a_second_counts_as_a_second() -> None:
    for interval in ({"nanos": 999_999_999}, {"seconds": 0}):
        assert generations._interval(pb.WatchGenerationRequest(id="x", forecast_interval=interval)) == 1.0
    assert generations._interval(pb.WatchGenerationsRequest(forecast_interval={"seconds": 2})) == 2.0


async def test_a_negative_interval_is_refused(running: Running) -> None:
    for interval in ({"seconds": -1}, {"nanos": -1}):
        one = pb.WatchGenerationRequest(id="x", forecast_interval=interval)
        many = pb.WatchGenerationsRequest(forecast_interval=interval)
        for client in running.transports.values():
            for method, request in (("WatchGeneration", one), ("WatchGenerations", many)):
                with pytest.raises(RpcFailure) as raised:
                    await anext(client.stream(method, request))
                assert raised.value.fields == ["forecast_interval"]
