"""What holds for every run of tests: it stays on this machine, it ends, and no missing toolchain goes unnoticed.

With `-n` files run side by side, those first that last longest: docs/decisions/0022-tests-run-side-by-side.md.
"""

from __future__ import annotations

import gc
import ipaddress
import os
import shutil
import socket
import sys
from collections import defaultdict
from collections.abc import Generator
from typing import Any

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

from tests.support.watchdog import Watchdog

WORKERS_FOR_A_CORE, MOST_WORKERS = 2, 8
"""Tests mostly wait: for processes, for sockets, for the end of a time."""

LONGEST_FIRST: tuple[tuple[str, ...], ...] = (
    ("tests/durability/test_kill.py",),
    # What the clients' builds have in common: Maven's target folder, Cargo's, node_modules.
    ("tests/clients/test_behaviours.py", "tests/clients/test_java.py", "tests/clients/test_rust.py"),
    ("tests/clients/test_go.py", "tests/conformance/test_connect.py", "tests/conformance/test_grpc_tools.py"),
    ("tests/clients/test_typescript.py", "tests/examples/test_typescript.py", "tests/tooling/test_generated.py"),
    ("tests/chaos/test_storm.py",),
    ("tests/app/test_restore.py",),
    ("tests/app/test_start.py",),
    ("tests/app/test_one_gateway.py",),
    ("tests/recovery/test_outage.py",),
    ("tests/app/test_doctor.py",),
    ("tests/simulation/test_simulation.py",),
    ("tests/simulation/test_mutations.py",),
    ("tests/rpc/test_errors.py",),
    ("tests/tooling/test_conftest.py",),
    ("tests/watching/test_faults.py",),
    ("tests/archive/test_gateway.py",),
    ("tests/web/test_page.py",),
    ("tests/clients/test_python.py", "tests/tooling/test_packages.py", "tests/tooling/test_stub_floors.py"),
    ("tests/generations/test_submit_path.py",),
    ("tests/bench/test_charges.py",),
    ("tests/tooling/test_watchdog.py",),
    ("tests/sandbox/test_command.py",),
    ("tests/simulation/test_replay.py",),
    ("tests/contract/store/test_faults.py",),
    ("tests/durability/test_restart.py",),
    ("tests/callbacks/test_command.py",),
)
"""The run would wait for these at its end. The files of one line share what they build, or would keep all cores busy:
one worker runs them in turn. Every other file is a line by itself."""
LINES = {file: number for number, files in enumerate(LONGEST_FIRST) for file in files}


class OutsideWorldError(RuntimeError):
    """A test tried to reach something that is not this machine."""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    if not _is_address(host):
        return host == "localhost"
    address = ipaddress.ip_address(host)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


class OutsideWorldGuard:
    """Refuses every connection and every look-up of a name that leaves this machine, and fails the test that tried.

    An audit hook sees all of Python's sockets (asyncio's, those of other threads, functions imported before us), which
    patches of the socket module do not. It does not see gRPC's own sockets, which are made in C.
    """

    def __init__(self) -> None:
        self.attempts: list[str] = []
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        # Called for every import, open and more: the first line has to be cheap.
        if not event.startswith("socket."):
            return
        if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
            address = arguments[1]
            # Unix sockets have a path, netlink has numbers, a datagram socket that is connected has nothing.
            if isinstance(address, tuple) and isinstance(address[0], str) and not _is_loopback(address[0]):
                self._refuse(f"{event}: {address}")
        elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
            self._look_up(event, arguments[0])
        elif event == "socket.gethostbyaddr" and not _is_loopback(arguments[0]):
            self._refuse(f"{event}: {arguments[0]}")

    def _look_up(self, event: str, host: str | bytes | None) -> None:
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host or ""
        # An address is not looked up anywhere; whether it may be connected to is decided when somebody does.
        if not name or _is_address(name) or _is_loopback(name):
            return
        if name.rstrip(".").endswith(".invalid"):
            # The reserved domain never exists: the answer is known, and no resolver is asked for it.
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        self._refuse(f"{event}: {name}")

    def _refuse(self, attempt: str) -> None:
        self.attempts.append(attempt)
        raise OutsideWorldError(attempt)

    def _judged(self) -> Generator[None, Any, Any]:
        """What a test swallows fails it all the same: code that retries refused connections must not hide them."""
        try:
            result = yield
        except BaseException as error:
            if self.attempts:
                error.add_note(f"The test reached out of this machine: {'; '.join(self.attempts)}")
                self.attempts.clear()
            raise
        if self.attempts:
            attempts = "; ".join(self.attempts)
            self.attempts.clear()
            pytest.fail(f"The test reached out of this machine: {attempts}", pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, Any, Any]:
        return (yield from self._judged())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self) -> Generator[None, Any, Any]:
        return (yield from self._judged())


