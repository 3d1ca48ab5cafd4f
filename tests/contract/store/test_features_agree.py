"""SQLite and PostgreSQL return the same for the same random operations of the ports of callbacks, agents and others.

`test_engines_agree.py` does that for generations.
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from gateway.access.keys import ApiKey
from gateway.agents.model import SESSION, KeyRecord
from gateway.archive.model import ArchivedFile, Copy, Part
from gateway.callbacks.model import Callback, Delivery, DeliveryState, Problem, Secret
from gateway.characters.model import Creation, Removal
from gateway.characters.ports import CharacterTakenError
from gateway.generations.inputs import SoulVersion
from gateway.generations.limits.usage import UsageQuery, UsageRow
from gateway.generations.model import Event, Generation, State
from gateway.generations.stores import Correction, Filter, StoredCredentials, StoreError
from gateway.store.store import Store
from tests.contract.store import examples
from tests.contract.store.pairs import ACCOUNTS, TENANTS, Pair

SEEDS = range(1, int(os.environ.get("ENGINE_SEEDS", "2")) + 1)
"""The default keeps the everyday suite short."""
OPERATIONS = 400
ARCHIVES = ("file:///a", "file:///b")
NEWEST = (1e18, "z", 1_000_000)

pytestmark = pytest.mark.toolchain("postgres")


class Features(Pair):
    """Two stores, and what was stored in them."""

    refusals = (CharacterTakenError, StoreError)

    def __init__(self, stores: tuple[Store, Store], seed: int) -> None:
        super().__init__(stores, seed)
        self.records: list[KeyRecord] = []
        self.creations: list[Creation] = []
        self.keys: list[ApiKey] = []

    async def submit(self) -> None:
        """Store a generation that has ended, or has just begun."""
        generation = examples.generation(
            tenant=self.pick.choice(TENANTS),
            labels=self.pick.choice([{}, {"a": "b"}]),
            key_id=self.pick.choice(["k1", ""]),
            price=self.pick.choice([None, 5]),
            created_at=self.moment().steady,
            create_time=self.moment().wall,
        )
        await self.both(lambda store: store.claims.claim(examples.claim(generation)))
        self.live[generation.id] = generation
        if self.pick.random() < 0.7:
            state = self.pick.choice([State.COMPLETED, State.FAILED, State.IN_PROGRESS])
            await self._save(generation, examples.marked(generation))
            await self._save(self.live[generation.id], examples.accepted(self.live[generation.id], generation.id))
            await self._save(self.live[generation.id], examples.reported(self.live[generation.id], state))

    async def _save(self, before: Generation, after: Generation) -> None:
        assert await self.both(lambda store: store.generations.save(before, after)) is True
        self.live[after.id] = after

    async def delete(self) -> None:
        ended = [one for one in self.live.values() if one.done]
        if ended:
            one, steady = self.pick.choice(ended), self.moment().steady
            await self.both(lambda store: store.deletions.delete(one, at_upstream=False, steady=steady))
            del self.live[one.id]

    async def agents(self) -> None:
        pick, steady = self.pick, self.moment().steady
        tenant, key = pick.choice(TENANTS), f"key {pick.randrange(8)}"
        session, message = f"session {pick.randrange(4)}", f"message {pick.randrange(12)}"
        choice = pick.choice(["session", "mark", "mark", "bind", "bind", "release", "media", "prune"])
        record = KeyRecord(tenant, key, pick.choice([b"a", b"b"]), session, pick.choice(["", message]), None, steady)
        if choice == "session":
            record = replace(record, fingerprint=SESSION, after="")
            if await self.both(lambda store: store.agents.add_agent_session(record)):
                self.records.append(record)
        elif choice == "mark":
            if await self.both(lambda store: store.agents.mark_agent_message(record)):
                self.records.append(record)
        elif choice == "media":
            await self.both(lambda store: store.agents.add_agent_media(tenant, key, steady))
        elif choice == "prune":
            before = self.moment(pick.choice([60, 2000])).steady
            await self.both(lambda store: store.agents.prunable(before))
            await self.both(lambda store: store.agents.prune(before))
        elif self.records:
            known = pick.choice(self.records)
            if choice == "bind":
                await self.both(lambda store: store.agents.bind_agent_message(known, message))
            else:
                await self.both(lambda store: store.agents.release_agent_key(known))
        await self.both(lambda store: store.agents.agent_key(tenant, key))
        await self.both(lambda store: store.agents.has_agent_media(tenant, key))
        await self.both(lambda store: store.agents.agent_tenant(session))
        await self.both(lambda store: store.agents.bound_agent_messages(session))
        await self.both(lambda store: store.agents.newest_agent_message(session))

    async def archive(self) -> None:
        pick, now, archive = self.pick, self.moment().steady, self.pick.choice(ARCHIVES)
        due = await self.both_list(lambda store: store.copies.due_copies(archive, "", now, 3600.0, 1000))
        choice = pick.choice(["plan", "plan", "record", "record", "postpone", "forget", "reassign"])
        if choice == "plan" and self.live:
            copies = [self._copy(archive) for _ in range(pick.randrange(1, 4))]
            await self.both(lambda store: store.copies.plan_copies(copies, now))
        elif choice == "reassign":
            await self.both(lambda store: store.copies.reassign_copies(archive))
        elif due:
            copy, later, give_up = pick.choice(due), now + pick.choice([5, 100]), pick.random() < 0.2
            if choice == "record":
                file = ArchivedFile("https://archive.example/a", 3, "ab")
                await self.both(lambda store: store.copies.record_copy(copy, file))
            elif choice == "postpone":
                await self.both(lambda store: store.copies.postpone_copy(copy, later, give_up=give_up))
            elif choice == "forget" and copy.remove:
                await self.both(lambda store: store.copies.forget_copy(copy))
        await self.both(lambda store: store.copies.archived([*self.live]))
        await self.both(lambda store: store.copies.copies_waiting())
        await self.both(lambda store: store.copies.copies_failing())
        await self.both(lambda store: store.copies.next_copy(archive, now))
        after, ended_after = pick.choice(["", "one", "p", "zero"]), self.moment(pick.choice([10, 1e6])).steady

        async def tenants_in_turn(store: Store) -> list[str]:
            return [copy.tenant for copy in await store.copies.due_copies(archive, after, now, 3600.0, 5)]

        async def without_copies(store: Store) -> list[Generation]:
            return [one async for page in store.copies.without_copies(ended_after) for one in page]

        await self.both(tenants_in_turn)
        await self.both(without_copies)

    def _copy(self, archive: str) -> Copy:
        one, part = self.pick.choice([*self.live.values()]), Part(self.pick.randrange(2), self.pick.random() < 0.3)
        key = f"{one.tenant}/{one.id}/{part}"
        return Copy(one.id, part, "https://source.example/a", key, "image/png", archive, self.moment().steady + 1000)

    async def callbacks(self) -> None:
        pick, moment = self.pick, self.moment()
        callbacks = await self.both(lambda store: store.callbacks.callbacks())
        choice = pick.choice(["change", "delete", "take", "take", "attempt", "attempt", "attempt", "other", "prune"])
        if not callbacks or pick.random() < 0.1:
            name = f"callback {pick.randrange(10**6)}"
            added = Callback(
                name, pick.choice(TENANTS), f"https://receiver.example/{name}", Filter(labels={"a": "b"}),
                pick.random() < 0.5, f"key {pick.randrange(6)}", b"f", moment.wall, 0, secrets=(Secret("whsec_1"),),
            )  # fmt: skip
            await self.both(lambda store: store.callbacks.add_callback(added))
        elif choice == "prune":
            await self.both(lambda store: store.callbacks.prune_deliveries(self.moment(600).wall))
        else:
            await self._change(pick.choice(callbacks), choice)

    async def _change(self, before: Callback, choice: str) -> None:
        pick, moment = self.pick, self.moment()
        after = self._later(before)
        pending = await self.both_list(lambda store: store.callbacks.pending_deliveries(before.id))
        if choice == "change":
            due = pick.choice([None, moment.steady])
            await self.both(lambda store: store.callbacks.change_callback(after, due))
        elif choice == "delete" and pick.random() < 0.3:
            await self.both(lambda store: store.callbacks.delete_callback(before.id))
        elif choice == "take" and self.live:
            names = [pick.choice([*self.live]) for _ in range(pick.randrange(4))]
            new = [Delivery(before.id, name, pick.randrange(1, 4), moment.wall, moment.steady + 50) for name in names]
            await self.both(lambda store: store.callbacks.take_deliveries(after, new))
        elif choice == "attempt" and pending:
            tried = self._attempted(pick.choice(pending))
            recovered = moment.steady if tried.state is DeliveryState.DELIVERED else None
            result = pick.choice([before, after])
            await self.both(lambda store: store.callbacks.delivery_attempted(tried, result, before, recovered))
        failed_only, limit = pick.random() < 0.5, pick.choice([1, 3, 50])
        for place in (NEWEST, (self.moment(60).wall, "", 2)):
            listed = await self.both(
                lambda store, place=place: store.callbacks.deliveries(
                    before.id, "", failed_only=failed_only, before=place, limit=limit
                )
            )
        if choice == "other" and listed:
            one = pick.choice(listed)
            if pick.random() < 0.5:
                await self.both(lambda store: store.callbacks.drop_delivery(one))
            else:
                again = replace(one, state=DeliveryState.PENDING, next_at=moment.steady)
                await self.both(lambda store: store.callbacks.redeliver(again))

    def _later(self, before: Callback) -> Callback:
        moment, pick = self.moment(), self.pick
        secrets = (Secret("whsec_2"), Secret("whsec_1", moment.steady + 90))
        return replace(
            before,
            paused=pick.random() < 0.5,
            position=before.position + pick.randrange(1, 3),
            streak=pick.randrange(3),
            held_until=moment.steady + 50,
            problem=pick.choice([None, Problem.TIMEOUT]),
            problem_time=pick.choice([None, moment.wall]),
            failing_since=pick.choice([None, moment.steady]),
            secrets=secrets[: pick.randrange(1, 3)],
        )

    def _attempted(self, before: Delivery) -> Delivery:
        moment, pick = self.moment(), self.pick
        return replace(
            before,
            attempts=before.attempts + 1,
            refusals=before.refusals + 1,
            state=pick.choice([*DeliveryState, DeliveryState.PENDING]),
            next_at=moment.steady + 9,
            problem=pick.choice([None, Problem.STATUS, Problem.CONNECTION]),
            http_status=pick.choice([0, 400, 503]),
            last_attempt_time=moment.wall,
        )

    async def characters(self) -> None:
        pick = self.pick
        choice, account = pick.choice(["claim", "bind", "free", "remove"]), pick.choice(ACCOUNTS)
        character = f"character {pick.randrange(3)}"
        if choice == "remove":
            removal = Removal(account, character, pick.choice(TENANTS), pick.random() < 0.5)
            await self.both(lambda store: store.characters.remove(removal))
        elif choice == "claim" or not self.creations:
            new = Creation(
                f"{len(self.creations):04}", pick.choice(TENANTS), f"key {pick.randrange(5)}", b"f", account, "Anna",
                SoulVersion.V2, frozenset({"x"}), 1.0, self.moment().steady,
            )  # fmt: skip
            known = pick.choice([new, *self.creations[-2:]])  # a claim may be repeated
            await self.both(lambda store: store.characters.claim(known))
            self.creations.append(known)
        else:
            one = pick.choice(self.creations)
            if choice == "bind":
                await self.both(lambda store: store.characters.bind(one.id, character))
            else:
                await self.both(lambda store: store.characters.free(one.id))
        await self.both_list(lambda store: store.characters.creations())
        await self.both_list(lambda store: store.characters.removals())

    async def access(self) -> None:
        pick, wall = self.pick, self.moment().wall
        if not self.keys or pick.random() < 0.4:
            name = f"{len(self.keys)}"
            self.keys.append(ApiKey(name, pick.choice(TENANTS), "name", name.encode(), wall))
            await self.both(lambda store: store.keys.add_api_key(self.keys[-1]))
        key = pick.choice(self.keys)
        if pick.random() < 0.5:
            await self.both(lambda store: store.keys.revoke_api_key(key, wall))
        else:
            await self.both(lambda store: store.keys.expire_api_key(key, wall))
        await self.both_list(lambda store: store.keys.api_keys())

    async def accounts(self) -> None:
        pick = self.pick
        name, account, tenant = f"credentials {pick.randrange(6)}", pick.choice(ACCOUNTS), pick.choice(TENANTS)
        choice = pick.choice(["save", "save", "seal", "delete", "pool", "pool"])
        if choice == "save":
            saved = StoredCredentials(name, account, pick.choice(["", tenant]), b"sealed", self.moment().wall)
            await self.both(lambda store: store.accounts.save_credentials(saved))
        elif choice == "seal":
            sealed = pick.choice([b"", b"again"])
            await self.both(lambda store: store.accounts.seal_credentials(name, sealed))
        elif choice == "delete":
            await self.both(lambda store: store.accounts.delete_account(account))
        else:
            pool = pick.choice([{}, {"account 1": 1}, {"account 2": 3, "account 1": 1}])
            await self.both(lambda store: store.accounts.set_pool(tenant, pool))

        async def pools(store: Store) -> list[tuple[str, list[tuple[str, int]]]]:
            return sorted((tenant, [*pool.items()]) for tenant, pool in (await store.accounts.pools()).items())

        await self.both(pools)
        await self.both_list(lambda store: store.accounts.credentials())

    async def times(self) -> None:
        pick = self.pick
        known = [one.since for one in await self.both_list(lambda store: store.times.corrections())]
        forget = pick.sample(known, min(len(known), pick.randrange(3)))
        correction = Correction(self.moment().steady, pick.choice([-3.0, 0.5, 100.0]), pick.random() < 0.5)
        await self.both(lambda store: store.times.correct(correction, forget))

    async def events(self) -> None:
        names = [self.pick.choice([*self.live, "gone"]) for _ in range(3)]
        events = [(name, Event(self.moment(self.pick.randrange(3)).wall, "poll")) for name in names]
        await self.both(lambda store: store.events.record(events))
        for name in {*names}:
            await self.both(lambda store, name=name: store.events.events(name))

    async def lists(self) -> None:
        """Read lists with filters, page by page, and usage."""
        pick = self.pick
        some = frozenset(pick.sample([*self.live], min(4, len(self.live))))
        wanted = Filter(
            ids=pick.choice([None, None, some]),
            request_ids=pick.choice([frozenset(), some]),
            states=pick.choice([frozenset(), frozenset(pick.sample([*State], 3))]),
            labels=pick.choice([{}, {"a": "b"}, {"a": "c"}]),
            created_after=pick.choice([None, self.moment(600).wall]),
            created_before=pick.choice([None, self.moment(60).wall]),
            within=pick.choice([None, Filter(labels={"a": "b"}), Filter(ids=some)]),
        )
        tenant, limit = pick.choice(TENANTS), pick.choice([1, 3, 100])

        async def all_pages(store: Store) -> list[Generation]:
            found, rest = await store.generations.page(tenant, wanted, None, limit)
            while rest is not None:
                page, rest = await store.generations.page(tenant, wanted, rest, limit)
                found = [*found, *page]
            return [*found]

        await self.both(all_pages)
        groups = pick.sample(["day", "tenant", "key", "model", pick.choice(["label:a", "label:b"])], pick.randrange(6))
        query = UsageQuery(self.moment(6000).wall, self.moment(-1).wall, pick.choice(["", *TENANTS]), groups)

        async def usage(store: Store) -> list[UsageRow]:
            rows = await store.usage.usage(query)
            return sorted(row._replace(waited=round(row.waited, 3), ran=round(row.ran, 3)) for row in rows)

        await self.both(usage)
        await self.both_list(lambda store: store.accounts.run_times())


@pytest.mark.parametrize("seed", SEEDS)
async def test_both_engines_do_the_same(stores: tuple[Store, Store], seed: int) -> None:
    pair = Features(stores, seed)
    often = {pair.submit: 4.0, pair.agents: 6, pair.archive: 8, pair.callbacks: 10, pair.characters: 4}
    seldom = {pair.delete: 1, pair.access: 1, pair.accounts: 3, pair.times: 1, pair.events: 2, pair.lists: 4}
    await pair.run(often | seldom, OPERATIONS)
    assert pair.live
    assert pair.records
    assert pair.creations
