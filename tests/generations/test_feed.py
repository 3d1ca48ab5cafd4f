"""The feed: exact at the edges of its memory; every waiter is woken by a change, and only by a change."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.concurrency import WAKE_BATCH_SIZE, set_signal
from gateway.generations.model import Change, Generation, Spec, State
from gateway.generations.stores import Saved
from gateway.generations.watching import feed as feed_module
from gateway.generations.watching.feed import RECENT_CHANGES, REPLACE_BATCH_SIZE, Feed

START = 500
"""The position of the store when the feed is created: earlier changes are not in memory."""


def live(name: str = "id", tenant: str = "tenant") -> Generation:
    spec = Spec(
        id=name, tenant=tenant, model_id="example/model", api="v2", account="account",
        origin="https://api.example.invalid", input=b"", labels={}, idempotency_key=name, create_time=1.0,
        created_at=1.0,
    )  # fmt: skip
    return Generation(spec)


def saved(generation: Generation, position: int) -> Saved:
    """Return the generation's commit at a position."""
    return Saved(generation.id, generation, Change(position, generation.tenant, generation.id, generation))


def changed(generation: Generation, **changes: object) -> Generation:
    """Return the generation's next revision."""
    number = {"version": generation.version + 1, "revision": generation.revision + 1}
    return replace(generation, **(number | changes))  # type: ignore[arg-type]


def positions(feed: Feed, after: int, limit: int = 10 * RECENT_CHANGES, tenant: str = "tenant") -> list[int] | None:
    found = feed.recent(tenant, after, limit)
    return None if found is None else [change.position for change in found]


def filled(count: int) -> Feed:
    """Return a feed that has published `count` changes since its start."""
    feed = Feed(position=START)
    feed.publish([saved(live(), START + number) for number in range(1, count + 1)])
    return feed


# -- recent(): what memory holds, and where it ends --------------------------------------------------------------------


@pytest.mark.parametrize(
    "count", [0, 1, RECENT_CHANGES - 1, RECENT_CHANGES, RECENT_CHANGES + 1, 2 * RECENT_CHANGES + 7]
)
def test_recent_returns_exactly_the_remembered_changes(count: int) -> None:
    feed = filled(count)
    newest = START + count
    oldest_known = max(START, newest - RECENT_CHANGES)  # the last position that is not in memory

    assert feed.position == newest
    assert positions(feed, oldest_known) == list(range(oldest_known + 1, newest + 1))
    assert positions(feed, oldest_known - 1) is None
    assert positions(feed, newest) == []
    if count:
        assert positions(feed, newest - 1) == [newest]


def test_recent_is_exact_if_positions_have_gaps() -> None:
    """Gaps are positions of other tenants or of rolled-back commits: what counts is the last dropped position."""
    feed = Feed(position=0)
    feed.publish([saved(live(), 3 * number) for number in range(1, RECENT_CHANGES + 2)])
    dropped = 3
    assert positions(feed, dropped - 1) is None
    for after in (dropped, dropped + 1, dropped + 2):
        found = positions(feed, after)
        assert found is not None
        assert (found[0], len(found)) == (6, RECENT_CHANGES)


def test_recent_holds_no_more_than_a_number_of_bytes_of_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ended generations with the largest inputs would fill the gateway's memory."""
    monkeypatch.setattr(feed_module, "RECENT_BYTES", 1_000)
    feed = Feed(position=START)
    large = replace(live(), spec=replace(live().spec, input=b"x" * 300))
    feed.publish([saved(replace(large, spec=replace(large.spec, id=str(n))), START + n) for n in range(1, 8)])
    assert positions(feed, START + 3) is None
    assert positions(feed, START + 4) == [START + 5, START + 6, START + 7]
    feed.publish([removal("6", START + 8), removal("7", START + 9)])  # their inputs are forgotten
    feed.publish([saved(large, START + 10), saved(large, START + 11)])
    assert [change.position for change in feed._recent] == [START + number for number in range(5, 12)]


