"""A gateway process with cut connections and restarts, and watchers whose complete history is checked at the end."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from gateway.sandbox.clock import ManualClock
from gateway.sandbox.faults import Fault, RandomFaults
from gateway.sandbox.server import Sandbox, SandboxOptions
from harness.checker import check
from harness.final_states import UNFINISHED, record_final_states
from harness.gateway_process import GatewayProcess
from harness.history import Line, Recorder, generation_fields, read, record_ledger
from harness.proxy import Proxy
from harness.watchers import Access, Watchers, access_to
from hfgateway.v1.generation_pb2 import Generation
from hfgateway_client import AsyncClient, soul
from hfgateway_client.requests import StateName
from hfgateway_client.retry import RetryPolicy
from tests.support import forked
from tests.support.running import WAIT_TIMEOUT, eventually

LABELS = {"run": "watching"}
MARKER = "the-last-one"
POLL_INTERVAL = "0.05"
"""Seconds between polls, and so between changes of every generation."""
MANY = 1000
RUNNING_AFTER, ENDED_AFTER = 3.0, 600.0
"""Seconds on the sandbox's clock."""
PATIENT = RetryPolicy(first_delay=0.1, max_delay=0.5, resume_watches_for=WAIT_TIMEOUT)


class ConstantChanges(RandomFaults):
    """Every status response is a change until `over`; then responses are unmodified."""

    def __init__(self, *, over: bool) -> None:
        super().__init__({}, 0)
        self.over = over
        self._numbers = itertools.count(1)

    def fault(self, operation: str) -> Fault | None:
        if self.over or operation != "status":
            return None
        return Fault(on="status", processed=True, patch={"status": f"step {next(self._numbers)}"})


