"""A real PostgreSQL server for tests, with a fresh database for each test."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import itertools
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg

from tests.support.addresses import free_address, free_port
from tests.support.files import RUN_FOLDER

SETTINGS = {
    # A crash of the machine is not tested, and the tests wait for hundreds of commits.
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "16MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # Failed tests show the end of the log.
    "log_checkpoints": "off",
    # Its files are removed with the folder of the data. A server that is killed leaves those in /dev/shm behind.
    "dynamic_shared_memory_type": "mmap",
}
USER = "gateway"
ADMIN = "postgres"
EMPTY = """
DO $$ DECLARE name text; BEGIN
    FOR name IN
        SELECT tablename FROM pg_tables
        WHERE schemaname = 'public' AND tablename NOT IN ('migrations', 'meta', 'lease', 'log')
    LOOP EXECUTE 'DELETE FROM ' || name; END LOOP;
END $$;
UPDATE log SET position = 0, audit_sequence = 0, audit_hash = decode(repeat('00', 32), 'hex');
UPDATE lease SET replica = NULL, released = true;
"""
"""Faster than TRUNCATE, which makes new files."""
START_TIMEOUT = 60.0
UNTIL_STDIN_ENDS = '"$@" & read -r _; kill -QUIT $!; wait'
"""A command line that kills the server with the process that has started it, however that one ends."""


def program(name: str) -> str | None:
    """Return the path of a program of PostgreSQL. Debian installs them outside the path of commands."""
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(Path(path).parts[-2]))
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join([*reversed(folders), "/usr/sbin"]))


class Server:
    """A server in a temporary folder, started on demand and again after `kill`.

    All local connections are trusted, except those of the user "locked", who has the password "secret".
    """

    def __init__(self, parent: str | None = None, **settings: str) -> None:
        self._settings = SETTINGS | settings
        self.folder = Path(tempfile.mkdtemp(prefix="hfgateway-postgres-", dir=parent))
        # The server refuses to run as root. Debian's package has made a user for it.
        self.owner = ADMIN if os.geteuid() == 0 else None
        if self.owner:
            shutil.chown(self.folder, pwd.getpwnam(self.owner).pw_name)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._emptying: psycopg.Connection[object] | None = None

    def start(self) -> None:
        """Start the server, and create its data folder if there is none."""
        data = self.folder / "data"
        if not data.exists():
            self._create(data)
            with (data / "postgresql.conf").open("a") as settings:
                settings.writelines(f"{name} = '{value}'\n" for name, value in self._settings.items())
            with (data / "pg_hba.conf").open("r+") as rules:
                trusted = rules.read()
                rules.seek(0)
                rules.write(f"host all locked 127.0.0.1/32 scram-sha-256\n{trusted}")
        server = program("postgres")
        assert server is not None
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.as_owner("sh", "-c", UNTIL_STDIN_ENDS, "sh", server, "-D", str(data), "-p", str(self.port)),
                cwd=self.folder, stdin=subprocess.PIPE, stdout=log, stderr=log,
            )  # fmt: skip
        self._await()

    def _create(self, data: Path) -> None:
        """Create the data folder. Later servers of a run of tests get a copy of it, in a tenth of the CPU time."""
        run = os.environ.get(RUN_FOLDER)
        if run is None:
            self._initialise(data)
            return
        initial = Path(run, "postgres")
        with Path(f"{initial}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if initial.exists():
                _copy(initial, data)
            else:
                self._initialise(data)
                _copy(data, Path(f"{initial}.part"))
                Path(f"{initial}.part").rename(initial)

    def _initialise(self, data: Path) -> None:
        self._run("initdb", "-D", str(data), "-U", ADMIN, "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync")

    def copy_of(self, primary: Server, name: str) -> None:
        """Make this server a standby of another one, which knows it by a name. `start` starts it."""
        conninfo = f"host=127.0.0.1 port={primary.port} user={ADMIN} application_name={name}"
        self._run("pg_basebackup", "-D", str(self.folder / "data"), "-d", conninfo, "-R", "-c", "fast", "--no-sync")

    def kill_processes(self) -> None:
        """End all processes of the server with SIGKILL, so that none of them answers or keeps its shared memory."""
        with self._processes() as processes:
            _signal(processes, signal.SIGKILL)
            for process in processes:
                assert select.select([process], [], [], START_TIMEOUT)[0], "a process of the server does not end"
        self.kill()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Pause all processes of the server: connections stay open and get no response."""
        with self._processes() as processes:
            _signal(processes, signal.SIGSTOP)
            try:
                yield
            finally:
                _signal(processes, signal.SIGCONT)

    @contextlib.contextmanager
    def _processes(self) -> Iterator[list[int]]:
        """Pause the first process of the server, so that it starts no other one, and open all of them."""
        postmaster = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGSTOP)
        end = time.monotonic() + START_TIMEOUT
        while _state(postmaster) != "T":
            assert time.monotonic() < end, "the server does not stop"
            time.sleep(0.001)
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        with contextlib.ExitStack() as stack:
            processes = []
            for pid in (postmaster, *map(int, children)):
                with contextlib.suppress(ProcessLookupError):
                    processes.append(os.pidfd_open(pid))
                    stack.callback(os.close, processes[-1])
            yield processes

    def kill(self) -> None:
        """End the server at once, without a checkpoint, as a crash would."""
        self._stop_emptying()
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(START_TIMEOUT)

    def close(self) -> None:
        """Stop the server and remove its data."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str, user: str = USER, password: str = "", port: int | None = None) -> str:
        """Return the URL of a database; `port` is that of a proxy."""
        secret = f":{quote(password)}" if password else ""
        return f"postgresql://{user}{secret}@127.0.0.1:{port or self.port}/{database}"

    def execute(self, *statements: str, database: str = ADMIN, user: str = ADMIN) -> None:
        """Execute statements one by one."""
        with psycopg.connect(self.url(database, user), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload] # not a literal

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """Create a database that belongs to USER, and drop it at the end. Yields its name."""
        name = f"test{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} OWNER {USER}")
        try:
            yield name
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def log(self) -> str:
        """Return what the server has logged."""
        return (self.folder / "log").read_text()

    def empty(self, database: str) -> None:
        """Remove the content of a store, which is ten times as fast as another database."""
        if self._emptying is None or self._emptying.info.dbname != database:
            self._stop_emptying()
            self._emptying = psycopg.connect(self.url(database, ADMIN), autocommit=True)
        self._emptying.execute(EMPTY)

    def _stop_emptying(self) -> None:
        if self._emptying is not None:
            self._emptying.close()
            self._emptying = None

    def _await(self) -> None:
        end = time.monotonic() + START_TIMEOUT
        while True:
            assert self._process is not None
            assert self._process.poll() is None, self.log()
            try:
                self.execute("SELECT 1")
            except psycopg.OperationalError:
                assert time.monotonic() < end, self.log()
                time.sleep(0.02)
            else:
                return

    def _run(self, name: str, *arguments: str) -> None:
        found = program(name)
        assert found is not None
        subprocess.run(self.as_owner(found, *arguments), check=True, cwd=self.folder, stdout=subprocess.DEVNULL)

    def as_owner(self, *command: str) -> list[str]:
        """Return a command line that runs a command as the owner.

        `user=` of subprocess.Popen would fork() instead of vfork(), which gRPC's fork handlers do not survive while
        other threads use gRPC.
        """
        return ["setpriv", f"--reuid={self.owner}", "--init-groups", *command] if self.owner else list(command)


def _copy(folder: Path, to: Path) -> None:
    """Copy a folder with its owner and modes."""
    subprocess.run(["cp", "-a", str(folder), str(to)], check=True)


def _signal(processes: list[int], number: signal.Signals) -> None:
    """Send a signal to the open processes that have not ended."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, number)


