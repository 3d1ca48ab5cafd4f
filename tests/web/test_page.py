"""The live page in a real browser, against a real gateway and sandbox. Each test fails if the browser complains."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from google.rpc import error_details_pb2
from playwright.async_api import Browser, Route, expect

from gateway.generations.clock import SystemClock
from gateway.generations.model import Moment
from gateway.sandbox.server import SandboxOptions
from hfgateway.v1 import generation_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1 import token_service_pb2 as token_pb
from tests.support.addresses import free_address
from tests.support.elsewhere import request_elsewhere
from tests.support.running import DEFAULT_OPTIONS, WAIT_TIMEOUT, Running, run, sized, soul
from tests.web.page_tab import Tab, browser_tab

pytestmark = [
    pytest.mark.toolchain("chromium"),
    pytest.mark.timeout(240),
    pytest.mark.asyncio(loop_scope="module"),
]


LISTS = "**/*GenerationService/ListGenerations"
JSON = "application/json"


async def serve_ended(tab: Tab, like: generation_pb2.Generation, count: int) -> None:
    """Answer the page's lists with pages of 200 generations that differ from one only in their ids and times."""

    async def answer(route: Route) -> None:
        request = pb.ListGenerationsRequest.FromString(route.request.post_data_buffer or b"")
        response = pb.ListGenerationsResponse()
        first = int(request.page_token or 0)
        for number in range(first, first + 200):
            copy = response.generations.add()
            copy.CopyFrom(like)
            copy.id = f"{like.id[:-4]}{number:04}"
            copy.end_time.seconds -= number
        response.next_page_token = str(first + 200) if first + 200 < count else ""
        await route.fulfill(body=response.SerializeToString(), content_type="application/proto")

    await tab.page.route(LISTS, answer)


async def test_the_page_updates_states_and_shows_results(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path) as running:
        ended = await running.submit(soul("a fox in the snow"))
        await running.finish(ended.id)
        await tab.page.goto(running.gateway.http_address)
        await tab.live()
        await tab.count("ended", 1)

        generation = await running.submit(soul("an owl at noon", labels={"team": "red"}))
        card = tab.group("queued").filter(has_text="an owl at noon")
        await expect(card).to_contain_text("Queued")
        await expect(card).to_contain_text("team=red")
        await running.start_running(generation.id)
        await expect(tab.group("running")).to_contain_text("an owl at noon")
        await running.finish(generation.id)
        await tab.count("ended", 2)
        # The newest result comes first, and its picture has loaded.
        image = tab.group("ended").first.get_by_role("img", name="an owl at noon", exact=True)
        await image.scroll_into_view_if_needed()
        loaded = "image => image.complete && image.naturalWidth > 0"
        await tab.page.wait_for_function(loaded, arg=await image.element_handle())

        # An outcome that is not known is neither queued nor lost.
        running.plan(on="submit", kind="502", processed=True)
        await running.submit(sized("a heron"))
        await tab.count("uncertain", 1)
        await tab.count("queued", 0)

        request_id = await request_elsewhere(running, "a hen")
        await running.grpc.call("AdoptGeneration", pb.AdoptGenerationRequest(upstream_request_id=request_id))
        adopted = tab.group("queued").filter(has_text=f"Request {request_id}")
        await expect(adopted).to_contain_text("adopted")
        assert tab.complaints == []


