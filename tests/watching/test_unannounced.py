"""A change that is committed and not announced yet: what one call has shown, no later call takes back."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from gateway import failpoints
from gateway.generations.model import GenerationId, PreparedRequest
from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.running import WAIT_TIMEOUT, name_of, run, soul


@asynccontextmanager
async def unannounced(
    prefix: str, begin: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[threading.Event]:
    """Hold the writer after the first COMMIT of a step whose name begins like this. Yields the event that frees it."""
    committed, announce = threading.Event(), threading.Event()

    def hold(step: str) -> None:
        if step.startswith(prefix):
            committed.set()
            announce.wait(WAIT_TIMEOUT)

    with monkeypatch.context() as patched:
        patched.setattr(failpoints, "after", hold)
        begin()
        assert await asyncio.to_thread(committed.wait, WAIT_TIMEOUT)
        try:
            yield announce
        finally:
            announce.set()


async def test_a_watch_shows_no_change_before_other_calls_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with run(tmp_path) as running:
        fox = await running.submit(soul("a fox"))
        watches = running.gateway._core.watches
        async with (
            unannounced("reported", lambda: running.clock.advance(60), monkeypatch) as announce,
            aclosing(watches.one("default", fox.id, 0, WAIT_TIMEOUT, lambda: None)) as watch,
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
            seen = await asyncio.wait_for(end, WAIT_TIMEOUT)
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
        async with unannounced("reported", lambda: running.clock.advance(60), monkeypatch) as announce:
            listing = asyncio.create_task(running.grpc.call("ListGenerations", pb.ListGenerationsRequest()))
            waiting = asyncio.create_task(waits.wait())
            await asyncio.wait({listing, waiting}, timeout=WAIT_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
            assert not listing.done(), "the list shows the end of a generation that Get shows as queued"
            announce.set()
            (listed,) = (await listing).generations
            assert name_of(listed) == "COMPLETED"
            assert name_of(await running.get(fox.id)) == "COMPLETED"
        waiting.cancel()


async def test_a_generation_whose_end_is_not_announced_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its request is gone from the store, while it still waits in memory. It must not be tried again and again."""
    async with run(tmp_path) as running:
        running.plan(on="submit", kind="429", headers={"Retry-After": "3"})
        fox = await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
        async with asyncio.timeout(WAIT_TIMEOUT), aclosing(running.history(fox.id)) as history:
            async for seen in history:
                if seen.HasField("delay"):
                    break
        generations = running.gateway._core.store.generations
        tries: list[str] = []
        tried, request = asyncio.Event(), generations.request

        async def observed(name: GenerationId) -> PreparedRequest | None:
            tries.append(name)
            found = await request(name)
            tried.set()
            return found

        monkeypatch.setattr(generations, "request", observed)
        canceling: list[asyncio.Task[pb.CancelGenerationResponse]] = []

        def cancel() -> None:
            asked = pb.CancelGenerationRequest(id=fox.id)
            canceling.append(asyncio.create_task(running.grpc.call("CancelGeneration", asked)))

        async with unannounced("cancel asked", cancel, monkeypatch) as announce:
            running.clock.advance(5)
            await asyncio.wait_for(tried.wait(), WAIT_TIMEOUT)
            for _ in range(200):
                await asyncio.sleep(0)
            assert tries == [fox.id]
            announce.set()
        assert name_of((await canceling[0]).generation) == "CANCELED"
        assert not [line for line in caplog.records if line.levelno >= logging.ERROR]
        assert not running.ledger.charges
