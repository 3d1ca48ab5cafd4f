"""`hfgateway demo` as a user runs it, with a real sandbox and a real gateway."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway import demo
from gateway.settings.extras import missing
from tests.cli.conftest import Command, finish


def children_of(parent: int) -> set[int]:
    """Return the live child processes of a process."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:  # the process has ended
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.add(int(entry.parent.name))
    return found


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_the_demo_charges_once_and_saves_its_outputs(hfgateway: Command, tmp_path: Path) -> None:
    ended = await finish(await hfgateway.start("demo", folder=tmp_path))

    assert (ended.code, ended.err) == (0, "")
    assert "UNCERTAIN" in ended.out
    assert "charged 1 time (" in ended.out
    files = sorted(path.suffix for path in (tmp_path / "hfgateway-demo").iterdir())
    assert files == [".png", ".webm"]


async def test_a_demo_that_cannot_save_its_outputs_generates_nothing(hfgateway: Command, tmp_path: Path) -> None:
    (tmp_path / "hfgateway-demo").touch()
    ended = await finish(await hfgateway.start("demo", folder=tmp_path))
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "the demo failed: hfgateway-demo: cannot be created (File exists)\n"


@pytest.mark.parametrize("library", ["PIL", "av"])
def test_a_demo_without_the_libraries_of_the_sandbox_names_the_extra(tmp_path: Path, library: str) -> None:
    without = f"import runpy, sys; sys.modules[{library!r}] = None; runpy.run_module('gateway', run_name='__main__')"
    ended = subprocess.run(
        [sys.executable, "-c", without, "demo"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"the demo {missing('sandbox')}\n"
    assert [*tmp_path.iterdir()] == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_an_interrupted_demo_leaves_no_process_behind(hfgateway: Command, tmp_path: Path) -> None:
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        process = await hfgateway.start("demo", folder=tmp_path)
        async with asyncio.timeout(60):
            while len(started := children_of(process.pid)) < 2:
                await asyncio.sleep(0.05)
        process.send_signal(number)
        ended = await finish(process)

        assert ended.code == code
        assert not any(is_alive(child) for child in started)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_interrupted_while_it_starts_a_process_stops_it(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[subprocess.Popen[bytes]] = []

    def begin(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        """Start the process, and raise the signal before the demo has its handle."""
        begun.append(popen(*arguments, **options))
        signal.raise_signal(number)
        return begun[-1]

    def end(*_: object) -> None:
        raise SystemExit

    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", begin)
    handlers = {one: signal.signal(one, end) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        with pytest.raises(SystemExit):
            demo._process(("sandbox", "--port", "0"), os.environ, tmp_path, re.compile("x")).__enter__()
    finally:
        for one, handler in handlers.items():
            signal.signal(one, handler)
    (process,) = begun
    try:
        assert process.returncode is not None
    finally:
        process.kill()
        process.wait()
