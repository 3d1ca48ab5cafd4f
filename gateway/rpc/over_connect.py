"""Serves the same handlers as an ASGI app that speaks Connect and gRPC-Web: the only module that knows connectrpc."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from connectrpc.code import Code as ConnectCode
from connectrpc.codec import Codec
from connectrpc.errors import ConnectError, ErrorDetail
from connectrpc.interceptor import MetadataInterceptor
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.request import RequestContext
from connectrpc.server import ConnectASGIApplication, Endpoint
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from protobuf.wkt import Any as ConnectAny

from gateway.errors import printable
from gateway.rpc.call import WARNING, Call
from gateway.rpc.chain import Answer, Chain, Gathering, Stream, Unary, Undecodable, decoded
from gateway.rpc.errors import RpcError
from gateway.rpc.over_grpc import method_name

LARGEST_REQUEST = 4 * 1024 * 1024


class Encoded:
    """An answer on its way to a codec: a message, or bytes that are one."""

    __slots__ = ("answer", "message_class")

    def __init__(self, answer: Answer, message_class: type[Message]) -> None:
        self.answer = answer
        self.message_class = message_class

    def message(self) -> Message:
        """The answer as a message."""
        return self.message_class.FromString(self.answer) if isinstance(self.answer, bytes) else self.answer


class _BinaryCodec:
    """Protobuf's binary form; bytes that are no message are told to the chain, which answers with details."""

    def name(self) -> str:
        return "proto"

    def encode(self, message: Encoded) -> bytes:
        answer = message.answer
        return answer if isinstance(answer, bytes) else answer.SerializeToString()

    def decode(self, data: bytes | bytearray, message_class: type[Message]) -> Message | Undecodable:
        try:
            return message_class.FromString(bytes(data))
        except DecodeError:
            return Undecodable(f"the bytes are not a {message_class.DESCRIPTOR.full_name}")


class _JsonCodec:
    """Protobuf's JSON form; unknown fields are ignored, unknown names of enum values are refused."""

    def name(self) -> str:
        return "json"

    def encode(self, message: Encoded) -> bytes:
        return json_format.MessageToJson(message.message(), indent=None).encode()

    def decode(self, data: bytes | bytearray, message_class: type[Message]) -> Message | Undecodable:
        try:
            content = json.loads(data)
            if not isinstance(content, dict):
                raise ValueError("not an object")
            known = _known_fields(content, message_class.DESCRIPTOR)  # one of two stub classes
            return json_format.ParseDict(known, message_class(), max_recursion_depth=64)
        # What a value of the wrong type provokes in the parser is not always its own error.
        except (json_format.ParseError, ValueError, TypeError, AttributeError, RecursionError) as error:
            why = printable(str(error), 300) if isinstance(error, json_format.ParseError) else "is not JSON"
            return Undecodable(f"the JSON is not a {message_class.DESCRIPTOR.full_name}: {why}")


def _known_fields(content: Any, message: Any) -> Any:
    """JSON without the fields that a message does not have.

    json_format's own way of ignoring them would ignore unknown names of enum values too, and so start another
    generation than the one that was meant.
    """
    if not isinstance(content, dict) or message.full_name.startswith("google.protobuf."):
        return content
    fields = {name: field for field in message.fields for name in (field.name, field.json_name)}
    return {name: _known_value(value, fields[name]) for name, value in content.items() if name in fields}


def _known_value(value: Any, field: FieldDescriptor) -> Any:
    if field.message_type is None or field.message_type.GetOptions().map_entry:
        return value
    if isinstance(value, list):
        return [_known_fields(item, field.message_type) for item in value]
    return _known_fields(value, field.message_type)


class _Gatekeeper(MetadataInterceptor[None]):
    """Refuses calls while the gateway is overloaded; connectrpc asks before it reads the request."""

    def __init__(self, service: ServiceDescriptor, chain: Chain) -> None:
        self._gates = {name: chain.gate(f"/{service.full_name}/{name}") for name in service.methods_by_name}

    async def on_start(self, ctx: "RequestContext[Any, Any]") -> None:
        refusal = self._gates[ctx.method.name].refusal()
        if refusal is not None:
            raise _connect_error(refusal)


CODECS: tuple[Codec[Any, Any], ...] = (_BinaryCodec(), _JsonCodec())
"""Both forms of messages, as this port reads and writes them."""


