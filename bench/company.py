"""A company: what authentication, budgets and metrics cost, and whether 1,000 tenants with 100 keys each cost more.

Three comparisons, each of two gateways in turn: one that authenticates callers, keeps a budget and is scraped every
second, beside a bare one, with and without traces; and the same with 1,000 tenants beside one tenant. Metrics cannot
be turned off, so a bare gateway counts, too, but is not scraped. Each caller has its own connection, as programs have.
Then: the time until changes take effect.
"""

import asyncio
import contextlib
import functools
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import grpc.aio
import httpx

from bench import beside, processes, submit
from bench.calls import model_submission, with_key
from bench.figures import Figure, at_least, at_most, value
from bench.load import Call, Effort
from bench.processes import Server
from bench.submit import Scene
from bench.trials import servers
from gateway.access import keys
from gateway.generations.limits.model import MILLION, TENANT, Limits
from gateway.store.sqlite.store import SqliteStore
from hfgateway.admin.v1 import admin_service_pb2 as pb
from hfgateway.admin.v1.admin_service_pb2_grpc import AdminServiceStub
from hfgateway.v1 import generation_service_pb2
from hfgateway.v1.generation_service_pb2_grpc import GenerationServiceStub

TENANTS, KEYS = 1000, 100
TOGETHER = 2000
"""Keys that are stored at the same time."""
AMPLE = Limits(credits_per_day=10**9 * MILLION, credits_per_month=10**9 * MILLION)
SCRAPE_INTERVAL = 1.0
REPEAT_INTERVAL = 0.005
WAIT_TIMEOUT = 30.0
"""Seconds in which a change must take effect at all."""
STORED: bytes = generation_service_pb2.SubmitGenerationRequest(
    wait_for=generation_service_pb2.WAIT_FOR_STORED
).SerializeToString()


