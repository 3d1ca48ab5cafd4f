"""Submit: a submission is validated, stored twice, POSTed and answered.

Its server CPU is compared with an echo of the same bytes, its rate with a bare httpx client, and the latency of a
single call with the sum of the operations that it needs. docs/performance.md defines each comparison.
"""

import contextlib
import functools
import json
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench import processes
from bench.calls import ECHO, FIELDS, MODEL, PROMPT, SUBMIT, model_submission, soul_submission, with_key
from bench.figures import Figure, at_least, at_most, excess, ratio
from bench.load import CALLS_PER_CHANNEL, Call, Channels, Effort, alternating, channels, count, drive
from bench.processes import Server
from gateway.higgsfield.client import CONNECT_TIMEOUT, MAX_RESPONSE_BYTES
from gateway.higgsfield.transport import AioTransport
from hfgateway.v1 import generation_service_pb2 as pb

DELAY = 0.1
LONE_DELAY = 0.02
"""Seconds that the upstream takes for a single submission, for a second figure: all threads sleep during the delay."""
FEW, MANY, MOST = 50, 200, 500
WARM, SOME, QUEUED = 500, 1_000, 9_500
"""Waiting submissions: those after the warm-up are compared with the last ones. The limit is 10,000."""
FOR_EVER = 3600.0
BODY = json.dumps({"prompt": PROMPT, **FIELDS}).encode()
HEADERS = {"authorization": "Key sandbox:sandbox", "content-type": "application/json", "accept": "application/json"}
WAIT_TIMEOUT = 60.0
"""Seconds that the bare client waits for a connection: at 200 in flight its pool reaches its limit."""


async def run(effort: Effort) -> list[Figure]:
    """Measure CPU time, rate, the latency of a single call, and the cost in a long queue, each on a new gateway."""
    figures = []
    for part in (_costs, _rates, _lone):
        async with scene() as stage:
            figures += await part(stage, effort)
    async with scene(HFGATEWAY_UPSTREAM_CONCURRENCY="1") as stage:
        return figures + await _queued(stage, effort)


