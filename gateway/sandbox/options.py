"""The options of a sandbox, fixed when it starts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from gateway.sandbox.accounts.settings import AccountSettings

FAULT_KINDS = ("500", "502", "503", "429", "reset", "lost", "hang", "html", "half", "nsfw", "failed")
"""The kinds of random faults and outcomes. A plan (`faults.py`) can have more."""


@dataclass(frozen=True, kw_only=True)
class SandboxOptions(AccountSettings):
    """The options of a sandbox, and the initial settings of each account."""

    host: str = "127.0.0.1"
    port: int = 9200
    """0 selects a free port."""

    credentials: str = "sandbox:sandbox"
    """`id:secret`, separated by spaces if there are several accounts."""

    time_scale: float = 1.0
    """The number of seconds of the sandbox's clock in one real second."""

    latency: float = 0.0
    """Real seconds by which every response of the API is delayed."""

    seed: int = 0
    """The seed of random faults and of the colours of output files. Request ids do not depend on it, so that they stay
    unique when a client outlives a sandbox."""

    fail: Mapping[str, float] = field(default_factory=dict)
    """The probability of each kind of `FAULT_KINDS`, for every call to which it applies."""

    credits: Decimal = Decimal(1000)
    """The initial credits of each account."""

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = sorted(set(self.fail) - set(FAULT_KINDS))
        if unknown:
            raise ValueError(f"unknown fault {', '.join(unknown)}; known are {', '.join(FAULT_KINDS)}")
        # Written so that nan is refused as well.
        if not all(probability >= 0 for probability in self.fail.values()) or not sum(self.fail.values()) <= 1:
            raise ValueError("probabilities of faults, and their sum, must be between 0 and 1")
        if not 0 < self.time_scale < math.inf:
            raise ValueError("time_scale must be positive")
        if not 0 <= self.latency < math.inf:
            raise ValueError("latency must not be negative")
        pairs = self.credentials.split()
        if not pairs or not all(":" in pair for pair in pairs):
            raise ValueError("credentials must have the form id:secret")
        if len({pair.partition(":")[0] for pair in pairs}) < len(pairs):
            raise ValueError("two credentials have the same key id")
