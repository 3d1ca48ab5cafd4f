"""Copies under faults: each is complete and verified or retried, resumed after a break, and removed on deletion."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any, NoReturn

import pytest

from gateway.archive.archiver import FIRST_PAUSE, MAX_PAUSE, STORE_PAUSE
from gateway.archive.download import MAX_BREAKS
from gateway.archive.model import Copy, Part, copies_of
from gateway.archive.ports import ArchiveError
from gateway.errors import upstream_unavailable
from gateway.generations.model import Generation, Steady
from gateway.generations.state import OUTPUTS_KEPT
from gateway.generations.stores import Correction
from gateway.higgsfield.media import CHUNK
from gateway.object_storage.s3 import Bucket
from tests.archive.conftest import Place, Stage, sha256
from tests.archive.media import PIECE
from tests.archive.s3 import IN_S3, unfinished_uploads
from tests.contract.store import examples
from tests.support.commits import commits
from tests.support.files import contents_below, files_below
from tests.support.running import WAIT_TIMEOUT, eventually

CONTENT = bytes(range(256)) * 1000
FOLDER_ONLY = pytest.mark.parametrize("place", ["folder"], indirect=True)
S3_ONLY = pytest.mark.parametrize("place", [IN_S3], indirect=True)


async def test_outputs_are_copied_verified_and_recorded(stage: Stage) -> None:
    first, second = stage.media.add("/a.png", CONTENT), stage.media.add("/b", CONTENT[:1])
    stage.start()
    generation = await stage.completed(stage.url("/a.png"), "", stage.url("/b"), content_type="image/webp")

    found = await stage.becomes_archived(generation, 2)

    folder = f"tenant/{generation.id}"
    assert stage.place.files() == {f"{folder}/0-image.webp": CONTENT, f"{folder}/2-image.webp": CONTENT[:1]}
    assert {part.output: (file.size, file.sha256) for part, file in found.items()} == {
        0: (len(CONTENT), sha256(CONTENT)),
        2: (1, sha256(CONTENT[:1])),
    }
    assert found[Part(0)].url == f"{stage.place.url}/{folder}/0-image.webp"
    await eventually(lambda: stage.archiver.archived == 2)  # counted a moment after it is stored
    assert (stage.archiver.bytes, stage.archiver.failures) == (len(CONTENT) + 1, 0)
    assert await stage.store.copies.copies_waiting() == 0
    assert [url for _, url, _ in stage.rows()] == ["", ""]
    for request in (*first.requests, *second.requests):
        assert not {"Authorization", "hf-api-key", "hf-secret", "Cookie"} & set(request.headers)


async def test_previews_are_copied_beside_their_files(stage: Stage) -> None:
    stage.media.add("/a.mp4", CONTENT)
    stage.media.add("/small.webp", CONTENT[:7])
    stage.start()
    generation = await stage.completed(stage.url("/a.mp4"), preview_url=stage.url("/small.webp"), name="video")
    alone = await stage.completed(stage.url("/a.mp4"), preview_url=stage.url("/a.mp4"))

    found = await stage.becomes_archived(generation, 2)

    folder = f"tenant/{generation.id}"
    assert found[Part(0)].url == f"{stage.place.url}/{folder}/0-video.mp4"
    assert found[Part(0, preview=True)].url == f"{stage.place.url}/{folder}/0-video.preview.webp"
    assert stage.place.files()[f"{folder}/0-video.preview.webp"] == CONTENT[:7]
    assert list(await stage.becomes_archived(alone)) == [Part(0)]
    await stage.store.deletions.delete(generation, at_upstream=False, steady=examples.NOW)
    await eventually(lambda: not any(name.startswith(folder) for name in stage.place.files()))


async def test_a_lost_preview_does_not_delay_its_file(stage: Stage) -> None:
    stage.media.add("/a.png", CONTENT)
    stage.start()
    generation = await stage.completed(stage.url("/a.png"), preview_url=stage.url("/missing.png"))
    assert list(await stage.becomes_archived(generation)) == [Part(0)]
    await eventually(lambda: stage.archiver.failures > 0)


async def test_outputs_from_before_the_archive_was_set_up_are_copied(stage: Stage) -> None:
    stage.media.add("/a.png", CONTENT)
    generation = await stage.completed(stage.url("/a.png"))
    nothing = await stage.completed("")

    stage.start()

    await stage.becomes_archived(generation)
    assert await stage.archived(nothing) == {}


@FOLDER_ONLY
async def test_outputs_from_before_are_copied_while_higgsfield_may_have_them(stage: Stage) -> None:
    file = stage.media.add("/a.png", CONTENT)
    await stage.completed(stage.url("/a.png"))
    stage.clock.advance(OUTPUTS_KEPT + 60)
    stage.start()
    await stage.becomes_archived(await stage.completed(stage.url("/a.png")))
    assert len(stage.rows()) == len(file.requests) == 1


@FOLDER_ONLY
async def test_outputs_from_before_are_copied_although_higgsfield_does_not_tell_the_time(stage: Stage) -> None:
    stage.time = _no_answer  # type: ignore[method-assign]
    stage.media.add("/a.png", CONTENT)
    generation = await stage.completed(stage.url("/a.png"))
    stage.start()
    await stage.becomes_archived(generation)


@FOLDER_ONLY
async def test_outputs_from_before_are_looked_for_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search reads all ended generations."""
    searches, search = [], stage.store.copies.without_copies

    def counted(ended_after: float) -> AsyncIterator[Sequence[Generation]]:
        searches.append(ended_after)
        return search(ended_after)

    monkeypatch.setattr(stage.store.copies, "without_copies", counted)
    stage.media.add("/a.png", CONTENT)
    stage.start()
    for _ in range(2):
        await stage.becomes_archived(await stage.completed(stage.url("/a.png")))
    assert len(searches) == 1


