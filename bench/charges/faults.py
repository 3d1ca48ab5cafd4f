"""The submissions of a run and the faults of their POSTs. Both depend only on the seed and the submission's number.

So every client meets the same faults. There are no refusals, because it is certain that they are not charged, and no
slow responses (`drip`), because a client that waits receives them completely.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gateway.sandbox.faults import Fault
from harness.faults import AMBIGUOUS, FAILURE_RATES, draw_fault

PROBABILITY = 0.3
"""The probability of a fault for each of the first MAX_FAULTY_POSTS POSTs of a submission."""
MAX_FAULTY_POSTS = 2
"""The number of POSTs of a submission that can have faults.

The third POST has none, because the gateway would make the fourth one only five minutes later, too late for a run.
"""
KINDS = tuple(kind for kind in AMBIGUOUS if kind != "drip")


@dataclass(frozen=True, slots=True)
class Submission:
    """The prompt of one caller, and the faults of its POSTs in their order; None for a POST without a fault."""

    prompt: str
    faults: tuple[Fault | None, ...]


def submissions(number: int, seed: int) -> list[Submission]:
    """Return `number` submissions."""
    return [_submission(index, seed) for index in range(number)]


def plan(wanted: Sequence[Submission]) -> list[dict[str, object]]:
    """Return the faults in the format of `POST /__plan`, with an entry for each POST up to the last fault."""
    return list(_entries(wanted))


def kinds(wanted: Sequence[Submission]) -> Counter[str]:
    """Count the planned faults by kind, and by whether the sandbox processes the POST."""
    return Counter(
        f"{fault.kind}{' after acting' if fault.processed else ''}"
        for submission in wanted
        for fault in submission.faults
        if fault
    )


def _submission(index: int, seed: int) -> Submission:
    dice = random.Random(f"submission {index} of {seed}")
    end, failed = dice.random(), FAILURE_RATES["failed"]
    directive = " [fail]" if end < failed else " [nsfw]" if end < failed + FAILURE_RATES["nsfw"] else ""
    prompt = f"picture {index} of {seed}{directive}"
    faults = (_fault(dice, prompt) for _ in range(MAX_FAULTY_POSTS))
    return Submission(prompt, tuple(faults))


def _fault(dice: random.Random, prompt: str) -> Fault | None:
    return replace(draw_fault("submit", KINDS, dice), prompt=prompt) if dice.random() < PROBABILITY else None


def _entries(wanted: Sequence[Submission]) -> Iterator[dict[str, object]]:
    for submission in wanted:
        last_faulty = max((number for number, fault in enumerate(submission.faults, 1) if fault), default=0)
        for fault in submission.faults[:last_faulty]:
            entry: dict[str, object] = {"on": "submit", "prompt": submission.prompt}
            yield entry | {"kind": fault.kind, "processed": fault.processed} if fault else entry