class Stage:
    """The parts of a test. Watches go through `proxy`; other calls go directly to the gateway."""

    def __init__(
        self,
        *,
        sandbox: Sandbox,
        clock: ManualClock,
        changing: ConstantChanges,
        gateway: GatewayProcess,
        proxy: Proxy,
        recorder: Recorder,
        stack: AsyncExitStack,
    ) -> None:
        self.watchers = Watchers(recorder, pause=0.05)
        self.gateway = gateway
        self.proxy = proxy
        self._sandbox = sandbox
        self._clock = clock
        self._changing = changing
        self._recorder = recorder
        self._stack = stack
        self._calls = itertools.count(1)
        self._watches: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start the gateway, and direct the proxy to it."""
        self._recorder.record("start", failpoint="")
        assert await self.gateway.start(), "the gateway did not start; see its log"
        self._recorder.record("started", pid=self.gateway.pid)
        self.proxy.target = self.gateway.address

    async def end(self, how: str) -> None:
        """End the gateway with "kill", or gracefully with "stop"."""
        self._recorder.record(how, pid=self.gateway.pid)
        self._recorder.record("ended", exit=await getattr(self.gateway, how)())

    async def access(self) -> Access:
        """Open a channel through the proxy, closed with the stage."""
        return await self._stack.enter_async_context(access_to(self.proxy.address, PATIENT))

    async def submit(self, number: int, prompt: str = "picture") -> list[Generation]:
        """Submit `number` generations and return them."""
        async with AsyncClient(self.gateway.address) as client:
            submissions = ((f"key-{index}", f"{prompt} {index}") for index in range(number))
            return await asyncio.gather(*(self._submit(client, key, text) for key, text in submissions))

    def watch(self, *watches: Coroutine[Any, Any, None]) -> list[asyncio.Task[None]]:
        """Start the watches, which run until they have received everything."""
        tasks = [asyncio.create_task(watch) for watch in watches]
        self._watches += tasks
        return tasks

    async def more_is_received(self, number: int) -> None:
        """Return when the watchers together have received `number` more generations.

        Raises TimeoutError if they receive none for a long time.
        """
        enough = self.watchers.received + number
        while (received := self.watchers.received) < enough:
            await eventually(lambda received=received: self.watchers.received > received)  # type: ignore[misc]

    def cut(self) -> int:
        """Cut all connections of the watchers; return their number."""
        connections = self.proxy.cut()
        self._recorder.record("cut", connections=connections)
        return connections

    async def all_end(self) -> None:
        """End every generation, then one more, which tells watchers of many that nothing follows."""
        self._changing.over = True
        await self._pass(RUNNING_AFTER, ("PENDING", "QUEUED"))
        await self._pass(ENDED_AFTER, UNFINISHED)
        async with AsyncClient(self.gateway.address) as client:
            await self._submit(client, MARKER, MARKER)
        await self._pass(ENDED_AFTER, UNFINISHED)

    async def finish(self) -> None:
        """Wait for all watches and record the final states. Fails if a watch has not received everything."""
        _, hanging = await asyncio.wait(self._watches, timeout=WAIT_TIMEOUT)
        await self.leave()
        assert not hanging, f"{len(hanging)} watches did not receive everything"
        async with AsyncClient(self.gateway.address) as client:
            await record_final_states(self._recorder, client, LABELS, WAIT_TIMEOUT)
        record_ledger(self._recorder, self._sandbox.state.describe(with_entries=True))
        self._recorder.record("over")

    def memory(self) -> int:
        """Return the gateway's resident memory in bytes."""
        status = Path(f"/proc/{self.gateway.pid}/status").read_text()
        (kilobytes,) = re.findall(r"VmRSS:\s+(\d+) kB", status)
        return int(kilobytes) * 1024

    async def leave(self) -> None:
        """Cancel the watches, and raise their errors."""
        watches, self._watches = self._watches, []
        for watch in watches:
            watch.cancel()
        for outcome in await asyncio.gather(*watches, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    async def _pass(self, seconds: float, states: tuple[StateName, ...]) -> None:
        """Advance the sandbox's clock; return when no generation is in one of these states."""
        self._clock.advance(seconds)
        async with AsyncClient(self.gateway.address) as client, asyncio.timeout(WAIT_TIMEOUT):
            while await anext(client.list(states=states, page_size=1), None) is not None:
                await asyncio.sleep(0.02)

    async def _submit(self, client: AsyncClient, key: str, prompt: str) -> Generation:
        call = next(self._calls)
        self._recorder.record("submit", call=call, key=key, prompt=prompt)
        submission = await client.submit(soul(prompt), idempotency_key=key, labels=LABELS)
        self._recorder.record("submitted", call=call, **generation_fields(submission.generation))
        return submission.generation


def is_marker(generation: Generation) -> bool:
    """Return true for the generation that was submitted after all others had ended, once it has ended too."""
    return generation.idempotency_key == MARKER and generation.done


@asynccontextmanager
async def stage(history: Path, *, changing: bool = True) -> AsyncIterator[Stage]:
    """Start a gateway and a sandbox with a stopped clock. With `changing`, every generation changes all the time."""
    clock = ManualClock()
    options = SandboxOptions(port=0, concurrency_limit=MANY, credits=Decimal(10**9))
    sandbox = Sandbox(options, clock)
    async with AsyncExitStack() as stack:
        recorder = stack.enter_context(Recorder(history))
        await stack.enter_async_context(sandbox)
        proxy = await stack.enter_async_context(Proxy())
        settings = {
            "HF_KEY": "sandbox:sandbox",
            "HFGATEWAY_UPSTREAM_URL": sandbox.url,
            "HFGATEWAY_UPSTREAM_CONCURRENCY": str(MANY),
            "HFGATEWAY_POLL_MIN": POLL_INTERVAL,
            "HFGATEWAY_POLL_MAX": POLL_INTERVAL,
        }
        gateway = GatewayProcess(history.with_name("store.db"), history.with_name("log"), settings, forked.serve)
        sandbox.state.random_faults = changes = ConstantChanges(over=not changing)
        built = Stage(
            sandbox=sandbox, clock=clock, changing=changes, gateway=gateway, proxy=proxy, recorder=recorder, stack=stack
        )
        stack.push_async_callback(gateway.kill)
        await built.start()
        stack.push_async_callback(built.leave)
        yield built


def found_in(history: Path) -> list[str]:
    """Return the violations that the checker finds."""
    return [str(violation) for violation in check(read(history))]


def changes_received(history: Path) -> Iterator[Line]:
    """Return the lines in which watchers received a change."""
    return (line for line in read(history) if line.what in ("saw", "news"))
