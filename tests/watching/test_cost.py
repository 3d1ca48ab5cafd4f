"""Watchers of a generation share its polls: a thousand cause as many as one."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.generations import clock
from gateway.generations.polling import pace
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.generation_service_pb2_grpc import GenerationServiceStub
from tests.support.running import eventually, run, soul

MANY = 1000
ON_A_CONNECTION = 90
AT_ONCE = 50
POLLS = 10


class NoChance:
    """A source of random numbers without variation: both generations are polled at the same intervals."""

    @staticmethod
    def uniform(low: float, high: float) -> float:
        return (low + high) / 2


async def test_a_thousand_watchers_cause_as_many_polls_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "random", NoChance)
    monkeypatch.setattr(clock, "random", NoChance)
    async with run(tmp_path, POLL_MIN="0.1", POLL_MAX="0.1") as running, AsyncExitStack() as stack:
        own_connection = (("grpc.use_local_subchannel_pool", 1),)
        channels = [
            await stack.enter_async_context(
                grpc.aio.insecure_channel(running.gateway.grpc_address, options=own_connection)
            )
            for _ in range(-(-(MANY + 1) // ON_A_CONNECTION))
        ]
        stubs: list[Any] = [GenerationServiceStub(channel) for channel in channels]
        by_one, by_many = [await running.submit(soul(prompt)) for prompt in ("one", "many")]

        async def watched(number: int) -> list[int]:
            name = by_many.id if number < MANY else by_one.id
            stream = stubs[number % len(stubs)].WatchGeneration(pb.WatchGenerationRequest(id=name))
            return [message.generation.revision async for message in stream if message.HasField("generation")]

        watches: list[asyncio.Task[list[int]]] = []
        for number in range(MANY + 1):
            watches.append(asyncio.create_task(watched(number)))
            # The gateway refuses a watch that would wait for seconds, so open a few at a time.
            if number % AT_ONCE == 0 or number == MANY:
                await running.calls_open("WatchGeneration", len(watches))
        asked = running.ledger.status_calls
        before = asked.copy()
        one, many = by_one.upstream.request_id, by_many.upstream.request_id
        await eventually(lambda: asked[one] - before[one] >= POLLS)
        assert abs((asked[many] - before[many]) - (asked[one] - before[one])) <= 1

        running.clock.advance(60)
        revisions = await asyncio.gather(*watches)
        assert revisions == [[1, 2, 3]] * len(watches)
        assert abs((asked[many] - before[many]) - (asked[one] - before[one])) <= 1
