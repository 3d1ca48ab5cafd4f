"""The faults of the sandbox during a storm: drawn at random, and recorded."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace

from gateway.sandbox.faults import Fault, RandomFaults
from harness.faults import AMBIGUOUS, FAILURE_RATES, draw_fault
from harness.history import Recorder

SUBMIT_FAULT_RATE, OTHER_FAULT_RATE, WEBHOOK_FAULT_RATE = 0.3, 0.1, 0.4
"""The probabilities of a fault: of a submission, of any other call to Higgsfield, and of a webhook."""
_REFUSALS = ("422", "429")
"""Status codes of refused submissions. The sandbox never processes these calls."""
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
"""The patched webhooks report wrong states. A gateway that believes them without a status call is wrong."""


class StormFaults(RandomFaults):
    """Replaces the random faults of a sandbox. After `calm` is set, there are no more faults."""

    def __init__(self, seed: int, recorder: Recorder) -> None:
        super().__init__(FAILURE_RATES, seed)
        self.calm = False
        self._recorder = recorder
        self._dice = random.Random(f"weather {seed}")

    def fault(self, operation: str) -> Fault | None:
        """Draw a fault for one call and record it. Returns None if the call has no fault."""
        rate = SUBMIT_FAULT_RATE if operation == "submit" else OTHER_FAULT_RATE
        if self.calm or self._dice.random() >= rate:
            return None
        fault = draw_fault(operation, SUBMIT_FAULTS if operation == "submit" else OTHER_FAULTS, self._dice)
        self._recorder.record("fault", on=operation, kind=fault.kind, processed=fault.processed)
        return fault

    def webhook_faults(self, prompts: Iterable[str]) -> list[Fault]:
        """Draw and record the faults of the webhooks for these prompts."""
        faults = []
        for prompt in prompts:
            if self._dice.random() < WEBHOOK_FAULT_RATE:
                fault = replace(self._dice.choice(WEBHOOK_FAULTS), prompt=prompt)
                kind = fault.kind or ("nonsense" if fault.body else "lie")
                self._recorder.record("fault", on="webhook", kind=kind, processed=True, prompt=prompt)
                faults.append(fault)
        return faults
