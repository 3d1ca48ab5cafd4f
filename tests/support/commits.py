"""Commits that take as long as a test wants, or fail: in the thread that writes, right before the real COMMIT."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from gateway import failpoints
from tests.support.running import PATIENCE, eventually


class Commits:
    """The commits of some steps. `came` counts them."""

    def __init__(self, steps: tuple[str, ...]) -> None:
        self.came = 0
        self._steps = steps
        self._held: threading.Event | None = None
        self._fail_from = 0

    def hold(self) -> None:
        """Let the next ones wait."""
        self._held = threading.Event()

    def let_go(self) -> None:
        """Let them go on."""
        held, self._held = self._held, None
        if held is not None:
            held.set()

    def fail_from(self, number: int) -> None:
        """Let those from this one on fail, until told otherwise by 0."""
        self._fail_from = number

    async def reached(self, number: int = 1) -> None:
        """Return once so many have come."""
        await eventually(lambda: self.came >= number)

    def before(self, step: str) -> None:
        """The place in the writer's thread."""
        if step not in self._steps:
            return
        self.came += 1
        if self._held is not None:
            assert self._held.wait(PATIENCE), "a test forgot a commit that it holds"
        if 0 < self._fail_from <= self.came:
            raise sqlite3.OperationalError("database or disk is full")


@contextmanager
def commits(*steps: str) -> Iterator[Commits]:
    """Have a say in the commits of some steps."""
    said = Commits(steps)
    with patch.object(failpoints, "before", said.before):
        try:
            yield said
        finally:
            said.let_go()
