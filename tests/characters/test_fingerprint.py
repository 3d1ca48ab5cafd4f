"""Fingerprints, by which a key recognises its order, stay the same across versions of the gateway."""

from __future__ import annotations

from dataclasses import make_dataclass, replace

import pytest

from gateway.characters.model import Order
from gateway.generations.inputs import SoulVersion, added

ORDER = Order("Ada", ("https://e.example/a.png",), SoulVersion.V2, "key")
STORED_BY_0_1 = "01910cc94bea3206f6ab036676ed11d11881b1b9ef96ce8b165315347b1ac16612"


def test_fingerprints_of_the_first_version_still_match() -> None:
    """If a new field breaks this test, declare the field with `added()`."""
    assert ORDER.fingerprint().hex() == STORED_BY_0_1


def test_a_new_field_changes_the_fingerprint_only_if_set() -> None:
    fields = [("gender", str, added("")), ("hidden", bool, added(False)), ("tags", tuple[str, ...], added(()))]
    later = make_dataclass("Order", fields, bases=(Order,))
    known = {name: getattr(ORDER, name) for name in ORDER.__dataclass_fields__}
    assert later(**known).fingerprint() == ORDER.fingerprint()
    assert later(**known, gender="any").fingerprint() != ORDER.fingerprint()
    assert later(**known, hidden=True).fingerprint() != ORDER.fingerprint()
    assert later(**known, tags=("a",)).fingerprint() != ORDER.fingerprint()


@pytest.mark.parametrize("name", sorted(Order.__dataclass_fields__.keys() - {"key"}))
def test_every_field_changes_the_fingerprint(name: str) -> None:
    values = {"name": "Eva", "image_urls": ("https://e.example/b.png",), "version": SoulVersion.V1}
    assert replace(ORDER, **{name: values[name]}).fingerprint() != ORDER.fingerprint()
