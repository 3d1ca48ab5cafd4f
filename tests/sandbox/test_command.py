"""The options of `hfgateway sandbox` reach the settings of its accounts."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest

from tests.sandbox.conftest import WAIT_TIMEOUT
from tests.support import forked
from tests.support.addresses import free_port
from tests.support.running import eventually

SECRET = "whsec_" + base64.b64encode(b"a key of thirty-two bytes, or so").decode()
CHOSEN = {
    "webhook_shape": ("envelope", "--webhook-shape=envelope"),
    "webhook_secret": (SECRET, f"--webhook-secret={SECRET}"),
    "webhook_retry": ("until_2xx", "--webhook-retry=until_2xx"),
    "webhook_timeout": (1.5, "--webhook-timeout=1.5"),
    "webhook_canceled": (True, "--webhook-canceled"),
    "webhook_duplicates": (True, "--webhook-duplicates"),
    "webhook_loss": (0.25, "--webhook-loss=0.25"),
}
"""Setting → a value other than its default, and the option that sets it."""


async def _started(*arguments: str) -> forked.ForkedProcess:
    return await forked.start("sandbox", "--port=0", *arguments, environment=os.environ)


@asynccontextmanager
async def _sandbox(*arguments: str) -> AsyncIterator[str]:
    """Start a sandbox with these arguments and yield its URL."""
    process = await _started(*arguments)
    try:
        async with asyncio.timeout(WAIT_TIMEOUT):
            line = (await process.stdout.readline()).decode()
        found = re.match(r"sandbox answers at (\S+)", line)
        assert found, line
        yield found[1]
    finally:
        process.kill()
        await process.communicate()


async def _granted(url: str) -> Any:
    async with aiohttp.ClientSession() as session, session.post(f"{url}/__account", json={}) as answer:
        return await answer.json()


@pytest.mark.parametrize("setting", CHOSEN)
async def test_a_webhook_option_sets_only_its_own_setting(setting: str) -> None:
    value, argument = CHOSEN[setting]
    async with _sandbox() as usual, _sandbox(argument) as chosen:
        before, after = await _granted(usual), await _granted(chosen)
    assert {name for name in after if after[name] != before[name]} == {setting}
    assert after[setting] == value


async def test_a_sandbox_can_have_several_accounts() -> None:
    async with _sandbox("--credentials=sandbox:sandbox films:secret") as url, aiohttp.ClientSession() as session:
        for pair, status in ("sandbox:sandbox", 404), ("films:secret", 404), ("films:wrong", 401):
            headers = {"authorization": f"Key {pair}"}
            async with session.get(f"{url}/requests/{uuid.uuid4()}/status", headers=headers) as answer:
                assert answer.status == status
        taken = {"account": "films", "credentials": "sandbox:new"}
        async with session.post(f"{url}/__account", json=taken) as answer:
            assert answer.status == 400
        for key_id in "sandbox", "films":
            async with session.post(f"{url}/__account", json={"account": key_id}) as answer:
                assert answer.status == 200, "it is not dropped"


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ("--credentials=films", "id:secret"),
        ("--credentials=films:one films:two", "key id"),
        ("--webhook-shape=round", "--webhook-shape"),
        ("--webhook-retry=never", "--webhook-retry"),
        ("--webhook-timeout=0", "--webhook-timeout"),
        ("--webhook-loss=1.5", "--webhook-loss"),
        ("--webhook-secret=whsec_no!base64", "webhook secret"),
    ],
)
async def test_an_invalid_option_is_refused_by_name(argument: str, named: str) -> None:
    process = await _started(argument)
    async with asyncio.timeout(WAIT_TIMEOUT):
        out, errors = await process.communicate()
    assert (process.returncode, out) == (2, b"")
    assert named in errors.decode()
    assert "no!base64" not in errors.decode()


async def test_it_answers_although_the_reader_of_its_output_has_left() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "sandbox", f"--port={port}", stdout=writer, stderr=asyncio.subprocess.PIPE
    )
    os.close(writer)

    async def answers() -> bool:
        assert process.returncode is None
        with suppress(aiohttp.ClientConnectionError):
            return bool(await _granted(f"http://127.0.0.1:{port}"))
        return False

    try:
        await eventually(answers)
        process.terminate()
        async with asyncio.timeout(WAIT_TIMEOUT):
            assert (await process.communicate())[1] == b""
    finally:
        if process.returncode is None:
            process.kill()


async def test_a_host_that_is_no_name_is_named() -> None:
    process = await _started("--host=sandbox..example")
    async with asyncio.timeout(WAIT_TIMEOUT):
        _, errors = await process.communicate()
    assert (process.returncode, errors) == (1, b"sandbox cannot listen on sandbox..example:0: no name in DNS\n")