def _state(pid: int) -> str:
    """Return the state of a process as a letter, such as T if it is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@contextlib.contextmanager
def running(parent: str | None = None, **settings: str) -> Iterator[Server]:
    """Start a server with the roles USER, an ordinary one, and "locked".

    `parent` is the folder for its folder, by default that of temporary files. `settings` replace some of SETTINGS.
    """
    server = Server(parent, **settings)
    try:
        server.start()
        server.execute(f"CREATE ROLE {USER} LOGIN", "CREATE ROLE locked LOGIN PASSWORD 'secret'")
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def replicated() -> Iterator[tuple[Server, Server]]:
    """Start a server, and a standby that has every commit before the server acknowledges it. Yields both."""
    with running(wal_level="replica", max_wal_senders="4") as primary:
        standby = Server()
        try:
            standby.copy_of(primary, "standby")
            standby.start()
            primary.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'", "SELECT pg_reload_conf()")
            yield primary, standby
        finally:
            standby.close()


class Pooler:
    """PgBouncer in transaction mode between clients and a server, with some of its settings replaced."""

    def __init__(self, server: Server, **settings: str) -> None:
        self._server = server
        self.address = free_address()
        host, _, port = self.address.rpartition(":")
        self._settings = {
            "listen_addr": host,
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_type": "any",
            "admin_users": USER,
            "pool_mode": "transaction",
            "default_pool_size": "4",
            "server_login_retry": "1",
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def cut(self, database: str) -> None:
        """End all connections of clients to a database."""
        url = f"postgresql://{USER}@{self.address}/pgbouncer"
        with psycopg.connect(url, autocommit=True) as console:
            for command in (f"KILL {database}", f"RESUME {database}"):
                console.execute(command)  # type: ignore[call-overload] # not a literal

    def __enter__(self) -> Pooler:
        folder = Path(tempfile.mkdtemp(prefix="pgbouncer-", dir=self._server.folder))
        lines = "".join(f"{name} = {value}\n" for name, value in self._settings.items())
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={self._server.port} user={USER}\n[pgbouncer]\n{lines}"
        )
        if self._server.owner:
            shutil.chown(folder, self._server.owner)
        pooler = program("pgbouncer")
        assert pooler is not None
        with (folder / "log").open("wb") as log:
            until_stdin_ends = UNTIL_STDIN_ENDS.replace("QUIT", "TERM")
            self._process = subprocess.Popen(
                self._server.as_owner("sh", "-c", until_stdin_ends, "sh", pooler, "pgbouncer.ini"),
                cwd=folder, stdin=subprocess.PIPE, stdout=log, stderr=log,
            )  # fmt: skip
        end = time.monotonic() + START_TIMEOUT
        host, _, port = self.address.rpartition(":")
        while True:
            with contextlib.suppress(OSError), socket.create_connection((host, int(port)), START_TIMEOUT):
                return self
            assert self._process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(START_TIMEOUT)
