"""Which call goes wrong, and how: exact faults queued by `POST /__plan`, and faults by chance.

A plan is `{"faults": [{"on": "submit", "kind": "502", "times": 2, "processed": true}, ...]}`; each call takes the first
fault that fits it. Keys of a fault:

- `on`: submit, status, cancel, delete, estimate, upload (the wish for a slot), storage (the PUT), media (the GET of an
  output), train (a character), character (read one), delete_character, one of the lists models, motions, styles,
  styles_2, presets, studio_presets, characters, agent_session (its creation), agent_send, agent_messages (reading
  them), agent_interrupt, agent_media (the wish for a slot), agent_confirm, any of these calls (the default), or webhook
  (see below);
- `kind`: an HTTP status, or one of `RAW_KINDS` (what goes over the wire, see `http/fault_responses.py`), or `html`;
  without one the true answer is sent, changed by the keys below;
- `times`: how many calls it spoils, 1 unless told;
- `processed`: whether the service acts on the call before the fault;
- `status`, `body` (JSON or text), `headers`: of the answer sent in place of the true one;
- `patch`: JSON merged into the true answer, such as `{"status": "paused"}`;
- `delay`: seconds before the answer, or between the bytes of a `drip`;
- `prompt`: only calls about a generation with this prompt, a character of this name, and messages of this text.

`{"on": "webhook"}` is about telling a receiver that a request has ended. Its kinds:

- `lose`: never tell;
- `duplicate`: make the delivery twice at once;
- `delay`: begin `delay` seconds later;
- `early`: the request ends as soon as it gets a slot, and its submission is answered after the first attempt;
- `out_of_order`: hold it back until another delivery was attempted;
- `foreign_id`: speak of a request that nobody made;
- `replay`: after the delivery repeat it as recorded, with a valid signature of `delay` seconds ago, 600 unless told.

With any of them or none, `patch`, `body` and `headers` change what is sent, and `delay` when (in seconds of the
sandbox's clock). The signature covers a changed body.
"""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from gateway.sandbox.generations.prompt_directives import Outcome

LISTS = ("models", "motions", "styles", "styles_2", "presets", "studio_presets")
OPERATIONS = (
    "submit", "status", "cancel", "delete", "estimate", "upload", "storage", "media",
    "train", "character", "characters", "delete_character",
    "agent_session", "agent_send", "agent_messages", "agent_interrupt", "agent_media", "agent_confirm",
    *LISTS,
)  # fmt: skip
CHARGED = ("submit", "train", "agent_send")
"""Those that are charged, and whose words may ask for a fault."""

RAW_KINDS = {
    "reset": False,
    "close": False,
    "lost": True,
    "hang": False,
    "half": True,
    "half_reset": True,
    "bad_chunk": True,
    "truncated_header": True,
    "garbage": False,
    "drip": True,
}
"""Faults below HTTP, and whether the service acts on the call before them unless a plan says otherwise."""

WEBHOOK_KINDS = ("lose", "duplicate", "delay", "early", "out_of_order", "foreign_id", "replay")
"""What can happen to a delivery."""

_CERTAIN = ("429", "503")
"""By chance these refuse; of the other answers a coin decides whether the call was acted on."""


@dataclass(frozen=True)
class Fault:
    """One way for a call to go wrong."""

    on: str = "any"
    kind: str = ""
    times: int = 1
    processed: bool = False
    status: int | None = None
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    patch: Mapping[str, Any] | None = None
    delay: float = 0.0
    prompt: str | None = None

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Fault:
        """Read a fault of a plan; a ValueError says what is wrong with it."""
        unknown = set(data) - {one.name for one in fields(cls)}
        if unknown:
            raise ValueError(f"unknown key {', '.join(sorted(unknown))}")
        fault = cls(**{**data, "kind": str(data.get("kind", ""))})
        if fault.on == "webhook":
            return fault._checked_for_webhooks(data)
        if fault.on not in (*OPERATIONS, "any"):
            raise ValueError(f"unknown operation {fault.on}")
        if fault.kind not in ("", "html", *RAW_KINDS) and not _is_status(fault.kind):
            raise ValueError(f"unknown kind {fault.kind}")
        return fault if "processed" in data else replace(fault, processed=fault._processed_by_default())

    def matches(self, operation: str, prompt: str | None) -> bool:
        """Say whether a call meets this fault; beside calls there are the operations `webhook` and `early`."""
        if self.prompt not in (None, prompt):
            return False
        if self.on == "any":
            return operation not in ("webhook", "early")
        return operation == ("early" if self.kind == "early" else self.on)

    @property
    def name(self) -> str:
        """What the ledger calls it."""
        return self.kind or str(self.status or "patched")

    def _checked_for_webhooks(self, data: Mapping[str, Any]) -> Fault:
        if self.kind not in ("", *WEBHOOK_KINDS):
            raise ValueError(f"unknown kind {self.kind}")
        if meaningless := {"status", "processed"} & set(data):
            raise ValueError(f"a webhook has no {', '.join(sorted(meaningless))}")
        if self.kind == "delay" and not self.delay:
            raise ValueError("delay needs its seconds")
        return self

    def _processed_by_default(self) -> bool:
        replaces_answer = self.kind or self.status is not None or self.body is not None
        return RAW_KINDS.get(self.kind, False) if replaces_answer else True


