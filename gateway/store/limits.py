"""The port `LimitStore` on SQLite, and what claims and saves do to the use of limits."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from gateway.generations.limits import (
    SPENDS,
    Limited,
    Limits,
    Use,
    models_in,
    models_text,
    parts,
    settlement,
    subjects_of,
)
from gateway.generations.model import ENDED, Generation, Spec, State
from gateway.generations.stores import Claim
from gateway.store import audit
from gateway.store.codec import Row
from gateway.store.database import StorePart
from gateway.store.statements import execute
from gateway.store.writer import Effect

Sql = Mapping[str, str]
_LIMITS = ("credits_per_day", "credits_per_month", "submissions_per_minute", "in_flight", "concurrency_share")
_USE = (
    "minute", "submissions", "running", "day", "day_reserved", "day_spent", "month_reserved", "month_spent",
)  # fmt: skip


class SqliteLimits(StorePart):
    """The methods are described in `gateway/generations/stores.py`."""

    async def set_limits(self, tenant: str, subject: str, limits: Limits, day: str) -> None:
        named = {"tenant": tenant, "subject": subject}
        entry = self._auditor.limits(tenant, subject, limits)

        def write(connection: sqlite3.Connection) -> Effect:
            if limits == Limits():
                if connection.execute(self._sql["delete_limits"], named).rowcount:
                    audit.append(connection, self._sql, entry)
                return None, None
            row = named | limits_row(limits)
            if connection.execute(self._sql["has_limits"], row).fetchone():
                return None, None
            audit.append(connection, self._sql, entry)
            if connection.execute(self._sql["set_limits"], row).rowcount == 0:
                connection.execute(self._sql["insert_limits"], row | self._counted(connection, tenant, subject, day))
            return None, None

        await self._writer.write("limits", write)

    async def limits(self) -> Sequence[Limited]:
        return [limited_of(row) for row in self._rows("read_limits")]

    async def uncertain_credits(self, tenant: str, subject: str) -> int:
        (row,) = self._rows("sum_uncertain", **_matching(tenant, subject))
        return int(row[0])

    def _counted(self, connection: sqlite3.Connection, tenant: str, subject: str, day: str) -> dict[str, Any]:
        matching = _matching(tenant, subject)
        (running,) = execute(connection, self._sql["count_running"], matching).fetchone()
        if not day:
            (last,) = execute(connection, self._sql["read_last_budget_day"], {"tenant": tenant}).fetchone()
            day = last or ""
        sums = execute(connection, self._sql["sum_prices"], matching | {"since": f"{day[:7]}-01"})
        return asdict(counted(running, day, [tuple(row) for row in sums]))


def applying(connection: sqlite3.Connection, sql: Sql, spec: Spec) -> Sequence[Limited]:
    """Return the limits that apply to a generation, and their use."""
    wanted = {"tenant": spec.tenant, "subjects": json.dumps(subjects_of(spec))}
    cursor = execute(connection, sql["read_limits_of"], wanted)
    names = [column[0] for column in cursor.description]
    return [limited_of(dict(zip(names, row, strict=True))) for row in cursor]


def reserve(connection: sqlite3.Connection, sql: Sql, claim: Claim, limited: Sequence[Limited]) -> str | None:
    """Count a new generation in the limits that apply to it. Return the day for which its price is counted."""
    demand, price = claim.demand, claim.generation.spec.price
    if demand is None:
        in_flight = 0 if claim.generation.done else 1
        for one in limited:
            _store(connection, sql, one, replace(one.use, running=one.use.running + in_flight))
        return None
    uses = [one.use.at(demand.day, demand.minute) for one in limited]
    day = max((use.day for use in uses), default=demand.day)
    for one, use in zip(limited, uses, strict=True):
        _store(connection, sql, one, use.at(day, use.minute).claimed(price))
    return day if price is not None else None


def settle(connection: sqlite3.Connection, sql: Sql, before: Generation, after: Generation) -> None:
    """Change the use of the limits that apply to a generation, if its new version settles anything."""
    found = settlement(before, after)
    if found is None:
        return
    limited = applying(connection, sql, after.spec)
    if not limited:
        return
    (day,) = execute(connection, sql["read_budget_day"], {"id": after.id}).fetchone()
    for one in limited:
        _store(connection, sql, one, one.use.settled(found, day or ""))


def counted(running: int, day: str, sums: Iterable[tuple[str, int, int]]) -> Use:
    """Return the use on a day from the prices of generations in its month, summed by day and state."""
    use = Use(running=running, day=day)
    for submitted, state, price in sums:
        if submitted[:7] != day[:7]:
            continue
        spent = price if state in SPENDS else 0
        reserved = 0 if State(state) in ENDED else price
        use = replace(use, month_reserved=use.month_reserved + reserved, month_spent=use.month_spent + spent)
        if submitted == day:
            use = replace(use, day_reserved=use.day_reserved + reserved, day_spent=use.day_spent + spent)
    return use


def limits_row(limits: Limits) -> dict[str, Any]:
    """Return the columns of limits."""
    return {name: getattr(limits, name) for name in _LIMITS} | {"models": models_text(limits.models)}


def limited_of(row: Row) -> Limited:
    """Return the limits in a row, and their use."""
    limits = Limits(**{name: row[name] for name in _LIMITS}, models=models_in(row["models"]))
    return Limited(row["tenant"], row["subject"], limits, Use(**{name: row[name] for name in _USE}))


def _store(connection: sqlite3.Connection, sql: Sql, one: Limited, use: Use) -> None:
    row = {"tenant": one.tenant, "subject": one.subject} | {name: getattr(use, name) for name in _USE}
    execute(connection, sql["update_use"], row)


def _matching(tenant: str, subject: str) -> dict[str, Any]:
    kind, name, value = parts(subject)
    return {"tenant": tenant, "kind": kind, "name": name, "value": value}
