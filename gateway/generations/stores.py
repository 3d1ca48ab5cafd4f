"""The ports of the core to the store, one for each need, and their values.

A method that returns has read or committed. Otherwise it raises an UnconfirmedError, which is one of two: after a
StoreError nothing is stored; after an UnknownCommitError a write is stored or not, or will be in a moment.

Therefore every write can be repeated: it is conditional on a key or a version, or it changes nothing if it is stored
already. A stored write is announced to the listeners of the log in any case, also if its outcome is unknown to its
caller.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import field
from enum import Enum
from typing import Protocol, TypeVar

from gateway.errors import gateway_unavailable
from gateway.frozen import frozen
from gateway.generations.accounts import Pool
from gateway.generations.limits.model import Limits, SubjectLimits, SubmissionTime
from gateway.generations.limits.usage import UsageQuery, UsageRow
from gateway.generations.model import (
    Change,
    Event,
    Generation,
    GenerationId,
    IdempotencyKey,
    PreparedRequest,
    RequestId,
    RunTime,
    Spec,
    State,
    StatusReport,
    Steady,
    Wall,
)

T = TypeVar("T")

MAX_WEBHOOKS = 20
"""Webhooks that are stored for one generation; more are noise or an attack."""


@frozen
class Claim:
    """What step 1 of a submission stores in one commit. `generation` may already have the marker of its first POST.

    `request` is None if the generation must never be sent, because its request at Higgsfield exists already.
    `submission_time` None: no limit refuses it, although it counts as in flight until it ends.
    """

    generation: Generation
    request: PreparedRequest | None
    fingerprint: bytes
    submission_time: SubmissionTime | None = None


@frozen
class Claimed:
    """The result of a claim: a new generation, or the one that was made with this key before.

    `fingerprint` is the stored fingerprint of the input. `conflict`: it differs from the given one, or has another
    version. `deleted`: the generation was deleted, so `generation` is None.
    """

    generation: Generation | None
    new: bool
    generation_id: GenerationId
    conflict: bool = False
    deleted: bool = False
    fingerprint: bytes = field(default=b"", compare=False)


@frozen
class Removal:
    """The data of a deleted generation at Higgsfield, whose removal Higgsfield has not confirmed.

    `stray_request_id` is "" if the generation has no stray request, or another generation adopted it.
    """

    generation_id: GenerationId
    request_id: RequestId
    account: str
    origin: str
    stray_request_id: RequestId = RequestId("")


@frozen
class Webhook:
    """A webhook for a generation. Duplicates have the same `name`. `report` is its content if it is signed."""

    generation_id: GenerationId
    name: str
    request_id: RequestId
    status: str
    report: StatusReport | None = None


class WebhookReceipt(Enum):
    """The result of storing a webhook."""

    KEPT = 1
    KNOWN = 2
    TOO_MANY = 3


@frozen
class Correction:
    """From the steady time `since` on, the steady clock was `ahead` seconds ahead of Higgsfield's; negative: behind.

    `placed`: a Date of Higgsfield's confirmed it. Otherwise `ahead` is the value of the previous process.
    """

    since: Steady
    ahead: float
    placed: bool = True


@frozen
class Filter:
    """Selects generations of a tenant. All fields that are set must match; `ids` None matches any id.

    `within` is the filter of the caller's watch token: generations that it does not match do not exist for the caller.
    """

    ids: frozenset[GenerationId] | None = None
    request_ids: frozenset[RequestId] = frozenset()
    states: frozenset[State] = frozenset()
    model_ids: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str = ""
    created_after: Wall | None = None
    created_before: Wall | None = None
    within: "Filter | None" = None

    def exists(self, generation: Generation) -> bool:
        """Return whether the generation exists for the caller."""
        return self.within is None or self.within.matches(generation)

    def matches(self, generation: Generation) -> bool:
        """Return whether the filter selects the generation."""
        spec = generation.spec
        return (
            (self.ids is None or spec.id in self.ids)
            and (not self.request_ids or generation.request_id in self.request_ids)
            and (not self.states or generation.state in self.states)
            and (not self.model_ids or spec.model_id in self.model_ids)
            and (not self.idempotency_key or spec.idempotency_key == self.idempotency_key)
            and (self.created_after is None or spec.create_time >= self.created_after)
            and (self.created_before is None or spec.create_time < self.created_before)
            and all(spec.labels.get(name) == value for name, value in self.labels.items())
            and self.exists(generation)
        )


@frozen
class Saved:
    """A committed write: the new generation (None: removed), and its change if it is visible to callers."""

    generation_id: GenerationId
    generation: Generation | None
    change: Change | None


Listener = Callable[[Sequence[Saved]], None]
SpecOf = Callable[[GenerationId], Spec | None]
"""Returns the part of a generation in memory that never changes; None if it is not in memory."""


class StoreHealth(Protocol):
    """Whether the store can be written."""

    @property
    def trouble(self) -> str:
        """Why writes are refused, from the first refused write to a successful probe; empty otherwise."""

    @property
    def writes_refused(self) -> int:
        """The number of refused writes."""

    async def probe(self) -> None:
        """Raise UnconfirmedError if the store still refuses writes."""


class ClaimStore(Protocol):
    """Idempotency keys, and what was made with them."""

    async def claim(self, claim: Claim) -> Claimed:
        """Insert a generation, or return the one that its key was used for (step 1 of a submission).

        `Claimed.new` is also True for a repeat of the claim that stored it. Raises StoreError if a later generation had
        the key and was refused: the caller has repeated the call and got that refusal. Raises RequestIdTakenError if a
        stored generation has the request id of this one, or its data is being removed at Higgsfield.
        The same commit reserves the price of a new generation. Raises LimitExceededError or UnpricedError if a limit
        refuses it; a repeat of a stored claim is never refused.
        """

    async def known(self, tenant: str, key: IdempotencyKey, fingerprint: bytes) -> Claimed | None:
        """Return what `claim` would find for a key and a fingerprint; None if the key is free."""


class GenerationStore(Protocol):
    """The newest version of each generation, and its prepared request."""

    async def save(self, before: Generation, after: Generation, step: str = "save") -> bool:
        """Replace `before` by `after`; False if another write came first. Failpoints name the step.

        The same commit erases the prepared request once the submission is settled, settles the reserved price at the
        end, frees the key of a refused generation, and turns repeats off for an account with a stray request. Raises
        RequestIdTakenError if the request id of `after` belongs to another generation.
        """

    async def get(self, tenant: str, generation_id: GenerationId) -> Generation | None:
        """Return a tenant's generation in any state; None if there is none."""

    async def any(self, generation_id: GenerationId) -> Generation | None:
        """Return a generation of any tenant; None if there is none."""

    async def request(self, generation_id: GenerationId) -> PreparedRequest | None:
        """Return the prepared request of a generation; None once the submission is settled."""

    async def by_token(self, token_hash: bytes) -> Generation | None:
        """Return the generation whose webhook URL has the token with this hash; None if there is none."""

    async def by_request(self, request_id: RequestId) -> Generation | None:
        """Return the generation of any tenant that an upstream request belongs to; None if there is none."""

    async def page(
        self, tenant: str, wanted: Filter, before: str | None, limit: int
    ) -> tuple[Sequence[Generation], str | None]:
        """Return at most `limit` matching generations, newest first, all older than the id `before`.

        The second value is the id to pass as `before` for the next page; None after the last page. A page may be
        shorter than `limit`, because one call examines a bounded number of rows.
        """

    async def unfinished(self) -> Sequence[Generation]:
        """Return the generations of all tenants that have not ended, oldest first."""

    async def ended_with_stray(self) -> Sequence[Generation]:
        """Return the ended generations that have a stray request at Higgsfield."""


