"""A sandbox for each client: `hfgateway sandbox` as a process, with its fault plan, settings and ledger."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx

from bench import processes
from bench.charges.faults import Submission, plan

TIME_SCALE = 5
"""The time scale of the sandbox: an image takes 0.5 s, and a webhook is retried after 1, 2 and 4 s."""
SETTINGS = {
    "queue_seconds": 0.1 * TIME_SCALE,
    "image_seconds": 0.4 * TIME_SCALE,
    "concurrency_limit": 5000,
    "credits": 10**9,
    "webhook_timeout": 2.0,
}
"""The account settings: short generations, a high limit and many credits. All faults are in the plan."""
WAIT_TIMEOUT = 60.0


class Sandbox:
    """A client of the sandbox's control endpoints."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self.url = str(client.base_url).rstrip("/")

    async def ledger(self) -> dict[str, Any]:
        """Return the whole ledger."""
        answer = await self._client.get("/__ledger")
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    async def pending_webhooks(self) -> int:
        """Return the number of webhooks that are neither delivered nor given up."""
        answer = await self._client.get("/__ledger", params={"summary": 1})
        return int(answer.raise_for_status().json()["webhook_pending"])


@contextlib.asynccontextmanager
async def sandbox(wanted: Sequence[Submission], *, honours_keys: bool = True) -> AsyncIterator[Sandbox]:
    """Start a sandbox with the faults of these submissions."""
    async with (
        processes.running((*processes.SANDBOX, f"--time-scale={TIME_SCALE}")) as server,
        httpx.AsyncClient(base_url=f"http://{server.address}", trust_env=False, timeout=WAIT_TIMEOUT) as client,
    ):
        for path, content in (
            ("/__account", SETTINGS | {"honour_keys": honours_keys}),
            ("/__plan", {"faults": plan(wanted)}),
        ):
            (await client.post(path, json=content)).raise_for_status()
        yield Sandbox(client)
