"""What replicas on one PostgreSQL database need at a size that no test machine holds, from a discrete-event model.

The cost of each step is measured in a small cluster. The model then predicts a run of another size, which is made as
well: the ratios show how far the model can be trusted. Last, it computes large sizes.
"""

import asyncio
import contextlib
import heapq
import itertools
import random
import statistics
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import httpx
import psycopg

from bench import processes
from bench.calls import SUBMIT, WATCH_MANY, model_submission, with_key
from bench.figures import Figure, Judged, at_most, value
from bench.load import Channels, Effort, channels
from bench.trials import servers
from gateway.store.postgres.lease import HEARTBEAT_INTERVAL, LEASE_TIMEOUT
from gateway.store.postgres.log_writer import MAX_JOBS_PER_STATEMENT
from gateway.store.postgres.tail import BUSY_PAUSE, IDLE_PAUSE, MAX_CHANGES
from hfgateway.v1 import generation_service_pb2 as pb

SEED = 20_261_122
POLL = 1 / 3992
"""Seconds of processor time for a status call: `python -m bench follow`, in docs/performance.md."""
LOG_WRITE = 1 / (3 * 1262)
"""Seconds of one of many writes of the log in a statement: `python -m bench.trials.stores`, in docs/performance.md."""
MESSAGE = 52e-6
"""Seconds of processor time for a message to a watch among many: `python -m bench watch`, in docs/performance.md."""
WATCH_BYTES = 25_200
"""Memory of a watch: `python -m bench crowd`, in docs/performance.md."""
CHANGES = 3
"""Changes of a generation in a run: stored, accepted, ended. Each one is a write of the log."""
RECOVER = 2.41 / 50_000
"""Seconds of a restart for each generation in flight: `python -m bench follow`, in docs/performance.md."""
RUN_TIME, POLLS = 300.0, 16
"""Assumed of large sizes: seconds of a generation, and status calls, as `python -m bench polls` has them for videos."""
WAL_PER_SECOND, READS_PER_SECOND = 50e6, 20_000.0
"""Assumed of the server: bytes of WAL, and small reads, that it takes in a second."""


@dataclass(frozen=True)
class Size:
    """A load: submissions per second, seconds to the end, status calls, watches of all, and gateways."""

    rate: float
    run_time: float
    polls: int
    watches: float
    replicas: int


@dataclass(frozen=True)
class Costs:
    """What one step costs, in seconds of a processor unless it says otherwise."""

    commit: float  # seconds of a statement of the log, during which no other one runs
    reading: float  # seconds of a read of the log
    idle: float  # of the leader, in each second
    generation: float  # at the leader, with one status call, beside its statements
    statement: float  # at the leader, for a statement of the log
    read: float  # at each replica, for a read of the log, with all that a quiet replica does beside it
    change: float  # at each replica that reads it
    message: float  # at a replica, for a change that it sends to a watch
    other_transactions: float  # number for a generation, beside those of the log
    idle_transactions: float  # number in each second, beside the reads of the log
    wal_bytes: float  # for a generation
    leader_bytes: float  # memory of a generation in flight
    replica_bytes: float
    takeover: float  # seconds, beside the time in which the leader's death is noticed, and RECOVER


@dataclass
class Used:
    """What a run needs in each second: predicted, or measured."""

    upstream_calls: float = 0.0
    transactions: float = 0.0
    wal_bytes: float = 0.0
    reads: float = 0.0
    statements: float = 0.0
    messages: float = 0.0
    leader_cpu: float = 0.0
    replica_cpu: float = 0.0


