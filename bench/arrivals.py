"""A process that calls a gateway in an open or in a closed loop.

`python -m bench.arrivals ADDRESS` reads plans as lines of JSON and answers each with a line of results. With `rate`,
that number of callers arrives each second, makes one call, and gives up after `deadline` seconds (an open loop). With
`in_flight`, that number of callers calls repeatedly (a closed loop), and pauses after a refusal. Each call submits with
a new key and waits until its generation is done, which takes as long as the images in the benchmark `polls`. A call
that ends before its generation, because its deadline is near, counts as `missed`.
"""

import asyncio
import itertools
import json
import math
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.calls import PROMPT, SUBMIT, model_submission, with_key
from bench.http2 import NO_STATUS, Connection, connect, head
from bench.polls import SEED, TRACES
from gateway.generations.model import State
from hfgateway.v1 import generation_service_pb2 as pb

CONNECTIONS = 60
"""Each carries 100 calls. Further callers wait, as in any gRPC client."""
LOOP_PAUSE = 0.002
"""Seconds between two rounds of a loop, in which responses are received."""
REFUSAL_PAUSE = 2.0
"""Seconds that a caller pauses after a refusal, about as long as the gateway asks for."""
OUTCOMES = {0: "ok", 1: "dropped", 4: "missed", 8: "refused", NO_STATUS: "dropped"}
"""The outcome by the status of a call. Other statuses are faults."""
ENDED = frozenset({State.COMPLETED, State.FAILED, State.NSFW})


@dataclass(slots=True)
class Caller:
    """A caller: the time of its arrival, and its current call."""

    arrived: float
    connection: Connection | None = None
    number: int = 0
    answered: bool = False


class Arrivals:
    """The callers of one gateway."""

    def __init__(self) -> None:
        self._connections: Sequence[Connection] = ()
        self._turn = 0
        self._outcomes: Counter[str] = Counter()
        self._seconds: list[float] = []
        self._answered: deque[tuple[Caller, str]] = deque()
        self._head = b""
        self._submissions = itertools.cycle(_submissions())

    async def connect(self, address: str) -> None:
        """Open all connections to the gateway."""
        self._connections = [await connect(address, self._ended) for _ in range(CONNECTIONS)]

    async def run_plan(self, plan: dict[str, Any]) -> dict[str, Any]:
        """Run a plan; returns its results. Only responses after the warm-up of `lead` seconds count."""
        asyncio.get_running_loop().call_later(plan["lead"], self._reset_results)
        self._head = head(SUBMIT, plan["deadline"])
        cpu, start = time.process_time(), time.perf_counter()
        end = start + plan["seconds"]
        if "rate" in plan:
            behind = await self._open_loop(start, end, plan["rate"], plan["deadline"])
        else:
            behind = await self._closed_loop(start, end, plan["in_flight"], plan["lead"] / 2)
        used = (time.process_time() - cpu) / (time.perf_counter() - start)
        return {
            "counts": dict(self._outcomes),
            "p50": self._response_time(0.5),
            "p99": self._response_time(0.99),
            "behind": behind,
            "cpu": used,
        }

    def _reset_results(self) -> None:
        self._outcomes.clear()
        self._seconds.clear()

    async def _open_loop(self, start: float, end: float, rate: float, deadline: float) -> float:
        """Run an open loop with constant gaps between callers; returns the largest delay of a caller in seconds.

        Callers give up `deadline` seconds after their arrival.
        """
        waiting: deque[Caller] = deque()
        unexpired: deque[Caller] = deque()
        due, behind = start, 0.0
        while (now := time.perf_counter()) < end:
            behind = max(behind, now - due)
            while due <= now:
                caller = Caller(due)
                waiting.append(caller)
                unexpired.append(caller)
                self._outcomes["arrived"] += 1
                due += 1 / rate
            while waiting and (waiting[0].answered or self._start(waiting[0])):
                waiting.popleft()
            while unexpired and now - unexpired[0].arrived > deadline:
                self._give_up(unexpired.popleft(), "missed")
            await self._pause()
        await self._give_up_all(unexpired)
        return behind

    async def _closed_loop(self, start: float, end: float, in_flight: int, ramp: float) -> float:
        """Run a closed loop. Callers start within `ramp` seconds, and call again after a response or a pause."""
        callers: list[Caller] = []
        ready: deque[Caller] = deque()
        resting: deque[tuple[float, Caller]] = deque()
        self._answered.clear()
        while (now := time.perf_counter()) < end:
            wanted = min(in_flight, int(in_flight * (now - start) / ramp) + 1)
            while len(callers) < wanted:
                callers.append(Caller(now))
                ready.append(callers[-1])
            while self._answered:
                caller, outcome = self._answered.popleft()
                if outcome == "ok":
                    ready.append(caller)
                else:
                    resting.append((now + REFUSAL_PAUSE, caller))
            while resting and resting[0][0] <= now:
                ready.append(resting.popleft()[1])
            while ready:
                ready[0].arrived, ready[0].answered = now, False
                if not self._start(ready[0]):
                    break
                ready.popleft()
                self._outcomes["arrived"] += 1
            await self._pause()
        await self._give_up_all(callers)
        return 0.0

    def _start(self, caller: Caller) -> bool:
        """Start a call on the next connection with a free slot; returns False if there is none."""
        for _ in self._connections:
            self._turn = (self._turn + 1) % len(self._connections)
            connection = self._connections[self._turn]
            number = connection.start(self._head, with_key(next(self._submissions)), caller)
            if number is not None:
                caller.connection, caller.number = connection, number
                return True
        return False

    def _ended(self, call: object, status: int, message: bytes) -> None:
        assert isinstance(call, Caller)
        outcome = OUTCOMES.get(status, "faults")
        if outcome == "ok" and pb.SubmitGenerationResponse.FromString(message).generation.state not in ENDED:
            outcome = "missed"
        call.answered = True
        self._outcomes[outcome] += 1
        if outcome == "ok":
            self._seconds.append(time.perf_counter() - call.arrived)
        self._answered.append((call, outcome))

    def _give_up(self, caller: Caller, outcome: str) -> None:
        if not caller.answered:
            caller.answered = True
            self._outcomes[outcome] += 1
            if caller.connection is not None:
                caller.connection.cancel(caller.number)

    async def _give_up_all(self, callers: Sequence[Caller] | deque[Caller]) -> None:
        for caller in callers:
            self._give_up(caller, "unanswered")
        await self._pause()

    async def _pause(self) -> None:
        for connection in self._connections:
            connection.flush()
        await asyncio.sleep(LOOP_PAUSE)

    def _response_time(self, share: float) -> float | None:
        """Return the quantile of the response times of successful calls, in seconds."""
        return sorted(self._seconds)[int(share * (len(self._seconds) - 1))] if self._seconds else None


def _submissions() -> list[bytes]:
    """Return submissions that wait until their generation is done, with various durations."""
    message = pb.SubmitGenerationRequest(wait_for=pb.WAIT_FOR_DONE)
    message.wait_timeout.FromSeconds(3600)
    wait: bytes = message.SerializeToString()
    median, sigma, *_ = TRACES["images"]
    source = random.Random(SEED)
    durations = (source.lognormvariate(math.log(median), sigma) for _ in range(1000))
    return [model_submission(f"{PROMPT} [slow={duration:.2f}]") + wait for duration in durations]


async def main(address: str) -> None:
    """Run plans until the end of stdin."""
    arrivals = Arrivals()
    await arrivals.connect(address)
    print(f"arrivals: on {address}", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await arrivals.run_plan(json.loads(line))), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
