"""Serves the handlers over grpc.aio. Every RPC of a service descriptor is bound to the method with its name.

All RPCs are registered with streaming requests. gRPC then calls the method before it reads the request, so that no byte
is read for an unknown caller, or before the call has a place.
"""

import functools
import itertools
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gateway import failpoints
from gateway.errors import invalid_field
from gateway.rpc.call import Call
from gateway.rpc.chain import BidiStream, Chain, ClientStream, Guard, Response, Stream, Unary
from gateway.rpc.errors import RpcError, rpc_error
from gateway.rpc.limits.arrivals import Arrivals
from gateway.rpc.limits.backlog import Backlog
from gateway.rpc.limits.call_limits import OVERLOADED
from gateway.rpc.limits.requests import message_of

RPCS_WITH_OWN_QUEUE = frozenset({"SubmitGeneration", "WatchGeneration", "WatchGenerations"})
FORWARDED_METADATA = "hfgateway-forwarded"
"""Metadata of a call that another replica has forwarded: a text that only replicas know."""
NO_BACKLOGS: Mapping[str, Backlog] = {}
NewGuard = Callable[[], Guard]
Trailers = tuple[tuple[str, bytes], ...]
STATUS_DETAILS = "grpc-status-details-bin"
STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}


def method_name(method: MethodDescriptor) -> str:
    """Return the Python name of an RPC: submit_generation for SubmitGeneration."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower()


def add_service(
    server: grpc.aio.Server,
    service: ServiceDescriptor,
    handlers: object,
    chain: Chain,
    backlogs: Mapping[str, Backlog] = NO_BACKLOGS,
) -> None:
    """Serve all RPCs of a service. `backlogs` limits how many calls of a method wait in gRPC's queue.

    Raises AttributeError if an RPC has no handler.
    """
    bound = bound_handlers(service, handlers, chain, backlogs)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, bound),))
    # Calls that arrive in bursts get their own queues in gRPC, so that a status call does not wait behind them.
    apart = {name: handler for name, handler in bound.items() if name in RPCS_WITH_OWN_QUEUE}
    server.add_registered_method_handlers(service.full_name, apart)


def bound_handlers(
    service: ServiceDescriptor, handlers: object, chain: Chain, backlogs: Mapping[str, Backlog] = NO_BACKLOGS
) -> dict[str, grpc.RpcMethodHandler]:
    """Return gRPC's handlers of a service, by the names of its RPCs. Raises AttributeError if one has no handler."""
    bound = {}
    arrivals = Arrivals()
    for method in service.methods:
        full_name = f"/{service.full_name}/{method.name}"
        handler = getattr(handlers, method_name(method))
        request_class = GetMessageClass(method.input_type)
        serve: Callable[..., Any]
        if method.server_streaming:
            serve = _bidi_stream if method.client_streaming else _stream
            register = grpc.stream_stream_rpc_method_handler
        else:
            serve = _client_stream if method.client_streaming else _unary
            register = grpc.stream_unary_rpc_method_handler
        served = serve(chain.guard(full_name), handler, request_class, arrivals)
        if full_name in backlogs:
            served = _limited(served, backlogs[full_name], chain.refusal_counter(full_name))
        bound[method.name] = register(served)
    return bound


