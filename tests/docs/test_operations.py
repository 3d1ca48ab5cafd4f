"""Run the commands of docs/operations.md in order: backup, restore, resolve, move, upgrade."""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox, SandboxOptions
from gateway.store.sqlite import files
from hfgateway.v1 import generation_service_pb2 as pb
from tests.docs.markdown import SHELLS, blocks
from tests.docs.test_readme import Stage
from tests.durability.process import GatewayProcess, stub
from tests.support.running import name_of, soul

PAGE = "docs/operations.md"
BLOCKS = [block for block in blocks(PAGE) if block.language in SHELLS]
EXAMPLES = re.compile(r"hfgateway resolve (\S+) --as-request (\S+)\nhfgateway resolve (\S+) (\S+) --lost")


async def submit(gateway: GatewayProcess, prompt: str, wait_for: pb.WaitFor.ValueType) -> str:
    async with gateway.channel() as channel:
        answer = await stub(channel).SubmitGeneration(soul(prompt, wait_for=wait_for), timeout=30)
    return str(answer.generation.id)


async def state(gateway: GatewayProcess, generation_id: str) -> str:
    async with gateway.channel() as channel:
        return name_of((await stub(channel).GetGeneration(pb.GetGenerationRequest(id=generation_id))).generation)


@pytest.mark.skipif(shutil.which("sh") is None, reason="the page is for a shell")
async def test_the_page_works_from_backup_to_upgrade(tmp_path: Path) -> None:
    backup, restore, keys, resolve, move, upgrade = BLOCKS[:6]
    folder = tmp_path / "here"
    folder.mkdir()
    store = folder / "hfgateway.db"
    async with Sandbox(SandboxOptions(port=0, queue_seconds=0.05, image_seconds=0.05)) as sandbox:
        served = {"store_url": f"sqlite:///{store}", "upstream_idempotency": "off"}
        sandbox.state.plan.add([Fault.parse({"on": "submit", "kind": "500", "processed": True, "times": 3})])
        async with GatewayProcess(folder, sandbox.url, **served) as gateway:
            stage = Stage(sandbox, gateway, folder)
            prompts = ("a fox", "an owl", "a bear")
            found, *lost = [await submit(gateway, prompt, pb.WAIT_FOR_STORED) for prompt in prompts]
            await stage.run("sh", "-e", "-c", backup.text)
            late = await submit(gateway, "a hare", pb.WAIT_FOR_DONE)
            await gateway.kill()

        output = await stage.run("sh", "-e", "-c", restore.text)
        assert "3 generations are held" in output
        with closing(sqlite3.connect(folder / "hfgateway.db.damaged")) as damaged:
            assert damaged.execute("SELECT count(*) FROM generations WHERE id = ?", (late,)).fetchone() == (1,)

        async with GatewayProcess(folder, sandbox.url, **served) as gateway:
            stage = Stage(sandbox, gateway, folder)
            assert await stage.run("sh", "-e", "-c", keys.text) == ""
            shown = EXAMPLES.search(resolve.text)
            assert shown is not None
            charge = next(one for one in sandbox.ledger.charges if one.prompt == "a fox")
            text = resolve.text
            for example, real in zip(shown.groups(), (found, charge.request_id, *lost), strict=True):
                text = text.replace(example, real)
            await stage.run("sh", "-e", "-c", text)
            assert [await state(gateway, one) for one in lost] == ["LOST", "LOST"]
            assert await submit(gateway, "a fox", pb.WAIT_FOR_DONE) == found
            assert await state(gateway, found) == "COMPLETED"
            await gateway.kill()

        await stage.run("sh", "-e", "-c", move.text)
        stage = Stage(sandbox, gateway, folder / "moved")
        output = await stage.run("sh", "-e", "-c", upgrade.text)
        assert "schema" in output
        served["store_url"] = f"sqlite:///{folder / 'moved' / 'hfgateway.db'}"
        async with GatewayProcess(folder, sandbox.url, **served) as gateway:
            assert await state(gateway, found) == "COMPLETED"
    assert sandbox.ledger.double_charged_prompts == {}
    with closing(files.connect_examiner(folder / "moved" / "before-upgrade.db")) as copy:
        assert files.store_state(copy).backup


@pytest.mark.skipif(shutil.which("sh") is None, reason="the page is for a shell")
async def test_the_commands_for_trouble_work(tmp_path: Path) -> None:
    uncertain, leak = BLOCKS[6:]
    folder = tmp_path / "here"
    folder.mkdir()
    served = {"store_url": f"sqlite:///{folder / 'hfgateway.db'}", "upstream_idempotency": "off"}
    async with Sandbox(SandboxOptions(port=0)) as sandbox:
        sandbox.state.plan.add([Fault.parse({"on": "submit", "kind": "500", "processed": True})])
        async with GatewayProcess(folder, sandbox.url, **served) as gateway:
            stage = Stage(sandbox, gateway, folder)
            lost = await submit(gateway, "a fox", pb.WAIT_FOR_STORED)
            await until_uncertain(gateway, lost)
            example = re.findall(r"hfgateway explain (\S+)", uncertain.text)[0]
            output = await stage.run("sh", "-e", "-c", uncertain.text.replace(example, lost))
            assert "sent to Higgsfield, and the response was HTTP 500" in output

            key = await stage.run("hfgateway", "keys", "create", "--tenant", "shop")
            leaked = key.split("_")[1]
            example = re.findall(r"hfgateway keys revoke (\S+)", leak.text)[0]
            await stage.run("sh", "-e", "-c", leak.text.replace(example, leaked))
            listed = (await stage.run("hfgateway", "keys", "list")).splitlines()
            assert [line.split("\t")[3] for line in listed if line.startswith(leaked)] == ["revoked"]
            assert len(listed) == 2


async def until_uncertain(gateway: GatewayProcess, generation_id: str) -> None:
    """Wait until the outcome of a submission is unknown."""
    async with gateway.channel() as channel:
        async for change in stub(channel).WatchGeneration(pb.WatchGenerationRequest(id=generation_id), timeout=60):
            if name_of(change.generation) == "UNCERTAIN":
                return
    raise AssertionError("the watch ended")
