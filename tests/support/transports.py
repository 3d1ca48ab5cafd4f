"""Clients with one interface, `call` and `stream`, for every transport of the gateway.

Responses are messages, and errors are raised as `RpcFailure`, the same for all transports. A request is a message, or
bytes that are sent unchanged.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote

import aiohttp
import grpc
from google.protobuf import descriptor_pool, json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2

from hfgateway.agents.v1alpha1 import agent_service_pb2
from hfgateway.v1 import (
    callback_service_pb2,
    catalog_service_pb2,
    character_service_pb2,
    error_pb2,
    generation_service_pb2,
    token_service_pb2,
    upload_service_pb2,
)

SERVICE = generation_service_pb2.DESCRIPTOR.services_by_name["GenerationService"]
SERVICES = (
    SERVICE,
    token_service_pb2.DESCRIPTOR.services_by_name["TokenService"],
    upload_service_pb2.DESCRIPTOR.services_by_name["UploadService"],
    callback_service_pb2.DESCRIPTOR.services_by_name["CallbackService"],
    catalog_service_pb2.DESCRIPTOR.services_by_name["CatalogService"],
    character_service_pb2.DESCRIPTOR.services_by_name["CharacterService"],
    agent_service_pb2.DESCRIPTOR.services_by_name["AgentService"],
)
METHODS = {method.name: method for service in SERVICES for method in service.methods}
TRANSPORTS = ("grpc", "connect-proto", "connect-json", "grpc-web")
_ENVELOPE = struct.Struct(">BI")
_END_OF_CONNECT, _TRAILERS_OF_GRPC_WEB = 0x02, 0x80
_M = TypeVar("_M", bound=Message)


class RpcFailure(Exception):  # noqa: N818 - the API's term
    """The error of a call: the name of its gRPC code, and its details as messages."""

    def __init__(self, code: str, message: str, details: tuple[Message, ...]) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.details = details

    def detail(self, kind: type[_M]) -> _M:
        """Return the only detail of this type."""
        (found,) = (detail for detail in self.details if isinstance(detail, kind))
        return found

    def has(self, kind: type[Message]) -> bool:
        """Return whether there is a detail of this type."""
        return any(isinstance(detail, kind) for detail in self.details)

    @property
    def failure(self) -> error_pb2.Failure:
        """The API's `Failure` detail."""
        return self.detail(error_pb2.Failure)

    @property
    def reason(self) -> str:
        """The reason without its prefix; empty if the transport itself refused the call."""
        if not self.has(error_pb2.Failure):
            return ""
        return error_pb2.ErrorReason.Name(self.failure.reason).removeprefix("ERROR_REASON_")

    @property
    def fields(self) -> list[str]:
        """The fields that were refused."""
        return [violation.field for violation in self.failure.field_violations]


class Transport(Protocol):
    """A client of a gateway over one transport. `timeout` is the deadline of a call, in seconds."""

    name: str

    async def call(self, method: str, request: Message | bytes, *, timeout: float | None = None) -> Any:
        """Return the response of a unary RPC."""

    def stream(
        self, method: str, request: Message | bytes, *, timeout: float | None = None
    ) -> AsyncGenerator[Any, None]:
        """Yield the responses of a streaming RPC."""

    async def close(self) -> None:
        """Close every connection."""


def open_transport(name: str, grpc_address: str, http_address: str, *, authorization: str = "") -> Transport:
    """Open the transport of this name to a gateway; `authorization` is sent with every call."""
    if name == "grpc":
        return GrpcTransport(grpc_address, authorization)
    if name == "grpc-web":
        return GrpcWebTransport(http_address, authorization)
    return ConnectTransport(http_address, authorization, codec=name.removeprefix("connect-"))


async def responses_of(client: Transport, method: str, request: Message | bytes) -> list[Any]:
    """Return all responses of a unary or streaming RPC."""
    if METHODS[method].server_streaming:
        return [answer async for answer in client.stream(method, request)]
    return [await client.call(method, request)]


