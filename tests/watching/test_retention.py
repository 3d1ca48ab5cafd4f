"""What retention lets go of, and that no watch passes over it in silence: all told through RPCs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from email.utils import formatdate
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway import core as cores
from gateway.generations import feed
from gateway.generations import watch as watch_module
from gateway.generations.clock import SystemClock
from gateway.sandbox.server import SandboxOptions
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.generation_service_pb2_grpc import GenerationServiceStub
from hfgateway_client import AsyncClient, CaughtUp, GenerationChanged, Reset, errors
from hfgateway_client.events import WatchEvent
from tests.support.running import PATIENCE, USUAL, Generation, Running, eventually, soul
from tests.support.transports import RpcFailure

HOUR, DAY = 3600.0, 86_400.0
Message = pb.WatchGenerationsResponse


class Calendar:
    """The clocks of the gateway: the real ones, and what the test has let pass. Counts the rounds of retention."""

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
        """The clock of a gateway that is started now."""
        return SystemClock(not_before, wall=self.time, monotonic=self.monotonic)

    def let_pass(self, seconds: float) -> None:
        """Time passes, by both clocks."""
        self._passed += seconds

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self._jumped += seconds

    async def pruned(self) -> None:
        """Return when retention has done its work as of now."""
        enough = self.rounds + 2  # the one under way may have begun before
        await eventually(lambda: self.rounds >= enough)


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
def calendar(monkeypatch: pytest.MonkeyPatch) -> Calendar:
    """Also has retention look for work all the time, and the sandbox tell the true time, which the gateway asks for."""
    calendar = Calendar()
    prune = cores.Core._prune_once

    async def counted(self: cores.Core) -> None:
        await prune(self)
        calendar.rounds += 1

    monkeypatch.setattr(cores.Core, "_prune_once", counted)
    monkeypatch.setattr(cores, "PRUNE_EVERY", 0.02)
    monkeypatch.setattr("aiohttp.web_response.rfc822_formatted_time", calendar.true_date)
    return calendar


@pytest.fixture
async def start(calendar: Calendar, tmp_path: Path) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def start_one(**terms: Any) -> Running:
            settings = {name: str(value) for name, value in terms.items() if name.isupper()}
            options = {name: value for name, value in terms.items() if name not in settings}
            running = Running(
                tmp_path, SandboxOptions(port=0, **(USUAL | options)), settings, clock_from=calendar.clock
            )
            stack.push_async_callback(running.stop)
            await running.start()
            return running

        yield start_one


@pytest.fixture
async def running(start: Start) -> Running:
    """One that keeps for an hour what has ended."""
    return await start(RETENTION="1h")


async def lived(running: Running, prompt: str) -> Generation:
    stored = await running.submit(soul(prompt))
    return await running.finish(stored.id)


async def kept(running: Running, *generations: Generation) -> list[str]:
    """The prompts' keys of those that the gateway still has."""
    request = pb.ListGenerationsRequest(filter=pb.GenerationFilter(ids=[one.id for one in generations]))
    answer: pb.ListGenerationsResponse = await running.grpc.call("ListGenerations", request)
    return [one.idempotency_key for one in answer.generations]


def watching(running: Running, token: str = "", *ids: str) -> AsyncGenerator[Message, None]:
    request = pb.WatchGenerationsRequest(resume_token=token, filter=pb.GenerationFilter(ids=ids))
    return running.grpc.stream("WatchGenerations", request)  # type: ignore[return-value]


async def caught_up(running: Running, token: str = "", *ids: str) -> list[Message]:
    messages = []
    async with aclosing(watching(running, token, *ids)) as stream, asyncio.timeout(PATIENCE):
        async for message in stream:
            messages.append(message)
            if message.caught_up:
                return messages
    raise AssertionError("ended before it had caught up")


def told(messages: list[Message]) -> list[tuple[str, int]]:
    """What they tell: keys and revisions."""
    return [(one.generation.idempotency_key, one.generation.revision) for one in messages if one.HasField("generation")]


# -- What goes, and what stays -----------------------------------------------------------------------------------------


async def test_what_has_ended_is_kept_for_as_long_as_it_is_set_and_no_longer(
    running: Running, calendar: Calendar
) -> None:
    old = await lived(running, "old")
    calendar.let_pass(0.9 * HOUR)
    young, alive = await lived(running, "young"), await running.submit(soul("alive"))
    calendar.let_pass(0.2 * HOUR)
    await calendar.pruned()
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


async def test_what_has_not_ended_is_kept_however_old_it_is(running: Running, calendar: Calendar) -> None:
    await lived(running, "other")
    alive = await running.submit(soul("alive"))
    calendar.let_pass(90 * DAY)
    await calendar.pruned()
    assert await kept(running, alive) == ["key-of-alive"]
    await running.finish(alive.id)


async def test_nothing_goes_while_the_clocks_disagree(running: Running, calendar: Calendar) -> None:
    ended = await lived(running, "ended")
    calendar.jump(30 * DAY)
    await calendar.pruned()
    assert await kept(running, ended)
    calendar.jump(-30 * DAY)
    calendar.let_pass(2 * HOUR)
    await calendar.pruned()
    assert not await kept(running, ended)


