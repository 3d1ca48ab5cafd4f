"""The rules of every test run: no network, no stuck test, and no unnoticed skip because of a missing toolchain.

`OutsideWorldGuard` fails tests that connect to another machine, `Watchdog` ends a stuck process, and `Toolchains`
reports missing toolchains. With pytest-xdist (`-n`), whole files run in parallel, the longest first. See
docs/decisions/0022-tests-run-in-parallel.md.
"""

from __future__ import annotations

import gc
import glob
import ipaddress
import os
import shutil
import socket
import sys
import tempfile
from collections import defaultdict
from collections.abc import Generator
from multiprocessing.util import Finalize
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

from tests.support import new_stores
from tests.support.browser import HEADLESS_CHROMIUM
from tests.support.canary import CanaryPlugin
from tests.support.files import RUN_FOLDER
from tests.support.watchdog import Watchdog

# How long an example takes depends on the machine.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

for _name in ("no_proxy", "NO_PROXY"):  # gRPC, for example, would connect to this machine over a proxy
    os.environ[_name] = f"{os.environ.get(_name, '')},localhost,127.0.0.1,::1,invalid".lstrip(",")

OUTSIDE_THE_PATH = ("/usr/lib/postgresql/*/bin", "/usr/sbin")
"""Where Debian installs the programs of PostgreSQL, and PgBouncer."""
MEMORY, MEMORY_NEEDED = "/dev/shm", 4 << 30
"""A folder in memory on Linux, and the free space in bytes with which a run uses it: several times its peak."""
WORKERS_PER_CORE, MAX_WORKERS = 3, 8
"""More than one worker per core, because tests mostly wait for processes, sockets and timers."""

LONGEST_FIRST: tuple[tuple[str, ...], ...] = (
    ("tests/durability/test_kill.py",),
    # These share build folders: Maven's and Cargo's target folders, and node_modules.
    ("tests/clients/test_behaviours.py", "tests/clients/test_java.py", "tests/clients/test_rust.py"),
    ("tests/simulation/test_simulation.py",),
    ("tests/contract/store/test_faults.py",),
    ("tests/clients/test_typescript.py", "tests/examples/test_typescript.py", "tests/tooling/test_generated.py"),
    ("tests/web/test_page.py",),
    ("tests/simulation/test_replicas.py",),
    # The files of a line share a server.
    (
        "tests/contract/store/test_serve_postgres.py",
        "tests/contract/store/test_replicas.py",
        "tests/contract/store/test_postgres.py",
        "tests/contract/store/test_moving.py",
    ),
    ("tests/chaos/test_storm.py",),
    ("tests/clients/test_go.py", "tests/conformance/test_connect.py", "tests/conformance/test_grpc_tools.py"),
    (
        "tests/contract/store/test_postgres_connections.py",
        "tests/contract/store/test_upgrade.py",
        "tests/contract/store/test_wrong_clocks.py",
        "tests/contract/store/test_postgres_plans.py",
        "tests/contract/store/test_pgbouncer.py",
        "tests/contract/store/test_clients.py",
        "tests/deploy/test_workers.py",
    ),
    ("tests/contract/store/test_lost_commits.py",),
    ("tests/recovery/test_outage.py",),
    ("tests/hostile/test_requests.py",),
    ("tests/simulation/test_mutations.py",),
    ("tests/app/test_restore.py",),
    ("tests/generations/test_submit_path.py",),
    (
        "tests/contract/store/test_store.py",
        "tests/contract/store/test_parts.py",
        "tests/contract/store/test_agents.py",
        "tests/contract/store/test_characters.py",
    ),
    ("tests/contract/upstream/test_fuzz.py",),
    ("tests/watching/test_faults.py",),
    ("tests/cli/test_generate.py",),
    ("tests/clients/test_sixth_language.py",),
    ("tests/recovery/test_store_trouble.py",),
    ("tests/app/test_start.py",),
    ("tests/rpc/test_errors.py",),
    ("tests/app/test_doctor.py",),
    ("tests/app/test_one_gateway.py",),
    ("tests/contract/store/test_failover.py",),
    ("tests/deploy/test_load_balancer.py",),
    ("tests/cli/test_demo.py",),
    ("tests/access/test_watch_tokens.py",),
    ("tests/docs/test_readme.py",),
    ("tests/watching/test_progress.py",),
    ("tests/watching/test_known_mistakes.py",),
    ("tests/tooling/test_conftest.py",),
    ("tests/app/test_logs.py",),
    ("tests/archive/test_gateway.py",),
    ("tests/web/test_page_submit.py",),
    ("tests/webhooks/test_starts.py",),
    ("tests/clients/test_python.py", "tests/tooling/test_packages.py", "tests/tooling/test_stub_floors.py"),
    ("tests/tooling/test_watchdog.py",),
    ("tests/app/test_restore_characters_messages.py",),
    ("tests/rpc/test_forwarding.py",),
    ("tests/contract/store/test_dead_connections.py",),
    ("tests/overload/test_stall.py",),
    ("tests/cli/test_upload.py",),
    ("tests/app/test_traces.py",),
    ("tests/bench/test_charges.py",),
    ("clients/python/tests/test_uploads.py",),
    ("tests/sandbox/test_command.py",),
    ("tests/simulation/test_replay.py",),
    ("tests/durability/test_restart.py",),
    ("tests/callbacks/test_command.py",),
    ("tests/callbacks/test_document.py",),
    ("tests/webhooks/test_noise.py",),
    ("tests/callbacks/test_impatience.py",),
)
"""The lines that start first: those that take long, or mostly wait. At the end of a run they would leave cores idle.

Lines that compute stand between those that wait, because several of those at a time would also leave cores idle.

A line is a group of files that one worker runs one after the other, because they share a build or because each of them
keeps all cores busy. Every file that is not listed is a line by itself.
"""
LINE_NUMBERS = {file: number for number, files in enumerate(LONGEST_FIRST) for file in files}


