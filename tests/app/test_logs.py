"""The log lines, metrics and readiness of a gateway process: what an operator sees of a generation."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox, SandboxOptions
from gateway.telemetry import MAX_LINES, announce
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.upload_service_pb2 import CreateUploadRequest
from hfgateway.v1.upload_service_pb2_grpc import UploadServiceStub
from tests.app.command import ROOT, environment, run
from tests.durability.process import GatewayProcess, stub
from tests.support.addresses import free_address
from tests.support.running import eventually, soul
from tests.support.running import run as running_gateway
from tests.support.transports import RpcFailure

PROMPT = "a lighthouse at dusk"
WAIT_TIMEOUT = 30.0


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxOptions(port=0, queue_seconds=0.2, image_seconds=0.2)) as sandbox:
        yield sandbox


async def lines_of(gateway: GatewayProcess) -> list[dict[str, Any]]:
    """Stop a gateway, and return its log. Fails if a line is not JSON."""
    await gateway.terminate()
    text = await gateway.errors()
    assert PROMPT not in text
    return [json.loads(line) for line in text.splitlines()]


async def test_a_generation_is_logged_with_its_caller_and_every_call(tmp_path: Path, sandbox: Sandbox) -> None:
    async with GatewayProcess(
        tmp_path, sandbox.url, auth="keys", log_level="info", public_url="http://127.0.0.1:1"
    ) as gateway:
        given = environment(tmp_path, {})
        made = await run("keys", "create", "--tenant", "shop", "--name", "order service", environment=given)
        secret = made.out.strip()
        async with gateway.channel() as channel:
            answer = await stub(channel).SubmitGeneration(
                soul(PROMPT, wait_for=pb.WAIT_FOR_DONE, wait_timeout={"seconds": 60}),
                metadata=(("authorization", f"Bearer {secret}"),), timeout=WAIT_TIMEOUT,
            )  # fmt: skip
        async with httpx.AsyncClient(trust_env=False) as client:
            metrics = (await client.get(f"{gateway.http_address}/metrics")).text
        lines = await lines_of(gateway)
        assert secret not in json.dumps(lines)

    generation = answer.generation
    stored, *changes = [line for line in lines if "before" in line or line["message"] == "generation stored"]
    assert "source" not in stored
    assert {line["source"] for line in changes} >= {"submit"}
    mine = [line for line in lines if line.get("generation_id") == generation.id]
    assert {line["level"] for line in mine} == {"info"}
    assert {(line["tenant"], line["model_id"]) for line in mine} == {("shop", "higgsfield-ai/soul/standard")}
    states = [line["state"] for line in mine if "state" in line]
    assert (states[0], states[-1], len(states)) == ("PENDING", "COMPLETED", len(set(states)))
    (posted,) = [line for line in mine if line.get("operation") == "submit"]
    (stored,) = [line for line in mine if line.get("state") == "PENDING"]
    for line in (posted, stored):
        assert line["key"] == "order service"
        assert line["peer"].startswith("ipv4:127.0.0.1:")
    assert posted["outcome"] == "200"
    assert posted["correlation_id"] == generation.upstream.correlation_id
    assert 0 < posted["seconds"] < 60
    polls = [line for line in mine if line.get("operation") == "status"]
    assert polls
    assert all("?" not in line["path"] for line in (posted, *polls))
    assert 'hfgateway_upstream_calls_total{operation="submit",outcome="200"} 1.0' in metrics
    assert 'hfgateway_upstream_seconds_count{operation="submit"} 1.0' in metrics
    assert "hfgateway_build_info{version=" in metrics
    assert "\nprocess_cpu_seconds_total " in metrics
    for name in ("ends_contradicted", "webhooks_counted", "callbacks_delivered", "catalog_attempts"):
        assert f"# TYPE hfgateway_{name}_total counter" in metrics


async def test_a_possible_charge_is_a_warning(tmp_path: Path, sandbox: Sandbox) -> None:
    settings = {"upstream_idempotency": "off", "uncertain_timeout": "1", "log_level": "warning"}
    async with GatewayProcess(tmp_path, sandbox.url, **settings) as gateway:
        async with gateway.channel() as channel:
            request = soul(f"{PROMPT} [lost]", wait_for=pb.WAIT_FOR_STORED)
            generation = (await stub(channel).SubmitGeneration(request, timeout=WAIT_TIMEOUT)).generation
            await stub(channel).WaitGeneration(
                pb.WaitGenerationRequest(id=generation.id, timeout={"seconds": 60}), timeout=WAIT_TIMEOUT
            )
        lines = await lines_of(gateway)
    warned = [(line["level"], line["state"]) for line in lines if line.get("generation_id") == generation.id]
    assert warned == [("warning", "UNCERTAIN"), ("warning", "LOST")]


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ({"kind": "html", "status": 403}, "other_server_403"),
        ({"status": 403, "body": {"message": "Forbidden"}}, "other_server_403"),
        ({"kind": "html", "status": 200}, "other_server_200"),
        ({"status": 302, "body": ""}, "other_server_302"),
        ({"kind": "html", "status": 502}, "502"),
        ({"status": 403, "body": {"detail": "not_enough_credits"}}, "403"),
    ],
)
async def test_a_response_of_another_server_is_counted_as_such(
    tmp_path: Path, fault: dict[str, Any], outcome: str
) -> None:
    """A firewall that refuses a submission must not look as if the account had no credits."""
    async with running_gateway(tmp_path) as running:
        running.plan(on="submit", processed=False, **fault)
        with contextlib.suppress(RpcFailure):
            await running.transports["grpc"].call("SubmitGeneration", soul(PROMPT))
        assert await running.metric(f'hfgateway_upstream_calls_total{{operation="submit",outcome="{outcome}"}}') == 1


async def test_refused_credentials_are_known_before_the_first_submission(tmp_path: Path, sandbox: Sandbox) -> None:
    async with GatewayProcess(tmp_path, sandbox.url, credentials="sandbox:swordfish") as gateway:
        async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(WAIT_TIMEOUT):
            while (answer := await client.get(f"{gateway.http_address}/readyz")).status_code == 200:
                await asyncio.sleep(0.01)
            metrics = (await client.get(f"{gateway.http_address}/metrics")).text
        lines = await lines_of(gateway)
    assert (answer.status_code, answer.text) == (503, "Higgsfield refuses the credentials\n")
    assert "hfgateway_upstream_credentials_refused 1.0" in metrics
    (refused,) = [line for line in lines if line["level"] == "error"]
    assert refused["message"] == "Higgsfield refuses the credentials; correct HF_KEY or rotate the account"
    assert "swordfish" not in json.dumps(lines)


async def test_credentials_that_were_accepted_before_leave_the_gateway_ready(tmp_path: Path, sandbox: Sandbox) -> None:
    """Watches, and webhooks of what runs, must still reach it."""
    async with GatewayProcess(tmp_path, sandbox.url) as gateway, gateway.channel() as channel:
        await stub(channel).SubmitGeneration(soul(PROMPT, wait_for=pb.WAIT_FOR_DONE), timeout=WAIT_TIMEOUT)
        sandbox.state.plan.add([Fault.parse({"on": "status", "kind": "401", "times": 1000})])
        await stub(channel).SubmitGeneration(soul("a fox", wait_for=pb.WAIT_FOR_ACCEPTED), timeout=WAIT_TIMEOUT)
        async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(WAIT_TIMEOUT):
            while (answer := await client.get(f"{gateway.http_address}/readyz")).text == "ready\n":
                await asyncio.sleep(0.01)
    assert (answer.status_code, answer.text) == (200, "ready, but Higgsfield refuses the credentials\n")


async def test_credentials_that_are_refused_by_some_calls_only_cause_few_lines(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    async with GatewayProcess(tmp_path, sandbox.url) as gateway, gateway.channel() as channel:
        uploads, png = UploadServiceStub(channel), CreateUploadRequest(content_type="image/png")
        for _ in range(5 * MAX_LINES):
            sandbox.state.plan.add([Fault.parse({"on": "upload", "kind": "401"})])
            with pytest.raises(grpc.aio.AioRpcError):
                await uploads.CreateUpload(png, timeout=WAIT_TIMEOUT)
            await uploads.CreateUpload(png, timeout=WAIT_TIMEOUT)
        lines = await lines_of(gateway)
    assert 1 <= len([line for line in lines if line["level"] == "error"]) < 5 * MAX_LINES


def test_critical_lines_are_counted() -> None:
    program = (
        "import asyncio, logging\nfrom gateway.telemetry import Telemetry, set_up_logging\n"
        "set_up_logging('json', 'info')\nlog = logging.getLogger('gateway')\n"
        "async def main():\n    telemetry = Telemetry()\n    log.error('a')\n    log.critical('b')\n"
        "    log.critical('c')\n    print((await telemetry.exposition()).decode())\nasyncio.run(main())\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "\nhfgateway_critical_log_lines_total 2.0\n" in ended.stdout


def test_an_announced_line_is_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers share a file. Lines of others would appear between the parts of one that is written in two calls."""
    reading, writing = os.pipe2(os.O_DIRECT)  # each read returns what one call has written
    with open(reading, "rb", buffering=0) as reader, open(writing, "wb", buffering=0) as raw:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, write_through=True))  # as with PYTHONUNBUFFERED=1
        announce(logging.getLogger("gateway"), "hfgateway: ready")
        assert reader.read(1000) == b"hfgateway: ready\n"


