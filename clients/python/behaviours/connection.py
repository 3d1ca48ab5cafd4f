"""Connections that die or move, many calls at the same time, and closed clients."""

from __future__ import annotations

import asyncio

from behaviours.stage import TIMEOUT, Stage, behaviour, raises, read_to_end, read_until, unique
from hfgateway_client import AsyncClient, Generation, errors, state_name


@behaviour
async def dead_connection(stage: Stage) -> None:
    submission = await stage.queued(unique("a fox"))
    assert (await stage.control("swallow"))["connections"] > 0
    assert (await stage.client.get(submission.id)).id == submission.id


@behaviour
async def moved_name(stage: Stage) -> None:
    submission = await stage.queued(unique("a fox"))
    async with stage.another(address=stage.named_address, insecure=True) as client:
        seen: list[Generation] = []
        watch = client.watch(submission.id)
        await read_until(watch, lambda changed: state_name(changed) == "QUEUED", seen)
        await stage.control("move")
        await stage.advance(60)
        await read_to_end(watch, seen)
        assert [changed.revision for changed in seen] == list(range(1, len(seen) + 1))
        assert state_name(await client.get(submission.id)) == "COMPLETED"


@behaviour
async def concurrent_calls(stage: Stage) -> None:
    submission = await stage.queued(unique("a fox"))
    async with asyncio.timeout(TIMEOUT), asyncio.TaskGroup() as tasks:
        watches = [tasks.create_task(_watched(stage.client, submission.id)) for _ in range(11)]
        calls = [tasks.create_task(stage.client.get(submission.id)) for _ in range(11)]
        for call in calls:
            assert (await call).id == submission.id
        await stage.advance(60)
    assert {state_name(watch.result()) for watch in watches} == {"COMPLETED"}


async def _watched(client: AsyncClient, generation_id: str) -> Generation:
    *_, last = [changed async for changed in client.watch(generation_id)]
    return last


@behaviour
async def closed_client(stage: Stage) -> None:
    submission = await stage.queued(unique("a fox"))
    client = stage.another()
    watch = client.watch(submission.id)
    await anext(watch)
    waiting = asyncio.create_task(client.wait(submission.id))
    await client.get(submission.id)  # sent after the wait, which is therefore in progress
    await client.close()
    async with asyncio.timeout(TIMEOUT):
        with raises(errors.ClientClosed, ""):
            await waiting
        with raises(errors.ClientClosed, ""):
            async for _ in watch:
                pass
        with raises(errors.ClientClosed, ""):
            await client.get(submission.id)
    assert state_name(await stage.client.get(submission.id)) == "QUEUED"
