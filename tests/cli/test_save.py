"""`--save` writes complete, checked files and resumes broken downloads."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import pytest

from gateway.cli.save import ATTEMPTS, save_outputs
from hfgateway.v1.generation_pb2 import Generation
from tests.archive.media import MediaServer

CONTENT = bytes(range(256)) * 2000
SECRET = "Signature=canary"


@pytest.fixture
async def media() -> AsyncIterator[MediaServer]:
    async with MediaServer() as server:
        yield server


async def saved(media: MediaServer, folder: Path, path: str = "/a.png") -> list[Path]:
    return await saved_from(f"{media.url}{path}", folder, local=True)


async def saved_from(url: str, folder: Path, *, local: bool) -> list[Path]:
    return [path for path in await attempted(url, folder, local=local) if path is not None]


async def attempted(url: str, folder: Path, *, local: bool) -> list[Path | None]:
    generation = Generation(id="g1", outputs=[{"url": f"{url}?{SECRET}"}])
    return await asyncio.to_thread(save_outputs, generation, folder, local=local)


async def refused(media: MediaServer, folder: Path, path: str = "/a.png") -> bool:
    return await attempted(f"{media.url}{path}", folder, local=True) == [None]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_a_broken_download_is_resumed(media: MediaServer, tmp_path: Path) -> None:
    file = media.add("/a.png", CONTENT, faults=[{"cut": 200_000}, {"cut": 50_000}])

    (path,) = await saved(media, tmp_path)

    assert path.read_bytes() == CONTENT
    assert names(tmp_path) == ["g1-1.png"]
    assert len(file.requests) == 3
    first, *later = file.requests
    assert "Range" not in first.headers
    assert {request.headers["Accept-Encoding"] for request in file.requests} == {"identity"}
    assert {request.headers["If-Range"] for request in later if "Range" in request.headers} <= {file.etag}


@pytest.mark.parametrize("etag", ['"one"', 'W/"one"', ""])
async def test_a_download_that_keeps_breaking_is_resumed_by_the_next_command(
    media: MediaServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], etag: str
) -> None:
    file = media.add("/a.png", CONTENT, etag=etag, faults=[{"cut": 70_000}] * ATTEMPTS)
    assert await refused(media, tmp_path)
    errors = capsys.readouterr().err
    assert "output 1 cannot be saved" in errors
    assert "canary" not in errors
    assert "g1-1.png" not in names(tmp_path)
    assert len(file.requests) == (ATTEMPTS if etag == '"one"' else 1)

    file.faults.clear()
    (path,) = await saved(media, tmp_path)
    assert path.read_bytes() == CONTENT
    assert names(tmp_path) == ["g1-1.png"]


@pytest.mark.parametrize("etag", ['"one"', ""])
async def test_two_commands_save_an_output_one_after_the_other(
    media: MediaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, etag: str
) -> None:
    loop, half, waits = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    flock = fcntl.flock

    def noticed(file: IO[bytes], operation: int) -> None:
        if half.is_set():
            loop.call_soon_threadsafe(waits.set)
        flock(file, operation)

    async def sent() -> None:
        half.set()
        await waits.wait()

    monkeypatch.setattr(fcntl, "flock", noticed)
    file = media.add("/a.png", CONTENT, etag=etag, faults=[{"at": 200_000, "then": sent}])
    first = asyncio.create_task(saved(media, tmp_path))
    await asyncio.wait_for(half.wait(), 30)
    second = asyncio.create_task(saved(media, tmp_path))
    (path,) = await asyncio.wait_for(first, 30)
    assert path.read_bytes() == CONTENT
    assert await asyncio.wait_for(second, 30) == [path]
    assert path.read_bytes() == CONTENT
    assert names(tmp_path) == ["g1-1.png"]
    assert file.ranges == ["", ""]


async def test_an_output_that_is_gone_leaves_no_part(media: MediaServer, tmp_path: Path) -> None:
    media.add("/a.png", CONTENT, faults=[{"status": 404}])
    assert await refused(media, tmp_path)
    assert names(tmp_path) == []


async def test_a_part_of_another_version_is_discarded(media: MediaServer, tmp_path: Path) -> None:
    (tmp_path / "g1-1.part").write_bytes(b"x" * 1000)
    (tmp_path / "g1-1.part.etag").write_text('"of yesterday"')
    media.add("/a.png", CONTENT)
    (path,) = await saved(media, tmp_path)
    assert path.read_bytes() == CONTENT


async def test_a_part_is_not_continued_with_another_version(media: MediaServer, tmp_path: Path) -> None:
    """Some servers send the range although If-Range names another version."""
    (tmp_path / "g1-1.part").write_bytes(b"x" * 1000)
    (tmp_path / "g1-1.part.etag").write_text('"of yesterday"')
    media.add("/a.png", CONTENT, conditional=False)
    (path,) = await saved(media, tmp_path)
    assert path.read_bytes() == CONTENT


async def test_a_compressed_response_is_refused(
    media: MediaServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its bytes would be saved as the output, which no program could open."""
    media.add("/a.png", CONTENT, faults=[{"headers": {"Content-Encoding": "gzip"}}] * ATTEMPTS)
    assert await refused(media, tmp_path)
    assert "compressed" in capsys.readouterr().err
    assert "g1-1.png" not in names(tmp_path)


