"""One generation of the fake service: its status is not stored, it follows from when things happened to it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from gateway.sandbox.catalog.model import Model
from gateway.sandbox.clock import Clock, timestamp
from gateway.sandbox.generations.prompt_directives import Outcome

FAILURE = "Generation failed: the sandbox was asked to fail"


@dataclass
class Generation:
    """What was asked, what it costs, how it will end, and when each step happened (seconds of the sandbox's clock)."""

    model: Model
    parameters: dict[str, Any]
    price: Decimal
    outcome: Outcome
    created_at: float
    ready_at: float
    """It does not start earlier, even where a slot is free."""

    running_seconds: float
    retention: int
    outputs: int = 1
    webhook: str | None = None
    origin: str = ""
    """Where its client found the sandbox."""

    job_outcomes: tuple[Outcome, ...] = ()
    """How each job of a job set of v1 ends; of v2 there are none."""

    webhook_secret: str = ""

    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started_at: float | None = None
    canceled_at: float | None = None
    deleted_at: float | None = None

    @property
    def prompt(self) -> str:
        """The prompt, or nothing for models that do without."""
        return str(self.parameters.get("prompt", ""))

    @property
    def finished_at(self) -> float | None:
        """The moment it ended or will end, None while that is not settled."""
        if self.canceled_at is not None:
            return self.canceled_at
        return None if self.started_at is None else self.started_at + self.running_seconds

    @property
    def expires_at(self) -> float | None:
        """The moment its files stop to be served."""
        return None if self.finished_at is None else self.finished_at + self.retention

    def finish_at_once(self) -> None:
        """Have it end the moment it gets a slot."""
        self.ready_at = self.created_at
        self.running_seconds = 0.0

    def status(self, now: float) -> str:
        """Return the status as the API names it."""
        if self.canceled_at is not None:
            return "canceled"
        if self.started_at is None or self.finished_at is None or now < self.started_at:
            return "queued"
        return "in_progress" if now < self.finished_at else self.outcome

    def finished(self, now: float) -> bool:
        """Say whether its status is final."""
        return self.status(now) not in ("queued", "in_progress")

    def job_status(self, index: int, now: float) -> str:
        """Return the status of one job of a set: they run one after the other, and each ends in its own way."""
        if self.canceled_at is not None or self.started_at is None or now < self.started_at:
            return self.status(now)
        share = self.running_seconds / len(self.job_outcomes)
        begins = self.started_at + share * index
        if now >= begins + share or self.finished(now):
            return self.job_outcomes[index]
        return "in_progress" if now >= begins else "queued"

    def has_file(self, index: int, now: float) -> bool:
        """Say whether the file can be fetched: of a job set each as soon as its job has completed."""
        if index >= self.outputs:
            return False
        return (self.job_status(index, now) if self.job_outcomes else self.status(now)) == "completed"

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """How it will end, in each of its jobs."""
        return self.job_outcomes or (self.outcome,)

    @property
    def refund_amount(self) -> Decimal:
        """The part of the price that is given back once it has ended: that of jobs that made nothing."""
        made_nothing = sum(end != "completed" for end in self.outcomes)
        return self.price if self.canceled_at is not None else self.price * made_nothing / len(self.outcomes)

    def is_refunded(self, now: float) -> bool:
        """Only what completed is paid for."""
        return self.finished(now) and self.status(now) != "completed"


def describe(generation: Generation, clock: Clock, origin: str) -> dict[str, Any]:
    """Return the RequestStatus object, with links to where the client found the sandbox."""
    now = clock.now()
    status = generation.status(now)
    own = f"{origin}/requests/{generation.request_id}"
    body: dict[str, Any] = {
        "status": status,
        "request_id": generation.request_id,
        "status_url": f"{own}/status",
        "cancel_url": f"{own}/cancel",
    }
    if status == "failed":
        body["error"] = FAILURE
    if generation.expires_at is not None and generation.finished(now):
        body["expires_at"] = timestamp(clock, generation.expires_at)
    if status == "completed" and generation.deleted_at is None:
        body |= _files(generation, origin)
    return body


def describe_job_set(generation: Generation, clock: Clock, origin: str) -> dict[str, Any]:
    """Return the JobSet object of v1: a status and a result for each job, and none for all of them."""
    return {
        "id": generation.request_id,
        "type": generation.model.job_type,
        "created_at": timestamp(clock, generation.created_at),
        "jobs": [_job(generation, index, clock.now(), origin) for index in range(len(generation.job_outcomes))],
        "input_params": generation.parameters,
    }


def _job(generation: Generation, index: int, now: float, origin: str) -> dict[str, Any]:
    results = None
    if generation.has_file(index, now) and generation.deleted_at is None:
        video = generation.model.output_type == "video"
        place, ending = f"{origin}/media/{generation.request_id}/{index}", "webm" if video else "png"
        kind = generation.model.output_type
        results = {
            "min": {"type": kind, "url": f"{place}.min.{ending}"},
            "raw": {"type": kind, "url": f"{place}.{ending}"},
        }
    return {
        "id": str(uuid.uuid5(uuid.UUID(generation.request_id), str(index))),
        "job_set_type": generation.model.job_type,
        "status": generation.job_status(index, now),
        "results": results,
    }


def _files(generation: Generation, origin: str) -> dict[str, Any]:
    folder = f"{origin}/media/{generation.request_id}"
    if generation.model.output_type == "video":
        return {"video": {"url": f"{folder}/0.webm"}}
    return {"images": [{"url": f"{folder}/{index}.png"} for index in range(generation.outputs)]}
