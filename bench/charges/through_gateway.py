"""The submissions of `charges` through the gateway, with the Python client, while the gateway is killed repeatedly.

All requests and responses are recorded in a history, which the checker of storms reads.
"""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from google.protobuf.json_format import MessageToDict

from bench.charges.faults import Submission
from bench.charges.sandbox import Sandbox
from harness.final_states import UNFINISHED, record_final_states, wait_until_none_in, wait_until_settled
from harness.gateway_process import GATEWAY, START_TIMEOUT, GatewayProcess, Starter
from harness.history import Line, Recorder, generation_fields, read, record_ledger
from harness.proxy import Proxy
from harness.restarts import RestartedGateway
from hfgateway_client import AsyncClient, GatewayError, RetryPolicy, soul

AT_ONCE = 90
"""Concurrent callers; a gRPC connection carries 100 calls."""
WAIT = 1.0
"""Seconds that a caller waits for the acceptance; then it accepts a generation that is only stored."""
EAGER = RetryPolicy(max_delay=0.5)
"""With longer delays, fewer calls would be in progress when the gateway is killed."""
LABEL = "charges"
CHECK_INTERVAL = 1.0
PROCESSING_TIMEOUT = 30.0
"""Seconds in which the gateway processes a webhook that it has accepted, on any machine."""
EXPLAINED = 5
"""The number of UNCERTAIN generations whose explanation is recorded in the history."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of the gateway: what it can rely on at Higgsfield."""

    name: str
    file: str
    honours_keys: bool = False
    webhooks: bool = False


