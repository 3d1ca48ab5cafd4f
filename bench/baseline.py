"""A bare grpc.aio server, the lower bound for the gateway: bytes in, bytes out, one event for all streams.

`Keep` stores bytes, `Answer` returns them, and `Echo` returns its request. `Watch` streams the stored bytes, once at
its start and once for each `Publish`. The server imports the libraries that the gateway cannot do without.
"""

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import pydantic

from hfgateway.v1 import generation_service_pb2

LOADED = (sqlite3, httpx, pydantic.BaseModel, generation_service_pb2)
OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.server.max_pending_requests", 20_000),
    ("grpc.server.max_pending_requests_hard_limit", 30_000),
)


class Baseline:
    """The handlers of the bare server."""

    def __init__(self) -> None:
        self._kept = b""
        self._published = asyncio.Event()

    async def keep(self, request: bytes, _: Any) -> bytes:
        self._kept = request
        return b""

    async def answer(self, _request: bytes, _: Any) -> bytes:
        return self._kept

    async def echo(self, request: bytes, _: Any) -> bytes:
        return request

    async def publish(self, _request: bytes, _: Any) -> bytes:
        published, self._published = self._published, asyncio.Event()
        published.set()
        return b""

    async def discard(self, _request: bytes, _: Any) -> bytes:
        return b""

    async def watch(self, _request: bytes, _: Any) -> AsyncIterator[bytes]:
        while True:
            published = self._published
            yield self._kept
            await published.wait()


async def main(address: str) -> None:
    """Serve until killed."""
    baseline = Baseline()
    unary = {"Keep": baseline.keep, "Answer": baseline.answer, "Echo": baseline.echo, "Publish": baseline.publish}
    handlers = {name: grpc.unary_unary_rpc_method_handler(handler) for name, handler in unary.items()}
    handlers["Watch"] = grpc.unary_stream_rpc_method_handler(baseline.watch)
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Baseline", handlers),))
    collected = {"Export": grpc.unary_unary_rpc_method_handler(baseline.discard)}
    collector = "opentelemetry.proto.collector.trace.v1.TraceService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(collector, collected),))
    port = server.add_insecure_port(address)
    await server.start()
    print(f"baseline: on 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:0"))
