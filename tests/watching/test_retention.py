"""Retention removes old generations and keys, and no watch silently skips them; observed through RPCs only."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from email.utils import formatdate
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.generations.clock import SystemClock
from gateway.generations.watching import feed
from gateway.generations.watching import watch as watch_module
from gateway.process import core as cores
from hfgateway.agents.v1alpha1 import agent_service_pb2 as agents_pb
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.generation_service_pb2_grpc import GenerationServiceStub
from hfgateway_client import AsyncClient, CaughtUp, GenerationChanged, Reset, errors
from hfgateway_client.events import WatchEvent
from tests.support.running import WAIT_TIMEOUT, Generation, Running, Start, eventually, soul, starting
from tests.support.transports import RpcFailure

HOUR, DAY = 3600.0, 86_400.0
Message = pb.WatchGenerationsResponse


class Clocks:
    """The gateway's clocks: the real ones plus offsets set by the test. Counts the rounds of retention."""

    def __init__(self) -> None:
        self._passed = self._jumped = 0.0
        self.rounds = 0

    def time(self) -> float:
        return time.time() + self._passed + self._jumped

    def monotonic(self) -> float:
        return time.monotonic() + self._passed

    def true_date(self) -> str:
        return formatdate(time.time() + self._passed, usegmt=True)

    def clock(self, not_before: float) -> SystemClock:
        """Return the clock for a new gateway."""
        return SystemClock(not_before, wall=self.time, monotonic=self.monotonic)

    def advance(self, seconds: float) -> None:
        """Advance both clocks."""
        self._passed += seconds

    def jump(self, seconds: float) -> None:
        """Move the wall clock only."""
        self._jumped += seconds

    async def pruned(self) -> None:
        """Return after a full round of retention."""
        enough = self.rounds + 2  # the current round may have begun earlier
        await eventually(lambda: self.rounds >= enough)


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """The clocks; retention runs all the time, and the sandbox sends the true date, which the gateway reads."""
    clocks = Clocks()
    prune = cores.Core._prune_once

    async def counted(self: cores.Core) -> None:
        await prune(self)
        clocks.rounds += 1

    monkeypatch.setattr(cores.Core, "_prune_once", counted)
    monkeypatch.setattr(cores, "PRUNE_INTERVAL", 0.02)
    monkeypatch.setattr("aiohttp.web_response.rfc822_formatted_time", clocks.true_date)
    return clocks


@pytest.fixture
async def start(clocks: Clocks, tmp_path: Path) -> AsyncIterator[Start]:
    async with starting(tmp_path, clock_from=clocks.clock) as start:
        yield start


@pytest.fixture
async def running(start: Start) -> Running:
    """A gateway with a retention of one hour."""
    return await start(RETENTION="1h")


async def completed(running: Running, prompt: str) -> Generation:
    stored = await running.submit(soul(prompt))
    return await running.finish(stored.id)


async def kept(running: Running, *generations: Generation) -> list[str]:
    """Return the keys of the generations that the gateway still has."""
    request = pb.ListGenerationsRequest(filter=pb.GenerationFilter(ids=[one.id for one in generations]))
    answer: pb.ListGenerationsResponse = await running.grpc.call("ListGenerations", request)
    return [one.idempotency_key for one in answer.generations]


def watching(running: Running, token: str = "", *ids: str) -> AsyncGenerator[Message, None]:
    request = pb.WatchGenerationsRequest(resume_token=token, filter=pb.GenerationFilter(ids=ids))
    return running.grpc.stream("WatchGenerations", request)  # type: ignore[return-value]


async def caught_up(running: Running, token: str = "", *ids: str) -> list[Message]:
    messages = []
    async with aclosing(watching(running, token, *ids)) as stream, asyncio.timeout(WAIT_TIMEOUT):
        async for message in stream:
            messages.append(message)
            if message.caught_up:
                return messages
    raise AssertionError("ended before it had caught up")


def changes(messages: list[Message]) -> list[tuple[str, int]]:
    """Return the keys and revisions in the messages."""
    return [(one.generation.idempotency_key, one.generation.revision) for one in messages if one.HasField("generation")]