async def test_a_response_whose_end_cannot_be_recognized_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a length, a download that was cut off looks like a complete one."""

    async def cut_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf of a picture")
        writer.close()

    async with await asyncio.start_server(cut_off, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        assert await attempted(f"http://{host}:{port}/a.png", tmp_path, local=True) == [None]
    assert "no length" in capsys.readouterr().err
    assert names(tmp_path) == []


@pytest.mark.parametrize("length", [len(CONTENT), len(CONTENT) + 5])
async def test_a_part_longer_than_the_file_is_discarded(media: MediaServer, tmp_path: Path, length: int) -> None:
    (tmp_path / "g1-1.part").write_bytes(b"x" * length)
    (tmp_path / "g1-1.part.etag").write_text('"one"')
    media.add("/a.png", CONTENT, faults=[{"status": 416}])
    (path,) = await saved(media, tmp_path)
    assert path.read_bytes() == CONTENT


async def test_a_short_partial_response_is_continued(media: MediaServer, tmp_path: Path) -> None:
    (tmp_path / "g1-1.part").write_bytes(CONTENT[:1000])
    (tmp_path / "g1-1.part.etag").write_text('"one"')
    media.add("/a.png", CONTENT, faults=[{"more": -1000}])
    (path,) = await saved(media, tmp_path)
    assert path.read_bytes() == CONTENT


async def test_a_part_without_an_etag_is_not_resumed(media: MediaServer, tmp_path: Path) -> None:
    (tmp_path / "g1-1.part").write_bytes(b"x" * 1000)
    (tmp_path / "g1-1.part.etag").write_text('"one"')
    file = media.add("/a.png", CONTENT[::-1], etag="", ranged=False, faults=[{"cut": 70_000}])
    assert await refused(media, tmp_path)
    file.content, file.etag, file.ranged = CONTENT, '"one"', True
    (path,) = await saved(media, tmp_path)
    assert path.read_bytes() == CONTENT


async def test_a_wrong_content_range_is_refused(
    media: MediaServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "g1-1.part").write_bytes(CONTENT[:1000])
    (tmp_path / "g1-1.part.etag").write_text('"one"')
    wrong = {"headers": {"Content-Range": f"bytes 5-{len(CONTENT) - 1}/{len(CONTENT)}"}}
    media.add("/a.png", CONTENT, faults=[wrong] * ATTEMPTS)
    assert await refused(media, tmp_path)
    assert "not the requested part" in capsys.readouterr().err
    assert "g1-1.png" not in names(tmp_path)


async def test_a_refused_download_is_reported_and_leaves_no_file(
    media: MediaServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    media.add("/a.png", CONTENT, faults=[{"status": 403}])
    assert await refused(media, tmp_path)
    assert "HTTP status 403" in capsys.readouterr().err
    assert names(tmp_path) == []


@pytest.mark.parametrize("to", ["http://169.254.169.254/latest", "https://10.0.0.1/a.png", "file:///etc/passwd"])
async def test_a_redirect_to_a_private_address_is_refused(media: MediaServer, tmp_path: Path, to: str) -> None:
    media.add("/a.png", CONTENT, faults=[{"status": 302, "headers": {"Location": to}}])
    assert await refused(media, tmp_path)
    assert names(tmp_path) == []


async def test_a_redirect_on_the_same_host_is_followed(media: MediaServer, tmp_path: Path) -> None:
    media.add("/a.png", CONTENT, faults=[{"status": 302, "headers": {"Location": "/b.png"}}])
    media.add("/b.png", CONTENT)
    (path,) = await saved(media, tmp_path)
    assert path.read_bytes() == CONTENT


async def test_endless_redirects_are_given_up(media: MediaServer, tmp_path: Path) -> None:
    file = media.add("/a.png", CONTENT, faults=[{"status": 302, "headers": {"Location": "/a.png"}}] * 100)
    assert await refused(media, tmp_path)
    assert len(file.requests) <= 10


@pytest.mark.parametrize(
    ("path", "kind", "name"),
    [
        ("/a", "image/png; charset=binary", "g1-1.png"),
        ("/a", "video/mp4", "g1-1.mp4"),
        ("/a.webp", "image/png", "g1-1.webp"),
        ("/a.not-a-suffix", "unknown/kind", "g1-1.bin"),
    ],
)
async def test_a_file_without_a_length_is_saved_by_its_suffix_or_else_by_its_content_type(
    media: MediaServer, tmp_path: Path, path: str, kind: str, name: str
) -> None:
    media.add(path, CONTENT, faults=[{"chunked": True, "headers": {"Content-Type": kind}}])
    (saved_as,) = await saved(media, tmp_path, path)
    assert saved_as.read_bytes() == CONTENT
    assert names(tmp_path) == [name]
