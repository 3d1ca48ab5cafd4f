"""Decisions by age about times whose clock was never known."""

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


class Higgsfield:
    """Its clock agrees with ours."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock

    async def time(self) -> Wall:
        return self.clock.moment().wall


def trusted(clock: FixedClock, store: Corrections, *known: Correction) -> TrustedTime:
    upstream: Any = Higgsfield(clock)
    any_store: Any = store
    return TrustedTime(clock, upstream, any_store, known)


async def test_a_process_stores_that_its_clock_is_not_known_before_anything_else() -> None:
    store = Corrections(refusals=3)
    async with asyncio.timeout(10):
        await trusted(FixedClock(1000.0), store).begin()
    assert store.stored == [Correction(Steady(1000.0), 0.0, placed=False)]


async def test_no_window_is_open_for_a_time_whose_clock_was_never_known() -> None:
    for placed in (True, False):
        clock = FixedClock(1000.0)
        known = [Correction(Steady(0.0), 0.0), Correction(Steady(900.0), 0.0, placed=placed)]
        time = trusted(clock, Corrections(0), *known)
        clock.now = 1010.0
        assert await time.is_open(Steady(950.0), 120.0) is placed
