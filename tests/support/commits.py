"""Blocks or fails commits in the thread of the store's writer, or loses the responses to writes."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from gateway import failpoints
from gateway.generations.stores import UnknownCommitError
from tests.support.running import WAIT_TIMEOUT, eventually


class Commits:
    """Controls the commits of these steps, right before the real COMMIT.

    `count` is the number of commits that were reached so far.
    """

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
            assert self._held.wait(WAIT_TIMEOUT), "a test did not release a commit"
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


def lose_responses(  # type: ignore[no-untyped-def]
    port: object, method: str, count: int, *, stored: bool, then=None, step: str = "", last=UnknownCommitError
) -> None:
    """Lose the answers to the next writes, of which the first is stored or not.

    `then` is awaited before the last one, which raises `last`.
    """
    write, left = getattr(port, method), count

    async def lossy(*given):  # type: ignore[no-untyped-def]
        nonlocal left
        if not left or (step and step not in given):
            return await write(*given)
        if stored and left == count:
            await write(*given)
        left -= 1
        if not left and then is not None:
            await then()
        raise UnknownCommitError("the answer was lost") if left else last("the last write failed")

    setattr(port, method, lossy)
