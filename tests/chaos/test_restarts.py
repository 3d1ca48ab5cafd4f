"""Restarts of a gateway process: its address is withdrawn when it ends, because its ports may be reused."""

import asyncio
from pathlib import Path

import pytest

from harness.gateway_process import GatewayProcess, NoGatewayError, interpreter
from harness.history import Recorder, read
from harness.restarts import RestartedGateway
from tests.support.running import eventually

READY = "print('hfgateway: gRPC on 127.0.0.1:1, HTTP on http://127.0.0.1:2, store x', flush=True)"
STAYS = f"{READY}; import threading; threading.Event().wait()"
ENDS = READY
DOES_NOT_START = "raise SystemExit(3)"


class Restarts:
    """A stand-in for a gateway, the addresses that were published for it, and its history."""

    def __init__(self, folder: Path, program: str) -> None:
        self.addresses: list[tuple[str, str]] = []
        self._file = folder / "history.jsonl"
        self.recorder = Recorder(self._file)
        self.process = GatewayProcess(folder / "store.db", folder / "log", {}, interpreter("-c", program))
        self.gateway = RestartedGateway(
            self.process, self.recorder, 1, lambda *addresses: self.addresses.append(addresses), (0.0, 0.0)
        )

    def recorded(self) -> list[str]:
        self.recorder.__exit__(None, None, None)
        return [line.what for line in read(self._file)]


@pytest.fixture
async def over() -> asyncio.Event:
    return asyncio.Event()


async def test_the_address_is_withdrawn_after_each_kill(tmp_path: Path, over: asyncio.Event) -> None:
    restarts = Restarts(tmp_path, STAYS)
    killing = asyncio.create_task(restarts.gateway.restart_until(over))
    await eventually(lambda: len(restarts.addresses) >= 4)
    over.set()
    await killing
    assert restarts.addresses[:4] == [("127.0.0.1:1", "127.0.0.1:2"), ("", "")] * 2
    assert restarts.addresses[-1] == ("", "")
    assert restarts.recorded()[:8] == ["start", "started", "kill", "ended"] * 2


async def test_the_last_gateway_lives_until_the_storm_is_over(tmp_path: Path, over: asyncio.Event) -> None:
    restarts = Restarts(tmp_path, STAYS)
    killing = asyncio.create_task(restarts.gateway.restart_until(over, max_kills=2))
    await eventually(lambda: len(restarts.addresses) >= 5)
    assert restarts.process.pid
    over.set()
    await killing
    assert restarts.recorded() == ["start", "started", "kill", "ended"] * 3


async def test_a_gateway_that_exits_by_itself_is_recorded_and_replaced(tmp_path: Path) -> None:
    restarts = Restarts(tmp_path, ENDS)
    await restarts.gateway.start_permanently()
    alive = asyncio.create_task(restarts.gateway.keep_alive())
    await eventually(lambda: len(restarts.addresses) >= 3)
    alive.cancel()
    await asyncio.gather(alive, return_exceptions=True)
    await restarts.process.kill()
    assert restarts.addresses[:3] == [("127.0.0.1:1", "127.0.0.1:2"), ("", ""), ("127.0.0.1:1", "127.0.0.1:2")]
    assert restarts.recorded()[:4] == ["start", "started", "ended", "start"]


async def test_a_gateway_that_does_not_start_has_no_address(tmp_path: Path) -> None:
    restarts = Restarts(tmp_path, DOES_NOT_START)
    with pytest.raises(NoGatewayError):
        await restarts.gateway.start_permanently()
    assert restarts.addresses == []
    assert restarts.recorded() == ["start", "ended"]
