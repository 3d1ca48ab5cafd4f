"""Repeated removals: no request and no account keeps the others back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from gateway.errors import upstream_unavailable
from gateway.generations.model import GenerationId, RequestId
from gateway.generations.removals import FIRST_PAUSE, MAX_PAUSE, Removals
from gateway.generations.stores import Removal, StoreError
from tests.generations.test_trusted_time import FixedClock


def removal(name: str, account: str = "red") -> Removal:
    return Removal(GenerationId(name), RequestId(name), account, "https://api.example.invalid")


class Higgsfield(FixedClock):
    """A store, an API that refuses the removals in `refused`, and a clock that records the rests of each round.

    The removals in `broken` raise an unexpected error. The first `unreadable` readings of the store fail.
    """

    def __init__(self, *recorded: Removal, refused: Sequence[str] = (), broken: Sequence[str] = ()) -> None:
        super().__init__(1_000.0)
        self.recorded = list(recorded)
        self.refused = refused
        self.broken = broken
        self.unreadable = 0
        self.rounds: list[list[str]] = [[]]
        self.rests: list[float | None] = []

    async def removals(self) -> Sequence[Removal]:
        if self.unreadable:
            self.unreadable -= 1
            raise StoreError("the store cannot be read")
        return list(self.recorded)

    async def removed(self, removal: Removal) -> None:
        self.recorded.remove(removal)

    def can_delete(self, account: str, _origin: str) -> bool:
        return account != "elsewhere"

    async def delete(self, removal: Removal) -> None:
        self.rounds[-1].append(removal.request_id)
        if removal.request_id in self.refused:
            raise upstream_unavailable("refused")
        if removal.request_id in self.broken:
            raise RuntimeError("broken")

    async def wait(self, signal: asyncio.Future[None], seconds: float | None) -> None:
        self.rounds.append([])
        self.rests.append(seconds)
        self.now += seconds or 0.0
        await super().wait(signal, seconds)

    async def run_until(self, done: Any) -> None:
        ports: Any = self
        self.service = Removals(ports, ports, ports)
        running = asyncio.create_task(self.service.run())
        with contextlib.suppress(asyncio.CancelledError):
            async with asyncio.timeout(10):
                while not done():
                    await asyncio.sleep(0)
            running.cancel()
            await running


async def test_a_removal_that_always_fails_keeps_no_other_one_back() -> None:
    higgsfield = Higgsfield(*map(removal, "abc"), refused="a")
    higgsfield.unreadable = 2
    await higgsfield.run_until(lambda: higgsfield.recorded == [removal("a")])


async def test_a_removal_that_is_recorded_while_the_store_is_read_is_repeated() -> None:
    class Busy(Higgsfield):
        async def removals(self) -> Sequence[Removal]:
            before = await super().removals()
            if not self.rests:
                self.recorded.append(removal("a"))
                self.service.wake()
            return before

        async def wait(self, signal: asyncio.Future[None], seconds: float | None) -> None:
            if seconds is None:
                await signal
            await super().wait(signal, seconds)

    higgsfield = Busy()
    await higgsfield.run_until(lambda: ["a"] in higgsfield.rounds and not higgsfield.recorded)


async def test_an_unexpected_error_ends_no_other_removal() -> None:
    higgsfield = Higgsfield(*map(removal, "ab"), removal("c", "blue"), broken="a")
    await higgsfield.run_until(lambda: higgsfield.recorded == [removal("a")])


async def test_an_account_that_fails_is_asked_once_in_each_round_and_delays_no_other() -> None:
    elsewhere = removal("x", "elsewhere")
    higgsfield = Higgsfield(*map(removal, "abc"), removal("d", "blue"), elsewhere, refused="abc")
    await higgsfield.run_until(lambda: len(higgsfield.rests) > 3)
    first, *later = higgsfield.rounds[:3]
    assert len(first) == 2
    assert "d" in first
    assert [len(one) for one in later] == [1, 1]
    assert elsewhere in higgsfield.recorded


async def test_the_pauses_after_failures_grow_to_a_limit() -> None:
    higgsfield = Higgsfield(removal("a"), refused="a")
    await higgsfield.run_until(lambda: len(higgsfield.rests) > 10)
    rests = [seconds or 0.0 for seconds in higgsfield.rests]
    assert FIRST_PAUSE <= rests[0] <= 1.5 * FIRST_PAUSE
    assert 2 * FIRST_PAUSE <= rests[1] <= 3 * FIRST_PAUSE
    assert MAX_PAUSE <= rests[-1] <= 1.5 * MAX_PAUSE


async def test_the_pauses_begin_again_after_a_success() -> None:
    higgsfield = Higgsfield(removal("a"), refused="a")
    rests = higgsfield.rests
    grown = 0

    def fails_again() -> bool:
        nonlocal grown
        if higgsfield.refused == "a" and len(rests) > 5:
            higgsfield.refused = ""
        elif not higgsfield.recorded:
            higgsfield.recorded, higgsfield.refused, grown = [removal("b")], "b", len(rests)
        return grown > 0 and len(rests) > grown + 3

    await higgsfield.run_until(fails_again)
    assert (rests[5] or 0.0) >= 32 * FIRST_PAUSE
    after = [seconds for seconds in rests[grown:] if seconds not in {None, FIRST_PAUSE}]
    assert FIRST_PAUSE <= (after[0] or 0.0) <= 1.5 * FIRST_PAUSE


async def test_a_retry_after_is_kept_and_delays_no_other_account() -> None:
    class Full(Higgsfield):
        def __init__(self, *recorded: Removal) -> None:
            super().__init__(*recorded)
            self.asked: list[tuple[str, float]] = []

        async def delete(self, removal: Removal) -> None:
            self.asked.append((removal.request_id, self.now))
            if self.now < 1_300.0:
                raise upstream_unavailable("full", retry_after=300.0 if removal.account == "red" else 1.0)

    higgsfield = Full(removal("a"), removal("b", "blue"))
    await higgsfield.run_until(lambda: not higgsfield.recorded)
    first, second = [at for name, at in higgsfield.asked if name == "a"]
    assert second - first >= 300.0
    assert len([at for name, at in higgsfield.asked if name == "b"]) > 2