# -- Generations -------------------------------------------------------------------------------------------------------


async def test_ended_generations_are_removed_after_the_retention(running: Running, clocks: Clocks) -> None:
    old = await completed(running, "old")
    clocks.advance(0.9 * HOUR)
    young, alive = await completed(running, "young"), await running.submit(soul("alive"))
    clocks.advance(0.2 * HOUR)
    await clocks.pruned()
    assert sorted(await kept(running, old, young, alive)) == ["key-of-alive", "key-of-young"]
    for method, request in (
        ("GetGeneration", pb.GetGenerationRequest(id=old.id)),
        ("WaitGeneration", pb.WaitGenerationRequest(id=old.id)),
        ("ExplainGeneration", pb.ExplainGenerationRequest(id=old.id)),
        ("DeleteGeneration", pb.DeleteGenerationRequest(id=old.id)),
    ):
        with pytest.raises(RpcFailure) as raised:
            await running.grpc.call(method, request)
        assert raised.value.reason == "NOT_FOUND"


async def test_generations_that_have_not_ended_are_kept(running: Running, clocks: Clocks) -> None:
    await completed(running, "other")
    alive = await running.submit(soul("alive"))
    clocks.advance(90 * DAY)
    await clocks.pruned()
    assert await kept(running, alive) == ["key-of-alive"]
    await running.finish(alive.id)


async def test_nothing_is_removed_while_the_clocks_disagree(running: Running, clocks: Clocks) -> None:
    ended = await completed(running, "ended")
    clocks.jump(30 * DAY)
    await clocks.pruned()
    assert await kept(running, ended)
    clocks.jump(-30 * DAY)
    clocks.advance(2 * HOUR)
    await clocks.pruned()
    assert not await kept(running, ended)


# -- Keys --------------------------------------------------------------------------------------------------------------


async def test_a_key_is_replayed_as_long_as_its_generation_is_kept(start: Start, clocks: Clocks) -> None:
    running = await start(RETENTION="30d")
    ended = await completed(running, "fox")
    clocks.advance(29 * DAY)
    again: pb.SubmitGenerationResponse = await running.grpc.call("SubmitGeneration", soul("fox"))
    assert (again.generation.id, again.replayed) == (ended.id, True)


async def refused(running: Running, key: str) -> str:
    """Return the reason of a refused submission with the key, or an empty string."""
    try:
        await running.submit(soul("fox", key))
    except RpcFailure as failure:
        return failure.reason
    return ""


async def becomes_free(running: Running, key: str) -> None:
    """Return when a submission with the key has made a new generation."""
    async with asyncio.timeout(WAIT_TIMEOUT):
        while reason := await refused(running, key):
            # The second reason occurs if the key is freed during the lookup.
            assert reason in ("IDEMPOTENCY_KEY_REUSED", "GATEWAY_UNAVAILABLE")
            await asyncio.sleep(0.01)


async def test_the_key_of_a_removed_generation_stays_used_for_a_week(running: Running, clocks: Clocks) -> None:
    await completed(running, "fox")
    clocks.advance(6.9 * DAY)
    await clocks.pruned()
    assert await refused(running, "key-of-fox") == "IDEMPOTENCY_KEY_REUSED"
    assert len(running.ledger.charges) == 1
    clocks.advance(0.2 * DAY)
    await becomes_free(running, "key-of-fox")


@pytest.mark.parametrize("age", [0, 20])
async def test_the_key_of_a_deleted_generation_stays_used_for_a_week(start: Start, clocks: Clocks, age: float) -> None:
    running = await start(RETENTION="30d")
    ended = await completed(running, "fox")
    clocks.advance(age * DAY)
    await running.grpc.call("DeleteGeneration", pb.DeleteGenerationRequest(id=ended.id))
    clocks.advance(6.9 * DAY)
    await clocks.pruned()
    assert await refused(running, "key-of-fox") == "IDEMPOTENCY_KEY_REUSED"
    clocks.advance(0.2 * DAY)
    await becomes_free(running, "key-of-fox")


