"""The service as a whole: every RPC is served, health, reflection, hosts, and no internals in errors."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.process.listening import listen as _listen
from gateway.rpc.chain import Chain
from gateway.rpc.handlers.generations import GenerationHandlers, GenerationReads
from gateway.rpc.transports.over_connect import ConnectApp
from gateway.rpc.transports.over_grpc import add_service, method_name
from gateway.settings.values import Address
from gateway.telemetry import Telemetry
from gateway.web.server import WebServer, web_app
from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.running import WAIT_TIMEOUT, Running, soul
from tests.support.transports import SERVICE, TRANSPORTS, RpcFailure, Transport, open_transport, responses_of

CANARY = "canary-of-a-defect"


def test_every_rpc_has_a_handler_and_every_handler_an_rpc() -> None:
    handlers = {name for part in (GenerationReads, GenerationHandlers) for name in vars(part) if name[0] != "_"}
    part_of_one = "forward_submission"  # a replica's handler of SubmitGeneration calls it
    assert handlers - {part_of_one} == {method_name(method) for method in SERVICE.methods}


async def test_a_service_that_lacks_a_handler_does_not_start() -> None:
    for missing in SERVICE.methods:
        names = {method_name(method) for method in SERVICE.methods} - {method_name(missing)}
        incomplete = type("Incomplete", (), dict.fromkeys(names))()
        with pytest.raises(AttributeError, match=method_name(missing)):
            add_service(grpc.aio.server(), SERVICE, incomplete, Chain(Telemetry()))


async def health(running: Running, name: str) -> int:
    async with grpc.aio.insecure_channel(running.gateway.grpc_address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
        return int(answer.status)


async def test_health_reports_serving_for_the_server_and_the_service(running: Running) -> None:
    for name in ("", SERVICE.full_name):
        assert await health(running, name) == health_pb2.HealthCheckResponse.SERVING


async def test_health_and_readyz_report_a_drain(running: Running) -> None:
    async with grpc.aio.insecure_channel(running.gateway.grpc_address) as channel:
        with running.held(on="submit"):
            call = asyncio.create_task(running.submit(soul("a fox")))
            await running.calls_open("SubmitGeneration", 1)
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE.full_name))
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            assert await http(running, "/readyz") == (200, "ready\n")
            await running.begin_drain()
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            assert await http(running, "/readyz") == (503, "draining\n")
            assert await http(running, "/healthz") == (200, "ok\n")
            watch.cancel()
    await call
    await running.stop_gateway()
    assert len(running.ledger.charges) == 1


async def http(running: Running, path: str, **headers: str) -> tuple[int, str]:
    url = running.gateway.http_address + path
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, await answer.text()


async def test_requests_with_a_foreign_host_header_are_refused(running: Running) -> None:
    url = f"{running.gateway.http_address}/{SERVICE.full_name}/SubmitGeneration"
    body = soul("a fox").SerializeToString()
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "10.0.0.1"):
        headers = {"host": host, "content-type": "application/proto"}
        async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
            assert answer.status == 400, host
            assert "HFGATEWAY_AUTH=keys" in await answer.text()
    assert running.ledger.submissions == []


async def test_requests_with_a_loopback_host_header_are_served(running: Running) -> None:
    for host in ("localhost:8080", "127.0.0.1", "gateway.localhost"):
        assert (await http(running, "/healthz", host=host))[0] == 200


async def test_rpcs_by_http_get_are_refused(running: Running) -> None:
    status, _ = await http(running, f"/{SERVICE.full_name}/GetGeneration?message=e30&encoding=json&connect=v1")
    assert status in {404, 405, 415}


async def test_metrics_count_calls_without_their_contents(running: Running, client: Transport) -> None:
    request = soul("canary of a prompt", "canary-of-a-key", labels={"canary": "of-a-label"})
    await client.call("SubmitGeneration", request)
    with pytest.raises(RpcFailure):
        await client.call("GetGeneration", pb.GetGenerationRequest(id="canary-of-an-id"))
    text = await running.metrics()
    counted = 'hfgateway_rpc_total{{code="{}",method="/hfgateway.v1.GenerationService/{}"}} 1.0'
    assert counted.format("OK", "SubmitGeneration") in text
    assert counted.format("NOT_FOUND", "GetGeneration") in text
    assert "hfgateway_generations_live 1.0" in text
    assert "canary" not in text
    assert "sandbox:sandbox" not in text


async def test_an_unknown_method_is_unimplemented(running: Running) -> None:
    async with grpc.aio.insecure_channel(running.gateway.grpc_address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await channel.unary_unary(f"/{SERVICE.full_name}/PaintGeneration")(b"")
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    url = f"{running.gateway.http_address}/{SERVICE.full_name}/PaintGeneration"
    headers = {"content-type": "application/json"}
    async with aiohttp.ClientSession() as session, session.post(url, data=b"{}", headers=headers) as answer:
        assert answer.status == 404


class Defective:
    """Handlers that all raise the same exception."""

    def __getattr__(self, name: str) -> Any:
        return self._stream if name.startswith("watch_") else self._unary

    async def _unary(self, request: Any, call: Any) -> Any:
        raise ZeroDivisionError(CANARY)

    async def _stream(self, request: Any, call: Any) -> AsyncIterator[Any]:
        yield b""
        raise ZeroDivisionError(CANARY)


@contextlib.asynccontextmanager
async def defective_gateway() -> AsyncIterator[dict[str, Transport]]:
    """Serve handlers that fail on both ports, set up as the gateway sets them up."""
    chain = Chain(Telemetry())
    server = grpc.aio.server()
    add_service(server, SERVICE, Defective(), chain)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    listening = _listen("HTTP_ADDRESS", Address("127.0.0.1", 0))
    app = web_app(
        [ConnectApp(SERVICE, Defective(), chain)],
        ready=lambda: ("", ""),
        exposition=Telemetry().exposition,
        allowed_origins=(),
    )
    web = WebServer(app, [listening])
    await web.start()
    http_address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    clients = {name: open_transport(name, f"127.0.0.1:{port}", http_address) for name in TRANSPORTS}
    try:
        yield clients
    finally:
        for client in clients.values():
            await client.close()
        await web.stop()
        await server.stop(0)


async def test_an_internal_error_shows_only_an_incident_id(caplog: pytest.LogCaptureFixture) -> None:
    async with defective_gateway() as clients, asyncio.timeout(WAIT_TIMEOUT):
        for client in clients.values():
            for method in SERVICE.methods:
                caplog.clear()
                with caplog.at_level(logging.ERROR), pytest.raises(RpcFailure) as raised:
                    await responses_of(client, method.name, b"{}" if client.name == "connect-json" else b"")
                error = raised.value
                incident = error.failure.metadata["incident"]
                assert (error.code, error.reason) == ("INTERNAL", "INTERNAL")
                assert error.message == f"internal error, incident {incident}"
                shown = "".join(map(str, (error, *error.details)))
                assert not [word for word in (CANARY, "ZeroDivision", "Traceback", ".py") if word in shown]
                (logged,) = (record for record in caplog.records if record.name == "gateway.rpc.chain")
                assert logged.__dict__["incident"] == incident
                assert logged.exc_info is not None
                assert logged.exc_info[0] is ZeroDivisionError, client.name


async def test_http_connections_have_nagle_switched_off() -> None:
    # asyncio switches Nagle's algorithm off only for sockets that it recognises as TCP. With the algorithm on, the
    # second part of a response waits 40 ms for the acknowledgement of the first.
    accepted: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
    listening = _listen("HTTP_ADDRESS", Address("127.0.0.1", 0))
    server = await asyncio.start_server(lambda _, writer: accepted.set_result(writer), sock=listening)
    async with server:
        _, writer = await asyncio.open_connection(*listening.getsockname())
        connection = (await accepted).get_extra_info("socket")
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        (await accepted).close()
        writer.close()