class Model:
    """Simulates the leader's processor, the writer of the log, Higgsfield, and the tail of a replica."""

    def __init__(self, costs: Costs, size: Size) -> None:
        self._costs, self._size = costs, size
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._random = random.Random(SEED)
        self._now = 0.0
        self._jobs: dict[str, deque[Callable[[], None]]] = {"claim": deque(), "save": deque()}
        self._writing = False
        self._unread, self._pause = 0, IDLE_PAUSE
        self.log = max(CHANGES * size.rate * (LOG_WRITE + costs.commit / MAX_JOBS_PER_STATEMENT), 1.0)
        """How many logs the load needs. More than one is a wall, which the model passes to show the other ones."""
        self.busy = 0.0
        self.calls = self.statements = self.reads = self.changes = 0

    def run(self, seconds: float) -> Used:
        """Return what the load needs in each second, once its generations have begun to end."""
        costs, size = self._costs, self._size
        begin = 2 * size.run_time + 1.0
        self._at(0.0, self._submit)
        self._at(0.0, self._read)
        before = Used()
        for end in (begin, begin + seconds):
            before = self._counted()
            while self._events and self._events[0][0] <= end:
                self._now, _, step = heapq.heappop(self._events)
                step()
        now = self._counted()
        used = Used(**{name: (number - asdict(before)[name]) / seconds for name, number in asdict(now).items()})
        used.leader_cpu += costs.idle
        used.transactions += costs.idle_transactions
        return used

    def _counted(self) -> Used:
        costs, followers = self._costs, self._size.replicas - 1
        generations, messages = self.changes / CHANGES, self.changes * self._size.watches
        transactions = self.statements + generations * costs.other_transactions + self.reads * followers
        leader = self.busy + self.statements * costs.statement
        replica = self.reads * costs.read + self.changes * costs.change + messages / followers * costs.message
        return Used(
            self.calls, transactions, generations * costs.wal_bytes, self.reads * followers, self.statements, messages,
            leader, replica,
        )  # fmt: skip

    def _at(self, delay: float, step: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self._now + delay, next(self._numbers), step))

    def _compute(self, seconds: float, then: Callable[[], None]) -> None:
        """Use a processor of the leader. Nothing waits for one, so that `busy` shows how many it would need."""
        self.busy += seconds
        self._at(seconds, then)

    def _submit(self) -> None:
        self._at(self._random.expovariate(self._size.rate), self._submit)
        self._compute(self._costs.generation, lambda: self._write("claim", self._post))

    def _post(self) -> None:
        self.calls += 1
        self._at(self._costs.commit, lambda: self._write("save", self._accepted))

    def _accepted(self) -> None:
        for number in range(1, self._size.polls + 1):
            last = number == self._size.polls
            self._at(self._size.run_time * number / self._size.polls, lambda last=last: self._poll(last=last))

    def _poll(self, *, last: bool) -> None:
        self.calls += 1
        # The cost of a generation includes its last status call.
        self._compute(0.0 if last else POLL, (lambda: self._write("save", lambda: None)) if last else lambda: None)

    def _write(self, kind: str, then: Callable[[], None]) -> None:
        self._jobs[kind].append(then)
        self._begin_statement()

    def _begin_statement(self) -> None:
        jobs = max(self._jobs.values(), key=len)
        if self._writing or not jobs:
            return
        taken = [jobs.popleft() for _ in range(min(len(jobs), MAX_JOBS_PER_STATEMENT))]
        seconds = (self._costs.commit + LOG_WRITE * (len(taken) - 1)) / self.log
        self._writing = True

        def committed() -> None:
            self._writing = False
            self.statements += 1
            self.changes += len(taken)
            self._unread += len(taken)
            for then in taken:
                then()
            self._begin_statement()

        self._at(seconds, committed)

    def _read(self) -> None:
        self.reads += 1
        found = min(self._unread, MAX_CHANGES)
        self._unread -= found
        self._pause = BUSY_PAUSE if found else min(2 * self._pause, IDLE_PAUSE)
        self._at(self._pause + self._costs.reading, self._read)


def takeover(costs: Costs, in_flight: float) -> float:
    """Return the mean seconds from the death of the leader to a submission at another gateway."""
    return LEASE_TIMEOUT - HEARTBEAT_INTERVAL / 2 + IDLE_PAUSE / 2 + costs.takeover + RECOVER * in_flight


COUNTERS = """
SELECT (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()),
    (SELECT pg_current_wal_lsn() - '0/0'),
    (SELECT seq_scan - 2 * n_tup_upd FROM pg_stat_user_tables WHERE relname = 'log'),
    (SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'log')
"""
"""A replica's read scans the table `log` once. A statement of the log scans it twice and updates its row."""


