"""Untrusted JSON Schemas on untrusted inputs: bounded, never stricter than written, with errors by field."""

from __future__ import annotations

import json
import math
import re
import time
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gateway.catalog import builtin
from gateway.catalog.merged import Entry
from gateway.catalog.model import Lifecycle, Model, Origin
from gateway.catalog.sanitize import MAX_NODES, TooLargeError, sanitized
from gateway.catalog.validate import MAX_STEPS, MAX_VIOLATIONS, PARAMETERS, SchemaValidator


def fields(schema: Any, parameters: dict[str, Any]) -> dict[str, str]:
    found = SchemaValidator(schema).violations(parameters)
    return {one.field.removeprefix(PARAMETERS): one.description for one in found}


def properties(**schemas: Any) -> dict[str, Any]:
    return {"type": "object", "properties": schemas}


# -- The built-in list -------------------------------------------------------------------------------------------------


def test_the_built_in_list_is_well_formed() -> None:
    content = json.loads((resources.files("gateway.catalog") / "models.json").read_text())
    rows = content["models"]

    ids = [row["id"] for row in rows]
    assert ids == sorted(set(ids))
    counts = {name: sum(row["source"] == name for row in rows) for name in content["sources"]}
    assert counts == {"model page": 82, "openapi": 42, "python sdk": 1, "javascript sdk": 1, "community note": 3}
    for row in rows:
        parameters = row.get("parameters", {"properties": {}})
        Draft202012Validator.check_schema(parameters)
        assert set(parameters.get("required", ())) <= parameters["properties"].keys()
        assert row["tasks"]


def test_every_built_in_model_has_a_dated_source() -> None:
    for one in builtin.models().values():
        assert one.source
        assert re.fullmatch(r"2026-[01]\d(-[0-3]\d)?", one.source_date)


def test_known_ends_and_community_notes_are_marked() -> None:
    last_day, after = datetime(2026, 9, 23, tzinfo=UTC).timestamp(), datetime(2026, 9, 24, tzinfo=UTC).timestamp()
    for one in builtin.models().values():
        ends = one.model.id.startswith("sora-2/")
        gone = one.model.id in ("nano-banana", *(f"bytedance/seedance/v1/lite/{i}-to-video" for i in ("image", "text")))
        expected = Lifecycle.DEPRECATED if ends else Lifecycle.GONE if gone else Lifecycle.ACTIVE
        assert one.lifecycle(last_day) is expected, one.model.id
        assert one.lifecycle(after) is (Lifecycle.GONE if ends or gone else Lifecycle.ACTIVE)
        assert bool(one.note) >= (ends or gone)
    community = {one.model.id for one in builtin.models().values() if one.origin is Origin.COMMUNITY}
    assert community == {f"higgsfield-ai/dop/{variant}/first-last-frame" for variant in ("lite", "standard", "turbo")}
    assert {"bytedance/seedream/v4/text-to-image", "nano-banana-pro"} <= builtin.models().keys()


def test_announced_ends_do_not_depend_on_the_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        ends = {one.ends for one in builtin.models.__wrapped__().values() if one.ends is not None}
    finally:
        monkeypatch.undo()
        time.tzset()
    assert ends == {datetime(2026, 9, 24, tzinfo=UTC).timestamp()}


def test_the_defaults_of_a_built_in_model_satisfy_its_schema() -> None:
    for model in (one.model for one in builtin.models().values()):
        for name, one in (model.schema or {"properties": {}})["properties"].items():
            if "default" in one:
                assert fields({"properties": {name: one}}, {name: one["default"]}) == {}, model.id


def test_a_built_in_schema_finds_violations() -> None:
    schema = builtin.models()["bytedance/seedance-2.5/reference-to-video"].model.schema
    assert fields(schema, {"duration": 31, "image_urls": [], "negative_prompt": ""}) == {
        ".image_urls": "must not be empty",
        ".duration": "must be at most 30",
        ".negative_prompt": "is not a parameter of this model",
    }
    assert fields(schema, {"prompt": "x"}) == {"": "needs image_urls or video_urls or audio_urls"}
    assert fields(schema, {"audio_urls": ["https://a.test/1.wav"]}) == {}


