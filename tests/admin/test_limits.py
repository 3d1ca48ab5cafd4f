"""Budgets and limits through the whole gateway: set by the operator, reserved by submissions, settled by their ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from gateway.cli import exit_codes
from gateway.generations.limits import prices
from gateway.generations.limits.model import Limits, SubmissionTime
from gateway.rpc.messages import page_tokens, pages
from hfgateway.admin.v1 import admin_service_pb2 as admin_pb
from hfgateway.v1 import generation_service_pb2 as pb
from tests.admin.conftest import Start, resolve
from tests.support.commits import commits, lose_responses
from tests.support.operator import ask, command, refused
from tests.support.running import Running, eventually, keyframes, model, name_of, run, soul
from tests.support.timeline import run_timed
from tests.support.transports import RpcFailure, Transport

METERED = {"prompt": "a fox", "image_urls": ["https://files.example/a.png"]}
SEEDANCE = "bytedance/seedance-2.0/reference-to-video"


@pytest.fixture
async def keyed(tmp_path: Path) -> AsyncIterator[Running]:
    """A gateway that requires API keys."""
    async with run(tmp_path, AUTH="keys", UPSTREAM_CONCURRENCY=4) as started:
        yield started


async def set_limits(running: Running, tenant: str = "default", subject: str = "", **limits: Any) -> None:
    request = admin_pb.SetLimitsRequest(tenant=tenant, subject=subject, limits=admin_pb.Limits(**limits))
    await ask(running, "SetLimits", request)


async def used(running: Running, subject: str = "tenant") -> admin_pb.Use:
    found = await ask(running, "ListLimits", admin_pb.ListLimitsRequest())
    (one,) = [one for one in found.limits if one.subject == subject]
    return one.use


async def refusal(caller: Transport, request: pb.SubmitGenerationRequest) -> RpcFailure:
    with pytest.raises(RpcFailure) as raised:
        await caller.call("SubmitGeneration", request)
    return raised.value


async def test_the_use_of_an_earlier_day_is_not_listed_as_todays(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_limits(running, credits_per_day="100")
    await running.submit(soul("a fox"))
    assert (await used(running)).reserved_today != "0"
    monkeypatch.setattr(running.gateway._core.budgets, "submission_time", lambda _: SubmissionTime("2999-01-01", 1))
    later = await used(running)
    assert (later.day, later.reserved_today, later.reserved_this_month, later.in_flight) == ("2999-01-01", "0", "0", 1)


async def test_limits_are_listed_in_pages(running: Running) -> None:
    for number in range(5):
        await set_limits(running, f"t{number}", in_flight=number + 1)
    found, request = [], admin_pb.ListLimitsRequest(page_size=2)
    for _ in range(3):
        page = await ask(running, "ListLimits", request)
        found += [(one.tenant, one.limits.in_flight) for one in page.limits]
        request.page_token = page.next_page_token
    assert not request.page_token
    assert found == [(f"t{number}", number + 1) for number in range(5)]
    listed = await command(running, "limits", "list")
    assert len(listed.out.splitlines()) == 5


@pytest.mark.parametrize("place", ['["\\ud800", ""]', '["red", 1]', '["red"]', "[]"])
async def test_a_forged_page_token_is_refused(running: Running, place: str) -> None:
    """A store cannot look up half a surrogate."""
    request = admin_pb.ListLimitsRequest()
    request.page_token = page_tokens.page_token(place, pages.binding_of(request, ""))
    assert await refused(running, "ListLimits", request) == "INVALID_ARGUMENT"


async def test_limits_apply_although_an_older_reading_arrives_late(running: Running) -> None:
    budgets = running.gateway._core.budgets
    read, readings, release = budgets._store.limits, 0, asyncio.Event()

    async def slow_at_first(*of: Any) -> Any:
        nonlocal readings
        readings += 1
        late, found = readings == 1, await read(*of)
        if late:
            await release.wait()
        return found

    budgets._store.limits = slow_at_first
    first = asyncio.create_task(budgets.refresh("default"))  # as for a claim without a price
    await eventually(lambda: readings == 1)
    second = asyncio.create_task(set_limits(running, subject="label:team=a", model_id_prefixes=["acme/"]))
    await eventually(lambda: second.done() or bool(budgets._refreshing._waiters))
    release.set()
    await asyncio.gather(first, second)
    over = await refusal(running.grpc, soul("a fox", labels={"team": "a"}))
    assert (over.code, over.reason) == ("PERMISSION_DENIED", "NOT_ALLOWED")


async def test_a_budget_is_reserved_settled_and_shown(running: Running) -> None:
    await set_limits(running, credits_per_day="0.1", credits_per_month="1.5")
    fox = await running.submit(soul("a fox"))
    assert (fox.estimated_cost.credits, fox.estimated_cost.usd) == ("0.050", "0.004")
    assert not fox.HasField("settled_cost")
    owl = await running.submit(soul("an owl [nsfw]"))
    now = await used(running)
    assert (now.reserved_today, now.spent_today, now.in_flight) == ("0.1", "0", 2)

    over = await refusal(running.grpc, soul("a wolf"))
    assert (over.code, over.reason) == ("RESOURCE_EXHAUSTED", "BUDGET_EXCEEDED")
    named = dict(over.failure.metadata)
    resets_at = datetime.fromisoformat(named.pop("resets_at"))
    assert (resets_at.hour, resets_at.minute) == (0, 0)
    assert named == {
        "limit": "credits_per_day", "subject": "tenant", "allowed": "0.1", "used": "0.1", "left": "0", "needed": "0.05",
    }  # fmt: skip
    assert not over.failure.retryable
    assert not over.failure.HasField("retry_delay")

    fox = await running.finish(fox.id)
    assert fox.settled_cost == fox.estimated_cost
    owl = await running.until(owl.id, "NSFW")
    assert (owl.settled_cost.credits, owl.settled_cost.usd) == ("0", "")
    now = await used(running)
    assert (now.reserved_today, now.spent_today, now.spent_this_month, now.in_flight) == ("0", "0.05", "0.05", 0)
    await running.submit(soul("a wolf"))  # its key is free
    net = sum(charge.credits for charge in running.ledger.charges) - sum(
        refund.credits for refund in running.ledger.refunds
    )
    now = await used(running)
    assert float(net) == float(now.reserved_today) + float(now.spent_today)


async def test_a_price_is_asked_for_once_and_only_for_a_budget(running: Running) -> None:
    running.plan(on="estimate", kind="500")
    assert not (await running.submit(soul("a fox"))).HasField("estimated_cost")  # no budget, no estimate
    await set_limits(running, credits_per_day="9")
    owl = soul("an owl")
    assert (await refusal(running.grpc, owl)).reason == "UPSTREAM_UNAVAILABLE"
    await running.submit(owl)
    running.plan(on="estimate", kind="500")
    owl.idempotency_key = "another"
    assert (await running.submit(owl)).HasField("estimated_cost")  # cached
    assert (await refusal(running.grpc, soul("a wolf"))).reason == "UPSTREAM_UNAVAILABLE"
    assert len(running.ledger.submissions) == 3
    running.plan(on="estimate", status=403, body={"detail": "not_enough_credits"})
    assert (await refusal(running.grpc, soul("a wolf"))).reason == "INSUFFICIENT_CREDITS"
    running.plan(on="estimate", status=200, body={"credits": "0.0000001", "discount": {"credits": "9"}})
    await running.submit(soul("a wolf"))
    assert (await used(running)).reserved_today == "0.100001"  # rounded up, and net


async def test_a_price_is_that_of_its_model(running: Running) -> None:
    await set_limits(running, credits_per_day="9")
    for model_id, credits in (("higgsfield-ai/soul/standard", "0.1"), ("higgsfield-ai/soul/v2/standard", "0.2")):
        running.plan(on="estimate", status=200, body={"credits": credits})
        await running.submit(model(model_id, {"prompt": "a fox"}, model_id))
    assert (await used(running)).reserved_today == "0.3"


async def test_submissions_at_the_same_time_ask_for_a_price_once(running: Running) -> None:
    await set_limits(running, credits_per_day="9")
    with running.held(on="estimate"):
        running.plan(on="estimate", kind="500")
        calls = [asyncio.create_task(running.submit(soul("a fox", key=key))) for key in ("first", "second")]
        await running.calls_open("SubmitGeneration", 2)
    first, second = await asyncio.gather(*calls)
    assert first.id != second.id  # both have the price, although a second estimate would have failed


async def test_the_price_not_used_for_longest_is_dropped(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices, "MAX_PRICES", 2)
    await set_limits(running, credits_per_day="9")
    for key, prompt in enumerate(("a fox", "an owl", "a fox", "a wolf")):
        await running.submit(soul(prompt, key=f"key-{key}"))
    assert len(running.gateway._core.budgets.prices._cached) == 2
    running.plan(on="estimate", kind="500")
    await running.submit(soul("a fox", key="again"))
    assert (await refusal(running.grpc, soul("an owl"))).reason == "UPSTREAM_UNAVAILABLE"


async def test_a_price_is_asked_for_again_once_it_is_too_old(tmp_path: Path) -> None:
    async with run_timed(tmp_path, PRICE_CACHE=60) as timed:
        await set_limits(timed, credits_per_day="9")
        await timed.submit(soul("a fox", key="first"))
        timed.plan(on="estimate", kind="500")
        await timed.advance(50.0)
        await timed.submit(soul("a fox", key="second"))
        await timed.advance(20.0)
        assert (await refusal(timed.grpc, soul("a fox", key="third"))).reason == "UPSTREAM_UNAVAILABLE"


async def test_a_repeat_is_never_refused(running: Running) -> None:
    fox = soul("a fox")
    first = await running.submit(fox)
    await set_limits(running, credits_per_day="0", submissions_per_minute=0, in_flight=0, model_id_prefixes=["no/such"])
    running.plan(on="estimate", kind="500")
    again: pb.SubmitGenerationResponse = await running.grpc.call("SubmitGeneration", fox)
    assert (again.generation.id, again.replayed) == (first.id, True)
    assert (await refusal(running.grpc, soul("an owl"))).reason == "NOT_ALLOWED"


async def test_a_repeat_asks_for_no_price(running: Running) -> None:
    """Higgsfield may not respond, and the caller's deadline would pass first."""
    fox = soul("a fox")
    first = await running.submit(fox)
    await set_limits(running, credits_per_day="9")
    running.plan(on="estimate", kind="hang")
    again: pb.SubmitGenerationResponse = await running.grpc.call("SubmitGeneration", fox)
    assert (again.generation.id, again.replayed) == (first.id, True)
    assert len(running.sandbox.state.plan) == 1


