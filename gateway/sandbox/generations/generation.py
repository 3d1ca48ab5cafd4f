"""A generation of the sandbox. Its status is not stored: it follows from the times of its creation, start and end."""

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
    """One generation: its input, price, outcome and times. Times are in seconds of the sandbox's clock."""

    model: Model
    parameters: dict[str, Any]
    price: Decimal
    outcome: Outcome
    created_at: float
    ready_at: float
    """The earliest start, even if the account has a free slot."""

    running_seconds: float
    retention: int
    outputs: int = 1
    webhook: str | None = None
    origin: str = ""
    """The origin (scheme, host and port) under which the client reached the sandbox."""

    job_outcomes: tuple[Outcome, ...] = ()
    """The outcomes of the jobs of a v1 job set; empty for v2."""

    webhook_secret: str = ""

    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started_at: float | None = None
    canceled_at: float | None = None
    deleted_at: float | None = None

    @property
    def prompt(self) -> str:
        """The prompt; empty for models without one."""
        return str(self.parameters.get("prompt", ""))

    @property
    def finished_at(self) -> float | None:
        """When it ended or will end; None until it has started or was canceled."""
        if self.canceled_at is not None:
            return self.canceled_at
        return None if self.started_at is None else self.started_at + self.running_seconds

    @property
    def expires_at(self) -> float | None:
        """When its files expire; None while `finished_at` is."""
        return None if self.finished_at is None else self.finished_at + self.retention

    def finish_at_once(self) -> None:
        """Let it end as soon as it starts."""
        self.ready_at = self.created_at
        self.running_seconds = 0.0

    def status(self, now: float) -> str:
        """Return the status by the API's name."""
        if self.canceled_at is not None:
            return "canceled"
        if self.finished_at is None:
            return "queued"
        return "in_progress" if now < self.finished_at else self.outcome

    def finished(self, now: float) -> bool:
        """Return whether its status is final."""
        return self.status(now) not in ("queued", "in_progress")

    def job_status(self, index: int, now: float) -> str:
        """Return the status of one job of a job set. The jobs run one after another."""
        if self.started_at is None:
            return self.status(now)
        share = self.running_seconds / len(self.job_outcomes)
        begins = self.started_at + share * index
        if now >= begins + share or self.finished(now):
            return self.job_outcomes[index]
        return "in_progress" if now >= begins else "queued"

    def has_file(self, index: int, now: float) -> bool:
        """Return whether an output file exists. In a job set it exists as soon as its job has completed."""
        if index >= self.outputs:
            return False
        return (self.job_status(index, now) if self.job_outcomes else self.status(now)) == "completed"

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The outcome of each job; without jobs, the outcome of the generation."""
        return self.job_outcomes or (self.outcome,)

    @property
    def refund_amount(self) -> Decimal:
        """The credits that are given back when it has ended: the share of the jobs that did not complete."""
        made_nothing = sum(end != "completed" for end in self.outcomes)
        return self.price if self.canceled_at is not None else self.price * made_nothing / len(self.outcomes)

    def is_refunded(self, now: float) -> bool:
        """Return whether the price was given back: only completed generations are charged."""
        return self.finished(now) and self.status(now) != "completed"


def receipt(generation: Generation, origin: str) -> dict[str, Any]:
    """Return the response that only confirms the acceptance of a request, with links to `origin`."""
    own = f"{origin}/requests/{generation.request_id}"
    return {
        "status": "queued",
        "request_id": generation.request_id,
        "status_url": f"{own}/status",
        "cancel_url": f"{own}/cancel",
    }


def describe(generation: Generation, clock: Clock, origin: str) -> dict[str, Any]:
    """Return the API's RequestStatus object, with links to `origin`."""
    now = clock.now()
    status = generation.status(now)
    body = receipt(generation, origin) | {"status": status}
    if status == "failed":
        body["error"] = FAILURE
    if generation.expires_at is not None and generation.finished(now):
        body["expires_at"] = timestamp(clock, generation.expires_at)
    if status == "completed" and generation.deleted_at is None:
        body |= _files(generation, now, origin)
    return body


def describe_job_set(generation: Generation, clock: Clock, origin: str, *, with_input: bool) -> dict[str, Any]:
    """Return v1's JobSet object. Each job has a status and results; the set has none."""
    input_params = {"input_params": generation.model.with_defaults(generation.parameters)} if with_input else {}
    return {
        "id": generation.request_id,
        "type": generation.model.job_type,
        "created_at": timestamp(clock, generation.created_at),
        "jobs": [_job(generation, index, clock.now(), origin) for index in range(len(generation.job_outcomes))],
        **input_params,
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


def _files(generation: Generation, now: float, origin: str) -> dict[str, Any]:
    folder = f"{origin}/media/{generation.request_id}"
    if generation.model.output_type == "video":
        return {"video": {"url": f"{folder}/0.webm"}}
    indexes = [index for index in range(generation.outputs) if generation.has_file(index, now)]
    return {"images": [{"url": f"{folder}/{index}.png"} for index in indexes]}
