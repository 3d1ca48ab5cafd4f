"""Several gateways on one PostgreSQL database: one leads, all serve, and one of the others takes over."""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import grpc
import pytest
import yarl
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway import concurrency
from gateway.access.scopes import Scope
from gateway.accounts.encryption import FernetEncryption
from gateway.audit import Entry, chained
from gateway.callbacks.model import NotSentError, Outcome
from gateway.callbacks_http.client import HttpReceivers
from gateway.catalog import builtin
from gateway.generations.clock import since_boot
from gateway.generations.due_steps import Step
from gateway.generations.limits.model import Limits
from gateway.generations.model import GenerationId, Spec
from gateway.generations.run_times import ENOUGH_RUN_TIMES
from gateway.higgsfield.accounts import CREDENTIALS_REFUSED
from gateway.higgsfield.credentials import Credentials
from gateway.process import serving
from gateway.process.app import Gateway
from gateway.process.core import Core
from gateway.process.private_sockets import admin_pointer
from gateway.process.replica import Replica
from gateway.process.serving import Ports
from gateway.rpc.services import PUBLIC_SERVICES
from gateway.rpc.transports.forwarding import PATH_METADATA, READ_HERE, WEBHOOK_METHOD
from gateway.rpc.transports.over_grpc import FORWARDED_METADATA
from gateway.sandbox.clock import ManualClock
from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox, SandboxOptions
from gateway.settings.config import SettingError, read_settings
from gateway.store.postgres import database, tail
from gateway.store.postgres.tail import Tail
from gateway.store.store import STORE_UNUSABLE
from harness.checker import INVARIANTS
from harness.history import Recorder, generation_fields, read, record_ledger
from harness.proxy import Proxy
from harness.violations import IndexedHistory
from harness.watchers import Watchers, access_to
from hfgateway.admin.v1 import admin_service_pb2 as admin_pb
from hfgateway.admin.v1.admin_service_pb2_grpc import AdminServiceStub
from hfgateway.agents.v1alpha1 import agent_service_pb2 as agent_pb
from hfgateway.v1 import callback_service_pb2, catalog_service_pb2, character_service_pb2, upload_service_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.generation_input_pb2 import SoulVersion
from hfgateway.v1.generation_pb2 import GenerationState
from hfgateway.v1.generation_service_pb2_grpc import GenerationServiceStub
from hfgateway_client import AsyncClient, RetryPolicy, errors, soul
from tests.app.certificates import Authority
from tests.app.command import environment
from tests.callbacks.receiver import Receiver
from tests.catalog.test_check import KNOWN_SHORT, Z_IMAGE, submission
from tests.durability.process import READY, WAIT_TIMEOUT
from tests.support import forked
from tests.support.addresses import free_address
from tests.support.bugs import fail_once
from tests.support.connect_proxy import ConnectProxy
from tests.support.running import CREDENTIALS, eventually
from tests.support.running import soul as soul_request
from tests.support.transports import METHODS, TRANSPORTS, RpcFailure, Transport, open_transport

if TYPE_CHECKING:
    from tests.support.postgres import Server

pytestmark = pytest.mark.toolchain("postgres")
LEADS = re.compile("hfgateway: leads the replicas of its store")
SECRET = "whsec_" + "QUJDREVGR0g" * 4
RETRY = RetryPolicy(0.05, 0.25)


def test_what_is_read_here_are_rpcs() -> None:
    assert {method.name for service in PUBLIC_SERVICES for method in service.methods} >= READ_HERE


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    options = SandboxOptions(port=0, queue_seconds=1.0, image_seconds=1.0, webhook_secret=SECRET)
    async with Sandbox(options, ManualClock()) as sandbox:
        yield sandbox


def advance(sandbox: Sandbox, seconds: float) -> None:
    clock = sandbox.state.clock
    assert isinstance(clock, ManualClock)
    clock.advance(seconds)


@pytest.fixture
def settings(sandbox: Sandbox, emptied: str) -> dict[str, str]:
    return {
        "HFGATEWAY_UPSTREAM_URL": sandbox.url,
        "HFGATEWAY_STORE_URL": emptied,
        "HFGATEWAY_GRPC_ADDRESS": "127.0.0.1:0",
        "HFGATEWAY_HTTP_ADDRESS": "127.0.0.1:0",
        "HFGATEWAY_POLL_MIN": "0.05",
        "HFGATEWAY_POLL_MAX": "0.05",
        "HFGATEWAY_DRAIN": "5",
    }


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let replicas serve what they have read, however slow the machine is. Real clients repeat a refused call."""
    monkeypatch.setattr(tail, "STALE_AFTER", WAIT_TIMEOUT)
    monkeypatch.setattr("gateway.process.replica.MAX_KEYS_AGE", WAIT_TIMEOUT)


@asynccontextmanager
async def gateways(settings: Mapping[str, str], *each: Mapping[str, str]) -> AsyncIterator[list[Gateway]]:
    """Start gateways in this process, the first of which leads. `each` has further settings for each."""
    async with AsyncExitStack() as stack:
        started = []
        for more in each:
            one = Gateway(read_settings({**settings, **more}), CREDENTIALS)
            await one.start()
            stack.push_async_callback(one.stop)
            started.append(one)
        yield started


async def fetched(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def metrics(gateway: Gateway) -> dict[str, float]:
    _, text = await fetched(f"{gateway.http_address}/metrics")
    samples = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in samples}


async def to_the_end(client: AsyncClient, generation_id: str) -> list[int]:
    async with asyncio.timeout(WAIT_TIMEOUT):
        return [generation.revision async for generation in client.watch(generation_id)]


# -- Any replica serves anything ---------------------------------------------------------------------------------------


async def test_any_replica_serves_anything(sandbox: Sandbox, settings: dict[str, str]) -> None:
    """Polls are too rare to report an end, so that the webhooks, which arrive at the second one, do."""
    public = free_address()
    rare = {"HFGATEWAY_POLL_MIN": "30", "HFGATEWAY_POLL_MAX": "30"}
    webhooks = {"HFGATEWAY_PUBLIC_URL": f"http://{public}", "HFGATEWAY_WEBHOOK_SECRET": SECRET}
    every = settings | rare | webhooks
    async with (
        gateways(every, {}, {"HFGATEWAY_WEBHOOK_ADDRESS": public}, {}) as (first, second, third),
        AsyncClient(first.grpc_address) as a,
        AsyncClient(second.grpc_address) as b,
        AsyncClient(third.grpc_address) as c,
    ):
        submitted = (await b.submit(soul("a fox"), idempotency_key="fox")).generation
        assert (await b.get(submitted.id)).id == submitted.id  # B has read what it has forwarded
        watched = asyncio.create_task(to_the_end(c, submitted.id))
        assert (await a.submit(soul("a fox"), idempotency_key="fox")).replayed
        advance(sandbox, 5.0)
        revisions = await watched
        assert revisions == list(range(1, len(revisions) + 1))
        story = await b.explain(submitted.id)
        assert any("webhook: completed" in event.description for event in story.events)
        assert [one.id for one in [one async for one in c.list()]] == [submitted.id]
        assert len(sandbox.ledger.charges) == 1

        with pytest.raises(errors.NotFound):
            await b.cancel("01a201e1-488e-7dc7-876e-f6f276cea2cd")
        at_leader, at_replica = await metrics(first), await metrics(second)
        assert (at_leader["hfgateway_leads"], at_replica["hfgateway_leads"]) == (1, 0)
        assert at_replica["hfgateway_log_age_seconds"] < 2
        assert at_replica["hfgateway_log_position"] == at_leader["hfgateway_log_position"] > 0
        forwarded = {key: value for key, value in at_replica.items() if "forwarded_calls_total" in key}
        assert forwarded == {
            'hfgateway_forwarded_calls_total{code="OK"}': 3,  # a submission, a webhook, and the explanation
            'hfgateway_forwarded_calls_total{code="NOT_FOUND"}': 1,
        }

        waiting = (await c.submit(soul("a cat"))).generation
        assert (await b.cancel(waiting.id)).done
        assert (await c.wait(waiting.id)).done

        for gateway in (first, second, third):
            assert (await fetched(f"{gateway.http_address}/readyz"))[0] == 200
            async with grpc.aio.insecure_channel(gateway.grpc_address) as channel:
                stub = health_pb2_grpc.HealthStub(channel)
                health = await stub.Check(health_pb2.HealthCheckRequest(service="hfgateway.v1.GenerationService"))
                assert health.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_call_sees_what_its_replica_has_forwarded_before(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replica does not wait for its next look at the log."""
    for name in ("BUSY_PAUSE", "IDLE_PAUSE"):
        monkeypatch.setattr(tail, name, 3600.0)
    async with gateways(settings, {}, {}) as (_, replica), AsyncClient(replica.grpc_address) as client:
        known = (await client.submit(soul("a fox"))).generation
        assert not (await client.get(known.id)).done
        await client.cancel(known.id)
        assert (await client.get(known.id)).done


