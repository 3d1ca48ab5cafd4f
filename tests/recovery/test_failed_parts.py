"""A part of the gateway that fails because of a bug is started again, and its work continues."""

import logging
from pathlib import Path

import pytest

from gateway.generations.follower import Follower
from gateway.higgsfield.media import MediaSource
from gateway.rpc.transports.health import Health
from tests.support.bugs import fail_once
from tests.support.running import eventually, run, soul
from tests.support.timeline import run_timed


async def test_a_follower_that_fails_because_of_a_bug_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fail_once(monkeypatch, Follower, "_admit")
    async with run_timed(tmp_path) as timed:
        await timed.submit(soul("a fox"))
        await timed.advance(600.0, until=lambda: not timed.live())
        assert timed.live() == {}
    (logged,) = (one for one in caplog.records if one.levelno == logging.CRITICAL)
    assert logged.part == "Follower.run"  # type: ignore[attr-defined]


async def test_connections_that_cannot_be_closed_do_not_keep_the_store_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_once(monkeypatch, MediaSource, "aclose")
    async with run(tmp_path) as running:
        submitted = await running.submit(soul("a fox"))
        with pytest.raises(ZeroDivisionError):
            await running.gateway.stop()
        await running.start_gateway()  # it could not open a store that is in use
        assert (await running.get(submitted.id)).id == submitted.id


async def test_a_task_of_the_ports_that_fails_because_of_a_bug_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    report, reports = Health.set, 0

    def second_fails(self: Health, *, serving: bool) -> None:
        nonlocal reports
        reports += 1
        if reports == 2:
            raise ZeroDivisionError
        report(self, serving=serving)

    monkeypatch.setattr(Health, "set", second_fails)
    monkeypatch.setattr("gateway.process.serving.HEALTH_INTERVAL", 0.01)
    monkeypatch.setattr("gateway.concurrency.RESTART_DELAY", 0.01)
    async with run(tmp_path):
        await eventually(lambda: reports > 2)
    (logged,) = (one for one in caplog.records if one.levelno == logging.CRITICAL)
    assert logged.part == "Ports._follow_health"  # type: ignore[attr-defined]
