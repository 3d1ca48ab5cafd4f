"""AdminService on its own address: for keys and tokens with the scope admin, and for nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from gateway.access.scopes import Scope
from gateway.cli import exit_codes
from gateway.process import serving
from gateway.process.private_sockets import socket_in_use
from gateway.rpc.limits import call_limits
from gateway.rpc.limits.requests import MAX_REQUEST_BYTES
from gateway.web.server import WebServer
from hfgateway.admin.v1 import admin_service_pb2 as admin_pb
from hfgateway.admin.v1.admin_service_pb2_grpc import AdminServiceStub
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.generation_service_pb2_grpc import GenerationServiceStub
from tests.access.test_oidc import AUDIENCE, Issuer
from tests.admin.conftest import submit_and_lose
from tests.app.certificates import Authority
from tests.app.command import Finished, environment
from tests.app.command import run as run_command
from tests.hostile.conftest import connected
from tests.support.connect_proxy import ConnectProxy
from tests.support.operator import ask
from tests.support.running import WAIT_TIMEOUT, Running, run, soul
from tests.support.webhooks import request_of

LIST = admin_pb.ListApiKeysRequest()


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    """A gateway with an address for AdminService, whose callers need no keys."""
    async with run(tmp_path, ADMIN_ADDRESS="127.0.0.1:0") as started:
        yield started


async def key(running: Running, *scopes: Scope, tenant: str = "operators") -> str:
    _, secret = await running.gateway.access.create_key(tenant, "", scopes)
    return secret


async def call(running: Running, secret: str, method: str, request: Any) -> Any:
    """Call a method at the address; return the response, or the name of the error's code."""
    metadata = [("authorization", f"Bearer {secret}")] if secret else []
    async with grpc.aio.insecure_channel(running.gateway.admin_address) as channel:
        try:
            return await getattr(AdminServiceStub(channel), method)(request, metadata=metadata, timeout=WAIT_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            return error.code().name


async def operate(running: Running, secret: str, *arguments: str, **variables: str) -> Finished:
    """Run a command on another machine's behalf: it knows the address and the key, and no store."""
    given = {
        "HFGATEWAY_ADMIN_SERVER": running.gateway.admin_address,
        "HFGATEWAY_API_KEY": secret,
        "HFGATEWAY_STORE_URL": "sqlite:////nowhere/store.db",
    }
    return await run_command(*arguments, environment=environment(running.store_path.parent, given | variables))


async def test_the_operator_is_served_before_the_gateway_says_that_it_is_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that waits for `/readyz` creates its first key then."""
    open_http, seen = WebServer.start, []

    async def start(server: WebServer) -> None:
        seen.append(socket_in_use(tmp_path / "store.db"))
        await open_http(server)

    monkeypatch.setattr(WebServer, "start", start)
    async with run(tmp_path) as started:
        assert started.store_path == tmp_path / "store.db"
    assert seen == [True]


async def test_only_the_scope_admin_is_served(running: Running) -> None:
    everything = await key(running)
    admin = await key(running, Scope.ADMIN)
    for secret, expected in (
        ("", "UNAUTHENTICATED"), ("hfg_unknown_key", "UNAUTHENTICATED"), ("hfw_unknown", "UNAUTHENTICATED"),
        (everything, "PERMISSION_DENIED"), (await key(running, Scope.READ, Scope.CANCEL), "PERMISSION_DENIED"),
    ):  # fmt: skip
        assert await call(running, secret, "ListApiKeys", LIST) == expected
    listed = await call(running, admin, "ListApiKeys", LIST)
    assert [list(one.scopes) for one in listed.api_keys][:2] == [[1, 2, 3], [4]]
    assert await ask(running, "ListApiKeys", LIST) == listed  # the socket needs no key

    await call(running, admin, "RevokeApiKey", admin_pb.RevokeApiKeyRequest(id=admin.split("_")[1]))
    assert await call(running, admin, "ListApiKeys", LIST) == "UNAUTHENTICATED"


async def test_a_key_for_this_machine_is_not_sent_over_a_proxy(running: Running) -> None:
    async with ConnectProxy() as proxy:
        given = {"http_proxy": f"http://{proxy.address}", "no_proxy": "", "NO_PROXY": ""}
        listed = await operate(running, await key(running, Scope.ADMIN), "keys", "list", **given)
        assert (listed.code, proxy.asked) == (0, [])


async def test_the_scope_admin_permits_nothing_on_the_other_ports(tmp_path: Path) -> None:
    async with run(tmp_path, AUTH="keys", ADMIN_ADDRESS="127.0.0.1:0") as running:
        admin = await key(running, Scope.ADMIN)
        for address, stub, method, request, expected in (
            (running.gateway.grpc_address, AdminServiceStub, "ListApiKeys", LIST, "UNIMPLEMENTED"),
            (
                running.gateway.grpc_address,
                GenerationServiceStub,
                "SubmitGeneration",
                soul("a fox"),
                "PERMISSION_DENIED",
            ),
            (running.gateway.admin_address, GenerationServiceStub, "SubmitGeneration", soul("a fox"), "UNIMPLEMENTED"),
        ):
            async with grpc.aio.insecure_channel(address) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as raised:
                    await getattr(stub(channel), method)(request, metadata=[("authorization", f"Bearer {admin}")])
            assert raised.value.code().name == expected
        both = running.caller("grpc", await key(running, Scope.ADMIN, Scope.READ, tenant="red"))
        assert not (await both.call("ListGenerations", pb.ListGenerationsRequest())).generations


async def test_a_token_of_the_issuer_can_have_the_scope(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        issuer = await stack.enter_async_context(Issuer())
        terms = {"AUTH": "keys", "OIDC_ISSUER": issuer.url, "OIDC_AUDIENCE": AUDIENCE, "ADMIN_ADDRESS": "127.0.0.1:0"}
        running = await stack.enter_async_context(run(tmp_path, **terms))
        admin = issuer.token(scope="hfgateway:admin")
        async with asyncio.timeout(WAIT_TIMEOUT):
            while (found := await call(running, admin, "ListApiKeys", LIST)) == "UNAVAILABLE":
                pass  # the keys of the issuer are being fetched
        assert found == admin_pb.ListApiKeysResponse()
        assert await call(running, issuer.token(), "ListApiKeys", LIST) == "PERMISSION_DENIED"
        expired = issuer.token(scope="hfgateway:admin", exp=time.time() - 60)
        assert await call(running, expired, "ListApiKeys", LIST) == "UNAUTHENTICATED"


async def test_calls_are_limited_apart_from_those_of_other_ports(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = await key(running, Scope.ADMIN)
    large = admin_pb.ListLimitsRequest(tenant="x" * MAX_REQUEST_BYTES)
    assert await call(running, admin, "ListLimits", large) == "INVALID_ARGUMENT"
    full = call_limits.Bounds(0, 0, 0)
    pool = running.gateway._ports._admin_chain._limits.local  # type: ignore[union-attr]
    monkeypatch.setattr(pool, "_max_places", full)
    monkeypatch.setattr(pool, "_max_queued", full)
    assert await call(running, admin, "ListApiKeys", LIST) == "RESOURCE_EXHAUSTED"
    assert (await running.submit(soul("a fox"))).id
    assert await ask(running, "ListApiKeys", LIST)


async def test_connections_without_calls_do_not_keep_operators_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone who reaches the address can open all of its connections."""
    monkeypatch.setattr(serving, "ADMIN_CONNECTIONS", 1)
    monkeypatch.setattr(serving, "ADMIN_CONNECTION_IDLE", 0.2)
    no_settings = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
    async with (
        run(tmp_path, ADMIN_ADDRESS="127.0.0.1:0") as running,
        connected(running.gateway.admin_address) as (_, idle),
    ):
        idle.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + no_settings)
        admin = await key(running, Scope.ADMIN)
        async with asyncio.timeout(WAIT_TIMEOUT):
            while (response := await call(running, admin, "ListApiKeys", LIST)) == "UNAVAILABLE":
                pass  # until the connection is closed
        assert [key.tenant for key in response.api_keys]


