"""A resumed watch without new changes sends an empty message at once."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from gateway.generations import watch
from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.running import PATIENCE, Running, soul
from tests.support.transports import Transport


async def test_a_resumed_watch_without_news_begins_with_an_empty_message(
    running: Running, client: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "HEARTBEAT", 1000.0)
    generation = await running.submit(soul("quiet"))
    request = pb.WatchGenerationRequest(id=generation.id, after_revision=generation.revision)
    async with asyncio.timeout(PATIENCE), aclosing(client.stream("WatchGeneration", request)) as messages:
        first = await anext(messages)
    assert not first.HasField("generation")
    assert not first.HasField("forecast")
