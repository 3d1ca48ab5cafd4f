"""The ledger, from which tests judge a client."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest


async def test_every_submission_is_recorded_with_its_outcome(api: Any) -> None:
    await api.plan(on="submit", kind="502", processed=True)
    await api.submit("fox", key="k-1", query={"hf_webhook": "http://127.0.0.1:9/h"})
    api.clock.advance(3)
    await api.submit("wolf", model="z-image/turbo")
    await api.submit("", model="z-image/turbo")

    ledger = await api.ledger()
    first, second, third = ledger["submissions"]
    assert first == {
        "at": 0.0,
        "model": "higgsfield-ai/soul/standard",
        "prompt": "fox",
        "idempotency_key": "k-1",
        "webhook": "http://127.0.0.1:9/h",
        "outcome": "502",
        "processed": True,
        "replayed": False,
        "request_id": ledger["requests"][0]["request_id"],
    }
    assert (second["at"], second["outcome"], second["idempotency_key"]) == (3.0, "200", None)
    assert (third["outcome"], third["processed"], third["request_id"]) == ("400", True, None)


async def test_the_summary_has_the_counts_without_the_records(api: Any) -> None:
    request_id = await api.submitted("fox")
    await api.submitted("fox")
    await api.cancel(request_id)
    await api.status(request_id)

    summary = (await api.call("GET", "/__ledger?summary=1")).json
    assert summary == {
        "submissions_seen": 2,
        "submissions_processed": 2,
        "charge_count": 2,
        "refund_count": 1,
        "charged_credits": "0.100",
        "refunded_credits": "0.050",
        "status_calls": 1,
        "list_calls": {},
        "trainings_seen": 0,
        "character_calls": 0,
        "cancel_calls": 1,
        "agent_messages_seen": 0,
        "agent_charge_count": 0,
        "agent_charged_credits": "0",
        "agent_reads": 0,
        "delete_calls": 0,
        "webhook_deliveries": 0,
        "webhook_attempts": 0,
        "webhook_lost": 0,
        "webhook_pending": 0,
        "uploads": 0,
        "credentials_sent_to_storage": 0,
        "peak_running": 0,
        "peak_calls": 1,
        "peak_calls_per_second": 4,
        "ignored_retry_after": 0,
        "double_charged_prompts": {"fox": 2},
        "credentials_seen_ok": 4,
        "credentials_seen_bad": 0,
        "foreign_headers": {},
        "balance": "99.950",
    }
    whole = await api.ledger()
    assert {name: whole[name] for name in summary} == summary


async def test_cancels_and_deletes_are_recorded_with_their_outcome(api: Any) -> None:
    request_id = await api.submitted()
    await api.plan(on="cancel", kind="503")
    await api.cancel(request_id)
    await api.cancel(request_id)
    await api.delete(request_id)
    ledger = await api.ledger()
    assert [(one["request_id"], one["outcome"]) for one in ledger["cancels"]] == [
        (request_id, "503"),
        (request_id, "202"),
    ]
    assert [one["outcome"] for one in ledger["deletes"]] == ["200"]


async def test_peak_concurrent_calls_are_counted(api: Any) -> None:
    await api.plan(on="submit", status=200, delay=3600, times=3)
    waiting = [asyncio.ensure_future(api.submit(str(number))) for number in range(3)]
    while (ledger := await api.ledger())["submissions_seen"] < 3:
        assert not any(call.done() for call in waiting)
    for call in waiting:
        call.cancel()
    assert ledger["peak_calls"] == 3


async def test_peak_calls_per_second_are_counted(api: Any) -> None:
    for count in (2, 3, 1):
        for _ in range(count):
            await api.call("GET", "/models")
        api.clock.advance(1)
    assert (await api.ledger())["peak_calls_per_second"] == 3


@pytest.mark.parametrize(("waited", "ignored"), [(1.0, 1), (1.9, 1), (1.96, 0), (2.0, 0), (9.0, 0)])
async def test_calls_before_retry_after_are_counted(api: Any, waited: float, ignored: int) -> None:
    await api.plan(on="submit", kind="429", headers={"Retry-After": "2"})
    assert (await api.submit("fox", key="k")).status == 429
    api.clock.advance(waited)
    assert (await api.submit("fox", key="k")).status == 200
    assert (await api.ledger())["ignored_retry_after"] == ignored


async def test_retry_after_applies_to_the_same_call_only(api: Any) -> None:
    request_id = await api.submitted("fox")
    await api.plan(on="status", kind="429", headers={"Retry-After": "2"})
    await api.status(request_id)
    await api.submit("wolf")
    await api.cancel(request_id)
    assert (await api.ledger())["ignored_retry_after"] == 0
    await api.status(request_id)
    assert (await api.ledger())["ignored_retry_after"] == 1


async def test_foreign_headers_are_counted(api: Any) -> None:
    await api.call("GET", "/models", headers={"X-Tenant": "acme", "Cookie": "a=b"})
    assert (await api.ledger())["foreign_headers"] == {"cookie": 1, "x-tenant": 1}


async def test_reading_the_ledger_is_not_recorded_and_needs_no_key(api: Any) -> None:
    api.auth = {}
    await api.ledger()
    assert (await api.ledger())["credentials_seen_bad"] == 0


async def test_the_ledger_is_up_to_date_in_the_same_process(api: Any) -> None:
    await api.submitted("[nsfw] fox")
    api.clock.advance(5)
    assert [refund.reason for refund in api.sandbox.ledger.refunds] == ["nsfw"]


async def test_reset_clears_everything_but_the_options(api: Any) -> None:
    request_id = await api.submitted(key="k")
    await api.account(credits=0, credentials="new:secret", concurrency_limit=0)
    await api.plan(on="submit", kind="500")
    await api.call("POST", "/__reset")

    assert (await api.ledger())["submissions_seen"] == 0
    assert (await api.status(request_id)).status == 404
    assert await api.submitted(key="k") != request_id


@pytest.mark.parametrize(
    "changes",
    [
        {"concurency_limit": 3},
        {"concurrency_limit": "3"},
        {"concurrency_limit": -1},
        {"concurrency_limit": 2.5},
        {"retention": 3600.5},
        {"queue_seconds": float("nan")},
        {"image_seconds": -1},
        {"honour_keys": 1},
        {"credits": "many"},
        {"credits": "NaN"},
        {"concurrency_mode": "both"},
        {"account": "nobody", "credits": 1},
        {"account": 5},
        {"credentials": 7},
        {"credentials": "no secret"},
        {"webhook_secret": None},
        [],
    ],
)
async def test_invalid_account_settings_are_refused_and_change_nothing(api: Any, changes: Any) -> None:
    answer = await api.call("POST", "/__account", json=changes)
    assert answer.status == 400
    assert (await api.ledger())["balance"] == "100"
    assert (await api.submit()).status == 200
