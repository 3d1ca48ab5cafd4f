"""A stalled gateway cancels no call: callers wait in gRPC until it continues."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc

from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.running import PATIENCE, Running, soul

STALL = 6.0
CALLERS = 100


async def test_a_stall_of_six_seconds_cancels_no_submission(running: Running) -> None:
    running.sandbox.state.change({"concurrency_limit": 1000})
    under_way = threading.Semaphore(0)
    submit = "/hfgateway.v1.GenerationService/SubmitGeneration"

    def call_all() -> list[grpc.StatusCode]:
        """Make the calls in another thread, because this one stalls; the last call arrives after the stall."""
        with grpc.insecure_channel(running.gateway.grpc_address) as channel:
            method = channel.unary_unary(submit)
            requests = [soul(f"fox {n}", wait_for=pb.WAIT_FOR_STORED).SerializeToString() for n in range(CALLERS)]
            calls = [method.future(request, timeout=PATIENCE + STALL) for request in requests[:-1]]
            under_way.release()
            stalled.wait()
            calls.append(method.future(requests[-1], timeout=PATIENCE))
            return [call.code() for call in calls]

    stalled = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        calling = asyncio.get_running_loop().run_in_executor(pool, call_all)
        await asyncio.to_thread(under_way.acquire)
        time.sleep(STALL)  # noqa: ASYNC251 - the stall itself
        stalled.set()
        codes = await calling
    assert codes == [grpc.StatusCode.OK] * CALLERS
