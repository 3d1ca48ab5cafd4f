"""Response times of webhooks at a constant rate, without other load and while submissions load the gateway.

The rate does not depend on the response times (an open loop), like Higgsfield's. Each webhook is signed and ends
another generation; the gateway responds when it has stored the webhook. For comparison the same POSTs go to the bare
upstream, which does nothing with them: their time is that of the machine and the benchmark.
"""

import asyncio
import contextlib
import functools
import json
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import aiohttp

from bench import processes
from bench.calls import SUBMIT, model_submission, with_key
from bench.figures import Figure, at_most, excess, value
from bench.load import Channels, Effort, channels, drive
from bench.processes import Server
from gateway.sandbox.webhooks.signing import signed_headers

RATE = 200
"""Webhooks per second."""
LOAD = 20
"""Callers that submit in a closed loop."""
SECRET = "whsec_" + "QUJDREVGR0g" * 4
OFFERED = 1_000.0
"""The goal for a response in milliseconds; Higgsfield waits for ten seconds."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A gateway that accepts webhooks, and the upstream that lists their URLs."""

    higgsfield: Server
    gateway: Server
    to_gateway: Channels
    session: aiohttp.ClientSession

    async def submitted(self, count: int) -> list[tuple[str, str]]:
        """Submit `count` generations; returns their request ids and webhook URLs."""
        await self._new_requests()
        submit = self.to_gateway.unary(SUBMIT)
        for start in range(0, count, 50):
            await asyncio.gather(*(submit(with_key(model_submission())) for _ in range(start, min(start + 50, count))))
        return await self._new_requests()

    async def _new_requests(self) -> list[tuple[str, str]]:
        async with self.session.get(f"http://{self.higgsfield.address}/requests") as answer:
            return [(request_id, url) for request_id, url in json.loads(await answer.text())]


async def run(effort: Effort) -> list[Figure]:
    """Measure without other load and under load, each on a new gateway."""
    figures = []
    for busy in (False, True):
        async with _scene() as scene:
            submitted = await scene.submitted(max(int(RATE * effort.seconds * effort.rounds), 10))
            floor = [(request_id, f"http://{scene.higgsfield.address}/any") for request_id, _ in submitted]
            load = asyncio.create_task(_load(scene, 2 * len(submitted) / RATE)) if busy else None
            bare, cpu = await _delivered(scene, floor), scene.gateway.cpu()
            answers = await _delivered(scene, submitted)
            cost = 1e6 * (scene.gateway.cpu() - cpu) / len(submitted)
            if load is not None:
                await load
        figures += _figures(f"webhooks, {RATE}/s" + (f" with {LOAD} submitting" if busy else ""), answers, bare)
        if not busy:
            figures.append(value(f"webhooks, {RATE}/s: accepted", "server CPU us/delivery", cost))
    return figures


@contextlib.asynccontextmanager
async def _scene() -> AsyncIterator[Scene]:
    address = processes.free_address()
    webhooks = {
        "HFGATEWAY_HTTP_ADDRESS": address,
        "HFGATEWAY_PUBLIC_URL": f"http://{address}",
        "HFGATEWAY_WEBHOOK_SECRET": SECRET,
    }
    async with (
        processes.running(processes.UPSTREAM) as higgsfield,
        processes.gateway(higgsfield, **webhooks) as gateway,
        channels(gateway, LOAD + 50) as to_gateway,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        yield Scene(higgsfield, gateway, to_gateway, session)


async def _load(scene: Scene, seconds: float) -> None:
    submission = functools.partial(with_key, model_submission())
    await drive(scene.to_gateway.callers(SUBMIT, submission, LOAD), seconds, scene.gateway)


async def _delivered(scene: Scene, submitted: Sequence[tuple[str, str]]) -> list[tuple[int, float]]:
    """Send each webhook at its time; returns the status and the response time in ms of each."""
    began = time.perf_counter()

    async def deliver(number: int, request_id: str, url: str) -> tuple[int, float]:
        body = json.dumps({"request_id": request_id, "status": "completed", "images": []}).encode()
        headers = signed_headers(SECRET, f"msg_{number}", int(time.time()), body)
        due = began + number / RATE
        await asyncio.sleep(max(due - time.perf_counter(), 0.0))
        async with scene.session.post(url, data=body, headers=headers) as answer:
            await answer.read()
            return answer.status, 1e3 * (time.perf_counter() - due)

    return await asyncio.gather(*(deliver(number, *one) for number, one in enumerate(submitted)))


def _figures(name: str, answers: Sequence[tuple[int, float]], bare: Sequence[tuple[int, float]]) -> list[Figure]:
    ours, floor = (statistics.quantiles([taken for _, taken in side], n=100) for side in (answers, bare))
    return [
        excess(f"{name}: answered", "ms, p50", ours[49], floor[49]),
        excess(f"{name}: answered", "ms, p99", ours[98], floor[98], at_most(OFFERED)),
        value(f"{name}: not accepted", "deliveries", sum(status != 200 for status, _ in answers), at_most(0)),
    ]
