"""The limits that this process knows, and what a submission needs for them: an allowed model, a price, a day.

The store decides, in the commit that claims a submission. What is in memory only says whether a price has to be asked
for before. It is read again if the store refuses a claim because it has no price: a change of limits whose commit had
an unknown outcome may be stored.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from gateway.concurrency import OwnedTasks, uninterrupted
from gateway.errors import Failure, GatewayError, Reason, gateway_unavailable
from gateway.generations.limits.model import (
    TENANT,
    Exceeded,
    Limits,
    SubjectLimits,
    SubmissionTime,
    limit_error,
    subjects,
    utc_date,
)
from gateway.generations.limits.prices import Prices
from gateway.generations.model import Moment
from gateway.generations.ports import Clock
from gateway.generations.read_back import repeated_if_unknown
from gateway.generations.stores import LimitStore, UnconfirmedError, or_store_unavailable
from gateway.generations.trusted_time import TrustedTime


class Budgets:
    """The limits of all tenants, in memory. `stored` are those of the store."""

    def __init__(
        self,
        *,
        store: LimitStore,
        clock: Clock,
        trusted_time: TrustedTime,
        prices: Prices,
        stored: Sequence[SubjectLimits],
    ) -> None:
        self._store = store
        self._clock = clock
        self._trusted_time = trusted_time
        self.prices = prices
        self._limits: dict[str, dict[str, Limits]] = {}
        self._tasks = OwnedTasks()
        self._refreshing = asyncio.Lock()
        self._setting = asyncio.Lock()
        for subject in stored:
            self._limits.setdefault(subject.tenant, {})[subject.subject] = subject.limits

    def is_limited(self, tenant: str) -> bool:
        """Return whether a tenant has any limits."""
        return tenant in self._limits

    def share(self, tenant: str) -> int | None:
        """Return the share of the account's concurrency that a tenant may use, in percent; None if it has no limit."""
        limits = self._limits.get(tenant, {}).get(TENANT)
        return None if limits is None else limits.concurrency_share

    def check_model(self, tenant: str, key_id: str, labels: Mapping[str, str], model_id: str) -> None:
        """Raise NOT_ALLOWED if a limit does not allow the model."""
        for subject, limits in self._applying(tenant, key_id, labels):
            if not limits.allows(model_id):
                raise GatewayError(
                    Failure(
                        Reason.NOT_ALLOWED,
                        f"the {subject.replace(':', ' ', 1)} may not use the model {model_id}",
                        metadata={"limit": "models", "subject": subject, "model_id": model_id},
                    )
                )

    def needs_price(self, tenant: str, key_id: str, labels: Mapping[str, str]) -> bool:
        """Return whether a limit of credits applies to a submission."""
        return any(limits.counts_credits for _, limits in self._applying(tenant, key_id, labels))

    async def learn_time(self) -> None:
        """Learn Higgsfield's time, by which days begin; see `TrustedTime.learn`."""
        await self._trusted_time.learn()

    def submission_time(self, moment: Moment) -> SubmissionTime:
        """Return when a submission is made. Until Higgsfield's time is known, it belongs to the last known day."""
        known = self._trusted_time.higgsfield_now()
        now = moment.steady if known is None else known
        return SubmissionTime("" if known is None else utc_date(known), int(now // 60))

    def refusal(self, exceeded: Exceeded) -> GatewayError:
        """Return the error for a limit that a submission exceeds."""
        known = self._trusted_time.higgsfield_now()
        return limit_error(exceeded, self._clock.moment().steady if known is None else known)

    @uninterrupted
    async def set(self, tenant: str, subject: str, limits: Limits, fields: Collection[str]) -> SubjectLimits:
        """Set these fields of a subject's limits, even if the call is canceled. The others stay as they are stored.

        Returns the limits with their use. Raises GATEWAY_UNAVAILABLE.
        """
        await self.learn_time()
        async with self._setting:  # or of two changes at once, one would be lost
            stored = self._find(await self._read(tenant), tenant, subject).limits
            changed = replace(stored, **{name: getattr(limits, name) for name in fields})
            try:
                day = self.submission_time(self._clock.moment()).day
                await repeated_if_unknown(lambda: self._store.set_limits(tenant, subject, changed, day))
            except UnconfirmedError as error:
                raise gateway_unavailable("the store did not confirm the limits: set them again") from error
            return self._find(self._with_present_use(await self.refresh(tenant)), tenant, subject)

    async def list_limits(self, tenant: str, after: tuple[str, str], limit: int) -> Sequence[SubjectLimits]:
        """Return limits as `LimitStore.limits` does, with their use at present. Raises GATEWAY_UNAVAILABLE."""
        return self._with_present_use(await self._read(tenant, after, limit))

    async def uncertain_credits(self, limited: Sequence[SubjectLimits]) -> Sequence[int]:
        """Return the uncertain credits as `LimitStore.uncertain_credits` does. Raises GATEWAY_UNAVAILABLE."""
        return await or_store_unavailable(self._store.uncertain_credits(limited))

    async def refresh(self, tenant: str) -> Sequence[SubjectLimits]:
        """Read the limits of a tenant again, and return them. Raises GATEWAY_UNAVAILABLE."""
        async with self._refreshing:  # an older reading must not replace a newer one
            stored = await self._read(tenant)
            self._limits.pop(tenant, None)
            if stored:
                self._limits[tenant] = {entry.subject: entry.limits for entry in stored}
        return stored

    async def _read(
        self, tenant: str, after: tuple[str, str] = ("", ""), limit: int | None = None
    ) -> Sequence[SubjectLimits]:
        return await or_store_unavailable(self._store.limits(tenant, after, limit))

    def _with_present_use(self, stored: Sequence[SubjectLimits]) -> Sequence[SubjectLimits]:
        now = self.submission_time(self._clock.moment())
        return [replace(entry, use=entry.use.at(now.day, now.minute)) for entry in stored]

    async def drained(self) -> None:
        """Wait until all changes that were started have finished."""
        await self._tasks.drained()

    @staticmethod
    def _find(of_tenant: Sequence[SubjectLimits], tenant: str, subject: str) -> SubjectLimits:
        found = (entry for entry in of_tenant if entry.subject == subject)
        return next(found, SubjectLimits(tenant, subject, Limits()))

    def _applying(self, tenant: str, key_id: str, labels: Mapping[str, str]) -> Iterator[tuple[str, Limits]]:
        known = self._limits.get(tenant)
        if known is not None:
            for subject in subjects(key_id, labels):
                limits = known.get(subject)
                if limits is not None:
                    yield subject, limits
