"""The connection of the client: silently dropped ones, and ones that cannot be made."""

import asyncio
import inspect
import itertools
import math
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from clients.python.tests.conftest import FakeTime
from clients.python.tests.scripted_gateway import ScriptedGateway, change, generation, make_certificate, refusal
from harness.proxy import Proxy
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway_client import AsyncClient, Client, TlsConfig, errors
from hfgateway_client._async.timers import Timers as AsyncTimers
from hfgateway_client._sync.timers import Timers
from hfgateway_client.channel import channel_options

FOUND = pb.GetGenerationResponse(generation=generation("QUEUED", 1))


def test_a_dead_connection_is_noticed_within_half_of_the_default_timeout_by_pings_that_the_gateway_accepts() -> None:
    options = dict(channel_options())
    after, timeout = int(options["grpc.keepalive_time_ms"]), int(options["grpc.keepalive_timeout_ms"])
    assert after > 10_000
    assert after + timeout + int(options["grpc.max_reconnect_backoff_ms"]) < 1000 * default_timeout() * 3 / 4
    assert options["grpc.http2.ping_timeout_ms"] == timeout
    assert options["grpc.keepalive_permit_without_calls"] == 0


def test_a_gateway_that_is_back_or_has_moved_is_found_sooner_than_by_the_defaults_of_grpc() -> None:
    """They are 1 s and 120 s between attempts to connect, and 30 s between lookups of the name."""
    options = dict(channel_options())
    assert int(options["grpc.initial_reconnect_backoff_ms"]) < 1_000
    assert options["grpc.dns_min_time_between_resolutions_ms"] == options["grpc.max_reconnect_backoff_ms"]


def default_timeout() -> float:
    return float(inspect.signature(Client).parameters["timeout"].default)


async def test_a_call_on_a_connection_that_was_silently_dropped_is_retried(gateway: ScriptedGateway) -> None:
    arrived = asyncio.Event()

    async def hang(_request: object) -> None:
        arrived.set()
        await asyncio.Event().wait()

    gateway.on("GetGeneration", hang)
    gateway.unscripted["GetGeneration"] = FOUND
    async with Proxy() as proxy:
        proxy.target = gateway.address
        options = channel_options(ping_after=0.3, ping_timeout=0.3)
        async with (
            grpc.aio.insecure_channel(proxy.address, options=options) as channel,
            AsyncClient(channel=channel) as client,
        ):
            call = asyncio.create_task(client.get("g1"))
            await arrived.wait()
            assert proxy.swallow() == 1
            assert (await call).id == "g1"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def secured(certificate: tuple[Path, Path]) -> AsyncIterator[ScriptedGateway]:
    """A gateway with TLS."""
    cert, key = certificate
    gateway = ScriptedGateway()
    await gateway.start(grpc.ssl_server_credentials([(key.read_bytes(), cert.read_bytes())]))
    yield gateway
    await gateway.stop()


async def test_a_mistake_in_the_options_is_not_retried_and_the_error_has_the_address_and_the_cause(
    gateway: ScriptedGateway, secured: ScriptedGateway, certificate: tuple[Path, Path]
) -> None:
    mistakes = [
        ("gateway.invalid:443", True, "Domain name not found|Name or service not known"),
        ("http://127.0.0.1:50051", False, "Misformatted domain name|Name or service not known"),
        ("127.0.0.1:grpc", False, "Failed to parse port"),
        ("[::1", False, "Unparsable name"),
        (secured.address, True, "CERTIFICATE_VERIFY_FAILED"),
        (gateway.address, True, "WRONG_VERSION_NUMBER"),
    ]
    for address, tls, cause in mistakes:
        retries: list[float] = []
        async with AsyncClient(address, tls=tls, on_retry=lambda _, delay: retries.append(delay)) as client:  # noqa: B023
            with pytest.raises(errors.Unavailable, match=cause) as raised:
                await client.get("g1")
        assert address in raised.value.message
        assert (raised.value.retryable, retries) == (False, [])


async def test_check_fails_at_once_with_the_address_and_the_cause() -> None:
    retries: list[float] = []
    async with AsyncClient("127.0.0.1:1", on_retry=lambda _, delay: retries.append(delay)) as client:
        with pytest.raises(errors.Unavailable, match=r"127\.0\.0\.1:1 .*[Rr]efused") as raised:
            await client.check()
    assert (raised.value.retryable, retries) == (True, [])


