"""One caller takes no capacity from others, and calls over the limits are refused in the documented form."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.access.identity import Identity
from gateway.generations import service
from gateway.generations.follower import Follower
from gateway.process.private_sockets import admin_pointer
from gateway.rpc.call import Call
from gateway.rpc.limits import call_limits
from gateway.rpc.limits.call_limits import RETRY_DELAYS, UPSTREAM_RPCS, Pool
from gateway.rpc.messages.pages import Page
from gateway.rpc.services import PUBLIC_SERVICES
from gateway.rpc.transports import over_connect
from hfgateway.admin.v1 import admin_service_pb2
from hfgateway.admin.v1.admin_service_pb2_grpc import AdminServiceStub
from hfgateway.v1 import character_service_pb2, token_service_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway_client import AsyncClient
from hfgateway_client._async.timers import Timers
from tests.hostile.conftest import connected
from tests.overload.conftest import QUEUED, WAITING, WORKING, Start, limits_of
from tests.support.running import WAIT_TIMEOUT, Running, eventually, name_of, soul
from tests.support.transports import SERVICE, RpcFailure, Transport, responses_of

UNKNOWN_ID = "00000000-0000-7000-8000-000000000000"


def requests() -> dict[str, Message]:
    """Return a request for each RPC of the service; none of them starts, charges or waits for anything."""
    estimate = pb.EstimateGenerationRequest()
    estimate.input.soul.prompt = "a fox"
    return {
        "SubmitGeneration": pb.SubmitGenerationRequest(),
        "AdoptGeneration": pb.AdoptGenerationRequest(upstream_request_id=UNKNOWN_ID),
        "GetGeneration": pb.GetGenerationRequest(id=UNKNOWN_ID),
        "ListGenerations": pb.ListGenerationsRequest(),
        "CancelGeneration": pb.CancelGenerationRequest(id=UNKNOWN_ID),
        "WaitGeneration": pb.WaitGenerationRequest(id=UNKNOWN_ID),
        "WatchGeneration": pb.WatchGenerationRequest(id=UNKNOWN_ID),
        "WatchGenerations": pb.WatchGenerationsRequest(filter=pb.GenerationFilter(ids=[UNKNOWN_ID])),
        "EstimateGeneration": estimate,
        "DeleteGeneration": pb.DeleteGenerationRequest(id=UNKNOWN_ID),
        "ExplainGeneration": pb.ExplainGenerationRequest(id=UNKNOWN_ID),
    }


def test_every_rpc_has_a_request_in_this_file() -> None:
    assert set(requests()) == set(SERVICE.methods_by_name)
    assert {method.name for service in PUBLIC_SERVICES for method in service.methods} >= UPSTREAM_RPCS


class Withheld:
    """Calls over gRPC whose requests never arrive."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address)
        self._calls: list[Any] = []

    async def __aenter__(self) -> Withheld:
        return self

    async def __aexit__(self, *_: object) -> None:
        for call in self._calls:
            call.cancel()
        await self._channel.close()

    def call(self, method: str, secret: str = "") -> Any:
        """Open another call."""
        metadata = (("authorization", f"Bearer {secret}"),) if secret else ()
        path = f"/{SERVICE.full_name}/{method}"
        self._calls.append(self._channel.stream_stream(path)(self._nothing(), metadata=metadata))
        return self._calls[-1]

    async def _nothing(self) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""


async def holds(pool: Pool, held: int, queued: int) -> None:
    """Return once all calls together hold and queue for these numbers of places."""
    await eventually(lambda: (pool.total.held, pool.total.queued) == (held, queued))


@pytest.fixture
async def keyed(start: Start, small_limits: None) -> Running:
    """A gateway with keys and small limits."""
    return await start(AUTH="keys")


async def token_of(running: Running, key: str) -> str:
    request = token_service_pb2.CreateWatchTokenRequest()
    request.filter.labels["color"] = "red"
    return str((await running.caller("grpc", key).call("CreateWatchToken", request)).token)


async def test_a_token_with_stalled_requests_does_not_block_others(keyed: Running, transport: str) -> None:
    mine, other = await keyed.key("fox"), await keyed.key("wolf")
    token, second = await token_of(keyed, mine), await token_of(keyed, mine)
    async with Withheld(keyed.gateway.grpc_address) as withheld:
        for _ in range(WORKING.token + 3):
            withheld.call("ListGenerations", token)
        await holds(limits_of(keyed).local, WORKING.token, 3)
        for secret in (mine, other, second):
            assert await keyed.caller(transport, secret).call("ListGenerations", pb.ListGenerationsRequest())
        for _ in range(QUEUED.token - 3):
            withheld.call("GetGeneration", token)
        await holds(limits_of(keyed).local, WORKING.token, QUEUED.token)
        with pytest.raises(RpcFailure) as refused:
            await keyed.caller(transport, token).call("ListGenerations", pb.ListGenerationsRequest())
        assert (refused.value.code, refused.value.reason) == ("RESOURCE_EXHAUSTED", "GATEWAY_OVERLOADED")
    await holds(limits_of(keyed).local, 0, 0)


