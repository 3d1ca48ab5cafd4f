"""The content, time and signatures of webhooks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import Any

import pytest

from gateway.sandbox.options import SandboxOptions
from gateway.sandbox.webhooks.signing import signed_headers

VIDEO = "kling-video/v2.5-turbo/pro/text-to-video"
OLD, NEW = (f"whsec_{base64.b64encode(bytes([number]) * 32).decode()}" for number in (1, 2))


def expected_signature(secret: str, delivered: Any) -> str:
    """Compute the signature from the specification, without the sandbox's code."""
    key = base64.b64decode(secret[len("whsec_") :])
    signed = b".".join(
        [delivered.headers["webhook-id"].encode(), delivered.headers["webhook-timestamp"].encode(), delivered.body]
    )
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


@pytest.mark.parametrize(("word", "status"), [("", "completed"), ("[fail]", "failed"), ("[nsfw]", "nsfw")])
async def test_an_end_is_delivered_once_with_the_body_of_the_status(
    api: Any, receiver: Any, word: str, status: str
) -> None:
    request_id = await api.submitted(f"{word} a fox", query=receiver.hook)
    api.clock.advance(4.9)
    assert await api.all_attempts() == []

    api.clock.advance(0.1)
    await api.attempts(1)
    api.clock.advance(10_000)
    await api.all_attempts()

    (delivered,) = receiver.received
    assert delivered.path == "/hooks/secret-token?a=b"
    assert delivered.headers["content-type"] == "application/json"
    assert delivered.reported == (request_id, status)
    assert delivered.json == (await api.status(request_id)).json


async def test_the_envelope_has_the_files_under_payload(api: Any, receiver: Any) -> None:
    await api.account(webhook_shape="envelope")
    image = await api.submit_and_finish(query=receiver.hook)
    await api.all_attempts()
    video = await api.submit_and_finish(model=VIDEO, query=receiver.hook)
    await api.all_attempts()
    failed = await api.submit_and_finish("[fail]", query=receiver.hook)
    await api.all_attempts()

    of_image, of_video, of_failed = (one.json for one in receiver.received)
    expires_at = (await api.status(image)).json["expires_at"]
    media = f"{api.sandbox.url}/media"
    assert of_image == {
        "request_id": image,
        "status": "completed",
        "error": None,
        "payload": {"images": [{"url": f"{media}/{image}/0.png"}]},
        "expires_at": expires_at,
    }
    assert of_video["payload"] == {"video": {"url": f"{media}/{video}/0.webm", "content_type": "video/webm"}}
    assert (of_failed["request_id"], of_failed["status"], of_failed["payload"]) == (failed, "failed", None)
    assert of_failed["error"] == (await api.status(failed)).json["error"]


async def test_links_use_the_host_of_the_submission(api: Any, receiver: Any) -> None:
    request_id = await api.submit_and_finish(query=receiver.hook, headers={"Host": "sandbox.test:9200"})
    await api.all_attempts()
    assert receiver.received[0].json["status_url"] == f"http://sandbox.test:9200/requests/{request_id}/status"


@pytest.mark.parametrize(("option", "statuses"), [(False, []), (True, ["canceled"])])
async def test_a_cancellation_is_delivered_only_if_the_account_asks(
    api: Any, receiver: Any, option: bool, statuses: list[str]
) -> None:
    await api.account(webhook_canceled=option)
    request_id = await api.submitted(query=receiver.hook)
    await api.cancel(request_id)
    await api.all_attempts()
    assert [status for _, status in receiver.reported] == statuses


async def test_requests_without_a_webhook_are_not_delivered(api: Any, receiver: Any) -> None:
    await api.submitted("silent")
    request_id = await api.submit_and_finish("loud", query=receiver.hook)
    assert [one.request_id for one in await api.all_attempts()] == [request_id]


async def test_deliveries_without_a_secret_are_unsigned(api: Any, receiver: Any) -> None:
    await api.submit_and_finish(query=receiver.hook)
    await api.all_attempts()
    assert not [name for name in receiver.received[0].headers if name.startswith("webhook-")]


async def test_a_signature_uses_real_time(api: Any, receiver: Any) -> None:
    await api.account(webhook_secret=OLD)
    await api.submit_and_finish(query=receiver.hook)
    (attempt,) = await api.all_attempts()

    (delivered,) = receiver.received
    assert delivered.headers["webhook-signature"] == expected_signature(OLD, delivered)
    assert delivered.headers["webhook-id"] == attempt.webhook_id
    assert abs(int(delivered.headers["webhook-timestamp"]) - time.time()) < 30


async def test_both_secrets_sign_retries_during_a_rotation(api: Any, receiver: Any) -> None:
    receiver.answers = [500]
    await api.account(webhook_secret=OLD)
    await api.submit_and_finish(query=receiver.hook)
    await api.attempts(1)
    await api.account(webhook_secret=f"{NEW} {OLD}")
    api.clock.advance(5)
    await api.all_attempts()

    before, after = receiver.received
    assert before.headers["webhook-signature"] == expected_signature(OLD, before)
    signatures = [expected_signature(NEW, after), expected_signature(OLD, after)]
    assert after.headers["webhook-signature"] == " ".join(signatures)


def test_the_signature_matches_the_example_of_the_specification() -> None:
    headers = signed_headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_webhook_options_can_be_set_at_the_start(start: Any, receiver: Any) -> None:
    api = await start(webhook_shape="envelope", webhook_secret=OLD)
    await api.submit_and_finish(query=receiver.hook)
    await api.all_attempts()
    (delivered,) = receiver.received
    assert "payload" in delivered.json
    assert delivered.headers["webhook-signature"] == expected_signature(OLD, delivered)


@pytest.mark.parametrize(
    "setting",
    [
        {"webhook_shape": "round"},
        {"webhook_retry": "never"},
        {"webhook_secret": "secret"},
        {"webhook_secret": "whsec_"},
        {"webhook_secret": "whsec_not base64!"},
        {"webhook_loss": 1.1},
        {"webhook_loss": -0.1},
        {"webhook_timeout": 0},
        {"webhook_canceled": 1},
    ],
)
async def test_invalid_webhook_options_are_refused(api: Any, setting: dict[str, Any]) -> None:
    assert (await api.call("POST", "/__account", json=setting)).status == 400
    if "webhook_canceled" not in setting:
        with pytest.raises(ValueError, match="webhook"):
            SandboxOptions(**setting)
