"""The ports with few rules: callbacks, copies, keys, catalogs, events and corrections. They run on every engine."""

from __future__ import annotations

import math
from dataclasses import replace

from gateway.access.keys import ApiKey
from gateway.access.scopes import Scope
from gateway.archive.model import ArchivedFile, Copy, Part
from gateway.callbacks.model import Callback, Delivery, DeliveryState, Problem, Secret
from gateway.catalog.model import MOTIONS, SOUL_STYLES_V1, Motion, StoredCatalog
from gateway.generations.model import Event, Generation, Source, State, Steady, UpstreamCall
from gateway.generations.stores import Correction, Filter
from gateway.store.store import Store
from tests.contract.store.examples import NOW
from tests.contract.store.test_store import completed, stored

WANTED = Filter(states=frozenset({State.COMPLETED}), model_ids=frozenset({"a/b"}), labels={"for": "später"})
CALLBACK = Callback(
    "c1", "red", "https://example.invalid/x", WANTED, False, "key", b"\x00f", NOW, 7, secrets=(Secret("whsec_1"),)
)
FIRST = Delivery("c1", "g1", 1, NOW, 10.0)
NEWEST = (math.inf, "", 0)


async def test_a_callback_is_stored_once_with_its_secrets(store: Store) -> None:
    assert await store.callbacks.add_callback(CALLBACK)
    assert not await store.callbacks.add_callback(replace(CALLBACK, id="c2"))
    other = replace(CALLBACK, id="c3", tenant="blue", secrets=(Secret("whsec_3"), Secret("whsec_4", 9.0)))
    assert await store.callbacks.add_callback(other)
    changed = replace(
        CALLBACK, paused=True, problem=Problem.STATUS, problem_status=503, failing_since=5.0, streak=2,
        secrets=(Secret("whsec_2"), Secret("whsec_1", 99.0)),
    )  # fmt: skip
    await store.callbacks.change_callback(changed)
    assert list(await store.callbacks.callbacks()) == [changed, other]
    await store.callbacks.change_callback(CALLBACK)
    assert list(await store.callbacks.callbacks()) == [CALLBACK, other]
    await store.callbacks.delete_callback("c3")
    assert list(await store.callbacks.callbacks()) == [CALLBACK]


async def test_the_position_of_a_callback_never_goes_back(store: Store) -> None:
    """A write whose caller left may have stored a later position than the process knows.

    From an earlier one, the next process would send deliveries again that have succeeded.
    """
    callbacks = store.callbacks
    await callbacks.add_callback(CALLBACK)
    await callbacks.take_deliveries(replace(CALLBACK, position=9), [FIRST])
    await callbacks.change_callback(replace(CALLBACK, paused=True))
    await callbacks.delivery_attempted(FIRST, replace(CALLBACK, streak=1), CALLBACK, None)
    await callbacks.take_deliveries(replace(CALLBACK, position=8), [])
    assert list(await callbacks.callbacks()) == [replace(CALLBACK, position=9, streak=1)]


async def test_deliveries_are_taken_once_and_attempted_until_they_are_settled(store: Store) -> None:
    callbacks = store.callbacks
    await callbacks.add_callback(CALLBACK)
    second = replace(FIRST, generation_id="g2", create_time=NOW + 1)
    third = replace(FIRST, revision=2, problem=Problem.STATUS, http_status=400, next_at=50.0)  # refused for its content
    further = replace(CALLBACK, position=9)
    await callbacks.take_deliveries(further, [FIRST, second, third])
    await callbacks.take_deliveries(further, [replace(FIRST, next_at=99.0)])
    assert list(await callbacks.pending_deliveries("c1")) == [FIRST, third, second]
    other = replace(CALLBACK, id="c2", tenant="blue", secrets=())
    theirs = replace(FIRST, callback_id="c2", problem=Problem.STATUS, http_status=522, next_at=60.0)
    await callbacks.add_callback(other)
    await callbacks.take_deliveries(other, [theirs, replace(theirs, generation_id="g2", state=DeliveryState.FAILED)])

    missed = replace(FIRST, attempts=1, problem=Problem.STATUS, http_status=520, next_at=50.0, last_attempt_time=NOW)
    unhealthy = replace(further, failing_since=1.0, problem=Problem.STATUS)
    await callbacks.delivery_attempted(missed, unhealthy, further, None)
    done = replace(second, attempts=1, state=DeliveryState.DELIVERED, http_status=200, last_attempt_time=NOW)
    await callbacks.delivery_attempted(done, further, unhealthy, 20.0)
    assert await callbacks.delivery("c1", "g1", 1) == replace(missed, next_at=20.0)
    assert await callbacks.delivery("c1", "g2", 1) == done
    assert await callbacks.delivery("c1", "g1", 2) == third
    assert list(await callbacks.callbacks()) == [further, other]

    async def page(generation_id: str = "", *, failed_only: bool = False, limit: int = 9) -> list[str]:
        found = await callbacks.deliveries("c1", generation_id, failed_only=failed_only, before=NEWEST, limit=limit)
        return [delivery.generation_id for delivery in found]

    assert await page() == ["g2", "g1", "g1"]
    assert await page(limit=1) == ["g2"]
    assert await page("g1") == ["g1", "g1"]
    assert await page(failed_only=True) == ["g1", "g1"]

    await callbacks.change_callback(further, 5.0)
    assert [one.next_at for one in await callbacks.pending_deliveries("c1")] == [5.0, 5.0]
    await callbacks.redeliver(replace(done, state=DeliveryState.PENDING))
    await callbacks.drop_delivery(missed)
    assert [one.id for one in await callbacks.pending_deliveries("c1")] == [third.id, second.id]
    assert list(await callbacks.pending_deliveries("c2")) == [theirs]
    await callbacks.drop_delivery(third)
    await callbacks.redeliver(done)
    await callbacks.prune_deliveries(NOW)
    assert await page() == ["g2"]
    await callbacks.prune_deliveries(NOW + 9)  # created and settled before
    assert await page() == []


