"""Submissions: the response, credentials, webhook URLs, models that cannot be called."""

from __future__ import annotations

import uuid
from typing import Any

import pytest


async def test_a_submission_returns_a_queued_request_with_links(api: Any) -> None:
    answer = await api.submit()

    request_id = answer.json["request_id"]
    assert answer.status == 200
    assert answer.json == {
        "status": "queued",
        "request_id": str(uuid.UUID(request_id)),
        "status_url": f"{api.sandbox.url}/requests/{request_id}/status",
        "cancel_url": f"{api.sandbox.url}/requests/{request_id}/cancel",
    }
    assert (await api.call("GET", answer.json["status_url"])).json["status"] == "queued"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Key sandbox:wrong"},
        {"Authorization": "Key sandbox"},
        {"Authorization": "Bearer sandbox:sandbox"},
        {"Authorization": "Bearer sandbox:sandbox", "hf-api-key": "sandbox", "hf-secret": "sandbox"},
        {"hf-api-key": "sandbox", "hf-secret": "wrong"},
        {"hf-api-key": "sandbox"},
    ],
)
async def test_wrong_credentials_are_refused_by_every_call(api: Any, headers: dict[str, str]) -> None:
    known = await api.submitted()
    api.auth = headers

    for method, path in [
        ("POST", "/higgsfield-ai/soul/standard"),
        ("POST", "/estimate/higgsfield-ai/soul/standard"),
        ("GET", f"/requests/{known}/status"),
        ("POST", f"/requests/{known}/cancel"),
        ("DELETE", f"/requests/{known}"),
        ("GET", "/models"),
    ]:
        answer = await api.call(method, path, json={"prompt": "x"})
        assert (answer.status, answer.json) == (401, {"detail": "Invalid credentials"}), path

    ledger = await api.ledger()
    assert (ledger["credentials_seen_ok"], ledger["credentials_seen_bad"]) == (1, 6)
    assert ledger["charge_count"] == 1
    assert ledger["requests"][0]["status"] == "queued"


async def test_the_legacy_pair_of_headers_is_accepted(api: Any) -> None:
    api.auth = {"hf-api-key": "sandbox", "hf-secret": "sandbox"}
    assert (await api.submit()).status == 200


async def test_every_response_has_a_unique_correlation_id(api: Any) -> None:
    await api.plan(on="submit", kind="500")
    answers = [
        await api.submit(),
        await api.submit(),
        await api.submit(""),
        await api.call("POST", "/unknown/model", json={}),
        await api.call("GET", "/nothing"),
        await api.call("GET", "/models", headers={"Authorization": "none"}),
    ]
    ids = {answer.headers["X-Correlation-ID"] for answer in answers}
    assert len(ids) == len(answers)


@pytest.mark.parametrize("path", ["/nano_banana_pro", "/v1/text2image/unknown"])
async def test_credentials_are_checked_before_the_model_and_the_model_before_everything_else(
    api: Any, path: str
) -> None:
    await api.account(credits=0)
    bad: dict[str, Any] = {"data": b"{", "headers": {"Idempotency-Key": "two words", "Hf-Expires-After": "1"}}
    known = await api.call("POST", path, **bad)
    assert (known.status, known.detail) == (404, "model_not_found")
    api.auth = {"Authorization": "Key sandbox:wrong"}
    assert (await api.call("POST", path, **bad)).status == 401


async def test_an_unknown_model_is_not_found(api: Any) -> None:
    beside = ("/media/model", "/storage/model")  # whose other paths are not of the API
    for path in ("/unknown/model", "/estimate/unknown/model", "/higgsfield-ai/soul", "/requests/x/frobnicate", *beside):
        answer = await api.call("POST", path, json={"prompt": "x"})
        assert (answer.status, answer.json) == (404, {"detail": "model_not_found"}), path


@pytest.mark.parametrize("path", ["/", "/nothing", "/higgsfield-ai/soul/standard", "/requests/x/cancel"])
async def test_an_unmapped_get_is_method_not_allowed(api: Any, path: str) -> None:
    answer = await api.call("GET", path)
    assert (answer.status, answer.json) == (405, {"detail": "Method Not Allowed"})


@pytest.mark.parametrize(
    ("webhook", "usual", "strict"),
    [
        ("https://hooks.example.com/a", 200, 200),
        ("http://127.0.0.1:9/hook", 200, 400),
        ("https://127.0.0.1/hook", 200, 400),
        ("https://[::1]/hook", 200, 400),
        ("https://localhost/hook", 200, 400),
        ("https://gateway.internal/hook", 200, 400),
        ("http://hooks.example.com/a", 200, 400),
        ("https://me:secret@hooks.example.com/a", 400, 400),
        ("hooks.example.com/a", 400, 400),
        ("ftp://hooks.example.com/a", 400, 400),
        ("https:///a", 400, 400),
        ("https://[::1/hook", 400, 400),
    ],
)
async def test_webhook_urls_are_validated(api: Any, webhook: str, usual: int, strict: int) -> None:
    assert (await api.submit(query={"hf_webhook": webhook})).status == usual
    await api.account(strict_webhooks=True)
    assert (await api.submit(query={"hf_webhook": webhook})).status == strict


async def test_a_blocked_model_returns_423_until_unblocked(api: Any) -> None:
    await api.account(blocked_models=["higgsfield-ai/soul/standard"])
    blocked = await api.submit()
    assert blocked.status == 423
    assert isinstance(blocked.detail, str)
    assert (await api.submit(model="z-image/turbo")).status == 200

    await api.account(blocked_models=[])
    assert (await api.submit()).status == 200
