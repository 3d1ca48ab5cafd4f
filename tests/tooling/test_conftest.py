"""The rules of tests/conftest.py; each test is a separate pytest run that breaks a rule."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.conftest import LONGEST_FIRST

ROOT = Path(__file__).resolve().parents[2]
CONFTEST = ROOT / "tests" / "conftest.py"
PREAMBLE = "import asyncio, contextlib, os, socket, tempfile, threading\nimport pytest\n"


def run_pytest(
    directory: Path, test: str, *arguments: str, timeout: float = 300, **environment: str
) -> subprocess.CompletedProcess[str]:
    shutil.copy(CONFTEST, directory / "conftest.py")
    (directory / "test_it.py").write_text(PREAMBLE + test)
    (directory / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
        "filterwarnings = error\nmarkers = toolchain(name): needs it\n"
    )
    # Without the PYTEST_ variables the run does not notice that this test may run in a worker.
    inherited = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, "."],
        cwd=directory,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


# 192.0.2.0/24 and 2001:db8::/32 are reserved for documentation: nothing answers there even without the guard.
SWALLOWS = """
def reach():
    with contextlib.suppress(Exception):
        socket.create_connection(('192.0.2.1', 9), 1)
"""
REACHES_OUT = {
    "connect": "def test_it():\n    socket.create_connection(('192.0.2.1', 9), 1)\n",
    "connect of IPv6": "def test_it():\n    socket.socket(socket.AF_INET6).connect(('2001:db8::1', 9))\n",
    "connect_ex": "def test_it():\n    socket.socket().connect_ex(('192.0.2.1', 9))\n",
    "datagram": "def test_it():\n    socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('192.0.2.1', 9))\n",
    "look-up": "def test_it():\n    socket.getaddrinfo('nosuch.example', 9)\n",
    "asyncio": "async def test_it():\n    await asyncio.open_connection('192.0.2.1', 9)\n",
    "asyncio's look-up": "async def test_it():\n    await asyncio.open_connection('nosuch.example', 9)\n",
    "swallowed": SWALLOWS + "def test_it():\n    reach()\n",
    "in another thread": SWALLOWS
    + "def test_it():\n    thread = threading.Thread(target=reach)\n    thread.start()\n    thread.join()\n",
}


@pytest.fixture(scope="module")
def reaching_out(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the failure of each test in REACHES_OUT. One run has them all, each as a file."""
    folder = tmp_path_factory.mktemp("reaching-out")
    for number, test in enumerate(REACHES_OUT.values()):
        # Open sockets would fail the run too, for another reason.
        ignored = "pytestmark = pytest.mark.filterwarnings('ignore')\n"
        (folder / f"test_{number}.py").write_text(PREAMBLE + ignored + test)
    outcome = run_pytest(folder, "", "--junitxml=report.xml")
    assert outcome.returncode == 1, outcome.stdout
    cases = {case.get("classname"): case for case in ElementTree.parse(folder / "report.xml").iter("testcase")}
    return {
        name: " ".join(part.get("message", "") + (part.text or "") for part in cases[f"test_{number}"])
        for number, name in enumerate(REACHES_OUT)
    }


@pytest.mark.parametrize("name", REACHES_OUT)
def test_a_test_that_connects_to_another_machine_fails(name: str, reaching_out: dict[str, str]) -> None:
    failure = reaching_out[name]
    assert "192.0.2.1" in failure or "2001:db8::1" in failure or "nosuch.example" in failure
    assert "tried to reach another machine" in failure


STAYS = """
async def echo(reader, writer):
    writer.write(await reader.read(1))
    writer.close()

@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost"])
async def test_loopback(host):
    server = await asyncio.start_server(echo, host, 0, family=socket.AF_INET)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"x")
        assert await reader.read() == b"x"
        writer.close()
        await writer.wait_closed()

async def test_unix_sockets():
    with tempfile.TemporaryDirectory() as directory:
        server = await asyncio.start_unix_server(echo, directory + "/socket")
        async with server:
            reader, writer = await asyncio.open_unix_connection(directory + "/socket")
            writer.write(b"x")
            assert await reader.read() == b"x"
            writer.close()
            await writer.wait_closed()

async def test_names_that_never_exist_fail_as_usual():
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("nosuch.invalid", 9)
    with pytest.raises(socket.gaierror):
        await asyncio.open_connection("nosuch.invalid", 9)
"""


