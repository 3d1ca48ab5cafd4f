"""What ``watch_many`` yields: small values, one for each kind of news. Tell them apart by ``match`` or isinstance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hfgateway.v1.generation_pb2 import Forecast, Generation


@dataclass(frozen=True, slots=True)
class _Event:
    resume_token: str
    """Hand it to a later ``watch_many`` with the same filter, to go on from here. It may tell once more what was
    told just before it, and leaves nothing out. "" until there is one."""


@dataclass(frozen=True, slots=True)
class GenerationChanged(_Event):
    """A generation as it is now: at first its present state, then every change."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class CaughtUp(_Event):
    """All that had happened before has been told; what follows is news. Once, and once more after each `Reset`."""


@dataclass(frozen=True, slots=True)
class Reset(_Event):
    """Changes are missing: forget what you hold (or read it again). Everything is told anew from here."""


@dataclass(frozen=True, slots=True)
class MissingGenerations(_Event):
    """Of the ids asked for, those that do not exist."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ForecastsChanged(_Event):
    """Newer forecasts, by generation id, of generations that have not changed otherwise."""

    forecasts: Mapping[str, Forecast]


WatchEvent = GenerationChanged | CaughtUp | Reset | MissingGenerations | ForecastsChanged