async def test_a_deletion_can_be_repeated_as_long_as_its_key_is_kept(running: Running, clocks: Clocks) -> None:
    ended = await completed(running, "fox")
    request = pb.DeleteGenerationRequest(id=ended.id)
    first: pb.DeleteGenerationResponse = await running.grpc.call("DeleteGeneration", request)
    assert first.removed_upstream
    clocks.advance(6.9 * DAY)
    await clocks.pruned()
    assert await running.grpc.call("DeleteGeneration", request) == first
    clocks.advance(0.2 * DAY)
    await clocks.pruned()
    with pytest.raises(RpcFailure) as raised:
        await running.grpc.call("DeleteGeneration", request)
    assert raised.value.reason == "NOT_FOUND"


async def test_the_key_of_a_session_of_an_agent_stays_used_for_a_week(running: Running, clocks: Clocks) -> None:
    async def create() -> agents_pb.CreateSessionResponse:
        request = agents_pb.CreateSessionRequest(idempotency_key="k")
        answer: agents_pb.CreateSessionResponse = await running.grpc.call("CreateSession", request)
        return answer

    first = await create()
    clocks.advance(6.9 * DAY)
    await clocks.pruned()
    again = await create()
    assert (again.replayed, again.session.id) == (True, first.session.id)
    clocks.advance(0.2 * DAY)
    await clocks.pruned()
    other = await create()
    assert (other.replayed, other.session.id == first.session.id) == (False, False)


# -- Watches -----------------------------------------------------------------------------------------------------------


async def test_tokens_within_the_retention_resume_and_older_ones_reset(running: Running, clocks: Clocks) -> None:
    begun = (await caught_up(running))[-1].resume_token
    await completed(running, "old")
    clocks.advance(0.9 * HOUR)
    young = await completed(running, "young")
    *messages, last = await caught_up(running, begun)
    by_revision = {
        key_and_revision: one.resume_token for key_and_revision, one in zip(changes(messages), messages, strict=True)
    }
    alive = await running.submit(soul("alive"))
    clocks.advance(0.2 * HOUR)
    await clocks.pruned()

    since = [("key-of-young", 1), ("key-of-young", 2), ("key-of-young", 3), ("key-of-alive", 1), ("key-of-alive", 2)]
    at_the_horizon = await caught_up(running, by_revision["key-of-old", 3])
    assert changes(at_the_horizon) == since
    assert not any(message.reset for message in at_the_horizon)
    assert changes(await caught_up(running, by_revision["key-of-young", 2])) == since[2:]
    assert changes(await caught_up(running, last.resume_token)) == since[3:]

    for token in (begun, by_revision["key-of-old", 1], by_revision["key-of-old", 2]):
        below = await caught_up(running, token)
        assert [message.reset for message in below] == [True] + [False] * (len(below) - 1)
        assert not below[0].HasField("generation")
        assert changes(below) == [("key-of-alive", alive.revision)]
        assert below[-1].caught_up
        assert changes(await caught_up(running, below[-1].resume_token)) == []
    assert await kept(running, young)


async def test_a_reset_of_a_watch_of_ids_names_the_removed_ones(running: Running, clocks: Clocks) -> None:
    old, young, alive = [await running.submit(soul(prompt)) for prompt in ("old", "young", "alive")]
    ids = (old.id, young.id, alive.id)
    token = (await caught_up(running, "", *ids))[-1].resume_token
    for prompt in ("young", "alive"):
        running.plan(on="status", prompt=prompt, patch={"status": "queued"}, times=10**6)
    await running.finish(old.id)
    clocks.advance(0.9 * HOUR)
    running.sandbox.state.plan.clear()
    running.plan(on="status", prompt="alive", patch={"status": "queued"}, times=10**6)
    await running.until(young.id, "COMPLETED")
    clocks.advance(0.2 * HOUR)
    await clocks.pruned()

    first, *others = await caught_up(running, token, *ids)
    assert first == Message(reset=True, missing_ids=[old.id], resume_token=first.resume_token)
    states = {one.generation.id: one.generation.done for one in others if one.HasField("generation")}
    assert states == {young.id: True, alive.id: False}
    assert not any(message.reset or message.missing_ids for message in others)

    first, *others = await caught_up(running, others[-1].resume_token, *ids)
    assert first == Message(missing_ids=[old.id], resume_token=first.resume_token)
    assert changes(others) == []