class GrpcTransport:
    """A gRPC client that makes the same calls as the generated stubs.

    It accepts 8 KiB of metadata, the limit of gRPC's libraries. Python's own default lets some larger trailers pass.
    """

    name = "grpc"

    def __init__(self, address: str, authorization: str = "") -> None:
        limits = [("grpc.max_metadata_size", 8192), ("grpc.absolute_max_metadata_size", 8192)]
        self.channel = grpc.aio.insecure_channel(address, limits)
        self._metadata = (("authorization", authorization),) if authorization else ()

    async def call(self, method: str, request: Message | bytes, *, timeout: float | None = None) -> Any:
        try:
            return await self._method(method, request)(request, timeout=timeout, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise _of_grpc(error) from None

    async def stream(
        self, method: str, request: Message | bytes, *, timeout: float | None = None
    ) -> AsyncGenerator[Any, None]:
        call = self._method(method, request)(request, timeout=timeout, metadata=self._metadata)
        try:
            async for answer in call:
                yield answer
        except grpc.aio.AioRpcError as error:
            raise _of_grpc(error) from None
        finally:
            call.cancel()

    async def close(self) -> None:
        await self.channel.close()

    def _method(self, method: str, request: Message | bytes) -> Any:
        described = METHODS[method]
        if described.client_streaming:
            return self._gathering(method, request)
        kind = self.channel.unary_stream if described.server_streaming else self.channel.unary_unary
        serialise = None if isinstance(request, bytes) else type(request).SerializeToString
        return kind(
            _path(method), request_serializer=serialise, response_deserializer=_response_class(method).FromString
        )

    def _gathering(self, method: str, request: Message | bytes) -> Any:
        """Return a client-streaming call that sends this single request."""
        kind = self.channel.stream_unary(_path(method), response_deserializer=_response_class(method).FromString)
        content = request if isinstance(request, bytes) else request.SerializeToString()
        return lambda _, **options: kind(iter([content]), **options)


class _HttpTransport:
    def __init__(self, address: str, authorization: str = "") -> None:
        self._address = address
        headers = {"authorization": authorization} if authorization else {}
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None), headers=headers)

    async def close(self) -> None:
        await self._session.close()

    def _post(self, method: str, body: bytes, headers: Mapping[str, str]) -> Any:
        # aiohttp warns about large `bytes`. For a reader it does not, and still sends the content length.
        return self._session.post(self._address + _path(method), data=io.BytesIO(body), headers=headers)


class ConnectTransport(_HttpTransport):
    """A Connect client over HTTP/1.1, with protobuf or JSON as its codec."""

    def __init__(self, address: str, authorization: str = "", *, codec: str) -> None:
        super().__init__(address, authorization)
        self.name = f"connect-{codec}"
        self._codec = codec

    async def call(self, method: str, request: Message | bytes, *, timeout: float | None = None) -> Any:
        if METHODS[method].client_streaming:
            async for answer in self.stream(method, request, timeout=timeout):
                return answer
        headers = self._headers(f"application/{self._codec}", timeout)
        async with self._post(method, self._encoded(request), headers) as response:
            body = await response.read()
        if response.status == 200:
            return self._decoded(method, body)
        raise _of_connect(json.loads(body))

    async def stream(
        self, method: str, request: Message | bytes, *, timeout: float | None = None
    ) -> AsyncGenerator[Any, None]:
        headers = self._headers(f"application/connect+{self._codec}", timeout)
        async with self._post(method, self._envelopes_of(request), headers) as response:
            async for flags, content in _envelopes(response.content):
                if flags & _END_OF_CONNECT:
                    error = json.loads(content).get("error")
                    if error is not None:
                        raise _of_connect(error)
                    return
                yield self._decoded(method, content)
        raise AssertionError("the stream ended without an end message")

    async def gather(self, method: str, requests: Sequence[Message]) -> Any:
        """Call a client-streaming RPC with these requests; return the response."""
        headers = self._headers(f"application/connect+{self._codec}", None)
        async with self._post(method, self._envelopes_of(*requests), headers) as response:
            answers = [content async for flags, content in _envelopes(response.content) if not flags & _END_OF_CONNECT]
        return self._decoded(method, answers[0])

    def _envelopes_of(self, *requests: Message | bytes) -> bytes:
        return b"".join(_enveloped(self._encoded(request)) for request in requests)

    def _headers(self, content_type: str, timeout: float | None) -> dict[str, str]:
        headers = {"content-type": content_type, "connect-protocol-version": "1"}
        return headers if timeout is None else headers | {"connect-timeout-ms": str(round(timeout * 1000))}

    def _encoded(self, request: Message | bytes) -> bytes:
        if isinstance(request, bytes):
            return request
        if self._codec == "json":
            return json_format.MessageToJson(request).encode()
        return bytes(request.SerializeToString())

    def _decoded(self, method: str, content: bytes) -> Any:
        answer_class = _response_class(method)
        return json_format.Parse(content, answer_class()) if self._codec == "json" else answer_class.FromString(content)


