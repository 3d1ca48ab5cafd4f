"""Goodput: generations that end within their callers' deadlines while more callers arrive than the gateway can serve.

Each call submits and waits until its generation is done: a full generation with polls and commits, as long as images
take. The capacity is the highest rate that the same gateway reaches: closed loops find the load that keeps a core busy,
then the arrival rate is doubled until that has no effect (a busy gateway polls later, which is cheaper). Then callers
arrive at multiples of the capacity, from a separate process (`bench/arrivals.py`), each once and with a deadline of
`WAIT_TIMEOUT` seconds. The largest multiple is repeated, and the worst of its runs counts. At the same time an observer
calls Get for a running generation.
"""

import asyncio
import contextlib
import json
import math
import statistics
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import httpx

from bench import processes
from bench.calls import GET, SUBMIT, get_request, model_submission, with_key
from bench.figures import Figure, Goal, at_least, at_most, ratio, value
from bench.load import FULL, Channels, Effort, channels
from bench.processes import Server
from hfgateway.v1 import generation_service_pb2 as pb

WAIT_TIMEOUT = 20.0
"""Deadline of a call: 40 s in a full run, where a generation takes 14 s on average.

The unit of this and of the following times is `Effort.seconds`, 2 s in a full run.
"""
LEAD, COUNTED = 15.0, 20.0
"""The warm-up and the measured time: two and three generations, because calls admitted together end together."""
FIRST_CALLERS = 2_000
ALL_OF_A_CORE, ENOUGH = 0.95, 1.2
"""A gateway that uses less than this share of a core is not saturated; callers are then added for this many cores."""
TIMES = (1, 2, 5)
REPEATED = 3
"""Runs at the largest multiple."""
GROWS = 1.1
"""The search for the capacity ends if twice the callers raise the rate by less than this factor."""
CHECK_INTERVAL = 0.1
SOON = 0.25
"""Seconds in which a gateway that is not overloaded stores a submission."""
RECOVERY_TIMEOUT = 60.0
MAX_MEMORY = 650.0
"""Goal in MB: 12,000 open calls of 22 KB, 12,000 calls of 18 KB that wait in gRPC, and 130 MB for everything else."""
SANDBOX = (*processes.SANDBOX, "--concurrency-limit=1000000")


@dataclass(frozen=True, slots=True)
class Phase:
    """The result of one load: `good` responses per second, and per second of the gateway's CPU time."""

    good: float
    good_per_cpu: float
    memory: int
    statuses: list[float]
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scene:
    """A gateway, the process of its callers, and connections for the observer."""

    gateway: Server
    callers: Server
    observers: Channels
    live: bytes
    """Gets a generation that does not end."""
    effort: Effort

    async def load(self, **plan: float) -> Phase:
        """Run one load: the warm-up, then the measured time."""
        lead, counted, patience = (self.effort.seconds * units for units in (LEAD, COUNTED, WAIT_TIMEOUT))
        content = {"lead": lead, "seconds": lead + counted, "deadline": patience} | plan
        observing = asyncio.create_task(self._observe())
        answer = asyncio.create_task(self.callers.ask(json.dumps(content)))
        await asyncio.sleep(lead)
        cpu = self.gateway.cpu()
        report = json.loads(await answer)
        used = self.gateway.cpu() - cpu
        observing.cancel()
        statuses, memory = await observing
        good = report["counts"].get("ok", 0)
        if not good and self.effort.rounds > 1:
            raise RuntimeError(f"no call succeeded: {report}")
        good = max(good, 1)  # a quick run is too short for a generation to end
        return Phase(good / counted, good / used, memory, statuses, report)

    async def capacity(self) -> Phase:
        """Return the highest rate that the gateway reaches under any load."""
        best = await self._load_of_one_core()
        while (more := await self._load_alone(rate=2 * best.good)).good > GROWS * best.good and self.effort.rounds > 1:
            best = more
        return max(best, more, key=lambda phase: phase.good)

    async def _load_of_one_core(self) -> Phase:
        """Run closed loops until the gateway uses a whole core; return the result of the last load."""
        callers = FIRST_CALLERS
        phase = await self._load_alone(in_flight=callers)
        busy = phase.good / phase.good_per_cpu
        if busy < ALL_OF_A_CORE:
            phase = await self._load_alone(in_flight=round(callers * ENOUGH / busy))
        return phase

    async def _load_alone(self, **plan: float) -> Phase:
        """Run one load, and wait until the gateway has recovered from it."""
        phase = await self.load(**plan)
        await self.recovery_time()
        return phase

    async def recovery_time(self) -> float:
        """Return the seconds until a single submission is stored without delay again."""
        submit = self.observers.unary(SUBMIT)
        request = model_submission() + pb.SubmitGenerationRequest(wait_for=pb.WAIT_FOR_STORED).SerializeToString()
        start = time.perf_counter()
        while (now := time.perf_counter()) < start + RECOVERY_TIMEOUT:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await submit(with_key(request), timeout=SOON)
                break
            await asyncio.sleep(SOON - min(time.perf_counter() - now, SOON))
        return time.perf_counter() - start

    async def _observe(self) -> tuple[list[float], int]:
        """Record the durations of Get calls in ms (infinity if they fail) and the peak memory, until canceled."""
        get = self.observers.unary(GET)
        statuses, memory = [], 0
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                start = time.perf_counter()
                try:
                    await get(self.live, timeout=RECOVERY_TIMEOUT)
                    statuses.append(1e3 * (time.perf_counter() - start))
                except grpc.aio.AioRpcError:
                    statuses.append(math.inf)
                memory = max(memory, self.gateway.memory())
                await asyncio.sleep(CHECK_INTERVAL)
        return statuses, memory


