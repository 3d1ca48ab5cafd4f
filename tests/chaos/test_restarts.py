"""The lives of a gateway process: nobody is led to where one was, for somebody else may listen there by now."""

import asyncio
import sys
from pathlib import Path

import pytest

from harness.gateway_process import GatewayProcess, NoGatewayError
from harness.history import Recorder, read
from harness.restarts import RestartedGateway
from tests.support.running import eventually

READY = "print('hfgateway: gRPC on 127.0.0.1:1, HTTP on http://127.0.0.1:2, store x', flush=True)"
STAYS = f"{READY}; import threading; threading.Event().wait()"
ENDS = READY
DOES_NOT_START = "raise SystemExit(3)"


class Led:
    """Where the lives of a stand-in for a gateway lead, and its history."""

    def __init__(self, folder: Path, program: str) -> None:
        self.to: list[tuple[str, str]] = []
        self._file = folder / "history.jsonl"
        self.recorder = Recorder(self._file)
        self.process = GatewayProcess(folder / "store.db", folder / "log", {}, (sys.executable, "-c", program))
        self.lives = RestartedGateway(
            self.process, self.recorder, 1, lambda *addresses: self.to.append(addresses), (0.0, 0.0)
        )

    def kept(self) -> list[str]:
        self.recorder.__exit__(None, None, None)
        return [line.what for line in read(self._file)]


@pytest.fixture
async def over() -> asyncio.Event:
    return asyncio.Event()


async def test_after_each_kill_there_is_nowhere_to_go(tmp_path: Path, over: asyncio.Event) -> None:
    led = Led(tmp_path, STAYS)
    killing = asyncio.create_task(led.lives.restart_until(over))
    await eventually(lambda: len(led.to) >= 4)
    over.set()
    await killing
    assert led.to[:4] == [("127.0.0.1:1", "127.0.0.1:2"), ("", "")] * 2
    assert led.to[-1] == ("", "")
    assert led.kept()[:8] == ["start", "started", "kill", "ended"] * 2


async def test_one_that_is_to_be_left_alone_lives_until_it_is_over(tmp_path: Path, over: asyncio.Event) -> None:
    led = Led(tmp_path, STAYS)
    killing = asyncio.create_task(led.lives.restart_until(over, most=2))
    await eventually(lambda: len(led.to) >= 5)
    assert led.process.pid
    over.set()
    await killing
    assert led.kept() == ["start", "started", "kill", "ended"] * 3


async def test_one_that_ends_by_itself_is_missed_and_followed_by_another(tmp_path: Path) -> None:
    led = Led(tmp_path, ENDS)
    await led.lives.start_for_good()
    alive = asyncio.create_task(led.lives.keep_alive())
    await eventually(lambda: len(led.to) >= 3)
    alive.cancel()
    await asyncio.gather(alive, return_exceptions=True)
    await led.process.kill()
    assert led.to[:3] == [("127.0.0.1:1", "127.0.0.1:2"), ("", ""), ("127.0.0.1:1", "127.0.0.1:2")]
    assert led.kept()[:4] == ["start", "started", "ended", "start"]


async def test_one_that_does_not_start_leads_nowhere(tmp_path: Path) -> None:
    led = Led(tmp_path, DOES_NOT_START)
    with pytest.raises(NoGatewayError):
        await led.lives.start_for_good()
    assert led.to == []
    assert led.kept() == ["start", "ended"]
