"""What judges work with: a history sorted by what they ask of it, and the violations that they find."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from harness.history import Line


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken, and the lines of the history that show it."""

    invariant: str
    message: str
    lines: tuple[Line, ...]

    def __str__(self) -> str:
        by_number = {line.number: line for line in self.lines}
        shown = "\n".join(f"    {by_number[number]}" for number in sorted(by_number))
        return f"{self.invariant}: {self.message}\n{shown}"


class Lines:
    """A history, sorted for those who judge it."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.all = lines
        by_what: defaultdict[str, list[Line]] = defaultdict(list)
        for line in lines:
            by_what[line.what].append(line)
        self._by_what = dict(by_what)

    def of(self, *what: str) -> list[Line]:
        """The lines of one kind or several, in order."""
        if len(what) == 1:
            return self._by_what.get(what[0], [])
        return sorted((line for one in what for line in self.of(one)), key=lambda line: line.number)

    @cached_property
    def prompts(self) -> dict[str, str]:
        """The prompt of every key."""
        return {line["key"]: line["prompt"] for line in self.of("submit")}

    @cached_property
    def submitted(self) -> dict[str, Line]:
        """The first submission under each key."""
        return {line["key"]: line for line in reversed(self.of("submit"))}

    @cached_property
    def told(self) -> list[Line]:
        """Every line in which the gateway showed a generation to somebody."""
        return self.of("submitted", "canceled", "saw", "news", "final")

    @cached_property
    def told_of(self) -> dict[str, list[Line]]:
        """The same by generation."""
        return grouped(self.told, "id")

    @cached_property
    def final(self) -> dict[str, Line]:
        """What the gateway said of each generation at the end."""
        return {line["id"]: line for line in self.of("final")}

    @cached_property
    def of_key(self) -> dict[str, list[Line]]:
        """The same by key: more than one where a refusal has freed it."""
        return grouped(self.of("final"), "key")

    @cached_property
    def charges(self) -> dict[str, list[Line]]:
        """The charges of every prompt."""
        return grouped(self.of("charge"), "prompt")

    @cached_property
    def refunds(self) -> dict[str, Line]:
        """The refund of every request that has one."""
        return {line["request"]: line for line in self.of("refund")}

    @cached_property
    def requests(self) -> dict[str, Line]:
        """What became of every request at the sandbox."""
        return {line["request"]: line for line in self.of("request")}

    @cached_property
    def watches(self) -> dict[int, list[Line]]:
        """The lines of every watch of one generation."""
        return grouped(self.of("watch", "saw", "watch ended", "watch failed", "watch left"), "watch")

    @cached_property
    def overviews(self) -> dict[int, list[Line]]:
        """The lines of every watch of many."""
        kinds = ("overview", "news", "caught up", "reset", "missing", "overview ended", "overview failed")
        return grouped(self.of(*kinds, "overview left"), "watch")

    def unrefunded(self, prompt: str) -> list[Line]:
        """The charges of a prompt that were not given back."""
        return [charge for charge in self.charges.get(prompt, []) if charge["request"] not in self.refunds]


Invariant = Callable[[Lines], Iterator[Violation]]
"""A pure function from a history to its violations; what it demands is its docstring."""


def violation(invariant: Invariant, message: str, lines: Iterable[Line]) -> Violation:
    """A violation of that invariant."""
    return Violation(invariant.__name__, message, tuple(lines))


def grouped(lines: Iterable[Line], field: str) -> dict[Any, list[Line]]:
    """Lines by the value of a field."""
    groups: defaultdict[Any, list[Line]] = defaultdict(list)
    for line in lines:
        groups[line[field]].append(line)
    return dict(groups)
