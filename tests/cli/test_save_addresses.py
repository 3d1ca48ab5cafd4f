"""Which addresses `--save` connects to: public ones, and those of this machine if the gateway runs on it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from gateway import addresses
from gateway.cli.connection import Connection
from tests.app.certificates import Authority
from tests.archive.media import MediaServer
from tests.cli.test_save import CONTENT, attempted, names, saved_from

PUBLIC = "127.0.0.2"
"""An address of this machine that counts as public in these tests."""
UNREACHABLE = "127.0.0.3"
"""Another one, on which no server listens."""


class Listener:
    """A listener on 127.0.0.1 that reports whether a client has connected."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]

    def connected(self) -> bool:
        try:
            self._socket.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def inside() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


class Names:
    """A resolver that gives `answers` to the lookups of a name one after the other, and then repeats the last one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
        self.lookups = 0
        self._answers = answers
        self._resolve = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._resolved)
        monkeypatch.setattr(addresses, "REFUSED_V4", (IPv4Network("127.0.0.1/32"), *addresses.REFUSED_V4[4:]))

    def _resolved(self, host: str, port: Any, *arguments: Any, **named: Any) -> list[Any]:
        if not host.endswith(".example"):
            return self._resolve(host, port, *arguments, **named)
        answer = self._answers[min(self.lookups, len(self._answers) - 1)]
        self.lookups += 1
        return [entry for one in answer for entry in self._resolve(one, port, *arguments, **named)]


@pytest.fixture
def tls(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The TLS of cdn.example, which clients of this test trust."""
    authority = Authority.made(tmp_path_factory.mktemp("authority"))
    pair = authority.signed("cdn", hosts="DNS:cdn.example")
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(pair.cert, pair.key)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.cert))
    return serving


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]"]
)
async def test_a_remote_gateway_cannot_send_downloads_to_this_machine(
    inside: Listener, tmp_path: Path, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    assert await attempted(f"http://{host}:{inside.port}/a.png", tmp_path, local=False) == [None]
    assert not inside.connected()
    shown = capsys.readouterr().err
    assert "not public" in shown
    assert "canary" not in shown
    assert names(tmp_path) == []


@pytest.mark.parametrize("host", ["10.0.0.1", "169.254.169.254", "[fd00:ec2::254]", "192.168.0.1"])
@pytest.mark.parametrize("local", [True, False])
async def test_no_gateway_can_send_downloads_to_private_networks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], host: str, local: bool
) -> None:
    assert await attempted(f"https://{host}/a.png", tmp_path, local=local) == [None]
    assert "not public" in capsys.readouterr().err


@pytest.mark.parametrize("local", [True, False])
async def test_a_name_that_resolves_to_this_machine_is_refused(
    inside: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, local: bool
) -> None:
    Names(monkeypatch, ["127.0.0.1"])
    assert await attempted(f"https://cdn.example:{inside.port}/a.png", tmp_path, local=local) == [None]
    assert not inside.connected()


async def test_a_name_with_one_private_address_is_refused(
    inside: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Names(monkeypatch, [PUBLIC, "127.0.0.1"])
    assert await attempted(f"https://cdn.example:{inside.port}/a.png", tmp_path, local=False) == [None]
    assert not inside.connected()


async def test_save_connects_to_the_address_that_it_checked(
    inside: Listener, tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = Names(monkeypatch, [PUBLIC], ["127.0.0.1"])
    async with MediaServer() as link, MediaServer(PUBLIC, inside.port, tls) as cdn:
        target = f"https://cdn.example:{inside.port}/b.png"
        link.add("/a.png", b"", faults=[{"status": 302, "headers": {"Location": target}}])
        file = cdn.add("/b.png", CONTENT)
        (path,) = await saved_from(f"{link.url}/a.png", tmp_path, local=True)
    assert not inside.connected()
    assert resolver.lookups == 1
    assert path.read_bytes() == CONTENT
    assert [request.headers["Host"] for request in file.requests] == [f"cdn.example:{inside.port}"]


async def test_each_attempt_checks_the_name_again(
    inside: Listener, tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = Names(monkeypatch, [PUBLIC], ["127.0.0.1"])
    async with MediaServer(PUBLIC, inside.port, tls) as cdn:
        cdn.add("/a.png", CONTENT, faults=[{"cut": 200_000}])
        assert await attempted(f"https://cdn.example:{inside.port}/a.png", tmp_path, local=False) == [None]
    assert not inside.connected()
    assert resolver.lookups == 2


async def test_an_unreachable_address_falls_back_to_the_next(
    tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Names(monkeypatch, [UNREACHABLE, PUBLIC])
    async with MediaServer(PUBLIC, tls=tls) as cdn:
        cdn.add("/a.png", CONTENT)
        port = cdn.url.rpartition(":")[2]
        (path,) = await saved_from(f"https://cdn.example:{port}/a.png", tmp_path, local=False)
    assert path.read_bytes() == CONTENT


async def test_the_certificate_must_match_the_host_of_the_link(
    tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Names(monkeypatch, [PUBLIC])
    async with MediaServer(PUBLIC, tls=tls) as cdn:
        file = cdn.add("/a.png", CONTENT)
        port = cdn.url.rpartition(":")[2]
        assert await attempted(f"https://other.example:{port}/a.png", tmp_path, local=False) == [None]
    assert file.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_link_to_this_machine_cannot_redirect_to_another_port(
    inside: Listener, tmp_path: Path, host: str
) -> None:
    async with MediaServer() as link:
        target = f"https://{host}:{inside.port}/b.png"
        link.add("/a.png", b"", faults=[{"status": 302, "headers": {"Location": target}}])
        assert await attempted(f"{link.url}/a.png", tmp_path, local=True) == [None]
    assert not inside.connected()


async def test_proxies_of_the_environment_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with MediaServer() as media:
        media.add("/a.png", CONTENT)
        (path,) = await saved_from(f"{media.url}/a.png", tmp_path, local=True)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1:50051", True),
        ("[::1]:50051", True),
        ("localhost:50051", True),
        ("10.0.0.1:50051", False),
        ("gateway.example:443", False),
        ("localhost.example:443", False),
    ],
)
def test_a_gateway_at_a_loopback_address_is_local(address: str, local: bool) -> None:
    assert Connection(address, "", False, None).local is local
