"""A history indexed for the checker, and the violations that the checker finds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from harness.history import Line


@dataclass(frozen=True, slots=True)
class Violation:
    """A violated invariant, and the lines of the history that show it."""

    invariant: str
    message: str
    lines: tuple[Line, ...]

    def __str__(self) -> str:
        by_number = {line.number: line for line in self.lines}
        shown = "\n".join(f"    {by_number[number]}" for number in sorted(by_number))
        return f"{self.invariant}: {self.message}\n{shown}"


class IndexedHistory:
    """The lines of a history, indexed by kind, key, prompt, request and generation."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.all = lines
        by_what: defaultdict[str, list[Line]] = defaultdict(list)
        for line in lines:
            by_what[line.what].append(line)
        self._by_what = dict(by_what)

    def of(self, *what: str) -> list[Line]:
        """Return the lines of these kinds in the order of the file."""
        if len(what) == 1:
            return self._by_what.get(what[0], [])
        return sorted((line for one in what for line in self.of(one)), key=lambda line: line.number)

    @cached_property
    def prompts(self) -> dict[str, str]:
        """The prompts by idempotency key."""
        return {line["key"]: line["prompt"] for line in self.of("submit")}

    @cached_property
    def submitted(self) -> dict[str, Line]:
        """The first submission by key."""
        return {line["key"]: line for line in reversed(self.of("submit"))}

    @cached_property
    def shown(self) -> list[Line]:
        """All lines in which a client received a generation."""
        return self.of("submitted", "canceled", "saw", "news", "final")

    @cached_property
    def shown_by_id(self) -> dict[str, list[Line]]:
        """The lines of `shown` by generation id."""
        return grouped(self.shown, "id")

    @cached_property
    def final(self) -> dict[str, Line]:
        """The final state of each generation by its id."""
        return {line["id"]: line for line in self.of("final")}

    @cached_property
    def final_by_key(self) -> dict[str, list[Line]]:
        """The final states by key. A key has more than one generation if a refused submission released it."""
        return grouped(self.of("final"), "key")

    @cached_property
    def charges(self) -> dict[str, list[Line]]:
        """The charges by prompt."""
        return grouped(self.of("charge"), "prompt")

    @cached_property
    def refunds(self) -> dict[str, Line]:
        """The refunds by request."""
        return {line["request"]: line for line in self.of("refund")}

    @cached_property
    def requests(self) -> dict[str, Line]:
        """The final statuses of requests at the sandbox, by request."""
        return {line["request"]: line for line in self.of("request")}

    @cached_property
    def watches(self) -> dict[int, list[Line]]:
        """The lines of the watches of one generation, by the number of the watch."""
        return grouped(self.of("watch", "saw", "watch ended", "watch failed", "watch left"), "watch")

    @cached_property
    def overviews(self) -> dict[int, list[Line]]:
        """The lines of the watches of many, by the number of the watch."""
        kinds = ("overview", "news", "caught up", "reset", "missing", "overview ended", "overview failed")
        return grouped(self.of(*kinds, "overview left"), "watch")

    def unrefunded(self, prompt: str) -> list[Line]:
        """Return the charges of a prompt that were not refunded."""
        return [charge for charge in self.charges.get(prompt, []) if charge["request"] not in self.refunds]


Invariant = Callable[[IndexedHistory], Iterator[Violation]]
"""A pure function from a history to its violations. Its docstring states the invariant."""


def violation(invariant: Invariant, message: str, lines: Iterable[Line]) -> Violation:
    """Return a violation of an invariant."""
    return Violation(invariant.__name__, message, tuple(lines))


def grouped(lines: Iterable[Line], field: str) -> dict[Any, list[Line]]:
    """Group lines by the value of a field."""
    groups: defaultdict[Any, list[Line]] = defaultdict(list)
    for line in lines:
        groups[line[field]].append(line)
    return dict(groups)
