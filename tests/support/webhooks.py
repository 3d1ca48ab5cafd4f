"""Webhook deliveries made by a test, real or forged."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import aiohttp

from gateway.sandbox.webhooks.signing import signed_headers
from tests.support.running import Running, eventually

SECRET, OTHER_SECRET = "whsec_" + "QUJDREVGR0g" * 4, "whsec_" + "SElKS0xNTk8" * 4


@dataclass(frozen=True)
class Response:
    """The response to a webhook, without the Date header."""

    status: int
    text: str
    headers: dict[str, str]


def path_of(running: Running, prompt: str) -> str:
    """Return the webhook URL in the first submission with this prompt, as Higgsfield received it."""
    url = next(one.webhook for one in running.ledger.submissions if one.prompt == prompt)
    assert url is not None
    return url


def request_of(running: Running, prompt: str) -> str:
    """Return the id of the first request with this prompt."""
    return next(one.request_id for one in running.ledger.charges if one.prompt == prompt)


def webhook_body(request_id: str, status: str = "completed", **more: Any) -> bytes:
    """Return a webhook body that reports the end of a request, with an image if it is completed."""
    outputs = {"images": [{"url": "https://media.example.invalid/0.png"}]} if status == "completed" else {}
    return json.dumps({"request_id": request_id, "status": status, **outputs, **more}).encode()


def signed(body: bytes, secret: str = SECRET, name: str = "msg_1", age: float = 0.0) -> dict[str, str]:
    """Return the headers of a signature that was made `age` seconds ago."""
    return signed_headers(secret, name, int(time.time() - age), body)


async def post(url: str, body: bytes, headers: dict[str, str] | None = None) -> Response:
    """Send a delivery, and return the response."""
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.post(url, data=body, headers=headers, allow_redirects=False) as response,
    ):
        seen = {name.lower(): value for name, value in response.headers.items() if name.lower() != "date"}
        return Response(response.status, await response.text(), seen)


async def webhook_outcomes(running: Running, attempts: int) -> list[str]:
    """Return the outcomes of all webhooks that the sandbox has sent, once there are this many."""
    await eventually(lambda: len(running.ledger.webhook_attempts) >= attempts)
    return sorted(one.outcome for one in running.ledger.webhook_attempts)
