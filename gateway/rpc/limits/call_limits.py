"""Limits concurrent calls, for every transport: of each watch token, of each tenant, and of all callers together.

docs/overload.md describes the limits. The guard of a call (`chain.py`) takes and returns its place. Limits of what a
tenant may submit are in `gateway/generations/limits/model.py`.

A call takes a place in a pool before its request is read, and holds it until it ends:

- `submitting` for submissions, `opening` for watches;
- `upstream` for calls that may cause a call to Higgsfield, `local` for all others;
- `waiting` for calls that only wait for an event: a watch whose request was read, or a submission that is stored; and
  for the bytes of requests of MCP.

If no place is free, the call queues. Callers take turns, so a caller with many calls delays only itself. A call is
refused if the queue or `waiting` is full. A submission is also refused while the gateway is behind with its status
calls. Health checks and the operator's socket are not limited. The address of AdminService has its own pools.
"""

import asyncio
import itertools
import random
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping

from gateway import tracing
from gateway.access.identity import Identity
from gateway.errors import Failure, GatewayError, Reason
from gateway.frozen import frozen

UPSTREAM_RPCS = frozenset({
    "AdoptGeneration", "CancelGeneration", "DeleteGeneration", "EstimateGeneration", "CreateUpload", "UploadMedia",
    "CreateCharacter", "DeleteCharacter", "GetCharacter", "ListCharacters", "ListModels", "GetModel", "ListMotions",
    "ListSoulStyles", "ListPresets", "TestCallback", "CreateSession", "GetSession", "SendMessage", "ListMessages",
    "InterruptSession", "CreateMedia", "ConfirmMedia",
})  # fmt: skip
"""The names of RPCs that may cause a call to Higgsfield, without the service."""
BYTES_PER_PLACE = 4096
"""Bytes of its request that a call may keep in memory per place in `waiting`. For more, it takes several places."""
MAX_WEBHOOKS = 1_000
MAX_WEBHOOKS_PER_TOKEN = 10
"""Webhooks that are read concurrently: for all generations, and for one."""
BODY_TIMEOUT = 10.0
"""Seconds within which a request, or the next part of an upload, must arrive."""
MAX_POLL_DELAY = 5.0
"""If status polls are late by this many seconds, submissions are refused, so that the gateway can catch up."""
RETRY_DELAYS = (1.0, 3.0)
"""The range of retry delays in seconds for callers that are over their own limits; delays are spread over it."""
OVERLOADED_RETRY_DELAYS = (5.0, 15.0)
"""Such a range for an overloaded gateway. A refusal takes 0.3 ms, so thousands of callers must not repeat every 2 s."""
_DELAYS = 32
"""The number of different delays."""


@frozen
class Bounds:
    """The maximum of calls of one watch token, of one tenant, and of all callers together."""

    token: int
    tenant: int
    total: int


WORKING = Bounds(token=16, tenant=128, total=256)
"""Places in each pool except `waiting`."""
QUEUED = Bounds(token=100, tenant=1_000, total=2_000)
"""Calls that may queue for a place of WORKING. A longer queue would only delay each of them."""
WAITING = Bounds(token=1_000, tenant=12_000, total=24_000)
"""Places in `waiting`, and calls that may queue in `opening`, because watches arrive in bursts."""


class Holder:
    """A caller that holds places in a pool: a watch token, its tenant as the parent, and all callers as the root.

    A place counts for its holder and all ancestors.
    """

    __slots__ = ("children", "held", "key", "max_places", "max_queued", "parent", "queue", "queued", "turns")

    def __init__(self, max_places: int, max_queued: int, parent: "Holder | None" = None, key: str = "") -> None:
        self.max_places = max_places
        self.max_queued = max_queued
        self.parent = parent
        self.key = key
        self.children: dict[str, Holder] = {}
        """The holders below this one by their keys."""
        self.held = 0
        self.queued = 0
        self.queue: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self.turns: OrderedDict[Holder, None] = OrderedDict()
        """The children with queued calls, and the holder itself if it has some, in the order of their turns."""

    def with_ancestors(self) -> "Iterator[Holder]":
        """Yield the holder and its ancestors."""
        holder: Holder | None = self
        while holder is not None:
            yield holder
            holder = holder.parent

    def take(self, places: int = 1) -> bool:
        """Take places and return True, or return False if that would exceed a limit on any level."""
        holder: Holder | None = self
        while holder is not None:
            if holder.held + places > holder.max_places:
                return False
            holder = holder.parent
        self.hold(places)
        return True

    def hold(self, places: int) -> None:
        """Take places without checking limits."""
        holder: Holder | None = self
        while holder is not None:
            holder.held += places
            holder = holder.parent

    def enqueue(self) -> "asyncio.Future[None] | None":
        """Queue for a place. Returns None if a queue is full on any level."""
        if any(holder.queued >= holder.max_queued for holder in self.with_ancestors()):
            return None
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.queue[future] = None
        self.turns[self] = None
        for holder in self.with_ancestors():
            holder.queued += 1
            if holder.parent is not None:
                holder.parent.turns[holder] = None
        return future

    def leave_queue(self, future: "asyncio.Future[None]") -> None:
        """Leave the queue without a place."""
        del self.queue[future]
        if not self.queue:
            del self.turns[self]
        for holder in self.with_ancestors():
            holder.queued -= 1
            if holder.parent is not None and not holder.queued:
                del holder.parent.turns[holder]

    def next(self) -> "tuple[Holder, asyncio.Future[None]] | None":
        """Return the queued call that is next in turn for this holder, and move the turn on. None if there is none."""
        if self.held >= self.max_places:
            return None
        for _ in range(len(self.turns)):
            part = next(iter(self.turns))
            self.turns.move_to_end(part)
            found = (self, next(iter(self.queue))) if part is self else part.next()
            if found is not None:
                return found
        return None


