"""The values of callbacks: a callback, its secrets, its deliveries, and the outcome of an attempt."""

from collections.abc import Sequence
from dataclasses import field, replace
from enum import IntEnum

from gateway.frozen import frozen
from gateway.generations.model import Generation, GenerationId
from gateway.generations.stores import Filter


class Problem(IntEnum):
    """Why an attempt failed; the names and numbers of `DeliveryProblem` in the proto."""

    STATUS = 1
    REDIRECT = 2
    GONE = 3
    TIMEOUT = 4
    CONNECTION = 5
    CERTIFICATE = 6
    ADDRESS_REFUSED = 7


class DeliveryState(IntEnum):
    """The state of a delivery; the names and numbers of `DeliveryState` in the proto."""

    PENDING = 1
    DELIVERED = 2
    FAILED = 3


@frozen
class Outcome:
    """The outcome of an attempt: success if `problem` is None. `http_status` is 0 if there was no response.

    `retry_after` is the receiver's Retry-After in seconds.
    """

    problem: Problem | None = None
    http_status: int = 0
    retry_after: float | None = None


class NotSentError(Exception):
    """A request was not sent, because its `may_send` returned False."""


@frozen
class Secret:
    """A signing secret, "whsec_…". It signs until the steady time `until`, without an end if that is None."""

    text: str = field(repr=False)
    until: float | None = None


@frozen
class Callback:
    """A URL to which a tenant's changes are delivered. Names that end in `_time` are wall times, the others steady.

    If `url` is "", each delivery goes to the URL that was given with the submission of its generation.

    `wanted` selects generations; only their final changes are delivered, unless `every_change`. `fingerprint` is that
    of the creating request. Changes up to `position` in the tenant's log have become deliveries.

    The health of the receiver: `failing_since` is the first of the failures since the last success, None if there is
    none, and `failed_at` the last one, with its `problem` and `problem_status`. `streak` counts outages in a row, that
    is, failures of the whole receiver and not of one delivery; nothing is sent before `held_until`.
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
        """Return whether this version of a generation is delivered."""
        url = self.url or generation.spec.callback_url
        return bool(url) and (self.every_change or generation.done) and self.wanted.matches(generation)

    def healthy(self) -> "Callback":
        """Return the callback without its problem."""
        return replace(
            self, problem=None, problem_status=0, problem_time=None, failing_since=None, streak=0, held_until=0.0
        )

    def signing(self, steady: float) -> Sequence[Secret]:
        """Return the secrets that sign at a steady time, newest first."""
        return [secret for secret in self.secrets if secret.until is None or secret.until > steady]


@frozen
class Delivery:
    """The delivery of one revision of a generation to one callback.

    While it is PENDING, the next attempt is at the steady time `next_at`. `refusals` counts failed attempts, without
    those that failed because of an outage of the receiver. Names that end in `_time` are wall times.
    """

    callback_id: str
    generation_id: GenerationId
    revision: int
    create_time: float
    next_at: float
    state: DeliveryState = DeliveryState.PENDING
    attempts: int = 0
    refusals: int = 0
    problem: Problem | None = None
    http_status: int = 0
    last_attempt_time: float | None = None

    @property
    def id(self) -> str:
        """The id for the receiver. It is the same in every attempt and contains no full stop, which separates the
        signed parts."""
        return f"{self.callback_id}_{self.generation_id}_{self.revision}"


def id_parts(delivery_id: str) -> tuple[str, str, int] | None:
    """Parse the id of a delivery into callback, generation and revision; None if it is malformed."""
    parts = delivery_id.split("_")
    if len(parts) != 3 or not (parts[2].isascii() and parts[2].isdecimal()) or len(parts[2]) > 9:
        return None
    return parts[0], parts[1], int(parts[2])