@pytest.mark.parametrize("timeout", [sys.maxsize, 1e300, math.inf], ids=str)
async def test_any_long_timeout_is_no_limit(gateway: ScriptedGateway, timeout: float) -> None:
    gateway.unscripted["ListGenerations"] = pb.ListGenerationsResponse()
    async with AsyncClient(gateway.address) as client:
        await client.check(timeout)
    with Client(gateway.address) as client:
        await asyncio.to_thread(client.check, timeout)


async def test_check_succeeds_and_reports_a_wrong_key(gateway: ScriptedGateway) -> None:
    gateway.on("ListGenerations", pb.ListGenerationsResponse(), refusal("UNAUTHENTICATED", "INVALID_CREDENTIALS"))
    async with AsyncClient(gateway.address) as client:
        await client.check()
        with pytest.raises(errors.InvalidCredentials):
            await client.check()


async def test_a_client_that_has_reached_its_gateway_retries_every_failure_to_connect(
    gateway: ScriptedGateway, secured: ScriptedGateway, certificate: tuple[Path, Path]
) -> None:
    """The certificate may be about to change on both sides."""
    retried = asyncio.Event()
    secured.unscripted["GetGeneration"] = FOUND
    async with Proxy() as proxy:
        proxy.target = secured.address
        async with AsyncClient(
            proxy.address, tls=TlsConfig(ca=certificate[0]), on_retry=lambda _error, _delay: retried.set()
        ) as client:
            await client.get("g1")
            proxy.target = gateway.address  # without TLS
            proxy.cut()
            call = asyncio.create_task(client.get("g1"))
            await retried.wait()
            proxy.target = secured.address
            assert (await call).id == "g1"


async def test_a_client_whose_first_call_is_a_watch_resumes_it_after_every_failure_to_connect(
    gateway: ScriptedGateway, secured: ScriptedGateway, certificate: tuple[Path, Path]
) -> None:
    """A message shows that the options are right, long before its stream ends."""
    retried = asyncio.Event()
    secured.on("WatchGeneration", [change("QUEUED", 1), secured.hang], [change("COMPLETED", 2)])
    async with Proxy() as proxy:
        proxy.target = secured.address
        async with AsyncClient(
            proxy.address, tls=TlsConfig(ca=certificate[0]), on_retry=lambda _error, _delay: retried.set()
        ) as client:
            changes = client.watch("g1")
            assert (await anext(changes)).revision == 1
            proxy.target = gateway.address  # without TLS
            proxy.cut()
            rest = asyncio.create_task(anext(changes))
            await retried.wait()  # of the cut
            retried.clear()
            again = asyncio.create_task(retried.wait())
            await asyncio.wait({rest, again}, return_when=asyncio.FIRST_COMPLETED)
            proxy.target = secured.address
            assert (await rest).revision == 2


async def test_the_last_failure_is_in_the_message_of_a_timeout(gateway: ScriptedGateway) -> None:
    gateway.on("GetGeneration", refusal("UNAVAILABLE", "GATEWAY_UNAVAILABLE", "draining"), gateway.hang)
    async with AsyncClient(gateway.address, timeout=1.0) as client:
        with pytest.raises(errors.DeadlineExceeded, match=f"the call to {gateway.address} timed out.*draining"):
            await client.get("g1")


async def test_retries_are_reported_and_logged(gateway: ScriptedGateway, caplog: pytest.LogCaptureFixture) -> None:
    gateway.on("GetGeneration", refusal("UNAVAILABLE", "GATEWAY_UNAVAILABLE", "draining", retry_delay=0.01), FOUND)
    seen: list[tuple[str, float]] = []

    def on_retry(error: errors.GatewayError, delay: float) -> None:
        seen.append((error.reason, delay))

    with caplog.at_level("INFO", "hfgateway_client"):
        async with AsyncClient(
            gateway.address, on_retry=lambda error, delay: seen.append((error.reason, delay))
        ) as client:
            await client.get("g1")
    assert seen == [("GATEWAY_UNAVAILABLE", 0.01)]
    assert [record.getMessage() for record in caplog.records] == [
        "call failed; retry in 0.01 s: GATEWAY_UNAVAILABLE: draining"
    ]


