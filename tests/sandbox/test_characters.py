"""Custom references: create, poll, list, use and delete, and their cost."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

PATH = "/v1/custom-references"
URL = "https://example.invalid/a.jpg"
UNKNOWN = "0199aaaa-0000-4000-8000-000000000000"
FAMILIES = {
    "v1": "higgsfield-ai/soul/standard",
    "v2": "higgsfield-ai/soul/v2/standard",
    "cinema": "higgsfield-ai/soul/cinema",
}


async def make(api: Any, name: str = "Anna", **more: Any) -> Any:
    images = more.pop("input_images", [{"type": "image_url", "image_url": URL}])
    return await api.call("POST", PATH, json={"name": name, "input_images": images, **more})


async def made(api: Any, name: str = "Anna", **more: Any) -> str:
    answer = await make(api, name, **more)
    assert answer.status == 200, answer.text
    return str(answer.json["id"])


async def test_training_passes_through_every_status_in_order(start: Any) -> None:
    api = await start(training_seconds=2, credits=40)
    character = (await make(api)).json
    assert character == {
        "id": character["id"], "name": "Anna", "model_version": "v1", "status": "not_ready", "thumbnail_url": None,
        "created_at": "2026-01-01T00:00:00.000Z", "in_progress_at": None, "fail_reason": None,
    }  # fmt: skip
    seen = []
    for _ in range(7):
        character = (await api.call("GET", f"{PATH}/{character['id']}")).json
        seen.append((character["status"], character["in_progress_at"]))
        api.clock.advance(0.5)
    started_at = "2026-01-01T00:00:01.000Z"
    assert [status for status, _ in seen] == ["not_ready", "queued", *["in_progress"] * 4, "completed"]
    assert [time for _, time in seen] == [None, None, *[started_at] * 5]
    ledger = await api.ledger()
    assert (ledger["character_calls"], ledger["balance"], ledger["refunds"]) == (7, "0", [])


async def test_training_costs_40_credits_and_a_failure_is_refunded(api: Any) -> None:
    character_id = await made(api, "[fail] [slow=5] Anna")
    assert (await api.ledger())["balance"] == "60"
    api.clock.advance(6)
    failed = (await api.call("GET", f"{PATH}/{character_id}")).json
    assert (failed["status"], bool(failed["fail_reason"])) == ("failed", True)
    ledger = await api.ledger()
    assert (ledger["balance"], ledger["charged_credits"], ledger["refunded_credits"]) == ("100", "40", "40")
    assert [refund["request_id"] for refund in ledger["refunds"]] == [character_id]


async def test_training_ignores_idempotency_keys(api: Any) -> None:
    body = {"name": "Anna", "input_images": [{"type": "image_url", "image_url": URL}]}
    ids = set()
    for _ in range(2):
        answer = await api.call("POST", PATH, json=body, headers={"Idempotency-Key": "the-same"})
        ids.add(answer.json["id"])
    ledger = await api.ledger()
    assert (len(ids), ledger["charged_credits"], ledger["balance"]) == (2, "80", "20")


async def test_training_without_credits_is_refused(start: Any) -> None:
    api = await start(credits=39)
    answer = await make(api)
    assert (answer.status, answer.detail) == (403, "not_enough_credits")
    assert (await api.ledger())["charges"] == []


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"name": "x" * 101}, ["body", "name"]),
        ({"input_images": []}, ["body", "input_images"]),
        ({"input_images": [{"type": "image_url", "image_url": URL}] * 101}, ["body", "input_images"]),
        ({"input_images": [{"type": "image_url"}]}, ["body", "input_images", 0, "image_url"]),
        ({"model_version": "v9"}, ["body", "model_version"]),
    ],
)
async def test_an_invalid_character_is_refused_with_the_field_at_fault(api: Any, wrong: Any, where: Any) -> None:
    answer = await make(api, **wrong)
    assert (answer.status, answer.detail[0]["loc"]) == (422, where)
    assert (await api.ledger())["charge_count"] == 0


async def test_a_list_has_pages_newest_first(start: Any) -> None:
    api = await start()
    ids = []
    for number in range(5):
        ids.append(await made(api, f"character {number}"))
        api.clock.advance(number % 2)  # some are made at the same time
    pages = [(await api.call("GET", f"{PATH}/list?page={number}&page_size=2")).json for number in (1, 2, 3, 4)]
    assert [one["id"] for page in pages for one in page["items"]] == ids[::-1]
    assert [(page["total"], page["page"], page["page_size"], page["total_pages"]) for page in pages[:2]] == [
        (5, 1, 2, 3), (5, 2, 2, 3),
    ]  # fmt: skip
    assert (await api.call("GET", f"{PATH}/list")).json["page_size"] == 20
    assert (await api.call("GET", f"{PATH}/list?page=0")).status == 422


async def test_a_deleted_character_is_gone_and_not_refunded(api: Any) -> None:
    character_id = await made(api)
    assert (await api.call("DELETE", f"{PATH}/{character_id}")).status == 200
    for method in ("GET", "DELETE"):
        answer = await api.call(method, f"{PATH}/{character_id}")
        assert (answer.status, answer.detail) == (404, "Not found")
    assert (await api.call("GET", f"{PATH}/list")).json["items"] == []
    assert (await api.ledger())["balance"] == "60"


@pytest.mark.parametrize("version", FAMILIES)
async def test_a_character_works_with_the_models_of_its_family_only(start: Any, version: str) -> None:
    api = await start()
    character_id = await made(api, model_version=version)
    early = await api.submit(model=FAMILIES[version], custom_reference_id=character_id)
    assert (early.status, early.detail[0]["loc"]) == (422, ["body", "custom_reference_id"])
    api.clock.advance(100)
    for family, model in FAMILIES.items():
        answer = await api.submit(model=model, custom_reference_id=character_id)
        assert answer.status == (200 if family == version else 422)
    assert (await api.submit(custom_reference_id=UNKNOWN)).status == 422


async def test_accounts_do_not_see_each_others_characters(start: Any) -> None:
    api = await start(credentials="sandbox:sandbox other:pair")
    character_id = await made(api)
    api.auth = {"hf-api-key": "other", "hf-secret": "pair"}
    assert (await api.call("GET", f"{PATH}/{character_id}")).status == 404
    assert (await api.call("GET", f"{PATH}/list")).json["total"] == 0


async def test_faults_apply_to_training_as_to_submissions(start: Any) -> None:
    api = await start()
    await api.plan(on="train", kind="502", processed=True)
    await api.plan(on="characters", kind="429", headers={"Retry-After": "7"})
    assert (await make(api)).status == 502
    assert (await api.call("GET", f"{PATH}/list")).headers["Retry-After"] == "7"
    with pytest.raises(aiohttp.ClientError):
        await make(api, "[lost] Anna")
    assert (await make(api, "[http=503] Anna")).status == 503
    ledger = await api.ledger()
    assert [(one["name"], one["outcome"], one["processed"]) for one in ledger["trainings"]] == [
        ("Anna", "502", True), ("[lost] Anna", "lost", True), ("[http=503] Anna", "503", False),
    ]  # fmt: skip
    assert [charge["prompt"] for charge in ledger["charges"]] == ["Anna", "[lost] Anna"]
    assert (await api.call("GET", f"{PATH}/list")).json["total"] == 2
