"""What the sandbox does to calls and deliveries while the storm lasts: drawn by chance, and written down."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from chaos.history import Recorder
from gateway.sandbox.faults import Fault, RandomFaults

SUBMIT_TROUBLE = 0.3
OTHER_TROUBLE = 0.1
WEBHOOK_TROUBLE = 0.4
SAD_ENDS = {"failed": 0.05, "nsfw": 0.05}

_ACTED_ON_OR_NOT = ("500", "502", "503", "504", "408", "html", "reset", "close", "hang")
"""Of these a coin decides whether the service acted on the call."""
_ACTED_ON = ("lost", "half", "half_reset", "bad_chunk", "truncated_header", "drip")
_REFUSALS = ("422", "429")
"""In the documented form: never acted on, or the API would lie."""
AMBIGUOUS = 4 * _ACTED_ON_OR_NOT + 4 * _ACTED_ON + ("garbage",)
"""What leaves a client in the dark, each as often as it comes."""
SUBMIT_FAULTS = AMBIGUOUS + _REFUSALS
OTHER_FAULTS = ("500", "502", "503", "404", "429", "html", "reset", "close", "half", "garbage", "hang")

WEBHOOK_FAULTS = (
    Fault(on="webhook", kind="lose"),
    Fault(on="webhook", kind="duplicate"),
    Fault(on="webhook", kind="delay", delay=1.0),
    Fault(on="webhook", kind="early"),
    Fault(on="webhook", kind="out_of_order"),
    Fault(on="webhook", kind="foreign_id"),
    Fault(on="webhook", kind="replay"),
    *(Fault(on="webhook", patch={"status": status}) for status in ("failed", "nsfw", "completed") for _ in range(3)),
    Fault(on="webhook", body="no JSON at all"),
)
"""The patched ones are lies: who believes them without asking is wrong."""


def drawn(operation: str, kinds: Sequence[str], dice: random.Random) -> Fault:
    """One fault of those kinds; where it can be either, a coin decides whether the service acts on the call."""
    kind = dice.choice(kinds)
    processed = kind in _ACTED_ON or (kind in _ACTED_ON_OR_NOT and dice.random() < 0.5)
    return Fault(on=operation, kind=kind, processed=processed, headers={"Retry-After": "1"} if kind == "429" else {})


class Weather(RandomFaults):
    """Takes the place of a sandbox's own chance. Once `calm`, no call is spoiled any more."""

    def __init__(self, seed: int, recorder: Recorder) -> None:
        super().__init__(SAD_ENDS, seed)
        self.calm = False
        self._recorder = recorder
        self._dice = random.Random(f"weather {seed}")

    def fault(self, operation: str) -> Fault | None:
        """Draw for one call."""
        trouble = SUBMIT_TROUBLE if operation == "submit" else OTHER_TROUBLE
        if self.calm or self._dice.random() >= trouble:
            return None
        fault = drawn(operation, SUBMIT_FAULTS if operation == "submit" else OTHER_FAULTS, self._dice)
        self._recorder.note("fault", on=operation, kind=fault.kind, processed=fault.processed)
        return fault

    def webhook_faults(self, prompts: Iterable[str]) -> list[Fault]:
        """Draw for the deliveries about those prompts."""
        faults = []
        for prompt in prompts:
            if self._dice.random() < WEBHOOK_TROUBLE:
                fault = replace(self._dice.choice(WEBHOOK_FAULTS), prompt=prompt)
                kind = fault.kind or ("nonsense" if fault.body else "lie")
                self._recorder.note("fault", on="webhook", kind=kind, processed=True, prompt=prompt)
                faults.append(fault)
        return faults
