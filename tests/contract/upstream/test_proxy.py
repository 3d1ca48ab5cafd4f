"""Calls of Higgsfield over an HTTP proxy: what fails before there is a connection is certainly unsent."""

from __future__ import annotations

import asyncio
import base64

import httpx
import pytest

from gateway.higgsfield.transport import AioTransport
from gateway.settings.values import parse_proxy
from tests.contract.upstream.test_transport import Client, let_timers_end
from tests.support.addresses import free_address
from tests.support.connect_proxy import ConnectProxy
from tests.support.running import eventually

FAILURES = {
    "refused": (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "HTTP status 403"),
    "unknown user": (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "HTTP status 407"),
    "no target": (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\noops", "HTTP status 502"),
    "redirected": (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n", "HTTP status 302"),
    "closed": (b"", "the proxy did not open a connection"),
    "a part of a head": (b"HTTP/1.1 20", "the proxy did not open a connection"),
    "garbage": (b"\x00\x01garbage\r\n\r\n", "the proxy did not open a connection"),
    "closed after it": (b"HTTP/1.1 200 OK\r\n\r\n", "ClientConnector"),
    "no TLS after it": (b"HTTP/1.1 200 OK\r\n\r\nthis is no TLS\r\n", "ClientConnector"),
}


def over(proxy: str) -> Client:
    return Client(AioTransport(proxy=f"http://{proxy}"))


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_proxy_that_opens_no_connection_has_certainly_sent_nothing(failure: str) -> None:
    async with ConnectProxy() as proxy, over(proxy.address) as client:
        proxy.response, why = FAILURES[failure]
        with pytest.raises(httpx.ConnectError, match=why) as failed:
            await client.post("https://higgsfield.test/model?signature=canary", json={})
        assert proxy.asked == ["higgsfield.test:443"]
        assert "canary" not in str(failed.value)


async def test_a_proxy_that_does_not_respond_has_certainly_sent_nothing() -> None:
    async with ConnectProxy() as proxy, over(proxy.address) as client:
        proxy.hangs = True
        call = asyncio.create_task(client.post("https://higgsfield.test/model", json={}))
        await eventually(lambda: bool(proxy.asked))
        await let_timers_end(call)
        with pytest.raises(httpx.ConnectTimeout):
            await call


async def test_without_its_proxy_a_request_is_certainly_not_sent() -> None:
    async with over(free_address()) as client:
        with pytest.raises(httpx.ConnectError):
            await client.post("https://higgsfield.test/model", json={})


async def test_a_proxy_without_a_password_gets_no_credentials_of_higgsfield() -> None:
    async with ConnectProxy() as proxy:
        transport = AioTransport(headers={"Authorization": "Key id:canary"}, proxy=f"http://{proxy.address}")
        async with Client(transport) as client:
            with pytest.raises(httpx.ConnectError):
                await client.post("https://higgsfield.test/model", json={}, headers={"idempotency-key": "canary"})
        (head,) = proxy.heads
    assert "canary" not in head
    assert "authorization" not in head.lower()


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("egress:p%40ss%3Aw%20rd", b"egress:p@ss:w rd"),
        ("%C3%A9gress:pr%E2%82%ACis", "égress:pr€is".encode()),
        ("égress:pr€is", "égress:pr€is".encode()),
        ("egress:%E9", b"egress:\xe9"),
        ("egress:\udce9", b"egress:\xe9"),
        ("egress", b"egress:"),
    ],
)
async def test_a_proxy_gets_the_user_and_password_in_the_bytes_of_its_url(given: str, sent: bytes) -> None:
    async with ConnectProxy() as proxy:
        settings = parse_proxy(f"{given}@{proxy.address}", "")
        assert settings is not None
        async with Client(AioTransport(proxy=settings.url)) as client:
            with pytest.raises(httpx.ConnectError):
                await client.post("https://higgsfield.test/model", json={})
        (head,) = proxy.heads
    assert f"\r\nProxy-Authorization: Basic {base64.b64encode(sent).decode()}\r\n" in head