async def run(effort: Effort) -> list[Figure]:
    """Measure the costs, the start with many keys, and when changes take effect."""
    tenants, keys_each = (TENANTS, KEYS) if effort.rounds > 1 else (TENANTS // 20, KEYS // 20)
    goals = {0.85: at_least(0.85), 0.7: at_least(0.7), 0.9: at_least(0.9)}
    both = {bound: {"Submit": goal, "Get": goal} for bound, goal in goals.items()}
    async with submit.scene(calls_each=1, **processes.UNLIMITED) as bare:
        async with company(1, 1) as one:
            figures = await beside.compared(("keys, a budget and metrics", one), ("none", bare), both[0.85], effort)
        async with processes.running(processes.BASELINE) as collector:
            traces = {"HFGATEWAY_TRACES": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector.address}"}
            async with company(1, 1, **traces) as traced:
                sides = ("these and traces", traced), ("none", bare)
                figures += await beside.compared(*sides, both[0.7], effort)
    async with company(1, 1) as one, company(tenants, keys_each) as many:
        each = (many.gateway.memory() - one.gateway.memory()) / (tenants * keys_each)
        sides = (f"{tenants:,} tenants with {keys_each} keys each", many), ("one", one)
        figures += await beside.compared(*sides, both[0.9], effort)
        figures.append(value(f"memory of each of {tenants * keys_each:,} keys", "bytes", each))
        figures += await _effects(_admin_in(many.folder), "with them", many.gateway)
    return figures + await _on_a_replica()


async def _on_a_replica() -> list[Figure]:
    """Measure when changes through the leader of a PostgreSQL database take effect on another replica."""
    with servers.running(pooler=False) as server, tempfile.TemporaryDirectory() as folder:
        async with processes.steady_upstream() as higgsfield:
            settings = processes.gateway_settings(higgsfield.address, Path(folder))
            settings |= {"HFGATEWAY_STORE_URL": server.url(), "HFGATEWAY_AUTH": "keys", "XDG_DATA_HOME": folder}
            async with (
                processes.running(processes.GATEWAY, settings),
                processes.running(processes.GATEWAY, settings) as replica,
            ):
                return await _effects(_admin_in(Path(folder)), "on a replica", replica)


def _admin_in(folder: Path) -> str:
    """Return the address of the operator's socket of a gateway, which writes it to a file in its folder."""
    (pointer,) = folder.rglob("*.admin")
    return pointer.read_text()


@contextlib.asynccontextmanager
async def company(tenants: int, keys_each: int, **terms: str) -> AsyncIterator[Scene]:
    """Run a gateway that requires keys, with budgets on all tenants, and scrape its metrics."""
    prepare = functools.partial(_fill, tenants, keys_each)
    async with submit.scene(prepare, calls_each=1, HFGATEWAY_AUTH="keys", **processes.UNLIMITED, **terms) as scene:
        scraping = asyncio.create_task(_scrape(scene.gateway.http_address))
        try:
            yield scene
        finally:
            scraping.cancel()
            await asyncio.wait([scraping])


async def _fill(tenants: int, keys_each: int, path: Path) -> Sequence[str]:
    """Store the keys and the budgets; return a key for each call in flight, of as many tenants as possible."""
    names = [(f"tenant-{n % tenants}", f"service {n // tenants}") for n in range(tenants * keys_each)]
    made = [keys.new_key(tenant, name, time.time()) for tenant, name in names]
    store = SqliteStore(path, lambda _: None)
    for first in range(0, len(made), TOGETHER):
        await asyncio.gather(*(store.keys.add_api_key(key) for key, _ in made[first : first + TOGETHER]))
    await asyncio.gather(*(store.limits.set_limits(f"tenant-{n}", TENANT, AMPLE, "") for n in range(tenants)))
    await store.close()
    return [secret for _, secret in made[: beside.IN_FLIGHT]]


async def _scrape(address: str) -> None:
    async with httpx.AsyncClient() as client:
        while True:
            (await client.get(f"http://{address}/metrics")).raise_for_status()
            await asyncio.sleep(SCRAPE_INTERVAL)


async def _effects(admin_address: str, where: str, gateway: Server) -> list[Figure]:
    """Measure the time from a change by the operator until a gateway refuses calls because of it."""
    tenant = "tenant-0"
    async with (
        grpc.aio.insecure_channel(admin_address) as to_admin,
        grpc.aio.insecure_channel(gateway.address) as to_gateway,
    ):
        admin, service = AdminServiceStub(to_admin), GenerationServiceStub(to_gateway)
        made = await admin.CreateApiKey(pb.CreateApiKeyRequest(tenant=tenant, name="bench"))
        metadata = (("authorization", f"Bearer {made.secret}"),)

        async def submitted() -> None:
            request = generation_service_pb2.SubmitGenerationRequest.FromString(with_key(model_submission()) + STORED)
            await service.SubmitGeneration(request, metadata=metadata)

        async def read() -> None:
            await service.ListGenerations(generation_service_pb2.ListGenerationsRequest(page_size=1), metadata=metadata)

        def limited(**limits: Any) -> Awaitable[object]:
            return admin.SetLimits(pb.SetLimitsRequest(tenant=tenant, limits=pb.Limits(**limits)))

        changes: list[tuple[str, Callable[[], Awaitable[object]], Call]] = [
            ("budget", lambda: limited(credits_per_month="0.000001"), submitted),
            ("limit", lambda: limited(submissions_per_minute=1), submitted),
            ("revocation", lambda: admin.RevokeApiKey(pb.RevokeApiKeyRequest(id=made.api_key.id)), read),
        ]
        figures = []
        for name, change, call in changes:
            await limited()
            await _once(call)
            began = time.perf_counter()
            await change()
            await _until_refused(call)
            taken = time.perf_counter() - began
            figures.append(value(f"until a {name} takes effect {where}", "s", taken, at_most(2.0)))
        return figures


async def _once(call: Call) -> None:
    """Call until it succeeds: another gateway may not know the key yet, or still know the last limit."""
    async with asyncio.timeout(WAIT_TIMEOUT):
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await call()
                return
            await asyncio.sleep(REPEAT_INTERVAL)


async def _until_refused(call: Call) -> None:
    async with asyncio.timeout(WAIT_TIMEOUT):
        while True:
            try:
                await call()
            except grpc.aio.AioRpcError as error:
                if error.code() not in {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED}:
                    raise
                return
            await asyncio.sleep(REPEAT_INTERVAL)
