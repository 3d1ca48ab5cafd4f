"""Budgets: they are never exceeded by one credit, and cost little.

The first part submits more than a budget allows, with faults at Higgsfield and `kill -9` of the gateway, and compares
the sums with the ledger of the sandbox. The second compares the rate of submissions with a budget, whose price is
cached, to that of a gateway without one.
"""

import asyncio
import random
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc.aio

from bench import beside, submit
from bench.charges.faults import submissions
from bench.charges.sandbox import Sandbox, sandbox
from bench.figures import Figure, at_least, promised, value
from bench.load import Effort
from gateway.process.private_sockets import admin_pointer
from harness.final_states import UNFINISHED, wait_until_none_in
from harness.gateway_process import START_TIMEOUT, GatewayProcess
from harness.history import Recorder
from harness.proxy import Proxy
from harness.restarts import RestartedGateway
from hfgateway.admin.v1 import admin_service_pb2 as pb
from hfgateway.admin.v1.admin_service_pb2_grpc import AdminServiceStub
from hfgateway_client import AsyncClient, GatewayError, RetryPolicy, soul

PRICE = Decimal("0.050")
"""The price of an image in the sandbox."""
AT_ONCE = 90
SETTLE = 900.0
"""Seconds in which all generations must end after the last kill."""
BOTH_LARGE = "1000000000"


async def run(effort: Effort) -> list[Figure]:
    """Check the limit, and measure the cost."""
    figures = await _at_the_limit(effort)
    async with submit.scene() as without, submit.scene() as limited:
        await _limit(limited.folder / "gateway.db", credits_per_day=BOTH_LARGE, credits_per_month=BOTH_LARGE)
        goals = {"Submit": at_least(0.85), "Get": at_least(0.85)}
        return figures + await beside.compared(("a budget", limited), ("none", without), goals, effort)


async def _at_the_limit(effort: Effort) -> list[Figure]:
    wanted = submissions(effort.submissions, effort.seed)
    budget = PRICE * (len(wanted) // 2)
    with TemporaryDirectory(prefix="budgets-") as name, Recorder(Path(name) / "history.jsonl") as recorder:
        store = Path(name) / "store.db"
        async with sandbox(wanted) as higgsfield, Proxy() as to_grpc:
            gateway = GatewayProcess(store, Path(name) / "log", _settings(higgsfield, effort))
            started, over = asyncio.Event(), asyncio.Event()

            def on_address(address: str, _: str) -> None:
                to_grpc.target = address
                started.set()

            lives = RestartedGateway(gateway, recorder, effort.seed, on_address, (1.0, 4.0))
            try:
                await lives.start_permanently()
                await _limit(store, credits_per_month=str(budget))
                await gateway.kill()
                async with AsyncClient(to_grpc.address, retry=RetryPolicy(max_delay=0.5)) as client:
                    async with asyncio.TaskGroup() as together:
                        together.create_task(lives.restart_until(over, 40 if effort.settle else 3))
                        async with asyncio.timeout(START_TIMEOUT):
                            await started.wait()
                        refused = await _submit_all(client, [one.prompt for one in wanted], effort.seed)
                        over.set()
                    await lives.start_permanently()
                    async with asyncio.timeout(SETTLE):
                        await wait_until_none_in(client, (*UNFINISHED, "UNCERTAIN"))
                        lost = [one async for one in client.list(states=("LOST",))]
                    use = await _use(store)
                    return _figures(await higgsfield.ledger(), budget, use, len(lost), refused)
            finally:
                if gateway.started:
                    await gateway.kill()


def _figures(ledger: dict[str, Any], budget: Decimal, use: pb.Use, lost: int, refused: int) -> list[Figure]:
    changes = [(one["at"], Decimal(one["credits"])) for one in ledger["charges"]]
    changes += [(one["at"], -Decimal(one["credits"])) for one in ledger["refunds"]]
    net, highest = Decimal(0), Decimal(0)
    for _, credits in sorted(changes):
        net += credits
        highest = max(highest, net)
    off = abs(Decimal(use.spent_this_month) - lost * PRICE - net)
    return [
        value("credits over the budget, at the worst moment", "credits", float(max(highest - budget, 0)), promised(0)),
        value("difference of what was spent and the ledger", "credits", float(off), promised(0)),
        value("credits still reserved at the end", "credits", float(use.reserved_this_month), promised(0)),
        value("charged requests", "requests", len(ledger["charges"])),
        value("refused calls", "calls", refused),
    ]


async def _submit_all(client: AsyncClient, prompts: list[str], seed: int) -> int:
    """Submit all prompts, each until it is accepted or refused three times by the budget. Return the refusals."""
    turns, refused = iter(enumerate(prompts)), 0

    async def caller() -> None:
        nonlocal refused
        for number, prompt in turns:
            dice, left = random.Random(f"{number} of {seed}"), 3
            while left:
                try:
                    await client.submit(soul(prompt), idempotency_key=f"key-{number}", wait_timeout=1.0)
                    break
                except GatewayError as error:
                    if error.reason == "BUDGET_EXCEEDED":
                        refused, left = refused + 1, left - 1
                    await asyncio.sleep(dice.uniform(0.0, 0.4))

    async with asyncio.TaskGroup() as together:
        for _ in range(min(AT_ONCE, len(prompts))):
            together.create_task(caller())
    return refused


def _settings(higgsfield: Sandbox, effort: Effort) -> dict[str, str]:
    return {
        "HF_KEY": "sandbox:sandbox",
        "HFGATEWAY_UPSTREAM_URL": higgsfield.url,
        "HFGATEWAY_UPSTREAM_TIMEOUT": str(effort.patience),
        "HFGATEWAY_POLL_MIN": "0.25",
        "HFGATEWAY_POLL_MAX": "1",
        "HFGATEWAY_PRICE_CACHE": "1h",
        "HFGATEWAY_LOG_LEVEL": "warning",
    }


async def _limit(store: Path, **limits: str) -> None:
    request = pb.SetLimitsRequest(tenant="default", limits=pb.Limits(**limits))  # type: ignore[arg-type]
    async with grpc.aio.insecure_channel(admin_pointer(store).read_text()) as channel:
        await AdminServiceStub(channel).SetLimits(request, timeout=30)


async def _use(store: Path) -> pb.Use:
    async with grpc.aio.insecure_channel(admin_pointer(store).read_text()) as channel:
        answer = await AdminServiceStub(channel).ListLimits(pb.ListLimitsRequest(), timeout=30)
    return answer.limits[0].use
