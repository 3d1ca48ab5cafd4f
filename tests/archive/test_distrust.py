"""Untrusted properties of outputs: their size, their names and their media types."""

from __future__ import annotations

import stat

import pytest

from gateway.archive.media_types import SUFFIXES
from tests.archive.conftest import Stage
from tests.support.files import contents_below
from tests.support.running import eventually

CONTENT = b"<script>alert(1)</script>"
MIB = 1 << 20
FOLDER_ONLY = pytest.mark.parametrize("place", ["folder"], indirect=True)


@pytest.mark.parametrize("sized", [True, False], ids=["of known size", "without end"])
async def test_a_file_over_the_size_limit_is_abandoned(stage: Stage, sized: bool) -> None:
    faults = [] if sized else [{"chunked": True}]
    stage.media.add("/a.png", bytes(64 * 1024), times=1 << 20, faults=faults)
    archiver = stage.start(largest=MIB)
    await stage.completed(stage.url("/a.png"))
    await eventually(lambda: archiver.given_up == 1)
    assert stage.source.passed <= (0 if sized else 2 * MIB)
    assert archiver.failures == 1
    await eventually(lambda: contents_below(stage.place.folder) == {})
    assert await stage.store.copies.copies_waiting() == 0


@FOLDER_ONLY
async def test_a_file_of_exactly_the_size_limit_is_copied(stage: Stage) -> None:
    stage.media.add("/a.png", CONTENT)
    stage.start(largest=len(CONTENT))
    await stage.becomes_archived(await stage.completed(stage.url("/a.png")))
    assert list(stage.place.files().values()) == [CONTENT]


@FOLDER_ONLY
@pytest.mark.parametrize(
    ("path", "content_type", "suffix"),
    [
        ("/a.html", "image/png", ".png"),
        ("/a.php", "video/mp4; codecs=avc1", ".mp4"),
        ("/a.mp4", "image/webp", ".webp"),
        ("/a.svg", "", ".bin"),
        ("/a.html", "", ".bin"),
        ("/a.png", "text/html", ".bin"),
        ("/a.png", "image/svg+xml", ".bin"),
        ("/a.PNG", "", ".png"),
    ],
)
async def test_the_suffix_is_that_of_a_media_type(stage: Stage, path: str, content_type: str, suffix: str) -> None:
    stage.media.add(path, CONTENT)
    stage.start()
    generation = await stage.completed(stage.url(path), content_type=content_type)
    await stage.becomes_archived(generation)
    assert list(stage.place.files()) == [f"tenant/{generation.id}/0-image{suffix}"]


@pytest.mark.parametrize("content_type", ["text/html", "image/svg+xml; charset=utf-8", "application/x-httpd-php"])
async def test_a_response_with_another_content_type_is_not_stored(stage: Stage, content_type: str) -> None:
    file = stage.media.add("/a.png", CONTENT, faults=[{"headers": {"Content-Type": content_type}}])
    archiver = stage.start()
    generation = await stage.completed(stage.url("/a.png"))
    await stage.becomes_archived(generation)  # the second response has no content type
    assert (archiver.failures, len(file.requests)) == (1, 2)


@FOLDER_ONLY
async def test_archived_files_are_not_readable_by_other_users(stage: Stage) -> None:
    stage.media.add("/a.png", CONTENT)
    stage.start()
    generation = await stage.completed(stage.url("/a.png"))
    await stage.becomes_archived(generation)
    modes = {stat.S_IMODE(path.stat().st_mode) & 0o007 for path in stage.place.folder.rglob("*")}
    assert modes == {0}


def test_no_suffix_of_active_content_is_allowed() -> None:
    assert not {".html", ".htm", ".svg", ".xml", ".php", ".js", ".xhtml", ".pdf"} & set(SUFFIXES.values())