# -- Never stricter than written ---------------------------------------------------------------------------------------


def test_patterns_are_not_evaluated() -> None:
    hours = properties(prompt={"type": "string", "pattern": "^(a+)+$", "maxLength": 100}) | {
        "patternProperties": {"^(a+)+$": {"type": "integer"}},
        "additionalProperties": False,
    }
    assert fields(hours, {"prompt": "a" * 60 + "!", "a" * 60: "no number"}) == {}
    assert fields(hours, {"prompt": "a" * 101}) == {".prompt": "must have at most 100 characters"}


@pytest.mark.parametrize(
    "schema",
    [
        {"not": {"pattern": "x"}},
        {"not": {"format": "uuid"}},
        {"oneOf": [{"pattern": "^a"}, {"pattern": "^b"}]},
        {"if": {"pattern": "^a"}, "then": {"maxLength": 1}, "else": {"maxLength": 1}},
        {"$ref": "#/$defs/Nowhere"},
        {"$ref": "#/definitions/MotionSchema"},
        {"$ref": "https://elsewhere.invalid/schema.json"},
        {"$ref": "other.json#/a"},
        {"$ref": "#//properties/prompt/$defs/null", "$defs": {"null": {"type": "null"}}},
        {"$dynamicRef": "#meta"},
        {"$ref": "#/properties/prompt"},
        {"type": "text"},
        {"type": []},
        {"type": ["integer", "integer"]},
        {"type": ["integer", "text"]},
        {"type": [["integer"]]},
        {"multipleOf": 0},
        {"multipleOf": True},
        {"required": [5]},
        {"dependentRequired": ["a"]},
        {"additionalProperties": 5},
        {"oneOf": []},
        {"oneOf": 5},
        {"$ref": 5},
        {"$ref": ["#"]},
        {"enum": ["a fox", "a"], "$ref": "#/properties/prompt/enum/a"},
        {"required": ["a", "a"]},
        {"dependentRequired": {"a": ["b", "b"]}},
        {"enum": "abc"},
        {"minimum": "3", "minLength": -1, "maxLength": 2.5, "maxItems": True},
        {"exclusiveMinimum": True, "minimum": 5},
        {"anyOf": []},
        {"anyOf": "what"},
        {"properties": 5, "required": "prompt", "items": [{"type": "null"}]},
        {"format": "uri"},
        {"x-vendor": {"type": "null"}, "title": "a", "examples": [1]},
        {"properties": {"b": {"default": 1}}, "not": {"required": ["b"]}},
        "no schema at all",
        None,
    ],
)
def test_unsupported_or_invalid_keywords_refuse_nothing(schema: Any) -> None:
    assert fields(properties(prompt=schema), {"prompt": "a fox"}) == {}


