"""The values of the core: a generation, its parts, and the prepared request that may charge for it once."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import field, fields
from enum import IntEnum, StrEnum
from operator import attrgetter
from typing import Any, Literal, NamedTuple, NewType, TypedDict, Unpack

from gateway.errors import Failure
from gateway.frozen import frozen

Api = Literal["v1", "v2"]

Steady = NewType("Steady", float)
"""A time in seconds on the clock that never jumps. Ages and time limits use it."""
Wall = NewType("Wall", float)
"""A time in seconds since the epoch on the machine's wall clock, for display and filters."""
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
"""The first second of the year 1 and the last of the year 9999. The API can return no other wall times."""
GenerationId = NewType("GenerationId", str)
RequestId = NewType("RequestId", str)
"""Higgsfield's id of a request. Empty: none."""
IdempotencyKey = NewType("IdempotencyKey", str)
"""The key that a caller gave to a submission."""
UpstreamKey = NewType("UpstreamKey", str)
"""The idempotency key that is sent to Higgsfield."""


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
        """Whether the state is final."""
        return self in ENDED


ENDED = frozenset({State.COMPLETED, State.FAILED, State.NSFW, State.CANCELED, State.LOST})
FOLLOWED = frozenset({State.QUEUED, State.IN_PROGRESS})


class Source(IntEnum):
    """The source of a change; names and numbers are those of `ChangeSource` in generation.proto."""

    GATEWAY = 1
    WEBHOOK = 2
    POLL = 3
    OPERATOR = 4
    SUBMIT = 5
    CANCEL = 6
    ADOPT = 7


class MediaKind(IntEnum):
    """The media type of an output; names and numbers are those of `MediaKind` in generation.proto."""

    UNKNOWN = 0
    IMAGE = 1
    VIDEO = 2
    AUDIO = 3
    FILE = 4


@frozen
class Output:
    """One file of a generation; `url` is set once it is available.

    `job` identifies an output of a v1 job set, whose outputs end one by one in any order: Higgsfield's id, or "#" and
    the place of a job without one.
    """

    state: State
    kind: MediaKind
    url: str = ""
    preview_url: str = ""
    name: str = ""
    content_type: str = ""
    job: str = ""

    @property
    def job_id(self) -> str:
        """Higgsfield's id of its job; empty if there is none."""
        return "" if self.job.startswith("#") else self.job


class InputKind(StrEnum):
    """The kind of input that an upstream call was made from. It names the fields of a refusal; values are stored."""

    NONE = ""
    MODEL = "model"
    SOUL = "soul"
    DOP = "dop"
    V1_SOUL = "v1/text2image/soul"
    V1_DOP = "v1/image2video/dop"
    V1_SPEAK = "v1/speak/higgsfield"
    V1_MODEL = "v1"
    CHARACTER = "character"


class Moment(NamedTuple):
    """A reading of both clocks, in seconds since the epoch.

    `steady` never jumps or goes back; ages and time limits use it. `wall` is the time of day, for display.
    """

    steady: Steady
    wall: Wall

    def after(self, seconds: float) -> Steady:
        """Return the steady time that many seconds later."""
        return Steady(self.steady + seconds)


@frozen
class Marker:
    """The attempt under way: the random name of the gateway process, and the number of its one POST."""

    owner: str
    attempt: int


@frozen
class PreparedRequest:
    """The exact request to POST for a generation. It is fixed by the claim, even if settings change later.

    `account` is the id of the credentials that it must be sent with; `origin` is scheme, host and port. `key` is the
    generation's id, which v2 receives as the idempotency key. `kind` is the kind of input it was made from, so that an
    error can name a refused field as the caller wrote it.
    """

    account: str
    origin: str
    path: str
    query: str
    headers: Mapping[str, str] = field(hash=False)
    body: bytes
    key: UpstreamKey
    kind: InputKind


@frozen
class Spec:
    """The part of a generation that never changes. Times are steady unless their names end in `_time`."""

    id: GenerationId
    tenant: str
    model_id: str
    """Higgsfield's model; "" if adopted, because Higgsfield's status does not name it."""
    api: Api
    account: str
    """The id of the credentials that it is sent with, not the name of an account; see `accounts.py`."""
    origin: str
    """The scheme, host and port that it is sent to."""
    input: bytes = field(repr=False)
    """The encoded message of the caller."""
    labels: Mapping[str, str] = field(hash=False)
    idempotency_key: IdempotencyKey
    create_time: Wall
    created_at: Steady
    weight: int = 1
    """The number of its outputs, which count in the concurrency limit."""
    token_hash: bytes | None = None
    """The hash of the token in its webhook URL. Only the prepared request has the token itself."""
    start_by: Steady | None = None
    """When its `start_timeout` is over; None without one."""
    fail_when_saturated: bool = False
    traits: str = ""
    """The parts of the input that its run time depends on; see `inputs.traits`."""
    adopted: bool = False
    """Whether its request was made without this gateway. Model, input and earlier times are then not known."""
    traceparent: str = ""
    """The span of the call that submitted it; "" if that was not traced."""
    key_id: str = ""
    """The id of the API key that submitted it; "" if none did."""
    price: int | None = None
    """What budgets count for it, in millionths of a credit; None if no budget applied."""
    estimated_credits: str = ""
    """The price for callers, a decimal number."""
    estimated_usd: str = ""
    callback_url: str = field(default="", repr=False)
    """The caller's URL for deliveries about it; "" if it gave none."""

    @property
    def expects_webhook(self) -> bool:
        """Whether a webhook should report the end. Only v2 webhooks are documented."""
        return self.token_hash is not None and self.api == "v2"


