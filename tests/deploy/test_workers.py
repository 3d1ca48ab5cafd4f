"""`hfgateway serve --workers 2`: real processes on shared ports, with a real PostgreSQL server."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import grpc
import pytest

from gateway.cli import exit_codes
from gateway.process.listening import listen
from gateway.sandbox.server import Sandbox, SandboxOptions
from gateway.settings.values import Address, parse_address
from hfgateway.v1 import generation_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway_client import AsyncClient, RetryPolicy, soul
from tests.app.command import FRESH, ROOT, WAIT_TIMEOUT, Finished, environment, run
from tests.durability.process import READY, REPEAT_TIMEOUT, stub
from tests.support.addresses import free_address
from tests.support.running import eventually

pytestmark = pytest.mark.toolchain("postgres")
COUNT = 2
NUMBERS = range(1, COUNT + 1)
CALLS = re.compile(r'hfgateway_rpc_total\{code="OK",method="/hfgateway.v1.GenerationService/ListGenerations"\} (\d+)')
GENERATIONS = 16


@dataclass(frozen=True)
class Serving:
    """A worker's own addresses, and its process."""

    grpc: str
    http: str
    pid: int


class Workers:
    """A supervisor that has started its workers."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log
        self.grpc = self.http = ""

    async def ready(self) -> None:
        """Wait for the line of the supervisor."""
        assert self.process.stdout is not None
        async with asyncio.timeout(WAIT_TIMEOUT):
            line = (await self.process.stdout.readline()).decode()
        found = READY.search(line)
        assert found, self.log.read_text()
        self.grpc, self.http = found[1], found[2]

    def served(self, number: int) -> list[Serving]:
        """Return the processes of a worker that have served so far, from the log."""
        address, found = ("", ""), []
        complete = self.log.read_text().rpartition("\n")[0]  # the last line may have been written in part
        for line in map(json.loads, complete.splitlines()):
            if line.get("worker") == number and "grpc" in line:
                address = line["grpc"], line["http"]
            if line.get("worker") == number and "pid" in line:
                found.append(Serving(*address, line["pid"]))
        return found

    def pids(self) -> list[int]:
        """Return the process ids of all workers that have served."""
        return [one.pid for number in NUMBERS for one in self.served(number)]

    async def again(self, number: int) -> Serving:
        """Wait until a worker has been started for the second time; return its process."""
        async with asyncio.timeout(WAIT_TIMEOUT):
            while len(found := self.served(number)) < 2:
                await asyncio.sleep(0.02)
        return found[-1]

    async def end(self, number: int) -> int:
        """Send a signal to the supervisor, and return its exit code."""
        self.process.send_signal(number)
        async with asyncio.timeout(WAIT_TIMEOUT):
            return await self.process.wait()


@asynccontextmanager
async def started(folder: Path, upstream: str, store: str, **settings: str) -> AsyncIterator[Workers]:
    """Start two workers, and kill their supervisor at the end, after which they stop."""
    variables = {
        "HFGATEWAY_UPSTREAM_URL": upstream, "HFGATEWAY_STORE_URL": store, "HFGATEWAY_POLL_MIN": "0.05",
        "HFGATEWAY_POLL_MAX": "0.2", "HFGATEWAY_LOG_FORMAT": "json", **settings,
    }  # fmt: skip
    log = folder / "workers.log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            "env", "--default-signal=HUP",  # a parent such as nohup may ignore it
            sys.executable, "-m", "gateway", "serve", "--workers", str(COUNT), cwd=ROOT,
            env=environment(folder, variables), stdout=asyncio.subprocess.PIPE, stderr=errors,
        )  # fmt: skip
    workers = Workers(process, log)
    try:
        await workers.ready()
        yield workers
    finally:
        async with ended(workers.pids()):
            if process.returncode is None:
                process.kill()
                await process.wait()


@asynccontextmanager
async def ended(pids: list[int]) -> AsyncIterator[None]:
    """Wait after the block until processes have ended, which need not be children."""
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        waiting = []
        for pid in pids:
            try:
                watched = os.pidfd_open(pid)
            except ProcessLookupError:
                continue  # it has ended already
            over = loop.create_future()
            stack.callback(os.close, watched)
            stack.callback(loop.remove_reader, watched)
            loop.add_reader(watched, lambda one=over: one.done() or one.set_result(None))
            waiting.append(over)
        yield
        async with asyncio.timeout(WAIT_TIMEOUT):
            await asyncio.gather(*waiting)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxOptions(port=0, queue_seconds=0.05, image_seconds=0.2)) as running:
        yield running


async def refused(folder: Path, store: str, *, launcher: str = "", **settings: str) -> Finished:
    """Start two workers, and return how the supervisor has ended. With a launcher, it can start workers."""
    given = environment(folder, {"HFGATEWAY_STORE_URL": store, **settings})
    return await run("serve", "--workers", str(COUNT), environment=given, launcher=launcher)


async def until_completed(address: str, name: str) -> None:
    """Wait until a worker shows a generation as completed, which a replica may do a moment later than others."""
    async with grpc.aio.insecure_channel(address) as channel, asyncio.timeout(WAIT_TIMEOUT):
        while True:
            found = await stub(channel).GetGeneration(pb.GetGenerationRequest(id=name))
            if found.generation.state == generation_pb2.GENERATION_STATE_COMPLETED:
                return
            await asyncio.sleep(0.02)


async def calls(session: aiohttp.ClientSession, worker: Serving) -> int:
    """Return the number of ListGenerations that a worker has served, from its own HTTP port."""
    async with session.get(f"{worker.http}/metrics") as answer:
        found = CALLS.search(await answer.text())
    return int(found[1]) if found else 0


async def test_every_worker_serves_the_shared_ports_and_its_own(tmp_path: Path, emptied: str, sandbox: Sandbox) -> None:
    async with AsyncExitStack() as stack:
        workers = await stack.enter_async_context(started(tmp_path, sandbox.url, emptied))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        client = await stack.enter_async_context(AsyncClient(workers.grpc))
        generation = await client.generate(soul("fox"))

        own = [workers.served(number)[-1] for number in NUMBERS]
        assert len({workers.grpc, *(one.grpc for one in own)}) == len({workers.http, *(one.http for one in own)}) == 3
        for address in (workers.grpc, *(one.grpc for one in own)):
            await until_completed(address, str(generation.id))
        for url in (workers.http, *(one.http for one in own)):
            request = {"id": generation.id}
            async with session.post(f"{url}/hfgateway.v1.GenerationService/GetGeneration", json=request) as answer:
                assert (await answer.json())["generation"]["state"] == "GENERATION_STATE_COMPLETED"

        async with asyncio.timeout(WAIT_TIMEOUT):
            while not all([await calls(session, one) for one in own]):
                # Each connection is given to one of the workers, by its port.
                options = (("grpc.use_local_subchannel_pool", 1),)
                async with grpc.aio.insecure_channel(workers.grpc, options=options) as channel:
                    await stub(channel).ListGenerations(pb.ListGenerationsRequest())


@pytest.mark.timeout(600)
async def test_a_killed_worker_is_started_again_and_clients_see_no_error(
    tmp_path: Path, emptied: str, sandbox: Sandbox
) -> None:
    async with AsyncExitStack() as stack:
        workers = await stack.enter_async_context(started(tmp_path, sandbox.url, emptied))
        for number in NUMBERS:  # one of them leads
            client = await stack.enter_async_context(AsyncClient(workers.grpc, retry=RetryPolicy(0.05, 0.25)))
            first = asyncio.Event()

            async def generate(key: str, client: AsyncClient = client, first: asyncio.Event = first) -> str:
                generation = await client.generate(soul(key), idempotency_key=key)
                first.set()
                return str(generation.id)

            async with asyncio.timeout(REPEAT_TIMEOUT), asyncio.TaskGroup() as tasks:
                made = [tasks.create_task(generate(f"{number}-{turn}")) for turn in range(GENERATIONS)]
                await first.wait()
                os.kill(workers.served(number)[-1].pid, signal.SIGKILL)
            assert len({one.result() for one in made}) == GENERATIONS
            await workers.again(number)

        assert sandbox.ledger.double_charged_prompts == {}
        assert len(sandbox.ledger.charges) == COUNT * GENERATIONS


@pytest.mark.parametrize(
    ("workers_first", "number", "code"),
    [(True, signal.SIGTERM, 0), (False, signal.SIGTERM, 0), (False, signal.SIGHUP, 129)],
)
async def test_workers_stop_in_order_if_each_process_gets_the_signal(
    tmp_path: Path, emptied: str, sandbox: Sandbox, *, workers_first: bool, number: signal.Signals, code: int
) -> None:
    """systemd sends SIGTERM to all processes of a unit."""
    async with started(tmp_path, sandbox.url, emptied) as workers, ended(workers.pids()):
        pids = [*workers.pids(), workers.process.pid]
        for pid in pids if workers_first else reversed(pids):
            with suppress(ProcessLookupError):  # the supervisor may have stopped a worker already
                os.kill(pid, number)
        async with asyncio.timeout(WAIT_TIMEOUT):
            assert await workers.process.wait() == code


async def test_all_workers_stop_when_their_supervisor_is_killed(tmp_path: Path, emptied: str, sandbox: Sandbox) -> None:
    async with started(tmp_path, sandbox.url, emptied) as workers, ended(workers.pids()):
        await workers.end(signal.SIGKILL)


async def test_a_second_signal_kills_workers_that_are_still_draining(tmp_path: Path, emptied: str) -> None:
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox(SandboxOptions(port=0, fail={"hang": 1.0})))
        workers = await stack.enter_async_context(started(tmp_path, sandbox.url, emptied, HFGATEWAY_DRAIN="3600"))
        client = await stack.enter_async_context(AsyncClient(workers.grpc))
        sent = asyncio.create_task(client.submit(soul("fox")))
        stack.callback(sent.cancel)
        async with asyncio.timeout(WAIT_TIMEOUT), grpc.aio.insecure_channel(workers.grpc) as channel:
            while not (await stub(channel).ListGenerations(pb.ListGenerationsRequest())).generations:
                await asyncio.sleep(0.02)
        async with ended(workers.pids()):
            workers.process.send_signal(signal.SIGTERM)
            await eventually(lambda: "draining" in workers.log.read_text())
            assert await workers.end(signal.SIGINT) == 1


async def test_workers_need_a_store_that_they_can_share(tmp_path: Path) -> None:
    end = await refused(tmp_path, f"sqlite:///{tmp_path / 'store.db'}")
    assert (end.code, end.out) == (exit_codes.USAGE, "")
    assert "HFGATEWAY_STORE_URL: must be" in end.err
    assert not (tmp_path / "store.db").exists()


async def test_workers_have_addresses_of_their_own_for_other_replicas(tmp_path: Path, emptied: str) -> None:
    end = await refused(tmp_path, emptied, HFGATEWAY_REPLICA_ADDRESS="127.0.0.1:50051")
    assert end.code == exit_codes.USAGE
    assert "HFGATEWAY_REPLICA_ADDRESS: cannot be set with --workers" in end.err


@pytest.mark.parametrize("name", ["GRPC_ADDRESS", "HTTP_ADDRESS", "ADMIN_ADDRESS"])
async def test_a_shared_port_in_use_is_refused(tmp_path: Path, emptied: str, name: str) -> None:
    with listen(name, parse_address("127.0.0.1:0"), shared=True) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        end = await refused(tmp_path, emptied, **{f"HFGATEWAY_{name}": address})
    assert end.code == exit_codes.USAGE
    assert f"HFGATEWAY_{name}: {address} cannot be used" in end.err


@pytest.mark.parametrize("name", ["GRPC_ADDRESS", "HTTP_ADDRESS"])
async def test_a_worker_without_a_port_of_its_own_is_refused(tmp_path: Path, emptied: str, name: str) -> None:
    end = await refused(tmp_path, emptied, **{f"HFGATEWAY_{name}": "127.0.0.1:65534"})
    assert end.code == exit_codes.USAGE
    assert f"HFGATEWAY_{name}: has no port for worker 2" in end.err


@pytest.mark.parametrize(
    ("name", "port", "error"),
    [
        ("ADMIN_ADDRESS", 2, "GRPC_ADDRESS: leaves {} to worker 2, which is the same as HFGATEWAY_ADMIN_ADDRESS"),
        ("HTTP_ADDRESS", 1, "GRPC_ADDRESS: leaves {} to worker 1, which is the same as HFGATEWAY_HTTP_ADDRESS"),
        ("HTTP_ADDRESS", -2, "HTTP_ADDRESS: leaves {} to worker 2, which is the same as HFGATEWAY_GRPC_ADDRESS"),
        ("HTTP_ADDRESS", -1, "HTTP_ADDRESS: leaves {} to worker 1, which is the same as HFGATEWAY_GRPC_ADDRESS"),
    ],
)
async def test_a_workers_own_port_that_another_setting_names_is_refused(
    tmp_path: Path, emptied: str, name: str, port: int, error: str
) -> None:
    """Both would listen there, and each would get connections of the other."""
    lower = parse_address(free_address(followed_by=abs(port)))
    first = Address(lower.host, lower.port - min(port, 0))
    address = Address(first.host, first.port + port)
    settings = {"HFGATEWAY_GRPC_ADDRESS": str(first), f"HFGATEWAY_{name}": str(address)}
    end = await refused(tmp_path, emptied, **settings)
    assert (end.code, end.out) == (exit_codes.USAGE, "")
    assert error.format(first if port < 0 else address) in end.err


async def test_a_workers_own_port_in_use_is_refused_and_stops_all(tmp_path: Path, emptied: str) -> None:
    address = parse_address(free_address(followed_by=COUNT))
    with listen("", Address(address.host, address.port + COUNT)) as other:
        end = await refused(tmp_path, emptied, launcher=FRESH, HFGATEWAY_GRPC_ADDRESS=str(address))
        used = f"127.0.0.1:{other.getsockname()[1]}"
    assert (end.code, end.out) == (exit_codes.USAGE, "")
    assert f"HFGATEWAY_GRPC_ADDRESS: {used} cannot be used" in end.err


async def test_a_database_that_cannot_be_reached_ends_the_supervisor(tmp_path: Path) -> None:
    end = await refused(tmp_path, f"postgresql://gateway@{free_address()}/gateway", launcher=FRESH)
    assert (end.code, end.out) == (exit_codes.USAGE, "")
    assert "HFGATEWAY_STORE_URL" in end.err
