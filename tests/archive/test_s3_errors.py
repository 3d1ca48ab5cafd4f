"""What an error of an S3-compatible store says in the log: its cause, and none of the request or the response."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from gateway.archive.ports import ArchiveError
from gateway.object_storage import s3
from gateway.object_storage.s3 import Bucket
from gateway.process import core
from tests.support.addresses import free_port
from tests.support.running import WAIT_TIMEOUT

SECRET = "AKIASWORDFISHSWORDFISH"
ERROR = f"<Error><Code>InvalidAccessKeyId</Code><Message>The Access Key Id {SECRET} does not exist</Message></Error>"
DENIED = (
    "<DeleteResult><Error><Key>prefix/shop/a.png</Key><Code>AccessDenied</Code>"
    f"<Message>{SECRET} is not authorized</Message></Error></DeleteResult>"
)
"""The response to a removal that no policy allows."""


@asynccontextmanager
async def serving(handle: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    """Handle every request with a function, and yield the URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port := free_port()).start()
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    environment = {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": SECRET, "AWS_SECRET_ACCESS_KEY": SECRET}
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    return Bucket("outputs", "prefix", environment)


async def refusal(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the error of a removal at an endpoint."""
    with pytest.raises(ArchiveError) as raised:
        await bucket(endpoint, monkeypatch).remove("shop/a.png")
    assert SECRET not in str(raised.value)
    assert "a.png" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        (403, ERROR, "403, InvalidAccessKeyId"),
        (400, ERROR.replace("InvalidAccessKeyId", "ExpiredToken"), "400, ExpiredToken"),
        (404, "no bucket", "404"),
        (301, "", "incorrectly configured region"),
        (200, DENIED, "AccessDenied"),
    ],
)
async def test_a_refusal_has_the_status_and_the_code(
    status: int, body: str, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body)

    async with serving(refuse) as endpoint:
        assert (await refusal(endpoint, monkeypatch)).endswith(f" ({cause})")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("AWS_ENDPOINT_URL", "store:9000"),
        ("AWS_ENDPOINT_URL", "ftp://minio"),
        ("AWS_ENDPOINT", "127.0.0.1:9000"),
        ("AWS_ENDPOINT_URL_S3", f"http://user:{SECRET}@minio"),
        ("AWS_REGION", "eu central-1"),
    ],
)
def test_a_variable_with_which_the_library_would_panic_is_named(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(ArchiveError, match=f"^{name} must be ") as raised:
        Bucket("outputs", "", os.environ)
    assert text not in str(raised.value)


async def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """An orchestrator may pass variables on that are not set."""
    tokens = []

    async def refuse(request: web.Request) -> web.Response:
        tokens.append(request.headers.get("x-amz-security-token"))
        return web.Response(status=403)

    async with serving(refuse) as endpoint:
        for name, text in {
            "AWS_ENDPOINT_URL": "", "AWS_ENDPOINT": endpoint, "AWS_SESSION_TOKEN": "", "AWS_REGION": "",
            "AWS_ACCESS_KEY_ID": SECRET, "AWS_SECRET_ACCESS_KEY": SECRET,
        }.items():  # fmt: skip
            monkeypatch.setenv(name, text)
        with pytest.raises(ArchiveError, match="403"):
            await Bucket("outputs", "prefix", os.environ).remove("shop/a.png")
    assert tokens == [None]


async def test_a_refused_connection_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Connection refused" in await refusal(f"http://127.0.0.1:{free_port()}", monkeypatch)


async def test_a_store_that_does_not_respond_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.object_storage.s3.REQUEST_TIMEOUT", 0.1)

    with socket.create_server(("127.0.0.1", port := free_port())):  # the kernel accepts, and nothing reads
        assert "TimedOut" in await refusal(f"http://127.0.0.1:{port}", monkeypatch)


async def test_a_reset_connection_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def reset(request: web.Request) -> web.Response:
        assert request.transport is not None
        reset_on_close = struct.pack("ii", 1, 0)
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset_on_close)
        request.transport.abort()
        return web.Response()

    async with serving(reset) as endpoint:
        assert "Connection reset" in await refusal(endpoint, monkeypatch)


async def test_an_interrupted_upload_ends_although_its_store_does_not_abort_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "ABORT_TIMEOUT", 0.1)
    started, let_go = asyncio.Event(), asyncio.Event()
    content_ended = False

    async def handle(request: web.Request) -> web.Response:
        async for _ in request.content.iter_any():
            pass
        if request.method == "DELETE":
            await let_go.wait()
        return web.Response(text="<Upload><UploadId>one</UploadId></Upload>", headers={"ETag": '"part"'})

    async def content() -> AsyncIterator[bytes]:
        nonlocal content_ended
        yield bytes(2 * s3.PART_SIZE)
        started.set()
        try:
            await let_go.wait()
        finally:
            content_ended = True

    async with serving(handle) as endpoint, asyncio.timeout(WAIT_TIMEOUT):
        try:
            uploading = asyncio.create_task(bucket(endpoint, monkeypatch).write("a.png", None, "", content(), ""))
            await started.wait()
            uploading.cancel()
            await asyncio.wait({uploading})
            assert uploading.cancelled()
            assert content_ended
        finally:
            let_go.set()


async def test_a_store_that_returns_other_bytes_fails_its_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    removed = False

    async def handle(request: web.Request) -> web.Response:
        nonlocal removed
        headers = {"ETag": '"one"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        if request.method in {"HEAD", "GET"}:
            other = {"Content-Range": "bytes 0-15/16"} if "Range" in request.headers else {}
            return web.Response(status=206 if other else 200, body=bytes(16), headers=headers | other)
        if "delete" in request.query:
            removed = True
            return web.Response(text="<DeleteResult><Deleted><Key>a</Key></Deleted></DeleteResult>")
        return web.Response(text="<Upload><UploadId>one</UploadId><ETag>one</ETag></Upload>", headers=headers)

    async with serving(handle) as endpoint:
        with pytest.raises(ArchiveError, match="could not be read back"):
            await bucket(endpoint, monkeypatch).probe()
    assert removed


def test_a_drain_waits_longer_than_an_upload_may_take_to_be_aborted() -> None:
    """Otherwise a stop during an outage of the store is logged as a disk that hangs."""
    assert s3.ABORT_TIMEOUT < core.PARTS_STOP_TIMEOUT