@FOLDER_ONLY
async def test_outputs_from_before_are_copied_although_the_store_fails_at_first(stage: Stage) -> None:
    stage.media.add("/a.png", CONTENT)
    generation = await stage.completed(stage.url("/a.png"))
    with commits("archive planned") as writes:
        writes.fail_from(1)
        stage.start()
        await writes.reached(1)
        await eventually(lambda: STORE_PAUSE in stage.clock.waits)
    await stage.becomes_archived(generation)


async def test_a_gateway_that_was_replaced_publishes_no_file(stage: Stage) -> None:
    """The other gateway may have removed the file with its generation, and would not remove it again."""
    stage.media.add("/a.png", CONTENT)
    stage.start(may_write=lambda: False)
    generation = await stage.completed(stage.url("/a.png"))
    await eventually(lambda: stage.archiver.failures > 0)
    await stage.stop()
    assert stage.place.files() == {}
    assert await stage.archived(generation) == {}


@FOLDER_ONLY
async def test_a_gateway_that_was_replaced_before_it_wrote_a_file_leaves_nothing(stage: Stage, place: Place) -> None:
    """The other gateway may have published the file, so that nothing would remove another unfinished one."""
    stage.media.add("/a.png", CONTENT)
    stage.start(may_write=lambda: False)
    await stage.completed(stage.url("/a.png"))
    await eventually(lambda: stage.archiver.failures > 0)
    await stage.stop()
    assert contents_below(place.folder) == {}


@FOLDER_ONLY
async def test_a_gateway_that_was_replaced_while_it_verified_a_file_does_not_publish_it(stage: Stage) -> None:
    answers = chain([True, True], repeat(False))
    stage.media.add("/a.png", CONTENT)
    stage.start(may_write=lambda: next(answers))
    await stage.completed(stage.url("/a.png"))
    await eventually(lambda: stage.archiver.failures > 0)
    await stage.stop()
    assert stage.place.files() == {}


