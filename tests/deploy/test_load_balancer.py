"""The shipped HAProxy configuration, with a real HAProxy, a real PostgreSQL server and three gateways behind it."""

from __future__ import annotations

import asyncio
import re
import ssl
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from grpc import aio, ssl_channel_credentials

from gateway.sandbox.server import Sandbox, SandboxOptions
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.generation_service_pb2_grpc import GenerationServiceStub
from hfgateway_client import AsyncClient, RetryPolicy, TlsConfig, soul
from tests.app.certificates import Authority
from tests.app.command import environment
from tests.durability.process import READY, REPEAT_TIMEOUT, WAIT_TIMEOUT
from tests.support import forked
from tests.support.addresses import free_address
from tests.support.running import run
from tests.support.running import soul as submission
from tests.support.silence import fall_silent, needs_silence
from tests.support.whole import whole

pytestmark = pytest.mark.toolchain("haproxy")
SHIPPED = Path(__file__).parents[2] / "deploy" / "compose" / "haproxy.cfg"
SERVER = re.compile(r"server (gateway-\d) \S+:(50051|8080) ")
GENERATIONS = 24
SETTINGS = 4
"""The type of a frame of HTTP/2."""
MAX_CONCURRENT_STREAMS = 3
"""A setting of HTTP/2."""


class Replica:
    """A gateway process."""

    def __init__(self, grpc: str, http: str, process: forked.ForkedProcess) -> None:
        self.grpc = grpc
        self.http = http
        self.process = process

    async def started(self) -> None:
        async with asyncio.timeout(WAIT_TIMEOUT):
            line = (await self.process.stdout.readline()).decode()
        assert READY.search(line), line


@asynccontextmanager
async def replicas(folder: Path, upstream: str, store: str) -> AsyncIterator[list[Replica]]:
    """Start three gateways on one database, the first of which leads; kill them at the end."""
    started: list[Replica] = []
    try:
        for number in range(3):
            grpc, http = free_address(), free_address()
            settings = {
                "HFGATEWAY_UPSTREAM_URL": upstream,
                "HFGATEWAY_STORE_URL": store,
                "HFGATEWAY_GRPC_ADDRESS": grpc,
                "HFGATEWAY_HTTP_ADDRESS": http,
                "HFGATEWAY_POLL_MIN": "0.05",
                "HFGATEWAY_POLL_MAX": "0.2",
            }
            log = folder / f"gateway-{number}.log"
            process = await forked.start("serve", environment=environment(folder, settings), log=log)
            started.append(Replica(grpc, http, process))
            await started[-1].started()
        yield started
    finally:
        for replica in started:
            replica.process.kill()
            await replica.process.wait()


def configuration(
    folder: Path, gateways: Sequence[tuple[str, str]], grpc: str, https: str, client: str = "65s"
) -> tuple[Path, Path]:
    """Write the shipped configuration with the addresses and the certificate of the test; return it and the CA.

    `gateways` are the addresses of gRPC and HTTP of the three gateways, and `client` is the timeout for clients.
    """
    authority = Authority.made(folder)
    pair = authority.signed("balancer")
    pem = folder / "tls.pem"
    pem.write_text(pair.cert.read_text() + pair.key.read_text())
    addresses = {f"gateway-{number}": gateway for number, gateway in enumerate(gateways, 1)}

    def here(server: re.Match[str]) -> str:
        gateway = addresses[server[1]]
        return f"server {server[1]} {gateway[0 if server[2] == '50051' else 1]} "

    text, servers = SERVER.subn(here, SHIPPED.read_text())
    assert servers == 6
    text = text.replace("bind :50051", f"bind {grpc}").replace("bind :8443", f"bind {https}")
    assert "timeout client 65s" in text
    text = text.replace("timeout client 65s", f"timeout client {client}")
    written = folder / "haproxy.cfg"
    written.write_text(text.replace("/etc/haproxy/tls.pem", str(pem)))
    return written, authority.cert


