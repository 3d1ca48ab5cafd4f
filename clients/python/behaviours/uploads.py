"""Uploads of media to Higgsfield's storage."""

from __future__ import annotations

import asyncio
import struct
import tempfile
import urllib.request
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

from behaviours.stage import TIMEOUT, Stage, behaviour, unique
from hfgateway_client import dop, errors

LARGE = bytes(3 * 1024 * 1024)


def png() -> bytes:
    """Return a PNG image of one grey pixel."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(b"\0\x80")), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@behaviour
async def upload_bytes(stage: Stage) -> None:
    image = png()
    stored = await stage.client.upload(image, "image/png", timeout=TIMEOUT)
    assert (stored.url.startswith("http"), stored.size) == (True, len(image))
    submission = await stage.client.submit(dop(unique("zoom in"), stored.url))
    assert submission.generation.HasField("accept_time")


@behaviour
async def upload_stream(stage: Stage) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(LARGE), 100_000):
            yield LARGE[start : start + 100_000]

    stored = await stage.client.upload(pieces(), "video/mp4", timeout=TIMEOUT)
    assert (stored.url.startswith("http"), stored.size) == (True, len(LARGE))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "media.mp4"
        await asyncio.to_thread(path.write_bytes, LARGE)
        stored = await stage.client.upload(path, "video/mp4", timeout=TIMEOUT)
    assert (stored.url.startswith("http"), stored.size) == (True, len(LARGE))


@behaviour
async def upload_refused(stage: Stage) -> None:
    try:
        await stage.client.upload(b"words", "text/html", timeout=TIMEOUT)
    except errors.InvalidInput as error:
        assert error.reason in ("INPUT_REFUSED", "INVALID_INPUT"), error.reason
        return
    raise AssertionError("text/html was accepted")


@behaviour
async def create_upload(stage: Stage) -> None:
    image = png()
    created = await stage.client.create_upload("image/png")
    assert created.upload_url.startswith("http")
    await asyncio.to_thread(_put, created.upload_url, dict(created.upload_headers), image)
    assert await asyncio.to_thread(_read, created.url) == image


def _put(url: str, headers: dict[str, str], body: bytes) -> None:
    request = urllib.request.Request(url, body, headers, method="PUT")  # noqa: S310 - a URL of the sandbox
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310
        assert response.status in (200, 201, 204), response.status


def _read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:  # noqa: S310 - a URL of the sandbox
        body: bytes = response.read()
        return body