def test_a_test_that_connects_to_loopback_passes(tmp_path: Path) -> None:
    outcome = run_pytest(tmp_path, STAYS)
    assert outcome.returncode == 0, outcome.stdout
    assert "5 passed" in outcome.stdout


NEEDS_A_TOOLCHAIN = """
@pytest.mark.toolchain("no-such-tool")
def test_it():
    raise AssertionError("must not run")

@pytest.mark.toolchain("python3")
def test_present():
    pass
"""


@pytest.mark.parametrize("arguments", [(), ("--numprocesses=2",)], ids=["one process", "side by side"])
def test_a_missing_toolchain_is_skipped_loudly(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    outcome = run_pytest(tmp_path, NEEDS_A_TOOLCHAIN, *arguments)
    assert outcome.returncode == 0, outcome.stdout
    assert "SKIPPED because of a missing toolchain: no-such-tool (1 test)" in outcome.stdout
    assert "1 passed, 1 skipped" in outcome.stdout.splitlines()[-1]


def test_a_missing_toolchain_fails_in_ci(tmp_path: Path) -> None:
    outcome = run_pytest(tmp_path, NEEDS_A_TOOLCHAIN, CI="true")
    assert outcome.returncode == 1, outcome.stdout
    assert "no-such-tool is not installed" in outcome.stdout


RECORDS_ITS_WORKER = """
@pytest.mark.parametrize("number", range(3))
def test_it(number):
    with open("record", "a") as record:
        record.write(os.environ["PYTEST_XDIST_WORKER"] + " " + os.path.basename(__file__) + "\\n")
"""


def test_one_worker_runs_the_files_of_a_line_longest_lines_first(tmp_path: Path) -> None:
    line = next(line for line in LONGEST_FIRST if len(line) > 1)
    files = ["tests/a/test_a.py", "tests/b/test_b.py", "tests/c/test_c.py", *line]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(PREAMBLE + RECORDS_ITS_WORKER)
    outcome = run_pytest(tmp_path, "", "--numprocesses=2", "--import-mode=importlib")
    assert outcome.returncode == 0, outcome.stdout
    entries = [entry.split() for entry in (tmp_path / "record").read_text().splitlines()]
    assert len(entries) == 3 * len(files)
    names = [Path(file).name for file in line]
    (worker,) = {worker for worker, name in entries if name in names}
    ours = [name for recorded, name in entries if recorded == worker]
    assert ours[: 3 * len(line)] == [name for name in names for _ in range(3)]


def test_a_run_continues_after_a_worker_has_crashed(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"test_{number}.py").write_text("def test_it():\n    pass\n")
    crash = "def test_before(): pass\ndef test_crash(): os._exit(1)\ndef test_after(): pass\n"
    ended = run_pytest(tmp_path, crash, "-n", "2", timeout=120)
    assert "1 failed, 6 passed" in ended.stdout, ended.stdout


def test_files_of_a_run_are_removed_also_those_in_the_users_data_folder(tmp_path: Path) -> None:
    test = """
from gateway.process.private_sockets import admin_pointer
from gateway.settings.values import PostgresUrl
def test_it():
    pointer = admin_pointer(PostgresUrl("postgresql://db.example/hfgateway"))
    pointer.parent.mkdir(parents=True)
    pointer.touch()
    tempfile.mkdtemp()
"""
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    for folder in (home, temporary):
        folder.mkdir()
    run = run_pytest(tmp_path, test, HOME=str(home), TMPDIR=str(temporary), XDG_DATA_HOME="")
    assert run.returncode == 0, run.stdout
    assert [*home.iterdir(), *temporary.iterdir()] == []


def test_the_longest_files_exist_and_are_listed_once() -> None:
    files = [file for line in LONGEST_FIRST for file in line]
    assert [file for file in files if not (ROOT / file).is_file()] == []
    assert len(set(files)) == len(files)
