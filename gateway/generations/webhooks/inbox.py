"""The webhook inbox: a webhook is stored before it is answered, and then processed.

A webhook names an upstream request. If that is the generation's request, a signed webhook is believed, and an unsigned
one only causes a status call. If the generation was sent but has no request yet, it is bound to the named request only
if Higgsfield knows the request and no other generation has it. That holds for signed webhooks as well: the signature
does not cover the path, so a genuine webhook for one generation could be replayed at the path of another.
"""

import asyncio
import logging
from collections import Counter, defaultdict

from gateway.concurrency import OwnedTasks
from gateway.errors import GatewayError
from gateway.generations.clock import sleep, spread
from gateway.generations.model import Event, Generation, GenerationId, RequestId, Source, State, StatusReport
from gateway.generations.polling.pace import WebhookReliability
from gateway.generations.ports import Clock, Upstream
from gateway.generations.sender import Sender
from gateway.generations.service import Generations
from gateway.generations.state import Accepted, Reported
from gateway.generations.store_backoff import until_stored
from gateway.generations.stores import (
    GenerationStore,
    RequestIdTakenError,
    UnconfirmedError,
    UnknownCommitError,
    Webhook,
    WebhookReceipt,
    WebhookStore,
)
from gateway.generations.timeline import Recorder
from gateway.generations.watching.feed import Feed

log = logging.getLogger(__name__)

TRIES_AT_404 = 7
"""Status calls for a request that Higgsfield does not know, with pauses that double: for about a minute."""
FIRST_PAUSE, MAX_PAUSE = 1.0, 60.0
"""Seconds between attempts to process a webhook while Higgsfield or the store is unavailable."""
MAX_CONCURRENT_STATUS_CALLS = 64
"""The status calls that run at once with the same credentials, so that no account waits for another one.

After an outage, and at a start after one, thousands of webhooks may need one.
"""
START_BATCH_SIZE = 100
"""The stored webhooks that are begun in one iteration of the event loop. All at once would block it for seconds."""


_Effect = tuple[str, bool]
"""The outcome of a webhook for the metric, and whether the same webhook may be processed again.

It may, as long as no other source has confirmed what it says.
"""


class _NotKnownError(Exception):
    """Higgsfield answered 404 for the request that a webhook names."""


