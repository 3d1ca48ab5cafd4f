"""The supervisor of workers that do not start. tests/deploy/test_workers.py has workers that serve."""

from __future__ import annotations

import asyncio
import sys

import pytest

from gateway.config import read_settings
from gateway.workers import supervise
from tests.app.command import PATIENCE

SETTINGS = {
    "HFGATEWAY_GRPC_ADDRESS": "127.0.0.1:0",
    "HFGATEWAY_HTTP_ADDRESS": "127.0.0.1:0",
    "HFGATEWAY_STORE_URL": "postgresql://gateway@127.0.0.1/gateway",
}


async def test_workers_that_end_together_end_the_supervisor_with_their_exit_code(
    capfd: pytest.CaptureFixture[str],
) -> None:
    settings = read_settings(SETTINGS)
    async with asyncio.timeout(PATIENCE):
        assert await supervise(settings, 12, [sys.executable, "-c", "raise SystemExit(3)"]) == 3
    assert capfd.readouterr().out == ""