@pytest.mark.parametrize(
    "negated",
    [
        {"type": "text"},
        {"properties": 5},
        "no schema at all",
        {"properties": {"prompt": {"pattern": "z"}}},
        {"additionalProperties": {"pattern": "z"}},
        {"propertyNames": {"pattern": "z"}},
        {"allOf": [{"properties": {"prompt": {"pattern": "z"}}}]},
        {"if": {"required": ["prompt"]}, "then": {"properties": {"prompt": {"pattern": "z"}}}},
        {"if": {"required": ["prompt"]}, "then": {"properties": {"prompt": {"pattern": "z"}}}, "else": {}},
        {"$ref": "#/$defs/pattern"},
        {"$ref": "#/$defs/nowhere"},
        {"$ref": "https://elsewhere.invalid/schema.json"},
    ],
)
def test_a_negation_of_what_cannot_be_evaluated_refuses_nothing(negated: Any) -> None:
    pattern = {"properties": {"prompt": {"pattern": "z"}}}
    assert fields({"not": negated, "$defs": {"pattern": pattern}}, {"prompt": "a fox"}) == {}


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"not": {"type": "string"}}, 5, "x"),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, 5, 5.5),
        ({"if": {"type": "string"}, "then": {"maxLength": 2}}, "xx", "xxx"),
        ({"if": {"type": "string"}, "then": {}, "else": {"minimum": 3}}, 3, 2),
        ({"allOf": [{"minimum": 3}, {"maximum": 4}]}, 4, 5),
        ({"prefixItems": [{"type": "string"}], "items": {"type": "integer"}}, ["x", 1], ["x", "y"]),
        ({"contains": {"const": 1}}, [2, 1], [2]),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1, "b": 2}, {"a": 1}),
        ({"propertyNames": {"maxLength": 1}}, {"a": 1}, {"aa": 1}),
        ({"exclusiveMinimum": 0}, 1, 0),
        ({"multipleOf": 5}, 10, 11),
        ({"type": ["integer", "null"]}, None, "x"),
        ({"type": "string", "nullable": True}, None, 5),
        ({"enum": [1, "2", None]}, None, 2),
        ({"anyOf": [{"$ref": "#/$defs/Small"}, {"type": "null"}]}, 3, 11),
        ({"$ref": "#/$defs/Small", "description": "with more beside it", "minimum": 2}, 2, 1),
        ({"$ref": "#/$defs/Small", "allOf": [{"minimum": 2}]}, 2, 1),
        ({"$ref": "#/$defs/Via~1slash"}, 3, 11),
        ({"$ref": "#/$defs/~01"}, 3, 11),
        (False, ..., 1),
    ],
)
def test_supported_keywords_are_enforced(schema: Any, good: Any, bad: Any) -> None:
    small = {"type": "integer", "maximum": 10}
    whole = properties(a=schema) | {
        "$defs": {"Small": small, "Via/slash": {"$ref": "#/$defs/Small"}, "~1": small, "/": False}
    }
    assert fields(whole, {} if good is ... else {"a": good}) == {}
    assert list(fields(whole, {"a": bad})) != []


def test_a_recursive_reference_terminates() -> None:
    tree = {"type": "object", "properties": {"next": {"$ref": "#"}, "n": {"type": "integer"}}}
    assert fields(tree, {"n": 1, "next": {"n": 2, "next": {"n": "x", "next": {"n": "x"}}}}) == {}
    assert fields(tree, {"n": 1, "next": {"n": "x"}}) == {".next.n": "must be an integer"}
    person = {"properties": {"name": {"type": "string"}, "pet": {"$ref": "#/$defs/pet"}}}
    pet = {"properties": {"name": {"type": "string"}, "owner": {"$ref": "#/$defs/person"}}}
    schema = {"$ref": "#/$defs/person", "$defs": {"person": person, "pet": pet}}
    assert fields(schema, {"pet": {"name": 5, "owner": {"name": 5}}}) == {".pet.name": "must be a string"}


def test_multiple_of_tolerates_rounding_errors() -> None:
    schema = properties(cfg_scale={"type": "number", "multipleOf": 0.01})
    assert [one / 100 for one in range(101) if fields(schema, {"cfg_scale": one / 100})] == []


@pytest.mark.parametrize(
    "place",
    [
        lambda default: default,
        lambda default: {"allOf": [default]},
        lambda default: {"$ref": "#/$defs/base", "$defs": {"base": default}},
        lambda default: {"allOf": [{"$ref": "#/$defs/base"}], "$defs": {"base": {"allOf": [default]}}},
    ],
    ids=["beside the rule", "in another branch", "behind a reference", "in a branch behind a reference"],
)
def test_a_property_with_a_default_is_not_required(place: Any) -> None:
    default = properties(duration={"type": "integer", "default": 6}, prompt={"type": "string"})
    assert fields({**place(default), "required": ["duration", "prompt"]}, {}) == {".prompt": "is required"}


