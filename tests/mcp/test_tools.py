"""The tools over HTTP and over stdio; a repeated call is never charged twice."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from gateway.catalog import builtin
from gateway.catalog.model import Model, Origin
from gateway.mcp.files import Files
from gateway.mcp.port import RefusedError
from gateway.rpc.errors import Code, RpcError
from gateway.rpc.transports.over_mcp import _refused
from hfgateway.v1.character_service_pb2 import CreateCharacterRequest
from tests.mcp.conftest import Connect, Start, content_of, error, over_stdio, soul, state, text
from tests.support.running import eventually

if TYPE_CHECKING:
    from mcp.types import CallToolResult

SEEDANCE = "bytedance/seedance-2.0/text-to-video"
Z_IMAGE = "z-image/turbo"
RUNS = 1.5
"""Seconds of the sandbox's clock after which an accepted request runs."""


class Progress:
    """Record progress, and advance the sandbox's clock on each report so that more progress follows."""

    def __init__(self, clock: Any) -> None:
        self.reports: list[tuple[float, float | None, str | None]] = []
        self._clock = clock

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        self.reports.append((progress, total, message))
        self._clock.advance({"QUEUED": RUNS, "IN_PROGRESS": 60}.get(self.states[-1], 0))

    @property
    def states(self) -> list[str]:
        return [(message or "").partition(",")[0] for _, _, message in self.reports]


async def test_generate_reports_progress_and_returns_the_links(start: Start, connect: Connect) -> None:
    running = await start()
    progress = Progress(running.clock)
    async with connect(running) as client:
        result = await client.call_tool("generate", soul("fox", batch_size=4), progress_callback=progress)

    generation = content_of(result)["generation"]
    assert state(result) == "COMPLETED"
    assert [output["url"] in text(result) for output in generation["outputs"]] == [True] * 4
    assert list(dict.fromkeys(progress.states)) == ["PENDING", "QUEUED", "IN_PROGRESS", "COMPLETED"]
    first_of = {state: (progress.reports[progress.states.index(state)][2] or "") for state in progress.states}
    for running_state in ("QUEUED", "IN_PROGRESS"):
        assert re.search("s left|longer than expected", first_of[running_state])
    figures = [figure for figure, _, _ in progress.reports]
    assert figures == sorted(set(figures))
    assert {total for _, total, _ in progress.reports} == {1.0}
    assert figures[-1] == 1.0
    assert len(running.ledger.charges) == 1


async def test_a_call_repeated_after_its_timeout_is_charged_once(start: Start, connect: Connect) -> None:
    """The client times out, and the model repeats the call without having seen a key."""
    from mcp import MCPError

    running = await start()
    async with connect(running) as client:
        with pytest.raises(MCPError):
            await client.call_tool("generate", soul("fox"), read_timeout_seconds=0.5)
        again = asyncio.create_task(client.call_tool("generate", soul("fox")))
        await running.calls_open("WatchGenerations" if connect is over_stdio else "WatchGeneration", 1)
        running.clock.advance(60)
        result = await again
        once_more = await client.call_tool("generate", soul("fox"))

    assert content_of(result)["replayed"]
    assert state(result) == "COMPLETED"
    assert content_of(once_more)["generation"]["id"] == content_of(result)["generation"]["id"]
    assert "Nothing new was started" in text(once_more)
    assert len(running.ledger.submissions) == len(running.ledger.charges) == 1


async def test_each_idempotency_key_is_one_generation(start: Start, port: Connect) -> None:
    running = await start()
    first, second = {"idempotency_key": "take-1", "wait_seconds": 0}, {"idempotency_key": "take-2", "wait_seconds": 0}
    async with port(running) as client:
        results = [await client.call_tool("generate", soul("fox") | key) for key in (first, first, second)]
        misused = await client.call_tool("generate", soul("wolf") | first)
        unnamed = await client.call_tool("generate", soul("fox") | {"wait_seconds": 0})
        listed = await client.call_tool("list_generations", {"filter": {"idempotency_key": "take-2"}})

    ids = [content_of(result)["generation"]["id"] for result in results]
    assert ids[0] == ids[1] != ids[2]
    assert [content_of(result)["idempotency_key"] for result in results] == ["take-1", "take-1", "take-2"]
    assert [content_of(result)["replayed"] for result in results] == [False, True, False]
    assert error(misused)["reason"] == "IDEMPOTENCY_KEY_REUSED"
    assert "call generate with a new idempotency_key" in text(misused)
    assert content_of(unnamed)["generation"]["id"] not in ids
    assert [generation["id"] for generation in content_of(listed)["generations"]] == [ids[2]]
    await eventually(lambda: len(running.ledger.submissions) == 3)


