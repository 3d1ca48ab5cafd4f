"""The port `LimitStore` on PostgreSQL. Claims and saves change the use in their statements."""

from collections.abc import Mapping

from gateway.generations.limits.model import Limits
from gateway.store.postgres.database import StorePart
from gateway.store.reads import LimitReads, matching
from gateway.store.rows import limits_row


class PostgresLimits(StorePart, LimitReads):
    """The methods are described in `gateway/generations/stores.py`."""

    async def set_limits(self, tenant: str, subject: str, limits: Limits, day: str) -> None:
        named: dict[str, object] = {"tenant": tenant, "subject": subject}
        audit = {"audit": self._auditor.limits(tenant, subject, limits)}
        if limits == Limits():
            await self._write("limits", "delete_limits", named | audit)
            return
        row = named | limits_row(limits) | audit
        while not (await self._write("limits", "set_limits", row))["stored"]:
            # Claims and saves of all processes wait, so that each is counted either in the new row or by the next read.
            await self._write("limits", "begin_use", named | {"day": day}, lock="lock_limits")
            earlier = await self._earlier_use(matching(tenant, subject) | named)
            if earlier and (await self._write("limits", "set_new_limits", {**row, **earlier}))["written"]:
                return

    async def _earlier_use(self, found: Mapping[str, object]) -> Mapping[str, object]:
        """Return what the use lacks; nothing if the row was deleted."""
        return next(iter(await self._rows("read_earlier_use", **found)), {})