# -- Keys --------------------------------------------------------------------------------------------------------------


async def test_a_key_stands_for_its_generation_as_long_as_that_is_kept(start: Start, calendar: Calendar) -> None:
    running = await start(RETENTION="30d")
    ended = await lived(running, "fox")
    calendar.let_pass(29 * DAY)
    again: pb.SubmitGenerationResponse = await running.grpc.call("SubmitGeneration", soul("fox"))
    assert (again.generation.id, again.replayed) == (ended.id, True)


async def refused(running: Running, key: str) -> str:
    """Why a submission under the key is refused; nothing where it is not."""
    try:
        await running.submit(soul("fox", key))
    except RpcFailure as failure:
        return failure.reason
    return ""


async def becomes_free(running: Running, key: str) -> None:
    """Return when a submission under the key has made a new generation."""
    async with asyncio.timeout(PATIENCE):
        while reason := await refused(running, key):
            # The second where it was freed while it was looked at.
            assert reason in ("IDEMPOTENCY_KEY_REUSED", "GATEWAY_UNAVAILABLE")
            await asyncio.sleep(0.01)


async def test_a_key_stays_used_for_a_week_when_its_generation_is_gone(running: Running, calendar: Calendar) -> None:
    await lived(running, "fox")
    calendar.let_pass(6.9 * DAY)
    await calendar.pruned()
    assert await refused(running, "key-of-fox") == "IDEMPOTENCY_KEY_REUSED"
    assert len(running.ledger.charges) == 1
    calendar.let_pass(0.2 * DAY)
    await becomes_free(running, "key-of-fox")


@pytest.mark.parametrize("age", [0, 20])
async def test_a_key_stays_used_for_a_week_when_its_generation_is_deleted(
    start: Start, calendar: Calendar, age: float
) -> None:
    running = await start(RETENTION="30d")
    ended = await lived(running, "fox")
    calendar.let_pass(age * DAY)
    await running.grpc.call("DeleteGeneration", pb.DeleteGenerationRequest(id=ended.id))
    calendar.let_pass(6.9 * DAY)
    await calendar.pruned()
    assert await refused(running, "key-of-fox") == "IDEMPOTENCY_KEY_REUSED"
    calendar.let_pass(0.2 * DAY)
    await becomes_free(running, "key-of-fox")


async def test_a_deletion_is_remembered_as_long_as_its_key(running: Running, calendar: Calendar) -> None:
    ended = await lived(running, "fox")
    request = pb.DeleteGenerationRequest(id=ended.id)
    first: pb.DeleteGenerationResponse = await running.grpc.call("DeleteGeneration", request)
    assert first.removed_upstream
    calendar.let_pass(6.9 * DAY)
    await calendar.pruned()
    assert await running.grpc.call("DeleteGeneration", request) == first
    calendar.let_pass(0.2 * DAY)
    await calendar.pruned()
    with pytest.raises(RpcFailure) as raised:
        await running.grpc.call("DeleteGeneration", request)
    assert raised.value.reason == "NOT_FOUND"


# -- Watches -----------------------------------------------------------------------------------------------------------


async def test_a_token_at_the_horizon_loses_nothing_and_one_below_it_resets(
    running: Running, calendar: Calendar
) -> None:
    begun = (await caught_up(running))[-1].resume_token
    await lived(running, "old")
    calendar.let_pass(0.9 * HOUR)
    young = await lived(running, "young")
    *messages, last = await caught_up(running, begun)
    by_revision = {
        key_and_revision: one.resume_token for key_and_revision, one in zip(told(messages), messages, strict=True)
    }
    alive = await running.submit(soul("alive"))
    calendar.let_pass(0.2 * HOUR)
    await calendar.pruned()

    since = [("key-of-young", 1), ("key-of-young", 2), ("key-of-young", 3), ("key-of-alive", 1), ("key-of-alive", 2)]
    at_the_horizon = await caught_up(running, by_revision["key-of-old", 3])
    assert told(at_the_horizon) == since
    assert not any(message.reset for message in at_the_horizon)
    assert told(await caught_up(running, by_revision["key-of-young", 2])) == since[2:]
    assert told(await caught_up(running, last.resume_token)) == since[3:]

    for token in (begun, by_revision["key-of-old", 1], by_revision["key-of-old", 2]):
        below = await caught_up(running, token)
        assert [message.reset for message in below] == [True] + [False] * (len(below) - 1)
        assert not below[0].HasField("generation")
        assert told(below) == [("key-of-alive", alive.revision)]
        assert below[-1].caught_up
        assert told(await caught_up(running, below[-1].resume_token)) == []
    assert await kept(running, young)


