"""The live page in a real browser, against a real gateway and sandbox."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import ConsoleMessage, Page, async_playwright, expect

from gateway.generations.clock import SystemClock
from gateway.generations.model import Moment
from gateway.sandbox.server import SandboxOptions
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1 import token_service_pb2 as token_pb
from tests.support.addresses import free_address
from tests.support.elsewhere import request_elsewhere
from tests.support.running import DEFAULT_OPTIONS, PATIENCE, Running, run, soul

pytestmark = [pytest.mark.toolchain("chromium"), pytest.mark.timeout(240)]

WITHIN = PATIENCE * 1000


class Tab:
    """An open page, and the warnings and errors of its console."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.set_default_timeout(WITHIN)
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def column(self, name: str) -> Any:
        return self.page.locator(f"#{name}-list article")

    async def live(self) -> None:
        await expect(self.page.locator("#line")).to_have_text("Live", timeout=WITHIN)


@asynccontextmanager
async def browser_tab() -> AsyncIterator[Tab]:
    async with async_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        try:
            page = await browser.new_page(viewport={"width": 1280, "height": 860})
            yield Tab(page)
        finally:
            await browser.close()


@pytest.fixture
async def tab() -> AsyncIterator[Tab]:
    async with browser_tab() as tab:
        yield tab


async def test_the_page_updates_states_and_shows_results(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path) as running:
        ended = await running.submit(soul("a fox in the snow"))
        await running.finish(ended.id)
        await tab.page.goto(running.gateway.http_address)
        await tab.live()
        await expect(tab.column("ended")).to_have_count(1, timeout=WITHIN)

        generation = await running.submit(soul("an owl at noon", labels={"team": "red"}))
        card = tab.column("waiting").filter(has_text="an owl at noon")
        await expect(card).to_contain_text("Queued", timeout=WITHIN)
        await expect(card).to_contain_text("team=red")
        await running.start_running(generation.id)
        await expect(tab.column("running").filter(has_text="an owl at noon")).to_have_count(1, timeout=WITHIN)
        await running.finish(generation.id)
        await expect(tab.column("ended")).to_have_count(2, timeout=WITHIN)
        # The newest result comes first, and its picture has loaded.
        first = tab.column("ended").first
        await expect(first).to_contain_text("an owl at noon")
        image = first.locator("img.thumbnail")
        await image.scroll_into_view_if_needed()
        loaded = "image => image.complete && image.naturalWidth > 0"
        await tab.page.wait_for_function(loaded, arg=await image.element_handle())

        await first.get_by_role("button", name="Timeline").click()
        timeline = tab.page.locator("#timeline")
        await expect(timeline).to_be_visible()
        await expect(timeline).to_contain_text("HTTP 200")
        await expect(timeline).to_contain_text("Completed")
        await tab.page.keyboard.press("Escape")
        await expect(timeline).to_be_hidden()
        if "KEEP_SCREENSHOT" in os.environ:
            await tab.page.screenshot(path=os.environ["KEEP_SCREENSHOT"], full_page=True)

        request_id = await request_elsewhere(running, "a hen")
        await running.grpc.call("AdoptGeneration", pb.AdoptGenerationRequest(upstream_request_id=request_id))
        adopted = tab.column("waiting").filter(has_text=f"Request {request_id}")
        await expect(adopted).to_contain_text("adopted", timeout=WITHIN)
        assert tab.complaints == []


async def test_a_video_plays(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path) as running:
        request = pb.SubmitGenerationRequest(idempotency_key="film")
        request.input.dop.prompt = "the camera moves in"
        request.input.dop.image_urls.append("https://example.com/start.png")
        generation = await running.submit(request)
        await running.finish(generation.id)
        await tab.page.goto(running.gateway.http_address)
        video = tab.column("ended").locator("video")
        await tab.page.wait_for_function("video => video.readyState >= 2", arg=await video.element_handle())
        await video.evaluate("video => video.play()")
        assert tab.complaints == []


async def test_the_page_reconnects_after_a_restart(tmp_path: Path, tab: Tab) -> None:
    # The page reconnects to the address that served it, so the restarted gateway must have the same one.
    async with run(tmp_path, HTTP_ADDRESS=free_address()) as running:
        generation = await running.submit(soul("a fox"))
        await tab.page.goto(running.gateway.http_address)
        await tab.live()
        await expect(tab.column("waiting")).to_have_count(1, timeout=WITHIN)
        await running.stop_gateway()
        await expect(tab.page.locator("#line")).to_have_text("Reconnecting…", timeout=WITHIN)
        await running.start_gateway()
        await tab.live()
        await running.finish(generation.id)
        await expect(tab.column("ended")).to_have_count(1, timeout=WITHIN)
        await expect(tab.column("waiting")).to_have_count(0)
        # The browser reports each failed attempt to connect.
        assert [text for text in tab.complaints if "net::ERR_" not in text] == []


async def test_cancel_ends_a_generation_and_hides_its_button(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path) as running:
        await running.submit(soul("a fox"))
        await tab.page.goto(running.gateway.http_address)
        card = tab.column("waiting").filter(has_text="Queued")
        await card.get_by_role("button", name="Cancel").click()
        ended = tab.column("ended")
        await expect(ended).to_contain_text("Canceled", timeout=WITHIN)
        await expect(ended.get_by_role("button", name="Cancel")).to_be_hidden()
        assert len(running.ledger.refunds) == 1
        assert tab.complaints == []