def test_libraries_log_only_warnings_at_any_level() -> None:
    """At debug, some log the bodies that they send, with prompts."""
    program = (
        "import logging\nfrom gateway.telemetry import set_up_logging\nset_up_logging('json', 'debug')\n"
        "for name in ('gateway.process.app', 'sse_starlette.sse'):\n    logging.getLogger(name).debug('a fox')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert [json.loads(line)["logger"] for line in ended.stderr.splitlines()] == ["gateway.process.app"]


async def test_a_stalled_reader_of_the_log_stops_no_program_that_logs_errors() -> None:
    program = (
        "import logging\nfrom gateway.telemetry import set_up_logging\nset_up_logging('json', 'info')\n"
        "log = logging.getLogger('gateway')\n"
        "for size in (300, 20_000, 300):\n    for number in range(20):\n        log.error('x' * size)\n"
        "print('dropped', flush=True)\ninput()\nlog.error('end')\n"
    )
    reader, writer = os.pipe()
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 16_384)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=writer,
        cwd=ROOT,
    )  # fmt: skip
    os.close(writer)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(WAIT_TIMEOUT):
            assert await process.stdout.readline() == b"dropped\n"
            first = os.read(reader, 16_384)
            assert json.loads(first.splitlines()[0])["message"] == "x" * 300
            await process.communicate(b"\n")
        (cut_off, last) = os.read(reader, 16_384).splitlines()
        assert cut_off == b""
        assert (json.loads(last)["message"], json.loads(last)["dropped"] > 0) == ("end", True)
    finally:
        if process.returncode is None:
            process.kill()
        os.close(reader)