async def test_the_settled_deliveries_of_a_deleted_callback_are_left_to_retention(store: Store) -> None:
    """There may be a million, and all submissions would wait for their deletion."""
    callbacks = store.callbacks
    for number in range(3):
        name = f"c{number}"
        await callbacks.add_callback(replace(CALLBACK, id=name, secrets=()))
        pending = replace(FIRST, callback_id=name)
        settled = replace(pending, generation_id="g2", state=DeliveryState.DELIVERED, last_attempt_time=NOW)
        await callbacks.take_deliveries(replace(CALLBACK, id=name), [pending, settled])

    async def left(name: str) -> list[str]:
        found = await callbacks.deliveries(name, "", failed_only=False, before=NEWEST, limit=9)
        return sorted(delivery.generation_id for delivery in found)

    await callbacks.delete_callback("c1")
    assert [await left(f"c{number}") for number in range(3)] == [["g1", "g2"], ["g2"], ["g1", "g2"]]
    await callbacks.prune_deliveries(NOW + 9)
    assert [await left(f"c{number}") for number in range(3)] == [["g1"], [], ["g1"]]


async def test_a_delivery_is_kept_until_it_is_settled_and_its_last_attempt_is_old(store: Store) -> None:
    await store.callbacks.add_callback(CALLBACK)
    settled = replace(FIRST, state=DeliveryState.DELIVERED, attempts=2, last_attempt_time=NOW + 5)
    pending = replace(FIRST, generation_id="g0", attempts=1, last_attempt_time=NOW)
    await store.callbacks.take_deliveries(CALLBACK, [settled, pending])
    for before, kept in ((NOW + 5, [settled, pending]), (NOW + 6, [pending])):
        await store.callbacks.prune_deliveries(before)
        found = await store.callbacks.deliveries("c1", "", failed_only=False, before=NEWEST, limit=9)
        assert [*found] == kept


def copy(of: Generation, output: int = 0, *, preview: bool = False) -> Copy:
    key = f"{of.tenant}/{of.id}/{output}-image.png"
    return Copy(of.id, Part(output, preview), "https://cdn.example.invalid/?sig", key, "image/png", "s3://a", NOW)


async def test_a_copy_is_planned_once_and_kept(store: Store) -> None:
    copies, file = store.copies, ArchivedFile("https://files.example.invalid/1", 3_000_000_000, "ab")
    ended = await completed(store, "request")
    assert [[one.id for one in page] async for page in copies.without_copies(0.0)] == [[ended.id]]
    first, preview = copy(ended), copy(ended, preview=True)
    await copies.plan_copies([first, preview], 0.0)
    await copies.plan_copies(
        [replace(first, key="other"), copy(replace(ended, spec=replace(ended.spec, id="gone")))], 0.0
    )
    assert [page async for page in copies.without_copies(0.0)] == []
    assert sorted(await copies.due_copies("s3://a", "", 0.0, 60.0, 9), key=lambda one: one.part) == [first, preview]
    assert await copies.record_copy(first, file)
    assert await copies.archived([ended.id, "none"]) == {ended.id: {Part(0): file}}
    assert (await copies.copies_waiting(), await copies.copies_failing()) == (1, 0)

    await copies.postpone_copy(preview, 100.0, give_up=False)
    assert list(await copies.due_copies("s3://a", "", 50.0, 60.0, 9)) == []
    assert await copies.next_copy("s3://a", 50.0) == 100.0
    assert list(await copies.due_copies("s3://a", "", 30.0, 60.0, 9)) == [
        replace(preview, attempts=1)
    ]  # the clock went back
    await copies.reassign_copies("s3://b")
    assert [one.archive for one in await copies.due_copies("s3://b", "", 100.0, 60.0, 9)] == ["s3://b"]
    assert (await copies.copies_waiting(), await copies.copies_failing()) == (1, 1)
    await copies.postpone_copy(preview, 200.0, give_up=True)
    await copies.plan_copies([preview], 0.0)  # it stays given up
    assert (await copies.copies_waiting(), await copies.copies_failing()) == (0, 0)


