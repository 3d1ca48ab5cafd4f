"""A part of the gateway that fails because of a bug is started again, and its work continues."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.generations.follower import Follower
from tests.support.running import soul
from tests.support.timeline import run_timed


def failing_once(method: Callable[[Follower], None], failed: list[Follower]) -> Callable[[Follower], None]:
    def fails(self: Follower) -> None:
        if not failed:
            failed.append(self)
            raise ValueError("a bug")
        method(self)

    return fails


async def test_a_follower_that_fails_because_of_a_bug_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failed: list[Follower] = []
    monkeypatch.setattr(Follower, "_admit", failing_once(Follower._admit, failed))
    async with run_timed(tmp_path) as timed:
        assert failed == [timed.gateway._core.follower]
        await timed.submit(soul("a fox"))
        await timed.advance(600.0, until=lambda: not timed.live())
        assert timed.live() == {}
    (logged,) = (one for one in caplog.records if one.levelno == logging.CRITICAL)
    assert logged.part == "Follower.run"  # type: ignore[attr-defined]
