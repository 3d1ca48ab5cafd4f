"""`/mcp` on the HTTP port: authentication, metrics, limits, disconnects and drains."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import aiohttp
import pytest

from gateway.access.scopes import Scope
from gateway.rpc.limits import call_limits
from gateway.rpc.limits.call_limits import Bounds
from hfgateway.v1 import token_service_pb2
from tests.hostile.conftest import connected
from tests.mcp.conftest import Start, content_of, error, over_http, soul, state, text
from tests.support.running import WAIT_TIMEOUT, Running, eventually
from tests.support.running import soul as submission

ACCEPT = {"accept": "application/json, text/event-stream"}


def initialize() -> bytes:
    """Return the first request of a client."""
    from mcp.types import LATEST_PROTOCOL_VERSION

    about = {"name": "test", "version": "1"}
    parameters = {"protocolVersion": LATEST_PROTOCOL_VERSION, "capabilities": {}, "clientInfo": about}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": parameters}).encode()


async def post(running: Running, body: bytes | None = None, method: str = "POST", **headers: str) -> tuple[int, str]:
    """Send a request to `/mcp`; return the status and text of the response."""
    content = initialize() if body is None else body
    given = ACCEPT | {"content-type": "application/json"} | headers
    url = f"{running.gateway.http_address}/mcp"
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, data=io.BytesIO(content), headers=given) as answer,
    ):
        return answer.status, await answer.text()


async def test_a_slash_after_the_path_needs_no_redirect(start: Start) -> None:
    running = await start()
    url = f"{running.gateway.http_address}/mcp/"
    headers = ACCEPT | {"content-type": "application/json"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=initialize(), headers=headers, allow_redirects=False) as answer,
    ):
        assert answer.status == 200


async def test_mcp_is_off_by_default(start: Start) -> None:
    assert (await post(await start(MCP="off")))[0] == 404


async def test_mcp_serves_current_and_legacy_clients(start: Start) -> None:
    running = await start()
    assert (await post(running))[0] == 200
    for mode in ("auto", "legacy"):
        async with over_http(running, mode=mode) as client:
            result = await client.call_tool("generate", soul("fox") | {"wait_seconds": 0})
        assert content_of(result)["replayed"] is (mode == "legacy")


async def test_wrong_keys_are_refused_and_watch_tokens_only_watch(start: Start) -> None:
    running = await start(AUTH="keys")
    key = await running.key("shop")
    for secret in ("", "Bearer", "Bearer hfg_0123456789abcdef_wrong", "Key a:b", "Bearer hfw_wrong"):
        status, answer = await post(running, authorization=secret)
        assert status == 401
        assert json.loads(answer)["error"]["reason"] == "INVALID_CREDENTIALS"
        assert secret.partition(" ")[2] not in answer or not secret.partition(" ")[2]
    assert (await post(running, authorization=f"Bearer {key}"))[0] == 200

    async with over_http(running, key) as client:
        generation_id = content_of(await client.call_tool("generate", soul("fox") | {"wait_seconds": 0}))["generation"][
            "id"
        ]
    made = running.caller("connect-json", key)
    request = token_service_pb2.CreateWatchTokenRequest()
    request.filter.ids.append(generation_id)
    token = (await made.call("CreateWatchToken", request)).token
    async with over_http(running, token) as client:
        seen = await client.call_tool("get_generation", {"id": generation_id})
        refused = await client.call_tool("generate", soul("wolf"))
    assert "input" not in content_of(seen)["generation"]
    assert (error(refused)["reason"], error(refused)["code"]) == ("NOT_ALLOWED", "PERMISSION_DENIED")
    await eventually(lambda: len(running.ledger.submissions) == 1)


async def test_a_key_may_call_the_tools_that_its_scopes_allow(start: Start) -> None:
    running = await start(AUTH="keys")
    _, secret = await running.gateway.access.create_key("shop", "", [Scope.SUBMIT])
    async with over_http(running, secret) as client:
        made = content_of(await client.call_tool("generate", soul("fox") | {"wait_seconds": 0}))["generation"]
        refused = await client.call_tool("get_generation", {"id": made["id"]})
        started = await client.call_tool("generate", soul("owl"))
    for one in (refused, started):
        assert (error(one)["reason"], error(one)["code"]) == ("NOT_ALLOWED", "PERMISSION_DENIED")
    assert state(started) == "PENDING"  # it continues, and may be charged, although this key cannot follow it


async def test_credentials_that_cannot_be_checked_now_are_not_called_wrong(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that is told 401 asks its user for another key, although the same one is valid a second later."""
    running = await start(AUTH="keys")
    key = await running.key("shop")
    monkeypatch.setattr(running.gateway.access, "_current", lambda: False)  # as a replica that cannot reach the store
    status, answer = await post(running, authorization=f"Bearer {key}")
    assert (status, json.loads(answer)["error"]["reason"]) == (503, "GATEWAY_UNAVAILABLE")


