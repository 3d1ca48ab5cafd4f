"""The effect of each fault on the client, and whether the service processed the request."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from gateway.sandbox.faults import RAW_KINDS, Fault
from tests.sandbox.conftest import WAIT_TIMEOUT

BODY = json.dumps({"prompt": "a red fox"}).encode()


async def post_raw(api: Any) -> tuple[bytes, bool]:
    """Post a submission over a bare socket; return the received bytes and whether a reset ended the connection."""
    port = int(api.sandbox.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        "POST /z-image/turbo HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Key sandbox:sandbox\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    )
    writer.write(head.encode() + BODY)
    received = b""
    try:
        while piece := await reader.read(65536):
            received += piece
    except ConnectionResetError:
        return received, True
    finally:
        writer.close()
    return received, False


def _declared_and_sent(received: bytes) -> tuple[int, int]:
    head, _, body = received.partition(b"\r\n\r\n")
    (length,) = (line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    return int(length.split(b":")[1]), len(body)


def _is_half(received: bytes) -> bool:
    declared, sent = _declared_and_sent(received)
    return sent == declared // 2


def _is_whole(received: bytes) -> bool:
    declared, sent = _declared_and_sent(received)
    return sent == declared and json.loads(received.partition(b"\r\n\r\n")[2])["status"] == "queued"


ON_THE_WIRE: dict[str, tuple[Callable[[bytes], bool], bool]] = {
    "reset": (lambda received: received == b"", True),
    "close": (lambda received: received == b"", False),
    "lost": (lambda received: received == b"", False),
    "half": (_is_half, False),
    "half_reset": (lambda received: received == b"" or _is_half(received), True),
    "bad_chunk": (lambda received: received.endswith(b"chunked\r\n\r\nZZ\r\n"), False),
    "truncated_header": (lambda received: b"\r\n\r\n" not in received and received.startswith(b"HTTP/1.1 200"), False),
    "garbage": (lambda received: bool(received) and not received.startswith(b"HTTP"), False),
    "drip": (_is_whole, False),
}


@pytest.mark.parametrize("processed", [True, False])
@pytest.mark.parametrize("kind", list(ON_THE_WIRE))
async def test_a_raw_fault_has_its_effect_on_the_wire(api: Any, kind: str, processed: bool) -> None:
    await api.plan(on="submit", kind=kind, processed=processed, delay=0.0001)

    received, reset = await post_raw(api)

    as_expected, by_reset = ON_THE_WIRE[kind]
    assert as_expected(received), received
    assert reset == by_reset
    ledger = await api.ledger()
    assert ledger["charge_count"] == int(processed)
    assert [(one["outcome"], one["processed"]) for one in ledger["submissions"]] == [(kind, processed)]


@pytest.mark.parametrize(
    ("fault", "outcome", "processed"),
    [
        ({"kind": "503"}, "503", False),
        ({"status": 422}, "422", False),
        ({"body": {"request_id": 5}}, "patched", False),
        ({"patch": {"status": "paused"}}, "patched", True),
        ({"headers": {"X-More": "1"}}, "patched", True),
        *(({"kind": kind}, kind, kind not in {"reset", "close", "garbage"}) for kind in ON_THE_WIRE),
    ],
)
async def test_a_fault_decides_whether_its_call_is_processed_unless_the_plan_does(
    api: Any, fault: dict[str, Any], outcome: str, processed: bool
) -> None:
    await api.plan(on="submit", delay=0.0001, **fault)
    with contextlib.suppress(aiohttp.ClientError):
        await api.submit()
    ledger = await api.ledger()
    assert ledger["charge_count"] == int(processed)
    assert [(one["outcome"], one["processed"]) for one in ledger["submissions"]] == [(outcome, processed)]


def test_every_raw_fault_is_tested() -> None:
    assert set(ON_THE_WIRE) | {"hang"} == set(RAW_KINDS)


@pytest.mark.parametrize("processed", [True, False])
async def test_a_hanging_call_never_responds(api: Any, processed: bool) -> None:
    await api.plan(on="submit", kind="hang", processed=processed)
    hanging = asyncio.ensure_future(post_raw(api))
    while not (await api.ledger())["submissions"]:
        assert not hanging.done()
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    ledger = await api.ledger()
    assert (ledger["submissions"][0]["outcome"], ledger["charge_count"]) == ("hang", int(processed))


@pytest.mark.parametrize("kind", ["500", "502", "503", "504", "408", "423", "429"])
@pytest.mark.parametrize("processed", [True, False])
async def test_a_planned_status_replaces_the_response(api: Any, kind: str, processed: bool) -> None:
    await api.plan(on="submit", kind=kind, processed=processed, headers={"Retry-After": "7"})
    answer = await api.submit()
    assert (answer.status, answer.headers["Retry-After"]) == (int(kind), "7")
    assert isinstance(answer.detail, str)
    assert (await api.ledger())["charge_count"] == int(processed)
    assert (await api.submit()).status == 200


async def test_a_planned_html_page_replaces_the_response(api: Any) -> None:
    await api.plan(kind="html")
    answer = await api.submit()
    assert (answer.status, answer.headers["Content-Type"]) == (502, "text/html; charset=utf-8")
    assert answer.text.startswith("<html>")


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        ({"status": 200, "body": "no json"}, 200, "no json"),
        ({"status": 200, "body": {"status": 5}}, 200, '{"status": 5}'),
        ({"status": 200, "body": []}, 200, "[]"),
        ({"body": ""}, 200, ""),
        ({"status": 422, "body": {"detail": "no"}}, 422, '{"detail": "no"}'),
    ],
)
async def test_any_status_and_body_can_be_planned(api: Any, fault: dict[str, Any], status: int, text: str) -> None:
    await api.plan(on="submit", processed=True, **fault)
    answer = await api.submit()
    assert (answer.status, answer.text) == (status, text)
    assert (await api.ledger())["charge_count"] == 1


@pytest.mark.parametrize("fault", [{"body": "a page"}, {"body": {"a": 1}}, {"kind": "html"}])
async def test_any_content_type_can_be_planned(api: Any, fault: dict[str, Any]) -> None:
    await api.plan(on="submit", headers={"content-type": "text/x-odd"}, **fault)
    assert (await api.submit()).headers["Content-Type"] == "text/x-odd"


async def test_a_redirect_can_be_planned(api: Any) -> None:
    await api.plan(on="submit", kind="307", headers={"Location": "http://127.0.0.1:9/elsewhere"})
    answer = await api.call("POST", "/z-image/turbo", json={"prompt": "x"}, allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (307, "http://127.0.0.1:9/elsewhere")


async def test_a_real_response_can_be_patched_with_an_unknown_status(api: Any) -> None:
    request_id = await api.submitted()
    await api.plan(on="status", patch={"status": "paused", "extra": 1})
    patched, after = await api.status(request_id), await api.status(request_id)
    assert (patched.json["status"], patched.json["extra"], patched.json["request_id"]) == ("paused", 1, request_id)
    assert after.json["status"] == "queued"


async def test_a_real_response_can_be_patched_with_a_foreign_link(api: Any) -> None:
    await api.plan(on="submit", patch={"status_url": "http://127.0.0.2:9/steal"})
    answer = (await api.submit()).json
    assert answer["status_url"] == "http://127.0.0.2:9/steal"
    assert answer["cancel_url"].startswith(api.sandbox.url)
    assert (await api.ledger())["charge_count"] == 1


@pytest.mark.parametrize(("fault", "status"), [({}, 200), ({"kind": "503"}, 503)])
@pytest.mark.parametrize("on", ["storage", "agent storage", "media"])
async def test_a_delay_precedes_the_response_of_storage_and_of_an_output_file(
    api: Any, monkeypatch: pytest.MonkeyPatch, on: str, fault: dict[str, Any], status: int
) -> None:
    waiting, over = asyncio.Event(), asyncio.Event()

    async def wait(fault: Fault) -> None:
        assert fault.delay == 60
        waiting.set()
        await over.wait()

    monkeypatch.setattr(Fault, "wait", wait)
    slot = (await api.call("POST", "/files/generate-upload-url", json={"content_type": "image/png"})).json
    agent_slot = (await api.call("POST", "/v1/agent/media", json={"extension": "png", "type": "image"})).json
    request_id = await api.submit_and_finish()
    image = (await api.status(request_id)).json["images"][0]
    await api.plan(on=on.removeprefix("agent "), delay=60, **fault)
    if on == "storage":
        call = api.call("PUT", slot["upload_url"], headers=slot["upload_headers"], data=b"x")
    elif on == "agent storage":
        call = api.call("PUT", agent_slot["upload_url"], headers={"Content-Type": "image/png"}, data=b"x")
    else:
        call = api.call("GET", image["url"])
    answer, waits = asyncio.create_task(call), asyncio.create_task(waiting.wait())
    await asyncio.wait({answer, waits}, timeout=WAIT_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
    assert (answer.done(), waits.done()) == (False, True)
    over.set()
    assert (await answer).status == status


async def test_latency_precedes_processing(start: Any) -> None:
    api = await start(latency=3600)
    with pytest.raises(TimeoutError):
        await api.call("POST", "/z-image/turbo", data=BODY, timeout=aiohttp.ClientTimeout(total=0.2))
    ledger = await api.ledger()
    assert (ledger["credentials_seen_ok"], ledger["submissions"], ledger["requests"]) == (1, [], [])
