"""Requests that are made at the sandbox directly, without the gateway."""

from __future__ import annotations

from typing import Any, Protocol

import aiohttp

from gateway.sandbox.server import Sandbox

SOUL = "higgsfield-ai/soul/standard"
SOUL_V1 = "v1/text2image/soul"


class Place(Protocol):
    """What has a sandbox, such as a `Running`."""

    sandbox: Sandbox


async def request_elsewhere(place: Place, prompt: str, *, webhook: str = "", key: str = "sandbox:sandbox") -> str:
    """Make a request of the v2 API, and return its id."""
    query = {"hf_webhook": webhook} if webhook else {}
    answer = await _post(place, SOUL, {"prompt": prompt}, key, query)
    return str(answer["request_id"])


async def job_set_elsewhere(place: Place, prompt: str, batch_size: int = 4) -> str:
    """Make a job set of the v1 API, and return its id."""
    parameters = {"prompt": prompt, "width_and_height": "1536x1152", "batch_size": batch_size}
    answer = await _post(place, SOUL_V1, {"params": parameters}, "sandbox:sandbox", {})
    return str(answer["id"])


async def _post(place: Place, path: str, body: Any, key: str, query: dict[str, str]) -> Any:
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Key {key}"}) as session,
        session.post(f"{place.sandbox.url}/{path}", json=body, params=query) as response,
    ):
        assert response.status == 200, await response.text()
        return await response.json()
