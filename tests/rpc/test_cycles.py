"""Calls leave no reference cycles of the gateway's objects.

An exception refers to its traceback, and the traceback to the variables of its functions. If one of them refers back to
the exception, memory of the call is freed by the garbage collector only, which stops the gateway for some 20 ms.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType

import pytest
from google.protobuf.message import Message

import gateway
from hfgateway.v1 import generation_service_pb2 as pb
from tests.rpc.conftest import Start
from tests.support.running import Running, soul
from tests.support.timeline import run_timed
from tests.support.transports import TRANSPORTS, RpcFailure, Transport, responses_of

SOURCE = str(Path(gateway.__file__).parent)
CALLS = 5
UNKNOWN = "01890a5d-ac96-774b-bcce-b302099a8057"
REFUSED: dict[str, tuple[str, Message | bytes]] = {
    "no such generation": ("GetGeneration", pb.GetGenerationRequest(id=UNKNOWN)),
    "not a message": ("GetGeneration", b"\xff\xff"),
    "an invalid field": ("SubmitGeneration", pb.SubmitGenerationRequest()),
    "a watch of no generation": ("WatchGeneration", pb.WatchGenerationRequest(id=UNKNOWN)),
}


@asynccontextmanager
async def cycles(running: Running) -> AsyncIterator[Counter[str]]:
    """Find the functions of the gateway whose variables are in reference cycles, or are kept by one."""
    found: Counter[str] = Counter()
    gc.disable()
    gc.freeze()  # the collection at the end looks at the objects of the block only
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        for kept in gc.garbage:
            if isinstance(kept, FrameType) and kept.f_code.co_filename.startswith(SOURCE):
                found[kept.f_code.co_qualname] += 1
            elif type(kept).__module__.startswith("gateway."):
                found[type(kept).__qualname__] += 1
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def check(running: Running, call: Callable[[], Awaitable[object]]) -> None:
    """Fail if a call leaves a reference cycle."""
    await call()  # fills caches
    async with cycles(running) as found:
        for _ in range(CALLS):
            await call()
    assert not found


async def refused(client: Transport, method: str, request: Message | bytes) -> None:
    with pytest.raises(RpcFailure):
        await responses_of(client, method, request)


@pytest.mark.parametrize("what", REFUSED)
async def test_a_refused_call_leaves_no_cycle(running: Running, client: Transport, what: str) -> None:
    await check(running, lambda: refused(client, *REFUSED[what]))


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_call_without_a_key_leaves_no_cycle(start: Start, transport: str) -> None:
    running = await start(AUTH="keys")
    await check(running, lambda: refused(running.transports[transport], *REFUSED["no such generation"]))


async def test_a_submission_and_a_watch_leave_no_cycle(running: Running, client: Transport) -> None:
    async def watched() -> None:
        fox = await running.submit(soul("a fox"))
        await running.finish(fox.id)
        assert await responses_of(client, "WatchGeneration", pb.WatchGenerationRequest(id=fox.id))

    await check(running, watched)


async def test_a_watch_that_its_caller_leaves_leaves_no_cycle(running: Running, grpc: Transport) -> None:
    fox = await running.submit(soul("a fox"))

    async def left() -> None:
        async for _ in grpc.stream("WatchGeneration", pb.WatchGenerationRequest(id=fox.id)):
            break
        await running.calls_open("WatchGeneration", 0)

    await check(running, left)


async def test_failed_requests_to_higgsfield_leave_no_cycle(tmp_path: Path) -> None:
    async with run_timed(tmp_path) as timed:

        async def failed() -> None:
            timed.plan(on="submit", kind="503")
            timed.plan(on="status", kind="503")
            fox = await timed.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
            await timed.advance(600.0, until=lambda: not timed.live())
            assert (await timed.get(fox.id)).done

        await check(timed, failed)
