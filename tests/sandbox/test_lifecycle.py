"""The lifecycle of a request: statuses, outputs, cancellation, refunds, retention, deletion."""

from __future__ import annotations

import uuid
from typing import Any

import pytest


async def test_an_image_passes_through_queued_and_in_progress_to_completed(api: Any) -> None:
    request_id = await api.submitted()
    seen = []
    for _ in range(7):
        answer = await api.status(request_id)
        seen.append(answer.json["status"])
        api.clock.advance(1)

    assert seen == ["queued", *["in_progress"] * 4, "completed", "completed"]
    assert answer.json["images"] == [{"url": f"{api.sandbox.url}/media/{request_id}/0.png"}]
    assert "video" not in answer.json
    assert (await api.ledger())["requests"][0]["status_calls"] == 7


async def test_outputs_appear_only_at_the_end_one_per_batch_item(api: Any) -> None:
    request_id = await api.submitted(batch_size=4)
    assert "images" not in (await api.status(request_id)).json
    api.clock.advance(2)
    assert "images" not in (await api.status(request_id)).json
    api.clock.advance(3)
    assert len({image["url"] for image in (await api.status(request_id)).json["images"]}) == 4


async def test_a_video_takes_longer_and_has_one_file(api: Any) -> None:
    request_id = await api.submitted(model="kling-video/v2.5-turbo/pro/text-to-video")
    api.clock.advance(12)
    assert (await api.status(request_id)).json["status"] == "in_progress"
    api.clock.advance(1)
    done = (await api.status(request_id)).json
    assert done["video"]["url"] == f"{api.sandbox.url}/media/{request_id}/0.webm"
    assert "images" not in done


async def test_a_word_in_the_prompt_sets_the_duration(api: Any) -> None:
    request_id = await api.submitted("[slow=30] a snail")
    api.clock.advance(30.5)
    assert (await api.status(request_id)).json["status"] == "in_progress"
    api.clock.advance(0.5)
    assert (await api.status(request_id)).json["status"] == "completed"


@pytest.mark.parametrize(("word", "status"), [("[fail]", "failed"), ("[nsfw]", "nsfw")])
async def test_a_failed_request_has_no_outputs_and_is_refunded(api: Any, word: str, status: str) -> None:
    request_id = await api.submitted(f"{word} a fox")
    api.clock.advance(4.9)
    ledger = await api.ledger()
    assert (ledger["balance"], ledger["requests"][0]["refunded"]) == ("99.950", False)

    api.clock.advance(0.2)
    ledger = await api.ledger()
    assert (ledger["balance"], ledger["requests"][0]["refunded"]) == ("100.000", True)
    refund = {"at": 5.0, "request_id": request_id, "credits": "0.050", "reason": status}
    assert ledger["refunds"] == [refund]
    ended = (await api.status(request_id)).json
    assert ended["status"] == status
    assert not {"images", "video"} & set(ended)
    assert bool(ended.get("error")) == (status == "failed")


async def test_a_completed_request_is_not_refunded(api: Any) -> None:
    await api.submitted()
    api.clock.advance(1000)
    ledger = await api.ledger()
    assert (ledger["balance"], ledger["refunds"], ledger["requests"][0]["refunded"]) == ("99.950", [], False)


async def test_canceling_a_queued_request_returns_202_and_refunds(api: Any) -> None:
    request_id = await api.submitted()
    answer = await api.cancel(request_id)
    assert (answer.status, answer.content, answer.headers["Content-Length"]) == (202, b"", "0")

    api.clock.advance(100)
    assert (await api.status(request_id)).json["status"] == "canceled"
    ledger = await api.ledger()
    assert ledger["balance"] == "100.000"
    assert [one["reason"] for one in ledger["refunds"]] == ["canceled"]


@pytest.mark.parametrize(("after", "status"), [(1, "in_progress"), (5, "completed")])
async def test_a_started_request_cannot_be_canceled(api: Any, after: float, status: str) -> None:
    request_id = await api.submitted()
    api.clock.advance(after)
    answer = await api.cancel(request_id)
    assert answer.status == 400
    assert isinstance(answer.detail, str)
    assert (await api.status(request_id)).json["status"] == status
    assert (await api.ledger())["refunds"] == []


async def test_a_second_cancel_fails_and_refunds_nothing(api: Any) -> None:
    request_id = await api.submitted()
    await api.cancel(request_id)
    assert (await api.cancel(request_id)).status == 400
    assert (await api.ledger())["balance"] == "100.000"


async def test_unknown_and_foreign_requests_are_both_not_found(start: Any) -> None:
    api = await start(credentials="one:1 two:2")
    api.auth = {"Authorization": "Key one:1"}
    foreign = await api.submitted()
    api.auth = {"Authorization": "Key two:2"}

    for request_id in (foreign, str(uuid.uuid4()), "no-uuid"):
        for answer in (await api.status(request_id), await api.cancel(request_id), await api.delete(request_id)):
            assert (answer.status, answer.json) == (404, {"detail": "Not found"})


@pytest.mark.parametrize("seconds", ["3599", "604801", "-3600", "3600.5", "an hour", "", "٣٦٠٠", "9" * 5000])
async def test_a_retention_out_of_range_is_refused(api: Any, seconds: str) -> None:
    answer = await api.submit(headers={"Hf-Expires-After": seconds})
    assert answer.status == 422
    assert (await api.ledger())["charge_count"] == 0


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/models?limit=", 200),
        ("/marketing-studio/image/presets?cursor=", 200),
        ("/v1/custom-references/list?page=", 422),
    ],
)
async def test_a_number_may_have_more_digits_than_python_converts(api: Any, path: str, status: int) -> None:
    assert (await api.call("GET", path + "9" * 5000)).status == status


@pytest.mark.parametrize(("headers", "lasts"), [({"Hf-Expires-After": "3600"}, 3600), ({}, 7 * 24 * 3600)])
async def test_files_expire_but_the_status_remains(api: Any, headers: dict[str, str], lasts: int) -> None:
    request_id = await api.submitted(headers=headers)
    assert "expires_at" not in (await api.status(request_id)).json
    api.clock.advance(5)
    done = (await api.status(request_id)).json
    expected = {3600: "2026-01-01T01:00:05.000Z", 604800: "2026-01-08T00:00:05.000Z"}
    assert done["expires_at"] == expected[lasts]

    url = done["images"][0]["url"]
    api.clock.advance(lasts - 1)
    assert (await api.call("GET", url)).status == 200
    api.clock.advance(1)
    assert (await api.call("GET", url)).status == 403
    assert (await api.status(request_id)).json["status"] == "completed"


async def test_delete_removes_files_and_outputs_and_is_idempotent(api: Any) -> None:
    request_id = await api.submitted()
    assert (await api.delete(request_id)).status == 400
    api.clock.advance(5)
    url = (await api.status(request_id)).json["images"][0]["url"]

    first = await api.delete(request_id)
    api.clock.advance(10)
    second = await api.delete(request_id)
    assert (first.status, second.status) == (200, 200)
    assert first.json == second.json
    assert first.json["request_id"] == request_id

    after = (await api.status(request_id)).json
    assert after["status"] == "completed"
    assert "images" not in after
    assert (await api.call("GET", url)).status == 404
    assert (await api.ledger())["charged_credits"] == "0.050"
