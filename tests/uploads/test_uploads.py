"""Uploads through the gateway and directly to the sandbox's storage, over real sockets."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from PIL import Image

from gateway.higgsfield.uploads import SLOT_SECONDS
from gateway.rpc.limits import call_limits
from gateway.uploads import service
from gateway.uploads.service import MAX_CHUNK_BYTES, MEDIA_KEPT
from hfgateway.v1 import upload_service_pb2 as pb
from hfgateway.v1.upload_service_pb2_grpc import UploadServiceStub
from hfgateway_client import AsyncClient, dop
from hfgateway_client._async.timers import Timers
from hfgateway_client.errors import GatewayError, GatewayOverloaded, InputRefused, InvalidInput, UpstreamUnavailable
from hfgateway_client.responses import result_of
from hfgateway_client.status import error_from_rpc
from tests.support.promises import reasons_of
from tests.support.running import WAIT_TIMEOUT, Running, eventually, run, soul
from tests.support.transports import ConnectTransport

PNG = b"\x89PNG" + bytes(range(256)) * 100


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with run(tmp_path) as started:
        yield started


@pytest.fixture
async def stub(running: Running) -> AsyncIterator[UploadServiceStub]:
    async with grpc.aio.insecure_channel(running.gateway.grpc_address) as channel:
        yield UploadServiceStub(channel)


def header(content_type: str = "image/png", size: int | None = None) -> pb.UploadMediaRequest:
    return pb.UploadMediaRequest(header=pb.UploadHeader(content_type=content_type, size=size))


def chunks(content: bytes, length: int = 1000) -> list[pb.UploadMediaRequest]:
    return [pb.UploadMediaRequest(chunk=content[at : at + length]) for at in range(0, len(content), length)]


async def uploaded(stub: UploadServiceStub, requests: Iterable[pb.UploadMediaRequest]) -> pb.UploadMediaResponse:
    try:
        answer: pb.UploadMediaResponse = await result_of(stub.UploadMedia(iter(requests)))
    except grpc.aio.AioRpcError as error:
        raise error_from_rpc(error) from None
    return answer


async def content_of(url: str) -> bytes:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
        return await answer.read()


async def test_an_upload_whose_key_is_revoked_ends_without_a_file(tmp_path: Path) -> None:
    revoked = asyncio.Event()

    async def slow() -> AsyncIterator[pb.UploadMediaRequest]:
        first, *rest = chunks(PNG)
        yield header()
        yield first
        await revoked.wait()
        for chunk in rest:
            yield chunk

    async with run(tmp_path, AUTH="keys") as running:
        secret = await running.key("shop")
        async with grpc.aio.insecure_channel(running.gateway.grpc_address) as channel:
            upload = UploadServiceStub(channel).UploadMedia(slow(), metadata=[("authorization", f"Bearer {secret}")])
            await running.calls_open("UploadMedia", 1, "UploadService")
            await running.gateway.access.revoke_key(secret.split("_")[1])
            revoked.set()
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                async with asyncio.timeout(WAIT_TIMEOUT):
                    await result_of(upload)
        assert ended.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert running.ledger.uploads == 0


async def test_higgsfields_refusals_of_an_upload_have_its_documented_reasons(
    running: Running, stub: UploadServiceStub
) -> None:
    refusals: dict[str, set[str]] = {"UploadMedia": set(), "CreateUpload": set()}
    for status in (400, 401, 402, 403, 404, 422, 423, 429, 500):
        running.plan(on="upload", status=status, body={"detail": "no"}, times=2)
        with pytest.raises(GatewayError) as raised:
            await uploaded(stub, [header(size=len(PNG)), *chunks(PNG)])
        refusals["UploadMedia"].add(raised.value.reason)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.CreateUpload(pb.CreateUploadRequest(content_type="image/png"))
        refusals["CreateUpload"].add(error_from_rpc(refused.value).reason)
    for method, reasons in refusals.items():
        assert reasons == reasons_of(method, "upload_service") - {"INVALID_INPUT"}


@pytest.mark.parametrize("size", [len(PNG), None], ids=["of known size", "of unknown size"])
async def test_an_uploaded_file_can_be_read_and_used_as_input(
    running: Running, stub: UploadServiceStub, size: int | None
) -> None:
    began = time.time()
    answer = await uploaded(stub, [header(size=size), *chunks(PNG)])

    assert answer.size == len(PNG)
    assert await content_of(answer.url) == PNG
    assert began <= answer.expire_time.ToNanoseconds() / 1e9 - MEDIA_KEPT <= time.time()
    request = soul("a fox")
    request.input.soul.image_reference_url = answer.url
    assert (await running.submit(request)).id
    assert running.ledger.uploads == 1
    assert running.ledger.credentials_sent_to_storage == 0


async def test_a_direct_upload_needs_the_returned_headers(running: Running, stub: UploadServiceStub) -> None:
    slot = await stub.CreateUpload(pb.CreateUploadRequest(content_type="video/mp4"))

    assert 0 < slot.expire_time.seconds - slot.upload_expire_time.seconds < MEDIA_KEPT
    async with aiohttp.ClientSession() as session:
        async with session.put(slot.upload_url, data=PNG, headers={"Content-Type": "video/mp4"}) as answer:
            assert answer.status == 403
        async with session.put(slot.upload_url, data=PNG, headers=dict(slot.upload_headers)) as answer:
            assert answer.status == 200
    assert await content_of(slot.url) == PNG


EMPTY = pb.UploadMediaRequest(chunk=b"")
WRONG: dict[str, tuple[list[pb.UploadMediaRequest], str]] = {
    "nothing": ([], "header"),
    "no header": (chunks(PNG), "header"),
    "a second header": ([header(size=2000), *chunks(PNG[:1000]), header()], "header"),
    "more than was said": ([header(size=10), *chunks(PNG)], "header.size"),
    "one byte more": ([header(size=1999), *chunks(PNG[:2000])], "header.size"),
    "more after an empty chunk": ([header(size=2000), *chunks(PNG[:2000]), EMPTY, *chunks(b"x")], "header.size"),
    "fewer than was said": ([header(size=10**6), *chunks(PNG)], "header.size"),
    "one byte fewer": ([header(size=2001), *chunks(PNG[:2000])], "header.size"),
    "none at all": ([header()], "chunk"),
    "a size of nothing": ([header(size=0)], "header.size"),
    "a negative size": ([header(size=-1)], "header.size"),
    "too large a chunk": ([header(), pb.UploadMediaRequest(chunk=bytes(MAX_CHUNK_BYTES + 1))], "chunk"),
    "no type": ([header(content_type="")], "header.content_type"),
    "a type that breaks lines": ([header(content_type="image/png\r\nx: y")], "header.content_type"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_an_invalid_upload_leaves_no_file(running: Running, stub: UploadServiceStub, name: str) -> None:
    requests, field = WRONG[name]
    with pytest.raises(InvalidInput) as refused:
        await uploaded(stub, requests)
    assert refused.value.reason == "INVALID_INPUT"
    assert [violation.field for violation in refused.value.field_violations] == [field]
    await uploaded(stub, [header(), *chunks(PNG)])  # by then the storage has handled the first call
    assert running.ledger.uploads == 1


@pytest.mark.parametrize("known", [True, False], ids=["of known size", "of unknown size"])
async def test_the_size_of_a_file_is_limited(
    running: Running, stub: UploadServiceStub, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    monkeypatch.setattr(service, "MAX_MEDIA_BYTES", 3000)
    with pytest.raises(InvalidInput) as refused:
        await uploaded(stub, [header(size=3001 if known else None), *chunks(PNG[:3001])])
    assert [one.field for one in refused.value.field_violations] == ["header.size" if known else "chunk"]
    assert running.ledger.uploads == 0
    assert (await uploaded(stub, [header(size=3000 if known else None), *chunks(PNG[:3000])])).size == 3000


async def test_an_upload_of_one_tenant_leaves_space_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.uploads.spool._free", lambda descriptor: len(PNG) * 3 // 2)
    ended = asyncio.Event()

    async def source(*, slow: bool = False) -> AsyncIterator[bytes]:
        yield PNG
        if slow:
            await ended.wait()

    async with (
        run(tmp_path, AUTH="keys") as running,
        AsyncClient(running.gateway.grpc_address, api_key=await running.key("one")) as one,
        AsyncClient(running.gateway.grpc_address, api_key=await running.key("two")) as two,
    ):
        slow = asyncio.create_task(one.upload(source(slow=True), "image/png"))
        await eventually(lambda: running.gateway._core.uploads._spool._held.total() == len(PNG))
        with pytest.raises(GatewayOverloaded):
            await one.upload(source(), "image/png")
        await two.upload(source(), "image/png")
        ended.set()
        await slow
    assert running.ledger.uploads == 2


async def test_an_unsupported_content_type_is_named(running: Running, stub: UploadServiceStub) -> None:
    with pytest.raises(InputRefused) as refused:
        await uploaded(stub, [header(content_type="text/plain"), *chunks(PNG)])
    assert [violation.field for violation in refused.value.field_violations] == ["header.content_type"]
    with pytest.raises(grpc.aio.AioRpcError) as past:
        await stub.CreateUpload(pb.CreateUploadRequest(content_type="text/plain"))
    assert [violation.field for violation in error_from_rpc(past.value).field_violations] == ["content_type"]


@pytest.mark.parametrize(
    "fault",
    [
        {"on": "upload", "kind": "503"},
        {"on": "upload", "kind": "reset"},
        {"on": "upload", "patch": {"upload_url": "ftp://elsewhere.test/"}},
        {"on": "upload", "patch": {"upload_url": "https://user:word@elsewhere.test/"}},
        {"on": "upload", "patch": {"upload_url": f"https://{'a' * 64}.test/"}},  # no name in DNS
        {"on": "upload", "patch": {"upload_url": "http://127.0.0.1:9/\x7f"}},
        {"on": "upload", "patch": {"public_url": "ftp://elsewhere.test/"}},
        {"on": "upload", "body": {"unknown": "shape"}, "status": 200},
        {"on": "storage", "kind": "503"},
        {"on": "storage", "kind": "reset"},
        {"on": "storage", "status": 307, "headers": {"Location": "http://127.0.0.1:9/"}},
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [len(PNG), None], ids=["known", "unknown"])
async def test_an_upstream_failure_is_reported_as_unavailable(
    running: Running, stub: UploadServiceStub, fault: dict[str, Any], size: int | None
) -> None:
    running.plan(**fault)
    with pytest.raises(UpstreamUnavailable) as away:
        await uploaded(stub, [header(size=size), *chunks(PNG)])
    assert "Signature" not in str(away.value)
    assert running.ledger.uploads == 0
    # An upload is free, so it is simply repeated.
    assert (await uploaded(stub, [header(size=size), *chunks(PNG)])).size == len(PNG)


async def test_a_redirect_of_the_storage_is_not_followed(running: Running, stub: UploadServiceStub) -> None:
    other = await uploaded(stub, [header(), *chunks(PNG)])
    running.plan(on="storage", status=303, headers={"Location": other.url})
    with pytest.raises(UpstreamUnavailable):
        await uploaded(stub, [header(), *chunks(PNG)])


async def test_a_proxy_of_the_environment_is_not_used(
    running: Running, stub: UploadServiceStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert (await uploaded(stub, [header(), *chunks(PNG)])).size == len(PNG)


async def test_no_header_of_the_connection_is_set_by_a_slot(running: Running, stub: UploadServiceStub) -> None:
    refused = ("Host", "Authorization", "Cookie", "content-length", "Transfer-Encoding", "Connection", "a b")
    headers = {"Content-Type": "image/png", **dict.fromkeys(refused, "1"), "x-note": "a\nb"}
    running.plan(on="upload", patch={"upload_headers": headers})
    slot = await stub.CreateUpload(pb.CreateUploadRequest(content_type="image/png"))
    assert dict(slot.upload_headers) == {"Content-Type": "image/png"}


@pytest.mark.parametrize("headers", [None, {}])
async def test_a_slot_without_headers_needs_the_content_type(
    running: Running, stub: UploadServiceStub, headers: dict[str, str] | None
) -> None:
    running.plan(on="upload", patch={"upload_headers": headers})
    slot = await stub.CreateUpload(pb.CreateUploadRequest(content_type="image/png"))
    assert dict(slot.upload_headers) == {"Content-Type": "image/png"}


@pytest.mark.parametrize(("said", "seconds"), [("60", 60), ("", SLOT_SECONDS), ("9" * 400, SLOT_SECONDS)])
async def test_a_slot_is_valid_for_as_long_as_its_url_says(
    running: Running, stub: UploadServiceStub, said: str, seconds: float
) -> None:
    running.plan(on="upload", patch={"upload_url": f"https://storage.test/file?X-Amz-Expires={said}"})
    slot = await stub.CreateUpload(pb.CreateUploadRequest(content_type="image/png"))
    assert slot.expire_time.seconds - slot.upload_expire_time.seconds == MEDIA_KEPT - seconds


async def test_a_canceled_upload_leaves_no_file(running: Running, stub: UploadServiceStub) -> None:
    asked_for_more = asyncio.Event()

    async def half() -> AsyncIterator[pb.UploadMediaRequest]:
        yield header(size=len(PNG))
        yield pb.UploadMediaRequest(chunk=PNG[:1000])
        asked_for_more.set()
        await asyncio.Event().wait()

    call = stub.UploadMedia(half())
    leaving = asyncio.create_task(_result(call))
    await asked_for_more.wait()
    call.cancel()
    assert await leaving is None
    assert (await uploaded(stub, [header(), *chunks(PNG)])).size == len(PNG)
    assert running.ledger.uploads == 1


async def test_an_upload_is_refused_if_its_next_chunk_does_not_arrive_in_time(
    running: Running, stub: UploadServiceStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_limits, "BODY_TIMEOUT", 0.2)

    async def half() -> AsyncIterator[pb.UploadMediaRequest]:
        yield header(size=len(PNG))
        yield pb.UploadMediaRequest(chunk=PNG[:1000])
        await asyncio.Event().wait()

    call = stub.UploadMedia(half())
    async with asyncio.timeout(WAIT_TIMEOUT):
        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "did not arrive within 0.2 s" in await call.details()
    assert running.ledger.uploads == 0


async def _result(call: Any) -> Any:
    try:
        return await call
    except (asyncio.CancelledError, grpc.aio.AioRpcError):
        return None


async def test_the_client_uploads_bytes_files_and_streams(running: Running, tmp_path: Path) -> None:
    content = PNG * 40
    path = tmp_path / "picture.png"
    path.write_bytes(content)

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(content), 77_777):
            yield content[at : at + 77_777]

    async with AsyncClient(running.gateway.grpc_address) as client:
        for source in (content, path, pieces()):
            upload = await client.upload(source, content_type="image/png")
            assert await content_of(upload.url) == content
        with pytest.raises(GatewayError):
            await client.upload(content, content_type="text/plain")


async def test_local_media_of_an_input_are_uploaded_first(running: Running, tmp_path: Path) -> None:
    path = tmp_path / "start.png"
    path.write_bytes(PNG)
    picture = Image.new("RGB", (8, 8), "teal")
    async with AsyncClient(running.gateway.grpc_address) as client:
        submission = await client.submit(dop("zoom in", path, end_image_url=picture))

        sent = (await client.get(submission.id)).input.dop
        assert await content_of(sent.image_urls[0]) == PNG
        with Image.open(io.BytesIO(await content_of(sent.end_image_url))) as stored:
            assert (stored.format, stored.size) == ("PNG", (8, 8))
    assert running.ledger.uploads == 2
    assert running.ledger.credentials_sent_to_storage == 0


@pytest.mark.parametrize("size", [len(PNG), None], ids=["of known size", "of unknown size"])
async def test_a_failing_source_leaves_no_file(running: Running, size: int | None) -> None:
    class DiskError(OSError):
        pass

    async def pieces() -> AsyncIterator[bytes]:
        yield PNG
        raise DiskError

    async with AsyncClient(running.gateway.grpc_address) as client:
        with pytest.raises(DiskError):
            await client.upload(pieces(), "image/png", size=size)
    assert running.ledger.uploads == 0


@pytest.mark.parametrize("kind", ["403", "503", "reset", "half"])
async def test_the_client_repeats_a_failed_upload(running: Running, kind: str) -> None:
    running.plan(on="storage", kind=kind)
    # The client pauses before the retry; the test skips the pause.
    timers = Timers(sleep=lambda _seconds: asyncio.sleep(0))
    async with AsyncClient(running.gateway.grpc_address, timers=timers) as client:
        upload = await client.upload(PNG)
        assert await content_of(upload.url) == PNG


async def test_files_are_uploaded_over_connect(running: Running) -> None:
    for name in ("connect-proto", "connect-json"):
        client = running.transports[name]
        assert isinstance(client, ConnectTransport)
        answer = await client.gather("UploadMedia", [header(size=3), pb.UploadMediaRequest(chunk=b"abc")])
        assert await content_of(answer.url) == b"abc"
