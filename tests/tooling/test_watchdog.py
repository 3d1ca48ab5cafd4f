"""tests/support/watchdog.py ends stuck tests; each test here is a separate pytest run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.watchdog import EXIT_CODE, MAX_TIMEOUT, TEST_TIMEOUT

ROOT = Path(__file__).resolve().parents[2]
PREAMBLE = """
import asyncio, ctypes, os, signal, subprocess, threading
import pytest
from tests.support import watchdog

def end_the_limit_soon():
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    assert left > 100
    signal.setitimer(signal.ITIMER_REAL, 0.1)

async def wait_forever():
    end_the_limit_soon()
    await asyncio.Event().wait()
"""
"""Tests set the timer when they get stuck instead of waiting for a limit, so a slow machine gets stuck first."""
STUCK = {
    "a wait": ("async def test_it():\n    await wait_forever()\n", "in wait_forever"),
    # An exception raised by a timer would end only one of the running tasks.
    "a busy loop": (
        """
async def spin():
    while True:
        sum(range(1_000_000))
        await asyncio.sleep(0)

async def test_it():
    tasks = [asyncio.create_task(spin()) for _ in range(2)]
    await wait_forever()
""",
        "in wait_forever",
    ),
    "the teardown of a failed test": (
        """
@pytest.fixture
async def stuck():
    yield
    await wait_forever()

async def test_it(stuck):
    raise AssertionError
""",
        "in wait_forever",
    ),
    "an asynchronous generator": (
        """
async def generator():
    await wait_forever()
    yield

async def test_it():
    async for _ in generator():
        pass
""",
        "in wait_forever",
    ),
    "a loop that swallows exceptions": (
        """
def test_it():
    end_the_limit_soon()
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
        end_the_limit_soon()
""",
        ": sleep 1000",
    ),
    "a deadlock in C code": (
        """
watchdog.GRACE_PERIOD = 0.5

@pytest.mark.timeout(1)
def test_it():
    mutex, library = ctypes.create_string_buffer(64), ctypes.PyDLL(None)
    for _ in range(2):
        library.pthread_mutex_lock(mutex)
""",
        "in test_it",
    ),
}
IN_C = "a deadlock in C code"
OTHERS = "\ndef test_another():\n    pass\n"
AT_THE_END = """
def end():
    threading.main_thread().join()
    end_the_limit_soon()
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
        assert left > watchdog.TEST_TIMEOUT
        signal.setitimer(signal.ITIMER_REAL, 0.1)
"""


WORKERS_LIMIT_AT_THE_END = """
def pytest_unconfigure():
    if "PYTEST_XDIST_WORKER" in os.environ:
        left, _ = signal.getitimer(signal.ITIMER_REAL)
        open("left", "w").write(str(left))
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
        timeout=TEST_TIMEOUT / 2,
    )


@pytest.mark.parametrize("kind", STUCK)
def test_a_stuck_test_ends_the_process_with_a_dump(tmp_path: Path, kind: str) -> None:
    test, waited = STUCK[kind]
    outcome = run_pytest(tmp_path, test)
    assert waited in outcome.stderr, outcome.stdout + outcome.stderr
    if kind == IN_C:
        assert outcome.returncode == 1
    else:
        assert outcome.returncode == EXIT_CODE
        assert f"FAILED test_it.py::test_it: stuck for {TEST_TIMEOUT:.0f} s" in outcome.stderr


@pytest.mark.parametrize("kind", ["a wait", IN_C])
def test_a_stuck_test_in_a_worker_fails_and_the_others_continue(tmp_path: Path, kind: str) -> None:
    test, waited = STUCK[kind]
    outcome = run_pytest(tmp_path, test + OTHERS, "--numprocesses=1")
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    assert waited in outcome.stderr
    assert "crashed while running 'test_it.py::test_it'" in outcome.stdout
    assert "1 failed, 1 passed" in outcome.stdout.splitlines()[-1]


def test_a_process_that_does_not_exit_is_ended(tmp_path: Path) -> None:
    outcome = run_pytest(tmp_path, AT_THE_END)
    assert outcome.returncode == EXIT_CODE, outcome.stderr
    assert "1 passed" in outcome.stdout.splitlines()[-1]
    assert "the end of the process: stuck" in outcome.stderr


def test_a_worker_without_tests_left_may_wait_for_the_others(tmp_path: Path) -> None:
    """Its session ends, and its process continues until the last worker has finished."""
    outcome = run_pytest(tmp_path, OTHERS, "--numprocesses=1", conftest=WORKERS_LIMIT_AT_THE_END)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert float((tmp_path / "left").read_text()) == 0.0


def test_silent_workers_are_ended(tmp_path: Path) -> None:
    outcome = run_pytest(tmp_path, STOPPED, "--numprocesses=1", conftest=WORKERS_LIMIT_IS_OVER)
    assert outcome.returncode == EXIT_CODE, outcome.stdout + outcome.stderr
    assert "none of them begins or ends a test: stuck" in outcome.stderr


def test_a_timeout_mark_extends_the_limit(tmp_path: Path) -> None:
    test = """
@pytest.mark.timeout(1000)
def test_it():
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    assert left > watchdog.TEST_TIMEOUT
"""
    outcome = run_pytest(tmp_path, test)
    assert outcome.returncode == 0, outcome.stdout


def test_no_timeout_mark_exceeds_the_limit_of_silent_workers(request: pytest.FixtureRequest) -> None:
    marks = [mark for item in request.session.items if (mark := item.get_closest_marker("timeout"))]
    assert all(mark.args[0] <= MAX_TIMEOUT for mark in marks)
