"""Bounds what callers may hold, for every transport: a watch token and a tenant first, all callers together second.

A call takes a place before its request is read, and holds it until it ends:

- in `submits`, a submission, and in `opens`, a watch;
- in `asks`, a call for which Higgsfield may be asked, and in `answers`, any other;
- in `waits`, as soon as only an event is missing: a watch whose request is read, a submission that is stored.

A call that finds no place queues, and callers take turns, so a caller with many calls delays only itself. A call that
finds no room to queue or to wait is refused, and so is a submission while the gateway is late with what it has. Health
checks and the operator's socket are not bounded.
"""

import asyncio
import itertools
import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from gateway.access.identity import Identity
from gateway.errors import Failure, GatewayError, Reason

ASKS = frozenset({
    "CancelGeneration", "DeleteGeneration", "EstimateGeneration", "CreateUpload", "UploadMedia", "CreateCharacter",
    "DeleteCharacter", "GetCharacter", "ListModels", "GetModel", "ListMotions", "ListSoulStyles", "ListPresets",
    "TestCallback", "CreateSession", "GetSession", "SendMessage", "ListMessages", "InterruptSession", "CreateMedia",
    "ConfirmMedia",
})  # fmt: skip
"""RPCs that may ask Higgsfield, by their names without the service."""
KEPT = 4096
"""Bytes of its request that a call may keep in a place of `waits`; for more it takes several."""
WEBHOOKS = 1_000
WEBHOOKS_OF_ONE_TOKEN = 10
"""Webhooks that are read at the same time: of all generations, and of one."""
BODY_WITHIN = 10.0
"""Seconds in which a request, or the next part of an upload, has to arrive."""
LATE = 1.0
"""Seconds by which status calls are late from which on no submission is let in: those before it need the time."""
RETRY = (1.0, 3.0)
"""Seconds after which refused callers are asked to come back, spread evenly over them."""
_SPREAD = 32


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many calls one watch token, one tenant and all callers together may hold."""

    token: int
    tenant: int
    everybody: int


WORKING = Bounds(token=16, tenant=128, everybody=256)
"""Of each kind but `waits`."""
QUEUED = Bounds(token=100, tenant=1_000, everybody=2_000)
"""Calls that queue for such a place. A longer queue would only make each of them late."""
WAITING = Bounds(token=1_000, tenant=12_000, everybody=24_000)
"""Of `waits`, and of the calls that queue in `opens`: a burst of watches has to find its place."""


class Account:
    """What one caller holds in a pool. A tenant also holds what its tokens hold, and the root what all tenants hold."""

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
        """The parts, and the account itself, whose calls queue: first the one whose turn is next."""

    def up(self) -> "Iterator[Account]":
        """The account, its parent, and so on."""
        account: Account | None = self
        while account is not None:
            yield account
            account = account.parent

    def take(self, places: int = 1) -> bool:
        """Take places, unless that goes beyond a bound on any level."""
        account: Account | None = self
        while account is not None:
            if account.held + places > account.most:
                return False
            account = account.parent
        self.hold(places)
        return True

    def hold(self, places: int) -> None:
        """Hold so many more places."""
        account: Account | None = self
        while account is not None:
            account.held += places
            account = account.parent

    def line_up(self) -> "asyncio.Future[None] | None":
        """Queue for a place; None where a bound is reached on any level."""
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
        """Do not queue any more."""
        del self.queue[future]
        if not self.queue:
            del self.turns[self]
        for account in self.up():
            account.queued -= 1
            if account.parent is not None and not account.queued:
                del account.parent.turns[account]

    def next(self) -> "tuple[Account, asyncio.Future[None]] | None":
        """The next call that may have a place, of this account and its parts; the turn goes to the next of them."""
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
    """Places of one sort. `everybody` holds them all."""

    def __init__(self, most: Bounds, most_queued: Bounds) -> None:
        self._most = most
        self._most_queued = most_queued
        self.everybody = Account(most.everybody, most_queued.everybody)
        self._tenants: dict[str, Account] = {}
        self._tokens: dict[str, Account] = {}

    def account(self, identity: Identity) -> Account:
        """The account of a caller."""
        tenant = self._tenants.get(identity.tenant)
        if tenant is None:
            tenant = Account(self._most.tenant, self._most_queued.tenant, self.everybody, identity.tenant)
            self._tenants[identity.tenant] = tenant
        if not identity.token:
            return tenant
        token = self._tokens.get(identity.token)
        if token is None:
            token = Account(self._most.token, self._most_queued.token, tenant, identity.token)
            self._tokens[identity.token] = token
        return token

    async def enter(self, identity: Identity) -> Account | None:
        """Take a place, queueing for it; None where there is no room to queue. Give it back with `leave`."""
        account = self.account(identity)
        if not account.queue and account.take():
            return account
        future = account.line_up()
        if future is None:
            return None
        try:
            await future
        except asyncio.CancelledError:
            if future in account.queue:
                account.leave_queue(future)
                self._forget(account)
            elif not future.cancelled():
                self.leave(account)  # its turn had come
            raise
        return account

    def try_enter(self, identity: Identity, places: int) -> Account | None:
        """Take places; None where there are not as many."""
        account = self.account(identity)
        if account.take(places):
            return account
        self._forget(account)
        return None

    def leave(self, account: Account, places: int = 1) -> None:
        """Give places back. One goes to the next call that queues."""
        account.hold(-places)
        self._forget(account)
        while self.everybody.queued and (found := self.everybody.next()) is not None:
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
    """The places of one gateway."""

    def __init__(self, behind: Callable[[], float] = lambda: 0.0) -> None:
        """`behind` says by how many seconds status calls are late."""
        self._behind = behind
        self.submits = Pool(WORKING, QUEUED)
        self.opens = Pool(WORKING, WAITING)
        self.asks = Pool(WORKING, QUEUED)
        self.answers = Pool(WORKING, QUEUED)
        self.waits = Pool(WAITING, Bounds(0, 0, 0))

    def entrance(self, method: str, refused: Callable[[], None]) -> "Entrance":
        """The way in for calls of a method, named in full; `refused` counts."""
        name = method.rpartition("/")[2]
        if name == "SubmitGeneration":
            pool = self.submits
        elif name.startswith("Watch"):
            pool = self.opens
        else:
            pool = self.asks if name in ASKS else self.answers
        return Entrance(pool, self.waits, refused, self._behind if pool is self.submits else None)

    def pools(self) -> Mapping[str, Pool]:
        """Each kind of places by its name."""
        return {name: pool for name, pool in vars(self).items() if isinstance(pool, Pool)}


class Entrance:
    """The way in for the calls of one method."""

    __slots__ = ("_behind", "_pool", "_refused", "waits")

    def __init__(
        self, pool: Pool, waits: Pool, refused: Callable[[], None], behind: Callable[[], float] | None
    ) -> None:
        self._pool = pool
        self.waits = waits
        self._refused = refused
        self._behind = behind

    async def enter(self, identity: Identity) -> "Place":
        """A place for a call, perhaps after others. Raises GATEWAY_OVERLOADED."""
        if self._behind is not None and self._behind() > LATE:
            raise self.refusal(_LATE)
        account = await self._pool.enter(identity)
        if account is None:
            raise self.refusal(_FULL)
        return Place(self, self._pool, account)

    def refusal(self, failures: Iterator[Failure]) -> GatewayError:
        """What to raise for a call that is refused."""
        self._refused()
        return GatewayError(next(failures))


class Place:
    """What one call holds."""

    __slots__ = ("_account", "_entrance", "_places", "_pool")

    def __init__(self, entrance: Entrance, pool: Pool, account: Account) -> None:
        self._entrance = entrance
        self._pool = pool
        self._account = account
        self._places = 1

    def may_wait(self, identity: Identity, kept: int = 0) -> bool:
        """Hold a place in `waits` instead, or more for many bytes that are `kept`. If it is full, return False."""
        waits, places = self._entrance.waits, 1 + kept // KEPT
        account = waits.try_enter(identity, places)
        if account is None:
            return False
        self._pool.leave(self._account)
        self._pool, self._account, self._places = waits, account, places
        return True

    def wait(self, identity: Identity, kept: int) -> None:
        """The same. Raises GATEWAY_OVERLOADED if it is full."""
        if not self.may_wait(identity, kept):
            raise self._entrance.refusal(_FULL)

    def leave(self) -> None:
        """Give it back."""
        self._pool.leave(self._account, self._places)


class Door:
    """Bounds the webhooks that are read at the same time: of one generation, whose token a path names, and of all."""

    def __init__(self, most: int, refused: Callable[[], None]) -> None:
        self._most = most
        self._refused = refused
        self._held = 0
        self._of: Counter[str] = Counter()

    def enter(self, generation_id: str) -> bool:
        """Take a place; False if there is none."""
        if self._held >= self._most or self._of[generation_id] >= WEBHOOKS_OF_ONE_TOKEN:
            self._refused()
            return False
        self._held += 1
        self._of[generation_id] += 1
        return True

    def leave(self, generation_id: str) -> None:
        """Give it back."""
        self._held -= 1
        self._of[generation_id] -= 1
        if not self._of[generation_id]:
            del self._of[generation_id]


def _failures(message: str) -> Iterator[Failure]:
    """The same again and again, each time with another delay."""
    first, last = RETRY
    delays = [first + (last - first) * number / _SPREAD for number in range(_SPREAD)]
    random.shuffle(delays)
    message += ": nothing was done, come back later"
    return itertools.cycle(
        [Failure(Reason.GATEWAY_OVERLOADED, message, retryable=True, retry_after=delay) for delay in delays]
    )


_FULL = _failures("too many calls of this caller are under way")
_LATE = _failures("the gateway is overloaded")
