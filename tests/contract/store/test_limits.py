"""Limits: what a claim reserves and an end settles, exactly, in the commits of the generations, on every engine."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.generations.clock import Ids
from gateway.generations.limits.model import (
    MILLION,
    Exceeded,
    LimitExceededError,
    Limits,
    SubjectLimits,
    SubmissionTime,
    UnpricedError,
    Use,
    limit_error,
)
from gateway.generations.limits.usage import UsageQuery
from gateway.generations.model import Generation, Source, State, Steady, Wall
from gateway.generations.state import Accepted, Ambiguous, CancelAsked, Expired, Missing, Reported, adopted
from gateway.generations.stores import Claim, Claimed, StoreError
from gateway.store import reads
from gateway.store.store import Store
from tests.contract.store.examples import (
    NOW,
    REFUSAL,
    accepted,
    after,
    claim,
    generation,
    marked,
    moment,
    refused,
    report,
    reported,
)

DAY, NEXT_DAY, NEXT_MONTH = "2026-11-29", "2026-11-30", "2026-12-01"
MINUTE = 29_000_000


def priced(price: int | None = MILLION, day: str = DAY, minute: int = MINUTE, **spec: object) -> Claim:
    return replace(claim(price=price, **spec), submission_time=SubmissionTime(day, minute))


async def claimed(store: Store, wanted: Claim) -> Generation:
    result = await store.claims.claim(wanted)
    assert result.new
    assert result.generation is not None
    return result.generation


async def use(store: Store, subject: str = "tenant", tenant: str = "tenant") -> Use:
    (found,) = [one.use for one in await store.limits.limits(tenant) if one.subject == subject]
    return found


async def save(store: Store, before: Generation, now: Generation) -> Generation:
    assert await store.generations.save(before, now)
    return now


async def set_limits(store: Store, subject: str = "tenant", day: str = DAY, **limits: int) -> None:
    await store.limits.set_limits("tenant", subject, Limits(**limits), day)


async def refusal(store: Store, wanted: Claim) -> Exceeded:
    with pytest.raises(LimitExceededError) as error:
        await store.claims.claim(wanted)
    assert await store.claims.known("tenant", wanted.generation.spec.idempotency_key, b"input") is None
    return error.value.exceeded


async def test_a_budget_is_spent_to_the_last_millionth_and_no_further(store: Store) -> None:
    await set_limits(store, credits_per_day=3 * MILLION)
    first = priced()
    await claimed(store, first)
    await claimed(store, priced(2 * MILLION - 1))
    over = await refusal(store, priced(2))
    assert (over.limit, over.allowed, over.used, over.needed) == ("credits_per_day", 3_000_000, 2_999_999, 2)
    assert over.resets_at is not None
    assert over.resets_at.isoformat() == "2026-11-30T00:00:00+00:00"
    await claimed(store, priced(1))
    again = await store.claims.claim(first)
    assert again.generation == first.generation  # a repeat is never refused
    assert (await use(store)).day_reserved == 3 * MILLION


async def test_a_budget_of_december_resets_in_the_next_year(store: Store) -> None:
    await set_limits(store, day="2026-12-31", credits_per_month=MILLION)
    await claimed(store, priced(day="2026-12-31"))
    assert (await refusal(store, priced(day="2026-12-31"))).resets_at == datetime(2027, 1, 1, tzinfo=UTC)


async def test_nothing_is_left_of_a_limit_that_was_lowered(store: Store) -> None:
    for _ in range(2):
        await claimed(store, priced())
    await set_limits(store, in_flight=1)
    over = await refusal(store, priced())
    assert (over.allowed, over.used) == (1, 2)
    assert limit_error(over, NOW).failure.metadata["left"] == "0"


@pytest.mark.parametrize("limit", ["submissions_per_minute", "in_flight", "credits_per_day", "credits_per_month"])
async def test_no_retry_is_advised_if_a_submission_exceeds_the_whole_limit(store: Store, limit: str) -> None:
    await set_limits(store, **{limit: 0})
    refused = limit_error(await refusal(store, priced()), NOW).failure
    assert not refused.retryable
    assert refused.retry_after is None
    assert "resets_at" not in refused.metadata
    assert "resets at" not in refused.message


async def test_of_several_limits_the_one_that_is_exceeded_for_the_longest_time_is_reported(store: Store) -> None:
    """The caller would wait for the others in vain."""
    await set_limits(store, "label:team=a", submissions_per_minute=1)
    await claimed(store, priced(labels={"team": "a"}))
    limits = {}
    for name, most in (("credits_per_day", MILLION), ("credits_per_month", MILLION // 2)):
        limits[name] = most
        await set_limits(store, **limits)
        refused = limit_error(await refusal(store, priced(labels={"team": "a"})), NOW).failure
        assert (refused.metadata["limit"], refused.retryable, refused.retry_after) == (name, False, None)


async def test_parallel_claims_never_exceed_a_budget(store: Store) -> None:
    await set_limits(store, credits_per_day=50 * MILLION)
    await set_limits(store, "label:team=a", credits_per_month=20 * MILLION)
    wanted = [priced(labels={"team": "a"} if number % 2 else {}) for number in range(200)]
    results = await asyncio.gather(*map(store.claims.claim, wanted), return_exceptions=True)
    stored = [one.generation for one in results if isinstance(one, Claimed) and one.new]
    refused = [one for one in results if isinstance(one, LimitExceededError)]
    assert (len(stored), len(refused)) == (50, 150)
    assert len([one for one in stored if one and one.spec.labels]) == 20
    assert (await use(store)).day_reserved == 50 * MILLION
    assert (await use(store, "label:team=a")).month_reserved == 20 * MILLION
    assert (await use(store)).running == 50


@pytest.mark.parametrize("limit", ["in_flight", "submissions_per_minute"])
async def test_parallel_claims_never_exceed_a_count(store: Store, limit: str) -> None:
    await set_limits(store, **{limit: 5})
    wanted = [priced() for _ in range(20)]
    results = await asyncio.gather(*map(store.claims.claim, wanted), return_exceptions=True)
    assert len([one for one in results if isinstance(one, Claimed) and one.new]) == 5
    assert len([one for one in results if isinstance(one, LimitExceededError)]) == 15


@pytest.mark.parametrize("limit", ["credits_per_day", "credits_per_month"])
async def test_a_budget_counts_what_is_reserved_and_what_is_spent(store: Store, limit: str) -> None:
    await set_limits(store, **{limit: 3 * MILLION})
    first = priced()
    sent = await claimed(store, replace(first, generation=marked(first.generation)))
    queued = await save(store, sent, accepted(sent, "request"))
    await save(store, queued, reported(queued, State.COMPLETED))
    await claimed(store, priced())
    over = await refusal(store, priced(2 * MILLION))
    assert (over.limit, over.used) == (limit, 2 * MILLION)


async def test_the_end_settles_what_was_reserved(store: Store) -> None:
    await set_limits(store, credits_per_month=100 * MILLION)
    sent = [await claimed(store, replace(one, generation=marked(one.generation))) for one in map(priced, [MILLION] * 5)]
    queued = [await save(store, one, accepted(one, f"r{index}")) for index, one in enumerate(sent[:2])]
    await save(store, queued[0], reported(queued[0], State.COMPLETED))
    assert await use(store) == Use(MINUTE, 5, 4, DAY, 4 * MILLION, MILLION, 4 * MILLION, MILLION)
    await save(store, queued[1], reported(queued[1], State.NSFW))
    failed = await save(store, sent[2], refused(sent[2]))
    assert sent[3].marker is not None
    theirs = priced(tenant="other")
    sent.append(await claimed(store, replace(theirs, generation=marked(theirs.generation))))
    uncertain = [await save(store, one, after(one, Ambiguous(one.marker, REFUSAL, 0.0))) for one in sent[3:]]
    assert await use(store) == Use(MINUTE, 5, 2, DAY, 2 * MILLION, MILLION, 2 * MILLION, MILLION)
    days = [SubjectLimits("tenant", "tenant", Limits(), Use(day=day)) for day in ("", DAY, "9999-12-01")]
    of_key = SubjectLimits("tenant", "key:k", Limits(), Use(day=""))
    assert await store.limits.uncertain_credits([*days, of_key]) == [2 * MILLION, 2 * MILLION, 0, 0]
    lost = await save(store, uncertain[0], after(uncertain[0], Expired(REFUSAL)))
    late = after(lost, Accepted(report("late", State.QUEUED)))
    await save(store, lost, late)  # the request of the lost one, which is spent already
    assert await use(store) == Use(MINUTE, 5, 1, DAY, MILLION, 2 * MILLION, MILLION, 2 * MILLION)
    found = await save(store, uncertain[1], accepted(uncertain[1], "found"))
    twice = after(found, Accepted(report("second", State.QUEUED)))
    await save(store, found, twice)  # a stray request may be charged as well
    assert (await use(store)).day_spent == 3 * MILLION
    await save(store, failed, after(failed, Accepted(report("refused and accepted", State.QUEUED))))
    assert (await use(store)).day_spent == 4 * MILLION
    assert await store.limits.uncertain_credits(days[:1]) == [0]  # it runs


async def test_an_end_settles_each_limit_that_applies_once_and_no_other(store: Store) -> None:
    await set_limits(store, credits_per_day=9 * MILLION)
    for subject in ("label:team=a", "label:team=b", "key:k"):
        await set_limits(store, subject, credits_per_day=9 * MILLION)
    first, second, _ = [
        await claimed(store, priced(labels={"team": team, "for": "c"}, key_id="k")) for team in ("a", "a", "b")
    ]
    await save(store, first, after(first, CancelAsked()))
    queued = await save(store, second, accepted(second, "request"))
    await save(store, queued, reported(queued, State.COMPLETED))
    both = Use(MINUTE, 3, 1, DAY, MILLION, MILLION, MILLION, MILLION)
    assert (await use(store), await use(store, "key:k")) == (both, both)
    assert await use(store, "label:team=a") == Use(MINUTE, 2, 0, DAY, 0, MILLION, 0, MILLION)
    assert await use(store, "label:team=b") == Use(MINUTE, 1, 1, DAY, MILLION, 0, MILLION, 0)


async def test_ends_at_the_same_time_are_settled_by_tenant_and_day(store: Store) -> None:
    for tenant in ("tenant", "other"):
        await store.limits.set_limits(tenant, "tenant", Limits(credits_per_day=9 * MILLION), DAY)
    ends = []
    for day, tenant in ((DAY, "other"), (DAY, "tenant"), (NEXT_DAY, "tenant"), (NEXT_MONTH, "tenant")):
        waiting, sent, _ = [await claimed(store, priced(day=day, tenant=tenant)) for _ in range(3)]
        queued = await save(store, sent, accepted(sent, f"request {tenant} {day}"))
        ends += [(waiting, after(waiting, CancelAsked())), (queued, reported(queued, State.COMPLETED))]
    await asyncio.gather(*(save(store, *end) for end in ends))  # PostgreSQL stores them in one statement or two
    assert await use(store) == Use(MINUTE, 9, 3, NEXT_MONTH, MILLION, MILLION, MILLION, MILLION)
    assert await use(store, tenant="other") == Use(MINUTE, 3, 1, DAY, MILLION, MILLION, MILLION, MILLION)


async def test_days_and_months_begin_and_never_go_back(store: Store) -> None:
    await set_limits(store, credits_per_day=2 * MILLION, credits_per_month=3 * MILLION)
    waiting = await claimed(store, priced(2 * MILLION))
    await refusal(store, priced(day=""))  # an unknown day is the last known one
    today = await claimed(store, priced(day=NEXT_DAY))
    over = await refusal(store, priced(day=NEXT_DAY))
    assert over.limit == "credits_per_month"
    assert over.resets_at is not None
    assert over.resets_at.isoformat() == "2026-12-01T00:00:00+00:00"
    await save(store, waiting, after(waiting, CancelAsked()))  # of the day before
    assert await use(store) == Use(MINUTE, 2, 1, NEXT_DAY, MILLION, 0, MILLION, 0)
    sent = await claimed(store, priced(day=DAY))  # a clock that is behind: the day continues
    assert await use(store) == Use(MINUTE, 3, 2, NEXT_DAY, 2 * MILLION, 0, 2 * MILLION, 0)
    queued = await save(store, sent, accepted(sent, "request"))
    await save(store, queued, reported(queued, State.COMPLETED))
    assert await use(store) == Use(MINUTE, 3, 1, NEXT_DAY, MILLION, MILLION, MILLION, MILLION)
    await claimed(store, priced(2 * MILLION, day=NEXT_MONTH))
    await save(store, today, after(today, CancelAsked()))  # of the month before
    assert await use(store) == Use(MINUTE, 4, 1, NEXT_MONTH, 2 * MILLION, 0, 2 * MILLION, 0)


async def test_a_claim_without_a_day_belongs_to_the_last_known_day_of_all_that_applies(store: Store) -> None:
    for subject in ("tenant", "key:k"):
        await set_limits(store, subject, credits_per_day=MILLION)
    await claimed(store, priced(key_id="k"))
    await set_limits(store, credits_per_day=2 * MILLION)
    await claimed(store, priced(day=NEXT_DAY, key_id="another"))
    await claimed(store, priced(day="", key_id="k"))  # by a process that does not know Higgsfield's time
    assert await use(store, "key:k") == Use(MINUTE, 2, 2, NEXT_DAY, MILLION, 0, 2 * MILLION, 0)
    over = await refusal(store, priced(day="", key_id="k"))
    assert (over.subject, over.used, over.resets_at) == ("key:k", MILLION, datetime(2026, 12, 1, tzinfo=UTC))
    await set_limits(store, "key:another", day="", credits_per_day=MILLION)
    assert await use(store, "key:another") == Use(0, 0, 1, NEXT_DAY, MILLION, 0, MILLION, 0)


async def test_a_day_ahead_of_one_tenant_is_not_that_of_others(store: Store) -> None:
    for tenant in ("tenant", "other"):
        await store.limits.set_limits(tenant, "tenant", Limits(credits_per_day=3 * MILLION), DAY)
    await claimed(store, priced(2 * MILLION, tenant="other"))
    await claimed(store, priced(day=NEXT_MONTH))
    # PostgreSQL stores the second and the third in one statement.
    wanted = [priced(tenant="third"), priced(), priced(2 * MILLION, tenant="other")]
    *_, over = await asyncio.gather(*map(store.claims.claim, wanted), return_exceptions=True)
    assert isinstance(over, LimitExceededError)
    days = {one.tenant: (one.use.day, one.use.day_reserved) for one in await store.limits.limits()}
    assert days == {"tenant": (NEXT_MONTH, 2 * MILLION), "other": (DAY, 2 * MILLION)}
    wanted = [priced(tenant="third"), priced(0), priced(0, tenant="other")]
    await asyncio.gather(*map(store.claims.claim, wanted))
    assert days == {one.tenant: (one.use.day, one.use.day_reserved) for one in await store.limits.limits()}


async def test_what_was_counted_before_the_first_day_belongs_to_it(store: Store) -> None:
    await set_limits(store, day="", credits_per_day=9 * MILLION, credits_per_month=20 * MILLION)
    await set_limits(store, "label:team=a", day="", credits_per_day=9 * MILLION)
    await store.limits.set_limits("other", "tenant", Limits(credits_per_day=9 * MILLION), "")
    theirs = await claimed(store, priced(day="", tenant="other"))
    labels = {"team": "a"}
    early = [await claimed(store, priced(day="", labels=labels)) for _ in range(4)]
    await save(store, early[0], after(early[0], CancelAsked()))
    assert await use(store) == Use(MINUTE, 4, 3, "", 3 * MILLION, 0, 3 * MILLION, 0)
    assert (await refusal(store, priced(7 * MILLION))).used == 3 * MILLION  # of the day and the month before, too
    await claimed(store, priced(6 * MILLION))  # the first one with a day
    assert await use(store) == Use(MINUTE, 5, 4, DAY, 9 * MILLION, 0, 9 * MILLION, 0)
    assert await use(store, "label:team=a") == Use(MINUTE, 4, 3, DAY, 3 * MILLION, 0, 3 * MILLION, 0)
    await refusal(store, priced(1))
    await save(store, early[1], after(early[1], CancelAsked()))
    queued = await save(store, early[2], accepted(early[2], "request"))
    await save(store, queued, reported(queued, State.COMPLETED))
    assert await use(store) == Use(MINUTE, 5, 2, DAY, 7 * MILLION, MILLION, 7 * MILLION, MILLION)
    assert await use(store, "label:team=a") == Use(MINUTE, 4, 1, DAY, MILLION, MILLION, MILLION, MILLION)
    await claimed(store, priced(day=NEXT_DAY))
    await save(store, early[3], after(early[3], CancelAsked()))  # of the day before, and of this month
    assert await use(store) == Use(MINUTE, 6, 2, NEXT_DAY, MILLION, 0, 7 * MILLION, MILLION)
    assert await use(store, tenant="other") == Use(MINUTE, 1, 1, "", MILLION, 0, MILLION, 0)
    await claimed(store, priced(0, day=NEXT_MONTH, tenant="other"))
    await save(store, theirs, after(theirs, CancelAsked()))
    assert await use(store, tenant="other") == Use(MINUTE, 2, 1, NEXT_MONTH)


async def test_the_first_day_of_a_limit_changes_no_day_that_was_known(store: Store) -> None:
    await set_limits(store, "key:a", day="", credits_per_day=9 * MILLION)
    await claimed(store, priced(key_id="b"))
    await claimed(store, priced(day=NEXT_DAY, key_id="a"))
    await set_limits(store, "key:b", day=NEXT_DAY, credits_per_day=9 * MILLION)
    assert await use(store, "key:b") == Use(0, 0, 1, NEXT_DAY, 0, 0, MILLION, 0)


async def test_the_first_day_of_a_limit_is_not_that_of_a_limit_with_an_earlier_one(store: Store) -> None:
    await set_limits(store, "key:b", credits_per_day=9 * MILLION)
    await set_limits(store, "key:a", day="", credits_per_day=9 * MILLION)
    await claimed(store, priced(key_id="b"))
    await claimed(store, priced(day=NEXT_DAY, key_id="a"))
    assert (await use(store, "key:a")).day == NEXT_DAY
    assert await use(store, "key:b") == Use(MINUTE, 1, 1, DAY, MILLION, 0, MILLION, 0)


@pytest.mark.parametrize("day", ["", DAY])
async def test_a_new_budget_counts_what_was_submitted_before_the_first_day(store: Store, day: str) -> None:
    for tenant, subject in (("tenant", "tenant"), ("other", "tenant"), ("other", "label:team=a")):
        await store.limits.set_limits(tenant, subject, Limits(credits_per_day=9 * MILLION), "")
    waiting = await claimed(store, priced(day="", labels={"team": "a"}))
    theirs = await claimed(store, priced(day="", tenant="other"))
    await claimed(store, priced(day=NEXT_DAY, tenant="third"))
    await set_limits(store, "label:team=a", day=day, credits_per_day=9 * MILLION)
    assert await use(store, "label:team=a") == Use(0, 0, 1, day, MILLION, 0, MILLION, 0)
    assert await use(store) == Use(MINUTE, 1, 1, day, MILLION, 0, MILLION, 0)
    await claimed(store, priced(labels={"team": "a"}))
    await save(store, waiting, after(waiting, CancelAsked()))
    assert await use(store, "label:team=a") == Use(MINUTE, 1, 1, DAY, MILLION, 0, MILLION, 0)
    assert await use(store) == Use(MINUTE, 2, 1, DAY, MILLION, 0, MILLION, 0)
    assert await use(store, tenant="other") == Use(MINUTE, 1, 1, "", MILLION, 0, MILLION, 0)
    await claimed(store, priced(0, day=NEXT_DAY, tenant="other"))
    await save(store, theirs, after(theirs, CancelAsked()))
    assert await use(store, tenant="other") == Use(MINUTE, 2, 1, NEXT_DAY)


async def test_counts_limit_the_minute_and_what_is_in_flight(store: Store) -> None:
    await set_limits(store, submissions_per_minute=2)
    await set_limits(store, "key:a", in_flight=1)
    first = await claimed(store, priced(None, key_id="a"))
    over = await refusal(store, priced(None, key_id="a"))
    assert (over.limit, over.subject, over.allowed, over.used) == ("in_flight", "key:a", 1, 1)
    await claimed(store, priced(None, minute=MINUTE - 1))  # another process, just before the minute
    over = await refusal(store, priced(None))
    assert over.limit == "submissions_per_minute"
    await save(store, first, after(first, CancelAsked()))
    await claimed(store, priced(None, minute=MINUTE + 1, key_id="a"))
    far = MINUTE - 1  # two minutes earlier: the clock of the process before was wrong
    await claimed(store, priced(None, minute=far))
    assert await use(store) == Use(far, 1, 3, DAY)


async def test_new_limits_count_what_is_stored_and_removed_ones_refuse_nothing(store: Store) -> None:
    labels = {"team/x.y": "b=c"}
    theirs = Limits(credits_per_day=9 * MILLION, models=("example/",))
    for subject in ("tenant", "label:team/x.y=b=c"):
        await store.limits.set_limits("other", subject, theirs, DAY)
    await claimed(store, priced(labels=labels, key_id="a", tenant="other"))
    await claimed(store, priced(0, labels={"team/x.y": "c", "team": "b=c"}))
    before = await store.limits.limits("other")
    await set_limits(store, credits_per_day=9 * MILLION)
    done = await claimed(store, priced(labels=labels, key_id="a"))
    queued = await save(store, done, accepted(done, "request"))
    await save(store, queued, reported(queued, State.COMPLETED))
    waiting = await claimed(store, priced(2 * MILLION, labels=labels))
    await set_limits(store, "label:team/x.y=b=c", credits_per_day=3 * MILLION)
    await set_limits(store, "key:a", credits_per_day=MILLION)
    assert await use(store, "label:team/x.y=b=c") == Use(0, 0, 1, DAY, 2 * MILLION, MILLION, 2 * MILLION, MILLION)
    assert await use(store, "key:a") == Use(0, 0, 0, DAY, 0, MILLION, 0, MILLION)
    assert (await refusal(store, priced(1, labels=labels))).subject == "label:team/x.y=b=c"
    await set_limits(store, "label:team/x.y=b=c", credits_per_day=4 * MILLION)
    await claimed(store, priced(MILLION, labels=labels))
    await set_limits(store, "label:team/x.y=b=c")
    await claimed(store, priced(MILLION, labels=labels))
    assert [one.subject for one in await store.limits.limits("tenant")] == ["key:a", "tenant"]
    reserved = (await use(store)).day_reserved
    await set_limits(store, "key:b", day=NEXT_DAY, credits_per_day=MILLION)  # begins no day of the others
    await save(store, waiting, after(waiting, CancelAsked()))
    now = await use(store)
    assert (now.day, now.day_reserved) == (DAY, reserved - 2 * MILLION)
    assert await store.limits.limits("other") == before


@pytest.mark.parametrize("day", [DAY, NEXT_DAY, NEXT_MONTH])
async def test_a_new_limit_counts_what_changes_while_it_counts(
    store: Store, monkeypatch: pytest.MonkeyPatch, day: str
) -> None:
    team = {"team": "a"}
    await set_limits(store, credits_per_month=100 * MILLION)
    waiting = [await claimed(store, priced(labels=team)) for _ in range(6)]
    read, reads_made = store.limits._rows_aside, 0  # type: ignore[attr-defined] # of both engines

    async def change(days: list[str]) -> None:
        for one in days:
            await claimed(store, priced(3 * MILLION, day=one, labels=team))
            canceled, ends = waiting.pop(), waiting.pop()
            await save(store, canceled, after(canceled, CancelAsked()))
            queued = await save(store, ends, accepted(ends, ends.id))
            await save(store, queued, reported(queued, State.COMPLETED))

    async def changing(*statement: Any) -> Any:
        nonlocal reads_made
        reads_made += 1
        await change([DAY] if reads_made == 1 else [])
        earlier = await read(*statement)
        await change([day] if reads_made == 1 else [])
        return earlier

    monkeypatch.setattr(store.limits, "_rows_aside", changing)
    await set_limits(store, "label:team=a", credits_per_month=100 * MILLION)
    assert reads_made == (1 if day == DAY else 2)
    counted = await use(store)
    assert (counted.running, counted.day, counted.month_reserved > 0) == (4, day, True)
    assert replace(await use(store, "label:team=a"), minute=0, submissions=0) == replace(
        counted, minute=0, submissions=0
    )


async def test_limits_whose_count_is_interrupted_are_not_set_and_can_be_set_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await claimed(store, priced())

    async def interrupted(*_: object) -> None:
        await claimed(store, priced())
        raise StoreError("interrupted")

    async def changed(*statement: Any) -> Any:
        earlier = await read(*statement)
        if changes:
            await set_limits(store, **changes.pop())
        return earlier

    changes: list[dict[str, int]] = [{}, {"credits_per_day": 9 * MILLION}]
    read = store.limits._rows_aside  # type: ignore[attr-defined] # of both engines
    with monkeypatch.context() as patch:
        patch.setattr(store.limits, "_rows_aside", interrupted)
        with pytest.raises(StoreError, match="interrupted"):
            await set_limits(store, credits_per_day=2 * MILLION, in_flight=0)
    assert await store.limits.limits("tenant") == []
    await claimed(store, priced(None))
    await save(store, first, after(first, CancelAsked()))
    with monkeypatch.context() as patch:
        patch.setattr(store.limits, "_rows_aside", changed)
        await set_limits(store, credits_per_day=2 * MILLION)
    now = await use(store)
    assert (now.running, now.day_reserved) == (2, MILLION)
    assert (await refusal(store, priced(MILLION + 1))).used == MILLION


async def test_a_new_budget_counts_second_requests_as_a_running_one_does(store: Store) -> None:
    await set_limits(store, credits_per_month=100 * MILLION)
    sent = [await claimed(store, replace(one, generation=marked(one.generation))) for one in map(priced, [MILLION] * 5)]
    for number, state in enumerate((State.COMPLETED, State.NSFW, None)):
        found = await save(store, sent[number], accepted(sent[number], f"r{number}"))
        twice = await save(store, found, after(found, Accepted(report(f"second {number}", State.QUEUED))))
        twice = await save(store, twice, reported(twice, State.IN_PROGRESS))  # counts neither request again
        if state is not None:
            await save(store, twice, reported(twice, state))
    assert sent[3].marker is not None
    uncertain = await save(store, sent[3], after(sent[3], Ambiguous(sent[3].marker, REFUSAL, 0.0)))
    lost = await save(store, uncertain, after(uncertain, Expired(REFUSAL)))
    await save(store, lost, after(lost, Accepted(report("late", State.QUEUED))))  # the request of the lost one
    queued = await save(store, sent[4], accepted(sent[4], "forgotten"))
    missing = await save(store, queued, after(queued, Missing()))
    forgotten = await save(store, missing, after(missing, Missing(given_up_since=missing.missing_since)))
    await save(store, forgotten, after(forgotten, Accepted(report("another", State.QUEUED))))
    before = await use(store)
    assert (before.month_reserved, before.month_spent) == (MILLION, 7 * MILLION)
    await set_limits(store)
    await set_limits(store, credits_per_month=100 * MILLION)
    assert await use(store) == replace(before, minute=0, submissions=0)


async def test_a_claim_without_a_price_is_refused_only_by_a_budget(store: Store) -> None:
    await set_limits(store, in_flight=5)
    await claimed(store, priced(None))
    await set_limits(store, credits_per_day=0)
    with pytest.raises(UnpricedError):
        await store.claims.claim(priced(None))
    await claimed(store, priced(0))
    found = claim(price=None)  # adopted: no limit refuses it
    await claimed(store, found)
    assert (await use(store)).running == 3


async def test_an_adopted_request_that_has_ended_is_not_in_flight(store: Store) -> None:
    await set_limits(store, in_flight=1)
    for number, state in enumerate((State.COMPLETED, State.IN_PROGRESS, State.CANCELED)):
        found = adopted(generation(adopted=True).spec, report(f"elsewhere {number}", state), moment())
        await claimed(store, Claim(found, None, b"request"))
    assert await use(store) == Use(running=1, day=DAY)


async def test_sums_survive_deletion_and_retention(store: Store) -> None:
    await set_limits(store, credits_per_day=9 * MILLION)
    for name in ("deleted", "pruned"):
        waiting = await claimed(store, priced())
        queued = await save(store, waiting, accepted(waiting, name))
        done = await save(store, queued, reported(queued, State.COMPLETED))
        if name == "deleted":
            await store.deletions.delete(done, at_upstream=False, steady=Steady(NOW))
    assert await store.deletions.prune(Steady(NOW + 60), Steady(NOW)) == 1
    assert (await use(store)).day_spent == 2 * MILLION


async def test_usage_counts_a_generation_with_any_text_of_higgsfield(store: Store) -> None:
    waiting = await claimed(store, priced())
    queued = await save(store, waiting, accepted(waiting, "request"))
    odd = replace(report("request", State.COMPLETED), used_input={"prompt": "a \0 fox \\u0000"})
    await save(store, queued, after(queued, Reported(odd, Source.POLL), 60.0))
    since = queued.spec.create_time
    (row,) = await store.usage.usage(UsageQuery(since, Wall(since + 1), "", ()))
    assert (row.state, row.generations, row.waits, row.runs) == (State.COMPLETED, 1, 1, 1)


async def test_a_generation_of_the_last_moment_of_a_day_belongs_to_that_day(store: Store) -> None:
    midnight = datetime(2026, 11, 29, tzinfo=UTC).timestamp()
    await claimed(store, priced(id=Ids().next(Wall(midnight - 0.0001)), create_time=Wall(midnight - 0.0001)))
    (row,) = await store.usage.usage(UsageQuery(Wall(midnight - 86_400), Wall(midnight), "", ("day",)))
    assert row.day == "2026-11-28"


async def test_usage_counts_states_prices_and_times_by_group(store: Store) -> None:
    await set_limits(store, credits_per_day=9 * MILLION)
    red = await claimed(store, priced(labels={"team": "red"}, key_id="k1"))
    blue = await claimed(store, priced(2 * MILLION, labels={"team": "blue"}))
    sent = await save(store, red, marked(red))
    ended = await save(store, sent, reported(accepted(sent, "r1"), State.COMPLETED))
    since = ended.spec.create_time

    async def usage(*by: str, tenant: str = "", until: float = since + 1) -> list[tuple[object, ...]]:
        query = UsageQuery(since, Wall(until), tenant, by)
        return [(*row.group(query), row.state, row.generations, row.credits) for row in await store.usage.usage(query)]

    assert await usage() == [(blue.state, 1, 2 * MILLION), (State.COMPLETED, 1, MILLION)]
    assert await usage("label:team", "key") == [
        ("blue", "", blue.state, 1, 2 * MILLION), ("red", "k1", State.COMPLETED, 1, MILLION)
    ]  # fmt: skip
    assert {row[:3] for row in await usage("tenant", "model", "day")} == {
        ("tenant", red.spec.model_id, datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%d"))
    }
    assert await usage(tenant="other") == await usage(until=since) == []
    (row,) = [row for row in await store.usage.usage(UsageQuery(since, Wall(since + 1), "", ())) if row.runs]
    begun = ended.start_time or ended.accept_time
    assert begun is not None
    assert ended.end_time is not None
    assert (row.waits, row.waited) == (1, pytest.approx(begun - since))
    assert row.ran == pytest.approx(ended.end_time - begun)


async def test_limits_are_read_by_tenant_and_in_pages(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "ROWS_PER_BATCH", 2)
    for tenant in ("a", "b", "b-c", "c"):
        for subject in ("tenant", "label:team=x"):
            await store.limits.set_limits(tenant, subject, Limits(in_flight=1), "")

    async def listed(*of: Any) -> list[str]:
        return [f"{one.tenant} {one.subject}" for one in await store.limits.limits(*of)]

    everything = [f"{tenant} {subject}" for tenant in ("a", "b", "b-c", "c") for subject in ("label:team=x", "tenant")]
    assert await listed() == everything
    assert await listed("b") == everything[2:4]
    assert await listed("", ("b", "label:team=x"), 3) == everything[3:6]
    assert await listed("b", ("b", "label:team=x"), 3) == everything[3:4]
    assert await listed("", ("c", "tenant")) == []