async def test_a_model_that_is_excluded_during_the_estimate_is_refused(running: Running) -> None:
    await set_limits(running, credits_per_day="9")
    with running.held(on="estimate"):
        submitting = asyncio.create_task(refusal(running.grpc, soul("a fox")))
        await eventually(lambda: not len(running.sandbox.state.plan))
        await set_limits(running, credits_per_day="9", model_id_prefixes=["no/such"])
    assert (await submitting).reason == "NOT_ALLOWED"
    assert running.ledger.submissions == []


async def test_removed_limits_refuse_nothing(running: Running) -> None:
    await set_limits(running, credits_per_day="9", model_id_prefixes=["no/such"])
    assert (await refusal(running.grpc, soul("a fox"))).reason == "NOT_ALLOWED"
    await set_limits(running, model_id_prefixes=["no/such", "higgsfield-ai/soul"])
    await running.submit(soul("an owl"))
    await set_limits(running, credits_per_day="9")
    await set_limits(running)
    running.plan(on="estimate", kind="500")
    assert not (await running.submit(soul("a fox"))).HasField("estimated_cost")


async def test_limits_apply_although_the_call_that_sets_them_is_canceled(running: Running) -> None:
    allowed = Limits(models=("no/such",))
    with commits("limits") as stored:
        stored.hold()
        call = asyncio.create_task(running.gateway._core.budgets.set("default", "tenant", allowed, ["models"]))
        await stored.reached()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        stored.release()
        await running.gateway._core.budgets.drained()
        assert running.gateway._core.budgets.is_limited("default")
    assert (await refusal(running.grpc, soul("a fox"))).reason == "NOT_ALLOWED"


