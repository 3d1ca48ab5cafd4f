"""Lists of choices: motions, styles of both generations of Soul, presets."""

from __future__ import annotations

import io
from typing import Any
from uuid import UUID

import av
import pytest
from PIL import Image

from gateway.sandbox.catalog.models import MODELS

RESTYLE = "higgsfield/genjutsu/restyle/v1.0"
STUDIO = "marketing-studio/image"
STYLE = {"id", "name", "description", "preview_url"}


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/motions", STYLE | {"start_end_frame"}),
        ("/v1/text2image/soul-styles", STYLE),
        ("/v1/text2image/soul-styles/v2", STYLE),
    ],
)
async def test_v1_lists_are_bare_arrays_of_objects(api: Any, path: str, fields: set[str]) -> None:
    answer = await api.call("GET", path)

    assert answer.status == 200
    assert [set(one) for one in answer.json] == [fields] * len(answer.json)
    assert len({str(UUID(one["id"])) for one in answer.json}) == len(answer.json) > 1


async def test_the_default_style_of_a_model_is_listed(api: Any) -> None:
    for model, path in (("soul/standard", ""), ("soul/v2/standard", "/v2")):
        styles = {one["id"] for one in (await api.call("GET", f"/v1/text2image/soul-styles{path}")).json}
        assert MODELS[f"higgsfield-ai/{model}"].input_schema["properties"]["style_id"]["default"] in styles


async def test_presets_belong_to_a_model(api: Any) -> None:
    answer = (await api.call("GET", f"/models/{RESTYLE}/presets")).json
    assert answer["model"] == RESTYLE
    assert {"id", "name", "preview_url"} == set(answer["items"][0])

    for model in ("z-image/turbo", STUDIO, "no/such-model"):
        assert (await api.call("GET", f"/models/{model}/presets")).status == 404


async def test_studio_presets_can_be_searched_and_limited(api: Any) -> None:
    everything = (await api.call("GET", f"/{STUDIO}/presets")).json["items"]
    assert (await api.call("GET", f"/{STUDIO}/presets?size=2")).json["items"] == everything[:2]
    found = (await api.call("GET", f"/{STUDIO}/presets?search=NEON")).json["items"]
    assert [one["name"] for one in found] == ["Neon Shelf"]
    assert set(found[0]) == {"id", "type", "name", "cover_image"}


async def test_studio_presets_have_a_numeric_cursor(api: Any) -> None:
    first = (await api.call("GET", f"/{STUDIO}/presets?size=50")).json
    second = (await api.call("GET", f"/{STUDIO}/presets?size=50&cursor={first['cursor']}")).json
    assert (first["total"], len(first["items"]), len(second["items"])) == (60, 50, 10)
    assert (type(first["cursor"]), second["cursor"]) == (int, None)


@pytest.mark.parametrize(
    "path", ["/v1/motions", "/v1/text2image/soul-styles", "/v1/text2image/soul-styles/v2", f"/models/{RESTYLE}/presets"]
)
async def test_previews_are_small_files(api: Any, path: str) -> None:
    listed = (await api.call("GET", path)).json
    (first, *_) = listed if isinstance(listed, list) else listed["items"]
    file = await api.call("GET", first["preview_url"], headers={"Authorization": ""})
    assert (file.status, len(file.content) < 100_000) == (200, True)
    if path == "/v1/motions":
        assert file.headers["Content-Type"] == "video/webm"
        with av.open(io.BytesIO(file.content)) as container:
            assert len(list(container.decode(video=0))) > 10
    else:
        assert file.headers["Content-Type"] == "image/png"
        assert Image.open(io.BytesIO(file.content)).size == (192, 108)
    assert (await api.call("GET", f"{first['preview_url']}x")).status == 404


async def test_lists_require_credentials_and_are_counted(api: Any) -> None:
    assert (await api.call("GET", "/v1/motions", headers={"Authorization": "Key wrong:pair"})).status == 401
    await api.call("GET", "/v1/motions")
    await api.call("GET", "/models")
    assert (await api.ledger())["list_calls"] == {"motions": 2, "models": 1}


async def test_a_list_can_be_unavailable_or_return_garbage(api: Any) -> None:
    await api.plan(on="models", kind="503", times=2)
    await api.plan(on="motions", body="what?")

    assert [(await api.call("GET", "/models")).status for _ in range(3)] == [503, 503, 200]
    assert (await api.call("GET", "/v1/motions")).text == "what?"
