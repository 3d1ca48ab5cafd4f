"""The published libraries of other languages accept the gateway's signatures and reject modified deliveries."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.callbacks.receiver import Got, Receiver, create, finished
from tests.clients.gotool import go
from tests.support.running import WAIT_TIMEOUT, Running
from tools import generate

SOURCES = Path(__file__).parent / "verifiers"


@pytest.fixture
def javascript() -> list[str]:
    """Install the library from its lock file, with the script next to it."""
    folder = generate.CACHE / "callback-verifier-js"
    files = sorted((SOURCES / "js").iterdir())
    with generate.install_once(folder, *(file.read_bytes() for file in files)) as stale:
        if stale:
            shutil.copytree(SOURCES / "js", folder)
            npm = ("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--silent")
            subprocess.run(npm, cwd=folder, check=True)
    return ["node", str(folder / "verify.mjs")]


@pytest.fixture
def golang(tmp_path: Path) -> list[str]:
    go("build", "-o", tmp_path / "verify", ".", cwd=SOURCES / "go")
    return [str(tmp_path / "verify")]


async def verified(program: list[str], secret: str, got: Got, **other: Any) -> bool:
    """Return the program's verdict on the delivery, with the fields in `other` replaced."""
    sent = {"secret": secret, "headers": dict(got.headers), "body": got.body.decode(), **other}
    process = await asyncio.create_subprocess_exec(
        *program, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(WAIT_TIMEOUT):
        _, why = await process.communicate(json.dumps(sent).encode())
    assert process.returncode in {0, 1}, why.decode()
    return process.returncode == 0


@pytest.mark.timeout(600)  # the first run on a machine installs
@pytest.mark.parametrize(
    "language",
    [
        pytest.param("javascript", marks=[pytest.mark.toolchain("node"), pytest.mark.toolchain("npm")]),
        pytest.param("golang", marks=pytest.mark.toolchain("go")),
    ],
)
async def test_libraries_of_other_languages_verify_deliveries(
    running: Running, receiver: Receiver, request: pytest.FixtureRequest, language: str
) -> None:
    program = request.getfixturevalue(language)
    made = await create(running, receiver.url)
    await finished(running, "a fox", labels={"size": "größe 🦊"})
    (got,) = await receiver.gets(1)
    assert await verified(program, made.secret, got)
    assert not await verified(program, made.secret, got, body=got.body.decode() + " ")
    assert not await verified(program, made.secret, got, headers={**got.headers, "webhook-id": "another"})
    assert not await verified(program, (await create(running, receiver.url, key="two")).secret, got)
