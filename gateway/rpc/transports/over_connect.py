"""Serves the handlers over Connect and gRPC-Web, as an ASGI app. The only module that imports connectrpc."""

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from string import ascii_letters, digits
from typing import Any

from connectrpc.code import Code as ConnectCode
from connectrpc.codec import Codec
from connectrpc.compression.gzip import GzipCompression
from connectrpc.errors import ConnectError, ErrorDetail
from connectrpc.interceptor import MetadataInterceptor
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.request import RequestContext
from connectrpc.server import ConnectASGIApplication, Endpoint
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from protobuf.wkt import Any as ConnectAny

from gateway.errors import GatewayError, printable
from gateway.rpc.call import Call
from gateway.rpc.chain import Chain, ClientStream, Guard, Response, Stream, Unary
from gateway.rpc.errors import RpcError
from gateway.rpc.limits.requests import (
    MAX_DEPTH,
    MAX_UPLOAD_REQUEST_BYTES,
    BadRequestError,
    check_spellings,
    json_object,
    largest,
    message_of,
    too_large,
)
from gateway.rpc.limits.turns import Turns
from gateway.rpc.transports.grpc_web_text import BINARY, TEXT, in_binary
from gateway.rpc.transports.over_grpc import method_name
from gateway.telemetry import Rejection

LARGE_BYTES = 4096
"""A message with more bytes waits for a turn of its tenant before it is converted from or to JSON. The conversion may
take 60 ms, so a tenant with many calls would delay those of others by seconds."""


@dataclass(slots=True)
class Encoded:
    """A response for a codec: a message, or its encoded bytes; and as JSON, if that was made already."""

    response: Response
    message_class: type[Message]
    json: bytes | None = None

    def message(self) -> Message:
        """Return the response as a message."""
        return self.message_class.FromString(self.response) if isinstance(self.response, bytes) else self.response


class _BinaryCodec:
    """Protobuf's binary encoding."""

    def name(self) -> str:
        return "proto"

    def encode(self, message: Encoded) -> bytes:
        response = message.response
        return response if isinstance(response, bytes) else response.SerializeToString()

    def decode(self, data: bytes | bytearray, message_class: type[Message]) -> Message:
        return message_of(bytes(data), message_class)


_BASE64 = (ascii_letters + digits + "+/-_\r\n").encode()
"""The letters of both kinds of base64, and line breaks. Protobuf's parser leaves out all others."""
_MAX_MESSAGES = 2 * MAX_DEPTH
"""The most levels of messages in JSON: a level of a Struct is a Value in a Struct or a ListValue."""


class _JsonCodec:
    """Protobuf's JSON encoding.

    Unknown fields and unknown names of enum values are refused. If a misspelt one were ignored, the gateway would start
    another generation than the requested one.
    """

    def name(self) -> str:
        return "json"

    def encode(self, message: Encoded) -> bytes:
        return message.json or json_format.MessageToJson(message.message(), indent=None).encode()

    def decode(self, data: bytes | bytearray, message_class: type[Message]) -> Message:
        try:
            content = json_object(data)
            chunk = content.get("chunk")  # of an upload: the only bytes in requests
            if isinstance(chunk, str) and chunk.rstrip("=\r\n").encode().translate(None, _BASE64):
                raise BadRequestError(Rejection.ENCODING, "is not base64", "chunk")
            message = json_format.ParseDict(content, message_class(), max_recursion_depth=_MAX_MESSAGES)
            check_spellings(content, message_class.DESCRIPTOR)
            return message
        # The parser does not always raise its own error for a value of the wrong type.
        except (json_format.ParseError, ValueError, TypeError, AttributeError, OverflowError) as error:
            has_text = isinstance(error, json_format.ParseError | OverflowError)
            why = printable(str(error), 300) if has_text else "is not a JSON object"
            name = message_class.DESCRIPTOR.full_name
            raise BadRequestError(Rejection.ENCODING, f"the JSON is not a {name}: {why}") from None


