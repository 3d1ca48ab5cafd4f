"""Brings deliveries: one loop that takes from the log what callbacks want, and sends what is due.

A callback is a position in its tenant's log of changes. What it wants is taken up from there with the position in one
commit, a bounded number at a time, and then attempted until it was taken or is given up. So nothing is lost when the
process ends anywhere: what was not taken up is still in the log, and what was and has no end waits in the store.
"""

import asyncio
import heapq
import logging
import random
from collections.abc import Sequence
from dataclasses import replace

from gateway.callbacks import schedule, signing
from gateway.callbacks.model import Callback, Delivery, Fate, Outcome
from gateway.callbacks.ports import Bodies, CallbackStore, Receivers
from gateway.generations.clock import give
from gateway.generations.feed import Feed, Signal
from gateway.generations.model import Change
from gateway.generations.ports import Clock, Saved, Store, StoreError
from gateway.generations.store_backoff import until_stored
from gateway.generations.tasks import OwnedTasks

log = logging.getLogger(__name__)

MOST_WAITING = 1_000
"""Deliveries of one callback that wait, each with attempts of its own; what comes after them stays in the log."""
AT_ONCE = 4
"""Attempts under way to one receiver; one while it is away."""
MOST_AT_ONCE = 200
"""Attempts under way in all."""
READ_AT_ONCE = 200
KEPT = 7 * 86_400.0
"""Seconds that deliveries are listed after their end."""
POSITION_EVERY, POSITION_AFTER = 5_000, 3600.0
"""Places in the log, or seconds, after which a callback's place is stored though nothing was taken up."""
STORE_PAUSE = 1.0
"""Seconds until a store that did not answer is asked again."""
LAST_WORDS = 3.0
"""Seconds that a drain waits for attempts under way; what is cut off is attempted again by the next process."""


class Line:
    """A callback at work: what waits for it, by generation, and when the first of each is due.

    `changing` is held by who changes it in the store and here. `alarm`: when it is looked at next, None where only
    something new makes it so.
    """

    def __init__(self, callback: Callback) -> None:
        self.callback = callback
        self.stored_position, self.stored_at = callback.position, 0.0
        self.missed = False
        self.changing = asyncio.Lock()
        self.flying: set[str] = set()
        self.waiting = 0
        self.alarm: float | None = None
        self._queues: dict[str, list[Delivery]] = {}
        self._due: list[tuple[float, str, int]] = []

    def add(self, delivery: Delivery) -> None:
        """One more that waits; those of one generation go in the order of their revisions."""
        queue = self._queues.get(delivery.generation_id, [])
        under_way = queue[:1] if delivery.generation_id in self.flying else []
        if under_way and under_way[0].revision == delivery.revision:
            return
        others = [one for one in queue[len(under_way) :] if one.revision != delivery.revision]
        self.waiting += 1 + len(under_way) + len(others) - len(queue)
        behind = sorted([*others, delivery], key=_order)
        self._queues[delivery.generation_id] = [*under_way, *behind]
        self._remind(delivery.generation_id)

    def take(self, now: float) -> Delivery | None:
        """The next that is due, which is under way from now on; None where there is none."""
        while self._due and self._due[0][0] <= now:
            at, generation_id, revision = heapq.heappop(self._due)
            first = self._first(generation_id)
            if first is not None and (first.next_at, first.revision) == (at, revision):
                self.flying.add(generation_id)
                return first
        return None

    def next_due(self) -> float | None:
        """When the next is due; None where nothing waits that is not under way."""
        while self._due:
            at, generation_id, revision = self._due[0]
            first = self._first(generation_id)
            if first is not None and (first.next_at, first.revision) == (at, revision):
                return at
            heapq.heappop(self._due)
        return None

    def landed(self, delivery: Delivery) -> None:
        """An attempt has ended with this: it waits on, or makes room for the next of its generation."""
        self.flying.discard(delivery.generation_id)
        queue = self._queues[delivery.generation_id]
        if delivery.fate is Fate.PENDING:
            queue[0] = delivery
            queue.sort(key=_order)  # an earlier one may have come behind it meanwhile, to be delivered again
        else:
            queue.pop(0)
            self.waiting -= 1
            if not queue:
                del self._queues[delivery.generation_id]
        self._remind(delivery.generation_id)

    def hurry(self, now: float, *, everything: bool) -> None:
        """What waits is due now: everything, or only what failed because the receiver was away."""
        for generation_id, queue in self._queues.items():
            first = queue[0]
            failed = bool(first.attempts) and schedule.away(first.problem, first.http_status)
            if generation_id not in self.flying and first.next_at > now and (everything or failed):
                queue[0] = replace(first, next_at=now)
                self._remind(generation_id)

    def _first(self, generation_id: str) -> Delivery | None:
        queue = self._queues.get(generation_id)
        return queue[0] if queue and generation_id not in self.flying else None

    def _remind(self, generation_id: str) -> None:
        first = self._first(generation_id)
        if first is not None:
            heapq.heappush(self._due, (first.next_at, generation_id, first.revision))


