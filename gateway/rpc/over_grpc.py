"""Serves handlers over grpc.aio: every RPC of a service descriptor is bound to the method of its name.

All are bound as if their requests were streams: then gRPC calls us before it reads the request, and a call can be
refused unread.
"""

import functools
import re
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.status_pb2 import Status

from gateway import failpoints
from gateway.errors import invalid_field
from gateway.rpc.call import WARNING, Call
from gateway.rpc.chain import Answer, Chain, Gathering, Stream, Unary
from gateway.rpc.errors import RpcError
from gateway.rpc.overload import Gate
from gateway.rpc.probe import SUBMIT, is_probe
from gateway.rpc.requests import message_of

OWN_QUEUE = frozenset({"SubmitGeneration", "WatchGeneration", "WatchGenerations"})
STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}


def method_name(method: MethodDescriptor) -> str:
    """The Python name of an RPC: SubmitGeneration is submit_generation."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower()


def add_service(server: grpc.aio.Server, service: ServiceDescriptor, handlers: object, chain: Chain) -> None:
    """Serve all RPCs of a service. Raises AttributeError where one has no handler."""
    bound = _bound(service, handlers, chain)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, bound),))
    # What may come in floods waits in queues of its own, so that nobody who asks for a status waits behind it.
    apart = {name: handler for name, handler in bound.items() if name in OWN_QUEUE}
    server.add_registered_method_handlers(service.full_name, apart)


def _bound(service: ServiceDescriptor, handlers: object, chain: Chain) -> dict[str, grpc.RpcMethodHandler]:
    bound = {}
    for method in service.methods:
        full_name = f"/{service.full_name}/{method.name}"
        handler = getattr(handlers, method_name(method))
        request_class = GetMessageClass(method.input_type)
        if method.server_streaming:
            served = _stream(full_name, handler, request_class, chain)
            bound[method.name] = grpc.stream_stream_rpc_method_handler(served)
        elif method.client_streaming:
            gathered = _gathering(full_name, handler, request_class, chain)
            bound[method.name] = grpc.stream_unary_rpc_method_handler(gathered)
        else:
            answered = _unary(full_name, handler, request_class, chain)
            bound[method.name] = grpc.stream_unary_rpc_method_handler(answered)
    return bound


def _unary(method: str, handler: Unary, request_class: type[Message], chain: Chain) -> Any:
    gate, guard, probed = chain.gate(method), chain.guard(method), method == SUBMIT

    async def serve(_: object, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        if probed and is_probe(context):
            return b""
        _end_with_a_failpoint(context)
        await _pass(gate, context)
        try:
            with guard():
                # First who calls: strangers' bytes are not even read.
                call = _call(chain, method, context)
                answer = _serialised(await handler(_decoded(request_class, await context.read()), call))
                if call.warnings:
                    await context.send_initial_metadata([(WARNING, text) for text in call.warnings])
                failpoints.before("gRPC answer")
                return answer
        except RpcError as error:
            await abort(context, error)
            raise

    return serve


def _stream(method: str, handler: Stream, request_class: type[Message], chain: Chain) -> Any:
    gate, guard = chain.gate(method), chain.guard(method)

    async def serve(_: object, context: "grpc.aio.ServicerContext[bytes, bytes]") -> AsyncIterator[bytes]:
        _end_with_a_failpoint(context)
        await _pass(gate, context)
        try:
            with guard():
                call = _call(chain, method, context)
                async for answer in handler(_decoded(request_class, await context.read()), call):
                    failpoints.before("gRPC message")
                    yield _serialised(answer)
                    failpoints.after("gRPC message")
                failpoints.before("gRPC answer")
        except RpcError as error:
            await abort(context, error)
            raise

    return serve


def _gathering(method: str, handler: Gathering, request_class: type[Message], chain: Chain) -> Any:
    gate, guard = chain.gate(method), chain.guard(method)

    async def serve(raws: AsyncIterator[bytes], context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        _end_with_a_failpoint(context)
        await _pass(gate, context)
        try:
            with guard():
                call = _call(chain, method, context)
                requests = (_decoded(request_class, raw) async for raw in raws)
                answer = _serialised(await handler(requests, call))
                failpoints.before("gRPC answer")
                return answer
        except RpcError as error:
            await abort(context, error)
            raise

    return serve


def _end_with_a_failpoint(context: "grpc.aio.ServicerContext[bytes, bytes]") -> None:
    """The last that a handler can see is before its answer is sent: who has to come after asks to be called."""
    if failpoints.ARMED:
        context.add_done_callback(lambda _: failpoints.after("gRPC answer"))


async def _pass(gate: Gate, context: "grpc.aio.ServicerContext[bytes, bytes]") -> None:
    """Go on, or end the call here."""
    refusal = gate.refusal()
    if refusal is not None:
        code = STATUS_CODES[refusal.code.value]
        await context.abort(code, refusal.message, _trailers_of_refusal(refusal))


def _decoded(request_class: type[Message], raw: Any) -> Message:
    """The request of these bytes, or of what was read at the end of a stream without any."""
    if raw is grpc.aio.EOF:
        raise invalid_field("request", "is missing")
    return message_of(raw, request_class)


def _serialised(answer: Answer) -> bytes:
    return answer if isinstance(answer, bytes) else answer.SerializeToString()


def _call(chain: Chain, method: str, context: "grpc.aio.ServicerContext[bytes, bytes]") -> Call:
    authorization = ""
    for name, value in context.invocation_metadata() or ():
        if name == "authorization" and isinstance(value, str):
            authorization = value
    remaining = context.time_remaining()
    # grpc tells a call without a deadline as one that ends in centuries.
    return chain.call(method, authorization, None if remaining is None or remaining > 1e9 else remaining)


async def abort(context: "grpc.aio.ServicerContext[bytes, bytes]", error: RpcError) -> None:
    """End a call with the error and its details."""
    failpoints.before("gRPC answer")
    await context.abort(STATUS_CODES[error.code.value], error.message, _trailers(error))


def _trailers(error: RpcError) -> tuple[tuple[str, bytes], ...]:
    status = Status(code=error.code.value, message=error.message)
    for detail in error.details:
        status.details.add().Pack(detail)
    return (("grpc-status-details-bin", status.SerializeToString()),)


_trailers_of_refusal = functools.lru_cache(maxsize=256)(_trailers)
"""There are few refusals, given again and again."""
