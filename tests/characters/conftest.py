"""A gateway and a sandbox with the real date, and helpers for calls about characters."""

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
from tests.support.running import Running, eventually, split
from tests.support.transports import TRANSPORTS, RpcFailure, Transport

URL = "https://example.invalid/a.jpg"
REFERENCES = "/v1/custom-references"


class Studio(Running):
    """A gateway and a sandbox for characters. A training is queued for 1 s and runs for 9 s of the sandbox's clock."""

    def __init__(self, folder: Path, options: SandboxOptions, settings: dict[str, str]) -> None:
        self.ahead = 0.0
        """Seconds by which the gateway's clocks have been moved forward."""
        clock = ManualClock()
        clock.epoch = datetime.now(UTC)  # type: ignore[misc]  # creation times are compared with send times
        super().__init__(folder, options, settings, clock, self._clock_of_gateway)

    def _clock_of_gateway(self, not_before: float) -> SystemClock:
        return SystemClock(
            not_before, wall=lambda: time.time() + self.ahead, monotonic=lambda: since_boot() + self.ahead
        )

    async def create(self, name: str = "Anna", key: str = "", by: Transport | None = None, **more: Any) -> Any:
        """Call CreateCharacter."""
        return await (by or self.grpc).call("CreateCharacter", order(name, key, **more))

    async def refused(self, method: str, request: Any, by: Transport | None = None) -> RpcFailure:
        """Return the error of a call that must fail."""
        with pytest.raises(RpcFailure) as raised:
            await (by or self.grpc).call(method, request)
        return raised.value

    async def show(self, character_id: str, by: Transport | None = None) -> pb.SoulCharacter:
        """Return the character with GetCharacter."""
        answer: pb.GetCharacterResponse = await (by or self.grpc).call(
            "GetCharacter", pb.GetCharacterRequest(id=character_id)
        )
        return answer.character

    async def names(self, by: Transport | None = None) -> list[str]:
        """Return the names of the listed characters."""
        answer = await (by or self.grpc).call("ListCharacters", pb.ListCharactersRequest())
        return [character.name for character in answer.characters]

    async def call_higgsfield(self, method: str, path: str = "", **options: Any) -> Any:
        """Send a request directly to Higgsfield with the gateway's account; return the JSON response."""
        headers = {"Authorization": "Key sandbox:sandbox"}
        url = self.sandbox.url + REFERENCES + path
        async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers, **options) as said:
            assert said.status == 200, await said.text()
            return await said.json()

    async def create_directly(self, name: str, version: str = "v1") -> str:
        """Create a character directly at Higgsfield, as in its console; return its id."""
        body = {"name": name, "input_images": [{"type": "image_url", "image_url": URL}], "model_version": version}
        return str((await self.call_higgsfield("POST", json=body))["id"])

    @property
    def sent(self) -> list[str]:
        """The names of the characters in all POSTs so far."""
        return [training.name for training in self.ledger.trainings]

    @property
    def paid(self) -> list[str]:
        """The ids of all charged characters."""
        return [charge.request_id for charge in self.ledger.charges if charge.model == "custom-reference"]

    async def until_paid(self, count: int) -> None:
        """Wait until this many characters are charged."""
        await eventually(lambda: len(self.paid) == count)


def order(name: str = "Anna", key: str = "", **more: Any) -> pb.CreateCharacterRequest:
    """Return a CreateCharacter request, by default with a key derived from the name."""
    more.setdefault("image_urls", [URL])
    return pb.CreateCharacterRequest(name=name, idempotency_key=key or f"key-of-{name}".replace(" ", "-"), **more)


StartStudio = Callable[..., Awaitable[Studio]]


@pytest.fixture(autouse=True)
def _short_search_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.characters.creator.LOOKUP_PAUSES", (0.0, 0.01, 0.01))


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[StartStudio]:
    """Return a function that starts a studio: uppercase arguments are settings, others sandbox options."""
    async with AsyncExitStack() as stack:

        async def start_one(**terms: Any) -> Studio:
            studio = Studio(tmp_path, *split({"training_seconds": 9.0, "credits": 10_000} | terms))
            stack.push_async_callback(studio.stop)
            await studio.start()
            return studio

        yield start_one


@pytest.fixture
async def studio(start: StartStudio) -> Studio:
    """A studio with the default settings."""
    return await start()


@pytest.fixture(params=TRANSPORTS)
def client(studio: Studio, request: pytest.FixtureRequest) -> Transport:
    """A client of the studio's gateway, over each transport in turn."""
    return studio.transports[request.param]
