"""Uploads from all kinds of sources, with both clients, and watch tokens."""

import asyncio
import io
import itertools
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Timer
from typing import Any

import grpc
import pytest
from grpc._cython import cygrpc
from grpc.aio._call import _StreamRequestMixin
from PIL import Image

from clients.python.tests.scripted_gateway import ScriptedGateway, refusal
from hfgateway.v1.token_service_pb2 import CreateWatchTokenResponse
from hfgateway.v1.upload_service_pb2 import CreateUploadResponse, UploadHeader, UploadMediaRequest, UploadMediaResponse
from hfgateway.v1.upload_service_pb2_grpc import UploadServiceStub
from hfgateway_client import AsyncClient, Client, RetryPolicy, dop, errors, soul
from hfgateway_client.responses import result_of
from hfgateway_client.status import error_from_rpc
from hfgateway_client.uploads import UploadParts, media

MEDIA = bytes(range(256)) * 3000  # 750 KiB
RESPONSE = UploadMediaResponse(url="https://media.test/1", size=len(MEDIA))
CHUNK = 256 * 1024


def pieces() -> Iterator[bytes]:
    yield MEDIA[:5]
    yield b""
    yield MEDIA[5:]


async def async_pieces() -> AsyncIterator[bytes]:
    for piece in pieces():
        yield piece


SOURCES: dict[str, Callable[[Path], Any]] = {
    "bytes": lambda path: MEDIA,
    "a view of bytes": lambda path: memoryview(MEDIA),
    "a path": lambda path: path,
    "a path as text": str,
    "an open file": lambda path: io.BytesIO(MEDIA),
    "pieces": lambda path: pieces(),
    "asynchronous pieces": lambda path: async_pieces(),
}
KNOWN_SIZES = ("bytes", "a view of bytes", "a path", "a path as text", "an open file")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "media.png"
    path.write_bytes(MEDIA)
    return path


def sent(gateway: ScriptedGateway) -> tuple[UploadHeader, list[bytes]]:
    """Return the header and the chunks of the only upload."""
    (parts,) = gateway.requests["UploadMedia"]
    assert [part.WhichOneof("part") for part in parts] == ["header"] + ["chunk"] * (len(parts) - 1)
    return parts[0].header, [part.chunk for part in parts[1:]]


@pytest.mark.parametrize("kind", SOURCES)
async def test_media_are_sent_in_chunks(kind: str, path: Path, gateway: ScriptedGateway, client: AsyncClient) -> None:
    gateway.on("UploadMedia", RESPONSE)

    assert await client.upload(SOURCES[kind](path), "image/png") == RESPONSE

    header, chunks = sent(gateway)
    assert b"".join(chunks) == MEDIA
    assert max(map(len, chunks)) <= CHUNK
    assert header == UploadHeader(content_type="image/png", size=len(MEDIA) if kind in KNOWN_SIZES else None)


@pytest.mark.parametrize("kind", [kind for kind in SOURCES if kind != "asynchronous pieces"])
async def test_the_synchronous_client_uploads_as_well(kind: str, path: Path, gateway: ScriptedGateway) -> None:
    gateway.on("UploadMedia", RESPONSE)
    with Client(gateway.address) as client:
        source = SOURCES[kind](path)
        assert await asyncio.to_thread(client.upload, source, "image/png", size=len(MEDIA)) == RESPONSE

    header, chunks = sent(gateway)
    assert (header.size, b"".join(chunks)) == (len(MEDIA), MEDIA)


class DiskError(OSError):
    pass


def broken() -> Iterator[bytes]:
    yield MEDIA
    raise DiskError("unreadable")


async def async_broken() -> AsyncIterator[bytes]:
    for piece in broken():
        yield piece