async def test_details_are_a_timeline_in_local_time_on_a_phone_too(tmp_path: Path, browser: Browser) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "timezone_id": "Asia/Tokyo", "locale": "en-GB"}
    async with run(tmp_path) as running, browser_tab(browser, **phone) as tab:
        submitted = await running.submit(soul("a fox in the snow"))
        generation = await running.finish(submitted.id)
        await tab.page.goto(running.gateway.http_address)
        created = generation.create_time.ToDatetime(UTC)
        shown = tab.group("ended").locator("time")
        assert (await shown.inner_text()).endswith(created.astimezone(ZoneInfo("Asia/Tokyo")).strftime("%H:%M"))
        title, moment = await shown.get_attribute("title"), await shown.get_attribute("datetime")
        assert title is not None
        assert "GMT+9" in title
        assert moment is not None
        assert abs(datetime.fromisoformat(moment) - created).total_seconds() < 0.001

        await tab.button("Details").click()
        dialog = tab.page.get_by_role("dialog", name="a fox in the snow")
        events = dialog.get_by_role("listitem")
        await expect(events.first).to_contain_text("stored")
        await expect(events.last).to_contain_text("Completed")
        await expect(dialog).to_contain_text("HTTP 200")
        await expect(dialog).to_contain_text("Asia/Tokyo")
        stored = events.first.locator("time")
        at = datetime.fromisoformat(await stored.get_attribute("datetime") or "")
        assert at > created - timedelta(milliseconds=1)
        local = at.astimezone(ZoneInfo("Asia/Tokyo"))
        await expect(stored).to_have_text(local.strftime("%H:%M:%S.%f")[:-3])
        assert await dialog.evaluate("one => one.scrollWidth <= one.clientWidth")
        narrowest = "one => Math.min(...[...one.querySelectorAll('li, dd')].map(line => line.clientWidth))"
        assert await dialog.evaluate(narrowest) > 200

        # The open details are a place: a reload keeps them, and the back button closes them.
        assert generation.id in tab.page.url
        await tab.page.reload()
        await expect(dialog).to_be_visible()
        await tab.page.go_back()
        await expect(dialog).to_be_hidden()
        await tab.button("Details").click()
        await expect(dialog).to_be_visible()
        await tab.page.keyboard.press("Escape")
        await expect(dialog).to_be_hidden()
        await tab.page.wait_for_url(lambda url: generation.id not in url)
        assert tab.complaints == []


async def test_filters_are_in_the_url_and_survive_a_reload(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path) as running:
        for prompt, labels in (("a fox", {"team": "red"}), ("a fox [fail]", {"team": "blue"}), ("an owl", {})):
            await running.submit(soul(prompt, labels=labels))
        film = pb.SubmitGenerationRequest(idempotency_key="film")
        film.input.dop.prompt = "a fox runs"
        film.input.dop.image_urls.append("https://example.com/start.png")
        await running.finish((await running.submit(film)).id)
        await running.submit(soul("a fox waits", labels={"team": "blue"}))
        page = tab.page
        await page.goto(running.gateway.http_address)
        await tab.count("ended", 4)

        search = page.get_by_role("searchbox", name="Search")
        await search.press_sequentially("FOX fail")
        await tab.count("ended", 1)
        await tab.count("queued", 0)
        await search.fill("fox")
        await tab.count("ended", 3)
        await page.get_by_label("State", exact=True).select_option("Failed")
        await tab.count("ended", 1)
        await expect(page.locator("#count")).to_have_text("1 found")
        await page.reload()
        await tab.count("ended", 1)
        await expect(search).to_have_value("fox")
        await page.go_back()
        await tab.count("ended", 3)
        await expect(page.get_by_label("State", exact=True)).to_have_value("")

        await page.get_by_label("Model", exact=True).select_option("higgsfield-ai/dop/turbo")
        await tab.count("ended", 1)
        await tab.count("queued", 0)
        await page.go_back()
        await page.locator("#label").fill("team=blue")
        await page.keyboard.press("Enter")
        await tab.count("ended", 1)
        await tab.count("queued", 1)
        assert "label=team%3Dblue" in page.url
        # What is new is filtered as well.
        await running.submit(soul("a fox in red", labels={"team": "red"}))
        await running.submit(soul("a fox in blue", labels={"team": "blue"}))
        await tab.count("queued", 2)
        await page.locator("#label").fill("nonsense")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert").filter(has_text="write name=value")).to_be_visible()
        await tab.button("Clear").click()
        await tab.count("queued", 3)
        assert page.url == running.gateway.http_address + "/"
        # One search is one entry of the history, however many letters it has.
        for _ in range(2):
            await page.go_back()
        assert page.url.endswith("?q=fox")
        assert tab.complaints == []


