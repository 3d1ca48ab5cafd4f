"""Deliveries made by a test: what anybody could send to a webhook's path, true or forged."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import aiohttp

from gateway.sandbox.webhooks.signing import signed_headers
from tests.support.running import Running

SECRET, OTHER_SECRET = "whsec_" + "QUJDREVGR0g" * 4, "whsec_" + "SElKS0xNTk8" * 4


@dataclass(frozen=True)
class Answer:
    """What the sender of a webhook sees of it, but for the date."""

    status: int
    text: str
    headers: dict[str, str]


def path_of(running: Running, prompt: str) -> str:
    """The webhook's URL in the first submission with this prompt, as Higgsfield got it."""
    url = next(one.webhook for one in running.ledger.submissions if one.prompt == prompt)
    assert url is not None
    return url


def request_of(running: Running, prompt: str) -> str:
    """The first request that Higgsfield made of this prompt."""
    return next(one.request_id for one in running.ledger.charges if one.prompt == prompt)


def told(request_id: str, status: str = "completed", **more: Any) -> bytes:
    """A body that says how a request has ended."""
    return json.dumps({"request_id": request_id, "status": status, **more}).encode()


def signed(body: bytes, secret: str = SECRET, name: str = "msg_1", age: float = 0.0) -> dict[str, str]:
    """The headers of a signature made so many seconds ago."""
    return signed_headers(secret, name, int(time.time() - age), body)


async def post(url: str, body: bytes, headers: dict[str, str] | None = None) -> Answer:
    """Deliver."""
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.post(url, data=body, headers=headers, allow_redirects=False) as response,
    ):
        seen = {name.lower(): value for name, value in response.headers.items() if name.lower() != "date"}
        return Answer(response.status, await response.text(), seen)
