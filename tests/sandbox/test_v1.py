"""The v1 API of the sandbox: job sets whose jobs end one by one, and the features that v1 lacks."""

from __future__ import annotations

import io
import wave
from decimal import Decimal
from typing import Any

import av
import pytest
from PIL import Image

SOUL, DOP, SPEAK = "v1/text2image/soul", "v1/image2video/dop", "v1/speak/higgsfield"
KEYFRAMES = "v1/text2image/keyframes"
PICTURE = {"type": "image_url", "image_url": "https://files.example/p.png"}
SOUND = {"type": "audio_url", "audio_url": "https://files.example/s.wav"}
PARAMS: dict[str, dict[str, Any]] = {
    SOUL: {"prompt": "a fox", "width_and_height": "1536x1152", "quality": "720p", "batch_size": 4},
    DOP: {"model": "dop-lite", "prompt": "zoom", "input_images": [PICTURE, PICTURE]},
    KEYFRAMES: {"prompt": "a fox"},
    SPEAK: {"prompt": "hello", "input_image": PICTURE, "input_audio": SOUND, "quality": "mid", "duration": 5},
}


async def submit(api: Any, path: str = SOUL, webhook: Any = None, **params: Any) -> Any:
    body: dict[str, Any] = {"params": PARAMS[path] | params}
    if webhook is not None:
        body["webhook"] = webhook
    return await api.call("POST", f"/{path}", json=body)


async def job_set(api: Any, name: str) -> Any:
    answer = await api.call("GET", f"/v1/job-sets/{name}")
    assert answer.status == 200, answer.text
    return answer.json


def statuses(answer: Any) -> list[str]:
    return [job["status"] for job in answer["jobs"]]


async def test_four_jobs_end_one_by_one_with_two_files_each(api: Any) -> None:
    answer = await submit(api)
    assert answer.status == 200
    created = answer.json
    assert set(created) == {"id", "type", "created_at", "jobs", "input_params"}
    assert created["type"] == "text2image_soul"
    assert created["input_params"] == PARAMS[SOUL] | {
        "style_strength": 1,
        "custom_reference_strength": 1,
        "enhance_prompt": True,
    }
    assert statuses(created) == ["queued"] * 4
    assert len({job["id"] for job in created["jobs"]} | {created["id"]}) == 5
    api.clock.advance(1.5)
    for done in range(4):
        now = await job_set(api, created["id"])
        assert statuses(now) == ["completed"] * done + ["in_progress"] + ["queued"] * (3 - done)
        assert [job["results"] is not None for job in now["jobs"]] == [True] * done + [False] * (4 - done)
        assert [job["id"] for job in now["jobs"]] == [job["id"] for job in created["jobs"]]
        api.clock.advance(1)
    for job in (await job_set(api, created["id"]))["jobs"]:
        sizes = {}
        for name, file in job["results"].items():
            content = (await api.call("GET", file["url"], headers={"Authorization": ""})).content
            sizes[name] = Image.open(io.BytesIO(content)).size
            assert file["type"] == "image"
        assert sizes == {"raw": (1536, 1152), "min": (384, 288)}


@pytest.mark.parametrize("path", [DOP, SPEAK])
async def test_videos_are_webm(api: Any, path: str) -> None:
    created = (await submit(api, path)).json
    api.clock.advance(100)
    (job,) = (await job_set(api, created["id"]))["jobs"]
    for file in job["results"].values():
        assert file["type"] == "video"
        content = (await api.call("GET", file["url"])).content
        with av.open(io.BytesIO(content)) as container:
            assert len(list(container.decode(video=0))) > 10


@pytest.mark.parametrize(
    ("body", "location"),
    [
        ({}, ["body", "params"]),
        (PARAMS[SOUL], ["body", "params"]),
        ([], ["body", "params"]),
        ({"params": {}}, ["body", "params", "prompt"]),
        ({"params": PARAMS[SOUL] | {"width_and_height": "1x1"}}, ["body", "params", "width_and_height"]),
        ({"params": PARAMS[SOUL] | {"batch_size": 2}}, ["body", "params", "batch_size"]),
        ({"params": PARAMS[SOUL], "webhook": {"url": "http://127.0.0.1/"}}, ["body", "webhook", "secret"]),
        ({"params": PARAMS[SOUL], "webhook": "http://127.0.0.1/"}, ["body", "webhook"]),
    ],
)
async def test_an_invalid_body_is_refused_with_the_location_of_the_error(
    api: Any, body: Any, location: list[str]
) -> None:
    answer = await api.call("POST", f"/{SOUL}", json=body)
    assert answer.status == 422
    assert answer.detail[0]["loc"] == location
    assert (await api.ledger())["charge_count"] == 0


