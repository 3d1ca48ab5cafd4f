"""Dispatches callbacks: one loop creates deliveries from the log of changes, and sends those that are due.

A callback has a position in its tenant's log. The changes after it that the callback wants become deliveries, a bounded
number at a time, in one transaction with the new position. Each is attempted until it succeeds or fails for good. A
crash therefore loses nothing: a change is still in the log, or its delivery is pending in the store.
"""

import asyncio
import logging
import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from gateway.callbacks import schedule, signing
from gateway.callbacks.model import Callback, Delivery, DeliveryState, NotSentError, Outcome
from gateway.callbacks.ports import Bodies, CallbackStore, Receivers
from gateway.concurrency import OwnedTasks, Wakeup
from gateway.due_times import DueTimes
from gateway.generations.model import Change, Generation
from gateway.generations.ports import Clock
from gateway.generations.read_back import repeated_if_unknown
from gateway.generations.store_backoff import until_stored
from gateway.generations.stores import ChangeLog, Saved, UnconfirmedError
from gateway.generations.watching.feed import Feed

log = logging.getLogger(__name__)

MAX_WAITING = 1_000
"""Pending deliveries of one callback. Later changes stay in the log until there is room."""
MAX_CONCURRENT_ATTEMPTS_PER_CALLBACK = 4
"""Concurrent attempts of one callback; one during an outage."""
MAX_CONCURRENT_ATTEMPTS = 200
"""Concurrent attempts in total. A tenant may make as many as it leaves free for others."""
READ_BATCH_SIZE = 200
"""Changes of the log that are read for one callback before it is the turn of the others."""
POSITION_EVERY, POSITION_AFTER = 5_000, 3600.0
"""Without new deliveries, the position of a callback is stored after this number of log positions, or of seconds."""
STORE_PAUSE = 1.0
"""Seconds before the next try if the store is not available."""
DRAIN_TIMEOUT = 3.0
"""Seconds for which a drain waits for attempts. An attempt that is cut off is repeated by the next process."""


class CallbackQueue:
    """The pending deliveries of one callback, in a queue for each generation.

    Hold `changing` to change the callback here and in the store. `in_flight` are the generations whose first delivery
    is being attempted.
    """

    def __init__(self, callback: Callback) -> None:
        self.callback = callback
        self.stored_position, self.stored_at = callback.position, 0.0
        self.missed = False
        self.changing = asyncio.Lock()
        self.in_flight: set[str] = set()
        self.waiting = 0
        self._queues: dict[str, list[Delivery]] = {}
        self._due: DueTimes[str] = DueTimes()
        """When the first delivery of each generation is due that is not being attempted."""

    def add(self, delivery: Delivery) -> None:
        """Add a pending delivery, or replace the one with its revision.

        Deliveries of one generation are sent in the order of their revisions. If the delivery is being attempted, the
        outcome of that attempt applies to the new one.
        """
        before = self._queues.get(delivery.generation_id, [])
        attempted = before[:1] if delivery.generation_id in self.in_flight else []
        if attempted and attempted[0].revision == delivery.revision:
            before[0] = delivery
            return
        others = [other for other in before[len(attempted) :] if other.revision != delivery.revision]
        queue = [*attempted, *sorted([*others, delivery], key=_revision)]
        self._queues[delivery.generation_id] = queue
        self.waiting += len(queue) - len(before)
        self._schedule(delivery.generation_id)

    def take(self, now: float) -> Delivery | None:
        """Return the next due delivery and mark it as in flight; None if none is due at the steady time `now`."""
        due = self._due.take(now)
        if due is None:
            return None
        _, generation_id = due
        self.in_flight.add(generation_id)
        return self._queues[generation_id][0]

    def next_due(self) -> float | None:
        """Return the steady time at which the next delivery is due; None if all are in flight or there is none."""
        return self._due.first()

    def current(self, delivery: Delivery) -> Delivery:
        """Return a delivery that is being attempted as it is now: it may have been redelivered since it was taken."""
        return self._queues[delivery.generation_id][0]

    def attempted(self, delivery: Delivery) -> None:
        """Take back a delivery after its attempt. If it has succeeded or failed, the next one follows."""
        self.in_flight.discard(delivery.generation_id)
        queue = self._queues[delivery.generation_id]
        if delivery.state is DeliveryState.PENDING:
            queue[0] = delivery
            queue.sort(key=_revision)  # a redelivery of an earlier revision may have been added during the attempt
        else:
            queue.pop(0)
            self.waiting -= 1
            if not queue:
                del self._queues[delivery.generation_id]
        self._schedule(delivery.generation_id)

    def make_due(self, now: float, *, everything: bool) -> None:
        """Make the pending deliveries due: all of them, or only those that failed because of an outage."""
        for generation_id, queue in self._queues.items():
            for index, delivery in enumerate(queue):
                failed = schedule.is_outage(delivery.problem, delivery.http_status)
                if delivery.next_at > now and (everything or failed):
                    queue[index] = replace(delivery, next_at=now)
            self._schedule(generation_id)

    def _schedule(self, generation_id: str) -> None:
        queue = self._queues.get(generation_id)
        if queue and generation_id not in self.in_flight:
            self._due.put(generation_id, queue[0].next_at)


