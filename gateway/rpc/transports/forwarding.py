"""The handlers of a replica: it answers some RPCs itself, and forwards all others to the leader.

A forwarded call has the caller's credentials and deadline. Its response and its error, with all details, pass
unchanged. A call is forwarded once: a replica that gets one and does not lead refuses it, and the client retries.
"""

import asyncio
import contextlib
import functools
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import grpc
from google.protobuf import any_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.rpc.status_pb2 import Status

from gateway import tracing
from gateway.concurrency import OwnedTasks, Signal, set_signal
from gateway.errors import GatewayError, gateway_unavailable, invalid_field
from gateway.rpc.call import Call
from gateway.rpc.chain import Chain
from gateway.rpc.errors import Code, RpcError
from gateway.rpc.limits.arrivals import Arrivals
from gateway.rpc.transports.over_grpc import FORWARDED_METADATA, STATUS_DETAILS, bound_handlers, method_name
from hfgateway.v1 import generation_service_pb2 as pb

T = TypeVar("T")

log = logging.getLogger(__name__)

READ_HERE = frozenset({
    "GetGeneration", "ListGenerations", "WaitGeneration", "WatchGeneration", "WatchGenerations", "CreateWatchToken",
})  # fmt: skip
"""The RPCs that a replica answers from its memory and from the store. CreateWatchToken only signs. Only the leader
answers the others, and lists by idempotency key, because they write, call Higgsfield, or read what only its memory
has."""
WEBHOOK_METHOD = "/hfgateway.Replicas/ReceiveWebhook"
"""Forwards a webhook: the request is its body, metadata has the end of its path and its headers. The response is the
status and the body for Higgsfield. It is no part of the API: only replicas may call it."""
HEADER_PREFIX = "webhook-header-"
"""The prefix of the names of these headers in metadata."""
PATH_METADATA = "webhook-path"
WEBHOOK_TIMEOUT = 10.0
CHECK_LEADER_INTERVAL = 0.25
"""Seconds between checks whether the connected gateway still leads."""
RETRY_AFTER = 0.25
"""Seconds after which a client retries a call that found no leader."""
LEADER_LOST = "the leader did not respond, so a change may have been made: retry with the same idempotency_key, if any"
_NOT_METADATA = re.compile(r"[^\x20-\x7e]")
"""The characters that gRPC cannot send in metadata. HTTP can, and a gateway without keys accepts any credentials."""