class WebhookInbox:
    """Stores and processes webhooks. `received` counts them by outcome."""

    def __init__(
        self,
        *,
        webhooks: WebhookStore,
        generations: GenerationStore,
        upstream: Upstream,
        clock: Clock,
        feed: Feed,
        service: Generations,
        sender: Sender,
        reliability: WebhookReliability,
        recorder: Recorder,
    ) -> None:
        self._webhooks = webhooks
        self._generations = generations
        self._upstream = upstream
        self._clock = clock
        self._feed = feed
        self._service = service
        self._sender = sender
        self._reliability = reliability
        self._recorder = recorder
        self._tasks = OwnedTasks()
        self._receiving = OwnedTasks()
        self._processing: dict[GenerationId, dict[str, asyncio.Task[None]]] = {}
        """The tasks by generation and by the name of the webhook. No inner dict is empty."""
        self._came_again: set[tuple[GenerationId, str]] = set()
        self._asking = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(MAX_CONCURRENT_STATUS_CALLS))
        self.received = Counter[str]()

    async def resume(self) -> None:
        """Process the webhooks that an earlier process stored and did not finish."""
        for number, webhook in enumerate(await self._webhooks.unprocessed_webhooks(), 1):
            self._start(webhook)
            if number % START_BATCH_SIZE == 0:
                await asyncio.sleep(0)

    async def receive(self, webhook: Webhook) -> bool:
        """Store a webhook and start to process it. Returns False if its generation has too many, or was deleted.

        Raises UnconfirmedError if it may not be stored; Higgsfield must then deliver it again.
        """
        return await self._receiving.finish(self._receive(webhook))

    async def _receive(self, webhook: Webhook) -> bool:
        try:
            kept = await self._webhooks.store_webhook(webhook, self._clock.moment().wall)
        except UnknownCommitError:
            # If it was stored, the webhook that Higgsfield delivers again is a duplicate, which is not processed.
            self._start(webhook)
            raise
        if kept is WebhookReceipt.KEPT:
            self._start(webhook)
            return True
        if kept is WebhookReceipt.TOO_MANY:
            self.received["too_many"] += 1
            return False
        self.received["duplicate"] += 1
        if webhook.name in self._processing.get(webhook.generation_id, ()):
            # Higgsfield's response to the status call for the first one may be older than this one.
            self._came_again.add(_name(webhook))
        return True

    def has(self, generation_id: GenerationId) -> bool:
        """Return whether a webhook of a generation is being processed. It may prove that Higgsfield has the request."""
        return generation_id in self._processing

    async def drained(self) -> None:
        """Stop processing; the next process resumes it."""
        try:
            await self._receiving.drained()  # first, because it starts to process what it stores
        finally:
            await self._tasks.cancel()

    def _start(self, webhook: Webhook) -> None:
        task = self._tasks.start(self._process(webhook))
        self._processing.setdefault(webhook.generation_id, {})[webhook.name] = task
        task.add_done_callback(lambda done: self._ended(done, webhook))

    def _ended(self, task: asyncio.Task[None], webhook: Webhook) -> None:
        of_generation = self._processing.get(webhook.generation_id, {})
        if of_generation.get(webhook.name) is task:
            del of_generation[webhook.name]
            self._came_again.discard(_name(webhook))
            if not of_generation:
                del self._processing[webhook.generation_id]

    async def _process(self, webhook: Webhook) -> None:
        """Process a webhook, and retry while Higgsfield or the store is unavailable."""
        pause = FIRST_PAUSE
        not_known = 0
        while True:
            try:
                effect, again = await self._effect(webhook, last_try=not_known + 1 >= TRIES_AT_404)
                await self._finish(webhook, effect, again=again)
                if again and _name(webhook) in self._came_again:
                    self._came_again.discard(_name(webhook))
                    await self._receive(webhook)
            except (GatewayError, UnconfirmedError, _NotKnownError) as error:
                not_known += isinstance(error, _NotKnownError)
                retry_after = error.failure.retry_after if isinstance(error, GatewayError) else None
                await sleep(self._clock, max(spread(pause), retry_after or 0.0))
                pause = min(2 * pause, MAX_PAUSE)
            except Exception:
                log.exception(
                    "internal error while processing a webhook; it is processed again at the next start",
                    extra={"generation_id": webhook.generation_id},
                )
                return
            else:
                return

    async def _finish(self, webhook: Webhook, effect: str, *, again: bool) -> None:
        """Record the outcome of a webhook, and store that it was processed."""
        self.received[effect] += 1
        text = f"webhook: {webhook.status} for request {webhook.request_id}: {effect}"
        self._recorder.note(webhook.generation_id, Event(self._clock.moment().wall, text, source=Source.WEBHOOK))
        # Repeat only the write: if the webhook were processed again, it would also count as late.
        await until_stored(
            self._clock,
            "the end of a webhook",
            lambda: self._webhooks.finish_webhook(webhook, again=again),
            generation_id=webhook.generation_id,
        )

    async def _effect(self, webhook: Webhook, *, last_try: bool) -> _Effect:
        entry = self._feed.entries.get(webhook.generation_id)
        generation = entry.generation if entry else await self._generations.any(webhook.generation_id)
        if generation is None:
            return "gone", False
        if generation.request_id == webhook.request_id:
            return await self._own(generation, webhook)
        may_be_sent = generation.sends or generation.held  # held: the POST may have followed the backup
        if not may_be_sent or generation.stray_request_id == webhook.request_id:
            return "ignored", False
        return await self._bind(generation, webhook, last_try=last_try)

    async def _own(self, generation: Generation, webhook: Webhook) -> _Effect:
        """Apply a webhook that names the request of its generation. Raises GatewayError, UnconfirmedError."""
        report = webhook.report
        if generation.done:
            self._arrived(generation)
            if report is None and webhook.status != generation.upstream_status:
                report = await self._look_up(generation, generation.request_id)
            if report is not None:
                await self._service.observe(generation, Reported(report, Source.WEBHOOK))
            return "late", False
        if report is None or (report.state is State.COMPLETED and not report.outputs):
            # The outputs may be in the status although they are not in the webhook, and an end is final.
            report = await self._look_up(generation, generation.request_id)
            if report is None:
                return "unconfirmed", True
        after = await self._service.observe(generation, Reported(report, Source.WEBHOOK))
        if not after.done:
            return "unconfirmed", True
        self._arrived(generation)
        return "counted", False

    async def _bind(self, generation: Generation, webhook: Webhook, *, last_try: bool) -> _Effect:
        """Bind a request that may be the generation's first one, or one too many."""
        if await self._generations.by_request(webhook.request_id) is not None:
            log.warning("a webhook names another generation's request", extra={"generation_id": generation.id})
            return "foreign", False
        report = await self._look_up(generation, webhook.request_id)
        if report is None and not last_try:
            # The 404 may be temporary, and the webhook was answered, so it will not be delivered again.
            raise _NotKnownError
        if report is None:
            return "unconfirmed", True
        try:
            after = await self._service.observe(generation, Accepted(report, Source.WEBHOOK))
        except RequestIdTakenError:
            return "foreign", False
        await self._sender.handle_stray(generation, after, report.request_id)
        self._arrived(generation)
        if after.request_id != webhook.request_id:
            return "stray", False
        return "bound", not after.done

    async def _look_up(self, generation: Generation, request_id: RequestId) -> StatusReport | None:
        """Return the status of a request; None if Higgsfield does not know it. Raises GatewayError."""
        async with self._asking[generation.spec.account]:
            return await self._upstream.status(generation, request_id)

    def _arrived(self, generation: Generation) -> None:
        """Record that a webhook was true, so that polls can rely on webhooks from now on."""
        if generation.spec.expects_webhook:
            self._reliability.arrive = True


def _name(webhook: Webhook) -> tuple[GenerationId, str]:
    return webhook.generation_id, webhook.name
