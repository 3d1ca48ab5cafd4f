"""Groups of writes: a single write is committed at once, several together, and the event loop never blocks."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.generations.model import GenerationId
from gateway.generations.stores import Saved, StoreError, UnknownCommitError
from gateway.store.sqlite import files, writer
from gateway.store.sqlite.writer import GATHER_FOR, MAX_GROUP_SIZE, Effect, Write, Writer
from tests.contract.store.test_faults import held
from tests.support.running import WAIT_TIMEOUT, eventually


class Watched:
    """A writer to a table of names, which records the groups that it commits."""

    def __init__(self, path: Path) -> None:
        self.connection = connection = files.connect_writer(path)
        connection.execute("CREATE TABLE names (name TEXT UNIQUE)")
        self.groups: list[list[str]] = []
        self._group: list[str] = []
        connection.set_trace_callback(self._seen)
        self.broken: list[Exception] = []
        self.writer = Writer(connection, lambda saved: None, self.broken.append)
        self._path = path

    def _seen(self, statement: str) -> None:
        if statement.startswith("INSERT"):
            self._group.append(statement.split("'")[1])
        elif statement == "COMMIT":
            self.groups.append(self._group)
            self._group = []
        elif statement in {"ROLLBACK", "BEGIN IMMEDIATE"}:
            self._group = []

    def add(self, name: str, *, brief: bool = True) -> asyncio.Future[Any]:
        """Queue the insertion of a name; fails if the table has it."""
        return self.writer.write(None, inserting(name), brief=brief)

    def stored(self) -> list[str]:
        """Return all names in the order of their insertion."""
        with closing(sqlite3.connect(self._path)) as reader:
            return [name for (name,) in reader.execute("SELECT name FROM names ORDER BY rowid")]


def inserting(name: str) -> Write:
    def write(connection: sqlite3.Connection) -> Effect:
        connection.execute("INSERT INTO names VALUES (?)", (name,))
        return name, None

    return write


class SlowDisk:
    """A disk that has `began` with a write, and `responds` when the test says so."""

    def __init__(self) -> None:
        self.began, self.responds = threading.Event(), threading.Event()

    def inserting(self, name: str) -> Write:
        def write(connection: sqlite3.Connection) -> Effect:
            self.began.set()
            assert self.responds.wait(WAIT_TIMEOUT)
            return inserting(name)(connection)

        return write


def names(prefix: str, many: int) -> list[str]:
    return [f"{prefix}{number}" for number in range(many)]


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    watched = Watched(tmp_path / "names.db")
    yield watched
    await watched.writer.close()
    assert watched.broken == []


class Timers:
    """Records the delays that are passed to `call_later`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[float] = []
        loop = asyncio.get_running_loop()
        original = loop.call_later

        def call_later(delay: float, *arguments: Any, **named: Any) -> asyncio.TimerHandle:
            self.asked.append(delay)
            return original(delay, *arguments, **named)

        monkeypatch.setattr(loop, "call_later", call_later)


