"""What tests/support/watchdog.py does about tests that are stuck, each in a pytest run of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.watchdog import EXIT_CODE, LIMIT, LONGEST

ROOT = Path(__file__).resolve().parents[2]
PREAMBLE = """
import asyncio, ctypes, os, signal, subprocess, threading
import pytest
from tests.support import watchdog

def limit_is_over_soon():
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    assert left > 100
    signal.setitimer(signal.ITIMER_REAL, 0.1)

async def wait_for_what_never_comes():
    limit_is_over_soon()
    await asyncio.Event().wait()
"""
"""No test here waits for a limit, so that a slow machine reaches what it is to be stuck in."""
STUCK = {
    "a wait": ("async def test_it():\n    await wait_for_what_never_comes()\n", "in wait_for_what_never_comes"),
    # Where a limit that raises does not help: the exception would end one of the tasks that always run.
    "a busy loop": (
        """
async def spin():
    while True:
        sum(range(1_000_000))
        await asyncio.sleep(0)

async def test_it():
    tasks = [asyncio.create_task(spin()) for _ in range(2)]
    await wait_for_what_never_comes()
""",
        "in wait_for_what_never_comes",
    ),
    "the end of a fixture of a test that failed": (
        """
@pytest.fixture
async def stuck():
    yield
    await wait_for_what_never_comes()

async def test_it(stuck):
    raise AssertionError
""",
        "in wait_for_what_never_comes",
    ),
    "an asynchronous generator": (
        """
async def generator():
    await wait_for_what_never_comes()
    yield

async def test_it():
    async for _ in generator():
        pass
""",
        "in wait_for_what_never_comes",
    ),
    "what swallows exceptions": (
        """
def test_it():
    limit_is_over_soon()
    while True:
        try:
            threading.Event().wait()
        except BaseException:
            pass
""",
        "in test_it",
    ),
    "another process": (
        """
def test_it():
    with subprocess.Popen(["sleep", "1000"]):
        limit_is_over_soon()
""",
        ": sleep 1000",
    ),
    "what runs no Python any more": (
        """
watchdog.GRACE = 0.5

@pytest.mark.timeout(1)
def test_it():
    mutex, library = ctypes.create_string_buffer(64), ctypes.PyDLL(None)
    for _ in range(2):
        library.pthread_mutex_lock(mutex)
""",
        "in test_it",
    ),
}
IN_C = "what runs no Python any more"
OTHERS = "\ndef test_another():\n    pass\n"
AT_THE_END = """
def end():
    threading.main_thread().join()
    limit_is_over_soon()
    threading.Event().wait()

def test_it():
    threading.Thread(target=end).start()
"""
STOPPED = "\ndef test_it():\n    os.kill(os.getpid(), signal.SIGSTOP)\n"
WORKERS_LIMIT_IS_OVER = """
@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport():
    if "PYTEST_XDIST_WORKER" not in os.environ:
        left, _ = signal.getitimer(signal.ITIMER_REAL)
        assert left > watchdog.LIMIT
        signal.setitimer(signal.ITIMER_REAL, 0.1)
"""


def run_pytest(directory: Path, test: str, *arguments: str, conftest: str = "") -> subprocess.CompletedProcess[str]:
    (directory / "conftest.py").write_text(
        "import os, signal\nimport pytest\nfrom tests.support import watchdog\n"
        "def pytest_configure(config):\n    config.pluginmanager.register(watchdog.Watchdog(config))\n" + conftest
    )
    (directory / "test_it.py").write_text(PREAMBLE + test)
    (directory / "pytest.ini").write_text(
        f"[pytest]\npythonpath = {ROOT}\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
        "markers = timeout(seconds): has time\n"
    )
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", *arguments, "."],
        cwd=directory,
        env=inherited,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT / 2,
    )


@pytest.mark.parametrize("kind", STUCK)
def test_a_stuck_test_ends_the_process_and_says_what_it_waited_for(tmp_path: Path, kind: str) -> None:
    test, waited = STUCK[kind]
    outcome = run_pytest(tmp_path, test)
    assert waited in outcome.stderr, outcome.stdout + outcome.stderr
    if kind == IN_C:
        assert outcome.returncode == 1
    else:
        assert outcome.returncode == EXIT_CODE
        assert f"FAILED test_it.py::test_it: stuck for {LIMIT:.0f} s" in outcome.stderr


@pytest.mark.parametrize("kind", ["a wait", IN_C])
def test_side_by_side_it_has_failed_and_the_others_go_on(tmp_path: Path, kind: str) -> None:
    test, waited = STUCK[kind]
    outcome = run_pytest(tmp_path, test + OTHERS, "--numprocesses=1")
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    assert waited in outcome.stderr
    assert "crashed while running 'test_it.py::test_it'" in outcome.stdout
    assert "1 failed, 1 passed" in outcome.stdout.splitlines()[-1]


def test_a_process_that_does_not_end_is_ended(tmp_path: Path) -> None:
    outcome = run_pytest(tmp_path, AT_THE_END)
    assert outcome.returncode == EXIT_CODE, outcome.stderr
    assert "1 passed" in outcome.stdout.splitlines()[-1]
    assert "the end of the process: stuck" in outcome.stderr


def test_workers_that_say_nothing_more_are_ended(tmp_path: Path) -> None:
    outcome = run_pytest(tmp_path, STOPPED, "--numprocesses=1", conftest=WORKERS_LIMIT_IS_OVER)
    assert outcome.returncode == EXIT_CODE, outcome.stdout + outcome.stderr
    assert "none of them begins or ends a test: stuck" in outcome.stderr


def test_a_test_may_be_given_more_time(tmp_path: Path) -> None:
    test = """
@pytest.mark.timeout(1000)
def test_it():
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    assert left > watchdog.LIMIT
"""
    outcome = run_pytest(tmp_path, test)
    assert outcome.returncode == 0, outcome.stdout


def test_no_test_may_last_longer_than_the_workers_may_be_silent(request: pytest.FixtureRequest) -> None:
    marks = [mark for item in request.session.items if (mark := item.get_closest_marker("timeout"))]
    assert all(mark.args[0] <= LONGEST for mark in marks)
