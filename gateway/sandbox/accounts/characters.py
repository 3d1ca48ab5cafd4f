"""The characters of an account (custom references): training, lists, deletion, and use by the Soul models.

Nothing runs: the state of a training is computed from the time at which it began.
"""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from gateway.sandbox import errors
from gateway.sandbox.clock import Clock, timestamp
from gateway.sandbox.generations.prompt_directives import read_directives
from gateway.sandbox.ledger import Charge, Ledger, Refund
from gateway.sandbox.schema import Schema, violations

PRICE = Decimal(40)
MODEL = "custom-reference"
"""The model under which the ledger lists the charge for a training."""
FAILURE = "Training failed: the sandbox was asked to fail"
FAMILIES = {
    "higgsfield-ai/soul/standard": "v1",
    "higgsfield-ai/soul/v2/standard": "v2",
    "higgsfield-ai/soul/cinema": "cinema",
    "v1/text2image/soul": "v1",
}
"""The models that accept characters, and the model version of those characters."""
_IMAGE: Schema = {
    "type": "object",
    "required": ["type", "image_url"],
    "properties": {"type": {"type": "string", "enum": ["image_url"]}, "image_url": {"type": "string", "format": "uri"}},
}
_INPUT: Schema = {
    "type": "object",
    "required": ["name", "input_images"],
    "properties": {
        "name": {"type": "string", "maxLength": 100},
        "input_images": {"type": "array", "minItems": 1, "maxItems": 100, "items": _IMAGE},
        "model_version": {"type": "string", "enum": ["v1", "v2", "cinema"], "default": "v1"},
    },
}


@dataclass
class Character:
    """One character and the times of its states, in seconds of the sandbox's clock."""

    name: str
    version: str
    created_at: float
    ready_at: float
    started_at: float
    finished_at: float
    fails: bool
    refunded: bool = False
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def status(self, now: float) -> str:
        """Return the status by the API's name."""
        if now < self.ready_at:
            return "not_ready"
        if now < self.started_at:
            return "queued"
        if now < self.finished_at:
            return "in_progress"
        return "failed" if self.fails else "completed"


class Characters:
    """The characters of one account."""

    def __init__(self, clock: Clock, ledger: Ledger) -> None:
        self._clock = clock
        self._ledger = ledger
        self._all: dict[str, Character] = {}

    def train(self, body: Any, *, credits: Decimal, queue_seconds: float, training_seconds: float) -> Character:
        """Start a training and record its charge; the caller subtracts `PRICE` from the account's credits.

        Raises ApiError if the body is invalid or `credits` are too few. The durations are in seconds.
        """
        found = list(violations(body, _INPUT))
        if found:
            raise errors.as_pydantic(found)
        if credits < PRICE:
            raise errors.not_enough_credits()
        now, directives = self._clock.now(), read_directives(body["name"])
        started_at = now + queue_seconds
        running = training_seconds if directives.running_seconds is None else directives.running_seconds
        character = Character(
            name=body["name"],
            version=body.get("model_version", "v1"),
            created_at=self._later_than_all(now),
            ready_at=now + queue_seconds / 2,
            started_at=started_at,
            finished_at=started_at + running,
            fails=directives.outcome is not None,
        )
        self._all[character.id] = character
        self._ledger.charges.append(Charge(now, character.id, MODEL, character.name, PRICE))
        return character

    def _later_than_all(self, now: float) -> float:
        """Return now, or a millisecond after the newest character, so that creation times are unique."""
        newest = max((character.created_at for character in self._all.values()), default=-math.inf)
        return max(now, newest + 1e-3)

    def settle(self) -> Decimal:
        """Record the refunds of trainings that have failed by now; returns the credits to give back."""
        now, back = self._clock.now(), Decimal()
        for character in self._all.values():
            if character.fails and not character.refunded and character.finished_at <= now:
                character.refunded = True
                self._ledger.refunds.append(Refund(character.finished_at, character.id, PRICE, "failed"))
                back += PRICE
        return back

    def find(self, character_id: str) -> Character:
        """Return a character, or raise a 404."""
        if character_id not in self._all:
            raise errors.not_found()
        return self._all[character_id]

    def named(self, character_id: str) -> str | None:
        """Return a character's name; None if it does not exist."""
        return self._all[character_id].name if character_id in self._all else None

    def delete(self, character_id: str) -> None:
        """Delete a character without a refund; raises a 404 if it does not exist."""
        self.find(character_id)
        del self._all[character_id]

    def page(self, page: int, size: int) -> dict[str, Any]:
        """Return one page of the list, newest first."""
        newest = sorted(self._all.values(), key=lambda one: one.created_at, reverse=True)
        return {
            "total": len(newest),
            "page": page,
            "page_size": size,
            "total_pages": math.ceil(len(newest) / size),
            "items": [self.describe(character) for character in newest[(page - 1) * size : page * size]],
        }

    def check_use(self, slug: str, parameters: dict[str, Any]) -> None:
        """Raise ApiError if the parameters use a character that is unknown, not trained, or not for this model.

        Higgsfield documents that a character only works with the models of its version. The response is not known.
        """
        character_id = parameters.get("custom_reference_id")
        if slug not in FAMILIES or character_id is None:
            return
        character = self._all.get(str(uuid.UUID(character_id)))
        if character is None:
            why = "Custom reference not found"
        elif character.version != FAMILIES[slug]:
            why = f"Custom reference is for {character.version}"
        elif character.status(self._clock.now()) != "completed":
            why = "Custom reference is not ready"
        else:
            return
        raise errors.character_refused(character_id, why, v1=slug.startswith("v1/"))

    def describe(self, character: Character) -> dict[str, Any]:
        """Return the API's Reference object."""
        now = self._clock.now()
        status = character.status(now)
        return {
            "id": character.id,
            "name": character.name,
            "model_version": character.version,
            "status": status,
            "thumbnail_url": None,
            "created_at": timestamp(self._clock, character.created_at),
            "in_progress_at": timestamp(self._clock, character.started_at) if now >= character.started_at else None,
            "fail_reason": FAILURE if status == "failed" else None,
        }