async def test_a_generation_continues_after_wait_seconds(start: Start, port: Connect) -> None:
    running = await start()
    async with port(running) as client:
        arguments = {"wait_seconds": 0.2, "start_timeout_seconds": 90.5}
        early = await client.call_tool("generate", soul("fox") | arguments)
        generation_id = content_of(early)["generation"]["id"]
        stored = await running.gateway._core.store.generations.any(generation_id)
        assert stored is not None
        assert stored.spec.start_by is not None
        assert round(stored.spec.start_by - stored.spec.created_at, 3) == 90.5
        assert not content_of(early)["generation"].get("done")
        assert f"wait_generation with id {generation_id}" in text(early)

        await running.finish(generation_id)
        waited = await client.call_tool("wait_generation", {"id": generation_id})
        seen = await client.call_tool("get_generation", {"id": generation_id})

    assert state(waited) == state(seen) == "COMPLETED"
    assert content_of(seen)["generation"]["input"] == soul("fox")["input"]


async def test_a_wait_reports_no_earlier_state(start: Start, port: Connect) -> None:
    running = await start()
    progress = Progress(running.clock)
    async with port(running) as client:
        generation_id = generation_id_of(await client.call_tool("generate", soul("fox") | {"wait_seconds": 0}))
        await running.start_running(generation_id)
        await client.call_tool("wait_generation", {"id": generation_id}, progress_callback=progress)
    assert list(dict.fromkeys(progress.states)) == ["IN_PROGRESS", "COMPLETED"]
    assert re.search(r"about \d+ s left", progress.reports[0][2] or "")


async def test_cancel_refunds_a_queued_generation_and_refuses_a_running_one(start: Start, port: Connect) -> None:
    running = await start()
    async with port(running) as client:
        queued, runs = [
            content_of(await client.call_tool("generate", soul(prompt) | {"wait_seconds": 0}))["generation"]["id"]
            for prompt in ("queued", "runs")
        ]
        await running.until(queued, "QUEUED")
        canceled = await client.call_tool("cancel_generation", {"id": queued})
        await running.start_running(runs)
        late = await client.call_tool("cancel_generation", {"id": runs})
        ended = await client.call_tool("wait_generation", {"id": queued})

    assert state(canceled) == "CANCELED"
    assert [refund.reason for refund in running.ledger.refunds] == ["canceled"]
    assert (error(late)["reason"], error(late)["code"]) == ("NOT_CANCELABLE", "FAILED_PRECONDITION")
    assert error(late)["metadata"]["state"] == "IN_PROGRESS"
    assert ended.is_error
    assert "CANCELED" in text(ended)


async def test_a_failed_generation_is_an_error_that_explains_how_to_retry(start: Start, port: Connect) -> None:
    running = await start(credits=1)
    async with port(running) as client:
        for word, reason in (("[fail]", "GENERATION_FAILED"), ("[nsfw]", "MODERATED")):
            result = await client.call_tool("generate", soul(word), progress_callback=Progress(running.clock))
            again = await client.call_tool("generate", soul(word))
            assert error(result)["reason"] == error(again)["reason"] == reason
            assert "not charged" in text(result)
            assert "new idempotency_key" in text(result)
        assert len(running.ledger.charges) == len(running.ledger.refunds) == 2

        dear = {"input": {"model": {"model_id": SEEDANCE, "parameters": {"prompt": "fox"}}}}
        refused = await client.call_tool("generate", dear)
        again = await client.call_tool("generate", dear)
    assert error(refused)["reason"] == error(again)["reason"] == "INSUFFICIENT_CREDITS"
    assert "Nothing was charged" in text(refused)
    assert generation_id_of(refused) != generation_id_of(again)