def _order(delivery: Delivery) -> int:
    return delivery.revision


class Dispatcher:
    """Runs the lines of all callbacks. `delivered` and `failed` count attempts by how they ended."""

    def __init__(
        self,
        *,
        log_of_changes: Store,
        store: CallbackStore,
        feed: Feed,
        clock: Clock,
        receivers: Receivers,
        bodies: Bodies,
    ) -> None:
        self._changes = log_of_changes
        self._store = store
        self._feed = feed
        self._clock = clock
        self._receivers = receivers
        self._bodies = bodies
        self._tasks = OwnedTasks()
        self._look: dict[str, None] = {}
        self._alarms: list[tuple[float, str]] = []
        self._signal: Signal | None = None
        self.lines: dict[str, Line] = {}
        self._of_tenant: dict[str, set[str]] = {}
        self.delivered = self.failed = self.skipped = 0

    async def resume(self, callbacks: Sequence[Callback]) -> None:
        """Take up what an earlier process left."""
        for callback in callbacks:
            await self.add(callback)

    async def add(self, callback: Callback) -> None:
        """One more callback, with what waits for it in the store."""
        line = Line(callback)
        for delivery in await self._store.pending_deliveries(callback.id):
            line.add(delivery)
        self.lines[callback.id] = line
        self._of_tenant.setdefault(callback.tenant, set()).add(callback.id)
        self.wake(callback.id)

    def remove(self, callback_id: str) -> None:
        """Nothing is taken up or sent for it any more."""
        line = self.lines.pop(callback_id, None)
        if line is not None:
            self._of_tenant[line.callback.tenant].discard(callback_id)

    def of(self, tenant: str) -> list[Callback]:
        """The tenant's callbacks."""
        return [self.lines[name].callback for name in self._of_tenant.get(tenant, ())]

    def waiting(self) -> int:
        """Deliveries that wait."""
        return sum(line.waiting for line in self.lines.values())

    def paused(self) -> int:
        """Callbacks that are paused."""
        return sum(line.callback.paused for line in self.lines.values())

    def noticed(self, saved: Sequence[Saved]) -> None:
        """Look at the callbacks of tenants for whom something has changed."""
        for tenant in {one.change.tenant for one in saved if one.change is not None}:
            for name in self._of_tenant.get(tenant, ()):
                self.wake(name)

    def wake(self, callback_id: str) -> None:
        """Have a callback looked at."""
        self._look[callback_id] = None
        if self._signal is not None:
            give(self._signal)

    async def deliverable(self, delivery: Delivery) -> bool:
        """Whether there still is what it tells of."""
        return await self._body(delivery) is not None

    async def run(self) -> None:
        """Take up and send, for ever."""
        while True:
            self._signal = asyncio.get_running_loop().create_future()
            await self._round()
            if not self._look or len(self._tasks) >= MOST_AT_ONCE:
                now = self._clock.moment().steady
                await self._clock.wait(self._signal, self._alarms[0][0] - now if self._alarms else None)

    async def drained(self) -> None:
        """Let attempts under way come to their end; what takes longer is cut off."""
        if self._tasks:
            await asyncio.wait([*self._tasks], timeout=LAST_WORDS)
        await self._tasks.cancel()

    async def _round(self) -> None:
        now = self._clock.moment().steady
        while self._alarms and self._alarms[0][0] <= now:
            at, name = heapq.heappop(self._alarms)
            if (line := self.lines.get(name)) is not None and line.alarm == at:
                line.alarm = None
                self._look[name] = None
        names, self._look = list(self._look), {}
        lines = [line for name in names if (line := self.lines.get(name)) is not None and not line.callback.paused]
        await asyncio.gather(*(self._take_up(line) for line in lines))
        # One of each in turn: who has much to get does not keep the others waiting.
        while lines:
            lines = [line for line in lines if self._start_one(line)]

    def _start_one(self, line: Line) -> bool:
        """Start the next attempt that is due to a receiver; False where there is none for now."""
        callback, now = line.callback, self._clock.moment().steady
        if callback.paused or callback.id not in self.lines:
            return False
        if len(line.flying) >= (1 if callback.streak else AT_ONCE):
            return False  # the end of one of them looks again
        due = line.next_due()
        if due is None:
            return False
        due = max(due, callback.held_until)
        if due > now:
            self._look_again(line, due)
            return False
        if len(self._tasks) >= MOST_AT_ONCE:
            self._look[callback.id] = None
            return False
        delivery = line.take(now)
        assert delivery is not None
        task = self._tasks.start(self._attempt(line, delivery))
        task.add_done_callback(lambda _: self.wake(callback.id))
        return True

    def _look_again(self, line: Line, at: float) -> None:
        if line.alarm is None or at < line.alarm:
            line.alarm = at
            heapq.heappush(self._alarms, (at, line.callback.id))

    async def _take_up(self, line: Line) -> None:
        """Take from the log what the callback wants, as far as there is room for it."""
        try:
            async with line.changing:
                callback = line.callback
                at_work = callback.id in self.lines and not callback.paused  # both may have changed meanwhile
                if at_work and line.waiting < MOST_WAITING and callback.position < self._feed.position:
                    await self._take_some(line)
        except StoreError:  # which has told of itself
            self._look_again(line, self._clock.moment().steady + STORE_PAUSE)
        except Exception:
            log.exception("changes could not be taken up for a callback", extra={"callback": line.callback.id})
            self._look_again(line, self._clock.moment().steady + schedule.LONGEST_HOLD)

    async def _take_some(self, line: Line) -> None:
        """The next few; where there are more, they are for the next round: others have their turn before."""
        callback, target = line.callback, self._feed.position
        changes = await self._next_changes(line)
        taken: list[Delivery] = []
        position, moment = callback.position, self._clock.moment()
        for change in changes:
            if line.waiting + len(taken) >= MOST_WAITING:
                break
            position, generation = change.position, change.generation
            if generation is not None and callback.wants(generation):
                taken.append(Delivery(callback.id, generation.id, generation.revision, moment.wall, moment.steady))
        else:
            if len(changes) < READ_AT_ONCE:
                position = max(position, target)
        callback = replace(callback, position=position)
        # What is not wanted now is not wanted the next time either: its position need not be stored for each.
        old = moment.steady - line.stored_at >= POSITION_AFTER
        if taken or old or position - line.stored_position >= POSITION_EVERY:
            await self._store.take_deliveries(callback, taken, moment.wall - KEPT)
            line.stored_position, line.stored_at = position, moment.steady
        line.callback = callback
        for delivery in taken:
            line.add(delivery)
        if len(changes) == READ_AT_ONCE:
            self._look[callback.id] = None

    async def _next_changes(self, line: Line) -> Sequence[Change]:
        callback = line.callback
        recent = self._feed.recent(callback.tenant, callback.position, READ_AT_ONCE)
        if recent is not None:
            return recent
        changes = await self._changes.changes(callback.tenant, callback.position, READ_AT_ONCE)
        missed = await self._changes.horizon(callback.tenant) > callback.position
        if missed and not line.missed:
            self.skipped += 1
            log.warning("changes were removed before a callback was told of them", extra={"callback": callback.id})
        line.missed = missed
        await asyncio.sleep(0)
        return changes

    async def _attempt(self, line: Line, delivery: Delivery) -> None:
        try:
            await self._try_once(line, delivery)
        except StoreError:
            # Before the attempt: there is nothing to tell yet.
            pause = self._clock.moment().steady + STORE_PAUSE
            line.landed(replace(delivery, next_at=pause))
        except Exception:
            log.exception("a delivery failed in the gateway", extra={"delivery": delivery.id})
            line.landed(replace(delivery, next_at=self._clock.moment().steady + schedule.LONGEST_HOLD))

    async def _try_once(self, line: Line, delivery: Delivery) -> None:
        body = await self._body(delivery)
        if body is None:
            await self._store.drop_delivery(delivery)
            line.landed(replace(delivery, fate=Fate.FAILED))
            return
        callback, moment = line.callback, self._clock.moment()
        headers = signing.headers(delivery.id, moment.wall, body, callback.signing(moment.steady))
        outcome = await self._receivers.post(callback.url, headers, body)
        if outcome.problem is None:
            self.delivered += 1
        else:
            self.failed += 1
        # The attempt is over. It is not repeated while its outcome cannot be stored.
        await until_stored(
            self._clock, "the outcome of a callback", lambda: self._note(line, delivery, outcome), delivery=delivery.id
        )

    async def _note(self, line: Line, delivery: Delivery, outcome: Outcome) -> None:
        async with line.changing:
            before, moment = line.callback, self._clock.moment()
            result = schedule.after(before, delivery, outcome, moment, random.random())
            due_again = moment.steady if result.back else None
            await self._store.delivery_attempted(result.delivery, result.callback, before, due_again)
            line.callback = result.callback
            line.landed(result.delivery)
            if result.back:
                line.hurry(moment.steady, everything=False)
        if result.callback.paused and not before.paused:
            log.warning("a callback was paused: it takes nothing", extra={"callback": before.id})

    async def _body(self, delivery: Delivery) -> bytes | None:
        """What is to be said; None where the generation is gone."""
        found = await self._changes.history(delivery.generation_id, delivery.revision - 1, 1)
        if not found or found[0].revision != delivery.revision:
            return None
        return self._bodies.of(found[0])