async def test_the_commands_of_operators_work_over_the_address(running: Running) -> None:
    made = await run_command(
        "keys", "create", "--tenant", "operators", "--scope", "admin",
        environment=environment(running.store_path.parent, {"HFGATEWAY_STORE_URL": f"sqlite:///{running.store_path}"}),
    )  # fmt: skip
    admin = made.out.strip()

    shop = (await operate(running, admin, "keys", "create", "--tenant", "shop")).out.strip()
    listed = await operate(running, admin, "keys", "list")
    assert [line.split("\t")[5] for line in listed.out.splitlines()] == ["admin", "read submit cancel"]
    assert listed.err == ""
    rotated = await operate(running, admin, "keys", "rotate", shop.split("_")[1])
    assert rotated.out.startswith("hfg_")
    assert (await operate(running, admin, "keys", "revoke", rotated.out.split("_")[1])).code == 0

    assert (await operate(running, admin, "limits", "set", "--tenant", "shop", "--in-flight", "3")).code == 0
    assert "in flight: 0 of 3" in (await operate(running, admin, "limits", "show", "--tenant", "shop")).out
    assert (await operate(running, admin, "limits", "clear", "--tenant", "shop")).code == 0
    assert (await operate(running, admin, "limits", "list")).out == ""
    assert "generations" in (await operate(running, admin, "usage")).out
    assert (await operate(running, admin, "unresolved", "list")).code == 0

    uncertain = await submit_and_lose(running, "a fox")
    resolved = await operate(running, admin, "resolve", uncertain.id, "--as-request", request_of(running, "a fox"))
    assert resolved.code == 0, resolved.err

    refused = await operate(running, shop, "keys", "list")
    assert (refused.code, refused.err) == (
        exit_codes.REFUSED,
        "error: the API key or token lacks the scope admin\n",
    )
    grpc_address = running.gateway.grpc_address
    wrong = await operate(running, admin, "keys", "list", HFGATEWAY_ADMIN_SERVER=grpc_address)
    assert (wrong.code, wrong.err) == (
        exit_codes.REFUSED,
        f"error: {grpc_address} does not serve this call: it is not the address of AdminService "
        "(HFGATEWAY_ADMIN_ADDRESS), or its gateway is older\n",
    )
    admin_address = running.gateway.admin_address
    wrong = await operate(running, admin, "generate", "a fox", "--gateway", admin_address)
    assert wrong.code == exit_codes.REFUSED
    assert f"{admin_address} does not serve this call: it is not the address of gRPC" in wrong.err
    both = await operate(running, admin, "keys", "list", "--offline")
    assert (both.code, both.out) == (exit_codes.USAGE, "")


async def test_a_key_is_not_sent_in_plaintext_to_another_machine(running: Running) -> None:
    refused = await operate(running, "hfg_id_secret", "usage", HFGATEWAY_ADMIN_SERVER="gateway.example:50052")
    assert (refused.code, refused.out) == (exit_codes.USAGE, "")
    assert "plaintext" in refused.err
    assert "hfg_id_secret" not in refused.err


@pytest.mark.toolchain("openssl")
async def test_the_address_has_the_certificate_of_the_gateway(tmp_path: Path) -> None:
    authority = Authority.made(tmp_path)
    served = authority.signed("gateway")
    terms = {"ADMIN_ADDRESS": "127.0.0.1:0", "TLS_CERT": served.cert, "TLS_KEY": served.key}
    async with run(tmp_path, **terms) as running:
        admin = await key(running, Scope.ADMIN)
        assert (await operate(running, admin, "keys", "list")).code == exit_codes.GATEWAY_UNAVAILABLE
        listed = await operate(running, admin, "keys", "list", "--tls-ca", str(authority.cert))
        assert listed.out.count("\n") == 1, listed.err
