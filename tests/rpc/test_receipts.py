"""Responses to submissions only prove that a request exists; only a status call reports its state."""

from __future__ import annotations

import asyncio

import pytest

from gateway.generations import due_steps
from tests.rpc.conftest import Start
from tests.support.running import WAIT_TIMEOUT, name_of, sized, soul

RARELY = {"POLL_MIN": "600", "POLL_MAX": "600"}
"""Settings under which no poll helps within the patience of a test, except one that is made at once."""


@pytest.fixture
def repeats_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due_steps, "PAUSE_AFTER_SILENCE", 0.0)


@pytest.mark.usefixtures("repeats_at_once")
@pytest.mark.parametrize(("prompt", "state"), [("a fox", "COMPLETED"), ("a fox [nsfw]", "NSFW")])
async def test_a_repeat_that_says_queued_shows_the_end_at_once(start: Start, prompt: str, state: str) -> None:
    running = await start(**RARELY, queue_seconds=0.0, image_seconds=0.0)
    running.plan(on="submit", kind="lost", processed=True)
    submitted = await running.submit(soul(prompt))
    ended = await running.until(submitted.id, state)
    assert name_of(ended) == state
    assert [one.replayed for one in running.ledger.submissions] == [False, True]
    assert running.ledger.status_calls.total() == 1
    assert len(running.ledger.charges) == 1


@pytest.mark.parametrize("said", ["completed", "failed", "in_progress", "resting"])
async def test_the_status_in_a_response_to_a_submission_is_not_believed(start: Start, said: str) -> None:
    running = await start(**RARELY)
    running.plan(on="submit", patch={"status": said, "images": [{"url": "https://files.example/a.png"}]})
    submitted = await running.submit(soul("a fox"))
    assert (name_of(submitted), submitted.upstream.status, len(submitted.outputs)) == ("QUEUED", said, 0)
    async with asyncio.timeout(WAIT_TIMEOUT):
        async for seen in running.history(submitted.id):
            assert name_of(seen) in ("PENDING", "QUEUED")
            if seen.upstream.status == "queued":
                break


async def test_the_jobs_in_a_response_to_a_submission_are_shown_as_queued(start: Start) -> None:
    running = await start(**RARELY)
    job = {
        "id": "j",
        "status": "completed",
        "results": {"raw": {"type": "image", "url": "https://files.example/a.png"}},
    }
    running.plan(on="submit", patch={"jobs": [job]})
    submitted = await running.submit(sized("a fox"))
    assert name_of(submitted) == "QUEUED"
    assert [(output.state, output.url) for output in submitted.outputs] == [(submitted.state, "")]
