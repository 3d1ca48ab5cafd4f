"""How a replica reports that its connection to the leader was lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from gateway import tracing
from gateway.access.identity import ANONYMOUS
from gateway.errors import GatewayError, Reason
from gateway.process import serving
from gateway.rpc.call import Call
from gateway.rpc.errors import Code, RpcError
from gateway.rpc.handlers.generations import GenerationReads
from gateway.rpc.limits.call_limits import CallLimits, WebhookLimit
from gateway.rpc.services import UPLOAD_SERVICE
from gateway.rpc.transports.forwarding import WEBHOOK_TIMEOUT, Replicated, ToLeader
from gateway.rpc.transports.over_grpc import STATUS_DETAILS, method_name
from gateway.web.webhook import forwarding_route, webhook_receiver
from harness.proxy import Proxy
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.upload_service_pb2 import UploadMediaRequest
from tests.support.addresses import free_address
from tests.support.running import WAIT_TIMEOUT
from tests.support.silence import fall_silent_to, needs_silence

METHOD = "/hfgateway.v1.GenerationService/SubmitGeneration"


Serve = Callable[[Any, grpc.aio.ServicerContext], Awaitable[bytes]]
"""Takes the bytes of the request, or with `streaming` an iterator of those of all requests."""


@asynccontextmanager
async def leading(serve: Serve, *, streaming: bool = False) -> AsyncIterator[str]:
    """Serve every call with a function, and yield the address."""
    handler = grpc.stream_unary_rpc_method_handler if streaming else grpc.unary_unary_rpc_method_handler

    class Anything(grpc.GenericRpcHandler):  # type: ignore[misc] # gRPC has no types
        def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
            return handler(serve)

    server = grpc.aio.server(handlers=[Anything()])
    address = free_address()
    server.add_insecure_port(address)
    await server.start()
    try:
        yield address
    finally:
        await server.stop(None)


@asynccontextmanager
async def forwarding_to(
    serve: Serve, ended: Callable[[str], None] = lambda _: None, *, streaming: bool = False
) -> AsyncIterator[ToLeader]:
    """Yield the connection to a leader that serves every call with a function."""
    async with leading(serve, streaming=streaming) as peer, asyncio.timeout(WAIT_TIMEOUT):
        to_leader = ToLeader(lambda: peer, grpc.aio.insecure_channel, "secret", ended)
        try:
            yield to_leader
        finally:
            await to_leader.close()


@pytest.fixture
async def leader() -> AsyncIterator[str]:
    """The address of a proxy that ends each call with the code that its request names, and no details."""

    async def end(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        await context.abort(grpc.StatusCode[request.decode()], "the stream was reset")
        raise AssertionError

    async with leading(end) as address:
        yield address


@pytest.mark.parametrize("by", ["call", "check"])
async def test_a_new_leader_ends_the_calls_that_the_former_one_does_not_answer(leader: str, by: str) -> None:
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
    certificates: list[object] = [None]
    to_leader = ToLeader(lambda: peer, grpc.aio.insecure_channel, "secret", lambda _: None, lambda: certificates[-1])
    try:
        async with asyncio.timeout(WAIT_TIMEOUT):
            waiting = asyncio.create_task(to_leader.unary(METHOD, b"", Call(METHOD, None)))
            await received.wait()
            certificates.append("renewed")
            await to_leader.check_leader()  # the connection is open
            assert not waiting.done()
            peer = leader
            if by == "check":
                await to_leader.check_leader()
            else:
                with pytest.raises(GatewayError):
                    await to_leader.unary(METHOD, b"UNAVAILABLE", Call(METHOD, None))
            with pytest.raises(GatewayError) as raised:
                await waiting
        assert raised.value.failure.retryable
    finally:
        await to_leader.close()
        await former.stop(None)


@pytest.mark.parametrize("code", ["UNAVAILABLE", "CANCELLED", "INTERNAL", "UNKNOWN"])
async def test_a_call_that_was_cut_off_on_its_way_to_the_leader_can_be_repeated(
    leader: str, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[str] = []
    to_leader = ToLeader(lambda: leader, grpc.aio.insecure_channel, "secret", ended.append)
    try:
        with pytest.raises(GatewayError) as raised:
            await to_leader.unary(METHOD, code.encode(), Call(METHOD, time.monotonic() + 30.0))
    finally:
        await to_leader.close()
    failure = raised.value.failure
    assert (failure.reason.name, failure.retryable) == ("GATEWAY_UNAVAILABLE", True)
    assert "a change may have been made" in failure.message  # such as an API key, which a repeated call makes again
    assert ended == ["UNAVAILABLE"]
    (record,) = [record for record in caplog.records if record.name == "gateway.rpc.transports.forwarding"]
    assert vars(record)["error"] == "the stream was reset"  # as gRPC reports it, such as a refused certificate


@needs_silence
@pytest.mark.parametrize(("begun", "within"), [(False, 15.0), (True, 30.0)], ids=["new call", "silent call"])
async def test_a_forgotten_connection_to_the_leader_ends_calls_before_their_timeout(begun: bool, within: float) -> None:
    received = asyncio.Event()

    async def respond(request: bytes, _: grpc.aio.ServicerContext) -> bytes:
        if request:
            received.set()
            await asyncio.Event().wait()
        return b""

    async with leading(respond) as peer, asyncio.timeout(WAIT_TIMEOUT):
        to_leader = ToLeader(
            lambda: peer,
            lambda peer: grpc.aio.insecure_channel(peer, serving.LEADER_CHANNEL_OPTIONS),
            "secret",
            lambda _: None,
        )
        try:
            await to_leader.unary(METHOD, b"", Call(METHOD, None))
            call = to_leader.unary(METHOD, b"wait" if begun else b"", Call(METHOD, time.monotonic() + within))
            waiting = asyncio.create_task(call)
            if begun:
                await received.wait()
            assert fall_silent_to(peer) == 1  # before the task starts if it has not begun
            with pytest.raises(GatewayError) as raised:
                await waiting
            assert raised.value.failure.retryable
        finally:
            await to_leader.close()


async def test_a_leader_that_takes_a_second_to_accept_a_connection_gets_the_call() -> None:
    """The latency of a TLS handshake between two sites, or of a machine whose processors are busy."""

    async def answer(_: bytes, __: grpc.aio.ServicerContext) -> bytes:
        return b"answered"

    async with leading(answer) as peer, Proxy() as slow, asyncio.timeout(WAIT_TIMEOUT):
        slow.target = peer
        slow.forwards.clear()
        to_leader = ToLeader(
            lambda: slow.address,
            lambda peer: grpc.aio.insecure_channel(peer, serving.LEADER_CHANNEL_OPTIONS),
            "secret",
            lambda _: None,
        )
        gives_up_after_a_second = (("grpc.min_reconnect_backoff_ms", 1_000),)
        try:
            call = asyncio.create_task(to_leader.unary(METHOD, b"", Call(METHOD, None)))
            async with grpc.aio.insecure_channel(slow.address, gives_up_after_a_second) as other:
                with pytest.raises(grpc.aio.AioRpcError, match="timed out"):
                    await other.unary_unary(METHOD)(b"")
            slow.forwards.set()
            assert await call == b"answered"
        finally:
            await to_leader.close()


async def test_a_call_is_forwarded_with_its_deadline() -> None:
    remaining: list[float | None] = []

    async def answer(_: bytes, context: grpc.aio.ServicerContext) -> bytes:
        remaining.append(context.time_remaining())
        return b""

    async with forwarding_to(answer) as to_leader:
        for deadline in (time.monotonic() + 2 * WAIT_TIMEOUT, None):
            await to_leader.unary(METHOD, b"", Call(METHOD, deadline))
    limited, unlimited = remaining
    assert limited is not None
    assert WAIT_TIMEOUT < limited < 3 * WAIT_TIMEOUT  # gRPC rounds the time up in the header
    assert unlimited is None or unlimited > 1e9  # gRPC's time for none


async def test_a_forwarded_call_waits_in_its_place_and_ends_when_its_effect_can_be_read_here() -> None:
    has_read, may_go_on = asyncio.Event(), asyncio.Event()

    async def answer(_: bytes, context: grpc.aio.ServicerContext) -> bytes:
        return b""

    async def caught_up() -> None:
        has_read.set()
        await may_go_on.wait()

    async with forwarding_to(answer) as to_leader:
        service = pb.DESCRIPTOR.services_by_name["GenerationService"]
        here = type("Here", (GenerationReads,), {method_name(one): None for one in service.methods})
        replicated: Any = Replicated(service, object.__new__(here), to_leader, caught_up)
        limits = CallLimits()
        place = limits.of_method(METHOD).take(ANONYMOUS)
        call = asyncio.create_task(
            replicated.submit_generation(pb.SubmitGenerationRequest(), Call(METHOD, None, place=place))
        )
        await has_read.wait()
        assert not call.done()
        assert (limits.submitting.total.held, limits.waiting.total.held) == (0, 1)
        may_go_on.set()
        assert await call == b""


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


@pytest.mark.parametrize(
    ("given", "forwarded"),
    [("Bearer hfg_key\xa0", "Bearer hfg_key"), ("Bearer caf\u00e9", "Bearer caf?"), ("Bearer a\tb", "Bearer a?b")],
)
async def test_credentials_that_grpc_cannot_send_do_not_fail_the_call(given: str, forwarded: str) -> None:
    """HTTP allows them: behind a key they are cut off, and without keys any text is accepted."""
    received: list[object] = []

    async def answer(_: bytes, context: grpc.aio.ServicerContext) -> bytes:
        received.append(dict(context.invocation_metadata() or ()).get("authorization"))
        return b""

    async with forwarding_to(answer) as to_leader:
        await to_leader.unary(METHOD, b"", Call(METHOD, None, authorization=given))
    assert received == [forwarded]


async def test_a_detail_that_this_version_does_not_know_is_passed_on() -> None:
    """During a rolling update the leader may be newer."""
    unknown = any_pb2.Any(type_url="type.googleapis.com/hfgateway.v9.News", value=b"\x0a\x03new")
    sent = Status(code=grpc.StatusCode.NOT_FOUND.value[0], message="no such thing", details=[unknown])

    async def refuse(_: bytes, context: grpc.aio.ServicerContext) -> bytes:
        await context.abort(grpc.StatusCode.NOT_FOUND, sent.message, ((STATUS_DETAILS, sent.SerializeToString()),))
        raise AssertionError

    async with forwarding_to(refuse) as to_leader:
        with pytest.raises(RpcError) as raised:
            await to_leader.unary(METHOD, b"", Call(METHOD, None))
    assert raised.value.status == sent


class Traced(tracing.Span):
    """A span, of which only the name for other services matters."""

    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    def child(self, name: str) -> tracing.Span:
        raise AssertionError

    def set(self, name: str, value: str | int) -> None:
        raise AssertionError

    def end(self, error: str = "") -> None:
        raise AssertionError


async def test_the_leader_continues_the_trace_of_a_call() -> None:
    received: list[str | bytes | None] = []

    async def answer(_: bytes, context: grpc.aio.ServicerContext) -> bytes:
        received.append(dict(context.invocation_metadata() or ()).get("traceparent"))
        return b""

    async with forwarding_to(answer) as to_leader:
        await to_leader.unary(METHOD, b"", Call(METHOD, None))
        token = tracing.current.set(Traced())
        try:
            await to_leader.unary(METHOD, b"", Call(METHOD, None))
        finally:
            tracing.current.reset(token)
    assert received == [None, Traced.traceparent]


async def test_a_webhook_is_forwarded_with_a_deadline() -> None:
    """Otherwise a leader that does not respond would keep it for ever, and Higgsfield would not send it again."""
    remaining: list[float | None] = []

    async def answer(_: bytes, context: grpc.aio.ServicerContext) -> bytes:
        remaining.append(context.time_remaining())
        return b"200 ok"

    async with forwarding_to(answer) as to_leader:
        assert await to_leader.webhook("token", {}, b"{}") == (200, b"ok")
    (limited,) = remaining
    assert limited is not None
    assert limited < 2 * WEBHOOK_TIMEOUT  # gRPC rounds the time up in the header


class _Unknown:
    """The generations that a replica knows: none."""

    async def by_token(self, _: bytes) -> None:
        return None

    async def by_request(self, _: str) -> None:
        return None


@pytest.mark.parametrize(
    "code", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "UNAUTHENTICATED", "INTERNAL"]
)
async def test_a_webhook_that_the_leader_has_not_received_must_be_delivered_again(leader: str, code: str) -> None:
    """Higgsfield does not repeat a webhook that gets a 4xx."""
    to_leader = ToLeader(lambda: leader, grpc.aio.insecure_channel, "secret", lambda _: None)
    route = forwarding_route(_Unknown(), to_leader.webhook, WebhookLimit(lambda: None))
    try:
        assert await webhook_receiver(route)("token", {}, code.encode()) == (503, b"try again\n")
    finally:
        await to_leader.close()


async def test_a_forwarded_call_whose_caller_leaves_is_canceled_at_the_leader() -> None:
    received, left = asyncio.Event(), asyncio.Event()
    ended: list[str] = []

    async def wait_for_ever(_: bytes, context: grpc.aio.ServicerContext) -> bytes:
        received.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        raise AssertionError

    async with forwarding_to(wait_for_ever, ended.append) as to_leader:
        waiting = asyncio.create_task(to_leader.unary(METHOD, b"", Call(METHOD, None)))
        await received.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await left.wait()
    assert ended == ["CANCELLED"]


async def test_a_forwarded_upload_that_the_leader_refuses_early_is_not_read_any_more() -> None:
    """The transport closes the stream of requests afterwards, which it cannot do while it is read."""

    async def refuse(_: bytes, context: grpc.aio.ServicerContext) -> bytes:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a wrong size")
        raise AssertionError

    async def requests() -> AsyncIterator[Message]:
        yield UploadMediaRequest()
        await asyncio.Event().wait()

    async def catch_up() -> None:
        pass

    async with forwarding_to(refuse) as to_leader:
        replicated: Any = Replicated(UPLOAD_SERVICE, None, to_leader, catch_up)
        stream: Any = requests()
        with pytest.raises(RpcError) as raised:
            await replicated.upload_media(stream, Call("/hfgateway.v1.UploadService/UploadMedia", None))
        assert raised.value.code is Code.INVALID_ARGUMENT
        await stream.aclose()


async def test_a_forwarded_upload_that_the_leader_refuses_while_it_is_sent_fails_with_the_error_of_the_leader() -> None:
    """The response and the end of the write in progress arrive in any order, so many calls are made."""

    async def refuse(requests: Any, context: grpc.aio.ServicerContext) -> bytes:
        await anext(requests)
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a wrong type")
        raise AssertionError

    async def requests() -> AsyncIterator[Message]:
        while True:
            yield UploadMediaRequest(chunk=bytes(1 << 16))

    async def catch_up() -> None:
        pass

    async with forwarding_to(refuse, streaming=True) as to_leader:
        replicated: Any = Replicated(UPLOAD_SERVICE, None, to_leader, catch_up)

        async def code() -> Code:
            with pytest.raises(RpcError) as raised:
                await replicated.upload_media(requests(), Call("/hfgateway.v1.UploadService/UploadMedia", None))
            return raised.value.code

        assert set(await asyncio.gather(*(code() for _ in range(100)))) == {Code.INVALID_ARGUMENT}