class OutsideWorldError(RuntimeError):
    """A test tried to connect to another machine, or to look up its name."""


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
    """Refuses connections and name look-ups beyond this machine, and fails the test that tried one.

    Unlike patches of the socket module, an audit hook sees all of Python's sockets: those of asyncio and of other
    threads, and those of modules that imported socket functions earlier. It does not see the sockets of gRPC, which are
    created in C.
    """

    def __init__(self) -> None:
        self.attempts: list[str] = []
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        # Python calls this for every import, every open() and more, so the first check must be cheap.
        if not event.startswith("socket."):
            return
        if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
            address = arguments[1]
            # A Unix socket has a path, a netlink socket has numbers, and a connected datagram socket has no address.
            if isinstance(address, tuple) and isinstance(address[0], str) and not _is_loopback(address[0]):
                self._refuse(f"{event}: {address}")
        elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
            self._look_up(event, arguments[0])
        elif event == "socket.gethostbyaddr" and not _is_loopback(arguments[0]):
            self._refuse(f"{event}: {arguments[0]}")

    def _look_up(self, event: str, host: str | bytes | None) -> None:
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host or ""
        # An address needs no resolver. A connection to it is checked when it is made.
        if not name or _is_address(name) or _is_loopback(name):
            return
        if name.rstrip(".").endswith(".invalid"):
            # The reserved domain never exists. Fail as a resolver would, without asking one.
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        self._refuse(f"{event}: {name}")

    def _refuse(self, attempt: str) -> None:
        self.attempts.append(attempt)
        raise OutsideWorldError(attempt)

    def _fail_after_attempts(self) -> Generator[None, Any, Any]:
        """Fail a test that made an attempt, even if it swallowed the error, as code that retries connections does."""
        try:
            result = yield
        except BaseException as error:
            if self.attempts:
                error.add_note(f"The test tried to reach another machine: {'; '.join(self.attempts)}")
                self.attempts.clear()
            raise
        if self.attempts:
            attempts = "; ".join(self.attempts)
            self.attempts.clear()
            pytest.fail(f"The test tried to reach another machine: {attempts}", pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, Any, Any]:
        return (yield from self._fail_after_attempts())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self) -> Generator[None, Any, Any]:
        return (yield from self._fail_after_attempts())


class Toolchains:
    """Skips tests whose toolchain is not installed, and lists the toolchains in the summary. If CI=true, they fail.

    A test names its toolchain, which is a command, with `@pytest.mark.toolchain(name)`.
    """

    PROPERTY = "missing toolchain"

    def __init__(self) -> None:
        self.skipped: defaultdict[str, int] = defaultdict(int)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        for marker in item.iter_markers("toolchain"):
            (name,) = marker.args
            outside = [folder for pattern in OUTSIDE_THE_PATH for folder in glob.glob(pattern)]
            if shutil.which(name) or shutil.which(name, path=os.pathsep.join(outside)):
                continue
            if name == "chromium" and shutil.which(HEADLESS_CHROMIUM):
                continue
            if os.environ.get("CI") == "true":
                pytest.fail(f"{name} is not installed, and CI=true forbids skips", pytrace=False)
            # The controlling process prints the summary. It gets the name from a worker with the test's report.
            item.user_properties.append((self.PROPERTY, name))
            pytest.skip(f"{name} is not installed")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "setup":
            for name, value in report.user_properties:
                if name == self.PROPERTY:
                    self.skipped[str(value)] += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for name, count in sorted(self.skipped.items()):
            line = f"SKIPPED because of a missing toolchain: {name} ({count} {'test' if count == 1 else 'tests'})"
            terminalreporter.write_line(line, red=True, bold=True)


