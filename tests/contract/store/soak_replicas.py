"""`make soak-replicas`: generations and watches on three replicas, one of which is killed every ten seconds.

Each generation is submitted at one replica. Some are watched at another one. At the end, the recorded history is
checked: one charge each, no gap in a watch, no error of a client. Settings are environment variables: MINUTES,
GENERATIONS in flight, and WATCHERS, of single generations.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from gateway.sandbox.server import Sandbox, SandboxOptions
from harness.checker import check
from harness.final_states import record_final_states
from harness.history import Recorder, read, record_ledger
from tests.contract.store.load import WAIT_TIMEOUT, Load
from tests.support import postgres
from tests.support.addresses import free_address

MINUTES = float(os.environ.get("MINUTES", "10"))
GENERATIONS = int(os.environ.get("GENERATIONS", "100000"))
WATCHERS = int(os.environ.get("WATCHERS", "10000"))
KILL_EVERY = 10.0
"""Seconds."""
RUN_TIME = 60.0
"""Seconds of a generation at Higgsfield."""
AT_ONCE = 50
"""Submissions that wait for their response at the same time."""
REPLICAS = 3
LEADS = "hfgateway: leads the replicas"
READY = "hfgateway: gRPC on"


class Replica:
    """A gateway that is started again after each kill."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.address = free_address()
        self.led_since = 0.0
        """The time at which it took over; 0 if it does not lead."""
        self._environment = {**os.environ, **settings, "HFGATEWAY_GRPC_ADDRESS": self.address}
        self._log = folder / f"{self.address.rpartition(':')[2]}.log"
        self._process: asyncio.subprocess.Process
        self._reading: asyncio.Task[None]

    async def start(self) -> None:
        """Return when it serves."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway", "serve", env=self._environment,
                stdout=asyncio.subprocess.PIPE, stderr=log,
            )  # fmt: skip
        ready = asyncio.Event()
        self._reading = asyncio.create_task(self._read(ready))
        async with asyncio.timeout(WAIT_TIMEOUT):
            await ready.wait()

    async def kill(self) -> None:
        """Send SIGKILL, and return when it has ended."""
        self._process.kill()
        await self._process.wait()
        await self._reading
        self.led_since = 0.0

    def memory(self) -> int:
        """Return the resident bytes."""
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self._process.pid}/status").read_text())
        return int(found[1]) * 1024 if found else 0

    async def _read(self, ready: asyncio.Event) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if LEADS in line.decode():
                self.led_since = time.monotonic()
            if READY in line.decode():
                ready.set()


class Soak:
    """The clients of the replicas, and what was measured."""

    def __init__(self, recorder: Recorder, replicas: Sequence[Replica]) -> None:
        self.replicas = replicas
        first = Load(recorder, replicas[0].address)
        self.clients = [first, *(Load(recorder, replica.address, first) for replica in replicas[1:])]
        self.takeovers: list[float] = []
        self.kills = 0
        self.memory: list[float] = []
        self.in_flight = self.most_in_flight = 0
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def slot(self, number: int, until: float) -> None:
        """Keep one generation in flight."""
        client, watching = self.clients[number % REPLICAS], self.clients[(number + 1) % REPLICAS]
        for turn in itertools.count():
            async with self._turns:
                if time.monotonic() > until:
                    return
                name = await client.submit(f"{number}.{turn}")
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            if number < WATCHERS:
                await watching.watch(name)
            else:
                await asyncio.sleep(RUN_TIME)
            self.in_flight -= 1

    async def kill_some(self, until: float) -> None:
        """Kill one of the replicas again and again, and start it."""
        source, leader = random.Random(1), self.replicas[0]
        before = [replica.memory() for replica in self.replicas]
        while time.monotonic() + KILL_EVERY < until:
            await asyncio.sleep(KILL_EVERY)
            grown = [replica.memory() - then for replica, then in zip(self.replicas, before, strict=True)]
            self.memory = [one / max(self.in_flight, 1) for one in grown]
            victim, killed_at = source.choice(self.replicas), time.monotonic()
            await victim.kill()
            self.kills += 1
            if victim is leader:
                # It is started later, because it could take its own lease again.
                async with asyncio.timeout(WAIT_TIMEOUT):
                    while not (led := [one for one in self.replicas if one.led_since > killed_at]):
                        await asyncio.sleep(0.01)
                leader = led[0]
                self.takeovers.append(leader.led_since - killed_at)
            await victim.start()


async def soak(folder: Path) -> int:
    """Return the number of violations."""
    history = folder / "history.jsonl"
    options = SandboxOptions(
        port=0, queue_seconds=1.0, image_seconds=RUN_TIME, concurrency_limit=2 * GENERATIONS, credits=Decimal(10**9)
    )
    async with contextlib.AsyncExitStack() as stack:
        server = stack.enter_context(postgres.running(fsync="on"))
        database = stack.enter_context(server.database())
        sandbox = await stack.enter_async_context(Sandbox(options))
        settings = {
            "HF_KEY": "sandbox:sandbox",
            "HFGATEWAY_UPSTREAM_URL": sandbox.url,
            "HFGATEWAY_STORE_URL": server.url(database),
            "HFGATEWAY_HTTP_ADDRESS": "127.0.0.1:0",
            "HFGATEWAY_LOG_LEVEL": "warning",
            "HFGATEWAY_UPSTREAM_CONCURRENCY": str(2 * GENERATIONS),
        }
        replicas = [Replica(folder, settings) for _ in range(REPLICAS)]
        for replica in replicas:
            await replica.start()
            stack.push_async_callback(replica.kill)
        recorder = stack.enter_context(Recorder(history))
        run = Soak(recorder, replicas)
        for client in run.clients:
            await stack.enter_async_context(client.client)
        until = time.monotonic() + 60 * MINUTES
        watches = [asyncio.create_task(client.watch_all()) for client in run.clients]
        async with asyncio.TaskGroup() as together:
            together.create_task(run.kill_some(until))
            for number in range(GENERATIONS):
                together.create_task(run.slot(number, until))
        await run.clients[0].submit_last()
        await asyncio.gather(*watches)
        await record_final_states(recorder, run.clients[0].client, {}, 0.0)
        record_ledger(recorder, sandbox.state.describe(with_entries=True))
        recorder.record("over")
        charges = len(sandbox.ledger.charges)
    lines = read(history)
    violations = [str(line) for line in lines if line.what.endswith("failed")]
    violations += [str(violation) for violation in check(lines)]
    in_flight = f"at most {run.most_in_flight} of {GENERATIONS} in flight"
    print(f"{charges} generations, {in_flight}, {WATCHERS} watched; {len(lines)} lines of history")
    print(f"kills: {run.kills}; retries of clients: {sum(client.retries for client in run.clients)}")
    takeovers = ", ".join(f"{seconds:.1f}" for seconds in run.takeovers)
    median = f"; median {statistics.median(run.takeovers):.1f}" if run.takeovers else ""
    print(f"takeovers after {len(run.takeovers)} kills of the leader, s: {takeovers}{median}")
    grown = ", ".join(f"{one / 1024:.1f}" for one in run.memory)
    print(f"growth of the replicas since their start, watches and recent changes included, KB per generation: {grown}")
    print(f"violations: {len(violations)}", *violations[:20], sep="\n")
    return len(violations)


def main() -> None:
    """Run, and exit with 1 if a promise was broken."""
    with tempfile.TemporaryDirectory(prefix="hfgateway-soak-") as folder:
        sys.exit(1 if asyncio.run(soak(Path(folder))) else 0)


if __name__ == "__main__":
    main()
