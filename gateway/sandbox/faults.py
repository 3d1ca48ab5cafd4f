"""Faults: planned ones for specific calls (`POST /__plan`), and random ones.

A plan is `{"faults": [{"on": "submit", "kind": "502", "times": 2, "processed": true}, ...]}`. Each call takes the first
fault that matches it. The keys of a fault:

- `on`: the operation. One of submit, status, cancel, delete, estimate; time (a status call for the nil id); upload (the
  request for an upload slot), storage (the PUT), media (the GET of an output file); train (a character), character (the
  GET of one), delete_character; the lists models, motions, styles, styles_2, presets, studio_presets, characters;
  agent_session (its creation), agent_send, agent_messages (the GET), agent_interrupt, agent_media (the request for an
  upload slot), agent_confirm; any (the default: any of these calls); or webhook (see below).
- `kind`: an HTTP status, one of `RAW_KINDS` (bytes that `http/fault_responses.py` writes to the connection), or `html`.
  Without a kind the real response is sent, changed by the keys below.
- `times`: the number of calls that the fault applies to. Default 1.
- `processed`: whether the sandbox processes the call before the fault. The default depends on the kind.
- `status`, `body` (JSON or text), `headers`: of the response that replaces the real one. `RAW_KINDS` have none of them,
  and `html` has no `body`.
- `patch`: JSON that is merged into the real response, such as `{"status": "paused"}`; not with a `kind`, `status` or
  `body`, and not on `NO_OBJECTS`, whose responses are no JSON objects.
- `delay`: seconds before the response, or between the bytes of a `drip`.
- `prompt`: limits the fault to generations with this prompt, characters with this name, and messages with this text.

Faults on `webhook` apply to the webhook that reports the end of a request. Their kinds:

- `lose`: send no webhook.
- `duplicate`: send the webhook twice at the same time.
- `delay`: send it `delay` seconds later.
- `early`: the request ends as soon as it starts, and its submission is answered after the first delivery attempt.
- `out_of_order`: hold the webhook back until another one has been attempted.
- `foreign_id`: name a request that does not exist.
- `replay`: after the delivery, send it again with a valid signature that is `delay` seconds old (default 600).

With any other kind than `early`, or none, `patch`, `body` and `headers` change the webhook, and `delay` postpones it
(in seconds of the sandbox's clock). The signature covers the changed body.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from gateway.sandbox.generations.prompt_directives import Outcome

LISTS = ("models", "motions", "styles", "styles_2", "presets", "studio_presets")
OPERATIONS = (
    "submit", "status", "cancel", "delete", "estimate", "time", "upload", "storage", "media",
    "train", "character", "characters", "delete_character",
    "agent_session", "agent_send", "agent_messages", "agent_interrupt", "agent_media", "agent_confirm",
    *LISTS,
)  # fmt: skip
NO_OBJECTS = ("storage", "media", "motions", "styles", "styles_2")
"""The operations whose responses are files, arrays, or empty."""
CHARGED = ("submit", "train", "agent_send")
"""The operations that cost credits. Directives in their prompts may ask for a fault."""

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
"""Faults below HTTP, and the default of `processed` for each."""

WEBHOOK_KINDS = ("lose", "duplicate", "delay", "early", "out_of_order", "foreign_id", "replay")
"""The kinds of faults on webhooks."""

_NEVER_PROCESSED = ("429", "503")
"""As random faults these statuses are never processed. With other statuses one call in two is processed."""


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "on": lambda value: isinstance(value, str),
    "times": lambda value: type(value) is int and value >= 1,
    "processed": lambda value: isinstance(value, bool),
    "status": lambda value: value is None or (type(value) is int and 200 <= value <= 599),
    "headers": lambda value: isinstance(value, dict) and all(isinstance(text, str) for text in value.values()),
    "patch": lambda value: value is None or isinstance(value, dict),
    "delay": lambda value: type(value) in (int, float) and 0 <= value < math.inf,
    "prompt": lambda value: value is None or isinstance(value, str),
}
"""What the values of a plan must be. `kind` is checked for each operation, and `body` may be anything."""


@dataclass(frozen=True)
class Fault:
    """One fault; the module's docstring describes the fields."""

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
        """Parse a fault of a plan; raises ValueError if it is invalid."""
        unknown = set(data) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"unknown key {', '.join(sorted(unknown))}")
        if wrong := [name for name, value in data.items() if name in _CHECKS and not _CHECKS[name](value)]:
            raise ValueError(f"invalid value of {', '.join(wrong)}")
        fault = cls(**{**data, "kind": str(data.get("kind", ""))})
        if fault.on == "webhook":
            return fault._checked_for_webhooks(data)
        if fault.on not in (*OPERATIONS, "any"):
            raise ValueError(f"unknown operation {fault.on}")
        if fault.kind not in ("", "html", *RAW_KINDS) and not _is_status(fault.kind):
            raise ValueError(f"unknown kind {fault.kind}")
        if fault.patch is not None and fault._replaces_response:
            raise ValueError("`patch` changes the real response, which `kind`, `status` and `body` replace")
        if fault.kind in RAW_KINDS and {"status", "body", "headers"} & set(data):
            raise ValueError(f"{fault.kind} writes its own bytes, so it has no `status`, `body` and `headers`")
        if fault.kind == "html" and "body" in data:
            raise ValueError("html is a body")
        if fault.patch is not None and fault.on in NO_OBJECTS:
            raise ValueError(f"the response of {fault.on} is no JSON object, so it cannot have a `patch`")
        return fault if "processed" in data else replace(fault, processed=fault._processed_by_default())

    def matches(self, operation: str) -> bool:
        """Return whether the fault applies to an operation. Webhooks have the operations `webhook` and `early`."""
        if self.on == "any":
            return operation not in ("webhook", "early") and (self.patch is None or operation not in NO_OBJECTS)
        return operation == ("early" if self.kind == "early" else self.on)

    async def wait(self) -> None:
        """Wait for the delay, after the call was processed and before its response is sent."""
        if self.kind != "drip":  # which waits between the bytes instead
            await asyncio.sleep(self.delay)

    @property
    def name(self) -> str:
        """The outcome that the ledger records for the call."""
        return self.kind or str(self.status or "patched")

    def _checked_for_webhooks(self, data: Mapping[str, Any]) -> Fault:
        if self.kind not in ("", *WEBHOOK_KINDS):
            raise ValueError(f"unknown kind {self.kind}")
        meaningless = {"status", "processed"}
        if self.kind == "early":
            meaningless |= {"patch", "body", "headers", "delay"}  # another fault can change the same webhook
        if wrong := meaningless & set(data):
            raise ValueError(f"such a webhook fault has no {', '.join(sorted(wrong))}")
        if self.kind == "delay" and not self.delay:
            raise ValueError("a delay fault needs `delay`, in seconds")
        if self.patch is not None and self.body is not None:
            raise ValueError("`patch` changes the real webhook, which `body` replaces")
        return self

    @property
    def _replaces_response(self) -> bool:
        return bool(self.kind) or self.status is not None or self.body is not None

    def _processed_by_default(self) -> bool:
        return RAW_KINDS.get(self.kind, False) if self._replaces_response else True