async def run(effort: Effort) -> list[Figure]:
    """Measure one, two and five times capacity."""
    async with _scene(effort) as scene:
        capacity = await scene.capacity()
        floods, recovered = [], []
        for times in (*TIMES, *(TIMES[-1:] * (REPEATED - 1 if effort.rounds > 1 else 0))):
            floods.append((times, await scene.load(rate=times * capacity.good)))
            recovered.append(await scene.recovery_time())
    # If one of the floods reaches a higher rate, that is the peak.
    phases = [capacity, *(flood for _, flood in floods)]
    good = max(one.good for one in phases)
    per_cpu = max(one.good_per_cpu for one in phases)
    figures = [value("capacity", "generations/s", capacity.good)]
    for times in TIMES:
        name = f"goodput at {times} times capacity"
        least = min((flood for found, flood in floods if found == times), key=lambda flood: flood.good_per_cpu)
        figures += [
            ratio(name, "generations/s", [least.good], [good]),
            ratio(name, "generations/s of server CPU", [least.good_per_cpu], [per_cpu], goal_at(times)),
        ]
    return [*figures, *_other_figures(floods[-1][1], recovered)]


def goal_at(times: int) -> Goal | None:
    """Return the goal at a multiple of the capacity; None at the capacity itself, where all polls are on time."""
    return at_least(0.8) if times > 1 else None


def _other_figures(flood: Phase, recovered: list[float]) -> list[Figure]:
    """Return the other figures of the largest flood."""
    statuses, counts = sorted(flood.statuses), flood.report["counts"]
    arrivals = max(counts.get("arrived", 0), 1)
    name = f"at {TIMES[-1]} times capacity"
    return [
        value(f"{name}: status calls, p50", "ms", statistics.median(statuses), at_most(100)),
        value(f"{name}: status calls, p99", "ms", statuses[int(0.99 * (len(statuses) - 1))], at_most(1000)),
        value(f"{name}: most memory", "MB", flood.memory / 2**20, at_most(MAX_MEMORY)),
        value(f"{name}: refused with a delay", "% of callers", 100 * counts.get("refused", 0) / arrivals),
        value(f"{name}: dropped by gRPC", "% of callers", 100 * counts.get("dropped", 0) / arrivals),
        value(f"{name}: CPU of the callers' process", "cores", flood.report["cpu"]),
        value("recovery: time until a submission is stored at once", "s", max(recovered), at_most(10)),
    ]


@contextlib.asynccontextmanager
async def _scene(effort: Effort) -> AsyncIterator[Scene]:
    polled = {"HFGATEWAY_POLL_MIN": "1", "HFGATEWAY_POLL_MAX": "30"}
    async with (
        processes.running((*SANDBOX, f"--time-scale={FULL.seconds / effort.seconds}")) as sandbox,
        processes.gateway(sandbox, **polled) as gateway,
        processes.running(("bench.arrivals", gateway.address)) as callers,
        channels(gateway, 1) as observers,
    ):
        async with httpx.AsyncClient() as client:
            await client.post(f"http://{sandbox.address}/__account", json={"credits": "1000000000"})
        slow = model_submission("one that takes long [slow=36000]")
        yield Scene(gateway, callers, observers, await get_request(observers.unary(SUBMIT), slow), effort)