class LineScheduling(LoadFileScheduling):  # type: ignore[misc] # xdist has no types
    """Assigns whole lines to workers, so that fixtures that the tests of a file share are created once."""

    def _split_scope(self, nodeid: str) -> str:
        """Return the first file of the test's line. xdist runs all tests with the same scope in one worker."""
        file = str(super()._split_scope(nodeid))
        return LONGEST_FIRST[LINE_NUMBERS[file]][0] if file in LINE_NUMBERS else file

    def schedule(self) -> None:
        super().schedule()
        # A worker starts its last test only after the message that no other test follows. xdist does not send that
        # message to a worker that replaces a crashed one and is assigned a single test.
        for node in self.nodes:
            self._reschedule(node)

    def remove_node(self, node: WorkerController) -> str | None:
        """Return the test in which a worker crashed, and reassign the tests that it had not started.

        The method of xdist would also reassign the crashed test, and files without unfinished tests, which would never
        be complete.
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


def usable_cores() -> int:
    """Return the number of cores that this process may use, which `taskset` and containers can limit.

    Systems without CPU affinity report all cores.
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pytest_xdist_auto_num_workers() -> int:
    """Return the number of workers for `-n auto`."""
    return min(WORKERS_PER_CORE * usable_cores(), MAX_WORKERS)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LineScheduling:
    # By default xdist starts with the files that have the most tests, which are not the longest ones.
    config.option.loadscopereorder = False
    return LineScheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the tests by their lines in a worker. Without `-n`, the order is unchanged."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: LINE_NUMBERS.get(item.nodeid.partition("::")[0], len(LONGEST_FIRST)))


def pytest_collection_finish() -> None:
    """Exclude modules and tests from garbage collection, because they exist until the process ends.

    Garbage is not collected before, because that would take a third of a second in each worker. Later it is collected
    more rarely than usual, because that would take a seventh of the CPU time of tests with a gateway.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Exclude all objects from garbage collection, because the process ends.

    pytest and Python would walk them several times, which takes more than a second in each worker.
    """
    gc.freeze()


def _temporary_parent() -> str:
    """Return the parent of all temporary files: TMPDIR if it is set, memory if it has room for them, or the default."""
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK):
        return tempfile.gettempdir()
    memory = os.statvfs(MEMORY)
    # Tests also run the programs that they build. Containers do not allow that there.
    fits = memory.f_bavail * memory.f_frsize > MEMORY_NEEDED and not memory.f_flag & os.ST_NOEXEC
    return MEMORY if fits else tempfile.gettempdir()


def use_own_temporary_folder() -> None:
    """Remove the temporary files of this run at its end. Gateways that tests kill leave theirs behind."""
    parent = _temporary_parent()
    # pytest keeps those of its last runs.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", parent)
    folder = tempfile.mkdtemp(prefix="tests-", dir=parent)
    os.chmod(folder, 0o711)  # PostgreSQL may run as another user
    os.environ["TMPDIR"] = os.environ[RUN_FOLDER] = tempfile.tempdir = folder
    os.environ["XDG_DATA_HOME"] = folder  # where gateways on PostgreSQL write the address of the operator's socket
    # After multiprocessing has removed its own folder, which is in this one.
    Finalize(None, shutil.rmtree, args=(folder, True), exitpriority=-1000)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # workers inherit the environment
        use_own_temporary_folder()
    # Until all tests are collected. Every worker collects them, and a tenth of that would be garbage collection.
    gc.disable()
    new_stores.install()
    # Hooks in this file would apply to tests/ only. Registered plugins also apply to clients/python/tests.
    config.pluginmanager.register(OutsideWorldGuard(), "outside-world-guard")
    config.pluginmanager.register(CanaryPlugin(), "canary")
    config.pluginmanager.register(Toolchains(), "toolchains")
    config.pluginmanager.register(Watchdog(config), "watchdog")
