"""The rule that finds the character of a lost response: it never guesses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.characters.lookup import CLOCK_TOLERANCE, CREATION_TIMEOUT, result_of
from gateway.characters.model import Character, CharacterState, Creation, same_name
from gateway.characters.ports import Listing
from gateway.generations.inputs import SoulVersion

SENT = Creation(
    id="2", tenant="t", key="k", fingerprint=b"", account="a", name="Anna", version=SoulVersion.V1,
    known=frozenset({"old"}), sent_date=1000.0, sent_at=5.0,
)  # fmt: skip
NEW = Character("new", "Anna", CharacterState.QUEUED, SoulVersion.V1, create_time=1001.0)
OTHER = replace(NEW, id="other")


def found(*characters: Character, taken: tuple[str, ...] = (), later: tuple[Creation, ...] = ()) -> str:
    one = result_of(SENT, Listing(characters, None), taken, later)
    return "" if one is None else one.id


def test_the_only_new_character_of_the_name_matches() -> None:
    assert found(NEW) == "new"
    assert found(replace(NEW, name=" Anna "), replace(NEW, id="old")) == "new"


def test_names_are_compared_in_unicode_normal_form() -> None:
    assert same_name("Ren\u00e9e", "Rene\u0301e ")
    assert not same_name("Renee", "Ren\u00e9e")


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "anna"},
        {"id": "old"},
        {"version": SoulVersion.V2},
        {"version": None},
        {"create_time": None},
        {"create_time": 1000 - CLOCK_TOLERANCE - 1},
        {"create_time": 1000 + CREATION_TIMEOUT + 1},
    ],
    ids=str,
)
def test_a_character_that_differs_does_not_match(changes: dict[str, object]) -> None:
    assert found(replace(NEW, **changes)) == ""  # type: ignore[arg-type]


@pytest.mark.parametrize("at", [1000 - CLOCK_TOLERANCE, 1000 + CREATION_TIMEOUT])
def test_the_time_window_includes_its_limits(at: float) -> None:
    assert found(replace(NEW, create_time=at)) == "new"


@pytest.mark.parametrize("changes", [{}, {"version": None}, {"create_time": None}], ids=str)
def test_two_candidates_match_none(changes: dict[str, object]) -> None:
    assert found(NEW, replace(OTHER, **changes)) == ""  # type: ignore[arg-type]


def test_a_character_bound_to_another_key_does_not_match() -> None:
    assert found(NEW, OTHER, taken=("other",)) == "new"
    assert found(NEW, taken=("new",)) == ""


def test_a_character_known_to_a_later_creation_is_of_the_earlier_one() -> None:
    later = replace(SENT, id="3", known=frozenset({"old", "new"}))
    assert found(NEW, OTHER, later=(later,)) == "new"
    assert found(OTHER, later=(later,)) == ""
