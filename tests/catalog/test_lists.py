"""The catalog RPCs: merged, paged and searched, from a cache with its age, over every transport."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any, NoReturn

import pytest

from gateway.catalog import builtin
from gateway.catalog.model import Lifecycle, Model, Motion
from gateway.generations.inputs import MAX_URL_LENGTH
from gateway.higgsfield.catalogs import (
    MAX_PAGES,
    MAX_SCHEMA_BYTES,
    MAX_SCHEMA_DEPTH,
    HiggsfieldCatalogs,
    read_catalog,
)
from gateway.higgsfield.credentials import Credentials
from gateway.sandbox.catalog.models import MODELS
from gateway.sandbox.catalog.presets import MOTIONS, PRESETS, SOUL_STYLES_1, SOUL_STYLES_2
from gateway.store import rows
from hfgateway.v1 import catalog_service_pb2 as pb
from hfgateway.v1 import generation_pb2
from tests.support.commits import commits
from tests.support.running import WAIT_TIMEOUT, Running, eventually
from tests.support.running import model as using
from tests.support.transports import TRANSPORTS, RpcFailure

Z_IMAGE = "z-image/turbo"
RESTYLE = "higgsfield/genjutsu/restyle/v1.0"
STUDIO = "marketing-studio/image"
REQUESTS: dict[str, Any] = {
    "ListModels": pb.ListModelsRequest(),
    "ListMotions": pb.ListMotionsRequest(),
    "ListSoulStyles": pb.ListSoulStylesRequest(),
    "ListPresets": pb.ListPresetsRequest(model_id=RESTYLE),
}
OPERATIONS = {"ListModels": "models", "ListMotions": "motions", "ListSoulStyles": "styles", "ListPresets": "presets"}


async def refusal(running: Running, method: str, request: Any, transport: str = "grpc") -> RpcFailure:
    with pytest.raises(RpcFailure) as refused:
        await running.transports[transport].call(method, request)
    return refused.value


async def every_page(running: Running, method: str, field: str, request: Any) -> list[list[Any]]:
    pages = []
    while True:
        answer = await running.grpc.call(method, request)
        pages.append(list(getattr(answer, field)))
        if not answer.next_page_token:
            return pages
        request.page_token = answer.next_page_token


# -- Contents ----------------------------------------------------------------------------------------------------------


async def test_models_of_higgsfield_and_built_in_models_are_merged(running: Running) -> None:
    running.plan(
        on="models", body={"items": [{"slug": "new/model", "output_type": "audio", "operation_type": ["sing"]}]}
    )

    for client in running.transports.values():
        answer = await client.call("ListModels", pb.ListModelsRequest(page_size=1000, include_gone=True))

        ids = [model.id for model in answer.models]
        assert ids == sorted({"new/model", *builtin.models()})
        (new,) = (model for model in answer.models if model.id == "new/model")
        assert (new.output_kind, list(new.tasks)) == (generation_pb2.MEDIA_KIND_AUDIO, ["sing"])
        assert not any(model.HasField("parameters_schema") for model in answer.models)


async def test_fields_from_higgsfield_override_built_in_ones(running: Running) -> None:
    schema = {"type": "object", "properties": {"only": {"type": "integer"}}}
    rows = [{"slug": Z_IMAGE, "output_type": "3d", "input_schema": schema}, {"slug": STUDIO, "operation_type": "paint"}]
    running.plan(on="models", body={"items": rows})

    first = (await running.grpc.call("GetModel", pb.GetModelRequest(id=Z_IMAGE))).model
    second = (await running.grpc.call("GetModel", pb.GetModelRequest(id=STUDIO))).model

    assert first.output_kind == generation_pb2.MEDIA_KIND_FILE
    assert list(first.tasks) == ["text-to-image"]  # from the built-in list
    assert first.parameters_schema["properties"]["only"]["type"] == "integer"
    assert (second.output_kind, list(second.tasks)) == (generation_pb2.MEDIA_KIND_IMAGE, ["paint"])
    assert second.parameters_schema["properties"]["preset_id"]["format"] == "uuid"


async def test_built_in_models_have_no_fetch_time(running: Running) -> None:
    fetched = await running.grpc.call("GetModel", pb.GetModelRequest(id=Z_IMAGE))
    built_in = await running.grpc.call("GetModel", pb.GetModelRequest(id="higgsfield-ai/soul/cinema"))
    mixed = await running.grpc.call("ListModels", pb.ListModelsRequest())
    only_built_in = await running.grpc.call("ListModels", pb.ListModelsRequest(query="soul/cinema"))

    assert not MODELS["higgsfield-ai/soul/cinema"].listed
    assert fetched.fetch_time.seconds > 1_700_000_000
    assert mixed.fetch_time == fetched.fetch_time
    assert not built_in.HasField("fetch_time")
    assert not only_built_in.HasField("fetch_time")


async def test_an_unknown_model_is_not_found(running: Running) -> None:
    for method, request in (
        ("GetModel", pb.GetModelRequest(id="no/such")),
        ("ListPresets", pb.ListPresetsRequest(model_id="no/such")),
    ):
        refused = await refusal(running, method, request)
        assert (refused.code, refused.reason) == ("NOT_FOUND", "MODEL_UNKNOWN")
        assert refused.failure.metadata["model_id"] == "no/such"


async def test_motions_and_styles_are_sorted_by_name(running: Running) -> None:
    def by_name(rows: list[dict[str, Any]]) -> list[str]:
        return [row["id"] for row in sorted(rows, key=lambda row: (row["name"].casefold(), row["id"]))]

    for client in running.transports.values():
        motions = await client.call("ListMotions", pb.ListMotionsRequest())
        first = await client.call("ListSoulStyles", pb.ListSoulStylesRequest())
        second = await client.call("ListSoulStyles", pb.ListSoulStylesRequest(version="SOUL_VERSION_V2"))

        assert [one.id for one in motions.motions] == by_name(MOTIONS)
        assert [one.id for one in first.soul_styles] == by_name(SOUL_STYLES_1)
        assert [one.id for one in second.soul_styles] == by_name(SOUL_STYLES_2)
        assert {one.name for one in motions.motions if one.start_end_frame} == {"Morph", "Transition"}
        assert all(one.description and one.preview_url for one in motions.motions)
        assert motions.HasField("fetch_time")


async def test_presets_are_read_from_the_endpoint_of_each_model(running: Running) -> None:
    for model, names_of, operation in (
        (RESTYLE, RESTYLE, "presets"),
        (STUDIO, STUDIO, "studio_presets"),
        (f"{STUDIO}/flare", STUDIO, "studio_presets"),
    ):
        answer = await running.grpc.call("ListPresets", pb.ListPresetsRequest(model_id=model))
        assert [one.name for one in answer.presets] == sorted(row["name"] for row in PRESETS[names_of])
        assert answer.HasField("fetch_time")
        assert running.ledger.list_calls[operation]


@pytest.mark.parametrize("cursor", [50, "50", "a b&c"])
async def test_presets_are_read_page_by_page(running: Running, cursor: int | str) -> None:
    first = [
        {"id": f"p-{n:02}", "name": f"P {n:02}", "cover_image": {"url": f"https://c.example/{n}"}} for n in range(50)
    ]
    last = [{"id": "p-last", "name": "Q"}]
    running.plan(on="studio_presets", body={"items": first, "cursor": cursor, "total": 51})
    running.plan(on="studio_presets", body={"items": last, "cursor": None, "total": 51})

    answer = await running.grpc.call("ListPresets", pb.ListPresetsRequest(model_id=STUDIO))

    assert [one.id for one in answer.presets] == [one["id"] for one in first + last]
    assert answer.presets[7].preview_url == "https://c.example/7"


@pytest.mark.parametrize("cursor", [7, True, [1], "x" * 501])
async def test_a_cursor_that_repeats_or_is_unusable_ends_a_list(running: Running, cursor: object) -> None:
    page = {"items": [{"id": "p", "name": "P"}], "cursor": cursor}
    running.plan(on="studio_presets", body=page, times=9)

    answer = await running.grpc.call("ListPresets", pb.ListPresetsRequest(model_id=STUDIO))

    assert [one.id for one in answer.presets] == ["p"]
    assert running.ledger.list_calls["studio_presets"] == (2 if cursor == 7 else 1)


async def test_a_list_with_too_many_pages_is_read_in_part(running: Running) -> None:
    for number in range(MAX_PAGES + 3):
        page = {"items": [{"id": f"p-{number}", "name": "P"}], "cursor": number}
        running.plan(on="studio_presets", body=page)

    answer = await running.grpc.call("ListPresets", pb.ListPresetsRequest(model_id=STUDIO, page_size=100))

    assert len(answer.presets) == running.ledger.list_calls["studio_presets"] == MAX_PAGES


async def test_a_model_without_presets_causes_no_upstream_call(running: Running) -> None:
    answer = await running.grpc.call("ListPresets", pb.ListPresetsRequest(model_id=Z_IMAGE))

    assert not answer.presets
    assert not answer.HasField("fetch_time")
    assert running.ledger.list_calls == {"models": 1}


def test_values_of_any_size_are_bounded() -> None:
    deep: dict[str, Any] = {}
    for _ in range(MAX_SCHEMA_DEPTH):
        deep = {"items": deep}
    tasks = ["Bearer canary", *["x" * 300] * 50]
    rows: list[Any] = [
        {"slug": "a/../b"},
        {"slug": "a/" + "b" * 199},
        {"slug": "a/deep", "input_schema": deep, "operation_type": tasks},
        {"slug": "a/large", "input_schema": {"description": "x" * MAX_SCHEMA_BYTES}},
        {"slug": "a/good", "input_schema": deep["items"]},
    ]
    reading = read_catalog("models", [json.dumps(rows).encode()], ())
    models = [one for one in reading.items if isinstance(one, Model)]
    assert [(one.id, one.schema is None) for one in models] == [("a/deep", True), ("a/large", True), ("a/good", False)]
    assert reading.skipped == 2
    assert models[0].tasks == ("[removed]", *["x" * 100] * 19)
    motion = {"id": "m", "name": "hush-hush", "preview_url": "https://a.example/" + "x" * MAX_URL_LENGTH}
    reading = read_catalog("motions", [json.dumps([motion]).encode()], ("hush-hush",))
    assert reading.items == (Motion("m", "[removed]"),)


async def test_malformed_items_are_skipped_and_counted(running: Running) -> None:
    good = {"id": "m-1", "name": "One", "preview_url": "javascript:alert(1)", "new_field": [1]}
    rows = [good, {"name": "no id"}, "what?", {"id": 5}, {"id": "with space"}, dict(good, name="again")]
    running.plan(on="motions", body=rows)

    answer = await running.grpc.call("ListMotions", pb.ListMotionsRequest())

    assert [(one.id, one.name, one.preview_url) for one in answer.motions] == [("m-1", "One", "")]
    assert await running.metric("hfgateway_catalog_skipped") == 4


# -- Pages -------------------------------------------------------------------------------------------------------------


PAGES: list[tuple[str, str, Any, list[int]]] = [
    ("ListModels", "models", pb.ListModelsRequest(page_size=50), [50, 50, 22]),
    ("ListModels", "models", pb.ListModelsRequest(), [100, 22]),
    ("ListMotions", "motions", pb.ListMotionsRequest(page_size=5), [5, 5, 2]),
    ("ListMotions", "motions", pb.ListMotionsRequest(page_size=6), [6, 6]),
    ("ListSoulStyles", "soul_styles", pb.ListSoulStylesRequest(page_size=20, version="SOUL_VERSION_V2"), [20, 13]),
    ("ListPresets", "presets", pb.ListPresetsRequest(page_size=1, model_id=RESTYLE), [1, 1, 1, 1]),
    ("ListModels", "models", pb.ListModelsRequest(page_size=5000, query="KLING-video/V2.1"), [4]),
    ("ListMotions", "motions", pb.ListMotionsRequest(query="zOOm"), [3]),
    ("ListMotions", "motions", pb.ListMotionsRequest(query="nothing like it"), [0]),
]


async def test_pages_contain_every_match_once(running: Running) -> None:
    for method, field, request, sizes in PAGES:
        pages = await every_page(running, method, field, type(request).FromString(request.SerializeToString()))

        assert [len(page) for page in pages] == sizes, request
        ids = [one.id for page in pages for one in page]
        assert len(set(ids)) == len(ids)
        assert all(request.query.lower() in getattr(one, "name", one.id).lower() for page in pages for one in page)


async def test_pages_continue_after_names_in_any_script(running: Running) -> None:
    rows = [
        {"id": f"id-{number}", "name": name} for number, name in enumerate(("Änderung", "日本", "Straße", "STRASSE"))
    ]
    running.plan(on="motions", body=rows)

    pages = await every_page(running, "ListMotions", "motions", pb.ListMotionsRequest(page_size=1))

    assert [one.name for page in pages for one in page] == ["Straße", "STRASSE", "Änderung", "日本"]


async def test_models_are_filtered_by_output_kind(running: Running) -> None:
    images = await running.grpc.call("ListModels", pb.ListModelsRequest(page_size=1000, output_kind="MEDIA_KIND_IMAGE"))
    kinds = {model.output_kind for model in images.models}

    assert kinds == {generation_pb2.MEDIA_KIND_IMAGE}
    assert 15 < len(images.models) < 50


async def test_a_model_ends_on_time_though_the_gateway_has_shown_it_before(
    running: Running, clock_offset: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "higgsfield-ai/dop/turbo/first-last-frame"  # not in the sandbox's list
    ending = replace(builtin.models()[name], ends=time.time() + 1000)
    monkeypatch.setitem(builtin.models(), name, ending)
    lifecycles = []

    for seconds in (0, 1001):  # no list is fetched in this time
        clock_offset.seconds += seconds
        lifecycles.append((await running.grpc.call("GetModel", pb.GetModelRequest(id=name))).model.lifecycle)

    assert lifecycles == [pb.MODEL_LIFECYCLE_DEPRECATED, pb.MODEL_LIFECYCLE_GONE]


async def test_a_page_with_schemas_holds_at_most_two_mib(running: Running) -> None:
    large = {"type": "object", "description": "x" * 200_000}
    rows = [{"slug": f"large/model-{number:02}", "input_schema": large} for number in range(25)]
    running.plan(on="models", body={"items": rows})
    request = pb.ListModelsRequest(query="large/", include_schema=True, page_size=1000)

    first = await running.grpc.call("ListModels", request)
    pages = await every_page(running, "ListModels", "models", request)

    assert 1_800_000 < first.ByteSize() < 2 * 1024 * 1024 + 1000
    assert [len(page) for page in pages] == [10, 10, 5]
    assert {model.parameters_schema["description"] for page in pages for model in page} == {"x" * 200_000}


async def test_a_page_token_is_valid_only_with_the_fields_of_its_request_except_the_size(running: Running) -> None:
    token = (await running.grpc.call("ListModels", pb.ListModelsRequest(page_size=1))).next_page_token
    motion_token = (await running.grpc.call("ListMotions", pb.ListMotionsRequest(page_size=1))).next_page_token

    for size in (1, 2):
        page = await running.grpc.call("ListModels", pb.ListModelsRequest(page_size=size, page_token=token))
        assert len(page.models) == size
    for other in (
        pb.ListModelsRequest(page_size=1, page_token=token, query="a"),
        pb.ListModelsRequest(page_size=1, page_token=token, output_kind="MEDIA_KIND_VIDEO"),
        pb.ListModelsRequest(page_size=1, page_token=token, include_schema=True),
        pb.ListModelsRequest(page_size=1, page_token=motion_token),
        pb.ListModelsRequest(page_size=1, page_token="no token"),
        pb.ListSoulStylesRequest(page_size=1, page_token=motion_token),
    ):
        for transport in TRANSPORTS:
            method = type(other).__name__.removesuffix("Request")
            refused = await refusal(running, method, other, transport)
            assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["page_token"])


async def test_an_invalid_request_is_refused_by_field(running: Running) -> None:
    wrong: list[tuple[str, Any, str]] = [
        ("ListModels", pb.ListModelsRequest(page_size=-1), "page_size"),
        ("ListModels", b"\x20\x63", "output_kind"),
        ("ListMotions", pb.ListMotionsRequest(page_size=-1), "page_size"),
        ("ListSoulStyles", pb.ListSoulStylesRequest(version="SOUL_VERSION_CINEMA"), "version"),
        ("ListSoulStyles", b"\x20\x63", "version"),
        ("ListPresets", pb.ListPresetsRequest(), "model_id"),
        ("GetModel", pb.GetModelRequest(), "id"),
    ]
    for method, request, field in wrong:
        refused = await refusal(running, method, request)
        assert (refused.code, refused.reason, refused.fields) == ("INVALID_ARGUMENT", "INVALID_INPUT", [field])


# -- The cache ---------------------------------------------------------------------------------------------------------


async def test_a_hundred_concurrent_calls_cause_one_upstream_call(running: Running) -> None:
    for method, request in REQUESTS.items():
        with running.held(on=OPERATIONS[method]):
            calls = [asyncio.create_task(running.grpc.call(method, request)) for _ in range(100)]
            await running.calls_open(method, 100, "CatalogService")
        answers = await asyncio.gather(*calls)

        assert len({answer.SerializeToString(deterministic=True) for answer in answers}) == 1
        assert running.ledger.list_calls[OPERATIONS[method]] == 1


async def test_lists_are_unavailable_before_the_first_response(running: Running) -> None:
    for method in ("ListMotions", "ListSoulStyles", "ListPresets"):
        running.plan(on=OPERATIONS[method], kind="503", times=3)

        refused = await refusal(running, method, REQUESTS[method])
        again = await refusal(running, method, REQUESTS[method])

        for failure in (refused, again):
            assert (failure.code, failure.reason) == ("UNAVAILABLE", "UPSTREAM_UNAVAILABLE")
            assert 1 <= failure.failure.retry_delay.seconds <= 10
        assert running.ledger.list_calls[OPERATIONS[method]] == 1  # the second call only got a retry delay


async def test_built_in_models_are_listed_before_the_first_response(running: Running) -> None:
    running.plan(on="models", kind="503", times=3)

    answer = await running.grpc.call("ListModels", pb.ListModelsRequest(page_size=1000))

    present = [one.model.id for one in builtin.models().values() if one.lifecycle(time.time()) is not Lifecycle.GONE]
    assert [model.id for model in answer.models] == sorted(present)
    assert not answer.HasField("fetch_time")


async def test_an_unreadable_list_is_unavailable(running: Running) -> None:
    garbage: list[tuple[str, Any, Any]] = [
        ("motions", pb.ListMotionsRequest(), "what?"),
        ("styles", pb.ListSoulStylesRequest(), {"items": "none"}),
        ("styles_2", pb.ListSoulStylesRequest(version="SOUL_VERSION_V2"), {"detail": "ok"}),
        ("presets", pb.ListPresetsRequest(model_id=RESTYLE), [{"name": "no id"}]),
        ("studio_presets", pb.ListPresetsRequest(model_id=STUDIO), "[" * 100_000),
    ]
    for operation, request, body in garbage:
        running.plan(on=operation, body=body)
        refused = await refusal(running, type(request).__name__.removesuffix("Request"), request)
        assert refused.reason == "UPSTREAM_UNAVAILABLE"
        assert "could not be read" in refused.message


async def test_a_slow_list_is_cached_though_the_call_timed_out(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Reserve nearly all of the deadline for sending the response, so that a slow machine meets it.
    monkeypatch.setattr("gateway.rpc.call.MARGIN", 59.9)
    running.plan(on="motions", delay=1.0)

    with pytest.raises(RpcFailure) as early:
        await running.grpc.call("ListMotions", pb.ListMotionsRequest(), timeout=60.0)
    assert early.value.reason == "UPSTREAM_UNAVAILABLE"
    assert early.value.failure.retry_delay.seconds == 1
    assert not running.gateway._core.catalogs._cached["motions"].has_waiters
    assert (await running.grpc.call("ListMotions", pb.ListMotionsRequest())).motions
    assert running.ledger.list_calls == {"motions": 1}


async def test_a_list_older_than_an_hour_is_served_and_refreshed(running: Running, clock_offset: Any) -> None:
    first = await running.grpc.call("ListMotions", pb.ListMotionsRequest())
    clock_offset.seconds += 3000
    await running.grpc.call("ListMotions", pb.ListMotionsRequest())
    assert running.ledger.list_calls == {"motions": 1}

    clock_offset.seconds += 1000
    with running.held(on="motions", body=[{"id": "newer", "name": "Newer"}]):
        assert await running.grpc.call("ListMotions", pb.ListMotionsRequest()) == first
    cached = running.gateway._core.catalogs._cached["motions"]
    await eventually(lambda: cached._refreshing is None)

    newer = await running.grpc.call("ListMotions", pb.ListMotionsRequest())
    assert [one.name for one in newer.motions] == ["Newer"]
    assert newer.fetch_time.seconds >= first.fetch_time.seconds + 4000
    assert running.ledger.list_calls == {"motions": 2}


async def test_during_an_outage_the_cache_is_served_with_growing_retry_gaps(
    running: Running, clock_offset: Any
) -> None:
    first = await running.grpc.call("ListMotions", pb.ListMotionsRequest())
    running.plan(on="motions", kind="503", times=10)
    cached = running.gateway._core.catalogs._cached["motions"]
    clock_offset.seconds += 4000

    pauses = []
    for _ in range(10):
        assert await running.grpc.call("ListMotions", pb.ListMotionsRequest()) == first
        await eventually(lambda: cached._refreshing is None)
        pauses.append(cached._refresh_at - cached._clock.moment().steady)
        clock_offset.seconds += pauses[-1] + 0.1

    assert running.ledger.list_calls["motions"] == 11
    assert 3 < pauses[0] < 7
    assert 400 < pauses[-1] <= 750
    assert await running.metric("hfgateway_catalog_failures_total") == 10

    await running.grpc.call("ListMotions", pb.ListMotionsRequest())
    await eventually(lambda: cached._refreshing is None)
    running.plan(on="motions", kind="503")
    clock_offset.seconds += 4000
    await running.grpc.call("ListMotions", pb.ListMotionsRequest())
    await eventually(lambda: cached._refreshing is None)
    assert 3 < cached._refresh_at - cached._clock.moment().steady < 7


async def test_a_longer_retry_after_is_obeyed(running: Running) -> None:
    running.plan(on="motions", kind="429", headers={"Retry-After": "120"})

    refused = await refusal(running, "ListMotions", pb.ListMotionsRequest())

    assert 60 < refused.failure.retry_delay.seconds <= 120


async def test_a_list_that_cannot_be_stored_is_served(running: Running) -> None:
    with commits("catalog") as writes:
        writes.fail_from(1)
        assert (await running.grpc.call("ListMotions", pb.ListMotionsRequest())).motions
    assert writes.count == 1


async def test_a_bug_in_the_reading_of_a_list_delays_the_next_attempt(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    threads: list[threading.Thread] = []

    def broken(*_: object) -> NoReturn:
        threads.append(threading.current_thread())
        raise ZeroDivisionError

    monkeypatch.setattr("gateway.higgsfield.catalogs.read_catalog", broken)
    for _ in range(3):
        refused = await refusal(running, "ListMotions", pb.ListMotionsRequest())
        assert refused.reason == "UPSTREAM_UNAVAILABLE"
    assert running.ledger.list_calls == {"motions": 1}
    assert "a catalog could not be read" in caplog.text
    assert threads != [threading.main_thread()]


async def test_catalogs_survive_a_restart_during_an_outage(running: Running) -> None:
    before = {method: await running.grpc.call(method, request) for method, request in REQUESTS.items()}
    calls = running.ledger.list_calls.copy()
    await running.stop_gateway()
    await running.sandbox.stop()
    await running.start_gateway()

    for method, request in REQUESTS.items():
        assert await running.grpc.call(method, request) == before[method]
    assert running.ledger.list_calls == calls  # the lists are younger than an hour


async def test_a_gateway_stops_while_a_list_is_being_fetched(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    reading = asyncio.Event()

    async def hang(*_: object) -> None:
        reading.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(HiggsfieldCatalogs, "read", hang)
    await running.submit(using(Z_IMAGE, {"prompt": "a fox"}, "key"))
    await asyncio.wait_for(reading.wait(), WAIT_TIMEOUT)
    reads = running.gateway._core.catalogs._cached["models"]._refreshing
    assert reads is not None
    await asyncio.wait_for(running.stop_gateway(), WAIT_TIMEOUT)
    assert reads.cancelled()
    await running.start_gateway()


async def test_lists_are_fetched_only_on_demand(running: Running) -> None:
    await running.grpc.call("ListMotions", pb.ListMotionsRequest())
    await running.stop_gateway()
    await running.start_gateway()
    await running.metrics()

    assert running.ledger.list_calls == {"motions": 1}


async def test_catalogs_of_another_account_are_not_served(running: Running) -> None:
    await running.grpc.call("ListMotions", pb.ListMotionsRequest())
    await running.stop_gateway()
    running.credentials = Credentials("other", "secret")
    await running.start_gateway()

    refused = await refusal(running, "ListMotions", pb.ListMotionsRequest())

    assert refused.reason == "UPSTREAM_UNAVAILABLE"
    assert "credentials" in refused.message
    assert "secret" not in str(refused.failure)


async def test_an_unreadable_stored_catalog_is_fetched_again(running: Running) -> None:
    await running.grpc.call("ListMotions", pb.ListMotionsRequest())
    await running.stop_gateway()
    with closing(sqlite3.connect(running.store_path)) as store, store:
        store.execute("UPDATE catalogs SET items = '[{\"colour\": 1}]'")
    await running.start_gateway()

    assert (await running.grpc.call("ListMotions", pb.ListMotionsRequest())).motions
    assert running.ledger.list_calls == {"motions": 2}


async def test_stored_catalogs_are_packed_and_unpacked_once_in_a_thread(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    for name in ("pack_items", "unpack_items"):
        monkeypatch.setattr(rows, name, _noting(threads, getattr(rows, name)))
    await running.grpc.call("ListMotions", pb.ListMotionsRequest())
    await running.stop_gateway()
    await running.start_gateway()
    await asyncio.gather(*(running.grpc.call("ListMotions", pb.ListMotionsRequest()) for _ in range(20)))

    assert len(threads) == 2
    assert threading.main_thread() not in threads


def _noting(threads: list[threading.Thread], function: Callable[..., Any]) -> Callable[..., Any]:
    def noted(*arguments: Any) -> Any:
        threads.append(threading.current_thread())
        return function(*arguments)

    return noted