@asynccontextmanager
async def balancer(written: Path, https: str) -> AsyncIterator[None]:
    """Run HAProxy until the end of the block. Begins when one of the gateways is ready through it."""
    log = written.with_suffix(".log")
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec("haproxy", "-db", "-f", written, stdout=output, stderr=output)
    try:
        async with asyncio.timeout(WAIT_TIMEOUT), aiohttp.ClientSession() as session:
            while True:
                assert process.returncode is None, log.read_text()
                try:
                    async with session.get(f"https://{https}/readyz", ssl=False) as answer:
                        if answer.status == 200:
                            break
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.05)
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.toolchain("postgres")
async def test_clients_see_no_error_when_a_gateway_is_killed_under_load(tmp_path: Path, emptied: str) -> None:
    grpc, https = free_address(), free_address()
    async with AsyncExitStack() as stack:
        options = SandboxOptions(port=0, queue_seconds=0.05, image_seconds=0.2)
        sandbox = await stack.enter_async_context(Sandbox(options))
        gateways = await stack.enter_async_context(replicas(tmp_path, sandbox.url, emptied))
        written, ca = configuration(tmp_path, [(one.grpc, one.http) for one in gateways], grpc, https)
        await stack.enter_async_context(balancer(written, https))
        client = await stack.enter_async_context(AsyncClient(grpc, tls=TlsConfig(ca=ca), retry=RetryPolicy(0.05, 0.25)))
        async with aiohttp.ClientSession() as session, session.get(f"https://{https}/metrics", ssl=False) as answer:
            assert answer.status == 403

        under_way = asyncio.Semaphore(8)
        third_done = asyncio.Event()
        done = 0

        async def generate(number: int) -> str:
            nonlocal done
            async with under_way:
                generation = await client.generate(soul(f"fox {number}"), idempotency_key=f"key-{number}")
            done += 1
            if done == GENERATIONS // 3:
                third_done.set()
            return str(generation.id)

        async with asyncio.timeout(REPEAT_TIMEOUT), asyncio.TaskGroup() as tasks:
            calls = [tasks.create_task(generate(number)) for number in range(GENERATIONS)]
            await third_done.wait()
            gateways[0].process.kill()

        assert len({call.result() for call in calls}) == GENERATIONS
        assert sandbox.ledger.double_charged_prompts == {}
        assert len(sandbox.ledger.charges) == GENERATIONS


async def test_only_connections_without_a_handshake_are_closed_early(tmp_path: Path) -> None:
    grpc, https = free_address(), free_address()
    async with run(tmp_path) as running:
        addresses = (running.gateway.grpc_address, running.gateway.http_address.removeprefix("http://"))
        written, ca = configuration(tmp_path, [addresses] * 3, grpc, https, client="1s")
        generation = await running.submit(submission("a fox"))
        body = {"id": generation.id, "timeout": "600s"}
        async with (
            asyncio.timeout(WAIT_TIMEOUT),
            balancer(written, https),
            aio.secure_channel(grpc, ssl_channel_credentials(ca.read_bytes())) as channel,
            aiohttp.ClientSession() as session,
            asyncio.TaskGroup() as tasks,
        ):
            stub = GenerationServiceStub(channel)
            request = pb.WaitGenerationRequest(id=generation.id, timeout={"seconds": 600})
            over_grpc = stub.WaitGeneration(request)
            url = f"https://{https}/hfgateway.v1.GenerationService/WaitGeneration"
            over_http = tasks.create_task(whole(session.post(url, json=body, ssl=False)))
            await running.calls_open("WaitGeneration", 2)
            for address in (grpc, https):
                host, _, port = address.partition(":")
                silent, writer = await asyncio.open_connection(host, int(port))
                assert await silent.read() == b""
                writer.close()
            assert not over_grpc.done()
            assert not over_http.done()
            running.clock.advance(60)
            assert (await over_grpc).generation.done
            assert (await (await over_http).json())["generation"]["done"]


async def test_a_browser_may_open_more_than_a_hundred_watches(tmp_path: Path) -> None:
    grpc, https = free_address(), free_address()
    async with run(tmp_path) as running:
        addresses = (running.gateway.grpc_address, running.gateway.http_address.removeprefix("http://"))
        written, ca = configuration(tmp_path, [addresses] * 3, grpc, https)
        tls = ssl.create_default_context(cafile=str(ca))
        tls.set_alpn_protocols(["h2"])
        async with asyncio.timeout(WAIT_TIMEOUT), balancer(written, https):
            reader, writer = await asyncio.open_connection(*https.split(":"), ssl=tls)
            writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]))
            head = await reader.readexactly(9)
            assert head[3] == SETTINGS
            announced = dict(struct.iter_unpack("!HI", await reader.readexactly(int.from_bytes(head[:3]))))
            assert announced[MAX_CONCURRENT_STREAMS] == 1000
            writer.transport.abort()


@needs_silence
async def test_a_client_that_is_gone_leaves_its_gateway(tmp_path: Path) -> None:
    gone, left = asyncio.Event(), asyncio.Event()

    async def watch(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"begun")
        await gone.wait()
        try:
            while True:  # the heartbeats of a watch
                await response.write(b"news")
                await asyncio.sleep(0.1)
        finally:
            left.set()

    async def ready(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.add_routes([web.get("/readyz", ready), web.get("/watch", watch)])
    gateway, grpc, https = free_address(), free_address(), free_address()
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    try:
        host, port = gateway.split(":")
        await web.TCPSite(runner, host, int(port)).start()
        written, _ = configuration(tmp_path, [(gateway, gateway)] * 3, grpc, https)
        written.write_text(written.read_text().replace("tcp-ut 60s", "tcp-ut 1s"))
        async with balancer(written, https), asyncio.timeout(WAIT_TIMEOUT):
            tls = ssl.create_default_context()
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
            reader, writer = await asyncio.open_connection(*https.split(":"), ssl=tls)
            writer.write(b"GET /watch HTTP/1.1\r\nhost: localhost\r\n\r\n")
            await reader.readuntil(b"begun")
            fall_silent(writer.get_extra_info("socket"))
            gone.set()
            await left.wait()
            writer.transport.abort()
    finally:
        await runner.cleanup()