SETTINGS = (
    Setting("the gateway, keys honoured", "keys", honours_keys=True),
    Setting("the gateway, webhooks only", "webhooks", webhooks=True),
    Setting("the gateway, neither", "neither"),
)


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of a run. Times are in seconds."""

    seed: int
    patience: float
    """The timeout of a call to Higgsfield."""
    spread: float
    """The shortest time in which the callers start. The gateway is killed until the last of them has a response."""
    linger: float
    """The longest wait after the kills until no generation is running."""
    settle: float
    """The longest wait after that until no generation is UNCERTAIN that must not be."""
    lives: tuple[float, float]
    """The shortest and the longest time from a start to SIGKILL."""
    kills: int
    """The highest number of kills."""
    turns: asyncio.Semaphore
    """Limits the settings that run at once: on shared cores a gateway gets less done between two kills."""
    starter: Starter = GATEWAY


class Run:
    """The run of one setting: its callers, its gateway and its history."""

    def __init__(
        self,
        setting: Setting,
        sandbox: Sandbox,
        wanted: Sequence[Submission],
        conditions: Conditions,
        recorder: Recorder,
    ) -> None:
        self._setting = setting
        self._sandbox = sandbox
        self._wanted = wanted
        self._conditions = conditions
        self._recorder = recorder
        self._calls = itertools.count(1)
        self._prompts = {f"key-{number}": submission.prompt for number, submission in enumerate(wanted)}

    async def run(self, store: Path, log: Path) -> dict[str, Any]:
        """Run all callers, wait until the generations have ended, and record them; returns the sandbox's ledger."""
        conditions = self._conditions
        async with Proxy() as to_grpc, Proxy() as to_http:
            gateway = GatewayProcess(store, log, self._settings(to_http.address), conditions.starter)

            started, over = asyncio.Event(), asyncio.Event()

            def on_address(address: str, http_address: str) -> None:
                to_grpc.target, to_http.target = address, http_address
                started.set()

            seed = f"{conditions.seed} {self._setting.file}"
            lives = RestartedGateway(gateway, self._recorder, seed, on_address, conditions.lives)
            try:
                async with AsyncClient(to_grpc.address, retry=EAGER) as client:
                    async with conditions.turns, asyncio.TaskGroup() as together:
                        together.create_task(lives.restart_until(over, conditions.kills))
                        async with asyncio.timeout(START_TIMEOUT):
                            await started.wait()
                        await self._run_callers(client)
                        over.set()
                    self._recorder.record("calm")
                    await lives.start_permanently()
                    async with _kept_running(lives):
                        await self._wait_until_ended(client)
                        return await self._record_results(client)
            finally:
                if gateway.started:
                    await gateway.kill()

    def _settings(self, webhooks_to: str) -> dict[str, str]:
        settings = {
            "HF_KEY": "sandbox:sandbox",
            "HFGATEWAY_UPSTREAM_URL": self._sandbox.url,
            "HFGATEWAY_UPSTREAM_IDEMPOTENCY": "v2" if self._setting.honours_keys else "off",
            "HFGATEWAY_UPSTREAM_TIMEOUT": str(self._conditions.patience),
            "HFGATEWAY_POLL_MIN": "0.25",
            "HFGATEWAY_POLL_MAX": "1",
            "HFGATEWAY_LOG_LEVEL": "warning",
        }
        return settings | ({"HFGATEWAY_PUBLIC_URL": f"http://{webhooks_to}"} if self._setting.webhooks else {})

    async def _run_callers(self, client: AsyncClient) -> None:
        """Run all callers, at most AT_ONCE at a time and spread over `spread` seconds."""
        turns = iter(self._prompts.items())
        began = asyncio.get_running_loop().time()
        apart = self._conditions.spread / len(self._prompts)
        positions = itertools.count()

        async def caller() -> None:
            for key, prompt in turns:
                due = began + next(positions) * apart
                await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
                await self._submit(client, key, prompt)

        async with asyncio.TaskGroup() as together:
            for _ in range(min(AT_ONCE, len(self._prompts))):
                together.create_task(caller())

    async def _submit(self, client: AsyncClient, key: str, prompt: str) -> None:
        """Submit with one key until there is a response."""
        dice = random.Random(f"{key} of {self._conditions.seed}")
        labels = {LABEL: self._setting.file}
        while True:
            call = next(self._calls)
            self._recorder.record("submit", call=call, key=key, prompt=prompt)
            try:
                submission = await client.submit(
                    soul(prompt), idempotency_key=key, labels=labels, wait_for="accepted", wait_timeout=WAIT
                )
            except GatewayError as error:
                code = error.code.name if error.code else ""
                about = {"code": code, "reason": error.reason, "message": error.message[:200]}
                self._recorder.record("submit failed", call=call, key=key, **about)
                await asyncio.sleep(dice.uniform(0.0, 0.4))
            else:
                self._recorder.record("submitted", call=call, **generation_fields(submission.generation))
                return

    async def _wait_until_ended(self, client: AsyncClient) -> None:
        conditions = self._conditions
        await wait_until_settled(client, conditions.linger)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(conditions.settle):
                if self._setting.honours_keys:
                    await wait_until_none_in(client, (*UNFINISHED, "UNCERTAIN"))
                elif self._setting.webhooks:
                    await self._until_charges_are_known(client)

    async def _until_charges_are_known(self, client: AsyncClient) -> None:
        """Wait until no webhook is pending and no UNCERTAIN generation was charged."""
        while True:
            await wait_until_none_in(client)
            if not await self._sandbox.pending_webhooks():
                charges = (await self._sandbox.ledger())["charges"]
                if (await self._uncertain_prompts(client)).isdisjoint(charge["prompt"] for charge in charges):
                    return
            await asyncio.sleep(CHECK_INTERVAL)

    async def _processed_deliveries(self, client: AsyncClient) -> list[dict[str, Any]]:
        """Return the deliveries until now, once the gateway has processed those that it accepted.

        Later ones say nothing about the final states, which are read while Higgsfield continues to send webhooks.
        """
        ledger = await self._sandbox.ledger()
        accepted = {one["request_id"] for one in ledger["webhooks"] if one["outcome"] == "200"}
        prompts = {charge["prompt"] for charge in ledger["charges"] if charge["request_id"] in accepted}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PROCESSING_TIMEOUT):
                while not (await self._uncertain_prompts(client)).isdisjoint(prompts):  # noqa: ASYNC110 - waits for another process
                    await asyncio.sleep(CHECK_INTERVAL)
        deliveries: list[dict[str, Any]] = ledger["webhooks"]
        return deliveries

    async def _uncertain_prompts(self, client: AsyncClient) -> set[str]:
        """Return the prompts of the UNCERTAIN generations."""
        return {self._prompts[one.idempotency_key] async for one in client.list(states=("UNCERTAIN",))}

    async def _record_results(self, client: AsyncClient) -> dict[str, Any]:
        labels = {LABEL: self._setting.file}
        deliveries = await self._processed_deliveries(client)
        await record_final_states(self._recorder, client, labels, self._conditions.linger)
        left = [generation.id async for generation in client.list(labels=labels, states=("UNCERTAIN",))]
        for name in left[:EXPLAINED]:
            self._recorder.record("explained", id=name, story=MessageToDict(await client.explain(name)))
        ledger = await self._sandbox.ledger()
        record_ledger(self._recorder, ledger | {"webhooks": deliveries})
        self._recorder.record("over")
        return ledger


async def through_gateway(
    setting: Setting, sandbox: Sandbox, wanted: Sequence[Submission], conditions: Conditions, folder: Path
) -> tuple[list[Line], dict[str, Any]]:
    """Run a setting; returns its history, which is written to `folder` with the gateway's log, and the ledger."""
    history = folder / f"{conditions.seed}-{setting.file}.jsonl"
    log = history.with_suffix(".log")
    with Recorder(history) as recorder, TemporaryDirectory(prefix="charges-") as name:
        how = {"seconds": conditions.spread, "webhooks": setting.webhooks, "keyless": not setting.honours_keys}
        recorder.record("run", seed=conditions.seed, submissions=len(wanted), **how)
        log.unlink(missing_ok=True)
        ledger = await Run(setting, sandbox, wanted, conditions, recorder).run(Path(name) / "store.db", log)
    return read(history), ledger


@contextlib.asynccontextmanager
async def _kept_running(lives: RestartedGateway) -> AsyncIterator[None]:
    """Keep the gateway running and record it if it ends."""
    alive = asyncio.create_task(lives.keep_alive())
    try:
        yield
    finally:
        alive.cancel()
        await asyncio.gather(alive, return_exceptions=True)