async def test_a_tenant_with_stalled_requests_does_not_block_others(keyed: Running, transport: str) -> None:
    mine, other = await keyed.key("fox"), await keyed.key("wolf")
    async with Withheld(keyed.gateway.grpc_address) as withheld:
        for method in ("SubmitGeneration", "ListGenerations", "WatchGeneration"):
            for _ in range(WORKING.tenant + QUEUED.tenant):
                withheld.call(method, mine)
        for pool in (limits_of(keyed).submitting, limits_of(keyed).local, limits_of(keyed).opening):
            await holds(pool, WORKING.tenant, QUEUED.tenant)
        caller = keyed.caller(transport, other)
        stored = (await caller.call("SubmitGeneration", soul("a wolf"))).generation
        messages: Any = caller.stream("WatchGeneration", pb.WatchGenerationRequest(id=stored.id))
        assert (await anext(messages)).generation.id == stored.id
        await messages.aclose()


async def test_waiting_submissions_do_not_block_other_tenants(keyed: Running, transport: str) -> None:
    mine, other = await keyed.key("fox"), await keyed.key("wolf")
    for number in range(WAITING.tenant):
        request = soul(f"a fox {number}", wait_for=pb.WAIT_FOR_DONE)
        request.wait_timeout.FromSeconds(3600)
        asyncio.ensure_future(keyed.caller("grpc", mine).call("SubmitGeneration", request)).add_done_callback(
            lambda ended: ended.cancelled() or ended.exception()
        )
    await holds(limits_of(keyed).waiting, WAITING.tenant, 0)
    for secret in (mine, other):
        request = soul(f"one more by {secret[:8]}")
        request.wait_timeout.FromSeconds(5)
        answer = await keyed.caller(transport, secret).call("SubmitGeneration", request)
        assert name_of(answer.generation) in {"PENDING", "QUEUED"}, "stored, and returned without a wait if necessary"
    with pytest.raises(RpcFailure) as refused:
        await responses_of(keyed.caller(transport, mine), "WatchGeneration", requests()["WatchGeneration"])
    failure = refused.value
    assert (failure.code, failure.reason) == ("RESOURCE_EXHAUSTED", "GATEWAY_OVERLOADED")
    info = failure.detail(ErrorInfo)
    assert (info.domain, info.reason) == ("hfgateway", "GATEWAY_OVERLOADED")
    assert failure.failure.retryable
    delay = failure.detail(RetryInfo).retry_delay
    assert delay == failure.failure.retry_delay
    assert RETRY_DELAYS[0] <= delay.ToMilliseconds() / 1000 < RETRY_DELAYS[1]


