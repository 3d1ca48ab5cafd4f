"""kill -9 between the response to a webhook and its effect: the next process handles the webhook."""

from __future__ import annotations

from pathlib import Path

from gateway.sandbox.clock import ManualClock
from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox, SandboxOptions
from hfgateway.v1 import generation_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from tests.durability.process import GatewayProcess, stub
from tests.support.running import eventually, public_url, soul


async def test_a_webhook_answered_before_a_kill_takes_effect_after_it(tmp_path: Path) -> None:
    clock = ManualClock()
    settings = public_url() | {"UPSTREAM_IDEMPOTENCY": "off", "POLL_MIN": "30", "POLL_MAX": "30"}
    async with Sandbox(SandboxOptions(port=0), clock) as sandbox:
        async with GatewayProcess(tmp_path, sandbox.url, **settings) as gateway, gateway.channel() as channel:
            lost = await stub(channel).SubmitGeneration(soul("a fox [lost]", wait_for=pb.WAIT_FOR_STORED))
            async for answer in stub(channel).WatchGeneration(pb.WatchGenerationRequest(id=lost.generation.id)):
                if answer.generation.state == generation_pb2.GENERATION_STATE_UNCERTAIN:
                    break
            sandbox.state.plan.add([Fault.parse({"on": "status", "kind": "503", "times": 1_000})])
            clock.advance(60)
            await eventually(lambda: sandbox.ledger.status_calls.total() > 0)
            await eventually(lambda: [one.outcome for one in sandbox.ledger.webhook_attempts] == ["200"])
            await gateway.kill()
        sandbox.state.plan.clear()
        async with GatewayProcess(tmp_path, sandbox.url, **settings) as gateway, gateway.channel() as channel:
            waited = await stub(channel).WaitGeneration(
                pb.WaitGenerationRequest(id=lost.generation.id, timeout={"seconds": 30})
            )
            assert waited.generation.state == generation_pb2.GENERATION_STATE_COMPLETED
            assert waited.generation.upstream.last_change_source == generation_pb2.CHANGE_SOURCE_WEBHOOK
        assert len(sandbox.ledger.webhook_attempts) == 1
        assert len(sandbox.ledger.charges) == len(sandbox.ledger.submissions) == 1
