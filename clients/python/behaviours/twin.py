"""A few behaviours of the client without asyncio: what its generated code cannot share with the other's."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from behaviours.stage import PATIENCE, Environment, raises, unique
from behaviours.uploads import png
from hfgateway_client import CaughtUp, Client, Generation, GenerationChanged, Submission, errors, soul, state_name

BEHAVIOURS: dict[str, Callable[[TwinStage], None]] = {}


def behaviour(perform: Callable[[TwinStage], None]) -> Callable[[TwinStage], None]:
    """Register it under the function's name."""
    BEHAVIOURS[perform.__name__] = perform
    return perform


class TwinStage(Environment):
    """The environment of one run, and a client of it."""

    def __init__(self) -> None:
        super().__init__()
        self.client = Client(self.address, api_key=self.api_key)

    def queued(self, prompt: str, **options: Any) -> Submission:
        """One that Higgsfield has accepted and not begun."""
        submission = self.client.submit(soul(prompt), **options)
        assert state_name(submission.generation) == "QUEUED", state_name(submission.generation)
        return submission

    def cut(self) -> None:
        """Reset the connections to the gateway, of which there has to be one."""
        assert self.ask("cut")["connections"] > 0, "there was no connection to cut"

    def charged(self, prompt: str) -> None:
        """It has to have been sent and charged once."""
        answer = self.ask("charges", prompt=prompt)
        assert answer == {"charges": 1, "submissions": 1}, f"{prompt}: {answer}"


@behaviour
def submit_over_cut_connection(stage: TwinStage) -> None:
    prompt = unique("a fox")
    stage.ask("plan", faults=[{"on": "submit", "delay": 1, "prompt": prompt}])
    with ThreadPoolExecutor(1) as threads:
        submitting = threads.submit(stage.client.submit, soul(prompt))
        while stage.ask("charges", prompt=prompt)["submissions"] == 0:
            time.sleep(0.02)
        stage.cut()
        assert submitting.result(PATIENCE).replayed
    stage.charged(prompt)


@behaviour
def list_pages(stage: TwinStage) -> None:
    labels = {"run": unique("five")}
    made = [stage.queued(unique("a fox"), labels=labels).id for _ in range(5)]
    assert [found.id for found in stage.client.list(labels=labels, page_size=2)] == made[::-1]


@behaviour
def watch_resumes_after_cut(stage: TwinStage) -> None:
    submission = stage.queued(unique("a fox"))
    seen: list[Generation] = []
    for changed in stage.client.watch(submission.id, timeout=PATIENCE):
        seen.append(changed)
        if state_name(changed) in ("QUEUED", "IN_PROGRESS"):
            stage.cut()
            stage.ask("advance", seconds=1.5 if state_name(changed) == "QUEUED" else 60)
    assert [changed.revision for changed in seen] == list(range(1, len(seen) + 1))
    assert state_name(seen[-1]) == "COMPLETED"


@behaviour
def watch_stops(stage: TwinStage) -> None:
    submission = stage.queued(unique("a fox"))
    watch = stage.client.watch(submission.id, timeout=PATIENCE)
    next(watch)
    watch.close()
    assert not stage.client.get(submission.id).done


@behaviour
def watch_many_resumes_after_cut(stage: TwinStage) -> None:
    submission = stage.queued(unique("a fox"))
    told: list[str] = []
    for event in stage.client.watch_many(ids=[submission.id], timeout=PATIENCE):
        told.append(state_name(event.generation) if isinstance(event, GenerationChanged) else type(event).__name__)
        if isinstance(event, CaughtUp):
            stage.cut()
            stage.ask("advance", seconds=60)
    assert told == ["QUEUED", "CaughtUp", "COMPLETED"], told


@behaviour
def generate(stage: TwinStage) -> None:
    prompt = unique("a fox")
    seen: list[Generation] = []

    def progress(generation: Generation) -> None:
        seen.append(generation)
        if state_name(generation) == "QUEUED":
            stage.ask("advance", seconds=60)

    result = stage.client.generate(soul(prompt), on_progress=progress, timeout=PATIENCE)
    assert [changed.revision for changed in seen] == list(range(1, len(seen) + 1))
    assert (state_name(result), result.revision) == ("COMPLETED", seen[-1].revision)
    stage.charged(prompt)


@behaviour
def deadline(stage: TwinStage) -> None:
    prompt = unique("a fox")
    stage.ask("plan", faults=[{"on": "estimate", "delay": 60, "prompt": prompt}])
    with Client(stage.address, api_key=stage.api_key, timeout=1.5) as client:
        with raises(errors.DeadlineExceeded, ""):
            client.estimate(soul(prompt))
        assert float(client.estimate(soul(unique("a hare"))).cost.credits) > 0


@behaviour
def upload_bytes(stage: TwinStage) -> None:
    image = png()
    stored = stage.client.upload(image, "image/png", timeout=PATIENCE)
    assert (stored.url.startswith("http"), stored.size) == (True, len(image))