Prepare = Callable[[Path], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Scene:
    """A gateway, its upstream, and the bare server."""

    higgsfield: Server
    gateway: Server
    bare: Server
    to_gateway: Channels
    to_bare: Channels
    folder: Path

    def submitting(self, submission: bytes, in_flight: int) -> list[Call]:
        """Return callers that submit, each time with a new key."""
        return self.to_gateway.callers(SUBMIT, functools.partial(with_key, submission), in_flight)

    def echoing(self, submission: bytes, in_flight: int) -> list[Call]:
        """Return callers whose requests, with the same bytes, are echoed."""
        return self.to_bare.callers(ECHO, functools.partial(with_key, submission), in_flight)

    def posting(self, client: httpx.AsyncClient, in_flight: int) -> list[Call]:
        """Return callers that make the POSTs of the gateway."""
        url = f"http://{self.higgsfield.address}/{MODEL}"

        async def post() -> None:
            response = await client.post(url, content=BODY, headers=HEADERS)
            response.raise_for_status()

        return [post] * in_flight

    async def answer_after(self, seconds: float) -> None:
        """Set the time in seconds that the upstream takes for each submission."""
        async with httpx.AsyncClient() as client:
            await client.put(f"http://{self.higgsfield.address}/delay/{seconds}")


@contextlib.asynccontextmanager
async def scene(
    prepare: Prepare | None = None, *, calls_each: int = CALLS_PER_CHANNEL, **terms: str
) -> AsyncIterator[Scene]:
    """Run the processes. `terms` are variables of the gateway's environment.

    `prepare` fills the gateway's store before, and returns the API keys of the callers. `calls_each` is the number of
    callers on a connection.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        api_keys = [] if prepare is None else await prepare(folder / "gateway.db")
        async with (
            processes.steady_upstream() as higgsfield,
            processes.gateway(higgsfield, folder, **terms) as gateway,
            processes.running(processes.BASELINE) as bare,
            channels(gateway, MOST, api_keys, calls_each=calls_each) as to_gateway,
            channels(bare, MOST) as to_bare,
        ):
            yield Scene(higgsfield, gateway, bare, to_gateway, to_bare, folder)


async def _costs(scene: Scene, effort: Effort) -> list[Figure]:
    """Measure the CPU time, with an upstream that answers at once."""
    model, soul = model_submission(), soul_submission()
    sides = {
        "echo": (scene.echoing(model, FEW), scene.bare),
        "model": (scene.submitting(model, FEW), scene.gateway),
        "soul": (scene.submitting(soul, FEW), scene.gateway),
    }
    for callers, server in sides.values():
        await drive(callers, effort.seconds / 4, server)
    cpu: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(effort.rounds):
        for name, (callers, server) in sides.items():
            cpu[name].append((await drive(callers, effort.seconds, server)).cpu)
    unit = "server CPU us/call"
    return [
        ratio("Submit of a model input, 50 in flight", unit, cpu["model"], cpu["echo"], at_most(4.0)),
        ratio("Submit of a Soul input, 50 in flight", unit, cpu["soul"], cpu["echo"], at_most(4.0)),
    ]


async def _rates(scene: Scene, effort: Effort) -> list[Figure]:
    """Measure the rate, with an upstream that is as slow as the real one."""
    model = model_submission()
    few, many, most = (scene.submitting(model, in_flight) for in_flight in (FEW, MANY, MOST))
    await scene.answer_after(DELAY)
    rates, posted, at_few, at_most_in_flight = [], [], [], []
    async with httpx.AsyncClient(timeout=WAIT_TIMEOUT) as client:
        posts = scene.posting(client, MANY)
        for callers in (posts, most):
            await drive(callers, effort.seconds / 4, scene.gateway)
        for _ in range(effort.rounds):
            posted.append((await drive(posts, 2 * effort.seconds, scene.higgsfield)).rate)
            rates.append((await drive(many, effort.seconds, scene.gateway)).rate)
            at_few.append((await drive(few, effort.seconds, scene.gateway)).cpu)
            at_most_in_flight.append((await drive(most, effort.seconds, scene.gateway)).cpu)
    return [
        ratio("Submit, 200 in flight over 100 ms, vs bare httpx", "calls/s", rates, posted, at_least(5.0)),
        ratio(
            "Submit, 500 in flight over 100 ms, vs 50", "server CPU us/call", at_most_in_flight, at_few,
            at_most(1.3),
        ),
    ]  # fmt: skip


async def _lone(scene: Scene, effort: Effort) -> list[Figure]:
    """Measure a single call, with an upstream that answers at once and with a slow one."""
    name = "a lone Submit vs its RPC + POST + 2 commits"
    at_once = await _lone_over(scene, effort, name)
    await scene.answer_after(LONE_DELAY)
    return [at_once, await _lone_over(scene, effort, f"{name}, over {LONE_DELAY * 1e3:.0f} ms")]


async def _lone_over(scene: Scene, effort: Effort, name: str) -> Figure:
    """Measure single calls, and separately an RPC, a POST and two commits."""
    model = model_submission()
    (submit,), (echo,) = scene.submitting(model, 1), scene.echoing(model, 1)
    database = _database(scene.folder / "floor.db")
    origin = httpx.URL(f"http://{scene.higgsfield.address}")
    async with contextlib.aclosing(AioTransport()) as transport:

        async def post() -> None:
            reply = await transport.exchange(
                "POST", origin, f"/{MODEL}", HEADERS, BODY, connect=CONNECT_TIMEOUT, max_bytes=MAX_RESPONSE_BYTES
            )
            assert reply.status == 200

        async def commit() -> None:
            database.execute("INSERT INTO rows (content) VALUES (?)", (BODY,))

        calls: dict[str, Call] = {"submit": submit, "echo": echo, "post": post, "commit": commit}
        await alternating(calls, effort.lone_calls // 10)
        median = await alternating(calls, effort.lone_calls)
    database.close()
    floor = median["echo"] + median["post"] + 2 * median["commit"]
    return excess(name, "ms, p50", median["submit"], floor, at_most(0.6))


async def _queued(scene: Scene, effort: Effort) -> list[Figure]:
    """Measure submissions that join a short and a long queue, and get their position in the response."""
    await scene.answer_after(FOR_EVER)
    stored = model_submission() + pb.SubmitGenerationRequest(wait_for=pb.WAIT_FOR_STORED).SerializeToString()
    callers = scene.submitting(stored, FEW)
    share = 1.0 if effort.rounds > 1 else 0.1
    loads = [
        await count(callers, round(calls * share), scene.gateway)
        for calls in (WARM, SOME, QUEUED - WARM - 2 * SOME, SOME)
    ]
    _, behind_few, _, behind_many = (load.cpu for load in loads)
    name = f"Submit behind {QUEUED - SOME:,} queued vs {WARM}"
    return [ratio(name, "server CPU us/call", [behind_many], [behind_few], at_most(1.3))]


def _database(path: Path) -> sqlite3.Connection:
    """Open a database in which each statement is a durable transaction."""
    database = sqlite3.connect(path, isolation_level=None)
    table = "CREATE TABLE IF NOT EXISTS rows (content BLOB)"
    for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", table):
        database.execute(statement).fetchall()
    return database
