"""higgsfield-client 0.2.0 from PyPI against the sandbox: its behaviour and its charges."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import httpx
import pytest
from higgsfield_client import (
    NSFW,
    AsyncClient,
    Cancelled,
    Completed,
    Failed,
    HiggsfieldClientError,
    InProgress,
    Queued,
)

SOUL = "higgsfield-ai/soul/standard"
SEEDANCE = "bytedance/seedance-2.0/text-to-video"


async def in_thread(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call the synchronous client in a thread, because the sandbox needs the loop."""
    return await asyncio.to_thread(function, *args, **kwargs)


async def test_python_subscribe_polls_a_request_to_its_images(start: Any, clock: Any, python_sdk: Any) -> None:
    sandbox = await start(clock)
    seen: list[type] = []

    def on_update(status: Any) -> None:
        seen.append(type(status))
        clock.advance(2.5)

    result = await in_thread(
        python_sdk(sandbox).subscribe, SOUL, {"prompt": "fox", "batch_size": 4}, on_queue_update=on_update
    )

    assert seen == [Queued, InProgress, Completed]
    assert result["status"] == "completed"
    assert len(result["images"]) == 4
    assert sandbox.ledger.foreign_headers == {}


async def test_the_asynchronous_python_client_polls_a_video(start: Any, clock: Any) -> None:
    sandbox = await start(clock)
    client = AsyncClient(base_url=sandbox.url, api_key="sandbox:sandbox")
    result = await client.subscribe(SEEDANCE, {"prompt": "fox"}, on_enqueue=lambda _: clock.advance(20))
    await client._client.aclose()
    assert result["video"]["url"].endswith(".webm")


async def test_python_reads_status_and_result_by_id(start: Any, clock: Any, python_sdk: Any) -> None:
    sandbox = await start(clock)
    client = python_sdk(sandbox)
    controller = await in_thread(client.submit, SOUL, {"prompt": "fox"}, webhook_url="http://127.0.0.1:9/hook")
    assert isinstance(await in_thread(client.status, controller.request_id), Queued)
    clock.advance(10)
    assert (await in_thread(client.result, controller.request_id))["images"]
    assert sandbox.ledger.submissions[0].webhook == "http://127.0.0.1:9/hook"


async def test_python_cancels_a_queued_request_and_not_a_started_one(start: Any, clock: Any, python_sdk: Any) -> None:
    sandbox = await start(clock)
    client = python_sdk(sandbox)
    controller = await in_thread(client.submit, SOUL, {"prompt": "fox"})
    await in_thread(controller.cancel)
    assert isinstance(await in_thread(controller.status), Cancelled)
    assert [refund.reason for refund in sandbox.ledger.refunds] == ["canceled"]

    started = await in_thread(client.submit, SOUL, {"prompt": "wolf"})
    clock.advance(2)
    with pytest.raises(HiggsfieldClientError, match="already started"):
        await in_thread(client.cancel, started.request_id)
    assert isinstance(await in_thread(started.status), InProgress)


@pytest.mark.parametrize(("word", "expected"), [("[fail]", Failed), ("[nsfw]", NSFW)])
async def test_python_returns_failed_and_nsfw_ends(
    start: Any, clock: Any, python_sdk: Any, word: str, expected: type
) -> None:
    sandbox = await start(clock)
    controller = await in_thread(python_sdk(sandbox).submit, SOUL, {"prompt": word})
    clock.advance(10)
    assert isinstance(await in_thread(controller.status), expected)
    assert len(sandbox.ledger.refunds) == 1


