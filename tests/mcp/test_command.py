"""Only MCP needs the MCP library: everything else starts without it, and does not import it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path

from gateway.cli.exit_codes import INTERRUPTED, OUTPUT_NOT_WRITTEN
from gateway.cli.mcp import MISSING, ClientPort
from gateway.mcp.tools import all_tools
from gateway.settings.extras import missing
from hfgateway_client import AsyncClient, RetryPolicy
from tests.app.command import environment
from tests.cli.test_lost_output import CLOSED, broken
from tests.docs.markdown import blocks, read
from tests.durability.process import ROOT
from tests.mcp.conftest import Start, content_of, soul
from tests.mcp.test_http import initialize
from tests.support.imports import imported

WITHOUT = """
import runpy, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"mcp", "mcp_types", "opentelemetry", "jwt"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
runpy.run_module("gateway", run_name="__main__", alter_sys=True)
"""
"""Python code that starts a command as if the extras `mcp`, `traces` and `oidc` were not installed."""


async def ended(folder: Path, *arguments: str, **variables: str) -> tuple[int | None, str, str]:
    """Run a command without the library; stop a gateway as soon as it reports that it serves."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WITHOUT, *arguments, cwd=ROOT, env=environment(folder, variables),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            line = (await process.stdout.readline()).decode()
            if line:
                process.terminate()
            _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode, line, errors.decode()


async def test_the_gateway_serves_without_the_mcp_library(tmp_path: Path) -> None:
    code, out, errors = await ended(tmp_path, "serve")
    assert (code, "hfgateway: gRPC on " in out) == (0, True), errors


async def test_a_missing_library_is_reported_with_the_install_command(tmp_path: Path) -> None:
    code, out, errors = await ended(tmp_path, "serve", HFGATEWAY_MCP="on")
    assert (code, out) == (2, "")
    assert errors == f"error: HFGATEWAY_MCP: {missing('mcp')}\n"
    code, out, errors = await ended(tmp_path, "serve", HFGATEWAY_TRACES="otlp")
    assert (code, out) == (2, "")
    assert errors == f"error: HFGATEWAY_TRACES: {missing('traces')}\n"
    oidc = {"HFGATEWAY_OIDC_ISSUER": "https://login.example", "HFGATEWAY_OIDC_AUDIENCE": "hfgateway"}
    code, out, errors = await ended(tmp_path, "serve", HFGATEWAY_AUTH="keys", **oidc)
    assert (code, out) == (2, "")
    assert errors == f"error: HFGATEWAY_OIDC_ISSUER: {missing('oidc')}\n"
    code, out, errors = await ended(tmp_path, "mcp")
    assert (code, out, errors) == (2, "", f"error: {MISSING}\n")


def test_the_mcp_library_is_imported_only_by_mcp() -> None:
    imports = (
        "import gateway.process.app, gateway.process.serving, gateway.web.server,"
        "gateway.rpc.transports.over_connect, gateway.cli.mcp"
    )
    assert imported(imports, of={"mcp", "mcp_types", "jsonschema"}) == []


@contextlib.asynccontextmanager
async def started(folder: Path, stdout: int) -> AsyncIterator[Process]:
    """Start the command, and send it the first message. The body must end within 60 s."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "mcp", cwd=ROOT, env=environment(folder, {}),
        stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdin is not None
        process.stdin.write(initialize() + b"\n")
        async with asyncio.timeout(60):
            yield process
    finally:
        if process.returncode is None:
            process.kill()


async def test_ctrl_c_ends_the_command_while_it_waits_for_input(tmp_path: Path) -> None:
    async with started(tmp_path, subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b"hfgateway" in await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert await process.wait() == INTERRUPTED


async def test_a_client_that_reads_no_more_ends_the_command_although_it_could_still_write(tmp_path: Path) -> None:
    with broken(CLOSED) as out:
        async with started(tmp_path, out) as process:
            assert process.stderr is not None
            assert await process.stderr.read() == b""
            assert await process.wait() == OUTPUT_NOT_WRITTEN


async def test_an_unreachable_gateway_is_reported_with_the_key() -> None:
    (generate,) = (tool for tool in all_tools() if tool.name == "generate")

    async def report(progress: float, message: str) -> None:
        raise AssertionError((progress, message))

    async with AsyncClient("127.0.0.1:1", retry=RetryPolicy(repeat_calls_for=0)) as client:
        result = await generate(ClientPort(client), soul("fox"), report)
    assert result.is_error
    assert (result.content["error"]["code"], result.content["error"]["retryable"]) == ("UNAVAILABLE", True)
    assert result.text.startswith("UNAVAILABLE: the connection to 127.0.0.1:1 failed")
    assert f"idempotency_key {result.content['idempotency_key']}" in result.text


async def test_the_documented_configuration_connects_a_client(start: Start) -> None:
    from mcp import Client, StdioServerParameters

    running = await start()
    (block,) = (block for block in blocks("docs/mcp.md") if block.language == "json")
    (server,) = json.loads(block.text)["mcpServers"].values()
    arguments = [running.gateway.grpc_address if one == "127.0.0.1:50051" else one for one in server["args"]]
    command = Path(sys.executable).parent / server["command"]
    parameters = StdioServerParameters(command=str(command), args=arguments, env=server["env"])
    async with Client(parameters) as client:
        listed = [tool.name for tool in (await client.list_tools()).tools]
        assert content_of(await client.call_tool("list_generations", {})) == {"generations": []}
    rows = [line.split("|")[1] for line in read("docs/mcp.md").splitlines() if line.startswith("| `")]
    assert [name.strip(" `") for row in rows for name in row.split(",")] == listed
    assert listed == [tool.name for tool in all_tools()]