@pytest.mark.parametrize("source", [broken, async_broken])
async def test_an_exception_of_the_source_is_raised(
    source: Callable[[], Any], gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("UploadMedia", RESPONSE)

    with pytest.raises(DiskError):
        await client.upload(source(), "image/png")

    (parts,) = gateway.requests["UploadMedia"]
    assert parts[-1].HasField("header")  # so that the gateway refuses it, and does not store a part as the whole


async def test_the_synchronous_client_raises_an_exception_of_the_source(gateway: ScriptedGateway) -> None:
    gateway.on("UploadMedia", RESPONSE)
    with Client(gateway.address) as client:
        with pytest.raises(DiskError):
            await asyncio.to_thread(client.upload, broken(), "image/png")
        with pytest.raises(TypeError, match="AsyncClient"):
            await asyncio.to_thread(client.upload, async_pieces(), "image/png")


AWAY = refusal("UNAVAILABLE", "UPSTREAM_UNAVAILABLE", retry_delay=0.01)


@pytest.mark.parametrize("kind", SOURCES)
async def test_a_failed_upload_is_retried_if_its_source_is_rereadable(
    kind: str, path: Path, gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("UploadMedia", AWAY, gateway.cut, RESPONSE)
    source = SOURCES[kind](path)

    if "pieces" in kind:
        with pytest.raises(errors.UpstreamUnavailable):
            await client.upload(source, "image/png")
        assert len(gateway.requests["UploadMedia"]) == 1
        return
    assert await client.upload(source, "image/png") == RESPONSE

    attempts = gateway.requests["UploadMedia"]
    assert len(attempts) == 3
    assert [b"".join(part.chunk for part in parts) for parts in attempts] == [MEDIA] * 3


async def test_an_upload_is_not_retried_if_the_policy_says_so(gateway: ScriptedGateway) -> None:
    gateway.on("UploadMedia", AWAY, RESPONSE)
    async with AsyncClient(gateway.address, retry=RetryPolicy(repeat_calls_for=0)) as client:
        with pytest.raises(errors.UpstreamUnavailable):
            await client.upload(MEDIA, "image/png")
    assert len(gateway.requests["UploadMedia"]) == 1


@pytest.mark.parametrize("kind", ["a path", "an open file"])
async def test_a_pipe_has_no_size_and_is_read_once(kind: str, gateway: ScriptedGateway, client: AsyncClient) -> None:
    """After a failure, too: the part that is left must not be stored as the whole."""
    gateway.on("UploadMedia", AWAY, RESPONSE)
    reading, writing = os.pipe()
    with io.BufferedReader(io.FileIO(reading)) as file:
        os.write(writing, b"the media")
        os.close(writing)
        with pytest.raises(errors.UpstreamUnavailable):
            await client.upload(f"/dev/fd/{reading}" if kind == "a path" else file, "image/png")
    header, chunks = sent(gateway)
    assert not header.HasField("size")
    assert b"".join(chunks) == b"the media"


@pytest.mark.parametrize("blocking", [True, False])
async def test_a_pipe_is_sent_as_it_arrives(blocking: bool) -> None:
    """In non-blocking mode, too: the part that has arrived must not be stored as the whole."""
    reading, writing = os.pipe()
    os.set_blocking(reading, blocking)
    with io.BufferedReader(io.FileIO(reading)) as file, io.FileIO(writing, "w") as writer:
        upload = media(file, "image/png", None, "png")
        with upload.open() as pieces:
            parts = aiter(UploadParts(upload.header, pieces))
            await anext(parts)
            for piece in (b"a", b"the rest"):
                next_part = asyncio.ensure_future(anext(parts))
                writer.write(piece)
                assert (await asyncio.wait_for(next_part, 30)).chunk == piece
            writer.close()
            assert await asyncio.wait_for(anext(parts, None), 30) is None


@pytest.mark.parametrize("kind", ["a path", "an open file"])
async def test_a_silent_pipe_delays_neither_a_timeout_nor_other_calls(
    kind: str, tmp_path: Path, gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("UploadMedia", gateway.hang)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    keeper = os.open(path, os.O_RDWR)  # so that a reader can open the file
    with path.open("rb", buffering=0) as file:
        # A test that fails must not hang: without a writer, the reader is at the end of the file.
        late = Timer(30.0, os.close, [keeper])
        if kind == "a path":
            os.close(keeper)
            late = Timer(30.0, path.write_bytes, [b""])
        late.start()
        try:
            with pytest.raises(errors.DeadlineExceeded):
                await client.upload(path if kind == "a path" else file, "image/png", timeout=0.5)
            assert late.is_alive()
        finally:
            late.cancel()
            late.function(*late.args)  # ends the thread that reads


ENDING = """
import asyncio, sys
from hfgateway_client import AsyncClient, Client, errors

async def upload():
    async with AsyncClient(sys.argv[1]) as client:
        await client.upload(sys.stdin.buffer, "image/png", timeout=0.5)

try:
    if sys.argv[2] == "asyncio":
        asyncio.run(upload())
    else:
        Client(sys.argv[1]).upload(sys.stdin.buffer, "image/png", timeout=0.5)
except errors.DeadlineExceeded:
    print("late")
"""


@pytest.mark.parametrize("kind", ["asyncio", "threads"])
async def test_a_program_ends_although_its_standard_input_is_silent(kind: str, gateway: ScriptedGateway) -> None:
    """Python aborts at its end if a thread that reads holds the lock of the file."""
    gateway.on("UploadMedia", gateway.hang)
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ENDING, gateway.address, kind, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert program.stdin
    assert program.stdout
    try:
        assert await asyncio.wait_for(program.stdout.read(), 60) == b"late\n"
        assert await asyncio.wait_for(program.wait(), 60) == 0
    finally:
        program.stdin.close()


class Busy(io.RawIOBase):
    """A file in non-blocking mode that has nothing yet."""

    def readable(self) -> bool:
        return True

    def readinto(self, _buffer: object) -> None:
        return None


@pytest.mark.parametrize("buffered", [False, True])
async def test_a_file_that_has_nothing_yet_is_not_at_its_end(
    gateway: ScriptedGateway, client: AsyncClient, buffered: bool
) -> None:
    gateway.on("UploadMedia", RESPONSE)
    with pytest.raises(BlockingIOError):
        await client.upload(io.BufferedReader(Busy()) if buffered else Busy(), "image/png")
    (parts,) = gateway.requests["UploadMedia"]
    assert parts[-1].HasField("header")


async def test_a_file_is_read_from_its_current_position(gateway: ScriptedGateway, client: AsyncClient) -> None:
    gateway.on("UploadMedia", AWAY, RESPONSE)
    file = io.BytesIO(MEDIA)
    file.seek(1000)
    await client.upload(file, "image/png")
    first, second = gateway.requests["UploadMedia"]
    assert first == second
    assert first[0].header.size == len(MEDIA) - 1000
    assert b"".join(part.chunk for part in second) == MEDIA[1000:]


async def test_an_input_with_an_open_file_uploads_all_of_it_again(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("UploadMedia", refusal("INVALID_ARGUMENT", "INPUT_REFUSED"), RESPONSE)
    picture = b"\x89PNG" + MEDIA
    file = io.BytesIO(bytes(1000) + picture)
    file.seek(1000)
    given = soul("a fox", image_reference_url=file)
    with pytest.raises(errors.InputRefused):
        await client.upload_media(given)
    await client.upload_media(given)
    assert b"".join(part.chunk for part in gateway.requests["UploadMedia"][-1]) == picture
    await client.upload_media(given)
    assert len(gateway.requests["UploadMedia"]) == 2  # it is uploaded by now


async def test_a_refusal_during_the_upload_has_the_status_of_the_server(gateway: ScriptedGateway) -> None:
    times = 500  # grpc.aio alone reports INTERNAL for some of them
    gateway.on("UploadMedia", *[replace(refusal("INVALID_ARGUMENT", "INPUT_REFUSED"), early=True)] * times)
    parts = [UploadMediaRequest(header=UploadHeader()), *[UploadMediaRequest(chunk=bytes(100_000))] * 50]
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        upload = UploadServiceStub(channel).UploadMedia
        for _ in range(times):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await result_of(upload(iter(parts)))
            assert error_from_rpc(refused.value).reason == "INPUT_REFUSED"


async def test_an_upload_is_retried_that_grpc_cancels_because_it_cannot_end_the_stream(
    gateway: ScriptedGateway, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.on("UploadMedia", RESPONSE, RESPONSE)
    end = _StreamRequestMixin._done_writing
    failures = iter([cygrpc.InternalError("the connection was lost")])

    # After a lost connection the core reports one of two things first: this failure, or the status of the call.
    async def fail_once(call: Any) -> None:
        for failure in failures:
            raise failure
        await end(call)

    monkeypatch.setattr(_StreamRequestMixin, "_done_writing", fail_once)
    assert await client.upload(MEDIA, "image/png") == RESPONSE


async def test_a_refused_upload_is_not_retried(gateway: ScriptedGateway, client: AsyncClient) -> None:
    gateway.on("UploadMedia", refusal("INVALID_ARGUMENT", "INPUT_REFUSED"), RESPONSE)
    with pytest.raises(errors.InputRefused):
        await client.upload(MEDIA, "image/png")
    assert len(gateway.requests["UploadMedia"]) == 1


async def test_retries_of_an_upload_end_if_the_gateway_stays_unavailable(gateway: ScriptedGateway) -> None:
    gateway.on("UploadMedia", *[refusal("UNAVAILABLE", "UPSTREAM_UNAVAILABLE", retry_delay=0.01)] * 1000)
    async with AsyncClient(gateway.address, timeout=2.0) as client:
        with pytest.raises(errors.UpstreamUnavailable):
            await client.upload(MEDIA, "image/png")
    assert 1 < len(gateway.requests["UploadMedia"]) < 1000


TYPES = {
    "photo.JPG": (b"", "image/jpeg"),
    "a.jpeg": (b"", "image/jpeg"),
    "a.png": (b"", "image/png"),
    "a.webp": (b"", "image/webp"),
    "a.gif": (b"", "image/gif"),
    "speech.wav": (b"", "audio/wav"),
    "clip.mp4": (b"", "video/mp4"),
    "png": (b"\x89PNG\r\n\x1a\n", "image/png"),
    "jpeg": (b"\xff\xd8\xff\xe0", "image/jpeg"),
    "gif": (b"GIF89a", "image/gif"),
    "webp": (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
    "wav": (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
    "mp4": (b"\0\0\0\x18ftypmp42", "video/mp4"),
}


@pytest.mark.parametrize("name", TYPES)
async def test_the_content_type_is_determined(
    name: str, tmp_path: Path, gateway: ScriptedGateway, client: AsyncClient
) -> None:
    content, expected = TYPES[name]
    path = tmp_path / name
    path.write_bytes(content + MEDIA[:100])
    gateway.on("UploadMedia", RESPONSE, RESPONSE, RESPONSE)

    await client.upload(path)
    with path.open("rb") as file:
        await client.upload(file)
    if content:
        await client.upload(path.read_bytes())

    types = [parts[0].header.content_type for parts in gateway.requests["UploadMedia"]]
    assert types == [expected] * (3 if content else 2)


@pytest.mark.parametrize("source", [b"words", io.BytesIO(b""), pieces()])
async def test_a_content_type_that_cannot_be_determined_is_required(source: Any, client: AsyncClient) -> None:
    with pytest.raises(ValueError, match="content_type is required"):
        await client.upload(source)


@pytest.mark.parametrize(
    ("mode", "format", "saved"),
    [
        ("RGBA", "png", ("PNG", "RGBA")), ("RGBA", "jpeg", ("JPEG", "RGB")), ("P", "jpeg", ("JPEG", "RGB")),
        ("L", "jpeg", ("JPEG", "L")), ("CMYK", "png", ("PNG", "RGB")), ("CMYK", "jpeg", ("JPEG", "CMYK")),
        ("I;16", "png", ("PNG", "I;16")), ("RGB", "webp", ("WEBP", "RGB")),
    ],
)  # fmt: skip
async def test_a_pillow_image_is_encoded_and_uploaded(
    mode: str, format: str, saved: tuple[str, str], gateway: ScriptedGateway, client: AsyncClient
) -> None:
    picture = Image.new("RGB", (30, 20), "teal").convert(mode)
    gateway.on("UploadMedia", AWAY, RESPONSE)

    await client.upload(picture, format=format)

    _, parts = gateway.requests["UploadMedia"]
    content = b"".join(part.chunk for part in parts)
    assert parts[0].header == UploadHeader(content_type=f"image/{format}", size=len(content))
    with Image.open(io.BytesIO(content)) as sent_picture:
        assert (sent_picture.format, sent_picture.mode, sent_picture.size) == (*saved, (30, 20))


def test_the_client_does_not_import_pillow() -> None:
    program = "import sys, hfgateway_client; print('PIL' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


async def test_an_upload_ends_at_its_timeout_and_when_it_is_canceled(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    arrived = asyncio.Event()

    async def arrive_and_hang(_request: object) -> None:
        arrived.set()
        await gateway.hang()

    gateway.on("UploadMedia", gateway.hang, arrive_and_hang)

    with pytest.raises(errors.DeadlineExceeded):
        await client.upload(MEDIA, "image/png", timeout=2.0)

    uploading = asyncio.create_task(client.upload(MEDIA, "image/png"))
    await arrived.wait()
    uploading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await uploading


async def test_create_upload_and_create_watch_token_are_retried(gateway: ScriptedGateway, client: AsyncClient) -> None:
    away = refusal("UNAVAILABLE", "GATEWAY_UNAVAILABLE", retry_delay=0.01)
    gateway.on("CreateUpload", away, CreateUploadResponse(upload_url="https://media.test/put"))
    gateway.on("CreateWatchToken", away, CreateWatchTokenResponse(token="hfw_test"))

    assert (await client.create_upload("video/mp4")).upload_url == "https://media.test/put"
    assert (await client.create_watch_token(labels={"user": "5"}, ttl=60)).token == "hfw_test"
    assert [request.content_type for request in gateway.requests["CreateUpload"]] == ["video/mp4"] * 2


@pytest.mark.parametrize("threads", [False, True], ids=["asyncio", "threads"])
async def test_concurrent_calls_with_one_local_input_have_the_same_urls_each_in_its_place(
    gateway: ScriptedGateway, threads: bool
) -> None:
    """A generation from the wrong picture would be charged, too. With other URLs, a key could not be used again."""
    both, first, uploads = asyncio.Barrier(2), iter(range(2)), itertools.count()

    async def store(parts: list[UploadMediaRequest]) -> UploadMediaResponse:
        if next(first, None) is not None:
            await both.wait()  # both calls upload the first picture before either knows its URL
        return UploadMediaResponse(url=f"https://media.test/{parts[1].chunk.decode()}/{next(uploads)}")

    gateway.unscripted["UploadMedia"] = store
    input = dop("a fox runs", [b"GIF8 first", b"GIF8 second"])
    if threads:
        with Client(gateway.address) as client:
            made = await asyncio.gather(*(asyncio.to_thread(client.upload_media, input) for _ in range(2)))
    else:
        async with AsyncClient(gateway.address) as client_:
            made = await asyncio.gather(*(client_.upload_media(input) for _ in range(2)))
    assert made[0] == made[1]
    assert [url.split("/")[3] for url in made[0].dop.image_urls] == ["GIF8 first", "GIF8 second"]
