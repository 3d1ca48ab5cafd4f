"""Sends webhooks when requests end, with retries and planned faults, and records every attempt in the ledger.

Nothing polls: one alarm is set to the time of the next start or end in an account with pending webhooks. Each webhook
has a task until it is delivered or given up.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import time
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from gateway.sandbox.accounts.account import Account
from gateway.sandbox.accounts.settings import WebhookRetry
from gateway.sandbox.clock import Callback, sleep_until
from gateway.sandbox.faults import Fault
from gateway.sandbox.generations.generation import Generation
from gateway.sandbox.ledger import WebhookAttempt
from gateway.sandbox.state import SandboxState
from gateway.sandbox.webhooks.payload import payload
from gateway.sandbox.webhooks.signing import signed_headers

_FIRST_PAUSE = 5.0
"""Seconds before the second attempt. Each further pause is twice as long."""

_GIVE_UP_AFTER = 2 * 3600.0
_MAX_CONCURRENT_DELIVERIES = 100
_REPLAYED_AGE = 600.0
"""Seconds; twice the age up to which receivers should accept a signature."""


@dataclass
class WebhookDelivery:
    """One webhook. Its id and body do not change between attempts."""

    account: Account
    generation: Generation
    url: str
    webhook_id: str
    body: bytes
    fault: Fault
    due_at: float
    attempts: int = 0


class WebhookSender:
    """Sends the webhooks of all accounts."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state
        self._clock = state.clock
        self._session: aiohttp.ClientSession | None = None
        self._send_slots = asyncio.Semaphore(_MAX_CONCURRENT_DELIVERIES)
        self._tasks: set[asyncio.Task[None]] = set()
        self._first_attempts: dict[str, asyncio.Event] = {}
        self._next_attempt = asyncio.Event()
        self._cancel_alarm: Callback = _nothing
        self._alarm_at = math.inf

    @property
    def pending(self) -> int:
        """The number of webhooks that are neither delivered nor given up."""
        self.update()
        return len(self._tasks)

    def start(self) -> None:
        """Start to send webhooks."""
        # Reused connections would sometimes fail because the receiver closes them when idle: an unplanned fault.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "hfgateway-sandbox"},
            trust_env=False,
        )
        self.update()

    async def stop(self) -> None:
        """Cancel all pending webhooks and close the connections. Idempotent."""
        session, self._session = self._session, None
        tasks = list(self._tasks)
        self.cancel_all()
        await asyncio.gather(*tasks, return_exceptions=True)
        if session is not None:
            await session.close()

    def cancel_all(self) -> None:
        """Cancel all pending webhooks."""
        self._set_alarm(math.inf)
        for task in self._tasks:
            task.cancel()
        for request_id in list(self._first_attempts):
            self._notify_first_attempt(request_id)

    def update(self) -> None:
        """Start the webhooks that are due and set the alarm. Must be called after every change of an account."""
        if self._session is None:
            return
        self._state.settle()
        for account in self._state.accounts.values():
            while account.ended:
                self._start_delivery(account, account.ended.popleft())
        at = min(account.next_event for account in self._state.accounts.values())
        # An alarm that is too early only causes one more update.
        if at < self._alarm_at:
            self._set_alarm(at)

    async def wait_for_first_attempt(self, generation: Generation) -> None:
        """Wait until the first attempt to deliver a generation's webhook is over, or none will be made."""
        attempted = self._first_attempts[generation.request_id] = asyncio.Event()
        self.update()
        await attempted.wait()

    def _set_alarm(self, at: float) -> None:
        self._cancel_alarm()
        self._alarm_at = at
        self._cancel_alarm = _nothing if at == math.inf else self._clock.call_at(at, self._on_alarm)

    def _on_alarm(self) -> None:
        self._set_alarm(math.inf)
        self.update()

    def _start_delivery(self, account: Account, generation: Generation) -> None:
        delivery = self._prepare(account, generation)
        if delivery is None:
            self._notify_first_attempt(generation.request_id)
            return
        task = asyncio.create_task(self._deliver(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._notify_first_attempt(generation.request_id))

    def _prepare(self, account: Account, generation: Generation) -> WebhookDelivery | None:
        """Return the webhook of a generation; None if none is sent."""
        settings, url = account.settings, generation.webhook
        if url is None or (generation.canceled_at is not None and not settings.webhook_canceled):
            return None
        fault = self._state.plan.take("webhook", generation.prompt) or Fault(on="webhook")
        if self._state.random_faults.drops_webhook(settings.webhook_loss) or fault.kind == "lose":
            self._state.ledger.lost_webhooks.append(generation.request_id)
            return None
        body = _body(payload(generation, self._clock, settings), fault)
        webhook_id = f"msg_{uuid.uuid4().hex}"
        return WebhookDelivery(account, generation, url, webhook_id, body, fault, due_at=self._clock.now())

    async def _deliver(self, delivery: WebhookDelivery) -> None:
        fault = delivery.fault
        if fault.kind == "out_of_order":
            await self._next_attempt.wait()
        if fault.delay and fault.kind != "replay":
            await sleep_until(self._clock, delivery.due_at + fault.delay)
        twice = fault.kind == "duplicate" or delivery.account.settings.webhook_duplicates
        await asyncio.gather(*[self._deliver_with_retries(delivery) for _ in range(2 if twice else 1)])
        if fault.kind == "replay" and delivery.generation.deleted_at is None:
            await self._attempt(delivery, age=fault.delay or _REPLAYED_AGE)

    async def _deliver_with_retries(self, delivery: WebhookDelivery) -> None:
        generation, pause = delivery.generation, _FIRST_PAUSE
        give_up_at = self._clock.now() + _GIVE_UP_AFTER
        if generation.expires_at is not None:
            give_up_at = min(give_up_at, generation.expires_at)
        while generation.deleted_at is None and self._clock.now() <= give_up_at:
            outcome = await self._attempt(delivery)
            again_at = self._clock.now() + pause
            if not _is_retried(outcome, delivery.account.settings.webhook_retry) or again_at > give_up_at:
                return
            await sleep_until(self._clock, again_at)
            pause *= 2

    async def _attempt(self, delivery: WebhookDelivery, age: float = 0.0) -> str:
        async with self._send_slots:
            at = self._clock.now()
            delivery.attempts += 1
            number = delivery.attempts
            outcome = await self._post(delivery, age)
        request_id, receiver = delivery.generation.request_id, urlsplit(delivery.url)
        path = receiver._replace(scheme="", netloc="", fragment="").geturl()
        digest = hashlib.sha256(path.encode()).hexdigest()
        self._state.ledger.webhook_attempts.append(
            WebhookAttempt(at, request_id, receiver.netloc, digest, delivery.webhook_id, number, outcome)
        )
        self._notify_first_attempt(request_id)
        self._next_attempt.set()
        self._next_attempt = asyncio.Event()
        return outcome

    async def _post(self, delivery: WebhookDelivery, age: float) -> str:
        """Make one attempt; returns the HTTP status, `timeout`, or the name of the network error."""
        assert self._session is not None, "webhooks are sent only between start and stop"
        settings = delivery.account.settings
        # Real time, not the sandbox's clock: receivers compare it with their own time.
        if delivery.generation.job_outcomes:
            proof = {"X-Webhook-Secret-Key": delivery.generation.webhook_secret}
        else:
            proof = signed_headers(settings.webhook_secret, delivery.webhook_id, int(time.time() - age), delivery.body)
        try:
            async with self._session.post(
                delivery.url,
                data=delivery.body,
                headers={"Content-Type": "application/json", **proof, **delivery.fault.headers},
                timeout=aiohttp.ClientTimeout(total=settings.webhook_timeout),
                allow_redirects=False,
            ) as response:
                return str(response.status)
        except TimeoutError:
            return "timeout"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return type(error).__name__

    def _notify_first_attempt(self, request_id: str) -> None:
        if attempted := self._first_attempts.pop(request_id, None):
            attempted.set()


def _nothing() -> None:
    """Do nothing, in place of the function that cancels an alarm."""


def _body(content: dict[str, Any], fault: Fault) -> bytes:
    """Return the body: the real payload unless the fault changes it."""
    changed = {**content, **(fault.patch or {})} if fault.body is None else fault.body
    text = changed if isinstance(changed, str) else json.dumps(changed)
    if fault.kind == "foreign_id":
        text = text.replace(content.get("request_id") or content["id"], str(uuid.uuid4()))
    return text.encode()


def _is_retried(outcome: str, rule: WebhookRetry) -> bool:
    if not outcome.isdecimal():
        return True
    return not outcome.startswith("2") if rule == "until_2xx" else outcome.startswith("5")
