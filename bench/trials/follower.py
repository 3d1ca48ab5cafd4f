"""A worker process of the trial `engines`: follows generations, and writes a line for each poll.

`python -m bench.trials.follower KIND URL FILE GAP HEARTBEAT TIMEOUT`, times in seconds. A poll asks no server: only
what decides and records that it is due is measured.
"""

import asyncio
import heapq
import random
import resource
import sys
import time
import uuid
from datetime import timedelta
from typing import Any, TextIO

import procrastinate
from procrastinate import jobs

from bench.trials.connections import Psycopg
from bench.trials.statements import BEAT, DUE, GIVE, JOIN, LIVE, TAKE

BUCKETS = 256


class Log:
    """One line for each poll: when, and of what."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.polls = 0

    def poll(self, generation: object) -> None:
        self.polls += 1
        self._file.write(f"{time.monotonic():.4f} {generation}\n")

    async def keep(self) -> None:
        while True:
            self._file.flush()
            used = resource.getrusage(resource.RUSAGE_SELF)
            self._file.write(f"# {time.monotonic():.4f} {used.ru_utime + used.ru_stime:.3f} {self.polls}\n")
            await asyncio.sleep(0.1)


async def leases(url: str, log: Log, gap: float, heartbeat: float, timeout: float) -> None:
    """Our own way: a replica leases buckets of generations, and keeps their due times in memory."""
    driver = Psycopg("", prepare=False)
    await driver.open(url, 2)
    replica = uuid.uuid4()
    limit = timedelta(seconds=timeout)
    heap: list[tuple[float, uuid.UUID, int]] = []
    mine: set[int] = set()
    wake = asyncio.Event()

    async def beat() -> None:
        await driver.fetch(JOIN, replica)
        while True:
            ((alive, replicas, held, free),) = await driver.fetch(BEAT, replica, limit)
            assert alive, "declared dead"
            share = -(-BUCKETS // replicas)
            if held > share:
                mine.difference_update(row[0] for row in await driver.fetch(GIVE, replica, held - share))
            if free and held < share:
                taken = await driver.fetch(TAKE, replica, limit, share - held)
                mine.update(bucket for bucket, _ in taken)
                now = time.monotonic()
                for row in await driver.fetch(LIVE, [bucket for bucket, _ in taken]):
                    heapq.heappush(heap, (now + random.random() * min(gap, 0.4), row[0], row[1]))
                wake.set()
            await asyncio.sleep(heartbeat)

    async def follow() -> None:
        while True:
            now = time.monotonic()
            for _ in range(200):
                if not heap or heap[0][0] > now:
                    break
                _, generation, version = heap[0]
                if generation.int & 255 not in mine:
                    heapq.heappop(heap)
                    continue
                log.poll(generation)
                heapq.heapreplace(heap, (now + gap * random.uniform(0.9, 1.1), generation, version))
            wait = min(heap[0][0] - now, 1) if heap else 1
            wake.clear()
            if wait <= 0:
                await asyncio.sleep(0)
            else:
                try:
                    async with asyncio.timeout(wait):
                        await wake.wait()
                except TimeoutError:
                    pass

    await asyncio.gather(beat(), follow())


async def rows(url: str, log: Log, gap: float, heartbeat: float, timeout: float) -> None:
    """Due times in the table: each poll is an update, taken by a hundred."""
    driver = Psycopg("", prepare=False)
    await driver.open(url, 2)
    while True:
        due = await driver.fetch(DUE, 100, timedelta(seconds=gap))
        for (generation,) in due:
            log.poll(generation)
        if not due:
            await asyncio.sleep(0.05)


class Again(procrastinate.BaseRetryStrategy):
    """Run the job again after the gap: procrastinate's way to wait."""

    def __init__(self, gap: float) -> None:
        self._gap = gap

    def get_retry_decision(self, *, exception: BaseException, job: jobs.Job) -> procrastinate.RetryDecision:
        return procrastinate.RetryDecision(retry_in={"milliseconds": int(self._gap * 1000 * random.uniform(0.9, 1.1))})


class NotDoneError(Exception):
    """The generation has not ended."""


def application(url: str) -> procrastinate.App:
    return procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url, min_size=8, max_size=16))


async def engine(url: str, log: Log, gap: float, heartbeat: float, timeout: float, *, jobs_are_polls: bool) -> None:
    """procrastinate, with a job for each poll, or one for each generation."""
    app = application(url)

    @app.task(name="poll", retry=Again(gap))
    async def poll(generation: str) -> None:
        log.poll(generation)
        raise NotDoneError

    @app.task(name="follow")
    async def follow(generation: str) -> None:
        await asyncio.sleep(random.random() * min(gap, 1))
        while True:
            log.poll(generation)
            await asyncio.sleep(gap * random.uniform(0.9, 1.1))

    async def rescue() -> None:
        while True:
            await asyncio.sleep(heartbeat)
            for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=timeout):
                await app.job_manager.retry_job(job)

    async with app.open_async():
        rescuing = asyncio.create_task(rescue())
        await app.run_worker_async(
            concurrency=16 if jobs_are_polls else 20_000,
            fetch_job_polling_interval=0.5,
            update_heartbeat_interval=heartbeat,
            stalled_worker_timeout=timeout * 10,
            delete_jobs="always",
            install_signal_handlers=False,
        )
        rescuing.cancel()


async def main(kind: str, url: str, path: str, *times: float) -> None:
    with open(path, "w", buffering=1 << 20) as file:  # noqa: ASYNC230
        log = Log(file)
        kinds: dict[str, Any] = {
            "leases": leases,
            "rows": rows,
            "jobs": lambda *values: engine(*values, jobs_are_polls=False),
            "poll jobs": lambda *values: engine(*values, jobs_are_polls=True),
        }
        keeping = asyncio.create_task(log.keep())
        await kinds[kind](url, log, *times)
        keeping.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], *map(float, sys.argv[4:])))
