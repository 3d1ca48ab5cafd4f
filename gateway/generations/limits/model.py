"""Limits of tenants, API keys and labels: what they allow, what is used, and the decision about one submission.

docs/budgets.md specifies them. The store applies these functions in the commits of claims and of changes.

Credits are whole millionths, so that no sum is ever rounded. A *subject* is what a limit is about, as text: "tenant",
"key:ID" or "label:NAME=VALUE". The subjects of a submission are its tenant, its key and each of its labels, and the
limits of all of them apply.

The use of a subject is a sum over the generations that match it: those in flight, and the prices of those that were
submitted in the present day and month. The store keeps the sum beside the limit and changes it in the commits that
change the generations, so that a claim reads one row instead of all generations, and retention takes nothing from it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from functools import lru_cache
from typing import NamedTuple

from gateway.errors import Failure, GatewayError, Reason
from gateway.frozen import frozen
from gateway.generations.model import Generation, Spec, State

MILLION = 1_000_000
MAX_CREDITS = 1_000_000_000
"""Credits of a limit or a price at most, so that every sum fits into 64 bits."""
TENANT = "tenant"
SPENDING_STATES = frozenset({State.COMPLETED, State.LOST})
"""The final states that spend what was reserved. A LOST generation may have been charged. All others release it."""


@frozen
class Limits:
    """What a subject may do; None: no limit. Credits are millionths.

    `concurrency_share` is in percent of the account's concurrency limit. `models` are prefixes of model ids; none
    allows every model.
    """

    credits_per_day: int | None = None
    credits_per_month: int | None = None
    submissions_per_minute: int | None = None
    in_flight: int | None = None
    concurrency_share: int | None = None
    models: tuple[str, ...] = ()

    @property
    def counts_credits(self) -> bool:
        """Whether a submission needs a price."""
        return self.credits_per_day is not None or self.credits_per_month is not None

    def allows(self, model_id: str) -> bool:
        """Return whether a model may be used."""
        return not self.models or model_id.startswith(self.models)


@frozen
class Use:
    """What is used of the limits of a subject. Credits are millionths.

    `submissions` counts those of `minute`, the number of a minute since the epoch. `running` counts generations that
    have not ended. `day` is a UTC date as text, "" before the first one. The month is that of the day. Credits are
    reserved by a submission, and spent or released when its generation ends.
    """

    minute: int = 0
    submissions: int = 0
    running: int = 0
    day: str = ""
    day_reserved: int = 0
    day_spent: int = 0
    month_reserved: int = 0
    month_spent: int = 0

    def at(self, day: str, minute: int) -> "Use":
        """Return the use at a later day and minute. A day never goes back, whatever the clock says.

        What was counted before the first day belongs to it.
        """
        use = self
        # A minute in the future is that of a process whose clock was wrong, unless it is only the next one.
        if minute > self.minute or minute < self.minute - 1:
            use = replace(use, minute=minute, submissions=0)
        if not self.day:
            use = replace(use, day=day)
        elif day > self.day:
            use = replace(use, day=day, day_reserved=0, day_spent=0)
            if day[:7] != self.day[:7]:
                use = replace(use, month_reserved=0, month_spent=0)
        return use

    def claimed(self, price: int | None) -> "Use":
        """Return the use with one more generation, which reserves its price."""
        reserved = price or 0
        return replace(
            self,
            submissions=self.submissions + 1,
            running=self.running + 1,
            day_reserved=self.day_reserved + reserved,
            month_reserved=self.month_reserved + reserved,
        )

    def settled(self, settlement: "Settlement", day: str) -> "Use":
        """Return the use after a generation has changed that was submitted on `day`."""
        use = replace(self, running=self.running - settlement.ended)
        if day == use.day:
            use = replace(
                use,
                day_reserved=use.day_reserved - settlement.released,
                day_spent=use.day_spent + settlement.spent,
            )
        if day[:7] == use.day[:7]:
            use = replace(
                use,
                month_reserved=use.month_reserved - settlement.released,
                month_spent=use.month_spent + settlement.spent,
            )
        return use


@frozen
class SubjectLimits:
    """A subject of a tenant with its limits and their use."""

    tenant: str
    subject: str
    limits: Limits
    use: Use = Use()


@frozen
class SubmissionTime:
    """The UTC date of a submission, "" if it is not known, and the number of its minute since the epoch."""

    day: str
    minute: int


class Settlement(NamedTuple):
    """What a change of a generation does to the use of its subjects.

    `ended` is 1 if it ended. `released` is no longer reserved, and `spent` is spent.
    """

    ended: int = 0
    released: int = 0
    spent: int = 0


@frozen
class Exceeded:
    """A limit that a submission would exceed. Numbers are millionths if the limit is about credits."""

    limit: str
    subject: str
    allowed: int
    used: int
    needed: int
    resets_at: datetime | None = None

    @property
    def is_budget(self) -> bool:
        """Whether the limit is about credits."""
        return self.limit.startswith("credits_")

    @property
    def may_fit_later(self) -> bool:
        """Whether the submission fits once less is used. Otherwise no retry helps, for example if the limit is 0."""
        return self.needed <= self.allowed

    @property
    def retryable(self) -> bool:
        """Whether a retry may help soon. A budget comes back in hours."""
        return self.may_fit_later and not self.is_budget


class LimitExceededError(Exception):
    """A claim was refused by a limit. Nothing is stored."""

    def __init__(self, exceeded: Exceeded) -> None:
        super().__init__(exceeded.limit)
        self.exceeded = exceeded


class UnpricedError(Exception):
    """A claim has no price, but a limit of credits applies to it. Nothing is stored."""


def subjects_of(spec: Spec) -> tuple[str, ...]:
    """Return the subjects whose limits apply to a generation."""
    return subjects(spec.key_id, spec.labels)


def subjects(key_id: str, labels: Mapping[str, str]) -> tuple[str, ...]:
    """Return the subjects of a submission with an API key ("" for none) and labels."""
    key = (f"key:{key_id}",) if key_id else ()
    return (TENANT, *key, *(f"label:{name}={value}" for name, value in labels.items()))


def split_subject(subject: str) -> tuple[str, str, str]:
    """Return the kind of a subject, its name, and the value of a label."""
    kind, _, name = subject.partition(":")
    name, _, value = name.partition("=")
    return kind, name, value


def first_exceeded(
    limited: Sequence[SubjectLimits], price: int | None, submission_time: SubmissionTime
) -> Exceeded | None:
    """Return the limit that a submission would exceed for the longest time; None if it fits. Raises UnpricedError."""
    exceeded = _exceeded(limited, price, submission_time)
    return min(exceeded, key=lambda one: (one.may_fit_later, one.retryable), default=None)


def _exceeded(
    limited: Sequence[SubjectLimits], price: int | None, submission_time: SubmissionTime
) -> Iterator[Exceeded]:
    """Yield the limits that a submission would exceed.

    It counts for the last known day, although its subjects may have had their last ones on other days.
    """
    day = max([submission_time.day, *(subject.use.day for subject in limited)])
    for subject in limited:
        limits, use = subject.limits, subject.use.at(day, submission_time.minute)
        if limits.counts_credits and price is None:
            raise UnpricedError
        today, this_month = use.day_reserved + use.day_spent, use.month_reserved + use.month_spent
        for name, allowed, used, needed, resets_at in (
            ("in_flight", limits.in_flight, use.running, 1, None),
            ("submissions_per_minute", limits.submissions_per_minute, use.submissions, 1, _next_minute(use.minute)),
            ("credits_per_day", limits.credits_per_day, today, price or 0, _next_day(use.day)),
            ("credits_per_month", limits.credits_per_month, this_month, price or 0, _next_month(use.day)),
        ):
            if allowed is not None and used + needed > allowed:
                yield Exceeded(name, subject.subject, allowed, used, needed, resets_at)


def settlement_of(before: Generation, after: Generation) -> Settlement | None:
    """Return what a change does to the use of the subjects; None for nothing.

    A stray request of a generation counts as spent, because it may be charged as well. That of a LOST generation
    without a request is the one that was counted when it was lost.
    """
    price = after.spec.price or 0
    if after.done and not before.done:
        return Settlement(1, price, price if after.state in SPENDING_STATES else 0)
    if after.stray_request_id and not before.stray_request_id and price:
        found_later = before.state is State.LOST and not before.request_id
        return None if found_later else Settlement(spent=price)
    return None


def limit_error(exceeded: Exceeded, now: float) -> GatewayError:
    """Return the error for a limit that a submission exceeds: QUOTA_EXCEEDED, or BUDGET_EXCEEDED for credits.

    Only the limit per minute has a time to retry: a budget comes back in hours, and a place when a generation ends.
    """
    shown = format_credits if exceeded.is_budget else str
    left = max(exceeded.allowed - exceeded.used, 0)
    metadata = {
        "limit": exceeded.limit,
        "subject": exceeded.subject,
        "allowed": shown(exceeded.allowed),
        "used": shown(exceeded.used),
        "left": shown(left),
        "needed": shown(exceeded.needed),
    }
    again = ""
    if exceeded.resets_at is not None and exceeded.may_fit_later:
        metadata["resets_at"] = exceeded.resets_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        again = f"; resets at {metadata['resets_at']}"
    whose = exceeded.subject.replace(":", " ", 1)
    what = exceeded.limit.replace("_", " ")
    message = (
        f"{what} of the {whose}: limit {shown(exceeded.allowed)}, used {shown(exceeded.used)}, "
        f"this submission needs {shown(exceeded.needed)}{again}"
    )
    soon = exceeded.limit == "submissions_per_minute" and exceeded.may_fit_later
    return GatewayError(
        Failure(
            Reason.BUDGET_EXCEEDED if exceeded.is_budget else Reason.QUOTA_EXCEEDED,
            message,
            retryable=exceeded.retryable,
            retry_after=max(exceeded.resets_at.timestamp() - now, 0.1) if soon and exceeded.resets_at else None,
            metadata=metadata,
        )
    )


def parse_credits(text: str) -> int:
    """Parse an amount of credits, a decimal number, into millionths, rounded up. Raises ValueError."""
    try:
        value = Decimal(text)
        if not 0 <= value <= MAX_CREDITS:
            raise ValueError
    except (InvalidOperation, ValueError):
        raise ValueError(f"must be a decimal number of credits from 0 to {MAX_CREDITS}") from None
    return int((value * MILLION).to_integral_value(ROUND_CEILING))


def format_credits(millionths: int) -> str:
    """Return millionths of a credit as a decimal number without trailing zeros."""
    whole, part = divmod(abs(millionths), MILLION)
    text = f"{whole}.{part:06}".rstrip("0").rstrip(".")
    return f"-{text}" if millionths < 0 else text


def encode_models(models: tuple[str, ...]) -> str:
    """Return prefixes of model ids as they are stored."""
    return json.dumps(models) if models else ""


def decode_models(text: str) -> tuple[str, ...]:
    """Return the prefixes in a stored text."""
    return tuple(json.loads(text)) if text else ()


@lru_cache(maxsize=4)
def _day_of(number: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=number)).strftime("%Y-%m-%d")


def utc_date(seconds: float) -> str:
    """Return the UTC date of a time in seconds since the epoch."""
    return _day_of(int(seconds // 86_400))


def _next_minute(minute: int) -> datetime:
    return datetime.fromtimestamp((minute + 1) * 60, UTC)


def _next_day(day: str) -> datetime | None:
    return datetime.fromisoformat(f"{day}T00:00:00+00:00") + timedelta(days=1) if day else None


def first_of_month(day: str) -> str:
    """Return the first day of the month of a day; "" before the first day."""
    return f"{day[:7]}-01" if day else ""


def _next_month(day: str) -> datetime | None:
    if not day:
        return None
    year, month = int(day[:4]), int(day[5:7])
    return datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
