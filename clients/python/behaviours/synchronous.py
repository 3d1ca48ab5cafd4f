"""Behaviours of the synchronous client, for the code that differs from the asynchronous one."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from behaviours.stage import TIMEOUT, Environment, raises, unique
from behaviours.uploads import png
from hfgateway_client import CaughtUp, Client, Generation, GenerationChanged, Submission, errors, soul, state_name

BEHAVIOURS: dict[str, Callable[[SyncStage], None]] = {}


def behaviour(perform: Callable[[SyncStage], None]) -> Callable[[SyncStage], None]:
    """Register it under the function's name."""
    BEHAVIOURS[perform.__name__] = perform
    return perform


class SyncStage(Environment):
    """The environment of one run, and its client."""

    def __init__(self) -> None:
        super().__init__()
        self.client = Client(self.address, api_key=self.api_key)

    def queued(self, prompt: str, **options: Any) -> Submission:
        """Submit a generation that is QUEUED at Higgsfield."""
        submission = self.client.submit(soul(prompt), **options)
        assert state_name(submission.generation) == "QUEUED", state_name(submission.generation)
        return submission

    def cut(self) -> None:
        """Reset all connections to the gateway. Fails if there is none."""
        assert self.control_sync("cut")["connections"] > 0, "there was no connection to cut"

    def charged(self, prompt: str) -> None:
        """Fail unless Higgsfield has received and charged one submission of the prompt."""
        response = self.control_sync("charges", prompt=prompt)
        assert response == {"charges": 1, "submissions": 1}, f"{prompt}: {response}"


@behaviour
def submit_over_cut_connection(stage: SyncStage) -> None:
    prompt = unique("a fox")
    stage.control_sync("plan", faults=[{"on": "submit", "delay": 5, "prompt": prompt}])
    with ThreadPoolExecutor(1) as threads:
        submitting = threads.submit(stage.client.submit, soul(prompt))
        while stage.control_sync("charges", prompt=prompt)["submissions"] == 0:
            time.sleep(0.02)
        stage.cut()
        assert submitting.result(TIMEOUT).replayed
    stage.charged(prompt)


@behaviour
def list_pages(stage: SyncStage) -> None:
    labels = {"run": unique("five")}
    made = [stage.queued(unique("a fox"), labels=labels).id for _ in range(5)]
    assert [found.id for found in stage.client.list(labels=labels, page_size=2)] == made[::-1]


@behaviour
def watch_resumes_after_cut(stage: SyncStage) -> None:
    submission = stage.queued(unique("a fox"))
    seen: list[Generation] = []
    for changed in stage.client.watch(submission.id, timeout=TIMEOUT):
        seen.append(changed)
        if state_name(changed) in ("QUEUED", "IN_PROGRESS"):
            stage.cut()
            stage.control_sync("advance", seconds=1.5 if state_name(changed) == "QUEUED" else 60)
    assert [changed.revision for changed in seen] == list(range(1, len(seen) + 1))
    assert state_name(seen[-1]) == "COMPLETED"


@behaviour
def watch_stops(stage: SyncStage) -> None:
    submission = stage.queued(unique("a fox"))
    watch = stage.client.watch(submission.id, timeout=TIMEOUT)
    next(watch)
    watch.close()
    assert not stage.client.get(submission.id).done


@behaviour
def watch_many_resumes_after_cut(stage: SyncStage) -> None:
    submission = stage.queued(unique("a fox"))
    seen: list[str] = []
    for event in stage.client.watch_many(ids=[submission.id], timeout=TIMEOUT):
        seen.append(state_name(event.generation) if isinstance(event, GenerationChanged) else type(event).__name__)
        if isinstance(event, CaughtUp):
            stage.cut()
            stage.control_sync("advance", seconds=60)
    assert seen == ["QUEUED", "CaughtUp", "COMPLETED"], seen


@behaviour
def generate(stage: SyncStage) -> None:
    prompt = unique("a fox")
    seen: list[Generation] = []

    def progress(generation: Generation) -> None:
        seen.append(generation)
        if state_name(generation) == "QUEUED":
            stage.control_sync("advance", seconds=60)

    result = stage.client.generate(soul(prompt), on_progress=progress, timeout=TIMEOUT)
    revisions = list(dict.fromkeys(changed.revision for changed in seen))  # a newer forecast repeats one
    assert revisions == list(range(1, len(revisions) + 1))
    assert (state_name(result), result.revision) == ("COMPLETED", seen[-1].revision)
    stage.charged(prompt)


@behaviour
def deadline(stage: SyncStage) -> None:
    prompt = unique("a fox")
    stage.control_sync("plan", faults=[{"on": "estimate", "delay": 60, "prompt": prompt}])
    with Client(stage.address, api_key=stage.api_key, timeout=5.0) as client:  # enough for the second call
        with raises(errors.DeadlineExceeded, ""):
            client.estimate(soul(prompt))
        assert float(client.estimate(soul(unique("a hare"))).cost.credits) > 0


@behaviour
def upload_bytes(stage: SyncStage) -> None:
    image = png()
    stored = stage.client.upload(image, "image/png", timeout=TIMEOUT)
    assert (stored.url.startswith("http"), stored.size) == (True, len(image))