class _OneGzip(GzipCompression):
    """Gzip with a single member. With many members, the rest would be copied after each one."""

    def decompress(self, data: bytes | bytearray | memoryview, read_max_bytes: int | None = None) -> bytes:
        max_bytes = MAX_UPLOAD_REQUEST_BYTES if read_max_bytes is None else read_max_bytes
        inflating = zlib.decompressobj(wbits=31)
        try:
            found = inflating.decompress(data, max_bytes + 1)
        except zlib.error:
            raise BadRequestError(Rejection.ENCODING, "is not gzip") from None
        if len(found) > max_bytes:
            raise ConnectError(ConnectCode.RESOURCE_EXHAUSTED, f"is larger than {max_bytes} bytes")
        if not inflating.eof or inflating.unused_data:
            raise BadRequestError(Rejection.ENCODING, "is not one whole gzip member")
        return found


_CALL: ContextVar[Call] = ContextVar("call")
"""The call that the current task serves, after its caller was identified."""
_FAILED: ContextVar[ConnectError] = ContextVar("failed")
"""The error of the call that the current task serves."""
_MALFORMED: ContextVar[str] = ContextVar("malformed")
"""The name of the first malformed header of the call that the current task serves; "" if there is none."""
_GRPC_WEB_HEADERS = {b"grpc-timeout": re.compile(b"[0-9]{1,8}[HMSmun]")}
_CONNECT_HEADERS = {
    b"connect-protocol-version": re.compile(b"1"),
    b"connect-timeout-ms": re.compile(b"[0-9]{0,10}"),
}
"""The headers that the library would refuse itself, without details, and for a stream with an HTTP status."""
_ENCODINGS = frozenset({b"content-encoding", b"connect-content-encoding", b"grpc-encoding"})
"""The headers that name the compression of a request."""


class _GuardInterceptor(MetadataInterceptor[Guard]):
    """The interceptor of each call: identifies the caller and takes a place before the request is read.

    It converts every error, including those that the library finds in a request.
    """

    def __init__(self, service: ServiceDescriptor, chain: Chain) -> None:
        self._max_request_bytes = _largest(service)
        self._guards = {name: chain.guard(f"/{service.full_name}/{name}") for name in service.methods_by_name}

    async def on_start(self, ctx: "RequestContext[Any, Any]") -> Guard:
        guard = self._guards[ctx.method.name]()
        guard.__enter__()
        limit = ctx.timeout_ms
        authorization = ctx.request_headers.get("authorization", "")
        try:
            peer = ""
            if ctx.method.stream_type is StreamType.UNARY:
                peer = _bracketed(ctx.client_address or "")
                guard.read_headers("connectrpc", ctx.request_headers.items)
            _CALL.set(await guard.call(authorization, None if limit is None else limit / 1000, peer))
            if name := _MALFORMED.get():
                raise BadRequestError(Rejection.ENCODING, "is malformed", name)
        except GatewayError as error:
            self._leave(guard, error)
        except asyncio.CancelledError as left:
            guard.__exit__(type(left), left, None)
            raise
        return guard

    async def on_end(self, token: Guard, ctx: "RequestContext[Any, Any]", error: Exception | None) -> None:
        self._leave(token, error)

    def _leave(self, guard: Guard, error: Exception | None) -> None:
        """End a call. Raises ConnectError if it failed, unless the error is the library's and is left to it."""
        found = self._cause(error)
        try:
            guard.__exit__(None if found is None else type(found), found, None)
        except RpcError as wire_form:
            failed = _connect_error(wire_form)
            _FAILED.set(failed)
            raise failed from error

    def _cause(self, error: Exception | None) -> BaseException | None:
        """Return the error that ended a call. The library wraps errors of codecs, and raises errors itself."""
        if not isinstance(error, ConnectError):
            return error
        if isinstance(error.__cause__, GatewayError):
            return error.__cause__
        if error.code is ConnectCode.RESOURCE_EXHAUSTED:
            return too_large(self._max_request_bytes)
        if error.code in (ConnectCode.INVALID_ARGUMENT, ConnectCode.UNIMPLEMENTED):
            return BadRequestError(Rejection.ENCODING, error.message)
        return asyncio.CancelledError()  # the caller disconnected, or its deadline passed


