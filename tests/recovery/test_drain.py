"""A write that was started is finished, even if its caller disconnects or the process gets SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path

import aiohttp
import grpc.aio
import pytest

from gateway.generations import due_steps
from gateway.generations.limits.model import Limits
from gateway.generations.model import GenerationId, State
from gateway.generations.stores import Filter, StoreError, UnknownCommitError
from gateway.process import serving
from gateway.process.app import _started
from gateway.process.core import Core
from gateway.process.private_sockets import admin_pointer
from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox, SandboxOptions
from hfgateway.admin.v1 import admin_service_pb2 as admin_pb
from hfgateway.admin.v1.admin_service_pb2_grpc import AdminServiceStub
from hfgateway.v1 import generation_service_pb2 as pb
from tests.durability.process import GatewayProcess, stub
from tests.support.commits import commits, lose_responses
from tests.support.operator import ask, refused
from tests.support.running import WAIT_TIMEOUT, Running, eventually, name_of, run, sized, soul
from tests.support.signals import ignores
from tests.support.transports import RpcFailure

STORED = pb.WAIT_FOR_STORED


async def disconnect(call: asyncio.Task[object]) -> None:
    """Cancel the call, as a caller that disconnects."""
    call.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await call


async def only_one(running: Running) -> str:
    """Return the id of the only generation."""
    listed = await running.grpc.call("ListGenerations", pb.ListGenerationsRequest())
    (only,) = listed.generations
    return str(only.id)


@pytest.mark.parametrize(
    "submission", [soul("a fox", wait_for=STORED), sized("a fox", wait_for=STORED)], ids=["v2", "v1"]
)
async def test_a_drain_waits_for_the_commit_of_a_claim(tmp_path: Path, submission: pb.SubmitGenerationRequest) -> None:
    async with run(tmp_path) as running:
        with commits("claim") as claims, running.held(on="submit"):
            claims.hold()
            call = asyncio.create_task(running.submit(submission))
            await claims.reached()
            drain = asyncio.create_task(running.gateway._core.drain())
            await eventually(lambda: running.gateway._core.service.draining)
            claims.release()
            generation_id = (await call).id
            await eventually(lambda: bool(running.ledger.submissions))
            assert not drain.done()
        await drain
        await running.stop_gateway()
        await running.start_gateway()
        # The restarted gateway may have polled it.
        assert name_of(await running.get(generation_id)) in {"QUEUED", "IN_PROGRESS"}
        assert len(running.ledger.charges) == 1


async def test_a_disconnected_caller_is_still_served_when_the_store_fails(tmp_path: Path) -> None:
    async with run(tmp_path) as running:
        with commits("claim") as claims:
            claims.hold()
            call = asyncio.create_task(running.submit(soul("a fox")))
            await claims.reached()
            claims.fail_from(2)
            await disconnect(call)
            claims.release()
            await eventually(lambda: bool(running.ledger.submissions))
        await running.finish(await only_one(running))
        assert len(running.ledger.charges) == 1


async def test_a_stop_before_the_start_is_complete_waits_for_what_was_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with run(tmp_path, UPSTREAM_CONCURRENCY=1) as running:
        await running.submit(soul("an owl"))
        waiting = await running.submit(sized("a fox", wait_for=STORED))
        await running.stop_gateway()
        running._settings = {}  # without the limit it is sent at the start
        loaded = threading.Event()
        with monkeypatch.context() as slow:
            slow.setattr(serving, "_import_late", lambda: loaded.wait(WAIT_TIMEOUT))
            with running.held(on="submit"):
                stop = asyncio.Event()
                start = asyncio.create_task(_started(running.new_gateway(), stop))
                await eventually(lambda: any(charge.prompt == "a fox" for charge in running.ledger.charges))
                stop.set()  # as SIGTERM does
                await eventually(lambda: running.gateway._core.service.draining)
            assert not await start
            loaded.set()
        await running.start_gateway()
        assert name_of(await running.read(waiting.id)) == "QUEUED"


CHANGES: dict[str, Callable[[Core], Coroutine[object, object, object]]] = {
    "agent session": lambda core: core.agents.create_session("default", "key"),
    "callback": lambda core: core.tenant_callbacks.create("default", "", Filter(), "key", every_change=False),
    "api key": lambda core: core.access.create_key("default", ""),
    "limits": lambda core: core.budgets.set("default", "tenant", Limits(in_flight=1), ["in_flight"]),
    "account": lambda core: core.accounts.assign("default", [("default", 1)]),
}
"""Changes by the names of their commits."""


@pytest.mark.parametrize("change", CHANGES)
async def test_a_drain_waits_for_a_change_whose_caller_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    async with run(tmp_path) as running:
        core, left = running.gateway._core, list[int]()
        parts = (core.agents, core.tenant_callbacks, core.access, core.budgets, core.accounts)
        before, after = core.sender.drained, core.dispatcher.drained
        with commits(change) as held:

            async def step_before() -> None:
                await before()
                held.release()

            async def step_after() -> None:
                left.append(sum(len(part._tasks) for part in parts))
                await after()

            monkeypatch.setattr(core.sender, "drained", step_before)
            monkeypatch.setattr(core.dispatcher, "drained", step_after)
            held.hold()
            call = asyncio.create_task(CHANGES[change](core))
            await held.reached()
            await disconnect(call)
            assert sum(len(part._tasks) for part in parts) == 1
            await running.stop_gateway()
    assert left == [0]


async def test_a_drain_waits_for_a_response_no_longer_than_its_timeout(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with run(tmp_path, DRAIN="0.1") as running:
        with running.held(on="submit"):
            await running.submit(soul("a fox", wait_for=STORED))
            await eventually(lambda: bool(running.ledger.submissions))
            await running.stop_gateway()
    assert "submissions are still in flight at the end of HFGATEWAY_DRAIN" in caplog.text


@pytest.mark.parametrize("stored", [True, False])
async def test_a_claim_is_read_back_if_its_answer_is_lost(tmp_path: Path, stored: bool) -> None:
    async with run(tmp_path) as running:
        lose_responses(running.gateway._core.store.claims, "claim", 1, stored=stored)
        submitted = await running.submit(soul("a fox"))
        await running.finish(submitted.id)
        assert len(running.ledger.charges) == 1


async def test_a_limit_that_refuses_the_repeat_of_a_lost_claim_is_no_refusal(tmp_path: Path) -> None:
    """The first commit may still come, and then the generation is sent and charged."""
    async with run(tmp_path) as running:
        limits = admin_pb.SetLimitsRequest(tenant="default", limits=admin_pb.Limits(credits_per_day="0.05"))
        await ask(running, "SetLimits", limits)

        async def spend() -> None:
            await running.submit(soul("an owl", wait_for=STORED))

        lose_responses(running.gateway._core.store.claims, "claim", 1, stored=False, then=spend)
        with pytest.raises(RpcFailure, match="UNAVAILABLE"):
            await running.submit(soul("a fox"))


async def test_calls_with_one_key_are_taken_in_their_order_even_if_an_answer_is_lost(tmp_path: Path) -> None:
    """If the second call came between, its refusal would free the key, and the first would be charged after it."""
    async with run(tmp_path) as running:
        running.plan(on="submit", kind="422")
        waiting = running.gateway._core.service._submitting
        calls: list[asyncio.Task[object]] = []

        async def call_again() -> None:
            calls.append(asyncio.create_task(running.submit(soul("a fox"))))
            await eventually(lambda: calls[0].done() or any(lock._waiters for lock in waiting.values()))

        lose_responses(running.gateway._core.store.claims, "claim", 1, stored=False, then=call_again)
        with pytest.raises(RpcFailure, match="refused the input"):
            await running.submit(soul("a fox"))
        await asyncio.gather(*calls, return_exceptions=True)  # refused as well, or sent after the refusal


async def test_a_claim_is_sent_if_it_was_stored_although_it_could_not_be_read_back(tmp_path: Path) -> None:
    async with run(tmp_path) as running:
        lose_responses(running.gateway._core.store.claims, "claim", 2, stored=True)
        with pytest.raises(RpcFailure) as raised:
            await running.submit(soul("a fox", wait_for=STORED))
        assert raised.value.reason == "GATEWAY_UNAVAILABLE"
        generation_id = await only_one(running)
        again = await running.submit(soul("a fox"))
        assert again.id == generation_id
        await running.finish(generation_id)
        assert len(running.ledger.charges) == 1


@pytest.mark.parametrize("last", [UnknownCommitError, StoreError])
@pytest.mark.parametrize("step", ["claim", "marked"])
async def test_a_drain_takes_back_a_marker_whose_commit_is_unknown(
    tmp_path: Path, step: str, last: type[Exception]
) -> None:
    """The repeat of the commit has an unknown outcome as well, or fails, which says nothing about the first one."""
    async with run(tmp_path, UPSTREAM_CONCURRENCY="1") as running:
        store = running.gateway._core.store
        if step == "claim":
            lose_responses(store.claims, "claim", 2, stored=True, then=running.begin_drain, last=last)
            with pytest.raises(RpcFailure):
                await running.submit(soul("a fox", wait_for=STORED))
        else:
            first = await running.submit(soul("a fox", wait_for=STORED))
            await running.submit(soul("a hare", wait_for=STORED))  # waits for the first one's end
            lose_responses(store.generations, "save", 2, stored=True, then=running.begin_drain, step=step, last=last)
            await running.finish(first.id)
            await eventually(lambda: running.draining)
        await running.stop_gateway()
        await running.start_gateway()
        listed = await running.grpc.call("ListGenerations", pb.ListGenerationsRequest())
        newest = await running.finish(listed.generations[0].id)
        history = await running.gateway._core.store.change_log.history(GenerationId(newest.id), 0, 100)
        assert State.UNCERTAIN not in {one.state for one in history}


async def test_an_operator_call_canceled_during_its_commit_still_sends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due_steps, "PAUSE_AFTER_WHOLE_ERROR", 0.0)
    async with run(tmp_path, UPSTREAM_IDEMPOTENCY="off") as running:
        running.plan(on="submit", kind="500")
        lost = await running.submit(soul("a fox", wait_for=STORED))
        await running.until(lost.id, "UNCERTAIN")
        async with grpc.aio.insecure_channel(admin_pointer(running.store_path).read_text()) as channel:
            with commits("marked") as marks:
                marks.hold()
                request = admin_pb.ResolveGenerationRequest(id=lost.id, resubmit={"may_charge_twice": True})
                call = AdminServiceStub(channel).ResolveGeneration(request)
                waiting = asyncio.ensure_future(call)
                await marks.reached()
                await disconnect(waiting)
                await eventually(lambda: call.cancelled())
                marks.release()
        await running.finish(lost.id)
        assert len(running.ledger.charges) == 1


async def test_an_operator_call_canceled_during_its_commit_still_logs_the_loss(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with run(tmp_path, UPSTREAM_IDEMPOTENCY="off") as running:
        running.plan(on="submit", kind="500")
        lost = await running.submit(soul("a fox", wait_for=STORED))
        await running.until(lost.id, "UNCERTAIN")
        with commits("expired by operator") as ends:
            ends.hold()
            waiting = asyncio.create_task(running.gateway._core.resolver.lost(GenerationId(lost.id)))
            await ends.reached()
            await disconnect(waiting)
            ends.release()
        await running.until(lost.id, "LOST")
        await running.stop_gateway()
        assert "LOST" in [getattr(record, "state", None) for record in caplog.records]


async def test_an_operator_sends_nothing_during_a_drain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The drain may not wait for it any more: then its POST would be cut off."""
    monkeypatch.setattr(due_steps, "PAUSE_AFTER_WHOLE_ERROR", 0.0)
    async with run(tmp_path, UPSTREAM_IDEMPOTENCY="off") as running:
        running.plan(on="submit", kind="500", processed=True)
        lost = await running.submit(soul("a fox", wait_for=STORED))
        await running.until(lost.id, "UNCERTAIN")
        await running.gateway._core.drain()
        request = admin_pb.ResolveGenerationRequest(id=lost.id, resubmit={"may_charge_twice": True})
        assert await refused(running, "ResolveGeneration", request) == "UNAVAILABLE"
        assert len(running.ledger.submissions) == 1


