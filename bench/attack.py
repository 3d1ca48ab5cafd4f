"""Attacks by callers without an API key, each from a separate process, and the duration of another caller's Get.

Attacks are limited in number and time and use loopback only. `python -m bench.attack NAME GRPC HTTP COUNT SECONDS` runs
one attack.
"""

import asyncio
import contextlib
import functools
import gzip
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
from grpc_health.v1 import health_pb2

from bench import processes
from bench.calls import ANSWER, GET, KEEP, LIST, SUBMIT, get_request
from bench.figures import Figure, Goal, Judged, at_most, ratio
from bench.load import Call, Effort

COUNTS = {"bombs": 4_000, "connections": 1_100, "watches": 40_000}
"""The size of each attack."""
SENDERS = 8
WATCHES_PER_CONNECTION = 1_000
SETTLE = 20.0
"""Seconds in which the memory has to be released."""
_WATCH = "/grpc.health.v1.Health/Watch"


@dataclass(frozen=True, slots=True)
class Target:
    """The addresses of the two ports."""

    grpc: str
    http: str


async def bombs(target: Target, count: int, _: float) -> None:
    """Send requests of 4 KB gzip that expand to 2 million JSON values."""
    packed = gzip.compress(b"[" + b"1," * 2_000_000 + b"1]")
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    left = iter(range(count))
    url = f"http://{target.http}{SUBMIT}"

    async def send(session: aiohttp.ClientSession) -> None:
        for _ in left:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.post(url, data=packed, headers=headers) as answer:
                    await answer.read()

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(send(session) for _ in range(SENDERS)))


async def connections(target: Target, count: int, seconds: float) -> None:
    """Open idle connections to each port, and open them again when they are closed."""
    end = time.perf_counter() + seconds

    async def hold(address: str) -> None:
        host, port = address.rsplit(":", 1)
        while (left := end - time.perf_counter()) > 0:
            with contextlib.suppress(OSError, TimeoutError):
                reader, writer = await asyncio.open_connection(host, int(port))
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(left):
                        await reader.read()
                writer.close()
            await asyncio.sleep(0.1)

    await asyncio.gather(*(hold(address) for address in (target.grpc, target.http) for _ in range(count)))


