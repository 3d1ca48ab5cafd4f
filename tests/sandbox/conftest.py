"""A sandbox on a real socket with a manual clock, a thin client for it, and a webhook receiver."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.sandbox.clock import ManualClock
from gateway.sandbox.server import Sandbox, SandboxOptions
from tests.support.running import eventually

SOUL = "higgsfield-ai/soul/standard"
WAIT_TIMEOUT = 60.0
"""Timeout of every wait in seconds; no test should come near it."""

RUNNING = {"queue_seconds": 1, "image_seconds": 4, "video_seconds": 12}


@dataclass
class Response:
    """One HTTP response."""

    status: int
    headers: dict[str, str]
    text: str
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def detail(self) -> Any:
        return self.json["detail"]


class Api:
    """A client of a sandbox with one set of credentials."""

    def __init__(self, sandbox: Sandbox, clock: ManualClock, session: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.clock = clock
        self.auth = {"Authorization": "Key sandbox:sandbox"}
        self._session = session

    async def call(self, method: str, path: str, **options: Any) -> Response:
        headers = {**self.auth, **options.pop("headers", {})}
        url = path if path.startswith("http") else self.sandbox.url + path
        async with self._session.request(method, url, headers=headers, **options) as response:
            content = await response.read()
            return Response(response.status, dict(response.headers), content.decode("utf-8", "replace"), content)

    async def submit(
        self, prompt: str = "a red fox", *, model: str = SOUL, key: str | None = None, query: Any = None, **more: Any
    ) -> Response:
        headers = {**more.pop("headers", {}), **({"Idempotency-Key": key} if key else {})}
        return await self.call("POST", f"/{model}", json={"prompt": prompt, **more}, headers=headers, params=query)

    async def submitted(self, prompt: str = "a red fox", **options: Any) -> str:
        answer = await self.submit(prompt, **options)
        assert answer.status == 200, answer.text
        return str(answer.json["request_id"])

    async def status(self, request_id: str) -> Response:
        return await self.call("GET", f"/requests/{request_id}/status")

    async def cancel(self, request_id: str) -> Response:
        return await self.call("POST", f"/requests/{request_id}/cancel")

    async def delete(self, request_id: str) -> Response:
        return await self.call("DELETE", f"/requests/{request_id}")

    async def plan(self, **fault: Any) -> None:
        answer = await self.call("POST", "/__plan", json={"faults": [fault]})
        assert answer.status == 200, answer.text

    async def account(self, **changes: Any) -> None:
        answer = await self.call("POST", "/__account", json=changes)
        assert answer.status == 200, answer.text

    async def ledger(self) -> Any:
        return (await self.call("GET", "/__ledger")).json

    async def submit_and_finish(self, prompt: str = "a red fox", **options: Any) -> str:
        """Submit, and advance the clock until the request has ended."""
        request_id = await self.submitted(prompt, **options)
        self.clock.advance(13)
        return request_id

    async def attempts(self, number: int) -> list[Any]:
        """Wait until there are `number` delivery attempts, and return them. Fails if there are more.

        Later attempts are made only when the test advances the clock.
        """
        attempts = self.sandbox.ledger.webhook_attempts
        await eventually(lambda: len(attempts) >= number)
        assert len(attempts) == number
        return attempts

    async def all_attempts(self) -> list[Any]:
        """Wait until no delivery is pending; return all attempts."""
        await eventually(lambda: not self.sandbox.webhook_sender.pending)
        return self.sandbox.ledger.webhook_attempts


@dataclass
class Delivered:
    """One POST as received."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def reported(self) -> tuple[str, str]:
        return self.json["request_id"], self.json["status"]


class Receiver:
    """A webhook receiver that handles each request as the next of `answers` says, and responds with 200 after those.

    An answer is a status code, `hang`, `close`, or a function that is awaited before a response with 200.
    """

    def __init__(self) -> None:
        self.received: list[Delivered] = []
        self.answers: list[int | str | Callable[[Delivered], Awaitable[None]]] = []
        self.url = ""

    @property
    def reported(self) -> list[tuple[str, str]]:
        return [one.reported for one in self.received]

    @property
    def hook(self) -> dict[str, str]:
        """The query that requests deliveries to this receiver."""
        return {"hf_webhook": f"{self.url}/hooks/secret-token?a=b"}

    async def take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        delivered = Delivered(request.path_qs, headers, await request.read())
        self.received.append(delivered)
        answer = self.answers.pop(0) if self.answers else 200
        if answer == "hang":
            await asyncio.Event().wait()
        if answer == "close":
            assert request.transport is not None
            request.transport.close()
        if callable(answer):
            await answer(delivered)
        status = answer if isinstance(answer, int) else 200
        return web.Response(status=status, headers={"Location": f"{self.url}/elsewhere"} if 300 <= status < 400 else {})


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A webhook receiver on a free port."""
    receiver = Receiver()
    application = web.Application()
    application.add_routes([web.route("*", "/{path:.*}", receiver.take)])
    runner = web.AppRunner(application, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield receiver
    await runner.cleanup()


StartApi = Callable[..., Awaitable[Api]]


@pytest.fixture
async def start() -> AsyncIterator[StartApi]:
    """Start a sandbox with the given options."""
    async with AsyncExitStack() as stack:

        async def start_one(**options: Any) -> Api:
            clock = ManualClock()
            sandbox = await stack.enter_async_context(Sandbox(SandboxOptions(port=0, **(RUNNING | options)), clock))
            session = await stack.enter_async_context(aiohttp.ClientSession())
            return Api(sandbox, clock, session)

        yield start_one


@pytest.fixture
async def api(start: StartApi) -> Api:
    """A sandbox with default options: an image is queued for 1 s and runs for 4 s."""
    return await start(credits=100, concurrency_limit=4, queue_factor=5)
