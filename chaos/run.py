"""One storm and the calm after it.

During the storm the sandbox draws random faults, the gateway is killed again and again, and connections are cut. In the
calm there are no more faults, and every generation should end.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from chaos.clients import LABEL, StormClients, prompt_of
from chaos.random_faults import StormFaults
from gateway.sandbox.server import Sandbox, SandboxOptions
from harness.final_states import record_final_states, wait_until_settled
from harness.gateway_process import GATEWAY, START_TIMEOUT, GatewayProcess, Starter
from harness.history import Recorder, record_ledger
from harness.proxy import Proxy
from harness.restarts import RestartedGateway
from hfgateway_client import AsyncClient

BETWEEN_CUTS = (0.1, 0.3)
"""The shortest and the longest time between two cuts of connections, in seconds."""
STEP = 0.05
"""Seconds between two checks whether a gateway answers."""
MAX_STRETCH = 5.0
"""The longest time of a storm as a multiple of its duration, in which time without a running gateway does not count."""
START_AND_STOP = 120.0
"""Seconds for the last start of the gateway, the final states and its stop, as a part of the time limit."""
SUBMIT_FOR = 0.9
"""The share of a storm's time in which clients start, so that the last ones still meet faults."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The parameters of a storm.

    `seconds` is its duration. `settle` bounds the wait after it for the clients to finish: later repeats of UNCERTAIN
    submissions come after minutes. `linger` bounds the wait after that for running generations: if a webhook was lost,
    a poll finds the end after a minute or two.
    """

    seconds: float
    submissions: int
    seed: int
    webhooks: bool = False
    keyless: bool = False
    """Higgsfield ignores idempotency keys, and the gateway is configured for that. A duplicate POST is charged."""
    settle: float = 60.0
    linger: float = 150.0
    starter: Starter = GATEWAY

    @property
    def sandbox(self) -> SandboxOptions:
        """The sandbox's options: short generations, a high limit, many credits. StormFaults adds the faults."""
        return SandboxOptions(
            port=0,
            seed=self.seed,
            queue_seconds=0.1,
            image_seconds=0.4,
            concurrency_limit=200,
            credits=Decimal(10**9),
            honour_keys=not self.keyless,
            webhook_loss=0.1 if self.webhooks else 0.0,
            webhook_timeout=2.0,
        )

    @property
    def time_limit(self) -> float:
        """The time limit of the storm in seconds: the sum of the limits of its parts."""
        return START_TIMEOUT + self.seconds * MAX_STRETCH + self.settle + 2 * self.linger + START_AND_STOP

    def settings(self, upstream: str, webhooks_to: str) -> dict[str, str]:
        """Return the gateway's settings: the defaults, except for addresses and shorter times."""
        settings = {
            "HF_KEY": "sandbox:sandbox",
            "HFGATEWAY_UPSTREAM_URL": upstream,
            "HFGATEWAY_UPSTREAM_IDEMPOTENCY": "off" if self.keyless else "v2",
            "HFGATEWAY_UPSTREAM_TIMEOUT": "2",
            "HFGATEWAY_POLL_MIN": "0.1",
            "HFGATEWAY_POLL_MAX": "0.5",
        }
        return settings | {"HFGATEWAY_PUBLIC_URL": f"http://{webhooks_to}"} if self.webhooks else settings


async def run(plan: Plan, history: Path) -> None:
    """Run a storm and write its history, with the gateway's log beside it.

    Raises NoGatewayError if the gateway does not start, TimeoutError if the storm exceeds its time limit.
    """
    with Recorder(history) as recorder, TemporaryDirectory(prefix="chaos-") as folder:
        options = {"seconds": plan.seconds, "webhooks": plan.webhooks, "keyless": plan.keyless}
        recorder.record("run", seed=plan.seed, submissions=plan.submissions, **options)
        async with (
            asyncio.timeout(plan.time_limit),
            _stage(plan, recorder, Path(folder), log=history.with_suffix(".log")) as stage,
        ):
            await stage.storm()
            await stage.calm()
        recorder.record("over")


