"""The books of budgets: compares the sums beside the limits with the generations, in every commit, and at the end with
Higgsfield's ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gateway.generations.limits.model import parse_credits
from gateway.generations.model import ENDED, State
from tests.simulation.higgsfield import Ledger, price_of

PRICE_OF_V1 = "1.5"
"""The configured price of requests to the v1 API, which has no estimates."""
TENANTS = ("tenant-0", "tenant-1")


@dataclass(frozen=True)
class Entry:
    """A generation that was stored at some time, also if it was deleted since. Its price is in millionths."""

    tenant: str
    state: State
    price: int
    day: str
    has_request: bool
    has_stray: bool

    @property
    def reserved(self) -> int:
        """What it must have reserved."""
        return 0 if self.state in ENDED else self.price

    @property
    def extra(self) -> int:
        """What a stray request adds, because it may be charged as well."""
        found_later = self.state is State.LOST and not self.has_request
        return self.price if self.has_stray and not found_later else 0

    @property
    def spent(self) -> int:
        """What it must have spent."""
        return (self.price if self.state in {State.COMPLETED, State.LOST} else 0) + self.extra


class Books:
    """The entries of a run without restores. `wrong` gets a text for each violation; `today` returns the true date."""

    def __init__(self, wrong: list[str], today: Callable[[], str]) -> None:
        self._wrong = wrong
        self._today = today
        self._entries: dict[str, Entry] = {}

    def check(self, connection: sqlite3.Connection) -> None:
        """Compare the sums with the generations, inside a transaction that is about to be committed."""
        columns = "id, tenant, state, coalesce(price, 0), coalesce(budget_day, ''), request_id, stray_request_id"
        for name, tenant, state, price, day, request_id, stray in connection.execute(
            f"SELECT {columns} FROM generations"
        ):
            self._entries[name] = Entry(tenant, State(state), price, day, bool(request_id), bool(stray))
        for tenant, allowed, day, running, reserved, spent in connection.execute(
            "SELECT tenant, credits_per_month, day, running, month_reserved, month_spent FROM limits"
        ):
            for name, one in self._entries.items():
                if one.tenant == tenant and not one.day:  # it was deleted before the first day
                    self._entries[name] = replace(one, day=day)
            mine = [one for one in self._entries.values() if one.tenant == tenant]
            month = [one for one in mine if one.day[:7] == day[:7]]
            expected = (sum(one.reserved for one in month), sum(one.spent for one in month))
            if (reserved, spent) != expected:
                self._wrong.append(f"{tenant} has reserved and spent {reserved, spent}, and not {expected}")
            if running != sum(one.state not in ENDED for one in mine):
                self._wrong.append(f"{tenant} has {running} generations in flight, which is wrong")
            if reserved + spent > allowed + sum(one.extra for one in month):
                self._wrong.append(f"{tenant} has exceeded its budget of {allowed}: {reserved} and {spent}")
            if day > self._today():
                self._wrong.append(f"{tenant} has begun the day {day} too early")

    def compare(self, ledger: Ledger, now: float) -> None:
        """Compare what was spent with what Higgsfield has charged, once all generations have ended."""
        charged = sum(
            parse_credits(price_of(one.prompt) if one.api == "v2" else PRICE_OF_V1)
            for one in ledger.requests.values()
            if one.status(now) == "completed"
        )
        completed = sum(one.price for one in self._entries.values() if one.state is State.COMPLETED)
        spent = sum(one.spent for one in self._entries.values())
        if not completed <= charged <= spent:
            self._wrong.append(f"spent {spent}, of which {completed} completed, but Higgsfield charged {charged}")


def set_budgets(execute: Callable[[str, Sequence[tuple[object, ...]]], object], mark: str, credits: str) -> None:
    """Give each tenant a budget for a month, before the first process starts.

    `execute` executes a statement for each row of parameters, whose place is `mark`.
    """
    execute(
        "INSERT INTO limits (tenant, subject, credits_per_month, models, minute, submissions, running, day,"
        " day_reserved, day_spent, month_reserved, month_spent)"
        f" VALUES ({mark}, 'tenant', {mark}, '', 0, 0, 0, '', 0, 0, 0, 0)",
        [(tenant, parse_credits(credits)) for tenant in TENANTS],
    )
