"""Delay or fail commits in the writer's thread, immediately before the real COMMIT."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from gateway import failpoints
from tests.support.running import PATIENCE, eventually


class Commits:
    """Controls the commits of some steps. `came` counts them."""

    def __init__(self, steps: tuple[str, ...]) -> None:
        self.came = 0
        self._steps = steps
        self._held: threading.Event | None = None
        self._fail_from = 0

    def hold(self) -> None:
        """Block the following commits."""
        self._held = threading.Event()

    def let_go(self) -> None:
        """Release the blocked commits."""
        held, self._held = self._held, None
        if held is not None:
            held.set()

    def fail_from(self, number: int) -> None:
        """Fail every commit from this number on; 0 stops that."""
        self._fail_from = number

    async def reached(self, number: int = 1) -> None:
        """Return once `number` commits have been reached."""
        await eventually(lambda: self.came >= number)

    def before(self, step: str) -> None:
        """Replace the failpoint in the writer's thread."""
        if step not in self._steps:
            return
        self.came += 1
        if self._held is not None:
            assert self._held.wait(PATIENCE), "a test did not release a commit"
        if 0 < self._fail_from <= self.came:
            raise sqlite3.OperationalError("database or disk is full")


@contextmanager
def commits(*steps: str) -> Iterator[Commits]:
    """Control the commits of some steps."""
    controlled = Commits(steps)
    with patch.object(failpoints, "before", controlled.before):
        try:
            yield controlled
        finally:
            controlled.let_go()
