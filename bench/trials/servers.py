"""A PostgreSQL server and a PgBouncer in a temporary directory, for the time of a trial."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "max_connections": "100",
    "shared_buffers": "256MB",
    # A checkpoint or a vacuum in the middle of one candidate's turn would be charged to that candidate.
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
    "max_wal_size": "8GB",
}
USER = "trial"


@dataclass(frozen=True)
class Server:
    """A running PostgreSQL server."""

    port: int
    pid: int
    pooler_port: int

    def url(self, *, pooler: bool = False) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.pooler_port if pooler else self.port}/postgres"

    def create_tables(self) -> None:
        """Create the tables of schema.sql."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute((Path(__file__).parent / "schema.sql").read_bytes())

    def cpu_seconds(self) -> float:
        """Return the processor time of the server, including its processes that have ended."""
        total = _ticks(self.pid, ended=True)
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if int(_stat(int(pid))[1]) == self.pid:
                    total += _ticks(int(pid))
        return total / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _ticks(pid: int, *, ended: bool = False) -> int:
    fields = _stat(pid)
    return sum(map(int, fields[11:15] if ended else fields[11:13]))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextlib.contextmanager
def running(*, pooler: bool = True) -> Iterator[Server]:
    """Start PostgreSQL, and with `pooler` PgBouncer in transaction mode, as a user other than root."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not versions:
        raise RuntimeError("PostgreSQL is not installed; Debian's package is postgresql")
    programs = versions[-1].parent
    owner = pwd.getpwnam("postgres").pw_name if os.getuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="hfgateway-trial-"))
    if owner:
        shutil.chown(folder, owner)
    port, pooler_port = free_port(), free_port()
    data = folder / "data"

    def run(*command: str) -> None:
        subprocess.run(command, check=True, user=owner, cwd=folder, stdout=subprocess.DEVNULL)

    bouncing = None
    try:
        run(str(programs / "initdb"), "-D", str(data), "-U", USER, "--auth=trust", "-E", "UTF8", "--locale=C")
        with (data / "postgresql.conf").open("a") as settings:
            settings.writelines(f"{name} = '{value}'\n" for name, value in SETTINGS.items())
            settings.write(f"port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{folder}'\n")
        run(str(programs / "pg_ctl"), "-D", str(data), "-w", "-t", "60", "-l", str(folder / "log"), "start")
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
        if pooler:
            (folder / "users.txt").write_text(f'"{USER}" ""\n')
            (folder / "pgbouncer.ini").write_text(
                f"[databases]\npostgres = host=127.0.0.1 port={port} user={USER}\n"
                f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {pooler_port}\nunix_socket_dir =\n"
                f"auth_type = trust\nauth_file = {folder}/users.txt\npool_mode = transaction\n"
                f"default_pool_size = 4\nmax_client_conn = 200\nlogfile = {folder}/pgbouncer.log\n"
            )
            bouncer = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
            assert bouncer, "pgbouncer is not installed"
            bouncing = subprocess.Popen([bouncer, "-q", str(folder / "pgbouncer.ini")], user=owner, cwd=folder)
            _await_port(pooler_port)
        yield Server(port, pid, pooler_port)
    finally:
        if bouncing:
            bouncing.terminate()
            bouncing.wait(10)
        with contextlib.suppress(subprocess.CalledProcessError):
            run(str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def _await_port(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise TimeoutError(f"port {port} does not answer")
