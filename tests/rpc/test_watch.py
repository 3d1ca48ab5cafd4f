"""WatchGeneration: every change once and in order, resumable at any revision; ends after the last change."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from google.rpc.error_details_pb2 import RetryInfo

from gateway.generations.watching import watch as watch_module
from hfgateway.v1 import error_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from tests.rpc.conftest import Start
from tests.support.running import WAIT_TIMEOUT, Generation, Running, collected, eventually, name_of, soul
from tests.support.transports import RpcFailure, Transport


def watching(
    client: Transport, generation_id: str, after: int = 0, **fields: Any
) -> AsyncGenerator[pb.WatchGenerationResponse, None]:
    request = pb.WatchGenerationRequest(id=generation_id, after_revision=after, **fields)
    return client.stream("WatchGeneration", request)  # type: ignore[return-value]


async def watched(client: Transport, generation_id: str, after: int = 0, **fields: Any) -> list[Generation]:
    """Return all changes up to the end, without heartbeats."""
    answers = await collected(watching(client, generation_id, after, **fields))
    return [answer.generation for answer in answers if answer.HasField("generation")]


async def completed_generation(running: Running, prompt: str = "a fox") -> Generation:
    """Return a generation that went through every state to COMPLETED."""
    stored = await running.submit(soul(prompt))
    await running.start_running(stored.id)
    return await running.finish(stored.id)


STATES_TO_COMPLETED = ["PENDING", "QUEUED", "IN_PROGRESS", "COMPLETED"]


async def test_a_watch_sends_every_revision_once_and_in_order(running: Running, client: Transport) -> None:
    stored = await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
    watch = asyncio.create_task(watched(client, stored.id))
    await running.start_running(stored.id)
    await running.finish(stored.id)
    seen = await watch
    assert [one.revision for one in seen] == [1, 2, 3, 4]
    assert [name_of(one) for one in seen] == STATES_TO_COMPLETED
    assert [one.done for one in seen] == [False, False, False, True]
    assert all(one.update_time.ToNanoseconds() <= seen[-1].update_time.ToNanoseconds() for one in seen)
    assert seen[-1].start_time == seen[2].update_time


async def test_a_resumed_watch_without_a_new_change_begins_with_an_empty_message(
    running: Running, client: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "HEARTBEAT", 1000.0)
    stored = await running.submit(soul("a fox"))
    async with (
        asyncio.timeout(WAIT_TIMEOUT),
        contextlib.aclosing(watching(client, stored.id, stored.revision)) as messages,
    ):
        first = await anext(messages)
    assert not first.HasField("generation")
    assert not first.HasField("forecast")


async def test_a_watch_of_an_ended_generation_replays_its_changes_and_ends(running: Running, client: Transport) -> None:
    ended = await completed_generation(running)
    whole = await watched(client, ended.id)
    assert [name_of(one) for one in whole] == STATES_TO_COMPLETED
    for after in range(4):
        assert await watched(client, ended.id, after) == whole[after:]


async def test_a_watch_after_the_last_revision_ends_at_once(running: Running, grpc: Transport) -> None:
    ended = await completed_generation(running)
    assert await watched(grpc, ended.id, ended.revision) == []


async def test_a_watch_after_a_wrong_revision_says_what_is_wrong_with_it(running: Running, grpc: Transport) -> None:
    stored = await running.submit(soul("a fox"))
    for after, said in ((-1, "must not be negative"), (stored.revision + 1, f"the newest is {stored.revision}")):
        with pytest.raises(RpcFailure, match=said):
            await collected(watching(grpc, stored.id, after))


async def test_a_watch_after_the_current_revision_sends_only_later_changes(running: Running, grpc: Transport) -> None:
    stored = await running.submit(soul("a fox"))
    watch = asyncio.create_task(watched(grpc, stored.id, stored.revision))
    await running.finish(stored.id)
    assert [name_of(one) for one in await watch] == ["COMPLETED"]


async def test_a_long_history_is_replayed_whole(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "READ_BATCH_SIZE", 2)
    stored = await running.submit(soul("a fox"))
    for number in range(7):
        running.plan(on="status", patch={"status": f"phase {number}"})
    running.plan(on="status", patch={"status": "completed"}, times=9)
    await running.until(stored.id, "COMPLETED")
    for after in range(10):
        seen = await watched(running.grpc, stored.id, after)
        assert [one.revision for one in seen] == list(range(after + 1, 11))


async def test_a_watch_includes_the_input_on_request(running: Running, grpc: Transport) -> None:
    ended = await completed_generation(running)
    assert not any(one.HasField("input") for one in await watched(grpc, ended.id))
    for one in await watched(grpc, ended.id, include_input=True):
        assert one.input == soul("a fox").input


async def test_a_watch_shows_delays(start: Start) -> None:
    running = await start(UPSTREAM_CONCURRENCY=1)
    first = await running.submit(soul("the first"))
    second = await running.submit(soul("the second", wait_for=pb.WAIT_FOR_STORED))
    watch = asyncio.create_task(watched(running.grpc, second.id))
    await running.finish(first.id)
    await running.finish(second.id)
    seen = await watch
    assert seen[0].delay.reason == error_pb2.ERROR_REASON_UPSTREAM_SATURATED
    assert [one.HasField("delay") for one in seen][1:] == [False] * (len(seen) - 1)
    assert [one.revision for one in seen] == list(range(1, len(seen) + 1))


async def test_an_idle_watch_sends_heartbeats(
    running: Running, client: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "HEARTBEAT", 0.05)
    stored = await running.submit(soul("a fox"))
    async with contextlib.aclosing(watching(client, stored.id, stored.revision)) as stream:
        for _ in range(3):
            assert await anext(stream) == pb.WatchGenerationResponse()
        running.clock.advance(60)
        async with asyncio.timeout(WAIT_TIMEOUT):
            seen = [one.generation async for one in stream if one.HasField("generation")]
    assert [name_of(one) for one in seen] == ["COMPLETED"]


async def test_many_watches_of_one_generation_cost_no_extra_polls(running: Running) -> None:
    stored = await running.submit(soul("a fox"))
    watches = [
        asyncio.create_task(watched(client, stored.id)) for client in running.transports.values() for _ in range(25)
    ]
    await running.calls_open("WatchGeneration", len(watches))
    await running.start_running(stored.id)
    running.clock.advance(60)
    histories = await asyncio.gather(*watches)
    assert {tuple(name_of(one) for one in seen) for seen in histories} == {tuple(STATES_TO_COMPLETED)}
    assert running.ledger.peak_calls <= 2
    assert len(running.ledger.submissions) == 1


async def test_canceling_a_watch_ends_neither_others_nor_the_generation(running: Running, client: Transport) -> None:
    stored = await running.submit(soul("a fox"))
    watch = asyncio.create_task(watched(client, stored.id))
    stays = asyncio.create_task(watched(running.grpc, stored.id))
    await running.calls_open("WatchGeneration", 2)
    watch.cancel()
    await running.calls_open("WatchGeneration", 1)
    await running.start_running(stored.id)
    running.clock.advance(60)
    assert [name_of(one) for one in await stays] == STATES_TO_COMPLETED


async def test_a_watch_of_an_unknown_generation_is_not_found(running: Running, grpc: Transport) -> None:
    with pytest.raises(RpcFailure) as raised:
        await anext(watching(grpc, "unknown"))
    assert raised.value.reason == "NOT_FOUND"


async def test_a_drain_ends_a_watch_and_the_next_gateway_resumes_it(running: Running) -> None:
    stored = await running.submit(soul("a fox"))
    seen: dict[str, list[Generation]] = {name: [] for name in running.transports}

    async def watch(client: Transport) -> None:
        async for answer in watching(client, stored.id):
            seen[client.name].append(answer.generation)

    watches = [asyncio.create_task(watch(client)) for client in running.transports.values()]
    await eventually(lambda: all(len(one) == stored.revision for one in seen.values()))
    await running.stop_gateway()
    for error in await asyncio.gather(*watches, return_exceptions=True):
        assert isinstance(error, RpcFailure)
        assert (error.code, error.reason) == ("UNAVAILABLE", "GATEWAY_UNAVAILABLE")
        assert error.detail(RetryInfo).HasField("retry_delay")

    await running.start_gateway()
    resumed = [asyncio.create_task(watched(client, stored.id, 2)) for client in running.transports.values()]
    await running.start_running(stored.id)
    running.clock.advance(60)
    for client, rest in zip(running.transports.values(), await asyncio.gather(*resumed), strict=True):
        whole = seen[client.name] + rest
        assert [one.revision for one in whole] == [1, 2, 3, 4]
        assert [name_of(one) for one in whole] == STATES_TO_COMPLETED
    assert len(running.ledger.charges) == 1


async def test_a_watch_at_its_maximum_age_ends_and_can_be_resumed(
    running: Running, grpc: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = await running.submit(soul("a fox"))
    with monkeypatch.context() as patch:
        patch.setattr(watch_module, "MAX_STREAM_DURATION", 0.1)
        patch.setattr(watch_module, "HEARTBEAT", 0.05)
        with pytest.raises(RpcFailure) as raised:
            await collected(watching(grpc, stored.id, stored.revision))
    assert (raised.value.code, raised.value.reason) == ("UNAVAILABLE", "GATEWAY_UNAVAILABLE")
    await running.finish(stored.id)
    assert [name_of(one) for one in await watched(grpc, stored.id, stored.revision)] == ["COMPLETED"]


async def test_a_watch_of_a_deleted_generation_is_not_found(running: Running) -> None:
    ended = await completed_generation(running)
    await running.grpc.call("DeleteGeneration", pb.DeleteGenerationRequest(id=ended.id))
    with pytest.raises(RpcFailure) as raised:
        await watched(running.grpc, ended.id, 2)
    assert raised.value.reason == "NOT_FOUND"


async def test_many_quick_changes_are_each_sent_once(running: Running, grpc: Transport) -> None:
    stored = await running.submit(soul("a fox"))
    for number in range(20):
        running.plan(on="status", patch={"status": f"phase {number}"})
    running.plan(on="status", patch={"status": "completed"}, times=100)
    seen = await watched(grpc, stored.id)
    assert [one.revision for one in seen] == list(range(1, 24))
    assert [one.upstream.status for one in seen[2:-1]] == [f"phase {number}" for number in range(20)]
