"""TLS on both ports, and client certificates."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import resource
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from gateway import certificates
from gateway.certificates import Certificates
from gateway.sandbox.server import Sandbox, SandboxOptions
from gateway.telemetry import redacted
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1 import token_service_pb2 as token_pb
from hfgateway.v1.token_service_pb2_grpc import TokenServiceStub
from tests.app.certificates import Authority, Pair
from tests.app.command import environment, run
from tests.durability.process import GatewayProcess, stub
from tests.support.addresses import free_address

pytestmark = pytest.mark.toolchain("openssl")
ESTIMATE = "/hfgateway.v1.GenerationService/EstimateGeneration"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.made(tmp_path)


@asynccontextmanager
async def gateway(folder: Path, served: Pair, **settings: str) -> AsyncIterator[GatewayProcess]:
    """Run a gateway process that serves with the certificate."""
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox(SandboxOptions(port=0)))
        process = GatewayProcess(folder, sandbox.url, tls_cert=str(served.cert), tls_key=str(served.key), **settings)
        yield await stack.enter_async_context(process)


def channel_to(address: str, trusted: Path | None, own: Pair | None) -> grpc.aio.Channel:
    """Return a channel, in plaintext if no authority is trusted."""
    if trusted is None:
        return grpc.aio.insecure_channel(address)
    identity = () if own is None else (own.key.read_bytes(), own.cert.read_bytes())
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(trusted.read_bytes(), *identity))


async def over_grpc(address: str, trusted: Path | None, own: Pair | None = None) -> str:
    """Call EstimateGeneration; return the credits, or the name of the status code."""
    request = pb.EstimateGenerationRequest()
    request.input.soul.prompt = "a picture"
    async with channel_to(address, trusted, own) as channel:
        try:
            answer: pb.EstimateGenerationResponse = await stub(channel).EstimateGeneration(request, timeout=60)
        except grpc.aio.AioRpcError as error:
            return str(error.code().name)
    return str(answer.cost.credits)


async def over_connect(address: str, trusted: Path, own: Pair | None = None) -> Any:
    """Make the same call with Connect JSON over HTTPS. Raises httpx.TransportError if there is no connection."""
    context = ssl.create_default_context(cafile=str(trusted))
    if own is not None:
        context.load_cert_chain(own.cert, own.key)
    async with httpx.AsyncClient(verify=context, trust_env=False) as client:
        answer = await client.post(address + ESTIMATE, json={"input": {"soul": {"prompt": "a picture"}}})
    assert answer.status_code == 200, answer.text
    return answer.json()["cost"]["credits"]


async def test_both_ports_serve_tls_only(authority: Authority, tmp_path: Path) -> None:
    async with gateway(tmp_path, authority.signed("gateway")) as process:
        assert process.http_address.startswith("https://")
        price = await over_grpc(process.address, authority.cert)
        assert float(price) > 0
        assert await over_connect(process.http_address, authority.cert) == price

        assert await over_grpc(process.address, None) == "UNAVAILABLE"
        async with httpx.AsyncClient(trust_env=False) as client:
            with pytest.raises(httpx.TransportError):
                await client.get(process.http_address.replace("https://", "http://") + "/healthz")


async def test_a_client_that_trusts_another_authority_refuses_the_gateway(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority.made(tmp_path, "stranger")
    async with gateway(tmp_path, authority.signed("gateway")) as process:
        assert await over_grpc(process.address, stranger.cert) == "UNAVAILABLE"
        with pytest.raises(httpx.TransportError):
            await over_connect(process.http_address, stranger.cert)


async def test_with_a_client_ca_only_clients_with_its_certificate_are_served(
    authority: Authority, tmp_path: Path
) -> None:
    clients, stranger = Authority.made(tmp_path, "clients"), Authority.made(tmp_path, "stranger")
    known, unknown = clients.signed("known"), stranger.signed("unknown")
    async with gateway(tmp_path, authority.signed("gateway"), tls_client_ca=str(clients.cert)) as process:
        for refused in (None, unknown):
            assert await over_grpc(process.address, authority.cert, refused) == "UNAVAILABLE"
            with pytest.raises(httpx.TransportError):
                await over_connect(process.http_address, authority.cert, refused)

        price = await over_grpc(process.address, authority.cert, known)
        assert float(price) > 0
        assert await over_connect(process.http_address, authority.cert, known) == price


async def test_both_ports_accept_clients_of_an_intermediate_authority_that_is_the_client_ca(
    authority: Authority, tmp_path: Path
) -> None:
    clients = Authority.made(tmp_path, "root").intermediate("clients")
    known = clients.signed("known")
    async with gateway(tmp_path, authority.signed("gateway"), tls_client_ca=str(clients.cert)) as process:
        price = await over_grpc(process.address, authority.cert, known)
        assert float(price) > 0
        assert await over_connect(process.http_address, authority.cert, known) == price


async def test_a_separate_webhook_port_serves_tls_and_asks_for_no_client_certificate(
    authority: Authority, tmp_path: Path
) -> None:
    clients, address = Authority.made(tmp_path, "clients"), free_address()
    terms = {"webhook_address": address, "public_url": f"https://{address}", "tls_client_ca": str(clients.cert)}
    async with gateway(tmp_path, authority.signed("gateway"), **terms):
        context = ssl.create_default_context(cafile=str(authority.cert))
        async with httpx.AsyncClient(verify=context, trust_env=False) as client:
            assert (await client.post(f"https://{address}/webhooks/higgsfield/unknown")).status_code == 404
            with pytest.raises(httpx.TransportError):
                await client.post(f"http://{address}/webhooks/higgsfield/unknown")


async def test_the_cookie_of_a_watch_token_is_sent_over_tls_only(authority: Authority, tmp_path: Path) -> None:
    async with gateway(tmp_path, authority.signed("gateway")) as process:
        request = token_pb.CreateWatchTokenRequest()
        request.filter.labels["of"] = "shop"
        async with channel_to(process.address, authority.cert, None) as channel:
            answer: token_pb.CreateWatchTokenResponse = await TokenServiceStub(channel).CreateWatchToken(request)
        context = ssl.create_default_context(cafile=str(authority.cert))
        async with httpx.AsyncClient(verify=context, trust_env=False) as client:
            headers = {"authorization": f"Bearer {answer.token}"}
            cookie = (await client.post(process.http_address + "/v1/session", headers=headers)).headers["set-cookie"]
    assert "secure" in cookie.lower().split("; ")


def test_files_that_can_only_be_loaded_later_are_loaded_then(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A renewal may change the owner or the mode at its end, which changes neither the time nor the size of a file."""
    monkeypatch.setattr(certificates, "LOAD_RETRY_DELAY", 0.0)
    caplog.set_level(logging.INFO)
    served, renewed = authority.signed("served"), authority.signed("renewed")
    loader, before = Certificates(served.cert, served.key, None), served.cert.read_bytes()
    key = renewed.key.read_bytes()
    served.cert.write_bytes(renewed.cert.read_bytes())
    served.key.write_bytes(bytes(len(key)))
    written = served.key.stat()
    for _ in range(3):
        assert loader.current().cert == before
    served.key.write_bytes(key)
    os.utime(served.key, ns=(written.st_atime_ns, written.st_mtime_ns))
    for _ in range(3):
        assert loader.current().cert == renewed.cert.read_bytes()
    logged = [record.levelname for record in caplog.records if record.name == certificates.log.name]
    assert logged == ["WARNING", "INFO"]  # each once


