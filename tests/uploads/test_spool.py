"""Uploads of unknown size: temporary files that leave space on the disk, and slots that expire during an upload."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import IO

import aiohttp
import grpc
import pytest

from gateway.errors import GatewayError, Reason
from gateway.generations.clock import SystemClock, since_boot
from gateway.higgsfield.client import HiggsfieldClient
from gateway.higgsfield.credentials import Credentials
from gateway.higgsfield.uploads import HiggsfieldStorage
from gateway.sandbox.clock import ManualClock
from gateway.sandbox.http.upload_routes import URL_SECONDS
from gateway.sandbox.server import Sandbox, SandboxOptions
from gateway.uploads.service import Uploads
from gateway.uploads.spool import RETRY_AFTER, Spool
from hfgateway.v1 import upload_service_pb2 as pb
from hfgateway.v1.upload_service_pb2_grpc import UploadServiceStub
from hfgateway_client.errors import GatewayOverloaded
from hfgateway_client.responses import result_of
from hfgateway_client.status import error_from_rpc
from tests.durability.process import GatewayProcess
from tests.support.namespaces import SMALL_DISK_BYTES, small_disk
from tests.support.running import WAIT_TIMEOUT

MEBIBYTE = bytes(1 << 20)


async def media(pieces: int, *, sized: bool = False) -> AsyncIterator[pb.UploadMediaRequest]:
    size = pieces * len(MEBIBYTE) if sized else None
    yield pb.UploadMediaRequest(header=pb.UploadHeader(content_type="video/mp4", size=size))
    for _ in range(pieces):
        yield pb.UploadMediaRequest(chunk=MEBIBYTE)


async def test_a_file_that_leaves_too_little_space_is_refused(tmp_path: Path) -> None:
    large, small = SMALL_DISK_BYTES * 3 // 4 >> 20, SMALL_DISK_BYTES // 4 >> 20
    async with (
        Sandbox(SandboxOptions(port=0)) as sandbox,
        GatewayProcess(
            tmp_path,
            sandbox.url,
            launcher=(*small_disk(tmp_path), sys.executable),
            environment={"TMPDIR": str(tmp_path)},
        ) as gateway,
        gateway.channel() as channel,
    ):
        uploads = UploadServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await result_of(uploads.UploadMedia(media(large)))
        refused = error_from_rpc(raised.value)
        assert isinstance(refused, GatewayOverloaded)
        assert refused.retry_delay == RETRY_AFTER
        # The space is free again, and an upload of known size needs none.
        assert (await uploads.UploadMedia(media(small))).size == small * len(MEBIBYTE)
        assert (await uploads.UploadMedia(media(large, sized=True))).size == large * len(MEBIBYTE)


async def test_a_tenant_that_uses_its_share_leaves_space_for_others() -> None:
    spool = Spool(free=lambda descriptor: 10)
    async with spool.file("one") as first, spool.file("one") as second:
        await first.write(b"123456")
        await second.write(b"1234")
        with pytest.raises(GatewayError) as refused:
            await first.write(b"7")
        assert refused.value.failure.reason is Reason.GATEWAY_OVERLOADED
        assert refused.value.failure.retryable
        async with spool.file("two") as other:
            await other.write(b"1234567890")
            assert [piece async for piece in other.read()] == [b"1234567890"]
    async with spool.file("one") as third:
        await third.write(b"1234567890")
    assert not spool._held


async def test_the_end_of_a_file_frees_only_its_own_space() -> None:
    spool = Spool(free=lambda descriptor: 10)
    async with spool.file("one") as first:
        await first.write(b"123456")
        async with spool.file("one") as second:
            await second.write(b"1234")
        await first.write(b"7890")
        with pytest.raises(GatewayError):
            await first.write(b"1")


async def test_a_full_disk_is_reported_as_overload(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**options: object) -> object:
        return open("/dev/full", "r+b", buffering=0)

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(GatewayError) as refused:
        async with Spool(free=lambda descriptor: 10).file("one") as file:
            await file.write(b"1")
    assert refused.value.failure.reason is Reason.GATEWAY_OVERLOADED


async def test_a_file_whose_last_bytes_do_not_fit_on_the_disk_frees_its_space(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is buffered, so the error comes when it is closed."""
    spool = Spool(free=lambda descriptor: 10)
    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "TemporaryFile", partial(open, "/dev/full", "wb"))
        with pytest.raises(GatewayError) as refused:
            async with spool.file("one") as file:
                await file.write(b"1234567890")
        assert refused.value.failure.reason is Reason.GATEWAY_OVERLOADED
    async with spool.file("one") as file:
        await file.write(b"1234567890")


async def test_a_thread_creates_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the event loop, a disk that hangs would stop all calls."""
    create, creators = tempfile.TemporaryFile, list[threading.Thread]()

    def recorded() -> IO[bytes]:
        creators.append(threading.current_thread())
        return create()

    monkeypatch.setattr(tempfile, "TemporaryFile", recorded)
    async with Spool().file("films") as file:
        await file.write(b"a fox")
        assert [piece async for piece in file.read()] == [b"a fox"]
    assert len(creators) == 1
    assert creators[0] is not threading.current_thread()


async def test_another_error_of_the_disk_ends_the_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", partial(open, "/dev/null", "rb"))
    with pytest.raises(OSError, match="write"):
        async with Spool(free=lambda descriptor: 10).file("one") as file:
            await file.write(b"1")


async def test_a_slot_that_expires_during_a_slow_upload_is_replaced() -> None:
    later, at_higgsfield = 0.0, ManualClock()

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal later
        yield b"one"
        later = URL_SECONDS / 2 + 1
        at_higgsfield.advance(URL_SECONDS + 1)  # a slow PUT takes the rest
        yield b"two"

    clock = SystemClock(wall=time.time, monotonic=lambda: since_boot() + later)
    async with asyncio.timeout(WAIT_TIMEOUT), Sandbox(SandboxOptions(port=0), at_higgsfield) as sandbox:
        client = HiggsfieldClient(sandbox.url, Credentials("sandbox", "sandbox"))
        storage = HiggsfieldStorage(lambda tenant: client, timeout=WAIT_TIMEOUT)
        try:
            stored = await Uploads(storage, clock).store("tenant", "image/png", None, chunks())
            async with aiohttp.ClientSession() as session, session.get(stored.url) as answer:
                assert await answer.read() == b"onetwo"
        finally:
            await storage.aclose()
            await client.aclose()