@pytest.mark.parametrize("stored", [True, False])
async def test_a_change_of_limits_with_an_unknown_outcome_is_confirmed(running: Running, *, stored: bool) -> None:
    lose_responses(running.gateway._core.store.limits, "set_limits", 1, stored=stored)
    await set_limits(running, in_flight=1)
    await running.submit(soul("a fox"))
    assert (await refusal(running.grpc, soul("a hen"))).reason == "QUOTA_EXCEEDED"


async def test_uncertain_credits_stay_reserved_and_lost_ones_are_spent(start: Start) -> None:
    running = await start()
    await set_limits(running, credits_per_day="0.05")
    running.plan(on="submit", kind="500", processed=True, prompt="a fox")
    stored = await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
    await running.until(stored.id, "UNCERTAIN")
    now = await used(running)
    assert (now.reserved_today, now.uncertain) == ("0.05", "0.05")
    assert (await refusal(running.grpc, soul("an owl"))).reason == "BUDGET_EXCEEDED"
    lost = await resolve(running, stored.id, lost={})
    assert lost.settled_cost.credits == "0.050"
    now = await used(running)
    assert (now.reserved_today, now.spent_today, now.uncertain) == ("0", "0.05", "0")
    request_id = running.ledger.charges[0].request_id
    found = await resolve(running, stored.id, request_id=request_id)  # a new generation, which is paid for already
    assert not found.HasField("estimated_cost")
    assert (await used(running)).spent_today == "0.05"
    await running.finish(found.id)
    usage: admin_pb.QueryUsageResponse = await ask(running, "QueryUsage", admin_pb.QueryUsageRequest())
    assert (usage.groups[0].credits_spent, usage.groups[0].unpriced) == ("0.05", 1)