class Toolchains:
    """Skips what needs a toolchain that is not here, and says so at the end; with CI=true it is a failure."""

    PROPERTY = "lacks toolchain"

    def __init__(self) -> None:
        self.skipped: defaultdict[str, int] = defaultdict(int)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        for marker in item.iter_markers("toolchain"):
            (name,) = marker.args
            if shutil.which(name) is not None:
                continue
            if os.environ.get("CI") == "true":
                pytest.fail(f"{name} is not installed, and CI=true lets nothing be skipped", pytrace=False)
            # A worker tells it to whoever sums up, as a part of the test's report.
            item.user_properties.append((self.PROPERTY, name))
            pytest.skip(f"{name} is not installed")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "setup":
            for name, value in report.user_properties:
                if name == self.PROPERTY:
                    self.skipped[str(value)] += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for name, count in sorted(self.skipped.items()):
            line = f"SKIPPED for want of a toolchain: {name} ({count} {'test' if count == 1 else 'tests'})"
            terminalreporter.write_line(line, red=True, bold=True)


class Lines(LoadFileScheduling):  # type: ignore[misc] # xdist has no types
    """Gives each worker one line after the other: what tests of a file share is made once."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return LONGEST_FIRST[LINES[file]][0] if file in LINES else file

    def schedule(self) -> None:
        super().schedule()
        # A worker begins its last test when it has been told that no other follows. xdist forgets to tell this to one
        # that replaces a crashed worker and gets a single test.
        for node in self.nodes:
            self._reschedule(node)

    def remove_node(self, node: WorkerController) -> str | None:
        """Return the test that a worker crashed in, and hand out the tests that it had not begun.

        xdist would hand out the crashed test again, and files whose tests have all ended, which never end again.
        """
        units = self.assigned_work.pop(node)
        pending = [test for unit in units.values() for test, ended in unit.items() if not ended]
        if not pending:
            return None
        for name, unit in units.items():
            if rest := {test: False for test in unit if test in pending[1:]}:
                self.workqueue[name] = rest
        for other in self.assigned_work:
            self._reschedule(other)
        return str(pending[0])


def cores() -> int:
    """Those that this process may use, where the system tells: `taskset` and containers leave some out."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` means."""
    return min(WORKERS_FOR_A_CORE * cores(), MOST_WORKERS)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Lines:
    # In the order of the tests, and not of the number of tests in a file.
    config.option.loadscopereorder = False
    return Lines(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: LINES.get(item.nodeid.partition("::")[0], len(LONGEST_FIRST)))


def pytest_collection_finish() -> None:
    """Keep the collector off the modules and tests, which all last as long as the process."""
    gc.collect()
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    # Registered rather than defined as hooks here: those would hold for tests/ only, not for clients/python/tests.
    config.pluginmanager.register(OutsideWorldGuard(), "outside-world-guard")
    config.pluginmanager.register(Toolchains(), "toolchains")
    config.pluginmanager.register(Watchdog(config), "watchdog")
