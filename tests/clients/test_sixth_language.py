"""docs/sixth-language.md: its Kotlin project runs, and buf.gen.yaml generates stubs from a clone."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from gateway.sandbox.server import Sandbox, SandboxOptions
from tests.docs.markdown import ROOT, blocks
from tests.durability.process import GatewayProcess
from tools.generate import python_tools, run
from tools.maven import run_example

pytestmark = pytest.mark.timeout(600)
COMMANDS = [command for block in blocks("docs/sixth-language.md") for command in block.commands]


@pytest.mark.toolchain("mvn")
@pytest.mark.timeout(1200)  # without a cache, Maven downloads Kotlin's compiler first
async def test_the_kotlin_project_generates_its_stubs_and_watches_a_generation(tmp_path: Path) -> None:
    folder, arguments = COMMANDS[0].removeprefix("cd ").split(" && mvn ")
    async with (
        Sandbox(SandboxOptions(port=0, time_scale=20)) as sandbox,
        GatewayProcess(tmp_path, sandbox.url) as gateway,
    ):
        environment = {"HFGATEWAY_ADDRESS": gateway.address, "HFGATEWAY_API_KEY": ""}
        printed = await asyncio.to_thread(run_example, ROOT / folder, *arguments.split(), env=environment)
        (charge,) = sandbox.ledger.charges
    states = re.findall(r"GENERATION_STATE_(\w+)", printed)
    assert states[-1] == "COMPLETED"
    assert len(states) == len(set(states)) > 1
    assert charge.request_id in printed  # a part of the output's URL


@pytest.mark.toolchain("protoc")
@pytest.mark.toolchain("grpc_ruby_plugin")
def test_buf_generates_stubs_for_other_languages(tmp_path: Path) -> None:
    buf, generate = COMMANDS[1].split()
    run(python_tools() / buf, generate, "--output", tmp_path, env={"BUF_CACHE_DIR": str(tmp_path / "cache")})
    stubs = tmp_path / "build" / "stubs"
    for file, content in {
        "csharp/Hfgateway/V1/GenerationService.cs": "class SubmitGenerationRequest",
        "php/Hfgateway/V1/GenerationServiceClient.php": "function SubmitGeneration(",
        "ruby/hfgateway/v1/generation_service_services_pb.rb": "rpc :SubmitGeneration,",
    }.items():
        assert content in (stubs / file).read_text()


def test_the_versions_of_the_kotlin_project_are_those_of_the_java_client() -> None:
    pinned = ("grpc", "protobuf", "protoc")
    java, kotlin = ((ROOT / folder / "pom.xml").read_text() for folder in ("clients/java", "examples/kotlin"))
    for name in pinned:
        (line,) = (line.strip() for line in java.splitlines() if f"<{name}.version>" in line)
        assert line in kotlin