class GrpcWebTransport(_HttpTransport):
    """A gRPC-Web client over HTTP/1.1, like that of a browser."""

    name = "grpc-web"

    async def call(self, method: str, request: Message | bytes, *, timeout: float | None = None) -> Any:
        answers = [answer async for answer in self.stream(method, request, timeout=timeout)]
        assert len(answers) == 1, answers
        return answers[0]

    async def stream(
        self, method: str, request: Message | bytes, *, timeout: float | None = None
    ) -> AsyncGenerator[Any, None]:
        headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
        if timeout is not None:
            headers["grpc-timeout"] = f"{round(timeout * 1000)}m"
        body = request if isinstance(request, bytes) else request.SerializeToString()
        async with self._post(method, _enveloped(body), headers) as response:
            assert response.status == 200, response.status
            if "grpc-status" in response.headers:
                _check_trailers({name.lower(): value for name, value in response.headers.items()})
            async for flags, content in _envelopes(response.content):
                if flags & _TRAILERS_OF_GRPC_WEB:
                    lines = content.decode("ascii").strip().splitlines()
                    trailers = dict(line.split(":", 1) for line in lines)
                    _check_trailers({name.strip().lower(): value.strip() for name, value in trailers.items()})
                    return
                yield _response_class(method).FromString(content)
        raise AssertionError("the stream ended without trailers")


def _path(method: str) -> str:
    return f"/{METHODS[method].containing_service.full_name}/{method}"


def _response_class(method: str) -> Any:
    return GetMessageClass(METHODS[method].output_type)


def _enveloped(content: bytes) -> bytes:
    return _ENVELOPE.pack(0, len(content)) + content


async def _envelopes(body: aiohttp.StreamReader) -> AsyncIterator[tuple[int, bytes]]:
    while head := await body.read(1):
        flags, length = _ENVELOPE.unpack(head + await body.readexactly(_ENVELOPE.size - 1))
        yield flags, await body.readexactly(length)


def _of_grpc(error: grpc.aio.AioRpcError) -> RpcFailure:
    metadata = error.trailing_metadata() or ()
    packed = [value for name, value in metadata if name == "grpc-status-details-bin"]
    return _of_status(error.code().name, error.details() or "", packed[0] if packed else b"")


def _check_trailers(trailers: Mapping[str, str]) -> None:
    number = int(trailers["grpc-status"])
    if number:
        names = {code.value[0]: code.name for code in grpc.StatusCode}
        packed = trailers.get("grpc-status-details-bin", "")
        raise _of_status(names[number], unquote(trailers.get("grpc-message", "")), _unbase64(packed))


def _of_status(code: str, message: str, packed: bytes) -> RpcFailure:
    status = status_pb2.Status.FromString(packed)
    if packed:
        assert status.message == message
        assert grpc.StatusCode[code].value[0] == status.code
    return RpcFailure(code, message, tuple(_unpacked(detail) for detail in status.details))


def _of_connect(error: Mapping[str, Any]) -> RpcFailure:
    code = error["code"].upper()
    details = [
        AnyMessage(type_url=f"type.googleapis.com/{detail['type']}", value=_unbase64(detail["value"]))
        for detail in error.get("details", ())
    ]
    unpacked = tuple(_unpacked(detail) for detail in details)
    return RpcFailure("CANCELLED" if code == "CANCELED" else code, error.get("message", ""), unpacked)


def _unpacked(detail: AnyMessage) -> Message:
    assert error_details_pb2.DESCRIPTOR, "registers the standard details"
    described = descriptor_pool.Default().FindMessageTypeByName(detail.TypeName())
    message = GetMessageClass(described)()
    assert detail.Unpack(message)
    return message


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise AssertionError(f"not base64: {text}") from error
