"""What the client's tests share: a scripted gateway, a client of it, and time that passes by itself."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from clients.python.tests.scripted_gateway import ScriptedGateway
from hfgateway_client import AsyncClient
from hfgateway_client._async.timers import Timers


@dataclass
class FakeTime:
    """A sleep takes no time, and the clock has moved on after it."""

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
    # Delays are real here, and short: what is tested is a real connection that has to come back.
    timers = Timers(random=lambda: 0.0)
    async with AsyncClient(gateway.address, timeout=60.0, timers=timers) as client:
        yield client
