"""The bytes that the gateway keeps for one caller are limited: filters of watches, and pending inputs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from gateway.generations import service
from gateway.rpc.messages.convert import MAX_FILTER_BYTES, MAX_IDS, MAX_LABELS, MAX_MODELS
from hfgateway.v1 import generation_service_pb2 as pb
from tests.overload.conftest import WAITING, Start, limits_of
from tests.support.running import Running, eventually, soul
from tests.support.transports import RpcFailure, Transport, responses_of

WRONG: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "too many models": ({"model_ids": [f"m{n}" for n in range(MAX_MODELS + 1)]}, ["filter.model_ids"], "values"),
    "too many states": ({"states": [1] * 101}, ["filter.states"], ""),
    "too many ids": ({"ids": [f"i{n}" for n in range(MAX_IDS + 1)]}, ["filter.ids"], "values"),
    "too many request ids": (
        {"upstream_request_ids": [str(UUID(int=n)) for n in range(MAX_IDS + 1)]},
        ["filter.upstream_request_ids"],
        "",  # a watch accepts none
    ),
    "too many labels": ({"labels": {f"l{n}": "" for n in range(MAX_LABELS + 1)}}, ["filter.labels"], "values"),
    "one long id": ({"ids": ["x" * MAX_FILTER_BYTES]}, ["filter"], "size"),
    "one long model": ({"model_ids": ["x" * MAX_FILTER_BYTES]}, ["filter"], "size"),
    "a long label": ({"labels": {"color": "x" * 256}}, ["filter.labels.color"], ""),
}
"""A filter, the fields of its error, and the reason under which both methods count it."""


@pytest.mark.parametrize("method", ["ListGenerations", "WatchGenerations"])
@pytest.mark.parametrize("wrong", WRONG)
async def test_the_size_of_a_filter_is_limited(running: Running, client: Transport, method: str, wrong: str) -> None:
    given, fields, counted = WRONG[wrong]
    request = {"ListGenerations": pb.ListGenerationsRequest, "WatchGenerations": pb.WatchGenerationsRequest}[method]
    with pytest.raises(RpcFailure) as refused:
        await responses_of(client, method, request(filter=pb.GenerationFilter(**given)))
    assert (refused.value.code, refused.value.reason) == ("INVALID_ARGUMENT", "INVALID_INPUT")
    assert refused.value.fields == fields
    if counted:
        assert await running.metric(f'hfgateway_bad_requests_total{{reason="{counted}"}}') == 1


async def test_a_watch_with_a_large_filter_takes_more_places(start: Start, small_limits: None, transport: str) -> None:
    running = await start()
    wanted = pb.GenerationFilter(ids=[f"{n:036}" for n in range(200)])
    assert 4096 < wanted.ByteSize() <= 2 * 4096
    client = running.transports[transport]
    watches: list[Any] = []
    for taken in (2, 4):
        await running.submit(soul(f"a fox {taken}"))
        request = pb.WatchGenerationsRequest(filter=wanted)
        request.filter.ids.append((await running.submit(soul(f"a fox {taken}"))).id)
        watches.append(client.stream("WatchGenerations", request))
        await anext(watches[-1])
        assert limits_of(running).waiting.total.held == taken
    assert WAITING.tenant - 4 < 2
    with pytest.raises(RpcFailure) as refused:
        await anext(client.stream("WatchGenerations", pb.WatchGenerationsRequest(filter=wanted)))  # type: ignore[call-overload]
    assert refused.value.reason == "GATEWAY_OVERLOADED"
    for watch in watches:
        await watch.aclose()
    await eventually(lambda: limits_of(running).waiting.total.held == 0)


async def test_the_bytes_of_pending_inputs_are_limited(
    start: Start, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MAX_WAITING_BYTES", 3_000)
    running = await start(AUTH="keys", UPSTREAM_CONCURRENCY=1)
    mine, other = running.caller(transport, await running.key("fox")), running.caller("grpc", await running.key("wolf"))

    def long(name: str) -> pb.SubmitGenerationRequest:
        return soul(name + "x" * 1_000, key=name, wait_for=pb.WAIT_FOR_STORED)

    first = (await mine.call("SubmitGeneration", long("runs"))).generation
    for name in ("waits 1", "waits 2"):
        await mine.call("SubmitGeneration", long(name.replace(" ", "-")))
    with pytest.raises(RpcFailure) as refused:
        await mine.call("SubmitGeneration", long("too-much"))
    assert (refused.value.code, refused.value.reason) == ("RESOURCE_EXHAUSTED", "GATEWAY_OVERLOADED")
    assert (await mine.call("SubmitGeneration", long("waits-1"))).replayed
    assert not (await other.call("SubmitGeneration", long("too-much"))).replayed
    await mine.call("CancelGeneration", pb.CancelGenerationRequest(id=(await by_key(mine, "waits-2")).id))
    assert not (await mine.call("SubmitGeneration", long("too-much"))).replayed
    assert first.id


async def by_key(client: Transport, key: str) -> Any:
    """Return the generation with the key."""
    request = pb.ListGenerationsRequest(filter=pb.GenerationFilter(idempotency_key=key))
    (found,) = (await client.call("ListGenerations", request)).generations
    return found
