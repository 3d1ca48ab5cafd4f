"""The clients of a storm: each means one generation, submits it until it is told, and watches it in some way."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from harness.history import Recorder, told
from harness.watchers import Access, Watchers, access_to
from hfgateway.v1.generation_pb2 import Generation
from hfgateway_client import GatewayError, soul
from hfgateway_client.requests import WaitForName

LABEL = "storm"
CONNECTIONS = 2
"""For each address."""
TWICE, CANCELED, AGAIN_AFTER_REFUSAL, UNHURRIED = 0.15, 0.1, 0.5, 0.6
"""Of the customers: how many submit twice at once, cancel, use a refused key again, wait before they watch."""
SHORT_OF_TIME = (0.2, 1.0, 5.0, 30.0)
"""Deadlines of submits, in seconds."""
PATIENT_AFTER = 3
"""Submits of one key, after which the next only asks for the generation as it is stored."""


def prompt_of(seed: int, index: int) -> str:
    """What a customer wants; nobody else wants the same."""
    return f"picture {index} of storm {seed}"


class Customers:
    """`async with Customers(...)`, then `come`; they leave when all they meant has ended, or when they are told to."""

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

    async def come(self, number: int, seconds: float) -> None:
        """So many customers, spread over that time; returns when the last has left."""
        async with asyncio.TaskGroup() as together:
            for index in range(number):
                together.create_task(self._customer(index, seconds))

    async def oversee(self) -> None:
        """Watch all of them over each address, for as long as it is let."""
        labels = {LABEL: str(self._seed)}
        async with asyncio.TaskGroup() as together:
            for access in self._accesses[: len(self._addresses)]:
                together.create_task(self._watchers.client_overview(access, labels=labels))
                together.create_task(self._watchers.bare_overview(access, labels=labels))

    async def _customer(self, index: int, seconds: float) -> None:
        dice = random.Random(f"customer {index} of {self._seed}")
        await asyncio.sleep(dice.uniform(0.0, seconds))
        access = dice.choice(self._accesses)
        key, prompt = f"key-{self._seed}-{index}", prompt_of(self._seed, index)
        submits = [self._submit(access, key, prompt, dice)]
        if dice.random() < TWICE:
            submits.append(self._submit(dice.choice(self._accesses), key, prompt, dice))
        ways = [self._watchers.client_watch, self._watchers.bare_watch]
        async with asyncio.TaskGroup() as together:
            for generation in [one for one in await asyncio.gather(*submits) if one is not None]:
                if dice.random() < CANCELED:
                    together.create_task(self._cancel(access, generation))
                if dice.random() < UNHURRIED:
                    await asyncio.sleep(dice.uniform(0.0, 2.0))
                for _ in range(dice.choice((1, 1, 2))):
                    # Who has seen the end has nothing to resume.
                    after = dice.choice((0, 0 if generation.done else generation.revision))
                    together.create_task(dice.choice(ways)(dice.choice(self._accesses), generation.id, after))

    async def _submit(self, access: Access, key: str, prompt: str, dice: random.Random) -> Generation | None:
        """Again and again, until it is known what stands for the key; None once it was refused."""
        for attempt in itertools.count():
            call = next(self._calls)
            wishes: tuple[WaitForName, ...] = ("stored", "accepted", "done") if attempt < PATIENT_AFTER else ("stored",)
            self._recorder.note("submit", call=call, key=key, prompt=prompt)
            try:
                submission = await access.client.submit(
                    soul(prompt),
                    idempotency_key=key,
                    labels={LABEL: str(self._seed)},
                    wait_for=dice.choice(wishes),
                    wait_timeout=2.0,
                    timeout=dice.choice(SHORT_OF_TIME) if attempt < PATIENT_AFTER else None,
                )
            except GatewayError as error:
                self._failed("submit failed", error, call=call, key=key)
                if error.reason == "INPUT_REFUSED" and dice.random() >= AGAIN_AFTER_REFUSAL:
                    return None
                await asyncio.sleep(dice.uniform(0.0, 0.4))
            else:
                self._recorder.note("submitted", call=call, **told(submission.generation))
                return submission.generation
        raise AssertionError("counts for ever")

    async def _cancel(self, access: Access, generation: Generation) -> None:
        call = next(self._calls)
        self._recorder.note("cancel", call=call, id=generation.id)
        try:
            canceled = await access.client.cancel(generation.id)
        except GatewayError as error:
            self._failed("cancel failed", error, call=call)
        else:
            self._recorder.note("canceled", call=call, **told(canceled))

    def _failed(self, what: str, error: GatewayError, **about: object) -> None:
        code = error.code.name if error.code else ""
        self._recorder.note(what, **about, code=code, reason=error.reason, message=error.message[:200])