class FaultPlan:
    """The queue of exact faults. Those for one prompt stand apart: a plan may have some for each of ten thousand."""

    def __init__(self) -> None:
        self._faults: defaultdict[str | None, list[tuple[int, Fault]]] = defaultdict(list)
        self._numbers = itertools.count()

    def add(self, faults: list[Fault]) -> None:
        """Queue faults behind those that wait."""
        for fault in faults:
            self._faults[fault.prompt].append((next(self._numbers), fault))

    def clear(self) -> None:
        """Forget what was not met."""
        self._faults.clear()

    def __len__(self) -> int:
        return sum(fault.times for faults in self._faults.values() for _, fault in faults)

    def take(self, operation: str, prompt: str | None) -> Fault | None:
        """Use up the first fault that fits a call."""
        found = [first for whose in {None, prompt} if (first := self._first(whose, operation, prompt))]
        if not found:
            return None
        number, whose, index = min(found)
        faults = self._faults[whose]
        fault = faults.pop(index)[1]
        if fault.times > 1:
            faults.insert(index, (number, replace(fault, times=fault.times - 1)))
        elif not faults:
            del self._faults[whose]
        return fault

    def _first(self, whose: str | None, operation: str, prompt: str | None) -> tuple[int, str | None, int] | None:
        """Number, queue and place of the first that fits among those for a prompt, or among those for any."""
        for index, (number, fault) in enumerate(self._faults.get(whose, ())):
            if fault.matches(operation, prompt):
                return number, whose, index
        return None


class RandomFaults:
    """Faults and sad ends by probability, the same for the same seed and order of calls."""

    def __init__(self, probabilities: Mapping[str, float], seed: int) -> None:
        self._answers = {kind: p for kind, p in probabilities.items() if kind not in ("failed", "nsfw") and p}
        self._ends: dict[Outcome, float] = {
            "failed": probabilities.get("failed", 0.0),
            "nsfw": probabilities.get("nsfw", 0.0),
        }
        self._random = random.Random(seed)
        self._losses = random.Random(f"losses {seed}")

    def fault(self, operation: str) -> Fault | None:
        """Draw a fault for one call."""
        if not self._answers:
            return None
        draw, coin = self._random.random(), self._random.random() < 0.5
        for kind, probability in self._answers.items():
            draw -= probability
            if draw < 0:
                return _by_chance(kind, operation, coin)
        return None

    def drops_webhook(self, probability: float) -> bool:
        """Draw whether a delivery is never made."""
        return self._losses.random() < probability

    def outcome(self) -> Outcome:
        """Draw how a generation ends."""
        draw = self._random.random()
        for outcome, probability in self._ends.items():
            draw -= probability
            if draw < 0:
                return outcome
        return "completed"


def _by_chance(kind: str, operation: str, coin: bool) -> Fault | None:
    # `lost` is about a charge whose answer is missing: on other calls it would only be a `reset` by another name.
    if kind == "lost" and operation not in CHARGED:
        return None
    processed = RAW_KINDS.get(kind, False) or (coin and kind not in _CERTAIN)
    headers = {"Retry-After": "1"} if kind == "429" else {}
    return Fault(on=operation, kind=kind, processed=processed, headers=headers)


def _is_status(kind: str) -> bool:
    return len(kind) == 3 and kind.isdecimal() and 200 <= int(kind) <= 599
