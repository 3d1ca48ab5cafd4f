"""Reading, waiting and watching, over connections that are cut and gateways that are restarted."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from behaviours.stage import PATIENCE, Stage, behaviour, nth, raises, rest, unique
from hfgateway_client import (
    CaughtUp,
    Generation,
    GenerationChanged,
    MissingGenerations,
    WatchEvent,
    errors,
    soul,
    state_name,
)


@behaviour
async def get(stage: Stage) -> None:
    prompt = unique("a fox")
    submission = await stage.queued(prompt)
    generation = await stage.client.get(submission.id)
    assert (generation.id, generation.input.soul.prompt) == (submission.id, prompt)


@behaviour
async def get_unknown(stage: Stage) -> None:
    with raises(errors.NotFound, "NOT_FOUND"):
        await stage.client.get(str(uuid.uuid4()))


@behaviour
async def list_pages(stage: Stage) -> None:
    labels = {"run": unique("five")}
    made = [(await stage.queued(unique("a fox"), labels=labels)).id for _ in range(5)]
    found = [generation.id async for generation in stage.client.list(labels=labels, page_size=2)]
    assert found == made[::-1]


@behaviour
async def wait(stage: Stage) -> None:
    submission = await stage.queued(unique("a fox"))
    early = await stage.client.wait(submission.id, timeout=0.2)
    assert (early.id, early.done) == (submission.id, False)
    waiting = asyncio.create_task(stage.client.wait(submission.id, timeout=PATIENCE))
    await stage.advance(60)
    late = await waiting
    assert (state_name(late), late.done) == ("COMPLETED", True)


@behaviour
async def watch_to_end(stage: Stage) -> None:
    submission = await stage.queued(unique("a fox"))
    seen: list[Generation] = []
    watch = stage.client.watch(submission.id)
    await nth(watch, lambda changed: state_name(changed) == "QUEUED", seen)
    await stage.advance(1.5)
    await nth(watch, lambda changed: state_name(changed) == "IN_PROGRESS", seen)
    await stage.advance(60)
    await rest(watch, seen)
    _whole(seen)


@behaviour
async def watch_resumes_after_cut(stage: Stage) -> None:
    await _watch_over(stage, stage.cut)


@behaviour
async def watch_resumes_after_restart(stage: Stage) -> None:
    async def restart() -> None:
        await stage.control("restart")

    await _watch_over(stage, restart)


async def _watch_over(stage: Stage, trouble: Callable[[], Awaitable[None]]) -> None:
    submission = await stage.queued(unique("a fox"))
    seen: list[Generation] = []
    watch = stage.client.watch(submission.id)
    await nth(watch, lambda changed: state_name(changed) == "QUEUED", seen)
    await trouble()
    await stage.advance(1.5)
    await nth(watch, lambda changed: state_name(changed) == "IN_PROGRESS", seen)
    await trouble()
    await stage.advance(60)
    await rest(watch, seen)
    _whole(seen)


def _whole(seen: list[Generation]) -> None:
    """Every revision once and in order, to COMPLETED with its outputs."""
    assert [changed.revision for changed in seen] == list(range(1, len(seen) + 1)), seen
    assert state_name(seen[-1]) == "COMPLETED"
    assert seen[-1].outputs[0].url


@behaviour
async def watch_stops(stage: Stage) -> None:
    submission = await stage.queued(unique("a fox"))
    watch = stage.client.watch(submission.id)
    await nth(watch, lambda changed: state_name(changed) == "QUEUED", [])
    async with asyncio.timeout(PATIENCE):
        await watch.aclose()

    stopped = asyncio.Event()

    async def follow() -> None:
        async with aclosing(stage.client.watch(submission.id)) as changes:
            async for _ in changes:
                stopped.set()

    following = asyncio.create_task(follow())
    await stopped.wait()
    following.cancel()
    async with asyncio.timeout(PATIENCE):
        (ended,) = await asyncio.gather(following, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError), ended

    await stage.advance(60)
    assert state_name(await stage.until(submission.id, "COMPLETED")) == "COMPLETED"


@behaviour
async def watch_many(stage: Stage) -> None:
    await _watch_two(stage, unknown=str(uuid.uuid4()), trouble=None)


@behaviour
async def watch_many_resumes_after_cut(stage: Stage) -> None:
    await _watch_two(stage, unknown="", trouble=stage.cut)


async def _watch_two(stage: Stage, unknown: str, trouble: Callable[[], Awaitable[None]] | None) -> None:
    ids = [(await stage.queued(unique("a fox"))).id for _ in range(2)]
    asked = [*ids, unknown] if unknown else ids
    before = {one: (await stage.client.get(one)).revision for one in ids}
    seen: list[WatchEvent] = []
    watch = stage.client.watch_many(ids=asked)
    await nth(watch, lambda event: isinstance(event, CaughtUp), seen)
    if trouble:
        await trouble()
    await stage.advance(1.5)
    for _ in ids:
        await nth(watch, _has_state("IN_PROGRESS"), seen)
    if trouble:
        await trouble()
    await stage.advance(60)
    await rest(watch, seen)

    assert sum(isinstance(event, CaughtUp) for event in seen) == 1, seen
    missing = [event.ids for event in seen if isinstance(event, MissingGenerations)]
    assert missing == ([(unknown,)] if unknown else []), missing
    for one in ids:
        changes = _changes(seen, one)
        revisions = [changed.revision for changed in changes]
        assert revisions == list(range(before[one], before[one] + len(changes))), revisions
        assert state_name(changes[-1]) == "COMPLETED"


def _changes(seen: list[WatchEvent], generation_id: str) -> list[Generation]:
    changes = [event.generation for event in seen if isinstance(event, GenerationChanged)]
    return [changed for changed in changes if changed.id == generation_id]


def _has_state(state: str) -> Callable[[WatchEvent], bool]:
    return lambda event: isinstance(event, GenerationChanged) and state_name(event.generation) == state


@behaviour
async def watch_many_resume_token(stage: Stage) -> None:
    submission = await stage.queued(unique("a fox"))
    first: list[WatchEvent] = []
    async with aclosing(stage.client.watch_many(ids=[submission.id])) as watch:
        told = await nth(watch, lambda event: isinstance(event, CaughtUp), first)
    assert told.resume_token
    await stage.advance(60)
    await stage.until(submission.id, "COMPLETED")

    second: list[WatchEvent] = []
    await rest(stage.client.watch_many(ids=[submission.id], resume_token=told.resume_token), second)
    last = _changes(first, submission.id)[-1].revision
    revisions = [changed.revision for changed in _changes(second, submission.id)]
    assert revisions == list(range(last + 1, last + 1 + len(revisions))), revisions
    assert state_name(_changes(second, submission.id)[-1]) == "COMPLETED"


@behaviour
async def generate(stage: Stage) -> None:
    prompt = unique("a fox")
    result, seen = await _generated(stage, prompt)
    assert isinstance(result, Generation), result
    assert [changed.revision for changed in seen] == list(range(1, len(seen) + 1))
    assert (state_name(result), result.revision) == ("COMPLETED", seen[-1].revision)
    assert result.outputs[0].url
    await stage.charged(prompt, 1, 1)


@behaviour
async def generate_failed(stage: Stage) -> None:
    prompt = unique("a fox [nsfw]")
    error, seen = await _generated(stage, prompt)
    assert isinstance(error, errors.GenerationModerated), error
    assert error.reason == "MODERATED"
    assert (error.generation.id, state_name(error.generation)) == (seen[0].id, "NSFW")
    await stage.charged(prompt, 0, 1)


async def _generated(stage: Stage, prompt: str) -> tuple[object, list[Generation]]:
    """What became of `generate`, or its error, and all the progress that was seen."""
    seen: list[Generation] = []
    queued = asyncio.Event()

    def progress(generation: Generation) -> None:
        seen.append(generation)
        if state_name(generation) == "QUEUED":
            queued.set()

    generating = asyncio.create_task(stage.client.generate(soul(prompt), on_progress=progress, timeout=PATIENCE))
    async with asyncio.timeout(PATIENCE):
        await queued.wait()
    await stage.advance(60)
    (result,) = await asyncio.gather(generating, return_exceptions=True)
    return result, seen
