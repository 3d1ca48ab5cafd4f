"""What can be chosen when a sandbox starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from gateway.sandbox.accounts.settings import AccountSettings

FAULT_KINDS = ("500", "502", "503", "429", "reset", "lost", "hang", "html", "half", "nsfw", "failed")
"""The kinds that may happen by chance; a plan (`faults.py`) knows more."""


@dataclass(frozen=True, kw_only=True)
class SandboxOptions(AccountSettings):
    """Everything about a sandbox that is fixed before its first request, and the terms that each account begins with.

    Times are in seconds of its own clock.
    """

    host: str = "127.0.0.1"
    port: int = 9200
    """0 takes a free one."""

    credentials: str = "sandbox:sandbox"
    """`id:secret`; several, divided by spaces, are several accounts."""

    time_scale: float = 1.0
    latency: float = 0.0
    """Real seconds added to every answer of the API."""

    seed: int = 0
    """Of chance faults and of the look of media. Request ids are always fresh: a client may outlive a sandbox."""

    fail: Mapping[str, float] = field(default_factory=dict)
    """Probability of each kind of `FAULT_KINDS`, for every call on which it makes sense."""

    credits: Decimal = Decimal(1000)

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = sorted(set(self.fail) - set(FAULT_KINDS))
        if unknown:
            raise ValueError(f"unknown fault {', '.join(unknown)}; known are {', '.join(FAULT_KINDS)}")
        if any(probability < 0 for probability in self.fail.values()) or sum(self.fail.values()) > 1:
            raise ValueError("probabilities of faults lie between 0 and 1, and so does their sum")
        if self.time_scale <= 0:
            raise ValueError("time_scale is a positive number")
        if not self.credentials.split() or not all(":" in pair for pair in self.credentials.split()):
            raise ValueError("credentials are id:secret")
