"""Sandboxes for the official SDKs, and unchanged SDKs that use them."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.sandbox.clock import ManualClock
from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox, SandboxOptions
from harness.sdks import installed

StartSandbox = Callable[..., Awaitable[Sandbox]]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset the variables from which both SDKs read credentials and their HTTP clients read proxies."""
    for name in list(os.environ):
        if name.startswith("HF_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def start() -> AsyncIterator[StartSandbox]:
    """Return a function that starts a sandbox.

    An image is queued for 1 s and runs for 4 s of the given clock. Without a clock, time runs 100 times as fast.
    """
    async with AsyncExitStack() as stack:

        async def start_one(clock: ManualClock | None = None, **options: Any) -> Sandbox:
            given = {
                **{"queue_seconds": 1, "image_seconds": 4, "video_seconds": 8, "agent_seconds": 4, "time_scale": 100},
                **options,
            }
            return await stack.enter_async_context(Sandbox(SandboxOptions(port=0, **given), clock))

        yield start_one


@pytest.fixture
def plan() -> Callable[..., None]:
    """Return a function that queues a fault in a sandbox, like `POST /__plan`."""

    def add(sandbox: Sandbox, **fault: Any) -> None:
        sandbox.state.plan.add([Fault.parse(fault)])

    return add


@pytest.fixture
def python_sdk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Return a function that makes a synchronous client of the Python SDK.

    It also patches BASE_URL, because calls with a request id ignore the client's base_url.
    """
    import higgsfield_client

    clients: list[Any] = []

    def make(sandbox: Sandbox, api_key: str = "sandbox:sandbox") -> Any:
        monkeypatch.setattr("higgsfield_client.http.client.BASE_URL", sandbox.url)
        clients.append(higgsfield_client.SyncClient(base_url=sandbox.url, api_key=api_key))
        return clients[-1]

    yield make
    for client in clients:
        client._client.close()
        client._upload_client.close()


@pytest.fixture(scope="session")
def js_installed() -> Path:
    return installed.javascript()


@pytest.fixture
def js_subscribe(js_installed: Path) -> Callable[..., Awaitable[Any]]:
    """Run one subscribe() of the JavaScript SDK; returns {result} or {error}."""

    async def subscribe(url: str, endpoint: str, input: dict[str, Any], **more: Any) -> Any:
        client = {
            "credentials": more.pop("credentials", "sandbox:sandbox"),
            "baseURL": url,
            "pollInterval": 10,
            "retryMaxBackoff": 1,
            **more.pop("client", {}),
        }
        asked = {"client": client, "endpoint": endpoint, "options": {"input": input, **more}}
        return await run_script(js_installed, "subscribe.mjs", asked)

    return subscribe


@pytest.fixture
def js_soul_ids(js_installed: Path) -> Callable[..., Awaitable[Any]]:
    """Create and list characters with the JavaScript SDK's v1 client; returns {made, listed} or {error}."""

    async def make_and_list(url: str, data: dict[str, Any]) -> Any:
        client = {"apiKey": "sandbox", "apiSecret": "sandbox", "baseURL": url, "pollInterval": 10}
        return await run_script(js_installed, "soul_ids.mjs", {"client": client, "data": data})

    return make_and_list


@pytest.fixture
def js_lists(js_installed: Path) -> Callable[..., Awaitable[Any]]:
    """List motions and styles with the JavaScript SDK's v1 client; returns {motions, styles} or {error}."""

    async def lists(url: str, secret: str = "sandbox") -> Any:
        client = {"apiKey": "sandbox", "apiSecret": secret, "baseURL": url, "maxRetries": 0}
        return await run_script(js_installed, "lists.mjs", {"client": client})

    return lists


@pytest.fixture
def js_generate(js_installed: Path) -> Callable[..., Awaitable[Any]]:
    """Run one generate() of the JavaScript SDK's v1 client; returns {jobSet} or {error}."""

    async def generate(url: str, endpoint: str, params: dict[str, Any], **options: Any) -> Any:
        client = {
            "apiKey": "sandbox",
            "apiSecret": "sandbox",
            "baseURL": url,
            "pollInterval": 5,
            "retryMaxBackoff": 1,
            **options.pop("client", {}),
        }
        asked = {"client": client, "endpoint": endpoint, "params": params, "options": options}
        return await run_script(js_installed, "generate.mjs", asked)

    return generate


@pytest.fixture
def js_agents(js_installed: Path) -> Callable[..., Awaitable[Any]]:
    """Run one conversation with the JavaScript SDK; returns {result} or {error} for each step."""

    async def converse(url: str, *steps: dict[str, Any]) -> Any:
        client = {"credentials": "sandbox:sandbox", "agentBaseURL": url}
        return await run_script(js_installed, "agents.mjs", {"client": client, "steps": [{"do": "create"}, *steps]})

    return converse


async def run_script(folder: Path, script: str, asked: dict[str, Any]) -> Any:
    """Run a script with Node in the folder of the installed SDK; return its output, parsed as JSON."""
    process = await asyncio.create_subprocess_exec(
        "node",
        "--require=./guard.cjs",
        script,
        json.dumps(asked),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, f"exit code {process.returncode}: {errors.decode()}{output.decode()}"
    return json.loads(output)