class FaultPlan:
    """The queue of planned faults. They are indexed by prompt, because a plan may have faults for 10,000 prompts."""

    def __init__(self) -> None:
        self._faults: defaultdict[str | None, list[tuple[int, Fault]]] = defaultdict(list)
        self._numbers = itertools.count()

    def add(self, faults: list[Fault]) -> None:
        """Append faults to the queue."""
        for fault in faults:
            self._faults[fault.prompt].append((next(self._numbers), fault))

    def clear(self) -> None:
        """Remove all faults that no call has taken."""
        self._faults.clear()

    def __len__(self) -> int:
        return sum(fault.times for faults in self._faults.values() for _, fault in faults)

    def take(self, operation: str, prompt: str | None) -> Fault | None:
        """Take the first fault that matches a call out of the queue; returns None if there is none."""
        found = [first for whose in {None, prompt} if (first := self._first(whose, operation))]
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

    def _first(self, whose: str | None, operation: str) -> tuple[int, str | None, int] | None:
        """Return the number, key and index of the first match among the faults with the prompt `whose`."""
        for index, (number, fault) in enumerate(self._faults.get(whose, ())):
            if fault.matches(operation):
                return number, whose, index
        return None


class RandomFaults:
    """Random faults and outcomes. The same seed and order of calls give the same ones."""

    def __init__(self, probabilities: Mapping[str, float], seed: int) -> None:
        self._faults = {kind: p for kind, p in probabilities.items() if kind not in ("failed", "nsfw") and p}
        self._outcomes: dict[Outcome, float] = {
            "failed": probabilities.get("failed", 0.0),
            "nsfw": probabilities.get("nsfw", 0.0),
        }
        self._random = random.Random(seed)
        self._losses = random.Random(f"losses {seed}")

    def fault(self, operation: str) -> Fault | None:
        """Draw a fault for one call; None if it is answered normally."""
        if not self._faults:
            return None
        draw, coin = self._random.random(), self._random.random() < 0.5
        for kind, probability in self._faults.items():
            draw -= probability
            if draw < 0:
                return _by_chance(kind, operation, coin)
        return None

    def drops_webhook(self, probability: float) -> bool:
        """Draw whether a webhook is never sent."""
        return self._losses.random() < probability

    def outcome(self) -> Outcome:
        """Draw the outcome of a generation."""
        draw = self._random.random()
        for outcome, probability in self._outcomes.items():
            draw -= probability
            if draw < 0:
                return outcome
        return "completed"


def _by_chance(kind: str, operation: str, coin: bool) -> Fault | None:
    # `lost` is a charge whose response is lost. On calls that charge nothing it would be the same as `close`.
    if kind == "lost" and operation not in CHARGED:
        return None
    processed = RAW_KINDS.get(kind, False) or (coin and kind not in _NEVER_PROCESSED)
    headers = {"Retry-After": "1"} if kind == "429" else {}
    return Fault(on=operation, kind=kind, processed=processed, headers=headers)


def _is_status(kind: str) -> bool:
    return len(kind) == 3 and kind.isdecimal() and 200 <= int(kind) <= 599
