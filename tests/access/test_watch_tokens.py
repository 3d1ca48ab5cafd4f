"""Watch tokens: permissions, visibility and expiry."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import Any, cast

import pytest
from google.protobuf.duration_pb2 import Duration

from gateway.access import keys
from gateway.access.identity import ANONYMOUS, DEFAULT_TENANT, ISSUED, WATCHING, Access, Identity, KeyStore
from gateway.access.tokens import decode, encode
from gateway.errors import GatewayError, Reason
from gateway.generations.clock import SystemClock
from gateway.generations.stores import Filter
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1 import token_service_pb2 as token_pb
from tests.support.running import WAIT_TIMEOUT, Running, collected, eventually, soul
from tests.support.transports import METHODS, TRANSPORTS, RpcFailure, Transport, responses_of

RED, BLUE = {"page": "red"}, {"page": "blue"}


class Site:
    """A backend with a key and two generations, and the clients of its pages."""

    def __init__(self, running: Running, backend: Transport, shown: Any, hidden: Any) -> None:
        self.running = running
        self.backend = backend
        self.shown = shown
        self.hidden = hidden

    async def token(self, **fields: Any) -> str:
        if not fields.keys() & {"filter", "labels"}:
            fields["filter"] = pb.GenerationFilter(ids=[self.shown.id])
        made = await self.backend.call("CreateWatchToken", token_pb.CreateWatchTokenRequest(**fields))
        assert made.token.startswith("hfw_")
        return str(made.token)

    async def page(self, transport: str = "grpc", **fields: Any) -> Transport:
        return self.running.caller(transport, await self.token(**fields))


@pytest.fixture
async def site(running: Running) -> Site:
    backend = running.caller("grpc", await running.key("shop"))
    shown = (await backend.call("SubmitGeneration", soul("a fox", labels=RED))).generation
    hidden = (await backend.call("SubmitGeneration", soul("an owl", labels=BLUE))).generation
    return Site(running, backend, shown, hidden)


async def refusal(client: Transport, method: str, request: Any) -> RpcFailure:
    with pytest.raises(RpcFailure) as refused:
        await responses_of(client, method, request)
    return refused.value


FILTERS = {
    "ids": lambda site: pb.GenerationFilter(ids=[site.shown.id]),
    "labels": lambda _: pb.GenerationFilter(labels=RED),
}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("by", FILTERS)
async def test_a_watch_token_shows_only_matching_generations(site: Site, transport: str, by: str) -> None:
    page = await site.page(transport, filter=FILTERS[by](site))

    assert (await page.call("GetGeneration", pb.GetGenerationRequest(id=site.shown.id))).generation.id == site.shown.id
    listed = await page.call("ListGenerations", pb.ListGenerationsRequest())
    assert [generation.id for generation in listed.generations] == [site.shown.id]
    for method, kind in (
        ("GetGeneration", pb.GetGenerationRequest),
        ("WaitGeneration", pb.WaitGenerationRequest),
        ("WatchGeneration", pb.WatchGenerationRequest),
    ):
        assert (await refusal(page, method, kind(id=site.hidden.id))).reason == "NOT_FOUND"
    both = pb.WatchGenerationsRequest(filter=pb.GenerationFilter(ids=[site.shown.id, site.hidden.id]))
    watch = asyncio.create_task(collected(page.stream("WatchGenerations", both)))
    await site.running.calls_open("WatchGenerations", 1)
    site.running.clock.advance(60)
    seen = await watch
    assert {message.generation.id for message in seen if message.HasField("generation")} == {site.shown.id}
    assert [list(message.missing_ids) for message in seen if message.missing_ids] == [[site.hidden.id]]
    waited = await page.call("WaitGeneration", pb.WaitGenerationRequest(id=site.shown.id))
    assert waited.generation.outputs


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_watch_token_permits_only_watching(site: Site, transport: str) -> None:
    page = await site.page(transport)
    for method, described in METHODS.items():
        if method not in WATCHING:
            refused = await refusal(page, method, site.running.message(described.input_type))
            assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "NOT_ALLOWED")


async def test_a_watch_token_shows_the_input_only_if_created_so(site: Site) -> None:
    get = pb.GetGenerationRequest(id=site.shown.id)
    watch = pb.WatchGenerationRequest(id=site.shown.id, include_input=True)
    many = pb.WatchGenerationsRequest(filter=pb.GenerationFilter(ids=[site.shown.id]), include_input=True)
    for include in (False, True):
        page = await site.page(include_input=include)
        assert (await page.call("GetGeneration", get)).generation.HasField("input") is include
        assert (await anext(page.stream("WatchGeneration", watch))).generation.HasField("input") is include
        assert (await anext(page.stream("WatchGenerations", many))).generation.HasField("input") is include
        waited = pb.WaitGenerationRequest(id=site.shown.id, timeout=Duration(nanos=1))
        assert (await page.call("WaitGeneration", waited)).generation.HasField("input") is include
        listed = pb.ListGenerationsRequest(include_input=True)
        assert (await page.call("ListGenerations", listed)).generations[0].HasField("input") is include


async def test_a_watch_token_includes_later_matching_generations(site: Site) -> None:
    page = await site.page(filter=pb.GenerationFilter(labels=RED))
    watch = page.stream("WatchGenerations", pb.WatchGenerationsRequest())
    async with asyncio.timeout(WAIT_TIMEOUT):
        while not (await anext(watch)).caught_up:
            pass
        await site.backend.call("SubmitGeneration", soul("a crow", labels=BLUE))
        later = (await site.backend.call("SubmitGeneration", soul("a hare", labels=RED))).generation
        async for message in watch:
            if message.HasField("generation") and message.generation.id != site.shown.id:
                assert message.generation.id == later.id
                break


async def test_a_new_token_with_the_same_filter_resumes_a_watch(site: Site) -> None:
    ids = pb.GenerationFilter(labels=RED)
    watch = (await site.page(filter=ids)).stream("WatchGenerations", pb.WatchGenerationsRequest())
    async with asyncio.timeout(WAIT_TIMEOUT):
        while not (message := await anext(watch)).caught_up:
            pass
    resume = pb.WatchGenerationsRequest(resume_token=message.resume_token)

    resumed = (await site.page(filter=ids)).stream("WatchGenerations", resume)
    assert not (await anext(resumed)).reset
    wider = await refusal(site.backend, "WatchGenerations", resume)
    assert wider.fields == ["resume_token"]


async def test_an_expired_token_ends_its_streams_with_a_clear_error(site: Site) -> None:
    page = await site.page(ttl=Duration(seconds=1))
    watch = pb.WatchGenerationRequest(id=site.shown.id)

    ended = await refusal(page, "WatchGeneration", watch)
    assert (ended.code, ended.reason) == ("UNAUTHENTICATED", "INVALID_CREDENTIALS")
    assert "expired" in ended.message
    assert ended.failure.metadata["expired"] == "true"
    again = await refusal(page, "GetGeneration", pb.GetGenerationRequest(id=site.shown.id))
    assert "expired" in again.message


async def test_revoking_a_key_ends_its_watch_tokens(running: Running) -> None:
    secret = await running.key("shop")
    backend = running.caller("grpc", secret)
    shown = (await backend.call("SubmitGeneration", soul("a fox"))).generation
    site = Site(running, backend, shown, shown)
    page = await site.page()
    watches = [
        asyncio.create_task(refusal(client, "WatchGeneration", pb.WatchGenerationRequest(id=shown.id)))
        for client in (page, backend)
    ]
    many = asyncio.create_task(refusal(backend, "WatchGenerations", pb.WatchGenerationsRequest()))
    await running.calls_open("WatchGeneration", 2)
    await running.calls_open("WatchGenerations", 1)

    await running.gateway.access.revoke_key(secret.split("_")[1])

    async with asyncio.timeout(WAIT_TIMEOUT):
        for ended in await asyncio.gather(*watches, many):
            assert (ended.code, ended.reason) == ("UNAUTHENTICATED", "INVALID_CREDENTIALS")
    for client in (page, backend):
        assert (await refusal(client, "GetGeneration", pb.GetGenerationRequest(id=shown.id))).code == "UNAUTHENTICATED"


async def test_revoking_a_key_ends_its_waiting_calls(running: Running) -> None:
    secret = await running.key("shop")
    backend = running.caller("grpc", secret)
    shown = (await backend.call("SubmitGeneration", soul("a fox"))).generation
    page = await Site(running, backend, shown, shown).page()
    forever = pb.WaitGenerationRequest(id=shown.id, timeout=Duration(seconds=3600))
    waits = [asyncio.create_task(refusal(client, "WaitGeneration", forever)) for client in (page, backend)]
    await running.calls_open("WaitGeneration", 2)
    another = soul("an owl", wait_for=pb.WAIT_FOR_DONE, wait_timeout=Duration(seconds=3600))
    waits.append(asyncio.create_task(refusal(backend, "SubmitGeneration", another)))
    await running.calls_open("SubmitGeneration", 1)
    await eventually(lambda: len(running.ledger.charges) == 2)

    await running.gateway.access.revoke_key(secret.split("_")[1])

    async with asyncio.timeout(WAIT_TIMEOUT):
        for refused in await asyncio.gather(*waits):
            assert (refused.code, refused.reason) == ("UNAUTHENTICATED", "INVALID_CREDENTIALS")


async def test_a_watch_token_survives_a_restart(site: Site) -> None:
    token = await site.token()
    await site.running.stop_gateway()
    await site.running.start_gateway()

    page = site.running.caller("grpc", token)
    assert (await page.call("GetGeneration", pb.GetGenerationRequest(id=site.shown.id))).generation.id == site.shown.id


async def test_a_watch_token_of_a_key_that_is_not_in_the_store_is_invalid(site: Site) -> None:
    token = await site.token()
    await site.running.stop_gateway()
    with closing(sqlite3.connect(site.running.store_path)) as store, store:
        store.execute("DELETE FROM api_keys")  # as in a backup from before the key
    await site.running.start_gateway()
    page = site.running.caller("grpc", token)
    refused = await refusal(page, "GetGeneration", pb.GetGenerationRequest(id=site.shown.id))
    assert refused.reason == "INVALID_CREDENTIALS"


def test_a_watch_token_created_without_a_key_is_invalid_once_keys_are_required() -> None:
    def access(*, required: bool) -> Access:
        return Access(cast(KeyStore, None), SystemClock(), [], b"a secret", required=required)

    within = Filter(ids=frozenset({"one"}))
    token, _ = access(required=False).watch_token(ANONYMOUS, within, ttl=60.0, include_input=False)
    assert access(required=False).identify(f"Bearer {token}", "GetGeneration").within == within
    with pytest.raises(GatewayError, match="without an API key"):
        access(required=True).identify(f"Bearer {token}", "GetGeneration")


def test_a_watch_token_of_an_issuers_caller_is_invalid_without_the_issuer() -> None:
    def access(issuer: Any) -> Access:
        return Access(cast(KeyStore, None), SystemClock(), [], b"a secret", required=True, issuer=issuer)

    within = Filter(ids=frozenset({"one"}))
    token, _ = access(object()).watch_token(Identity("red", ISSUED), within, ttl=60.0, include_input=False)
    assert access(object()).identify(f"Bearer {token}", "GetGeneration").within == within
    with pytest.raises(GatewayError, match="not issued by this gateway"):
        access(None).identify(f"Bearer {token}", "GetGeneration")


@pytest.mark.parametrize("by_key", [False, True])
@pytest.mark.parametrize(("left", "lives"), [(30.0, 30.0), (90.0, 60.0)])
def test_a_watch_token_lives_no_longer_than_asked_and_than_its_creator(left: float, lives: float, by_key: bool) -> None:
    key, _ = keys.new_key(DEFAULT_TENANT, "", 900.0, expire_time=1000.0 + left)
    access = Access(cast(KeyStore, None), SystemClock(wall=lambda: 1000.0), [key], b"a secret", required=False)
    creator = Identity(DEFAULT_TENANT, key.id) if by_key else Identity(DEFAULT_TENANT, expire_time=1000.0 + left)
    _, expire_time = access.watch_token(creator, Filter(), ttl=60.0, include_input=False)
    assert expire_time == 1000.0 + lives


@pytest.mark.parametrize("by_key", [False, True])
def test_a_caller_is_refused_from_its_expiry_on(by_key: bool) -> None:
    key, _ = keys.new_key(DEFAULT_TENANT, "", 900.0, expire_time=1000.0)
    caller = Identity(DEFAULT_TENANT, key.id) if by_key else Identity(DEFAULT_TENANT, expire_time=1000.0)
    now = 999.999
    access = Access(cast(KeyStore, None), SystemClock(wall=lambda: now), [key], b"a secret", required=True)
    access.check(caller)
    now = 1000.0
    watcher = replace(caller, token="its fingerprint")
    for checked, begun, reason in (
        (caller, False, Reason.INVALID_CREDENTIALS),
        (caller, True, Reason.GATEWAY_UNAVAILABLE),
        (watcher, True, Reason.INVALID_CREDENTIALS),
    ):
        with pytest.raises(GatewayError, match="expired") as refused:
            access.check(checked, begun=begun)
        assert refused.value.failure.reason is reason


async def test_a_modified_watch_token_is_invalid(site: Site) -> None:
    token = await site.token()
    for touched in (token[:-2], token[:60] + ("A" if token[60] != "A" else "B") + token[61:], token + "AAAA", "hfw_"):
        page = site.running.caller("grpc", touched)
        refused = await refusal(page, "GetGeneration", pb.GetGenerationRequest(id=site.shown.id))
        assert refused.reason == "INVALID_CREDENTIALS"


@pytest.mark.parametrize("text", ["+/8", "-/8", "-_8=", "-_9", "-_8\n", "é"])
def test_a_token_has_one_spelling(text: str) -> None:
    """The limits of a token are those of its spelling."""
    assert encode(b"\xfb\xff") == "-_8"
    assert decode("-_8") == b"\xfb\xff"
    assert decode(text) is None


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"filter": pb.GenerationFilter(labels={str(n): "é" * 255 for n in range(12)})}, ["filter"]),
        ({"filter": pb.GenerationFilter()}, ["filter"]),
        ({"filter": pb.GenerationFilter(model_ids=["a/b"])}, ["filter.model_ids", "filter"]),
        ({"filter": pb.GenerationFilter(labels=RED, idempotency_key="k")}, ["filter.idempotency_key"]),
        ({"filter": pb.GenerationFilter(ids=[str(n) for n in range(101)])}, ["filter.ids"]),
        ({"ttl": Duration(seconds=3601)}, ["ttl"]),
        ({"ttl": Duration()}, ["ttl"]),
    ],
)
async def test_invalid_watch_token_fields_are_named(site: Site, fields: dict[str, Any], named: list[str]) -> None:
    if "filter" not in fields:
        fields["filter"] = pb.GenerationFilter(labels=RED)
    refused = await refusal(site.backend, "CreateWatchToken", token_pb.CreateWatchTokenRequest(**fields))
    assert refused.reason == "INVALID_INPUT"
    assert refused.fields == named