# -- Signals, to a process ---------------------------------------------------------------------------------------------

HOLDS_CLAIMS = """
import pathlib, signal, sys, time
from gateway import __main__, failpoints

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the parent may ignore it

folder = pathlib.Path(sys.argv[1])
sys.argv[1:] = ["serve"]

def before(step):
    if step == "claim":
        (folder / "reached").touch()
        deadline = time.monotonic() + 60
        while not (folder / "released").exists() and time.monotonic() < deadline:
            time.sleep(0.01)

failpoints.before = before
__main__.main()
"""
"""`hfgateway serve` whose writer thread waits before the COMMIT of a claim until the test releases it."""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGHUP, 129)])
async def test_a_signal_between_claim_and_post_charges_once(tmp_path: Path, number: signal.Signals, code: int) -> None:
    async with Sandbox(SandboxOptions(port=0, queue_seconds=0.05, image_seconds=0.05)) as sandbox:
        sandbox.state.plan.add([Fault.parse({"on": "submit", "delay": 0.5})])
        launcher = (sys.executable, "-c", HOLDS_CLAIMS, str(tmp_path))
        async with GatewayProcess(tmp_path, sandbox.url, launcher=launcher) as gateway, gateway.channel() as channel:
            call = stub(channel).SubmitGeneration(soul("a fox", wait_for=STORED))
            await eventually((tmp_path / "reached").exists)
            os.kill(gateway.pid, number)
            await drains(gateway)
            os.kill(gateway.pid, signal.SIGHUP)  # a closed terminal may send it twice
            (tmp_path / "released").touch()
            generation_id = (await call).generation.id
            assert await gateway.ended() == code
        submissions = sandbox.ledger.summary()["submissions_seen"]
        async with GatewayProcess(tmp_path, sandbox.url) as gateway, gateway.channel() as channel:
            answer = await stub(channel).GetGeneration(pb.GetGenerationRequest(id=generation_id))
        assert answer.generation.upstream.request_id
        assert submissions == sandbox.ledger.summary()["submissions_seen"] == 1
        assert len(sandbox.ledger.charges) == 1


IGNORES_HANG_UPS = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


async def test_a_gateway_still_ignores_a_signal_that_nohup_lets_it_ignore(tmp_path: Path) -> None:
    launcher = (sys.executable, "-c", IGNORES_HANG_UPS)
    async with GatewayProcess(tmp_path, "http://127.0.0.1:9", launcher=launcher) as gateway:
        assert ignores(gateway.pid, signal.SIGHUP)


async def drains(gateway: GatewayProcess) -> None:
    """Return when /readyz reports that it drains."""
    async with asyncio.timeout(WAIT_TIMEOUT), aiohttp.ClientSession() as session:
        while True:
            async with session.get(gateway.http_address + "/readyz") as answer:
                if await answer.text() == "draining\n":
                    return
            await asyncio.sleep(0.01)