async def test_a_filter_shows_generations_with_the_labels(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path) as running:
        await running.submit(soul("a fox", labels={"team": "red"}))
        await running.submit(soul("an owl", labels={"team": "blue"}))
        await tab.page.goto(running.gateway.http_address)
        await expect(tab.column("waiting")).to_have_count(2, timeout=WITHIN)
        await tab.page.get_by_label("Labels").fill("team=blue")
        await tab.page.keyboard.press("Enter")
        await expect(tab.column("waiting")).to_have_count(1, timeout=WITHIN)
        await expect(tab.column("waiting")).to_contain_text("an owl")
        await tab.page.get_by_label("Labels").fill("nonsense")
        await tab.page.keyboard.press("Enter")
        await expect(tab.page.get_by_role("alert").filter(has_text="write name=value")).to_be_visible()
        assert tab.complaints == []


async def test_the_page_asks_for_a_key_and_forgets_it(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path, AUTH="keys") as running:
        key = await running.key("red")
        await running.caller("grpc", key).call("SubmitGeneration", soul("a fox"))
        await tab.page.goto(running.gateway.http_address)
        await expect(tab.page.get_by_text("This gateway requires an API key")).to_be_visible(timeout=WITHIN)
        field = tab.page.get_by_label("API key or watch token")
        await expect(field).to_be_focused()
        await field.fill("hfg_000000000000_wrong")
        await tab.page.keyboard.press("Enter")
        await expect(tab.page.get_by_text("The login failed")).to_be_visible(timeout=WITHIN)
        await field.fill(key)
        await tab.page.keyboard.press("Enter")
        await expect(tab.column("waiting")).to_have_count(1, timeout=WITHIN)
        await tab.page.reload()
        await expect(tab.column("waiting")).to_have_count(1, timeout=WITHIN)
        await tab.page.get_by_role("button", name="Forget the key").click()
        await expect(field).to_be_visible(timeout=WITHIN)
        assert await tab.page.evaluate("Object.keys(sessionStorage).length + Object.keys(localStorage).length") == 0
        assert key not in tab.page.url
        # The browser itself reports each 401.
        assert [text for text in tab.complaints if "401" not in text] == []


class LateClock(SystemClock):
    """A clock that a test can set forward."""

    late = 0.0

    def moment(self) -> Moment:
        now = super().moment()
        return Moment(wall=now.wall + self.late, steady=now.steady)


async def test_a_watch_token_limits_the_page_and_its_expiry_is_explained(tmp_path: Path, tab: Tab) -> None:
    clock = LateClock()
    running = Running(tmp_path, SandboxOptions(port=0, **DEFAULT_OPTIONS), {"AUTH": "keys"}, clock_from=lambda _: clock)
    try:
        await running.start()
        backend = running.caller("grpc", await running.key("red"))
        await backend.call("SubmitGeneration", soul("a fox", labels={"page": "1"}))
        await backend.call("SubmitGeneration", soul("an owl"))
        token = (await backend.call("CreateWatchToken", _for_page())).token
        await tab.page.goto(f"{running.gateway.http_address}/#token={token}")
        await expect(tab.column("waiting")).to_have_count(1, timeout=WITHIN)
        assert token not in tab.page.url
        card = tab.column("waiting").first
        for name in ("Cancel", "Timeline"):
            await expect(card.get_by_role("button", name=name)).to_be_hidden()

        clock.late = 3600.0
        await expect(tab.page.get_by_text("Your watch token has expired")).to_be_visible(timeout=WITHIN)
        assert [text for text in tab.complaints if "401" not in text] == []
    finally:
        await running.stop()


def _for_page() -> token_pb.CreateWatchTokenRequest:
    return token_pb.CreateWatchTokenRequest(filter=pb.GenerationFilter(labels={"page": "1"}))


FOCUSED = "(one => one.ariaLabel || one.textContent || one.id)(document.activeElement)"


async def test_the_page_is_usable_by_keyboard_and_labels_its_controls(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path) as running:
        await running.submit(soul("a fox"))
        await tab.page.goto(running.gateway.http_address)
        await expect(tab.column("waiting")).to_have_count(1, timeout=WITHIN)
        reached = []
        for _ in range(4):
            await tab.page.keyboard.press("Tab")
            reached.append(await tab.page.evaluate(FOCUSED))
        assert reached == ["labels", "Filter", "Cancel: a fox", "Timeline: a fox"]
        unnamed = await tab.page.evaluate(
            """[...document.querySelectorAll('button, input, a, img, video')].filter(one => !(one.ariaLabel
               || one.textContent.trim() || one.alt || document.querySelector(`label[for="${one.id}"]`))).length"""
        )
        assert unnamed == 0


async def test_the_page_has_a_content_security_policy_and_etags(tmp_path: Path) -> None:
    async with run(tmp_path) as running, aiohttp.ClientSession() as session:
        for path, kind in (("/", "text/html"), ("/page/app.js", "text/javascript"), ("/page/app.css", "text/css")):
            async with session.get(running.gateway.http_address + path) as answer:
                assert answer.status == 200
                assert answer.headers["content-type"].startswith(kind)
                policy = answer.headers["content-security-policy"]
                assert "script-src 'self'" in policy
                assert "unsafe" not in policy
                tag = answer.headers["etag"]
            async with session.get(running.gateway.http_address + path, headers={"if-none-match": tag}) as again:
                assert again.status == 304
        assert await asyncio.to_thread(_bytes_served) < 80_000


def _bytes_served() -> int:
    import gzip

    folder = Path(__file__).parents[2] / "gateway" / "web" / "page"
    return sum(len(gzip.compress(path.read_bytes())) for path in folder.iterdir())
