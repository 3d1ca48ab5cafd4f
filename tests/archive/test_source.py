"""Allowed sources of outputs: public hosts, and never the local network, whatever the URL is."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import pytest

from gateway.addresses import LOOPBACK, allowed
from gateway.archive.download import Download
from gateway.archive.ports import Checkpoint, SourceError
from gateway.archive.throttle import Throttle
from gateway.generations.clock import SystemClock
from gateway.higgsfield.media import CHUNK, MediaSource
from gateway.settings.values import Proxy
from tests.archive.media import MediaServer
from tests.support.connect_proxy import ConnectProxy
from tests.support.running import WAIT_TIMEOUT

PRIVATE = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.8.9.10", "169.254.169.254", "172.16.0.1", "192.0.0.8",
    "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1", "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:a00:1::1", "fc00::1", "fd00:ec2::254",
    "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "100::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::"]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_refused(address: str) -> None:
    assert not allowed(address, ())


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert allowed(address, ())


def test_loopback_addresses_are_recognised_in_every_form() -> None:
    assert all(allowed(address, LOOPBACK) for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])


async def fetched(source: MediaSource, url: str, after: Checkpoint | None = None) -> bytes:
    try:
        async with source.open(url, after) as answer:
            return b"".join([chunk async for chunk in answer.chunks])
    finally:
        await source.aclose()


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "2130706433", "0", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]"],
)
async def test_with_the_real_higgsfield_loopback_urls_are_not_fetched(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        port = listening.getsockname()[1]
        with pytest.raises(SourceError):
            await fetched(MediaSource(timeout=5, local=False), f"https://{host}:{port}/a.png?Signature=canary")
        with pytest.raises(BlockingIOError):
            listening.accept()  # no connection was made


@pytest.mark.parametrize("host", ["10.0.0.1", "169.254.169.254", "[fd00:ec2::254]", "192.168.0.1"])
async def test_with_a_sandbox_private_networks_are_not_fetched(host: str) -> None:
    with pytest.raises(SourceError, match="not a public address") as refused:
        await fetched(MediaSource(timeout=5, local=True), f"http://{host}/a.png?Signature=canary")
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("url", ["http://1.1.1.1/a", "ftp://1.1.1.1/a", "file:///etc/passwd", "https://", "https://[/"])
async def test_urls_of_other_schemes_are_not_fetched(url: str) -> None:
    with pytest.raises(SourceError):
        await fetched(MediaSource(timeout=5, local=False), url)


async def test_a_url_with_characters_that_urls_cannot_have_is_fetched() -> None:
    async with MediaServer() as media:
        file = media.add("/a fox é.png", b"secret")
        url = f"{media.url}/a fox é.png?Signature=a%2Fb+c%7E=&name=a fox"
        assert await fetched(MediaSource(timeout=5, local=True), url) == b"secret"
        assert file.requests[0].raw_path == "/a%20fox%20%C3%A9.png?Signature=a%2Fb+c%7E=&name=a%20fox"


async def test_redirects_of_a_media_server_are_not_followed() -> None:
    async with MediaServer() as media:
        media.add("/a", b"secret", faults=[{"status": 302, "headers": {"Location": f"{media.url}/b"}}])
        target = media.add("/b", b"secret")
        with pytest.raises(SourceError, match="302"):
            await fetched(MediaSource(timeout=5, local=True), f"{media.url}/a")
        assert target.requests == []


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"Content-Range": "bytes 3-5/6"}, "another range"),
        ({"Content-Range": "nonsense"}, "another range"),
        ({"Content-Encoding": "br"}, "compressed"),
    ],
)
async def test_an_unexpected_range_response_is_refused(headers: dict[str, Any], why: str) -> None:
    async with MediaServer() as media:
        media.add("/a", b"secret", faults=[{"headers": headers}])
        with pytest.raises(SourceError, match=why):
            await fetched(MediaSource(timeout=5, local=True), f"{media.url}/a", Checkpoint(2, '"one"'))


@pytest.mark.parametrize("encoding", ["", "identity", "Identity"])
async def test_a_file_that_is_not_encoded_is_read_whatever_word_says_so(encoding: str) -> None:
    async with MediaServer() as media:
        media.add("/a", b"secret", faults=[{"headers": {"Content-Encoding": encoding}}])
        assert await fetched(MediaSource(timeout=5, local=True), f"{media.url}/a") == b"secret"


async def test_requests_use_neither_proxies_nor_cookies(monkeypatch: pytest.MonkeyPatch) -> None:
    async with MediaServer() as media, MediaServer() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        file = media.add("/a", b"secret", faults=[{"headers": {"Set-Cookie": "canary=1"}}])
        source = MediaSource(timeout=5, local=True)
        try:
            for _ in range(2):
                async with source.open(media.url.replace("127.0.0.1", "localhost") + "/a", None) as answer:
                    assert b"".join([chunk async for chunk in answer.chunks]) == b"secret"
        finally:
            await source.aclose()
        assert ["Cookie" in request.headers for request in file.requests] == [False, False]


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "[::ffff:10.0.0.1]", "2130706433", "127.1"])
async def test_private_addresses_are_not_fetched_over_a_proxy_either(host: str) -> None:
    async with ConnectProxy() as proxy:
        source = MediaSource(timeout=5, local=False, proxy_for=Proxy(f"http://{proxy.address}", "").for_url)
        with pytest.raises(SourceError):
            await fetched(source, f"https://{host}/a.png")
        assert proxy.asked == []


async def test_a_response_whose_end_is_only_that_of_its_connection_is_refused() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf of i")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server, asyncio.timeout(WAIT_TIMEOUT):
        host, port = server.sockets[0].getsockname()
        with pytest.raises(SourceError, match="no length"):
            await fetched(MediaSource(timeout=5, local=True), f"http://{host}:{port}/a")


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"."),
        (b"HTTP/1.1 200 OK\r\nX: ", b"."),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["body", "head", "informational"],
)
async def test_a_host_that_sends_single_bytes_does_not_occupy_its_place_for_ever(first: bytes, then: bytes) -> None:
    left = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(first)
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(then)
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.close()
        left.set()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server, asyncio.timeout(WAIT_TIMEOUT):
        host, port = server.sockets[0].getsockname()
        with pytest.raises(SourceError, match="TimeoutError"):
            await fetched(MediaSource(timeout=0.3, local=True), f"http://{host}:{port}/a")
        await left.wait()


async def test_a_file_may_take_longer_than_the_timeout_of_its_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, more, passed, chunks = asyncio.get_running_loop(), asyncio.Semaphore(), 0.0, 4
    time = loop.time
    monkeypatch.setattr(loop, "time", lambda: time() + passed)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal passed
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (chunks * CHUNK))
        for _ in range(chunks):
            await more.acquire()
            passed += 600.0
            writer.write(bytes(CHUNK))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        received = 0
        source = MediaSource(timeout=1000.0, local=True)
        async with contextlib.aclosing(source), source.open(f"http://{host}:{port}/a", None) as response:
            async for chunk in response.chunks:
                received += len(chunk)
                if received % CHUNK == 0:
                    more.release()
    assert received == chunks * CHUNK


async def test_a_download_is_resumed_only_for_the_same_etag() -> None:
    async with MediaServer() as media:
        media.add("/a", b"secret")
        url = f"{media.url}/a"
        source = MediaSource(timeout=5, local=True)
        async with source.open(url, Checkpoint(2, '"one"')) as answer:
            assert (answer.offset, answer.size, answer.etag) == (2, 6, '"one"')
        assert await fetched(source, url, Checkpoint(2, '"one"')) == b"cret"
        assert await fetched(MediaSource(timeout=5, local=True), url, Checkpoint(2, '"other"')) == b"secret"


async def test_a_changed_file_is_downloaded_again_if_its_host_ignores_the_condition() -> None:
    async with MediaServer() as media:
        media.add("/a.png", b"secret", conditional=False)
        source = MediaSource(timeout=5, local=True)
        download = Download(source, f"{media.url}/a.png", Throttle(SystemClock(), 0), largest=100, planned="image/png")
        try:
            await download.start(Checkpoint(2, '"other"'))
            assert (download.after, download.etag) == (None, '"one"')
            assert b"".join([chunk async for chunk in download.chunks()]) == b"secret"
        finally:
            await download.close()
            await source.aclose()


async def test_a_broken_download_without_an_etag_is_not_resumed() -> None:
    """The file may be another one by then."""
    async with MediaServer() as media:
        file = media.add("/a.png", b"secret", etag="", faults=[{"cut": 2}])
        source = MediaSource(timeout=5, local=True)
        download = Download(source, f"{media.url}/a.png", Throttle(SystemClock(), 0), largest=100, planned="image/png")
        try:
            await download.start(None)
            with pytest.raises(SourceError):
                _ = [chunk async for chunk in download.chunks()]
            assert file.ranges == [""]
        finally:
            await download.close()
            await source.aclose()
