"""Submissions are refused with details if too many wait in gRPC's queue, and accepted again when the queue is short."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo

from gateway.rpc.limits import backlog
from gateway.rpc.limits.backlog import Backlog
from gateway.rpc.limits.call_limits import OVERLOADED_RETRY_DELAYS
from hfgateway.v1 import generation_service_pb2 as pb
from tests.overload.conftest import Start
from tests.support.running import WAIT_TIMEOUT, eventually, soul
from tests.support.transports import RpcFailure

SUBMIT = "/hfgateway.v1.GenerationService/SubmitGeneration"
MOST = 20
CALLERS = 120


@pytest.fixture(autouse=True)
def short_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow only a few submissions in gRPC's queue, and probe it often."""
    monkeypatch.setattr(backlog, "MAX_QUEUED", MOST)
    monkeypatch.setattr(backlog, "PROBE_INTERVAL", 0.005)


def accepted(queue: Backlog, count: int) -> list[bool]:
    """Hand over submissions; return which of them are accepted."""
    return [queue.accept() for _ in range(count)]


def test_submissions_ahead_of_a_probe_are_accepted_up_to_the_limit() -> None:
    queue = Backlog()
    assert all(accepted(queue, 10 * MOST))  # no probe waits, so the length of the queue is not known
    queue.probe_sent()
    assert accepted(queue, MOST + 2) == [True] * MOST + [False] * 2
    assert queue.probe_accepted()
    assert all(accepted(queue, MOST))
    queue.probe_sent()
    assert all(accepted(queue, MOST))
    assert not queue.probe_accepted()


def test_submissions_ahead_of_a_probe_that_was_dropped_count() -> None:
    queue = Backlog()
    queue.probe_sent()
    assert all(accepted(queue, MOST))
    queue.probe_sent()
    assert accepted(queue, 1) == [False]


async def test_no_submission_is_refused_if_probes_fail(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    queue = Backlog()
    measuring = asyncio.create_task(backlog.measure(queue, f"unix:{tmp_path / 'missing'}", SUBMIT))
    await eventually(lambda: queue.accept() and "could not be measured" in caplog.text)
    assert all(accepted(queue, 10 * MOST))
    measuring.cancel()


async def test_no_submission_is_refused_after_the_last_probe(tmp_path: Path) -> None:
    """The probe that waits when the measurement ends is never accepted."""
    queue = Backlog()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen()
        measuring = asyncio.create_task(backlog.measure(queue, f"unix:{tmp_path / 'silent'}", SUBMIT))
        await eventually(lambda: not queue.accept())
        measuring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await measuring
    assert all(accepted(queue, 10 * MOST))


async def test_a_flood_is_refused_with_a_delay_and_each_repeat_is_charged_once(start: Start) -> None:
    running = await start(DRAIN=1)
    running.sandbox.state.change({"concurrency_limit": 10 * CALLERS})
    refusals: list[RpcFailure] = []

    async def submit(number: int) -> None:
        """Submit until it is not refused, without the pause that a client makes."""
        while True:
            try:
                await running.submit(soul(f"fox {number}"))
                return
            except RpcFailure as error:
                refusals.append(error)

    async with asyncio.timeout(WAIT_TIMEOUT):
        await asyncio.gather(*map(submit, range(CALLERS)))
    assert refusals
    assert {error.reason for error in refusals} == {"GATEWAY_OVERLOADED"}
    first, last = OVERLOADED_RETRY_DELAYS
    delays = []
    for error in refusals:
        (delay,) = [detail.retry_delay for detail in error.details if isinstance(detail, RetryInfo)]
        delays.append(delay.seconds + delay.nanos / 1e9)
    assert all(first <= delay <= last for delay in delays)
    assert len(set(delays)) > 1  # so that the callers do not return together
    method = f'{{method="{SUBMIT}"}}'
    assert await running.metric(f"hfgateway_rpc_refused_total{method}") == len(refusals)
    assert len(running.ledger.charges) == CALLERS


async def test_a_status_call_passes_a_flood_of_submissions(start: Start) -> None:
    running = await start(DRAIN=1)
    running.sandbox.state.change({"concurrency_limit": 10 * CALLERS})
    known = await running.submit(soul("an owl", wait_for=pb.WAIT_FOR_STORED))
    async with grpc.aio.insecure_channel(running.gateway.grpc_address) as channel:
        method = channel.unary_unary(SUBMIT)
        requests = [soul(f"fox {n}", wait_for=pb.WAIT_FOR_STORED).SerializeToString() for n in range(CALLERS)]
        flood = [method(request) for request in requests]
        answered = await running.get(known.id)
        codes = [await call.code() for call in flood]
    assert answered.id == known.id
    assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert grpc.StatusCode.RESOURCE_EXHAUSTED in codes
