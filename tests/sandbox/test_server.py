"""Start and stop of the sandbox, also as a process."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import sys
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.sandbox.clock import ManualClock, ScaledClock, timestamp
from gateway.sandbox.server import Sandbox, SandboxOptions
from tests.support.signals import ignores
from tests.support.whole import whole

ROOT = Path(__file__).parents[2]
PROGRAM = """
import signal, sys
from gateway.sandbox.server import *

signal.signal(signal.SIGHUP, signal.Handlers[sys.argv[2]])
sys.exit(run(SandboxOptions(port=int(sys.argv[1]))))
"""


async def _process(port: int, on_hang_up: signal.Handlers = signal.SIG_DFL) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", PROGRAM, str(port), on_hang_up.name, cwd=ROOT, stdout=-1, stderr=-1
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_the_process_prints_its_url_and_stops_on_a_signal(number: signal.Signals) -> None:
    process = await _process(0)
    assert process.stdout is not None
    first, second = (await process.stdout.readline()).decode(), (await process.stdout.readline()).decode()
    url = re.fullmatch(r"sandbox answers at (http://127\.0\.0\.1:\d+)\n", first)
    assert url is not None
    assert second == "credentials sandbox:sandbox\n"

    def ledger() -> Any:
        with urllib.request.urlopen(f"{url[1]}/__ledger?summary=1") as answer:
            return json.load(answer)

    assert (await asyncio.to_thread(ledger))["submissions_seen"] == 0
    process.send_signal(number)
    rest, errors = await process.communicate()
    assert (process.returncode, rest, errors) == (0, b"", b"")


async def test_the_process_still_ignores_a_signal_that_nohup_lets_it_ignore() -> None:
    process = await _process(0, signal.SIG_IGN)
    assert process.stdout is not None
    await process.stdout.readline()
    assert ignores(process.pid, signal.SIGHUP)
    process.terminate()
    await process.communicate()


async def test_a_port_in_use_ends_the_process_with_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = await _process(taken.getsockname()[1])
        output, errors = await process.communicate()
    assert (process.returncode, output) == (1, b"")
    assert errors.count(b"\n") == 1
    assert b"cannot listen" in errors


async def test_stop_ends_hanging_calls_and_is_idempotent() -> None:
    sandbox = Sandbox(SandboxOptions(port=0), ManualClock())
    await sandbox.start()
    async with aiohttp.ClientSession(sandbox.url, headers={"Authorization": "Key sandbox:sandbox"}) as session:
        await whole(session.post("/__plan", json={"faults": [{"kind": "hang"}]}))
        hanging = asyncio.ensure_future(session.post("/z-image/turbo", json={"prompt": "x"}))
        while not sandbox.ledger.submissions:
            await whole(session.get("/__ledger"))
        await sandbox.stop()
        await sandbox.stop()
        with pytest.raises(aiohttp.ClientConnectionError):
            await hanging
        with pytest.raises(aiohttp.ClientConnectorError):
            await whole(session.get("/models"))


async def test_two_sandboxes_share_no_state() -> None:
    async with Sandbox(SandboxOptions(port=0)) as one, Sandbox(SandboxOptions(port=0)) as other:
        assert one.url != other.url
        async with aiohttp.ClientSession(headers={"Authorization": "Key sandbox:sandbox"}) as session:
            await whole(session.post(f"{one.url}/z-image/turbo", json={"prompt": "x"}))
        assert (len(one.ledger.charges), len(other.ledger.charges)) == (1, 0)


def test_a_scaled_clock_runs_faster_and_a_manual_clock_stands_still() -> None:
    hurried, usual = ScaledClock(1000), ScaledClock(1)
    before, plain = hurried.now(), usual.now()
    while usual.now() == plain:
        pass
    assert hurried.now() > before

    clock = ManualClock()
    assert clock.now() == clock.now() == 0
    with pytest.raises(ValueError, match="negative"):
        clock.advance(-1)


def test_dates_of_a_fast_clock_are_in_real_time() -> None:
    clock = ScaledClock(20)
    clock.epoch = datetime(2026, 1, 1, tzinfo=UTC)
    assert timestamp(clock, 1200) == "2026-01-01T00:01:00.000Z"
