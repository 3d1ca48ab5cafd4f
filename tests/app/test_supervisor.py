"""The supervisor of workers, with a script in place of them."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from gateway.process import workers
from gateway.process.workers import Worker, _Supervisor
from gateway.settings.values import Address
from tests.support.running import WAIT_TIMEOUT, eventually

SERVES_ONCE = """#!/bin/sh
echo >> "$LOG"
printf + >&0
[ "$(wc -l < "$LOG")" = 1 ] && exec rm "$0"
cat
"""
"""Serves, and ends and removes itself the first time: it cannot be started then, as if no process could."""


async def test_a_worker_that_cannot_be_started_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(workers, "RESTART_DELAY", 0.05)
    script, log = tmp_path / "worker", tmp_path / "log"

    def write() -> None:
        script.write_text(SERVES_ONCE)
        script.chmod(0o700)

    write()
    served = asyncio.Event()
    supervisor = _Supervisor([str(script)], os.environ | {"LOG": str(log)})
    worker = Worker(1, Address("127.0.0.1", 1), Address("127.0.0.1", 2))
    running = asyncio.create_task(supervisor.run([worker], served.set))
    try:
        async with asyncio.timeout(WAIT_TIMEOUT):
            await served.wait()
        await eventually(lambda: "a worker cannot be started" in caplog.text or running.done())
        assert not running.done()
        write()
        await eventually(lambda: log.read_text().count("\n") == 2)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await asyncio.wait_for(running, WAIT_TIMEOUT) == 0
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)


async def test_all_workers_are_stopped_if_one_cannot_be_started_at_first(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a wait for the others, they would still hold the ports when the supervisor has ended."""
    script, log = tmp_path / "worker", tmp_path / "log"
    script.write_text('#!/bin/sh\nprintf + >&0\nrm "$0"\ncat\necho stopped > "$LOG"\n')
    script.chmod(0o700)
    supervisor = _Supervisor([str(script)], os.environ | {"LOG": str(log)})
    first, second = (Worker(number, Address("127.0.0.1", 1), Address("127.0.0.1", 2)) for number in (1, 2))
    keeping = asyncio.create_task(supervisor._keep(first, lambda _: None))
    await eventually(lambda: not script.exists())
    async with asyncio.timeout(WAIT_TIMEOUT):
        await supervisor._keep(second, lambda _: None)
        await keeping
    assert supervisor._code == 1
    assert log.read_text() == "stopped\n"
    assert "a worker cannot be started" in caplog.messages
