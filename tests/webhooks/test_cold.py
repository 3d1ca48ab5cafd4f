"""A gateway that has just started learns from one generation whether webhooks arrive."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.generations.polling.pace import POLL_INTERVAL, WebhookReliability
from gateway.generations.polling.schedule import WEBHOOK_GRACE
from hfgateway.v1 import generation_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.running import eventually, public_url, soul
from tests.support.timeline import Timed, run_timed
from tests.support.webhooks import SECRET

RUNS_FOR, COUNT = 12.0, 30
SIGNED = {"webhook_secret": SECRET, "WEBHOOK_SECRET": SECRET}


async def submit(running: Timed, prompt: str) -> str:
    stored = await running.submit(soul(prompt, wait_for=pb.WAIT_FOR_STORED))
    return stored.id


@pytest.mark.parametrize("pause", [0.0, 2.0])
async def test_one_probe_is_enough(tmp_path: Path, pause: float) -> None:
    """All at once, or one every two seconds."""
    async with run_timed(tmp_path, image_seconds=RUNS_FOR, **SIGNED, **public_url()) as running:
        for number in range(COUNT):
            await submit(running, f"fox {number}")
            await running.advance(pause)
        await running.advance(2 * RUNS_FOR, until=lambda: not running.live())
        await eventually(lambda: not running.live())
        calls = running.ledger.status_calls
        assert calls.total() <= 0.3 * COUNT
        assert sum(times > 1 for times in calls.values()) == 1


async def test_if_no_webhook_arrives_the_others_are_polled_when_the_probe_has_ended(tmp_path: Path) -> None:
    async with run_timed(tmp_path, image_seconds=RUNS_FOR, **SIGNED, **public_url()) as running:
        running.plan(on="webhook", kind="lose", times=1000)
        names = [await submit(running, f"fox {number}") for number in range(COUNT)]
        took = await running.advance(300.0, until=lambda: not running.live())
        assert took <= RUNS_FOR + 2 * POLL_INTERVAL + WEBHOOK_GRACE + 3.0
        ended = [await running.read(name) for name in names]
        assert {one.upstream.last_change_source for one in ended} == {generation_pb2.CHANGE_SOURCE_POLL}


async def test_a_webhook_that_is_slower_than_a_poll_stops_the_polls_that_were_planned(tmp_path: Path) -> None:
    async with run_timed(tmp_path, image_seconds=RUNS_FOR, **SIGNED, **public_url()) as running:
        running.plan(on="webhook", kind="delay", delay=POLL_INTERVAL + 1.0)
        for number in range(COUNT):
            await submit(running, f"fox {number}")
            await running.advance(1.0)
        await running.advance(2 * RUNS_FOR, until=lambda: not running.live())
        assert running.ledger.status_calls.total() <= COUNT / 2


def test_the_probe_is_the_one_that_is_expected_to_end_first() -> None:
    reliability, live = WebhookReliability(), {"video", "image", "later"}
    assert not reliability.decide_reliance("video", 90.0, live.__contains__)
    assert not reliability.decide_reliance("image", 20.0, live.__contains__)
    assert reliability.decide_reliance("video", 90.0, live.__contains__)
    assert reliability.decide_reliance("later", 30.0, live.__contains__)
    live.discard("image")  # it was canceled, so that no webhook is promised
    assert not reliability.decide_reliance("later", 30.0, live.__contains__)
    reliability.arrive = True
    assert all(reliability.decide_reliance(name, 0.0, live.__contains__) for name in live)
    reliability.arrive = False
    assert not any(reliability.decide_reliance(name, 0.0, live.__contains__) for name in live)