async def test_a_retry_is_due_before_copies_that_were_planned_later(store: Store) -> None:
    copies = store.copies
    failed, new = copy(await completed(store, "first")), copy(await completed(store, "second"))
    await copies.plan_copies([failed], 10.0)
    await copies.postpone_copy(failed, 20.0, give_up=False)
    await copies.plan_copies([new], 30.0)
    assert await copies.due_copies("s3://a", "", 40.0, 60.0, 1) == [replace(failed, attempts=1)]


async def test_due_copies_are_read_from_one_tenant_after_another(store: Store) -> None:
    copies, planned = store.copies, {}
    for now, name in enumerate(("red 1", "blue 1", "red 2", "green 1", "green 2", "blue 2")):
        planned[name] = copy(await completed(store, name, tenant=name.split()[0]))
        await copies.plan_copies([planned[name]], float(now))
    names = {one.name: name for name, one in planned.items()}

    async def due(after: str = "", limit: int = 9, now: float = 10.0) -> list[str]:
        return [names[one.name] for one in await copies.due_copies("s3://a", after, now, 60.0, limit)]

    assert await due() == ["blue 1", "blue 2", "green 1", "green 2", "red 1", "red 2"]
    assert await due(limit=3) == ["blue 1", "blue 2", "green 1"]
    assert await due("blue", 3) == ["green 1", "green 2", "red 1"]
    assert await due("orange") == ["red 1", "red 2"]
    assert await due("red") == []
    await copies.postpone_copy(planned["red 1"], 9.0, give_up=False)
    for name in ("green 1", "green 2"):
        await copies.postpone_copy(planned[name], 40.0, give_up=False)
    assert await due("blue") == ["red 2", "red 1"]
    assert await due("blue", 2, 40.0) == ["green 1", "green 2"]
    assert await due("red", now=-30.0) == ["green 1", "green 2"]  # the clock went back


async def test_copies_of_a_deleted_generation_are_removed(store: Store) -> None:
    copies, file = store.copies, ArchivedFile("https://files.example.invalid/1", 3, "ab")
    ended, other = await completed(store, "request"), await completed(store, "other")
    first, second, kept, waiting = copy(ended), copy(ended, 1), copy(other), copy(other, 1)
    await copies.plan_copies([first, second, copy(ended, preview=True), kept, waiting], 0.0)
    for one in (first, kept):
        assert await copies.record_copy(one, file)
    await copies.postpone_copy(second, 0.0, give_up=False)
    await store.deletions.delete(ended, at_upstream=False, steady=Steady(NOW))
    assert not await copies.record_copy(second, file)  # it was being copied
    for give_up in (False, True):  # a failure of that copy does not delay the removal
        await copies.postpone_copy(second, 50.0, give_up=give_up)
    await copies.reassign_copies("s3://b")  # the files are still in the first archive
    due = await copies.due_copies("s3://a", "", 0.0, 60.0, 9)
    assert [(one.remove, one.attempts) for one in due] == [(True, 0)] * 3
    await copies.postpone_copy(due[0], 50.0, give_up=False)
    assert await copies.due_copies("s3://a", "", 0.0, 60.0, 9) == due[1:]
    for number, one in enumerate(due, 1):
        await copies.forget_copy(one)
        assert await copies.copies_waiting() == 4 - number
    assert await copies.due_copies("s3://b", "", 0.0, 60.0, 9) == [replace(waiting, archive="s3://b")]
    assert await copies.archived([ended.id, other.id]) == {other.id: {Part(0): file}}


async def test_a_pruned_generation_leaves_copies_only_that_are_not_finished(store: Store) -> None:
    copies, file = store.copies, ArchivedFile("https://files.example.invalid/1", 3, "ab")
    ended = await completed(store, "request", at=1.0)
    young = await completed(store, "young", at=90.0)
    kept, pending = copy(ended), copy(ended, 1)
    await copies.plan_copies([kept, pending, copy(young)], 0.0)
    for one in (kept, copy(young)):
        assert await copies.record_copy(one, file)
    await store.deletions.prune(Steady(NOW + 60), Steady(NOW))
    assert await copies.archived([ended.id, young.id]) == {young.id: {Part(0): file}}
    assert [*await copies.due_copies("s3://a", "", 0.0, 60.0, 9)] == [pending]


