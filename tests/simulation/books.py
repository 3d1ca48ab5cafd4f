"""The books of budgets: compares the sums beside the limits with the generations, in every commit, and at the end with
Higgsfield's ledger."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gateway.generations.limits.model import parse_credits, subjects
from gateway.generations.model import ENDED, State
from tests.simulation.higgsfield import Ledger, price_of

PRICE_OF_V1 = "1.5"
"""The configured price of requests to the v1 API, which has no estimates."""
TENANTS = ("tenant-0", "tenant-1")
COLUMNS = (
    "tenant, subject, credits_per_day, credits_per_month, submissions_per_minute, in_flight, concurrency_share, minute,"
    " submissions, day, running, day_reserved, day_spent, month_reserved, month_spent"
)
"""The columns of `Row`."""


@dataclass(frozen=True)
class Entry:
    """A generation that was stored at some time, also if it was deleted since. Its price is in millionths."""

    subjects: frozenset[tuple[str, str]]
    """The tenant with the name of each subject whose limits apply to it."""
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


@dataclass(frozen=True)
class Row:
    """The limits of a subject and what is used of them, as they are stored."""

    tenant: str
    name: str
    credits_per_day: int | None
    credits_per_month: int | None
    submissions_per_minute: int | None
    in_flight: int | None
    concurrency_share: int | None
    minute: int
    submissions: int
    day: str
    running: int
    day_reserved: int
    day_spent: int
    month_reserved: int
    month_spent: int

    @property
    def subject(self) -> tuple[str, str]:
        """The tenant, and the name of the subject."""
        return self.tenant, self.name

    @property
    def use(self) -> tuple[int, int, int, int, int]:
        """The sums."""
        return self.running, self.day_reserved, self.day_spent, self.month_reserved, self.month_spent

    @property
    def limits(self) -> tuple[int | None, ...]:
        """The limits. Without any, the sums are incomplete: what was stored before is not counted yet."""
        return (
            self.credits_per_day, self.credits_per_month, self.submissions_per_minute, self.in_flight,
            self.concurrency_share,
        )  # fmt: skip


@dataclass
class Deleted:
    """The generations of a subject that were deleted before its limits were set."""

    not_counted: set[str]
    """Deleted before the gateway began to count."""
    perhaps: list[str]
    """Deleted while it read what was stored before, in their order. It has counted those after some of them."""
    counting: bool = True
    """Whether the limits are not set yet."""


class Books:
    """The entries of a run without restores. `wrong` gets a text for each violation; `today` returns the true date."""

    def __init__(self, wrong: list[str], today: Callable[[], str]) -> None:
        self._wrong = wrong
        self._today = today
        self._entries: dict[str, Entry] = {}
        self._stored: set[str] = set()
        self._deleted: dict[tuple[str, str], Deleted] = {}
        self._rows: dict[tuple[str, str], Row] = {}

    def check(self, connection: sqlite3.Connection) -> None:
        """Compare the sums with the generations, inside a transaction that is about to be committed."""
        before, self._stored = self._stored, set()
        claimed: dict[tuple[str, str], list[bool]] = {}
        for name, tenant, labels, state, price, day, request_id, stray, elsewhere in connection.execute(
            "SELECT id, tenant, labels, state, price, coalesce(budget_day, ''), request_id, stray_request_id,"
            " adopted OR substr(idempotency_key, 1, 9) = 'resolved ' FROM generations"
        ):
            self._stored.add(name)
            given = json.loads(labels) if isinstance(labels, str) else labels  # PostgreSQL returns an object
            own = frozenset((tenant, subject) for subject in subjects("", given))
            if name not in self._entries and not elsewhere:
                for subject in own:
                    claimed.setdefault(subject, []).append(price is not None)
            self._entries[name] = Entry(own, State(state), price or 0, day, bool(request_id), bool(stray))
        rows = [Row(*values) for values in connection.execute(f"SELECT {COLUMNS} FROM limits")]
        self._deleted = {row.subject: self._deleted[row.subject] for row in rows if row.subject in self._deleted}
        for row in rows:
            self._check_sums(row, sorted(before - self._stored))
            earlier = self._rows.get(row.subject)
            if row.subject in claimed and earlier is not None and earlier.limits == row.limits:
                self._check_claims(earlier, row, claimed[row.subject])  # the limits were not set in the same commit
        self._rows = {row.subject: row for row in rows}

    def _check_sums(self, row: Row, just_deleted: Sequence[str]) -> None:
        gone = {name for name, one in self._entries.items() if row.subject in one.subjects} - self._stored
        deleted = self._deleted.setdefault(row.subject, Deleted(gone, []))
        if deleted.counting:
            deleted.perhaps += [name for name in just_deleted if name in gone - deleted.not_counted]
        if not any(limit is not None for limit in row.limits):
            return
        if deleted.counting:
            deleted.counting = False
            while self._expected(row, deleted) != row.use and deleted.perhaps:
                deleted.not_counted.add(deleted.perhaps.pop(0))
        for name in gone - deleted.not_counted:
            if not self._entries[name].day:  # it was deleted before the first day
                self._entries[name] = replace(self._entries[name], day=row.day)
        if row.use != (expected := self._expected(row, deleted)):
            self._wrong.append(f"{row.subject} has used {row.use}, and not {expected}")
        if row.day > self._today():
            self._wrong.append(f"{row.subject} has begun the day {row.day} too early")

    def _check_claims(self, before: Row, row: Row, claimed: Sequence[bool]) -> None:
        """Check that new generations of a subject have a price, and are within its limits."""
        counted = len(claimed) + (before.submissions if before.minute == row.minute else 0)
        if any(limit is not None for limit in row.limits) and row.submissions != counted:
            self._wrong.append(
                f"{row.subject} has counted {row.submissions} submissions in a minute, and not {counted}"
            )
        if (row.credits_per_day is not None or row.credits_per_month is not None) and not all(claimed):
            self._wrong.append(f"{row.subject} has submitted without a price")
        month = [one for one in self._entries.values() if row.subject in one.subjects and one.day[:7] == row.day[:7]]
        today = [one for one in month if one.day == row.day]
        for allowed, used, extra in (
            (row.submissions_per_minute, row.submissions, 0),
            (row.in_flight, row.running, 0),
            (row.credits_per_day, row.day_reserved + row.day_spent, sum(one.extra for one in today)),
            (row.credits_per_month, row.month_reserved + row.month_spent, sum(one.extra for one in month)),
        ):
            if allowed is not None and used > allowed + extra:
                self._wrong.append(f"{row.subject} has exceeded its limit of {allowed}: {used}")

    def _expected(self, row: Row, deleted: Deleted) -> tuple[int, int, int, int, int]:
        mine = [
            one
            for name, one in self._entries.items()
            if row.subject in one.subjects and (name in self._stored or name not in deleted.not_counted)
        ]
        month = [one for one in mine if one.day[:7] == row.day[:7]]
        today = [one for one in month if one.day == row.day]
        return (
            sum(one.state not in ENDED for one in mine),
            sum(one.reserved for one in today),
            sum(one.spent for one in today),
            sum(one.reserved for one in month),
            sum(one.spent for one in month),
        )

    def compare(self, ledger: Ledger, now: float) -> None:
        """Compare what was spent with what Higgsfield has charged, once all generations have ended.

        Only if all had a budget: otherwise some have no price.
        """
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
