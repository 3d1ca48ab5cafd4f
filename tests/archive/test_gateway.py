"""The archive of a running gateway: responses, metrics, memory and refused starts."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from gateway import concurrency
from gateway.archive import throttle
from gateway.archive.archiver import Archiver
from gateway.archive.ports import ArchiveError, Checkpoint, SourceError
from gateway.generations.ports import Clock
from gateway.object_storage import folder
from gateway.object_storage.folder import CHECKPOINT_INTERVAL, Folder
from gateway.object_storage.from_url import object_storage
from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox, SandboxOptions
from hfgateway.v1 import generation_service_pb2 as pb
from tests.app.command import environment, run
from tests.archive.conftest import Place, sha256
from tests.archive.media import MediaServer
from tests.durability.process import GatewayProcess, stub
from tests.support.addresses import free_address
from tests.support.bugs import fail_once
from tests.support.files import contents_below
from tests.support.running import WAIT_TIMEOUT, Generation, Running, eventually, sized, soul
from tests.support.running import run as running_gateway

PUBLIC = "https://files.example.com/outputs"
LARGE = 200
"""MiB."""
MAX_GROWTH = 20
"""MiB by which the gateway may grow during the copy."""


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(
        tmp_path, ARCHIVE_URL=f"file://{tmp_path}/archive", ARCHIVE_PUBLIC_URL=PUBLIC
    ) as started:
        yield started


async def archived(running: Running, prompt: str = "a fox") -> Generation:
    stored = await running.submit(soul(prompt))
    await running.finish(stored.id)
    async with asyncio.timeout(WAIT_TIMEOUT):
        while not (found := await running.get(stored.id)).outputs[0].HasField("archived"):
            await asyncio.sleep(0.01)
    return found


async def test_a_broken_link_does_not_block_other_copies(running: Running) -> None:
    running.plan(on="status", patch={"status": "completed", "images": [{"url": "https://[no-host/a.png"}]})
    stored = await running.submit(soul("a fox"))
    await running.finish(stored.id)

    assert (await archived(running, "an owl")).outputs[0].archived.size
    await running.metric_becomes("hfgateway_archive_files_total", 1)
    await running.stop_gateway()
    await running.start_gateway()
    assert (await archived(running, "a hare")).outputs[0].archived.size


async def test_an_archiver_that_fails_because_of_a_bug_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fail_once(monkeypatch, Archiver, "_start_due")
    monkeypatch.setattr(concurrency, "RESTART_DELAY", 0.01)
    async with running_gateway(tmp_path, ARCHIVE_URL=f"file://{tmp_path}/archive") as running:
        assert (await archived(running)).outputs[0].archived.size
    (line,) = (one for one in caplog.records if one.levelname == "CRITICAL")
    assert line.__dict__["part"] == "Archiver.run"


@contextmanager
def threads_that_call(*names: str) -> Iterator[list[threading.Thread]]:
    """Yield the threads that call functions of C with these names, recorded by the profiler; the calls are real."""
    threads: list[threading.Thread] = []

    def note(_frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call" and function.__name__ in names:
            threads.append(threading.current_thread())

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        with ThreadPoolExecutor() as started_now, pytest.MonkeyPatch.context() as patched:
            patched.setattr(concurrency, "DISK_THREADS", started_now)
            yield threads
    finally:
        threading.setprofile(None)
        sys.setprofile(None)


async def broken(content: bytes) -> AsyncIterator[bytes]:
    yield content
    raise SourceError("away")


async def whole(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def test_a_file_in_a_folder_is_synced_in_threads(tmp_path: Path) -> None:
    place, key = Folder(tmp_path / "archive"), "tenant/id/0-image.png"
    with threads_that_call("fsync") as threads:
        with pytest.raises(SourceError):
            await place.write(key, None, '"v1"', broken(b"half of it"), "")
        assert len(threads) == 1
        checkpoint = await place.checkpoint(key)
        assert checkpoint == Checkpoint(10, '"v1"')
        with next((tmp_path / "archive" / ".partial").glob("*.part")).open("ab") as part:
            part.write(b"written after the checkpoint, right before a crash")
        assert b"".join([piece async for piece in place.read_back(key, checkpoint)]) == b"half of it"
        await place.write(key, checkpoint, '"v1"', whole(b", and the rest"), "")
        assert len(threads) == 2
        await place.publish(key)
        assert len(threads) == 5  # with the three folders
    assert threading.main_thread() not in threads
    assert contents_below(tmp_path / "archive") == {key: b"half of it, and the rest"}


async def test_a_checkpoint_is_stored_once_for_each_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each one waits for the disk."""
    monkeypatch.setattr(folder, "CHECKPOINT_INTERVAL", 100)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield bytes(50)

    with threads_that_call("fsync") as threads:
        await Folder(tmp_path / "archive").write("tenant/id/0-image.png", None, '"v1"', chunks(), "")
    assert len(threads) == 500 // 100 + 1  # the last one for the complete file


