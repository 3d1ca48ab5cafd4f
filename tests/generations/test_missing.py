"""When 404s to the polls of a generation mean that it is LOST."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gateway.errors import upstream_unavailable
from gateway.generations.model import Generation, Steady, Wall
from gateway.generations.polling.missing import CONFIRM_MISSING, CONFIRMATIONS, GIVE_UP_MISSING, MissingRequests
from gateway.generations.state import Missing
from tests.generations.test_admission import running, waiting
from tests.generations.test_trusted_time import Corrections, FixedClock, Higgsfield, trusted

SINCE = Steady(1_000.0)
STEP = CONFIRM_MISSING / CONFIRMATIONS


class Account:
    """An account whose request `missing` is unknown since SINCE."""

    def __init__(self) -> None:
        self.clock = FixedClock(SINCE)
        self.higgsfield = Higgsfield(SINCE)
        self.reaches = True
        clock: Any = self.clock
        time = trusted(self.clock, Corrections(), self.higgsfield)
        self.requests = MissingRequests(clock, time, lambda _account, _origin: self.reaches)
        self.missing: Generation = replace(running(waiting(1)), missing_since=SINCE)

    def passes(self, seconds: float) -> None:
        self.clock.now += seconds
        self.higgsfield.now += seconds

    def found(self, after: float) -> None:
        """Higgsfield knows another request of the account so many seconds after SINCE."""
        self.passes(after)
        self.requests.found(running(waiting(2)))
        self.passes(-after)

    async def verdicts(self, count: int, every: float = STEP) -> list[Missing | None]:
        """Return what each of so many 404s leads to, the first one a day after SINCE."""
        self.passes(GIVE_UP_MISSING)
        found = []
        for _ in range(count):
            found.append(await self.requests.judge(self.missing))
            self.passes(every)
        return found


LOST = Missing(given_up_since=SINCE)
MANY = CONFIRMATIONS + 1


async def test_a_generation_is_lost_if_its_404s_continue_while_others_are_known() -> None:
    account = Account()
    account.found(GIVE_UP_MISSING / 2)
    assert await account.verdicts(MANY) == [None] * CONFIRMATIONS + [LOST]


async def test_a_few_404s_are_not_enough() -> None:
    account = Account()
    account.found(GIVE_UP_MISSING / 2)
    assert await account.verdicts(CONFIRMATIONS, every=CONFIRM_MISSING) == [None] * CONFIRMATIONS


async def test_many_404s_within_a_short_time_are_not_enough() -> None:
    account = Account()
    account.found(GIVE_UP_MISSING / 2)
    assert await account.verdicts(5 * MANY, every=1.0) == [None] * 5 * MANY


async def test_a_response_just_after_all_became_unknown_does_not_count() -> None:
    account = Account()
    account.found(GIVE_UP_MISSING / 2 - 1.0)
    assert await account.verdicts(MANY) == [None] * MANY


async def test_credentials_that_do_not_reach_the_request_prove_nothing() -> None:
    account = Account()
    account.found(GIVE_UP_MISSING / 2)
    account.reaches = False
    assert await account.verdicts(MANY) == [None] * MANY


async def test_the_404s_of_the_first_day_do_not_count() -> None:
    account = Account()
    account.found(GIVE_UP_MISSING / 2)
    account.passes(GIVE_UP_MISSING - 1.0)
    assert await account.requests.judge(account.missing) is None
    assert account.requests.suspected == {}


async def test_nothing_is_lost_while_the_time_cannot_be_confirmed() -> None:
    account = Account()
    account.found(GIVE_UP_MISSING / 2)

    async def no_answer() -> Wall:
        raise upstream_unavailable("no answer")

    account.higgsfield.time = no_answer  # type: ignore[method-assign]
    assert await account.verdicts(MANY) == [None] * MANY