_JSON = _JsonCodec()
CODECS: tuple[Codec[Any, Any], ...] = (_BinaryCodec(), _JSON)
"""The encodings that this port reads and writes."""
COMPRESSIONS = (_OneGzip(),)
"""The accepted compressions."""

_HINTS = {
    404: b"the service has no such RPC\n",
    405: b"RPCs need the method POST\n",
    415: b"RPCs need the header content-type: application/json, and streams application/connect+json\n",
}
"""The texts of refusals by their status."""


class ConnectApp(ConnectASGIApplication[object]):
    """All RPCs of one service. Mount it at `path`."""

    def __init__(
        self,
        service: ServiceDescriptor,
        handlers: object,
        chain: Chain,
        count_rejection: Callable[[Rejection], None] = lambda _: None,
    ) -> None:
        """`count_rejection` counts calls in protocols that this port does not support."""
        self._full_name = service.full_name
        self._count_rejection = count_rejection
        self._turns = Turns()
        super().__init__(
            service=handlers,
            endpoints=lambda bound: _endpoints(service, bound, self._turns),
            interceptors=[_GuardInterceptor(service, chain)],
            codecs=CODECS,
            compressions=COMPRESSIONS,
            read_max_bytes=_largest(service),
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a call. Plain gRPC gets 415, because it needs HTTP/2 and has its own port."""
        # The library strips the root path, and would serve each RPC at a second path that a proxy does not know.
        scope = {**scope, "root_path": ""}
        headers = dict(reversed(scope["headers"]))  # the first value of each, as for the library
        content_type = headers.get(b"content-type", b"")
        if content_type == b"application/grpc" or content_type.startswith(b"application/grpc+"):
            self._count_rejection(Rejection.ENCODING)
            body = b"gRPC has its own port: HFGATEWAY_GRPC_ADDRESS\n"
            await send({"type": "http.response.start", "status": 415, "headers": _text_headers(body)})
            await send({"type": "http.response.body", "body": body})
            return
        if content_type.startswith(TEXT):
            scope, receive, send = in_binary(scope, receive, send)
        forms = _GRPC_WEB_HEADERS if content_type.startswith(BINARY) else _CONNECT_HEADERS
        malformed = {name for name, form in forms.items() if name in headers and not form.fullmatch(headers[name])}
        _MALFORMED.set(min(malformed, default=b"").decode())
        if malformed:
            scope = {**scope, "headers": [header for header in scope["headers"] if header[0] not in malformed]}
        if b"json" in content_type.lower():  # for the library, its case does not matter
            compressed = not _ENCODINGS.isdisjoint(headers)
            receive = _in_turn(receive, self._turns, 0 if compressed else LARGE_BYTES)
        try:
            await super().__call__(scope, receive, _with_hints(send))
        finally:
            if failed := _FAILED.get(None):
                # The library keeps errors in variables of functions that their tracebacks refer to: reference cycles.
                failed.__traceback__ = failed.__cause__ = failed.__context__ = None

    @property
    def path(self) -> str:
        """The path prefix of the service's RPCs."""
        return f"/{self._full_name}"


def _in_turn(receive: Any, turns: Turns, most: int) -> Any:
    """Wait before the end of a body with more than `most` bytes, after which the library decodes it."""
    size = 0

    async def receive_in_turn() -> Any:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > most and not message.get("more_body"):
            size = 0
            await turns.next(_CALL.get().tenant)
        return message

    return receive_in_turn


def _with_hints(send: Any) -> Any:
    """Add a text to the refusals that the library sends without a body, of which curl shows nothing."""
    hint = b""

    async def send_with_hint(message: Any) -> None:
        nonlocal hint
        if message["type"] == "http.response.start" and message["status"] in _HINTS:
            headers = message["headers"]
            if b"content-type" not in dict(headers):
                hint = _HINTS[message["status"]]
                message = {**message, "headers": [*headers, *_text_headers(hint)]}
        elif hint:
            message = {**message, "body": hint}
        await send(message)

    return send_with_hint


def _text_headers(body: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]


def _largest(service: ServiceDescriptor) -> int:
    """Return the most bytes of a message to the service."""
    return max(largest(GetMessageClass(method.input_type)) for method in service.methods)


def _endpoints(service: ServiceDescriptor, handlers: object, turns: Turns) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for method in service.methods:
        handler = getattr(handlers, method_name(method))
        output = GetMessageClass(method.output_type)
        info: MethodInfo[Any, Any] = method_info(service, method, output)
        endpoint: Any
        if method.server_streaming:
            endpoint = Endpoint.server_stream(method=info, function=_stream(handler, output, turns))
        elif method.client_streaming:
            endpoint = Endpoint.client_stream(method=info, function=_answered(handler, output, turns))
        else:
            endpoint = Endpoint.unary(method=info, function=_answered(handler, output, turns))
        found[f"/{service.full_name}/{method.name}"] = endpoint
    return found


def method_info(service: ServiceDescriptor, method: MethodDescriptor, output: type[Message]) -> MethodInfo[Any, Any]:
    """Return the library's description of an RPC."""
    return MethodInfo(
        name=method.name,
        service_name=service.full_name,
        input=GetMessageClass(method.input_type),
        output=output,
        # No Connect GET: URLs get logged.
        idempotency_level=IdempotencyLevel.UNKNOWN,
        stream_type=_kind(method),
    )


def _kind(method: MethodDescriptor) -> StreamType:
    if method.client_streaming:
        return StreamType.CLIENT_STREAM
    return StreamType.SERVER_STREAM if method.server_streaming else StreamType.UNARY


def _answered(handler: Unary | ClientStream, output: type[Message], turns: Turns) -> Callable[..., Any]:
    """Return the function that serves an RPC with a single response, to one request or a stream of requests."""

    async def serve(request: Any, context: "RequestContext[Any, Any]") -> Encoded:
        call = _CALL.get()
        encoded = Encoded(await handler(request, call), output)
        if _is_json(context):
            await _encode_in_turn(encoded, call, turns)
        return encoded

    return serve


def _stream(handler: Stream, output: type[Message], turns: Turns) -> Callable[..., Any]:
    async def serve(request: Any, context: "RequestContext[Any, Any]") -> AsyncIterator[Encoded]:
        call, as_json = _CALL.get(), _is_json(context)
        call.start_waiting(request.ByteSize())
        async for response in handler(request, call):
            encoded = Encoded(response, output)
            if as_json:
                await _encode_in_turn(encoded, call, turns)
            yield encoded

    return serve


def _is_json(context: "RequestContext[Any, Any]") -> bool:
    return "json" in context.request_headers.get("content-type", "").lower()


async def _encode_in_turn(encoded: Encoded, call: Call, turns: Turns) -> None:
    """Convert a large response to JSON when it is the turn of its tenant."""
    response = encoded.response
    if (len(response) if isinstance(response, bytes) else response.ByteSize()) > LARGE_BYTES:
        await turns.next(call.tenant)
        encoded.json = _JSON.encode(encoded)


def _connect_error(error: RpcError) -> ConnectError:
    name = "CANCELED" if error.code.name == "CANCELLED" else error.code.name
    details = [ErrorDetail(ConnectAny(type_url=detail.type_url, value=detail.value)) for detail in error.status.details]
    return ConnectError(ConnectCode[name], error.message, details)


def _bracketed(address: str) -> str:
    """Return HOST:PORT with the brackets of an IPv6 address, which the library leaves out."""
    host, _, port = address.rpartition(":")
    return f"[{host}]:{port}" if ":" in host else address
