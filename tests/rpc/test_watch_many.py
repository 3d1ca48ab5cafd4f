"""WatchGenerations: the current state, then every change of the matching generations, without a gap across streams."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator, Iterable
from typing import Any

import pytest
from google.rpc.error_details_pb2 import RetryInfo

from gateway.errors import Failure, GatewayError, Reason
from gateway.generations.stores import Filter
from gateway.generations.watching import feed
from gateway.generations.watching import watch as watch_module
from gateway.store.sqlite.restore import declare_restored
from hfgateway.v1 import generation_service_pb2 as pb
from tests.rpc.conftest import Start
from tests.support.running import WAIT_TIMEOUT, Generation, Running, collected, eventually, name_of, soul
from tests.support.transports import RpcFailure, Transport

Message = pb.WatchGenerationsResponse
UNKNOWN_ID = "01890a5d-ac96-774b-bcce-b302099a8057"


def watching(client: Transport, token: str = "", **wanted: Any) -> AsyncGenerator[Message, None]:
    request = pb.WatchGenerationsRequest(resume_token=token)
    request.filter.CopyFrom(pb.GenerationFilter(**wanted))
    return client.stream("WatchGenerations", request)  # type: ignore[return-value]


async def until_caught_up(stream: AsyncGenerator[Message, None]) -> list[Message]:
    messages = []
    async with asyncio.timeout(WAIT_TIMEOUT):
        async for message in stream:
            messages.append(message)
            if message.caught_up:
                return messages
    raise AssertionError("ended before it had caught up")


async def caught_up(client: Transport, token: str = "", **wanted: Any) -> list[Message]:
    """Return the messages of a stream up to `caught_up`, then cancel it."""
    async with contextlib.aclosing(watching(client, token, **wanted)) as stream:
        return await until_caught_up(stream)


async def ended_with(stream: AsyncGenerator[Message, None], generation_id: str) -> list[Message]:
    """Return the messages up to the end of the generation."""
    messages = []
    async with asyncio.timeout(WAIT_TIMEOUT):
        async for message in stream:
            messages.append(message)
            if message.generation.id == generation_id and message.generation.done:
                return messages
    raise AssertionError("ended early")


def changes(messages: Iterable[Message]) -> list[tuple[str, int, str]]:
    return [
        (one.generation.id, one.generation.revision, name_of(one.generation))
        for one in messages
        if one.HasField("generation")
    ]


async def completed_generation(running: Running, prompt: str, **fields: Any) -> Generation:
    stored = await running.submit(soul(prompt, **fields))
    return await running.finish(stored.id)


async def test_a_watch_of_many_sends_current_states_caught_up_then_changes(running: Running, client: Transport) -> None:
    await completed_generation(running, "done before")
    present = await running.submit(soul("present"))
    async with contextlib.aclosing(watching(client)) as stream:
        first = await until_caught_up(stream)
        assert changes(first) == [(present.id, 2, "QUEUED")]
        later = await running.submit(soul("later"))
        running.clock.advance(60)
        rest = await ended_with(stream, later.id)
    assert [one for one in changes(rest) if one[0] == later.id] == [
        (later.id, 1, "PENDING"), (later.id, 2, "QUEUED"), (later.id, 3, "COMPLETED"),
    ]  # fmt: skip
    assert all(message.resume_token for message in first + rest)
    assert [message.caught_up for message in first + rest].count(True) == 1
    assert not any(message.reset or message.missing_ids for message in first + rest)
    assert not any(message.generation.HasField("input") for message in first + rest)


async def test_a_watch_without_matches_sends_only_caught_up(running: Running, grpc: Transport) -> None:
    (message,) = await caught_up(grpc)
    assert message == Message(caught_up=True, resume_token=message.resume_token)


async def test_a_watch_sends_only_matching_generations(running: Running, grpc: Transport) -> None:
    red = await running.submit(soul("red", labels={"color": "red"}))
    async with contextlib.aclosing(watching(grpc, labels={"color": "red"})) as stream:
        first = await until_caught_up(stream)
        await running.submit(soul("blue", labels={"color": "blue"}))
        later = await running.submit(soul("red too", labels={"color": "red"}))
        running.clock.advance(60)
        rest = await ended_with(stream, later.id)
    assert {name for name, _, _ in changes(first + rest)} == {red.id, later.id}


async def test_a_watch_of_ids_includes_ended_ones_and_ends_when_all_end(running: Running, client: Transport) -> None:
    done = await completed_generation(running, "done")
    alive = await running.submit(soul("alive"))
    await running.submit(soul("another"))
    async with contextlib.aclosing(watching(client, ids=[done.id, alive.id, UNKNOWN_ID])) as watch:
        messages = await until_caught_up(watch)
        await running.finish(alive.id)
        messages += await collected(watch)
    assert sorted(changes(messages)[:2]) == sorted([(done.id, done.revision, "COMPLETED"), (alive.id, 2, "QUEUED")])
    assert changes(messages)[2:] == [(alive.id, 3, "COMPLETED")]
    assert [list(message.missing_ids) for message in messages] == [[UNKNOWN_ID]] + [[]] * (len(messages) - 1)
    assert [message.caught_up for message in messages].count(True) == 1


async def test_a_generation_that_cannot_be_read_is_not_missing(running: Running, client: Transport) -> None:
    done = await completed_generation(running, "done")
    with contextlib.closing(sqlite3.connect(running.store_path)) as connection:
        connection.execute("ALTER TABLE generations RENAME TO away")
    async with contextlib.aclosing(watching(client, ids=[done.id])) as watch:
        with pytest.raises(RpcFailure) as raised:
            await anext(watch)
    assert raised.value.reason == "GATEWAY_UNAVAILABLE"


async def test_a_watch_of_ids_that_have_all_ended_ends_at_once(running: Running, grpc: Transport) -> None:
    done = await completed_generation(running, "done")
    messages = await collected(watching(grpc, ids=[done.id]))
    assert changes(messages) == [(done.id, done.revision, "COMPLETED")]
    assert messages[-1].caught_up
    (only,) = [m for m in await collected(watching(grpc, ids=[UNKNOWN_ID])) if m.missing_ids]
    assert list(only.missing_ids) == [UNKNOWN_ID]


async def test_a_resumed_watch_sends_later_changes_and_nothing_twice(running: Running, client: Transport) -> None:
    first = await running.submit(soul("the first"))
    token = (await caught_up(client))[-1].resume_token
    second = await running.submit(soul("the second"))
    await running.finish(first.id)
    await running.until(second.id, "COMPLETED")
    messages = await caught_up(client, token)
    seen = changes(messages)
    assert [one for one in seen if one[0] == first.id] == [(first.id, 3, "COMPLETED")]
    assert [revision for name, revision, _ in seen if name == second.id] == [1, 2, 3]
    assert messages[-1].caught_up
    assert not any(message.reset for message in messages)
    assert changes(await caught_up(client, messages[-1].resume_token)) == []


async def test_every_resume_token_continues_right_after_its_message(running: Running) -> None:
    token = (await caught_up(running.grpc))[-1].resume_token
    for number in range(3):
        await completed_generation(running, f"fox {number}")
    messages = await caught_up(running.grpc, token)
    whole = changes(messages)
    assert len(whole) == 9
    for index, message in enumerate(messages[:9]):
        assert changes(await caught_up(running.grpc, message.resume_token)) == whole[index + 1 :]


async def test_a_token_from_before_caught_up_continues_the_present_state(running: Running, grpc: Transport) -> None:
    stored = sorted([await running.submit(soul(f"fox {number}")) for number in range(5)], key=lambda one: one.id)
    async with contextlib.aclosing(watching(grpc)) as stream:
        seen = [await anext(stream) for _ in range(2)]
    assert changes(seen) == [(one.id, 2, "QUEUED") for one in stored[:2]]
    brief, later = [await running.submit(soul(prompt)) for prompt in ("brief", "later")]
    for one in (stored[0], stored[4], brief):
        await grpc.call("CancelGeneration", pb.CancelGenerationRequest(id=one.id))
    messages = await caught_up(grpc, seen[-1].resume_token)
    sent = [(name, state) for name, _, state in changes(messages)]
    ends = [(one.id, "CANCELED") for one in (stored[0], stored[4], brief)]
    assert [change for change in sent if change[1] == "CANCELED"] == ends, "no end is missing"
    assert sent[-3:] == [(one.id, "QUEUED") for one in sorted([stored[2], stored[3], later], key=lambda one: one.id)]
    assert not any(message.reset for message in messages)


async def test_every_token_of_the_present_state_continues_right_after_its_message(running: Running) -> None:
    names = [(await running.submit(soul(f"fox {number}"))).id for number in range(4)]
    await running.grpc.call("CancelGeneration", pb.CancelGenerationRequest(id=names[1]))
    messages = await caught_up(running.grpc, ids=names)
    whole = changes(messages)
    assert sorted(whole) == [
        (name, revision, "CANCELED" if name == names[1] else "QUEUED") for name, revision, _ in sorted(whole)
    ]
    assert {name for name, _, _ in whole} == set(names)
    for index, message in enumerate(messages[:4]):
        assert changes(await caught_up(running.grpc, message.resume_token, ids=names)) == whole[index + 1 :]


async def test_a_token_from_before_a_restore_resets(running: Running, grpc: Transport) -> None:
    stored = await running.submit(soul("a fox"))
    token = (await caught_up(grpc))[-1].resume_token
    await running.stop_gateway()
    await declare_restored(running.store_path)
    await running.start_gateway()
    messages = await caught_up(running.grpc, token)
    assert [message.reset for message in messages] == [True] + [False] * (len(messages) - 1)
    assert [name for name, _, _ in changes(messages)] == [stored.id]
    again = await caught_up(running.grpc, messages[-1].resume_token)
    assert not any(message.reset for message in again)


async def test_a_token_older_than_the_retention_resets(running: Running, grpc: Transport) -> None:
    token = (await caught_up(grpc))[-1].resume_token
    old = await completed_generation(running, "old")
    alive = await running.submit(soul("alive"))
    await running.stop_gateway()
    with contextlib.closing(sqlite3.connect(running.store_path)) as connection:
        connection.execute("UPDATE generations SET ended_at = 1 WHERE id = ?", (old.id,))
        connection.commit()
    await running.start_gateway()
    await eventually_gone(running, old.id)
    messages = await caught_up(running.grpc, token)
    assert messages[0].reset
    assert {name for name, _, _ in changes(messages)} == {alive.id}


@pytest.mark.parametrize("restarted", [False, True], ids=["from memory", "from the store"])
async def test_a_resume_after_an_end_and_a_deletion_resets(running: Running, restarted: bool) -> None:
    """Without a reset, the client would show the deleted generation as running forever."""
    stored = await running.submit(soul("a fox"))
    alive = await running.submit(soul("alive"))
    token = (await caught_up(running.grpc))[-1].resume_token
    running.clock.advance(60)
    await running.until(stored.id, "COMPLETED")
    await running.until(alive.id, "COMPLETED")
    after_the_ends = (await caught_up(running.grpc))[-1].resume_token
    await running.grpc.call("DeleteGeneration", pb.DeleteGenerationRequest(id=stored.id))
    if restarted:
        await running.stop_gateway()
        await running.start_gateway()
    messages = await caught_up(running.grpc, token)
    assert messages[0].reset
    again = await caught_up(running.grpc, after_the_ends)
    assert not any(message.reset for message in again)


async def eventually_gone(running: Running, generation_id: str) -> None:
    """Wait until retention, which runs right after the start, has removed the generation."""
    async with asyncio.timeout(WAIT_TIMEOUT):
        while (await running.grpc.call("ListGenerations", _by_id(generation_id))).generations:
            await asyncio.sleep(0.01)


def _by_id(generation_id: str) -> pb.ListGenerationsRequest:
    return pb.ListGenerationsRequest(filter=pb.GenerationFilter(ids=[generation_id]))


async def test_a_reset_of_a_watch_of_ids_includes_ended_ones(running: Running) -> None:
    done = await completed_generation(running, "done")
    alive = await running.submit(soul("alive"))
    ids = [done.id, alive.id]
    token = (await caught_up(running.grpc, ids=ids))[-1].resume_token
    await running.stop_gateway()
    await declare_restored(running.store_path)
    await running.start_gateway()
    messages = await caught_up(running.grpc, token, ids=ids)
    assert messages[0].reset
    assert sorted(name for name, _, _ in changes(messages)) == sorted(ids)


async def test_a_drain_ends_a_watch_of_many_and_the_next_gateway_resumes_it(running: Running) -> None:
    stored = await running.submit(soul("a fox"))
    seen: dict[str, list[Message]] = {name: [] for name in running.transports}

    async def watch(client: Transport) -> None:
        async for message in watching(client):
            seen[client.name].append(message)

    watches = [asyncio.create_task(watch(client)) for client in running.transports.values()]
    await eventually(lambda: all(messages and messages[-1].caught_up for messages in seen.values()))
    other = await running.submit(soul("a badger"))
    await eventually(lambda: all(changes(one[-1:]) == [(other.id, 2, "QUEUED")] for one in seen.values()))
    await running.stop_gateway()
    for error in await asyncio.gather(*watches, return_exceptions=True):
        assert isinstance(error, RpcFailure)
        assert (error.code, error.reason) == ("UNAVAILABLE", "GATEWAY_UNAVAILABLE")
        assert error.detail(RetryInfo).HasField("retry_delay")

    running.clock.advance(60)
    await running.start_gateway()
    await running.until(other.id, "COMPLETED")
    await running.until(stored.id, "COMPLETED")
    for client in running.transports.values():
        again = await caught_up(client, seen[client.name][-1].resume_token)
        assert sorted(changes(again)) == sorted([(stored.id, 3, "COMPLETED"), (other.id, 3, "COMPLETED")])
        assert not any(message.reset for message in again)


async def test_heartbeats_of_an_idle_watch_have_resume_tokens(
    running: Running, client: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "HEARTBEAT", 0.05)
    async with contextlib.aclosing(watching(client)) as stream:
        await until_caught_up(stream)
        for _ in range(3):
            message = await anext(stream)
            assert message == Message(resume_token=message.resume_token)
            assert message.resume_token
    assert len(await caught_up(client, message.resume_token)) == 1


async def test_changes_that_do_not_match_do_not_suppress_heartbeats(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "HEARTBEAT", 0.2)
    beaten = asyncio.Event()
    number = 0

    async def watch() -> None:
        async for message in watching(running.grpc, labels={"color": "red"}):
            if number and not message.caught_up:
                beaten.set()
                return

    task = asyncio.create_task(watch())
    await running.calls_open("WatchGenerations", 1)
    async with asyncio.timeout(WAIT_TIMEOUT):
        while not beaten.is_set():
            assert number < 1000, "no heartbeat while others changed"
            number += 1
            await running.submit(soul(f"blue {number}", wait_for=pb.WAIT_FOR_STORED))
    await task


@pytest.mark.parametrize("kept", [5, 1000])
@pytest.mark.parametrize("restarted", [False, True])
async def test_a_backlog_is_complete_from_memory_and_from_the_store(
    start: Start, monkeypatch: pytest.MonkeyPatch, kept: int, restarted: bool
) -> None:
    monkeypatch.setattr(feed, "RECENT_CHANGES", kept)
    monkeypatch.setattr(watch_module, "READ_BATCH_SIZE", 2)
    running = await start()
    token = (await caught_up(running.grpc))[-1].resume_token
    for number in range(3):
        await completed_generation(running, f"fox {number}")
    alive = await running.submit(soul("alive"))
    if restarted:
        await running.stop_gateway()
        await running.start_gateway()
    messages = await caught_up(running.grpc, token)
    assert not any(message.reset for message in messages)
    assert [revision for _, revision, _ in changes(messages)] == [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2]
    assert changes(messages)[-1][0] == alive.id
    for index, message in enumerate(messages[:-1]):
        rest = await caught_up(running.grpc, message.resume_token)
        assert changes(rest) == changes(messages[index + 1 :])


async def test_a_deleted_generation_is_not_sent_on_resume(running: Running, grpc: Transport) -> None:
    token = (await caught_up(grpc))[-1].resume_token
    gone = await completed_generation(running, "gone")
    stays = await completed_generation(running, "stays")
    await running.grpc.call("DeleteGeneration", pb.DeleteGenerationRequest(id=gone.id))
    messages = await caught_up(grpc, token)
    assert messages[0].reset
    assert gone.id not in {name for name, _, _ in changes(messages)}
    assert name_of(await running.get(stays.id)) == "COMPLETED"


async def test_a_watch_of_ids_ends_though_one_was_deleted(running: Running) -> None:
    gone = await completed_generation(running, "gone")
    alive = await running.submit(soul("alive"))
    watch = asyncio.create_task(collected(watching(running.grpc, ids=[gone.id, alive.id])))
    await running.calls_open("WatchGenerations", 1)
    await running.grpc.call("DeleteGeneration", pb.DeleteGenerationRequest(id=gone.id))
    await running.finish(alive.id)
    assert changes(await watch)[-1] == (alive.id, 3, "COMPLETED")


async def test_a_watch_of_many_includes_the_input_on_request(running: Running, grpc: Transport) -> None:
    await running.submit(soul("a fox"))
    stream = grpc.stream("WatchGenerations", pb.WatchGenerationsRequest(include_input=True))
    async with contextlib.aclosing(stream):  # type: ignore[type-var]
        assert (await anext(stream)).generation.input == soul("a fox").input


async def test_a_watch_of_many_concurrent_generations_loses_no_change(running: Running) -> None:
    async with contextlib.aclosing(watching(running.grpc)) as stream:
        await until_caught_up(stream)
        prompts = [f"fox {number}" for number in range(150)]
        running.sandbox.state.change({"concurrency_limit": 1000})
        stored = await asyncio.gather(*(running.submit(soul(one, wait_for=pb.WAIT_FOR_STORED)) for one in prompts))
        await eventually(lambda: len(running.ledger.charges) == len(prompts))
        running.clock.advance(60)
        revisions: dict[str, list[int]] = {one.id: [] for one in stored}
        left = set(revisions)
        async with asyncio.timeout(WAIT_TIMEOUT):
            while left:
                generation = (await anext(stream)).generation
                revisions[generation.id].append(generation.revision)
                if generation.done:
                    left.discard(generation.id)
    assert all(seen == list(range(1, len(seen) + 1)) for seen in revisions.values())


async def test_a_watch_that_is_always_behind_ends_with_its_credentials(running: Running) -> None:
    """Its reader is slower than the changes, so it never waits for one."""
    await running.submit(soul("a fox"))
    core = running.gateway._core
    (entry,) = core.feed.entries.values()
    revoked = False

    def check() -> None:
        if revoked:
            raise GatewayError(Failure(Reason.INVALID_CREDENTIALS, "the key was revoked"))

    tenant = entry.generation.tenant
    async with contextlib.aclosing(core.watches.many(tenant, Filter(), None, WAIT_TIMEOUT, check)) as watch:
        while not (await anext(watch)).caught_up:
            pass
        await running.submit(soul("the first change"))
        await anext(watch)
        revoked = True

        async def read_slowly() -> None:
            for number in range(10):
                await running.submit(soul(f"change {number}"))
                await anext(watch)

        with pytest.raises(GatewayError, match="revoked"):
            await read_slowly()