async def test_a_copy_of_a_pruned_generation_is_finished_and_forgotten(store: Store) -> None:
    copies, file = store.copies, ArchivedFile("https://files.example.invalid/1", 3, "ab")
    ended = await completed(store, "request", at=1.0)
    young = await completed(store, "young", at=90.0)
    kept, others = copy(ended), [copy(young), copy(young, 1)]
    pending = [copy(ended, 1), copy(ended, preview=True)]
    await copies.plan_copies([kept, *pending, *others], 0.0)
    for one in others:
        assert await copies.record_copy(one, file)
    await store.deletions.prune(Steady(NOW + 60), Steady(NOW))
    assert await copies.record_copy(kept, file)
    for number, given_up in enumerate(pending):
        assert await copies.copies_waiting() == 2 - number
        await copies.postpone_copy(given_up, 1.0, give_up=True)
    assert await copies.archived([ended.id, young.id]) == {young.id: {Part(0): file, Part(1): file}}
    assert await copies.copies_waiting() == 0


async def test_a_key_is_revoked_once(store: Store) -> None:
    key = ApiKey("k1", "red", "the shop's", b"\x00" * 32, NOW)
    other = replace(key, id="k2", hash=b"\x01" * 32)
    for one in (key, other):
        await store.keys.add_api_key(one)
    await store.keys.revoke_api_key(key, NOW + 1)
    await store.keys.revoke_api_key(key, NOW + 2)
    found = sorted(await store.keys.api_keys(), key=lambda one: one.id)
    assert found == [replace(key, revoke_time=NOW + 1), other]
    assert len(await store.keys.token_secret()) == 32


async def test_a_key_keeps_its_scopes_and_its_expiry(store: Store) -> None:
    key = ApiKey("k1", "red", "", b"\x00" * 32, NOW, None, frozenset({Scope.READ, Scope.CANCEL}), NOW + 2)
    other = replace(key, id="k2", hash=b"\x01" * 32)
    for one in (key, other):
        await store.keys.add_api_key(one)
    await store.keys.expire_api_key(key, NOW + 1)
    found = sorted(await store.keys.api_keys(), key=lambda one: one.id)
    assert found == [replace(key, expire_time=NOW + 1), other]


async def test_a_catalog_is_replaced(store: Store) -> None:
    for name in ("old", "ä new"):
        catalog = StoredCatalog((Motion("m1", name),), NOW, NOW + 1)
        await store.catalogs.save_catalog("account", "https://origin", MOTIONS, catalog)
    assert await store.catalogs.load_catalog("account", "https://origin", MOTIONS) == catalog
    assert await store.catalogs.load_catalog("other", "https://origin", MOTIONS) is None
    assert await store.catalogs.load_catalog("account", "https://other", MOTIONS) is None
    assert await store.catalogs.load_catalog("account", "https://origin", SOUL_STYLES_V1) is None
    older = replace(catalog, fetched_at=NOW - 1)
    await store.catalogs.save_catalog("other", "https://origin", MOTIONS, older)
    assert await store.times.newest_steady() == NOW


async def test_events_are_replaced_by_their_time_and_end_with_their_generation(store: Store) -> None:
    waiting = await stored(store)
    call = UpstreamCall("GET", "/x", 200, "c", 5.0, 0.25)
    polled = Event(5.0, "polled", source=Source.POLL, call=call, times=1)
    again = replace(polled, times=2)
    await store.events.record([(waiting.id, polled), (waiting.id, again), ("gone", polled)])
    await store.events.record([(waiting.id, Event(4.0, "earlier"))])
    assert list(await store.events.events(waiting.id)) == [Event(4.0, "earlier"), again]
    assert list(await store.events.events("gone")) == []
    await store.events.record([])


async def test_corrections_are_replaced_and_forgotten(store: Store) -> None:
    for since in (1.0, 2.0, 3.0):
        await store.times.correct(Correction(Steady(since), since, placed=False))
    await store.times.correct(Correction(Steady(3.0), -9.0), [Steady(1.0), Steady(2.0)])
    assert list(await store.times.corrections()) == [Correction(Steady(3.0), -9.0)]


async def test_a_probe_finds_a_store_that_can_be_written(store: Store) -> None:
    await store.health.probe()
    assert (store.health.trouble, store.health.writes_refused) == ("", 0)
