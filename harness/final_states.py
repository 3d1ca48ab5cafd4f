"""What is written down when all is over: what the gateway says of each generation."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence

from harness.history import Recorder, told
from hfgateway_client import AsyncClient, state_name
from hfgateway_client.requests import StateName

LOOK_EVERY = 0.5
GOING_ON: tuple[StateName, ...] = ("PENDING", "QUEUED", "IN_PROGRESS")


async def none_is_left(client: AsyncClient, states: Sequence[StateName] = GOING_ON) -> None:
    """Return when no generation is in any of these states; those that are UNCERTAIN do not go on by themselves."""
    while await anext(client.list(states=states, page_size=1), None) is not None:  # noqa: ASYNC110 - what it waits for is another process
        await asyncio.sleep(LOOK_EVERY)


async def nothing_goes_on(client: AsyncClient, patience: float) -> None:
    """Return when every generation has ended or is UNCERTAIN, or when so many seconds are over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            await none_is_left(client)


async def write_finals(recorder: Recorder, client: AsyncClient, labels: Mapping[str, str], patience: float) -> None:
    """Write down what the gateway says, once nothing goes on: a late repeat may still settle what is UNCERTAIN."""
    until = time.monotonic() + patience
    while True:
        await nothing_goes_on(client, until - time.monotonic())
        finals = [generation async for generation in client.list(labels=labels, page_size=500)]
        if time.monotonic() >= until or not any(state_name(one) in GOING_ON for one in finals):
            break
    for generation in finals:
        recorder.note("final", **told(generation))