def _revision(delivery: Delivery) -> int:
    return delivery.revision


class Dispatcher:
    """Serves the queues of all callbacks.

    The metrics `delivered` and `failed` count attempts; `skipped` counts the times that a callback missed changes
    because they were pruned.

    `may_send` returns whether no other gateway can be sending the same deliveries. It is called right before each
    request: a leader that was paused may have a successor, which has sent later revisions.
    """

    def __init__(
        self,
        *,
        change_log: ChangeLog,
        store: CallbackStore,
        feed: Feed,
        clock: Clock,
        receivers: Receivers,
        bodies: Bodies,
        may_send: Callable[[], bool],
    ) -> None:
        self._change_log = change_log
        self._store = store
        self._feed = feed
        self._clock = clock
        self._receivers = receivers
        self._bodies = bodies
        self._may_send = may_send
        self._tasks = OwnedTasks()
        self._woken: dict[str, None] = {}
        """The callbacks to examine in the next round."""
        self._turns: OrderedDict[str, None] = OrderedDict()
        """Those that may have a due attempt, in the order of their turns."""
        self._crowded: dict[str, dict[str, None]] = {}
        """Those with a due attempt for which their tenant has no place now, by tenant."""
        self._attempts: Counter[str] = Counter()
        """The attempts of each tenant that are under way."""
        self._alarms: DueTimes[str] = DueTimes()
        """When to examine each callback again, by its id."""
        self._wakeup = Wakeup()
        self.queues: dict[str, CallbackQueue] = {}
        self._of_tenant: dict[str, set[str]] = {}
        self.delivered = self.failed = self.skipped = 0

    async def resume(self, callbacks: Sequence[Callback]) -> None:
        """Add the stored callbacks at the start. Raises UnconfirmedError."""
        for callback in callbacks:
            await self.add(callback)

    async def add(self, callback: Callback) -> None:
        """Add a callback and load its pending deliveries. Raises UnconfirmedError.

        A time further ahead than any pause was stored by a process whose clock was ahead. It must not delay a retry.
        """
        latest = self._clock.moment().steady + schedule.MAX_RETRY_AFTER
        queue = CallbackQueue(replace(callback, held_until=min(callback.held_until, latest)))
        for delivery in await self._store.pending_deliveries(callback.id):
            queue.add(replace(delivery, next_at=min(delivery.next_at, latest)))
        self.queues[callback.id] = queue
        self._of_tenant.setdefault(callback.tenant, set()).add(callback.id)
        self.wake(callback.id)

    def remove(self, callback_id: str) -> None:
        """Stop serving a callback, because it was deleted."""
        queue = self.queues.pop(callback_id, None)
        if queue is not None:
            of_tenant = self._of_tenant[queue.callback.tenant]
            of_tenant.discard(callback_id)
            if not of_tenant:
                del self._of_tenant[queue.callback.tenant]

    def of(self, tenant: str) -> list[Callback]:
        """Return the tenant's callbacks."""
        return [self.queues[name].callback for name in self._of_tenant.get(tenant, ())]

    def waiting(self) -> int:
        """Return the number of pending deliveries."""
        return sum(queue.waiting for queue in self.queues.values())

    def paused(self) -> int:
        """Return the number of paused callbacks."""
        return sum(queue.callback.paused for queue in self.queues.values())

    def on_commit(self, saved: Sequence[Saved]) -> None:
        """Wake the callbacks of tenants with a change in this commit."""
        for tenant in {save.change.tenant: None for save in saved if save.change is not None}:
            for name in self._of_tenant.get(tenant, ()):
                self.wake(name)

    def wake(self, callback_id: str) -> None:
        """Let the loop examine a callback in its next round."""
        self._woken[callback_id] = None
        self._wakeup.wake()

    async def version(self, delivery: Delivery) -> Generation | None:
        """Return the version to deliver; None if the generation was deleted or the revision pruned.

        Raises UnconfirmedError.
        """
        versions = await self._change_log.history(delivery.generation_id, delivery.revision - 1, 1)
        if not versions or versions[0].revision != delivery.revision:
            return None
        return versions[0]

    async def run(self) -> None:
        """Create and send deliveries until canceled."""
        while True:
            signal = self._wakeup.signal()
            await self._round()
            if not self._woken:
                now = self._clock.moment().steady
                first = self._alarms.first()
                await self._clock.wait(signal, None if first is None else first - now)

    async def drained(self) -> None:
        """Wait up to DRAIN_TIMEOUT seconds for the attempts to end, then cancel them. Store all positions.

        From an older position, the next process would count changes as missed that the callback did not want, if their
        generations have been deleted since.
        """
        if self._tasks:
            await asyncio.wait([*self._tasks], timeout=DRAIN_TIMEOUT)
        await self._tasks.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_TIMEOUT):
                await asyncio.gather(*(self._store_position(queue) for queue in self.queues.values()))

    async def _round(self) -> None:
        now = self._clock.moment().steady
        while (due := self._alarms.take(now)) is not None:
            self._woken[due[1]] = None
        woken, self._woken = self._woken, {}
        await asyncio.gather(*(self._fill(queue) for name in woken if (queue := self.queues.get(name)) is not None))
        for tenant in [tenant for tenant in self._crowded if self._has_place(tenant)]:
            self._turns.update(self._crowded.pop(tenant))
        self._turns.update(woken)
        # Start one attempt of each in turn, so that a long queue does not delay the others.
        while self._turns and len(self._tasks) < MAX_CONCURRENT_ATTEMPTS:
            name, _ = self._turns.popitem(last=False)
            queue = self.queues.get(name)
            if queue is not None and self._start_one(queue):
                self._turns[name] = None

    def _start_one(self, queue: CallbackQueue) -> bool:
        """Start the next due attempt of a queue; return False if there is none now."""
        callback, now = queue.callback, self._clock.moment().steady
        if callback.paused:
            return False
        if len(queue.in_flight) >= (1 if callback.streak else MAX_CONCURRENT_ATTEMPTS_PER_CALLBACK):
            return False  # the end of an attempt wakes the queue
        due = queue.next_due()
        if due is None:
            return False
        due = max(due, callback.held_until)
        if due > now:
            self._wake_at(queue, due)
            return False
        if not self._has_place(callback.tenant):
            self._crowded.setdefault(callback.tenant, {})[callback.id] = None
            return False
        delivery = queue.take(now)
        assert delivery is not None
        self._attempts[callback.tenant] += 1
        self._tasks.start(self._attempt(queue, delivery), ended=partial(self._ended, callback))
        return True

    def _has_place(self, tenant: str) -> bool:
        """Return whether a tenant may make another attempt, so that slow receivers of some leave places for others."""
        return len(self._tasks) + self._attempts[tenant] < MAX_CONCURRENT_ATTEMPTS

    def _ended(self, callback: Callback) -> None:
        self._attempts[callback.tenant] -= 1
        if not self._attempts[callback.tenant]:
            del self._attempts[callback.tenant]
        self.wake(callback.id)

    async def _store_position(self, queue: CallbackQueue) -> None:
        async with queue.changing:
            if queue.callback.position > queue.stored_position:
                with suppress(UnconfirmedError):  # logged by the store
                    await self._store.take_deliveries(queue.callback, [])

    def _wake_at(self, queue: CallbackQueue, at: float) -> None:
        self._alarms.put_earlier(queue.callback.id, at)

    async def _fill(self, queue: CallbackQueue) -> None:
        """Create deliveries from the log, if the queue has room."""
        try:
            async with queue.changing:
                callback = queue.callback
                active = callback.id in self.queues and not callback.paused  # both may have changed before the lock
                if active and queue.waiting < MAX_WAITING and callback.position < self._feed.position:
                    await self._fill_page(queue)
        except UnconfirmedError:  # logged by the store
            self._wake_at(queue, self._clock.moment().steady + STORE_PAUSE)
        except Exception:
            log.exception("deliveries could not be created for a callback", extra={"callback": queue.callback.id})
            self._wake_at(queue, self._clock.moment().steady + schedule.MAX_HOLD)

    async def _fill_page(self, queue: CallbackQueue) -> None:
        """Create deliveries from one page of the log, with as many changes as there is room for deliveries.

        The next page waits for the next round, after other callbacks.
        """
        callback, target = queue.callback, self._feed.position
        most = min(READ_BATCH_SIZE, MAX_WAITING - queue.waiting)
        changes = await self._next_changes(queue, most)
        moment = self._clock.moment()
        created = [
            Delivery(callback.id, generation.id, generation.revision, moment.wall, moment.steady)
            for generation in (change.generation for change in changes)
            if generation is not None and callback.wants(generation)
        ]
        position = changes[-1].position if changes else callback.position
        if len(changes) < most:
            position = max(position, target)
        callback = replace(callback, position=position)
        # Changes that the callback does not want can be read again, so their position is not stored each time.
        old = moment.steady - queue.stored_at >= POSITION_AFTER
        if created or old or position - queue.stored_position >= POSITION_EVERY:
            # What is stored must be in the queue, too. The filter may be another one when the changes are read again.
            await repeated_if_unknown(lambda: self._store.take_deliveries(callback, created))
            queue.stored_position, queue.stored_at = position, moment.steady
        queue.callback = callback
        for delivery in created:
            queue.add(delivery)
        if len(changes) == most:
            self._woken[callback.id] = None

    async def _next_changes(self, queue: CallbackQueue, most: int) -> Sequence[Change]:
        callback = queue.callback
        recent = self._feed.recent(callback.tenant, callback.position, most)
        if recent is not None:
            return recent
        changes = await self._change_log.changes(callback.tenant, callback.position, most)
        missed = await self._change_log.horizon(callback.tenant) > callback.position
        if missed and not queue.missed:
            self.skipped += 1
            log.warning("changes were pruned before their delivery to a callback", extra=_log_fields(callback))
        queue.missed = missed
        await asyncio.sleep(0)  # other tasks get a turn between pages: SQLite is read without one
        return changes

    async def _attempt(self, queue: CallbackQueue, delivery: Delivery) -> None:
        try:
            await self._try_once(queue, delivery)
            return
        except (UnconfirmedError, NotSentError):
            pause = STORE_PAUSE  # raised before the request was sent: there is no outcome to store
        except Exception:
            log.exception("a delivery failed because of a bug", extra={"delivery": delivery.id})
            pause = schedule.MAX_HOLD
        queue.attempted(replace(queue.current(delivery), next_at=self._clock.moment().steady + pause))

    async def _try_once(self, queue: CallbackQueue, delivery: Delivery) -> None:
        version = await self.version(delivery)
        if version is None:
            await self._store.drop_delivery(delivery)
            queue.attempted(replace(delivery, state=DeliveryState.FAILED))
            return
        callback, moment, body = queue.callback, self._clock.moment(), self._bodies.of(version)
        headers = signing.headers(delivery.id, moment.wall, body, callback.signing(moment.steady))
        url = callback.url or version.spec.callback_url
        outcome = await self._receivers.post(callback.tenant, url, headers, body, self._may_send)
        if outcome.problem is None:
            self.delivered += 1
        else:
            self.failed += 1
        # The request was sent. Retry only the store, so that the request is not repeated.
        await until_stored(
            self._clock,
            "the outcome of a callback",
            lambda: self._store_outcome(queue, delivery, outcome),
            delivery=delivery.id,
        )

    async def _store_outcome(self, queue: CallbackQueue, delivery: Delivery, outcome: Outcome) -> None:
        async with queue.changing:
            before, moment = queue.callback, self._clock.moment()
            result = schedule.after(before, queue.current(delivery), outcome, moment, random.random())
            due = moment.steady if result.recovered else None
            await self._store.delivery_attempted(result.delivery, result.callback, before, due)
            queue.callback = result.callback
            queue.attempted(result.delivery)
            if result.recovered:
                queue.make_due(moment.steady, everything=False)
        if result.callback.paused and not before.paused:
            log.warning("a callback was paused after failures of its receiver", extra=_log_fields(before))


def _log_fields(callback: Callback) -> dict[str, str]:
    return {"callback": callback.id, "tenant": callback.tenant}
