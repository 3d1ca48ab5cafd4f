"""docs/sixth-language.md: its Kotlin project runs, and buf.gen.yaml generates stubs from a clone."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from gateway.sandbox.server import Sandbox, SandboxOptions
from hfgateway.v1.generation_pb2 import Generation, GenerationState
from hfgateway.v1.generation_service_pb2 import SubmitGenerationRequest, SubmitGenerationResponse
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


@pytest.mark.toolchain("mvn")
@pytest.mark.timeout(1200)
async def test_the_kotlin_project_repeats_a_submission_with_the_same_key() -> None:
    lost = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "CANCELLED")
    failures = [(grpc.StatusCode[code], "") for code in lost]
    failures.append((grpc.StatusCode.RESOURCE_EXHAUSTED, "GATEWAY_OVERLOADED"))
    keys = []

    async def submit(
        request: SubmitGenerationRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> SubmitGenerationResponse:
        keys.append(request.idempotency_key)
        if failures:
            code, reason = failures.pop(0)
            status = Status(code=code.value[0], message="refused")
            status.details.add().Pack(ErrorInfo(reason=reason, domain="hfgateway"))
            details = (("grpc-status-details-bin", status.SerializeToString()),)
            await context.abort(code, "refused", details if reason else ())
        ended = Generation(id="g1", state=GenerationState.GENERATION_STATE_COMPLETED, done=True)
        return SubmitGenerationResponse(generation=ended)

    handler = grpc.unary_unary_rpc_method_handler(
        submit, SubmitGenerationRequest.FromString, SubmitGenerationResponse.SerializeToString
    )
    server = grpc.aio.server()
    methods = {"SubmitGeneration": handler}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("hfgateway.v1.GenerationService", methods),))
    environment = {"HFGATEWAY_ADDRESS": f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}", "HFGATEWAY_API_KEY": ""}
    folder, arguments = COMMANDS[0].removeprefix("cd ").split(" && mvn ")
    await server.start()
    try:
        printed = await asyncio.to_thread(run_example, ROOT / folder, *arguments.split(), env=environment)
    finally:
        await server.stop(None)
    assert not failures
    assert len(keys) == 7
    (key,) = set(keys)
    assert printed.index(key) < printed.index("COMPLETED")


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