@pytest.mark.parametrize(
    "rule",
    [
        {"then": {"required": ["duration"]}, "if": {"properties": {"prompt": {"const": "x"}}}},
        {"allOf": [{"required": ["duration"]}]},
        {"anyOf": [{"required": ["duration"]}, {"required": ["other"]}]},
        {"oneOf": [{"required": ["duration"]}, {"required": ["other"]}]},
        {"dependentRequired": {"prompt": ["duration"]}},
        {"dependentSchemas": {"prompt": {"required": ["duration"]}}},
        {"$ref": "#/definitions/rule", "definitions": {"rule": {"required": ["duration"]}}},
    ],
    ids=lambda rule: next(iter(rule)),
)
def test_a_rule_between_properties_does_not_require_one_with_a_default(rule: dict[str, Any]) -> None:
    schema = properties(duration={"type": "integer", "default": 6}, prompt={"type": "string"})
    assert fields({**schema, **rule}, {"prompt": "x"}) == {}
    without = properties(duration={"type": "integer"}, prompt={"type": "string"})
    assert fields({**without, **rule}, {"prompt": "x"}) != {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 20) | st.sampled_from(["", "a", "720p", "x" * 30, "16:9"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
TYPES = st.sampled_from(["string", "integer", "number", "boolean", "array", "object", "null"])
LEAVES = st.fixed_dictionaries(
    {},
    optional={
        "type": TYPES | st.lists(TYPES, min_size=1, max_size=2, unique=True),
        "enum": st.lists(JSON, min_size=1, max_size=3),
        "minimum": st.integers(0, 5),
        "maximum": st.integers(5, 20),
        "minLength": st.integers(0, 3),
        "maxItems": st.integers(0, 3),
        "pattern": st.sampled_from(["^a", "p$"]),
        "uniqueItems": st.just(True),
    },
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
            "additionalProperties": inner | st.booleans(),
            "patternProperties": st.dictionaries(st.just("^a"), inner, max_size=1),
            "items": inner,
            "contains": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=3),
            "oneOf": st.lists(inner, min_size=1, max_size=3),
            "not": inner,
            "if": inner,
            "then": inner,
            "else": inner,
        },
    ),
    max_leaves=8,
)


@given(schema=SCHEMAS, parameters=st.dictionaries(st.sampled_from("abc"), JSON, max_size=3))
def test_parameters_valid_by_the_whole_schema_are_never_refused(schema: Any, parameters: dict[str, Any]) -> None:
    found = SchemaValidator(schema).violations(parameters)
    if Draft202012Validator(schema).is_valid(parameters):
        assert found == ()


@given(schema=SCHEMAS, parameters=st.dictionaries(st.sampled_from("abc"), JSON, max_size=3))
def test_the_sanitized_schema_agrees_with_another_validator(schema: Any, parameters: dict[str, Any]) -> None:
    found = SchemaValidator(schema).violations(parameters)
    assert (found == ()) is Draft202012Validator(sanitized(schema)).is_valid(parameters)


# -- Descriptions ------------------------------------------------------------------------------------------------------

