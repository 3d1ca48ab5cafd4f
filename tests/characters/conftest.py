"""A gateway before a sandbox whose calendar is right, and what callers do with characters."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.generations.clock import SystemClock, since_boot
from gateway.sandbox.clock import ManualClock
from gateway.sandbox.server import SandboxOptions
from hfgateway.v1 import character_service_pb2 as pb
from tests.support.running import USUAL, Running, eventually
from tests.support.transports import TRANSPORTS, RpcFailure, Transport

URL = "https://example.invalid/a.jpg"
REFERENCES = "/v1/custom-references"


class Studio(Running):
    """Made for characters: training takes 1 s and 9 s of a time that the test moves."""

    def __init__(self, folder: Path, options: SandboxOptions, settings: dict[str, str]) -> None:
        self.ahead = 0.0
        """By how much the gateway's clocks have been moved."""
        clock = ManualClock()
        clock.epoch = datetime.now(UTC)  # type: ignore[misc]  # when a character was made is compared with when it was sent
        super().__init__(folder, options, settings, clock, self._clock_of_gateway)

    def _clock_of_gateway(self, not_before: float) -> SystemClock:
        return SystemClock(
            not_before, wall=lambda: time.time() + self.ahead, monotonic=lambda: since_boot() + self.ahead
        )

    async def create(self, name: str = "Anna", key: str = "", by: Transport | None = None, **more: Any) -> Any:
        """What CreateCharacter answers."""
        return await (by or self.grpc).call("CreateCharacter", order(name, key, **more))

    async def refused(self, method: str, request: Any, by: Transport | None = None) -> RpcFailure:
        """How a call is refused."""
        with pytest.raises(RpcFailure) as raised:
            await (by or self.grpc).call(method, request)
        return raised.value

    async def show(self, character_id: str, by: Transport | None = None) -> pb.SoulCharacter:
        """The character as it is."""
        answer: pb.GetCharacterResponse = await (by or self.grpc).call(
            "GetCharacter", pb.GetCharacterRequest(id=character_id)
        )
        return answer.character

    async def names(self, by: Transport | None = None) -> list[str]:
        """What is listed."""
        answer = await (by or self.grpc).call("ListCharacters", pb.ListCharactersRequest())
        return [character.name for character in answer.characters]

    async def elsewhere(self, method: str, path: str = "", **options: Any) -> Any:
        """What somebody does past the gateway, with the same account."""
        headers = {"Authorization": "Key sandbox:sandbox"}
        url = self.sandbox.url + REFERENCES + path
        async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers, **options) as said:
            assert said.status == 200, await said.text()
            return await said.json()

    async def make_elsewhere(self, name: str, version: str = "v1") -> str:
        """The id of a character made in the console."""
        body = {"name": name, "input_images": [{"type": "image_url", "image_url": URL}], "model_version": version}
        return str((await self.elsewhere("POST", json=body))["id"])

    @property
    def sent(self) -> list[str]:
        """The names of all POSTs that were made."""
        return [training.name for training in self.ledger.trainings]

    @property
    def paid(self) -> list[str]:
        """The ids of all characters that were charged."""
        return [charge.request_id for charge in self.ledger.charges if charge.model == "custom-reference"]

    async def until_paid(self, count: int) -> None:
        """Return once so many are charged."""
        await eventually(lambda: len(self.paid) == count)


def order(name: str = "Anna", key: str = "", **more: Any) -> pb.CreateCharacterRequest:
    """An order, by default under a key made of the name."""
    more.setdefault("image_urls", [URL])
    return pb.CreateCharacterRequest(name=name, idempotency_key=key or f"key-of-{name}".replace(" ", "-"), **more)


StartStudio = Callable[..., Awaitable[Studio]]


@pytest.fixture(autouse=True)
def _quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.characters.creator.LOOKS", (0.0, 0.01, 0.01))


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[StartStudio]:
    """Start one: capital names are settings of the gateway without their prefix, the others options of the sandbox."""
    async with AsyncExitStack() as stack:

        async def start_one(**terms: Any) -> Studio:
            settings = {name: str(value) for name, value in terms.items() if name.isupper()}
            options = {name: value for name, value in terms.items() if name not in settings}
            usual = USUAL | {"training_seconds": 9.0, "credits": 10_000}
            studio = Studio(tmp_path, SandboxOptions(port=0, **(usual | options)), settings)
            stack.push_async_callback(studio.stop)
            await studio.start()
            return studio

        yield start_one


@pytest.fixture
async def studio(start: StartStudio) -> Studio:
    """One with the usual terms."""
    return await start()


@pytest.fixture(params=TRANSPORTS)
def client(studio: Studio, request: pytest.FixtureRequest) -> Transport:
    """A client of that one, over each transport in turn."""
    return studio.transports[request.param]
