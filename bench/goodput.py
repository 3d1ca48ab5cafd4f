"""Goodput: generations that end in time for their callers, while more callers come than the gateway can serve.

Each call submits and waits until its generation is done: a whole life, with polls and commits, of a length that images
have. Capacity is the most that the same gateway is seen to do: closed loops find what keeps a core busy, then callers
come twice as fast, and again, until that brings no more (a busy gateway polls later, which is cheaper). Then
callers come at multiples of it, from a process of their own (`bench/arrivals.py`), each once and patient for `PATIENCE`
seconds; and somebody asks for the status of one that lives on.
"""

import asyncio
import contextlib
import json
import math
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx

from bench import processes
from bench.calls import GET, SUBMIT, model_submission, with_key
from bench.figures import Figure, Goal, at_least, at_most, ratio, value
from bench.load import FULL, Channels, Effort, channels
from bench.processes import Server
from hfgateway.v1 import generation_service_pb2 as pb

PATIENCE = 20.0
"""In units of an effort's seconds, as the other times are: 40 s in full runs. A life takes 14 s on the average."""
LEAD, COUNTED = 15.0, 15.0
"""To get going, and what counts: two lives, for what is admitted at once also ends at once, and load comes in waves."""
FIRST_CALLERS = 2_000
ALL_OF_A_CORE, ENOUGH = 0.95, 1.2
"""Cores that the gateway uses when it can do no more, and that as many callers are tried for as would take more."""
TIMES = (1, 2, 5)
GROWS = 1.1
"""What twice as many callers must bring for still more to be tried."""
LOOK_EVERY = 0.1
SOON = 0.25
"""Seconds within which a submission is stored by a gateway that is not overloaded."""
RECOVERED_WITHIN = 60.0
MOST_MEMORY = 650.0
"""MB: 12,000 calls that are open at 22 KB each, 12,000 that wait in gRPC at 18, and 130 for all else."""
SANDBOX = (*processes.SANDBOX, "--concurrency-limit=1000000")


@dataclass(frozen=True, slots=True)
class Phase:
    """What came of one load, each second: `good` answers, of which so many for each second of the gateway's CPU."""

    good: float
    good_per_cpu: float
    memory: int
    statuses: list[float]
    told: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scene:
    """A gateway, the process of its callers, and connections for who looks on."""

    gateway: Server
    callers: Server
    lookers: Channels
    live: bytes
    """What asks for the status of a generation that lives on."""
    effort: Effort

    async def load(self, **plan: float) -> Phase:
        """One load: some seconds to get going, then some that count."""
        lead, counted, patience = (self.effort.seconds * units for units in (LEAD, COUNTED, PATIENCE))
        content = {"lead": lead, "seconds": lead + counted, "deadline": patience} | plan
        looking = asyncio.create_task(self._look())
        answer = asyncio.create_task(self.callers.ask(json.dumps(content)))
        await asyncio.sleep(lead)
        cpu = self.gateway.cpu()
        told = json.loads(await answer)
        used = self.gateway.cpu() - cpu
        looking.cancel()
        statuses, memory = await looking
        good = told["counts"].get("ok", 0)
        if not good and self.effort.rounds > 1:
            raise RuntimeError(f"nobody was served: {told}")
        good = max(good, 1)  # in a quick run nothing has the time to end
        return Phase(good / counted, good / used, memory, statuses, told)

    async def capacity(self) -> Phase:
        """The most that any load gets out of the gateway."""
        best = await self._busy()
        while (more := await self._then_rest(rate=2 * best.good)).good > GROWS * best.good and self.effort.rounds > 1:
            best = more
        return max(best, more, key=lambda phase: phase.good)

    async def _busy(self) -> Phase:
        """As many callers as keep a core busy."""
        callers = FIRST_CALLERS
        phase = await self._then_rest(in_flight=callers)
        busy = phase.good / phase.good_per_cpu
        if busy < ALL_OF_A_CORE:
            phase = await self._then_rest(in_flight=round(callers * ENOUGH / busy))
        return phase

    async def _then_rest(self, **plan: float) -> Phase:
        phase = await self.load(**plan)
        await self.rest()
        return phase

    async def rest(self) -> float:
        """Seconds until a lone submission is stored at once again."""
        submit = self.lookers.unary(SUBMIT)
        request = model_submission() + pb.SubmitGenerationRequest(wait_for=pb.WAIT_FOR_STORED).SerializeToString()
        start = time.perf_counter()
        while (now := time.perf_counter()) < start + RECOVERED_WITHIN:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await submit(with_key(request), timeout=SOON)
                break
            await asyncio.sleep(SOON - min(time.perf_counter() - now, SOON))
        return time.perf_counter() - start

    async def _look(self) -> tuple[list[float], int]:
        """Until canceled: how long status calls take in ms (for ever where they fail), and the most resident memory."""
        get = self.lookers.unary(GET)
        statuses, memory = [], 0
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                start = time.perf_counter()
                try:
                    await get(self.live, timeout=RECOVERED_WITHIN)
                    statuses.append(1e3 * (time.perf_counter() - start))
                except grpc.aio.AioRpcError:
                    statuses.append(math.inf)
                memory = max(memory, self.gateway.memory())
                await asyncio.sleep(LOOK_EVERY)
        return statuses, memory