async def watches(target: Target, count: int, seconds: float) -> None:
    """Open health watches at once and hold them. Those that are refused are not opened again."""
    request = health_pb2.HealthCheckRequest().SerializeToString()
    options = (("grpc.use_local_subchannel_pool", 1),)
    channels = [
        grpc.aio.insecure_channel(target.grpc, options=options) for _ in range(-(-count // WATCHES_PER_CONNECTION))
    ]

    async def watch(number: int) -> None:
        call = channels[number % len(channels)].unary_stream(_WATCH)(request, timeout=seconds + 60)
        with contextlib.suppress(grpc.aio.AioRpcError):
            await call.read()

    await asyncio.gather(*(watch(number) for number in range(count)))
    await asyncio.sleep(seconds)
    await asyncio.gather(*(channel.close() for channel in channels))


ATTACKS: dict[str, Callable[[Target, int, float], Coroutine[Any, Any, None]]] = {
    "bombs": bombs,
    "connections": connections,
    "watches": watches,
}
_NAMES = {"bombs": "4 KB JSON bombs", "connections": "idle connections to each port", "watches": "health watches"}


async def run(effort: Effort) -> list[Figure]:
    """Run each attack in turn on one gateway."""
    scale = min(1.0, effort.burst / 10_000)
    figures: list[Figure] = []
    http = processes.free_address()
    with tempfile.TemporaryDirectory() as folder:
        key = await processes.create_key(Path(folder), "bench")
        keys = {"HFGATEWAY_AUTH": "keys", "HFGATEWAY_HTTP_ADDRESS": http}
        async with (
            processes.steady_upstream() as higgsfield,
            processes.gateway(higgsfield, Path(folder), **keys) as gateway,
            processes.running(processes.BASELINE) as bare,
            grpc.aio.insecure_channel(gateway.address) as channel,
            grpc.aio.insecure_channel(bare.address) as bare_channel,
        ):
            get = await _get_caller(channel, key)
            echo = bare_channel.unary_unary(ANSWER)
            await bare_channel.unary_unary(KEEP)(b"x" * 500)
            calls = [get, lambda: echo(b"x" * 40)]
            # A warm-up over both ports: first calls are slower, and memory grows by 5 % during the first 6,000.
            async with aiohttp.ClientSession(headers={"authorization": f"Bearer {key}"}) as session:
                over_http = functools.partial(_list_over_http, session, f"http://{http}{LIST}")
                await _durations([*calls, over_http], asyncio.sleep(20 * effort.seconds))
            cpu = gateway.cpu()
            quiet = await _durations(calls, asyncio.sleep(2 * effort.seconds))
            get_cpu = (gateway.cpu() - cpu) / len(quiet[0])
            figures.append(_get_figure("without an attack", quiet, None))
            # Connections twice: the first attack leaves fragments in memory, which the second one uses.
            for name, again in (("bombs", ""), ("connections", ""), ("connections", " again"), ("watches", "")):
                count = round(COUNTS[name] * scale)
                attack = _attack(name, Target(gateway.address, http), count, 3 * effort.seconds)
                figures += await _measure(attack, f"{count} {_NAMES[name]}{again}", gateway, calls, get_cpu)
    return figures


async def _measure(
    attack: Coroutine[Any, Any, float], about: str, gateway: processes.Server, calls: Sequence[Call], get_cpu: float
) -> list[Figure]:
    """Measure the gateway during and after an attack. `get_cpu` is the processor time in seconds of one Get."""
    before, cpu = gateway.memory(), gateway.cpu()
    attacking = asyncio.create_task(attack)
    found = await _durations(calls, attacking)
    ours = gateway.cpu() - cpu - get_cpu * len(found[0])
    after = await _memory_after(gateway, before)
    mib = 1 << 20
    return [
        _get_figure(f"during {about}", found, at_most(50.0)),
        ratio(f"processor time for {about}, and the sender's", "s", [ours], [attacking.result()], at_most(1.0)),
        ratio(f"memory after {about}", "MiB", [after / mib], [before / mib], at_most(1.10)),
    ]


async def _get_caller(channel: grpc.aio.Channel, key: str) -> Call:
    """Submit a generation; returns a call of Get for it."""
    metadata = (("authorization", f"Bearer {key}"),)
    request = await get_request(functools.partial(channel.unary_unary(SUBMIT), metadata=metadata))
    get = channel.unary_unary(GET)
    return lambda: get(request, metadata=metadata)


async def _list_over_http(session: aiohttp.ClientSession, url: str) -> None:
    async with session.post(url, json={}) as answer:
        answer.raise_for_status()
        await answer.read()


async def _durations(calls: Sequence[Call], attack: Awaitable[object]) -> list[list[float]]:
    """Make the calls in turn until `attack` has ended; returns the durations of each in ms."""
    attacking = asyncio.ensure_future(attack)
    durations: list[list[float]] = [[] for _ in calls]
    while not attacking.done():
        for call, times in zip(calls, durations, strict=True):
            start = time.perf_counter()
            await call()
            times.append(1e3 * (time.perf_counter() - start))
        await asyncio.sleep(0.002)
    await attacking
    return durations


def _get_figure(about: str, found: Sequence[list[float]], goal: Goal | None) -> Figure:
    """Return a figure of the gateway's Get, with the echo of a bare server at the same time as its baseline."""
    ours, bare = (sorted(times)[len(times) * 99 // 100] for times in found)
    return Figure(f"Get {about}, p99", "ms", ours, bare, Judged.VALUE, ours, goal)


async def _attack(name: str, target: Target, count: int, seconds: float) -> float:
    """Run an attack; returns the processor time in seconds that it cost the sender."""
    arguments = ("-m", "bench.attack", name, target.grpc, target.http, str(count), str(seconds))
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=processes.ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise RuntimeError(f"the attack {name} failed")
    return float(out)


async def _memory_after(gateway: processes.Server, before: int) -> int:
    """Wait until the memory has been released, at most SETTLE seconds; returns the resident memory in bytes."""
    end = time.perf_counter() + SETTLE
    while (now := gateway.memory()) > 1.05 * before and time.perf_counter() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.5)
    return now


if __name__ == "__main__":
    attack, grpc_address, http_address, number, length = sys.argv[1:]
    started = time.process_time()
    asyncio.run(ATTACKS[attack](Target(grpc_address, http_address), int(number), float(length)))
    print(time.process_time() - started)
