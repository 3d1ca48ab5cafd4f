"""Known bugs in the watches of other systems, above all etcd: each has a test here."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.generations.watching import feed
from gateway.generations.watching import watch as watch_module
from gateway.store.sqlite.restore import declare_restored
from gateway.store.sqlite.writer import Result, Writer
from harness.history import Recorder, generation_fields, read
from harness.violations import IndexedHistory
from harness.watch_checker import WATCH_INVARIANTS
from harness.watchers import Watchers, access_to
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.generation_service_pb2_grpc import GenerationServiceStub
from tests.support.running import WAIT_TIMEOUT, Generation, Running, collected, eventually, soul
from tests.support.transports import RpcFailure
from tests.watching.stage import ConstantChanges

NARROW = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536))
"""Options of a channel that buffers little unread data."""


async def completed(running: Running, prompt: str) -> Generation:
    stored = await running.submit(soul(prompt))
    return await running.finish(stored.id)


async def watched(running: Running, generation_id: str, after: int = 0) -> list[int]:
    """Return the revisions that a watch sends after `after`."""
    request = pb.WatchGenerationRequest(id=generation_id, after_revision=after)
    messages = await collected(running.grpc.stream("WatchGeneration", request))
    return [one.generation.revision for one in messages if one.HasField("generation")]


async def since(running: Running, token: str) -> list[pb.WatchGenerationsResponse]:
    """Return the messages of a resumed watch up to `caught_up`."""
    messages = []
    stream = running.grpc.stream("WatchGenerations", pb.WatchGenerationsRequest(resume_token=token))
    async with aclosing(stream), asyncio.timeout(WAIT_TIMEOUT):  # type: ignore[type-var]
        async for message in stream:
            messages.append(message)
            if message.caught_up:
                return messages
    raise AssertionError("ended before it had caught up")


def changes(messages: list[pb.WatchGenerationsResponse]) -> list[tuple[str, int]]:
    return [(one.generation.id, one.generation.revision) for one in messages if one.HasField("generation")]


# -- Slow watchers lose changes ----------------------------------------------------------------------------------------


async def test_a_slow_watch_of_many_gets_changes_no_longer_in_memory(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "RECENT_CHANGES", 2)
    monkeypatch.setattr(watch_module, "READ_BATCH_SIZE", 2)
    await restarted(running)
    async with grpc.aio.insecure_channel(running.gateway.grpc_address, options=NARROW) as channel:
        slow = GenerationServiceStub(channel).WatchGenerations(pb.WatchGenerationsRequest(include_input=True))
        token = (await slow.read()).resume_token
        ids = [(await completed(running, f"{number} " + "foxes " * 5_000)).id for number in range(10)]
        in_time = changes(await since(running, token))
        slow_revisions = []
        async with asyncio.timeout(WAIT_TIMEOUT):
            while len(slow_revisions) < 30:
                slow_revisions += changes([await slow.read()])
    assert slow_revisions == in_time == [(name, revision) for name in ids for revision in (1, 2, 3)]


async def test_a_slow_watch_of_one_gets_changes_no_longer_in_memory(running: Running) -> None:
    stored = await running.submit(soul("foxes " * 5_000))
    for number in range(20):
        running.plan(on="status", patch={"status": f"step {number}"})
    async with grpc.aio.insecure_channel(running.gateway.grpc_address, options=NARROW) as channel:
        request = pb.WatchGenerationRequest(id=stored.id, include_input=True)
        slow = GenerationServiceStub(channel).WatchGeneration(request)
        slow_revisions = [(await slow.read()).generation.revision]
        await eventually(lambda: not len(running.sandbox.state.plan))
        ended = await running.finish(stored.id)
        async with asyncio.timeout(WAIT_TIMEOUT):
            while (message := await slow.read()) is not grpc.aio.EOF:
                slow_revisions.append(message.generation.revision)
    assert slow_revisions == list(range(1, ended.revision + 1))


# -- Watches go back in time -------------------------------------------------------------------------------------------


async def test_a_restart_takes_no_watch_back_in_time(running: Running) -> None:
    first = await completed(running, "first")
    alive = await running.submit(soul("alive"))
    begun = (await since(running, ""))[-1].resume_token
    await restarted(running)
    assert (await running.get(alive.id)).revision == alive.revision
    assert await watched(running, first.id, first.revision) == []
    messages = await since(running, begun)
    assert changes(messages) == []
    assert not any(message.reset for message in messages)
    await running.finish(alive.id)
    assert changes(await since(running, messages[-1].resume_token)) == [(alive.id, 3)]
    assert changes(await since(running, begun)) == [(alive.id, 3)]


async def test_a_watch_ahead_of_a_restored_store_continues_or_is_reset(running: Running, tmp_path: Path) -> None:
    """After an old store was restored, a client that knows later changes gets newer ones or a reset."""
    alive = await running.submit(soul("alive"))
    await running.stop_gateway()
    shutil.copy(running.store_path, tmp_path / "old")
    await running.start_gateway()
    ended = await running.finish(alive.id)
    newest = (await since(running, ""))[-1].resume_token
    await running.stop_gateway()
    for stale in running.store_path.parent.glob("store.db-*"):
        stale.unlink()
    shutil.copy(tmp_path / "old", running.store_path)
    await declare_restored(running.store_path)
    running.plan(on="status", kind="503", times=10**6)
    await running.start_gateway()

    watch: Any = running.grpc.stream(
        "WatchGeneration", pb.WatchGenerationRequest(id=alive.id, after_revision=ended.revision)
    )
    shown = (await anext(watch)).generation
    await watch.aclose()
    assert (shown.state, shown.revision > ended.revision) == (alive.state, True)
    messages = await since(running, newest)
    assert messages[0].reset
    assert changes(messages) == [(alive.id, shown.revision)]


# -- Changes at the start of a watch are missed ------------------------------------------------------------------------


async def test_watches_that_begin_during_changes_miss_none(running: Running, tmp_path: Path) -> None:
    running.sandbox.state.random_faults = constant = ConstantChanges(over=False)
    stored = [await running.submit(soul(f"fox {number}")) for number in range(5)]
    ids = [one.id for one in stored]
    with Recorder(tmp_path / "history.jsonl") as recorder:
        watchers = Watchers(recorder)
        async with access_to(running.gateway.grpc_address) as access, asyncio.TaskGroup() as together:
            for _ in range(15):
                before = watchers.received
                for name in ids:
                    newest = (await running.get(name)).revision
                    together.create_task(watchers.bare_watch(access, name, newest))
                together.create_task(watchers.bare_watch_many(access, ids=ids))
                await eventually(lambda before=before: watchers.received >= before + 20)  # type: ignore[misc]
            constant.over = True
            for name in ids:
                await running.finish(name)
        for name in ids:
            recorder.record("final", **generation_fields(await running.get(name)))
    history = IndexedHistory(read(tmp_path / "history.jsonl"))
    assert [str(found) for invariant in WATCH_INVARIANTS for found in invariant(history)] == []


async def test_watches_from_the_newest_revision_miss_no_concurrent_end(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "HEARTBEAT", 1000.0)  # a heartbeat would hide a missed end
    stored = [await running.submit(soul(f"fox {number}")) for number in range(40)]
    running.clock.advance(60)
    watches = [asyncio.create_task(watched(running, one.id, one.revision)) for one in stored]
    assert await asyncio.gather(*watches) == [[3]] * len(watches)


# -- Watches of the future ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("done", [False, True])
async def test_a_watch_after_a_future_revision_is_refused(running: Running, done: bool) -> None:
    generation = await (completed(running, "a fox") if done else running.submit(soul("a fox")))
    for revision in (generation.revision + 1, 2**31 - 1, -1):
        with pytest.raises(RpcFailure) as raised:
            await watched(running, generation.id, revision)
        assert (raised.value.code, raised.value.fields) == ("INVALID_ARGUMENT", ["after_revision"])


# -- Commits that are not announced yet --------------------------------------------------------------------------------


class Held:
    """Delays the store's announcements of changed generations until `release`, or until the end of the context."""

    def __init__(self) -> None:
        self._deliver = Writer._deliver
        self._kept: list[tuple[Writer, Sequence[Result]]] = []

    def __enter__(self) -> Held:
        deliver, kept = self._deliver, self._kept

        def keep(writer: Writer, results: Sequence[Result]) -> None:
            # Other commits, such as a correction of the clock, must not block the writer.
            if any(saved is not None for _, (_, saved), _ in results):
                kept.append((writer, results))
            else:
                deliver(writer, results)

        Writer._deliver = keep  # type: ignore[method-assign]
        return self

    def release(self) -> None:
        Writer._deliver = self._deliver  # type: ignore[method-assign]
        kept, self._kept = self._kept, []
        for writer, results in kept:
            self._deliver(writer, results)

    def __exit__(self, *_: object) -> None:
        self.release()


async def test_a_watch_between_a_commit_and_its_announcement_misses_nothing(
    running: Running,
) -> None:
    with Held() as held:
        submission = asyncio.create_task(running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED)))
        found: list[Generation] = []
        async with asyncio.timeout(WAIT_TIMEOUT):
            while not found:
                found = list((await running.grpc.call("ListGenerations", pb.ListGenerationsRequest())).generations)
        name = found[0].id
        one = asyncio.create_task(watched(running, name))
        await running.calls_open("WatchGeneration", 1)
        wanted = pb.WatchGenerationsRequest(filter=pb.GenerationFilter(ids=[name]))
        many = asyncio.create_task(collected(running.grpc.stream("WatchGenerations", wanted)))
        await running.calls_open("WatchGenerations", 1)
        held.release()
    assert (await submission).id == name
    await running.finish(name)
    assert await one == [1, 2, 3]
    assert [revision for _, revision in changes(await many)][-2:] == [2, 3]


async def restarted(running: Running) -> None:
    """Restart the gateway, which clears its memory."""
    await running.stop_gateway()
    await running.start_gateway()
