"""gRPC-Web in Google's JavaScript client, in a real browser on a page of another origin, and the base64 form itself."""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.running import WAIT_TIMEOUT, Running, run, soul
from tests.support.transports import SERVICE
from tests.web.page_tab import Tab
from tools import typescript
from tools.generate import run as run_tool

TEXT = "application/grpc-web-text"
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the bundle of grpc_web.js."""
    client = typescript.build_client()
    bundle = tmp_path_factory.mktemp("grpc-web") / "bundle.js"
    run_tool(
        client / "node_modules" / ".bin" / "esbuild", HERE / "grpc_web.js", "--bundle", f"--outfile={bundle}",
        f"--alias:@hfgateway/client/stubs={client / 'dist' / 'stubs.js'}", "--log-level=warning",
        env={"NODE_PATH": str(client / "node_modules")},
    )  # fmt: skip
    return bundle.read_text()


@pytest_asyncio.fixture(loop_scope="module")
async def origin() -> AsyncIterator[str]:
    """Serve an empty page of an application, and yield its origin."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><link rel=icon href=data:,>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


@pytest_asyncio.fixture(loop_scope="module")
async def running(tmp_path: Path, origin: str) -> AsyncIterator[Running]:
    async with run(tmp_path, ALLOWED_ORIGINS=origin) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def page(tab: Tab, script: str, origin: str) -> Tab:
    """Return a tab with the page of the application, which has the client."""
    await tab.page.goto(f"{origin}/")
    await tab.page.add_script_tag(content=script)
    return tab


@pytest.mark.toolchain("chromium")
@pytest.mark.toolchain("node")
@pytest.mark.toolchain("npm")
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("form", ["text", "binary"])
async def test_googles_client_makes_calls(running: Running, page: Tab, form: str) -> None:
    address = running.gateway.http_address
    request = {"input": {"soul": {"prompt": "a föx 🦊"}}, "idempotencyKey": "fox"}
    submitted = await page.page.evaluate("args => call(...args)", [form, address, "submitGeneration", request])
    generation = submitted["generation"]
    assert (await running.get(generation["id"])).idempotency_key == "fox"
    again = await page.page.evaluate("args => call(...args)", [form, address, "submitGeneration", request])
    assert again["generation"]["id"] == generation["id"]
    unknown = {"id": "01a201e1-488e-7dc7-876e-f6f276cea2cd"}
    failed = await page.page.evaluate("args => call(...args)", [form, address, "getGeneration", unknown])
    assert (failed["code"], failed["message"]) == (5, "no such generation")
    assert page.complaints == []


@pytest.mark.toolchain("chromium")
@pytest.mark.toolchain("node")
@pytest.mark.toolchain("npm")
@pytest.mark.asyncio(loop_scope="module")
async def test_googles_client_sees_each_change_at_once(running: Running, page: Tab) -> None:
    """Its binary form reads a stream only at its end."""
    submitted = await running.submit(soul("a fox"))
    watch = ["text", running.gateway.http_address, "watchGeneration", {"id": submitted.id}]
    await page.page.evaluate("args => watch(...args)", watch)
    await page.page.wait_for_function("seen.length > 0")
    assert await page.page.evaluate("code") is None
    await running.finish(submitted.id)
    await page.page.wait_for_function("code !== undefined")
    assert await page.page.evaluate("code") == 0
    states = await page.page.evaluate("seen.map((one) => one.generation?.state)")
    assert states[-1] == "GENERATION_STATE_COMPLETED"
    assert page.complaints == []


# -- The base64 form ---------------------------------------------------------------------------------------------------


def enveloped(message: bytes) -> bytes:
    return struct.pack(">BI", 0, len(message)) + message


async def post(
    running: Running, body: object, method: str = "GetGeneration", content_type: str = TEXT
) -> tuple[str, bytes]:
    """Make a call; return the content type of the response, and its decoded body, whose parts are padded each."""
    url = f"{running.gateway.http_address}/{SERVICE.full_name}/{method}"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers={"content-type": content_type}) as response,
        asyncio.timeout(WAIT_TIMEOUT),
    ):
        assert response.status == 200
        text = await response.text()
        if "grpc-status" in response.headers:
            return response.headers["grpc-status"], response.headers["grpc-message"].encode()
        fours = (text[start : start + 4] for start in range(0, len(text), 4))
        return response.headers["content-type"], b"".join(base64.b64decode(four, validate=True) for four in fours)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize("suffix", ["", "+proto"])
async def test_a_request_may_arrive_in_any_parts(running: Running, size: int, suffix: str) -> None:
    submitted = await running.submit(soul("a fox"))
    text = base64.b64encode(enveloped(pb.GetGenerationRequest(id=submitted.id).SerializeToString()))

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(text), size):
            yield text[start : start + size]
            await asyncio.sleep(0)

    content_type, body = await post(running, parts(), content_type=TEXT + suffix)
    assert content_type == f"{TEXT}+proto"
    length = struct.unpack(">BI", body[:5])[1]
    assert pb.GetGenerationResponse.FromString(body[5 : 5 + length]).generation.id == submitted.id
    assert b"grpc-status: 0" in body[5 + length :]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("body", [b"no base64!", b"AAA", b"AAAA=AAA", b"\x00\x00\x00\x00\x05hello", "Ä".encode()])
async def test_a_request_that_is_not_base64_is_refused(running: Running, body: bytes) -> None:
    status, found = await post(running, body)
    assert b"is%20not%20base64" in found
    assert status == "3" or b"grpc-status: 3" in found
