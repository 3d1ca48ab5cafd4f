"""Webhooks: kept first, then believed only as far as they prove themselves.

A delivery names a request by its id. For the generation's own request a signed one counts at once; an unsigned one is
a hint to ask. A generation that was sent and has no request yet is bound to the id only if Higgsfield knows it and
nobody else has it, signed or not: a signature does not cover the path, so that a true delivery for one generation could
be replayed at the path of another.
"""

import asyncio
import logging

from gateway.errors import GatewayError
from gateway.generations.clock import rest
from gateway.generations.feed import Feed
from gateway.generations.model import Event, Generation, Source
from gateway.generations.pace import Trust
from gateway.generations.ports import Clock, Delivered, Delivery, RequestIdTakenError, Store, StoreError, Upstream
from gateway.generations.sender import Sender
from gateway.generations.service import Generations
from gateway.generations.state import Accepted, Reported
from gateway.generations.story import Recorder
from gateway.generations.tasks import OwnedTasks

log = logging.getLogger(__name__)

TRIES_AT_404 = 7
"""How often Higgsfield is asked for a request it does not know: for about a minute, with pauses that double."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between attempts to deal with a delivery while Higgsfield or the store is away."""


_Effect = tuple[str, bool]
"""What became of a delivery, in a word, and whether the same may come again: nothing has shown yet what it says."""


class _NotKnownError(Exception):
    """Higgsfield answers 404 for the request that a delivery names."""


class Deliveries:
    """Takes deliveries in. `received` counts them by what became of them."""

    def __init__(
        self,
        *,
        store: Store,
        upstream: Upstream,
        clock: Clock,
        feed: Feed,
        service: Generations,
        sender: Sender,
        trust: Trust,
        recorder: Recorder,
    ) -> None:
        self._store = store
        self._upstream = upstream
        self._clock = clock
        self._feed = feed
        self._service = service
        self._sender = sender
        self._trust = trust
        self._recorder = recorder
        self._tasks = OwnedTasks()
        self._receiving = OwnedTasks()
        self._dealing: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._came_again: set[tuple[str, str]] = set()
        self.received: dict[str, int] = {}

    async def resume(self) -> None:
        """Take up what an earlier process answered for and did not get to."""
        for delivery in await self._store.undealt():
            self._start(delivery)

    async def receive(self, delivery: Delivery) -> bool:
        """Keep it; what it changes comes later. False if it was not kept, because too many are kept already.

        Raises StoreError: then it must be delivered again.
        """
        return await self._receiving.finish(self._receive(delivery))

    async def _receive(self, delivery: Delivery) -> bool:
        kept = await self._store.deliver(delivery, self._clock.moment().wall)
        if kept is Delivered.KEPT:
            self._start(delivery)
            return True
        if kept is Delivered.TOO_MANY:
            self._count("too_many")
            return False
        self._count("duplicate")
        if _name(delivery) in self._dealing:
            # The first may have come before its time, and its answer from Higgsfield be older than this one.
            self._came_again.add(_name(delivery))
        return True

    async def drained(self) -> None:
        """Stop: what is not dealt with is taken up by the next process."""
        await self._tasks.cancel()
        await self._receiving.drained()

    def _start(self, delivery: Delivery) -> None:
        task = self._tasks.start(self._deal(delivery))
        self._dealing[_name(delivery)] = task
        task.add_done_callback(lambda done: self._ended(done, _name(delivery)))

    def _ended(self, task: asyncio.Task[None], name: tuple[str, str]) -> None:
        if self._dealing.get(name) is task:
            del self._dealing[name]
            self._came_again.discard(name)

    async def _deal(self, delivery: Delivery) -> None:
        """Let it have its effect, as soon as Higgsfield and the store can be asked."""
        pause = FIRST_PAUSE
        not_known = 0
        while True:
            try:
                effect, again = await self._effect(delivery, last_try=not_known + 1 >= TRIES_AT_404)
                self._count(effect)
                story = f"webhook: {delivery.status} for request {delivery.request_id}: {effect}"
                self._recorder.note(
                    delivery.generation_id, Event(self._clock.moment().wall, story, source=Source.WEBHOOK)
                )
                await self._store.dealt_with(delivery, again=again)
                if again and _name(delivery) in self._came_again:
                    self._came_again.discard(_name(delivery))
                    await self._receive(delivery)
            except (GatewayError, StoreError, _NotKnownError) as error:
                not_known += isinstance(error, _NotKnownError)
                told = error.failure.retry_after if isinstance(error, GatewayError) else None
                await rest(self._clock, max(pause, told or 0.0))
                pause = min(2 * pause, LONGEST_PAUSE)
            except Exception:
                log.exception("a webhook failed in the gateway", extra={"generation_id": delivery.generation_id})
                return
            else:
                return

    async def _effect(self, delivery: Delivery, *, last_try: bool) -> _Effect:
        entry = self._feed.entries.get(delivery.generation_id)
        generation = entry.generation if entry else await self._store.any(delivery.generation_id)
        if generation is None:
            return "gone", False
        if generation.request_id == delivery.request_id:
            return await self._own(generation, delivery)
        if not generation.sends or generation.stray_request_id:
            return "ignored", False
        return await self._bind(generation, delivery, last_try=last_try)

    async def _own(self, generation: Generation, delivery: Delivery) -> _Effect:
        report = delivery.report
        if generation.done:
            self._arrived(generation)
            if report is None and delivery.status != generation.upstream_status:
                report = await self._upstream.status(generation)
            if report is not None:
                await self._service.observe(generation, Reported(report, Source.WEBHOOK))
            return "late", False
        if report is None:
            report = await self._upstream.status(generation)
            if report is None:
                return "unconfirmed", True
        after = await self._service.observe(generation, Reported(report, Source.WEBHOOK))
        if not after.done:
            return "unconfirmed", True
        self._arrived(generation)
        return "counted", False

    async def _bind(self, generation: Generation, delivery: Delivery, *, last_try: bool) -> _Effect:
        """A request that may be this generation's first, or a second one beside it."""
        owner = await self._store.by_request(generation.spec.account, delivery.request_id)
        if owner is not None:
            log.warning("a webhook names another generation's request", extra={"generation_id": generation.id})
            return "foreign", False
        report = await self._upstream.look_up(generation, delivery.request_id)
        if report is None and not last_try:
            # It may be gone for a moment only, and has its answer: it will not be delivered again.
            raise _NotKnownError
        if report is None:
            return "unconfirmed", True
        try:
            after = await self._service.observe(generation, Accepted(report, Source.WEBHOOK))
        except RequestIdTakenError:
            return "foreign", False
        await self._sender.heed_stray(generation, after)
        self._arrived(generation)
        if after.request_id != delivery.request_id:
            return "stray", False
        return "bound", not after.done

    def _arrived(self, generation: Generation) -> None:
        """One has told the truth: from now on ends are waited for, where webhooks can be relied on to tell them."""
        if generation.spec.told_by_webhook:
            self._trust.arrive = True

    def _count(self, what: str) -> None:
        self.received[what] = self.received.get(what, 0) + 1


def _name(delivery: Delivery) -> tuple[str, str]:
    return delivery.generation_id, delivery.name
