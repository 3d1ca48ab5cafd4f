"""Malformed requests to the HTTP port get a precise response and no error in the log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import aiohttp
import pytest

from gateway.generations.watching import watch
from gateway.rpc.limits import call_limits
from gateway.rpc.limits.call_limits import MAX_WEBHOOKS_PER_TOKEN
from gateway.web import server, webhook
from hfgateway.v1 import generation_service_pb2 as pb
from tests.hostile.conftest import Start, bad_requests, connected, read_response_head
from tests.support.running import WAIT_TIMEOUT, Running, eventually, public_url, soul
from tests.support.transports import RpcFailure
from tests.support.webhooks import path_of, post, request_of, webhook_body

UPLOAD = "/hfgateway.v1.UploadService/UploadMedia"
UNARY = "/hfgateway.v1.GenerationService/GetGeneration"
SLOW = 60
"""Concurrent slow bodies, more than the webhook route accepts in these tests."""


@pytest.mark.parametrize("name", [b"authorization", b"content-type", b"x-own", b"origin", b"host"])
async def test_a_header_that_is_not_utf8_is_refused(
    running: Running, name: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(running.gateway.http_address) as (reader, writer):
        writer.write(b"POST %s HTTP/1.1\r\nhost: localhost\r\n%s: \xff\xfe\r\n\r\n" % (UNARY.encode(), name))
        assert (await read_response_head(reader)).startswith(b"HTTP/1.1 400 ")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert await bad_requests(running, "encoding") == 1


async def test_a_header_whose_name_is_not_ascii_is_refused(running: Running) -> None:
    async with connected(running.gateway.http_address) as (reader, writer):
        writer.write("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-größe: 5\r\n\r\n".encode())
        assert (await read_response_head(reader)).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("content_type", ["application/grpc", "application/grpc+proto"])
async def test_grpc_on_the_http_port_is_refused_with_a_hint(
    running: Running, content_type: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = running.gateway.http_address + UNARY
    headers = {"content-type": content_type}
    async with aiohttp.ClientSession() as session, session.post(url, data=b"", headers=headers) as answer:
        assert answer.status == 415
        assert "gRPC" in await answer.text()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert await bad_requests(running, "encoding") == 1


@pytest.mark.parametrize(
    ("method", "path", "content_type", "status", "hint"),
    [
        ("POST", UNARY, "application/x-www-form-urlencoded", 415, "application/json"),
        ("POST", f"{UNARY}s", "application/json", 404, "no such RPC"),
        ("GET", UNARY, "application/json", 405, "POST"),
    ],
)
async def test_a_refusal_without_an_error_of_connect_has_a_text(
    running: Running, *, method: str, path: str, content_type: str, status: int, hint: str
) -> None:
    url = running.gateway.http_address + path
    headers = {"content-type": content_type}
    async with aiohttp.ClientSession() as session, session.request(method, url, data=b"{}", headers=headers) as answer:
        assert answer.status == status
        assert hint in await answer.text()


ODD = {
    "a timeout that is not a number": {"connect-timeout-ms": "soon"},
    "an endless timeout": {"connect-timeout-ms": "9" * 400},
    "a version of another protocol": {"connect-protocol-version": "9"},
    "an unknown encoding": {"content-encoding": "zip"},
    "an invalid grpc-timeout": {"content-type": "application/grpc-web+proto", "grpc-timeout": "x"},
    "an unknown codec": {"content-type": "application/grpc-web+xml"},
    "an invalid content type": {"content-type": "application/proto;;;"},
}


@pytest.mark.parametrize("headers", ODD.values(), ids=ODD)
async def test_a_malformed_header_is_not_an_internal_error(
    start: Start, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    running = await start()
    given = {"content-type": "application/proto"} | headers
    url = running.gateway.http_address + UNARY
    async with aiohttp.ClientSession() as session, session.post(url, data=b"", headers=given) as answer:
        assert answer.status < 500
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    ("name", "values", "status"),
    [
        ("content-type", ("application/grpc", "application/json"), 415),
        ("content-type", ("application/json", "application/grpc"), 404),
        ("connect-timeout-ms", ("soon", "5000"), 400),
        ("connect-timeout-ms", ("5000", "soon"), 404),
    ],
)
async def test_the_first_of_two_values_of_a_header_counts(
    start: Start, caplog: pytest.LogCaptureFixture, name: str, values: tuple[str, str], status: int
) -> None:
    running = await start()
    async with connected(running.gateway.http_address) as (reader, writer):
        head = f"POST {UNARY} HTTP/1.1\r\nhost: localhost\r\n" + "".join(f"{name}: {one}\r\n" for one in values)
        head += "content-type: application/json\r\nconnection: close\r\ncontent-length: 10\r\n\r\n"
        writer.write(head.encode() + b'{"id":"x"}')
        async with asyncio.timeout(WAIT_TIMEOUT):
            answer = await reader.read()
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert (b"hfgateway.v1.Failure" in answer) == (status != 415)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("token", ["own", "unknown"])
async def test_slow_bodies_for_one_token_do_not_block_other_webhooks(
    start: Start, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    """All unknown tokens count as one."""
    monkeypatch.setattr(call_limits, "MAX_WEBHOOKS", SLOW)
    monkeypatch.setattr(webhook, "BODY_TIMEOUT", WAIT_TIMEOUT)
    running = await start(**public_url())
    await running.submit(soul("a fox"))
    await running.submit(soul("an owl"))
    own = urlsplit(path_of(running, "a fox")).path
    async with AsyncExitStack() as stack:
        answers = []
        for number in range(SLOW):
            reader, writer = await stack.enter_async_context(connected(running.gateway.http_address))
            path = own if token == "own" else f"/webhooks/higgsfield/stranger-{number}"
            writer.write(f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n".encode())
            answers.append(asyncio.create_task(read_response_head(reader)))
        # Requests beyond the limit get a response first; the others wait for their bodies.
        await eventually(lambda: sum(answer.done() for answer in answers) == SLOW - MAX_WEBHOOKS_PER_TOKEN)
        assert all(answer.result().startswith(b"HTTP/1.1 503 ") for answer in answers if answer.done())
        answer = await post(path_of(running, "an owl"), webhook_body(request_of(running, "an owl")))
        assert answer.status == 200
        for waiting in answers:
            waiting.cancel()
        await asyncio.gather(*answers, return_exceptions=True)


async def test_the_webhooks_of_all_generations_that_are_read_at_once_are_limited(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_limits, "MAX_WEBHOOKS", 1)
    monkeypatch.setattr(webhook, "BODY_TIMEOUT", WAIT_TIMEOUT)
    running = await start(**public_url())
    await running.submit(soul("a fox"))
    await running.submit(soul("an owl"))
    own, other = urlsplit(path_of(running, "a fox")).path, path_of(running, "an owl")
    body = webhook_body(request_of(running, "an owl"))
    async with connected(running.gateway.http_address) as (reader, writer), asyncio.timeout(WAIT_TIMEOUT):
        writer.write(f"POST {own} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n".encode())
        unknown = f"{running.gateway.http_address}/webhooks/higgsfield/stranger"
        while (answer := await post(unknown, b"")).status == 404:
            pass  # until the slow one has its place
        assert answer.status == 503
        assert (await post(other, body)).status == 503
        writer.write(bytes(100))
        await read_response_head(reader)
    assert (await post(other, body)).status == 200


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:80", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:8080", "app.localhost"]
)
async def test_any_loopback_host_name_is_accepted_without_keys(start: Start, host: str) -> None:
    running = await start()
    url = running.gateway.http_address + "/healthz"
    async with aiohttp.ClientSession() as session, session.get(url, headers={"host": host}) as answer:
        assert answer.status == 200


async def test_the_ipv6_loopback_address_is_served_without_keys(start: Start) -> None:
    running = await start(HTTP_ADDRESS="[::1]:0")
    async with aiohttp.ClientSession() as session, session.get(running.gateway.http_address + "/healthz") as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:1", "http://localhost.evil.example"]
)
async def test_foreign_origins_are_refused_without_keys(start: Start, origin: str) -> None:
    running = await start(ALLOWED_ORIGINS="https://app.example.com")
    url = f"{running.gateway.http_address}/hfgateway.v1.GenerationService/SubmitGeneration"
    body = soul("a fox").SerializeToString()
    async with aiohttp.ClientSession() as session:
        for allowed in (running.gateway.http_address, "https://app.example.com"):
            headers = {"content-type": "application/proto", "origin": allowed}
            async with session.post(url, data=body, headers=headers) as answer:
                assert answer.status == 200
        headers = {"content-type": "application/proto", "origin": origin}
        async with session.post(url, data=soul("a crow").SerializeToString(), headers=headers) as answer:
            assert answer.status == 403
    assert running.ledger.summary()["charge_count"] == 1
    assert await bad_requests(running, "origin") == 1


async def test_a_watch_ends_with_its_connection_although_a_request_is_queued_behind_it(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "HEARTBEAT", 0.02)
    running = await start()
    queued = await running.submit(soul("a fox"))
    async with connected(running.gateway.http_address) as (reader, writer):
        for path in (f"/v1/generations/{queued.id}/events", "/healthz"):
            writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        assert (await read_response_head(reader)).startswith(b"HTTP/1.1 200 ")
        await running.metric_becomes("hfgateway_places_waiting", 1)
    await running.metric_becomes("hfgateway_places_waiting", 0)


@pytest.mark.parametrize(
    ("first", "again"),
    [(b"0\r\nx-trailer: ", b"x" * 4096), (b"1;x=", b"x" * 4096), (b"", b"1\r\nx\r\n" * 512)],
    ids=["a trailer", "an extension", "small chunks"],
)
async def test_an_endless_part_of_a_chunked_body_is_cut_off(start: Start, first: bytes, again: bytes) -> None:
    """Small chunks are no attack: their bytes are parts of the body, which has its own limit."""
    running = await start()
    async with connected(running.gateway.http_address) as (reader, writer):
        head = f"POST {UNARY} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/proto\r\n"
        writer.write(head.encode() + b"transfer-encoding: chunked\r\n\r\n" + first)
        async with asyncio.timeout(WAIT_TIMEOUT):
            with contextlib.suppress(ConnectionError):
                for _ in range(100):  # more than the gateway reads at once
                    writer.write(again)
                    await writer.drain()
                if not first:
                    writer.write(b"0\r\n\r\n")
                answer = await reader.read(9)
                assert bool(answer) == (not first)
    assert await bad_requests(running, "size") == bool(first)


@pytest.mark.parametrize(
    "framing", [b"content-length: 2\r\n\r\n{}", b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"]
)
async def test_a_body_in_a_request_for_an_upgrade_is_refused(start: Start, framing: bytes) -> None:
    """The parser would take the body for the other protocol, and the request for one without a body."""
    running = await start()
    head = f"POST {UNARY} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n".encode()
    async with connected(running.gateway.http_address) as (reader, writer):
        writer.write(head + b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: \r\n" + framing)
        async with asyncio.timeout(WAIT_TIMEOUT):
            answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"\r\n\r\n") == 1
    assert b"without the Upgrade header" in answer


@pytest.mark.parametrize("framing", [b"", b"content-length: 0\r\n"])
async def test_a_request_for_an_upgrade_without_a_body_is_served(start: Start, framing: bytes) -> None:
    running = await start()
    async with connected(running.gateway.http_address) as (reader, writer):
        head = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: h2c\r\n"
        writer.write(head + framing + b"\r\n")
        assert (await read_response_head(reader)).startswith(b"HTTP/1.1 200 ")


async def test_requests_behind_one_for_an_upgrade_are_served(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    running = await start()
    upgrade = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: h2c\r\n\r\n"
    async with connected(running.gateway.http_address) as (reader, writer):
        writer.write(upgrade * 3 + b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        async with asyncio.timeout(WAIT_TIMEOUT):
            answers = await reader.read()
    assert answers.count(b"HTTP/1.1 200 ") == 4
    assert answers.endswith(b"ready\n")
    assert "WebSocket" not in caplog.text  # advice to install a library that would change nothing


async def test_a_head_of_a_stream_of_events_opens_no_watch(start: Start) -> None:
    running = await start()
    queued = await running.submit(soul("a fox"))
    url = f"{running.gateway.http_address}/v1/generations/{queued.id}/events"
    async with aiohttp.ClientSession() as session, session.head(url) as answer:
        assert answer.status == 405
    assert await running.metric("hfgateway_places_waiting") == 0


async def test_a_stop_ends_an_upload_that_never_arrives_without_an_error(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "DRAIN_TIMEOUT", 0.1)
    running = await start()
    async with connected(running.gateway.http_address) as (_, writer):
        head = f"POST {UPLOAD} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/connect+proto\r\n"
        writer.write(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
        await running.calls_open("UploadMedia", 1, "UploadService")
        await running.stop_gateway()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "run_asgi" not in {task.get_coro().__name__ for task in asyncio.all_tasks()}  # type: ignore[union-attr]


@pytest.mark.parametrize("transport", ["connect-proto", "connect-json", "grpc-web"])
@pytest.mark.parametrize("timeout", [-1.0, 1e10], ids=["negative", "too long"])
async def test_a_malformed_timeout_gets_the_details_of_an_error(start: Start, transport: str, timeout: float) -> None:
    running = await start()
    client = running.transports[transport]
    with pytest.raises(RpcFailure) as unary:
        await client.call("GetGeneration", pb.GetGenerationRequest(id="x"), timeout=timeout)
    with pytest.raises(RpcFailure) as stream:
        await anext(client.stream("WatchGeneration", pb.WatchGenerationRequest(id="x"), timeout=timeout))
    for error in (unary.value, stream.value):
        assert (error.code, error.reason) == ("INVALID_ARGUMENT", "INVALID_INPUT")
        assert [one.field for one in error.failure.field_violations] == [
            "grpc-timeout" if transport == "grpc-web" else "connect-timeout-ms"
        ]
    assert await bad_requests(running, "encoding") == 2
