"""Calls the Python SDK's subscribe() for many prompts, like `js/subscribe_many.mjs`. Run it with `python -m`."""

import asyncio
import json
import sys
from collections.abc import Iterator
from typing import Any

import httpx
from higgsfield_client import AsyncClient, HiggsfieldClientError

CALLERS_PER_CLIENT = 25
"""httpx scans its whole connection pool for each call, so one client for all would be slow: docs/performance.md."""


async def main() -> None:
    """Submit all prompts with `atOnce` concurrent callers; read from stdin as JSON."""
    options = json.load(sys.stdin)
    prompts: Iterator[str] = iter(options["prompts"])
    clients = [AsyncClient(**options["client"]) for _ in range(-(-options["atOnce"] // CALLERS_PER_CLIENT))]

    async def caller(client: AsyncClient) -> None:
        for prompt in prompts:
            outcome = await _outcome(client, options["endpoint"], prompt)
            print(json.dumps({"prompt": prompt, **outcome}), flush=True)

    await asyncio.gather(*(caller(clients[number % len(clients)]) for number in range(options["atOnce"])))


async def _outcome(client: AsyncClient, endpoint: str, prompt: str) -> dict[str, Any]:
    try:
        result = await client.subscribe(endpoint, {"prompt": prompt})
    except (HiggsfieldClientError, httpx.HTTPError, ValueError, KeyError) as error:
        return {"error": type(error).__name__}
    return {"status": result["status"], "request": result["request_id"]}


if __name__ == "__main__":
    asyncio.run(main())
