"""Idempotency keys: which requests are equal, what consumes a key, and the cost of sending none."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

SOUL = "/higgsfield-ai/soul/standard"
HOOK = {"hf_webhook": "http://127.0.0.1:9/hook"}


async def test_a_repeated_key_returns_the_first_request(api: Any) -> None:
    key = {"Idempotency-Key": "k-1"}
    first = await api.call("POST", SOUL, data=b'{"prompt": "fox", "batch_size": 4}', headers=key)
    again = await api.call("POST", SOUL, data=b'{ "batch_size":4,"prompt":"fox" }', headers=key)

    assert (first.status, again.status) == (200, 200)
    assert first.json["request_id"] == again.json["request_id"]
    ledger = await api.ledger()
    assert ledger["charge_count"] == 1
    assert [one["replayed"] for one in ledger["submissions"]] == [False, True]


@pytest.mark.parametrize(
    ("path", "body", "query", "headers"),
    [
        (SOUL, {"prompt": "wolf"}, None, {}),
        (SOUL, {"prompt": "fox", "batch_size": 1}, None, {}),
        (SOUL, {"prompt": "fox", "seed": None}, None, {}),
        (SOUL, {"prompt": "fox"}, HOOK, {}),
        (SOUL, {"prompt": "fox"}, None, {"Hf-Expires-After": "3600"}),
        ("/z-image/turbo", {"prompt": "fox"}, None, {}),
        (SOUL, {}, None, {}),
    ],
)
async def test_a_key_reused_for_another_request_is_refused(
    api: Any, path: str, body: Any, query: Any, headers: dict[str, str]
) -> None:
    await api.submitted("fox", key="k-1")
    answer = await api.call("POST", path, json=body, params=query, headers={"Idempotency-Key": "k-1", **headers})
    assert answer.status == 422
    assert "Idempotency-Key" in answer.detail
    assert (await api.ledger())["charge_count"] == 1


async def test_a_repeated_key_compares_webhook_and_expiry(api: Any) -> None:
    options: dict[str, Any] = {"key": "k", "query": HOOK, "headers": {"Hf-Expires-After": "4000"}}
    assert await api.submitted("fox", **options) == await api.submitted("fox", **options)
    assert (await api.submit("fox", **(options | {"headers": {"Hf-Expires-After": "4001"}}))).status == 422


@pytest.mark.parametrize(("prompt", "status"), [("fox", "completed"), ("[fail] fox", "failed")])
async def test_a_key_outlives_the_end_of_its_request(api: Any, prompt: str, status: str) -> None:
    first = await api.submitted(prompt, key="k")
    api.clock.advance(100)
    again = await api.submit(prompt, key="k")
    receipt = {"status": "queued", "request_id": first}
    assert {name: value for name, value in again.json.items() if not name.endswith("_url")} == receipt
    assert (await api.status(first)).json["status"] == status
    await api.account(replay_status="real")
    assert (await api.submit(prompt, key="k")).json == (await api.status(first)).json
    assert (await api.ledger())["charge_count"] == 1


@pytest.mark.parametrize("key", ["two words", "k" * 256, "tab\there", "schlüssel"])
async def test_a_malformed_key_is_refused(api: Any, key: str) -> None:
    assert (await api.submit(key=key)).status == 422
    assert (await api.ledger())["charge_count"] == 0


async def test_the_longest_key_is_accepted(api: Any) -> None:
    assert await api.submitted(key="k" * 255) == await api.submitted(key="k" * 255)


async def test_a_refused_submission_does_not_consume_its_key(api: Any) -> None:
    await api.account(credits=0)
    assert (await api.submit("", key="k")).status == 403
    await api.account(credits=1, concurrency_limit=0, concurrency_mode="legacy")
    assert (await api.submit("fox", key="k")).status == 400
    await api.account(concurrency_limit=1)
    assert (await api.submit("a different fox", key="k")).status == 200


async def test_concurrent_posts_with_one_key_create_one_request(api: Any) -> None:
    ids = await asyncio.gather(*(api.submitted("fox", key="k") for _ in range(8)))
    assert len(set(ids)) == 1
    assert (await api.ledger())["charge_count"] == 1


async def test_keys_survive_new_credentials_and_belong_to_one_account(start: Any) -> None:
    api = await start(credentials="one:1 two:2")
    api.auth = {"Authorization": "Key one:1"}
    first = await api.submitted(key="k")
    await api.account(account="one", credentials="three:3")
    assert (await api.submit(key="k")).status == 401
    api.auth = {"Authorization": "Key three:3"}
    assert await api.submitted(key="k") == first
    api.auth = {"Authorization": "Key two:2"}
    assert await api.submitted(key="k") != first


async def test_repeats_are_charged_again_if_keys_are_not_honoured(api: Any) -> None:
    await api.account(honour_keys=False)
    assert await api.submitted("fox", key="k") != await api.submitted("fox", key="k")
    assert (await api.submit("wolf", key="no key at all")).status == 200
    assert (await api.ledger())["double_charged_prompts"] == {"fox": 2}


@pytest.mark.parametrize(("key", "charges", "doubled"), [("k", 1, {}), (None, 2, {"fox": 2})])
async def test_a_lost_response_is_safe_to_repeat_only_with_a_key(
    api: Any, key: str | None, charges: int, doubled: dict[str, int]
) -> None:
    await api.plan(on="submit", kind="lost")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await api.submit("fox", key=key)
    request_id = await api.submitted("fox", key=key)

    ledger = await api.ledger()
    assert (ledger["charge_count"], ledger["double_charged_prompts"]) == (charges, doubled)
    assert [one["outcome"] for one in ledger["submissions"]] == ["lost", "200"]
    assert (ledger["submissions"][0]["request_id"] == request_id) == (key is not None)


async def test_a_word_in_the_prompt_loses_the_response(api: Any) -> None:
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await api.submit("[lost] fox", key="k")
    assert (await api.submit("[lost] fox", key="k")).status == 200
    assert (await api.ledger())["charge_count"] == 1

    for _ in range(2):
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await api.submit("[lost] wolf")
    assert (await api.ledger())["double_charged_prompts"] == {"[lost] wolf": 2}


async def test_a_refusal_is_never_lost(api: Any) -> None:
    await api.account(credits=0)
    assert (await api.submit("[lost] fox", key="k")).status == 403
