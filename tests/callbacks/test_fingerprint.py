"""Fingerprints, by which a key recognises its callback, stay the same across versions of the gateway."""

from __future__ import annotations

from dataclasses import make_dataclass, replace
from typing import Any

import pytest

from gateway.callbacks.service import fingerprint
from gateway.generations.inputs import added
from gateway.generations.model import State
from gateway.generations.stores import Filter

URL = "https://e.example/hook"
FILTER = Filter(labels={"for": "Ada"}, model_ids=frozenset({"a/b"}), states=frozenset({State.COMPLETED}))
STORED_BY_0_1 = [
    (Filter(), False, "94bd0b0def2f535e82d8cc138e31d4f9d9196f1e25a6ab83b5a7d78dbc9151db"),
    (FILTER, True, "f10ca950a077726e067aaae817ad5e008fd6cc874e88bfba2fc1295145892701"),
]


@pytest.mark.parametrize(("wanted", "every_change", "stored"), STORED_BY_0_1)
def test_fingerprints_of_the_first_version_still_match(wanted: Filter, every_change: bool, stored: str) -> None:
    """If a new field breaks this test, declare the field with `added()`."""
    assert fingerprint(URL, wanted, every_change=every_change).hex() == stored


@pytest.mark.parametrize("wanted", [Filter(), FILTER])
def test_a_new_field_changes_the_fingerprint_only_if_set(wanted: Filter) -> None:
    later = make_dataclass("Filter", [("kinds", tuple[str, ...], added(()))], bases=(Filter,))
    known = {name: getattr(wanted, name) for name in Filter.__dataclass_fields__}
    stored = fingerprint(URL, wanted, every_change=False)
    assert fingerprint(URL, later(**known), every_change=False) == stored
    assert fingerprint(URL, later(**known, kinds=("image",)), every_change=False) != stored


@pytest.mark.parametrize(
    "change", [{"labels": {}}, {"model_ids": frozenset()}, {"states": frozenset()}], ids=lambda change: str(*change)
)
def test_every_field_changes_the_fingerprint(change: dict[str, Any]) -> None:
    stored = fingerprint(URL, FILTER, every_change=False)
    assert fingerprint(URL, replace(FILTER, **change), every_change=False) != stored
    assert fingerprint(URL, FILTER, every_change=True) != stored
    assert fingerprint(URL + "s", FILTER, every_change=False) != stored
