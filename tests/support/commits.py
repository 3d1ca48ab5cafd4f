"""Blocks or fails commits in the thread of the store's writer, immediately before the real COMMIT."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from gateway import failpoints
from tests.support.running import PATIENCE, eventually


class Commits:
    """Controls the commits of these steps. `count` is the number of commits that were reached so far."""

    def __init__(self, steps: tuple[str, ...]) -> None:
        self.count = 0
        self._steps = steps
        self._held: threading.Event | None = None
        self._fail_from = 0

    def hold(self) -> None:
        """Block commits until `release` is called."""
        self._held = threading.Event()

    def release(self) -> None:
        """Release the blocked commits."""
        held, self._held = self._held, None
        if held is not None:
            held.set()

    def fail_from(self, number: int) -> None:
        """Fail commits from this number on, counted from 1. With 0, no commit fails."""
        self._fail_from = number

    async def reached(self, number: int = 1) -> None:
        """Return once `number` commits have been reached."""
        await eventually(lambda: self.count >= number)

    def before(self, step: str) -> None:
        """Replace `failpoints.before`, which the writer calls before each commit."""
        if step not in self._steps:
            return
        self.count += 1
        if self._held is not None:
            assert self._held.wait(PATIENCE), "a test did not release a commit"
        if 0 < self._fail_from <= self.count:
            raise sqlite3.OperationalError("database or disk is full")


@contextmanager
def commits(*steps: str) -> Iterator[Commits]:
    """Control the commits of these steps during the block; release blocked ones at its end."""
    controlled = Commits(steps)
    with patch.object(failpoints, "before", controlled.before):
        try:
            yield controlled
        finally:
            controlled.release()
