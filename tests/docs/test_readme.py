"""Run the commands and snippets of the README and of other pages against a sandbox and a gateway.

They run unchanged, except that the addresses below are replaced by free ones. A command that serves runs until it
reports that it is ready, and takes its ports from the environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox, SandboxOptions
from hfgateway.v1 import generation_pb2, generation_service_pb2
from tests.docs.commands import NOT_RUN, RUN
from tests.docs.markdown import ROOT, SHELLS, Block, blocks, read
from tests.durability.process import GatewayProcess, stub
from tests.support.running import eventually

GRPC, HTTP, SANDBOX = "127.0.0.1:50051", "127.0.0.1:8080", "127.0.0.1:9200"
SERVES = re.compile(r"^hfgateway (serve|sandbox)\b")
READY = {"serve": "hfgateway: gRPC on ", "sandbox": "sandbox answers at "}
WAIT_TIMEOUT = 60.0

ALL = [block for file in sorted(RUN) for block in blocks(file)]
COMMANDS = [b for b in ALL if b.language in SHELLS and not set(b.commands) <= set(NOT_RUN)]
STARTS = [b for b in COMMANDS if SERVES.match(b.commands[-1])]


@dataclass
class Stage:
    """A sandbox, a gateway in front of it, and the environment for commands that use them."""

    sandbox: Sandbox
    gateway: GatewayProcess
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment without settings and proxies from outside. The PATH has the folder of Python."""
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("HF_", "HFGATEWAY_"))}
        kept = {n: v for n, v in kept.items() if not n.lower().endswith("_proxy")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
        own = {"HFGATEWAY_GRPC_ADDRESS": self.gateway.address, "HFGATEWAY_STORE_URL": "sqlite:///hfgateway.db"}
        return kept | {"PATH": path} | own

    def addressed(self, text: str) -> str:
        """Return the text with the addresses of this stage."""
        real = {GRPC: self.gateway.address, HTTP: self.gateway.http_address, SANDBOX: self.sandbox.url}
        for shown, address in real.items():
            text = text.replace(shown, address.removeprefix("http://"))
        return text

    async def run(self, *command: str) -> str:
        """Run a command that must succeed, and return its output."""
        process = await asyncio.create_subprocess_exec(
            *command, cwd=self.folder, env=self.environment, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            async with asyncio.timeout(WAIT_TIMEOUT):
                out, errors = await process.communicate()
        finally:
            await _end(process)
        assert process.returncode == 0, errors.decode()
        return out.decode()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    folder = tmp_path / "here"
    folder.mkdir()
    async with (
        Sandbox(SandboxOptions(port=0, time_scale=20)) as sandbox,
        GatewayProcess(tmp_path, sandbox.url) as gateway,
    ):
        yield Stage(sandbox, gateway, folder)


@pytest.mark.parametrize("block", [b for b in ALL if b.language == "python"], ids=str)
async def test_the_python_snippet_generates(block: Block, stage: Stage) -> None:
    out = await stage.run(sys.executable, "-W", "error", "-c", stage.addressed(block.text))
    (charge,) = stage.sandbox.ledger.charges
    assert charge.request_id in out  # a part of the output's URL


async def test_the_program_for_details_of_errors_prints_the_failure(stage: Stage) -> None:
    (program,) = (block for block in blocks("docs/errors.md") if block.language == "python")
    url = f"{stage.gateway.http_address}/hfgateway.v1.GenerationService/SubmitGeneration"
    async with aiohttp.ClientSession() as session, session.post(url, json={}) as refused:
        body = await refused.read()
    printed = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program.text], input=body, stdout=subprocess.PIPE, check=True,
        timeout=WAIT_TIMEOUT,
    )  # fmt: skip
    assert b"ERROR_REASON_INVALID_INPUT" in printed.stdout
    assert b'field: "input"' in printed.stdout


@pytest.mark.parametrize("language", ["go", "typescript", "java", "rust"])
def test_the_quickstart_is_short(language: str) -> None:
    (quickstart, *_) = blocks(f"clients/{language}/README.md")
    assert quickstart.language != "sh"
    assert len(quickstart.text.splitlines()) <= 15