async def test_submissions_are_refused_while_the_gateway_is_late(
    start: Start, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = [call_limits.MAX_POLL_DELAY + 0.1]
    monkeypatch.setattr(Follower, "behind", lambda _: late[0])
    running = await start()
    client = running.transports[transport]
    with pytest.raises(RpcFailure) as refused:
        await client.call("SubmitGeneration", soul("a fox", "order-1"))
    assert (refused.value.code, refused.value.reason) == ("RESOURCE_EXHAUSTED", "GATEWAY_OVERLOADED")
    assert refused.value.has(RetryInfo)
    assert (await client.call("ListGenerations", pb.ListGenerationsRequest())).generations == []
    assert running.ledger.submissions == []
    late[0] = call_limits.MAX_POLL_DELAY
    assert not (await client.call("SubmitGeneration", soul("a bear", "order-1"))).replayed
    assert [charge.prompt for charge in running.ledger.charges] == ["a bear"]


async def test_unauthenticated_callers_hold_no_places(keyed: Running) -> None:
    other = await keyed.key("wolf")
    async with Withheld(keyed.gateway.grpc_address) as withheld:
        for method in requests():
            for secret in ("", "hfg_000000000000_wrong", "hfw_wrong"):
                async with asyncio.timeout(WAIT_TIMEOUT):
                    assert await withheld.call(method, secret).code() is grpc.StatusCode.UNAUTHENTICATED
        everything = limits_of(keyed)
        for pool in everything.pools().values():
            assert (pool.total.held, pool.total.queued) == (0, 0)
    assert await keyed.caller("grpc", other).call("ListGenerations", pb.ListGenerationsRequest())


async def test_a_submission_beyond_a_full_queue_is_counted_as_refused(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MAX_WAITING", 1)
    running = await start(UPSTREAM_CONCURRENCY=1)
    for number in range(2):  # the first one does not wait
        await running.submit(soul(f"fox {number}", wait_for=pb.WAIT_FOR_STORED))
    with pytest.raises(RpcFailure, match="the gateway's queue is full"):
        await running.submit(soul("fox 2"))
    submit = '{method="/hfgateway.v1.GenerationService/SubmitGeneration"}'
    assert await running.metric(f"hfgateway_rpc_refused_total{submit}") == 1


async def test_a_request_that_does_not_arrive_in_time_is_refused(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_limits, "BODY_TIMEOUT", 0.05)
    running = await start()
    async with Withheld(running.gateway.grpc_address) as withheld:
        for method in requests():
            call = withheld.call(method)
            async with asyncio.timeout(WAIT_TIMEOUT):
                assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "did not arrive within 0.05 s" in await call.details()
    assert await running.metric('hfgateway_bad_requests_total{reason="slow"}') == len(requests())
    everything = limits_of(running)
    for pool in everything.pools().values():
        await holds(pool, 0, 0)
    assert (await running.grpc.call("ListGenerations", pb.ListGenerationsRequest())).generations == []


async def test_places_are_counted_and_returned(running: Running, client: Transport) -> None:
    everything = limits_of(running)
    queued = await running.submit(soul("a fox"))
    messages: Any = client.stream("WatchGeneration", pb.WatchGenerationRequest(id=queued.id))
    await anext(messages)
    await holds(everything.local, 0, 0)
    assert everything.waiting.total.held == 1
    assert await running.metric("hfgateway_places_waiting") == 1
    await messages.aclose()
    await holds(everything.waiting, 0, 0)
    for method, request in requests().items():
        try:
            await responses_of(client, method, request)
        except RpcFailure as failure:
            assert failure.reason in {"NOT_FOUND", "INVALID_INPUT"}, method
    for pool in everything.pools().values():
        await holds(pool, 0, 0)


async def test_a_list_of_characters_that_waits_for_higgsfield_takes_no_place_of_other_reads(running: Running) -> None:
    running.plan(on="characters", delay=WAIT_TIMEOUT)
    listing = asyncio.create_task(running.grpc.call("ListCharacters", character_service_pb2.ListCharactersRequest()))
    await holds(limits_of(running).upstream, 1, 0)
    assert limits_of(running).local.total.held == 0
    listing.cancel()
    await asyncio.gather(listing, return_exceptions=True)


async def test_overload_refusals_are_counted_and_not_logged(
    keyed: Running, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    key = await keyed.key("fox")
    async with Withheld(keyed.gateway.grpc_address) as withheld:
        for _ in range(WORKING.tenant + QUEUED.tenant):
            withheld.call("GetGeneration", key)
        await holds(limits_of(keyed).local, WORKING.tenant, QUEUED.tenant)
        with caplog.at_level(logging.DEBUG, "gateway"):
            for _ in range(3):
                with pytest.raises(RpcFailure):
                    await keyed.caller(transport, key).call("ListGenerations", pb.ListGenerationsRequest())
        text = (await keyed.metrics()).splitlines()
    assert not [record for record in caplog.records if record.name.startswith("gateway.rpc")]
    name = "/hfgateway.v1.GenerationService/ListGenerations"
    assert f'hfgateway_rpc_refused_total{{method="{name}"}} 3.0' in text
    assert f'hfgateway_rpc_total{{code="RESOURCE_EXHAUSTED",method="{name}"}} 3.0' in text


async def test_health_metrics_and_the_operator_are_served_at_the_limit(keyed: Running) -> None:
    async with Withheld(keyed.gateway.grpc_address) as withheld:
        for tenant in ("fox", "wolf"):
            key = await keyed.key(tenant)
            for _ in range(WORKING.total + QUEUED.total):
                withheld.call("GetGeneration", key)
        await holds(limits_of(keyed).local, WORKING.total, QUEUED.total)
        async with grpc.aio.insecure_channel(keyed.gateway.grpc_address) as channel:
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        async with aiohttp.ClientSession() as session:
            for path in ("/healthz", "/readyz", "/metrics"):
                async with session.get(keyed.gateway.http_address + path) as response:
                    assert response.status == 200, path
        async with grpc.aio.insecure_channel(admin_pointer(keyed.store_path).read_text()) as channel:
            keys = await AdminServiceStub(channel).ListApiKeys(admin_service_pb2.ListApiKeysRequest())
        assert len(keys.api_keys) == 2


async def test_an_event_stream_over_the_limit_gets_a_retry_delay(start: Start, small_limits: None) -> None:
    running = await start()
    queued = await running.submit(soul("a fox"))
    watches: list[Any] = [
        running.grpc.stream("WatchGeneration", pb.WatchGenerationRequest(id=queued.id)) for _ in range(WAITING.tenant)
    ]
    for watch in watches:
        await anext(watch)
    url = f"{running.gateway.http_address}/v1/generations/{queued.id}/events"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        name, _, delay = (await response.text()).strip().partition(": ")
    assert name == "retry"
    assert RETRY_DELAYS[0] <= int(delay) / 1000 < RETRY_DELAYS[1]
    for watch in watches:
        await watch.aclose()


class Passing:
    """The timers of a client: the second sleep waits until the test has removed the overload."""

    def __init__(self, passes: asyncio.Event) -> None:
        self._passes = passes
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if len(self.slept) == 2:
            self._passes.set()
            await eventually(lambda: not self._passes.is_set())

    def timers(self) -> Timers:
        return Timers(sleep=self.sleep)


async def test_the_python_client_retries_refusals_and_is_charged_once(start: Start, small_limits: None) -> None:
    running = await start()
    passes = asyncio.Event()
    passing = Passing(passes)
    async with AsyncClient(running.gateway.grpc_address, timers=passing.timers()) as client:
        async with Withheld(running.gateway.grpc_address) as withheld:
            for _ in range(WORKING.tenant + QUEUED.tenant):
                withheld.call("SubmitGeneration")
            await holds(limits_of(running).submitting, WORKING.tenant, QUEUED.tenant)
            submitting = asyncio.create_task(client.submit(soul("a fox").input, idempotency_key="order-1"))
            async with asyncio.timeout(WAIT_TIMEOUT):
                await passes.wait()
        await holds(limits_of(running).submitting, 0, 0)
        passes.clear()
        submission = await submitting
    assert (name_of(submission.generation), submission.replayed) == ("QUEUED", False)
    assert len(passing.slept) == 2
    assert all(RETRY_DELAYS[0] <= delay < RETRY_DELAYS[1] for delay in passing.slept)
    assert len(running.ledger.charges) == 1


class Iterations:
    """Records the iteration of the event loop in which functions are called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._now = 0

    async def count(self) -> None:
        """Count the iterations until canceled."""
        while True:
            self._now += 1
            await asyncio.sleep(0)

    def of(self, owner: object, name: str) -> list[int]:
        """Return a list to which each call of a function adds its iteration."""
        found, function = list[int](), getattr(owner, name)

        def recorded(*arguments: Any, **named: Any) -> Any:
            found.append(self._now)
            return function(*arguments, **named)

        self._monkeypatch.setattr(owner, name, recorded)
        return found


async def test_pages_of_a_tenant_are_made_in_turns_so_that_calls_of_others_run_in_between(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large page takes 60 ms of the processor. With 128 at once, a list of another tenant took 20 s."""
    await running.submit(soul("a fox"))
    handlers, iterations = running.gateway._ports._generations, Iterations(monkeypatch)
    read, filled = iterations.of(handlers._generations, "page"), iterations.of(Page, "fill")
    counting = asyncio.create_task(iterations.count())
    call = Call("", None, Identity("default"))
    async with asyncio.timeout(WAIT_TIMEOUT):
        await asyncio.gather(*(handlers.list_generations(pb.ListGenerationsRequest(), call) for _ in range(9)))
    counting.cancel()
    for found in (read, filled):
        assert len(found) == len(set(found)) == 9


@pytest.mark.parametrize("conversion", ["ParseDict", "MessageToJson"])
@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON"])
async def test_large_json_of_a_tenant_is_converted_in_turns_so_that_calls_of_others_run_in_between(
    running: Running, monkeypatch: pytest.MonkeyPatch, conversion: str, content_type: str
) -> None:
    """Each conversion may take 60 ms. With 128 calls at once, those of another tenant took 10 s."""
    request = soul("x" * 2 * over_connect.LARGE_BYTES)
    submitted = await running.submit(request)
    known = json_format.MessageToDict(request) if conversion == "ParseDict" else {"id": submitted.id}
    method = "SubmitGeneration" if conversion == "ParseDict" else "GetGeneration"
    iterations = Iterations(monkeypatch)
    converted = iterations.of(json_format, conversion)
    body = json.dumps(known).encode()
    head = f"POST /{SERVICE.full_name}/{method} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content_type}\r\n"
    length = f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    async with AsyncExitStack() as stack, asyncio.timeout(WAIT_TIMEOUT):
        streams = [await stack.enter_async_context(connected(running.gateway.http_address)) for _ in range(4)]
        counting = asyncio.create_task(iterations.count())
        stack.callback(counting.cancel)
        for _, writer in streams:  # they arrive in the same iteration
            writer.write((head + length).encode() + body)
        responses = [await reader.read() for reader, _ in streams]
    assert all(response.startswith(b"HTTP/1.1 200") and submitted.id.encode() in response for response in responses)
    assert len(converted) == len(set(converted)) == len(streams)