def _unary(new_guard: NewGuard, handler: Unary, request_class: type[Message], arrivals: Arrivals) -> Any:
    async def serve(_: object, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        _end_with_a_failpoint(context)
        try:
            with new_guard() as entered:
                entered.read_headers("grpc", context.invocation_metadata)
                call = await _enter(entered, context, unquote(context.peer()))  # gRPC encodes the brackets of IPv6
                raw = await arrivals.within(context.read())
                response = _serialize(await handler(_decode(request_class, raw), call))
                failpoints.before("gRPC answer")
                return response
        except RpcError as error:
            return await abort(context, error)

    return serve


def _limited(serve: Any, backlog: Backlog, refused: Callable[[], None]) -> Any:
    """Wrap the method of an RPC: it answers probes, and refuses calls while the backlog is full.

    A refusal takes two thirds of the time of one after the caller is identified.
    """

    async def limited(requests: object, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        if context.peer().startswith("unix:"):
            return b""  # a probe
        if not backlog.accept():
            refused()
            return await _abort(context, *next(_refusals()))
        return await serve(requests, context)  # type: ignore[no-any-return]

    return limited


@functools.cache
def _refusals() -> Iterator[tuple[grpc.StatusCode, str, Trailers]]:
    """Return the errors of an overloaded gateway, encoded once, with a different delay each time."""
    errors = map(rpc_error, OVERLOADED)
    return itertools.cycle([(grpc.StatusCode.RESOURCE_EXHAUSTED, error.message, _trailers(error)) for error in errors])


def _stream(new_guard: NewGuard, handler: Stream, request_class: type[Message], arrivals: Arrivals) -> Any:
    async def serve(_: object, context: "grpc.aio.ServicerContext[bytes, bytes]") -> AsyncIterator[bytes]:
        _end_with_a_failpoint(context)
        try:
            with new_guard() as entered:
                call = await _enter(entered, context)
                raw = await arrivals.within(context.read())
                responses = handler(_decode(request_class, raw), call)
                call.start_waiting(len(raw))
                del raw, call, entered
                async for response in responses:
                    failpoints.before("gRPC message")
                    yield _serialize(response)
                    failpoints.after("gRPC message")
                failpoints.before("gRPC answer")
        except RpcError as error:
            await abort(context, error)

    return serve


def _client_stream(new_guard: NewGuard, handler: ClientStream, request_class: type[Message], arrivals: Arrivals) -> Any:
    async def serve(_: object, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        _end_with_a_failpoint(context)
        try:
            with new_guard() as entered:
                call = await _enter(entered, context)
                response = _serialize(await handler(_requests(request_class, context, arrivals), call))
                failpoints.before("gRPC answer")
                return response
        except RpcError as error:
            return await abort(context, error)

    return serve


def _bidi_stream(new_guard: NewGuard, handler: BidiStream, request_class: type[Message], arrivals: Arrivals) -> Any:
    async def serve(_: object, context: "grpc.aio.ServicerContext[bytes, bytes]") -> AsyncIterator[bytes]:
        try:
            with new_guard() as entered:
                call = await _enter(entered, context)
                async for response in handler(_requests(request_class, context, arrivals), call):
                    yield _serialize(response)
        except RpcError as error:
            await abort(context, error)

    return serve


async def _requests(
    request_class: type[Message], context: "grpc.aio.ServicerContext[bytes, bytes]", arrivals: Arrivals
) -> AsyncIterator[Message]:
    while (raw := await arrivals.within(context.read())) is not grpc.aio.EOF:
        yield _decode(request_class, raw)


def _end_with_a_failpoint(context: "grpc.aio.ServicerContext[bytes, bytes]") -> None:
    """Reach the failpoint after the response in a callback, because a handler runs only until its response is sent."""
    if failpoints.ARMED:
        context.add_done_callback(lambda _: failpoints.after("gRPC answer"))


def _decode(request_class: type[Message], raw: Any) -> Message:
    """Decode a request. At the end of an empty stream, `raw` is gRPC's end marker."""
    if raw is grpc.aio.EOF:
        raise invalid_field("request", "is missing")
    return message_of(raw, request_class)


def _serialize(response: Response) -> bytes:
    return response if isinstance(response, bytes) else response.SerializeToString()


def _enter(
    entered: Guard, context: "grpc.aio.ServicerContext[bytes, bytes]", peer: str = ""
) -> Coroutine[Any, Any, Call]:
    """Enter a call with its credentials and deadline. Raises as `Guard.call` does."""
    authorization = replica = ""
    for name, value in context.invocation_metadata() or ():
        if name == "authorization" and isinstance(value, str):
            authorization = value
        elif name == FORWARDED_METADATA and isinstance(value, str):
            replica = value
    remaining = context.time_remaining()
    if remaining is not None and remaining > 1e9:
        remaining = None  # gRPC reports a deadline centuries ahead for a call without one
    return entered.call(authorization, remaining, peer, replica=replica)


async def abort(context: "grpc.aio.ServicerContext[bytes, bytes]", error: RpcError) -> bytes:
    """End a call with an error and its details. Return from the handler afterwards, with the result if it is unary."""
    failpoints.before("gRPC answer")
    return await _abort(context, STATUS_CODES[error.code.value], error.message, _trailers(error))


async def _abort(
    context: "grpc.aio.ServicerContext[bytes, bytes]", code: grpc.StatusCode, message: str, trailers: Trailers
) -> bytes:
    try:
        await context.abort(code, message, trailers)
    except grpc.aio.AbortError as aborted:
        # gRPC keeps this exception in the call, and raises it again when the handler returns. A traceback would refer
        # to the call: a reference cycle.
        aborted.__traceback__ = aborted.__context__ = None
    return b""


def _trailers(error: RpcError) -> Trailers:
    return ((STATUS_DETAILS, error.status.SerializeToString()),)
