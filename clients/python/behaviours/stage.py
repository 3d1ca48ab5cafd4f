"""The environment of the behaviours: the gateway's addresses, the harness and clients."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.error
import urllib.request
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from hfgateway_client import AsyncClient, Generation, Submission, errors, soul, state_name

TIMEOUT = 30.0
"""The timeout in seconds for a step that normally takes less than one."""

Behaviour = Callable[["Stage"], Awaitable[None]]
BEHAVIOURS: dict[str, Behaviour] = {}
Failed = TypeVar("Failed", bound=errors.GatewayError)
Item = TypeVar("Item")


def behaviour(perform: Behaviour) -> Behaviour:
    """Register it under the function's name."""
    BEHAVIOURS[perform.__name__] = perform
    return perform


class Raised:
    """The expected error, set by `raises`."""

    error: Any = None


class Environment:
    """The environment variables that the harness sets, and access to the harness."""

    def __init__(self) -> None:
        self.address = os.environ["HFG_ADDRESS"]
        self.named_address = os.environ["HFG_NAMED_ADDRESS"]
        self.api_key = os.environ["HFG_API_KEY"]
        self.other_api_key = os.environ["HFG_OTHER_API_KEY"]
        self.tls_address = os.environ["HFG_TLS_ADDRESS"]
        self.tls_ca = os.environ["HFG_TLS_CA"]
        self.harness = os.environ["HFG_CONTROL"]

    def control_sync(self, path: str, **body: Any) -> dict[str, Any]:
        """Send a request to the harness, and return its response."""
        return _post(f"{self.harness}/{path}", body)


class Stage(Environment):
    """The environment of one run, and its client."""

    def __init__(self) -> None:
        super().__init__()
        self.client = self.another()

    def another(self, **options: Any) -> AsyncClient:
        """Return another client, with its own connection."""
        return AsyncClient(**{"address": self.address, "api_key": self.api_key, **options})

    async def control(self, path: str, **body: Any) -> dict[str, Any]:
        """Send a request to the harness, and return its response."""
        return await asyncio.to_thread(self.control_sync, path, **body)

    async def advance(self, seconds: float) -> None:
        """Advance the time at Higgsfield."""
        await self.control("advance", seconds=seconds)

    async def cut(self) -> None:
        """Reset all connections to the gateway. Fails if there is none."""
        response = await self.control("cut")
        assert response["connections"] > 0, "there was no connection to cut"

    async def plan(self, prompt: str, **fault: Any) -> None:
        """Queue a fault of Higgsfield for one prompt."""
        await self.control("plan", faults=[{"prompt": prompt, **fault}])

    async def charged(self, prompt: str, charges: int, submissions: int) -> None:
        """Fail unless Higgsfield has received this many submissions of the prompt, and charged for this many."""
        response = await self.control("charges", prompt=prompt)
        assert response == {"charges": charges, "submissions": submissions}, f"{prompt}: {response}"

    async def submitted(self, prompt: str, submissions: int = 1) -> None:
        """Wait until Higgsfield has received this many submissions of the prompt."""
        async with asyncio.timeout(TIMEOUT):
            while (await self.control("charges", prompt=prompt))["submissions"] < submissions:
                await asyncio.sleep(0.02)

    async def queued(self, prompt: str, **options: Any) -> Submission:
        """Submit a generation that is QUEUED at Higgsfield."""
        submission = await self.client.submit(soul(prompt), **options)
        assert state_name(submission.generation) == "QUEUED", state_name(submission.generation)
        return submission

    async def running(self, prompt: str) -> Generation:
        """Submit a generation, and return it when it is running."""
        submission = await self.queued(prompt)
        await self.advance(1.5)
        return await self.until(submission.id, "IN_PROGRESS")

    async def completed(self, prompt: str, **options: Any) -> Generation:
        """Submit a generation, and return it when it has completed."""
        submission = await self.queued(prompt, **options)
        await self.advance(60)
        return await self.until(submission.id, "COMPLETED")

    async def until(self, generation_id: str, state: str) -> Generation:
        """Wait until a generation has reached a state, and return it."""
        async for generation in self.client.watch(generation_id, timeout=TIMEOUT):
            if state_name(generation) == state:
                return generation
        raise AssertionError(f"the generation ended and was never {state}")


async def read_until(stream: AsyncIterator[Item], matches: Callable[[Item], bool], seen: list[Item]) -> Item:
    """Read items, append them to ``seen``, and return the first one that matches."""
    async with asyncio.timeout(TIMEOUT):
        async for item in stream:
            seen.append(item)
            if matches(item):
                return item
    raise AssertionError("the stream ended early")


async def read_to_end(stream: AsyncIterator[Item], seen: list[Item]) -> None:
    """Read the items until the stream ends, and append them to ``seen``."""
    async with asyncio.timeout(TIMEOUT):
        async for item in stream:
            seen.append(item)


@contextmanager
def raises(kind: type[errors.GatewayError], reason: str) -> Iterator[Raised]:
    """Fail unless the block raises exactly this class with this reason. The error is then in ``error``."""
    raised = Raised()
    try:
        yield raised
    except errors.GatewayError as error:
        assert type(error) is kind, f"{type(error).__name__} instead of {kind.__name__}: {error}"
        assert error.reason == reason, f"{error.reason!r} instead of {reason!r}"
        raised.error = error
        return
    raise AssertionError(f"no {kind.__name__} was raised")


def unique(words: str) -> str:
    """Return a prompt, key or label that no other behaviour uses."""
    return f"{words} {uuid.uuid4()}"


def _post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """POST JSON, and return the JSON of the response."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310 - the harness's own address
            parsed: dict[str, Any] = json.load(response)
            return parsed
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{url}: {error.read().decode()}") from error
