"""Connect's conformance service on the gateway's HTTP stack: its codecs, its errors, its server.

The official runner starts it. It reads one ServerCompatRequest from standard input, responds with its address, and
serves until the runner stops it. Its only argument is the folder of the service's generated stubs.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import AsyncIterator
from typing import Any

from connectrpc.code import Code as ConnectCode
from connectrpc.errors import ConnectError, ErrorDetail
from connectrpc.server import ConnectASGIApplication, Endpoint
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from protobuf.wkt import Any as ConnectAny

from gateway.rpc.limits.requests import MAX_REQUEST_BYTES
from gateway.rpc.transports.over_connect import CODECS, COMPRESSIONS, Encoded, method_info
from gateway.web.server import WebServer

sys.path.insert(0, sys.argv[1])
from connectrpc_conformance import config_pb2, server_compat_pb2, service_pb2  # type: ignore[import-not-found]

SERVICE = service_pb2.DESCRIPTOR.services_by_name["ConformanceService"]


def request_info(request: Any, context: Any) -> Any:
    """Return the description of a request that the client expects in the response."""
    info = service_pb2.ConformancePayload.RequestInfo()
    for name in context.request_headers:
        info.request_headers.add(name=name, value=context.request_headers.getall(name))
    if context.timeout_ms is not None:
        info.timeout_ms = int(context.timeout_ms)
    for one in request if isinstance(request, list) else [request]:
        info.requests.add().Pack(one)
    return info


def refusal(error: Any, info: Any = None) -> ConnectError:
    details = [ConnectAny(type_url=one.type_url, value=one.value) for one in error.details]
    if info is not None:
        packed = AnyMessage()
        packed.Pack(info)
        details.append(ConnectAny(type_url=packed.type_url, value=packed.value))
    name = config_pb2.Code.Name(error.code).removeprefix("CODE_")
    return ConnectError(ConnectCode[name], error.message, [ErrorDetail(one) for one in details])


def send_metadata(definition: Any, context: Any) -> None:
    for wanted, headers in (
        (definition.response_headers, context.response_headers),
        (definition.response_trailers, context.response_trailers),
    ):
        for header in wanted:
            for value in header.value:
                headers.add(header.name, value)


async def answer(requests: list[Any], context: Any, answer_class: type[Message]) -> Encoded:
    definition = requests[0].response_definition if requests else service_pb2.UnaryResponseDefinition()
    info = request_info(requests, context)
    send_metadata(definition, context)
    await asyncio.sleep(definition.response_delay_ms / 1000)
    if definition.HasField("error"):
        raise refusal(definition.error, info)
    payload = service_pb2.ConformancePayload(data=definition.response_data, request_info=info)
    return Encoded(answer_class(payload=payload), answer_class)


async def unary(request: Any, context: Any) -> Encoded:
    return await answer([request], context, service_pb2.UnaryResponse)


async def idempotent_unary(request: Any, context: Any) -> Encoded:
    return await answer([request], context, service_pb2.IdempotentUnaryResponse)


async def client_stream(requests: AsyncIterator[Any], context: Any) -> Encoded:
    return await answer([one async for one in requests], context, service_pb2.ClientStreamResponse)


async def server_stream(request: Any, context: Any) -> AsyncIterator[Encoded]:
    definition = request.response_definition
    send_metadata(definition, context)
    info = request_info(request, context)
    for index, data in enumerate(definition.response_data):
        await asyncio.sleep(definition.response_delay_ms / 1000)
        payload = service_pb2.ConformancePayload(data=data, request_info=None if index else info)
        yield Encoded(service_pb2.ServerStreamResponse(payload=payload), service_pb2.ServerStreamResponse)
    if definition.HasField("error"):
        raise refusal(definition.error, None if definition.response_data else info)


def endpoints(_: object) -> dict[str, Any]:
    served = {
        "Unary": (Endpoint.unary, unary),
        "IdempotentUnary": (Endpoint.unary, idempotent_unary),
        "ClientStream": (Endpoint.client_stream, client_stream),
        "ServerStream": (Endpoint.server_stream, server_stream),
    }
    found = {}
    for name, (kind, function) in served.items():
        method = SERVICE.methods_by_name[name]
        info = method_info(SERVICE, method, GetMessageClass(method.output_type))
        found[f"/{SERVICE.full_name}/{name}"] = kind(method=info, function=function)
    return found


class App(ConnectASGIApplication[object]):
    """The service at the paths of its methods."""

    @property
    def path(self) -> str:
        return f"/{SERVICE.full_name}"


def read_message(kind: type[Message]) -> Any:
    (size,) = struct.unpack(">I", sys.stdin.buffer.read(4))
    return kind.FromString(sys.stdin.buffer.read(size))


def write_message(message: Message) -> None:
    content = message.SerializeToString()
    sys.stdout.buffer.write(struct.pack(">I", len(content)) + content)
    sys.stdout.buffer.flush()


async def serve() -> None:
    asked = read_message(server_compat_pb2.ServerCompatRequest)
    app: Any = App(
        service=object(),
        endpoints=endpoints,
        codecs=CODECS,
        compressions=COMPRESSIONS,
        read_max_bytes=asked.message_receive_limit or MAX_REQUEST_BYTES,
    )
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    server = WebServer(app, [listening])
    await server.start()
    host, port = listening.getsockname()
    write_message(server_compat_pb2.ServerCompatResponse(host=host, port=port))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
