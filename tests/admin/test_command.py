"""`hfgateway resolve` as a process: its output and its exit codes."""

from __future__ import annotations

import fcntl
import uuid
from pathlib import Path

import pytest

from gateway.cli import exit_codes
from gateway.process.private_sockets import admin_pointer
from tests.admin.conftest import Start, submit_and_lose
from tests.app.command import Finished, environment, run
from tests.durability.process import GatewayProcess
from tests.support.addresses import free_address
from tests.support.running import Running, name_of
from tests.support.webhooks import request_of


async def hfgateway(running: Running, *arguments: str) -> Finished:
    variables = {"HFGATEWAY_STORE_URL": f"sqlite:///{running.store_path}"}
    return await run("resolve", *arguments, environment=environment(running.store_path.parent, variables))


async def test_each_resolution_prints_the_new_state(running: Running) -> None:
    bound, given_up, again = [await submit_and_lose(running, prompt) for prompt in ("a fox", "an owl", "a hare")]
    request_id = request_of(running, "a fox")
    done = await hfgateway(running, bound.id, "--as-request", request_id)
    assert (done.code, done.out, done.err) == (0, f"{bound.id} QUEUED {request_id}\n", "")
    done = await hfgateway(running, given_up.id, "--lost")
    assert (done.code, done.out) == (0, f"{given_up.id} LOST\n")
    done = await hfgateway(running, again.id, "--resubmit", "--may-charge-twice")
    assert (done.code, done.out) == (0, f"{again.id} UNCERTAIN\n")
    await running.until(again.id, "QUEUED")


async def test_a_safe_resubmission_needs_no_further_flag(start: Start) -> None:
    running = await start(UPSTREAM_IDEMPOTENCY="v2")
    next(iter(running.gateway._core._tasks)).cancel()  # the follower, which would repeat it too
    uncertain = await submit_and_lose(running, "a fox")
    done = await hfgateway(running, uncertain.id, "--resubmit")
    assert (done.code, done.out, done.err) == (0, f"{uncertain.id} UNCERTAIN\n", "")
    await running.until(uncertain.id, "QUEUED")
    assert len(running.ledger.charges) == 1


async def test_a_refusal_is_one_line_and_an_exit_code(running: Running) -> None:
    uncertain = await submit_and_lose(running, "a fox")
    for arguments in (
        ("unknown", "--lost"), (uncertain.id, "--resubmit"), (uncertain.id, "--as-request", str(uuid.uuid4())),
    ):  # fmt: skip
        refused = await hfgateway(running, *arguments)
        assert (refused.code, refused.out) == (exit_codes.REFUSED, "")
        assert refused.err.startswith("error: ")
        assert "may_charge_twice" not in refused.err
        assert refused.err.count("\n") == 1
    assert name_of(await running.get(uncertain.id)) == "UNCERTAIN"


async def test_an_outage_of_higgsfield_has_its_own_exit_code(running: Running) -> None:
    uncertain = await submit_and_lose(running, "a fox")
    running.plan(on="status", kind="503")
    away = await hfgateway(running, uncertain.id, "--as-request", request_of(running, "a fox"))
    assert (away.code, away.out) == (exit_codes.UPSTREAM_UNAVAILABLE, "")


async def test_several_generations_are_resolved_up_to_the_first_refusal(running: Running) -> None:
    first, second, third = [(await submit_and_lose(running, prompt)).id for prompt in ("a fox", "an owl", "a hare")]
    stopped = await hfgateway(running, first, second, "unknown", third, "--lost")
    assert (stopped.code, stopped.out) == (exit_codes.REFUSED, f"{first} LOST\n{second} LOST\n")
    assert stopped.err.count("\n") == 1
    assert name_of(await running.get(third)) == "UNCERTAIN"
    wrong = await hfgateway(running, first, third, "--as-request", request_of(running, "a fox"))
    assert (wrong.code, wrong.out) == (exit_codes.USAGE, "")


@pytest.mark.parametrize(
    "arguments",
    [[], ["--lost", "--resubmit"], ["--as-request", "x", "--lost"], ["--lost", "--may-charge-twice"]],
    ids=" ".join,
)
async def test_exactly_one_resolution_is_required(tmp_path: Path, arguments: list[str]) -> None:
    wrong = await run("resolve", "id", *arguments, environment=environment(tmp_path, {}))
    assert (wrong.code, wrong.out) == (exit_codes.USAGE, "")
    assert "one of --as-request, --lost and --resubmit" in wrong.err


async def test_an_invalid_setting_is_named(tmp_path: Path) -> None:
    wrong = await run("resolve", "id", "--lost", environment=environment(tmp_path, {"HFGATEWAY_STORE_URL": "nowhere"}))
    assert wrong.code == exit_codes.USAGE
    assert "HFGATEWAY_STORE_URL" in wrong.err


