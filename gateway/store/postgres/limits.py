"""The port `LimitStore` on PostgreSQL. Claims and saves change the use in their statements."""

from gateway.generations.limits.model import Limits, first_of_month
from gateway.store.postgres.database import StorePart
from gateway.store.reads import LimitReads, matching
from gateway.store.rows import limits_row


class PostgresLimits(StorePart, LimitReads):
    """The methods are described in `gateway/generations/stores.py`."""

    async def set_limits(self, tenant: str, subject: str, limits: Limits, day: str) -> None:
        named = {"tenant": tenant, "subject": subject, "audit": self._auditor.limits(tenant, subject, limits)}
        if limits == Limits():
            await self._write("limits", "delete_limits", named)
            return
        row = named | matching(tenant, subject) | limits_row(limits)
        row |= {"day": day, "since": first_of_month(day)}
        # Claims and saves of all processes wait, so that each is counted either here or in the new row.
        await self._write("limits", "set_limits", row, lock="lock_limits")