async def test_a_stalled_reader_of_the_log_does_not_stop_the_gateway(tmp_path: Path, sandbox: Sandbox) -> None:
    reader, writer = os.pipe()
    given = environment(tmp_path, {"HFGATEWAY_UPSTREAM_URL": sandbox.url})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "serve", env=given, stdout=asyncio.subprocess.PIPE, stderr=writer, cwd=ROOT
    )
    os.close(writer)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(WAIT_TIMEOUT):
            address = json.loads(await process.stdout.readline())["grpc"]
            fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)  # smaller than the lines of one generation
            async with grpc.aio.insecure_channel(address) as channel:
                for prompt in ("a fox", "an owl", "a hare"):
                    request = soul(prompt, wait_for=pb.WAIT_FOR_DONE)
                    answer = await stub(channel).SubmitGeneration(request, timeout=WAIT_TIMEOUT)
                    assert answer.generation.done
            process.terminate()
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
        os.close(reader)


async def test_a_gateway_whose_first_call_was_refused_becomes_ready_once_its_credentials_are_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets no traffic from a load balancer until then, so no other call would show it."""
    monkeypatch.setattr("gateway.process.app.CHECK_CREDENTIALS_INTERVAL", 0.05)
    async with running_gateway(tmp_path) as running, asyncio.timeout(WAIT_TIMEOUT):
        running.plan(on="time", kind="401", times=10_000)
        asking = asyncio.create_task(running.gateway.check_credentials())
        async with httpx.AsyncClient(trust_env=False) as client:
            readyz = f"{running.gateway.http_address}/readyz"
            while (await client.get(readyz)).status_code == 200:
                await asyncio.sleep(0.01)
            running.sandbox.state.plan.clear()
            while (await client.get(readyz)).status_code != 200:
                await asyncio.sleep(0.01)
        asking.cancel()


@pytest.mark.parametrize("lost", ["a closed pipe", "a full disk"])
async def test_a_gateway_serves_although_its_start_line_cannot_be_written(
    tmp_path: Path, sandbox: Sandbox, lost: str
) -> None:
    address = free_address()
    variables = {"HFGATEWAY_UPSTREAM_URL": sandbox.url, "HFGATEWAY_GRPC_ADDRESS": address, "PYTHONUNBUFFERED": ""}
    given = environment(tmp_path, variables)
    if lost == "a closed pipe":
        reader, writer = os.pipe()
        os.close(reader)
    else:
        writer = os.open("/dev/full", os.O_WRONLY)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "serve", env=given, stdout=writer, stderr=asyncio.subprocess.PIPE, cwd=ROOT
    )
    os.close(writer)
    try:
        assert process.stderr is not None
        async with asyncio.timeout(WAIT_TIMEOUT):
            line = json.loads(await process.stderr.readline())
            assert line["message"] == "a line cannot be written to standard output"
            async with grpc.aio.insecure_channel(address) as channel:
                answer = await stub(channel).SubmitGeneration(soul("a fox", wait_for=pb.WAIT_FOR_DONE))
                assert answer.generation.done
            process.terminate()
            _, rest = await process.communicate()
        assert b"Traceback" not in rest
        assert process.returncode == 0
    finally:
        if process.returncode is None:
            process.kill()


async def test_an_idle_gateway_notices_that_credentials_are_accepted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alert about the refusal must not stay until a caller happens to use them."""
    monkeypatch.setattr("gateway.process.app.CHECK_CREDENTIALS_INTERVAL", 0.05)
    async with running_gateway(tmp_path) as running, asyncio.timeout(WAIT_TIMEOUT):
        asking = asyncio.create_task(running.gateway.check_credentials())
        await eventually(lambda: running.gateway._core.upstream.default.credentials_were_accepted)
        running.plan(on="upload", kind="401")
        with pytest.raises(RpcFailure):
            await running.transports["grpc"].call("CreateUpload", CreateUploadRequest(content_type="image/png"))
        await running.metric_becomes("hfgateway_upstream_credentials_refused", 0)
        asking.cancel()
