"""The errors of generations and trainings that ended without success, in all clients. No call failed."""

from __future__ import annotations

from collections.abc import Mapping

GENERATIONS: Mapping[str, str] = {
    "GenerationFailed": "A generation ended without output.",
    "GenerationRefused": (
        "A generation failed before Higgsfield accepted it. It was not charged, and its key can be used again."
    ),
    "GenerationModerated": "Higgsfield's moderation refused a generation. It was not charged.",
    "GenerationCanceled": "A caller canceled a generation, or the gateway did; see the reason. It was not charged.",
    "GenerationLost": "The outcome of a generation cannot be determined. It may have been charged.",
}
"""The first is the broader error of all others."""

BASE, *_ = GENERATIONS
BELOW = {name: text for name, text in GENERATIONS.items() if name != BASE}

TRAINING = ("TrainingFailed", "The training of a character failed.")
