"""Faults of submissions that leave a client uncertain, and how to draw one."""

from __future__ import annotations

import random
from collections.abc import Sequence

from gateway.sandbox.faults import Fault

FAILURE_RATES = {"failed": 0.05, "nsfw": 0.05}
"""The probabilities of generations that do not complete."""

_PROCESSED_OR_NOT = ("500", "502", "503", "504", "408", "html", "reset", "close", "hang")
"""Faults before which the sandbox processes one call in two."""
_PROCESSED = ("lost", "half", "half_reset", "bad_chunk", "truncated_header", "drip")
AMBIGUOUS = 4 * _PROCESSED_OR_NOT + 4 * _PROCESSED + ("garbage",)
"""The kinds after which a client cannot know whether its call was processed, repeated by their frequency."""


def draw_fault(operation: str, kinds: Sequence[str], dice: random.Random) -> Fault:
    """Draw a fault of these kinds for an operation."""
    kind = dice.choice(kinds)
    processed = kind in _PROCESSED or (kind in _PROCESSED_OR_NOT and dice.random() < 0.5)
    return Fault(on=operation, kind=kind, processed=processed, headers={"Retry-After": "1"} if kind == "429" else {})
