"""What a process knows and stores about its clock."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.errors import upstream_unavailable
from gateway.generations import trusted_time
from gateway.generations.model import Moment, Steady, Wall
from gateway.generations.stores import Correction, StoreError
from gateway.generations.trusted_time import TrustedTime


class FixedClock:
    """A clock that stands still. Every wait ends at once."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.wall_ahead = 0.0
        self.right = True

    def moment(self) -> Moment:
        return Moment(Steady(self.now), Wall(self.now + self.wall_ahead))

    def agrees(self) -> bool:
        return self.right

    async def wait(self, _signal: "asyncio.Future[None]", _seconds: float | None) -> None:
        await asyncio.sleep(0)


class PausedClock(FixedClock):
    """A clock whose waits end with their signal, or when `pause` is set if they have a limit. `waits` counts them."""

    def __init__(self, now: float) -> None:
        super().__init__(now)
        self.waits = asyncio.Semaphore(0)
        self.pause = asyncio.Event()

    async def wait(self, signal: "asyncio.Future[None]", seconds: float | None) -> None:
        self.waits.release()
        await (signal if seconds is None else self.pause.wait())


class Higgsfield:
    """The part of Higgsfield that knows the time. `reachable` is given once it may answer."""

    def __init__(self, now: float, *, reachable: bool = True) -> None:
        self.now = now
        self.reachable = asyncio.Event()
        self.asked = 0
        if reachable:
            self.reachable.set()

    async def time(self) -> Wall:
        self.asked += 1
        await self.reachable.wait()
        return Wall(self.now)


class Silent(Higgsfield):
    """A Higgsfield that does not respond."""

    def __init__(self) -> None:
        super().__init__(0.0)

    async def time(self) -> Wall:
        self.asked += 1
        raise upstream_unavailable("no response")