async def test_a_list_of_limits_reads_the_uncertain_generations_once(running: Running) -> None:
    for number in range(5):
        await set_limits(running, subject=f"label:team=t{number}", credits_per_day="1")
    executed: list[str] = []
    running.database._reader.set_trace_callback(executed.append)
    found = await ask(running, "ListLimits", admin_pb.ListLimitsRequest())
    assert len(found.limits) == 5
    assert sum("FROM generations" in statement for statement in executed) == 1


async def test_a_slow_estimate_does_not_change_the_order_of_times(running: Running) -> None:
    """Lists are sorted by id. A caller that pages by created_before would miss generations."""
    await set_limits(running, credits_per_day="100")
    await running.submit(soul("fast", key="first"))  # its price is known now
    with running.held(on="estimate"):
        slow = asyncio.create_task(running.submit(soul("slow")))
        await eventually(lambda: not len(running.sandbox.state.plan))
        await running.submit(soul("fast", key="second"))
    await slow
    listed = (await running.grpc.call("ListGenerations", pb.ListGenerationsRequest())).generations
    times = [one.create_time.ToMicroseconds() for one in listed]
    assert times == sorted(times, reverse=True)


async def test_models_without_a_price_are_refused_unless_a_setting_has_one(start: Start) -> None:
    running = await start(PRICES="bytedance/=99 bytedance/seedance-2=2.5")
    await set_limits(running, credits_per_day="3")
    stored = await running.submit(model(SEEDANCE, METERED, "k"))
    assert (stored.estimated_cost.credits, stored.estimated_cost.usd) == ("2.5", "")
    speech = soul("unused", key="speech")
    speech.input.speak.image_url = "https://files.example/a.png"
    speech.input.speak.audio_url = "https://files.example/a.wav"
    speech.input.speak.prompt = "hello"
    assert (await refusal(running.grpc, speech)).reason == "PRICE_UNKNOWN"  # v1 has no estimates
    await running.stop_gateway()
    running._settings = {**running._settings, "UNKNOWN_PRICE": "allow"}
    await running.start_gateway()
    assert not (await running.submit(speech)).HasField("estimated_cost")
    assert (await used(running)).reserved_today == "2.5"


