"""The models: validation in both dialects, prices, and the catalogue."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sandbox.catalog.models import MODELS
from gateway.sandbox.errors import ApiError
from gateway.sandbox.schema import Schema, violations

IMAGE = "https://example.invalid/a.png"
DOP = "higgsfield-ai/dop/turbo"


@pytest.mark.parametrize(
    ("schema", "allowed", "refused"),
    [
        ({"type": "integer", "minimum": 1}, 1, 0),
        ({"type": "integer", "maximum": 4}, 4, 5),
        ({"type": "integer"}, 1, True),
        ({"type": "string", "minLength": 1}, "a", ""),
        ({"type": "string", "maxLength": 2}, "ab", "abc"),
        ({"type": "array", "minItems": 1}, [1], []),
        ({"type": "array", "maxItems": 1}, [1], [1, 2]),
        ({"type": "string", "format": "uri"}, "https://example.com/a", "ftp://example.com/a"),
        ({"type": "string", "format": "uri"}, "http://example.com/a", "https:a"),
    ],
)
def test_a_limit_is_allowed_and_what_is_beyond_is_refused(schema: Schema, allowed: object, refused: object) -> None:
    assert list(violations(allowed, schema)) == []
    assert len(list(violations(refused, schema))) == 1


@pytest.mark.parametrize(
    ("model", "body", "kind", "where"),
    [
        ("higgsfield-ai/soul/standard", {}, "missing", ["body", "prompt"]),
        ("higgsfield-ai/soul/standard", {"prompt": 5}, "string_type", ["body", "prompt"]),
        ("higgsfield-ai/soul/standard", {"prompt": None}, "string_type", ["body", "prompt"]),
        ("higgsfield-ai/soul/standard", {"prompt": "x", "batch_size": 3}, "literal_error", ["body", "batch_size"]),
        ("higgsfield-ai/soul/standard", {"prompt": "x", "batch_size": True}, "int_type", ["body", "batch_size"]),
        ("higgsfield-ai/soul/standard", {"prompt": "x", "seed": 0}, "greater_than_equal", ["body", "seed"]),
        ("higgsfield-ai/soul/standard", {"prompt": "x", "style_id": "me"}, "uuid_parsing", ["body", "style_id"]),
        ("higgsfield-ai/soul/v2/standard", {"prompt": "x", "seed": None}, "int_type", ["body", "seed"]),
        ("higgsfield-ai/soul/cinema", {"prompt": "x", "seed": 1_000_001}, "less_than_equal", ["body", "seed"]),
        (DOP, {"prompt": "x"}, "missing", ["body", "image_url"]),
        (DOP, {"prompt": "x", "image_url": "file:///a"}, "uri_parsing", ["body", "image_url"]),
        (
            DOP,
            {"prompt": "x", "image_url": IMAGE, "motions": [{"strength": 1}]},
            "missing",
            ["body", "motions", 0, "id"],
        ),
        (
            DOP,
            {"prompt": "x", "image_url": IMAGE, "motions": ["Zoom In"]},
            "dict_type",
            ["body", "motions", 0],
        ),
        (DOP, {"prompt": "x", "motions": None, "seed": None}, "missing", ["body", "image_url"]),
        ("higgsfield-ai/soul/standard", [], "dict_type", ["body"]),
    ],
)
async def test_higgsfield_models_report_errors_like_pydantic(
    api: Any, model: str, body: Any, kind: str, where: list[str | int]
) -> None:
    for path in (f"/{model}", f"/estimate/{model}"):
        answer = await api.call("POST", path, json=body)
        assert answer.status == 422
        assert [(entry["type"], entry["loc"]) for entry in answer.detail] == [(kind, where)]
    assert (await api.ledger())["charge_count"] == 0


async def test_a_missing_prompt_is_reported_as_by_the_real_service(api: Any) -> None:
    answer = await api.call("POST", "/higgsfield-ai/soul/standard", json={})
    entry = {"type": "missing", "loc": ["body", "prompt"], "msg": "Field required", "input": {}}
    assert answer.json == {"detail": [entry]}


SEEDANCE = "bytedance/seedance-2.0/text-to-video"


@pytest.mark.parametrize(
    ("model", "body", "text"),
    [
        (SEEDANCE, {}, ": 'prompt' is a required property"),
        (SEEDANCE, {"prompt": ""}, "prompt: '' is too short"),
        (SEEDANCE, {"prompt": "x", "duration": "5"}, "duration: '5' is not of type 'integer'"),
        (SEEDANCE, {"prompt": "x", "duration": 3}, "duration: 3 is less than the minimum of 4"),
        (SEEDANCE, {"prompt": "x", "duration": 16}, "duration: 16 is greater than the maximum of 15"),
        (SEEDANCE, {"prompt": "x", "image_url": IMAGE}, "'image_url' was unexpected)"),
        ("bytedance/seedance-2.0/image-to-video", {"prompt": "x"}, ": 'image_url' is a required property"),
        ("bytedance/seedance-2.0/reference-to-video", {"prompt": "x"}, "is not valid under any of the given schemas"),
        ("kling-video/v2.5-turbo/pro/image-to-video", {"prompt": "x"}, ": 'image_url' is a required property"),
        (
            "kling-video/v2.5-turbo/pro/text-to-video",
            {"prompt": "x", "duration": 7},
            "duration: 7 is not one of [5, 10]",
        ),
        ("z-image/turbo", {"prompt": "x" * 801}, "is too long"),
        ("marketing-studio/image", {"prompt": "x", "image_urls": [5]}, "image_urls.0: 5 is not of type 'string'"),
        ("marketing-studio/image", {"prompt": "x", "seed": 1}, "'seed' was unexpected)"),
    ],
)
async def test_hosted_models_report_errors_like_jsonschema(api: Any, model: str, body: Any, text: str) -> None:
    for path in (f"/{model}", f"/estimate/{model}"):
        answer = await api.call("POST", path, json=body)
        assert answer.status == 400
        assert answer.detail.endswith(text)
    assert (await api.ledger())["charge_count"] == 0


@pytest.mark.parametrize("model", ["higgsfield-ai/soul/standard", "z-image/turbo"])
async def test_open_schemas_ignore_unknown_fields(api: Any, model: str) -> None:
    assert (await api.submit(model=model, nonsense=1)).status == 200


async def test_invalid_json_is_refused(api: Any) -> None:
    answer = await api.call("POST", "/z-image/turbo", data=b'{"prompt": ')
    assert (answer.status, answer.detail[0]["type"]) == (422, "json_invalid")


@pytest.mark.parametrize(
    ("model", "more", "credits", "usd"),
    [
        ("higgsfield-ai/soul/standard", {}, "0.050", "0.004"),
        ("higgsfield-ai/soul/standard", {"batch_size": 4}, "0.200", "0.013"),
        (SEEDANCE, {}, "4.500", "0.282"),
        (SEEDANCE, {"duration": 10}, "9.000", "0.563"),
    ],
)
async def test_an_estimate_equals_the_charge(
    api: Any, model: str, more: dict[str, Any], credits: str, usd: str
) -> None:
    estimate = await api.call("POST", f"/estimate/{model}", json={"prompt": "x", **more})
    assert estimate.json == {"type": "estimate", "credits": credits, "usd": usd}
    assert (await api.ledger())["balance"] == "100"

    await api.submitted(model=model, **more)
    assert (await api.ledger())["charges"][0]["credits"] == credits


async def test_a_metered_model_describes_its_price(api: Any) -> None:
    body = {"prompt": "x", "video_urls": ["https://example.invalid/a.mp4"]}
    estimate = await api.call("POST", "/estimate/bytedance/seedance-2.0/reference-to-video", json=body)
    assert estimate.json["type"] == "description"
    assert "credits per second" in estimate.json["pricing_description"]


async def test_a_token_priced_model_names_prices_in_words_only(api: Any) -> None:
    estimate = await api.call("POST", "/estimate/bytedance/seedance-2.5/text-to-video", json={"prompt": "x"})
    assert set(estimate.json) == {"type", "pricing_description"}
    assert "$0.4622 at 720p" in estimate.json["pricing_description"]


async def test_a_discount_is_already_taken_off_the_price(api: Any) -> None:
    model = "kling-video/v3.0/std/text-to-video"
    estimate = await api.call("POST", f"/estimate/{model}", json={"prompt": "x"})
    assert estimate.json == {
        "type": "estimate",
        "credits": "5.544",
        "usd": "0.347",
        "discount": {"percentage": "45.00", "credits": "4.536", "usd": "0.284"},
    }
    await api.submitted("x", model=model)
    assert (await api.ledger())["charges"][0]["credits"] == "5.544"


async def test_a_long_prompt_is_refused_by_a_video_edit(api: Any) -> None:
    body = {"prompt": "x" * 2501, "video_urls": [IMAGE]}
    refused = await api.call("POST", "/kling-video/o3/video-edit", json=body)
    assert (refused.status, refused.detail.endswith("is too long")) == (400, True)


async def test_estimates_work_without_credits(api: Any) -> None:
    await api.account(credits="0.049")

    refused = await api.submit()
    assert (refused.status, refused.json) == (403, {"detail": "not_enough_credits"})
    assert (await api.call("POST", "/estimate/higgsfield-ai/soul/standard", json={"prompt": "x"})).status == 200

    await api.account(credits="0.05")
    assert (await api.submit()).status == 200
    assert (await api.ledger())["balance"] == "0.000"


async def test_the_catalogue_omits_some_callable_models(api: Any) -> None:
    items = (await api.call("GET", "/models")).json["items"]
    slugs = {item["slug"] for item in items}
    assert "bytedance/seedance-2.0/text-to-video" in slugs
    assert "higgsfield-ai/soul/cinema" not in slugs
    assert all("input_schema" not in item for item in items)

    found = (await api.call("GET", "/models?search=z-image&include_schema=true&limit=500")).json["items"]
    assert [item["slug"] for item in found] == ["z-image/turbo"]
    assert found[0]["output_type"] == "image"
    assert found[0]["operation_type"] == ["text-to-image"]
    assert found[0]["input_schema"]["required"] == ["prompt"]
    assert len((await api.call("GET", "/models?limit=2")).json["items"]) == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(data=st.data(), model=st.sampled_from(list(MODELS.values())))
def test_any_json_has_a_price_or_an_error_in_the_models_dialect(data: st.DataObject, model: Any) -> None:
    names = st.sampled_from(sorted(model.input_schema["properties"]))
    parameters = data.draw(JSON | st.dictionaries(names, JSON, max_size=4).map(lambda some: {"prompt": "x"} | some))
    with contextlib.suppress(ApiError):
        model.check(parameters)
        assert model.cost(parameters) > 0
        return
    with pytest.raises(ApiError) as refused:
        model.check(parameters)
    expected = (422, list) if model.dialect == "pydantic" else (400, str)
    assert (refused.value.status, type(refused.value.body["detail"])) == expected
