"""The connection of the client: silently dropped ones."""

import asyncio
import inspect

import grpc

from clients.python.tests.scripted_gateway import ScriptedGateway, generation
from harness.proxy import Proxy
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway_client import AsyncClient, Client
from hfgateway_client.channel import channel_options

FOUND = pb.GetGenerationResponse(generation=generation("QUEUED", 1))


def test_a_dead_connection_is_noticed_within_half_of_the_default_timeout_by_pings_that_the_gateway_accepts() -> None:
    options = dict(channel_options())
    after, timeout = int(options["grpc.keepalive_time_ms"]), int(options["grpc.keepalive_timeout_ms"])
    assert after > 10_000
    assert after + timeout + int(options["grpc.max_reconnect_backoff_ms"]) < 1000 * default_timeout() * 3 / 4
    assert options["grpc.http2.ping_timeout_ms"] == timeout
    assert options["grpc.keepalive_permit_without_calls"] == 0


def default_timeout() -> float:
    return float(inspect.signature(Client).parameters["timeout"].default)


async def test_a_call_on_a_connection_that_was_silently_dropped_is_retried(gateway: ScriptedGateway) -> None:
    arrived = asyncio.Event()

    async def hang(_request: object) -> None:
        arrived.set()
        await asyncio.Event().wait()

    gateway.on("GetGeneration", hang)
    gateway.unscripted["GetGeneration"] = FOUND
    async with Proxy() as proxy:
        proxy.target = gateway.address
        options = channel_options(ping_after=0.3, ping_timeout=0.3)
        async with (
            grpc.aio.insecure_channel(proxy.address, options=options) as channel,
            AsyncClient(channel=channel) as client,
        ):
            call = asyncio.create_task(client.get("g1"))
            await arrived.wait()
            assert proxy.swallow() == 1
            assert (await call).id == "g1"
