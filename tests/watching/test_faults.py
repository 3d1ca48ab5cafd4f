"""Watches across cut connections and restarts, checked by everything that the watchers received."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from harness.history import read
from hfgateway.v1.generation_pb2 import Generation
from hfgateway_client import AsyncClient
from tests.support.running import WAIT_TIMEOUT
from tests.watching.stage import LABELS, Stage, changes_received, found_in, is_marker, stage

CUT_EVERY = 0.2
CUTS = 20
SLOW = 4
WATCHES = 1000
CALLS_ON_A_CONNECTION = 90


async def overseen(on: Stage) -> None:
    """Watch all future generations."""
    access = await on.access()
    on.watch(
        on.watchers.client_watch_many(access, labels=LABELS, is_last=is_marker),
        on.watchers.bare_watch_many(access, labels=LABELS, is_last=is_marker),
    )


async def watched(on: Stage, generations: list[Generation]) -> None:
    """Watch each generation from its start and from its current revision, by both clients; and all of them by id."""
    access = await on.access()
    ids = [generation.id for generation in generations]
    for generation in generations:
        on.watch(
            on.watchers.client_watch(access, generation.id),
            on.watchers.bare_watch(access, generation.id),
            on.watchers.client_watch(access, generation.id, generation.revision),
            on.watchers.bare_watch(access, generation.id, generation.revision),
        )
    on.watch(on.watchers.client_watch_many(access, ids=ids), on.watchers.bare_watch_many(access, ids=ids))


async def test_watches_cut_every_200_ms_lose_no_change(tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    async with stage(history) as on:
        await overseen(on)
        generations = await on.submit(6)
        await watched(on, generations)
        cut = 0
        for _ in range(CUTS):
            await asyncio.sleep(CUT_EVERY)
            cut += on.cut()
        await on.more_is_received(100)
        async with AsyncClient(on.gateway.address) as client:
            # A busy machine makes fewer changes in the time of the cuts.
            while (await client.get(generations[0].id)).revision <= CUTS:
                await on.more_is_received(1)
        await on.all_end()
        await on.finish()
    assert found_in(history) == []
    assert cut >= CUTS
    assert max(line["revision"] for line in changes_received(history)) > CUTS


async def test_restarts_lose_no_change_and_take_none_back(tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    async with stage(history) as on:
        await overseen(on)
        await watched(on, await on.submit(6))
        for how in ("kill", "stop", "kill", "stop"):
            await on.more_is_received(100)
            await on.end(how)
            await on.start()
        await on.more_is_received(100)
        await on.all_end()
        await on.finish()
    assert found_in(history) == []


async def test_slow_readers_delay_no_others_and_use_little_memory(tmp_path: Path) -> None:
    history, prompt = tmp_path / "history.jsonl", "a lighthouse " * 1600
    released = asyncio.Event()
    async with stage(history) as on:
        generations = await on.submit(20, prompt)
        quick = await on.access()
        in_time = on.watch(*(on.watchers.bare_watch(quick, generation.id) for generation in generations))

        async def pauses() -> None:
            enough = on.watchers.received + 200
            while on.watchers.received < enough and not released.is_set():
                await asyncio.sleep(0.02)

        wanted: dict[str, Any] = {
            "labels": LABELS,
            "is_last": is_marker,
            "include_input": True,
            "after_message": pauses,
        }
        ways = [await on.access() for _ in range(SLOW)]
        slow = on.watch(*(on.watchers.bare_watch_many(access, **wanted) for access in ways))
        await on.more_is_received(500)
        before = on.memory()
        await on.more_is_received(1000)
        grown = on.memory() - before
        await on.all_end()
        await asyncio.wait(in_time, timeout=WAIT_TIMEOUT)
        assert all(task.done() for task in in_time)
        assert not any(task.done() for task in slow)
        released.set()
        await on.finish()
    assert found_in(history) == []
    assert grown < 0.2 * 1000 * SLOW * len(prompt)


async def test_a_thousand_watches_resume_after_a_restart_and_end_once(tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    async with stage(history, changing=False) as on:
        generations = await on.submit(20)
        accesses = [await on.access() for _ in range(-(-WATCHES // CALLS_ON_A_CONNECTION))]
        for index in range(WATCHES):
            on.watch(on.watchers.bare_watch(accesses[index % len(accesses)], generations[index % 20].id))
        await on.more_is_received(2 * WATCHES)
        await on.end("stop")
        await on.start()
        await on.all_end()
        await on.finish()
    assert found_in(history) == []
    assert sum(line.what == "watch ended" for line in read(history)) == WATCHES
