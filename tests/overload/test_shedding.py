"""Under pressure: which calls are refused and how, over every transport, and what goes on all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import grpc
import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.rpc.overload import BANDS, KINDS, MILD, SEVERE, Kind
from gateway.serving import PUBLIC_SERVICES, admin_pointer
from hfgateway.admin.v1 import admin_service_pb2
from hfgateway.admin.v1.admin_service_pb2_grpc import AdminServiceStub
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway_client import AsyncClient
from hfgateway_client._async.timers import Timers
from tests.overload.conftest import EXTREME, Start, overload_of, press, refuse, relieve
from tests.support.running import PATIENCE, Running, eventually, name_of, public_url, soul
from tests.support.transports import SERVICE, RpcFailure, Transport, answers_of
from tests.support.webhooks import path_of, post, request_of, told

NOBODY = "00000000-0000-7000-8000-000000000000"


def requests() -> dict[str, Message]:
    """One of each RPC of the service, none of which starts, charges or waits for anything."""
    estimate = pb.EstimateGenerationRequest()
    estimate.input.soul.prompt = "a fox"
    return {
        "SubmitGeneration": pb.SubmitGenerationRequest(),
        "GetGeneration": pb.GetGenerationRequest(id=NOBODY),
        "ListGenerations": pb.ListGenerationsRequest(),
        "CancelGeneration": pb.CancelGenerationRequest(id=NOBODY),
        "WaitGeneration": pb.WaitGenerationRequest(id=NOBODY),
        "WatchGeneration": pb.WatchGenerationRequest(id=NOBODY),
        "WatchGenerations": pb.WatchGenerationsRequest(filter=pb.GenerationFilter(ids=[NOBODY])),
        "EstimateGeneration": estimate,
        "DeleteGeneration": pb.DeleteGenerationRequest(id=NOBODY),
        "ExplainGeneration": pb.ExplainGenerationRequest(id=NOBODY),
    }


def test_each_rpc_has_a_request_here() -> None:
    assert set(requests()) == set(SERVICE.methods_by_name)


async def refusals(client: Transport) -> dict[str, RpcFailure]:
    """The RPCs that are refused for overload, each with its refusal."""
    found = {}
    for method, request in requests().items():
        try:
            await answers_of(client, method, request)
        except RpcFailure as failure:
            if failure.reason == "GATEWAY_OVERLOADED":
                found[method] = failure
    return found


@pytest.mark.parametrize("last", [None, *Kind], ids=lambda kind: "nothing" if kind is None else f"up to {kind.name}")
async def test_each_stage_refuses_its_kinds_and_no_other(
    running: Running, client: Transport, last: Kind | None
) -> None:
    refuse(overload_of(running), last)
    refused = await refusals(client)
    assert set(refused) == {name for name in requests() if last is not None and KINDS[name] <= last}
    delays = set()
    for failure in refused.values():
        assert failure.code == "RESOURCE_EXHAUSTED"
        info = failure.detail(ErrorInfo)
        assert (info.domain, info.reason) == ("hfgateway", "GATEWAY_OVERLOADED")
        assert failure.failure.retryable
        delay = failure.detail(RetryInfo).retry_delay
        assert delay == failure.failure.retry_delay
        assert MILD[0] <= delay.ToMilliseconds() / 1000 < SEVERE[1]
        delays.add(delay.ToMilliseconds())
    assert len(delays) == len(refused), "each is asked to come back at another time"


async def test_a_submission_that_is_refused_leaves_nothing_and_its_key_free(
    running: Running, client: Transport
) -> None:
    press(overload_of(running), lag=EXTREME)
    with pytest.raises(RpcFailure) as raised:
        await client.call("SubmitGeneration", soul("a fox", "order-1"))
    assert raised.value.reason == "GATEWAY_OVERLOADED"
    relieve(overload_of(running))
    assert (await running.grpc.call("ListGenerations", pb.ListGenerationsRequest())).generations == []
    assert running.ledger.submissions == []
    answer = await client.call("SubmitGeneration", soul("a bear", "order-1"))
    assert not answer.replayed
    assert [charge.prompt for charge in running.ledger.charges] == ["a bear"]


async def test_half_a_share_refuses_half_of_the_calls(running: Running, client: Transport) -> None:
    press(overload_of(running), behind=sum(BANDS[Kind.SUBMIT]) / 2)
    refused = [0, 0]
    for _ in range(10):
        with pytest.raises(RpcFailure) as raised:
            await client.call("SubmitGeneration", pb.SubmitGenerationRequest())
        refused[raised.value.reason == "GATEWAY_OVERLOADED"] += 1
    assert refused == [5, 5]


async def test_refusals_are_counted_apart_from_calls(running: Running, client: Transport) -> None:
    press(overload_of(running), lag=EXTREME)
    await refusals(client)
    text = (await running.metrics()).splitlines()
    for method in requests():
        name = f"/hfgateway.v1.GenerationService/{method}"
        assert f'hfgateway_rpc_refused_total{{method="{name}"}} 1.0' in text
        assert f'hfgateway_rpc_open{{method="{name}"}} 0.0' in text
    assert not any(line.startswith("hfgateway_rpc_total{") for line in text)
    for kind in Kind:
        assert f"hfgateway_refused_share_{kind.name.lower()} 1.0" in text


async def test_grpc_refuses_before_a_request_has_come(running: Running) -> None:
    press(overload_of(running), lag=EXTREME)

    async def nothing() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    for method in requests():
        call = running.grpc.channel.stream_stream(f"/hfgateway.v1.GenerationService/{method}")(nothing())  # type: ignore[attr-defined]
        async with asyncio.timeout(PATIENCE):
            assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("kind", ["application/json", "application/proto", "application/grpc-web+proto"])
async def test_http_refuses_before_a_body_has_come(running: Running, kind: str) -> None:
    press(overload_of(running), lag=EXTREME)
    host, port = running.gateway.http_address.removeprefix("http://").rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /hfgateway.v1.GenerationService/SubmitGeneration HTTP/1.1\r\nhost: localhost\r\n"
        b"content-length: 1000\r\ncontent-type: " + kind.encode() + b"\r\n\r\n"
    )
    async with asyncio.timeout(PATIENCE):
        head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429" if "web" not in kind else b"HTTP/1.1 200")
    writer.close()


async def test_a_connection_is_of_use_again_after_a_refusal(running: Running, client: Transport) -> None:
    queued = await running.submit(soul("a fox"))
    press(overload_of(running), lag=EXTREME)
    with pytest.raises(RpcFailure):
        await client.call("SubmitGeneration", soul("a bear" * 1000))
    relieve(overload_of(running))
    assert (await client.call("GetGeneration", pb.GetGenerationRequest(id=queued.id))).generation.id == queued.id


async def test_what_is_open_lives_on(running: Running, client: Transport) -> None:
    queued = await running.submit(soul("a fox"))
    overload, seen = overload_of(running), []

    async def watch() -> None:
        async for answer in client.stream("WatchGeneration", pb.WatchGenerationRequest(id=queued.id)):
            if answer.HasField("generation"):
                seen.append(name_of(answer.generation))

    async def wait() -> str:
        request = pb.WaitGenerationRequest(id=queued.id)
        request.timeout.FromSeconds(60)
        return name_of((await client.call("WaitGeneration", request)).generation)

    watching, waiting = asyncio.create_task(watch()), asyncio.create_task(wait())
    await eventually(lambda: len(seen) > 0)
    await running.calls_open("WaitGeneration", 1)
    press(overload, lag=EXTREME)
    running.clock.advance(60)
    async with asyncio.timeout(PATIENCE):
        await watching
        assert await waiting == "COMPLETED"
    assert seen[-1] == "COMPLETED"
    assert await refusals(client)


async def test_health_checks_and_metrics_are_answered_at_any_pressure(running: Running) -> None:
    press(overload_of(running), lag=EXTREME)
    async with grpc.aio.insecure_channel(running.gateway.grpc_address) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    async with aiohttp.ClientSession() as session:
        for path in ("/healthz", "/readyz", "/metrics"):
            async with session.get(running.gateway.http_address + path) as response:
                assert response.status == 200, path


async def test_the_other_services_are_refused_alike(running: Running) -> None:
    refuse(overload_of(running), Kind.STATUS)
    for service in PUBLIC_SERVICES[1:]:
        for method in service.methods:
            call = running.grpc.channel.stream_stream(f"/{service.full_name}/{method.name}")(iter([b""]))  # type: ignore[attr-defined]
            assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, method.name


async def test_the_operator_is_served_at_any_pressure(running: Running) -> None:
    press(overload_of(running), lag=EXTREME)
    address = admin_pointer(running.store_path).read_text()
    async with grpc.aio.insecure_channel(address) as channel:
        answer = await AdminServiceStub(channel).ListApiKeys(admin_service_pb2.ListApiKeysRequest())
    assert list(answer.ListFields()) == []


async def test_a_page_that_listens_is_asked_to_come_again_and_does_not_give_up(running: Running) -> None:
    queued = await running.submit(soul("a fox"))
    refuse(overload_of(running), Kind.WATCH)
    url = f"{running.gateway.http_address}/v1/generations/{queued.id}/events"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        name, _, delay = (await response.text()).strip().partition(": ")
    assert name == "retry"
    assert MILD[0] <= int(delay) / 1000 < MILD[1]


async def test_webhooks_are_taken_in_until_status_calls_are_refused_too(start: Start) -> None:
    running = await start(POLL_MIN=30, POLL_MAX=30, **public_url())
    overload = overload_of(running)
    for name in ("a fox", "a bear"):
        await running.submit(soul(name))
    press(overload, lag=EXTREME)
    answer = await post(path_of(running, "a fox"), told(request_of(running, "a fox")))
    assert answer.status == 503
    assert 'hfgateway_rpc_refused_total{method="webhook"} 1.0' in await running.metrics()
    relieve(overload)
    refuse(overload, Kind.READ)
    assert "SubmitGeneration" in await refusals(running.grpc)
    for name in ("a fox", "a bear"):
        assert (await post(path_of(running, name), told(request_of(running, name)))).status == 200
    await running.metric_becomes("hfgateway_webhooks_duplicate", 0)


class Passing:
    """Time of a client: instead of sleeping it lets the overload pass."""

    def __init__(self, passes: Callable[[], None]) -> None:
        self._passes = passes
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if len(self.slept) == 2:
            self._passes()

    def timers(self) -> Timers:
        return Timers(sleep=self.sleep)


async def test_the_shipped_client_submits_through_a_passing_overload_and_is_charged_once(running: Running) -> None:
    overload = overload_of(running)
    press(overload, lag=EXTREME)
    passing = Passing(lambda: relieve(overload))
    async with AsyncClient(running.gateway.grpc_address, timers=passing.timers()) as client:
        submission = await client.submit(soul("a fox").input, idempotency_key="order-1")
    assert (name_of(submission.generation), submission.replayed) == ("QUEUED", False)
    assert len(passing.slept) == 2
    assert all(SEVERE[0] <= delay < SEVERE[1] for delay in passing.slept)
    assert submission.idempotency_key == "order-1"
    assert len(running.ledger.charges) == 1


async def test_the_shipped_client_watches_through_a_passing_overload(running: Running) -> None:
    queued = await running.submit(soul("a fox"))
    overload = overload_of(running)
    refuse(overload, Kind.WATCH)

    def pass_by() -> None:
        relieve(overload)
        running.clock.advance(60)

    passing = Passing(pass_by)
    async with AsyncClient(running.gateway.grpc_address, timers=passing.timers()) as client:
        seen = [name_of(generation) async for generation in client.watch(queued.id)]
    assert seen[-1] == "COMPLETED"
    assert len(passing.slept) >= 2


async def test_the_calls_under_way_are_counted_and_all_are_given_back(running: Running, client: Transport) -> None:
    gates = running.gateway._ports._chain._gates
    watched = gates["/hfgateway.v1.GenerationService/WatchGeneration"]
    queued = await running.submit(soul("a fox"))
    messages: Any = client.stream("WatchGeneration", pb.WatchGenerationRequest(id=queued.id))
    await anext(messages)
    assert watched.open == 1
    await messages.aclose()
    await eventually(lambda: watched.open == 0)
    for method, request in requests().items():
        try:
            await answers_of(client, method, request)
        except RpcFailure as failure:
            assert failure.reason in {"NOT_FOUND", "INVALID_INPUT"}, method
    await eventually(lambda: all(gate.open == 0 for gate in gates.values()))


async def test_no_more_calls_of_a_kind_are_open_than_there_is_room_for(running: Running, client: Transport) -> None:
    gate = running.gateway._ports._chain._gates["/hfgateway.v1.GenerationService/WatchGeneration"]
    gate._most = 2
    queued = await running.submit(soul("a fox"))
    watches: list[Any] = [client.stream("WatchGeneration", pb.WatchGenerationRequest(id=queued.id)) for _ in range(3)]
    for watch in watches[:2]:
        await anext(watch)
    with pytest.raises(RpcFailure) as raised:
        await anext(watches[2])
    assert raised.value.reason == "GATEWAY_OVERLOADED"
    assert raised.value.has(RetryInfo)
    await watches[0].aclose()
    await eventually(lambda: gate.open == 1)
    again: Any = client.stream("WatchGeneration", pb.WatchGenerationRequest(id=queued.id))
    assert name_of((await anext(again)).generation) in {"PENDING", "QUEUED"}
    for watch in (watches[1], again):
        await watch.aclose()
