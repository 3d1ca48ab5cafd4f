"""Known defects, put back into the code as it is: the simulation has to find each of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from unittest import mock

Patch = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Mutation:
    """A defect; `themes` are those of the seeds that can show it, `words` what it is found by."""

    name: str
    patch: Patch
    words: str
    themes: tuple[str, ...] = ()


MUTATIONS: list[Mutation] = []


def mutation(words: str, *themes: str) -> Callable[[Callable[[], Iterator[None]]], Callable[[], Iterator[None]]]:
    """Add what it decorates: a generator that puts the defect in, and takes it out again."""

    def add(patch: Callable[[], Iterator[None]]) -> Callable[[], Iterator[None]]:
        MUTATIONS.append(Mutation(patch.__name__, contextlib.contextmanager(patch), words, themes))
        return patch

    return add


def replaced(target: Any, name: str, value: Any) -> AbstractContextManager[Any]:
    """Another value in the place of an attribute."""
    return mock.patch.object(target, name, value)