async def test_a_file_in_a_folder_is_opened_in_threads(tmp_path: Path) -> None:
    """A disk that hangs, such as that of a server of NFS, blocks even the opening of a file."""
    place, key = Folder(tmp_path / "archive"), "tenant/id/0-image.png"
    with threads_that_call("open", "truncate", "unlink") as threads:
        await place.write(key, None, '"v1"', whole(b"all of it"), "")
        assert [piece async for piece in place.read_back(key)] == [b"all of it"]
        await place.publish(key)
    assert threads
    assert threading.main_thread() not in threads


async def test_a_copy_is_not_resumed_at_the_checkpoint_of_another_one(tmp_path: Path) -> None:
    place, key = Folder(tmp_path / "archive"), "tenant/id/0-image.png"
    with pytest.raises(SourceError):
        await place.write(key, None, '"v1"', broken(b"half of it"), "")
    with pytest.raises(SourceError):
        await place.write(key, None, "", broken(b"another version"), "")
    assert await place.checkpoint(key) is None

    with pytest.raises(SourceError):
        await place.write(key, None, '"v1"', broken(b"half of it"), "")
    next((tmp_path / "archive" / ".partial").glob("*.part")).write_bytes(b"half")  # the rest was lost
    assert await place.checkpoint(key) is None


async def test_a_checkpoint_counts_a_chunk_whose_write_was_canceled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, key = Folder(tmp_path / "archive"), "tenant/id/0-image.png"
    write_whole, written, canceled = folder._write_whole, threading.Event(), threading.Event()

    def write_until_canceled(file: Any, chunk: bytes) -> None:
        write_whole(file, chunk)
        written.set()
        assert canceled.wait(WAIT_TIMEOUT)

    monkeypatch.setattr(folder, "_write_whole", write_until_canceled)
    writing = asyncio.create_task(place.write(key, None, '"v1"', whole(b"half of it"), ""))
    await eventually(written.is_set)
    writing.cancel()
    canceled.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await place.checkpoint(key) == Checkpoint(10, '"v1"')


@pytest.mark.parametrize("then", ["publish", "discard"])
async def test_a_checkpoint_that_could_not_be_stored_leaves_no_file(tmp_path: Path, then: str) -> None:
    place, key = Folder(tmp_path / "archive"), "tenant/id/0-image.png"
    in_the_way = tmp_path / "archive" / ".partial" / "tenant~id~0-image.png.json"

    async def broken() -> AsyncIterator[bytes]:
        yield b"half of it"
        in_the_way.mkdir()  # so that the checkpoint is written and not moved, as on a full disk or after a kill
        raise SourceError("away")

    with pytest.raises(ArchiveError):
        await place.write(key, None, '"v1"', broken(), "")
    in_the_way.rmdir()
    if then == "publish":
        await place.write(key, None, '"v1"', whole(b"all of it"), "")
        await place.publish(key)
    else:
        await place.discard(key)
    assert contents_below(tmp_path / "archive") == ({key: b"all of it"} if then == "publish" else {})


