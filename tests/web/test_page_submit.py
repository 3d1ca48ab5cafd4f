"""Submissions from the live page in a real browser: whatever happens to the answer, the user pays once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Locator, Request, Route, expect

from gateway.access.scopes import Scope
from hfgateway.v1 import catalog_service_pb2, generation_input_pb2, generation_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.running import Running, eventually, run, soul
from tests.web.page_tab import Tab

pytestmark = [
    pytest.mark.toolchain("chromium"),
    pytest.mark.timeout(240),
    pytest.mark.asyncio(loop_scope="module"),
]

SUBMIT = "**/*GenerationService/SubmitGeneration"
MODEL = "**/*CatalogService/GetModel"
SOUL = "higgsfield-ai/soul/standard"
VIDEO = "bytedance/seedance-2.0/image-to-video"


def dialog(tab: Tab) -> Locator:
    return tab.page.locator("#submit")


async def fill(tab: Tab, prompt: str, model: str = SOUL) -> None:
    """Open the form of a model, and enter a prompt."""
    await tab.button("New generation").click()
    form = dialog(tab)
    await form.get_by_label("Model").fill(model)
    await tab.page.keyboard.press("Tab")
    await form.get_by_label("prompt (required)").fill(prompt)


async def test_a_form_is_made_of_the_schema_and_shows_what_is_wrong(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path) as running:
        await tab.page.goto(running.gateway.http_address)
        # By keyboard alone: open the form, choose the model.
        await tab.button("New generation").focus()
        await tab.page.keyboard.press("Enter")
        form = dialog(tab)
        await expect(form.get_by_label("Model")).to_be_focused()
        await tab.page.keyboard.type(VIDEO)
        await tab.page.keyboard.press("Tab")
        duration = form.get_by_label("duration")
        await expect(duration).to_have_value("5")
        await expect(form.get_by_label("resolution")).to_have_value('"720p"')
        for model in (SOUL, VIDEO):
            await expect(form.locator(f'datalist option[value="{model}"]')).to_have_count(1)

        # The browser refuses what the schema does, before anything is sent.
        await duration.fill("99")
        await form.get_by_label("prompt").fill("a fox runs")
        await tab.button("Submit").click()
        assert await duration.evaluate("one => one.validity.rangeOverflow")
        await expect(form.get_by_label("image url (required)")).to_have_js_property("validity.valueMissing", True)
        assert running.ledger.submissions == []
        await duration.fill("6")

        # The gateway's refusal is shown at its field, which gets the focus. Nothing was stored.
        url = form.get_by_label("image url (required)")
        await url.fill("https://example.com/" + "x" * 2100)
        await tab.button("Submit").click()
        await expect(url).to_have_attribute("aria-invalid", "true")
        await expect(url).to_be_focused()
        problem = await url.get_attribute("aria-describedby")
        assert problem is not None
        await expect(tab.page.locator(f"#{problem.split()[-1]}")).to_contain_text("at most 2083 characters")

        await url.fill("https://example.com/start.png")
        await tab.button("Check price").click()
        await expect(form.get_by_text("Estimated price: ")).to_contain_text("credits")
        await form.get_by_label("Labels").fill("team=red")
        await tab.page.keyboard.press("Enter")
        await tab.notice("Submitted: a fox runs")
        await expect(form).to_be_hidden()
        await expect(tab.group("queued")).to_contain_text("team=red")
        (charge,) = running.ledger.charges
        assert charge.model == VIDEO
        (generation,) = await listed(running)
        sent = dict(generation.input.model.parameters)
        assert (sent["prompt"], sent["duration"], sent["resolution"]) == ("a fox runs", 6, "720p")
        # The browser itself reports the refusal.
        assert [text for text in tab.complaints if "400" not in text] == []


async def test_running_again_is_charged_once_for_each_submission(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path) as running:
        request = soul("a fox", labels={"team": "red"})
        request.input.soul.seed, request.input.soul.aspect_ratio = 7, "1:1"
        await running.finish((await running.submit(request)).id)
        await tab.page.goto(running.gateway.http_address)
        await tab.button("Run again: a fox").dblclick()
        await expect(dialog(tab)).to_contain_text("seed")
        await tab.button("Submit").dblclick()
        await tab.count("queued", 1)
        await expect(tab.group("queued")).to_contain_text("team=red")
        await expect(dialog(tab)).to_be_hidden()
        await tab.button("Run again: a fox").click()
        await tab.button("Submit").click()
        await tab.count("queued", 2)

        generations = await listed(running)
        assert [one.input for one in generations] == [request.input] * 3
        assert len({one.idempotency_key for one in generations}) == 3
        await eventually(lambda: len(running.ledger.charges) == 3)

        # The parameters of a model can be changed first.
        await fill(tab, "a hen")
        await dialog(tab).get_by_label("seed").fill("9")
        await tab.button("Submit").click()
        await tab.count("queued", 3)
        # The page shows a generation as queued before Higgsfield has accepted it. Its time starts then.
        await eventually(lambda: len(running.ledger.charges) == 4)
        running.clock.advance(60)
        await tab.button("Run again: a hen").click()
        await tab.button("Edit").click()
        await expect(dialog(tab).get_by_label("seed")).to_have_value("9")
        await dialog(tab).get_by_label("prompt (required)").fill("an owl")
        await tab.button("Submit").click()
        await expect(tab.group("queued").filter(has_text="an owl")).to_be_visible()
        assert tab.complaints == []


async def test_running_again_keeps_labels_that_cannot_be_written_in_the_form(tmp_path: Path, tab: Tab) -> None:
    """Labels decide which budgets apply."""
    async with run(tmp_path) as running:
        labels = {"note": "hot, team=blue", "team": " red"}
        await running.finish((await running.submit(soul("a fox", labels=labels))).id)
        await tab.page.goto(running.gateway.http_address)
        await tab.button("Run again: a fox").click()
        await tab.button("Submit").click()
        await tab.count("queued", 1)
        assert [dict(one.labels) for one in await listed(running)] == [labels] * 2

        # What the user writes is read as it is in the filter.
        await tab.button("Run again: a fox").click()
        await dialog(tab).get_by_label("Labels").fill("note=hot, team=green")
        await tab.button("Submit").click()
        await tab.count("queued", 2)
        assert dict((await listed(running))[0].labels) == {"note": "hot", "team": "green"}
        assert tab.complaints == []


async def test_a_new_generation_does_not_take_the_labels_of_another_one(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path) as running:
        await running.finish((await running.submit(soul("a fox", labels={"team": "red"}))).id)
        await tab.page.goto(running.gateway.http_address)
        await tab.button("Run again: a fox").click()
        await expect(dialog(tab).get_by_label("Labels")).to_have_value("team=red")
        await tab.button("Close").click()
        await tab.button("New generation").click()
        await expect(dialog(tab).get_by_label("Labels")).to_have_value("")
        assert tab.complaints == []


async def test_a_submission_with_other_labels_than_those_of_the_filter_is_not_shown(tmp_path: Path, tab: Tab) -> None:
    """The watch would not report its changes."""
    async with run(tmp_path) as running:
        await tab.page.goto(running.gateway.http_address + "/?label=team%3Dred")
        await tab.live()
        for prompt, labels, shown in (("a fox", "team=blue", 0), ("a hen", "team=red, order=7", 1)):
            await fill(tab, prompt)
            await dialog(tab).get_by_label("Labels").fill(labels)
            await tab.button("Submit").click()
            await tab.notice(f"Submitted: {prompt}")
            await expect(dialog(tab)).to_be_hidden()
            await tab.count("queued", shown)
        assert tab.complaints == []


async def test_a_form_that_could_not_be_read_is_read_again(tmp_path: Path, tab: Tab) -> None:
    """It keeps the values of the submission that is edited."""
    async with run(tmp_path) as running:
        request = pb.SubmitGenerationRequest(idempotency_key="fox")
        request.input.model.model_id = SOUL
        request.input.model.parameters.update({"prompt": "a fox", "seed": 7})
        await running.finish((await running.submit(request)).id)
        await tab.page.goto(running.gateway.http_address)
        await tab.page.route(MODEL, lambda route: route.fulfill(status=403, body="not allowed by the proxy"))
        await tab.button("Run again: a fox").click()
        await tab.button("Edit").click()
        await expect(tab.page.locator("#submit-problem")).not_to_be_empty()
        await tab.page.unroute(MODEL)
        await tab.button("Submit").click()
        await expect(dialog(tab).get_by_label("seed")).to_have_value("7")
        assert len(running.ledger.charges) == 1
        assert [text for text in tab.complaints if "403" not in text] == []


async def test_a_form_accepts_what_the_schema_and_the_earlier_input_have(tmp_path: Path, tab: Tab) -> None:
    schema = {
        "properties": {
            "prompt": {"type": "string"},
            "quality": {"type": "string", "enum": ["low", "high"]},
            "size": {"type": "integer", "minimum": 100, "multipleOf": 64},
            "weight": {"type": ["number", "null"]},
            "strength": {"anyOf": [{"type": "number", "maximum": 1}, {"type": "null"}]},
            "mode": {"$ref": "#/$defs/mode"},
            "images": {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 3},
        },
        "required": ["prompt", "quality"],
        "$defs": {"mode": {"enum": ["slow", "fast"]}},
    }
    model = catalog_service_pb2.GetModelResponse()
    model.model.id = SOUL
    model.model.parameters_schema.update(schema)
    async with run(tmp_path) as running:
        request = pb.SubmitGenerationRequest(idempotency_key="fox")
        request.input.model.model_id = SOUL
        request.input.model.parameters.update({"prompt": "a fox", "quality": "2160p", "extra": True})
        await running.finish((await running.submit(request)).id)
        await tab.page.goto(running.gateway.http_address)
        body = model.SerializeToString()
        await tab.page.route(MODEL, lambda route: route.fulfill(body=body, content_type="application/proto"))
        await tab.button("Run again: a fox").click()
        await tab.button("Edit").click()
        # The schema may be older than the model.
        await expect(dialog(tab).get_by_label("quality")).to_have_value('"2160p"')
        for name, value in (("size", "128"), ("weight", "0.5"), ("strength", "2")):
            await dialog(tab).get_by_label(name).fill(value)
        await dialog(tab).get_by_label("mode", exact=True).select_option("fast")
        await expect(dialog(tab).get_by_label("strength")).to_have_js_property("validity.rangeOverflow", value=True)
        await dialog(tab).get_by_label("strength").fill("1")
        images = dialog(tab).get_by_label("images")
        for count, refused in ((1, True), (4, True), (3, False)):
            await images.fill("\n".join(f"https://files.example/{number}" for number in range(count)))
            await expect(images).to_have_js_property("validity.customError", refused)
        await tab.button("Submit").click()
        await tab.count("queued", 1)
        given = (await listed(running))[0].input.model.parameters
        sent = {name: given[name] for name in ("quality", "size", "weight", "strength", "mode", "extra")}
        assert sent == {"quality": "2160p", "size": 128, "weight": 0.5, "strength": 1, "mode": "fast", "extra": True}
        assert tab.complaints == []


async def test_a_model_without_a_schema_takes_a_json_object(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path) as running:
        await tab.page.goto(running.gateway.http_address)
        await tab.button("New generation").click()
        await dialog(tab).get_by_label("Model").fill("v1/some/endpoint")
        await tab.page.keyboard.press("Tab")
        parameters = dialog(tab).get_by_label("parameters")
        for text, refused in (("[1]", True), ("{", True), ('{"prompt": "a fox"}', False)):
            await parameters.fill(text)
            await expect(parameters).to_have_js_property("validity.customError", refused)
        async with tab.page.expect_request(SUBMIT) as submission:
            await tab.button("Submit").click()
        (sent,) = [pb.SubmitGenerationRequest.FromString((await submission.value).post_data_buffer or b"").input.model]
        assert (sent.api_version, dict(sent.parameters)) == (generation_input_pb2.API_VERSION_V1, {"prompt": "a fox"})


async def test_a_key_that_is_forgotten_during_a_submission_leaves_no_error(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path, AUTH="keys") as running:
        key = await running.key("red")
        await tab.page.goto(running.gateway.http_address)
        await tab.page.get_by_label("API key").fill(key)
        await tab.page.keyboard.press("Enter")
        await tab.page.route(SUBMIT, lambda _: None)
        await fill(tab, "a fox")
        async with tab.page.expect_request(SUBMIT):
            await tab.button("Submit").click()
        await tab.button("Close").click()
        await tab.button("Forget the key").click()
        await tab.page.get_by_label("API key").fill(key)
        await tab.page.keyboard.press("Enter")
        await tab.button("New generation").click()
        await expect(tab.page.locator("#submit-problem")).to_be_empty()
        await expect(tab.page.locator("#trouble")).to_be_hidden()
        assert [text for text in tab.complaints if "401" not in text] == []


async def test_a_lost_answer_is_charged_once(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path) as running:
        await tab.page.goto(running.gateway.http_address)
        keys: list[str] = []

        async def lose(route: Route) -> None:
            """Lose the answer to the first attempt; let a proxy refuse the second one."""
            keys.append(key_of(route.request))
            if len(keys) == 1:
                await route.fetch()
                await route.abort()
            elif len(keys) == 2:
                await route.fulfill(status=403, body="not allowed by the proxy")
            else:
                await route.continue_()

        await tab.page.route(SUBMIT, lose)
        await fill(tab, "a fox")
        await tab.button("Submit").click()
        # The client has repeated the first attempt. The second one says nothing about the outcome.
        await expect(dialog(tab)).to_contain_text("It is not known whether this was submitted")
        await expect(dialog(tab).get_by_label("prompt (required)")).to_be_disabled()
        # Neither closing the dialog nor another submission gets rid of the question.
        await tab.page.keyboard.press("Escape")
        await tab.button("Submission with unknown outcome").click()
        await tab.button("Submit again").click()
        await tab.notice("Submitted: a fox")
        assert keys == [keys[0]] * 3
        assert len(running.ledger.charges) == 1
        await tab.count("queued", 1)
        assert [text for text in tab.complaints if "net::ERR_FAILED" not in text and "403" not in text] == []


async def test_a_reload_does_not_lose_a_submission(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path) as running:
        page = tab.page
        await page.goto(running.gateway.http_address)

        async def pass_on_and_hold(route: Route) -> None:
            await route.fetch()

        # The gateway has the submission, and the page finds it by its key.
        await page.route(SUBMIT, pass_on_and_hold)
        await fill(tab, "a fox")
        await tab.button("Submit").click()
        await tab.count("queued", 1)
        await page.reload()
        await tab.notice("Submitted: a fox")
        await expect(dialog(tab)).to_be_hidden()
        await expect(tab.button("New generation")).to_be_visible()

        # The gateway does not have it: it is submitted with its old key, or discarded.
        for prompt, answer, charges in (("a hen", "Submit again", 2), ("an owl", "Edit", 2)):
            await page.unroute_all()
            await page.route(SUBMIT, lambda _: None)
            await fill(tab, prompt)
            async with page.expect_request(SUBMIT) as held:
                await tab.button("Submit").click()
            key = key_of(await held.value)
            await page.reload()
            await expect(dialog(tab)).to_contain_text("which was interrupted")
            await expect(dialog(tab)).to_contain_text(prompt)
            await page.unroute_all()
            await tab.button(answer).click()
            if answer == "Edit":
                await expect(dialog(tab).get_by_label("prompt (required)")).to_have_value(prompt)
            else:
                await tab.notice(f"Submitted: {prompt}")
                assert key in {one.idempotency_key for one in await listed(running)}
            assert len(running.ledger.charges) == charges
        assert tab.complaints == []


async def test_a_submission_with_another_key_is_not_submitted_again_without_a_warning(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path, AUTH="keys") as running:
        page = tab.page
        await page.goto(running.gateway.http_address)
        red = await running.key("red")
        _, blue = await running.gateway.access.create_key("blue", "", [Scope.READ])

        async def log_in(key: str) -> None:
            await page.get_by_label("API key").fill(key)
            await page.keyboard.press("Enter")

        async def pass_on_and_hold(route: Route) -> None:
            await route.fetch()

        await log_in(red)
        await page.route(SUBMIT, pass_on_and_hold)
        await fill(tab, "a fox")
        await tab.button("Submit").click()
        await tab.count("queued", 1)
        # The gateway has the submission, but the page has no answer when its key is revoked.
        await running.gateway.access.revoke_key(red.split("_")[1])
        await page.reload()
        await log_in(blue)
        await expect(dialog(tab)).to_contain_text("It was submitted with another API key")
        await expect(dialog(tab)).to_contain_text("a fox")
        await eventually(lambda: len(running.ledger.charges) == 1)
        # What is refused to another key says nothing about what was submitted with the first one.
        await page.unroute_all()
        await tab.button("Submit again").click()
        await expect(dialog(tab)).to_contain_text("lacks the scope submit")
        await expect(dialog(tab)).to_contain_text("It is not known whether this was submitted")
        await expect(dialog(tab)).to_contain_text("It was submitted with another API key")
        await expect(tab.button("Submit again")).to_be_visible()
        # "Forget the key" forgets the submission as well.
        await tab.button("Close").click()
        await expect(tab.button("Submission with unknown outcome")).to_be_visible()
        await tab.button("Forget the key").click()
        await log_in(blue)
        await expect(tab.button("New generation")).to_be_visible()
        assert [text for text in tab.complaints if not re.search("401|403", text)] == []


async def test_a_key_that_is_revoked_while_the_form_is_open_is_asked_for_and_nothing_entered_is_lost(
    tmp_path: Path, tab: Tab
) -> None:
    async with run(tmp_path, AUTH="keys") as running:
        page = tab.page
        await page.goto(running.gateway.http_address)
        old, new = await running.key("red"), await running.key("red")
        await page.get_by_label("API key").fill(old)
        await page.keyboard.press("Enter")
        await fill(tab, "a fox")
        await tab.live()
        await running.gateway.access.revoke_key(old.split("_")[1])
        await expect(page.locator("#login-why")).to_contain_text("revoked")
        await expect(dialog(tab)).to_be_hidden()
        await expect(page.get_by_label("API key")).to_be_focused()
        await page.keyboard.type(new)
        await page.keyboard.press("Enter")
        await tab.button("New generation").click()
        await tab.button("Submit").click()
        await tab.notice("Submitted: a fox")
        assert [text for text in tab.complaints if "401" not in text] == []


async def test_a_key_that_may_not_submit_leaves_no_submission_with_an_unknown_outcome(tmp_path: Path, tab: Tab) -> None:
    async with run(tmp_path, AUTH="keys") as running:
        _, reader = await running.gateway.access.create_key("red", "", [Scope.READ])
        await tab.page.goto(running.gateway.http_address)
        await tab.page.get_by_label("API key").fill(reader)
        await tab.page.keyboard.press("Enter")
        await fill(tab, "a fox")
        await tab.button("Submit").click()
        await expect(dialog(tab)).to_contain_text("lacks the scope submit")
        await expect(dialog(tab)).not_to_contain_text("It is not known whether this was submitted")
        await expect(dialog(tab).get_by_label("prompt (required)")).to_be_enabled()
        assert [text for text in tab.complaints if "403" not in text] == []


def key_of(request: Request) -> str:
    return pb.SubmitGenerationRequest.FromString(request.post_data_buffer or b"").idempotency_key


async def listed(running: Running) -> list[generation_pb2.Generation]:
    answer = await running.grpc.call("ListGenerations", pb.ListGenerationsRequest(include_input=True))
    return list(answer.generations)
