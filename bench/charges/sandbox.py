"""A Higgsfield of one's own for each client: `hfgateway sandbox` as a process, with the plan, the terms, the ledger."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx

from bench import processes
from bench.charges.faults import Submission, plan

PACE = 5
"""The sandbox's clock is so much faster: an image takes half a second, a webhook comes again after one, two, four."""
TERMS = {
    "queue_seconds": 0.1 * PACE,
    "image_seconds": 0.4 * PACE,
    "concurrency_limit": 5000,
    "credits": 10**9,
    "webhook_timeout": 2.0,
}
"""Quick, roomy and rich: what is to go wrong is in the plan."""
PATIENCE = 60.0


class Sandbox:
    """Where it is, and what it has seen."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self.url = str(client.base_url).rstrip("/")

    async def ledger(self) -> dict[str, Any]:
        """All of it."""
        answer = await self._client.get("/__ledger")
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    async def webhooks_to_come(self) -> int:
        """Deliveries that were neither taken nor given up."""
        answer = await self._client.get("/__ledger", params={"summary": 1})
        return int(answer.raise_for_status().json()["webhook_pending"])


@contextlib.asynccontextmanager
async def sandbox(wanted: Sequence[Submission], *, honours_keys: bool = True) -> AsyncIterator[Sandbox]:
    """One that has the faults of these submissions before it."""
    async with (
        processes.running((*processes.SANDBOX, f"--time-scale={PACE}")) as server,
        httpx.AsyncClient(base_url=f"http://{server.address}", trust_env=False, timeout=PATIENCE) as client,
    ):
        for path, content in (
            ("/__account", TERMS | {"honour_keys": honours_keys}),
            ("/__plan", {"faults": plan(wanted)}),
        ):
            (await client.post(path, json=content)).raise_for_status()
        yield Sandbox(client)