def test_the_readme_quickstart_is_the_tested_one() -> None:
    shown = [block for block in blocks("README.md") if block.language in {"go", "ts", "java", "rust"}]
    assert [block.language for block in shown] == ["ts"]
    assert shown[0].text == blocks("clients/typescript/README.md")[0].text


@pytest.mark.parametrize("block", [b for b in COMMANDS if b not in STARTS], ids=str)
async def test_the_commands_work(block: Block, stage: Stage) -> None:
    for tool in ("curl", "cut"):
        if re.search(rf"\b{tool} ", block.text) and shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    out = await stage.run("sh", "-e", "-c", stage.addressed(block.text))
    ledger = stage.sandbox.ledger
    submits = re.compile(r".*SubmitGeneration|hfgateway generate|curl .*:9200/higgsfield-ai/", re.DOTALL)
    generated = sum(submits.match(command) is not None for command in block.commands)
    assert len(ledger.charges) == generated
    saved = [path.name for path in stage.folder.rglob("*.png")]
    assert sum(charge.request_id in out for charge in ledger.charges) + len(saved) == generated


@pytest.mark.parametrize("block", STARTS, ids=str)
async def test_commands_that_serve_report_that_they_are_ready_and_stop(block: Block, stage: Stage) -> None:
    served = SERVES.match(block.commands[-1])
    assert served is not None
    ports = {"HFGATEWAY_GRPC_ADDRESS": "127.0.0.1:0", "HFGATEWAY_HTTP_ADDRESS": "127.0.0.1:0"}
    process = await asyncio.create_subprocess_exec(
        "sh", "-e", "-c", stage.addressed(block.text).replace("--port 9200", "--port 0"), cwd=stage.folder,
        env=stage.environment | ports, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(WAIT_TIMEOUT):
            line = (await process.stdout.readline()).decode()
        assert READY[served[1]] in line
        os.killpg(process.pid, signal.SIGTERM)
        async with asyncio.timeout(WAIT_TIMEOUT):
            _, errors = await process.communicate()
    finally:
        await _end(process)
    assert "Traceback" not in errors.decode()


async def test_two_bad_answers_after_acceptance_are_charged_once(stage: Stage) -> None:
    """The gateway's row in docs/from-the-sdks.md. The rows of the SDKs are in tests/sdk."""
    bad = {"on": "submit", "kind": "502", "processed": True, "times": 2}
    stage.sandbox.state.plan.add([Fault.parse(bad)])
    stored = generation_service_pb2.WAIT_FOR_STORED
    request = generation_service_pb2.SubmitGenerationRequest(idempotency_key="compared", wait_for=stored)
    request.input.soul.prompt = "fox"
    async with stage.gateway.channel() as channel:
        submitted = await stub(channel).SubmitGeneration(request)
        await eventually(lambda: len(stage.sandbox.ledger.submissions) >= 2)
        asked = generation_service_pb2.GetGenerationRequest(id=submitted.generation.id)
        found = await stub(channel).GetGeneration(asked)
    assert found.generation.state == generation_pb2.GENERATION_STATE_UNCERTAIN
    assert len(stage.sandbox.ledger.charges) == 1
    assert stage.sandbox.ledger.double_charged_prompts == {}


def test_the_readme_is_short_and_its_pictures_are_small() -> None:
    assert len(read("README.md").splitlines()) <= 150
    pictures = re.findall(r"^!\[.+\]\((docs/images/.+)\)$", read("README.md"), re.MULTILINE)
    assert len(pictures) == 2
    assert [name for name in pictures if (ROOT / name).stat().st_size > 150_000] == []


def test_the_readme_shows_every_kind_of_block() -> None:
    shown = [block.text for block in blocks("README.md")]
    needed = ("make demo", "make test", "import Client", "curl ", "hfgateway generate", "hfgateway serve")
    assert [part for part in needed if not any(part in text for text in shown)] == []


def test_make_demo_runs_hfgateway_demo() -> None:
    assert re.search(r"^demo: .*\n\t@\S*hfgateway demo$", read("Makefile"), re.MULTILINE)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill a process and its children; each command has its own session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
