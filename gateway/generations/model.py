"""The values of the core: a generation, what is known of it, and the prepared request that is its one charge."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import IntEnum
from operator import attrgetter
from typing import Any, Literal, NamedTuple

from gateway.errors import Failure

Api = Literal["v1", "v2"]


class State(IntEnum):
    """The states of a generation; names and numbers are those of `GenerationState` in generation.proto."""

    PENDING = 1
    UNCERTAIN = 2
    QUEUED = 3
    IN_PROGRESS = 4
    COMPLETED = 5
    FAILED = 6
    NSFW = 7
    CANCELED = 8
    LOST = 9

    @property
    def ended(self) -> bool:
        """Whether nothing can follow it."""
        return self in ENDED


ENDED = frozenset({State.COMPLETED, State.FAILED, State.NSFW, State.CANCELED, State.LOST})
FOLLOWED = frozenset({State.QUEUED, State.IN_PROGRESS})


class Source(IntEnum):
    """What told a change; names and numbers are those of `ChangeSource` in generation.proto."""

    GATEWAY = 1
    WEBHOOK = 2
    POLL = 3
    OPERATOR = 4
    SUBMIT = 5
    CANCEL = 6


class MediaKind(IntEnum):
    """What an output is; names and numbers are those of `MediaKind` in generation.proto."""

    UNKNOWN = 0
    IMAGE = 1
    VIDEO = 2
    AUDIO = 3
    FILE = 4


@dataclass(frozen=True, slots=True)
class Output:
    """One file of a generation; `url` is set once it is there.

    `job` tells the outputs of a job set apart, which come one by one and in any order; not shown.
    """

    state: State
    kind: MediaKind
    url: str = ""
    preview_url: str = ""
    name: str = ""
    content_type: str = ""
    job: str = ""


class Moment(NamedTuple):
    """One reading of both clocks, in seconds since the epoch.

    `steady` runs evenly and never goes back: ages and time limits are reckoned by it. `wall` is for showing.
    """

    steady: float
    wall: float


@dataclass(frozen=True, slots=True)
class Marker:
    """Who is sending: the incarnation of a gateway process and the number of its attempt. One POST belongs to it."""

    owner: str
    attempt: int


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """Exactly what is POSTed for a generation, or nothing is: fixed by the claim, whatever the settings are later.

    `account` names the Higgsfield account without its secret; `origin` is scheme, host and port. `kind` is the kind of
    input it was made from, so that a refused field can be named as its caller knows it.
    """

    account: str
    origin: str
    path: str
    query: str
    headers: Mapping[str, str] = field(hash=False)
    body: bytes
    key: str
    kind: str


@dataclass(frozen=True, slots=True)
class Spec:
    """What never changes of a generation. `input` is the caller's message as it was sent, opaque to the core.

    `token_hash` is that of the token in its webhook's path; the token itself is only in the prepared request.
    """

    id: str
    tenant: str
    model_id: str
    api: Api
    account: str
    origin: str
    input: bytes = field(repr=False)
    labels: Mapping[str, str] = field(hash=False)
    idempotency_key: str
    create_time: float
    created_at: float
    weight: int = 1
    token_hash: bytes | None = None
    start_by: float | None = None
    fail_when_saturated: bool = False

    @property
    def told_by_webhook(self) -> bool:
        """Whether a webhook can be relied on to tell its end: v1's tell nothing that is documented, and are to go."""
        return self.token_hash is not None and self.api == "v2"


@dataclass(frozen=True, slots=True)
class Generation:
    """One paid piece of work. A change is a new value: see `evolve`.

    The second half is not shown to callers. Times that end in `_time` are wall clock, for showing; all other times are
    steady.
    """

    spec: Spec
    version: int = 1
    revision: int = 1
    state: State = State.PENDING
    outputs: tuple[Output, ...] = ()
    failure: Failure | None = None
    delay: Failure | None = None
    request_id: str = ""
    correlation_id: str = ""
    upstream_status: str = ""
    source: Source = Source.GATEWAY
    other_results: Mapping[str, Any] | None = field(default=None, hash=False)
    accept_time: float | None = None
    start_time: float | None = None
    end_time: float | None = None
    outputs_expire_time: float | None = None
    update_time: float = 0.0

    # The submit path. `marker` is set while a POST may be on its way; `sends` counts those that may have been
    # processed; `ambiguous` once one of them may have been and no answer told.
    marker: Marker | None = None
    send_by: float | None = None
    first_sent_at: float | None = None
    sent_at: float | None = None
    sends: int = 0
    ambiguous: bool = False
    not_before: float = 0.0
    repeats_over: bool = False
    cancel_requested: bool = False
    # How often the status had been asked for when this version was written.
    polls: int = 0
    # After acceptance: since when Higgsfield answers 404, and an id that came too late or second.
    missing_since: float | None = None
    stray_request_id: str = ""
    # When it ended.
    ended_at: float | None = None
    # The store was restored: what was sent since the backup is not known, so only an operator or news moves it.
    held: bool = False
    # Seconds after which it ended, as far as polls can tell. Not stored: only who learns from ends asks, at once.
    ran: float | None = None

    @property
    def id(self) -> str:
        """The gateway's id for it."""
        return self.spec.id

    @property
    def tenant(self) -> str:
        """Whose it is."""
        return self.spec.tenant

    @property
    def done(self) -> bool:
        """It has ended and will not change again."""
        return self.state in ENDED

    @property
    def waiting(self) -> bool:
        """Certainly not sent: PENDING without a marker."""
        return self.state is State.PENDING and self.marker is None

    @property
    def cancelable(self) -> bool:
        """Whether a cancel could still succeed."""
        return self.state is State.PENDING or (self.state is State.QUEUED and self.spec.api == "v2")

    def evolve(self, moment: Moment, **changes: Any) -> "Generation":
        """The next version, and the next revision too where a caller can see a difference."""
        visible = any(name in VISIBLE and getattr(self, name) != value for name, value in changes.items())
        if visible:
            changes["revision"] = self.revision + 1
            changes["update_time"] = moment.wall
        changes["version"] = self.version + 1
        # dataclasses.replace asks each field anew how it was declared, which takes three times as long.
        values = list(_values_of(self))
        for name, value in changes.items():
            values[_PLACE_OF[name]] = value
        return Generation(*values)


