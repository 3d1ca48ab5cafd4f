"""The port `LimitStore` on SQLite, and what claims and saves do to the use of limits."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from gateway.generations.limits.model import (
    SPENDING_STATES,
    Limits,
    SubjectLimits,
    Use,
    first_of_month,
    settlement_of,
    subjects_of,
)
from gateway.generations.model import ENDED, Generation, Spec, State
from gateway.generations.stores import Claim
from gateway.store.reads import LimitReads, matching
from gateway.store.rows import limits_row, subject_limits_of, use_row
from gateway.store.sqlite.database import StorePart, append_entry
from gateway.store.sqlite.writer import Effect
from gateway.store.statements import execute

Sql = Mapping[str, str]


class SqliteLimits(StorePart, LimitReads):
    """The methods are described in `gateway/generations/stores.py`."""

    async def set_limits(self, tenant: str, subject: str, limits: Limits, day: str) -> None:
        named = {"tenant": tenant, "subject": subject}
        entry = self._auditor.limits(tenant, subject, limits)

        def write(connection: sqlite3.Connection) -> Effect:
            if limits == Limits():
                if connection.execute(self._sql["delete_limits"], named).rowcount:
                    append_entry(connection, self._sql, entry)
                return None, None
            row = named | limits_row(limits)
            if connection.execute(self._sql["has_limits"], row).fetchone():
                return None, None
            append_entry(connection, self._sql, entry)
            if connection.execute(self._sql["set_limits"], row).rowcount == 0:
                connection.execute(self._sql["insert_limits"], row | self._counted(connection, tenant, subject, day))
            return None, None

        await self._writer.write("limits", write)

    def _counted(self, connection: sqlite3.Connection, tenant: str, subject: str, day: str) -> dict[str, object]:
        found = matching(tenant, subject)
        (running,) = execute(connection, self._sql["count_running"], found).fetchone()
        if not day:
            (last,) = execute(connection, self._sql["read_last_budget_day"], {"tenant": tenant}).fetchone()
            day = last or ""
        begin(connection, self._sql, tenant, day)
        sums = execute(connection, self._sql["sum_prices"], found | {"since": first_of_month(day)})
        return use_row(counted(running, day, [tuple(row) for row in sums]))


def applying(connection: sqlite3.Connection, sql: Sql, spec: Spec) -> Sequence[SubjectLimits]:
    """Return the limits that apply to a generation, and their use."""
    if connection.execute(sql["is_limited"], {"tenant": spec.tenant}).fetchone() is None:
        return ()  # as for most tenants, in a sixth of the time
    wanted = {"tenant": spec.tenant, "subjects": json.dumps(subjects_of(spec))}
    cursor = execute(connection, sql["read_limits_of"], wanted)
    names = [column[0] for column in cursor.description]
    return [subject_limits_of(dict(zip(names, row, strict=True))) for row in cursor]


def begin(connection: sqlite3.Connection, sql: Sql, tenant: str, day: str) -> None:
    """Begin a tenant's first day: what was counted before, while no day was known, belongs to it."""
    if day:
        for name in ("date_use", "date_prices"):
            execute(connection, sql[name], {"tenant": tenant, "day": day})


def reserve(connection: sqlite3.Connection, sql: Sql, claim: Claim, limited: Sequence[SubjectLimits]) -> str | None:
    """Count a new generation in the limits that apply to it. Return the day for which its price is counted."""
    submission_time, price = claim.submission_time, claim.generation.spec.price
    if submission_time is None:
        in_flight = 0 if claim.generation.done else 1
        for subject in limited:
            _store(connection, sql, subject, replace(subject.use, running=subject.use.running + in_flight))
        return None
    uses = [subject.use.at(submission_time.day, submission_time.minute) for subject in limited]
    day = max((use.day for use in uses), default=submission_time.day)
    if any(not subject.use.day for subject in limited):
        begin(connection, sql, claim.generation.spec.tenant, day)
    for one, use in zip(limited, uses, strict=True):
        _store(connection, sql, one, use.at(day, use.minute).claimed(price))
    return day if price is not None else None


def settle(connection: sqlite3.Connection, sql: Sql, before: Generation, after: Generation) -> None:
    """Change the use of the limits that apply to a generation, if its new version settles anything."""
    found = settlement_of(before, after)
    if found is None:
        return
    limited = applying(connection, sql, after.spec)
    if not limited:
        return
    (day,) = execute(connection, sql["read_budget_day"], {"id": after.id}).fetchone()
    for subject in limited:
        _store(connection, sql, subject, subject.use.settled(found, day or ""))


def counted(running: int, day: str, sums: Iterable[tuple[str, int, int, int]]) -> Use:
    """Return the use on a day from the prices of generations in its month, summed by day and state.

    The last sum is that of stray requests, which are spent in any state.
    """
    use = Use(running=running, day=day)
    for submitted, state, price, again in sums:
        if submitted[:7] != day[:7]:
            continue
        spent = again + (price if state in SPENDING_STATES else 0)
        reserved = 0 if State(state) in ENDED else price
        use = replace(use, month_reserved=use.month_reserved + reserved, month_spent=use.month_spent + spent)
        if submitted == day:
            use = replace(use, day_reserved=use.day_reserved + reserved, day_spent=use.day_spent + spent)
    return use


def _store(connection: sqlite3.Connection, sql: Sql, subject: SubjectLimits, use: Use) -> None:
    execute(connection, sql["update_use"], {"tenant": subject.tenant, "subject": subject.subject} | use_row(use))