class Cluster:
    """A leader and two replicas. `watches` are open at the first of them."""

    def __init__(self, gateways: Sequence[processes.Server], each: Sequence[Channels], url: str, origin: str) -> None:
        self.gateways, self.each, self._url, self.origin = gateways, each, url, origin
        self.received = 0

    async def counted(self) -> tuple[Used, float, float]:
        """Return what was used since the start, the same of the replica without watches, and the time."""
        await asyncio.sleep(1.2)  # sessions report their counters once a second
        async with httpx.AsyncClient() as client, await psycopg.AsyncConnection.connect(self._url) as connection:
            calls = float((await client.get(f"{self.origin}/calls")).text)
            row = await (await connection.execute(COUNTERS)).fetchone()
        assert row is not None
        transactions, wal_bytes, reads, statements = map(float, row)
        leader, watched, other = (gateway.cpu() for gateway in self.gateways)
        used = Used(calls, transactions, wal_bytes, reads, statements, self.received, leader, watched)
        return used, other, time.perf_counter()

    async def run(self, size: Size, seconds: float, burst: int = 0) -> tuple[Used, float]:
        """Submit for a time, or a burst; return the use in each second, and that of the replica without watches."""
        streams = self.each[1].streams(WATCH_MANY, pb.WatchGenerationsRequest().SerializeToString(), int(size.watches))
        for stream in streams:
            while not pb.WatchGenerationsResponse.FromString(await stream.read()).caught_up:
                pass
        watching = [asyncio.create_task(self._count(stream)) for stream in streams]
        submitting = asyncio.create_task(self._submit(size.rate))
        await asyncio.sleep(2 * size.run_time)
        before, other_before, began = await self.counted()
        await self.burst(burst)
        await asyncio.sleep(seconds)
        now, other, ended = await self.counted()
        submitting.cancel()
        for task, stream in zip(watching, streams, strict=True):
            task.cancel()
            stream.cancel()
        await asyncio.sleep(2 * size.run_time)
        took = ended - began
        used = {name: (number - asdict(before)[name]) / took for name, number in asdict(now).items()}
        return Used(**used), (other - other_before) / took

    async def _submit(self, rate: float) -> None:
        """Submit at random moments, without waiting for the responses."""
        source, due, calls = random.Random(SEED), time.perf_counter(), []
        while rate:
            due += source.expovariate(rate)
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            calls.append(self.each[0].unary(SUBMIT)(with_key(model_submission())))

    async def burst(self, number: int) -> None:
        """Submit a number of generations, 50 at a time."""
        submit, turns = self.each[0].unary(SUBMIT), asyncio.Semaphore(50)

        async def one() -> None:
            async with turns:
                await submit(with_key(model_submission()))

        await asyncio.gather(*(one() for _ in range(number)))

    async def replace_leader(self) -> float:
        """Kill the leader, and return the seconds until a replica has accepted a submission."""
        await self.gateways[0].kill()
        began = time.perf_counter()
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await self.each[1].unary(SUBMIT)(with_key(model_submission()))
                return time.perf_counter() - began
            await asyncio.sleep(0.02)

    async def _count(self, stream: Any) -> None:
        while True:
            message = await stream.read()
            self.received += pb.WatchGenerationsResponse.FromString(message).HasField("generation")


@contextlib.asynccontextmanager
async def cluster(**settings: str) -> AsyncIterator[Cluster]:
    async with contextlib.AsyncExitStack() as stack:
        url = stack.enter_context(servers.running(pooler=False)).url()
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        higgsfield = await stack.enter_async_context(processes.running(processes.UPSTREAM))
        every = processes.gateway_settings(higgsfield.address, Path(folder)) | {"HFGATEWAY_STORE_URL": url, **settings}
        gateways = [await stack.enter_async_context(processes.running(processes.GATEWAY, every)) for _ in range(3)]
        each = [await stack.enter_async_context(channels(one, 50)) for one in gateways]
        yield Cluster(gateways, each, url, f"http://{higgsfield.address}")


