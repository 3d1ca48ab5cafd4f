"""The audit log of a gateway: who did what, without prompts and secrets, exported and verified by the commands."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from gateway.access.scopes import Scope
from gateway.audit import Entry
from gateway.cli import exit_codes
from gateway.rpc.handlers import admin as rpc_admin
from hfgateway.admin.v1 import admin_service_pb2 as admin_pb
from hfgateway.admin.v1.admin_service_pb2_grpc import AdminServiceStub
from hfgateway.v1 import generation_service_pb2 as pb
from tests.admin.conftest import submit_and_lose
from tests.app.command import Finished, environment
from tests.app.command import run as run_command
from tests.support.operator import ask, command
from tests.support.running import WAIT_TIMEOUT, Running, collected, name_of, run, soul
from tests.support.timeline import run_timed
from tests.support.transports import RpcFailure

TERMS = {"AUTH": "keys", "AUDIT": "on", "ADMIN_ADDRESS": "127.0.0.1:0", "UPSTREAM_IDEMPOTENCY": "off"}


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with run(tmp_path, **TERMS) as started:
        yield started


async def offline(folder: Path, *arguments: str) -> Finished:
    return await run_command("audit", "verify", *arguments, environment=environment(folder, {}))


async def test_an_export_ends_when_its_key_is_revoked(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_admin, "ENTRIES_PER_BATCH", 2)
    store, revoked = running.gateway._core.store.audit, asyncio.Event()
    for _ in range(4):
        await store.record("gateway.start", {})
    key, secret = await running.gateway.access.create_key("operators", "", [Scope.ADMIN])
    read = store.audit_entries

    async def read_the_rest_after_the_revocation(first: int, count: int) -> Sequence[Entry]:
        if first > 1:
            await revoked.wait()
        return await read(first, count)

    monkeypatch.setattr(store, "audit_entries", read_the_rest_after_the_revocation)
    async with grpc.aio.insecure_channel(running.gateway.admin_address) as channel:
        stub = AdminServiceStub(channel)
        exported = stub.ExportAudit(admin_pb.ExportAuditRequest(), metadata=[("authorization", f"Bearer {secret}")])
        assert (await anext(aiter(exported))).sequence == 1
        await running.gateway.access.revoke_key(key.id)
        revoked.set()
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await collected(exported)
    assert ended.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_acts_have_entries_with_their_actors(running: Running, tmp_path: Path) -> None:
    secret = (await command(running, "keys", "create", "--tenant", "red", "--name", "shop")).out.strip()
    key_id = secret.split("_")[1]
    shop = running.caller("grpc", secret)
    fox = (await shop.call("SubmitGeneration", soul("a secret fox"))).generation
    assert (await shop.call("SubmitGeneration", soul("a secret fox"))).replayed
    await shop.call("CancelGeneration", pb.CancelGenerationRequest(id=fox.id))
    await shop.call("DeleteGeneration", pb.DeleteGenerationRequest(id=fox.id))
    _, admin = await running.gateway.access.create_key("operators", "", [Scope.ADMIN])
    variables = {"HFGATEWAY_ADMIN_SERVER": running.gateway.admin_address, "HFGATEWAY_API_KEY": admin}
    remote = environment(tmp_path, variables)
    assert (await run_command("limits", "set", "--tenant", "red", "--in-flight", "3", environment=remote)).code == 0
    assert (await run_command("keys", "revoke", key_id, environment=remote)).code == 0

    exported = await run_command("audit", "export", environment=remote)
    lines = exported.out.splitlines()
    found = [json.loads(line)["entry"] for line in lines]
    admin_id = admin.split("_")[1]
    assert [(entry["act"], entry["actor"], entry.get("id")) for entry in found] == [
        ("gateway.start", "gateway", None),
        ("key.create", "operator", key_id),
        ("generation.submit", f"key:{key_id}", fox.id),
        ("generation.cancel", f"key:{key_id}", fox.id),
        ("generation.delete", f"key:{key_id}", fox.id),
        ("key.create", "gateway", admin_id),
        ("limits.set", f"key:{admin_id}", "tenant"),
        ("key.revoke", f"key:{admin_id}", key_id),
    ]
    assert {entry.get("tenant") for entry in found[2:5]} == {"red"}
    assert not any(text in exported.out for text in ("secret fox", secret, admin))
    assert (await command(running, "audit", "export")).out == exported.out

    since = found[4]["time"]
    part = await command(running, "audit", "export", "--since", since)
    assert part.out.splitlines() == lines[4:]
    assert (await command(running, "audit", "export", "--after", "6")).out.splitlines() == lines[6:]
    assert (await command(running, "audit", "export", "--after", "8")).out == ""


async def test_an_empty_log_is_explained_on_standard_error(tmp_path: Path) -> None:
    empty = "The log has no entries: HFGATEWAY_AUDIT is off, or the start is not stored yet\n"
    for audit, said in (("off", empty), ("on", "")):
        folder = tmp_path / audit
        folder.mkdir()
        async with run(folder, AUDIT=audit) as running:
            await ask(running, "CreateApiKey", admin_pb.CreateApiKeyRequest(tenant="red"))
            for arguments in (("head",), ("export",), ("export", "--after", "99")):
                done = await command(running, "audit", *arguments)
                assert (done.code, done.err) == (0, said), arguments


async def test_a_missing_store_is_not_verified(tmp_path: Path) -> None:
    refused = await offline(tmp_path, "--offline")
    assert (refused.code, refused.err) == (
        exit_codes.REFUSED,
        f"error: {tmp_path / 'store.db'}: there is no store\n",
    )


@pytest.mark.parametrize("content", ["", "no store"])
async def test_a_file_in_place_of_the_store_is_not_verified(tmp_path: Path, content: str) -> None:
    (tmp_path / "store.db").write_text(content)
    refused = await offline(tmp_path, "--offline")
    assert (refused.code, refused.out) == (exit_codes.REFUSED, "")
    assert "cannot be read as a store" in refused.err


async def test_an_export_and_a_store_are_verified_without_the_gateway(running: Running, tmp_path: Path) -> None:
    await ask(running, "CreateApiKey", admin_pb.CreateApiKeyRequest(tenant="red"))
    noted = (await command(running, "audit", "head")).out.strip()
    await ask(running, "CreateApiKey", admin_pb.CreateApiKeyRequest(tenant="blue"))
    export = tmp_path / "audit.jsonl"
    export.write_text((await command(running, "audit", "export")).out)
    head = (await command(running, "audit", "head")).out.strip()
    store = str(running.store_path)
    for arguments in ((str(export),), (store,)):
        done = await offline(tmp_path, *arguments, "--head", noted, "--head", head)
        assert done.code == 0, done.err
        assert done.out == f"{arguments[0]}: entries 1 to 3 are unchanged\n{head}\n"
    whole = export.read_text()
    export.write_text(whole.replace('"tenant":"red"', '"tenant":"blue"', 1))
    broken = await offline(tmp_path, str(export))
    assert (broken.code, broken.out) == (exit_codes.NOT_COMPLETED, "")
    assert broken.err == f"error: {export}: entry 2: was changed: it does not have its hash\n"
    export.write_text(whole.replace('"tenant":"red"', '"tenant":"r\u00e9d"', 1))
    broken = await offline(tmp_path, str(export))
    assert (broken.code, broken.out) == (exit_codes.NOT_COMPLETED, "")
    assert broken.err == f"error: {export}: entry 2: its line was changed or reformatted\n"
    export.write_text("".join(whole.splitlines(keepends=True)[:2]))
    assert (await offline(tmp_path, str(export))).code == 0  # only the noted head shows that the end is missing
    assert "the log ends before it" in (await offline(tmp_path, str(export), "--head", head)).err
    part = (await command(running, "audit", "export", "--after", "1")).out
    export.write_text(part)
    for heads in ((), ("--head", noted)):  # that of entry 2 shows nothing about entry 1
        assert "The entries before 2 are not in it" in (await offline(tmp_path, str(export), *heads)).err
    export.write_text((await command(running, "audit", "export", "--after", "2")).out)
    assert (await offline(tmp_path, str(export), "--head", noted)).err == ""

    await running.stop_gateway()
    variables = {"HFGATEWAY_STORE_URL": f"sqlite:///{store}"}
    done = await run_command("audit", "verify", "--offline", environment=environment(tmp_path, variables))
    assert (done.code, done.out.splitlines()[-1]) == (0, head)
    # Its settings do not say that the audit is on.
    create = ("keys", "create", "--offline", "--tenant", "red")
    assert (await run_command(*create, environment=environment(tmp_path, variables))).code == 0
    done = await run_command("audit", "verify", "--offline", environment=environment(tmp_path, variables))
    assert done.out.splitlines()[-1] != head
    for wrong in ((), (store, "--offline"), (store, "--head", "7")):
        assert (await offline(tmp_path, *wrong)).code == exit_codes.USAGE


async def test_a_text_in_a_store_that_is_not_utf_8_is_a_change(running: Running, tmp_path: Path) -> None:
    await running.stop_gateway()
    with closing(sqlite3.connect(running.store_path, isolation_level=None)) as connection:
        connection.execute("UPDATE audit SET text = CAST(X'ff' AS TEXT) WHERE sequence = 1")
    broken = await offline(tmp_path, str(running.store_path))
    assert (broken.code, broken.out) == (exit_codes.NOT_COMPLETED, "")
    assert broken.err == f"error: {running.store_path}: entry 1: was changed: it does not have its hash\n"


@pytest.mark.parametrize("number", [0, -1, -(1 << 62)])
async def test_an_entry_inserted_before_the_first_one_is_found(running: Running, tmp_path: Path, number: int) -> None:
    await running.stop_gateway()
    with closing(sqlite3.connect(running.store_path, isolation_level=None)) as connection:
        connection.execute("INSERT INTO audit (sequence, text, hash) VALUES (?, '{}', zeroblob(32))", (number,))
    broken = await offline(tmp_path, str(running.store_path))
    assert (broken.code, broken.out) == (exit_codes.NOT_COMPLETED, "")
    assert broken.err == f"error: {running.store_path}: entry {number}: no entry has this number\n"


async def test_inputs_are_kept_if_that_is_wanted(tmp_path: Path) -> None:
    async with run(tmp_path, AUDIT="inputs") as running:
        fox = await running.submit(soul("a fox"))
        (_, entry) = await exported(running)
        assert (entry["id"], entry["details"]["input"]) == (fox.id, {"soul": {"prompt": "a fox"}})
        assert len(entry["details"]["input_sha256"]) == 64


async def test_a_resolution_and_an_adoption_have_entries(tmp_path: Path) -> None:
    async with run(tmp_path, AUDIT="on", UPSTREAM_IDEMPOTENCY="off") as running:
        first = await submit_and_lose(running, "a fox")
        assert (await command(running, "resolve", first.id, "--lost")).code == 0
        request_id = running.ledger.charges[0].request_id
        resolved = await command(running, "resolve", first.id, "--as-request", request_id)
        assert resolved.code == 0, resolved.err
        acts = [(entry["act"], entry["actor"]) for entry in await exported(running)]
        assert acts == [
            ("gateway.start", "gateway"), ("generation.submit", "anonymous"), ("generation.resolve", "operator"),
            ("generation.resolve", "operator"),
        ]  # fmt: skip


async def test_a_cancellation_is_the_act_of_its_caller_whatever_reports_it(tmp_path: Path) -> None:
    async with run(tmp_path, AUDIT="on", AUTH="keys") as running:
        secret = await running.key("red")
        shop = running.caller("grpc", secret)
        fox = (await shop.call("SubmitGeneration", soul("a fox"))).generation
        # The call after the cancellation. The other two are for polls that come before it.
        running.plan(on="status", kind="500", times=3, headers={"Retry-After": "0"})
        with pytest.raises(RpcFailure):
            await shop.call("CancelGeneration", pb.CancelGenerationRequest(id=fox.id))
        async with asyncio.timeout(WAIT_TIMEOUT):
            await shop.call("WaitGeneration", pb.WaitGenerationRequest(id=fox.id))
        actor = f"key:{secret.split('_')[1]}"
        acts = [(entry["act"], entry["actor"]) for entry in await exported(running)]
        assert acts[2:] == [("generation.submit", actor), ("generation.cancel", actor)]


async def test_a_resolution_is_the_act_of_its_operator_also_after_a_caller_asked_to_cancel(tmp_path: Path) -> None:
    async with run_timed(tmp_path, queue_seconds=864_000.0, AUDIT="on", POLL_MAX="3600") as running:
        fox = await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_ACCEPTED))
        running.plan(on="cancel", status=400, body={"detail": "Request cannot be canceled"})
        running.plan(on="status", times=10**9, patch={"status": "expired"})
        with pytest.raises(RpcFailure):
            await running.grpc.call("CancelGeneration", pb.CancelGenerationRequest(id=fox.id))
        await running.advance(90_000.0, step=600.0)
        resolved = await command(running, "resolve", fox.id, "--lost")
        assert resolved.code == 0, resolved.err
        last = (await exported(running))[-1]
        assert (last["act"], last["actor"]) == ("generation.resolve", "operator")


async def test_a_cancellation_at_the_start_timeout_is_not_the_act_of_a_caller_that_was_refused(tmp_path: Path) -> None:
    async with run_timed(tmp_path, queue_seconds=600.0, AUDIT="on", POLL_MIN="30", POLL_MAX="30") as running:
        fox = await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_ACCEPTED, start_timeout={"seconds": 60}))
        running.plan(on="cancel", kind="429")
        with pytest.raises(RpcFailure):
            await running.grpc.call("CancelGeneration", pb.CancelGenerationRequest(id=fox.id))
        await running.advance(120.0)
        assert name_of(await running.get(fox.id)) == "CANCELED"
        acts = [entry["act"] for entry in await exported(running)]
        assert acts == ["gateway.start", "generation.submit"]


async def test_a_cancellation_at_the_start_timeout_is_not_the_act_of_a_reader(tmp_path: Path) -> None:
    async with run_timed(tmp_path, queue_seconds=600.0, AUDIT="on", POLL_MIN="30", POLL_MAX="30") as running:
        running.plan(on="cancel", kind="500")
        fox = await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED, start_timeout={"seconds": 2}))
        await running.advance(5.0)
        assert name_of(await running.get(fox.id)) == "CANCELED"  # this call caused the poll that cancels again
        entries = await running.gateway._core.store.audit.audit_entries(1, 10)
        acts = [json.loads(entry.text)["act"] for entry in entries]
        assert acts == ["gateway.start", "generation.submit"]


async def exported(running: Running) -> list[dict[str, Any]]:
    lines = (await command(running, "audit", "export")).out.splitlines()
    return [json.loads(line)["entry"] for line in lines]


async def test_a_restore_has_an_entry_and_a_noted_head_shows_what_it_lost(running: Running, tmp_path: Path) -> None:
    await ask(running, "CreateApiKey", admin_pb.CreateApiKeyRequest(tenant="red"))
    backup = tmp_path / "backup.db"
    kept = (await command(running, "audit", "head")).out.strip()
    assert (await command(running, "backup", str(backup))).code == 0
    await ask(running, "CreateApiKey", admin_pb.CreateApiKeyRequest(tenant="blue"))
    lost = (await command(running, "audit", "head")).out.strip()
    variables = {"HFGATEWAY_STORE_URL": f"sqlite:///{backup}"}
    assert (await run_command("migrate", "--restored", environment=environment(tmp_path, variables))).code == 0
    assert (await offline(tmp_path, str(backup), "--head", kept)).code == 0
    broken = await offline(tmp_path, str(backup), "--head", kept, "--head", lost)
    assert broken.code == exit_codes.NOT_COMPLETED
    assert "entry 3: is not the one whose hash was noted" in broken.err


async def test_nothing_is_logged_by_default(tmp_path: Path) -> None:
    async with run(tmp_path) as running:
        await running.submit(soul("a fox"))
        await ask(running, "CreateApiKey", admin_pb.CreateApiKeyRequest(tenant="red"))
        assert await exported(running) == []
        assert (await command(running, "audit", "head")).out == f"0:{'0' * 64}\n"
        done = await offline(tmp_path, str(running.store_path))
        assert (done.code, done.out) == (0, f"{running.store_path}: no entries\n")
