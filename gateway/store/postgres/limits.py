"""The port `LimitStore` on PostgreSQL. Claims and saves change the use in their statements."""

from collections.abc import Sequence

from gateway.generations.limits import Limited, Limits, parts
from gateway.store.limits import limited_of, limits_row
from gateway.store.postgres.database import StorePart


class PostgresLimits(StorePart):
    """The methods are described in `gateway/generations/stores.py`."""

    async def set_limits(self, tenant: str, subject: str, limits: Limits, day: str) -> None:
        named = {"tenant": tenant, "subject": subject, "audit": self._auditor.limits(tenant, subject, limits)}
        if limits == Limits():
            await self._write("limits", "delete_limits", named)
            return
        kind, name, value = parts(subject)
        row = named | limits_row(limits) | {"kind": kind, "name": name, "value": value}
        row |= {"day": day, "since": f"{day[:7]}-01"}
        # Claims and saves of all processes wait, so that each is counted either here or in the new row.
        await self._write("limits", "set_limits", row, lock="lock_limits")

    async def limits(self) -> Sequence[Limited]:
        return [limited_of(row) for row in await self._rows("read_limits")]

    async def uncertain_credits(self, tenant: str, subject: str) -> int:
        kind, name, value = parts(subject)
        row = await self._one("sum_uncertain", tenant=tenant, kind=kind, name=name, value=value)
        return 0 if row is None else int(row["credits"])