class ToLeader:
    """The connection to the leader.

    `peer` returns the address of its gRPC port, empty if no other gateway leads. `connect` opens a channel to it, which
    keeps what `certificate` returned then. `secret` is known to replicas only. `ended` is called with the name of the
    code with which a call ends.
    """

    def __init__(
        self,
        peer: Callable[[], str],
        connect: Callable[[str], grpc.aio.Channel],
        secret: str,
        ended: Callable[[str], None],
        certificate: Callable[[], object] = lambda: None,
    ) -> None:
        self._peer = peer
        self._connect = connect
        self._certificate = certificate
        self._secret = secret
        self._ended = ended
        self._connected_to = ""
        self._connected_with: object = None
        self._channel: grpc.aio.Channel | None = None
        self._closing = OwnedTasks()
        self._awaited: set[Signal] = set()
        """A signal for each block of `awaited`, given at its end."""

    async def unary(self, method: str, request: bytes, call: Call) -> bytes:
        """Forward a call with one response."""
        with self._counted():
            return await _answer(self._open(call).unary_unary(method)(request, **self._call_options(call)))

    async def client_stream(self, method: str, requests: AsyncIterator[bytes], call: Call) -> bytes:
        """Forward a call with a stream of requests. None of them is being read any more when it returns."""
        readers = set[asyncio.Task[Any]]()

        async def read() -> AsyncIterator[bytes]:
            if (reader := asyncio.current_task()) is not None:
                readers.add(reader)
            async for request in requests:
                yield request

        def stop(_: object = None) -> None:
            for task in readers:
                task.cancel()

        with self._counted():
            forwarded = self._open(call).stream_unary(method)(read(), **self._call_options(call))
            # gRPC replaces an early response by INTERNAL if it finds later that it cannot send a request any more.
            forwarded.add_done_callback(stop)
            try:
                return await _answer(forwarded)
            finally:
                stop()
                if readers:
                    await asyncio.wait(readers)

    async def stream(self, method: str, request: bytes, call: Call) -> AsyncIterator[bytes]:
        """Forward a call with a stream of responses."""
        with self._counted():
            forwarded = self._open(call).unary_stream(method)(request, **self._call_options(call))
            try:
                while (response := await _answer(forwarded.read())) is not grpc.aio.EOF:
                    yield response
            finally:
                forwarded.cancel()

    async def webhook(self, token: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Forward a webhook. Returns the status and the body of the response. Raises GatewayError or RpcError."""
        call = Call(WEBHOOK_METHOD, time.monotonic() + WEBHOOK_TIMEOUT)
        metadata = [(PATH_METADATA, token), *((HEADER_PREFIX + name, text) for name, text in headers.items())]
        with self.awaited(), self._counted():
            response = await _answer(
                self._open(call).unary_unary(WEBHOOK_METHOD)(body, **self._call_options(call, metadata))
            )
        status, _, text = response.partition(b" ")
        return int(status), text

    @contextlib.contextmanager
    def awaited(self) -> Iterator[None]:
        """Let `responded` await the end of the block."""
        ended: Signal = asyncio.get_running_loop().create_future()
        self._awaited.add(ended)
        try:
            yield
        finally:
            self._awaited.discard(ended)
            set_signal(ended)

    async def responded(self) -> None:
        """Return when the calls have ended that are under way now and have one response."""
        if self._awaited:
            await asyncio.wait([*self._awaited])

    async def keep_checking(self) -> None:
        """Call `check_leader` until canceled."""
        while True:
            await asyncio.sleep(CHECK_LEADER_INTERVAL)
            await self.check_leader()

    async def check_leader(self) -> None:
        """End the calls to a gateway that no longer leads, which may never respond to them.

        If the certificate was renewed, also replace the channel once its connection has ended: it would not trust the
        new certificate. Calls on an open connection continue.
        """
        if self._channel is None:
            return
        renewed = self._certificate() is not self._connected_with
        if self._peer() != self._connected_to or (
            renewed and self._channel.get_state() is not grpc.ChannelConnectivity.READY
        ):
            await self.close()

    async def close(self) -> None:
        """Close the connection."""
        self._drop()
        await self._closing.drained()

    def _drop(self) -> None:
        """Start to close the connection, which ends the calls on it."""
        channel, self._channel = self._channel, None
        if channel is not None:
            self._closing.start(channel.close())

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        code = Code.CANCELLED.name
        try:
            yield
            code = Code.OK.name
        except RpcError as error:
            code = error.code.name
            raise
        except GatewayError:
            code = Code.UNAVAILABLE.name
            raise
        finally:
            self._ended(code)

    def _open(self, call: Call) -> grpc.aio.Channel:
        """Return the channel to the leader. Raises GATEWAY_UNAVAILABLE."""
        peer = self._peer()
        if call.of_replica:
            raise gateway_unavailable("this replica does not lead", retry_after=RETRY_AFTER)
        if not peer:
            raise gateway_unavailable("no replica leads at the moment", retry_after=RETRY_AFTER)
        if peer != self._connected_to:
            self._drop()
        if self._channel is None:
            self._connected_to, self._connected_with = peer, self._certificate()
            self._channel = self._connect(peer)
        return self._channel

    def _call_options(self, call: Call, more: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
        metadata = [(FORWARDED_METADATA, self._secret), *more, *_forwarded_headers(call)]
        if call.authorization:
            metadata.append(("authorization", _NOT_METADATA.sub("?", call.authorization.strip())))
        if traced := tracing.traceparent():
            metadata.append(("traceparent", traced))
        return {"metadata": metadata, "timeout": call.remaining}


class Replicated:
    """The handlers of a service on a replica, by the names of its RPCs.

    `here` has those of READ_HERE. `catch_up` returns when this replica has seen what the leader has stored, so that a
    caller finds here what it has written.
    """

    def __init__(
        self, service: ServiceDescriptor, here: Any, leader: ToLeader, catch_up: Callable[[], Awaitable[None]]
    ) -> None:
        self._leader = leader
        self._catch_up = catch_up
        for method in service.methods:
            name = method_name(method)
            handler = getattr(here, name) if method.name in READ_HERE else self._forwarded(service, method)
            if method.name == "ListGenerations":
                handler = _list(handler, self._forwarded(service, method))
            elif method.name == "SubmitGeneration":
                handler = functools.partial(here.forward_submission, handler)
            setattr(self, name, handler)

    def _forwarded(self, service: ServiceDescriptor, method: MethodDescriptor) -> Any:
        full_name, leader = f"/{service.full_name}/{method.name}", self._leader

        async def unary(request: Message, call: Call) -> bytes:
            call.try_start_waiting()  # if `waiting` is full, the call keeps its place
            with leader.awaited():
                response = await leader.unary(full_name, request.SerializeToString(), call)
                await self._catch_up()
                return response

        async def client_stream(requests: AsyncIterator[Message], call: Call) -> bytes:
            broken: list[Exception] = []

            async def read() -> AsyncIterator[bytes]:
                try:
                    async for request in requests:
                        yield request.SerializeToString()
                except Exception as error:
                    broken.append(error)  # gRPC only cancels the call, as if the connection were lost
                    raise

            try:
                with leader.awaited():
                    return await leader.client_stream(full_name, read(), call)
            except GatewayError:
                if not broken:
                    raise
            raise broken[0]

        def stream(request: Message, call: Call) -> AsyncIterator[bytes]:
            return leader.stream(full_name, request.SerializeToString(), call)

        assert not (method.client_streaming and method.server_streaming)
        if method.server_streaming:
            return stream
        return client_stream if method.client_streaming else unary


def _list(here: Any, forwarded: Any) -> Any:
    """Return the handler of ListGenerations: only the leader knows the submissions that a lookup by key waits for."""

    def handler(request: pb.ListGenerationsRequest, call: Call) -> Any:
        return (forwarded if request.filter.idempotency_key else here)(request, call)

    return handler


ReceiveWebhook = Callable[[str, Mapping[str, str], bytes], Awaitable[tuple[int, bytes]]]
"""Takes the token, the headers and the body of a webhook. Returns the status and the body of the response."""


def add_webhooks(server: grpc.aio.Server, receive: ReceiveWebhook, chain: Chain) -> None:
    """Accept webhooks that replicas forward."""

    arrivals = Arrivals()

    async def serve(_: object, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        metadata = {name: text for name, text in context.invocation_metadata() or () if isinstance(text, str)}
        if not chain.is_replica(metadata.get(FORWARDED_METADATA, "")):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED)
        raw = await arrivals.within(context.read())
        body = b"" if raw is grpc.aio.EOF else raw
        headers = {
            name.removeprefix(HEADER_PREFIX): text for name, text in metadata.items() if name.startswith(HEADER_PREFIX)
        }
        status, text = await receive(metadata.get(PATH_METADATA, ""), headers, body)
        return b"%d %s" % (status, text)

    service, _, method = WEBHOOK_METHOD[1:].partition("/")
    handlers = {method: grpc.stream_unary_rpc_method_handler(serve)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))


class ForReplicas:
    """Serves a service to other replicas only. For others, its calls are not implemented."""

    def __init__(self, service: ServiceDescriptor, handlers: object, chain: Chain) -> None:
        self._chain = chain
        bound = bound_handlers(service, handlers, chain)
        self._served = grpc.method_handlers_generic_handler(service.full_name, bound)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler | None":
        """Return the handler of a call; None if it is not implemented."""
        metadata = dict(handler_call_details.invocation_metadata or ())
        if not self._chain.is_replica(str(metadata.get(FORWARDED_METADATA, ""))):
            return None
        return self._served.service(handler_call_details)


class Switch:
    """The handlers of a service, by the names of its RPCs. They can be replaced while calls arrive."""

    def __init__(self, service: ServiceDescriptor, handlers: object) -> None:
        self.handlers = handlers
        for method in service.methods:
            setattr(self, method_name(method), self._current(method_name(method)))

    def _current(self, name: str) -> Callable[[Any, Call], Any]:
        def call_current(request: Any, call: Call) -> Any:
            return getattr(self.handlers, name)(request, call)

        return call_current


async def _answer(response: Awaitable[T]) -> T:
    """Await a response of the leader. Raises RpcError with its error, or GATEWAY_UNAVAILABLE if it is lost."""
    try:
        return await response
    except grpc.aio.AioRpcError as error:
        raise error_from_leader(error) from None
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise _lost() from None  # the connection was closed, not the call


def error_from_leader(error: grpc.aio.AioRpcError) -> Exception:
    """Return the leader's error for the caller; GATEWAY_UNAVAILABLE if the call was cut off."""
    code = Code(error.code().value[0])
    details = (error.trailing_metadata() or {}).get(STATUS_DETAILS)
    if isinstance(details, bytes):
        return RpcError(code, error.details() or "", tuple(map(_unpack, Status.FromString(details).details)))
    if code in {Code.UNAVAILABLE, Code.CANCELLED, Code.INTERNAL, Code.UNKNOWN}:
        # gRPC reports all of these for a stream that was cut off, and the first one if there is no connection.
        log.warning("a call to the leader failed", extra={"code": code.name, "error": error.details()})
        return _lost()
    return RpcError(code, error.details() or "", ())


def _forwarded_headers(call: Call) -> Iterator[tuple[str, str]]:
    """Yield the caller's headers that gRPC can send. A submission with other headers is refused, as by the leader."""
    for name, text in call.forwarded.items():
        if text.isascii() and text.isprintable():
            yield name, text
        elif call.method.endswith("/SubmitGeneration"):
            raise invalid_field(f"metadata.{name}", "must be printable ASCII characters")


def _lost() -> GatewayError:
    return gateway_unavailable(LEADER_LOST, retry_after=RETRY_AFTER)


def _unpack(detail: any_pb2.Any) -> Message:
    """Return a detail as the message that it has; as it is if this version does not know the message."""
    try:
        descriptor = descriptor_pool.Default().FindMessageTypeByName(detail.TypeName())
        return message_factory.GetMessageClass(descriptor).FromString(detail.value)
    except (KeyError, DecodeError):
        return detail
