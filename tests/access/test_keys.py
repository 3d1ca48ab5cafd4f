"""`hfgateway keys`, with a running gateway and before one starts."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from gateway.access import keys
from gateway.access.identity import ANONYMOUS, Access, KeyStore
from gateway.access.scopes import Scope
from gateway.cli import exit_codes
from gateway.errors import GatewayError, Reason
from gateway.generations.clock import SystemClock
from gateway.generations.stores import StoreError
from gateway.rpc.messages import page_tokens, pages
from gateway.store.sqlite.store import SqliteStore
from hfgateway.admin.v1 import admin_service_pb2 as admin_pb
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.generation_service_pb2_grpc import GenerationServiceStub
from tests.app.command import Finished, environment, run
from tests.durability.process import GatewayProcess
from tests.support.commits import commits, lose_responses
from tests.support.operator import ask, refused
from tests.support.running import Running, eventually, soul
from tests.support.transports import RpcFailure


async def hfgateway(store: Path, *arguments: str) -> Finished:
    variables = {"HFGATEWAY_STORE_URL": f"sqlite:///{store}"}
    return await run("keys", *arguments, environment=environment(store.parent, variables))


async def test_a_key_is_printed_once_and_works_at_once(running: Running) -> None:
    made = await hfgateway(running.store_path, "create", "--tenant", "red", "--name", "the shop's")
    assert made.code == 0
    assert made.err == f"store: {running.store_path} (a gateway runs on it)\n"
    secret = made.out.strip()
    caller = running.caller("grpc", secret)
    assert (await caller.call("SubmitGeneration", soul("a fox"))).generation.id

    listed = await hfgateway(running.store_path, "list")
    (line,) = listed.out.splitlines()
    key_id, tenant, _, state, name, scopes, expiry = line.split("\t")
    assert (tenant, state, name) == ("red", "active", "the shop's")
    assert (scopes, expiry) == ("read submit cancel", "")
    key = json.loads((await hfgateway(running.store_path, "list", "--json")).out)
    assert (key["id"], key["tenant"], key["name"]) == (key_id, tenant, name)
    assert "createTime" in key
    assert secret not in listed.out
    assert secret.startswith(f"hfg_{key_id}_")

    revoked = await hfgateway(running.store_path, "revoke", key_id)
    assert (revoked.code, revoked.out) == (0, f"{key_id} revoked\n")
    with pytest.raises(RpcFailure, match="UNAUTHENTICATED"):
        await caller.call("ListGenerations", pb.ListGenerationsRequest())
    assert (await hfgateway(running.store_path, "list")).out.split("\t")[3] == "revoked"
    assert (await hfgateway(running.store_path, "revoke", key_id)).code == 0


async def test_a_store_that_no_gateway_uses_is_refused(tmp_path: Path) -> None:
    """A key in it would be printed, and refused by the gateway that runs on another store."""
    store = tmp_path / "store.db"
    for arguments in (("create", "--tenant", "shop"), ("list",), ("revoke", "id")):
        refused = await hfgateway(store, *arguments)
        assert (refused.code, refused.out) == (exit_codes.GATEWAY_UNAVAILABLE, "")
        assert f"no gateway runs on the store {store}" in refused.err
    assert not store.exists()


async def test_keys_can_be_created_before_the_gateway_runs(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    secret = (await hfgateway(store, "create", "--tenant", "red", "--offline")).out.strip()
    other = (await hfgateway(store, "create", "--tenant", "blue", "--offline")).out.strip()
    assert (await hfgateway(store, "revoke", other.split("_")[1], "--offline")).code == 0

    async with GatewayProcess(tmp_path, "http://127.0.0.1:9", auth="keys") as gateway:
        for key, answer in ((secret, None), (other, grpc.StatusCode.UNAUTHENTICATED)):
            async with grpc.aio.insecure_channel(gateway.address) as channel:
                call = GenerationServiceStub(channel).ListGenerations(
                    pb.ListGenerationsRequest(), metadata=(("authorization", f"Bearer {key}"),)
                )
                try:
                    await call
                    code = None
                except grpc.aio.AioRpcError as error:
                    code = error.code()
                assert code == answer


async def test_a_list_has_all_keys_in_pages(tmp_path: Path) -> None:
    """With the longest names, a page of 1,000 is as large as its limit in bytes allows."""
    path = tmp_path / "store.db"
    store = SqliteStore(path, lambda _: None)
    made = [keys.new_key("red", "🦊" * keys.MAX_NAME_LENGTH, 1.0 + number // 7)[0] for number in range(10_000)]
    made.append(keys.new_key("blue", "", 5.5)[0])
    await asyncio.gather(*map(store.keys.add_api_key, made))
    await store.close()
    async with GatewayProcess(tmp_path, "http://127.0.0.1:9", auth="keys"):
        listed, blue = await hfgateway(path, "list"), await hfgateway(path, "list", "--tenant", "blue", "--json")
    oldest_first = [key.id for key in sorted(made, key=lambda key: (key.create_time, key.id))]
    assert (listed.code, [line.split()[0] for line in listed.out.splitlines()]) == (0, oldest_first)
    assert [json.loads(line)["id"] for line in blue.out.splitlines()] == [made[-1].id]


async def test_a_page_of_keys_begins_after_the_one_before(running: Running) -> None:
    for _ in range(3):
        await running.key("red")
    first = await ask(running, "ListApiKeys", admin_pb.ListApiKeysRequest(page_size=2, tenant="red"))
    token = first.next_page_token
    request = admin_pb.ListApiKeysRequest(page_size=2, page_token=token, tenant="red")
    second = await ask(running, "ListApiKeys", request)
    everyone = [key.id for key in running.gateway.access.listed() if key.tenant == "red"]
    assert [key.id for key in (*first.api_keys, *second.api_keys)] == everyone
    assert (len(first.api_keys), second.next_page_token) == (2, "")
    forged = [
        page_tokens.page_token(text, pages.binding_of(request, ""))
        for text in ("[" * 100_000, "[{}]", "5", "null", "x")
    ]
    for wrong in (
        *(admin_pb.ListApiKeysRequest(page_size=2, page_token=one, tenant="red") for one in forged),
        admin_pb.ListApiKeysRequest(page_size=-1),
        admin_pb.ListApiKeysRequest(page_size=2, page_token=token),
        admin_pb.ListApiKeysRequest(page_token="x"),
        admin_pb.ListLimitsRequest(page_size=2, page_token=token, tenant="red"),
    ):
        rpc = type(wrong).__name__.removesuffix("Request")
        assert await refused(running, rpc, wrong) == "INVALID_ARGUMENT", wrong


async def test_a_page_has_an_item_however_large_it_is(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MAX_PAGE_BYTES", 0)
    for _ in range(3):
        await running.key("red")
    found, request = [], admin_pb.ListApiKeysRequest(tenant="red")
    for _ in range(3):
        page = await ask(running, "ListApiKeys", request)
        found.append([key.id for key in page.api_keys])
        request.page_token = page.next_page_token
    assert not request.page_token
    assert found == [[key.id] for key in running.gateway.access.listed() if key.tenant == "red"]


async def test_an_expiry_that_no_answer_can_hold_is_refused(running: Running) -> None:
    """Otherwise the key would be kept, its secret would be lost, and the keys could not be listed again."""
    request = admin_pb.CreateApiKeyRequest(tenant="red")
    for request.expire_time.seconds in (10**12, -(10**12), 253_402_300_800):
        assert await refused(running, "CreateApiKey", request) == "INVALID_ARGUMENT"
    request.expire_time.FromJsonString("9999-12-31T23:59:59.999999999Z")
    await ask(running, "CreateApiKey", request)
    answer = await ask(running, "ListApiKeys", admin_pb.ListApiKeysRequest())
    assert [key.expire_time.seconds for key in answer.api_keys] == [253_402_300_799]


async def test_keys_and_revocations_survive_a_restart(running: Running) -> None:
    good, bad = await running.key("red"), await running.key("red")
    revoked = await running.gateway.access.revoke_key(bad.split("_")[1])
    assert await running.gateway.access.revoke_key(bad.split("_")[1]) == revoked
    await running.stop_gateway()
    await running.start_gateway()

    await running.caller("grpc", good).call("ListGenerations", pb.ListGenerationsRequest())
    with pytest.raises(RpcFailure, match="revoked"):
        await running.caller("grpc", bad).call("ListGenerations", pb.ListGenerationsRequest())


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "Bearer  {} "])
async def test_the_bearer_scheme_is_read_as_http_allows(running: Running, form: str) -> None:
    from tests.support.transports import open_transport

    client = open_transport(
        "connect-json", running.gateway.grpc_address, running.gateway.http_address,
        authorization=form.format(await running.key("red")).strip(),
    )  # fmt: skip
    try:
        assert not (await client.call("ListGenerations", pb.ListGenerationsRequest())).generations
    finally:
        await client.close()


async def test_secrets_of_keys_are_not_stored_or_logged(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = await running.key("red")
    await running.caller("grpc", secret).call("SubmitGeneration", soul("a fox"))
    await running.caller("connect-json", secret).call("ListGenerations", pb.ListGenerationsRequest())
    metrics = await running.metrics()
    await running.stop_gateway()

    stored = b"".join(path.read_bytes() for path in running.store_path.parent.glob("store.db*"))
    _, key_id, last_part = secret.split("_", 2)  # the secret may contain underscores
    assert key_id.encode() in stored
    assert last_part.encode() not in stored
    assert last_part not in caplog.text
    assert last_part not in metrics
    await running.start_gateway()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("create", "--tenant", "No Good"), exit_codes.REFUSED, "tenant: must be 1 to 63"),
        (("create", "--tenant", "red", "--name", "x" * 101), exit_codes.REFUSED, "name: must be at most 100"),
        (("create",), exit_codes.USAGE, "--tenant"),
        (("revoke", "unknown"), exit_codes.REFUSED, "no such API key"),
        (("rotate", "unknown", "--overlap", "30d"), exit_codes.REFUSED, "no such API key"),
        (("rotate", "unknown", "--overlap", "31d"), exit_codes.REFUSED, "overlap: must be at most 30 days"),
    ],
)
async def test_a_refused_keys_command_prints_an_error_without_traceback(
    running: Running, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    other = tmp_path / "other.db"
    assert (await hfgateway(other, "create", "--tenant", "red", "--offline")).code == 0
    for store in (running.store_path, other):
        refused = await hfgateway(store, *arguments, "--offline")
        assert (refused.code, refused.out) == (code, "")
        assert said in refused.err
        assert "Traceback" not in refused.err


@pytest.mark.parametrize("arguments", [("list",), ("revoke", "k1"), ("rotate", "k1")])
async def test_a_store_that_is_missing_is_no_empty_one(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    refused = await hfgateway(tmp_path / "mistyped.db", *arguments, "--offline")
    assert (refused.code, refused.out) == (exit_codes.USAGE, "")
    assert "mistyped.db: there is no store" in refused.err
    assert [*tmp_path.glob("mistyped*")] == []


async def test_with_keys_the_gateway_may_listen_on_any_address(tmp_path: Path) -> None:
    async with GatewayProcess(
        tmp_path, "http://127.0.0.1:9", grpc_address="0.0.0.0:0", http_address="0.0.0.0:0"
    ) as gateway:
        port = gateway.address.rsplit(":", 1)[1]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await GenerationServiceStub(channel).ListGenerations(pb.ListGenerationsRequest())
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
        assert await gateway.terminate() == 0


async def test_without_keys_the_gateway_listens_on_loopback_only(tmp_path: Path) -> None:
    for setting in ("grpc_address", "http_address"):
        with pytest.raises(AssertionError, match="which HFGATEWAY_AUTH=none requires"):
            await GatewayProcess(tmp_path, "http://127.0.0.1:9", auth="none", **{setting: "0.0.0.0:0"}).start()


async def test_with_keys_the_http_port_accepts_any_host_name(running: Running) -> None:
    host, port = running.gateway.http_address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /healthz HTTP/1.1\r\nhost: gateway.example\r\nconnection: close\r\n\r\n")
    answer = await reader.readline()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200")


def access_of(*stored: keys.ApiKey, required: bool = True, **settings: Any) -> Access:
    return Access(cast(KeyStore, None), SystemClock(), stored, b"a secret", required=required, **settings)


@pytest.mark.parametrize(
    ("tenant", "name"),
    [("Red", ""), ("r" * 64, ""), ("red\n", ""), ("-red", ""), ("red", "\x1b[2J"), ("red", "x" * 101)],
)
def test_a_key_is_not_made_with_an_invalid_name(tenant: str, name: str) -> None:
    with pytest.raises(GatewayError):
        keys.new_key(tenant, name, 0.0)


def test_there_are_several_tenants_with_their_keys_or_with_an_issuer() -> None:
    red, blue = (keys.new_key(tenant, "", 0.0)[0] for tenant in ("red", "blue"))
    assert access_of(red, blue).several_tenants()
    assert access_of(red, issuer=object()).several_tenants()
    assert not access_of(red, replace(blue, revoke_time=1.0)).several_tenants()
    assert not access_of(red, blue, required=False).several_tenants()


@pytest.mark.parametrize(("scope", "several"), [(Scope.ADMIN, False), (Scope.READ, False), (Scope.SUBMIT, True)])
def test_a_tenant_whose_keys_may_not_submit_is_not_one_of_several(scope: Scope, several: bool) -> None:
    red, other = keys.new_key("red", "", 0.0)[0], keys.new_key("operators", "", 0.0, [scope])[0]
    assert access_of(red, other).several_tenants() is several


def test_a_tenant_whose_keys_have_expired_is_not_one_of_several() -> None:
    times = {"red": None, "blue": 2.0, "grey": 1.0}
    stored = [keys.new_key(tenant, "", 0.0, expire_time=end)[0] for tenant, end in times.items()]
    now = [0.0]
    clock = SystemClock(wall=lambda: now[0])
    access = Access(cast(KeyStore, None), clock, stored, b"a secret", required=True)
    for now[0], several in (0.0, True), (1.0, True), (2.0, False):
        assert access.several_tenants() is several


def test_the_keys_are_searched_for_several_tenants_only_after_they_change() -> None:
    """Each submission asks several times, and a tenant may have thousands of keys."""

    class Keys(dict[str, keys.ApiKey]):
        searched = 0

        def values(self) -> Any:
            self.searched += 1
            return super().values()

    red, other, blue = (keys.new_key(name, "", 0.0)[0] for name in ("red", "red", "blue"))
    access = access_of(red, other)
    access._keys = searches = Keys(access._keys)
    for changed, several in ((), False), ((blue,), True), ((replace(blue, revoke_time=1.0),), False):
        access.update(changed)
        before = searches.searched
        assert [access.several_tenants() for _ in range(3)] == [several] * 3
        assert searches.searched <= before + 1


def test_a_gateway_that_does_not_know_the_present_keys_judges_no_caller() -> None:
    access = access_of(required=False, current=lambda: False)
    calls = (
        lambda: access.identify("", "GetGeneration"),
        lambda: access.identify_admin("Bearer hfg_new_key"),
        lambda: access.check(ANONYMOUS),  # as open streams do
    )
    for call in calls:
        with pytest.raises(GatewayError) as unknown:
            call()
        assert unknown.value.failure.reason is Reason.GATEWAY_UNAVAILABLE


def test_a_call_asks_once_whether_the_keys_are_known() -> None:
    """A replica reads three clocks for the answer."""
    key, secret = keys.new_key("red", "", 0.0)
    asked = iter([True])
    access = access_of(key, current=lambda: next(asked))
    assert access.identify(f"Bearer {secret}", "GetGeneration").key_id == key.id


def test_a_key_that_another_gateway_has_changed_is_checked_again_by_open_streams() -> None:
    access = access_of()
    checks: list[str] = []
    access.on_revoke(lambda: checks.append("again"))
    access.update([keys.new_key("red", "", 0.0)[0]])
    assert checks == ["again"]


@pytest.mark.parametrize("change", ["creation", "rotation", "revocation"])
async def test_a_canceled_change_of_a_key_still_takes_effect(running: Running, change: str) -> None:
    access, stored = running.gateway.access, running.gateway._core.store.keys
    key, _ = await access.create_key("red", "shop")
    changing = {
        "creation": lambda: access.create_key("red", "shop"),
        "rotation": lambda: access.rotate_key(key.id, 60.0),
        "revocation": lambda: access.revoke_key(key.id),
    }[change]
    with commits("revocation" if change == "revocation" else "api key") as held:
        held.hold()
        call: asyncio.Task[object] = asyncio.ensure_future(changing())
        await held.reached()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        held.release()
        await access.drained()
    assert {*access.listed()} == {*await stored.api_keys()} != {key}


async def test_a_key_is_as_it_was_after_a_change_that_was_not_stored(running: Running) -> None:
    access, stored = running.gateway.access, running.gateway._core.store.keys
    key, secret = await access.create_key("red", "shop")
    before = [*await stored.api_keys()]
    for step, change in (
        ("revocation", access.revoke_key(key.id)),
        ("api key", access.rotate_key(key.id, 0.0)),  # in the reverse order, no key would be valid
    ):
        with commits(step) as failing:
            failing.fail_from(1)
            with pytest.raises(StoreError):
                await change
        assert access.identify(f"Bearer {secret}", "GetGeneration").key_id == key.id
        assert [*await stored.api_keys()] == before


@pytest.mark.parametrize("stored", [True, False])
async def test_changes_of_keys_with_an_unknown_outcome_are_confirmed(running: Running, *, stored: bool) -> None:
    def lose(method: str) -> None:
        lose_responses(running.gateway._core.store.keys, method, 1, stored=stored)

    lose("add_api_key")
    made = await ask(running, "CreateApiKey", admin_pb.CreateApiKeyRequest(tenant="red"))
    lose("add_api_key")
    lose("expire_api_key")
    rotated = await ask(running, "RotateApiKey", admin_pb.RotateApiKeyRequest(id=made.api_key.id))
    assert (await running.caller("grpc", rotated.secret).call("SubmitGeneration", soul("a fox"))).generation.id
    lose("revoke_api_key")
    await ask(running, "RevokeApiKey", admin_pb.RevokeApiKeyRequest(id=rotated.api_key.id))
    with pytest.raises(RpcFailure, match="UNAUTHENTICATED"):
        await running.caller("grpc", rotated.secret).call("SubmitGeneration", soul("a fox"))
    access = running.gateway.access
    assert {*access.listed()} == {*await running.gateway._core.store.keys.api_keys()}
    assert len(access.listed()) == 2


async def test_a_key_that_is_revoked_during_its_rotation_stays_revoked(running: Running) -> None:
    access = running.gateway.access
    key, secret = await access.create_key("red", "shop")
    with commits("api key") as held:
        held.hold()
        rotating = asyncio.create_task(access.rotate_key(key.id, 60.0))
        await held.reached()
        revoking = asyncio.create_task(access.revoke_key(key.id))
        await eventually(lambda: len(access._tasks) == 2)
        held.release()
        await asyncio.gather(rotating, revoking)
    with pytest.raises(GatewayError) as error:
        access.identify(f"Bearer {secret}", "GetGeneration")
    assert error.value.failure.reason is Reason.INVALID_CREDENTIALS
    with pytest.raises(GatewayError) as error:
        await access.rotate_key(key.id, 60.0)
    assert error.value.failure.reason is Reason.INVALID_INPUT
