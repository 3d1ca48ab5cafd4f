"""Lists of models, motions, styles and presets, with both clients."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from clients.python.tests.scripted_gateway import ScriptedGateway, refusal
from hfgateway.v1 import catalog_service_pb2 as pb
from hfgateway_client import AsyncClient, Client, Model, Motion, Preset, SoulStyle, errors

Case = tuple[str, Callable[[Any], Any], Any, Any, type]
"""An RPC, a call of its method, the expected request, a function that builds a page, and the type of the items."""

LISTS: list[Case] = [
    (
        "ListModels",
        lambda client: client.list_models("kling", output_kind="video", include_schema=True, page_size=2),
        pb.ListModelsRequest(query="kling", output_kind="MEDIA_KIND_VIDEO", include_schema=True, page_size=2),
        lambda ids, token: pb.ListModelsResponse(models=[Model(id=id) for id in ids], next_page_token=token),
        Model,
    ),
    (
        "ListMotions",
        lambda client: client.list_motions("zoom"),
        pb.ListMotionsRequest(query="zoom"),
        lambda ids, token: pb.ListMotionsResponse(motions=[Motion(id=id) for id in ids], next_page_token=token),
        Motion,
    ),
    (
        "ListSoulStyles",
        lambda client: client.list_soul_styles("noir", version="v2"),
        pb.ListSoulStylesRequest(query="noir", version="SOUL_VERSION_V2"),
        lambda ids, token: pb.ListSoulStylesResponse(
            soul_styles=[SoulStyle(id=id) for id in ids], next_page_token=token
        ),
        SoulStyle,
    ),
    (
        "ListPresets",
        lambda client: client.list_presets("a/b", "clay", page_size=7),
        pb.ListPresetsRequest(model_id="a/b", query="clay", page_size=7),
        lambda ids, token: pb.ListPresetsResponse(presets=[Preset(id=id) for id in ids], next_page_token=token),
        Preset,
    ),
]


@pytest.mark.parametrize("case", LISTS, ids=[one[0] for one in LISTS])
async def test_pages_are_fetched_on_demand(gateway: ScriptedGateway, client: AsyncClient, case: Case) -> None:
    rpc, call, request_, page, kind = case
    gateway.on(rpc, page(["1", "2"], "more"), page([], "still"), page(["3"], ""))

    items = call(client)
    assert (await anext(items)).id == "1"
    assert gateway.requests[rpc] == [request_]
    rest = [item async for item in items]

    assert [item.id for item in rest] == ["2", "3"]
    assert all(isinstance(item, kind) for item in rest)
    request_ = type(request_).FromString(request_.SerializeToString())
    expected = []
    for token in ("", "more", "still"):
        request_.page_token = token
        expected.append(type(request_).FromString(request_.SerializeToString()))
    assert gateway.requests[rpc] == expected


@pytest.mark.parametrize("case", LISTS, ids=[one[0] for one in LISTS])
async def test_the_synchronous_client_lists_all_pages(gateway: ScriptedGateway, case: Case) -> None:
    rpc, call, request_, page, _ = case
    gateway.on(rpc, page(["1"], "more"), page(["2"], ""))

    def list_all() -> list[Any]:
        with Client(gateway.address, timeout=60.0) as client:
            return list(call(client))

    assert [item.id for item in await asyncio.to_thread(list_all)] == ["1", "2"]
    assert gateway.requests[rpc][0] == request_


async def test_options_that_are_not_passed_are_left_out_of_the_request(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("ListModels", pb.ListModelsResponse())
    gateway.on("ListSoulStyles", pb.ListSoulStylesResponse())

    assert [item async for item in client.list_models()] == []
    assert [item async for item in client.list_soul_styles()] == []

    assert gateway.requests["ListModels"] == [pb.ListModelsRequest()]
    assert gateway.requests["ListSoulStyles"] == [pb.ListSoulStylesRequest()]


async def test_get_model_returns_the_model_or_raises_model_unknown(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    found = Model(id="a/b", tasks=["text-to-image"])
    found.parameters_schema.update({"required": ["prompt"]})
    gateway.on("GetModel", pb.GetModelResponse(model=found), refusal("NOT_FOUND", "MODEL_UNKNOWN"))

    assert await client.get_model("a/b") == found
    with pytest.raises(errors.ModelUnknown):
        await client.get_model("no/such")
    assert [request.id for request in gateway.requests["GetModel"]] == ["a/b", "no/such"]


async def test_a_watch_of_models_resumes_after_the_last_revision(gateway: ScriptedGateway, client: AsyncClient) -> None:
    def change(revision: int, name: str = "") -> pb.WatchModelsResponse:
        return pb.WatchModelsResponse(revision=revision, model=Model(id=name) if name else None)

    gateway.on(
        "WatchModels",
        [change(7)],  # a proxy has ended it
        [change(7), change(8, "a"), gateway.cut],
        [change(8), change(9, "b"), change(9), refusal("INVALID_ARGUMENT", "INVALID_INPUT")],
    )
    seen = []

    async def follow() -> None:
        async for one in client.watch_models():
            seen.append((one.revision, one.model.id))

    with pytest.raises(errors.InvalidInput):
        await follow()
    assert seen == [(8, "a"), (9, "b")]
    assert gateway.requests["WatchModels"] == [
        pb.WatchModelsRequest(),
        pb.WatchModelsRequest(after_revision=7),
        pb.WatchModelsRequest(after_revision=8),
    ]
