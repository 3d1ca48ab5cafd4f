"""The clients of a storm: each submits one generation until it gets a response, and watches it."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from harness.history import Recorder, generation_fields
from harness.watchers import Access, Watchers, access_to
from hfgateway.v1.generation_pb2 import Generation
from hfgateway_client import GatewayError, soul
from hfgateway_client.requests import WaitForName

LABEL = "storm"
CONNECTIONS = 2
"""Connections to each address."""
DOUBLE_SUBMIT_SHARE = 0.15
"""The share of clients that submit twice at once."""
CANCEL_SHARE = 0.1
KEY_REUSE_SHARE = 0.5
"""The share of refused clients that submit again with the same key."""
WATCH_LATER_SHARE = 0.6
"""The share of clients that wait before they watch."""
DEADLINES = (0.2, 1.0, 5.0, 30.0)
"""Deadlines of submissions, in seconds."""
HASTY_ATTEMPTS = 3
"""After this number of attempts a client waits only until the generation is stored, without a deadline."""


def prompt_of(seed: int, index: int) -> str:
    """Return the unique prompt of a client."""
    return f"picture {index} of storm {seed}"


class StormClients:
    """An async context manager; `submit_all` runs the clients until their generations have ended or it is canceled."""

    def __init__(self, recorder: Recorder, addresses: Sequence[str], seed: int) -> None:
        self._recorder = recorder
        self._addresses = addresses
        self._seed = seed
        self._calls = itertools.count(1)
        self._watchers = Watchers(recorder)
        self._accesses: list[Access] = []
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for address in [*self._addresses] * CONNECTIONS:
            self._accesses.append(await self._exit.enter_async_context(access_to(address)))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exit.aclose()

    async def submit_all(self, number: int, seconds: float) -> None:
        """Run `number` clients whose starts are spread over `seconds`; returns when all have finished."""
        async with asyncio.TaskGroup() as together:
            for index in range(number):
                together.create_task(self._client(index, seconds))

    async def watch_all(self) -> None:
        """Watch the generations of all clients over each address, until canceled."""
        labels = {LABEL: str(self._seed)}
        async with asyncio.TaskGroup() as together:
            for access in self._accesses[: len(self._addresses)]:
                together.create_task(self._watchers.client_watch_many(access, labels=labels))
                together.create_task(self._watchers.bare_watch_many(access, labels=labels))

    async def _client(self, index: int, seconds: float) -> None:
        dice = random.Random(f"customer {index} of {self._seed}")
        await asyncio.sleep(dice.uniform(0.0, seconds))
        access = dice.choice(self._accesses)
        key, prompt = f"key-{self._seed}-{index}", prompt_of(self._seed, index)
        submits = [self._submit(access, key, prompt, dice)]
        if dice.random() < DOUBLE_SUBMIT_SHARE:
            submits.append(self._submit(dice.choice(self._accesses), key, prompt, dice))
        ways = [self._watchers.client_watch, self._watchers.bare_watch]
        async with asyncio.TaskGroup() as together:
            for generation in [one for one in await asyncio.gather(*submits) if one is not None]:
                if dice.random() < CANCEL_SHARE:
                    together.create_task(self._cancel(access, generation))
                if dice.random() < WATCH_LATER_SHARE:
                    await asyncio.sleep(dice.uniform(0.0, 2.0))
                for _ in range(dice.choice((1, 1, 2))):
                    # A finished generation has no revision to resume after.
                    after = dice.choice((0, 0 if generation.done else generation.revision))
                    together.create_task(dice.choice(ways)(dice.choice(self._accesses), generation.id, after))

    async def _submit(self, access: Access, key: str, prompt: str, dice: random.Random) -> Generation | None:
        """Submit until there is a response; returns the generation, or None if the submission was refused."""
        for attempt in itertools.count():
            call = next(self._calls)
            hasty = attempt < HASTY_ATTEMPTS
            states: tuple[WaitForName, ...] = ("stored", "accepted", "done") if hasty else ("stored",)
            self._recorder.record("submit", call=call, key=key, prompt=prompt)
            try:
                submission = await access.client.submit(
                    soul(prompt),
                    idempotency_key=key,
                    labels={LABEL: str(self._seed)},
                    wait_for=dice.choice(states),
                    wait_timeout=2.0,
                    timeout=dice.choice(DEADLINES) if hasty else None,
                )
            except GatewayError as error:
                self._failed("submit failed", error, call=call, key=key)
                if error.reason == "INPUT_REFUSED" and dice.random() >= KEY_REUSE_SHARE:
                    return None
                await asyncio.sleep(dice.uniform(0.0, 0.4))
            else:
                self._recorder.record("submitted", call=call, **generation_fields(submission.generation))
                return submission.generation
        raise AssertionError("unreachable: itertools.count does not end")

    async def _cancel(self, access: Access, generation: Generation) -> None:
        call = next(self._calls)
        self._recorder.record("cancel", call=call, id=generation.id)
        try:
            canceled = await access.client.cancel(generation.id)
        except GatewayError as error:
            self._failed("cancel failed", error, call=call)
        else:
            self._recorder.record("canceled", call=call, **generation_fields(canceled))

    def _failed(self, what: str, error: GatewayError, **about: object) -> None:
        code = error.code.name if error.code else ""
        self._recorder.record(what, **about, code=code, reason=error.reason, message=error.message[:200])