async def measure(effort: Effort) -> tuple[Costs, list[Figure]]:
    """Return the costs, and figures of the model beside runs of another size than those that they were taken from."""
    seconds, size = 5 * effort.seconds, Size(20.0, 1.5, 1, 4, 3)
    few, many = (200, 2000) if effort.rounds > 1 else (20, 100)
    takeovers: dict[int, list[float]] = {few: [], many: []}
    for number in 2 * [few, many]:
        async with cluster() as one:
            memory = [gateway.memory() for gateway in one.gateways]
            await one.burst(number)
            leader_bytes, _, replica_bytes = (
                (gateway.memory() - before) / number for gateway, before in zip(one.gateways, memory, strict=True)
            )
            takeovers[number].append(await one.replace_leader())
    noticed, taken = (statistics.median(seconds) for seconds in takeovers.values())
    async with cluster(HFGATEWAY_POLL_MIN="1", HFGATEWAY_POLL_MAX="1") as one:
        async with httpx.AsyncClient() as client:
            await client.put(f"{one.origin}/ended/1")
        await one.burst(few)
        quiet, _ = await one.run(replace(size, rate=0.0, watches=0.0), seconds)
        busy, followed = await one.run(replace(size, rate=0.0, watches=0.0), 2 * size.run_time, burst=many)
        used, unwatched = await one.run(size, seconds)
        larger = replace(size, rate=2 * size.rate, watches=2 * size.watches)
        real, _ = await one.run(larger, seconds)
    rate, burst_rate = used.upstream_calls / 2, busy.upstream_calls / 2
    # A run and a burst have other shares of statements and generations, which gives the cost of both.
    own, own_in_burst = ((one.leader_cpu - quiet.leader_cpu) / n for one, n in ((used, rate), (busy, burst_rate)))
    statements, in_burst = used.statements / rate, busy.statements / burst_rate
    statement = (own - own_in_burst) / (statements - in_burst)
    read = 2 * quiet.replica_cpu / quiet.reads
    costs = Costs(
        commit=0.0,
        reading=BUSY_PAUSE,
        idle=quiet.leader_cpu,
        generation=own - statements * statement,
        statement=statement,
        read=read,
        change=max(followed - busy.reads / 2 * read, 0.0) / (CHANGES * burst_rate),
        message=(used.replica_cpu - unwatched) / used.messages,
        other_transactions=(used.transactions - used.statements - used.reads - quiet.transactions + quiet.reads) / rate,
        idle_transactions=quiet.transactions - quiet.reads,
        wal_bytes=(used.wal_bytes - quiet.wal_bytes) / rate,
        leader_bytes=leader_bytes,
        replica_bytes=replica_bytes,
        takeover=0.0,
    )
    costs = replace(costs, takeover=noticed - takeover(costs, few))
    # How long a statement and a read take decides how many changes share one. They are chosen so that it is right.
    for name, shared in (("commit", "statements"), ("reading", "reads")):
        tried = [replace(costs, **{name: milliseconds / 1000}) for milliseconds in range(1, 41)]
        runs = [asdict(Model(one, replace(size, rate=rate)).run(20.0))[shared] for one in tried]
        costs = min(zip(tried, runs, strict=True), key=lambda pair: abs(pair[1] - asdict(used)[shared]))[0]
    model = Model(costs, replace(larger, rate=real.upstream_calls / 2)).run(60.0)
    ratios = [
        Figure(f"model, and a real run: {name}", "1/s", ours, theirs, Judged.RATIO, ours / theirs, None)
        for (name, ours), theirs in zip(asdict(model).items(), asdict(real).values(), strict=True)
    ]
    modelled = takeover(costs, many)
    ratios.append(Figure("model, and a real takeover", "s", modelled, taken, Judged.RATIO, modelled / taken, None))
    error = max(100 * abs(one.value - 1) for one in ratios)
    return costs, [*ratios, value("largest error of the model", "%", error, at_most(20.0))]


def large(costs: Costs, in_flight: int, watches: int, replicas: int) -> list[Figure]:
    """Predict a load with so many generations in flight, each of which one of the watches follows."""
    rate = in_flight / RUN_TIME
    model = Model(replace(costs, message=MESSAGE), Size(rate, 2.0, POLLS, watches / in_flight, replicas))
    used = model.run(2.0)
    walls = {
        "the leader's processor": used.leader_cpu,
        "the log": CHANGES * rate * (LOG_WRITE + costs.commit / MAX_JOBS_PER_STATEMENT),
        "a replica's processor": used.replica_cpu,
        "WAL": used.wal_bytes / WAL_PER_SECOND,
        "small reads": used.reads / READS_PER_SECOND,
    }
    first = max(walls, key=lambda one: walls[one])
    memory = costs.replica_bytes * in_flight + WATCH_BYTES * watches / replicas
    name = f"{in_flight:,} in flight, {watches:,} watches, {replicas} replicas"
    return [
        value(f"{name}: submissions", "1/s", rate),
        value(f"{name}: calls to Higgsfield", "1/s", used.upstream_calls),
        value(f"{name}: transactions", "1/s", used.transactions),
        value(f"{name}: WAL", "MB/s", used.wal_bytes / 1e6),
        value(f"{name}: leader", "cores", used.leader_cpu),
        value(f"{name}: the log", "of its time", walls["the log"]),
        value(f"{name}: each replica", "cores", used.replica_cpu),
        value(f"{name}: memory of the leader", "MB", costs.leader_bytes * in_flight / 1e6),
        value(f"{name}: memory of each replica", "MB", memory / 1e6),
        value(f"{name}: takeover", "s", takeover(costs, in_flight)),
        value(f"{name}: {first} is full", "in flight", in_flight / walls[first]),
    ]


async def run(effort: Effort) -> list[Figure]:
    """Measure, compare and predict."""
    costs, figures = await measure(effort)
    figures += [value(f"cost: {name}", "see Costs", number) for name, number in asdict(costs).items()]
    for in_flight, watches, replicas in ((10_000, 1_000, 3), (100_000, 10_000, 10), (1_000_000, 100_000, 50)):
        figures += large(costs, in_flight, watches, replicas)
    return figures