_FIELDS = tuple(one.name for one in fields(Generation))
_PLACE_OF = {name: place for place, name in enumerate(_FIELDS)}
_values_of = attrgetter(*_FIELDS)


def run_time(generation: Generation) -> float | None:
    """Seconds from acceptance to an end that Higgsfield came to by itself; None for all others.

    Also for one that was found when it had ended: when it was accepted is not known. And for one whose end a webhook
    should have told and a poll found: it may be long past, and learned from it would make the next polls later still.
    """
    if generation.state not in {State.COMPLETED, State.FAILED, State.NSFW} or generation.accept_time is None:
        return None
    if generation.source is not Source.WEBHOOK:
        return None if generation.spec.told_by_webhook else generation.ran
    seconds = (generation.end_time or 0.0) - generation.accept_time
    return seconds if seconds > 0 else None


UNSETTLED = frozenset({State.PENDING, State.UNCERTAIN})


def settles(before: Generation, after: Generation) -> bool:
    """Whether this step ends the submission: its prepared request is erased with it, for nothing may send it again."""
    return before.state in UNSETTLED and after.state not in UNSETTLED


def frees_key(before: Generation, after: Generation) -> bool:
    """Whether the caller's key may stand for a new generation from now on: this one was certainly never accepted."""
    return settles(before, after) and after.state is State.FAILED and after.accept_time is None


def latches(before: Generation, after: Generation) -> bool:
    """Whether this step shows that keys are not honoured for its account: a second request beside the one we know.

    In v1 it shows nothing of the kind: no key was sent.
    """
    second = bool(after.request_id and after.stray_request_id) and not before.stray_request_id
    return second and after.spec.api == "v2"


VISIBLE = frozenset(
    {
        "state", "outputs", "failure", "delay", "request_id", "correlation_id", "upstream_status", "other_results",
        "accept_time", "start_time", "end_time", "outputs_expire_time",
    }
)  # fmt: skip
"""What a caller sees change. `source` is left out: it says what told a change, and is none by itself."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected next, by what is known now: the place in our queue, the progress, the seconds that are left."""

    queue_position: int = 0
    progress: float = 0.0
    remaining: float | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One revision of a generation at its place in the store's log; without a generation it tells of its removal."""

    position: int
    tenant: str
    generation_id: str
    generation: Generation | None


@dataclass(frozen=True, slots=True)
class UpstreamCall:
    """One call to Higgsfield and its outcome. `time` is wall clock; `http_status` 0 where no answer came."""

    method: str
    path: str
    http_status: int
    correlation_id: str
    time: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Event:
    """Something in the story of a generation; `revision` 0 where it changed nothing that is shown."""

    time: float
    description: str
    revision: int = 0
    state: State | None = None
    source: Source = Source.GATEWAY
    call: UpstreamCall | None = None
    times: int = 1


@dataclass(frozen=True, slots=True)
class StatusReport:
    """What Higgsfield said of a request, read tolerantly: `state` is None where its status word is not known to us."""

    request_id: str
    status: str
    state: State | None
    outputs: tuple[Output, ...] = ()
    failure: Failure | None = None
    expire_time: float | None = None
    other_results: Mapping[str, Any] | None = field(default=None, hash=False)
    correlation_id: str = ""


def token_hash(token: str) -> bytes:
    """What is kept of the token in a webhook's path."""
    return hashlib.sha256(token.encode()).digest()


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def canonical_json(value: object) -> str:
    """JSON that is the same for the same content: keys sorted, no spaces, whole numbers without a fraction.

    Raises ValueError for NaN and infinities.
    """
    return _canonical(value)