async def test_a_model_without_an_estimate_has_the_price_of_the_setting(start: Start) -> None:
    running = await start(PRICES="bytedance/=2.5")
    await set_limits(running, credits_per_day="100")
    running.plan(on="estimate", status=404, body={"detail": "Model not found"})
    stored = await running.submit(model(SEEDANCE, METERED, "k"))
    assert stored.estimated_cost.credits == "2.5"


@pytest.mark.parametrize("limits", [{}, {"credits_per_day": "100"}], ids=["without a budget", "with a budget"])
async def test_a_generation_without_a_price_is_unpriced_in_the_usage(start: Start, limits: dict[str, str]) -> None:
    running = await start(UNKNOWN_PRICE="allow")
    if limits:
        await set_limits(running, **limits)
    stored = await running.submit(model(SEEDANCE, METERED, "k"))
    await running.finish(stored.id)
    usage: admin_pb.QueryUsageResponse = await ask(running, "QueryUsage", admin_pb.QueryUsageRequest())
    assert (usage.groups[0].credits_spent, usage.groups[0].unpriced) == ("0", 1)


async def test_a_batch_of_any_size_reserves_the_price_of_all_its_outputs(start: Start) -> None:
    running = await start(PRICES="v1/text2image/keyframes=2", UNKNOWN_PRICE="allow")
    await set_limits(running, credits_per_day="50")
    over = await refusal(running.grpc, keyframes("a fox", 40))
    assert (over.reason, over.failure.metadata["needed"]) == ("BUDGET_EXCEEDED", "80")
    hidden = keyframes("a fox", 40)
    hidden.input.model.parameters.update({"batch_size": 1})
    assert (await refusal(running.grpc, hidden)).reason == "BUDGET_EXCEEDED"
    await running.submit(keyframes("a fox", 8))
    assert (await used(running)).reserved_today == "16"


@pytest.mark.parametrize("count", [10**30, 2**31 - 1, 0, -1, 4.5, "40", True, None])
async def test_a_batch_of_an_unclear_size_is_refused_only_by_a_budget(start: Start, count: Any) -> None:
    running = await start(PRICES="v1/text2image/keyframes=1000000", UNKNOWN_PRICE="allow")
    odd = keyframes("a fox")
    odd.input.model.parameters.update({"count": count})
    running.plan(on="submit", status=422, body={"detail": "count"})
    assert (await refusal(running.grpc, odd)).reason == "INPUT_REFUSED"  # by Higgsfield
    await set_limits(running, credits_per_day="1000000000")
    asked = len(running.ledger.submissions)
    assert (await refusal(running.grpc, odd)).reason == "PRICE_UNKNOWN"
    assert len(running.ledger.submissions) == asked


@pytest.mark.parametrize("credits", ["1000000000.1", 123456789012345678])
async def test_an_estimate_that_is_too_large_to_count_is_refused(start: Start, credits: Any) -> None:
    running = await start(PRICES="higgsfield-ai/=1", UNKNOWN_PRICE="allow")
    await set_limits(running, credits_per_day="1000000000")
    running.plan(on="estimate", status=200, body={"credits": credits, "usd": "1"})
    assert (await refusal(running.grpc, soul("a fox"))).reason == "PRICE_UNKNOWN"
    assert not running.ledger.submissions


