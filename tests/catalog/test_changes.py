"""Versions of Higgsfield's list of models: what is new, changed and gone, and what only looks different."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.catalog.changes import MAX_GONE, changes_after, revision_of, with_listings
from gateway.catalog.differences import MAX_DIFFERENCE_LENGTH, MAX_DIFFERENCES, differences
from gateway.catalog.merged import Models
from gateway.catalog.model import Change, Listing, Model, Reading, StoredCatalog
from gateway.catalog.sanitize import MAX_NODES
from gateway.catalog.watch import next_models
from gateway.generations.model import MediaKind

DURATION: dict[str, Any] = {"type": "integer", "minimum": 4, "maximum": 15, "default": 5}


def of(**fields: Any) -> Model:
    """Return a model with these fields in its schema."""
    return Model("m", MediaKind.VIDEO, ("text-to-video",), {"type": "object", "properties": fields})


def after(*lists: tuple[Model, ...], complete: bool = True) -> tuple[Model, ...]:
    """Return the stored models after these lists were fetched at the times 0, 1, 2, …"""
    stored: tuple[Model, ...] | None = None
    for wall, fetched in enumerate(lists):
        stored = with_listings(stored, fetched, float(wall), complete=complete)
    assert stored is not None
    return stored


def listing(stored: tuple[Model, ...], name: str = "m") -> Listing:
    (found,) = (one.listing for one in stored if one.id == name)
    assert found is not None
    return found


# -- Lists -------------------------------------------------------------------------------------------------------------


def test_a_model_that_may_be_an_unreadable_item_is_not_gone() -> None:
    before = StoredCatalog(after((of(),)), 0.0, 0.0)
    for skipped in (0, 1):
        (found,) = next_models(before, Reading((), skipped), 1.0)
        assert isinstance(found, Model)
        assert found.listing is not None
        assert found.listing.gone is (skipped == 0)


def test_the_schema_of_a_model_that_is_gone_is_not_higgsfields_present_one() -> None:
    for stored, present in (after((of(),)), True), (after((of(),), ()), False):
        assert Models.merged(StoredCatalog(stored, 0.0, 0.0)).get("m").schema_from_upstream is present


def test_the_first_list_is_no_change() -> None:
    stored = after((Model("a"), Model("b")))
    assert [one.listing for one in stored] == [Listing(0.0), Listing(0.0)]
    assert (revision_of(stored), changes_after(stored, 0)) == (0, [])


def test_new_changed_and_gone_models_are_numbered_in_turn() -> None:
    short, long = of(duration=DURATION), of(duration=DURATION | {"maximum": 30})
    stored = after((short, Model("old")), (long, Model("new")))
    assert listing(stored) == Listing(
        1.0, Change.CHANGED, 1.0, 1, ("duration: integer 4..15, default 5 is now integer 4..30, default 5",)
    )
    assert listing(stored, "new") == Listing(1.0, Change.NEW, 1.0, 2)
    assert listing(stored, "old") == Listing(0.0, Change.GONE, 1.0, 3)
    assert [model.id for model, _ in changes_after(stored, 1)] == ["new", "old"]


def test_a_model_that_is_gone_has_no_details_of_an_earlier_change() -> None:
    stored = after((of(),), (of(x={"type": "string"}),), ())
    assert listing(stored) == Listing(1.0, Change.GONE, 2.0, 2)


def test_only_the_last_change_of_a_model_is_kept() -> None:
    stored = after((), (of(),), (of(x={"type": "string"}),), (), (of(),), (of(),))
    assert listing(stored) == Listing(5.0, Change.NEW, 4.0, 4)


def test_a_model_that_could_not_be_read_is_not_gone() -> None:
    stored = after((Model("a"), Model("b")), (Model("a"),), complete=False)
    assert [one.id for one in stored] == ["a", "b"]
    assert listing(stored, "b") == Listing(0.0)


def test_the_models_that_went_last_are_remembered() -> None:
    many = tuple(Model(f"m{number:04}") for number in range(MAX_GONE + 5))
    stored = after(many, ())
    assert len(stored) == MAX_GONE
    assert revision_of(stored) == MAX_GONE + 5
    assert "m0000" not in {one.id for one in stored}


# -- Differences -------------------------------------------------------------------------------------------------------

RULES = "the rules between parameters have changed"
CONDITION = {"if": {"properties": {"a": {"const": True}}}, "then": {"required": ["b"]}}
OTHER = {"if": {"properties": {"b": {"const": True}}}, "then": {"required": ["a"]}}
SWAPPED = [CONDITION | {"then": OTHER["then"]}, OTHER | {"then": CONDITION["then"]}]
FLAGS = {"properties": {"a": {"type": "boolean"}, "b": {"type": "boolean"}}}


@pytest.mark.parametrize(
    ("before", "after_", "described"),
    [
        (of(a={"type": "string"}), of(), ["a: no longer a parameter"]),
        (of(), of(a={"type": "string"}), ["a: a new parameter"]),
        (of(a={"enum": ["x", "y"]}), of(a={"enum": ["x", "z"]}), ["a: x y is now x z"]),
        (of(a={"type": "string"}), of(a={"type": ["string", "null"]}), ["a: string is now null or string"]),
        (of(a=DURATION), of(a=DURATION | {"default": 6}), [
            "a: integer 4..15, default 5 is now integer 4..15, default 6",
        ]),
        (
            of(a={"type": "array", "maxItems": 3, "items": {"type": "string"}}),
            of(a={"type": "array", "maxItems": 3, "items": {"type": "string", "maxLength": 9}}),
            ["a: array ..3 of string is now array ..3 of string ..9"],
        ),
        (
            of(a={"type": "number"}),
            of(a={"type": "number", "exclusiveMinimum": 0}),
            ["a: still number, with other rules"],
        ),
        (of(), replace(of(), kind=MediaKind.IMAGE), ["the output is now image"]),
        (of(), replace(of(), tasks=("image-to-video",)), ["the tasks are now image-to-video"]),
        (
            replace(of(), schema={"properties": {"a": {}}}),
            replace(of(), schema={"properties": {"a": {}}, "required": ["a"]}),
            ["a: now required"],
        ),
        (
            replace(of(), schema={"properties": {"a": {}}, "required": ["a"]}),
            replace(of(), schema={"properties": {"a": {}}}),
            ["a: no longer required"],
        ),
        (replace(of(), schema=FLAGS), replace(of(), schema=FLAGS | CONDITION), [RULES]),
        (replace(of(), schema=FLAGS | CONDITION), replace(of(), schema=FLAGS | CONDITION | {"then": {}}), [RULES]),
        (replace(of(), schema={"allOf": [CONDITION, OTHER]}), replace(of(), schema={"allOf": SWAPPED}), [RULES]),
        (of(), replace(of(), schema={"properties": {}, "additionalProperties": False}), [RULES]),
    ],
)  # fmt: skip
def test_differences_are_described(before: Model, after_: Model, described: list[str]) -> None:
    assert list(differences(before, after_)) == described


@pytest.mark.parametrize(
    ("before", "after_"),
    [
        (FLAGS | CONDITION, FLAGS | {"allOf": [CONDITION]}),
        ({"properties": {}}, {"type": "object"}),
        ({"properties": {"a": True}}, {"properties": {"a": True}, "allOf": [True]}),
        ({"not": {"type": "string", "maxLength": 1}}, {"not": {"maxLength": 1, "type": "string"}, "title": "new"}),
        ({"properties": {"a": {"enum": ["x", 1, None]}}}, {"properties": {"a": {"enum": [None, 1, "x"]}}}),
        ({"properties": {}}, {"properties": [], "allOf": 5}),
        ({"properties": {"a": DURATION}}, {"allOf": [{"properties": {"a": DURATION}}]}),
        ({"properties": {"a": DURATION}}, {"properties": {"a": DURATION | {"title": "A", "description": "new"}}}),
        (of(a={"maximum": 3}).schema, of(a={"$ref": "#/$defs/A"}).schema | {"$defs": {"A": {"maximum": 3}}}),
        (
            {"properties": {"a": {"minimum": 1, "maximum": 3}}},
            {"properties": {"a": {"minimum": 1}}, "allOf": [{"properties": {"a": {"maximum": 3}}}]},
        ),
        ({"properties": {"a": {"enum": ["x", "y"]}}}, {"properties": {"a": {"enum": ["y", "x"]}}}),
        ({"properties": {"a": {"type": ["string", "null"]}}}, {"properties": {"a": {"type": ["null", "string"]}}}),
        ({"properties": {"a": {"default": 1}}, "required": ["a"]}, {"properties": {"a": {"default": 1}}}),
        (None, {"properties": {"a": {}}}),
        ({"properties": {"a": {}}}, None),
    ],
)  # fmt: skip
def test_another_form_of_a_schema_is_no_difference(before: Any, after_: Any) -> None:
    assert differences(replace(of(), schema=before), replace(of(), schema=after_)) == ()
    assert differences(replace(of(), schema=after_), replace(of(), schema=before)) == ()


@pytest.mark.parametrize("lacks", [{"kind": MediaKind.UNKNOWN}, {"tasks": ()}, {"tasks": ("b", "a")}], ids=str)
def test_what_a_list_leaves_out_or_orders_otherwise_is_no_difference(lacks: dict[str, Any]) -> None:
    model = replace(of(), tasks=("a", "b"))
    assert differences(model, replace(model, **lacks)) == ()
    assert differences(replace(model, **lacks), model) == ()


def test_differences_are_bounded() -> None:
    many = of(**{f"p{number}" * 150: {"enum": ["x" * 500]} for number in range(100)})
    found = differences(of(), many)
    assert len(found) == MAX_DIFFERENCES
    assert all(len(one) <= MAX_DIFFERENCE_LENGTH + 1 for one in found)
    wide = of(**{f"p{number}": {} for number in range(MAX_NODES)})
    assert differences(of(), wide) == ("the schema of the parameters has changed",)
    assert differences(wide, wide) == ()
    deep: Any = {}
    for _ in range(5000):
        deep = {"allOf": [deep]}
    assert differences(of(), replace(of(), schema=deep)) == ("the schema of the parameters has changed",)
