"""The options of `hfgateway sandbox` reach the settings of its accounts."""

from __future__ import annotations

import asyncio
import base64
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.sandbox.conftest import WAIT_TIMEOUT
from tests.support import forked

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


@pytest.mark.parametrize(
    ("argument", "named"),
    [
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
