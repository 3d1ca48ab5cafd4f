"""The configuration of nginx in docs/production.md, with a real nginx and a gateway behind it."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import grpc
import pytest

from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1 import generation_service_pb2_grpc
from tests.app.certificates import Authority
from tests.docs.markdown import blocks
from tests.support.addresses import free_address
from tests.support.running import WAIT_TIMEOUT, Running, run, soul
from tests.support.silence import fall_silent_to, needs_silence
from tests.support.whole import whole

pytestmark = [pytest.mark.toolchain("nginx"), pytest.mark.toolchain("openssl")]
(SHOWN,) = (block.text for block in blocks("docs/production.md") if "grpc_pass" in block.text)
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
MANY = 150
"""More calls than nginx allows on a connection by default, which is 128."""


@dataclass(frozen=True)
class Proxied:
    """A gateway behind nginx, with the addresses of nginx."""

    running: Running
    grpc_address: str
    http_address: str
    ca: Path
    folder: Path

    def channel(self) -> grpc.aio.Channel:
        return grpc.aio.secure_channel(self.grpc_address, grpc.ssl_channel_credentials(self.ca.read_bytes()))

    def session(self) -> aiohttp.ClientSession:
        trusting = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(self.ca)))
        return aiohttp.ClientSession(f"https://{self.http_address}", connector=trusting)


def configuration(folder: Path, running: Running, grpc_address: str, http_address: str, certificates: Authority) -> str:
    """Return the documented servers with the addresses and the certificate of the test, and what is around them."""
    pair = certificates.signed("nginx")
    servers = SHOWN.replace("so_keepalive=60s:15s:4", "so_keepalive=1s:1s:1")
    for old, new, times in (
        ("listen 443", f"listen {grpc_address}", 1),
        ("listen 443", f"listen {http_address}", 1),
        ("grpc://10.0.0.7:50051", f"grpc://{running.gateway.grpc_address}", 1),
        ("http://10.0.0.7:8080", running.gateway.http_address, 2),
        ("/etc/nginx/gateway.crt", str(pair.cert), 2),
        ("/etc/nginx/gateway.key", str(pair.key), 2),
    ):
        assert servers.count(old) >= times
        servers = servers.replace(old, new, times)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n".join(f"{kind}_temp_path {folder};" for kind in kinds)
    return (
        f"daemon off; master_process off; pid {folder / 'nginx.pid'}; events {{ worker_connections 1024; }}\n"
        f"http {{\naccess_log {folder / 'access.log'};\n{temporary}\n{servers}}}\n"
    )


@pytest.fixture
async def proxied(tmp_path: Path) -> AsyncIterator[Proxied]:
    authority = Authority.made(tmp_path)
    written, errors = tmp_path / "nginx.conf", tmp_path / "error.log"
    async with run(tmp_path) as running:
        found = Proxied(running, free_address(), free_address(), authority.cert, tmp_path)
        written.write_text(configuration(tmp_path, running, found.grpc_address, found.http_address, authority))
        nginx = await asyncio.create_subprocess_exec(NGINX, "-c", written, "-e", errors)
        try:
            async with asyncio.timeout(WAIT_TIMEOUT), found.session() as session:
                while True:
                    assert nginx.returncode is None, errors.read_text()
                    try:
                        async with session.get("/healthz") as answer:
                            assert answer.status == 200
                            break
                    except aiohttp.ClientConnectionError:
                        await asyncio.sleep(0.05)
            yield found
        finally:
            if nginx.returncode is None:
                nginx.kill()
            await nginx.wait()


async def test_a_call_needs_no_room_among_many_watches_of_a_connection(proxied: Proxied) -> None:
    async with asyncio.timeout(WAIT_TIMEOUT), proxied.channel() as channel:
        stub = generation_service_pb2_grpc.GenerationServiceStub(channel)
        watches = [stub.WatchGenerations(pb.WatchGenerationsRequest()) for _ in range(MANY)]
        await asyncio.gather(*(watch.read() for watch in watches))
        await stub.ListGenerations(pb.ListGenerationsRequest())
        for watch in watches:
            watch.cancel()


@needs_silence
async def test_a_client_that_has_gone_without_a_word_leaves_its_gateway(proxied: Proxied) -> None:
    async with asyncio.timeout(WAIT_TIMEOUT), proxied.channel() as channel:
        stub = generation_service_pb2_grpc.GenerationServiceStub(channel)
        watch = stub.WatchGenerations(pb.WatchGenerationsRequest())
        await watch.read()
        await proxied.running.calls_open("WatchGenerations", 1)
        assert fall_silent_to(proxied.grpc_address) == 1
        await proxied.running.calls_open("WatchGenerations", 0)


async def test_a_refusal_with_many_details_is_not_taken_for_an_unavailable_gateway(proxied: Proxied) -> None:
    request = soul("a fox", labels={f"{'K' * 60} {number}": "v" * 300 for number in range(30)})
    async with asyncio.timeout(WAIT_TIMEOUT), proxied.channel() as channel:
        stub = generation_service_pb2_grpc.GenerationServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.SubmitGeneration(request)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    trailers = refused.value.trailing_metadata()
    assert trailers is not None
    assert sum(len(name) + len(value) for name, value in trailers) > 4096


async def test_the_largest_cookie_is_set(proxied: Proxied) -> None:
    ids = [str(uuid.uuid4()) for _ in range(76)]
    async with asyncio.timeout(WAIT_TIMEOUT), proxied.session() as session:
        made = await whole(session.post("/hfgateway.v1.TokenService/CreateWatchToken", json={"filter": {"ids": ids}}))
        token = (await made.json())["token"]
        assert len(token) > 4050
        answer = await whole(session.post("/v1/session", headers={"authorization": f"Bearer {token}"}))
        assert answer.status == 204


async def test_a_page_at_a_port_other_than_443_may_call_the_gateway(proxied: Proxied) -> None:
    headers = {"origin": f"https://{proxied.http_address}"}
    async with asyncio.timeout(WAIT_TIMEOUT), proxied.session() as session:
        listed = await whole(session.post("/hfgateway.v1.GenerationService/ListGenerations", json={}, headers=headers))
        assert listed.status == 200


async def test_uploads_and_watches_are_passed_on_as_they_arrive(proxied: Proxied) -> None:
    generation = await proxied.running.submit(soul("a fox"))
    left = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        header = b'{"header": {"contentType": "image/png"}}'
        yield b"\0" + len(header).to_bytes(4, "big") + header
        await left.wait()

    async with asyncio.timeout(WAIT_TIMEOUT), proxied.session() as session, asyncio.TaskGroup() as tasks:
        upload = session.post(
            "/hfgateway.v1.UploadService/UploadMedia",
            data=body(),
            headers={"content-type": "application/connect+json"},
        )
        uploading = tasks.create_task(whole(upload))
        await proxied.running.calls_open("UploadMedia", 1, "UploadService")
        left.set()
        await uploading
        async with session.get(f"/v1/generations/{generation.id}/events") as events:
            assert events.status == 200
            while b"event: change" not in await events.content.readline():
                pass


async def test_neither_metrics_nor_tokens_of_webhooks_are_shown(proxied: Proxied) -> None:
    async with asyncio.timeout(WAIT_TIMEOUT), proxied.session() as session:
        assert (await whole(session.post("/webhooks/higgsfield/a-token", data=b"{}"))).status == 404
        # nginx writes the line of a request before it answers the next one on its connection.
        assert (await whole(session.get("/metrics"))).status == 403
    log = proxied.folder / "access.log"
    assert "a-token" not in (log.read_text() if log.exists() else "")


async def test_tokens_of_webhooks_are_in_no_error_log_while_the_gateway_is_down(proxied: Proxied) -> None:
    await proxied.running.stop_gateway()
    async with asyncio.timeout(WAIT_TIMEOUT), proxied.session() as session:
        assert (await whole(session.post("/webhooks/higgsfield/a-token", data=b"{}"))).status == 502
        assert (await whole(session.get("/readyz"))).status == 502
    errors = (proxied.folder / "error.log").read_text()
    assert "/readyz" in errors
    assert "a-token" not in errors
