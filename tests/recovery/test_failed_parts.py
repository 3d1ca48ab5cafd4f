"""A part of the gateway that fails because of a bug is started again, and its work continues."""

import logging
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.generations.follower import Follower
from gateway.generations.model import GenerationId, PreparedRequest
from gateway.generations.polling.rate_limit import FAILURES_IN_A_ROW
from gateway.higgsfield.client import HiggsfieldClient
from gateway.higgsfield.media import MediaSource
from gateway.rpc.transports.health import Health
from gateway.store.reads import GenerationReads
from hfgateway.v1 import generation_service_pb2 as pb
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


async def test_a_submission_that_fails_because_of_a_bug_is_repeated_after_a_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As the log says. It is the probe of a closed gate, which opens when the submission succeeds."""
    read, tried = GenerationReads.request, list[float]()

    async def fails_at_first(self: GenerationReads, generation_id: GenerationId) -> PreparedRequest | None:
        tried.append(timed.gateway._core.clock.moment().steady)
        if len(tried) <= 3:
            raise ZeroDivisionError
        return await read(self, generation_id)

    async with run_timed(tmp_path) as timed:
        timed.plan(on="submit", kind="429", headers={"Retry-After": "60"})
        await timed.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
        await timed.wait_until_idle()
        monkeypatch.setattr(GenerationReads, "request", fails_at_first)
        await timed.advance(600.0, until=lambda: not timed.live())
        assert timed.live() == {}
        assert len(timed.ledger.charges) == 1
    assert len(tried) == 4
    assert all(later - earlier >= 60.0 for earlier, later in pairwise(tried))
    assert caplog.text.count("internal error in a step of a generation; will retry in 60 s") == 3


async def test_polls_continue_after_a_bug_in_the_probe_of_an_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with run_timed(tmp_path) as timed:
        await timed.submit(soul("a fox"))
        following = timed.gateway._core.follower
        (entry,) = timed.gateway._core.feed.entries.values()
        poll_limit = following._poll_limits[entry.generation.spec.account]
        for _ in range(FAILURES_IN_A_ROW):
            poll_limit.failed(following._clock.moment().steady)
        fail_once(monkeypatch, HiggsfieldClient, "status")
        await timed.advance(1200.0, until=lambda: not timed.live())
        assert timed.live() == {}
    assert "internal error in a step of a generation" in caplog.text


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
