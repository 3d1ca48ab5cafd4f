"""Webhooks report only ends, so the gateway polls for a start, once, if a caller watches or asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from unittest.mock import patch

import pytest

from gateway.generations import follower
from gateway.generations.clock import sleep
from gateway.generations.model import Generation as Stored
from gateway.generations.model import PreparedRequest, StatusReport
from gateway.generations.polling import pace
from gateway.generations.ports import Outcome
from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.running import Generation, eventually, name_of, public_url, soul
from tests.support.timeline import STEP, Timed, run_timed
from tests.support.transports import RpcFailure
from tests.support.webhooks import SECRET

QUEUED_FOR, RUNS_FOR, COUNT = 4.0, 12.0, 20
SIGNED = {"webhook_secret": SECRET, "WEBHOOK_SECRET": SECRET}


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Timed]:
    """A gateway that has learned that webhooks arrive."""
    async with run_timed(
        tmp_path, queue_seconds=QUEUED_FOR, image_seconds=RUNS_FOR, **SIGNED, **public_url()
    ) as running:
        running.gateway._core.follower._schedule._reliability.arrive = True
        yield running


async def accepted(running: Timed, prompt: str) -> str:
    stored = await running.submit(soul(prompt, wait_for=pb.WAIT_FOR_STORED))
    await running.advance(0.5)
    return stored.id


async def ended(running: Timed, generation_id: str) -> list[Generation]:
    """Let time pass to the end of the generation; return every revision."""
    await running.advance(QUEUED_FOR + RUNS_FOR)
    await eventually(lambda: not running.live())
    return [generation async for generation in running.history(generation_id)]


async def test_a_watch_shows_the_start_at_the_cost_of_about_one_poll(running: Timed) -> None:
    for number in range(COUNT):
        before = running.ledger.status_calls.total()
        name = await accepted(running, f"fox {number}")
        request = pb.WatchGenerationRequest(id=name)
        async with aclosing(running.grpc.stream("WatchGeneration", request)) as watch:
            await anext(watch)
            history = await ended(running, name)
        assert running.ledger.status_calls.total() - before <= pace.MAX_START_CHECKS
        assert [name_of(one) for one in history][-2:] == ["IN_PROGRESS", "COMPLETED"]
        started = history[-1].start_time.ToNanoseconds() - history[-1].accept_time.ToNanoseconds()
        assert QUEUED_FOR - STEP <= started / 1e9 <= QUEUED_FOR * pace.LATER_FACTOR + STEP
    assert running.ledger.status_calls.total() <= 1.3 * COUNT


async def test_reading_a_queued_generation_asks_higgsfield_whether_it_can_be_canceled(running: Timed) -> None:
    name = await accepted(running, "a fox")
    assert (await running.get(name)).cancelable
    assert running.ledger.status_calls.total() == 0, "it was accepted less than a second ago"
    await running.advance(QUEUED_FOR)
    asked = await running.get(name)
    assert (name_of(asked), asked.cancelable) == ("IN_PROGRESS", False)
    await ended(running, name)
    assert running.ledger.status_calls.total() == 1


async def test_what_get_says_of_cancelable_is_what_cancel_then_does(running: Timed) -> None:
    for number in range(COUNT):
        name = await accepted(running, f"fox {number}")
        await running.advance(number * (QUEUED_FOR + RUNS_FOR) / COUNT)
        asked = await running.get(name)
        try:
            await running.grpc.call("CancelGeneration", pb.CancelGenerationRequest(id=name))
            assert asked.cancelable
        except RpcFailure as failure:
            assert not asked.cancelable
            assert failure.reason == "NOT_CANCELABLE"
            await ended(running, name)


async def test_callers_that_ask_often_cause_few_calls(tmp_path: Path) -> None:
    """Each call comes after twice the time since the acceptance."""
    async with run_timed(tmp_path, queue_seconds=600.0, **SIGNED, **public_url()) as running:
        running.gateway._core.follower._schedule._reliability.arrive = True
        name = await accepted(running, "a fox")
        for _ in range(120):
            await running.advance(0.5)
            assert (await running.get(name)).cancelable
        assert 4 <= running.ledger.status_calls.total() <= 7  # and one 60 s after the acceptance, as for a lost webhook


@pytest.mark.parametrize("kind", ["hang", "500", "404"])
async def test_a_caller_that_asks_does_not_wait_long_for_higgsfield(running: Timed, kind: str) -> None:
    name = await accepted(running, "a fox")
    await running.advance(2.0)
    running.plan(on="status", kind=kind, times=1000)
    asked = running.gateway._core.follower._refreshing
    for _ in range(2):
        asking = asyncio.create_task(running.get(name))
        if kind == "hang":
            await eventually(
                lambda: name in asked and asked[name].has_waiters and running.ledger.status_calls.total() == 1
            )
            running.time.step(running.time.now + follower.REFRESH_TIMEOUT, follower.REFRESH_TIMEOUT)
        assert name_of(await asking) == "QUEUED"
    assert running.ledger.status_calls.total() == 1


async def test_a_watch_that_begins_late_shows_the_start_at_once(running: Timed) -> None:
    name = await accepted(running, "a fox")
    await running.advance(QUEUED_FOR + 2.0)
    async with aclosing(running.grpc.stream("WatchGeneration", pb.WatchGenerationRequest(id=name))) as watch:
        async for seen in watch:
            if name_of(seen.generation) == "IN_PROGRESS":
                break
    assert running.ledger.status_calls.total() == 1


async def test_without_watchers_a_start_is_not_polled(running: Timed) -> None:
    name = await accepted(running, "a fox")
    history = await ended(running, name)
    assert [name_of(one) for one in history][-2:] == ["QUEUED", "COMPLETED"]
    assert running.ledger.status_calls.total() == 0


@pytest.mark.parametrize("state", ["PENDING", "QUEUED"])
async def test_a_watch_shows_the_start_also_after_a_restart(running: Timed, state: str) -> None:
    if state == "PENDING":
        await running.stop_higgsfield()
    name = await accepted(running, "a fox")
    assert running.live() == {name: state}
    await running.stop_gateway()
    await running.start_gateway()
    running.gateway._core.follower._schedule._reliability.arrive = True
    if state == "PENDING":
        await running.restart_higgsfield()
    async with aclosing(running.grpc.stream("WatchGeneration", pb.WatchGenerationRequest(id=name))) as watch:
        await anext(watch)
        await running.advance(60.0, until=lambda: running.live() == {name: "QUEUED"})
        await running.advance(QUEUED_FOR + 0.5 * RUNS_FOR)
        assert running.live() == {name: "IN_PROGRESS"}


async def test_looks_for_starts_cost_one_call_for_each_generation(tmp_path: Path) -> None:
    """A new process may make a few more. Here no look finds a start."""
    async with run_timed(tmp_path, queue_seconds=3600.0, **SIGNED, **public_url()) as running:
        running.gateway._core.follower._schedule._reliability.arrive = True
        async with aclosing(running.grpc.stream("WatchGenerations", pb.WatchGenerationsRequest())) as watch:
            await anext(watch)
            for number in range(COUNT):
                await accepted(running, f"fox {number}")
            await running.advance(30.0)
        assert COUNT < running.ledger.status_calls.total() <= COUNT + pace.SPARE_START_CHECKS


@pytest.mark.parametrize("kind", ["404", "500"])
async def test_a_failed_poll_for_a_start_is_not_repeated_at_once(running: Timed, kind: str) -> None:
    name = await accepted(running, "a fox")
    running.plan(on="status", kind=kind, times=1000)
    async with aclosing(running.grpc.stream("WatchGeneration", pb.WatchGenerationRequest(id=name))) as watch:
        await anext(watch)
        await running.advance(QUEUED_FOR + 2.0)
    assert 1 <= running.ledger.status_calls.total() <= pace.MAX_START_CHECKS


@pytest.mark.parametrize("step", [STEP, 30.0], ids=["in time", "late"])
async def test_a_start_timeout_cancels_although_only_a_webhook_reports_the_end(tmp_path: Path, step: float) -> None:
    """A process that was stopped for a while finds the start timeout over when a check of the start is due, too."""
    async with run_timed(tmp_path, queue_seconds=1000.0, **SIGNED, **public_url()) as running:
        running.gateway._core.follower._schedule._reliability.arrive = True
        request = soul("a fox", wait_for=pb.WAIT_FOR_STORED)
        request.start_timeout.FromSeconds(20)
        stored = await running.submit(request)
        await running.advance(2.0)
        await running.advance(30.0, step=step)
        await running.advance(10.0, until=lambda: bool(running.ledger.refunds))
        assert len(running.ledger.refunds) == 1
        await running.until(stored.id, "CANCELED")


@pytest.mark.parametrize("shows", [True, False])
async def test_a_start_timeout_that_passes_during_a_poll_cancels(tmp_path: Path, shows: bool) -> None:
    """Just after a submission, and while it has trouble, Higgsfield may not show the request."""
    async with run_timed(tmp_path, queue_seconds=1000.0, **SIGNED, **public_url()) as running:
        core = running.gateway._core
        core.follower._schedule._reliability.arrive = True
        read = core.upstream.status

        async def respond_late(generation: Stored) -> StatusReport | None:
            report = await read(generation)
            await sleep(core.clock, 3.0)
            return report if shows else None

        request = soul("a fox", wait_for=pb.WAIT_FOR_STORED)
        request.start_timeout.FromSeconds(20)
        stored = await running.submit(request)
        async with aclosing(running.grpc.stream("WatchGeneration", pb.WatchGenerationRequest(id=stored.id))) as watch:
            await anext(watch)
            await running.advance(19.0)  # no further check of its start is planned then
        with patch.object(core.upstream, "status", respond_late):
            reading = asyncio.create_task(running.get(stored.id))
            await eventually(lambda: bool(core.follower._refreshing))
            await running.advance(3.0)
            await reading
        await running.advance(10.0)
        assert len(running.ledger.refunds) == 1
        await running.until(stored.id, "CANCELED")


async def test_a_start_timeout_that_passes_before_the_acceptance_cancels_at_once(tmp_path: Path) -> None:
    async with run_timed(tmp_path, queue_seconds=1000.0, **SIGNED, **public_url()) as running:
        core = running.gateway._core
        core.follower._schedule._reliability.arrive = True
        submit = core.upstream.submit

        async def respond_late(request: PreparedRequest, may_send: Callable[[], bool]) -> Outcome:
            outcome = await submit(request, may_send)
            await sleep(core.clock, 3.0)
            return outcome

        request = soul("a fox", wait_for=pb.WAIT_FOR_STORED)
        request.start_timeout.FromSeconds(2)
        with patch.object(core.upstream, "submit", respond_late):
            stored = await running.submit(request)
            await running.advance(4.0)
        assert len(running.ledger.refunds) == 1
        await running.until(stored.id, "CANCELED")


@pytest.mark.parametrize("status", [400, 404])
async def test_a_cancel_that_has_no_effect_is_soon_repeated(tmp_path: Path, status: int) -> None:
    """Just after a submission Higgsfield may not show the request yet. No webhook says that it was not canceled."""
    async with run_timed(tmp_path, queue_seconds=1000.0, **SIGNED, **public_url()) as running:
        schedule = running.gateway._core.follower._schedule
        schedule._reliability.arrive, schedule._intervals.spare_start_checks = True, 0
        refusal = {"status": status, "body": {"detail": "Not found"}}
        running.plan(on="cancel", **refusal)
        if status == 404:
            running.plan(on="status", **refusal)
        request = soul("a fox", wait_for=pb.WAIT_FOR_STORED)
        request.start_timeout.FromSeconds(3)
        stored = await running.submit(request)
        await running.advance(3.0 + 2 * pace.POLL_INTERVAL)
        assert [one.outcome for one in running.ledger.cancels] == [str(status), "202"]
        await running.until(stored.id, "CANCELED")
