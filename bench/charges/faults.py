"""The submissions of a run, and what happens to each at Higgsfield: functions of the seed and their number alone.

So whoever submits meets the same. Refusals are left out, for they say for certain that nothing was charged; so is the
answer that drips, for a client that waits gets it whole.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gateway.sandbox.faults import Fault
from harness.faults import AMBIGUOUS, SAD_ENDS, drawn

PROBABILITY = 0.3
"""Of a fault, for each of the POSTs that can be spoiled."""
SPOILED_AT_MOST = 2
"""POSTs of one submission that can be spoiled, from its first on.

After two comes a clean one: the gateway's third repeat, five minutes after its second, is not waited for in each run.
"""
KINDS = tuple(kind for kind in AMBIGUOUS if kind != "drip")


@dataclass(frozen=True, slots=True)
class Submission:
    """What one caller wants, and the faults of its POSTs in their order; none where a POST is answered truly."""

    prompt: str
    faults: tuple[Fault | None, ...]


def submissions(number: int, seed: int) -> list[Submission]:
    """So many."""
    return [_submission(index, seed) for index in range(number)]


def plan(wanted: Sequence[Submission]) -> list[dict[str, object]]:
    """The faults as `POST /__plan` takes them: a POST that is answered truly, and has faults after it, is one too."""
    return list(_entries(wanted))


def kinds(wanted: Sequence[Submission]) -> Counter[str]:
    """How often each kind is planned, and how often the service acts on the POST all the same."""
    return Counter(
        f"{fault.kind}{' after acting' if fault.processed else ''}"
        for submission in wanted
        for fault in submission.faults
        if fault
    )


def _submission(index: int, seed: int) -> Submission:
    dice = random.Random(f"submission {index} of {seed}")
    end = dice.random()
    word = " [fail]" if end < SAD_ENDS["failed"] else " [nsfw]" if end < SAD_ENDS["failed"] + SAD_ENDS["nsfw"] else ""
    prompt = f"picture {index} of {seed}{word}"
    faults = (_fault(dice, prompt) for _ in range(SPOILED_AT_MOST))
    return Submission(prompt, tuple(faults))


def _fault(dice: random.Random, prompt: str) -> Fault | None:
    return replace(drawn("submit", KINDS, dice), prompt=prompt) if dice.random() < PROBABILITY else None


def _entries(wanted: Sequence[Submission]) -> Iterator[dict[str, object]]:
    for submission in wanted:
        spoiled = max((place for place, fault in enumerate(submission.faults, 1) if fault), default=0)
        for fault in submission.faults[:spoiled]:
            entry: dict[str, object] = {"on": "submit", "prompt": submission.prompt}
            yield entry | {"kind": fault.kind, "processed": fault.processed} if fault else entry