@pytest.mark.parametrize(
    ("options", "submission", "message"),
    [
        ({"credentials": "other:pair"}, (SOUL, {"prompt": "x"}), "Invalid credentials"),
        ({"credits": 0}, (SOUL, {"prompt": "x"}), "not_enough_credits"),
        ({}, (SOUL, {}), "Field required"),
        ({}, (SEEDANCE, {}), "'prompt' is a required property"),
        ({}, ("unknown/model", {"prompt": "x"}), "model_not_found"),
        ({"concurrency_mode": "legacy", "concurrency_limit": 0}, (SOUL, {"prompt": "x"}), r"requests \(0\)"),
    ],
)
async def test_python_does_not_retry_refusals(
    start: Any, python_sdk: Any, options: dict[str, Any], submission: tuple[str, Any], message: str
) -> None:
    sandbox = await start(**options)
    with pytest.raises(HiggsfieldClientError, match=message):
        await in_thread(python_sdk(sandbox).submit, *submission)
    assert len(sandbox.ledger.submissions) == 1
    assert sandbox.ledger.charges == []


async def test_python_gets_not_found_for_an_unknown_id(start: Any, python_sdk: Any) -> None:
    client = python_sdk(await start())
    for call in (client.status, client.cancel):
        with pytest.raises(HiggsfieldClientError, match="Not found"):
            await in_thread(call, str(uuid.uuid4()))


@pytest.mark.parametrize("kind", ["500", "503"])
async def test_python_retries_a_temporary_error_on_post_and_get(
    start: Any, plan: Any, python_sdk: Any, kind: str
) -> None:
    sandbox = await start()
    plan(sandbox, on="submit", kind=kind)
    plan(sandbox, on="status", kind=kind)
    controller = await in_thread(python_sdk(sandbox).submit, SOUL, {"prompt": "fox"})
    await in_thread(controller.status)
    ledger = sandbox.ledger
    assert (len(ledger.submissions), ledger.status_calls.total(), len(ledger.charges)) == (2, 2, 1)


async def test_python_is_charged_three_times_after_two_lost_responses(start: Any, plan: Any, python_sdk: Any) -> None:
    """One submit() is charged three times: the gateway prevents this."""
    sandbox = await start()
    plan(sandbox, on="submit", kind="502", processed=True, times=2)
    await in_thread(python_sdk(sandbox).submit, SOUL, {"prompt": "fox"})
    assert sandbox.ledger.double_charged_prompts == {"fox": 3}


async def test_python_loses_the_id_of_a_charged_request(start: Any, plan: Any, python_sdk: Any) -> None:
    sandbox = await start()
    plan(sandbox, on="submit", kind="lost")
    client = python_sdk(sandbox)
    with pytest.raises(httpx.RemoteProtocolError):
        await in_thread(client.submit, SOUL, {"prompt": "fox"})
    await in_thread(client.submit, SOUL, {"prompt": "fox"})
    assert sandbox.ledger.double_charged_prompts == {"fox": 2}


async def test_python_ignores_retry_after_of_a_full_queue(start: Any, python_sdk: Any) -> None:
    sandbox = await start(concurrency_limit=1, queue_factor=0, image_seconds=100_000)
    client = python_sdk(sandbox)
    await in_thread(client.submit, SOUL, {"prompt": "first"})
    with pytest.raises(HiggsfieldClientError, match="queue is full"):
        await in_thread(client.submit, SOUL, {"prompt": "second"})
    assert len(sandbox.ledger.submissions) == 4
    assert sandbox.ledger.ignored_retry_after == 2


async def test_python_raises_an_error_for_an_unknown_status(start: Any, plan: Any, python_sdk: Any) -> None:
    sandbox = await start()
    controller = await in_thread(python_sdk(sandbox).submit, SOUL, {"prompt": "fox"})
    plan(sandbox, on="status", patch={"status": "paused"})
    with pytest.raises(ValueError, match="paused"):
        await in_thread(controller.status)


async def test_python_sends_credentials_to_a_link_to_another_host(start: Any, plan: Any, python_sdk: Any) -> None:
    sandbox, elsewhere = await start(), await start()
    plan(sandbox, on="submit", patch={"status_url": f"{elsewhere.url}/requests/x/status"})
    controller = await in_thread(python_sdk(sandbox).submit, SOUL, {"prompt": "fox"})
    with pytest.raises(HiggsfieldClientError, match="Not found"):
        await in_thread(controller.status)
    assert elsewhere.ledger.credentials_seen_ok == 1