class Pool:
    """The places of one kind. `total` is the root of the holders: all callers."""

    def __init__(self, max_places: Bounds, max_queued: Bounds) -> None:
        self._max_places = max_places
        self._max_queued = max_queued
        self.total = Holder(max_places.total, max_queued.total)

    def holder(self, identity: Identity) -> Holder:
        """Return the holder of a caller. It is forgotten when the caller's last call ends."""
        tenant = self.total.children.get(identity.tenant)
        if tenant is None:
            tenant = Holder(self._max_places.tenant, self._max_queued.tenant, self.total, identity.tenant)
            self.total.children[identity.tenant] = tenant
        if not identity.token:
            return tenant
        token = tenant.children.get(identity.token)
        if token is None:
            token = Holder(self._max_places.token, self._max_queued.token, tenant, identity.token)
            tenant.children[identity.token] = token
        return token

    def take(self, identity: Identity) -> Holder | None:
        """Take a place; None if there is none, as while a call of the same caller queues. Return it with `leave`."""
        holder = self.holder(identity)
        return holder if holder.take() else None

    async def wait(self, identity: Identity) -> Holder | None:
        """Queue for a place, after `take` gave none; None if the queue is full."""
        holder = self.holder(identity)
        future, began = holder.enqueue(), time.monotonic()
        if future is None:
            self._forget(holder)
            return None
        try:
            await future
        except asyncio.CancelledError:
            if future in holder.queue:
                holder.leave_queue(future)
                self._forget(holder)
            elif not future.cancelled():
                self.leave(holder)  # it already has a place
            raise
        tracing.attribute("hfgateway.queued_ms", round(1000 * (time.monotonic() - began)))
        return holder

    def try_take(self, identity: Identity, places: int) -> Holder | None:
        """Take places without waiting. Returns None if there are not enough."""
        holder = self.holder(identity)
        if holder.take(places):
            return holder
        self._forget(holder)
        return None

    def leave(self, holder: Holder, places: int = 1) -> None:
        """Return places. One is given to the next queued call."""
        holder.hold(-places)
        self._forget(holder)
        while self.total.queued and (found := self.total.next()) is not None:
            holder, future = found
            holder.leave_queue(future)
            if not future.cancelled():
                holder.hold(1)
                future.set_result(None)
                return
            self._forget(holder)

    def _forget(self, holder: Holder) -> None:
        """Forget a holder without calls, and its tenant if that has none either."""
        while holder.parent is not None and not holder.held and not holder.queued:
            del holder.parent.children[holder.key]
            holder = holder.parent


class CallLimits:
    """The pools of a gateway."""

    def __init__(self, behind: Callable[[], float] = lambda: 0.0) -> None:
        """`behind` returns by how many seconds status calls are late."""
        self._behind = behind
        self.submitting = Pool(WORKING, QUEUED)
        self.opening = Pool(WORKING, WAITING)
        self.upstream = Pool(WORKING, QUEUED)
        self.local = Pool(WORKING, QUEUED)
        self.waiting = Pool(WAITING, Bounds(0, 0, 0))

    def of_method(self, method: str) -> "MethodLimit":
        """Return the limit for a method, given by its full name."""
        name = method.rpartition("/")[2]
        if name == "SubmitGeneration":
            pool = self.submitting
        elif name.startswith("Watch"):
            pool = self.opening
        else:
            pool = self.upstream if name in UPSTREAM_RPCS else self.local
        return MethodLimit(pool, self.waiting, self._behind if pool is self.submitting else None)

    def kept_request(self, identity: Identity) -> "KeptRequest":
        """Return the places of a request that stays in memory."""
        return KeptRequest(self.waiting, identity)

    def pools(self) -> Mapping[str, Pool]:
        """Return the pools by name."""
        return {name: pool for name, pool in vars(self).items() if isinstance(pool, Pool)}