async def test_a_reset_with_ids_names_those_that_are_gone_and_tells_the_others_in_any_state(
    running: Running, calendar: Calendar
) -> None:
    old, young, alive = [await running.submit(soul(prompt)) for prompt in ("old", "young", "alive")]
    ids = (old.id, young.id, alive.id)
    token = (await caught_up(running, "", *ids))[-1].resume_token
    for prompt in ("young", "alive"):
        running.plan(on="status", prompt=prompt, patch={"status": "queued"}, times=10**6)
    await running.finish(old.id)
    calendar.let_pass(0.9 * HOUR)
    running.sandbox.state.plan.clear()
    running.plan(on="status", prompt="alive", patch={"status": "queued"}, times=10**6)
    await running.until(young.id, "COMPLETED")
    calendar.let_pass(0.2 * HOUR)
    await calendar.pruned()

    first, *others = await caught_up(running, token, *ids)
    assert first == Message(reset=True, missing_ids=[old.id], resume_token=first.resume_token)
    states = {one.generation.id: one.generation.done for one in others if one.HasField("generation")}
    assert states == {young.id: True, alive.id: False}
    assert not any(message.reset or message.missing_ids for message in others)

    first, *others = await caught_up(running, others[-1].resume_token, *ids)
    assert first == Message(missing_ids=[old.id], resume_token=first.resume_token)
    assert told(others) == []


async def test_what_is_deleted_leaves_a_trace_that_retention_removes_too(running: Running, calendar: Calendar) -> None:
    gone = await lived(running, "gone")
    knows_its_end = (await caught_up(running))[-1].resume_token
    await running.grpc.call("DeleteGeneration", pb.DeleteGenerationRequest(id=gone.id))
    alive = await running.submit(soul("alive"))
    await restarted(running)
    messages = await caught_up(running, knows_its_end)
    assert told(messages) == [("key-of-alive", 1), ("key-of-alive", 2)]
    assert not any(message.reset for message in messages)

    calendar.let_pass(2 * HOUR)
    await calendar.pruned()
    messages = await caught_up(running, knows_its_end)
    assert messages[0].reset
    assert told(messages) == [("key-of-alive", alive.revision)]


async def restarted(running: Running) -> None:
    """The same store without anything in memory."""
    await running.stop_gateway()
    await running.start_gateway()


async def test_the_client_tells_of_a_reset_and_tells_everything_anew(running: Running, calendar: Calendar) -> None:
    async with AsyncClient(running.gateway.grpc_address) as client:
        begun = await anext(client.watch_many())
        assert isinstance(begun, CaughtUp)
        await lived(running, "old")
        alive = await running.submit(soul("alive"))
        calendar.let_pass(2 * HOUR)
        await calendar.pruned()
        events: list[WatchEvent] = []
        async with asyncio.timeout(PATIENCE), aclosing(client.watch_many(resume_token=begun.resume_token)) as watch:
            async for event in watch:
                events.append(event)
                if isinstance(event, CaughtUp):
                    break
    reset, changed, caught = events
    assert isinstance(reset, Reset)
    assert isinstance(changed, GenerationChanged)
    assert changed.generation.id == alive.id
    assert (reset.resume_token, changed.resume_token) == ("", "")
    assert told(await caught_up(running, caught.resume_token)) == []


async def rest(call: Any) -> list[Message]:
    """What a stream still brings, whatever ends it."""
    messages = []
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(grpc.aio.AioRpcError):
            while (message := await call.read()) is not grpc.aio.EOF:
                messages.append(message)
    return messages


async def test_who_reads_too_slowly_to_be_told_what_is_removed_hears_of_it(
    running: Running, calendar: Calendar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "RECENT", 2)
    monkeypatch.setattr(watch_module, "READ_AT_ONCE", 2)
    await restarted(running)
    narrow = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536))
    async with grpc.aio.insecure_channel(running.gateway.grpc_address, options=narrow) as channel:
        stub = GenerationServiceStub(channel)
        slow = stub.WatchGenerations(pb.WatchGenerationsRequest(include_input=True))
        assert (await slow.read()).caught_up
        for number in range(10):
            await lived(running, f"{number} " + "foxes " * 5_000)
        alive = await running.submit(soul("alive"))
        calendar.let_pass(2 * HOUR)
        await calendar.pruned()
        messages = await rest(slow)
        assert await slow.code() is grpc.StatusCode.UNAVAILABLE
    assert len(messages) < 30
    token = messages[-1].resume_token
    assert ("key-of-alive", 1) not in told(messages)
    resumed = await caught_up(running, token)
    assert resumed[0].reset
    assert told(resumed) == [("key-of-alive", alive.revision)]


async def test_a_watch_of_one_that_is_removed_before_it_is_told_ends_as_not_found(
    running: Running, calendar: Calendar, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = await lived(running, "old")
    async with AsyncClient(running.gateway.grpc_address) as client:
        watch = client.watch(ended.id)
        assert (await anext(watch)).revision == 1
        calendar.let_pass(2 * HOUR)
        await calendar.pruned()
        assert [generation.revision async for generation in watch] == [2, 3]
        with pytest.raises(errors.NotFound):
            await anext(client.watch(ended.id))
