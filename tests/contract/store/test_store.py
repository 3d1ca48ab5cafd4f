"""The ports of generations: one test for each promise. They run on every engine."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway.generations.clock import Ids
from gateway.generations.model import Change, Event, Generation, RunTime, Source, State, Steady, Wall
from gateway.generations.state import Accepted, Ambiguous, CancelAsked, Expired, Marked, adopted
from gateway.generations.stores import (
    MAX_WEBHOOKS,
    Claim,
    Claimed,
    Correction,
    Filter,
    Removal,
    RequestIdTakenError,
    Saved,
    StoreError,
    Webhook,
    WebhookReceipt,
)
from gateway.store import reads
from gateway.store.store import Store
from tests.contract.store import examples
from tests.contract.store.conftest import Engine
from tests.contract.store.examples import NOW

DAY = 86_400.0


async def stored(store: Store, **spec: Any) -> Generation:
    """Claim a pending generation."""
    claimed = await store.claims.claim(examples.claim(**spec))
    assert claimed.new
    assert claimed.generation is not None
    return claimed.generation


async def saved(store: Store, before: Generation, after: Generation) -> Generation:
    """Store the next version of a generation."""
    assert await store.generations.save(before, after)
    return after


async def queued(store: Store, request_id: str, **spec: Any) -> Generation:
    """Store a generation that Higgsfield has accepted."""
    waiting = await stored(store, **spec)
    sending = await saved(store, waiting, examples.marked(waiting))
    return await saved(store, sending, examples.accepted(sending, request_id))


async def completed(store: Store, request_id: str, at: float = 2.0, **spec: Any) -> Generation:
    """Store a generation that completed `at` seconds after NOW."""
    running = await queued(store, request_id, **spec)
    # A webhook reports the time of the end, so that the run time is stored.
    return await saved(store, running, examples.reported(running, State.COMPLETED, at, Source.WEBHOOK))


async def failed(store: Store, **spec: Any) -> Generation:
    """Store a generation that was refused."""
    waiting = await stored(store, **spec)
    sending = await saved(store, waiting, examples.marked(waiting))
    return await saved(store, sending, examples.refused(sending))


def seen(change: Change) -> tuple[object, ...]:
    """Return the visible fields of a change. Its other fields have the current values."""
    now = change.generation
    assert now is not None
    return change.position, change.tenant, change.generation_id, now.revision, now.state, now.update_time


async def all_changes(store: Store, tenant: str = "tenant", after: int = 0) -> Sequence[Change]:
    return await store.change_log.changes(tenant, after, 1_000)


# -- The claim: one key, one generation --------------------------------------------------------------------------------


async def test_a_claim_stores_the_generation_and_its_prepared_request(store: Store) -> None:
    claim = examples.claim(labels={"for": "a friend"}, start_by=NOW + 60, weight=4, fail_when_saturated=True)
    await stored(store)
    claimed = await store.claims.claim(claim)

    assert claimed == Claimed(claim.generation, new=True, generation_id=claim.generation.id)
    assert await store.generations.get("tenant", claim.generation.id) == claim.generation
    assert await store.generations.request(claim.generation.id) == claim.request


async def test_every_version_has_the_callback_url_of_its_submission(store: Store, engine: Engine) -> None:
    url = "https://shop.example/hook?job=7"
    ended = await completed(store, "request", callback_url=url)
    await engine.close()

    store = await engine.open()
    versions = [*await store.change_log.history(ended.id, 0, 10), *(one.generation for one in await all_changes(store))]
    assert {version.spec.callback_url for version in versions if version is not None} == {url}


async def test_a_claim_can_include_the_marker_of_its_first_post(store: Store) -> None:
    marked = examples.marked(examples.generation())
    await store.claims.claim(examples.claim(marked))
    assert await store.generations.get("tenant", marked.id) == marked


async def test_a_second_claim_with_a_key_returns_its_generation(store: Store) -> None:
    first = await stored(store, idempotency_key="key")
    again = await store.claims.claim(examples.claim(idempotency_key="key"))
    assert again == Claimed(first, new=False, generation_id=first.id)
    assert len(await all_changes(store)) == 1


async def test_a_repeated_claim_is_the_first_one(store: Store) -> None:
    claim = examples.claim(idempotency_key="key")
    first = await store.claims.claim(claim)
    again = await store.claims.claim(claim)
    assert (again.new, again.generation, again.conflict) == (True, first.generation, False)
    assert len(await all_changes(store)) == 1


async def test_a_key_with_another_input_is_a_conflict(store: Store) -> None:
    first = await stored(store, idempotency_key="key")
    again = await store.claims.claim(examples.claim(idempotency_key="key", fingerprint=b"another"))
    assert again == Claimed(first, new=False, generation_id=first.id, conflict=True)


async def test_a_key_can_be_looked_up_without_a_claim(store: Store) -> None:
    assert await store.claims.known("tenant", "key", b"input") is None
    first = await stored(store, idempotency_key="key")
    assert await store.claims.known("tenant", "key", b"input") == Claimed(first, new=False, generation_id=first.id)
    another = await store.claims.known("tenant", "key", b"another")
    assert another == Claimed(first, new=False, generation_id=first.id, conflict=True)
    assert await store.claims.known("other", "key", b"input") is None
    await failed(store, idempotency_key="free again")
    assert await store.claims.known("tenant", "free again", b"input") is None
    assert len(await store.generations.unfinished()) == 1


async def test_keys_of_different_tenants_are_independent(store: Store) -> None:
    first = await stored(store, idempotency_key="key", tenant="one")
    second = await stored(store, idempotency_key="key", tenant="another")
    assert first.id != second.id


async def test_one_of_many_concurrent_claims_with_a_key_wins(store: Store) -> None:
    claims = [examples.claim(idempotency_key="key") for _ in range(50)]
    outcomes = await asyncio.gather(*map(store.claims.claim, claims))
    (winner,) = [outcome.generation_id for outcome in outcomes if outcome.new]
    assert {outcome.generation_id for outcome in outcomes} == {winner}
    assert [generation.id for generation in await store.generations.unfinished()] == [winner]


# -- The save: conditional, with its side effects ----------------------------------------------------------------------


async def test_the_second_save_of_a_version_fails(store: Store) -> None:
    before = await stored(store)
    first = examples.marked(before)
    second = examples.after(before, CancelAsked())
    assert list(
        await asyncio.gather(store.generations.save(before, first), store.generations.save(before, second))
    ) == [True, False]
    assert await store.generations.get("tenant", before.id) == first
    assert len(await all_changes(store)) == 1  # callers do not see the marker


async def test_a_save_stores_that_repeats_are_over_and_since_when_a_request_is_missing(store: Store) -> None:
    before = await queued(store, "request")
    now = replace(before, version=before.version + 1, repeats_over=True, missing_since=Steady(NOW))
    assert await store.generations.save(before, now)
    assert await store.generations.get("tenant", before.id) == now


async def test_a_deleted_generation_cannot_be_saved(store: Store) -> None:
    ended = await completed(store, "request")
    await store.deletions.delete(ended, at_upstream=False, steady=NOW)
    assert not await store.generations.save(ended, replace(ended, version=ended.version + 1))
    assert await store.generations.get("tenant", ended.id) is None


async def test_the_prepared_request_is_kept_until_the_submission_is_settled(store: Store) -> None:
    waiting = await stored(store)
    sending = await saved(store, waiting, examples.marked(waiting))
    assert sending.marker is not None
    lost = Ambiguous(sending.marker, examples.REFUSAL, 15.0)
    uncertain = await saved(store, sending, examples.after(sending, lost))
    assert uncertain.state is State.UNCERTAIN
    assert await store.generations.request(waiting.id) is not None

    await saved(store, uncertain, examples.accepted(uncertain, "request"))
    assert await store.generations.request(waiting.id) is None


@pytest.mark.parametrize("end", ["canceled", "refused", "lost"])
async def test_every_outcome_of_a_submission_erases_its_prepared_request(end: str, store: Store) -> None:
    if end == "refused":
        ended = await failed(store)
    else:
        before = await stored(store)
        if end == "lost":
            before = await saved(store, before, examples.marked(before))
            assert before.marker is not None
            before = await saved(store, before, examples.after(before, Ambiguous(before.marker, examples.REFUSAL, 0)))
        observation = CancelAsked() if end == "canceled" else Expired(examples.REFUSAL)
        ended = await saved(store, before, examples.after(before, observation))
    assert ended.done
    assert await store.generations.request(ended.id) is None


async def test_a_refusal_frees_the_key_and_keeps_the_generation(store: Store) -> None:
    first = await failed(store, idempotency_key="key")
    second = await stored(store, idempotency_key="key")
    assert second.id != first.id
    both, _ = await store.generations.page("tenant", Filter(idempotency_key="key"), None, 10)
    assert [generation.id for generation in both] == [second.id, first.id]


async def test_a_late_claim_is_not_stored_after_its_repeat_was_refused(store: Store) -> None:
    """Its commit had an unknown outcome. The caller has repeated the call, and knows that nothing is charged."""
    late = examples.claim(idempotency_key="key")
    created_at = late.generation.spec.created_at
    refused = await failed(store, idempotency_key="key", created_at=created_at + 1.0)
    position = await store.change_log.position()
    with pytest.raises(StoreError):
        await store.claims.claim(late)
    assert await store.generations.any(late.generation.id) is None
    assert await store.change_log.position() == position
    await stored(store, idempotency_key="another key", created_at=created_at)
    await stored(store, idempotency_key="key", created_at=created_at, tenant="another")
    again = await stored(store, idempotency_key="key", created_at=created_at + 2.0)
    both, _ = await store.generations.page("tenant", Filter(idempotency_key="key"), None, 10)
    assert {generation.id for generation in both} == {again.id, refused.id}


async def test_nothing_else_frees_a_key(store: Store) -> None:
    waiting = await stored(store, idempotency_key="canceled")
    await saved(store, waiting, examples.after(waiting, CancelAsked()))
    running = await queued(store, "request", idempotency_key="failed later")
    await saved(store, running, examples.reported(running, State.FAILED))
    for key in ("canceled", "failed later"):
        assert not (await store.claims.claim(examples.claim(idempotency_key=key))).new


@pytest.mark.parametrize("taken", ["request", "being removed"])
@pytest.mark.parametrize("account", ["account", "another"])
async def test_a_request_belongs_to_one_generation(store: Store, account: str, taken: str) -> None:
    """An account has several credentials, so the request of other credentials may be the same."""
    await queued(store, "request")
    deleted = await completed(store, "being removed")
    await store.deletions.delete(deleted, at_upstream=True, steady=NOW)
    waiting = await stored(store, account=account)
    sending = await saved(store, waiting, examples.marked(waiting))
    position = await store.change_log.position()
    with pytest.raises(RequestIdTakenError):
        await store.generations.save(sending, examples.accepted(sending, taken))
    assert await store.generations.get("tenant", sending.id) == sending
    assert await store.generations.request(sending.id) is not None
    assert await store.change_log.position() == position


async def test_a_request_that_is_bound_at_once_to_two_generations_belongs_to_one(store: Store) -> None:
    waiting = [await stored(store, account=account) for account in ("account", "another", "third")]
    first, second = [await saved(store, one, examples.marked(one)) for one in waiting[:2]]
    results = await asyncio.gather(
        store.generations.save(waiting[2], examples.marked(waiting[2])),  # the others wait for it, and then go together
        store.generations.save(first, examples.accepted(first, "request")),
        store.generations.save(second, examples.accepted(second, "request")),
        return_exceptions=True,
    )
    assert results[:2] == [True, True]
    assert isinstance(results[2], RequestIdTakenError)
    assert await store.generations.any(second.id) == second


def adoption(request_id: str, **spec: Any) -> Claim:
    of = examples.generation(adopted=True, **spec)
    return Claim(adopted(of.spec, examples.report(request_id, State.QUEUED), examples.moment()), None, b"")


async def test_a_request_that_two_adopt_at_once_belongs_to_one(store: Store) -> None:
    waiting = await stored(store)
    results = await asyncio.gather(
        store.generations.save(waiting, examples.marked(waiting)),  # the others wait for it, and could go together
        store.claims.claim(examples.claim()),
        store.claims.claim(adoption("request", tenant="one")),
        store.claims.claim(adoption("request", tenant="two", account="another")),
        return_exceptions=True,
    )
    assert isinstance(results[2], Claimed)
    assert isinstance(results[3], RequestIdTakenError)


async def test_an_adopted_request_belongs_to_one_generation_of_all_tenants_and_accounts(store: Store) -> None:
    deleted = await completed(store, "being removed")
    await store.deletions.delete(deleted, at_upstream=True, steady=NOW)
    first = await store.claims.claim(adoption("request", tenant="one", idempotency_key="adopted request"))
    assert first.new
    assert first.generation is not None
    again = await store.claims.claim(Claim(first.generation, None, b""))  # its response was lost
    assert (again.new, again.generation_id) == (True, first.generation_id)
    assert await store.generations.request(first.generation_id) is None
    position = await store.change_log.position()
    for taken in ("request", "being removed"):
        with pytest.raises(RequestIdTakenError):
            await store.claims.claim(adoption(taken, tenant="two", account="another", idempotency_key="another key"))
    assert await store.change_log.position() == position
    assert await store.claims.known("two", "another key", b"") is None
    assert await store.generations.by_request("request") == first.generation


async def test_a_failed_write_does_not_fail_other_writes(store: Store) -> None:
    first, last = examples.claim(), examples.claim()
    faulty = examples.claim(id=first.generation.id)
    outcomes = await asyncio.gather(*map(store.claims.claim, (first, faulty, last)), return_exceptions=True)
    assert isinstance(outcomes[1], StoreError)
    assert {generation.id for generation in await store.generations.unfinished()} == {
        first.generation.id,
        last.generation.id,
    }
    # Nothing of the claim was stored, not even its key.
    key = faulty.generation.spec.idempotency_key
    assert (await store.claims.claim(examples.claim(idempotency_key=key))).new


# -- The log: positions, history, listeners ----------------------------------------------------------------------------


async def test_history_returns_every_later_revision(store: Store) -> None:
    await queued(store, "another")
    ended = await completed(store, "request")
    revisions = await store.change_log.history(ended.id, 0, 100)
    assert [(g.revision, g.state) for g in revisions] == [(1, State.PENDING), (2, State.QUEUED), (3, State.COMPLETED)]
    assert revisions[0].request_id == ""
    assert revisions[-1].source is Source.WEBHOOK
    assert [g.revision for g in await store.change_log.history(ended.id, 1, 1)] == [2]
    assert await store.change_log.history(ended.id, 3, 100) == []
    assert await store.change_log.history(examples.generation().id, 0, 100) == []


async def test_changes_of_a_tenant_are_in_the_order_of_their_commits(store: Store) -> None:
    first = await stored(store)
    other = await stored(store, tenant="another")
    second = await stored(store)
    await saved(store, first, examples.after(first, CancelAsked()))

    changes = await all_changes(store)
    positions = [change.position for change in changes]
    assert [change.generation_id for change in changes] == [first.id, second.id, first.id]
    assert positions == sorted(set(positions))
    assert [c.generation.state for c in changes if c.generation] == [State.PENDING, State.PENDING, State.CANCELED]
    assert [change.generation_id for change in await all_changes(store, "another")] == [other.id]
    assert await all_changes(store, after=positions[0]) == changes[1:]
    assert await store.change_log.changes("tenant", 0, 2) == changes[:2]
    assert await store.change_log.position() == positions[-1]


async def test_announced_returns_after_the_listeners_got_all_earlier_commits(store: Store) -> None:
    announced: list[Saved] = []
    store.change_log.listen(announced.extend)
    claims = [asyncio.create_task(store.claims.claim(examples.claim())) for _ in range(3)]
    await asyncio.sleep(0)
    await store.change_log.announced()
    assert len(announced) == 3
    await asyncio.gather(*claims)


async def test_positions_are_never_reused(store: Store, engine: Engine) -> None:
    ended = await completed(store, "request")
    await store.deletions.delete(ended, at_upstream=False, steady=NOW)
    before = await store.change_log.position()
    await store.deletions.prune(NOW + DAY, NOW - DAY)
    assert await all_changes(store) == []
    await engine.close()

    store = await engine.open()
    assert await store.change_log.position() == before
    await stored(store)
    assert [change.position for change in await all_changes(store)] == [before + 1]


async def test_listeners_get_every_commit_in_order_and_before_its_writer(store: Store) -> None:
    announced: list[Saved] = []
    store.change_log.listen(announced.extend)

    async def submit(request_id: str) -> None:
        waiting = await stored(store)
        assert was_announced(waiting)
        sending = await saved(store, waiting, examples.marked(waiting))
        assert was_announced(sending)
        accepted = await saved(store, sending, examples.accepted(sending, request_id))
        assert was_announced(accepted)

    def was_announced(generation: Generation) -> bool:
        return any(one.generation == generation for one in announced)

    await asyncio.gather(*(submit(f"request {number}") for number in range(20)))
    changes = [seen(one.change) for one in announced if one.change is not None]
    assert changes == [seen(change) for change in await all_changes(store)]
    assert len(announced) == 60
    assert len(changes) == 40  # listeners get markers, too, but they are no changes


async def test_listeners_do_not_get_failed_writes(store: Store) -> None:
    before = await stored(store)
    announced: list[Saved] = []
    store.change_log.listen(announced.extend)
    await store.claims.claim(examples.claim(idempotency_key=before.spec.idempotency_key))
    stale = replace(before, version=99)
    assert not await store.generations.save(stale, examples.marked(stale))
    with pytest.raises(StoreError):
        await store.claims.claim(examples.claim(id=before.id))
    assert announced == []


# -- Reading -----------------------------------------------------------------------------------------------------------


async def test_a_generation_is_visible_to_its_tenant_only(store: Store) -> None:
    generation = await stored(store)
    assert await store.generations.get("another", generation.id) is None


async def test_a_generation_is_found_by_its_token_and_by_its_request(store: Store) -> None:
    for name in ("first", "second"):
        generation = await queued(store, name, token_hash=name.encode())
        assert await store.generations.by_token(name.encode()) == generation
        assert await store.generations.by_request(name) == generation
    assert await store.generations.by_token(b"none") is None
    assert await store.generations.by_request("none") is None


async def test_a_name_that_is_no_text_of_the_database_finds_nothing(store: Store) -> None:
    generation = await stored(store)
    for strange in ("", "\0", "ä\0", "~", "'"):
        assert await store.generations.get("tenant", strange) is None
        for wanted in (
            Filter(ids=frozenset({strange, generation.id})),
            Filter(model_ids=frozenset({strange, generation.spec.model_id})),
        ):
            found, _ = await store.generations.page("tenant", wanted, None, 9)
            assert found == [generation]


async def test_unfinished_generations_are_returned_oldest_first(store: Store) -> None:
    waiting = await stored(store, tenant="another")
    await completed(store, "ended")
    running = await queued(store, "running")
    await failed(store)
    assert await store.generations.unfinished() == [waiting, running]


async def pages(store: Store, wanted: Filter, size: int) -> list[str]:
    """Return the ids on all pages."""
    ids: list[str] = []
    before: str | None = None
    while True:
        page, before = await store.generations.page("tenant", wanted, before, size)
        assert len(page) <= size
        ids.extend(generation.id for generation in page)
        if before is None:
            return ids


@pytest.mark.parametrize("size", [1, 3, 250, 1_000])
async def test_pages_are_newest_first_and_complete(size: int, store: Store) -> None:
    made = [examples.claim() for _ in range(450 if size > 100 else 10)]
    await asyncio.gather(*map(store.claims.claim, made))
    await stored(store, tenant="another")
    assert await pages(store, Filter(), size) == [claim.generation.id for claim in reversed(made)]


async def test_a_page_without_a_filter_reads_no_more_rows_than_it_shows(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row may have an input of 256 KiB, and on SQLite all other calls wait for the read."""
    for _ in range(4):
        await stored(store)
    read = count_rows(store, monkeypatch)
    page, _ = await store.generations.page("tenant", Filter(), None, 2)
    assert (len(page), read["read_generations_page"]) == (2, 2)


