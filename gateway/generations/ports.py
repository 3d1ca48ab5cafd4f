"""What the core needs from outside: a clock, a store, Higgsfield. The composition root plugs them in."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from gateway.errors import Failure, Violation
from gateway.generations.inputs import Input
from gateway.generations.model import Api, Change, Event, Generation, Moment, PreparedRequest, State, StatusReport

MOST_DELIVERIES = 20
"""Webhooks that are kept for one generation: more is noise, or somebody who tries."""


class Clock(Protocol):
    """Time. `agrees` is False while the wall clock and the steady one have drifted apart by a minute."""

    def moment(self) -> Moment:
        """Now, by both clocks."""

    def agrees(self) -> bool:
        """Whether decisions that cannot be undone may be taken by age."""

    async def wait(self, signal: "asyncio.Future[None]", seconds: float | None) -> None:
        """Return when the signal is given, or when so many seconds have passed (None: only by the signal)."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An input made ready: where it goes, how much of the concurrency it takes, and the exact request."""

    model_id: str
    api: Api
    weight: int
    request: PreparedRequest


@dataclass(frozen=True, slots=True)
class Hook:
    """Where Higgsfield shall report the end of a request. `secret`: what its deliveries carry, where they carry one."""

    url: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Took:
    """Higgsfield accepted the submission."""

    report: StatusReport


@dataclass(frozen=True, slots=True)
class NotTaken:
    """Certainly not processed. `again`: the same may be tried after `pause` seconds (None: when there is room).

    `reached` is False where there was no connection; `final` where the same bytes can never be accepted;
    `account` where Higgsfield refused the credentials and not this input.
    """

    failure: Failure
    again: bool = False
    pause: float | None = None
    reached: bool = True
    final: bool = False
    account: bool = False


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """It may have been processed. `whole`: a complete error answer came, so the work there is over.

    `request_id`: an id that could still be read from a broken answer, for the operator.
    """

    failure: Failure
    whole: bool
    retry_after: float | None = None
    request_id: str = ""


Outcome = Took | NotTaken | NoAnswer


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an input would cost, in Higgsfield's decimal texts, or how it is priced."""

    credits: str = ""
    usd: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """What is found wrong with an input: `refused` for certain, `doubted` by a knowledge that may be out of date."""

    refused: tuple[Violation, ...] = ()
    doubted: tuple[Violation, ...] = ()


class InputCheck(Protocol):
    """What is known of models' inputs beside the rules of `inputs.py`."""

    async def check(self, given: Input) -> Checked:
        """Hold an input that those rules allow against it. Waits for nobody; raises nothing."""


