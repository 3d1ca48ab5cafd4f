"""How a replica reports that its connection to the leader was lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest

from gateway.errors import GatewayError, Reason
from gateway.rpc.call import Call
from gateway.rpc.errors import Code, RpcError
from gateway.rpc.forwarding import ToLeader
from tests.support.addresses import free_address
from tests.support.running import PATIENCE

METHOD = "/hfgateway.v1.GenerationService/SubmitGeneration"


@pytest.fixture
async def leader() -> AsyncIterator[str]:
    """The address of a proxy that ends each call with the code that its request names, and no details."""

    async def end(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        await context.abort(grpc.StatusCode[request.decode()], "the stream was reset")
        raise AssertionError

    class Anything(grpc.GenericRpcHandler):  # type: ignore[misc] # gRPC has no types
        def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
            return grpc.unary_unary_rpc_method_handler(end)

    server = grpc.aio.server(handlers=[Anything()])
    address = free_address()
    server.add_insecure_port(address)
    await server.start()
    yield address
    await server.stop(None)


async def test_a_call_to_a_new_leader_ends_those_that_the_former_one_does_not_answer(leader: str) -> None:
    received = asyncio.Event()

    async def wait_for_ever(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        received.set()
        await asyncio.Event().wait()
        raise AssertionError

    former = grpc.aio.server()
    handlers = {"SubmitGeneration": grpc.unary_unary_rpc_method_handler(wait_for_ever)}
    former.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("hfgateway.v1.GenerationService", handlers),))
    peer = free_address()
    former.add_insecure_port(peer)
    await former.start()
    to_leader = ToLeader(lambda: peer, grpc.aio.insecure_channel, "secret", lambda _: None)
    try:
        async with asyncio.timeout(PATIENCE):
            waiting = asyncio.create_task(to_leader.unary(METHOD, b"", Call(METHOD, None)))
            await received.wait()
            peer = leader
            with pytest.raises(GatewayError):
                await to_leader.unary(METHOD, b"UNAVAILABLE", Call(METHOD, None))
            with pytest.raises(GatewayError) as raised:
                await waiting
        assert raised.value.failure.retryable
    finally:
        await to_leader.close()
        await former.stop(None)


@pytest.mark.parametrize("code", ["UNAVAILABLE", "CANCELLED", "INTERNAL", "UNKNOWN"])
async def test_a_call_that_was_cut_off_on_its_way_to_the_leader_can_be_repeated(leader: str, code: str) -> None:
    ended: list[str] = []
    to_leader = ToLeader(lambda: leader, grpc.aio.insecure_channel, "secret", ended.append)
    try:
        with pytest.raises(GatewayError) as raised:
            await to_leader.unary(METHOD, code.encode(), Call(METHOD, time.monotonic() + 30.0))
    finally:
        await to_leader.close()
    failure = raised.value.failure
    assert (failure.reason.name, failure.retryable) == ("GATEWAY_UNAVAILABLE", True)
    assert ended == ["UNAVAILABLE"]


async def test_a_call_is_forwarded_with_its_deadline() -> None:
    remaining: list[float | None] = []

    async def answer(_: bytes, context: grpc.aio.ServicerContext) -> bytes:
        remaining.append(context.time_remaining())
        return b""

    server = grpc.aio.server()
    handlers = {"SubmitGeneration": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("hfgateway.v1.GenerationService", handlers),))
    peer = free_address()
    server.add_insecure_port(peer)
    await server.start()
    to_leader = ToLeader(lambda: peer, grpc.aio.insecure_channel, "secret", lambda _: None)
    try:
        async with asyncio.timeout(PATIENCE):
            for deadline in (time.monotonic() + 2 * PATIENCE, None):
                await to_leader.unary(METHOD, b"", Call(METHOD, deadline))
    finally:
        await to_leader.close()
        await server.stop(None)
    limited, unlimited = remaining
    assert limited is not None
    assert PATIENCE <= limited <= 2 * PATIENCE
    assert unlimited is None or unlimited > 1e9  # gRPC's time for none


async def test_a_header_that_cannot_be_forwarded_refuses_only_a_submission(leader: str) -> None:
    to_leader = ToLeader(lambda: leader, grpc.aio.insecure_channel, "secret", lambda _: None)
    forwarded = {"x-user": "Zo\u00eb"}
    other = METHOD.replace("Submit", "Get")
    try:
        with pytest.raises(GatewayError) as raised:
            await to_leader.unary(METHOD, b"NOT_FOUND", Call(METHOD, None, forwarded=forwarded))
        assert raised.value.failure.reason is Reason.INVALID_INPUT
        with pytest.raises(RpcError) as reached:
            await to_leader.unary(other, b"NOT_FOUND", Call(other, None, forwarded=forwarded))
        assert reached.value.code is Code.NOT_FOUND
    finally:
        await to_leader.close()
