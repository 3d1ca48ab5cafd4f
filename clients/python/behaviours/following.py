"""Get, list, wait and watch, with connections that are reset and gateways that restart."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from behaviours.stage import TIMEOUT, Stage, behaviour, raises, read_to_end, read_until, unique
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
async def adopt(stage: Stage) -> None:
    prompt = unique("a fox")
    request_id = (await stage.control("elsewhere", prompt=prompt))["request_id"]
    first = await stage.client.adopt(request_id, labels={"from": "elsewhere"})
    again = await stage.client.adopt(request_id)
    assert (again.generation.id, first.replayed, again.replayed) == (first.generation.id, False, True)
    await stage.advance(60)
    done = await stage.client.wait(first.generation.id, timeout=TIMEOUT)
    assert (state_name(done), done.adopted, dict(done.labels)) == ("COMPLETED", True, {"from": "elsewhere"})
    found = [generation.id async for generation in stage.client.list(upstream_request_ids=[request_id])]
    assert found == [done.id]
    await stage.charged(prompt, 1, 1)


@behaviour
async def adopt_unknown(stage: Stage) -> None:
    with raises(errors.NotFound, "NOT_FOUND"):
        await stage.client.adopt(str(uuid.uuid4()), api_version="v1")


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
    waiting = asyncio.create_task(stage.client.wait(submission.id, timeout=TIMEOUT))
    await stage.advance(60)
    late = await waiting
    assert (state_name(late), late.done) == ("COMPLETED", True)


@behaviour
async def watch_to_end(stage: Stage) -> None:
    submission = await stage.queued(unique("a fox"))
    seen: list[Generation] = []
    watch = stage.client.watch(submission.id)
    await read_until(watch, lambda changed: state_name(changed) == "QUEUED", seen)
    await stage.advance(1.5)
    await read_until(watch, lambda changed: state_name(changed) == "IN_PROGRESS", seen)
    await stage.advance(60)
    await read_to_end(watch, seen)
    _assert_complete(seen)


@behaviour
async def watch_resumes_after_cut(stage: Stage) -> None:
    await _watch_with_interruptions(stage, stage.cut)


@behaviour
async def watch_resumes_after_restart(stage: Stage) -> None:
    async def restart() -> None:
        await stage.control("restart")

    await _watch_with_interruptions(stage, restart)


async def _watch_with_interruptions(stage: Stage, interrupt: Callable[[], Awaitable[None]]) -> None:
    submission = await stage.queued(unique("a fox"))
    seen: list[Generation] = []
    watch = stage.client.watch(submission.id)
    await read_until(watch, lambda changed: state_name(changed) == "QUEUED", seen)
    await interrupt()
    await stage.advance(1.5)
    await read_until(watch, lambda changed: state_name(changed) == "IN_PROGRESS", seen)
    await interrupt()
    await stage.advance(60)
    await read_to_end(watch, seen)
    _assert_complete(seen)


def _assert_complete(seen: list[Generation]) -> None:
    """Fail unless every revision was seen exactly once and in order, and the last one is COMPLETED with an output."""
    assert [changed.revision for changed in seen] == list(range(1, len(seen) + 1)), seen
    assert state_name(seen[-1]) == "COMPLETED"
    assert seen[-1].outputs[0].url


@behaviour
async def watch_stops(stage: Stage) -> None:
    submission = await stage.queued(unique("a fox"))
    watch = stage.client.watch(submission.id)
    await read_until(watch, lambda changed: state_name(changed) == "QUEUED", [])
    async with asyncio.timeout(TIMEOUT):
        await watch.aclose()

    stopped = asyncio.Event()

    async def follow() -> None:
        async with aclosing(stage.client.watch(submission.id)) as changes:
            async for _ in changes:
                stopped.set()

    following = asyncio.create_task(follow())
    await stopped.wait()
    following.cancel()
    async with asyncio.timeout(TIMEOUT):
        (ended,) = await asyncio.gather(following, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError), ended

    await stage.advance(60)
    assert state_name(await stage.until(submission.id, "COMPLETED")) == "COMPLETED"


@behaviour
async def watch_many(stage: Stage) -> None:
    await _watch_two(stage, unknown=str(uuid.uuid4()), interrupt=None)


@behaviour
async def watch_many_resumes_after_cut(stage: Stage) -> None:
    await _watch_two(stage, unknown="", interrupt=stage.cut)


async def _watch_two(stage: Stage, unknown: str, interrupt: Callable[[], Awaitable[None]] | None) -> None:
    ids = [(await stage.queued(unique("a fox"))).id for _ in range(2)]
    watched = [*ids, unknown] if unknown else ids
    before = {id: (await stage.client.get(id)).revision for id in ids}
    seen: list[WatchEvent] = []
    watch = stage.client.watch_many(ids=watched)
    await read_until(watch, lambda event: isinstance(event, CaughtUp), seen)
    if interrupt:
        await interrupt()
    await stage.advance(1.5)
    for _ in ids:
        await read_until(watch, _has_state("IN_PROGRESS"), seen)
    if interrupt:
        await interrupt()
    await stage.advance(60)
    await read_to_end(watch, seen)

    assert sum(isinstance(event, CaughtUp) for event in seen) == 1, seen
    missing = [event.ids for event in seen if isinstance(event, MissingGenerations)]
    assert missing == ([(unknown,)] if unknown else []), missing
    for id in ids:
        changes = _changes(seen, id)
        revisions = [changed.revision for changed in changes]
        assert revisions == list(range(before[id], before[id] + len(changes))), revisions
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
        caught_up = await read_until(watch, lambda event: isinstance(event, CaughtUp), first)
    assert caught_up.resume_token
    await stage.advance(60)
    await stage.until(submission.id, "COMPLETED")

    second: list[WatchEvent] = []
    await read_to_end(stage.client.watch_many(ids=[submission.id], resume_token=caught_up.resume_token), second)
    last = _changes(first, submission.id)[-1].revision
    revisions = [changed.revision for changed in _changes(second, submission.id)]
    assert revisions == list(range(last + 1, last + 1 + len(revisions))), revisions
    assert state_name(_changes(second, submission.id)[-1]) == "COMPLETED"


@behaviour
async def generate(stage: Stage) -> None:
    prompt = unique("a fox")
    result, seen = await _generated(stage, prompt)
    assert isinstance(result, Generation), result
    revisions = list(dict.fromkeys(changed.revision for changed in seen))  # a newer forecast repeats one
    assert revisions == list(range(1, len(revisions) + 1))
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
    """Run `generate`, and return its result or its error, and the generations passed to `on_progress`."""
    seen: list[Generation] = []
    queued = asyncio.Event()

    def progress(generation: Generation) -> None:
        seen.append(generation)
        if state_name(generation) == "QUEUED":
            queued.set()

    generating = asyncio.create_task(stage.client.generate(soul(prompt), on_progress=progress, timeout=TIMEOUT))
    async with asyncio.timeout(TIMEOUT):
        await queued.wait()
    await stage.advance(60)
    (result,) = await asyncio.gather(generating, return_exceptions=True)
    return result, seen
