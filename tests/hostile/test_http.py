"""Malformed requests to the HTTP port get a precise response and no error in the log."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import aiohttp
import pytest

from gateway import serving
from gateway.rpc.call_limits import WEBHOOKS_OF_ONE_TOKEN
from gateway.web import webhook
from tests.hostile.conftest import Start, bad_requests, connected, read_response_head
from tests.support.running import PATIENCE, Running, eventually, public_url, soul
from tests.support.webhooks import path_of, post, request_of, webhook_body

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


@pytest.mark.parametrize("token", ["own", "unknown"])
async def test_slow_bodies_for_one_token_do_not_block_other_webhooks(
    start: Start, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    """All unknown tokens count as one."""
    monkeypatch.setattr(serving, "WEBHOOKS", SLOW)
    monkeypatch.setattr(webhook, "BODY_WITHIN", PATIENCE)
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
        await eventually(lambda: sum(answer.done() for answer in answers) == SLOW - WEBHOOKS_OF_ONE_TOKEN)
        assert all(answer.result().startswith(b"HTTP/1.1 503 ") for answer in answers if answer.done())
        answer = await post(path_of(running, "an owl"), webhook_body(request_of(running, "an owl")))
        assert answer.status == 200
        for waiting in answers:
            waiting.cancel()
        await asyncio.gather(*answers, return_exceptions=True)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:8080", "app.localhost"])
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
