"""The table of copies: planning, order, postponement and removal."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.archive.model import ArchivedFile, Copy, Part, copies_of
from gateway.generations.model import Generation, State, Steady, Wall
from gateway.generations.state import OUTPUTS_KEPT
from gateway.store.sqlite.archive import ROWS_PER_BATCH
from tests.archive.conftest import Stage
from tests.contract.store import examples

pytestmark = pytest.mark.parametrize("place", ["folder"], indirect=True)
ARCHIVE = "file:///somewhere"
HOUR = 3600.0
END = 1_000_000.0
FILE = ArchivedFile("file:///somewhere/file", 7, "00ff")


async def due(stage: Stage, now: float = 1.0, limit: int = 10) -> list[Copy]:
    return list(await stage.store.copies.due_copies(ARCHIVE, "", now, HOUR, limit))


async def planned(stage: Stage, *urls: str) -> tuple[Generation, list[Copy]]:
    generation = await stage.completed(*(urls or ("http://a.test/1.png",)))
    copies = copies_of(generation, ARCHIVE, generation.end_time)
    await stage.store.copies.plan_copies(copies, 0.0)
    return generation, copies


async def test_a_planned_copy_is_due_and_planned_once(stage: Stage) -> None:
    _, copies = await planned(stage, "http://a.test/1.png", "http://a.test/2.png")
    await stage.store.copies.plan_copies(copies, 0.0)
    assert await due(stage) == copies
    assert await due(stage, limit=1) == copies[:1]
    assert await stage.store.copies.due_copies("file:///elsewhere", "", 1.0, HOUR, 10) == []
    assert await stage.store.copies.copies_waiting() == 2


async def test_a_copy_expires_with_its_file(stage: Stage) -> None:
    generation = await stage.completed("http://a.test/1.png")
    ended = replace(generation, ended_at=Steady(500.0), end_time=Wall(END))

    def expires(kept_until: float | None, end: float | None) -> float:
        kept = replace(ended, outputs_expire_time=None if kept_until is None else Wall(kept_until))
        (copy,) = copies_of(kept, ARCHIVE, end)
        return copy.expire_time

    assert expires(END + HOUR, END) == 500.0 + HOUR
    assert expires(END + HOUR, None) == 500.0 + OUTPUTS_KEPT  # the two clocks cannot be compared
    assert expires(None, END) == 500.0 + OUTPUTS_KEPT
    assert expires(END + OUTPUTS_KEPT, END + HOUR) == 500.0 + OUTPUTS_KEPT  # Higgsfield has named no earlier end
    assert expires(END + OUTPUTS_KEPT - HOUR, END - 2 * HOUR) == 500.0 + OUTPUTS_KEPT  # this machine's clock is ahead


async def test_only_files_of_completed_outputs_of_completed_generations_are_planned(stage: Stage) -> None:
    generation = await stage.completed("http://a.test/1.png")
    (output,) = generation.outputs
    failed = replace(output, state=State.FAILED)
    preview = replace(output, url="", preview_url="http://a.test/2.webp")
    several = replace(generation, outputs=(failed, output, preview))
    assert [copy.part for copy in copies_of(several, ARCHIVE, None)] == [Part(1), Part(2, preview=True)]
    assert copies_of(replace(several, state=State.IN_PROGRESS), ARCHIVE, None) == []


async def test_copies_of_a_deleted_generation_are_not_planned(stage: Stage) -> None:
    generation = await stage.completed("http://a.test/1.png")
    await stage.store.deletions.delete(generation, at_upstream=False, steady=examples.NOW)
    await stage.store.copies.plan_copies(copies_of(generation, ARCHIVE, None), 0.0)
    assert await due(stage) == []


async def test_a_postponed_copy_is_due_later_within_a_limit(stage: Stage) -> None:
    _, (copy,) = await planned(stage)
    copies = stage.store.copies
    await copies.postpone_copy(copy, 100.0, give_up=False)
    assert await due(stage, 99.0) == []
    assert await copies.next_copy(ARCHIVE, 99.0) == 100.0
    assert await due(stage, 100.0) == [replace(copy, attempts=1)]
    # Postponed by a clock that was far ahead: the wait is limited.
    await copies.postpone_copy(copy, 10 * HOUR, give_up=False)
    assert await due(stage, 100.0) == [replace(copy, attempts=2)]
    assert await due(stage, 9.5 * HOUR) == []


async def test_an_abandoned_copy_is_no_longer_due(stage: Stage) -> None:
    generation, (copy,) = await planned(stage)
    await stage.store.copies.postpone_copy(copy, 100.0, give_up=True)
    assert await due(stage, 200.0) == []
    assert await stage.archived(generation) == {}
    assert await stage.store.copies.record_copy(copy, FILE) is False


async def test_copies_in_any_state_are_removed_on_deletion(stage: Stage) -> None:
    for settle in ("waits", "archived", "given up"):
        generation, (copy,) = await planned(stage)
        if settle == "archived":
            assert await stage.store.copies.record_copy(copy, FILE)
            assert await stage.archived(generation) == {Part(0): FILE}
        elif settle == "given up":
            await stage.store.copies.postpone_copy(copy, 100.0, give_up=True)
        await stage.store.deletions.delete(generation, at_upstream=False, steady=examples.NOW)
        assert await due(stage) == [replace(copy, url="", remove=True)]
        assert await stage.archived(generation) == {}
        assert await stage.store.copies.record_copy(copy, FILE) is False
        await stage.store.copies.postpone_copy(replace(copy, remove=True), 0.5, give_up=False)
        assert await due(stage) == [replace(copy, url="", remove=True, attempts=1)]
        await stage.store.copies.forget_copy(copy)
        assert await due(stage) == []


async def test_generations_without_copies_are_read_in_pages(stage: Stage) -> None:
    wanted = await asyncio.gather(*(stage.completed("http://a.test/1.png") for _ in range(2 * ROWS_PER_BATCH + 1)))
    await planned(stage)
    await stage.store.claims.claim(examples.claim())
    pages = [[one.id for one in page] async for page in stage.store.copies.without_copies(examples.NOW)]
    assert [len(page) for page in pages] == [ROWS_PER_BATCH, ROWS_PER_BATCH, 1]
    assert sorted(id_ for page in pages for id_ in page) == [one.id for one in wanted]
    assert [page async for page in stage.store.copies.without_copies(examples.NOW + HOUR)] == []


async def test_signed_urls_are_removed_when_a_copy_is_settled(stage: Stage) -> None:
    _, (first,) = await planned(stage)
    _, (second,) = await planned(stage)
    await stage.store.copies.record_copy(first, FILE)
    await stage.store.copies.postpone_copy(second, 1.0, give_up=True)
    assert [url for _, url, _ in stage.rows()] == ["", ""]
