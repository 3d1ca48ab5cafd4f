"""A starting process first stores that its clock is not known."""

import asyncio
from collections.abc import Sequence
from typing import Any

from gateway.generations.model import Moment, Steady, Wall
from gateway.generations.ports import Correction, StoreError
from gateway.generations.trusted_time import TrustedTime


class FixedClock:
    """A clock that stands still. Every wait ends at once."""

    def __init__(self, now: float) -> None:
        self.now = now

    def moment(self) -> Moment:
        return Moment(Steady(self.now), Wall(self.now))

    def agrees(self) -> bool:
        return True

    async def wait(self, _signal: "asyncio.Future[None]", _seconds: float | None) -> None:
        await asyncio.sleep(0)


class Corrections:
    """A store that refuses its first writes."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.stored: list[Correction] = []

    async def correct(self, correction: Correction, _forget: Sequence[Steady] = ()) -> None:
        if self.refusals:
            self.refusals -= 1
            raise StoreError
        self.stored.append(correction)


def trusted(clock: FixedClock, store: Corrections) -> TrustedTime:
    any_store: Any = store
    unused: Any = None
    return TrustedTime(clock, unused, any_store, ())


async def test_a_process_first_stores_that_its_clock_is_not_known() -> None:
    store = Corrections(refusals=3)
    async with asyncio.timeout(10):
        await trusted(FixedClock(1000.0), store).begin()
    assert store.stored == [Correction(Steady(1000.0), 0.0, placed=False)]
