"""A change that is committed and not announced yet: what one call has shown, no later call takes back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from gateway import failpoints
from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.running import PATIENCE, Running, name_of, run, soul


@asynccontextmanager
async def ended_unannounced(running: Running, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[threading.Event]:
    """Let the generations end, and hold the writer after the COMMIT of the first end. Yields the event to go on."""
    committed, announce = threading.Event(), threading.Event()

    def hold(step: str) -> None:
        if step.startswith("reported"):
            committed.set()
            announce.wait(PATIENCE)

    with monkeypatch.context() as patched:
        patched.setattr(failpoints, "after", hold)
        running.clock.advance(60)
        assert await asyncio.to_thread(committed.wait, PATIENCE)
        try:
            yield announce
        finally:
            announce.set()


async def test_a_watch_shows_no_change_before_other_calls_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with run(tmp_path) as running:
        fox = await running.submit(soul("a fox"))
        watches = running.gateway._core.watches
        async with (
            ended_unannounced(running, monkeypatch) as announce,
            aclosing(watches.one("default", fox.id, 0, PATIENCE, lambda: None)) as watch,
        ):
            for revision in range(1, fox.revision + 1):
                seen = await anext(watch)
                assert seen is not None
                assert seen[0].revision == revision
            end = asyncio.ensure_future(anext(watch))
            await asyncio.sleep(0)
            assert not end.done(), "the watch shows the end of a generation that Get shows as queued"
            assert name_of(await running.get(fox.id)) == "QUEUED"
            announce.set()
            seen = await asyncio.wait_for(end, PATIENCE)
            assert seen is not None
            assert seen[0].done
            assert name_of(await running.get(fox.id)) == "COMPLETED"


async def test_a_list_waits_until_other_calls_show_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with run(tmp_path) as running:
        fox = await running.submit(soul("a fox"))
        change_log = running.gateway._core.store.change_log
        waits, announced = asyncio.Event(), change_log.announced

        async def observed() -> None:
            waits.set()
            await announced()

        monkeypatch.setattr(change_log, "announced", observed)
        async with ended_unannounced(running, monkeypatch) as announce:
            listing = asyncio.create_task(running.grpc.call("ListGenerations", pb.ListGenerationsRequest()))
            waiting = asyncio.create_task(waits.wait())
            await asyncio.wait({listing, waiting}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
            assert not listing.done(), "the list shows the end of a generation that Get shows as queued"
            announce.set()
            (listed,) = (await listing).generations
            assert name_of(listed) == "COMPLETED"
            assert name_of(await running.get(fox.id)) == "COMPLETED"
        waiting.cancel()
