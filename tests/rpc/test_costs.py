"""Bounds the work that the most frequent calls cause, so that it does not grow unnoticed.

The measure is the number of the gateway's own functions that run in the event loop. It hardly depends on the machine,
unlike processor time, which `make bench` measures.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import gateway
from gateway.generations.admission.admission import Admission
from gateway.generations.model import Steady
from hfgateway.v1 import generation_service_pb2 as pb
from tests.generations.test_admission import NOW, waiting
from tests.generations.test_admission import running as running_one
from tests.support.running import WAIT_TIMEOUT, run, soul
from tests.support.timeline import run_timed

SOURCE = str(Path(gateway.__file__).parent)
SANDBOX = str(Path(SOURCE, "sandbox"))
CALLS = 20
OTHERS = 50


@contextmanager
def functions_called() -> Iterator[Counter[str]]:
    """Count the functions of the gateway that are called in this thread, by name. A resumed coroutine counts again."""
    calls: Counter[str] = Counter()

    def count(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(SOURCE) and not code.co_filename.startswith(SANDBOX):
            calls[code.co_qualname] += 1

    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(None)


async def check_cost(call: Callable[[int], Awaitable[object]], most: float) -> None:
    """Fail if a call causes more function calls than `most`, and list those that are called most often."""
    await call(0)  # fills caches
    with functions_called() as calls:
        for number in range(1, CALLS + 1):
            await call(number)
    # Rounding down leaves out most of what timers run. They run the more often the slower the machine is.
    own = {name: count // CALLS for name, count in calls.most_common()}
    listed = "\n".join(f"{count:4} {name}" for name, count in own.items() if count)
    assert sum(own.values()) <= most, f"{sum(own.values())} calls:\n{listed}"


async def test_a_submission_calls_few_functions(tmp_path: Path) -> None:
    # 590 on a quiet machine. On a busy one, commits and timers coincide differently.
    async with run_timed(tmp_path) as running:
        await check_cost(lambda number: running.submit(soul(f"fox {number}")), 600)


async def test_a_status_call_calls_few_functions(tmp_path: Path) -> None:
    async with run_timed(tmp_path) as running:
        fox = await running.submit(soul("a fox"))
        await check_cost(lambda _: running.get(fox.id), 51)


def test_an_update_calls_no_more_functions_beside_many_generations() -> None:
    costs = []
    for others in (1, 100):
        admission = Admission(limit=1000)
        for number in range(others):
            admission.track(running_one(waiting(number)))
        with functions_called() as calls:
            admission.track(running_one(waiting(others)))
            admission.delay_for("tenant", 1, Steady(NOW))
        costs.append(calls.total())
    assert costs[0] == costs[1] > 0


async def test_a_watch_reads_no_generations_of_other_tenants(tmp_path: Path) -> None:
    async with run(tmp_path, AUTH="keys") as running:
        red, blue = await running.callers("red", "blue")
        for number in range(OTHERS):
            await red.call("SubmitGeneration", soul(f"fox {number}", wait_for=pb.WAIT_FOR_STORED))
        with functions_called() as calls:
            watch = blue.stream("WatchGenerations", pb.WatchGenerationsRequest())
            async with asyncio.timeout(WAIT_TIMEOUT):
                assert (await anext(watch)).caught_up
        await watch.aclose()
        assert calls["Generation.tenant"] < OTHERS