async def test_single_writes_are_committed_at_once(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    timers = Timers(monkeypatch)
    for name in "abc":
        assert await watched.add(name) == name
    assert watched.groups == [["a"], ["b"], ["c"]]
    assert GATHER_FOR not in timers.asked


async def test_writes_behind_a_first_one_are_committed_as_a_group(watched: Watched) -> None:
    futures = [watched.add(name) for name in names("n", 50)]
    assert await asyncio.gather(*futures) == names("n", 50)
    assert [len(group) for group in watched.groups] == [1, 49]
    assert watched.stored() == names("n", 50)


async def test_writes_join_a_group_that_has_not_begun(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "GATHER_FOR", 1.0)
    await asyncio.gather(*map(watched.add, "abc"))

    async def later(name: str) -> None:
        await asyncio.sleep(0)
        await watched.add(name)

    await asyncio.gather(watched.add("d"), later("e"), later("f"))
    assert watched.groups == [["a"], ["b", "c"], ["d", "e", "f"]]


async def test_the_size_of_a_group_is_limited(watched: Watched) -> None:
    many = 3 * MAX_GROUP_SIZE
    await asyncio.gather(*map(watched.add, names("n", many)))
    assert max(map(len, watched.groups)) == MAX_GROUP_SIZE
    assert watched.stored() == names("n", many)


@pytest.mark.parametrize("brief", [True, False], ids=["brief", "long"])
async def test_one_faulty_write_fails_alone(watched: Watched, brief: bool) -> None:
    await watched.add("taken")
    wanted = ["a", "b", "taken", "c"]
    results = await asyncio.gather(*(watched.add(name, brief=brief) for name in wanted), return_exceptions=True)
    assert [isinstance(one, Exception) for one in results] == [False, False, True, False]
    assert watched.stored() == ["taken", "a", "b", "c"]


@pytest.mark.parametrize(
    ("error", "outcome"), [("disk I/O error", UnknownCommitError), ("database or disk is full", StoreError)]
)
async def test_only_a_failing_disk_leaves_the_outcome_unknown(
    watched: Watched, error: str, outcome: type[Exception]
) -> None:
    def fails(_: sqlite3.Connection) -> Effect:
        raise sqlite3.OperationalError(error)

    with pytest.raises(outcome):
        await watched.writer.write(None, fails)
    await asyncio.sleep(0)  # `broken` is called in the next round of the loop
    broken, watched.broken = watched.broken, []
    assert bool(broken) == (outcome is UnknownCommitError)


async def test_no_write_of_a_group_is_repeated_if_the_disk_fails(watched: Watched) -> None:
    """What the failed commit has stored is not known, so that a repeat would look like that of another caller."""
    calls = 0

    def fails(connection: sqlite3.Connection) -> Effect:
        nonlocal calls
        calls += 1
        raise sqlite3.OperationalError("disk I/O error")

    first = watched.add("a")
    group = [watched.add("b", brief=False), watched.writer.write(None, fails), watched.add("c", brief=False)]
    results = await asyncio.gather(*group, return_exceptions=True)
    assert [type(result) for result in results] == [UnknownCommitError] * 3
    assert (await first, calls, watched.stored()) == ("a", 1, ["a"])
    await asyncio.sleep(0)
    watched.broken.clear()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_writer_whose_connection_is_lost_is_reported_and_can_be_closed(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "names.db")

    def closes(connection: sqlite3.Connection) -> Effect:
        connection.close()
        raise ZeroDivisionError

    watched.writer.write(None, closes)
    await eventually(lambda: watched.broken)
    await asyncio.wait_for(watched.writer.close(), WAIT_TIMEOUT)
    assert len(watched.broken) == 1


async def test_brief_and_long_writes_keep_their_order(watched: Watched) -> None:
    await asyncio.gather(*(watched.add(name, brief=number % 3 != 0) for number, name in enumerate(names("n", 30))))
    assert watched.stored() == names("n", 30)


async def test_a_write_waits_for_a_locked_file(watched: Watched, tmp_path: Path) -> None:
    async with held(tmp_path / "names.db"):
        future = watched.add("a")
    assert await future == "a"
    assert watched.writer.trouble == ""


async def test_only_the_thread_waits_for_a_locked_file(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def patience() -> int:
        """Return how long a statement on the event loop would wait, in milliseconds."""
        return int(watched.connection.execute("PRAGMA busy_timeout").fetchone()[0])

    monkeypatch.setattr("gateway.store.sqlite.writer.BUSY_TIMEOUT_MS", 1)
    assert patience() == 0
    async with held(tmp_path / "names.db"):
        with pytest.raises(StoreError):
            await watched.add("a")
    assert patience() == 0
    assert await watched.add("b") == "b"
    assert patience() == 0


async def test_the_disk_is_late_with_a_group_only_by_the_time_of_that_group(watched: Watched) -> None:
    disk = SlowDisk()
    future = watched.writer.write(None, disk.inserting("a"))
    await asyncio.to_thread(disk.began.wait, WAIT_TIMEOUT)
    watched.writer._watch()  # as if an earlier group had started the timer
    assert watched.writer.trouble == ""
    disk.responds.set()
    assert await future == "a"


async def test_a_caller_that_left_does_not_keep_others_waiting_for_a_hung_disk(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "HUNG_TIMEOUT", 0.0)
    disk = SlowDisk()
    first, left, stays = watched.writer.write(None, disk.inserting("a")), watched.add("b"), watched.add("c")
    left.cancel()
    with pytest.raises(StoreError, match=writer.HUNG):
        await asyncio.wait_for(stays, WAIT_TIMEOUT)
    disk.responds.set()
    assert await first == "a"


async def test_a_listener_that_fails_does_not_hide_that_a_write_was_stored(tmp_path: Path) -> None:
    def fails(saved: object) -> None:
        raise ZeroDivisionError(saved)

    listened = Writer(files.connect_writer(tmp_path / "names.db"), fails, lambda error: None)
    try:
        stored: asyncio.Future[Any] = listened.write(
            None, lambda connection: ("a", Saved(GenerationId("a"), None, None))
        )
        assert await asyncio.wait_for(stored, WAIT_TIMEOUT) == "a"
    finally:
        await listened.close()


async def test_a_group_that_has_not_begun_is_stored_when_the_writer_is_closed(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "names.db")
    await asyncio.gather(*map(watched.add, "abc"))
    last = watched.add("d")
    await watched.writer.close()
    assert await last == "d"
    assert watched.groups == [["a"], ["b", "c"], ["d"]]
    assert watched.stored() == ["a", "b", "c", "d"]
    with pytest.raises(StoreError, match=writer.CLOSED):
        await asyncio.wait_for(watched.add("e"), WAIT_TIMEOUT)
