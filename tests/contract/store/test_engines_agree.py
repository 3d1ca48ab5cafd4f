"""SQLite and PostgreSQL return the same for the same random operations, and show the same afterwards.

The other tests of this folder run on each engine alone. What they do not think of, the engines may do differently.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from gateway.generations.limits.model import (
    LimitExceededError,
    Limits,
    SubjectLimits,
    SubmissionTime,
    UnpricedError,
    Use,
)
from gateway.generations.model import Generation, Marker, Source, State
from gateway.generations.state import (
    Accepted,
    Ambiguous,
    CancelAsked,
    Expired,
    Marked,
    Missing,
    Observation,
    OwnerDied,
    Postponed,
    Refused,
    Reported,
    Unsent,
    adopted,
    advance,
)
from gateway.generations.stores import Claim, Claimed, Filter, RequestIdTakenError, Webhook
from gateway.store.store import Store
from tests.contract.store import examples
from tests.contract.store.pairs import ACCOUNTS, TENANTS, Pair

SEEDS = range(1, int(os.environ.get("ENGINE_SEEDS", "2")) + 1)
"""The default keeps the everyday suite short."""
OPERATIONS, COMPARED_EVERY = 250, 10
DAYS = ("2026-01-30", "2026-01-31", "2026-02-01", "2026-02-02")
KEYS = ("k1", "k2", "")
SUBJECTS = ("tenant", "key:k1", "label:a=b")
ENDS = (State.COMPLETED, State.FAILED, State.NSFW, State.CANCELED)

pytestmark = pytest.mark.toolchain("postgres")


class Generations(Pair):
    """Two stores with the same generations."""

    refusals = (LimitExceededError, RequestIdTakenError, UnpricedError)

    def __init__(self, stores: tuple[Store, Store], seed: int) -> None:
        super().__init__(stores, seed)
        self.keys: list[str] = []
        self.day = 0
        self.reached: set[State] = set()

    def one(self) -> Generation:
        return self.live[self.pick.choice([*self.live])]

    def request_id(self) -> str:
        """Return one of few request ids, so that some belong to another generation already."""
        return f"request {self.pick.randrange(60)}"

    async def submit(self) -> None:
        if self.pick.random() < 0.1:
            self.day = min(self.day + 1, len(DAYS) - 1)
        reused = self.keys and self.pick.random() < 0.2
        key = self.pick.choice(self.keys) if reused else f"key {len(self.keys)}"
        self.keys.append(key)
        at = self.moment()
        generation = examples.generation(
            tenant=self.pick.choice(TENANTS),
            idempotency_key=key,
            account=self.pick.choice(ACCOUNTS),
            key_id=self.pick.choice(KEYS),
            labels=self.pick.choice([{}, {"a": "b"}]),
            price=self.pick.choice([None, 0, 5, 1000]),
            created_at=at.steady,
            create_time=at.wall,
        )
        # "" if Higgsfield's time is not known, as after a start.
        day = self.pick.choice(["", DAYS[self.day], DAYS[self.day], DAYS[max(self.day - 1, 0)]])
        claim = examples.claim(generation, fingerprint=self.pick.choice([b"x", b"y"]))
        await self._claim(replace(claim, submission_time=SubmissionTime(day, int(at.steady // 60))))

    async def adopt(self) -> None:
        at, request_id = self.moment(), self.request_id()
        spec = examples.generation(
            tenant=self.pick.choice(TENANTS),
            idempotency_key=f"adopted {request_id}",
            account=self.pick.choice(ACCOUNTS),
            adopted=True,
            created_at=at.steady,
            create_time=at.wall,
        ).spec
        report = examples.report(request_id, self.pick.choice([State.QUEUED, State.IN_PROGRESS, State.COMPLETED]))
        await self._claim(Claim(adopted(spec, report, at), None, request_id.encode()))

    async def _claim(self, claim: Claim) -> None:
        claimed = await self.both(lambda store: store.claims.claim(claim))
        if isinstance(claimed, Claimed) and claimed.new:
            self.live[claim.generation.id] = claim.generation

    async def step(self) -> None:
        before = self.one()
        after = advance(before, self._observation(before), self.moment())
        if after is None:
            return
        outdated = replace(before, version=before.version + 5) if self.pick.random() < 0.05 else before
        if await self.both(lambda store: store.generations.save(outdated, after)) is True:
            self.live[after.id] = after
            self.reached.add(after.state)

    def _observation(self, before: Generation) -> Observation:
        request_id, marker = before.request_id or self.request_id(), before.marker or Marker("owner", 1)
        source, failure = self.pick.choice([Source.POLL, Source.WEBHOOK]), examples.REFUSAL
        queued = examples.report(request_id, State.QUEUED)
        ended = examples.report(request_id, self.pick.choice([State.IN_PROGRESS, *ENDS]))
        return self.pick.choice(
            [
                Marked("owner"),
                Marked("owner"),
                Unsent(marker),
                Accepted(queued),
                Accepted(queued),
                Accepted(examples.report(self.request_id(), State.QUEUED), Source.WEBHOOK),
                Refused(marker, failure),
                Ambiguous(marker, failure, 1.0),
                OwnerDied(marker, 1.0),
                Postponed(marker, failure, 1.0, self.pick.random() < 0.5),
                Reported(ended, source, 2.5),
                Reported(ended, source, 2.5),
                CancelAsked(),
                Expired(failure),
                Missing(),
            ]
        )

    async def delete(self) -> None:
        generation = self.one()
        if generation.done:
            at_upstream, steady = bool(generation.request_id), self.moment().steady
            await self.both(lambda store: store.deletions.delete(generation, at_upstream=at_upstream, steady=steady))
            del self.live[generation.id]

    async def prune(self) -> None:
        ended, keys = (self.moment(self.pick.choice([60, 600, 2000])).steady for _ in range(2))
        await self.both(lambda store: store.deletions.prunable(ended, keys))
        await self.both(lambda store: store.deletions.prune(ended, keys))
        for name in [*self.live]:
            if await self.both(lambda store, name=name: store.generations.any(name)) is None:
                del self.live[name]

    async def limit(self) -> None:
        limits = self.pick.choice(
            [
                Limits(),
                Limits(credits_per_day=3000),
                Limits(credits_per_month=5000, in_flight=20),
                Limits(in_flight=self.pick.randrange(1, 30)),
                Limits(submissions_per_minute=3),
            ]
        )
        given = self.pick.choice(TENANTS), self.pick.choice(SUBJECTS), limits, self.pick.choice(["", DAYS[self.day]])
        await self.both(lambda store: store.limits.set_limits(*given))

    async def webhook(self) -> None:
        webhook = Webhook(self.one().id, f"name {self.pick.randrange(4)}", self.request_id(), "completed")
        wall = self.moment().wall
        await self.both(lambda store: store.webhooks.store_webhook(webhook, wall))

    async def process(self) -> None:
        waiting = sorted(await self.stores[0].webhooks.unprocessed_webhooks(), key=repr)
        if waiting:
            webhook, again = self.pick.choice(waiting), self.pick.random() < 0.3
            await self.both(lambda store: store.webhooks.finish_webhook(webhook, again=again))

    async def compare(self) -> None:
        """Compare what both stores show."""
        assert await seen(self.stores[0]) == await seen(self.stores[1])
        for name in self.live:
            await self.both(lambda store, name=name: store.change_log.history(name, 0, 100))
            await self.both(lambda store, name=name: store.generations.request(name))


async def seen(store: Store) -> dict[str, Any]:
    """Return all that a store shows, apart from orders that mean nothing."""
    content: dict[str, Any] = {
        "limits": sorted(map(repr, await store.limits.limits())),
        "removals": sorted(map(repr, await store.deletions.removals())),
        "newest time": await store.times.newest_steady(),
        "unfinished": [*await store.generations.unfinished()],
        "strays": sorted(map(repr, await store.generations.ended_with_stray())),
        "without repeats": {*await store.accounts.accounts_without_repeats()},
        "webhooks": sorted(map(repr, await store.webhooks.unprocessed_webhooks())),
    }
    for tenant in TENANTS:
        content[f"changes of {tenant}"] = [*await store.change_log.changes(tenant, 0, 1000)]
        content[f"horizon of {tenant}"] = await store.change_log.horizon(tenant)
        content[f"list of {tenant}"] = [*(await store.generations.page(tenant, Filter(), None, 500))[0]]
        uses = [
            SubjectLimits(tenant, one, Limits(), Use(day=day)) for one in SUBJECTS for day in ("", DAYS[0], DAYS[2])
        ]
        content[f"uncertain credits of {tenant}"] = await store.limits.uncertain_credits(uses)
    return content


@pytest.mark.parametrize("seed", SEEDS)
async def test_both_engines_do_the_same(stores: tuple[Store, Store], seed: int) -> None:
    pair = Generations(stores, seed)
    often = {pair.step: 25.0, pair.submit: 8, pair.adopt: 2, pair.limit: 2, pair.webhook: 2, pair.delete: 2}
    seldom = {pair.process: 1, pair.prune: 0.3}
    for _ in range(OPERATIONS // COMPARED_EVERY):
        await pair.run(often | seldom, COMPARED_EVERY)
        await pair.compare()
    assert pair.refused > 0
    assert State.QUEUED in pair.reached
    assert pair.reached & {*ENDS}