async def test_without_a_running_gateway_the_command_says_so(tmp_path: Path) -> None:
    away = await run("resolve", "id", "--lost", environment=environment(tmp_path, {}))
    assert (away.code, away.out) == (exit_codes.GATEWAY_UNAVAILABLE, "")
    assert away.err == f"error: no gateway runs on {tmp_path / 'store.db'}\n"


@pytest.mark.parametrize("command", [("resolve", "id", "--lost"), ("keys", "list")])
async def test_a_gateway_of_a_database_may_run_elsewhere(tmp_path: Path, command: tuple[str, ...]) -> None:
    """The file with the address of its socket belongs to the user of the gateway."""
    given = {"HFGATEWAY_STORE_URL": "postgresql://gateway@db.example.invalid/gateway", "XDG_DATA_HOME": str(tmp_path)}
    away = await run(*command, environment=environment(tmp_path, given))
    assert (away.code, away.out) == (exit_codes.GATEWAY_UNAVAILABLE, "")
    assert away.err.startswith("error: no gateway of this user, on this machine, runs on ")


@pytest.mark.parametrize(("address", "cause"), [("127.0.0.1:1", "Connection refused"), ("here", "the address must be")])
async def test_an_address_without_a_gateway_is_named(tmp_path: Path, address: str, cause: str) -> None:
    away = await run("keys", "list", "--admin-server", address, environment=environment(tmp_path, {}))
    assert (away.code, away.out) == (exit_codes.GATEWAY_UNAVAILABLE, "")
    assert away.err.startswith(f"error: no gateway answers at {address}: {cause}")


async def test_the_socket_of_a_killed_gateway_counts_as_no_gateway(tmp_path: Path) -> None:
    admin_pointer(tmp_path / "store.db").write_text(f"unix:{tmp_path / 'gone'}")
    away = await run("resolve", "id", "--lost", environment=environment(tmp_path, {}))
    assert (away.code, away.out) == (exit_codes.GATEWAY_UNAVAILABLE, "")
    assert "Traceback" not in away.err


async def test_a_gateway_that_does_not_serve_its_socket_yet_has_changed_nothing(tmp_path: Path) -> None:
    """During its start after it was killed, the file still has the address of the earlier socket."""
    admin_pointer(tmp_path / "store.db").write_text(f"unix:{tmp_path / 'gone'}")
    with (tmp_path / "store.db.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        away = await run("keys", "create", "--tenant", "a", environment=environment(tmp_path, {}))
    assert (away.code, away.out) == (exit_codes.GATEWAY_UNAVAILABLE, "")
    assert "error: the gateway does not answer, so nothing was changed; it may be starting or paused: " in away.err


async def test_a_gateway_that_is_killed_during_a_call_may_have_made_the_change(tmp_path: Path) -> None:
    """Otherwise an operator would create the key again, and leave a valid one behind."""
    async with GatewayProcess(tmp_path, "http://127.0.0.1:9", failpoint="after api key") as gateway:
        killed = await run("keys", "create", "--tenant", "a", environment=environment(tmp_path, {}))
        await gateway.ended()
    assert (killed.code, killed.out) == (exit_codes.GATEWAY_UNAVAILABLE, "")
    assert "the gateway ended before it responded, so a change may have been made: " in killed.err


async def test_so_may_a_gateway_at_an_address(tmp_path: Path) -> None:
    create = ("keys", "create", "--tenant", "a")
    key = await run(*create, "--scope", "admin", "--offline", environment=environment(tmp_path, {}))
    address = free_address()
    given = {"HFGATEWAY_ADMIN_SERVER": address, "HFGATEWAY_API_KEY": key.out.strip()}
    async with GatewayProcess(
        tmp_path, "http://127.0.0.1:9", failpoint="after api key", admin_address=address
    ) as gateway:
        killed = await run(*create, environment=environment(tmp_path, given))
        await gateway.ended()
    assert (killed.code, killed.out) == (exit_codes.GATEWAY_UNAVAILABLE, "")
    assert killed.err.endswith("; a change may have been made\n")
    away = await run(*create, environment=environment(tmp_path, given))
    assert away.err == f"error: no gateway answers at {address}: Connection refused\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("limits", "set", "--tenant", "a", "--in-flight", "9" * 20),
        ("limits", "set", "--tenant", "a", "--share", "9" * 11),
        ("accounts", "assign", "--tenant", "a", "--account", "films=" + "9" * 11),
        ("accounts", "assign", "--tenant", "a", "--account", "films="),
        ("accounts", "add", "films", "--file", "BINARY"),
        ("usage", "--until", "0001-01-01T00:00+14:00"),
        ("audit", "export", "--since", "0001-01-01T00:00+14:00"),
        ("audit", "export", "--since", "9999999d"),
    ],
    ids=" ".join,
)
async def test_a_value_out_of_range_is_a_usage_error(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    given = [str(binary) if one == "BINARY" else one for one in arguments]
    ended = await run(*given, environment=environment(tmp_path, {}))
    assert (ended.code, ended.out) == (exit_codes.USAGE, ""), ended
    assert "Traceback" not in ended.err
