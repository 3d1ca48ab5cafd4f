"""The values: a callback, its secrets, its deliveries, and what one attempt came to."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

from gateway.generations.model import Generation, GenerationId
from gateway.generations.ports import Filter


class Problem(IntEnum):
    """Why a receiver did not take a delivery; names and numbers are those of `DeliveryProblem` in the proto."""

    STATUS = 1
    REDIRECT = 2
    GONE = 3
    TIMEOUT = 4
    CONNECTION = 5
    CERTIFICATE = 6
    ADDRESS_REFUSED = 7


class Fate(IntEnum):
    """What became of a delivery; names and numbers are those of `DeliveryState` in the proto."""

    PENDING = 1
    DELIVERED = 2
    FAILED = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one attempt came to: `problem` None where it was taken; `http_status` 0 where no answer came.

    `retry_after`: seconds that the receiver asked for.
    """

    problem: Problem | None = None
    http_status: int = 0
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that signs, "whsec_…"; `until` that steady time, None while it is the newest."""

    text: str = field(repr=False)
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Callback:
    """Where a tenant wants to be told of what. Times that end in `_time` are wall clock, all others steady.

    `fingerprint` is that of what it was created with. `position`: all changes of the tenant up to there have been taken
    up for it. `failing_since`: since when it is tried again and again, the last time at `failed_at`, and takes nothing;
    None after a success. `problem` and `problem_status` are the last one's. `streak` counts failures in a row
    that are the receiver's as a whole, and not one delivery's; until `held_until` nothing is sent.
    """

    id: str
    tenant: str
    url: str = field(repr=False)
    wanted: Filter
    every_change: bool
    idempotency_key: str
    fingerprint: bytes
    create_time: float
    position: int
    paused: bool = False
    problem: Problem | None = None
    problem_status: int = 0
    problem_time: float | None = None
    failing_since: float | None = None
    failed_at: float = 0.0
    streak: int = 0
    held_until: float = 0.0
    secrets: tuple[Secret, ...] = ()

    def wants(self, generation: Generation) -> bool:
        """Whether it is to be told of the generation at this revision."""
        return (self.every_change or generation.done) and self.wanted.matches(generation)

    def well(self) -> "Callback":
        """The same without a problem."""
        return replace(
            self, problem=None, problem_status=0, problem_time=None, failing_since=None, streak=0, held_until=0.0
        )

    def signing(self, steady: float) -> Sequence[Secret]:
        """The secrets that sign now, the newest first."""
        return [secret for secret in self.secrets if secret.until is None or secret.until > steady]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One revision of a generation on its way to one callback. `next_at` is steady, and due while PENDING.

    `refusals`: how many of its attempts failed for itself, and not because the receiver as a whole was away.
    """

    callback_id: str
    generation_id: GenerationId
    revision: int
    create_time: float
    next_at: float
    fate: Fate = Fate.PENDING
    attempts: int = 0
    refusals: int = 0
    problem: Problem | None = None
    http_status: int = 0
    last_attempt_time: float | None = None

    @property
    def id(self) -> str:
        """What the receiver knows it by: the same however often it is sent, and without a full stop."""
        return f"{self.callback_id}_{self.generation_id}_{self.revision}"


def id_parts(delivery_id: str) -> tuple[str, str, int] | None:
    """The callback, the generation and the revision that an id names; None where it is none."""
    parts = delivery_id.split("_")
    if len(parts) != 3 or not (parts[2].isascii() and parts[2].isdecimal()) or len(parts[2]) > 9:
        return None
    return parts[0], parts[1], int(parts[2])