class ChangeLog(Protocol):
    """The log of all changes, with a position for each."""

    @property
    def epoch(self) -> str:
        """The name of this history of the store. It changes with a restore; positions of another epoch are invalid."""

    def listen(self, listener: Listener) -> None:
        """Call `listener` on the event loop with every commit, in the order of positions, before its writer returns."""

    async def announced(self) -> None:
        """Return when the listeners have been called with every earlier commit."""

    async def position(self) -> int:
        """Return the position of the newest commit."""

    async def horizon(self, tenant: str) -> int:
        """Return the highest position of a removed change. A watch that resumes before it has missed something."""

    async def changes(self, tenant: str, after_position: int, limit: int) -> Sequence[Change]:
        """Return a tenant's changes after a position, oldest first."""

    async def history(self, generation_id: GenerationId, after_revision: int, limit: int) -> Sequence[Generation]:
        """Return the revisions of a generation after `after_revision`, oldest first."""


class DeletionStore(Protocol):
    """Deletes generations, on request and by age, and keeps what must still be removed at Higgsfield."""

    async def delete(self, generation: Generation, *, at_upstream: bool, steady: Steady) -> None:
        """Remove a generation with its content at a steady time. Its key stays used; its removal is a change.

        With `at_upstream`, the same commit records that the data of its requests has to be removed at Higgsfield: see
        `removals`. That includes a request that was stored after this version of the generation was read.
        The horizon rises to its last change, so that watches that have not sent all of its changes start again.
        """

    async def deleted(self, tenant: str, generation_id: GenerationId) -> bool | None:
        """Return whether the data of a deleted generation was removed at Higgsfield; None if it was not deleted."""

    async def removals(self) -> Sequence[Removal]:
        """Return the removals that Higgsfield has not confirmed."""

    async def removal(self, generation_id: GenerationId) -> Removal | None:
        """Return the unconfirmed removal of a deleted generation; None if there is none."""

    async def removed(self, removal: Removal) -> None:
        """Record that Higgsfield has confirmed a removal."""

    async def prunable(self, ended_before: Steady, keys_before: Steady) -> bool:
        """Return whether `prune` has anything to remove. Run times count when a model has twice as many as are kept."""

    async def prune(self, ended_before: Steady, keys_before: Steady) -> int:
        """Remove generations that ended before a steady time, and return their number.

        Keys without a generation are removed if they were claimed, or their generation deleted, before `keys_before`.
        """


