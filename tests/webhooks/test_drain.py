"""A webhook that arrives while the gateway stops."""

import asyncio
from types import SimpleNamespace
from typing import Any

from gateway.generations.clock import SystemClock
from gateway.generations.model import GenerationId, RequestId
from gateway.generations.stores import Webhook, WebhookReceipt
from gateway.generations.webhooks.inbox import WebhookInbox
from tests.support.running import eventually, soul
from tests.webhooks.conftest import Start

WEBHOOK = Webhook(GenerationId("id"), "name", RequestId("request"), "completed")


class SlowStore:
    """A store with one slow commit. It records the calls after its close."""

    def __init__(self) -> None:
        self.asked, self.commit, self.closed = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.called_after_close: list[str] = []

    async def store_webhook(self, _webhook: Webhook, _wall: float) -> WebhookReceipt:
        self.asked.set()
        await self.commit.wait()
        return WebhookReceipt.KEPT

    async def any(self, _generation_id: str) -> None:
        await self.closed.wait()

    async def finish_webhook(self, webhook: Webhook, *, again: bool) -> None:
        if self.closed.is_set():
            self.called_after_close.append(f"{webhook.name} {again}")


async def test_a_webhook_that_is_stored_during_a_drain_is_not_processed_after_it() -> None:
    store: Any = SlowStore()
    unused: Any = SimpleNamespace(entries={}, note=lambda *_: None)
    inbox = WebhookInbox(
        webhooks=store, generations=store, upstream=unused, clock=SystemClock(), feed=unused, service=unused,
        sender=unused, reliability=unused, recorder=unused,
    )  # fmt: skip
    async with asyncio.timeout(10):
        receiving = asyncio.ensure_future(inbox.receive(WEBHOOK))
        await store.asked.wait()
        draining = asyncio.ensure_future(inbox.drained())
        await asyncio.sleep(0)  # the drain begins
        store.commit.set()
        await draining
        store.closed.set()
        assert await receiving, "it was stored, so Higgsfield gets a 200"
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)
    assert store.called_after_close == []


async def test_a_stop_does_not_leave_the_processing_of_a_webhook_to_go_on(start: Start) -> None:
    running = await start()
    submitted = await running.submit(soul("a fox"))
    processing = running.gateway._core.webhook_inbox._tasks
    with running.held(on="status"):
        running.clock.advance(60)
        await eventually(lambda: bool(processing))
        await running.stop_gateway()
        assert not processing
    await running.start_gateway()
    await running.until(submitted.id, "COMPLETED")
