"""Commands that list models, motions, styles and presets."""

import json

from clients.python.tests.scripted_gateway import ScriptedGateway, refusal
from gateway.catalog import builtin
from hfgateway.v1 import catalog_service_pb2 as pb
from tests.cli.conftest import Command

SEEDANCE = pb.Model(
    id="a/seedance",
    output_kind="MEDIA_KIND_VIDEO",
    tasks=["text-to-video", "image-to-video"],
    provenance={"origin": "MODEL_ORIGIN_COMMUNITY", "source": "notes of users", "source_date": "2026-11-21"},
    lifecycle="MODEL_LIFECYCLE_DEPRECATED",
    note="ends soon",
)


async def test_models_prints_tab_separated_columns(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("ListModels", pb.ListModelsResponse(models=[SEEDANCE, pb.Model(id="a/unknown")]))

    ended = await hfgateway("models", "seed", "--output", "video")

    assert ended.code == 0
    assert [line.split("\t") for line in ended.out.splitlines()] == [
        ["a/seedance", "video", "text-to-video image-to-video", "community, deprecated"],
        ["a/unknown", "", "", ""],
    ]
    assert gateway.requests["ListModels"] == [pb.ListModelsRequest(query="seed", output_kind="MEDIA_KIND_VIDEO")]


async def test_models_show_prints_the_parameters(gateway: ScriptedGateway, hfgateway: Command) -> None:
    model = pb.Model()
    model.CopyFrom(SEEDANCE)
    model.parameters_schema.update(
        {
            "description": "50 references in all",
            "properties": {
                "duration": {"type": "integer", "minimum": 4, "maximum": 15, "default": 5},
                "image_urls": {"type": "array", "items": {"type": "string", "format": "uri"}, "maxItems": 9},
                "prompt": {"type": "string", "minLength": 1, "description": "what to see"},
                "fps": {"type": "integer", "enum": [24, 25]},
                "seed": {"type": ["integer", "null"]},
            },
            "required": ["prompt"],
        }
    )
    gateway.on("GetModel", pb.GetModelResponse(model=model), pb.GetModelResponse(model=model))

    ended = await hfgateway("models", "--show", "a/seedance")

    assert ended.code == 0
    head, _, table = ended.out.partition("\n\n")
    assert [line.split(maxsplit=1) for line in head.splitlines()] == [
        ["id", "a/seedance"],
        ["output", "video"],
        ["tasks", "text-to-video image-to-video"],
        ["source", "community, deprecated"],
        ["known", "by  notes of users 2026-11-21"],
        ["note", "ends soon"],
        ["note", "50 references in all"],
    ]
    assert [line.split("\t") for line in table.splitlines()] == [
        ["prompt", "required", "string 1..", "", "what to see"],
        ["duration", "", "integer 4..15", "5", ""],
        ["fps", "", "24 25", "", ""],
        ["image_urls", "", "array of uri ..9", "", ""],
        ["seed", "", "integer or null", "", ""],
    ]
    as_json = await hfgateway("models", "--show", "a/seedance", "--json")
    assert json.loads(as_json.out)["parametersSchema"]["required"] == ["prompt"]


async def test_models_show_takes_any_schema_of_higgsfield(gateway: ScriptedGateway, hfgateway: Command) -> None:
    odd = {"properties": {"a": True, "b": {"enum": 5, "type": [1, "null"]}, "c": {"items": 1}}, "required": 3}
    schemas = (odd, {"properties": 5}, {"properties": {"prompt": {}}, "required": [7, "prompt"], "description": []})
    for schema in schemas:
        model = pb.Model(id="a/b")
        model.parameters_schema.update(schema)
        gateway.on("GetModel", pb.GetModelResponse(model=model))

    odd_one, no_list, mixed = [await hfgateway("models", "--show", "a/b") for _ in schemas]

    assert [one.code for one in (odd_one, no_list, mixed)] == [0, 0, 0]
    table = [line.split("\t") for line in odd_one.out.partition("\n\n")[2].splitlines()]
    assert table == [["a", "", "", "", ""], ["b", "", "1 or null", "", ""], ["c", "", "", "", ""]]
    assert no_list.out.splitlines() == ["id        a/b", "its parameters are not known"]
    assert "prompt\trequired" in mixed.out


async def test_models_show_handles_a_model_without_a_schema(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("GetModel", pb.GetModelResponse(model=pb.Model(id="a/b")), refusal("NOT_FOUND", "MODEL_UNKNOWN", "no"))

    known = await hfgateway("models", "--show", "a/b")
    unknown = await hfgateway("models", "--show", "no/such")

    assert known.out.splitlines() == ["id        a/b", "its parameters are not known"]
    assert (unknown.code, unknown.out) == (3, "")
    assert "Traceback" not in unknown.err


async def test_show_and_a_search_are_mutually_exclusive(gateway: ScriptedGateway, hfgateway: Command) -> None:
    ended = await hfgateway("models", "kling", "--show", "a/b")
    assert ended.code == 2
    assert gateway.requests == {}


async def test_motions_styles_and_presets_are_listed(gateway: ScriptedGateway, hfgateway: Command) -> None:
    motions = [pb.Motion(id="m1", name="Zoom In", description="closer"), pb.Motion(id="m2", start_end_frame=True)]
    gateway.on("ListMotions", pb.ListMotionsResponse(motions=motions))
    style = pb.SoulStyle(id="s1", name="Noir")
    gateway.on("ListSoulStyles", pb.ListSoulStylesResponse(soul_styles=[style, pb.SoulStyle(id="s2")]))
    gateway.on("ListPresets", pb.ListPresetsResponse(presets=[pb.Preset(id="p1", name="Clay")]))

    assert (await hfgateway("motions")).out == "m1\tZoom In\tfirst\tcloser\nm2\t\tfirst and last\t\n"
    shown = await hfgateway("styles", "noir", "--soul", "2", "--limit", "1", "--json")
    assert [json.loads(line) for line in shown.out.splitlines()] == [{"id": "s1", "name": "Noir"}]
    assert (await hfgateway("presets", "a/b", "clay")).out == "p1\tClay\n"

    assert gateway.requests["ListSoulStyles"] == [pb.ListSoulStylesRequest(query="noir", version="SOUL_VERSION_V2")]
    assert gateway.requests["ListPresets"] == [pb.ListPresetsRequest(model_id="a/b", query="clay")]


def _listed(name: str, **properties: object) -> pb.Model:
    """Return a built-in model as Higgsfield lists it, with changes of its parameters."""
    known = builtin.models()[name].model
    listed = pb.Model(id=name, output_kind=known.kind.value, tasks=known.tasks, provenance=LIVE)
    assert known.schema is not None
    listed.parameters_schema.update(known.schema | {"properties": known.schema["properties"] | properties})
    return listed


LIVE = pb.ModelProvenance(origin="MODEL_ORIGIN_LIVE")
TURBO, SEEDANCE_2 = "z-image/turbo", "bytedance/seedance-2.0/text-to-video"


async def test_check_compares_the_built_in_list_with_the_live_one(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gone = pb.Model(id="b/gone", provenance=LIVE, lifecycle="MODEL_LIFECYCLE_GONE")
    built_in = pb.Model(id="sora-2/text-to-video", provenance={"origin": "MODEL_ORIGIN_BUILT_IN"})
    changed = _listed(SEEDANCE_2, duration={"type": "integer", "minimum": 4, "maximum": 30, "default": 5})
    new = pb.Model(id="a/new", provenance=LIVE)
    gateway.on("ListModels", pb.ListModelsResponse(models=[_listed(TURBO), changed, new, gone, built_in]))

    ended = await hfgateway("models", "--check")

    rows = {name: rest for name, *rest in (line.split("\t") for line in ended.out.splitlines())}
    assert ended.code == 1
    assert TURBO not in rows
    assert "b/gone" not in rows
    assert rows["a/new"] == ["new", ""]
    assert rows[SEEDANCE_2] == ["changed", "duration: integer 4..15, default 5 is now integer 4..30, default 5"]
    assert rows["sora-2/text-to-video"] == ["not listed", "Higgsfield announced its end for 2026-09-24."]
    assert gateway.requests["ListModels"] == [pb.ListModelsRequest(include_schema=True)]


async def test_check_shows_at_most_as_many_differences_as_asked_for(
    gateway: ScriptedGateway, hfgateway: Command
) -> None:
    gateway.on("ListModels", pb.ListModelsResponse(models=[pb.Model(id="a/new", provenance=LIVE)]))
    ended = await hfgateway("models", "--check", "--limit", "1")
    assert (ended.code, ended.out) == (1, "a/new\tnew\t\n")


async def test_check_finds_no_difference_between_equal_lists(gateway: ScriptedGateway, hfgateway: Command) -> None:
    models = []
    for name, known in builtin.models().items():
        one = pb.Model(id=name, output_kind=known.model.kind.value, tasks=known.model.tasks, provenance=LIVE)
        if known.model.schema is not None:
            one.parameters_schema.update(known.model.schema)
        models.append(one)
    gateway.on("ListModels", pb.ListModelsResponse(models=models))
    ended = await hfgateway("models", "--check", "--json")
    assert (ended.code, ended.out) == (0, "")


async def test_check_without_a_live_list_is_an_error(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("ListModels", pb.ListModelsResponse(models=[SEEDANCE]))
    ended = await hfgateway("models", "--check")
    assert (ended.code, ended.out) == (4, "")
    assert "has not been fetched" in ended.err


async def test_watch_prints_changes(gateway: ScriptedGateway, hfgateway: Command) -> None:
    changed = pb.WatchModelsResponse(
        revision=8,
        model=SEEDANCE,
        change="MODEL_CHANGE_CHANGED",
        details=["a: no longer a parameter", "b: now required"],
    )
    gateway.on("WatchModels", [pb.WatchModelsResponse(revision=7), changed, gateway.hang])
    ended = await hfgateway("models", "--watch", "--after", "7", "--limit", "1")
    assert (ended.code, ended.out) == (0, "8\tchanged\ta/seedance\ta: no longer a parameter; b: now required\n")
    assert gateway.requests["WatchModels"] == [pb.WatchModelsRequest(after_revision=7)]


async def test_modes_are_mutually_exclusive(gateway: ScriptedGateway, hfgateway: Command) -> None:
    for arguments in (["--check", "--watch"], ["--check", "kling"], ["--after", "1"], ["--watch", "--gone"]):
        assert (await hfgateway("models", *arguments)).code == 2
    assert gateway.requests == {}