async def test_a_revoked_key_ends_calls_in_progress(start: Start) -> None:
    from mcp import MCPError

    running = await start(AUTH="keys")
    key = await running.key("shop")
    async with over_http(running, key) as client:
        waiting = asyncio.create_task(client.call_tool("generate", soul("fox")))
        await running.calls_open("WatchGeneration", 1)
        (listed,) = running.gateway.access.listed()
        await running.gateway.access.revoke_key(listed.id)
        refused = await waiting
        assert error(refused)["reason"] == "INVALID_CREDENTIALS"
        assert "continues" in text(refused)
        with pytest.raises(MCPError):
            await client.call_tool("list_generations", {})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 400),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "https://["}, 403),
        ({"origin": "https://app.example"}, 200),
        ({"content-type": "text/plain"}, 400),
    ],
)
async def test_foreign_hosts_and_origins_are_refused(start: Start, headers: dict[str, str], status: int) -> None:
    running = await start(ALLOWED_ORIGINS="https://app.example")
    assert (await post(running, **headers))[0] == status
    assert (await post(running, origin=running.gateway.http_address))[0] == 200


async def test_foreign_origins_are_refused_also_with_a_key(start: Start) -> None:
    running = await start(AUTH="keys")
    key = {"authorization": f"Bearer {await running.key('shop')}"}
    assert (await post(running, origin="https://evil.example", **key))[0] == 403
    assert (await post(running, origin=running.gateway.http_address, **key))[0] == 200


async def test_malformed_requests_are_refused(start: Start) -> None:
    running = await start()
    assert (await post(running, bytes(4 * 1024 * 1024 + 1)))[0] == 413
    assert (await post(running, b"{"))[0] == 400
    for method in ("GET", "DELETE", "PUT"):
        assert (await post(running, b"", method))[0] == 405


async def test_refusals_have_the_headers_that_http_requires(start: Start) -> None:
    running = await start(AUTH="keys")
    url = f"{running.gateway.http_address}/mcp"
    async with aiohttp.ClientSession() as session:
        async with session.post(url, data=initialize()) as without_key:
            assert (without_key.status, without_key.headers["www-authenticate"]) == (401, "Bearer")
        async with session.get(url) as wrong_method:
            assert (wrong_method.status, wrong_method.headers["allow"]) == (405, "POST")


