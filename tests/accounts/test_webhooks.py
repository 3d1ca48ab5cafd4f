"""Webhooks of one account are processed while the status calls of another one hang."""

from __future__ import annotations

import asyncio

import pytest

from gateway.generations.webhooks import inbox
from gateway.sandbox.faults import Fault
from tests.accounts.conftest import ADS, FILMS, accepted, add, assign, caller, finish
from tests.support.running import Start, eventually, public_url


async def test_webhooks_of_an_account_do_not_wait_for_those_of_another_one(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MAX_CONCURRENT_STATUS_CALLS", 1)
    running = await start(POLL_MIN=300, POLL_MAX=300, **public_url())
    for name, credentials in (("films", FILMS), ("ads", ADS)):
        await add(running, name, credentials)
        await assign(running, name, **{name: 1})
    films, ads = await caller(running, "films"), await caller(running, "ads")
    await accepted(films, "a fox")
    running.sandbox.state.plan.add([Fault.parse({"on": "status", "kind": "hang", "times": 10, "prompt": "a fox"})])
    running.clock.advance(60)
    await eventually(lambda: running.ledger.status_calls.total() == 1)
    owl = await accepted(ads, "an owl")
    async with asyncio.timeout(30):  # the call that hangs fails after a minute
        assert await finish(running, ads, owl.id) == "COMPLETED"
