"""The health service, which needs no key: watches are limited and end with their connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.process import serving
from gateway.rpc.services import GENERATION_SERVICE
from gateway.rpc.transports import health
from harness.proxy import Proxy
from hfgateway.v1 import error_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.generation_service_pb2_grpc import GenerationServiceStub
from tests.hostile.conftest import Start, bad_requests
from tests.support.running import WAIT_TIMEOUT, Running, eventually

MOST = 100
Response = health_pb2.HealthCheckResponse


def watch(channel: grpc.aio.Channel, service: str = "") -> grpc.aio.UnaryStreamCall[bytes, Response]:
    return health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=service))


async def next_status(call: grpc.aio.UnaryStreamCall[bytes, Response]) -> int:
    async with asyncio.timeout(WAIT_TIMEOUT):
        return int((await call.read()).status)


async def test_health_watches_are_limited_and_end_with_their_connection(running: Running) -> None:
    address = running.gateway.grpc_address
    async with grpc.aio.insecure_channel(address) as channel, grpc.aio.insecure_channel(address) as other:
        calls = [watch(channel) for _ in range(MOST)]
        assert {await next_status(call) for call in calls} == {Response.SERVING}
        refused = watch(other)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await next_status(refused)
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        (packed,) = (
            value for name, value in raised.value.trailing_metadata() or () if name == "grpc-status-details-bin"
        )
        status, failure = status_pb2.Status.FromString(packed), error_pb2.Failure()
        assert status.details[0].Unpack(failure)
        assert failure.reason == error_pb2.ERROR_REASON_GATEWAY_OVERLOADED
        assert await bad_requests(running, "health") == 1
        check = await health_pb2_grpc.HealthStub(other).Check(health_pb2.HealthCheckRequest())
        assert check.status == Response.SERVING
        listed = await health_pb2_grpc.HealthStub(other).List(health_pb2.HealthListRequest())
        assert {each.status for each in listed.statuses.values()} == {Response.SERVING}
        assert {"", GENERATION_SERVICE.full_name} <= set(listed.statuses)
        await channel.close()
        await eventually(lambda: not running.gateway._ports._health._watches.open)
        assert await next_status(watch(other)) == Response.SERVING


async def test_a_flood_of_health_watches_drops_no_other_call(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """gRPC drops calls that arrive while too many wait in the same queue."""
    limits = dict.fromkeys(("grpc.server.max_pending_requests", "grpc.server.max_pending_requests_hard_limit"), 5)
    others = (option for option in serving.GRPC_OPTIONS if option[0] not in limits)
    monkeypatch.setattr(serving, "GRPC_OPTIONS", (*others, *limits.items()))
    running = await start()
    async with grpc.aio.insecure_channel(running.gateway.grpc_address) as channel, asyncio.timeout(WAIT_TIMEOUT):
        watches = [watch(channel).read() for _ in range(500)]
        lists = [GenerationServiceStub(channel).ListGenerations(pb.ListGenerationsRequest()) for _ in range(3)]
        watched = await asyncio.gather(*watches, return_exceptions=True)
        dropped = [one for one in watched if isinstance(one, grpc.aio.AioRpcError) and not one.trailing_metadata()]
        assert {one.code() for one in dropped} == {grpc.StatusCode.CANCELLED}
        assert [len((await one).generations) for one in lists] == [0, 0, 0]


async def test_a_health_watch_receives_every_change(running: Running) -> None:
    async with grpc.aio.insecure_channel(running.gateway.grpc_address) as channel:
        calls = [watch(channel), watch(channel, GENERATION_SERVICE.full_name)]
        assert [await next_status(call) for call in calls] == [Response.SERVING, Response.SERVING]
        unknown = watch(channel, "no.such.Service")
        assert await next_status(unknown) == Response.SERVICE_UNKNOWN
        running.gateway._ports.report_not_serving()
        assert [await next_status(call) for call in calls] == [Response.NOT_SERVING, Response.NOT_SERVING]


async def test_the_watches_of_a_client_that_is_gone_end(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"grpc.keepalive_time_ms", "grpc.keepalive_timeout_ms", "grpc.http2.ping_timeout_ms"}
    quick = [(name, value // 100 if name in times else value) for name, value in serving.GRPC_OPTIONS]
    monkeypatch.setattr(serving, "GRPC_OPTIONS", quick)
    running = await start()
    async with Proxy() as proxy:
        proxy.target = running.gateway.grpc_address
        async with grpc.aio.insecure_channel(proxy.address) as channel:
            call = watch(channel)
            assert await next_status(call) == Response.SERVING
            assert proxy.swallow() == 1
            await eventually(lambda: not running.gateway._ports._health._watches.open)
            call.cancel()


async def test_a_long_service_name_is_refused(running: Running) -> None:
    async with grpc.aio.insecure_channel(running.gateway.grpc_address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await next_status(watch(channel, "x" * 256))
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("method", ["Check", "List", "Watch"])
async def test_calls_without_a_request_are_limited(start: Start, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setattr(health, "MAX_WATCHES", 3)
    monkeypatch.setattr(health, "MAX_CHECKS", 3)
    running = await start(AUTH="keys")
    left = asyncio.Event()

    async def never() -> AsyncIterator[bytes]:
        await left.wait()
        yield b""

    async with grpc.aio.insecure_channel(running.gateway.grpc_address) as channel, asyncio.timeout(WAIT_TIMEOUT):
        opened = channel.stream_stream(f"/{health.SERVICE}/{method}")
        calls = [opened(never()) for _ in range(3)]
        limited = running.gateway._ports._health
        await eventually(lambda: limited._watches.open + limited._checks.open >= 3)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await opened(never()).read()
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await bad_requests(running, "health") == 1
        left.set()
        for call in calls:
            assert await call.read() is not grpc.aio.EOF


async def test_a_malformed_request_is_refused(running: Running) -> None:
    async with grpc.aio.insecure_channel(running.gateway.grpc_address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await channel.unary_unary(f"/{health.SERVICE}/Check")(b"\xff")
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert await bad_requests(running, "encoding") == 1