class Corrections:
    """A store that refuses its first writes."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.stored: list[Correction] = []

    async def correct(self, correction: Correction, _forget: Sequence[Steady] = ()) -> None:
        if self.refusals:
            self.refusals -= 1
            raise StoreError
        self.stored.append(correction)


def trusted(
    clock: FixedClock, store: Corrections, upstream: Higgsfield | None = None, known: Sequence[Correction] = ()
) -> TrustedTime:
    any_store: Any = store
    any_upstream: Any = upstream
    return TrustedTime(clock, any_upstream, any_store, known)


async def test_a_process_first_stores_that_its_clock_is_not_known() -> None:
    store = Corrections(refusals=3)
    async with asyncio.timeout(10):
        await trusted(FixedClock(1000.0), store).begin()
    assert store.stored == [Correction(Steady(1000.0), 0.0, placed=False)]
    await trusted(FixedClock(2000.0), store, known=store.stored).begin()
    assert len(store.stored) == 1  # it covers the times of both processes


async def test_the_first_submission_waits_until_the_time_is_stored() -> None:
    store, upstream = Corrections(), Higgsfield(1000.0, reachable=False)
    time = trusted(FixedClock(1000.0), store, upstream)
    submissions = [asyncio.create_task(time.learn()) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(submission.done() for submission in submissions)
    upstream.reachable.set()
    async with asyncio.timeout(10):
        await asyncio.gather(*submissions)
    assert store.stored == [Correction(Steady(1000.0), 0.0)]
    await time.learn()
    assert upstream.asked == 1


async def test_a_submission_goes_out_without_the_time_if_higgsfield_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trusted_time, "LEARN_TIMEOUT", 0.0)
    upstream = Higgsfield(1000.0, reachable=False)
    time = trusted(FixedClock(1000.0), Corrections(), upstream)
    async with asyncio.timeout(10):
        await asyncio.gather(time.learn(), time.learn())
        await time.learn()
    assert upstream.asked <= 1


async def test_the_first_correction_holds_since_the_start_and_later_ones_from_then_on() -> None:
    clock, store, upstream = FixedClock(1000.0), Corrections(), Higgsfield(600.0)
    time = trusted(clock, store, upstream)
    clock.now = 1100.0
    await time.learn()
    clock.now = 2000.0
    await time.before(10.0)
    assert store.stored == [Correction(Steady(1000.0), 500.0), Correction(Steady(2000.0), 1400.0)]


async def test_higgsfields_time_is_not_known_before_it_is_stored() -> None:
    """The next process would measure the times of this one by another clock."""
    clock, store = FixedClock(1000.0), Corrections(refusals=1)
    time = trusted(clock, store, Higgsfield(600.0))
    await time.learn()
    assert time.higgsfield_now() is None
    clock.now = 1100.0
    await time.before(10.0)
    assert time.higgsfield_now() == 600.0
    assert store.stored == [Correction(Steady(1000.0), 500.0)]


async def test_no_wait_since_a_time_of_unknown_age_is_over() -> None:
    known = [Correction(Steady(at), 0.0, placed=at != 500.0) for at in (100.0, 500.0)]
    time = trusted(FixedClock(1000.0), Corrections(), Higgsfield(1000.0), known)
    await time.begin()
    assert [await time.is_over(Steady(at), 10.0) for at in (499.0, 500.0, 600.0)] == [True, False, False]


async def test_a_wait_that_began_before_corrections_were_stored_is_as_long_as_higgsfield_says() -> None:
    time = trusted(FixedClock(1000.0), Corrections(), Higgsfield(500.0))
    assert [await time.is_over(Steady(at), 10.0) for at in (490.0, 600.0)] == [True, False]


async def test_no_window_since_a_time_of_unknown_age_is_open() -> None:
    known = [Correction(Steady(at), 0.0, placed=at != 500.0) for at in (100.0, 500.0, 800.0)]
    time = trusted(FixedClock(1000.0), Corrections(), Higgsfield(1000.0), known)
    await time.begin()
    assert await time.is_open(Steady(400.0), 3600.0)
    assert await time.is_open(Steady(600.0), 3600.0) is False
    assert await time.is_open(Steady(900.0), 3600.0)


async def test_no_window_since_a_time_in_higgsfields_future_is_open() -> None:
    """It was stored by a clock that was wrong then, so its age is unknown."""
    known = [Correction(Steady(100.0), 0.0)]
    time = trusted(FixedClock(10_000.0), Corrections(), Higgsfield(5_000.0), known)
    assert await time.is_open(Steady(9_000.0), 7_200.0) is False
    assert await time.is_open(Steady(4_000.0), 7_200.0)


def test_only_the_present_process_counts_for_a_time_of_unknown_age() -> None:
    clock = FixedClock(1000.0)
    known = [Correction(Steady(100.0), 0.0), Correction(Steady(500.0), 0.0, placed=False)]
    time = trusted(clock, Corrections(), Higgsfield(1000.0), known)
    clock.now += 50.0
    assert [time.seen_from(Steady(since)).steady for since in (400.0, 600.0, 1020.0)] == [1050.0, 650.0, 1050.0]


@pytest.mark.parametrize(("ahead", "seen"), [(-500.0, 500.0), (500.0, 1000.0)])
async def test_a_wait_that_another_clock_began_is_as_long_as_both_clocks_say(ahead: float, seen: float) -> None:
    time = trusted(FixedClock(1000.0), Corrections(), Higgsfield(1000.0), [Correction(Steady(100.0), ahead)])
    await time.learn()
    assert time.seen_from(Steady(400.0)).steady == seen


async def learned() -> tuple[FixedClock, Higgsfield, TrustedTime]:
    """Return a clock and a Higgsfield that agree, and a trusted time that knows it."""
    clock, upstream = FixedClock(1_000.0), Higgsfield(1_000.0)
    time = trusted(clock, Corrections(), upstream)
    await time.begin()
    await time.learn()
    return clock, upstream, time


async def test_no_window_is_open_by_a_clock_that_may_have_stood_still() -> None:
    clock, upstream, time = await learned()
    since = Steady(clock.now)
    clock.now += 100.0
    clock.right = False
    upstream.now += 108_000.0
    assert await time.is_open(since, 3_600.0) is False


async def test_a_call_without_a_response_does_not_confirm_the_clock() -> None:
    class Clock(FixedClock):
        async def wait(self, signal: "asyncio.Future[None]", seconds: float | None) -> None:
            await (signal if seconds is None else asyncio.sleep(0))

    async def no_answer() -> Wall:
        upstream.asked += 1
        raise upstream_unavailable("no answer")

    store, upstream = Corrections(), Higgsfield(1000.0)
    upstream.time = no_answer  # type: ignore[method-assign]
    time = trusted(Clock(1000.0), store, upstream)
    await time.begin()
    running = asyncio.create_task(time.run())
    await asyncio.sleep(0)
    time.note_date(None)
    async with asyncio.timeout(10):
        while not upstream.asked and len(store.stored) == 1:
            await asyncio.sleep(0)
    running.cancel()
    assert (store.stored, time.higgsfield_now()) == ([Correction(Steady(1000.0), 0.0, placed=False)], None)


async def test_a_date_that_comes_in_the_pause_after_a_call_without_a_response_is_used() -> None:
    """No other one may come: the process may be idle from then on."""
    clock, store, higgsfield = PausedClock(1000.0), Corrections(), Silent()
    time = trusted(clock, store, higgsfield)
    running = asyncio.create_task(time.run())
    try:
        async with asyncio.timeout(10):
            await clock.waits.acquire()
            time.note_date(None)
            await clock.waits.acquire()  # its own call got no response either
            assert higgsfield.asked == 1
            time.note_date(Wall(1000.0))
            clock.pause.set()
            while not store.stored:
                await asyncio.sleep(0)
        assert store.stored == [Correction(Steady(1000.0), 0.0)]
    finally:
        running.cancel()


async def test_many_steps_ask_a_silent_higgsfield_for_the_time_once() -> None:
    """Each call may take a minute, and the follower takes no other steps while all of its own wait for it."""
    clock, upstream = FixedClock(1000.0), Higgsfield(1000.0)

    async def no_answer() -> Wall:
        upstream.asked += 1
        await asyncio.sleep(0)
        clock.now += 60.0
        raise upstream_unavailable("no answer in time")

    upstream.time = no_answer  # type: ignore[method-assign]
    time = trusted(clock, Corrections(), upstream)
    steps = [time.is_over(Steady(0.0), 10.0) for _ in range(20)]
    assert not any(await asyncio.gather(*steps))
    assert upstream.asked == 1


async def test_a_window_is_over_after_a_pause_of_the_machine_that_only_higgsfield_saw() -> None:
    """The gateway's clocks stood still together, and its wall clock was put right long ago, so they agree."""
    clock, upstream, time = await learned()
    since = Steady(clock.now)
    clock.now += 100.0
    upstream.now += 100.0
    assert await time.is_open(since, 3_600.0)
    assert await time.is_open(since, 99.0) is False
    clock.now += 100.0
    upstream.now += 108_000.0
    await time.before(10.0)  # asks for the time
    assert await time.is_open(since, 3_600.0) is False
    assert await time.is_open(Steady(clock.now), 3_600.0)


def test_the_log_asks_to_check_the_wall_clock_once_while_it_is_wrong(caplog: pytest.LogCaptureFixture) -> None:
    clock, now = FixedClock(200_000.0), Wall(200_000.0)
    time = trusted(clock, Corrections(), Higgsfield(now), [Correction(Steady(0.0), 86_400.0)])
    time.note_date(now)  # the wall clock is right, although steady time was ahead before
    assert not caplog.records
    for clock.wall_ahead in (-90.0, -91.0, 0.0, 3_600.0):
        clock.now, now = clock.now + 60.0, Wall(now + 60.0)
        time.note_date(now)
    assert [record.__dict__["seconds_ahead"] for record in caplog.records] == [-90, 3_600]


def test_servers_of_higgsfield_whose_clocks_differ_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    now = Wall(200_000.0)
    time = trusted(FixedClock(now), Corrections(), Higgsfield(now))
    for ahead in (0.0, 90.0) * 10:
        time.note_date(Wall(now + ahead))
    assert [record.__dict__["seconds_ahead"] for record in caplog.records] == [-90]