async def test_a_copy_without_an_etag_has_no_checkpoint(tmp_path: Path) -> None:
    """Its source may have changed when it is asked for the rest."""
    place, key = Folder(tmp_path / "archive"), "tenant/id/0-image.png"
    with pytest.raises(SourceError):
        await place.write(key, None, "", broken(bytes(CHECKPOINT_INTERVAL)), "")
    assert await place.checkpoint(key) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"size": 10}', '{"size": "ten", "etag": ""}'])
async def test_a_copy_with_an_unreadable_checkpoint_starts_again(tmp_path: Path, content: str) -> None:
    place, key = Folder(tmp_path / "archive"), "tenant/id/0-image.png"
    with pytest.raises(SourceError):
        await place.write(key, None, '"v1"', broken(b"half of it"), "")
    next((tmp_path / "archive" / ".partial").glob("*.json")).write_text(content)
    assert await place.checkpoint(key) is None


async def test_a_published_file_leaves_no_other_file_open(tmp_path: Path) -> None:
    place, key = Folder(tmp_path / "archive"), "tenant/id/0-image.png"
    await place.write(key, None, '"v1"', whole(b"all of it"), "")
    await place.publish(key)
    assert open_below(tmp_path) == []


def open_below(folder: Path) -> list[str]:
    """Return the files and folders below a folder that this process has open."""
    with os.scandir("/proc/self/fd") as entries:
        paths = [os.readlink(entry.path) for entry in entries]
    return [path for path in paths if path.startswith(str(folder))]


async def test_the_folder_of_an_archive_may_have_any_name(tmp_path: Path) -> None:
    place = object_storage(f"file://{tmp_path}/of%20the%20shop", {})
    await place.probe()
    assert place.name == f"file://{tmp_path}/of%20the%20shop"
    assert [path.name for path in tmp_path.iterdir()] == ["of the shop"]


@pytest.mark.parametrize("url", ["s3://outputs", "s3://outputs/of/the-shop"])
def test_a_slash_at_the_end_of_a_url_makes_no_other_archive(url: str) -> None:
    assert object_storage(url, {}).name == object_storage(f"{url}/", {}).name == url


