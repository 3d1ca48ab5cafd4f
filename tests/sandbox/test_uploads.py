"""Upload slots and their storage, which keeps only the size and hash of a file that is too large."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.sandbox.http import upload_routes
from gateway.sandbox.server import Sandbox, SandboxOptions

CONTENT = bytes(range(256)) * 1000


@pytest.mark.parametrize(("most", "kept"), [(len(CONTENT), True), (len(CONTENT) - 1, False)])
async def test_files_above_a_size_are_kept_as_size_and_hash(
    api: Any, monkeypatch: pytest.MonkeyPatch, most: int, kept: bool
) -> None:
    monkeypatch.setattr(upload_routes, "MAX_KEPT_BYTES", most)
    slot = (await api.call("POST", "/files/generate-upload-url", json={"content_type": "image/png"})).json

    async with aiohttp.ClientSession() as session:
        async with session.put(slot["upload_url"], data=CONTENT, headers=slot["upload_headers"]) as answer:
            assert answer.status == 200
        async with session.get(slot["public_url"]) as answer:
            found = await answer.read()

    if kept:
        assert (answer.status, found) == (200, CONTENT)
    else:
        assert answer.status == 410
        summary = f"{len(CONTENT)} bytes, SHA-256 {hashlib.sha256(CONTENT).hexdigest()}"
        assert summary.encode() in found


@pytest.mark.parametrize("changed", [{"x-amz-tagging": None}, {"Content-Type": "image/jpeg"}])
async def test_a_put_without_the_signed_headers_is_refused(api: Any, changed: dict[str, str | None]) -> None:
    slot = (await api.call("POST", "/files/generate-upload-url", json={"content_type": "image/png"})).json
    headers = {name: value for name, value in {**slot["upload_headers"], **changed}.items() if value is not None}

    async with aiohttp.ClientSession() as session:
        async with session.put(slot["upload_url"], data=CONTENT, headers=headers) as answer:
            assert answer.status == 403
        async with session.get(slot["public_url"]) as answer:
            assert answer.status == 404
    assert api.sandbox.ledger.uploads == 0


async def test_a_slot_takes_a_put_of_known_size_with_its_signature_for_an_hour(api: Any) -> None:
    slot = (await api.call("POST", "/files/generate-upload-url", json={"content_type": "image/png"})).json
    url, headers = slot["upload_url"], slot["upload_headers"]

    async def pieces() -> AsyncIterator[bytes]:
        yield CONTENT

    async with aiohttp.ClientSession() as session:

        async def put(url: str, data: Any = CONTENT) -> int:
            async with session.put(url, data=data, headers=headers) as answer:
                return answer.status

        assert [await put(f"{url}0"), await put(url, pieces())] == [403, 411]
        api.clock.advance(3599)
        assert await put(url) == 200
        api.clock.advance(1)
        assert await put(url) == 403
    assert api.sandbox.ledger.uploads == 1


async def test_a_file_is_kept_for_seven_days_after_its_upload(api: Any) -> None:
    slot = (await api.call("POST", "/files/generate-upload-url", json={"content_type": "image/png"})).json
    api.clock.advance(60)
    assert (await api.call("PUT", slot["upload_url"], data=CONTENT, headers=slot["upload_headers"])).status == 200
    for seconds, status in ((7 * 86_400 - 1, 200), (1, 404)):
        api.clock.advance(seconds)
        assert (await api.call("GET", slot["public_url"])).status == status


@pytest.mark.parametrize("processed", [False, True])
async def test_a_fault_of_the_storage_decides_whether_the_file_is_kept(api: Any, processed: bool) -> None:
    await api.plan(on="storage", kind="503", processed=processed)
    slot = (await api.call("POST", "/files/generate-upload-url", json={"content_type": "image/png"})).json
    assert (await api.call("PUT", slot["upload_url"], data=CONTENT, headers=slot["upload_headers"])).status == 503
    assert (await api.call("GET", slot["public_url"])).status == (200 if processed else 404)
    assert api.sandbox.ledger.uploads == processed


async def test_files_are_removed_when_the_sandbox_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with Sandbox(SandboxOptions(port=0)) as sandbox, aiohttp.ClientSession(sandbox.url) as session:
        key = {"Authorization": "Key sandbox:sandbox"}
        body = {"content_type": "image/png"}
        async with session.post("/files/generate-upload-url", json=body, headers=key) as answer:
            slot = await answer.json()
        async with session.put(slot["upload_url"], data=CONTENT, headers=slot["upload_headers"]) as answer:
            assert answer.status == 200
        assert [*tmp_path.iterdir()]
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("credentials", "counted"), [({}, 0), ({"Authorization": "Key sandbox:sandbox"}, 1), ({"hf-api-key": "sandbox"}, 1)]
)
async def test_credentials_that_reach_the_storage_are_counted(
    api: Any, credentials: dict[str, str], counted: int
) -> None:
    slot = (await api.call("POST", "/files/generate-upload-url", json={"content_type": "image/png"})).json
    async with aiohttp.ClientSession() as session:
        headers = slot["upload_headers"] | credentials
        async with session.put(slot["upload_url"], data=CONTENT, headers=headers) as answer:
            assert answer.status == 200
    assert (await api.ledger())["credentials_sent_to_storage"] == counted


@pytest.mark.parametrize("body", [{"content_type": "text/plain"}, {}, []])
async def test_an_upload_slot_for_another_type_is_refused(api: Any, body: Any) -> None:
    answer = await api.call("POST", "/files/generate-upload-url", json=body)

    assert answer.status == 422
    assert [entry["loc"] for entry in answer.detail] == [["body", "content_type"]]


async def test_a_body_that_is_too_deeply_nested_is_refused(api: Any) -> None:
    answer = await api.call("POST", "/files/generate-upload-url", data="[" * 100_000)

    assert answer.status == 422