async def test_keys_labels_and_shares_have_their_own_limits(keyed: Running) -> None:
    red, blue = await keyed.key("red"), await keyed.key("red")
    first, second = keyed.caller("grpc", red), keyed.caller("grpc", blue)
    key_id = red.split("_")[1]
    await set_limits(keyed, "red", f"key:{key_id}", in_flight=1)
    await first.call("SubmitGeneration", soul("one", wait_for=pb.WAIT_FOR_STORED))
    over = await refusal(first, soul("two"))
    assert (over.reason, over.failure.metadata["subject"]) == ("QUOTA_EXCEEDED", f"key:{key_id}")
    assert (over.failure.metadata["limit"], over.failure.retryable) == ("in_flight", True)

    await second.call("SubmitGeneration", soul("three", wait_for=pb.WAIT_FOR_STORED))
    await set_limits(keyed, "red", concurrency_share=50)  # of 4
    shared = await second.call("SubmitGeneration", soul("five", wait_for=pb.WAIT_FOR_STORED))
    assert name_of(shared.generation) == "PENDING"
    assert "share" in shared.generation.delay.message
    over = await refusal(second, soul("not five", fail_when_saturated=True))
    assert (over.reason, over.failure.message) == (
        "UPSTREAM_SATURATED",
        "the tenant uses its share of the account, and the call set fail_when_saturated: nothing was submitted",
    )
    await keyed.caller("grpc", await keyed.key("green")).call("SubmitGeneration", soul("six"))
    await set_limits(keyed, "red", concurrency_share=100)
    listed: pb.ListGenerationsResponse

    async def sent() -> bool:
        nonlocal listed
        wanted = pb.GenerationFilter(ids=[shared.generation.id])
        listed = await second.call("ListGenerations", pb.ListGenerationsRequest(filter=wanted))
        return name_of(listed.generations[0]) == "QUEUED"

    async with asyncio.timeout(60):
        while not await sent():
            await asyncio.sleep(0.02)

    await set_limits(keyed, "red", "label:team=films", submissions_per_minute=1)
    # More than two, because a minute may begin between them.
    names, labeled = ("seven", "eight", "nine"), {"labels": {"team": "films"}, "wait_for": pb.WAIT_FOR_STORED}
    films = [soul(name, **labeled) for name in names]
    with pytest.raises(RpcFailure) as raised:
        await asyncio.gather(*(second.call("SubmitGeneration", film) for film in films))
    assert raised.value.failure.metadata["limit"] == "submissions_per_minute"
    assert 0 < raised.value.failure.retry_delay.ToMilliseconds() <= 60_000


async def test_wrong_limits_are_refused(running: Running) -> None:
    for tenant, subject, limits in (
        ("", "", {}), ("red", "key:x", {}), ("red", "label:A=b", {}), ("red", "label:a=\u202eb", {}),
        ("red", "label:a=b\n", {}), ("red", "", {"credits_per_day": "-1"}),
        *(("red", "", {"credits_per_day": text}) for text in (" 5 ", "1_000", "1e3", "\u0665", "5.", "nan")),
        ("red", "", {"credits_per_day": "many"}), ("red", "", {"credits_per_month": "0.1000001"}),
        ("red", "", {"in_flight": -1}),
        ("red", "", {"concurrency_share": 101}), ("red", "label:a=b", {"concurrency_share": 50}),
        ("red", "", {"model_id_prefixes": ["*"]}),
    ):  # fmt: skip
        wrong = admin_pb.SetLimitsRequest(tenant=tenant, subject=subject, limits=admin_pb.Limits(**limits))  # type: ignore[arg-type]
        assert await refused(running, "SetLimits", wrong) == "INVALID_ARGUMENT"
    for path in ("", "use", "limits.in_flight"):
        wrong = admin_pb.SetLimitsRequest(tenant="red", update_mask=FieldMask(paths=["in_flight", path]))
        assert await refused(running, "SetLimits", wrong) == "INVALID_ARGUMENT"


