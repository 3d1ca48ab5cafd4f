"""Fixtures of the client's tests: a scripted gateway, a client for it, and a fake clock."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from clients.python.tests.scripted_gateway import ScriptedGateway
from hfgateway_client import AsyncClient
from hfgateway_client._async.timers import Timers


@dataclass
class FakeTime:
    """A clock that only sleeps advance. Sleeping takes no real time."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def async_sleep(self, seconds: float) -> None:
        self.sleep(seconds)


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
async def gateway() -> AsyncIterator[ScriptedGateway]:
    gateway = ScriptedGateway()
    await gateway.start()
    yield gateway
    await gateway.stop()


@pytest.fixture
async def client(gateway: ScriptedGateway) -> AsyncIterator[AsyncClient]:
    # Delays are real, because the tests need a real connection to recover. The smallest random number keeps them short.
    timers = Timers(random=lambda: 0.0)
    async with AsyncClient(gateway.address, timeout=60.0, timers=timers) as client:
        yield client
