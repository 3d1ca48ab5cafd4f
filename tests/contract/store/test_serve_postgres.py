"""`hfgateway serve` and the operator's commands on PostgreSQL, as processes on a real server."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.cli import exit_codes
from gateway.process.app import EXIT_STORE_BROKEN
from gateway.sandbox.server import Sandbox, SandboxOptions
from hfgateway.v1 import generation_service_pb2 as pb
from tests.app.command import Finished, environment, run
from tests.durability.process import GatewayProcess, stub

if TYPE_CHECKING:
    from tests.support.postgres import Server

pytestmark = pytest.mark.toolchain("postgres")
PASSWORD = "swordfish"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxOptions(port=0, queue_seconds=0.05, image_seconds=0.05)) as sandbox:
        yield sandbox


@pytest.fixture
def url(postgres: Server, emptied: str) -> str:
    """Return the URL of an empty store, with a password that the server does not ask for."""
    return emptied.replace("//gateway@", f"//gateway:{PASSWORD}@") + "?sslmode=prefer"


@pytest.fixture
def gateway(
    tmp_path: Path, sandbox: Sandbox, url: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], GatewayProcess]:
    """Return a function that makes a gateway on the store."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))  # where the commands find its socket
    return lambda: GatewayProcess(tmp_path, sandbox.url, store_url=url, store_connections="4")


async def completed(gateway: GatewayProcess, key: str) -> pb.WaitGenerationResponse:
    """Submit a generation, and return it when it has completed."""
    request = pb.SubmitGenerationRequest(idempotency_key=key)
    request.input.soul.prompt = f"a fox {key}"
    async with gateway.channel() as channel:
        made = (await stub(channel).SubmitGeneration(request, timeout=60)).generation
        answer = await stub(channel).WaitGeneration(pb.WaitGenerationRequest(id=made.id, timeout={"seconds": 60}))
    assert answer.generation.outputs
    return answer


async def state(gateway: GatewayProcess, generation_id: str) -> int:
    async with gateway.channel() as channel:
        answer = await stub(channel).GetGeneration(pb.GetGenerationRequest(id=generation_id), timeout=60)
    return int(answer.generation.state)


async def test_a_paused_gateway_is_replaced_and_ends_when_it_wakes_up(
    gateway: Callable[[], GatewayProcess], sandbox: Sandbox
) -> None:
    async with gateway() as first:
        done = (await completed(first, "one")).generation
        os.kill(first.pid, signal.SIGSTOP)
        async with gateway() as second:
            assert await state(second, done.id) == done.state
            os.kill(first.pid, signal.SIGCONT)
            assert await first.ended() == EXIT_STORE_BROKEN
            await completed(second, "two")
            assert await second.terminate() == 0
        assert PASSWORD not in await first.errors()
    assert sandbox.ledger.summary()["charge_count"] == 2


async def test_the_operators_commands_on_postgresql(
    gateway: Callable[[], GatewayProcess], url: str, tmp_path: Path
) -> None:
    async def hfgateway(*arguments: str) -> Finished:
        variables = {"HFGATEWAY_STORE_URL": url, "XDG_DATA_HOME": str(tmp_path), "HF_KEY": "a:b"}
        finished = await run(*arguments, environment=environment(tmp_path, variables))
        assert PASSWORD not in finished.out + finished.err
        return finished

    assert (await hfgateway("keys", "create", "--tenant", "red")).code == exit_codes.GATEWAY_UNAVAILABLE
    made = await hfgateway("keys", "create", "--tenant", "red", "--offline")
    assert made.code == 0, made.err
    async with gateway() as running:
        listed = await hfgateway("keys", "list")
        assert (listed.code, listed.out.split("\t")[1]) == (0, "red")
        assert listed.err.startswith("store: postgresql://gateway@127.0.0.1:")
        assert (await hfgateway("migrate")).code == exit_codes.REFUSED
        assert "its last gateway was" in (await hfgateway("doctor", "--json")).out
        assert await running.terminate() == 0
    assert "up to date" in (await hfgateway("migrate")).out
    assert "No generation is held" in (await hfgateway("migrate", "--restored")).out
    backup = await hfgateway("backup", str(tmp_path / "copy"))
    assert (backup.code, "pg_dump" in backup.err) == (exit_codes.USAGE, True)


async def test_only_the_creation_of_a_key_creates_a_store(postgres: Server, tmp_path: Path) -> None:
    with postgres.database() as fresh:
        variables = {"HFGATEWAY_STORE_URL": postgres.url(fresh), "XDG_DATA_HOME": str(tmp_path), "HF_KEY": "a:b"}
        for arguments in (("list",), ("rotate", "0" * 12), ("revoke", "0" * 12)):
            ended = await run("keys", *arguments, "--offline", environment=environment(tmp_path, variables))
            assert (ended.code, ": there is no store; " in ended.err) == (exit_codes.USAGE, True), ended
        doctor = await run("doctor", "--json", environment=environment(tmp_path, variables))
        assert "will get its schema at the first start" in doctor.out


@pytest.mark.parametrize(("max_length", "shown"), [("-1", True), ("0", False)])
async def test_the_log_of_the_server_can_omit_the_values_of_statements(
    gateway: Callable[[], GatewayProcess], postgres: Server, max_length: str, *, shown: bool
) -> None:
    secret = f"logged-with-length-{max_length}"
    role = "ALTER ROLE gateway SET"
    postgres.execute(f"{role} log_statement = 'all'", f"{role} log_parameter_max_length = {max_length}")
    try:
        async with gateway() as serving:
            await completed(serving, secret)
    finally:
        postgres.execute("ALTER ROLE gateway RESET ALL")
    log = postgres.log()
    assert "api_keys" in log, "statements are logged"
    assert (secret in log) is shown