@frozen
class MethodLimit:
    """Gives places to the calls of one method, or refuses them."""

    pool: Pool
    waiting: Pool
    behind: Callable[[], float] | None

    def take(self, identity: Identity) -> "Place | None":
        """Take a place for a call if it need not queue; None otherwise. Raises GATEWAY_OVERLOADED."""
        if self.behind is not None and self.behind() > MAX_POLL_DELAY:
            raise GatewayError(next(_LATE))
        holder = self.pool.take(identity)
        return None if holder is None else Place(self.pool, self.waiting, holder)

    async def wait(self, identity: Identity) -> "Place":
        """Queue for a place, after `take` gave none. Raises GATEWAY_OVERLOADED."""
        holder = await self.pool.wait(identity)
        if holder is None:
            raise GatewayError(next(_FULL))
        return Place(self.pool, self.waiting, holder)


class Place:
    """The place that a call holds."""

    __slots__ = ("_holder", "_places", "_pool", "_waiting")

    def __init__(self, pool: Pool, waiting: Pool, holder: Holder) -> None:
        self._pool = pool
        self._waiting = waiting
        self._holder = holder
        self._places = 1

    def try_start_waiting(self, identity: Identity, kept: int = 0) -> bool:
        """Exchange the place for one in `waiting`, or several if many bytes are `kept`; return False if it is full."""
        places = 1 + kept // BYTES_PER_PLACE
        holder = self._waiting.try_take(identity, places)
        if holder is None:
            return False
        self._pool.leave(self._holder)
        self._pool, self._holder, self._places = self._waiting, holder, places
        return True

    def start_waiting(self, identity: Identity, kept: int) -> None:
        """Exchange the place as `try_start_waiting` does, but raise GATEWAY_OVERLOADED if `waiting` is full."""
        if not self.try_start_waiting(identity, kept):
            raise GatewayError(next(_FULL))

    def leave(self) -> None:
        self._pool.leave(self._holder, self._places)


class KeptRequest:
    """The places in `waiting` that a request of MCP takes: one for each BYTES_PER_PLACE, from its arrival to its end.

    It is a context manager, which returns the places.
    """

    def __init__(self, waiting: Pool, identity: Identity) -> None:
        self._waiting = waiting
        self._identity = identity
        self._holder: Holder | None = None
        self._places = 0

    def __enter__(self) -> "KeptRequest":
        return self

    def grow(self, size: int) -> None:
        """Take the places that are missing for `size` bytes. Raises GATEWAY_OVERLOADED."""
        missing = -(-size // BYTES_PER_PLACE) - self._places
        if missing <= 0:
            return
        holder = self._waiting.try_take(self._identity, missing)
        if holder is None:
            raise GatewayError(next(_FULL))
        self._holder = holder
        self._places += missing

    def __exit__(self, *_: object) -> None:
        if self._holder is not None:
            self._waiting.leave(self._holder, self._places)


class WebhookLimit:
    """Limits the webhooks that are read concurrently: for each generation, and in total."""

    def __init__(self, refused: Callable[[], None]) -> None:
        self._refused = refused
        self._held = 0
        self._of: Counter[str] = Counter()

    def enter(self, generation_id: str) -> bool:
        """Take a place. Returns False if there is none."""
        if self._held >= MAX_WEBHOOKS or self._of[generation_id] >= MAX_WEBHOOKS_PER_TOKEN:
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


def refusals(message: str, retry: tuple[float, float]) -> list[Failure]:
    """Return failures of refused calls, with retry delays in seconds that are spread over the range `retry`."""
    first, last = retry
    delays = [first + (last - first) * number / _DELAYS for number in range(_DELAYS)]
    random.shuffle(delays)
    message += ": nothing was done; retry later"
    return [Failure(Reason.GATEWAY_OVERLOADED, message, retryable=True, retry_after=delay) for delay in delays]


OVERLOADED = refusals("the gateway is overloaded", OVERLOADED_RETRY_DELAYS)
_FULL = itertools.cycle(refusals("too many concurrent calls of this caller", RETRY_DELAYS))
_LATE = itertools.cycle(OVERLOADED)
