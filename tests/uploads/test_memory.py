"""Uploads of any size need little memory in the gateway. For a GiB, run `python -m bench upload`."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from gateway.sandbox.server import Sandbox, SandboxOptions
from hfgateway.v1 import upload_service_pb2 as pb
from hfgateway.v1.upload_service_pb2_grpc import UploadServiceStub
from tests.durability.process import GatewayProcess

PIECE = bytes(range(256)) * 1024
SIZE = 64 << 20
MAX_GROWTH = 24 << 20
"""Bytes: far less than the file, far more than is in flight at a time."""


async def parts(size: int, *, sized: bool) -> AsyncIterator[pb.UploadMediaRequest]:
    yield pb.UploadMediaRequest(header=pb.UploadHeader(content_type="video/mp4", size=size if sized else None))
    for _ in range(size // len(PIECE)):
        yield pb.UploadMediaRequest(chunk=PIECE)


def memory(pid: int, name: str) -> int:
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


async def hash_of(url: str) -> str:
    seen = hashlib.sha256()
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        async for piece in answer.content.iter_chunked(1 << 20):
            seen.update(piece)
    return seen.hexdigest()


@pytest.mark.parametrize("sized", [True, False], ids=["of known size", "of unknown size"])
async def test_a_large_upload_is_streamed_with_little_memory(tmp_path: Path, sized: bool) -> None:
    async with Sandbox(SandboxOptions(port=0)) as sandbox, GatewayProcess(tmp_path, sandbox.url) as gateway:
        async with gateway.channel() as channel:
            uploads = UploadServiceStub(channel)
            await uploads.UploadMedia(parts(len(PIECE), sized=sized))
            before = memory(gateway.pid, "VmRSS")
            Path(f"/proc/{gateway.pid}/clear_refs").write_text("5")  # reset the peak

            answer = await uploads.UploadMedia(parts(SIZE, sized=sized))

            assert memory(gateway.pid, "VmHWM") - before < MAX_GROWTH
        assert answer.size == SIZE
        assert await hash_of(answer.url) == hashlib.sha256(PIECE * (SIZE // len(PIECE))).hexdigest()
        assert sandbox.ledger.credentials_sent_to_storage == 0