def count_rows(store: Store, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Return the numbers of rows that the statements of `store.generations` read from now on."""
    counts: Counter[str] = Counter()
    read = store.generations._rows  # type: ignore[attr-defined]

    async def counted(name: str, /, **values: object) -> Any:
        found = await read(name, **values)
        counts[name] += len(found)
        return found

    monkeypatch.setattr(store.generations, "_rows", counted)
    return counts


async def test_a_search_reads_only_the_rows_that_match(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of a rare label must not take a read of each row that precedes it."""
    monkeypatch.setattr(reads, "ROWS_PER_SEARCH", 3)
    rare = await stored(store, labels={"user": "rare"})
    await asyncio.gather(*(store.claims.claim(examples.claim(labels={"user": "other"})) for _ in range(20)))
    read = count_rows(store, monkeypatch)
    page, before = await store.generations.page("tenant", Filter(labels={"user": "rare"}), None, 2)
    assert (page, before) == ([rare], None)
    assert read == Counter(read_page_end=8, read_generations_page=1)


async def test_a_page_ends_after_a_bounded_search(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "ROWS_PER_SEARCH", 3)
    monkeypatch.setattr(reads, "ROWS_FOR_A_PAGE", 8)
    rare = await stored(store, labels={"user": "rare"})
    for _ in range(20):
        await stored(store, labels={"user": "other"})
    wanted = Filter(labels={"user": "rare"})
    sizes, before = [], None
    while True:
        page, before = await store.generations.page("tenant", wanted, before, 2)
        sizes.append(len(page))
        if before is None:
            break
    assert (sizes, page) == ([0, 0, 1], [rare])


async def test_a_search_ends_at_the_start_of_the_time_in_a_filter(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = Ids()
    times = [NOW + 60.0 * minute for minute in range(30)]
    made = [await stored(store, id=ids.next(Wall(time)), create_time=time) for time in times]
    read = count_rows(store, monkeypatch)
    wanted = Filter(created_after=Wall(times[28]), labels={"user": "none"})
    assert await store.generations.page("tenant", wanted, None, 10) == ([], None)
    assert read == Counter(read_page_end=1)
    for after, count in ((0.0, 2), (0.0005, 1), (60.0, 1), (60.0005, 0)):
        page, _ = await store.generations.page("tenant", Filter(created_after=Wall(times[28] + after)), None, 10)
        assert page == made[: -count - 1 : -1]


async def test_pages_are_stable_while_generations_are_added(store: Store) -> None:
    first, second = await stored(store), await stored(store)
    page, before = await store.generations.page("tenant", Filter(), None, 1)
    assert [generation.id for generation in page] == [second.id]
    await stored(store)
    page, _ = await store.generations.page("tenant", Filter(), before, 10)
    assert [generation.id for generation in page] == [first.id]


async def test_all_fields_of_a_filter_must_match(store: Store) -> None:
    red = await stored(store, labels={"colour": "red", "size": "s"}, create_time=NOW)
    blue = await stored(store, labels={"colour": "blue", "size": "s"}, create_time=NOW + 10, model_id="another/model")
    done = await completed(store, "request", create_time=NOW + 20, idempotency_key="done")
    await failed(store, tenant="another", idempotency_key="done")
    theirs = await completed(store, "theirs", tenant="another", idempotency_key="done")
    for wanted, found in [
        (Filter(ids=frozenset({red.id, done.id, theirs.id, "none"})), [done, red]),
        (Filter(ids=frozenset()), []),
        (Filter(states=frozenset({State.PENDING})), [blue, red]),
        (Filter(model_ids=frozenset({"another/model"})), [blue]),
        (Filter(labels={"size": "s"}), [blue, red]),
        (Filter(labels={"size": "s", "colour": "red"}), [red]),
        (Filter(idempotency_key="done"), [done]),
        (Filter(idempotency_key="done", states=frozenset({State.PENDING})), []),
        (Filter(request_ids=frozenset({"request", "theirs", "none"})), [done]),
        (Filter(request_ids=frozenset({"request"}), ids=frozenset({red.id})), []),
        (Filter(created_after=NOW + 10), [done, blue]),
        (Filter(created_before=NOW + 10), [red]),
        (Filter(ids=frozenset({red.id, blue.id}), labels={"colour": "blue"}), [blue]),
        (Filter(within=Filter(labels={"colour": "red"})), [red]),
        (Filter(labels={"size": "s"}, within=Filter(labels={"colour": "red"})), [red]),
        (Filter(labels={"colour": "blue"}, within=Filter(labels={"colour": "red"})), []),
        (Filter(within=Filter(ids=frozenset({red.id, theirs.id}))), [red]),
        (Filter(ids=frozenset({red.id, blue.id}), within=Filter(ids=frozenset({blue.id, done.id}))), [blue]),
        (Filter(request_ids=frozenset({"request"}), within=Filter(ids=frozenset({red.id}))), []),
        (Filter(states=frozenset({State.PENDING}), within=Filter(states=frozenset({State.COMPLETED}))), []),
        (Filter(model_ids=frozenset({"another/model"}), within=Filter(idempotency_key="done")), []),
        (Filter(within=Filter(created_after=NOW + 10, created_before=NOW + 20)), [blue]),
        (Filter(created_after=NOW, within=Filter(created_after=NOW + 20)), [done]),
    ]:
        for size in (1, 10):
            assert await pages(store, wanted, size) == [generation.id for generation in found], wanted


LABELS = [
    {}, {"a": ""}, {"a": "b"}, {"a": "B"}, {"a": "b", "c": "d"}, {"a'b": 'c"d'}, {"a.b": "$.c"}, {"ä": "\u00a0"},
    {"a": "🦊"}, {"a": "\\"}, {"a": "\n"}, {"1": "1"}, {"a": "null"}, {"a": "{}"}, {"a": "[]"}, {"a": "%"},
]  # fmt: skip


async def test_labels_match_only_if_they_are_equal(store: Store) -> None:
    made = [await stored(store, labels=labels) for labels in LABELS]
    for wanted in LABELS:
        expected = [one for one in reversed(made) if wanted.items() <= dict(one.spec.labels).items()]
        page, _ = await store.generations.page("tenant", Filter(labels=wanted), None, 50)
        assert page == expected, wanted


# -- Removal -----------------------------------------------------------------------------------------------------------


async def test_a_delete_leaves_a_change_and_a_used_key(store: Store) -> None:
    ended = await completed(store, "request", idempotency_key="key")
    position = await store.change_log.position()
    announced: list[Saved] = []
    store.change_log.listen(announced.extend)
    assert await store.deletions.deleted("tenant", ended.id) is None
    await store.deletions.delete(ended, at_upstream=False, steady=NOW)

    assert await store.generations.get("tenant", ended.id) is None
    assert await store.change_log.history(ended.id, 0, 10) == []
    assert await store.change_log.horizon("tenant") == position  # its changes are gone
    (change,) = await all_changes(store)
    assert change == Change(position + 1, "tenant", ended.id, None)
    assert announced == [Saved(ended.id, None, change)]
    assert await store.deletions.deleted("tenant", ended.id) is False
    assert await store.deletions.deleted("another", ended.id) is None
    assert await store.deletions.deleted("tenant", examples.generation().id) is None
    assert await store.deletions.removals() == []
    again = await store.claims.claim(examples.claim(idempotency_key="key"))
    assert again == Claimed(None, new=False, generation_id=ended.id, deleted=True)


async def test_deletions_at_once_are_all_made(store: Store) -> None:
    ended = [await completed(store, f"request {number}") for number in range(3)]
    await asyncio.gather(*(store.deletions.delete(one, at_upstream=True, steady=NOW) for one in ended))
    assert [await store.generations.get("tenant", one.id) for one in ended] == [None] * 3
    assert [change.generation_id for change in await all_changes(store)] == [one.id for one in ended]
    assert [removal.generation_id for removal in await store.deletions.removals()] == [one.id for one in ended]


async def test_a_second_delete_changes_nothing(store: Store) -> None:
    ended = await completed(store, "request")
    await store.deletions.delete(ended, at_upstream=True, steady=NOW)
    position, removals = await store.change_log.position(), await store.deletions.removals()
    await store.deletions.delete(ended, at_upstream=True, steady=NOW)
    assert await store.change_log.position() == position
    assert await store.deletions.removals() == removals


async def test_a_removal_is_stored_until_it_is_confirmed(store: Store, engine: Engine) -> None:
    ended, other = await completed(store, "request"), await completed(store, "other")
    for one in (ended, other):
        await store.deletions.delete(one, at_upstream=True, steady=NOW)
    await engine.close()

    store = await engine.open()
    removal, waiting = [Removal(one.id, one.request_id, one.spec.account, one.spec.origin) for one in (ended, other)]
    assert await store.deletions.removals() == [removal, waiting]
    assert await store.deletions.removal(ended.id) == removal
    assert await store.deletions.deleted("tenant", ended.id) is False
    await store.deletions.removed(removal)
    assert await store.deletions.removals() == [waiting]
    assert await store.deletions.removal(ended.id) is None
    assert [await store.deletions.deleted("tenant", one.id) for one in (ended, other)] == [True, False]


@pytest.mark.parametrize("is_adopted", [False, True])
async def test_a_stray_request_is_removed_with_its_generation_unless_it_was_adopted(
    store: Store, is_adopted: bool
) -> None:
    stray = examples.report("stray", State.QUEUED)
    read = await completed(store, "request")
    ended = await saved(store, read, examples.after(read, Accepted(stray)))
    await completed(store, "without a stray request")
    running = await queued(store, "running")
    await saved(store, running, examples.after(running, Accepted(examples.report("another stray", State.QUEUED))))
    assert await store.generations.ended_with_stray() == [ended]
    adoption = Claim(adopted(examples.generation(adopted=True).spec, stray, examples.moment()), None, b"")
    if is_adopted:
        await store.claims.claim(adoption)
    await store.deletions.delete(read, at_upstream=True, steady=NOW)  # the stray request came after it was read
    removal = await store.deletions.removal(ended.id)
    assert removal is not None
    assert (removal.request_id, removal.stray_request_id) == ("request", "" if is_adopted else "stray")
    if not is_adopted:
        with pytest.raises(RequestIdTakenError):
            await store.claims.claim(adoption)


@pytest.mark.parametrize("is_adopted", [False, True])
async def test_the_only_request_of_a_generation_is_removed_unless_it_was_adopted(
    store: Store, is_adopted: bool
) -> None:
    stray = examples.report("stray", State.QUEUED)
    read = await failed(store, idempotency_key="key")
    ended = await saved(store, read, examples.after(read, Accepted(stray)))
    if is_adopted:
        adoption = Claim(adopted(examples.generation(adopted=True).spec, stray, examples.moment()), None, b"")
        await store.claims.claim(adoption)
    await store.deletions.delete(read, at_upstream=True, steady=NOW)
    removal = Removal(ended.id, "", ended.spec.account, ended.spec.origin, "stray")
    assert await store.deletions.removals() == ([] if is_adopted else [removal])


async def test_the_delete_of_a_generation_without_its_key_is_recorded(store: Store) -> None:
    refused = await failed(store, idempotency_key="key")
    await store.deletions.delete(refused, at_upstream=False, steady=NOW)
    assert await store.deletions.deleted("tenant", refused.id) is False
    assert await store.deletions.deleted("another", refused.id) is None
    refused = await failed(store, idempotency_key="key")
    again = await stored(store, idempotency_key="key")
    await store.deletions.delete(refused, at_upstream=False, steady=NOW)  # leaves the key to the one that has it now
    await store.deletions.prune(ended_before=NOW + DAY, keys_before=NOW + DAY)
    known = await store.claims.known("tenant", "key", b"input")
    assert known == Claimed(again, new=False, generation_id=again.id)


async def test_a_request_of_a_deleted_generation_may_be_bound_again(store: Store) -> None:
    ended = await completed(store, "request")
    await store.deletions.delete(ended, at_upstream=False, steady=NOW)
    assert (await queued(store, "request")).request_id == "request"


async def test_prune_removes_old_generations_and_raises_the_horizon(store: Store) -> None:
    old = await completed(store, "old", at=1.0)
    young = await completed(store, "young", at=DAY)
    running = await queued(store, "running")
    assert await store.change_log.horizon("tenant") == 0
    last_of_old = (await all_changes(store))[2].position
    before = await all_changes(store)

    assert await store.deletions.prune(ended_before=NOW + DAY, keys_before=0.0) == 1
    assert await store.generations.get("tenant", old.id) is None
    assert await store.generations.get("tenant", young.id) == young
    assert await store.generations.get("tenant", running.id) == running
    assert await store.change_log.horizon("tenant") == last_of_old
    assert await all_changes(store) == before[3:]
    assert await store.change_log.horizon("another") == 0
    assert await store.deletions.prune(ended_before=NOW + DAY, keys_before=0.0) == 0


async def test_removals_in_any_order_never_lower_the_horizon(store: Store) -> None:
    first, second, last = [await completed(store, name, at=at) for name, at in (("a", 1.0), ("b", 2.0), ("c", DAY))]
    newest = await store.change_log.position()
    for one in (last, second):
        await store.deletions.delete(one, at_upstream=False, steady=NOW)
        assert await store.change_log.horizon("tenant") == newest
    await store.deletions.prune(NOW + 1.5, 0.0)
    assert await store.generations.get("tenant", first.id) is None
    assert await store.change_log.horizon("tenant") == newest

    # A removal has the time of its generation's end, so that the one that was made last is pruned first.
    removals = [one.position for one in await all_changes(store)]
    await store.deletions.prune(NOW + DAY, 0.0)
    assert await store.change_log.horizon("tenant") == removals[-1]
    await store.deletions.prune(NOW + 2 * DAY, 0.0)
    assert await all_changes(store) == []
    assert await store.change_log.horizon("tenant") == removals[-1]


async def test_removals_that_are_pruned_together_raise_the_horizon_to_the_last_one(store: Store) -> None:
    for one in [await completed(store, f"request {number}", at=1.0 + number) for number in range(3)]:
        await store.deletions.delete(one, at_upstream=False, steady=NOW)
    last = await store.change_log.position()
    await store.deletions.prune(NOW + DAY, 0.0)
    assert await store.change_log.horizon("tenant") == last


@pytest.mark.parametrize("pruned", [False, True], ids=["deleted", "pruned"])
async def test_a_removed_generation_leaves_no_webhooks_and_no_events(store: Store, pruned: bool) -> None:
    ended, kept = await completed(store, "request"), await completed(store, "kept", at=2 * DAY)
    for one in (ended, kept):
        await store.webhooks.store_webhook(webhook(one, "request:completed"), NOW)
        await store.events.record([(one.id, Event(NOW, "a call"))])
    if pruned:
        await store.deletions.prune(ended_before=NOW + DAY, keys_before=0.0)
    else:
        await store.deletions.delete(ended, at_upstream=False, steady=NOW)
    assert await store.generations.get("tenant", ended.id) is None
    late = await store.webhooks.store_webhook(webhook(ended, "request:failed"), NOW)  # it was received before
    assert late is not WebhookReceipt.KEPT
    assert [one.generation_id for one in await store.webhooks.unprocessed_webhooks()] == [kept.id]
    assert [len(await store.events.events(one.id)) for one in (ended, kept)] == [0, 1]


async def test_prune_removes_more_than_one_batch(store: Store) -> None:
    claims = [examples.claim() for _ in range(450)]
    await asyncio.gather(*map(store.claims.claim, claims))
    await asyncio.gather(
        *(store.generations.save(claim.generation, examples.after(claim.generation, CancelAsked())) for claim in claims)
    )
    assert await store.deletions.prune(NOW + DAY, 0.0) == 450
    assert await pages(store, Filter(), 100) == []


async def test_prune_removes_old_removals_and_raises_the_horizon(store: Store) -> None:
    ended = await completed(store, "request", at=1.0)
    await store.deletions.delete(ended, at_upstream=False, steady=NOW)
    removal = await store.change_log.position()
    await store.deletions.prune(NOW + DAY, 0.0)
    assert await all_changes(store) == []
    assert await store.change_log.horizon("tenant") == removal


async def test_keys_of_pruned_generations_are_kept_for_their_retention(store: Store) -> None:
    ended = await completed(store, "request", at=1.0, idempotency_key="key")
    await store.deletions.prune(ended_before=NOW + DAY, keys_before=NOW)
    again = await store.claims.claim(examples.claim(idempotency_key="key"))
    assert again == Claimed(None, new=False, generation_id=ended.id, deleted=True)

    await store.deletions.prune(ended_before=NOW + DAY, keys_before=NOW + 1)
    assert (await store.claims.claim(examples.claim(idempotency_key="key"))).new


async def test_keys_of_deleted_generations_are_kept_for_their_retention(store: Store) -> None:
    ended = await completed(store, "request", at=1.0, idempotency_key="key")
    await store.deletions.delete(ended, at_upstream=False, steady=NOW + 20 * DAY)
    await store.deletions.prune(ended_before=0.0, keys_before=NOW + 20 * DAY)
    assert (await store.claims.claim(examples.claim(idempotency_key="key"))).deleted

    await store.deletions.prune(ended_before=0.0, keys_before=NOW + 20 * DAY + 1)
    assert (await store.claims.claim(examples.claim(idempotency_key="key"))).new


async def test_prunable_returns_whether_prune_would_remove_anything(store: Store) -> None:
    generous, strict = (NOW, NOW), (NOW + DAY, NOW + DAY)
    assert not await store.deletions.prunable(*strict)
    await queued(store, "running")
    assert not await store.deletions.prunable(*strict)
    ended = await completed(store, "ended", at=1.0)
    assert (await store.deletions.prunable(*generous), await store.deletions.prunable(*strict)) == (False, True)
    await store.deletions.delete(ended, at_upstream=False, steady=NOW)  # leaves the change that records its removal
    assert (await store.deletions.prunable(*generous), await store.deletions.prunable(NOW + DAY, NOW)) == (False, True)
    await store.deletions.prune(NOW + DAY, NOW)  # leaves its key only
    assert (await store.deletions.prunable(NOW + DAY, NOW), await store.deletions.prunable(NOW, NOW + DAY)) == (
        False,
        True,
    )
    await store.deletions.prune(*strict)
    assert not await store.deletions.prunable(*strict)


async def test_prune_keeps_the_newest_run_times_of_each_model(store: Store) -> None:
    assert await store.accounts.run_times() == []
    await completed(store, "the oldest", model_id="often")
    runs = {"often": 649, "seldom": 3, "sometimes": 301}
    models = [model for model, number in runs.items() for _ in range(number)]
    await asyncio.gather(*(completed(store, f"{at}", at=5.0 + at, model_id=model) for at, model in enumerate(models)))
    before = [*await store.accounts.run_times()]
    assert Counter(one.model_id for one in before) == {"often": 300, "seldom": 3, "sometimes": 300}
    assert await store.deletions.prunable(0.0, 0.0)
    await store.deletions.prune(0.0, 0.0)
    assert not await store.deletions.prunable(0.0, 0.0)
    assert await store.accounts.run_times() == before
    await completed(store, "the newest", at=2.0, model_id="often")
    before.remove(next(one for one in before if one.model_id == "often"))
    assert await store.accounts.run_times() == [*before, RunTime("often", "", 1.0)]


async def test_a_key_is_kept_as_long_as_its_generation(store: Store) -> None:
    running = await queued(store, "request", idempotency_key="key")
    await completed(store, "old")
    assert await store.deletions.prune(ended_before=NOW + DAY, keys_before=NOW + DAY) == 1
    assert (await store.claims.claim(examples.claim(idempotency_key="key"))).generation_id == running.id


# -- Accounts, webhooks, restarts --------------------------------------------------------------------------------------


async def test_a_second_request_turns_repeats_off_for_its_account_permanently(store: Store, engine: Engine) -> None:
    for account in ("one", "one", "two"):
        known = await queued(store, f"first {len(await store.generations.unfinished())}", account=account)
        await saved(store, known, examples.after(known, Accepted(examples.report("second", State.QUEUED))))
    await engine.close()
    assert await (await engine.open()).accounts.accounts_without_repeats() == {"one", "two"}


async def test_a_late_request_of_a_lost_generation_does_not_turn_repeats_off(store: Store) -> None:
    waiting = await stored(store)
    sending = await saved(store, waiting, examples.marked(waiting))
    assert sending.marker is not None
    unknown = await saved(store, sending, examples.after(sending, Ambiguous(sending.marker, examples.REFUSAL, 0.0)))
    lost = await saved(store, unknown, examples.after(unknown, Expired(examples.REFUSAL)))
    late = await saved(store, lost, examples.after(lost, Accepted(examples.report("late", State.QUEUED))))
    assert late.stray_request_id == "late"
    assert await store.accounts.accounts_without_repeats() == frozenset()


def webhook(of: Generation, name: str) -> Webhook:
    return Webhook(of.id, name, "request", "completed")


async def test_a_webhook_is_stored_once_until_it_is_processed(store: Store, engine: Engine) -> None:
    delivery = webhook(await queued(store, "request"), "request:completed")
    others = [webhook(await queued(store, "another"), delivery.name), replace(delivery, name="request:failed")]
    assert [await store.webhooks.store_webhook(delivery, NOW), await store.webhooks.store_webhook(delivery, NOW)] == [
        WebhookReceipt.KEPT,
        WebhookReceipt.KNOWN,
    ]
    await engine.close()
    store = await engine.open()
    assert list(await store.webhooks.unprocessed_webhooks()) == [delivery]
    for number, other in enumerate(others, 1):
        assert await store.webhooks.store_webhook(other, NOW + number) is WebhookReceipt.KEPT
    await store.webhooks.finish_webhook(delivery)
    assert list(await store.webhooks.unprocessed_webhooks()) == others
    assert await store.webhooks.store_webhook(delivery, NOW) is WebhookReceipt.KNOWN
    for other in others:
        await store.webhooks.finish_webhook(other, again=True)
    assert list(await store.webhooks.unprocessed_webhooks()) == []
    assert await store.webhooks.store_webhook(delivery, NOW) is WebhookReceipt.KNOWN


async def test_an_unconfirmed_webhook_is_accepted_again_and_counts_towards_the_limit(store: Store) -> None:
    delivery = webhook(await queued(store, "request"), "request:completed")
    for _ in range(MAX_WEBHOOKS):
        assert await store.webhooks.store_webhook(delivery, NOW) is WebhookReceipt.KEPT
        assert list(await store.webhooks.unprocessed_webhooks()) == [delivery]
        await store.webhooks.finish_webhook(delivery, again=True)
        assert list(await store.webhooks.unprocessed_webhooks()) == []
    assert await store.webhooks.store_webhook(delivery, NOW) is WebhookReceipt.TOO_MANY
    other = webhook(await queued(store, "another"), "request:completed")
    assert await store.webhooks.store_webhook(other, NOW) is WebhookReceipt.KEPT


async def test_the_clock_continues_from_the_latest_of_all_times(store: Store) -> None:
    for after in (1.0, 3.0, 2.0):
        waiting = await stored(store, created_at=NOW + after)
    assert await store.times.newest_steady() == NOW + 3.0
    for after in (5.0, 4.0):
        await completed(store, f"request {after}", at=after)
    assert await store.times.newest_steady() == NOW + 5.0
    await saved(store, waiting, examples.after(waiting, Marked("owner"), 6.0))
    assert await store.times.newest_steady() == NOW + 6.0
    for since in (8.0, 7.0):
        await store.times.correct(Correction(Steady(NOW + since), 0.0, placed=False))
    assert await store.times.newest_steady() == NOW + 8.0


async def test_the_content_survives_a_restart(store: Store, engine: Engine) -> None:
    waiting = await stored(store, labels={"for": "später"})
    ended = await completed(store, "request")
    gone = await completed(store, "gone", tenant="another")
    await store.deletions.delete(gone, at_upstream=False, steady=NOW)
    epoch, position, changes = store.change_log.epoch, await store.change_log.position(), await all_changes(store)
    await engine.close()

    store = await engine.open()
    assert epoch
    assert (store.change_log.epoch, await store.change_log.position(), await all_changes(store)) == (
        epoch,
        position,
        changes,
    )
    assert await store.generations.unfinished() == [waiting]
    assert await store.generations.get("tenant", ended.id) == ended
    assert await store.generations.request(waiting.id) is not None
    assert await store.deletions.deleted("another", gone.id) is False


async def test_queued_writes_are_stored_when_the_store_is_closed(store: Store, engine: Engine) -> None:
    claims = [examples.claim() for _ in range(20)]
    writes = [asyncio.ensure_future(store.claims.claim(claim)) for claim in claims]
    await asyncio.sleep(0)  # lets the writes be queued
    await engine.close()
    assert all(claimed.new for claimed in await asyncio.gather(*writes))
    assert len(await (await engine.open()).generations.unfinished()) == 20


async def test_a_write_after_the_close_is_refused(store: Store, engine: Engine) -> None:
    closing = asyncio.ensure_future(engine.close())
    while not closing.done():
        with contextlib.suppress(StoreError):
            await store.claims.claim(examples.claim())
        await asyncio.sleep(0)  # a refusal does not wait
    with pytest.raises(StoreError):
        await store.claims.claim(examples.claim())


async def test_a_late_acceptance_of_an_ended_generation_is_kept(store: Store) -> None:
    waiting = await stored(store)
    ended = await saved(store, waiting, examples.after(waiting, CancelAsked()))
    late = await saved(store, ended, examples.after(ended, Accepted(examples.report("late", State.QUEUED))))
    found = await store.generations.get("tenant", ended.id)
    assert found == late
    assert found.stray_request_id == "late"