def test_recent_returns_the_tenants_changes_oldest_first_up_to_a_limit() -> None:
    feed = Feed(position=START)
    tenants = ["tenant", "another"] * 10
    feed.publish([saved(live(tenant=tenant), START + n) for n, tenant in enumerate(tenants, start=1)])
    assert positions(feed, START) == [START + n for n in range(1, 21, 2)]
    assert positions(feed, START, limit=3) == [START + 1, START + 3, START + 5]
    assert positions(feed, START, tenant="another") == [START + n for n in range(2, 21, 2)]
    assert positions(feed, START, tenant="unknown") == []


@pytest.mark.parametrize("step", [199, RECENT_CHANGES])
def test_reading_in_steps_returns_every_change_once(step: int) -> None:
    feed = filled(RECENT_CHANGES)
    after, seen = START, []
    while found := positions(feed, after, step):
        seen.extend(found)
        after = found[-1]
    assert seen == list(range(START + 1, START + RECENT_CHANGES + 1))


# -- Entries -----------------------------------------------------------------------------------------------------------


def test_entries_are_the_generations_that_have_not_ended() -> None:
    old, young = live("old"), live("young")
    feed = Feed([old], START)
    feed.publish([saved(young, START + 1)])
    assert set(feed.entries) == {"old", "young"}
    feed.publish([saved(changed(old, state=State.COMPLETED), START + 2), Saved("young", None, None)])
    assert not feed.entries
    feed.publish([saved(changed(old, state=State.COMPLETED), START + 3)])
    assert not feed.entries  # a late commit of an ended generation does not restore its entry


async def test_the_live_generations_of_a_tenant_are_found_without_those_of_others() -> None:
    feed = Feed([live("mine"), live("other", tenant="other")], START)
    feed.publish([saved(live("young"), START + 1), saved(changed(live("mine")), START + 2)])
    assert [(one.id, one.revision) for one in feed.entries.of_tenant("tenant")] == [("mine", 2), ("young", 1)]
    feed.entries.get("young")
    feed.publish([Saved("mine", None, None)])
    assert [one.id for one in feed.entries.of_tenant("tenant")] == ["young"]
    await feed.replace([live("other", tenant="other")])
    assert feed.entries.of_tenant("tenant") == []
    assert [one.id for one in feed.entries.of_tenant("other")] == ["other"]


async def test_a_tenant_is_forgotten_with_its_last_watcher() -> None:
    feed = Feed([live("id")], START)
    first, second = feed.signal("tenant"), feed.signal("tenant")
    feed.drop("tenant", first)
    assert feed.is_watched(feed.entries["id"])
    feed.publish([saved(changed(live("id")), START + 1)])
    assert second.done()
    feed.drop("tenant", second)
    assert not feed.is_watched(feed.entries["id"])
    assert feed._tenants == {}
    third, fourth = feed.signal("tenant"), feed.signal("tenant")
    feed.wake_all()
    feed.drop("tenant", third)
    feed.drop("tenant", fourth)
    assert feed._tenants == {}


def test_an_entry_is_made_when_it_is_asked_for_and_kept() -> None:
    feed = Feed([live("old")], START)
    feed.publish([saved(live("young"), START + 1), saved(changed(live("old")), START + 2)])
    assert {one.id: one.revision for one in feed.entries.generations()} == {"old": 2, "young": 1}
    assert "old" in feed.entries
    assert feed.spec("old") is not None
    assert not [*feed.entries.created()]
    entry = feed.entries["old"]
    assert [*feed.entries.created()] == [entry]
    feed.publish([saved(changed(entry.generation), START + 3)])
    assert feed.entries.get("old") is entry
    assert entry.generation.revision == 3


@pytest.mark.parametrize(("counted", "stored", "shown"), [(0, 3, 3), (5, 3, 5)], ids=["by another replica", "here"])
def test_an_entry_counts_all_status_calls(counted: int, stored: int, shown: int) -> None:
    feed = filled(1)
    entry = feed.entries["id"]
    for _ in range(counted):
        entry.count_poll()
    feed.publish([saved(changed(live(), state=State.IN_PROGRESS, polls=stored), START + 2)])
    assert feed.entries["id"].polls == shown