async def test_hundreds_of_results_fill_the_width_and_one_change_touches_one_card(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path) as running:
        fox = await running.finish((await running.submit(soul("a fox in the snow, " * 6))).id)
        fox = await running.read(fox.id)
        fox.estimated_cost.credits, fox.estimated_cost.usd = "1.5", "0.12"
        fox.outputs.append(fox.outputs[0])
        await serve_ended(tab, fox, 400)
        page = tab.page
        await page.goto(running.gateway.http_address)
        await tab.count("ended", 200)
        await expect(page.locator("#ended-count")).to_have_text("200+")
        await page.get_by_label("Search").fill("whale")
        await expect(page.locator("#empty")).to_have_text("None of the generations read so far matches the filters.")
        await page.get_by_label("Search").fill("")
        await tab.count("ended", 200)
        await tab.button("Show older").click()
        await tab.count("ended", 300)
        card = tab.group("ended").last
        await expect(card).to_contain_text("1.5 credits, $0.12")
        await expect(card.get_by_role("img", name="Output 2 of 2: a fox in the snow")).to_be_attached()
        generation = await running.submit(soul("an owl"))
        await tab.count("queued", 1)

        for width, fewest, most in ((390, 1, 1), (1280, 3, 4), (1920, 5, 6)):
            await page.set_viewport_size({"width": width, "height": 900})
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            columns = "getComputedStyle(document.querySelector('#ended-list')).gridTemplateColumns.split(' ').length"
            assert fewest <= await page.evaluate(columns) <= most
            assert await page.evaluate(WRAPPED_BUTTONS) == 0

        grounds = set()
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            grounds.add(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert len(grounds) == 2

        await page.evaluate(RECORD_CHANGES)
        await running.finish(generation.id)
        await expect(tab.group("ended").first).to_contain_text("an owl")
        await tab.count("ended", 300)  # the oldest one is dropped
        assert await page.evaluate("[...window.touched]") == [generation.id]
        assert tab.complaints == []


async def test_older_results_are_read_again_after_a_failure(tmp_path: Path, tab: Tab) -> None:
    failures = ["400"]

    async def fail_once(route: Route) -> None:
        request = pb.ListGenerationsRequest.FromString(route.request.post_data_buffer or b"")
        if request.page_token in failures:
            failures.remove(request.page_token)
            await route.fulfill(status=404, body='{"code": "not_found"}', content_type="application/json")
        else:
            await route.fallback()

    async with run(tmp_path) as running:
        fox = await running.finish((await running.submit(soul("a fox"))).id)
        await serve_ended(tab, fox, 600)
        await tab.page.route(LISTS, fail_once)
        await tab.page.goto(running.gateway.http_address)
        await tab.count("ended", 200)
        await tab.button("Show older").click()
        await tab.count("ended", 300)
        await tab.button("Show older").click()
        await expect(tab.page.locator("#trouble")).to_be_visible()
        assert failures == []
        for count in (400, 500):
            await tab.button("Show older").click()
            await tab.count("ended", count)
            await expect(tab.page.locator("#trouble")).to_be_hidden()


WRAPPED_BUTTONS = """[...document.querySelectorAll('.actions')].filter(row => new Set(
    [...row.children].filter(one => !one.hidden).map(one => one.offsetTop + one.offsetHeight)).size > 1).length"""
RECORD_CHANGES = """() => {
    window.touched = new Set();
    new MutationObserver(changes => {
        for (const { target } of changes) {
            const card = (target.nodeType === 1 ? target : target.parentElement).closest('article');
            if (card) window.touched.add(card.dataset.id);
        }
    }).observe(document.querySelector('main'),
               { subtree: true, childList: true, attributes: true, characterData: true });
}"""


async def test_a_long_queue_has_500_cards_and_the_count_of_all(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path, UPSTREAM_CONCURRENCY="1") as running:
        waiting = [soul(f"fox {number}", wait_for=pb.WAIT_FOR_STORED) for number in range(501)]
        await asyncio.gather(*map(running.submit, waiting))
        await tab.page.goto(running.gateway.http_address)
        await expect(tab.page.locator("#queued-count")).to_have_text("501")
        await tab.count("queued", 500)
        assert tab.complaints == []


async def test_a_card_copies_its_url_and_its_prompt(tmp_path: Path, browser: Browser) -> None:
    async with run(tmp_path) as running, browser_tab(browser, permissions=["clipboard-read", "clipboard-write"]) as tab:
        generation = await running.finish((await running.submit(soul("a fox"))).id)
        await tab.page.goto(running.gateway.http_address)
        for name, text in (("URL", generation.outputs[0].url), ("prompt", "a fox")):
            await tab.button(f"Copy {name}: a fox").click()
            await tab.notice(f"Copied the {name}")
            assert await tab.page.evaluate("navigator.clipboard.readText()") == text
        assert tab.complaints == []


async def test_a_page_over_plain_http_copies_without_the_clipboard_api(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path) as running:
        await running.submit(soul("a fox"))
        await tab.page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
        await tab.page.goto(running.gateway.http_address)
        await tab.button("Copy prompt: a fox").click()
        await tab.notice("Copied the prompt")
        await tab.page.get_by_label("Search").focus()
        await tab.page.keyboard.press("Control+V")
        await expect(tab.page.get_by_label("Search")).to_have_value("a fox")
        assert tab.complaints == []


async def test_prompts_and_urls_of_an_attacker_are_only_text(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path) as running:
        prompt = '<img id="mine" src="/x" onerror="alert(1)">'
        fox = await running.finish((await running.submit(soul(prompt, key="fox"))).id)
        fox = await running.read(fox.id)
        kinds = (generation_pb2.MEDIA_KIND_IMAGE, generation_pb2.MEDIA_KIND_UNSPECIFIED)
        del fox.outputs[:]
        for kind in kinds:
            fox.outputs.add(url="javascript:alert(1)", kind=kind)
            fox.outputs.add(url="https://files.example/a.bin", kind=kind)
        body = pb.ListGenerationsResponse(generations=[fox]).SerializeToString()
        await tab.page.route(LISTS, lambda route: route.fulfill(body=body, content_type="application/proto"))
        await tab.page.route("https://files.example/*", lambda route: route.abort())
        await tab.page.goto(running.gateway.http_address)
        card = tab.group("ended")
        await expect(card.locator("a")).to_have_count(2 * len(kinds))
        links = await card.locator("a").evaluate_all("links => links.map(one => one.getAttribute('href'))")
        assert links == [None, "https://files.example/a.bin"] * len(kinds)
        await expect(card.locator(".title")).to_have_text(prompt)
        await expect(tab.page.locator("#mine")).to_have_count(0)


async def test_a_video_plays(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path) as running:
        request = pb.SubmitGenerationRequest(idempotency_key="film")
        request.input.dop.prompt = "the camera moves in"
        request.input.dop.image_urls.append("https://example.com/start.png")
        generation = await running.submit(request)
        await running.finish(generation.id)
        await tab.page.goto(running.gateway.http_address)
        video = tab.group("ended").locator("video")
        await tab.page.wait_for_function("video => video.readyState >= 2", arg=await video.element_handle())
        await video.evaluate("video => video.play()")
        assert tab.complaints == []


async def test_the_page_reconnects_after_a_restart(tmp_path: Path, tab: Tab) -> None:
    # The page reconnects to the address that served it, so the restarted gateway must have the same one.
    async with run(tmp_path, HTTP_ADDRESS=free_address()) as running:
        generation = await running.submit(soul("a fox"))
        await tab.page.goto(running.gateway.http_address)
        await tab.live()
        await tab.count("queued", 1)
        await running.stop_gateway()
        await expect(tab.page.locator("#line")).to_have_text("Reconnecting…")
        await running.start_gateway()
        await tab.live()
        await running.finish(generation.id)
        await tab.count("ended", 1)
        await tab.count("queued", 0)
        # The browser reports each failed attempt to connect.
        assert [text for text in tab.complaints if "net::ERR_" not in text] == []


async def test_the_page_drops_what_another_store_does_not_have(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path, HTTP_ADDRESS=free_address()) as running:
        await running.submit(soul("a fox"))
        await tab.page.goto(running.gateway.http_address)
        await tab.live()
        await tab.count("queued", 1)
        await running.stop_gateway()
        for file in running.store_path.parent.glob(f"{running.store_path.name}*"):
            file.unlink()
        await running.start_gateway()
        await expect(tab.page.locator("#empty")).to_have_text("There are no generations yet.")
        await tab.count("queued", 0)
        assert [text for text in tab.complaints if "net::ERR_" not in text] == []


async def test_a_hidden_page_gives_its_connection_back(tmp_path: Path, tab: Tab) -> None:
    """A browser has six connections to an origin: the calls of all tabs would wait for one if each had a watch."""
    async with run(tmp_path) as running:
        ended: asyncio.Queue[str] = asyncio.Queue()
        tab.page.on("requestfailed", lambda request: ended.put_nowait(request.url))
        await tab.page.goto(running.gateway.http_address)
        await tab.live()
        await show(tab, "hidden")
        async with asyncio.timeout(WAIT_TIMEOUT):
            assert (await ended.get()).endswith("/WatchGenerations")
        await running.submit(soul("a fox"))
        await show(tab, "visible")
        await tab.count("queued", 1)
        assert tab.complaints == []


async def test_a_page_that_is_opened_in_the_background_does_not_watch(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path) as running:
        urls: list[str] = []
        tab.page.on("request", lambda request: urls.append(request.url))
        await tab.page.add_init_script("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
        await tab.page.goto(running.gateway.http_address)
        await show(tab, "visible")
        await tab.live()
        assert len([url for url in urls if url.endswith("/WatchGenerations")]) == 1
        assert tab.complaints == []


async def show(tab: Tab, state: str) -> None:
    """Hide a page, or show it again, as changing tabs does in a browser with windows."""
    await tab.page.evaluate(
        """state => {
            Object.defineProperty(document, "hidden", { value: state === "hidden", configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        state,
    )


async def test_the_page_reads_again_after_an_outage_that_its_client_gave_up_on(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path) as running:
        ended = await running.submit(soul("a fox"))
        await running.finish(ended.id)
        await tab.page.route(LISTS, lambda route: route.abort("connectionrefused"))
        await tab.page.goto(running.gateway.http_address)
        await expect(tab.page.locator("#trouble")).to_be_visible()  # after 30 s
        await tab.page.unroute(LISTS)
        await tab.count("ended", 1)
        await expect(tab.page.locator("#trouble")).to_be_hidden()
        await running.submit(soul("an owl"))
        await tab.count("queued", 1)
        assert [text for text in tab.complaints if "net::ERR_" not in text] == []


async def test_the_page_reads_again_when_the_gateway_is_no_longer_overloaded(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path) as running:
        await running.finish((await running.submit(soul("a fox"))).id)
        details = (
            error_details_pb2.ErrorInfo(reason="GATEWAY_OVERLOADED", domain="hfgateway"),
            error_details_pb2.RetryInfo(retry_delay={"seconds": 60}),  # longer than the client retries a list
        )
        encoded = [
            {"type": one.DESCRIPTOR.full_name, "value": base64.b64encode(one.SerializeToString()).decode().rstrip("=")}
            for one in details
        ]
        overloaded = json.dumps({"code": "resource_exhausted", "message": "overloaded", "details": encoded})
        await tab.page.route(LISTS, lambda route: route.fulfill(status=429, body=overloaded, content_type=JSON))
        await tab.page.goto(running.gateway.http_address)
        await expect(tab.page.locator("#trouble")).to_have_text("overloaded")
        await tab.page.unroute(LISTS)
        await tab.count("ended", 1)
        await expect(tab.page.locator("#trouble")).to_be_hidden()
        assert [text for text in tab.complaints if "429" not in text] == []


async def test_a_page_that_is_shown_again_has_the_present_places_in_the_queue(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path, UPSTREAM_CONCURRENCY="1") as running:
        await running.submit(soul("a fox"))
        first, _ = [await running.submit(soul(prompt, wait_for=pb.WAIT_FOR_STORED)) for prompt in ("a hen", "an owl")]
        await tab.page.goto(running.gateway.http_address)
        second = tab.group("queued").filter(has_text="an owl")
        await expect(second).to_contain_text("place 2")
        async with tab.page.expect_event("requestfailed"):
            await show(tab, "hidden")
        await running.grpc.call("CancelGeneration", pb.CancelGenerationRequest(id=first.id))
        await show(tab, "visible")
        await expect(second).to_contain_text("place 1")
        assert tab.complaints == []


async def test_details_show_every_parameter_that_was_given(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path, UPSTREAM_CONCURRENCY="1") as running:
        styled = soul("an owl")
        styled.input.soul.style_id = "cdf5ae94-01e7-4c2f-8e06-0c9ad1b1e3b5"
        styled.input.soul.style_strength = 0
        given = pb.SubmitGenerationRequest(idempotency_key="fox")
        given.input.model.model_id = "someone/some-model"
        given.input.model.parameters.update({"prompt": "a fox", "strength": 0, "version": "2", "imageUrl": "https://x"})
        await running.submit(styled)
        given.wait_for = pb.WAIT_FOR_STORED  # it waits for the other one
        await running.submit(given)
        await tab.page.goto(running.gateway.http_address)
        for prompt, rows in (
            ("an owl", {"prompt": "an owl", "style_id": styled.input.soul.style_id, "style_strength": "0"}),
            ("a fox", {"imageUrl": "https://x", "prompt": "a fox", "strength": "0", "version": "2"}),
        ):
            await tab.button(f"Details: {prompt}").click()
            shown = tab.page.locator("#details-input")
            await expect(shown).to_contain_text(prompt)
            names, values = [await shown.locator(part).all_inner_texts() for part in ("dt", "dd")]
            assert dict(zip(names, values, strict=True)) == rows
            await tab.page.keyboard.press("Escape")
            await expect(tab.page.locator("#details")).to_be_hidden()
        assert tab.complaints == []


async def test_cancel_ends_a_generation_and_hides_its_button(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path) as running:
        await running.submit(soul("a fox"))
        await tab.page.goto(running.gateway.http_address)
        card = tab.group("queued").filter(has_text="Queued")
        await card.get_by_role("button", name="Cancel").click()
        ended = tab.group("ended")
        await expect(ended).to_contain_text("Canceled")
        await expect(ended.get_by_role("button", name="Cancel")).to_be_hidden()
        assert len(running.ledger.refunds) == 1
        assert tab.complaints == []


async def test_the_page_asks_for_a_key_and_forgets_it(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path, AUTH="keys") as running:
        key = await running.key("red")
        await running.caller("grpc", key).call("SubmitGeneration", soul("a fox"))
        await tab.page.goto(running.gateway.http_address)
        await expect(tab.page.get_by_text("This gateway requires an API key")).to_be_visible()
        field = tab.page.get_by_label("API key or watch token")
        await expect(field).to_be_focused()
        await field.fill("clé")
        await tab.page.keyboard.press("Enter")
        await expect(tab.page.get_by_text("This is neither")).to_be_visible()
        await field.fill("hfg_000000000000_wrong")
        await tab.page.keyboard.press("Enter")
        await expect(tab.page.get_by_text("The login failed")).to_be_visible()
        await field.fill(key)
        await tab.page.keyboard.press("Enter")
        await tab.count("queued", 1)
        await tab.page.set_viewport_size({"width": 360, "height": 740})
        await tab.page.reload()
        await tab.count("queued", 1)
        await expect(tab.button("New generation")).to_be_visible()
        assert await tab.page.evaluate(OVERLAPPING) == []
        await tab.button("Forget the key").click()
        await expect(field).to_be_visible()
        assert await tab.page.evaluate("Object.keys(sessionStorage).length + Object.keys(localStorage).length") == 0
        assert key not in tab.page.url
        # The browser itself reports each 401.
        assert [text for text in tab.complaints if "401" not in text] == []


async def test_two_calls_that_are_refused_leave_the_explanation_of_the_first(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path, AUTH="keys") as running:
        key = await running.key("red")
        submitted = await running.caller("grpc", key).call("SubmitGeneration", soul("a fox"))
        # Open details are read at the same time as the list.
        url = f"{running.gateway.http_address}/?show={submitted.generation.id}"
        await tab.page.goto(url)
        await tab.page.get_by_label("API key").fill(key)
        await tab.page.keyboard.press("Enter")
        await expect(tab.page.locator("#details")).to_be_visible()
        await tab.page.goto("about:blank")
        await running.gateway.access.revoke_key(key.split("_")[1])
        await tab.page.goto(url, wait_until="networkidle")
        await expect(tab.page.locator("#login-why")).to_contain_text("revoked")


OVERLAPPING = """() => {
    const shown = [...document.querySelector('.top').children].map(one => {
        const text = document.createRange();
        text.selectNodeContents(one);
        const { left, right, top, bottom } = (one.matches('p') ? text : one).getBoundingClientRect();
        return { id: one.id, left, right, top, bottom };
    });
    return shown.flatMap((a, n) => shown.slice(n + 1).filter(
        b => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom).map(b => [a.id, b.id]));
}"""


async def test_a_prompt_is_written_in_the_direction_of_its_language(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path) as running:
        await running.submit(soul("منارة fox", key="rtl"))
        await tab.page.goto(running.gateway.http_address)
        card = tab.group("queued")
        await expect(card).to_contain_text("fox")
        assert await card.locator(".title").evaluate(FROM_RIGHT_TO_LEFT)
        await card.get_by_role("button", name="Details").click()
        for part in ("#details-title", "#details dd:text-is('منارة fox')"):
            await expect(tab.page.locator(part)).to_have_text("منارة fox")
            assert await tab.page.locator(part).evaluate(FROM_RIGHT_TO_LEFT)


FROM_RIGHT_TO_LEFT = """one => {
    const [first, second] = [[0, 5], [6, 9]].map(([from, to]) => {
        const word = document.createRange();
        word.setStart(one.firstChild, from);
        word.setEnd(one.firstChild, to);
        return word.getBoundingClientRect().left;
    });
    return second < first;
}"""


class LateClock(SystemClock):
    """A clock that a test can set forward."""

    late = 0.0

    def moment(self) -> Moment:
        now = super().moment()
        return Moment(wall=now.wall + self.late, steady=now.steady)


async def test_a_watch_token_limits_the_page_and_its_expiry_is_explained(tmp_path: Path, tab: Tab) -> None:
    clock = LateClock()
    running = Running(tmp_path, SandboxOptions(**DEFAULT_OPTIONS), {"AUTH": "keys"}, clock_from=lambda _: clock)
    try:
        await running.start()
        backend = running.caller("grpc", await running.key("red"))
        await backend.call("SubmitGeneration", soul("a fox", labels={"page": "1"}))
        await backend.call("SubmitGeneration", soul("an owl"))
        token = (await backend.call("CreateWatchToken", _for_page())).token
        await tab.page.goto(f"{running.gateway.http_address}/#token={token}")
        await expect(tab.group("queued")).to_have_count(1)
        assert token not in tab.page.url
        # A watch token shows nothing but the generation: no action, and no submission.
        await expect(tab.page.locator("main").get_by_role("button")).to_have_count(0)
        await expect(tab.page.locator("#new")).to_be_hidden()

        clock.late = 3600.0
        await expect(tab.page.get_by_text("Your watch token has expired")).to_be_visible()
        # The URL with the next token differs only in its fragment, so that the browser does not load it again.
        token = (await backend.call("CreateWatchToken", _for_page())).token
        await tab.page.goto(f"{running.gateway.http_address}/#token={token}")
        await expect(tab.group("queued")).to_have_count(1)
        assert token not in tab.page.url
        assert [text for text in tab.complaints if "401" not in text] == []
    finally:
        await running.stop()


def _for_page() -> token_pb.CreateWatchTokenRequest:
    return token_pb.CreateWatchTokenRequest(filter=pb.GenerationFilter(labels={"page": "1"}))


FOCUSED = "(one => one.ariaLabel || one.textContent || one.id)(document.activeElement)"


async def test_the_page_is_usable_by_keyboard_and_labels_its_controls(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path) as running:
        await running.finish((await running.submit(soul("an owl"))).id)
        fox = await running.submit(soul("a fox"))
        await tab.page.goto(running.gateway.http_address)
        await tab.count("queued", 1)
        await tab.count("ended", 1)
        await expect(tab.button("Cancel: a fox")).to_be_visible()
        reached = []
        for _ in range(13):
            await tab.page.keyboard.press("Tab")
            reached.append(await tab.page.evaluate(FOCUSED))
        assert reached == [
            *("New generation", "Search", "State", "Model", "Labels"),
            *("Copy prompt: a fox", "Cancel: a fox", "Details: a fox"),
            *("", "Copy URL: an owl", "Copy prompt: an owl", "Run again: an owl", "Details: an owl"),
        ]  # "" is the link of the picture, whose name is the alt text
        unnamed = await tab.page.evaluate(
            """[...document.querySelectorAll('button, input, select, textarea, img:not([alt=""]), video')].filter(one =>
               !(one.ariaLabel || one.textContent.trim() || one.alt || one.labels?.length)).length"""
        )
        assert unnamed == 0
        # Changes are announced, without moving the focus, also that of a card that moves to another group.
        await tab.button("Details: a fox").focus()
        await running.finish(fox.id)
        await tab.count("ended", 2)
        await expect(tab.page.locator("#announcements")).to_have_text("Completed: a fox")
        await expect(tab.button("Details: a fox")).to_be_focused()
        assert tab.complaints == []


FILES = {
    "/": "text/html",
    "/page/app.js": "text/javascript",
    "/page/app.css": "text/css",
    "/page/icon.svg": "image/svg+xml",
    "/favicon.ico": "image/svg+xml",
}


async def test_the_page_is_small_and_has_a_content_security_policy_and_etags(tmp_path: Path) -> None:
    sent = {}
    async with run(tmp_path) as running, aiohttp.ClientSession(auto_decompress=False) as session:
        for path, kind in FILES.items():
            url = running.gateway.http_address + path
            async with session.get(url, headers={"accept-encoding": "gzip"}) as answer:
                assert answer.status == 200
                assert answer.headers["content-type"].startswith(kind)
                policy = answer.headers["content-security-policy"]
                directives = dict(directive.split(" ", 1) for directive in policy.split("; "))
                # No other origin can run code in the page, receive anything from it, or show it in a frame.
                assert {directives[name] for name in ("script-src", "connect-src", "form-action")} == {"'self'"}
                assert {directives[name] for name in ("default-src", "base-uri", "frame-ancestors")} == {"'none'"}
                assert "unsafe" not in policy
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert answer.headers["referrer-policy"] == "no-referrer"
                assert (answer.headers["cache-control"], answer.headers["vary"]) == ("no-cache", "accept-encoding")
                tag = answer.headers["etag"]
                body = await answer.read()
                sent[path] = len(body)
            for accepted in ("identity", "br, gzip;q=0", "GZIP; Q=0.0, br"):
                async with session.get(url, headers={"accept-encoding": accepted}) as plain:
                    assert "content-encoding" not in plain.headers
                    assert await plain.read() == await asyncio.to_thread(gzip.decompress, body)
            async with session.get(url, headers={"accept-encoding": "br, gzip;q=0.01"}) as small:
                assert (small.headers["content-encoding"], await small.read()) == ("gzip", body)
            async with session.get(url, headers={"if-none-match": tag}) as again:
                assert again.status == 304
    assert sum(sent.values()) < 60_000, sent


async def test_a_watch_that_ended_with_an_error_is_not_shown_as_live(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path) as running:
        await tab.page.goto(f"{running.gateway.http_address}/?label=team%3D{'x' * 300}")
        await expect(tab.page.locator("#trouble")).to_be_visible()
        await expect(tab.page.locator("#line")).to_have_text("Not connected")