@pytest.mark.parametrize(
    ("changed", "content", "why"),
    [
        ("cert", b"-", "HFGATEWAY_TLS_CERT: is not a readable PEM file with certificates"),
        ("key", b"-", "HFGATEWAY_TLS_KEY: is not the private key of TLS_CERT in PEM without a password"),
        ("key", "other", "HFGATEWAY_TLS_KEY: is not the private key of TLS_CERT in PEM without a password"),
        ("key", None, "HFGATEWAY_TLS_KEY: is not a readable file"),
        ("client_ca", b"-", "HFGATEWAY_TLS_CLIENT_CA: is not a readable PEM file with certificates"),
    ],
)
def test_a_failed_reload_names_the_setting_as_a_failed_start_does(
    authority: Authority, caplog: pytest.LogCaptureFixture, changed: str, content: bytes | str | None, why: str
) -> None:
    served, client_ca = authority.signed("served"), authority.cert.with_name("client_ca.pem")
    client_ca.write_bytes(authority.cert.read_bytes())
    loader = Certificates(served.cert, served.key, client_ca)
    file = {"cert": served.cert, "key": served.key, "client_ca": client_ca}[changed]
    if content is None:
        file.unlink()
    else:
        file.write_bytes(authority.signed(content).key.read_bytes() if isinstance(content, str) else content)
    loader.current()
    assert [redacted(vars(record)["error"]) for record in caplog.records] == [why]


@pytest.mark.parametrize("asks_clients", [False, True])
def test_the_time_of_expiry_is_that_of_the_served_certificate(
    authority: Authority, caplog: pytest.LogCaptureFixture, asks_clients: bool
) -> None:
    served = authority.signed("served", -1)
    loader = Certificates(served.cert, served.key, authority.cert if asks_clients else None)

    def days() -> float:
        return (loader.current().expire_time - time.time()) / 86_400

    assert days() == pytest.approx(-1, abs=0.1)
    assert "the TLS certificate has expired: clients refuse it" in caplog.messages
    caplog.clear()
    replace(served, authority.signed("renewed", 20))
    assert days() == pytest.approx(20, abs=0.1)
    assert "the TLS certificate has expired: clients refuse it" not in caplog.messages
    replace(served, authority.signed("unusable", kind="secp256k1"))
    assert math.isnan(days())


def replace(pair: Pair, renewed: Pair) -> None:
    """Replace the served files with renewed ones, as a renewal tool does."""
    for served, new in ((pair.cert, renewed.cert), (pair.key, renewed.key)):
        put(served, new)


def put(served: Path, new: Path) -> None:
    """Replace a file atomically."""
    copy = served.with_suffix(".new")
    copy.write_bytes(new.read_bytes())
    copy.replace(served)