class Changes(TypedDict, total=False):
    """The fields of a generation that `evolve` may change, with their types."""

    state: State
    outputs: tuple[Output, ...]
    failure: Failure | None
    delay: Failure | None
    request_id: RequestId
    correlation_id: str
    upstream_status: str
    source: Source
    other_results: Mapping[str, Any] | None
    used_input: Mapping[str, Any] | None
    accept_time: Wall | None
    start_time: Wall | None
    end_time: Wall | None
    outputs_expire_time: Wall | None
    marker: Marker | None
    send_by: Steady | None
    first_sent_at: Steady | None
    sent_at: Steady | None
    sends: int
    ambiguous: bool
    not_before: Steady
    repeats_over: bool
    cancel_requested: bool
    polls: int
    missing_since: Steady | None
    stray_request_id: RequestId
    ended_at: Steady | None
    held: bool
    ran: float | None


@frozen
class Generation:
    """A generation at one version. It is immutable; `evolve` makes the next version.

    Callers see the fields up to `update_time`, except `version`; generation.proto describes them. Times whose names end
    in `_time` are wall times, all others are steady.
    """

    spec: Spec
    version: int = 1
    """Counts all changes, also those that callers cannot see. A write fails if the stored row has another one."""
    revision: int = 1
    state: State = State.PENDING
    outputs: tuple[Output, ...] = ()
    failure: Failure | None = None
    delay: Failure | None = None
    request_id: RequestId = RequestId("")
    correlation_id: str = ""
    upstream_status: str = ""
    source: Source = Source.GATEWAY
    other_results: Mapping[str, Any] | None = field(default=None, hash=False)
    used_input: Mapping[str, Any] | None = field(default=None, hash=False)
    accept_time: Wall | None = None
    start_time: Wall | None = None
    end_time: Wall | None = None
    outputs_expire_time: Wall | None = None
    update_time: Wall = Wall(0.0)

    marker: Marker | None = None
    """Set while a POST may be under way."""
    send_by: Steady | None = None
    """The time after which the attempt of `marker` sends nothing."""
    first_sent_at: Steady | None = None
    """When the first attempt that may have been sent was marked. The idempotency window begins here."""
    sent_at: Steady | None = None
    """When the last such attempt was marked."""
    sends: int = 0
    """The number of POSTs that may have been processed."""
    ambiguous: bool = False
    """Whether the outcome of a POST was ever unknown. From then on no refusal is conclusive."""
    not_before: Steady = Steady(0.0)
    """The earliest time of the next attempt."""
    repeats_over: bool = False
    """Whether Higgsfield refused a repeat because the key belongs to other content: it is not repeated again."""
    cancel_requested: bool = False
    """Whether a caller asked to cancel it, or its `start_timeout` is over."""
    polls: int = 0
    """The number of status calls when this version was stored."""
    missing_since: Steady | None = None
    """Since when Higgsfield returns 404 for its request; None if it does not."""
    stray_request_id: RequestId = RequestId("")
    """The id of a second request that Higgsfield accepted for it, or of one that it accepted after the end."""
    ended_at: Steady | None = None
    held: bool = False
    """Set by a restore: it may have been sent since the backup, so only an operator or a webhook resolves it."""
    ran: float | None = None
    """An estimate of the run time in seconds, from polls."""

    @property
    def id(self) -> GenerationId:
        """The gateway's id."""
        return self.spec.id

    @property
    def tenant(self) -> str:
        """The tenant that owns it."""
        return self.spec.tenant

    @property
    def done(self) -> bool:
        """Whether its state is final."""
        return self.state in ENDED

    @property
    def waiting(self) -> bool:
        """Whether it is certainly unsent: PENDING without a marker."""
        return self.state is State.PENDING and self.marker is None

    @property
    def cancelable(self) -> bool:
        """Whether a cancel is expected to succeed. That of a job set of v1 is undocumented, although it is tried."""
        return self.state is State.PENDING or (self.state is State.QUEUED and self.spec.api == "v2")

    def evolve(self, moment: Moment, **changes: Unpack[Changes]) -> "Generation":
        """Return the next version with some fields changed; also the next revision if callers see a difference."""
        # Three times as fast as dataclasses.replace, which examines the declaration of each field.
        values = list(_values_of(self))
        visible = False
        for name, value in changes.items():
            place = _PLACE_OF[name]
            visible = visible or (name in VISIBLE and values[place] != value)
            values[place] = value
        values[_PLACE_OF["version"]] += 1
        if visible:
            values[_PLACE_OF["revision"]] += 1
            values[_PLACE_OF["update_time"]] = moment.wall
        return Generation(*values)