def test_a_status_call_that_responds_when_the_end_is_stored_does_not_count() -> None:
    """Watchers of the end get the number of status calls that is stored with it, as all who read it later."""
    feed = filled(1)
    entry = feed.entries["id"]
    entry.count_poll()
    entry.count_poll()
    feed.publish([saved(changed(live(), state=State.CANCELED, polls=1), START + 2)])
    entry.count_poll()
    assert (entry.generation.done, entry.polls) == (True, 1)


async def test_a_takeover_keeps_entries_and_takes_the_stored_versions() -> None:
    feed = Feed([live("asked"), live("not asked"), live("gone")], START)
    entry, gone = feed.entries["asked"], feed.entries["gone"]
    waiter, of_gone = entry.signal(), gone.signal()
    await feed.replace([replace(live("asked"), version=2, polls=7), changed(live("not asked")), live("new")])
    assert {one.id: one.version for one in feed.entries.generations()} == {"asked": 2, "not asked": 2, "new": 1}
    assert feed.entries["asked"] is entry
    assert (entry.polls, waiter.done(), of_gone.done()) == (7, False, True)


@pytest.mark.parametrize("asked", [True, False])
async def test_a_takeover_takes_a_stored_version_that_is_older(*, asked: bool) -> None:
    """A failover may lose the change that a replica has read."""
    feed = Feed([changed(live("id"))], START)
    if asked:
        assert feed.entries["id"].generation.revision == 2
    await feed.replace([live("id")])
    assert feed.entries["id"].generation.revision == 1


async def test_a_takeover_of_many_generations_gives_other_tasks_turns() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    await Feed().replace([live(f"{number}") for number in range(3 * REPLACE_BATCH_SIZE)])
    counting.cancel()
    assert turns == 2


async def test_a_change_wakes_waiters_and_a_marker_does_not() -> None:
    generation = live()
    feed = Feed([generation], START)
    entry = feed.entries["id"]
    entry.full = entry.bare = b"wire form"
    one, all_of_them = entry.signal(), feed.signal("tenant")

    feed.publish([Saved("id", replace(generation, version=2), None)])
    assert [one.done(), all_of_them.done()] == [False, False]
    assert [entry.full, entry.bare] == [b"wire form"] * 2
    assert entry.generation.version == 2

    feed.publish([saved(changed(generation), START + 1)])
    assert [one.done(), all_of_them.done()] == [True, True]
    assert [entry.full, entry.bare] == [None, None]


async def test_an_end_wakes_waiters_though_its_entry_is_removed() -> None:
    generation = live()
    feed = Feed([generation], START)
    entry = feed.entries["id"]
    signal = entry.signal()
    feed.publish([saved(changed(generation, state=State.FAILED), START + 1)])
    assert signal.done()
    assert entry.generation.done  # a waiter that holds the entry sees the end


async def test_dropped_signals_are_not_set() -> None:
    feed = Feed([live()], START)
    entry = feed.entries["id"]
    kept, dropped = entry.signal(), entry.signal()
    others_kept, others_dropped = feed.signal("tenant"), feed.signal("tenant")
    entry.drop(dropped)
    feed.drop("tenant", others_dropped)
    feed.publish([saved(changed(live()), START + 1)])
    assert [s.done() for s in (kept, dropped, others_kept, others_dropped)] == [True, False, True, False]
    entry.drop(kept)
    feed.drop("tenant", others_kept)  # already set: there is nothing to drop


async def test_a_signal_set_by_a_timeout_can_be_dropped() -> None:
    feed = Feed([live()], START)
    entry = feed.entries["id"]
    one, of_tenant = entry.signal(), feed.signal("tenant")
    assert feed.is_watched(entry)
    set_signal(one)
    set_signal(of_tenant)
    entry.drop(one)
    feed.drop("tenant", of_tenant)
    assert not feed.is_watched(entry)