def tool_call(tool: str, arguments: dict[str, Any], **meta: str) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers of a call, with more members of its metadata."""
    version = "2026-07-28"
    about = {"protocolVersion": version, "clientCapabilities": {}}
    envelope = {f"io.modelcontextprotocol/{name}": value for name, value in about.items()} | meta
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    body = json.dumps(call | {"params": {"name": tool, "arguments": arguments, "_meta": envelope}}).encode()
    return body, {"mcp-protocol-version": version, "mcp-method": "tools/call", "mcp-name": tool}


NO_TEXT = "\ud800"
"""A lone surrogate, which JSON can hold, but no message."""


async def test_text_that_is_not_unicode_is_invalid_input(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    running = await start()
    for tool, arguments in (
        ("get_generation", {"id": NO_TEXT}),
        ("generate", soul("fox") | {"labels": {NO_TEXT: "x"}}),
        ("generate", soul("fox") | {"idempotency_key": NO_TEXT}),
        ("list_models", {"query": NO_TEXT}),
        ("upload_media", {"data": "eA==", "content_type": NO_TEXT}),
    ):
        body, headers = tool_call(tool, arguments)
        status, answer = await post(running, body, **headers)
        failure = json.loads(answer)["result"]["structuredContent"]["error"]
        assert (status, failure["reason"]) == (200, "INVALID_INPUT"), failure
        assert [violation["field"] for violation in failure["field_violations"]] == ["arguments"]
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_calls_share_the_metrics_and_limits_of_other_transports(start: Start) -> None:
    running = await start()
    async with over_http(running) as client:
        await client.call_tool("generate", soul("fox") | {"wait_seconds": 0})
        pool = running.gateway._ports.limits.upstream
        pool.total.max_places = pool.total.max_queued = 0
        refused = await client.call_tool("list_models", {})
        listed = await client.call_tool("list_generations", {})
    assert error(refused)["reason"] == "GATEWAY_OVERLOADED"
    assert error(refused)["retry_delay_seconds"] > 0
    assert len(content_of(listed)["generations"]) == 1
    counted = 'hfgateway_rpc_total{code="OK",method="/hfgateway.v1.GenerationService/SubmitGeneration"} 1.0'
    assert counted in (await running.metrics()).splitlines()


async def test_a_call_that_waits_takes_no_place_of_other_calls(start: Start) -> None:
    running = await start()
    async with over_http(running, mode="legacy") as client:
        waiting = asyncio.create_task(client.call_tool("generate", soul("fox")))
        limits = running.gateway._ports.limits
        await eventually(lambda: limits.waiting.total.held == 2)  # the call, and the client's stream of notifications
        assert limits.local.total.held == 0
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_the_bytes_of_a_request_take_places_until_its_response(start: Start) -> None:
    """Otherwise a page with a watch token could fill the memory with requests that do not end, or that wait."""
    running = await start()
    waiting = running.gateway._ports.limits.waiting.total
    async with connected(running.gateway.http_address) as (_, writer):
        head = "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999\r\n"
        writer.write(
            f"{head}accept: {ACCEPT['accept']}\r\ncontent-type: application/json\r\n\r\n".encode() + bytes(9000)
        )
        await eventually(lambda: waiting.held == 3)
    await eventually(lambda: waiting.held == 0)

    queued = await running.submit(submission("fox"))
    body, headers = tool_call("wait_generation", {"id": queued.id}, progressToken="x" * 9000)
    call = asyncio.create_task(post(running, body, **headers))
    await eventually(lambda: waiting.held == 3 + 1)
    await running.finish(queued.id)
    status, answer = await call
    assert status == 200
    assert "COMPLETED" in answer
    await eventually(lambda: waiting.held == 0)


async def test_a_caller_without_places_for_its_request_is_refused(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_limits, "WAITING", Bounds(token=2, tenant=2, total=2))
    running = await start()
    body, headers = tool_call("list_generations", {}, x="x" * 9000)
    status, answer = await post(running, body, **headers)
    failure = json.loads(answer)["error"]
    assert (status, failure["reason"], failure["retryable"]) == (429, "GATEWAY_OVERLOADED", True)
    assert await running.metric('hfgateway_rpc_refused_total{method="/mcp"}') == 1
    assert (await post(running, *tool_call("list_generations", {})[:1], **headers))[0] == 200


@pytest.mark.parametrize("item", ["1", "[]", "{}", '""'])
async def test_a_request_of_many_values_is_refused_before_it_is_parsed(start: Start, item: str) -> None:
    running = await start()
    body, headers = tool_call("get_generation", {"id": "x"})
    many = body.replace(b'"x"', f"[{','.join([item] * 60_000)}]".encode())
    status, answer = await post(running, many, **headers)
    assert (status, json.loads(answer)["error"]["reason"]) == (400, "INVALID_INPUT")
    assert await running.metric('hfgateway_bad_requests_total{reason="values"}') == 1


async def test_the_limit_of_commas_and_brackets_is_inclusive(start: Start) -> None:
    from gateway.web.mcp import MAX_SEPARATORS

    running = await start()
    body, headers = tool_call("get_generation", {"id": "@"})
    left = MAX_SEPARATORS - sum(map(body.count, (b",", b"[", b"{")))
    for commas, status in ((left, 200), (left + 1, 400)):
        assert (await post(running, body.replace(b"@", b"," * commas), **headers))[0] == status


async def test_an_act_is_logged_with_the_key_of_its_caller(start: Start) -> None:
    running = await start(AUTH="keys", AUDIT="on")
    key = await running.key("red")
    async with over_http(running, key) as client:
        submitted = content_of(await client.call_tool("generate", soul("fox") | {"wait_seconds": 0}))
        await client.call_tool("cancel_generation", {"id": submitted["generation"]["id"]})
    entries = await running.gateway._core.store.audit.audit_entries(1, 10)
    acts = [(act["act"], act["actor"]) for act in (json.loads(entry.text) for entry in entries)]
    actor = f"key:{key.split('_')[1]}"
    # A cancellation during the POST has two entries: when it is requested, and when Higgsfield has canceled.
    assert list(dict.fromkeys(acts))[-2:] == [("generation.submit", actor), ("generation.cancel", actor)]


async def test_a_call_passes_on_the_headers_of_its_request(start: Start) -> None:
    running = await start(FORWARD_HEADERS="x-team")
    async with over_http(running, **{"x-team": "red", "x-other": "canary"}) as client:
        await client.call_tool("generate", soul("fox") | {"wait_seconds": 0})
    await eventually(lambda: len(running.ledger.submissions) == 1)
    assert running.ledger.foreign_headers == {"x-team": 1}


async def test_a_disconnected_client_does_not_end_the_generation(start: Start) -> None:
    from mcp import MCPError

    running = await start()
    async with over_http(running) as client:
        with pytest.raises(MCPError):
            await client.call_tool("generate", soul("fox"), read_timeout_seconds=0.3)
        await running.calls_open("WatchGeneration", 0)
    async with over_http(running, mode="legacy") as client:
        leaving = asyncio.create_task(client.call_tool("generate", soul("fox")))
        await running.calls_open("WatchGeneration", 1)
        leaving.cancel()
    await running.calls_open("WatchGeneration", 0)
    (generation,) = [one async for one in listed(running)]
    await running.finish(generation.id)
    assert len(running.ledger.charges) == 1


async def listed(running: Running) -> Any:
    from hfgateway.v1 import generation_service_pb2 as pb

    for generation in (await running.grpc.call("ListGenerations", pb.ListGenerationsRequest())).generations:
        yield generation


async def test_a_drain_answers_waiting_calls_and_refuses_new_ones(start: Start) -> None:
    running = await start()
    async with over_http(running) as client:
        await (
            client.list_tools()
        )  # otherwise the client lists the tools after the answer, when the gateway no longer listens
        waiting = asyncio.create_task(client.call_tool("generate", soul("fox")))
        await running.calls_open("WatchGeneration", 1)
        await running.begin_drain()
        result = await waiting
    generation = content_of(result)["generation"]
    assert state(result) in {"PENDING", "QUEUED"}
    assert "GATEWAY_UNAVAILABLE" in text(result)
    assert f"wait_generation with id {generation['id']}" in text(result)
    await running.stop_gateway()

    await running.start_gateway()
    async with over_http(running) as client:
        running.gateway._core.service.draining = running.gateway._core.service.refusing = True
        refused = await client.call_tool("generate", soul("wolf"))
        running.gateway._core.service.draining = running.gateway._core.service.refusing = False
        again = asyncio.create_task(client.call_tool("generate", soul("fox")))
        await running.calls_open("WatchGeneration", 1)
        running.clock.advance(60)
        async with asyncio.timeout(WAIT_TIMEOUT):
            ended = await again
    assert error(refused)["reason"] == "GATEWAY_UNAVAILABLE"
    assert error(refused)["retryable"]
    key = (refused.structured_content or {})["idempotency_key"]
    assert f"Call generate again with the same arguments and idempotency_key {key}" in text(refused)
    assert content_of(ended)["generation"]["id"] == generation["id"]
    assert state(ended) == "COMPLETED"
    assert len(running.ledger.charges) == 1
