"""Many webhooks after an outage cause few status calls at once."""

from __future__ import annotations

import asyncio

import pytest

from gateway.generations import webhook_inbox
from gateway.sandbox.faults import Fault
from tests.support.running import Start, eventually, soul

COUNT = 40
AT_ONCE = 5
OTHERS = 5
"""Calls that may run beside them: a poll, and the check of the credentials at a start."""


async def test_webhooks_that_are_left_from_an_outage_ask_a_few_at_a_time(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_inbox, "ASKED_AT_ONCE", AT_ONCE)
    monkeypatch.setattr(webhook_inbox, "FIRST_PAUSE", 60.0)
    running = await start(concurrency_limit=COUNT, latency=0.05)
    ledger = running.sandbox.ledger
    running.sandbox.state.plan.add([Fault.parse({"on": "status", "kind": "503", "times": 1_000})])
    submitted = await asyncio.gather(*(running.submit(soul(f"fox {number}")) for number in range(COUNT)))
    await eventually(lambda: len(ledger.charges) == COUNT)
    ledger.peak_calls = 0
    running.clock.advance(60)
    await eventually(lambda: ledger.status_calls.total() >= COUNT)
    assert ledger.peak_calls <= AT_ONCE + OTHERS

    await running.stop_gateway()
    running.sandbox.state.plan.clear()
    ledger.peak_calls = 0
    await running.start_gateway()
    for one in submitted:
        await running.until(one.id, "COMPLETED")
    assert ledger.peak_calls <= AT_ONCE + OTHERS