async def test_interceptors_see_the_calls_of_both_clients(gateway: ScriptedGateway) -> None:
    seen: list[str] = []

    class Asynchronous(grpc.aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
            seen.append(details.method.decode())
            return await continuation(details, request)

    class Synchronous(grpc.UnaryUnaryClientInterceptor):
        def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
            seen.append(details.method)
            return continuation(details, request)

    gateway.on("GetGeneration", FOUND, FOUND)
    async with AsyncClient(gateway.address, interceptors=[Asynchronous()]) as client:
        await client.get("g1")
    with Client(gateway.address, interceptors=[Synchronous()]) as synchronous:
        await asyncio.to_thread(synchronous.get, "g1")
    assert seen == ["/hfgateway.v1.GenerationService/GetGeneration"] * 2


@pytest.fixture
async def empty() -> AsyncIterator[tuple[str, list[str]]]:
    """The address of a server that ends each call with OK and without a message, and the RPCs that it has received."""
    received: list[str] = []

    async def nothing(_requests: object, _context: object) -> AsyncIterator[bytes]:
        for message in ():
            yield message

    class Empty(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
            received.append(details.method.rpartition("/")[2])
            return grpc.stream_stream_rpc_method_handler(nothing)

    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    server.add_generic_rpc_handlers((Empty(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}", received
    await server.stop(None)


async def test_a_call_that_ends_without_its_response_is_repeated_as_one_that_was_cut_off(
    empty: tuple[str, list[str]], time: FakeTime
) -> None:
    """A broken proxy ends calls with OK and without a message."""
    address, received = empty
    async with AsyncClient(address, timers=AsyncTimers(time.clock, time.async_sleep)) as client:
        for call, rpc in (
            (client.get("g1"), "GetGeneration"),
            (anext(client.list()), "ListGenerations"),
            (client.upload(b"a picture", "image/png"), "UploadMedia"),
        ):
            with pytest.raises(errors.Unavailable, match="without its last message") as caught:
                await call
            assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.INTERNAL, "")
            assert received[-2:] == [rpc, rpc]

    def synchronously() -> None:
        with Client(address, timers=Timers(time.clock, time.sleep)) as client:
            calls: tuple[tuple[Callable[[], object], str], ...] = (
                (lambda: client.get("g1"), "GetGeneration"),
                (lambda: next(client.list()), "ListGenerations"),
                (lambda: client.upload(b"a picture", "image/png"), "UploadMedia"),
            )
            for call, rpc in calls:
                with pytest.raises(errors.Unavailable, match="without its last message"):
                    call()
                assert received[-2:] == [rpc, rpc]

    await asyncio.to_thread(synchronously)


async def test_a_watch_resumes_after_a_message_that_cannot_be_read() -> None:
    """A broken proxy damages the first message of every other stream."""
    messages = itertools.cycle([b"\xff\xff\xff", change("COMPLETED", 1).SerializeToString()])

    async def watched(_requests: object, _context: object) -> AsyncIterator[bytes]:
        yield next(messages)

    class Damaging(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
            return grpc.stream_stream_rpc_method_handler(watched)

    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    server.add_generic_rpc_handlers((Damaging(),))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    async with AsyncClient(address) as client:
        assert [seen.revision async for seen in client.watch("g1", timeout=60)] == [1]
    with Client(address) as synchronous:
        assert [seen.revision for seen in await asyncio.to_thread(list, synchronous.watch("g1", timeout=60))] == [1]
    await server.stop(None)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_key_for_this_machine_is_not_sent_through_a_proxy(
    gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    gateway.unscripted["GetGeneration"] = FOUND
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    asked = asyncio.Event()
    async with await asyncio.start_server(lambda *_: asked.set(), "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        if kind == "sync":
            with Client(gateway.address, api_key="hfg_secret", timeout=30) as client:
                assert (await asyncio.to_thread(client.get, "g1")).id == "g1"
        else:
            async with AsyncClient(gateway.address, api_key="hfg_secret", timeout=30) as client:
                assert (await client.get("g1")).id == "g1"
    assert not asked.is_set()
    assert dict(channel_options("gateway.example:50051"))["grpc.enable_http_proxy"] == 1
