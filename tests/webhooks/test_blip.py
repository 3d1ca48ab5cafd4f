"""A webhook that was answered is not sent again, so a short 404 of its request must not lose it."""

from __future__ import annotations

from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.running import soul
from tests.webhooks.conftest import Start


async def test_a_temporary_404_does_not_lose_a_webhook(start: Start) -> None:
    running = await start(UPSTREAM_IDEMPOTENCY="off")
    running.plan(on="submit", kind="500", processed=True, prompt="an owl")
    running.plan(on="status", status=404, body={"detail": "Not found"}, times=3)
    stored = await running.submit(soul("an owl", wait_for=pb.WAIT_FOR_STORED))
    await running.until(stored.id, "UNCERTAIN")
    running.clock.advance(60)
    await running.until(stored.id, "COMPLETED")
    assert running.ledger.summary()["charge_count"] == 1