async def test_limits_of_a_key_that_the_tenant_does_not_have_are_refused(keyed: Running) -> None:
    others = (await keyed.key("blue")).split("_")[1]
    for key_id in (others, "0" * 12):
        wrong = admin_pb.SetLimitsRequest(tenant="red", subject=f"key:{key_id}", limits=admin_pb.Limits(in_flight=1))
        assert await refused(keyed, "SetLimits", wrong) == "INVALID_ARGUMENT"
    for key_id in (others, "0" * 12, "nosuch"):
        ended = await command(keyed, "limits", "set", "--tenant", "red", "--key", key_id, "--in-flight", "1")
        assert (ended.code, ended.err) == (
            exit_codes.REFUSED, "error: --key: the tenant has no API key with this id\n"
        )  # fmt: skip
    assert (await command(keyed, "limits", "list")).out == ""
    cleared = await command(keyed, "limits", "clear", "--tenant", "red", "--key", "0" * 12)
    assert cleared.code == 0, cleared.err


async def test_the_command_reports_wrong_limits_by_the_names_of_its_options(running: Running) -> None:
    label = (
        "--label: a label must be NAME=VALUE, with a name of 1 to 63 of a-z, 0-9, '.', '_', '-', '/', "
        "and a value of at most 255 characters without control characters"
    )
    for arguments, error in (
        (("set", "--label", "Team A=5", "--in-flight", "1"), label),
        (("set", "--label", f"a={'b' * 256}", "--in-flight", "1"), label),
        (("clear", "--label", "Team A=5"), label),
        (("clear", "--key", "nosuch"), "--key: the tenant has no API key with this id"),
        (("set", "--in-flight", "-1"), "--in-flight: must be from 0 to 1000000000000000"),
        (("set", "--share", "101"), "--share: must be from 1 to 100 percent"),
        (("set", "--credits-per-day", "0.1000001"), "--credits-per-day: must be digits, with at most six decimals"),
        (("set", "--models", "*"), "--models: must be at most 100 prefixes such as bytedance/"),
    ):
        ended = await command(running, "limits", *arguments, "--tenant", "default")
        assert (ended.code, ended.err) == (exit_codes.REFUSED, f"error: {error}\n")


async def test_a_limit_that_is_no_whole_number_is_refused_with_its_range(running: Running) -> None:
    for option, allowed in (("--in-flight", "0 to 1000000000000000"), ("--share", "1 to 100")):
        ended = await command(running, "limits", "set", "--tenant", "default", option, "1.5")
        said = f"Error: {option} must be a whole number from {allowed}, or none"
        assert (ended.code, ended.err.splitlines()[-1]) == (exit_codes.USAGE, said)


async def test_an_empty_list_of_models_does_not_remove_the_limit(running: Running) -> None:
    await set_limits(running, model_id_prefixes=["acme/"])
    for empty in ("", " , "):
        ended = await command(running, "limits", "set", "--tenant", "default", "--models", empty)
        assert (ended.code, "--models: name a prefix, or none" in ended.err) == (exit_codes.USAGE, True), ended
    assert "models: acme/" in (await command(running, "limits", "show", "--tenant", "default")).out


async def test_limits_of_no_tenant_are_not_those_of_the_first_one(running: Running) -> None:
    """A script may pass an unset variable."""
    await set_limits(running, in_flight=3)
    for arguments in (("show",), ("set", "--in-flight", "1"), ("clear",)):
        ended = await command(running, "limits", *arguments, "--tenant", "")
        assert (ended.code, ended.out) == (exit_codes.USAGE, "")
        assert "--tenant must not be empty" in ended.err


async def test_the_list_of_limits_has_shares_and_models(running: Running) -> None:
    await set_limits(running, in_flight=3, concurrency_share=50, model_id_prefixes=["acme/", "higgsfield-ai/"])
    listed = (await command(running, "limits", "list")).out
    assert listed == "default\ttenant\tin flight 0 of 3, share 50 %, models acme/ higgsfield-ai/\n"