def test_a_renewal_is_noticed_although_it_has_the_time_and_the_size_of_the_old_files(authority: Authority) -> None:
    """A tool that copies files may keep their times, and certificates of one authority may have the same size."""
    served, renewed = authority.signed("served"), authority.signed("renewed")

    def make_alike(pair: Pair) -> None:
        for file in (pair.cert, pair.key):
            file.write_bytes(file.read_bytes().ljust(10_000, b"\n"))
            os.utime(file, (0, 0))

    make_alike(served)
    make_alike(renewed)
    loader = Certificates(served.cert, served.key, None)
    replace(served, renewed)
    for file in (served.cert, served.key):
        os.utime(file, (0, 0))
    assert loader.current().cert == renewed.cert.read_bytes()


def test_unchanged_files_that_could_not_be_opened_are_tried_again(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "LOAD_RETRY_DELAY", 0.0)
    served, renewed = authority.signed("served"), authority.signed("renewed")
    loader, before = Certificates(served.cert, served.key, None), served.cert.read_bytes()
    replace(served, renewed)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))  # no file descriptors are left
    try:
        kept = loader.current().cert
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert kept == before
    assert loader.current().cert == renewed.cert.read_bytes()


async def test_renewed_certificates_are_used_without_a_restart(authority: Authority, tmp_path: Path) -> None:
    served, successor = authority.signed("gateway"), Authority.made(tmp_path, "successor")
    renewed = successor.signed("renewed")
    async with gateway(tmp_path, served) as process, channel_to(process.address, authority.cert, None) as open_before:
        price = await over_grpc(process.address, authority.cert)
        list_all = stub(open_before).ListGenerations
        await list_all(pb.ListGenerationsRequest(), timeout=60)

        replace(served, renewed)
        assert await over_grpc(process.address, successor.cert) == price
        assert await over_connect(process.http_address, successor.cert) == price
        assert await over_grpc(process.address, authority.cert) == "UNAVAILABLE"
        with pytest.raises(httpx.TransportError):
            await over_connect(process.http_address, authority.cert)
        # Open connections stay.
        await list_all(pb.ListGenerationsRequest(), timeout=60)


async def test_a_certificate_without_its_new_key_is_not_used(authority: Authority, tmp_path: Path) -> None:
    served, successor = authority.signed("gateway"), Authority.made(tmp_path, "successor")
    renewed = successor.signed("renewed")
    async with gateway(tmp_path, served) as process:
        price = await over_grpc(process.address, authority.cert)
        put(served.cert, renewed.cert)
        assert await over_grpc(process.address, authority.cert) == price
        assert await over_connect(process.http_address, authority.cert) == price
        served.key.unlink()
        assert await over_grpc(process.address, authority.cert) == price
        files = {"HFGATEWAY_TLS_CERT": str(served.cert), "HFGATEWAY_TLS_KEY": str(served.key)}
        backup = await run("backup", str(tmp_path / "backup.db"), environment=environment(tmp_path, files))
        assert backup.code == 0, backup.err
        put(served.key, renewed.key)
        assert await over_grpc(process.address, successor.cert) == price
        assert await over_connect(process.http_address, successor.cert) == price


async def test_a_replaced_client_ca_applies_to_new_connections(authority: Authority, tmp_path: Path) -> None:
    before, after = Authority.made(tmp_path, "before"), Authority.made(tmp_path, "after")
    old, new = before.signed("old"), after.signed("new")
    demanded = tmp_path / "clients.pem"
    put(demanded, before.cert)
    async with gateway(tmp_path, authority.signed("gateway"), tls_client_ca=str(demanded)) as process:
        price = await over_grpc(process.address, authority.cert, old)
        put(demanded, after.cert)
        assert await over_grpc(process.address, authority.cert, new) == price
        assert await over_connect(process.http_address, authority.cert, new) == price
        assert await over_grpc(process.address, authority.cert, old) == "UNAVAILABLE"
        with pytest.raises(httpx.TransportError):
            await over_connect(process.http_address, authority.cert, old)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_session_of_a_removed_client_ca_is_not_resumed(
    authority: Authority, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    before, after = Authority.made(tmp_path, "before"), Authority.made(tmp_path, "after")
    old = before.signed("old")
    demanded = tmp_path / "clients.pem"
    put(demanded, before.cert)
    context = ssl.create_default_context(cafile=str(authority.cert))
    context.maximum_version = version
    context.load_cert_chain(old.cert, old.key)

    def session(address: str, resumed: ssl.SSLSession | None) -> ssl.SSLSession | None:
        host, _, port = address.rpartition(":")
        with (
            socket.create_connection((host.removeprefix("https://"), int(port)), timeout=30) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=resumed) as connection,
        ):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
            return connection.session

    async with gateway(tmp_path, authority.signed("gateway"), tls_client_ca=str(demanded)) as process:
        first = await asyncio.to_thread(session, process.http_address, None)
        assert first is not None
        await asyncio.to_thread(session, process.http_address, first)
        put(demanded, after.cert)
        with pytest.raises((OSError, AssertionError)):
            await asyncio.to_thread(session, process.http_address, first)
