"""Webhooks of several accounts: one that hangs delays no other, and repeats stay off after a rotation."""

from __future__ import annotations

import asyncio

import pytest

from gateway.generations import due_steps
from gateway.generations.webhooks import inbox
from gateway.sandbox.faults import Fault
from hfgateway.v1.generation_service_pb2 import WAIT_FOR_STORED, GetGenerationRequest
from tests.accounts.conftest import ADS, FILMS, NEWER, accepted, add, assign, caller, finish, rotate, submit
from tests.support.running import Start, eventually, name_of, public_url, soul
from tests.support.webhooks import path_of, post, webhook_body


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


async def test_repeats_stay_off_after_a_rotation(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account does not honour idempotency keys, whatever its credentials are."""
    monkeypatch.setattr(due_steps, "PAUSE_AFTER_WHOLE_ERROR", 0.0)
    running = await start(POLL_MIN=300, POLL_MAX=300, honour_keys=False, **public_url())
    await add(running, "films", FILMS)
    await assign(running, "shop", films=1)
    shop = await caller(running, "shop")
    running.plan(on="submit", kind="500", processed=True)
    with running.held(on="submit"):
        await submit(shop, soul("a fox", wait_for=WAIT_FOR_STORED))
        await eventually(lambda: len(running.ledger.charges) == 2)
        await post(path_of(running, "a fox"), webhook_body(running.ledger.charges[0].request_id))
        await running.metric_becomes("hfgateway_webhooks_bound_total", 1)
    await eventually(lambda: len(running.ledger.cancels) == 1)
    running.sandbox.state.accounts[NEWER] = running.sandbox.state.accounts[FILMS]  # the new key of the same account
    await rotate(running, "films", NEWER)
    running.plan(on="submit", kind="500", processed=True)
    lost = await submit(shop, soul("an owl", wait_for=WAIT_FOR_STORED))
    await eventually(lambda: len(running.ledger.charges) == 3)
    await accepted(shop, "a hen")
    shown = (await shop.call("GetGeneration", GetGenerationRequest(id=lost.id))).generation
    assert (name_of(shown), len(running.ledger.charges)) == ("UNCERTAIN", 4)