async def test_a_change_of_another_tenant_does_not_wake_a_waiter() -> None:
    feed = Feed(position=START)
    mine = feed.signal("tenant")
    feed.publish([saved(live(tenant="another"), START + 1)])
    assert not mine.done()


async def test_a_drain_wakes_all_waiters() -> None:
    feed = Feed([live()], START)
    signals = [feed.entries["id"].signal(), feed.signal("tenant"), feed.signal("another")]
    feed.wake_all()
    assert all(signal.done() for signal in signals)


async def test_a_removal_without_the_end_wakes_waiters_and_sends_watchers_to_the_store() -> None:
    """A replica reads the log after both, and the removal has removed the end."""
    removed, other = live("removed"), live("other")
    feed = Feed([removed, other], START)
    entry = feed.entries["removed"]
    waiter = entry.signal()
    end, removal = START + 1, START + 3
    feed.publish([saved(changed(other), START + 2), Saved("removed", None, Change(removal, "tenant", "removed", None))])
    assert waiter.done()
    assert positions(feed, end) is None
    assert positions(feed, removal) == []


def removal(name: str, position: int) -> Saved:
    """Return the deletion of a generation at a position."""
    return Saved(name, None, Change(position, "tenant", name, None))


def test_removed_generations_are_forgotten_even_if_they_were_announced_with_their_removal() -> None:
    feed = Feed(position=START)
    ended = changed(live("early"), state=State.COMPLETED)
    feed.publish([saved(ended, START + 1), saved(live("kept"), START + 2)])
    late = changed(live("late"), state=State.COMPLETED)
    feed.publish([saved(late, START + 3), removal("early", START + 4), removal("late", START + 5)])

    assert positions(feed, START + 2) is None  # behind a removed change
    found = feed.recent("tenant", START + 3, RECENT_CHANGES)
    assert found is not None
    assert [(change.position, change.generation) for change in found] == [(START + 4, None), (START + 5, None)]


def test_watchers_behind_a_removed_change_read_from_the_store_also_when_memory_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise they would not notice that they have missed the end of a generation."""
    monkeypatch.setattr(feed_module, "RECENT_CHANGES", 5)
    feed = filled(4)
    feed.publish([saved(changed(live("removed"), state=State.COMPLETED), START + 5), removal("removed", START + 6)])
    feed.publish([saved(live(), START + number) for number in range(7, 10)])
    assert positions(feed, START + 4) is None
    assert positions(feed, START + 5) == [START + number for number in range(6, 10)]


def test_many_removals_at_once_cost_one_pass_over_the_recent_changes() -> None:
    """A replica reads many changes at once, and a tenant may delete as fast as it can."""

    class Counted(deque[Change]):
        passes = 0

        def __iter__(self) -> Iterator[Change]:
            self.passes += 1
            return super().__iter__()

    feed = filled(RECENT_CHANGES)
    feed._recent = counted = Counted(feed._recent, maxlen=RECENT_CHANGES)
    feed.publish([removal(f"gone-{number}", START + RECENT_CHANGES + number) for number in range(1, 501)])
    assert counted.passes == 1


async def test_many_waiters_are_woken_in_order_and_leave_turns_to_other_tasks() -> None:
    feed = Feed(position=START)
    count = 3 * WAKE_BATCH_SIZE
    signals = [feed.signal("tenant") for _ in range(count)]
    signals[-1].cancel()  # its waiter has left
    feed.publish([saved(live(), START + 1)])
    given = []
    while not all(signal.done() for signal in signals):
        given.append(sum(signal.done() for signal in signals[:-1]))
        assert all(signal.done() for signal in signals[: given[-1]])
        await asyncio.sleep(0)
    assert given == [WAKE_BATCH_SIZE, 2 * WAKE_BATCH_SIZE]
    late = feed.signal("tenant")
    assert not late.done()
