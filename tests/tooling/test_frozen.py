"""Values are compared and hashed by their fields, and mypy lets no one change them."""

from dataclasses import fields, replace

import pytest

from gateway.frozen import KEPT, frozen, sharing


@frozen
class Point:
    x: int
    y: int = 0


def test_values_with_equal_fields_are_equal() -> None:
    assert {Point(1): "one"}[Point(1, 0)] == "one"
    assert Point(1) != Point(2)


def test_mypy_refuses_to_change_a_value() -> None:
    point = Point(1)
    point.x = 2  # type: ignore[misc]  # mypy reports this comment if it does not refuse the line
    assert not hasattr(point, "__dict__")


@sharing("color", "wide")
class Line:
    name: str
    color: str
    length: int = 1
    wide: bool = False

    @property
    def long(self) -> bool:
        return self.length > 10 or self.wide


def test_values_that_share_fields_are_equal_by_all_fields() -> None:
    line = Line("a", "red", wide=True)
    assert (line.name, line.color, line.length, line.wide, line.long) == ("a", "red", 1, True, True)
    assert {line: "one"}[Line("a", "red", 1, True)] == "one"
    assert line not in (Line("b", "red", wide=True), Line("a", "blue", wide=True), Line("a", "red"))
    assert "color='red'" in repr(line)


def test_a_copy_of_a_value_that_shares_fields_differs_in_the_given_ones() -> None:
    line = Line("a", "red")
    assert [one.name for one in fields(line)] == ["name", "color", "length", "wide"]
    assert replace(line, name="b", wide=True) == Line("b", "red", wide=True)
    assert replace(line, color="blue", length=2) == Line("a", "blue", 2)
    assert line == Line("a", "red")


def test_equal_shared_fields_are_in_memory_once() -> None:
    lines = [Line(str(number), "red", wide=bool(number % 2)) for number in range(100)]
    assert len({id(line._shared) for line in lines}) == 2  # type: ignore[attr-defined]
    assert not hasattr(lines[0], "__dict__")


def test_values_remain_right_when_there_are_many_combinations() -> None:
    lines = [Line("a", f"color {number}") for number in range(2 * KEPT)]
    assert [line.color for line in lines] == [f"color {number}" for number in range(2 * KEPT)]


def test_mypy_checks_values_that_share_fields() -> None:
    line = Line("a", "red")
    with pytest.raises(AttributeError):
        line.color = "blue"  # type: ignore[misc]
    with pytest.raises(TypeError):
        Line("a", "red", colour="blue")  # type: ignore[call-arg]
