"""What a behaviour has at hand: the gateway's addresses, the harness, and clients."""

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

PATIENCE = 30.0
"""Seconds for a step that is not meant to take one."""

Behaviour = Callable[["Stage"], Awaitable[None]]
BEHAVIOURS: dict[str, Behaviour] = {}
Failed = TypeVar("Failed", bound=errors.GatewayError)
Item = TypeVar("Item")


def behaviour(perform: Behaviour) -> Behaviour:
    """Register it under the function's name."""
    BEHAVIOURS[perform.__name__] = perform
    return perform


class Raised:
    """Where the error is found that was expected."""

    error: Any = None


class Environment:
    """What the harness gives a program."""

    def __init__(self) -> None:
        self.address = os.environ["HFG_ADDRESS"]
        self.api_key = os.environ["HFG_API_KEY"]
        self.other_api_key = os.environ["HFG_OTHER_API_KEY"]
        self.tls_address = os.environ["HFG_TLS_ADDRESS"]
        self.tls_ca = os.environ["HFG_TLS_CA"]
        self._control = os.environ["HFG_CONTROL"]

    def ask(self, path: str, **body: Any) -> dict[str, Any]:
        """Ask the harness for something, and wait for it."""
        return _post(f"{self._control}/{path}", body)


class Stage(Environment):
    """The environment of one run, and a client of it."""

    def __init__(self) -> None:
        super().__init__()
        self.client = self.another()

    def another(self, **options: Any) -> AsyncClient:
        """A client of its own connection."""
        return AsyncClient(**{"address": self.address, "api_key": self.api_key, **options})

    async def control(self, path: str, **body: Any) -> dict[str, Any]:
        """Ask the harness for something."""
        return await asyncio.to_thread(self.ask, path, **body)

    async def advance(self, seconds: float) -> None:
        """Let time pass at Higgsfield."""
        await self.control("advance", seconds=seconds)

    async def cut(self) -> None:
        """Reset the connections to the gateway, of which there has to be one."""
        answer = await self.control("cut")
        assert answer["connections"] > 0, "there was no connection to cut"

    async def plan(self, prompt: str, **fault: Any) -> None:
        """Have Higgsfield err about one prompt."""
        await self.control("plan", faults=[{"prompt": prompt, **fault}])

    async def charged(self, prompt: str, charges: int, submissions: int) -> None:
        """What Higgsfield charged for and was sent has to be this."""
        answer = await self.control("charges", prompt=prompt)
        assert answer == {"charges": charges, "submissions": submissions}, f"{prompt}: {answer}"

    async def submitted(self, prompt: str, submissions: int = 1) -> None:
        """Return once Higgsfield was sent it so often."""
        async with asyncio.timeout(PATIENCE):
            while (await self.control("charges", prompt=prompt))["submissions"] < submissions:
                await asyncio.sleep(0.02)

    async def queued(self, prompt: str, **options: Any) -> Submission:
        """One that Higgsfield has accepted and not begun."""
        submission = await self.client.submit(soul(prompt), **options)
        assert state_name(submission.generation) == "QUEUED", state_name(submission.generation)
        return submission

    async def running(self, prompt: str) -> Generation:
        """One that runs at Higgsfield."""
        submission = await self.queued(prompt)
        await self.advance(1.5)
        return await self.until(submission.id, "IN_PROGRESS")

    async def completed(self, prompt: str, **options: Any) -> Generation:
        """One that has ended well."""
        submission = await self.queued(prompt, **options)
        await self.advance(60)
        return await self.until(submission.id, "COMPLETED")

    async def until(self, generation_id: str, state: str) -> Generation:
        """The generation when it has come to that state."""
        async for generation in self.client.watch(generation_id, timeout=PATIENCE):
            if state_name(generation) == state:
                return generation
        raise AssertionError(f"ended without having been {state}")


async def nth(stream: AsyncIterator[Item], holds: Callable[[Item], bool], seen: list[Item]) -> Item:
    """Read on until it holds; what is read on the way is seen."""
    async with asyncio.timeout(PATIENCE):
        async for item in stream:
            seen.append(item)
            if holds(item):
                return item
    raise AssertionError("the stream ended early")


async def rest(stream: AsyncIterator[Item], seen: list[Item]) -> None:
    """Read to the end."""
    async with asyncio.timeout(PATIENCE):
        async for item in stream:
            seen.append(item)


@contextmanager
def raises(kind: type[errors.GatewayError], reason: str) -> Iterator[Raised]:
    """The block has to fail so; the error is in `error` then."""
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
    """A prompt, key or label that nobody else uses."""
    return f"{words} {uuid.uuid4()}"


def _post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """JSON there and back."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 - the harness's own address
            parsed: dict[str, Any] = json.load(answer)
            return parsed
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{url}: {error.read().decode()}") from error
