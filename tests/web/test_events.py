"""Server-sent events over a real socket: their content, how a stream resumes, and when it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.access.scopes import Scope
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1 import token_service_pb2 as token_pb
from tests.support.running import WAIT_TIMEOUT, Running, run, soul


@dataclass
class Event:
    """One event with its lines."""

    lines: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.lines["data"])
        return parsed


async def events(answer: aiohttp.ClientResponse) -> AsyncIterator[Event]:
    """Parse the stream to its end, as a browser does."""
    event = Event()
    async for raw in answer.content:
        line = raw.decode().rstrip("\n")
        if not line:
            yield event
            event = Event()
        else:
            name, _, value = line.partition(": ")
            event.lines[name] = value


class Browser:
    def __init__(self, running: Running, session: aiohttp.ClientSession) -> None:
        self.running = running
        self.session = session

    @asynccontextmanager
    async def get(
        self, generation_id: str, *, last: str = "", bearer: str = "", **headers: str
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        sent = dict(headers)
        if last:
            sent["last-event-id"] = last
        if bearer:
            sent["authorization"] = f"Bearer {bearer}"
        url = f"{self.running.gateway.http_address}/v1/generations/{generation_id}/events"
        async with asyncio.timeout(WAIT_TIMEOUT), self.session.get(url, headers=sent) as answer:
            yield answer


@asynccontextmanager
async def browser_at(running: Running) -> AsyncIterator[Browser]:
    # Accept cookies from IP addresses, as browsers do.
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield Browser(running, session)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with run(tmp_path) as started:
        yield started


@pytest.fixture
async def browser(running: Running) -> AsyncIterator[Browser]:
    async with browser_at(running) as browser:
        yield browser


async def test_every_change_is_an_event_with_its_revision_as_id(running: Running, browser: Browser) -> None:
    generation = await running.submit(soul("a fox"))
    await running.finish(generation.id)

    async with browser.get(generation.id) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        received = [event async for event in events(answer)]

    assert received[0].lines == {"retry": "1000"}
    changes = [event for event in received if event.lines.get("event") == "change"]
    assert [event.lines["id"] for event in changes] == [str(number + 1) for number in range(len(changes))]
    assert changes[-1].data["state"] == "GENERATION_STATE_COMPLETED"
    assert changes[-1].data["outputs"]
    assert "input" not in changes[-1].data


async def test_a_stream_resumes_after_the_last_event_id(running: Running, browser: Browser) -> None:
    generation = await running.submit(soul("a fox"))
    done = await running.finish(generation.id)

    async with browser.get(generation.id, last=str(done.revision - 1)) as answer:
        ids = [event.lines["id"] async for event in events(answer) if "id" in event.lines]
    assert ids == [str(done.revision)]
    async with browser.get(generation.id, last=str(done.revision)) as answer:
        assert answer.status == 204


async def test_changes_are_streamed_live_until_a_drain(running: Running, browser: Browser) -> None:
    generation = await running.submit(soul("a fox"))
    async with browser.get(generation.id) as answer:
        stream = events(answer)
        async for event in stream:
            if event.lines.get("event") == "change" and event.data["state"] == "GENERATION_STATE_QUEUED":
                break
        running.clock.advance(1.5)
        async for event in stream:
            if event.lines.get("event") == "change":
                break
        assert event.data["state"] == "GENERATION_STATE_IN_PROGRESS"
        await running.begin_drain()
        assert [late.lines async for late in stream] == []
    await running.stop_gateway()
    await running.start_gateway()
    async with browser.get(generation.id, last=event.lines["id"]) as answer:
        assert answer.status == 200
        assert (await anext(events(answer))).lines == {"retry": "1000"}


async def test_a_stream_that_cannot_be_opened_now_is_opened_again_later(
    running: Running, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An EventSource that gets an HTTP error stays closed, although the gateway may be back a second later."""
    generation = await running.submit(soul("a fox"))
    with monkeypatch.context() as away:
        away.setattr(running.gateway.access, "_current", lambda: False)  # as a replica that cannot reach the store
        async with browser.get(generation.id) as answer:
            assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
            assert [event.lines async for event in events(answer)] == [{"retry": "1000"}]
    async with browser.get(generation.id) as answer:
        assert (await anext(aiter(e async for e in events(answer) if "event" in e.lines))).lines["event"] == "change"


async def test_refused_streams_have_a_status_and_a_reason(running: Running, browser: Browser) -> None:
    async with browser.get("unknown") as answer:
        assert answer.status == 404
        assert (await answer.json())["failure"]["reason"] == "ERROR_REASON_NOT_FOUND"
    generation = await running.submit(soul("a fox"))
    for last in ("99", "-1", "abc", "٣", "9" * 10):
        async with browser.get(generation.id, last=last) as answer:
            assert answer.status == 400
            assert (await answer.json())["code"] == "invalid_argument"


async def test_a_key_without_the_scope_to_read_gets_no_events(tmp_path: Path) -> None:
    async with run(tmp_path, AUTH="keys") as running, browser_at(running) as browser:
        _, key = await running.gateway.access.create_key("red", "", [Scope.SUBMIT])
        async with browser.get("unknown", bearer=key) as answer:
            assert (answer.status, (await answer.json())["code"]) == (403, "permission_denied")


