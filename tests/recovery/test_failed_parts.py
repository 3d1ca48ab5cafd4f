"""A part of the gateway that fails because of a bug is started again, and its work continues."""

import logging
from pathlib import Path

import pytest

from gateway.generations.follower import Follower
from tests.support.running import soul
from tests.support.timeline import run_timed


async def test_a_follower_that_fails_because_of_a_bug_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    admit, failures = Follower._admit, [ZeroDivisionError()]

    def fails_once(self: Follower) -> None:
        if failures:
            raise failures.pop()
        admit(self)

    monkeypatch.setattr(Follower, "_admit", fails_once)
    async with run_timed(tmp_path) as timed:
        await timed.submit(soul("a fox"))
        await timed.advance(600.0, until=lambda: not timed.live())
        assert timed.live() == {}
    (logged,) = (one for one in caplog.records if one.levelno == logging.CRITICAL)
    assert logged.part == "Follower.run"  # type: ignore[attr-defined]
