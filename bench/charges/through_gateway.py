"""The same submissions through the gateway, by its shipped client, while the gateway is killed again and again.

Whatever is asked and told is written into a history, as of a storm, and the judge of storms reads it.
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
from harness.final_states import UNFINISHED, record_final_states, wait_for_none, wait_until_settled
from harness.gateway_process import GATEWAY, STARTS_WITHIN, GatewayProcess
from harness.history import Line, Recorder, generation_fields, read, record_ledger
from harness.proxy import Proxy
from harness.restarts import RestartedGateway
from hfgateway_client import AsyncClient, GatewayError, RetryPolicy, soul

AT_ONCE = 90
"""A connection of gRPC carries 100 calls."""
WAIT = 1.0
"""Seconds in which a caller would like to hear of an acceptance; after that it is content with what is stored."""
EAGER = RetryPolicy(max_delay=0.5)
"""Who waited for longer while the gateway is down would come less often just before a kill."""
LABEL = "charges"
LOOK_EVERY = 1.0
EXPLAINED = 5
"""Of those that are left UNCERTAIN: what happened to them stands in the history."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a gateway can rely on, and what is promised for that."""

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
    """How the run goes. Times in seconds."""

    seed: int
    patience: float
    """The time limit of one call to Higgsfield."""
    spread: float
    """In which the callers come, at least: the gateway is killed until the last of them is answered."""
    linger: float
    """At most, until nothing goes on any more once the kills are over."""
    settle: float
    """At most, after that, until nothing is UNCERTAIN that must not be."""
    lives: tuple[float, float]
    """From a start to kill -9, the least and the most."""
    kills: int
    """While callers come, at most."""
    turns: asyncio.Semaphore
    """How many settings have their callers at once: a gateway that shares its cores is killed more often on its way."""
    launcher: Sequence[str] = GATEWAY


class Run:
    """One setting, from the first caller to the ledger."""

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

    async def go(self, store: Path, log: Path) -> dict[str, Any]:
        """Let all of them come, wait for the ends, write them down; the sandbox's ledger."""
        conditions = self._conditions
        async with Proxy() as to_grpc, Proxy() as to_http:
            gateway = GatewayProcess(store, log, self._settings(to_http.address), conditions.launcher)

            there, over = asyncio.Event(), asyncio.Event()

            def on_address(address: str, http_address: str) -> None:
                to_grpc.target, to_http.target = address, http_address
                there.set()

            seed = f"{conditions.seed} {self._setting.file}"
            lives = RestartedGateway(gateway, self._recorder, seed, on_address, conditions.lives)
            try:
                async with AsyncClient(to_grpc.address, retry=EAGER) as client:
                    async with conditions.turns, asyncio.TaskGroup() as together:
                        together.create_task(lives.restart_until(over, conditions.kills))
                        async with asyncio.timeout(STARTS_WITHIN):
                            await there.wait()
                        await self._come(client)
                        over.set()
                    self._recorder.record("calm")
                    await lives.start_for_good()
                    async with _going_on(lives):
                        await self._end(client)
                        return await self._write_down(client)
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

    async def _come(self, client: AsyncClient) -> None:
        """All callers, so many at once, and not faster than they are to come."""
        turns = iter(self._prompts.items())
        began = asyncio.get_running_loop().time()
        apart = self._conditions.spread / len(self._prompts)
        places = itertools.count()

        async def caller() -> None:
            for key, prompt in turns:
                due = began + next(places) * apart
                await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
                await self._submit(client, key, prompt)

        async with asyncio.TaskGroup() as together:
            for _ in range(min(AT_ONCE, len(self._prompts))):
                together.create_task(caller())

    async def _submit(self, client: AsyncClient, key: str, prompt: str) -> None:
        """Ask under one key until it is answered, as a caller does whose generation matters to him."""
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

    async def _end(self, client: AsyncClient) -> None:
        conditions = self._conditions
        await wait_until_settled(client, conditions.linger)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(conditions.settle):
                if self._setting.honours_keys:
                    await wait_for_none(client, (*UNFINISHED, "UNCERTAIN"))
                elif self._setting.webhooks:
                    await self._charges_are_known(client)

    async def _charges_are_known(self, client: AsyncClient) -> None:
        """Return when every webhook was taken, and what is still UNCERTAIN was not charged."""
        while True:
            await wait_for_none(client)
            if not await self._sandbox.webhooks_to_come():
                doubts = {self._prompts[one.idempotency_key] async for one in client.list(states=("UNCERTAIN",))}
                charges = (await self._sandbox.ledger())["charges"]
                if doubts.isdisjoint(charge["prompt"] for charge in charges):
                    return
            await asyncio.sleep(LOOK_EVERY)

    async def _write_down(self, client: AsyncClient) -> dict[str, Any]:
        labels = {LABEL: self._setting.file}
        await record_final_states(self._recorder, client, labels, self._conditions.linger)
        left = [generation.id async for generation in client.list(labels=labels, states=("UNCERTAIN",))]
        for name in left[:EXPLAINED]:
            self._recorder.record("explained", id=name, story=MessageToDict(await client.explain(name)))
        ledger = await self._sandbox.ledger()
        record_ledger(self._recorder, ledger)
        self._recorder.record("over")
        return ledger


async def through_gateway(
    setting: Setting, sandbox: Sandbox, wanted: Sequence[Submission], conditions: Conditions, folder: Path
) -> tuple[list[Line], dict[str, Any]]:
    """The history, which lies in the folder beside the gateway's log, and the ledger."""
    history = folder / f"{conditions.seed}-{setting.file}.jsonl"
    log = history.with_suffix(".log")
    with Recorder(history) as recorder, TemporaryDirectory(prefix="charges-") as name:
        how = {"seconds": conditions.spread, "webhooks": setting.webhooks, "keyless": not setting.honours_keys}
        recorder.record("run", seed=conditions.seed, submissions=len(wanted), **how)
        log.unlink(missing_ok=True)
        ledger = await Run(setting, sandbox, wanted, conditions, recorder).go(Path(name) / "store.db", log)
    return read(history), ledger


@contextlib.asynccontextmanager
async def _going_on(lives: RestartedGateway) -> AsyncIterator[None]:
    """The last life: whatever ends it is written down."""
    alive = asyncio.create_task(lives.keep_alive())
    try:
        yield
    finally:
        alive.cancel()
        await asyncio.gather(alive, return_exceptions=True)
