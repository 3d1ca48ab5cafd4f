"""The events that ``watch_many`` yields. Distinguish them with ``match`` or ``isinstance``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hfgateway.v1.generation_pb2 import Forecast, Generation


@dataclass(frozen=True, slots=True)
class _Event:
    resume_token: str
    """The position of this event in the watch, or "" if there is none yet.

    Pass it to a later ``watch_many`` with the same filter to continue after this event. Some events from before it may
    be repeated, but none is skipped.
    """


@dataclass(frozen=True, slots=True)
class GenerationChanged(_Event):
    """A generation has changed, or is part of the snapshot at the beginning of the watch."""

    generation: Generation
    """The generation at its new revision, or in its current state."""


@dataclass(frozen=True, slots=True)
class CaughtUp(_Event):
    """All events from before the watch began have been yielded; later events are new.

    Yielded once, and once more after each `Reset`.
    """


@dataclass(frozen=True, slots=True)
class Reset(_Event):
    """Changes are missing. Discard the generations that you hold, or read them again.

    A new snapshot follows. It may not include generations that have ended.
    """


@dataclass(frozen=True, slots=True)
class MissingGenerations(_Event):
    """Some of the requested ids do not exist."""

    ids: tuple[str, ...]
    """The ids that do not exist."""


@dataclass(frozen=True, slots=True)
class ForecastsChanged(_Event):
    """Newer forecasts for generations that are otherwise unchanged."""

    forecasts: Mapping[str, Forecast]
    """The forecasts by generation id."""


WatchEvent = GenerationChanged | CaughtUp | Reset | MissingGenerations | ForecastsChanged
"""Any event of ``watch_many``."""
