"""One storm: a sandbox full of faults, a gateway killed again and again, clients that are cut off; then calm."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from chaos.clients import LABEL, Customers, prompt_of
from chaos.random_faults import Weather
from gateway.sandbox.server import Sandbox, SandboxOptions
from harness.final_states import nothing_goes_on, write_finals
from harness.gateway_process import GATEWAY, STARTS_WITHIN, GatewayProcess
from harness.history import Recorder, note_ledger
from harness.proxy import Proxy
from harness.restarts import Lives
from hfgateway_client import AsyncClient

BETWEEN_CUTS = (0.1, 0.3)
STEP = 0.05
LONGER_AT_MOST = 5.0
COMING_AND_GOING = 120.0
"""Seconds in which a storm starts its gateway for good, reads what it says at the end, and stops it."""
CUSTOMERS_COME_FOR = 0.9
"""Of the storm's time: the last ones are to see some of it too."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, how much, and by which chance.

    `settle` bounds the calm in which UNCERTAIN ones are cleared up: the later repeats come after minutes. After that
    `linger` bounds the wait for what certainly goes on: a lost webhook is made good by a poll after a minute or two.
    """

    seconds: float
    submissions: int
    seed: int
    webhooks: bool = False
    keyless: bool = False
    """Higgsfield honours no idempotency keys, and the gateway is told so: nothing hides a POST too many."""
    settle: float = 60.0
    linger: float = 150.0
    launcher: Sequence[str] = GATEWAY

    @property
    def sandbox(self) -> SandboxOptions:
        """Quick, roomy and rich: what is to go wrong is the weather's affair."""
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
    def longest(self) -> float:
        """Seconds after which the storm is stuck: the bounds of all its parts together."""
        return STARTS_WITHIN + self.seconds * LONGER_AT_MOST + self.settle + 2 * self.linger + COMING_AND_GOING

    def settings(self, upstream: str, webhooks_to: str) -> dict[str, str]:
        """The gateway's: its own, but for the pace."""
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
    """Let a storm pass; leaves its history and, beside it, the gateway's log.

    Raises NoGatewayError, or TimeoutError if it does not come to its end.
    """
    with Recorder(history) as recorder, TemporaryDirectory(prefix="chaos-") as folder:
        options = {"seconds": plan.seconds, "webhooks": plan.webhooks, "keyless": plan.keyless}
        recorder.note("run", seed=plan.seed, submissions=plan.submissions, **options)
        async with (
            asyncio.timeout(plan.longest),
            _stage(plan, recorder, Path(folder), log=history.with_suffix(".log")) as stage,
        ):
            await stage.storm()
            await stage.calm()
        recorder.note("over")


class _Stage:
    """Everybody who takes part."""

    def __init__(
        self,
        *,
        plan: Plan,
        recorder: Recorder,
        sandbox: Sandbox,
        weather: Weather,
        gateway: GatewayProcess,
        proxies: tuple[Proxy, Proxy, Proxy],
        customers: Customers,
    ) -> None:
        self._plan = plan
        self._recorder = recorder
        self._sandbox = sandbox
        self._weather = weather
        self._lives = Lives(gateway, recorder, plan.seed, self._lead_to)
        self._steady, self._shaky, self._webhooks = proxies
        self._customers = customers
        self._dice = random.Random(f"cuts {plan.seed}")
        self._there = asyncio.Event()
        self._over = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def storm(self) -> None:
        """Customers come while all goes wrong."""
        if self._plan.webhooks:
            prompts = [prompt_of(self._plan.seed, index) for index in range(self._plan.submissions)]
            self._sandbox.state.plan.add(self._weather.webhook_faults(prompts))
        async with asyncio.TaskGroup() as together:
            together.create_task(self._lives.many(self._over))
            with contextlib.suppress(TimeoutError):  # then the calm finds that there is none, and says so
                async with asyncio.timeout(STARTS_WITHIN):
                    await self._there.wait()
            self._begin(self._customers.come(self._plan.submissions, self._plan.seconds * CUSTOMERS_COME_FOR))
            self._begin(self._customers.oversee())
            together.create_task(self._cut_again_and_again())
            await self._pass()
            self._over.set()

    async def calm(self) -> None:
        """Nothing more goes wrong: wait for the ends, and write down what everybody says then."""
        self._weather.calm = True
        self._sandbox.state.plan.clear()
        self._sandbox.state.change({"webhook_loss": 0.0})
        self._recorder.note("calm")
        await self._lives.last()
        self._begin(self._lives.keep_alive())
        present = self._tasks[0]
        await asyncio.wait({present}, timeout=self._plan.settle)
        async with AsyncClient(self._steady.address) as client:
            await nothing_goes_on(client, self._plan.linger)
            await self.part()
            await write_finals(self._recorder, client, {LABEL: str(self._plan.seed)}, self._plan.linger)
        note_ledger(self._recorder, self._sandbox.state.describe(with_entries=True))

    async def part(self) -> None:
        """Send home whoever is still there; an error of theirs is one of ours."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    def _lead_to(self, address: str, http_address: str) -> None:
        self._steady.target = self._shaky.target = address
        self._webhooks.target = http_address
        self._there.set()

    async def _pass(self) -> None:
        """A storm's time is that in which there is a gateway: a busy machine may take as long to start one again."""
        left = self._plan.seconds
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._plan.seconds * LONGER_AT_MOST):
                while left > 0:
                    await asyncio.sleep(STEP)
                    left -= STEP if self._steady.target else 0.0

    async def _cut_again_and_again(self) -> None:
        while not self._over.is_set():
            await asyncio.sleep(self._dice.uniform(*BETWEEN_CUTS))
            if connections := self._shaky.cut():
                self._recorder.note("cut", connections=connections)


@asynccontextmanager
async def _stage(plan: Plan, recorder: Recorder, folder: Path, log: Path) -> AsyncIterator[_Stage]:
    sandbox = Sandbox(plan.sandbox)
    weather = Weather(plan.seed, recorder)
    sandbox.state.random_faults = weather
    async with (
        sandbox,
        Proxy() as steady,
        Proxy() as shaky,
        Proxy() as webhooks,
        Customers(recorder, (steady.address, shaky.address), plan.seed) as customers,
    ):
        gateway = GatewayProcess(folder / "store.db", log, plan.settings(sandbox.url, webhooks.address), plan.launcher)
        stage = _Stage(
            plan=plan,
            recorder=recorder,
            sandbox=sandbox,
            weather=weather,
            gateway=gateway,
            proxies=(steady, shaky, webhooks),
            customers=customers,
        )
        try:
            yield stage
        finally:
            await stage.part()
            if gateway.started:
                await gateway.kill()
