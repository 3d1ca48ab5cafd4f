"""@higgsfield/client 0.2.6 (v1) from npm against the sandbox: it works, stops too early, and is charged twice."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.sandbox.catalog.presets import MOTIONS, SOUL_STYLES_1, with_origin

pytestmark = pytest.mark.toolchain("node")

SOUL, DOP, SPEAK = "/v1/text2image/soul", "/v1/image2video/dop", "/v1/speak/higgsfield"
PICTURE = {"type": "image_url", "image_url": "https://files.example/p.png"}
PARAMS: dict[str, dict[str, Any]] = {
    SOUL: {"prompt": "fox", "width_and_height": "1536x1536", "quality": "720p", "batch_size": 1},
    DOP: {"model": "dop-turbo", "prompt": "zoom", "input_images": [PICTURE, PICTURE]},
    SPEAK: {
        "prompt": "hello", "input_image": PICTURE, "quality": "mid", "duration": 5,
        "input_audio": {"type": "audio_url", "audio_url": "https://files.example/s.wav"},
    },
}  # fmt: skip


@pytest.mark.parametrize("endpoint", PARAMS)
async def test_js_generate_polls_a_job_to_its_files(start: Any, js_generate: Any, endpoint: str) -> None:
    sandbox = await start()
    answer = await js_generate(sandbox.url, endpoint, PARAMS[endpoint])
    (job,) = answer["jobSet"]["jobs"]
    assert job["status"] == "completed"
    assert set(job["results"]) == {"min", "raw"}
    assert sandbox.ledger.foreign_headers == {}
    assert [one.model for one in sandbox.ledger.submissions] == [endpoint[1:]]


async def test_js_generate_stops_at_the_first_ended_job_of_a_batch(start: Any, js_generate: Any) -> None:
    """The three other images are charged, and their caller never sees them."""
    sandbox = await start(image_seconds=400)
    answer = await js_generate(sandbox.url, SOUL, PARAMS[SOUL] | {"batch_size": 4})
    statuses = [job["status"] for job in answer["jobSet"]["jobs"]]
    assert statuses[0] == "completed"
    assert statuses.count("completed") < 4
    (charge,) = sandbox.ledger.charges
    assert str(charge.credits) == "6.000"


async def test_js_generate_passes_a_webhook_with_its_secret(start: Any, js_generate: Any) -> None:
    sandbox = await start()
    hook = {"url": "http://127.0.0.1:9/hook?a=b", "secret": "hush-hush"}
    answer = await js_generate(sandbox.url, SOUL, PARAMS[SOUL], webhook=hook, withPolling=False)
    generation = sandbox.state.generation(answer["jobSet"]["id"])
    assert (generation.webhook, generation.webhook_secret) == (hook["url"], hook["secret"])


async def test_js_v1_is_charged_three_times_after_two_lost_responses(start: Any, plan: Any, js_generate: Any) -> None:
    """The gateway never retries this: v1 has no idempotency key that would make a retry safe."""
    sandbox = await start()
    plan(sandbox, on="submit", kind="502", processed=True, times=2)
    answer = await js_generate(sandbox.url, SOUL, PARAMS[SOUL])
    assert answer["jobSet"]["jobs"][0]["status"] == "completed"
    assert sandbox.ledger.double_charged_prompts == {"fox": 3}


async def test_the_js_v2_client_is_refused_on_a_v1_path(start: Any, js_subscribe: Any) -> None:
    sandbox = await start()
    answer = await js_subscribe(sandbox.url, SOUL, PARAMS[SOUL])
    assert answer["error"]["type"] == "ValidationError"
    assert sandbox.ledger.charges == []


async def test_the_js_v1_client_lists_motions_and_styles(start: Any, js_lists: Any) -> None:
    sandbox = await start()

    expected = {"motions": with_origin(MOTIONS, sandbox.url), "styles": with_origin(SOUL_STYLES_1, sandbox.url)}
    assert await js_lists(sandbox.url) == expected
    assert (await js_lists(sandbox.url, "wrong"))["error"]["type"] == "AuthenticationError"
    assert sandbox.ledger.list_calls == {"motions": 2, "styles": 1}
