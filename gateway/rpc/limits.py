"""Limits concurrent calls, for every transport: of each watch token, of each tenant, and of all callers together.

A call takes a place in a pool before its request is read, and holds it until it ends:

- `submits` for submissions, `opens` for watches;
- `asks` for calls that may cause a call to Higgsfield, `answers` for all others;
- `waits` for calls that only wait for an event: a watch whose request was read, or a submission that is stored.

If no place is free, the call queues. Callers take turns, so a caller with many calls delays only itself. A call is
refused if the queue or `waits` is full. A submission is also refused while the gateway is behind with its status calls.
Health checks and the operator's socket are not limited. The address of AdminService has pools of its own.
"""

import asyncio
import itertools
import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from gateway import tracing
from gateway.access.identity import Identity
from gateway.errors import Failure, GatewayError, Reason

ASKS = frozenset({
    "AdoptGeneration", "CancelGeneration", "DeleteGeneration", "EstimateGeneration", "CreateUpload", "UploadMedia",
    "CreateCharacter", "DeleteCharacter", "GetCharacter", "ListModels", "GetModel", "ListMotions", "ListSoulStyles",
    "ListPresets", "TestCallback", "CreateSession", "GetSession", "SendMessage", "ListMessages", "InterruptSession",
    "CreateMedia", "ConfirmMedia",
})  # fmt: skip
"""The names of RPCs that may cause a call to Higgsfield, without the service."""
KEPT = 4096
"""Bytes of its request that a call may keep in memory per place in `waits`. For more, it takes several places."""
WEBHOOKS = 1_000
WEBHOOKS_OF_ONE_TOKEN = 10
"""Webhooks that are read concurrently: for all generations, and for one."""
BODY_WITHIN = 10.0
"""Seconds within which a request, or the next part of an upload, must arrive."""
LATE = 5.0
"""If status calls are late by this many seconds, submissions are refused, so that the gateway can catch up."""
RETRY = (1.0, 3.0)
"""The range of retry delays in seconds for refused callers, over which they are spread."""
_SPREAD = 32


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most calls of one watch token, of one tenant, and of all callers together."""

    token: int
    tenant: int
    total: int


WORKING = Bounds(token=16, tenant=128, total=256)
"""Places in each pool except `waits`."""
QUEUED = Bounds(token=100, tenant=1_000, total=2_000)
"""Calls that may queue for such a place. A longer queue would only delay each of them."""
WAITING = Bounds(token=1_000, tenant=12_000, total=24_000)
"""Places in `waits`, and calls that may queue in `opens`, because watches arrive in bursts."""


class Account:
    """The places that one caller holds in a pool. Those of a watch token count for its tenant, and all for the root."""

    __slots__ = ("held", "key", "most", "most_queued", "parent", "queue", "queued", "turns")

    def __init__(self, most: int, most_queued: int, parent: "Account | None" = None, key: str = "") -> None:
        self.most = most
        self.most_queued = most_queued
        self.parent = parent
        self.key = key
        self.held = 0
        self.queued = 0
        self.queue: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self.turns: OrderedDict[Account, None] = OrderedDict()
        """The children with queued calls, and the account itself if it has some, in the order of their turns."""

    def up(self) -> "Iterator[Account]":
        """Yield the account and its ancestors."""
        account: Account | None = self
        while account is not None:
            yield account
            account = account.parent

    def take(self, places: int = 1) -> bool:
        """Take places and return True, or return False if that would exceed a limit on any level."""
        account: Account | None = self
        while account is not None:
            if account.held + places > account.most:
                return False
            account = account.parent
        self.hold(places)
        return True

    def hold(self, places: int) -> None:
        """Take places without checking limits."""
        account: Account | None = self
        while account is not None:
            account.held += places
            account = account.parent

    def enqueue(self) -> "asyncio.Future[None] | None":
        """Queue for a place. Returns None if a queue is full on any level."""
        if any(account.queued >= account.most_queued for account in self.up()):
            return None
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.queue[future] = None
        self.turns[self] = None
        for account in self.up():
            account.queued += 1
            if account.parent is not None:
                account.parent.turns[account] = None
        return future

    def leave_queue(self, future: "asyncio.Future[None]") -> None:
        """Leave the queue without a place."""
        del self.queue[future]
        if not self.queue:
            del self.turns[self]
        for account in self.up():
            account.queued -= 1
            if account.parent is not None and not account.queued:
                del account.parent.turns[account]

    def next(self) -> "tuple[Account, asyncio.Future[None]] | None":
        """Return the queued call that is next in turn for this account, and move the turn on. None if there is none."""
        if self.held >= self.most:
            return None
        for _ in range(len(self.turns)):
            part = next(iter(self.turns))
            self.turns.move_to_end(part)
            found = (self, next(iter(self.queue))) if part is self else part.next()
            if found is not None:
                return found
        return None


class Pool:
    """The places of one kind. `total` is the root account."""

    def __init__(self, most: Bounds, most_queued: Bounds) -> None:
        self._most = most
        self._most_queued = most_queued
        self.total = Account(most.total, most_queued.total)
        self._tenants: dict[str, Account] = {}
        self._tokens: dict[str, Account] = {}

    def account(self, identity: Identity) -> Account:
        """Return the account of a caller."""
        tenant = self._tenants.get(identity.tenant)
        if tenant is None:
            tenant = Account(self._most.tenant, self._most_queued.tenant, self.total, identity.tenant)
            self._tenants[identity.tenant] = tenant
        if not identity.token:
            return tenant
        token = self._tokens.get(identity.token)
        if token is None:
            token = Account(self._most.token, self._most_queued.token, tenant, identity.token)
            self._tokens[identity.token] = token
        return token

    async def enter(self, identity: Identity) -> Account | None:
        """Take a place, waiting in the queue if needed; None if the queue is full. Return the place with `leave`."""
        account = self.account(identity)
        if not account.queue and account.take():
            return account
        future = account.enqueue()
        if future is None:
            return None
        try:
            await future
        except asyncio.CancelledError:
            if future in account.queue:
                account.leave_queue(future)
                self._forget(account)
            elif not future.cancelled():
                self.leave(account)  # it already has a place
            raise
        tracing.event("admitted")
        return account

    def try_enter(self, identity: Identity, places: int) -> Account | None:
        """Take places without waiting. Returns None if there are not enough."""
        account = self.account(identity)
        if account.take(places):
            return account
        self._forget(account)
        return None

    def leave(self, account: Account, places: int = 1) -> None:
        """Return places. One is given to the next queued call."""
        account.hold(-places)
        self._forget(account)
        while self.total.queued and (found := self.total.next()) is not None:
            account, future = found
            account.leave_queue(future)
            if not future.cancelled():
                account.hold(1)
                future.set_result(None)
                return

    def _forget(self, account: Account) -> None:
        if account.key in self._tokens and not account.held and not account.queued:
            del self._tokens[account.key]


class Limits:
    """The pools of a gateway."""

    def __init__(self, behind: Callable[[], float] = lambda: 0.0) -> None:
        """`behind` returns by how many seconds status calls are late."""
        self._behind = behind
        self.submits = Pool(WORKING, QUEUED)
        self.opens = Pool(WORKING, WAITING)
        self.asks = Pool(WORKING, QUEUED)
        self.answers = Pool(WORKING, QUEUED)
        self.waits = Pool(WAITING, Bounds(0, 0, 0))

    def entrance(self, method: str, refused: Callable[[], None]) -> "Entrance":
        """Return the entrance for a method, given by its full name. `refused` is called for each refused call."""
        name = method.rpartition("/")[2]
        if name == "SubmitGeneration":
            pool = self.submits
        elif name.startswith("Watch"):
            pool = self.opens
        else:
            pool = self.asks if name in ASKS else self.answers
        return Entrance(pool, self.waits, refused, self._behind if pool is self.submits else None)

    def pools(self) -> Mapping[str, Pool]:
        """Return the pools by name."""
        return {name: pool for name, pool in vars(self).items() if isinstance(pool, Pool)}


class Entrance:
    """Lets calls of one method in, or refuses them."""

    __slots__ = ("_behind", "_pool", "_refused", "waits")

    def __init__(
        self, pool: Pool, waits: Pool, refused: Callable[[], None], behind: Callable[[], float] | None
    ) -> None:
        self._pool = pool
        self.waits = waits
        self._refused = refused
        self._behind = behind

    async def enter(self, identity: Identity) -> "Place":
        """Take a place for a call, after queued ones. Raises GATEWAY_OVERLOADED."""
        if self._behind is not None and self._behind() > LATE:
            raise self.refusal(_LATE)
        account = await self._pool.enter(identity)
        if account is None:
            raise self.refusal(_FULL)
        return Place(self, self._pool, account)

    def refusal(self, failures: Iterator[Failure]) -> GatewayError:
        """Count a refused call and return its error."""
        self._refused()
        return GatewayError(next(failures))


class Place:
    """The place that a call holds."""

    __slots__ = ("_account", "_entrance", "_places", "_pool")

    def __init__(self, entrance: Entrance, pool: Pool, account: Account) -> None:
        self._entrance = entrance
        self._pool = pool
        self._account = account
        self._places = 1

    def may_wait(self, identity: Identity, kept: int = 0) -> bool:
        """Exchange the place for one in `waits`, or several if many bytes are `kept`; return False if it is full."""
        waits, places = self._entrance.waits, 1 + kept // KEPT
        account = waits.try_enter(identity, places)
        if account is None:
            return False
        self._pool.leave(self._account)
        self._pool, self._account, self._places = waits, account, places
        return True

    def wait(self, identity: Identity, kept: int) -> None:
        """Do the same, but raise GATEWAY_OVERLOADED if `waits` is full."""
        if not self.may_wait(identity, kept):
            raise self._entrance.refusal(_FULL)

    def leave(self) -> None:
        self._pool.leave(self._account, self._places)


class Door:
    """Limits the webhooks that are read concurrently: for each generation, and in total."""

    def __init__(self, most: int, refused: Callable[[], None]) -> None:
        self._most = most
        self._refused = refused
        self._held = 0
        self._of: Counter[str] = Counter()

    def enter(self, generation_id: str) -> bool:
        """Take a place. Returns False if there is none."""
        if self._held >= self._most or self._of[generation_id] >= WEBHOOKS_OF_ONE_TOKEN:
            self._refused()
            return False
        self._held += 1
        self._of[generation_id] += 1
        return True

    def leave(self, generation_id: str) -> None:
        self._held -= 1
        self._of[generation_id] -= 1
        if not self._of[generation_id]:
            del self._of[generation_id]


def _failures(message: str) -> Iterator[Failure]:
    """Yield the failure for ever, with retry delays spread over RETRY."""
    first, last = RETRY
    delays = [first + (last - first) * number / _SPREAD for number in range(_SPREAD)]
    random.shuffle(delays)
    message += ": nothing was done; retry later"
    return itertools.cycle(
        [Failure(Reason.GATEWAY_OVERLOADED, message, retryable=True, retry_after=delay) for delay in delays]
    )


_FULL = _failures("too many concurrent calls of this caller")
_LATE = _failures("the gateway is overloaded")