async def test_both_forms_of_credentials_are_accepted(api: Any) -> None:
    api.auth = {"hf-api-key": "sandbox", "hf-secret": "sandbox"}
    created = (await submit(api)).json
    api.auth = {"Authorization": "Key sandbox:sandbox"}
    assert (await job_set(api, created["id"]))["id"] == created["id"]
    for wrong in ({}, {"hf-api-key": "sandbox", "hf-secret": "x"}, {"Authorization": "Bearer sandbox:sandbox"}):
        api.auth = wrong
        assert (await submit(api)).status == 401
        assert (await api.call("GET", f"/v1/job-sets/{created['id']}")).status == 401


async def test_the_status_of_a_job_set_is_served_like_that_of_a_request(api: Any) -> None:
    name = (await submit(api, prompt="a fox [nsfw=1]")).json["id"]
    queued = (await api.status(name)).json
    assert (queued["status"], queued["request_id"]) == ("queued", name)
    assert (queued["status_url"], queued["cancel_url"]) == tuple(
        f"{api.sandbox.url}/requests/{name}/{tail}" for tail in ("status", "cancel")
    )
    api.clock.advance(2.5)
    running = (await api.status(name)).json
    assert (running["status"], "images" in running) == ("in_progress", False)
    api.clock.advance(100)
    ended = (await api.status(name)).json
    raws = [job["results"]["raw"]["url"] for job in (await job_set(api, name))["jobs"] if job["results"]]
    assert (ended["status"], [image["url"] for image in ended["images"]], len(raws)) == ("completed", raws, 3)
    await api.account(serve_job_sets=False)
    assert (await api.call("GET", f"/v1/job-sets/{name}")).status == 404
    assert (await api.status(name)).json == ended


async def test_a_queued_job_set_can_be_canceled_if_the_account_may(api: Any) -> None:
    name = (await submit(api)).json["id"]
    assert (await api.cancel(name)).status == 404
    await api.account(v1_cancel=True)
    assert (await api.cancel(name)).status == 202
    assert statuses(await job_set(api, name)) == ["canceled"] * 4
    ledger = await api.ledger()
    assert ledger["charged_credits"] == ledger["refunded_credits"] == "6.000"
    started = (await submit(api)).json["id"]
    api.clock.advance(1.5)
    assert (await api.cancel(started)).status == 400


async def test_input_params_can_be_left_out(api: Any) -> None:
    await api.account(v1_input_params=False)
    created = (await submit(api)).json
    assert set(created) == set(await job_set(api, created["id"])) == {"id", "type", "created_at", "jobs"}


async def test_unset_values_are_null_and_not_empty(api: Any) -> None:
    nulls = {"seed": None, "style_id": None, "custom_reference_id": None, "image_reference": None}
    body = {"params": PARAMS[SOUL] | nulls, "webhook": None}
    assert (await api.call("POST", f"/{SOUL}", json=body)).status == 200
    for name in ("style_id", "custom_reference_id"):
        refused = await submit(api, **{name: ""})
        assert (refused.status, refused.detail[0]["type"]) == (422, "uuid_parsing")
        assert refused.detail[0]["loc"] == ["body", "params", name]


async def test_speech_has_a_default_seed(api: Any) -> None:
    assert (await submit(api, SPEAK)).json["input_params"]["seed"] == 42


@pytest.mark.parametrize(
    ("path", "params", "credits"),
    [
        (SOUL, {"batch_size": 1}, "1.500"),
        (SOUL, {"batch_size": 4, "quality": "1080p"}, "12.000"),
        (DOP, {}, "2.000"),
        (DOP, {"model": "dop-turbo"}, "6.500"),
        (DOP, {"model": "dop-standard"}, "9.000"),
        (SPEAK, {"duration": 10}, "22.000"),
        (SPEAK, {"duration": 15, "quality": "high"}, "54.000"),
    ],
)
async def test_v1_prices_depend_on_model_quality_and_duration(
    api: Any, path: str, params: dict[str, Any], credits: str
) -> None:
    assert (await submit(api, path, **params)).status == 200
    assert (await api.ledger())["charged_credits"] == credits


async def test_keyframes_are_jobs_of_one_set(api: Any) -> None:
    created = (await submit(api, KEYFRAMES, count=3, image_references=[PICTURE], seed=None)).json
    assert statuses(created) == ["queued"] * 3
    api.clock.advance(100)
    (first, *_) = (await job_set(api, created["id"]))["jobs"]
    content = (await api.call("GET", first["results"]["raw"]["url"])).content
    assert Image.open(io.BytesIO(content)).size == (720, 960)
    assert (await submit(api, KEYFRAMES, seed=0)).detail[0]["loc"] == ["body", "params", "seed"]


