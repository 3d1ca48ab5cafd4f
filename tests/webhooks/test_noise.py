"""Webhooks that arrive twice, late, out of order, broken, too large, too slow, or while the store is locked."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from gateway.generations.stores import MAX_WEBHOOKS
from gateway.rpc.limits import call_limits
from gateway.settings.config import WEBHOOK_PATH
from gateway.web import connection, webhook
from tests.support.running import WAIT_TIMEOUT, Generation, Running, name_of, soul, without_forecast
from tests.support.webhooks import SECRET, path_of, post, signed, webhook_body, webhook_outcomes
from tests.webhooks.conftest import Start

SIGNED = {"webhook_secret": SECRET, "WEBHOOK_SECRET": SECRET}
BOTH = pytest.mark.parametrize(("webhook_settings", "asked"), [({}, 1), (SIGNED, 0)], ids=["unsigned", "signed"])


@BOTH
async def test_a_duplicate_webhook_changes_nothing_and_causes_no_poll(
    start: Start, webhook_settings: dict[str, Any], asked: int
) -> None:
    running = await start(webhook_duplicates=True, **webhook_settings)
    queued = await running.submit(soul("a fox"))
    done = await running.finish(queued.id)
    assert await webhook_outcomes(running, 2) == ["200", "200"]
    await running.metric_becomes("hfgateway_webhooks_duplicate_total", 1)
    assert (await running.read(queued.id)).revision == done.revision
    assert running.ledger.status_calls.total() == asked


@pytest.mark.parametrize(
    ("webhook_settings", "asked", "answers"),
    [({}, 1, ["200", "200"]), (SIGNED, 0, ["200", "200"])],
    ids=["unsigned", "signed"],
)
async def test_a_replayed_webhook_changes_nothing_and_causes_no_poll(
    start: Start, webhook_settings: dict[str, Any], asked: int, answers: list[str]
) -> None:
    running = await start(**webhook_settings)
    running.plan(on="webhook", kind="replay")
    queued = await running.submit(soul("a fox"))
    done = await running.finish(queued.id)
    assert await webhook_outcomes(running, 2) == answers
    assert (await running.read(queued.id)).revision == done.revision
    assert running.ledger.status_calls.total() == asked


@BOTH
async def test_late_webhooks_out_of_order_each_end_their_generation(
    start: Start, webhook_settings: dict[str, Any], asked: int
) -> None:
    running = await start(**webhook_settings)
    running.plan(on="webhook", kind="out_of_order", prompt="the first")
    running.plan(on="webhook", kind="delay", delay=100, prompt="the last")
    first, second, last = [await running.submit(soul(f"the {name}")) for name in ("first", "second", "last")]
    running.clock.advance(60)
    for one in (second, first):
        await running.until(one.id, "COMPLETED")
    assert name_of(await running.read(last.id)) == "QUEUED"
    running.clock.advance(100)
    await running.until(last.id, "COMPLETED")
    assert running.ledger.status_calls.total() == 3 * asked


def broken(request_id: str) -> dict[str, bytes]:
    """Return malformed bodies by their fault."""
    true = webhook_body(request_id)
    return {
        "nothing": b"",
        "a list": b"[]",
        "null": b"null",
        "a text": b'"completed"',
        "no JSON": b"request_id=1&status=completed",
        "no text": b"\xff\xfe\x00\x80",
        "half": true[:-5],
        "no id": b'{"status": "completed"}',
        "no UUID": webhook_body("../../cancel"),
        "no status": webhook_body(request_id, status=None),  # type: ignore[arg-type]
        "a number for a status": webhook_body(request_id, status=7),  # type: ignore[arg-type]
        "too deep": b"[" * 200_000,
        "too deep inside": true[:-1] + b', "payload": ' + b'{"a":' * 20_000 + b"1" + b"}" * 20_000 + b"}",
        "too large": webhook_body(request_id, padding="x" * webhook.MAX_BODY_BYTES),
    }


async def test_a_malformed_webhook_is_answered_like_an_unknown_token(start: Start) -> None:
    running = await start()
    queued = await running.submit(soul("a fox"))
    path = path_of(running, "a fox")
    nothing = await post(path + "x", b"")
    for fault, body in broken(queued.upstream.request_id).items():
        assert await post(path, body) == await post(path + "x", body) == nothing, fault
    assert await running.read(queued.id) == without_forecast(queued)
    assert running.ledger.status_calls.total() == 0
    await running.finish(queued.id)


async def test_odd_numbers_in_a_webhook_do_not_hide_an_end(start: Start) -> None:
    running = await start(WEBHOOK_SECRET=SECRET)
    for prompt, number in enumerate(("NaN", "Infinity", "1e999", "-0", "9" * 400, "9" * 5000)):
        queued = await running.submit(soul(f"fox {prompt}"))
        body = (
            webhook_body(queued.upstream.request_id)[:-1]
            + f', "seed": {number}, "seeds": [{{"a": {number}}}]}}'.encode()
        )
        assert (await post(path_of(running, f"fox {prompt}"), body, signed(body))).status == 200
        await running.until(queued.id, "COMPLETED")


async def raw(running: Running, head: str, *parts: bytes) -> bytes:
    """Send a request in parts without ending it; return the status line of the response."""
    address = urlsplit(running.gateway.http_address)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(head.encode())
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(WAIT_TIMEOUT):
            return await reader.readuntil(b"\r\n")
    finally:
        writer.close()


@pytest.mark.parametrize("size", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
async def test_an_unfinished_webhook_is_answered_with_503(
    start: Start, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    monkeypatch.setattr(webhook, "BODY_TIMEOUT", 0.2)
    monkeypatch.setattr(connection, "HEAD_TIMEOUT", 0.2)
    running = await start()
    queued = await running.submit(soul("a fox"))
    path = urlsplit(path_of(running, "a fox")).path
    begun = b"5\r\nhello\r\n" if "chunked" in size else b"hello"
    assert b" 503 " in await raw(running, f"POST {path} HTTP/1.1\r\nHost: gateway\r\n{size}\r\n\r\n", begun)
    assert await running.read(queued.id) == without_forecast(queued)
    await running.finish(queued.id)


async def test_an_endless_webhook_is_cut_off(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT", 0.2)
    running = await start()
    await running.submit(soul("a fox"))
    path = urlsplit(path_of(running, "a fox")).path
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    head = f"POST {path} HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert b" 404 " in await raw(running, head, *[chunk] * 5)


async def test_an_aborted_webhook_has_no_effect(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    running = await start()
    queued = await running.submit(soul("a fox"))
    address = urlsplit(path_of(running, "a fox"))
    for _ in range(20):
        _, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(f"POST {address.path} HTTP/1.1\r\nHost: gateway\r\nContent-Length: 99\r\n\r\nhalf".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    await running.finish(queued.id)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_webhook_while_the_store_is_locked_counts_when_repeated(start: Start) -> None:
    running = await start(**SIGNED, webhook_timeout=WAIT_TIMEOUT)
    queued: Generation = await running.submit(soul("a fox"))
    with closing(sqlite3.connect(running.store_path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        running.clock.advance(60)
        assert await webhook_outcomes(running, 1) == ["503"]
        other.execute("ROLLBACK")
    assert await running.read(queued.id) == without_forecast(queued)
    running.clock.advance(10)
    await running.until(queued.id, "COMPLETED")
    assert await webhook_outcomes(running, 2) == ["200", "503"]
    assert running.ledger.status_calls.total() == 0


async def test_an_unsigned_webhook_waits_for_an_outage_to_end(start: Start) -> None:
    running = await start()
    queued = await running.submit(soul("a fox"))
    running.plan(on="status", kind="503", headers={"Retry-After": "0"})
    running.clock.advance(60)
    done = await running.until(queued.id, "COMPLETED")
    assert done.revision == queued.revision + 1
    assert running.ledger.status_calls.total() == 2


async def test_webhooks_beyond_the_limit_are_answered_with_503(start: Start) -> None:
    running = await start()
    await running.submit(soul("a fox"))
    path = path_of(running, "a fox")
    kept = [(await post(path, webhook_body(str(uuid4())))).status for _ in range(MAX_WEBHOOKS)]
    assert kept == [200] * MAX_WEBHOOKS
    assert (await post(path, webhook_body(str(uuid4())))).status == 503
    await running.metric_becomes("hfgateway_webhooks_too_many_total", 1)


async def test_webhooks_with_unknown_tokens_share_the_places_of_one(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone can send them, each with another token, and none of a generation may wait for them."""
    monkeypatch.setattr(call_limits, "MAX_WEBHOOKS_PER_TOKEN", 1)
    running = await start()
    queued = await running.submit(soul("a fox"))
    unknown = f"{running.gateway.http_address}{WEBHOOK_PATH}"
    address = urlsplit(unknown)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(f"POST {address.path}one HTTP/1.1\r\nHost: gateway\r\nContent-Length: 5\r\n\r\n".encode())
        async with asyncio.timeout(WAIT_TIMEOUT):
            while (await post(f"{unknown}another", b"{}")).status != 503:
                pass  # the first one has not taken the place yet
        body = webhook_body(queued.upstream.request_id)
        assert (await post(path_of(running, "a fox"), body)).status == 200
        writer.write(b"hello")
        async with asyncio.timeout(WAIT_TIMEOUT):
            assert b" 404 " in await reader.readuntil(b"\r\n")
    finally:
        writer.close()