class _Stage:
    """The sandbox, the gateway, the proxies and the clients of a storm."""

    def __init__(
        self,
        *,
        plan: Plan,
        recorder: Recorder,
        sandbox: Sandbox,
        faults: StormFaults,
        gateway: GatewayProcess,
        proxies: tuple[Proxy, Proxy, Proxy],
        clients: StormClients,
    ) -> None:
        self._plan = plan
        self._recorder = recorder
        self._sandbox = sandbox
        self._faults = faults
        self._gateway = RestartedGateway(gateway, recorder, plan.seed, self._on_address)
        self._steady, self._shaky, self._webhooks = proxies
        self._clients = clients
        self._dice = random.Random(f"cuts {plan.seed}")
        self._ready = asyncio.Event()
        self._over = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def storm(self) -> None:
        """Run the clients while faults, kills and cuts happen."""
        if self._plan.webhooks:
            prompts = [prompt_of(self._plan.seed, index) for index in range(self._plan.submissions)]
            self._sandbox.state.plan.add(self._faults.webhook_faults(prompts))
        async with asyncio.TaskGroup() as together:
            together.create_task(self._gateway.restart_until(self._over))
            with contextlib.suppress(TimeoutError):  # `calm` raises if the gateway does not start
                async with asyncio.timeout(START_TIMEOUT):
                    await self._ready.wait()
            self._start_task(self._clients.submit_all(self._plan.submissions, self._plan.seconds * SUBMIT_FOR))
            self._start_task(self._clients.watch_all())
            together.create_task(self._cut_repeatedly())
            await self._wait_for_duration()
            self._over.set()

    async def calm(self) -> None:
        """Stop the faults, wait until the generations have ended, and record final states and ledger."""
        self._faults.calm = True
        self._sandbox.state.plan.clear()
        self._sandbox.state.change({"webhook_loss": 0.0})
        self._recorder.record("calm")
        await self._gateway.start_permanently()
        self._start_task(self._gateway.keep_alive())
        submitting = self._tasks[0]
        await asyncio.wait({submitting}, timeout=self._plan.settle)
        async with AsyncClient(self._steady.address) as client:
            await wait_until_settled(client, self._plan.linger)
            await self.stop_clients()
            await record_final_states(self._recorder, client, {LABEL: str(self._plan.seed)}, self._plan.linger)
        record_ledger(self._recorder, self._sandbox.state.describe(with_entries=True))

    async def stop_clients(self) -> None:
        """Cancel the clients that are still running; raises the error of one that failed."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    def _start_task(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    def _on_address(self, address: str, http_address: str) -> None:
        self._steady.target = self._shaky.target = address
        self._webhooks.target = http_address
        self._ready.set()

    async def _wait_for_duration(self) -> None:
        """Wait for the storm's duration, counting only the time in which a gateway answers.

        On a busy machine a restart can take as long as the run.
        """
        left = self._plan.seconds
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._plan.seconds * MAX_STRETCH):
                while left > 0:
                    await asyncio.sleep(STEP)
                    left -= STEP if self._steady.target else 0.0

    async def _cut_repeatedly(self) -> None:
        while not self._over.is_set():
            await asyncio.sleep(self._dice.uniform(*BETWEEN_CUTS))
            if connections := self._shaky.cut():
                self._recorder.record("cut", connections=connections)


@asynccontextmanager
async def _stage(plan: Plan, recorder: Recorder, folder: Path, log: Path) -> AsyncIterator[_Stage]:
    sandbox = Sandbox(plan.sandbox)
    faults = StormFaults(plan.seed, recorder)
    sandbox.state.random_faults = faults
    async with (
        sandbox,
        Proxy() as steady,
        Proxy() as shaky,
        Proxy() as webhooks,
        StormClients(recorder, (steady.address, shaky.address), plan.seed) as clients,
    ):
        gateway = GatewayProcess(folder / "store.db", log, plan.settings(sandbox.url, webhooks.address), plan.starter)
        stage = _Stage(
            plan=plan,
            recorder=recorder,
            sandbox=sandbox,
            faults=faults,
            gateway=gateway,
            proxies=(steady, shaky, webhooks),
            clients=clients,
        )
        try:
            yield stage
        finally:
            await stage.stop_clients()
            if gateway.started:
                await gateway.kill()
