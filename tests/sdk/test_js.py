"""@higgsfield/client 0.2.6 (v2, and Soul IDs by v1) from npm against the sandbox: its behaviour and its charges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.sdks import installed

pytestmark = pytest.mark.toolchain("node")

SOUL = "higgsfield-ai/soul/standard"
SEEDANCE = "bytedance/seedance-2.0/text-to-video"


def test_an_installed_sdk_is_not_written_again(js_installed: Path) -> None:
    """Several processes of a test run share it: one would read a file while another writes it."""

    def written() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in js_installed.iterdir() if path.name != "stamp"}

    before = written()
    assert installed.javascript() == js_installed
    assert written() == before


async def test_js_subscribe_polls_a_request_to_its_images(start: Any, js_subscribe: Any) -> None:
    sandbox = await start()
    answer = await js_subscribe(sandbox.url, SOUL, {"prompt": "fox", "batch_size": 4})
    assert answer["result"]["status"] == "completed"
    assert len(answer["result"]["images"]) == 4
    assert sandbox.ledger.status_calls.total() >= 1
    assert sandbox.ledger.foreign_headers == {}


async def test_js_subscribe_polls_a_video_and_passes_a_webhook(start: Any, js_subscribe: Any) -> None:
    sandbox = await start()
    hook = {"url": "http://127.0.0.1:9/hook?a=b&c=d", "secret": "dropped by the SDK"}
    answer = await js_subscribe(sandbox.url, SEEDANCE, {"prompt": "fox"}, webhook=hook)
    assert answer["result"]["video"]["url"].endswith(".webm")
    assert sandbox.ledger.submissions[0].webhook == hook["url"]


async def test_js_without_polling_returns_the_submit_response(start: Any, js_subscribe: Any) -> None:
    sandbox = await start()
    answer = await js_subscribe(sandbox.url, SOUL, {"prompt": "fox"}, withPolling=False)
    assert answer["result"]["status"] == "queued"
    assert sandbox.ledger.status_calls.total() == 0


@pytest.mark.parametrize(("word", "status"), [("[fail]", "failed"), ("[nsfw]", "nsfw")])
async def test_js_returns_failed_and_nsfw_ends(start: Any, js_subscribe: Any, word: str, status: str) -> None:
    sandbox = await start()
    answer = await js_subscribe(sandbox.url, SOUL, {"prompt": word})
    assert answer["result"]["status"] == status
    assert len(sandbox.ledger.refunds) == 1


@pytest.mark.parametrize(
    ("options", "submission", "error"),
    [
        ({"credentials": "other:pair"}, (SOUL, {"prompt": "x"}), "AuthenticationError"),
        ({"credits": 0}, (SOUL, {"prompt": "x"}), "NotEnoughCreditsError"),
        ({}, (SOUL, {}), "ValidationError"),
        ({}, (SEEDANCE, {}), "BadInputError"),
        ({}, ("unknown/model", {"prompt": "x"}), "APIError"),
        ({"concurrency_mode": "legacy", "concurrency_limit": 0}, (SOUL, {"prompt": "x"}), "BadInputError"),
    ],
)
async def test_js_sends_a_refused_submission_four_times(
    start: Any, js_subscribe: Any, options: dict[str, Any], submission: tuple[str, Any], error: str
) -> None:
    sandbox = await start(**options)
    answer = await js_subscribe(sandbox.url, *submission)
    assert answer["error"]["type"] == error
    assert len(sandbox.ledger.submissions) == 4
    assert sandbox.ledger.charges == []


async def test_js_retries_a_temporary_error_on_post_but_not_on_poll(start: Any, plan: Any, js_subscribe: Any) -> None:
    sandbox = await start()
    plan(sandbox, on="submit", kind="503")
    assert (await js_subscribe(sandbox.url, SOUL, {"prompt": "fox"}))["result"]["status"] == "completed"

    plan(sandbox, on="status", kind="500")
    answer = await js_subscribe(sandbox.url, SOUL, {"prompt": "wolf"})
    assert (answer["error"]["type"], answer["error"]["statusCode"]) == ("APIError", 500)
    assert len(sandbox.ledger.charges) == 2


@pytest.mark.parametrize("kind", ["502", "lost"])
async def test_js_is_charged_three_times_after_two_lost_responses(
    start: Any, plan: Any, js_subscribe: Any, kind: str
) -> None:
    """One subscribe() is charged three times: the gateway prevents this."""
    sandbox = await start()
    plan(sandbox, on="submit", kind=kind, processed=True, times=2)
    answer = await js_subscribe(sandbox.url, SOUL, {"prompt": "fox"})
    assert answer["result"]["status"] == "completed"
    assert sandbox.ledger.double_charged_prompts == {"fox": 3}


async def test_js_ignores_retry_after_of_a_full_queue(start: Any, js_subscribe: Any) -> None:
    sandbox = await start(concurrency_limit=1, queue_factor=0, image_seconds=100_000)
    await js_subscribe(sandbox.url, SOUL, {"prompt": "first"}, withPolling=False)
    answer = await js_subscribe(sandbox.url, SOUL, {"prompt": "second"})
    assert answer["error"]["statusCode"] == 429
    assert len(sandbox.ledger.submissions) == 5
    assert sandbox.ledger.ignored_retry_after == 3


async def test_js_keeps_polling_after_an_unknown_status(start: Any, plan: Any, js_subscribe: Any) -> None:
    sandbox = await start()
    plan(sandbox, on="status", patch={"status": "paused"}, times=3)
    assert (await js_subscribe(sandbox.url, SOUL, {"prompt": "fox"}))["result"]["status"] == "completed"
    assert sandbox.ledger.status_calls.total() >= 4


async def test_js_polls_a_canceled_request_until_its_timeout(start: Any, plan: Any, js_subscribe: Any) -> None:
    sandbox = await start()
    plan(sandbox, on="status", patch={"status": "canceled"}, times=100_000)
    answer = await js_subscribe(sandbox.url, SOUL, {"prompt": "fox"}, client={"maxPollTime": 100})
    assert answer["error"]["type"] == "TimeoutError"


async def test_js_does_not_follow_links_to_another_host(start: Any, plan: Any, js_subscribe: Any) -> None:
    sandbox, elsewhere = await start(), await start()
    plan(sandbox, on="submit", patch={"status_url": f"{elsewhere.url}/requests/x/status"})
    assert (await js_subscribe(sandbox.url, SOUL, {"prompt": "fox"}))["result"]["status"] == "completed"
    assert elsewhere.ledger.credentials_seen_ok == 0


async def test_a_connection_to_another_machine_fails_the_test(js_subscribe: Any) -> None:
    with pytest.raises(AssertionError, match="exit code 86"):
        await js_subscribe("http://192.0.2.1", SOUL, {"prompt": "fox"})


async def test_js_creates_polls_and_lists_soul_ids(start: Any, js_soul_ids: Any) -> None:
    sandbox = await start(training_seconds=20)
    images = [{"type": "image_url", "image_url": "https://example.invalid/a.jpg"}]
    answers = [await js_soul_ids(sandbox.url, {"name": name, "input_images": images}) for name in ("Anna", "[fail] Bo")]
    assert [(one["made"]["name"], one["made"]["status"]) for one in answers] == [
        ("Anna", "completed"), ("[fail] Bo", "failed"),
    ]  # fmt: skip
    listed = answers[1]["listed"]
    assert (listed["total"], listed["page_size"]) == (2, 2)
    assert [one["id"] for one in listed["items"]] == [answers[1]["made"]["id"], answers[0]["made"]["id"]]
    assert sandbox.ledger.foreign_headers == {}
    assert [str(charge.credits) for charge in sandbox.ledger.charges] == ["40", "40"]


async def test_js_gets_a_validation_error_for_a_soul_id_without_images(start: Any, js_soul_ids: Any) -> None:
    sandbox = await start()
    answer = await js_soul_ids(sandbox.url, {"name": "Anna", "input_images": []})
    assert answer["error"]["type"] == "ValidationError"
    assert sandbox.ledger.charges == []
