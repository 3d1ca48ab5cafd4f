"""Many webhooks after an outage cause few status calls at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from gateway.generations.stores import Webhook
from gateway.generations.webhooks import inbox
from gateway.generations.webhooks.inbox import WebhookInbox
from gateway.higgsfield.client import HiggsfieldClient
from gateway.sandbox.faults import Fault
from tests.support.running import Start, eventually, soul

COUNT = 40
AT_ONCE = 5


class _StatusCalls:
    """Counts the status calls that webhooks make, without polls, and the most that ran at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = self.running = self.peak = 0
        self._for_webhooks = set[asyncio.Task[Any] | None]()
        self._look_up, self._status = WebhookInbox._look_up, HiggsfieldClient.status
        monkeypatch.setattr(WebhookInbox, "_look_up", lambda *arguments: self._counted_look_up(*arguments))
        monkeypatch.setattr(HiggsfieldClient, "status", lambda *arguments: self._counted_status(*arguments))

    async def _counted_look_up(self, *arguments: Any) -> Any:
        task = asyncio.current_task()
        self._for_webhooks.add(task)
        try:
            return await self._look_up(*arguments)
        finally:
            self._for_webhooks.remove(task)

    async def _counted_status(self, *arguments: Any) -> Any:
        if asyncio.current_task() not in self._for_webhooks:
            return await self._status(*arguments)
        self.count += 1
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            return await self._status(*arguments)
        finally:
            self.running -= 1


async def test_webhooks_that_are_left_from_an_outage_ask_a_few_at_a_time(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MAX_CONCURRENT_STATUS_CALLS", AT_ONCE)
    monkeypatch.setattr(inbox, "FIRST_PAUSE", 60.0)
    calls = _StatusCalls(monkeypatch)
    running = await start(concurrency_limit=COUNT, latency=0.05)
    ledger = running.sandbox.ledger
    running.sandbox.state.plan.add([Fault.parse({"on": "status", "kind": "503", "times": 1_000})])
    submitted = await asyncio.gather(*(running.submit(soul(f"fox {number}")) for number in range(COUNT)))
    await eventually(lambda: len(ledger.charges) == COUNT)
    running.clock.advance(60)
    await eventually(lambda: calls.count >= COUNT)
    assert calls.peak == AT_ONCE

    await running.stop_gateway()
    running.sandbox.state.plan.clear()
    calls.peak = 0
    await running.start_gateway()
    for one in submitted:
        await running.until(one.id, "COMPLETED")
    assert calls.peak <= AT_ONCE


async def test_a_start_begins_with_a_few_stored_webhooks_at_a_time(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "START_BATCH_SIZE", AT_ONCE)
    running = await start()
    statement = "INSERT INTO deliveries (generation_id, name, request_id, status, time) VALUES (?, '', '', '', 1)"
    names = [(f"g{number}",) for number in range(COUNT)]
    await running.database.writer.write(None, lambda connection: (connection.executemany(statement, names), None))
    await running.stop_gateway()
    turn = 0
    begun: Counter[int] = Counter()
    begin = WebhookInbox._start

    def counted(inbox: WebhookInbox, webhook: Webhook) -> None:
        begun[turn] += 1
        begin(inbox, webhook)

    async def count_turns() -> None:
        nonlocal turn
        while True:
            await asyncio.sleep(0)
            turn += 1

    monkeypatch.setattr(WebhookInbox, "_start", counted)
    counting = asyncio.create_task(count_turns())
    await running.start_gateway()
    counting.cancel()
    assert begun.total() == COUNT
    assert max(begun.values()) <= 2 * AT_ONCE  # the turns are counted by another task
    await running.metric_becomes("hfgateway_webhooks_gone_total", COUNT)