async def test_a_disk_that_gets_full_within_a_chunk_is_an_error(tmp_path: Path) -> None:
    """The limit on the size of files acts as a full disk: it cuts off a write, and only the next one fails."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        yield b"y" * 1000

    place = Folder(tmp_path / "archive")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, hard))
    try:
        with pytest.raises(ArchiveError, match="File too large"):
            await place.write("tenant/id/0-image.png", None, '"v1"', chunks(), "")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert await place.checkpoint("tenant/id/0-image.png") == Checkpoint(1500, '"v1"')


async def test_get_and_list_show_copies_and_watches_do_not(running: Running, tmp_path: Path) -> None:
    found = await archived(running)

    file = found.outputs[0].archived
    path = tmp_path / "archive" / file.url.removeprefix(f"{PUBLIC}/")
    assert file.url == f"{PUBLIC}/default/{found.id}/0-image.png"
    assert (file.size, file.sha256) == (path.stat().st_size, sha256(path.read_bytes()))
    listed = await running.grpc.call("ListGenerations", pb.ListGenerationsRequest(include_input=True))
    assert listed.generations == [found]
    history = [generation async for generation in running.history(found.id)]
    assert history[-1].revision == found.revision
    assert not any(output.HasField("archived") for generation in history for output in generation.outputs)
    await running.metric_becomes("hfgateway_archive_files_total", 1)
    assert await running.metric("hfgateway_archive_bytes_total") == file.size
    assert (
        await running.metric("hfgateway_archive_waiting")
        == await running.metric("hfgateway_archive_failing")
        == await running.metric("hfgateway_archive_failures_total")
        == 0
    )


async def test_a_file_that_cannot_be_copied_is_counted(running: Running) -> None:
    url = f"http://{free_address()}/a.png"
    # By the sandbox's own date, the file would be removed before the second attempt, and so given up at the first one.
    patch = {"status": "completed", "images": [{"url": url}], "expires_at": "2100-01-01T00:00:00Z"}
    running.plan(on="status", patch=patch)
    await running.finish((await running.submit(soul("a fox"))).id)
    await running.metric_becomes("hfgateway_archive_failing", 1)
    assert await running.metric("hfgateway_archive_waiting") == 1


async def test_a_file_larger_than_the_setting_is_not_copied(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, ARCHIVE_URL=f"file://{tmp_path}/archive", ARCHIVE_LARGEST=64) as running:
        await running.finish((await running.submit(soul("a fox"))).id)
        await running.metric_becomes("hfgateway_archive_given_up_total", 1)
        assert await running.metric("hfgateway_archive_files_total") == 0


async def test_a_copy_waits_for_the_bandwidth_of_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def passed(_clock: Clock, seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(throttle, "sleep", passed)
    async with running_gateway(tmp_path, ARCHIVE_URL=f"file://{tmp_path}/archive", ARCHIVE_BANDWIDTH=1) as running:
        await archived(running)
    assert waits


async def test_previews_of_v1_are_archived_and_removed_with_their_files(running: Running, tmp_path: Path) -> None:
    stored = await running.submit(sized("a fox"))
    await running.finish(stored.id)
    await running.metric_becomes("hfgateway_archive_files_total", 8)
    folder = tmp_path / "archive" / "default" / stored.id
    for index, output in enumerate((await running.get(stored.id)).outputs):
        for file, name in ((output.archived, "image.png"), (output.archived_preview, "image.preview.png")):
            assert file.url == f"{PUBLIC}/default/{stored.id}/{index}-{name}"
            path = folder / f"{index}-{name}"
            assert (file.size, file.sha256) == (path.stat().st_size, sha256(path.read_bytes()))
        assert output.archived_preview.size < output.archived.size
    await running.grpc.call("DeleteGeneration", pb.DeleteGenerationRequest(id=stored.id))
    await eventually(lambda: not folder.exists())


async def test_copies_are_shown_after_the_archive_was_disabled(running: Running) -> None:
    found = await archived(running)
    await running.stop_gateway()
    running._settings = {}
    await running.start_gateway()
    assert await running.get(found.id) == found


async def test_a_delete_removes_the_copy_and_its_folders(running: Running, tmp_path: Path) -> None:
    found = await archived(running)
    copy = tmp_path / "archive" / "default" / found.id / "0-image.png"
    assert copy.exists()
    await running.grpc.call("DeleteGeneration", pb.DeleteGenerationRequest(id=found.id))
    await eventually(lambda: not copy.parent.parent.exists())
    assert [path.name for path in (tmp_path / "archive").rglob("*")] == [".partial"]


async def test_without_an_archive_nothing_is_copied_or_recorded(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as running:
        stored = await running.submit(soul("a fox"))
        done = await running.finish(stored.id)
        assert not (await running.get(done.id)).outputs[0].HasField("archived")
        assert await running.gateway._core.store.copies.copies_waiting() == 0
        assert "hfgateway_archive" not in await running.metrics()


async def test_a_large_file_takes_little_memory(place: Place, tmp_path: Path) -> None:
    async with MediaServer() as media, Sandbox(_quick()) as sandbox:
        block = bytes(range(256)) * 4096
        media.add("/small.png", block)
        media.add("/large.png", block, times=LARGE)
        async with (
            GatewayProcess(tmp_path, sandbox.url, archive_url=place.url) as gateway,
            gateway.channel() as channel,
        ):
            generations = stub(channel)
            await _copied(generations, sandbox, f"{media.url}/small.png", len(block))
            before = _memory(gateway.pid, "VmRSS")
            Path(f"/proc/{gateway.pid}/clear_refs").write_text("5")  # reset the peak
            await _copied(generations, sandbox, f"{media.url}/large.png", LARGE << 20)
            assert _memory(gateway.pid, "VmHWM") - before < MAX_GROWTH << 20
        assert max(map(len, place.files().values())) == LARGE << 20


async def test_a_copy_interrupted_by_a_kill_resumes_at_its_checkpoint(tmp_path: Path) -> None:
    hanging, asked = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        asked.set()
        await hanging.wait()

    async with MediaServer() as media, Sandbox(_quick()) as sandbox:
        block = bytes(range(256)) * 4096
        file = media.add("/large.png", block, times=48, faults=[{"at": 40 << 20, "then": hang}])
        archive = {"archive_url": f"file://{tmp_path}/archive"}
        async with GatewayProcess(tmp_path, sandbox.url, **archive) as gateway, gateway.channel() as channel:
            copying = asyncio.create_task(_copied(stub(channel), sandbox, f"{media.url}/large.png", file.size))
            async with asyncio.timeout(WAIT_TIMEOUT):
                await asked.wait()
                while _durable(tmp_path / "archive") < CHECKPOINT_INTERVAL:
                    await asyncio.sleep(0.01)
            await gateway.kill()
            copying.cancel()
        hanging.set()
        async with GatewayProcess(tmp_path, sandbox.url, **archive) as gateway, gateway.channel() as channel:
            await _copied(stub(channel), sandbox, f"{media.url}/large.png", file.size)
        began = int(file.ranges[-1].removeprefix("bytes=").removesuffix("-"))
        assert CHECKPOINT_INTERVAL <= began <= 40 << 20
        (copy,) = (path for path in (tmp_path / "archive").rglob("*.png"))
        assert sha256(copy.read_bytes()) == sha256(block * 48)


HUNG_DISK = """
import runpy, sys, threading
from gateway.object_storage import folder
folder._write_whole = lambda file, chunk: print("hangs", flush=True) or threading.Event().wait(600)
sys.argv[:] = sys.argv[2:]
runpy.run_module("gateway", run_name="__main__", alter_sys=True)
"""


async def test_a_gateway_whose_archive_hangs_can_be_stopped(tmp_path: Path) -> None:
    archive, launcher = {"archive_url": f"file://{tmp_path}/archive"}, (sys.executable, "-c", HUNG_DISK)
    async with (
        Sandbox(_quick()) as sandbox,
        GatewayProcess(tmp_path, sandbox.url, launcher=launcher, **archive) as gateway,
        gateway.channel() as channel,
    ):
        await stub(channel).SubmitGeneration(soul("a fox", wait_for=pb.WAIT_FOR_DONE))
        await gateway.prints(re.compile("^hangs$"))
        async with asyncio.timeout(WAIT_TIMEOUT):
            assert await gateway.terminate() == 0


async def test_an_archive_that_hangs_stops_no_name_lookup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    let_go, hanging = threading.Event(), []

    def hang(file: object, chunk: object) -> None:
        hanging.append(chunk)
        let_go.wait(10 * WAIT_TIMEOUT)
        raise OSError("an error of the disk")

    monkeypatch.setattr(folder, "_write_whole", hang)
    many = (os.cpu_count() or 1) + 4  # the threads of asyncio's own pool
    settings = {"ARCHIVE_URL": f"file://{tmp_path}/archive", "ARCHIVE_CONCURRENCY": f"{many}"}
    async with running_gateway(tmp_path, **settings) as running:
        try:
            for number in range(many):
                await running.finish((await running.submit(soul(f"fox {number}"))).id)
            await eventually(lambda: len(hanging) >= many)
            async with asyncio.timeout(WAIT_TIMEOUT):
                assert await asyncio.get_running_loop().getaddrinfo("localhost", 80)
            assert not let_go.is_set()
        finally:
            let_go.set()


def _durable(archive: Path) -> int:
    """Return the size at the last checkpoint."""
    for note in archive.glob(".partial/*.json"):
        return int(json.loads(note.read_text())["size"])
    return 0


def _quick() -> SandboxOptions:
    return SandboxOptions(port=0, queue_seconds=0.05, image_seconds=0.05)


async def _copied(generations: Any, sandbox: Sandbox, url: str, size: int) -> None:
    """Complete a generation with this output, and wait for its copy."""
    patch = {"on": "status", "patch": {"images": [{"url": url}]}, "times": 1000, "prompt": url}
    sandbox.state.plan.add([Fault.parse(patch)])
    answer = await generations.SubmitGeneration(soul(url, f"key-of-{size}"))
    async with asyncio.timeout(WAIT_TIMEOUT):
        while True:
            found = await generations.GetGeneration(pb.GetGenerationRequest(id=answer.generation.id))
            outputs = found.generation.outputs
            if outputs and outputs[0].HasField("archived"):
                assert outputs[0].archived.size == size
                return
            await asyncio.sleep(0.02)


def _memory(pid: int, name: str) -> int:
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


# -- Refused starts, and the doctor ------------------------------------------------------------------------------------

WITHOUT_OBSTORE = """
import os, sys
sys.modules["obstore"] = sys.modules["obstore.store"] = sys.modules["obstore.exceptions"] = None
sys.argv[:] = sys.argv[2:]
import runpy
runpy.run_module("gateway", run_name="__main__", alter_sys=True)
"""


async def refused(tmp_path: Path, launcher: str = "", **variables: str) -> str:
    given = environment(tmp_path, {f"HFGATEWAY_{name}": text for name, text in variables.items()})
    ended = await run("serve", environment=given, launcher=launcher)
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (2, "", 1), ended
    return ended.err


async def test_an_unusable_archive_refuses_the_start_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    line = await refused(tmp_path, ARCHIVE_URL=f"file://{tmp_path}/file/archive")
    assert line.startswith("error: HFGATEWAY_ARCHIVE_URL: cannot create a file in ")
    line = await refused(tmp_path, ARCHIVE_PUBLIC_URL=PUBLIC)
    assert line.startswith("error: HFGATEWAY_ARCHIVE_PUBLIC_URL: needs ARCHIVE_URL")


async def test_s3_without_its_extra_refuses_the_start_with_one_line(tmp_path: Path) -> None:
    line = await refused(tmp_path, WITHOUT_OBSTORE, ARCHIVE_URL="s3://bucket")
    assert line.startswith("error: HFGATEWAY_ARCHIVE_URL: S3 needs the extra archive, which is not installed")


async def test_unusable_variables_of_s3_refuse_the_start_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "archive-canary")
    line = await refused(tmp_path, ARCHIVE_URL="s3://bucket")
    assert line.startswith("error: HFGATEWAY_ARCHIVE_URL: the AWS_ variables cannot be used")
    assert "canary" not in line


async def examined(tmp_path: Path, url: str) -> str:
    given = environment(tmp_path, {"HFGATEWAY_ARCHIVE_URL": url})
    ended = await run("doctor", environment=given)
    (line,) = (line for line in ended.out.splitlines() if line.split()[1] == "archive")
    return line


async def test_the_doctor_checks_the_archive_and_leaves_no_file(tmp_path: Path, place: Place) -> None:
    line = await examined(tmp_path, place.url)
    assert line.startswith("ok")
    assert "can be written and read" in line
    assert contents_below(place.folder) == {}


async def test_the_doctor_reports_an_unusable_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    assert (await examined(tmp_path, f"file://{tmp_path}/file")).startswith("problem")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "archive-canary")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    line = await examined(tmp_path, "s3://bucket")
    assert line.startswith("problem")
    assert "canary" not in line