def generation_id_of(result: CallToolResult) -> str:
    assert isinstance(result.structured_content, dict)
    return str(result.structured_content["generation"]["id"])


WRONG: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no input": ({}, ["input"]),
    "nothing to generate": ({"input": {}}, ["input"]),
    "two things": ({"input": {"soul": {"prompt": "x"}, "dop": {}}}, ["input"]),
    "unknown names": ({"input": {"soul": {"promt": "x"}}, "sead": 7}, ["input.soul.promt", "sead"]),
    "wrong types": (soul("x", seed="seven", batch_size=1.5), ["input.soul.batch_size", "input.soul.seed"]),
    "an unknown value": (soul("x", version="V9"), ["input.soul.version"]),
    "a time that no message can hold": (soul("x") | {"start_timeout_seconds": 1e300}, ["start_timeout_seconds"]),
    "a wrong element": ({"input": {"dop": {"image_urls": ["http://a.test/b.png", 7]}}}, ["input.dop.image_urls[1]"]),
    "a number that is too large": (soul("x", seed=2**40), ["input"]),
    "a number that no message can hold": (soul("x", style_strength=10**400), ["input"]),
    "the gateway's own check": (soul("x", seed=0, style_strength=2), ["input.soul.seed", "input.soul.style_strength"]),
    "an endless wait": (soul("x") | {"wait_seconds": 1e9}, ["wait_seconds"]),
    "too many values": ({"input": {"dop": {"prompt": "x", "image_urls": [1] * 5_000}}}, ["arguments"]),
    "an invalid key": (soul("x") | {"idempotency_key": "a key"}, ["idempotency_key"]),
}


async def test_bad_input_is_refused_with_its_fields_and_never_sent(start: Start, port: Connect) -> None:
    from mcp import MCPError

    running = await start()
    async with port(running) as client:
        for name, (arguments, fields) in WRONG.items():
            result = await client.call_tool("generate", arguments)
            failure = error(result)
            assert "Call generate again" not in text(result)
            assert (failure["reason"], failure["code"]) == ("INVALID_INPUT", "INVALID_ARGUMENT"), name
            named = [violation["field"] for violation in failure["field_violations"]]
            assert [field for field in fields if field not in named] == [], (name, named)
            assert all(violation["description"] for violation in failure["field_violations"])
        unknown = await client.call_tool("get_generation", {"id": "no-such-id"})
        with pytest.raises(MCPError, match="unknown tool"):
            await client.call_tool("delete_everything", {})
    assert error(unknown)["reason"] == "NOT_FOUND"
    assert running.ledger.submissions == []


async def test_estimates_are_free_and_lists_are_limited(start: Start, port: Connect) -> None:
    running = await start()
    async with port(running) as client:
        estimate = await client.call_tool("estimate_generation", soul("fox"))
        assert running.ledger.submissions == []
        for number in range(3):
            await client.call_tool("generate", soul(f"fox {number}") | {"wait_seconds": 0, "labels": {"of": "three"}})
        newest = await client.call_tool("list_generations", {"filter": {"labels": {"of": "three"}}, "limit": 2})
        last = content_of(newest)["generations"][-1]
        matching = {"labels": {"of": "three"}, "created_before": last["create_time"]}
        older = await client.call_tool("list_generations", {"filter": matching})
        for nothing in (
            {"ids": ["another"]},
            {"states": ["GENERATION_STATE_FAILED"]},
            {"model_ids": ["another/model"]},
            {"labels": {"of": "two"}},
            {"idempotency_key": "another"},
            {"upstream_request_ids": ["00000000-0000-4000-8000-000000000000"]},
            {"created_after": "2999-01-01T00:00:00Z"},
            {"created_before": "2001-01-01T00:00:00Z"},
        ):
            found = await client.call_tool("list_generations", {"filter": nothing})
            assert content_of(found) == {"generations": []}, nothing
            assert text(found) == "Nothing matches."
        wrong = await client.call_tool("list_generations", {"filter": {"created_after": "yesterday"}})

    assert re.search(r"cost [\d.]+ credits \([\d.]+ USD\)", text(estimate))
    assert float(content_of(estimate)["cost"]["credits"]) > 0
    assert "There may be more" in text(newest)
    assert [violation["field"] for violation in error(wrong)["field_violations"]] == ["filter"]
    shown = [*content_of(newest)["generations"], *content_of(older)["generations"]]
    assert len({generation["id"] for generation in shown}) == 3
    assert "input" not in shown[0]


