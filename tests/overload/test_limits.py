"""Size limits of requests: messages of 512 KiB, headers of 16 KiB, and 64 KiB of unread data."""

from __future__ import annotations

import asyncio
import gzip
import struct
from typing import Any

import aiohttp
import grpc
import pytest

from tests.overload.conftest import Start
from tests.support.running import WAIT_TIMEOUT, Running, public_url, soul
from tests.support.transports import RpcFailure, Transport

SERVICE = "/hfgateway.v1.GenerationService"
KIB, MIB = 1024, 1024 * 1024


def padded(size: int) -> bytes:
    """Return a submission of exactly `size` bytes, most of them in an unknown field."""
    for length in range(size - 10, size):
        head = b"\xfa\x3f" + _varint(length)
        if len(head) + length == size:
            return head + b"x" * length
    raise AssertionError(size)


def _varint(number: int) -> bytes:
    encoded = b""
    while number > 127:
        encoded += bytes([number & 127 | 128])
        number >>= 7
    return encoded + bytes([number])


async def test_messages_are_limited_to_512_kib(running: Running, client: Transport) -> None:
    if client.name == "connect-json":
        largest, one_more = (b"{%s}" % (b" " * (512 * KIB + more)) for more in (-2, -1))
    else:
        largest, one_more = padded(512 * KIB), padded(512 * KIB + 1)
    assert (len(largest), len(one_more)) == (512 * KIB, 512 * KIB + 1)
    for request, fields in ((largest, ["input"]), (one_more, ["request"])):
        with pytest.raises(RpcFailure) as refused:
            await client.call("SubmitGeneration", request)
        assert (refused.value.reason, refused.value.fields) == ("INVALID_INPUT", fields)


async def test_a_message_refused_by_grpc_itself_has_a_status_code(running: Running) -> None:
    with pytest.raises(RpcFailure) as refused:
        await running.grpc.call("SubmitGeneration", padded(4 * MIB))
    assert (refused.value.code, refused.value.details) == ("RESOURCE_EXHAUSTED", ())


async def test_a_compressed_message_that_unpacks_too_large_is_refused(running: Running) -> None:
    async with grpc.aio.insecure_channel(running.gateway.grpc_address) as channel:
        submit = channel.unary_unary(f"{SERVICE}/SubmitGeneration")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await submit(padded(64 * MIB), compression=grpc.Compression.Gzip)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    packed = gzip.compress(padded(64 * MIB))
    assert len(packed) < 100 * KIB
    unary = {"content-type": "application/proto", "content-encoding": "gzip"}
    web = {"content-type": "application/grpc-web+proto", "grpc-encoding": "gzip"}
    url = f"{running.gateway.http_address}{SERVICE}/SubmitGeneration"
    async with aiohttp.ClientSession() as session:
        async with session.post(url, data=packed, headers=unary) as response:
            assert response.status == 400
        async with session.post(url, data=struct.pack(">BI", 1, len(packed)) + packed, headers=web) as response:
            assert b"grpc-status: 3" in await response.read() or response.headers.get("grpc-status") == "3"


async def with_metadata(running: Running, size: int) -> grpc.StatusCode:
    """Return the status code of a call with `size` bytes of additional metadata."""
    async with grpc.aio.insecure_channel(running.gateway.grpc_address) as channel:
        call = channel.unary_unary(f"{SERVICE}/GetGeneration")(b"", metadata=(("x-own", "x" * size),))
        return await call.code()  # type: ignore[no-any-return]


async def test_metadata_is_limited_to_16_kib(running: Running) -> None:
    for size in (1 * KIB, 15 * KIB):
        assert await with_metadata(running, size) is grpc.StatusCode.INVALID_ARGUMENT, "there is no id"
    for size in (16 * KIB + 1, 64 * KIB, MIB):
        assert await with_metadata(running, size) is grpc.StatusCode.RESOURCE_EXHAUSTED


