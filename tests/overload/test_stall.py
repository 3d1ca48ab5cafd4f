"""A stalled gateway cancels and refuses no call: callers wait in gRPC until it continues."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from gateway.generations import follower
from gateway.generations.clock import SystemClock, since_boot
from hfgateway.v1 import generation_service_pb2 as pb
from tests.overload.conftest import Start
from tests.support.running import WAIT_TIMEOUT, Running, eventually, soul
from tests.support.transports import RpcFailure

STALL = 6.0
CALLERS = 20


async def test_a_stall_of_six_seconds_cancels_no_submission(running: Running) -> None:
    running.sandbox.state.change({"concurrency_limit": 1000})
    under_way = threading.Semaphore(0)
    submit = "/hfgateway.v1.GenerationService/SubmitGeneration"

    def call_all() -> list[grpc.StatusCode]:
        """Make the calls in another thread, because this one stalls; the last call arrives after the stall."""
        with grpc.insecure_channel(running.gateway.grpc_address) as channel:
            method = channel.unary_unary(submit)
            requests = [soul(f"fox {n}", wait_for=pb.WAIT_FOR_STORED).SerializeToString() for n in range(CALLERS)]
            calls = [method.future(request, timeout=WAIT_TIMEOUT + STALL) for request in requests[:-1]]
            under_way.release()
            stalled.wait()
            calls.append(method.future(requests[-1], timeout=WAIT_TIMEOUT))
            return [call.code() for call in calls]

    stalled = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        calling = asyncio.get_running_loop().run_in_executor(pool, call_all)
        await asyncio.to_thread(under_way.acquire)
        time.sleep(STALL)  # noqa: ASYNC251 - the stall itself
        stalled.set()
        codes = await calling
    assert codes == [grpc.StatusCode.OK] * CALLERS


async def test_a_stall_of_four_seconds_refuses_no_submission(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "MAX_CONCURRENT_STEPS", 1)
    stopped: list[float] = []
    """The readings of the stopped clock; empty while it runs."""
    running = await start(
        DRAIN=1,
        clock_from=lambda not_before: SystemClock(
            not_before, monotonic=lambda: stopped[-1] if stopped else since_boot()
        ),
    )
    behind = running.gateway._core.follower.behind
    # The only worker waits for Higgsfield, so the polls of the others are late.
    running.plan(on="status", delay=WAIT_TIMEOUT, times=1)
    for number in range(3):
        await running.submit(soul(f"fox {number}", wait_for=pb.WAIT_FOR_STORED))
    await eventually(lambda: behind() > 0.0)
    stopped.append(since_boot())
    for late in (4.0, 6.0):
        stopped.append(stopped[-1] + late - behind())
        assert behind() == pytest.approx(late)
        if late == 4.0:
            await running.submit(soul("an owl", wait_for=pb.WAIT_FOR_STORED))
    with pytest.raises(RpcFailure) as refused:
        await running.submit(soul("a crow", wait_for=pb.WAIT_FOR_STORED))
    assert refused.value.reason == "GATEWAY_OVERLOADED"
    stopped.clear()
