"""`hfgateway explain` against a real gateway, as text and as JSON."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf import json_format

from gateway.cli import exit_codes
from hfgateway.v1 import generation_service_pb2 as pb
from tests.cli.conftest import Command
from tests.support.addresses import free_address
from tests.support.running import Generation, Running, eventually, run, soul

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}  (#\d+|  )\s+(gateway|submit|poll|cancel|webhook) +(.+)")


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with run(tmp_path) as running:
        yield running


@pytest.fixture
def hfgateway(running: Running) -> Command:
    return Command(running.gateway.grpc_address)


async def eventful(running: Running) -> Generation:
    """Submit a generation that is delayed, polled a few times and then canceled."""
    running.plan(on="submit", kind="429", headers={"Retry-After": "0"})
    stored = await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
    queued = await running.until(stored.id, "QUEUED")
    await eventually(lambda: running.ledger.status_calls[queued.upstream.request_id] >= 3)
    await running.grpc.call("CancelGeneration", pb.CancelGenerationRequest(id=stored.id))
    # A poll that was under way is listed when it ends.
    await eventually(lambda: not len(running.gateway._core.follower._tasks))
    return await running.get(stored.id)


async def test_explain_prints_one_line_per_change_and_call(running: Running, hfgateway: Command) -> None:
    canceled = await eventful(running)
    ended = await hfgateway("explain", canceled.id)
    assert (ended.code, ended.err) == (0, "")
    lines = [match.groups() for match in map(LINE.fullmatch, ended.out.splitlines()) if match]
    assert len(lines) == len(ended.out.splitlines())
    assert [mark for mark, _, _ in lines if mark.strip()] == [f"#{n}" for n in range(1, canceled.revision + 1)]
    events = [f"{source}: {text}" for _, source, text in lines]
    assert events[0].startswith("gateway: stored, for model higgsfield-ai/soul/standard")
    assert re.fullmatch(r"submit: POST /\S+: HTTP 429 in \d+\.\d{3} s \([0-9a-f-]{36}\)", events[1])
    assert any(re.fullmatch(r"poll: GET /\S+: HTTP 200 in \S+ s, \d+ times \(\S+\)", one) for one in events)
    assert any(one.startswith("submit: accepted by Higgsfield as request ") for one in events)
    # A poll may see the cancellation before the status call that follows it, and one under way may end after that.
    changes = [f"{source}: {text}" for mark, source, text in lines if mark.strip()]
    assert re.match("(cancel|poll): QUEUED -> CANCELED", changes[-1])
    assert "a fox" not in ended.out


async def test_explain_json_prints_the_events_of_the_gateway(running: Running, hfgateway: Command) -> None:
    canceled = await eventful(running)
    story = await running.grpc.call("ExplainGeneration", pb.ExplainGenerationRequest(id=canceled.id))
    ended = await hfgateway("explain", canceled.id, "--json")
    assert (ended.code, ended.err) == (0, "")
    events = [json_format.Parse(line, pb.GenerationEvent()) for line in ended.out.splitlines()]
    assert events == list(story.events)


async def test_explain_reports_an_unknown_generation_in_one_line(hfgateway: Command) -> None:
    ended = await hfgateway("explain", "unknown")
    assert (ended.code, ended.out) == (exit_codes.REFUSED, "")
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1


async def test_explain_reports_an_unreachable_gateway() -> None:
    ended = await Command(free_address())("explain", "unknown")
    assert (ended.code, ended.out) == (exit_codes.GATEWAY_UNAVAILABLE, "")
    assert "Traceback" not in ended.err