async def opened(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = address.removeprefix("http://").rsplit(":", 1)
    return await asyncio.open_connection(host, int(port))


async def answer_to(address: str, *parts: bytes) -> bytes:
    """Send the parts; return the response up to the end of the connection."""
    reader, writer = await opened(address)
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0)
    async with asyncio.timeout(WAIT_TIMEOUT):
        answer = await reader.read()
    writer.close()
    return answer


BEGIN, END = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n", b"connection: close\r\n\r\n"
FAR_TOO_LARGE = 40 * KIB
HEADS = {
    "one long header": BEGIN + b"x-own: " + b"x" * FAR_TOO_LARGE + b"\r\n" + END,
    "many headers": BEGIN + b"x-own: 1234\r\n" * (FAR_TOO_LARGE // 9) + END,
    "a long name": BEGIN + b"x" * FAR_TOO_LARGE + b": 1\r\n" + END,
    "a long path": b"GET /healthz?" + b"x" * FAR_TOO_LARGE + b" HTTP/1.1\r\nhost: localhost\r\n" + END,
    "a header without end": BEGIN + b"x-own: " + b"x" * FAR_TOO_LARGE,
    "a path without end": b"GET /" + b"x" * FAR_TOO_LARGE,
    "headers without end": BEGIN + b"x-own: 1234\r\n" * (FAR_TOO_LARGE // 9),
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("size", [100, 1 << 20], ids=["in pieces", "at once"])
async def test_an_http_head_over_16_kib_is_refused(running: Running, head: bytes, size: int) -> None:
    parts = [head[at : at + size] for at in range(0, len(head), size)]
    try:
        answer = await answer_to(running.gateway.http_address, *parts)
    except ConnectionError:
        return  # the gateway closed the connection during the write, and the response is lost
    assert answer.startswith(b"HTTP/1.1 431 ") or answer == b""


async def test_http_heads_of_15_kib_are_read_repeatedly_on_one_connection(running: Running) -> None:
    large = BEGIN + b"x-own: " + b"x" * 15 * KIB + b"\r\n"
    answer = await answer_to(running.gateway.http_address, (large + b"\r\n") * 5, large + END)
    assert answer.count(b"HTTP/1.1 200 OK") == 6


async def test_a_large_body_behind_a_small_head_is_read(running: Running) -> None:
    body = soul("a fox").SerializeToString() + padded(400 * KIB)
    head = (
        f"POST {SERVICE}/SubmitGeneration HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/proto\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n"
    ).encode()
    answer = await answer_to(running.gateway.http_address, head, b"\r\n" + body)
    assert answer.startswith(b"HTTP/1.1 200 OK")


async def test_the_webhook_port_limits_http_heads(start: Start) -> None:
    running = await start(**public_url())
    answer = await answer_to(running.gateway.http_address, HEADS["many headers"])
    assert answer.startswith(b"HTTP/1.1 431 ") or answer == b""


class Unread(asyncio.Protocol):
    """Sends an HTTP/2 preface, and records the data it receives."""

    def __init__(self) -> None:
        self.received = b""
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        transport.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")

    def data_received(self, data: bytes) -> None:
        self.received += data
        if len(self.received) >= 9 + int.from_bytes(self.received[:3], "big") and not self.greeted.done():
            self.greeted.set_result(None)


async def test_the_receive_window_of_a_call_is_64_kib(running: Running) -> None:
    host, port = running.gateway.grpc_address.rsplit(":", 1)
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(Unread, host, int(port))
    async with asyncio.timeout(WAIT_TIMEOUT):
        await protocol.greeted
    transport.close()
    length, kind = int.from_bytes(protocol.received[:3], "big"), protocol.received[3]
    assert kind == 4, "settings come first"
    settings = dict(struct.iter_unpack(">HI", protocol.received[9 : 9 + length]))
    initial_window_size = 4
    assert settings.get(initial_window_size, 65_535) <= 64 * KIB