class WebhookStore(Protocol):
    """The webhooks that were received."""

    async def store_webhook(self, webhook: Webhook, wall: Wall) -> WebhookReceipt:
        """Store a webhook, unless it is a duplicate or there are MAX_WEBHOOKS already."""

    async def finish_webhook(self, webhook: Webhook, *, again: bool = False) -> None:
        """Mark a webhook as processed. Duplicates of it are ignored from now on, unless `again` is set.

        It still counts towards MAX_WEBHOOKS.
        """

    async def unprocessed_webhooks(self) -> Sequence[Webhook]:
        """Return the stored webhooks that were not processed."""


class EventStore(Protocol):
    """The events of a timeline that are no changes."""

    async def record(self, events: Sequence[tuple[str, Event]]) -> None:
        """Store events that are no changes, each with its generation id. One with the same time is replaced."""

    async def events(self, generation_id: GenerationId) -> Sequence[Event]:
        """Return the recorded events of a generation, oldest first."""


@frozen
class StoredCredentials:
    """Credentials of an account that was added, as they are stored.

    `tenant` is the only tenant that may use the account; "" for any. `sealed` is their encrypted text, empty once they
    were removed.
    """

    id: str
    account: str
    tenant: str
    sealed: bytes = field(repr=False)
    create_time: Wall


class AccountStore(Protocol):
    """Accounts, the pools of tenants, and what was learned of accounts and their models from all generations.

    Writes raise UnconfirmedError, and have an effect once if they are repeated.
    """

    async def credentials(self) -> Sequence[StoredCredentials]:
        """Return the credentials of all accounts, oldest first."""

    async def save_credentials(self, credentials: StoredCredentials) -> None:
        """Store credentials of an account, or replace those with the same id."""

    async def seal_credentials(self, credentials: str, sealed: bytes) -> None:
        """Replace the encrypted text of credentials; an empty one removes their secret."""

    async def delete_account(self, name: str) -> None:
        """Delete all credentials of an account."""

    async def pools(self) -> Mapping[str, Pool]:
        """Return the accounts of all tenants that do not use the default one."""

    async def set_pool(self, tenant: str, pool: Pool) -> None:
        """Store the accounts of a tenant in their order; without any, it uses the default one."""

    async def accounts_without_repeats(self) -> frozenset[str]:
        """Return the ids of credentials whose submissions are not repeated.

        A stray request has shown that Higgsfield does not honour idempotency keys for them.
        """

    async def run_times(self) -> Sequence[RunTime]:
        """Return the run times of each model's last few hundred ends, oldest first."""


class TimeStore(Protocol):
    """The steady time of the store, and its corrections."""

    async def newest_steady(self) -> Steady:
        """Return the latest stored steady time, from which the clock continues; 0 in an empty store.

        It is one of a generation, catalog, character or correction. Those of agents and callbacks are not read.
        """

    async def corrections(self) -> Sequence[Correction]:
        """Return the corrections of the steady clock, oldest first."""

    async def correct(self, correction: Correction, forget: Sequence[Steady] = ()) -> None:
        """Store a correction, replacing one with the same `since`, and delete those whose `since` is in `forget`."""


class LimitStore(Protocol):
    """The limits of tenants, keys and labels, and what is used of them."""

    async def set_limits(self, tenant: str, subject: str, limits: Limits, day: str) -> None:
        """Replace the limits of a subject; those of a new one begin with the use by the stored generations.

        `Limits()` removes them. `day` is the present UTC date, "" if it is not known.
        """

    async def limits(
        self, tenant: str = "", after: tuple[str, str] = ("", ""), limit: int | None = None
    ) -> Sequence[SubjectLimits]:
        """Return the limits of a tenant, or of all, with their use, sorted by tenant and subject.

        `after`: only those behind this tenant and subject. `limit`: at most as many.
        """

    async def uncertain_credits(self, limited: Sequence[SubjectLimits]) -> Sequence[int]:
        """Return how much of what each subject has reserved this month belongs to UNCERTAIN generations.

        Credits are millionths. The month is that of the use.
        """


class UsageStore(Protocol):
    """What tenants have used."""

    async def usage(self, query: UsageQuery) -> Sequence[UsageRow]:
        """Return a row for each group and state, sorted by group.

        There are at most as many as `MAX_GROUPS` + 1 groups can have.
        """


class UnconfirmedError(Exception):
    """The store did not confirm a read or a write. Catch it if it makes no difference whether a write is stored."""


class StoreError(UnconfirmedError):
    """The store cannot be read or written now. The write is not stored, and never will be."""


class UnknownCommitError(UnconfirmedError):
    """The response to a commit was lost. The write is stored, or not, or will be in a moment: see `read_back.py`."""


class RequestIdTakenError(Exception):
    """Another generation has this request id."""


async def or_store_unavailable(access: Awaitable[T]) -> T:
    """Return the result of an access to the store. An UnconfirmedError becomes GATEWAY_UNAVAILABLE."""
    try:
        return await access
    except UnconfirmedError as error:
        raise gateway_unavailable("the store is not available") from error
