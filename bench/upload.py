"""Uploads: a file of 1 GiB through a gateway to the sandbox's storage, compared with a PUT directly to the storage.

The goal is that the gateway's memory does not grow with the file. The storage hashes the file, and the hash is compared
with that of the sent bytes.
"""

import hashlib
import re
import time
from collections.abc import AsyncIterator

import aiohttp
import grpc

from bench import processes
from bench.figures import Figure, at_least, promised, ratio, value
from bench.load import Effort
from hfgateway.v1 import upload_service_pb2 as pb
from hfgateway.v1.upload_service_pb2_grpc import UploadServiceStub

TYPE = "video/mp4"
PIECE = bytes(range(256)) * 1024
"""256 KiB, as the clients send them."""
MEBI = 1 << 20
MAX_GROWTH = 32.0
"""MiB."""


async def run(effort: Effort) -> list[Figure]:
    """Measure uploads and PUTs in turn on one gateway. The growth of memory is that of all uploads."""
    async with (
        processes.running(processes.SANDBOX) as sandbox,
        processes.gateway(sandbox) as gateway,
        grpc.aio.insecure_channel(gateway.address) as channel,
        aiohttp.ClientSession(f"http://{sandbox.address}") as session,
    ):
        stub = UploadServiceStub(channel)
        await _upload(stub, 8 * MEBI, known_size=True)  # the imports of the first upload do not count as growth
        before = gateway.memory()
        gateway.reset_peak_memory()
        bare, ours = [], []
        for _ in range(min(effort.rounds, 3)):
            bare.append(await _put_directly(session, effort.upload))
            speed, url = await _upload(stub, effort.upload, known_size=True)
            ours.append(speed)
        growth = (gateway.peak_memory() - before) / MEBI
        await _check_stored(session, url, effort.upload)
        gateway.reset_peak_memory()
        unknown, _ = await _upload(stub, effort.upload, known_size=False)
        growth_unknown = (gateway.peak_memory() - before) / MEBI
    size = f"{effort.upload / MEBI:g} MiB"
    return [
        value(f"memory during {size}, growth", "MiB", growth, promised(MAX_GROWTH)),
        value("memory during an upload of unknown size, growth", "MiB", growth_unknown, promised(MAX_GROWTH)),
        ratio("upload vs a bare PUT", "MB/s", ours, bare, at_least(0.2)),
        value("upload of unknown size", "MB/s", unknown),
    ]


async def _upload(stub: UploadServiceStub, size: int, *, known_size: bool) -> tuple[float, str]:
    """Upload `size` bytes through the gateway; returns MB/s and the URL of the file."""

    async def parts() -> AsyncIterator[pb.UploadMediaRequest]:
        yield pb.UploadMediaRequest(header=pb.UploadHeader(content_type=TYPE, size=size if known_size else None))
        part = pb.UploadMediaRequest(chunk=PIECE)
        for _ in range(size // len(PIECE)):
            yield part

    start = time.perf_counter()
    answer = await stub.UploadMedia(parts())
    assert answer.size == size
    return size / 1e6 / (time.perf_counter() - start), answer.url


async def _put_directly(session: aiohttp.ClientSession, size: int) -> float:
    """PUT `size` bytes directly to the storage; returns MB/s."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(size // len(PIECE)):
            yield PIECE

    start = time.perf_counter()
    headers = {"Authorization": "Key sandbox:sandbox"}
    async with session.post("/files/generate-upload-url", json={"content_type": TYPE}, headers=headers) as answer:
        slot = await answer.json()
    headers = slot["upload_headers"] | {"Content-Length": str(size)}
    async with session.put(slot["upload_url"], data=pieces(), headers=headers) as answer:
        answer.raise_for_status()
    return size / 1e6 / (time.perf_counter() - start)


async def _check_stored(session: aiohttp.ClientSession, url: str, size: int) -> None:
    """Raise AssertionError if the stored file differs from the uploaded one."""
    wanted = hashlib.sha256()
    for _ in range(size // len(PIECE)):
        wanted.update(PIECE)
    async with session.get(url) as answer:
        if answer.status == 410:
            found = re.search(r"(\d+) bytes, SHA-256 (\w+)", await answer.text())
            assert found is not None
            assert (int(found[1]), found[2]) == (size, wanted.hexdigest())
            return
        seen = hashlib.sha256()
        async for piece in answer.content.iter_chunked(len(PIECE)):
            seen.update(piece)
        assert seen.digest() == wanted.digest()
