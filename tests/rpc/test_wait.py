"""WaitGeneration: returns the ended generation, or the current one at the timeout."""

from __future__ import annotations

import asyncio

import pytest

from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.running import Generation, Running, name_of, soul
from tests.support.transports import RpcFailure, Transport


async def wait(
    client: Transport, generation_id: str, timeout: float | None = None, *, deadline: float | None = None
) -> Generation:
    request = pb.WaitGenerationRequest(id=generation_id)
    if timeout is not None:
        request.timeout.FromMilliseconds(round(timeout * 1000))
    answer: pb.WaitGenerationResponse = await client.call("WaitGeneration", request, timeout=deadline)
    return answer.generation


@pytest.mark.parametrize(
    ("seconds", "nanos", "valid"),
    [
        (0, 0, True), (0, 999_999_999, True), (3600, 0, True), (3600, 1, False), (0, -1, False), (-1, 0, False),
        (0, 1_000_000_000, False), (1, -1, False), (2, -1_000_000_000, False), (2**63 - 1, 0, False),
    ],
)  # fmt: skip
async def test_a_timeout_is_a_valid_duration_of_at_most_an_hour(
    running: Running, seconds: int, nanos: int, valid: bool
) -> None:
    """Another one is refused before the generation is looked up."""
    request = pb.WaitGenerationRequest(id="unknown")
    request.timeout.seconds, request.timeout.nanos = seconds, nanos
    with pytest.raises(RpcFailure) as refused:
        await running.grpc.call("WaitGeneration", request)
    assert refused.value.reason == ("NOT_FOUND" if valid else "INVALID_INPUT")


async def test_a_wait_returns_at_the_end_of_the_generation(running: Running, client: Transport) -> None:
    stored = await running.submit(soul("a fox"))
    call = asyncio.create_task(wait(client, stored.id))
    running.clock.advance(60)
    ended = await call
    assert (name_of(ended), ended.done, ended.input) == ("COMPLETED", True, stored.input)


async def test_a_wait_for_an_ended_generation_returns_at_once(running: Running, grpc: Transport) -> None:
    stored = await running.submit(soul("a fox"))
    ended = await running.finish(stored.id)
    assert (await wait(grpc, stored.id, 3600)).revision == ended.revision


async def test_a_wait_timeout_is_not_an_error(running: Running, grpc: Transport) -> None:
    stored = await running.submit(soul("a fox"))
    for timeout in (0, 0.05):
        assert name_of(await wait(grpc, stored.id, timeout)) == "QUEUED"


async def test_a_wait_returns_before_its_own_deadline(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    # Reserve nearly all of the deadline for sending the response, so that a slow machine meets it.
    monkeypatch.setattr("gateway.rpc.call.MARGIN", 59.9)
    stored = await running.submit(soul("a fox"))
    calls = [wait(client, stored.id, 3600, deadline=60.0) for client in running.transports.values()]
    assert {name_of(one) for one in await asyncio.gather(*calls)} == {"QUEUED"}


async def test_many_waits_for_one_generation_cost_no_extra_polls(running: Running) -> None:
    stored = await running.submit(soul("a fox"))
    calls = [asyncio.create_task(wait(client, stored.id)) for client in running.transports.values() for _ in range(25)]
    calls[0].cancel()
    await running.start_running(stored.id)
    running.clock.advance(60)
    ended = await asyncio.gather(*calls[1:])
    assert {(one.id, name_of(one)) for one in ended} == {(stored.id, "COMPLETED")}
    assert running.ledger.peak_calls <= 2


async def test_a_drain_ends_a_wait_with_the_current_state(running: Running) -> None:
    stored = await running.submit(soul("a fox"))
    calls = [asyncio.create_task(wait(client, stored.id)) for client in running.transports.values()]
    await running.calls_open("WaitGeneration", len(calls))
    await running.stop_gateway()
    assert {name_of(one) for one in await asyncio.gather(*calls)} == {"QUEUED"}
    await running.start_gateway()