async def test_a_price_that_is_not_fixed_is_no_amount(start: Start, port: Connect) -> None:
    running = await start()
    async with port(running) as client:
        for described, told in (
            ("0.2 USD per second", "0.2 USD per second"),
            ("", "The price depends on what is generated."),
        ):
            running.plan(on="estimate", body={"type": "description", "pricing_description": described})
            assert text(await client.call_tool("estimate_generation", soul("fox"))) == told


async def test_the_first_report_has_the_position_in_the_queue(start: Start, port: Connect) -> None:
    running = await start(UPSTREAM_CONCURRENCY=1)
    reports: list[str | None] = []

    async def report(_: float, __: float | None, message: str | None) -> None:
        reports.append(message)

    async with port(running) as client:
        first = generation_id_of(await client.call_tool("generate", soul("fox") | {"wait_seconds": 0}))
        await running.until(first, "QUEUED")
        await client.call_tool("generate", soul("owl") | {"wait_seconds": 0}, progress_callback=report)
    assert "number 1 in the gateway's queue" in (reports[0] or "")


async def test_a_list_of_several_pages_has_no_more_than_was_asked_for(
    start: Start, port: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await start()
    async with port(running) as client:
        made = [await client.call_tool("generate", soul(f"fox {number}") | {"wait_seconds": 0}) for number in range(5)]
        ids = [generation_id_of(result) for result in made]
        size = max([(await running.until(one, "QUEUED")).ByteSize() for one in ids])
        monkeypatch.setattr("gateway.rpc.messages.pages.MAX_PAGE_BYTES", size * 5 // 2)  # pages of two
        newest = await client.call_tool("list_generations", {"limit": 3})
    assert [generation["id"] for generation in content_of(newest)["generations"]] == ids[:-4:-1]


async def test_warnings_about_an_input_are_returned(
    start: Start, port: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await start()
    short = Model(Z_IMAGE, schema={"properties": {"prompt": {"maxLength": 1}}})
    monkeypatch.setitem(builtin.models(), Z_IMAGE, builtin.BuiltIn(short, Origin.BUILT_IN, "a page", "2026-10-02"))
    running.plan(on="models", kind="503", times=100)
    given = {"input": {"model": {"model_id": Z_IMAGE, "parameters": {"prompt": "a fox"}}}}
    async with port(running) as client:
        estimate = await client.call_tool("estimate_generation", given)
        submitted = await client.call_tool("generate", given | {"wait_seconds": 0})
    field, description = "input.model.parameters.prompt", "must have at most 1 characters"
    for result in (estimate, submitted):
        assert text(result).startswith(f"Warning: {field}: {description}\n")
        assert content_of(result)["warnings"] == [{"field": field, "description": description}]


async def test_models_motions_styles_and_characters_can_be_found_and_used(start: Start, port: Connect) -> None:
    running = await start()
    async with port(running) as client:
        models = await client.call_tool("list_models", {"query": "SEEDANCE", "output_kind": "MEDIA_KIND_VIDEO"})
        images = await client.call_tool("list_models", {"query": "SEEDANCE", "output_kind": "MEDIA_KIND_IMAGE"})
        model = await client.call_tool("get_model", {"id": SEEDANCE})
        unknown = await client.call_tool("get_model", {"id": "no/such-model"})
        motions = await client.call_tool("list_motions", {"query": "zoom", "limit": 2})
        styles = await client.call_tool("list_soul_styles", {"query": "noir"})
        newer = await client.call_tool("list_soul_styles", {"version": "SOUL_VERSION_V2", "limit": 3})
        older = await client.call_tool("list_soul_styles", {"limit": 3})
        presets = await client.call_tool("list_presets", {"model_id": "marketing-studio/image"})
        no_presets = await client.call_tool("list_presets", {"model_id": "marketing-studio/image", "query": "no such"})
        wrong = await client.call_tool("list_soul_styles", {"version": "SOUL_VERSION_CINEMA"})
        (style,) = content_of(styles)["soul_styles"]
        none = await client.call_tool("list_characters", {})
        training = CreateCharacterRequest(name="Mara", image_urls=["https://files.example/mara.jpg"] * 3)
        training.idempotency_key = "mara"
        made = await running.grpc.call("CreateCharacter", training)
        characters = await client.call_tool("list_characters", {})
        used = await client.call_tool("generate", soul("fox", style_id=style["id"]) | {"wait_seconds": 0})

    found = [one["id"] for one in content_of(models)["models"]]
    assert SEEDANCE in found
    assert all("seedance" in one for one in found)
    assert content_of(images)["models"] == content_of(no_presets)["presets"] == []
    assert "prompt" in content_of(model)["model"]["parameters_schema"]["properties"]
    assert "prompt" in text(model)
    assert error(unknown)["reason"] == "MODEL_UNKNOWN"
    assert [one["id"] in text(motions) for one in content_of(motions)["motions"] if "Zoom" in one["name"]] == [
        True,
        True,
    ]
    assert "There may be more" in text(motions)
    assert (style["name"], len(content_of(newer)["soul_styles"])) == ("Film Noir", 3)
    assert content_of(newer)["soul_styles"] != content_of(older)["soul_styles"]
    assert len(content_of(presets)["presets"]) == 50
    assert [violation["field"] for violation in error(wrong)["field_violations"]] == ["version"]
    assert state(used) == "PENDING"
    assert (content_of(none)["characters"], text(none)) == ([], "Nothing matches.")
    assert [one["id"] for one in content_of(characters)["characters"]] == [made.character.id]
    assert text(characters).startswith(f"Mara: {made.character.id} ")


async def test_characters_without_a_name_or_a_known_status_are_listed(start: Start, port: Connect) -> None:
    running = await start()
    paused = {"id": "0199aaaa-0000-4000-8000-000000000000", "status": "paused"}
    running.plan(on="characters", body={"items": [paused]})
    async with port(running) as client:
        characters = await client.call_tool("list_characters", {})
    assert [one["id"] for one in content_of(characters)["characters"]] == [paused["id"]]
    assert text(characters) == f": {paused['id']} UNSPECIFIED"


async def test_a_model_whose_schema_is_malformed_is_returned(start: Start, port: Connect) -> None:
    running = await start()
    item = {"slug": "acme/new", "input_schema": {"properties": 5}}
    running.plan(on="models", body={"items": [item]}, times=100)
    async with port(running) as client:
        model = await client.call_tool("get_model", {"id": "acme/new"})
    assert content_of(model)["model"]["parameters_schema"] == {"properties": 5.0}
    assert text(model) == "acme/new has parameters that the gateway does not know."


async def stored(url: str) -> bytes:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return await answer.read()


async def test_media_in_the_arguments_is_uploaded(start: Start, port: Connect) -> None:
    running = await start()
    media = bytes(range(256)) * 5000
    encoded = base64.b64encode(media).decode()
    async with port(running) as client:
        uploaded = await client.call_tool("upload_media", {"data": encoded, "content_type": "image/png"})
        refusals = [
            error(await client.call_tool("upload_media", arguments))
            for arguments in (
                {"data": "no base64!", "content_type": "image/png"},
                {"data": "größe", "content_type": "image/png"},
                {"data": base64.b64encode(bytes(3_000_001)).decode(), "content_type": "image/png"},
                {"data": encoded},
                {"path": "/etc/hostname"},
                {"data": "eA==", "content_type": ""},
                {"data": "eA==", "content_type": "PNG"},
                {"data": "eA==", "content_type": "text/plain"},
            )
        ]
    assert hashlib.sha256(await stored(content_of(uploaded)["url"])).digest() == hashlib.sha256(media).digest()
    assert [refusal["reason"] for refusal in refusals] == ["INVALID_INPUT"] * 7 + ["INPUT_REFUSED"]
    fields = [violation["field"] for refusal in refusals for violation in refusal["field_violations"]]
    assert fields == ["data"] * 3 + ["content_type", "path"] + ["content_type"] * 3
    assert "header" not in str(refusals)


async def test_files_are_read_only_below_the_named_folder(start: Start, tmp_path: Path) -> None:
    running = await start()
    folder, outside = tmp_path / "media", tmp_path / "secret.png"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "fox.PNG").write_bytes(b"a fox")
    (folder / "notes.txt").write_text("not media")
    (folder / "empty.png").touch()
    outside.write_bytes(b"a secret")
    (folder / "link.png").symlink_to(outside)
    (folder / "loop.png").symlink_to("loop.png")
    (named := tmp_path / "named").symlink_to(folder)
    async with over_stdio(running, options=("--files", str(named))) as client:
        (tool,) = [tool for tool in (await client.list_tools()).tools if tool.name == "upload_media"]
        below = await client.call_tool("upload_media", {"path": "deep/fox.PNG"})
        absolute = await client.call_tool("upload_media", {"path": str(folder / "deep" / "fox.PNG")})
        refusals = [
            error(await client.call_tool("upload_media", {"path": path}))["field_violations"][0]["description"]
            for path in (
                "../secret.png", str(outside), "link.png", "loop.png", "missing.png", "deep", "a\0b.png", "notes.txt",
            )
        ]  # fmt: skip
        empty = await client.call_tool("upload_media", {"path": "empty.png"})
        both = await client.call_tool("upload_media", {"path": "deep/fox.PNG", "data": "eA=="})
    assert str(folder) in str(tool.input_schema)
    assert [await stored(content_of(result)["url"]) for result in (below, absolute)] == [b"a fox", b"a fox"]
    assert set(refusals[:-1]) == {f"is not a file below {folder}"}
    assert refusals[-1].startswith("must end in .jpg")
    assert text(empty) == "INVALID_INPUT: path: must be 1 to 5000000000 bytes"
    assert [violation["field"] for violation in error(empty)["field_violations"]] == ["path"]
    assert error(both)["reason"] == "INVALID_INPUT"


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fox.png").write_bytes(b"a fox")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root can read files of any mode
    with pytest.raises(RefusedError) as refused:
        Files([tmp_path]).find("fox.png")
    assert refused.value.failure.message == "path: cannot be read"


async def test_tenants_see_only_their_own_generations(start: Start, connect: Connect) -> None:
    running = await start(AUTH="keys")
    mine, theirs = await running.key("mine"), await running.key("theirs")
    async with connect(running, mine) as client:
        generation_id = content_of(await client.call_tool("generate", soul("fox") | {"wait_seconds": 0}))["generation"][
            "id"
        ]
    async with connect(running, theirs) as client:
        for name, arguments in (
            ("get_generation", {"id": generation_id}),
            ("wait_generation", {"id": generation_id}),
            ("cancel_generation", {"id": generation_id}),
        ):
            assert error(await client.call_tool(name, arguments))["reason"] == "NOT_FOUND", name
        listed = await client.call_tool("list_generations", {})
        again = await client.call_tool("generate", soul("fox") | {"wait_seconds": 0})
    assert content_of(listed)["generations"] == []
    assert content_of(again)["generation"]["id"] != generation_id
    wrong = mine[:-4] + "0000"
    result = await refused_with(connect, running, wrong)
    assert result is None or error(result)["reason"] == "INVALID_CREDENTIALS"
    assert result is None or wrong not in str(result)


async def refused_with(connect: Connect, running: Any, secret: str) -> CallToolResult | None:
    """Return the result of a tool for a wrong key; None if the connection was refused."""
    from mcp import MCPError

    try:
        async with connect(running, secret) as client:
            return await client.call_tool("list_generations", {})
    except* MCPError as group:
        assert connect is not over_stdio
        assert secret not in str(group.exceptions)
    return None


def test_an_error_without_details_on_the_way_between_replicas_has_its_message_in_mcp() -> None:
    refused = _refused(RpcError(Code.RESOURCE_EXHAUSTED, "message too large", ()))
    assert (refused.code, str(refused)) == ("RESOURCE_EXHAUSTED", "message too large")