async def test_the_trace_of_a_deletion_is_removed_by_retention(running: Running, clocks: Clocks) -> None:
    gone = await completed(running, "gone")
    knows_its_end = (await caught_up(running))[-1].resume_token
    await running.grpc.call("DeleteGeneration", pb.DeleteGenerationRequest(id=gone.id))
    alive = await running.submit(soul("alive"))
    await restarted(running)
    messages = await caught_up(running, knows_its_end)
    assert changes(messages) == [("key-of-alive", 1), ("key-of-alive", 2)]
    assert not any(message.reset for message in messages)

    clocks.advance(2 * HOUR)
    await clocks.pruned()
    messages = await caught_up(running, knows_its_end)
    assert messages[0].reset
    assert changes(messages) == [("key-of-alive", alive.revision)]


async def restarted(running: Running) -> None:
    """Restart the gateway, which clears its memory."""
    await running.stop_gateway()
    await running.start_gateway()


async def test_the_python_client_reports_a_reset_and_the_current_state(running: Running, clocks: Clocks) -> None:
    async with AsyncClient(running.gateway.grpc_address) as client:
        begun = await anext(client.watch_many())
        assert isinstance(begun, CaughtUp)
        await completed(running, "old")
        alive = await running.submit(soul("alive"))
        clocks.advance(2 * HOUR)
        await clocks.pruned()
        events: list[WatchEvent] = []
        async with asyncio.timeout(WAIT_TIMEOUT), aclosing(client.watch_many(resume_token=begun.resume_token)) as watch:
            async for event in watch:
                events.append(event)
                if isinstance(event, CaughtUp):
                    break
    reset, changed, caught = events
    assert isinstance(reset, Reset)
    assert isinstance(changed, GenerationChanged)
    assert changed.generation.id == alive.id
    assert reset.resume_token == ""
    assert changes(await caught_up(running, caught.resume_token)) == []


async def rest(call: Any) -> list[Message]:
    """Return the remaining messages of a stream, which may end with an error."""
    messages = []
    async with asyncio.timeout(WAIT_TIMEOUT):
        with contextlib.suppress(grpc.aio.AioRpcError):
            while (message := await call.read()) is not grpc.aio.EOF:
                messages.append(message)
    return messages


async def test_a_slow_watch_that_misses_removed_changes_ends_and_resets(
    running: Running, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "RECENT_CHANGES", 2)
    monkeypatch.setattr(watch_module, "READ_BATCH_SIZE", 2)
    await restarted(running)
    narrow = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536))
    async with grpc.aio.insecure_channel(running.gateway.grpc_address, options=narrow) as channel:
        stub = GenerationServiceStub(channel)
        slow = stub.WatchGenerations(pb.WatchGenerationsRequest(include_input=True))
        assert (await slow.read()).caught_up
        for number in range(10):
            await completed(running, f"{number} " + "foxes " * 5_000)
        alive = await running.submit(soul("alive"))
        clocks.advance(2 * HOUR)
        await clocks.pruned()
        messages = await rest(slow)
        assert await slow.code() is grpc.StatusCode.UNAVAILABLE
    assert len(messages) < 30
    token = messages[-1].resume_token
    assert ("key-of-alive", 1) not in changes(messages)
    resumed = await caught_up(running, token)
    assert resumed[0].reset
    assert changes(resumed) == [("key-of-alive", alive.revision)]


async def test_a_watch_begun_before_a_removal_sends_all_changes(
    running: Running, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = await completed(running, "old")
    async with AsyncClient(running.gateway.grpc_address) as client:
        watch = client.watch(ended.id)
        assert (await anext(watch)).revision == 1
        clocks.advance(2 * HOUR)
        await clocks.pruned()
        assert [generation.revision async for generation in watch] == [2, 3]
        with pytest.raises(errors.NotFound):
            await anext(client.watch(ended.id))
