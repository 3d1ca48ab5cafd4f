"""The ledger: every call that clients made and every charge, by which tests and benchmarks judge a client."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

_EARLY_TOLERANCE = 0.05
"""Seconds by which a client may ignore a Retry-After: clocks and timers are not exact."""


@dataclass(frozen=True)
class Submission:
    """One POST of a submission, accepted or not."""

    at: float
    model: str
    prompt: str
    idempotency_key: str | None
    webhook: str | None
    outcome: str
    """The HTTP status sent, or the name of the fault that took its place."""

    processed: bool
    """Whether the sandbox processed the call, even if the client received no response."""

    replayed: bool
    """Whether its idempotency key was known, so that nothing was created."""

    request_id: str | None


@dataclass(frozen=True)
class Training:
    """One POST of a character, accepted or not."""

    at: float
    name: str
    outcome: str
    """The HTTP status sent, or the name of the fault that took its place."""

    processed: bool
    character_id: str | None


@dataclass(frozen=True)
class Charge:
    """Credits taken for one created request."""

    at: float
    request_id: str
    model: str
    prompt: str
    credits: Decimal


@dataclass(frozen=True)
class Refund:
    """Credits given back, and the reason."""

    at: float
    request_id: str
    credits: Decimal
    reason: str


@dataclass(frozen=True)
class Operation:
    """A cancel or delete call. `outcome` is the HTTP status or the name of a fault."""

    at: float
    request_id: str
    outcome: str


@dataclass(frozen=True)
class AgentMessage:
    """One POST of a message to an agent, accepted or not. `outcome` is the HTTP status or the name of a fault."""

    at: float
    session_id: str
    text: str
    outcome: str
    message_id: str | None
    """None if the message was not accepted, and not charged."""


@dataclass(frozen=True)
class AgentCharge:
    """Credits taken for one message."""

    at: float
    session_id: str
    message_id: str
    credits: Decimal


@dataclass(frozen=True)
class WebhookAttempt:
    """One attempt to deliver a webhook. Path and query are recorded as a SHA-256, because they may contain a secret."""

    at: float
    request_id: str
    receiver: str
    path_digest: str
    webhook_id: str
    attempt: int
    outcome: str
    """The HTTP status of the receiver, `timeout`, or the name of the network error."""


class Ledger:
    """The record of all calls and charges. Entries are only added."""

    def __init__(self) -> None:
        self.submissions: list[Submission] = []
        self.charges: list[Charge] = []
        self.refunds: list[Refund] = []
        self.cancels: list[Operation] = []
        self.deletes: list[Operation] = []
        self.agent_messages: list[AgentMessage] = []
        self.agent_charges: list[AgentCharge] = []
        self.agent_reads: Counter[str] = Counter()
        """The number of reads of each session's messages."""

        self.webhook_attempts: list[WebhookAttempt] = []
        self.lost_webhooks: list[str] = []
        """The ids of requests whose webhook was dropped on purpose."""

        self.status_calls: Counter[str] = Counter()
        self.list_calls: Counter[str] = Counter()
        """The number of calls for each list (models, motions and so on)."""

        self.trainings: list[Training] = []
        self.character_calls: Counter[str] = Counter()
        """The number of GETs of each character."""

        self.uploads = 0
        self.credentials_sent_to_storage = 0
        self.credentials_seen_ok = 0
        self.credentials_seen_bad = 0
        self.foreign_headers: Counter[str] = Counter()
        self.ignored_retry_after = 0
        self.peak_running = 0
        self.peak_calls = 0
        self.peak_calls_per_second = 0
        self._this_second = (0, 0)
        self._not_before: dict[str, float] = {}

    def record_retry_after(self, retry_key: str, until: float) -> None:
        """Record that a call was answered with a Retry-After: a retry before the time `until` ignores it."""
        self._not_before[retry_key] = until

    def record_call(self, retry_key: str, at: float) -> None:
        """Count a call, and whether it ignores the Retry-After of an earlier one."""
        second, calls = self._this_second
        self._this_second = (int(at), calls + 1 if int(at) == second else 1)
        self.peak_calls_per_second = max(self.peak_calls_per_second, self._this_second[1])
        until = self._not_before.pop(retry_key, None)
        if until is not None and at < until - _EARLY_TOLERANCE:
            self.ignored_retry_after += 1

    @property
    def double_charged_prompts(self) -> dict[str, int]:
        """Prompts with more than one charge, refunded or not. Tests use a unique prompt for each generation."""
        counts = Counter(charge.prompt for charge in self.charges)
        return {prompt: count for prompt, count in counts.items() if count > 1}

    def summary(self) -> dict[str, Any]:
        """Return the totals."""
        return {
            "submissions_seen": len(self.submissions),
            "submissions_processed": sum(submission.processed for submission in self.submissions),
            "charge_count": len(self.charges),
            "refund_count": len(self.refunds),
            "charged_credits": str(sum((charge.credits for charge in self.charges), Decimal(0))),
            "refunded_credits": str(sum((refund.credits for refund in self.refunds), Decimal(0))),
            "status_calls": self.status_calls.total(),
            "list_calls": dict(self.list_calls),
            "trainings_seen": len(self.trainings),
            "character_calls": self.character_calls.total(),
            "cancel_calls": len(self.cancels),
            "delete_calls": len(self.deletes),
            "agent_messages_seen": len(self.agent_messages),
            "agent_charge_count": len(self.agent_charges),
            "agent_charged_credits": str(sum((charge.credits for charge in self.agent_charges), Decimal(0))),
            "agent_reads": self.agent_reads.total(),
            "webhook_deliveries": len({attempt.webhook_id for attempt in self.webhook_attempts}),
            "webhook_attempts": len(self.webhook_attempts),
            "webhook_lost": len(self.lost_webhooks),
            "uploads": self.uploads,
            "credentials_sent_to_storage": self.credentials_sent_to_storage,
            "peak_running": self.peak_running,
            "peak_calls": self.peak_calls,
            "peak_calls_per_second": self.peak_calls_per_second,
            "ignored_retry_after": self.ignored_retry_after,
            "double_charged_prompts": self.double_charged_prompts,
            "credentials_seen_ok": self.credentials_seen_ok,
            "credentials_seen_bad": self.credentials_seen_bad,
            "foreign_headers": dict(self.foreign_headers),
        }

    def entries(self) -> dict[str, Any]:
        """Return all records as JSON, oldest first. Credits are decimal strings."""
        return {
            "submissions": [asdict(submission) for submission in self.submissions],
            "trainings": [asdict(training) for training in self.trainings],
            "charges": [asdict(charge) | {"credits": str(charge.credits)} for charge in self.charges],
            "refunds": [asdict(refund) | {"credits": str(refund.credits)} for refund in self.refunds],
            "cancels": [asdict(cancel) for cancel in self.cancels],
            "deletes": [asdict(delete) for delete in self.deletes],
            "agent_messages": [asdict(message) for message in self.agent_messages],
            "agent_charges": [asdict(charge) | {"credits": str(charge.credits)} for charge in self.agent_charges],
            "webhooks": [asdict(attempt) for attempt in self.webhook_attempts],
            "lost_webhooks": self.lost_webhooks,
        }
