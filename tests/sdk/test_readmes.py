"""The examples of both official SDKs' READMEs, called in the same order against the sandbox."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import higgsfield_client
import pytest
from higgsfield_client import Cancelled, Completed, HiggsfieldClientError, InProgress, Queued

from tests.sdk.conftest import run_script

SEEDREAM = "bytedance/seedream/v4/text-to-image"
ARGUMENTS = {"resolution": "2K", "aspect_ratio": "16:9", "camera_fixed": False}


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a function that points the module's global clients, created on import, at a sandbox."""
    clients = (higgsfield_client.sync_client, higgsfield_client.async_client)

    def point(sandbox: Any) -> Any:
        monkeypatch.setenv("HF_KEY", "sandbox:sandbox")
        monkeypatch.setattr("higgsfield_client.http.client.BASE_URL", sandbox.url)
        for client in clients:
            monkeypatch.setattr(client, "base_url", sandbox.url)
        return higgsfield_client

    yield point
    for client in clients:
        for name in ("_client", "_upload_client", "_transport"):
            opened = client.__dict__.pop(name, None)
            if hasattr(opened, "close"):
                opened.close()


@pytest.fixture
async def closing() -> Any:
    """Close the asynchronous client's connections in the loop that opened them."""
    yield
    for name in ("_client", "_upload_client"):
        opened = higgsfield_client.async_client.__dict__.pop(name, None)
        if opened is not None:
            await opened.aclose()


async def test_the_python_readme_submits_and_waits(start: Any, sdk: Any, closing: None) -> None:
    sandbox = await start()
    sdk = sdk(sandbox)
    result = await asyncio.to_thread(sdk.subscribe, SEEDREAM, arguments={"prompt": "a lake"} | ARGUMENTS)
    again = await sdk.subscribe_async(SEEDREAM, arguments={"prompt": "a lake, again"} | ARGUMENTS)
    assert [len(one["images"]) for one in (result, again)] == [1, 1]
    assert [charge.prompt for charge in sandbox.ledger.charges] == ["a lake", "a lake, again"]


async def test_the_python_readme_tracks_progress(start: Any, sdk: Any, closing: None) -> None:
    sandbox = await start()
    sdk = sdk(sandbox)
    hook = "http://127.0.0.1:9/webhook"

    def tracked() -> tuple[list[type], Any]:
        controller = sdk.submit(SEEDREAM, arguments={"prompt": "a ball"} | ARGUMENTS, webhook_url=hook)
        return [type(status) for status in controller.poll_request_status(delay=0.005)], controller.get()

    seen, result = await asyncio.to_thread(tracked)
    controller = await sdk.submit_async(SEEDREAM, arguments={"prompt": "a ball"} | ARGUMENTS, webhook_url=hook)
    seen_async = [type(status) async for status in controller.poll_request_status(delay=0.005)]
    result_async = await controller.get()
    for statuses, ended in ((seen, result), (seen_async, result_async)):
        assert set(statuses) <= {Queued, InProgress, Completed}
        assert statuses[-1] is Completed
        assert ended["images"][0]["url"]
    assert [submission.webhook for submission in sandbox.ledger.submissions] == [hook, hook]


async def test_the_python_readme_submits_with_callbacks(start: Any, sdk: Any, closing: None) -> None:
    sandbox = await start()
    sdk = sdk(sandbox)
    seen: list[Any] = []
    callbacks = {"on_enqueue": seen.append, "on_queue_update": seen.append}
    await asyncio.to_thread(sdk.subscribe, SEEDREAM, {"prompt": "a lake"}, **callbacks)
    await sdk.subscribe_async(SEEDREAM, {"prompt": "a lake"}, **callbacks)
    ids = [one for one in seen if isinstance(one, str)]
    assert ids == [charge.request_id for charge in sandbox.ledger.charges]
    assert [isinstance(seen[-1], Completed), isinstance(seen[seen.index(ids[1]) - 1], Completed)] == [True, True]


async def test_the_python_readme_manages_existing_requests(start: Any, clock: Any, sdk: Any, closing: None) -> None:
    sandbox = await start(clock)
    sdk = sdk(sandbox)
    controller = await asyncio.to_thread(sdk.submit, SEEDREAM, {"prompt": "a lake"})
    by_id = {"request_id": controller.request_id}
    assert isinstance(await asyncio.to_thread(controller.status), Queued)
    assert isinstance(await asyncio.to_thread(sdk.status, **by_id), Queued)
    assert isinstance(await sdk.status_async(**by_id), Queued)
    clock.advance(10)
    results = [await asyncio.to_thread(controller.get), await asyncio.to_thread(sdk.result, **by_id)]
    results.append(await sdk.result_async(**by_id))
    assert [result["images"] for result in results] == [results[0]["images"]] * 3
    with pytest.raises(HiggsfieldClientError):
        await sdk.cancel_async(**by_id)

    for cancel in (sdk.cancel, None):
        other = await sdk.submit_async(SEEDREAM, {"prompt": "never mind"})
        if cancel is None:
            await sdk.cancel_async(request_id=other.request_id)
        else:
            await asyncio.to_thread(cancel, request_id=other.request_id)
        assert isinstance(await other.status(), Cancelled)


async def test_the_python_readme_uploads_files(start: Any, sdk: Any, closing: None, tmp_path: Path) -> None:
    from PIL import Image

    sdk = sdk(await start())
    file = tmp_path / "example.jpeg"
    image = Image.new("RGB", (8, 8), "red")
    image.save(file)
    with io.BytesIO() as buffer:
        image.save(buffer, format="jpeg")
        data = buffer.getvalue()
    urls = [
        await asyncio.to_thread(sdk.upload, data, "image/jpeg"),
        await asyncio.to_thread(sdk.upload_file, file),
        await asyncio.to_thread(sdk.upload_image, image, format="jpeg"),
        await sdk.upload_async(data, content_type="image/jpeg"),
        await sdk.upload_file_async(file),
        await sdk.upload_image_async(image, format="jpeg"),
    ]
    async with aiohttp.ClientSession() as session:
        for url in urls:
            async with session.get(url) as answer:
                assert await answer.read() == data


@pytest.mark.toolchain("node")
async def test_the_javascript_readme_runs(start: Any, js_installed: Path) -> None:
    sandbox = await start()
    usual = {"baseURL": sandbox.url, "pollInterval": 5, "retryMaxBackoff": 1}
    asked = {
        "v2": {"credentials": "sandbox:sandbox", **usual},
        "v1": {"apiKey": "sandbox", "apiSecret": "sandbox", **usual},
    }
    seen = await run_script(js_installed, "readme.mjs", asked)
    assert seen.pop("flux")["images"][0]["url"]
    assert seen.pop("strength")["error"] == "BadInputError"
    # The SDK omits the headers that the storage has signed.
    assert seen.pop("upload")["error"]
    for name, result in seen.items():
        assert result.get("completed"), (name, result)
        assert all(url.startswith(sandbox.url) for url in result["urls"])
    assert [charge.prompt for charge in sandbox.ledger.charges] == ["flux", *seen]
    assert set(seen) == {"soul", "style", "dop", "motion", "speak"}