_FIELDS = tuple(field.name for field in fields(Generation))
_PLACE_OF = {name: place for place, name in enumerate(_FIELDS)}
_values_of = attrgetter(*_FIELDS)


def run_time(generation: Generation) -> float | None:
    """Return the seconds from acceptance to an end at Higgsfield; None if they are not known.

    They are not known for canceled, lost and adopted generations, nor for one that had ended when it was found. They
    are not used either if a poll found an end that a webhook should have reported: it may be long past, and would delay
    later polls.
    """
    if generation.state not in {State.COMPLETED, State.FAILED, State.NSFW} or generation.accept_time is None:
        return None
    if generation.spec.adopted:
        return None
    if generation.source is not Source.WEBHOOK:
        return None if generation.spec.expects_webhook else generation.ran
    seconds = (generation.end_time or 0.0) - generation.accept_time
    return seconds if seconds > 0 else None


UNSETTLED = frozenset({State.PENDING, State.UNCERTAIN})


def settles(before: Generation, after: Generation) -> bool:
    """Return whether a change settles the submission. Its prepared request is then erased."""
    return before.state in UNSETTLED and after.state not in UNSETTLED


def frees_key(before: Generation, after: Generation) -> bool:
    """Return whether the caller's key may be used for a new generation, because this one was certainly not accepted."""
    return settles(before, after) and after.state is State.FAILED and after.accept_time is None


def turns_repeats_off(before: Generation, after: Generation) -> bool:
    """Return whether a change turns repeats off for its account: a stray request shows that keys are not honoured.

    For v1 it does not show that, because no key was sent.
    """
    second = bool(after.request_id and after.stray_request_id) and not before.stray_request_id
    return second and after.spec.api == "v2"


VISIBLE = frozenset(
    {
        "state", "outputs", "failure", "delay", "request_id", "correlation_id", "upstream_status", "other_results",
        "used_input", "accept_time", "start_time", "end_time", "outputs_expire_time",
    }
)  # fmt: skip
"""The fields whose change makes a new revision. `source` only describes a change."""


class Basis(IntEnum):
    """What a forecast is computed from; names and numbers are those of `ForecastBasis` in generation.proto."""

    NONE = 0
    SAME_SETTINGS = 1
    MODEL = 2
    KIND = 3
    BUILT_IN = 4


class Forecast(NamedTuple):
    """The expected course of a generation: its place in the gateway's queue, its progress, the remaining seconds.

    `overdue`: it has run for longer than the forecast can explain, so that the remaining time is not known.
    """

    queue_position: int = 0
    progress: float = 0.0
    remaining: float | None = None
    basis: Basis = Basis.NONE
    overdue: bool = False


class RunTime(NamedTuple):
    """How long a generation ran, in seconds from acceptance to the end. Such times are stored."""

    model_id: str
    traits: str
    seconds: float


@frozen
class Change:
    """A revision of a generation at a position in the store's log. `generation` None is a removal."""

    position: int
    tenant: str
    generation_id: GenerationId
    generation: Generation | None


@frozen
class UpstreamCall:
    """A call to Higgsfield and its outcome. `time` is wall clock time; `http_status` is 0 without a response.

    `is_foreign`, which is not stored, says that another server may have sent the response.
    """

    method: str
    path: str
    http_status: int
    correlation_id: str
    time: Wall
    seconds: float
    is_foreign: bool = False


@frozen
class Event:
    """An entry in the timeline of a generation; `revision` is 0 if it is not a visible change."""

    time: Wall
    description: str
    revision: int = 0
    state: State | None = None
    source: Source = Source.GATEWAY
    call: UpstreamCall | None = None
    times: int = 1


def _no_response() -> None:
    return None


@frozen
class StatusReport:
    """Higgsfield's description of a request. `state` is None if the gateway does not know the status word.

    `has_unknown_job`: the gateway does not know the status word of one of its jobs.
    `other_results` has the values of the response that no other field has exactly, and `response` returns all of them
    but the input. `used_input` is the input as Higgsfield used it. All are JSON.
    """

    request_id: RequestId
    status: str
    state: State | None
    outputs: tuple[Output, ...] = ()
    failure: Failure | None = None
    expire_time: Wall | None = None
    other_results: Mapping[str, Any] | None = field(default=None, hash=False)
    response: Callable[[], Mapping[str, Any] | None] = field(default=_no_response, compare=False, repr=False)
    used_input: Mapping[str, Any] | None = field(default=None, hash=False, repr=False)
    correlation_id: str = ""
    has_unknown_job: bool = False


def token_hash(token: str) -> bytes:
    """Return the hash under which the token of a webhook URL is stored."""
    return hashlib.sha256(token.encode()).digest()


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def canonical_json(value: object) -> str:
    """Return JSON that is equal for equal content: sorted keys, no spaces, whole numbers without a fraction.

    Raises ValueError for NaN and infinities.
    """
    return _canonical(value)
