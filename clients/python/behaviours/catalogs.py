"""Catalogs: models, motions, styles and presets."""

from __future__ import annotations

from google.protobuf.json_format import MessageToDict

from behaviours.stage import TIMEOUT, Stage, behaviour, raises
from hfgateway_client import errors


@behaviour
async def list_models(stage: Stage) -> None:
    ids = [model.id async for model in stage.client.list_models(page_size=7)]
    assert len(ids) > 14, ids
    assert len(set(ids)) == len(ids), ids
    found = [model.id async for model in stage.client.list_models("SeeDance")]
    assert found == [model_id for model_id in ids if "seedance" in model_id], found
    assert 0 < len(found) < len(ids)


@behaviour
async def watch_models(stage: Stage) -> None:
    with raises(errors.InvalidInput, "INVALID_INPUT"):
        _ = [change async for change in stage.client.watch_models(after_revision=-1, timeout=TIMEOUT)]


@behaviour
async def get_model(stage: Stage) -> None:
    model = await stage.client.get_model("z-image/turbo")
    assert model.id == "z-image/turbo"
    assert "prompt" in MessageToDict(model.parameters_schema)["required"]
    with raises(errors.ModelUnknown, "MODEL_UNKNOWN"):
        await stage.client.get_model("no/such-model")


@behaviour
async def list_motions(stage: Stage) -> None:
    motions = [motion async for motion in stage.client.list_motions()]
    assert motions
    assert all(motion.id and motion.name and motion.preview_url.startswith("http") for motion in motions)
    part = motions[0].name.split()[0].upper()
    found = [motion.id async for motion in stage.client.list_motions(part)]
    assert found == [motion.id for motion in motions if part in motion.name.upper()], found


@behaviour
async def list_soul_styles(stage: Stage) -> None:
    first = {style.id async for style in stage.client.list_soul_styles()}
    second = {style.id async for style in stage.client.list_soul_styles(version="v2")}
    assert first
    assert second
    assert not first & second


@behaviour
async def list_presets(stage: Stage) -> None:
    presets = [preset async for preset in stage.client.list_presets("marketing-studio/image")]
    assert presets
    assert all(preset.id and preset.name for preset in presets)
    with raises(errors.ModelUnknown, "MODEL_UNKNOWN"):
        _ = [preset async for preset in stage.client.list_presets("no/such-model")]