async def test_head_opens_no_watch(running: Running) -> None:
    submitted = await running.submit(soul("a fox"))
    url = f"{running.gateway.http_address}/v1/generations/{submitted.id}/events"
    async with aiohttp.ClientSession() as session, session.head(url) as refused:
        assert refused.status == 405


async def test_a_session_cookie_carries_a_watch_token(tmp_path: Path) -> None:
    async with run(tmp_path, AUTH="keys") as running, browser_at(running) as browser:
        key = await running.key("red")
        backend = running.caller("grpc", key)
        shown = (await backend.call("SubmitGeneration", soul("a fox"))).generation
        hidden = (await backend.call("SubmitGeneration", soul("an owl"))).generation
        request = token_pb.CreateWatchTokenRequest(filter=pb.GenerationFilter(ids=[shown.id]), ttl={"seconds": 60})
        token = (await backend.call("CreateWatchToken", request)).token
        session_url = running.gateway.http_address + "/v1/session"

        async with browser.get(shown.id) as answer:
            assert answer.status == 401
        async with browser.get(shown.id, bearer=token) as answer:
            assert answer.status == 200
        async with browser.session.post(session_url, headers={"authorization": f"Bearer {key}"}) as answer:
            assert answer.status == 401
            assert "set-cookie" not in answer.headers
        async with browser.session.post(session_url, headers={"authorization": f"Bearer {token}"}) as answer:
            assert answer.status == 204
            cookie = answer.headers["set-cookie"].lower()
        parts = cookie.split("; ")
        assert {"httponly", "samesite=strict", "path=/v1/"} <= {*parts}
        (age,) = (int(part.removeprefix("max-age=")) for part in parts if part.startswith("max-age="))
        assert 0 < age <= 60
        async with browser.get(shown.id) as answer:
            assert answer.status == 200
        async with browser.get(hidden.id) as answer:
            assert answer.status == 404
        async with browser.get(hidden.id, bearer=key) as answer:
            assert answer.status == 200  # a header takes precedence over the cookie
        # The cookie is not accepted for RPCs.
        url = running.gateway.http_address + "/hfgateway.v1.GenerationService/GetGeneration"
        async with browser.session.post(url, json={"id": shown.id}) as answer:
            assert answer.status == 401


@pytest.mark.parametrize(("scheme", "secure"), [("https", True), ("http", False)])
async def test_a_page_behind_a_proxy_with_tls_gets_a_secure_cookie(tmp_path: Path, scheme: str, secure: bool) -> None:
    async with run(tmp_path, AUTH="keys") as running, browser_at(running) as browser:
        backend = running.caller("grpc", await running.key("red"))
        request = token_pb.CreateWatchTokenRequest(filter=pb.GenerationFilter(labels={"of": "red"}))
        token = (await backend.call("CreateWatchToken", request)).token
        headers = {
            "authorization": f"Bearer {token}",
            "host": "gateway.example",
            "origin": f"{scheme}://gateway.example",
        }
        async with browser.session.post(running.gateway.http_address + "/v1/session", headers=headers) as answer:
            assert answer.status == 204
            assert ("secure" in answer.headers["set-cookie"].lower().split("; ")) is secure


async def test_a_token_that_is_too_large_for_a_cookie_is_refused(tmp_path: Path) -> None:
    async with run(tmp_path, AUTH="keys") as running, browser_at(running) as browser:
        backend = running.caller("grpc", await running.key("red"))
        ids = [f"{number:036}" for number in range(100)]
        request = token_pb.CreateWatchTokenRequest(filter=pb.GenerationFilter(ids=ids))
        token = (await backend.call("CreateWatchToken", request)).token
        headers = {"authorization": f"Bearer {token}"}
        async with browser.session.post(running.gateway.http_address + "/v1/session", headers=headers) as answer:
            assert answer.status == 400
            assert "set-cookie" not in answer.headers


async def test_a_revoked_key_ends_its_streams_with_an_event(tmp_path: Path) -> None:
    async with run(tmp_path, AUTH="keys") as running, browser_at(running) as browser:
        key = await running.key("red")
        generation = (await running.caller("grpc", key).call("SubmitGeneration", soul("a fox"))).generation
        async with browser.get(generation.id, bearer=key) as answer:
            stream = events(answer)
            assert (await anext(stream)).lines == {"retry": "1000"}
            await running.gateway.access.revoke_key(key.split("_")[1])
            last = [event async for event in stream][-1]
        assert last.lines["event"] == "refused"
        assert last.data["code"] == "unauthenticated"


async def test_only_allowed_origins_get_cors_headers(tmp_path: Path) -> None:
    async with run(tmp_path, ALLOWED_ORIGINS="https://shop.test") as running, browser_at(running) as browser:
        generation = await running.submit(soul("a fox"))
        async with browser.get(generation.id, origin="https://shop.test") as answer:
            assert answer.headers["access-control-allow-origin"] == "https://shop.test"
            assert "access-control-allow-credentials" not in answer.headers
        async with browser.get(generation.id, origin="https://elsewhere.test") as answer:
            assert "access-control-allow-origin" not in answer.headers
