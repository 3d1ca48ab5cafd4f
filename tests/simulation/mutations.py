"""Known defects, put back into the code as it is: the simulation has to find each of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

from gateway.generations import agenda
from gateway.generations.admission import Admission
from gateway.generations.finality import Finality
from gateway.generations.model import Generation

Patch = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Mutation:
    """A defect; `words` are what it is found by; `themes` those of the seeds that can show it, from `first` on."""

    name: str
    patch: Patch
    words: str
    first: int
    themes: tuple[str, ...] = ()


MUTATIONS: list[Mutation] = []


def mutation(
    words: str, first: int, *themes: str
) -> Callable[[Callable[[], Iterator[None]]], Callable[[], Iterator[None]]]:
    """Add what it decorates: a generator that puts the defect in, and takes it out again."""

    def add(patch: Callable[[], Iterator[None]]) -> Callable[[], Iterator[None]]:
        MUTATIONS.append(Mutation(patch.__name__, contextlib.contextmanager(patch), words, first, themes))
        return patch

    return add


def replaced(target: Any, name: str, value: Any) -> AbstractContextManager[Any]:
    """Another value in the place of an attribute."""
    return mock.patch.object(target, name, value)


# -- What a calendar that was set wrong used to do ---------------------------------------------------------------------


@mutation("of a start_timeout of", 320, "wrong_calendar")
def waits_end_by_the_calendar() -> Iterator[None]:
    """Edge 8: a calendar that is ahead ends waits."""

    async def is_over(self: Finality, since: float, seconds: float, *, unanswered: bool = False) -> bool:
        return self._clock.moment().steady - since >= seconds

    with (
        replaced(Finality, "is_over", is_over),
        replaced(Finality, "seen_from", lambda self, since: self._clock.moment()),
    ):
        yield


# -- What Higgsfield's answers used to do ------------------------------------------------------------------------------


@mutation("charged 2 times", 46)
def what_went_to_v1_is_repeated() -> Iterator[None]:
    """A submission without a key is sent again."""
    real = agenda.may_repeat

    def may_repeat(generation: Generation, *arguments: Any, **named: Any) -> bool:
        as_v2 = replace(generation, spec=replace(generation.spec, api="v2"))
        return real(as_v2, *arguments, **named)

    with replaced(agenda, "may_repeat", may_repeat):
        yield


@mutation("something goes round in circles", 1)
def a_full_room_is_asked_again_at_once() -> Iterator[None]:
    """The follower goes round without a pause while Higgsfield is full. Found by the simulation."""
    real = Admission.wakes_at

    def wakes_at(self: Admission, now: float) -> float | None:
        if self._queues and self._closed_by is not None and self._probe is None:
            return max(self._opens_at, now)
        return real(self, now)

    with replaced(Admission, "wakes_at", wakes_at):
        yield
