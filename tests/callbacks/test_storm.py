"""Many generations, failing receivers and restarts at once: every revision is delivered, in order."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest

from tests.callbacks.receiver import CLOSE, Receiver, change, create
from tests.support.running import soul
from tests.support.timeline import Timed

RESPONSES = (200, 200, 200, 204, 500, 503, (429, {"Retry-After": "20"}), CLOSE)
GENERATIONS = 25


@pytest.mark.parametrize("seed", [1, 2])
async def test_faults_and_restarts_lose_and_reorder_no_revision(timed: Timed, seed: int) -> None:
    chance = random.Random(seed)
    async with Receiver() as first, Receiver() as second:
        made = [
            await create(timed, receiver.url, every_change=True, key=str(number))
            for number, receiver in enumerate((first, second))
        ]
        stored = []
        for number in range(GENERATIONS):
            for receiver in (first, second):
                receiver.usual = chance.choice(RESPONSES)
            stored.append(await timed.submit(soul(f"fox {number}")))
            await timed.advance(chance.uniform(0.0, 20.0), step=1.0)
            if chance.random() < 0.15:
                await timed.stop_gateway()
                await timed.start_gateway()
        await timed.advance(60.0, until=lambda: not timed.live(), step=1.0)
        for callback, receiver in zip(made, (first, second), strict=True):
            receiver.usual = 200
            await change(timed, callback.callback.id, paused=False)
        await timed.advance(7_200.0, until=lambda: timed.gateway._core.dispatcher.waiting() == 0, step=60.0)

        ends = {one.id: (await timed.get(one.id)).revision for one in stored}
        for callback, receiver in zip(made, (first, second), strict=True):
            delivered = defaultdict(list)
            for got in receiver.taken:
                assert got.signed_by(callback.secret)
                assert got.id == f"{callback.callback.id}_{got.generation.id}_{got.generation.revision}"
                if got.generation.revision not in delivered[got.generation.id]:  # a restart may deliver it twice
                    delivered[got.generation.id].append(got.generation.revision)
            assert delivered == {name: list(range(1, revision + 1)) for name, revision in ends.items()}