class Upstream(Protocol):
    """Higgsfield. Calls about a generation go to the account and origin it was sent to, or raise."""

    @property
    def account(self) -> str:
        """The account that new submissions go to, named without its secret."""

    def prepare(self, given: Input, key: str, outputs_ttl: float | None, webhook: Hook | None) -> Prepared:
        """The request that stands for this input's one charge, and where it reports its end to. Does no I/O."""

    def reaches(self, account: str, origin: str) -> bool:
        """Whether requests for that account and origin can be sent with the present settings."""

    async def submit(self, request: PreparedRequest, gate: Callable[[], bool]) -> Outcome:
        """POST it once. The gate is asked right before the first byte; never raises for what the other side does."""

    async def status(self, generation: Generation) -> StatusReport | None:
        """Ask for the status; None for a 404. Raises GatewayError (UPSTREAM_UNAVAILABLE and the like)."""

    async def look_up(self, generation: Generation, request_id: str) -> StatusReport | None:
        """The status of any request of the generation's account; None for a 404. Raises GatewayError."""

    async def cancel(self, generation: Generation) -> None:
        """Ask to cancel. Whatever is answered proves nothing: ask for the status next.

        Raises GatewayError where nothing was answered, or that these calls are too many for now.
        """

    async def cancel_request(self, generation: Generation, request_id: str) -> None:
        """Ask to cancel a request that should not be there."""

    async def delete(self, generation: Generation) -> bool:
        """Remove its input and files; False where Higgsfield cannot. Raises GatewayError when it is not certain."""

    async def estimate(self, given: Input) -> Estimate:
        """What it would cost. Raises GatewayError."""

    async def time(self) -> float | None:
        """What time it is by Higgsfield's answers; None where they do not say. Raises GatewayError."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Everything that step 1 makes durable in one commit; `generation` may already carry the mark of its first POST."""

    generation: Generation
    request: PreparedRequest
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Claimed:
    """What became of a claim: the new generation, or the one that the key stands for.

    `fingerprint`: what is stored of the input that the key was used with; `conflict`: it is not the one that was given,
    or one of another version. `deleted`: its generation is gone, so there is none to show.
    """

    generation: Generation | None
    new: bool
    generation_id: str
    conflict: bool = False
    deleted: bool = False
    fingerprint: bytes = field(default=b"", compare=False)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook for a generation. `name` is that of its duplicates too; `report` what it says, if it is signed."""

    generation_id: str
    name: str
    request_id: str
    status: str
    report: StatusReport | None = None


class Delivered(Enum):
    """What became of a delivery that was to be kept."""

    KEPT = 1
    KNOWN = 2
    TOO_MANY = 3


@dataclass(frozen=True, slots=True)
class Correction:
    """From the steady time `since` on, the steady clock was so many seconds `ahead` of Higgsfield's (or behind).

    `placed`: a Date of Higgsfield's has shown it. Until a process has read one, `ahead` is what its predecessor knew.
    """

    since: float
    ahead: float
    placed: bool = True


@dataclass(frozen=True, slots=True)
class Filter:
    """Which generations of a tenant; all that is set must match. `ids` None: any.

    `within`: nothing exists for who asks but what this matches, too.
    """

    ids: frozenset[str] | None = None
    states: frozenset[State] = frozenset()
    model_ids: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str = ""
    created_after: float | None = None
    created_before: float | None = None
    within: "Filter | None" = None

    def exists(self, generation: Generation) -> bool:
        """Whether who asks may know of it."""
        return self.within is None or self.within.matches(generation)

    def matches(self, generation: Generation) -> bool:
        """Whether it is one of them."""
        spec = generation.spec
        return (
            (self.ids is None or spec.id in self.ids)
            and (not self.states or generation.state in self.states)
            and (not self.model_ids or spec.model_id in self.model_ids)
            and (not self.idempotency_key or spec.idempotency_key == self.idempotency_key)
            and (self.created_after is None or spec.create_time >= self.created_after)
            and (self.created_before is None or spec.create_time < self.created_before)
            and all(spec.labels.get(name) == value for name, value in self.labels.items())
            and self.exists(generation)
        )


@dataclass(frozen=True, slots=True)
class Saved:
    """One committed write: the generation as it is now (None: removed), and its change if a caller can see one."""

    generation_id: str
    generation: Generation | None
    change: Change | None


Listener = Callable[[Sequence[Saved]], None]


class Store(Protocol):
    """Durable state. What returns has been committed; what raises StoreError may or may not have been."""

    @property
    def epoch(self) -> str:
        """Changes when the store was restored from a backup: positions of another epoch mean nothing."""

    @property
    def trouble(self) -> str:
        """Why writes are refused, since one was and until a probe succeeds; empty while they are not."""

    @property
    def writes_refused(self) -> int:
        """How many writes were refused."""

    async def probe(self) -> None:
        """Find out whether it can be written again. Raises StoreError."""

    def listen(self, listener: Listener) -> None:
        """Have every commit told, in the order of positions, on the event loop, before its writer hears of it."""

    async def claim(self, claim: Claim) -> Claimed:
        """Step 1 of the submit path: insert, or find what the key stands for."""

    async def known(self, tenant: str, key: str, fingerprint: bytes) -> Claimed | None:
        """What a key stands for, for an input with that fingerprint; None where the key is free."""

    async def save(self, before: Generation, after: Generation, step: str = "save") -> bool:
        """Replace `before` by `after`; False where somebody else wrote in between. Failpoints name the step.

        In the same commit: the prepared request is erased once the submission is settled, a refused generation frees
        its key, and a second request latches repeats off for its account. Raises RequestIdTakenError where `after` has
        a request id that belongs to another generation.
        """

    async def get(self, tenant: str, generation_id: str) -> Generation | None:
        """The generation as it is, of any state."""

    async def any(self, generation_id: str) -> Generation | None:
        """The generation, whoever's it is."""

    async def request(self, generation_id: str) -> PreparedRequest | None:
        """The prepared request, while the submission is not settled."""

    async def unfinished(self) -> Sequence[Generation]:
        """All that have not ended, of all tenants, oldest first."""

    async def page(
        self, tenant: str, wanted: Filter, before: str | None, limit: int
    ) -> tuple[Sequence[Generation], str | None]:
        """Newest first, at most `limit` that match, all older than the id `before`.

        The second part is the id to go on from, or None after the last: a page may be short because the search was.
        """

    async def history(self, generation_id: str, after_revision: int, limit: int) -> Sequence[Generation]:
        """The generation at each revision after that one, oldest first."""

    async def changes(self, tenant: str, after_position: int, limit: int) -> Sequence[Change]:
        """The tenant's changes after that position, oldest first."""

    async def horizon(self, tenant: str) -> int:
        """The highest position whose change was removed: older tokens have missed something."""

    async def position(self) -> int:
        """The position of the newest commit."""

    async def announced(self) -> None:
        """Return when all that was committed before has been told to those who listen."""

    async def will_delete(self, generation_id: str) -> None:
        """Keep that it is being deleted: recorded before its data is removed at Higgsfield."""

    async def delete(self, generation: Generation, *, removed_upstream: bool, steady: float) -> None:
        """Remove it, at that steady time, with all its content; its key stays used, its removal is a change.

        Who had not been told all of its changes is told to begin anew: the horizon rises to the last of them.
        """

    async def being_deleted(self) -> Sequence[Generation]:
        """Those for which `will_delete` was called and `delete` was not."""

    async def ended_with_stray(self) -> Sequence[Generation]:
        """Ended generations with a second request at Higgsfield."""

    async def deleted(self, tenant: str, generation_id: str) -> bool | None:
        """Whether a deleted generation's data went from Higgsfield too; None where it is not known as deleted."""

    async def prunable(self, ended_before: float, keys_before: float) -> bool:
        """Whether `prune` would remove anything."""

    async def prune(self, ended_before: float, keys_before: float) -> int:
        """Remove generations that ended before that steady time; how many went.

        Also keys without a generation that were claimed, or whose generation was deleted, before the other time.
        """

    async def by_token(self, token_hash: bytes) -> Generation | None:
        """The generation whose webhook path has the token with this hash."""

    async def by_request(self, account: str, request_id: str) -> str | None:
        """The id of the generation that the request belongs to."""

    async def deliver(self, delivery: Delivery, wall: float) -> Delivered:
        """Keep a delivery until it is dealt with, unless it is known already or beyond MOST_DELIVERIES."""

    async def dealt_with(self, delivery: Delivery, *, again: bool = False) -> None:
        """A kept delivery has had its effect; it is remembered as a duplicate of itself, unless it may come again.

        It counts to what is kept all the same.
        """

    async def undealt(self) -> Sequence[Delivery]:
        """Deliveries that an earlier process kept and did not get to."""

    async def record(self, events: Sequence[tuple[str, Event]]) -> None:
        """Keep events that are no changes, each with its generation; one of the same time replaces the other."""

    async def events(self, generation_id: str) -> Sequence[Event]:
        """What was recorded of a generation, oldest first."""

    async def durations(self) -> Sequence[tuple[str, float]]:
        """Model and run time of the last few hundred generations of each model that ended, oldest first."""

    async def corrections(self) -> Sequence[Correction]:
        """By how much the steady clock was off, oldest first."""

    async def correct(self, correction: Correction, forget: Sequence[float] = ()) -> None:
        """Store by how much it is off. Replaces a correction with the same `since`; deletes those named in `forget`."""

    async def latched_accounts(self) -> frozenset[str]:
        """The accounts for which repeats are off: a second request showed that their keys are not honoured."""


class StoreError(Exception):
    """The store cannot be read or written now; a write may or may not have been committed."""


class RequestIdTakenError(Exception):
    """Another generation of the account has this request id."""
