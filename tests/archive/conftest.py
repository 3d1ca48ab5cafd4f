"""The archive with a real store, a media server, and a folder or a real S3 server as the destination."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.archive.archiver import Archiver
from gateway.archive.model import ArchivedFile, Part
from gateway.archive.ports import Checkpoint, ObjectStorage, SourceResponse
from gateway.generations.clock import SystemClock
from gateway.generations.model import Generation, MediaKind, Output, Source, State, Wall
from gateway.generations.ports import Upstream
from gateway.generations.state import Reported
from gateway.generations.stores import Correction
from gateway.generations.trusted_time import TrustedTime
from gateway.higgsfield.media import MediaSource
from gateway.object_storage.from_url import object_storage
from gateway.store.sqlite.store import SqliteStore
from tests.archive.media import MediaServer
from tests.archive.s3 import BUCKET, IN_S3, s3_server
from tests.contract.store import examples
from tests.support.files import contents_below
from tests.support.running import WAIT_TIMEOUT, eventually


class QuickClock(SystemClock):
    """A clock on which a wait returns at once and advances the time by its duration. `waits` lists the durations."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self._passed = 0.0
        super().__init__(monotonic=lambda: self._passed, wall=lambda: examples.NOW + self._passed)

    def advance(self, seconds: float) -> None:
        self._passed += seconds

    async def wait(self, signal: asyncio.Future[None], seconds: float | None) -> None:
        if seconds is None:
            await signal
            return
        self.waits.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)


class CountingSource(MediaSource):
    """A media source that counts the bytes that were read from it, in `passed`."""

    passed = 0

    @asynccontextmanager
    async def open(self, url: str, after: Checkpoint | None) -> AsyncIterator[SourceResponse]:
        async with super().open(url, after) as answer:
            yield replace(answer, chunks=self._counted(answer.chunks))

    async def _counted(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            self.passed += len(chunk)
            yield chunk


class Place:
    """The destination of the copies: its `url` for the setting, and its files as other programs see them."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder

    def open(self) -> ObjectStorage:
        return object_storage(self.url, os.environ)

    def files(self) -> dict[str, bytes]:
        """Return the complete files by key."""
        return {name: content for name, content in contents_below(self.folder).items() if not name.startswith(".")}


class Stage:
    """An archiver with a store, a media server, a destination and a clock that the test advances."""

    def __init__(self, folder: Path, media: MediaServer, place: Place) -> None:
        self.clock = QuickClock()
        self.media = media
        self.place = place
        self.store = SqliteStore(folder / "store.db", _broke)
        self.source = CountingSource(timeout=WAIT_TIMEOUT, local=True)
        self.ahead = 0.0
        """Seconds by which the gateway's clocks are ahead of Higgsfield's."""
        self.settings: dict[str, Any] = {
            "concurrency": 2, "bandwidth": 0, "largest": 1 << 30, "may_write": lambda: True,
        }  # fmt: skip
        self.storage = place.open()
        self.archiver: Archiver
        self._task: asyncio.Task[None] | None = None
        self._read = 0

    def start(self, corrections: Sequence[Correction] = (), **settings: Any) -> Archiver:
        """Start the archiver, as a new process would."""
        self.archiver = Archiver(
            copies=self.store.copies, storage=self.storage, source=self.source, clock=self.clock,
            trusted_time=TrustedTime(self.clock, cast(Upstream, self), self.store.times, corrections),
            **self.settings | settings,
        )  # fmt: skip
        self.store.change_log.listen(self.archiver.on_commit)
        self._task = asyncio.create_task(self.archiver.run())
        return self.archiver

    async def time(self) -> float:
        """Return the time by Higgsfield's clock."""
        return self.clock.moment().wall - self.ahead

    async def stop(self) -> None:
        """Stop the archiver without a clean-up, as the end of a process does."""
        task, self._task = self._task, None
        if task is not None:
            self.store.database._listeners.clear()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        await self.stop()
        await self.source.aclose()
        await self.store.close()

    async def completed(
        self, *urls: str, kept: float | None = None, tenant: str = "tenant", **output: Any
    ) -> Generation:
        """Store a completed generation with an output for each URL, and return it. An empty URL is an NSFW output.

        Higgsfield says that it keeps the outputs for `kept` seconds.
        """
        claim = examples.claim(tenant=tenant)
        assert (await self.store.claims.claim(claim)).new
        before = claim.generation
        for step in (examples.marked, lambda g: examples.accepted(g, f"request {g.id}")):
            after = step(before)
            assert await self.store.generations.save(before, after)
            before = after
        outputs = tuple(
            Output(State.COMPLETED, MediaKind.IMAGE, url, **({"name": "image"} | output))
            if url
            else Output(State.NSFW, MediaKind.IMAGE)
            for url in urls
        )
        expires = None if kept is None else Wall(await self.time() + kept)
        report = replace(examples.report(before.request_id, State.COMPLETED), outputs=outputs, expire_time=expires)
        done = examples.after(before, Reported(report, Source.POLL))
        assert await self.store.generations.save(before, done)
        return done

    def url(self, path: str) -> str:
        return f"{self.media.url}{path}?Signature=canary"

    def cut(self, count: int, then: Callable[[], Awaitable[None]] | None = None) -> dict[str, Any]:
        """Return a fault of the media server: it sends `count` more bytes, waits until the archiver has read them, and
        closes the connection.
        """

        async def read() -> None:
            self._read += count
            await eventually(lambda: self.source.passed >= self._read)
            if then is not None:
                await then()

        return {"cut": count, "at": count, "then": read}

    async def archived(self, generation: Generation) -> dict[Part, ArchivedFile]:
        return dict((await self.store.copies.archived([generation.id])).get(generation.id, {}))

    async def becomes_archived(self, generation: Generation, files: int = 1) -> dict[Part, ArchivedFile]:
        async with asyncio.timeout(WAIT_TIMEOUT):
            while len(found := await self.archived(generation)) < files:
                await asyncio.sleep(0.005)
        return found

    def rows(self) -> list[tuple[Any, ...]]:
        return [
            tuple(row) for row in self.store.database._reader.execute("SELECT state, url, attempts FROM archive_files")
        ]


def _broke(error: Exception) -> None:
    raise AssertionError("the disk fails") from error


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    folder = tmp_path_factory.mktemp("s3")
    with s3_server(folder) as variables:
        yield folder, variables


@pytest.fixture(params=["folder", IN_S3])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A destination of each kind."""
    if request.param == "folder":
        return Place(f"file://{tmp_path}/archive", tmp_path / "archive")
    folder, variables = request.getfixturevalue("s3")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    prefix = tmp_path.name.replace("_", "-").replace("[", "-").replace("]", "")
    return Place(f"s3://{BUCKET}/{prefix}", folder / BUCKET / prefix)


@pytest.fixture
async def stage(tmp_path: Path, place: Place) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        media = await stack.enter_async_context(MediaServer())
        stage = Stage(tmp_path, media, place)
        stack.push_async_callback(stage.close)
        yield stage
