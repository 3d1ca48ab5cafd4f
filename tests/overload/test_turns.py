"""Places in a pool: limits on every level, turns between callers, and no place lost when a caller leaves."""

from __future__ import annotations

import asyncio
import random

import pytest

from gateway.access.identity import Identity
from gateway.rpc.limits import call_limits
from gateway.rpc.limits.call_limits import Bounds, Holder, Pool, WebhookLimit

FOX, WOLF = Identity("fox"), Identity("wolf")
TOKEN = Identity("fox", token="browser")
MANY = Bounds(token=100, tenant=100, total=100)


async def settled() -> None:
    """Let all ready tasks run."""
    for _ in range(5):
        await asyncio.sleep(0)


class Callers:
    """Calls that enter a pool, in the order in which they get a place."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.entered: list[str] = []
        self.holders: dict[str, Holder] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def call(self, name: str, identity: Identity) -> None:
        self.tasks[name] = asyncio.create_task(self._enter(name, identity))
        await settled()

    async def _enter(self, name: str, identity: Identity) -> None:
        holder = self.pool.take(identity) or await self.pool.wait(identity)
        assert holder is not None
        self.holders[name] = holder
        self.entered.append(name)

    async def end(self, name: str) -> None:
        self.pool.leave(self.holders.pop(name))
        await settled()

    async def give_up(self, name: str) -> None:
        self.tasks[name].cancel()
        await settled()


async def test_calls_get_places_up_to_the_limit_of_each_level() -> None:
    callers = Callers(Pool(Bounds(token=1, tenant=2, total=3), MANY))
    for name, identity in {"t1": TOKEN, "t2": TOKEN, "f1": FOX, "f2": FOX, "w1": WOLF, "w2": WOLF}.items():
        await callers.call(name, identity)
    assert callers.entered == ["t1", "f1", "w1"]
    assert callers.pool.total.queued == 3


async def test_callers_take_turns_regardless_of_their_number_of_calls() -> None:
    callers = Callers(Pool(Bounds(token=2, tenant=2, total=2), MANY))
    for number in range(6):
        await callers.call(f"f{number}", FOX)
    for number in range(2):
        await callers.call(f"w{number}", WOLF)
    while callers.holders:
        await callers.end(next(iter(callers.holders)))
    assert callers.entered == ["f0", "f1", "f2", "w0", "f3", "w1", "f4", "f5"]


async def test_a_tenant_and_its_tokens_take_turns() -> None:
    callers = Callers(Pool(Bounds(token=1, tenant=1, total=9), MANY))
    for number in range(3):
        await callers.call(f"f{number}", FOX)
    for number in range(2):
        await callers.call(f"t{number}", TOKEN)
    for _ in range(4):
        await callers.end(callers.entered[-1])
    assert callers.entered == ["f0", "f1", "t0", "f2", "t1"]


async def test_a_caller_at_its_limit_does_not_block_others() -> None:
    callers = Callers(Pool(Bounds(token=1, tenant=2, total=3), MANY))
    for number in range(5):
        await callers.call(f"f{number}", FOX)
    await callers.call("w0", WOLF)
    await callers.call("w1", WOLF)
    await callers.end("w0")
    assert callers.entered == ["f0", "f1", "w0", "w1"]


async def test_the_queue_of_each_level_is_limited() -> None:
    callers = Callers(Pool(Bounds(1, 1, 1), Bounds(token=1, tenant=2, total=3)))
    for name, identity in {"f0": FOX, "t1": TOKEN, "f1": FOX, "w1": WOLF}.items():
        await callers.call(name, identity)
    for identity in (TOKEN, FOX, WOLF):
        assert callers.pool.take(identity) is None
        assert await callers.pool.wait(identity) is None
    assert callers.pool.total.queued == 3


async def test_a_refused_watch_token_is_forgotten() -> None:
    callers = Callers(Pool(Bounds(1, 1, 1), Bounds(1, 0, 0)))
    await callers.call("f0", FOX)
    of_token = callers.pool.holder(TOKEN)
    assert await callers.pool.wait(TOKEN) is None
    assert callers.pool.holder(TOKEN) is not of_token


async def test_a_watch_token_that_gets_no_places_is_forgotten() -> None:
    pool = Pool(Bounds(1, 1, 1), MANY)
    of_token = pool.holder(TOKEN)
    assert pool.try_take(TOKEN, 2) is None
    assert pool.holder(TOKEN) is not of_token


async def test_a_watch_token_that_leaves_the_queue_is_forgotten() -> None:
    callers = Callers(Pool(Bounds(1, 1, 1), MANY))
    await callers.call("f0", FOX)
    await callers.call("t1", TOKEN)
    of_token = callers.pool.holder(TOKEN)
    assert of_token.queued == 1
    await callers.give_up("t1")
    assert callers.pool.holder(TOKEN) is not of_token


async def test_a_caller_whose_turn_comes_as_it_leaves_is_forgotten() -> None:
    callers = Callers(Pool(Bounds(1, 1, 1), MANY))
    await callers.call("f0", FOX)
    await callers.call("w1", WOLF)
    callers.tasks["w1"].cancel()
    callers.pool.leave(callers.holders.pop("f0"))
    await settled()
    assert callers.pool.total.children == {}


@pytest.mark.parametrize("moment", ["while it queues", "when its turn has come"])
async def test_a_canceled_call_holds_no_place(moment: str) -> None:
    callers = Callers(Pool(Bounds(1, 1, 1), MANY))
    for name in ("f0", "f1", "f2"):
        await callers.call(name, FOX)
    if moment == "while it queues":
        await callers.give_up("f1")
        await callers.end("f0")
    else:
        callers.pool.leave(callers.holders.pop("f0"))
        await callers.give_up("f1")
    assert callers.entered == ["f0", "f2"]
    await callers.end("f2")
    assert (callers.pool.total.held, callers.pool.total.queued) == (0, 0)


@pytest.mark.parametrize("seed", range(20))
async def test_no_sequence_of_calls_loses_or_duplicates_a_place(seed: int) -> None:
    source = random.Random(seed)
    pool = Pool(Bounds(token=2, tenant=4, total=6), Bounds(token=3, tenant=8, total=12))
    identities = [Identity(tenant, token=token) for tenant in "abc" for token in ("", f"{tenant}1", f"{tenant}2")]
    held: list[Holder] = []
    queued: list[asyncio.Task[None]] = []

    async def enter(identity: Identity) -> None:
        holder = pool.take(identity) or await pool.wait(identity)
        if holder is not None:
            held.append(holder)

    def check(holder: Holder) -> None:
        assert 0 <= holder.held <= holder.max_places
        assert 0 <= holder.queued <= holder.max_queued
        assert holder is pool.total or holder.held or holder.queued, "a caller without calls is not forgotten"
        for child in holder.children.values():
            check(child)

    for _ in range(500):
        step = source.random()
        if step < 0.5:
            queued.append(asyncio.create_task(enter(source.choice(identities))))
        elif step < 0.9 and held:
            pool.leave(held.pop(source.randrange(len(held))))
        elif queued:
            queued.pop(source.randrange(len(queued))).cancel()
        if source.random() < 0.7:
            await settled()
            assert pool.total.held == len(held)
            assert pool.total.next() is None, "a call queues although there is a place for it"
        check(pool.total)
    while queued:
        queued.pop().cancel()
    await settled()
    while held:
        pool.leave(held.pop())
    assert (pool.total.held, pool.total.queued, list(pool.total.turns)) == (0, 0, [])
    assert pool.total.children == {}


def test_webhooks_are_limited_in_total_and_for_each_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_limits, "MAX_WEBHOOKS", 3)
    monkeypatch.setattr(call_limits, "MAX_WEBHOOKS_PER_TOKEN", 2)
    refused: list[None] = []
    limit = WebhookLimit(lambda: refused.append(None))
    assert [limit.enter(name) for name in ("a", "a", "a", "b", "c")] == [True, True, False, True, False]
    limit.leave("a")
    assert [limit.enter(name) for name in ("c", "a")] == [True, False]
    assert len(refused) == 3


def test_a_generation_without_webhooks_is_forgotten() -> None:
    limit = WebhookLimit(lambda: None)
    assert limit.enter("one")
    assert limit.enter("one")
    limit.leave("one")
    assert limit._of == {"one": 1}
    limit.leave("one")
    assert limit._of == {}
