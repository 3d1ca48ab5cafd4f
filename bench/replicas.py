"""What a replica on PostgreSQL costs: Get, the way of a change to its watchers, idle gateways, and memory.

Part of `python -m bench postgresql`.
"""

import asyncio
import functools
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from bench import processes
from bench.calls import ANSWER, GET, KEEP, SUBMIT, WATCH_MANY, get_request, model_submission, with_key
from bench.figures import Figure, at_least, at_most, ratio, value
from bench.load import Channels, Effort, Load, channels, count, drive
from bench.processes import Server
from hfgateway.v1 import generation_service_pb2 as pb

IN_FLIGHT = 50
CHANGES_PER_SECOND = 200
"""Submissions that are started each second, each of which makes two changes: stored, and accepted."""


async def run(url: str, effort: Effort) -> list[Figure]:
    """Measure a leader and two replicas on the database of this URL."""
    with tempfile.TemporaryDirectory() as folder:
        async with processes.steady_upstream() as higgsfield, processes.running(processes.BASELINE) as bare:
            settings = processes.gateway_settings(higgsfield.address, Path(folder)) | {"HFGATEWAY_STORE_URL": url}
            async with (
                processes.running(processes.GATEWAY, settings) as leader,
                processes.running(processes.GATEWAY, settings) as replica,
                processes.running(processes.GATEWAY, settings) as other,
                channels(leader, IN_FLIGHT) as to_leader,
                channels(replica, IN_FLIGHT) as to_replica,
                channels(other, IN_FLIGHT) as to_other,
                channels(bare, IN_FLIGHT) as to_bare,
            ):
                idle = await _queries_per_second(url, 10 * effort.seconds)
                request = await get_request(to_leader.unary(SUBMIT))
                await to_bare.unary(KEEP)(await to_replica.unary(GET)(request))
                gets, answers = (
                    to_replica.callers(GET, lambda: request, IN_FLIGHT),
                    to_bare.callers(ANSWER, lambda: request, IN_FLIGHT),
                )
                half, other_half = gets[::2], to_other.callers(GET, lambda: request, IN_FLIGHT // 2)
                ours, floor, both = list[Load](), list[Load](), list[tuple[Load, Load]]()
                for _ in range(2 * effort.rounds):
                    floor.append(await drive(answers, effort.seconds / 2, bare))
                    ours.append(await drive(gets, effort.seconds / 2, replica))
                    both.append(
                        await asyncio.gather(
                            drive(half, effort.seconds / 2, replica), drive(other_half, effort.seconds / 2, other)
                        )
                    )
                late = await _lateness(to_leader, to_replica, effort)
                grown = await _memory(to_leader, other, effort)
    name = "from the leader's response to a watcher at a replica"
    return [
        value("queries of three idle gateways", "1/s", idle, at_most(30.0)),
        ratio("Get from a replica, 50 in flight", "calls/s", _rates(ours), _rates(floor), at_least(0.85)),
        ratio(
            "the same, from two replicas together", "calls/s", [one.rate + two.rate for one, two in both], _rates(ours)
        ),
        ratio(
            "the same, for each second that each has a processor",
            "calls/s",
            [1e6 / one.cpu + 1e6 / two.cpu for one, two in both],
            [1e6 / one.cpu for one in ours],
            at_least(1.6),
        ),
        value(f"{name}, p50", "ms", 1000 * statistics.median(late), at_most(10.0)),
        value(f"{name}, p99", "ms", 1000 * late[len(late) * 99 // 100], at_most(50.0)),
        value("memory of a generation in flight at a replica without watchers", "KB", grown / 1024, at_most(1.0)),
    ]


def _rates(loads: Sequence[Load]) -> list[float]:
    return [load.rate for load in loads]


async def _queries_per_second(url: str, seconds: float) -> float:
    async def transactions(connection: Any) -> int:
        cursor = await connection.execute(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
        )
        return int((await cursor.fetchone())[0])

    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        before, began = await transactions(connection), time.perf_counter()
        await asyncio.sleep(seconds)
        return (await transactions(connection) - before) / (time.perf_counter() - began)


async def _lateness(to_leader: Channels, to_replica: Channels, effort: Effort) -> list[float]:
    """Return, in order, the seconds from the response of each submission to its last change at the replica's watcher.

    The response follows the commit of the acceptance, so a watcher may also be the first: then it is 0.
    """
    answered: dict[str, float] = {}
    seen: dict[str, float] = {}
    count = round(2 * effort.seconds * CHANGES_PER_SECOND)
    (stream,) = to_replica.streams(WATCH_MANY, pb.WatchGenerationsRequest().SerializeToString(), 1)

    async def watch() -> None:
        while len(seen) <= count:  # the one that was submitted before is the first
            message = pb.WatchGenerationsResponse.FromString(await stream.read())
            if message.generation.HasField("accept_time"):
                seen.setdefault(message.generation.id, time.perf_counter())

    async def submit() -> None:
        answer = await to_leader.unary(SUBMIT)(with_key(model_submission()))
        answered[pb.SubmitGenerationResponse.FromString(answer).generation.id] = time.perf_counter()

    watching = asyncio.create_task(watch())
    began, submissions = time.perf_counter(), []
    for number in range(count):
        submissions.append(asyncio.create_task(submit()))
        await asyncio.sleep(max(began + number / CHANGES_PER_SECOND - time.perf_counter(), 0))
    await asyncio.gather(*submissions)
    await watching
    return sorted(max(seen[name] - at, 0.0) for name, at in answered.items())


async def _memory(to_leader: Channels, replica: Server, effort: Effort) -> float:
    """Return the bytes by which a replica's resident memory grows with each generation in flight.

    The recent changes in its memory, whose number is limited, are complete before the first measurement.
    """
    submitting = to_leader.callers(SUBMIT, functools.partial(with_key, model_submission()), IN_FLIGHT)
    measured = []
    for submissions in (effort.burst // 2, effort.burst):
        await count(submitting, submissions, replica)
        await asyncio.sleep(effort.seconds / 2)  # until it has read them
        measured.append(replica.memory())
    before, after = measured
    return (after - before) / effort.burst