async def test_a_replica_reaches_the_leader_without_the_proxy_of_the_environment(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As gRPC would use it. The clients here do not either, because the gateways are on this machine."""
    async with ConnectProxy() as proxy:
        for name in ("http_proxy", "https_proxy", "grpc_proxy"):
            monkeypatch.setenv(name, f"http://{proxy.address}")
        for name in ("no_proxy", "no_grpc_proxy"):
            monkeypatch.delenv(name, raising=False)
        async with gateways(settings, {}, {}) as (_, second), AsyncClient(second.grpc_address) as client:
            submitted = await client.submit(soul("a fox"))
            assert (await client.get(submitted.generation.id)).id == submitted.generation.id
        assert proxy.asked == []


async def test_a_client_is_asked_for_new_connections_and_its_calls_continue(
    sandbox: Sandbox, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "MAX_CONNECTION_AGE", 0.1)
    monkeypatch.delenv("no_proxy")  # the proxy counts the connections
    async with ConnectProxy() as proxy, gateways(settings, {}) as (one,), asyncio.timeout(WAIT_TIMEOUT):
        proxy.routes[one.grpc_address] = one.grpc_address
        counted = [("grpc.http_proxy", f"http://{proxy.address}")]
        async with grpc.aio.insecure_channel(one.grpc_address, counted) as channel:
            stub = GenerationServiceStub(channel)
            submitted = await stub.SubmitGeneration(soul_request("a fox"))
            get = pb.GetGenerationRequest(id=submitted.generation.id)
            watch = stub.WatchGeneration(pb.WatchGenerationRequest(id=submitted.generation.id))
            assert not (await watch.read()).generation.done
            while len(proxy.asked) < 3:
                await stub.GetGeneration(get)
            advance(sandbox, 5.0)
            while not (await watch.read()).generation.done:
                pass


async def test_the_versions_of_a_generation_share_what_never_changes(settings: dict[str, str]) -> None:
    async with gateways(settings, {}, {}) as (_, second), AsyncClient(second.grpc_address) as replica:
        generation = (await replica.submit(soul("a fox"))).generation
        replicated = second._former
        assert replicated is not None
        feed = replicated.feed

        def specs() -> list[Spec]:
            changes = feed.recent("default", 0, 10) or []
            return [change.generation.spec for change in changes if change.generation is not None]

        await eventually(lambda: len(specs()) > 1)
        assert all(spec is feed.spec(GenerationId(generation.id)) for spec in specs())


async def test_any_replica_serves_the_operator(
    settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over its address with a key, and over its socket without. The leader's gRPC port is for replicas only."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    admin = {"HFGATEWAY_ADMIN_ADDRESS": "127.0.0.1:0", "HFGATEWAY_AUDIT": "on"}
    listing = admin_pb.ListApiKeysRequest()

    async def audited(core: Core, entries: int) -> Sequence[Entry]:
        """Wait for entries: a gateway records its start beside its first calls."""
        async with asyncio.timeout(WAIT_TIMEOUT):
            while len(found := await core.store.audit.audit_entries(1, 9)) < entries:
                await asyncio.sleep(0.01)
        return found

    async def keys(address: str, *metadata: tuple[str, str]) -> list[str] | str:
        """Return the tenants of the keys, or the code of the error. Retry as the clients do while no gateway leads."""
        async with asyncio.timeout(WAIT_TIMEOUT), grpc.aio.insecure_channel(address) as channel:
            while True:
                try:
                    listed = await AdminServiceStub(channel).ListApiKeys(listing, metadata=metadata)
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:
                        return error.code().name
                else:
                    return [key.tenant for key in listed.api_keys]
                await asyncio.sleep(0.01)

    async with gateways(settings, admin, admin) as (first, second):
        await audited(first._core, 1)
        _, secret = await first.access.create_key("operators", "", [Scope.ADMIN])
        with_key = ("authorization", f"Bearer {secret}")
        await eventually(lambda: bool(second.access.listed()))
        for gateway in (first, second):
            assert await keys(gateway.admin_address, with_key) == ["operators"]
            assert await keys(gateway.admin_address) == "UNAUTHENTICATED"
            assert await keys(gateway._ports._sockets.admin) == ["operators"]
            assert await keys(gateway.grpc_address, with_key) == "UNIMPLEMENTED"
            assert await keys(gateway.grpc_address, with_key, (FORWARDED_METADATA, "wrong")) == "UNIMPLEMENTED"
        assert admin_pointer(first._settings.store).read_text() == first._ports._sockets.admin

        async with grpc.aio.insecure_channel(second._ports._sockets.admin) as channel:
            found = [entry async for entry in AdminServiceStub(channel).ExportAudit(admin_pb.ExportAuditRequest())]
        assert [json.loads(entry.text)["act"] for entry in found] == ["gateway.start", "key.create"]

        await first.stop()
        await eventually(lambda: second._replica is None and admin_pointer(second._settings.store).exists())
        assert admin_pointer(second._settings.store).read_text() == second._ports._sockets.admin
        assert await keys(second.admin_address, with_key) == ["operators"]
        entries = await audited(second._core, 3)
        assert [entry.sequence for entry in entries] == [1, 2, 3]
        assert chained(entries[1].hash, 3, entries[2].text) == entries[2].hash  # the next leader continues the chain


async def test_the_audit_log_names_who_has_acted_at_a_replica(settings: dict[str, str]) -> None:
    """A key of an operator at the address of AdminService, or the operator on the socket."""
    admin = {"HFGATEWAY_ADMIN_ADDRESS": "127.0.0.1:0", "HFGATEWAY_AUDIT": "on"}
    async with gateways(settings, admin, admin) as (leader, replica):
        key, secret = await leader.access.create_key("operators", "", [Scope.ADMIN])
        await eventually(lambda: bool(replica.access.listed()))
        for address, metadata in (
            (replica.admin_address, [("authorization", f"Bearer {secret}")]),
            (replica._ports._sockets.admin, []),
        ):
            async with grpc.aio.insecure_channel(address) as channel:
                created = admin_pb.CreateApiKeyRequest(tenant="team")
                await AdminServiceStub(channel).CreateApiKey(created, metadata=metadata)
        entries = [json.loads(entry.text) for entry in await leader._core.store.audit.audit_entries(1, 9)]
        actors = [entry["actor"] for entry in entries if entry["act"] == "key.create"]
        assert actors[1:] == [f"key:{key.id}", "operator"]


async def test_the_operator_finds_another_replica_of_the_machine_when_one_has_stopped(
    settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in an upgrade: the new version was started beside the old one, and the leader is on another machine."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "leader"))
    async with gateways(settings, {}):
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "replicas"))
        async with gateways(settings, {}, {}) as (old, new):
            pointer = admin_pointer(old._settings.store)
            assert pointer.read_text() == old._ports._sockets.admin
            await old.stop()
            await eventually(lambda: pointer.exists() and pointer.read_text() == new._ports._sockets.admin)


async def test_errors_of_the_leader_pass_unchanged(settings: dict[str, str]) -> None:
    async def refused(gateway: Gateway, *metadata: tuple[str, str]) -> tuple[object, ...]:
        async with grpc.aio.insecure_channel(gateway.grpc_address) as channel:
            request = pb.CancelGenerationRequest(id="01a201e1-488e-7dc7-876e-f6f276cea2cd")
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await GenerationServiceStub(channel).CancelGeneration(request, metadata=metadata)
            error = raised.value
            return error.code(), error.details(), error.trailing_metadata()

    async with gateways(settings, {}, {}) as (leader, replica):
        assert await refused(leader) == await refused(replica)
        code, text, _ = await refused(replica, ("hfgateway-forwarded", replica.access.replica_secret))
        assert (code, text) == (grpc.StatusCode.UNAVAILABLE, "this replica does not lead")


# -- Every transport at a replica --------------------------------------------------------------------------------------


ABSENT = "01a201e1-488e-7dc7-876e-f6f276cea2cd"
CALLS: list[tuple[str, Message | bytes]] = [
    ("GetGeneration", pb.GetGenerationRequest(id=ABSENT)),
    ("SubmitGeneration", pb.SubmitGenerationRequest(idempotency_key="k")),
    ("CancelGeneration", pb.CancelGenerationRequest(id=ABSENT)),
    ("GetCallback", callback_service_pb2.GetCallbackRequest(id=ABSENT)),
    ("ListPresets", catalog_service_pb2.ListPresetsRequest()),
    ("WatchModels", catalog_service_pb2.WatchModelsRequest(after_revision=0)),
    ("UploadMedia", upload_service_pb2.UploadMediaRequest(chunk=b"no header")),
    ("UploadMedia", b"not a message"),
]
"""RPCs of each kind: read here or forwarded; with one message or a stream of them, to and from the gateway."""


async def test_a_lookup_by_key_at_a_replica_waits_for_the_submission_at_the_leader(
    sandbox: Sandbox, settings: dict[str, str]
) -> None:
    async with gateways(settings, {}, {}) as (leader, replica), AsyncClient(replica.grpc_address) as client:
        core = leader._core
        assert core is not None
        await core.budgets.set("default", "tenant", Limits(credits_per_day=10**9), {"credits_per_day"})
        sandbox.state.plan.add([Fault.parse({"on": "estimate", "delay": 0.5})])
        submitting = asyncio.create_task(client.submit(soul("a fox"), idempotency_key="order-1"))
        await eventually(lambda: len(core.service._submitting) == 1)
        submitting.cancel()
        assert [one.idempotency_key async for one in client.list(idempotency_key="order-1")] == ["order-1"]


@pytest.mark.parametrize("name", TRANSPORTS)
async def test_a_replica_answers_on_every_transport_as_the_leader_does(name: str, settings: dict[str, str]) -> None:
    """Also with a deadline that passes, which every forwarded stream reaches."""

    async def outcome(
        client: Transport, method: str, request: Message | bytes, deadline: float = 1.0
    ) -> tuple[object, ...]:
        answers = []
        try:
            if METHODS[method].server_streaming:
                answers.extend([answer async for answer in client.stream(method, request, timeout=deadline)])
            else:
                answers.append(await client.call(method, request, timeout=WAIT_TIMEOUT))
        except RpcFailure as failure:
            if failure.code == "UNAVAILABLE":  # a busy machine stalls the leader, and the replica loses it for a moment
                await asyncio.sleep(0.05)
                return await outcome(client, method, request, deadline)
            return (*answers, failure.code, failure.message, failure.details)
        return tuple(answers)

    async with gateways(settings | {"HFGATEWAY_AUTH": "keys"}, {}, {}) as (leader, replica):
        _, secret = await leader.access.create_key("team", "")
        await eventually(lambda: len(replica.access.listed()) == 1)
        at_leader, at_replica, unknown = (
            open_transport(name, gateway.grpc_address, gateway.http_address, authorization=authorization)
            for gateway, authorization in ((leader, f"Bearer {secret}"), (replica, f"Bearer {secret}"), (replica, ""))
        )
        try:
            for method, request in CALLS:
                if name == "grpc-web" and METHODS[method].client_streaming:
                    continue  # browsers cannot stream requests
                # On a busy machine a deadline may pass before an answer of the stream that the other one still gets.
                for deadline in (1.0, 5.0, 25.0):
                    ours = await outcome(at_replica, method, request, deadline)
                    theirs = await outcome(at_leader, method, request, deadline)
                    if ours == theirs or "DEADLINE_EXCEEDED" not in (*ours, *theirs):
                        break
                assert ours == theirs
                assert "UNAUTHENTICATED" in await outcome(unknown, method, request)
        finally:
            for client in (at_leader, at_replica, unknown):
                await client.close()


@pytest.mark.parametrize("name", TRANSPORTS)
async def test_a_generation_is_submitted_and_watched_at_a_replica_on_every_transport(
    name: str, sandbox: Sandbox, settings: dict[str, str]
) -> None:
    request = pb.SubmitGenerationRequest(idempotency_key="fox")
    request.input.soul.prompt = "a fox"
    async with gateways(settings, {}, {}) as (leader, replica):
        client = open_transport(name, replica.grpc_address, replica.http_address)
        try:
            made = (await client.call("SubmitGeneration", request)).generation
            assert (await client.call("GetGeneration", pb.GetGenerationRequest(id=made.id))).generation.id == made.id
            advance(sandbox, 5.0)
            revisions = []
            async with asyncio.timeout(WAIT_TIMEOUT):
                async for seen in client.stream("WatchGeneration", pb.WatchGenerationRequest(id=made.id)):
                    revisions.append(seen.generation.revision)
            assert revisions == list(range(1, len(revisions) + 1))
            assert seen.generation.outputs
            models = client.stream("WatchModels", catalog_service_pb2.WatchModelsRequest())
            reading = asyncio.create_task(anext(models))
            await open_calls(leader, "WatchModels", 1)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await client.close()
            await open_calls(leader, "WatchModels", 0)  # the leader learns that the client has left
        finally:
            await client.close()
    assert len(sandbox.ledger.charges) == 1


async def test_an_unknown_webhook_is_refused_at_a_replica_as_by_the_leader(settings: dict[str, str]) -> None:
    webhooks = {"HFGATEWAY_PUBLIC_URL": "http://127.0.0.1:1", "HFGATEWAY_WEBHOOK_SECRET": SECRET}
    answers = {}
    async with gateways(settings | webhooks, {}, {}) as both, aiohttp.ClientSession() as session:
        for token in ("unknown", "%C3%A9", "a%0Ab", "%00", "x" * 9000):
            for signature in ("v1,eA==", "v1,\u00e9", ""):
                for gateway in both:
                    url = yarl.URL(f"{gateway.http_address}/webhooks/higgsfield/{token}", encoded=True)
                    async with session.post(url, data=b"{}", headers={"webhook-signature": signature}) as refused:
                        answers[token, signature, gateway is both[0]] = refused.status
        async with grpc.aio.insecure_channel(both[0].grpc_address) as channel:
            for metadata in ((), ((FORWARDED_METADATA, "wrong"),)):  # only replicas forward webhooks
                with pytest.raises(grpc.aio.AioRpcError) as raised:
                    await channel.unary_unary(WEBHOOK_METHOD)(b"{}", metadata=metadata)
                assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert {place: status for place, status in answers.items() if status != 404} == {}


async def test_a_forwarded_webhook_is_not_forwarded_again(settings: dict[str, str]) -> None:
    async with (
        gateways(settings | {"HFGATEWAY_PUBLIC_URL": "http://127.0.0.1:1"}, {}, {}) as (_, replica),
        grpc.aio.insecure_channel(replica.grpc_address) as channel,
    ):
        metadata = ((FORWARDED_METADATA, replica.access.replica_secret), (PATH_METADATA, "token"))
        assert await channel.unary_unary(WEBHOOK_METHOD)(b"{}", metadata=metadata) == b"503 try again\n"


async def open_calls(gateway: Gateway, method: str, number: int) -> None:
    """Return when a gateway serves this number of calls of a method."""
    name = f'hfgateway_rpc_open{{method="/{METHODS[method].containing_service.full_name}/{method}"}}'
    async with asyncio.timeout(WAIT_TIMEOUT):
        while (await metrics(gateway)).get(name) != number:
            await asyncio.sleep(0.02)


async def test_events_are_served_at_a_replica(sandbox: Sandbox, settings: dict[str, str]) -> None:
    """Also after the replica has forwarded the submission, and with a token that another one has signed."""
    async with (
        gateways(settings | {"HFGATEWAY_AUTH": "keys"}, {}, {}) as (leader, replica),
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser,
    ):
        _, secret = await leader.access.create_key("team", "")
        await eventually(lambda: len(replica.access.listed()) == 1)
        async with (
            AsyncClient(leader.grpc_address, api_key=secret) as one,
            AsyncClient(replica.grpc_address, api_key=secret) as other,
        ):
            made = (await other.submit(soul("a fox"))).generation
            token = await one.create_watch_token(ids=[made.id])
        headers = {"authorization": f"Bearer {token.token}"}
        async with browser.post(f"{replica.http_address}/v1/session", headers=headers) as answer:
            assert answer.status == 204
        advance(sandbox, 5.0)
        url = f"{replica.http_address}/v1/generations/{made.id}/events"
        async with asyncio.timeout(WAIT_TIMEOUT), browser.get(url) as answer:
            seen = re.findall(r"^id: (\d+)$", await answer.text(), flags=re.MULTILINE)
        assert seen == [str(number) for number in range(1, len(seen) + 1)]
        async with browser.get(url, headers={"last-event-id": seen[-1]}) as answer:
            assert answer.status == 204


async def test_mcp_is_served_at_a_replica(sandbox: Sandbox, settings: dict[str, str]) -> None:
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    async with (
        gateways(settings | {"HFGATEWAY_MCP": "on"}, {}, {}) as (_, replica),
        Client(streamable_http_client(f"{replica.http_address}/mcp"), read_timeout_seconds=WAIT_TIMEOUT) as client,
    ):

        async def content(tool: str, arguments: dict[str, object]) -> dict[str, Any]:
            result = await client.call_tool(tool, arguments)
            assert isinstance(result.structured_content, dict)
            return result.structured_content

        fox = {"input": {"soul": {"prompt": "a fox"}}, "wait_seconds": 0, "idempotency_key": "fox"}
        made = (await content("generate", fox))["generation"]["id"]
        assert (await content("get_generation", {"id": made}))["generation"]["id"] == made
        assert [one["id"] for one in (await content("list_generations", {}))["generations"]] == [made]
        assert (await content("cancel_generation", {"id": ABSENT}))["error"]["reason"] == "NOT_FOUND"

        async def outcome() -> dict[str, Any]:
            while "error" in (answer := await content("generate", fox | {"wait_seconds": 50})):
                pass  # on a busy machine a replica may be behind for a moment; the error says to call again
            return answer

        waiting = asyncio.create_task(outcome())
        await open_calls(replica, "WatchGeneration", 1)
        advance(sandbox, 5.0)
        ended = (await waiting)["generation"]
    assert (ended["id"], ended["state"]) == (made, "GENERATION_STATE_COMPLETED")
    assert len(sandbox.ledger.charges) == 1


@pytest.mark.toolchain("openssl")
async def test_replicas_with_one_certificate_trust_each_other(settings: dict[str, str], tmp_path: Path) -> None:
    """Also if clients need a certificate of the same authority."""
    authority = Authority.made(tmp_path)
    pair = authority.signed("gateway")
    tls = {
        "HFGATEWAY_TLS_CERT": str(pair.cert),
        "HFGATEWAY_TLS_KEY": str(pair.key),
        "HFGATEWAY_TLS_CLIENT_CA": str(authority.cert),
    }
    trusted = grpc.ssl_channel_credentials(authority.cert.read_bytes(), pair.key.read_bytes(), pair.cert.read_bytes())
    request = pb.EstimateGenerationRequest()
    request.input.soul.prompt = "a fox"
    async with (
        gateways(settings | tls, {}, {}) as (_, replica),
        grpc.aio.secure_channel(replica.grpc_address, trusted) as channel,
    ):
        assert float((await GenerationServiceStub(channel).EstimateGeneration(request)).cost.credits) > 0


@pytest.mark.toolchain("openssl")
async def test_replicas_trust_a_renewed_certificate(settings: dict[str, str], tmp_path: Path) -> None:
    """Also one of another authority, when a connection that was open at the renewal has ended."""
    served, renewed = Authority.made(tmp_path).signed("gateway"), Authority.made(tmp_path, "new").signed("renewed")
    tls = {"HFGATEWAY_TLS_CERT": str(served.cert), "HFGATEWAY_TLS_KEY": str(served.key)}
    request = pb.EstimateGenerationRequest()
    request.input.soul.prompt = "a fox"

    async def estimate() -> grpc.StatusCode:
        trusted = grpc.ssl_channel_credentials(served.cert.read_bytes())
        async with grpc.aio.secure_channel(replica.grpc_address, trusted) as channel:
            try:
                await GenerationServiceStub(channel).EstimateGeneration(request)
            except grpc.aio.AioRpcError as error:
                return error.code()
            return grpc.StatusCode.OK

    async with (
        Proxy() as proxy,
        gateways(settings | tls, {"HFGATEWAY_REPLICA_ADDRESS": proxy.address}, {}) as (leader, replica),
    ):
        proxy.target = leader.grpc_address
        await until_ok(estimate)
        for name in ("cert", "key"):
            getattr(renewed, name).replace(getattr(served, name))
        assert await estimate() is grpc.StatusCode.OK
        assert proxy.cut()
        await until_ok(estimate)


async def until_ok(call: Callable[[], Awaitable[grpc.StatusCode]]) -> None:
    """Return when a call succeeds. Until then the leader is unavailable."""
    async with asyncio.timeout(WAIT_TIMEOUT):
        while (code := await call()) is not grpc.StatusCode.OK:
            assert code is grpc.StatusCode.UNAVAILABLE
            await asyncio.sleep(0.05)


async def test_resume_tokens_are_valid_on_every_replica(sandbox: Sandbox, settings: dict[str, str]) -> None:
    """The replica knows a token of the leader that is newer than its last look at the log."""
    async with (
        gateways(settings, {}, {}) as (leader, replica),
        grpc.aio.insecure_channel(leader.grpc_address) as one,
        grpc.aio.insecure_channel(replica.grpc_address) as other,
        AsyncClient(leader.grpc_address) as client,
    ):
        for number in range(5):
            known = (await client.submit(soul(f"fox {number}"))).generation
            token = ""
            async for message in GenerationServiceStub(one).WatchGenerations(pb.WatchGenerationsRequest()):
                token = message.resume_token
                if message.caught_up:
                    break
            stream = GenerationServiceStub(other).WatchGenerations(pb.WatchGenerationsRequest(resume_token=token))
            async with asyncio.timeout(WAIT_TIMEOUT):
                message = await stream.read()
            assert (message.reset, message.caught_up) == (False, True)
            stream.cancel()
            watch = pb.WatchGenerationRequest(id=known.id, after_revision=(await client.get(known.id)).revision)
            async with asyncio.timeout(WAIT_TIMEOUT):
                await GenerationServiceStub(other).WatchGeneration(watch).read()


async def test_watchers_notice_a_removal_that_a_replica_reads_without_the_end(
    sandbox: Sandbox, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The generation ends and is deleted while the replica reads nothing, and its changes are deleted with it."""
    reading, held, rest = asyncio.Event(), asyncio.Event(), Tail._sleep
    reading.set()

    async def rests(self: Tail, seconds: float) -> None:
        await rest(self, seconds)
        if not reading.is_set():
            held.set()  # a read that had begun before has ended
        await reading.wait()

    monkeypatch.setattr(Tail, "_sleep", rests)
    async with (
        gateways(settings, {}, {}) as (first, second),
        AsyncClient(first.grpc_address) as leader,
        AsyncClient(second.grpc_address, retry=RETRY) as replica,
        grpc.aio.insecure_channel(second.grpc_address) as channel,
    ):
        generation = (await replica.submit(soul("a fox"))).generation
        of_all = GenerationServiceStub(channel).WatchGenerations(pb.WatchGenerationsRequest())
        assert (await of_all.read()).generation.id == generation.id
        of_one = asyncio.create_task(to_the_end(replica, generation.id))
        waiting = asyncio.create_task(replica.wait(generation.id))
        replicated = second._former
        assert replicated is not None
        await eventually(lambda: replicated.feed.entries[generation.id].has_waiters)
        reading.clear()
        async with asyncio.timeout(WAIT_TIMEOUT):
            await held.wait()
            advance(sandbox, 5.0)
            await leader.wait(generation.id)
            await leader.delete(generation.id)
            reading.set()
            for ended in (of_one, waiting):
                with pytest.raises(errors.NotFound):
                    await ended
            with suppress(grpc.aio.AioRpcError):
                while True:
                    await of_all.read()
        assert await of_all.code() is grpc.StatusCode.UNAVAILABLE  # it resumes, and gets a reset


async def test_keys_apply_on_every_replica(settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch ends when its key is revoked, and not at its next heartbeat."""
    monkeypatch.setattr("gateway.generations.watching.watch.HEARTBEAT", 3600.0)
    async with gateways(settings | {"HFGATEWAY_AUTH": "keys"}, {}, {}) as (leader, replica):
        key, secret = await leader.access.create_key("team", "")
        await eventually(lambda: len(replica.access.listed()) == 1)
        async with AsyncClient(replica.grpc_address, api_key=secret) as client:
            known = (await client.submit(soul("a fox"))).generation
            watched = asyncio.create_task(to_the_end(client, known.id))
            assert (await client.get(known.id)).id == known.id
            await leader.access.revoke_key(key.id)
            with pytest.raises(Exception, match="revoked"):
                await watched
            with pytest.raises(Exception, match="revoked"):
                await client.get(known.id)


async def test_a_revoked_key_ends_the_watches_that_a_replica_has_forwarded(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, and not at their next heartbeat."""
    for module in ("catalog.watch", "characters.watch", "agents.service"):
        monkeypatch.setattr(f"gateway.{module}.HEARTBEAT", 3600.0)
    async with gateways(settings | {"HFGATEWAY_AUTH": "keys"}, {}, {}) as (leader, replica):
        key, secret = await leader.access.create_key("team", "")
        await eventually(lambda: len(replica.access.listed()) == 1)
        client = open_transport("grpc", replica.grpc_address, replica.http_address, authorization=f"Bearer {secret}")
        try:
            anna = character_service_pb2.CreateCharacterRequest(name="Anna", idempotency_key="anna")
            anna.image_urls.append("https://example.invalid/a.jpg")
            anna.version = SoulVersion.SOUL_VERSION_V1
            character = (await client.call("CreateCharacter", anna)).character.id
            session = (
                await client.call("CreateSession", agent_pb.CreateSessionRequest(idempotency_key="s"))
            ).session.id
            streams = [
                client.stream("WatchModels", catalog_service_pb2.WatchModelsRequest()),
                client.stream("WatchCharacter", character_service_pb2.WatchCharacterRequest(id=character)),
                client.stream("WatchSession", agent_pb.WatchSessionRequest(id=session)),
            ]
            for stream in streams:
                await anext(stream)
            await leader.access.revoke_key(key.id)
            for stream in streams:
                async with asyncio.timeout(WAIT_TIMEOUT):
                    with pytest.raises(RpcFailure, match="UNAUTHENTICATED"):
                        [message async for message in stream]
        finally:
            await client.close()


async def test_a_replica_accepts_no_caller_by_keys_that_it_has_read_too_long_ago(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However late it gets the answer to a read."""
    monkeypatch.setattr("gateway.process.replica.REPORT_SERVING_INTERVAL", 0.01)
    settings["HFGATEWAY_AUTH"] = "keys"
    async with gateways(settings, {}, {}) as (leader, replica), asyncio.timeout(WAIT_TIMEOUT):
        key, secret = await leader.access.create_key("team", "")
        await eventually(replica.access.listed)
        store, read, answered = replica._replica.store, list[float](), asyncio.Event()
        report_serving = store.report_serving

        async def late() -> object:
            began = since_boot()
            changed = await report_serving()
            read.append(began)
            await (answered if len(read) == 1 else asyncio.Event()).wait()
            return changed

        monkeypatch.setattr(store, "report_serving", late)
        await eventually(lambda: len(read) == 1)
        await leader.access.revoke_key(key.id)
        monkeypatch.setattr("gateway.process.replica.MAX_KEYS_AGE", 0.1)
        await eventually(lambda: since_boot() > read[0] + 0.1)
        assert replica._replica.not_ready == STORE_UNUSABLE
        answered.set()
        await eventually(lambda: len(read) == 2)
        assert replica._replica.not_ready == STORE_UNUSABLE
        policy = RetryPolicy(repeat_calls_for=0.0)
        async with AsyncClient(replica.grpc_address, api_key=secret, retry=policy) as client:
            with pytest.raises(errors.GatewayUnavailable):
                await client.get("unknown")


async def test_the_next_leader_knows_the_keys_that_were_changed_right_before_its_takeover(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the leader it does not read them again, because it makes all changes itself."""
    monkeypatch.setattr("gateway.process.replica.REPORT_SERVING_INTERVAL", 3600.0)
    settings["HFGATEWAY_AUTH"] = "keys"
    async with gateways(settings, {}) as (leader,):
        key, revoked = await leader.access.create_key("team", "")
        heir = Gateway(read_settings(settings), CREDENTIALS)
        await heir.start()
        _, secret = await leader.access.create_key("team", "")
        await leader.access.revoke_key(key.id)
    try:  # the leader has stopped
        await eventually(lambda: heir._replica is None)
        monkeypatch.setattr("gateway.process.replica.MAX_KEYS_AGE", 0.0)
        async with AsyncClient(heir.grpc_address, api_key=secret, retry=RETRY) as client:
            assert (await client.submit(soul("a fox"))).generation.id
        async with AsyncClient(heir.grpc_address, api_key=revoked) as client:
            with pytest.raises(errors.InvalidCredentials, match="revoked"):
                await client.submit(soul("a fox"))
    finally:
        await heir.stop()


async def test_the_next_leader_uses_the_accounts_that_an_operator_has_added_at_a_replica(
    settings: dict[str, str], tmp_path: Path
) -> None:
    """It needs the key that encrypts them, and does not start without it."""
    key = "c2VjcmV0IGtleSBvZiB0aGUgdGVzdHMgMDEyMzQ1Njc="
    other = "b3RoZXIga2V5IG9mIHRoZSB0ZXN0cyAgIDAxMjM0NTY="
    options = SandboxOptions(port=0, credentials="sandbox:sandbox films:films-secret")
    async with Sandbox(options, ManualClock()) as sandbox:
        settings["HFGATEWAY_UPSTREAM_URL"] = sandbox.url
        settings["HFGATEWAY_ACCOUNTS_KEY"] = key
        async with gateways(settings, {}, {}) as (first, second):
            async with grpc.aio.insecure_channel(second._ports._sockets.admin) as channel:
                operator = AdminServiceStub(channel)
                await operator.AddAccount(admin_pb.AddAccountRequest(name="films", credentials="films:films-secret"))
                account = admin_pb.WeightedAccount(name="films")
                await operator.AssignAccounts(admin_pb.AssignAccountsRequest(tenant="default", accounts=[account]))
            for wrong in ("", other):
                with pytest.raises(SettingError, match="HFGATEWAY_ACCOUNTS_KEY"):
                    async with gateways(settings | {"HFGATEWAY_ACCOUNTS_KEY": wrong}, {}):
                        pass
            async with AsyncClient(second.grpc_address, retry=RETRY) as client:
                await client.submit(soul("a fox"), wait_for="accepted")
                await first.stop()
                await client.submit(soul("an owl"), wait_for="accepted")
        prompts = [one.prompt for one in sandbox.state.accounts["films:films-secret"].generations.values()]
        assert sorted(prompts) == ["a fox", "an owl"]


async def test_a_replica_leads_though_the_file_with_the_encryption_key_is_gone(
    settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read the key at its start. If each replica ended in turn instead, none would serve."""
    broke: list[Exception] = []
    monkeypatch.setattr("gateway.process.app._store_broke", broke.append)
    file = tmp_path / "key"
    file.write_text("c2VjcmV0IGtleSBvZiB0aGUgdGVzdHMgMDEyMzQ1Njc=")
    async with Sandbox(SandboxOptions(port=0, credentials="sandbox:sandbox films:films-secret")) as sandbox:
        settings |= {"HFGATEWAY_UPSTREAM_URL": sandbox.url, "HFGATEWAY_ACCOUNTS_KEY_FILE": str(file)}
        async with gateways(settings, {}, {}) as (leader, other):
            await leader._core.accounts.add("films", "films:films-secret", "")
            await leader._core.accounts.assign("default", [("films", 1)])
            file.unlink()
            await leader.stop()
            await eventually(lambda: other._replica is None or broke)
            assert not broke
            async with AsyncClient(other.grpc_address, retry=RETRY) as client, asyncio.timeout(WAIT_TIMEOUT):
                await client.submit(soul("a fox"), wait_for="accepted")
        assert sandbox.state.accounts["films:films-secret"].generations


async def test_a_replica_that_leads_knows_a_new_encryption_key_in_the_file(
    settings: dict[str, str], tmp_path: Path
) -> None:
    """A leader that was started with it encrypts all credentials with it."""
    old, new = "c2VjcmV0IGtleSBvZiB0aGUgdGVzdHMgMDEyMzQ1Njc=", "b3RoZXIga2V5IG9mIHRoZSB0ZXN0cyAgIDAxMjM0NTY="
    file = tmp_path / "key"
    file.write_text(old)
    async with Sandbox(SandboxOptions(port=0, credentials="sandbox:sandbox films:films-secret")) as sandbox:
        settings |= {"HFGATEWAY_UPSTREAM_URL": sandbox.url, "HFGATEWAY_ACCOUNTS_KEY_FILE": str(file)}
        async with gateways(settings, {}, {}) as (first, second):
            await first._core.accounts.add("films", "films:films-secret", "")
            file.write_text(f"{new},{old}")
            await first.stop()
            await eventually(lambda: second._replica is None)
            (stored,) = await second._core.store.accounts.credentials()
            assert FernetEncryption((new,), "").decrypt(stored.sealed) == "films:films-secret"


async def test_a_replica_that_cannot_read_the_log_refuses_calls(
    sandbox: Sandbox,
    settings: dict[str, str],
    postgres: Server,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It cannot know what is true. It serves again when it has read what it has missed."""
    from gateway.store.postgres import tail

    caplog.set_level("INFO")
    monkeypatch.setattr(tail, "STALE_AFTER", 0.5)
    monkeypatch.setattr("gateway.process.replica.REPORT_SERVING_INTERVAL", 0.05)
    async with Proxy() as proxy:
        proxy.target = server = f"127.0.0.1:{postgres.port}"
        behind = settings["HFGATEWAY_STORE_URL"].replace(str(postgres.port), proxy.address.rpartition(":")[2])
        async with (
            gateways(settings, {}, {"HFGATEWAY_STORE_URL": behind}) as (leader, replica),
            AsyncClient(leader.grpc_address) as client,
            AsyncClient(replica.grpc_address, retry=RETRY) as other,
            grpc.aio.insecure_channel(replica.grpc_address) as channel,
        ):
            known = (await client.submit(soul("a fox"))).generation
            watched = asyncio.create_task(to_the_end(other, known.id))
            await other.get(known.id)
            proxy.target = ""  # the log would be read through a new connection
            proxy.mute()
            await until_refused(channel, known.id)
            assert (await fetched(f"{replica.http_address}/readyz"))[0] == 503
            await eventually(lambda: "the store cannot be used; refusing calls until it can" in caplog.messages)
            advance(sandbox, 5.0)
            assert (await client.wait(known.id)).done
            proxy.target = server
            proxy.cut()
            revisions = await watched
            assert revisions == list(range(1, len(revisions) + 1))
            assert (await other.get(known.id)).done
            await eventually(lambda: "the store can be used again" in caplog.messages)
            await leader.access.create_key("team", "")
            await eventually(replica.access.listed)


@pytest.mark.parametrize("webhooks", [True, False], ids=["webhooks", "polls"])
async def test_a_replica_learns_the_run_times_of_what_ends(
    sandbox: Sandbox, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, *, webhooks: bool
) -> None:
    """Its forecasts would otherwise know only those from before its start."""
    monkeypatch.setattr(
        "gateway.generations.polling.schedule.LATE_SHARE", math.inf
    )  # polls may be late on a busy machine
    leads: dict[str, str] = {}
    if webhooks:
        public = free_address()
        settings |= {"HFGATEWAY_PUBLIC_URL": f"http://{public}", "HFGATEWAY_WEBHOOK_SECRET": SECRET}
        settings |= {"HFGATEWAY_POLL_MIN": "30", "HFGATEWAY_POLL_MAX": "30"}
        leads = {"HFGATEWAY_WEBHOOK_ADDRESS": public}
    async with (
        gateways(settings, leads, {}) as (leader, other),
        AsyncClient(leader.grpc_address) as client,
    ):
        assert other._replica is not None
        for number in range(ENOUGH_RUN_TIMES):
            submitted = (await client.submit(soul(f"{number}"), wait_for="accepted")).generation
            advance(sandbox, 7.0)
            assert (await client.wait(submitted.id)).done
        run_times = other._replica.run_times
        await eventually(lambda: run_times.of_model(submitted.model_id))


@pytest.mark.parametrize("leads", [False, True])
async def test_a_gateway_whose_connection_to_the_server_is_silent_is_not_ready_and_ends_its_watches(
    settings: dict[str, str], postgres: Server, monkeypatch: pytest.MonkeyPatch, *, leads: bool
) -> None:
    """At once, and not when its statements are given up, or at the next heartbeat of a watch."""
    monkeypatch.setattr("gateway.generations.watching.watch.HEARTBEAT", 3600.0)
    monkeypatch.setattr(tail, "STALE_AFTER", 0.5)
    monkeypatch.setattr(database, "RESPONSE_TIMEOUT", 2 * WAIT_TIMEOUT)
    async with Proxy() as proxy:
        proxy.target = f"127.0.0.1:{postgres.port}"
        behind = settings["HFGATEWAY_STORE_URL"].replace(str(postgres.port), proxy.address.rpartition(":")[2])
        away = {"HFGATEWAY_STORE_URL": behind}
        async with gateways(settings, *((away,) if leads else ({}, away))) as started:
            cut_off = started[-1]
            async with grpc.aio.insecure_channel(cut_off.grpc_address) as channel:
                watch = GenerationServiceStub(channel).WatchGenerations(pb.WatchGenerationsRequest())
                await watch.read()
                proxy.target = ""  # a statement that waits for a connection would get a new one
                assert proxy.mute()
                try:
                    async with asyncio.timeout(WAIT_TIMEOUT):
                        with suppress(grpc.aio.AioRpcError):
                            while await watch.read() is not grpc.aio.EOF:
                                pass
                        assert await watch.code() is grpc.StatusCode.UNAVAILABLE
                    assert (await fetched(f"{cut_off.http_address}/readyz"))[0] == 503
                    assert (await metrics(cut_off))["hfgateway_leads"] == 0
                finally:
                    proxy.cut()


async def test_no_gateway_calls_a_server_silent_that_refuses_writes(
    settings: dict[str, str], postgres: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tail, "STALE_AFTER", 0.5)
    monkeypatch.setattr("gateway.process.replica.MAX_KEYS_AGE", 0.5)
    name = settings["HFGATEWAY_STORE_URL"].rpartition("/")[2]
    async with gateways(settings, {}, {}) as started:
        postgres.execute(
            f"ALTER DATABASE {name} SET default_transaction_read_only = on",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hfgateway'",
        )
        try:
            for gateway in started:
                async with grpc.aio.insecure_channel(gateway.grpc_address) as channel:
                    assert "cannot use the store" in await until_refused(channel, "unknown")
            await eventually(lambda: "the store cannot be used; refusing calls until it can" in caplog.messages)
        finally:
            postgres.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")


async def until_refused(channel: grpc.aio.Channel, generation_id: str) -> str:
    """Return the message when a generation cannot be read because the gateway is unavailable."""
    while True:
        try:
            await GenerationServiceStub(channel).GetGeneration(pb.GetGenerationRequest(id=generation_id))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                return error.details() or ""
            assert error.code() is grpc.StatusCode.NOT_FOUND
        await asyncio.sleep(0.01)


# -- Takeover ----------------------------------------------------------------------------------------------------------


async def test_a_replica_leads_though_its_disk_is_full_and_is_found_when_it_has_space(settings: dict[str, str]) -> None:
    pointer = admin_pointer(read_settings(settings).store)
    part = pointer.with_name(f"{pointer.name}.{os.getpid()}.part")
    async with gateways(settings, {}, {}) as (leader, other):
        part.symlink_to("/dev/full")
        try:
            await leader.stop()
            async with asyncio.timeout(WAIT_TIMEOUT), AsyncClient(other.grpc_address, retry=RETRY) as client:
                while not (await metrics(other))["hfgateway_leads"]:
                    await asyncio.sleep(0.02)
                assert (await client.submit(soul("a fox"))).generation.id
            assert not pointer.exists()
        finally:
            part.unlink()
        await eventually(pointer.exists)
        pointer.write_text("unix:/killed")  # by a replica that was killed
        await eventually(lambda: pointer.read_text() != "unix:/killed")


async def test_a_replica_leads_though_the_archive_cannot_be_used(settings: dict[str, str], tmp_path: Path) -> None:
    """Its copies wait. If each replica ended in turn instead, none would serve."""
    folder = tmp_path / "archive"
    settings |= {"HFGATEWAY_ARCHIVE_URL": folder.as_uri()}
    async with gateways(settings, {}, {}) as (leader, other):
        folder.rename(tmp_path / "away")
        folder.touch()
        await leader.stop()
        async with asyncio.timeout(WAIT_TIMEOUT), AsyncClient(other.grpc_address, retry=RETRY) as client:
            assert (await client.submit(soul("a fox"))).generation.id


@pytest.mark.parametrize("table", ["api_keys", "limits", "deliveries"])
async def test_a_replica_leads_when_a_table_is_no_longer_locked(
    table: str,
    settings: dict[str, str],
    postgres: Server,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An operator's transaction has locked it. If each replica ended in turn instead, none would serve reads."""
    import psycopg

    from tests.support.postgres import ADMIN

    broke: list[Exception] = []
    monkeypatch.setattr("gateway.process.app._store_broke", broke.append)
    name = settings["HFGATEWAY_STORE_URL"].rpartition("/")[2]
    async with gateways(settings, {}, {}) as (leader, other), AsyncClient(other.grpc_address, retry=RETRY) as client:
        known = (await client.submit(soul("a fox"))).generation
        with psycopg.connect(postgres.url(name, ADMIN)) as operator:
            operator.execute(f"LOCK TABLE {table}")  # type: ignore[call-overload] # not a literal
            stopping = asyncio.create_task(leader.stop())
            await eventually(lambda: "the takeover waits for the store; trying again" in caplog.messages or broke)
            assert not broke
            assert (await client.get(known.id)).id == known.id
        await stopping
        async with asyncio.timeout(WAIT_TIMEOUT):
            assert (await client.submit(soul("an owl"))).generation.id
        assert not broke


@pytest.mark.parametrize("arrives_at", ["the leader", "a replica"])
async def test_webhooks_are_received_after_a_takeover(
    arrives_at: str, sandbox: Sandbox, settings: dict[str, str]
) -> None:
    """Polls are too rare to report an end."""
    public = free_address()
    settings |= {"HFGATEWAY_POLL_MIN": "30", "HFGATEWAY_POLL_MAX": "30"}
    settings |= {"HFGATEWAY_PUBLIC_URL": f"http://{public}", "HFGATEWAY_WEBHOOK_SECRET": SECRET}
    receives = {"HFGATEWAY_WEBHOOK_ADDRESS": public}
    async with AsyncExitStack() as stack:
        async with gateways(settings, {}):
            own = receives if arrives_at == "the leader" else {}
            (heir,) = await stack.enter_async_context(gateways(settings, own))
        await eventually(lambda: heir._replica is None)  # the leader has stopped
        if arrives_at == "a replica":
            await stack.enter_async_context(gateways(settings, receives))
        async with AsyncClient(heir.grpc_address, retry=RETRY) as client, asyncio.timeout(WAIT_TIMEOUT):
            known = (await client.submit(soul("a fox"), wait_for="accepted")).generation
            advance(sandbox, 5.0)
            assert (await client.wait(known.id)).outputs
            story = await client.explain(known.id)
            assert any("webhook: completed" in event.description for event in story.events)


async def test_a_takeover_is_counted(settings: dict[str, str]) -> None:
    async with gateways(settings, {}):
        heir = Gateway(read_settings(settings), CREDENTIALS)
        await heir.start()
    try:  # the leader has stopped
        async with asyncio.timeout(WAIT_TIMEOUT):
            while not (found := await metrics(heir))["hfgateway_leads"]:
                await asyncio.sleep(0.02)
        assert found["hfgateway_takeovers_total"] == 1
    finally:
        await heir.stop()


async def test_the_next_leader_reports_that_its_credentials_are_refused(settings: dict[str, str]) -> None:
    """Before its first submission, also if it did not ask Higgsfield as a replica."""
    async with gateways(settings, {}):
        heir = Gateway(read_settings(settings), Credentials("sandbox", "wrong"))
        await heir.start()
        assert (await fetched(f"{heir.http_address}/readyz"))[0] == 200
    try:  # the leader has stopped
        async with asyncio.timeout(WAIT_TIMEOUT):
            while (await fetched(f"{heir.http_address}/readyz"))[0] == 200:
                await asyncio.sleep(0.02)
        assert CREDENTIALS_REFUSED in (await fetched(f"{heir.http_address}/readyz"))[1]
    finally:
        await heir.stop()


async def test_a_replica_with_refused_credentials_is_not_ready_until_they_are_accepted(
    sandbox: Sandbox, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a rollout with wrong credentials stops at the first replica."""
    monkeypatch.setattr("gateway.process.replica.CHECK_CREDENTIALS_INTERVAL", 0.05)
    sandbox.state.plan.add([Fault.parse({"on": "time", "kind": "401", "times": 10_000})])
    async with gateways(settings, {}, {}) as (_, replica), asyncio.timeout(WAIT_TIMEOUT):
        asking = asyncio.create_task(replica.check_credentials())
        while (found := await fetched(f"{replica.http_address}/readyz"))[0] == 200:
            await asyncio.sleep(0.01)
        assert CREDENTIALS_REFUSED in found[1]
        sandbox.state.plan.clear()
        while (await fetched(f"{replica.http_address}/readyz"))[0] != 200:
            await asyncio.sleep(0.01)
        await asking


async def test_a_replica_is_ready_when_an_operator_has_added_an_account_that_is_accepted(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks about the credentials that are stored now, and not only about those of its start."""
    monkeypatch.setattr("gateway.process.replica.CHECK_CREDENTIALS_INTERVAL", 0.05)
    options = SandboxOptions(port=0, credentials="films:films-secret")
    async with Sandbox(options, ManualClock()) as sandbox, asyncio.timeout(WAIT_TIMEOUT):
        settings |= {"HFGATEWAY_UPSTREAM_URL": sandbox.url}
        settings |= {"HFGATEWAY_ACCOUNTS_KEY": "c2VjcmV0IGtleSBvZiB0aGUgdGVzdHMgMDEyMzQ1Njc="}
        async with gateways(settings, {}, {}) as (leader, replica):
            asking = asyncio.create_task(replica.check_credentials())
            while (found := await fetched(f"{replica.http_address}/readyz"))[0] == 200:
                await asyncio.sleep(0.01)
            assert CREDENTIALS_REFUSED in found[1]
            async with grpc.aio.insecure_channel(leader._ports._sockets.admin) as channel:
                films = admin_pb.AddAccountRequest(name="films", credentials="films:films-secret")
                await AdminServiceStub(channel).AddAccount(films)
            while (await fetched(f"{replica.http_address}/readyz"))[0] != 200:
                await asyncio.sleep(0.01)
            await asking


async def test_a_replica_that_failed_to_read_the_keys_because_of_a_bug_reads_them_again(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fail_once(monkeypatch, Replica, "_read_keys")
    monkeypatch.setattr(concurrency, "RESTART_DELAY", 0.01)
    async with gateways(settings, {}, {}) as (leader, replica), asyncio.timeout(WAIT_TIMEOUT):
        key, _ = await leader.access.create_key("films", "")
        while key.id not in {known.id for known in replica.access.listed()}:
            await asyncio.sleep(0.01)
    (line,) = (one for one in caplog.records if one.levelname == "CRITICAL")
    assert line.__dict__["part"] == "Replica._follow_keys"


async def test_the_next_leader_recovers_nothing_that_a_paused_one_may_still_send(
    sandbox: Sandbox, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.postgres.store.SEND_TIMEOUT", 3600.0)
    monkeypatch.setattr("gateway.process.app._store_broke", lambda error: None)
    sandbox.state.plan.add([Fault.parse({"on": "submit", "kind": "hang"})])
    async with gateways(settings | {"HFGATEWAY_DRAIN": "0"}, {}, {}) as (paused, heir):
        async with AsyncClient(paused.grpc_address, retry=RETRY) as client:
            known = (await client.submit(soul("a fox"), wait_for="stored")).generation
        lease = paused._core.store.lease  # type: ignore[attr-defined]
        lease._beats.cancel()
        await eventually(lambda: heir._replica is None)
        core = heir._core
        due = core.follower._next_due(core.feed.entries[GenerationId(known.id)].generation)
        assert due is not None
        assert due.step is Step.RECOVER
        assert due.at > core.clock.moment().steady + 1800.0


async def test_a_leader_that_may_have_been_replaced_publishes_no_file_in_the_archive(
    sandbox: Sandbox, settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.archive.archiver.FIRST_PAUSE", 0.05)
    sandbox.state.clock.epoch = datetime.now(UTC)  # type: ignore[misc]  # Higgsfield still has the file
    settings |= {"HFGATEWAY_ARCHIVE_URL": f"file://{tmp_path}/archive"}
    async with gateways(settings, {}) as (leader,), AsyncClient(leader.grpc_address) as client:
        known = (await client.submit(soul("a fox"), wait_for="accepted")).generation
        core = leader._core
        lease = core.store.lease  # type: ignore[attr-defined]
        lease._beats.cancel()
        lease.confirmed_at = -math.inf
        advance(sandbox, 7.0)
        await eventually(lambda: core.archiver.failures)
        assert core.archiver.archived == 0
        assert [*(tmp_path / "archive").rglob(f"{known.id}*.png")] == []
        lease.confirmed_at = math.inf
        await eventually(lambda: core.archiver.archived)


async def test_a_leader_that_may_have_been_replaced_sends_no_callbacks(
    sandbox: Sandbox, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.callbacks.dispatcher.STORE_PAUSE", 0.05)
    post, refused = HttpReceivers.post, asyncio.Event()

    async def noted(self: HttpReceivers, *request: Any) -> Outcome:
        try:
            return await post(self, *request)
        except NotSentError:
            refused.set()
            raise

    monkeypatch.setattr(HttpReceivers, "post", noted)
    async with Receiver() as receiver, gateways(settings, {}) as (leader,), AsyncClient(leader.grpc_address) as client:
        await client.create_callback(receiver.url)
        await client.submit(soul("a fox"), wait_for="accepted")
        lease = leader._core.store.lease  # type: ignore[attr-defined]
        lease._beats.cancel()
        lease.confirmed_at = -math.inf
        advance(sandbox, 7.0)
        await eventually(lambda: refused.is_set() or receiver.got)
        assert receiver.got == []
        lease.confirmed_at = math.inf
        await receiver.gets(1)


async def test_a_replica_that_takes_over_while_it_starts_serves_as_the_leader(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its ports are opened after it has taken over, as in a restart of all replicas on a slow machine."""
    has_taken_over = asyncio.Event()
    start, open_grpc, broken = Core.start, Ports.open_grpc, list[Exception]()

    async def starts(core: Core) -> None:
        await start(core)
        has_taken_over.set()

    async def opens_late(ports: Ports) -> str:
        async with asyncio.timeout(WAIT_TIMEOUT):
            await has_taken_over.wait()
        return await open_grpc(ports)

    monkeypatch.setattr("gateway.process.app._store_broke", broken.append)
    async with gateways(settings, {}):
        monkeypatch.setattr(Core, "start", starts)
        monkeypatch.setattr(Ports, "open_grpc", opens_late)
        heir = Gateway(read_settings(settings), CREDENTIALS)
        starting = asyncio.create_task(heir.start())
        await eventually(lambda: heir._former is not None)
    await starting  # the leader has stopped
    try:
        assert broken == []
        async with AsyncClient(heir.grpc_address, retry=RETRY) as client, asyncio.timeout(WAIT_TIMEOUT):
            assert (await client.submit(soul("a fox"))).generation.id
            assert (await metrics(heir))["hfgateway_leads"] == 1
    finally:
        await heir.stop()


async def test_submissions_are_stored_while_the_leader_waits_for_its_last_response(
    sandbox: Sandbox, settings: dict[str, str]
) -> None:
    """The next leader sends them. Until then, no replica can lead."""
    sandbox.state.plan.add([Fault.parse({"on": "submit", "kind": "hang", "prompt": "the last"})])
    async with Proxy() as proxy, asyncio.timeout(WAIT_TIMEOUT):
        proxy.target = yarl.URL(sandbox.url).authority
        settings |= {"HFGATEWAY_UPSTREAM_URL": f"http://{proxy.address}", "HFGATEWAY_DRAIN": f"{WAIT_TIMEOUT}"}
        leader = Gateway(read_settings(settings), CREDENTIALS)
        await leader.start()
        async with gateways(settings, {}) as (heir,), AsyncClient(heir.grpc_address, retry=RETRY) as client:
            last = asyncio.create_task(client.submit(soul("the last")))
            await eventually(lambda: sandbox.ledger.summary()["submissions_seen"] == 1 and leader._core.feed.others())
            stopping = asyncio.create_task(leader.stop())
            await eventually(lambda: leader._core.service.draining)
            meanwhile = (await client.submit(soul("meanwhile"))).generation
            assert (meanwhile.state, stopping.done()) == (GenerationState.GENERATION_STATE_PENDING, False)
            proxy.cut()
            await stopping
            while not (await client.get(meanwhile.id)).done:
                advance(sandbox, 5.0)
            await last
        assert [one.prompt for one in sandbox.ledger.charges if one.prompt == "meanwhile"] == ["meanwhile"]


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("hangs", [False, True])
async def test_a_leader_that_stops_refuses_submissions_at_once_or_after_its_last_response(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, *, others: int, hangs: bool
) -> None:
    """Before that, it stores them if other replicas serve. It waits for the response until its timeout."""
    settings |= {"HFGATEWAY_DRAIN": "0" if hangs else f"{WAIT_TIMEOUT}"}
    leader, refusing = Gateway(read_settings(settings), CREDENTIALS), list[bool]()
    await leader.start()
    core = leader._core

    async def attempts_ended() -> None:
        refusing.append(core.service.refusing)
        if hangs:
            await asyncio.Event().wait()

    async def drained() -> None:
        refusing.append(core.service.refusing)

    monkeypatch.setattr(core.sender, "attempts_ended", attempts_ended)
    monkeypatch.setattr(core.dispatcher if hangs else core.sender, "drained", drained)
    async with gateways(settings, *[{}] * others), asyncio.timeout(WAIT_TIMEOUT):
        await eventually(lambda: core.feed.others() == others)
        await leader.stop()
    assert refusing == [not others, True]


@pytest.mark.parametrize("name", TRANSPORTS)
async def test_a_replica_that_stops_returns_the_responses_of_the_leader(
    name: str, sandbox: Sandbox, settings: dict[str, str]
) -> None:
    """Higgsfield's response takes longer than the stop of the ports. The leader continues, so the replica can wait."""
    sandbox.state.plan.add([Fault.parse({"on": "submit", "delay": 3 * serving.STOP_GRACE})])
    async with gateways(settings, {}) as (leader,), asyncio.timeout(WAIT_TIMEOUT):
        replica = Gateway(read_settings(settings), CREDENTIALS)
        await replica.start()
        client = open_transport(name, replica.grpc_address, replica.http_address)
        try:
            submitting = asyncio.create_task(client.call("SubmitGeneration", soul_request("a fox")))
            await eventually(lambda: sandbox.ledger.summary()["submissions_seen"] == 1)
            await replica.stop()
            submitted = (await submitting).generation
        finally:
            await client.close()
        async with AsyncClient(leader.grpc_address) as other:
            assert (await other.get(submitted.id)).accept_time == submitted.accept_time


LONG_WAIT = soul_request("a fox", wait_for=pb.WAIT_FOR_DONE, wait_timeout={"seconds": 3600})


@pytest.mark.parametrize("name", TRANSPORTS)
async def test_a_replica_that_stops_ends_the_wait_for_the_end_of_a_generation(
    name: str, sandbox: Sandbox, settings: dict[str, str]
) -> None:
    async with gateways(settings, {}), asyncio.timeout(WAIT_TIMEOUT):
        replica = Gateway(read_settings(settings | {"HFGATEWAY_DRAIN": f"{WAIT_TIMEOUT}"}), CREDENTIALS)
        await replica.start()
        client = open_transport(name, replica.grpc_address, replica.http_address)
        try:
            waiting = asyncio.create_task(client.call("SubmitGeneration", LONG_WAIT))
            await eventually(lambda: any(one.has_waiters for one in replica._replica.feed.entries.values()))
            await replica.stop()
            assert (await waiting).generation.state == GenerationState.GENERATION_STATE_QUEUED
        finally:
            await client.close()


async def test_a_wait_at_a_replica_for_the_end_of_a_generation_outlives_the_leader(
    sandbox: Sandbox, settings: dict[str, str]
) -> None:
    leader = Gateway(read_settings(settings), CREDENTIALS)
    await leader.start()
    async with gateways(settings, {}) as (heir,), asyncio.timeout(WAIT_TIMEOUT):
        client = open_transport("grpc", heir.grpc_address, heir.http_address)
        try:
            waiting = asyncio.create_task(client.call("SubmitGeneration", LONG_WAIT))
            await eventually(lambda: any(one.has_waiters for one in heir._replica.feed.entries.values()))
            await leader.stop()
            await eventually(lambda: heir._replica is None)
            assert not waiting.done()
            while not waiting.done():
                advance(sandbox, 5.0)
                await asyncio.sleep(0.01)
            response = await waiting
        finally:
            await client.close()
    assert (response.generation.state, response.replayed) == (GenerationState.GENERATION_STATE_COMPLETED, False)
    assert len(sandbox.ledger.charges) == 1


async def test_a_submission_at_a_replica_that_waits_for_the_end_returns_what_the_leader_would(
    sandbox: Sandbox, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The generation with its input, whether the key had been used, warnings, and a refusal by Higgsfield."""
    monkeypatch.setitem(builtin.models(), Z_IMAGE, KNOWN_SHORT)
    sandbox.state.plan.add(
        [
            Fault.parse({"on": "submit", "kind": "422", "prompt": "refused", "times": 2}),
            Fault.parse({"on": "models", "kind": "503", "times": 100}),
        ]
    )
    async with gateways(settings, {}, {}) as both, asyncio.timeout(WAIT_TIMEOUT), AsyncExitStack() as stack:
        clients = [open_transport("grpc", one.grpc_address, one.http_address) for one in both]
        for client in clients:
            stack.push_async_callback(client.close)
        leader, replica = (partial(client.call, "SubmitGeneration") for client in clients)
        early = await replica(soul_request("a fox", wait_for=pb.WAIT_FOR_DONE, wait_timeout={"nanos": 1}))
        assert (early.generation.done, early.replayed) == (False, False)
        waiting = asyncio.create_task(replica(LONG_WAIT))
        while not waiting.done():
            advance(sandbox, 5.0)
            await asyncio.sleep(0.01)
        ended = await waiting
        assert (ended.generation.state, ended.replayed) == (GenerationState.GENERATION_STATE_COMPLETED, True)
        assert ended.generation.input.soul.prompt == "a fox"
        assert ended == await leader(LONG_WAIT)
        doubted = submission({"prompt": "a fox"}, model_id=Z_IMAGE)
        doubted.wait_for, doubted.wait_timeout.nanos = pb.WAIT_FOR_DONE, 1
        warnings = [(await submit(doubted)).warnings for submit in (replica, leader)]
        assert len(warnings[0]) == 1
        assert warnings[0] == warnings[1]
        refusals = []
        for submit in (replica, leader):
            with pytest.raises(RpcFailure) as refused:
                await submit(soul_request("refused", wait_for=pb.WAIT_FOR_DONE))
            refusals.append((refused.value.code, refused.value.message))
        assert refusals[0] == refusals[1]


@pytest.mark.parametrize("leads", [False, True], ids=["as a replica", "as the leader"])
async def test_a_watch_that_began_at_a_replica_ends_when_that_gateway_stops(
    settings: dict[str, str], *, leads: bool
) -> None:
    """The client is told to resume it, as at a gateway that was never a replica."""
    async with AsyncExitStack() as stack, asyncio.timeout(WAIT_TIMEOUT):
        (leader,) = await stack.enter_async_context(gateways(settings, {}))
        (heir,) = await stack.enter_async_context(gateways(settings, {}))
        stub = GenerationServiceStub(await stack.enter_async_context(grpc.aio.insecure_channel(heir.grpc_address)))
        known = (await stub.SubmitGeneration(soul_request("a fox"))).generation
        watch = stub.WatchGeneration(pb.WatchGenerationRequest(id=known.id))
        await watch.read()

        async def read_to_the_end() -> None:
            while await watch.read() is not grpc.aio.EOF:
                pass

        if leads:
            await leader.stop()
            await eventually(lambda: heir._replica is None)
        await heir.stop()
        with pytest.raises(grpc.aio.AioRpcError, match="the gateway is shutting down: resume the watch"):
            await read_to_the_end()


async def test_a_replica_stops_although_the_leader_does_not_respond(sandbox: Sandbox, settings: dict[str, str]) -> None:
    sandbox.state.plan.add([Fault.parse({"on": "submit", "kind": "hang"})])
    async with gateways(settings | {"HFGATEWAY_DRAIN": "0"}, {}) as (leader,), asyncio.timeout(WAIT_TIMEOUT):
        replica = Gateway(read_settings(settings | {"HFGATEWAY_DRAIN": "0.1"}), CREDENTIALS)
        await replica.start()
        async with grpc.aio.insecure_channel(replica.grpc_address) as channel:
            submitting = GenerationServiceStub(channel).SubmitGeneration(soul_request("a fox"))
            await eventually(lambda: sandbox.ledger.summary()["submissions_seen"] == 1)
            await replica.stop()
            assert await submitting.code() is grpc.StatusCode.UNAVAILABLE
        assert len(leader._core.feed.entries) == 1


async def test_a_leader_stops_although_the_server_does_not_respond(
    postgres: Server, sandbox: Sandbox, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease expires by itself. Its process exits although statements are still waiting for the server."""
    monkeypatch.setattr(database, "RESPONSE_TIMEOUT", 10 * WAIT_TIMEOUT)
    monkeypatch.setattr("gateway.process.core.LAST_WRITES_TIMEOUT", 0.1)
    monkeypatch.setattr("gateway.process.core.STORE_CLOSE_TIMEOUT", 0.1)
    failed_poll = [Fault.parse({"on": "status", "kind": "500"})]
    leader = Gateway(read_settings(settings | {"HFGATEWAY_DRAIN": "0"}), CREDENTIALS)
    await leader.start()
    async with AsyncClient(leader.grpc_address) as client:
        sent = (await client.submit(soul("a fox"))).generation
    recorder = leader._core.recorder
    with postgres.paused():
        sandbox.state.plan.add(failed_poll)
        await eventually(recorder._writing.locked)
        sandbox.state.plan.add(failed_poll)
        await eventually(lambda: bool(recorder._unwritten))
        async with asyncio.timeout(WAIT_TIMEOUT):
            await leader.stop()
        assert leader.hangs
    async with (
        gateways(settings, {}) as (heir,),
        AsyncClient(heir.grpc_address) as client,
        asyncio.timeout(WAIT_TIMEOUT),
    ):
        advance(sandbox, 5.0)
        assert (await client.wait(sent.id)).done
    assert len(sandbox.ledger.charges) == 1


@asynccontextmanager
async def process(folder: Path, settings: Mapping[str, str]) -> AsyncIterator[tuple[forked.ForkedProcess, str]]:
    """Start a gateway in a process; return it and its gRPC address. Kill it at the end."""
    started = await forked.start("serve", environment=environment(folder, settings), log=folder / "log")
    try:
        yield started, (await line_of(started, READY))[1]
    finally:
        started.kill()
        await started.wait()


async def line_of(started: forked.ForkedProcess, form: re.Pattern[str]) -> re.Match[str]:
    async with asyncio.timeout(WAIT_TIMEOUT):
        line = (await started.stdout.readline()).decode()
    found = form.search(line)
    assert found, line
    return found


@pytest.mark.parametrize("end", ["kill", "terminate", "pause"])
async def test_clients_of_the_others_see_no_error_when_the_leader_ends(
    end: str, tmp_path: Path, sandbox: Sandbox, settings: dict[str, str]
) -> None:
    """They watch and submit during its end. A leader that was paused changes nothing when it wakes up, and ends."""
    import signal

    with Recorder(tmp_path / "history.jsonl") as recorder:
        async with (
            process(tmp_path, settings) as (leader, address),
            process(tmp_path, settings) as (second, one),
            process(tmp_path, settings) as (third, other),
            AsyncClient(address, retry=RETRY) as client,
            AsyncClient(one, retry=RETRY) as b,
            AsyncClient(other, retry=RETRY) as c,
            access_to(one, RETRY) as at_one,
            access_to(other, RETRY) as at_other,
        ):
            names = [await submitted(recorder, client, number) for number in range(3)]
            watchers = Watchers(recorder)
            async with asyncio.TaskGroup() as together:
                for name in names:
                    together.create_task(watchers.client_watch(at_one, name))
                    together.create_task(watchers.bare_watch(at_other, name))
                together.create_task(watchers.client_watch_many(at_other, ids=names))
                await eventually(lambda: watchers.received >= 3 * len(names))
                match end:
                    case "kill":
                        leader.kill()
                    case "terminate":
                        leader.terminate()
                    case _:
                        leader.send_signal(signal.SIGSTOP)
                more = await asyncio.gather(submitted(recorder, b, 3), submitted(recorder, c, 4))
                heirs = [asyncio.create_task(line_of(heir, LEADS)) for heir in (second, third)]
                await asyncio.wait(heirs, return_when=asyncio.FIRST_COMPLETED)
                if end == "pause":
                    leader.send_signal(signal.SIGCONT)
                async with asyncio.timeout(WAIT_TIMEOUT):
                    assert await leader.wait() == {"kill": -9, "terminate": 0, "pause": 74}[end]
                # What a draining leader has stored is sent by the next one, perhaps only now.
                await eventually(lambda: len(sandbox.ledger.charges) == len(names) + len(more))
                advance(sandbox, 5.0)
            for heir in heirs:
                heir.cancel()
            for name in (*names, *more):
                async with asyncio.timeout(WAIT_TIMEOUT):
                    final = await b.wait(name)
                recorder.record("final", **generation_fields(final))
        record_ledger(recorder, sandbox.state.describe(with_entries=True))
    history = IndexedHistory(read(tmp_path / "history.jsonl"))
    assert [str(found) for invariant in INVARIANTS for found in invariant(history)] == []


async def submitted(recorder: Recorder, client: AsyncClient, number: int) -> str:
    """Submit with the shipped client, record it, and return the id."""
    recorder.record("submit", call=number, key=f"key-{number}", prompt=f"fox {number}")
    answer = await client.submit(soul(f"fox {number}"), idempotency_key=f"key-{number}")
    recorder.record("submitted", call=number, **generation_fields(answer.generation))
    return answer.generation.id