NUMBERS = [f"{number:03}" for number in range(37)]


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"minimum": 2}, 1, "must be at least 2"),
        ({"maximum": 2}, 3, "must be at most 2"),
        ({"exclusiveMinimum": 2}, 2, "must be more than 2"),
        ({"exclusiveMaximum": 2}, 2, "must be less than 2"),
        ({"multipleOf": 5}, 2, "must be a multiple of 5"),
        ({"minLength": 2}, "a", "must have at least 2 characters"),
        ({"maxLength": 2}, "abc", "must have at most 2 characters"),
        ({"minLength": 1}, "", "must not be empty"),
        ({"minItems": 2}, [1], "must have at least 2 items"),
        ({"maxItems": 2}, [1, 2, 3], "must have at most 2 items"),
        ({"minProperties": 2}, {"b": 1}, "must have at least 2 fields"),
        ({"maxProperties": 0}, {"b": 1}, "must have at most 0 fields"),
        ({"const": True}, False, "must be true"),
        ({"type": ["integer", "null"]}, "x", "must be null or an integer"),
        ({"enum": ["x", 1, None]}, 2, "must be one of x, 1, null"),
        ({"enum": NUMBERS}, 2, f"must be one of {', '.join(NUMBERS[:36])}, …"),
        ({"not": {}}, 2, "does not match the schema of this model"),
        ({"oneOf": [{"minimum": 1}, {"maximum": 5}]}, 3, "matches more than one of several exclusive alternatives"),
        ({"oneOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}, 0, "must be at least 1"),
        ({"anyOf": [{"minimum": 5}, {"maximum": -5}]}, 0, "matches none of the forms that this model accepts"),
        ({"anyOf": [{"required": ["x"]}, {"required": ["x", "y"]}]}, {}, "needs x or y"),
        ({"anyOf": [{"required": ["x"]}, {"type": "string"}]}, {}, {".x": "is required"}),
        (
            {"anyOf": [{"properties": {"b": {"required": [name]}}} for name in "cd"]},
            {"b": {}},
            "matches none of the forms that this model accepts",
        ),
        (
            {"anyOf": [{"required": ["x"], "properties": {"n": {"type": "integer"}}}, {"type": "null"}]},
            {"n": "x"},
            {".n": "must be an integer", ".x": "is required"},
        ),
    ],
)
def test_a_violation_is_described(schema: Any, value: Any, expected: str | dict[str, str]) -> None:
    below = {"": expected} if isinstance(expected, str) else expected
    assert fields(properties(a=schema), {"a": value}) == {f".a{name}": text for name, text in below.items()}


# -- Bounded -----------------------------------------------------------------------------------------------------------


def test_a_schema_over_the_size_limit_is_not_used() -> None:
    wide = properties(**{f"p{number}": {"type": "null"} for number in range(MAX_NODES)})
    sanitized(properties(**dict(list(wide["properties"].items())[1:])))  # the schema itself counts, too
    doubling = {"$defs": {"d0": {"type": "null"}}} | properties(a={"$ref": "#/$defs/d30"})
    for number in range(30):
        doubling["$defs"][f"d{number + 1}"] = {"allOf": [{"$ref": f"#/$defs/d{number}"}] * 2}
    for schema in (wide, doubling):
        with pytest.raises(TooLargeError):
            sanitized(schema)
        assert Entry(Model("a/b", schema=schema)).violations({"p1": 1, "a": 1}) == ()


def test_a_schema_over_the_depth_limit_is_not_used() -> None:
    deep: dict[str, Any] = {"type": "null"}
    for _ in range(1500):
        deep = {"items": deep}
    assert Entry(Model("a/b", schema=deep)).violations({}) == ()


def test_a_schema_that_the_validator_refuses_is_not_used() -> None:
    assert Entry(Model("a/b", schema={"minimum": math.nan})).violations({}) == ()


def test_an_input_over_the_step_limit_is_left_to_higgsfield() -> None:
    validator = SchemaValidator(properties(numbers={"type": "array", "items": {"type": "string"}}))
    found = validator.violations({"numbers": [1] * (MAX_STEPS // 10)})
    assert [one.field for one in found] == sorted(f"{PARAMETERS}.numbers[{n}]" for n in range(MAX_VIOLATIONS))
    assert validator.violations({"numbers": [1] * MAX_STEPS}) == ()


def test_violation_texts_are_short_and_printable() -> None:
    schema = properties(a={"enum": [f"option-{number}" for number in range(500)]}) | {"additionalProperties": False}
    ((_, listed), (name, _)) = fields(schema, {"a": 1, "b\n\x1b[31m" + "c" * 500: 1}).items()
    assert len(listed) <= 200
    assert listed.endswith(", …")
    assert re.fullmatch(r"\.b  \[31mc+…", name)
    assert len(name) < 70
    small = properties(a={}) | {"additionalProperties": False}
    assert len(fields(small, {f"b{number}": 1 for number in range(100)})) == 50
    either = {"anyOf": [{"required": [f"{number}" * 20]} for number in range(30)]}
    assert [len(text) for text in fields(either, {}).values()] == [200]
