"""The JSON that is kept of a response has at most a number of bytes, and names what is left out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.bounded_json import LEFT_OUT, MAX_NAME_LENGTH, bounded, bounded_value


def size(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":")))


@pytest.mark.parametrize("value", [{"a": "x" * 50}, ["x" * 50], "x" * 50, None])
def test_a_value_of_the_most_bytes_is_kept(value: Any) -> None:
    assert bounded_value(value, size(value)) == value
    if not isinstance(value, dict):
        assert bounded_value(value, size(value) - 1) is None


def test_the_largest_members_are_left_out_and_named_with_their_sizes() -> None:
    kept = {"small": 1, "middle": "x" * 276}
    assert sum(size({name: value}) for name, value in kept.items()) == 300  # three quarters of the limit
    assert bounded({"large": "x" * 400} | kept, 400) == kept | {LEFT_OUT: {"large": size({"large": "x" * 400})}}
    assert bounded({"large": "x" * 400} | kept, 396) == {
        "small": 1,
        LEFT_OUT: {"large": size({"large": "x" * 400}), "middle": size({"middle": "x" * 276})},
    }


def test_what_an_earlier_limit_left_out_is_named_again() -> None:
    earlier = {"log": 9000, "a text": "9000", "a truth value": True}
    content = {"middle": "x" * 287, "large": "x" * 400, LEFT_OUT: earlier}
    large = {"large": size({"large": "x" * 400})}
    assert bounded(content, 400) == {"middle": "x" * 287, LEFT_OUT: {"log": 9000} | large}
    assert bounded({"large": "x" * 400, LEFT_OUT: ["log"]}, 400) == {LEFT_OUT: large}


def test_only_the_largest_are_named_if_there_are_many() -> None:
    content = {f"n{number}": "x" * (1000 + number) for number in range(9)}
    names = {name: size({name: content[name]}) for name in ("n8", "n7")}
    room_for_two = 4 * (size({LEFT_OUT: {}}) + sum(size({name: names[name]}) for name in names))
    found = bounded(content, room_for_two)
    assert found == {LEFT_OUT: names}
    assert size(found) <= room_for_two


def test_a_long_name_is_shortened() -> None:
    name = "n" * (MAX_NAME_LENGTH + 1)
    shortened = {name[:-1]: size({name: "x" * 1000})}
    assert bounded({name: "x" * 1000}, 4 * (size({LEFT_OUT: {}}) + size(shortened))) == {LEFT_OUT: shortened}
