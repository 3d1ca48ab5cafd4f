"""An account: its credits, limits, idempotency keys and generations, and the rules between them.

Nothing here waits or does I/O. A refused call raises an `ApiError`.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gateway.sandbox import errors
from gateway.sandbox.accounts import agent_sessions, characters
from gateway.sandbox.accounts.agent_sessions import AgentSessions, Turn
from gateway.sandbox.accounts.characters import Character, Characters
from gateway.sandbox.accounts.settings import AccountSettings
from gateway.sandbox.catalog.model import Model
from gateway.sandbox.clock import Clock
from gateway.sandbox.generations.generation import Generation
from gateway.sandbox.generations.prompt_directives import Outcome
from gateway.sandbox.generations.run_queue import RunQueue
from gateway.sandbox.ledger import AgentCharge, Charge, Ledger, Refund
from gateway.sandbox.options import SandboxOptions
from gateway.sandbox.schema import whole_number

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True)
class SubmitRequest:
    """A parsed submission. Its parameters are not validated yet."""

    model: Model
    parameters: Any
    key: str | None = None
    webhook: str | None = None
    expires_after: str | None = None
    outcome: Outcome = "completed"
    running_seconds: float | None = None
    origin: str = ""
    job_outcomes: tuple[Outcome, ...] = ()
    webhook_secret: str = ""

    @property
    def fingerprint(self) -> str:
        """The digest that has to match when an idempotency key is used again.

        The order of object keys makes no difference. The order of arrays, and whether a field is present, does.
        """
        intent = [self.model.slug, self.parameters, self.webhook, self.expires_after]
        return hashlib.sha256(json.dumps(intent, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Account:
    """One account. It outlives a change of its credentials."""

    def __init__(self, options: SandboxOptions, clock: Clock, ledger: Ledger) -> None:
        self.settings = AccountSettings.of(options)
        self.credits = Decimal(options.credits)
        self.generations: dict[str, Generation] = {}
        self.characters = Characters(clock, ledger)
        self.ended: deque[Generation] = deque()
        """Generations that have ended and have a webhook. The webhook sender takes them out."""

        self._with_webhook = 0
        self._clock = clock
        self._ledger = ledger
        self._keys: dict[str, tuple[str, Generation]] = {}
        self._run_queue = RunQueue(self.settings.concurrency_limit)
        self.agents = AgentSessions(clock, lambda: self.settings.agent_seconds, lambda: self.settings.agents_enabled)

    def change_settings(self, settings: AccountSettings) -> None:
        """Replace the settings. Generations that run already keep their durations."""
        self.settle()
        self.settings = settings
        self._run_queue.limit = settings.concurrency_limit

    def settle(self) -> None:
        """Apply the starts, ends and refunds that are due by now."""
        for generation in self._run_queue.settle(self._clock.now()):
            self._queue_webhook(generation)
            if generation.refund_amount:
                self._refund(generation, next(end for end in generation.outcomes if end != "completed"))
        self.credits += self.characters.settle()
        self._ledger.peak_running = max(self._ledger.peak_running, self._run_queue.peak)

    @property
    def next_event(self) -> float:
        """When to settle again so that webhooks are sent in time; infinity if no webhook is pending."""
        return self._run_queue.next_event if self._with_webhook else math.inf

    def submit(self, submission: SubmitRequest) -> tuple[Generation, bool]:
        """Create a generation and charge for it, or return the one that its idempotency key created.

        Returns the generation, and whether it is new. Raises ApiError if the submission is refused.
        """
        self.settle()
        if submission.model.slug in self.settings.blocked_models:
            raise errors.model_blocked()
        key = submission.key if self.settings.honour_keys else None
        retention = self._retention(submission.expires_after)
        if key is not None:
            if not _KEY.fullmatch(key):
                raise errors.key_malformed()
            if key in self._keys:
                return self._original(key, submission), False
        generation = self._accept(submission, retention)
        # A refused submission does not use up its key.
        if key is not None:
            self._keys[key] = (submission.fingerprint, generation)
        return generation, True

    def train(self, body: Any) -> Character:
        """Start the training of a character and charge for it; raises ApiError if `body` is refused."""
        self.settle()
        settings = self.settings
        character = self.characters.train(
            body, credits=self.credits, queue_seconds=settings.queue_seconds, training_seconds=settings.training_seconds
        )
        self.credits -= characters.PRICE
        return character

    def find(self, request_id: str) -> Generation:
        """Return a generation of this account, of v1 or v2, or raise a 404."""
        self.settle()
        if request_id not in self.generations:
            raise errors.not_found()
        return self.generations[request_id]

    def find_request(self, request_id: str) -> Generation:
        """Return a generation of v2, or raise a 404."""
        generation = self.find(request_id)
        if generation.job_outcomes:
            raise errors.not_found()
        return generation

    def find_job_set(self, request_id: str) -> Generation:
        """Return a generation of v1, or raise a 404."""
        generation = self.find(request_id)
        if not generation.job_outcomes or not self.settings.serve_job_sets:
            raise errors.not_found()
        return generation

    def send_agent_message(self, session_id: str, text: str) -> Turn:
        """Start an agent's turn with a message and charge for it; raises ApiError if the message is refused."""
        self.settle()
        turn = self.agents.send(session_id, text, self._pay_for_message)
        self._ledger.agent_charges.append(
            AgentCharge(turn.started_at, session_id, turn.message_id, agent_sessions.PRICE)
        )
        return turn

    def cancel(self, request_id: str) -> None:
        """Cancel a queued generation and refund it; raises ApiError if it has started."""
        generation = self.find(request_id) if self.settings.v1_cancel else self.find_request(request_id)
        if generation.status(self._clock.now()) != "queued":
            raise errors.cancel_too_late()
        generation.canceled_at = self._clock.now()
        self._run_queue.remove(generation)
        self._queue_webhook(generation)
        self._refund(generation, "canceled")

    def delete(self, request_id: str) -> Generation:
        """Delete the content of a generation that has ended; raises ApiError if it has not. Idempotent."""
        generation = self.find_request(request_id)
        if not generation.finished(self._clock.now()):
            raise errors.not_finished()
        if generation.deleted_at is None:
            generation.deleted_at = self._clock.now()
            generation.parameters = {}
            generation.webhook = None
        return generation

    def _pay_for_message(self, price: Decimal) -> None:
        if price > self.credits:
            raise errors.not_enough_agent_credits()
        self.credits -= price

    def _original(self, key: str, submission: SubmitRequest) -> Generation:
        intent, generation = self._keys[key]
        if intent != submission.fingerprint:
            raise errors.key_mismatch()
        return generation

    def _retention(self, expires_after: str | None) -> int:
        if expires_after is None:
            return self.settings.retention
        seconds = whole_number(expires_after)
        if seconds is None or not 3600 <= seconds <= self.settings.retention:
            raise errors.expiry_out_of_range(self.settings.retention)
        return seconds

    def _accept(self, submission: SubmitRequest, retention: int) -> Generation:
        submission.model.check(submission.parameters)
        self.characters.check_use(submission.model.slug, submission.parameters)
        price = submission.model.cost(submission.parameters)
        if price > self.credits:
            raise errors.not_enough_credits()
        outputs = submission.model.outputs(submission.parameters)
        self._check_queue(outputs)
        now = self._clock.now()
        usual = self.settings.video_seconds if submission.model.output_type == "video" else self.settings.image_seconds
        generation = Generation(
            model=submission.model,
            parameters=submission.parameters,
            price=price,
            outcome=submission.outcome,
            created_at=now,
            ready_at=now + self.settings.queue_seconds,
            running_seconds=usual if submission.running_seconds is None else submission.running_seconds,
            retention=retention,
            outputs=outputs,
            webhook=submission.webhook,
            origin=submission.origin,
            job_outcomes=submission.job_outcomes[:outputs],
            webhook_secret=submission.webhook_secret,
        )
        self._with_webhook += submission.webhook is not None
        self.generations[generation.request_id] = generation
        self._run_queue.add(generation)
        self.credits -= price
        charge = Charge(now, generation.request_id, generation.model.slug, generation.prompt, price)
        self._ledger.charges.append(charge)
        return generation

    def _check_queue(self, outputs: int) -> None:
        limit = self.settings.concurrency_limit
        if self.settings.concurrency_mode == "legacy":
            if self._run_queue.requests >= limit:
                raise errors.concurrency_reached(limit)
            return
        places = limit * self.settings.queue_factor
        # A batch larger than the whole queue is accepted if the queue is empty. Otherwise it never could be.
        if self._run_queue.outputs and self._run_queue.outputs + outputs > limit + places:
            wait = self._run_queue.seconds_to_next_end(self._clock.now()) / self._clock.scale
            raise errors.queue_full(places, retry_after=max(1, math.ceil(wait)))

    def _queue_webhook(self, generation: Generation) -> None:
        if generation.webhook is not None:
            self._with_webhook -= 1
            self.ended.append(generation)

    def _refund(self, generation: Generation, reason: str) -> None:
        assert generation.finished_at is not None
        amount = generation.refund_amount
        self.credits += amount
        self._ledger.refunds.append(Refund(generation.finished_at, generation.request_id, amount, reason))
