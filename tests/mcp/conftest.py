"""The official MCP client, connected to a gateway over its HTTP port and through `hfgateway mcp`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway.cli.mcp import ClientPort
from gateway.mcp.tools import all_tools
from hfgateway_client import AsyncClient
from tests.durability.process import ROOT
from tests.support.running import WAIT_TIMEOUT, Running, Start, starting

if TYPE_CHECKING:  # every worker of pytest loads this file, and the library takes 0.6 s
    from mcp import Client
    from mcp.types import CallToolResult

Connect = Callable[..., AbstractAsyncContextManager["Client"]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start a gateway that serves MCP, and a sandbox with a manual clock."""
    async with starting(tmp_path, MCP="on") as start:
        yield start


@asynccontextmanager
async def over_http(running: Running, secret: str = "", *, mode: str = "auto", **headers: str) -> AsyncIterator[Client]:
    from mcp import Client
    from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client

    if secret:
        headers["authorization"] = f"Bearer {secret}"
    async with create_mcp_http_client(headers=headers) as http:
        transport = streamable_http_client(f"{running.gateway.http_address}/mcp", http_client=http)
        async with Client(transport, mode=mode, read_timeout_seconds=WAIT_TIMEOUT) as client:
            yield client


@asynccontextmanager
async def over_stdio(running: Running, secret: str = "", *, options: Sequence[str] = ()) -> AsyncIterator[Client]:
    from mcp import Client, StdioServerParameters

    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "gateway", "mcp", *options],
        env={"HFGATEWAY_GRPC_ADDRESS": running.gateway.grpc_address, "HFGATEWAY_API_KEY": secret},
        cwd=ROOT,
    )
    async with Client(command, read_timeout_seconds=WAIT_TIMEOUT) as client:
        yield client


@asynccontextmanager
async def over_client(running: Running) -> AsyncIterator[Client]:
    """Connect to the server of `hfgateway mcp`, without its process."""
    from mcp import Client

    from gateway.mcp.server import mcp_server

    async with AsyncClient(running.gateway.grpc_address) as gateway:
        server = mcp_server(all_tools(), lambda _: ClientPort(gateway))
        async with Client(server, read_timeout_seconds=WAIT_TIMEOUT) as client:
            yield client


@pytest.fixture(params=["http", "stdio"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Connect a client over HTTP or stdio."""
    return {"http": over_http, "stdio": over_stdio}[request.param]


@pytest.fixture(params=["http", "client"])
def port(request: pytest.FixtureRequest) -> Connect:
    """Like `connect`, but without a process, for tests that depend on the two `GatewayPort` implementations only."""
    return {"http": over_http, "client": over_client}[request.param]


def soul(prompt: str, **fields: Any) -> dict[str, Any]:
    """Return the arguments of a generation with Soul."""
    return {"input": {"soul": {"prompt": prompt, **fields}}}


def text(result: CallToolResult) -> str:
    """Return the text of a result, which the model reads."""
    (content,) = result.content
    assert content.type == "text"
    return content.text


def content_of(result: CallToolResult) -> dict[str, Any]:
    """Return the structured content of a successful result."""
    assert not result.is_error, text(result)
    assert isinstance(result.structured_content, dict)
    return result.structured_content


def error(result: CallToolResult) -> dict[str, Any]:
    """Return the structured error of a failed result."""
    assert result.is_error, text(result)
    assert isinstance(result.structured_content, dict)
    assert isinstance(result.structured_content["error"], dict)
    return result.structured_content["error"]


def state(result: CallToolResult) -> str:
    """Return the state of a result's generation without its prefix."""
    assert isinstance(result.structured_content, dict)
    return str(result.structured_content["generation"]["state"]).removeprefix("GENERATION_STATE_")
