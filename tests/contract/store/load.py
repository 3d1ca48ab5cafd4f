"""Clients that submit and watch without a pause while something fails, and the check of all that they received."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from gateway.sandbox.server import Sandbox, SandboxOptions
from harness.checker import check
from harness.final_states import record_final_states
from harness.history import Recorder, generation_fields, read, record_ledger
from harness.watchers import Access, Watchers
from hfgateway_client import AsyncClient, Generation, RetryPolicy, soul
from tests.support.running import eventually

CLIENTS = 4
WAIT_TIMEOUT = 100.0
"""Seconds in which a call must succeed, retries included."""
LAST = "last"
"""The idempotency key of the generation at whose end the watch of all generations ends."""


def sandbox_for_load() -> Sandbox:
    """Return a sandbox whose generations take so long that a fault always meets some."""
    return Sandbox(SandboxOptions(port=0, queue_seconds=0.1, image_seconds=0.3))


class Load:
    """Clients that each submit a generation, watch it to its end and submit the next one. Made by `load`.

    `beside` is a load on another gateway with the same recorder.
    """

    def __init__(self, recorder: Recorder, address: str, beside: Load | None = None) -> None:
        self.retries = 0
        self.ended = 0
        self.client = AsyncClient(
            address, timeout=WAIT_TIMEOUT, retry=RetryPolicy(0.05, 0.25), on_retry=lambda *_: self._retry()
        )
        self._over = False
        self._recorder = recorder
        self._access = Access(self.client, None)
        self._watchers = Watchers(recorder) if beside is None else beside._watchers
        self._calls = itertools.count(1) if beside is None else beside._calls

    async def more(self, number: int = 1) -> None:
        """Return when this number of generations have ended that were submitted after this call."""
        enough = self.ended + CLIENTS + number
        await self.becomes(lambda: self.ended >= enough)

    async def becomes(self, holds: Callable[[], bool]) -> None:
        """Return when a condition holds."""

        async def held() -> bool:
            return holds()

        await eventually(held)

    async def run(self, number: int) -> None:
        """Be the client with this number, until `stop`."""
        for turn in itertools.count():
            if self._over:
                return
            await self.submit_and_watch(f"{number}.{turn}")

    def stop(self) -> None:
        """Let the clients end with their present generation."""
        self._over = True

    async def submit_last(self) -> None:
        """Submit the generation at whose end the watch of all generations ends."""
        await self.submit_and_watch(LAST)

    async def watch_all(self) -> None:
        """Watch all generations to the end of the last one."""

        def last(generation: Generation) -> bool:
            return generation.done and generation.idempotency_key == LAST

        await self._watchers.client_watch_many(self._access, is_last=last)

    async def submit_and_watch(self, key: str) -> None:
        """Submit a generation with this key, and watch it to its end."""
        await self.watch(await self.submit(key))

    async def submit(self, key: str) -> str:
        """Submit a generation with this key, and return its id."""
        call, prompt = next(self._calls), f"picture {key}"
        self._recorder.record("submit", call=call, key=key, prompt=prompt)
        submission = await self.client.submit(soul(prompt), idempotency_key=key)
        self._recorder.record("submitted", call=call, **generation_fields(submission.generation))
        return submission.generation.id

    async def watch(self, generation_id: str) -> None:
        """Watch a generation to its end."""
        await self._watchers.client_watch(self._access, generation_id)
        self.ended += 1

    def _retry(self) -> None:
        self.retries += 1


@contextlib.asynccontextmanager
async def load(address: str, sandbox: Sandbox, history: Path) -> AsyncIterator[Load]:
    """Run the clients on a gateway while the block runs. Then let them finish, and check the history.

    The test fails if a call or a watch fails, or if a promise is broken: a generation that is charged twice, lost,
    missing in a watch, or reported wrong.
    """
    with Recorder(history) as recorder:
        clients = Load(recorder, address)
        async with clients.client, asyncio.TaskGroup() as together:
            watching = together.create_task(clients.watch_all())
            running = [together.create_task(clients.run(number)) for number in range(CLIENTS)]
            try:
                yield clients
            finally:
                clients.stop()
            await asyncio.wait(running)
            await clients.submit_last()
            await watching
            await record_final_states(recorder, clients.client, {}, 0.0)
        record_ledger(recorder, sandbox.state.describe(with_entries=True))
        recorder.record("over")
    lines = read(history)
    assert [line for line in lines if line.what.endswith("failed")] == []
    assert [str(violation) for violation in check(lines)] == []
    assert len(sandbox.ledger.charges) == clients.ended
