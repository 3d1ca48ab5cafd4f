"""The port `LimitStore` on PostgreSQL. Claims and saves change the use in their statements."""

from gateway.store.postgres.database import StorePart
from gateway.store.writes import LimitWrites


class PostgresLimits(StorePart, LimitWrites):
    """The methods are described in `gateway/generations/stores.py`."""

    async def _begin_use(self, tenant: str, subject: str, day: str) -> None:
        row = {"tenant": tenant, "subject": subject, "day": day}
        # Claims and saves of all processes wait, so that each is counted either in the new row or by the next read.
        await self._write("limits", "begin_use", row, lock="lock_limits")