async def run(effort: Effort) -> list[Figure]:
    """At the capacity, twice and five times as much."""
    async with _scene(effort) as scene:
        capacity = await scene.capacity()
        floods, recovered = [], []
        for times in TIMES:
            floods.append(await scene.load(rate=times * capacity.good))
            recovered.append(await scene.rest())
    # What one of the floods does better is the peak then.
    good = max(one.good for one in (capacity, *floods))
    per_cpu = max(one.good_per_cpu for one in (capacity, *floods))
    figures = [value("capacity", "generations/s", capacity.good)]
    for times, flood in zip(TIMES, floods, strict=True):
        name = f"goodput at {times} times the capacity"
        figures += [
            ratio(name, "generations/s", [flood.good], [good]),
            ratio(name, "generations/s of server CPU", [flood.good_per_cpu], [per_cpu], beyond(times)),
        ]
    return [*figures, *_rest(floods[-1], recovered)]


def beyond(times: int) -> Goal | None:
    """The goal for so many times the capacity; at the capacity itself there is none, for each poll comes in time."""
    return at_least(0.8) if times > 1 else None


def _rest(flood: Phase, recovered: list[float]) -> list[Figure]:
    """What else is told of the worst of the floods."""
    statuses, counts = sorted(flood.statuses), flood.told["counts"]
    came = max(counts.get("came", 0), 1)
    name = f"at {TIMES[-1]} times the capacity"
    return [
        value(f"{name}: status calls, p50", "ms", statistics.median(statuses), at_most(100)),
        value(f"{name}: status calls, p99", "ms", statuses[int(0.99 * (len(statuses) - 1))], at_most(1000)),
        value(f"{name}: most memory", "MB", flood.memory / 2**20, at_most(MOST_MEMORY)),
        value(f"{name}: refused with a delay", "% of callers", 100 * counts.get("refused", 0) / came),
        value(f"{name}: dropped unseen", "% of callers", 100 * counts.get("dropped", 0) / came),
        value(f"{name}: processor time of the callers' process", "cores", flood.told["cpu"]),
        value("after each: until a submission is stored at once", "s", max(recovered), at_most(10)),
    ]


@contextlib.asynccontextmanager
async def _scene(effort: Effort) -> AsyncIterator[Scene]:
    polled = {"HFGATEWAY_POLL_MIN": "1", "HFGATEWAY_POLL_MAX": "30"}
    with tempfile.TemporaryDirectory() as folder:
        async with (
            processes.running((*SANDBOX, f"--time-scale={FULL.seconds / effort.seconds}")) as sandbox,
            processes.running(
                processes.GATEWAY, processes.gateway_settings(sandbox.address, Path(folder)) | polled
            ) as gateway,
            processes.running(("bench.arrivals", gateway.address)) as callers,
            channels(gateway, 1) as lookers,
        ):
            async with httpx.AsyncClient() as client:
                await client.post(f"http://{sandbox.address}/__account", json={"credits": "1000000000"})
            answer = await lookers.unary(SUBMIT)(with_key(model_submission("one that takes long [slow=36000]")))
            name = pb.SubmitGenerationResponse.FromString(answer).generation.id
            yield Scene(gateway, callers, lookers, pb.GetGenerationRequest(id=name).SerializeToString(), effort)