async def test_a_mask_sets_some_limits_and_leaves_the_others_also_when_two_are_set_at_once(running: Running) -> None:
    def only(*paths: str, **limits: Any) -> admin_pb.SetLimitsRequest:
        mask = FieldMask(paths=paths)
        return admin_pb.SetLimitsRequest(tenant="default", limits=admin_pb.Limits(**limits), update_mask=mask)

    await set_limits(running, in_flight=1, submissions_per_minute=2)
    await asyncio.gather(
        ask(running, "SetLimits", only("in_flight", "credits_per_day", in_flight=3, concurrency_share=4)),
        ask(running, "SetLimits", only("model_id_prefixes", model_id_prefixes=["acme/"])),
        ask(running, "SetLimits", only("credits_per_month", credits_per_month="5")),
        ask(running, "SetLimits", only("submissions_per_minute")),
    )
    (found,) = (await ask(running, "ListLimits", admin_pb.ListLimitsRequest())).limits
    assert found.limits == admin_pb.Limits(in_flight=3, model_id_prefixes=["acme/"], credits_per_month="5")


async def test_limits_are_set_for_one_subject_and_answered_with_its_present_use(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_limits(running, subject="label:team=a", credits_per_day="9")
    await set_limits(running, credits_per_month="9")
    await running.submit(soul("a fox"))
    monkeypatch.setattr(running.gateway._core.budgets, "submission_time", lambda _: SubmissionTime("2999-01-01", 1))
    request = admin_pb.SetLimitsRequest(
        tenant="default", limits=admin_pb.Limits(in_flight=3), update_mask=FieldMask(paths=["in_flight"])
    )
    answer: admin_pb.SetLimitsResponse = await ask(running, "SetLimits", request)
    assert answer.limits.subject == "tenant"
    assert answer.limits.limits == admin_pb.Limits(credits_per_month="9", in_flight=3)
    assert (answer.limits.use.in_flight, answer.limits.use.reserved_today) == (1, "0")


async def test_the_command_sets_shows_lists_and_clears_limits(running: Running) -> None:
    made = await command(
        running, "limits", "set", "--tenant", "default", "--credits-per-day", "2.5", "--models", "higgsfield-ai/,acme/"
    )
    assert made.code == 0, made.err
    assert "credits per day: 0 of 2.5" in made.out
    await command(running, "limits", "set", "--tenant", "default", "--in-flight", "3")
    await running.submit(soul("a fox"))
    shown = (await command(running, "limits", "show", "--tenant", "default")).out
    assert "credits per day: 0.05 of 2.5" in shown
    assert "in flight: 1 of 3" in shown
    assert "models: higgsfield-ai/, acme/" in shown
    await command(running, "limits", "set", "--tenant", "default", "--in-flight", "none", "--models", "none")
    await command(running, "limits", "set", "--tenant", "default", "--label", "team=films", "--in-flight", "1")
    listed = (await command(running, "limits", "list")).out.splitlines()
    assert listed == [
        "default\tlabel:team=films\tin flight 0 of 1",
        "default\ttenant\tcredits per day 0.05 of 2.5",
    ]
    for label, owner in (((), "tenant default"), (("--label", "team=films"), "label:team=films of tenant default")):
        cleared = await command(running, "limits", "clear", "--tenant", "default", *label)
        assert (cleared.code, cleared.out) == (0, f"{owner} has no limits\n")
    assert (await command(running, "limits", "list")).out == ""
    none = await command(running, "limits", "show", "--tenant", "default")
    assert (none.code, none.out) == (0, "tenant default has no limits\n")
    none = await command(running, "limits", "show", "--tenant", "default", "--key", "k1", "--json")
    assert none.code == 0
    assert json.loads(none.out) == {"tenant": "default", "subject": "key:k1", "limits": {}}


async def test_limits_hold_after_a_restart(running: Running) -> None:
    await set_limits(running, credits_per_day="0.05")
    fox = await running.submit(soul("a fox"))
    await running.stop_gateway()
    await running.start_gateway()
    assert (await refusal(running.grpc, soul("an owl"))).reason == "BUDGET_EXCEEDED"
    await running.finish(fox.id)
    await eventually(lambda: not running.gateway._core.sender.tasks._tasks)
    assert (await used(running)).spent_today == "0.05"