async def test_v1_and_v2_do_not_see_each_others_requests(api: Any) -> None:
    of_v2, of_v1 = await api.submitted("a fox"), (await submit(api)).json["id"]
    assert (await api.call("GET", f"/v1/job-sets/{of_v2}")).status == 404
    assert (await api.delete(of_v1)).status == 404
    assert (await api.call("POST", f"/estimate/{SOUL}", json=PARAMS[SOUL])).status == 404


async def test_v1_ignores_idempotency_keys(api: Any) -> None:
    for _ in range(2):
        answer = await api.call(
            "POST", f"/{SOUL}", json={"params": PARAMS[SOUL]}, headers={"Idempotency-Key": "the-same"}
        )
        assert answer.status == 200
    assert (await api.ledger())["double_charged_prompts"] == {"a fox": 2}


@pytest.mark.parametrize(
    ("words", "ends", "refunded"),
    [
        ("", ["completed"] * 4, "0"),
        ("[nsfw=2]", ["completed", "completed", "nsfw", "nsfw"], "3"),
        ("[fail=1] [nsfw=1]", ["completed", "completed", "failed", "nsfw"], "3"),
        ("[nsfw=9]", ["nsfw"] * 4, "6"),
        ("[nsfw]", ["nsfw"] * 4, "6"),
        ("[fail]", ["failed"] * 4, "6.000"),
    ],
)
async def test_words_in_the_prompt_end_some_or_all_jobs(api: Any, words: str, ends: list[str], refunded: str) -> None:
    created = (await submit(api, prompt=f"a fox {words}")).json
    api.clock.advance(100)
    assert statuses(await job_set(api, created["id"])) == ends
    ledger = await api.ledger()
    assert (ledger["charged_credits"], Decimal(ledger["refunded_credits"])) == ("6.000", Decimal(refunded))
    assert Decimal(ledger["balance"]) == 100 - Decimal("6.000") + Decimal(refunded)
    assert [one["reason"] for one in ledger["refunds"]] == [end for end in ends if end != "completed"][:1]
    assert ledger["requests"][0]["model"] == SOUL


async def test_faults_limits_and_credits_apply_to_v1(api: Any) -> None:
    await api.plan(on="submit", kind="502", processed=True)
    assert (await submit(api)).status == 502
    assert (await api.ledger())["charge_count"] == 1
    name = (await submit(api, prompt="second")).json["id"]
    await api.plan(on="status", kind="503")
    assert (await api.call("GET", f"/v1/job-sets/{name}")).status == 503
    assert (await submit(api, prompt="a fox [http=500]")).status == 500
    await api.account(concurrency_mode="legacy", concurrency_limit=2)
    full = await submit(api, prompt="third")
    assert (full.status, "concurrent requests" in full.detail) == (400, True)
    await api.account(credits=0, concurrency_limit=9)
    assert (await submit(api)).detail == "not_enough_credits"


async def test_the_end_of_a_job_set_is_delivered_with_its_secret(api: Any, receiver: Any) -> None:
    hook = {"url": f"{receiver.url}/hooks/token", "secret": "hush-hush"}
    await api.account(webhook_secret="whsec_QUJDREVGR0hBQkNERUZHSA==")
    created = (await submit(api, webhook=hook)).json
    api.clock.advance(2.5)
    assert statuses(await job_set(api, created["id"]))[0] == "completed"
    assert receiver.received == []  # single jobs send no webhook
    api.clock.advance(100)
    await api.all_attempts()
    (delivered,) = receiver.received
    assert delivered.headers["x-webhook-secret-key"] == "hush-hush"
    assert not [name for name in delivered.headers if name.startswith("webhook-")]
    assert delivered.json == await job_set(api, created["id"])
    ledger = await api.ledger()
    assert ledger["submissions"][0]["webhook"] == hook["url"]
    assert "hush-hush" not in str(ledger)


async def test_strict_webhooks_apply_to_v1(api: Any) -> None:
    await api.account(strict_webhooks=True)
    assert (await submit(api, webhook={"url": "http://127.0.0.1/", "secret": "s"})).status == 400


async def test_example_speech_and_portrait_are_served(api: Any) -> None:
    api.auth = {}
    sound = await api.call("GET", "/media/examples/speech.wav")
    assert sound.headers["Content-Type"] == "audio/wav"
    with wave.open(io.BytesIO(sound.content)) as file:
        assert file.getnframes() / file.getframerate() == 3
        samples = file.readframes(file.getnframes())
    assert max(samples[1::2]) > 20  # it can be heard
    with av.open(io.BytesIO(sound.content)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) == 48_000
    face = await api.call("GET", "/media/examples/portrait.png")
    assert Image.open(io.BytesIO(face.content)).size == (720, 960)
    assert (await api.call("GET", "/media/examples/other.png")).status == 404