class ConnectApp(ConnectASGIApplication[object]):
    """All RPCs of one service. Mount it at `path`."""

    def __init__(self, service: ServiceDescriptor, handlers: object, chain: Chain) -> None:
        self._full_name = service.full_name
        super().__init__(
            service=handlers,
            endpoints=lambda bound: _endpoints(service, bound, chain),
            interceptors=[_Gatekeeper(service, chain)],
            codecs=CODECS,
            read_max_bytes=LARGEST_REQUEST,
        )

    @property
    def path(self) -> str:
        """The prefix of its RPCs' paths."""
        return f"/{self._full_name}"


def _endpoints(service: ServiceDescriptor, handlers: object, chain: Chain) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for method in service.methods:
        full_name = f"/{service.full_name}/{method.name}"
        handler = getattr(handlers, method_name(method))
        output = GetMessageClass(method.output_type)
        info: MethodInfo[Any, Any] = method_info(service, method, output)
        if method.server_streaming:
            served = _stream(full_name, handler, output, chain)
            found[full_name] = Endpoint.server_stream(method=info, function=served)
        elif method.client_streaming:
            gathered = _gathering(full_name, handler, output, chain)
            found[full_name] = Endpoint.client_stream(method=info, function=gathered)
        else:
            answered = _unary(full_name, handler, output, chain)
            found[full_name] = Endpoint.unary(method=info, function=answered)
    return found


def method_info(service: ServiceDescriptor, method: MethodDescriptor, output: type[Message]) -> MethodInfo[Any, Any]:
    """The RPC, as the library wants to know of it."""
    return MethodInfo(
        name=method.name,
        service_name=service.full_name,
        input=GetMessageClass(method.input_type),
        output=output,
        # No Connect GET: URLs get logged (answers.md 22).
        idempotency_level=IdempotencyLevel.UNKNOWN,
        stream_type=_kind(method),
    )


def _kind(method: MethodDescriptor) -> StreamType:
    if method.client_streaming:
        return StreamType.CLIENT_STREAM
    return StreamType.SERVER_STREAM if method.server_streaming else StreamType.UNARY


def _unary(method: str, handler: Unary, output: type[Message], chain: Chain) -> Callable[..., Any]:
    guard = chain.guard(method)

    async def serve(request: Any, context: "RequestContext[Any, Any]") -> Encoded:
        try:
            with guard():
                call = _call(chain, method, context)
                answer = Encoded(await handler(decoded(request), call), output)
                for text in call.warnings:
                    context.response_headers.add(WARNING, text)
                return answer
        except RpcError as error:
            raise _connect_error(error) from error

    return serve


def _stream(method: str, handler: Stream, output: type[Message], chain: Chain) -> Callable[..., Any]:
    guard = chain.guard(method)

    async def serve(request: Any, context: "RequestContext[Any, Any]") -> AsyncIterator[Encoded]:
        try:
            with guard():
                call = _call(chain, method, context)
                async for answer in handler(decoded(request), call):
                    yield Encoded(answer, output)
        except RpcError as error:
            raise _connect_error(error) from error

    return serve


def _gathering(method: str, handler: Gathering, output: type[Message], chain: Chain) -> Callable[..., Any]:
    guard = chain.guard(method)

    async def serve(requests: AsyncIterator[Any], context: "RequestContext[Any, Any]") -> Encoded:
        try:
            with guard():
                call = _call(chain, method, context)
                return Encoded(await handler((decoded(request) async for request in requests), call), output)
        except RpcError as error:
            raise _connect_error(error) from error

    return serve


def _call(chain: Chain, method: str, context: "RequestContext[Any, Any]") -> Call:
    limit = context.timeout_ms
    authorization = context.request_headers.get("authorization", "")
    return chain.call(method, authorization, None if limit is None else limit / 1000)


def _connect_error(error: RpcError) -> ConnectError:
    name = "CANCELED" if error.code.name == "CANCELLED" else error.code.name
    details = [
        ErrorDetail(
            ConnectAny(type_url=f"type.googleapis.com/{detail.DESCRIPTOR.full_name}", value=detail.SerializeToString())
        )
        for detail in error.details
    ]
    return ConnectError(ConnectCode[name], error.message, details)
