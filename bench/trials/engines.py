"""Our leases or procrastinate: 10,000 generations in flight."""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from bench.trials.connections import Psycopg, psycopg
from bench.trials.drivers import SHOWN, claim_values, tenant
from bench.trials.follower import application
from bench.trials.servers import Server, running
from bench.trials.statements import CLAIM, JOIN, SAVE, TAKE

IN_FLIGHT = int(os.environ.get("TRIAL_IN_FLIGHT", "10000"))
DEFER = (
    "SELECT procrastinate_defer_jobs_v1(array_agg(ROW('default', 'follow', 0, NULL, NULL,"
    " jsonb_build_object('generation', id), NULL)::procrastinate_job_to_defer_v1)) FROM unnest($1::uuid[]) id"
)
FETCH = "SELECT id FROM procrastinate_fetch_job_v2(NULL, $1)"
RETRY = "SELECT procrastinate_retry_job_v2($1, now(), NULL, NULL, NULL)"
FINISH = "SELECT procrastinate_finish_job_v1($1, 'succeeded', true)"


class Trial:
    """A server with both schemas, and the figures of it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.store = Psycopg("store", prepare=False, pipeline=True)

    def query(self, sql: str, *values: object) -> Sequence[tuple[object, ...]]:
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            return connection.execute(sql.encode(), values or None).fetchall()

    def empty(self) -> None:
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            connection.execute(
                "TRUNCATE generations, requests, changes, claims, replicas, procrastinate_jobs,"
                " procrastinate_workers, procrastinate_events, procrastinate_periodic_defers"
            )
            connection.execute("UPDATE leases SET replica = NULL")
            connection.execute("CHECKPOINT")

    def wal(self) -> int:
        return int(str(self.query("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")[0][0]))

    def transactions(self) -> int:
        row = self.query(
            "SELECT pg_stat_clear_snapshot(), xact_commit + xact_rollback FROM pg_stat_database"
            " WHERE datname = current_database()"
        )
        return int(str(row[0][1]))

    # Claims.

    async def claims(self, rounds: int) -> None:
        print("\nclaims with their admission, marker, request and first change; 16 in flight")
        found: dict[str, list[tuple[float, ...]]] = defaultdict(list)
        for number in range(rounds + 1):
            for batch in (1, 50):
                for kind in ("leases", "procrastinate"):
                    times = (240 if batch == 1 else 30) if number else 16
                    figures = await self._claims(kind, batch, times)
                    if number:
                        found[f"{kind}, {batch} at a time"].append(figures)
        for name, turns in found.items():
            client, served, rate, wal = (statistics.median(turn[n] for turn in turns) for n in range(4))
            print(
                f"  {name:32} {rate:7.0f}/s  client {client:7.0f} us  server {served:7.0f} us"
                f"  {wal:6.0f} bytes of WAL each"
            )

    async def _claims(self, kind: str, batch: int, times: int) -> tuple[float, ...]:
        numbers = iter(range(times))

        async def work() -> None:
            for number in numbers:
                values = claim_values(batch, tenant(number))
                if kind == "leases":
                    await self.store.fetch(CLAIM, *values)
                else:
                    await self.store.together([(CLAIM, values), (DEFER, (values[3],))])

        wal, cpu, served, begun = self.wal(), time.process_time(), self.server.cpu_seconds(), time.perf_counter()
        await asyncio.gather(*(work() for _ in range(16)))
        count = times * batch
        wall = time.perf_counter() - begun
        return (
            (time.process_time() - cpu) / count * 1e6,
            (self.server.cpu_seconds() - served) / count * 1e6,
            count / wall,
            (self.wal() - wal) / count,
        )

    # A whole life.

    async def life(self, rounds: int) -> None:
        print("\nbytes of WAL for the life of a generation: claim, 3 changes, 10 polls that change nothing")
        replica = uuid.uuid4()
        for kind in ("leases", "rows", "jobs", "poll jobs"):
            self.empty()
            await self.store.fetch(JOIN, replica)
            fences = dict(await self.store.fetch(TAKE, replica, "1 h", 256))
            worker = (await self.store.fetch("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id"))[0][0]
            count, wal = 1000, self.wal()
            for number in range(count):
                values = claim_values(1, tenant(number))
                generation = values[3][0]  # type: ignore[index]
                jobs = "jobs" in kind
                if jobs:
                    await self.store.together([(CLAIM, values), (DEFER, ([generation],))])
                    job = (await self.store.fetch(FETCH, worker))[0][0]
                else:
                    await self.store.fetch(CLAIM, *values)
                for _ in range(10):
                    if kind == "rows":
                        await self.store.fetch(
                            "UPDATE generations SET due = now() + interval '1 h', polls = polls + 1 WHERE id = $1",
                            generation,
                        )
                    if kind == "poll jobs":
                        await self.store.fetch(RETRY, job)
                        await self.store.fetch(FETCH, worker)
                for version in (1, 2, 3):
                    fence = fences[generation.int & 255]
                    saved = await self.store.fetch(
                        SAVE,
                        tenant(number),
                        replica,
                        [generation],
                        [version],
                        [fence],
                        [version + 1],
                        [version == 3],
                        [SHOWN],
                    )
                    assert len(saved) == 1, kind
                if jobs:
                    await self.store.fetch(FINISH, job)
            print(f"  {kind:12} {(self.wal() - wal) / count:8.0f}")

    # Followers.

    async def fill(self, kind: str) -> None:
        self.empty()
        for number in range(IN_FLIGHT // 50):
            values = claim_values(50, tenant(number))
            await self.store.fetch(CLAIM, *values)
            if kind == "jobs":
                await self.store.fetch(DEFER, values[3])
            if kind == "poll jobs":
                await self.store.fetch(DEFER.replace("'follow'", "'poll'"), values[3])
        self.query("SELECT 1")
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            connection.execute("ANALYZE")

    def start(self, kind: str, folder: Path, number: int, gap: float) -> tuple[subprocess.Popen[bytes], Path]:
        path = folder / f"{kind}-{number}"
        command = [
            sys.executable,
            "-m",
            "bench.trials.follower",
            kind,
            self.server.url(),
            str(path),
            str(gap),
            "0.5",
            "2",
        ]
        with (folder / f"{path.name}.errors").open("wb") as errors:
            return subprocess.Popen(command, stderr=errors), path

    async def polls(self, folder: Path, rounds: int) -> None:
        print(f"\npolls that change nothing, {IN_FLIGHT} in flight, one follower with as many as it can, 8 s")
        found: dict[str, list[tuple[float, ...]]] = defaultdict(list)
        for _ in range(min(rounds, 3)):
            for kind, gap in (("leases", 0.3), ("rows", 0.3), ("poll jobs", 1.0), ("poll jobs", 30.0)):
                await self.fill(kind)
                if kind == "poll jobs" and gap > 1:
                    # All but 1,000 wait for their time.
                    with psycopg.connect(self.server.url(), autocommit=True) as connection:
                        connection.execute(
                            "UPDATE procrastinate_jobs SET scheduled_at = now() + interval '1 hour' WHERE id <="
                            f" (SELECT max(id) - {IN_FLIGHT // 10} FROM procrastinate_jobs)"
                        )
                process, path = self.start(kind, folder, 0, gap)
                await asyncio.sleep(3)
                served, wal, begun = self.server.cpu_seconds(), self.wal(), time.monotonic()
                await asyncio.sleep(8)
                served, wal, ended = self.server.cpu_seconds() - served, self.wal() - wal, time.monotonic()
                process.kill()
                process.wait()
                marks = [
                    tuple(map(float, line[2:].split()))
                    for line in path.read_text().splitlines()
                    if line.startswith("# ")
                ]
                first = min(marks, key=lambda mark: abs(mark[0] - begun))
                last = min(marks, key=lambda mark: abs(mark[0] - ended))
                count = max(last[2] - first[2], 1)
                name = kind if gap <= 1 else f"{kind}, 9 of 10 not due"
                found[name].append(
                    (
                        count / (last[0] - first[0]),
                        (last[1] - first[1]) / count * 1e6,
                        served / count * 1e6,
                        wal / count,
                    )
                )
        for name, turns in found.items():
            rate, client, server, wal_each = (statistics.median(turn[n] for turn in turns) for n in range(4))
            print(
                f"  {name:28} {rate:8.0f}/s  follower {client:7.1f} us  server {server:8.1f} us"
                f"  {wal_each:6.0f} bytes of WAL each;"
                f" {1e6 / (client + server):8.0f} polls for a second of processor"
            )

    async def takeover(self, folder: Path, rounds: int) -> None:
        print(f"\nkill -9 of one of two followers of {IN_FLIGHT}; heartbeat 0.5 s, dead after 2 s, a poll each 5 s")
        for _ in range(min(rounds, 3)):
            for kind in ("leases", "jobs"):
                await self.fill(kind)
                running = [self.start(kind, folder, worker, 5) for worker in (0, 1)]
                await asyncio.sleep(20 if kind == "leases" else 45)
                owned = _polled(running[0][1])
                others = _polled(running[1][1])
                last_of_other = {
                    generation for generation in others if others[generation][-1] > owned.get(generation, [0])[-1]
                }
                running[0][0].kill()
                killed = time.monotonic()
                await asyncio.sleep(10 if kind == "leases" else 60)
                for process, _ in running:
                    process.kill()
                    process.wait()
                lost = [generation for generation in owned if generation not in last_of_other]
                after = _polled(running[1][1])
                times = sorted(
                    min((at for at in after.get(generation, []) if at > killed), default=float("inf")) - killed
                    for generation in lost
                )
                if times:
                    print(
                        f"  {kind:12} followed {len(owned)} and {len(others)}; of the killed one's {len(lost)}:"
                        f" polled again after {times[0]:.1f} s the first, {times[len(times) // 2]:.1f} s half,"
                        f" {times[-1]:.1f} s all",
                        flush=True,
                    )

    async def idle(self, folder: Path) -> None:
        print("\ntransactions a second of three idle workers, without generations and with 10,000 that are not due")
        for kind in ("leases", "rows", "jobs", "poll jobs"):
            for filled in (False, True):
                if filled and kind in ("leases", "rows"):
                    await self.fill(kind)
                elif filled:
                    continue
                else:
                    self.empty()
                if filled and kind == "rows":
                    with psycopg.connect(self.server.url(), autocommit=True) as connection:
                        connection.execute("UPDATE generations SET due = now() + interval '1 hour'")
                running = [self.start(kind, folder, worker, 3600) for worker in range(3)]
                await asyncio.sleep(8)
                before, begun = self.transactions(), time.monotonic()
                await asyncio.sleep(10)
                rate = (self.transactions() - before) / (time.monotonic() - begun)
                for process, _ in running:
                    process.kill()
                    process.wait()
                print(f"  {kind:12} {'10,000 not due' if filled else 'none':16} {rate:6.1f}/s", flush=True)

    def fencing(self) -> None:
        """A worker that paused, lost its job and woke up ends the job of its successor."""
        self.empty()
        with psycopg.connect(self.server.url(), autocommit=True) as connection:

            def one(sql: str, *values: object) -> object:
                row = connection.execute(sql.encode(), values or None).fetchone()
                return row[0] if row else None

            one(
                "SELECT procrastinate_defer_jobs_v1(ARRAY["
                "ROW('default', 'follow', 0, NULL, NULL, '{}', NULL)::procrastinate_job_to_defer_v1])"
            )
            first, second = (one("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id") for _ in range(2))
            job = one("SELECT id FROM procrastinate_fetch_job_v2(NULL, %s)", first)
            one("SELECT 1 FROM procrastinate_retry_job_v2(%s, now(), NULL, NULL, NULL)", job)
            again = one("SELECT id FROM procrastinate_fetch_job_v2(NULL, %s)", second)
            one("SELECT 1 FROM procrastinate_finish_job_v1(%s, 'succeeded', false)", job)
            status = one("SELECT status FROM procrastinate_jobs WHERE id = %s", job)
            print(
                f"\nfencing in procrastinate: the second worker took the job of the first: {job == again};"
                f" then the first one ends it, and it is: {status}"
            )


def _polled(path: Path) -> dict[str, list[float]]:
    polled: dict[str, list[float]] = defaultdict(list)
    for line in path.read_text().splitlines():
        at, _, generation = line.partition(" ")
        if at != "#" and len(generation) == 36:
            polled[generation].append(float(at))
    return polled


async def measure(server: Server, rounds: int) -> None:
    async with application(server.url()).open_async() as app:
        await app.schema_manager.apply_schema_async()
    trial = Trial(server)
    await trial.store.open(server.url(), 16)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chosen = os.environ.get("TRIAL_PARTS", "claims life polls takeover idle fencing").split()
        if "claims" in chosen:
            await trial.claims(rounds)
        if "life" in chosen:
            await trial.life(rounds)
        if "polls" in chosen:
            await trial.polls(folder, rounds)
        if "takeover" in chosen:
            await trial.takeover(folder, rounds)
        if "idle" in chosen:
            await trial.idle(folder)
        if "fencing" in chosen:
            trial.fencing()
    await trial.store.close()


def main() -> None:
    with running() as server:
        server.create_tables()
        asyncio.run(measure(server, int(sys.argv[1])))


if __name__ == "__main__":
    main()
