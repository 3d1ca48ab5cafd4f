"""Waits until no generation is running any more, and records the gateway's final states."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence

from harness.history import Recorder, generation_fields
from hfgateway_client import AsyncClient, state_name
from hfgateway_client.requests import StateName

CHECK_INTERVAL = 0.5
"""Seconds between two calls of ListGenerations."""
UNFINISHED: tuple[StateName, ...] = ("PENDING", "QUEUED", "IN_PROGRESS")


async def wait_until_none_in(client: AsyncClient, states: Sequence[StateName] = UNFINISHED) -> None:
    """Wait until no generation is in any of these states: by default until each has ended or is UNCERTAIN."""
    while await anext(client.list(states=states, page_size=1), None) is not None:  # noqa: ASYNC110 - waits for another process
        await asyncio.sleep(CHECK_INTERVAL)


async def wait_until_settled(client: AsyncClient, patience: float) -> None:
    """Wait until every generation has ended or is UNCERTAIN, but at most `patience` seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            await wait_until_none_in(client)


async def record_final_states(
    recorder: Recorder, client: AsyncClient, labels: Mapping[str, str], patience: float
) -> None:
    """Wait until every generation has ended or is UNCERTAIN, and record the final states of those with `labels`.

    A late repeat of a submission may bring an UNCERTAIN generation back into a running state, so it is checked again,
    for at most `patience` seconds.
    """
    until = time.monotonic() + patience
    while True:
        await wait_until_settled(client, until - time.monotonic())
        finals = [generation async for generation in client.list(labels=labels, page_size=500)]
        if time.monotonic() >= until or not any(state_name(one) in UNFINISHED for one in finals):
            break
    for generation in finals:
        recorder.record("final", **generation_fields(generation))