@FOLDER_ONLY
async def test_a_gateway_that_was_replaced_while_it_verified_a_file_does_not_remove_it(
    stage: Stage, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a bucket, it may be the file that the other gateway has published."""
    answers, discarded = chain([True, True], repeat(False)), list[str]()
    real = stage.storage.discard

    async def discard(key: str) -> None:
        discarded.append(key)
        await real(key)

    monkeypatch.setattr(stage.storage, "discard", discard)
    stage.media.add("/a.png", CONTENT, faults=[{"at": 60_000, "then": partial(_spoil, place, 1000)}])
    stage.start(may_write=lambda: next(answers))
    await stage.completed(stage.url("/a.png"))
    await eventually(lambda: stage.archiver.failures > 0)
    await stage.stop()
    assert discarded == []


async def test_a_restart_continues_with_pending_copies(stage: Stage) -> None:
    hanging, asked = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        asked.set()
        await hanging.wait()

    stage.media.add("/a.png", CONTENT, faults=[{"at": 0, "then": hang}])
    stage.start()
    generation = await stage.completed(stage.url("/a.png"))
    await asyncio.wait_for(asked.wait(), 20)
    stage.media.add("/b.png", CONTENT)
    other = await stage.completed(stage.url("/b.png"))
    await stage.becomes_archived(other)  # the first copy occupies only one of the places
    await stage.stop()
    hanging.set()
    assert list(stage.place.files()) == [f"tenant/{other.id}/0-image.png"]

    stage.start()

    assert (await stage.becomes_archived(generation))[Part(0)].sha256 == sha256(CONTENT)


@FOLDER_ONLY
async def test_no_more_files_are_copied_at_once_than_configured(stage: Stage) -> None:
    at_once: list[int] = []
    planned = asyncio.Event()
    requested = 0

    async def hang() -> None:
        nonlocal requested
        requested += 1
        at_once.append(requested)
        await planned.wait()
        requested -= 1

    stage.media.add("/a.png", CONTENT, faults=[{"at": 0, "then": hang} for _ in range(6)])
    stage.start(concurrency=2)
    generations = [await stage.completed(stage.url("/a.png")) for _ in range(6)]
    async with asyncio.timeout(WAIT_TIMEOUT):
        while len(at_once) < 2 or await stage.store.copies.copies_waiting() < 6:
            await asyncio.sleep(0.005)
    planned.set()
    for generation in generations:
        await stage.becomes_archived(generation)

    assert max(at_once) == 2


@FOLDER_ONLY
async def test_tenants_take_turns(stage: Stage) -> None:
    counts, order, planned = {"green": 5, "red": 2, "blue": 1}, list[str](), asyncio.Event()

    async def requested(tenant: str) -> None:
        order.append(tenant)
        await planned.wait()

    stage.start(concurrency=1)
    generations = []
    for tenant, count in counts.items():
        stage.media.add(f"/{tenant}.png", CONTENT, faults=[{"at": 0, "then": partial(requested, tenant)}] * count)
        urls = [stage.url(f"/{tenant}.png")] * count
        generations.append(await stage.completed(*urls, tenant=tenant))
        await eventually(lambda: len(order) == 1)
    async with asyncio.timeout(WAIT_TIMEOUT):
        while await stage.store.copies.copies_waiting() < sum(counts.values()):
            await asyncio.sleep(0.005)
    planned.set()

    for generation in generations:
        await stage.becomes_archived(generation, len(generation.outputs))
    assert order == ["green", "red", "blue", "green", "red", "green", "green", "green"]


@FOLDER_ONLY
async def test_a_copy_that_ends_during_a_read_of_the_due_copies_is_not_repeated(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = asyncio.Event()
    first = stage.media.add("/a.png", CONTENT, faults=[{"at": 0, "then": ending.wait}])
    stage.media.add("/b.png", CONTENT)
    due_copies = stage.store.copies.due_copies

    async def slowly(*asked: Any) -> Sequence[Copy]:
        due = await due_copies(*asked)
        if due and first.requests:
            ending.set()
            await eventually(lambda: not stage.archiver._busy)
        return due

    stage.start()
    copied = await stage.completed(stage.url("/a.png"))
    await eventually(lambda: bool(first.requests))
    monkeypatch.setattr(stage.store.copies, "due_copies", slowly)
    await stage.becomes_archived(await stage.completed(stage.url("/b.png")))
    await stage.becomes_archived(copied)
    await eventually(lambda: not stage.archiver._busy)
    assert len(first.requests) == 1


@FOLDER_ONLY
async def test_removals_that_are_due_before_a_copy_in_progress_keep_the_limit(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.media.add("/a.png", CONTENT)
    stage.start(concurrency=2)
    old = [await stage.completed(stage.url("/a.png")) for _ in range(2)]
    for generation in old:
        await stage.becomes_archived(generation)
    deleted, removing = asyncio.Event(), asyncio.Event()
    slow = stage.media.add("/b.png", CONTENT, faults=[{"at": 0, "then": removing.wait}])
    at_once: list[str] = []
    most, remove, due_copies = 0, stage.storage.remove, stage.store.copies.due_copies

    async def held(key: str) -> None:
        nonlocal most
        at_once.append(key)
        most = max(most, len(at_once))
        await removing.wait()
        at_once.remove(key)
        await remove(key)

    async def due(*asked: Any) -> Sequence[Copy]:
        await deleted.wait()
        return await due_copies(*asked)

    copied = await stage.completed(stage.url("/b.png"))
    await eventually(lambda: bool(slow.requests))
    monkeypatch.setattr(stage.storage, "remove", held)
    monkeypatch.setattr(stage.store.copies, "due_copies", due)
    for generation in old:
        await stage.store.deletions.delete(generation, at_upstream=False, steady=examples.NOW)
    deleted.set()
    await eventually(lambda: bool(at_once))
    removing.set()
    await stage.becomes_archived(copied)
    await eventually(lambda: len(stage.rows()) == 1)
    assert most == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"status": 404},
        {"status": 307, "headers": {"Location": "/elsewhere"}},
        {"cut": 70_000, "headers": {"ETag": 'W/"weak"'}},
        {"more": 5, "headers": {"ETag": 'W/"weak"'}},
        {"chunked": True, "cut": 70_000, "headers": {"ETag": 'W/"weak"'}},
        {"headers": {"Content-Encoding": "gzip"}},
    ],
    ids=str,
)
async def test_a_failed_copy_is_retried_after_a_pause(
    stage: Stage, fault: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    file = stage.media.add("/a.png", CONTENT, faults=[fault, fault])
    elsewhere = stage.media.add("/elsewhere", CONTENT)
    stage.start()
    generation = await stage.completed(stage.url("/a.png"))

    found = await stage.becomes_archived(generation)

    assert (found[Part(0)].size, found[Part(0)].sha256) == (len(CONTENT), sha256(CONTENT))
    assert stage.archiver.failures == 2
    assert len(file.requests) == 3
    assert elsewhere.requests == []
    assert 0.75 * 3 * FIRST_PAUSE <= sum(stage.clock.waits) <= 3 * FIRST_PAUSE + 0.001
    logged = " ".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert "will retry" in logged
    assert "Signature" not in logged


async def test_a_broken_download_is_resumed(stage: Stage) -> None:
    file = stage.media.add("/a.png", CONTENT, faults=[stage.cut(100_000), stage.cut(50_000)])
    stage.start()
    generation = await stage.completed(stage.url("/a.png"))

    assert (await stage.becomes_archived(generation))[Part(0)].sha256 == sha256(CONTENT)

    assert file.ranges == ["", "bytes=100000-", "bytes=150000-"]
    assert [request.headers.get("If-Range") for request in file.requests] == [None, '"one"', '"one"']
    assert stage.archiver.failures == 0
    (copy,) = stage.place.files().values()
    assert copy == CONTENT


@pytest.mark.parametrize(
    ("size", "conditional"),
    [(len(CONTENT), True), (len(CONTENT) - 100_000, True), (len(CONTENT), False)],
    ids=["as long", "as the rest", "If-Range is ignored"],
)
async def test_a_download_restarts_if_the_file_changed(stage: Stage, size: int, conditional: bool) -> None:
    file = stage.media.add("/a.png", CONTENT, conditional=conditional)
    other = CONTENT[:size][::-1]

    async def change() -> None:
        file.etag, file.content = '"two"', other

    file.faults = [stage.cut(100_000, change)]
    stage.start()
    generation = await stage.completed(stage.url("/a.png"))

    assert (await stage.becomes_archived(generation))[Part(0)].sha256 == sha256(other)
    assert stage.place.files() == {f"tenant/{generation.id}/0-image.png": other}


@pytest.mark.parametrize("length", [{"more": 1}, {"chunked": True}], ids=["one byte too long", "unknown"])
async def test_a_download_restarts_if_its_checkpoint_is_the_end_of_the_file(
    stage: Stage, length: dict[str, Any]
) -> None:
    """All bytes arrived, and the connection broke before the end of the response: the host has no other bytes."""
    file = stage.media.add("/a.png", CONTENT, faults=[stage.cut(len(CONTENT)) | length])
    stage.start()
    generation = await stage.completed(stage.url("/a.png"))

    assert (await stage.becomes_archived(generation))[Part(0)].sha256 == sha256(CONTENT)
    assert f"bytes={len(CONTENT)}-" in file.ranges
    assert stage.archiver.failures == 1


async def test_a_truncated_range_response_is_a_failure(stage: Stage) -> None:
    stage.media.add("/a.png", CONTENT, faults=[stage.cut(100_000), {"more": -1000}])
    stage.start()
    generation = await stage.completed(stage.url("/a.png"))

    assert (await stage.becomes_archived(generation))[Part(0)].sha256 == sha256(CONTENT)
    assert stage.archiver.failures == 1


async def test_without_range_support_the_whole_file_is_downloaded_again(stage: Stage) -> None:
    # Of unknown size, so that only the offset of the second response shows that it is the whole file.
    faults = [stage.cut(100_000) | {"chunked": True}, {"chunked": True}]
    file = stage.media.add("/a.png", CONTENT, ranged=False, faults=faults)
    stage.start()
    generation = await stage.completed(stage.url("/a.png"))

    assert (await stage.becomes_archived(generation))[Part(0)].sha256 == sha256(CONTENT)
    assert file.ranges[:2] == ["", "bytes=100000-"]
    assert stage.archiver.failures == 1


@FOLDER_ONLY
async def test_a_copy_to_a_folder_is_resumed_after_a_restart(stage: Stage) -> None:
    cut = stage.cut(30_000)
    file = stage.media.add("/a.png", CONTENT, faults=[cut] * (MAX_BREAKS + 1))
    stage.clock.wait = _never  # type: ignore[method-assign]
    stage.start()
    generation = await stage.completed(stage.url("/a.png"))
    await eventually(lambda: stage.archiver.failures == 1)
    assert stage.place.files() == {}
    await stage.stop()

    del stage.clock.wait  # type: ignore[method-assign]
    stage.clock.advance(MAX_PAUSE)
    stage.start()

    assert (await stage.becomes_archived(generation))[Part(0)].sha256 == sha256(CONTENT)
    assert file.ranges[-1] == f"bytes={30_000 * (MAX_BREAKS + 1)}-"
    (copy,) = stage.place.files().values()
    assert copy == CONTENT


@FOLDER_ONLY
async def test_a_copy_to_a_folder_that_a_stop_interrupts_is_resumed(stage: Stage, place: Place) -> None:
    hanging = asyncio.Event()
    file = stage.media.add("/a.png", CONTENT, faults=[{"at": 100_000, "then": hanging.wait}])
    stage.start()
    generation = await stage.completed(stage.url("/a.png"))
    received = 2 * PIECE
    await eventually(lambda: [part.stat().st_size for part in place.folder.rglob("*.part")] == [received])
    await stage.stop()
    hanging.set()

    stage.start()

    assert (await stage.becomes_archived(generation))[Part(0)].sha256 == sha256(CONTENT)
    assert file.ranges == ["", f"bytes={received}-"]


async def _never(signal: asyncio.Future[None], seconds: float | None) -> None:
    del seconds
    await signal


async def _spoil(place: Place, resumed: int) -> None:
    """Change bytes of the unfinished copy, once it has more than these bytes."""
    await eventually(lambda: any(part.stat().st_size > resumed for part in place.folder.rglob("*.part")))
    (part,) = place.folder.rglob("*.part")
    with part.open("r+b") as file:
        file.seek(500)
        file.write(b"\xff\xfe")


@FOLDER_ONLY
@pytest.mark.parametrize("breaks", [0, MAX_BREAKS + 1], ids=["in one piece", "resumed at a checkpoint"])
async def test_a_corrupted_copy_is_detected_and_made_again(
    stage: Stage, place: Place, breaks: int, caplog: pytest.LogCaptureFixture
) -> None:
    spoil = partial(_spoil, place, breaks * 30_000 + 1000)
    faults = [stage.cut(30_000) for _ in range(breaks)] + [{"at": 60_000, "then": spoil}]
    file = stage.media.add("/a.png", CONTENT, faults=faults)
    stage.start()
    generation = await stage.completed(stage.url("/a.png"))

    assert (await stage.becomes_archived(generation))[Part(0)].sha256 == sha256(CONTENT)

    assert (stage.archiver.failures, len(file.requests)) == (2 if breaks else 1, breaks + 2)
    assert "the copy differs from what was downloaded" in [vars(record).get("why") for record in caplog.records]
    (copy,) = stage.place.files().values()
    assert copy == CONTENT


@S3_ONLY
async def test_an_object_has_its_media_type(stage: Stage) -> None:
    import obstore

    stage.media.add("/a", CONTENT)
    stage.start()
    generation = await stage.completed(stage.url("/a"), content_type="image/webp")
    await stage.becomes_archived(generation)
    assert isinstance(stage.storage, Bucket)
    found = await obstore.get_async(stage.storage._store, f"tenant/{generation.id}/0-image.webp")
    assert found.attributes["Content-Type"] == "image/webp"


async def test_a_file_of_another_type_is_copied_as_bytes_but_no_error_page(stage: Stage) -> None:
    page, archive = ({"headers": {"Content-Type": name}} for name in ("text/html; charset=utf-8", "application/zip"))
    stage.media.add("/a.zip", CONTENT, faults=[page, archive])
    stage.start()
    generation = await stage.completed(stage.url("/a.zip"), name="zip", content_type="application/zip")

    assert (await stage.becomes_archived(generation))[Part(0)].sha256 == sha256(CONTENT)
    assert stage.place.files() == {f"tenant/{generation.id}/0-zip.bin": CONTENT}
    assert stage.archiver.failures == 1


@S3_ONLY
async def test_an_interrupted_upload_is_aborted_before_the_archiver_has_ended(
    stage: Stage, s3: tuple[Path, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, asked = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        asked.set()
        await hanging.wait()

    at = 22 << 20
    stage.media.add("/a.png", bytes(1 << 20), times=24, faults=[{"at": at, "then": hang}])
    stage.start()
    await stage.completed(stage.url("/a.png"))
    await asyncio.wait_for(asked.wait(), 20)
    # Four full parts arrive. A part in flight may be stored after the upload is aborted, by S3's own rules.
    await eventually(lambda: len(unfinished_uploads(s3[0])) == 4)

    monkeypatch.setattr("gateway.object_storage.s3.ABORT_TIMEOUT", WAIT_TIMEOUT)
    await stage.stop()

    hanging.set()
    assert unfinished_uploads(s3[0]) == []
    assert stage.place.files() == {}


@S3_ONLY
async def test_a_corrupted_object_is_removed_at_once(
    stage: Stage, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next attempt may come an hour later, or never."""
    write = stage.storage.write

    async def write_and_spoil(*given: Any) -> None:
        await write(*given)
        (path,) = files_below(place.folder)
        path.write_bytes(CONTENT[::-1])

    monkeypatch.setattr(stage.storage, "write", write_and_spoil)
    stage.media.add("/a.png", CONTENT)
    stage.clock.wait = _never  # type: ignore[method-assign]
    stage.start()
    await stage.completed(stage.url("/a.png"))
    await eventually(lambda: stage.archiver.failures == 1)
    assert stage.place.files() == {}


async def test_the_bandwidth_limit_is_obeyed(stage: Stage) -> None:
    rate = 50_000
    for name in ("a", "b"):
        stage.media.add(f"/{name}.png", CONTENT)
    stage.start(bandwidth=rate)
    began = stage.clock.moment().steady
    generation = await stage.completed(stage.url("/a.png"), stage.url("/b.png"))

    await stage.becomes_archived(generation, 2)

    passed = stage.clock.moment().steady - began
    # Each byte is read twice, and the wait for the last chunk begins after it was sent. The waits of the two files
    # add up, because the clock jumps.
    assert (4 * len(CONTENT) - 2 * CHUNK) / rate <= passed <= 8 * len(CONTENT) / rate


async def test_a_copy_is_abandoned_only_after_an_attempt_past_its_expiry(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    file = stage.media.add("/a.png", CONTENT, faults=[{"status": 403}] * 1000)
    stage.time = _no_answer  # type: ignore[method-assign]
    stage.start()
    generation = await stage.completed(stage.url("/a.png"))

    await eventually(lambda: stage.archiver.given_up == 1)

    expires = generation.outputs_expire_time or 0.0
    assert expires > examples.NOW + OUTPUTS_KEPT - 60
    assert expires <= stage.clock.moment().wall <= expires + 2 * MAX_PAUSE
    assert max(stage.clock.waits) <= MAX_PAUSE
    assert len(file.requests) == stage.archiver.failures == stage.rows()[0][2]
    assert stage.rows() == [(2, "", len(file.requests))]
    assert any(record.levelno == logging.ERROR and "given up" in record.message for record in caplog.records)
    await stage.stop()
    file.faults.clear()
    stage.start()
    await stage.completed("")
    assert await stage.store.copies.copies_waiting() == 0


async def _no_answer() -> NoReturn:
    raise upstream_unavailable("Higgsfield cannot be reached")


async def test_a_clock_set_forward_abandons_no_copy(stage: Stage) -> None:
    file = stage.media.add("/a.png", CONTENT, faults=[{"status": 503}])
    generation = await stage.completed(stage.url("/a.png"))
    never_planned = await stage.completed(stage.url("/a.png"))
    await stage.store.copies.plan_copies(copies_of(generation, stage.storage.name, None), 0.0)
    stage.ahead = 2 * OUTPUTS_KEPT
    stage.clock.advance(stage.ahead)

    stage.start()
    await stage.becomes_archived(generation)
    await stage.becomes_archived(never_planned)

    assert (stage.archiver.failures, stage.archiver.given_up) == (1, 0)
    assert len(file.requests) == 3


async def test_a_clock_that_is_ahead_abandons_no_copy_of_a_file_with_a_short_life(stage: Stage) -> None:
    """Higgsfield names the end of the file's life by its own clock."""
    file = stage.media.add("/a.png", CONTENT, faults=[{"status": 503}])
    stage.ahead = 5 * 3600.0
    ahead = Correction(Steady(examples.NOW - OUTPUTS_KEPT - 3600.0), stage.ahead)
    stage.start(corrections=[ahead])

    await stage.completed(stage.url("/a.png"), kept=3600.0)

    await eventually(lambda: stage.archiver.archived + stage.archiver.given_up == 1)
    assert (stage.archiver.failures, stage.archiver.given_up) == (1, 0)
    assert len(file.requests) == 2


async def test_only_copies_of_deleted_generations_are_removed(stage: Stage) -> None:
    stage.media.add("/a.png", CONTENT)
    stage.start()
    gone, stays = [await stage.completed(stage.url("/a.png")) for _ in range(2)]
    for generation in (gone, stays):
        await stage.becomes_archived(generation)

    await stage.store.deletions.delete(gone, at_upstream=False, steady=examples.NOW)

    await eventually(lambda: len(stage.rows()) == 1)
    assert list(stage.place.files()) == [f"tenant/{stays.id}/0-image.png"]
    assert await stage.archived(gone) == {}
    assert list(await stage.archived(stays)) == [Part(0)]


@FOLDER_ONLY
async def test_a_deletion_removes_what_a_failed_copy_has_left(stage: Stage, place: Place) -> None:
    stage.media.add("/a.png", CONTENT, faults=[stage.cut(30_000)] * (MAX_BREAKS + 1))
    stage.clock.wait = _never  # type: ignore[method-assign]
    stage.start()
    generation = await stage.completed(stage.url("/a.png"))
    await eventually(lambda: stage.archiver.failures == 1)
    assert len(contents_below(place.folder)) == 2  # the first bytes, and the checkpoint

    await stage.store.deletions.delete(generation, at_upstream=False, steady=examples.NOW)

    await eventually(lambda: stage.rows() == [])
    assert contents_below(place.folder) == {}


@FOLDER_ONLY
async def test_a_copy_is_given_up_only_when_what_it_has_left_is_removed(stage: Stage, place: Place) -> None:
    breaks = [stage.cut(30_000)] * (MAX_BREAKS + 1)
    stage.media.add("/a.png", CONTENT, faults=[*breaks, *[{"status": 404}] * 1000])
    stage.clock.wait = _never  # type: ignore[method-assign]
    stage.start()
    await stage.completed(stage.url("/a.png"))
    await eventually(lambda: stage.archiver.failures == 1)
    await stage.stop()
    del stage.clock.wait  # type: ignore[method-assign]
    elsewhere = place.folder.rename(place.folder.with_name("elsewhere"))
    place.folder.mkdir()  # the mount point
    stage.clock.advance(2 * OUTPUTS_KEPT)

    stage.start()
    await eventually(lambda: stage.archiver.failures > 2 or stage.archiver.given_up)
    place.folder.rmdir()
    elsewhere.rename(place.folder)

    await eventually(lambda: stage.archiver.given_up == 1)
    assert contents_below(place.folder) == {}


@S3_ONLY
async def test_a_copy_is_given_up_although_the_bucket_allows_no_removals(stage: Stage) -> None:
    """A copy that was interrupted leaves nothing in a bucket."""

    async def refused(key: str) -> None:
        raise ArchiveError("the object store: PermissionDeniedError")

    stage.storage.remove = refused  # type: ignore[method-assign]
    stage.media.add("/a.png", CONTENT, faults=[{"status": 404}] * 1000)
    stage.start()
    await stage.completed(stage.url("/a.png"), kept=1.0)
    await eventually(lambda: stage.archiver.given_up == 1)


@FOLDER_ONLY
async def test_a_removal_is_retried_until_it_succeeds(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.media.add("/a.png", CONTENT)
    stage.start()
    generation = await stage.completed(stage.url("/a.png"))
    await stage.becomes_archived(generation)
    file = stage.place.folder / "tenant" / generation.id / "0-image.png"
    file.unlink()
    (file / "in the way").mkdir(parents=True)
    await stage.store.deletions.delete(generation, at_upstream=False, steady=examples.NOW)
    await eventually(lambda: stage.archiver.failures > 0)

    stage.clock.advance(2 * OUTPUTS_KEPT)
    statement = "UPDATE archive_files SET attempts = 2000"  # after months
    await stage.store.database.writer.write(None, lambda connection: (connection.execute(statement), None))
    await eventually(lambda: stage.rows()[0][2] > 2001)

    assert stage.archiver.given_up == 0
    assert {record.message for record in caplog.records} == {
        "an output could not be removed from the archive; will retry"
    }
    (file / "in the way").rmdir()
    file.rmdir()
    await eventually(lambda: stage.rows() == [])


@FOLDER_ONLY
async def test_a_removal_waits_for_a_folder_that_is_not_mounted(stage: Stage, place: Place) -> None:
    stage.media.add("/a.png", CONTENT)
    stage.start()
    generation = await stage.completed(stage.url("/a.png"))
    await stage.becomes_archived(generation)
    elsewhere = place.folder.rename(place.folder.with_name("elsewhere"))
    place.folder.mkdir()  # the mount point

    await stage.store.deletions.delete(generation, at_upstream=False, steady=examples.NOW)
    await eventually(lambda: stage.archiver.failures > 0 or stage.rows() == [])
    place.folder.rmdir()
    elsewhere.rename(place.folder)

    await eventually(lambda: stage.rows() == [])
    assert place.files() == {}


@S3_ONLY
async def test_a_removal_waits_for_a_bucket_that_is_missing(stage: Stage, place: Place) -> None:
    stage.media.add("/a.png", CONTENT)
    stage.start()
    generation = await stage.completed(stage.url("/a.png"))
    await stage.becomes_archived(generation)
    bucket = place.folder.parent
    elsewhere = bucket.rename(bucket.with_name("elsewhere"))
    try:
        await stage.store.deletions.delete(generation, at_upstream=False, steady=examples.NOW)
        await eventually(lambda: stage.archiver.failures > 0 or stage.rows() == [])
    finally:
        elsewhere.rename(bucket)
    await eventually(lambda: stage.rows() == [])
    assert place.files() == {}


async def test_a_generation_deleted_during_its_copy_leaves_no_file(stage: Stage) -> None:
    going_on, asked = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        asked.set()
        await going_on.wait()

    stage.media.add("/a.png", CONTENT, faults=[{"at": 100_000, "then": hang}])
    stage.start()
    generation = await stage.completed(stage.url("/a.png"))
    await asyncio.wait_for(asked.wait(), 20)
    await stage.store.deletions.delete(generation, at_upstream=False, steady=examples.NOW)
    going_on.set()

    await eventually(lambda: stage.rows() == [])
    assert stage.place.files() == {}
    assert await stage.archived(generation) == {}
    assert stage.archiver.archived == 0


async def test_retention_does_not_remove_copies(stage: Stage) -> None:
    stage.media.add("/a.png", CONTENT)
    waiting = stage.media.add("/b.png", CONTENT, faults=[{"status": 503}] * 3)
    stage.clock.wait = _never  # type: ignore[method-assign]
    stage.start()
    kept, late = await stage.completed(stage.url("/a.png")), await stage.completed(stage.url("/b.png"))
    await stage.becomes_archived(kept)
    await eventually(lambda: stage.archiver.failures == 1)
    await stage.stop()

    assert await stage.store.deletions.prune(examples.NOW + 100, examples.NOW) == 2

    assert list(stage.place.files()) == [f"tenant/{kept.id}/0-image.png"]
    assert [state for state, _, _ in stage.rows()] == [0]
    del stage.clock.wait  # type: ignore[method-assign]
    waiting.faults.clear()
    stage.start()
    await eventually(lambda: len(stage.place.files()) == 2)
    await eventually(lambda: stage.rows() == [])
    assert f"tenant/{late.id}/0-image.png" in stage.place.files()


@FOLDER_ONLY
async def test_a_new_archive_gets_pending_copies_and_keeps_old_files(stage: Stage, tmp_path: Path) -> None:
    stage.media.add("/a.png", CONTENT)
    late = stage.media.add("/b.png", CONTENT, faults=[{"status": 503}] * 2)
    stage.clock.wait = _never  # type: ignore[method-assign]
    stage.start()
    first, second = await stage.completed(stage.url("/a.png")), await stage.completed(stage.url("/b.png"))
    before = (await stage.becomes_archived(first))[Part(0)]
    await eventually(lambda: stage.archiver.failures == 1)
    await stage.stop()
    del stage.clock.wait  # type: ignore[method-assign]
    late.faults.clear()

    other = Place(f"file://{tmp_path}/other", tmp_path / "other")
    stage.storage = other.open()
    stage.start()

    await stage.becomes_archived(second)
    assert list(other.files()) == [f"tenant/{second.id}/0-image.png"]
    assert (await stage.archived(first))[Part(0)] == before
    await stage.store.deletions.delete(first, at_upstream=False, steady=examples.NOW)
    await stage.store.deletions.delete(second, at_upstream=False, steady=examples.NOW)
    await eventually(lambda: other.files() == {})
    assert list(stage.place.files()) == [f"tenant/{first.id}/0-image.png"]  # until its archive is configured again
    await stage.stop()
    stage.start()  # which looks for copies of other archives
    await stage.becomes_archived(await stage.completed(stage.url("/a.png")))
    await stage.stop()
    stage.storage = stage.place.open()
    stage.start()
    await eventually(lambda: stage.place.files() == {})


@FOLDER_ONLY
@pytest.mark.parametrize(
    ("output", "key"),
    [
        ({"name": "../../etc/passwd"}, "0-.._.._etc_passwd.png"),
        ({"name": "a b\n/c"}, "0-a_b_c.png"),
        ({"name": "x" * 500}, f"0-{'x' * 80}.png"),
        ({"name": ""}, "0-image.png"),
    ],
    ids=["upwards", "strange", "long", "none"],
)
async def test_output_names_cannot_leave_their_folder(stage: Stage, output: dict[str, str], key: str) -> None:
    stage.media.add("/a.png", CONTENT)
    stage.start()
    generation = await stage.completed(stage.url("/a.png"), **output)
    await stage.becomes_archived(generation)
    assert list(stage.place.files()) == [f"tenant/{generation.id}/{key}"]


@FOLDER_ONLY
async def test_an_unwritable_folder_is_retried_until_it_is_writable(stage: Stage, place: Place) -> None:
    stage.media.add("/a.png", CONTENT)
    partial = place.folder / ".partial"
    partial.rmdir()
    partial.write_text("in the way")
    stage.start()
    generation = await stage.completed(stage.url("/a.png"))
    await eventually(lambda: stage.archiver.failures > 1)
    assert await stage.archived(generation) == {}

    partial.unlink()
    partial.mkdir()

    await stage.becomes_archived(generation)


@FOLDER_ONLY
async def test_a_failing_store_loses_no_copy_and_is_tried_after_pauses(stage: Stage) -> None:
    stage.media.add("/a.png", CONTENT)
    stage.start()
    await stage.becomes_archived(await stage.completed(stage.url("/a.png")))
    for step in ("archive planned", "archived"):
        pauses = stage.clock.waits.count(STORE_PAUSE)
        with commits(step) as writes:
            writes.fail_from(1)
            generation = await stage.completed(stage.url("/a.png"))
            await writes.reached(3)
        await stage.becomes_archived(generation)
        assert stage.clock.waits.count(STORE_PAUSE) - pauses >= 2

    reader = stage.store.database._reader
    reader.execute("PRAGMA query_only=0")
    reader.execute("CREATE TEMP TABLE archive_files (url TEXT)")  # hides the real one
    await stage.archiver.count_waiting()  # before each scrape of the metrics, which must not fail


@FOLDER_ONLY
async def test_a_generation_that_ends_while_another_is_planned_is_copied_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.media.add("/a.png", CONTENT)
    plan, later = stage.store.copies.plan_copies, asyncio.get_running_loop().create_future()

    async def plan_slowly(copies: Sequence[Copy], now: float) -> None:
        monkeypatch.undo()
        later.set_result(await stage.completed(stage.url("/a.png")))
        await plan(copies, now)

    stage.start()
    monkeypatch.setattr(stage.store.copies, "plan_copies", plan_slowly)
    first = await stage.becomes_archived(await stage.completed(stage.url("/a.png")))
    second = await stage.becomes_archived(later.result())
    assert first[Part(0)].sha256 == second[Part(0)].sha256 == sha256(CONTENT)


@FOLDER_ONLY
async def test_a_bug_stops_neither_the_archiver_nor_other_copies(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.media.add("/a.png", CONTENT)
    stage.media.add("/b.png", CONTENT)
    broken = await stage.completed(stage.url("/a.png"))

    def planned(generation: Generation, archive: str, end: float | None) -> list[Copy]:
        if generation.id == broken.id:
            raise ZeroDivisionError
        return copies_of(generation, archive, end)

    async def publish(key: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("gateway.archive.archiver.copies_of", planned)
    monkeypatch.setattr(stage.storage, "publish", publish)
    stage.start()
    delayed = await stage.completed(stage.url("/b.png"))
    await eventually(lambda: stage.archiver.failures > 1)
    assert sum(stage.clock.waits) >= 0.75 * FIRST_PAUSE

    monkeypatch.undo()
    await stage.becomes_archived(delayed)


@S3_ONLY
async def test_refused_s3_credentials_are_logged_without_the_secret(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stage.media.add("/a.png", CONTENT)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-canary")
    stage.storage = stage.place.open()
    stage.start()
    generation = await stage.completed(stage.url("/a.png"))
    await eventually(lambda: "could not be archived" in caplog.text)
    assert await stage.archived(generation) == {}
    logged = " ".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert "PermissionDeniedError" in logged
    assert "canary" not in logged


def test_the_repr_of_a_copy_hides_its_source_url() -> None:
    from gateway.archive.model import Copy

    copy = Copy("id", Part(0), "https://h.test/a?Signature=canary", "k", "", "file:///a", 0.0)
    assert "canary" not in repr(replace(copy, attempts=1))
